/* An entry: an author's change in its place, with the city's verdict and its link in the chain.
 *
 * Verdict, format 1:
 *   u8 1 | varint flags | varint seq of `shared` at the merge
 *   | varint count, tags withheld by a conflict, ascending
 *   | varint count, (varint tag, value) derived by the city, ascending
 *
 * hash(seq) = H(hash(seq-1) ‖ be64 seq ‖ be64 received_at ‖ verdict ‖ H(author's bytes))
 * hash(0)   = H("ztc-ledger-1" ‖ u8 hash algorithm ‖ be32 stream ‖ 16 bytes ledger id)
 */
#ifndef ZTC_LEDGER_ENTRY_H
#define ZTC_LEDGER_ENTRY_H

#include "common/ledger/change.h"

#define VERDICT_FORMAT 1u

enum {
    VERDICT_MORE = 1, /* the next entry of the stream belongs to the same act: never end between */
    VERDICT_RECOVERED = 2,
};

struct derived {
    uint32_t tag;
    struct value v;
};

struct verdict {
    uint32_t flags;
    uint64_t shared_seq;
    uint32_t *withheld; /* ascending */
    size_t n_withheld;
    struct derived *derived; /* ascending */
    size_t n_derived;
};

struct entry {
    uint32_t stream;
    uint64_t seq;
    msec_t received_at;
    struct slice verdict; /* encoded */
    struct slice bytes;   /* author's */
    struct slice side;
    uint8_t hash[HASH_SIZE]; /* of this entry */
};

void verdict_encode(struct buf *out, const struct verdict *v);

/* Into A; 0, E_NOMEM or E_MALFORMED. */
int verdict_decode(struct arena *a, struct slice bytes, struct verdict *ret);

bool verdict_withholds(const struct verdict *v, uint32_t tag);

void chain_start(const struct hasher *h, uint32_t stream, const struct id *ledger,
                 uint8_t ret_hash[HASH_SIZE]);

/* BYTES_HASH = H(author's bytes), computed before, off the writer's thread. */
void chain_next(const struct hasher *h, const uint8_t prev[HASH_SIZE], uint64_t seq,
                msec_t received_at, struct slice verdict, const uint8_t bytes_hash[HASH_SIZE],
                uint8_t ret_hash[HASH_SIZE]);

#endif
