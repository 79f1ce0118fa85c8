/* The county's side of a session: states, deadlines, pushing.
 *
 *  - Connected, it says Hello with its cursors and the chain of its own changes.
 *  - Welcome gives accepted_n, the window and the heads; the own chain at accepted_n is compared.
 *  - Then acts from accepted_n + 1 are loaded and pushed while the window allows, and what the city
 *    sends is taken in (session_recv.c). When nothing is left either way: UP_TO_DATE.
 *
 * What goes wrong: the city's Bye ends the session with its code; disorder is answered by ZT-PROTOCOL,
 * silence and want of progress by ZT-TIMEOUT; a failing store by its own code. In every case the next
 * session starts from what the store holds, so nothing here needs undoing. */
#include "client/core/session_internal.h"

#include "common/base/err.h"

#include <assert.h>
#include <string.h>

const struct client_options client_options_preset = {
    .connect_within = 20000,
    .hello_within = 30000,
    .stall_within = 120000,
    .drain_within = 30000,
    .applying_max = 3,
    .queue_max = 2u << 20,
    .unsent_max = 512u << 10,
    .load_bytes = 256u << 10,
    .snapshot_above = 5000,
};

#define BIT(state) (1u << CLIENT_##state)

/* Allowed successors. */
static const unsigned successors[] = {
    [CLIENT_CONNECTING] = BIT(HELLO) | BIT(CLOSING) | BIT(OFFLINE),
    [CLIENT_HELLO] = BIT(CHECKING) | BIT(RENEW_ONLY) | BIT(NEW_IDENTITY) | BIT(REFILLING) |
                     BIT(CLOSING) | BIT(OFFLINE),
    [CLIENT_CHECKING] = BIT(NEW_IDENTITY) | BIT(CATCHING_UP) | BIT(CLOSING) | BIT(OFFLINE),
    [CLIENT_RENEW_ONLY] = BIT(CLOSING) | BIT(OFFLINE),
    [CLIENT_NEW_IDENTITY] = BIT(CLOSING) | BIT(OFFLINE),
    [CLIENT_REFILLING] = BIT(CLOSING) | BIT(OFFLINE),
    [CLIENT_CATCHING_UP] = BIT(UP_TO_DATE) | BIT(CLOSING) | BIT(OFFLINE),
    [CLIENT_UP_TO_DATE] = BIT(CATCHING_UP) | BIT(CLOSING) | BIT(OFFLINE),
    [CLIENT_CLOSING] = BIT(OFFLINE),
    [CLIENT_OFFLINE] = 0,
};

const char *client_state_name(enum client_state state)
{
    static const char *const names[] = {
#define X(name, text) [CLIENT_##name] = (text),
        CLIENT_STATES(X)
#undef X
    };

    return names[state];
}

static bool is_serving(const struct client_session *s)
{
    return s->state == CLIENT_CATCHING_UP || s->state == CLIENT_UP_TO_DATE;
}

/* Something is with the store. */
static bool takes_in(const struct client_session *s)
{
    return s->applying > 0 || s->refusing;
}

void client_session_check(const struct client_session *s)
{
    bool before_hello = s->state == CLIENT_CONNECTING || s->state == CLIENT_HELLO;

    assert(s->ledger.acked_n <= s->ledger.own_n && s->ledger.waiting <= s->ledger.own_n);
    assert(s->queue_at <= s->queue.len);
    assert(!before_hello || (s->pushed_n == 0 && s->queue.len == 0 && !takes_in(s)));
    assert(is_serving(s) || s->state >= CLIENT_CLOSING || (!s->loading && !takes_in(s)));
    assert(!s->refusing || s->applying == 0);
    assert(s->state != CLIENT_UP_TO_DATE || client_session_complete(s));
    assert(s->state != CLIENT_CLOSING || s->due[CLIENT_DUE_DRAIN] != 0);
    for (size_t i = 0; i < s->n_streams; i++)
        assert(s->streams[i].applied <= s->streams[i].arrived);
    /* Nobody is connected without progress or a reason. */
    assert(!is_serving(s) || s->ledger.waiting == 0 || s->due[CLIENT_DUE_PROGRESS] != 0 ||
           client_session_reason(s) != 0);
}

