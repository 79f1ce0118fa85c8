/* bundle export: what a session would say, for an office without a line. The session's own machine says it, to
 * a Welcome that would tell it nothing new. Nothing changes here: what is pending stays so until its answer
 * comes, by a bundle or over a line. */
#include "client/cmd/bundle.h"
#include "client/cmd/bundle_blobs.h"
#include "client/net/agent.h"

#include <inttypes.h>
#include <string.h>

#define SOFTWARE     "ztc/" ZTC_VERSION
#define BUNDLE_BYTES (256u << 20) /* of changes; what is left comes with a later bundle */
#define CLOCK        1            /* nothing here waits */

int office_open(struct office *o, const struct args *a, struct err *err)
{
    struct replica_facts facts;
    int ret = work_open(&o->w, a, err);

    o->err = err;
    o->arena = a->arena;
    body_codec_init(&o->codec);
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
    body_codec_release(&o->codec);
    work_close(&o->w);
}

/* ---- what a session says ---- */

struct speaker {
    struct office *o;
    struct bundle_writer *out;
    struct client_options options;
    struct client_session session;
    struct client_update up;
    struct buf packed;
    struct said {
        uint64_t changes;
        struct blobs_said blobs;
    } said;
};

static int put(struct speaker *s)
{
    struct buf *frames = bundle_frames(s->out);

    if (s->up.out.ret != 0)
        return err_set(s->o->err, s->up.out.ret, NULL);
    buf_put(frames, s->up.out.p, s->up.out.len);
    buf_clear(&s->up.out);
    return bundle_put(s->out, s->o->err);
}

static int step(struct speaker *s, struct client_event *ev)
{
    ev->now = CLOCK;
    ev->clock = work_now();
    client_session_step(&s->session, ev, &s->up);
    if (s->session.cause != 0)
        return err_set(s->o->err, s->session.cause, NULL);
    return put(s);
}

/* Of a stream that is still loading the rows that are to come are not known to anybody. */
static int say_hello(struct speaker *s)
{
    struct client_facts *f = &s->o->facts;
    struct client_event ev = {.kind = CLIENT_CONNECTED, .facts = f};

    for (size_t i = 0; i < f->n_cursors; i++) {
        if (f->cursors[i].loading == CLIENT_SLICES)
            return err_set(s->o->err, E_WAITING, "本机的台账还没有载入完，请先联网载入完再导出");
        f->cursors[i].loading = CLIENT_WHOLE; /* entries from the first on */
    }
    if (f->city_time < work_now())
        f->city_time = work_now(); /* without a line the city's time stands still */
    return step(s, &ev);
}

static int put_ack(void *ctx, const struct refused_row *row)
{
    struct speaker *s = ctx;
    Ztc__RefusedAck m = ZTC__REFUSED_ACK__INIT;

    m.first_n = row->first_n;
    m.until_n = row->until_n;
    frame_put_refused_ack(bundle_frames(s->out), &m);
    return bundle_put(s->out, s->o->err);
}

/* As the city was when its last bundle was made; it has answered what is answered here. */
static int hear_welcome(struct speaker *s)
{
    const struct office *o = s->o;
    struct store *store = o->w.view.store;
    Ztc__Welcome m = ZTC__WELCOME__INIT;
    Ztc__Frame frame = ZTC__FRAME__INIT;
    struct client_event ev = {.kind = CLIENT_FRAME, .frame = &frame};
    struct slice authorities;
    int ret = store_meta_get(store, BUNDLE_META_AUTHORITIES, o->arena, &authorities, o->err);

    if (ret != 0 && ret != E_NOTFOUND)
        return ret;
    m.has_authorities = ret == 0 && authorities.len == HASH_SIZE;
    if (m.has_authorities)
        m.authorities = wire_data(authorities);
    m.protocol = PROTOCOL_MAX;
    m.accepted_n = o->facts.ledger.acked_n;
    m.accepted_chain = wire_data((struct slice){o->facts.acked_chain, HASH_SIZE});
    m.catalogue = (uint32_t)store_meta_int(store, BUNDLE_META_CATALOGUE, CATALOGUE_VERSION);
    m.push_window = UINT32_MAX;
    m.ping_every = m.dead_after = UINT32_MAX;
    m.identity = ZTC__WELCOME__IDENTITY__SAME;
    frame.kind_case = ZTC__FRAME__KIND_WELCOME;
    frame.welcome = &m;
    return step(s, &ev);
}

