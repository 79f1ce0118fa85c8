/* sim: many worlds, one seed each.
 *
 *   sim [--seeds N | --hours H] [--from K] [--acts A] [--twice] [--verbose]
 *
 * Prints the first failing seed and ends with 1; the same seed replays it. Every hundredth seed (all with
 * --twice) runs a second time and must leave the same trace. At the end, how often each named event
 * happened: a zero over 500 seeds or more is a failure of the simulation itself. */
#include "tests/sim/world.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WORKERS             2
#define ALL_SEEDS_MUST_MEET 500u
#define TWICE_EVERY         100u
#define FAULTS              8u /* at least, a seed */

struct run {
    uint64_t from, seeds;
    uint64_t hours; /* 0: as many seeds as were asked for */
    unsigned acts;
    bool twice, verbose;
};

/* What a worker tells. */
struct tally {
    uint64_t seeds;
    struct world_result result;
};

static bool number(const char *text, uint64_t *ret)
{
    char *end;

    errno = 0;
    *ret = strtoull(text, &end, 10);
    return errno == 0 && *text != '\0' && *end == '\0';
}

static bool parse(int argc, char **argv, struct run *r)
{
    uint64_t v;

    for (int i = 1; i < argc; i++) {
        bool flag = strcmp(argv[i], "--verbose") == 0 || strcmp(argv[i], "--twice") == 0;

        r->verbose = r->verbose || strcmp(argv[i], "--verbose") == 0;
        r->twice = r->twice || strcmp(argv[i], "--twice") == 0;
        if (flag)
            continue;
        if (i + 1 == argc || !number(argv[i + 1], &v))
            return false;
        if (strcmp(argv[i], "--seeds") == 0)
            r->seeds = v;
        else if (strcmp(argv[i], "--from") == 0)
            r->from = v;
        else if (strcmp(argv[i], "--hours") == 0)
            r->hours = v;
        else if (strcmp(argv[i], "--acts") == 0)
            r->acts = (unsigned)v;
        else
            return false;
        i++;
    }
    return r->seeds > 0;
}

/* One seed, twice when it is its turn. */
static int one_seed(const struct run *r, uint64_t seed, struct world_result *ret)
{
    struct world_options o = {
        .seed = seed, .verbose = r->verbose, .acts = r->acts, .faults = FAULTS};
    struct world_result again = {.trace = 0};
    uint64_t before = ret->trace;

    if (world_run(&o, ret) != 0)
        return -1;
    if (!r->twice && seed % TWICE_EVERY != 0)
        return 0;
    if (world_run(&o, &again) == 0 && again.trace == ret->trace - before)
        return 0;
    (void)snprintf(ret->why, sizeof ret->why, "the same seed ran differently the second time");
    return -1;
}

static bool more(const struct run *r, uint64_t done, const struct timespec *since)
{
    struct timespec now;

    if (r->hours == 0)
        return done < r->seeds;
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail for this clock */
    return (uint64_t)(now.tv_sec - since->tv_sec) < r->hours * 3600;
}

/* Every WORKERS-th seed; the tally and the first failure go to the pipe. */
static int work(const struct run *r, unsigned worker, int out)
{
    static struct tally t;
    struct timespec since;
    int failed = 0;

    (void)clock_gettime(CLOCK_MONOTONIC, &since); /* cannot fail for this clock */
    for (uint64_t i = worker; more(r, i, &since) && !failed; i += WORKERS) {
        uint64_t seed = r->from + i;

        t.seeds++;
        if (one_seed(r, seed, &t.result) != 0) {
            (void)fprintf(stderr, "seed %llu: %s\n  replay: sim --seeds 1 --from %llu --verbose\n",
                          (unsigned long long)seed, t.result.why, (unsigned long long)seed);
            failed = 1;
        }
    }
    return write(out, &t, sizeof t) == (ssize_t)sizeof t ? failed : 2;
}

static int report(const struct tally *t)
{
    int missing = 0;

    for (unsigned i = 0; i < SIM_EVENT_KINDS; i++) {
        (void)printf("%10llu  %s\n", (unsigned long long)t->result.counts[i], sim_event_text[i]);
        if (t->result.counts[i] == 0 && t->seeds >= ALL_SEEDS_MUST_MEET) {
            (void)fprintf(stderr, "never happened: %s\n", sim_event_text[i]);
            missing = 1;
        }
    }
    (void)printf("longest healing %llu s of virtual time\ntrace %016llx\n",
                 (unsigned long long)(t->result.healing / 1000),
                 (unsigned long long)t->result.trace);
    return missing;
}

static void add(struct tally *total, const struct tally *t)
{
    total->seeds += t->seeds;
    total->result.trace += t->result.trace;
    if (total->result.healing < t->result.healing)
        total->result.healing = t->result.healing;
    for (unsigned k = 0; k < SIM_EVENT_KINDS; k++)
        total->result.counts[k] += t->result.counts[k];
}

static int run_all(const struct run *r, struct tally *total)
{
    pid_t pids[WORKERS];
    int pipes[WORKERS][2];
    int failed = 0;

    (void)fflush(NULL); /* or each worker would say it again */
    for (unsigned i = 0; i < WORKERS; i++) {
        if (pipe(pipes[i]) != 0 || (pids[i] = fork()) < 0)
            return 2;
        if (pids[i] == 0)
            exit(work(r, i, pipes[i][1])); /* not _exit: what gcov counted is written */
        (void)close(pipes[i][1]);
    }
    for (unsigned i = 0; i < WORKERS; i++) {
        struct tally t;
        int status = 0;

        if (read(pipes[i][0], &t, sizeof t) == (ssize_t)sizeof t)
            add(total, &t);
        else
            failed = 1;
        (void)waitpid(pids[i], &status, 0);
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
            failed = 1;
        (void)close(pipes[i][0]);
    }
    return report(total) != 0 || failed;
}

int main(int argc, char **argv)
{
    struct run r = {.from = 1, .seeds = 100, .acts = 190};
    static struct tally total;
    char why[1024];
    int ret;

    if (!parse(argc, argv, &r)) {
        (void)fprintf(stderr, "usage: sim [--seeds N | --hours H] [--from K] [--acts A] [--twice]"
                              " [--verbose]\n");
        return 2;
    }
    /* Worlds come and go alike: the memory of one serves the next. */
    (void)mallopt(M_MMAP_THRESHOLD, 1 << 30);
    (void)mallopt(M_TRIM_THRESHOLD, 1 << 30);
    (void)mallopt(M_TOP_PAD, 64 << 20);
    if (world_prepare(why) != 0) {
        (void)fprintf(stderr, "%s\n", why);
        return 2;
    }
    ret = run_all(&r, &total);
    world_release();
    if (ret == 0)
        (void)printf("%llu seeds from %llu passed\n", (unsigned long long)total.seeds,
                     (unsigned long long)r.from);
    return ret;
}
