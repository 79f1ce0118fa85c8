/* Reads of the log off the loop: batches for those who catch up.
 *
 * Each read uses a read-only store of its own for its short life; a few run at a time, the rest wait
 * in order. */
#ifndef ZTC_SERVER_UV_READER_H
#define ZTC_SERVER_UV_READER_H

#include "server/net/tail.h"

#include "server/store/snapshot.h"

#include <uv.h>

struct reader;

struct reader_options {
    uv_loop_t *loop;
    const char *path;          /* of the store; borrowed */
    const struct vault *vault; /* borrowed; safe from any thread */
};

int reader_new(const struct reader_options *o, struct reader **ret, struct err *err);

/* A batch of entries to read, a slice, or anything else (RUN, on a thread of the pool; the rest is the caller's
 * then). Embedded by the caller, who keeps it until `done`, on the loop. */
struct read_job {
    int (*run)(struct read_job *job, struct store *s); /* NULL: as follows */
    struct slice_read *slice; /* NULL: entries, as follows */
    uint32_t stream;
    uint64_t from_seq;
    struct batch_limits limits;
    void (*done)(struct read_job *job);

    int ret;
    uint32_t count, size;
    struct buf body; /* compressed; the reader's until `done`, released by the caller */
    struct read_job *next; /* private */
};
void reader_submit(struct reader *r, struct read_job *job);

/* Jobs under way end first (queued ones with E_CLOSED), then CB; the memory is gone after it. */
void reader_close(struct reader *r, void (*cb)(void *ctx), void *ctx);

#endif
