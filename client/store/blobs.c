#include "client/store/blobs.h"

#include "client/store/replica_internal.h"

#include <stdio.h>
#include <string.h>

#define LIFE_ARENA 4096u
#define META_LIFE  "blob_life" /* 16 bytes: the life of the city that knows what went up */

/* One statement from text to end: attachments are few, and what uses this is not asked in a loop. */
static int prepare(struct replica *r, const char *text, sqlite3_stmt **ret, struct err *err)
{
    return sql_prepare(store_db(r->store), text, ret, err);
}

static int run(sqlite3_stmt *st, struct err *err)
{
    int ret = sql_run(st, err);

    (void)sqlite3_finalize(st); /* repeats the result of the step */
    return ret;
}

int replica_blob_want(struct replica *r, const struct blob_row *row, msec_t now, struct err *err)
{
    static const char query[] =
        "INSERT INTO blob (attachment, way, hash, size, state, code, at)"
        " VALUES (?1, ?2, ?3, ?4, 0, '', ?5)"
        " ON CONFLICT (attachment, way) DO UPDATE SET state = 0, code = '', at = excluded.at";
    sqlite3_stmt *st;
    int ret = prepare(r, query, &st, err);

    if (ret != 0)
        return ret;
    sql_bind_id(st, 1, &row->attachment);
    sql_bind_int(st, 2, row->way);
    sql_bind_blob(st, 3, (struct slice){row->hash, HASH_SIZE});
    sql_bind_int(st, 4, (int64_t)row->size);
    sql_bind_int(st, 5, (int64_t)now);
    ret = run(st, err);
    if (ret == 0 && !r->open)
        store_touch(r->store); /* an agent looks at once */
    return ret;
}

static void read_row(sqlite3_stmt *st, struct blob_row *ret)
{
    struct slice hash = sql_blob(st, 2), code = sql_text(st, 5);

    memset(ret, 0, sizeof *ret);
    ret->attachment = sql_id(st, 0);
    ret->way = (enum blob_way)sqlite3_column_int(st, 1);
    if (hash.len == HASH_SIZE)
        memcpy(ret->hash, hash.p, HASH_SIZE);
    ret->size = (uint64_t)sqlite3_column_int64(st, 3);
    ret->state = (enum blob_state)sqlite3_column_int(st, 4);
    (void)snprintf(ret->code, sizeof ret->code, "%.*s", (int)code.len, (const char *)code.p);
}

int replica_blob_next(struct replica *r, enum blob_way way, struct blob_row *ret, struct err *err)
{
    sqlite3_stmt *st = r->st[RS_BLOB_NEXT];
    int found;

    sql_bind_int(st, 1, way);
    found = sql_step(st, err);
    if (found == 1)
        read_row(st, ret);
    sql_done(st);
    return found;
}

int replica_blob_each(struct replica *r, enum blob_way way, bool all,
                      int (*cb)(void *ctx, const struct blob_row *b), void *ctx, struct err *err)
{
    static const char query[] =
        "SELECT b.attachment, b.way, b.hash, b.size, b.state, b.code FROM blob b"
        " JOIN attachment a ON a.rid = b.attachment WHERE b.way = ?1 AND b.state = 0"
        " AND (?2 OR a.created_seq > 0) AND a.voided IS NOT 1 ORDER BY b.attachment";
    sqlite3_stmt *st;
    int ret = prepare(r, query, &st, err);

    if (ret != 0)
        return ret;
    sql_bind_int(st, 1, way);
    sql_bind_int(st, 2, all);
    while ((ret = sql_step(st, err)) == 1) {
        struct blob_row row;

        read_row(st, &row);
        ret = cb(ctx, &row);
        if (ret != 0)
            break;
    }
    (void)sqlite3_finalize(st); /* repeats the result of the step */
    return ret;
}

int replica_blob_settle(struct replica *r, const struct id *attachment, enum blob_way way,
                        enum blob_state state, const char *code, msec_t now, struct err *err)
{
    static const char query[] =
        "UPDATE blob SET state = ?3, code = ?4, at = ?5 WHERE attachment = ?1 AND way = ?2";
    sqlite3_stmt *st;
    int ret = prepare(r, query, &st, err);

