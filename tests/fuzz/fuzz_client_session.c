/* A city that says whatever it likes, to the county's session over a store in memory: the counterpart
 * of fuzz_server_session.c. The city is trusted to be the city, not to be free of bugs, and the county
 * must not come to harm by them. */
#include "client/core/session.h"
#include "common/base/err.h"
#include "common/catalogue/catalogue.h"
#include "common/wire/check.h"
#include "tests/lib/fuzz_input.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SITE      431021u
#define STEPS_MAX 200u
#define ISSUED    1700000000000u
#define LIFE      (90ull * 24 * 3600 * 1000)
#define APPLYING_MAX 3u /* of the preset options */

enum step {
    STEP_FRAME,
    STEP_WELCOME,
    STEP_ENTRIES_BYTES,
    STEP_ENTRIES,
    STEP_REFUSED,
    STEP_PING,
    STEP_BYE,
    STEP_CHECKED,
    STEP_LOCAL,
    STEP_LOADED,
    STEP_STORED,
    STEP_DRAINED,
    STEP_TIMER,
    STEP_FAIL, /* of whatever the store was asked */
    STEP_END,
    STEP_STANDING, /* of the Welcome to come */
    STEP_RENEWED,
    STEP_REQUEST,
    STEP_KEPT,
    STEP_BLOB,
    STEP_BLOB_ANSWER,
    STEP_DIFFERS,
    STEP_TELL,
    STEP_DIGESTED,
    STEP_LIFE, /* of the city, or of this computer: the Welcome to come */
    STEP_GRANTED,
    STEP_POINTS,
    STEP_TAKEN,
    STEP_REFILL_ASK,
    STEP_REFILL,
    STEP_GO_BACK,
    STEPS
};

struct world {
    struct rd in;
    struct client_session s;
    struct client_blob_want blobs[CLIENT_LANES]; /* what was asked for and not answered */
    struct client_update up;
    struct arena arena;
    struct body_codec codec;
    msec_t now;
    size_t unsent;
    struct client_ledger ledger;
    bool checking, loading, requesting, keeping;
    uint8_t standing;
    bool restored, forked; /* of the Welcome to come */
    bool parting, becoming; /* points are looked for, an identity is being taken */
    uint64_t part_lo, part_hi;
    bool refilling, going_back;
    uint32_t refill_stream;
    uint64_t refill_from, refill_upto;
    uint64_t load_from;
    uint32_t load_most;
    bool refusing;
    bool comparing; /* an answer about tables is with the store */
    unsigned applying; /* batches handed out, the first at 0 */
    uint32_t streams[APPLYING_MAX];
    uint64_t apply_last[APPLYING_MAX], refused_first;
};

static const uint8_t chains[2][HASH_SIZE] = {{0xaa}, {0xbb}};

/* ---- the store ---- */

