#include "common/crypto/handles.h"
#include "common/crypto/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include <cmocka.h>

#define NOW      ((msec_t)1790000000123u)
#define DAY_MS   ((msec_t)86400000)
#define SITE     431001u
#define URI_GOOD "urn:zhitongche:site:431001:replica:01020304-0506-0708-090a-0b0c0d0e0f10"
#define CN_GOOD  "01020304-0506-0708-090a-0b0c0d0e0f10"

struct fixture {
    char dir[32];
    char path[64];
    struct key *ca_key, *key;
    struct cert *ca;
    struct id replica, ledger;
    struct buf der;
};

static int setup(void **state)
{
    struct fixture *f = test_calloc(1, sizeof *f);

    strcpy(f->dir, "/tmp/ztc-cert-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof f->path, "%s/file.pem", f->dir);
    for (int i = 0; i < ID_SIZE; i++)
        f->replica.b[i] = f->ledger.b[ID_SIZE - 1 - i] = (uint8_t)(i + 1);
    assert_int_equal(key_new(&f->ca_key, NULL), 0);
    assert_int_equal(key_new(&f->key, NULL), 0);
    assert_int_equal(ca_new(NOW, f->ca_key, "郴州市政协直通车", &f->ca, NULL), 0);
    buf_init(&f->der, 65536);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    buf_release(&f->der);
    cert_free(f->ca);
    key_free(f->key);
    key_free(f->ca_key);
    unlink(f->path);
    assert_int_equal(rmdir(f->dir), 0);
    assert_int_equal(ERR_peek_error(), 0); /* nothing stays in OpenSSL's queue */
    test_free(f);
    return 0;
}

static int issue_from(struct fixture *f, struct slice csr, struct cert **ret)
{
    return ca_issue_replica(f->ca, f->ca_key, csr, SITE, &f->replica, NOW, CERT_DAYS, ret, NULL);
}

static struct cert *issue(struct fixture *f)
{
    struct cert *c;

    buf_clear(&f->der);
    assert_int_equal(csr_new(f->key, &f->der, NULL), 0);
    assert_int_equal(issue_from(f, buf_slice(&f->der), &c), 0);
    return c;
}

static int verify(struct fixture *f, struct cert *c, msec_t at, int purpose)
{
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    int err;

    X509_STORE_add_cert(store, f->ca->x);
    X509_STORE_CTX_init(ctx, store, c->x, NULL);
    X509_VERIFY_PARAM_set_time(X509_STORE_CTX_get0_param(ctx), (time_t)(at / 1000));
    X509_VERIFY_PARAM_set_purpose(X509_STORE_CTX_get0_param(ctx), purpose);
    (void)X509_verify_cert(ctx);
    err = X509_STORE_CTX_get_error(ctx);
    X509_STORE_CTX_free(ctx);
    X509_STORE_free(store);
    ERR_clear_error();
    return err;
}

static GENERAL_NAME *name_of(int type, const char *text, size_t len)
{
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_IA5STRING *s = ASN1_IA5STRING_new();

    ASN1_STRING_set(s, text, (int)len);
    GENERAL_NAME_set0_value(name, type, s);
    return name;
}

/* A certificate with these names and the CA's true signature: what a careless CA would have made. */
static struct cert *forge(struct fixture *f, const char *cn, GENERAL_NAME *a, GENERAL_NAME *b)
{
    struct cert *c = issue(f);
    GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
    X509_NAME *subject = X509_NAME_new();

    if (a != NULL)
        sk_GENERAL_NAME_push(names, a);
    if (b != NULL)
        sk_GENERAL_NAME_push(names, b);
    assert_int_equal(X509_add1_ext_i2d(c->x, NID_subject_alt_name, names, 0, X509V3_ADD_REPLACE),
                     1);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const uint8_t *)cn, -1, -1, 0);
    X509_set_subject_name(c->x, subject);
    assert_true(X509_sign(c->x, f->ca_key->pkey, EVP_sha256()) > 0);
    X509_NAME_free(subject);
    GENERAL_NAMES_free(names);
    return c;
}

static GENERAL_NAME *uri(const char *text)
{
    return name_of(GEN_URI, text, strlen(text));
}

