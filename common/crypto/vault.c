#include "common/crypto/vault.h"

#define VAULT_AAD "ztc-vault-1"

static int vault_seal(void *ctx, struct slice plain, struct slice nonce_seed, struct buf *out)
{
    uint8_t nonce[SEAL_NONCE_SIZE];

    seal_nonce(ctx, nonce_seed, nonce);
    return seal(ctx, nonce, slice_str(VAULT_AAD), plain, out);
}

static int vault_open(void *ctx, struct slice sealed, struct buf *out)
{
    return seal_open(ctx, slice_str(VAULT_AAD), sealed, out);
}

struct vault vault_of(const struct seal_key *key)
{
    union {
        const struct seal_key *in;
        void *out;
    } u = {key}; /* both functions read it only */

    return (struct vault){vault_seal, vault_open, u.out};
}
