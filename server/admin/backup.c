#include "server/admin/backup.h"

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/blob/files.h"
#include "common/crypto/secret_file.h"
#include "common/ledger/ship.h"
#include "common/ledger/store.h"
#include "server/admin/admin.h"
#include "server/admin/commands.h"
#include "server/store/city_recover.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LOOK_MS    1000 /* between two looks at whether the store has changed */
#define WORD_MS    5000 /* between two words that it has not */
#define REST_TIMES 9    /* a look that took T is followed by a rest of so many T: a tenth of the machine at most */
#define SETTLED_S  2    /* a folder that was changed longer ago will not be changed again at the same time */
#define KEPT_MAX   (1u << 20)
#define COPY_BYTES 65536
#define STATE_MAX  8192

/* Besides city.db: settings, keys, certificates, however many CAs there have been. */
static const char *const kept_endings[] = {".ini", ".pem", ".key"};

/* A folder that was given, and below it a name and a name more. */
struct path {
    char text[HOME_PATH_MAX + 2 * (NAME_MAX + 1)];
};

static const char *join(struct path *p, const char *dir, const char *name)
{
    int n = snprintf(p->text, sizeof p->text, "%s/%s", dir, name);

    if (n < 0 || (size_t)n >= sizeof p->text)
        p->text[0] = '\0'; /* a name that no file has */
    return p->text;
}

/* ---- files ---- */

static int failed(struct err *err, const char *what, const char *path)
{
    int code = errno == ENOSPC ? E_FULL : errno == ENOENT ? E_NOTFOUND : E_IO;

    return err_set(err, code, "%s %s：%s", what, path, strerror(errno));
}

static int make_dir(const char *dir, struct err *err)
{
    if (mkdir(dir, 0700) == 0 || errno == EEXIST)
        return 0;
    return failed(err, "不能建立目录", dir);
}

static int pump(int in, int out, const char *to, struct err *err)
{
    char block[COPY_BYTES];
    ssize_t n, put;

    while ((n = read(in, block, sizeof block)) > 0) {
        for (ssize_t at = 0; at < n; at += put) {
            put = write(out, block + at, (size_t)(n - at));
            if (put <= 0)
                return failed(err, "不能写入", to);
        }
    }
    return n < 0 || fsync(out) != 0 ? failed(err, "不能写入", to) : 0;
}

