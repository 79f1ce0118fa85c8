/* A computer that is not what the city knows of it becomes another one: both ends of asking for a new identity. */
#include "tests/sim/world_internal.h"

#include "client/store/exchange.h"
#include "client/store/identity.h"
#include "common/crypto/hash.h"

#include <stdio.h>
#include <string.h>

#define ANSWER_LOST 4u /* one in so many */

/* What stands for the request and for what is issued: nobody in this world looks into certificates. */
static const struct slice paper = {(const uint8_t *)"paper", 5};

/* ---- the county's end ---- */

/* Its id is asked for again until it has come. */
static int next_identity(struct world *w, struct replica *r, struct id *ret_id, struct err *err)
{
    int ret = identity_next_get(r, ret_id, err);

    if (ret != E_NOTFOUND)
        return ret;
    random_fill(&w->random, ret_id->b, ID_SIZE);
    return identity_next_put(r, ret_id, err);
}

/* The owner of one who returns to the newer disk does not let it ask. */
void successor_ask(struct link *l, struct client_point *points, struct client_event *ret, struct err *err)
{
    struct sim_replica *r = &l->w->replicas[l->replica];

    ret->kind = CLIENT_FORK;
    ret->fork.points = points;
    if (r->returns) {
        ret->ret = E_FORK;
        return;
    }
    ret->ret = exchange_fork(r->r, &l->cup, points, &ret->fork.n_points, err);
    if (ret->ret == 1) {
        ret->ret = next_identity(l->w, r->r, &ret->fork.replica, err);
        ret->fork.request = paper;
    }
}

/* Who it is by what is on its disk: a power cut may have undone the change. */
void successor_look(struct world *w, struct sim_replica *r)
{
    struct identity_former former;
    struct replica_facts f;

    if (replica_facts(r->r, &f, NULL) != 0)
        return; /* a disk that fails: it is looked at again */
    r->id = f.id;
    r->base = 0;
    if (id_eq(&r->id, &r->first_id))
        return;
    if (identity_former(r->r, &former, NULL) == 0)
        r->base = former.until_n;
    else if (!disk_is_down(r->disk))
        world_fail(w, "replica %u does not know who it was", r->no);
}

void successor_take(struct link *l, struct client_event *ret, struct err *err)
{
    struct world *w = l->w;
    struct sim_replica *r = &w->replicas[l->replica];
    const Ztc__NewIdentityGranted *m = l->cup.take_identity.granted;
    uint64_t remade = 0;
    struct id id;

    ret->kind = CLIENT_IDENTITY;
    ret->ret = identity_next_get(r->r, &id, err);
    if (ret->ret == 0)
        ret->ret = identity_change(r->r, &id, m->k, l->cup.take_identity.agreed_n,
                                   world_clock(w, r->skew), &remade, err);
    if (ret->ret != 0)
        return;
    successor_look(w, r);
    world_say(w, "replica %u is another from change %llu on, with %llu of its own", r->no,
              (unsigned long long)l->cup.take_identity.agreed_n, (unsigned long long)remade);
    w->counts[SIM_SUCCEEDED]++;
    w->counts[SIM_CARRIED] += remade;
}

/* ---- the city's end ---- */

void successor_asked(struct link *l, const Ztc__NewIdentity *m)
{
    struct job *job = writer_job(l->w, m->has_csr ? JOB_SUCCEED : JOB_AGREED, l);

    job->acked_n = l->ss.acked_n;
    job->n = m->n_points;
    job->points = arena_alloc(&job->arena, m->n_points * sizeof *job->points);
    for (size_t i = 0; i < m->n_points; i++) {
        job->points[i].n = m->points[i]->n;
        memcpy(job->points[i].chain, m->points[i]->chain.data, HASH_SIZE);
    }
    if (m->has_csr)
        memcpy(job->successor.b, m->replica.data, ID_SIZE);
}

static int succeed(struct world *w, struct job *job, struct err *err)
{
    struct city_cert cert = {.not_after = w->now};
    struct succession s = {.predecessor = job->link->ss.replica,
                           .successor = job->successor,
                           .agreed = job->points[0],
                           .acked_n = job->acked_n,
                           .cert = &cert};
    struct replica_row row;

    (void)snprintf(cert.serial, sizeof cert.serial, "%02x%02x", s.successor.b[0], s.successor.b[1]);
    memcpy(cert.fingerprint, s.successor.b, ID_SIZE);
    w->counts[SIM_GRANTED_AGAIN] += city_replica_get(w->city, &s.successor, &row, NULL) == 0;
    return city_succeed(w->city, &s, &job->k, err);
}

int successor_run(struct world *w, struct job *job, struct err *err)
{
    if (job->kind == JOB_SUCCEED)
        return succeed(w, job, err);
    return city_agreed(w->city, &job->link->ss.replica, job->points, job->n, &job->agreed, err);
}

void successor_answer(struct job *job)
{
    struct server_event ev = {.kind = SERVER_IDENTITY};
    struct world *w = job->link->w;

    if (job->kind == JOB_SUCCEED && job->ret == 0 && world_roll(w, ANSWER_LOST) == 0) {
        network_cut(w, job->link, true);
        return;
    }
    ev.identity.agrees = job->agreed > 0;
    ev.identity.agreed_n = job->agreed > 0 ? job->points[job->agreed - 1].n : 0;
    ev.identity.k = job->kind == JOB_SUCCEED && job->ret == 0 ? job->k : 0;
    ev.identity.issued = (struct server_issued){.ret = job->ret,
                                                .certificate = paper,
                                                .authorities = &paper,
                                                .endorsements = &paper,
                                                .n_authorities = 1};
    network_server_event(job->link, &ev);
}
