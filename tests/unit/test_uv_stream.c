#include "common/base/mem.h"
#include "common/net/uv_listener.h"
#include "tests/lib/pki.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define MANY       (8u << 20)
#define TIMEOUT_MS 20000 /* of a whole test; reaching it is a failure */

struct fixture;

/* One side of a connection and what it does with what comes. */
struct peer {
    struct fixture *f;
    struct stream *stream;
    bool opened, closed;
    bool has_cert;
    struct err why;
    struct buf got;
    size_t to_send, sent; /* pattern bytes */
    size_t most_queued;
    unsigned drains;
    bool echo; /* write back what comes */
    bool slow; /* pause after each piece, resume by the timer */
    bool close_on_open, abort_on_data;
    size_t close_after; /* received bytes; 0: never */
    uv_timer_t timer;
};

struct fixture {
    uv_loop_t loop;
    struct net *net;
    struct pki pki, other;
    struct tls_config *server_config, *client_config, *other_client_config;
    struct listener *listener;
    bool listener_closed;
    struct peer server, client;
    unsigned accepted, refused;
    struct err refusal; /* the last one */
    uv_timer_t deadline;
    bool late;
    bool faults; /* memory runs out: a write may fail */
};

/* the peers' behaviour */

static uint8_t pattern(size_t i)
{
    return (uint8_t)(i * 7 + i / 251 + i / 65521);
}

static void note_queue(struct peer *p)
{
    size_t n = stream_queued(p->stream);

    if (n > p->most_queued)
        p->most_queued = n;
}

static bool write_all(struct peer *p, struct slice data)
{
    int ret = stream_write(p->stream, data);

    if (ret != 0 && p->f->faults)
        return false;
    assert_int_equal(ret, 0);
    note_queue(p);
    return true;
}

/* Send on until done or full. */
static void send_pattern(struct peer *p)
{
    uint8_t block[30000];

    while (p->sent < p->to_send && !stream_is_full(p->stream)) {
        size_t n = p->to_send - p->sent < sizeof block ? p->to_send - p->sent : sizeof block;

        for (size_t i = 0; i < n; i++)
            block[i] = pattern(p->sent + i);
        if (!write_all(p, (struct slice){block, n}))
            return;
        p->sent += n;
    }
}

static void peer_open(void *ctx, const struct cert *cert)
{
    struct peer *p = ctx;

    p->opened = true;
    p->has_cert = cert != NULL;
    if (p->close_on_open) {
        stream_close(p->stream);
        return;
    }
    send_pattern(p);
}

static void resume_later(uv_timer_t *timer)
{
    struct peer *p = timer->data;

    if (!p->closed)
        stream_resume(p->stream);
}

static void peer_data(void *ctx, struct slice data)
{
    struct peer *p = ctx;

    buf_put(&p->got, data.p, data.len);
    if (p->abort_on_data) {
        stream_abort(p->stream, 0);
        return;
    }
    if (p->echo) {
        if (write_all(p, data) && stream_is_full(p->stream))
            stream_pause(p->stream);
    }
    if (p->slow) {
        stream_pause(p->stream);
        uv_timer_start(&p->timer, resume_later, 1, 0);
    }
    if (p->close_after > 0 && p->got.len >= p->close_after)
        stream_close(p->stream);
}

static void peer_drain(void *ctx)
{
    struct peer *p = ctx;

    p->drains++;
    assert_false(stream_is_full(p->stream));
    assert_true(stream_queued(p->stream) <= STREAM_LOW);
    if (p->echo)
        stream_resume(p->stream);
    send_pattern(p);
}

static void peer_close(void *ctx, const struct err *why)
{
    struct peer *p = ctx;

    assert_false(p->closed);
    p->closed = true;
    p->why = *why;
}

static const struct stream_events peer_events = {peer_open, peer_data, peer_drain, peer_close};

static msec_t listener_now(void *ctx)
{
    (void)ctx;
    return PKI_NOW;
}

static void on_stream(void *ctx, struct stream *s, const struct cert *cert)
{
    struct fixture *f = ctx;

    f->accepted++;
    f->server.stream = s;
    stream_adopt(s, &peer_events, &f->server);
    peer_open(&f->server, cert);
}

static void on_refused(void *ctx, const char *address, const struct err *why)
{
    struct fixture *f = ctx;

    assert_string_equal(address, "127.0.0.1");
    f->refused++;
    f->refusal = *why;
}

