/* A key that two P-256 keys have in common: ECDH, then HKDF-SHA-256. */
#ifndef ZTC_CRYPTO_AGREE_H
#define ZTC_CRYPTO_AGREE_H

#include "common/crypto/cert.h"
#include "common/crypto/seal.h"

/* Of OWN and the key whose SubjectPublicKeyInfo PEER is; bound to SALT and INFO. E_MALFORMED: PEER is no
 * P-256 key. */
int key_agree(const struct key *own, struct slice peer, struct slice salt, const char *info,
              struct seal_key *ret, struct err *err);

/* SHA-256 of the SubjectPublicKeyInfo: what a key is called. */
int key_print(const struct key *k, uint8_t ret[HASH_SIZE], struct err *err);
int cert_key_print(const struct cert *c, uint8_t ret[HASH_SIZE], struct err *err);

#endif
