/* After a restore, step by step, at both ends: what the city asks a county to hand back, what it accepts as
 * the answer, and how the county goes back to where the new life begins. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "client/core/session.h"
#include "common/base/err.h"
#include "common/base/mem.h"
#include "server/core/session.h"

#include <stdio.h>
#include <string.h>

#define SITE 431021u
#define U(x) ((unsigned long long)(x))

/* ---- fixture: one machine of each side, not joined ---- */

struct fixture {
    struct server_session city;
    struct server_update sup;
    struct server_facts facts;
    struct client_session county;
    struct client_update cup;
    struct client_facts known;
    struct arena arena;
    struct body_codec codec;
    struct buf plain, packed;
    struct buf story; /* what the last steps did, in words */
    msec_t now;
};

static const struct id replica = {{1, 2, 3}};
static uint8_t chain[HASH_SIZE] = {0xaa};

static int setup(void **state)
{
    struct fixture *f = mem_calloc(1, sizeof *f);

    f->now = 1000;
    arena_init(&f->arena, 64u << 20);
    body_codec_init(&f->codec);
    buf_init(&f->plain, WIRE_BODY_MAX);
    buf_init(&f->packed, FRAME_MAX);
    buf_init(&f->story, 1u << 16);
    server_update_init(&f->sup);
    server_session_init(&f->city, &server_options_preset);
    client_update_init(&f->cup);
    client_session_init(&f->county, &client_options_preset, f->now);
    f->facts = (struct server_facts){.incarnation = {{9}}, .catalogue = 1, .accepted_n = 2};
    f->facts.restored = true;
    f->facts.heads[0] = (struct server_head){STREAM_SHARED, 5};
    f->facts.heads[1] = (struct server_head){SITE, 7};
    f->facts.refill[0].from_seq = f->facts.refill[1].from_seq = 1; /* nothing */
    memcpy(f->facts.accepted_chain, chain, HASH_SIZE);
    memcpy(f->facts.acked_chain, chain, HASH_SIZE);
    f->known = (struct client_facts){.replica = replica, .catalogue = 1, .software = "ztc"};
    f->known.n_cursors = 2;
    f->known.cursors[0] = (struct client_cursor){.stream = STREAM_SHARED, .seq = 6};
    f->known.cursors[1] = (struct client_cursor){.stream = SITE, .seq = 9};
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    server_update_release(&f->sup);
    client_session_release(&f->county);
    client_update_release(&f->cup);
    buf_release(&f->plain);
    buf_release(&f->packed);
    buf_release(&f->story);
    body_codec_release(&f->codec);
    arena_release(&f->arena);
    mem_free(f);
    return 0;
}

/* ---- telling ---- */

static void tell_frame(struct fixture *f, const Ztc__Frame *m)
{
    buf_printf(&f->story, "%s", frame_name(m));
    if (m->kind_case == ZTC__FRAME__KIND_REFILL_ASK)
        buf_printf(&f->story, " %u %llu..%llu", m->refill_ask->stream, U(m->refill_ask->from_seq),
                   U(m->refill_ask->upto_seq));
    if (m->kind_case == ZTC__FRAME__KIND_REFILL)
        buf_printf(&f->story, " %u %llu+%u", m->refill->stream, U(m->refill->first_seq),
                   m->refill->count);
    for (size_t i = 0; m->kind_case == ZTC__FRAME__KIND_GO_BACK && i < m->go_back->n_places; i++)
        buf_printf(&f->story, " %u to %llu", m->go_back->places[i]->stream,
                   U(m->go_back->places[i]->seq));
    if (m->kind_case == ZTC__FRAME__KIND_BYE) {
        buf_printf(&f->story, " %.*s", (int)m->bye->code.len, (char *)m->bye->code.data);
        if (m->bye->has_retry_after)
            buf_printf(&f->story, " again in %u", m->bye->retry_after);
    }
    buf_str(&f->story, "; ");
}

static void tell(struct fixture *f, struct buf *out)
{
    struct slice left = buf_slice(out);
    struct frame_reader r;

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
    buf_clear(out);
}

/* The story since the last call. */
static void expect(struct fixture *f, const char *story)
{
    assert_string_equal(buf_cstr(&f->story), story);
    buf_clear(&f->story);
}

static void expect_bye(struct fixture *f, int code)
{
    char story[64];

    (void)snprintf(story, sizeof story, "bye %s; ", err_code(code));
    expect(f, story);
}

