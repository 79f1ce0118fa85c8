/* Where each stream stands, in a small file outside the store: what nobody has any more can be counted, and a
 * store that was put back behind the daemon's back is noticed.
 *
 * It lies in a page (page.h). Each stream has two places written in turn, so that one is always whole. */
#ifndef ZTC_SERVER_HEADS_H
#define ZTC_SERVER_HEADS_H

#include "common/base/err.h"
#include "common/ledger/store.h"

#define HEADS_STREAMS 24u

struct heads;

/* Open or make PATH, 0600. A file that is none is begun anew. E_IO, E_FULL, E_NOMEM. */
int heads_open(const char *path, struct heads **ret, struct err *err);
void heads_close(struct heads *h); /* NULL will do, here and below */

void heads_put(struct heads *h, const struct stream_head *at);

/* What it says of STREAM; false: nothing. */
bool heads_get(const struct heads *h, uint32_t stream, struct stream_head *ret);

#endif
