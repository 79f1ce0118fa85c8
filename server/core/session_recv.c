/* What the county may send, one function a frame kind. */
#include "server/core/session_internal.h"

#include "common/base/err.h"

#include <string.h>

/* ---- Hello ---- */

static int take_cursors(struct server_session *s, const Ztc__Hello *m)
{
    for (size_t i = 0; i < m->n_cursors; i++) {
        struct server_stream *t = server_session_stream(s, m->cursors[i]->stream);

        if (t == NULL)
            return E_DENIED;
        t->sent = m->cursors[i]->seq;
        t->loading = m->cursors[i]->has_loading && m->cursors[i]->loading;
    }
    return 0;
}

static int take_hello(struct server_session *s, const Ztc__Hello *m)
{
    if (m->protocol_max < PROTOCOL_MIN || m->protocol_min > PROTOCOL_MAX)
        return E_VERSION;
    if (memcmp(m->replica.data, s->replica.b, ID_SIZE) != 0)
        return E_AUTH;
    s->protocol = m->protocol_max < PROTOCOL_MAX ? m->protocol_max : PROTOCOL_MAX;
    s->own_n = m->own_n;
    memcpy(s->own_chain, m->own_chain.data, HASH_SIZE);
    s->has_acked = m->has_acked_n;
    if (m->has_acked_n) {
        s->acked_n = m->acked_n;
        memcpy(s->acked_chain, m->acked_chain.data, HASH_SIZE);
    }
    return take_cursors(s, m);
}

static int recv_hello(struct server_session *s, const struct server_event *ev,
                      struct server_update *up)
{
    int ret;

    if (s->state != SERVER_GREETING)
        return E_PROTOCOL;
    ret = take_hello(s, ev->frame->hello);
    if (ret != 0)
        return ret;

    server_session_move(s, SERVER_ADMITTING);
    s->due[SERVER_DUE_FACTS] = ev->now + s->options->store_within;
    up->ask = ev->frame->hello;
    return 0;
}

/* ---- Push ---- */

static bool may_write(const struct server_session *s, uint32_t stream)
{
    return stream == s->site || (stream == STREAM_SHARED && s->site == SITE_CITY);
}

/* The change in its place: the replica's own, number N, of a stream it may write, next in its act. */
static int check_place(const struct server_session *s, const struct change *c,
                       const struct change *before, uint64_t n)
{
    bool starts = c->act_pos == 0;
    bool ended = before == NULL || before->act_pos + 1 == before->act_len;

    if (!id_eq(&c->replica, &s->replica))
        return E_AUTH;
    if (!may_write(s, c->stream))
        return E_DENIED;
    if (c->n != n || c->act_len < 1 || c->act_len > ACT_MAX_CHANGES || c->act_pos >= c->act_len)
        return E_PROTOCOL;
    if (starts != ended)
        return E_PROTOCOL;
    if (!starts && (c->act_len != before->act_len || c->act_pos != before->act_pos + 1))
        return E_PROTOCOL;
    return 0;
}

static struct slice side_of(const Ztc__Change *c)
{
    return c->has_side ? wire_slice(c->side) : (struct slice){NULL, 0};
}

/* Decode the changes from SKIP on; the first begins an act and the last ends one. */
static int decode(const struct server_session *s, const struct server_event *ev,
                  const Ztc__PushBody *body, uint32_t skip, struct push_item **ret_items)
{
    size_t count = body->n_changes - skip;
    struct push_item *items = arena_alloc(ev->arena, count * sizeof *items);
    const struct change *before = NULL;

    if (items == NULL)
        return E_NOMEM;
    for (size_t i = 0; i < count; i++) {
        const Ztc__Change *wire = body->changes[skip + i];
        int ret;

        items[i].bytes = wire_slice(wire->bytes);
        items[i].side = side_of(wire);
        ret = change_decode(ev->arena, items[i].bytes, items[i].side, &items[i].change);
        if (ret == 0)
            ret = check_place(s, &items[i].change, before, s->expect_n + i);
        if (ret != 0)
            return ret;
        before = &items[i].change;
    }
    if (before->act_pos + 1 != before->act_len)
        return E_PROTOCOL;
    *ret_items = items;
    return 0;
}

static size_t weigh(const struct push_item *items, uint32_t n)
{
    size_t bytes = 0;

    for (uint32_t i = 0; i < n; i++)
        bytes += items[i].bytes.len + items[i].side.len;
    return bytes;
}

static int recv_push(struct server_session *s, const struct server_event *ev,
                     struct server_update *up)
{
    const Ztc__Push *m = ev->frame->push;
    uint64_t after = m->first_n + m->count; /* the first n behind it */
    Ztc__PushBody *body;
    struct push_item *items;
    uint32_t skip;
    int ret;

