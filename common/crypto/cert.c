/* Certificates: reading, writing, and who they say the holder is.
 *
 * Identity is one URI and is compared as bytes: the URI is parsed, written anew and must come out
 * the same, so that no second spelling of a replica exists. The subject repeats the replica's or
 * the ledger's id for people who look at a certificate; one that says something else is refused. */
#include "common/crypto/handles.h"

#include "common/base/hex.h"
#include "common/base/mem.h"
#include "common/crypto/memory.h"
#include "common/crypto/secret_file.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define CERT_DER_MAX 8192
#define SERIAL_MAX   20 /* RFC 5280 */
#define URI_SIZE     128
#define SITE_PREFIX  "urn:zhitongche:site:"
#define CITY_PREFIX  "urn:zhitongche:city:"

static bool time_of(const ASN1_TIME *t, msec_t *ret)
{
    struct tm tm;
    time_t at;

    if (ASN1_TIME_to_tm(t, &tm) != 1)
        return false;
    at = timegm(&tm);
    if (at < 0)
        return false;
    *ret = (msec_t)at * 1000;
    return true;
}

static int check_form(const X509 *x)
{
    const ASN1_INTEGER *serial = X509_get0_serialNumber(x);
    struct buf spki;
    msec_t at;
    int ret;

    buf_init(&spki, SPKI_SIZE);
    ret = spki_of(X509_get0_pubkey(x), &spki);
    buf_release(&spki);
    if (ret == 0 &&
        (ASN1_STRING_length(serial) > SERIAL_MAX || !time_of(X509_get0_notBefore(x), &at) ||
         !time_of(X509_get0_notAfter(x), &at)))
        ret = E_MALFORMED;
    ERR_clear_error();
    return ret;
}

int cert_adopt(X509 *x, struct cert **ret, struct err *err)
{
    struct cert *c;
    int code = check_form(x);

    if (code != 0)
        return err_set(err, code, "%s",
                       code == E_MALFORMED ? "证书不符合本系统的格式" : err_text(code));
    c = mem_alloc(sizeof *c);
    if (c == NULL || X509_digest(x, EVP_sha256(), c->print, NULL) != 1) {
        mem_free(c);
        ERR_clear_error();
        return err_set(err, E_NOMEM, NULL); /* one that was read fails for nothing else */
    }
    c->x = x;
    *ret = c;
    return 0;
}

/* Takes X, on failure too; NULL is a certificate that could not be read. */
static int cert_around(X509 *x, struct cert **ret, struct err *err)
{
    int code;

    if (x == NULL)
        return openssl_failed(err, E_MALFORMED, "不是有效的证书");
    code = cert_adopt(x, ret, err);
    if (code != 0)
        X509_free(x);
    return code;
}

int cert_from_der(struct slice der, struct cert **ret, struct err *err)
{
    const uint8_t *p = der.p;
    X509 *x;

    crypto_memory_watch();
    x = der.len > CERT_DER_MAX ? NULL : d2i_X509(NULL, &p, (long)der.len);
    if (x != NULL && (p != der.p + der.len || crypto_memory_short())) { /* something follows it */
        X509_free(x);
        x = NULL;
    }
    return cert_around(x, ret, err);
}

int cert_to_der(const struct cert *c, struct buf *out)
{
    uint8_t *der = NULL;
    int len;

    crypto_memory_watch();
    len = i2d_X509(c->x, &der);
    if (len <= 0)
        return openssl_failed(NULL, E_INTERNAL, "");
    buf_put(out, der, (size_t)len);
    OPENSSL_free(der);
    return out->ret;
}

static int save(const struct cert *const *list, size_t n, const char *path, unsigned permissions,
                struct err *err)
{
    BIO *pem = BIO_new(BIO_s_mem());
    bool ok = pem != NULL;
    char *text = NULL;
    long len;
    int ret;

    for (size_t i = 0; ok && i < n; i++)
        ok = PEM_write_bio_X509(pem, list[i]->x) == 1;
    if (!ok) {
        ret = openssl_failed(err, E_INTERNAL, "无法写出证书");
    } else {
        len = BIO_get_mem_data(pem, &text);
        ret = secret_file_write(path, (struct slice){(uint8_t *)text, (size_t)len}, permissions,
                                SECRET_FILE_REPLACE, err);
    }
    BIO_free(pem);
    return ret;
}