/* Under another name until it is whole. */
static int copy_file(const char *from, const char *to, struct err *err)
{
    struct path part;
    int in = open(from, O_RDONLY | O_CLOEXEC), out, ret;

    if (in < 0)
        return failed(err, "不能读取", from);
    (void)snprintf(part.text, sizeof part.text, "%s.new", to);
    out = open(part.text, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ret = out < 0 ? failed(err, "不能写入", part.text) : pump(in, out, part.text, err);
    (void)close(in);
    if (out >= 0)
        (void)close(out); /* synced */
    if (ret == 0 && rename(part.text, to) != 0)
        ret = failed(err, "不能改名", part.text);
    return ret;
}

/* One at a time writes a copy, and nobody reads it meanwhile. LOCK_EX makes the folder's lock, LOCK_SH does without. */
static int lock_copy(const char *dir, int how, int *ret_fd, struct err *err)
{
    struct path p;
    int fd = open(join(&p, dir, "lock"), how == LOCK_EX ? O_RDWR | O_CREAT | O_CLOEXEC : O_RDONLY | O_CLOEXEC, 0600);

    if (fd < 0 && (how == LOCK_EX || errno != ENOENT))
        return failed(err, "不能打开", p.text);
    if (fd >= 0 && flock(fd, how | LOCK_NB) != 0) {
        (void)close(fd);
        return err_set(err, E_BUSY, "另一个 ztcd backup 正在写备份目录 %s", dir);
    }
    *ret_fd = fd;
    return 0;
}

static void unlock(int fd)
{
    if (fd >= 0)
        (void)close(fd);
}

/* Every file of the folder FROM that TO lacks. What lies under its hash never changes; a folder whose time the copy
 * bears has nothing new. */
static int copy_folder(const char *from, const char *to, struct err *err)
{
    const struct dirent *e;
    struct stat s, there;
    DIR *d;
    int ret;

    if (stat(from, &s) != 0)
        return failed(err, "不能读取", from);
    if (stat(to, &there) == 0 && there.st_mtim.tv_sec == s.st_mtim.tv_sec &&
        there.st_mtim.tv_nsec == s.st_mtim.tv_nsec)
        return 0;
    d = opendir(from);
    ret = d == NULL ? failed(err, "不能读取", from) : make_dir(to, err);
    while (ret == 0 && (e = readdir(d)) != NULL) {
        struct stat file;
        struct path a, b;

        if (stat(join(&a, from, e->d_name), &file) == 0 && S_ISREG(file.st_mode) &&
            (stat(join(&b, to, e->d_name), &there) != 0 || there.st_size != file.st_size))
            ret = copy_file(a.text, b.text, err);
    }
    if (d != NULL)
        (void)closedir(d);
    if (ret == 0 && s.st_mtim.tv_sec + SETTLED_S < time(NULL))
        (void)utimensat(AT_FDCWD, to, (struct timespec[]){s.st_mtim, s.st_mtim}, 0); /* else it is looked at again */
    return ret;
}

/* What is whole of FROM's attachments: folders of two digits. */
static int copy_blobs(const char *from, const char *to, struct err *err)
{
    DIR *d = opendir(from);
    const struct dirent *e;
    int ret = d == NULL ? 0 : make_dir(to, err);

    while (d != NULL && ret == 0 && (e = readdir(d)) != NULL) {
        struct path a, b;

        if (strlen(e->d_name) == 2 && e->d_name[0] != '.')
            ret = copy_folder(join(&a, from, e->d_name), join(&b, to, e->d_name), err);
    }
    if (d != NULL)
        (void)closedir(d);
    return ret;
}

/* ---- making one ---- */

static bool is_kept(const char *name)
{
    const char *end = strrchr(name, '.');

    for (size_t i = 0; end != NULL && i < sizeof kept_endings / sizeof *kept_endings; i++) {
        if (strcmp(end, kept_endings[i]) == 0)
            return true;
    }
    return false;
}

static bool same_bytes(const char *a, const char *b)
{
    struct buf x, y;
    bool same;

    buf_init(&x, KEPT_MAX);
    buf_init(&y, KEPT_MAX);
    same = file_read(a, &x, NULL) == 0 && file_read(b, &y, NULL) == 0 && slice_eq(buf_slice(&x), buf_slice(&y));
    if (x.len > 0)
        mem_wipe(x.p, x.len); /* keys */
    if (y.len > 0)
        mem_wipe(y.p, y.len);
    buf_release(&x);
    buf_release(&y);
    return same;
}

static int copy_kept(const char *from, const char *to, struct err *err)
{
    DIR *d = opendir(from);
    const struct dirent *e;
    int ret = d == NULL ? failed(err, "不能读取", from) : 0;

    while (ret == 0 && (e = readdir(d)) != NULL) {
        struct path a, b;

        if (is_kept(e->d_name) && !same_bytes(join(&a, from, e->d_name), join(&b, to, e->d_name)))
            ret = copy_file(a.text, b.text, err);
    }
    if (d != NULL)
        (void)closedir(d);
    return ret;
}

static int copy_store(const struct home *h, const char *dir, struct err *err)
{
    struct path part, to;
    struct home_path from;
    int ret;

    (void)unlink(join(&part, dir, "city.db.new"));
    ret = store_copy(home_file(h, "city.db", &from), part.text, err);
    return ret == 0 ? store_replace(part.text, join(&to, dir, "city.db"), err) : ret;
}

static int put_state(const struct home *h, const char *dir, msec_t at, struct err *err)
{
    struct home_path p;
    struct buf text;
    int ret;

    buf_init(&text, STATE_MAX);
    buf_printf(&text, "%" PRIu64 " %s\n", (uint64_t)at, dir);
    ret = text.ret != 0 ? err_set(err, text.ret, NULL)
                        : secret_file_write(home_file(h, "backup", &p), buf_slice(&text), 0600,
                                            SECRET_FILE_REPLACE, err);
    buf_release(&text);
    return ret;
}

static int copy_files(const struct home *h, const char *dir, struct err *err)
{
    struct home_path blobs;
    struct path to;

    return copy_blobs(home_file(h, "blobs", &blobs), join(&to, dir, "blobs"), err);
}

int backup_make(const struct home *h, const char *dir, struct err *err)
{
    msec_t at = daemon_clock(); /* what is committed from here on may be missing */
    int lock = -1, ret = make_dir(dir, err);

    if (ret == 0)
        ret = lock_copy(dir, LOCK_EX, &lock, err);
    if (ret == 0)
        ret = copy_kept(h->dir, dir, err);
    if (ret == 0)
        ret = copy_store(h, dir, err);
    if (ret == 0)
        ret = copy_files(h, dir, err);
    unlock(lock);
    return ret == 0 ? put_state(h, dir, at, err) : ret;
}

msec_t backup_at(const char *path)
{
    struct buf text;
    msec_t at = 0;

    buf_init(&text, STATE_MAX);
    if (secret_file_read(path, false, &text, NULL) == 0)
        at = strtoull(buf_cstr(&text), NULL, 10);
    buf_release(&text);
    return at;
}

/* ---- restoring ---- */

static int new_life(struct home *h, const char *path, msec_t now, struct err *err)
{
    struct city *city = NULL;
    int ret = home_open_copy(h, path, now, &city, err);

    if (ret == 0)
        ret = city_begin(city, now, err);
    if (ret == 0) {
        ret = city_restart(city, "由备份恢复", err);
        ret = ret == 0 ? city_commit(city, err) : (city_rollback(city), ret);
    }
    city_close(city);
    return ret;
}

/* A copy that was made to follow has a log beside it. Both are taken as files: nothing can be written where they lie. */
static int copy_pair(const char *dir, const char *made, struct err *err)
{
    struct path from, to;
    int ret = copy_file(join(&from, dir, "city.db"), made, err);

    (void)snprintf(to.text, sizeof to.text, "%s-wal", made);
    if (ret == 0 && access(join(&from, dir, "city.db-wal"), F_OK) == 0)
        ret = copy_file(from.text, to.text, err);
    return ret;
}

/* Of an attempt that was interrupted. */
static void remove_made(const char *made)
{
    static const char *const endings[] = {"", "-wal", "-shm"};

    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        struct path p;

        (void)snprintf(p.text, sizeof p.text, "%s%s", made, endings[i]);
        (void)unlink(p.text);
    }
}

