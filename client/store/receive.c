/* What comes from the city: entries closed by a signed head, refusals, witnesses.
 *
 *   verify the head ── each entry: bytes, side, chain ── log ── base row ── rebase ── compare with the head
 *
 * One transaction; a fault anywhere takes nothing. */
#include "client/store/replica_internal.h"

#include "common/ledger/apply.h"

#include <string.h>

struct batch {
    struct replica *r;
    struct stream_head at; /* moves with every entry */
    struct arena a;        /* of one entry */
    bool more;             /* the act goes on */
    bool bare;             /* nothing is pending: the tables show the streams' rows */
    uint64_t row_seqs; /* rows may hold entries up to this one already: a snapshot */
};

static int corrupt(const struct batch *b, const char *what, struct err *err)
{
    return err_set(err, E_CORRUPT, "数据流 %u 第 %llu 条记录%s", b->at.stream,
                   (unsigned long long)b->at.seq + 1, what);
}

/* ---- heads ---- */

int replica_check_head(struct replica *r, uint32_t stream, struct slice bytes,
                       struct slice signature, struct head *ret, struct err *err)
{
    struct buf *b = &r->bytes;
    int status;

    if (head_decode(bytes, ret) != 0)
        return err_set(err, E_PROTOCOL, "市级签名的数据头无法识别");
    if (!id_eq(&ret->ledger, &r->own.ledger) || ret->stream != stream)
        return err_set(err, E_AUTH, "签名的数据头不属于本台账");
    buf_clear(b);
    buf_str(b, HEAD_SIGN_PREFIX);
    buf_put(b, bytes.p, bytes.len);
    if (b->ret != 0)
        return err_set(err, b->ret, NULL);
    status = r->keys.log_key.verify(r->keys.log_key.ctx, buf_slice(b), signature);
    return status == 0 ? 0 : err_set(err, E_AUTH, "数据头的签名不是市级的");
}

static int keep_head(struct replica *r, const struct head *h, bool compared, struct slice bytes,
                     struct slice signature, struct err *err)
{
    sqlite3_stmt *st = r->st[RS_HEAD_PUT];
    int ret;

    sql_bind_int(st, 1, h->stream);
    sql_bind_int(st, 2, (int64_t)h->seq);
    sql_bind_int(st, 3, compared);
    sql_bind_blob(st, 4, bytes);
    sql_bind_blob(st, 5, signature);
    ret = sql_run(st, err);
    if (ret != 0 || !compared)
        return ret;
    sql_bind_int(r->st[RS_HEAD_DROP], 1, h->stream);
    sql_bind_int(r->st[RS_HEAD_DROP], 2, (int64_t)h->seq);
    return sql_run(r->st[RS_HEAD_DROP], err);
}

static int drop_head(struct replica *r, const struct head *h, struct err *err)
{
    sql_bind_int(r->st[RS_HEAD_DEL], 1, h->stream);
    sql_bind_int(r->st[RS_HEAD_DEL], 2, (int64_t)h->seq);
    return sql_run(r->st[RS_HEAD_DEL], err);
}

/* Two heads of one life of the city may not tell different stories. */
static int check_same(struct replica *r, const struct head *h, struct err *err)
{
    sqlite3_stmt *st = r->st[RS_HEAD_AT];
    struct head kept;
    int status;

    sql_bind_int(st, 1, h->stream);
    sql_bind_int(st, 2, (int64_t)h->seq);
    status = sql_step(st, err);
    if (status == 1 && head_decode(sql_blob(st, 0), &kept) == 0 &&
        id_eq(&kept.incarnation, &h->incarnation) && memcmp(kept.hash, h->hash, HASH_SIZE) != 0)
        status = err_set(err, E_CORRUPT, "市级对数据流 %u 第 %llu 条签过不同的校验值", h->stream,
                         (unsigned long long)h->seq);
    sql_done(st);
    return status < 0 ? status : 0;
}

