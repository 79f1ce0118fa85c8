/* The vault of a store: `pii` values at rest under the side's own key file. */
#ifndef ZTC_CRYPTO_VAULT_H
#define ZTC_CRYPTO_VAULT_H

#include "common/crypto/seal.h"
#include "common/ledger/store.h"

/* Borrows KEY. */
struct vault vault_of(const struct seal_key *key);

#endif
