/* The city's CAs: one, or two while it changes to a new one. What counties are issued and told follows
 * from the newest; they are shown the certificate of the oldest, which each of them accepts.
 *
 * Read-only once made; counted references, which are touched on one thread only. */
#ifndef ZTC_SERVER_AUTHORITIES_H
#define ZTC_SERVER_AUTHORITIES_H

#include "common/crypto/trust.h"
#include "server/core/session.h"
#include "server/store/city.h"

#define LOG_KEY_LABEL "ztc-log-key-1"

struct authority {
    unsigned generation; /* the city's first CA is 1 */
    struct cert *ca;
    struct key *key;
    struct cert *server; /* the daemon's certificate under it */
};

struct authorities {
    struct authority at[TRUST_MAX]; /* newest first */
    unsigned n;
    uint8_t digest[HASH_SIZE];
    struct buf der[TRUST_MAX];
    struct buf endorsement; /* of the newest by the one before it; empty: there is none */
    struct buf log_key_signature; /* of the key that signs heads, by the newest */
    /* private */
    unsigned refs;
};

/* Of N CAs, whose certificates and keys are taken, on failure too. E_NOMEM. */
int authorities_new(const struct authority *list, unsigned n, struct authorities **ret,
                    struct err *err);
struct authorities *authorities_ref(struct authorities *a);
void authorities_unref(struct authorities *a);

/* Have the older one vouch for the newer in LEDGER, and the newest for the key that signs heads
 * (SubjectPublicKeyInfo DER). Before anything is told to anybody. */
int authorities_sign(struct authorities *a, const struct id *ledger, struct slice log_key,
                     struct err *err);

/* The certificate of the newest CA for a replica's request, and what the store remembers of it. */
int authorities_issue(const struct authorities *a, struct slice csr, uint32_t site,
                      const struct id *replica, msec_t now, struct cert **ret,
                      struct city_cert *ret_cert, struct err *err);

/* The same for one that is active and keeps its KEY, recorded as its next one. Inside a group; after a
 * failure it must be rolled back. E_REVOKED; E_AUTH: the request is for another key. */
int authorities_renew(const struct authorities *a, struct city *city, struct slice csr, uint32_t site,
                      const struct id *replica, const uint8_t key[HASH_SIZE], msec_t now,
                      struct cert **ret, struct err *err);

/* The session's answer of that certificate; it points into LIST and A. */
#define AUTHORITIES_LIST (TRUST_MAX + 1u)
void authorities_answer(const struct authorities *a, struct slice certificate,
                        struct slice list[AUTHORITIES_LIST], struct server_issued *ret);

/* SHA-256 of a certificate's public key. */
int authorities_key_print(const struct cert *c, uint8_t ret[HASH_SIZE]);

#endif
