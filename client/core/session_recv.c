/* What the city may send, one function a frame kind, and the queue before the store.
 *
 * A frame is judged when it arrives (known stream, next seq, a head that covers it); its body is opened
 * by the driver when it was handed over, so that what waits is small. */
#include "client/core/session_internal.h"

#include "common/base/err.h"

#include <assert.h>
#include <string.h>

/* ---- Welcome ---- */

/* Heads of streams we read say how far behind we are; the store verifies the others. */
static void note_heads(struct client_session *s, const Ztc__Welcome *m)
{
    for (size_t i = 0; i < m->n_heads; i++) {
        struct client_stream *t;
        struct head h;

        if (head_decode(wire_slice(m->heads[i]->head), &h) != 0)
            continue; /* a later format: Entries will tell */
        t = client_session_stream(s, h.stream);
        if (t != NULL && t->head < h.seq)
            t->head = h.seq;
        if (t != NULL && t->loading == CLIENT_UNDECIDED)
            client_snapshot_head(t, m->heads[i]);
    }
}

/* The chain at accepted_n against those named in Hello; 1 when it stands at neither. */
static int compare_chain(const struct client_session *s, const Ztc__Welcome *m)
{
    const uint8_t *known = NULL;

    if (m->accepted_n == s->hello_own_n)
        known = s->own_chain;
    else if (m->accepted_n == s->hello_acked_n)
        known = s->acked_chain;
    if (known == NULL)
        return 1;
    return memcmp(known, m->accepted_chain.data, HASH_SIZE) == 0 ? 0 : E_FORK;
}

/* A window of nothing has a reason: the city names it, or is just busy. */
static void take_window(struct client_session *s, uint32_t window, struct slice code)
{
    char text[WIRE_CODE_MAX + 1] = "";

    if (code.len > 0)
        memcpy(text, code.p, code.len);
    s->push_window = window;
    s->hold = window > 0 ? 0 : code.len > 0 ? err_from_code(text) : E_BUSY;
}

/* The city's time and heads are good all the same. */
static int part(struct client_session *s, const struct client_event *ev, struct client_update *up)
{
    up->welcome = ev->frame->welcome;
    client_identity_begin(s, ev, up, ev->frame->welcome->accepted_n);
    return 0;
}

static int recv_welcome(struct client_session *s, const struct client_event *ev,
                        struct client_update *up)
{
    const Ztc__Welcome *m = ev->frame->welcome;
    int ret;

    if (s->state != CLIENT_HELLO)
        return E_PROTOCOL;
    if (m->protocol < PROTOCOL_MIN || m->protocol > PROTOCOL_MAX)
        return E_VERSION;
    ret = client_renew_welcome(s, m, ev->now);
    if (ret != 0)
        return ret;
    s->ping_every = m->ping_every;
    s->dead_after = m->dead_after;
    if (s->renew_only) {
        up->welcome = m;
        s->due[CLIENT_DUE_HELLO] = 0;
        client_session_move(s, CLIENT_RENEW_ONLY, ev->now);
        return 0;
    }
    if (m->identity == ZTC__WELCOME__IDENTITY__FORKED)
        return part(s, ev, up);
    if (m->identity == ZTC__WELCOME__IDENTITY__AHEAD && m->has_restored && m->restored) {
        client_refill_start(s, ev, up);
        return 0;
    }
    if (m->identity != ZTC__WELCOME__IDENTITY__SAME || m->accepted_n > s->hello_own_n ||
        m->accepted_n < s->hello_acked_n)
        return E_FORK;
    ret = compare_chain(s, m);
    if (ret < 0)
        return part(s, ev, up);

    s->pushed_n = s->accepted_n = m->accepted_n;
    take_window(s, m->push_window, m->has_hold ? wire_slice(m->hold) : slice_str(""));
    s->city_catalogue = m->catalogue;
    note_heads(s, m);
    up->welcome = m;
    client_session_move(s, CLIENT_CHECKING, ev->now);
    if (ret == 0) {
        s->due[CLIENT_DUE_HELLO] = 0;
        client_blob_look(s);
        client_session_move(s, CLIENT_CATCHING_UP, ev->now);
        return 0;
    }
    up->check.wanted = true;
    up->check.n = m->accepted_n;
    up->check.chain = wire_slice(m->accepted_chain);
    return 0;
}

