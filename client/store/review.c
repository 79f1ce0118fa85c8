/* What a person looks at (refusals, conflicts, sealed values), and what an operator runs (verify,
 * rebuild). */
#include "client/store/replica_internal.h"

#include "common/base/mem.h"
#include "common/ledger/apply.h"

#include <string.h>

/* ---- refusals ---- */

static int read_refused(struct replica *r, struct arena *a, sqlite3_stmt *st,
                        struct refused_row *row, struct err *err)
{
    struct own_change own;
    int ret;

    *row = (struct refused_row){.until_n = (uint64_t)sqlite3_column_int64(st, 8),
                                .first_n = (uint64_t)sqlite3_column_int64(st, 0),
                                .last_n = (uint64_t)sqlite3_column_int64(st, 1),
                                .at_n = (uint64_t)sqlite3_column_int64(st, 2),
                                .code = sql_text(st, 3),
                                .text = sql_text(st, 4),
                                .at = (msec_t)sqlite3_column_int64(st, 5),
                                .done_at = (msec_t)sqlite3_column_int64(st, 6)};
    if (row->done_at != 0)
        row->done_by = sql_id(st, 7);
    ret = own_change_get(r, a, row->at_n, &own, err);
    if (ret == 0)
        row->bytes = own.bytes;
    return ret == E_NOTFOUND ? 0 : ret; /* released since: its entry has the bytes */
}

int replica_refused_each(struct replica *r, int (*cb)(void *ctx, const struct refused_row *row),
                         void *ctx, struct err *err)
{
    static const char query[] =
        "SELECT first_n, last_n, at_n, code, text, at, done_at, done_by, until_n"
        " FROM refused ORDER BY first_n";
    struct refused_row row;
    sqlite3_stmt *st;
    struct arena a;
    int ret = sql_prepare(r->db, query, &st, err);

    if (ret != 0)
        return ret;
    arena_init(&a, WORK_MAX);
    while ((ret = sql_step(st, err)) == 1) {
        arena_clear(&a);
        ret = read_refused(r, &a, st, &row, err);
        if (ret == 0)
            ret = cb(ctx, &row);
        if (ret != 0)
            break;
    }
    (void)sqlite3_finalize(st); /* repeats the result of the step */
    arena_release(&a);
    return ret;
}

int replica_refused_changes(struct replica *r, const struct refused_row *row,
                            int (*cb)(void *ctx, const struct change *c), void *ctx,
                            struct err *err)
{
    struct arena a;
    int ret = 0;

    arena_init(&a, WORK_MAX);
    for (uint64_t n = row->first_n; ret == 0 && n <= row->last_n; n++) {
        struct own_change own;
        struct change c;

        arena_clear(&a);
        ret = own_change_get(r, &a, n, &own, err);
        if (ret == 0)
            ret = own_change_read(&a, n, own.bytes, own.side, &c, err);
        if (ret == 0)
            ret = cb(ctx, &c);
        else if (ret == E_NOTFOUND)
            ret = 0;
    }
    arena_release(&a);
    return ret;
}

static int refused_close(struct replica *r, uint64_t first, uint64_t last,
                         const struct id *account, msec_t now, uint64_t *ret_n, struct err *err)
{
    static const char query[] = "UPDATE refused SET done_at = ?3, done_by = ?4"
                                " WHERE first_n BETWEEN ?1 AND ?2 AND done_at = 0";
    sqlite3_stmt *st;
    int ret = sql_prepare(r->db, query, &st, err);

    if (ret != 0)
        return ret;
    sql_bind_int(st, 1, first > INT64_MAX ? INT64_MAX : (int64_t)first);
    sql_bind_int(st, 2, last > INT64_MAX ? INT64_MAX : (int64_t)last);
    sql_bind_int(st, 3, (int64_t)now);
    sql_bind_id(st, 4, account);
    ret = sql_run(st, err);
    *ret_n = ret == 0 ? (uint64_t)sqlite3_changes(r->db) : 0;
    (void)sqlite3_finalize(st); /* repeats the result of the step */
    if (ret == 0 && *ret_n == 0)
        ret = err_set(err, E_NOTFOUND, "没有这样的未接受的更改，或已经了结");
    return ret;
}

int replica_refused_close(struct replica *r, uint64_t first, uint64_t last,
                          const struct id *account, msec_t now, uint64_t *ret_n,
                          struct err *err)
{
    int ret = replica_begin(r, err);

