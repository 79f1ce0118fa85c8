/* The city's session, step by step: what each event makes it ask, send and end with. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/base/err.h"
#include "common/base/mem.h"
#include "server/core/session.h"

#include <stdio.h>
#include <string.h>

#define SITE 431021u

/* ---- fixture ---- */

struct fixture {
    struct server_session s;
    struct server_update up;
    struct server_options options;
    struct arena arena;
    struct body_codec codec;
    struct buf story; /* what the last steps did, in words */
    struct buf plain, packed;
    msec_t now;
    struct server_facts facts;
    struct server_signed head;
};

static const struct id replica = {{1, 2, 3}};
static uint8_t chain_a[HASH_SIZE] = {0xaa}, chain_b[HASH_SIZE] = {0xbb};

static int setup(void **state)
{
    struct fixture *f = mem_calloc(1, sizeof *f);

    f->options = server_options_preset;
    f->options.push_window = 8;
    f->now = 1000;
    arena_init(&f->arena, 64u << 20);
    body_codec_init(&f->codec);
    buf_init(&f->story, 1u << 20);
    buf_init(&f->plain, WIRE_BODY_MAX);
    buf_init(&f->packed, FRAME_MAX);
    server_update_init(&f->up);
    server_session_init(&f->s, &f->options);
    f->head = (struct server_signed){slice_str("head"), slice_str("signature")};
    f->facts = (struct server_facts){.incarnation = {{9}}, .catalogue = 1, .accepted_n = 2};
    f->facts.heads[0] = (struct server_head){STREAM_SHARED, 5};
    f->facts.heads[1] = (struct server_head){SITE, 9};
    f->facts.cursor_ok[0] = f->facts.cursor_ok[1] = true;
    f->facts.signed_heads = &f->head;
    f->facts.n_signed_heads = 1;
    memcpy(f->facts.accepted_chain, chain_a, HASH_SIZE);
    memcpy(f->facts.acked_chain, chain_a, HASH_SIZE);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    server_update_release(&f->up);
    buf_release(&f->story);
    buf_release(&f->plain);
    buf_release(&f->packed);
    body_codec_release(&f->codec);
    arena_release(&f->arena);
    mem_free(f);
    return 0;
}

/* ---- telling ---- */

#define U(x) ((unsigned long long)(x))

static void tell_frame(struct fixture *f, const Ztc__Frame *m)
{
    static const char *const identities[] = {"", "same", "forked", "ahead"};

    buf_printf(&f->story, "%s", frame_name(m));
    if (m->kind_case == ZTC__FRAME__KIND_WELCOME)
        buf_printf(&f->story, " accepted %llu %s", U(m->welcome->accepted_n),
                   identities[m->welcome->identity]);
    if (m->kind_case == ZTC__FRAME__KIND_ENTRIES)
        buf_printf(&f->story, " %u %llu+%u", m->entries->stream, U(m->entries->first_seq),
                   m->entries->count);
    if (m->kind_case == ZTC__FRAME__KIND_REFUSED)
        buf_printf(&f->story, " %llu..%llu", U(m->refused->first_n), U(m->refused->last_n));
    if (m->kind_case == ZTC__FRAME__KIND_BYE)
        buf_printf(&f->story, " %.*s%s", (int)m->bye->code.len, (char *)m->bye->code.data,
                   m->bye->has_retry_after ? " retry" : "");
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
    if (f->up.ask != NULL)
        buf_printf(&f->story, "ask %llu %llu\n", U(f->up.ask->own_n), U(f->up.ask->acked_n));
    if (f->up.submit != NULL)
        buf_printf(&f->story, "submit %llu+%u\n", U(f->up.submit[0].change.n), f->up.submit_count);
    if (f->up.read.wanted)
        buf_printf(&f->story, "read %u %llu..%llu echo above %llu\n", f->up.read.stream,
                   U(f->up.read.from_seq), U(f->up.read.upto_seq), U(f->up.read.echo_above));
    if (f->up.read_refusals_from != 0)
        buf_printf(&f->story, "read refusals from %llu\n", U(f->up.read_refusals_from));
    if (f->up.refused_ack != NULL)
        buf_printf(&f->story, "acknowledged %llu until %llu\n", U(f->up.refused_ack->first_n),
                   U(f->up.refused_ack->until_n));
    if (f->up.slice.wanted)
        buf_printf(&f->story, "slice %u%s\n", f->up.slice.stream,
                   f->up.slice.after.len > 0 ? " on" : "");
    if (f->up.history.wanted)
        buf_printf(&f->story, "history %u %llu..%llu\n", f->up.history.stream,
                   U(f->up.history.from_seq), U(f->up.history.upto_seq));
    if (f->up.identity != NULL)
        buf_printf(&f->story, "identity at %llu%s\n", U(f->up.identity->points[0]->n),
                   f->up.identity->has_csr ? " wanted" : "");
    if (f->up.close != SERVER_KEEP)
        buf_printf(&f->story, "close %s\n", f->up.close == SERVER_CLOSE_NOW ? "now" : "flushed");
}

static void step(struct fixture *f, struct server_event ev)
{
    ev.now = f->now;
    ev.clock = 1700000000000;
    ev.arena = &f->arena;
    ev.codec = &f->codec;
    server_session_step(&f->s, &ev, &f->up);
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
    assert_int_equal(f->s.state, SERVER_CLOSING);
}

/* ---- events ---- */

static void open_as(struct fixture *f, uint32_t site)
{
    struct server_event ev = {.kind = SERVER_OPEN};

    ev.open.replica = replica;
    ev.open.site = site;
    step(f, ev);
}

static void frame(struct fixture *f, int kind, void *m)
{
    Ztc__Frame fr = ZTC__FRAME__INIT;

    fr.kind_case = (Ztc__Frame__KindCase)kind;
    fr.hello = m;
    step(f, (struct server_event){.kind = SERVER_FRAME, .frame = &fr});
}

