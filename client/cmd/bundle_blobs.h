/* Attachments in bundles. What goes up goes whole, its record before it in the same bundle or known to the city;
 * what comes down goes on where the bundle before ended. */
#ifndef ZTC_CLIENT_BUNDLE_BLOBS_H
#define ZTC_CLIENT_BUNDLE_BLOBS_H

#include "client/cmd/bundle.h"

/* ---- export ---- */

struct blobs_said {
    uint64_t sent, left, asked; /* whole attachments in the bundle; too large for this one; to be fetched */
};

/* Of those that wait the ones whose records the city has, and with ALL those whose records come in this
 * bundle too. */
int bundle_blobs_put(struct office *o, struct bundle_writer *out, bool all, struct blobs_said *ret);

/* ---- import ---- */

struct blobs_heard {
    uint64_t verified, fetched; /* that the city has now; that are here now */
    uint64_t refused;
};

/* Those that do not wait for this are passed over. */
int bundle_blobs_done(struct office *o, const Ztc__BlobDone *m, struct blobs_heard *ret);
int bundle_blobs_chunk(struct office *o, const Ztc__BlobChunk *m, struct blobs_heard *ret);

#endif
