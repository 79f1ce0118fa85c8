/* The computers of the world: disks, the stores on them, what a crash leaves, and the template of all
 * beginnings.
 *
 * Making a city and enrolling its replicas takes longer than a seed's whole life, so it is done once: the
 * disks of a city with its accounts, studios and members and of every computer that a world may switch on.
 * A world takes copies. Ledger, replicas and those first records therefore have the same ids in every
 * world; what is made in a world draws its ids from the seed. */
#include "tests/sim/world_internal.h"
#include "client/store/repair.h"

#include "common/crypto/hash.h"
#include "tests/lib/toy.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#define CITY_PATH "city/city.db"

static struct template {
    struct disk *city;
    struct disk *disks[POOL_MAX];
    struct sim_replica pool[POOL_MAX];
    struct id studio[SIM_SITES], member[SIM_SITES], second[SIM_SITES];
} template;

/* ---- keys ---- */

static struct city_options city_options(struct world *w)
{
    return (struct city_options){.hasher = hasher_of(HASH_SM3),
                                 .random = w->random,
                                 .signer = toy_signer(),
                                 .verifier = toy_verifier(),
                                 .vfs = DISK_VFS,
                                 .now = world_clock(w, w->skew)};
}

static struct replica_keys replica_keys(struct world *w)
{
    return (struct replica_keys){.hasher = hasher_of(HASH_SM3),
                                 .hasher_of = hasher_of,
                                 .log_key = toy_verifier(),
                                 .site_seal = toy_seal,
                                 .site_open = toy_open,
                                 .random = w->random,
                                 .vfs = DISK_VFS};
}

/* ---- opening ---- */

/* Checkpoints after so few pages that they happen in the short life of a world. */
static void checkpoint_often(struct world *w, struct store *s)
{
    (void)sqlite3_wal_autocheckpoint(store_db(s), 10 + (int)world_roll(w, 300)); /* cannot fail */
}

bool computers_excuse(const struct disk *d, int ret)
{
    bool io = ret == E_IO || ret == E_FULL || ret == E_NOTFOUND; /* the last: a file not opened */

    return disk_is_down(d) || (io && disk_fault_hits(d) > 0);
}

bool computers_open_city(struct world *w)
{
    struct city_options o = city_options(w);
    struct err err = {.ret = 0};
    int ret = city_open(CITY_PATH, &o, &w->city, &err);

    if (ret != 0) {
        if (!computers_excuse(w->city_disk, ret))
            world_fail(w, "the city does not open: %s", err.text);
        return false;
    }
    checkpoint_often(w, city_store(w->city));
    return true;
}

static void replica_path(const struct sim_replica *r, char path[32])
{
    (void)snprintf(path, 32, "replica%u/replica.db", r->no);
}

bool computers_open_replica(struct world *w, struct sim_replica *r)
{
    struct replica_keys keys = replica_keys(w);
    struct replica_facts f;
    struct err err = {.ret = 0};
    char path[32];
    bool differs;
    int ret;

    replica_path(r, path);
    ret = replica_open(path, &keys, &r->r, &err);
    if (ret == 0) /* as every agent does when it begins */
        ret = replica_recount(r->r, true, &differs, &err);
    if (ret == 0)
        ret = replica_facts(r->r, &f, &err);
    if (ret != 0) {
        if (!computers_excuse(r->disk, ret))
            world_fail(w, "a replica does not open: %s", err.text);
        replica_close(r->r);
        r->r = NULL;
        return false;
    }
    checkpoint_often(w, replica_store(r->r));
    memset(r->saw, 0, sizeof r->saw);
    successor_look(w, r);
    if (f.own_n < r->durable_n)
        world_fail(w, "a crash lost changes: %llu were kept, %llu are there",
                   (unsigned long long)r->durable_n, (unsigned long long)f.own_n);
    return true;
}

/* ---- crashes ---- */

/* What the city has said it holds: no crash may take it back. */
static void check_promises(struct world *w)
{
    struct stream_head h;

    for (unsigned i = 0; i < w->n_told; i++) {
        if (store_stream_get(city_store(w->city), w->told[i].stream, &h, NULL) != 0 ||
            h.seq < w->told[i].seq)
            world_fail(w, "a crash of the city lost entries of stream %u that were told",
                       w->told[i].stream);
    }
}

/* The processes of D end, by a kill or with the power. True: the power. */
static bool end_processes(struct world *w, struct disk *d)
{
    struct disk_losses l;

    if (disk_is_down(d)) {
        w->counts[SIM_POWER_MIDWAY]++;
    } else if (world_roll(w, 3) == 0) {
        disk_kill(d);
        return false;
    }
    l = disk_cut_power(d, &w->random);
    blobs_power_cut(w, d);
    world_say(w, "power cut: of %u writes not synced %u are lost, %u torn", l.unsynced, l.dropped,
              l.torn);
    w->counts[SIM_POWER_CUT]++;
    w->counts[SIM_DROPPED] += l.dropped > 0;
    w->counts[SIM_TORN] += l.torn > 0;
    return true;
}

