/* The certificate's renewal, over the open session.
 *
 *   time, other CAs, the city's wish ─► make_request ─► Renew ─► Renewed ─► store_renewed ─► done
 *
 * Time is the city's: the latest known, carried on by the monotonic clock. A renewal that the own disk
 * did not take is tried again; the session goes on, for the certificate in use is still good. One that
 * may only renew ends either way. */
#include "client/core/session_internal.h"

#include "common/base/err.h"
#include "common/wire/check.h"

#include <string.h>

#define AGAIN_MS (60u * 60u * 1000u) /* after one that could not be kept, or is no better */

/* When two thirds of the life are gone: 60 days of 90. */
static msec_t renew_at(const struct client_cert *c)
{
    return c->from + (c->until - c->from) / 3 * 2;
}

static void plan(struct client_session *s, msec_t now)
{
    msec_t city = s->city_time + (now - s->city_time_at);
    msec_t at = renew_at(&s->cert);

    s->due[CLIENT_DUE_RENEW] = 0;
    if (city >= at)
        s->renewal = CLIENT_RENEW_WANTED;
    else
        s->due[CLIENT_DUE_RENEW] = now + (at - city);
}

static bool has_certificate(const struct client_session *s)
{
    return s->cert.until > s->cert.from;
}

int client_renew_welcome(struct client_session *s, const Ztc__Welcome *m, msec_t now)
{
    bool others = m->has_authorities &&
                  memcmp(m->authorities.data, s->cert.authorities, HASH_SIZE) != 0;

    s->hand_in = m->has_standing && m->standing == ZTC__WELCOME__STANDING__HAND_IN;
    s->renew_only = m->has_standing && m->standing == ZTC__WELCOME__STANDING__RENEW_ONLY;
    if (s->city_time < m->city_time)
        s->city_time = m->city_time;
    s->city_time_at = now;
    if (!has_certificate(s))
        return s->renew_only ? E_EXPIRED : 0;
    if (s->hand_in)
        return 0;
    if (s->renew_only || others)
        s->renewal = CLIENT_RENEW_WANTED;
    else
        plan(s, now);
    return 0;
}

void client_renew_due(struct client_session *s)
{
    s->due[CLIENT_DUE_RENEW] = 0;
    if (s->renewal == CLIENT_RENEW_IDLE)
        s->renewal = CLIENT_RENEW_WANTED;
}

void client_renew_want(struct client_session *s, struct client_update *up)
{
    bool may = s->state == CLIENT_RENEW_ONLY || s->state == CLIENT_CATCHING_UP ||
               s->state == CLIENT_UP_TO_DATE;

    if (!may || s->renewal != CLIENT_RENEW_WANTED)
        return;
    s->renewal = CLIENT_RENEW_ASKING;
    up->make_request = true;
}

/* Not now; the session lives on if it has anything else to do. */
static void put_off(struct client_session *s, const struct client_event *ev,
                    struct client_update *up)
{
    s->renewal = CLIENT_RENEW_IDLE;
    if (s->state == CLIENT_RENEW_ONLY)
        client_session_fail(s, ev, up, ev->ret);
    else
        s->due[CLIENT_DUE_RENEW] = ev->now + AGAIN_MS;
}

void client_renew_request(struct client_session *s, const struct client_event *ev,
                          struct client_update *up)
{
    Ztc__Renew m = ZTC__RENEW__INIT;

    if (s->renewal != CLIENT_RENEW_ASKING || s->state >= CLIENT_CLOSING)
        return;
    if (ev->ret != 0) {
        put_off(s, ev, up);
        return;
    }
    m.csr = wire_data(ev->request);
    frame_put_renew(&up->out, &m);
    s->renewal = CLIENT_RENEW_ASKED;
    s->due[CLIENT_DUE_RENEWED] = ev->now + s->options->stall_within;
}

int client_renew_recv(struct client_session *s, const Ztc__Renewed *m, struct client_update *up)
{
    if (!m->has_certificate) {
        if (has_certificate(s) && !s->hand_in)
            client_renew_due(s);
        return 0;
    }
    if (s->renewal != CLIENT_RENEW_ASKED)
        return E_PROTOCOL;
    s->renewal = CLIENT_RENEW_STORING;
    s->due[CLIENT_DUE_RENEWED] = 0;
    up->store_renewed = m;
    return 0;
}

/* A city whose clock went back issues what is due again at once: that can wait. */
static void plan_next(struct client_session *s, msec_t now)
{
    plan(s, now);
    if (s->renewal == CLIENT_RENEW_IDLE)
        return;
    s->renewal = CLIENT_RENEW_IDLE;
    s->due[CLIENT_DUE_RENEW] = now + AGAIN_MS;
}

static bool is_own_disk(int ret)
{
    return ret == E_FULL || ret == E_IO || ret == E_READONLY || ret == E_DENIED || ret == E_NOMEM;
}

void client_renew_stored(struct client_session *s, const struct client_event *ev,
                         struct client_update *up)
{
    if (s->renewal != CLIENT_RENEW_STORING || s->state >= CLIENT_CLOSING)
        return;
    if (is_own_disk(ev->ret)) {
        put_off(s, ev, up);
    } else if (ev->ret != 0) { /* not what was asked for, or not from our city */
        client_session_fail(s, ev, up, ev->ret);
    } else {
        s->cert = ev->cert;
        s->renewal = CLIENT_RENEW_IDLE;
        if (s->state == CLIENT_RENEW_ONLY)
            client_session_leave(s, ev, up, 0);
        else
            plan_next(s, ev->now);
    }
}
