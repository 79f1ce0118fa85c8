/* The one thread that writes the city's store, in groups.
 *
 *   loop ──writer_submit──► queue ──► group: begin, run each, commit ──► done on the loop
 *                             ▲                     │
 *                             └── what arrives while a commit syncs is the next group
 *
 * A job that fails alone is answered alone: when it may have written something the group is rolled
 * back and run again without it. When the store itself fails (disk full, not writable, I/O) nothing
 * of the group is answered; it is tried again with back-off until it succeeds, and jobs that cannot
 * wait are answered with the reason. Jobs that only read go on all the while. */
#ifndef ZTC_SERVER_UV_WRITER_H
#define ZTC_SERVER_UV_WRITER_H

#include "server/net/tail.h"
#include "server/store/city.h"

#include <stdatomic.h>
#include <uv.h>

struct writer;

/* Embedded by the caller, who keeps it until `done`. */
struct write_job {
    /* On the writer's thread. May run several times, each time as if for the first. Non-zero: the
     * job failed; set `wrote` when something may have been written before that. */
    int (*run)(struct write_job *job, struct city *city, struct err *err);
    /* On the loop, once, with `ret` and `err` set; after 0 everything `run` wrote is durable. */
    void (*done)(struct write_job *job);

    bool reads;      /* writes nothing: runs at once, outside a group */
    bool impatient;  /* a store that refuses is its answer */
    size_t changes;  /* what it weighs in a group */
    size_t bytes;

    int ret;
    struct err err;
    bool wrote;
    msec_t now;          /* of the group, for run */
    atomic_bool canceled; /* private: skipped when it has not been committed, done with E_CLOSED */
    struct write_job *next; /* private */
};

/* A stream stands at SEQ now, and this is the city's word for it. */
struct writer_head {
    uint32_t stream;
    uint64_t seq;
    struct slice head, signature;
    struct tail *entries; /* what was appended, for whoever wants to take it; not of the stream `city` */
};

#define TAIL_MAX_BYTES (4u << 20) /* of a stream's newest entries in memory */

struct writer_options {
    uv_loop_t *loop;
    struct city *city; /* the writer's from start to close */
    msec_t (*clock)(void);
    /* On the loop, before the `done` of the jobs that caused it: every stream that one or more
     * commits advanced, never a part of a commit. HEADS live until the call returns. */
    void (*advanced)(void *ctx, const struct writer_head *heads, size_t n);
    /* On the loop, after those `done`; NULL will do. */
    void (*settled)(void *ctx);
    void *ctx;
    unsigned checkpoint_pages; /* of the store's log, when it is time for a checkpoint; 0: as usual */
};

struct writer_status {
    bool recovering;        /* the city was restored: no seq is assigned */
    bool refused;           /* the store takes nothing at present */
    struct err cause;       /* the last failure of the store */
    msec_t since;           /* of `refused` */
    uint64_t groups, changes, failures;
    size_t queued_jobs, queued_bytes;
};

int writer_new(const struct writer_options *o, struct writer **ret, struct err *err);

/* Loop thread. Always taken: callers bound what they have under way and ask writer_full first. */
void writer_submit(struct writer *w, struct write_job *job);

/* `done` still comes. */
void writer_cancel(struct write_job *job);

/* So much is queued that no further push should be read. */
bool writer_full(struct writer *w);

void writer_status(struct writer *w, struct writer_status *ret);

/* Finish what is queued (while the store refuses: answer it with E_CLOSED), end the thread, then CB;
 * the memory is gone after CB. */
void writer_close(struct writer *w, void (*cb)(void *ctx), void *ctx);

#endif