void client_session_move(struct client_session *s, enum client_state to, msec_t now)
{
    enum client_state from = s->state;

    assert((successors[from] & 1u << to) != 0);
    s->state = to;
    s->since = s->progress_at = now;
    if (s->options->trace != NULL)
        s->options->trace(s->options->trace_ctx, s, from);
}

void client_update_init(struct client_update *up)
{
    *up = (struct client_update){.reading = true};
    buf_init(&up->out, 8u << 20);
}

void client_update_release(struct client_update *up)
{
    buf_release(&up->out);
}

static void clear_update(struct client_update *up)
{
    struct buf out = up->out;

    *up = (struct client_update){.out = out};
}

static void await(struct client_session *s, enum client_due what, msec_t now, uint32_t within)
{
    s->due[what] = now + within;
}

void client_session_init(struct client_session *s, const struct client_options *options, msec_t now)
{
    *s = (struct client_session){.options = options, .state = CLIENT_CONNECTING, .since = now};
    s->progress_at = now;
    /* As much again is dead space before it is moved together. */
    buf_init(&s->queue, 2 * (options->queue_max + FRAME_PREFIX + FRAME_MAX));
    client_digest_init(s);
    await(s, CLIENT_DUE_HELLO, now, options->connect_within);
}

void client_session_release(struct client_session *s)
{
    buf_release(&s->queue);
    buf_release(&s->digest.answer);
}

struct client_stream *client_session_stream(struct client_session *s, uint32_t stream)
{
    for (size_t i = 0; i < s->n_streams; i++) {
        if (s->streams[i].stream == stream)
            return &s->streams[i];
    }
    return NULL;
}

/* ---- what is left to do ---- */

static uint64_t unpushed(const struct client_session *s)
{
    return s->ledger.own_n > s->pushed_n ? s->ledger.own_n - s->pushed_n : 0;
}

/* Pushed and not answered. */
static uint64_t in_flight(const struct client_session *s)
{
    uint64_t not_sent = unpushed(s);

    return s->ledger.waiting > not_sent ? s->ledger.waiting - not_sent : 0;
}

static bool is_behind(const struct client_session *s)
{
    for (size_t i = 0; i < s->n_streams; i++) {
        if (s->streams[i].applied < s->streams[i].head)
            return true;
    }
    return false;
}

static bool has_work(const struct client_session *s)
{
    bool comes = !s->hand_in && (is_behind(s) || client_snapshot_due(s)); /* to a retired one: nothing */

    return comes || takes_in(s) || s->queue.len > 0 || client_digest_busy(s);
}

bool client_session_complete(const struct client_session *s)
{
    return is_serving(s) && s->ledger.waiting == 0 && s->ledger.uploads == 0 && !has_work(s);
}

/* A retired replica's act that was released meanwhile is answered by an entry, which it does not receive any
 * more; the file of such an act waits for it as long. The city has all that was made here, and what it has
 * to say comes soon or not at all. */
static bool has_handed_in(const struct client_session *s)
{
    return s->hand_in && (s->ledger.waiting == 0 || s->accepted_n >= s->ledger.own_n);
}

/* Something should move without anybody here doing anything. */
static bool is_expecting(const struct client_session *s)
{
    bool may_push = unpushed(s) > 0 && !s->held;
    bool is_up = s->hold == 0 && (in_flight(s) > 0 || may_push);

    return is_serving(s) && (has_work(s) || s->loading || s->fetching || is_up || has_handed_in(s));
}

int client_session_reason(const struct client_session *s)
{
    if (!is_serving(s) || s->ledger.waiting == 0)
        return 0;
    if (s->hold != 0)
        return s->hold;
    return s->held && in_flight(s) == 0 ? E_VERSION : 0;
}

/* ---- ending ---- */

void client_session_forget_work(struct client_session *s)
{
    client_digest_end(s);
    s->loading = s->refusing = s->alone = s->fetching = s->refilling = false;
    s->applying = 0;
    buf_release(&s->queue);
    s->queue_at = 0;
    memset(s->due, 0, sizeof s->due);
    client_blob_forget(s);
}

