/* Preloaded into our programs by tests: the wall clock says ZTC_CLOCK_SHIFT seconds more (or less). What
 * counts time that passes, CLOCK_MONOTONIC, is left alone. */
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static time_t shift;

__attribute__((constructor)) static void read_shift(void)
{
    const char *text = getenv("ZTC_CLOCK_SHIFT");

    shift = text == NULL ? 0 : (time_t)strtoll(text, NULL, 10);
}

__attribute__((visibility("default"))) int clock_gettime(clockid_t clock, struct timespec *ret)
{
    int status = (int)syscall(SYS_clock_gettime, clock, ret);

    if (status == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        ret->tv_sec += shift;
    return status;
}

__attribute__((visibility("default"))) int gettimeofday(struct timeval *restrict ret,
                                                        void *restrict zone)
{
    struct timespec t;
    int status = clock_gettime(CLOCK_REALTIME, &t);

    (void)zone;
    ret->tv_sec = t.tv_sec;
    ret->tv_usec = (suseconds_t)(t.tv_nsec / 1000);
    return status;
}

__attribute__((visibility("default"))) time_t time(time_t *ret)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_REALTIME, &t); /* cannot fail for this clock */
    if (ret != NULL)
        *ret = t.tv_sec;
    return t.tv_sec;
}