    if (m->first_n > s->expect_n)
        return E_PROTOCOL;
    if (after <= s->expect_n)
        return 0; /* a repetition: answered, or about to be */
    if (s->expect_n - 1 - s->answered_n >= s->options->push_window)
        return E_PROTOCOL;

    skip = (uint32_t)(s->expect_n - m->first_n);
    ret = body_open_push(ev->codec, m, ev->arena, &body);
    if (ret == 0)
        ret = decode(s, ev, body, skip, &items);
    if (ret != 0)
        return ret;

    up->submit = items;
    up->submit_count = m->count - skip;
    s->expect_n = after;
    s->unmerged += weigh(items, up->submit_count);
    if (s->due[SERVER_DUE_MERGE] == 0)
        server_session_await_merge(s, ev->now);
    return 0;
}

/* ---- the rest ---- */

static int recv_refused_ack(struct server_session *s, const struct server_event *ev,
                            struct server_update *up)
{
    if (ev->frame->refused_ack->first_n >= s->expect_n)
        return E_PROTOCOL; /* nothing of that number can have been refused */
    up->refused_ack = ev->frame->refused_ack;
    return 0;
}

static int recv_ping(struct server_session *s, const struct server_event *ev,
                     struct server_update *up)
{
    const Ztc__Ping *m = ev->frame->ping;
    Ztc__Ping answer = ZTC__PING__INIT;

    (void)s;
    up->said = m->said;
    if (!m->answer)
        return 0;
    answer.answer = false;
    answer.clock = m->clock;
    frame_put_ping(&up->out, &answer);
    return 0;
}

/* The peer leaves: nobody reads an answer. */
static void recv_bye(struct server_session *s, const struct server_event *ev,
                     struct server_update *up)
{
    memset(s->due, 0, sizeof s->due);
    s->due[SERVER_DUE_DRAIN] = ev->now + s->options->drain_within;
    server_session_move(s, SERVER_CLOSING);
    up->close = SERVER_CLOSE_FLUSHED;
}

void server_session_recv(struct server_session *s, const struct server_event *ev,
                         struct server_update *up)
{
    bool serving = s->state == SERVER_SERVING;
    bool renewing = s->state == SERVER_RENEW_ONLY;
    bool forked = s->state == SERVER_FORKED;
    /* A kind that a county never sends, or not now. */
    int ret = renewing ? E_EXPIRED : forked ? E_FORK : E_PROTOCOL;

    switch ((int)ev->frame->kind_case) {
    case ZTC__FRAME__KIND_BYE:
        recv_bye(s, ev, up);
        return;
    case ZTC__FRAME__KIND_HELLO:
        if (!renewing && !forked)
            ret = recv_hello(s, ev, up);
        break;
    case ZTC__FRAME__KIND_RENEW:
        if (serving || renewing)
            ret = server_session_recv_renew(s, ev, up);
        break;
    case ZTC__FRAME__KIND_NEW_IDENTITY:
        if (serving || forked)
            ret = server_session_recv_identity(s, ev, up);
        break;
    case ZTC__FRAME__KIND_PUSH:
        if (serving)
            ret = recv_push(s, ev, up);
        break;
    case ZTC__FRAME__KIND_REFUSED_ACK:
        if (serving)
            ret = recv_refused_ack(s, ev, up);
        break;
    case ZTC__FRAME__KIND_SNAPSHOT_ASK:
        if (serving)
            ret = server_snapshot_recv_ask(s, ev, up);
        break;
    case ZTC__FRAME__KIND_HISTORY_ASK:
        if (serving)
            ret = server_snapshot_recv_history_ask(s, ev, up);
        break;
    case ZTC__FRAME__KIND_PING:
        if (serving || renewing || forked || s->state == SERVER_REFILLING)
            ret = recv_ping(s, ev, up);
        break;
    case ZTC__FRAME__KIND_DIGEST_ASK:
        if (serving)
            ret = server_digest_recv_ask(s, ev, up);
        break;
    case ZTC__FRAME__KIND_REPAIRED:
        if (serving)
            ret = server_digest_recv_repaired(s, ev, up);
        break;
    case ZTC__FRAME__KIND_REFILL:
        if (s->state == SERVER_REFILLING)
            ret = server_refill_recv(s, ev, up);
        break;
    case ZTC__FRAME__KIND_BLOB_HAVE:
        if (serving)
            ret = server_blob_recv_have(s, ev, up);
        break;
    case ZTC__FRAME__KIND_BLOB_WANT:
        if (serving)
            ret = server_blob_recv_want(s, ev, up);
        break;
    case ZTC__FRAME__KIND_BLOB_CHUNK:
        if (serving)
            ret = server_blob_recv_chunk(s, ev, up);
        break;
    case ZTC__FRAME__KIND_BLOB_DONE:
        if (serving)
            ret = server_blob_recv_done(s, ev, up);
        break;
    default:
        break;
    }
    if (ret != 0)
        server_session_fail(s, ev, up, ret);
}
