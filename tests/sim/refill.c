/* A city that was put back and the computers that have more than it: where they stand to each other, what is
 * handed back, and where a computer goes back to. As server/net/uv_conn_jobs.c and uv_conn_refill.c do it. */
#include "tests/sim/world_internal.h"

#include "client/store/exchange.h"
#include "common/base/mem.h"

#include <string.h>

#define FORGE_ARENA (8u << 20)

/* ---- Hello ---- */

static uint32_t stream_of(const struct link *l, size_t i)
{
    return i == 0 ? STREAM_SHARED : i == 1 ? l->ss.site : STREAM_CITY;
}

static void take_cursor(struct job *job, const Ztc__Cursor *from)
{
    for (size_t i = 0; i < SERVER_STREAMS; i++) {
        struct city_cursor *to = &job->cursors[i];

        if (from->stream != to->stream)
            continue;
        to->seq = from->seq;
        to->log_from = from->log_from;
        memcpy(to->hash, from->hash.data, HASH_SIZE);
        memcpy(to->incarnation.b, from->incarnation.data, ID_SIZE);
    }
}

static void take_head(struct job *job, size_t i, const Ztc__SignedHead *from)
{
    struct city_cursor *to = &job->cursors[i];

    to->head = writer_keep(job, wire_slice(from->head));
    to->signature = writer_keep(job, wire_slice(from->signature));
    if (i == SERVER_STREAMS)
        return;
    job->link->shown[i].head_len = from->head.len;
    job->link->shown[i].signature_len = from->signature.len;
    memcpy(job->link->shown[i].head, from->head.data, from->head.len);
    memcpy(job->link->shown[i].signature, from->signature.data, from->signature.len);
}

void refill_hello(struct job *job, const Ztc__Hello *m)
{
    struct head h;

    for (size_t i = 0; i < SERVER_STREAMS + 1; i++)
        job->cursors[i].stream = stream_of(job->link, i);
    for (size_t i = 0; i < m->n_cursors; i++)
        take_cursor(job, m->cursors[i]);
    for (size_t i = 0; i < m->n_heads; i++) {
        if (head_decode(wire_slice(m->heads[i]->head), &h) == 0)
            take_head(job, h.stream == STREAM_SHARED ? 0 : 1, m->heads[i]);
    }
    if (m->city_head != NULL)
        take_head(job, SERVER_STREAMS, m->city_head);
    if (m->has_acked_n)
        memcpy(job->acked_chain, m->acked_chain.data, HASH_SIZE);
}

/* ---- how the replica stands to the store ---- */

static int cursors(struct world *w, struct job *job, struct err *err)
{
    struct server_facts *f = &job->facts;
    bool straggles = false;
    int ret = 0;

    for (size_t i = 0; ret == 0 && i < SERVER_STREAMS + 1; i++) {
        struct city_stand stand;

        ret = city_stand(w->city, &job->cursors[i], &stand, err);
        if (ret == 0 && stand.place == PLACE_FREEZES)
            return E_RECOVERING;
        job->shown[i] = stand.shown;
        if (ret != 0 || i == SERVER_STREAMS)
            continue;
        f->cursor_ok[i] = stand.place != PLACE_FORKED;
        f->restored = f->restored || stand.place == PLACE_OTHER_LIFE;
        f->refill[i].from_seq = stand.ask_from;
        f->refill[i].upto_seq = stand.ask_upto;
        f->refill[i].back = stand.back;
        f->refill[i].back_to = stand.back_to;
        straggles = straggles || stand.back;
    }
    w->counts[SIM_STRAGGLER] += straggles;
    return ret;
}

static int own(struct world *w, struct job *job, const struct replica_row *row, struct err *err)
{
    struct server_facts *f = &job->facts;
    int ret = 0;

    f->accepted_n = row->accepted_n;
    memcpy(f->accepted_chain, row->own_chain, HASH_SIZE);
    memcpy(f->acked_chain, job->acked_chain, HASH_SIZE);
    if (job->acked_n > row->accepted_n && city_was_restored(w->city) && !f->restored) {
        f->accepted_n = job->adopt_n = job->acked_n;
        memcpy(f->accepted_chain, job->acked_chain, HASH_SIZE);
    } else if (job->acked_n <= row->accepted_n) {
        ret = city_replica_chain(w->city, &row->id, job->acked_n, f->acked_chain, err);
    }
    return ret == E_NOTFOUND && city_was_restored(w->city) ? 0 : ret;
}

