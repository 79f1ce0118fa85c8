#include "client/core/session_internal.h"

#include "common/base/err.h"
#include "common/wire/check.h"

#include <assert.h>
#include <string.h>

#define RETRY_MS      2000u
#define RETRY_DOUBLED 7u /* times: about four minutes */

static bool is_serving(const struct client_session *s)
{
    return s->state == CLIENT_CATCHING_UP || s->state == CLIENT_UP_TO_DATE;
}

static uint32_t chunk_len(const struct client_lane *l)
{
    uint64_t left = l->size - l->offset;

    return left < WIRE_CHUNK_MAX ? (uint32_t)left : WIRE_CHUNK_MAX;
}

static bool same(const struct client_lane *l, ProtobufCBinaryData attachment)
{
    return memcmp(l->attachment.b, attachment.data, ID_SIZE) == 0;
}

static ProtobufCBinaryData id_data(const struct id *id)
{
    return wire_data((struct slice){id->b, ID_SIZE});
}

/* Not now; again after a while that doubles. */
static void leave(struct client_lane *l, msec_t now)
{
    l->state = CLIENT_LANE_OFF;
    l->until = now + ((msec_t)RETRY_MS << (l->tries < RETRY_DOUBLED ? l->tries : RETRY_DOUBLED));
    l->tries++;
}

/* ---- what is asked of the driver ---- */

static struct client_blob_want *ask(struct client_lane *l, struct client_blob_want *want,
                                    enum client_blob_ask what)
{
    assert(want->ask == CLIENT_BLOB_NOTHING);
    want->ask = what;
    want->attachment = l->attachment;
    memcpy(want->hash, l->hash, HASH_SIZE);
    want->size = l->size;
    want->offset = l->offset;
    return want;
}

static void settle(struct client_lane *l, struct client_update *up, enum client_lane_name at,
                   int ret)
{
    l->state = CLIENT_LANE_SETTLING;
    ask(l, &up->blob[at], CLIENT_BLOB_SETTLE)->ret = ret;
}

/* ---- what goes out ---- */

static void put_have(struct client_lane *l, const struct client_event *ev,
                     struct client_update *up)
{
    Ztc__BlobHave m = ZTC__BLOB_HAVE__INIT;

    m.attachment = id_data(&l->attachment);
    m.hash = wire_data((struct slice){l->hash, HASH_SIZE});
    m.size = l->size;
    frame_put_blob_have(&up->out, &m);
    l->state = CLIENT_LANE_ASKED;
    l->since = ev->now;
}

static void put_want(struct client_lane *l, const struct client_event *ev,
                     struct client_update *up)
{
    Ztc__BlobWant m = ZTC__BLOB_WANT__INIT;

    m.attachment = id_data(&l->attachment);
    m.offset = l->offset;
    frame_put_blob_want(&up->out, &m);
    l->state = CLIENT_LANE_ASKED;
    l->since = ev->now;
}

static void put_chunk(struct client_lane *l, const struct client_event *ev,
                      struct client_update *up)
{
    Ztc__BlobChunk m = ZTC__BLOB_CHUNK__INIT;

    m.attachment = id_data(&l->attachment);
    m.offset = l->offset;
    m.bytes = wire_data(ev->blob.bytes);
    frame_put_blob_chunk(&up->out, &m);
    l->state = CLIENT_LANE_ASKED;
    l->since = ev->now;
    l->bytes += ev->blob.bytes.len;
}

/* The city answers the same when it has noted it: else nobody there would know. */
static void put_lost(struct client_lane *l, const struct client_event *ev,
                     struct client_update *up)
{
    Ztc__BlobDone m = ZTC__BLOB_DONE__INIT;

    m.attachment = id_data(&l->attachment);
    m.has_code = true;
    m.code = wire_data(slice_str(err_code(E_BLOB_LOST)));
    frame_put_blob_done(&up->out, &m);
    l->state = CLIENT_LANE_ASKED;
    l->since = ev->now;
}

/* ---- what comes in ---- */

bool client_blob_passes(int ret)
{
    return ret == E_NOMEM || ret == E_IO || ret == E_FULL || ret == E_BUSY || ret == E_READONLY ||
           ret == E_INTERNAL || ret == E_CLOSED;
}

