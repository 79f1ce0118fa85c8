/* Time, chance, faults, and the course of one seed: settle, live with faults, heal, be judged. */
#include "tests/sim/world_internal.h"

#include "common/base/mem.h"
#include "common/crypto/hash.h"
#include "tests/lib/toy.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define EPOCH       1767225600000u /* 2026-01-01, when every world begins */
#define HEAL_WITHIN (4u * 3600u * 1000u)
#define STEPS_MAX   2000000u

const char *const sim_event_text[SIM_EVENT_KINDS] = {
#define X(name, text) text,
    SIM_EVENTS(X)
#undef X
};

const uint32_t sim_sites[SIM_SITES] = {431021, 431081};

void world_fail(struct world *w, const char *fmt, ...)
{
    va_list ap;

    if (w->why[0] != '\0')
        return;
    va_start(ap, fmt);
    (void)vsnprintf(w->why, 1024, fmt, ap);
    va_end(ap);
    world_say(w, "FAILED: %s", w->why);
}

void world_say(struct world *w, const char *fmt, ...)
{
    va_list ap;

    if (!w->o->verbose)
        return;
    (void)printf("[%9llu] ", (unsigned long long)w->now);
    va_start(ap, fmt);
    (void)vprintf(fmt, ap);
    va_end(ap);
    (void)printf("\n");
    (void)fflush(stdout);
}

uint64_t world_roll(struct world *w, uint64_t bound)
{
    return random_below(&w->random, bound);
}

/* ---- events in time ---- */

static bool before(const struct event *a, const struct event *b)
{
    return a->at != b->at ? a->at < b->at : a->no < b->no;
}

void world_at(struct world *w, msec_t delay, void (*fire)(struct world *w, void *subject),
              void *subject)
{
    struct event e = {
        .at = w->now + delay, .no = w->next_no++, .fire = fire, .subject = subject};
    size_t i = w->n_heap++;

    if (w->n_heap > w->cap_heap) {
        w->cap_heap = w->cap_heap * 2 + 256;
        w->heap = mem_realloc(w->heap, w->cap_heap * sizeof *w->heap);
        if (w->heap == NULL) {
            (void)fprintf(stderr, "out of memory\n");
            _exit(3);
        }
    }
    for (; i > 0 && before(&e, &w->heap[(i - 1) / 2]); i = (i - 1) / 2)
        w->heap[i] = w->heap[(i - 1) / 2];
    w->heap[i] = e;
}

static struct event next_event(struct world *w)
{
    struct event first = w->heap[0];
    struct event last = w->heap[--w->n_heap];
    size_t i = 0;

    for (;;) {
        size_t child = 2 * i + 1;

        if (child >= w->n_heap)
            break;
        if (child + 1 < w->n_heap && before(&w->heap[child + 1], &w->heap[child]))
            child++;
        if (!before(&w->heap[child], &last))
            break;
        w->heap[i] = w->heap[child];
        i = child;
    }
    if (w->n_heap > 0)
        w->heap[i] = last;
    return first;
}

/* ---- the stores ---- */

struct city_options world_city_options(struct world *w)
{
    return (struct city_options){.hasher = hasher_of(HASH_SM3),
                                 .random = w->random,
                                 .signer = toy_signer(),
                                 .now = w->wall};
}

struct replica_keys world_replica_keys(struct world *w)
{
    return (struct replica_keys){.hasher = hasher_of(HASH_SM3),
                                 .hasher_of = hasher_of,
                                 .log_key = toy_verifier(),
                                 .site_seal = toy_seal,
                                 .site_open = toy_open,
                                 .random = w->random};
}

bool world_open_city(struct world *w)
{
    struct city_options o = world_city_options(w);
    struct err err = {.ret = 0};

    if (city_open(w->city_path, &o, &w->city, &err) != 0) {
        world_fail(w, "the city does not open: %s", err.text);
        return false;
    }
    return true;
}