    if (ret != 0)
        return ret;
    ret = refused_close(r, first, last, account, now, ret_n, err);
    if (ret == 0)
        return replica_commit(r, err);
    replica_rollback(r);
    return ret;
}

/* ---- conflicts ---- */

struct conflicts {
    struct replica *r;
    struct arena a; /* of one conflict */
    int (*cb)(void *ctx, const struct conflict_row *row);
    void *ctx;
    struct err *err;
};

/* The value that a change gave a field. Of a set it says only what came and went: over the record's
 * present elements that is the value it meant. */
static int value_of_change(struct conflicts *x, const struct conflict_row *row,
                           const struct field_change *fc, struct value *ret)
{
    int status;

    *ret = fc->v;
    if (fc->form != FORM_DELTA || row->target == NULL)
        return 0;
    status = value_set_apply(&x->a, row_get(row->target, fc->tag), &fc->v, &fc->del, ret);
    return status == E_NOMEM ? err_set(x->err, status, NULL) : 0;
}

/* The value that entry SEQ gave the field, and who gave it when. */
static int value_of_entry(struct conflicts *x, const struct conflict_row *row, uint64_t seq,
                          struct value *ret, struct id *ret_by, msec_t *ret_at)
{
    uint32_t stream = row->conflict->stream;
    const struct field_change *fc;
    struct entry e;
    struct change c;
    int status;

    if (seq == 0)
        return 0;
    status = store_entry_get(x->r->store, stream, seq, &x->a, &e, x->err);
    if (status != 0)
        return status;
    status = change_decode(&x->a, e.bytes, e.side, &c);
    if (status != 0)
        return err_set(x->err, status == E_NOMEM ? E_NOMEM : E_CORRUPT, "数据流 %u 第 %llu 条记录无法识别", stream,
                       (unsigned long long)seq);
    *ret_by = c.actor;
    *ret_at = c.made_at;
    fc = row->field != NULL ? change_field(&c, row->field->tag) : NULL;
    return fc != NULL ? value_of_change(x, row, fc, ret) : 0;
}

/* The record in conflict and the field of it. A kind or field that this catalogue does not know has
 * none. */
static int find_target(struct conflicts *x, struct conflict_row *out)
{
    struct slice kind_name = row_text(out->conflict, "target_kind");
    struct slice field_name = row_text(out->conflict, "field");
    const char *name = arena_strndup(&x->a, kind_name.p, kind_name.len);
    const struct kind *kind = name != NULL ? catalogue_kind_named(name) : NULL;
    struct id id;

    if (name == NULL)
        return err_set(x->err, E_NOMEM, NULL);
    if (kind == NULL || !row_id(out->conflict, "target_id", &id))
        return 0;
    name = arena_strndup(&x->a, field_name.p, field_name.len);
    if (name == NULL)
        return err_set(x->err, E_NOMEM, NULL);
    out->field = field_name.len > 0 ? kind_field_named(kind, name) : NULL;
    return store_row_get(x->r->store, &x->a, kind, &id, &out->target, x->err);
}

/* Rows of a snapshot may speak of entries that are still to come: what is older than it, and what its slices were
 * read behind. */
static int value_or_waits(struct conflicts *x, struct conflict_row *out, uint64_t seq,
                          struct value *ret, struct id *ret_by, msec_t *ret_at)
{
    struct replica_snapshot s;
    int status = value_of_entry(x, out, seq, ret, ret_by, ret_at);

    if (status != E_NOTFOUND)
        return status;
    status = replica_snapshot(x->r, out->conflict->stream, &s, x->err);
    if (status == 0 && seq <= s.last_seq)
        out->waits = true;
    else if (status == 0 || status == E_NOTFOUND)
        status = E_CORRUPT;
    return status;
}

static int show_conflict(void *ctx, struct row *conflict)
{
    struct conflicts *x = ctx;
    struct conflict_row out = {.conflict = conflict};
    uint64_t stands = (uint64_t)row_int(conflict, "stands_seq");
    uint64_t later = (uint64_t)row_int(conflict, "later_seq");
    int ret;

    arena_clear(&x->a);
    ret = find_target(x, &out);
    if (ret == 0)
        ret = value_or_waits(x, &out, stands, &out.stands, &out.stands_by, &out.stands_at);
    if (ret == 0)
        ret = value_or_waits(x, &out, later, &out.later, &out.later_by, &out.later_at);
    return ret == 0 ? x->cb(x->ctx, &out) : ret;
}

