/* The driver of a client session.
 *
 *  - every event is one step; what the update asks of the store is noted in `todo` and done at once, one
 *    thing after another, each completion being the next step;
 *  - batches of entries are read by threads meanwhile, and applied in their order when ready; a link
 *    ends when no thread has one any more;
 *  - an update's pointers lie in the arena of its step: two arenas take turns, so that work done for one
 *    step may itself step;
 *  - output goes to the stream at the end of each step; a paused session keeps its input in `rest`. */
#include "client/net/uv_link.h"

#include "client/net/uv_intake.h"
#include "client/net/uv_link_blob.h"
#include "client/store/blobs.h"
#include "client/store/exchange.h"
#include "client/store/repair.h"
#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ARENA_BYTES (48u << 20)
#define REST_MAX    (4u << 20)
#define DRAIN_LOOK  20 /* ms */
#define SOFTWARE    "ztc/" ZTC_VERSION

struct todo {
    bool welcome, check, refused, digest, load, request, renewed, begin, slice, history, fork,
        identity, refill, go_back, blob[CLIENT_LANES];
    struct client_update up; /* what the wants point to; without output */
};

struct link {
    struct link_options o;
    struct stream *stream; /* NULL: closed */
    struct client_options options;
    struct client_session session;
    struct client_update up;
    struct frame_reader frames;
    struct arena arenas[2];
    unsigned arena; /* of the next step */
    struct body_codec codec;
    struct intake intake;
    struct buf packed, rest;
    struct todo todo;
    struct link_blob *blobs[CLIENT_LANES]; /* files at work in the pool; NULL: none */
    uv_timer_t timer;
    bool paused, working, served, gone, closed;
    struct err why;
};

static msec_t wall_clock(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_REALTIME, &t); /* cannot fail for this clock */
    return (msec_t)t.tv_sec * 1000 + (msec_t)t.tv_nsec / 1000000;
}

static msec_t monotonic(const struct link *l)
{
    return uv_now(l->o.loop) + 1; /* sessions want it never 0 */
}

static void step(struct link *l, struct client_event *ev);

/* ---- what an update asks for ---- */

static void note(struct link *l)
{
    const struct client_update *up = &l->up;
    struct todo *t = &l->todo;

    if (up->welcome != NULL) {
        t->welcome = true;
        t->up.welcome = up->welcome;
    }
    if (up->check.wanted) {
        t->check = true;
        t->up.check = up->check;
    }
    if (up->apply != NULL)
        intake_put(&l->intake, up->apply);
    if (up->store_refused != NULL) {
        t->refused = true;
        t->up.store_refused = up->store_refused;
    }
    if (up->refill.wanted) {
        t->refill = true;
        t->up.refill = up->refill;
    }
    if (up->go_back != NULL) {
        t->go_back = true;
        t->up.go_back = up->go_back;
    }
    if (up->begin.wanted) {
        t->begin = true;
        t->up.begin = up->begin;
    }
    if (up->store_slice != NULL) {
        t->slice = true;
        t->up.store_slice = up->store_slice;
    }
    if (up->store_history != NULL) {
        t->history = true;
        t->up.store_history = up->store_history;
    }
    if (up->digest.ask != NULL) {
        t->digest = true;
        t->up.digest = up->digest;
    }
    if (up->repair_told != 0)
        (void)replica_repair_told(l->o.replica, up->repair_told, NULL); /* else it is told again */
    t->request = t->request || up->make_request;
    if (up->store_renewed != NULL) {
        t->renewed = true;
        t->up.store_renewed = up->store_renewed;
    }
    if (up->fork.wanted) {
        t->fork = true;
        t->up.fork = up->fork;
    }
    if (up->take_identity.granted != NULL) {
        t->identity = true;
        t->up.take_identity = up->take_identity;
    }
    if (up->load.wanted) {
        t->load = true;
        t->up.load = up->load;
    }
    for (size_t i = 0; i < CLIENT_LANES; i++) {
        if (up->blob[i].ask == CLIENT_BLOB_NOTHING)
            continue;
        t->blob[i] = true;
        t->up.blob[i] = up->blob[i];
    }
}

static void empty_output(struct link *l)
{
    size_t max = l->up.out.max;

    if (l->up.out.len > 0 && l->stream != NULL)
        (void)stream_write(l->stream, buf_slice(&l->up.out)); /* a failure closes the stream */
    buf_release(&l->up.out);
    buf_init(&l->up.out, max);
}

