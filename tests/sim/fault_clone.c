/* A computer's disk is copied, and both go on: two with one identity. The city serves whoever is faster; the other
 * is found out by its next Hello and becomes another. */
#include "tests/sim/world_internal.h"

#include <stdio.h>

#define LATEST 20000u /* until the second is switched on */

static void switch_on(struct world *w, void *subject)
{
    struct sim_replica *r = subject;

    if (r->r == NULL)
        computers_replica_back(w, r);
    people_act(w, r);
}

static bool may_be_copied(const struct world *w, const struct sim_replica *r)
{
    for (unsigned i = 0; i < w->n_replicas; i++) {
        if (w->replicas[i].copied)
            return false;
    }
    return r->r != NULL && w->n_replicas < REPLICAS_MAX && w->blobs == NULL && w->restore.backup == NULL && !r->gone &&
           !r->late && !r->restored && r->backup == NULL && r->base == 0;
}

static void clone(struct world *w, struct sim_replica *r)
{
    struct sim_replica *c = &w->replicas[w->n_replicas];
    struct replica_facts f;
    char name[32];

    if (!may_be_copied(w, r) || replica_facts(r->r, &f, NULL) != 0)
        return;
    *c = (struct sim_replica){.no = w->n_replicas, .id = r->id, .first_id = r->first_id, .clerk = r->clerk,
                              .owner = r->owner, .site = r->site, .twin = r->no, .is_copy = true};
    (void)snprintf(name, sizeof name, "replica%u", c->no);
    c->disk = disk_new(name);
    if (c->disk == NULL || disk_copy(c->disk, r->disk) != 0)
        world_fail(w, "out of memory");
    r->copied = c->copied = true;
    r->twin = c->no;
    r->twin_n = c->twin_n = c->durable_n = f.own_n;
    w->n_replicas++;
    w->restore.barred = true;
    w->counts[SIM_CLONED]++;
    world_say(w, "the disk of replica %u is copied: replica %u", r->no, c->no);
    world_at(w, world_roll(w, LATEST), switch_on, c);
}

static const struct fault list[] = {{3, clone}};

const struct faults fault_clones = {list, sizeof list / sizeof *list};