void client_session_close(struct client_session *s, const struct client_event *ev,
                          struct client_update *up, int cause, enum client_close how)
{
    s->cause = cause;
    client_session_forget_work(s);
    await(s, CLIENT_DUE_DRAIN, ev->now, s->options->drain_within);
    client_session_move(s, CLIENT_CLOSING, ev->now);
    up->close = how;
}

static void put_bye(struct client_update *up, int cause)
{
    Ztc__Bye m = ZTC__BYE__INIT;

    m.code = wire_data(slice_str(err_code(cause)));
    frame_put_bye(&up->out, &m);
}

void client_session_fail(struct client_session *s, const struct client_event *ev,
                         struct client_update *up, int cause)
{
    bool connected = s->state != CLIENT_CONNECTING;

    if (connected)
        put_bye(up, cause);
    client_session_close(s, ev, up, cause, connected ? CLIENT_CLOSE_FLUSHED : CLIENT_CLOSE_NOW);
}

void client_session_leave(struct client_session *s, const struct client_event *ev,
                          struct client_update *up, int cause)
{
    put_bye(up, E_CLOSED);
    client_session_close(s, ev, up, cause, CLIENT_CLOSE_FLUSHED);
}

/* Everything that a retired replica may still do is done. */
static void leave_retired(struct client_session *s, const struct client_event *ev,
                          struct client_update *up)
{
    if (s->hand_in && client_session_complete(s))
        client_session_leave(s, ev, up, E_REVOKED);
}

/* ---- time ---- */

static bool may_read(const struct client_session *s)
{
    return s->state < CLIENT_CLOSING && s->queue.len - s->queue_at < s->options->queue_max;
}

void client_session_progress(struct client_session *s, msec_t now)
{
    s->progress_at = now;
    s->due[CLIENT_DUE_PROGRESS] = 0; /* watch_progress starts it anew */
}

static void watch_progress(struct client_session *s, msec_t now)
{
    if (!is_expecting(s))
        s->due[CLIENT_DUE_PROGRESS] = 0;
    else if (s->due[CLIENT_DUE_PROGRESS] == 0)
        await(s, CLIENT_DUE_PROGRESS, now, s->options->stall_within);
}

/* The city judges us by what it hears and we judge it the same way: a Ping is due when either
 * direction was silent, at most one an interval. */
static void watch_peer(struct client_session *s, msec_t now)
{
    msec_t silent;

    if (s->state < CLIENT_CHECKING || s->state >= CLIENT_CLOSING)
        return;
    if (s->due[CLIENT_DUE_PEER] == 0)
        s->heard_at = now; /* a pause was ours: the city's silence begins anew */
    silent = s->heard_at < s->sent_at ? s->heard_at : s->sent_at;
    if (silent < s->pinged_at)
        silent = s->pinged_at;
    s->due[CLIENT_DUE_PING] = silent + s->ping_every;
    s->due[CLIENT_DUE_PEER] = may_read(s) ? s->heard_at + s->dead_after : 0;
}

static void send_ping(struct client_session *s, const struct client_event *ev,
                      struct client_update *up, bool answer)
{
    Ztc__Ping m = ZTC__PING__INIT;
    Ztc__Statement said = ZTC__STATEMENT__INIT;

    said.own_n = s->ledger.own_n;
    said.acked_n = s->ledger.acked_n;
    said.waiting = s->ledger.waiting;
    said.refused = s->ledger.refused;
    said.attachments = s->ledger.blobs;
    m.said = &said;
    m.answer = answer;
    m.clock = ev->clock;
    frame_put_ping(&up->out, &m);
    s->pinged_at = ev->now;
}

static void on_timer(struct client_session *s, const struct client_event *ev,
                     struct client_update *up)
{
    bool late[CLIENT_DUES];