static void on_listener_closed(void *ctx)
{
    struct fixture *f = ctx;

    f->listener_closed = true;
}

static const struct listener_events events = {listener_now, on_stream, on_refused,
                                              on_listener_closed};

/* fixture */

static struct tls_config *config_of(struct tls_params params)
{
    struct tls_config *config;

    assert_int_equal(tls_config_new(&params, &config, NULL), 0);
    return config;
}

static void init_peer(struct fixture *f, struct peer *p)
{
    p->f = f;
    buf_init(&p->got, 64u << 20);
    uv_timer_init(&f->loop, &p->timer);
    p->timer.data = p;
}

static void on_deadline(uv_timer_t *timer)
{
    struct fixture *f = timer->data;

    f->late = true;
}

static int setup(void **state)
{
    struct fixture *f = test_calloc(1, sizeof *f);

    pki_init(&f->pki, 1);
    pki_init(&f->other, 2);
    f->server_config = config_of(pki_server(&f->pki));
    f->client_config = config_of(pki_client(&f->pki));
    f->other_client_config = config_of(pki_client(&f->other));
    assert_int_equal(uv_loop_init(&f->loop), 0);
    assert_int_equal(net_new(&f->loop, &f->net), 0);
    init_peer(f, &f->server);
    init_peer(f, &f->client);
    uv_timer_init(&f->loop, &f->deadline);
    f->deadline.data = f;
    uv_timer_start(&f->deadline, on_deadline, TIMEOUT_MS, 0);
    assert_int_equal(listener_open(f->net, "127.0.0.1", 0, f->server_config, &events, f,
                                   &f->listener, NULL),
                     0);
    assert_true(listener_port(f->listener) > 0);
    *state = f;
    return 0;
}

/* Everything closes by itself; the loop ends empty. */
static int teardown(void **state)
{
    struct fixture *f = *state;

    if (f->client.stream != NULL && !f->client.closed)
        stream_close(f->client.stream);
    if (f->server.stream != NULL && !f->server.closed)
        stream_close(f->server.stream);
    listener_close(f->listener);
    uv_close((uv_handle_t *)&f->server.timer, NULL);
    uv_close((uv_handle_t *)&f->client.timer, NULL);
    uv_close((uv_handle_t *)&f->deadline, NULL);
    assert_int_equal(uv_run(&f->loop, UV_RUN_DEFAULT), 0);
    assert_true(f->listener_closed);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    net_free(f->net);
    tls_config_unref(f->server_config);
    tls_config_unref(f->client_config);
    tls_config_unref(f->other_client_config);
    pki_release(&f->pki);
    pki_release(&f->other);
    buf_release(&f->server.got);
    buf_release(&f->client.got);
    test_free(f);
    return 0;
}

/* helpers */

static void dial_to(struct fixture *f, struct tls_config *config, const char *host, uint16_t port,
                    msec_t timeout)
{
    assert_int_equal(stream_connect(f->net, config, host, port, PKI_NOW, timeout, &peer_events,
                                    &f->client, &f->client.stream, NULL),
                     0);
}

static void dial(struct fixture *f)
{
    dial_to(f, f->client_config, "127.0.0.1", listener_port(f->listener), 5000);
}

#define RUN_UNTIL(f, condition)                                                                    \
    do {                                                                                           \
        while (!(condition) && !(f)->late)                                                         \
            uv_run(&(f)->loop, UV_RUN_ONCE);                                                       \
        assert_true(condition);                                                                    \
    } while (0)

static void run_until_open(struct fixture *f)
{
    dial(f);
    RUN_UNTIL(f, f->client.opened && f->server.opened);
}

static void run_until_closed(struct fixture *f)
{
    RUN_UNTIL(f, f->client.closed && f->server.closed);
}

static void expect_pattern(const struct buf *got, size_t len)
{
    assert_int_equal(got->len, len);
    for (size_t i = 0; i < len; i++)
        if (got->p[i] != pattern(i))
            fail_msg("byte %zu differs", i);
}

