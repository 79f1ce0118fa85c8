/* When to connect again. Thousands of counties lose the city at one moment; they must not come back at
 * one moment. */
#include "client/core/session.h"

#include "common/base/err.h"

#define FIRST 1000u
#define LAST  300000u

static uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

uint32_t client_backoff(unsigned attempt, uint32_t retry_after, uint64_t seed)
{
    uint32_t most = attempt > 8 ? LAST : FIRST << attempt;
    uint32_t wait;

    if (most > LAST)
        most = LAST;
    wait = most / 2 + (uint32_t)(mix(seed + attempt) % (most / 2 + 1));
    if (wait >= retry_after)
        return wait;
    /* The city named the earliest time; the jitter comes on top of it. */
    return retry_after > UINT32_MAX - LAST ? retry_after : retry_after + wait - most / 2;
}

bool client_backoff_helps(int cause)
{
    return cause != E_FORK && cause != E_REVOKED && cause != E_VERSION && cause != E_AUTH &&
           cause != E_DENIED && cause != E_EXPIRED;
}
