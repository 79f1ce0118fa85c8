/* The followed store's connection is held open, so that its log is never removed, and reads only to hold a moment
 * still while all of it is copied.
 *
 * A frame of the log counts from its commit on, and what was carried behind the last commit is written over. Frames of
 * a transaction that failed at the followed store may have been carried; then another frame stands in their place
 * (wal_stands) and all is copied again. */
#include "common/ledger/ship.h"

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/ledger/sql.h"
#include "common/ledger/store.h"
#include "common/ledger/wal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SHIP_PATH_MAX 4096

enum { FROM, FROM_LOG, TO, TO_LOG, NEW, NEW_LOG, PATHS };

static const char *const suffixes[PATHS] = {
    [FROM] = "", [FROM_LOG] = "-wal", [TO] = "", [TO_LOG] = "-wal", [NEW] = ".new", [NEW_LOG] = ".new-wal",
};

struct store_ship {
    char paths[PATHS][SHIP_PATH_MAX];
    int (*may_replace)(void *ctx, struct err *err);
    void *ctx;
    sqlite3 *db;        /* of FROM */
    struct stat opened; /* which file that was */
    int in, out;        /* the logs; -1: not open */
    bool whole;         /* TO and its log say what FROM said at PLACE */
    struct wal wal;
    struct wal_place place; /* at 0: FROM had no log */
    uint8_t frame[WAL_FRAME_BYTES + WAL_PAGE_MAX];
    unsigned copies;
};

/* ---- files ---- */

static void close_fd(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd); /* what was written is synced already */
    *fd = -1;
}

static int write_at(struct store_ship *x, const void *p, size_t len, uint64_t at, struct err *err)
{
    for (size_t n = 0; n < len;) {
        ssize_t put = pwrite(x->out, (const uint8_t *)p + n, len - n, (off_t)(at + n));

        if (put <= 0)
            return file_failed(err, "不能写入", x->paths[TO_LOG], errno);
        n += (size_t)put;
    }
    return 0;
}

static int sync_path(const char *path, int how, struct err *err)
{
    int fd = open(path, how | O_CLOEXEC);
    int ret = fd < 0 || fsync(fd) != 0 ? file_failed(err, "不能写入", path, errno) : 0;

    close_fd(&fd);
    return ret;
}

/* The folder of PATH. */
static int sync_dir(const char *path, struct err *err)
{
    char dir[SHIP_PATH_MAX];
    char *slash;

    (void)snprintf(dir, sizeof dir, "%s", path);
    slash = strrchr(dir, '/');
    if (slash == NULL)
        return sync_path(".", O_RDONLY, err);
    slash[slash == dir ? 1 : 0] = '\0';
    return sync_path(dir, O_RDONLY, err);
}

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* ---- FROM ---- */

static void let_go(struct store_ship *x)
{
    (void)sqlite3_close(x->db); /* nothing is left that could keep it busy */
    x->db = NULL;
    close_fd(&x->in);
    close_fd(&x->out);
    x->whole = false;
}

/* The first read locks the file: from there on nobody removes its log. */
static int take_hold(struct store_ship *x, struct err *err)
{
    int ret = stat(x->paths[FROM], &x->opened) == 0 ? 0 : file_failed(err, "不能读取", x->paths[FROM], errno);
    int rc;

    if (ret != 0)
        return ret;
    rc = sqlite3_open_v2(x->paths[FROM], &x->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc != SQLITE_OK)
        ret = sql_error(x->db, rc, "打开数据库", err);
    else
        ret = sql_exec(x->db, "PRAGMA busy_timeout = 10000; SELECT count(*) FROM sqlite_master", err);
    if (ret == 0 && (x->in = open(x->paths[FROM_LOG], O_RDONLY | O_CLOEXEC)) < 0)
        ret = file_failed(err, "不能读取", x->paths[FROM_LOG], errno);
    if (ret != 0)
        let_go(x);
    return ret;
}

/* Another file may have come into its place: a city that was put back. */
static int hold(struct store_ship *x, struct err *err)
{
    struct stat now;

    if (x->db != NULL && (stat(x->paths[FROM], &now) != 0 || !same_file(&now, &x->opened)))
        let_go(x);
    return x->db != NULL ? 0 : take_hold(x, err);
}

/* ---- the log ---- */

/* Append what the log of x->wal has behind x->place, up to a commit. */
static int append(struct store_ship *x, bool *ret_moved, struct err *err)
{
    struct wal_place p = x->place, committed = p;
    bool commit;
    int ret;

    for (;;) {
        uint64_t at = p.at;

        ret = wal_next(&x->wal, x->in, &p, x->frame, &commit);
        if (ret != 1)
            break;
        ret = write_at(x, x->frame, WAL_FRAME_BYTES + x->wal.page_bytes, at, err);
        if (ret != 0)
            return ret;
        if (commit)
            committed = p;
    }
    if (ret != 0)
        return file_failed(err, "不能读取", x->paths[FROM_LOG], errno);
    *ret_moved = committed.at > x->place.at;
    if (*ret_moved && fdatasync(x->out) != 0)
        return file_failed(err, "不能写入", x->paths[TO_LOG], errno);
    x->place = committed;
    return 0;
}

