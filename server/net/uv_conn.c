/* A connection: bytes to frames to the session, and the session's updates to those who do the work.
 *
 *  - on_data feeds frames; each is one step. When the session stops reading, the stream is paused and
 *    what came along waits in `rest`.
 *  - perform() does what an update says; completions come back as events of their own.
 *  - batches are made from memory in a loop, not by recursion; the store is asked when a tail is too
 *    short.
 *
 * When the stream is gone, jobs under way finish by themselves and find nobody to tell. */
#include "server/net/sync_internal.h"

#include <assert.h>
#include <string.h>

#define JOBS_MAX 256 /* of one connection under way; a flood of small frames makes a job each */

struct server_event conn_event(const struct conn *c, enum server_event_kind kind)
{
    return (struct server_event){.kind = kind,
                                 .now = port_monotonic(c->port),
                                 .clock = c->port->clock()};
}

/* ---- life ---- */

static void conn_free(struct conn *c)
{
    struct sync_port *p = c->port;

    *c->at = c->next;
    if (c->next != NULL)
        c->next->at = c->at;
    p->counts.sessions--;
    server_update_release(&c->up);
    frame_reader_release(&c->frames);
    arena_release(&c->arena);
    buf_release(&c->rest);
    mem_free(c);
    port_conn_gone(p);
}

static void maybe_free(struct conn *c)
{
    if (c->stream == NULL && c->jobs == 0 && c->depth == 0 && c->held == 0)
        conn_free(c);
}

void conn_job_done(struct conn *c)
{
    c->jobs--;
    conn_resume(c);
}

/* ---- updates ---- */

/* Idle connections keep no buffers. */
static void empty_output(struct conn *c)
{
    size_t max = c->up.out.max;

    buf_release(&c->up.out);
    buf_init(&c->up.out, max);
}

static void flush(struct conn *c)
{
    struct server_event ev;

    if (c->up.out.len == 0 || c->stream == NULL)
        return;
    (void)stream_write(c->stream, buf_slice(&c->up.out)); /* a failure closes the stream by itself */
    empty_output(c);
    c->undrained = stream_queued(c->stream) > 0;
    ev = conn_event(c, SERVER_DRAINED);
    ev.unsent = stream_queued(c->stream);
    conn_step(c, &ev);
}

static void start(struct conn *c, const struct server_update *up)
{
    int ret = 0;

    if (up->ask != NULL)
        ret = conn_ask(c, up->ask);
    if (ret == 0 && up->submit_count > 0)
        ret = conn_submit(c, up->submit, up->submit_count);
    if (ret == 0 && up->read_refusals_from != 0)
        ret = conn_read_refusals(c, up->read_refusals_from);
    if (ret == 0 && up->slice.wanted)
        ret = conn_read_slice(c, up);
    if (ret == 0 && up->history.wanted)
        ret = conn_read_history(c, up);
    if (ret == 0 && up->tell != NULL)
        ret = conn_tell(c, up->tell);
    if (ret == 0 && up->repaired != NULL)
        ret = conn_note(c, up->repaired);
    if (ret == 0 && up->refill.body != NULL)
        ret = conn_refill(c, up);
    if (ret == 0 && up->renew != NULL)
        ret = conn_renew(c, up->renew);
    if (ret == 0 && up->identity != NULL)
        ret = conn_identity(c, up->identity);
    if (ret == 0 && up->refused_ack != NULL)
        ret = conn_refused_ack(c, up->refused_ack);
    if (up->said != NULL)
        conn_said(c, up->said);
    for (size_t i = 0; ret == 0 && i < SERVER_LANES; i++) {
        if (up->blob[i].ask != SERVER_BLOB_NOTHING)
            ret = conn_blob(c, (enum server_lane_name)i, &up->blob[i]);
    }
    if (ret != 0)
        conn_end(c, ret, c->session.options->retry_after);
}

static void want_read(struct conn *c, const struct server_update *up)
{
    if (!up->read.wanted)
        return;
    c->wants_read = true;
    c->read_stream = up->read.stream;
    c->read_from = up->read.from_seq;
    c->limits = (struct batch_limits){.upto_seq = up->read.upto_seq,
                                      .reader = c->session.replica,
                                      .echo_above = up->read.echo_above,
                                      .max_entries = up->read.max_entries,
                                      .max_bytes = up->read.max_bytes};
}

static void close_stream(struct conn *c, enum server_close how)
{
    if (c->stream == NULL || how == SERVER_KEEP)
        return;
    if (how == SERVER_CLOSE_FLUSHED)
        stream_close(c->stream);
    else
        stream_abort(c->stream, 0);
}

