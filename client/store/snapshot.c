/* A stream from a snapshot: its records first, the entries behind them next, the older history last.
 *
 *   begin ── cursor at a signed head, nothing below it ──> slices ── rows as of their own seq ──>
 *   tail ── entries from the head on, those that a row has are only logged ──> usable
 *   history ── entries from 1 on, proved by the chain to lead to the same head ──> whole
 *
 * What is wrong with a slice shows in the digests, what is wrong with history in the chain: then that is
 * begun again, and nothing of the records is touched. */
#include "client/store/replica_internal.h"
#include "common/ledger/row_code.h"

#include <string.h>

/* ---- where it stands ---- */

static int read_state(struct replica *r, uint32_t stream, struct replica_snapshot *ret,
                      struct err *err)
{
    sqlite3_stmt *st = r->st[RS_SNAPSHOT_GET];
    struct slice base, place, history;
    int status;

    sql_bind_int(st, 1, stream);
    status = sql_step(st, err);
    if (status != 1)
        return status < 0 ? status : err_set(err, E_NOTFOUND, NULL);
    *ret = (struct replica_snapshot){.stream = stream,
                                     .base_seq = (uint64_t)sqlite3_column_int64(st, 0),
                                     .last_seq = (uint64_t)sqlite3_column_int64(st, 2),
                                     .loaded = sqlite3_column_int(st, 4) != 0,
                                     .history_seq = (uint64_t)sqlite3_column_int64(st, 5)};
    base = sql_blob(st, 1);
    place = sql_blob(st, 3);
    history = sql_blob(st, 6);
    status = base.len == HASH_SIZE && history.len == HASH_SIZE &&
                     (place.len == 0 || place.len == sizeof ret->place)
                 ? 0
                 : err_set(err, E_CORRUPT, "快照的下载进度已损坏");
    if (status == 0) {
        memcpy(ret->base_hash, base.p, HASH_SIZE);
        memcpy(ret->history_hash, history.p, HASH_SIZE);
        ret->has_place = place.len > 0;
        if (ret->has_place)
            memcpy(ret->place, place.p, sizeof ret->place);
    }
    sql_done(st);
    return status;
}

static int write_state(struct replica *r, const struct replica_snapshot *s, struct err *err)
{
    sqlite3_stmt *st = r->st[RS_SNAPSHOT_PUT];
    struct slice place = {s->has_place ? s->place : NULL, s->has_place ? sizeof s->place : 0};

    sql_bind_int(st, 1, s->stream);
    sql_bind_int(st, 2, (int64_t)s->base_seq);
    sql_bind_blob(st, 3, (struct slice){s->base_hash, HASH_SIZE});
    sql_bind_int(st, 4, (int64_t)s->last_seq);
    sql_bind_blob(st, 5, place);
    sql_bind_int(st, 6, s->loaded);
    sql_bind_int(st, 7, (int64_t)s->history_seq);
    sql_bind_blob(st, 8, (struct slice){s->history_hash, HASH_SIZE});
    return sql_run(st, err);
}

int replica_snapshot(struct replica *r, uint32_t stream, struct replica_snapshot *ret,
                     struct err *err)
{
    return read_state(r, stream, ret, err);
}

int replica_loading(struct replica *r, uint32_t stream, bool *ret, struct err *err)
{
    struct replica_snapshot s;
    struct stream_head h;
    int status = read_state(r, stream, &s, err);

    *ret = false;
    if (status == E_NOTFOUND)
        return 0;
    if (status == 0)
        status = store_stream_get(r->store, stream, &h, err);
    if (status == 0)
        *ret = !s.loaded || h.seq < s.last_seq;
    return status;
}

/* ---- begin ---- */

static int begin(struct replica *r, uint32_t stream, struct slice head, struct slice signature,
                 uint64_t *ret_seq, struct err *err)
{
    struct replica_snapshot s = {.stream = stream};
    struct stream_head at;
    struct head h;
    int ret = replica_check_head(r, stream, head, signature, &h, err);

    if (ret == 0)
        ret = store_stream_get(r->store, stream, &at, err);
    if (ret == 0 && at.seq != 0)
        ret = err_set(err, E_STATE, "数据流 %u 已有记录，不能从快照载入", stream);
    if (ret != 0)
        return ret;
    s.base_seq = s.last_seq = at.seq = h.seq;
    memcpy(s.base_hash, h.hash, HASH_SIZE);
    memcpy(s.history_hash, at.hash, HASH_SIZE); /* of seq 0 */
    memcpy(at.hash, h.hash, HASH_SIZE);
    at.incarnation = h.incarnation;
    *ret_seq = h.seq;
    ret = write_state(r, &s, err);
    return ret == 0 ? store_stream_put(r->store, &at, err) : ret;
}

