/* Lives of the store: beginning one, what a replica of an older one is told, and the end of a recovery. */
#include "server/store/city_recover.h"

#include "server/store/city_internal.h"

#include <string.h>

#define META_SINCE   "recovering" /* when the present recovery began; 0: none */
#define META_REFUSED "refill_refused"
#define META_SAID    "refill_said"
#define META_TAKEN   "refill_taken"
#define META_LATE    "refill_late"

/* ---- lives ---- */

bool city_recovering(const struct city *c)
{
    return c->recovering != 0;
}

bool city_was_restored(const struct city *c)
{
    return c->restored;
}

/* What the file says, at opening. */
int city_read_life(struct city *c, struct err *err)
{
    int64_t since;
    int ret = store_meta_number(c->store, META_SINCE, 0, &since, err);

    if (ret != 0)
        return ret;
    ret = sql_step(c->st[CS_LIFE_LAST], err);
    sql_done(c->st[CS_LIFE_LAST]);
    c->recovering = (msec_t)since;
    c->restored = ret == 1;
    c->committed_life = (struct city_life){c->incarnation, c->recovering, c->restored};
    return ret < 0 ? ret : 0;
}

static int end_life(struct city *c, const char *why, struct err *err)
{
    static const char *const forget[] = {"DELETE FROM heard", "DELETE FROM shown",
                                         "DELETE FROM refill",
                                         "DELETE FROM token WHERE used_at IS NULL"};
    sqlite3_stmt *st = c->st[CS_LIFE_PUT];
    int ret;

    sql_bind_id(st, 1, &c->incarnation);
    sql_bind_int(st, 2, (int64_t)c->now);
    sql_bind_text(st, 3, slice_str(why));
    ret = sql_run(st, err);
    for (size_t i = 0; ret == 0 && i < sizeof forget / sizeof *forget; i++)
        ret = sql_exec(c->db, forget[i], err);
    return ret;
}

static int put_life(struct city *c, struct err *err)
{
    int ret = store_meta_put(c->store, "incarnation", (struct slice){c->incarnation.b, ID_SIZE}, err);

    if (ret == 0)
        ret = store_meta_put_int(c->store, META_SINCE, (int64_t)c->recovering, err);
    if (ret == 0)
        ret = store_meta_put_int(c->store, META_REFUSED, 0, err);
    if (ret == 0)
        ret = store_meta_put_int(c->store, META_TAKEN, 0, err);
    if (ret == 0)
        ret = store_meta_put_int(c->store, META_LATE, 0, err);
    return ret == 0 ? store_meta_put(c->store, META_SAID, slice_str(""), err) : ret;
}

int city_restart(struct city *c, const char *why, struct err *err)
{
    int ret = city_replica_keep(c, err);

    if (ret == 0)
        ret = end_life(c, why, err);
    if (ret != 0)
        return ret;
    random_fill(&c->random, c->incarnation.b, ID_SIZE);
    c->recovering = c->now;
    c->restored = true;
    for (unsigned i = 0; i < c->n_streams; i++)
        c->streams[i].advanced = true; /* signed anew, by the new life */
    return put_life(c, err);
}

/* Every life that has none yet ends where the streams stand. */
static int put_ends(struct city *c, struct err *err)
{
    sqlite3_stmt *st = c->st[CS_LIFE_END];
    int ret = 0;

    for (unsigned i = 0; ret == 0 && i < c->n_streams; i++) {
        sql_bind_int(st, 1, c->streams[i].now.stream);
        sql_bind_int(st, 2, (int64_t)c->streams[i].now.seq);
        ret = sql_run(st, err);
    }
    return ret;
}

int city_recover_close(struct city *c, const char *login, struct err *err)
{
    sqlite3_stmt *st = c->st[CS_LIFE_CLOSE];
    int ret;

    if (c->recovering == 0)
        return err_set(err, E_STATE, "市级数据不在恢复之中");
    ret = city_replica_keep(c, err);
    if (ret == 0)
        ret = put_ends(c, err);
    if (ret != 0)
        return ret;
    sql_bind_int(st, 1, (int64_t)c->now);
    sql_bind_text(st, 2, slice_str(login));
    ret = sql_run(st, err);
    if (ret == 0)
        ret = store_meta_put_int(c->store, META_SINCE, 0, err);
    c->recovering = 0;
    for (unsigned i = 0; i < c->n_streams; i++)
        c->streams[i].advanced = true; /* the heads file follows the store again */
    return ret;
}

/* ---- a replica's cursor ---- */

int city_check_head(struct city *c, uint32_t stream, struct slice bytes, struct slice signature,
                    struct head *ret)
{
    struct buf message;
    int status;