/* The hash of the log at SEQ against an earlier head that was ahead then. */
static int compare_due(struct replica *r, struct arena *a, const struct stream_head *at,
                       struct err *err)
{
    sqlite3_stmt *st = r->st[RS_HEAD_DUE];
    struct slice bytes, signature;
    struct entry e;
    struct head h;
    int status;

    for (;;) {
        arena_clear(a);
        sql_bind_int(st, 1, at->stream);
        sql_bind_int(st, 2, (int64_t)at->seq);
        status = sql_step(st, err);
        bytes = status == 1 ? sql_blob_dup(st, 1, a) : (struct slice){NULL, 0};
        signature = status == 1 ? sql_blob_dup(st, 2, a) : bytes;
        sql_done(st);
        if (status != 1)
            return status;
        if (bytes.p == NULL || signature.p == NULL)
            return err_set(err, E_NOMEM, NULL);
        if (head_decode(bytes, &h) != 0)
            return err_set(err, E_CORRUPT, "保存的数据头已损坏");
        status = store_entry_get(r->store, h.stream, h.seq, a, &e, err);
        if (status != 0)
            return status;
        if (memcmp(e.hash, h.hash, HASH_SIZE) == 0)
            status = keep_head(r, &h, true, bytes, signature, err);
        else if (id_eq(&h.incarnation, &at->incarnation))
            status = err_set(err, E_CORRUPT, "数据流 %u 第 %llu 条与市级签名的校验值不符", h.stream,
                             (unsigned long long)h.seq);
        else /* the head of a closed life of the city binds nobody any more */
            status = drop_head(r, &h, err);
        if (status != 0)
            return status;
    }
}

/* ---- one entry ---- */

struct arrived_parts {
    struct change c;
    struct verdict v;
    uint8_t hash[HASH_SIZE]; /* H(bytes) */
    int ret;                 /* E_NOMEM; E_MALFORMED: no entry; E_CORRUPT: another sidecar */
};

struct arriving {
    struct entry e;
    struct arrived_parts p;
    bool own; /* its bytes were here, pending or refused */
    bool refused;
};

static int read_parts(const struct hasher *h, struct arena *a, struct slice bytes,
                      struct slice side, struct slice verdict, struct arrived_parts *p)
{
    int ret = change_decode(a, bytes, side, &p->c);

    if (ret == 0)
        ret = verdict_decode(a, verdict, &p->v);
    return ret == 0 ? change_check_side(h, &p->c) : ret;
}

void arrived_read(const struct hasher *h, struct arena *a, struct arrived *entries, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct arrived *in = &entries[i];
        struct arrived_parts *p;

        if (in->echo_n != 0)
            continue; /* its bytes are in the store */
        p = arena_alloc(a, sizeof *p);
        if (p == NULL)
            return;
        p->ret = read_parts(h, a, in->bytes, in->side, in->verdict, p);
        if (p->ret == E_NOMEM)
            return;
        change_hash(h, in->bytes, p->hash);
        in->parts = p;
    }
}

/* The bytes of an own change are here; what comes with bytes must say the same. */
static int find_own(struct batch *b, uint64_t n, bool must, struct arriving *x, struct err *err)
{
    struct own_change own;
    int ret = own_change_get(b->r, &b->a, n, &own, err);

    if (ret == E_NOTFOUND && !must)
        return 0;
    if (ret == E_NOTFOUND)
        return err_set(err, E_PROTOCOL, "市级回执了本机没有的第 %llu 项更改",
                       (unsigned long long)n);
    if (ret != 0)
        return ret;
    if (!must && memcmp(own.hash, x->p.hash, HASH_SIZE) != 0)
        return err_set(err, E_FORK, NULL);
    x->own = true;
    x->refused = own.refused;
    if (must) {
        x->e.bytes = own.bytes;
        x->e.side = own.side;
        memcpy(x->p.hash, own.hash, HASH_SIZE);
    }
    return 0;
}

