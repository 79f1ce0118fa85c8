/* TLS by OpenSSL over a BIO of our own.
 *
 * The BIO reads from a window on the bytes that the caller was handed by its loop, so that nothing
 * is copied on the way in, and appends to one buffer that the caller takes whole. OpenSSL gives no
 * back-pressure (a write always succeeds); the caller looks at the amount of output instead.
 *
 * Who the peer is, is decided inside OpenSSL's verification, so that a refused peer gets an alert:
 * the chain and its validity first, then the identity in the leaf. A pinned root is looked up among
 * the certificates that the server sent; only one with exactly that fingerprint becomes the anchor.
 *
 * OpenSSL's error queue belongs to the thread: it is cleared before each call and read right after. */
#include "common/net/tls.h"

#include "common/base/mem.h"
#include "common/crypto/handles.h"
#include "common/crypto/memory.h"

#include <assert.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <string.h>

#define CERT_LIST_MAX 16384 /* what a stranger may make us hold before it is known */
#define ALPN_MAX      32

struct tls_config {
    SSL_CTX *ctx;
    unsigned refs;
    enum tls_role role;
    bool allow_expired;
    bool has_ledger;
    bool has_pin;
    struct id ledger;
    uint8_t pin[HASH_SIZE];
    uint8_t alpn[ALPN_MAX]; /* as on the wire: length, then the name */
    size_t alpn_len;
};

struct tls {
    SSL *ssl;
    struct tls_config *config;
    struct slice window; /* borrowed input, after PARKED */
    struct buf parked;   /* kept input, from PARKED_AT on */
    size_t parked_at;
    struct buf out;
    int ret;       /* the first failure; final */
    unsigned keys; /* key updates received */
    unsigned refused; /* allocations, before the present call of OpenSSL */
    bool open;     /* handshake done */
    bool eof;      /* the network ended */
    bool broken;   /* OpenSSL must not be asked for a shutdown any more */
    bool said_end; /* our close_notify is out */
};

/* The BIO */

static size_t take_from(struct slice *from, char *to, size_t size)
{
    size_t n = from->len < size ? from->len : size;

    memcpy(to, from->p, n);
    from->p += n;
    from->len -= n;
    return n;
}

static size_t take_parked(struct tls *t, char *to, size_t size)
{
    struct slice left = {t->parked.p + t->parked_at, t->parked.len - t->parked_at};
    size_t n = take_from(&left, to, size);

    t->parked_at += n;
    if (left.len == 0) {
        buf_release(&t->parked);
        t->parked_at = 0;
    }
    return n;
}

static int bio_read(BIO *bio, char *to, size_t size, size_t *ret_len)
{
    struct tls *t = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    if (t->parked.len > 0)
        *ret_len = take_parked(t, to, size);
    else if (t->window.len > 0)
        *ret_len = take_from(&t->window, to, size);
    else
        *ret_len = 0;
    if (*ret_len > 0)
        return 1;
    BIO_set_retry_read(bio);
    return 0;
}

static int bio_write(BIO *bio, const char *from, size_t len, size_t *ret_len)
{
    struct tls *t = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    buf_put(&t->out, from, len);
    if (t->out.ret != 0)
        return 0;
    *ret_len = len;
    return 1;
}

static long bio_ctrl(BIO *bio, int cmd, long num, void *ptr)
{
    (void)bio;
    (void)num;
    (void)ptr;
    return cmd == BIO_CTRL_FLUSH;
}

static pthread_once_t bio_once = PTHREAD_ONCE_INIT;
static BIO_METHOD *bio_method; /* lives as long as the process */

static void make_bio_method(void)
{
    BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "ztc");

    if (m != NULL && BIO_meth_set_read_ex(m, bio_read) == 1 &&
        BIO_meth_set_write_ex(m, bio_write) == 1 && BIO_meth_set_ctrl(m, bio_ctrl) == 1)
        bio_method = m;
    else
        BIO_meth_free(m);
}

/* Verification */

static struct tls *tls_of(X509_STORE_CTX *ctx)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(ctx, SSL_get_ex_data_X509_STORE_CTX_idx());

    return SSL_get_app_data(ssl);
}