static int finish(struct replica *r, int ret, struct err *err)
{
    if (ret == 0)
        return replica_commit(r, err);
    replica_rollback(r);
    return ret;
}

int replica_snapshot_begin(struct replica *r, uint32_t stream, struct slice head,
                           struct slice signature, uint64_t *ret_seq, struct err *err)
{
    int ret = replica_begin(r, err);

    return ret != 0 ? ret : finish(r, begin(r, stream, head, signature, ret_seq, err), err);
}

/* ---- slices ---- */

/* A row of a kind that this catalogue does not have is left to history. */
static int take_row(struct replica *r, struct arena *a, const struct replica_snapshot *s,
                    uint64_t seq, struct slice bytes, struct err *err)
{
    struct row *row, *base;
    bool covered;
    int ret = row_decode(a, bytes, &row);

    if (ret == E_VERSION)
        return repair_met_unknown(r, s->stream, err);
    if (ret == 0 && (row->stream != s->stream || row->seq > seq || row->seq == 0))
        ret = E_MALFORMED;
    if (ret != 0)
        return err_set(err, ret, "快照中的一条记录无法识别");
    ret = overlay_base(r, a, row->kind, &row->id, &base, &covered, err);
    if (ret != 0 || (base != NULL && base->seq >= row->seq))
        return ret;
    if (base != NULL)
        ret = store_row_leaves(r->store, base, err);
    if (ret == 0)
        ret = store_row_comes(r->store, row, err);
    if (ret != 0)
        return ret;
    return covered ? overlay_lay(r, a, row->kind, &row->id, row, err)
                   : store_row_put(r->store, row, err);
}

/* Whether an entry from outside can be read, and its sidecar is its own. */
static int read_change(struct replica *r, struct arena *a, uint32_t stream, const struct arrived *in,
                       struct change *ret)
{
    int status = change_decode(a, in->bytes, in->side, ret);

    if (status == 0)
        status = change_check_side(r->hasher, ret);
    return status == 0 && ret->stream != stream ? E_MALFORMED : status;
}

static int cut_log(struct replica *r, uint32_t stream, uint64_t from, uint64_t upto,
                   struct err *err)
{
    sqlite3_stmt *st = r->st[RS_LOG_CUT];

    sql_bind_int(st, 1, POS(stream, from));
    sql_bind_int(st, 2, POS(stream, upto));
    return sql_run(st, err);
}

/* An entry out of its turn: history will put it in its place in the chain. Until then its own hash stands
 * for the chain's. */
static int take_named(struct replica *r, struct arena *a, uint32_t stream, const struct arrived *in,
                      uint64_t seq, struct err *err)
{
    struct entry e = {.stream = stream,
                      .seq = seq,
                      .received_at = in->received_at,
                      .verdict = in->verdict,
                      .bytes = in->bytes,
                      .side = in->side};
    struct change c;
    int ret = read_change(r, a, stream, in, &c);

    if (ret == E_NOMEM)
        return err_set(err, ret, NULL);
    if (ret != 0)
        return err_set(err, E_MALFORMED, "快照中的一条经过无法识别");
    change_hash(r->hasher, e.bytes, e.hash);
    ret = cut_log(r, stream, seq, seq, err);
    return ret == 0 ? store_entry_append(r->store, &e, &c, err) : ret;
}

static int take_slice(struct replica *r, struct arena *a, const struct replica_slice *in,
                      struct err *err)
{
    struct replica_snapshot s;
    int ret = read_state(r, in->stream, &s, err);

    if (ret == 0 && s.loaded)
        ret = err_set(err, E_STATE, "快照已经载完");
    if (ret == 0 && in->seq < s.base_seq)
        ret = err_set(err, E_PROTOCOL, "快照比签名的数据头更早");
    for (size_t i = 0; ret == 0 && i < in->n_rows; i++) {
        arena_clear(a);
        ret = take_row(r, a, &s, in->seq, in->rows[i], err);
    }
    for (size_t i = 0; ret == 0 && i < in->n_entries; i++) {
        arena_clear(a);
        if (in->entry_seqs[i] <= s.base_seq && in->entry_seqs[i] > s.history_seq)
            ret = take_named(r, a, in->stream, &in->entries[i], in->entry_seqs[i], err);
    }
    if (ret != 0)
        return ret;
    if (s.last_seq < in->seq)
        s.last_seq = in->seq;
    s.has_place = in->next.len == sizeof s.place;
    s.loaded = !s.has_place;
    if (s.has_place)
        memcpy(s.place, in->next.p, sizeof s.place);
    return write_state(r, &s, err);
}

