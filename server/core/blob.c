#include "server/core/session_internal.h"

#include "common/base/err.h"
#include "common/wire/check.h"

#include <assert.h>
#include <string.h>

static uint32_t chunk_len(const struct server_lane *l)
{
    uint64_t left = l->size - l->offset;

    return left < WIRE_CHUNK_MAX ? (uint32_t)left : WIRE_CHUNK_MAX;
}

static bool same(const struct server_lane *l, ProtobufCBinaryData attachment)
{
    return memcmp(l->attachment.b, attachment.data, ID_SIZE) == 0;
}

static ProtobufCBinaryData id_data(const struct id *id)
{
    return wire_data((struct slice){id->b, ID_SIZE});
}

/* ---- what is asked of the driver ---- */

static void ask(struct server_session *s, const struct server_event *ev, struct server_update *up,
                enum server_lane_name at, enum server_blob_ask what)
{
    struct server_lane *l = &s->lanes[at];
    struct server_blob_want *want = &up->blob[at];

    assert(want->ask == SERVER_BLOB_NOTHING);
    want->ask = what;
    want->attachment = l->attachment;
    memcpy(want->hash, l->hash, HASH_SIZE);
    want->size = l->size;
    want->offset = l->offset;
    l->due = ev->now + s->options->store_within;
}

static void end(struct server_lane *l)
{
    l->state = SERVER_LANE_IDLE;
    l->due = 0;
}

/* ---- what goes out ---- */

static void put_want(struct server_lane *l, struct server_update *up)
{
    Ztc__BlobWant m = ZTC__BLOB_WANT__INIT;

    m.attachment = id_data(&l->attachment);
    m.offset = l->offset;
    frame_put_blob_want(&up->out, &m);
    l->state = SERVER_LANE_ASKED;
    l->due = 0; /* the county's: other frames go before */
}

static void put_done(struct server_lane *l, struct server_update *up, int ret)
{
    Ztc__BlobDone m = ZTC__BLOB_DONE__INIT;

    m.attachment = id_data(&l->attachment);
    m.has_code = ret != 0;
    if (ret != 0)
        m.code = wire_data(slice_str(err_code(ret)));
    frame_put_blob_done(&up->out, &m);
    end(l);
}

static void put_chunk(struct server_lane *l, const struct server_event *ev,
                      struct server_update *up)
{
    Ztc__BlobChunk m = ZTC__BLOB_CHUNK__INIT;

    assert(ev->blob.bytes.len == chunk_len(l));
    m.attachment = id_data(&l->attachment);
    m.offset = l->offset;
    m.bytes = wire_data(ev->blob.bytes);
    frame_put_blob_chunk(&up->out, &m);
    l->offset += ev->blob.bytes.len;
    l->state = l->offset < l->size ? SERVER_LANE_OPEN : SERVER_LANE_IDLE;
    l->due = 0;
}

/* ---- what comes in ---- */

int server_blob_recv_have(struct server_session *s, const struct server_event *ev,
                          struct server_update *up)
{
    struct server_lane *l = &s->lanes[SERVER_LANE_UP];
    const Ztc__BlobHave *m = ev->frame->blob_have;

    if (l->state != SERVER_LANE_IDLE)
        return E_PROTOCOL;
    memcpy(l->attachment.b, m->attachment.data, ID_SIZE);
    memcpy(l->hash, m->hash.data, HASH_SIZE);
    l->size = m->size;
    l->offset = 0;
    l->state = SERVER_LANE_CHECKING;
    ask(s, ev, up, SERVER_LANE_UP, SERVER_BLOB_OFFER);
    return 0;
}

int server_blob_recv_chunk(struct server_session *s, const struct server_event *ev,
                           struct server_update *up)
{
    struct server_lane *l = &s->lanes[SERVER_LANE_UP];
    const Ztc__BlobChunk *m = ev->frame->blob_chunk;

    if (l->state != SERVER_LANE_ASKED || !same(l, m->attachment) || m->offset != l->offset ||
        m->bytes.len != chunk_len(l))
        return E_PROTOCOL;
    l->state = SERVER_LANE_WORKING;
    ask(s, ev, up, SERVER_LANE_UP, SERVER_BLOB_WRITE);
    up->blob[SERVER_LANE_UP].bytes = wire_slice(m->bytes);
    return 0;
}

/* The replica no longer has the bytes: of what is asked for, or of one it never offered. */
int server_blob_recv_done(struct server_session *s, const struct server_event *ev,
                          struct server_update *up)
{
    struct server_lane *l = &s->lanes[SERVER_LANE_UP];
    const Ztc__BlobDone *m = ev->frame->blob_done;

