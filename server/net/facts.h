/* What the store knows of a replica that says Hello: the answer to server_update.ask, for a session over a
 * line and for one in a file. */
#ifndef ZTC_SERVER_FACTS_H
#define ZTC_SERVER_FACTS_H

#include "server/core/session.h"
#include "server/store/city_recover.h"

#define REFUSALS_CHUNK 64 /* read and sent at a time */

/* What the certificate shown says. */
struct replica_claim {
    uint32_t site;
    uint8_t fingerprint[HASH_SIZE];
    uint8_t key[HASH_SIZE]; /* SHA-256 of its public key */
    bool expired;
};

/* Refusals copied into an arena. */
struct refusal_list {
    struct arena *arena;
    uint64_t from_n; /* the first wanted */
    struct server_refusal *at;
    size_t n, max;
    bool more;
};

int facts_refusals(struct city *city, const struct id *replica, uint64_t acked_n, uint64_t from_n,
                   size_t max, struct arena *a, struct refusal_list *ret, struct err *err);

struct facts {
    struct server_facts answer;
    bool recovering;
    uint64_t adopt_n; /* what it knows answered and this store did not; 0: nothing */
    struct city_cursor cursors[SERVER_STREAMS];

    /* private */
    struct arena *arena;
    struct id replica;
    struct replica_claim claim;
    uint64_t own_n, acked_n;
    uint64_t unanswered_from; /* the same, where Hello said it; else UINT64_MAX */
    uint8_t acked_chain[HASH_SIZE];
    struct city_cursor witness; /* of `city`: its head only */
    struct server_signed heads[SERVER_STREAMS + 1];
    uint64_t shown[SERVER_STREAMS + 1]; /* seqs of its heads of the two streams and of `city`, when they are ours */
};

/* What Hello says is copied into A, where the answer will lie, too. E_NOMEM. */
int facts_init(struct facts *f, const struct id *replica, const struct replica_claim *claim,
               const uint8_t authorities[HASH_SIZE], const Ztc__Hello *m, struct arena *a);

/* Fill the answer. E_AUTH, E_REVOKED; E_RECOVERING: Hello proves that the store is older than it should be,
 * which must freeze it. */
int facts_read(struct facts *f, struct city *city, struct err *err);

/* `shared`, then the site's. */
uint32_t facts_stream(const struct facts *f, size_t i);

/* What a restored city keeps of a Hello, before anything else that the replica says is written. */
struct hearing {
    struct id replica;
    uint32_t streams[SERVER_STREAMS + 1];
    uint64_t shown[SERVER_STREAMS + 1];
    uint64_t adopt_n; /* 0: nothing */
    uint8_t adopt_chain[HASH_SIZE];
    bool back[SERVER_STREAMS]; /* it goes back to these places, with changes up to own_n made before */
    uint64_t back_to[SERVER_STREAMS];
    uint64_t own_n;
};

/* False: nothing of it is to be kept. */
bool facts_hearing(const struct facts *f, struct hearing *ret);

/* Inside a group. */
int hearing_keep(const struct hearing *h, struct city *city, struct err *err);

#endif
