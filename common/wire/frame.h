/* Frames: a 4-byte big-endian length and one protobuf message `Frame` (proto/sync.proto).
 *
 *   bytes --frame_feed--> Ztc__Frame in an arena --check.h--> a frame a session may look at
 *
 * A frame's bytes are exactly one field of `Frame`: two kinds in one frame, none, or bytes behind it
 * are malformed. No I/O here. */
#ifndef ZTC_WIRE_FRAME_H
#define ZTC_WIRE_FRAME_H

#include "common/base/arena.h"
#include "common/base/buf.h"

#include <sync.pb-c.h>

#define PROTOCOL_MIN 1u
#define PROTOCOL_MAX 1u

#define FRAME_PREFIX       4u
#define FRAME_MAX          (1024u * 1024u)
#define FRAME_MAX_STRANGER 4096u /* until the peer's certificate is matched to a replica */

/* X(constant, union member, message type, name for people who read traces) */
#define FRAME_KINDS(X)                                                                             \
    X(HELLO, hello, Ztc__Hello)                                                                    \
    X(WELCOME, welcome, Ztc__Welcome)                                                              \
    X(PUSH, push, Ztc__Push)                                                                       \
    X(ENTRIES, entries, Ztc__Entries)                                                              \
    X(REFUSED, refused, Ztc__Refused)                                                              \
    X(REFUSED_ACK, refused_ack, Ztc__RefusedAck)                                                   \
    X(PING, ping, Ztc__Ping)                                                                       \
    X(BYE, bye, Ztc__Bye)                                                                          \
    X(ENROL, enrol, Ztc__Enrol)                                                                    \
    X(ENROLLED, enrolled, Ztc__Enrolled)                                                           \
    X(BLOB_HAVE, blob_have, Ztc__BlobHave)                                                         \
    X(BLOB_WANT, blob_want, Ztc__BlobWant)                                                         \
    X(BLOB_CHUNK, blob_chunk, Ztc__BlobChunk)                                                      \
    X(BLOB_DONE, blob_done, Ztc__BlobDone)                                                         \
    X(DIGEST_ASK, digest_ask, Ztc__DigestAsk)                                                      \
    X(DIGEST_TELL, digest_tell, Ztc__DigestTell)                                                   \
    X(REPAIR_ROWS, repair_rows, Ztc__RepairRows)                                                   \
    X(REPAIRED, repaired, Ztc__Repaired)                                                           \
    X(SNAPSHOT_ASK, snapshot_ask, Ztc__SnapshotAsk)                                                \
    X(SLICE, slice, Ztc__Slice)                                                                    \
    X(HISTORY_ASK, history_ask, Ztc__HistoryAsk)                                                   \
    X(HISTORY, history, Ztc__History)                                                              \
    X(RENEW, renew, Ztc__Renew)                                                                    \
    X(RENEWED, renewed, Ztc__Renewed)                                                              \
    X(NEW_IDENTITY, new_identity, Ztc__NewIdentity)                                                \
    X(NEW_IDENTITY_GRANTED, new_identity_granted, Ztc__NewIdentityGranted)                         \
    X(WINDOW, window, Ztc__Window)                                                                 \
    X(REFILL_ASK, refill_ask, Ztc__RefillAsk)                                                      \
    X(REFILL, refill, Ztc__Refill)                                                                 \
    X(GO_BACK, go_back, Ztc__GoBack)

struct frame_reader {
    size_t max;    /* bytes of the next frame, without its length */
    struct buf in; /* the beginning of a frame that has not come whole; empty between frames */
    int ret;       /* sticky: after an error nothing more is taken */
};

void frame_reader_init(struct frame_reader *r, size_t max);
void frame_reader_release(struct frame_reader *r);

/* The cap from now on, also of a frame whose beginning is buffered. */
void frame_reader_set_max(struct frame_reader *r, size_t max);

/* Take bytes of DATA until one frame is whole. *RET_CONSUMED says how many were taken; *RET_FRAME is
 * the checked frame in A, or NULL when all of DATA was taken and more is needed. The caller feeds the
 * rest again. A gives at most 16 times the frame's size (at least 64 KiB).
 * E_TOOBIG (length over the cap, or it unpacks beyond the arena), E_MALFORMED, E_NOMEM. */
int frame_feed(struct frame_reader *r, struct slice data, struct arena *a, size_t *ret_consumed,
               Ztc__Frame **ret_frame);

/* One frame's bytes without the length, unpacked into A and checked. Errors as frame_feed. */
int frame_unpack(struct arena *a, struct slice bytes, Ztc__Frame **ret_frame);

/* Length and frame appended. Errors stick in OUT; a frame over FRAME_MAX is a bug of ours. */
void frame_put(struct buf *out, const Ztc__Frame *f);

/* frame_put_hello(out, &hello) … for every kind. */
#define X(upper, member, type) void frame_put_##member(struct buf *out, const type *m);
FRAME_KINDS(X)
#undef X

/* "hello", "welcome", …; "none". */
const char *frame_name(const Ztc__Frame *f);

/* An allocator for protobuf-c on A that notes a refusal. Unpacking may take at most LIMIT bytes. */
struct wire_arena {
    ProtobufCAllocator allocator;
    struct arena *arena;
    size_t limit; /* bytes of the arena this unpacking may still take */
    bool full;    /* the limit was met */
    bool out;     /* memory was out */
};
void wire_arena_init(struct wire_arena *w, struct arena *a, size_t message_size);

/* What a failed unpacking means: E_NOMEM, E_TOOBIG or E_MALFORMED. */
int wire_arena_error(const struct wire_arena *w);

static inline struct slice wire_slice(ProtobufCBinaryData d)
{
    return (struct slice){d.data, d.len};
}

/* Borrowed; protobuf-c's type has no const. */
static inline ProtobufCBinaryData wire_data(struct slice s)
{
    union {
        const uint8_t *c;
        uint8_t *p;
    } u = {s.p};

    return (ProtobufCBinaryData){s.len, u.p};
}

#endif
