/* A county whose tables are not what a head says asks what they should come to, and for rows.
 *
 *   DigestAsk ─► tell ─► answer of one moment, seq S ─► DigestTell, RepairRows
 *                          └► the next batch of entries ends at S
 *
 * One question at a time. Until it is answered no batch is read: what was sent, or is being read, was committed
 * before the answer's moment, so the county comes to stand at S exactly. A repair that it reports is stored
 * and then acknowledged by the same frame. */
#include "server/core/session_internal.h"

#include "common/base/err.h"

#include <assert.h>

int server_digest_recv_ask(struct server_session *s, const struct server_event *ev,
                           struct server_update *up)
{
    const Ztc__DigestAsk *m = ev->frame->digest_ask;

    if (s->hands_in || s->told_stream != 0)
        return E_PROTOCOL;
    if (server_session_stream(s, m->stream) == NULL)
        return E_DENIED;
    s->told_stream = m->stream;
    s->told_kind = m->has_kind ? m->kind : 0;
    s->told_rows = m->has_ids;
    s->due[SERVER_DUE_TELL] = ev->now + s->options->store_within;
    up->tell = m;
    return 0;
}

bool server_digest_busy(const struct server_session *s)
{
    return s->told_stream != 0;
}

static void put_tell(const struct server_session *s, const struct server_told *t,
                     struct server_update *up)
{
    Ztc__DigestTell m = ZTC__DIGEST_TELL__INIT;

    m.stream = s->told_stream;
    m.seq = t->seq;
    m.has_kind = s->told_kind != 0;
    m.kind = s->told_kind;
    m.form = t->form;
    m.list = wire_data(t->list);
    frame_put_digest_tell(&up->out, &m);
}

static void put_rows(const struct server_session *s, const struct server_told *t,
                     struct server_update *up)
{
    Ztc__RepairRows m = ZTC__REPAIR_ROWS__INIT;
    ProtobufCBinaryData rows[WIRE_REPAIR_MAX];

    assert(t->n_rows <= WIRE_REPAIR_MAX);
    for (size_t i = 0; i < t->n_rows; i++)
        rows[i] = wire_data(t->rows[i]);
    m.stream = s->told_stream;
    m.seq = t->seq;
    m.kind = s->told_kind;
    m.covered = t->covered;
    m.rows = rows;
    m.n_rows = t->n_rows;
    frame_put_repair_rows(&up->out, &m);
}

void server_digest_told(struct server_session *s, const struct server_event *ev,
                        struct server_update *up)
{
    const struct server_told *t = ev->told;
    struct server_stream *stream;

    if (s->state != SERVER_SERVING)
        return;
    s->due[SERVER_DUE_TELL] = 0;
    if (t->ret != 0) {
        server_session_fail(s, ev, up, t->ret);
        return;
    }
    stream = server_session_stream(s, s->told_stream);
    assert(stream != NULL && t->seq >= stream->sent);
    stream->stop_at = t->seq;
    if (s->told_rows)
        put_rows(s, t, up);
    else
        put_tell(s, t, up);
    s->told_stream = 0;
}

uint64_t server_digest_upto(const struct server_stream *t)
{
    return t->stop_at > t->sent && t->stop_at < t->head ? t->stop_at : t->head;
}

int server_digest_recv_repaired(struct server_session *s, const struct server_event *ev,
                                struct server_update *up)
{
    if (s->hands_in)
        return E_PROTOCOL;
    if (server_session_stream(s, ev->frame->repaired->stream) == NULL)
        return E_DENIED;
    up->repaired = ev->frame->repaired;
    return 0;
}

void server_digest_noted(struct server_session *s, const struct server_event *ev,
                         struct server_update *up)
{
    if (s->state == SERVER_SERVING)
        frame_put_repaired(&up->out, ev->noted);
}
