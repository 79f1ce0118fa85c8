/* The port: its listener, its connections, their deadlines.
 *
 * Shutting down: drain (no more accepting, every session says Bye), then close: what is left is cut
 * off, the handles close, and when the last connection's last job has ended the memory goes. */
#include "server/net/sync_internal.h"

#include <string.h>

msec_t port_monotonic(const struct sync_port *p)
{
    return uv_now(p->loop) + 1; /* sessions want it never 0 */
}

void port_refused(struct sync_port *p, const char *who, int ret, const char *text)
{
    int no = -ret;

    if (no > 0 && no < REFUSED_CODES)
        p->counts.refused[no]++;
    (void)err_set(&p->counts.last, ret, "%s", text[0] != '\0' ? text : err_text(ret));
    log_warning("sync port: refused peer=%s code=%s", who, err_code(ret));
}

static struct ending *find_ending(const struct sync_port *p, const struct id *replica)
{
    for (size_t i = 0; i < p->n_endings; i++) {
        if (id_eq(&p->endings[i].replica, replica))
            return &p->endings[i];
    }
    return NULL;
}

static struct ending *add_ending(struct sync_port *p, const struct id *replica)
{
    struct ending *more;

    if (p->n_endings == ENDINGS_MAX)
        return NULL;
    more = mem_realloc(p->endings, (p->n_endings + 1) * sizeof *more);
    if (more == NULL)
        return NULL; /* it is only shown */
    p->endings = more;
    more = &p->endings[p->n_endings++];
    more->replica = *replica;
    return more;
}

void port_ended(struct sync_port *p, const struct id *replica, int cause)
{
    struct ending *e = find_ending(p, replica);

    if (e == NULL)
        e = add_ending(p, replica);
    if (e != NULL)
        e->end = (struct sync_ending){.cause = cause, .at = p->clock()};
}

void port_supersede(struct sync_port *p, const struct conn *newest)
{
    for (struct conn *c = p->conns, *next; c != NULL; c = next) {
        next = c->next;
        if (c == newest || !id_eq(&c->session.replica, &newest->session.replica))
            continue;
        conn_cancel(c);
        conn_end(c, E_TWIN, p->options->retry_after); /* of its own former connection a computer reads nothing */
    }
}

/* ---- events ---- */

static msec_t on_now(void *ctx)
{
    struct sync_port *p = ctx;

    return p->clock();
}

static void on_stream(void *ctx, struct stream *s, const struct cert *peer)
{
    conn_open(ctx, s, peer);
}

static void on_refused(void *ctx, const char *address, const struct err *why)
{
    port_refused(ctx, address, why->ret, why->text);
}

static void maybe_closed(struct sync_port *p)
{
    void (*cb)(void *ctx) = p->close_cb;
    void *ctx = p->close_ctx;

    if (cb == NULL || p->handles > 0 || p->jobs > 0 || p->listener != NULL || p->conns != NULL)
        return;
    body_codec_release(&p->codec);
    feed_free(p->feed);
    authorities_unref(p->authorities);
    mem_free(p->endings);
    mem_free(p);
    cb(ctx);
}

void port_released(struct sync_port *p)
{
    p->jobs--;
    maybe_closed(p);
}

void port_conn_gone(struct sync_port *p)
{
    maybe_closed(p);
}

static void on_listener_closed(void *ctx)
{
    struct sync_port *p = ctx;

    p->listener = NULL;
    maybe_closed(p);
}

static const struct listener_events events = {
    .now = on_now,
    .on_stream = on_stream,
    .on_refused = on_refused,
    .on_closed = on_listener_closed,
};

static void tell_heads(struct sync_port *p, const struct server_head *heads, size_t n, bool answered)
{
    for (struct conn *c = p->conns, *next; c != NULL; c = next) {
        struct server_event ev = conn_event(c, SERVER_HEADS);

        next = c->next;
        if (c->answered != answered)
            continue;
        ev.heads.heads = heads;
        ev.heads.n_heads = n;
        conn_step(c, &ev);
    }
}

/* Who wrote has the change already and takes in its echo when there is time; the others wait for it. */
static void on_heads(void *ctx, const struct server_head *heads, size_t n)
{
    struct sync_port *p = ctx;

    tell_heads(p, heads, n, false);
    tell_heads(p, heads, n, true);
    for (struct conn *c = p->conns; c != NULL; c = c->next)
        c->answered = false;
}

/* What the writer says of the store goes to every session. */
static void watch_store(struct sync_port *p)
{
    struct writer_status w;
    int hold;

    writer_status(p->writer, &w);
    hold = w.refused ? w.cause.ret : w.recovering ? E_RECOVERING : 0;
    if (hold == p->hold)
        return;
    p->hold = hold;
    for (struct conn *c = p->conns, *next; c != NULL; c = next) {
        next = c->next;
        conn_hold(c, hold);
    }
}

static void on_sweep(uv_timer_t *timer)
{
    struct sync_port *p = timer->data;
    msec_t now = port_monotonic(p);

    watch_store(p);

    for (struct conn *c = p->conns, *next; c != NULL; c = next) {
        next = c->next;
        conn_timer(c, now);
    }
}

