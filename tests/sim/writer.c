/* The city's writer in the world: jobs gather, one commit takes them together, crashes strike before it or
 * between it and the answers. */
#include "tests/sim/world_internal.h"

#include "common/base/mem.h"
#include "server/core/prepare.h"
#include "server/net/tail.h"
#include "server/store/tell.h"

#include <stdlib.h>
#include <string.h>

#define JOB_ARENA      (16u << 20)
#define RETRY_FIRST_MS 100u
#define RETRY_MAX_MS   3000u

static void commit(struct world *w, void *subject);

struct job *writer_job(struct world *w, enum job_kind kind, struct link *l)
{
    struct job *job = mem_calloc(1, sizeof *job);

    if (job == NULL)
        abort();
    job->kind = kind;
    job->link = l;
    arena_init(&job->arena, JOB_ARENA);
    *w->jobs_end = job;
    w->jobs_end = &job->next;
    if (!w->commit_due) {
        w->commit_due = true;
        world_at(w, 1 + world_roll(w, 8), commit, NULL);
    }
    return job;
}

static void free_job(struct job *job)
{
    arena_release(&job->arena);
    mem_free(job);
}

void writer_drop_all(struct world *w)
{
    while (w->jobs != NULL) {
        struct job *next = w->jobs->next;

        free_job(w->jobs);
        w->jobs = next;
    }
    w->jobs_end = &w->jobs;
}

/* ---- what sessions ask ---- */

struct slice writer_keep(struct job *job, struct slice s)
{
    return (struct slice){arena_dup(&job->arena, s.p, s.len), s.len};
}

void writer_ask(struct link *l, const Ztc__Hello *m)
{
    struct job *job = writer_job(l->w, JOB_FACTS, l);

    job->own_n = m->own_n;
    job->acked_n = m->has_acked_n ? m->acked_n : 0;
    refill_hello(job, m);
}

void writer_submit(struct link *l, const struct push_item *items, uint32_t n)
{
    struct job *job = writer_job(l->w, JOB_PUSH, l);

    job->n = n;
    job->bytes = arena_alloc(&job->arena, n * sizeof *job->bytes);
    job->sides = arena_alloc(&job->arena, n * sizeof *job->sides);
    for (uint32_t i = 0; i < n; i++) {
        job->bytes[i] = writer_keep(job, items[i].bytes);
        job->sides[i] = writer_keep(job, items[i].side);
    }
}

void writer_ack(struct link *l, const Ztc__RefusedAck *m)
{
    struct job *job = writer_job(l->w, JOB_ACK, l);

    job->first_n = m->first_n;
    job->until_n = m->until_n;
}

void writer_refusals(struct link *l, uint64_t from_n)
{
    writer_job(l->w, JOB_REFUSALS, l)->first_n = from_n;
}

void writer_blob(struct link *l, const struct server_blob_want *want, bool held)
{
    struct job *job = writer_job(l->w, JOB_BLOB, l);

    job->blob = *want;
    job->blob.bytes = (struct slice){NULL, 0};
    job->held = held;
}

void writer_city_act(struct world *w)
{
    (void)writer_job(w, JOB_CITY_ACT, NULL);
}

/* ---- reads of committed entries ---- */

struct reading {
    struct link *l;
    struct batch_limits limits;
    uint32_t stream;
    uint64_t from;
};

static int add_entry(void *ctx, const struct entry *e)
{
    struct tail_entry *t;
    bool more;
    int ret = tail_entry_new(e, &t);

    if (ret != 0)
        return ret;
    more = batch_add(ctx, t);
    mem_free(t);
    return more ? 0 : 1;
}

int writer_batch(struct link *l, uint32_t stream, uint64_t from, const struct batch_limits *limits,
                 struct buf *body, uint32_t *ret_count, uint32_t *ret_size, struct err *err)
{
    struct batch b;
    int ret;

    batch_init(&b, limits);
    ret = store_entry_each(city_store(l->w->city), stream, from, add_entry, &b, err);
    if (ret >= 0)
        ret = batch_finish(&b, &l->codec, body, ret_size);
    *ret_count = b.count;
    batch_release(&b);
    return ret;
}

