/* Renewing a certificate: the county's machine and the city's, joined by their frames. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "client/core/session.h"
#include "common/base/err.h"
#include "common/base/mem.h"
#include "server/core/session.h"

#include <string.h>

#define SITE 431021u
#define DAY  ((msec_t)24 * 3600 * 1000)
#define T0   ((msec_t)1790000000000) /* the certificate was issued */

/* ---- fixture: two machines; frames cross when pump() says so ---- */

struct fixture {
    struct client_session county;
    struct client_update cup;
    struct server_session city;
    struct server_update sup;
    struct arena arena;
    struct body_codec codec;
    struct client_facts known;
    struct server_facts facts;
    uint8_t chain[HASH_SIZE];
    msec_t now, city_time;
    unsigned requests, issued, stored, entries, refused, pushed;
    int store_ret;   /* of keeping a new certificate */
    int request_ret; /* of making the request for one */
    struct buf last; /* code of the last Bye */
};

static const struct id replica = {{7}};

static int setup(void **state)
{
    struct fixture *f = mem_calloc(1, sizeof *f);

    f->now = 1000;
    f->city_time = T0;
    arena_init(&f->arena, 64u << 20);
    body_codec_init(&f->codec);
    buf_init(&f->last, 64);
    client_update_init(&f->cup);
    server_update_init(&f->sup);
    f->known = (struct client_facts){.replica = replica, .catalogue = 1, .software = "ztc"};
    f->known.n_cursors = 2;
    f->known.cursors[0].stream = STREAM_SHARED;
    f->known.cursors[1].stream = SITE;
    f->known.cert = (struct client_cert){.from = T0, .until = T0 + 90 * DAY, .authorities = {1}};
    f->known.city_time = T0;
    f->facts = (struct server_facts){.incarnation = {{9}}, .has_authorities = true};
    f->facts.authorities[0] = 1;
    f->facts.heads[0].stream = STREAM_SHARED;
    f->facts.heads[1].stream = SITE;
    f->facts.cursor_ok[0] = f->facts.cursor_ok[1] = true;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    client_session_release(&f->county);
    client_update_release(&f->cup);
    server_update_release(&f->sup);
    body_codec_release(&f->codec);
    buf_release(&f->last);
    arena_release(&f->arena);
    mem_free(f);
    return 0;
}

static void to_city(struct fixture *f, struct server_event ev);

static void to_county(struct fixture *f, struct client_event ev)
{
    ev.now = f->now;
    ev.arena = &f->arena;
    if (ev.kind != CLIENT_LOCAL)
        ev.ledger = f->county.ledger;
    client_session_step(&f->county, &ev, &f->cup);
    if (f->cup.make_request) {
        f->requests++;
        to_county(f, (struct client_event){.kind = CLIENT_REQUEST, .request = slice_str("csr"), .ret = f->request_ret});
    } else if (f->cup.store_renewed != NULL) {
        struct client_event done = {.kind = CLIENT_RENEWED, .ret = f->store_ret};

        f->stored += f->store_ret == 0;
        done.cert = (struct client_cert){f->city_time, f->city_time + 90 * DAY, {1}};
        to_county(f, done);
    }
}

static void to_city(struct fixture *f, struct server_event ev)
{
    ev.now = f->now;
    ev.clock = f->city_time;
    ev.arena = &f->arena;
    ev.codec = &f->codec;
    server_session_step(&f->city, &ev, &f->sup);
    if (f->sup.ask != NULL) {
        to_city(f, (struct server_event){.kind = SERVER_FACTS, .facts = {.facts = &f->facts}});
    } else if (f->sup.renew != NULL) {
        static const struct slice cas[] = {{(const uint8_t *)"new", 3}, {(const uint8_t *)"old", 3}};
        struct server_event done = {.kind = SERVER_RENEWED};

        f->issued++;
        done.renewed.certificate = slice_str("cert");
        done.renewed.authorities = done.renewed.endorsements = cas;
        done.renewed.n_authorities = 2;
        to_city(f, done);
    }
}

