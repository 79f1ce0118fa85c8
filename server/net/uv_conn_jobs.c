/* Work of a connection that is done elsewhere: facts and refusals read on the writer's thread,
 * pushes hashed in the pool and merged by the writer.
 *
 * Every job owns its memory and counts in conn->jobs; its `done` makes an event of the result. */
#include "server/core/prepare.h"
#include "server/net/sync_internal.h"
#include "server/store/city_recover.h"

#include <string.h>

#define HASH_INLINE 32768 /* bytes hashed on the loop without anybody noticing */
#define JOB_ARENA   (4u << 20)

/* ---- what both reading jobs collect ---- */

struct refusal_list {
    struct arena *arena;
    uint64_t from_n; /* the first wanted */
    struct server_refusal *at;
    size_t n, max;
    bool more;
};

static int add_refusal(void *ctx, const struct refusal *r)
{
    struct refusal_list *l = ctx;
    struct server_refusal *to;

    if (r->last_n < l->from_n)
        return 0;
    if (l->n == l->max) {
        l->more = true;
        return 1;
    }
    to = &l->at[l->n];
    to->first_n = r->first_n;
    to->last_n = r->last_n;
    to->at_n = r->at_n;
    to->quarantined = r->quarantined;
    to->code = (struct slice){arena_dup(l->arena, r->code.p, r->code.len), r->code.len};
    to->text = (struct slice){arena_dup(l->arena, r->text.p, r->text.len), r->text.len};
    if (to->code.p == NULL || to->text.p == NULL)
        return E_NOMEM;
    l->n++;
    return 0;
}

static int read_refusals(struct city *city, const struct id *replica, uint64_t acked_n,
                         uint64_t from_n, size_t max, struct arena *a, struct refusal_list *l, struct err *err)
{
    int ret;

    *l = (struct refusal_list){.arena = a, .from_n = from_n, .max = max};
    l->at = arena_alloc(a, max * sizeof *l->at);
    if (l->at == NULL)
        return E_NOMEM;
    ret = city_refusals(city, replica, acked_n, add_refusal, l, err);
    return ret < 0 ? ret : 0;
}

/* ---- facts of a Hello ---- */

struct facts_job {
    struct write_job job;
    struct conn *conn;
    struct arena arena;
    struct id replica;
    struct replica_claim claim;
    uint64_t acked_n;
    uint64_t unanswered_from; /* the same, where Hello said it; else UINT64_MAX */
    uint8_t acked_chain[HASH_SIZE];
    struct city_cursor cursors[SERVER_STREAMS];
    struct city_cursor witness; /* of `city`: its head only */
    struct server_facts facts;
    struct server_signed heads[SERVER_STREAMS + 1];
    uint64_t shown[SERVER_STREAMS + 1]; /* seqs of its heads of the two streams and of `city`, when they are ours */
    bool recovering;
    uint64_t adopt_n;                   /* what it knows answered and this store did not; 0: nothing */
};

static uint32_t facts_stream(const struct facts_job *j, size_t i)
{
    return i == 0 ? STREAM_SHARED : j->claim.site;
}

/* What the certificate and the operator's word leave it. */
static int check_identity(struct facts_job *j, struct city *city, const struct replica_row *r,
                          struct err *err)
{
    bool replaced;
    int ret;

    if (r->state == REPLICA_LOST)
        return err_set(err, E_REVOKED, NULL);
    if (r->site != j->claim.site)
        return err_set(err, E_AUTH, NULL);
    ret = city_cert_check(city, r, j->claim.fingerprint, j->claim.key, &replaced, err);
    if (ret != 0)
        return ret;
    if (r->state == REPLICA_ACTIVE)
        j->facts.standing = replaced || j->claim.expired ? SERVER_MAY_RENEW : SERVER_FULL;
    else if (!replaced && !j->claim.expired)
        j->facts.standing = SERVER_MAY_HAND_IN;
    else
        return err_set(err, E_REVOKED, NULL);
    return 0;
}

