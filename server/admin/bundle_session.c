/* The driver of a session by files.
 *
 *  - Each step's update is merged into `todo`; the things in it are done one after another, their answers
 *    are steps of their own, until nothing is left to do.
 *  - Changes come before the county has seen a Welcome, so it could not compare its chain at accepted_n as on a
 *    line: the chain that they make is followed to that place here. */
#include "server/admin/bundle_session.h"

#include "server/admin/bundle_blob.h"
#include "server/core/prepare.h"

#include <string.h>

#define ARENA_MAX (64u << 20)
#define BLOBS_MAX (1u << 20) /* of frames about attachments; those beyond are offered and asked for again */
#define CLOCK     1 /* nothing here waits */

struct todo {
    const Ztc__Hello *ask;
    const struct push_item *submit;
    uint32_t submit_count;
    bool read;
    uint32_t stream;
    uint64_t from_seq;
    struct batch_limits limits;
    uint64_t refusals_from;
    const Ztc__Renew *renew;
    const Ztc__RefusedAck *ack;
    struct server_blob_want blob[SERVER_LANES];
    struct server_update refill; /* only that of it */
};

/* ---- life ---- */

void ferry_begin(struct ferry *f, const struct ferry_options *o, const struct id *replica,
                 const struct replica_claim *claim)
{
    struct server_event ev = {.kind = SERVER_OPEN, .now = CLOCK, .clock = o->now};

    *f = (struct ferry){.o = *o, .options = server_options_preset, .claim = *claim};
    f->options.unsent_max = SIZE_MAX / 4; /* a file takes whatever comes */
    body_codec_init(&f->codec);
    arena_init(&f->arena, ARENA_MAX);
    buf_init(&f->renewed, FRAME_MAX);
    buf_init(&f->blobs, BLOBS_MAX + FRAME_MAX_STRANGER);
    server_update_init(&f->up);
    server_session_init(&f->session, &f->options);
    ev.open.replica = *replica;
    ev.open.site = claim->site;
    server_session_step(&f->session, &ev, &f->up);
}

int ferry_open(struct ferry *f, const struct ferry_options *o, const struct cert *peer,
               struct err *err)
{
    struct replica_claim claim = {.expired = cert_not_after(peer) <= o->now};
    struct id replica;
    int ret = cert_replica(peer, &claim.site, &replica, err);

    *f = (struct ferry){.o = *o}; /* to be released, whatever comes */
    if (ret != 0)
        return ret;
    cert_fingerprint(peer, claim.fingerprint);
    ret = authorities_key_print(peer, claim.key);
    if (ret != 0)
        return err_set(err, ret, NULL);
    ferry_begin(f, o, &replica, &claim);
    return 0;
}

void ferry_release(struct ferry *f)
{
    server_update_release(&f->up);
    body_codec_release(&f->codec);
    arena_release(&f->arena);
    buf_release(&f->renewed);
    buf_release(&f->blobs);
    cert_free(f->issued);
}

/* ---- a step ---- */

/* What a step says of an upload that has ended is for the answer. */
static int note_blob(struct ferry *f, const struct server_event *ev, struct slice frames)
{
    if (f->session.lanes[SERVER_LANE_UP].state != SERVER_LANE_IDLE || f->blobs.len >= BLOBS_MAX)
        return 0;
    f->blobs_taken += ev->blob.ask == SERVER_BLOB_WRITE && ev->blob.ret == 0;
    buf_put(&f->blobs, frames.p, frames.len);
    return f->blobs.ret;
}

static int put_out(struct ferry *f, const struct server_event *ev, struct err *err)
{
    struct slice frames = buf_slice(&f->up.out);
    int ret = f->up.out.ret;

    if (ret == 0 && ev->kind == SERVER_RENEWED && f->session.state < SERVER_CLOSING) {
        buf_clear(&f->renewed);
        buf_put(&f->renewed, frames.p, frames.len);
        ret = f->renewed.ret;
    }
    if (ret == 0 && ev->kind == SERVER_BLOB && f->o.out == NULL)
        ret = note_blob(f, ev, frames);
    f->out_bytes += frames.len;
    if (ret == 0 && frames.len > 0 && f->o.out != NULL)
        ret = f->o.out(f->o.ctx, frames, err);
    buf_clear(&f->up.out);
    return ret == 0 ? 0 : err_set(err, ret, NULL);
}

