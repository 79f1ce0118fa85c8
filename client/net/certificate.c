/* The replica's certificate: reading, asking for a new one, taking it. */
#include "client/net/certificate.h"

#include "client/cmd/home.h"

#include <string.h>

/* ---- files ---- */

int certificate_load(const char *dir, struct certificate *ret, struct err *err)
{
    struct certificate c = {.n_cas = 0};
    char path[HOME_PATH_MAX];
    int status = home_path(dir, "ca.pem", path, err);

    if (status == 0)
        status = cert_load_all(path, c.cas, TRUST_MAX, &c.n_cas, err);
    if (status == 0)
        status = home_path(dir, "cert.pem", path, err);
    if (status == 0)
        status = cert_load(path, &c.own, err);
    if (status == 0)
        status = home_path(dir, "key.pem", path, err);
    if (status == 0)
        status = key_load(path, &c.key, err);
    if (status == 0)
        *ret = c;
    else
        certificate_release(&c);
    return status;
}

void certificate_release(struct certificate *c)
{
    for (size_t i = 0; i < c->n_cas; i++)
        cert_free(c->cas[i]);
    cert_free(c->own);
    key_free(c->key);
    *c = (struct certificate){.n_cas = 0};
}

struct client_cert certificate_facts(const struct certificate *c)
{
    struct client_cert f = {.from = cert_not_before(c->own), .until = cert_not_after(c->own)};

    trust_digest((const struct cert *const *)c->cas, c->n_cas, f.authorities);
    return f;
}

int certificate_request(const struct certificate *c, struct buf *out, struct err *err)
{
    return csr_new(c->key, out, err);
}

/* ---- what came ---- */

static bool is_trusted(const struct certificate *c, const struct cert *ca)
{
    uint8_t a[HASH_SIZE], b[HASH_SIZE];

    cert_fingerprint(ca, a);
    for (size_t i = 0; i < c->n_cas; i++) {
        cert_fingerprint(c->cas[i], b);
        if (memcmp(a, b, HASH_SIZE) == 0)
            return true;
    }
    return false;
}

/* From the oldest on, each is trusted already, or the one before it vouches for it. */
static int check_cas(const struct certificate *now, const struct certificate *then,
                     const struct id *ledger, const Ztc__Renewed *m, struct err *err)
{
    int ret;

    for (size_t i = then->n_cas; i-- > 0;) {
        if (is_trusted(now, then->cas[i]))
            continue;
        ret = i + 1 == then->n_cas ? E_AUTH
                                   : trust_check(then->cas[i + 1], ledger, then->cas[i],
                                                 wire_slice(m->endorsements[i]));
        if (ret != 0)
            return err_set(err, ret, "%s",
                           ret == E_AUTH ? "市级的新根证书没有旧根证书的签名" : err_text(ret));
    }
    return 0;
}

static int check_key(const struct cert *a, const struct cert *b)
{
    struct buf x, y;
    int ret;

    buf_init(&x, WIRE_DER_MAX);
    buf_init(&y, WIRE_DER_MAX);
    ret = cert_public(a, &x);
    if (ret == 0)
        ret = cert_public(b, &y);
    if (ret == 0 && !slice_eq(buf_slice(&x), buf_slice(&y)))
        ret = E_AUTH;
    buf_release(&x);
    buf_release(&y);
    return ret;
}

static int check_own(const struct certificate *now, const struct certificate *then, struct err *err)
{
    struct id was, is;
    uint32_t was_site, is_site;
    int ret = cert_replica(now->own, &was_site, &was, err);

    if (ret == 0)
        ret = cert_replica(then->own, &is_site, &is, err);
    if (ret != 0)
        return ret;
    ret = check_key(now->own, then->own);
    if (ret == 0 && (!id_eq(&was, &is) || was_site != is_site))
        ret = E_AUTH;
    return ret == 0 ? 0
                    : err_set(err, ret, "%s",
                              ret == E_AUTH ? "市级发来的证书不是给本机的" : err_text(ret));
}

static int decode(struct certificate *then, const Ztc__Renewed *m, struct err *err)
{
    int ret = cert_from_der(wire_slice(m->certificate), &then->own, err);

    for (size_t i = 0; ret == 0 && i < m->n_authorities; i++) {
        ret = cert_from_der(wire_slice(m->authorities[i]), &then->cas[i], err);
        then->n_cas += ret == 0;
    }
    return ret;
}

int certificate_check(const struct certificate *now, const struct id *ledger, const Ztc__Renewed *m,
                      struct certificate *ret, struct err *err)
{
    int status = decode(ret, m, err);

    if (status == 0)
        status = check_cas(now, ret, ledger, m, err);
    if (status == 0 && !cert_issued_by(ret->own, ret->cas[0]))
        status = err_set(err, E_AUTH, "市级发来的证书不是给本机的");
    return status;
}

static int save(const struct certificate *then, const char *dir, struct err *err)
{
    const struct cert *own = then->own;
    char path[HOME_PATH_MAX];
    int ret = home_path(dir, "ca.pem", path, err);

    if (ret == 0)
        ret = cert_save_all((const struct cert *const *)then->cas, then->n_cas, path, err);
    if (ret == 0)
        ret = home_path(dir, "cert.pem", path, err);
    return ret == 0 ? cert_save_all(&own, 1, path, err) : ret;
}

int certificate_take(struct certificate *c, const char *dir, const struct id *ledger,
                     const Ztc__Renewed *m, struct err *err)
{
    struct certificate then = {.n_cas = 0};
    int ret = certificate_check(c, ledger, m, &then, err);

    if (ret == 0)
        ret = check_own(c, &then, err);
    if (ret == 0)
        ret = save(&then, dir, err);
    if (ret == 0) {
        then.key = c->key;
        c->key = NULL;
        certificate_release(c);
        *c = then;
    } else {
        certificate_release(&then);
    }
    return ret;
}

static bool is_kept(const char *path, const struct cert *city)
{
    uint8_t a[HASH_SIZE], b[HASH_SIZE];
    struct cert *kept;

    if (cert_load(path, &kept, NULL) != 0)
        return false;
    cert_fingerprint(kept, a);
    cert_fingerprint(city, b);
    cert_free(kept);
    return memcmp(a, b, HASH_SIZE) == 0;
}

int certificate_keep_city(const char *dir, const struct cert *city)
{
    char path[HOME_PATH_MAX];
    int ret = home_path(dir, "city.pem", path, NULL);

    if (ret != 0 || is_kept(path, city))
        return ret;
    return cert_save_all(&city, 1, path, NULL);
}
