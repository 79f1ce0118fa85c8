/* The certificates that replicas may show.
 *
 *   issued ─► next ── first used ─► in use ── another is first used ─► replaced
 *
 * Both are good until the newer was used, so that an answer lost on the way, or a crash before the
 * replica has it on disk, costs nothing. A replaced certificate of the same key is a computer that was
 * restored from a backup, or a twin: it may renew, and then shows what it is. */
#include "server/store/city_internal.h"

#include <string.h>

static void read_cert(sqlite3_stmt *st, struct city_cert *ret)
{
    struct slice serial = sql_text(st, 0);
    struct {
        struct slice from;
        uint8_t *to;
    } const hashes[] = {{sql_blob(st, 1), ret->fingerprint},
                        {sql_blob(st, 2), ret->key},
                        {sql_blob(st, 3), ret->authority}};

    memset(ret, 0, sizeof *ret);
    if (serial.len < sizeof ret->serial)
        memcpy(ret->serial, serial.p, serial.len);
    for (size_t i = 0; i < sizeof hashes / sizeof *hashes; i++) {
        if (hashes[i].from.len == HASH_SIZE)
            memcpy(hashes[i].to, hashes[i].from.p, HASH_SIZE);
    }
    ret->not_after = (msec_t)sqlite3_column_int64(st, 4);
}

static int get(struct city *c, uint32_t no, bool next, struct city_cert *ret, struct err *err)
{
    sqlite3_stmt *st = c->st[CS_CERT_GET];
    int status;

    sql_bind_int(st, 1, no);
    sql_bind_int(st, 2, next);
    status = sql_step(st, err);
    if (status == 1)
        read_cert(st, ret);
    sql_done(st);
    return status == 0 ? E_NOTFOUND : status == 1 ? 0 : status;
}

static int put(struct city *c, uint32_t no, bool next, const struct city_cert *cert,
               struct err *err)
{
    sqlite3_stmt *st = c->st[CS_CERT_PUT];

    sql_bind_int(st, 1, no);
    sql_bind_int(st, 2, next);
    sql_bind_text(st, 3, slice_str(cert->serial));
    sql_bind_blob(st, 4, (struct slice){cert->fingerprint, HASH_SIZE});
    sql_bind_blob(st, 5, (struct slice){cert->key, HASH_SIZE});
    sql_bind_blob(st, 6, (struct slice){cert->authority, HASH_SIZE});
    sql_bind_int(st, 7, (int64_t)cert->not_after);
    return sql_run(st, err);
}

int city_cert_enrolled(struct city *c, const struct id *replica, const struct city_cert *cert,
                       struct err *err)
{
    struct replica_row r;
    int ret = city_replica_get(c, replica, &r, err);

    return ret != 0 ? ret : put(c, r.no, false, cert, err);
}

int city_cert_issued(struct city *c, const struct id *replica, const struct city_cert *cert,
                     struct err *err)
{
    struct replica_row r;
    int ret = city_replica_get(c, replica, &r, err);

    return ret != 0 ? ret : put(c, r.no, true, cert, err);
}

static bool same(const uint8_t a[HASH_SIZE], const uint8_t b[HASH_SIZE])
{
    return memcmp(a, b, HASH_SIZE) == 0;
}

int city_cert_check(struct city *c, const struct replica_row *r, const uint8_t print[HASH_SIZE],
                    const uint8_t key[HASH_SIZE], bool *ret_replaced, struct err *err)
{
    struct city_cert cert;
    bool known = false;

    *ret_replaced = false;
    if (same(r->fingerprint, print))
        return 0;
    for (int next = 1; next >= 0; next--) {
        int ret = get(c, r->no, next, &cert, err);

        if (ret == 0 && same(cert.fingerprint, print))
            return 0;
        if (ret != 0 && ret != E_NOTFOUND)
            return ret;
        known = known || (ret == 0 && same(cert.key, key));
    }
    *ret_replaced = known;
    return known ? 0 : err_set(err, E_AUTH, NULL);
}

int city_cert_used(struct city *c, const struct id *replica, const uint8_t print[HASH_SIZE],
                   struct err *err)
{
    sqlite3_stmt *st = c->st[CS_CERT_USED];
    struct replica_row r;
    struct city_cert cert;
    int ret = city_replica_get(c, replica, &r, err);

    if (ret == 0)
        ret = get(c, r.no, true, &cert, err);
    if (ret == E_NOTFOUND || (ret == 0 && !same(cert.fingerprint, print)))
        return 0;
    if (ret == 0)
        ret = put(c, r.no, false, &cert, err);
    if (ret != 0)
        return ret;
    sql_bind_int(c->st[CS_CERT_DROP], 1, r.no);
    ret = sql_run(c->st[CS_CERT_DROP], err);
    if (ret != 0)
        return ret;
    sql_bind_int(st, 1, r.no);
    sql_bind_text(st, 2, slice_str(cert.serial));
    sql_bind_blob(st, 3, (struct slice){cert.fingerprint, HASH_SIZE});
    c->replica.no = 0;
    return sql_run(st, err);
}

int city_cert_get(struct city *c, const struct replica_row *r, struct city_cert *ret,
                  struct err *err)
{
    return get(c, r->no, false, ret, err);
}
