/* Disks that are full, or fail at the n-th of their next operations, once or for a while; none that is without power
 * just now: what ends such a fault passes over a disk that is down. */
#include "tests/sim/world_internal.h"

/* What the fault did is counted when it is over. */
static void over(struct world *w, struct disk *d, bool city)
{
    bool hit = disk_fault_hits(d) > 0 && !disk_is_down(d);
    bool full = disk_fault_full(d);

    if (hit && city)
        w->counts[full ? SIM_FULL_CITY : SIM_IO_CITY]++;
    else if (hit)
        w->counts[full ? SIM_FULL_COUNTY : SIM_IO_COUNTY]++;
    if (!disk_is_down(d))
        disk_fault_set(d, NULL);
}

static void city_over(struct world *w, void *subject)
{
    (void)subject;
    over(w, w->city_disk, true);
}

static void county_over(struct world *w, void *subject)
{
    struct sim_replica *r = subject;

    over(w, r->disk, false);
}

static void fill(struct world *w, struct disk *d)
{
    struct disk_fault f = {.ops = DISK_WRITE, .countdown = 1, .full = true, .lasting = true};

    (void)w;
    if (!disk_is_down(d))
        disk_fault_set(d, &f);
}

static void fail_at_nth(struct world *w, struct disk *d)
{
    static const unsigned ops[] = {DISK_READ, DISK_WRITE, DISK_SYNC, DISK_TRUNCATE,
                                   DISK_READ | DISK_WRITE | DISK_SYNC | DISK_TRUNCATE};
    struct disk_fault f = {.ops = ops[world_roll(w, 5)],
                           .countdown = 1 + (unsigned)world_roll(w, 30),
                           .lasting = world_roll(w, 2) == 0};

    if (!disk_is_down(d))
        disk_fault_set(d, &f);
}

static void city_full(struct world *w, struct sim_replica *r)
{
    (void)r;
    world_say(w, "the city's disk is full");
    fill(w, w->city_disk);
    world_at(w, 1000 + world_roll(w, 20000), city_over, NULL);
}

static void city_fails(struct world *w, struct sim_replica *r)
{
    (void)r;
    fail_at_nth(w, w->city_disk);
    world_at(w, 1000 + world_roll(w, 20000), city_over, NULL);
}

static void county_full(struct world *w, struct sim_replica *r)
{
    world_say(w, "the disk of replica %u is full", r->no);
    fill(w, r->disk);
    world_at(w, 1000 + world_roll(w, 30000), county_over, r);
}

static void county_fails(struct world *w, struct sim_replica *r)
{
    fail_at_nth(w, r->disk);
    world_at(w, 1000 + world_roll(w, 30000), county_over, r);
}

static const struct fault list[] = {
    {2, city_full}, {3, city_fails}, {2, county_full}, {3, county_fails},
};

const struct faults fault_disks = {list, sizeof list / sizeof *list};

void fault_disks_heal(struct world *w)
{
    city_over(w, NULL);
    for (unsigned i = 0; i < w->n_replicas; i++)
        county_over(w, &w->replicas[i]);
}