static int dup_slice(struct arena *a, struct slice *s)
{
    s->p = arena_dup(a, s->p, s->len);
    return s->p == NULL ? E_NOMEM : 0;
}

/* A head that Hello showed is not shown back: by that the replica knows that it is still the newest. */
static int read_heads(struct facts_job *j, struct city *city)
{
    for (size_t i = 0; i < SERVER_STREAMS + 1; i++) {
        uint32_t stream = i == SERVER_STREAMS ? STREAM_CITY : facts_stream(j, i);
        const struct slice *shown = i == SERVER_STREAMS ? &j->witness.head : &j->cursors[i].head;
        struct server_signed *h = &j->heads[j->facts.n_signed_heads];
        uint64_t seq;
        int ret = city_head(city, stream, &h->head, &h->signature, &seq);

        if (ret == 0)
            ret = dup_slice(&j->arena, &h->head);
        if (ret == 0)
            ret = dup_slice(&j->arena, &h->signature);
        if (ret != 0)
            return ret;
        if (i < SERVER_STREAMS)
            j->facts.heads[i] = (struct server_head){stream, seq};
        j->facts.n_signed_heads += !slice_eq(h->head, *shown);
    }
    j->facts.signed_heads = j->heads;
    return 0;
}

/* How the replica's cursors stand to this store. E_RECOVERING: one proves that the store is older than it
 * should be, which freezes it. */
static int check_cursors(struct facts_job *j, struct city *city, struct err *err)
{
    struct city_stand stand;
    int ret = 0;

    for (size_t i = 0; ret == 0 && i < SERVER_STREAMS; i++) {
        j->cursors[i].stream = facts_stream(j, i);
        ret = city_stand(city, &j->cursors[i], &stand, err);
        if (ret == 0 && stand.place == PLACE_FREEZES)
            return E_RECOVERING;
        j->facts.cursor_ok[i] = stand.place != PLACE_FORKED;
        j->facts.restored = j->facts.restored || stand.place == PLACE_OTHER_LIFE;
        j->facts.refill[i].from_seq = stand.ask_from;
        j->facts.refill[i].upto_seq = stand.ask_upto;
        j->facts.refill[i].back = stand.back;
        j->facts.refill[i].back_to = stand.back_to;
        j->shown[i] = stand.shown;
    }
    j->witness.stream = STREAM_CITY;
    if (ret == 0)
        ret = city_stand(city, &j->witness, &stand, err);
    j->shown[SERVER_STREAMS] = stand.shown;
    return ret == 0 && stand.place == PLACE_FREEZES ? E_RECOVERING : ret;
}

/* Chains of the replica's own changes; of a number that came back without one, its own word is all there is. */
static int check_own(struct facts_job *j, struct city *city, const struct replica_row *r,
                     struct err *err)
{
    bool news = j->acked_n > r->accepted_n && city_was_restored(city) && !j->facts.restored;
    int ret = 0;

    j->facts.accepted_n = r->accepted_n;
    memcpy(j->facts.accepted_chain, r->own_chain, HASH_SIZE);
    memcpy(j->facts.acked_chain, j->acked_chain, HASH_SIZE);
    if (news) {
        j->facts.accepted_n = j->adopt_n = j->acked_n;
        memcpy(j->facts.accepted_chain, j->acked_chain, HASH_SIZE);
    } else if (j->acked_n <= r->accepted_n) {
        ret = city_replica_chain(city, &j->replica, j->acked_n, j->facts.acked_chain, err);
    }
    return ret == E_NOTFOUND && city_was_restored(city) ? 0 : ret;
}

