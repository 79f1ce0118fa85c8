/* What replicas hand back: kept aside until it reaches a head that this city signed, then taken as it stood,
 * or, when its places are taken by now, as late acts.
 *
 *   put … put ── take: chain from our own entry to the signed head ── ok ──> log, tables, numbers
 *                                                                  └─ not ──> forgotten, counted, shown */
#include "server/store/city_recover.h"

#include "common/base/mem.h"
#include "common/ledger/entry.h"
#include "server/store/city_internal.h"

#include <string.h>

#define ENTRY_ARENA (16u << 20) /* one entry, decoded and applied */
#define ACT_ARENA   (16u * ACT_MAX_BYTES)
#define REST_SEALED 0x80u

/* ---- kept aside ---- */

static int seal_side(struct city *c, struct slice side, struct slice seed, struct buf *out,
                     struct slice *ret)
{
    *ret = side.len == 0 ? (struct slice){NULL, 0} : side;
    if (c->vault == NULL || side.len == 0)
        return 0;
    buf_clear(out);
    buf_u8(out, REST_SEALED);
    if (c->vault->seal(c->vault->ctx, side, seed, out) != 0 || out->ret != 0)
        return out->ret == E_NOMEM ? E_NOMEM : E_INTERNAL;
    *ret = buf_slice(out);
    return 0;
}

static int open_side(struct city *c, struct arena *a, struct slice rest, struct slice *ret)
{
    struct buf plain;
    int status;

    *ret = rest;
    if (rest.p == NULL)
        return E_NOMEM;
    if (rest.len == 0 || rest.p[0] != REST_SEALED)
        return 0;
    if (c->vault == NULL)
        return E_CORRUPT;
    buf_init(&plain, 2u * ACT_MAX_BYTES);
    status = c->vault->open(c->vault->ctx, (struct slice){rest.p + 1, rest.len - 1}, &plain);
    if (status == 0) {
        *ret = (struct slice){arena_dup(a, plain.p, plain.len), plain.len};
        status = ret->p == NULL ? E_NOMEM : plain.ret;
    }
    buf_release(&plain);
    return status;
}

static int put_one(struct city *c, uint32_t no, int64_t pos, const struct refilled *e,
                   struct buf *sealed, struct err *err)
{
    sqlite3_stmt *st = c->st[CS_REFILL_PUT];
    uint8_t seed[HASH_SIZE];
    struct slice side;
    int ret;

    change_hash(c->hasher, e->bytes, seed);
    ret = seal_side(c, e->side, (struct slice){seed, HASH_SIZE}, sealed, &side);
    if (ret != 0)
        return err_set(err, ret, NULL);
    sql_bind_int(st, 1, no);
    sql_bind_int(st, 2, pos);
    sql_bind_int(st, 3, (int64_t)e->received_at);
    sql_bind_blob(st, 4, e->verdict);
    sql_bind_blob(st, 5, e->bytes);
    sql_bind_blob(st, 6, side);
    return sql_run(st, err);
}

int city_refill_put(struct city *c, const struct id *replica, uint32_t stream, uint64_t first_seq,
                    const struct refilled *entries, size_t n, struct err *err)
{
    struct replica_row r;
    struct buf sealed;
    int ret = city_replica_get(c, replica, &r, err);

    buf_init(&sealed, 2u * ACT_MAX_BYTES);
    for (size_t i = 0; ret == 0 && i < n; i++)
        ret = put_one(c, r.no, POS(stream, first_seq + i), &entries[i], &sealed, err);
    buf_release(&sealed);
    return ret;
}

int city_refill_drop(struct city *c, const struct id *replica, struct err *err)
{
    struct replica_row r;
    int ret = city_replica_get(c, replica, &r, err);

    if (ret != 0)
        return ret;
    sql_bind_int(c->st[CS_REFILL_DROP], 1, r.no);
    return sql_run(c->st[CS_REFILL_DROP], err);
}

/* ---- a walk over it ---- */

struct walk {
    struct city *c;
    uint32_t stream;
    uint64_t seq; /* the last one walked over */
    uint8_t hash[HASH_SIZE];
    struct arena a; /* of one entry */
    uint64_t taken;
    struct err *err;
};