static void note(const struct ferry *f, struct todo *t)
{
    const struct server_update *up = &f->up;

    if (up->ask != NULL)
        t->ask = up->ask;
    if (up->submit_count > 0) {
        t->submit = up->submit;
        t->submit_count = up->submit_count;
    }
    if (up->read.wanted && f->o.out != NULL && f->out_bytes < f->o.out_max) {
        t->read = true;
        t->stream = up->read.stream;
        t->from_seq = up->read.from_seq;
        t->limits = (struct batch_limits){.upto_seq = up->read.upto_seq,
                                          .reader = f->session.replica,
                                          .echo_above = up->read.echo_above,
                                          .max_entries = up->read.max_entries,
                                          .max_bytes = up->read.max_bytes};
    }
    if (up->read_refusals_from != 0)
        t->refusals_from = up->read_refusals_from;
    if (up->renew != NULL)
        t->renew = up->renew;
    if (up->refused_ack != NULL)
        t->ack = up->refused_ack;
    if (up->refill.body != NULL)
        t->refill.refill = up->refill;
    for (size_t i = 0; i < SERVER_LANES; i++) {
        if (up->blob[i].ask != SERVER_BLOB_NOTHING)
            t->blob[i] = up->blob[i];
    }
}

/* The session says why it ends; where it is the peer's identity, what to do about it. */
static int ended(const struct ferry *f, struct err *err)
{
    if (err->ret != 0)
        return err->ret;
    if (f->session.cause == E_FORK)
        return err_set(err, E_FORK,
                       "这台计算机的数据与市级记录分叉（由旧备份恢复，或被复制过），未导入任何内容；"
                       "请让它联网一次，系统会自动换发新的身份");
    return err_set(err, f->session.cause, NULL);
}

static int step(struct ferry *f, struct server_event *ev, struct arena *a, struct todo *t,
                struct err *err)
{
    int ret;

    ev->now = CLOCK;
    ev->clock = f->o.now;
    ev->arena = a;
    ev->codec = &f->codec;
    server_session_step(&f->session, ev, &f->up);
    note(f, t);
    ret = put_out(f, ev, err);
    if (ret != 0)
        return ret;
    if (f->session.state == SERVER_FORKED)
        f->session.cause = E_FORK; /* a new identity is for a line */
    f->refilling = f->refilling || f->session.state == SERVER_REFILLING;
    if (f->o.out != NULL || (f->refilling && f->session.cause == E_RECOVERING))
        return 0; /* the county is told; what was handed back is kept */
    return f->session.cause != 0 ? ended(f, err) : 0;
}

/* ---- what it asks for ---- */

static int do_ask(struct ferry *f, const Ztc__Hello *m, struct server_event *ev, struct err *err)
{
    int ret = facts_init(&f->facts, &f->session.replica, &f->claim, f->o.authorities->digest, m,
                         &f->arena);

    if (ret == 0)
        ret = facts_read(&f->facts, f->o.city, err);
    if (ret != 0)
        return err->ret == ret ? ret : err_set(err, ret, NULL);
    f->recovering = f->facts.recovering;
    if (facts_hearing(&f->facts, &f->hearing) && f->o.out == NULL)
        ret = hearing_keep(&f->hearing, f->o.city, err);
    memcpy(f->own_chain, f->facts.answer.accepted_chain, HASH_SIZE);
    memcpy(f->accepted_chain, f->own_chain, HASH_SIZE);
    f->accepted_n = f->facts.answer.accepted_n;
    f->walked_n = m->has_acked_n ? m->acked_n : 0;
    memset(f->walked, 0, HASH_SIZE);
    if (m->has_acked_chain)
        memcpy(f->walked, m->acked_chain.data, HASH_SIZE);
    ev->kind = SERVER_FACTS;
    ev->facts.facts = &f->facts.answer;
    return ret;
}

static int do_submit(struct ferry *f, const struct todo *t, struct arena *a,
                     struct server_event *ev, struct err *err)
{
    struct act *acts;
    size_t n = 0;
    int ret = push_prepare(a, city_hasher(f->o.city), f->own_chain, t->submit, t->submit_count,
                           f->claim.site, &acts, &n);

    if (ret != 0)
        return err_set(err, ret, NULL);
    for (size_t i = 0; ret == 0 && i < n; i++) {
        bool refused = false;

        ret = city_push_act(f->o.city, &f->session.replica, &acts[i], &refused, err);
        f->taken += refused ? 0 : acts[i].n;
        f->refused += refused ? acts[i].n : 0;
    }
    ev->kind = SERVER_MERGED;
    ev->merged.answered_n = t->submit[t->submit_count - 1].change.n;
    return ret;
}

