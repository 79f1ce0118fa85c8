/* Lines that fail: chunks lost, late, doubled or damaged, connections that one end alone knows to be
 * over, and times in which nothing comes through one way or both. */
#include "tests/sim/world_internal.h"

static struct link *open_link(struct sim_replica *r)
{
    return r->link != NULL && r->link->client_open ? r->link : NULL;
}

static void cut(struct world *w, struct sim_replica *r)
{
    if (r->link != NULL)
        network_cut(w, r->link, world_roll(w, 2) == 0);
}

static void go_silent(struct world *w, struct sim_replica *r)
{
    struct link *l = open_link(r);

    if (l == NULL)
        return;
    world_say(w, "link of replica %u delivers nothing more", r->no);
    w->counts[SIM_STALL]++;
    l->silent[TO_CITY] = l->silent[TO_COUNTY] = true;
}

static void half_open(struct world *w, struct sim_replica *r)
{
    struct link *l = open_link(r);
    int dir = (int)world_roll(w, 2);

    if (l == NULL || !l->server_open)
        return;
    world_say(w, "link of replica %u is known to be over at the %s alone", r->no,
              dir == TO_CITY ? "city" : "county");
    w->counts[SIM_HALF_OPEN]++;
    network_half_open(w, l, dir);
}

/* ---- chunks ---- */

static void next_chunk(struct world *w, struct sim_replica *r, enum chunk_fault fault)
{
    struct link *l = open_link(r);

    if (l != NULL)
        l->fault[world_roll(w, 2)] = fault;
}

static void lose(struct world *w, struct sim_replica *r)
{
    next_chunk(w, r, CHUNK_LOST);
}

static void delay(struct world *w, struct sim_replica *r)
{
    next_chunk(w, r, CHUNK_DELAYED);
}

static void repeat(struct world *w, struct sim_replica *r)
{
    next_chunk(w, r, CHUNK_TWICE);
}

static void corrupt(struct world *w, struct sim_replica *r)
{
    next_chunk(w, r, CHUNK_CORRUPTED);
}

/* ---- partitions ---- */

static void come_online(struct world *w, void *subject)
{
    struct sim_replica *r = subject;

    if (!r->offline)
        return;
    r->offline = false;
    network_connect(w, r);
}

static void leave_offline(struct world *w, struct sim_replica *r)
{
    if (r->offline)
        return;
    w->counts[SIM_OFFLINE]++;
    r->offline = true;
    if (r->link != NULL)
        network_cut(w, r->link, true);
    world_at(w, 60000 + world_roll(w, 600000), come_online, r);
}

static void partition(struct world *w, struct sim_replica *r)
{
    msec_t until = w->now + 1000 + world_roll(w, 180000);

    world_say(w, "replica %u is cut off until %llu", r->no, (unsigned long long)until);
    w->counts[SIM_PARTITION]++;
    r->blocked_until[TO_CITY] = r->blocked_until[TO_COUNTY] = until;
}

static void one_way(struct world *w, struct sim_replica *r)
{
    w->counts[SIM_ONE_WAY]++;
    r->blocked_until[world_roll(w, 2)] = w->now + 1000 + world_roll(w, 180000);
}

static const struct fault list[] = {
    {3, cut}, {2, go_silent}, {2, half_open}, {2, lose}, {2, delay}, {2, repeat},
    {2, corrupt}, {2, leave_offline}, {2, partition}, {2, one_way},
};

const struct faults fault_network = {list, sizeof list / sizeof *list};

/* Partitions end; but a connection may have died unnoticed just before, when nobody had anything to say. */
void fault_network_heal(struct world *w)
{
    struct sim_replica *last = &w->replicas[world_roll(w, w->n_replicas)];

    for (unsigned i = 0; i < w->n_replicas; i++) {
        struct sim_replica *r = &w->replicas[i];

        r->blocked_until[TO_CITY] = r->blocked_until[TO_COUNTY] = 0;
        if (!r->by_bundle)
            come_online(w, r);
    }
    if (world_roll(w, 3) == 0)
        go_silent(w, last);
}