int cert_save(const struct cert *c, const char *path, struct err *err)
{
    return save(&c, 1, path, 0644, err);
}

int cert_save_all(const struct cert *const *list, size_t n, const char *path, struct err *err)
{
    return save(list, n, path, 0600, err);
}

/* The next ones of BIO into LIST, until it ends or MAX are there. */
static int read_all(BIO *bio, struct cert **list, size_t max, size_t *ret_n, struct err *err)
{
    int code = 0;

    for (*ret_n = 0; code == 0 && *ret_n < max; *ret_n += code == 0) {
        if (*ret_n > 0 && BIO_eof(bio))
            break;
        code = cert_around(PEM_read_bio_X509(bio, NULL, no_password, NULL), &list[*ret_n], err);
    }
    return code;
}

int cert_load_all(const char *path, struct cert **ret_list, size_t max, size_t *ret_n,
                  struct err *err)
{
    struct buf pem;
    BIO *bio;
    int code;

    *ret_n = 0;
    buf_init(&pem, SECRET_FILE_MAX);
    code = secret_file_read(path, false, &pem, err);
    if (code == 0) {
        bio = BIO_new_mem_buf(pem.len == 0 ? (const uint8_t *)"" : pem.p, (int)pem.len);
        code = bio == NULL ? err_set(err, E_NOMEM, NULL) : read_all(bio, ret_list, max, ret_n, err);
        if (code == 0 && max > 1 && !BIO_eof(bio))
            code = err_set(err, E_TOOBIG, NULL);
        BIO_free(bio);
        if (code != 0)
            (void)err_wrap(err, code, "证书文件 %s", path);
    }
    for (; code != 0 && *ret_n > 0; (*ret_n)--)
        cert_free(ret_list[*ret_n - 1]);
    buf_release(&pem);
    return code;
}

int cert_load(const char *path, struct cert **ret, struct err *err)
{
    size_t n;

    return cert_load_all(path, ret, 1, &n, err);
}

void cert_free(struct cert *c)
{
    if (c == NULL)
        return;
    X509_free(c->x);
    mem_free(c);
}

void cert_fingerprint(const struct cert *c, uint8_t ret[HASH_SIZE])
{
    memcpy(ret, c->print, HASH_SIZE);
}

void cert_serial(const struct cert *c, char ret[48])
{
    const ASN1_INTEGER *serial = X509_get0_serialNumber(c->x);

    hex_encode(ASN1_STRING_get0_data(serial), (size_t)ASN1_STRING_length(serial), ret);
}

msec_t cert_not_before(const struct cert *c)
{
    msec_t at = 0;

    (void)time_of(X509_get0_notBefore(c->x), &at); /* could be read when it was adopted */
    return at;
}

int64_t cert_days_left(msec_t end, msec_t now)
{
    return end > now ? (int64_t)((end - now) / CERT_DAY_MS) : 0;
}

bool cert_issued_by(const struct cert *c, const struct cert *ca)
{
    bool is = X509_verify(c->x, X509_get0_pubkey(ca->x)) == 1;

    ERR_clear_error();
    return is;
}

msec_t cert_not_after(const struct cert *c)
{
    msec_t at = 0;

    (void)time_of(X509_get0_notAfter(c->x), &at); /* could be read when it was adopted */
    return at;
}

int cert_public(const struct cert *c, struct buf *out)
{
    return spki_of(X509_get0_pubkey(c->x), out);
}

/* Walk the names: one URI is copied to RET, hosts are skipped where allowed, all else refused. */
static bool only_uri(const GENERAL_NAMES *names, bool hosts, char ret[URI_SIZE])
{
    int uris = 0;

    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        const uint8_t *text;
        size_t len;

        if (hosts && (name->type == GEN_DNS || name->type == GEN_IPADD))
            continue;
        if (name->type != GEN_URI || ++uris > 1)
            return false;
        text = ASN1_STRING_get0_data(name->d.uniformResourceIdentifier);
        len = (size_t)ASN1_STRING_length(name->d.uniformResourceIdentifier);
        if (len >= URI_SIZE || memchr(text, '\0', len) != NULL)
            return false;
        memcpy(ret, text, len);
        ret[len] = '\0';
    }
    return uris == 1;
}

