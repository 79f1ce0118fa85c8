/* Key agreement, from OpenSSL. */
#include "common/crypto/agree.h"

#include "common/base/mem.h"
#include "common/crypto/handles.h"
#include "common/crypto/hash.h"
#include "common/crypto/memory.h"

#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <string.h>

#define SECRET_SIZE 32

static int shared_secret(EVP_PKEY *own, EVP_PKEY *peer, uint8_t ret[SECRET_SIZE])
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(own, NULL);
    size_t len = SECRET_SIZE;
    bool ok = ctx != NULL && EVP_PKEY_derive_init(ctx) == 1 &&
              EVP_PKEY_derive_set_peer(ctx, peer) == 1 && EVP_PKEY_derive(ctx, ret, &len) == 1 &&
              len == SECRET_SIZE;

    EVP_PKEY_CTX_free(ctx);
    return ok ? 0 : E_INTERNAL;
}

/* OpenSSL's parameters have no const. */
static void *plain(const void *p)
{
    union {
        const void *c;
        void *p;
    } u = {p};

    return u.p;
}

static int expand(const uint8_t secret[SECRET_SIZE], struct slice salt, const char *info,
                  struct seal_key *ret)
{
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    EVP_KDF_CTX *ctx = kdf == NULL ? NULL : EVP_KDF_CTX_new(kdf);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, plain("SHA256"), 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, plain(secret), SECRET_SIZE),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, plain(salt.p), salt.len),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, plain(info), strlen(info)),
        OSSL_PARAM_construct_end(),
    };
    bool ok = ctx != NULL && EVP_KDF_derive(ctx, ret->b, sizeof ret->b, params) == 1;

    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(kdf);
    return ok ? 0 : E_INTERNAL;
}

int key_agree(const struct key *own, struct slice peer, struct slice salt, const char *info,
              struct seal_key *ret, struct err *err)
{
    uint8_t secret[SECRET_SIZE];
    struct pubkey *p;
    int code = pubkey_load(peer, &p, err);

    if (code != 0)
        return code;
    crypto_memory_watch();
    code = shared_secret(own->pkey, p->pkey, secret);
    if (code == 0)
        code = expand(secret, salt, info, ret);
    mem_wipe(secret, sizeof secret);
    pubkey_free(p);
    return code == 0 ? 0 : openssl_failed(err, code, "无法协商密钥");
}

static int print_of(struct buf *der, int ret, uint8_t to[HASH_SIZE], struct err *err)
{
    struct slice part = buf_slice(der);

    if (ret == 0)
        hasher_of(HASH_SHA256)->digest(&part, 1, to);
    buf_release(der);
    return ret == 0 ? 0 : err_set(err, ret, NULL);
}

int key_print(const struct key *k, uint8_t ret[HASH_SIZE], struct err *err)
{
    struct buf der;

    buf_init(&der, SPKI_SIZE);
    return print_of(&der, key_public(k, &der), ret, err);
}

int cert_key_print(const struct cert *c, uint8_t ret[HASH_SIZE], struct err *err)
{
    struct buf der;

    buf_init(&der, SPKI_SIZE);
    return print_of(&der, cert_public(c, &der), ret, err);
}
