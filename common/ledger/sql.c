#include "common/ledger/sql.h"

#include <string.h>

static int translate(int rc)
{
    if (rc == SQLITE_CONSTRAINT_COMMITHOOK) /* the store's own: its transaction is over already */
        return E_IO;
    switch (rc & 0xff) {
    case SQLITE_NOMEM:
        return E_NOMEM;
    case SQLITE_FULL:
        return E_FULL;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return E_BUSY;
    case SQLITE_READONLY:
    case SQLITE_PERM:
        return E_READONLY;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return E_CORRUPT;
    case SQLITE_CANTOPEN:
        return E_NOTFOUND;
    case SQLITE_CONSTRAINT:
        return E_EXISTS;
    case SQLITE_IOERR:
        return E_IO;
    default:
        return E_INTERNAL;
    }
}

int sql_error(sqlite3 *db, int rc, const char *what, struct err *err)
{
    int ret = translate(rc);

    if (ret == E_INTERNAL || ret == E_EXISTS)
        return err_set(err, ret, "%s：%s", what, db != NULL ? sqlite3_errmsg(db) : "");
    return err_set(err, ret, "%s：%s", what, err_text(ret));
}

int sql_exec(sqlite3 *db, const char *text, struct err *err)
{
    int rc = sqlite3_exec(db, text, NULL, NULL, NULL);

    return rc == SQLITE_OK ? 0 : sql_error(db, rc, "执行数据库语句", err);
}

int sql_prepare(sqlite3 *db, const char *text, sqlite3_stmt **ret, struct err *err)
{
    int rc = sqlite3_prepare_v3(db, text, -1, SQLITE_PREPARE_PERSISTENT, ret, NULL);

    return rc == SQLITE_OK ? 0 : sql_error(db, rc, "准备数据库语句", err);
}

int sql_step(sqlite3_stmt *st, struct err *err)
{
    int rc = sqlite3_step(st);
    int ret;

    if (rc == SQLITE_ROW)
        return 1;
    ret = rc == SQLITE_DONE ? 0 : sql_error(sqlite3_db_handle(st), rc, "读写数据库", err);
    (void)sqlite3_reset(st); /* repeats the result of the step */
    return ret;
}

int sql_run(sqlite3_stmt *st, struct err *err)
{
    int ret = sql_step(st, err);

    sql_done(st);
    return ret > 0 ? 0 : ret;
}

void sql_done(sqlite3_stmt *st)
{
    (void)sqlite3_reset(st); /* repeats the result of the step */
    (void)sqlite3_clear_bindings(st);
}

int sql_cache_take(struct sql_cache *c, sqlite3 *db, const char *text, sqlite3_stmt **ret, struct err *err)
{
    for (unsigned i = 0; i < c->n; i++) {
        if (strcmp(sqlite3_sql(c->kept[i]), text) != 0)
            continue;
        *ret = c->kept[i];
        c->n--;
        memmove(&c->kept[i], &c->kept[i + 1], (c->n - i) * sizeof c->kept[0]);
        return 0;
    }
    return sql_prepare(db, text, ret, err);
}

void sql_cache_give(struct sql_cache *c, sqlite3_stmt *st)
{
    if (st == NULL)
        return;
    sql_done(st);
    if (c->n == SQL_KEPT)
        (void)sqlite3_finalize(c->kept[--c->n]); /* repeats an old result, as below */
    memmove(&c->kept[1], &c->kept[0], c->n * sizeof c->kept[0]);
    c->kept[0] = st;
    c->n++;
}

void sql_cache_release(struct sql_cache *c)
{
    while (c->n > 0)
        (void)sqlite3_finalize(c->kept[--c->n]);
}

void sql_bind_int(sqlite3_stmt *st, int i, int64_t v)
{
    (void)sqlite3_bind_int64(st, i, v); /* fails only for an index out of range: a bug, seen at step */
}

void sql_bind_text(sqlite3_stmt *st, int i, struct slice s)
{
    (void)sqlite3_bind_text64(st, i, s.len == 0 ? "" : (const char *)s.p, s.len, SQLITE_STATIC,
                              SQLITE_UTF8);
}

void sql_bind_blob(sqlite3_stmt *st, int i, struct slice s)
{
    if (s.p == NULL)
        (void)sqlite3_bind_null(st, i);
    else
        (void)sqlite3_bind_blob64(st, i, s.p, s.len, SQLITE_STATIC);
}

void sql_bind_id(sqlite3_stmt *st, int i, const struct id *id)
{
    sql_bind_blob(st, i, (struct slice){id->b, ID_SIZE});
}

struct slice sql_blob(sqlite3_stmt *st, int i)
{
    const void *p = sqlite3_column_blob(st, i);

    return (struct slice){p, (size_t)sqlite3_column_bytes(st, i)};
}

struct slice sql_text(sqlite3_stmt *st, int i)
{
    const void *p = sqlite3_column_text(st, i);

    return (struct slice){p, (size_t)sqlite3_column_bytes(st, i)};
}

struct id sql_id(sqlite3_stmt *st, int i)
{
    struct slice s = sql_blob(st, i);
    struct id id = {{0}};

    if (s.len == ID_SIZE)
        memcpy(id.b, s.p, ID_SIZE);
    return id;
}

struct slice sql_blob_dup(sqlite3_stmt *st, int i, struct arena *a)
{
    struct slice s = sql_blob(st, i);

    return (struct slice){arena_dup(a, s.p, s.len), s.len};
}