/* Does the leaf, whose chain is right, name someone this side talks to? */
static int check_identity(const struct tls_config *config, X509 *leaf)
{
    const struct cert c = {.x = leaf};
    struct id id;
    uint32_t site;
    int ret;

    if (config->role == TLS_SERVER)
        return cert_replica(&c, &site, &id, NULL);
    ret = cert_city(&c, &id, NULL);
    return ret == 0 && config->has_ledger && !id_eq(&id, &config->ledger) ? E_AUTH : ret;
}

static int check_form(X509 *leaf)
{
    struct buf spki;
    int ret;

    buf_init(&spki, SPKI_SIZE);
    ret = spki_of(X509_get0_pubkey(leaf), &spki);
    buf_release(&spki);
    return ret;
}

static int verify_step(int ok, X509_STORE_CTX *ctx)
{
    const struct tls_config *config = tls_of(ctx)->config;
    X509 *cert = X509_STORE_CTX_get_current_cert(ctx);
    bool leaf = X509_STORE_CTX_get_error_depth(ctx) == 0;
    int ret;

    /* OpenSSL comes back for the next check, and with OK set when all are done. */
    if (!ok && X509_STORE_CTX_get_error(ctx) == X509_V_ERR_CERT_NOT_YET_VALID)
        return 1; /* see tls.h */
    if (!ok && leaf && config->allow_expired &&
        X509_STORE_CTX_get_error(ctx) == X509_V_ERR_CERT_HAS_EXPIRED)
        return 1;
    if (!ok || !leaf)
        return ok;
    ret = check_form(cert);
    if (ret == 0)
        ret = check_identity(config, cert);
    if (ret != 0)
        X509_STORE_CTX_set_error(ctx, ret == E_NOMEM ? X509_V_ERR_OUT_OF_MEM : X509_V_ERR_CERT_REJECTED);
    return ret == 0;
}

static X509 *find_pinned(const STACK_OF(X509) * sent, const uint8_t pin[HASH_SIZE])
{
    uint8_t print[HASH_SIZE];

    for (int i = 0; i < sk_X509_num(sent); i++) {
        X509 *x = sk_X509_value(sent, i);

        if (X509_digest(x, EVP_sha256(), print, NULL) == 1 &&
            CRYPTO_memcmp(print, pin, HASH_SIZE) == 0)
            return x;
    }
    return NULL;
}

/* Verify with the pinned root as the only anchor. A leaf that is itself the pinned one is no CA, and
 * fails by its purpose. */
static int verify_pinned(X509_STORE_CTX *ctx, void *arg)
{
    const struct tls_config *config = arg;
    X509 *root = find_pinned(X509_STORE_CTX_get0_untrusted(ctx), config->pin);
    STACK_OF(X509) * anchors;
    int ok;

    if (root == NULL) {
        X509_STORE_CTX_set_error(ctx, X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN);
        return 0;
    }
    anchors = sk_X509_new_null();
    if (anchors == NULL || sk_X509_push(anchors, root) <= 0) {
        sk_X509_free(anchors);
        X509_STORE_CTX_set_error(ctx, X509_V_ERR_OUT_OF_MEM);
        return 0;
    }
    X509_STORE_CTX_set0_trusted_stack(ctx, anchors);
    ok = X509_verify_cert(ctx);
    X509_STORE_CTX_set0_trusted_stack(ctx, NULL);
    sk_X509_free(anchors);
    return ok;
}

/* Configuration */

static int choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                       const unsigned char *in, unsigned in_len, void *arg)
{
    const struct tls_config *c = arg;

    (void)ssl;
    for (unsigned at = 0; at < in_len; at += 1u + in[at])
        if (at + c->alpn_len <= in_len && memcmp(in + at, c->alpn, c->alpn_len) == 0) {
            *out = c->alpn + 1;
            *out_len = c->alpn[0];
            return SSL_TLSEXT_ERR_OK;
        }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* Each key update makes OpenSSL derive keys, and queue an answer when asked to. */
static void count_key_updates(int sent, int version, int type, const void *p, size_t len, SSL *ssl,
                              void *arg)
{
    struct tls *t = SSL_get_app_data(ssl);

    (void)version;
    (void)arg;
    if (!sent && type == SSL3_RT_HANDSHAKE && len > 0 && *(const uint8_t *)p == SSL3_MT_KEY_UPDATE)
        t->keys++;
}

static bool set_protocol(SSL_CTX *ctx)
{
    static const char suites[] =
        "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";

    SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    /* No auto chain: else the root would be sent to everyone. */
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_max_cert_list(ctx, CERT_LIST_MAX);
    SSL_CTX_set_verify_depth(ctx, 1);
    SSL_CTX_set_msg_callback(ctx, count_key_updates);
    return SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) == 1 &&
           SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) == 1 &&
           SSL_CTX_set_num_tickets(ctx, 0) == 1 && SSL_CTX_set_max_early_data(ctx, 0) == 1 &&
           SSL_CTX_set_ciphersuites(ctx, suites) == 1 &&
           SSL_CTX_set1_groups_list(ctx, "P-256") == 1 &&
           SSL_CTX_set1_sigalgs_list(ctx, "ECDSA+SHA256") == 1 &&
           SSL_CTX_set1_client_sigalgs_list(ctx, "ECDSA+SHA256") == 1;
}

