/* What a computer says of itself: how much was made on it, and how much of that has arrived.
 *
 * The county counts, sends it with every Hello and Ping, and shows it; the city keeps the last one of
 * each computer and shows the same numbers. Both judge 已全部上传 here. */
#ifndef ZTC_LEDGER_STATEMENT_H
#define ZTC_LEDGER_STATEMENT_H

#include "common/base/buf.h"

#include <stdbool.h>

struct statement {
    uint64_t own_n;       /* changes made on it */
    uint64_t acked_n;     /* every change up to here is answered */
    uint64_t waiting;     /* changes not answered */
    uint64_t refused;     /* refusals that nobody has seen to */
    uint64_t attachments; /* attachments of which the city has not every byte */
};

/* 已全部上传. */
bool statement_complete(const struct statement *s);

/* Why not, as a Chinese sentence without a full stop; nothing when it is complete. */
void statement_why(const struct statement *s, struct buf *out);

#endif
