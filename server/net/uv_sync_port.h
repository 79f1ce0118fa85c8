/* The synchronisation listener: a session for each connection, driven on the loop.
 *
 *   stream bytes ─► frame ─► session step ─► { stream, writer, feed, reader } ─► next event ─► … */
#ifndef ZTC_SERVER_UV_SYNC_PORT_H
#define ZTC_SERVER_UV_SYNC_PORT_H

#include "common/net/uv_listener.h"
#include "server/core/session.h"
#include "server/net/authorities.h"
#include "server/net/uv_feed.h"
#include "server/net/uv_reader.h"
#include "server/net/uv_writer.h"

#define REFUSED_CODES 64 /* E_* numbers */

struct sync_port;

struct sync_port_options {
    uv_loop_t *loop;
    struct net *net;
    struct writer *writer;
    struct reader *reader;
    const struct server_options *session;
    struct tls_config *tls;
    struct authorities *authorities; /* a reference of its own is taken */
    const struct hasher *hasher;
    msec_t (*clock)(void); /* the city's time */
    const char *blobs;     /* the folder of attachments' bytes; borrowed */
    struct random random;
    const char *host;
    uint16_t port;
};

struct sync_port_counts {
    size_t sessions;  /* connected now */
    size_t serving;   /* of them, past their Welcome */
    uint64_t opened;
    uint64_t refused[REFUSED_CODES]; /* by -E_*: handshakes and sessions refused before serving */
    struct err last;  /* the last refusal */
};

/* How a session stands. */
struct sync_session {
    enum server_state state;
    int hold;           /* why nothing is taken: E_*, 0 while it is */
    msec_t since;       /* when the state was entered */
    msec_t progress_at; /* when something last moved, either way */
};

/* How the last one ended. */
struct sync_ending {
    int cause; /* E_*, 0 in order */
    msec_t at;
};

int sync_port_new(const struct sync_port_options *o, struct sync_port **ret, struct err *err);

/* What feeds the sessions; made by the port, started by the daemon. */
struct feed *sync_port_feed(struct sync_port *p);

uint16_t sync_port_port(const struct sync_port *p);
void sync_port_counts(const struct sync_port *p, struct sync_port_counts *ret);

/* The newest open session of REPLICA, and how the one before it ended since the daemon started. False:
 * there is none. Times are the city's. */
bool sync_port_session(const struct sync_port *p, const struct id *replica,
                       struct sync_session *ret);
bool sync_port_ending(const struct sync_port *p, const struct id *replica,
                      struct sync_ending *ret);

/* End the open sessions of REPLICA. */
void sync_port_end(struct sync_port *p, const struct id *replica, int cause);

/* What was kept aside of REPLICA was decided: its open sessions are told. */
void sync_port_decided(struct sync_port *p, const struct id *replica);

/* Other CAs from now on; sessions are offered a renewal. Takes references. */
void sync_port_renew(struct sync_port *p, struct authorities *a, struct tls_config *tls);

/* Stop accepting and tell every session to end. */
void sync_port_drain(struct sync_port *p);

/* What is left is cut off; CB when nothing is, and the memory gone. Before writer and reader close. */
void sync_port_close(struct sync_port *p, void (*cb)(void *ctx), void *ctx);

#endif