    if (c->verifier.verify == NULL || head_decode(bytes, ret) != 0 || ret->stream != stream ||
        !id_eq(&ret->ledger, &c->ledger))
        return E_AUTH;
    buf_init(&message, 1024);
    buf_str(&message, HEAD_SIGN_PREFIX);
    buf_put(&message, bytes.p, bytes.len);
    status = message.ret != 0 ? message.ret
                              : c->verifier.verify(c->verifier.ctx, buf_slice(&message), signature);
    buf_release(&message);
    return status;
}

int city_hash_at(struct city *c, uint32_t stream, uint64_t seq, uint8_t ret[HASH_SIZE],
                 struct err *err)
{
    struct arena a;
    struct entry e;
    int status;

    if (seq == 0) {
        chain_start(c->hasher, stream, &c->ledger, ret);
        return 0;
    }
    arena_init(&a, 4u * ACT_MAX_BYTES);
    status = store_entry_get(c->store, stream, seq, &a, &e, err);
    if (status == 0)
        memcpy(ret, e.hash, HASH_SIZE);
    arena_release(&a);
    return status;
}

/* Where the life INCARNATION ended; an unknown one ended no later than the last. */
static int end_of(struct city *c, const struct id *incarnation, uint32_t stream, uint64_t *ret,
                  struct err *err)
{
    sqlite3_stmt *st = c->st[CS_LIFE_ENDED];
    int status;

    sql_bind_id(st, 1, incarnation);
    sql_bind_int(st, 2, stream);
    status = sql_step(st, err);
    if (status == 1)
        *ret = (uint64_t)sqlite3_column_int64(st, 0);
    sql_done(st);
    return status < 0 ? status : 0;
}

static int same_hash(struct city *c, const struct city_cursor *at, bool *ret, struct err *err)
{
    uint8_t hash[HASH_SIZE];
    int status = city_hash_at(c, at->stream, at->seq, hash, err);

    *ret = status == 0 && memcmp(hash, at->hash, HASH_SIZE) == 0;
    return status;
}

/* Of the present life, or of one this store never heard of: only the hash tells. */
static int stand_here(struct city *c, const struct city_cursor *at, uint64_t own,
                      struct city_stand *ret, struct err *err)
{
    bool same = false;
    int status;

    if (at->seq > own) {
        ret->place = PLACE_AHEAD;
        return 0;
    }
    status = same_hash(c, at, &same, err);
    ret->place = same ? PLACE_SAME : PLACE_FORKED;
    return status;
}

/* Of a life that is over. Until the recovery is closed nobody knows where it ended. */
static int stand_elsewhere(struct city *c, const struct city_cursor *at, uint64_t own,
                           struct city_stand *ret, struct err *err)
{
    uint64_t end = own;
    bool same = false;
    int status = c->recovering != 0 ? 0 : end_of(c, &at->incarnation, at->stream, &end, err);

    if (status != 0)
        return status;
    if (at->seq <= end) {
        status = same_hash(c, at, &same, err);
        if (status != 0)
            return status;
        ret->place = same ? PLACE_SAME : PLACE_OTHER_LIFE;
        ret->back = !same && c->recovering == 0; /* from the beginning: it shares nothing certain */
        return 0;
    }
    ret->place = PLACE_OTHER_LIFE;
    ret->back = c->recovering == 0;
    ret->back_to = end;
    if (ret->shown > end && at->log_from <= end + 1) {
        ret->ask_from = end + 1;
        ret->ask_upto = ret->shown;
    }
    return 0;
}

int city_stand(struct city *c, const struct city_cursor *at, struct city_stand *ret,
               struct err *err)
{
    const struct city_stream *s = city_stream(c, at->stream);
    bool here = id_eq(&at->incarnation, &c->incarnation);
    struct head h;

    *ret = (struct city_stand){.ask_from = 1};
    if (s == NULL)
        return err_set(err, E_DENIED, NULL);
    if (at->head.len > 0 && city_check_head(c, at->stream, at->head, at->signature, &h) == 0) {
        ret->shown = h.seq;
        if (id_eq(&h.incarnation, &c->incarnation) && h.seq > s->head_seq) {
            ret->place = PLACE_FREEZES;
            return 0;
        }
    }
    if (at->seq == 0)
        return 0;
    return here || !c->restored ? stand_here(c, at, s->head_seq, ret, err)
                                : stand_elsewhere(c, at, s->head_seq, ret, err);
}

/* ---- who was heard ---- */

