/* Bytes that grow, and a cursor that reads them: both with a sticky error, checked once at the end.
 *
 * Numbers are LEB128 varints (canonical: the shortest form, refused otherwise) or big-endian. */
#ifndef ZTC_BASE_BUF_H
#define ZTC_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Borrowed bytes. */
struct slice {
    const uint8_t *p;
    size_t len;
};

/* From a NUL-terminated string, without the NUL. */
struct slice slice_str(const char *s);

bool slice_eq(struct slice a, struct slice b);

/* Byte order; a prefix sorts first. */
int slice_cmp(struct slice a, struct slice b);

struct buf {
    uint8_t *p; /* owned */
    size_t len;
    size_t cap;
    size_t max; /* a put beyond this fails with E_TOOBIG */
    int ret;    /* 0, or the first failure: later puts do nothing */
};

void buf_init(struct buf *b, size_t max);
void buf_release(struct buf *b);

/* Empty it, keep the memory, forget the error. */
void buf_clear(struct buf *b);

/* Room for LEN more bytes at the returned place, counted as written; NULL on failure. */
uint8_t *buf_grow(struct buf *b, size_t len);

void buf_put(struct buf *b, const void *p, size_t len);
void buf_str(struct buf *b, const char *s);
void buf_u8(struct buf *b, uint8_t v);
void buf_be32(struct buf *b, uint32_t v);
void buf_be64(struct buf *b, uint64_t v);
void buf_varint(struct buf *b, uint64_t v);
void buf_zigzag(struct buf *b, int64_t v);

/* Length as varint, then the bytes. */
void buf_bytes(struct buf *b, struct slice s);

void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Drop the first LEN bytes. */
void buf_consume(struct buf *b, size_t len);

struct slice buf_slice(const struct buf *b);

/* NUL-terminate without counting the NUL, and return the text; "" on failure. */
const char *buf_cstr(struct buf *b);

struct rd {
    const uint8_t *p;
    const uint8_t *end;
    bool bad; /* a read went past the end or met a form that is not canonical */
};

struct rd rd_of(struct slice s);
size_t rd_left(const struct rd *r);
uint8_t rd_u8(struct rd *r);
uint32_t rd_be32(struct rd *r);
uint64_t rd_be64(struct rd *r);
uint64_t rd_varint(struct rd *r);
int64_t rd_zigzag(struct rd *r);

/* LEN bytes in place; an empty slice when there are fewer. */
struct slice rd_take(struct rd *r, size_t len);

/* A varint length of at most MAX, then the bytes. */
struct slice rd_bytes(struct rd *r, size_t max);

/* Everything was read and nothing was wrong. */
bool rd_done(const struct rd *r);

#endif
