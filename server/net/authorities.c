/* The city's CAs and what is issued under them. */
#include "server/net/authorities.h"

#include "common/base/mem.h"
#include "common/crypto/hash.h"

#include <string.h>

#define DER_MAX 8192u

static int prepare(struct authorities *a)
{
    const struct cert *cas[TRUST_MAX];
    int ret = 0;

    for (unsigned i = 0; i < a->n; i++) {
        cas[i] = a->at[i].ca;
        buf_init(&a->der[i], DER_MAX);
        if (ret == 0)
            ret = cert_to_der(a->at[i].ca, &a->der[i]);
    }
    buf_init(&a->endorsement, DER_MAX);
    buf_init(&a->log_key_signature, DER_MAX);
    trust_digest(cas, a->n, a->digest);
    return ret;
}

static void release(const struct authority *list, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        cert_free(list[i].ca);
        key_free(list[i].key);
        cert_free(list[i].server);
    }
}

int authorities_new(const struct authority *list, unsigned n, struct authorities **ret,
                    struct err *err)
{
    struct authorities *a = mem_calloc(1, sizeof *a);
    int status;

    if (a == NULL) {
        release(list, n);
        return err_set(err, E_NOMEM, NULL);
    }
    a->refs = 1;
    a->n = n;
    memcpy(a->at, list, n * sizeof *list);
    status = prepare(a);
    if (status != 0) {
        authorities_unref(a);
        return err_set(err, status, NULL);
    }
    *ret = a;
    return 0;
}

struct authorities *authorities_ref(struct authorities *a)
{
    a->refs++;
    return a;
}

void authorities_unref(struct authorities *a)
{
    if (a == NULL || --a->refs > 0)
        return;
    release(a->at, a->n);
    for (unsigned i = 0; i < a->n; i++)
        buf_release(&a->der[i]);
    buf_release(&a->endorsement);
    buf_release(&a->log_key_signature);
    mem_free(a);
}

static int sign_log_key(struct authorities *a, const struct id *ledger, struct slice log_key)
{
    struct signer signer = key_signer(a->at[0].key);
    struct buf message;
    int ret;

    buf_init(&message, DER_MAX);
    buf_str(&message, LOG_KEY_LABEL);
    buf_put(&message, ledger->b, ID_SIZE);
    buf_put(&message, log_key.p, log_key.len);
    ret = message.ret != 0 ? message.ret
                           : signer.sign(signer.ctx, buf_slice(&message), &a->log_key_signature);
    buf_release(&message);
    return ret;
}

int authorities_sign(struct authorities *a, const struct id *ledger, struct slice log_key,
                     struct err *err)
{
    int ret;

    buf_clear(&a->endorsement);
    buf_clear(&a->log_key_signature);
    ret = sign_log_key(a, ledger, log_key);
    if (ret != 0)
        return err_set(err, ret, "不能签署日志公钥");
    if (a->n > 1)
        ret = trust_endorse(a->at[1].key, ledger, a->at[0].ca, &a->endorsement);
    return ret == 0 ? 0 : err_set(err, ret, "旧根证书不能为新根证书签名");
}

int authorities_key_print(const struct cert *c, uint8_t ret[HASH_SIZE])
{
    struct slice part;
    struct buf der;
    int status;

    buf_init(&der, DER_MAX);
    status = cert_public(c, &der);
    part = buf_slice(&der);
    if (status == 0)
        hasher_of(HASH_SHA256)->digest(&part, 1, ret);
    buf_release(&der);
    return status;
}

int authorities_issue(const struct authorities *a, struct slice csr, uint32_t site,
                      const struct id *replica, msec_t now, struct cert **ret,
                      struct city_cert *ret_cert, struct err *err)
{
    struct city_cert made;
    struct cert *cert;
    int status = ca_issue_replica(a->at[0].ca, a->at[0].key, csr, site, replica, now, CERT_DAYS,
                                  &cert, err);

    if (status != 0)
        return status;
    cert_serial(cert, made.serial);
    cert_fingerprint(cert, made.fingerprint);
    cert_fingerprint(a->at[0].ca, made.authority);
    made.not_after = cert_not_after(cert);
    status = authorities_key_print(cert, made.key);
    if (status != 0) {
        cert_free(cert);
        return err_set(err, status, NULL);
    }
    *ret = cert;
    *ret_cert = made;
    return 0;
}

int authorities_renew(const struct authorities *a, struct city *city, struct slice csr, uint32_t site,
                      const struct id *replica, const uint8_t key[HASH_SIZE], msec_t now,
                      struct cert **ret, struct err *err)
{
    struct city_cert recorded;
    struct replica_row r;
    struct cert *cert;
    int status = city_replica_get(city, replica, &r, err);

    if (status == 0 && r.state != REPLICA_ACTIVE)
        status = err_set(err, E_REVOKED, NULL);
    if (status == 0)
        status = authorities_issue(a, csr, site, replica, now, &cert, &recorded, err);
    if (status != 0)
        return status;
    if (memcmp(recorded.key, key, HASH_SIZE) != 0)
        status = err_set(err, E_AUTH, NULL);
    if (status == 0)
        status = city_cert_issued(city, replica, &recorded, err);
    if (status == 0)
        *ret = cert;
    else
        cert_free(cert);
    return status;
}

void authorities_answer(const struct authorities *a, struct slice certificate,
                        struct slice list[AUTHORITIES_LIST], struct server_issued *ret)
{
    for (unsigned i = 0; i < a->n; i++)
        list[i] = buf_slice(&a->der[i]);
    list[TRUST_MAX] = buf_slice(&a->endorsement);
    *ret = (struct server_issued){.certificate = certificate,
                                  .authorities = list,
                                  .endorsements = &list[TRUST_MAX],
                                  .n_authorities = a->n};
}