struct found {
    struct entry e;
    struct change c;
    struct verdict v;
    uint8_t bytes_hash[HASH_SIZE];
};

typedef int (*on_found)(void *ctx, const struct found *f);

static int read_found(struct walk *w, sqlite3_stmt *st, struct found *f)
{
    int ret;

    *f = (struct found){.e = {.stream = w->stream,
                              .seq = POS_LOW(sqlite3_column_int64(st, 0)),
                              .received_at = (msec_t)sqlite3_column_int64(st, 1),
                              .verdict = sql_blob_dup(st, 2, &w->a),
                              .bytes = sql_blob_dup(st, 3, &w->a)}};
    if (f->e.verdict.p == NULL || f->e.bytes.p == NULL)
        return E_NOMEM;
    ret = open_side(w->c, &w->a, sql_blob_dup(st, 4, &w->a), &f->e.side);
    if (ret == 0)
        ret = change_decode(&w->a, f->e.bytes, f->e.side, &f->c);
    if (ret == 0)
        ret = verdict_decode(&w->a, f->e.verdict, &f->v);
    if (ret == 0)
        ret = change_check_side(w->c->hasher, &f->c);
    if (ret == 0 && (f->e.seq != w->seq + 1 || f->c.stream != w->stream))
        ret = E_CORRUPT;
    if (ret != 0)
        return ret;
    change_hash(w->c->hasher, f->e.bytes, f->bytes_hash);
    chain_next(w->c->hasher, w->hash, f->e.seq, f->e.received_at, f->e.verdict, f->bytes_hash,
               f->e.hash);
    w->seq = f->e.seq;
    memcpy(w->hash, f->e.hash, HASH_SIZE);
    return 0;
}

/* Every entry kept aside of replica NO from FROM to UPTO, chained from our own one before. */
static int walk(struct walk *w, uint32_t no, uint64_t from, uint64_t upto, on_found cb, void *ctx)
{
    sqlite3_stmt *st = w->c->st[CS_REFILL_EACH];
    struct found f;
    int ret = city_hash_at(w->c, w->stream, from - 1, w->hash, w->err);

    w->seq = from - 1;
    if (ret != 0)
        return ret;
    arena_init(&w->a, ENTRY_ARENA);
    sql_bind_int(st, 1, no);
    sql_bind_int(st, 2, POS(w->stream, from));
    sql_bind_int(st, 3, POS(w->stream, upto));
    while ((ret = sql_step(st, w->err)) == 1) {
        arena_clear(&w->a);
        ret = read_found(w, st, &f);
        if (ret == 0 && cb != NULL)
            ret = cb(ctx, &f);
        if (ret != 0)
            break;
    }
    sql_done(st);
    arena_release(&w->a);
    return ret;
}

/* ---- in their places ---- */

/* A change that a replica made is answered by this entry. In the order of n the chain of its own changes is
 * known; behind a gap it waits until the replica says them again. */
static int put_answer(struct city *c, const struct found *f, struct err *err)
{
    sqlite3_stmt *st = c->st[CS_PROCESSED_FOUND];
    bool next, refused;
    int ret = city_load_replica(c, &f->c.replica, err);

    if (ret == E_NOTFOUND) { /* made here, or by one that was enrolled in the time that is lost */
        if (err != NULL)
            *err = (struct err){.ret = 0};
        return 0;
    }
    if (ret != 0)
        return ret;
    next = f->c.n == c->replica.accepted_n + 1;
    refused = f->c.n <= c->replica.accepted_n && f->c.act_pos == 0;
    if (next)
        own_chain_next(c->hasher, c->replica.own_chain, f->bytes_hash);
    sql_bind_int(st, 1, POS(c->replica.no, f->c.n));
    sql_bind_int(st, 2, (int64_t)f->e.seq);
    sql_bind_blob(st, 3, (struct slice){c->replica.own_chain, next ? HASH_SIZE : 0});
    ret = sql_run(st, err);
    if (ret == 0 && refused) { /* released from the quarantine later */
        sql_bind_int(c->st[CS_REFUSAL_GONE], 1, POS(c->replica.no, f->c.n));
        ret = sql_run(c->st[CS_REFUSAL_GONE], err);
    }
    if (ret == 0 && next) {
        c->replica.accepted_n = f->c.n;
        c->replica_ahead = true;
    }
    return ret;
}