int client_blob_recv_want(struct client_session *s, const struct client_event *ev)
{
    struct client_lane *l = &s->lanes[CLIENT_LANE_UP];
    const Ztc__BlobWant *m = ev->frame->blob_want;

    if (l->state != CLIENT_LANE_ASKED || !same(l, m->attachment) || m->offset >= l->size)
        return E_PROTOCOL;
    l->offset = m->offset;
    l->tries = 0;
    l->state = CLIENT_LANE_DUE;
    client_session_progress(s, ev->now);
    return 0;
}

int client_blob_recv_chunk(struct client_session *s, const struct client_event *ev,
                           struct client_update *up)
{
    struct client_lane *l = &s->lanes[CLIENT_LANE_DOWN];
    const Ztc__BlobChunk *m = ev->frame->blob_chunk;

    if (l->state != CLIENT_LANE_ASKED || !same(l, m->attachment) || m->offset != l->offset ||
        m->bytes.len != chunk_len(l))
        return E_PROTOCOL;
    l->tries = 0;
    l->state = CLIENT_LANE_WORKING;
    l->bytes += m->bytes.len;
    ask(l, &up->blob[CLIENT_LANE_DOWN], CLIENT_BLOB_WRITE)->bytes = wire_slice(m->bytes);
    client_session_progress(s, ev->now);
    return 0;
}

/* Bytes that failed their check are sent or fetched again, once. */
static void try_again(struct client_lane *l, struct client_update *up, enum client_lane_name at)
{
    if (l->again) {
        settle(l, up, at, E_CORRUPT);
        return;
    }
    l->again = l->look = true;
    l->state = CLIENT_LANE_IDLE;
}

static int code_of(const Ztc__BlobDone *m)
{
    char code[WIRE_CODE_MAX + 1] = "";

    if (!m->has_code)
        return 0;
    memcpy(code, m->code.data, m->code.len);
    return err_from_code(code);
}

/* Of the lane that waits for an answer about this attachment; it may be both, one after the other. */
int client_blob_recv_done(struct client_session *s, const struct client_event *ev,
                          struct client_update *up)
{
    const Ztc__BlobDone *m = ev->frame->blob_done;
    int ret = code_of(m);
    enum client_lane_name at = CLIENT_LANE_UP;
    struct client_lane *l;

    if (s->lanes[at].state != CLIENT_LANE_ASKED || !same(&s->lanes[at], m->attachment))
        at = CLIENT_LANE_DOWN;
    l = &s->lanes[at];
    if (l->state != CLIENT_LANE_ASKED || !same(l, m->attachment) ||
        (at == CLIENT_LANE_DOWN && ret == 0))
        return E_PROTOCOL;
    if (ret == E_CORRUPT)
        try_again(l, up, at);
    else if (client_blob_passes(ret))
        leave(l, ev->now);
    else
        settle(l, up, at, ret);
    client_session_progress(s, ev->now);
    return 0;
}

/* ---- what the driver answers ---- */

static void on_next(struct client_lane *l, const struct client_event *ev, struct client_update *up)
{
    const struct client_blob_answer *b = &ev->blob;
    bool other = !id_eq(&l->attachment, &b->attachment);

    if (b->ret != 0 && b->ret != E_BLOB_LOST) {
        leave(l, ev->now);
        return;
    }
    if (!b->found) {
        l->state = CLIENT_LANE_IDLE;
        return;
    }
    l->again = l->again && !other;
    l->attachment = b->attachment;
    memcpy(l->hash, b->hash, HASH_SIZE);
    l->size = b->size;
    l->offset = b->offset;
    if (b->lane == CLIENT_LANE_DOWN && l->offset >= l->size) {
        settle(l, up, b->lane, 0); /* all of it was here */
    } else if (b->lane == CLIENT_LANE_DOWN) {
        put_want(l, ev, up);
    } else if (b->ret == E_BLOB_LOST) {
        put_lost(l, ev, up);
    } else {
        put_have(l, ev, up);
    }
}

