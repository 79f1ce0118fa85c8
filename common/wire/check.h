/* What protobuf does not check: lengths, counts, ranges, text. Every message passes here once, right
 * after unpacking; behind it a session relies on these bounds. */
#ifndef ZTC_WIRE_CHECK_H
#define ZTC_WIRE_CHECK_H

#include "common/base/buf.h"

#include <sync.pb-c.h>

#define WIRE_ID_SIZE       16u
#define WIRE_HASH_SIZE     32u
#define WIRE_SECRET_SIZE   32u
#define WIRE_SOFTWARE_MAX  64u
#define WIRE_CURSORS_MAX   8u
#define WIRE_HEADS_MAX     8u
#define WIRE_BATCH_MAX     4096u          /* changes of a Push, entries of an Entries */
#define WIRE_BODY_MAX      (960u * 1024u) /* expanded; even incompressible it fits a frame */
#define WIRE_CHANGE_MAX    (512u * 1024u) /* author's bytes, sidecar, verdict: each */
#define WIRE_SIGNED_MAX    256u           /* head bytes, signature */
#define WIRE_CODE_MAX      32u
#define WIRE_TEXT_MAX      1024u
#define WIRE_ADDRESSES_MAX 8u
#define WIRE_ADDRESS_MAX   255u
#define WIRE_DER_MAX       8192u
#define WIRE_CHAIN_MAX     4u
#define WIRE_PLACE_SIZE    20u /* in a snapshot: be32 kind, 16 bytes id */
#define WIRE_TRUSTED_MAX   2u /* CAs at a time: the present one, and the one before it */
#define WIRE_BLOB_MAX      (1u << 30)     /* bytes of an attachment */
#define WIRE_CHUNK_MAX     (256u * 1024u) /* of a BlobChunk */
#define WIRE_DIGESTS_MAX   16384u /* bytes of a DigestTell's list */
#define WIRE_POINTS_MAX    64u    /* of a NewIdentity */
#define WIRE_REPAIR_MAX    64u    /* ids of a DigestAsk, rows of a RepairRows */

/* 0 or E_MALFORMED. */
int check_frame(const Ztc__Frame *f);
int check_push_body(const Ztc__PushBody *b, uint32_t count);
int check_entries_body(const Ztc__EntriesBody *b, uint32_t count);
int check_slice_body(const Ztc__SliceBody *b, uint32_t count);
int check_token(const Ztc__Token *t);

/* host:port or [v6]:port, port 1 to 65535 without leading zeros. */
bool wire_address_valid(struct slice s);

/* "ZT-" and upper-case letters, digits, hyphens. */
bool wire_code_valid(struct slice s);

#endif
