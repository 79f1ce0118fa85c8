/* What a city needs before opinions can arrive: a member and a studio in every site's stream, and
 * enrolled replicas. These end the program when something fails. */
#ifndef ZTC_BENCH_SETTLE_H
#define ZTC_BENCH_SETTLE_H

#include "server/store/city.h"
#include "tests/bench/author.h"

struct settled_site {
    struct id member, studio;
};

/* Inside a group. */
void settle_sites(struct city *c, struct settled_site ret[BENCH_SITES]);

/* Enrol one more replica of the AT-th site, with this serial and fingerprint of a certificate; inside a
 * group. RET is its author. */
void settle_replica(struct city *c, unsigned at, const struct id *replica, msec_t now,
                    const struct settled_site *site, const char *serial,
                    const uint8_t fingerprint[HASH_SIZE], struct author *ret);

/* Say what failed and end, unless RET is 0. */
void settle_must(int ret, const struct err *err, const char *what);

#endif
