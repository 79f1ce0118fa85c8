/* A signed head: the city's word that a stream stands at this seq with this hash. A receipt.
 *
 * Bytes, format 1:
 *   u8 1 | 16 bytes ledger id | 16 bytes incarnation | be32 stream | be64 seq | 32 bytes hash
 *   | bytes root digest: 16, or empty
 * The signature (ECDSA P-256 with SHA-256, DER) is over "ztc-head-1" ‖ those bytes.
 */
#ifndef ZTC_LEDGER_HEAD_H
#define ZTC_LEDGER_HEAD_H

#include "common/ledger/entry.h"

#define HEAD_SIGN_PREFIX "ztc-head-1"
#define ROOT_SIZE        16

struct head {
    struct id ledger;
    struct id incarnation;
    uint32_t stream;
    uint64_t seq;
    uint8_t hash[HASH_SIZE];
    uint8_t root[ROOT_SIZE];
    bool has_root;
};

void head_encode(struct buf *out, const struct head *h);
int head_decode(struct slice bytes, struct head *ret); /* 0 or E_MALFORMED */

/* What is signed: the prefix and the bytes. */
void head_to_sign(struct buf *out, const struct head *h);

/* Sign and verify, given from outside (crypto/sign.h). */
struct signer {
    int (*sign)(void *ctx, struct slice message, struct buf *ret_signature);
    void *ctx;
};
struct verifier {
    int (*verify)(void *ctx, struct slice message, struct slice signature); /* 0, E_AUTH or E_NOMEM */
    void *ctx;
};

#endif
