/* A copy of a store as of one moment, while others write it. */
#include "common/ledger/sql.h"
#include "common/ledger/store.h"

#include <fcntl.h>
#include <unistd.h>

#define BUSY_MS 10000

/* SQLite makes files that everybody may read. */
static int make_file(const char *path, struct err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd < 0)
        return err_set(err, E_IO, "不能建立文件 %s", path);
    (void)close(fd);
    return 0;
}

static int open_db(const char *path, int flags, sqlite3 **ret, struct err *err)
{
    int rc = sqlite3_open_v2(path, ret, flags | SQLITE_OPEN_NOMUTEX, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_busy_timeout(*ret, BUSY_MS);
    return rc == SQLITE_OK ? 0 : err_wrap(err, sql_error(*ret, rc, "打开数据库", err), "%s", path);
}

static int copy(sqlite3 *from, sqlite3 *to, struct err *err)
{
    sqlite3_backup *b = sqlite3_backup_init(to, "main", from, "main");
    int rc;

    if (b == NULL)
        return sql_error(to, sqlite3_errcode(to), "复制数据库", err);
    rc = sqlite3_backup_step(b, -1); /* one read transaction: the copy is of one moment */
    if (rc == SQLITE_DONE)
        rc = sqlite3_backup_finish(b);
    else
        (void)sqlite3_backup_finish(b); /* repeats the result of the step */
    return rc == SQLITE_OK ? 0 : sql_error(to, rc, "复制数据库", err);
}

int store_copy(const char *from, const char *to, struct err *err)
{
    sqlite3 *a = NULL, *b = NULL;
    int ret = make_file(to, err);

    if (ret == 0)
        ret = open_db(from, SQLITE_OPEN_READONLY, &a, err);
    if (ret == 0)
        ret = open_db(to, SQLITE_OPEN_READWRITE, &b, err);
    if (ret == 0)
        ret = copy(a, b, err);
    if (ret == 0) /* one file by itself, which can be read where nothing can be written */
        ret = sql_exec(b, "PRAGMA journal_mode = DELETE", err);
    (void)sqlite3_close(a); /* nothing is open on either */
    (void)sqlite3_close(b);
    return ret;
}
