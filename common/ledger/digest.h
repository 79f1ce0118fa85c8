/* Digests of rows, and sums of them: what two sides compare to find out where their tables differ.
 *
 *   row   128 bits of SHA-256 over its bytes (row_code.h), as a big-endian number
 *   kind  count and sum modulo 2^128 of a kind's rows in one stream: an edit moves it by two numbers
 *   root  128 bits of SHA-256("ztc-root-1" ‖ per kind with rows, ascending: be32 tag | be64 count | be128 sum)
 *
 * It finds faults; malice is the chain's business. Therefore always SHA-256, whatever the ledger's hash:
 * it is computed twice an edit on the thread that writes. */
#ifndef ZTC_LEDGER_DIGEST_H
#define ZTC_LEDGER_DIGEST_H

#include "common/ledger/hash.h"
#include "common/ledger/head.h"
#include "common/ledger/row_code.h"

#define DIGEST_SIZE 16

/* A number modulo 2^128. */
struct digest {
    uint64_t high, low;
};

/* Of some rows. */
struct digest_sum {
    uint64_t count;
    struct digest sum;
};

/* A kind's rows in a stream. */
struct digest_kind {
    uint32_t kind;
    struct digest_sum of;
};

/* H is SHA-256 everywhere here. BYTES: of row_encode. */
struct digest digest_bytes(const struct hasher *h, struct slice bytes);

/* With SCRATCH for the bytes. 0, E_NOMEM, E_CORRUPT. */
int digest_row(const struct hasher *h, struct buf *scratch, const struct row *row,
               struct digest *ret);

struct digest digest_plus(struct digest a, struct digest b);
struct digest digest_minus(struct digest a, struct digest b);

void digest_add(struct digest_sum *s, struct digest d);
void digest_subtract(struct digest_sum *s, struct digest d);
bool digest_eq(struct digest a, struct digest b);
bool digest_sum_eq(const struct digest_sum *a, const struct digest_sum *b);

void digest_put(struct buf *out, struct digest d);
struct digest digest_take(struct rd *r);

/* KINDS ascending by tag; those without rows count for nothing. 0 or E_NOMEM. */
int digest_root(const struct hasher *h, const struct digest_kind *kinds, size_t n,
                uint8_t ret_root[ROOT_SIZE]);

#endif
