/* A receipt: the proof that an entry is durable at the city, checked with the city's log key and no network.
 *
 *   entry at seq ── chain ──> entries between, by their links only ── chain ──> hash of a signed head
 *
 * Bytes, format 1:
 *   "ztc-receipt-1" | u8 hash algorithm | bytes head | bytes signature
 *   | be64 seq | 32 bytes hash(seq - 1) | be64 received_at | bytes verdict | bytes author's bytes
 *   | a link for each seq up to the head's: be64 received_at | bytes verdict | 32 bytes H(author's bytes)
 *
 * The author's bytes hold no value that must be able to vanish, so neither does a receipt.
 */
#ifndef ZTC_LEDGER_RECEIPT_H
#define ZTC_LEDGER_RECEIPT_H

#include "common/ledger/head.h"

#define RECEIPT_MAX (256u << 20)

/* Append the beginning, up to and with entry E, whose predecessor's hash is PREV. */
void receipt_begin(struct buf *out, enum hash_alg alg, struct slice head, struct slice signature,
                   const uint8_t prev[HASH_SIZE], const struct entry *e);

/* Append the link of the next entry. */
void receipt_link(struct buf *out, msec_t received_at, struct slice verdict,
                  const uint8_t bytes_hash[HASH_SIZE]);

struct receipt {
    struct head head;
    struct entry entry; /* without sidecar */
};

/* What BYTES prove; slices point into them. HASHER_OF gives NULL for an algorithm it does not know.
 * 0; E_MALFORMED; E_AUTH: not signed by this city; E_CORRUPT: the entry is not under the head. */
int receipt_check(struct slice bytes, const struct hasher *(*hasher_of)(enum hash_alg alg),
                  const struct verifier *log_key, struct receipt *ret);

#endif