int replica_conflicts(struct replica *r, int (*cb)(void *ctx, const struct conflict_row *row),
                      void *ctx, struct err *err)
{
    struct store_filter open = {.tag = TAG_STATE, .v = value_str("open")};
    struct conflicts x = {.r = r, .cb = cb, .ctx = ctx, .err = err};
    int ret;

    arena_init(&x.a, WORK_MAX);
    ret = store_row_list(r->store, catalogue_kind_named("conflict"), &open, 1, 0, 0, show_conflict,
                         &x, err);
    arena_release(&x.a);
    return ret;
}

/* ---- a site's own values ---- */

int replica_open_value(struct replica *r, struct arena *a, const struct value *sealed,
                       struct value *ret, struct err *err)
{
    struct value v = value_null();
    bool ok = true;
    struct buf b;
    struct rd rd;
    int status;

    if (r->keys.site_open == NULL)
        return err_set(err, E_DENIED, "仅首台电脑可见");
    buf_init(&b, WORK_MAX);
    status = r->keys.site_open(r->keys.site_ctx, sealed->s, &b);
    if (status == 0) {
        rd = rd_of(buf_slice(&b));
        (void)rd_take(&rd, SALT_SIZE);
        v = value_decode(&rd);
        v = value_dup(a, &v, &ok);
        status = !rd_done(&rd) ? E_CORRUPT : ok ? 0 : E_NOMEM;
    }
    if (b.p != NULL)
        mem_wipe(b.p, b.len);
    buf_release(&b);
    if (status != 0)
        return err_set(err, status, status == E_CORRUPT ? "本单位密钥打不开此内容" : NULL);
    *ret = v;
    return 0;
}

/* ---- verify ---- */

struct verify {
    struct replica *r;
    struct arena a;
    struct stream_head at;     /* moves with every entry */
    uint8_t (*own)[HASH_SIZE]; /* H(bytes) of own change n at n - 1 */
    bool *has;
    struct err *err;
};

static int bad_entry(const struct verify *v, uint64_t seq, const char *what)
{
    return err_set(v->err, E_CORRUPT, "数据流 %u 第 %llu 条记录%s", v->at.stream,
                   (unsigned long long)seq, what);
}

static int note_own(struct verify *v, uint64_t n, const uint8_t hash[HASH_SIZE])
{
    if (n == 0 || n > v->r->own.n || v->has[n - 1])
        return err_set(v->err, E_CORRUPT, "本机第 %llu 项更改多出一份", (unsigned long long)n);
    memcpy(v->own[n - 1], hash, HASH_SIZE);
    v->has[n - 1] = true;
    return 0;
}

static int verify_entry(void *ctx, const struct entry *e)
{
    struct verify *v = ctx;
    uint8_t hash[HASH_SIZE], chain[HASH_SIZE];
    struct verdict verdict;
    struct change c;
    int ret;

    arena_clear(&v->a);
    if (e->seq != v->at.seq + 1)
        return bad_entry(v, v->at.seq + 1, "缺失");
    ret = change_decode(&v->a, e->bytes, e->side, &c);
    if (ret == 0)
        ret = verdict_decode(&v->a, e->verdict, &verdict);
    if (ret == E_NOMEM)
        return err_set(v->err, ret, NULL);
    if (ret != 0)
        return bad_entry(v, e->seq, "无法识别");
    change_hash(v->r->hasher, e->bytes, hash);
    chain_next(v->r->hasher, v->at.hash, e->seq, e->received_at, e->verdict, hash, chain);
    if (memcmp(chain, e->hash, HASH_SIZE) != 0)
        return bad_entry(v, e->seq, "与校验链不符");
    if (change_check_side(v->r->hasher, &c) != 0 || !change_side_whole(&c))
        return bad_entry(v, e->seq, "的附带内容与校验值不符");
    memcpy(v->at.hash, chain, HASH_SIZE);
    v->at.seq = e->seq;
    return own_is(v->r, &c.replica, c.n, &ret, v->err) ? note_own(v, c.n, hash) : ret;
}