static void note_asked(struct world *w)
{
    const struct client_update *up = &w->up;

    for (size_t i = 0; i < CLIENT_LANES; i++) {
        if (up->blob[i].ask == CLIENT_BLOB_NOTHING)
            continue;
        assert(w->blobs[i].ask == CLIENT_BLOB_NOTHING);
        assert(up->blob[i].size <= WIRE_BLOB_MAX && up->blob[i].len <= WIRE_CHUNK_MAX);
        assert(up->blob[i].offset + up->blob[i].bytes.len <= WIRE_BLOB_MAX);
        w->blobs[i] = up->blob[i];
    }
    if (up->check.wanted) {
        assert(!w->checking && up->check.n <= w->ledger.own_n && up->check.chain.len == HASH_SIZE);
        w->checking = true;
    }
    if (up->load.wanted) {
        assert(!w->loading && up->load.from_n <= w->ledger.own_n && up->load.max_count > 0);
        w->loading = true;
        w->load_from = up->load.from_n;
        w->load_most = up->load.max_count;
    }
    if (up->apply != NULL) {
        assert(w->applying < APPLYING_MAX && !w->refusing);
        w->streams[w->applying] = up->apply->stream;
        w->apply_last[w->applying++] = up->apply->first_seq + up->apply->count - 1;
    }
    if (up->make_request) {
        assert(!w->requesting && !w->keeping);
        w->requesting = true;
    }
    if (up->store_renewed != NULL) {
        assert(!w->requesting && !w->keeping && up->store_renewed->n_authorities > 0);
        w->keeping = true;
    }
    if (up->digest.ask != NULL) {
        const struct client_digest_ask *ask = up->digest.ask;

        assert(!w->comparing && w->applying == 0 && !w->refusing);
        assert((up->digest.tell != NULL) != (up->digest.rows != NULL));
        assert((up->digest.rows != NULL) == (ask->n_ids > 0));
        w->comparing = true;
    }
    if (up->fork.wanted) {
        assert(!w->parting && !w->becoming && up->fork.hi <= w->ledger.own_n);
        w->parting = true;
        w->part_lo = up->fork.lo;
        w->part_hi = up->fork.hi;
    }
    if (up->take_identity.granted != NULL) {
        assert(!w->parting && !w->becoming && up->take_identity.agreed_n == w->part_lo);
        w->becoming = true;
    }
    if (up->refill.wanted) {
        assert(!w->refilling && !w->going_back && up->refill.from_seq >= 1);
        assert(up->refill.from_seq <= up->refill.upto_seq);
        assert(up->refill.upto_seq <= (up->refill.stream == SITE ? 9u : 5u));
        w->refilling = true;
        w->refill_stream = up->refill.stream;
        w->refill_from = up->refill.from_seq;
        w->refill_upto = up->refill.upto_seq;
    }
    if (up->go_back != NULL) {
        assert(!w->refilling && !w->going_back);
        w->going_back = true;
    }
    assert(!w->comparing || (up->apply == NULL && up->store_refused == NULL));
    if (up->store_refused != NULL) {
        assert(w->applying == 0 && !w->refusing && up->store_refused->last_n <= w->ledger.own_n);
        w->refusing = true;
        w->refused_first = up->store_refused->first_n;
    }
}

static void step(struct world *w, struct client_event ev)
{
    ev.now = w->now;
    ev.clock = 1700000000000;
    ev.arena = &w->arena;
    client_session_step(&w->s, &ev, &w->up);
    assert(w->up.out.ret == 0);
    w->unsent += w->up.out.len;
    buf_clear(&w->up.out);
    note_asked(w);
    arena_clear(&w->arena);
}

/* ---- frames ---- */

static void give_frame(struct world *w, struct slice bytes)
{
    struct client_event ev = {.kind = CLIENT_FRAME};
    Ztc__Frame *f;
    int ret;

    if (!w->up.reading)
        return;
    ret = frame_unpack(&w->arena, bytes, &f);
    if (ret == 0)
        ev.frame = f;
    else
        ev = (struct client_event){.kind = CLIENT_BROKEN, .ret = ret};
    step(w, ev);
}

static void give_made(struct world *w, struct buf *made)
{
    assert(made->ret == 0);
    give_frame(w, (struct slice){made->p + FRAME_PREFIX, made->len - FRAME_PREFIX});
    buf_release(made);
}

static void put_head(struct buf *out, uint32_t stream, uint64_t seq)
{
    struct head h = {.stream = stream, .seq = seq};

    head_encode(out, &h);
}

static void give_welcome(struct world *w)
{
    static const uint8_t incarnation[ID_SIZE] = {7};
    Ztc__Welcome m = ZTC__WELCOME__INIT;
    Ztc__SignedHead head = ZTC__SIGNED_HEAD__INIT;
    Ztc__SignedHead *list[1] = {&head};
    uint8_t bits = rd_u8(&w->in);
    struct buf bytes, made;

    buf_init(&bytes, 256);
    buf_init(&made, FRAME_MAX);
    put_head(&bytes, bits & 1 ? SITE : STREAM_SHARED, rd_u8(&w->in));
    head.head = wire_data(buf_slice(&bytes));
    head.signature = wire_data(slice_str("signature"));
    m.protocol = 1;
    m.incarnation = wire_data((struct slice){incarnation, ID_SIZE});
    m.accepted_n = rd_u8(&w->in) % 8;
    m.catalogue = 1;
    m.heads = list;
    m.n_heads = 1;
    m.push_window = rd_u8(&w->in) % 8;
    m.frame_max = FRAME_MAX;
    m.ping_every = 30000;
    m.dead_after = 90000;
    m.identity = w->forked                             ? ZTC__WELCOME__IDENTITY__FORKED
                 : w->restored || (bits >> 1) % 8 == 7 ? ZTC__WELCOME__IDENTITY__AHEAD
                                                       : ZTC__WELCOME__IDENTITY__SAME;
    m.has_restored = m.restored = w->restored;
    m.accepted_chain = wire_data((struct slice){chains[bits >> 7], HASH_SIZE});
    m.has_standing = w->standing % 4 != 0;
    m.standing = (Ztc__Welcome__Standing)(w->standing % 4);
    m.has_authorities = true;
    m.authorities = wire_data((struct slice){chains[w->standing >> 7], HASH_SIZE});
    frame_put_welcome(&made, &m);
    give_made(w, &made);
    buf_release(&bytes);
}

