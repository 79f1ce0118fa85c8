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

/* Keep the city's head that Welcome showed. E_AUTH, E_CORRUPT: the session must end. */
int exchange_welcome(struct replica *r, const Ztc__Welcome *welcome, struct err *err);

/* up->check: CLIENT_CHECKED. */
void exchange_check(struct replica *r, const struct client_update *up, struct client_event *ret,
                    struct err *err);

/* up->load: CLIENT_LOADED; the body lies in PACKED until the event was given. */
void exchange_load(struct replica *r, const struct client_update *up, struct body_codec *codec,
                   struct buf *packed, struct client_event *ret, struct err *err);

/* up->apply: CLIENT_APPLIED. */
void exchange_apply(struct replica *r, const struct client_update *up, struct arena *a,
                    struct client_event *ret, struct err *err);

/* up->store_refused: CLIENT_REFUSED_STORED. NOW: wall clock. */
void exchange_refused(struct replica *r, const struct client_update *up, msec_t now,
                      struct client_event *ret, struct err *err);

#endif