/* ---- the queue ---- */

static bool is_free_for(const struct client_session *s, const Ztc__Frame *f)
{
    if (client_digest_blocks(s, f))
        return false;
    if (f->kind_case == ZTC__FRAME__KIND_REFUSED)
        return s->applying == 0 && !s->refusing;
    return s->applying < s->options->applying_max && !s->refusing;
}

static void hand_over(struct client_session *s, const Ztc__Frame *f, struct client_update *up)
{
    if (f->kind_case == ZTC__FRAME__KIND_REFUSED) {
        up->store_refused = f->refused;
        s->refusing = true;
    } else {
        up->apply = f->entries;
        s->applying++;
    }
}

static struct slice first_waiting(const struct client_session *s)
{
    struct rd r = rd_of((struct slice){s->queue.p + s->queue_at, s->queue.len - s->queue_at});

    return rd_take(&r, rd_be32(&r));
}

static void drop_first(struct client_session *s, size_t frame_len)
{
    s->queue_at += FRAME_PREFIX + frame_len;
    if (s->queue_at == s->queue.len) {
        buf_release(&s->queue);
        buf_clear(&s->queue);
        s->queue_at = 0;
    }
}

void client_session_take_in(struct client_session *s, const struct client_event *ev,
                            struct client_update *up)
{
    struct slice bytes;
    Ztc__Frame *f;
    int ret;

    if (s->queue.len == 0 || up->apply != NULL || s->refusing ||
        s->applying >= (s->alone ? 1 : s->options->applying_max))
        return;
    bytes = first_waiting(s);
    ret = frame_unpack(ev->arena, bytes, &f);
    if (ret != 0) {
        client_session_fail(s, ev, up, ret);
        return;
    }
    s->alone = !is_free_for(s, f);
    if (s->alone)
        return;
    drop_first(s, bytes.len);
    hand_over(s, f, up);
}

/* Straight to the store when it is free, else packed behind what waits. */
static int take_in_order(struct client_session *s, const struct client_event *ev,
                         struct client_update *up)
{
    bool serving = s->state == CLIENT_CATCHING_UP || s->state == CLIENT_UP_TO_DATE;

    if (serving && s->queue.len == 0 && is_free_for(s, ev->frame)) {
        hand_over(s, ev->frame, up);
        return 0;
    }
    if (s->queue_at > s->queue.len / 2) {
        buf_consume(&s->queue, s->queue_at);
        s->queue_at = 0;
    }
    frame_put(&s->queue, ev->frame);
    return s->queue.ret;
}

/* ---- Entries, Refused ---- */

static int recv_entries(struct client_session *s, const struct client_event *ev,
                        struct client_update *up)
{
    const Ztc__Entries *m = ev->frame->entries;
    struct client_stream *t = client_session_stream(s, m->stream);
    struct head h;

    if (t == NULL)
        return E_DENIED;
    if (m->first_seq != t->arrived + 1 || t->loading != CLIENT_WHOLE)
        return E_PROTOCOL;
    if (head_decode(wire_slice(m->head->head), &h) != 0 || h.stream != m->stream ||
        h.seq < t->arrived + m->count)
        return E_PROTOCOL;

    t->arrived += m->count;
    if (t->head < h.seq)
        t->head = h.seq;
    return take_in_order(s, ev, up);
}

static int recv_refused(struct client_session *s, const struct client_event *ev,
                        struct client_update *up)
{
    if (ev->frame->refused->last_n > s->pushed_n)
        return E_PROTOCOL; /* never given to the city */
    return take_in_order(s, ev, up);
}

/* ---- the rest ---- */

static int recv_ping(const struct client_event *ev, struct client_update *up)
{
    Ztc__Ping answer = ZTC__PING__INIT;

    if (!ev->frame->ping->answer)
        return 0;
    answer.answer = false;
    answer.clock = ev->frame->ping->clock;
    frame_put_ping(&up->out, &answer);
    return 0;
}