/* Entries of a stream where they belong, except where a byte says otherwise. */
static void give_entries(struct world *w, uint32_t count, struct slice plain)
{
    uint8_t bits = rd_u8(&w->in);
    const struct client_stream *t = &w->s.streams[bits & 1];
    Ztc__Entries m = ZTC__ENTRIES__INIT;
    Ztc__SignedHead head = ZTC__SIGNED_HEAD__INIT;
    struct buf packed, bytes, made;

    buf_init(&packed, FRAME_MAX);
    buf_init(&bytes, 256);
    buf_init(&made, FRAME_MAX);
    m.stream = bits >> 1 & 1 && bits >> 2 & 1 ? STREAM_CITY : t->stream;
    m.first_seq = t->arrived + (bits >> 3 == 31 ? 2 : 1);
    put_head(&bytes, m.stream, m.first_seq + count - 1 + (bits >> 3) % 4);
    head.head = wire_data(buf_slice(&bytes));
    head.signature = wire_data(slice_str("signature"));
    if (body_compress(&w->codec, plain, &packed) == 0) {
        m.count = count;
        m.size = (uint32_t)plain.len;
        m.body = wire_data(buf_slice(&packed));
        m.head = &head;
        frame_put_entries(&made, &m);
        give_made(w, &made);
    }
    buf_release(&packed);
    buf_release(&bytes);
}

static void give_entries_bytes(struct world *w)
{
    uint32_t count = rd_u8(&w->in);

    give_entries(w, count, fuzz_take_rest(&w->in));
}

static void give_entries_made(struct world *w)
{
    uint32_t count = 1 + rd_u8(&w->in) % 8;
    struct buf plain;

    buf_init(&plain, WIRE_BODY_MAX);
    for (uint32_t i = 0; i < count; i++)
        body_put_entry(&plain, 1, slice_str("verdict"), i % 2, slice_str("bytes"),
                       (struct slice){NULL, 0});
    give_entries(w, count, buf_slice(&plain));
    buf_release(&plain);
}

static void give_refused(struct world *w)
{
    Ztc__Refused m = ZTC__REFUSED__INIT;
    struct buf made;

    buf_init(&made, FRAME_MAX);
    m.first_n = rd_u8(&w->in) % 16;
    m.at_n = m.last_n = m.first_n + rd_u8(&w->in) % 4;
    m.code = wire_data(slice_str("ZT-STATE"));
    m.text = wire_data(slice_str("不允许"));
    frame_put_refused(&made, &m);
    give_made(w, &made);
}

static void give_ping(struct world *w)
{
    struct buf made;

    buf_init(&made, FRAME_MAX);
    fuzz_put_ping(&w->in, &made);
    give_made(w, &made);
}

static void give_bye(struct world *w)
{
    Ztc__Bye m = ZTC__BYE__INIT;
    struct buf made;

    buf_init(&made, FRAME_MAX);
    m.code = wire_data(slice_str("ZT-BUSY"));
    m.has_retry_after = true;
    m.retry_after = rd_u8(&w->in);
    frame_put_bye(&made, &m);
    give_made(w, &made);
}

