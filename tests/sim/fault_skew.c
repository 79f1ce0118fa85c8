/* The city runs an older program than its counties for a while: what that does not know waits with them, and all
 * that was made behind it. */
#include "tests/sim/world_internal.h"

#define LATEST 60000u /* until it is upgraded */

static void upgrade(struct world *w, void *subject)
{
    (void)subject;
    if (w->city_catalogue == CATALOGUE_VERSION)
        return;
    world_say(w, "the city is upgraded from catalogue %u", w->city_catalogue);
    w->city_catalogue = CATALOGUE_VERSION;
    if (w->city != NULL)
        computers_crash_city(w);
}

void fault_skew_begin(struct world *w)
{
    if (world_roll(w, 4) != 0)
        return;
    w->city_catalogue = 1 + (uint32_t)world_roll(w, CATALOGUE_VERSION - 1);
    w->counts[SIM_OLD_CITY]++;
    world_at(w, 1000 + world_roll(w, LATEST), upgrade, NULL);
}

void fault_skew_heal(struct world *w)
{
    upgrade(w, NULL);
}

void fault_skew_pushed(struct world *w, const struct change *c)
{
    if (change_needs(c) > w->city_catalogue)
        world_fail(w, "a city of catalogue %u was sent what needs %u", w->city_catalogue, change_needs(c));
}
