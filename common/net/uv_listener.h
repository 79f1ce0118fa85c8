/* A TLS listener: accepts, shakes hands, and gives its owner streams that are open.
 *
 * Strangers cost little: unfinished handshakes are counted, in all and by address, and those above
 * the limits are closed at once. Everything is called on the loop's thread. */
#ifndef ZTC_NET_UV_LISTENER_H
#define ZTC_NET_UV_LISTENER_H

#include "common/net/uv_stream.h"

#define LISTENER_UNFINISHED_MAX      256
#define LISTENER_UNFINISHED_PER_ADDR 32

struct listener;

struct listener_events {
    /* The time that judges certificates. */
    msec_t (*now)(void *ctx);

    /* An open stream; PEER is borrowed (NULL: none shown). The owner must adopt the stream here, and
     * may then close it. */
    void (*on_stream)(void *ctx, struct stream *s, const struct cert *peer);

    /* A connection ended before it was open, or was over the limits (E_BUSY). NULL: ignored. */
    void (*on_refused)(void *ctx, const char *address, const struct err *why);

    /* The last call, after listener_close(). */
    void (*on_closed)(void *ctx);
};

/* Listen at HOST, a numeric address, and PORT (0: the system chooses). Takes a reference of CONFIG.
 * E_INVALID (address), E_EXISTS (in use), E_DENIED, E_IO, E_NOMEM. */
int listener_open(struct net *n, const char *host, uint16_t port, struct tls_config *config,
                  const struct listener_events *events, void *ctx, struct listener **ret,
                  struct err *err);

/* The port really used. */
uint16_t listener_port(const struct listener *l);

/* For connections from now on; open ones keep what they began with. Takes a reference. */
void listener_set_config(struct listener *l, struct tls_config *config);

/* Connections whose handshake is not done. */
unsigned listener_unfinished(const struct listener *l);

/* Stop listening and abort unfinished handshakes; open streams are their owners'. */
void listener_close(struct listener *l);

#endif