static int recv_window(struct client_session *s, const Ztc__Window *m)
{
    take_window(s, m->push_window, m->has_code ? wire_slice(m->code) : slice_str(""));
    return 0;
}

/* The city ends it: nobody reads an answer. */
static void recv_bye(struct client_session *s, const struct client_event *ev,
                     struct client_update *up)
{
    const Ztc__Bye *m = ev->frame->bye;
    char code[WIRE_CODE_MAX + 1] = "";

    memcpy(code, m->code.data, m->code.len);
    s->told = true;
    s->retry_after = m->has_retry_after ? m->retry_after : 0;
    client_session_close(s, ev, up, err_from_code(code), CLIENT_CLOSE_NOW);
}

void client_session_recv(struct client_session *s, const struct client_event *ev,
                         struct client_update *up)
{
    bool welcomed = s->state >= CLIENT_CHECKING;
    bool parting = s->state == CLIENT_NEW_IDENTITY;
    bool refilling = s->state == CLIENT_REFILLING;
    bool serving = welcomed && !refilling && s->state != CLIENT_RENEW_ONLY;
    int ret = E_PROTOCOL; /* a kind that a city never sends, or not now */

    if (parting && ev->frame->kind_case != ZTC__FRAME__KIND_BYE &&
        ev->frame->kind_case != ZTC__FRAME__KIND_PING &&
        ev->frame->kind_case != ZTC__FRAME__KIND_NEW_IDENTITY_GRANTED)
        return; /* meant for the replica that we are not */

    switch ((int)ev->frame->kind_case) {
    case ZTC__FRAME__KIND_BYE:
        recv_bye(s, ev, up);
        return;
    case ZTC__FRAME__KIND_WELCOME:
        ret = recv_welcome(s, ev, up);
        break;
    case ZTC__FRAME__KIND_ENTRIES:
        if (serving)
            ret = recv_entries(s, ev, up);
        break;
    case ZTC__FRAME__KIND_REFUSED:
        if (serving)
            ret = recv_refused(s, ev, up);
        break;
    case ZTC__FRAME__KIND_SLICE:
        if (serving)
            ret = client_snapshot_recv_slice(s, ev->frame->slice, up);
        break;
    case ZTC__FRAME__KIND_HISTORY:
        if (serving)
            ret = client_snapshot_recv_history(s, ev->frame->history, up);
        break;
    case ZTC__FRAME__KIND_RENEWED:
        if (welcomed)
            ret = client_renew_recv(s, ev->frame->renewed, up);
        break;
    case ZTC__FRAME__KIND_NEW_IDENTITY_GRANTED:
        ret = client_identity_recv(s, ev, up);
        break;
    case ZTC__FRAME__KIND_REFILL_ASK:
        if (refilling)
            ret = client_refill_recv_ask(s, ev, up);
        break;
    case ZTC__FRAME__KIND_GO_BACK:
        if (refilling)
            ret = client_refill_recv_back(s, ev, up);
        break;
    case ZTC__FRAME__KIND_WINDOW:
        if (welcomed)
            ret = recv_window(s, ev->frame->window);
        break;
    case ZTC__FRAME__KIND_DIGEST_TELL:
        if (welcomed)
            ret = client_digest_recv_tell(s, ev);
        break;
    case ZTC__FRAME__KIND_REPAIR_ROWS:
        if (welcomed)
            ret = client_digest_recv_rows(s, ev);
        break;
    case ZTC__FRAME__KIND_REPAIRED:
        if (welcomed)
            ret = client_digest_recv_repaired(s, ev, up);
        break;
    case ZTC__FRAME__KIND_PING:
        if (welcomed)
            ret = recv_ping(ev, up);
        break;
    case ZTC__FRAME__KIND_BLOB_WANT:
        ret = client_blob_recv_want(s, ev);
        break;
    case ZTC__FRAME__KIND_BLOB_CHUNK:
        ret = client_blob_recv_chunk(s, ev, up);
        break;
    case ZTC__FRAME__KIND_BLOB_DONE:
        ret = client_blob_recv_done(s, ev, up);
        break;
    default:
        break;
    }
    if (ret != 0)
        client_session_fail(s, ev, up, ret);
}