int refill_facts(struct world *w, struct job *job, const struct replica_row *row, struct err *err)
{
    int ret = cursors(w, job, err);

    return ret == 0 ? own(w, job, row, err) : ret;
}

/* What a recovery wants to know of it, before anything else it says is written. */
void refill_heard(const struct job *facts)
{
    struct world *w = facts->link->w;
    struct job *job;

    if (facts->ret == E_RECOVERING)
        (void)writer_job(w, JOB_FREEZE, NULL);
    if (facts->ret != 0 || (facts->adopt_n == 0 && !city_recovering(w->city) &&
                            !facts->facts.refill[0].back && !facts->facts.refill[1].back))
        return;
    job = writer_job(w, JOB_HEARD, facts->link);
    job->own_n = facts->own_n;
    memcpy(job->facts.refill, facts->facts.refill, sizeof job->facts.refill);
    job->adopt_n = facts->adopt_n;
    memcpy(job->acked_chain, facts->acked_chain, HASH_SIZE);
    memcpy(job->shown, facts->shown, sizeof job->shown);
}

/* ---- jobs ---- */

static int heard(struct world *w, struct job *job, struct err *err)
{
    const struct id *id = &job->link->ss.replica;
    uint32_t streams[SERVER_STREAMS + 1];
    int ret;

    for (size_t i = 0; i < SERVER_STREAMS + 1; i++)
        streams[i] = stream_of(job->link, i);
    ret = city_heard(w->city, id, streams, job->shown, SERVER_STREAMS + 1, err);
    if (ret == 0 && job->adopt_n != 0) {
        ret = city_adopt(w->city, id, job->adopt_n, job->acked_chain, err);
        w->counts[SIM_ADOPTED]++;
    }
    for (size_t i = 0; ret == 0 && i < SERVER_STREAMS; i++) {
        if (job->facts.refill[i].back)
            ret = city_went_back(w->city, id, streams[i], job->facts.refill[i].back_to, job->own_n, err);
    }
    return ret;
}

/* Only a store that was put back behind its own back learns of it this way. */
static int freeze(struct world *w, struct err *err)
{
    if (city_recovering(w->city))
        return 0;
    if (!w->restore.silent)
        world_fail(w, "a straggler froze the city");
    return city_restart(w->city, "frozen by a head", err);
}

static int refill(struct world *w, struct job *job, struct err *err)
{
    const struct id *id = &job->link->ss.replica;
    const struct client_shown *shown = &job->link->shown[job->stream == STREAM_SHARED ? 0 : 1];
    struct slice head = {shown->head, shown->head_len};
    struct slice signature = {shown->signature, shown->signature_len};
    int ret = job->first_seq == job->from_seq ? city_refill_drop(w->city, id, err) : 0;

    if (ret == 0)
        ret = city_refill_put(w->city, id, job->stream, job->first_seq, job->entries, job->n, err);
    if (ret == 0 && job->last)
        ret = city_refill_take(w->city, id, job->stream, job->from_seq, head, signature, &job->taken,
                               &job->word, err);
    return ret;
}

int refill_run(struct world *w, struct job *job, struct err *err)
{
    switch (job->kind) {
    case JOB_HEARD:
        return heard(w, job, err);
    case JOB_FREEZE:
        return freeze(w, err);
    case JOB_REFILL:
        return refill(w, job, err);
    case JOB_CLOSE:
        if (!city_recovering(w->city))
            return 0;
        fault_restore_closed(w);
        return city_recover_close(w->city, "wang", err);
    default:
        return E_INTERNAL;
    }
}

