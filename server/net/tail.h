/* The newest entries of one stream, kept in memory as they travel, so that fan-out reads no disk.
 *
 * Belongs to the loop's thread; a filler collects new entries elsewhere and hands them over whole. */
#ifndef ZTC_SERVER_TAIL_H
#define ZTC_SERVER_TAIL_H

#include "common/base/mem.h"
#include "common/ledger/entry.h"
#include "common/wire/body.h"

/* One entry in one piece of memory. */
struct tail_entry {
    uint64_t seq;
    msec_t received_at;
    struct id replica; /* its author's */
    uint64_t n;
    bool more;      /* the next entry belongs to the same act */
    bool recovered; /* its author lost it: travels with its bytes to him too */
    struct slice verdict, bytes, side;
    size_t size; /* of the memory */
    uint8_t data[];
};

/* What is read of an entry without decoding it: author and place in the act. E_CORRUPT. */
int tail_entry_new(const struct entry *e, struct tail_entry **ret);

/* A ring of consecutive entries. */
struct tail {
    uint32_t stream;
    size_t max_bytes;
    struct tail_entry **ring; /* owned, as are the entries */
    size_t cap;               /* a power of two, or 0 */
    uint64_t first_seq;       /* of the oldest */
    size_t count;
    size_t bytes;
};

void tail_init(struct tail *t, uint32_t stream, size_t max_bytes);
void tail_release(struct tail *t);

/* Append and take E; old entries go when max_bytes is passed. When E does not follow the newest, the
 * tail begins anew with it. On lack of memory E and everything before it are gone. */
void tail_push(struct tail *t, struct tail_entry *e);

/* Move everything of FROM behind TO. */
void tail_move(struct tail *to, struct tail *from);

/* The entry SEQ; NULL when the tail does not have it. */
const struct tail_entry *tail_get(const struct tail *t, uint64_t seq);

/* ---- batches ---- */

/* Who reads, and how much fits. */
struct batch_limits {
    uint64_t upto_seq;
    struct id reader;    /* its own changes travel as echo … */
    uint64_t echo_above; /* … with n above this */
    uint32_t max_entries, max_bytes;
};

/* A body in the making: whole acts only. */
struct batch {
    struct batch_limits limits;
    struct buf plain;
    uint32_t count;
    bool has_echo;
    /* the last end of an act */
    size_t whole_len;
    uint32_t whole_count;
};

void batch_init(struct batch *b, const struct batch_limits *limits);
void batch_release(struct batch *b);

/* Add E; false when the batch is complete without it. */
bool batch_add(struct batch *b, const struct tail_entry *e);

/* Cut to whole acts and compress onto OUT; *ret_size is the expanded size. E_CORRUPT when not one act
 * came whole. */
int batch_finish(struct batch *b, struct body_codec *codec, struct buf *out, uint32_t *ret_size);

#endif
