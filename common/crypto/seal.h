/* Authenticated encryption of single values: AES-256-GCM, nonce ‖ ciphertext ‖ tag. */
#ifndef ZTC_CRYPTO_SEAL_H
#define ZTC_CRYPTO_SEAL_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/id.h"

#define SEAL_KEY_SIZE   32
#define SEAL_NONCE_SIZE 12
#define SEAL_TAG_SIZE   16

struct seal_key {
    uint8_t b[SEAL_KEY_SIZE];
};

/* Append nonce ‖ ciphertext ‖ tag of PLAIN, bound to AAD. */
int seal(const struct seal_key *key, const uint8_t nonce[SEAL_NONCE_SIZE], struct slice aad,
         struct slice plain, struct buf *out);

/* Append the plain text. E_CORRUPT (wrong key, changed bytes, too short), E_NOMEM. */
int seal_open(const struct seal_key *key, struct slice aad, struct slice sealed, struct buf *out);

/* A nonce from a seed that never repeats under one key: HMAC-SHA-256(key, seed), cut. */
void seal_nonce(const struct seal_key *key, struct slice seed, uint8_t ret_nonce[SEAL_NONCE_SIZE]);

/* Read a 0600 key file (64 hex digits and a newline); with CREATE a missing one is made, synced.
 * E_NOTFOUND, E_DENIED (readable by others), E_MALFORMED, E_IO, E_FULL. */
int seal_key_load(const char *path, bool create, const struct random *random, struct seal_key *ret,
                  struct err *err);

#endif
