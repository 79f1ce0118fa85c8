/* Bump allocator: many small pieces that die together. Capped, so that a peer cannot grow it. */
#ifndef ZTC_BASE_ARENA_H
#define ZTC_BASE_ARENA_H

#include <stdbool.h>
#include <stddef.h>

struct arena_block;

struct arena {
    struct arena_block *head; /* newest block, others linked behind it */
    size_t used;              /* bytes handed out and lost to alignment since the last clear */
    size_t max;               /* used never exceeds it */
    bool full;                /* a request met max: not memory is out, but the task is too big */
};

/* An empty arena that gives at most MAX bytes. Allocates nothing yet. */
void arena_init(struct arena *a, size_t max);

/* SIZE bytes aligned for any type, not cleared; NULL when the cap (then `full` is set) or memory is
 * reached. */
void *arena_alloc(struct arena *a, size_t size);

/* The same, zeroed. */
void *arena_zalloc(struct arena *a, size_t size);

/* A copy of P; NULL on failure. A SIZE of 0 gives a valid pointer. */
void *arena_dup(struct arena *a, const void *p, size_t size);

/* A NUL-terminated copy of LEN bytes. */
char *arena_strndup(struct arena *a, const void *p, size_t len);

/* Formatted text in the arena. */
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Everything handed out is gone; one block is kept for reuse. */
void arena_clear(struct arena *a);

void arena_release(struct arena *a);

#endif
