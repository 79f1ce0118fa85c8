/* Checkpoints of the city's store on a thread of their own: the writer does not wait while its pages
 * are copied from the write-ahead log into the file.
 *
 *   writer: commit, commit, …  ── the log is long ──► start        the log is copied so far ──┐
 *   own thread:                                         └─ copy, and once more what came meanwhile
 *   writer: commit, … and copies the rest itself, which is short; the next commit begins the log anew
 *
 * A log that grows faster than it is copied ends at its bound: there the writer waits. Readers hold no
 * transaction for long; one that does keeps the log growing until it ends. */
#ifndef ZTC_SERVER_UV_CHECKPOINT_H
#define ZTC_SERVER_UV_CHECKPOINT_H

#include "common/ledger/store.h"

struct checkpointer;

/* For the checkpoints of S from now on; START pages of log are the time for one, 0: as usual. On failure
 * S goes on as before. */
int checkpointer_new(struct store *s, unsigned start, struct checkpointer **ret, struct err *err);

/* On the writer's thread, after each commit, outside any transaction. */
void checkpointer_committed(struct checkpointer *k);

/* No commit any more: ends the thread. The store checkpoints when it is closed. NULL is allowed. */
void checkpointer_free(struct checkpointer *k);

#endif