/* A text like TA-2026-0017 that the city gave out: its series goes on above it. */
static int raise_counter(struct city *c, const struct value *v, struct err *err)
{
    sqlite3_stmt *st = c->st[CS_COUNTER_RAISE];
    size_t end = v->s.len, at;
    int64_t number = 0;

    if (v->type != V_TEXT || end < 6 || end > SERIES_MAX + 12)
        return 0;
    for (at = end; at > 0 && v->s.p[at - 1] >= '0' && v->s.p[at - 1] <= '9'; at--)
        ;
    if (end - at < 4 || end - at > 12 || at < 2 || v->s.p[at - 1] != '-' || at - 1 >= SERIES_MAX)
        return 0;
    for (size_t i = at; i < end; i++)
        number = number * 10 + (v->s.p[i] - '0');
    sql_bind_text(st, 1, (struct slice){v->s.p, at - 1});
    sql_bind_int(st, 2, number);
    return sql_run(st, err);
}

/* What the city derived, and every text of a change that it made itself. */
static int raise_counters(struct city *c, const struct found *f, struct err *err)
{
    bool ours = c->replica.no == 0 || !id_eq(&c->replica.id, &f->c.replica);
    int ret = 0;

    for (size_t i = 0; ret == 0 && i < f->v.n_derived; i++)
        ret = raise_counter(c, &f->v.derived[i].v, err);
    for (size_t i = 0; ret == 0 && ours && i < f->c.n_fields; i++)
        ret = raise_counter(c, &f->c.fields[i].v, err);
    return ret;
}

/* Another replica may have handed the same back meanwhile. */
static bool is_here(struct walk *w, const struct found *f)
{
    return f->e.seq <= city_stream(w->c, w->stream)->now.seq;
}

static int take_one(void *ctx, const struct found *f)
{
    struct walk *w = ctx;
    struct city *c = w->c;
    struct city_stream *s = city_stream(c, w->stream);
    struct row *row;
    int ret;

    if (is_here(w, f))
        return 0;
    ret = store_entry_append(c->store, &f->e, &f->c, w->err);
    if (ret == 0)
        ret = store_apply(c->store, &w->a, &f->c, &f->v, f->e.seq, &row, w->err);
    if (ret == 0)
        ret = put_answer(c, f, w->err);
    if (ret == 0)
        ret = raise_counters(c, f, w->err);
    if (ret != 0)
        return ret;
    if (c->appended != NULL)
        c->appended(c->appended_ctx, &f->e);
    s->now.seq = f->e.seq;
    s->now.incarnation = c->incarnation;
    memcpy(s->now.hash, f->e.hash, HASH_SIZE);
    s->advanced = true;
    w->taken++;
    return 0;
}

/* ---- as late acts ---- */

/* A place of the life that is over, and where the stream stands here with all that had come up to it. */
struct place {
    uint64_t was, is;
};

/* The changes of one act as they come by, in memory until it is whole. */
struct late {
    struct walk *w;
    uint64_t common; /* the last place that the life which is over shares with this one */
    bool undisturbed;     /* nothing has come behind that but what this walk brings */
    struct place *places; /* then: of the acts that were brought, in order */
    size_t n_places, cap_places;
    struct arena a;
    struct change *changes;
    struct slice *bytes, *sides;
    uint8_t (*hashes)[HASH_SIZE];
    size_t n, len;
};

static int dup(struct arena *a, struct slice from, struct slice *ret)
{
    *ret = from;
    if (from.len == 0)
        return 0;
    ret->p = arena_dup(a, from.p, from.len);
    return ret->p == NULL ? E_NOMEM : 0;
}