/* ---- the city's events ---- */

static void city(struct fixture *f, struct server_event ev)
{
    ev.now = f->now;
    ev.arena = &f->arena;
    ev.codec = &f->codec;
    server_session_step(&f->city, &ev, &f->sup);
    tell(f, &f->sup.out);
    if (f->sup.refill.body != NULL)
        buf_printf(&f->story, "take %u %llu+%zu asked from %llu%s; ", f->sup.refill.stream,
                   U(f->sup.refill.first_seq), f->sup.refill.body->n_entries,
                   U(f->sup.refill.from_seq), f->sup.refill.last ? " last" : "");
}

static void to_city(struct fixture *f, int kind, void *m)
{
    Ztc__Frame fr = ZTC__FRAME__INIT;

    fr.kind_case = (Ztc__Frame__KindCase)kind;
    fr.hello = m;
    city(f, (struct server_event){.kind = SERVER_FRAME, .frame = &fr});
}

static void hello(struct fixture *f)
{
    Ztc__Hello m = ZTC__HELLO__INIT;
    struct server_event ev = {.kind = SERVER_OPEN};

    ev.open.replica = replica;
    ev.open.site = SITE;
    city(f, ev);
    m.protocol_min = m.protocol_max = 1;
    m.replica = wire_data((struct slice){replica.b, ID_SIZE});
    m.software = wire_data(slice_str("ztc"));
    m.own_n = 4;
    m.own_chain = wire_data((struct slice){chain, HASH_SIZE});
    m.has_acked_n = m.has_acked_chain = true;
    m.acked_n = 3; /* the city has lost an answer */
    m.acked_chain = m.own_chain;
    to_city(f, ZTC__FRAME__KIND_HELLO, &m);
}

/* Greeted; the facts decide what is asked for. */
static void admit(struct fixture *f)
{
    struct server_event ev = {.kind = SERVER_FACTS};

    hello(f);
    ev.facts.facts = &f->facts;
    city(f, ev);
}

static void wants(struct fixture *f, unsigned i, uint64_t from, uint64_t upto)
{
    f->facts.refill[i].from_seq = from;
    f->facts.refill[i].upto_seq = upto;
}

static void back_to(struct fixture *f, unsigned i, uint64_t seq)
{
    f->facts.refill[i].back = true;
    f->facts.refill[i].back_to = seq;
}

struct piece {
    uint32_t stream;
    uint64_t first_seq;
    uint32_t count;
    bool echo, torn;
};

static void hand_back(struct fixture *f, struct piece p)
{
    Ztc__Refill m = ZTC__REFILL__INIT;

    for (uint32_t i = 0; i < p.count; i++)
        body_put_entry(&f->plain, 1, slice_str("v"), p.echo ? 3 : 0,
                       slice_str(p.echo ? "" : "bytes"), slice_str(""));
    assert_int_equal(body_compress(&f->codec, buf_slice(&f->plain), &f->packed), 0);
    m.stream = p.stream;
    m.first_seq = p.first_seq;
    m.count = p.count;
    m.size = (uint32_t)f->plain.len + (p.torn ? 1 : 0);
    m.body = wire_data(buf_slice(&f->packed));
    to_city(f, ZTC__FRAME__KIND_REFILL, &m);
    buf_clear(&f->plain);
    buf_clear(&f->packed);
}

static void taken(struct fixture *f, int ret)
{
    struct server_event ev = {.kind = SERVER_REFILLED};

    ev.refilled.ret = ret;
    city(f, ev);
}

/* ---- the city ---- */

/* Stream after stream, in pieces; each is taken before the next is asked for. */
static void test_refill__city_asks_stream_after_stream(void **state)
{
    struct fixture *f = *state;

    wants(f, 0, 6, 6);
    wants(f, 1, 8, 10);
    admit(f);
    expect(f, "welcome; refill_ask 1 6..6; ");
    assert_int_equal(f->city.state, SERVER_REFILLING);
    hand_back(f, (struct piece){.stream = STREAM_SHARED, .first_seq = 6, .count = 1});
    expect(f, "take 1 6+1 asked from 6 last; ");
    taken(f, 0);
    expect(f, "refill_ask 431021 8..10; ");
    hand_back(f, (struct piece){.stream = SITE, .first_seq = 8, .count = 2});
    expect(f, "take 431021 8+2 asked from 8; ");
    taken(f, 0);
    expect(f, "refill_ask 431021 10..10; ");
    hand_back(f, (struct piece){.stream = SITE, .first_seq = 10, .count = 1});
    expect(f, "take 431021 10+1 asked from 8 last; ");
    taken(f, 0);
    expect(f, "bye ZT-RECOVERING again in 1000; "); /* the next Hello is judged afresh */
    assert_int_equal(f->sup.close, SERVER_CLOSE_FLUSHED);
}

