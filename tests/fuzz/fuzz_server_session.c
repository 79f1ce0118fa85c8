/* A county that says whatever it likes, to the city's session over a store in memory. The input is a
 * row of steps, one byte each with what it needs behind it: frames as bytes or built from numbers,
 * answers of the store in any order, time, the end. The machine judges itself after each step; what
 * it asks of the store must be something a store can do. */
#include "common/base/err.h"
#include "common/wire/check.h"
#include "server/core/session.h"
#include "tests/lib/fuzz_input.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SITE       431021u
#define ACCEPTED_N 3u
#define STEPS_MAX  200u
#define LOST_UPTO  13u /* entries that a restored city lacks end here */

enum step {
    STEP_FRAME,
    STEP_HELLO,
    STEP_PUSH_BYTES,
    STEP_PUSH,
    STEP_REFUSED_ACK,
    STEP_PING,
    STEP_FACTS,
    STEP_MERGED,
    STEP_HEADS,
    STEP_READ,
    STEP_REFUSALS,
    STEP_DRAINED,
    STEP_TIMER,
    STEP_FAIL, /* of whatever the store was asked */
    STEP_END,
    STEP_STANDING, /* of the facts to come */
    STEP_RENEW,
    STEP_RENEWED,
    STEP_TOLD, /* other CAs, a decision */
    STEP_BLOB,
    STEP_BLOB_ANSWER,
    STEP_ASK,
    STEP_TELL,
    STEP_LIFE, /* of the facts to come: the city was restored, and what it lacks */
    STEP_POINTS,
    STEP_IDENTITY,
    STEP_REFILL,
    STEP_REFILLED,
    STEPS
};

struct world {
    struct rd in;
    struct server_session s;
    struct server_blob_want blobs[SERVER_LANES]; /* what was asked for and not answered */
    struct server_update up;
    struct arena arena;
    struct body_codec codec;
    msec_t now;
    size_t unsent; /* output that was not drained */
    bool asked, reading, reading_refusals, issuing, telling;
    uint32_t told_stream;
    enum server_standing standing;
    uint8_t life; /* 0: nothing was lost */
    bool granting, with_request; /* an identity is being judged */
    unsigned refilling; /* pieces with the store */
    uint64_t merging; /* the last n with the writer; 0: none */
    uint64_t from_seq, upto_seq;
    uint32_t stream;
    uint64_t heads[2];
};

static const struct id replica = {{1, 2, 3}};
static const uint8_t chains[2][HASH_SIZE] = {{0xaa}, {0xbb}};

/* ---- the store ---- */

