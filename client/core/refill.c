/* The city was restored and this computer has more than it: the way back to one history.
 *
 *   Welcome (AHEAD, restored) ─► RefillAsk ─► loaded ─► Refill … ─► GoBack ─► log cut ─► Bye, and again
 *                                                               └─► Bye ZT-RECOVERING: later again */
#include "client/core/session_internal.h"

#include "common/base/err.h"

static void await(struct client_session *s, const struct client_event *ev)
{
    s->due[CLIENT_DUE_HELLO] = ev->now + s->options->stall_within;
}

void client_refill_start(struct client_session *s, const struct client_event *ev,
                         struct client_update *up)
{
    up->welcome = ev->frame->welcome;
    await(s, ev);
    client_session_move(s, CLIENT_REFILLING, ev->now);
}

/* Only what this computer has may be asked for, one piece after another. */
int client_refill_recv_ask(struct client_session *s, const struct client_event *ev,
                           struct client_update *up)
{
    const Ztc__RefillAsk *m = ev->frame->refill_ask;
    const struct client_stream *t = client_session_stream(s, m->stream);

    if (t == NULL)
        return E_DENIED;
    if (s->refilling || m->upto_seq > t->applied)
        return E_PROTOCOL;
    s->refilling = true;
    up->refill.wanted = true;
    up->refill.stream = m->stream;
    up->refill.from_seq = m->from_seq;
    up->refill.upto_seq = m->upto_seq;
    up->refill.max_bytes = s->options->load_bytes;
    await(s, ev);
    return 0;
}

void client_refill_loaded(struct client_session *s, const struct client_event *ev,
                          struct client_update *up)
{
    Ztc__Refill m = ZTC__REFILL__INIT;

    if (s->state != CLIENT_REFILLING)
        return;
    s->refilling = false;
    if (ev->ret != 0) {
        client_session_fail(s, ev, up, ev->ret);
        return;
    }
    m.stream = ev->refill.stream;
    m.first_seq = ev->refill.first_seq;
    m.count = ev->refill.count;
    m.size = ev->refill.size;
    m.body = wire_data(ev->refill.body);
    frame_put_refill(&up->out, &m);
    client_session_progress(s, ev->now);
    await(s, ev);
}

int client_refill_recv_back(struct client_session *s, const struct client_event *ev,
                            struct client_update *up)
{
    const Ztc__GoBack *m = ev->frame->go_back;

    if (s->refilling)
        return E_PROTOCOL;
    for (size_t i = 0; i < m->n_places; i++) {
        const struct client_stream *t = client_session_stream(s, m->places[i]->stream);

        if (t == NULL)
            return E_DENIED;
        if (m->places[i]->seq > t->applied)
            return E_PROTOCOL;
    }
    s->refilling = true;
    up->go_back = m;
    await(s, ev);
    return 0;
}

void client_refill_gone_back(struct client_session *s, const struct client_event *ev,
                             struct client_update *up)
{
    if (s->state != CLIENT_REFILLING)
        return;
    s->refilling = false;
    if (ev->ret != 0)
        client_session_fail(s, ev, up, ev->ret);
    else
        client_session_leave(s, ev, up, 0);
}
