/* What a session by files wants of the attachments, done at once: the store first, then the files. */
#ifndef ZTC_SERVER_BUNDLE_BLOB_H
#define ZTC_SERVER_BUNDLE_BLOB_H

#include "server/core/blob.h"
#include "server/store/city.h"

struct bundle_blobs {
    struct city *city;
    const char *root; /* of the files */
    uint32_t site;
};

/* WANT is done; its word is in RET, what was read in BYTES. An upload begins at its first byte: a bundle
 * holds all of it, whatever a line brought before. */
void bundle_blob(const struct bundle_blobs *b, enum server_lane_name lane,
                 const struct server_blob_want *want, struct buf *bytes,
                 struct server_blob_answer *ret, struct err *err);

#endif