static Ztc__Hello hello(void)
{
    static Ztc__Cursor cursors[2];
    static Ztc__Cursor *list[2] = {&cursors[0], &cursors[1]};
    Ztc__Hello m = ZTC__HELLO__INIT;

    for (size_t i = 0; i < 2; i++) {
        ztc__cursor__init(&cursors[i]);
        cursors[i].stream = i == 0 ? SITE : STREAM_SHARED;
        cursors[i].seq = i == 0 ? 7 : 5;
    }
    m.protocol_min = m.protocol_max = 1;
    m.replica = wire_data((struct slice){replica.b, ID_SIZE});
    m.software = wire_data(slice_str("ztc"));
    m.own_n = 4;
    m.own_chain = wire_data((struct slice){chain_b, HASH_SIZE});
    m.has_acked_n = m.has_acked_chain = true;
    m.acked_n = 1;
    m.acked_chain = wire_data((struct slice){chain_a, HASH_SIZE});
    m.cursors = list;
    m.n_cursors = 2;
    return m;
}

static void greet(struct fixture *f, Ztc__Hello m)
{
    open_as(f, SITE);
    frame(f, ZTC__FRAME__KIND_HELLO, &m);
}

static void tell_facts(struct fixture *f)
{
    struct server_event ev = {.kind = SERVER_FACTS};

    ev.facts.facts = &f->facts;
    step(f, ev);
}

/* Serving, cursors at the heads, nothing under way. */
static void serve(struct fixture *f)
{
    f->facts.heads[1].seq = 7;
    greet(f, hello());
    tell_facts(f);
    buf_clear(&f->story);
}

/* A decision on what was kept aside: the refusals are read again, once more if they were just being read. */
static void test_server_session__decided(void **state)
{
    struct fixture *f = *state;

    serve(f);
    step(f, (struct server_event){.kind = SERVER_DECIDED});
    expect(f, "read refusals from 1\n");
    step(f, (struct server_event){.kind = SERVER_DECIDED});
    expect(f, "");
    step(f, (struct server_event){.kind = SERVER_REFUSALS});
    expect(f, "read refusals from 1\n");
    step(f, (struct server_event){.kind = SERVER_REFUSALS});
    expect(f, "");
}

struct pushed {
    struct id replica;
    uint32_t stream;
    uint64_t n;
    uint32_t act_pos, act_len;
};

static void put(struct fixture *f, struct pushed p)
{
    struct change c = {.replica = p.replica,
                       .n = p.n,
                       .stream = p.stream,
                       .act_pos = p.act_pos,
                       .act_len = p.act_len,
                       .kind = 1,
                       .op = OP_SET};
    struct buf out;

    buf_init(&out, 4096);
    change_encode(&out, &c);
    body_put_change(&f->plain, buf_slice(&out), slice_str(""));
    buf_release(&out);
}

static void push(struct fixture *f, uint64_t first_n, uint32_t count)
{
    Ztc__Push m = ZTC__PUSH__INIT;

    assert_int_equal(body_compress(&f->codec, buf_slice(&f->plain), &f->packed), 0);
    m.first_n = first_n;
    m.count = count;
    m.size = (uint32_t)f->plain.len;
    m.body = wire_data(buf_slice(&f->packed));
    frame(f, ZTC__FRAME__KIND_PUSH, &m);
    buf_clear(&f->plain);
    buf_clear(&f->packed);
}

/* COUNT acts of one change each, from FIRST. */
static void push_ones(struct fixture *f, uint64_t first, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        put(f, (struct pushed){replica, SITE, first + i, 0, 1});
    push(f, first, count);
}

static void merged(struct fixture *f, int ret, uint64_t answered_n)
{
    struct server_event ev = {.kind = SERVER_MERGED};

    ev.merged.ret = ret;
    ev.merged.answered_n = answered_n;
    step(f, ev);
}

static void advance(struct fixture *f, uint64_t shared, uint64_t site)
{
    struct server_head heads[2] = {{STREAM_SHARED, shared}, {SITE, site}};
    struct server_event ev = {.kind = SERVER_HEADS};

    ev.heads.heads = heads;
    ev.heads.n_heads = 2;
    step(f, ev);
}

static void have_read(struct fixture *f, uint32_t stream, uint64_t first, uint32_t count)
{
    struct server_event ev = {.kind = SERVER_READ};

    ev.read.stream = stream;
    ev.read.first_seq = first;
    ev.read.count = count;
    ev.read.size = 100;
    ev.read.body = slice_str("compressed");
    ev.read.closing = f->head;
    step(f, ev);
}

/* ---- snapshots ---- */

static uint8_t place[WIRE_PLACE_SIZE] = {0, 0, 0, 22, 7};

/* A computer without anything: no entries before its snapshots have ended. */
static void serve_empty(struct fixture *f)
{
    Ztc__Hello m = hello();

    for (size_t i = 0; i < 2; i++) {
        m.cursors[i]->seq = 0;
        m.cursors[i]->has_loading = m.cursors[i]->loading = true;
    }
    f->facts.heads[1].seq = 7;
    greet(f, m);
    tell_facts(f);
    buf_clear(&f->story);
}

static void ask_slice(struct fixture *f, uint32_t stream, bool on, bool declined)
{
    Ztc__SnapshotAsk m = ZTC__SNAPSHOT_ASK__INIT;

    m.stream = stream;
    m.has_after = on;
    m.after = wire_data((struct slice){place, sizeof place});
    m.has_declined = m.declined = declined;
    frame(f, ZTC__FRAME__KIND_SNAPSHOT_ASK, &m);
}

static void have_slice(struct fixture *f, uint32_t stream, int ret, bool last)
{
    struct server_event ev = {.kind = SERVER_SLICE};

    ev.slice.ret = ret;
    ev.slice.stream = stream;
    ev.slice.seq = 7;
    ev.slice.count = ev.slice.size = 1;
    ev.slice.body = slice_str("compressed");
    ev.slice.next = (struct slice){place, last ? 0 : sizeof place};
    step(f, ev);
}