static void tell_drained(struct link *l)
{
    struct client_event ev = {.kind = CLIENT_DRAINED};

    if (l->stream == NULL || stream_queued(l->stream) >= l->session.unsent)
        return;
    ev.unsent = stream_queued(l->stream);
    step(l, &ev);
}

static void close_stream(struct link *l, enum client_close how)
{
    if (l->stream == NULL || how == CLIENT_KEEP)
        return;
    if (how == CLIENT_CLOSE_FLUSHED)
        stream_close(l->stream);
    else
        stream_abort(l->stream, 0);
}

static void step(struct link *l, struct client_event *ev)
{
    enum client_close how;

    ev->now = monotonic(l);
    ev->clock = wall_clock();
    if (ev->arena == NULL)
        ev->arena = &l->arenas[l->arena];
    client_session_step(&l->session, ev, &l->up);
    note(l);
    how = l->up.close;
    empty_output(l);
    close_stream(l, how);
}

/* ---- the store's part ---- */

static void fail(struct link *l, int ret)
{
    struct client_event ev = {.kind = CLIENT_BROKEN, .ret = ret};

    step(l, &ev);
}

static void do_welcome(struct link *l)
{
    struct client_event ev = {.ret = 0};
    int ret = exchange_welcome(l->o.replica, l->todo.up.welcome, &l->arenas[l->arena], &ev, &l->why);

    l->todo.welcome = false;
    l->served = true;
    if (ret != 0) {
        fail(l, ret);
        return;
    }
    l->o.on_welcome(l->o.ctx, l->todo.up.welcome);
    step(l, &ev);
}

static void do_request(struct link *l)
{
    struct client_event ev = {.kind = CLIENT_REQUEST};
    struct buf csr;

    l->todo.request = false;
    buf_init(&csr, WIRE_DER_MAX);
    ev.ret = l->o.make_request(l->o.ctx, &csr, &l->why);
    ev.request = buf_slice(&csr);
    step(l, &ev);
    buf_release(&csr);
}

static void do_fork(struct link *l)
{
    struct client_point points[WIRE_POINTS_MAX];
    struct client_event ev = {.kind = CLIENT_FORK, .fork = {.points = points}};
    struct buf csr;

    l->todo.fork = false;
    buf_init(&csr, WIRE_DER_MAX);
    ev.ret = exchange_fork(l->o.replica, &l->todo.up, points, &ev.fork.n_points, &l->why);
    if (ev.ret == 1)
        ev.ret = l->o.make_identity(l->o.ctx, &csr, &ev.fork.replica, &l->why);
    ev.fork.request = buf_slice(&csr);
    step(l, &ev);
    buf_release(&csr);
}

/* Nothing is taken in any more once the session has failed. */
static void drop_ready(struct link *l)
{
    while (intake_first(&l->intake) != NULL)
        intake_drop(&l->intake);
}

/* The next batch of entries that is ready. */
static bool take_batch(struct link *l, struct client_event *ret)
{
    const struct exchange_batch *batch;

    if (l->session.state >= CLIENT_CLOSING)
        drop_ready(l);
    batch = intake_first(&l->intake);
    if (batch == NULL)
        return false;
    exchange_take(l->o.replica, batch, ret, &l->why);
    intake_drop(&l->intake);
    return true;
}

static void on_blob(void *ctx, const struct client_blob_answer *answer);

/* The file's word first; then, where bytes are meant, the folder's. */
static void do_blob(struct link *l, enum client_lane_name lane)
{
    const struct client_blob_want *want = &l->todo.up.blob[lane];
    struct client_event ev = {.kind = CLIENT_BLOB, .blob = {.lane = lane, .ask = want->ask}};
    struct link_blob_start start = {.loop = l->o.loop, .root = l->o.blobs, .want = want,
                                    .answer = &ev.blob, .done = on_blob, .ctx = l};

    l->todo.blob[lane] = false;
    if (want->ask == CLIENT_BLOB_NEXT || want->ask == CLIENT_BLOB_SETTLE)
        exchange_blob(l->o.replica, lane, want, wall_clock(), &ev, &l->why);
    if (want->ask == CLIENT_BLOB_SETTLE || (want->ask == CLIENT_BLOB_NEXT && !ev.blob.found)) {
        step(l, &ev);
        return;
    }
    ev.blob.ret = link_blob_start(&start, &l->blobs[lane]);
    if (ev.blob.ret != 0)
        step(l, &ev);
}

