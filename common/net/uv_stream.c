/* TLS streams on libuv.
 *
 * In:  a read callback hands the loop's one read buffer to the filter, which decrypts into the
 *      loop's one plain-text buffer, until it needs more or the owner pauses. What is left then is
 *      parked inside the filter; a timer of 0 ms takes it up after stream_resume(). It does so from
 *      the loop, because the plain-text buffer may be in use by the stream whose owner resumes.
 * Out: each entry from the loop or the owner ends in settle(), which gives the filter's output to
 *      the socket: at once as far as the system takes it, the rest as one write request.
 * End: destroy() closes both handles; the last close callback tells the owner and frees.
 *
 * STREAM_CHOKE lies well above STREAM_HIGH on purpose. If two owners stop writing at the high mark
 * and their streams stopped reading there as well, two sides that push at each other would both wait
 * for the other to read. Above the high mark an owner only answers, and answers are small. */
#include "common/net/uv_stream.h"

#include "common/base/mem.h"

#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define READ_SIZE   65536
#define PLAIN_SIZE  65536
#define KEEPALIVE_S 60

struct net {
    uv_loop_t *loop;
    uv_thread_t thread;
    msec_t handshake_timeout;
    uint8_t read[READ_SIZE];
    uint8_t plain[PLAIN_SIZE];
};

enum state { CONNECTING, HANDSHAKE, OPEN, CLOSING, CLOSED };

/* Needed until connected only. */
struct dial {
    struct stream *stream;
    uv_getaddrinfo_t lookup;
    uv_connect_t connect;
    struct addrinfo *found; /* owned */
    struct addrinfo *next;  /* the address to try next */
};

struct stream {
    struct net *net;
    const struct stream_events *events; /* NULL: nobody is told */
    void *ctx;
    enum state state;
    struct tls *tls;
    struct dial *dial;
    uv_tcp_t tcp;
    uv_timer_t
        timer; /* deadline of CONNECTING to HANDSHAKE, take-up in OPEN, deadline of CLOSING */
    uv_shutdown_t shutdown;
    unsigned pending; /* handles and lookups whose callback is still to come once CLOSED */
    bool busy;        /* inside pump(): settle() is left to it */
    bool reading;
    bool paused;   /* by the owner */
    bool full;     /* STREAM_HIGH was reached, on_drain is owed */
    bool choked;   /* STREAM_CHOKE was reached */
    bool eof;      /* the peer sent FIN */
    bool shut;     /* our FIN is on its way */
    bool finished; /* ... and was sent */
    char address[STREAM_ADDRESS_SIZE];
    struct err why;
};

struct write {
    uv_write_t req;
    struct buf buf; /* owned */
};

static void settle(struct stream *s);
static void destroy(struct stream *s);
static void start_timer(struct stream *s, uint64_t timeout);
static void try_next_address(struct stream *s);

static int from_uv(int status)
{
    switch (status) {
    case UV_ENOMEM:
        return E_NOMEM;
    case UV_EMFILE:
    case UV_ENFILE:
        return E_BUSY;
    case UV_ETIMEDOUT:
    case UV_ECONNREFUSED:
    case UV_EHOSTUNREACH:
    case UV_ENETUNREACH:
    case UV_ENETDOWN:
    case UV_EADDRNOTAVAIL:
    case UV_EAI_AGAIN:
    case UV_EAI_FAIL:
    case UV_EAI_NODATA:
    case UV_EAI_NONAME:
        return E_UNREACHABLE;
    default:
        return E_IO;
    }
}

static int uv_failed(struct err *err, int status, const char *what)
{
    return err_set(err, from_uv(status), "%s：%s", what, uv_strerror(status));
}

/* Output */

static size_t unsent(const struct stream *s)
{
    return tls_output_len(s->tls) + uv_stream_get_write_queue_size((const uv_stream_t *)&s->tcp);
}

static void note_output(struct stream *s)
{
    size_t n = unsent(s);

    if (n >= STREAM_HIGH)
        s->full = true;
    if (n >= STREAM_CHOKE)
        s->choked = true;
}

static void network_failed(struct stream *s, int status)
{
    if (s->state == CLOSED)
        return;
    if (s->state != CLOSING)
        (void)uv_failed(&s->why, status, "连接中断");
    destroy(s);
}

/* Let the owner and the input go on once little is left to send. */
static void drained(struct stream *s)
{
    if (s->state != OPEN || unsent(s) > STREAM_LOW)
        return;
    if (s->choked) {
        s->choked = false;
        start_timer(s, 0); /* parked input makes no event */
    }
    if (!s->full)
        return;
    s->full = false;
    if (s->events->on_drain != NULL)
        s->events->on_drain(s->ctx);
}