    for (size_t i = 0; i < CLIENT_DUES; i++)
        late[i] = s->due[i] != 0 && s->due[i] <= ev->now;
    if (s->state == CLIENT_CLOSING) {
        if (late[CLIENT_DUE_DRAIN])
            up->close = CLIENT_CLOSE_NOW;
    } else if (late[CLIENT_DUE_HELLO] && s->state == CLIENT_CONNECTING) {
        client_session_fail(s, ev, up, E_UNREACHABLE);
    } else if (late[CLIENT_DUE_PROGRESS] && has_handed_in(s) && !has_work(s) &&
               s->due[CLIENT_DUE_BLOB] == 0) {
        client_session_leave(s, ev, up, E_REVOKED);
    } else if (late[CLIENT_DUE_HELLO] || late[CLIENT_DUE_PEER] || late[CLIENT_DUE_PROGRESS] ||
               late[CLIENT_DUE_DRAIN] || late[CLIENT_DUE_BLOB] || late[CLIENT_DUE_RENEWED]) {
        client_session_fail(s, ev, up, E_TIMEOUT);
    } else if (late[CLIENT_DUE_PING]) {
        send_ping(s, ev, up, true);
    }
    if (late[CLIENT_DUE_RENEW] && s->state < CLIENT_CLOSING)
        client_renew_due(s);
}

msec_t client_session_deadline(const struct client_session *s)
{
    msec_t first = 0;

    for (size_t i = 0; i < CLIENT_DUES; i++) {
        if (s->due[i] != 0 && (first == 0 || s->due[i] < first))
            first = s->due[i];
    }
    return first;
}

/* ---- pushing ---- */

static void want_load(struct client_session *s, struct client_update *up)
{
    uint64_t flying = in_flight(s);

    if (!is_serving(s) || s->loading || s->held || unpushed(s) == 0 || flying >= s->push_window ||
        s->unsent >= s->options->unsent_max)
        return;
    up->load.wanted = true;
    up->load.from_n = s->pushed_n + 1;
    up->load.max_count = s->push_window - (uint32_t)flying;
    if (up->load.max_count > WIRE_BATCH_MAX)
        up->load.max_count = WIRE_BATCH_MAX;
    up->load.max_bytes = s->options->load_bytes;
    up->load.catalogue = s->city_catalogue;
    s->loading = true;
}

static void on_loaded(struct client_session *s, const struct client_event *ev,
                      struct client_update *up)
{
    Ztc__Push m = ZTC__PUSH__INIT;

    if (!is_serving(s))
        return;
    s->loading = false;
    if (ev->ret != 0) {
        client_session_fail(s, ev, up, ev->ret);
        return;
    }
    if (ev->loaded.count == 0) {
        s->held = true;
        return;
    }
    assert(ev->loaded.first_n == s->pushed_n + 1);
    m.first_n = ev->loaded.first_n;
    m.count = ev->loaded.count;
    m.size = ev->loaded.size;
    m.body = wire_data(ev->loaded.body);
    frame_put_push(&up->out, &m);
    s->pushed_n += ev->loaded.count;
    /* The loader may have seen changes whose LOCAL is still under way. */
    if (s->ledger.own_n < s->pushed_n) {
        s->ledger.waiting += s->pushed_n - s->ledger.own_n;
        s->ledger.own_n = s->pushed_n;
    }
}

/* Nothing waits to go out, so that an attachment may have the line. */
static bool is_quiet(const struct client_session *s)
{
    bool may_push = unpushed(s) > 0 && in_flight(s) < s->push_window && !s->held;

    return s->unsent == 0 && !s->loading && !may_push;
}

/* ---- one function an event ---- */

static void take_ledger(struct client_session *s, const struct client_event *ev)
{
    const struct client_ledger *l = &ev->ledger;

    if (l->acked_n > s->ledger.acked_n || l->waiting < s->ledger.waiting)
        client_session_progress(s, ev->now);
    if (l->own_n > s->ledger.own_n)
        s->held = false;
    if (l->uploads > 0)
        client_blob_look(s);
    s->ledger = *l;
}

/* A head that is there joins Hello's. */
static void put_shown(Ztc__Hello *m, const struct client_shown *h, Ztc__SignedHead *at,
                      Ztc__SignedHead **list)
{
    if (h->head_len == 0)
        return;
    ztc__signed_head__init(at);
    at->head = wire_data((struct slice){h->head, h->head_len});
    at->signature = wire_data((struct slice){h->signature, h->signature_len});
    list[m->n_heads++] = at;
}

