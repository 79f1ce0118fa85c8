/* A city that was restored: handing back what this computer's log has of it, and cutting the log where the
 * life of the city that it came from ended.
 *
 *   own changes above ──> pending again ── log and heads cut ── own chain told anew ── tables from the log
 *
 * One transaction. What others had made above is no longer shown here until the city sends it again. A stream
 * whose older history is still to come is begun again: its tables cannot be told from the log. */
#include "client/store/replica_internal.h"

#include "common/base/mem.h"

#include <string.h>

/* ---- handing back ---- */

struct reading {
    uint64_t upto;
    uint32_t max_count;
    size_t bytes, max_bytes;
    uint32_t n;
    int (*cb)(void *ctx, const struct entry *e);
    void *ctx;
};

static int read_one(void *ctx, const struct entry *e)
{
    struct reading *r = ctx;
    size_t size = e->bytes.len + e->side.len + e->verdict.len;
    int ret;

    if (e->seq > r->upto || r->n == r->max_count || (r->n > 0 && r->bytes + size > r->max_bytes))
        return 1;
    ret = r->cb(r->ctx, e);
    r->n++;
    r->bytes += size;
    return ret;
}

int replica_log(struct replica *r, uint32_t stream, uint64_t from_seq, uint64_t upto_seq,
                uint32_t max_count, size_t max_bytes,
                int (*cb)(void *ctx, const struct entry *e), void *ctx, struct err *err)
{
    struct reading read = {.upto = upto_seq, .max_count = max_count, .max_bytes = max_bytes,
                           .cb = cb, .ctx = ctx};
    int ret = store_entry_each(r->store, stream, from_seq, read_one, &read, err);

    if (ret >= 0 && read.n == 0)
        return err_set(err, E_NOTFOUND, "本机没有数据流 %u 的第 %llu 条", stream,
                       (unsigned long long)from_seq);
    return ret < 0 ? ret : 0;
}

int replica_shown_head(struct replica *r, uint32_t stream, struct buf *ret_head,
                       struct buf *ret_signature, struct err *err)
{
    sqlite3_stmt *st = r->st[RS_HEAD_NEWEST];
    struct slice head, signature;
    int status;

    sql_bind_int(st, 1, stream);
    status = sql_step(st, err);
    if (status == 1) {
        head = sql_blob(st, 1);
        signature = sql_blob(st, 2);
        buf_put(ret_head, head.p, head.len);
        buf_put(ret_signature, signature.p, signature.len);
    }
    sql_done(st);
    if (status < 0)
        return status;
    if (status == 0)
        return E_NOTFOUND;
    status = ret_head->ret != 0 ? ret_head->ret : ret_signature->ret;
    return status != 0 ? err_set(err, status, NULL) : 0;
}

/* ---- going back ---- */

struct cut {
    struct replica *r;
    struct arena a;
    uint8_t (*own)[HASH_SIZE]; /* H(bytes) by n - 1 */
    struct err *err;
};

/* 1: the entry is an own change, decoded into k->a. */
static int read_own(struct cut *k, const struct entry *e, struct change *ret)
{
    int status;

    arena_clear(&k->a);
    status = own_change_read(&k->a, e->seq, e->bytes, e->side, ret, k->err);
    if (status != 0)
        return status;
    return own_is(k->r, &ret->replica, ret->n, &status, k->err) ? 1 : status;
}

/* The life of the city that the present witness speaks of must be another than the one that is cut. */
static int check_life(struct replica *r, const struct stream_head *at, struct err *err)
{
    sqlite3_stmt *st = r->st[RS_HEAD_NEWEST];
    struct head h;
    bool other;
    int ret;

    sql_bind_int(st, 1, STREAM_CITY);
    ret = sql_step(st, err);
    other = ret == 1 && head_decode(sql_blob(st, 1), &h) == 0 &&
            !id_eq(&h.incarnation, &at->incarnation);
    sql_done(st);
    if (ret < 0)
        return ret;
    return other ? 0 : err_set(err, E_FORK, "市级要求退回的内容属于它现在的记录，没有照办");
}

