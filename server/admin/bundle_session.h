/* A session that goes by files: the machine of a line (server/core/session.h), what it asks for done at once
 * and in order. Importing feeds it what a bundle says and lets its answers go; exporting feeds it the Hello of
 * the last bundle and keeps them. */
#ifndef ZTC_SERVER_BUNDLE_SESSION_H
#define ZTC_SERVER_BUNDLE_SESSION_H

#include "server/net/authorities.h"
#include "server/net/facts.h"
#include "server/net/tail.h"

/* Borrowed for the session's life. */
struct ferry_options {
    struct city *city;
    const struct authorities *authorities;
    msec_t now;
    /* Frames that go out. NULL: nobody reads them, and no entries are read for them. */
    int (*out)(void *ctx, struct slice frames, struct err *err);
    void *ctx;
    uint64_t out_max; /* bytes, after which no more entries and attachments are read */
    const char *blobs; /* root of the attachments' files */
};

struct ferry {
    struct ferry_options o;
    struct server_session session;
    uint64_t taken, refused, entries; /* changes, and entries that went out */
    struct buf renewed;               /* the Frame that answers a Renew; empty: none */
    struct cert *issued;              /* the certificate in it */
    struct buf blobs;                 /* Frames for the answer: what became of attachments, what is asked for */
    uint64_t blobs_taken;             /* attachments that are here now */
    bool recovering;                  /* the city takes no changes now */
    bool refilling;                   /* nor these: the county has more than a city that was restored */

    /* private */
    struct server_options options;
    struct server_update up;
    struct body_codec codec;
    struct arena arena; /* what Hello and the store say */
    struct replica_claim claim;
    struct facts facts;
    struct hearing hearing;
    uint8_t own_chain[HASH_SIZE]; /* at what was merged */
    /* the chain that the bundle's changes make, until it has passed what was accepted */
    uint64_t walked_n, accepted_n;
    uint8_t walked[HASH_SIZE], accepted_chain[HASH_SIZE];
    uint64_t out_bytes;
};

/* What the certificate that the bundle shows says of its REPLICA. */
void ferry_begin(struct ferry *f, const struct ferry_options *o, const struct id *replica,
                 const struct replica_claim *claim);

/* The same by the certificate itself, PEER. E_AUTH. */
int ferry_open(struct ferry *f, const struct ferry_options *o, const struct cert *peer,
               struct err *err);
void ferry_release(struct ferry *f);

/* One frame, and everything that follows from it. M is changed when it is a Hello from before what is known
 * since; A outlives the call. E_FORK, E_REVOKED, E_RECOVERING, E_BUNDLE_GAP; E_PROTOCOL, E_MALFORMED …:
 * what a session would say Bye with. */
int ferry_frame(struct ferry *f, Ztc__Frame *m, struct arena *a, struct err *err);

/* Everything that went out has been taken: attachments may follow. */
int ferry_drained(struct ferry *f, struct arena *a, struct err *err);

/* An attachment that a BlobWant asked for is not out to its end: its next byte. */
bool ferry_goes_on(const struct ferry *f, uint64_t *ret_offset);

#endif