static int begin_act(struct late *l, size_t len)
{
    arena_clear(&l->a);
    l->n = 0;
    l->len = len;
    l->changes = arena_zalloc(&l->a, len * sizeof *l->changes);
    l->bytes = arena_zalloc(&l->a, len * sizeof *l->bytes);
    l->sides = arena_zalloc(&l->a, len * sizeof *l->sides);
    l->hashes = arena_zalloc(&l->a, len * HASH_SIZE);
    return l->changes == NULL || l->bytes == NULL || l->sides == NULL || l->hashes == NULL ? E_NOMEM
                                                                                            : 0;
}

static int known(struct city *c, uint64_t n, bool *ret, struct err *err)
{
    sqlite3_stmt *st = c->st[CS_PROCESSED_GET];
    int status;

    sql_bind_int(st, 1, POS(c->replica.no, n));
    status = sql_step(st, err);
    sql_done(st);
    *ret = status == 1;
    return status < 0 ? status : 0;
}

static int put_late(struct city *c, const struct late *l, const struct judgement *judged,
                    struct err *err)
{
    int ret = 0;

    for (size_t i = 0; ret == 0 && i < l->n; i++) {
        struct found f = {.c = l->changes[i]};

        f.e.seq = city_seq_of(c, judged, &l->changes[i]);
        memcpy(f.bytes_hash, l->hashes[i], HASH_SIZE);
        ret = put_answer(c, &f, err);
    }
    return ret;
}

static int note_place(struct late *l, uint64_t was)
{
    uint64_t is = city_stream(l->w->c, l->w->stream)->now.seq;

    if (l->n_places == l->cap_places) {
        size_t cap = l->cap_places * 2 + 64;
        struct place *more = mem_realloc(l->places, cap * sizeof *more);

        if (more == NULL)
            return E_NOMEM;
        l->places = more;
        l->cap_places = cap;
    }
    l->places[l->n_places++] = (struct place){was, is};
    return 0;
}

/* What an author saw in the life that is over, in places of this one. Where others have worked since the close, it is
 * not known that he saw what stands behind the common place. */
static uint64_t seen_here(const struct late *l, uint64_t seen)
{
    size_t low = 0, high = l->n_places;

    if (seen <= l->common || !l->undisturbed)
        return seen < l->common ? seen : l->common;
    while (low < high) {
        size_t middle = (low + high) / 2;

        if (l->places[middle].was <= seen)
            low = middle + 1;
        else
            high = middle;
    }
    return low == 0 ? l->common : l->places[low - 1].is;
}

/* An act whose places are taken, judged as of now. One that cannot stand any more stays with its author, who
 * says it again and hears why. */
static int append_act(struct late *l)
{
    struct city *c = l->w->c;
    struct act act = {.changes = l->changes,
                      .n = l->n,
                      .bytes = l->bytes,
                      .sides = l->sides,
                      .hashes = (const uint8_t(*)[HASH_SIZE])l->hashes};
    struct judgement judged;
    bool is_known = true;
    int ret = city_load_replica(c, &l->changes[0].replica, l->w->err);

    if (ret == 0)
        ret = known(c, l->changes[0].n, &is_known, l->w->err);
    if (ret != 0 || is_known)
        return ret;
    ret = city_write_late(c, &act, &judged, l->w->err);
    if (ret != 0 || judged.ret != 0)
        return ret;
    l->w->taken++;
    return put_late(c, l, &judged, l->w->err);
}

/* What the city itself had made follows from the acts again, or is told by its people. */
static int late_one(void *ctx, const struct found *f)
{
    struct late *l = ctx;
    struct replica_row r;
    int ret = city_replica_get(l->w->c, &f->c.replica, &r, NULL);

    if (ret == E_NOTFOUND)
        return 0;
    if (ret == 0 && f->c.act_pos == 0)
        ret = begin_act(l, f->c.act_len);
    if (ret != 0 || f->c.act_pos != l->n || f->c.act_len != l->len)
        return ret;
    ret = dup(&l->a, f->e.bytes, &l->bytes[l->n]);
    if (ret == 0)
        ret = dup(&l->a, f->e.side, &l->sides[l->n]);
    if (ret == 0)
        ret = change_decode(&l->a, l->bytes[l->n], l->sides[l->n], &l->changes[l->n]);
    if (ret != 0)
        return ret;
    l->changes[l->n].seen = seen_here(l, l->changes[l->n].seen);
    memcpy(l->hashes[l->n], f->bytes_hash, HASH_SIZE);
    l->n++;
    if (l->n < l->len)
        return 0;
    ret = append_act(l);
    return ret == 0 && l->undisturbed ? note_place(l, f->e.seq) : ret;
}