bool world_open_replica(struct world *w, struct sim_replica *r)
{
    struct replica_keys keys = world_replica_keys(w);
    struct replica_facts f;
    struct err err = {.ret = 0};

    if (replica_open(r->path, &keys, &r->r, &err) != 0 || replica_facts(r->r, &f, &err) != 0) {
        world_fail(w, "a replica does not open: %s", err.text);
        return false;
    }
    if (f.own_n < r->durable_n)
        world_fail(w, "a crash lost changes: %llu were kept, %llu are there",
                   (unsigned long long)r->durable_n, (unsigned long long)f.own_n);
    return true;
}

static bool copy_file(const char *from, const char *to)
{
    FILE *in = fopen(from, "rb");
    FILE *out = fopen(to, "wb");
    char block[65536];
    size_t n;
    bool ok = in != NULL && out != NULL;

    while (ok && (n = fread(block, 1, sizeof block, in)) > 0)
        ok = fwrite(block, 1, n, out) == n;
    if (in != NULL)
        (void)fclose(in);
    return (out == NULL || fclose(out) == 0) && ok;
}

static void remove_store(const char *path)
{
    char name[600];

    (void)unlink(path);
    (void)snprintf(name, sizeof name, "%s-wal", path);
    (void)unlink(name);
    (void)snprintf(name, sizeof name, "%s-shm", path);
    (void)unlink(name);
}

int world_template(const char *path, char why[1024])
{
    struct random_seeded seeded;
    struct city_options o = {.hasher = hasher_of(HASH_SM3),
                             .random = random_seeded_init(&seeded, 1),
                             .signer = toy_signer(),
                             .now = EPOCH};
    struct err err = {.ret = 0};

    remove_store(path);
    if (city_create(path, &o, "第五届", &err) == 0)
        return 0;
    (void)snprintf(why, 1024, "no template: %s", err.text);
    return -1;
}

/* ---- faults ---- */

static void city_back(struct world *w, void *subject)
{
    (void)subject;
    if (w->city == NULL && world_open_city(w))
        world_say(w, "city is back");
}

void world_crash_city(struct world *w)
{
    world_say(w, "city crashes");
    w->counts[SIM_CRASH_CITY]++;
    network_city_down(w);
    writer_drop_all(w);
    city_rollback(w->city);
    city_close(w->city);
    w->city = NULL;
    world_at(w, 50 + world_roll(w, 5000), city_back, NULL);
}

static void replica_back(struct world *w, void *subject)
{
    struct sim_replica *r = subject;

    if (r->r == NULL && world_open_replica(w, r)) {
        world_say(w, "replica %u is back", (unsigned)(r - w->replicas));
        network_connect(w, r);
    }
}

static void crash_replica(struct world *w, struct sim_replica *r)
{
    if (r->r == NULL)
        return;
    world_say(w, "replica %u crashes", (unsigned)(r - w->replicas));
    w->counts[SIM_CRASH_REPLICA]++;
    if (r->link != NULL)
        network_cut(w, r->link, true);
    replica_close(r->r);
    r->r = NULL;
    world_at(w, 100 + world_roll(w, 20000), replica_back, r);
}

static void come_online(struct world *w, void *subject)
{
    struct sim_replica *r = subject;

    r->offline = false;
    network_connect(w, r);
}

static void one_fault(struct world *w)
{
    struct sim_replica *r = &w->replicas[world_roll(w, w->n_replicas)];

    switch (world_roll(w, 8)) {
    case 0:
        if (w->city != NULL)
            world_crash_city(w);
        break;
    case 1:
        w->crash_before = true;
        break;
    case 2:
    case 3:
        w->crash_after = true;
        break;
    case 4:
        crash_replica(w, r);
        break;
    case 5:
        if (r->link != NULL && r->link->client_open) {
            world_say(w, "link of replica %u delivers nothing more", (unsigned)(r - w->replicas));
            w->counts[SIM_STALL]++;
            r->link->stalled = true;
        }
        break;
    case 6:
        if (!r->offline) {
            w->counts[SIM_OFFLINE]++;
            r->offline = true;
            if (r->link != NULL)
                network_cut(w, r->link, true);
            world_at(w, 60000 + world_roll(w, 600000), come_online, r);
        }
        break;
    default:
        if (r->link != NULL)
            network_cut(w, r->link, world_roll(w, 2) == 0);
    }
}