static void ask_history(struct fixture *f, uint64_t from, uint64_t upto)
{
    Ztc__HistoryAsk m = ZTC__HISTORY_ASK__INIT;

    m.stream = SITE;
    m.from_seq = from;
    m.upto_seq = upto;
    frame(f, ZTC__FRAME__KIND_HISTORY_ASK, &m);
}

static void timer(struct fixture *f, msec_t after)
{
    f->now += after;
    step(f, (struct server_event){.kind = SERVER_TIMER});
}

static void drained(struct fixture *f, size_t left)
{
    step(f, (struct server_event){.kind = SERVER_DRAINED, .unsent = left});
}

/* ---- narratives ---- */

/* A whole session that goes well. */
static void test_server_session__narrative(void **state)
{
    struct fixture *f = *state;
    struct server_refusal refusal = {2, 2, 2, slice_str("ZT-STATE"), slice_str("不允许"), false};
    struct server_event ev = {.kind = SERVER_REFUSALS};
    Ztc__RefusedAck ack = ZTC__REFUSED_ACK__INIT;
    Ztc__Ping ping = ZTC__PING__INIT;
    Ztc__Statement said = ZTC__STATEMENT__INIT;
    Ztc__Bye bye = ZTC__BYE__INIT;

    greet(f, hello());
    expect(f, "ask 4 1\n");
    f->facts.refusals = &refusal;
    f->facts.n_refusals = 1;
    f->facts.more_refusals = true;
    tell_facts(f);
    expect(f,
           "welcome accepted 2 same\n"
           "refused 2..2\n"
           "read 431021 8..9 echo above 1\n"
           "read refusals from 3\n");
    step(f, ev);
    expect(f, "");
    have_read(f, SITE, 8, 2);
    expect(f, "entries 431021 8+2\n");

    put(f, (struct pushed){replica, SITE, 3, 0, 2});
    put(f, (struct pushed){replica, SITE, 4, 1, 2});
    push(f, 3, 2);
    expect(f, "submit 3+2\n");
    advance(f, 6, 11);
    expect(f, "read 1 6..6 echo above 1\n"); /* `shared` first */
    merged(f, 0, 4);
    have_read(f, STREAM_SHARED, 6, 1);
    expect(f, "entries 1 6+1\nread 431021 10..11 echo above 1\n");
    have_read(f, SITE, 10, 2);
    expect(f, "entries 431021 10+2\n");

    ack.first_n = 2;
    ack.until_n = 4;
    frame(f, ZTC__FRAME__KIND_REFUSED_ACK, &ack);
    expect(f, "acknowledged 2 until 4\n");
    ping.answer = true;
    ping.said = &said;
    frame(f, ZTC__FRAME__KIND_PING, &ping);
    expect(f, "ping\n");
    assert_non_null(f->up.said);
    bye.code = wire_data(slice_str("ZT-CLOSED"));
    frame(f, ZTC__FRAME__KIND_BYE, &bye);
    expect(f, "close flushed\n");
    step(f, (struct server_event){.kind = SERVER_GONE});
    assert_int_equal(f->s.state, SERVER_CLOSED);
    assert_int_equal(f->s.cause, 0);
}

/* ---- greeting ---- */

/* Every way not to be admitted, each with its code. */
static void test_server_session__greeting_refused(void **state)
{
    struct fixture *f = *state;
    struct server_event ev = {.kind = SERVER_OPEN};
    Ztc__Hello m = hello();
    Ztc__Ping ping = ZTC__PING__INIT;
    static const struct id other = {{7}};

    open_as(f, SITE);
    assert_int_equal(f->up.deadline, f->now + f->options.hello_within);
    timer(f, f->options.hello_within);
    expect_bye(f, "ZT-TIMEOUT");

    server_session_init(&f->s, &f->options);
    ev.open.replica = replica;
    ev.open.ret = E_REVOKED;
    step(f, ev);
    expect_bye(f, "ZT-REVOKED");

    server_session_init(&f->s, &f->options);
    open_as(f, SITE);
    frame(f, ZTC__FRAME__KIND_PING, &ping);
    expect_bye(f, "ZT-PROTOCOL");

    server_session_init(&f->s, &f->options);
    m.protocol_min = m.protocol_max = PROTOCOL_MAX + 1;
    greet(f, m);
    expect_bye(f, "ZT-VERSION");

    server_session_init(&f->s, &f->options);
    m = hello();
    m.replica = wire_data((struct slice){other.b, ID_SIZE});
    greet(f, m);
    expect_bye(f, "ZT-AUTH");

    server_session_init(&f->s, &f->options);
    open_as(f, 431081);
    m = hello();
    frame(f, ZTC__FRAME__KIND_HELLO, &m);
    expect_bye(f, "ZT-DENIED");

    server_session_init(&f->s, &f->options);
    open_as(f, SITE);
    step(f, (struct server_event){.kind = SERVER_BROKEN, .broken = E_TOOBIG});
    expect_bye(f, "ZT-TOO-BIG");
}

/* A Hello is said once, and nothing is taken before Welcome. */
static void test_server_session__order_of_frames(void **state)
{
    struct fixture *f = *state;
    Ztc__Hello m = hello();

    serve(f);
    frame(f, ZTC__FRAME__KIND_HELLO, &m);
    expect_bye(f, "ZT-PROTOCOL");

    server_session_init(&f->s, &f->options);
    greet(f, hello());
    expect(f, "ask 4 1\n");
    push_ones(f, 3, 1);
    expect_bye(f, "ZT-PROTOCOL");
    tell_facts(f); /* comes too late */
    expect(f, "");
}