/* The parts of an entry that was not read beforehand. */
static int read_now(struct batch *b, const struct arrived *in, struct arriving *x, struct err *err)
{
    const struct hasher *h = b->r->hasher;
    int ret = in->echo_n != 0 ? find_own(b, in->echo_n, true, x, err) : 0;

    if (ret != 0)
        return ret;
    x->p.ret = read_parts(h, &b->a, x->e.bytes, x->e.side, x->e.verdict, &x->p);
    if (in->echo_n == 0)
        change_hash(h, x->e.bytes, x->p.hash);
    return 0;
}

static int read_entry(struct batch *b, const struct arrived *in, struct arriving *x,
                      struct err *err)
{
    int ret = 0;

    *x = (struct arriving){.e = {.stream = b->at.stream,
                                 .seq = b->at.seq + 1,
                                 .received_at = in->received_at,
                                 .verdict = in->verdict,
                                 .bytes = in->bytes,
                                 .side = in->side}};
    if (in->parts != NULL)
        x->p = *in->parts;
    else
        ret = read_now(b, in, x, err);
    if (ret != 0)
        return ret;
    if (x->p.ret == E_NOMEM)
        return err_set(err, E_NOMEM, NULL);
    if (x->p.ret == E_CORRUPT)
        return corrupt(b, "的附带内容与校验值不符", err);
    if (x->p.ret != 0)
        return corrupt(b, "无法识别", err);
    if (x->p.c.stream != b->at.stream)
        return corrupt(b, "不属于该数据流", err);
    if (in->echo_n == 0 && own_is(b->r, &x->p.c.replica, x->p.c.n, &ret, err))
        return find_own(b, x->p.c.n, false, x, err);
    return ret;
}

static int drop_own(struct batch *b, const struct arriving *x, struct err *err)
{
    struct replica *r = b->r;
    sqlite3_stmt *st = r->st[x->refused ? RS_REFUSED_CHANGE_DEL : RS_PENDING_DEL];
    int ret;

    if (!x->own)
        return 0;
    sql_bind_int(st, 1, (int64_t)x->p.c.n);
    ret = sql_run(st, err);
    if (ret != 0 || !x->refused)
        return ret;
    sql_bind_int(r->st[RS_REFUSED_DEL], 1, (int64_t)x->p.c.n);
    return sql_run(r->st[RS_REFUSED_DEL], err);
}

/* A new record that nothing can lie over: it need not be looked up. */
static int add_one(struct batch *b, const struct kind *kind, const struct arriving *x,
                   struct err *err)
{
    struct row *row = row_new(&b->a, kind, &x->p.c.record);
    int ret;

    if (row == NULL || apply_entry(&b->a, row, &x->p.c, &x->p.v, x->e.seq, false) != 0)
        return err_set(err, E_NOMEM, NULL);
    ret = store_row_comes(b->r->store, row, err);
    if (ret == 0)
        ret = drop_own(b, x, err);
    if (ret == 0)
        ret = store_row_add(b->r->store, row, err);
    return ret == E_EXISTS ? 0 : ret; /* as below */
}

/* A row that is damaged, lost or there already does not stop the stream: the log has the entry, the root will
 * differ, and the row is repaired (repair.h). */
