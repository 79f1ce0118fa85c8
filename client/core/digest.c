/* Comparing tables with the city when what it signed is not what they come to.
 *
 *          differs          serving           answer, kept packed      the cursor stands at its seq
 *   IDLE ----------> WANTED --------> ASKED ----------------> HELD ------------------------> COMPARING
 *     ^                                 ^                                                        |
 *     |                                 +---------------------- more to ask ---------------------+
 *     +------------------------------------------- nothing more --------------------------------+
 *
 * What the store makes of an answer, and what it asks next, is its business (store/repair.h). The city ends
 * a batch of entries at an answer's seq, so the cursor comes to stand there; entries behind it wait.
 * Exchanges that repair nothing are bounded: then the session lives on without, and the tables stay known
 * to differ. */
#include "client/core/session_internal.h"

#include "common/base/err.h"

#include <assert.h>

#define ASKS_MAX    16u /* without a repair; five find a row in a million */
#define REPORTS_MAX 64u

static bool is_serving(const struct client_session *s)
{
    return s->state == CLIENT_CATCHING_UP || s->state == CLIENT_UP_TO_DATE;
}

bool client_digest_busy(const struct client_session *s)
{
    return s->digest.step != DIGEST_IDLE;
}

void client_digest_differs(struct client_session *s, uint32_t stream)
{
    struct client_digest *d = &s->digest;

    if (stream == 0 || d->step != DIGEST_IDLE || d->given_up)
        return;
    d->ask = (struct client_digest_ask){.stream = stream};
    d->step = DIGEST_WANTED;
}

static void put_ask(const struct client_digest_ask *ask, struct client_update *up)
{
    Ztc__DigestAsk m = ZTC__DIGEST_ASK__INIT;

    m.stream = ask->stream;
    m.has_kind = ask->kind != 0;
    m.kind = ask->kind;
    m.has_after = ask->has_after;
    m.after = wire_data((struct slice){ask->after.b, ID_SIZE});
    m.has_upto = ask->has_upto;
    m.upto = wire_data((struct slice){ask->upto.b, ID_SIZE});
    m.has_ids = ask->n_ids > 0;
    m.ids = wire_data((struct slice){ask->ids[0].b, ask->n_ids * ID_SIZE});
    frame_put_digest_ask(&up->out, &m);
}

void client_digest_want(struct client_session *s, struct client_update *up)
{
    struct client_digest *d = &s->digest;

    if (!is_serving(s) || s->hand_in || d->step != DIGEST_WANTED)
        return;
    put_ask(&d->ask, up);
    d->asks++;
    d->step = DIGEST_ASKED;
}

static int keep_answer(struct client_session *s, const struct client_event *ev, uint32_t stream,
                       uint32_t kind, uint64_t seq)
{
    struct client_digest *d = &s->digest;
    struct client_stream *t = client_session_stream(s, stream);

    if (d->step != DIGEST_ASKED || t == NULL || stream != d->ask.stream || kind != d->ask.kind ||
        seq < t->arrived)
        return E_PROTOCOL;
    if (t->head < seq)
        t->head = seq;
    frame_put(&d->answer, ev->frame);
    if (d->answer.ret != 0)
        return d->answer.ret;
    d->at_seq = seq;
    d->step = DIGEST_HELD;
    return 0;
}

int client_digest_recv_tell(struct client_session *s, const struct client_event *ev)
{
    const Ztc__DigestTell *m = ev->frame->digest_tell;

    if (s->digest.ask.n_ids > 0)
        return E_PROTOCOL;
    return keep_answer(s, ev, m->stream, m->has_kind ? m->kind : 0, m->seq);
}

int client_digest_recv_rows(struct client_session *s, const struct client_event *ev)
{
    const Ztc__RepairRows *m = ev->frame->repair_rows;

    if (s->digest.ask.n_ids == 0)
        return E_PROTOCOL;
    return keep_answer(s, ev, m->stream, m->kind, m->seq);
}