static void on_written(uv_write_t *req, int status)
{
    struct write *w = (struct write *)req;
    struct stream *s = req->handle->data;

    buf_release(&w->buf);
    mem_free(w);
    if (s->state == CLOSED)
        return;
    if (status != 0) {
        network_failed(s, status);
        return;
    }
    drained(s);
    settle(s);
}

/* Queue what follows the first SENT bytes. Takes OUT. */
static int queue_write(struct stream *s, struct buf *out, size_t sent)
{
    struct write *w = mem_alloc(sizeof *w);
    uv_buf_t piece = uv_buf_init((char *)out->p + sent, (unsigned)(out->len - sent));
    int status;

    if (w == NULL) {
        buf_release(out);
        return UV_ENOMEM;
    }
    w->buf = *out;
    status = uv_write(&w->req, (uv_stream_t *)&s->tcp, &piece, 1, on_written);
    if (status != 0) {
        buf_release(&w->buf);
        mem_free(w);
    }
    return status;
}

/* How much the system takes now: 0 while something is queued before it. Or a libuv error. */
static int write_now(struct stream *s, const struct buf *out)
{
    uv_buf_t piece = uv_buf_init((char *)out->p, (unsigned)out->len);
    int n;

    if (uv_stream_get_write_queue_size((const uv_stream_t *)&s->tcp) > 0)
        return 0;
    n = uv_try_write((uv_stream_t *)&s->tcp, &piece, 1);
    return n == UV_EAGAIN ? 0 : n;
}

static int flush(struct stream *s)
{
    struct buf out;
    int sent;

    if (tls_output_len(s->tls) == 0)
        return 0;
    tls_take_output(s->tls, &out);
    sent = write_now(s, &out);
    if (sent >= 0 && (size_t)sent < out.len)
        return queue_write(s, &out, (size_t)sent);
    buf_release(&out);
    return sent < 0 ? sent : 0;
}

/* Closing */

static void free_dial(struct stream *s)
{
    if (s->dial == NULL)
        return;
    uv_freeaddrinfo(s->dial->found);
    mem_free(s->dial);
    s->dial = NULL;
}

/* One of the callbacks that CLOSED waits for. */
static void one_gone(struct stream *s)
{
    assert(s->state == CLOSED && s->pending > 0);
    if (--s->pending > 0)
        return;
    if (s->events != NULL)
        s->events->on_close(s->ctx, &s->why);
    free_dial(s);
    tls_free(s->tls);
    mem_free(s);
}

static void on_handle_closed(uv_handle_t *handle)
{
    one_gone(handle->data);
}

static void destroy(struct stream *s)
{
    if (s->state == CLOSED)
        return;
    s->state = CLOSED;
    if (s->pending > 0)
        (void)uv_cancel((uv_req_t *)&s->dial->lookup); /* its callback comes in any case */
    s->pending += 2;                                   /* the handles */
    /* Between two addresses the socket is closing already; that callback comes here, too. */
    if (!uv_is_closing((uv_handle_t *)&s->tcp))
        uv_close((uv_handle_t *)&s->tcp, on_handle_closed);
    uv_close((uv_handle_t *)&s->timer, on_handle_closed);
}

static void on_timer(uv_timer_t *timer);

static void start_timer(struct stream *s, uint64_t timeout)
{
    int ret = uv_timer_start(&s->timer, on_timer, timeout, 0);

    assert(ret == 0); /* fails for a closing handle only */
    (void)ret;
}

/* Say goodbye; settle() does the rest. */
static void begin_closing(struct stream *s)
{
    if (s->state >= CLOSING)
        return;
    if (s->state == CONNECTING) {
        destroy(s);
        return;
    }
    s->state = CLOSING;
    tls_close(s->tls);
    start_timer(s, STREAM_CLOSE_TIMEOUT);
    settle(s);
}

static void on_shutdown(uv_shutdown_t *req, int status)
{
    struct stream *s = req->handle->data;

    if (s->state == CLOSED)
        return;
    s->finished = true;
    if (status != 0 || s->eof)
        destroy(s);
}

/* All is written or queued: the FIN follows it. */
static void finish_output(struct stream *s)
{
    if (s->shut)
        return;
    s->shut = true;
    if (uv_shutdown(&s->shutdown, (uv_stream_t *)&s->tcp, on_shutdown) != 0)
        destroy(s);
}

/* Input */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
    struct stream *s = handle->data;

    (void)suggested;
    *ret = uv_buf_init((char *)s->net->read, READ_SIZE);
}

