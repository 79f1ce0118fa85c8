/* Which CAs are trusted, and how a new one comes to be: the one before it signs it.
 *
 * The city changes its CA with an overlap: for a while there are two, newest first. X.509 cannot say
 * that a root vouches for a root, so the older key signs "ztc-ca-1" ‖ ledger ‖ DER of the newer. */
#ifndef ZTC_CRYPTO_TRUST_H
#define ZTC_CRYPTO_TRUST_H

#include "common/crypto/cert.h"

#define TRUST_MAX 2u

/* The older CA's word for the newer, appended. */
int trust_endorse(struct key *older, const struct id *ledger, const struct cert *newer,
                  struct buf *out);

/* 0, or E_AUTH. */
int trust_check(const struct cert *older, const struct id *ledger, const struct cert *newer,
                struct slice endorsement);

/* SHA-256 over the fingerprints, newest first. */
void trust_digest(const struct cert *const *cas, size_t n, uint8_t ret[HASH_SIZE]);

#endif