/* Entries behind the answer wait for it; while it is compared, everything does. */
bool client_digest_blocks(const struct client_session *s, const Ztc__Frame *f)
{
    const struct client_digest *d = &s->digest;

    if (d->step == DIGEST_COMPARING)
        return true;
    return d->step == DIGEST_HELD && f->kind_case == ZTC__FRAME__KIND_ENTRIES &&
           f->entries->stream == d->ask.stream && f->entries->first_seq > d->at_seq;
}

static int hand_over(struct client_digest *d, const struct client_event *ev,
                     struct client_update *up)
{
    struct slice bytes = {d->answer.p + FRAME_PREFIX, d->answer.len - FRAME_PREFIX};
    Ztc__Frame *f;
    int ret = frame_unpack(ev->arena, bytes, &f);

    if (ret != 0)
        return ret;
    if (f->kind_case == ZTC__FRAME__KIND_DIGEST_TELL)
        up->digest.tell = f->digest_tell;
    else
        up->digest.rows = f->repair_rows;
    up->digest.ask = &d->ask;
    return 0;
}

static void drop_answer(struct client_digest *d)
{
    buf_release(&d->answer);
    buf_clear(&d->answer);
}

void client_digest_take_in(struct client_session *s, const struct client_event *ev,
                           struct client_update *up)
{
    struct client_digest *d = &s->digest;
    const struct client_stream *t = client_session_stream(s, d->ask.stream);
    int ret;

    if (!is_serving(s) || d->step != DIGEST_HELD || s->applying > 0 || s->refusing)
        return;
    if (t->applied > d->at_seq) { /* a batch went past it */
        client_session_fail(s, ev, up, E_PROTOCOL);
        return;
    }
    if (t->applied < d->at_seq)
        return;
    ret = hand_over(d, ev, up);
    drop_answer(d);
    d->step = DIGEST_COMPARING;
    if (ret != 0)
        client_session_fail(s, ev, up, ret);
}

static void put_repairs(const struct client_event *ev, struct client_update *up)
{
    for (size_t i = 0; i < ev->compared.n_repairs && i < REPORTS_MAX; i++) {
        const struct client_repair *r = &ev->compared.repairs[i];
        Ztc__Repaired m = ZTC__REPAIRED__INIT;

        m.no = r->no;
        m.at = r->at;
        m.stream = r->stream;
        m.kind = r->kind;
        m.id = wire_data((struct slice){r->id.b, ID_SIZE});
        m.seq = r->seq;
        m.how = (Ztc__Repaired__How)r->how;
        frame_put_repaired(&up->out, &m);
    }
}

void client_digest_compared(struct client_session *s, const struct client_event *ev,
                            struct client_update *up)
{
    if ((s->state != CLIENT_CHECKING && !is_serving(s)) || s->hand_in)
        return;
    if (is_serving(s)) /* else another time: nothing is said before the chains were compared */
        put_repairs(ev, up);
    client_digest_differs(s, ev->compared.differs);
}

void client_digest_answered(struct client_session *s, const struct client_event *ev,
                            struct client_update *up)
{
    struct client_digest *d = &s->digest;

    if (!is_serving(s))
        return;
    assert(d->step == DIGEST_COMPARING);
    if (ev->ret != 0) {
        client_session_fail(s, ev, up, ev->ret);
        return;
    }
    put_repairs(ev, up);
    d->step = DIGEST_IDLE;
    if (ev->compared.n_repairs > 0)
        d->asks = 0;
    if (ev->compared.more && d->asks < ASKS_MAX) {
        d->ask = ev->compared.next;
        d->step = DIGEST_WANTED;
    } else if (ev->compared.differs == d->ask.stream) {
        d->given_up = true;
    } else {
        d->asks = 0;
        client_digest_differs(s, ev->compared.differs);
    }
}

int client_digest_recv_repaired(struct client_session *s, const struct client_event *ev,
                                struct client_update *up)
{
    (void)s;
    up->repair_told = ev->frame->repaired->no;
    return 0;
}

void client_digest_init(struct client_session *s)
{
    buf_init(&s->digest.answer, FRAME_PREFIX + FRAME_MAX);
}

void client_digest_end(struct client_session *s)
{
    drop_answer(&s->digest);
    s->digest.step = DIGEST_IDLE;
}
