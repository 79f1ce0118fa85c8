/* Toy keys for tests: deterministic, fast, worthless. */
#ifndef ZTC_TESTS_TOY_H
#define ZTC_TESTS_TOY_H

#include "common/ledger/head.h"

/* Signature = SM3("toy" ‖ message). */
struct signer toy_signer(void);
struct verifier toy_verifier(void);

/* Sealing of a site's own values: the plain text behind twelve bytes of nonce, each byte inverted. */
int toy_seal(void *ctx, struct slice plain, const uint8_t nonce[12], struct buf *out);
int toy_open(void *ctx, struct slice sealed, struct buf *out);

#endif