static void put_hello(const struct client_event *ev, struct client_update *up)
{
    const struct client_facts *f = ev->facts;
    Ztc__Hello m = ZTC__HELLO__INIT;
    Ztc__SignedHead witness = ZTC__SIGNED_HEAD__INIT;
    Ztc__Cursor cursors[CLIENT_STREAMS];
    Ztc__Cursor *list[CLIENT_STREAMS];
    Ztc__SignedHead heads[CLIENT_STREAMS];
    Ztc__SignedHead *head_list[CLIENT_STREAMS];

    for (size_t i = 0; i < f->n_cursors; i++) {
        const struct client_cursor *c = &f->cursors[i];

        ztc__cursor__init(&cursors[i]);
        cursors[i].stream = c->stream;
        cursors[i].seq = c->seq;
        cursors[i].hash = wire_data((struct slice){c->hash, HASH_SIZE});
        cursors[i].incarnation = wire_data((struct slice){c->incarnation.b, ID_SIZE});
        cursors[i].has_loading = c->loading != CLIENT_WHOLE;
        cursors[i].loading = c->loading != CLIENT_WHOLE;
        cursors[i].has_log_from = c->history < c->base;
        cursors[i].log_from = c->base + 1;
        list[i] = &cursors[i];
        put_shown(&m, &f->heads[i], &heads[i], head_list);
    }
    m.protocol_min = PROTOCOL_MIN;
    m.protocol_max = PROTOCOL_MAX;
    m.software = wire_data(slice_str(f->software));
    m.catalogue = f->catalogue;
    m.replica = wire_data((struct slice){f->replica.b, ID_SIZE});
    m.cursors = list;
    m.heads = head_list;
    m.n_cursors = f->n_cursors;
    m.own_n = f->ledger.own_n;
    m.own_chain = wire_data((struct slice){f->own_chain, HASH_SIZE});
    m.has_acked_n = m.has_acked_chain = true;
    m.acked_n = f->ledger.acked_n;
    m.acked_chain = wire_data((struct slice){f->acked_chain, HASH_SIZE});
    m.wall_clock = ev->clock;
    m.waiting = f->ledger.waiting;
    m.has_refused = m.has_attachments = true;
    m.refused = f->ledger.refused;
    m.attachments = f->ledger.blobs;
    if (f->witness.head_len > 0) {
        witness.head = wire_data((struct slice){f->witness.head, f->witness.head_len});
        witness.signature =
            wire_data((struct slice){f->witness.signature, f->witness.signature_len});
        m.city_head = &witness;
    }
    frame_put_hello(&up->out, &m);
}

static void on_connected(struct client_session *s, const struct client_event *ev,
                         struct client_update *up)
{
    const struct client_facts *f = ev->facts;

    if (s->state != CLIENT_CONNECTING)
        return;
    assert(f->n_cursors <= CLIENT_STREAMS);
    s->ledger = f->ledger;
    s->hello_own_n = f->ledger.own_n;
    s->hello_acked_n = f->ledger.acked_n;
    memcpy(s->own_chain, f->own_chain, HASH_SIZE);
    memcpy(s->acked_chain, f->acked_chain, HASH_SIZE);
    s->cert = f->cert;
    s->city_time = f->city_time;
    s->n_streams = f->n_cursors;
    for (size_t i = 0; i < f->n_cursors; i++) {
        struct client_stream *t = &s->streams[i];

        t->stream = f->cursors[i].stream;
        t->applied = t->arrived = t->head = f->cursors[i].seq;
        t->loading = f->cursors[i].loading;
        t->has_place = f->cursors[i].has_place;
        memcpy(t->place, f->cursors[i].place, WIRE_PLACE_SIZE);
        t->history = f->cursors[i].history;
        t->base = f->cursors[i].base;
    }
    put_hello(ev, up);
    client_session_move(s, CLIENT_HELLO, ev->now);
    await(s, CLIENT_DUE_HELLO, ev->now, s->options->hello_within);
}

