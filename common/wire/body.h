/* Bodies of Push and Entries: built piece by piece, compressed, expanded within a declared bound.
 *
 *   body_put_change / body_put_entry  ->  plain  --body_compress-->  Push.body, Push.size
 *   Push.body, Push.size  --body_open_push-->  Ztc__PushBody in an arena
 */
#ifndef ZTC_WIRE_BODY_H
#define ZTC_WIRE_BODY_H

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/wire/check.h"

/* Compressor and expander with their tables, made at first use and used again; one a thread. */
struct body_codec {
    void *compressor;
    void *expander;
};

void body_codec_init(struct body_codec *c);
void body_codec_release(struct body_codec *c);

/* Append one Change to a plain PushBody. An empty SIDE is left out. */
void body_put_change(struct buf *plain, struct slice bytes, struct slice side);

/* Append one Entry to a plain EntriesBody: with ECHO_N and no bytes when ECHO_N is not 0. */
void body_put_entry(struct buf *plain, uint64_t received_at, struct slice verdict, uint64_t echo_n,
                    struct slice bytes, struct slice side);

/* Append one row, or one entry that a row names, to a plain SliceBody. */
void body_put_row(struct buf *plain, struct slice row);
void body_put_slice_entry(struct buf *plain, uint64_t seq, uint64_t received_at,
                          struct slice verdict, struct slice bytes, struct slice side);

/* Upper bound of what body_put_… adds for these lengths: to end a batch before it is too big. */
size_t body_room(size_t verdict, size_t bytes, size_t side);

/* PLAIN (at most WIRE_BODY_MAX) compressed and appended to OUT. E_TOOBIG, E_NOMEM. */
int body_compress(struct body_codec *c, struct slice plain, struct buf *out);

/* Exactly SIZE bytes expanded into A; never writes more. E_MALFORMED, E_TOOBIG (SIZE over
 * WIRE_BODY_MAX), E_NOMEM. */
int body_expand(struct body_codec *c, struct slice packed, size_t size, struct arena *a,
                struct slice *ret_plain);

/* Expanded, unpacked into A and checked. Errors as body_expand. */
int body_open_push(struct body_codec *c, const Ztc__Push *m, struct arena *a,
                   Ztc__PushBody **ret_body);
int body_open_entries(struct body_codec *c, struct slice packed, uint32_t size, uint32_t count,
                      struct arena *a, Ztc__EntriesBody **ret_body);
int body_open_slice(struct body_codec *c, const Ztc__Slice *m, struct arena *a,
                    Ztc__SliceBody **ret_body);

#endif
