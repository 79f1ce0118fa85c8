/* P-256 keys: private ones in files, public ones as SubjectPublicKeyInfo, signatures both ways.
 *
 * A public key has one form here, 26 fixed bytes and an uncompressed point. OpenSSL would also take
 * compressed points and spelt-out curve parameters; then one key would have several fingerprints. */
#include "common/crypto/handles.h"

#include "common/base/mem.h"
#include "common/crypto/memory.h"
#include "common/crypto/secret_file.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>

int openssl_failed(struct err *err, int ret, const char *what)
{
    bool nomem = crypto_memory_short() ||
                 ERR_GET_REASON(ERR_peek_last_error()) == ERR_R_MALLOC_FAILURE;

    ERR_clear_error();
    return nomem ? err_set(err, E_NOMEM, NULL) : err_set(err, ret, "%s", what);
}

int no_password(char *buf, int size, int rwflag, void *u)
{
    (void)buf;
    (void)size;
    (void)rwflag;
    (void)u;
    return -1;
}

bool spki_is_p256(struct slice der)
{
    static const uint8_t head[] = {0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48,
                                   0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
                                   0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04};

    return der.len == SPKI_SIZE && memcmp(der.p, head, sizeof head) == 0;
}

int spki_of(EVP_PKEY *pkey, struct buf *out)
{
    uint8_t *der = NULL;
    int ret = E_MALFORMED, len;

    crypto_memory_watch();
    len = pkey == NULL ? -1 : i2d_PUBKEY(pkey, &der);
    if (crypto_memory_short())
        ret = E_NOMEM;
    else if (len > 0 && spki_is_p256((struct slice){der, (size_t)len})) {
        buf_put(out, der, (size_t)len);
        ret = out->ret;
    }
    OPENSSL_free(der);
    ERR_clear_error();
    return ret;
}

/* 0, E_MALFORMED or E_NOMEM. */
static int check_p256(EVP_PKEY *pkey)
{
    struct buf der;
    int ret;

    buf_init(&der, SPKI_SIZE);
    ret = spki_of(pkey, &der);
    buf_release(&der);
    return ret;
}

/* Takes PKEY, on failure too. */
static int key_around(EVP_PKEY *pkey, struct key **ret, struct err *err)
{
    struct key *k = mem_alloc(sizeof *k);

    if (k == NULL) {
        EVP_PKEY_free(pkey);
        return err_set(err, E_NOMEM, NULL);
    }
    k->pkey = pkey;
    *ret = k;
    return 0;
}

int key_new(struct key **ret, struct err *err)
{
    EVP_PKEY *pkey;

    crypto_memory_watch();
    pkey = EVP_EC_gen("P-256");
    if (pkey == NULL)
        return openssl_failed(err, E_INTERNAL, "无法生成密钥");
    return key_around(pkey, ret, err);
}

int key_save(const struct key *k, const char *path, struct err *err)
{
    BIO *pem = BIO_new(BIO_s_mem()); /* wipes what it held when it grows and when it is freed */
    char *text = NULL;
    long len;
    int ret;

    if (pem == NULL ||
        PEM_write_bio_PKCS8PrivateKey(pem, k->pkey, NULL, NULL, 0, NULL, NULL) != 1) {
        ret = openssl_failed(err, E_INTERNAL, "无法写出密钥");
    } else {
        len = BIO_get_mem_data(pem, &text);
        ret = secret_file_write(path, (struct slice){(uint8_t *)text, (size_t)len}, 0600,
                                SECRET_FILE_REPLACE, err);
    }
    BIO_free(pem);
    return ret;
}

static int key_from_pem(struct slice pem, const char *path, struct key **ret, struct err *err)
{
    BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.len);
    EVP_PKEY *pkey;
    int code;

    if (bio == NULL)
        return err_set(err, E_NOMEM, NULL);
    crypto_memory_watch();
    pkey = PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
    BIO_free(bio);
    code = crypto_memory_short() ? E_NOMEM : check_p256(pkey);
    if (code != 0) {
        EVP_PKEY_free(pkey);
        ERR_clear_error();
        return code == E_MALFORMED ? err_set(err, code, "%s 不是 P-256 私钥", path)
                                   : err_set(err, code, NULL);
    }
    return key_around(pkey, ret, err);
}

int key_load(const char *path, struct key **ret, struct err *err)
{
    struct buf pem;
    int code;

    buf_init(&pem, SECRET_FILE_MAX);
    code = secret_file_read(path, true, &pem, err);
    if (code == 0)
        code = key_from_pem(buf_slice(&pem), path, ret, err);
    if (pem.p != NULL)
        mem_wipe(pem.p, pem.cap);
    buf_release(&pem);
    return code;
}

void key_free(struct key *k)
{
    if (k == NULL)
        return;
    EVP_PKEY_free(k->pkey);
    mem_free(k);
}

int key_public(const struct key *k, struct buf *out)
{
    return spki_of(k->pkey, out);
}

static int sign(void *ctx, struct slice message, struct buf *ret_signature)
{
    const struct key *k = ctx;
    uint8_t der[80]; /* P-256 needs at most 72 */
    size_t len = sizeof der;
    EVP_MD_CTX *md;
    bool ok;

    crypto_memory_watch();
    md = EVP_MD_CTX_new();
    ok = md != NULL && EVP_DigestSignInit(md, NULL, EVP_sha256(), NULL, k->pkey) == 1 &&
              EVP_DigestSign(md, der, &len, message.p, message.len) == 1 &&
              len <= sizeof der; /* a length of -1 has been called success */

    EVP_MD_CTX_free(md);
    if (!ok)
        return openssl_failed(NULL, E_INTERNAL, "");
    buf_put(ret_signature, der, len);
    return ret_signature->ret;
}

struct signer key_signer(struct key *k)
{
    return (struct signer){.sign = sign, .ctx = k};
}

int pubkey_load(struct slice der, struct pubkey **ret, struct err *err)
{
    const uint8_t *p = der.p;
    struct pubkey *k;
    EVP_PKEY *pkey;

    crypto_memory_watch();
    pkey = spki_is_p256(der) ? d2i_PUBKEY(NULL, &p, (long)der.len) : NULL;
    if (pkey == NULL)
        return openssl_failed(err, E_MALFORMED, "公钥不是 P-256");
    k = mem_alloc(sizeof *k);
    if (k == NULL) {
        EVP_PKEY_free(pkey);
        return err_set(err, E_NOMEM, NULL);
    }
    k->pkey = pkey;
    *ret = k;
    return 0;
}

void pubkey_free(struct pubkey *k)
{
    if (k == NULL)
        return;
    EVP_PKEY_free(k->pkey);
    mem_free(k);
}

static int verify(void *ctx, struct slice message, struct slice signature)
{
    const struct pubkey *k = ctx;
    EVP_MD_CTX *md;
    int ret = E_NOMEM;

    crypto_memory_watch();
    md = EVP_MD_CTX_new();
    if (md != NULL && EVP_DigestVerifyInit(md, NULL, EVP_sha256(), NULL, k->pkey) == 1)
        ret = EVP_DigestVerify(md, signature.p, signature.len, message.p, message.len) == 1
                  ? 0
              : crypto_memory_short() ? E_NOMEM
                                      : E_AUTH;
    EVP_MD_CTX_free(md);
    ERR_clear_error();
    return ret;
}

struct verifier pubkey_verifier(struct pubkey *k)
{
    return (struct verifier){.verify = verify, .ctx = k};
}