static void give_renewed(struct world *w)
{
    Ztc__Renewed m = ZTC__RENEWED__INIT;
    ProtobufCBinaryData cas[2] = {wire_data(slice_str("new")), wire_data(slice_str("old"))};
    uint8_t bits = rd_u8(&w->in);
    struct buf made;

    buf_init(&made, FRAME_MAX);
    m.has_certificate = bits & 1;
    if (m.has_certificate) {
        m.certificate = wire_data(slice_str("certificate"));
        m.authorities = m.endorsements = cas;
        m.n_authorities = 1 + (bits >> 1 & 1);
        m.n_endorsements = m.n_authorities - 1;
    }
    frame_put_renewed(&made, &m);
    give_made(w, &made);
}

/* ---- answers ---- */

static void answer_request(struct world *w, int ret)
{
    if (!w->requesting)
        return;
    w->requesting = false;
    step(w, (struct client_event){
                .kind = CLIENT_REQUEST, .ret = ret, .request = slice_str("request")});
}

static void answer_kept(struct world *w, int ret)
{
    struct client_event ev = {.kind = CLIENT_RENEWED, .ret = ret};

    if (!w->keeping)
        return;
    w->keeping = false;
    ev.cert.from = ISSUED + rd_u8(&w->in) * (LIFE / 128);
    ev.cert.until = ev.cert.from + LIFE;
    ev.ledger = w->ledger;
    step(w, ev);
}

static void answer_checked(struct world *w, int ret)
{
    if (!w->checking)
        return;
    w->checking = false;
    step(w, (struct client_event){.kind = CLIENT_CHECKED, .ret = ret});
}

static void make_changes(struct world *w)
{
    uint64_t more = rd_u8(&w->in) % 4;

    w->ledger.own_n += more;
    w->ledger.waiting += more;
    step(w, (struct client_event){.kind = CLIENT_LOCAL, .ledger = w->ledger});
}

static void answer_loaded(struct world *w, int ret)
{
    struct client_event ev = {.kind = CLIENT_LOADED, .ret = ret};
    uint64_t most = w->ledger.own_n + 1 - w->load_from;

    if (!w->loading)
        return;
    w->loading = false;
    if (most > w->load_most)
        most = w->load_most;
    ev.loaded.first_n = w->load_from;
    ev.loaded.count = (uint32_t)(rd_u8(&w->in) % (most + 1));
    ev.loaded.size = 100;
    ev.loaded.body = slice_str("compressed");
    step(w, ev);
}

/* Some of the waiting changes found their answer in it. */
static void answer_some(struct world *w)
{
    uint64_t some = rd_u8(&w->in) % (w->ledger.waiting + 1);

    w->ledger.waiting -= some;
    w->ledger.acked_n = w->ledger.own_n - w->ledger.waiting;
}

static void answer_stored(struct world *w, int ret)
{
    struct client_event ev = {.ret = ret};

    if (w->applying == 0 && !w->refusing)
        return;
    if (ret == 0)
        answer_some(w);
    ev.ledger = w->ledger;
    if (w->applying > 0) {
        ev.kind = CLIENT_APPLIED;
        ev.applied.stream = w->streams[0];
        ev.applied.seq = w->apply_last[0];
        w->applying--;
        memmove(w->streams, w->streams + 1, w->applying * sizeof *w->streams);
        memmove(w->apply_last, w->apply_last + 1, w->applying * sizeof *w->apply_last);
    } else {
        ev.kind = CLIENT_REFUSED_STORED;
        ev.refused.first_n = w->refused_first;
        ev.refused.until_n = w->ledger.own_n;
    }
    w->refusing = false;
    step(w, ev);
}

/* ---- tables that differ ---- */

static void find_difference(struct world *w)
{
    struct client_event ev = {.kind = CLIENT_COMPARED};
    struct client_repair repair = {.no = 1, .stream = SITE, .kind = 22, .how = 1};
    uint8_t bits = rd_u8(&w->in);

    ev.compared.differs = bits & 1 ? SITE : bits & 2 ? STREAM_SHARED : 0;
    ev.compared.repairs = &repair;
    ev.compared.n_repairs = bits >> 2 & 1;
    step(w, ev);
}

