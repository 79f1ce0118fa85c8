/* A replica made anew out of another, which goes on beside it.
 *
 *   predecessor   1 … agreed_n | what it, or who has its identity, makes
 *                       └────── | what the successor makes, by the same numbers
 *
 * Up to agreed_n both are one: the successor begins with its predecessor's answers and own chain, and with
 * the refusals that it has not acknowledged or not taken in. An act that is kept aside stays the
 * predecessor's to be released; its copy only makes fall what follows it. */
#include "server/store/city_internal.h"

#include <string.h>

#define SUCCESSORS_MAX 64 /* of a site, active: who has a certificate must not fill the store with them */

/* ---- up to where ---- */

int city_agreed(struct city *c, const struct id *replica, const struct own_point *points, size_t n,
                size_t *ret_agreed, struct err *err)
{
    size_t agreed = 0;

    for (size_t i = 0; i < n; i++) {
        uint8_t chain[HASH_SIZE];
        int ret = city_replica_chain(c, replica, points[i].n, chain, err);

        if (ret == E_NOTFOUND)
            break; /* it was not answered */
        if (ret != 0)
            return ret;
        if (memcmp(chain, points[i].chain, HASH_SIZE) != 0)
            break;
        agreed = i + 1;
    }
    *ret_agreed = agreed;
    return 0;
}

static int check_agreed(struct city *c, const struct succession *s, struct err *err)
{
    size_t agreed;
    int ret = city_agreed(c, &s->predecessor, &s->agreed, 1, &agreed, err);

    return ret == 0 && agreed == 0 ? err_set(err, E_FORK, NULL) : ret;
}

/* ---- making it ---- */

/* An answer that was lost: the same request again, for the same key. */
static int grant_again(struct city *c, const struct replica_row *was, const struct replica_row *r,
                       const struct succession *s, struct err *err)
{
    struct city_cert cert;
    int ret = city_cert_get(c, was, &cert, err);

    if (ret != 0)
        return ret;
    if (was->predecessor != r->no || was->base != s->agreed.n || was->state != REPLICA_ACTIVE ||
        memcmp(cert.key, s->cert->key, HASH_SIZE) != 0)
        return err_set(err, E_DENIED, NULL);
    return city_cert_issued(c, &was->id, s->cert, err);
}

static int count(struct city *c, enum city_stmt which, uint32_t site, int64_t *ret_n,
                 struct err *err)
{
    sqlite3_stmt *st = c->st[which];
    int ret;

    sql_bind_int(st, 1, site);
    ret = sql_step(st, err);
    if (ret == 1)
        *ret_n = sqlite3_column_int64(st, 0);
    sql_done(st);
    return ret < 0 ? ret : 0;
}

static int add(struct city *c, const struct replica_row *r, const struct succession *s, uint32_t k,
               struct err *err)
{
    sqlite3_stmt *st = c->st[CS_SUCCESSOR_ADD];

    sql_bind_id(st, 1, &s->successor);
    sql_bind_int(st, 2, r->site);
    sql_bind_int(st, 3, k);
    sql_bind_text(st, 4, slice_str(s->cert->serial));
    sql_bind_blob(st, 5, (struct slice){s->cert->fingerprint, HASH_SIZE});
    sql_bind_int(st, 6, (int64_t)s->agreed.n);
    sql_bind_blob(st, 7, (struct slice){s->agreed.chain, HASH_SIZE});
    sql_bind_int(st, 8, (int64_t)c->now);
    sql_bind_int(st, 9, r->no);
    return sql_run(st, err);
}

/* The rows of FROM at or below N for TO; of refusals those that the county may not have, above ACKED. */
static int copy(struct city *c, enum city_stmt which, uint32_t from, uint32_t to, uint64_t n,
                uint64_t acked, struct err *err)
{
    sqlite3_stmt *st = c->st[which];

    sql_bind_int(st, 1, from);
    sql_bind_int(st, 2, to);
    sql_bind_int(st, 3, (int64_t)n);
    if (which == CS_SUCCESSOR_REFUSAL)
        sql_bind_int(st, 4, (int64_t)acked);
    return sql_run(st, err);
}

static int inherit(struct city *c, const struct replica_row *r, const struct succession *s,
                   struct err *err)
{
    struct replica_row made;
    int ret = city_replica_get(c, &s->successor, &made, err);

    if (ret == 0)
        ret = copy(c, CS_SUCCESSOR_PROCESSED, r->no, made.no, s->agreed.n, 0, err);
    if (ret == 0)
        ret = copy(c, CS_SUCCESSOR_REFUSAL, r->no, made.no, s->agreed.n, s->acked_n, err);
    if (ret == 0)
        ret = copy(c, CS_SUCCESSOR_REFUSED, r->no, made.no, s->agreed.n, 0, err);
    return ret;
}

static int make(struct city *c, const struct replica_row *r, const struct succession *s,
                uint32_t *ret_k, struct err *err)
{
    int64_t successors = 0, replicas = 0;
    int ret = count(c, CS_SUCCESSOR_COUNT, r->site, &successors, err);

    if (ret == 0 && successors >= SUCCESSORS_MAX)
        ret = err_set(err, E_DENIED, "本单位换过身份的计算机太多，请先撤销不用的");
    if (ret == 0)
        ret = count(c, CS_REPLICA_COUNT, r->site, &replicas, err);
    if (ret != 0)
        return ret;
    *ret_k = (uint32_t)replicas + 1;
    ret = add(c, r, s, *ret_k, err);
    if (ret == 0)
        ret = city_cert_enrolled(c, &s->successor, s->cert, err);
    return ret == 0 ? inherit(c, r, s, err) : ret;
}

int city_succeed(struct city *c, const struct succession *s, uint32_t *ret_k, struct err *err)
{
    struct replica_row r, was;
    int ret = city_replica_get(c, &s->predecessor, &r, err);

    if (ret == 0 && r.state != REPLICA_ACTIVE)
        ret = err_set(err, E_REVOKED, NULL);
    if (ret == 0)
        ret = check_agreed(c, s, err);
    if (ret != 0)
        return ret;
    ret = city_replica_get(c, &s->successor, &was, NULL);
    if (ret == E_NOTFOUND)
        return make(c, &r, s, ret_k, err);
    if (ret == 0)
        ret = grant_again(c, &was, &r, s, err);
    else
        return err_set(err, ret, NULL);
    *ret_k = was.k;
    return ret;
}

int city_successors_each(struct city *c, const struct id *replica,
                         int (*cb)(void *ctx, const struct id *successor), void *ctx,
                         struct err *err)
{
    sqlite3_stmt *st = c->st[CS_SUCCESSOR_EACH];
    int ret;

    sql_bind_id(st, 1, replica);
    while ((ret = sql_step(st, err)) == 1) {
        struct id id = sql_id(st, 0);

        ret = cb(ctx, &id);
        if (ret != 0)
            break;
    }
    sql_done(st);
    return ret;
}
