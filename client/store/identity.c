#include "client/store/identity.h"

#include "client/store/replica_internal.h"

#include <string.h>

#define META_NEXT "next_identity" /* 16 bytes; empty: none is asked for */

/* ---- the own chain ---- */

static int take_chain(sqlite3_stmt *st, int column, uint8_t ret[HASH_SIZE], struct err *err)
{
    struct slice chain = sql_blob(st, column);

    if (chain.len != HASH_SIZE)
        return err_set(err, E_CORRUPT, "本机更改的校验值不完整");
    memcpy(ret, chain.p, HASH_SIZE);
    return 0;
}

/* 1: QUERY has a row for N, a chain and perhaps the hash of the change that follows it there. */
static int find_chain(struct replica *r, const char *query, uint64_t n, uint8_t ret[HASH_SIZE],
                      struct err *err)
{
    sqlite3_stmt *st;
    int found, status = sql_prepare(r->db, query, &st, err);

    if (status != 0)
        return status;
    sql_bind_int(st, 1, (int64_t)n);
    found = sql_step(st, err);
    status = found == 1 ? take_chain(st, 0, ret, err) : 0;
    if (found == 1 && status == 0 && sql_blob(st, 1).len == HASH_SIZE)
        own_chain_next(r->hasher, ret, sql_blob(st, 1).p);
    (void)sqlite3_finalize(st); /* repeats the result of the step */
    return status != 0 ? status : found;
}

/* What follows N may have come back to a restored city without it: then N itself tells. */
int identity_chain(struct replica *r, uint64_t n, uint8_t ret[HASH_SIZE], struct err *err)
{
    static const char behind[] = "SELECT before, NULL FROM pending WHERE n = ?1 + 1"
                                 " UNION ALL SELECT before, NULL FROM refused_change WHERE n = ?1 + 1"
                                 " AND before IS NOT NULL UNION ALL SELECT chain, NULL FROM own WHERE n = ?1";
    static const char at[] = "SELECT before, hash FROM pending WHERE n = ?1 UNION ALL"
                             " SELECT before, hash FROM refused_change WHERE n = ?1 AND before IS NOT NULL";
    int found = find_chain(r, behind, n, ret, err);

    if (found == 0)
        found = find_chain(r, at, n, ret, err);
    return found == 1 ? 0 : found == 0 ? err_set(err, E_FORK, NULL) : found;
}

int identity_points(struct replica *r, uint64_t lo, uint64_t hi, struct client_point *points,
                    size_t max, size_t *ret_n, struct err *err)
{
    /* As many as there is room for, evenly, counted from the last. */
    static const char query[] =
        "WITH at (n, chain) AS (SELECT n - 1, before FROM pending WHERE n - 1 > ?1 AND n - 1 <= ?2"
        " UNION ALL SELECT n, chain FROM own WHERE n > ?1 AND n <= ?2),"
        " step (size) AS (SELECT (count(*) + ?3 - 1) / ?3 FROM at),"
        " ranked (n, chain, rank) AS (SELECT n, chain, row_number() OVER (ORDER BY n DESC) - 1 FROM at)"
        " SELECT n, chain FROM ranked, step WHERE rank % size = 0 ORDER BY n";
    sqlite3_stmt *st;
    size_t n = 0;
    int ret = sql_prepare(r->db, query, &st, err);

    if (ret != 0)
        return ret;
    sql_bind_int(st, 1, (int64_t)lo);
    sql_bind_int(st, 2, (int64_t)hi);
    sql_bind_int(st, 3, (int64_t)max);
    while (n < max && (ret = sql_step(st, err)) == 1) {
        points[n].n = (uint64_t)sqlite3_column_int64(st, 0);
        ret = take_chain(st, 1, points[n].chain, err);
        if (ret != 0)
            break;
        n++;
    }
    (void)sqlite3_finalize(st); /* as above */
    if (ret >= 0)
        *ret_n = n;
    return ret < 0 ? ret : 0;
}

/* ---- the id that is asked for ---- */

int identity_next_get(struct replica *r, struct id *ret, struct err *err)
{
    struct slice v;
    struct arena a;
    int status;

    arena_init(&a, 4096);
    status = store_meta_get(r->store, META_NEXT, &a, &v, err);
    if (status == 0 && v.len == ID_SIZE)
        memcpy(ret->b, v.p, ID_SIZE);
    else if (status == 0)
        status = E_NOTFOUND;
    arena_release(&a);
    return status;
}

int identity_next_put(struct replica *r, const struct id *id, struct err *err)
{
    return store_meta_put(r->store, META_NEXT, (struct slice){id->b, ID_SIZE}, err);
}

/* ---- the change ---- */

/* Its number, act, serials, salts and sidecar stay: only byte 1 to 16 of the bytes is another replica. */
static int remake(struct replica *r, struct arena *a, uint64_t n, const struct id *id,
                  struct err *err)
{
    static const char query[] = "UPDATE pending SET bytes = ?2, hash = ?3, before = ?4 WHERE n = ?1";
    uint8_t hash[HASH_SIZE], *bytes;
    struct own_change own;
    sqlite3_stmt *st;
    int ret = own_change_get(r, a, n, &own, err);

