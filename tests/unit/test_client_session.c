/* The county's session, step by step: what each event makes it send, store, load and end with. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "client/core/session.h"
#include "common/base/err.h"
#include "common/base/mem.h"

#include <stdio.h>
#include <string.h>

#define SITE          431021u
#define STREAM_SHARED 1u

/* ---- fixture ---- */

struct fixture {
    struct client_session s;
    struct client_update up;
    struct client_options options;
    struct arena arena;
    struct body_codec codec;
    struct buf story; /* what the last steps did, in words */
    struct client_facts facts;
    msec_t now;
};

static uint8_t chain_a[HASH_SIZE] = {0xaa}, chain_b[HASH_SIZE] = {0xbb};
static uint8_t ones[HASH_SIZE] = {1};

static int setup(void **state)
{
    struct fixture *f = mem_calloc(1, sizeof *f);

    f->options = client_options_preset;
    f->now = 1000;
    arena_init(&f->arena, 64u << 20);
    body_codec_init(&f->codec);
    buf_init(&f->story, 1u << 20);
    client_update_init(&f->up);
    client_session_init(&f->s, &f->options, f->now);
    f->facts = (struct client_facts){.replica = {{1}}, .catalogue = 1, .software = "ztc"};
    f->facts.ledger = (struct client_ledger){.own_n = 4, .acked_n = 1, .waiting = 3};
    memcpy(f->facts.own_chain, chain_b, HASH_SIZE);
    memcpy(f->facts.acked_chain, chain_a, HASH_SIZE);
    f->facts.n_cursors = 2;
    f->facts.cursors[0] = (struct client_cursor){.stream = STREAM_SHARED};
    f->facts.cursors[1] = (struct client_cursor){.stream = SITE, .seq = 7, .incarnation = {{9}}};
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    client_session_release(&f->s);
    client_update_release(&f->up);
    buf_release(&f->story);
    body_codec_release(&f->codec);
    arena_release(&f->arena);
    mem_free(f);
    return 0;
}

static void again(struct fixture *f)
{
    client_session_release(&f->s);
    client_session_init(&f->s, &f->options, f->now);
    buf_clear(&f->story);
}

/* ---- telling ---- */

#define U(x) ((unsigned long long)(x))

static void tell_frame(struct fixture *f, const Ztc__Frame *m)
{
    buf_printf(&f->story, "%s", frame_name(m));
    if (m->kind_case == ZTC__FRAME__KIND_HELLO)
        buf_printf(&f->story, " own %llu acked %llu", U(m->hello->own_n), U(m->hello->acked_n));
    if (m->kind_case == ZTC__FRAME__KIND_PUSH)
        buf_printf(&f->story, " %llu+%u", U(m->push->first_n), m->push->count);
    if (m->kind_case == ZTC__FRAME__KIND_SNAPSHOT_ASK)
        buf_printf(&f->story, " %u%s%s", m->snapshot_ask->stream,
                   m->snapshot_ask->has_after ? " on" : "",
                   m->snapshot_ask->declined ? " declined" : "");
    if (m->kind_case == ZTC__FRAME__KIND_HISTORY_ASK)
        buf_printf(&f->story, " %u %llu..%llu", m->history_ask->stream, U(m->history_ask->from_seq),
                   U(m->history_ask->upto_seq));
    if (m->kind_case == ZTC__FRAME__KIND_REFUSED_ACK)
        buf_printf(&f->story, " %llu until %llu", U(m->refused_ack->first_n),
                   U(m->refused_ack->until_n));
    if (m->kind_case == ZTC__FRAME__KIND_PING)
        buf_printf(&f->story, m->ping->answer ? "?" : " answer");
    if (m->kind_case == ZTC__FRAME__KIND_NEW_IDENTITY) {
        for (size_t i = 0; i < m->new_identity->n_points; i++)
            buf_printf(&f->story, " %llu", U(m->new_identity->points[i]->n));
        buf_str(&f->story, m->new_identity->has_csr ? " request" : "");
    }
    if (m->kind_case == ZTC__FRAME__KIND_BYE)
        buf_printf(&f->story, " %.*s", (int)m->bye->code.len, (char *)m->bye->code.data);
    buf_str(&f->story, "\n");
}

static void tell(struct fixture *f)
{
    struct frame_reader r;
    struct slice left = buf_slice(&f->up.out);

    frame_reader_init(&r, FRAME_MAX);
    while (left.len > 0) {
        Ztc__Frame *m;
        size_t used;

        assert_int_equal(frame_feed(&r, left, &f->arena, &used, &m), 0);
        tell_frame(f, m);
        left.p += used;
        left.len -= used;
    }
    frame_reader_release(&r);
    buf_clear(&f->up.out);
    if (f->up.check.wanted)
        buf_printf(&f->story, "check %llu\n", U(f->up.check.n));
    if (f->up.fork.wanted)
        buf_printf(&f->story, "parted in %llu..%llu\n", U(f->up.fork.lo), U(f->up.fork.hi));
    if (f->up.take_identity.granted != NULL)
        buf_printf(&f->story, "become another behind %llu\n", U(f->up.take_identity.agreed_n));
    if (f->up.load.wanted)
        buf_printf(&f->story, "load from %llu at most %u\n", U(f->up.load.from_n),
                   f->up.load.max_count);
    if (f->up.apply != NULL)
        buf_printf(&f->story, "apply %u %llu+%u\n", f->up.apply->stream, U(f->up.apply->first_seq),
                   f->up.apply->count);
    if (f->up.store_refused != NULL)
        buf_printf(&f->story, "store refused %llu..%llu\n", U(f->up.store_refused->first_n),
                   U(f->up.store_refused->last_n));
    if (f->up.begin.wanted)
        buf_printf(&f->story, "begin %u\n", f->up.begin.stream);
    if (f->up.store_slice != NULL)
        buf_printf(&f->story, "store slice %u\n", f->up.store_slice->stream);
    if (f->up.store_history != NULL)
        buf_printf(&f->story, "store history %llu+%u\n", U(f->up.store_history->first_seq),
                   f->up.store_history->count);
    if (f->up.close != CLIENT_KEEP)
        buf_printf(&f->story, "close %s\n", f->up.close == CLIENT_CLOSE_NOW ? "now" : "flushed");
}

static void step(struct fixture *f, struct client_event ev)
{
    ev.now = f->now;
    ev.clock = 1700000000000;
    ev.arena = &f->arena;
    client_session_step(&f->s, &ev, &f->up);
    tell(f);
}