static void judge_as(struct fixture *f, Ztc__Hello m, const char *identity, bool mendable)
{
    char story[200];

    server_session_init(&f->s, &f->options);
    greet(f, m);
    buf_clear(&f->story);
    tell_facts(f);
    (void)snprintf(story, sizeof story, "welcome accepted %llu %s\n%s", U(f->facts.accepted_n),
                   identity, mendable ? "" : "bye ZT-FORK\nclose flushed\n");
    expect(f, story);
    assert_int_equal(f->s.state, mendable ? SERVER_FORKED : SERVER_CLOSING);
}

/* A copied disk, an old backup, another history, a city that forgot: told apart, and taken nothing of. */
static void test_server_session__identity(void **state)
{
    struct fixture *f = *state;
    Ztc__Hello m = hello();

    m.acked_chain = wire_data((struct slice){chain_b, HASH_SIZE});
    judge_as(f, m, "forked", false);
    m = hello();
    m.own_n = 1;
    judge_as(f, m, "forked", true);
    m = hello();
    m.own_n = 2;
    judge_as(f, m, "forked", true);
    m = hello();
    m.acked_n = 3;
    judge_as(f, m, "ahead", false);
    m = hello();
    m.cursors[0]->seq = 10;
    judge_as(f, m, "ahead", false);
    f->facts.cursor_ok[1] = false;
    judge_as(f, hello(), "forked", false);
}

static void ask_identity(struct fixture *f, uint64_t n, bool request)
{
    Ztc__NewIdentity m = ZTC__NEW_IDENTITY__INIT;
    Ztc__OwnPoint point = ZTC__OWN_POINT__INIT, *list = &point;

    point.n = n;
    point.chain = wire_data((struct slice){chain_a, HASH_SIZE});
    m.points = &list;
    m.n_points = 1;
    m.has_replica = m.has_csr = request;
    m.replica = wire_data((struct slice){chain_b, ID_SIZE});
    m.csr = wire_data(slice_str("csr"));
    frame(f, ZTC__FRAME__KIND_NEW_IDENTITY, &m);
}

static void answer_identity(struct fixture *f, uint32_t k, int ret)
{
    static const struct slice ca = {(const uint8_t *)"ca", 2};
    struct server_event ev = {.kind = SERVER_IDENTITY};

    ev.identity.agrees = k == 0;
    ev.identity.agreed_n = 1;
    ev.identity.k = k;
    ev.identity.issued = (struct server_issued){.ret = ret,
                                                .certificate = slice_str("certificate"),
                                                .authorities = &ca,
                                                .n_authorities = 1};
    step(f, ev);
}

/* A forked replica may find the place, ask for an identity behind it, and leave; nothing else. */
static void test_server_session__new_identity(void **state)
{
    struct fixture *f = *state;
    Ztc__Hello m = hello();

    m.own_n = 1;
    judge_as(f, m, "forked", true);
    ask_identity(f, 1, false);
    expect(f, "identity at 1\n");
    answer_identity(f, 0, 0);
    expect(f, "new_identity_granted\n");
    ask_identity(f, 1, true);
    expect(f, "identity at 1 wanted\n");
    answer_identity(f, 2, 0);
    expect(f, "new_identity_granted\n");
    push_ones(f, 2, 1);
    expect_bye(f, "ZT-FORK");

    judge_as(f, m, "forked", true);
    ask_identity(f, 1, false);
    ask_identity(f, 1, false); /* before the answer */
    expect(f, "identity at 1\nbye ZT-PROTOCOL\nclose flushed\n");

    judge_as(f, m, "forked", true);
    ask_identity(f, 1, true);
    buf_clear(&f->story);
    answer_identity(f, 0, E_DENIED);
    expect_bye(f, "ZT-DENIED");

    judge_as(f, m, "forked", true);
    f->now += f->options.hello_within;
    step(f, (struct server_event){.kind = SERVER_TIMER});
    expect_bye(f, "ZT-FORK");

    judge_as(f, m, "forked", true);
    ask_identity(f, 1, true);
    timer(f, f->options.hello_within); /* the city's own store is slow: no fault of the replica */
    expect(f, "identity at 1 wanted\n");
    assert_int_equal(f->s.state, SERVER_FORKED);

    server_session_init(&f->s, &f->options);
    serve(f); /* the county found out by itself */
    buf_clear(&f->story);
    ask_identity(f, 1, true);
    answer_identity(f, 2, 0);
    expect(f, "identity at 1 wanted\nnew_identity_granted\n");
    assert_int_equal(f->s.state, SERVER_SERVING);
}

/* ---- pushes ---- */

/* What was said before is passed over; what is new behind it is taken from its act on. */
static void test_server_session__push_repeated(void **state)
{
    struct fixture *f = *state;

    serve(f);
    push_ones(f, 1, 2);
    expect(f, "");
    push_ones(f, 3, 2);
    expect(f, "submit 3+2\n");
    push_ones(f, 3, 2); /* submitted, not merged yet */
    expect(f, "");
    push_ones(f, 2, 4);
    expect(f, "submit 5+1\n");
    merged(f, 0, 5);
    assert_int_equal(f->s.due[SERVER_DUE_MERGE], 0);

    /* An earlier session's work was still with the writer. */
    merged(f, 0, 8);
    push_ones(f, 6, 4);
    expect(f, "submit 9+1\n");
}

static void push_refused(struct fixture *f, struct pushed a, struct pushed b, uint64_t first,
                         const char *code)
{
    server_session_init(&f->s, &f->options);
    serve(f);
    put(f, a);
    put(f, b);
    push(f, first, 2);
    expect_bye(f, code);
}