static void on_checked(struct client_session *s, const struct client_event *ev,
                       struct client_update *up)
{
    if (s->state != CLIENT_CHECKING)
        return;
    if (ev->ret == E_FORK) {
        client_identity_begin(s, ev, up, s->pushed_n);
        return;
    }
    if (ev->ret != 0) {
        client_session_fail(s, ev, up, ev->ret);
        return;
    }
    s->due[CLIENT_DUE_HELLO] = 0;
    client_blob_look(s);
    client_session_move(s, CLIENT_CATCHING_UP, ev->now);
}

static void on_applied(struct client_session *s, const struct client_event *ev,
                       struct client_update *up)
{
    struct client_stream *t = client_session_stream(s, ev->applied.stream);

    take_ledger(s, ev);
    if (!is_serving(s))
        return;
    assert(s->applying > 0);
    s->applying--;
    if (ev->ret != 0) {
        client_session_fail(s, ev, up, ev->ret);
        return;
    }
    assert(t != NULL && ev->applied.seq > t->applied && ev->applied.seq <= t->arrived);
    t->applied = ev->applied.seq;
    s->lanes[CLIENT_LANE_DOWN].look = true; /* the record of a file that is wanted may have come */
    client_digest_differs(s, ev->applied.differs);
    client_session_progress(s, ev->now);
}

static void on_refused_stored(struct client_session *s, const struct client_event *ev,
                              struct client_update *up)
{
    Ztc__RefusedAck m = ZTC__REFUSED_ACK__INIT;

    take_ledger(s, ev);
    if (!is_serving(s))
        return;
    s->refusing = false;
    if (ev->ret != 0) {
        client_session_fail(s, ev, up, ev->ret);
        return;
    }
    m.first_n = ev->refused.first_n;
    m.until_n = ev->refused.until_n;
    frame_put_refused_ack(&up->out, &m);
    if (ev->refused.first_n > s->refused_n) { /* not one that is only repeated */
        s->refused_n = ev->refused.first_n;
        client_session_progress(s, ev->now);
    }
}

static void on_fetched(struct client_session *s, const struct client_event *ev,
                       struct client_update *up)
{
    int ret;

    if (!is_serving(s))
        return;
    ret = ev->ret;
    if (ret == 0)
        ret = ev->kind == CLIENT_BEGUN ? client_snapshot_begun(s, ev)
                                       : client_snapshot_stored(s, ev);
    if (ret != 0)
        client_session_fail(s, ev, up, ret);
    else
        client_session_progress(s, ev->now);
}

static void on_drained(struct client_session *s, const struct client_event *ev)
{
    bool moved = ev->unsent < s->unsent;

    s->unsent = ev->unsent;
    if (s->state == CLIENT_CLOSING)
        return;
    if (s->unsent == 0)
        s->due[CLIENT_DUE_DRAIN] = 0;
    else if (moved)
        await(s, CLIENT_DUE_DRAIN, ev->now, s->options->drain_within);
}

static void on_gone(struct client_session *s, const struct client_event *ev)
{
    if (s->state == CLIENT_CONNECTING)
        s->cause = ev->ret != 0 ? ev->ret : E_UNREACHABLE;
    else if (s->state != CLIENT_CLOSING)
        s->cause = ev->ret != 0 ? ev->ret : E_CLOSED;
    client_session_forget_work(s);
    client_session_move(s, CLIENT_OFFLINE, ev->now);
}

static void on_end(struct client_session *s, const struct client_event *ev,
                   struct client_update *up)
{
    bool connected = s->state != CLIENT_CONNECTING;

    if (is_serving(s))
        send_ping(s, ev, up, false); /* the city's last word on 已全部上传, until we are back */
    if (connected)
        put_bye(up, E_CLOSED);
    client_session_close(s, ev, up, 0, connected ? CLIENT_CLOSE_FLUSHED : CLIENT_CLOSE_NOW);
}

static void dispatch(struct client_session *s, const struct client_event *ev,
                     struct client_update *up)
{
    bool open = s->state < CLIENT_CLOSING;

