/* What of judging an act needs no ledger: done before it comes to the thread that writes. */
#ifndef ZTC_SERVER_PREPARE_H
#define ZTC_SERVER_PREPARE_H

#include "server/core/judge.h"
#include "server/core/session.h"

/* Complete ACT, whose changes, bytes, sides and n are set: the hashes of its changes, the replica's own
 * chain, and whether every value is good by itself. CHAIN is that chain before the act, and after it on
 * return; where it is a wrong guess, whoever writes makes the chain himself. Results lie in A.
 * E_MALFORMED: a value beside the bytes is not the one they commit to; E_NOMEM. */
int act_prepare(struct arena *a, const struct hasher *h, uint8_t chain[HASH_SIZE], struct act *act);

/* The acts of a push of SITE's replica, each completed so; in A, which ITEMS outlive. E_DENIED: `system` is
 * named as actor. */
int push_prepare(struct arena *a, const struct hasher *h, uint8_t chain[HASH_SIZE],
                 const struct push_item *items, uint32_t count, uint32_t site, struct act **ret_acts,
                 size_t *ret_n);

#endif