int replica_snapshot_slice(struct replica *r, const struct replica_slice *in, struct err *err)
{
    struct arena a;
    int ret;

    store_relax_next(r->store); /* what a power cut loses is asked for again */
    ret = replica_begin(r, err);
    if (ret != 0)
        return ret;
    arena_init(&a, WORK_MAX);
    ret = take_slice(r, &a, in, err);
    arena_release(&a);
    return finish(r, ret, err);
}

/* ---- history ---- */

static int take_old(struct replica *r, struct arena *a, struct replica_snapshot *s,
                    const struct arrived *in, struct err *err)
{
    struct entry e = {.stream = s->stream,
                      .seq = s->history_seq + 1,
                      .received_at = in->received_at,
                      .verdict = in->verdict,
                      .bytes = in->bytes,
                      .side = in->side};
    uint8_t hash[HASH_SIZE];
    struct verdict v;
    struct change c;
    int ret = in->echo_n != 0 ? E_MALFORMED : read_change(r, a, s->stream, in, &c);

    if (ret == 0)
        ret = verdict_decode(a, e.verdict, &v);
    if (ret == E_NOMEM)
        return err_set(err, ret, NULL);
    if (ret != 0)
        return err_set(err, E_CORRUPT, "数据流 %u 第 %llu 条历史无法识别", s->stream,
                       (unsigned long long)e.seq);
    change_hash(r->hasher, e.bytes, hash);
    chain_next(r->hasher, s->history_hash, e.seq, e.received_at, e.verdict, hash, e.hash);
    memcpy(s->history_hash, e.hash, HASH_SIZE);
    s->history_seq = e.seq;
    return store_entry_append(r->store, &e, &c, err);
}

static int end_history(struct replica *r, struct err *err, uint32_t stream)
{
    sqlite3_stmt *st = r->st[RS_SNAPSHOT_DEL];

    sql_bind_int(st, 1, stream);
    return sql_run(st, err);
}

/* Not the history of the signed head: it is dropped and begun again. */
static int begin_again(struct replica *r, struct replica_snapshot *s, struct err *err)
{
    int ret = cut_log(r, s->stream, 1, s->base_seq, err);

    s->history_seq = 0;
    chain_start(r->hasher, s->stream, &r->own.ledger, s->history_hash);
    return ret == 0 ? write_state(r, s, err) : ret;
}

static int take_history(struct replica *r, struct arena *a, uint32_t stream, uint64_t first_seq,
                        const struct arrived *entries, size_t n, bool *ret_forged, struct err *err)
{
    struct replica_snapshot s;
    int ret = read_state(r, stream, &s, err);

    *ret_forged = false;
    if (ret == 0 && (first_seq != s.history_seq + 1 || first_seq + n - 1 > s.base_seq))
        ret = err_set(err, E_PROTOCOL, "历史记录不连续");
    if (ret == 0)
        ret = cut_log(r, stream, first_seq, first_seq + n - 1, err);
    for (size_t i = 0; ret == 0 && i < n; i++) {
        arena_clear(a);
        ret = take_old(r, a, &s, &entries[i], err);
    }
    if (ret != 0)
        return ret;
    if (s.history_seq < s.base_seq)
        return write_state(r, &s, err);
    *ret_forged = memcmp(s.history_hash, s.base_hash, HASH_SIZE) != 0;
    return *ret_forged ? begin_again(r, &s, err) : end_history(r, err, stream);
}

int replica_history(struct replica *r, uint32_t stream, uint64_t first_seq,
                    const struct arrived *entries, size_t n, struct err *err)
{
    struct arena a;
    bool forged;
    int ret;

    store_relax_next(r->store);
    ret = replica_begin(r, err);
    if (ret != 0)
        return ret;
    arena_init(&a, WORK_MAX);
    ret = finish(r, take_history(r, &a, stream, first_seq, entries, n, &forged, err), err);
    arena_release(&a);
    return ret == 0 && forged
               ? err_set(err, E_CORRUPT, "数据流 %u 的历史与市级签名的数据头不符", stream)
               : ret;
}