/* One thing, and the step that answers it. False when there is nothing. */
static bool do_one(struct link *l)
{
    struct todo *t = &l->todo;
    struct arena *work = &l->arenas[l->arena]; /* where the wants lie */
    struct client_event ev = {.ret = 0};
    bool more;

    if (t->welcome) {
        do_welcome(l);
        return true;
    }
    if (t->request) {
        do_request(l);
        return true;
    }
    if (t->fork) {
        do_fork(l);
        return true;
    }
    if (t->blob[CLIENT_LANE_UP] || t->blob[CLIENT_LANE_DOWN]) { /* its bytes lie in this arena */
        do_blob(l, t->blob[CLIENT_LANE_UP] ? CLIENT_LANE_UP : CLIENT_LANE_DOWN);
        return true;
    }
    if (t->check) {
        t->check = false;
        exchange_check(l->o.replica, &t->up, &ev, &l->why);
    } else if (t->refused) {
        t->refused = false;
        exchange_refused(l->o.replica, &t->up, wall_clock(), &ev, &l->why);
    } else if (t->refill) {
        t->refill = false;
        exchange_refill(l->o.replica, &t->up, &l->codec, &l->packed, &ev, &l->why);
    } else if (t->go_back) {
        t->go_back = false;
        exchange_go_back(l->o.replica, &t->up, &ev, &l->why);
    } else if (t->begin) {
        t->begin = false;
        exchange_begin(l->o.replica, &t->up, &ev, &l->why);
    } else if (t->slice) {
        t->slice = false;
        exchange_slice(l->o.replica, &t->up, &l->codec, work, &ev, &l->why);
    } else if (t->history) {
        t->history = false;
        exchange_history(l->o.replica, &t->up, &l->codec, work, &ev, &l->why);
    } else if (t->digest) {
        t->digest = false;
        exchange_digest(l->o.replica, &t->up, wall_clock(), work, &ev, &l->why);
    } else if (t->renewed) {
        t->renewed = false;
        ev.kind = CLIENT_RENEWED;
        ev.ret = l->o.take_renewed(l->o.ctx, t->up.store_renewed, &ev.cert, &l->why);
    } else if (t->identity) {
        t->identity = false;
        ev.kind = CLIENT_IDENTITY;
        ev.ret = l->o.take_identity(l->o.ctx, t->up.take_identity.granted,
                                    t->up.take_identity.agreed_n, &l->why);
    } else if (t->load) {
        t->load = false;
        exchange_load(l->o.replica, &t->up, &l->codec, &l->packed, &ev, &l->why);
    } else if (!take_batch(l, &ev)) {
        return false;
    }
    more = t->check || t->refused || t->digest || t->renewed || t->identity || t->slice ||
           t->history || t->go_back;
    l->arena = 1 - l->arena;
    step(l, &ev);
    if (!more)
        arena_release(work);
    return true;
}

/* Everything that follows from the last step. */
static void work(struct link *l)
{
    if (l->working)
        return;
    l->working = true;
    while (l->stream != NULL && do_one(l))
        ;
    tell_drained(l);
    while (l->stream != NULL && do_one(l))
        ;
    l->working = false;
    arena_release(&l->arenas[0]);
    arena_release(&l->arenas[1]);
}

/* ---- time ---- */

static void on_timer(uv_timer_t *timer);

static void set_timer(struct link *l)
{
    msec_t now = monotonic(l), due = client_session_deadline(&l->session);
    uint64_t wait = due <= now ? 1 : due - now;

    if (l->gone || uv_is_closing((uv_handle_t *)&l->timer))
        return;
    if (l->stream != NULL && l->session.unsent > 0 && (due == 0 || wait > DRAIN_LOOK))
        wait = DRAIN_LOOK;
    else if (due == 0) {
        (void)uv_timer_stop(&l->timer);
        return;
    }
    (void)uv_timer_start(&l->timer, on_timer, wait, 0); /* cannot fail with a callback */
}

/* After whatever came from outside. */
static void settle(struct link *l)
{
    work(l);
    if (l->stream != NULL && !l->paused && !l->up.reading) {
        l->paused = true;
        stream_pause(l->stream);
    }
    set_timer(l);
    l->o.on_change(l->o.ctx);
}