/* The receipt of the stream: signed by the city, and equal to the log. */
static int verify_receipt(struct verify *v)
{
    sqlite3_stmt *st = v->r->st[RS_HEAD_NEWEST];
    struct slice bytes, signature;
    struct entry e;
    struct head h;
    int ret;

    arena_clear(&v->a);
    sql_bind_int(st, 1, v->at.stream);
    ret = sql_step(st, v->err);
    bytes = ret == 1 ? sql_blob_dup(st, 1, &v->a) : (struct slice){NULL, 0};
    signature = ret == 1 ? sql_blob_dup(st, 2, &v->a) : bytes;
    sql_done(st);
    if (ret != 1)
        return ret;
    if (bytes.p == NULL || signature.p == NULL)
        return err_set(v->err, E_NOMEM, NULL);
    ret = replica_check_head(v->r, v->at.stream, bytes, signature, &h, v->err);
    if (ret != 0)
        return err_set(v->err, E_CORRUPT, "数据流 %u 保存的回执不是市级所签", v->at.stream);
    if (h.seq == 0)
        chain_start(v->r->hasher, v->at.stream, &v->r->own.ledger, e.hash);
    else
        ret = store_entry_get(v->r->store, h.stream, h.seq, &v->a, &e, v->err);
    if (ret == 0 && memcmp(e.hash, h.hash, HASH_SIZE) != 0)
        ret = bad_entry(v, h.seq, "与市级回执不符");
    return ret;
}

/* Where the log begins: at 1, or behind a snapshot whose history is not whole. */
static int verify_from(struct verify *v, uint32_t stream)
{
    struct replica_snapshot s;
    int ret = replica_snapshot(v->r, stream, &s, v->err);

    v->at = (struct stream_head){.stream = stream};
    chain_start(v->r->hasher, stream, &v->r->own.ledger, v->at.hash);
    if (ret == 0) {
        v->at.seq = s.base_seq;
        memcpy(v->at.hash, s.base_hash, HASH_SIZE);
    }
    return ret == E_NOTFOUND ? 0 : ret;
}

static int verify_stream(struct verify *v, uint32_t stream)
{
    struct stream_head head;
    int ret = store_stream_get(v->r->store, stream, &head, v->err);

    if (ret != 0)
        return ret;
    ret = verify_from(v, stream);
    if (ret == 0)
        ret = store_entry_each(v->r->store, stream, v->at.seq + 1, verify_entry, v, v->err);
    if (ret != 0)
        return ret;
    if (v->at.seq != head.seq || memcmp(v->at.hash, head.hash, HASH_SIZE) != 0)
        return bad_entry(v, v->at.seq, "与保存的位置不符");
    return verify_receipt(v);
}

/* Own changes that are not in the log. */
static int verify_kept(struct verify *v)
{
    static const char query[] =
        "SELECT n, bytes, side FROM pending UNION ALL"
        " SELECT n, bytes, side FROM refused_change ORDER BY 1";
    sqlite3_stmt *st;
    int ret = sql_prepare(v->r->db, query, &st, v->err);

    if (ret != 0)
        return ret;
    while ((ret = sql_step(st, v->err)) == 1) {
        uint64_t n = (uint64_t)sqlite3_column_int64(st, 0);
        uint8_t hash[HASH_SIZE];
        struct slice side;
        struct change c;

        arena_clear(&v->a);
        change_hash(v->r->hasher, sql_blob(st, 1), hash);
        ret = rest_open(v->r, &v->a, sql_blob(st, 2), &side, v->err);
        if (ret == 0)
            ret = own_change_read(&v->a, n, sql_blob(st, 1), side, &c, v->err);
        if (ret == 0 && (c.n != n || change_check_side(v->r->hasher, &c) != 0))
            ret = err_set(v->err, E_CORRUPT, "本机第 %llu 项更改已损坏", (unsigned long long)n);
        if (ret == 0)
            ret = note_own(v, n, hash);
        if (ret != 0)
            break;
    }
    (void)sqlite3_finalize(st); /* repeats the result of the step */
    return ret;
}

static int verify_own_chain(struct verify *v)
{
    uint8_t chain[HASH_SIZE];
    struct id first;
    int ret = own_first(v->r, &first, v->err);

    if (ret != 0)
        return ret;
    own_chain_start(v->r->hasher, &first, chain);
    for (uint64_t n = 1; n <= v->r->own.n; n++) {
        if (!v->has[n - 1])
            return err_set(v->err, E_CORRUPT, "本机第 %llu 项更改缺失", (unsigned long long)n);
        own_chain_next(v->r->hasher, chain, v->own[n - 1]);
    }
    if (memcmp(chain, v->r->own.chain, HASH_SIZE) != 0)
        return err_set(v->err, E_CORRUPT, "本机更改与其校验链不符");
    return 0;
}