/* As much plain text as fits. 0, then *ret_len == 0 when more input is needed. A failure after some
 * bytes is kept back: it is final, the next call meets it again. */
static int gather(struct stream *s, size_t *ret_len)
{
    size_t total = 0;
    size_t len;
    int ret;

    do {
        len = 0;
        ret = tls_read(s->tls, s->net->plain + total, PLAIN_SIZE - total, &len, &s->why);
        total += len;
    } while (ret == 0 && len > 0 && total < PLAIN_SIZE);
    *ret_len = total;
    return total > 0 ? 0 : ret;
}

static int opened(struct stream *s)
{
    struct cert *peer;
    int ret = tls_peer(s->tls, &peer, &s->why);

    if (ret != 0)
        return ret;
    (void)uv_timer_stop(&s->timer); /* always succeeds */
    s->state = OPEN;
    s->events->on_open(s->ctx, peer);
    cert_free(peer);
    return 0;
}

static int shake_hands(struct stream *s)
{
    int ret = tls_handshake(s->tls, &s->why);

    if (ret != 0 || !tls_is_open(s->tls))
        return ret;
    return opened(s);
}

static int deliver(struct stream *s)
{
    while (s->state == OPEN && !s->paused && !s->choked) {
        size_t len;
        int ret = gather(s, &len);

        if (ret != 0 || len == 0)
            return ret;
        s->events->on_data(s->ctx, (struct slice){s->net->plain, len});
        note_output(s);
    }
    return 0;
}

/* Do what the present input allows. */
static void pump(struct stream *s)
{
    int ret = 0;

    assert(!s->busy);
    s->busy = true;
    if (s->state == HANDSHAKE)
        ret = shake_hands(s);
    if (ret == 0)
        ret = deliver(s);
    if (ret == 0 && s->state < CLOSING)
        ret = tls_park(s->tls);
    if (ret != 0 && s->state < CLOSING) {
        if (s->why.ret == 0)
            (void)err_set(&s->why, ret, NULL);
        begin_closing(s);
    }
    s->busy = false;
    settle(s);
}

static void on_read(uv_stream_t *tcp, ssize_t n, const uv_buf_t *buf)
{
    struct stream *s = tcp->data;

    if (n == 0 || s->state == CLOSED)
        return;
    if (n < 0 && n != UV_EOF) {
        network_failed(s, (int)n);
        return;
    }
    if (n == UV_EOF) {
        s->eof = true;
        tls_feed_eof(s->tls);
    }
    if (s->state == CLOSING) { /* input is discarded; its end may be all that was waited for */
        if (s->eof && s->finished)
            destroy(s);
        else
            settle(s);
        return;
    }
    if (n > 0) /* a failure is final in the filter: pump() meets it */
        (void)tls_feed(s->tls, (struct slice){(uint8_t *)buf->base, (size_t)n});
    pump(s);
}

static bool wants_input(const struct stream *s)
{
    switch (s->state) {
    case HANDSHAKE:
    case CLOSING:
        return !s->eof;
    case OPEN:
        return !s->eof && !s->paused && !s->choked;
    default:
        return false;
    }
}

static void set_reading(struct stream *s)
{
    bool want = wants_input(s);
    int status;

    if (want == s->reading)
        return;
    s->reading = want;
    if (!want) {
        (void)uv_read_stop((uv_stream_t *)&s->tcp); /* always succeeds */
        return;
    }
    status = uv_read_start((uv_stream_t *)&s->tcp, on_alloc, on_read);
    if (status != 0)
        network_failed(s, status);
}

static void settle(struct stream *s)
{
    int status;

    if (s->busy || s->state == CLOSED || s->state == CONNECTING)
        return;
    status = flush(s);
    if (status != 0) {
        network_failed(s, status);
        return;
    }
    if (s->state == CLOSING)
        finish_output(s);
    if (s->state == OPEN && (s->full || s->choked) && unsent(s) <= STREAM_LOW)
        start_timer(s, 0); /* the system took it at once: no write request will tell */
    if (s->state != CLOSED)
        set_reading(s);
}

/* The timer */

static void timed_out(struct stream *s)
{
    (void)err_set(&s->why, E_TIMEOUT,
                  s->state == CONNECTING ? "连接超时" : "对方没有及时完成加密握手");
    destroy(s);
}

static void on_timer(uv_timer_t *timer)
{
    struct stream *s = timer->data;

    switch (s->state) {
    case CONNECTING:
    case HANDSHAKE:
        timed_out(s);
        break;
    case OPEN:
        drained(s);
        pump(s);
        break;
    case CLOSING:
        destroy(s);
        break;
    case CLOSED:
        break;
    }
}