/* An own change whose place is gone. `before` and the act's size are told when all of them are here. */
static int reopen(void *ctx, const struct entry *e)
{
    struct cut *k = ctx;
    struct replica *r = k->r;
    sqlite3_stmt *st = r->st[RS_PENDING_PUT];
    uint8_t hash[HASH_SIZE];
    struct slice rest;
    struct change c;
    int ret;

    ret = read_own(k, e, &c);
    if (ret != 1)
        return ret;
    change_hash(r->hasher, e->bytes, hash);
    ret = rest_seal(r, e->side, change_holds_pii(&c), (struct slice){hash, HASH_SIZE}, &rest, k->err);
    if (ret != 0)
        return ret;
    sql_bind_int(st, 1, (int64_t)c.n);
    sql_bind_int(st, 2, (int64_t)(c.n - c.act_pos));
    sql_bind_int(st, 3, c.act_len);
    sql_bind_int(st, 4, 0);
    sql_bind_id(st, 5, &c.record);
    sql_bind_int(st, 6, c.kind);
    sql_bind_blob(st, 7, e->bytes);
    sql_bind_blob(st, 8, rest);
    sql_bind_blob(st, 9, (struct slice){hash, HASH_SIZE});
    sql_bind_blob(st, 10, (struct slice){hash, HASH_SIZE});
    return sql_run(st, k->err);
}

static int hash_at(struct cut *k, uint32_t stream, uint64_t seq, uint8_t ret[HASH_SIZE])
{
    struct entry e;
    int status;

    if (seq == 0) {
        chain_start(k->r->hasher, stream, &k->r->own.ledger, ret);
        return 0;
    }
    arena_clear(&k->a);
    status = store_entry_get(k->r->store, stream, seq, &k->a, &e, k->err);
    if (status == 0)
        memcpy(ret, e.hash, HASH_SIZE);
    return status;
}

static int cut_stream(struct cut *k, uint32_t stream, uint64_t seq)
{
    struct replica *r = k->r;
    struct stream_head at;
    int ret = store_stream_get(r->store, stream, &at, k->err);

    if (ret != 0 || seq >= at.seq)
        return ret;
    ret = store_entry_each(r->store, stream, seq + 1, reopen, k, k->err);
    if (ret == 0)
        ret = hash_at(k, stream, seq, at.hash);
    if (ret != 0)
        return ret;
    sql_bind_int(r->st[RS_LOG_CUT], 1, (int64_t)(((uint64_t)stream << 40) + seq + 1));
    sql_bind_int(r->st[RS_LOG_CUT], 2, (int64_t)(((uint64_t)stream << 40) + at.seq));
    ret = sql_run(r->st[RS_LOG_CUT], k->err);
    if (ret != 0)
        return ret;
    sql_bind_int(r->st[RS_HEAD_CUT], 1, stream);
    sql_bind_int(r->st[RS_HEAD_CUT], 2, (int64_t)seq);
    ret = sql_run(r->st[RS_HEAD_CUT], k->err);
    at.seq = seq;
    return ret == 0 ? store_stream_put(r->store, &at, k->err) : ret;
}

/* ---- the own chain at the changes that are pending again ---- */

static int note_own(void *ctx, const struct entry *e)
{
    struct cut *k = ctx;
    struct change c;
    int ret;

    ret = read_own(k, e, &c);
    if (ret != 1)
        return ret;
    if (c.n < 1 || c.n > k->r->own.n)
        return err_set(k->err, E_CORRUPT, "本机的更改编号不对");
    change_hash(k->r->hasher, e->bytes, k->own[c.n - 1]);
    return 0;
}

static int note_kept(struct cut *k)
{
    static const char query[] = "SELECT n, hash FROM pending UNION ALL SELECT n, hash FROM refused_change";
    sqlite3_stmt *st;
    int ret = sql_prepare(k->r->db, query, &st, k->err);

    if (ret != 0)
        return ret;
    while ((ret = sql_step(st, k->err)) == 1) {
        uint64_t n = (uint64_t)sqlite3_column_int64(st, 0);

        if (n >= 1 && n <= k->r->own.n && sql_blob(st, 1).len == HASH_SIZE)
            memcpy(k->own[n - 1], sql_blob(st, 1).p, HASH_SIZE);
    }
    (void)sqlite3_finalize(st); /* repeats the result of the step */
    return ret;
}

static int put_before(sqlite3_stmt *st, uint64_t n, const uint8_t chain[HASH_SIZE],
                      struct err *err)
{
    sql_bind_int(st, 1, (int64_t)n);
    sql_bind_blob(st, 2, (struct slice){chain, HASH_SIZE});
    return sql_run(st, err);
}

