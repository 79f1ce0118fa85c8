/* Memory that is out inside OpenSSL: each allocation fails once, in hashing, sealing, keys, certificates and
 * the handshake. What the library looks up once in a process is looked up before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/crypto/agree.h"
#include "common/crypto/hash.h"
#include "common/crypto/memory.h"
#include "common/crypto/seal.h"
#include "tests/lib/pki.h"

#include "sweep.h"

#include <openssl/err.h>
#include <string.h>

/* ---- fixture ---- */

struct fixture {
    struct pki pki;
    struct seal_key key;
    struct buf sealed;
    struct tls_config *server, *client;
};

static int told(int ret, struct err *err)
{
    return ret == 0 || err->ret == ret ? ret : err_set(err, ret, NULL);
}

static const uint8_t nonce[SEAL_NONCE_SIZE] = {1};

static int set_up(void **state)
{
    static struct fixture f;
    struct tls_params server, client;

    memset(&f, 0, sizeof f);
    pki_init(&f.pki, 1);
    buf_init(&f.sealed, 4096);
    assert_int_equal(seal(&f.key, nonce, slice_str("of"), slice_str("13900010001"), &f.sealed), 0);
    server = pki_server(&f.pki);
    client = pki_client(&f.pki);
    assert_int_equal(tls_config_new(&server, &f.server, NULL), 0);
    assert_int_equal(tls_config_new(&client, &f.client, NULL), 0);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    tls_config_unref(f->server);
    tls_config_unref(f->client);
    buf_release(&f->sealed);
    pki_release(&f->pki);
    return 0;
}

/* Once without a fault, so that the library has what it keeps; then with each. */
static void sweep_warm(int (*once)(void *ctx, struct err *err), void *ctx)
{
    struct err err = {.ret = 0};

    if (once(ctx, &err) != 0)
        fail_msg("without a fault: %s “%s”", err_code(err.ret), err.text);
    sweep(once, ctx);
    assert_int_equal(ERR_peek_error(), 0);
}

/* ---- hashing, sealing ---- */

static int hash_in_pieces(void *ctx, struct err *err)
{
    uint8_t hash[2][HASH_SIZE];

    (void)ctx;
    for (int i = 0; i < 2; i++) {
        struct hash_stream *h = hash_stream_new(i == 0 ? HASH_SHA256 : HASH_SM3);

        if (h == NULL)
            return told(E_NOMEM, err);
        hash_stream_put(h, slice_str("of an attachment"));
        hash_stream_end(h, hash[i]);
    }
    return 0;
}

static void test_oom_crypto__hash(void **state)
{
    sweep_warm(hash_in_pieces, *state);
}

/* A value that cannot be opened for want of memory is not taken for a damaged one. */
static int seal_and_open(void *ctx, struct err *err)
{
    struct fixture *f = ctx;
    struct buf sealed, opened;
    int ret;

    buf_init(&sealed, 4096);
    buf_init(&opened, 4096);
    ret = seal(&f->key, nonce, slice_str("of"), slice_str("13900010001"), &sealed);
    if (ret == 0)
        ret = seal_open(&f->key, slice_str("of"), buf_slice(&f->sealed), &opened);
    buf_release(&sealed);
    buf_release(&opened);
    return told(ret, err);
}

static void test_oom_crypto__seal(void **state)
{
    sweep_warm(seal_and_open, *state);
}

/* ---- keys, certificates ---- */

static int sign_and_verify(void *ctx, struct err *err)
{
    struct fixture *f = ctx;
    struct signer signer = key_signer(f->pki.replica_key);
    struct pubkey *public = NULL;
    struct buf spki, signature;
    struct verifier verifier;
    int ret;

    buf_init(&spki, 1024);
    buf_init(&signature, 1024);
    ret = key_public(f->pki.replica_key, &spki);
    if (ret == 0)
        ret = pubkey_load(buf_slice(&spki), &public, err);
    if (ret == 0)
        ret = signer.sign(signer.ctx, slice_str("a head"), &signature);
    if (ret == 0) {
        verifier = pubkey_verifier(public);
        ret = verifier.verify(verifier.ctx, slice_str("a head"), buf_slice(&signature));
    }
    pubkey_free(public);
    buf_release(&spki);
    buf_release(&signature);
    return told(ret, err);
}