/* What a store may be asked: one thing of a sort at a time, changes without holes, entries there are. */
static void note_asked(struct world *w)
{
    const struct server_update *up = &w->up;

    for (size_t i = 0; i < SERVER_LANES; i++) {
        if (up->blob[i].ask == SERVER_BLOB_NOTHING)
            continue;
        assert(w->blobs[i].ask == SERVER_BLOB_NOTHING);
        assert(up->blob[i].size <= WIRE_BLOB_MAX && up->blob[i].len <= WIRE_CHUNK_MAX);
        assert(up->blob[i].offset + up->blob[i].bytes.len <= WIRE_BLOB_MAX);
        w->blobs[i] = up->blob[i];
    }
    if (up->ask != NULL) {
        assert(!w->asked && up->ask->replica.len == ID_SIZE);
        w->asked = true;
    }
    if (up->submit != NULL) {
        assert(up->submit_count > 0);
        for (uint32_t i = 0; i < up->submit_count; i++) {
            const struct change *c = &up->submit[i].change;

            assert(id_eq(&c->replica, &replica) && c->stream == SITE);
            assert(c->n == up->submit[0].change.n + i);
        }
        assert(w->merging == 0 || up->submit[0].change.n == w->merging + 1);
        w->merging = up->submit[up->submit_count - 1].change.n;
    }
    if (up->tell != NULL) {
        assert(!w->telling && (up->tell->stream == SITE || up->tell->stream == STREAM_SHARED));
        w->telling = true;
        w->told_stream = up->tell->stream;
    }
    if (up->read.wanted) {
        assert(!w->telling && !w->reading && up->read.from_seq <= up->read.upto_seq);
        w->reading = true;
        w->stream = up->read.stream;
        w->from_seq = up->read.from_seq;
        w->upto_seq = up->read.upto_seq;
        assert(w->upto_seq <= w->heads[w->stream == STREAM_SHARED ? 0 : 1]);
    }
    if (up->renew != NULL) {
        assert(!w->issuing && up->renew->csr.len > 0 && w->standing != SERVER_MAY_HAND_IN);
        w->issuing = true;
    }
    if (up->identity != NULL) {
        assert(!w->granting && up->identity->n_points > 0 && w->standing != SERVER_MAY_HAND_IN);
        w->granting = true;
        w->with_request = up->identity->has_csr;
    }
    if (up->refill.body != NULL) {
        assert(up->refill.stream == SITE || up->refill.stream == STREAM_SHARED);
        assert(up->refill.first_seq >= up->refill.from_seq && up->refill.body->n_entries > 0);
        assert(up->refill.first_seq + up->refill.body->n_entries - 1 <= LOST_UPTO);
        w->refilling++;
    }
    if (up->read_refusals_from != 0) {
        assert(!w->reading_refusals);
        w->reading_refusals = true;
    }
}

static void step(struct world *w, struct server_event ev)
{
    ev.now = w->now;
    ev.clock = 1700000000000;
    ev.arena = &w->arena;
    ev.codec = &w->codec;
    server_session_step(&w->s, &ev, &w->up);
    assert(w->up.out.ret == 0);
    w->unsent += w->up.out.len;
    buf_clear(&w->up.out);
    note_asked(w);
    arena_clear(&w->arena);
}

/* ---- frames ---- */

static void give_frame(struct world *w, struct slice bytes)
{
    struct server_event ev = {.kind = SERVER_FRAME};
    Ztc__Frame *f;
    int ret = E_TOOBIG;

    if (!w->up.reading)
        return;
    if (bytes.len <= server_session_frame_max(&w->s))
        ret = frame_unpack(&w->arena, bytes, &f);
    if (ret == 0)
        ev.frame = f;
    else
        ev = (struct server_event){.kind = SERVER_BROKEN, .broken = ret};
    step(w, ev);
}

/* One that an encoder made. */
static void give_made(struct world *w, struct buf *made)
{
    assert(made->ret == 0);
    give_frame(w, (struct slice){made->p + FRAME_PREFIX, made->len - FRAME_PREFIX});
    buf_release(made);
}

static void give_hello(struct world *w)
{
    Ztc__Hello m = ZTC__HELLO__INIT;
    Ztc__Cursor cursors[2] = {ZTC__CURSOR__INIT, ZTC__CURSOR__INIT};
    Ztc__Cursor *list[2] = {&cursors[0], &cursors[1]};
    uint8_t bits = rd_u8(&w->in);
    struct buf made;

    buf_init(&made, FRAME_MAX);
    for (size_t i = 0; i < 2; i++) {
        cursors[i].stream = i == 0 ? STREAM_SHARED : SITE;
        cursors[i].seq = rd_u8(&w->in) % 16;
        cursors[i].hash = wire_data((struct slice){chains[0], HASH_SIZE});
        cursors[i].incarnation = wire_data((struct slice){replica.b, ID_SIZE});
    }
    m.protocol_min = 1;
    m.protocol_max = 1 + (bits >> 7);
    m.software = wire_data(slice_str("ztc"));
    m.replica = wire_data((struct slice){replica.b, ID_SIZE});
    m.cursors = list;
    m.n_cursors = bits & 3 ? 2 : 1;
    m.own_n = rd_u8(&w->in) % 16;
    m.own_chain = wire_data((struct slice){chains[bits >> 2 & 1], HASH_SIZE});
    m.has_acked_n = m.has_acked_chain = bits >> 3 & 1;
    m.acked_n = m.own_n == 0 ? 0 : rd_u8(&w->in) % (m.own_n + 1);
    m.acked_chain = wire_data((struct slice){chains[bits >> 4 & 1], HASH_SIZE});
    frame_put_hello(&made, &m);
    give_made(w, &made);
}