static int add_entry(void *ctx, const struct entry *e)
{
    struct tail_entry *t;
    bool more;
    int ret = tail_entry_new(e, &t);

    if (ret != 0)
        return ret;
    more = batch_add(ctx, t);
    mem_free(t);
    return more ? 0 : 1;
}

static int do_read(struct ferry *f, const struct todo *t, struct buf *body, struct server_event *ev,
                   struct err *err)
{
    struct batch b;
    uint64_t seq;
    int ret;

    batch_init(&b, &t->limits);
    buf_clear(body);
    ret = store_entry_each(city_store(f->o.city), t->stream, t->from_seq, add_entry, &b, err);
    if (ret >= 0)
        ret = batch_finish(&b, &f->codec, body, &ev->read.size);
    ev->kind = SERVER_READ;
    ev->read.stream = t->stream;
    ev->read.first_seq = t->from_seq;
    ev->read.count = b.count;
    ev->read.body = buf_slice(body);
    batch_release(&b);
    if (ret == 0)
        ret = city_head(f->o.city, t->stream, &ev->read.closing.head, &ev->read.closing.signature,
                        &seq);
    f->entries += ret == 0 ? ev->read.count : 0;
    return ret == 0 ? 0 : err_set(err, ret, NULL);
}

static int do_refusals(struct ferry *f, uint64_t from, struct server_event *ev, struct err *err)
{
    struct refusal_list l;
    int ret = facts_refusals(f->o.city, &f->session.replica,
                             f->session.has_acked ? f->session.acked_n : UINT64_MAX, from,
                             REFUSALS_CHUNK, &f->arena, &l, err);

    ev->kind = SERVER_REFUSALS;
    ev->refusals.refusals = l.at;
    ev->refusals.n_refusals = l.n;
    ev->refusals.more = l.more;
    return ret;
}

static int do_renew(struct ferry *f, const Ztc__Renew *m, struct buf *der,
                    struct slice list[AUTHORITIES_LIST], struct server_event *ev, struct err *err)
{
    int ret;

    cert_free(f->issued);
    f->issued = NULL;
    ret = authorities_renew(f->o.authorities, f->o.city, wire_slice(m->csr), f->claim.site,
                            &f->session.replica, f->claim.key, f->o.now, &f->issued, err);
    buf_clear(der);
    if (ret == 0)
        ret = cert_to_der(f->issued, der);
    ev->kind = SERVER_RENEWED;
    authorities_answer(f->o.authorities, buf_slice(der), list, &ev->renewed);
    return ret;
}

static int list_entries(struct arena *a, const Ztc__EntriesBody *body, struct refilled **ret)
{
    struct refilled *list = arena_zalloc(a, body->n_entries * sizeof *list);

    if (list == NULL)
        return E_NOMEM;
    for (size_t i = 0; i < body->n_entries; i++) {
        const Ztc__Entry *e = body->entries[i];

        list[i].received_at = e->received_at;
        list[i].verdict = wire_slice(e->verdict);
        list[i].bytes = wire_slice(e->bytes);
        if (e->has_side)
            list[i].side = wire_slice(e->side);
    }
    *ret = list;
    return 0;
}

static int do_refill(struct ferry *f, const struct server_update *up, struct arena *a,
                     struct server_event *ev, struct err *err)
{
    const struct city_cursor *at = &f->facts.cursors[up->refill.stream == STREAM_SHARED ? 0 : 1];
    struct refilled *list;
    uint64_t taken;
    int word = 0, ret = list_entries(a, up->refill.body, &list);

    if (ret == 0 && up->refill.first_seq == up->refill.from_seq)
        ret = city_refill_drop(f->o.city, &f->session.replica, err);
    if (ret == 0)
        ret = city_refill_put(f->o.city, &f->session.replica, up->refill.stream,
                              up->refill.first_seq, list, up->refill.body->n_entries, err);
    if (ret == 0 && up->refill.last)
        ret = city_refill_take(f->o.city, &f->session.replica, up->refill.stream,
                               up->refill.from_seq, at->head, at->signature, &taken, &word, err);
    ev->kind = SERVER_REFILLED;
    ev->refilled.ret = word;
    return ret;
}

/* The attachment's own trouble is its answer; the city's ends the whole. */
static int do_blob(struct ferry *f, enum server_lane_name lane,
                   const struct server_blob_want *want, struct buf *bytes, struct server_event *ev,
                   struct err *err)
{
    struct bundle_blobs b = {f->o.city, f->o.blobs, f->claim.site};
    struct err why = {.ret = 0};
    int ret;

