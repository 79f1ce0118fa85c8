/* Key files.
 *
 * Write: temporary file, sync, then into place (rename, or link for "only when there is none"),
 * then sync the directory. A crash leaves the old file or the new one, and perhaps a temporary
 * file, which the next write to the same path by the same process number replaces. */
#include "common/crypto/secret_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int from_errno(int e)
{
    switch (e) {
    case ENOENT:
        return E_NOTFOUND;
    case EACCES:
    case EPERM:
    case EROFS:
        return E_DENIED;
    case EEXIST:
        return E_EXISTS;
    case ENOSPC:
    case EDQUOT:
        return E_FULL;
    case ENOMEM:
        return E_NOMEM;
    default:
        return E_IO;
    }
}

static int write_synced(int fd, struct slice bytes)
{
    while (bytes.len > 0) {
        ssize_t n = write(fd, bytes.p, bytes.len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return from_errno(errno);
        bytes.p += n;
        bytes.len -= (size_t)n;
    }
    return fsync(fd) == 0 ? 0 : from_errno(errno);
}

static int write_temporary(const char *tmp, struct slice bytes, unsigned permissions)
{
    int fd, ret;

    (void)unlink(tmp); /* left by a crash; usually there is none */
    fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, (mode_t)permissions);
    if (fd < 0)
        return from_errno(errno);
    ret = write_synced(fd, bytes);
    if (close(fd) != 0 && ret == 0)
        ret = from_errno(errno);
    return ret;
}

static int put_in_place(const char *tmp, const char *path, enum secret_file_mode mode)
{
    if (mode == SECRET_FILE_REPLACE)
        return rename(tmp, path) == 0 ? 0 : from_errno(errno);
    if (link(tmp, path) != 0)
        return from_errno(errno);
    (void)unlink(tmp); /* a second name of the same bytes does no harm */
    return 0;
}

static int sync_directory_of(const char *path)
{
    char dir[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t len = slash == NULL ? 0 : (size_t)(slash - path);
    int fd, ret;

    if (slash == NULL)
        (void)snprintf(dir, sizeof dir, ".");
    else
        (void)snprintf(dir, sizeof dir, "%.*s", (int)(len == 0 ? 1 : len), path);
    fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return from_errno(errno);
    ret = fsync(fd) == 0 ? 0 : from_errno(errno);
    (void)close(fd); /* nothing was written through it */
    return ret;
}

int secret_file_write(const char *path, struct slice bytes, unsigned permissions,
                      enum secret_file_mode mode, struct err *err)
{
    char tmp[PATH_MAX];
    int ret;

    if ((size_t)snprintf(tmp, sizeof tmp, "%s.%ld.tmp", path, (long)getpid()) >= sizeof tmp)
        return err_set(err, E_INVALID, "路径太长：%s", path);
    ret = write_temporary(tmp, bytes, permissions);
    if (ret == 0)
        ret = put_in_place(tmp, path, mode);
    if (ret != 0) {
        (void)unlink(tmp); /* the first failure is the one to report */
        return err_set(err, ret, "写不了文件 %s：%s", path, err_text(ret));
    }
    ret = sync_directory_of(path);
    if (ret != 0)
        return err_set(err, ret, "文件 %s 所在目录未能落盘", path);
    return 0;
}

static int read_all(int fd, struct buf *out)
{
    size_t from = out->len;

    for (;;) {
        uint8_t piece[4096];
        ssize_t n = read(fd, piece, sizeof piece);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return from_errno(errno);
        if (n == 0)
            return out->ret;
        if (out->len - from + (size_t)n > SECRET_FILE_MAX)
            return E_TOOBIG;
        buf_put(out, piece, (size_t)n);
        explicit_bzero(piece, sizeof piece);
    }
}

int secret_file_read(const char *path, bool private, struct buf *out, struct err *err)
{
    struct stat st;
    int ret;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0) {
        ret = from_errno(errno);
        return err_set(err, ret, "读不了文件 %s：%s", path, err_text(ret));
    }
    if (fstat(fd, &st) != 0)
        ret = err_set(err, E_IO, "读不了文件 %s", path);
    else if (private && (st.st_mode & 077) != 0)
        ret = err_set(err, E_DENIED, "密钥文件 %s 可被他人读取，请改为仅本人可读写（0600）", path);
    else if ((ret = read_all(fd, out)) != 0)
        (void)err_set(err, ret, "读不了文件 %s：%s", path, err_text(ret));
    (void)close(fd); /* nothing was written through it */
    return ret;
}