/* Consumes C. */
static void expect_no_replica(struct cert *c)
{
    struct id replica;
    uint32_t site;
    struct err err = {0};

    assert_int_equal(cert_replica(c, &site, &replica, &err), E_AUTH);
    assert_true(err.text[0] != '\0');
    cert_free(c);
}

static void expect_replica(struct fixture *f, struct cert *c)
{
    struct id replica;
    uint32_t site;

    assert_int_equal(cert_replica(c, &site, &replica, NULL), 0);
    assert_int_equal(site, SITE);
    assert_true(id_eq(&replica, &f->replica));
}

/* An issued certificate names its replica, has the request's key, and chains to the CA. */
static void test_cert__issue_replica(void **state)
{
    struct fixture *f = *state;
    struct cert *c = issue(f);
    uint8_t print[HASH_SIZE], hash[HASH_SIZE];
    char serial[48];
    struct buf a, b;
    struct slice der;

    expect_replica(f, c);
    assert_int_equal(verify(f, c, NOW, X509_PURPOSE_SSL_CLIENT), X509_V_OK);
    assert_int_equal(verify(f, c, NOW, X509_PURPOSE_SSL_SERVER), X509_V_ERR_INVALID_PURPOSE);
    buf_init(&a, 4096);
    buf_init(&b, 4096);
    assert_int_equal(cert_public(c, &a), 0);
    assert_int_equal(key_public(f->key, &b), 0);
    assert_true(slice_eq(buf_slice(&a), buf_slice(&b)));
    cert_serial(c, serial);
    assert_int_equal(strlen(serial), 32);
    buf_clear(&a);
    assert_int_equal(cert_to_der(c, &a), 0);
    der = buf_slice(&a);
    hasher_named("sha256")->digest(&der, 1, hash);
    cert_fingerprint(c, print);
    assert_memory_equal(print, hash, HASH_SIZE);
    buf_release(&a);
    buf_release(&b);
    cert_free(c);
}

/* Validity begins five minutes early, lasts the days asked for, and ends with the CA's at the latest. */
static void test_cert__validity(void **state)
{
    struct fixture *f = *state;
    struct cert *c = issue(f);
    msec_t second = NOW / 1000 * 1000;
    msec_t late = NOW + (msec_t)(CERT_CA_DAYS - 10) * DAY_MS;

    assert_true(cert_not_after(c) == second + CERT_DAYS * DAY_MS);
    assert_int_equal(verify(f, c, NOW - 299000, X509_PURPOSE_SSL_CLIENT), X509_V_OK);
    assert_int_equal(verify(f, c, NOW - 302000, X509_PURPOSE_SSL_CLIENT),
                     X509_V_ERR_CERT_NOT_YET_VALID);
    assert_int_equal(verify(f, c, second + CERT_DAYS * DAY_MS + 1000, X509_PURPOSE_SSL_CLIENT),
                     X509_V_ERR_CERT_HAS_EXPIRED);
    cert_free(c);
    assert_int_equal(ca_issue_replica(f->ca, f->ca_key, buf_slice(&f->der), SITE, &f->replica, late,
                                      CERT_DAYS, &c, NULL),
                     0);
    assert_true(cert_not_after(c) == cert_not_after(f->ca));
    cert_free(c);
}

/* The daemon's certificate names its ledger and its hosts, is for servers, and is no replica's. */
static void test_cert__issue_city(void **state)
{
    struct fixture *f = *state;
    const char *const hosts[] = {"ztc.example.cn", "192.0.2.7", "2001:db8::7", NULL};
    const char *const bad[] = {"a,URI:urn:zhitongche:city:x", NULL};
    struct cert *c;
    struct id ledger;

    assert_int_equal(ca_issue_city(f->ca, f->ca_key, f->key, &f->ledger, hosts, NOW, CERT_DAYS, &c,
                                   NULL),
                     0);
    assert_int_equal(cert_city(c, &ledger, NULL), 0);
    assert_true(id_eq(&ledger, &f->ledger));
    assert_int_equal(verify(f, c, NOW, X509_PURPOSE_SSL_SERVER), X509_V_OK);
    assert_int_equal(verify(f, c, NOW, X509_PURPOSE_SSL_CLIENT), X509_V_ERR_INVALID_PURPOSE);
    assert_int_equal(X509_check_host(c->x, "ztc.example.cn", 0, 0, NULL), 1);
    assert_int_equal(X509_check_ip_asc(c->x, "192.0.2.7", 0), 1);
    assert_int_equal(X509_check_ip_asc(c->x, "2001:db8::7", 0), 1);
    expect_no_replica(c);
    assert_int_equal(ca_issue_city(f->ca, f->ca_key, f->key, &f->ledger, bad, NOW, CERT_DAYS, &c,
                                   NULL),
                     E_INVALID);
    c = issue(f);
    assert_int_equal(cert_city(c, &ledger, NULL), E_AUTH);
    cert_free(c);
}