/* ---- input ---- */

static size_t feed(struct link *l, struct slice data)
{
    size_t at = 0;

    while (at < data.len && l->stream != NULL && l->session.state < CLIENT_CLOSING &&
           l->up.reading) {
        struct client_event ev = {.kind = CLIENT_HEARD};
        Ztc__Frame *frame = NULL;
        size_t used = 0;
        int ret = frame_feed(&l->frames, (struct slice){data.p + at, data.len - at},
                             &l->arenas[l->arena], &used, &frame);

        at += used;
        if (ret != 0) {
            ev.kind = CLIENT_BROKEN;
            ev.ret = ret;
        } else if (frame != NULL) {
            ev.kind = CLIENT_FRAME;
            ev.frame = frame;
        }
        step(l, &ev);
        work(l);
    }
    return l->session.state < CLIENT_CLOSING ? at : data.len;
}

static void go_on(struct link *l)
{
    while (l->paused && l->stream != NULL && l->up.reading) {
        buf_consume(&l->rest, feed(l, buf_slice(&l->rest)));
        if (l->rest.len > 0 || !l->up.reading)
            return;
        l->paused = false;
        if (l->stream != NULL)
            stream_resume(l->stream);
    }
}

static void on_data(void *ctx, struct slice data)
{
    struct link *l = ctx;
    size_t used = feed(l, data);

    if (used < data.len)
        buf_put(&l->rest, data.p + used, data.len - used);
    if (l->rest.ret != 0)
        fail(l, l->rest.ret);
    settle(l);
    go_on(l);
}

static void on_timer(uv_timer_t *timer)
{
    struct link *l = timer->data;
    struct client_event ev = {.kind = CLIENT_TIMER};

    tell_drained(l);
    step(l, &ev);
    settle(l);
    go_on(l);
}

static void on_drain(void *ctx)
{
    struct link *l = ctx;

    tell_drained(l);
    settle(l);
    go_on(l);
}

/* ---- life ---- */

static void on_open(void *ctx, const struct cert *peer)
{
    struct link *l = ctx;
    struct client_facts facts;
    struct client_event ev = {.kind = CLIENT_CONNECTED, .facts = &facts};
    int ret = replica_blob_again(l->o.replica, &l->why);

    if (ret == 0)
        ret = exchange_facts(l->o.replica, SOFTWARE, &facts, &l->why);
    l->o.on_city(l->o.ctx, peer); /* TLS has seen to it that it is the ledger's city */
    facts.cert = l->o.cert;
    facts.city_time = l->o.city_now;
    if (ret != 0) {
        stream_abort(l->stream, ret);
        return;
    }
    step(l, &ev);
    settle(l);
}

/* Not while a file of it is at work. */
static void maybe_free(struct link *l)
{
    struct link_options o = l->o;
    struct err why = l->why;
    uint32_t retry_after = l->session.retry_after;
    bool served = l->served;

    if (!l->closed || l->blobs[CLIENT_LANE_UP] != NULL || l->blobs[CLIENT_LANE_DOWN] != NULL)
        return;
    client_session_release(&l->session);
    client_update_release(&l->up);
    frame_reader_release(&l->frames);
    arena_release(&l->arenas[0]);
    arena_release(&l->arenas[1]);
    body_codec_release(&l->codec);
    intake_release(&l->intake);
    buf_release(&l->packed);
    buf_release(&l->rest);
    mem_free(l);
    o.on_end(o.ctx, &why, retry_after, served);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct link *l = handle->data;

    l->closed = true;
    maybe_free(l);
}

static void end_when_idle(struct link *l)
{
    if (!intake_is_busy(&l->intake))
        uv_close((uv_handle_t *)&l->timer, on_timer_closed);
}

/* A thread has read a batch. */
static void on_ready(void *ctx)
{
    struct link *l = ctx;

    if (l->gone) {
        end_when_idle(l);
        return;
    }
    settle(l);
    go_on(l);
}

static void on_blob(void *ctx, const struct client_blob_answer *answer)
{
    struct link *l = ctx;
    struct client_event ev = {.kind = CLIENT_BLOB, .blob = *answer};

    l->blobs[answer->lane] = NULL;
    if (l->stream != NULL) {
        step(l, &ev);
        settle(l);
        go_on(l);
    }
    maybe_free(l);
}

