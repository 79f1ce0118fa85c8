#include "tests/lib/trip.h"

#include "common/base/arena.h"
#include "common/base/mem.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static struct {
    unsigned kinds, countdown, hits;
    bool paused;
} wire;

void trip_set(unsigned kinds, unsigned countdown)
{
    wire.kinds = kinds;
    wire.countdown = countdown;
    wire.hits = 0;
}

void trip_pause(void)
{
    wire.paused = true;
}

void trip_resume(void)
{
    wire.paused = false;
}

unsigned trip_hits(void)
{
    return wire.hits;
}

static bool trips(enum trip kind)
{
    if (wire.paused || wire.countdown == 0 || (wire.kinds & (unsigned)kind) == 0 || --wire.countdown > 0)
        return false;
    wire.hits++;
    return true;
}

/* ---- SQLite ---- */

int __real_sqlite3_step(sqlite3_stmt *st);
int __wrap_sqlite3_step(sqlite3_stmt *st);
int __wrap_sqlite3_step(sqlite3_stmt *st)
{
    const char *text = sqlite3_sql(st);

    if (strcmp(text, "ROLLBACK") != 0 && trips(TRIP_SQL))
        return SQLITE_IOERR;
    return __real_sqlite3_step(st);
}

int __real_sqlite3_prepare_v3(sqlite3 *db, const char *text, int n, unsigned flags, sqlite3_stmt **ret,
                              const char **tail);
int __wrap_sqlite3_prepare_v3(sqlite3 *db, const char *text, int n, unsigned flags, sqlite3_stmt **ret,
                              const char **tail);
int __wrap_sqlite3_prepare_v3(sqlite3 *db, const char *text, int n, unsigned flags, sqlite3_stmt **ret,
                              const char **tail)
{
    *ret = NULL;
    return trips(TRIP_SQL) ? SQLITE_IOERR : __real_sqlite3_prepare_v3(db, text, n, flags, ret, tail);
}

int __real_sqlite3_exec(sqlite3 *db, const char *text, int (*cb)(void *, int, char **, char **),
                        void *ctx, char **ret_message);
int __wrap_sqlite3_exec(sqlite3 *db, const char *text, int (*cb)(void *, int, char **, char **),
                        void *ctx, char **ret_message);
int __wrap_sqlite3_exec(sqlite3 *db, const char *text, int (*cb)(void *, int, char **, char **),
                        void *ctx, char **ret_message)
{
    if (strcmp(text, "ROLLBACK") != 0 && trips(TRIP_SQL))
        return SQLITE_IOERR;
    return __real_sqlite3_exec(db, text, cb, ctx, ret_message);
}

/* ---- memory ---- */

#define MEMORY(name, type, parameters, arguments)                                                  \
    type __real_##name parameters;                                                                 \
    type __wrap_##name parameters;                                                                 \
    type __wrap_##name parameters                                                                  \
    {                                                                                              \
        return trips(TRIP_MEMORY) ? NULL : __real_##name arguments;                                \
    }

MEMORY(mem_alloc, void *, (size_t size), (size))
MEMORY(mem_calloc, void *, (size_t n, size_t size), (n, size))
MEMORY(mem_realloc, void *, (void *p, size_t size), (p, size))
MEMORY(mem_strdup, char *, (const char *s), (s))
MEMORY(mem_dup, void *, (const void *p, size_t size), (p, size))
MEMORY(arena_alloc, void *, (struct arena * a, size_t size), (a, size))
MEMORY(arena_zalloc, void *, (struct arena * a, size_t size), (a, size))
MEMORY(arena_dup, void *, (struct arena * a, const void *p, size_t size), (a, p, size))
MEMORY(arena_strndup, char *, (struct arena * a, const void *p, size_t size), (a, p, size))