/* ASKED: what the machine wants of the store, in an update before. */
static int answer_load(struct speaker *s, const struct client_update *asked)
{
    struct client_event ev = {.ret = 0};

    exchange_load(s->o->w.home.replica, asked, &s->o->codec, &s->packed, &ev, s->o->err);
    if (ev.ret != 0)
        return ev.ret;
    s->said.changes += ev.loaded.count;
    return step(s, &ev);
}

static int answer_request(struct speaker *s)
{
    struct client_event ev = {.kind = CLIENT_REQUEST};
    struct buf csr;
    int ret;

    buf_init(&csr, WIRE_DER_MAX);
    ret = certificate_request(&s->o->certificate, &csr, s->o->err);
    ev.request = buf_slice(&csr);
    if (ret == 0)
        ret = step(s, &ev);
    buf_release(&csr);
    return ret;
}

/* The request goes first: the changes may be more than one bundle holds. */
static int say_all(struct speaker *s)
{
    struct client_update asked = s->up;
    int ret = s->up.make_request ? answer_request(s) : 0;

    while (ret == 0 && asked.load.wanted && bundle_bytes(s->out) < BUNDLE_BYTES) {
        ret = answer_load(s, &asked);
        asked = s->up;
    }
    if (ret == 0)
        ret = bundle_blobs_put(s->o, s->out, !asked.load.wanted, &s->said.blobs);
    return ret;
}

/* ---- what a city that was restored has asked for ---- */

static int put_refill(struct speaker *s, struct client_update *up)
{
    struct client_event ev = {.ret = 0};
    Ztc__Refill m = ZTC__REFILL__INIT;

    exchange_refill(s->o->w.home.replica, up, &s->o->codec, &s->packed, &ev, s->o->err);
    if (ev.ret != 0 || ev.refill.count == 0)
        return ev.ret;
    m.stream = ev.refill.stream;
    m.first_seq = ev.refill.first_seq;
    m.count = ev.refill.count;
    m.size = ev.refill.size;
    m.body = wire_data(ev.refill.body);
    up->refill.from_seq += m.count;
    frame_put_refill(bundle_frames(s->out), &m);
    return bundle_put(s->out, s->o->err);
}

static int hand_back(struct speaker *s)
{
    struct client_update up = {.refill.max_bytes = client_options_preset.load_bytes};
    struct slice asked;
    struct rd r;
    int ret = store_meta_get(s->o->w.view.store, BUNDLE_META_ASKED, s->o->arena, &asked, s->o->err);

    if (ret != 0)
        return ret == E_NOTFOUND ? 0 : ret;
    r = rd_of(asked);
    up.refill.stream = rd_be32(&r);
    up.refill.from_seq = rd_be64(&r);
    up.refill.upto_seq = rd_be64(&r);
    for (uint64_t before = 0; ret == 0 && rd_done(&r) && up.refill.from_seq != before &&
                              up.refill.from_seq <= up.refill.upto_seq;) {
        before = up.refill.from_seq;
        ret = put_refill(s, &up);
    }
    return ret;
}

/* ---- the file ---- */

static int speak(struct speaker *s)
{
    int ret;

    s->options = client_options_preset;
    s->options.unsent_max = SIZE_MAX / 4; /* a file takes whatever comes */
    client_session_init(&s->session, &s->options, CLOCK);
    client_update_init(&s->up);
    buf_init(&s->packed, 2u * WIRE_BODY_MAX);
    ret = say_hello(s);
    if (ret == 0)
        ret = hand_back(s);
    if (ret == 0)
        ret = replica_refused_each(s->o->w.home.replica, put_ack, s, s->o->err);
    if (ret == 0)
        ret = hear_welcome(s);
    if (ret == 0)
        ret = say_all(s);
    client_session_release(&s->session);
    client_update_release(&s->up);
    buf_release(&s->packed);
    return ret;
}

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
