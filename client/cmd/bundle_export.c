/* bundle export: what a session would say, in a file, for an office without a line. */
#include "client/cmd/bundle.h"
#include "client/cmd/bundle_blobs.h"
#include "client/net/agent.h"

#include <inttypes.h>
#include <string.h>

#define SOFTWARE     "ztc/" ZTC_VERSION
#define BUNDLE_BYTES (256u << 20) /* of changes; what is left comes with a later bundle */

int office_open(struct office *o, const struct args *a, struct err *err)
{
    struct replica_facts facts;
    int ret = work_open(&o->w, a, err);

    o->err = err;
    o->arena = a->arena;
    if (ret == 0)
        ret = certificate_load(o->w.home.dir, &o->certificate, err);
    if (ret == 0)
        ret = replica_facts(o->w.home.replica, &facts, err);
    if (ret == 0)
        ret = exchange_facts(o->w.home.replica, SOFTWARE, &o->facts, err);
    if (ret != 0)
        return ret;
    o->ledger = facts.ledger;
    o->facts.cert = certificate_facts(&o->certificate);
    o->facts.city_time = (msec_t)store_meta_int(o->w.view.store, AGENT_META_CITY_TIME, 0);
    return 0;
}

void office_close(struct office *o)
{
    certificate_release(&o->certificate);
    work_close(&o->w);
}

/* ---- what it says ---- */

struct speaker {
    struct office *o;
    struct bundle_writer *out;
    struct said {
        uint64_t changes;
        struct blobs_said blobs;
    } said;
};

static int put_frames(void *ctx, struct slice frames, struct err *err)
{
    struct speaker *s = ctx;

    buf_put(bundle_frames(s->out), frames.p, frames.len);
    return bundle_put(s->out, err);
}

static int put_request(void *ctx, struct buf *ret_csr, struct err *err)
{
    struct speaker *s = ctx;

    return certificate_request(&s->o->certificate, ret_csr, err);
}

static int speak(struct speaker *s)
{
    struct bundle_say say = {.replica = s->o->w.home.replica,
                             .facts = s->o->facts,
                             .now = work_now(),
                             .bytes_max = BUNDLE_BYTES,
                             .out = put_frames,
                             .request = put_request,
                             .ctx = s};
    int ret = bundle_say(&say, s->o->arena, s->o->err);

    s->said.changes = say.changes;
    return ret == 0 ? bundle_blobs_put(s->o, s->out, say.all, &s->said.blobs) : ret;
}

/* ---- the file ---- */

static int load_city(const struct office *o, struct cert **ret)
{
    char path[HOME_PATH_MAX];
    int status = home_path(o->w.home.dir, "city.pem", path, o->err);

    if (status == 0)
        status = cert_load(path, ret, o->err);
    if (status == E_NOTFOUND)
        return err_set(o->err, E_NOTFOUND,
                       "本机还没有市级的证书（旧版本接入的电脑），请联网同步一次再导出");
    return status;
}

static int write_bundle(struct office *o, const char *path, struct said *ret_said)
{
    struct speaker s = {.o = o};
    struct bundle_new n = {.way = BUNDLE_UP, .ledger = o->ledger, .replica = o->facts.replica,
                           .made_at = o->facts.city_time, .own = o->certificate.own,
                           .own_key = o->certificate.key};
    struct cert *receiver = NULL;
    int ret = load_city(o, &receiver);

    n.receiver = receiver;
    if (ret == 0)
        ret = bundle_create(path, &n, &s.out, o->err);
    cert_free(receiver);
    if (ret != 0)
        return ret;
    ret = speak(&s);
    if (ret == 0)
        ret = bundle_finish(s.out, o->err);
    else
        bundle_abandon(s.out);
    if (ret == 0)
        ret = store_meta_put_int(o->w.view.store, BUNDLE_META_MADE, (int64_t)work_now(), o->err);
    *ret_said = s.said;
    return ret;
}

static void tell(const struct args *a, const struct said *s)
{
    if (a->json) {
        (void)fprintf(a->out,
                      "{\"changes\":%" PRIu64 ",\"attachments\":%" PRIu64
                      ",\"attachments_left\":%" PRIu64 ",\"attachments_asked\":%" PRIu64 "}\n",
                      s->changes, s->blobs.sent, s->blobs.left, s->blobs.asked);
        return;
    }
    (void)fprintf(a->out, "已写出 %s：%" PRIu64 " 项更改、%" PRIu64 " 个附件，带到市级导入\n",
                  a->words[0], s->changes, s->blobs.sent);
    if (s->blobs.asked > 0)
        (void)fprintf(a->out, "向市级要 %" PRIu64 " 个附件，随市级的包带回\n", s->blobs.asked);
    if (s->blobs.left > 0)
        (void)fprintf(a->out, "这个包放不下 %" PRIu64 " 个附件：导入市级带回的包以后，再导出一个\n",
                      s->blobs.left);
}

int cmd_bundle_export(const struct args *a, struct err *err)
{
    struct office o = {.err = err};
    struct said said = {.changes = 0};
    int ret = office_open(&o, a, err);

    if (ret == 0)
        ret = write_bundle(&o, a->words[0], &said);
    if (ret == 0)
        tell(a, &said);
    office_close(&o);
    return ret;
}