/* What was asked for, at the cursor or ahead of it; or what a byte says. */
static void give_tell(struct world *w)
{
    static const uint8_t id[ID_SIZE] = {5};
    const struct client_digest_ask *ask = &w->s.digest.ask;
    const struct client_stream *t = &w->s.streams[ask->stream == SITE ? 1 : 0];
    uint8_t bits = rd_u8(&w->in);
    Ztc__DigestTell m = ZTC__DIGEST_TELL__INIT;
    Ztc__RepairRows rows = ZTC__REPAIR_ROWS__INIT;
    Ztc__Repaired noted = ZTC__REPAIRED__INIT;
    struct buf made;

    buf_init(&made, FRAME_MAX);
    m.stream = rows.stream = noted.stream = ask->stream == 0 || bits >> 7 ? SITE : ask->stream;
    m.seq = rows.seq = t->arrived + (bits & 3);
    m.has_kind = ask->kind != 0;
    m.kind = rows.kind = ask->kind;
    m.form = m.has_kind ? ZTC__DIGEST_TELL__FORM__ROWS : ZTC__DIGEST_TELL__FORM__KINDS;
    rows.covered = 1;
    noted.no = 1;
    noted.id = wire_data((struct slice){id, ID_SIZE});
    noted.how = ZTC__REPAIRED__HOW__ADDED;
    if (bits >> 2 & 1)
        frame_put_repaired(&made, &noted);
    else if ((ask->n_ids > 0) != (bits >> 3 & 1))
        frame_put_repair_rows(&made, &rows);
    else
        frame_put_digest_tell(&made, &m);
    give_made(w, &made);
}

static void answer_digest(struct world *w, int ret)
{
    struct client_event ev = {.kind = CLIENT_DIGESTED, .ret = ret};
    struct client_repair repair = {.no = 2, .stream = SITE, .kind = 22, .how = 2};
    uint8_t bits = rd_u8(&w->in);

    if (!w->comparing)
        return;
    w->comparing = false;
    ev.compared.more = bits & 1;
    ev.compared.next.stream = w->s.digest.ask.stream;
    ev.compared.next.kind = bits >> 1 & 1 ? 22 : 0;
    ev.compared.next.n_ids = bits >> 1 & bits >> 2 & 1;
    ev.compared.differs = bits >> 3 & 1 ? w->s.digest.ask.stream : 0;
    ev.compared.repairs = &repair;
    ev.compared.n_repairs = bits >> 4 & 1;
    step(w, ev);
}

/* ---- another life ---- */

static void give_granted(struct world *w)
{
    Ztc__NewIdentityGranted m = ZTC__NEW_IDENTITY_GRANTED__INIT;
    Ztc__Renewed renewed = ZTC__RENEWED__INIT;
    ProtobufCBinaryData ca = wire_data(slice_str("ca"));
    uint8_t bits = rd_u8(&w->in);
    struct buf made;

    buf_init(&made, FRAME_MAX);
    if (bits & 1) {
        renewed.has_certificate = true;
        renewed.certificate = wire_data(slice_str("certificate"));
        renewed.authorities = &ca;
        renewed.n_authorities = 1;
        m.renewed = &renewed;
        m.has_k = true;
        m.k = 2;
    } else {
        m.has_agreed_n = bits >> 1 & 1;
        m.agreed_n = bits >> 2 & 7;
    }
    frame_put_new_identity_granted(&made, &m);
    give_made(w, &made);
}

/* Every point there is, or the request where there are none. */
static void answer_points(struct world *w, int ret)
{
    struct client_event ev = {.kind = CLIENT_FORK, .ret = ret};
    struct client_point points[8] = {{.n = w->part_lo}};

    if (!w->parting)
        return;
    w->parting = false;
    assert(w->part_hi < 8);
    ev.fork.points = points;
    for (uint64_t n = w->part_lo + 1; n <= w->part_hi; n++)
        points[ev.fork.n_points++].n = n;
    if (ev.fork.n_points == 0) {
        ev.fork.n_points = 1;
        ev.fork.request = slice_str("request");
    }
    step(w, ev);
}

static void answer_taken(struct world *w, int ret)
{
    if (w->becoming)
        step(w, (struct client_event){.kind = CLIENT_IDENTITY, .ret = ret});
    else if (w->going_back)
        step(w, (struct client_event){.kind = CLIENT_GONE_BACK, .ret = ret});
    w->becoming = w->going_back = false;
}

