/* Replicas that bench_prepare enrolled, in one file: what each needs to connect and to write.
 *
 *   bytes ledger | bytes log key (DER) | varint count | count times:
 *     16-byte ids replica, clerk, studio, member | be32 site | bytes certificate (DER)
 * They share one private key, in a file beside it: making thousands would measure nothing. */
#ifndef ZTC_BENCH_CREW_H
#define ZTC_BENCH_CREW_H

#include "common/base/arena.h"
#include "common/crypto/cert.h"
#include "tests/bench/author.h"

struct crew_member {
    struct author author;
    struct slice cert; /* DER */
};

struct crew {
    struct id ledger;
    struct slice log_key;
    struct crew_member *members;
    size_t n;
    struct key *key;
    struct cert *ca;
    struct arena arena;
};

void crew_put_head(struct buf *out, const struct id *ledger, struct slice log_key, size_t n);
void crew_put(struct buf *out, const struct author *a, struct slice cert);

/* DIR/crew, DIR/crew.key and DIR/ca.pem; ends the program when they do not read. */
void crew_load(struct crew *c, const char *dir);
void crew_release(struct crew *c);

#endif
