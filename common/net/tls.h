/* TLS 1.3 as a filter between bytes and bytes: it sees no socket, no loop and no clock.
 *
 *      network ──tls_feed──► ┌─────┐ ──tls_read───► plain text
 *                            │ tls │
 *      network ◄─tls_take_── └─────┘ ◄──tls_write── plain text
 *                 output
 *
 * P-256 throughout, one protocol name (ALPN), no tickets, no resumption, no early data. Whether a
 * certificate has expired is judged at the time given to tls_new(), not by this machine's clock. Its
 * beginning is not judged: the city issues for the present only, so one that begins later shows that
 * whoever looks at it is behind, and nothing else. A county's latest city time always is.
 *
 * A client whose certificate the server refuses still sees its own handshake succeed: the refusal
 * comes with its first tls_read(). "Connected" is the server's first frame. */
#ifndef ZTC_NET_TLS_H
#define ZTC_NET_TLS_H

#include "common/base/buf.h"
#include "common/crypto/cert.h"

#define TLS_ALPN_SYNC       "ztc/1"
#define TLS_ALPN_ENROL      "ztc-enrol/1"
#define TLS_OUTPUT_MAX      (16u << 20) /* bytes waiting for tls_take_output; beyond it fails */
#define TLS_INPUT_MAX       (1u << 20)  /* bytes kept by tls_park */
#define TLS_KEY_UPDATES_MAX 32          /* in a connection's life; our own peers send none */

enum tls_role { TLS_SERVER, TLS_CLIENT };

/* Everything is borrowed during tls_config_new() only. */
struct tls_params {
    enum tls_role role;
    const char *alpn;       /* the only protocol spoken */
    const struct cert *own; /* with KEY; NULL: an enrolling client has none */
    const struct key *key;
    const struct cert *ca; /* the root that the peer must chain to; NULL with CA_FINGERPRINT */
    const struct cert *old_ca; /* or to this one, while the city changes its CA; NULL: none */

    /* server */
    bool ask_client;    /* demand a replica's certificate */
    bool allow_expired; /* let in one that is expired but otherwise right, so that it can renew */
    bool send_ca;       /* send CA after OWN, for clients that know its fingerprint only */

    /* client */
    const struct id *ledger;       /* the server must be this ledger's city; NULL: any city's */
    const uint8_t *ca_fingerprint; /* SHA-256 of the root, which the server sends; NULL: use CA */
};

/* Read-only once made; counted references, which are touched on one thread only. */
struct tls_config;

/* E_INVALID when key and certificate do not fit, E_NOMEM. One reference is the caller's. */
int tls_config_new(const struct tls_params *p, struct tls_config **ret, struct err *err);
struct tls_config *tls_config_ref(struct tls_config *c);
void tls_config_unref(struct tls_config *c);

struct tls;

/* A connection's filter; takes a reference of CONFIG. NOW judges the peer's certificate. E_NOMEM. */
int tls_new(struct tls_config *config, msec_t now, struct tls **ret, struct err *err);
void tls_free(struct tls *t);

/* Give bytes from the network, borrowed until tls_park() or the next tls_feed(). While parked bytes
 * are left, new ones are copied behind them: E_TOOBIG, E_NOMEM. */
int tls_feed(struct tls *t, struct slice in);

/* The network ended. */
void tls_feed_eof(struct tls *t);

/* Copy what was fed and not yet used, because the caller's buffer is about to be reused. */
int tls_park(struct tls *t);

/* Go on with the handshake as far as the input goes; a client's first call makes its first bytes.
 * 0, then ask tls_is_open(). E_AUTH (the peer's certificate, or ours in its eyes), E_EXPIRED,
 * E_IO (the network ended), E_TLS, E_NOMEM. A failure is final, and may leave an alert to send. */
int tls_handshake(struct tls *t, struct err *err);
bool tls_is_open(const struct tls *t);

/* The peer's certificate, which the caller frees; NULL when it has none. Once open. */
int tls_peer(const struct tls *t, struct cert **ret, struct err *err);

/* Up to SIZE bytes of plain text; 0 with *ret_len == 0 when more input is needed. E_CLOSED when the
 * peer has closed in order, E_IO when the network ended without that, and tls_handshake()'s. */
int tls_read(struct tls *t, void *out, size_t size, size_t *ret_len, struct err *err);

/* Encrypt all of PLAIN. E_CLOSED after either side's end, E_TOOBIG (output not taken), E_TLS. */
int tls_write(struct tls *t, struct slice plain, struct err *err);

/* Say that nothing more follows; once, later calls do nothing. */
void tls_close(struct tls *t);

/* Bytes for the network. Taking moves the buffer to the caller, who releases it. */
size_t tls_output_len(const struct tls *t);
void tls_take_output(struct tls *t, struct buf *ret);

#endif
