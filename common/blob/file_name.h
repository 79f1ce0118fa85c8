/* A file's name as it may be shown, stored and written to any disk. */
#ifndef ZTC_BLOB_FILE_NAME_H
#define ZTC_BLOB_FILE_NAME_H

#include "common/base/buf.h"

/* The last component of RAW without control, bidirectional and invisible characters, without what a file
 * system refuses, at most MAX bytes (at least 16) in RET: cut before its extension. Never empty, no
 * reserved device name, no dot or blank at either end. RAW that is no UTF-8 becomes 附件. */
void file_name_clean(struct slice raw, size_t max, char *ret);

/* The part from the last dot on; "" when there is none. */
const char *file_name_extension(const char *name);

#endif
