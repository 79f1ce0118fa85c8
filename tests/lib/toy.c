#include "tests/lib/toy.h"

#include "common/base/err.h"
#include "common/crypto/hash.h"

#include <string.h>

static void toy_hash(struct slice message, uint8_t ret[HASH_SIZE])
{
    struct slice parts[] = {slice_str("toy"), message};

    hasher_of(HASH_SM3)->digest(parts, 2, ret);
}

static int sign(void *ctx, struct slice message, struct buf *ret_signature)
{
    uint8_t hash[HASH_SIZE];

    (void)ctx;
    toy_hash(message, hash);
    buf_put(ret_signature, hash, HASH_SIZE);
    return ret_signature->ret;
}

static int verify(void *ctx, struct slice message, struct slice signature)
{
    uint8_t hash[HASH_SIZE];

    (void)ctx;
    toy_hash(message, hash);
    return slice_eq(signature, (struct slice){hash, HASH_SIZE}) ? 0 : E_AUTH;
}

struct signer toy_signer(void)
{
    return (struct signer){.sign = sign};
}

struct verifier toy_verifier(void)
{
    return (struct verifier){.verify = verify};
}

int toy_seal(void *ctx, struct slice plain, const uint8_t nonce[12], struct buf *out)
{
    (void)ctx;
    buf_put(out, nonce, 12);
    for (size_t i = 0; i < plain.len; i++)
        buf_u8(out, (uint8_t)~plain.p[i]);
    return out->ret;
}

int toy_open(void *ctx, struct slice sealed, struct buf *out)
{
    (void)ctx;
    if (sealed.len < 12)
        return E_CORRUPT;
    for (size_t i = 12; i < sealed.len; i++)
        buf_u8(out, (uint8_t)~sealed.p[i]);
    return out->ret;
}