static int apply_one(struct batch *b, const struct arriving *x, struct err *err)
{
    const struct kind *kind = catalogue_kind(x->p.c.kind);
    struct replica *r = b->r;
    struct row *base;
    bool covered;
    int ret;

    if (kind == NULL) { /* of a newer catalogue: the log keeps it */
        ret = repair_met_unknown(r, b->at.stream, err);
        return ret == 0 ? drop_own(b, x, err) : ret;
    }
    if (kind->stream == STREAM_RULE_NONE)
        return drop_own(b, x, err);
    if (b->bare && x->p.c.op == OP_CREATE && x->e.seq > b->row_seqs)
        return add_one(b, kind, x, err);
    ret = overlay_base(r, &b->a, kind, &x->p.c.record, &base, &covered, err);
    if (ret == E_CORRUPT)
        return drop_own(b, x, err);
    if (ret != 0)
        return ret;
    if (base != NULL && x->e.seq <= b->row_seqs && base->seq >= x->e.seq)
        return drop_own(b, x, err); /* the row came with a snapshot that has it */
    if ((base != NULL) == (x->p.c.op == OP_CREATE))
        return drop_own(b, x, err);
    if (base == NULL)
        base = row_new(&b->a, kind, &x->p.c.record);
    else
        ret = store_row_leaves(r->store, base, err);
    if (ret != 0)
        return ret;
    if (base == NULL || apply_entry(&b->a, base, &x->p.c, &x->p.v, x->e.seq, false) != 0)
        return err_set(err, E_NOMEM, NULL);
    ret = store_row_comes(r->store, base, err);
    if (ret == 0)
        ret = drop_own(b, x, err);
    if (ret != 0)
        return ret;
    return covered ? overlay_lay(r, &b->a, kind, &x->p.c.record, base, err)
                   : store_row_put(r->store, base, err);
}

static int take_entry(struct batch *b, const struct arrived *in, struct err *err)
{
    struct arriving x;
    int ret;

    arena_clear(&b->a);
    ret = read_entry(b, in, &x, err);
    if (ret != 0)
        return ret;
    chain_next(b->r->hasher, b->at.hash, x.e.seq, x.e.received_at, x.e.verdict, x.p.hash, x.e.hash);
    ret = store_entry_append(b->r->store, &x.e, &x.p.c, err);
    if (ret == 0)
        ret = apply_one(b, &x, err);
    if (ret != 0)
        return ret;
    memcpy(b->at.hash, x.e.hash, HASH_SIZE);
    b->at.seq = x.e.seq;
    b->more = (x.p.v.flags & VERDICT_MORE) != 0;
    return 0;
}

/* ---- a batch ---- */

static int close_batch(struct batch *b, const struct head *h, struct slice head,
                       struct slice signature, struct err *err)
{
    struct replica *r = b->r;
    bool reached = h->seq == b->at.seq;
    int ret;

    if (b->more)
        return err_set(err, E_PROTOCOL, "一批记录断在一次操作的中间");
    if (reached && memcmp(h->hash, b->at.hash, HASH_SIZE) != 0)
        return err_set(err, E_CORRUPT, "数据流 %u 到第 %llu 条的校验值与市级签名不符", h->stream,
                       (unsigned long long)h->seq);
    ret = check_same(r, h, err);
    b->at.incarnation = h->incarnation;
    if (ret == 0)
        ret = compare_due(r, &b->a, &b->at, err);
    if (ret == 0)
        ret = keep_head(r, h, reached, head, signature, err);
    if (ret == 0 && reached)
        ret = repair_compare_root(r, h, err);
    return ret == 0 ? store_stream_put(r->store, &b->at, err) : ret;
}

static int find_bare(struct batch *b, struct err *err)
{
    sqlite3_stmt *st = b->r->st[RS_PENDING_FIRST];
    int status = sql_step(st, err);

    sql_done(st);
    b->bare = status == 0;
    return status < 0 ? status : 0;
}

static int note_snapshot(struct batch *b, uint32_t stream, struct err *err)
{
    struct replica_snapshot s;
    int ret = replica_snapshot(b->r, stream, &s, err);

    if (ret == 0 && !s.loaded)
        return err_set(err, E_PROTOCOL, "快照还没有载完");
    b->row_seqs = ret == 0 ? s.last_seq : 0;
    return ret == E_NOTFOUND ? 0 : ret;
}

static int take_batch(struct batch *b, uint32_t stream, uint64_t first_seq,
                      const struct arrived *entries, size_t n, struct slice head,
                      struct slice signature, struct err *err)
{
    struct head h;
    int ret = stream == STREAM_SHARED || stream == b->r->own.site
                  ? store_stream_get(b->r->store, stream, &b->at, err)
                  : err_set(err, E_PROTOCOL, "数据流 %u 不归本机接收", stream);