/* A hole, a foreign change, another site's stream, a torn act, another number. */
static void test_server_session__push_refused(void **state)
{
    struct fixture *f = *state;
    static const struct id other = {{7}};
    struct pushed third = {replica, SITE, 3, 0, 1};

    push_refused(f, (struct pushed){replica, SITE, 4, 0, 1},
                 (struct pushed){replica, SITE, 5, 0, 1}, 4, "ZT-PROTOCOL");
    push_refused(f, third, (struct pushed){other, SITE, 4, 0, 1}, 3, "ZT-AUTH");
    push_refused(f, third, (struct pushed){replica, 431081, 4, 0, 1}, 3, "ZT-DENIED");
    push_refused(f, third, (struct pushed){replica, STREAM_SHARED, 4, 0, 1}, 3, "ZT-DENIED");
    push_refused(f, third, (struct pushed){replica, SITE, 5, 0, 1}, 3, "ZT-PROTOCOL");
    push_refused(f, third, (struct pushed){replica, SITE, 4, 0, 2}, 3, "ZT-PROTOCOL");
    push_refused(f, third, (struct pushed){replica, SITE, 4, 1, 2}, 3, "ZT-PROTOCOL");
    push_refused(f, (struct pushed){replica, SITE, 3, 0, 2},
                 (struct pushed){replica, SITE, 4, 0, 1}, 3, "ZT-PROTOCOL");
    push_refused(f, (struct pushed){replica, SITE, 3, 1, 2},
                 (struct pushed){replica, SITE, 4, 0, 1}, 3, "ZT-PROTOCOL");
}

/* Bytes that are no change, and a body that is not what it says. */
static void test_server_session__push_malformed(void **state)
{
    struct fixture *f = *state;

    serve(f);
    body_put_change(&f->plain, slice_str("no change at all"), slice_str(""));
    push(f, 3, 1);
    expect_bye(f, "ZT-MALFORMED");

    server_session_init(&f->s, &f->options);
    serve(f);
    put(f, (struct pushed){replica, SITE, 3, 0, 1});
    push(f, 3, 2);
    expect_bye(f, "ZT-MALFORMED");
}

/* The window is kept, and reading pauses while too many bytes are with the writer. */
static void test_server_session__push_window(void **state)
{
    struct fixture *f = *state;

    f->options.unmerged_max = 300;
    serve(f);
    push_ones(f, 3, 7);
    expect(f, "submit 3+7\n");
    assert_false(f->up.reading);
    assert_int_equal(f->s.due[SERVER_DUE_PEER], 0); /* the silence is ours */
    merged(f, 0, 9);
    assert_true(f->up.reading);
    assert_int_equal(f->s.due[SERVER_DUE_PEER], f->now + f->options.dead_after);

    f->options.unmerged_max = 4u << 20;
    push_ones(f, 10, 8);
    push_ones(f, 18, 1);
    expect(f, "submit 10+8\nbye ZT-PROTOCOL\nclose flushed\n");
}

/* ---- the city's own trouble, and time ---- */

/* A full disk ends the session with the time to come back; a slow store likewise. */
static void test_server_session__city_in_trouble(void **state)
{
    struct fixture *f = *state;

    serve(f);
    push_ones(f, 3, 1);
    buf_clear(&f->story);
    merged(f, E_FULL, 0);
    expect_bye(f, "ZT-DISK-FULL retry");
    merged(f, 0, 3); /* of no interest any more */
    expect(f, "");

    server_session_init(&f->s, &f->options);
    greet(f, hello());
    buf_clear(&f->story);
    drained(f, 0);
    for (int i = 0; i < 3; i++) { /* the peer is alive, the store does not answer */
        f->now += f->options.store_within / 3;
        step(f, (struct server_event){.kind = SERVER_HEARD});
    }
    timer(f, 0);
    expect_bye(f, "ZT-BUSY retry");
}

static void hold(struct fixture *f, int cause)
{
    step(f, (struct server_event){.kind = SERVER_HOLD, .hold = cause});
}

/* While the store refuses the peer is told so and what it pushed waits, without a deadline of its own. */
static void test_server_session__hold(void **state)
{
    struct fixture *f = *state;
    msec_t pushed;

    serve(f);
    drained(f, 0);
    push_ones(f, 3, 1);
    pushed = f->now;
    buf_clear(&f->story);
    hold(f, E_FULL);
    expect(f, "window\n");
    hold(f, E_FULL); /* once is enough */
    expect(f, "");
    drained(f, 0);
    for (int i = 0; i < 9; i++) {
        f->now += f->options.store_within / 3;
        step(f, (struct server_event){.kind = SERVER_HEARD});
        timer(f, 0);
    }
    expect(f, "");
    assert_int_equal(f->s.progress_at, pushed);
    hold(f, 0);
    expect(f, "window\n");
    assert_int_equal(f->s.due[SERVER_DUE_MERGE], f->now + f->options.store_within);
    f->now += 5;
    merged(f, 0, 3);
    assert_int_equal(f->s.progress_at, f->now);
    assert_int_equal(f->s.due[SERVER_DUE_MERGE], 0);
}

/* So much waits that nothing more is read: better gone than silent. */
static void test_server_session__hold_and_full(void **state)
{
    struct fixture *f = *state;

    f->options.unmerged_max = 1;
    serve(f);
    drained(f, 0);
    push_ones(f, 3, 1);
    buf_clear(&f->story);
    hold(f, E_FULL);
    expect(f, "window\nbye ZT-DISK-FULL retry\nclose flushed\n");
    assert_int_equal(f->s.state, SERVER_CLOSING);
}

/* One that comes meanwhile is welcome, and told at once. */
static void test_server_session__welcome_on_hold(void **state)
{
    struct fixture *f = *state;

    hold(f, E_IO);
    serve(f);
    assert_int_equal(f->s.hold, E_IO);
    assert_int_equal(f->s.state, SERVER_SERVING);
    assert_int_equal(f->s.since, f->now);
    drained(f, 0);
    buf_clear(&f->story);
    hold(f, 0);
    expect(f, "window\n");
}

