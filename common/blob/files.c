/* Whole blobs and parts on disk. Errors of the system become E_* here and travel no further. */
#include "common/blob/files.h"

#include "common/base/hex.h"
#include "common/base/mem.h"
#include "common/blob/file_name.h"
#include "common/blob/sniff.h"
#include "common/crypto/hash.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PIECE 65536u /* read and hashed at a time */

static int fail(struct err *err, const char *path)
{
    switch (errno) {
    case ENOENT:
        return err_set(err, E_NOTFOUND, "没有文件“%s”", path);
    case ENOSPC:
    case EDQUOT:
        return err_set(err, E_FULL, NULL);
    case EROFS:
        return err_set(err, E_READONLY, NULL);
    case EACCES:
    case EPERM:
        return err_set(err, E_DENIED, "没有权限读写文件“%s”", path);
    default:
        return err_set(err, E_IO, "读写文件“%s”失败：%s", path, strerror(errno));
    }
}

/* ---- names ---- */

static int put_path(char path[BLOB_PATH_MAX], int len, struct err *err)
{
    (void)path;
    return len > 0 && len < (int)BLOB_PATH_MAX ? 0 : err_set(err, E_TOOBIG, "附件目录的路径太长");
}

static int whole_path(const char *root, const uint8_t hash[HASH_SIZE], char path[BLOB_PATH_MAX],
                      struct err *err)
{
    char hex[2 * HASH_SIZE + 1];

    hex_encode(hash, HASH_SIZE, hex);
    return put_path(path, snprintf(path, BLOB_PATH_MAX, "%s/%.2s/%s", root, hex, hex + 2), err);
}

static int part_path(const char *root, const struct blob_part *p, char path[BLOB_PATH_MAX],
                     struct err *err)
{
    char hex[2 * HASH_SIZE + 1];

    hex_encode(p->hash, HASH_SIZE, hex);
    return put_path(path, snprintf(path, BLOB_PATH_MAX, "%s/part/%06u-%s", root, p->owner, hex),
                    err);
}

static int make_folder(const char *path, struct err *err)
{
    return mkdir(path, 0700) == 0 || errno == EEXIST ? 0 : fail(err, path);
}

int blob_folder(const char *root, struct err *err)
{
    char path[BLOB_PATH_MAX];
    int ret = make_folder(root, err);

    if (ret == 0)
        ret = put_path(path, snprintf(path, sizeof path, "%s/part", root), err);
    return ret != 0 ? ret : make_folder(path, err);
}

