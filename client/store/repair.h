/* Comparing the tables with what the city signed, and mending the rows that differ.
 *
 *   head reached ─► roots ─ equal: nothing
 *                     └ differ ─► rows counted anew ─► kinds ─► ranges ─► … ─► rows ─► ids ─► repair ─► kinds …
 *
 * Each arrow to the right is one answer of the city, compared at the seq it names. A row is replaced only
 * when the own log, which the chain proves, does not speak for it. */
#ifndef ZTC_CLIENT_REPAIR_H
#define ZTC_CLIENT_REPAIR_H

#include "client/core/session.h"
#include "client/store/replica.h"

enum repair_how { REPAIR_REPLACED = 1, REPAIR_ADDED, REPAIR_REMOVED, REPAIR_CITY_DIFFERS };

/* A stream whose tables are not what the city signed: 1, and since when; 0; E_*. */
int replica_differs(struct replica *r, uint32_t stream, msec_t *ret_since, struct err *err);

/* The first of the replica's streams that differs; 0: none. */
int replica_differing(struct replica *r, uint32_t *ret_stream, struct err *err);

/* A head that Welcome showed: where it stands at the cursor, hash and root are compared. E_AUTH, E_CORRUPT. */
int replica_compare(struct replica *r, struct slice head, struct slice signature,
                    struct err *err);

/* The same with the newest head that is kept, which Welcome did not show: the city's is no other. */
int replica_compare_kept(struct replica *r, uint32_t stream, struct err *err);

/* Compare one answer; the cursor stands where it says. *ret_more: ask *NEXT. */
int replica_digest_step(struct replica *r, const struct client_digest_ask *ask,
                        const Ztc__DigestTell *tell, const Ztc__RepairRows *rows, msec_t now,
                        struct client_digest_ask *ret_next, bool *ret_more, struct err *err);

/* Repairs the city has not noted yet, oldest first, at most MAX. */
int replica_repairs_untold(struct replica *r, struct client_repair *ret, size_t max, size_t *ret_n,
                           struct err *err);
int replica_repair_told(struct replica *r, uint64_t no, struct err *err);

/* All repairs, newest first. */
int replica_repairs(struct replica *r, int (*cb)(void *ctx, const struct client_repair *repair),
                    void *ctx, struct err *err);

/* Count the rows against their sums. *ret_differs: they were wrong; MEND: and are right now. */
int replica_recount(struct replica *r, bool mend, bool *ret_differs, struct err *err);

#endif