static int take_late(struct walk *w, uint32_t no, uint64_t from, uint64_t upto)
{
    struct late l = {
        .w = w, .common = from - 1, .undisturbed = city_stream(w->c, w->stream)->now.seq == from - 1};
    int ret;

    arena_init(&l.a, ACT_ARENA);
    ret = walk(w, no, from, upto, late_one, &l);
    arena_release(&l.a);
    mem_free(l.places);
    return ret;
}

/* ---- taking ---- */

/* Lives that are over may have gone different ways: what is here of one is not another's. */
static int agrees(void *ctx, const struct found *f)
{
    struct walk *w = ctx;
    uint8_t hash[HASH_SIZE];
    int status;

    if (!is_here(w, f))
        return 0;
    status = city_hash_at(w->c, w->stream, f->e.seq, hash, w->err);
    if (status != 0)
        return status;
    return memcmp(hash, f->e.hash, HASH_SIZE) == 0 ? 0 : E_CORRUPT;
}

/* Nothing is written before the whole way to the signed head was walked. What comes late takes no places. */
static int prove(struct walk *w, uint32_t no, uint64_t from, const struct head *h)
{
    int ret = walk(w, no, from, h->seq, w->c->recovering != 0 ? agrees : NULL, w);

    if (ret != 0)
        return ret;
    return w->seq == h->seq && memcmp(w->hash, h->hash, HASH_SIZE) == 0 ? 0 : E_AUTH;
}

static bool is_ours(int ret)
{
    return ret == E_NOMEM || ret == E_IO || ret == E_FULL || ret == E_READONLY || ret == E_BUSY;
}

static int refuse(struct city *c, const struct replica_row *r, uint32_t stream, int why,
                  struct err *err)
{
    char text[256], id[ID_TEXT_SIZE];

    id_format(&r->id, id);
    (void)sqlite3_snprintf(sizeof text, text,
                           "%u 第%u台（%s）交回的数据流 %u 内容通不过市级签名的校验，没有采用（%s）",
                           r->site, r->k, id, stream, err_code(why));
    return city_note_refused(c, text, err);
}

static int take(struct walk *w, uint32_t no, uint64_t from, const struct head *h)
{
    if (w->c->recovering == 0)
        return take_late(w, no, from, h->seq);
    return walk(w, no, from, h->seq, take_one, w);
}

/* What failed where there were no words. */
static int told(struct err *err, int ret)
{
    return err != NULL && err->ret == ret ? ret : err_set(err, ret, NULL);
}

int city_refill_take(struct city *c, const struct id *replica, uint32_t stream, uint64_t from_seq,
                     struct slice head, struct slice signature, uint64_t *ret_n, int *ret_word,
                     struct err *err)
{
    struct walk w = {.c = c, .stream = stream, .err = err};
    struct replica_row r;
    struct head h;
    int ret = city_replica_get(c, replica, &r, err);

    *ret_n = 0;
    *ret_word = 0;
    if (ret != 0)
        return ret;
    ret = city_check_head(c, stream, head, signature, &h);
    if (ret == 0)
        ret = prove(&w, r.no, from_seq, &h);
    if (ret != 0 && is_ours(ret))
        return told(err, ret);
    if (ret != 0) {
        *ret_word = ret;
        ret = refuse(c, &r, stream, ret, err);
    } else {
        ret = take(&w, r.no, from_seq, &h);
        if (ret == 0)
            ret = city_note_taken(c, w.taken, err);
        *ret_n = w.taken;
    }
    return ret == 0 ? city_refill_drop(c, replica, err) : told(err, ret);
}
