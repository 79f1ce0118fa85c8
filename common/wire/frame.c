/* The frame decoder and encoder.
 *
 * A frame that arrives whole in one piece is unpacked where it lies. Only the beginning of one that
 * is cut is kept, and its memory is given back once the frame is out: an idle connection holds none.
 * An announced length reserves nothing; memory grows with the bytes that really came. */
#include "common/wire/frame.h"

#include "common/base/err.h"
#include "common/wire/check.h"

#include <assert.h>

#define ARENA_FACTOR 16u
#define ARENA_MIN    (64u * 1024u)

static void *wire_alloc(void *data, size_t size)
{
    struct wire_arena *w = data;
    void *p;

    if (size > w->limit || size > w->arena->max - w->arena->used) {
        w->full = true;
        return NULL;
    }
    p = arena_alloc(w->arena, size);
    if (p == NULL) {
        w->out = true;
        return NULL;
    }
    w->limit -= size;
    return p;
}

/* The arena dies whole. */
static void wire_free(void *data, void *p)
{
    (void)data;
    (void)p;
}

void wire_arena_init(struct wire_arena *w, struct arena *a, size_t message_size)
{
    size_t limit = message_size * ARENA_FACTOR;

    w->allocator = (ProtobufCAllocator){wire_alloc, wire_free, w};
    w->arena = a;
    w->limit = limit < ARENA_MIN ? ARENA_MIN : limit;
    w->full = w->out = false;
}

int wire_arena_error(const struct wire_arena *w)
{
    if (w->out)
        return E_NOMEM;
    return w->full ? E_TOOBIG : E_MALFORMED;
}

/* One length-delimited field and nothing behind it. Every encoder writes key and length in the
 * shortest form, which is what rd_varint insists on. */
static bool one_field(struct slice bytes)
{
    struct rd r = rd_of(bytes);
    uint64_t key = rd_varint(&r);
    uint64_t len = rd_varint(&r);

    return !r.bad && (key & 7) == 2 && len == rd_left(&r);
}

int frame_unpack(struct arena *a, struct slice bytes, Ztc__Frame **ret_frame)
{
    struct wire_arena w;
    Ztc__Frame *f;
    int ret;

    if (!one_field(bytes))
        return E_MALFORMED;
    wire_arena_init(&w, a, bytes.len);
    f = ztc__frame__unpack(&w.allocator, bytes.len, bytes.p);
    if (f == NULL)
        return wire_arena_error(&w);
    ret = check_frame(f);
    if (ret == 0)
        *ret_frame = f;
    return ret;
}

void frame_reader_init(struct frame_reader *r, size_t max)
{
    r->max = max;
    r->ret = 0;
    buf_init(&r->in, FRAME_PREFIX + max);
}

void frame_reader_release(struct frame_reader *r)
{
    buf_release(&r->in);
}

void frame_reader_set_max(struct frame_reader *r, size_t max)
{
    r->max = max;
    r->in.max = FRAME_PREFIX + max;
}

static size_t announced(const uint8_t *p)
{
    return (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
}

/* Fill the buffer up to WANT bytes from DATA. */
static int gather(struct frame_reader *r, struct slice *data, size_t want)
{
    size_t n = r->in.len < want ? want - r->in.len : 0;

    if (n > data->len)
        n = data->len;
    buf_put(&r->in, data->p, n);
    if (n > 0) {
        data->p += n;
        data->len -= n;
    }
    return r->in.ret;
}

/* The frame whose beginning is buffered. */
static int feed_buffered(struct frame_reader *r, struct slice *data, struct arena *a,
                         Ztc__Frame **ret_frame)
{
    size_t len;
    int ret = gather(r, data, FRAME_PREFIX);

    if (ret != 0 || r->in.len < FRAME_PREFIX)
        return ret;

    len = announced(r->in.p);
    if (len > r->max)
        return E_TOOBIG;
    ret = gather(r, data, FRAME_PREFIX + len);
    if (ret != 0 || r->in.len < FRAME_PREFIX + len)
        return ret;

    ret = frame_unpack(a, (struct slice){r->in.p + FRAME_PREFIX, len}, ret_frame);
    buf_release(&r->in);
    buf_init(&r->in, FRAME_PREFIX + r->max);
    return ret;
}

static int feed_whole(struct frame_reader *r, struct slice *data, struct arena *a,
                      Ztc__Frame **ret_frame)
{
    size_t len;
    int ret;

    if (data->len < FRAME_PREFIX)
        return feed_buffered(r, data, a, ret_frame);
    len = announced(data->p);
    if (len > r->max)
        return E_TOOBIG;
    if (data->len - FRAME_PREFIX < len)
        return feed_buffered(r, data, a, ret_frame);

    data->p += FRAME_PREFIX;
    data->len -= FRAME_PREFIX;
    ret = frame_unpack(a, (struct slice){data->p, len}, ret_frame);
    data->p += len;
    data->len -= len;
    return ret;
}

int frame_feed(struct frame_reader *r, struct slice data, struct arena *a, size_t *ret_consumed,
               Ztc__Frame **ret_frame)
{
    size_t before = data.len;

    *ret_frame = NULL;
    *ret_consumed = 0;
    if (r->ret != 0)
        return r->ret;
    if (r->in.len > 0)
        r->ret = feed_buffered(r, &data, a, ret_frame);
    else if (data.len > 0)
        r->ret = feed_whole(r, &data, a, ret_frame);
    *ret_consumed = before - data.len;
    return r->ret;
}

void frame_put(struct buf *out, const Ztc__Frame *f)
{
    size_t size = ztc__frame__get_packed_size(f);
    uint8_t *p;

    assert(size <= FRAME_MAX);
    p = buf_grow(out, FRAME_PREFIX + size);
    if (p == NULL)
        return;
    p[0] = 0;
    p[1] = (uint8_t)(size >> 16);
    p[2] = (uint8_t)(size >> 8);
    p[3] = (uint8_t)size;
    (void)ztc__frame__pack(f, p + FRAME_PREFIX);
}

/* protobuf-c's members have no const; packing does not write. */
#define X(upper, member, type)                                                                     \
    void frame_put_##member(struct buf *out, const type *m)                                        \
    {                                                                                              \
        Ztc__Frame f = ZTC__FRAME__INIT;                                                           \
        union {                                                                                    \
            const type *c;                                                                         \
            type *p;                                                                               \
        } u = {m};                                                                                 \
                                                                                                   \
        f.kind_case = ZTC__FRAME__KIND_##upper;                                                    \
        f.member = u.p;                                                                            \
        frame_put(out, &f);                                                                        \
    }
FRAME_KINDS(X)
#undef X

const char *frame_name(const Ztc__Frame *f)
{
    switch ((int)f->kind_case) {
#define X(upper, member, type)                                                                     \
    case ZTC__FRAME__KIND_##upper:                                                                 \
        return #member;
        FRAME_KINDS(X)
#undef X
    default:
        return "none";
    }
}