    if (ret != 0)
        return ret;
    sql_bind_id(st, 1, attachment);
    sql_bind_int(st, 2, way);
    sql_bind_int(st, 3, state);
    sql_bind_text(st, 4, slice_str(code == NULL ? "" : code));
    sql_bind_int(st, 5, (int64_t)now);
    return run(st, err);
}

static int offer_again(struct replica *r, struct slice life, bool known, struct err *err)
{
    int ret = replica_begin(r, err);

    if (ret != 0)
        return ret;
    if (known)
        ret = sql_exec(store_db(r->store),
                       "UPDATE blob SET state = 0, code = '' WHERE way = 1 AND state IN (1, 3)", err);
    if (ret == 0)
        ret = store_meta_put(r->store, META_LIFE, life, err);
    if (ret == 0)
        return replica_commit(r, err);
    replica_rollback(r);
    return ret;
}

int replica_blob_life(struct replica *r, const struct id *incarnation, struct err *err)
{
    struct slice now = {incarnation->b, ID_SIZE}, known;
    bool same;
    struct arena a;
    int ret;

    arena_init(&a, LIFE_ARENA);
    ret = store_meta_get(r->store, META_LIFE, &a, &known, err);
    same = ret == 0 && slice_eq(known, now);
    arena_release(&a);
    if (ret != 0 && ret != E_NOTFOUND)
        return ret;
    return same ? 0 : offer_again(r, now, ret == 0, err);
}

int replica_blob_again(struct replica *r, struct err *err)
{
    static const char any[] = "SELECT 1 FROM blob WHERE way = 1 AND state = 2"
                              " AND code IN ('ZT-TOO-BIG', 'ZT-QUOTA') LIMIT 1";
    static const char again[] = "UPDATE blob SET state = 0, code = '' WHERE way = 1 AND state = 2"
                                " AND code IN ('ZT-TOO-BIG', 'ZT-QUOTA')";
    sqlite3_stmt *st;
    int found = prepare(r, any, &st, err);

    if (found != 0)
        return found;
    found = sql_step(st, err);
    (void)sqlite3_finalize(st); /* repeats the result of the step */
    return found == 1 ? sql_exec(store_db(r->store), again, err) : found;
}

int replica_blob_get(struct replica *r, const struct id *attachment, enum blob_way way,
                     struct blob_row *ret, struct err *err)
{
    static const char query[] = "SELECT attachment, way, hash, size, state, code FROM blob"
                                " WHERE attachment = ?1 AND way = ?2";
    sqlite3_stmt *st;
    int found = prepare(r, query, &st, err);

    if (found != 0)
        return found;
    sql_bind_id(st, 1, attachment);
    sql_bind_int(st, 2, way);
    found = sql_step(st, err);
    if (found == 1)
        read_row(st, ret);
    (void)sqlite3_finalize(st); /* repeats the result of the step */
    return found == 1 ? 0 : found == 0 ? E_NOTFOUND : found;
}

int replica_blob_used(struct replica *r, uint64_t *ret, struct err *err)
{
    static const char query[] =
        "SELECT coalesce(sum(size), 0) FROM (SELECT max(a.size) AS size FROM attachment a"
        " LEFT JOIN blob b ON b.attachment = a.rid AND b.way = 1"
        " JOIN user_account u ON u.rid = a.created_by AND u.stream = a.stream"
        " WHERE a.stream = ?1 AND (a.voided IS NOT 1 OR b.state IS NULL OR b.state = 1)"
        " GROUP BY lower(a.hash))";
    sqlite3_stmt *st;
    int status = prepare(r, query, &st, err);

    if (status != 0)
        return status;
    sql_bind_int(st, 1, r->own.site);
    status = sql_step(st, err);
    if (status == 1)
        *ret = (uint64_t)sqlite3_column_int64(st, 0);
    (void)sqlite3_finalize(st); /* repeats the result of the step */
    return status < 0 ? status : 0;
}

int replica_blob_counts(struct replica *r, struct blob_counts *ret, struct err *err)
{
    sqlite3_stmt *st = r->st[RS_BLOB_COUNT];
    int status = sql_step(st, err);

    if (status == 1) {
        ret->waiting = (uint64_t)sqlite3_column_int64(st, 0);
        ret->refused = (uint64_t)sqlite3_column_int64(st, 1);
        ret->lost = (uint64_t)sqlite3_column_int64(st, 2);
    }
    sql_done(st);
    return status < 0 ? status : 0;
}
