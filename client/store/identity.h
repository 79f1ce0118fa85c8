/* A replica becomes another: what was made behind the last n at which its own chain is the city's.
 *
 *   predecessor   1 … agreed_n | what the city has of it: another computer's
 *   this file     1 … agreed_n | the same pending changes, by the same numbers, under the new identity
 *
 * Up to agreed_n everything stays as it is: the city has an answer for each, which comes with the bytes of
 * the predecessor, or as a refusal. The own chain goes on from agreed_n. */
#ifndef ZTC_CLIENT_IDENTITY_H
#define ZTC_CLIENT_IDENTITY_H

#include "client/core/session.h"
#include "client/store/replica.h"

/* At most MAX points of the own chain in (LO, HI], the last that is known among them. */
int identity_points(struct replica *r, uint64_t lo, uint64_t hi, struct client_point *points,
                    size_t max, size_t *ret_n, struct err *err);

/* The own chain at N: 0, acked_n, own_n, or before a pending change. E_FORK: it is not known there. */
int identity_chain(struct replica *r, uint64_t n, uint8_t ret[HASH_SIZE], struct err *err);

/* The id that is asked for, kept until identity_change, so that an answer that is lost leaves no replica
 * that nobody has. get: E_NOTFOUND. */
int identity_next_get(struct replica *r, struct id *ret, struct err *err);
int identity_next_put(struct replica *r, const struct id *id, struct err *err);

/* In one transaction: the replica is ID, the site's K-th; its pending changes behind AGREED_N are its own,
 * with the numbers, serials, salts and acts that they had. *ret_remade counts them. */
int identity_change(struct replica *r, const struct id *id, uint32_t k, uint64_t agreed_n,
                    msec_t now, uint64_t *ret_remade, struct err *err);

/* The last change of identity. E_NOTFOUND: there was none. */
struct identity_former {
    struct id replica;
    uint64_t until_n, remade;
    msec_t at;
};
int identity_former(struct replica *r, struct identity_former *ret, struct err *err);

#endif
