/* Heads and tails.
 *
 * - feed_advanced notes the heads; one fill at a time brings the entries into the tails;
 * - when it has ended, the heads it was for are told; heads that came meanwhile are the next fill;
 * - a fill that failed still tells its heads: readers then go to the store themselves. */
#include "server/net/uv_feed.h"

#include <string.h>

#define SIGNED_MAX 4096

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
    struct reader *reader;
    void (*on_heads)(void *ctx, const struct server_head *heads, size_t n);
    void *ctx;
    struct feed_stream streams[FILL_PARTS];
    size_t n;
    bool filling;
    struct fill_job fill;
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

    if (s != NULL || f->n == FILL_PARTS)
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
}

static void start_fill(struct feed *f);

static void on_filled(struct fill_job *job)
{
    struct feed *f = job->ctx;
    struct server_head heads[FILL_PARTS];

    for (size_t i = 0; i < job->n; i++) {
        struct feed_stream *s = find(f, job->parts[i].got.stream);

        tail_move(&s->tail, &job->parts[i].got);
        s->told = job->parts[i].upto_seq;
        heads[i] = (struct server_head){s->stream, s->told};
    }
    f->filling = false;
    f->on_heads(f->ctx, heads, job->n);
    start_fill(f);
}

static void start_fill(struct feed *f)
{
    if (f->filling)
        return;
    f->fill.n = 0;
    for (size_t i = 0; i < f->n; i++) {
        struct feed_stream *s = &f->streams[i];
        struct fill_part *part = &f->fill.parts[f->fill.n];

        if (s->stream == STREAM_CITY)
            s->told = s->seq; /* never leaves the city: only its head is shown */
        if (s->told == s->seq)
            continue;
        part->from_seq = s->told + 1;
        part->upto_seq = s->seq;
        tail_init(&part->got, s->stream, TAIL_MAX_BYTES);
        f->fill.n++;
    }
    if (f->fill.n == 0)
        return;
    f->filling = true;
    f->fill.done = on_filled;
    f->fill.ctx = f;
    reader_fill(f->reader, &f->fill);
}

int feed_new(struct reader *reader, void (*on_heads)(void *ctx, const struct server_head *, size_t),
             void *ctx, struct feed **ret, struct err *err)
{
    struct feed *f = mem_calloc(1, sizeof *f);

    if (f == NULL)
        return err_set(err, E_NOMEM, NULL);
    f->reader = reader;
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
    start_fill(f);
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
