/* A TLS stream over TCP on a libuv loop.
 *
 *   CONNECTING ──► HANDSHAKE ──► OPEN ──► CLOSING ──► CLOSED
 *        │              │          │                     ▲
 *        └──────────────┴──────────┴──── abort, reset ───┘
 *
 * CLOSING says goodbye (close_notify, then FIN) and discards input for at most 2 s, so that a reset
 * does not eat what was sent last. An owner hears of its stream's end exactly once, by on_close.
 *
 * Everything here is called on the thread of net_new(), which runs the loop. */
#ifndef ZTC_NET_UV_STREAM_H
#define ZTC_NET_UV_STREAM_H

#include "common/net/tls.h"

#include <uv.h>

#define STREAM_HIGH              (1u << 20) /* unsent bytes at which an owner should stop writing */
#define STREAM_LOW               (256u << 10) /* ... and may go on (on_drain) */
#define STREAM_CHOKE             (4u << 20)   /* ... at which reading stops until STREAM_LOW */
#define STREAM_MAX               (16u << 20)  /* ... at which the stream fails */
#define STREAM_HANDSHAKE_TIMEOUT 10000        /* ms, from accepting to open */
#define STREAM_CLOSE_TIMEOUT     2000         /* ms in CLOSING */
#define STREAM_ADDRESS_SIZE      64

/* What all streams of one loop share: buffers, and the thread they live on. */
struct net;

/* Makes the process ignore SIGPIPE. E_NOMEM. */
int net_new(uv_loop_t *loop, struct net **ret);

/* After the last stream and listener are gone. */
void net_free(struct net *n);

uv_loop_t *net_loop(const struct net *n);

/* For connections accepted from now on; STREAM_HANDSHAKE_TIMEOUT at first. */
void net_set_handshake_timeout(struct net *n, msec_t timeout);

/* That this is the loop's thread; anything else is a bug. */
void net_assert_thread(const struct net *n);

struct stream;

/* All are called from the loop, never from inside a stream_* function. Each may write to, pause, close
 * or abort its stream, or another one. */
struct stream_events {
    /* The handshake is done. PEER is borrowed until return; NULL when it showed no certificate. */
    void (*on_open)(void *ctx, const struct cert *peer);

    /* Plain text, borrowed until return. */
    void (*on_data)(void *ctx, struct slice data);

    /* Unsent bytes fell to STREAM_LOW after they had reached STREAM_HIGH. */
    void (*on_drain)(void *ctx);

    /* The last call; the stream's memory is gone on return. WHY->ret: 0 when the owner closed it,
     * E_CLOSED when the peer did, in order; E_IO (network ended), E_TIMEOUT, E_UNREACHABLE, E_TOOBIG
     * (STREAM_MAX) and the failures of tls.h. */
    void (*on_close)(void *ctx, const struct err *why);
};

/* Look up HOST and connect, trying its addresses in turn; all of it, with the handshake, within
 * TIMEOUT. NOW judges the certificate. EVENTS lives as long as the stream. Non-zero: nothing was
 * started and nothing is called. E_NOMEM, E_UNREACHABLE. */
int stream_connect(struct net *n, struct tls_config *config, const char *host, uint16_t port,
                   msec_t now, msec_t timeout, const struct stream_events *events, void *ctx,
                   struct stream **ret, struct err *err);

/* Take the connection that is waiting at SERVER. It is taken on failure too, and closed. */
int stream_accept(struct net *n, uv_stream_t *server, struct tls_config *config, msec_t now,
                  const struct stream_events *events, void *ctx, struct stream **ret,
                  struct err *err);

/* Take the connection that is waiting at SERVER, and close it: libuv stops listening until it is taken. */
void stream_drop_waiting(struct net *n, uv_stream_t *server);

/* A new owner, from now on. */
void stream_adopt(struct stream *s, const struct stream_events *events, void *ctx);

/* Send all of PLAIN, copied. Writes made inside on_data go out together. 0, E_CLOSED (not open),
 * E_TOOBIG or E_TLS: then the stream fails by itself. */
int stream_write(struct stream *s, struct slice plain);

/* Encrypted bytes that the system has not taken yet. */
size_t stream_queued(const struct stream *s);

/* Between reaching STREAM_HIGH and on_drain. */
bool stream_is_full(const struct stream *s);

/* No on_data until resume. What the network brings waits there, so that the peer is slowed down. */
void stream_pause(struct stream *s);
void stream_resume(struct stream *s);

/* Send what is queued, say goodbye, close; cut off after STREAM_CLOSE_TIMEOUT. Later calls do
 * nothing. */
void stream_close(struct stream *s);

/* Close at once, giving WHY to on_close (0: by the owner's wish); what is queued is lost. */
void stream_abort(struct stream *s, int why);

/* The peer's numeric address without port; "" before there is one. */
const char *stream_address(const struct stream *s);

#endif
