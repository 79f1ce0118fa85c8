/* AES-256-GCM over single values, and the file of its key. */
#include "common/crypto/seal.h"

#include "common/base/hex.h"
#include "common/base/mem.h"
#include "common/crypto/memory.h"
#include "common/crypto/secret_file.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

/* Key, nonce and additional data are in; the context waits for text. */
static bool start(EVP_CIPHER_CTX *ctx, const struct seal_key *key, const uint8_t *nonce,
                  struct slice aad, int encrypt)
{
    int len;

    if (EVP_CipherInit_ex2(ctx, EVP_aes_256_gcm(), key->b, nonce, encrypt, NULL) != 1)
        return false;
    return aad.len == 0 || EVP_CipherUpdate(ctx, NULL, &len, aad.p, (int)aad.len) == 1;
}

static bool run(EVP_CIPHER_CTX *ctx, struct slice in, uint8_t *out)
{
    int len;
    uint8_t rest[EVP_MAX_BLOCK_LENGTH]; /* GCM leaves nothing for the end */

    if (in.len > 0 && EVP_CipherUpdate(ctx, out, &len, in.p, (int)in.len) != 1)
        return false;
    return EVP_CipherFinal_ex(ctx, rest, &len) == 1 && len == 0;
}

static bool too_long(struct slice s)
{
    return s.len > INT_MAX / 2;
}

int seal(const struct seal_key *key, const uint8_t nonce[SEAL_NONCE_SIZE], struct slice aad,
         struct slice plain, struct buf *out)
{
    size_t from = out->len;
    EVP_CIPHER_CTX *ctx;
    uint8_t *place;
    bool ok;

    if (too_long(aad) || too_long(plain))
        return E_TOOBIG;
    place = buf_grow(out, SEAL_NONCE_SIZE + plain.len + SEAL_TAG_SIZE);
    if (place == NULL)
        return out->ret;
    memcpy(place, nonce, SEAL_NONCE_SIZE);
    ctx = EVP_CIPHER_CTX_new();
    ok = ctx != NULL && start(ctx, key, nonce, aad, 1) &&
         run(ctx, plain, place + SEAL_NONCE_SIZE) &&
         EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, SEAL_TAG_SIZE,
                             place + SEAL_NONCE_SIZE + plain.len) == 1;
    EVP_CIPHER_CTX_free(ctx);
    ERR_clear_error();
    if (ok)
        return 0;
    out->len = from;
    return E_NOMEM; /* with valid sizes the cipher fails for nothing else */
}

int seal_open(const struct seal_key *key, struct slice aad, struct slice sealed, struct buf *out)
{
    size_t from = out->len;
    size_t len = sealed.len - SEAL_NONCE_SIZE - SEAL_TAG_SIZE;
    uint8_t tag[SEAL_TAG_SIZE];
    EVP_CIPHER_CTX *ctx;
    uint8_t *place;
    bool ok;

    if (sealed.len < SEAL_NONCE_SIZE + SEAL_TAG_SIZE || too_long(sealed) || too_long(aad))
        return E_CORRUPT;
    place = buf_grow(out, len);
    if (place == NULL)
        return out->ret;
    memcpy(tag, sealed.p + SEAL_NONCE_SIZE + len, sizeof tag);
    crypto_memory_watch();
    ctx = EVP_CIPHER_CTX_new();
    ok = ctx != NULL && start(ctx, key, sealed.p, aad, 0) &&
         EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, SEAL_TAG_SIZE, tag) == 1 &&
         run(ctx, (struct slice){sealed.p + SEAL_NONCE_SIZE, len}, place);
    EVP_CIPHER_CTX_free(ctx);
    ERR_clear_error();
    if (ok)
        return 0;
    mem_wipe(place, len); /* unauthenticated text must not be read by accident */
    out->len = from;
    return crypto_memory_short() ? E_NOMEM : E_CORRUPT;
}

void seal_nonce(const struct seal_key *key, struct slice seed, uint8_t ret_nonce[SEAL_NONCE_SIZE])
{
    uint8_t mac[EVP_MAX_MD_SIZE];

    if (HMAC(EVP_sha256(), key->b, SEAL_KEY_SIZE, seed.p, seed.len, mac, NULL) == NULL)
        abort(); /* a nonce that is not from the seed would be worse than an end */
    memcpy(ret_nonce, mac, SEAL_NONCE_SIZE);
}

static int read_key(const char *path, struct seal_key *ret, struct err *err)
{
    struct seal_key key;
    struct buf text;
    int ret_code;

    buf_init(&text, SECRET_FILE_MAX);
    ret_code = secret_file_read(path, true, &text, err);
    if (ret_code == 0 && (text.len != 2 * SEAL_KEY_SIZE + 1 || text.p[2 * SEAL_KEY_SIZE] != '\n' ||
                          hex_decode((const char *)text.p, 2 * SEAL_KEY_SIZE, key.b) != 0))
        ret_code = err_set(err, E_MALFORMED, "密钥文件 %s 的格式不对", path);
    if (ret_code == 0)
        *ret = key;
    mem_wipe(&key, sizeof key);
    if (text.p != NULL)
        mem_wipe(text.p, text.cap);
    buf_release(&text);
    return ret_code;
}

static int make_key(const char *path, const struct random *random, struct err *err)
{
    uint8_t key[SEAL_KEY_SIZE];
    char text[2 * SEAL_KEY_SIZE + 2];
    int ret;

    random_fill(random, key, sizeof key);
    hex_encode(key, sizeof key, text);
    text[2 * SEAL_KEY_SIZE] = '\n';
    ret = secret_file_write(path, (struct slice){(uint8_t *)text, 2 * SEAL_KEY_SIZE + 1}, 0600,
                            SECRET_FILE_NEW, err);
    mem_wipe(key, sizeof key);
    mem_wipe(text, sizeof text);
    return ret;
}

int seal_key_load(const char *path, bool create, const struct random *random, struct seal_key *ret,
                  struct err *err)
{
    int code = read_key(path, ret, err);

    if (code != E_NOTFOUND || !create)
        return code;
    code = make_key(path, random, err);
    /* E_EXISTS: another process was faster; its key is the key. */
    if (code != 0 && code != E_EXISTS)
        return code;
    return read_key(path, ret, err);
}