static int run_facts(struct write_job *job, struct city *city, struct err *err)
{
    struct facts_job *j = (struct facts_job *)job;
    struct replica_row r;
    struct refusal_list refusals;
    int ret = city_replica_get(city, &j->replica, &r, err);

    if (ret == E_NOTFOUND)
        return err_set(err, E_AUTH, NULL);
    if (ret == 0)
        ret = check_identity(j, city, &r, err);
    if (ret == 0)
        ret = read_heads(j, city);
    if (ret == 0)
        ret = check_cursors(j, city, err);
    if (ret == 0)
        ret = check_own(j, city, &r, err);
    if (ret == 0)
        ret = read_refusals(city, &j->replica, j->unanswered_from, 0, REFUSALS_CHUNK, &j->arena,
                            &refusals, err);
    if (ret != 0)
        return ret;
    j->facts.incarnation = city_incarnation(city);
    j->recovering = city_recovering(city);
    j->facts.refusals = refusals.at;
    j->facts.n_refusals = refusals.n;
    j->facts.more_refusals = refusals.more;
    return 0;
}

/* What a recovery wants to know of it, before anything else it says is written. */
static void tell_hearing(struct facts_job *j)
{
    struct hearing h = {.replica = j->replica, .adopt_n = j->adopt_n};

    for (size_t i = 0; i < SERVER_STREAMS + 1; i++) {
        h.streams[i] = i == SERVER_STREAMS ? STREAM_CITY : facts_stream(j, i);
        h.shown[i] = j->shown[i];
    }
    memcpy(h.adopt_chain, j->acked_chain, HASH_SIZE);
    if (h.adopt_n != 0 || j->recovering)
        conn_heard(j->conn, &h);
}

static void facts_done(struct write_job *job)
{
    struct facts_job *j = (struct facts_job *)job;
    struct conn *c = j->conn;
    struct server_event ev = conn_event(c, SERVER_FACTS);

    memcpy(c->own_chain, j->facts.accepted_chain, HASH_SIZE);
    if (job->ret == E_RECOVERING)
        conn_freeze(c->port);
    if (job->ret == 0)
        tell_hearing(j);
    ev.facts.ret = job->ret;
    ev.facts.facts = &j->facts;
    c->held++;
    conn_step(c, &ev);
    c->held--;
    arena_release(&j->arena);
    mem_free(j);
    conn_job_done(c);
}

static void take_cursors(struct facts_job *j, const Ztc__Hello *m)
{
    for (size_t i = 0; i < m->n_cursors; i++) {
        for (size_t k = 0; k < SERVER_STREAMS; k++) {
            if (m->cursors[i]->stream != facts_stream(j, k))
                continue;
            j->cursors[k].seq = m->cursors[i]->seq;
            memcpy(j->cursors[k].hash, m->cursors[i]->hash.data, HASH_SIZE);
            memcpy(j->cursors[k].incarnation.b, m->cursors[i]->incarnation.data, ID_SIZE);
        }
    }
}

static void keep_shown(struct shown_head *to, const Ztc__SignedHead *from)
{
    to->head_len = from->head.len; /* within WIRE_SIGNED_MAX: checked with the frame */
    to->signature_len = from->signature.len;
    memcpy(to->head, from->head.data, to->head_len);
    memcpy(to->signature, from->signature.data, to->signature_len);
}

static int take_head(struct facts_job *j, struct city_cursor *to, const Ztc__SignedHead *from)
{
    to->head = wire_slice(from->head);
    to->signature = wire_slice(from->signature);
    return dup_slice(&j->arena, &to->head) | dup_slice(&j->arena, &to->signature);
}