static void give_push(struct world *w, uint64_t first_n, uint32_t count, struct slice plain)
{
    Ztc__Push m = ZTC__PUSH__INIT;
    struct buf packed, made;

    buf_init(&packed, FRAME_MAX);
    buf_init(&made, FRAME_MAX);
    if (body_compress(&w->codec, plain, &packed) == 0) {
        m.first_n = first_n;
        m.count = count;
        m.size = (uint32_t)plain.len;
        m.body = wire_data(buf_slice(&packed));
        frame_put_push(&made, &m);
        give_made(w, &made);
    }
    buf_release(&packed);
}

static uint64_t near_expected(struct world *w)
{
    uint64_t back = rd_u8(&w->in) % 8;

    return w->s.expect_n + 1 > back ? w->s.expect_n + 1 - back : 1;
}

static void give_push_bytes(struct world *w)
{
    uint64_t first_n = near_expected(w);
    uint32_t count = rd_u8(&w->in);

    give_push(w, first_n, count, fuzz_take_rest(&w->in));
}

/* Changes in their places, except where a byte says otherwise. */
static void give_changes(struct world *w)
{
    uint64_t first_n = near_expected(w);
    uint32_t count = 1 + rd_u8(&w->in) % 16;
    uint32_t act_len = 1 + rd_u8(&w->in) % 4;
    struct buf plain, bytes;

    buf_init(&plain, WIRE_BODY_MAX);
    buf_init(&bytes, 4096);
    for (uint32_t i = 0; i < count; i++) {
        struct change c = {.replica = replica, .n = first_n + i, .stream = SITE, .op = OP_SET};

        c.act_len = act_len;
        c.act_pos = i % act_len;
        change_encode(&bytes, &c);
        body_put_change(&plain, buf_slice(&bytes), (struct slice){NULL, 0});
        buf_clear(&bytes);
    }
    give_push(w, first_n, count, buf_slice(&plain));
    buf_release(&bytes);
    buf_release(&plain);
}

static void give_refused_ack(struct world *w)
{
    Ztc__RefusedAck m = ZTC__REFUSED_ACK__INIT;
    struct buf made;

    buf_init(&made, FRAME_MAX);
    m.first_n = rd_u8(&w->in);
    m.until_n = rd_u8(&w->in);
    frame_put_refused_ack(&made, &m);
    give_made(w, &made);
}

static void give_ping(struct world *w)
{
    struct buf made;

    buf_init(&made, FRAME_MAX);
    fuzz_put_ping(&w->in, &made);
    give_made(w, &made);
}

/* ---- answers ---- */

static struct server_refusal some_refusal(uint64_t n)
{
    return (struct server_refusal){.first_n = n,
                                   .last_n = n,
                                   .at_n = n,
                                   .code = slice_str("ZT-STATE"),
                                   .text = slice_str("不允许")};
}

