/* bundle import: what a county's computer says in a file instead of a session.
 *
 *   certificate ─► proof ─► the session's machine, frame by frame ─► one commit
 *
 * It may come twice, late, or after a newer one: changes answered before are passed over. A certificate that has expired is let in for its renewal alone. */
#include "server/admin/admin.h"
#include "server/admin/bundle_session.h"
#include "server/admin/home_ca.h"

#include "common/bundle/bundle.h"
#include "server/store/city_bundle.h"

#include <string.h>

#define RENEW_LEFT_MS (30 * CERT_DAY_MS)

struct taking {
    struct deed *d;
    struct bundle_reader *bundle;
    struct replica_row r;
    struct authorities *authorities;
    struct ferry ferry;
    struct buf hello; /* as it came */
    struct statement said;
    char software[WIRE_SOFTWARE_MAX + 1];
    struct city_bundle row; /* of the bundle before, then of this one */
    bool behind;            /* it has said more before */
};

/* ---- who sends it ---- */

static int issued_here(struct taking *t, const struct cert *c)
{
    for (unsigned i = 0; i < t->authorities->n; i++) {
        if (cert_issued_by(c, t->authorities->at[i].ca))
            return 0;
    }
    return err_set(t->d->err, E_AUTH, "摆渡包的证书不是市级签发的");
}

static int check_sender(struct taking *t)
{
    const struct bundle_head *h = bundle_head(t->bundle);
    const struct cert *c = bundle_sender(t->bundle);
    struct id ledger = city_ledger(t->d->city), replica;
    uint32_t site;
    int ret;

    if (h->way != BUNDLE_UP || !id_eq(&h->ledger, &ledger))
        return err_set(t->d->err, E_DENIED, "这份摆渡包不是给本市级服务的");
    ret = issued_here(t, c);
    if (ret == 0)
        ret = cert_replica(c, &site, &replica, t->d->err);
    if (ret == 0)
        ret = city_replica_get(t->d->city, &replica, &t->r, t->d->err);
    if (ret == E_NOTFOUND || (ret == 0 && (!id_eq(&replica, &h->replica) || site != t->r.site)))
        return err_set(t->d->err, E_AUTH, "市级没有登记这台计算机");
    if (ret == 0 && t->r.state == REPLICA_LOST)
        return err_set(t->d->err, E_REVOKED, "这台计算机已被撤销");
    return ret;
}

/* ---- frames ---- */

static int note_hello(struct taking *t, const Ztc__Hello *m)
{
    uint8_t *place = buf_grow(&t->hello, ztc__hello__get_packed_size(m));

    if (place == NULL)
        return err_set(t->d->err, t->hello.ret, NULL);
    (void)ztc__hello__pack(m, place); /* its length is known */
    memcpy(t->software, m->software.data, m->software.len);
    t->said = (struct statement){.own_n = m->own_n, .acked_n = m->acked_n,
                                 .waiting = m->waiting, .refused = m->refused,
                                 .attachments = m->attachments};
    t->behind = m->own_n < t->r.said.own_n || m->acked_n < t->r.said.acked_n;
    return 0;
}

/* A certificate that was issued and may be on its way in a bundle stays the answer: another would end it. */
static bool is_answered(const struct taking *t)
{
    uint8_t shown[HASH_SIZE];

    cert_fingerprint(bundle_sender(t->bundle), shown);
    return t->row.renewed.len > 0 && memcmp(shown, t->row.renewed_print, HASH_SIZE) != 0 &&
           t->row.renewed_until > t->d->now + RENEW_LEFT_MS;
}

static int take_frame(void *ctx, Ztc__Frame *f, struct arena *a, struct err *err)
{
    struct taking *t = ctx;
    bool is_hello = f->kind_case == ZTC__FRAME__KIND_HELLO;
    int ret;

    if (is_hello != (t->hello.len == 0))
        return err_set(err, E_PROTOCOL, NULL);
    ret = is_hello ? note_hello(t, f->hello) : 0;
    if (ret != 0 || (f->kind_case == ZTC__FRAME__KIND_RENEW && is_answered(t)))
        return ret;
    return ferry_frame(&t->ferry, f, a, err);
}

/* ---- the whole ---- */

/* The answer goes by the Hello that came last, even where that is an older one: it only says more than is
 * needed then, and a computer that was set up again from a backup gets what it lacks. */
static int keep(struct taking *t)
{
    uint8_t print[HASH_SIZE];
    int ret = 0;

    if (t->ferry.renewed.len > 0) {
        t->row.renewed = buf_slice(&t->ferry.renewed);
        t->row.renewed_until = cert_not_after(t->ferry.issued);
        cert_fingerprint(t->ferry.issued, t->row.renewed_print);
    }
    cert_fingerprint(bundle_sender(t->bundle), print);
    if (t->ferry.session.state == SERVER_SERVING)
        ret = city_cert_used(t->d->city, &t->r.id, print, t->d->err);
    if (ret == 0 && !t->behind)
        ret = city_replica_heard(t->d->city, &t->r.id, t->d->now, t->r.skew_ms, &t->said,
                                 slice_str(t->software), t->d->err);
    t->row.hello = buf_slice(&t->hello);
    t->row.blobs = buf_slice(&t->ferry.blobs);
    t->row.certificate = bundle_head(t->bundle)->certificate;
    t->row.at = t->d->now;
    return ret == 0 ? city_bundle_put(t->d->city, &t->r, &t->row, t->d->err) : ret;
}