/* The story since the last call. */
static void expect(struct fixture *f, const char *story)
{
    assert_string_equal(buf_cstr(&f->story), story);
    buf_clear(&f->story);
}

static void expect_bye(struct fixture *f, const char *code)
{
    char story[100];

    (void)snprintf(story, sizeof story, "bye %s\nclose flushed\n", code);
    expect(f, story);
    assert_int_equal(f->s.state, CLIENT_CLOSING);
    assert_string_equal(err_code(f->s.cause), code);
}

static void expect_state(struct fixture *f, const char *name)
{
    assert_string_equal(client_state_name(f->s.state), name);
}

/* ---- events ---- */

static void frame(struct fixture *f, int kind, void *m)
{
    Ztc__Frame fr = ZTC__FRAME__INIT;

    fr.kind_case = (Ztc__Frame__KindCase)kind;
    fr.hello = m;
    step(f, (struct client_event){.kind = CLIENT_FRAME, .frame = &fr});
}

static void connect_city(struct fixture *f)
{
    step(f, (struct client_event){.kind = CLIENT_CONNECTED, .facts = &f->facts});
}

static void head_bytes(uint32_t stream, uint64_t seq, Ztc__SignedHead *m)
{
    static struct buf bytes[2];
    struct buf *b = &bytes[stream == SITE];
    static uint8_t storage[2][128];
    struct head h = {.incarnation = {{9}}, .stream = stream, .seq = seq};

    buf_init(b, 128);
    head_encode(b, &h);
    memcpy(storage[stream == SITE], b->p, b->len);
    ztc__signed_head__init(m);
    m->head = wire_data((struct slice){storage[stream == SITE], b->len});
    m->signature = wire_data(slice_str("signature"));
    buf_release(b);
}

static Ztc__Welcome welcome(uint64_t accepted_n)
{
    static Ztc__SignedHead heads[2];
    static Ztc__SignedHead *list[2] = {&heads[0], &heads[1]};
    Ztc__Welcome m = ZTC__WELCOME__INIT;

    head_bytes(STREAM_SHARED, 1, &heads[0]);
    head_bytes(SITE, 9, &heads[1]);
    m.protocol = 1;
    m.incarnation = wire_data((struct slice){ones, ID_SIZE});
    m.accepted_n = accepted_n;
    m.accepted_chain = wire_data((struct slice){accepted_n == 4 ? chain_b : chain_a, HASH_SIZE});
    m.catalogue = 1;
    m.heads = list;
    m.n_heads = 2;
    m.push_window = 8;
    m.frame_max = FRAME_MAX;
    m.ping_every = 1000;
    m.dead_after = 3000;
    m.identity = ZTC__WELCOME__IDENTITY__SAME;
    return m;
}

/* Connected and welcomed; accepted_n 1 is known from Hello and needs no check. */
static void serve(struct fixture *f, uint64_t accepted_n)
{
    Ztc__Welcome m = welcome(accepted_n);

    connect_city(f);
    frame(f, ZTC__FRAME__KIND_WELCOME, &m);
    buf_clear(&f->story);
}

static void entries(struct fixture *f, uint32_t stream, uint64_t first, uint32_t count,
                    uint64_t head)
{
    Ztc__Entries m = ZTC__ENTRIES__INIT;
    Ztc__SignedHead signed_head;
    struct buf plain, packed;

    buf_init(&plain, WIRE_BODY_MAX);
    buf_init(&packed, FRAME_MAX);
    for (uint32_t i = 0; i < count; i++)
        body_put_entry(&plain, 1, slice_str("v"), 0, slice_str("bytes"), slice_str(""));
    assert_int_equal(body_compress(&f->codec, buf_slice(&plain), &packed), 0);
    head_bytes(stream, head, &signed_head);
    m.stream = stream;
    m.first_seq = first;
    m.count = count;
    m.size = (uint32_t)plain.len;
    m.body = wire_data(buf_slice(&packed));
    m.head = &signed_head;
    frame(f, ZTC__FRAME__KIND_ENTRIES, &m);
    buf_release(&plain);
    buf_release(&packed);
}

static void refused(struct fixture *f, uint64_t first, uint64_t last)
{
    Ztc__Refused m = ZTC__REFUSED__INIT;

    m.first_n = m.at_n = first;
    m.last_n = last;
    m.code = wire_data(slice_str("ZT-STATE"));
    frame(f, ZTC__FRAME__KIND_REFUSED, &m);
}

static struct client_ledger ledger(uint64_t own_n, uint64_t acked_n, uint64_t waiting)
{
    return (struct client_ledger){.own_n = own_n, .acked_n = acked_n, .waiting = waiting};
}

static void applied(struct fixture *f, uint32_t stream, uint64_t seq, struct client_ledger l)
{
    struct client_event ev = {.kind = CLIENT_APPLIED, .ledger = l};

    ev.applied.stream = stream;
    ev.applied.seq = seq;
    step(f, ev);
}

static void loaded(struct fixture *f, uint64_t first_n, uint32_t count)
{
    struct client_event ev = {.kind = CLIENT_LOADED};

    ev.loaded.first_n = first_n;
    ev.loaded.count = count;
    ev.loaded.size = 10;
    ev.loaded.body = slice_str("compressed");
    step(f, ev);
}

static void local(struct fixture *f, struct client_ledger l)
{
    step(f, (struct client_event){.kind = CLIENT_LOCAL, .ledger = l});
}

static void timer(struct fixture *f, msec_t after)
{
    f->now += after;
    step(f, (struct client_event){.kind = CLIENT_TIMER});
}

static void all_drained(struct fixture *f)
{
    step(f, (struct client_event){.kind = CLIENT_DRAINED, .unsent = 0});
}

/* ---- narratives ---- */

