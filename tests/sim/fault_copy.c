/* A computer that is set up again from an old backup of itself.
 *
 * Its owner goes on with the old file. Where the city has answered more changes than that file holds, the
 * two disagree: that must show on the first frames, before anything is taken from it or given to it. The
 * owner then finds the newer disk after all and goes on with that; or he does not, and the computer becomes
 * another, with what was made on it since. Otherwise nobody can tell: the replica has lost what it had not sent,
 * makes its numbers anew, and everything else must hold. */
#include "tests/sim/world_internal.h"

#include <stdio.h>

/* Longer than the city can have kept its last pushes waiting. */
#define SET_UP_AGAIN 120000u
#define WITHOUT_LINE 30000u

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

/* What the backup does not know of was made before; or it is here again. */
static void set_former(struct world *w, const struct sim_replica *r, bool former)
{
    for (unsigned i = 0; i < w->n_edits; i++) {
        if (w->edits[i].replica == r->no && w->edits[i].n > r->backup_n)
            w->edits[i].former = former;
    }
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
    r->returns = world_roll(w, 2) == 0;
    set_former(w, r, true);
    if (!r->returns) /* there is work on it before the city hears of it */
        r->blocked_until[TO_CITY] = w->now + SET_UP_AGAIN + world_roll(w, WITHOUT_LINE);
    r->newer_n = r->durable_n;
    r->durable_n = 0;
}

static void back_up(struct world *w, struct sim_replica *r)
{
    struct replica_facts f;

    if (r->r == NULL || r->gone || r->copied || r->backup != NULL || r->base != 0 || w->restore.backup != NULL ||
        replica_facts(r->r, &f, NULL) != 0)
        return;
    w->restore.barred = true;
    r->backup_n = f.own_n;
    r->backup = copy_of(w, r, "backup");
    world_at(w, 500 + world_roll(w, 20000), set_up_again, r);
}

static void forget_former(struct world *w, const struct sim_replica *r)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < w->n_edits; i++) {
        if (w->edits[i].replica != r->no || !w->edits[i].former)
            w->edits[kept++] = w->edits[i];
    }
    w->n_edits = kept;
}

/* The city does not mind, or not any more. */
void fault_copy_welcome(struct world *w, struct sim_replica *r, uint64_t own_n)
{
    if (!r->restored)
        return;
    r->restored = false;
    r->durable_n = own_n;
    if (r->base == 0) {
        w->counts[SIM_RESTORED]++;
        forget_former(w, r);
    }
    free_copies(r);
}

/* It did mind, and nothing of either went to the other. */
void fault_copy_forked(struct world *w, struct sim_replica *r)
{
    world_say(w, "the backup of replica %u is found out", r->no);
    w->counts[SIM_FOUND_OUT]++;
    computers_stop_replica(w, r, 1000);
    if (disk_copy(r->disk, r->newer) != 0)
        world_fail(w, "out of memory");
    set_former(w, r, false);
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