/* What was given up long ago. A failure leaves it to the next time. */
static void sweep(const char *root)
{
    time_t long_ago = time(NULL) - (time_t)BLOB_PART_DAYS * 24 * 3600;
    char path[BLOB_PATH_MAX];
    struct dirent *e;
    struct stat st;
    DIR *folder;

    if (put_path(path, snprintf(path, sizeof path, "%s/part", root), NULL) != 0)
        return;
    folder = opendir(path);
    while (folder != NULL && (e = readdir(folder)) != NULL) {
        if (fstatat(dirfd(folder), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(st.st_mode) && st.st_mtime < long_ago)
            (void)unlinkat(dirfd(folder), e->d_name, 0); /* as above */
    }
    if (folder != NULL)
        (void)closedir(folder); /* only read */
}

/* ---- pieces ---- */

static int write_all(int fd, struct slice s, uint64_t offset, const char *path, struct err *err)
{
    while (s.len > 0) {
        ssize_t n = pwrite(fd, s.p, s.len, (off_t)offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return fail(err, path);
        s.p += n;
        s.len -= (size_t)n;
        offset += (uint64_t)n;
    }
    return 0;
}

/* Bytes read, less than LEN only at the end; negative: E_*. */
static ssize_t read_some(int fd, uint8_t *p, size_t len, uint64_t offset, const char *path,
                         struct err *err)
{
    size_t done = 0;

    while (done < len) {
        ssize_t n = pread(fd, p + done, len - done, (off_t)(offset + done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail(err, path);
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (ssize_t)done;
}

/* The folder itself, so that a rename in it lasts. */
static int sync_folder_of(const char *path, struct err *err)
{
    char folder[BLOB_PATH_MAX];
    int fd, ret = 0;

    (void)snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(path, '/') - path), path);
    fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return fail(err, folder);
    if (fsync(fd) != 0)
        ret = fail(err, folder);
    (void)close(fd); /* nothing was written through it */
    return ret;
}

/* Read FD from its beginning: hash it, and copy it where TO is not negative. *RET_SIZE bytes; E_TOOBIG. */
static int pass(int fd, const char *path, int to, const char *to_path, uint64_t max,
                uint8_t ret_hash[HASH_SIZE], uint64_t *ret_size, struct err *err)
{
    struct hash_stream *h = hash_stream_new(HASH_SHA256);
    uint8_t *piece = mem_alloc(PIECE);
    uint64_t at = 0;
    ssize_t n = 1;
    int ret = h == NULL || piece == NULL ? err_set(err, E_NOMEM, NULL) : 0;

    while (ret == 0 && n > 0) {
        n = read_some(fd, piece, PIECE, at, path, err);
        if (n < 0) {
            ret = (int)n;
        } else if (at + (uint64_t)n > max) {
            ret = err_set(err, E_TOOBIG, NULL);
        } else if (n > 0) {
            struct slice s = {piece, (size_t)n};

            hash_stream_put(h, s);
            if (to >= 0)
                ret = write_all(to, s, at, to_path, err);
            at += (uint64_t)n;
        }
    }
    hash_stream_end(h, ret == 0 ? ret_hash : NULL);
    mem_free(piece);
    if (ret == 0)
        *ret_size = at;
    return ret;
}

/* FROM, which is written whole, takes the place of TO for good. */
static int settle(int fd, const char *from, const char *to, struct err *err)
{
    if (fsync(fd) != 0)
        return fail(err, from);
    if (rename(from, to) != 0)
        return fail(err, to);
    return sync_folder_of(to, err);
}

/* Its place by HASH, with the folder made; the folder's own entry is synced too. */
static int place(const char *root, const uint8_t hash[HASH_SIZE], char path[BLOB_PATH_MAX],
                 struct err *err)
{
    char folder[BLOB_PATH_MAX];
    int ret = whole_path(root, hash, path, err);

    if (ret != 0)
        return ret;
    (void)snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(path, '/') - path), path);
    if (mkdir(folder, 0700) != 0)
        return errno == EEXIST ? 0 : fail(err, folder);
    return sync_folder_of(folder, err);
}

/* ---- taking a file in ---- */

static int sniff_file(int fd, const char *path, uint64_t size, struct blob_info *info,
                      struct err *err)
{
    uint8_t *bytes = mem_alloc(3u * SNIFF_BYTES);
    struct sniff s = {.name = info->name};
    uint64_t directory, tail = size > SNIFF_BYTES ? size - SNIFF_BYTES : 0;
    ssize_t n;

    if (bytes == NULL)
        return err_set(err, E_NOMEM, NULL);
    n = read_some(fd, bytes, SNIFF_BYTES, 0, path, err);
    if (n >= 0) {
        s.head = (struct slice){bytes, (size_t)n};
        n = read_some(fd, bytes + SNIFF_BYTES, SNIFF_BYTES, tail, path, err);
    }
    if (n >= 0) {
        s.tail = (struct slice){bytes + SNIFF_BYTES, (size_t)n};
        directory = sniff_directory(s.head);
        if (directory != 0)
            n = read_some(fd, bytes + 2 * SNIFF_BYTES, SNIFF_BYTES, directory, path, err);
        if (directory != 0 && n >= 0)
            s.directory = (struct slice){bytes + 2 * SNIFF_BYTES, (size_t)n};
    }
    if (n >= 0)
        info->mime = sniff_type(&s);
    mem_free(bytes);
    return n < 0 ? (int)n : 0;
}

/* An extension that fits the bytes, behind one that does not. */
static void name_by_type(struct blob_info *info)
{
    const char *extension = info->mime == NULL ? ".bin" : sniff_extension(info->mime);
    char base[BLOB_NAME_MAX + 1];

    if (info->mime != NULL && sniff_fits(info->mime, info->name))
        return;
    file_name_clean(slice_str(info->name), BLOB_NAME_MAX - 8, base);
    (void)snprintf(info->name, sizeof info->name, "%.112s%s", base, extension);
}

static int look_at(int fd, const char *path, uint64_t max, struct blob_info *info, struct err *err)
{
    struct stat st;
    int ret;

    if (fstat(fd, &st) != 0)
        return fail(err, path);
    if (!S_ISREG(st.st_mode))
        return err_set(err, E_INVALID, "“%s”不是文件", path);
    if (st.st_size == 0)
        return err_set(err, E_INVALID, "“%s”是空文件", path);
    if ((uint64_t)st.st_size > max)
        return err_set(err, E_TOOBIG, "“%s”有 %lld 字节，超过单个附件上限 %llu 字节", path,
                       (long long)st.st_size, (unsigned long long)max);
    file_name_clean(slice_str(path), BLOB_NAME_MAX, info->name);
    ret = sniff_file(fd, path, (uint64_t)st.st_size, info, err);
    if (ret == 0 && info->mime == NULL)
        return err_set(err, E_INVALID,
                       "“%s”的类型不能作附件，可用 pdf、ofd、jpg、png、docx、xlsx、doc、xls、wps、et、txt",
                       path);
    if (ret == 0)
        name_by_type(info);
    return ret;
}

static int copy_in(const char *root, int from, const char *path, uint64_t max,
                   struct blob_info *info, struct err *err)
{
    char temporary[BLOB_PATH_MAX], whole[BLOB_PATH_MAX];
    int fd, ret = put_path(temporary, snprintf(temporary, sizeof temporary, "%s/part/new-XXXXXX",
                                               root), err);

    if (ret != 0)
        return ret;
    fd = mkstemp(temporary);
    if (fd < 0)
        return fail(err, temporary);
    ret = pass(from, path, fd, temporary, max, info->hash, &info->size, err);
    if (ret == 0)
        ret = place(root, info->hash, whole, err);
    if (ret == 0)
        ret = settle(fd, temporary, whole, err);
    (void)close(fd); /* synced, or given up */
    if (ret != 0)
        (void)unlink(temporary); /* what is left of it is in nobody's way */
    return ret;
}

int blob_take(const char *root, const char *path, uint64_t max, struct blob_info *ret,
              struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), status;

    if (fd < 0)
        return fail(err, path);
    status = blob_folder(root, err);
    if (status == 0)
        status = look_at(fd, path, max, ret, err);
    if (status == 0) {
        sweep(root);
        status = copy_in(root, fd, path, max, ret, err);
    }
    (void)close(fd); /* only read */
    return status;
}

