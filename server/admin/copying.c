#include "server/admin/copying.h"

#include "common/base/file.h"
#include "common/base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define COPY_BYTES  65536
#define SMALL_MAX   (1u << 20)
#define SETTLED_S   2   /* a folder that was changed longer ago will not be changed again at the same time */
#define LOCK_TRIES  600 /* a tenth of a second each */
#define LOCK_REST_NS 100000000L

/* Besides city.db: settings, keys, certificates, however many CAs there have been. */
static const char *const kept_endings[] = {".ini", ".pem", ".key"};

const char *path_join(struct path *ret, const char *dir, const char *name)
{
    int n = snprintf(ret->text, sizeof ret->text, "%s/%s", dir, name);

    if (n < 0 || (size_t)n >= sizeof ret->text)
        ret->text[0] = '\0';
    return ret->text;
}

/* They may be keys. */
static void forget(struct buf *b)
{
    if (b->p != NULL)
        mem_wipe(b->p, b->len);
    buf_release(b);
}

bool file_same(const char *a, const char *b)
{
    struct buf x, y;
    bool same;

    buf_init(&x, SMALL_MAX);
    buf_init(&y, SMALL_MAX);
    same = file_read(a, &x, NULL) == 0 && file_read(b, &y, NULL) == 0 && slice_eq(buf_slice(&x), buf_slice(&y));
    forget(&x);
    forget(&y);
    return same;
}

int folder_make(const char *dir, struct err *err)
{
    if (mkdir(dir, 0700) == 0 || errno == EEXIST)
        return 0;
    return file_failed(err, "不能建立目录", dir, errno);
}

static int pump(int in, int out, const char *to, struct err *err)
{
    char block[COPY_BYTES];
    ssize_t n, put;

    while ((n = read(in, block, sizeof block)) > 0) {
        for (ssize_t at = 0; at < n; at += put) {
            put = write(out, block + at, (size_t)(n - at));
            if (put <= 0)
                return file_failed(err, "不能写入", to, errno);
        }
    }
    return n < 0 || fsync(out) != 0 ? file_failed(err, "不能写入", to, errno) : 0;
}

int file_copy(const char *from, const char *to, struct err *err)
{
    struct path part;
    int in = open(from, O_RDONLY | O_CLOEXEC), out, ret;

    if (in < 0)
        return file_failed(err, "不能读取", from, errno);
    (void)snprintf(part.text, sizeof part.text, "%s.new", to);
    out = open(part.text, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ret = out < 0 ? file_failed(err, "不能写入", part.text, errno) : pump(in, out, part.text, err);
    (void)close(in);
    if (out >= 0)
        (void)close(out); /* synced */
    if (ret == 0 && rename(part.text, to) != 0)
        ret = file_failed(err, "不能改名", part.text, errno);
    return ret;
}

/* ---- settings, keys, certificates ---- */

static bool is_kept(const char *name)
{
    const char *end = strrchr(name, '.');

    for (size_t i = 0; end != NULL && i < sizeof kept_endings / sizeof *kept_endings; i++) {
        if (strcmp(end, kept_endings[i]) == 0)
            return true;
    }
    return false;
}

int kept_each(const char *dir, const char *to, kept_choice meant, void *ctx, struct err *err)
{
    DIR *d = opendir(dir);
    const struct dirent *e;
    int ret = d == NULL ? file_failed(err, "不能读取", dir, errno) : 0;

    while (ret == 0 && (e = readdir(d)) != NULL) {
        struct path a, b;

        if (!is_kept(e->d_name) || !meant(ctx, e->d_name))
            continue;
        (void)path_join(&a, dir, e->d_name);
        if (to == NULL)
            ret = unlink(a.text) == 0 ? 0 : file_failed(err, "不能删除", a.text, errno);
        else if (!file_same(a.text, path_join(&b, to, e->d_name)))
            ret = file_copy(a.text, b.text, err);
    }
    if (d != NULL)
        (void)closedir(d);
    return ret;
}

/* ---- attachments ---- */

/* Every file of the folder FROM that TO lacks. What lies under its hash never changes; a folder whose time the copy
 * bears has nothing new. */
static int copy_folder(const char *from, const char *to, struct err *err)
{
    const struct dirent *e;
    struct stat s, there;
    DIR *d;
    int ret;

    if (stat(from, &s) != 0)
        return file_failed(err, "不能读取", from, errno);
    if (stat(to, &there) == 0 && there.st_mtim.tv_sec == s.st_mtim.tv_sec &&
        there.st_mtim.tv_nsec == s.st_mtim.tv_nsec)
        return 0;
    d = opendir(from);
    ret = d == NULL ? file_failed(err, "不能读取", from, errno) : folder_make(to, err);
    while (ret == 0 && (e = readdir(d)) != NULL) {
        struct stat file;
        struct path a, b;

        if (stat(path_join(&a, from, e->d_name), &file) == 0 && S_ISREG(file.st_mode) &&
            (stat(path_join(&b, to, e->d_name), &there) != 0 || there.st_size != file.st_size))
            ret = file_copy(a.text, b.text, err);
    }
    if (d != NULL)
        (void)closedir(d);
    if (ret == 0 && s.st_mtim.tv_sec + SETTLED_S < time(NULL))
        (void)utimensat(AT_FDCWD, to, (struct timespec[]){s.st_mtim, s.st_mtim}, 0); /* else it is looked at again */
    return ret;
}

int blobs_copy(const char *from, const char *to, struct err *err)
{
    DIR *d = opendir(from);
    const struct dirent *e;
    int ret = d == NULL ? 0 : folder_make(to, err);

    while (d != NULL && ret == 0 && (e = readdir(d)) != NULL) {
        struct path a, b;

        if (strlen(e->d_name) == 2 && e->d_name[0] != '.') /* the first digits of hashes; parts lie elsewhere */
            ret = copy_folder(path_join(&a, from, e->d_name), path_join(&b, to, e->d_name), err);
    }
    if (d != NULL)
        (void)closedir(d);
    return ret;
}

/* ---- one at a time ---- */

static bool take_lock(int fd, int how)
{
    const struct timespec rest = {.tv_nsec = LOCK_REST_NS};

    for (int i = 0; i < LOCK_TRIES; i++) {
        if (flock(fd, how | LOCK_NB) == 0)
            return true;
        if (errno != EWOULDBLOCK)
            return false;
        (void)nanosleep(&rest, NULL); /* woken early, it tries early */
    }
    return false;
}

int copy_lock(const char *dir, bool to_write, int *ret_fd, struct err *err)
{
    struct path p;
    int fd = open(path_join(&p, dir, "lock"), to_write ? O_RDWR | O_CREAT | O_CLOEXEC : O_RDONLY | O_CLOEXEC, 0600);

    if (fd < 0 && (to_write || errno != ENOENT))
        return file_failed(err, "不能打开", p.text, errno);
    if (fd >= 0 && !take_lock(fd, to_write ? LOCK_EX : LOCK_SH)) {
        (void)close(fd);
        return err_set(err, E_BUSY, "备份目录 %s 正由另一个 ztcd 使用", dir);
    }
    *ret_fd = fd;
    return 0;
}

void copy_unlock(int fd)
{
    if (fd >= 0)
        (void)close(fd);
}