/* Begin the log AS (TO_LOG or NEW_LOG) like FROM's. */
static int begin_log(struct store_ship *x, int as, const struct wal *wal, struct err *err)
{
    close_fd(&x->out);
    x->out = open(x->paths[as], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (x->out < 0)
        return file_failed(err, "不能写入", x->paths[as], errno);
    x->wal = *wal;
    x->place = wal_start(wal);
    return write_at(x, wal->header, sizeof wal->header, 0, err);
}

/* Take the log of the store PATH into it. */
static int fold(const char *path, struct err *err)
{
    sqlite3 *db = NULL;
    int rc = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    int ret = rc != SQLITE_OK ? sql_error(db, rc, "打开数据库", err)
                              : sql_exec(db, "PRAGMA synchronous = FULL; PRAGMA wal_checkpoint(TRUNCATE)", err);

    (void)sqlite3_close(db); /* the last to close it: its log is removed */
    return ret;
}

/* ---- all of it ---- */

static int copy_pages(struct store_ship *x, struct err *err)
{
    sqlite3 *to = NULL;
    sqlite3_backup *b = NULL;
    int rc = sqlite3_open_v2(x->paths[NEW], &to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    int ret;

    if (rc == SQLITE_OK && (b = sqlite3_backup_init(to, "main", x->db, "main")) == NULL)
        rc = sqlite3_errcode(to);
    if (b != NULL) {
        rc = sqlite3_backup_step(b, -1);
        rc = sqlite3_backup_finish(b) == SQLITE_OK && rc == SQLITE_DONE ? SQLITE_OK : rc;
    }
    ret = rc == SQLITE_OK ? 0 : sql_error(to, rc, "复制数据库", err);
    (void)sqlite3_close(to); /* nothing is open on it */
    return ret;
}

/* While a read holds the moment: its pages, and the log as far as that moment at least. */
static int copy_moment(struct store_ship *x, struct err *err)
{
    struct wal wal;
    bool moved;
    int ret = copy_pages(x, err);

    if (ret == 0)
        ret = sync_path(x->paths[NEW], O_RDWR, err);
    if (ret != 0)
        return ret;
    ret = wal_read(x->in, &wal);
    if (ret < 0)
        return file_failed(err, "不能读取", x->paths[FROM_LOG], errno);
    if (ret == 1) {
        ret = begin_log(x, NEW_LOG, &wal, err);
        return ret == 0 ? append(x, &moved, err) : ret;
    }
    close_fd(&x->out);
    x->place = (struct wal_place){.at = 0};
    return 0;
}

static int rename_synced(const char *from, const char *to, struct err *err)
{
    return rename(from, to) == 0 ? sync_dir(to, err) : file_failed(err, "不能改名", from, errno);
}

/* Put the store MADE, one file and synced, in the place of the store PATH and its log, which need not be there. At every
 * moment one or the other is there whole. */
static int replace(const char *made, const char *path, struct err *err)
{
    char log[SHIP_PATH_MAX];
    int ret = access(path, F_OK) == 0 ? fold(path, err) : 0;

    (void)snprintf(log, sizeof log, "%s-wal", path);
    if (ret == E_CORRUPT) /* what is replaced need not be whole */
        ret = 0;
    if (ret == 0 && unlink(log) != 0 && errno != ENOENT)
        ret = file_failed(err, "不能删除", log, errno);
    return ret == 0 ? rename_synced(made, path, err) : ret;
}

/* The pages stand for themselves, the log only behind its own pages: it comes last. */
static int put_in_place(struct store_ship *x, struct err *err)
{
    int ret = replace(x->paths[NEW], x->paths[TO], err);

    return ret == 0 && x->out >= 0 ? rename_synced(x->paths[NEW_LOG], x->paths[TO_LOG], err) : ret;
}

static int make_new(struct store_ship *x, struct err *err)
{
    int fd;

    (void)unlink(x->paths[NEW]); /* of a copy that was interrupted, as below */
    (void)unlink(x->paths[NEW_LOG]);
    fd = open(x->paths[NEW], O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600); /* SQLite's own may be read by all */
    if (fd < 0)
        return file_failed(err, "不能写入", x->paths[NEW], errno);
    (void)close(fd); /* empty */
    return 0;
}

static int copy_all(struct store_ship *x, struct err *err)
{
    int ret = make_new(x, err);

    if (ret == 0)
        ret = sql_exec(x->db, "BEGIN; SELECT count(*) FROM sqlite_master", err);
    if (ret == 0)
        ret = copy_moment(x, err);
    (void)sqlite3_exec(x->db, "ROLLBACK", NULL, NULL, NULL); /* it only read; fails where none was begun */
    if (ret == 0 && x->may_replace != NULL)
        ret = x->may_replace(x->ctx, err);
    if (ret == 0)
        ret = put_in_place(x, err);
    x->whole = ret == 0;
    x->copies += ret == 0;
    return ret;
}

/* ---- steps ---- */

/* TO's log is the file that is being written, and nobody took from it. */
static bool untouched(const struct store_ship *x)
{
    struct stat path, own;

    if (stat(x->paths[TO_LOG], &path) != 0)
        return x->out < 0 && access(x->paths[TO], F_OK) == 0;
    return x->out >= 0 && fstat(x->out, &own) == 0 && same_file(&path, &own) && (uint64_t)own.st_size >= x->place.at;
}

/* Something of the log before NEXT may be gone: NEXT has written where it lay (whole transactions or not), or the file
 * was cut. */
static int overwritten(struct store_ship *x, const struct wal *next, bool *ret)
{
    struct wal_place p = wal_start(next);
    struct stat s;
    bool commit;
    int status;

    do
        status = wal_next(next, x->in, &p, x->frame, &commit);
    while (status == 1 && p.at <= x->place.at);
    if (status < 0 || fstat(x->in, &s) != 0)
        return E_IO;
    *ret = p.at > x->place.at || (uint64_t)s.st_size < x->place.at;
    return 0;
}

/* The log began anew. What is left of the old one is read before it is asked whether something of it is gone. */
static int turn(struct store_ship *x, const struct wal *next, struct err *err)
{
    bool moved, gone = x->place.at == 0 ? !next->first : next->salt != x->wal.salt + 1;
    int ret = 0;

    if (!gone && x->place.at > 0) {
        ret = append(x, &moved, err);
        if (ret == 0 && overwritten(x, next, &gone) != 0)
            ret = file_failed(err, "不能读取", x->paths[FROM_LOG], errno);
    }
    if (ret != 0)
        return ret;
    x->whole = false; /* until both have turned */
    if (gone)
        return copy_all(x, err);
    close_fd(&x->out);
    ret = fold(x->paths[TO], err);
    if (ret == 0)
        ret = begin_log(x, TO_LOG, next, err);
    if (ret == 0)
        ret = append(x, &moved, err);
    x->whole = ret == 0;
    return ret;
}

static int follow(struct store_ship *x, bool *ret_moved, struct err *err)
{
    struct wal now;
    int stands, ret = wal_read(x->in, &now);

    if (ret < 0)
        return file_failed(err, "不能读取", x->paths[FROM_LOG], errno);
    if (ret == 0 && x->place.at == 0)
        return 0;
    if (ret == 1 && memcmp(now.header, x->wal.header, sizeof now.header) == 0) {
        stands = wal_stands(&x->wal, x->in, &x->place);
        if (stands < 0)
            return file_failed(err, "不能读取", x->paths[FROM_LOG], errno);
        if (stands == 1)
            return append(x, ret_moved, err);
        ret = 0; /* what was carried last was taken back */
    }
    *ret_moved = true;
    return ret == 1 ? turn(x, &now, err) : copy_all(x, err);
}

int store_ship_step(struct store_ship *x, bool *ret_moved, struct err *err)
{
    bool moved = false;
    int ret = hold(x, err);

    if (ret != 0)
        return ret;
    if (x->whole && untouched(x)) {
        ret = follow(x, &moved, err);
    } else {
        moved = true;
        x->whole = false;
        ret = copy_all(x, err);
    }
    if (ret == 0)
        *ret_moved = moved;
    return ret;
}

int store_ship_new(const char *from, const char *to, int (*may_replace)(void *ctx, struct err *err), void *ctx,
                   struct store_ship **ret, struct err *err)
{
    struct store_ship *x;

    *ret = NULL;
    if (strlen(from) + 16 > SHIP_PATH_MAX || strlen(to) + 16 > SHIP_PATH_MAX)
        return err_set(err, E_TOOBIG, "路径太长");
    x = mem_calloc(1, sizeof *x);
    if (x == NULL)
        return err_set(err, E_NOMEM, NULL);
    for (int i = 0; i < PATHS; i++)
        (void)snprintf(x->paths[i], SHIP_PATH_MAX, "%s%s", i <= FROM_LOG ? from : to, suffixes[i]);
    x->in = x->out = -1;
    x->may_replace = may_replace;
    x->ctx = ctx;
    *ret = x;
    return 0;
}

void store_ship_free(struct store_ship *x)
{
    if (x == NULL)
        return;
    let_go(x);
    mem_free(x);
}

unsigned store_ship_copies(const struct store_ship *x)
{
    return x->copies;
}