    if (ret == E_NOTFOUND || (ret == 0 && own.refused))
        return err_set(err, E_FORK, NULL); /* the city has answered what it says it never had */
    if (ret == 0 && own.bytes.len <= 1 + ID_SIZE)
        ret = err_set(err, E_CORRUPT, "本机第 %llu 项更改已损坏", (unsigned long long)n);
    bytes = ret == 0 ? arena_dup(a, own.bytes.p, own.bytes.len) : NULL;
    if (bytes == NULL)
        return ret != 0 ? ret : err_set(err, E_NOMEM, NULL);
    memcpy(bytes + 1, id->b, ID_SIZE);
    change_hash(r->hasher, (struct slice){bytes, own.bytes.len}, hash);
    ret = sql_prepare(r->db, query, &st, err);
    if (ret != 0)
        return ret;
    sql_bind_int(st, 1, (int64_t)n);
    sql_bind_blob(st, 2, (struct slice){bytes, own.bytes.len});
    sql_bind_blob(st, 3, (struct slice){hash, HASH_SIZE});
    sql_bind_blob(st, 4, (struct slice){r->own.chain, HASH_SIZE});
    ret = sql_run(st, err);
    (void)sqlite3_finalize(st); /* as above */
    own_chain_next(r->hasher, r->own.chain, hash);
    return ret;
}

static int remake_all(struct replica *r, const struct id *id, uint64_t agreed_n, struct err *err)
{
    struct arena a;
    int ret = identity_chain(r, agreed_n, r->own.chain, err);

    arena_init(&a, WORK_MAX);
    for (uint64_t n = agreed_n + 1; ret == 0 && n <= r->own.n; n++) {
        arena_clear(&a);
        ret = remake(r, &a, n, id, err);
    }
    arena_release(&a);
    r->own_moved = true;
    return ret;
}

static int note_former(struct replica *r, uint64_t agreed_n, msec_t now, struct err *err)
{
    static const char query[] =
        "INSERT INTO predecessor (replica, until_n, remade, at) VALUES (?1, ?2, ?3, ?4)";
    sqlite3_stmt *st;
    int ret = sql_prepare(r->db, query, &st, err);

    if (ret != 0)
        return ret;
    sql_bind_id(st, 1, &r->own.replica);
    sql_bind_int(st, 2, (int64_t)agreed_n);
    sql_bind_int(st, 3, (int64_t)(r->own.n - agreed_n));
    sql_bind_int(st, 4, (int64_t)now);
    ret = sql_run(st, err);
    (void)sqlite3_finalize(st); /* as above */
    return ret;
}

static int put_own(struct replica *r, const struct id *id, uint32_t k, uint64_t agreed_n,
                   struct err *err)
{
    static const char query[] = "UPDATE own SET replica = ?1, k = ?2, base = ?3";
    sqlite3_stmt *st;
    int ret = sql_prepare(r->db, query, &st, err);

    if (ret != 0)
        return ret;
    sql_bind_id(st, 1, id);
    sql_bind_int(st, 2, k);
    sql_bind_int(st, 3, (int64_t)agreed_n);
    ret = sql_run(st, err);
    (void)sqlite3_finalize(st); /* as above */
    return ret;
}

static int change(struct replica *r, const struct id *id, uint32_t k, uint64_t agreed_n, msec_t now,
                  struct err *err)
{
    int ret = agreed_n > r->own.n || agreed_n < r->own.base ? err_set(err, E_FORK, NULL) : 0;

    if (ret == 0)
        ret = note_former(r, agreed_n, now, err);
    if (ret == 0)
        ret = remake_all(r, id, agreed_n, err);
    if (ret == 0)
        ret = put_own(r, id, k, agreed_n, err);
    return ret == 0 ? store_meta_put(r->store, META_NEXT, slice_str(""), err) : ret;
}

int identity_change(struct replica *r, const struct id *id, uint32_t k, uint64_t agreed_n,
                    msec_t now, uint64_t *ret_remade, struct err *err)
{
    uint64_t remade;
    int ret = replica_begin(r, err);

    if (ret != 0)
        return ret;
    remade = r->own.n - agreed_n;
    ret = change(r, id, k, agreed_n, now, err);
    if (ret != 0) {
        replica_rollback(r);
        return ret;
    }
    ret = replica_commit(r, err);
    if (ret == 0)
        *ret_remade = remade;
    return ret;
}

/* ---- what became of it ---- */

int identity_former(struct replica *r, struct identity_former *ret, struct err *err)
{
    static const char query[] =
        "SELECT replica, until_n, remade, at FROM predecessor ORDER BY step DESC LIMIT 1";
    sqlite3_stmt *st;
    int status = sql_prepare(r->db, query, &st, err);

    if (status != 0)
        return status;
    status = sql_step(st, err);
    if (status == 1)
        *ret = (struct identity_former){.replica = sql_id(st, 0),
                                        .until_n = (uint64_t)sqlite3_column_int64(st, 1),
                                        .remade = (uint64_t)sqlite3_column_int64(st, 2),
                                        .at = (msec_t)sqlite3_column_int64(st, 3)};
    (void)sqlite3_finalize(st); /* as above */
    return status < 0 ? status : status == 1 ? 0 : E_NOTFOUND;
}