static void read_now(struct world *w, void *subject)
{
    struct reading *r = subject;
    struct server_event ev = {.kind = SERVER_READ};
    struct err err = {.ret = 0};
    struct buf body;
    uint64_t seq;

    buf_init(&body, 2u * WIRE_BODY_MAX);
    if (r->l->server_open && w->city != NULL) {
        ev.read.ret = writer_batch(r->l, r->stream, r->from, &r->limits, &body, &ev.read.count,
                                   &ev.read.size, &err);
        if (ev.read.ret == 0)
            ev.read.ret = city_head(w->city, r->stream, &ev.read.closing.head,
                                    &ev.read.closing.signature, &seq);
        if (ev.read.ret != 0 && !computers_excuse(w->city_disk, ev.read.ret))
            world_fail(w, "the city cannot read its log: %s", err.text);
        ev.read.stream = r->stream;
        ev.read.first_seq = r->from;
        ev.read.body = buf_slice(&body);
        network_server_event(r->l, &ev);
    }
    buf_release(&body);
    mem_free(r);
}

void writer_read(struct link *l, const struct server_update *up)
{
    struct reading *r = mem_calloc(1, sizeof *r);

    if (r == NULL)
        abort();
    r->l = l;
    r->stream = up->read.stream;
    r->from = up->read.from_seq;
    r->limits = (struct batch_limits){.upto_seq = up->read.upto_seq,
                                      .reader = l->ss.replica,
                                      .echo_above = up->read.echo_above,
                                      .max_entries = up->read.max_entries,
                                      .max_bytes = up->read.max_bytes};
    world_at(l->w, world_roll(l->w, 10), read_now, r);
}

/* ---- questions about tables ---- */

struct telling {
    struct link *l;
    struct tell_ask ask;
};

static void tell_now(struct world *w, void *subject)
{
    struct telling *t = subject;
    struct server_event ev = {.kind = SERVER_TOLD};
    struct server_told told;
    struct err err = {.ret = 0};
    struct arena a;

    arena_init(&a, JOB_ARENA);
    if (t->l->server_open && w->city != NULL) {
        tell_answer(city_store(w->city), &t->ask, &a, &told, &err);
        if (told.ret != 0 && !computers_excuse(w->city_disk, told.ret))
            world_fail(w, "the city cannot read its tables: %s", err.text);
        ev.told = &told;
        w->counts[SIM_COMPARED]++;
        network_server_event(t->l, &ev);
    }
    arena_release(&a);
    mem_free(t);
}

void writer_tell(struct link *l, const Ztc__DigestAsk *m)
{
    struct telling *t = mem_calloc(1, sizeof *t);

    if (t == NULL)
        abort();
    t->l = l;
    t->ask = tell_ask_of(m);
    world_at(l->w, world_roll(l->w, 10), tell_now, t);
}

void writer_note(struct link *l, const Ztc__Repaired *m)
{
    struct job *job = writer_job(l->w, JOB_NOTE, l);

    job->repair = (struct city_repair){.no = m->no,
                                       .seq = m->seq,
                                       .at = m->at,
                                       .stream = m->stream,
                                       .kind = m->kind,
                                       .how = m->how};
    memcpy(job->repair.record.b, m->id.data, ID_SIZE);
}

/* Also what shows, when nobody brings anything, that the store can be written again. */
void writer_said(struct link *l, const Ztc__Statement *m)
{
    struct job *job = writer_job(l->w, JOB_SAID, l);

    job->said = (struct statement){.own_n = m->own_n,
                                   .acked_n = m->acked_n,
                                   .waiting = m->waiting,
                                   .refused = m->refused,
                                   .attachments = m->attachments};
}

/* ---- doing jobs ---- */

static int add_refusal(void *ctx, const struct refusal *r)
{
    struct job *job = ctx;

    if (r->first_n < job->first_n)
        return 0;
    if (job->n_refusals == job->cap_refusals) {
        size_t cap = job->cap_refusals * 2 + 8;
        struct server_refusal *more = arena_alloc(&job->arena, cap * sizeof *more);

        if (job->n_refusals > 0)
            memcpy(more, job->refusals, job->n_refusals * sizeof *more);
        job->refusals = more;
        job->cap_refusals = cap;
    }
    job->refusals[job->n_refusals++] = (struct server_refusal){.first_n = r->first_n,
                                                               .last_n = r->last_n,
                                                               .at_n = r->at_n,
                                                               .code = writer_keep(job, r->code),
                                                               .text = writer_keep(job, r->text),
                                                               .quarantined = r->quarantined};
    return 0;
}

