/* The city's small CA: self-signed root, leaf certificates for the daemon and for replicas.
 *
 * A certificate is made in this order: empty with a random serial, names and validity, key,
 * extensions, signature. Every value comes from the caller's arguments; of a request only the
 * public key is taken over. A leaf never outlives its CA. */
#include "common/crypto/handles.h"
#include "common/crypto/memory.h"

#include <assert.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#define CSR_MAX      4096
#define CLOCK_LAG_S  300
#define DAY_S        86400
#define HOST_MAX     253
#define SERIAL_BYTES 16

struct extension {
    int nid;
    const char *value;
};

static const struct extension ca_extensions[] = {
    {NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
    {NID_key_usage, "critical,keyCertSign,cRLSign"},
    {NID_subject_key_identifier, "hash"},
    {NID_authority_key_identifier, "keyid:always"},
    {0, NULL},
};

static const struct extension replica_extensions[] = {
    {NID_basic_constraints, "critical,CA:FALSE"},
    {NID_key_usage, "critical,digitalSignature"},
    {NID_ext_key_usage, "clientAuth"},
    {NID_subject_key_identifier, "hash"},
    {NID_authority_key_identifier, "keyid:always"},
    {0, NULL},
};

static const struct extension city_extensions[] = {
    {NID_basic_constraints, "critical,CA:FALSE"},
    {NID_key_usage, "critical,digitalSignature"},
    {NID_ext_key_usage, "serverAuth"},
    {NID_subject_key_identifier, "hash"},
    {NID_authority_key_identifier, "keyid:always"},
    {0, NULL},
};

/* 127 random bits: positive, and 16 bytes long whatever they are. */
static bool set_serial(X509 *x)
{
    uint8_t b[SERIAL_BYTES];

    if (RAND_bytes(b, sizeof b) != 1)
        return false;
    b[0] = (uint8_t)((b[0] & 0x7f) | 0x40);
    return ASN1_STRING_set(X509_get_serialNumber(x), b, sizeof b) == 1;
}

static bool set_validity(X509 *x, const X509 *ca, msec_t now, int days)
{
    time_t start = (time_t)(now / 1000);

    if (ASN1_TIME_set(X509_getm_notBefore(x), start - CLOCK_LAG_S) == NULL ||
        ASN1_TIME_set(X509_getm_notAfter(x), start + (time_t)days * DAY_S) == NULL)
        return false;
    if (ca == NULL || ASN1_TIME_compare(X509_get0_notAfter(x), X509_get0_notAfter(ca)) <= 0)
        return true;
    return X509_set1_notAfter(x, X509_get0_notAfter(ca)) == 1;
}

/* The name's only entry is the common name TEXT. */
static bool set_subject(X509 *x, const char *text)
{
    return X509_NAME_add_entry_by_NID(X509_get_subject_name(x), NID_commonName, MBSTRING_UTF8,
                                      (const uint8_t *)text, -1, -1, 0) == 1;
}

static bool add_extensions(X509 *x, X509 *issuer, const struct extension *list)
{
    X509V3_CTX ctx;

    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
    for (; list->value != NULL; list++) {
        X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, list->nid, list->value);
        int ok = ext != NULL && X509_add_ext(x, ext, -1);

        X509_EXTENSION_free(ext);
        if (!ok)
            return false;
    }
    return true;
}

/* What a new certificate says. */
struct plan {
    const struct cert *ca; /* NULL: self-signed */
    EVP_PKEY *ca_key;
    EVP_PKEY *key;      /* the holder's */
    const char *name;   /* common name */
    GENERAL_NAMES *san; /* NULL: none */
    const struct extension *extensions;
    msec_t now;
    int days;
};