/* The power may go while a store is being opened, too. */
static void restart_disk(struct world *w, struct disk *d)
{
    if (disk_is_down(d))
        (void)end_processes(w, d);
}

void computers_city_back(struct world *w, void *subject)
{
    (void)subject;
    if (w->city != NULL)
        return;
    if (!computers_open_city(w) || !fault_restore_opened(w)) {
        restart_disk(w, w->city_disk);
        world_at(w, 3000, computers_city_back, NULL);
        return;
    }
    world_say(w, "city is back");
    fault_revoke_opened(w);
    network_hold(w, writer_hold(w));
    check_promises(w);
}

void computers_crash_city(struct world *w)
{
    world_say(w, "city crashes");
    w->counts[SIM_CRASH_CITY]++;
    network_city_down(w, !end_processes(w, w->city_disk));
    writer_drop_all(w);
    city_rollback(w->city);
    city_close(w->city);
    w->city = NULL;
    w->hold = 0;
    w->retry_ms = 0;
    world_at(w, 50 + world_roll(w, 5000), computers_city_back, NULL);
}

/* The cursor of the site's stream; 0 when it cannot be read, as on a disk that is down. */
static uint64_t taken_in(struct sim_replica *r)
{
    struct stream_head h;

    return store_stream_get(replica_store(r->r), r->site, &h, NULL) == 0 ? h.seq : 0;
}

void computers_replica_back(struct world *w, void *subject)
{
    struct sim_replica *r = subject;

    if (r->r != NULL)
        return;
    if (!computers_open_replica(w, r)) {
        r->killed = r->killed && !disk_is_down(r->disk);
        restart_disk(w, r->disk);
        world_at(w, 3000, computers_replica_back, r);
        return;
    }
    world_say(w, "replica %u is back", r->no);
    w->counts[SIM_TAKEN_IN_LOST] += taken_in(r) < r->cursor;
    if (taken_in(r) < r->cursor && r->killed)
        world_fail(w, "replica %u lost entries though the power stayed", r->no);
    network_connect(w, r);
}

void computers_crash_replica(struct world *w, struct sim_replica *r)
{
    if (r->r == NULL)
        return;
    world_say(w, "replica %u crashes", r->no);
    w->counts[SIM_CRASH_REPLICA]++;
    r->cursor = taken_in(r);
    r->killed = !end_processes(w, r->disk);
    if (r->link != NULL && r->killed)
        network_cut(w, r->link, true);
    else if (r->link != NULL)
        network_half_open(w, r->link, TO_COUNTY);
    replica_close(r->r);
    r->r = NULL;
    world_at(w, 100 + world_roll(w, 20000), computers_replica_back, r);
}

void computers_stop_replica(struct world *w, struct sim_replica *r, msec_t down_for)
{
    if (r->r == NULL)
        return;
    if (r->link != NULL)
        network_cut(w, r->link, true);
    replica_close(r->r);
    r->r = NULL;
    r->cursor = 0;
    r->killed = false;
    disk_kill(r->disk);
    world_at(w, down_for, computers_replica_back, r);
}

void computers_look(struct world *w)
{
    if (w->city != NULL && disk_is_down(w->city_disk))
        computers_crash_city(w);
    for (unsigned i = 0; i < w->n_replicas; i++) {
        if (w->replicas[i].r != NULL && disk_is_down(w->replicas[i].disk))
            computers_crash_replica(w, &w->replicas[i]);
    }
}

/* ---- the template ---- */

static int issue(void *ctx, uint32_t site, char ret_serial[48], uint8_t ret_fingerprint[HASH_SIZE])
{
    (void)ctx;
    (void)snprintf(ret_serial, 48, "%u", site);
    memset(ret_fingerprint, 7, HASH_SIZE);
    return 0;
}

static bool enrol(struct world *w, struct sim_replica *r)
{
    struct replica_keys keys = replica_keys(w);
    struct replica_facts f = {.ledger = city_ledger(w->city),
                              .incarnation = city_incarnation(w->city)};
    uint8_t secret[HASH_SIZE];
    struct err err = {.ret = 0};
    char path[32];
    int ret;

    random_fill(&w->random, secret, sizeof secret);
    random_fill(&w->random, r->id.b, ID_SIZE);
    ret = city_token_add(w->city, r->site, secret, world_clock(w, 0) + 1000, &err);
    if (ret == 0)
        ret = city_enrol(w->city, secret, &r->id, issue, NULL, &f.site, &f.k, &f.clerk, &err);
    f.id = r->id;
    r->clerk = f.clerk;
    replica_path(r, path);
    if (ret == 0)
        ret = replica_create(path, &keys, &f, &err);
    if (ret != 0)
        world_fail(w, "enrolment: %s", err.text);
    return ret == 0;
}

