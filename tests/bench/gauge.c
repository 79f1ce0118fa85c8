#include "tests/bench/gauge.h"

#include <stdio.h>
#include <time.h>

static double read_clock(clockid_t id)
{
    struct timespec t;

    (void)clock_gettime(id, &t); /* these clocks always answer */
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

double gauge_now(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

void gauge_go(struct gauge *g)
{
    g->cpu_from = read_clock(CLOCK_PROCESS_CPUTIME_ID);
    g->wall_from = gauge_now();
}

void gauge_stop(struct gauge *g)
{
    g->wall += gauge_now() - g->wall_from;
    g->cpu += read_clock(CLOCK_PROCESS_CPUTIME_ID) - g->cpu_from;
}

void gauge_print(const struct gauge *g, uint64_t rows)
{
    (void)printf("{\"rows\": %llu, \"wall\": %.6f, \"cpu\": %.6f}\n", (unsigned long long)rows,
                 g->wall, g->cpu);
}