static bool fill(X509 *x, const struct plan *p)
{
    X509 *issuer = p->ca == NULL ? x : p->ca->x;

    return X509_set_version(x, X509_VERSION_3) == 1 && set_serial(x) && set_subject(x, p->name) &&
           X509_set_issuer_name(x, X509_get_subject_name(issuer)) == 1 &&
           set_validity(x, p->ca == NULL ? NULL : issuer, p->now, p->days) &&
           X509_set_pubkey(x, p->key) == 1 && add_extensions(x, issuer, p->extensions) &&
           (p->san == NULL ||
            X509_add1_ext_i2d(x, NID_subject_alt_name, p->san, 0, X509V3_ADD_DEFAULT) == 1) &&
           X509_sign(x, p->ca_key, EVP_sha256()) > 0;
}

static int issue(const struct plan *p, struct cert **ret, struct err *err)
{
    X509 *x;
    int code;

    assert(p->days > 0);
    crypto_memory_watch();
    if (p->ca != NULL && X509_check_private_key(p->ca->x, p->ca_key) != 1)
        return openssl_failed(err, E_INVALID, "签发证书的密钥与根证书不匹配");
    x = X509_new();
    if (x == NULL || !fill(x, p))
        code = openssl_failed(err, E_INTERNAL, "无法签发证书");
    else
        code = cert_adopt(x, ret, err);
    if (code != 0)
        X509_free(x);
    return code;
}

int ca_new(msec_t now, const struct key *key, const char *name, struct cert **ret, struct err *err)
{
    const struct plan p = {
        .ca_key = key->pkey,
        .key = key->pkey,
        .name = name,
        .extensions = ca_extensions,
        .now = now,
        .days = CERT_CA_DAYS,
    };

    if (name[0] == '\0' || strlen(name) > 64)
        return err_set(err, E_INVALID, "根证书名称应为 1 至 64 字节");
    return issue(&p, ret, err);
}

int csr_new(const struct key *k, struct buf *out, struct err *err)
{
    X509_REQ *req;
    uint8_t *der = NULL;
    int len = -1;

    crypto_memory_watch();
    req = X509_REQ_new();
    if (req != NULL && X509_REQ_set_version(req, X509_REQ_VERSION_1) == 1 &&
        X509_REQ_set_pubkey(req, k->pkey) == 1 && X509_REQ_sign(req, k->pkey, EVP_sha256()) > 0)
        len = i2d_X509_REQ(req, &der);
    X509_REQ_free(req);
    if (len <= 0)
        return openssl_failed(err, E_INTERNAL, "无法生成证书申请");
    buf_put(out, der, (size_t)len);
    OPENSSL_free(der);
    return out->ret == 0 ? 0 : err_set(err, out->ret, NULL);
}

/* The request's key, borrowed, once its form and then its signature are found right. The cheap check
 * comes first: a stranger's 16384-bit RSA key is not worth verifying with. */
static int csr_key(X509_REQ *req, EVP_PKEY **ret, struct err *err)
{
    EVP_PKEY *key = X509_REQ_get0_pubkey(req);
    struct buf spki;
    int code;

    buf_init(&spki, SPKI_SIZE);
    code = spki_of(key, &spki);
    buf_release(&spki);
    if (code == E_NOMEM)
        return err_set(err, code, NULL);
    if (code != 0)
        return err_set(err, code, "证书申请的密钥不是 P-256");
    if (X509_REQ_verify(req, key) != 1)
        return openssl_failed(err, E_AUTH, "证书申请的签名不对");
    *ret = key;
    return 0;
}

static X509_REQ *csr_parse(struct slice der)
{
    const uint8_t *p = der.p;
    X509_REQ *req;

    crypto_memory_watch();
    req = der.len > CSR_MAX ? NULL : d2i_X509_REQ(NULL, &p, (long)der.len);
    if (req != NULL && (p != der.p + der.len || crypto_memory_short())) { /* something follows it */
        X509_REQ_free(req);
        return NULL;
    }
    return req;
}