static int put_shown(struct city *c, uint32_t no, uint32_t stream, uint64_t seq, struct err *err)
{
    sqlite3_stmt *st = c->st[CS_SHOWN_PUT];

    sql_bind_int(st, 1, stream);
    sql_bind_int(st, 2, (int64_t)seq);
    sql_bind_int(st, 3, no);
    sql_bind_int(st, 4, (int64_t)c->now);
    return sql_run(st, err);
}

int city_heard(struct city *c, const struct id *replica, const uint32_t *streams,
               const uint64_t *seqs, size_t n, struct err *err)
{
    sqlite3_stmt *st = c->st[CS_HEARD_PUT];
    struct replica_row r;
    int ret;

    if (c->recovering == 0)
        return 0;
    ret = city_replica_get(c, replica, &r, err);
    if (ret != 0)
        return ret;
    sql_bind_int(st, 1, r.no);
    sql_bind_int(st, 2, (int64_t)c->now);
    ret = sql_run(st, err);
    for (size_t i = 0; ret == 0 && i < n; i++) {
        if (seqs[i] > 0)
            ret = put_shown(c, r.no, streams[i], seqs[i], err);
    }
    return ret;
}

int city_went_back(struct city *c, const struct id *replica, uint32_t stream, uint64_t seq, uint64_t n,
                   struct err *err)
{
    sqlite3_stmt *st = c->st[CS_WENT_BACK_PUT];
    struct replica_row r;
    int ret = city_replica_get(c, replica, &r, err);

    if (ret != 0)
        return ret;
    sql_bind_int(st, 1, r.no);
    sql_bind_int(st, 2, stream);
    sql_bind_int(st, 3, (int64_t)seq);
    sql_bind_int(st, 4, (int64_t)n);
    return sql_run(st, err);
}

int city_cap_seen(struct city *c, struct change *changes, size_t n, struct err *err)
{
    sqlite3_stmt *st = c->st[CS_WENT_BACK_GET];
    int ret = 0;

    for (size_t i = 0; ret == 0 && c->restored && i < n; i++) {
        sql_bind_int(st, 1, c->replica.no);
        sql_bind_int(st, 2, changes[i].stream);
        sql_bind_int(st, 3, (int64_t)changes[i].n);
        ret = sql_step(st, err);
        if (ret == 1 && sqlite3_column_type(st, 0) != SQLITE_NULL &&
            (uint64_t)sqlite3_column_int64(st, 0) < changes[i].seen)
            changes[i].seen = (uint64_t)sqlite3_column_int64(st, 0);
        sql_done(st);
        ret = ret < 0 ? ret : 0;
    }
    return ret;
}

/* The numbers between have no entry here: they were refused, or are handed back by another. The chain is
 * known at the last one only. */
int city_adopt(struct city *c, const struct id *replica, uint64_t acked_n,
               const uint8_t acked_chain[HASH_SIZE], struct err *err)
{
    sqlite3_stmt *st = c->st[CS_PROCESSED_ADOPT];
    int ret = city_load_replica(c, replica, err);

    if (ret != 0 || acked_n <= c->replica.accepted_n)
        return ret;
    if (acked_n - c->replica.accepted_n > CITY_ADOPT_MAX)
        return err_set(err, E_PROTOCOL, "自称已答复的更改多得不可能");
    for (uint64_t n = c->replica.accepted_n + 1; ret == 0 && n <= acked_n; n++) {
        sql_bind_int(st, 1, POS(c->replica.no, n));
        sql_bind_blob(st, 2, (struct slice){acked_chain, n == acked_n ? HASH_SIZE : 0});
        ret = sql_run(st, err);
    }
    if (ret != 0)
        return ret;
    c->replica.accepted_n = acked_n;
    memcpy(c->replica.own_chain, acked_chain, HASH_SIZE);
    c->replica_ahead = true;
    return 0;
}

/* ---- for people ---- */

static int add(struct city *c, const char *name, uint64_t more, struct err *err)
{
    int64_t n;
    int ret = store_meta_number(c->store, name, 0, &n, err);

    return ret == 0 ? store_meta_put_int(c->store, name, n + (int64_t)more, err) : ret;
}

int city_note_taken(struct city *c, uint64_t n, struct err *err)
{
    return add(c, c->recovering != 0 ? META_TAKEN : META_LATE, n, err);
}

int city_note_refused(struct city *c, const char *text, struct err *err)
{
    int ret = add(c, META_REFUSED, 1, err);

    return ret == 0 ? store_meta_put(c->store, META_SAID, slice_str(text), err) : ret;
}

static void copy_text(char *to, size_t size, struct slice s)
{
    size_t n = s.len < size - 1 ? s.len : size - 1;

    if (n > 0)
        memcpy(to, s.p, n);
    to[n] = '\0';
}

