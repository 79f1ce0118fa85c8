#include "common/base/mem.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static unsigned fault_countdown;
static unsigned fault_hits;

void mem_fault_set(unsigned countdown)
{
    fault_countdown = countdown;
    fault_hits = 0;
}

unsigned mem_fault_hits(void)
{
    return fault_hits;
}

static bool fault_now(void)
{
    if (fault_countdown == 0 || --fault_countdown != 0)
        return false;
    fault_hits++;
    return true;
}

void *mem_alloc(size_t size)
{
    if (fault_now())
        return NULL;
    return malloc(size == 0 ? 1 : size);
}

void *mem_calloc(size_t n, size_t size)
{
    if (fault_now() || (size != 0 && n > SIZE_MAX / size))
        return NULL;
    return calloc(n == 0 ? 1 : n, size == 0 ? 1 : size);
}

void *mem_realloc(void *p, size_t size)
{
    if (fault_now())
        return NULL;
    return realloc(p, size == 0 ? 1 : size);
}

void *mem_dup(const void *p, size_t size)
{
    void *copy = mem_alloc(size);

    if (copy != NULL && size > 0)
        memcpy(copy, p, size);
    return copy;
}

char *mem_strdup(const char *s)
{
    return mem_dup(s, strlen(s) + 1);
}

void mem_free(void *p)
{
    free(p);
}

void mem_wipe(void *p, size_t size)
{
    explicit_bzero(p, size);
}
