/* One connection to the city: TLS stream, frames, a client session, and the replica's store, driven on
 * a loop. The store is worked inline: what is taken in at a time is bounded by the session; what a batch
 * of entries needs before the store is done by worker threads (uv_intake.h). */
#ifndef ZTC_CLIENT_UV_LINK_H
#define ZTC_CLIENT_UV_LINK_H

#include "client/core/session.h"
#include "client/store/replica.h"
#include "common/net/uv_stream.h"

struct link;

struct link_options {
    struct net *net;
    struct replica *replica;
    struct tls_config *tls;
    const char *blobs; /* the folder of attachments' bytes; borrowed */
    msec_t city_now; /* judges the city's certificate */
    struct client_cert cert;
    uint64_t snapshot_above; /* as in client_options */
    uv_loop_t *loop;
    /* Something moved: state, cursor, answers. Not from inside link_open. */
    void (*on_change)(void *ctx);
    /* TLS is open: the certificate of the ledger's city. Borrowed. */
    void (*on_city)(void *ctx, const struct cert *city);
    /* Welcome came: the city's time and heads. Borrowed. */
    void (*on_welcome)(void *ctx, const Ztc__Welcome *welcome);
    /* The session wants a request, appended; or to have what the city sent verified and kept. */
    int (*make_request)(void *ctx, struct buf *out, struct err *err);
    int (*take_renewed)(void *ctx, const Ztc__Renewed *m, struct client_cert *ret, struct err *err);
    /* The same for a new identity. */
    int (*make_identity)(void *ctx, struct buf *out, struct id *ret, struct err *err);
    int (*take_identity)(void *ctx, const Ztc__NewIdentityGranted *m, uint64_t agreed_n,
                         struct err *err);
    /* The last call; the link's memory is gone after it. CAUSE: 0 in order, else E_*; WAS_SERVED: there
     * was a Welcome. */
    void (*on_end)(void *ctx, const struct err *cause, uint32_t retry_after, bool was_served);
    void *ctx;
};

/* Connect to "host:port". Non-zero: nothing was started. */
int link_open(const struct link_options *o, const char *address, struct link **ret,
              struct err *err);

const struct client_session *link_session(const struct link *l);

/* Changes may have been made here. */
void link_local(struct link *l);

/* Leave in order; on_end follows. */
void link_end(struct link *l);

#endif
