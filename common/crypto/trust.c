/* Endorsements between CAs. */
#include "common/crypto/trust.h"

#include "common/crypto/hash.h"

#include <assert.h>

#define LABEL       "ztc-ca-1"
#define MESSAGE_MAX 16384u

static int message(const struct id *ledger, const struct cert *newer, struct buf *out)
{
    int ret;

    buf_str(out, LABEL);
    buf_put(out, ledger->b, ID_SIZE);
    ret = cert_to_der(newer, out);
    return ret != 0 ? ret : out->ret;
}

int trust_endorse(struct key *older, const struct id *ledger, const struct cert *newer,
                  struct buf *out)
{
    struct signer signer = key_signer(older);
    struct buf m;
    int ret;

    buf_init(&m, MESSAGE_MAX);
    ret = message(ledger, newer, &m);
    if (ret == 0)
        ret = signer.sign(signer.ctx, buf_slice(&m), out);
    buf_release(&m);
    return ret;
}

int trust_check(const struct cert *older, const struct id *ledger, const struct cert *newer,
                struct slice endorsement)
{
    struct pubkey *key = NULL;
    struct buf m, der;
    int ret;

    buf_init(&m, MESSAGE_MAX);
    buf_init(&der, MESSAGE_MAX);
    ret = message(ledger, newer, &m);
    if (ret == 0)
        ret = cert_public(older, &der);
    if (ret == 0)
        ret = pubkey_load(buf_slice(&der), &key, NULL);
    if (ret == 0) {
        struct verifier v = pubkey_verifier(key);

        ret = v.verify(v.ctx, buf_slice(&m), endorsement);
    }
    pubkey_free(key);
    buf_release(&m);
    buf_release(&der);
    return ret;
}

void trust_digest(const struct cert *const *cas, size_t n, uint8_t ret[HASH_SIZE])
{
    uint8_t prints[TRUST_MAX][HASH_SIZE];
    struct slice parts[TRUST_MAX];

    assert(n <= TRUST_MAX);
    for (size_t i = 0; i < n; i++) {
        cert_fingerprint(cas[i], prints[i]);
        parts[i] = (struct slice){prints[i], HASH_SIZE};
    }
    hasher_of(HASH_SHA256)->digest(parts, n, ret);
}
