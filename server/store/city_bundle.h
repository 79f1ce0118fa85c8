/* What a replica's last bundle said, for the answer that is made later. */
#ifndef ZTC_SERVER_CITY_BUNDLE_H
#define ZTC_SERVER_CITY_BUNDLE_H

#include "server/store/city.h"

struct city_bundle {
    struct slice hello;       /* Hello, packed */
    struct slice certificate; /* DER */
    msec_t at, given_at; /* when the last was taken in, when one was made for it (0: never) */
    struct slice renewed; /* Frame with its length; empty: none */
    msec_t renewed_until;
    uint8_t renewed_print[HASH_SIZE];
    struct slice blobs; /* Frames with their lengths: BlobDone to be told, BlobWant to be answered */
};

/* Slices lie in A; without A only the times are read. E_NOTFOUND: none was taken in. */
int city_bundle_get(struct city *c, const struct replica_row *r, struct arena *a,
                    struct city_bundle *ret, struct err *err);
int city_bundle_put(struct city *c, const struct replica_row *r, const struct city_bundle *b,
                    struct err *err);

#endif
