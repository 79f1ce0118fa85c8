/* A replica as far as a benchmark needs one: it turns opinions into author's bytes, numbered. */
#ifndef ZTC_BENCH_AUTHOR_H
#define ZTC_BENCH_AUTHOR_H

#include "common/ledger/change.h"
#include "tests/bench/workload.h"

struct author {
    struct id replica, clerk, studio, member; /* the last two: what its opinions refer to */
    uint32_t site;
    uint64_t n; /* changes made */
    struct random_seeded seeded;
    struct random random; /* of salts */
    const struct hasher *hasher;
};

/* The creation of O as the author's next change: bytes and sidecar appended. */
void author_create(struct author *a, const struct opinion *o, struct buf *bytes, struct buf *side);

#endif
