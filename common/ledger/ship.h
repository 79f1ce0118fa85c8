/* A copy of a store that follows it: what was committed is carried over by the log, not by copying all again.
 *
 *   TO        the store as of one moment
 *   TO-wal    its log since: the same bytes as the followed store's own, as far as a commit
 *
 * Both are opened as one by SQLite at any moment, after a crash too. While they are being followed nobody else may
 * open TO: SQLite would take the log in and remove it (which is noticed, and all is copied again).
 *
 *   the log grew                      what came since is appended
 *   the log began anew                what is left of the old one is appended, taken into TO, and the new one begun
 *   something in between was missed   the whole store is copied again */
#ifndef ZTC_LEDGER_SHIP_H
#define ZTC_LEDGER_SHIP_H

#include "common/base/err.h"

#include <stdbool.h>

struct store_ship;

/* Nothing is copied yet. Both paths are copied. MAY_REPLACE is asked before TO is replaced by all of FROM; what it
 * returns but 0 ends the step, and TO stays. NULL: it may. E_NOMEM, E_TOOBIG; then *RET is NULL. */
int store_ship_new(const char *from, const char *to, int (*may_replace)(void *ctx, struct err *err), void *ctx,
                   struct store_ship **ret, struct err *err);
void store_ship_free(struct store_ship *x);

/* Make TO equal to what was committed when this was called, or later; then it is synced. A failed step lost nothing
 * of TO and can be repeated. RET_MOVED: there was something to carry. E_NOTFOUND, E_BUSY, E_CORRUPT, E_FULL, E_IO,
 * E_NOMEM. */
int store_ship_step(struct store_ship *x, bool *ret_moved, struct err *err);

/* How often the whole store was copied. */
unsigned store_ship_copies(const struct store_ship *x);

#endif