static int read_counts(struct city *c, struct city_recovery *ret, struct err *err)
{
    int64_t taken, late, refused;
    int status = store_meta_number(c->store, META_TAKEN, 0, &taken, err);

    if (status == 0)
        status = store_meta_number(c->store, META_LATE, 0, &late, err);
    if (status == 0)
        status = store_meta_number(c->store, META_REFUSED, 0, &refused, err);
    if (status != 0)
        return status;
    ret->taken = (uint64_t)taken;
    ret->late = (uint64_t)late;
    ret->refused = (uint64_t)refused;
    return 0;
}

int city_recovery(struct city *c, struct city_recovery *ret, struct err *err)
{
    sqlite3_stmt *st = c->st[CS_LIFE_LAST];
    struct slice said;
    struct arena a;
    int status;

    *ret = (struct city_recovery){.on = c->recovering != 0,
                                  .since = c->recovering,
                                  .incarnation = c->incarnation};
    status = read_counts(c, ret, err);
    if (status != 0)
        return status;
    arena_init(&a, 65536);
    status = store_meta_get(c->store, META_SAID, &a, &said, err);
    if (status == 0)
        copy_text(ret->refused_text, sizeof ret->refused_text, said);
    arena_release(&a);
    if (status != 0 && status != E_NOTFOUND)
        return status;
    status = sql_step(st, err);
    if (status == 1)
        copy_text(ret->why, sizeof ret->why, sql_text(st, 0));
    sql_done(st);
    return status < 0 ? status : 0;
}

struct hearing {
    struct city *city;
    int (*cb)(void *ctx, const struct replica_row *r, msec_t heard_at);
    void *ctx;
    struct err *err;
};

static int show_replica(void *ctx, const struct replica_row *r)
{
    const struct hearing *h = ctx;
    sqlite3_stmt *st = h->city->st[CS_HEARD_GET];
    msec_t at = 0;
    int ret;

    if (r->state != REPLICA_ACTIVE)
        return 0;
    sql_bind_int(st, 1, r->no);
    ret = sql_step(st, h->err);
    if (ret == 1)
        at = (msec_t)sqlite3_column_int64(st, 0);
    sql_done(st);
    return ret < 0 ? ret : h->cb(h->ctx, r, at);
}

int city_recover_replicas(struct city *c,
                          int (*cb)(void *ctx, const struct replica_row *r, msec_t heard_at),
                          void *ctx, struct err *err)
{
    struct hearing h = {c, cb, ctx, err};

    return city_replica_each(c, show_replica, &h, err);
}

int city_recover_streams(struct city *c, int (*cb)(void *ctx, const struct recover_stream *s),
                         void *ctx, struct err *err)
{
    sqlite3_stmt *st = c->st[CS_SHOWN_GET];
    int ret = 0;

    for (unsigned i = 0; ret == 0 && i < c->n_streams; i++) {
        struct recover_stream s = {.stream = c->streams[i].now.stream,
                                   .seq = c->streams[i].now.seq};
        struct stream_head filed;

        sql_bind_int(st, 1, s.stream);
        ret = sql_step(st, err);
        if (ret == 1)
            s.shown = (uint64_t)sqlite3_column_int64(st, 0);
        sql_done(st);
        if (ret < 0)
            return ret;
        if (heads_get(c->heads, s.stream, &filed))
            s.filed = filed.seq;
        ret = cb(ctx, &s);
    }
    return ret;
}

/* ---- the heads file ---- */

/* While a recovery goes on the file keeps what the life before had reached. */
void city_file_heads(struct city *c)
{
    struct stream_head filed;

    for (unsigned i = 0; c->heads != NULL && i < c->n_streams; i++) {
        struct stream_head at = c->streams[i].committed;

        at.incarnation = c->incarnation;
        if (c->recovering == 0 || !heads_get(c->heads, at.stream, &filed) || filed.seq <= at.seq)
            heads_put(c->heads, &at);
    }
}

bool city_is_behind(struct city *c, struct err *ret_why)
{
    struct stream_head filed;

    for (unsigned i = 0; c->recovering == 0 && i < c->n_streams; i++) {
        const struct stream_head *at = &c->streams[i].committed;

        if (!heads_get(c->heads, at->stream, &filed) || filed.seq <= at->seq)
            continue;
        (void)err_set(ret_why, E_RECOVERING,
                      "数据库比记录的旧：数据流 %u 只到第 %llu 条，曾到第 %llu 条", at->stream,
                      (unsigned long long)at->seq, (unsigned long long)filed.seq);
        return true;
    }
    return false;
}
