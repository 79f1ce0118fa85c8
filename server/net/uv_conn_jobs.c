/* Work of a connection that is done elsewhere: facts and refusals read on the writer's thread,
 * pushes hashed in the pool and merged by the writer.
 *
 * Every job owns its memory and counts in conn->jobs; its `done` makes an event of the result. */
#include "server/core/prepare.h"
#include "server/net/sync_internal.h"

#include <string.h>

#define HASH_INLINE 32768 /* bytes hashed on the loop without anybody noticing */
#define JOB_ARENA   (4u << 20)

/* ---- facts of a Hello ---- */

struct facts_job {
    struct write_job job;
    struct conn *conn;
    struct arena arena;
    struct facts facts;
    struct hearing hearing; /* of it */
};

static int run_facts(struct write_job *job, struct city *city, struct err *err)
{
    struct facts_job *j = (struct facts_job *)job;

    return facts_read(&j->facts, city, err);
}

static int run_hearing(struct write_job *job, struct city *city, struct err *err)
{
    struct facts_job *j = (struct facts_job *)job;
    int ret = hearing_keep(&j->hearing, city, err);

    job->wrote = ret != 0;
    return ret;
}

static void answer_facts(struct write_job *job)
{
    struct facts_job *j = (struct facts_job *)job;
    struct conn *c = j->conn;
    struct server_event ev = conn_event(c, SERVER_FACTS);

    ev.facts.ret = job->ret;
    ev.facts.facts = &j->facts.answer;
    c->held++;
    conn_step(c, &ev);
    c->held--;
    arena_release(&j->arena);
    mem_free(j);
    conn_job_done(c);
}

/* What is to be kept is kept before the replica hears anything. */
static void facts_done(struct write_job *job)
{
    struct facts_job *j = (struct facts_job *)job;
    struct conn *c = j->conn;

    memcpy(c->own_chain, j->facts.answer.accepted_chain, HASH_SIZE);
    if (job->ret == E_RECOVERING)
        conn_freeze(c->port);
    if (job->ret != 0 || !facts_hearing(&j->facts, &j->hearing)) {
        answer_facts(job);
        return;
    }
    j->job = (struct write_job){.run = run_hearing, .done = answer_facts, .impatient = true};
    writer_submit(c->port->writer, &j->job);
}

/* For what is handed back under it. */
static void keep_shown(struct shown_head *to, const struct city_cursor *from)
{
    to->head_len = from->head.len; /* within WIRE_SIGNED_MAX: checked with the frame */
    to->signature_len = from->signature.len;
    memcpy(to->head, from->head.p, to->head_len);
    memcpy(to->signature, from->signature.p, to->signature_len);
}

/* ---- what the replica says of itself ---- */

struct heard_job {
    struct write_job job;
    struct conn *conn;
    struct id replica;
    int64_t skew_ms;
    struct statement said;
    char software[WIRE_SOFTWARE_MAX + 1];
    bool only_said; /* a Ping's word: the rest stays as it was */
    uint8_t fingerprint[HASH_SIZE]; /* of the certificate shown */
};

static int run_heard(struct write_job *job, struct city *city, struct err *err)
{
    struct heard_job *j = (struct heard_job *)job;
    struct replica_row r;
    int ret = city_replica_get(city, &j->replica, &r, err);

    if (ret != 0)
        return ret;
    if (j->only_said)
        return city_replica_heard(city, &j->replica, job->now, r.skew_ms, &j->said,
                                  slice_str(r.software), err);
    ret = city_cert_used(city, &j->replica, j->fingerprint, err);
    if (ret != 0)
        return ret;
    return city_replica_heard(city, &j->replica, job->now, j->skew_ms, &j->said,
                              slice_str(j->software), err);
}

static void heard_done(struct write_job *job)
{
    struct heard_job *j = (struct heard_job *)job;
    struct conn *c = j->conn;

    mem_free(j); /* nothing hangs on it: the next Hello says it again */
    conn_job_done(c);
}

static struct heard_job *heard_new(struct conn *c)
{
    struct heard_job *j = mem_calloc(1, sizeof *j);

    if (j == NULL)
        return NULL;
    j->job = (struct write_job){.run = run_heard, .done = heard_done, .impatient = true};
    j->conn = c;
    j->replica = c->session.replica;
    memcpy(j->fingerprint, c->claim.fingerprint, HASH_SIZE);
    c->jobs++;
    return j;
}

void conn_said(struct conn *c, const Ztc__Statement *said)
{
    struct heard_job *j = heard_new(c);

    if (j == NULL)
        return;
    j->only_said = true;
    j->said = (struct statement){.own_n = said->own_n,
                                 .acked_n = said->acked_n,
                                 .waiting = said->waiting,
                                 .refused = said->refused,
                                 .attachments = said->attachments};
    writer_submit(c->port->writer, &j->job);
}