static void give_refill_ask(struct world *w)
{
    Ztc__RefillAsk m = ZTC__REFILL_ASK__INIT;
    uint8_t bits = rd_u8(&w->in);
    struct buf made;

    buf_init(&made, FRAME_MAX);
    m.stream = bits & 1 ? SITE : bits & 2 ? STREAM_CITY : STREAM_SHARED;
    m.from_seq = bits >> 2 & 3;
    m.upto_seq = bits >> 4;
    frame_put_refill_ask(&made, &m);
    give_made(w, &made);
}

static void answer_refill(struct world *w, int ret)
{
    struct client_event ev = {.kind = CLIENT_REFILL, .ret = ret};

    if (!w->refilling)
        return;
    w->refilling = false;
    ev.refill.stream = w->refill_stream;
    ev.refill.first_seq = w->refill_from;
    ev.refill.count = (uint32_t)(1 + rd_u8(&w->in) % (w->refill_upto + 1 - w->refill_from));
    ev.refill.size = 100;
    ev.refill.body = slice_str("compressed");
    step(w, ev);
}

static void give_go_back(struct world *w)
{
    Ztc__GoBack m = ZTC__GO_BACK__INIT;
    Ztc__Place place = ZTC__PLACE__INIT, *list[1] = {&place};
    uint8_t bits = rd_u8(&w->in);
    struct buf made;

    buf_init(&made, FRAME_MAX);
    place.stream = bits & 1 ? SITE : bits & 2 ? STREAM_CITY : STREAM_SHARED;
    place.seq = bits >> 4;
    m.places = list;
    m.n_places = 1;
    frame_put_go_back(&made, &m);
    give_made(w, &made);
}

