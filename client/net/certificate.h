/* A replica's certificate on disk: cert.pem, and ca.pem with the CAs that it trusts, newest first.
 *
 * The key stays for the replica's life, so that a renewal replaces one file at a time: the CAs, then the
 * certificate. After a crash between the two the former certificate is still there, and still good: the
 * city knows both until the newer was used. */
#ifndef ZTC_CLIENT_CERTIFICATE_H
#define ZTC_CLIENT_CERTIFICATE_H

#include "client/core/session.h"
#include "common/crypto/trust.h"

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

#endif