static int verify_all(struct verify *v)
{
    int ret;

    v->own = mem_calloc((size_t)v->r->own.n, sizeof *v->own);
    v->has = mem_calloc((size_t)v->r->own.n, sizeof *v->has);
    if (v->own == NULL || v->has == NULL)
        return err_set(v->err, E_NOMEM, NULL);
    ret = verify_stream(v, STREAM_SHARED);
    if (ret == 0)
        ret = verify_stream(v, v->r->own.site);
    if (ret == 0)
        ret = verify_kept(v);
    return ret == 0 ? verify_own_chain(v) : ret;
}

int replica_verify(struct replica *r, struct err *err)
{
    struct verify v = {.r = r, .err = err};
    int ret = replica_begin(r, err); /* nobody moves anything meanwhile */

    if (ret != 0)
        return ret;
    arena_init(&v.a, WORK_MAX);
    ret = verify_all(&v);
    if (ret == 0)
        ret = repair_verify(r, err);
    arena_release(&v.a);
    mem_free(v.own);
    mem_free(v.has);
    if (ret == E_DIGEST && replica_commit(r, NULL) == 0)
        return ret; /* what was found is known: the next session compares */
    replica_rollback(r);
    return ret;
}

/* ---- rebuild ---- */

struct rebuild {
    struct replica *r;
    struct arena a;
    struct err *err;
};

static int replay(void *ctx, const struct entry *e)
{
    struct rebuild *b = ctx;
    struct verdict v;
    struct change c;
    struct row *row;
    int ret;

    arena_clear(&b->a);
    ret = change_decode(&b->a, e->bytes, e->side, &c);
    if (ret == 0)
        ret = verdict_decode(&b->a, e->verdict, &v);
    if (ret != 0)
        return err_set(b->err, ret == E_NOMEM ? E_NOMEM : E_CORRUPT, "数据流 %u 第 %llu 条记录无法识别", e->stream,
                       (unsigned long long)e->seq);
    return store_apply(b->r->store, &b->a, &c, &v, e->seq, &row, b->err);
}

static int lay_again(struct rebuild *b)
{
    static const char query[] = "SELECT DISTINCT record, kind FROM pending";
    sqlite3_stmt *st;
    int ret = sql_prepare(b->r->db, query, &st, b->err);

    if (ret != 0)
        return ret;
    while ((ret = sql_step(st, b->err)) == 1) {
        const struct kind *kind = catalogue_kind((uint32_t)sqlite3_column_int64(st, 1));
        struct id record = sql_id(st, 0);
        struct row *base;

        if (kind == NULL)
            continue;
        arena_clear(&b->a);
        ret = store_row_get(b->r->store, &b->a, kind, &record, &base, b->err);
        if (ret == 0)
            ret = overlay_lay(b->r, &b->a, kind, &record, base, b->err);
        if (ret != 0)
            break;
    }
    (void)sqlite3_finalize(st); /* repeats the result of the step */
    return ret;
}

/* The tables follow from the whole log only. */
static int check_whole(struct replica *r, struct err *err)
{
    const uint32_t streams[] = {STREAM_SHARED, r->own.site};
    struct replica_snapshot s;
    int ret = E_NOTFOUND;

    for (size_t i = 0; ret == E_NOTFOUND && i < 2; i++)
        ret = replica_snapshot(r, streams[i], &s, err);
    if (ret == 0)
        return err_set(err, E_WAITING, "较早的历史还在下载，下载完才能重建");
    return ret == E_NOTFOUND ? 0 : ret;
}

static int rebuild(struct rebuild *b)
{
    struct replica *r = b->r;
    int ret = check_whole(r, b->err);

    if (ret == 0)
        ret = store_projection_clear(r->store, b->err);
    if (ret == 0)
        ret = sql_exec(r->db, "DELETE FROM base_row", b->err);
    if (ret == 0)
        ret = store_entry_each(r->store, STREAM_SHARED, 1, replay, b, b->err);
    if (ret == 0)
        ret = store_entry_each(r->store, r->own.site, 1, replay, b, b->err);
    return ret == 0 ? lay_again(b) : ret;
}

int replica_retell(struct replica *r, struct err *err)
{
    struct rebuild b = {.r = r, .err = err};
    int ret;

    arena_init(&b.a, WORK_MAX);
    ret = rebuild(&b);
    arena_release(&b.a);
    return ret;
}

int replica_rebuild(struct replica *r, struct err *err)
{
    int ret = replica_begin(r, err);

    if (ret != 0)
        return ret;
    ret = replica_retell(r, err);
    if (ret == 0)
        ret = repair_compare_anew(r, err);
    if (ret == 0)
        return replica_commit(r, err);
    replica_rollback(r);
    return ret;
}