/* A head that Hello showed is not shown back. */
static int read_heads(struct world *w, struct job *job, struct err *err)
{
    struct server_facts *f = &job->facts;
    int ret = 0;

    for (size_t i = 0; ret == 0 && i < SERVER_STREAMS + 1; i++) {
        struct server_signed *h = &job->heads[f->n_signed_heads];
        uint64_t seq;

        ret = city_head(w->city, job->cursors[i].stream, &h->head, &h->signature, &seq);
        if (ret != 0)
            return err_set(err, ret, NULL);
        h->head = writer_keep(job, h->head);
        h->signature = writer_keep(job, h->signature);
        if (i < SERVER_STREAMS)
            f->heads[i] = (struct server_head){job->cursors[i].stream, seq};
        f->n_signed_heads += !slice_eq(h->head, job->cursors[i].head);
    }
    f->signed_heads = job->heads;
    return ret;
}

static int facts(struct world *w, struct job *job, struct err *err)
{
    const struct id *id = &job->link->ss.replica;
    struct server_facts *f = &job->facts;
    struct replica_row row;
    int ret = city_replica_get(w->city, id, &row, err);

    *f = (struct server_facts){.incarnation = city_incarnation(w->city),
                               .catalogue = w->city_catalogue};
    if (ret == 0 && row.state == REPLICA_LOST)
        return E_REVOKED;
    if (ret == 0 && row.state == REPLICA_RETIRED)
        f->standing = SERVER_MAY_HAND_IN;
    if (ret == 0)
        ret = read_heads(w, job, err);
    if (ret == 0)
        ret = refill_facts(w, job, &row, err);
    if (ret == 0)
        ret = city_refusals(w->city, id, job->acked_n, add_refusal, job, err);
    f->refusals = job->refusals;
    f->n_refusals = job->n_refusals;
    return ret;
}

/* The act that begins at item I: decoded and hashed as the daemon does before the writer. */
static int one_act(struct world *w, struct job *job, size_t i, uint8_t chain[HASH_SIZE],
                   struct act *act)
{
    const struct hasher *h = city_hasher(w->city);
    struct change first;
    int ret = change_decode(&job->arena, job->bytes[i], job->sides[i], &first);

    if (ret != 0 || first.act_pos != 0 || first.act_len > job->n - i)
        return E_PROTOCOL;
    act->n = first.act_len;
    act->changes = arena_alloc(&job->arena, act->n * sizeof *act->changes);
    for (size_t k = 0; ret == 0 && k < act->n; k++)
        ret = change_decode(&job->arena, job->bytes[i + k], job->sides[i + k], &act->changes[k]);
    for (size_t k = 0; ret == 0 && k < act->n; k++)
        fault_skew_pushed(w, &act->changes[k]);
    act->bytes = &job->bytes[i];
    act->sides = &job->sides[i];
    return ret == 0 ? act_prepare(&job->arena, h, chain, act) : ret;
}

static int push(struct world *w, struct job *job, struct err *err)
{
    const struct id *id = &job->link->ss.replica;
    struct replica_row row;
    uint8_t chain[HASH_SIZE];
    size_t i = 0;
    int ret = city_replica_get(w->city, id, &row, err);

    if (ret == 0 && city_recovering(w->city))
        ret = err_set(err, E_RECOVERING, NULL);
    if (ret != 0)
        return ret;
    if (row.state == REPLICA_LOST)
        return E_REVOKED;
    if (!job->chained)
        memcpy(job->own_chain, job->link->own_chain, HASH_SIZE);
    memcpy(chain, job->own_chain, HASH_SIZE);
    while (i < job->n) {
        struct act act = {.n = 0};
        bool refused = false;

        ret = one_act(w, job, i, chain, &act);
        if (ret != 0)
            return err_set(err, ret, "an act arrived damaged");
        if (i == 0)
            job->first_n = act.changes[0].n; /* refusals before it are told elsewhere */
        ret = city_push_known(w->city, id, &act, err);
        if (ret < 0)
            return ret;
        if (ret == 0) { /* else an older session brought it */
            ret = city_push_act(w->city, id, &act, &refused, err);
            if (ret != 0)
                return ret;
            w->counts[SIM_PUSHED]++;
            w->restore.worked = w->restore.worked || city_was_restored(w->city);
        }
        job->answered_n = act.changes[act.n - 1].n;
        i += act.n;
    }
    if (!job->chained)
        memcpy(job->link->own_chain, chain, HASH_SIZE);
    job->chained = true;
    return city_refusals(w->city, id, UINT64_MAX, add_refusal, job, err);
}

