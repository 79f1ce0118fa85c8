/* bundle import: what the city would say in a session, taken in from a file. It is read twice, first to see
 * that all of it can be taken in. What is here already is passed over, so that a bundle may come twice or late;
 * where the city has not what this computer says of itself, nothing is. */
#include "client/cmd/bundle.h"
#include "client/cmd/bundle_blobs.h"
#include "client/net/agent.h"
#include "common/base/mem.h"

#include <inttypes.h>
#include <string.h>

struct import {
    struct office o;
    struct bundle_reader *in;
    uint64_t entries, refusals;
    uint64_t seq[CLIENT_STREAMS]; /* where `shared` and the site's stream would stand */
    struct blobs_heard blobs;
    bool applying;
    bool late; /* an answer to less than is answered here */
    bool renewed, renew_only, hand_in, asked;
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

/* ---- Welcome ---- */

static int forked(struct import *im)
{
    return err_set(im->err, E_FORK,
                   "本机的数据与市级记录分叉（由旧备份恢复，或被复制过），未导入任何内容；"
                   "请联网一次，系统会自动换发新的身份");
}

static int check_chain(struct import *im, const Ztc__Welcome *m)
{
    struct client_update up = {.check = {.n = m->accepted_n, .chain = wire_slice(m->accepted_chain)}};
    struct client_event ev = {.ret = 0};

    exchange_check(im->o.w.home.replica, &up, &ev, im->err);
    return ev.ret == E_FORK ? forked(im) : ev.ret;
}

static int check_welcome(struct import *im, const Ztc__Welcome *m)
{
    bool restored = m->has_restored && m->restored;

    if (m->protocol < PROTOCOL_MIN || m->protocol > PROTOCOL_MAX)
        return err_set(im->err, E_VERSION, NULL);
    im->renew_only = m->has_standing && m->standing == ZTC__WELCOME__STANDING__RENEW_ONLY;
    im->hand_in = m->has_standing && m->standing == ZTC__WELCOME__STANDING__HAND_IN;
    im->late = im->renew_only || m->accepted_n < im->o.facts.ledger.acked_n;
    if (im->late || (m->identity == ZTC__WELCOME__IDENTITY__AHEAD && restored))
        return 0;
    if (m->identity != ZTC__WELCOME__IDENTITY__SAME || m->accepted_n > im->o.facts.ledger.own_n)
        return forked(im);
    return check_chain(im, m);
}

static int keep_welcome(struct import *im, const Ztc__Welcome *m)
{
    struct store *store = im->o.w.view.store;
    int ret = 0;

    if (m->city_time > im->o.facts.city_time)
        ret = store_meta_put_int(store, AGENT_META_CITY_TIME, (int64_t)m->city_time, im->err);
    if (ret == 0)
        ret = store_meta_put_int(store, BUNDLE_META_CATALOGUE, m->catalogue, im->err);
    if (ret == 0 && m->has_authorities)
        ret = store_meta_put(store, BUNDLE_META_AUTHORITIES, wire_slice(m->authorities), im->err);
    return ret == 0 ? store_meta_put(store, BUNDLE_META_ASKED, slice_str(""), im->err) : ret;
}

static int take_welcome(struct import *im, const Ztc__Welcome *m, struct arena *a)
{
    struct client_event ev = {.ret = 0}; /* rows are compared over a line */
    int ret;

    if (!im->applying)
        return check_welcome(im, m);
    ret = im->late ? 0 : exchange_welcome(im->o.w.home.replica, m, a, &ev, im->err);
    if (ret == 0 && m->city_time >= im->o.facts.city_time)
        ret = keep_welcome(im, m);
    return ret;
}

/* ---- the rest of a session ---- */

static int missing(struct import *im, uint32_t stream, uint64_t from, uint64_t upto)
{
    return err_set(im->err, E_BUNDLE_GAP,
                   "缺少前一份摆渡包：数据流 %06u 第 %" PRIu64 " 至 %" PRIu64
                   " 条还没有来，未导入任何内容；请先导入前一份，或再导出一份带到市级换新的",
                   stream, from, upto);
}

/* The part of a batch that is not here yet. */
static int take_entries(struct import *im, const Ztc__Entries *m, struct arena *a)
{
    struct exchange_batch b = exchange_batch_of(m);
    uint64_t *seq = &im->seq[b.stream == STREAM_SHARED ? 0 : 1];
    struct client_event ev = {.ret = 0};
    uint64_t skip;

    if (b.first_seq > *seq + 1)
        return missing(im, b.stream, *seq + 1, b.first_seq - 1);
    if (b.first_seq + b.count - 1 <= *seq)
        return 0;
    skip = *seq + 1 - b.first_seq;
    *seq = b.first_seq + b.count - 1;
    if (!im->applying)
        return 0;
    exchange_read(&b, replica_hasher(im->o.w.home.replica), &im->o.codec, a);
    if (b.ret == 0) {
        b.entries += skip;
        b.first_seq += skip;
        b.count -= (uint32_t)skip;
    }
    exchange_take(im->o.w.home.replica, &b, &ev, im->err);
    im->entries += ev.ret == 0 ? b.count : 0;
    return ev.ret;
}

/* One whose changes were answered otherwise since is out of date. */
static int take_refused(struct import *im, const Ztc__Refused *m)
{
    struct client_update up = {.store_refused = m};
    struct client_event ev = {.ret = 0};

    if (!im->applying)
        return 0;
    exchange_refused(im->o.w.home.replica, &up, work_now(), &ev, im->err);
    im->refusals += ev.ret == 0;
    return ev.ret == E_PROTOCOL ? 0 : ev.ret;
}

static int take_renewed(struct import *im, const Ztc__Renewed *m)
{
    struct certificate *own = &im->o.certificate;
    struct cert *c = NULL;
    int ret;

    if (!im->applying || !m->has_certificate)
        return 0;
    ret = cert_from_der(wire_slice(m->certificate), &c, im->err);
    if (ret == 0 && cert_not_after(c) > cert_not_after(own->own)) {
        ret = certificate_take(own, im->o.w.home.dir, &im->o.ledger, m, im->err);
        im->renewed = ret == 0;
    }
    cert_free(c);
    return ret;
}

/* Kept for the next bundle that is made here. */
static int take_ask(struct import *im, const Ztc__RefillAsk *m)
{
    struct buf b;
    int ret;

    if (!im->applying)
        return 0;
    buf_init(&b, 32);
    buf_be32(&b, m->stream);
    buf_be64(&b, m->from_seq);
    buf_be64(&b, m->upto_seq);
    ret = b.ret != 0 ? err_set(im->err, b.ret, NULL)
                     : store_meta_put(im->o.w.view.store, BUNDLE_META_ASKED, buf_slice(&b), im->err);
    buf_release(&b);
    im->asked = ret == 0;
    return ret;
}

/* A place above where this computer stands is passed: it has gone back before. */
static int take_back(struct import *im, const Ztc__GoBack *m)
{
    struct client_update up = {.go_back = m};
    struct client_event ev = {.ret = 0};

    for (size_t i = 0; i < m->n_places; i++) {
        if (m->places[i]->seq > im->seq[m->places[i]->stream == STREAM_SHARED ? 0 : 1])
            return 0;
    }
    if (im->applying)
        exchange_go_back(im->o.w.home.replica, &up, &ev, im->err);
    return ev.ret;
}

static int take_frame(void *ctx, Ztc__Frame *f, struct arena *a, struct err *err)
{
    struct import *im = ctx;

    switch ((int)f->kind_case) {
    case ZTC__FRAME__KIND_WELCOME:
        return take_welcome(im, f->welcome, a);
    case ZTC__FRAME__KIND_REFUSED:
        return take_refused(im, f->refused);
    case ZTC__FRAME__KIND_ENTRIES:
        return take_entries(im, f->entries, a);
    case ZTC__FRAME__KIND_RENEWED:
        return take_renewed(im, f->renewed);
    case ZTC__FRAME__KIND_REFILL_ASK:
        return take_ask(im, f->refill_ask);
    case ZTC__FRAME__KIND_GO_BACK:
        return take_back(im, f->go_back);
    case ZTC__FRAME__KIND_BLOB_DONE:
        return im->applying ? bundle_blobs_done(&im->o, f->blob_done, &im->blobs) : 0;
    case ZTC__FRAME__KIND_BLOB_CHUNK:
        return im->applying ? bundle_blobs_chunk(&im->o, f->blob_chunk, &im->blobs) : 0;
    case ZTC__FRAME__KIND_BYE:
        return 0; /* a city that was restored: the next bundle goes on */
    default:
        return err_set(err, E_PROTOCOL, NULL);
    }
}

/* ---- the whole ---- */

static int read_through(struct import *im, bool applying)
{
    const struct client_facts *f = &im->o.facts;

    for (size_t i = 0; i < f->n_cursors; i++)
        im->seq[f->cursors[i].stream == STREAM_SHARED ? 0 : 1] = f->cursors[i].seq;
    im->applying = applying;
    return bundle_each(im->in, take_frame, im, im->err);
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
        ret = store_meta_put_int(im->o.w.view.store, BUNDLE_META_TAKEN, (int64_t)work_now(),
                                 im->err);
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
                      im->entries, im->refusals, im->blobs.verified, im->blobs.fetched,
                      im->renewed ? "true" : "false",
                      im->renew_only ? "true" : "false", im->asked ? "true" : "false",
                      whole ? "true" : "false");
        return 0;
    }
    (void)fprintf(a->out, "已导入：新到 %" PRIu64 " 条记录，%" PRIu64 " 项未接受%s\n", im->entries,
                  im->refusals, im->renewed ? "，证书已更新" : "");
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
    if (im->hand_in)
        (void)fprintf(a->out, "本机已停用：更改交市级核准，不再收到新内容\n");
    if (im->renew_only || im->asked)
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