/* A whole session that goes well, up to 已全部上传 and beyond. */
static void test_client_session__narrative(void **state)
{
    struct fixture *f = *state;
    Ztc__Welcome m = welcome(2);
    struct client_event stored = {.kind = CLIENT_REFUSED_STORED, .ledger = ledger(5, 5, 0)};

    expect_state(f, "connecting");
    connect_city(f);
    expect(f, "hello own 4 acked 1\n");
    expect_state(f, "hello");
    frame(f, ZTC__FRAME__KIND_WELCOME, &m);
    expect(f, "check 2\n");
    expect_state(f, "checking");
    step(f, (struct client_event){.kind = CLIENT_CHECKED});
    expect(f, "load from 3 at most 7\n"); /* change 2 is answered, but not here yet */
    expect_state(f, "catching-up");
    loaded(f, 3, 2);
    expect(f, "push 3+2\n");

    entries(f, STREAM_SHARED, 1, 1, 1);
    entries(f, SITE, 8, 2, 9);
    expect(f, "apply 1 1+1\napply 431021 8+2\n");
    applied(f, STREAM_SHARED, 1, ledger(4, 1, 3));
    applied(f, SITE, 9, ledger(4, 2, 2));
    expect_state(f, "catching-up");
    entries(f, SITE, 10, 2, 11);
    applied(f, SITE, 11, ledger(4, 4, 0));
    expect(f, "apply 431021 10+2\n");
    expect_state(f, "up-to-date");
    assert_true(client_session_complete(&f->s));

    local(f, ledger(5, 4, 1));
    expect(f, "load from 5 at most 8\n");
    expect_state(f, "catching-up");
    loaded(f, 5, 1);
    refused(f, 5, 5);
    expect(f, "push 5+1\nstore refused 5..5\n");
    stored.refused.first_n = stored.refused.until_n = 5;
    step(f, stored);
    expect(f, "refused_ack 5 until 5\n");
    expect_state(f, "up-to-date");

    step(f, (struct client_event){.kind = CLIENT_END});
    expect(f, "ping answer\nbye ZT-CLOSED\nclose flushed\n");
    step(f, (struct client_event){.kind = CLIENT_GONE});
    expect_state(f, "offline");
    assert_int_equal(f->s.cause, 0);
}

/* ---- snapshots ---- */

static uint8_t place[WIRE_PLACE_SIZE] = {0, 0, 0, 22, 7};

/* A computer that has nothing yet; the city has more entries of its site than SNAPSHOT_ABOVE. */
static void serve_empty(struct fixture *f, uint64_t snapshot_above, uint64_t own_n)
{
    f->options.snapshot_above = snapshot_above;
    f->facts.ledger = ledger(own_n, 0, own_n);
    memcpy(f->facts.own_chain, own_n == 0 ? chain_a : chain_b, HASH_SIZE);
    f->facts.cursors[0].loading = CLIENT_UNDECIDED;
    f->facts.cursors[1] = (struct client_cursor){.stream = SITE, .loading = CLIENT_UNDECIDED};
    connect_city(f);
    buf_clear(&f->story);
    frame(f, ZTC__FRAME__KIND_WELCOME, &(Ztc__Welcome[]){welcome(0)}[0]);
}

static void slice(struct fixture *f, uint32_t stream, uint64_t seq, bool last)
{
    Ztc__Slice m = ZTC__SLICE__INIT;

    m.stream = stream;
    m.seq = seq;
    m.count = m.size = 1;
    m.body = wire_data(slice_str("compressed"));
    m.has_next = !last;
    m.next = wire_data((struct slice){place, sizeof place});
    frame(f, ZTC__FRAME__KIND_SLICE, &m);
}

static void history(struct fixture *f, uint32_t stream, uint64_t first, uint32_t count)
{
    Ztc__History m = ZTC__HISTORY__INIT;

    m.stream = stream;
    m.first_seq = first;
    m.count = count;
    m.size = 1;
    m.body = wire_data(slice_str("compressed"));
    frame(f, ZTC__FRAME__KIND_HISTORY, &m);
}

static void fetched(struct fixture *f, enum client_event_kind kind, uint64_t seq)
{
    step(f, (struct client_event){.kind = kind, .seq = seq});
}

/* Where the city has little, entries will do; where it has much, the records come first, a slice at a
 * time, then the entries behind them, and history when nothing else is to do. */
static void test_client_session__snapshot(void **state)
{
    struct fixture *f = *state;

    serve_empty(f, 5, 0);
    expect(f, "snapshot_ask 1 declined\nbegin 431021\n");
    entries(f, STREAM_SHARED, 1, 1, 1);
    applied(f, STREAM_SHARED, 1, ledger(0, 0, 0));
    expect(f, "apply 1 1+1\n");
    fetched(f, CLIENT_BEGUN, 9);
    expect(f, "snapshot_ask 431021\n");
    expect_state(f, "catching-up");
    slice(f, SITE, 10, false);
    expect(f, "store slice 431021\n");
    fetched(f, CLIENT_SLICE_STORED, 0);
    expect(f, "snapshot_ask 431021 on\n");
    slice(f, SITE, 11, true);
    expect(f, "store slice 431021\n");
    fetched(f, CLIENT_SLICE_STORED, 0);
    expect(f, "");
    expect_state(f, "catching-up"); /* not usable before the entries reach the last slice's seq */
    entries(f, SITE, 10, 2, 11);
    applied(f, SITE, 11, ledger(0, 0, 0));
    expect(f, "apply 431021 10+2\nhistory_ask 431021 1..9\n");
    expect_state(f, "up-to-date");
    assert_true(client_session_history(&f->s));
    history(f, SITE, 1, 4);
    expect(f, "store history 1+4\n");
    fetched(f, CLIENT_HISTORY_STORED, 4);
    expect(f, "history_ask 431021 5..9\n");
    history(f, SITE, 5, 5);
    fetched(f, CLIENT_HISTORY_STORED, 9);
    expect(f, "store history 5+5\n");
    assert_false(client_session_history(&f->s));
}

/* Entries tell what became of changes; a snapshot does not. */
static void test_client_session__snapshot_not_over_own_changes(void **state)
{
    struct fixture *f = *state;

    serve_empty(f, 5, 1);
    expect(f, "snapshot_ask 1 declined\nsnapshot_ask 431021 declined\nload from 1 at most 8\n");
}

/* After a cut it goes on at the next slice, or with history. */
static void test_client_session__snapshot_resumed(void **state)
{
    struct fixture *f = *state;

    serve_empty(f, 1000, 0);
    expect(f, "snapshot_ask 1 declined\nsnapshot_ask 431021 declined\n");
    again(f);
    f->facts.cursors[0].loading = CLIENT_WHOLE;
    f->facts.cursors[1] =
        (struct client_cursor){.stream = SITE, .seq = 9, .incarnation = {{9}}, .base = 9};
    f->facts.cursors[1].loading = CLIENT_SLICES;
    f->facts.cursors[1].has_place = true;
    serve(f, 0);
    assert_false(client_session_complete(&f->s));
    slice(f, SITE, 9, true);
    fetched(f, CLIENT_SLICE_STORED, 0);
    buf_clear(&f->story);
    entries(f, STREAM_SHARED, 1, 1, 1);
    applied(f, STREAM_SHARED, 1, ledger(0, 0, 0));
    expect(f, "apply 1 1+1\nhistory_ask 431021 1..9\n");
}