    if (l->state != SERVER_LANE_IDLE && l->state != SERVER_LANE_ASKED)
        return E_PROTOCOL;
    if (!m->has_code || !slice_eq(wire_slice(m->code), slice_str(err_code(E_BLOB_LOST))))
        return E_PROTOCOL;
    memcpy(l->attachment.b, m->attachment.data, ID_SIZE);
    l->state = SERVER_LANE_CHECKING;
    ask(s, ev, up, SERVER_LANE_UP, SERVER_BLOB_LOST);
    return 0;
}

int server_blob_recv_want(struct server_session *s, const struct server_event *ev,
                          struct server_update *up)
{
    struct server_lane *l = &s->lanes[SERVER_LANE_DOWN];
    const Ztc__BlobWant *m = ev->frame->blob_want;

    if (l->state == SERVER_LANE_OPEN && same(l, m->attachment) && m->offset == l->offset) {
        l->state = SERVER_LANE_DUE;
        return 0;
    }
    if (l->state != SERVER_LANE_IDLE && l->state != SERVER_LANE_OPEN)
        return E_PROTOCOL;
    memcpy(l->attachment.b, m->attachment.data, ID_SIZE);
    l->offset = m->offset;
    l->size = 0;
    if (s->hands_in) { /* it receives nothing */
        put_done(l, up, E_REVOKED);
        return 0;
    }
    l->state = SERVER_LANE_CHECKING;
    ask(s, ev, up, SERVER_LANE_DOWN, SERVER_BLOB_FIND);
    return 0;
}

/* ---- what the driver answers ---- */

static void on_offer(struct server_lane *l, const struct server_event *ev, struct server_update *up)
{
    const struct server_blob_answer *b = &ev->blob;

    l->offset = b->offset;
    if (b->ret != 0 || b->verified) {
        put_done(l, up, b->ret);
    } else {
        assert(l->offset < l->size);
        put_want(l, up);
    }
}

static void on_written(struct server_lane *l, const struct server_event *ev,
                       struct server_update *up)
{
    if (ev->blob.ret == 0)
        l->offset += chunk_len(l);
    if (ev->blob.ret != 0 || l->offset == l->size)
        put_done(l, up, ev->blob.ret);
    else
        put_want(l, up);
}

static void on_find(struct server_lane *l, const struct server_event *ev, struct server_update *up)
{
    const struct server_blob_answer *b = &ev->blob;
    int ret = b->ret;

    if (ret == 0 && l->offset >= b->size)
        ret = E_INVALID;
    if (ret != 0) {
        put_done(l, up, ret);
        return;
    }
    memcpy(l->hash, b->hash, HASH_SIZE);
    l->size = b->size;
    l->state = SERVER_LANE_DUE;
    l->due = 0;
}

static void on_read(struct server_lane *l, const struct server_event *ev, struct server_update *up)
{
    if (ev->blob.ret == 0)
        put_chunk(l, ev, up);
    else
        put_done(l, up, ev->blob.ret);
}

void server_blob_answered(struct server_session *s, const struct server_event *ev,
                          struct server_update *up)
{
    struct server_lane *l = &s->lanes[ev->blob.lane];

    if (s->state != SERVER_SERVING)
        return;
    switch (ev->blob.ask) {
    case SERVER_BLOB_OFFER:
        on_offer(l, ev, up);
        break;
    case SERVER_BLOB_WRITE:
        on_written(l, ev, up);
        break;
    case SERVER_BLOB_LOST:
        put_done(l, up, ev->blob.ret == 0 ? E_BLOB_LOST : ev->blob.ret);
        break;
    case SERVER_BLOB_FIND:
        on_find(l, ev, up);
        break;
    case SERVER_BLOB_READ:
        on_read(l, ev, up);
        break;
    case SERVER_BLOB_NOTHING:
        break;
    }
}

/* ---- from the session ---- */

void server_blob_go_on(struct server_session *s, const struct server_event *ev,
                       struct server_update *up, bool quiet)
{
    struct server_lane *l = &s->lanes[SERVER_LANE_DOWN];

    if (s->state != SERVER_SERVING || l->state != SERVER_LANE_DUE || !quiet)
        return;
    l->state = SERVER_LANE_WORKING;
    ask(s, ev, up, SERVER_LANE_DOWN, SERVER_BLOB_READ);
    up->blob[SERVER_LANE_DOWN].len = chunk_len(l);
}

msec_t server_blob_due(const struct server_session *s)
{
    msec_t first = 0;

    for (size_t i = 0; i < SERVER_LANES; i++) {
        if (s->lanes[i].due != 0 && (first == 0 || s->lanes[i].due < first))
            first = s->lanes[i].due;
    }
    return first;
}
