/* A new identity for a replica whose own changes are not those that the city has of it: a copied disk, or
 * one restored from an old backup.
 *
 *   NewIdentity (points) ─► the last at which the chains are equal ─► … ─► NewIdentity (that one, csr)
 *   ─► another replica of the site, with a certificate ─► the county leaves and comes back as that
 *
 * A county that finds the fork by itself asks in a session that is being served. */
#include "server/core/session_internal.h"

#include "common/base/err.h"

#define ASKS_MAX 24u /* of a session: each of them narrows the place down by 64 */

int server_session_recv_identity(struct server_session *s, const struct server_event *ev,
                                 struct server_update *up)
{
    if (s->hands_in)
        return E_REVOKED;
    if (s->due[SERVER_DUE_ISSUE] != 0 || s->identity_asks == ASKS_MAX)
        return E_PROTOCOL;
    s->identity_asks++;
    s->due[SERVER_DUE_ISSUE] = ev->now + s->options->store_within;
    s->due[SERVER_DUE_RENEW] = 0; /* the city is to speak now */
    up->identity = ev->frame->new_identity;
    return 0;
}

void server_session_identity(struct server_session *s, const struct server_event *ev,
                             struct server_update *up)
{
    Ztc__NewIdentityGranted m = ZTC__NEW_IDENTITY_GRANTED__INIT;
    Ztc__Renewed renewed = ZTC__RENEWED__INIT;
    ProtobufCBinaryData authorities[WIRE_TRUSTED_MAX], endorsements[WIRE_TRUSTED_MAX];

    if (s->state != SERVER_SERVING && s->state != SERVER_FORKED)
        return;
    s->due[SERVER_DUE_ISSUE] = 0;
    if (ev->identity.issued.ret != 0) {
        server_session_fail(s, ev, up, ev->identity.issued.ret);
        return;
    }
    if (ev->identity.k != 0) {
        server_session_fill_renewed(&ev->identity.issued, &renewed, authorities, endorsements);
        m.renewed = &renewed;
        m.has_k = true;
        m.k = ev->identity.k;
    } else {
        m.has_agreed_n = ev->identity.agrees;
        m.agreed_n = ev->identity.agreed_n;
    }
    frame_put_new_identity_granted(&up->out, &m);
    if (s->state == SERVER_FORKED)
        s->due[SERVER_DUE_RENEW] = ev->now + s->options->drain_within;
}
