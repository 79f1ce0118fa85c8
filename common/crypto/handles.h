/* The OpenSSL objects behind keys and certificates: for this folder and for TLS, nobody else. */
#ifndef ZTC_CRYPTO_HANDLES_H
#define ZTC_CRYPTO_HANDLES_H

#include "common/crypto/cert.h"

#include <openssl/evp.h>
#include <openssl/x509.h>

struct key {
    EVP_PKEY *pkey; /* owned, P-256 */
};

struct pubkey {
    EVP_PKEY *pkey; /* owned, P-256 */
};

struct cert {
    X509 *x; /* owned (one reference), passed cert_adopt's checks */
    uint8_t print[HASH_SIZE];
};

/* Length of a P-256 SubjectPublicKeyInfo: the one form that is taken (named curve, uncompressed). */
#define SPKI_SIZE 91

/* Append the SubjectPublicKeyInfo; E_MALFORMED when it is not P-256 in that form. */
int spki_of(EVP_PKEY *pkey, struct buf *out);
bool spki_is_p256(struct slice der);

/* A certificate around X, whose reference is taken on 0 only. E_MALFORMED unless the key is P-256,
 * the serial has at most 20 bytes and the times can be read; E_NOMEM. */
int cert_adopt(X509 *x, struct cert **ret, struct err *err);

/* Forget what OpenSSL queued on this thread and report RET, or E_NOMEM where that was the cause. */
int openssl_failed(struct err *err, int ret, const char *what);

/* A password callback that has none, so that an encrypted file fails instead of asking a terminal. */
int no_password(char *buf, int size, int rwflag, void *u);

#endif