/* A county that has nothing to hand back waits as long as others. */
static void test_refill__city_has_nothing_to_ask(void **state)
{
    struct fixture *f = *state;
    char story[80];

    admit(f);
    (void)snprintf(story, sizeof story, "welcome; bye ZT-RECOVERING again in %u; ",
                   server_options_preset.retry_after);
    expect(f, story);
}

/* Only the streams whose end is known go back; they do so at once, or behind what they hand back. */
static void test_refill__city_sends_back(void **state)
{
    struct fixture *f = *state;

    back_to(f, 1, 7);
    wants(f, 0, 6, 6);
    admit(f);
    expect(f, "welcome; refill_ask 1 6..6; ");
    hand_back(f, (struct piece){.stream = STREAM_SHARED, .first_seq = 6, .count = 1});
    taken(f, 0);
    expect(f, "take 1 6+1 asked from 6 last; go_back 431021 to 7; ");
    hand_back(f, (struct piece){.stream = SITE, .first_seq = 8, .count = 1});
    expect_bye(f, E_PROTOCOL); /* it was told to go back */
}

/* What cannot be proved is not taken: the county goes back all the same where it must, and otherwise ends. */
static void test_refill__city_refuses_what_is_not_proved(void **state)
{
    static const struct {
        int ret;
        bool back, goes_on;
    } cases[] = {
        {E_AUTH, true, true},      {E_CORRUPT, true, true}, {E_MALFORMED, true, true},
        {E_IO, true, false},       {E_AUTH, false, false},  {E_CORRUPT, false, false},
        {E_MALFORMED, false, false}, {E_NOMEM, false, false},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fixture *f;

        assert_int_equal(setup((void **)&f), 0);
        wants(f, 1, 8, 8);
        if (cases[i].back) {
            back_to(f, 0, 5);
            back_to(f, 1, 7);
        }
        admit(f);
        hand_back(f, (struct piece){.stream = SITE, .first_seq = 8, .count = 1});
        buf_clear(&f->story);
        taken(f, cases[i].ret);
        if (cases[i].goes_on)
            expect(f, "go_back 1 to 5 431021 to 7; ");
        else
            assert_int_equal(f->city.cause, cases[i].ret);
        assert_true((f->city.state == SERVER_REFILLING) == cases[i].goes_on);
        assert_int_equal(teardown((void **)&f), 0);
    }
    (void)state;
}

/* Pieces of other streams, beside what was asked for, with echoes, or that are none. */
static void test_refill__city_checks_each_piece(void **state)
{
    static const struct {
        struct piece p;
        int ret;
    } cases[] = {
        {{.stream = 431081, .first_seq = 8, .count = 1}, E_DENIED},
        {{.stream = STREAM_SHARED, .first_seq = 6, .count = 1}, E_PROTOCOL}, /* was not asked for */
        {{.stream = SITE, .first_seq = 7, .count = 1}, E_PROTOCOL},
        {{.stream = SITE, .first_seq = 9, .count = 1}, E_PROTOCOL},
        {{.stream = SITE, .first_seq = 8, .count = 4}, E_PROTOCOL},
        {{.stream = SITE, .first_seq = 8, .count = 1, .echo = true}, E_PROTOCOL},
        {{.stream = SITE, .first_seq = 8, .count = 1, .torn = true}, E_MALFORMED},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fixture *f;

        assert_int_equal(setup((void **)&f), 0);
        wants(f, 1, 8, 10);
        admit(f);
        buf_clear(&f->story);
        hand_back(f, cases[i].p);
        expect_bye(f, cases[i].ret);
        assert_int_equal(f->city.state, SERVER_CLOSING);
        assert_int_equal(teardown((void **)&f), 0);
    }
    (void)state;
}

