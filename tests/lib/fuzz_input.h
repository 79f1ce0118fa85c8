/* What the fuzzers of both session machines make of their input: frames that either side may say. */
#ifndef ZTC_TESTS_FUZZ_INPUT_H
#define ZTC_TESTS_FUZZ_INPUT_H

#include "common/wire/frame.h"

#define FUZZ_BLOB_BYTES (256u * 1024u + 7u) /* of an attachment: a chunk and a little */

/* A length, and so many bytes, or what is left. */
struct slice fuzz_take_rest(struct rd *in);

/* Where a machine stands with one attachment. */
struct fuzz_lane {
    uint64_t offset, size;
};

/* A frame about one of two attachments, at a place that fits a lane or one that a byte says; chunks of the
 * length that fits, or not. */
void fuzz_put_blob(struct rd *in, const struct fuzz_lane lanes[2], struct buf *out);

void fuzz_put_ping(struct rd *in, struct buf *out);

#endif
