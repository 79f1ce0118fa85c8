#include "common/base/buf.h"

#include "common/base/err.h"
#include "common/base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct slice slice_str(const char *s)
{
    return (struct slice){(const uint8_t *)s, strlen(s)};
}

bool slice_eq(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

int slice_cmp(struct slice a, struct slice b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int cmp = n == 0 ? 0 : memcmp(a.p, b.p, n);

    if (cmp != 0)
        return cmp;
    return a.len < b.len ? -1 : a.len > b.len;
}

void buf_init(struct buf *b, size_t max)
{
    *b = (struct buf){.max = max};
}

void buf_release(struct buf *b)
{
    mem_free(b->p);
    b->p = NULL;
    b->len = b->cap = 0;
}

void buf_clear(struct buf *b)
{
    b->len = 0;
    b->ret = 0;
}

/* Room for MORE bytes and, beyond the maximum if need be, for a NUL behind them. */
static bool reserve(struct buf *b, size_t more)
{
    size_t want = b->cap == 0 ? 64 : b->cap;
    uint8_t *p;

    if (b->ret != 0)
        return false;
    if (more > b->max || b->len > b->max - more || b->len + more > SIZE_MAX / 2) {
        b->ret = E_TOOBIG;
        return false;
    }
    if (b->cap > b->len + more)
        return true;
    while (want <= b->len + more)
        want *= 2;
    p = mem_realloc(b->p, want);
    if (p == NULL) {
        b->ret = E_NOMEM;
        return false;
    }
    b->p = p;
    b->cap = want;
    return true;
}

uint8_t *buf_grow(struct buf *b, size_t len)
{
    uint8_t *place;

    if (!reserve(b, len))
        return NULL;
    place = b->p + b->len;
    b->len += len;
    return place;
}

void buf_put(struct buf *b, const void *p, size_t len)
{
    uint8_t *place = len == 0 ? NULL : buf_grow(b, len);

    if (place != NULL)
        memcpy(place, p, len);
}

void buf_str(struct buf *b, const char *s)
{
    buf_put(b, s, strlen(s));
}

void buf_u8(struct buf *b, uint8_t v)
{
    buf_put(b, &v, 1);
}

void buf_be32(struct buf *b, uint32_t v)
{
    uint8_t x[4] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};

    buf_put(b, x, sizeof x);
}

void buf_be64(struct buf *b, uint64_t v)
{
    buf_be32(b, (uint32_t)(v >> 32));
    buf_be32(b, (uint32_t)v);
}

void buf_varint(struct buf *b, uint64_t v)
{
    uint8_t x[10];
    size_t n = 0;

    while (v >= 0x80) {
        x[n++] = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    x[n++] = (uint8_t)v;
    buf_put(b, x, n);
}

void buf_zigzag(struct buf *b, int64_t v)
{
    buf_varint(b, ((uint64_t)v << 1) ^ (v < 0 ? UINT64_MAX : 0));
}

void buf_bytes(struct buf *b, struct slice s)
{
    buf_varint(b, s.len);
    buf_put(b, s.p, s.len);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    int len;

    va_start(ap, fmt);
    len = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (len <= 0 || !reserve(b, (size_t)len))
        return;
    va_start(ap, fmt);
    (void)vsnprintf((char *)b->p + b->len, (size_t)len + 1, fmt, ap);
    va_end(ap);
    b->len += (size_t)len;
}

void buf_consume(struct buf *b, size_t len)
{
    if (len >= b->len) {
        b->len = 0;
        return;
    }
    memmove(b->p, b->p + len, b->len - len);
    b->len -= len;
}

struct slice buf_slice(const struct buf *b)
{
    return (struct slice){b->p, b->len};
}

const char *buf_cstr(struct buf *b)
{
    if (!reserve(b, 0))
        return "";
    b->p[b->len] = '\0';
    return (const char *)b->p;
}

struct rd rd_of(struct slice s)
{
    /* An empty slice may have no address at all; a pointer difference needs one. */
    static const uint8_t nothing;

    if (s.p == NULL)
        return (struct rd){.p = &nothing, .end = &nothing};
    return (struct rd){.p = s.p, .end = s.p + s.len};
}

size_t rd_left(const struct rd *r)
{
    return (size_t)(r->end - r->p);
}

struct slice rd_take(struct rd *r, size_t len)
{
    struct slice s = {r->p, len};

    if (r->bad || rd_left(r) < len) {
        r->bad = true;
        return (struct slice){r->p, 0};
    }
    r->p += len;
    return s;
}

uint8_t rd_u8(struct rd *r)
{
    struct slice s = rd_take(r, 1);

    return s.len == 1 ? s.p[0] : 0;
}

uint32_t rd_be32(struct rd *r)
{
    struct slice s = rd_take(r, 4);

    if (s.len != 4)
        return 0;
    return (uint32_t)s.p[0] << 24 | (uint32_t)s.p[1] << 16 | (uint32_t)s.p[2] << 8 | s.p[3];
}

uint64_t rd_be64(struct rd *r)
{
    uint64_t high = rd_be32(r);

    return high << 32 | rd_be32(r);
}

uint64_t rd_varint(struct rd *r)
{
    uint64_t v = 0;

    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t c = rd_u8(r);

        if (r->bad || (shift == 63 && c > 1) || (shift > 0 && c == 0))
            break;
        v |= (uint64_t)(c & 0x7f) << shift;
        if ((c & 0x80) == 0)
            return v;
    }
    r->bad = true;
    return 0;
}

int64_t rd_zigzag(struct rd *r)
{
    uint64_t v = rd_varint(r);

    return (int64_t)((v >> 1) ^ ((v & 1) != 0 ? UINT64_MAX : 0));
}

struct slice rd_bytes(struct rd *r, size_t max)
{
    uint64_t len = rd_varint(r);

    if (len > max) {
        r->bad = true;
        return (struct slice){r->p, 0};
    }
    return rd_take(r, (size_t)len);
}

bool rd_done(const struct rd *r)
{
    return !r->bad && r->p == r->end;
}