static int run(struct world *w, struct job *job, struct err *err)
{
    job->n_refusals = 0; /* of a run that was rolled back */
    switch (job->kind) {
    case JOB_FACTS:
        return facts(w, job, err);
    case JOB_PUSH:
        return push(w, job, err);
    case JOB_ACK:
        return city_refused_ack(w->city, &job->link->ss.replica, job->first_n, job->until_n, err);
    case JOB_SAID:
        return city_replica_heard(w->city, &job->link->ss.replica, world_clock(w, w->skew), 0,
                                  &job->said, slice_str("sim"), err);
    case JOB_NOTE:
        w->counts[SIM_REPAIRED]++;
        return city_repair_note(w->city, &job->link->ss.replica, world_clock(w, w->skew), &job->repair, err);
    case JOB_REFUSALS:
        return city_refusals(w->city, &job->link->ss.replica, job->link->ss.acked_n, add_refusal, job, err);
    case JOB_BLOB:
        return blobs_run(w, job, err);
    case JOB_AGREED:
    case JOB_SUCCEED:
        return successor_run(w, job, err);
    case JOB_CITY_ACT:
        if (w->newer && world_roll(w, 2) == 0)
            return fault_skew_act(w, &job->arena, err);
        return w->restore.silent ? 0 : people_city_act(w, &job->arena);
    default:
        return refill_run(w, job, err);
    }
}

static void answer(struct job *job)
{
    struct server_event ev = {.kind = SERVER_FACTS};
    Ztc__Repaired noted = ZTC__REPAIRED__INIT;

    if (job->link == NULL || !job->link->server_open)
        return;
    switch (job->kind) {
    case JOB_FACTS:
        refill_heard(job);
        memcpy(job->link->own_chain, job->facts.accepted_chain, HASH_SIZE);
        ev.facts.ret = job->ret;
        ev.facts.facts = &job->facts;
        break;
    case JOB_PUSH:
        ev.kind = SERVER_MERGED;
        ev.merged.ret = job->ret;
        ev.merged.answered_n = job->answered_n;
        ev.merged.refusals = job->refusals;
        ev.merged.n_refusals = job->n_refusals;
        break;
    case JOB_NOTE:
        ev.kind = SERVER_NOTED;
        ev.noted = &noted;
        noted.no = job->repair.no;
        noted.at = job->repair.at;
        noted.stream = job->repair.stream;
        noted.kind = job->repair.kind;
        noted.id = wire_data((struct slice){job->repair.record.b, ID_SIZE});
        noted.seq = job->repair.seq;
        noted.how = (Ztc__Repaired__How)job->repair.how;
        break;
    case JOB_BLOB:
        blobs_answer(job);
        return;
    case JOB_AGREED:
    case JOB_SUCCEED:
        successor_answer(job);
        return;
    case JOB_REFUSALS:
        ev.kind = SERVER_REFUSALS;
        ev.refusals.ret = job->ret;
        ev.refusals.refusals = job->refusals;
        ev.refusals.n_refusals = job->n_refusals;
        break;
    default:
        refill_answer(job);
        return;
    }
    network_server_event(job->link, &ev);
}

/* Remembered: what left the city is durable there. */
static void promise(struct world *w, const struct server_head *h)
{
    unsigned i = 0;

    while (i < w->n_told && w->told[i].stream != h->stream)
        i++;
    if (i == w->n_told && w->n_told++ == STREAMS_MAX)
        abort();
    w->told[i] = *h;
}

void writer_tell_heads(struct world *w)
{
    struct server_head heads[32];
    struct slice head, signature;
    size_t n;
    const uint32_t *advanced = city_advanced(w->city, &n);

    for (size_t i = 0; i < n; i++) {
        heads[i].stream = advanced[i];
        (void)city_head(w->city, advanced[i], &head, &signature, &heads[i].seq); /* it advanced */
        promise(w, &heads[i]);
    }
    if (n > 0)
        network_advanced(w, heads, n);
}

static bool has_push(const struct job *jobs)
{
    for (; jobs != NULL; jobs = jobs->next) {
        if (jobs->kind == JOB_PUSH)
            return true;
    }
    return false;
}

/* ---- one group, as server/net/uv_writer.c does it ---- */

static bool is_read(const struct job *job)
{
    return job->kind == JOB_FACTS || job->kind == JOB_REFUSALS || job->kind == JOB_AGREED ||
           (job->kind == JOB_BLOB && job->blob.ask == SERVER_BLOB_FIND);
}

/* The failure of JOB is what is to be told. */
static bool is_answer(const struct job *job)
{
    return job->kind == JOB_CITY_ACT || job->ret == E_RECOVERING || job->ret == E_REVOKED || job->ret == E_CLOSED ||
           (job->kind == JOB_BLOB && (job->ret == E_DENIED || job->ret == E_BLOB_WAIT ||
                                      job->ret == E_BLOB_LOST));
}