/* What the update says, except the output's own consequences, which are steps of their own. */
static void perform(struct conn *c)
{
    struct server_update up = c->up;

    frame_reader_set_max(&c->frames, server_session_frame_max(&c->session));
    if (c->session.state == SERVER_SERVING && !c->served) {
        c->served = true;
        c->port->counts.serving++;
        port_supersede(c->port, c);
    }
    want_read(c, &up);
    start(c, &up);
    flush(c);
    close_stream(c, up.close);
}

static void tell_batch(struct conn *c, int ret, uint32_t count, uint32_t size, struct slice body)
{
    struct server_event ev = conn_event(c, SERVER_READ);

    ev.read.ret = ret;
    ev.read.stream = c->read_stream;
    ev.read.first_seq = c->read_from;
    ev.read.count = count;
    ev.read.size = size;
    ev.read.body = body;
    (void)feed_head(c->port->feed, c->read_stream, &ev.read.closing); /* at or above: it was told */
    conn_step(c, &ev);
}

/* The job is free for the next batch as soon as this one is told: its result is taken out first. */
static void on_read(struct read_job *job)
{
    struct conn *c = (struct conn *)((char *)job - offsetof(struct conn, read));
    struct buf body = job->body;

    c->reading = false;
    c->held++;
    if (c->stream != NULL)
        tell_batch(c, job->ret, job->count, job->size, buf_slice(&body));
    c->held--;
    buf_release(&body);
    conn_job_done(c);
}

/* The batch that is wanted, from memory; else the reader is asked. False: nothing to go on with. */
static bool serve_read(struct conn *c)
{
    struct buf body;
    uint32_t count, size;
    bool had;

    c->wants_read = false;
    if (c->stream == NULL || c->session.state != SERVER_SERVING)
        return false;
    buf_init(&body, 2u * WIRE_BODY_MAX);
    had = feed_batch(c->port->feed, c->read_stream, c->read_from, &c->limits, &c->port->codec,
                     &body, &count, &size);
    if (had) {
        tell_batch(c, 0, count, size, buf_slice(&body));
    } else {
        assert(!c->reading); /* the session asks for one batch at a time */
        c->reading = true;
        c->jobs++;
        c->read.stream = c->read_stream;
        c->read.from_seq = c->read_from;
        c->read.limits = c->limits;
        c->read.done = on_read;
        reader_submit(c->port->reader, &c->read);
    }
    buf_release(&body);
    return had;
}

void conn_step(struct conn *c, struct server_event *ev)
{
    ev->arena = &c->arena;
    ev->codec = &c->port->codec;
    c->depth++;
    server_session_step(&c->session, ev, &c->up);
    perform(c);
    if (c->depth == 1) {
        while (c->wants_read && serve_read(c))
            ;
        arena_release(&c->arena);
    }
    c->depth--;
    maybe_free(c);
}

/* ---- input ---- */

/* Feed until DATA is used up or the session stops reading; how much was used. */
static size_t feed_frames(struct conn *c, struct slice data)
{
    size_t at = 0;

    while (at < data.len && c->stream != NULL && c->session.state < SERVER_CLOSING &&
           c->up.reading) {
        struct server_event ev = conn_event(c, SERVER_HEARD);
        Ztc__Frame *frame = NULL;
        size_t used = 0;
        int ret = frame_feed(&c->frames, (struct slice){data.p + at, data.len - at}, &c->arena,
                             &used, &frame);

        at += used;
        if (ret != 0) {
            ev.kind = SERVER_BROKEN;
            ev.broken = ret;
        } else if (frame != NULL) {
            ev.kind = SERVER_FRAME;
            ev.frame = frame;
        }
        conn_step(c, &ev);
        arena_release(&c->arena);
    }
    return c->session.state < SERVER_CLOSING ? at : data.len;
}

static bool may_read(struct conn *c)
{
    return c->up.reading && c->jobs < JOBS_MAX && !writer_full(c->port->writer);
}

static void stop_reading(struct conn *c)
{
    if (c->stream != NULL && !c->paused)
        stream_pause(c->stream);
    c->paused = true;
}

static void on_data(void *ctx, struct slice data)
{
    struct conn *c = ctx;
    size_t used;

    c->held++;
    used = feed_frames(c, data);
    if (used < data.len)
        buf_put(&c->rest, data.p + used, data.len - used);
    if (c->rest.ret != 0)
        conn_end(c, c->rest.ret, c->session.options->retry_after);
    if (!may_read(c))
        stop_reading(c);
    c->held--;
    maybe_free(c);
}