static int put_chain(struct cut *k)
{
    static const char query[] =
        "UPDATE pending SET before = ?2, act_bytes = (SELECT sum(length(a.bytes)"
        " + coalesce(length(a.side), 0)) FROM pending a WHERE a.n BETWEEN pending.first_n AND"
        " pending.first_n + pending.act_len - 1) WHERE n = ?1";
    static const char refused[] = "UPDATE refused_change SET before = ?2 WHERE n = ?1";
    uint8_t chain[HASH_SIZE];
    sqlite3_stmt *st = NULL, *st_refused = NULL;
    struct id first = {.b = {0}};
    int ret = own_first(k->r, &first, k->err);

    if (ret == 0)
        ret = sql_prepare(k->r->db, query, &st, k->err);
    if (ret == 0)
        ret = sql_prepare(k->r->db, refused, &st_refused, k->err);
    own_chain_start(k->r->hasher, &first, chain);
    for (uint64_t n = 1; ret == 0 && n <= k->r->own.n; n++) {
        ret = put_before(st, n, chain, k->err);
        if (ret == 0)
            ret = put_before(st_refused, n, chain, k->err);
        own_chain_next(k->r->hasher, chain, k->own[n - 1]);
    }
    (void)sqlite3_finalize(st); /* these repeat the result of the step */
    (void)sqlite3_finalize(st_refused);
    if (ret == 0 && memcmp(chain, k->r->own.chain, HASH_SIZE) != 0)
        ret = err_set(k->err, E_CORRUPT, "本机更改与其校验链不符");
    return ret;
}

static int tell_chain(struct cut *k)
{
    int ret = store_entry_each(k->r->store, STREAM_SHARED, 1, note_own, k, k->err);

    if (ret == 0)
        ret = store_entry_each(k->r->store, k->r->own.site, 1, note_own, k, k->err);
    if (ret == 0)
        ret = note_kept(k);
    return ret == 0 ? put_chain(k) : ret;
}

static int check_places(struct cut *k, const struct replica_place *places, size_t n)
{
    struct stream_head at;
    int ret = 0;

    for (size_t i = 0; ret == 0 && i < n; i++) {
        ret = store_stream_get(k->r->store, places[i].stream, &at, k->err);
        if (ret == 0 && places[i].seq < at.seq)
            ret = check_life(k->r, &at, k->err);
    }
    return ret;
}

/* What began with a snapshot, as long as its history is not whole. */
static int begin_again(struct cut *k)
{
    const uint32_t streams[] = {STREAM_SHARED, k->r->own.site};
    sqlite3_stmt *st = k->r->st[RS_SNAPSHOT_DEL];
    struct replica_snapshot s;
    int ret = 0;

    for (size_t i = 0; ret == 0 && i < 2; i++) {
        ret = replica_snapshot(k->r, streams[i], &s, k->err);
        if (ret == 0)
            ret = cut_stream(k, streams[i], 0);
        if (ret == 0) {
            sql_bind_int(st, 1, streams[i]);
            ret = sql_run(st, k->err);
        }
        ret = ret == E_NOTFOUND ? 0 : ret;
    }
    return ret;
}

static int go_back(struct cut *k, const struct replica_place *places, size_t n)
{
    int ret = check_places(k, places, n);

    if (ret != 0)
        return ret;
    k->own = mem_calloc((size_t)k->r->own.n + 1, sizeof *k->own);
    if (k->own == NULL)
        return err_set(k->err, E_NOMEM, NULL);
    ret = begin_again(k);
    for (size_t i = 0; ret == 0 && i < n; i++)
        ret = cut_stream(k, places[i].stream, places[i].seq);
    if (ret == 0)
        ret = tell_chain(k);
    return ret == 0 ? replica_retell(k->r, k->err) : ret;
}

int replica_go_back(struct replica *r, const struct replica_place *places, size_t n,
                    struct err *err)
{
    struct cut k = {.r = r, .err = err};
    int ret = replica_begin(r, err);

    if (ret != 0)
        return ret;
    arena_init(&k.a, WORK_MAX);
    ret = go_back(&k, places, n);
    arena_release(&k.a);
    mem_free(k.own);
    if (ret == 0)
        return replica_commit(r, err);
    replica_rollback(r);
    return ret;
}