/* Takes VALUE's bytes by copy. */
static bool add_name(GENERAL_NAMES *names, int type, const void *value, size_t len)
{
    bool address = type == GEN_IPADD;
    ASN1_STRING *text = ASN1_STRING_type_new(address ? V_ASN1_OCTET_STRING : V_ASN1_IA5STRING);
    GENERAL_NAME *name = GENERAL_NAME_new();

    if (text == NULL || name == NULL || ASN1_STRING_set(text, value, (int)len) != 1) {
        ASN1_STRING_free(text);
        GENERAL_NAME_free(name);
        return false;
    }
    GENERAL_NAME_set0_value(name, type, text);
    if (sk_GENERAL_NAME_push(names, name) > 0)
        return true;
    GENERAL_NAME_free(name);
    return false;
}

int ca_issue_replica(const struct cert *ca, const struct key *ca_key, struct slice csr,
                     uint32_t site, const struct id *replica, msec_t now, int days,
                     struct cert **ret, struct err *err)
{
    char name[ID_TEXT_SIZE];
    char uri[128];
    struct plan p = {
        .ca = ca,
        .ca_key = ca_key->pkey,
        .name = name,
        .extensions = replica_extensions,
        .now = now,
        .days = days,
    };
    X509_REQ *req = csr_parse(csr);
    int code;

    if (req == NULL)
        return openssl_failed(err, E_MALFORMED, "不是有效的证书申请");
    id_format(replica, name);
    (void)snprintf(uri, sizeof uri, "urn:zhitongche:site:%u:replica:%s", site, name);
    code = csr_key(req, &p.key, err);
    if (code == 0) {
        p.san = sk_GENERAL_NAME_new_null();
        code = p.san != NULL && add_name(p.san, GEN_URI, uri, strlen(uri))
                   ? issue(&p, ret, err)
                   : openssl_failed(err, E_NOMEM, "内存不足");
        GENERAL_NAMES_free(p.san);
    }
    X509_REQ_free(req);
    return code;
}

static bool is_dns_name(const char *host)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.";
    size_t len = strlen(host);

    return len > 0 && len <= HOST_MAX && strspn(host, allowed) == len;
}

static int add_host(GENERAL_NAMES *names, const char *host, struct err *err)
{
    ASN1_OCTET_STRING *address = a2i_IPADDRESS(host);
    bool ok;

    ERR_clear_error();
    if (address != NULL)
        ok = add_name(names, GEN_IPADD, ASN1_STRING_get0_data(address),
                      (size_t)ASN1_STRING_length(address));
    else if (is_dns_name(host))
        ok = add_name(names, GEN_DNS, host, strlen(host));
    else
        return err_set(err, E_INVALID, "“%s”不是主机名或地址", host);
    ASN1_OCTET_STRING_free(address);
    return ok ? 0 : openssl_failed(err, E_NOMEM, "内存不足");
}

int ca_issue_city(const struct cert *ca, const struct key *ca_key, const struct key *key,
                  const struct id *ledger, const char *const *hosts, msec_t now, int days,
                  struct cert **ret, struct err *err)
{
    char name[ID_TEXT_SIZE];
    char uri[128];
    struct plan p = {
        .ca = ca,
        .ca_key = ca_key->pkey,
        .key = key->pkey,
        .name = name,
        .san = sk_GENERAL_NAME_new_null(),
        .extensions = city_extensions,
        .now = now,
        .days = days,
    };
    int code = 0;

    id_format(ledger, name);
    (void)snprintf(uri, sizeof uri, "urn:zhitongche:city:%s", name);
    if (p.san == NULL || !add_name(p.san, GEN_URI, uri, strlen(uri)))
        code = openssl_failed(err, E_NOMEM, "内存不足");
    for (; code == 0 && *hosts != NULL; hosts++)
        code = add_host(p.san, *hosts, err);
    if (code == 0)
        code = issue(&p, ret, err);
    GENERAL_NAMES_free(p.san);
    return code;
}