static void test_oom_crypto__signature(void **state)
{
    sweep_warm(sign_and_verify, *state);
}

static int agree(void *ctx, struct err *err)
{
    struct fixture *f = ctx;
    struct key *once = NULL;
    struct seal_key common;
    struct buf spki;
    int ret = key_new(&once, err);

    buf_init(&spki, 1024);
    if (ret == 0)
        ret = key_public(f->pki.city_key, &spki);
    if (ret == 0)
        ret = key_agree(once, buf_slice(&spki), slice_str("salt"), "info", &common, err);
    key_free(once);
    buf_release(&spki);
    return told(ret, err);
}

static void test_oom_crypto__agreement(void **state)
{
    sweep_warm(agree, *state);
}

static int issue(void *ctx, struct err *err)
{
    struct fixture *f = ctx;
    struct cert *made = NULL, *read = NULL;
    struct buf csr, der;
    struct id replica;
    uint32_t site;
    int ret;

    buf_init(&csr, 8192);
    buf_init(&der, 8192);
    ret = csr_new(f->pki.replica_key, &csr, err);
    if (ret == 0)
        ret = ca_issue_replica(f->pki.ca, f->pki.ca_key, buf_slice(&csr), PKI_SITE,
                               &f->pki.replica_id, PKI_NOW, CERT_DAYS, &made, err);
    if (ret == 0)
        ret = cert_to_der(made, &der);
    if (ret == 0)
        ret = cert_from_der(buf_slice(&der), &read, err);
    if (ret == 0)
        ret = cert_replica(read, &site, &replica, err);
    cert_free(made);
    cert_free(read);
    buf_release(&csr);
    buf_release(&der);
    return told(ret, err);
}

static void test_oom_crypto__certificate(void **state)
{
    sweep_warm(issue, *state);
}

/* ---- the handshake ---- */

/* One side was short, and made the best of it: what the other then makes of that is no matter here. */
static int excuse(int ret, unsigned before, struct err *err)
{
    return ret != 0 && ret != E_NOMEM && crypto_memory_refused() != before ? err_set(err, E_NOMEM, NULL) : ret;
}

static int carry(struct tls *from, struct tls *to, unsigned before, struct err *err)
{
    unsigned here = crypto_memory_refused();
    struct buf out;
    int ret;

    tls_take_output(from, &out);
    ret = out.ret != 0 ? out.ret : out.len == 0 ? 0 : tls_feed(to, buf_slice(&out));
    if (ret == 0)
        ret = tls_handshake(to, err);
    if (ret == 0)
        ret = tls_park(to);
    buf_release(&out);
    return here == before ? ret : excuse(ret, before, err);
}

static int shake_hands(void *ctx, struct err *err)
{
    struct fixture *f = ctx;
    struct tls *server = NULL, *client = NULL;
    unsigned before = crypto_memory_refused();
    char plain[16];
    size_t len = 0;
    int ret = tls_new(f->server, PKI_NOW, &server, err);

    if (ret == 0)
        ret = tls_new(f->client, PKI_NOW, &client, err);
    if (ret == 0)
        ret = tls_handshake(client, err);
    for (int i = 0; ret == 0 && i < 4 && !tls_is_open(server); i++) {
        ret = carry(client, server, before, err);
        if (ret == 0 && !tls_is_open(server))
            ret = carry(server, client, before, err);
    }
    if (ret == 0)
        ret = tls_write(client, slice_str("hello"), err);
    if (ret == 0)
        ret = carry(client, server, before, err);
    if (ret == 0)
        ret = tls_read(server, plain, sizeof plain, &len, err);
    if (ret == 0)
        assert_int_equal(len, 5);
    tls_free(client);
    tls_free(server);
    return told(ret, err);
}

static void test_oom_crypto__handshake(void **state)
{
    sweep_warm(shake_hands, *state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_oom_crypto__hash),
        cmocka_unit_test(test_oom_crypto__seal),
        cmocka_unit_test(test_oom_crypto__signature),
        cmocka_unit_test(test_oom_crypto__agreement),
        cmocka_unit_test(test_oom_crypto__certificate),
        cmocka_unit_test(test_oom_crypto__handshake),
    };

    if (!crypto_memory_init())
        return 1;
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
