/* Heads and tails. A tail that lacks an entry (memory was out) leaves it to the store. */
#include "server/net/uv_feed.h"

#include <string.h>

#define SIGNED_MAX  4096
#define STREAMS_MAX 32

/* The last batch without an echo: what most readers of a stream want next. */
struct memo {
    uint64_t from_seq, upto_seq;
    uint32_t count, size;
    struct buf body;
};

struct feed_stream {
    uint32_t stream;
    uint64_t seq;  /* of the newest signed head */
    uint64_t told; /* sessions know of it up to here */
    struct buf head, signature;
    struct tail tail;
    struct memo memo;
};

struct feed {
    void (*on_heads)(void *ctx, const struct server_head *heads, size_t n);
    void *ctx;
    struct feed_stream streams[STREAMS_MAX];
    size_t n;
};

static struct feed_stream *find(struct feed *f, uint32_t stream)
{
    for (size_t i = 0; i < f->n; i++) {
        if (f->streams[i].stream == stream)
            return &f->streams[i];
    }
    return NULL;
}

static struct feed_stream *find_or_add(struct feed *f, uint32_t stream)
{
    struct feed_stream *s = find(f, stream);

    if (s != NULL || f->n == STREAMS_MAX)
        return s;
    s = &f->streams[f->n++];
    *s = (struct feed_stream){.stream = stream};
    buf_init(&s->head, SIGNED_MAX);
    buf_init(&s->signature, SIGNED_MAX);
    buf_init(&s->memo.body, 2u * WIRE_BODY_MAX);
    tail_init(&s->tail, stream, TAIL_MAX_BYTES);
    return s;
}

static void note(struct feed *f, const struct writer_head *h)
{
    struct feed_stream *s = find_or_add(f, h->stream);

    if (s == NULL)
        return;
    buf_clear(&s->head);
    buf_put(&s->head, h->head.p, h->head.len);
    buf_clear(&s->signature);
    buf_put(&s->signature, h->signature.p, h->signature.len);
    s->seq = h->seq;
    if (h->entries != NULL)
        tail_move(&s->tail, h->entries);
}

int feed_new(void (*on_heads)(void *ctx, const struct server_head *, size_t), void *ctx, struct feed **ret, struct err *err)
{
    struct feed *f = mem_calloc(1, sizeof *f);

    if (f == NULL)
        return err_set(err, E_NOMEM, NULL);
    f->on_heads = on_heads;
    f->ctx = ctx;
    *ret = f;
    return 0;
}

void feed_free(struct feed *f)
{
    if (f == NULL)
        return;
    for (size_t i = 0; i < f->n; i++) {
        buf_release(&f->streams[i].head);
        buf_release(&f->streams[i].signature);
        buf_release(&f->streams[i].memo.body);
        tail_release(&f->streams[i].tail);
    }
    mem_free(f);
}

void feed_start(struct feed *f, const struct writer_head *heads, size_t n)
{
    for (size_t i = 0; i < n; i++)
        note(f, &heads[i]);
    for (size_t i = 0; i < f->n; i++)
        f->streams[i].told = f->streams[i].seq;
}

void feed_advanced(struct feed *f, const struct writer_head *heads, size_t n)
{
    for (size_t i = 0; i < n; i++)
        note(f, &heads[i]);
}

void feed_tell(struct feed *f)
{
    struct server_head heads[STREAMS_MAX];
    size_t n = 0;

    for (size_t i = 0; i < f->n; i++) {
        struct feed_stream *s = &f->streams[i];

        if (s->stream != STREAM_CITY && s->told != s->seq) /* `city` stays here: its head is only shown */
            heads[n++] = (struct server_head){s->stream, s->seq};
        s->told = s->seq;
    }
    if (n > 0)
        f->on_heads(f->ctx, heads, n);
}

uint64_t feed_head(struct feed *f, uint32_t stream, struct server_signed *ret)
{
    const struct feed_stream *s = find(f, stream);

    *ret = (struct server_signed){{NULL, 0}, {NULL, 0}};
    if (s == NULL)
        return 0;
    *ret = (struct server_signed){buf_slice(&s->head), buf_slice(&s->signature)};
    return s->seq;
}

/* ---- batches ---- */

static bool has_own(const struct tail *t, uint64_t from, uint32_t count, const struct id *reader)
{
    for (uint64_t seq = from; seq < from + count; seq++) {
        const struct tail_entry *e = tail_get(t, seq);

        if (e == NULL || id_eq(&e->replica, reader))
            return true;
    }
    return false;
}

static bool from_memo(const struct feed_stream *s, uint64_t from_seq,
                      const struct batch_limits *limits, struct buf *out, uint32_t *ret_count,
                      uint32_t *ret_size)
{
    const struct memo *m = &s->memo;

    if (m->count == 0 || m->from_seq != from_seq || m->upto_seq != limits->upto_seq ||
        has_own(&s->tail, from_seq, m->count, &limits->reader))
        return false;
    buf_put(out, m->body.p, m->body.len);
    *ret_count = m->count;
    *ret_size = m->size;
    return true;
}

static void remember(struct feed_stream *s, uint64_t from_seq, const struct batch *b,
                     uint32_t size, struct slice body)
{
    struct memo *m = &s->memo;

    buf_clear(&m->body);
    buf_put(&m->body, body.p, body.len);
    m->from_seq = from_seq;
    m->upto_seq = b->limits.upto_seq;
    m->size = size;
    m->count = m->body.ret == 0 ? b->count : 0;
}

bool feed_batch(struct feed *f, uint32_t stream, uint64_t from_seq,
                const struct batch_limits *limits, struct body_codec *codec, struct buf *out,
                uint32_t *ret_count, uint32_t *ret_size)
{
    struct feed_stream *s = find(f, stream);
    const struct tail_entry *e = s == NULL ? NULL : tail_get(&s->tail, from_seq);
    struct batch b;
    int ret;

    if (e == NULL)
        return false;
    if (from_memo(s, from_seq, limits, out, ret_count, ret_size))
        return true;
    batch_init(&b, limits);
    while (e != NULL && batch_add(&b, e))
        e = tail_get(&s->tail, e->seq + 1);
    ret = batch_finish(&b, codec, out, ret_size);
    *ret_count = b.count;
    if (ret == 0 && !b.has_echo)
        remember(s, from_seq, &b, *ret_size, buf_slice(out));
    batch_release(&b);
    return ret == 0; /* an act that is not whole yet: the store has it */
}