static void answer_facts(struct world *w, int ret)
{
    struct server_signed head = {slice_str("head"), slice_str("signature")};
    struct server_facts f = {.catalogue = 1, .accepted_n = ACCEPTED_N};
    struct server_event ev = {.kind = SERVER_FACTS};
    struct server_refusal refusal = some_refusal(2);

    if (!w->asked)
        return;
    w->asked = false;
    memcpy(f.accepted_chain, chains[0], HASH_SIZE);
    memcpy(f.acked_chain, chains[0], HASH_SIZE);
    f.heads[0] = (struct server_head){STREAM_SHARED, w->heads[0]};
    f.heads[1] = (struct server_head){SITE, w->heads[1]};
    f.cursor_ok[0] = f.cursor_ok[1] = true;
    f.signed_heads = &head;
    f.n_signed_heads = 1;
    f.standing = w->standing;
    f.has_authorities = true;
    f.restored = w->life != 0;
    for (size_t i = 0; i < SERVER_STREAMS; i++) {
        f.refill[i].from_seq = f.heads[i].seq + 1;
        f.refill[i].upto_seq = w->life >> i & 1 ? LOST_UPTO : 0;
        f.refill[i].back = w->life >> (2 + i) & 1;
        f.refill[i].back_to = f.heads[i].seq;
    }
    f.refusals = &refusal;
    f.n_refusals = 1;
    f.more_refusals = true;
    ev.facts.ret = ret;
    ev.facts.facts = &f;
    step(w, ev);
}

static void answer_merged(struct world *w, int ret)
{
    struct server_event ev = {.kind = SERVER_MERGED};
    struct server_refusal refusal = some_refusal(w->merging);
    uint64_t behind;

    if (w->merging == 0)
        return;
    behind = ret == 0 ? rd_u8(&w->in) % 4 : 0;
    ev.merged.ret = ret;
    ev.merged.answered_n = w->merging > behind ? w->merging - behind : 1;
    ev.merged.refusals = &refusal;
    ev.merged.n_refusals = behind == 0 && w->merging % 2 == 0;
    if (behind == 0)
        w->merging = 0;
    step(w, ev);
}

static void tell_heads(struct world *w)
{
    struct server_event ev = {.kind = SERVER_HEADS};
    struct server_head heads[2];

    w->heads[0] += rd_u8(&w->in) % 8;
    w->heads[1] += rd_u8(&w->in) % 8;
    heads[0] = (struct server_head){STREAM_SHARED, w->heads[0]};
    heads[1] = (struct server_head){SITE, w->heads[1]};
    ev.heads.heads = heads;
    ev.heads.n_heads = 2;
    step(w, ev);
}

static void answer_read(struct world *w, int ret)
{
    struct server_event ev = {.kind = SERVER_READ};

    if (!w->reading)
        return;
    w->reading = false;
    ev.read.ret = ret;
    ev.read.stream = w->stream;
    ev.read.first_seq = w->from_seq;
    ev.read.count = 1 + (uint32_t)(rd_u8(&w->in) % (w->upto_seq - w->from_seq + 1));
    ev.read.size = 100;
    ev.read.body = slice_str("compressed");
    ev.read.closing = (struct server_signed){slice_str("head"), slice_str("signature")};
    step(w, ev);
}

static void answer_refusals(struct world *w, int ret)
{
    struct server_event ev = {.kind = SERVER_REFUSALS};
    struct server_refusal refusal = some_refusal(3);

    if (!w->reading_refusals)
        return;
    w->reading_refusals = false;
    ev.refusals.ret = ret;
    ev.refusals.refusals = &refusal;
    ev.refusals.n_refusals = rd_u8(&w->in) % 2;
    ev.refusals.more = ev.refusals.n_refusals > 0;
    step(w, ev);
}

static void give_renew(struct world *w)
{
    Ztc__Renew m = ZTC__RENEW__INIT;
    struct buf made;

    buf_init(&made, FRAME_MAX);
    m.csr = wire_data(slice_str("request"));
    frame_put_renew(&made, &m);
    give_made(w, &made);
}

static void answer_renewed(struct world *w, int ret)
{
    const struct slice cas[] = {slice_str("new"), slice_str("old")};
    struct server_event ev = {.kind = SERVER_RENEWED};

    if (!w->issuing)
        return;
    w->issuing = false;
    ev.renewed.ret = ret;
    ev.renewed.certificate = slice_str("certificate");
    ev.renewed.authorities = ev.renewed.endorsements = cas;
    ev.renewed.n_authorities = 1 + rd_u8(&w->in) % 2;
    step(w, ev);
}