/* Its word under the city's own signature is proof that this store is an old one: it begins a new life. */
static int freeze(struct taking *t)
{
    int ret = city_restart(t->d->city, "一份摆渡包出示了市级签名的数据头，比市级数据库新", t->d->err);

    if (ret == 0)
        (void)fprintf(t->d->args->out, "市级数据库比这份摆渡包旧，已停止接收更改：请运行 ztcd recover，"
                                       "再导入一次\n");
    return ret;
}

static void tell(const struct taking *t)
{
    const struct ferry *f = &t->ferry;
    bool renews = f->session.state == SERVER_RENEW_ONLY;
    FILE *out = t->d->args->out;

    if (t->d->args->json) {
        (void)fprintf(out,
                      "{\"site\":%u,\"k\":%u,\"taken\":%llu,\"refused\":%llu,"
                      "\"attachments\":%llu,\"late\":%s,"
                      "\"renew_only\":%s,\"refilling\":%s}\n",
                      t->r.site, t->r.k, (unsigned long long)f->taken,
                      (unsigned long long)f->refused, (unsigned long long)f->blobs_taken,
                      t->behind ? "true" : "false",
                      renews ? "true" : "false", f->refilling ? "true" : "false");
        return;
    }
    (void)fprintf(out, "%u 第%u台：新收 %llu 项更改、%llu 个附件，未接受 %llu 项%s\n", t->r.site, t->r.k,
                  (unsigned long long)f->taken, (unsigned long long)f->blobs_taken,
                  (unsigned long long)f->refused, t->behind ? "（先前已导入过更新的包）" : "");
    if (renews)
        (void)fprintf(out, "证书已到期，本次只办理换证：把市级的包带回去导入，再重新导出\n");
    if (f->refilling)
        (void)fprintf(out, "市级数据是恢复过的，这台计算机的内容比市级新：把市级的包带回去导入，"
                           "再重新导出带来\n");
}

static int take(struct taking *t)
{
    struct home_path blobs;
    struct ferry_options o = {.city = t->d->city, .authorities = t->authorities, .now = t->d->now,
                              .blobs = home_file(t->d->home, "blobs", &blobs)};
    int ret = check_sender(t);

    if (ret == 0)
        ret = bundle_prove(t->bundle, t->d->home->server_key, t->d->err);
    if (ret == 0)
        ret = city_bundle_get(t->d->city, &t->r, t->d->args->arena, &t->row, t->d->err);
    if (ret == 0 || ret == E_NOTFOUND)
        ret = ferry_open(&t->ferry, &o, bundle_sender(t->bundle), t->d->err);
    if (ret == 0)
        ret = bundle_each(t->bundle, take_frame, t, t->d->err);
    if (ret == E_RECOVERING && !city_recovering(t->d->city))
        return freeze(t);
    if (ret == 0 && t->hello.len == 0)
        ret = err_set(t->d->err, E_PROTOCOL, NULL);
    if (ret == 0)
        ret = keep(t);
    if (ret == 0)
        tell(t);
    return ret;
}

/* An open session counts from what it knew. */
static void end_session(struct taking *t)
{
    struct daemon_effects *e = t->d->effects;

    if (t->ferry.taken + t->ferry.refused == 0)
        return;
    e->ended[e->n_ended++] = t->r.id;
    e->cause = E_CLOSED;
}

static int load_authorities(struct taking *t)
{
    struct id ledger = city_ledger(t->d->city);
    struct buf log_key;
    int ret = home_ca_load(t->d->home, &t->authorities, t->d->err);

    buf_init(&log_key, WIRE_DER_MAX);
    if (ret == 0)
        ret = key_public(t->d->home->log_key, &log_key);
    if (ret == 0)
        ret = authorities_sign(t->authorities, &ledger, buf_slice(&log_key), t->d->err);
    buf_release(&log_key);
    return ret;
}

int deed_bundle_import(struct deed *d)
{
    struct taking *t = mem_calloc(1, sizeof *t);
    int ret;

    if (t == NULL)
        return err_set(d->err, E_NOMEM, NULL);
    t->d = d;
    buf_init(&t->hello, FRAME_MAX_STRANGER);
    ret = load_authorities(t);
    if (ret == 0)
        ret = bundle_open(d->args->words[0], &t->bundle, d->err);
    if (ret == 0)
        ret = take(t);
    if (ret == 0)
        end_session(t);
    ferry_release(&t->ferry);
    bundle_close(t->bundle);
    if (t->authorities != NULL)
        authorities_unref(t->authorities);
    buf_release(&t->hello);
    mem_free(t);
    return ret;
}