static bool set_own(SSL_CTX *ctx, const struct tls_params *p)
{
    if (p->own == NULL)
        return true;
    return SSL_CTX_use_certificate(ctx, p->own->x) == 1 &&
           SSL_CTX_use_PrivateKey(ctx, p->key->pkey) == 1 && SSL_CTX_check_private_key(ctx) == 1 &&
           (!p->send_ca || SSL_CTX_add1_chain_cert(ctx, p->ca->x) == 1);
}

static bool set_peer(struct tls_config *c, const struct tls_params *p)
{
    int mode = SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    X509_STORE *roots = SSL_CTX_get_cert_store(c->ctx);

    if (p->role == TLS_SERVER && !p->ask_client)
        mode = SSL_VERIFY_NONE;
    SSL_CTX_set_verify(c->ctx, mode, verify_step);
    if (c->has_pin)
        SSL_CTX_set_cert_verify_callback(c->ctx, verify_pinned, c);
    else if (mode != SSL_VERIFY_NONE)
        return X509_STORE_add_cert(roots, p->ca->x) == 1 &&
               (p->old_ca == NULL || X509_STORE_add_cert(roots, p->old_ca->x) == 1);
    return true;
}

static bool set_alpn(struct tls_config *c)
{
    if (c->role == TLS_CLIENT) /* this one function returns 0 for success */
        return SSL_CTX_set_alpn_protos(c->ctx, c->alpn, (unsigned)c->alpn_len) == 0;
    SSL_CTX_set_alpn_select_cb(c->ctx, choose_alpn, c);
    return true;
}

static void copy_params(struct tls_config *c, const struct tls_params *p)
{
    size_t len = strlen(p->alpn);

    assert(len > 0 && len < ALPN_MAX);
    assert(p->role == TLS_CLIENT || p->own != NULL);
    assert(p->ca != NULL || p->ca_fingerprint != NULL || !p->ask_client);
    c->refs = 1;
    c->role = p->role;
    c->allow_expired = p->allow_expired;
    c->alpn[0] = (uint8_t)len;
    memcpy(c->alpn + 1, p->alpn, len);
    c->alpn_len = len + 1;
    if (p->ledger != NULL) {
        c->has_ledger = true;
        c->ledger = *p->ledger;
    }
    if (p->ca_fingerprint != NULL) {
        c->has_pin = true;
        memcpy(c->pin, p->ca_fingerprint, HASH_SIZE);
    }
}

int tls_config_new(const struct tls_params *p, struct tls_config **ret, struct err *err)
{
    struct tls_config *c = mem_calloc(1, sizeof *c);
    int code;

    if (c == NULL)
        return err_set(err, E_NOMEM, NULL);
    copy_params(c, p);
    ERR_clear_error();
    c->ctx = SSL_CTX_new(p->role == TLS_SERVER ? TLS_server_method() : TLS_client_method());
    if (c->ctx == NULL || !set_protocol(c->ctx) || !set_own(c->ctx, p) || !set_peer(c, p) ||
        !set_alpn(c)) {
        code = openssl_failed(err, E_INVALID, "证书与密钥不匹配，无法用于加密连接");
        tls_config_unref(c);
        return code;
    }
    *ret = c;
    return 0;
}

struct tls_config *tls_config_ref(struct tls_config *c)
{
    c->refs++;
    return c;
}

void tls_config_unref(struct tls_config *c)
{
    if (c == NULL || --c->refs > 0)
        return;
    SSL_CTX_free(c->ctx);
    mem_free(c);
}

/* Errors */

struct reason {
    int reason; /* OpenSSL's */
    int ret;
    const char *text;
};

