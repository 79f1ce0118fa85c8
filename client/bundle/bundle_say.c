#include "client/bundle/bundle_session.h"

#include <string.h>

#define CLOCK 1 /* nothing here waits */

struct speaker {
    struct bundle_say *say;
    struct arena *arena;
    struct client_options options;
    struct client_session session;
    struct client_update up;
    struct body_codec codec;
    struct buf packed, frames; /* frames: those the session's machine does not make */
    uint64_t bytes;
    struct err *err;
};

static int put(struct speaker *s, struct buf *frames)
{
    int ret = frames->ret != 0 ? err_set(s->err, frames->ret, NULL)
                               : s->say->out(s->say->ctx, buf_slice(frames), s->err);

    s->bytes += frames->len;
    buf_clear(frames);
    return ret;
}

static int step(struct speaker *s, struct client_event *ev)
{
    ev->now = CLOCK;
    ev->clock = s->say->now;
    client_session_step(&s->session, ev, &s->up);
    if (s->session.cause != 0)
        return err_set(s->err, s->session.cause, NULL);
    return put(s, &s->up.out);
}

/* Of a stream that is still loading the rows that are to come are not known to anybody. */
static int say_hello(struct speaker *s)
{
    struct client_facts *f = &s->say->facts;
    struct client_event ev = {.kind = CLIENT_CONNECTED, .facts = f};

    for (size_t i = 0; i < f->n_cursors; i++) {
        if (f->cursors[i].loading == CLIENT_SLICES)
            return err_set(s->err, E_WAITING, "本机的台账还没有载入完，请先联网载入完再导出");
        f->cursors[i].loading = CLIENT_WHOLE; /* entries from the first on */
    }
    if (f->city_time < s->say->now)
        f->city_time = s->say->now; /* without a line the city's time stands still */
    return step(s, &ev);
}

static int put_ack(void *ctx, const struct refused_row *row)
{
    struct speaker *s = ctx;
    Ztc__RefusedAck m = ZTC__REFUSED_ACK__INIT;

    m.first_n = row->first_n;
    m.until_n = row->until_n;
    frame_put_refused_ack(&s->frames, &m);
    return put(s, &s->frames);
}

/* As the city was when it was last heard; it has answered what is answered here. */
static int hear_welcome(struct speaker *s)
{
    struct store *store = replica_store(s->say->replica);
    Ztc__Welcome m = ZTC__WELCOME__INIT;
    Ztc__Frame frame = ZTC__FRAME__INIT;
    struct client_event ev = {.kind = CLIENT_FRAME, .frame = &frame};
    struct slice authorities;
    int ret = store_meta_get(store, BUNDLE_META_AUTHORITIES, s->arena, &authorities, s->err);

    if (ret != 0 && ret != E_NOTFOUND)
        return ret;
    m.has_authorities = ret == 0 && authorities.len == HASH_SIZE;
    if (m.has_authorities)
        m.authorities = wire_data(authorities);
    m.protocol = PROTOCOL_MAX;
    m.accepted_n = s->say->facts.ledger.acked_n;
    m.accepted_chain = wire_data((struct slice){s->say->facts.acked_chain, HASH_SIZE});
    m.catalogue = exchange_city_catalogue(s->say->replica);
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

    exchange_load(s->say->replica, asked, &s->codec, &s->packed, &ev, s->err);
    if (ev.ret != 0)
        return ev.ret;
    s->say->changes += ev.loaded.count;
    return step(s, &ev);
}

static int answer_request(struct speaker *s)
{
    struct client_event ev = {.kind = CLIENT_REQUEST};
    struct buf csr;
    int ret;

    buf_init(&csr, WIRE_DER_MAX);
    ret = s->say->request(s->say->ctx, &csr, s->err);
    ev.request = buf_slice(&csr);
    if (ret == 0)
        ret = step(s, &ev);
    buf_release(&csr);
    return ret;
}

/* The request goes first: the changes may be more than one bundle holds. */
static int say_changes(struct speaker *s)
{
    struct client_update asked = s->up;
    int ret = s->up.make_request ? answer_request(s) : 0;

    while (ret == 0 && asked.load.wanted && s->bytes < s->say->bytes_max) {
        ret = answer_load(s, &asked);
        asked = s->up;
    }
    s->say->all = !asked.load.wanted;
    return ret;
}

/* ---- what a city that was restored has asked for ---- */

static int put_refill(struct speaker *s, struct client_update *up)
{
    struct client_event ev = {.ret = 0};
    Ztc__Refill m = ZTC__REFILL__INIT;

    exchange_refill(s->say->replica, up, &s->codec, &s->packed, &ev, s->err);
    if (ev.ret != 0 || ev.refill.count == 0)
        return ev.ret;
    m.stream = ev.refill.stream;
    m.first_seq = ev.refill.first_seq;
    m.count = ev.refill.count;
    m.size = ev.refill.size;
    m.body = wire_data(ev.refill.body);
    up->refill.from_seq += m.count;
    frame_put_refill(&s->frames, &m);
    return put(s, &s->frames);
}

static int hand_back(struct speaker *s)
{
    struct client_update up = {.refill.max_bytes = client_options_preset.load_bytes};
    struct slice asked;
    struct rd r;
    int ret = store_meta_get(replica_store(s->say->replica), BUNDLE_META_ASKED, s->arena, &asked, s->err);

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

/* ---- the whole ---- */

int bundle_say(struct bundle_say *say, struct arena *a, struct err *err)
{
    struct speaker s = {.say = say, .arena = a, .options = client_options_preset, .err = err};
    int ret;

    s.options.unsent_max = SIZE_MAX / 4; /* a file takes whatever comes */
    client_session_init(&s.session, &s.options, CLOCK);
    client_update_init(&s.up);
    body_codec_init(&s.codec);
    buf_init(&s.packed, 2u * WIRE_BODY_MAX);
    buf_init(&s.frames, FRAME_MAX);
    ret = say_hello(&s);
    if (ret == 0)
        ret = hand_back(&s);
    if (ret == 0)
        ret = replica_refused_each(say->replica, put_ack, &s, err);
    if (ret == 0)
        ret = hear_welcome(&s);
    if (ret == 0)
        ret = say_changes(&s);
    client_session_release(&s.session);
    client_update_release(&s.up);
    body_codec_release(&s.codec);
    buf_release(&s.packed);
    buf_release(&s.frames);
    return ret;
}