    buf_clear(bytes);
    ev->kind = SERVER_BLOB;
    bundle_blob(&b, lane, want, bytes, &ev->blob, &why);
    ret = ev->blob.ret;
    if (ret != E_IO && ret != E_FULL && ret != E_READONLY && ret != E_NOMEM)
        return 0;
    *err = why;
    return err->ret == ret ? ret : err_set(err, ret, NULL);
}

static bool is_empty(const struct todo *t)
{
    for (size_t i = 0; i < SERVER_LANES; i++) {
        if (t->blob[i].ask != SERVER_BLOB_NOTHING)
            return false;
    }
    return t->ask == NULL && t->submit_count == 0 && !t->read && t->refusals_from == 0 &&
           t->renew == NULL && t->ack == NULL && t->refill.refill.body == NULL;
}

struct bodies {
    struct buf body;
    struct slice list[AUTHORITIES_LIST];
};

/* The first thing of T is done and taken out; EV is its answer, kind SERVER_HEARD: there is none. */
static int do_next(struct ferry *f, struct todo *t, struct arena *a, struct bodies *b,
                   struct server_event *ev, struct err *err)
{
    struct todo now = *t;

    *ev = (struct server_event){.kind = SERVER_HEARD};
    if (now.ask != NULL) {
        t->ask = NULL;
        return do_ask(f, now.ask, ev, err);
    }
    if (now.submit_count > 0) {
        t->submit_count = 0;
        return do_submit(f, &now, a, ev, err);
    }
    if (now.ack != NULL) {
        t->ack = NULL;
        return city_refused_ack(f->o.city, &f->session.replica, now.ack->first_n, now.ack->until_n,
                                err);
    }
    if (now.renew != NULL) {
        t->renew = NULL;
        return do_renew(f, now.renew, &b->body, b->list, ev, err);
    }
    if (now.refill.refill.body != NULL) {
        t->refill.refill.body = NULL;
        return do_refill(f, &now.refill, a, ev, err);
    }
    if (now.refusals_from != 0) {
        t->refusals_from = 0;
        return do_refusals(f, now.refusals_from, ev, err);
    }
    for (size_t i = 0; i < SERVER_LANES; i++) {
        if (now.blob[i].ask == SERVER_BLOB_NOTHING)
            continue;
        t->blob[i].ask = SERVER_BLOB_NOTHING;
        return do_blob(f, (enum server_lane_name)i, &now.blob[i], &b->body, ev, err);
    }
    t->read = false;
    return do_read(f, &now, &b->body, ev, err);
}

static int run(struct ferry *f, struct server_event *ev, struct arena *a, struct err *err)
{
    struct todo t = {.read = false};
    struct bodies b;
    int ret = step(f, ev, a, &t, err);

    buf_init(&b.body, 2u * WIRE_BODY_MAX);
    while (ret == 0 && !is_empty(&t)) {
        struct server_event answer;

        ret = do_next(f, &t, a, &b, &answer, err);
        if (ret == 0)
            ret = step(f, &answer, a, &t, err);
    }
    buf_release(&b.body);
    return ret;
}

/* ---- frames ---- */

/* What has come since a bundle was written, by a newer one or over a line, makes its Hello no fork. */
static int catch_up(struct ferry *f, Ztc__Hello *m, struct err *err)
{
    uint8_t known[HASH_SIZE];
    struct replica_row r;
    int ret = city_replica_get(f->o.city, &f->session.replica, &r, err);

    if (ret != 0 || m->own_n >= r.accepted_n)
        return ret == E_NOTFOUND ? 0 : ret; /* the session has the word for it */
    ret = city_replica_chain(f->o.city, &f->session.replica, m->own_n, known, err);
    if (ret == E_NOTFOUND || (ret == 0 && memcmp(known, m->own_chain.data, HASH_SIZE) != 0))
        return 0;
    m->own_n = r.accepted_n;
    memcpy(m->own_chain.data, r.own_chain, HASH_SIZE);
    return ret;
}

static int missing(const struct ferry *f, struct err *err)
{
    return err_set(err, E_BUNDLE_GAP,
                   "缺少第 %llu 项更改，未导入任何内容；请那台计算机重新运行 ztc bundle export",
                   (unsigned long long)f->walked_n + 1);
}

