/* Bodies are written by hand (six fields in all) because the city keeps and joins encoded entries
 * without making a message struct of each; the unit test compares with protobuf-c's own packing.
 * They are read by protobuf-c, which skips the fields of a newer peer. */
#include "common/wire/body.h"

#include "common/base/err.h"
#include "common/base/mem.h"
#include "common/wire/frame.h"

#define ZSTD_STATIC_LINKING_ONLY /* for a context with an allocator of ours; Debian ships it */
#include <zstd.h>
#include <zstd_errors.h>

#define LEVEL 1

#define LEN_KEY(field) ((uint8_t)((field) << 3 | 2))
#define INT_KEY(field) ((uint8_t)((field) << 3))

void body_codec_init(struct body_codec *c)
{
    c->compressor = NULL;
    c->expander = NULL;
}

void body_codec_release(struct body_codec *c)
{
    (void)ZSTD_freeCCtx(c->compressor); /* freeing cannot fail */
    (void)ZSTD_freeDCtx(c->expander);
    body_codec_init(c);
}

static size_t varint_size(uint64_t v)
{
    size_t n = 1;

    while (v >= 0x80) {
        v >>= 7;
        n++;
    }
    return n;
}

static size_t field_size(struct slice s)
{
    return 1 + varint_size(s.len) + s.len;
}

static void put_field(struct buf *plain, unsigned field, struct slice s)
{
    buf_u8(plain, LEN_KEY(field));
    buf_bytes(plain, s);
}

void body_put_change(struct buf *plain, struct slice bytes, struct slice side)
{
    size_t len = field_size(bytes) + (side.len > 0 ? field_size(side) : 0);

    buf_u8(plain, LEN_KEY(1));
    buf_varint(plain, len);
    put_field(plain, 1, bytes);
    if (side.len > 0)
        put_field(plain, 2, side);
}

void body_put_entry(struct buf *plain, uint64_t received_at, struct slice verdict, uint64_t echo_n,
                    struct slice bytes, struct slice side)
{
    size_t len = 1 + varint_size(received_at) + field_size(verdict);

    if (echo_n != 0)
        len += 1 + varint_size(echo_n);
    else
        len += field_size(bytes) + (side.len > 0 ? field_size(side) : 0);
    buf_u8(plain, LEN_KEY(1));
    buf_varint(plain, len);
    buf_u8(plain, INT_KEY(1));
    buf_varint(plain, received_at);
    put_field(plain, 2, verdict);
    if (echo_n != 0) {
        buf_u8(plain, INT_KEY(3));
        buf_varint(plain, echo_n);
        return;
    }
    put_field(plain, 4, bytes);
    if (side.len > 0)
        put_field(plain, 5, side);
}

void body_put_row(struct buf *plain, struct slice row)
{
    put_field(plain, 1, row);
}

void body_put_slice_entry(struct buf *plain, uint64_t seq, uint64_t received_at,
                          struct slice verdict, struct slice bytes, struct slice side)
{
    size_t len = 2 + varint_size(seq) + varint_size(received_at) + field_size(verdict) +
                 field_size(bytes) + (side.len > 0 ? field_size(side) : 0);

    buf_u8(plain, LEN_KEY(2));
    buf_varint(plain, len);
    buf_u8(plain, INT_KEY(1));
    buf_varint(plain, seq);
    buf_u8(plain, INT_KEY(2));
    buf_varint(plain, received_at);
    put_field(plain, 3, verdict);
    put_field(plain, 4, bytes);
    if (side.len > 0)
        put_field(plain, 5, side);
}

size_t body_room(size_t verdict, size_t bytes, size_t side)
{
    /* Six keys, two numbers of at most 10 bytes, four lengths of at most 5. */
    return verdict + bytes + side + 46;
}

static void *take(void *ctx, size_t size)
{
    (void)ctx;
    return mem_alloc(size);
}

