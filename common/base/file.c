/* Small files: read to the end, or written once. */
#include "common/base/file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int file_failed(struct err *err, const char *what, const char *path, int cause)
{
    int ret = E_IO;

    if (cause == ENOENT)
        ret = E_NOTFOUND;
    else if (cause == EEXIST)
        ret = E_EXISTS;
    else if (cause == ENOSPC || cause == EDQUOT)
        ret = E_FULL;
    return err_set(err, ret, "%s %s：%s", what, path, strerror(cause));
}

int file_read(const char *path, struct buf *out, struct err *err)
{
    FILE *f = fopen(path, "rbe");
    uint8_t piece[4096];
    size_t len;
    int cause;

    if (f == NULL)
        return file_failed(err, "打不开", path, errno);
    errno = 0;
    while (out->ret == 0 && (len = fread(piece, 1, sizeof piece, f)) > 0)
        buf_put(out, piece, len);
    cause = ferror(f) ? errno : 0;
    (void)fclose(f); /* only read */
    if (cause != 0)
        return file_failed(err, "读不了", path, cause);
    return out->ret == 0 ? 0 : err_set(err, out->ret, "读不了 %s：%s", path, err_text(out->ret));
}

int file_write_new(const char *path, struct slice bytes, struct err *err)
{
    FILE *f = fopen(path, "wbxe");
    int cause;

    if (f == NULL)
        return file_failed(err, "不能写", path, errno);
    cause = fwrite(bytes.p, 1, bytes.len, f) == bytes.len && fflush(f) == 0 && fsync(fileno(f)) == 0
                ? 0
                : errno;
    if (fclose(f) != 0 && cause == 0)
        cause = errno;
    if (cause == 0)
        return 0;
    (void)unlink(path); /* half of it is of no use; the first failure is the one to report */
    return file_failed(err, "不能写", path, cause);
}