static void read_on(struct conn *c)
{
    buf_consume(&c->rest, feed_frames(c, buf_slice(&c->rest)));
    if (c->rest.len > 0 || c->stream == NULL || !may_read(c))
        return;
    c->paused = false;
    buf_release(&c->rest);
    buf_init(&c->rest, STREAM_MAX);
    stream_resume(c->stream);
}

/* Go on with what waited, then with the stream. */
void conn_resume(struct conn *c)
{
    c->held++;
    if (c->paused && c->stream != NULL && may_read(c))
        read_on(c);
    c->held--;
    maybe_free(c);
}

static void on_drain(void *ctx)
{
    conn_drained(ctx);
}

void conn_drained(struct conn *c)
{
    struct server_event ev;

    if (!c->undrained || c->stream == NULL || stream_queued(c->stream) >= c->session.unsent)
        return;
    ev = conn_event(c, SERVER_DRAINED);
    ev.unsent = stream_queued(c->stream);
    c->undrained = ev.unsent > 0;
    c->held++;
    conn_step(c, &ev);
    conn_resume(c);
    c->held--;
    maybe_free(c);
}

void conn_timer(struct conn *c, msec_t now)
{
    struct server_event ev;

    c->held++;
    conn_resume(c);
    if (c->stream != NULL && c->up.deadline != 0 && c->up.deadline <= now) {
        ev = conn_event(c, SERVER_TIMER);
        conn_step(c, &ev);
    }
    c->held--;
    maybe_free(c);
}

void conn_hold(struct conn *c, int hold)
{
    struct server_event ev = conn_event(c, SERVER_HOLD);

    ev.hold = hold;
    conn_step(c, &ev);
}

void conn_end(struct conn *c, int cause, uint32_t retry_after)
{
    struct server_event ev = conn_event(c, SERVER_END);

    ev.end.cause = cause;
    ev.end.retry_after = retry_after;
    conn_step(c, &ev);
}

static void log_end(const struct conn *c, const struct err *why)
{
    int cause = c->session.cause != 0 ? c->session.cause : why->ret;
    char id[ID_TEXT_SIZE];

    if (!id_is_zero(&c->session.replica))
        port_ended(c->port, &c->session.replica, cause);
    id_format(&c->session.replica, id);
    if (c->served)
        log_info("session %llu: closed code=%s replica=%s", (unsigned long long)c->no,
                 cause == 0 ? "-" : err_code(cause), id);
    else
        port_refused(c->port, id, cause == 0 ? E_CLOSED : cause, why->text);
}

static void on_close(void *ctx, const struct err *why)
{
    struct conn *c = ctx;
    struct server_event ev = conn_event(c, SERVER_GONE);

    c->held++;
    c->stream = NULL;
    if (c->served)
        c->port->counts.serving--;
    conn_step(c, &ev);
    log_end(c, why);
    conn_cancel(c);
    c->held--;
    maybe_free(c);
}

static const struct stream_events events = {
    .on_data = on_data,
    .on_drain = on_drain,
    .on_close = on_close,
};

void conn_open(struct sync_port *p, struct stream *s, const struct cert *peer)
{
    struct conn *c = mem_calloc(1, sizeof *c);
    struct server_event ev;
    struct err err = {0};

    if (c == NULL) {
        stream_abort(s, E_NOMEM);
        return;
    }
    c->port = p;
    c->no = ++p->next_no;
    c->stream = s;
    c->merges_last = &c->merges;
    server_session_init(&c->session, p->options);
    server_update_init(&c->up);
    frame_reader_init(&c->frames, FRAME_MAX_STRANGER);
    arena_init(&c->arena, FRAME_ARENA);
    buf_init(&c->rest, STREAM_MAX);
    c->next = p->conns;
    c->at = &p->conns;
    if (c->next != NULL)
        c->next->at = &c->next;
    p->conns = c;
    p->counts.sessions++;
    p->counts.opened++;
    stream_adopt(s, &events, c);
    conn_hold(c, p->hold);

    ev = conn_event(c, SERVER_OPEN);
    ev.open.ret = peer == NULL ? E_AUTH
                               : cert_replica(peer, &ev.open.site, &ev.open.replica, &err);
    if (ev.open.ret == 0) {
        c->claim.site = ev.open.site;
        cert_fingerprint(peer, c->claim.fingerprint);
        ev.open.ret = authorities_key_print(peer, c->claim.key);
        c->claim.expired = cert_not_after(peer) <= ev.clock;
    }
    conn_step(c, &ev);
}