/* What one side has to send, as frames. NULL when it was the last. */
static Ztc__Frame *next_frame(struct fixture *f, struct buf *out)
{
    struct frame_reader r;
    Ztc__Frame *frame = NULL;
    size_t used = 0;

    frame_reader_init(&r, FRAME_MAX);
    if (out->len > 0)
        assert_int_equal(frame_feed(&r, buf_slice(out), &f->arena, &used, &frame), 0);
    buf_consume(out, used);
    frame_reader_release(&r);
    if (frame != NULL && frame->kind_case == ZTC__FRAME__KIND_BYE) {
        buf_clear(&f->last);
        buf_put(&f->last, frame->bye->code.data, frame->bye->code.len);
    }
    return frame;
}

static void pump(struct fixture *f)
{
    for (;;) {
        Ztc__Frame *up = next_frame(f, &f->cup.out), *down = next_frame(f, &f->sup.out);

        if (up != NULL)
            to_city(f, (struct server_event){.kind = SERVER_FRAME, .frame = up});
        if (down != NULL)
            to_county(f, (struct client_event){.kind = CLIENT_FRAME, .frame = down});
        if (up == NULL && down == NULL)
            break;
    }
    to_city(f, (struct server_event){.kind = SERVER_DRAINED});
    to_county(f, (struct client_event){.kind = CLIENT_DRAINED});
}

static void meet(struct fixture *f)
{
    client_session_release(&f->county);
    client_session_init(&f->county, &client_options_preset, f->now);
    server_session_init(&f->city, &server_options_preset);
    memset(f->facts.accepted_chain, 0, HASH_SIZE);
    to_city(f, (struct server_event){.kind = SERVER_OPEN, .open = {replica, SITE, 0}});
    to_county(f, (struct client_event){.kind = CLIENT_CONNECTED, .facts = &f->known});
    pump(f);
}

static void timer(struct fixture *f, msec_t later)
{
    f->now += later;
    f->city_time += later;
    to_county(f, (struct client_event){.kind = CLIENT_TIMER});
    pump(f);
}

/* ---- tests ---- */

/* Two thirds of the life, by the city's time: not at 59 days, at 60. */
static void test_renew__at_sixty_days(void **state)
{
    struct fixture *f = *state;

    f->city_time = T0 + 59 * DAY;
    meet(f);
    assert_int_equal(f->county.state, CLIENT_UP_TO_DATE);
    assert_int_equal(f->requests, 0);
    f->city_time = T0 + 60 * DAY;
    meet(f);
    assert_int_equal(f->stored, 1);
    assert_int_equal(f->county.state, CLIENT_UP_TO_DATE); /* the session goes on */
    assert_int_equal(f->city.state, SERVER_SERVING);
    assert_true(f->county.cert.from == T0 + 60 * DAY);
}

/* The latest city time that is known counts, should the city's clock have gone back. */
static void test_renew__by_the_latest_city_time(void **state)
{
    struct fixture *f = *state;

    f->known.city_time = T0 + 61 * DAY;
    f->city_time = T0 - 400 * DAY;
    meet(f);
    assert_int_equal(f->requests, 1);
}

/* An open session renews when the time comes, and plans the next. */
static void test_renew__in_an_open_session(void **state)
{
    struct fixture *f = *state;

    f->city_time = T0 + 60 * DAY - 5000;
    meet(f);
    assert_int_equal(f->requests, 0);
    timer(f, 4000);
    assert_int_equal(f->requests, 0);
    timer(f, 1000);
    assert_int_equal(f->stored, 1);
    timer(f, 1000);
    assert_int_equal(f->requests, 1);
}

/* Other CAs than the county's: at once, whatever the age; and when the open session is told. */
static void test_renew__when_the_ca_changes(void **state)
{
    struct fixture *f = *state;

    meet(f);
    assert_int_equal(f->requests, 0);
    to_city(f, (struct server_event){.kind = SERVER_OFFER});
    pump(f);
    assert_int_equal(f->stored, 1);
    f->facts.authorities[0] = 2;
    meet(f);
    assert_int_equal(f->stored, 2);
}

/* A certificate that has expired: nothing but the renewal, then both leave in order. */
static void test_renew__only(void **state)
{
    struct fixture *f = *state;

    f->facts.standing = SERVER_MAY_RENEW;
    f->facts.accepted_n = 900; /* not looked at: that is for the next session */
    meet(f);
    assert_int_equal(f->stored, 1);
    assert_int_equal(f->county.state, CLIENT_CLOSING);
    assert_int_equal(f->county.cause, 0);
    assert_int_equal(f->city.state, SERVER_CLOSING);
}

