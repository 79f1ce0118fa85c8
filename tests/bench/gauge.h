/* Time and memory of this process, and the one line of results that bench.py reads. */
#ifndef ZTC_BENCH_GAUGE_H
#define ZTC_BENCH_GAUGE_H

#include <stdint.h>

/* Seconds, summed over the stretches between go and stop. */
struct gauge {
    double wall, cpu;
    double wall_from, cpu_from;
};

void gauge_go(struct gauge *g);
void gauge_stop(struct gauge *g);

/* Seconds on a clock that never goes back. */
double gauge_now(void);

/* {"rows": …, "wall": …, "cpu": …} on standard output. */
void gauge_print(const struct gauge *g, uint64_t rows);

#endif