static void fault_due(struct world *w, void *subject)
{
    (void)subject;
    if (w->healing || w->faults_left == 0)
        return;
    w->faults_left--;
    one_fault(w);
    world_at(w, 200 + world_roll(w, 12000), fault_due, NULL);
}

/* ---- the course of a seed ---- */

/* The replica's cursor is the city's head. */
static bool caught_up(const struct world *w, const struct sim_replica *r, uint32_t stream)
{
    struct stream_head there, here;

    return store_stream_get(city_store(w->city), stream, &there, NULL) == 0 &&
           store_stream_get(replica_store(r->r), stream, &here, NULL) == 0 &&
           there.seq == here.seq;
}

static bool quiet(const struct world *w)
{
    if (w->city == NULL || w->jobs != NULL || w->acts_left > 0)
        return false;
    for (unsigned i = 0; i < w->n_replicas; i++) {
        const struct sim_replica *r = &w->replicas[i];

        if (r->r == NULL || r->offline || r->link == NULL || !r->link->client_open ||
            !r->link->server_open || !client_session_complete(&r->link->cs) ||
            !caught_up(w, r, STREAM_SHARED) || !caught_up(w, r, r->site))
            return false;
    }
    return true;
}

static void live(struct world *w)
{
    msec_t heal_by = 0;

    for (unsigned steps = 0; w->why[0] == '\0'; steps++) {
        struct event e;

        if (w->acts_left == 0 && !w->healing) {
            w->healing = true;
            w->crash_before = w->crash_after = false;
            heal_by = w->now + HEAL_WITHIN;
            world_say(w, "healing begins");
        }
        if (w->healing && quiet(w))
            return;
        if (steps > STEPS_MAX || w->n_heap == 0 || (w->healing && w->now > heal_by)) {
            world_fail(w, "backlog does not end: %s",
                       w->n_heap == 0 ? "nothing is due any more" : "time is up");
            return;
        }
        e = next_event(w);
        w->now = e.at;
        w->wall = EPOCH + w->now;
        e.fire(w, e.subject);
    }
}

static bool settle(struct world *w)
{
    (void)snprintf(w->city_path, sizeof w->city_path, "%s/city.db", w->o->dir);
    remove_store(w->city_path);
    if (!copy_file(w->o->city_template, w->city_path)) {
        world_fail(w, "cannot copy the template city");
        return false;
    }
    return world_open_city(w) && people_settle(w);
}

static void clean_up(struct world *w)
{
    network_release(w);
    writer_drop_all(w);
    city_close(w->city);
    for (unsigned i = 0; i < w->n_replicas; i++) {
        replica_close(w->replicas[i].r);
        remove_store(w->replicas[i].path);
    }
    remove_store(w->city_path);
    mem_free(w->heap);
    mem_free(w->edits);
}

int world_run(const struct world_options *o, uint64_t counts[SIM_EVENT_KINDS], char why[1024])
{
    struct world *w = mem_calloc(1, sizeof *w);

    why[0] = '\0';
    if (w == NULL)
        return -1;
    w->o = o;
    w->why = why;
    w->now = 1;
    w->wall = EPOCH + 1;
    w->random = random_seeded_init(&w->seeded, o->seed);
    w->jobs_end = &w->jobs;
    w->acts_left = o->acts;
    w->faults_left = o->faults + (unsigned)world_roll(w, 4);
    w->edits = mem_calloc(EDITS_MAX, sizeof *w->edits);
    if (w->edits == NULL)
        world_fail(w, "out of memory");
    if (w->why[0] == '\0' && settle(w)) {
        world_at(w, 500, fault_due, NULL);
        live(w);
    }
    if (w->why[0] == '\0')
        verdict_judge(w);
    for (unsigned i = 0; i < SIM_EVENT_KINDS; i++)
        counts[i] += w->counts[i];
    clean_up(w);
    mem_free(w);
    return why[0] == '\0' ? 0 : -1;
}