    if (ret == 0)
        ret = replica_check_head(b->r, stream, head, signature, &h, err);
    if (ret != 0)
        return ret;
    if (first_seq != b->at.seq + 1 || h.seq < b->at.seq + n)
        return err_set(err, E_PROTOCOL, "数据流 %u 的记录不连续（已有 %llu，来的从 %llu 起）",
                       stream, (unsigned long long)b->at.seq, (unsigned long long)first_seq);
    ret = find_bare(b, err);
    if (ret == 0)
        ret = note_snapshot(b, stream, err);
    for (size_t i = 0; ret == 0 && i < n; i++)
        ret = take_entry(b, &entries[i], err);
    return ret == 0 ? close_batch(b, &h, head, signature, err) : ret;
}

static int apply_batch(struct replica *r, uint32_t stream, uint64_t first_seq,
                       const struct arrived *entries, size_t n, struct slice head,
                       struct slice signature, struct err *err)
{
    struct batch b = {.r = r};
    int ret = replica_begin(r, err);

    if (ret != 0)
        return ret;
    arena_init(&b.a, WORK_MAX);
    ret = take_batch(&b, stream, first_seq, entries, n, head, signature, err);
    arena_release(&b.a);
    if (ret == 0)
        return replica_commit(r, err);
    replica_rollback(r);
    return ret;
}

/* Not synced: after a power cut the replica may stand where it stood before, its own changes pending
 * again, and the city sends the same once more. A transaction that is synced takes this one with it. */
int replica_apply(struct replica *r, uint32_t stream, uint64_t first_seq,
                  const struct arrived *entries, size_t n, struct slice head,
                  struct slice signature, struct err *err)
{
    store_relax_next(r->store);
    return apply_batch(r, stream, first_seq, entries, n, head, signature, err);
}

/* ---- refusals ---- */

/* 1 when the refusal is there already. */
static int refused_before(struct replica *r, uint64_t first_n, uint64_t *ret_until_n,
                          struct err *err)
{
    sqlite3_stmt *st = r->st[RS_REFUSED_GET];
    int status;

    sql_bind_int(st, 1, (int64_t)first_n);
    status = sql_step(st, err);
    if (status == 1)
        *ret_until_n = (uint64_t)sqlite3_column_int64(st, 1);
    sql_done(st);
    return status;
}

static int put_refusal(struct replica *r, uint64_t first_n, uint64_t last_n, uint64_t at_n,
                       struct slice code, struct slice text, msec_t now, struct err *err)
{
    sqlite3_stmt *st = r->st[RS_REFUSED_PUT];
    int ret;

    sql_bind_int(st, 1, (int64_t)first_n);
    sql_bind_int(st, 2, (int64_t)last_n);
    sql_bind_int(st, 3, (int64_t)at_n);
    sql_bind_text(st, 4, code);
    sql_bind_text(st, 5, text);
    sql_bind_int(st, 6, (int64_t)r->own.n);
    sql_bind_int(st, 7, (int64_t)now);
    ret = sql_run(st, err);
    if (ret != 0)
        return ret;
    sql_bind_int(r->st[RS_REFUSED_CHANGE_PUT], 1, (int64_t)first_n);
    sql_bind_int(r->st[RS_REFUSED_CHANGE_PUT], 2, (int64_t)last_n);
    ret = sql_run(r->st[RS_REFUSED_CHANGE_PUT], err);
    if (ret == 0 && (uint64_t)sqlite3_changes(r->db) != last_n - first_n + 1)
        ret = err_set(err, E_PROTOCOL, "市级拒绝了本机没有待传的更改（第 %llu 至 %llu 项）",
                      (unsigned long long)first_n, (unsigned long long)last_n);
    return ret;
}

