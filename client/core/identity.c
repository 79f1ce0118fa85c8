/* A new identity for a computer whose own changes are not those that the city has of it.
 *
 *   fork ─► points of the own chain ─► NewIdentity ─► the last that agrees ─► … narrower … ─► request
 *   ─► NewIdentity ─► NewIdentityGranted ─► take_identity ─► the session ends, the next is another's
 *
 * The city that serves us meanwhile may send whatever a session is sent: nothing of it is looked at. */
#include "client/core/session_internal.h"

#include "common/base/err.h"

#include <assert.h>

static void want(struct client_session *s, msec_t now)
{
    s->fork.phase = CLIENT_FORK_WANTED;
    s->due[CLIENT_DUE_HELLO] = now + s->options->hello_within;
}

void client_identity_begin(struct client_session *s, const struct client_event *ev,
                           struct client_update *up, uint64_t accepted_n)
{
    if (s->hand_in || s->hello_acked_n > accepted_n) {
        client_session_fail(s, ev, up, E_FORK);
        return;
    }
    client_session_forget_work(s);
    s->fork = (struct client_fork){.lo = s->hello_acked_n, .hi = s->hello_own_n};
    if (s->fork.hi > accepted_n)
        s->fork.hi = accepted_n;
    client_session_move(s, CLIENT_NEW_IDENTITY, ev->now);
    want(s, ev->now);
}

void client_identity_want(struct client_session *s, struct client_update *up)
{
    if (s->state != CLIENT_NEW_IDENTITY || s->fork.phase != CLIENT_FORK_WANTED)
        return;
    s->fork.phase = CLIENT_FORK_ASKING;
    up->fork.wanted = true;
    up->fork.lo = s->fork.lo;
    up->fork.hi = s->fork.hi;
}

static void put_ask(const struct client_event *ev, struct client_update *up)
{
    Ztc__NewIdentity m = ZTC__NEW_IDENTITY__INIT;
    Ztc__OwnPoint points[WIRE_POINTS_MAX], *list[WIRE_POINTS_MAX];

    for (size_t i = 0; i < ev->fork.n_points; i++) {
        ztc__own_point__init(&points[i]);
        points[i].n = ev->fork.points[i].n;
        points[i].chain = wire_data((struct slice){ev->fork.points[i].chain, HASH_SIZE});
        list[i] = &points[i];
    }
    m.points = list;
    m.n_points = ev->fork.n_points;
    m.has_replica = m.has_csr = ev->fork.request.len > 0;
    m.replica = wire_data((struct slice){ev->fork.replica.b, ID_SIZE});
    m.csr = wire_data(ev->fork.request);
    frame_put_new_identity(&up->out, &m);
}

void client_identity_points(struct client_session *s, const struct client_event *ev,
                            struct client_update *up)
{
    bool request = ev->ret == 0 && ev->fork.request.len > 0;

    if (s->state != CLIENT_NEW_IDENTITY || s->fork.phase != CLIENT_FORK_ASKING)
        return;
    if (ev->ret != 0) {
        client_session_fail(s, ev, up, ev->ret);
        return;
    }
    assert(ev->fork.n_points >= 1 && ev->fork.n_points <= WIRE_POINTS_MAX);
    assert(!request || (ev->fork.n_points == 1 && ev->fork.points[0].n == s->fork.lo));
    s->fork.n_asked = ev->fork.n_points;
    for (size_t i = 0; i < s->fork.n_asked; i++)
        s->fork.asked[i] = ev->fork.points[i].n;
    s->fork.phase = request ? CLIENT_FORK_REQUEST : CLIENT_FORK_POINTS;
    put_ask(ev, up);
    s->due[CLIENT_DUE_HELLO] = ev->now + s->options->stall_within;
}

/* The chains are equal at LO and not any more behind HI. */
static int narrow(struct client_fork *f, const Ztc__NewIdentityGranted *m)
{
    size_t i = 0;

    if (!m->has_agreed_n) {
        f->hi = f->asked[0] - 1;
        return 0;
    }
    while (i < f->n_asked && f->asked[i] != m->agreed_n)
        i++;
    if (i == f->n_asked)
        return E_PROTOCOL;
    f->lo = m->agreed_n;
    f->hi = i + 1 < f->n_asked ? f->asked[i + 1] - 1 : f->lo;
    return 0;
}

int client_identity_recv(struct client_session *s, const struct client_event *ev,
                         struct client_update *up)
{
    const Ztc__NewIdentityGranted *m = ev->frame->new_identity_granted;
    int ret;

    if (s->state != CLIENT_NEW_IDENTITY)
        return E_PROTOCOL;
    if (m->renewed != NULL && s->fork.phase == CLIENT_FORK_REQUEST) {
        s->fork.phase = CLIENT_FORK_STORING;
        s->due[CLIENT_DUE_HELLO] = 0;
        up->take_identity.granted = m;
        up->take_identity.agreed_n = s->fork.lo;
        return 0;
    }
    if (m->renewed != NULL || s->fork.phase != CLIENT_FORK_POINTS)
        return E_PROTOCOL;
    ret = narrow(&s->fork, m);
    if (ret == 0)
        want(s, ev->now);
    return ret;
}

void client_identity_taken(struct client_session *s, const struct client_event *ev,
                           struct client_update *up)
{
    if (s->state != CLIENT_NEW_IDENTITY || s->fork.phase != CLIENT_FORK_STORING)
        return;
    if (ev->ret != 0)
        client_session_fail(s, ev, up, ev->ret);
    else
        client_session_leave(s, ev, up, 0);
}