static void put_last(struct job ***end, struct job *job)
{
    job->next = NULL;
    **end = job;
    *end = &job->next;
}

/* Reading jobs do not wait for the group. */
static void do_reads(struct world *w)
{
    struct job *reads = NULL, **reads_end = &reads, *jobs = w->jobs;

    w->jobs = NULL;
    w->jobs_end = &w->jobs;
    while (jobs != NULL) {
        struct job *next = jobs->next;

        put_last(is_read(jobs) ? &reads_end : &w->jobs_end, jobs);
        jobs = next;
    }
    while (reads != NULL) {
        struct job *next = reads->next;
        struct err err = {.ret = 0};

        reads->ret = run(w, reads, &err);
        if (reads->ret != 0 && !is_answer(reads) && !computers_excuse(w->city_disk, reads->ret))
            world_fail(w, "the city cannot read for a session: %s %s", err_code(reads->ret),
                       err.text);
        answer(reads);
        free_job(reads);
        reads = next;
    }
}

/* 0; or the store's failure. A refused act of the city's own is its author's affair. */
static int run_group(struct world *w, struct err *err)
{
    for (struct job *job = w->jobs; job != NULL; job = job->next) {
        *err = (struct err){.ret = 0};
        job->ret = run(w, job, err);
        if (job->ret != 0 && computers_excuse(w->city_disk, job->ret))
            return job->ret;
        if (job->ret != 0 && !is_answer(job))
            world_fail(w, "the city cannot do a job: %s %s", err_code(job->ret), err->text);
    }
    return 0;
}

/* The store took nothing: the group waits, but for what its people will try again by themselves. */
static void put_off(struct world *w, int ret, const struct err *err)
{
    struct job *jobs = w->jobs;

    world_say(w, "the city's store takes nothing: %s %s", err_code(ret), err->text);
    if (!computers_excuse(w->city_disk, ret))
        world_fail(w, "the city's store takes nothing: %s %s", err_code(ret), err->text);
    city_rollback(w->city);
    network_hold(w, ret);
    w->jobs = NULL;
    w->jobs_end = &w->jobs;
    while (jobs != NULL) {
        struct job *next = jobs->next;

        if (jobs->link == NULL || !jobs->link->server_open)
            free_job(jobs);
        else
            put_last(&w->jobs_end, jobs);
        jobs = next;
    }
    w->retry_ms = w->retry_ms == 0 ? RETRY_FIRST_MS : w->retry_ms * 2;
    if (w->retry_ms > RETRY_MAX_MS)
        w->retry_ms = RETRY_MAX_MS;
    w->commit_due = true;
    world_at(w, w->retry_ms, commit, NULL);
}

int writer_hold(const struct world *w)
{
    return city_recovering(w->city) ? E_RECOVERING : 0;
}

/* A crash that waits for this moment. */
static bool crashes(struct world *w, bool *when, enum sim_event what)
{
    if (!*when || !has_push(w->jobs))
        return false;
    *when = false;
    w->counts[what]++;
    computers_crash_city(w);
    return true;
}

static void answer_group(struct world *w)
{
    struct job *jobs = w->jobs;

    w->counts[SIM_RETRIED] += w->retry_ms > 0;
    w->retry_ms = 0;
    network_hold(w, writer_hold(w));
    w->jobs = NULL;
    w->jobs_end = &w->jobs;
    while (jobs != NULL) {
        struct job *next = jobs->next;

        if (w->why[0] == '\0')
            answer(jobs);
        free_job(jobs);
        jobs = next;
    }
    if (w->why[0] == '\0')
        writer_tell_heads(w);
}

static void commit(struct world *w, void *subject)
{
    struct err err = {.ret = 0};
    int ret;

    (void)subject;
    w->commit_due = false;
    if (w->city == NULL)
        return;
    do_reads(w);
    if (w->jobs == NULL || w->why[0] != '\0')
        return;
    ret = city_begin(w->city, world_clock(w, w->skew), &err);
    if (ret == 0)
        ret = run_group(w, &err);
    if (ret == 0 && crashes(w, &w->crash_before, SIM_CRASH_BEFORE_COMMIT))
        return;
    if (ret == 0 && w->why[0] == '\0')
        ret = city_commit(w->city, &err);
    if (ret != 0)
        put_off(w, ret, &err);
    else if (!crashes(w, &w->crash_after, SIM_CRASH_AFTER_COMMIT))
        answer_group(w);
}