static void submit_hello(struct conn *c, const Ztc__Hello *m)
{
    struct heard_job *j = heard_new(c);

    if (j == NULL)
        return;
    j->skew_ms = (int64_t)(m->wall_clock - c->port->clock());
    j->said = (struct statement){.own_n = m->own_n,
                                 .acked_n = m->acked_n,
                                 .waiting = m->waiting,
                                 .refused = m->refused,
                                 .attachments = m->attachments};
    memcpy(j->software, m->software.data, m->software.len);
    writer_submit(c->port->writer, &j->job);
}

int conn_ask(struct conn *c, const Ztc__Hello *m)
{
    struct facts_job *j = mem_calloc(1, sizeof *j);

    if (j == NULL)
        return E_NOMEM;
    j->job = (struct write_job){.run = run_facts, .done = facts_done, .reads = true};
    j->conn = c;
    arena_init(&j->arena, JOB_ARENA);
    if (facts_init(&j->facts, &c->session.replica, &c->claim, c->port->authorities->digest, m,
                   &j->arena) != 0) {
        arena_release(&j->arena);
        mem_free(j);
        return E_NOMEM;
    }
    for (size_t i = 0; i < SERVER_STREAMS; i++) {
        if (j->facts.cursors[i].head.len > 0)
            keep_shown(&c->shown[i], &j->facts.cursors[i]);
    }
    c->jobs++;
    writer_submit(c->port->writer, &j->job);
    submit_hello(c, m);
    return 0;
}

/* ---- further refusals, and their acknowledgement ---- */

struct refusals_job {
    struct write_job job;
    struct conn *conn;
    struct arena arena;
    struct id replica;
    uint64_t acked_n, from_n;
    struct refusal_list list;
};

static int run_refusals(struct write_job *job, struct city *city, struct err *err)
{
    struct refusals_job *j = (struct refusals_job *)job;

    return facts_refusals(city, &j->replica, j->acked_n, j->from_n, REFUSALS_CHUNK, &j->arena,
                         &j->list, err);
}

static void refusals_done(struct write_job *job)
{
    struct refusals_job *j = (struct refusals_job *)job;
    struct conn *c = j->conn;
    struct server_event ev = conn_event(c, SERVER_REFUSALS);

    ev.refusals.ret = job->ret;
    ev.refusals.refusals = j->list.at;
    ev.refusals.n_refusals = j->list.n;
    ev.refusals.more = j->list.more;
    c->held++;
    conn_step(c, &ev);
    c->held--;
    arena_release(&j->arena);
    mem_free(j);
    conn_job_done(c);
}

int conn_read_refusals(struct conn *c, uint64_t from_n)
{
    struct refusals_job *j = mem_calloc(1, sizeof *j);

    if (j == NULL)
        return E_NOMEM;
    j->job = (struct write_job){.run = run_refusals, .done = refusals_done, .reads = true};
    j->conn = c;
    arena_init(&j->arena, JOB_ARENA);
    j->replica = c->session.replica;
    j->acked_n = c->session.has_acked ? c->session.acked_n : UINT64_MAX;
    j->from_n = from_n;
    c->jobs++;
    writer_submit(c->port->writer, &j->job);
    return 0;
}

struct ack_job {
    struct write_job job;
    struct conn *conn;
    struct id replica;
    uint64_t first_n, until_n;
};

static int run_ack(struct write_job *job, struct city *city, struct err *err)
{
    struct ack_job *j = (struct ack_job *)job;

    return city_refused_ack(city, &j->replica, j->first_n, j->until_n, err);
}

static void ack_done(struct write_job *job)
{
    struct ack_job *j = (struct ack_job *)job;
    struct conn *c = j->conn;

    mem_free(j); /* one that failed is asked for again: the refusal returns after the next Welcome */
    conn_job_done(c);
}

int conn_refused_ack(struct conn *c, const Ztc__RefusedAck *m)
{
    struct ack_job *j = mem_calloc(1, sizeof *j);

    if (j == NULL)
        return E_NOMEM;
    /* Patient: what the county makes after it must not be judged before it. */
    j->job = (struct write_job){.run = run_ack, .done = ack_done};
    j->conn = c;
    j->replica = c->session.replica;
    j->first_n = m->first_n;
    j->until_n = m->until_n;
    c->jobs++;
    writer_submit(c->port->writer, &j->job);
    return 0;
}

/* ---- pushes ---- */

struct merge_job {
    struct write_job job;
    struct conn *conn;
    struct merge_job *next; /* of the connection */
    struct arena arena;     /* the frame's: items, changes and their bytes lie in it */
    uv_work_t work;
    const struct hasher *hasher;
    const struct push_item *items;
    uint32_t count;
    uint32_t site;
    struct id replica;
    struct act *acts;
    size_t n_acts;
    uint8_t own_chain[HASH_SIZE]; /* before the push; when prepared, after it */
    int prepared;   /* 0, or why the push cannot be taken */
    bool submitted; /* to the writer */
    uint64_t answered_n;
    struct arena result;
    struct refusal_list refusals; /* in result */
};

