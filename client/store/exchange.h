/* What a session asks of the replica, done: each function does the work of one part of an update and
 * fills in the event that answers it. The agent and the simulation drive sessions through it. */
#ifndef ZTC_CLIENT_EXCHANGE_H
#define ZTC_CLIENT_EXCHANGE_H

#include "client/core/session.h"
#include "client/store/replica.h"

/* What Hello says. SOFTWARE is borrowed. */
int exchange_facts(struct replica *r, const char *software, struct client_facts *ret,
                   struct err *err);

/* What the store counts now. */
int exchange_ledger(struct replica *r, struct client_ledger *ret, struct err *err);

/* The version of the city's catalogue as its last Welcome said it; the first one before there was any. */
uint32_t exchange_city_catalogue(struct replica *r);

/* Keep the city's catalogue and its head that Welcome showed, and compare those that stand at our cursors: CLIENT_COMPARED,
 * what it says lies in A. E_AUTH, E_CORRUPT: the session must end. */
int exchange_welcome(struct replica *r, const Ztc__Welcome *welcome, struct arena *a,
                     struct client_event *ret, struct err *err);

/* up->digest: CLIENT_DIGESTED. NOW: wall clock. */
void exchange_digest(struct replica *r, const struct client_update *up, msec_t now, struct arena *a,
                     struct client_event *ret, struct err *err);

/* up->check: CLIENT_CHECKED. */
void exchange_check(struct replica *r, const struct client_update *up, struct client_event *ret,
                    struct err *err);

/* up->fork: points for CLIENT_FORK, WIRE_POINTS_MAX at most. 1: there are none between, the last is LO, and
 * a request belongs to it. */
int exchange_fork(struct replica *r, const struct client_update *up, struct client_point *points,
                  size_t *ret_n, struct err *err);

/* up->load: CLIENT_LOADED; the body lies in PACKED until the event was given. */
void exchange_load(struct replica *r, const struct client_update *up, struct body_codec *codec,
                   struct buf *packed, struct client_event *ret, struct err *err);

/* up->apply on its way to the store. */
struct exchange_batch {
    uint32_t stream, count, size;
    uint64_t first_seq;
    struct slice body, head, signature; /* of the frame */
    struct arrived *entries;            /* once read */
    int ret;                            /* of reading */
};

/* What the frame says; borrowed from it. */
struct exchange_batch exchange_batch_of(const Ztc__Entries *m);

/* The same with bytes of its own in A. E_NOMEM. */
int exchange_batch_own(struct exchange_batch *b, struct arena *a);

/* Expand, decode and hash into A: what needs no store, on any thread. */
void exchange_read(struct exchange_batch *b, const struct hasher *h, struct body_codec *codec,
                   struct arena *a);

/* Apply what was read, in the order in which it was handed out: CLIENT_APPLIED. */
void exchange_take(struct replica *r, const struct exchange_batch *b, struct client_event *ret,
                   struct err *err);

/* up->begin: CLIENT_BEGUN. */
void exchange_begin(struct replica *r, const struct client_update *up, struct client_event *ret,
                    struct err *err);

/* up->store_slice, up->store_history: CLIENT_SLICE_STORED, CLIENT_HISTORY_STORED; expanded into A. */
void exchange_slice(struct replica *r, const struct client_update *up, struct body_codec *codec,
                    struct arena *a, struct client_event *ret, struct err *err);
void exchange_history(struct replica *r, const struct client_update *up, struct body_codec *codec,
                      struct arena *a, struct client_event *ret, struct err *err);

/* up->store_refused: CLIENT_REFUSED_STORED. NOW: wall clock. */
void exchange_refused(struct replica *r, const struct client_update *up, msec_t now,
                      struct client_event *ret, struct err *err);

/* up->refill: CLIENT_REFILL; the body lies in PACKED until the event was given. */
void exchange_refill(struct replica *r, const struct client_update *up, struct body_codec *codec,
                     struct buf *packed, struct client_event *ret, struct err *err);

/* up->go_back: CLIENT_GONE_BACK. */
void exchange_go_back(struct replica *r, const struct client_update *up, struct client_event *ret,
                      struct err *err);

/* up->blob[LANE] of NEXT and SETTLE, what the replica's file has to say: CLIENT_BLOB. Whether the bytes are
 * there is the caller's to look. NOW: wall clock. */
void exchange_blob(struct replica *r, enum client_lane_name lane,
                   const struct client_blob_want *want, msec_t now, struct client_event *ret,
                   struct err *err);

#endif