static void tell_of_more(struct world *w)
{
    bool decided = rd_u8(&w->in) % 2 != 0;

    step(w, (struct server_event){.kind = decided ? SERVER_DECIDED : SERVER_OFFER});
}

/* ---- tables that differ ---- */

static void give_ask(struct world *w)
{
    static const uint8_t id[ID_SIZE] = {5};
    uint8_t bits = rd_u8(&w->in);
    Ztc__DigestAsk m = ZTC__DIGEST_ASK__INIT;
    Ztc__Repaired repaired = ZTC__REPAIRED__INIT;
    struct buf made;

    buf_init(&made, FRAME_MAX);
    m.stream = repaired.stream = bits & 1 ? SITE : bits & 2 ? STREAM_CITY : STREAM_SHARED;
    m.has_kind = bits >> 2 & 1;
    m.kind = 22;
    m.has_ids = bits >> 3 & 1;
    m.has_upto = bits >> 4 & 1;
    m.ids = m.upto = repaired.id = wire_data((struct slice){id, ID_SIZE});
    repaired.no = 1;
    repaired.how = ZTC__REPAIRED__HOW__REPLACED;
    if (bits >> 5 & 1)
        frame_put_repaired(&made, &repaired);
    else
        frame_put_digest_ask(&made, &m);
    give_made(w, &made);
}

/* Of the newest commit, which the session may not have heard of; what was reported is noted. */
static void answer_told(struct world *w, int ret)
{
    const struct slice rows[] = {slice_str("row")};
    struct server_event ev = {.kind = SERVER_TOLD};
    struct server_told told = {.ret = ret, .form = ZTC__DIGEST_TELL__FORM__KINDS, .rows = rows};
    uint64_t *head = &w->heads[w->told_stream == SITE ? 1 : 0];

    if (!w->telling)
        return;
    w->telling = false;
    *head += rd_u8(&w->in) % 4;
    told.seq = *head;
    told.list = slice_str("list");
    told.n_rows = told.covered = 1;
    ev.told = &told;
    step(w, ev);
}

/* ---- another life ---- */

static void give_points(struct world *w)
{
    Ztc__NewIdentity m = ZTC__NEW_IDENTITY__INIT;
    Ztc__OwnPoint points[2] = {ZTC__OWN_POINT__INIT, ZTC__OWN_POINT__INIT};
    Ztc__OwnPoint *list[2] = {&points[0], &points[1]};
    uint8_t bits = rd_u8(&w->in);
    struct buf made;

    buf_init(&made, FRAME_MAX);
    for (size_t i = 0; i < 2; i++) {
        points[i].n = (bits & 3) + i;
        points[i].chain = wire_data((struct slice){chains[i], HASH_SIZE});
    }
    m.points = list;
    m.n_points = 1 + (bits >> 2 & 1);
    m.has_replica = m.has_csr = bits >> 3 & 1;
    m.replica = wire_data((struct slice){replica.b, ID_SIZE});
    m.csr = wire_data(slice_str("request"));
    frame_put_new_identity(&made, &m);
    give_made(w, &made);
}

static void answer_points(struct world *w, int ret)
{
    const struct slice ca = slice_str("ca");
    struct server_event ev = {.kind = SERVER_IDENTITY};
    uint8_t bits = rd_u8(&w->in);

    if (!w->granting)
        return;
    w->granting = false;
    ev.identity.issued.ret = ret;
    ev.identity.agrees = bits & 1;
    ev.identity.agreed_n = bits >> 1 & 3;
    ev.identity.k = w->with_request && ret == 0 ? 2 : 0;
    ev.identity.issued.certificate = slice_str("certificate");
    ev.identity.issued.authorities = &ca;
    ev.identity.issued.n_authorities = 1;
    step(w, ev);
}

