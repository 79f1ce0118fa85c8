/* The hash functions of the ledger and HMAC, from OpenSSL. */
#ifndef ZTC_CRYPTO_HASH_H
#define ZTC_CRYPTO_HASH_H

#include "common/base/id.h"
#include "common/ledger/hash.h"

/* NULL for an unknown number. */
const struct hasher *hasher_of(enum hash_alg alg);

/* By name as in settings: "sm3", "sha256"; NULL when unknown. */
const struct hasher *hasher_named(const char *name);

/* A digest of what comes in pieces: new, put …, end, which gives the hash (NULL: nobody asks) and frees
 * it. NULL when memory is out. */
struct hash_stream;
struct hash_stream *hash_stream_new(enum hash_alg alg);
void hash_stream_put(struct hash_stream *h, struct slice s);
void hash_stream_end(struct hash_stream *h, uint8_t *ret_hash);

/* OpenSSL's generator; aborts the process when the system has no randomness. */
struct random random_system(void);

#endif
