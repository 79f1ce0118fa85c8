/* The common workload: `opinion` records made from a seed, the same for what we measure and for its
 * baseline. UUIDv7 ids, the sites in turn, every required field filled, a content of 200 Chinese
 * characters mixed of phrases, place names, digits and single characters with a natural skew. */
#ifndef ZTC_BENCH_WORKLOAD_H
#define ZTC_BENCH_WORKLOAD_H

#include "common/base/buf.h"
#include "common/base/cal.h"
#include "common/base/id.h"

#define BENCH_SITES 11u

extern const uint32_t bench_sites[BENCH_SITES];

struct opinion {
    struct id id;
    unsigned site; /* place in bench_sites */
    uint64_t no;   /* within its site, from 1 */
    char serial[24];
    char received_at[32];
    const char *channel, *category;
    char title[192];
    char content[1024];
    char area[64];
    int64_t persons;
};

struct workload {
    struct random_seeded seeded;
    struct random random;
    msec_t now;
    unsigned n_sites; /* records go to the first N_SITES in turn */
    uint64_t made;
};

void workload_init(struct workload *w, uint64_t seed, unsigned n_sites);
void workload_next(struct workload *w, struct opinion *ret);

#endif