/* ---- whole ones ---- */

static int size_of(const char *path, uint64_t *ret, struct err *err)
{
    struct stat st;

    if (stat(path, &st) != 0)
        return fail(err, path);
    *ret = (uint64_t)st.st_size;
    return 0;
}

int blob_size(const char *root, const uint8_t hash[HASH_SIZE], uint64_t *ret, struct err *err)
{
    char path[BLOB_PATH_MAX];
    int status = whole_path(root, hash, path, err);

    return status != 0 ? status : size_of(path, ret, err);
}

int blob_read(const char *root, const uint8_t hash[HASH_SIZE], uint64_t offset, size_t len,
              struct buf *out, struct err *err)
{
    char path[BLOB_PATH_MAX];
    int fd, ret = whole_path(root, hash, path, err);
    uint8_t *p;
    ssize_t n;

    if (ret != 0)
        return ret;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail(err, path);
    p = buf_grow(out, len);
    n = p == NULL ? err_set(err, out->ret, NULL) : read_some(fd, p, len, offset, path, err);
    (void)close(fd); /* only read */
    if (n < 0)
        return (int)n;
    return (size_t)n == len ? 0 : err_set(err, E_CORRUPT, "附件的文件不完整");
}

int blob_name(const char *root, const uint8_t hash[HASH_SIZE], struct slice said,
              char ret[BLOB_NAME_MAX + 1], struct err *err)
{
    struct blob_info info = {.size = 0};
    char path[BLOB_PATH_MAX];
    int fd, status = whole_path(root, hash, path, err);

    if (status != 0)
        return status;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail(err, path);
    file_name_clean(said, BLOB_NAME_MAX, info.name);
    status = size_of(path, &info.size, err);
    if (status == 0)
        status = sniff_file(fd, path, info.size, &info, err);
    (void)close(fd); /* only read */
    if (status != 0)
        return status;
    name_by_type(&info);
    memcpy(ret, info.name, sizeof info.name);
    return 0;
}

static int save_verified(int from, const char *path, const uint8_t hash[HASH_SIZE], const char *to,
                         struct err *err)
{
    char temporary[BLOB_PATH_MAX];
    uint8_t found[HASH_SIZE];
    uint64_t size;
    int fd, ret = put_path(temporary, snprintf(temporary, sizeof temporary, "%s.XXXXXX", to), err);

