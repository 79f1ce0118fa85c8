/* Bundles as files: frames sealed for one receiver and signed by the sender (common/wire/bundle.h has the
 * bytes). Both ends hold one chunk at a time, however long the file is. */
#ifndef ZTC_BUNDLE_BUNDLE_H
#define ZTC_BUNDLE_BUNDLE_H

#include "common/crypto/cert.h"
#include "common/wire/bundle.h"
#include "common/wire/frame.h"

#define BUNDLE_FILE_MAX (1024ll * 1024 * 1024)

/* ---- writing ---- */

struct bundle_writer;

/* What a new bundle says of itself; borrowed for the call, OWN_KEY until the writer's end. */
struct bundle_new {
    enum bundle_way way;
    struct id ledger, replica;
    msec_t made_at;
    const struct cert *own;
    struct key *own_key;
    const struct cert *receiver;
};

/* Begin PATH, by a file of another name beside it. E_IO, E_FULL. */
int bundle_create(const char *path, const struct bundle_new *n, struct bundle_writer **ret,
                  struct err *err);

/* Frames are put here (frame_put_…), then bundle_put says so. */
struct buf *bundle_frames(struct bundle_writer *w);
int bundle_put(struct bundle_writer *w, struct err *err);

/* Bytes of frames so far. */
uint64_t bundle_bytes(const struct bundle_writer *w);

/* Sign it, sync it, give it its name. W is gone, on failure too; then there is no file. */
int bundle_finish(struct bundle_writer *w, struct err *err);
void bundle_abandon(struct bundle_writer *w);

/* ---- reading ---- */

struct bundle_reader;

/* Open PATH and read its head: nothing of it is proven yet. E_NOTFOUND, E_IO, E_MALFORMED, E_TOOBIG. */
int bundle_open(const char *path, struct bundle_reader **ret, struct err *err);
void bundle_close(struct bundle_reader *b);
const struct bundle_head *bundle_head(const struct bundle_reader *b);
const struct cert *bundle_sender(const struct bundle_reader *b);

/* The whole file is what the sender, whose certificate the caller has judged, made for OWN. E_DENIED: it is
 * for another; E_CORRUPT: some byte is not as it was signed. */
int bundle_prove(struct bundle_reader *b, const struct key *own, struct err *err);

/* Every frame in order, each checked; it lies in an arena that is cleared after CB. As often as needed, after
 * bundle_prove: only the sender and we have the key, so a file changed since does not open. E_CORRUPT,
 * E_MALFORMED, what CB returned. */
int bundle_each(struct bundle_reader *b,
                int (*cb)(void *ctx, Ztc__Frame *f, struct arena *a, struct err *err),
                void *ctx, struct err *err);

#endif