static void fail_store(struct world *w)
{
    if (w->parting)
        answer_points(w, E_IO);
    else if (w->becoming || w->going_back)
        answer_taken(w, E_FULL);
    else if (w->refilling)
        answer_refill(w, E_IO);
    else if (w->requesting)
        answer_request(w, E_NOMEM);
    else if (w->keeping)
        answer_kept(w, rd_u8(&w->in) % 2 != 0 ? E_FULL : E_AUTH);
    else if (w->checking)
        answer_checked(w, E_FORK);
    else if (w->loading)
        answer_loaded(w, E_IO);
    else if (w->comparing)
        answer_digest(w, E_FULL);
    else
        answer_stored(w, E_FULL);
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

/* The disk or the file answers for one lane: well, or with what a byte says. */
static void answer_blob(struct world *w)
{
    static const int rets[] = {0, 0, 0, 0, E_IO, E_CORRUPT, E_BLOB_LOST, E_FULL};
    static uint8_t bytes[WIRE_CHUNK_MAX];
    uint8_t bits = rd_u8(&w->in);
    enum client_lane_name lane = (enum client_lane_name)(bits & 1);
    struct client_blob_want want = w->blobs[lane];
    struct client_event ev = {.kind = CLIENT_BLOB, .ledger = w->ledger};

    if (want.ask == CLIENT_BLOB_NOTHING)
        return;
    w->blobs[lane].ask = CLIENT_BLOB_NOTHING;
    ev.blob.lane = lane;
    ev.blob.ask = want.ask;
    ev.blob.ret = rets[bits >> 1 & 7];
    ev.blob.found = bits >> 4 & 1;
    ev.blob.attachment.b[0] = (uint8_t)(1 + (bits >> 5 & 1));
    ev.blob.size = FUZZ_BLOB_BYTES;
    ev.blob.offset = lane == CLIENT_LANE_DOWN && bits >> 6 & 1 ? WIRE_CHUNK_MAX : 0;
    ev.blob.bytes = (struct slice){bytes, want.len};
    step(w, ev);
}

/* ---- the rest ---- */

static void drain(struct world *w)
{
    size_t left = (size_t)rd_u8(&w->in) << 4;

    w->unsent = left < w->unsent ? left : w->unsent;
    step(w, (struct client_event){.kind = CLIENT_DRAINED, .unsent = w->unsent});
}

static void wait(struct world *w)
{
    w->now += (msec_t)rd_u8(&w->in) * 500;
    step(w, (struct client_event){.kind = CLIENT_TIMER});
}

static void one_step(struct world *w)
{
    switch ((enum step)(rd_u8(&w->in) % STEPS)) {
    case STEP_FRAME:
        give_frame(w, fuzz_take_rest(&w->in));
        break;
    case STEP_WELCOME:
        give_welcome(w);
        break;
    case STEP_ENTRIES_BYTES:
        give_entries_bytes(w);
        break;
    case STEP_ENTRIES:
        give_entries_made(w);
        break;
    case STEP_REFUSED:
        give_refused(w);
        break;
    case STEP_PING:
        give_ping(w);
        break;
    case STEP_BYE:
        give_bye(w);
        break;
    case STEP_CHECKED:
        answer_checked(w, 0);
        break;
    case STEP_LOCAL:
        make_changes(w);
        break;
    case STEP_LOADED:
        answer_loaded(w, 0);
        break;
    case STEP_STORED:
        answer_stored(w, 0);
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
        w->standing = rd_u8(&w->in);
        break;
    case STEP_RENEWED:
        give_renewed(w);
        break;
    case STEP_REQUEST:
        answer_request(w, 0);
        break;
    case STEP_KEPT:
        answer_kept(w, 0);
        break;
    case STEP_BLOB:
        give_blob(w);
        break;
    case STEP_BLOB_ANSWER:
        answer_blob(w);
        step(w, (struct client_event){.kind = CLIENT_BLOB_LOOK});
        break;
    case STEP_DIFFERS:
        find_difference(w);
        break;
    case STEP_TELL:
        give_tell(w);
        break;
    case STEP_DIGESTED:
        answer_digest(w, 0);
        break;
    case STEP_LIFE:
        w->restored = rd_u8(&w->in) % 2 != 0;
        w->forked = !w->restored;
        break;
    case STEP_GRANTED:
        give_granted(w);
        break;
    case STEP_POINTS:
        answer_points(w, 0);
        break;
    case STEP_TAKEN:
        answer_taken(w, 0);
        break;
    case STEP_REFILL_ASK:
        give_refill_ask(w);
        break;
    case STEP_REFILL:
        answer_refill(w, 0);
        break;
    case STEP_GO_BACK:
        give_go_back(w);
        break;
    case STEP_END:
    case STEPS:
        step(w, (struct client_event){.kind = CLIENT_END});
        break;
    }
}

static void connect_to(struct world *w)
{
    struct client_facts f = {.catalogue = 1, .software = "ztc", .n_cursors = 2};

    f.ledger = w->ledger;
    f.cert = (struct client_cert){ISSUED, ISSUED + LIFE, {0}};
    memcpy(f.cert.authorities, chains[0], HASH_SIZE);
    f.city_time = ISSUED + LIFE / 3 * 2 - 100000;
    memcpy(f.own_chain, chains[0], HASH_SIZE);
    memcpy(f.acked_chain, chains[0], HASH_SIZE);
    f.cursors[0] = (struct client_cursor){.stream = STREAM_SHARED, .seq = 5};
    f.cursors[1] = (struct client_cursor){.stream = SITE, .seq = 9};
    step(w, (struct client_event){.kind = CLIENT_CONNECTED, .facts = &f});
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world w = {.in = rd_of((struct slice){data, size}), .now = 1000};
    struct client_options options = client_options_preset;

    options.queue_max = 4096;
    options.unsent_max = 4096;
    w.ledger = (struct client_ledger){.own_n = 5, .acked_n = 2, .waiting = 3};
    arena_init(&w.arena, 64u << 20);
    body_codec_init(&w.codec);
    client_update_init(&w.up);
    client_session_init(&w.s, &options, w.now);
    connect_to(&w);
    for (unsigned i = 0; i < STEPS_MAX && rd_left(&w.in) > 0; i++)
        one_step(&w);
    step(&w, (struct client_event){.kind = CLIENT_GONE});
    assert(w.s.state == CLIENT_OFFLINE);
    client_session_release(&w.s);
    client_update_release(&w.up);
    body_codec_release(&w.codec);
    arena_release(&w.arena);
    return 0;
}