/* Silence ends it; any bytes count as life. */
static void test_server_session__silence(void **state)
{
    struct fixture *f = *state;

    serve(f);
    drained(f, 0);
    f->now += f->options.dead_after - 1;
    step(f, (struct server_event){.kind = SERVER_HEARD});
    timer(f, f->options.dead_after - 1);
    expect(f, "");
    timer(f, 1);
    expect_bye(f, "ZT-TIMEOUT");
    timer(f, f->options.drain_within);
    expect(f, "close now\n");
}

/* A slow reader is not read for; one that takes nothing is cut. */
static void test_server_session__slow_reader(void **state)
{
    struct fixture *f = *state;

    f->options.unsent_max = 100;
    serve(f);
    assert_true(f->s.unsent > 100); /* Welcome */
    advance(f, 5, 20);
    expect(f, "");
    drained(f, 99);
    expect(f, "read 431021 8..20 echo above 1\n");
    have_read(f, SITE, 8, 3);
    expect(f, "entries 431021 8+3\n");
    drained(f, 0);
    expect(f, "read 431021 11..20 echo above 1\n");
    assert_int_equal(f->s.due[SERVER_DUE_DRAIN], 0);
    have_read(f, SITE, 11, 10);
    buf_clear(&f->story);
    for (int i = 0; i < 3; i++) { /* it speaks, but takes nothing */
        f->now += f->options.drain_within / 3;
        step(f, (struct server_event){.kind = SERVER_HEARD});
    }
    timer(f, 0);
    expect_bye(f, "ZT-TIMEOUT");
}

/* Shutdown says when to come back. */
static void test_server_session__end(void **state)
{
    struct fixture *f = *state;
    struct server_event ev = {.kind = SERVER_END};

    serve(f);
    ev.end.cause = E_CLOSED;
    ev.end.retry_after = 5000;
    step(f, ev);
    expect_bye(f, "ZT-CLOSED retry");
}

/* No memory for the output: the connection ends, no half frame leaves. */
static void test_server_session__no_memory(void **state)
{
    struct fixture *f = *state;
    Ztc__Ping ping = ZTC__PING__INIT;

    serve(f);
    ping.answer = true;
    server_update_release(&f->up);
    server_update_init(&f->up);
    mem_fault_set(1);
    frame(f, ZTC__FRAME__KIND_PING, &ping);
    mem_fault_set(0);
    expect(f, "close now\n");
    step(f, (struct server_event){.kind = SERVER_GONE});
    assert_int_equal(f->s.state, SERVER_CLOSED);
}

/* Thousands of them are idle at one time. */
static void expect_slices_refused(struct fixture *f, const char *code)
{
    expect_bye(f, code);
    server_session_init(&f->s, &f->options);
    buf_clear(&f->story);
}

/* The site's entries wait for both snapshots; the tail goes on where Welcome's head stood. */
static void test_server_session__snapshot(void **state)
{
    struct fixture *f = *state;
    struct server_event ev = {.kind = SERVER_HISTORY};

    serve_empty(f);
    advance(f, 5, 9);
    expect(f, "");
    ask_slice(f, STREAM_SHARED, false, true);
    expect(f, "read 1 1..5 echo above 1\n");
    have_read(f, STREAM_SHARED, 1, 5);
    expect(f, "entries 1 1+5\n");
    ask_slice(f, SITE, false, false);
    expect(f, "slice 431021\n");
    have_slice(f, SITE, 0, false);
    expect(f, "slice\n");
    ask_slice(f, SITE, true, false);
    expect(f, "slice 431021 on\n");
    have_slice(f, SITE, 0, true);
    expect(f, "slice\nread 431021 8..9 echo above 1\n");
    have_read(f, SITE, 8, 2);
    expect(f, "entries 431021 8+2\n");

    ask_history(f, 1, 7);
    expect(f, "history 431021 1..7\n");
    ev.history.stream = SITE;
    ev.history.first_seq = 1;
    ev.history.count = 7;
    ev.history.size = 10;
    ev.history.body = slice_str("compressed");
    step(f, ev);
    expect(f, "history\n");
}

/* Only what is loading is sliced, one slice at a time, and no history beyond what was sent. */
static void test_server_session__snapshot_disorder(void **state)
{
    struct fixture *f = *state;

    serve(f);
    ask_slice(f, SITE, false, false);
    expect_slices_refused(f, "ZT-PROTOCOL");
    serve_empty(f);
    ask_slice(f, 431081, false, false);
    expect_slices_refused(f, "ZT-DENIED");
    serve_empty(f);
    ask_slice(f, SITE, false, false);
    buf_clear(&f->story);
    ask_slice(f, SITE, false, false);
    expect_slices_refused(f, "ZT-PROTOCOL");
    serve_empty(f);
    ask_history(f, 1, 7);
    expect_slices_refused(f, "ZT-PROTOCOL");
    serve(f);
    ask_history(f, 1, 7);
    buf_clear(&f->story);
    ask_history(f, 1, 7);
    expect_slices_refused(f, "ZT-PROTOCOL");
}

/* A store that cannot, or does not, answer ends the session; the county comes back to the same place. */
static void test_server_session__snapshot_in_trouble(void **state)
{
    struct fixture *f = *state;

    serve_empty(f);
    ask_slice(f, SITE, false, false);
    buf_clear(&f->story);
    have_slice(f, SITE, E_IO, false);
    expect_slices_refused(f, "ZT-IO retry");
    f->options.dead_after = 10 * f->options.store_within;
    serve_empty(f);
    ask_slice(f, SITE, false, false);
    drained(f, 0);
    buf_clear(&f->story);
    timer(f, f->options.store_within);
    expect_slices_refused(f, "ZT-BUSY retry");
}

static void test_server_session__is_small(void **state)
{
    (void)state;
    assert_true(sizeof(struct server_session) <= 640);
}

/* ---- tables that differ ---- */

static void told(struct fixture *f, int ret, uint64_t seq)
{
    struct server_event ev = {.kind = SERVER_TOLD};
    struct server_told t = {.ret = ret, .seq = seq, .form = ZTC__DIGEST_TELL__FORM__KINDS,
                            .list = slice_str("list")};

    ev.told = &t;
    step(f, ev);
}