/* A connection that says nothing by itself. */
static int raw_connect(uint16_t port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

/* A bound port where nobody listens (refuses), or listens without ever accepting (silent). */
static int mute_port(bool listening, uint16_t *ret_port)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    if (listening)
        assert_int_equal(listen(fd, 4), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    *ret_port = ntohs(a.sin_port);
    return fd;
}

/* tests */

/* 8 MiB there and back past a slow reader: all arrive in order, and little is queued on the way. */
static void test_uv_stream__echo_with_slow_reader(void **state)
{
    struct fixture *f = *state;

    f->client.to_send = MANY;
    f->client.slow = true;
    f->client.close_after = MANY;
    f->server.echo = true;
    dial(f);
    run_until_closed(f);
    expect_pattern(&f->client.got, MANY);
    assert_int_equal(f->client.why.ret, 0);
    assert_int_equal(f->server.why.ret, E_CLOSED);
    assert_true(f->client.has_cert && f->server.has_cert);
    assert_true(f->client.most_queued < STREAM_HIGH + (128u << 10));
    assert_true(f->server.most_queued < STREAM_HIGH + (256u << 10));
    assert_true(f->client.drains > 0);
}

/* Both push 8 MiB at the same time: neither waits for the other for ever. */
static void test_uv_stream__both_push(void **state)
{
    struct fixture *f = *state;

    f->client.to_send = f->server.to_send = MANY;
    f->client.slow = true;
    dial(f);
    RUN_UNTIL(f, f->client.got.len == MANY && f->server.got.len == MANY);
    expect_pattern(&f->client.got, MANY);
    expect_pattern(&f->server.got, MANY);
}

/* What is written before a close arrives, and the close is in order for the other side. */
static void test_uv_stream__last_words(void **state)
{
    struct fixture *f = *state;

    run_until_open(f);
    f->client.to_send = 600000;
    send_pattern(&f->client);
    stream_close(f->client.stream);
    assert_int_equal(stream_write(f->client.stream, slice_str("x")), E_CLOSED);
    run_until_closed(f);
    expect_pattern(&f->server.got, 600000);
    assert_int_equal(f->server.why.ret, E_CLOSED);
    assert_int_equal(f->client.why.ret, 0);
}

/* Both close at once. */
static void test_uv_stream__both_close(void **state)
{
    struct fixture *f = *state;

    run_until_open(f);
    stream_close(f->client.stream);
    stream_close(f->server.stream);
    stream_close(f->server.stream);
    run_until_closed(f);
    assert_int_equal(f->client.why.ret, 0);
    assert_int_equal(f->server.why.ret, 0);
}

/* A side that just goes away is noticed as such. */
static void test_uv_stream__abrupt_end(void **state)
{
    struct fixture *f = *state;

    run_until_open(f);
    stream_abort(f->client.stream, E_TIMEOUT);
    run_until_closed(f);
    assert_int_equal(f->client.why.ret, E_TIMEOUT);
    assert_int_equal(f->server.why.ret, E_IO);
}

/* Closing in on_open, and aborting in on_data, are safe. */
static void test_uv_stream__close_in_callbacks(void **state)
{
    struct fixture *f = *state;

    f->client.to_send = 200000;
    f->server.abort_on_data = true;
    dial(f);
    run_until_closed(f);
    assert_int_equal(f->server.why.ret, 0);
    assert_int_equal(f->client.why.ret, E_IO);
}

static void test_uv_stream__close_in_on_open(void **state)
{
    struct fixture *f = *state;

    f->server.close_on_open = true;
    dial(f);
    run_until_closed(f);
    assert_int_equal(f->server.why.ret, 0);
    assert_int_equal(f->client.why.ret, E_CLOSED);
}

/* Data that was decrypted or kept before a pause comes after the resume without the network's help. */
static void test_uv_stream__resume_needs_no_event(void **state)
{
    struct fixture *f = *state;

    run_until_open(f);
    stream_pause(f->server.stream);
    f->client.to_send = 300000;
    send_pattern(&f->client);
    for (int i = 0; i < 20; i++)
        uv_run(&f->loop, UV_RUN_NOWAIT);
    assert_int_equal(f->server.got.len, 0);
    f->server.slow = true;
    stream_resume(f->server.stream);
    RUN_UNTIL(f, f->server.got.len == 300000);
    expect_pattern(&f->server.got, 300000);
}

/* An owner that ignores the marks loses the stream, not the process's memory. */
static void test_uv_stream__writes_are_bounded(void **state)
{
    struct fixture *f = *state;
    static const uint8_t block[1u << 20];
    int ret = 0;

    run_until_open(f);
    stream_pause(f->server.stream);
    for (int i = 0; i < 64 && ret == 0; i++)
        ret = stream_write(f->client.stream, (struct slice){block, sizeof block});
    assert_int_equal(ret, E_TOOBIG);
    stream_resume(f->server.stream);
    run_until_closed(f);
    assert_int_equal(f->client.why.ret, E_TOOBIG);
    assert_int_equal(f->server.why.ret, E_IO);
}

/* A stranger that connects and is silent, or sends half a handshake, is cut off in time. */
static void test_uv_stream__handshake_timeout(void **state)
{
    struct fixture *f = *state;
    int silent, half;

    net_set_handshake_timeout(f->net, 50);
    silent = raw_connect(listener_port(f->listener));
    half = raw_connect(listener_port(f->listener));
    assert_int_equal(write(half, "\x16\x03\x01\x02\x00", 5), 5);
    RUN_UNTIL(f, f->refused == 2);
    assert_int_equal(f->refusal.ret, E_TIMEOUT);
    assert_int_equal(listener_unfinished(f->listener), 0);
    close(silent);
    close(half);
}

/* Bytes that are not TLS are refused at once. */
static void test_uv_stream__not_tls(void **state)
{
    struct fixture *f = *state;
    int fd = raw_connect(listener_port(f->listener));

    assert_int_equal(write(fd, "GET / HTTP/1.1\r\n\r\n", 18), 18);
    shutdown(fd, SHUT_WR);
    RUN_UNTIL(f, f->refused == 1);
    assert_int_equal(f->refusal.ret, E_TLS);
    close(fd);
}

/* One address does not get more than its share of unfinished handshakes. */
static void test_uv_stream__unfinished_are_limited(void **state)
{
    struct fixture *f = *state;
    int fds[LISTENER_UNFINISHED_PER_ADDR + 8];

    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
        fds[i] = raw_connect(listener_port(f->listener));
    RUN_UNTIL(f, f->refused == 8);
    assert_int_equal(f->refusal.ret, E_BUSY);
    assert_int_equal(listener_unfinished(f->listener), LISTENER_UNFINISHED_PER_ADDR);
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
        close(fds[i]);
    RUN_UNTIL(f, listener_unfinished(f->listener) == 0);
    run_until_open(f);
}

/* Nobody listens there. */
static void test_uv_stream__connection_refused(void **state)
{
    struct fixture *f = *state;
    uint16_t port;
    int fd = mute_port(false, &port);

    dial_to(f, f->client_config, "127.0.0.1", port, 5000);
    RUN_UNTIL(f, f->client.closed);
    assert_int_equal(f->client.why.ret, E_UNREACHABLE);
    assert_false(f->client.opened);
    close(fd);
}

/* A server that never answers. */
static void test_uv_stream__connect_deadline(void **state)
{
    struct fixture *f = *state;
    uint16_t port;
    int fd = mute_port(true, &port);

    dial_to(f, f->client_config, "127.0.0.1", port, 60);
    RUN_UNTIL(f, f->client.closed);
    assert_int_equal(f->client.why.ret, E_TIMEOUT);
    close(fd);
}

/* A name is looked up, and every address of it is tried. */
static void test_uv_stream__name_lookup(void **state)
{
    struct fixture *f = *state;

    dial_to(f, f->client_config, "localhost", listener_port(f->listener), 5000);
    RUN_UNTIL(f, f->client.opened && f->server.opened);
    assert_string_equal(stream_address(f->client.stream), "127.0.0.1");
    assert_string_equal(stream_address(f->server.stream), "127.0.0.1");
}

/* Closing while the lookup or the connect is under way. */
static void test_uv_stream__close_while_connecting(void **state)
{
    struct fixture *f = *state;

    dial(f);
    stream_close(f->client.stream);
    assert_false(f->client.closed); /* never from inside */
    RUN_UNTIL(f, f->client.closed);
    assert_int_equal(f->client.why.ret, 0);
}

/* A replica of another city is refused, and both sides know why. */
static void test_uv_stream__wrong_ca(void **state)
{
    struct fixture *f = *state;

    dial_to(f, f->other_client_config, "127.0.0.1", listener_port(f->listener), 5000);
    RUN_UNTIL(f, f->client.closed && f->refused == 1);
    assert_int_equal(f->client.why.ret, E_AUTH);
    assert_int_equal(f->refusal.ret, E_AUTH);
    assert_int_equal(f->accepted, 0);
}

/* A new certificate serves new connections; the open one goes on with the old. */
static void test_uv_stream__config_is_swapped(void **state)
{
    struct fixture *f = *state;
    struct tls_config *fresh = config_of(pki_server(&f->other));
    struct peer first;

    run_until_open(f);
    listener_set_config(f->listener, fresh);
    tls_config_unref(fresh);
    f->client.to_send = 1000;
    send_pattern(&f->client);
    RUN_UNTIL(f, f->server.got.len == 1000);
    stream_close(f->client.stream);
    run_until_closed(f);
    first = f->client;
    assert_int_equal(first.why.ret, 0);
    f->client.closed = f->server.closed = f->client.opened = f->server.opened = false;
    f->client.to_send = 0;
    dial_to(f, f->other_client_config, "127.0.0.1", listener_port(f->listener), 5000);
    RUN_UNTIL(f, f->client.opened && f->server.opened);
}

/* The listener closes over unfinished handshakes; an open stream stays. */
static void test_uv_stream__listener_close(void **state)
{
    struct fixture *f = *state;
    int fd;

    run_until_open(f);
    fd = raw_connect(listener_port(f->listener));
    RUN_UNTIL(f, listener_unfinished(f->listener) == 1);
    listener_close(f->listener);
    RUN_UNTIL(f, f->listener_closed);
    f->client.to_send = 1000;
    send_pattern(&f->client);
    RUN_UNTIL(f, f->server.got.len == 1000);
    stream_close(f->client.stream);
    run_until_closed(f);
    close(fd);
    f->listener_closed = false;
    assert_int_equal(listener_open(f->net, "127.0.0.1", 0, f->server_config, &events, f,
                                   &f->listener, NULL),
                     0);
}

static void reset(struct peer *p)
{
    p->opened = p->closed = false;
    p->stream = NULL;
    p->sent = p->got.len = 0;
}

/* Whichever allocation fails, the streams end with a reason, and the next connection works. */
static void test_uv_stream__memory_runs_out(void **state)
{
    struct fixture *f = *state;
    unsigned k = 1;
    bool hit = true;

    f->faults = true;
    f->client.to_send = f->client.close_after = 5000;
    f->server.echo = true;
    for (; hit && k < 200; k++) {
        reset(&f->client);
        reset(&f->server);
        (void)buf_grow(&f->client.got, 8000); /* the test's own memory is not at stake */
        (void)buf_grow(&f->server.got, 8000);
        f->client.got.len = f->server.got.len = 0;
        mem_fault_set(k);
        if (stream_connect(f->net, f->client_config, "127.0.0.1", listener_port(f->listener),
                           PKI_NOW, 5000, &peer_events, &f->client, &f->client.stream, NULL) != 0)
            f->client.closed = true;
        RUN_UNTIL(f, f->client.closed && (f->server.stream == NULL || f->server.closed) &&
                         listener_unfinished(f->listener) == 0);
        hit = mem_fault_hits() > 0;
        mem_fault_set(0);
        if (!hit)
            expect_pattern(&f->client.got, 5000);
    }
    assert_true(k > 10 && k < 200);
}

/* An address in use, and one that is none. */
static void test_uv_stream__listener_errors(void **state)
{
    struct fixture *f = *state;
    struct listener *l;
    struct err err = {0};

    assert_int_equal(listener_open(f->net, "127.0.0.1", listener_port(f->listener),
                                   f->server_config, &events, f, &l, &err),
                     E_EXISTS);
    assert_true(err.text[0] != '\0');
    assert_int_equal(listener_open(f->net, "localhost", 0, f->server_config, &events, f, &l, &err),
                     E_INVALID);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(test_uv_stream__##name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(echo_with_slow_reader),
        T(both_push),
        T(last_words),
        T(both_close),
        T(abrupt_end),
        T(close_in_callbacks),
        T(close_in_on_open),
        T(resume_needs_no_event),
        T(writes_are_bounded),
        T(handshake_timeout),
        T(not_tls),
        T(unfinished_are_limited),
        T(connection_refused),
        T(connect_deadline),
        T(name_lookup),
        T(close_while_connecting),
        T(wrong_ca),
        T(config_is_swapped),
        T(listener_close),
        T(memory_runs_out),
        T(listener_errors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
