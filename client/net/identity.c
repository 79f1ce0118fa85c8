/* The files of a new identity, and the moment of the change. */
#include "client/store/identity.h"

#include "client/cmd/home.h"
#include "client/net/certificate.h"
#include "common/crypto/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define KEY_NEXT  "key.pem.next"
#define CERT_NEXT "cert.pem.next"

/* ---- places ---- */

/* A power cut must not undo a rename that the next one builds on. */
static int sync_dir(const char *dir, struct err *err)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd >= 0 && fsync(fd) == 0;

    if (fd >= 0)
        (void)close(fd); /* only read */
    return ok ? 0 : err_set(err, E_IO, "不能写目录 %s：%s", dir, strerror(errno));
}

/* One that is in its place already is fine. */
static int put_in_place(const char *dir, const char *next, const char *name, struct err *err)
{
    char from[HOME_PATH_MAX], to[HOME_PATH_MAX];
    int ret = home_path(dir, next, from, err);

    if (ret == 0)
        ret = home_path(dir, name, to, err);
    if (ret == 0 && rename(from, to) != 0 && errno != ENOENT)
        ret = err_set(err, errno == ENOSPC ? E_FULL : E_IO, "不能改名 %s：%s", from, strerror(errno));
    return ret == 0 ? sync_dir(dir, err) : ret;
}

/* The certificate goes last: while it waits, the key may wait too. */
static int put_both(const char *dir, struct err *err)
{
    int ret = put_in_place(dir, KEY_NEXT, "key.pem", err);

    return ret == 0 ? put_in_place(dir, CERT_NEXT, "cert.pem", err) : ret;
}

int identity_settle(const char *dir, struct replica *r, struct err *err)
{
    char path[HOME_PATH_MAX];
    struct replica_facts facts;
    struct cert *cert;
    struct id id;
    uint32_t site;
    bool ours;
    int ret = home_path(dir, CERT_NEXT, path, err);

    if (ret != 0)
        return ret;
    if (access(path, F_OK) != 0)
        return 0;
    ret = replica_facts(r, &facts, err);
    if (ret == 0)
        ret = cert_load(path, &cert, err);
    if (ret != 0)
        return ret;
    ours = cert_replica(cert, &site, &id, NULL) == 0 && id_eq(&id, &facts.id);
    cert_free(cert);
    return ours ? put_both(dir, err) : 0; /* else it was not come to: it is asked for again */
}

/* ---- asking ---- */

static int make_next(const char *path, struct replica *r, msec_t now, struct key **ret,
                     struct id *ret_id, struct err *err)
{
    struct random random = random_system();
    int status = key_new(ret, err);

    if (status != 0)
        return status;
    *ret_id = id_v7(now, &random);
    status = key_save(*ret, path, err);
    if (status == 0)
        status = identity_next_put(r, ret_id, err);
    return status;
}

int identity_request(const char *dir, struct replica *r, msec_t now, struct buf *out,
                     struct id *ret_id, struct err *err)
{
    char path[HOME_PATH_MAX];
    struct key *key = NULL;
    int ret = home_path(dir, KEY_NEXT, path, err);

    if (ret != 0)
        return ret;
    if (identity_next_get(r, ret_id, NULL) != 0 || key_load(path, &key, NULL) != 0)
        ret = make_next(path, r, now, &key, ret_id, err);
    if (ret == 0)
        ret = csr_new(key, out, err);
    key_free(key);
    return ret;
}

/* ---- taking ---- */

static bool is_of_key(const struct cert *cert, const struct key *key)
{
    struct buf x, y;
    bool same;

    buf_init(&x, WIRE_DER_MAX);
    buf_init(&y, WIRE_DER_MAX);
    same = cert_public(cert, &x) == 0 && key_public(key, &y) == 0 &&
           slice_eq(buf_slice(&x), buf_slice(&y));
    buf_release(&x);
    buf_release(&y);
    return same;
}

/* It is for the id and key that were asked for, at our own site. */
static int check_granted(const struct certificate *then, const struct replica_facts *f,
                         const struct id *next, struct err *err)
{
    struct id id;
    uint32_t site;
    int ret = cert_replica(then->own, &site, &id, err);

    if (ret == 0 && (site != f->site || !id_eq(&id, next) || !is_of_key(then->own, then->key)))
        ret = err_set(err, E_AUTH, "市级发来的证书不是给本机的");
    return ret;
}

static int save_next(const struct certificate *then, const char *dir, struct err *err)
{
    const struct cert *own = then->own;
    char path[HOME_PATH_MAX];
    int ret = home_path(dir, "ca.pem", path, err);

    if (ret == 0)
        ret = cert_save_all((const struct cert *const *)then->cas, then->n_cas, path, err);
    if (ret == 0)
        ret = home_path(dir, CERT_NEXT, path, err);
    return ret == 0 ? cert_save_all(&own, 1, path, err) : ret;
}

static int read_granted(const struct certificate *now, const char *dir, struct replica *r,
                        const Ztc__NewIdentityGranted *m, struct certificate *then,
                        struct id *ret_id, struct err *err)
{
    char path[HOME_PATH_MAX];
    struct replica_facts facts;
    int ret = replica_facts(r, &facts, err);

    if (ret == 0)
        ret = identity_next_get(r, ret_id, err);
    if (ret == 0)
        ret = home_path(dir, KEY_NEXT, path, err);
    if (ret == 0)
        ret = key_load(path, &then->key, err);
    if (ret == 0)
        ret = certificate_check(now, &facts.ledger, m->renewed, then, err);
    return ret == 0 ? check_granted(then, &facts, ret_id, err) : ret;
}

int identity_take(struct certificate *c, const char *dir, struct replica *r,
                  const Ztc__NewIdentityGranted *m, uint64_t agreed_n, msec_t now,
                  uint64_t *ret_remade, struct err *err)
{
    struct certificate then = {.n_cas = 0};
    struct id id;
    int ret = read_granted(c, dir, r, m, &then, &id, err);

    if (ret == 0)
        ret = save_next(&then, dir, err);
    if (ret == 0)
        ret = identity_change(r, &id, m->k, agreed_n, now, ret_remade, err);
    if (ret != 0) {
        certificate_release(&then);
        return ret;
    }
    certificate_release(c);
    *c = then;
    (void)put_both(dir, NULL); /* what the disk does not take now is done at the next start */
    return 0;
}
