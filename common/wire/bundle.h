/* A bundle: one direction of a session in a file, for an office without a line.
 *
 *   "ztc-bundle-1" | be32 length of the head | head | chunks | u8 length of the signature | 72 bytes: it, zeros
 *
 *   head   u8 way | 16 bytes ledger | 16 bytes replica | be64 made_at | 32 bytes SHA-256 of the receiver's key
 *          | 91 bytes one-time key | DER of the sender's certificate, the rest
 *   chunk  be32 length of what follows | nonce (12) ‖ AES-256-GCM of at most 64 KiB ‖ tag (16)
 *   nonce  7 zeros | be32 number of the chunk, from 0 | u8 1 in the last, else 0
 *
 * Expanded, the chunks are frames one after another. No I/O here, and no cipher. */
#ifndef ZTC_WIRE_BUNDLE_H
#define ZTC_WIRE_BUNDLE_H

#include "common/base/buf.h"
#include "common/base/cal.h"
#include "common/base/id.h"

#define BUNDLE_MAGIC          "ztc-bundle-1" /* also what is signed before the hash, and HKDF's info */
#define BUNDLE_MAGIC_SIZE     12u
#define BUNDLE_PREFIX         (BUNDLE_MAGIC_SIZE + 4u)
#define BUNDLE_KEY_SIZE       91u /* SubjectPublicKeyInfo of a P-256 key */
#define BUNDLE_PRINT_SIZE     32u
#define BUNDLE_HEAD_MAX       8400u
#define BUNDLE_PLAIN_MAX      65536u
#define BUNDLE_NONCE_SIZE     12u
#define BUNDLE_CHUNK_EXTRA    28u /* nonce and tag */
#define BUNDLE_CHUNK_MAX      (BUNDLE_PLAIN_MAX + BUNDLE_CHUNK_EXTRA)
#define BUNDLE_SIGNATURE_MAX  72u
#define BUNDLE_SIGNATURE_SIZE (1u + BUNDLE_SIGNATURE_MAX)

enum bundle_way { BUNDLE_UP = 1, BUNDLE_DOWN = 2 }; /* to the city, to the county */

struct bundle_head {
    enum bundle_way way;
    struct id ledger, replica;
    msec_t made_at;                      /* the latest city time its maker knew */
    uint8_t receiver[BUNDLE_PRINT_SIZE]; /* of the key it is for */
    struct slice ephemeral;              /* borrowed; BUNDLE_KEY_SIZE bytes */
    struct slice certificate;            /* borrowed; the sender's, DER */
};

/* Magic, length and head appended. Errors stick in OUT. */
void bundle_head_put(struct buf *out, const struct bundle_head *h);

/* The head's length from a file's first BUNDLE_PREFIX bytes. E_MALFORMED: it is no bundle. */
int bundle_head_size(struct slice prefix, size_t *ret);

/* The head without what stands before it; slices point into BYTES. E_MALFORMED. */
int bundle_head_decode(struct slice bytes, struct bundle_head *ret);

void bundle_nonce(uint32_t number, bool last, uint8_t ret[BUNDLE_NONCE_SIZE]);

/* The length of a chunk from its first four bytes. E_MALFORMED. */
int bundle_chunk_size(const uint8_t prefix[4], size_t *ret);

/* SEALED is the chunk NUMBER: by its nonce. E_MALFORMED. */
int bundle_chunk_check(struct slice sealed, uint32_t number, bool *ret_last);

#endif
