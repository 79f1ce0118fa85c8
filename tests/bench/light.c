#include "tests/bench/light.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CONNECT_WITHIN 30000
#define FRAME_ARENA    (64u << 20)
#define PING_MS        10000
#define RECORD_MAX     16384
#define RECORD_EXTRA   22

void light_fail(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)vfprintf(stderr, fmt, ap);
    va_end(ap);
    (void)fputc('\n', stderr);
    exit(1);
}

static msec_t wall_clock(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_REALTIME, &t); /* cannot fail for this clock */
    return (msec_t)t.tv_sec * 1000 + (msec_t)t.tv_nsec / 1000000;
}

void light_address(const char *text, char host[64], uint16_t *ret_port)
{
    const char *colon = strrchr(text, ':');

    if (colon == NULL || colon - text >= 64)
        light_fail("not host:port: %s", text);
    memcpy(host, text, (size_t)(colon - text));
    host[colon - text] = '\0';
    *ret_port = (uint16_t)strtoul(colon + 1, NULL, 10);
}

void light_net_init(struct light_net *n, uv_loop_t *loop, struct crew *crew, const char *host,
                    uint16_t port)
{
    struct err err = {.ret = 0};

    memset(n, 0, sizeof *n);
    n->loop = loop;
    n->crew = crew;
    n->host = host;
    n->port = port;
    body_codec_init(&n->codec);
    arena_init(&n->arena, FRAME_ARENA);
    buf_init(&n->out, 2 * FRAME_MAX);
    if (net_new(loop, &n->net) != 0 || pubkey_load(crew->log_key, &n->log_key, &err) != 0)
        light_fail("net: %s", err.text);
}

void light_net_release(struct light_net *n)
{
    net_free(n->net);
    pubkey_free(n->log_key);
    body_codec_release(&n->codec);
    arena_release(&n->arena);
    buf_release(&n->out);
}

/* With what TLS 1.3 adds to each record. */
static uint64_t on_wire(size_t len)
{
    return len + (len / RECORD_MAX + 1) * RECORD_EXTRA;
}

void light_send(struct light *l, struct slice frame)
{
    int ret;

    l->net->bytes_out += on_wire(frame.len);
    ret = stream_write(l->stream, frame);
    if (ret != 0)
        light_fail("cannot write to the city: %s", err_code(ret));
}

static void send_out(struct light *l)
{
    light_send(l, buf_slice(&l->net->out));
    buf_clear(&l->net->out);
}

static void send_hello(struct light *l)
{
    Ztc__Hello m = ZTC__HELLO__INIT;
    uint8_t chain[HASH_SIZE];

    own_chain_start(l->author->hasher, &l->author->replica, chain);
    m.protocol_min = PROTOCOL_MIN;
    m.protocol_max = PROTOCOL_MAX;
    m.software = wire_data(slice_str("bench"));
    m.catalogue = CATALOGUE_VERSION;
    m.replica = wire_data((struct slice){l->author->replica.b, ID_SIZE});
    m.own_chain = wire_data((struct slice){chain, sizeof chain});
    m.wall_clock = wall_clock();
    frame_put_hello(&l->net->out, &m);
    send_out(l);
}

static void on_ping(uv_timer_t *timer)
{
    struct light *l = timer->data;
    Ztc__Ping m = ZTC__PING__INIT;

    m.clock = wall_clock();
    frame_put_ping(&l->net->out, &m);
    send_out(l);
}

static void on_open(void *ctx, const struct cert *peer)
{
    (void)peer;
    send_hello(ctx);
}

/* ---- frames of the city ---- */

static void welcome(struct light *l, const Ztc__Welcome *m)
{
    if (m->identity != ZTC__WELCOME__IDENTITY__SAME || m->accepted_n != 0)
        light_fail("the city knows this replica otherwise");
    l->window = m->push_window;
    l->served = true;
    l->net->served++;
    (void)uv_timer_start(&l->ping, on_ping, PING_MS, PING_MS); /* cannot fail with a callback */
    if (l->net->on_served != NULL)
        l->net->on_served(l->net);
}

static void verify_head(struct light *l, const Ztc__Entries *m)
{
    struct verifier v = pubkey_verifier(l->net->log_key);
    struct buf message;
    struct head h;

    if (head_decode(wire_slice(m->head->head), &h) != 0 || h.stream != m->stream ||
        h.seq + 1 < m->first_seq + m->count)
        light_fail("a head that does not fit its entries");
    buf_init(&message, 512);
    head_to_sign(&message, &h);
    if (v.verify(v.ctx, buf_slice(&message), wire_slice(m->head->signature)) != 0)
        light_fail("a head with a bad signature");
    buf_release(&message);
}

