/* A change: one edit of one record, immutable once made. Its bytes are the author's and travel and
 * rest exactly as they were made.
 *
 * Author's bytes, format 1 (varint = shortest LEB128; id = 16 bytes; bytes = varint length + bytes):
 *
 *   u8 1 | id replica | varint n | varint stream | varint act_pos | varint act_len
 *   | varint made_at | id actor | varint seen | varint catalogue | varint kind | id record | u8 op
 *   | OP_CREATE: bytes to | OP_TRANSITION: bytes from, bytes to
 *   | varint field count | fields, ascending by tag:
 *       varint tag | u8 form | varint saw_n |
 *         FORM_SET: value   FORM_DELTA: value added, value removed   FORM_HASHED: 32 bytes
 *
 * FORM_HASHED stands for a value that must be able to vanish: H(salt ‖ value). Salt and value ride
 * beside the bytes in the sidecar, ascending by tag:
 *
 *   varint tag | u8 1 | 16 bytes salt | value            an open value
 *   varint tag | u8 2 | bytes sealed                     a site's own: seal(salt ‖ value)
 */
#ifndef ZTC_LEDGER_CHANGE_H
#define ZTC_LEDGER_CHANGE_H

#include "common/base/cal.h"
#include "common/catalogue/catalogue.h"
#include "common/ledger/hash.h"

#define CHANGE_FORMAT     1u
#define ACT_MAX_CHANGES   1000u
#define ACT_MAX_BYTES     (512u * 1024u) /* author's bytes and sidecars of an act */
#define CHANGE_MAX_FIELDS 256u
#define SALT_SIZE         16

enum change_op {
    OP_CREATE = 1,
    OP_SET = 2,
    OP_TRANSITION = 3,
    OP_VOID = 4,   /* with TAG_VOIDED = 1 and TAG_VOID_REASON among the fields */
    OP_UNVOID = 5, /* with TAG_VOIDED = 0 */
    OP_ERASE = 6,  /* fields name what vanishes; their values are V_ERASED */
};

enum field_form { FORM_SET = 1, FORM_DELTA = 2, FORM_HASHED = 3 };

struct field_change {
    uint32_t tag;
    enum field_form form;
    uint64_t saw_n;        /* own pending change whose value the author was shown; 0: none */
    struct value v;        /* FORM_SET, FORM_HASHED: the value (V_ERASED when its sidecar is gone,
                              V_SEALED when it is the site's); FORM_DELTA: added elements */
    struct value del;      /* FORM_DELTA: removed elements */
    uint8_t salt[SALT_SIZE];
    uint8_t hash[HASH_SIZE]; /* FORM_HASHED */
};

struct change {
    struct id replica; /* or the incarnation, for changes made at the city */
    uint64_t n;        /* the replica's counter; at the city the seq in the stream */
    uint32_t stream;
    uint32_t act_pos, act_len; /* 0-based place in its act */
    msec_t made_at;
    struct id actor;   /* account; zero: system */
    uint64_t seen;     /* cursor of the stream its author looked at */
    uint32_t catalogue;
    uint32_t kind;     /* tag */
    struct id record;
    enum change_op op;
    struct slice from, to; /* state codes */
    struct field_change *fields; /* ascending by tag */
    size_t n_fields;
};

/* The author's bytes appended to OUT. Fields must ascend by tag. Errors stick in OUT. */
void change_encode(struct buf *out, const struct change *c);

/* The sidecar of C's FORM_HASHED fields appended to SIDE: open values with their salts, V_SEALED ones
 * as they are, V_ERASED ones left out. */
void change_encode_side(struct buf *side, const struct change *c);

/* Decode author's bytes and their sidecar into A; slices point into BYTES and SIDE. Fields whose
 * sidecar is missing get V_ERASED. 0, E_NOMEM or E_MALFORMED (not canonical, fields not ascending,
 * a sidecar for a field that has none, …). */
int change_decode(struct arena *a, struct slice bytes, struct slice side, struct change *ret);

/* Every open sidecar value hashes to what the bytes say. 0 or E_CORRUPT. */
int change_check_side(const struct hasher *h, const struct change *c);

/* Every FORM_HASHED field has its sidecar. */
bool change_side_whole(const struct change *c);

/* The oldest version of the catalogue that knows what C sets. */
uint32_t change_needs(const struct change *c);

/* H(salt ‖ canonical value). */
void change_commit_value(const struct hasher *h, const uint8_t salt[SALT_SIZE],
                         const struct value *v, uint8_t ret_hash[HASH_SIZE]);

/* H(author's bytes). */
void change_hash(const struct hasher *h, struct slice bytes, uint8_t ret_hash[HASH_SIZE]);

/* The chain of a replica's own changes: own(0) from its id, then own(n) = H(own(n-1) ‖ H(bytes)). */
void own_chain_start(const struct hasher *h, const struct id *replica,
                     uint8_t ret_chain[HASH_SIZE]);
void own_chain_next(const struct hasher *h, uint8_t chain[HASH_SIZE],
                    const uint8_t bytes_hash[HASH_SIZE]);

/* The field change of TAG; NULL when there is none. */
struct field_change *change_field(const struct change *c, uint32_t tag);

#endif
