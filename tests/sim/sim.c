/* sim: many worlds, one seed each.
 *
 *   sim --seeds N --from K [--acts A] [--verbose]
 *
 * Prints the first failing seed and ends with 1; the same seed replays it. At the end, how often each
 * named event happened: a zero over 50 seeds or more is a failure of the simulation itself. */
#include "tests/sim/world.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORKERS 2
#define ALL_SEEDS_MUST_MEET 50u

struct run {
    uint64_t from, seeds;
    unsigned acts;
    bool verbose;
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
        if (strcmp(argv[i], "--verbose") == 0) {
            r->verbose = true;
            continue;
        }
        if (i + 1 == argc || !number(argv[i + 1], &v))
            return false;
        if (strcmp(argv[i], "--seeds") == 0)
            r->seeds = v;
        else if (strcmp(argv[i], "--from") == 0)
            r->from = v;
        else if (strcmp(argv[i], "--acts") == 0)
            r->acts = (unsigned)v;
        else
            return false;
        i++;
    }
    return r->seeds > 0;
}

/* Every WORKERS-th seed; counts and the first failure go to the pipe. */
static int work(const struct run *r, unsigned worker, int out)
{
    uint64_t counts[SIM_EVENT_KINDS] = {0};
    char why[1024];
    int failed = 0;

    for (uint64_t i = worker; i < r->seeds && !failed; i += WORKERS) {
        struct world_options o = {
            .seed = r->from + i, .verbose = r->verbose, .acts = r->acts, .faults = 5};

        if (world_run(&o, counts, why) != 0) {
            (void)fprintf(stderr, "seed %llu: %s\n  replay: sim --seeds 1 --from %llu --verbose\n",
                          (unsigned long long)o.seed, why, (unsigned long long)o.seed);
            failed = 1;
        }
    }
    return write(out, counts, sizeof counts) == (ssize_t)sizeof counts ? failed : 2;
}

static int report(const struct run *r, const uint64_t counts[SIM_EVENT_KINDS])
{
    int missing = 0;

    for (unsigned i = 0; i < SIM_EVENT_KINDS; i++) {
        (void)printf("%10llu  %s\n", (unsigned long long)counts[i], sim_event_text[i]);
        if (counts[i] == 0 && r->seeds >= ALL_SEEDS_MUST_MEET) {
            (void)fprintf(stderr, "never happened: %s\n", sim_event_text[i]);
            missing = 1;
        }
    }
    return missing;
}

static int run_all(const struct run *r)
{
    uint64_t total[SIM_EVENT_KINDS] = {0};
    pid_t pids[WORKERS];
    int pipes[WORKERS][2];
    int failed = 0;

    for (unsigned i = 0; i < WORKERS; i++) {
        if (pipe(pipes[i]) != 0 || (pids[i] = fork()) < 0)
            return 2;
        if (pids[i] == 0)
            _exit(work(r, i, pipes[i][1]));
        (void)close(pipes[i][1]);
    }
    for (unsigned i = 0; i < WORKERS; i++) {
        uint64_t counts[SIM_EVENT_KINDS] = {0};
        int status = 0;

        if (read(pipes[i][0], counts, sizeof counts) != (ssize_t)sizeof counts)
            failed = 1;
        (void)waitpid(pids[i], &status, 0);
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
            failed = 1;
        for (unsigned k = 0; k < SIM_EVENT_KINDS; k++)
            total[k] += counts[k];
        (void)close(pipes[i][0]);
    }
    return report(r, total) != 0 || failed;
}

int main(int argc, char **argv)
{
    struct run r = {.from = 1, .seeds = 100, .acts = 220};
    char why[1024];
    int ret;

    if (!parse(argc, argv, &r)) {
        (void)fprintf(stderr, "usage: sim [--seeds N] [--from K] [--acts A] [--verbose]\n");
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
    ret = run_all(&r);
    world_release();
    if (ret == 0)
        (void)printf("%llu seeds from %llu passed\n", (unsigned long long)r.seeds,
                     (unsigned long long)r.from);
    return ret;
}
