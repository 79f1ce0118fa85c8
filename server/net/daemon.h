/* The daemon: one loop with the two listeners and the control socket, one writer, readers.
 *
 * Start-up in order; shutdown is the same backwards:
 *   store ─► writer, reader ─► sync port ─► enrolment port ─► control socket (now it serves) */
#ifndef ZTC_SERVER_DAEMON_H
#define ZTC_SERVER_DAEMON_H

#include "server/store/city.h"

#include "common/crypto/cert.h"
#include "server/net/authorities.h"

/* What a deed did beyond the store. */
#define DAEMON_ENDED_MAX 128u /* a replica and all that were made out of it */

struct daemon_effects {
    struct id ended[DAEMON_ENDED_MAX]; /* replicas whose sessions end now */
    unsigned n_ended;
    int cause;
    bool undo; /* only a trial: what was written is taken back */
    bool authorities; /* the CAs have changed */
    struct id decided; /* a replica whose quarantine was decided; zero: none */
};

/* A writing command on the writer's thread, inside a group; may run again. What it prints is appended to
 * OUT, further members of a failure's object to DETAIL. */
typedef int (*daemon_deed)(void *ctx, struct city *city, msec_t now, int argc, char *const *argv,
                           struct buf *out, struct buf *detail, struct daemon_effects *effects,
                           struct err *err);

/* Borrowed until daemon_run returns. */
struct daemon_options {
    struct city *city;
    const char *store_path;
    const char *backup_path; /* says when the last backup was current */
    const char *blobs_path; /* a folder that is there */
    const struct vault *vault;
    struct key *server_key, *log_key;
    const char *listen_host, *enrol_host;
    uint16_t listen_port, enrol_port;
    const char *advertise; /* host told to replicas; "": that of listen */
    const char *control_path;
    daemon_deed deed;
    bool (*deed_is_alone)(int argc, char *const *argv); /* has transactions of its own */
    /* Read the CAs, at the start and when a deed changed them; a reference for the daemon. */
    int (*authorities)(void *ctx, struct authorities **ret, struct err *err);
    void *deed_ctx; /* of the three above */
};

/* Serve until SIGTERM, SIGINT or a stop by the control socket. */
int daemon_run(const struct daemon_options *o, struct err *err);

/* host:port, with brackets where the host needs them. */
void daemon_address(char *text, size_t size, const char *host, uint16_t port);

/* The city's clock. */
msec_t daemon_clock(void);

#endif