static int run_merge(struct write_job *job, struct city *city, struct err *err)
{
    struct merge_job *j = (struct merge_job *)job;
    bool may_be_refused = false;
    int ret = 0;

    for (size_t i = 0; ret == 0 && i < j->n_acts; i++) {
        bool refused = true; /* of one that is known the store says */

        ret = city_push_known(city, &j->replica, &j->acts[i], err);
        if (ret == 0) {
            ret = city_push_act(city, &j->replica, &j->acts[i], &refused, err);
            job->wrote = ret != 0 && ret != E_PROTOCOL;
        } else if (ret == 1) {
            ret = 0;
        }
        may_be_refused = may_be_refused || refused;
    }
    j->refusals.n = 0;
    arena_clear(&j->result); /* of a run that was rolled back */
    if (ret == 0 && may_be_refused)
        ret = facts_refusals(city, &j->replica, UINT64_MAX, j->items[0].change.n, j->n_acts, &j->result,
                            &j->refusals, err);
    return ret;
}

static void merge_free(struct merge_job *j)
{
    struct conn *c = j->conn;
    struct merge_job **at = &c->merges;

    while (*at != j)
        at = &(*at)->next;
    *at = j->next;
    if (j->next == NULL)
        c->merges_last = at;
    arena_release(&j->arena);
    arena_release(&j->result);
    mem_free(j);
}

static void tell_merged(struct merge_job *j, int ret)
{
    struct conn *c = j->conn;
    struct server_event ev = conn_event(c, SERVER_MERGED);

    ev.merged.ret = ret;
    ev.merged.answered_n = j->answered_n;
    ev.merged.bytes = j->job.bytes;
    ev.merged.refusals = j->refusals.at;
    ev.merged.n_refusals = j->refusals.n;
    c->held++;
    conn_step(c, &ev);
    c->held--;
}

static void merge_done(struct write_job *job)
{
    struct merge_job *j = (struct merge_job *)job;
    struct conn *c = j->conn;

    if (job->ret != 0 && job->ret != E_CLOSED)
        log_warning("session %llu: push not taken -> ends code=%s cause=%s",
                    (unsigned long long)c->no, err_code(job->ret), job->err.text);
    c->answered = true;
    tell_merged(j, job->ret);
    merge_free(j);
    conn_job_done(c);
}

static void prepare_next(struct conn *c);

static void prepared(struct merge_job *j)
{
    struct conn *c = j->conn;

    j->submitted = true;
    memcpy(c->own_chain, j->own_chain, HASH_SIZE);
    if (j->prepared == 0 && c->stream != NULL) {
        writer_submit(c->port->writer, &j->job);
        prepare_next(c);
        return;
    }
    c->held++;
    if (c->stream != NULL) {
        struct server_event ev = conn_event(c, SERVER_BROKEN);

        ev.broken = j->prepared;
        conn_step(c, &ev);
    }
    merge_free(j);
    prepare_next(c);
    c->held--;
    conn_job_done(c);
}

static void prepare(struct merge_job *j)
{
    j->prepared = push_prepare(&j->arena, j->hasher, j->own_chain, j->items, j->count, j->site,
                               &j->acts, &j->n_acts);
}

static void prepare_work(uv_work_t *work)
{
    prepare(work->data);
}

static void prepare_done(uv_work_t *work, int status)
{
    struct merge_job *j = work->data;

    if (status != 0)
        j->prepared = E_CLOSED;
    prepared(j);
}

/* The first that was not handed to the writer yet, unless it is being hashed. */
static void prepare_next(struct conn *c)
{
    struct merge_job *j = c->merges;

    while (j != NULL && j->submitted)
        j = j->next;
    if (j == NULL || j->work.data != NULL)
        return;
    j->work.data = j;
    memcpy(j->own_chain, c->own_chain, HASH_SIZE);
    if (j->job.bytes > HASH_INLINE) {
        (void)uv_queue_work(c->port->loop, &j->work, prepare_work, prepare_done); /* fails without
                                                                                     a callback only */
        return;
    }
    prepare(j);
    prepared(j);
}

int conn_submit(struct conn *c, const struct push_item *items, uint32_t count)
{
    struct merge_job *j = mem_calloc(1, sizeof *j);

    if (j == NULL)
        return E_NOMEM;
    j->job = (struct write_job){.run = run_merge, .done = merge_done, .changes = count};
    for (uint32_t i = 0; i < count; i++)
        j->job.bytes += items[i].bytes.len + items[i].side.len;
    j->conn = c;
    j->hasher = c->port->hasher;
    j->items = items;
    j->count = count;
    j->site = c->session.site;
    j->replica = c->session.replica;
    j->answered_n = items[count - 1].change.n;
    j->arena = c->arena; /* taken: the items lie in it */
    arena_init(&c->arena, FRAME_ARENA);
    j->arena.max += JOB_ARENA;
    arena_init(&j->result, JOB_ARENA);
    *c->merges_last = j;
    c->merges_last = &j->next;
    c->jobs++;
    prepare_next(c);
    return 0;
}

void conn_cancel(struct conn *c)
{
    for (struct merge_job *j = c->merges; j != NULL; j = j->next) {
        if (j->submitted)
            writer_cancel(&j->job);
    }
}