    if (ret != 0)
        return ret;
    fd = mkstemp(temporary);
    if (fd < 0)
        return fail(err, to);
    ret = pass(from, path, fd, temporary, UINT64_MAX, found, &size, err);
    if (ret == 0 && memcmp(found, hash, HASH_SIZE) != 0)
        ret = err_set(err, E_CORRUPT, "附件的内容与摘要不符");
    if (ret == 0 && (fsync(fd) != 0 || rename(temporary, to) != 0))
        ret = fail(err, to);
    (void)close(fd); /* synced, or given up */
    if (ret != 0)
        (void)unlink(temporary); /* as above */
    return ret;
}

int blob_save(const char *root, const uint8_t hash[HASH_SIZE], const char *to, struct err *err)
{
    char path[BLOB_PATH_MAX];
    int fd, ret = whole_path(root, hash, path, err);

    if (ret != 0)
        return ret;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail(err, path);
    ret = save_verified(fd, path, hash, to, err);
    (void)close(fd); /* only read */
    return ret;
}

int blob_check(const char *root, const uint8_t hash[HASH_SIZE], struct err *err)
{
    char path[BLOB_PATH_MAX];
    uint8_t found[HASH_SIZE];
    uint64_t size;
    int fd, ret = whole_path(root, hash, path, err);

    if (ret != 0)
        return ret;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail(err, path);
    ret = pass(fd, path, -1, NULL, UINT64_MAX, found, &size, err);
    (void)close(fd); /* only read */
    if (ret == 0 && memcmp(found, hash, HASH_SIZE) != 0)
        ret = err_set(err, E_CORRUPT, "附件的内容与摘要不符");
    return ret;
}

/* ---- parts ---- */

int blob_part_size(const char *root, const struct blob_part *p, uint64_t *ret, struct err *err)
{
    char path[BLOB_PATH_MAX];
    int status = part_path(root, p, path, err);

    if (status != 0)
        return status;
    status = size_of(path, ret, err);
    if (status == E_NOTFOUND)
        *ret = 0;
    return status == E_NOTFOUND ? 0 : status;
}

int blob_part_write(const char *root, const struct blob_part *p, uint64_t offset,
                    struct slice bytes, struct err *err)
{
    char path[BLOB_PATH_MAX];
    struct stat st;
    int fd, ret = part_path(root, p, path, err);

    if (ret != 0)
        return ret;
    if (offset == 0)
        sweep(root);
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return fail(err, path);
    if (fstat(fd, &st) != 0)
        ret = fail(err, path);
    else if (offset > (uint64_t)st.st_size)
        ret = err_set(err, E_BUSY, "附件的分块不连续");
    else
        ret = write_all(fd, bytes, offset, path, err);
    if (close(fd) != 0 && ret == 0)
        ret = fail(err, path);
    return ret;
}

/* FD's bytes are what the name says. */
static int verify(int fd, const char *path, const struct blob_part *p, uint64_t size,
                  struct err *err)
{
    uint8_t found[HASH_SIZE];
    uint64_t has;
    int ret = pass(fd, path, -1, NULL, UINT64_MAX, found, &has, err);

    if (ret == 0 && (has != size || memcmp(found, p->hash, HASH_SIZE) != 0))
        ret = err_set(err, E_CORRUPT, "附件的内容与摘要不符");
    return ret;
}

int blob_part_finish(const char *root, const struct blob_part *p, uint64_t size, struct err *err)
{
    char path[BLOB_PATH_MAX], whole[BLOB_PATH_MAX];
    int fd, ret = part_path(root, p, path, err);

    if (ret != 0)
        return ret;
    fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return fail(err, path);
    ret = verify(fd, path, p, size, err);
    if (ret == E_CORRUPT)
        (void)unlink(path); /* begun anew it starts at nothing; left over it fails again */
    if (ret == 0)
        ret = place(root, p->hash, whole, err);
    if (ret == 0)
        ret = settle(fd, path, whole, err);
    (void)close(fd); /* synced, or given up */
    return ret;
}

int blob_part_drop(const char *root, const struct blob_part *p, struct err *err)
{
    char path[BLOB_PATH_MAX];
    int ret = part_path(root, p, path, err);

    if (ret != 0)
        return ret;
    return unlink(path) == 0 || errno == ENOENT ? 0 : fail(err, path);
}
