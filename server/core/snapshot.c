/* Snapshots and older history, as the county asks for them: one piece at a time, each read afresh.
 *
 * Nothing is kept between two pieces but that the stream is loading: a place says where to go on, in this
 * session or the next. */
#include "server/core/session_internal.h"

#include "common/base/err.h"

#include <assert.h>

int server_snapshot_recv_ask(struct server_session *s, const struct server_event *ev,
                             struct server_update *up)
{
    const Ztc__SnapshotAsk *m = ev->frame->snapshot_ask;
    struct server_stream *t = server_session_stream(s, m->stream);

    if (t == NULL)
        return E_DENIED;
    if (s->hands_in || !t->loading || s->due[SERVER_DUE_SLICE] != 0)
        return E_PROTOCOL;
    if (m->has_declined && m->declined) {
        t->loading = false;
        return 0;
    }
    up->slice.wanted = true;
    up->slice.stream = m->stream;
    up->slice.after = m->has_after ? wire_slice(m->after) : (struct slice){NULL, 0};
    up->slice.max_bytes = s->options->read_bytes;
    s->due[SERVER_DUE_SLICE] = ev->now + s->options->store_within;
    return 0;
}

void server_snapshot_slice(struct server_session *s, const struct server_event *ev,
                           struct server_update *up)
{
    struct server_stream *t = server_session_stream(s, ev->slice.stream);
    Ztc__Slice m = ZTC__SLICE__INIT;

    if (s->state != SERVER_SERVING)
        return;
    s->due[SERVER_DUE_SLICE] = 0;
    if (ev->slice.ret != 0) {
        server_session_fail(s, ev, up, ev->slice.ret);
        return;
    }
    assert(t != NULL && t->loading);
    m.stream = t->stream;
    m.seq = ev->slice.seq;
    m.count = ev->slice.count;
    m.size = ev->slice.size;
    m.body = wire_data(ev->slice.body);
    m.has_next = ev->slice.next.len > 0;
    m.next = wire_data(ev->slice.next);
    frame_put_slice(&up->out, &m);
    if (m.has_next)
        return;
    t->loading = false;
    if (t->sent == 0) /* the county began it in this session, at the head that Welcome showed */
        t->sent = t->welcomed;
}

int server_snapshot_recv_history_ask(struct server_session *s, const struct server_event *ev,
                                     struct server_update *up)
{
    const Ztc__HistoryAsk *m = ev->frame->history_ask;
    const struct server_stream *t = server_session_stream(s, m->stream);

    if (t == NULL)
        return E_DENIED;
    if (s->hands_in || m->upto_seq > t->sent || s->due[SERVER_DUE_HISTORY] != 0)
        return E_PROTOCOL;
    up->history.wanted = true;
    up->history.stream = m->stream;
    up->history.from_seq = m->from_seq;
    up->history.upto_seq = m->upto_seq;
    up->history.max_entries = s->options->read_entries;
    up->history.max_bytes = s->options->read_bytes;
    s->due[SERVER_DUE_HISTORY] = ev->now + s->options->store_within;
    return 0;
}

void server_snapshot_history(struct server_session *s, const struct server_event *ev,
                             struct server_update *up)
{
    Ztc__History m = ZTC__HISTORY__INIT;

    if (s->state != SERVER_SERVING)
        return;
    s->due[SERVER_DUE_HISTORY] = 0;
    if (ev->history.ret != 0) {
        server_session_fail(s, ev, up, ev->history.ret);
        return;
    }
    m.stream = ev->history.stream;
    m.first_seq = ev->history.first_seq;
    m.count = ev->history.count;
    m.size = ev->history.size;
    m.body = wire_data(ev->history.body);
    frame_put_history(&up->out, &m);
}