static bool identity_uri(const struct cert *c, bool hosts, char ret[URI_SIZE])
{
    /* NULL when there is none, and also when there are two such extensions. */
    GENERAL_NAMES *names;
    bool ok;

    crypto_memory_watch();
    names = X509_get_ext_d2i(c->x, NID_subject_alt_name, NULL, NULL);
    ok = names != NULL && only_uri(names, hosts, ret);

    GENERAL_NAMES_free(names);
    ERR_clear_error();
    return ok;
}

/* The subject is the common name ID and nothing else. */
static bool subject_is(const struct cert *c, const struct id *id)
{
    const X509_NAME *subject = X509_get_subject_name(c->x);
    const X509_NAME_ENTRY *entry = X509_NAME_get_entry(subject, 0);
    const ASN1_STRING *value;
    char text[ID_TEXT_SIZE];

    if (X509_NAME_entry_count(subject) != 1 ||
        OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry)) != NID_commonName)
        return false;
    id_format(id, text);
    value = X509_NAME_ENTRY_get_data(entry);
    return slice_eq((struct slice){ASN1_STRING_get0_data(value), (size_t)ASN1_STRING_length(value)},
                    slice_str(text));
}

static int replica_uri_parse(const char *uri, uint32_t *ret_site, struct id *ret_replica)
{
    static const char middle[] = ":replica:";
    const char *p = uri + strlen(SITE_PREFIX);
    uint32_t site = 0;
    int digits = 0;
    struct id id;
    char again[URI_SIZE];
    char text[ID_TEXT_SIZE];

    if (strncmp(uri, SITE_PREFIX, strlen(SITE_PREFIX)) != 0)
        return E_MALFORMED;
    for (; *p >= '0' && *p <= '9' && digits < 9; p++, digits++)
        site = site * 10 + (uint32_t)(*p - '0');
    if (strncmp(p, middle, strlen(middle)) != 0)
        return E_MALFORMED;
    p += strlen(middle);
    if (id_parse(p, strlen(p), &id) != 0)
        return E_MALFORMED;
    id_format(&id, text);
    (void)snprintf(again, sizeof again, SITE_PREFIX "%u%s%s", site, middle, text);
    if (site == 0 || strcmp(again, uri) != 0)
        return E_MALFORMED;
    *ret_site = site;
    *ret_replica = id;
    return 0;
}

/* After identity_uri(). */
static int unknown(struct err *err, const char *what)
{
    return crypto_memory_short() ? err_set(err, E_NOMEM, NULL) : err_set(err, E_AUTH, "%s", what);
}

int cert_replica(const struct cert *c, uint32_t *ret_site, struct id *ret_replica, struct err *err)
{
    char uri[URI_SIZE];
    uint32_t site;
    struct id replica;

    if (!identity_uri(c, false, uri) || replica_uri_parse(uri, &site, &replica) != 0 ||
        !subject_is(c, &replica))
        return unknown(err, "证书没有写明是哪一个县级副本");
    *ret_site = site;
    *ret_replica = replica;
    return 0;
}

int cert_city(const struct cert *c, struct id *ret_ledger, struct err *err)
{
    char uri[URI_SIZE];
    char again[ID_TEXT_SIZE];
    const char *text = uri + strlen(CITY_PREFIX);
    struct id ledger;

    if (!identity_uri(c, true, uri) || strncmp(uri, CITY_PREFIX, strlen(CITY_PREFIX)) != 0 ||
        id_parse(text, strlen(text), &ledger) != 0)
        return unknown(err, "对方证书不是市级服务的证书");
    id_format(&ledger, again);
    if (strcmp(again, text) != 0 || !subject_is(c, &ledger))
        return unknown(err, "对方证书不是市级服务的证书");
    *ret_ledger = ledger;
    return 0;
}