/* The replica's chain from what it knows answered to what the city has of it: they must be one. */
static int walk(struct ferry *f, const Ztc__Push *m, struct arena *a, struct err *err)
{
    const struct hasher *h = city_hasher(f->o.city);
    Ztc__PushBody *body;
    uint8_t hash[HASH_SIZE];
    int ret;

    if (m->first_n > f->walked_n + 1)
        return missing(f, err);
    if (m->first_n <= f->walked_n)
        return err_set(err, E_PROTOCOL, NULL);
    if (f->walked_n >= f->accepted_n) {
        f->walked_n += m->count;
        return 0;
    }
    ret = body_open_push(&f->codec, m, a, &body);
    if (ret != 0)
        return err_set(err, ret, NULL);
    for (size_t i = 0; i < body->n_changes; i++, f->walked_n++) {
        if (f->walked_n >= f->accepted_n)
            continue;
        change_hash(h, wire_slice(body->changes[i]->bytes), hash);
        own_chain_next(h, f->walked, hash);
        if (f->walked_n + 1 == f->accepted_n && memcmp(f->walked, f->accepted_chain, HASH_SIZE) != 0) {
            f->session.cause = E_FORK;
            return ended(f, err);
        }
    }
    return 0;
}

/* What an older answer of the city asked for may be of no use any more. */
static bool is_asked_for(const struct ferry *f, const Ztc__Refill *m)
{
    for (size_t i = 0; f->session.state == SERVER_REFILLING && i < SERVER_STREAMS; i++) {
        const struct server_stream *t = &f->session.streams[i];

        if (t->stream == m->stream)
            return !f->session.gone_back && m->first_seq == t->ask_from &&
                   m->first_seq + m->count - 1 <= t->ask_upto;
    }
    return false;
}

/* Chunks of an attachment that is here already, or may not come, are passed over. */
static bool is_wanted(const struct ferry *f, const Ztc__BlobChunk *m)
{
    const struct server_lane *l = &f->session.lanes[SERVER_LANE_UP];

    return l->state == SERVER_LANE_ASKED &&
           memcmp(l->attachment.b, m->attachment.data, ID_SIZE) == 0;
}

/* Kept for the answer: 1, the machine has nothing to do with it yet. */
static int note_want(struct ferry *f, const Ztc__Frame *m)
{
    if (f->blobs.len < BLOBS_MAX)
        frame_put(&f->blobs, m);
    return f->blobs.ret == 0 ? 1 : f->blobs.ret;
}

/* May it come now? 1: it is passed over. */
static int admit(struct ferry *f, const Ztc__Frame *m, struct arena *a, struct err *err)
{
    bool served = f->session.state == SERVER_SERVING;

    switch ((int)m->kind_case) {
    case ZTC__FRAME__KIND_HELLO:
    case ZTC__FRAME__KIND_RENEW:
        return 0;
    case ZTC__FRAME__KIND_PUSH:
        if (!served)
            return 1; /* may only renew, or hand back: the changes come again */
        if (f->recovering)
            return err_set(err, E_RECOVERING, NULL);
        return walk(f, m->push, a, err);
    case ZTC__FRAME__KIND_REFUSED_ACK:
        return served && m->refused_ack->first_n < f->session.expect_n ? 0 : 1;
    case ZTC__FRAME__KIND_REFILL:
        return is_asked_for(f, m->refill) ? 0 : 1;
    case ZTC__FRAME__KIND_BLOB_HAVE:
    case ZTC__FRAME__KIND_BLOB_DONE:
        return served ? 0 : 1;
    case ZTC__FRAME__KIND_BLOB_CHUNK:
        return served && is_wanted(f, m->blob_chunk) ? 0 : 1;
    case ZTC__FRAME__KIND_BLOB_WANT:
        if (!served)
            return 1;
        return f->o.out == NULL ? note_want(f, m) : 0;
    default:
        return err_set(err, E_PROTOCOL, NULL);
    }
}

int ferry_frame(struct ferry *f, Ztc__Frame *m, struct arena *a, struct err *err)
{
    struct server_event ev = {.kind = SERVER_FRAME, .frame = m};
    int ret = admit(f, m, a, err);

    if (ret == 0 && m->kind_case == ZTC__FRAME__KIND_HELLO)
        ret = catch_up(f, m->hello, err);
    if (ret == 0)
        ret = run(f, &ev, a, err);
    return ret == 1 ? 0 : ret;
}

int ferry_drained(struct ferry *f, struct arena *a, struct err *err)
{
    struct server_event ev = {.kind = SERVER_DRAINED};

    return run(f, &ev, a, err);
}

bool ferry_goes_on(const struct ferry *f, uint64_t *ret_offset)
{
    const struct server_lane *l = &f->session.lanes[SERVER_LANE_DOWN];

    *ret_offset = l->offset;
    return l->state == SERVER_LANE_OPEN && f->out_bytes < f->o.out_max;
}
