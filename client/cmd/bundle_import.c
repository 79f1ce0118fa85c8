/* bundle import: what the city would say in a session, taken in from a file. It is read twice, first to see
 * that all of it can be taken in. */
#include "client/cmd/bundle.h"
#include "client/cmd/bundle_blobs.h"
#include "client/net/agent.h"
#include "common/base/mem.h"

#include <inttypes.h>
#include <string.h>

struct import {
    struct office o;
    struct bundle_reader *in;
    struct bundle_hear hear;
    struct blobs_heard blobs;
    bool renewed;
    struct err *err;
};

/* ---- who sends it ---- */

static int check_sender(struct import *im)
{
    const struct certificate *own = &im->o.certificate;
    const struct bundle_head *h = bundle_head(im->in);
    const struct cert *c = bundle_sender(im->in);
    struct id ledger;
    bool trusted = false;
    int ret;

    if (h->way != BUNDLE_DOWN || !id_eq(&h->ledger, &im->o.ledger) ||
        !id_eq(&h->replica, &im->o.facts.replica))
        return err_set(im->err, E_DENIED, "这份摆渡包不是给本机的");
    for (size_t i = 0; i < own->n_cas; i++)
        trusted = trusted || cert_issued_by(c, own->cas[i]);
    ret = trusted ? cert_city(c, &ledger, im->err) : E_AUTH;
    if (ret == 0 && !id_eq(&ledger, &im->o.ledger))
        ret = E_AUTH;
    if (ret != 0)
        return err_set(im->err, ret, "摆渡包不是市级签发的");
    return cert_not_after(c) > im->o.facts.city_time ? 0 : err_set(im->err, E_EXPIRED, NULL);
}

/* ---- frames ---- */

static int take_renewed(struct import *im, const Ztc__Renewed *m)
{
    struct certificate *own = &im->o.certificate;
    struct cert *c = NULL;
    int ret;

    if (!im->hear.applying || !m->has_certificate)
        return 0;
    ret = cert_from_der(wire_slice(m->certificate), &c, im->err);
    if (ret == 0 && cert_not_after(c) > cert_not_after(own->own)) {
        ret = certificate_take(own, im->o.w.home.dir, &im->o.ledger, m, im->err);
        im->renewed = ret == 0;
    }
    cert_free(c);
    return ret;
}

static int take_frame(void *ctx, Ztc__Frame *f, struct arena *a, struct err *err)
{
    struct import *im = ctx;

    switch ((int)f->kind_case) {
    case ZTC__FRAME__KIND_RENEWED:
        return take_renewed(im, f->renewed);
    case ZTC__FRAME__KIND_BLOB_DONE:
        return im->hear.applying ? bundle_blobs_done(&im->o, f->blob_done, &im->blobs) : 0;
    case ZTC__FRAME__KIND_BLOB_CHUNK:
        return im->hear.applying ? bundle_blobs_chunk(&im->o, f->blob_chunk, &im->blobs) : 0;
    default:
        return bundle_hear(&im->hear, f, a, err);
    }
}

/* ---- the whole ---- */

static int read_through(struct import *im, bool applying)
{
    int ret;

    bundle_hear_init(&im->hear, im->o.w.home.replica, &im->o.facts, work_now(), applying);
    ret = bundle_each(im->in, take_frame, im, im->err);
    bundle_hear_release(&im->hear);
    return ret;
}

static int keep_times(struct import *im)
{
    struct store *store = im->o.w.view.store;
    int ret = 0;

    if (im->hear.city_time > im->o.facts.city_time)
        ret = store_meta_put_int(store, AGENT_META_CITY_TIME, (int64_t)im->hear.city_time, im->err);
    return ret == 0 ? store_meta_put_int(store, BUNDLE_META_TAKEN, (int64_t)work_now(), im->err) : ret;
}

static int read_bundle(struct import *im, const char *path)
{
    int ret = bundle_open(path, &im->in, im->err);

    if (ret == 0)
        ret = check_sender(im);
    if (ret == 0)
        ret = bundle_prove(im->in, im->o.certificate.key, im->err);
    if (ret == 0)
        ret = read_through(im, false);
    if (ret == 0)
        ret = read_through(im, true);
    if (ret == 0)
        ret = keep_times(im);
    bundle_close(im->in);
    return ret;
}

static int tell(struct import *im, const struct args *a)
{
    struct client_ledger now;
    int ret = exchange_ledger(im->o.w.home.replica, &now, im->err);
    bool whole;

    if (ret != 0)
        return ret;
    whole = now.waiting + now.refused + now.blobs == 0;
    if (a->json) {
        (void)fprintf(a->out,
                      "{\"entries\":%" PRIu64 ",\"refused\":%" PRIu64
                      ",\"attachments\":%" PRIu64 ",\"attachments_fetched\":%" PRIu64
                      ",\"renewed\":%s,\"renew_only\":%s,\"asked\":%s,\"complete\":%s}\n",
                      im->hear.entries, im->hear.refusals, im->blobs.verified, im->blobs.fetched,
                      im->renewed ? "true" : "false",
                      im->hear.renew_only ? "true" : "false", im->hear.asked ? "true" : "false",
                      whole ? "true" : "false");
        return 0;
    }
    (void)fprintf(a->out, "已导入：新到 %" PRIu64 " 条记录，%" PRIu64 " 项未接受%s\n", im->hear.entries,
                  im->hear.refusals, im->renewed ? "，证书已更新" : "");
    if (im->blobs.verified + im->blobs.refused + im->blobs.fetched > 0)
        (void)fprintf(a->out,
                      "附件：%" PRIu64 " 个市级已收齐，%" PRIu64 " 个取回本机，%" PRIu64
                      " 个未接受（ztc status）\n",
                      im->blobs.verified, im->blobs.fetched, im->blobs.refused);
    if (whole)
        (void)fprintf(a->out, "已全部上传\n");
    else
        (void)fprintf(a->out, "尚未全部上传：待答复 %" PRIu64 "，未接受 %" PRIu64 "，附件 %" PRIu64
                              "\n", now.waiting, now.refused, now.blobs);
    if (im->hear.hand_in)
        (void)fprintf(a->out, "本机已停用：更改交市级核准，不再收到新内容\n");
    if (im->hear.renew_only || im->hear.asked)
        (void)fprintf(a->out, "请重新导出一份带到市级\n");
    return 0;
}

int cmd_bundle_import(const struct args *a, struct err *err)
{
    struct import *im = mem_calloc(1, sizeof *im);
    int ret;

    if (im == NULL)
        return err_set(err, E_NOMEM, NULL);
    im->err = err;
    ret = office_open(&im->o, a, err);
    if (ret == 0)
        ret = read_bundle(im, a->words[0]);
    if (ret == 0)
        ret = tell(im, a);
    office_close(&im->o);
    mem_free(im);
    return ret;
}
