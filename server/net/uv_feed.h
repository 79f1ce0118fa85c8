/* What the sessions read: the signed heads, and entries from memory while the tails have them.
 *
 *   writer ──advanced──► heads and tails kept ──settled──► on_heads ──► sessions read batches
 *
 * What a commit brought is in the tail before sessions hear of it, so that nobody reads it from the store.
 * Heads of one commit stay together, and are told after its jobs: refusals go before the echoes. */
#ifndef ZTC_SERVER_UV_FEED_H
#define ZTC_SERVER_UV_FEED_H

#include "server/core/session.h"
#include "server/net/uv_writer.h"

struct feed;

/* ON_HEADS is called on the loop. */
int feed_new(void (*on_heads)(void *ctx, const struct server_head *, size_t),
             void *ctx, struct feed **ret, struct err *err);

void feed_free(struct feed *f);

/* The heads as they stand before the writer starts, and later those it hands over. */
void feed_start(struct feed *f, const struct writer_head *heads, size_t n);
void feed_advanced(struct feed *f, const struct writer_head *heads, size_t n);

/* Tell the sessions of what advanced. */
void feed_tell(struct feed *f);

/* The newest signed head of a stream; its seq, or 0 and empty slices. */
uint64_t feed_head(struct feed *f, uint32_t stream, struct server_signed *ret);

/* A batch from memory: its body appended to OUT. False when the tail does not have it. */
bool feed_batch(struct feed *f, uint32_t stream, uint64_t from_seq,
                const struct batch_limits *limits, struct body_codec *codec, struct buf *out,
                uint32_t *ret_count, uint32_t *ret_size);

#endif
