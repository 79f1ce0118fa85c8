/* Changing the city's CA, with an overlap: rotate, then drop-old when everybody has a certificate of the
 * new one. */
#include "server/admin/admin.h"
#include "server/admin/home_ca.h"

#include "common/base/hex.h"
#include "common/base/json.h"

#include <inttypes.h>
#include <string.h>

#define OUT_MAX (1u << 20)

/* The files have changed: deeds of this process look at the new ones, the daemon is told. */
static int read_anew(struct deed *d)
{
    struct authorities *a;
    int ret = home_ca_load(d->home, &a, d->err);

    if (ret != 0)
        return ret;
    authorities_unref(d->home->authorities);
    d->home->authorities = a;
    d->effects->authorities = true;
    return 0;
}

/* ---- who has not got a certificate of the newest CA ---- */

struct waiting {
    struct deed *d;
    uint8_t newest[HASH_SIZE];
    unsigned n;
    struct buf ids;
};

static int look(void *ctx, const struct replica_row *r)
{
    struct waiting *w = ctx;
    struct city_cert cert;
    char id[ID_TEXT_SIZE];
    int ret;

    if (r->state != REPLICA_ACTIVE)
        return 0;
    ret = city_cert_get(w->d->city, r, &cert, w->d->err);
    if (ret != 0 && ret != E_NOTFOUND)
        return ret;
    if (ret == 0 && memcmp(cert.authority, w->newest, HASH_SIZE) == 0)
        return 0;
    id_format(&r->id, id);
    buf_printf(&w->ids, "%s%u 第%u台 %s", w->n > 0 ? "、" : "", r->site, r->k, id);
    w->n++;
    return 0;
}

static int find_waiting(struct deed *d, struct waiting *w)
{
    *w = (struct waiting){.d = d};
    buf_init(&w->ids, OUT_MAX);
    cert_fingerprint(d->home->authorities->at[0].ca, w->newest);
    return city_replica_each(d->city, look, w, d->err);
}

/* ---- telling ---- */

static void tell(struct deed *d, unsigned waiting, uint64_t tokens)
{
    const struct authorities *a = d->home->authorities;
    uint8_t print[HASH_SIZE];
    char hex[2 * HASH_SIZE + 1];

    cert_fingerprint(a->at[0].ca, print);
    hex_encode(print, HASH_SIZE, hex);
    if (d->args->json) {
        (void)fprintf(d->args->out,
                      "{\"generation\":%u,\"fingerprint\":\"%s\",\"overlap\":%s,\"waiting\":%u,"
                      "\"unused_tokens\":%" PRIu64 "}\n",
                      a->at[0].generation, hex, a->n > 1 ? "true" : "false", waiting, tokens);
        return;
    }
    (void)fprintf(d->args->out, "根证书第 %u 代，指纹 %s\n", a->at[0].generation, hex);
    if (a->n > 1)
        (void)fprintf(d->args->out,
                      "旧根证书仍然有效；各计算机联机时自动换领新证书，还有 %u 台没有换\n", waiting);
    if (tokens > 0)
        (void)fprintf(d->args->out, "%" PRIu64 " 个还没有使用的接入码不再有效，请另发\n", tokens);
}

/* ---- the deeds ---- */

int deed_ca_rotate(struct deed *d)
{
    struct id ledger = city_ledger(d->city);
    struct waiting w;
    uint64_t tokens = 0;
    int ret = city_tokens_open(d->city, d->now, &tokens, d->err);

    if (ret == 0)
        ret = home_ca_rotate(d->home, &ledger, d->now, d->err);
    if (ret == 0)
        ret = read_anew(d);
    if (ret != 0)
        return ret;
    ret = find_waiting(d, &w);
    if (ret == 0)
        tell(d, w.n, tokens);
    buf_release(&w.ids);
    return ret;
}

int deed_ca_drop_old(struct deed *d)
{
    struct waiting w;
    int ret;

    if (d->home->authorities->n < 2)
        return err_set(d->err, E_NOTFOUND, "没有停用中的旧根证书");
    ret = find_waiting(d, &w);
    if (ret == 0 && w.n > 0 && !args_has(d->args, OPT_FORCE))
        ret = err_set(d->err, E_WAITING,
                      "还有 %u 台计算机没有换上新证书：%s。不等它们时加 --force，它们须重新接入", w.n,
                      buf_cstr(&w.ids));
    buf_release(&w.ids);
    if (ret == 0)
        ret = home_ca_drop_old(d->home, d->err);
    if (ret == 0)
        ret = read_anew(d);
    if (ret == 0)
        tell(d, w.n, 0);
    return ret;
}
