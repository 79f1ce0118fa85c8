/* What is here already is passed over, so that a bundle may come twice or late; where the city has not what this
 * computer says of itself, nothing is taken in. */
#include "client/bundle/bundle_session.h"

#include <inttypes.h>

void bundle_hear_init(struct bundle_hear *h, struct replica *r, const struct client_facts *facts, msec_t now,
                      bool applying)
{
    *h = (struct bundle_hear){.replica = r, .facts = facts, .now = now, .applying = applying};
    for (size_t i = 0; i < facts->n_cursors; i++)
        h->seq[facts->cursors[i].stream == STREAM_SHARED ? 0 : 1] = facts->cursors[i].seq;
    body_codec_init(&h->codec);
}

void bundle_hear_release(struct bundle_hear *h)
{
    body_codec_release(&h->codec);
}

/* ---- Welcome ---- */

static int forked(struct err *err)
{
    return err_set(err, E_FORK,
                   "本机的数据与市级记录分叉（由旧备份恢复，或被复制过），未导入任何内容；"
                   "请联网一次，系统会自动换发新的身份");
}

static int check_chain(struct bundle_hear *h, const Ztc__Welcome *m, struct err *err)
{
    struct client_update up = {.check = {.n = m->accepted_n, .chain = wire_slice(m->accepted_chain)}};
    struct client_event ev = {.ret = 0};

    exchange_check(h->replica, &up, &ev, err);
    return ev.ret == E_FORK ? forked(err) : ev.ret;
}

/* Whose Welcome it is says so while it is only looked at; the second time it is the same. */
static int check_welcome(struct bundle_hear *h, const Ztc__Welcome *m, struct err *err)
{
    bool restored = m->has_restored && m->restored;

    if (m->protocol < PROTOCOL_MIN || m->protocol > PROTOCOL_MAX)
        return err_set(err, E_VERSION, NULL);
    h->renew_only = m->has_standing && m->standing == ZTC__WELCOME__STANDING__RENEW_ONLY;
    h->hand_in = m->has_standing && m->standing == ZTC__WELCOME__STANDING__HAND_IN;
    h->late = h->renew_only || m->accepted_n < h->facts->ledger.acked_n;
    if (h->late || (m->identity == ZTC__WELCOME__IDENTITY__AHEAD && restored))
        return 0;
    if (m->identity != ZTC__WELCOME__IDENTITY__SAME || m->accepted_n > h->facts->ledger.own_n)
        return forked(err);
    return check_chain(h, m, err);
}

static int keep_welcome(struct bundle_hear *h, const Ztc__Welcome *m, struct err *err)
{
    struct store *store = replica_store(h->replica);
    int ret = 0;

    h->city_time = m->city_time;
    if (m->has_authorities)
        ret = store_meta_put(store, BUNDLE_META_AUTHORITIES, wire_slice(m->authorities), err);
    return ret == 0 ? store_meta_put(store, BUNDLE_META_ASKED, slice_str(""), err) : ret;
}

static int take_welcome(struct bundle_hear *h, const Ztc__Welcome *m, struct arena *a, struct err *err)
{
    struct client_event ev = {.ret = 0}; /* rows are compared over a line */
    int ret = check_welcome(h, m, err);

    if (ret != 0 || !h->applying)
        return ret;
    ret = h->late ? 0 : exchange_welcome(h->replica, m, a, &ev, err);
    return ret == 0 && m->city_time >= h->facts->city_time ? keep_welcome(h, m, err) : ret;
}

/* ---- the rest of a session ---- */

static int missing(uint32_t stream, uint64_t from, uint64_t upto, struct err *err)
{
    return err_set(err, E_BUNDLE_GAP,
                   "缺少前一份摆渡包：数据流 %06u 第 %" PRIu64 " 至 %" PRIu64
                   " 条还没有来，未导入任何内容；请先导入前一份，或再导出一份带到市级换新的",
                   stream, from, upto);
}

/* The part of a batch that is not here yet. */
static int take_entries(struct bundle_hear *h, const Ztc__Entries *m, struct arena *a, struct err *err)
{
    struct exchange_batch b = exchange_batch_of(m);
    uint64_t *seq = &h->seq[b.stream == STREAM_SHARED ? 0 : 1];
    struct client_event ev = {.ret = 0};
    uint64_t skip;

    if (b.first_seq > *seq + 1)
        return missing(b.stream, *seq + 1, b.first_seq - 1, err);
    if (b.first_seq + b.count - 1 <= *seq)
        return 0;
    skip = *seq + 1 - b.first_seq;
    *seq = b.first_seq + b.count - 1;
    if (!h->applying)
        return 0;
    exchange_read(&b, replica_hasher(h->replica), &h->codec, a);
    if (b.ret == 0) {
        b.entries += skip;
        b.first_seq += skip;
        b.count -= (uint32_t)skip;
    }
    exchange_take(h->replica, &b, &ev, err);
    h->entries += ev.ret == 0 ? b.count : 0;
    return ev.ret;
}

/* One whose changes were answered otherwise since is out of date. */
static int take_refused(struct bundle_hear *h, const Ztc__Refused *m, struct err *err)
{
    struct client_update up = {.store_refused = m};
    struct client_event ev = {.ret = 0};

    if (!h->applying)
        return 0;
    exchange_refused(h->replica, &up, h->now, &ev, err);
    h->refusals += ev.ret == 0;
    return ev.ret == E_PROTOCOL ? 0 : ev.ret;
}

/* Kept for the next bundle that is made here. */
static int take_ask(struct bundle_hear *h, const Ztc__RefillAsk *m, struct err *err)
{
    struct buf b;
    int ret;

    if (!h->applying)
        return 0;
    buf_init(&b, 32);
    buf_be32(&b, m->stream);
    buf_be64(&b, m->from_seq);
    buf_be64(&b, m->upto_seq);
    ret = b.ret != 0 ? err_set(err, b.ret, NULL)
                     : store_meta_put(replica_store(h->replica), BUNDLE_META_ASKED, buf_slice(&b), err);
    buf_release(&b);
    h->asked = ret == 0;
    return ret;
}

/* A place above where this computer stands is passed: it has gone back before. */
static int take_back(struct bundle_hear *h, const Ztc__GoBack *m, struct err *err)
{
    struct client_update up = {.go_back = m};
    struct client_event ev = {.ret = 0};

    for (size_t i = 0; i < m->n_places; i++) {
        if (m->places[i]->seq > h->seq[m->places[i]->stream == STREAM_SHARED ? 0 : 1])
            return 0;
    }
    if (h->applying)
        exchange_go_back(h->replica, &up, &ev, err);
    return ev.ret;
}

int bundle_hear(struct bundle_hear *h, Ztc__Frame *f, struct arena *a, struct err *err)
{
    switch ((int)f->kind_case) {
    case ZTC__FRAME__KIND_WELCOME:
        return take_welcome(h, f->welcome, a, err);
    case ZTC__FRAME__KIND_REFUSED:
        return take_refused(h, f->refused, err);
    case ZTC__FRAME__KIND_ENTRIES:
        return take_entries(h, f->entries, a, err);
    case ZTC__FRAME__KIND_REFILL_ASK:
        return take_ask(h, f->refill_ask, err);
    case ZTC__FRAME__KIND_GO_BACK:
        return take_back(h, f->go_back, err);
    case ZTC__FRAME__KIND_BYE:
        return 0; /* a city that was restored: the next bundle goes on */
    default:
        return err_set(err, E_PROTOCOL, NULL);
    }
}