/* Whatever else a signed certificate says about its holder, it is no replica's. */
static void test_cert__forged_names(void **state)
{
    static const char nul[] = URI_GOOD "\0.example";
    static const char *const wrong[] = {
        "urn:zhitongche:site:431001:replica:01020304-0506-0708-090a-0b0c0d0e0f1",
        "urn:zhitongche:site:431001:replica:0102030405060708090a0b0c0d0e0f10",
        "urn:zhitongche:site:431001:replica:01020304-0506-0708-090A-0B0C0D0E0F10",
        "urn:zhitongche:site:0431001:replica:" CN_GOOD,
        "urn:zhitongche:site:0:replica:" CN_GOOD,
        "urn:zhitongche:site::replica:" CN_GOOD,
        "urn:zhitongche:site:99999999999:replica:" CN_GOOD,
        "urn:zhitongche:site:431001:replica:" CN_GOOD "x",
        "urn:zhitongche:site:431001",
        "urn:zhitongche:city:" CN_GOOD,
        "",
    };
    struct fixture *f = *state;
    struct cert *c = forge(f, CN_GOOD, uri(URI_GOOD), NULL);

    expect_replica(f, c); /* the forger's tool itself is sound */
    cert_free(c);
    expect_no_replica(forge(f, CN_GOOD, uri(URI_GOOD), uri(URI_GOOD)));
    expect_no_replica(forge(f, CN_GOOD, uri(URI_GOOD), uri("urn:zhitongche:site:1:replica:x")));
    expect_no_replica(forge(f, CN_GOOD, uri(URI_GOOD), name_of(GEN_DNS, "a", 1)));
    expect_no_replica(forge(f, CN_GOOD, name_of(GEN_URI, nul, sizeof nul - 1), NULL));
    expect_no_replica(forge(f, CN_GOOD, name_of(GEN_DNS, URI_GOOD, strlen(URI_GOOD)), NULL));
    expect_no_replica(forge(f, CN_GOOD, NULL, NULL));
    expect_no_replica(forge(f, "admin", uri(URI_GOOD), NULL));
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        expect_no_replica(forge(f, CN_GOOD, uri(wrong[i]), NULL));
}

/* Two names in the subject, or a second SAN extension, are refused. */
static void test_cert__doubled_names(void **state)
{
    struct fixture *f = *state;
    struct cert *c = forge(f, CN_GOOD, uri(URI_GOOD), NULL);
    X509_EXTENSION *san = X509_get_ext(c->x, X509_get_ext_by_NID(c->x, NID_subject_alt_name, -1));

    assert_int_equal(X509_add_ext(c->x, san, -1), 1);
    expect_no_replica(c);
    c = forge(f, CN_GOOD, uri(URI_GOOD), NULL);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(c->x), "O", MBSTRING_UTF8,
                               (const uint8_t *)"x", -1, -1, 0);
    expect_no_replica(c);
}

static void request_with(EVP_PKEY *pkey, struct buf *out)
{
    X509_REQ *req = X509_REQ_new();
    uint8_t *der = NULL;
    int len;

    X509_REQ_set_pubkey(req, pkey);
    X509_REQ_sign(req, pkey, EVP_sha256());
    len = i2d_X509_REQ(req, &der);
    buf_clear(out);
    buf_put(out, der, (size_t)len);
    OPENSSL_free(der);
    X509_REQ_free(req);
    EVP_PKEY_free(pkey);
}

