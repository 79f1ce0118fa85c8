/* What an operator takes away: a computer is declared lost or retired, an account is switched off; what is
 * kept aside because of it is released or dropped, act by act.
 *
 *   lost      nothing of it is taken any more: what was not answered stays on it
 *   retired   it hands in what it has, unjudged, and leaves
 *   account   what its owner did before he knew is kept aside; he goes on under the site's first one
 *
 * A deed whose commit failed may have happened all the same, when the power fails next and the disk had got to it:
 * the city that is back tells. */
#include "tests/sim/world_internal.h"

#include <string.h>

#define DECIDE_EVERY 4000u
#define ROW_MAX      (1u << 20)
#define LEFT_OPEN    8u /* one act in so many is left for later */

/* A deed of the operator: a transaction of its own, as the daemon makes it. */
static int operate(struct world *w, int (*deed)(struct world *w, void *ctx, struct err *err), void *ctx)
{
    struct err err = {.ret = 0};
    int ret;

    if (w->city == NULL || w->hold != 0)
        return E_BUSY;
    ret = city_begin(w->city, world_clock(w, w->skew), &err);
    if (ret == 0)
        ret = deed(w, ctx, &err);
    if (ret == 0)
        ret = city_commit(w->city, &err);
    if (ret != 0) {
        world_say(w, "operator: %s %s", err_code(ret), err.text);
        city_rollback(w->city);
        return ret;
    }
    writer_tell_heads(w);
    return 0;
}

static void end_sessions(struct world *w, const struct id *replica, int cause)
{
    struct server_event end = {.kind = SERVER_END, .end = {.cause = cause}};

    for (struct link *l = w->links; l != NULL; l = l->next) {
        if (l->server_open && id_eq(&l->ss.replica, replica))
            network_server_event(l, &end);
    }
}

/* ---- computers ---- */

struct revocation {
    const struct sim_replica *r;
    enum replica_state state;
};

static int set_state(struct world *w, void *ctx, struct err *err)
{
    const struct revocation *v = ctx;

    return city_replica_set_state(w->city, &v->r->id, v->state, err);
}

/* One in a world, and somebody must stay to work with. */
static bool may_go(const struct world *w, const struct sim_replica *r)
{
    for (unsigned i = 0; i < w->n_replicas; i++) {
        if (w->replicas[i].gone)
            return false;
    }
    return w->n_replicas > 2 && w->restore.backup == NULL && !r->late && r->backup == NULL && !r->restored &&
           !r->copied;
}

static void is_gone(struct world *w, struct sim_replica *r, enum replica_state state)
{
    world_say(w, "replica %u is declared %s", r->no, state == REPLICA_LOST ? "lost" : "retired");
    w->counts[state == REPLICA_LOST ? SIM_DECLARED_LOST : SIM_RETIRED]++;
    r->gone = true;
    w->restore.barred = true;
}

static void revoke(struct world *w, struct sim_replica *r, enum replica_state state)
{
    struct revocation v = {r, state};

    if (!may_go(w, r) || operate(w, set_state, &v) != 0)
        return;
    is_gone(w, r, state);
    end_sessions(w, &r->id, state == REPLICA_LOST ? E_REVOKED : E_CLOSED);
}

static void declare_lost(struct world *w, struct sim_replica *r)
{
    revoke(w, r, REPLICA_LOST);
}

static void retire(struct world *w, struct sim_replica *r)
{
    revoke(w, r, REPLICA_RETIRED);
}

/* ---- accounts ---- */

static int switch_off(struct world *w, void *ctx, struct err *err)
{
    const struct kind *kind = catalogue_kind_named("user_account");
    struct field_change off = {.tag = kind_field_named(kind, "active")->tag, .form = FORM_SET,
                               .v = value_int(0)};
    struct change c = {.op = OP_SET, .kind = kind->tag, .record = *(const struct id *)ctx,
                       .seen = UINT64_MAX >> 1, .fields = &off, .n_fields = 1};
    struct act act = {.changes = &c, .n = 1,
                      .actor = {.is_system = true, .side = SIDE_CITY, .site = SITE_CITY}};

    return city_act(w->city, &act, err);
}