/* Where it belongs, except where a byte says otherwise. */
static void give_refill(struct world *w)
{
    uint8_t bits = rd_u8(&w->in);
    const struct server_stream *t = &w->s.streams[bits & 1];
    Ztc__Refill m = ZTC__REFILL__INIT;
    struct buf plain, packed, made;

    buf_init(&plain, WIRE_BODY_MAX);
    buf_init(&packed, FRAME_MAX);
    buf_init(&made, FRAME_MAX);
    m.stream = bits >> 4 == 15 ? STREAM_CITY : t->stream;
    m.first_seq = (w->s.state == SERVER_REFILLING ? t->ask_from : 6) + (bits >> 4 == 14);
    m.count = 1 + (bits >> 1 & 3);
    for (uint32_t i = 0; i < m.count; i++)
        body_put_entry(&plain, 1, slice_str("verdict"), bits >> 4 == 13, slice_str("bytes"),
                       (struct slice){NULL, 0});
    m.size = (uint32_t)plain.len + (bits >> 4 == 12);
    if (body_compress(&w->codec, buf_slice(&plain), &packed) == 0) {
        m.body = wire_data(buf_slice(&packed));
        frame_put_refill(&made, &m);
        give_made(w, &made);
    }
    buf_release(&plain);
    buf_release(&packed);
}

static void answer_refill(struct world *w, int ret)
{
    struct server_event ev = {.kind = SERVER_REFILLED};

    if (w->refilling == 0)
        return;
    w->refilling--;
    ev.refilled.ret = ret;
    step(w, ev);
}

static void fail_store(struct world *w)
{
    if (w->refilling > 0)
        answer_refill(w, rd_u8(&w->in) % 2 != 0 ? E_AUTH : E_IO);
    else if (w->granting)
        answer_points(w, E_IO);
    else if (w->telling)
        answer_told(w, E_IO);
    else if (w->issuing)
        answer_renewed(w, E_FULL);
    else if (w->asked)
        answer_facts(w, E_IO);
    else if (w->merging != 0)
        answer_merged(w, E_FULL);
    else if (w->reading)
        answer_read(w, E_IO);
    else
        answer_refusals(w, E_BUSY);
}

/* ---- attachments ---- */

static void give_blob(struct world *w)
{
    struct fuzz_lane lanes[2];
    struct buf made;

    for (size_t i = 0; i < 2; i++)
        lanes[i] = (struct fuzz_lane){w->s.lanes[i].offset, w->s.lanes[i].size};
    buf_init(&made, FRAME_MAX);
    fuzz_put_blob(&w->in, lanes, &made);
    give_made(w, &made);
}

/* The disk or the store answers for one lane: well, or with what a byte says. */
static void answer_blob(struct world *w)
{
    static const int rets[] = {0, 0, 0, 0, E_IO, E_CORRUPT, E_DENIED, E_FULL};
    static uint8_t bytes[WIRE_CHUNK_MAX];
    uint8_t bits = rd_u8(&w->in);
    enum server_lane_name lane = (enum server_lane_name)(bits & 1);
    struct server_blob_want want = w->blobs[lane];
    struct server_event ev = {.kind = SERVER_BLOB};

    if (want.ask == SERVER_BLOB_NOTHING)
        return;
    w->blobs[lane].ask = SERVER_BLOB_NOTHING;
    ev.blob.lane = lane;
    ev.blob.ask = want.ask;
    ev.blob.ret = rets[bits >> 1 & 7];
    ev.blob.verified = bits >> 4 & 1;
    ev.blob.offset = bits >> 5 & 1 ? WIRE_CHUNK_MAX : 0;
    ev.blob.size = FUZZ_BLOB_BYTES;
    ev.blob.bytes = (struct slice){bytes, want.len};
    step(w, ev);
}

