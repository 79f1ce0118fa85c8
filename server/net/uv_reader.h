/* Reads of the log off the loop: catch-up batches, and what the tails take in after a commit.
 *
 * Each read uses a read-only store of its own for its short life; a few run at a time, the rest wait
 * in order. */
#ifndef ZTC_SERVER_UV_READER_H
#define ZTC_SERVER_UV_READER_H

#include "server/net/tail.h"

#include "common/ledger/store.h"

#include <uv.h>

struct reader;

struct reader_options {
    uv_loop_t *loop;
    const char *path;          /* of the store; borrowed */
    const struct vault *vault; /* borrowed; safe from any thread */
};

int reader_new(const struct reader_options *o, struct reader **ret, struct err *err);

/* A batch to read. Embedded by the caller, who keeps it until `done`, on the loop. */
struct read_job {
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

/* Entries behind each tail's newest up to UPTO, into a tail of their own. */
struct fill_part {
    uint64_t from_seq, upto_seq;
    struct tail got;
};
#define FILL_PARTS 32
struct fill_job {
    struct fill_part parts[FILL_PARTS];
    size_t n;
    void (*done)(struct fill_job *job); /* parts that could not be read are empty */
    void *ctx; /* the caller's */

    struct reader *reader; /* private */
    uv_work_t work;        /* private */
};
void reader_fill(struct reader *r, struct fill_job *job);

/* Jobs under way end first (queued ones with E_CLOSED), then CB; the memory is gone after it. */
void reader_close(struct reader *r, void (*cb)(void *ctx), void *ctx);

#endif