static void ask_tables(struct fixture *f, uint32_t stream)
{
    Ztc__DigestAsk m = ZTC__DIGEST_ASK__INIT;

    m.stream = stream;
    frame(f, ZTC__FRAME__KIND_DIGEST_ASK, &m);
}

/* ---- out of place ---- */

/* What a county may say in a state; nothing else, however well it is made. */
static const struct {
    enum server_state state;
    enum server_standing standing;
    bool restored, forked;
    int ret;
    uint32_t may; /* bits of frame kinds */
} places[] = {
    {.state = SERVER_GREETING, .ret = E_PROTOCOL, .may = 1u << ZTC__FRAME__KIND_HELLO},
    {.state = SERVER_RENEW_ONLY, .standing = SERVER_MAY_RENEW, .ret = E_EXPIRED,
     .may = 1u << ZTC__FRAME__KIND_RENEW | 1u << ZTC__FRAME__KIND_PING},
    {.state = SERVER_FORKED, .forked = true, .ret = E_FORK,
     .may = 1u << ZTC__FRAME__KIND_NEW_IDENTITY | 1u << ZTC__FRAME__KIND_PING},
    {.state = SERVER_REFILLING, .restored = true, .ret = E_PROTOCOL,
     .may = 1u << ZTC__FRAME__KIND_REFILL | 1u << ZTC__FRAME__KIND_PING},
};

static void lead_to(struct fixture *f, size_t at)
{
    f->facts.standing = places[at].standing;
    f->facts.restored = places[at].restored;
    for (size_t i = 0; i < SERVER_STREAMS; i++)
        f->facts.refill[i].from_seq = f->facts.refill[i].upto_seq = f->facts.heads[i].seq + 1;
    if (places[at].forked)
        f->facts.accepted_n = 9; /* more than it has */
    if (places[at].state == SERVER_GREETING) {
        open_as(f, SITE);
    } else {
        greet(f, hello());
        tell_facts(f);
    }
    buf_clear(&f->story);
    assert_int_equal(f->s.state, places[at].state);
}

static void test_server_session__frames_out_of_place(void **state)
{
    static Ztc__Ping never_read = ZTC__PING__INIT;

    (void)state;
    for (size_t p = 0; p < sizeof places / sizeof *places; p++) {
        for (int kind = ZTC__FRAME__KIND_HELLO; kind <= ZTC__FRAME__KIND_WINDOW; kind++) {
            struct fixture *f;

            if ((places[p].may >> kind & 1) != 0 || kind == ZTC__FRAME__KIND_BYE || kind == 23)
                continue;
            assert_int_equal(setup((void **)&f), 0);
            lead_to(f, p);
            frame(f, kind, &never_read);
            expect_bye(f, err_code(places[p].ret));
            assert_int_equal(teardown((void **)&f), 0);
        }
    }
}

/* A ping is answered wherever one is trusted with so much; one that asks for nothing gets nothing. */
static void test_server_session__ping_everywhere(void **state)
{
    (void)state;
    for (size_t p = 1; p < sizeof places / sizeof *places; p++) {
        Ztc__Ping m = ZTC__PING__INIT;
        struct fixture *f;

        assert_int_equal(setup((void **)&f), 0);
        lead_to(f, p);
        m.answer = true;
        frame(f, ZTC__FRAME__KIND_PING, &m);
        expect(f, "ping\n");
        m.answer = false;
        frame(f, ZTC__FRAME__KIND_PING, &m);
        expect(f, "");
        assert_int_equal(f->s.state, places[p].state);
        assert_int_equal(teardown((void **)&f), 0);
    }
}

/* One protocol is spoken: who begins above it or ends below it is told so. */
static void test_server_session__protocols(void **state)
{
    static const struct {
        uint32_t min, max;
        int ret;
    } cases[] = {{1, 1, 0}, {1, 9, 0}, {2, 9, E_VERSION}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fixture *f;
        Ztc__Hello m;

        assert_int_equal(setup((void **)&f), 0);
        m = hello();
        m.protocol_min = cases[i].min;
        m.protocol_max = cases[i].max;
        greet(f, m);
        assert_int_equal(f->s.cause, cases[i].ret);
        assert_int_equal(f->s.state, cases[i].ret == 0 ? SERVER_ADMITTING : SERVER_CLOSING);
        assert_int_equal(teardown((void **)&f), 0);
    }
}

/* A refusal that was never made cannot be acknowledged; history is of streams and entries that were sent. */
static void test_server_session__asks_beyond_what_was_sent(void **state)
{
    static const struct {
        uint32_t stream;
        uint64_t upto;
        int ret;
    } cases[] = {{SITE, 7, 0}, {SITE, 8, E_PROTOCOL}, {431081, 7, E_DENIED}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Ztc__HistoryAsk m = ZTC__HISTORY_ASK__INIT;
        struct fixture *f;

        assert_int_equal(setup((void **)&f), 0);
        serve(f);
        m.stream = cases[i].stream;
        m.from_seq = 1;
        m.upto_seq = cases[i].upto;
        frame(f, ZTC__FRAME__KIND_HISTORY_ASK, &m);
        assert_int_equal(f->s.cause, cases[i].ret);
        assert_int_equal(f->up.history.wanted, cases[i].ret == 0);
        if (cases[i].ret == 0) {
            Ztc__RefusedAck ack = ZTC__REFUSED_ACK__INIT;

            ack.first_n = ack.until_n = 3; /* accepted are 2 */
            frame(f, ZTC__FRAME__KIND_REFUSED_ACK, &ack);
            assert_int_equal(f->s.cause, E_PROTOCOL);
        }
        assert_int_equal(teardown((void **)&f), 0);
    }
}