/* Take one change of the act out of the overlay. */
static int withdraw(struct replica *r, struct arena *a, uint64_t n, struct err *err)
{
    const struct kind *kind;
    struct own_change own;
    struct change c;
    struct row *base;
    bool covered;
    int ret = own_change_get(r, a, n, &own, err);

    if (ret == 0)
        ret = own_change_read(a, n, own.bytes, own.side, &c, err);
    if (ret != 0)
        return ret;
    kind = catalogue_kind(c.kind);
    if (kind != NULL)
        ret = overlay_base(r, a, kind, &c.record, &base, &covered, err);
    if (ret != 0)
        return ret;
    sql_bind_int(r->st[RS_PENDING_DEL], 1, (int64_t)n);
    ret = sql_run(r->st[RS_PENDING_DEL], err);
    return ret == 0 && kind != NULL ? overlay_lay(r, a, kind, &c.record, base, err) : ret;
}

static int refuse(struct replica *r, uint64_t first_n, uint64_t last_n, uint64_t at_n,
                  struct slice code, struct slice text, msec_t now, struct err *err)
{
    struct arena a;
    int ret;

    if (first_n == 0 || first_n > last_n || at_n < first_n || at_n > last_n ||
        last_n - first_n >= ACT_MAX_CHANGES)
        return err_set(err, E_PROTOCOL, "市级的拒绝通知范围不对");
    ret = put_refusal(r, first_n, last_n, at_n, code, text, now, err);
    arena_init(&a, WORK_MAX);
    for (uint64_t n = first_n; ret == 0 && n <= last_n; n++) {
        arena_clear(&a);
        ret = withdraw(r, &a, n, err);
    }
    arena_release(&a);
    return ret;
}

/* What was kept aside and then dropped has other words than before; whoever closed it is done with it. */
static int told_again(struct replica *r, uint64_t first_n, struct slice code, struct slice text,
                      struct err *err)
{
    sqlite3_stmt *st = r->st[RS_REFUSED_AGAIN];

    sql_bind_int(st, 1, (int64_t)first_n);
    sql_bind_text(st, 2, code);
    sql_bind_text(st, 3, text);
    return sql_run(st, err);
}

int replica_refused(struct replica *r, uint64_t first_n, uint64_t last_n, uint64_t at_n,
                    struct slice code, struct slice text, msec_t now, uint64_t *ret_until_n,
                    struct err *err)
{
    uint64_t until;
    int ret = replica_begin(r, err);

    if (ret != 0)
        return ret;
    until = r->own.n;
    ret = refused_before(r, first_n, &until, err);
    if (ret == 0)
        ret = refuse(r, first_n, last_n, at_n, code, text, now, err);
    if (ret == 1)
        ret = told_again(r, first_n, code, text, err);
    if (ret == 0)
        ret = replica_commit(r, err);
    else
        replica_rollback(r);
    if (ret == 0)
        *ret_until_n = until;
    return ret;
}

/* ---- witness ---- */

static int keep_witness(struct replica *r, struct slice head, struct slice signature,
                        struct err *err)
{
    sqlite3_stmt *st = r->st[RS_HEAD_NEWEST];
    struct head h, kept = {.seq = 0};
    int ret = replica_check_head(r, STREAM_CITY, head, signature, &h, err);

    if (ret == 0)
        ret = check_same(r, &h, err);
    if (ret != 0)
        return ret;
    sql_bind_int(st, 1, STREAM_CITY);
    ret = sql_step(st, err);
    if (ret == 1 && head_decode(sql_blob(st, 1), &kept) != 0)
        ret = err_set(err, E_CORRUPT, "保存的数据头已损坏");
    sql_done(st);
    if (ret < 0)
        return ret;
    if (ret == 1 && id_eq(&kept.incarnation, &h.incarnation) && h.seq <= kept.seq)
        return 0; /* older than what is kept */
    return keep_head(r, &h, true, head, signature, err);
}

int replica_witness(struct replica *r, struct slice head, struct slice signature, struct err *err)
{
    int ret = replica_begin(r, err);

    if (ret != 0)
        return ret;
    ret = keep_witness(r, head, signature, err);
    if (ret == 0)
        return replica_commit(r, err);
    replica_rollback(r);
    return ret;
}
