/* Slices of a snapshot: the records of a stream as they stand, a bounded piece at a time.
 *
 * Each slice is read in a short transaction of its own and says at which seq; rows carry the seq of their
 * last entry. A place is where a slice ended: be32 kind tag, 16 bytes id. */
#ifndef ZTC_SERVER_SNAPSHOT_H
#define ZTC_SERVER_SNAPSHOT_H

#include "common/ledger/store.h"
#include "common/wire/body.h"

struct slice_read {
    uint32_t stream;
    bool has_after;
    uint8_t after[WIRE_PLACE_SIZE]; /* the slice before ended here */
    uint32_t max_bytes;             /* expanded, unless one record is larger */

    uint64_t seq;
    uint32_t count, size;
    bool has_next;
    uint8_t next[WIRE_PLACE_SIZE];
};

/* Read the slice that R describes from S, a read-only store of this thread, and append its compressed body
 * to OUT (nothing when no row is left). E_PROTOCOL: the place names no kind. */
int snapshot_read(struct store *s, struct slice_read *r, struct body_codec *codec, struct buf *out,
                  struct err *err);

#endif
