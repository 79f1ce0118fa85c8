/* Small files that hold keys: 0600, whole or not at all. Internal to this folder. */
#ifndef ZTC_CRYPTO_SECRET_FILE_H
#define ZTC_CRYPTO_SECRET_FILE_H

#include "common/base/buf.h"
#include "common/base/err.h"

#include <stdbool.h>

#define SECRET_FILE_MAX 65536

enum secret_file_mode {
    SECRET_FILE_REPLACE, /* an older file is replaced */
    SECRET_FILE_NEW      /* an existing file is left alone: E_EXISTS */
};

/* Write BYTES to PATH with PERMISSIONS by a temporary file beside it; file and directory are synced.
 * E_EXISTS, E_FULL, E_DENIED, E_IO, E_INVALID (path too long). */
int secret_file_write(const char *path, struct slice bytes, unsigned permissions,
                      enum secret_file_mode mode, struct err *err);

/* Append the file's bytes. With PRIVATE a file that others may read is refused.
 * E_NOTFOUND, E_DENIED, E_TOOBIG, E_NOMEM, E_IO. */
int secret_file_read(const char *path, bool private, struct buf *out, struct err *err);

#endif