static int restore_from(struct home *h, const char *from, bool is_dir, msec_t now, struct err *err)
{
    struct home_path made, at, to;
    struct path blobs;
    int ret = is_dir ? copy_kept(from, h->dir, err) : 0;

    remove_made(home_file(h, "city.db.new", &made));
    if (ret == 0)
        ret = is_dir ? copy_pair(from, made.text, err) : store_copy(from, made.text, err);
    if (ret == 0)
        ret = new_life(h, made.text, now, err);
    if (ret == 0 && is_dir)
        ret = copy_blobs(join(&blobs, from, "blobs"), home_file(h, "blobs", &to), err);
    if (ret == 0 && rename(made.text, home_file(h, "city.db", &at)) != 0)
        ret = failed(err, "不能改名", made.text);
    return ret;
}

int backup_restore(struct home *h, const char *from, msec_t now, struct err *err)
{
    struct stat s;
    int lock = -1, read_lock = -1;
    int ret = stat(from, &s) == 0 ? home_make_dir(h, err) : failed(err, "不能读取", from);

    if (ret == 0)
        ret = home_lock(h, &lock, err);
    if (ret == 0 && home_exists(h))
        ret = err_set(err, E_EXISTS, "%s 中已有市级数据，没有改动；请先把它移走", h->dir);
    if (ret == 0 && S_ISDIR(s.st_mode))
        ret = lock_copy(from, LOCK_SH, &read_lock, err);
    if (ret == 0)
        ret = restore_from(h, from, S_ISDIR(s.st_mode), now, err);
    unlock(read_lock);
    unlock(lock);
    return ret;
}

