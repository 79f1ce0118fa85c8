/* A stream that begins with a snapshot, and the history that follows when nothing else is to do.
 *
 *   UNDECIDED ── the city has few entries: declined ───────────────────────────> WHOLE
 *       └── begin at Welcome's signed head ──> SLICES ── one at a time, to the last ──> WHOLE
 *
 * Who has made changes declines, too: entries say what became of each, and a snapshot has rows only.
 * One stream after the other, `shared` first, as with entries. A slice and a piece of history are asked
 * for one at a time: the next request says where the one before ended, so a cut costs one piece. */
#include "client/core/session_internal.h"

#include "common/base/err.h"

#include <assert.h>
#include <string.h>

void client_snapshot_head(struct client_stream *t, const Ztc__SignedHead *h)
{
    t->head_len = h->head.len;
    t->signature_len = h->signature.len;
    memcpy(t->head_bytes, h->head.data, h->head.len);
    memcpy(t->signature, h->signature.data, h->signature.len);
}

bool client_snapshot_due(const struct client_session *s)
{
    for (size_t i = 0; i < s->n_streams; i++) {
        if (s->streams[i].loading != CLIENT_WHOLE)
            return true;
    }
    return false;
}

bool client_session_history(const struct client_session *s)
{
    for (size_t i = 0; i < s->n_streams; i++) {
        if (s->streams[i].history < s->streams[i].base)
            return true;
    }
    return false;
}

static void ask(struct client_session *s, const struct client_stream *t, bool declined,
                struct client_update *up)
{
    Ztc__SnapshotAsk m = ZTC__SNAPSHOT_ASK__INIT;

    m.stream = t->stream;
    m.has_after = t->has_place && !declined;
    m.after = wire_data((struct slice){t->place, WIRE_PLACE_SIZE});
    m.has_declined = declined;
    m.declined = declined;
    frame_put_snapshot_ask(&up->out, &m);
    s->fetching = !declined;
}

static void begin(struct client_session *s, struct client_stream *t, struct client_update *up)
{
    up->begin.wanted = true;
    up->begin.stream = t->stream;
    up->begin.head = (struct slice){t->head_bytes, t->head_len};
    up->begin.signature = (struct slice){t->signature, t->signature_len};
    s->fetching = true;
}

/* The first stream whose records are to come. */
static void want_slice(struct client_session *s, struct client_update *up)
{
    for (size_t i = 0; i < s->n_streams && !s->fetching; i++) {
        struct client_stream *t = &s->streams[i];

        if (t->loading == CLIENT_SLICES) {
            ask(s, t, false, up);
        } else if (t->loading == CLIENT_UNDECIDED && t->head > s->options->snapshot_above &&
                   t->head_len > 0 && s->ledger.own_n == 0) {
            begin(s, t, up);
        } else if (t->loading == CLIENT_UNDECIDED) {
            t->loading = CLIENT_WHOLE;
            ask(s, t, true, up);
        }
    }
}

static void want_history(struct client_session *s, struct client_update *up)
{
    for (size_t i = 0; i < s->n_streams; i++) {
        const struct client_stream *t = &s->streams[i];
        Ztc__HistoryAsk m = ZTC__HISTORY_ASK__INIT;

        if (t->history >= t->base)
            continue;
        m.stream = t->stream;
        m.from_seq = t->history + 1;
        m.upto_seq = t->base;
        frame_put_history_ask(&up->out, &m);
        s->fetching = true;
        return;
    }
}

void client_snapshot_want(struct client_session *s, struct client_update *up)
{
    if (s->fetching || s->hand_in)
        return;
    want_slice(s, up);
    if (!s->fetching && client_session_complete(s))
        want_history(s, up);
}

static struct client_stream *loading(struct client_session *s)
{
    for (size_t i = 0; i < s->n_streams; i++) {
        if (s->streams[i].loading != CLIENT_WHOLE)
            return &s->streams[i];
    }
    return NULL;
}

int client_snapshot_begun(struct client_session *s, const struct client_event *ev)
{
    struct client_stream *t = loading(s);

    assert(t != NULL && t->loading == CLIENT_UNDECIDED);
    t->applied = t->arrived = t->base = ev->seq;
    t->loading = CLIENT_SLICES;
    s->fetching = false;
    return 0;
}

int client_snapshot_recv_slice(struct client_session *s, const Ztc__Slice *m,
                               struct client_update *up)
{
    struct client_stream *t = loading(s);

    if (!s->fetching || t == NULL || t->loading != CLIENT_SLICES || m->stream != t->stream ||
        m->seq < t->applied)
        return E_PROTOCOL;
    if (t->head < m->seq)
        t->head = m->seq;
    t->has_place = m->has_next;
    if (m->has_next)
        memcpy(t->place, m->next.data, WIRE_PLACE_SIZE);
    up->store_slice = m;
    return 0;
}

int client_snapshot_recv_history(struct client_session *s, const Ztc__History *m,
                                 struct client_update *up)
{
    struct client_stream *t = client_session_stream(s, m->stream);

    if (!s->fetching || t == NULL || client_snapshot_due(s) || m->first_seq != t->history + 1 ||
        m->count > t->base - t->history)
        return E_PROTOCOL;
    up->store_history = m;
    return 0;
}

int client_snapshot_stored(struct client_session *s, const struct client_event *ev)
{
    struct client_stream *t = loading(s);

    s->fetching = false;
    if (ev->kind == CLIENT_SLICE_STORED) {
        assert(t != NULL);
        t->loading = t->has_place ? CLIENT_SLICES : CLIENT_WHOLE;
        return 0;
    }
    for (size_t i = 0; i < s->n_streams; i++) {
        if (s->streams[i].history < s->streams[i].base) {
            s->streams[i].history = ev->seq;
            break;
        }
    }
    return 0;
}
