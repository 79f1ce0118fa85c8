#include "tests/bench/rtt.h"

#include "common/net/uv_listener.h"
#include "tests/bench/gauge.h"
#include "tests/lib/pki.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MESSAGE  100u
#define PAUSE_MS 20 /* between trips: as what is measured beside them, each begins on a machine at rest */

static void fail(const char *what)
{
    (void)fprintf(stderr, "rtt: %s\n", what);
    exit(1);
}

/* ---- the other process: echoes until it is killed ---- */

static struct stream *echoing;

static void on_echo_data(void *ctx, struct slice data)
{
    (void)ctx;
    (void)stream_write(echoing, data); /* a failure ends the measuring */
}

static void on_nothing(void *ctx)
{
    (void)ctx;
}

static void on_echo_close(void *ctx, const struct err *why)
{
    (void)ctx;
    (void)why;
}

static const struct stream_events echo_events = {
    .on_data = on_echo_data, .on_drain = on_nothing, .on_close = on_echo_close};

static void on_stream(void *ctx, struct stream *s, const struct cert *peer)
{
    (void)ctx;
    (void)peer;
    echoing = s;
    stream_adopt(s, &echo_events, NULL);
}

static msec_t now(void *ctx)
{
    (void)ctx;
    return PKI_NOW;
}

static const struct listener_events listener_events = {
    .now = now, .on_stream = on_stream, .on_closed = on_nothing};

static void serve(const struct pki *pki, int port_pipe)
{
    struct tls_params params = pki_server(pki);
    struct err err = {.ret = 0};
    struct tls_config *config;
    struct listener *listener;
    struct net *net;
    uv_loop_t loop;
    uint16_t port;

    if (uv_loop_init(&loop) != 0 || net_new(&loop, &net) != 0 ||
        tls_config_new(&params, &config, &err) != 0 ||
        listener_open(net, "127.0.0.1", 0, config, &listener_events, NULL, &listener, &err) != 0)
        _exit(1);
    port = listener_port(listener);
    if (write(port_pipe, &port, sizeof port) != sizeof port)
        _exit(1);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    _exit(0);
}

/* ---- this one ---- */

struct pinging {
    struct stream *stream;
    uv_timer_t pause;
    double *seconds;
    unsigned n, done;
    size_t got;
    double sent_at;
};

static void send_one(struct pinging *p)
{
    static const uint8_t message[MESSAGE];

    p->sent_at = gauge_now();
    p->got = 0;
    if (stream_write(p->stream, (struct slice){message, MESSAGE}) != 0)
        fail("write");
}

static void on_pause(uv_timer_t *t)
{
    send_one(t->data);
}

static void rest(struct pinging *p)
{
    (void)uv_timer_start(&p->pause, on_pause, PAUSE_MS, 0); /* fails without a callback only */
}

static void on_open(void *ctx, const struct cert *peer)
{
    (void)peer;
    rest(ctx);
}

static void on_data(void *ctx, struct slice data)
{
    struct pinging *p = ctx;

    p->got += data.len;
    if (p->got < MESSAGE)
        return;
    p->seconds[p->done++] = gauge_now() - p->sent_at;
    if (p->done < p->n) {
        rest(p);
        return;
    }
    uv_close((uv_handle_t *)&p->pause, NULL);
    stream_close(p->stream);
}

static void on_close(void *ctx, const struct err *why)
{
    (void)ctx;
    if (why->ret != 0)
        fail(why->text);
}

static void ping(const struct pki *pki, uint16_t port, struct pinging *p)
{
    static const struct stream_events events = {
        .on_open = on_open, .on_data = on_data, .on_drain = on_nothing, .on_close = on_close};
    struct tls_params params = pki_client(pki);
    struct err err = {.ret = 0};
    struct tls_config *config = NULL;
    struct net *net = NULL;
    uv_loop_t loop;

    p->pause.data = p;
    if (uv_loop_init(&loop) != 0 || net_new(&loop, &net) != 0 ||
        tls_config_new(&params, &config, &err) != 0 ||
        uv_timer_init(&loop, &p->pause) != 0 ||
        stream_connect(net, config, "127.0.0.1", port, PKI_NOW, 10000, &events, p, &p->stream,
                       &err) != 0)
        fail(err.text);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    tls_config_unref(config);
    net_free(net);
    (void)uv_loop_close(&loop); /* empty: the run has ended */
}

void rtt_measure(double *ret_seconds, unsigned n)
{
    struct pinging p = {.seconds = ret_seconds, .n = n};
    struct pki pki;
    uint16_t port = 0;
    int ends[2];
    pid_t child;

    pki_init(&pki, 1);
    if (pipe(ends) != 0)
        fail("pipe");
    child = fork();
    if (child == 0)
        serve(&pki, ends[1]);
    if (child < 0 || read(ends[0], &port, sizeof port) != sizeof port)
        fail("no echo");
    ping(&pki, port, &p);
    (void)kill(child, SIGKILL); /* it has nothing to save */
    (void)waitpid(child, NULL, 0);
    (void)close(ends[0]);
    (void)close(ends[1]);
    pki_release(&pki);
}