static void on_check(uv_check_t *check)
{
    struct sync_port *p = check->data;

    for (struct conn *c = p->conns, *next; c != NULL; c = next) {
        next = c->next;
        conn_drained(c);
    }
}

/* ---- life ---- */

static void on_handle_closed(uv_handle_t *handle)
{
    struct sync_port *p = handle->data;

    p->handles--;
    maybe_closed(p);
}

static void start_handles(struct sync_port *p)
{
    (void)uv_timer_init(p->loop, &p->sweep); /* these cannot fail */
    (void)uv_check_init(p->loop, &p->drains);
    p->sweep.data = p;
    p->drains.data = p;
    p->handles = 2;
    (void)uv_timer_start(&p->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
    (void)uv_check_start(&p->drains, on_check);
}

int sync_port_new(const struct sync_port_options *o, struct sync_port **ret, struct err *err)
{
    struct sync_port *p = mem_calloc(1, sizeof *p);
    int status;

    if (p == NULL)
        return err_set(err, E_NOMEM, NULL);
    p->loop = o->loop;
    p->net = o->net;
    p->writer = o->writer;
    p->reader = o->reader;
    p->options = o->session;
    p->hasher = o->hasher;
    p->clock = o->clock;
    p->blobs = o->blobs;
    p->authorities = authorities_ref(o->authorities);
    body_codec_init(&p->codec);
    status = feed_new(on_heads, p, &p->feed, err);
    if (status == 0)
        status = listener_open(p->net, o->host, o->port, o->tls, &events, p, &p->listener, err);
    if (status != 0) {
        feed_free(p->feed);
        authorities_unref(p->authorities);
        mem_free(p);
        return status;
    }
    start_handles(p);
    watch_store(p);
    *ret = p;
    return 0;
}

struct feed *sync_port_feed(struct sync_port *p)
{
    return p->feed;
}

uint16_t sync_port_port(const struct sync_port *p)
{
    return listener_port(p->listener);
}

void sync_port_counts(const struct sync_port *p, struct sync_port_counts *ret)
{
    *ret = p->counts;
}

/* A moment of the loop's clock as the city's time. */
static msec_t city_time(const struct sync_port *p, msec_t at)
{
    msec_t now = port_monotonic(p);

    return p->clock() - (now > at ? now - at : 0);
}

bool sync_port_session(const struct sync_port *p, const struct id *replica,
                       struct sync_session *ret)
{
    const struct conn *c = p->conns; /* the newest comes first */

    while (c != NULL && (c->stream == NULL || !id_eq(&c->session.replica, replica)))
        c = c->next;
    if (c == NULL)
        return false;
    *ret = (struct sync_session){.state = c->session.state,
                                 .hold = c->session.hold,
                                 .since = city_time(p, c->session.since),
                                 .progress_at = city_time(p, c->session.progress_at)};
    return true;
}

bool sync_port_ending(const struct sync_port *p, const struct id *replica, struct sync_ending *ret)
{
    const struct ending *e = find_ending(p, replica);

    if (e != NULL)
        *ret = e->end;
    return e != NULL;
}

void sync_port_end(struct sync_port *p, const struct id *replica, int cause)
{
    for (struct conn *c = p->conns, *next; c != NULL; c = next) {
        next = c->next;
        if (!id_eq(&c->session.replica, replica))
            continue;
        conn_cancel(c);
        conn_end(c, cause, 0);
    }
}

void sync_port_decided(struct sync_port *p, const struct id *replica)
{
    for (struct conn *c = p->conns, *next; c != NULL; c = next) {
        struct server_event ev = conn_event(c, SERVER_DECIDED);

        next = c->next;
        if (id_eq(&c->session.replica, replica))
            conn_step(c, &ev);
    }
}

void sync_port_renew(struct sync_port *p, struct authorities *a, struct tls_config *tls)
{
    authorities_unref(p->authorities);
    p->authorities = authorities_ref(a);
    if (p->draining)
        return;
    listener_set_config(p->listener, tls);
    for (struct conn *c = p->conns, *next; c != NULL; c = next) {
        struct server_event ev = conn_event(c, SERVER_OFFER);

        next = c->next;
        conn_step(c, &ev);
    }
}

void sync_port_drain(struct sync_port *p)
{
    if (p->draining)
        return;
    p->draining = true;
    listener_close(p->listener);
    for (struct conn *c = p->conns, *next; c != NULL; c = next) {
        next = c->next;
        conn_end(c, E_CLOSED, p->options->retry_after);
    }
}

void sync_port_close(struct sync_port *p, void (*cb)(void *ctx), void *ctx)
{
    sync_port_drain(p);
    p->close_cb = cb;
    p->close_ctx = ctx;
    for (struct conn *c = p->conns; c != NULL; c = c->next) {
        if (c->stream != NULL)
            stream_abort(c->stream, 0);
    }
    uv_close((uv_handle_t *)&p->sweep, on_handle_closed);
    uv_close((uv_handle_t *)&p->drains, on_handle_closed);
}
