/* What kind of file bytes are, told by the bytes: the name only chooses between kinds that share a
 * container. Nothing here opens the file. */
#ifndef ZTC_BLOB_SNIFF_H
#define ZTC_BLOB_SNIFF_H

#include "common/base/buf.h"

#define SNIFF_BYTES 65536u /* of the beginning and of the end: what is worth giving */

struct sniff {
    struct slice head, tail; /* of the file; they may overlap */
    struct slice directory;  /* of an OLE file, see sniff_directory; else empty */
    const char *name;        /* for its extension */
};

/* Where the directory of an OLE file begins; 0: HEAD is none. */
uint64_t sniff_directory(struct slice head);

/* The type, static; NULL when it is none that is taken. */
const char *sniff_type(const struct sniff *s);

/* ".pdf": the extension for a type. Whether NAME bears one that the type may have. */
const char *sniff_extension(const char *mime);
bool sniff_fits(const char *mime, const char *name);

#endif