static void give(void *ctx, void *p)
{
    (void)ctx;
    mem_free(p);
}

static const ZSTD_customMem memory = {take, give, NULL};

int body_compress(struct body_codec *c, struct slice plain, struct buf *out)
{
    size_t start = out->len;
    size_t bound = ZSTD_compressBound(plain.len);
    size_t n;
    uint8_t *p;

    if (plain.len > WIRE_BODY_MAX)
        return E_TOOBIG;
    if (c->compressor == NULL)
        c->compressor = ZSTD_createCCtx_advanced(memory);
    if (c->compressor == NULL)
        return E_NOMEM;
    p = buf_grow(out, bound);
    if (p == NULL)
        return out->ret;

    n = ZSTD_compressCCtx(c->compressor, p, bound, plain.p, plain.len, LEVEL);
    if (ZSTD_isError(n)) {
        out->len = start;
        return E_NOMEM; /* the only failure left once the bound is right */
    }
    out->len = start + n;
    return 0;
}

int body_expand(struct body_codec *c, struct slice packed, size_t size, struct arena *a,
                struct slice *ret_plain)
{
    uint8_t *p;
    size_t n;

    if (size > WIRE_BODY_MAX)
        return E_TOOBIG;
    if (c->expander == NULL)
        c->expander = ZSTD_createDCtx_advanced(memory);
    p = c->expander == NULL ? NULL : arena_alloc(a, size == 0 ? 1 : size);
    if (p == NULL)
        return E_NOMEM;

    n = ZSTD_decompressDCtx(c->expander, p, size, packed.p, packed.len);
    if (ZSTD_isError(n) && ZSTD_getErrorCode(n) == ZSTD_error_memory_allocation)
        return E_NOMEM;
    if (ZSTD_isError(n) || n != size)
        return E_MALFORMED;
    *ret_plain = (struct slice){p, size};
    return 0;
}

int body_open_push(struct body_codec *c, const Ztc__Push *m, struct arena *a,
                   Ztc__PushBody **ret_body)
{
    struct slice plain;
    struct wire_arena w;
    Ztc__PushBody *b;
    int ret = body_expand(c, wire_slice(m->body), m->size, a, &plain);

    if (ret != 0)
        return ret;

    wire_arena_init(&w, a, plain.len);
    b = ztc__push_body__unpack(&w.allocator, plain.len, plain.p);
    if (b == NULL)
        return wire_arena_error(&w);
    ret = check_push_body(b, m->count);
    if (ret == 0)
        *ret_body = b;
    return ret;
}

int body_open_entries(struct body_codec *c, struct slice packed, uint32_t size, uint32_t count,
                      struct arena *a, Ztc__EntriesBody **ret_body)
{
    struct slice plain;
    struct wire_arena w;
    Ztc__EntriesBody *b;
    int ret = body_expand(c, packed, size, a, &plain);

    if (ret != 0)
        return ret;

    wire_arena_init(&w, a, plain.len);
    b = ztc__entries_body__unpack(&w.allocator, plain.len, plain.p);
    if (b == NULL)
        return wire_arena_error(&w);
    ret = check_entries_body(b, count);
    if (ret == 0)
        *ret_body = b;
    return ret;
}

int body_open_slice(struct body_codec *c, const Ztc__Slice *m, struct arena *a,
                    Ztc__SliceBody **ret_body)
{
    struct slice plain = {NULL, 0};
    struct wire_arena w;
    Ztc__SliceBody *b;
    int ret = m->size == 0 ? 0 : body_expand(c, wire_slice(m->body), m->size, a, &plain);

    if (ret != 0)
        return ret;

    wire_arena_init(&w, a, plain.len);
    b = ztc__slice_body__unpack(&w.allocator, plain.len, plain.p);
    if (b == NULL)
        return wire_arena_error(&w);
    ret = check_slice_body(b, m->count);
    if (ret == 0)
        *ret_body = b;
    return ret;
}