/* Before the city has asked, a refill is out of order. */
static void test_refill__city_takes_no_refill_unasked(void **state)
{
    struct fixture *f = *state;

    hello(f);
    hand_back(f, (struct piece){.stream = SITE, .first_seq = 8, .count = 1});
    expect_bye(f, E_PROTOCOL);
    taken(f, 0); /* it ended meanwhile */
    expect(f, "");
}

/* Neither a county that says nothing nor a store that does not answer is waited for without end. */
static void test_refill__city_waits_with_a_deadline(void **state)
{
    struct fixture *f = *state;

    wants(f, 1, 8, 10);
    admit(f);
    buf_clear(&f->story);
    city(f, (struct server_event){.kind = SERVER_DRAINED});
    assert_true(f->sup.deadline > f->now);
    for (unsigned i = 0; i < 4 && f->city.state == SERVER_REFILLING; i++) {
        f->now = f->sup.deadline;
        city(f, (struct server_event){.kind = SERVER_HEARD}); /* bytes that do not become a frame */
        city(f, (struct server_event){.kind = SERVER_TIMER});
    }
    assert_int_equal(f->city.state, SERVER_CLOSING);
    assert_int_equal(f->city.cause, E_BUSY);
}

/* ---- the county's events ---- */

static void county(struct fixture *f, struct client_event ev)
{
    ev.now = f->now;
    ev.arena = &f->arena;
    client_session_step(&f->county, &ev, &f->cup);
    tell(f, &f->cup.out);
    if (f->cup.refill.wanted)
        buf_printf(&f->story, "load %u %llu..%llu; ", f->cup.refill.stream,
                   U(f->cup.refill.from_seq), U(f->cup.refill.upto_seq));
    if (f->cup.go_back != NULL)
        buf_printf(&f->story, "cut %zu; ", f->cup.go_back->n_places);
}

static void to_county(struct fixture *f, int kind, void *m)
{
    Ztc__Frame fr = ZTC__FRAME__INIT;

    fr.kind_case = (Ztc__Frame__KindCase)kind;
    fr.welcome = m;
    county(f, (struct client_event){.kind = CLIENT_FRAME, .frame = &fr});
}

/* Connected; the city says that it was restored, or does not. */
static void be_welcomed(struct fixture *f, bool restored)
{
    Ztc__Welcome m = ZTC__WELCOME__INIT;

    county(f, (struct client_event){.kind = CLIENT_CONNECTED, .facts = &f->known});
    m.protocol = 1;
    m.incarnation = wire_data((struct slice){replica.b, ID_SIZE});
    m.accepted_chain = wire_data((struct slice){chain, HASH_SIZE});
    m.catalogue = 1;
    m.frame_max = FRAME_MAX;
    m.ping_every = 1000;
    m.dead_after = 3600000;
    m.identity = ZTC__WELCOME__IDENTITY__AHEAD;
    m.has_restored = m.restored = restored;
    buf_clear(&f->story);
    to_county(f, ZTC__FRAME__KIND_WELCOME, &m);
}

static void ask(struct fixture *f, uint32_t stream, uint64_t from, uint64_t upto)
{
    Ztc__RefillAsk m = ZTC__REFILL_ASK__INIT;

    m.stream = stream;
    m.from_seq = from;
    m.upto_seq = upto;
    to_county(f, ZTC__FRAME__KIND_REFILL_ASK, &m);
}

static void loaded(struct fixture *f, int ret)
{
    struct client_event ev = {.kind = CLIENT_REFILL, .ret = ret};

    ev.refill.stream = SITE;
    ev.refill.first_seq = 8;
    ev.refill.count = 2;
    ev.refill.size = 100;
    ev.refill.body = slice_str("packed");
    county(f, ev);
}

static void go_back(struct fixture *f, uint32_t stream, uint64_t seq)
{
    Ztc__Place places[2] = {ZTC__PLACE__INIT, ZTC__PLACE__INIT};
    Ztc__Place *list[2] = {&places[0], &places[1]};
    Ztc__GoBack m = ZTC__GO_BACK__INIT;

    places[0].stream = STREAM_SHARED;
    places[0].seq = 5;
    places[1].stream = stream;
    places[1].seq = seq;
    m.places = list;
    m.n_places = 2;
    to_county(f, ZTC__FRAME__KIND_GO_BACK, &m);
}

static void gone_back(struct fixture *f, int ret)
{
    county(f, (struct client_event){.kind = CLIENT_GONE_BACK, .ret = ret});
}