/* ---- the commands ---- */

/* Absolute: whoever reads the word on it may stand elsewhere. */
static int full_path(const char *dir, char ret[HOME_PATH_MAX], struct err *err)
{
    char *full;
    int status = make_dir(dir, err);

    if (status != 0)
        return status;
    full = realpath(dir, NULL);
    if (full == NULL || strlen(full) >= HOME_PATH_MAX)
        status = failed(err, "不能使用", dir);
    else
        memcpy(ret, full, strlen(full) + 1);
    free(full); /* of realpath */
    return status;
}

static msec_t tick(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail for this clock */
    return (msec_t)t.tv_sec * 1000 + (msec_t)t.tv_nsec / 1000000;
}

static void rest(msec_t ms)
{
    struct timespec t = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000L};

    (void)nanosleep(&t, NULL); /* woken early, it looks early */
}

static void tell_failure(const struct err *err)
{
    (void)fprintf(stderr, "备份没有做成（%s）：%s\n", err_code(err->ret), err->text);
}

struct follower {
    struct home *h;
    const char *dir;
    struct store_ship *ship;
    bool behind;    /* attachments may have come that are not copied */
    bool said;      /* a word was left */
    msec_t said_at; /* by tick() */
};

static int look(struct follower *f, struct err *err)
{
    msec_t at = daemon_clock();
    bool moved = false;
    int ret = copy_kept(f->h->dir, f->dir, err);

    if (ret == 0)
        ret = store_ship_step(f->ship, &moved, err);
    f->behind = f->behind || moved;
    if (ret == 0 && f->behind)
        ret = copy_files(f->h, f->dir, err);
    if (ret != 0)
        return ret;
    f->behind = false;
    if (f->said && !moved && tick() - f->said_at < WORD_MS)
        return 0;
    f->said = true;
    f->said_at = tick();
    return put_state(f->h, f->dir, at, err);
}

/* What is committed is carried over within a second or two; without a change only the word on it is renewed. Ends by
 * a signal, at any point: the copy is whole. */
static int follow(struct home *h, const char *dir, struct err *err)
{
    struct follower f = {.h = h, .dir = dir, .behind = true};
    struct home_path from;
    struct path to;
    int lock = -1, ret = lock_copy(dir, LOCK_EX, &lock, err);

    if (ret == 0)
        ret = store_ship_new(home_file(h, "city.db", &from), join(&to, dir, "city.db"), &f.ship, err);
    while (ret == 0) {
        msec_t began = tick(), pause;

        if (look(&f, err) != 0)
            tell_failure(err); /* the age in status says it too; it is tried again */
        pause = (tick() - began) * REST_TIMES;
        rest(pause > LOOK_MS ? pause : LOOK_MS);
    }
    unlock(lock);
    return ret;
}

int cmd_backup(const struct args *a, struct err *err)
{
    char dir[HOME_PATH_MAX];
    struct home h;
    int ret = home_init(&h, args_text(a, OPT_DIR), err);

    if (ret == 0)
        ret = home_load_reading(&h, err);
    if (ret == 0)
        ret = full_path(a->words[0], dir, err);
    if (ret == 0)
        ret = args_has(a, OPT_FOLLOW) ? follow(&h, dir, err) : backup_make(&h, dir, err);
    if (ret == 0)
        (void)fprintf(a->out, a->json ? "{\"ok\":true}\n" : "已备份\n");
    home_release(&h);
    return ret;
}

int cmd_restore(const struct args *a, struct err *err)
{
    struct home h;
    int ret = home_init(&h, args_text(a, OPT_DIR), err);

    if (ret == 0)
        ret = backup_restore(&h, a->words[0], daemon_clock(), err);
    if (ret == 0)
        (void)fprintf(a->out, a->json ? "{\"ok\":true}\n"
                                      : "已恢复，等待各县市区计算机交回较新的内容。请启动市级服务，用 "
                                        "ztcd recover 查看进展，齐全后用 ztcd recover --close 结束\n");
    home_release(&h);
    return ret;
}