/* Nothing comes that was not asked for, and nothing goes back. */
static void test_client_session__snapshot_disorder(void **state)
{
    struct fixture *f = *state;

    serve_empty(f, 5, 0);
    buf_clear(&f->story);
    slice(f, SITE, 9, true); /* before it has begun */
    expect_bye(f, "ZT-PROTOCOL");

    again(f);
    serve_empty(f, 5, 0);
    fetched(f, CLIENT_BEGUN, 9);
    buf_clear(&f->story);
    slice(f, SITE, 8, true); /* of before the signed head */
    expect_bye(f, "ZT-PROTOCOL");

    again(f);
    serve_empty(f, 5, 0);
    fetched(f, CLIENT_BEGUN, 9);
    buf_clear(&f->story);
    entries(f, SITE, 10, 1, 11); /* the records are not whole */
    expect_bye(f, "ZT-PROTOCOL");

    again(f);
    serve_empty(f, 5, 0);
    fetched(f, CLIENT_BEGUN, 9);
    buf_clear(&f->story);
    history(f, SITE, 1, 1);
    expect_bye(f, "ZT-PROTOCOL");
}

/* A slice that does not come, or that the store cannot take, ends the session. */
static void test_client_session__snapshot_stalls(void **state)
{
    struct fixture *f = *state;
    struct client_event ev = {.kind = CLIENT_SLICE_STORED, .ret = E_FULL};

    serve_empty(f, 5, 0);
    fetched(f, CLIENT_BEGUN, 9);
    slice(f, SITE, 9, true);
    buf_clear(&f->story);
    step(f, ev);
    expect_bye(f, "ZT-DISK-FULL");

    again(f);
    f->options.stall_within = 2000; /* before the peer counts as gone */
    serve_empty(f, 5, 0);
    fetched(f, CLIENT_BEGUN, 9);
    buf_clear(&f->story);
    timer(f, 2000);
    expect_bye(f, "ZT-TIMEOUT");
}

/* ---- welcome ---- */

static void welcome_refused(struct fixture *f, Ztc__Welcome m, const char *code)
{
    again(f);
    connect_city(f);
    buf_clear(&f->story);
    frame(f, ZTC__FRAME__KIND_WELCOME, &m);
    expect_bye(f, code);
}

/* A city that knows less than it answered cannot be helped by a new identity. */
static void test_client_session__fork(void **state)
{
    struct fixture *f = *state;
    Ztc__Welcome m = welcome(1);

    m.identity = ZTC__WELCOME__IDENTITY__AHEAD;
    welcome_refused(f, m, "ZT-FORK");
    welcome_refused(f, welcome(5), "ZT-FORK");
    welcome_refused(f, welcome(0), "ZT-FORK");
    m = welcome(1);
    m.protocol = 2;
    welcome_refused(f, m, "ZT-VERSION");
}

static void points(struct fixture *f, size_t n, const uint64_t *at, const char *request)
{
    struct client_point list[4];

    for (size_t i = 0; i < n; i++)
        list[i].n = at[i];
    step(f, (struct client_event){.kind = CLIENT_FORK,
                                  .fork = {.points = list,
                                           .n_points = n,
                                           .request = slice_str(request),
                                           .replica = {{8}}}});
}

static void agreed(struct fixture *f, bool has, uint64_t n)
{
    Ztc__NewIdentityGranted m = ZTC__NEW_IDENTITY_GRANTED__INIT;

    m.has_agreed_n = has;
    m.agreed_n = n;
    frame(f, ZTC__FRAME__KIND_NEW_IDENTITY_GRANTED, &m);
}

static void granted(struct fixture *f)
{
    Ztc__NewIdentityGranted m = ZTC__NEW_IDENTITY_GRANTED__INIT;
    Ztc__Renewed r = ZTC__RENEWED__INIT;
    ProtobufCBinaryData ca = wire_data(slice_str("ca"));

    r.has_certificate = true;
    r.certificate = wire_data(slice_str("certificate"));
    r.n_authorities = 1;
    r.authorities = &ca;
    m.has_k = true;
    m.k = 2;
    m.renewed = &r;
    frame(f, ZTC__FRAME__KIND_NEW_IDENTITY_GRANTED, &m);
}

/* By the city's word or by the chain at what it accepted: the place is narrowed down, the rest made another's. */
static void test_client_session__new_identity(void **state)
{
    struct fixture *f = *state;
    Ztc__Welcome m = welcome(4);

    m.accepted_chain = wire_data((struct slice){chain_a, HASH_SIZE});
    connect_city(f);
    buf_clear(&f->story);
    frame(f, ZTC__FRAME__KIND_WELCOME, &m);
    expect(f, "parted in 1..4\n");
    expect_state(f, "new-identity");
    points(f, 2, (uint64_t[]){2, 4}, "");
    expect(f, "new_identity 2 4\n");
    entries(f, SITE, 8, 1, 9); /* meant for the twin */
    refused(f, 2, 2);
    agreed(f, true, 2);
    expect(f, "parted in 2..3\n");
    points(f, 1, (uint64_t[]){3}, "");
    agreed(f, false, 0);
    expect(f, "new_identity 3\nparted in 2..2\n");
    points(f, 1, (uint64_t[]){2}, "csr");
    expect(f, "new_identity 2 request\n");
    granted(f);
    expect(f, "become another behind 2\n");
    step(f, (struct client_event){.kind = CLIENT_IDENTITY});
    expect(f, "bye ZT-CLOSED\nclose flushed\n");
    assert_int_equal(f->s.cause, 0);

    again(f);
    connect_city(f);
    buf_clear(&f->story);
    m = welcome(2);
    m.identity = ZTC__WELCOME__IDENTITY__FORKED;
    frame(f, ZTC__FRAME__KIND_WELCOME, &m);
    expect(f, "parted in 1..2\n");
    granted(f); /* before it was asked for */
    expect_bye(f, "ZT-PROTOCOL");
}

