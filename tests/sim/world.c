/* Time, chance, and the course of one seed: begin, live with faults, heal, be judged. */
#include "tests/sim/world_internal.h"

#include "common/base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define EPOCH       1767225600000u /* 2026-01-01, when every world begins */
#define HEAL_WITHIN (30u * 60u * 1000u) /* of deadlines, back-offs and what is left to send */
#define WATCH_EVERY 5000u
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

void world_trace(struct world *w, const void *p, size_t len)
{
    const uint8_t *b = p;
    uint64_t h = w->trace ^ len;

    for (; len >= 8; b += 8, len -= 8) {
        uint64_t word;

        memcpy(&word, b, 8);
        h = (h ^ word) * 0x9e3779b97f4a7c15u;
        h ^= h >> 29;
    }
    for (; len > 0; b++, len--)
        h = (h ^ *b) * 0x100000001b3u;
    w->trace = h;
}

msec_t world_clock(const struct world *w, int64_t skew)
{
    return (msec_t)((int64_t)(EPOCH + w->now) + skew);
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
    if (w->city == NULL || w->jobs != NULL || w->acts_left > 0 || w->restore.due ||
        city_recovering(w->city))
        return false;
    for (unsigned i = 0; i < w->n_replicas; i++) {
        const struct sim_replica *r = &w->replicas[i];

        if ((r->over && r->r != NULL) || (r->offline && bundles_quiet(w, r)))
            continue;
        if (r->r == NULL || r->offline || r->link == NULL || !r->link->client_open ||
            !r->link->server_open || !client_session_complete(&r->link->cs) ||
            client_session_history(&r->link->cs) || client_session_fetches(&r->link->cs) ||
            r->link->cs.lanes[CLIENT_LANE_DOWN].state == CLIENT_LANE_OFF || /* comes back to it */
            !caught_up(w, r))
            return false;
    }
    return true;
}

static void watch(struct world *w, void *subject)
{
    (void)subject;
    verdict_watch(w);
    world_at(w, WATCH_EVERY, watch, NULL);
}

static void heal(struct world *w)
{
    world_say(w, "healing begins");
    w->healing = true;
    w->healing_since = w->now;
    faults_heal(w);
}

static void happen(struct world *w)
{
    struct event e = next_event(w);
    uint64_t what[] = {e.at, e.no};

    w->now = e.at;
    world_trace(w, what, sizeof what);
    e.fire(w, e.subject);
    computers_look(w);
}

static void live(struct world *w)
{
    for (unsigned steps = 0; w->why[0] == '\0'; steps++) {
        if (w->acts_left == 0 && !w->healing)
            heal(w);
        if (w->healing && quiet(w))
            return;
        if (steps > STEPS_MAX || w->n_heap == 0 ||
            (w->healing && w->now > w->healing_since + HEAL_WITHIN)) {
            world_fail(w, "backlog does not end: %s",
                       w->n_heap == 0 ? "nothing is due any more" : "time is up");
            return;
        }
        happen(w);
    }
}

static void begin(struct world *w, const struct world_options *o, char why[1024])
{
    memset(w, 0, sizeof *w);
    why[0] = '\0';
    w->o = o;
    w->why = why;
    w->now = 1;
    w->random = random_seeded_init(&w->seeded, o->seed);
    w->jobs_end = &w->jobs;
    w->restore.only = w->restore.forger = -1;
}

int world_prepare(char why[1024])
{
    static struct world w;
    struct world_options o = {.seed = 1};

    begin(&w, &o, why);
    if (disk_vfs_register() != 0)
        world_fail(&w, "SQLite takes no file system");
    if (!blobs_prepare())
        world_fail(&w, "no place for attachments");
    return why[0] == '\0' ? computers_template(&w) : -1;
}

void world_release(void)
{
    computers_template_release();
    blobs_unprepare();
}

static void clean_up(struct world *w)
{
    network_release(w);
    writer_drop_all(w);
    blobs_release(w);
    bundles_release(w);
    computers_release(w);
    mem_free(w->heap);
    mem_free(w->edits);
    mem_free(w);
}

static void add_result(const struct world *w, struct world_result *ret)
{
    for (unsigned i = 0; i < SIM_EVENT_KINDS; i++)
        ret->counts[i] += w->counts[i];
    ret->trace += w->trace;
    if (w->healing && ret->healing < w->now - w->healing_since)
        ret->healing = w->now - w->healing_since;
}

int world_run(const struct world_options *o, struct world_result *ret)
{
    struct world *w = mem_alloc(sizeof *w);

    if (w == NULL)
        return -1;
    begin(w, o, ret->why);
    w->acts_left = o->acts;
    w->city_catalogue = CATALOGUE_VERSION;
    w->faults_left = o->faults + (unsigned)world_roll(w, 6);
    w->edits = mem_calloc(EDITS_MAX, sizeof *w->edits);
    if (w->edits == NULL)
        world_fail(w, "out of memory");
    if (w->why[0] == '\0' && computers_begin(w)) {
        late_begin(w);
        blobs_begin(w);
        bundles_begin(w);
        people_begin(w);
        faults_begin(w);
        world_at(w, WATCH_EVERY, watch, NULL);
        live(w);
    }
    if (w->why[0] == '\0') {
        verdict_judge(w);
        blobs_judge(w);
    }
    add_result(w, ret);
    clean_up(w);
    return ret->why[0] == '\0' ? 0 : -1;
}