static void judge_refill(struct world *w, const struct job *job)
{
    if (job->ret != 0 || !job->last)
        return;
    job->link->not_taken = job->word != 0;
    if (job->link->forged != (job->word != 0))
        world_fail(w, "%s refill of replica %u: %s", job->link->forged ? "a forged" : "an honest",
                   job->link->replica, err_code(job->word));
    w->counts[SIM_FORGED] += job->link->forged;
    if (city_recovering(w->city))
        w->counts[SIM_REFILLED] += job->taken > 0;
    else
        w->counts[SIM_LATE_ACT] += (unsigned)job->taken;
    w->counts[SIM_NEW_WORK] += !city_recovering(w->city) && w->restore.worked;
    world_say(w, "refill of replica %u, stream %u: %llu taken %s", job->link->replica, job->stream,
              (unsigned long long)job->taken, err_code(job->word));
}

void refill_answer(struct job *job)
{
    struct server_event ev = {.kind = SERVER_REFILLED};

    if (job->kind != JOB_REFILL)
        return;
    judge_refill(job->link->w, job);
    ev.refilled.ret = job->ret != 0 ? job->ret : job->word;
    network_server_event(job->link, &ev);
}

/* ---- handing back ---- */

void refill_follow(struct link *l, const struct server_update *up)
{
    const Ztc__EntriesBody *body = up->refill.body;
    struct job *job;

    if (body == NULL)
        return;
    job = writer_job(l->w, JOB_REFILL, l);
    job->stream = up->refill.stream;
    job->first_seq = up->refill.first_seq;
    job->from_seq = up->refill.from_seq;
    job->last = up->refill.last;
    job->n = body->n_entries;
    job->entries = arena_zalloc(&job->arena, job->n * sizeof *job->entries);
    for (size_t i = 0; i < job->n; i++) {
        const Ztc__Entry *e = body->entries[i];

        job->entries[i].received_at = e->received_at;
        job->entries[i].verdict = writer_keep(job, wire_slice(e->verdict));
        job->entries[i].bytes = writer_keep(job, wire_slice(e->bytes));
        if (e->has_side)
            job->entries[i].side = writer_keep(job, wire_slice(e->side));
    }
}

/* One entry is another; the chain over it would be in order. */
static void forge(struct link *l, struct client_event *ev)
{
    Ztc__EntriesBody *body;
    struct buf plain;
    struct arena a;

    arena_init(&a, FORGE_ARENA);
    buf_init(&plain, WIRE_BODY_MAX);
    if (body_open_entries(&l->codec, ev->refill.body, ev->refill.size, ev->refill.count, &a, &body) != 0)
        world_fail(l->w, "what is handed back cannot be opened");
    for (size_t i = 0; l->w->why[0] == '\0' && i < body->n_entries; i++) {
        const Ztc__Entry *e = body->entries[i];

        body_put_entry(&plain, e->received_at + (i == 0), wire_slice(e->verdict), 0,
                       wire_slice(e->bytes),
                       e->has_side ? wire_slice(e->side) : (struct slice){NULL, 0});
    }
    buf_clear(&l->packed);
    if (body_compress(&l->codec, buf_slice(&plain), &l->packed) != 0)
        world_fail(l->w, "a forgery cannot be packed");
    ev->refill.size = (uint32_t)plain.len;
    ev->refill.body = buf_slice(&l->packed);
    buf_release(&plain);
    arena_release(&a);
    l->forged = true;
}

void refill_hand_back(struct link *l, struct client_event *ret, struct err *err)
{
    struct world *w = l->w;

    exchange_refill(w->replicas[l->replica].r, &l->cup, &l->codec, &l->packed, ret, err);
    if (ret->ret != 0 || w->restore.forger != (int)l->replica)
        return;
    w->restore.forger = -1;
    forge(l, ret);
}

void refill_go_back(struct link *l, struct client_event *ret, struct err *err)
{
    struct world *w = l->w;
    struct sim_replica *r = &w->replicas[l->replica];

    exchange_go_back(r->r, &l->cup, ret, err);
    if (ret->ret != 0)
        return;
    world_say(w, "replica %u goes back", r->no);
    w->counts[SIM_GONE_BACK]++;
    memset(r->saw, 0, sizeof r->saw);
    r->cursor = 0;
}