/* What the city may not answer, and what the own disk does not take. */
static void test_client_session__new_identity_fails(void **state)
{
    struct fixture *f = *state;
    Ztc__Welcome m = welcome(2);

    m.identity = ZTC__WELCOME__IDENTITY__FORKED;
    for (int way = 0; way < 4; way++) {
        again(f);
        connect_city(f);
        frame(f, ZTC__FRAME__KIND_WELCOME, &m);
        buf_clear(&f->story);
        if (way == 0) {
            step(f, (struct client_event){.kind = CLIENT_FORK, .ret = E_FULL});
            expect_bye(f, "ZT-DISK-FULL");
            continue;
        }
        points(f, 1, (uint64_t[]){way == 1 ? 2 : 1}, way == 1 ? "" : "csr");
        buf_clear(&f->story);
        if (way == 1) { /* a place that was not asked about */
            agreed(f, true, 3);
            expect_bye(f, "ZT-PROTOCOL");
        } else if (way == 2) { /* no word on the request */
            f->now += f->options.stall_within + 1;
            step(f, (struct client_event){.kind = CLIENT_TIMER});
            expect_bye(f, "ZT-TIMEOUT");
        } else {
            granted(f);
            buf_clear(&f->story);
            step(f, (struct client_event){.kind = CLIENT_IDENTITY, .ret = E_FULL});
            expect_bye(f, "ZT-DISK-FULL");
        }
    }
}

/* Until the chain is found to be our own, nothing is taken in: the answers could be a twin's. */
static void test_client_session__twin(void **state)
{
    struct fixture *f = *state;

    serve(f, 2);
    entries(f, SITE, 8, 1, 9);
    refused(f, 2, 2);
    expect(f, "");
    step(f, (struct client_event){.kind = CLIENT_CHECKED, .ret = E_FORK});
    expect(f, "parted in 1..2\n");

    again(f);
    serve(f, 2);
    entries(f, SITE, 8, 1, 9);
    refused(f, 2, 2);
    step(f, (struct client_event){.kind = CLIENT_CHECKED});
    expect(f, "load from 3 at most 7\napply 431021 8+1\n");
    applied(f, SITE, 8, ledger(4, 1, 3));
    expect(f, "store refused 2..2\n");
}

/* ---- what the city may not send ---- */

static void test_client_session__disorder(void **state)
{
    struct fixture *f = *state;
    Ztc__Welcome m = welcome(1);

    connect_city(f);
    buf_clear(&f->story);
    entries(f, SITE, 8, 1, 9);
    expect_bye(f, "ZT-PROTOCOL");

    again(f);
    serve(f, 1);
    frame(f, ZTC__FRAME__KIND_WELCOME, &m);
    expect_bye(f, "ZT-PROTOCOL");

    again(f);
    serve(f, 1);
    entries(f, 431081, 1, 1, 1);
    expect_bye(f, "ZT-DENIED");

    again(f);
    serve(f, 1);
    entries(f, SITE, 9, 1, 9);
    expect_bye(f, "ZT-PROTOCOL");

    again(f);
    serve(f, 1);
    entries(f, SITE, 7, 2, 9); /* the first of them came before */
    expect_bye(f, "ZT-PROTOCOL");

    again(f);
    serve(f, 1);
    entries(f, SITE, 8, 3, 9); /* the head is below the last entry */
    expect_bye(f, "ZT-PROTOCOL");

    again(f);
    serve(f, 1);
    refused(f, 2, 2); /* not pushed in this session, not accepted before */
    expect_bye(f, "ZT-PROTOCOL");

    again(f);
    serve(f, 1);
    refused(f, 1, 2); /* the second change of it was never pushed */
    expect_bye(f, "ZT-PROTOCOL");

    again(f);
    serve(f, 1);
    step(f, (struct client_event){.kind = CLIENT_BROKEN, .ret = E_MALFORMED});
    expect_bye(f, "ZT-MALFORMED");
}

/* A body that is not what it says ends the session when its turn comes; what was handed out behind it
 * is of no interest. */
static void test_client_session__bad_body(void **state)
{
    struct fixture *f = *state;

    serve(f, 4);
    entries(f, SITE, 8, 1, 9);
    entries(f, SITE, 9, 1, 9);
    expect(f, "apply 431021 8+1\napply 431021 9+1\n");
    step(f, (struct client_event){.kind = CLIENT_APPLIED,
                                  .ret = E_MALFORMED,
                                  .ledger = ledger(4, 1, 3)});
    expect_bye(f, "ZT-MALFORMED");
    applied(f, SITE, 9, ledger(4, 1, 3));
    expect(f, "");
}

/* ---- taking in ---- */

/* One at a time, in the order of arrival; what waits is bounded by a pause in reading. */
static void test_client_session__queue(void **state)
{
    struct fixture *f = *state;
    uint64_t seq = 8;
    size_t waiting = 0;

    f->options.queue_max = 1000;
    f->options.applying_max = 1;
    serve(f, 4);
    entries(f, SITE, seq++, 1, 1000);
    while (f->up.reading) {
        entries(f, SITE, seq++, 1, 1000);
        waiting++;
    }
    expect(f, "apply 431021 8+1\n");
    assert_true(f->s.queue.len < 2000);
    assert_int_equal(f->s.due[CLIENT_DUE_PEER], 0);
    for (uint64_t at = 8; at < seq; at++) {
        applied(f, SITE, at, ledger(4, 1, 3));
        assert_int_equal(f->up.apply != NULL, at + 1 < seq);
    }
    assert_true(f->up.reading && waiting > 3);
    assert_null(f->s.queue.p);
}

/* Several batches may be with the store, in order; a refusal is there alone. */
static void test_client_session__ahead(void **state)
{
    struct fixture *f = *state;

    f->options.applying_max = 2;
    serve(f, 4);
    entries(f, SITE, 8, 1, 12);
    entries(f, SITE, 9, 1, 12);
    entries(f, SITE, 10, 1, 12);
    expect(f, "apply 431021 8+1\napply 431021 9+1\n");
    refused(f, 2, 2);
    entries(f, SITE, 11, 1, 12);
    applied(f, SITE, 8, ledger(4, 1, 3));
    expect(f, "apply 431021 10+1\n");
    applied(f, SITE, 9, ledger(4, 1, 3));
    expect(f, "");
    applied(f, SITE, 10, ledger(4, 1, 3));
    expect(f, "store refused 2..2\n");
    step(f, (struct client_event){.kind = CLIENT_REFUSED_STORED,
                                  .ledger = ledger(4, 2, 2),
                                  .refused = {.first_n = 2, .until_n = 4}});
    expect(f, "refused_ack 2 until 4\napply 431021 11+1\n");
}