    switch (ev->kind) {
    case CLIENT_CONNECTED:
        on_connected(s, ev, up);
        break;
    case CLIENT_FRAME:
        if (open)
            client_session_recv(s, ev, up);
        break;
    case CLIENT_BROKEN:
        if (open)
            client_session_fail(s, ev, up, ev->ret);
        break;
    case CLIENT_HEARD:
        break; /* noted in the step */
    case CLIENT_CHECKED:
        on_checked(s, ev, up);
        break;
    case CLIENT_LOCAL:
        take_ledger(s, ev);
        break;
    case CLIENT_LOADED:
        on_loaded(s, ev, up);
        break;
    case CLIENT_APPLIED:
        on_applied(s, ev, up);
        break;
    case CLIENT_REFUSED_STORED:
        on_refused_stored(s, ev, up);
        break;
    case CLIENT_BEGUN:
    case CLIENT_SLICE_STORED:
    case CLIENT_HISTORY_STORED:
        on_fetched(s, ev, up);
        break;
    case CLIENT_COMPARED:
        client_digest_compared(s, ev, up);
        break;
    case CLIENT_DIGESTED:
        client_digest_answered(s, ev, up);
        client_session_progress(s, ev->now);
        break;
    case CLIENT_REQUEST:
        client_renew_request(s, ev, up);
        break;
    case CLIENT_RENEWED:
        client_renew_stored(s, ev, up);
        break;
    case CLIENT_FORK:
        client_identity_points(s, ev, up);
        break;
    case CLIENT_IDENTITY:
        client_identity_taken(s, ev, up);
        break;
    case CLIENT_REFILL:
        client_refill_loaded(s, ev, up);
        break;
    case CLIENT_GONE_BACK:
        take_ledger(s, ev);
        client_refill_gone_back(s, ev, up);
        break;
    case CLIENT_BLOB:
        client_blob_answered(s, ev, up);
        break;
    case CLIENT_BLOB_LOOK:
        client_blob_look(s);
        break;
    case CLIENT_DRAINED:
        on_drained(s, ev);
        break;
    case CLIENT_TIMER:
        on_timer(s, ev, up);
        break;
    case CLIENT_END:
        if (open)
            on_end(s, ev, up);
        break;
    case CLIENT_GONE:
        on_gone(s, ev);
        break;
    }
}

static void settle(struct client_session *s, msec_t now)
{
    bool complete = client_session_complete(s);

    if (s->state == CLIENT_CATCHING_UP && complete)
        client_session_move(s, CLIENT_UP_TO_DATE, now);
    else if (s->state == CLIENT_UP_TO_DATE && !complete)
        client_session_move(s, CLIENT_CATCHING_UP, now);
}

void client_session_step(struct client_session *s, const struct client_event *ev,
                         struct client_update *up)
{
    size_t before = up->out.len;

    clear_update(up);
    if (s->state == CLIENT_OFFLINE)
        return;
    if (ev->kind == CLIENT_FRAME || ev->kind == CLIENT_HEARD)
        s->heard_at = ev->now;
    dispatch(s, ev, up);
    client_digest_take_in(s, ev, up);
    if (is_serving(s))
        client_session_take_in(s, ev, up);
    if (is_serving(s))
        client_snapshot_want(s, up);
    client_digest_want(s, up);
    want_load(s, up);
    client_renew_want(s, up);
    client_identity_want(s, up);
    leave_retired(s, ev, up);
    client_blob_go_on(s, ev, up, is_quiet(s));
    if (up->out.ret != 0) { /* half a frame must never be sent: the connection just ends */
        if (s->state < CLIENT_CLOSING)
            client_session_close(s, ev, up, E_NOMEM, CLIENT_CLOSE_NOW);
        return;
    }
    if (up->out.len > before) {
        s->sent_at = ev->now;
        s->unsent += up->out.len - before;
        if (s->due[CLIENT_DUE_DRAIN] == 0)
            await(s, CLIENT_DUE_DRAIN, ev->now, s->options->drain_within);
    }
    settle(s, ev->now);
    watch_progress(s, ev->now);
    watch_peer(s, ev->now);
    s->due[CLIENT_DUE_BLOB] = is_serving(s) ? client_blob_due(s) : 0;
    s->due[CLIENT_DUE_BLOB_RETRY] = is_serving(s) ? client_blob_retry(s) : 0;
    up->reading = may_read(s);
    up->deadline = client_session_deadline(s);
    client_session_check(s);
}