/* Start */

static void format_address(struct stream *s)
{
    struct sockaddr_storage a;
    int len = sizeof a;

    if (uv_tcp_getpeername(&s->tcp, (struct sockaddr *)&a, &len) != 0)
        return;
    if (a.ss_family == AF_INET)
        (void)uv_ip4_name((struct sockaddr_in *)&a, s->address, sizeof s->address);
    else if (a.ss_family == AF_INET6)
        (void)uv_ip6_name((struct sockaddr_in6 *)&a, s->address, sizeof s->address);
}

/* The socket is connected. */
static void begin_handshake(struct stream *s)
{
    (void)uv_tcp_nodelay(&s->tcp, 1); /* both only help */
    (void)uv_tcp_keepalive(&s->tcp, 1, KEEPALIVE_S);
    format_address(s);
    s->state = HANDSHAKE;
    pump(s);
}

static void init_tcp(struct stream *s)
{
    int ret = uv_tcp_init(s->net->loop, &s->tcp);

    assert(ret == 0); /* without a socket it only fills in the handle */
    (void)ret;
    s->tcp.data = s;
}

static int new_stream(struct net *n, struct tls_config *config, msec_t now,
                      const struct stream_events *events, void *ctx, struct stream **ret,
                      struct err *err)
{
    struct stream *s = mem_calloc(1, sizeof *s);
    int code;

    if (s == NULL)
        return err_set(err, E_NOMEM, NULL);
    code = tls_new(config, now, &s->tls, err);
    if (code != 0) {
        mem_free(s);
        return code;
    }
    s->net = n;
    s->events = events;
    s->ctx = ctx;
    init_tcp(s);
    (void)uv_timer_init(n->loop, &s->timer); /* always succeeds */
    s->timer.data = s;
    *ret = s;
    return 0;
}

/* A stream that its owner never got. */
static void discard(struct stream *s)
{
    s->events = NULL;
    destroy(s);
}

static void on_connected(uv_connect_t *req, int status)
{
    struct stream *s = req->handle->data;

    if (s->state == CLOSED)
        return;
    if (status == 0) {
        free_dial(s);
        s->why = (struct err){0}; /* an earlier address may have failed */
        begin_handshake(s);
        return;
    }
    (void)uv_failed(&s->why, status, "连接不上市级服务");
    try_next_address(s);
}

/* A socket that failed to connect cannot be used again. */
static void on_retry(uv_handle_t *handle)
{
    struct stream *s = handle->data;
    struct addrinfo *to;
    int status;

    if (s->state == CLOSED) {
        one_gone(s);
        return;
    }
    init_tcp(s);
    to = s->dial->next;
    s->dial->next = to->ai_next;
    status = uv_tcp_connect(&s->dial->connect, &s->tcp, to->ai_addr, on_connected);
    if (status == 0)
        return;
    (void)uv_failed(&s->why, status, "连接不上市级服务");
    try_next_address(s);
}

static void try_next_address(struct stream *s)
{
    if (s->dial->next == NULL)
        destroy(s);
    else
        uv_close((uv_handle_t *)&s->tcp, on_retry);
}

static void on_found(uv_getaddrinfo_t *req, int status, struct addrinfo *found)
{
    struct dial *d = req->data;
    struct stream *s = d->stream;

    d->found = d->next = found;
    if (s->state == CLOSED) {
        one_gone(s);
        return;
    }
    s->pending--;
    if (status == 0 && found != NULL) {
        try_next_address(s);
        return;
    }
    (void)uv_failed(&s->why, status == 0 ? UV_EAI_NODATA : status, "找不到市级服务的地址");
    destroy(s);
}

static int begin_lookup(struct stream *s, const char *host, uint16_t port, struct err *err)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    char service[8];
    int status;

    s->dial = mem_calloc(1, sizeof *s->dial);
    if (s->dial == NULL)
        return err_set(err, E_NOMEM, NULL);
    s->dial->stream = s;
    s->dial->lookup.data = s->dial;
    (void)snprintf(service, sizeof service, "%u", port);
    status = uv_getaddrinfo(s->net->loop, &s->dial->lookup, on_found, host, service, &hints);
    if (status != 0) {
        free_dial(s);
        return err_set(err, E_UNREACHABLE, "服务地址不对：%s", host);
    }
    s->pending++;
    return 0;
}

/* The public functions */