/* A store that cannot take it in ends the session with its own code. */
static void test_client_session__store_fails(void **state)
{
    struct fixture *f = *state;

    serve(f, 4);
    entries(f, SITE, 8, 1, 9);
    expect(f, "apply 431021 8+1\n");
    step(f,
         (struct client_event){.kind = CLIENT_APPLIED, .ret = E_FULL, .ledger = ledger(4, 1, 3)});
    expect_bye(f, "ZT-DISK-FULL");
    applied(f, SITE, 8, ledger(4, 1, 3)); /* of no interest any more */
    expect(f, "");
}

/* ---- pushing ---- */

/* No more than the window is under way; answers open it again. */
static void test_client_session__window(void **state)
{
    struct fixture *f = *state;

    f->facts.ledger = ledger(100, 1, 99);
    serve(f, 1);
    assert_int_equal(f->up.load.max_count, 8);
    loaded(f, 2, 6);
    expect(f, "push 2+6\nload from 8 at most 2\n");
    loaded(f, 8, 4); /* an act is never torn: it may overhang */
    expect(f, "push 8+4\n");
    entries(f, SITE, 8, 1, 9);
    applied(f, SITE, 8, ledger(100, 3, 97));
    expect(f, "apply 431021 8+1\n");
    entries(f, SITE, 9, 1, 9);
    applied(f, SITE, 9, ledger(100, 4, 96));
    expect(f, "apply 431021 9+1\nload from 12 at most 1\n");
}

/* Output that is not taken stops loading. */
static void test_client_session__slow_line(void **state)
{
    struct fixture *f = *state;

    f->options.unsent_max = 10;
    serve(f, 1);
    assert_false(f->up.load.wanted);
    all_drained(f);
    expect(f, "load from 2 at most 8\n");
}

/* What the city cannot take yet is held back until something new is made here, and no alarm. */
static void test_client_session__held_back(void **state)
{
    struct fixture *f = *state;

    f->facts.cursors[0].seq = 1;
    f->facts.cursors[1].seq = 9;
    f->facts.ledger = ledger(4, 3, 1);
    memcpy(f->facts.acked_chain, chain_a, HASH_SIZE);
    serve(f, 3);
    loaded(f, 4, 0);
    expect(f, "");
    expect_state(f, "catching-up");
    assert_int_equal(f->s.due[CLIENT_DUE_PROGRESS], 0);
    local(f, ledger(5, 3, 2));
    expect(f, "load from 4 at most 8\n");
}

/* ---- time ---- */

static void test_client_session__deadlines(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(client_session_deadline(&f->s), f->now + f->options.connect_within);
    timer(f, f->options.connect_within);
    expect(f, "close now\n");
    assert_int_equal(f->s.cause, E_UNREACHABLE);

    again(f);
    connect_city(f);
    all_drained(f);
    buf_clear(&f->story);
    timer(f, f->options.hello_within);
    expect_bye(f, "ZT-TIMEOUT");

    again(f);
    serve(f, 2); /* the store never answers the check */
    all_drained(f);
    while (f->s.state == CLIENT_CHECKING) {
        f->now += 900;
        step(f, (struct client_event){.kind = CLIENT_HEARD});
        timer(f, 0);
        buf_clear(&f->up.out);
    }
    assert_int_equal(f->s.cause, E_TIMEOUT);
}

/* Silence either way asks for a Ping; no answer at all ends the session. */
static void test_client_session__ping(void **state)
{
    struct fixture *f = *state;
    Ztc__Ping m = ZTC__PING__INIT;

    f->facts.cursors[0].seq = 1;
    f->facts.cursors[1].seq = 9;
    f->facts.ledger = ledger(4, 4, 0);
    memcpy(f->facts.acked_chain, chain_b, HASH_SIZE);
    serve(f, 4);
    expect_state(f, "up-to-date");
    all_drained(f);
    timer(f, 999);
    expect(f, "");
    timer(f, 1);
    expect(f, "ping?\n");
    all_drained(f);
    assert_int_equal(client_session_deadline(&f->s), f->now + 1000);
    frame(f, ZTC__FRAME__KIND_PING, &m);
    expect(f, "");
    m.answer = true;
    frame(f, ZTC__FRAME__KIND_PING, &m);
    expect(f, "ping answer\n");
    all_drained(f);
    for (int i = 0; i < 2; i++) {
        timer(f, 1000);
        all_drained(f);
        expect(f, "ping?\n");
    }
    timer(f, 1000);
    expect_bye(f, "ZT-TIMEOUT");
}

/* Connected, no error, nothing moves: the watchdog ends it. */
static void test_client_session__watchdog(void **state)
{
    struct fixture *f = *state;
    Ztc__Ping m = ZTC__PING__INIT;
    msec_t began = f->now;

    serve(f, 1);
    loaded(f, 2, 3);
    while (f->s.state != CLIENT_CLOSING && f->now < began + 10 * f->options.stall_within) {
        f->now += 900;
        frame(f, ZTC__FRAME__KIND_PING, &m); /* the city is alive, but answers no change */
        all_drained(f);
        timer(f, 0);
    }
    assert_int_equal(f->s.cause, E_TIMEOUT);
    assert_in_range(f->now - began, f->options.stall_within, f->options.stall_within + 1000);
}

/* A retired computer whose last answer was an entry, which is not for it any more, leaves for good once the
 * city has all of it; one that has more to hand in comes back. */
static void test_client_session__retired_unanswered(void **state)
{
    struct fixture *f = *state;
    static const int causes[] = {E_TIMEOUT, E_REVOKED};

    for (size_t i = 0; i < 2; i++) {
        Ztc__Ping ping = ZTC__PING__INIT;
        Ztc__Welcome m = welcome(i == 0 ? 1 : 4);

        again(f);
        m.n_heads = 0;
        m.has_standing = true;
        m.standing = ZTC__WELCOME__STANDING__HAND_IN;
        connect_city(f);
        frame(f, ZTC__FRAME__KIND_WELCOME, &m);
        if (i == 0)
            loaded(f, 2, 3);
        while (f->s.state != CLIENT_CLOSING) {
            f->now += 900;
            frame(f, ZTC__FRAME__KIND_PING, &ping);
            all_drained(f);
            timer(f, 0);
        }
        assert_int_equal(f->s.cause, causes[i]);
    }
}

static void refusal_again(struct fixture *f)
{
    struct client_event ev = {.kind = CLIENT_REFUSED_STORED, .ledger = f->s.ledger};

    refused(f, 2, 2);
    ev.refused.first_n = 2;
    ev.refused.until_n = 4;
    step(f, ev);
    all_drained(f);
}

