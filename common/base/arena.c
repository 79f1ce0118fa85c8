#include "common/base/arena.h"

#include "common/base/mem.h"

#include <stdarg.h>
#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define FIRST_BLOCK 8192u

struct arena_block {
    struct arena_block *next;
    size_t size; /* of data */
    size_t fill;
    alignas(max_align_t) uint8_t data[];
};

void arena_init(struct arena *a, size_t max)
{
    *a = (struct arena){.max = max};
}

static struct arena_block *add_block(struct arena *a, size_t size)
{
    size_t want = a->head != NULL ? a->head->size * 2 : FIRST_BLOCK;
    struct arena_block *b;

    if (want > (1u << 20))
        want = 1u << 20;
    if (want < size)
        want = size;
    b = mem_alloc(sizeof *b + want);
    if (b == NULL)
        return NULL;

    b->next = a->head;
    b->size = want;
    b->fill = 0;
    a->head = b;
    return b;
}

void *arena_alloc(struct arena *a, size_t size)
{
    const size_t align = alignof(max_align_t);
    struct arena_block *b = a->head;
    void *p;

    if (size > SIZE_MAX / 2)
        return NULL;
    size = (size + align - 1) & ~(align - 1);
    if (size > a->max || a->used > a->max - size) {
        a->full = true;
        return NULL;
    }
    if (b == NULL || b->size - b->fill < size) {
        b = add_block(a, size);
        if (b == NULL)
            return NULL;
    }
    p = b->data + b->fill;
    b->fill += size;
    a->used += size;
    return p;
}

void *arena_zalloc(struct arena *a, size_t size)
{
    void *p = arena_alloc(a, size);

    if (p != NULL)
        memset(p, 0, size);
    return p;
}

void *arena_dup(struct arena *a, const void *p, size_t size)
{
    void *copy = arena_alloc(a, size == 0 ? 1 : size);

    if (copy != NULL && size > 0)
        memcpy(copy, p, size);
    return copy;
}

char *arena_strndup(struct arena *a, const void *p, size_t len)
{
    char *copy = len == SIZE_MAX ? NULL : arena_alloc(a, len + 1);

    if (copy == NULL)
        return NULL;
    if (len > 0)
        memcpy(copy, p, len);
    copy[len] = '\0';
    return copy;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap;
    char *text;
    int len;

    va_start(ap, fmt);
    len = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (len < 0)
        return NULL;
    text = arena_alloc(a, (size_t)len + 1);
    if (text == NULL)
        return NULL;
    va_start(ap, fmt);
    (void)vsnprintf(text, (size_t)len + 1, fmt, ap);
    va_end(ap);
    return text;
}

void arena_clear(struct arena *a)
{
    struct arena_block *keep = a->head;

    a->full = false;
    if (keep == NULL)
        return;
    while (keep->next != NULL) {
        struct arena_block *next = keep->next;

        keep->next = next->next;
        mem_free(next);
    }
    keep->fill = 0;
    a->used = 0;
}

void arena_release(struct arena *a)
{
    while (a->head != NULL) {
        struct arena_block *next = a->head->next;

        mem_free(a->head);
        a->head = next;
    }
    a->used = 0;
    a->full = false;
}
