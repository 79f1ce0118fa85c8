/* Renewing a certificate over the open session: Renew up, the driver issues, Renewed down.
 *
 * A session that may only renew ends when the replica has its certificate: it comes back with it. */
#include "server/core/session_internal.h"

#include "common/base/err.h"

#include <assert.h>

#define RENEWALS_MAX 8u /* of a session; an honest one needs one in two months */

int server_session_recv_renew(struct server_session *s, const struct server_event *ev,
                              struct server_update *up)
{
    if (s->hands_in)
        return E_REVOKED;
    if (s->due[SERVER_DUE_ISSUE] != 0 || s->renewals == RENEWALS_MAX)
        return E_PROTOCOL;
    s->renewals++;
    s->due[SERVER_DUE_ISSUE] = ev->now + s->options->store_within;
    s->due[SERVER_DUE_RENEW] = 0; /* the city is to speak now */
    up->renew = ev->frame->renew;
    return 0;
}

void server_session_fill_renewed(const struct server_issued *issued, Ztc__Renewed *m,
                                 ProtobufCBinaryData *authorities,
                                 ProtobufCBinaryData *endorsements)
{
    size_t n = issued->n_authorities;

    assert(n >= 1 && n <= WIRE_TRUSTED_MAX);
    for (size_t i = 0; i < n; i++) {
        authorities[i] = wire_data(issued->authorities[i]);
        if (i + 1 < n)
            endorsements[i] = wire_data(issued->endorsements[i]);
    }
    m->has_certificate = true;
    m->certificate = wire_data(issued->certificate);
    m->n_authorities = n;
    m->authorities = authorities;
    m->n_endorsements = n - 1;
    m->endorsements = endorsements;
}

static void put_renewed(const struct server_event *ev, struct server_update *up)
{
    Ztc__Renewed m = ZTC__RENEWED__INIT;
    ProtobufCBinaryData authorities[WIRE_TRUSTED_MAX], endorsements[WIRE_TRUSTED_MAX];

    server_session_fill_renewed(&ev->renewed, &m, authorities, endorsements);
    frame_put_renewed(&up->out, &m);
}

void server_session_renewed(struct server_session *s, const struct server_event *ev,
                            struct server_update *up)
{
    if (s->state != SERVER_SERVING && s->state != SERVER_RENEW_ONLY)
        return;
    s->due[SERVER_DUE_ISSUE] = 0;
    if (ev->renewed.ret != 0) {
        server_session_fail(s, ev, up, ev->renewed.ret);
        return;
    }
    put_renewed(ev, up);
    if (s->state == SERVER_RENEW_ONLY)
        s->due[SERVER_DUE_RENEW] = ev->now + s->options->drain_within;
}

void server_session_offer(struct server_session *s, struct server_update *up)
{
    Ztc__Renewed m = ZTC__RENEWED__INIT;

    if (s->state == SERVER_SERVING && !s->hands_in)
        frame_put_renewed(&up->out, &m);
}