/* Frames come and are taken in, but no number moves: the same end. */
static void test_client_session__watchdog_of_repetitions(void **state)
{
    struct fixture *f = *state;
    msec_t began = f->now;

    serve(f, 1);
    loaded(f, 2, 3);
    while (f->s.state != CLIENT_CLOSING && f->now < began + 10 * f->options.stall_within) {
        f->now += 900;
        refusal_again(f);
        timer(f, 0);
    }
    assert_int_equal(f->s.cause, E_TIMEOUT);
    assert_in_range(f->now - began, f->options.stall_within, f->options.stall_within + 2000);
}

static void window(struct fixture *f, uint32_t changes, const char *code)
{
    Ztc__Window m = ZTC__WINDOW__INIT;

    m.push_window = changes;
    m.has_code = code != NULL;
    if (code != NULL)
        m.code = wire_data(slice_str(code));
    frame(f, ZTC__FRAME__KIND_WINDOW, &m);
}

/* The city says why it takes nothing: that is a reason, for as long as it lasts, and no longer. */
static void test_client_session__hold(void **state)
{
    struct fixture *f = *state;
    Ztc__Ping m = ZTC__PING__INIT;
    msec_t began = f->now;

    f->facts.cursors[0].seq = 1; /* nothing is due from the city but answers */
    f->facts.cursors[1].seq = 9;
    serve(f, 1);
    loaded(f, 2, 2);
    all_drained(f);
    window(f, 0, "ZT-DISK-FULL");
    loaded(f, 4, 1); /* it was under way */
    all_drained(f);
    while (f->now < began + 3 * f->options.stall_within) {
        f->now += 900;
        frame(f, ZTC__FRAME__KIND_PING, &m);
        all_drained(f);
        timer(f, 0);
        assert_int_equal(client_session_reason(&f->s), E_FULL);
    }
    expect_state(f, "catching-up");
    window(f, 0, NULL);
    assert_int_equal(client_session_reason(&f->s), E_BUSY);
    window(f, 8, NULL);
    assert_int_equal(client_session_reason(&f->s), 0);
    assert_int_equal(f->s.due[CLIENT_DUE_PROGRESS], f->now + f->options.stall_within);
}

/* While it is held nothing is pushed; what was made is when it is over. */
static void test_client_session__hold_is_over(void **state)
{
    struct fixture *f = *state;

    f->facts.ledger = ledger(4, 1, 3);
    serve(f, 1);
    loaded(f, 2, 3);
    window(f, 0, "ZT-IO");
    buf_clear(&f->story);
    local(f, ledger(6, 1, 5));
    expect(f, "");
    window(f, 8, NULL);
    expect(f, "load from 5 at most 5\n");
}

/* ---- ends ---- */

/* The city's Bye: its code and the time to come back. */
static void test_client_session__bye(void **state)
{
    struct fixture *f = *state;
    Ztc__Bye m = ZTC__BYE__INIT;

    serve(f, 1);
    m.code = wire_data(slice_str("ZT-BUSY"));
    m.has_retry_after = true;
    m.retry_after = 7000;
    frame(f, ZTC__FRAME__KIND_BYE, &m);
    expect(f, "close now\n");
    assert_int_equal(f->s.cause, E_BUSY);
    assert_int_equal(f->s.retry_after, 7000);
    step(f, (struct client_event){.kind = CLIENT_GONE, .ret = E_TLS});
    expect_state(f, "offline");
    assert_int_equal(f->s.cause, E_BUSY);
}

/* The connection's own end keeps its reason. */
static void test_client_session__gone(void **state)
{
    struct fixture *f = *state;

    step(f, (struct client_event){.kind = CLIENT_GONE, .ret = E_TLS});
    assert_int_equal(f->s.cause, E_TLS);
    again(f);
    step(f, (struct client_event){.kind = CLIENT_GONE});
    assert_int_equal(f->s.cause, E_UNREACHABLE);
    again(f);
    serve(f, 1);
    step(f, (struct client_event){.kind = CLIENT_GONE});
    assert_int_equal(f->s.cause, E_CLOSED);
}

/* ---- tables that differ ---- */

static void compared(struct fixture *f, uint32_t differs)
{
    struct client_event ev = {.kind = CLIENT_COMPARED};

    ev.compared.differs = differs;
    step(f, ev);
}

struct answer {
    bool rows; /* RepairRows, else DigestTell */
    uint32_t stream, kind;
    uint64_t seq;
};

static void answer_tables(struct fixture *f, struct answer a)
{
    Ztc__DigestTell m = ZTC__DIGEST_TELL__INIT;
    Ztc__RepairRows rows = ZTC__REPAIR_ROWS__INIT;

    m.stream = rows.stream = a.stream;
    m.has_kind = a.kind != 0;
    m.kind = rows.kind = a.kind;
    m.seq = rows.seq = a.seq;
    m.form = ZTC__DIGEST_TELL__FORM__KINDS;
    rows.covered = 1;
    frame(f, a.rows ? ZTC__FRAME__KIND_REPAIR_ROWS : ZTC__FRAME__KIND_DIGEST_TELL,
          a.rows ? (void *)&rows : (void *)&m);
}

/* Everything is here and answered; the site's tables are asked for. */
static void ask_tables(struct fixture *f)
{
    f->facts.ledger = ledger(4, 4, 0);
    memcpy(f->facts.acked_chain, chain_b, HASH_SIZE);
    serve(f, 4);
    compared(f, SITE);
    expect(f, "digest_ask\n");
}

/* The answer waits until the cursor stands where it was read; what comes behind it waits for the comparison. */
static void test_client_session__tables_at_one_moment(void **state)
{
    struct fixture *f = *state;

    ask_tables(f);
    answer_tables(f, (struct answer){.stream = SITE, .seq = 8});
    assert_null(f->up.digest.ask);
    entries(f, SITE, 8, 1, 9);
    entries(f, SITE, 9, 1, 9);
    expect(f, "apply 431021 8+1\n");
    applied(f, SITE, 8, ledger(4, 4, 0));
    assert_non_null(f->up.digest.tell);
    assert_non_null(f->up.digest.ask);
    expect(f, "");
    compared(f, STREAM_SHARED); /* one after another */
    expect(f, "");
    step(f, (struct client_event){.kind = CLIENT_DIGESTED});
    expect(f, "apply 431021 9+1\n");
}

