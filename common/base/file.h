/* Small files, whole. Key files have their own rules: common/crypto. */
#ifndef ZTC_BASE_FILE_H
#define ZTC_BASE_FILE_H

#include "common/base/buf.h"
#include "common/base/err.h"

/* Append the file's bytes; OUT's own maximum bounds them. E_NOTFOUND, E_TOOBIG, E_NOMEM, E_IO. */
int file_read(const char *path, struct buf *out, struct err *err);

/* Write a file that is not there yet, and sync it; a failed one is removed again.
 * E_EXISTS (that file is left alone), E_FULL, E_IO. */
int file_write_new(const char *path, struct slice bytes, struct err *err);

/* The sentence "WHAT PATH：…" of a system call that failed by the errno CAUSE: E_NOTFOUND, E_EXISTS, E_FULL, else E_IO. */
int file_failed(struct err *err, const char *what, const char *path, int cause);

#endif