/* ---- the rest ---- */

static void drain(struct world *w)
{
    size_t left = (size_t)rd_u8(&w->in) << 4;

    w->unsent = left < w->unsent ? left : w->unsent;
    step(w, (struct server_event){.kind = SERVER_DRAINED, .unsent = w->unsent});
}

static void wait(struct world *w)
{
    w->now += (msec_t)rd_u8(&w->in) * 500;
    step(w, (struct server_event){.kind = SERVER_TIMER});
}

static void end(struct world *w)
{
    struct server_event ev = {.kind = SERVER_END};

    ev.end.cause = E_CLOSED;
    step(w, ev);
}

static void one_step(struct world *w)
{
    switch ((enum step)(rd_u8(&w->in) % STEPS)) {
    case STEP_FRAME:
        give_frame(w, fuzz_take_rest(&w->in));
        break;
    case STEP_HELLO:
        give_hello(w);
        break;
    case STEP_PUSH_BYTES:
        give_push_bytes(w);
        break;
    case STEP_PUSH:
        give_changes(w);
        break;
    case STEP_REFUSED_ACK:
        give_refused_ack(w);
        break;
    case STEP_PING:
        give_ping(w);
        break;
    case STEP_FACTS:
        answer_facts(w, 0);
        break;
    case STEP_MERGED:
        answer_merged(w, 0);
        break;
    case STEP_HEADS:
        tell_heads(w);
        break;
    case STEP_READ:
        answer_read(w, 0);
        break;
    case STEP_REFUSALS:
        answer_refusals(w, 0);
        break;
    case STEP_DRAINED:
        drain(w);
        break;
    case STEP_TIMER:
        wait(w);
        break;
    case STEP_FAIL:
        fail_store(w);
        break;
    case STEP_STANDING:
        if (!w->asked && w->s.state < SERVER_ADMITTING)
            w->standing = (enum server_standing)(rd_u8(&w->in) % 3);
        break;
    case STEP_RENEW:
        give_renew(w);
        break;
    case STEP_RENEWED:
        answer_renewed(w, 0);
        break;
    case STEP_TOLD:
        tell_of_more(w);
        break;
    case STEP_BLOB:
        give_blob(w);
        break;
    case STEP_BLOB_ANSWER:
        answer_blob(w);
        break;
    case STEP_ASK:
        give_ask(w);
        break;
    case STEP_TELL:
        answer_told(w, 0);
        break;
    case STEP_LIFE:
        if (!w->asked && w->s.state < SERVER_ADMITTING)
            w->life = rd_u8(&w->in) % 32;
        break;
    case STEP_POINTS:
        give_points(w);
        break;
    case STEP_IDENTITY:
        answer_points(w, 0);
        break;
    case STEP_REFILL:
        give_refill(w);
        break;
    case STEP_REFILLED:
        answer_refill(w, 0);
        break;
    case STEP_END:
    case STEPS:
        end(w);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world w = {.in = rd_of((struct slice){data, size}), .now = 1000, .heads = {5, 9}};
    struct server_options options = server_options_preset;
    struct server_event open = {.kind = SERVER_OPEN};

    options.push_window = 8;
    options.unmerged_max = 4096;
    options.unsent_max = 4096;
    arena_init(&w.arena, 64u << 20);
    body_codec_init(&w.codec);
    server_update_init(&w.up);
    server_session_init(&w.s, &options);
    open.open.replica = replica;
    open.open.site = SITE;
    step(&w, open);
    for (unsigned i = 0; i < STEPS_MAX && rd_left(&w.in) > 0; i++)
        one_step(&w);
    step(&w, (struct server_event){.kind = SERVER_GONE});
    assert(w.s.state == SERVER_CLOSED);
    server_update_release(&w.up);
    body_codec_release(&w.codec);
    arena_release(&w.arena);
    return 0;
}