/* An answer to another question, one of the past, or none that was asked. */
static void test_client_session__tables_in_disorder(void **state)
{
    static const struct {
        bool asked;
        struct answer a;
    } cases[] = {
        {false, {.stream = SITE, .seq = 8}},
        {true, {.stream = 431081, .seq = 8}},
        {true, {.stream = STREAM_SHARED, .seq = 8}},
        {true, {.stream = SITE, .seq = 8, .kind = 22}},
        {true, {.stream = SITE, .seq = 6}},
        {true, {.stream = SITE, .seq = 8, .rows = true}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fixture *f;

        assert_int_equal(setup((void **)&f), 0);
        ask_tables(f);
        if (!cases[i].asked)
            answer_tables(f, (struct answer){.stream = SITE, .seq = 8});
        answer_tables(f, cases[i].a);
        expect_bye(f, "ZT-PROTOCOL");
        assert_int_equal(teardown((void **)&f), 0);
    }
}

/* Rows that were asked for do not come as sums; a batch may not step over the answer's moment. */
static void test_client_session__tables_passed_over(void **state)
{
    struct client_event more = {.kind = CLIENT_DIGESTED};
    struct fixture *f = *state;

    ask_tables(f);
    answer_tables(f, (struct answer){.stream = SITE, .seq = 7});
    assert_non_null(f->up.digest.tell);
    more.compared.more = true;
    more.compared.next = (struct client_digest_ask){.stream = SITE, .kind = 22, .n_ids = 1};
    step(f, more);
    expect(f, "digest_ask\n");
    answer_tables(f, (struct answer){.stream = SITE, .kind = 22, .seq = 8, .rows = true});
    entries(f, SITE, 8, 2, 9);
    applied(f, SITE, 9, ledger(4, 4, 0));
    buf_clear(&f->story);
    assert_int_equal(f->s.state, CLIENT_CLOSING);
    assert_int_equal(f->s.cause, E_PROTOCOL);
}

static void test_client_session__tables_asked_as_rows(void **state)
{
    struct client_event more = {.kind = CLIENT_DIGESTED};
    struct fixture *f = *state;

    ask_tables(f);
    answer_tables(f, (struct answer){.stream = SITE, .seq = 7});
    more.compared.more = true;
    more.compared.next = (struct client_digest_ask){.stream = SITE, .kind = 22, .n_ids = 1};
    step(f, more);
    buf_clear(&f->story);
    answer_tables(f, (struct answer){.stream = SITE, .kind = 22, .seq = 8});
    expect_bye(f, "ZT-PROTOCOL");
}

/* ---- out of place ---- */

/* Before Welcome nothing may come but Welcome and Bye; what only a county says may never come. */
static void test_client_session__frames_out_of_place(void **state)
{
    static Ztc__Ping never_read = ZTC__PING__INIT;

    (void)state;
    for (int kind = ZTC__FRAME__KIND_PUSH; kind <= ZTC__FRAME__KIND_WINDOW; kind++) {
        struct fixture *f;

        if (kind == ZTC__FRAME__KIND_BYE || kind == 23)
            continue;
        assert_int_equal(setup((void **)&f), 0);
        connect_city(f);
        buf_clear(&f->story);
        frame(f, kind, &never_read);
        expect_bye(f, "ZT-PROTOCOL");
        assert_int_equal(teardown((void **)&f), 0);
    }
}

/* Answers of the store that come when the session is closing change nothing more. */
static void test_client_session__answers_too_late(void **state)
{
    struct fixture *f = *state;

    serve(f, 1);
    step(f, (struct client_event){.kind = CLIENT_BROKEN, .ret = E_MALFORMED});
    expect_bye(f, "ZT-MALFORMED");
    for (int kind = CLIENT_FRAME; kind <= CLIENT_END; kind++) {
        if (kind != CLIENT_TIMER)
            step(f, (struct client_event){.kind = (enum client_event_kind)kind,
                                          .ledger = f->facts.ledger});
        if (buf_slice(&f->story).len > 0)
            fail_msg("event %d: %s", kind, buf_cstr(&f->story));
    }
    assert_int_equal(f->s.state, CLIENT_CLOSING);
    assert_int_equal(f->s.cause, E_MALFORMED);
}

/* A person has to act where trying again cannot help. */
static void test_client_backoff__helps(void **state)
{
    static const int never[] = {E_FORK, E_REVOKED, E_VERSION, E_AUTH, E_DENIED, E_EXPIRED};
    static const int often[] = {0, E_IO, E_FULL, E_BUSY, E_TIMEOUT, E_UNREACHABLE, E_RECOVERING};

    (void)state;
    for (size_t i = 0; i < sizeof never / sizeof *never; i++)
        assert_false(client_backoff_helps(never[i]));
    for (size_t i = 0; i < sizeof often / sizeof *often; i++)
        assert_true(client_backoff_helps(often[i]));
}

/* Doubling with jitter, within bounds, never before the city said. */
static void test_client_backoff__bounds(void **state)
{
    bool differs = false;

    (void)state;
    for (unsigned attempt = 0; attempt < 40; attempt++) {
        uint32_t most = attempt > 8 ? 300000 : 1000u << attempt;

        for (uint64_t seed = 0; seed < 50; seed++) {
            uint32_t wait = client_backoff(attempt, 0, seed);

            assert_in_range(wait, most / 2, most);
            assert_true(client_backoff(attempt, 60000, seed) >= 60000);
            differs = differs || wait != client_backoff(attempt, 0, seed + 1);
        }
    }
    assert_true(differs);
    assert_int_equal(client_backoff(3, UINT32_MAX, 1), UINT32_MAX);
    assert_false(client_backoff_helps(E_FORK));
    assert_true(client_backoff_helps(E_TIMEOUT));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(test_client_session__##name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(snapshot),
        T(snapshot_not_over_own_changes),
        T(snapshot_resumed),
        T(snapshot_disorder),
        T(snapshot_stalls),
        T(narrative),
        T(fork),
        T(new_identity),
        T(new_identity_fails),
        T(twin),
        T(disorder),
        T(bad_body),
        T(queue),
        T(ahead),
        T(store_fails),
        T(window),
        T(slow_line),
        T(held_back),
        T(deadlines),
        T(ping),
        T(watchdog),
        T(retired_unanswered),
        T(watchdog_of_repetitions),
        T(hold),
        T(hold_is_over),
        T(bye),
        T(gone),
        T(tables_at_one_moment),
        T(tables_in_disorder),
        T(tables_passed_over),
        T(tables_asked_as_rows),
        T(frames_out_of_place),
        T(answers_too_late),
        cmocka_unit_test(test_client_backoff__bounds),
        cmocka_unit_test(test_client_backoff__helps),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