/* ---- the county ---- */

/* It hands back what is asked for, goes back, and leaves in order. */
static void test_refill__county_hands_back_and_goes_back(void **state)
{
    struct fixture *f = *state;

    be_welcomed(f, true);
    expect(f, "");
    assert_int_equal(f->county.state, CLIENT_REFILLING);
    assert_non_null(f->cup.welcome);
    ask(f, SITE, 8, 9);
    expect(f, "load 431021 8..9; ");
    loaded(f, 0);
    expect(f, "refill 431021 8+2; ");
    go_back(f, SITE, 7);
    expect(f, "cut 2; ");
    gone_back(f, 0);
    expect_bye(f, E_CLOSED);
    assert_int_equal(f->county.cause, 0);
    gone_back(f, 0); /* said twice */
    loaded(f, 0);
    expect(f, "");
}

/* A city that is behind and does not say that it was restored is no place to go back for. */
static void test_refill__county_does_not_go_back_unasked(void **state)
{
    struct fixture *f = *state;

    be_welcomed(f, false);
    expect_bye(f, E_FORK);
}

/* Only of its own streams, only what it has, one after another. */
static void test_refill__county_checks_what_is_asked(void **state)
{
    static const struct {
        bool back;
        uint32_t stream;
        uint64_t seq;
        bool busy; /* something is being loaded */
        int ret;
    } cases[] = {
        {false, 431081, 1, false, E_DENIED}, {false, SITE, 10, false, E_PROTOCOL},
        {false, SITE, 9, true, E_PROTOCOL},  {true, 431081, 1, false, E_DENIED},
        {true, SITE, 10, false, E_PROTOCOL}, {true, SITE, 7, true, E_PROTOCOL},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fixture *f;

        assert_int_equal(setup((void **)&f), 0);
        be_welcomed(f, true);
        if (cases[i].busy)
            ask(f, STREAM_SHARED, 1, 6);
        buf_clear(&f->story);
        if (cases[i].back)
            go_back(f, cases[i].stream, cases[i].seq);
        else
            ask(f, cases[i].stream, 1, cases[i].seq);
        expect_bye(f, cases[i].ret);
        assert_int_equal(f->county.state, CLIENT_CLOSING);
        assert_int_equal(teardown((void **)&f), 0);
    }
    (void)state;
}

/* Its own store's failure ends the session with its code. */
static void test_refill__county_store_fails(void **state)
{
    struct fixture *f = *state, *g;

    be_welcomed(f, true);
    ask(f, SITE, 8, 9);
    buf_clear(&f->story);
    loaded(f, E_IO);
    expect_bye(f, E_IO);
    assert_int_equal(setup((void **)&g), 0);
    be_welcomed(g, true);
    go_back(g, SITE, 7);
    buf_clear(&g->story);
    gone_back(g, E_FULL);
    expect_bye(g, E_FULL);
    assert_int_equal(teardown((void **)&g), 0);
}

/* Neither frame has a meaning in any other state. */
static void test_refill__county_takes_no_order_outside(void **state)
{
    struct fixture *f = *state;

    county(f, (struct client_event){.kind = CLIENT_CONNECTED, .facts = &f->known});
    buf_clear(&f->story);
    ask(f, SITE, 8, 9);
    expect_bye(f, E_PROTOCOL);
}

/* A city that asks for nothing is not waited for without end. */
static void test_refill__county_waits_with_a_deadline(void **state)
{
    struct fixture *f = *state;

    be_welcomed(f, true);
    f->now += client_options_preset.stall_within;
    county(f, (struct client_event){.kind = CLIENT_TIMER});
    assert_int_equal(f->county.state, CLIENT_CLOSING);
    assert_int_equal(f->county.cause, E_TIMEOUT);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_refill__##name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(city_asks_stream_after_stream),
        TEST(city_has_nothing_to_ask),
        TEST(city_sends_back),
        TEST(city_refuses_what_is_not_proved),
        TEST(city_checks_each_piece),
        TEST(city_takes_no_refill_unasked),
        TEST(city_waits_with_a_deadline),
        TEST(county_hands_back_and_goes_back),
        TEST(county_does_not_go_back_unasked),
        TEST(county_checks_what_is_asked),
        TEST(county_store_fails),
        TEST(county_takes_no_order_outside),
        TEST(county_waits_with_a_deadline),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
