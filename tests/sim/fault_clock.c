/* Wall clocks that jump, by minutes or by years, and are set right after a while. The monotonic clock goes
 * on as ever. */
#include "tests/sim/world_internal.h"

#define MINUTE 60000
#define DAY    (24 * 60 * MINUTE)

static int64_t jump(struct world *w)
{
    static const int64_t most[] = {10 * (int64_t)MINUTE, 2 * (int64_t)DAY, 6000 * (int64_t)DAY};
    int64_t by = (int64_t)world_roll(w, (uint64_t)most[world_roll(w, 3)]);

    return world_roll(w, 2) == 0 ? by : -by;
}

static void set_city_right(struct world *w, void *subject)
{
    (void)subject;
    w->skew = 0;
}

static void city_jumps(struct world *w, struct sim_replica *r)
{
    (void)r;
    w->counts[SIM_CLOCK_CITY]++;
    w->skew = jump(w);
    world_say(w, "the city's clock jumps by %lld ms", (long long)w->skew);
    world_at(w, 1000 + world_roll(w, 20000), set_city_right, NULL);
}

static void set_right(struct world *w, void *subject)
{
    struct sim_replica *r = subject;

    (void)w;
    r->skew = 0;
}

static void county_jumps(struct world *w, struct sim_replica *r)
{
    w->counts[SIM_CLOCK_COUNTY]++;
    r->skew = jump(w);
    world_say(w, "the clock of replica %u jumps by %lld ms", r->no, (long long)r->skew);
    world_at(w, 1000 + world_roll(w, 60000), set_right, r);
}

static const struct fault list[] = {{2, city_jumps}, {3, county_jumps}};

const struct faults fault_clocks = {list, sizeof list / sizeof *list};
