/* The ledger's hash function, given from outside: SM3 or SHA-256 (crypto/hash.h). */
#ifndef ZTC_LEDGER_HASH_H
#define ZTC_LEDGER_HASH_H

#include "common/base/buf.h"

#define HASH_SIZE 32

/* Numbers stand in formats and are permanent. */
enum hash_alg { HASH_SM3 = 1, HASH_SHA256 = 2 };

struct hasher {
    enum hash_alg alg;
    /* The hash of PARTS one after another. Cannot fail; safe from any thread. */
    void (*digest)(const struct slice *parts, size_t n_parts, uint8_t ret_hash[HASH_SIZE]);
};

#endif