static void entries(struct light *l, const Ztc__Entries *m)
{
    uint64_t acked = l->acked_n;
    Ztc__EntriesBody *body;

    verify_head(l, m);
    if (body_open_entries(&l->net->codec, wire_slice(m->body), m->size, m->count, &l->net->arena,
                          &body) != 0)
        light_fail("entries that do not open");
    for (size_t i = 0; i < body->n_entries; i++) {
        if (m->stream == l->author->site && m->first_seq + i != l->own_seq + 1)
            light_fail("a hole in the stream");
        if (m->stream == l->author->site)
            l->own_seq++;
        if (body->entries[i]->has_echo_n)
            l->acked_n = body->entries[i]->echo_n;
        else if (l->net->on_entry != NULL)
            l->net->on_entry(l->net, m->stream, m->first_seq + i);
    }
    if (l->acked_n != acked && l->net->on_echo != NULL)
        l->net->on_echo(l->net);
}

static void on_frame(struct light *l, const Ztc__Frame *f)
{
    switch (f->kind_case) {
    case ZTC__FRAME__KIND_WELCOME:
        welcome(l, f->welcome);
        break;
    case ZTC__FRAME__KIND_ENTRIES:
        entries(l, f->entries);
        break;
    case ZTC__FRAME__KIND_REFUSED:
        light_fail("refused: %.*s", (int)f->refused->text.len, (const char *)f->refused->text.data);
    case ZTC__FRAME__KIND_BYE:
        light_fail("the city says bye");
    default:
        break; /* Ping */
    }
}

static void on_data(void *ctx, struct slice data)
{
    struct light *l = ctx;

    l->net->bytes_in += on_wire(data.len);
    while (data.len > 0) {
        Ztc__Frame *frame;
        size_t n;

        arena_clear(&l->net->arena);
        if (frame_feed(&l->frames, data, &l->net->arena, &n, &frame) != 0)
            light_fail("a frame that does not read");
        data = (struct slice){data.p + n, data.len - n};
        if (frame != NULL)
            on_frame(l, frame);
    }
}

static void on_drain(void *ctx)
{
    (void)ctx;
}

static void on_close(void *ctx, const struct err *why)
{
    struct light *l = ctx;

    if (why->ret != 0)
        light_fail("connection lost: %s %s", err_code(why->ret), why->text);
    frame_reader_release(&l->frames);
    uv_close((uv_handle_t *)&l->ping, NULL);
    tls_config_unref(l->tls);
}

static const struct stream_events events = {
    .on_open = on_open, .on_data = on_data, .on_drain = on_drain, .on_close = on_close};

void light_open(struct light *l, struct light_net *n, size_t at)
{
    struct crew_member *member = &n->crew->members[at];
    struct tls_params p = {.role = TLS_CLIENT,
                           .alpn = TLS_ALPN_SYNC,
                           .key = n->crew->key,
                           .ca = n->crew->ca,
                           .ledger = &n->crew->ledger};
    struct err err = {.ret = 0};
    struct cert *own = NULL;

    memset(l, 0, sizeof *l);
    l->net = n;
    l->author = &member->author;
    frame_reader_init(&l->frames, FRAME_MAX);
    (void)uv_timer_init(n->loop, &l->ping); /* cannot fail */
    l->ping.data = l;
    if (cert_from_der(member->cert, &own, &err) != 0)
        light_fail("certificate: %s", err.text);
    p.own = own;
    if (tls_config_new(&p, &l->tls, &err) != 0 ||
        stream_connect(n->net, l->tls, n->host, n->port, wall_clock(), CONNECT_WITHIN, &events, l,
                       &l->stream, &err) != 0)
        light_fail("connect: %s", err.text);
    cert_free(own);
}

void light_close(struct light *l)
{
    (void)uv_timer_stop(&l->ping); /* cannot fail */
    stream_close(l->stream);
}

void light_frame(struct light_net *n, uint64_t first_n, uint32_t count, struct slice plain,
                 struct buf *out)
{
    Ztc__Push m = ZTC__PUSH__INIT;
    struct buf body;

    buf_init(&body, 2u * WIRE_BODY_MAX);
    if (body_compress(&n->codec, plain, &body) != 0)
        light_fail("a push that does not compress");
    m.first_n = first_n;
    m.count = count;
    m.size = (uint32_t)plain.len;
    m.body = wire_data(buf_slice(&body));
    frame_put_push(out, &m);
    buf_release(&body);
}
