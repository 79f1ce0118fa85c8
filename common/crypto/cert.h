/* Keys, certificates and the city's small CA: P-256 throughout.
 *
 * A replica's identity is the one URI in its certificate's subject alternative name,
 * urn:zhitongche:site:<code>:replica:<id>; the daemon's is urn:zhitongche:city:<ledger id>. */
#ifndef ZTC_CRYPTO_CERT_H
#define ZTC_CRYPTO_CERT_H

#include "common/base/cal.h"
#include "common/base/err.h"
#include "common/base/id.h"
#include "common/ledger/head.h"

#define CERT_DAYS    90
#define CERT_DAY_MS  (24ull * 3600 * 1000)
#define CERT_CA_DAYS 3650

struct key;  /* a P-256 private key */
struct cert; /* an X.509 certificate */

int key_new(struct key **ret, struct err *err);
/* PKCS#8 PEM in a 0600 file, written by rename and synced. load: E_NOTFOUND, E_DENIED, E_MALFORMED. */
int key_save(const struct key *k, const char *path, struct err *err);
int key_load(const char *path, struct key **ret, struct err *err);
void key_free(struct key *k);

/* SubjectPublicKeyInfo DER, appended. */
int key_public(const struct key *k, struct buf *out);

/* ECDSA-SHA-256, DER. The signer borrows K. */
struct signer key_signer(struct key *k);

/* A verifier for a SubjectPublicKeyInfo DER; pubkey_free it. E_MALFORMED when it is not P-256. */
struct pubkey;
int pubkey_load(struct slice der, struct pubkey **ret, struct err *err);
void pubkey_free(struct pubkey *k);
struct verifier pubkey_verifier(struct pubkey *k);

int cert_from_der(struct slice der, struct cert **ret, struct err *err);
int cert_to_der(const struct cert *c, struct buf *out);
int cert_save(const struct cert *c, const char *path, struct err *err); /* PEM */
int cert_load(const char *path, struct cert **ret, struct err *err);
/* Several in one 0600 file, in their order. load: one at least, at most MAX (E_TOOBIG); the caller frees
 * each. */
int cert_save_all(const struct cert *const *list, size_t n, const char *path, struct err *err);
int cert_load_all(const char *path, struct cert **ret_list, size_t max, size_t *ret_n,
                  struct err *err);
void cert_free(struct cert *c);

/* SHA-256 of the DER. */
void cert_fingerprint(const struct cert *c, uint8_t ret[HASH_SIZE]);

/* Serial as lower-case hex. */
void cert_serial(const struct cert *c, char ret[48]);
msec_t cert_not_before(const struct cert *c);
msec_t cert_not_after(const struct cert *c);
/* Whole days until END; 0 when it is over. */
int64_t cert_days_left(msec_t end, msec_t now);
/* CA signed it. */
bool cert_issued_by(const struct cert *c, const struct cert *ca);
/* SubjectPublicKeyInfo DER, appended. */
int cert_public(const struct cert *c, struct buf *out);

/* The site and replica of a replica's certificate. E_AUTH unless there is exactly one URI of the
 * form above, no embedded NUL, and nothing else in the name. */
int cert_replica(const struct cert *c, uint32_t *ret_site, struct id *ret_replica, struct err *err);

/* The ledger of the daemon's certificate. E_AUTH unless there is exactly one URI of the form above,
 * beside it only DNS names and addresses, and nothing else in the name. */
int cert_city(const struct cert *c, struct id *ret_ledger, struct err *err);

/* A new CA (self-signed, path length 0, key usage certSign and cRLSign). NOW judges validity; 5 minutes
 * are given to clocks that lag. */
int ca_new(msec_t now, const struct key *key, const char *name, struct cert **ret, struct err *err);

/* PKCS#10 DER of K, appended. */
int csr_new(const struct key *k, struct buf *out, struct err *err);

/* Check the request's own signature and that its key is P-256, issue for the replica (clientAuth).
 * Nothing of the request but its public key is taken over. E_MALFORMED, E_AUTH. */
int ca_issue_replica(const struct cert *ca, const struct key *ca_key, struct slice csr,
                     uint32_t site, const struct id *replica, msec_t now, int days,
                     struct cert **ret, struct err *err);

/* The daemon's own certificate (serverAuth) for KEY, SAN: the city URI, and each of HOSTS (DNS name or
 * IP address), NULL-terminated. */
int ca_issue_city(const struct cert *ca, const struct key *ca_key, const struct key *key,
                  const struct id *ledger, const char *const *hosts, msec_t now, int days,
                  struct cert **ret, struct err *err);

#endif