/* The frame is gone when the job runs: what it shows is copied. */
static int take_heads(struct facts_job *j, const Ztc__Hello *m)
{
    int ret = m->city_head != NULL ? take_head(j, &j->witness, m->city_head) : 0;
    struct head h;

    for (size_t i = 0; ret == 0 && i < m->n_heads; i++) {
        if (head_decode(wire_slice(m->heads[i]->head), &h) != 0)
            continue; /* of a later form: no proof to us */
        for (size_t k = 0; ret == 0 && k < SERVER_STREAMS; k++) {
            if (h.stream != facts_stream(j, k))
                continue;
            ret = take_head(j, &j->cursors[k], m->heads[i]);
            keep_shown(&j->conn->shown[k], m->heads[i]);
        }
    }
    return ret == 0 ? 0 : E_NOMEM;
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
    j->replica = c->session.replica;
    j->claim = c->claim;
    j->acked_n = m->has_acked_n ? m->acked_n : 0;
    j->unanswered_from = m->has_acked_n ? m->acked_n : UINT64_MAX;
    if (m->has_acked_n)
        memcpy(j->acked_chain, m->acked_chain.data, HASH_SIZE);
    j->facts.catalogue = CATALOGUE_VERSION;
    j->facts.has_authorities = true;
    memcpy(j->facts.authorities, c->port->authorities->digest, HASH_SIZE);
    take_cursors(j, m);
    if (take_heads(j, m) != 0) {
        arena_release(&j->arena);
        mem_free(j);
        return E_NOMEM;
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

    return read_refusals(city, &j->replica, j->acked_n, j->from_n, REFUSALS_CHUNK, &j->arena,
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

static size_t act_end(const struct merge_job *j, size_t from)
{
    size_t end = from + j->items[from].change.act_len;

    return end > j->count ? j->count : end; /* the session has seen to it that acts are whole */
}

/* Bytes, sidecars and changes of one act lie side by side for the judge. */
static int prepare_act(struct merge_job *j, size_t from, size_t to, struct act *act)
{
    size_t n = to - from;
    struct change *changes = arena_alloc(&j->arena, n * sizeof *changes);
    struct slice *bytes = arena_alloc(&j->arena, n * sizeof *bytes);
    struct slice *sides = arena_alloc(&j->arena, n * sizeof *sides);

    if (changes == NULL || bytes == NULL || sides == NULL)
        return E_NOMEM;
    for (size_t i = 0; i < n; i++) {
        const struct push_item *item = &j->items[from + i];

        if (id_is_zero(&item->change.actor))
            return E_DENIED; /* `system` acts at the city only */
        changes[i] = item->change;
        bytes[i] = item->bytes;
        sides[i] = item->side;
    }
    *act = (struct act){.changes = changes,
                        .n = n,
                        .bytes = bytes,
                        .sides = sides,
                        .actor = {.account = changes[0].actor,
                                  .site = j->site,
                                  .side = SIDE_COUNTY}};
    return act_prepare(&j->arena, j->hasher, j->own_chain, act);
}

static int prepare(struct merge_job *j)
{
    j->acts = arena_alloc(&j->arena, j->count * sizeof *j->acts);
    if (j->acts == NULL)
        return E_NOMEM;
    for (size_t from = 0; from < j->count;) {
        size_t to = act_end(j, from);
        int ret = prepare_act(j, from, to, &j->acts[j->n_acts]);

        if (ret != 0)
            return ret;
        j->n_acts++;
        from = to;
    }
    return 0;
}

static int run_merge(struct write_job *job, struct city *city, struct err *err)
{
    struct merge_job *j = (struct merge_job *)job;
    struct replica_row r;
    bool any = false;
    int ret = city_replica_get(city, &j->replica, &r, err);

    if (ret == 0 && r.state == REPLICA_LOST)
        ret = err_set(err, E_REVOKED, NULL);
    for (size_t i = 0; ret == 0 && i < j->n_acts; i++) {
        const struct act *act = &j->acts[i];
        bool refused = false;

        if (act->changes[act->n - 1].n <= r.accepted_n) {
            any = true; /* answered before, perhaps to a connection that is gone: a push may be repeated */
            continue;
        }
        ret = city_push_act(city, &j->replica, act, &refused, err);
        any = any || refused;
        job->wrote = ret != 0 && ret != E_PROTOCOL;
    }
    j->refusals.n = 0;
    arena_clear(&j->result); /* of a run that was rolled back */
    if (ret == 0 && any)
        ret = read_refusals(city, &j->replica, UINT64_MAX, j->items[0].change.n, j->n_acts, &j->result,
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

static void prepare_work(uv_work_t *work)
{
    struct merge_job *j = work->data;

    j->prepared = prepare(j);
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
    j->prepared = prepare(j);
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
