/* The county's half of a session that goes by files: frames out and frames in, whatever carries them. What a
 * bundle is as a file, who signed it and what it says of certificates and attachments is its carrier's. */
#ifndef ZTC_CLIENT_BUNDLE_SESSION_H
#define ZTC_CLIENT_BUNDLE_SESSION_H

#include "client/store/exchange.h"

/* What a bundle taken in left for the next one; all of it may be lost. */
#define BUNDLE_META_AUTHORITIES "bundle_authorities" /* digest of the CAs to be trusted, 32 bytes */
#define BUNDLE_META_ASKED       "bundle_asked" /* be32 stream ‖ be64 from ‖ be64 upto: to be handed back */

/* ---- saying ---- */

/* Borrowed for the call. */
struct bundle_say {
    struct replica *replica;
    struct client_facts facts; /* exchange_facts, with what the certificate says and the city's time */
    msec_t now;
    uint64_t bytes_max; /* of frames, after which no more changes are loaded: a later bundle has them */
    int (*out)(void *ctx, struct slice frames, struct err *err);
    int (*request)(void *ctx, struct buf *ret_csr, struct err *err); /* for a certificate that nears its end */
    void *ctx;

    uint64_t changes; /* said */
    bool all;         /* none was left for a later bundle */
};

/* Everything that waits: what a session would say, to a Welcome that would tell it nothing new. Nothing changes
 * here: what is pending stays so until its answer comes, by a bundle or over a line. E_WAITING: the rows are still
 * being loaded over a line. */
int bundle_say(struct bundle_say *s, struct arena *a, struct err *err);

/* ---- hearing ---- */

struct bundle_hear {
    struct replica *replica;
    const struct client_facts *facts;
    msec_t now;
    bool applying; /* false: only whether all of it can be taken in */

    uint64_t seq[CLIENT_STREAMS]; /* where `shared` and the site's stream stand, or would */
    uint64_t entries, refusals;   /* new here */
    msec_t city_time;             /* 0: it says nothing newer */
    bool late;                    /* an answer to less than is answered here */
    bool renew_only, hand_in, asked;

    struct body_codec codec; /* private */
};

/* Of a bundle's frames, the first is to come next. */
void bundle_hear_init(struct bundle_hear *h, struct replica *r, const struct client_facts *facts, msec_t now,
                      bool applying);
void bundle_hear_release(struct bundle_hear *h);

/* One frame of the city's. What is here already is passed over. E_FORK: the city has not what this computer says of
 * itself; E_BUNDLE_GAP: a bundle before it is missing; E_VERSION; E_PROTOCOL: no frame of a bundle. */
int bundle_hear(struct bundle_hear *h, Ztc__Frame *f, struct arena *a, struct err *err);

#endif