static bool enrol_pool(struct world *w)
{
    for (unsigned i = 0; i < POOL_MAX; i++) {
        struct sim_replica *r = &template.pool[i];
        char name[32];

        *r = (struct sim_replica){.no = i, .site = sim_sites[i < REPLICAS_MAX ? 0 : 1]};
        (void)snprintf(name, sizeof name, "replica%u", i);
        r->disk = disk_new(name);
        if (r->disk == NULL || !enrol(w, r))
            return false;
    }
    return true;
}

/* All in one transaction, then closed: everything is in the main files. */
static bool found(struct world *w)
{
    struct city_options o = city_options(w);
    struct err err = {.ret = 0};
    bool ok;

    if (city_create(CITY_PATH, &o, "第五届", &err) != 0 || !computers_open_city(w)) {
        world_fail(w, "no template: %s", err.text);
        return false;
    }
    ok = city_begin(w->city, world_clock(w, 0), &err) == 0 && people_settle(w) && enrol_pool(w);
    if (ok && city_commit(w->city, &err) != 0)
        world_fail(w, "the beginning is not kept: %s", err.text);
    city_close(w->city);
    w->city = NULL;
    return ok;
}

static struct disk *keep(struct disk *d, const char *name)
{
    struct disk *copy = disk_new(name);

    if (copy != NULL && disk_copy(copy, d) != 0) {
        disk_free(copy);
        copy = NULL;
    }
    disk_free(d);
    return copy;
}

int computers_template(struct world *w)
{
    bool ok;

    w->city_disk = disk_new("city");
    ok = w->city_disk != NULL && found(w);
    memcpy(template.studio, w->studio, sizeof template.studio);
    memcpy(template.member, w->member, sizeof template.member);
    memcpy(template.second, w->second, sizeof template.second);
    template.city = keep(w->city_disk, "template-city");
    ok = ok && template.city != NULL;
    for (unsigned i = 0; i < POOL_MAX; i++) {
        char name[32];

        (void)snprintf(name, sizeof name, "template-replica%u", i);
        template.disks[i] = keep(template.pool[i].disk, name);
        template.pool[i].disk = NULL;
        ok = ok && template.disks[i] != NULL;
    }
    return ok ? 0 : -1;
}

void computers_template_release(void)
{
    disk_free(template.city);
    for (unsigned i = 0; i < POOL_MAX; i++)
        disk_free(template.disks[i]);
}

/* ---- a world's own ---- */

static struct disk *copy_of(struct world *w, const char *name, const struct disk *from)
{
    struct disk *d = disk_new(name);

    if (d == NULL || disk_copy(d, from) != 0)
        world_fail(w, "out of memory");
    return d;
}

/* The first two are of one site, so that people meet there. */
static bool switch_on(struct world *w, unsigned i, unsigned taken[SIM_SITES])
{
    struct sim_replica *r = &w->replicas[i];
    unsigned site = i < 2 ? 0 : (unsigned)world_roll(w, SIM_SITES);
    unsigned slot = site * REPLICAS_MAX + taken[site]++;
    char name[32];

    *r = template.pool[slot];
    r->no = i;
    r->first_id = r->id;
    r->owner = world_roll(w, 3) == 0 ? template.second[site] : r->clerk;
    (void)snprintf(name, sizeof name, "replica%u", i);
    r->disk = copy_of(w, name, template.disks[slot]);
    return w->why[0] == '\0' && computers_open_replica(w, r);
}

bool computers_begin(struct world *w)
{
    unsigned taken[SIM_SITES] = {0};

    disk_begin_run();
    memcpy(w->studio, template.studio, sizeof w->studio);
    memcpy(w->member, template.member, sizeof w->member);
    memcpy(w->second, template.second, sizeof w->second);
    w->city_disk = copy_of(w, "city", template.city);
    w->n_replicas = 2 + (unsigned)world_roll(w, REPLICAS_MAX - 1);
    for (unsigned i = 0; i < w->n_replicas && w->why[0] == '\0'; i++)
        (void)switch_on(w, i, taken);
    return w->why[0] == '\0' && computers_open_city(w);
}

/* The disks go with everything on them: nothing needs to be brought in order before. */
void computers_release(struct world *w)
{
    if (w->city_disk != NULL)
        disk_kill(w->city_disk);
    city_close(w->city);
    disk_free(w->city_disk);
    fault_restore_release(w);
    for (unsigned i = 0; i < w->n_replicas; i++) {
        if (w->replicas[i].disk != NULL)
            disk_kill(w->replicas[i].disk);
        replica_close(w->replicas[i].r);
        disk_free(w->replicas[i].disk);
        fault_copy_release(&w->replicas[i]);
    }
}
