/* A replica's certificate on disk: cert.pem, and ca.pem with the CAs that it trusts, newest first.
 *
 * The key stays for the replica's life, so that a renewal replaces one file at a time: the CAs, then the
 * certificate. After a crash between the two the former certificate is still there, and still good: the
 * city knows both until the newer was used. */
#ifndef ZTC_CLIENT_CERTIFICATE_H
#define ZTC_CLIENT_CERTIFICATE_H

#include "client/core/session.h"
#include "common/crypto/trust.h"

struct replica;

struct certificate {
    struct key *key;
    struct cert *own;
    struct cert *cas[TRUST_MAX]; /* newest first */
    size_t n_cas;
};

/* Read the files of DIR. */
int certificate_load(const char *dir, struct certificate *ret, struct err *err);
void certificate_release(struct certificate *c);

/* For a session's facts. */
struct client_cert certificate_facts(const struct certificate *c);

/* A request for the same key, appended. */
int certificate_request(const struct certificate *c, struct buf *out, struct err *err);

/* Verify what the city sent and keep it, on disk and in C. E_AUTH: it is not for this replica and key, or
 * its CA is neither trusted nor vouched for by one that is. E_FULL, E_IO …: C is as it was. */
int certificate_take(struct certificate *c, const char *dir, const struct id *ledger,
                     const Ztc__Renewed *m, struct err *err);

/* What the city sent, read into *RET (release it, on failure too): its CAs are trusted or vouched for, and
 * the first of them issued the certificate. Whose that is, is the caller's to judge. */
int certificate_check(const struct certificate *now, const struct id *ledger, const Ztc__Renewed *m,
                      struct certificate *ret, struct err *err);

/* Keep the certificate that the city shows, for bundles, where that of the file is another. */
int certificate_keep_city(const char *dir, const struct cert *city);

/* ---- a new identity (identity.c) ----
 *
 * The new key rests in key.pem.next before it is asked for, the certificate in cert.pem.next before the
 * replica's file is another's: that transaction is the moment of the change. Then both take their places;
 * what a crash left of that is done by identity_settle. */

/* Put the files in their places that belong to the identity that the replica's file has. Before
 * certificate_load, by who holds the lock. */
int identity_settle(const char *dir, struct replica *r, struct err *err);

/* The request for a new identity, appended, and its id: the same ones until the change. */
int identity_request(const char *dir, struct replica *r, msec_t now, struct buf *out,
                     struct id *ret_id, struct err *err);

/* Verify what the city granted and become it, on disk and in C. */
int identity_take(struct certificate *c, const char *dir, struct replica *r,
                  const Ztc__NewIdentityGranted *m, uint64_t agreed_n, msec_t now,
                  uint64_t *ret_remade, struct err *err);

#endif
