/* The proof that an entry of the log is durable at the city: common/ledger/receipt.h. */
#include "client/store/replica_internal.h"
#include "common/ledger/receipt.h"

#include <string.h>

struct proof {
    struct buf *out;
    const struct hasher *hasher;
    struct slice head, signature;
    uint64_t seq, head_seq;
    uint8_t prev[HASH_SIZE];
};

/* The first signed head at or behind the entry that was compared with the log. */
static int head_behind(struct replica *r, uint32_t stream, struct arena *a, struct proof *p,
                       struct err *err)
{
    sqlite3_stmt *st = r->st[RS_HEAD_PROOF];
    int status;

    sql_bind_int(st, 1, stream);
    sql_bind_int(st, 2, (int64_t)p->seq);
    status = sql_step(st, err);
    if (status == 0)
        return err_set(err, E_WAITING, "市级对这一条的签名还没有收到，请同步后再试");
    if (status != 1)
        return status;
    p->head_seq = (uint64_t)sqlite3_column_int64(st, 0);
    p->head = sql_blob_dup(st, 1, a);
    p->signature = sql_blob_dup(st, 2, a);
    sql_done(st);
    return p->head.p != NULL && p->signature.p != NULL ? 0 : err_set(err, E_NOMEM, NULL);
}

static int hash_before(struct replica *r, uint32_t stream, uint64_t seq, struct arena *a,
                       uint8_t ret[HASH_SIZE], struct err *err)
{
    struct entry e;
    int status;

    if (seq == 1) {
        chain_start(r->hasher, stream, &r->own.ledger, ret);
        return 0;
    }
    status = store_entry_get(r->store, stream, seq - 1, a, &e, err);
    if (status == 0)
        memcpy(ret, e.hash, HASH_SIZE);
    return status;
}

static int take_entry(void *ctx, const struct entry *e)
{
    struct proof *p = ctx;
    uint8_t hash[HASH_SIZE];

    if (e->seq > p->head_seq)
        return 1;
    if (e->seq == p->seq) {
        receipt_begin(p->out, p->hasher->alg, p->head, p->signature, p->prev, e);
    } else {
        change_hash(p->hasher, e->bytes, hash);
        receipt_link(p->out, e->received_at, e->verdict, hash);
    }
    return p->out->ret;
}

/* A proof needs every entry from its own on. */
static int check_history(struct replica *r, uint32_t stream, uint64_t seq, struct err *err)
{
    struct replica_snapshot s;
    int ret = replica_snapshot(r, stream, &s, err);

    if (ret == 0 && seq <= s.base_seq + 1)
        return err_set(err, E_WAITING, "较早的历史还在下载，下载完才能出具");
    return ret == E_NOTFOUND ? 0 : ret;
}

static int make(struct replica *r, uint32_t stream, uint64_t seq, struct buf *out, struct arena *a,
                struct err *err)
{
    struct proof p = {.out = out, .hasher = r->hasher, .seq = seq};
    int ret = check_history(r, stream, seq, err);

    if (ret == 0)
        ret = head_behind(r, stream, a, &p, err);
    if (ret == 0)
        ret = hash_before(r, stream, seq, a, p.prev, err);
    if (ret == 0)
        ret = store_entry_each(r->store, stream, seq, take_entry, &p, err);
    if (ret >= 0 || ret != out->ret)
        return ret > 0 ? 0 : ret;
    return err_set(err, ret, NULL); /* it did not fit */
}

int replica_receipt(struct replica *r, uint32_t stream, uint64_t seq, struct buf *out,
                    struct err *err)
{
    struct arena a;
    int ret;

    /* One snapshot: another process may commit between two questions. */
    ret = sql_exec(r->db, "BEGIN", err);
    if (ret != 0)
        return ret;
    arena_init(&a, WORK_MAX);
    ret = make(r, stream, seq, out, &a, err);
    arena_release(&a);
    (void)sql_exec(r->db, "ROLLBACK", NULL); /* it only read, and a commit may fail */
    return ret;
}
