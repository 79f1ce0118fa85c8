/* The hash functions of the ledger and HMAC, from OpenSSL. */
#ifndef ZTC_CRYPTO_HASH_H
#define ZTC_CRYPTO_HASH_H

#include "common/base/id.h"
#include "common/ledger/hash.h"

/* NULL for an unknown number. */
const struct hasher *hasher_of(enum hash_alg alg);

/* By name as in settings: "sm3", "sha256"; NULL when unknown. */
const struct hasher *hasher_named(const char *name);

/* OpenSSL's generator; aborts the process when the system has no randomness. */
struct random random_system(void);

#endif