int net_new(uv_loop_t *loop, struct net **ret)
{
    struct net *n = mem_alloc(sizeof *n);

    if (n == NULL)
        return E_NOMEM;
    n->loop = loop;
    n->thread = uv_thread_self();
    n->handshake_timeout = STREAM_HANDSHAKE_TIMEOUT;
    (void)signal(SIGPIPE, SIG_IGN); /* a peer that is gone is an error code */
    *ret = n;
    return 0;
}

void net_free(struct net *n)
{
    mem_free(n);
}

uv_loop_t *net_loop(const struct net *n)
{
    return n->loop;
}

void net_set_handshake_timeout(struct net *n, msec_t timeout)
{
    net_assert_thread(n);
    n->handshake_timeout = timeout;
}

void net_assert_thread(const struct net *n)
{
    uv_thread_t self = uv_thread_self();

    assert(uv_thread_equal(&self, &n->thread));
    (void)self;
}

int stream_connect(struct net *n, struct tls_config *config, const char *host, uint16_t port,
                   msec_t now, msec_t timeout, const struct stream_events *events, void *ctx,
                   struct stream **ret, struct err *err)
{
    struct stream *s;
    int code;

    net_assert_thread(n);
    code = new_stream(n, config, now, events, ctx, &s, err);
    if (code != 0)
        return code;
    code = begin_lookup(s, host, port, err);
    if (code != 0) {
        discard(s);
        return code;
    }
    start_timer(s, timeout);
    *ret = s;
    return 0;
}

static void on_dropped(uv_handle_t *handle)
{
    mem_free(handle);
}

/* Without memory even for this, listening stands still until the process is started anew. */
void stream_drop_waiting(struct net *n, uv_stream_t *server)
{
    uv_tcp_t *tcp = mem_alloc(sizeof *tcp);

    net_assert_thread(n);
    if (tcp == NULL || uv_tcp_init(n->loop, tcp) != 0) {
        mem_free(tcp);
        return;
    }
    (void)uv_accept(server, (uv_stream_t *)tcp); /* whatever it is, it is closed next */
    uv_close((uv_handle_t *)tcp, on_dropped);
}

int stream_accept(struct net *n, uv_stream_t *server, struct tls_config *config, msec_t now,
                  const struct stream_events *events, void *ctx, struct stream **ret,
                  struct err *err)
{
    struct stream *s;
    int code, status;

    net_assert_thread(n);
    code = new_stream(n, config, now, events, ctx, &s, err);
    if (code != 0) {
        stream_drop_waiting(n, server);
        return code;
    }
    status = uv_accept(server, (uv_stream_t *)&s->tcp);
    if (status != 0) {
        discard(s);
        return uv_failed(err, status, "接受连接失败");
    }
    start_timer(s, n->handshake_timeout);
    begin_handshake(s);
    *ret = s;
    return 0;
}

void stream_adopt(struct stream *s, const struct stream_events *events, void *ctx)
{
    net_assert_thread(s->net);
    s->events = events;
    s->ctx = ctx;
}

int stream_write(struct stream *s, struct slice plain)
{
    int ret;

    net_assert_thread(s->net);
    if (s->state != OPEN)
        return E_CLOSED;
    if (unsent(s) + plain.len > STREAM_MAX) {
        ret = err_set(&s->why, E_TOOBIG, "对方长时间不接收数据");
        destroy(s);
        return ret;
    }
    ret = tls_write(s->tls, plain, &s->why);
    if (ret != 0) {
        begin_closing(s);
        return ret;
    }
    settle(s);
    note_output(s);
    return s->state == OPEN ? 0 : E_CLOSED;
}

size_t stream_queued(const struct stream *s)
{
    net_assert_thread(s->net);
    return unsent(s);
}

bool stream_is_full(const struct stream *s)
{
    net_assert_thread(s->net);
    return s->full;
}

void stream_pause(struct stream *s)
{
    net_assert_thread(s->net);
    s->paused = true;
    settle(s);
}

void stream_resume(struct stream *s)
{
    net_assert_thread(s->net);
    s->paused = false;
    settle(s);
    if (s->state == OPEN)
        start_timer(s, 0); /* parked input makes no event */
}

void stream_close(struct stream *s)
{
    net_assert_thread(s->net);
    begin_closing(s);
}

void stream_abort(struct stream *s, int why)
{
    net_assert_thread(s->net);
    if (s->state == CLOSED)
        return;
    s->why = (struct err){0};
    if (why != 0)
        (void)err_set(&s->why, why, NULL);
    destroy(s);
}

const char *stream_address(const struct stream *s)
{
    net_assert_thread(s->net);
    return s->address;
}