/* The county's Hello to a city that has just come to know who is there. */
static void greet(struct fixture *f)
{
    server_session_init(&f->city, &server_options_preset);
    to_city(f, (struct server_event){.kind = SERVER_OPEN, .open = {replica, SITE, 0}});
    client_session_release(&f->county);
    client_session_init(&f->county, &client_options_preset, f->now);
    to_county(f, (struct client_event){.kind = CLIENT_CONNECTED, .facts = &f->known});
    to_city(f, (struct server_event){.kind = SERVER_FRAME, .frame = next_frame(f, &f->cup.out)});
    buf_clear(&f->sup.out);
}

/* Everything else is refused there with ZT-EXPIRED. */
static void test_renew__only_refuses_the_rest(void **state)
{
    struct fixture *f = *state;
    Ztc__Push push = ZTC__PUSH__INIT;
    Ztc__RefusedAck ack = ZTC__REFUSED_ACK__INIT;
    Ztc__Frame frames[2] = {ZTC__FRAME__INIT, ZTC__FRAME__INIT};

    frames[0].kind_case = ZTC__FRAME__KIND_PUSH;
    frames[0].push = &push;
    frames[1].kind_case = ZTC__FRAME__KIND_REFUSED_ACK;
    frames[1].refused_ack = &ack;
    f->facts.standing = SERVER_MAY_RENEW;
    f->known.cert.until = 0; /* this county asks for nothing */
    for (size_t i = 0; i < 2; i++) {
        meet(f);
        greet(f);
        assert_int_equal(f->city.state, SERVER_RENEW_ONLY);
        to_city(f, (struct server_event){.kind = SERVER_FRAME, .frame = &frames[i]});
        assert_int_equal(f->city.cause, E_EXPIRED);
        assert_null(f->sup.submit);
        assert_null(f->sup.refused_ack);
    }
}

/* One that comes for a renewal and does not ask for it is sent away. */
static void test_renew__only_has_a_deadline(void **state)
{
    struct fixture *f = *state;

    f->facts.standing = SERVER_MAY_RENEW;
    server_session_init(&f->city, &server_options_preset);
    client_session_init(&f->county, &client_options_preset, f->now);
    to_city(f, (struct server_event){.kind = SERVER_OPEN, .open = {replica, SITE, 0}});
    to_county(f, (struct client_event){.kind = CLIENT_CONNECTED, .facts = &f->known});
    to_city(f, (struct server_event){.kind = SERVER_FRAME, .frame = next_frame(f, &f->cup.out)});
    f->now += server_options_preset.hello_within;
    to_city(f, (struct server_event){.kind = SERVER_TIMER});
    assert_int_equal(f->city.cause, E_EXPIRED);
}

/* A certificate nobody asked for, and a second request while one is under way, end the session. */
static void test_renew__out_of_order(void **state)
{
    struct fixture *f = *state;
    Ztc__Renewed m = ZTC__RENEWED__INIT;
    Ztc__Renew ask = ZTC__RENEW__INIT;
    Ztc__Frame frame = ZTC__FRAME__INIT;
    struct server_event ev = {.kind = SERVER_FRAME, .frame = &frame};

    meet(f);
    m.has_certificate = true;
    frame.kind_case = ZTC__FRAME__KIND_RENEWED;
    frame.renewed = &m;
    to_county(f, (struct client_event){.kind = CLIENT_FRAME, .frame = &frame});
    assert_int_equal(f->county.cause, E_PROTOCOL);

    frame.kind_case = ZTC__FRAME__KIND_RENEW;
    frame.renew = &ask;
    ev.now = f->now;
    ev.arena = &f->arena;
    ev.codec = &f->codec;
    server_session_step(&f->city, &ev, &f->sup);
    assert_ptr_equal(f->sup.renew, &ask);
    server_session_step(&f->city, &ev, &f->sup);
    assert_null(f->sup.renew);
    assert_int_equal(f->city.cause, E_PROTOCOL);
}

