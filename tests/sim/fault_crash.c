/* Computers that crash: by a kill or with the power, at rest, around a commit, or in the middle of what
 * they write. */
#include "tests/sim/world_internal.h"

static void city_crashes(struct world *w, struct sim_replica *r)
{
    (void)r;
    if (w->city != NULL)
        computers_crash_city(w);
}

static void before_commit(struct world *w, struct sim_replica *r)
{
    (void)r;
    w->crash_before = true;
}

static void after_commit(struct world *w, struct sim_replica *r)
{
    (void)r;
    w->crash_after = true;
}

static void replica_crashes(struct world *w, struct sim_replica *r)
{
    computers_crash_replica(w, r);
}

/* The power goes with one of the next writes or syncs. */
static void take_power(struct world *w, struct disk *d, unsigned within)
{
    struct disk_fault f = {.ops = DISK_WRITE | DISK_SYNC | DISK_TRUNCATE,
                           .countdown = 1 + (unsigned)world_roll(w, within),
                           .power = true};

    disk_fault_set(d, &f);
}

static void city_power(struct world *w, struct sim_replica *r)
{
    (void)r;
    take_power(w, w->city_disk, 60);
}

static void replica_power(struct world *w, struct sim_replica *r)
{
    take_power(w, r->disk, 60);
}

static const struct fault list[] = {
    {2, city_crashes}, {2, before_commit}, {4, after_commit},
    {2, replica_crashes}, {4, city_power}, {4, replica_power},
};

const struct faults fault_crashes = {list, sizeof list / sizeof *list};