/* Requests with other keys, broken signatures, tails or nonsense give no certificate. */
static void test_cert__bad_requests(void **state)
{
    struct fixture *f = *state;
    struct cert *c;

    request_with(EVP_EC_gen("P-384"), &f->der);
    assert_int_equal(issue_from(f, buf_slice(&f->der), &c), E_MALFORMED);
    request_with(EVP_EC_gen("secp256k1"), &f->der);
    assert_int_equal(issue_from(f, buf_slice(&f->der), &c), E_MALFORMED);
    request_with(EVP_RSA_gen(2048), &f->der);
    assert_int_equal(issue_from(f, buf_slice(&f->der), &c), E_MALFORMED);
    buf_clear(&f->der);
    assert_int_equal(csr_new(f->key, &f->der, NULL), 0);
    f->der.p[f->der.len - 1] ^= 1;
    assert_int_equal(issue_from(f, buf_slice(&f->der), &c), E_AUTH);
    f->der.p[f->der.len - 1] ^= 1;
    buf_u8(&f->der, 0);
    assert_int_equal(issue_from(f, buf_slice(&f->der), &c), E_MALFORMED);
    assert_int_equal(issue_from(f, slice_str("request"), &c), E_MALFORMED);
    assert_int_equal(issue_from(f, (struct slice){NULL, 0}, &c), E_MALFORMED);
}

/* What a request asks for besides its key is not taken over. */
static void test_cert__request_names_are_ignored(void **state)
{
    struct fixture *f = *state;
    X509_REQ *req = X509_REQ_new();
    uint8_t *der = NULL;
    struct cert *c;
    int len;

    X509_NAME_add_entry_by_txt(X509_REQ_get_subject_name(req), "CN", MBSTRING_ASC,
                               (const uint8_t *)"root", -1, -1, 0);
    X509_REQ_set_pubkey(req, f->key->pkey);
    X509_REQ_sign(req, f->key->pkey, EVP_sha256());
    len = i2d_X509_REQ(req, &der);
    assert_int_equal(issue_from(f, (struct slice){der, (size_t)len}, &c), 0);
    expect_replica(f, c);
    cert_free(c);
    OPENSSL_free(der);
    X509_REQ_free(req);
}

/* A CA signs only with the key that belongs to it, and a leaf is no CA. */
static void test_cert__ca_and_key_must_match(void **state)
{
    struct fixture *f = *state;
    struct cert *leaf = issue(f);
    struct cert *under = NULL;
    struct cert *c;

    assert_int_equal(ca_issue_replica(f->ca, f->key, buf_slice(&f->der), SITE, &f->replica, NOW, 1,
                                      &c, NULL),
                     E_INVALID);
    assert_int_equal(ca_issue_replica(leaf, f->key, buf_slice(&f->der), SITE, &f->replica, NOW, 1,
                                      &under, NULL),
                     0);
    assert_int_not_equal(verify(f, under, NOW, X509_PURPOSE_SSL_CLIENT), X509_V_OK);
    cert_free(under);
    cert_free(leaf);
    assert_int_equal(ca_new(NOW, f->key, "", &c, NULL), E_INVALID);
}

/* Certificates of other keys, cut ones and ones with a tail are not taken in. */
static void test_cert__malformed_der(void **state)
{
    struct fixture *f = *state;
    struct cert *c = issue(f);
    struct cert *d;
    EVP_PKEY *other = EVP_EC_gen("P-521");
    uint8_t *der = NULL;
    int len;

    buf_clear(&f->der);
    assert_int_equal(cert_to_der(c, &f->der), 0);
    assert_int_equal(cert_from_der(buf_slice(&f->der), &d, NULL), 0);
    cert_free(d);
    for (size_t n = 0; n < f->der.len; n += 7)
        assert_int_equal(cert_from_der((struct slice){f->der.p, n}, &d, NULL), E_MALFORMED);
    buf_u8(&f->der, 0);
    assert_int_equal(cert_from_der(buf_slice(&f->der), &d, NULL), E_MALFORMED);
    X509_set_pubkey(c->x, other);
    X509_sign(c->x, f->ca_key->pkey, EVP_sha256());
    len = i2d_X509(c->x, &der);
    assert_int_equal(cert_from_der((struct slice){der, (size_t)len}, &d, NULL), E_MALFORMED);
    OPENSSL_free(der);
    EVP_PKEY_free(other);
    cert_free(c);
}