/* Only a replica that agrees in everything answered, and in both streams, may become another. */
static void test_server_session__fork_beyond_mending(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        struct fixture *f;
        Ztc__Hello m;

        assert_int_equal(setup((void **)&f), 0);
        f->facts.accepted_n = 9; /* more than it has */
        m = hello();
        if (i == 0)
            m.has_acked_n = m.has_acked_chain = false;
        if (i == 1)
            memcpy(f->facts.acked_chain, chain_b, HASH_SIZE);
        if (i == 2 || i == 3)
            f->facts.cursor_ok[i - 2] = false;
        if (i == 4)
            f->facts.restored = true;
        greet(f, m);
        buf_clear(&f->story);
        tell_facts(f);
        expect(f, "welcome accepted 9 forked\nbye ZT-FORK\nclose flushed\n");
        assert_int_equal(teardown((void **)&f), 0);
    }
}

/* What passes is told with a time to come again; what does not, without. */
static void test_server_session__store_fails_for_each_reason(void **state)
{
    static const struct {
        int cause;
        bool passes;
    } cases[] = {
        {E_NOMEM, true},   {E_IO, true},       {E_FULL, true},   {E_BUSY, true},
        {E_READONLY, true}, {E_INTERNAL, true}, {E_CORRUPT, true}, {E_RECOVERING, true},
        {E_REVOKED, false}, {E_VERSION, false},
    };

    (void)state;
    for (size_t i = 0; i < 5 * sizeof cases / sizeof *cases; i++) {
        static const enum server_event_kind kinds[] = {SERVER_FACTS, SERVER_REFUSALS, SERVER_READ,
                                                       SERVER_HISTORY, SERVER_TOLD};
        const int cause = cases[i / 5].cause;
        const enum server_event_kind kind = kinds[i % 5];
        struct server_event ev = {.kind = kind};
        struct fixture *f;
        char story[80];

        assert_int_equal(setup((void **)&f), 0);
        if (kind == SERVER_FACTS)
            greet(f, hello());
        else
            serve(f);
        buf_clear(&f->story);
        if (kind == SERVER_FACTS)
            ev.facts.ret = cause;
        else if (kind == SERVER_REFUSALS)
            ev.refusals.ret = cause;
        else if (kind == SERVER_READ)
            ev.read.ret = cause;
        else
            ev.history.ret = cause;
        if (kind == SERVER_TOLD)
            ask_tables(f, SITE);
        if (kind == SERVER_TOLD)
            told(f, cause, 9);
        else
            step(f, ev);
        (void)snprintf(story, sizeof story, "bye %s%s\nclose flushed\n", err_code(cause),
                       cases[i / 5].passes ? " retry" : "");
        expect(f, story);
        assert_int_equal(f->s.cause, cause);
        assert_int_equal(teardown((void **)&f), 0);
    }
}

/* Answers of the store that come when the session is closing: nothing more is asked, sent or closed. */
static void test_server_session__answers_too_late(void **state)
{
    struct fixture *f = *state;
    struct server_event end = {.kind = SERVER_END};

    end.end.cause = E_REVOKED;
    serve(f);
    step(f, end);
    expect_bye(f, "ZT-REVOKED");
    for (int kind = SERVER_FRAME; kind <= SERVER_END; kind++) {
        if (kind != SERVER_TIMER)
            step(f, (struct server_event){.kind = (enum server_event_kind)kind});
        if (buf_slice(&f->story).len > 0)
            fail_msg("event %d: %s", kind, buf_cstr(&f->story));
    }
    assert_int_equal(f->s.state, SERVER_CLOSING);
    assert_int_equal(f->s.cause, E_REVOKED);
}

/* One question at a time, about streams that it has; a batch ends where the answer was read. */
static void test_server_session__tables(void **state)
{
    struct fixture *f = *state;

    serve(f);
    ask_tables(f, SITE);
    advance(f, 5, 8);
    expect(f, ""); /* nothing is read meanwhile */
    told(f, 0, 9);
    expect(f, "digest_tell\nread 431021 8..8 echo above 1\n");
    ask_tables(f, SITE);
    buf_clear(&f->story);
    ask_tables(f, SITE);
    expect_bye(f, "ZT-PROTOCOL");
}

static void test_server_session__tables_refused(void **state)
{
    static const struct {
        bool repaired, retired;
        uint32_t stream;
        int ret;
    } cases[] = {
        {false, false, 431081, E_DENIED}, {true, false, 431081, E_DENIED},
        {false, true, SITE, E_PROTOCOL},  {true, true, SITE, E_PROTOCOL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Ztc__Repaired m = ZTC__REPAIRED__INIT;
        struct fixture *f;

        assert_int_equal(setup((void **)&f), 0);
        f->facts.standing = cases[i].retired ? SERVER_MAY_HAND_IN : SERVER_FULL;
        serve(f);
        m.stream = cases[i].stream;
        if (cases[i].repaired)
            frame(f, ZTC__FRAME__KIND_REPAIRED, &m);
        else
            ask_tables(f, cases[i].stream);
        expect_bye(f, err_code(cases[i].ret));
        assert_int_equal(teardown((void **)&f), 0);
    }
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(test_server_session__##name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(narrative),
        T(greeting_refused),
        T(order_of_frames),
        T(identity),
        T(new_identity),
        T(decided),
        T(push_repeated),
        T(push_refused),
        T(push_malformed),
        T(push_window),
        T(city_in_trouble),
        T(silence),
        T(slow_reader),
        T(hold),
        T(hold_and_full),
        T(welcome_on_hold),
        T(end),
        T(snapshot),
        T(snapshot_disorder),
        T(snapshot_in_trouble),
        T(no_memory),
        T(is_small),
        T(frames_out_of_place),
        T(answers_too_late),
        T(protocols),
        T(asks_beyond_what_was_sent),
        T(ping_everywhere),
        T(fork_beyond_mending),
        T(store_fails_for_each_reason),
        T(tables),
        T(tables_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
