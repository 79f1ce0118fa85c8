/* The TLS listener.
 *
 * Each connection in its handshake is a `struct pending` in a list, which owns the stream until it
 * opens; then the listener's owner adopts it. The list is short (LISTENER_UNFINISHED_MAX), so that
 * counting one address by walking it is cheap.
 *
 * A connection over the limits is still accepted, because libuv stops listening until the waiting
 * one is taken, and because only then its address is known. */
#include "common/net/uv_listener.h"

#include "common/base/log.h"
#include "common/base/mem.h"

#include <assert.h>
#include <string.h>

#define BACKLOG 512

struct pending {
    struct listener *listener;
    struct stream *stream;
    struct pending *next, *prev;
    char address[STREAM_ADDRESS_SIZE];
};

struct listener {
    struct net *net;
    struct tls_config *config; /* one reference */
    const struct listener_events *events;
    void *ctx;
    uv_tcp_t tcp;
    uint16_t port;
    struct pending *first;
    unsigned unfinished;
    bool closing;
    bool closed; /* the handle's close callback has run */
};

static void link_pending(struct listener *l, struct pending *p)
{
    p->listener = l;
    p->prev = NULL;
    p->next = l->first;
    if (l->first != NULL)
        l->first->prev = p;
    l->first = p;
    l->unfinished++;
}

static void unlink_pending(struct pending *p)
{
    struct listener *l = p->listener;

    if (p->prev != NULL)
        p->prev->next = p->next;
    else
        l->first = p->next;
    if (p->next != NULL)
        p->next->prev = p->prev;
    l->unfinished--;
}

static void free_when_done(struct listener *l)
{
    if (!l->closed || l->unfinished > 0)
        return;
    l->events->on_closed(l->ctx);
    tls_config_unref(l->config);
    mem_free(l);
}

static void pending_opened(void *ctx, const struct cert *peer)
{
    struct pending *p = ctx;
    struct listener *l = p->listener;
    struct stream *s = p->stream;

    if (l->closing) {
        stream_abort(s, 0); /* its end comes to pending_closed() */
        return;
    }
    unlink_pending(p);
    mem_free(p);
    l->events->on_stream(l->ctx, s, peer);
}

static void pending_data(void *ctx, struct slice data)
{
    (void)ctx;
    (void)data;
    assert(false && "a stream was not adopted in on_stream");
}

static void pending_closed(void *ctx, const struct err *why)
{
    struct pending *p = ctx;
    struct listener *l = p->listener;

    if (!l->closing && l->events->on_refused != NULL)
        l->events->on_refused(l->ctx, p->address, why);
    unlink_pending(p);
    mem_free(p);
    free_when_done(l);
}

static const struct stream_events pending_events = {
    .on_open = pending_opened,
    .on_data = pending_data,
    .on_close = pending_closed,
};

static unsigned count_address(const struct listener *l, const char *address)
{
    unsigned n = 0;

    for (const struct pending *p = l->first; p != NULL; p = p->next)
        n += strcmp(p->address, address) == 0;
    return n;
}

static void limit(struct listener *l, struct pending *p)
{
    if (l->unfinished > LISTENER_UNFINISHED_MAX ||
        count_address(l, p->address) > LISTENER_UNFINISHED_PER_ADDR)
        stream_abort(p->stream, E_BUSY);
}

static void on_connection(uv_stream_t *server, int status)
{
    struct listener *l = server->data;
    struct pending *p;
    struct err err = {0};

    if (status != 0) {
        log_warning("listener %u: accept: %s -> goes on", l->port, uv_strerror(status));
        return;
    }
    p = mem_calloc(1, sizeof *p);
    if (p == NULL) {
        stream_drop_waiting(l->net, server);
        return;
    }
    if (stream_accept(l->net, server, l->config, l->events->now(l->ctx), &pending_events, p,
                      &p->stream, &err) != 0) {
        log_warning("listener %u: accept: %s -> goes on", l->port, err.text);
        mem_free(p);
        return;
    }
    memcpy(p->address, stream_address(p->stream), sizeof p->address);
    link_pending(l, p);
    limit(l, p);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct listener *l = handle->data;

    l->closed = true;
    free_when_done(l);
}

/* A listener whose opening failed: nobody is told. */
static void on_failed_closed(uv_handle_t *handle)
{
    struct listener *l = handle->data;

    tls_config_unref(l->config);
    mem_free(l);
}

static int parse_address(const char *host, uint16_t port, struct sockaddr_storage *ret)
{
    if (uv_ip4_addr(host, port, (struct sockaddr_in *)ret) == 0)
        return 0;
    return uv_ip6_addr(host, port, (struct sockaddr_in6 *)ret);
}

static int start(struct listener *l, const struct sockaddr_storage *at)
{
    struct sockaddr_storage bound;
    int len = sizeof bound;
    int status = uv_tcp_bind(&l->tcp, (const struct sockaddr *)at, 0);

    if (status == 0)
        status = uv_listen((uv_stream_t *)&l->tcp, BACKLOG, on_connection);
    if (status == 0)
        status = uv_tcp_getsockname(&l->tcp, (struct sockaddr *)&bound, &len);
    if (status != 0)
        return status;
    /* The port stands at the same place for both families. */
    l->port = ntohs(((struct sockaddr_in *)&bound)->sin_port);
    return 0;
}

static int start_failed(struct err *err, int status, const char *host, uint16_t port)
{
    int ret = status == UV_EADDRINUSE ? E_EXISTS : status == UV_EACCES ? E_DENIED : E_IO;

    return err_set(err, ret, "不能在 %s 端口 %u 上等候连接：%s", host, port, uv_strerror(status));
}

int listener_open(struct net *n, const char *host, uint16_t port, struct tls_config *config,
                  const struct listener_events *events, void *ctx, struct listener **ret,
                  struct err *err)
{
    struct sockaddr_storage at = {0};
    struct listener *l;
    int status;

    net_assert_thread(n);
    if (parse_address(host, port, &at) != 0)
        return err_set(err, E_INVALID, "“%s”不是数字地址", host);
    l = mem_calloc(1, sizeof *l);
    if (l == NULL)
        return err_set(err, E_NOMEM, NULL);
    l->net = n;
    l->config = tls_config_ref(config);
    l->events = events;
    l->ctx = ctx;
    status = uv_tcp_init(net_loop(n), &l->tcp);
    assert(status == 0); /* without a socket it only fills in the handle */
    l->tcp.data = l;
    status = start(l, &at);
    if (status != 0) {
        uv_close((uv_handle_t *)&l->tcp, on_failed_closed);
        return start_failed(err, status, host, port);
    }
    *ret = l;
    return 0;
}

uint16_t listener_port(const struct listener *l)
{
    net_assert_thread(l->net);
    return l->port;
}

void listener_set_config(struct listener *l, struct tls_config *config)
{
    struct tls_config *old = l->config;

    net_assert_thread(l->net);
    l->config = tls_config_ref(config);
    tls_config_unref(old);
}

unsigned listener_unfinished(const struct listener *l)
{
    net_assert_thread(l->net);
    return l->unfinished;
}

void listener_close(struct listener *l)
{
    net_assert_thread(l->net);
    if (l->closing)
        return;
    l->closing = true;
    for (struct pending *p = l->first; p != NULL; p = p->next)
        stream_abort(p->stream, 0); /* unlinked later, from the loop */
    uv_close((uv_handle_t *)&l->tcp, on_handle_closed);
}