static void is_off(struct world *w, unsigned site)
{
    world_say(w, "the second account of %u is switched off", sim_sites[site]);
    w->counts[SIM_SWITCHED_OFF]++;
    w->switched_off[site] = true;
    w->restore.barred = true;
}

static void disable(struct world *w, struct sim_replica *r)
{
    unsigned site = r->site == sim_sites[0] ? 0 : 1;

    if (!w->switched_off[site] && w->restore.backup == NULL && operate(w, switch_off, &w->second[site]) == 0)
        is_off(w, site);
}

/* ---- what is kept aside ---- */

struct decision {
    struct id replica;
    uint64_t n;
    bool release, found;
    unsigned skip; /* so many are left for another time */
};

static int pick(void *ctx, const struct quarantined *q)
{
    struct decision *d = ctx;

    if (d->skip > 0) {
        d->skip--;
        return 0;
    }
    d->replica = q->replica->id;
    d->n = q->first_n;
    d->found = true;
    return 1;
}

static int decide_one(struct world *w, void *ctx, struct err *err)
{
    const struct decision *d = ctx;
    uint64_t n;

    return d->release ? city_quarantine_release(w->city, &d->replica, d->n, &n, err)
                      : city_quarantine_drop(w->city, &d->replica, d->n, &n, err);
}

static void tell_decided(struct world *w, const struct id *replica)
{
    for (struct link *l = w->links; l != NULL; l = l->next) {
        struct server_event ev = {.kind = SERVER_DECIDED};

        if (l->server_open && id_eq(&l->ss.replica, replica))
            network_server_event(l, &ev);
    }
}

static void decide(struct world *w, void *subject)
{
    struct decision d = {.release = world_roll(w, 3) != 0, .skip = world_roll(w, LEFT_OPEN) == 0};
    int ret;

    (void)subject;
    world_at(w, DECIDE_EVERY, decide, NULL);
    if (w->city == NULL || w->hold != 0 ||
        city_quarantine_each(w->city, pick, &d, NULL) < 0 || !d.found)
        return;
    ret = operate(w, decide_one, &d);
    if (ret != 0 && d.release) { /* it cannot stand any more */
        d.release = false;
        w->counts[SIM_NOT_RELEASED]++;
        ret = operate(w, decide_one, &d);
    }
    if (ret == 0) {
        world_say(w, "operator: act %llu %s", (unsigned long long)d.n,
                  d.release ? "released" : "dropped");
        w->counts[d.release ? SIM_RELEASED : SIM_DROPPED_ACT]++;
        tell_decided(w, &d.replica);
    }
}

static bool off_at_city(struct world *w, struct arena *a, unsigned site)
{
    struct row *row;

    return store_row_get(city_store(w->city), a, catalogue_kind_named("user_account"), &w->second[site], &row, NULL) == 0 &&
           row != NULL && row_int(row, "active") == 0;
}

void fault_revoke_opened(struct world *w)
{
    struct replica_row row;
    struct arena a;

    for (unsigned i = 0; i < w->n_replicas; i++) {
        struct sim_replica *r = &w->replicas[i];

        if (!r->gone && city_replica_get(w->city, &r->id, &row, NULL) == 0 && row.state != REPLICA_ACTIVE)
            is_gone(w, r, row.state);
    }
    arena_init(&a, ROW_MAX);
    for (unsigned site = 0; site < SIM_SITES; site++) {
        if (!w->switched_off[site] && off_at_city(w, &a, site))
            is_off(w, site);
    }
    arena_release(&a);
}

void fault_revoke_begin(struct world *w)
{
    world_at(w, DECIDE_EVERY, decide, NULL);
}

static const struct fault list[] = {{2, declare_lost}, {2, retire}, {3, disable}};

const struct faults fault_revocations = {list, sizeof list / sizeof *list};