/* What the other side's alerts mean to us. */
static const struct reason reasons[] = {
    {SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED, E_AUTH, "对方要求出示证书"},
    {SSL_R_TLSV1_ALERT_UNKNOWN_CA, E_AUTH, "对方不信任本机的证书"},
    {SSL_R_SSLV3_ALERT_BAD_CERTIFICATE, E_AUTH, "对方不接受本机的证书"},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN, E_AUTH, "对方不接受本机的证书"},
    {SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE, E_AUTH, "对方不接受本机的证书"},
    {SSL_R_TLSV1_ALERT_ACCESS_DENIED, E_AUTH, "对方拒绝了本机"},
    {SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE, E_TLS, "对方不支持本机的加密方式"},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED, E_EXPIRED, "对方认为本机的证书已过有效期"},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED, E_REVOKED, "本机的证书已被撤销"},
    {SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, E_AUTH, "对方没有出示证书"},
    {SSL_R_NO_APPLICATION_PROTOCOL, E_PROTOCOL, "对方说的不是本系统的协议"},
    {SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL, E_PROTOCOL, "对方说的不是本系统的协议"},
    {SSL_R_UNSUPPORTED_PROTOCOL, E_TLS, "对方不支持 TLS 1.3"},
    {SSL_R_TLSV1_ALERT_PROTOCOL_VERSION, E_TLS, "对方不支持 TLS 1.3"},
};

static int final(struct tls *t, struct err *err, int ret, const char *text)
{
    t->ret = ret;
    return err_set(err, ret, "%s", text == NULL ? err_text(ret) : text);
}

static int certificate_refused(struct tls *t, long result, struct err *err)
{
    switch (result) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        return final(t, err, E_EXPIRED, "对方的证书已过有效期");
    case X509_V_ERR_CERT_REJECTED:
        return final(t, err, E_AUTH, "对方的证书不是所期望的身份");
    case X509_V_ERR_OUT_OF_MEM:
        return final(t, err, E_NOMEM, NULL);
    default:
        return final(t, err, E_AUTH, "对方的证书不是由所信任的根证书签发");
    }
}

static int fatal(struct tls *t, struct err *err)
{
    unsigned long code = ERR_peek_error();
    int reason = ERR_GET_REASON(code);
    char text[160];

    t->broken = true;
    ERR_error_string_n(code, text, sizeof text);
    ERR_clear_error();
    if (t->out.ret != 0)
        return final(t, err, t->out.ret, NULL);
    if (crypto_memory_refused() != t->refused)
        return final(t, err, E_NOMEM, NULL);
    if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED)
        return certificate_refused(t, SSL_get_verify_result(t->ssl), err);
    if (reason == ERR_R_MALLOC_FAILURE)
        return final(t, err, E_NOMEM, NULL);
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (reasons[i].reason == reason)
            return final(t, err, reasons[i].ret, reasons[i].text);
    return final(t, err, E_TLS, text);
}