/* The own disk is full: the session goes on, and tries again later. What does not verify ends it. */
static void test_renew__not_kept(void **state)
{
    struct fixture *f = *state;

    f->city_time = T0 + 70 * DAY;
    f->store_ret = E_FULL;
    meet(f);
    assert_int_equal(f->county.state, CLIENT_UP_TO_DATE);
    f->store_ret = 0;
    timer(f, 10000);
    assert_int_equal(f->stored, 0);
    for (int i = 0; i < 600 && f->stored == 0; i++)
        timer(f, 10000); /* pings keep both sides awake */
    assert_int_equal(f->stored, 1);
    assert_int_equal(f->county.state, CLIENT_UP_TO_DATE);
    f->store_ret = E_AUTH;
    f->facts.authorities[0] = 2;
    meet(f);
    assert_int_equal(f->county.cause, E_AUTH);
}

/* Every trouble of the own disk or memory can wait, and none of it ends a session that has other work. */
static void test_renew__own_trouble_waits(void **state)
{
    static const int own[] = {E_FULL, E_IO, E_READONLY, E_DENIED, E_NOMEM};
    struct fixture *f = *state;

    f->city_time = T0 + 70 * DAY;
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        f->store_ret = own[i];
        meet(f);
        assert_int_equal(f->county.state, CLIENT_UP_TO_DATE);
        assert_int_equal(f->requests, i + 1);
    }
    assert_int_equal(f->stored, 0);
    assert_true(f->county.cert.from == T0);
}

/* The same where the request cannot be made: nothing is asked for before it is tried again. */
static void test_renew__cannot_ask(void **state)
{
    struct fixture *f = *state;

    f->city_time = T0 + 70 * DAY;
    f->request_ret = E_NOMEM;
    meet(f);
    assert_int_equal(f->county.state, CLIENT_UP_TO_DATE);
    assert_int_equal(f->issued, 0);
    f->request_ret = 0;
    for (int i = 0; i < 600 && f->stored == 0; i++)
        timer(f, 10000);
    assert_int_equal(f->stored, 1);
}

/* Who came for a renewal only has nothing else to stay for: the trouble is what it leaves with. */
static void test_renew__only_and_not_kept(void **state)
{
    struct fixture *f = *state;

    f->facts.standing = SERVER_MAY_RENEW;
    f->store_ret = E_FULL;
    meet(f);
    assert_int_equal(f->county.state, CLIENT_CLOSING);
    assert_int_equal(f->county.cause, E_FULL);
    f->store_ret = 0;
    f->request_ret = E_NOMEM;
    meet(f);
    assert_int_equal(f->county.cause, E_NOMEM);
    assert_int_equal(f->stored, 0);
}

/* A retired computer: its queue is taken, nothing is told, and it leaves with ZT-REVOKED. */
static void test_renew__retired_hands_in(void **state)
{
    struct fixture *f = *state;

    f->facts.standing = SERVER_MAY_HAND_IN;
    f->facts.heads[1].seq = 12;
    f->city_time = T0 + 80 * DAY;
    f->facts.authorities[0] = 2;
    meet(f);
    assert_int_equal(f->county.cause, E_REVOKED);
    assert_int_equal(f->requests, 0);
    assert_false(f->sup.read.wanted);
    assert_int_equal(f->city.state, SERVER_CLOSING);
}

/* It may ask for a certificate as often as it likes: none is issued, and the session ends. */
static void test_renew__retired_gets_none(void **state)
{
    struct fixture *f = *state;
    Ztc__Renew ask = ZTC__RENEW__INIT;
    Ztc__Frame frame = ZTC__FRAME__INIT;

    frame.kind_case = ZTC__FRAME__KIND_RENEW;
    frame.renew = &ask;
    f->facts.standing = SERVER_MAY_HAND_IN;
    greet(f);
    assert_int_equal(f->city.state, SERVER_SERVING);
    to_city(f, (struct server_event){.kind = SERVER_FRAME, .frame = &frame});
    assert_int_equal(f->issued, 0);
    assert_int_equal(f->city.cause, E_REVOKED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_renew__##name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(at_sixty_days),      TEST(by_the_latest_city_time), TEST(in_an_open_session),
        TEST(when_the_ca_changes), TEST(only),                    TEST(only_refuses_the_rest),
        TEST(only_has_a_deadline), TEST(out_of_order),            TEST(not_kept),
        TEST(own_trouble_waits),   TEST(cannot_ask),              TEST(only_and_not_kept),
        TEST(retired_hands_in),   TEST(retired_gets_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