static void on_read(struct client_lane *l, const struct client_event *ev, struct client_update *up)
{
    int ret = ev->blob.ret;

    if (ret == 0) {
        assert(ev->blob.bytes.len == chunk_len(l));
        put_chunk(l, ev, up);
    } else if (client_blob_passes(ret) || ret == E_DENIED) { /* of the files here */
        leave(l, ev->now);
    } else {
        put_lost(l, ev, up);
    }
}

static void on_written(struct client_lane *l, const struct client_event *ev,
                       struct client_update *up)
{
    int ret = ev->blob.ret;

    if (ret == E_CORRUPT) {
        l->offset = 0;
        try_again(l, up, CLIENT_LANE_DOWN);
    } else if (ret != 0) {
        leave(l, ev->now);
    } else {
        l->offset += chunk_len(l);
        if (l->offset < l->size)
            put_want(l, ev, up);
        else
            settle(l, up, CLIENT_LANE_DOWN, 0);
    }
}

void client_blob_answered(struct client_session *s, const struct client_event *ev,
                          struct client_update *up)
{
    struct client_lane *l = &s->lanes[ev->blob.lane];

    if (!is_serving(s))
        return;
    switch (ev->blob.ask) {
    case CLIENT_BLOB_NEXT:
        on_next(l, ev, up);
        break;
    case CLIENT_BLOB_READ:
        on_read(l, ev, up);
        break;
    case CLIENT_BLOB_WRITE:
        on_written(l, ev, up);
        break;
    case CLIENT_BLOB_SETTLE:
        s->ledger = ev->ledger;
        if (ev->blob.ret != 0) {
            client_session_fail(s, ev, up, ev->blob.ret);
            return;
        }
        l->state = CLIENT_LANE_IDLE;
        l->look = true;
        client_session_progress(s, ev->now);
        break;
    case CLIENT_BLOB_NOTHING:
        break;
    }
}

/* ---- from the session ---- */

void client_blob_look(struct client_session *s)
{
    for (size_t i = 0; i < CLIENT_LANES; i++)
        s->lanes[i].look = true;
}

void client_blob_forget(struct client_session *s)
{
    for (size_t i = 0; i < CLIENT_LANES; i++)
        s->lanes[i] = (struct client_lane){.bytes = s->lanes[i].bytes};
}

void client_blob_go_on(struct client_session *s, const struct client_event *ev,
                       struct client_update *up, bool quiet)
{
    for (size_t i = 0; i < CLIENT_LANES; i++) {
        struct client_lane *l = &s->lanes[i];

        if (!is_serving(s) || up->blob[i].ask != CLIENT_BLOB_NOTHING)
            continue;
        if (l->state == CLIENT_LANE_OFF && l->until <= ev->now) {
            l->state = CLIENT_LANE_IDLE;
            l->look = true;
        }
        if (l->state == CLIENT_LANE_IDLE && l->look) {
            l->look = false;
            l->state = CLIENT_LANE_LOOKING;
            up->blob[i].ask = CLIENT_BLOB_NEXT;
        } else if (l->state == CLIENT_LANE_DUE && quiet && up->out.len == 0) {
            l->state = CLIENT_LANE_WORKING;
            ask(l, &up->blob[i], CLIENT_BLOB_READ)->len = chunk_len(l);
        }
    }
}

bool client_session_fetches(const struct client_session *s)
{
    const struct client_lane *l = &s->lanes[CLIENT_LANE_DOWN];

    return l->look || (l->state != CLIENT_LANE_IDLE && l->state != CLIENT_LANE_OFF);
}

msec_t client_blob_retry(const struct client_session *s)
{
    msec_t first = 0;

    for (size_t i = 0; i < CLIENT_LANES; i++) {
        const struct client_lane *l = &s->lanes[i];

        if (l->state == CLIENT_LANE_OFF && (first == 0 || l->until < first))
            first = l->until;
    }
    return first;
}

/* Asked, and neither this nor anything else moved since. */
msec_t client_blob_due(const struct client_session *s)
{
    msec_t first = 0;

    for (size_t i = 0; i < CLIENT_LANES; i++) {
        const struct client_lane *l = &s->lanes[i];
        msec_t from = l->since > s->progress_at ? l->since : s->progress_at;

        if (l->state == CLIENT_LANE_ASKED && (first == 0 || from + s->options->stall_within < first))
            first = from + s->options->stall_within;
    }
    return first;
}