/* What an OpenSSL call that did not succeed means; 0 when it only waits for input. */
static int judge(struct tls *t, int result, struct err *err)
{
    switch (SSL_get_error(t->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        if (t->eof)
            return final(t, err, E_IO, "连接中断");
        return 0;
    case SSL_ERROR_ZERO_RETURN:
        return final(t, err, E_CLOSED, "对方已关闭连接");
    default:
        return fatal(t, err);
    }
}

static int failed_before(const struct tls *t, struct err *err)
{
    return err_set(err, t->ret, NULL);
}

/* The filter */

int tls_new(struct tls_config *config, msec_t now, struct tls **ret, struct err *err)
{
    struct tls *t = mem_calloc(1, sizeof *t);
    BIO *bio = NULL;

    if (t == NULL)
        return err_set(err, E_NOMEM, NULL);
    t->config = tls_config_ref(config);
    buf_init(&t->out, TLS_OUTPUT_MAX);
    buf_init(&t->parked, TLS_INPUT_MAX);
    t->ssl = SSL_new(config->ctx);
    if (pthread_once(&bio_once, make_bio_method) == 0 && bio_method != NULL)
        bio = BIO_new(bio_method);
    if (t->ssl == NULL || bio == NULL || SSL_set_app_data(t->ssl, t) != 1) {
        BIO_free(bio);
        tls_free(t);
        return openssl_failed(err, E_NOMEM, "内存不足");
    }
    BIO_set_data(bio, t);
    BIO_set_init(bio, 1);
    SSL_set_bio(t->ssl, bio, bio);
    X509_VERIFY_PARAM_set_time(SSL_get0_param(t->ssl), (time_t)(now / 1000));
    if (config->role == TLS_SERVER)
        SSL_set_accept_state(t->ssl);
    else
        SSL_set_connect_state(t->ssl);
    *ret = t;
    return 0;
}

void tls_free(struct tls *t)
{
    if (t == NULL)
        return;
    SSL_free(t->ssl);
    buf_release(&t->out);
    buf_release(&t->parked);
    tls_config_unref(t->config);
    mem_free(t);
}

int tls_feed(struct tls *t, struct slice in)
{
    if (t->parked.len == 0) {
        t->window = in;
        return 0;
    }
    buf_put(&t->parked, in.p, in.len);
    if (t->parked.ret != 0)
        t->ret = t->parked.ret;
    return t->parked.ret;
}

void tls_feed_eof(struct tls *t)
{
    t->eof = true;
}

int tls_park(struct tls *t)
{
    buf_put(&t->parked, t->window.p, t->window.len);
    t->window = (struct slice){NULL, 0};
    if (t->parked.ret != 0)
        t->ret = t->parked.ret;
    return t->parked.ret;
}

static bool alpn_agreed(const struct tls *t)
{
    const unsigned char *name = NULL;
    unsigned len = 0;

    SSL_get0_alpn_selected(t->ssl, &name, &len);
    return len == t->config->alpn[0] && memcmp(name, t->config->alpn + 1, len) == 0;
}

int tls_handshake(struct tls *t, struct err *err)
{
    int result;

    if (t->ret != 0)
        return failed_before(t, err);
    if (t->open)
        return 0;
    ERR_clear_error();
    t->refused = crypto_memory_refused();
    result = SSL_do_handshake(t->ssl);
    if (result != 1)
        return judge(t, result, err);
    if (!alpn_agreed(t)) /* a side that names no protocol gets this far */
        return final(t, err, E_PROTOCOL, "对方说的不是本系统的协议");
    t->open = true;
    return 0;
}

bool tls_is_open(const struct tls *t)
{
    return t->open;
}

int tls_peer(const struct tls *t, struct cert **ret, struct err *err)
{
    X509 *x = SSL_get1_peer_certificate(t->ssl);
    int code;

    assert(t->open);
    if (x == NULL) {
        *ret = NULL;
        return 0;
    }
    code = cert_adopt(x, ret, err);
    if (code != 0)
        X509_free(x);
    return code;
}

int tls_read(struct tls *t, void *out, size_t size, size_t *ret_len, struct err *err)
{
    size_t len = 0;
    int result;
    int code = 0;

    assert(t->open);
    if (t->ret != 0)
        return failed_before(t, err);
    ERR_clear_error();
    t->refused = crypto_memory_refused();
    result = SSL_read_ex(t->ssl, out, size, &len);
    if (t->keys > TLS_KEY_UPDATES_MAX)
        return final(t, err, E_PROTOCOL, "对方更换密钥过于频繁");
    if (result != 1) {
        len = 0;
        code = judge(t, result, err);
    }
    if (code == 0)
        *ret_len = len;
    return code;
}

int tls_write(struct tls *t, struct slice plain, struct err *err)
{
    size_t written;

    assert(t->open);
    if (t->ret != 0)
        return failed_before(t, err);
    if (t->said_end)
        return err_set(err, E_CLOSED, NULL);
    if (plain.len == 0)
        return 0;
    ERR_clear_error();
    t->refused = crypto_memory_refused();
    return SSL_write_ex(t->ssl, plain.p, plain.len, &written) == 1 ? 0 : fatal(t, err);
}

void tls_close(struct tls *t)
{
    if (t->said_end)
        return;
    t->said_end = true;
    if (!t->open || t->broken)
        return;
    ERR_clear_error();
    (void)SSL_shutdown(t->ssl); /* "not yet answered" is the normal result */
    ERR_clear_error();
}

size_t tls_output_len(const struct tls *t)
{
    return t->out.len;
}

void tls_take_output(struct tls *t, struct buf *ret)
{
    *ret = t->out;
    buf_init(&t->out, TLS_OUTPUT_MAX);
}
