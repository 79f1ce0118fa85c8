/* Time, chance, faults, and the course of one seed: settle, live with faults, heal, be judged. */
#include "tests/sim/world_internal.h"

#include "common/base/mem.h"

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

/* ---- faults ---- */

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
            computers_crash_city(w);
        break;
    case 1:
        w->crash_before = true;
        break;
    case 2:
    case 3:
        w->crash_after = true;
        break;
    case 4:
        computers_crash_replica(w, r);
        break;
    case 5:
        if (r->link != NULL && r->link->client_open) {
            world_say(w, "link of replica %u delivers nothing more", r->no);
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

/* Both streams are taken in up to the city's heads. */
static bool caught_up(const struct world *w, const struct sim_replica *r)
{
    const struct client_session *cs = &r->link->cs;
    struct slice head, signature;
    uint64_t seq;

    for (size_t i = 0; i < cs->n_streams; i++) {
        if (city_head(w->city, cs->streams[i].stream, &head, &signature, &seq) != 0 ||
            cs->streams[i].applied != seq)
            return false;
    }
    return cs->n_streams == CLIENT_STREAMS;
}

static bool quiet(const struct world *w)
{
    if (w->city == NULL || w->jobs != NULL || w->acts_left > 0)
        return false;
    for (unsigned i = 0; i < w->n_replicas; i++) {
        const struct sim_replica *r = &w->replicas[i];

        if (r->r == NULL || r->offline || r->link == NULL || !r->link->client_open ||
            !r->link->server_open || !client_session_complete(&r->link->cs) ||
            !caught_up(w, r))
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

static void begin(struct world *w, const struct world_options *o, char why[1024])
{
    memset(w, 0, sizeof *w);
    why[0] = '\0';
    w->o = o;
    w->why = why;
    w->now = 1;
    w->wall = EPOCH + 1;
    w->random = random_seeded_init(&w->seeded, o->seed);
    w->jobs_end = &w->jobs;
}

int world_prepare(char why[1024])
{
    static struct world w;
    struct world_options o = {.seed = 1};

    begin(&w, &o, why);
    if (disk_vfs_register() != 0)
        world_fail(&w, "SQLite takes no file system");
    return why[0] == '\0' ? computers_template(&w) : -1;
}

void world_release(void)
{
    computers_template_release();
}

static void clean_up(struct world *w)
{
    network_release(w);
    writer_drop_all(w);
    computers_release(w);
    mem_free(w->heap);
    mem_free(w->edits);
    mem_free(w);
}

int world_run(const struct world_options *o, uint64_t counts[SIM_EVENT_KINDS], char why[1024])
{
    struct world *w = mem_alloc(sizeof *w);

    if (w == NULL)
        return -1;
    begin(w, o, why);
    w->acts_left = o->acts;
    w->faults_left = o->faults + (unsigned)world_roll(w, 4);
    w->edits = mem_calloc(EDITS_MAX, sizeof *w->edits);
    if (w->edits == NULL)
        world_fail(w, "out of memory");
    if (w->why[0] == '\0' && computers_begin(w)) {
        people_begin(w);
        world_at(w, 500, fault_due, NULL);
        live(w);
    }
    if (w->why[0] == '\0')
        verdict_judge(w);
    for (unsigned i = 0; i < SIM_EVENT_KINDS; i++)
        counts[i] += w->counts[i];
    clean_up(w);
    return why[0] == '\0' ? 0 : -1;
}
