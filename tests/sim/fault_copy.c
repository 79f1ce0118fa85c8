/* A computer that is set up again from an old backup of itself.
 *
 * Its owner goes on with the old file. Where the city has answered more changes than that file holds, the
 * two disagree: that must show on the first frames, before anything is taken from it or given to it. Here
 * the owner then finds the newer disk after all and goes on with that. Otherwise nobody can tell: the
 * replica has lost what it had not sent, makes its numbers anew, and everything else must hold. */
#include "tests/sim/world_internal.h"

#include <stdio.h>

/* Longer than the city can have kept its last pushes waiting. */
#define SET_UP_AGAIN 120000u

static void free_copies(struct sim_replica *r)
{
    disk_free(r->backup);
    disk_free(r->newer);
    r->backup = r->newer = NULL;
}

static struct disk *copy_of(struct world *w, const struct sim_replica *r, const char *what)
{
    struct disk *d;
    char name[32];

    (void)snprintf(name, sizeof name, "%s%u", what, r->no);
    d = disk_new(name);
    if (d == NULL || disk_copy(d, r->disk) != 0)
        world_fail(w, "out of memory");
    return d;
}

static void set_up_again(struct world *w, void *subject)
{
    struct sim_replica *r = subject;

    if (r->r == NULL || r->backup == NULL || r->restored || r->gone || w->healing)
        return;
    world_say(w, "replica %u is set up again from a backup", r->no);
    computers_stop_replica(w, r, SET_UP_AGAIN);
    r->newer = copy_of(w, r, "newer");
    if (disk_copy(r->disk, r->backup) != 0)
        world_fail(w, "out of memory");
    r->restored = r->set_up_again = true;
    r->newer_n = r->durable_n;
    r->durable_n = 0;
}

static void back_up(struct world *w, struct sim_replica *r)
{
    if (r->r == NULL || r->gone || r->backup != NULL || w->restore.backup != NULL)
        return;
    w->restore.barred = true;
    r->backup = copy_of(w, r, "backup");
    world_at(w, 500 + world_roll(w, 20000), set_up_again, r);
}

/* The city did not mind. */
void fault_copy_welcome(struct world *w, struct sim_replica *r, uint64_t own_n)
{
    unsigned kept = 0;

    if (!r->restored)
        return;
    w->counts[SIM_RESTORED]++;
    r->restored = false;
    r->durable_n = own_n;
    for (unsigned i = 0; i < w->n_edits; i++) {
        if (w->edits[i].replica != r->no || w->edits[i].n <= own_n)
            w->edits[kept++] = w->edits[i];
    }
    w->n_edits = kept;
    free_copies(r);
}

/* It did, and nothing of either went to the other. */
void fault_copy_forked(struct world *w, struct sim_replica *r)
{
    world_say(w, "the backup of replica %u is found out", r->no);
    w->counts[SIM_FOUND_OUT]++;
    computers_stop_replica(w, r, 1000);
    if (disk_copy(r->disk, r->newer) != 0)
        world_fail(w, "out of memory");
    r->restored = false;
    r->durable_n = r->newer_n;
    free_copies(r);
}

void fault_copy_release(struct sim_replica *r)
{
    free_copies(r);
}

static const struct fault list[] = {{3, back_up}};

const struct faults fault_copies = {list, sizeof list / sizeof *list};
