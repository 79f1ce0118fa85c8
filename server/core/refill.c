/* A county that has more than a restored city: it hands back what it can prove, then goes back or waits.
 *
 *   Welcome (AHEAD, restored) ─► RefillAsk ─► Refill … ─► taken ─► the next stream ─► GoBack or Bye
 *
 * One stream after another, `shared` first: entries name the seq of it that must be applied before. */
#include "server/core/session_internal.h"

#include "common/base/err.h"

#include <assert.h>

#define COME_BACK_MS 1000u /* after something was taken: the next Hello is judged afresh */

/* Places that the county must go back to; then it leaves by itself. */
static void put_go_back(struct server_session *s, const struct server_event *ev,
                        struct server_update *up)
{
    Ztc__GoBack m = ZTC__GO_BACK__INIT;
    Ztc__Place places[SERVER_STREAMS];
    Ztc__Place *list[SERVER_STREAMS];

    for (size_t i = 0; i < SERVER_STREAMS; i++) {
        if (!s->streams[i].back)
            continue;
        ztc__place__init(&places[m.n_places]);
        places[m.n_places].stream = s->streams[i].stream;
        places[m.n_places].seq = s->streams[i].back_to;
        list[m.n_places] = &places[m.n_places];
        m.n_places++;
    }
    m.places = list;
    frame_put_go_back(&up->out, &m);
    s->due[SERVER_DUE_REFILL] = ev->now + s->options->store_within;
    s->gone_back = true;
}

static bool must_go_back(const struct server_session *s)
{
    for (size_t i = 0; i < SERVER_STREAMS; i++) {
        if (s->streams[i].back)
            return true;
    }
    return false;
}

/* The next stream's first piece, or the end. */
static void ask_next(struct server_session *s, const struct server_event *ev,
                     struct server_update *up)
{
    Ztc__RefillAsk m = ZTC__REFILL_ASK__INIT;

    for (size_t i = 0; i < SERVER_STREAMS; i++) {
        const struct server_stream *t = &s->streams[i];

        if (t->ask_from > t->ask_upto)
            continue;
        m.stream = t->stream;
        m.from_seq = t->ask_from;
        m.upto_seq = t->ask_upto;
        frame_put_refill_ask(&up->out, &m);
        s->due[SERVER_DUE_REFILL] = ev->now + s->options->store_within;
        return;
    }
    if (must_go_back(s))
        put_go_back(s, ev, up);
    else
        server_session_bye(s, ev, up, E_RECOVERING,
                           s->refilled ? COME_BACK_MS : s->options->retry_after);
}

void server_refill_start(struct server_session *s, const struct server_event *ev,
                         struct server_update *up)
{
    const struct server_facts *f = ev->facts.facts;

    for (size_t i = 0; i < SERVER_STREAMS; i++) {
        struct server_stream *t = &s->streams[i];

        t->ask_from = t->first_asked = f->refill[i].from_seq;
        t->ask_upto = f->refill[i].upto_seq;
        t->back = f->refill[i].back;
        t->back_to = f->refill[i].back_to;
    }
    server_session_move(s, SERVER_REFILLING);
    ask_next(s, ev, up);
}

int server_refill_recv(struct server_session *s, const struct server_event *ev,
                       struct server_update *up)
{
    const Ztc__Refill *m = ev->frame->refill;
    struct server_stream *t = server_session_stream(s, m->stream);
    Ztc__EntriesBody *body;
    int ret;

    if (t == NULL)
        return E_DENIED;
    if (s->due[SERVER_DUE_REFILL] == 0 || s->gone_back || t->ask_from > t->ask_upto ||
        m->first_seq != t->ask_from || m->first_seq + m->count - 1 > t->ask_upto)
        return E_PROTOCOL;
    ret = body_open_entries(ev->codec, wire_slice(m->body), m->size, m->count, ev->arena, &body);
    if (ret != 0)
        return ret;
    for (size_t i = 0; i < body->n_entries; i++) {
        if (!body->entries[i]->has_bytes)
            return E_PROTOCOL; /* an echo says nothing here */
    }
    up->refill.body = body;
    up->refill.stream = m->stream;
    up->refill.first_seq = m->first_seq;
    up->refill.from_seq = t->first_asked;
    up->refill.last = m->first_seq + m->count - 1 == t->ask_upto;
    t->ask_from += m->count;
    s->due[SERVER_DUE_REFILL] = ev->now + s->options->store_within;
    return 0;
}

/* What it cannot prove is not taken, which is told the city's people. Where it must go back it goes all the
 * same: its own changes become pending again and are judged like any others. */
static bool may_go_on(const struct server_session *s, int ret)
{
    return ret == 0 || ((ret == E_AUTH || ret == E_CORRUPT || ret == E_MALFORMED) && must_go_back(s));
}

void server_refill_taken(struct server_session *s, const struct server_event *ev,
                         struct server_update *up)
{
    if (s->state != SERVER_REFILLING)
        return;
    s->due[SERVER_DUE_REFILL] = 0;
    if (!may_go_on(s, ev->refilled.ret)) {
        server_session_fail(s, ev, up, ev->refilled.ret);
        return;
    }
    s->refilled = s->refilled || ev->refilled.ret == 0;
    ask_next(s, ev, up);
}
