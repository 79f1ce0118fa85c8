#include "server/store/city_bundle.h"

#include "server/store/city_internal.h"

#include <string.h>

static int copy(sqlite3_stmt *st, int column, struct arena *a, struct slice *ret)
{
    struct slice s = sql_blob(st, column);

    *ret = (struct slice){NULL, 0};
    if (s.len == 0)
        return 0;
    *ret = (struct slice){arena_dup(a, s.p, s.len), s.len};
    return ret->p == NULL ? E_NOMEM : 0;
}

static int read_bundle(sqlite3_stmt *st, struct arena *a, struct city_bundle *ret)
{
    struct slice print = sql_blob(st, 5);
    int status;

    ret->at = (msec_t)sqlite3_column_int64(st, 2);
    ret->given_at = (msec_t)sqlite3_column_int64(st, 6);
    if (a == NULL)
        return 0;
    status = copy(st, 0, a, &ret->hello);

    if (status == 0)
        status = copy(st, 1, a, &ret->certificate);
    if (status == 0)
        status = copy(st, 3, a, &ret->renewed);
    ret->renewed_until = (msec_t)sqlite3_column_int64(st, 4);
    if (print.len == HASH_SIZE)
        memcpy(ret->renewed_print, print.p, HASH_SIZE);
    if (status == 0)
        status = copy(st, 7, a, &ret->blobs);
    return status;
}

int city_bundle_get(struct city *c, const struct replica_row *r, struct arena *a,
                    struct city_bundle *ret, struct err *err)
{
    sqlite3_stmt *st = c->st[CS_BUNDLE_GET];
    struct city_bundle b = {.at = 0};
    int status;

    sql_bind_int(st, 1, r->no);
    status = sql_step(st, err);
    if (status == 1)
        status = read_bundle(st, a, &b) == 0 ? 0 : err_set(err, E_NOMEM, NULL);
    else if (status == 0)
        status = E_NOTFOUND;
    sql_done(st);
    if (status == 0)
        *ret = b;
    return status;
}

int city_bundle_put(struct city *c, const struct replica_row *r, const struct city_bundle *b,
                    struct err *err)
{
    sqlite3_stmt *st = c->st[CS_BUNDLE_PUT];

    sql_bind_int(st, 1, r->no);
    sql_bind_blob(st, 2, b->hello);
    sql_bind_blob(st, 3, b->certificate);
    sql_bind_int(st, 4, (int64_t)b->at);
    if (b->renewed.len > 0) { /* else they stay NULL, as every binding does that was not made */
        sql_bind_blob(st, 5, b->renewed);
        sql_bind_blob(st, 7, (struct slice){b->renewed_print, HASH_SIZE});
    }
    sql_bind_int(st, 6, (int64_t)b->renewed_until);
    sql_bind_int(st, 8, (int64_t)b->given_at);
    if (b->blobs.len > 0)
        sql_bind_blob(st, 9, b->blobs);
    return sql_run(st, err);
}