/* Keys and certificates survive their files; a key's file is private. */
static void test_cert__files(void **state)
{
    struct fixture *f = *state;
    struct cert *c = issue(f);
    struct cert *d;
    struct key *k;
    struct stat st;
    uint8_t a[HASH_SIZE], b[HASH_SIZE];

    assert_int_equal(key_load(f->path, &k, NULL), E_NOTFOUND);
    assert_int_equal(key_save(f->key, f->path, NULL), 0);
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(key_load(f->path, &k, NULL), 0);
    assert_int_equal(EVP_PKEY_eq(k->pkey, f->key->pkey), 1);
    key_free(k);
    assert_int_equal(cert_load(f->path, &d, NULL), E_MALFORMED);
    assert_int_equal(chmod(f->path, 0640), 0);
    assert_int_equal(key_load(f->path, &k, NULL), E_DENIED);
    assert_int_equal(cert_save(c, f->path, NULL), 0);
    assert_int_equal(chmod(f->path, 0600), 0);
    assert_int_equal(key_load(f->path, &k, NULL), E_MALFORMED);
    assert_int_equal(cert_load(f->path, &d, NULL), 0);
    cert_fingerprint(c, a);
    cert_fingerprint(d, b);
    assert_memory_equal(a, b, HASH_SIZE);
    cert_free(d);
    cert_free(c);
}

/* A key under a password is refused, never asked about on a terminal. */
static void test_cert__password_is_not_asked_for(void **state)
{
    struct fixture *f = *state;
    FILE *file = fopen(f->path, "w");
    struct key *k;
    char password[] = "secret";

    assert_int_equal(PEM_write_PKCS8PrivateKey(file, f->key->pkey, EVP_aes_256_cbc(), password, 6,
                                               NULL, NULL),
                     1);
    fclose(file);
    assert_int_equal(chmod(f->path, 0600), 0);
    assert_int_equal(key_load(f->path, &k, NULL), E_MALFORMED);
}

/* A signature verifies with its key and message only; other public keys are not loaded. */
static void test_cert__signatures(void **state)
{
    struct fixture *f = *state;
    struct signer s = key_signer(f->key);
    struct verifier v;
    struct pubkey *pub;
    struct buf spki, sig;

    buf_init(&spki, 256);
    buf_init(&sig, 256);
    assert_int_equal(key_public(f->key, &spki), 0);
    assert_int_equal(pubkey_load(buf_slice(&spki), &pub, NULL), 0);
    v = pubkey_verifier(pub);
    assert_int_equal(s.sign(s.ctx, slice_str("head"), &sig), 0);
    assert_int_equal(v.verify(v.ctx, slice_str("head"), buf_slice(&sig)), 0);
    assert_int_equal(v.verify(v.ctx, slice_str("Head"), buf_slice(&sig)), E_AUTH);
    assert_int_equal(v.verify(v.ctx, slice_str("head"), slice_str("sig")), E_AUTH);
    assert_int_equal(v.verify(v.ctx, slice_str("head"), (struct slice){NULL, 0}), E_AUTH);
    sig.p[sig.len - 1] ^= 1;
    assert_int_equal(v.verify(v.ctx, slice_str("head"), buf_slice(&sig)), E_AUTH);
    pubkey_free(pub);
    spki.p[40] ^= 1; /* a point that is not on the curve */
    assert_int_equal(pubkey_load(buf_slice(&spki), &pub, NULL), E_MALFORMED);
    assert_int_equal(pubkey_load(slice_str("key"), &pub, NULL), E_MALFORMED);
    buf_release(&spki);
    buf_release(&sig);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(test_cert__##name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(issue_replica),
        T(validity),
        T(issue_city),
        T(forged_names),
        T(doubled_names),
        T(bad_requests),
        T(request_names_are_ignored),
        T(ca_and_key_must_match),
        T(malformed_der),
        T(files),
        T(password_is_not_asked_for),
        T(signatures),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