/* The session knows why it ended; the store or the stream may have more words for it. */
static void take_cause(struct link *l, const struct err *why)
{
    int cause = l->session.cause;

    if (cause == 0)
        l->why = (struct err){.ret = 0};
    else if (l->session.told)
        (void)err_set(&l->why, cause, "市级：%s", err_text(cause));
    else if (l->why.ret != cause && why->ret == cause)
        l->why = *why;
    else if (l->why.ret != cause)
        (void)err_set(&l->why, cause, NULL);
}

static void on_close(void *ctx, const struct err *why)
{
    struct link *l = ctx;
    struct client_event ev = {.kind = CLIENT_GONE, .ret = why->ret};

    l->stream = NULL;
    l->gone = true;
    step(l, &ev);
    take_cause(l, why);
    l->o.on_change(l->o.ctx);
    end_when_idle(l);
}

static const struct stream_events events = {
    .on_open = on_open,
    .on_data = on_data,
    .on_drain = on_drain,
    .on_close = on_close,
};

static int split(const char *address, char host[256], uint16_t *port, struct err *err)
{
    const char *colon = strrchr(address, ':');
    size_t len = colon == NULL ? 0 : (size_t)(colon - address);

    if (len > 1 && address[0] == '[' && address[len - 1] == ']') {
        address++;
        len -= 2;
    }
    if (len == 0 || len >= 256)
        return err_set(err, E_INVALID, "市级服务的地址“%s”应写成 主机:端口", address);
    memcpy(host, address, len);
    host[len] = '\0';
    *port = (uint16_t)strtoul(colon + 1, NULL, 10);
    return 0;
}

static struct link *link_new(const struct link_options *o)
{
    struct link *l = mem_calloc(1, sizeof *l);

    if (l == NULL)
        return NULL;
    l->o = *o;
    arena_init(&l->arenas[0], ARENA_BYTES);
    arena_init(&l->arenas[1], ARENA_BYTES);
    body_codec_init(&l->codec);
    intake_init(&l->intake, o->loop, replica_hasher(o->replica), on_ready, l);
    frame_reader_init(&l->frames, FRAME_MAX);
    buf_init(&l->packed, FRAME_MAX * 2u);
    buf_init(&l->rest, REST_MAX);
    client_update_init(&l->up);
    (void)uv_timer_init(o->loop, &l->timer); /* cannot fail */
    l->timer.data = l;
    l->options = client_options_preset;
    l->options.snapshot_above = o->snapshot_above;
    client_session_init(&l->session, &l->options, monotonic(l));
    return l;
}

static void free_unstarted(uv_handle_t *handle)
{
    struct link *l = handle->data;

    client_session_release(&l->session);
    client_update_release(&l->up);
    frame_reader_release(&l->frames);
    mem_free(l);
}

int link_open(const struct link_options *o, const char *address, struct link **ret,
              struct err *err)
{
    char host[256];
    uint16_t port = 0;
    struct link *l;
    int status = split(address, host, &port, err);

    if (status != 0)
        return status;
    l = link_new(o);
    if (l == NULL)
        return err_set(err, E_NOMEM, NULL);
    status = stream_connect(o->net, o->tls, host, port, o->city_now,
                            client_options_preset.connect_within, &events, l, &l->stream, err);
    if (status != 0) {
        uv_close((uv_handle_t *)&l->timer, free_unstarted);
        return status;
    }
    *ret = l;
    return 0;
}

const struct client_session *link_session(const struct link *l)
{
    return &l->session;
}

void link_local(struct link *l)
{
    struct client_event ev = {.kind = CLIENT_LOCAL}, look = {.kind = CLIENT_BLOB_LOOK};

    if (l->stream == NULL || l->working)
        return;
    if (exchange_ledger(l->o.replica, &ev.ledger, NULL) == 0 &&
        (ev.ledger.own_n != l->session.ledger.own_n ||
         ev.ledger.refused != l->session.ledger.refused ||
         ev.ledger.blobs != l->session.ledger.blobs))
        step(l, &ev);
    if (l->stream != NULL)
        step(l, &look);
    settle(l);
    go_on(l);
}

void link_end(struct link *l)
{
    struct client_event ev = {.kind = CLIENT_END};

    if (l->stream == NULL)
        return;
    step(l, &ev);
    settle(l);
}
