#include "common/crypto/memory.h"

#include "common/base/mem.h"

#include <openssl/crypto.h>

static _Thread_local unsigned refused, before;

static void *watched(void *p)
{
    refused += p == NULL;
    return p;
}

static void *take(size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return size == 0 ? NULL : watched(mem_alloc(size));
}

static void give(void *p, const char *file, int line)
{
    (void)file;
    (void)line;
    mem_free(p);
}

static void *resize(void *p, size_t size, const char *file, int line)
{
    if (size > 0)
        return watched(mem_realloc(p, size));
    give(p, file, line);
    return NULL;
}

bool crypto_memory_init(void)
{
    return CRYPTO_set_mem_functions(take, resize, give) == 1;
}

unsigned crypto_memory_refused(void)
{
    return refused;
}

void crypto_memory_watch(void)
{
    before = refused;
}

bool crypto_memory_short(void)
{
    return refused != before;
}
