/* Entries in memory, and batches made of them. */
#include "server/net/tail.h"

#include "common/base/err.h"

#include <string.h>

/* ---- an entry ---- */

static int peek(struct tail_entry *t)
{
    struct rd bytes = rd_of(t->bytes);
    struct rd verdict = rd_of(t->verdict);
    struct slice replica;
    uint64_t flags;

    (void)rd_u8(&bytes); /* the format: whoever appended the entry had decoded it */
    replica = rd_take(&bytes, ID_SIZE);
    t->n = rd_varint(&bytes);
    (void)rd_u8(&verdict);
    flags = rd_varint(&verdict);
    if (bytes.bad || verdict.bad || replica.len != ID_SIZE)
        return E_CORRUPT;
    memcpy(t->replica.b, replica.p, ID_SIZE);
    t->more = (flags & VERDICT_MORE) != 0;
    t->recovered = (flags & VERDICT_RECOVERED) != 0;
    return 0;
}

static struct slice put(struct tail_entry *t, size_t *at, struct slice s)
{
    uint8_t *p = t->data + *at;

    if (s.len > 0)
        memcpy(p, s.p, s.len);
    *at += s.len;
    return (struct slice){p, s.len};
}

int tail_entry_new(const struct entry *e, struct tail_entry **ret)
{
    size_t len = e->verdict.len + e->bytes.len + e->side.len, at = 0;
    struct tail_entry *t = mem_alloc(sizeof *t + len);
    int status;

    if (t == NULL)
        return E_NOMEM;
    t->seq = e->seq;
    t->received_at = e->received_at;
    t->size = sizeof *t + len;
    t->verdict = put(t, &at, e->verdict);
    t->bytes = put(t, &at, e->bytes);
    t->side = put(t, &at, e->side);
    status = peek(t);
    if (status != 0) {
        mem_free(t);
        return status;
    }
    *ret = t;
    return 0;
}

/* ---- the ring ---- */

void tail_init(struct tail *t, uint32_t stream, size_t max_bytes)
{
    *t = (struct tail){.stream = stream, .max_bytes = max_bytes};
}

static struct tail_entry **slot(const struct tail *t, uint64_t seq)
{
    return &t->ring[seq & (t->cap - 1)];
}

static void drop_first(struct tail *t)
{
    struct tail_entry *e = *slot(t, t->first_seq);

    t->first_seq++;
    t->count--;
    t->bytes -= e->size;
    mem_free(e);
}

static void clear(struct tail *t)
{
    while (t->count > 0)
        drop_first(t);
}

void tail_release(struct tail *t)
{
    clear(t);
    mem_free(t->ring);
    tail_init(t, t->stream, t->max_bytes);
}

/* Entries keep their places by seq, so each moves to its place in the larger ring. */
static bool grow(struct tail *t)
{
    size_t cap = t->cap == 0 ? 64 : t->cap * 2;
    struct tail_entry **ring = mem_calloc(cap, sizeof *ring);

    if (ring == NULL)
        return false;
    for (uint64_t seq = t->first_seq; seq < t->first_seq + t->count; seq++)
        ring[seq & (cap - 1)] = *slot(t, seq);
    mem_free(t->ring);
    t->ring = ring;
    t->cap = cap;
    return true;
}

void tail_push(struct tail *t, struct tail_entry *e)
{
    if (t->count > 0 && e->seq != t->first_seq + t->count)
        clear(t);
    if (t->count == t->cap && !grow(t)) {
        clear(t); /* a hole must not stay: readers go to the store instead */
        mem_free(e);
        return;
    }
    if (t->count == 0)
        t->first_seq = e->seq;
    *slot(t, e->seq) = e;
    t->count++;
    t->bytes += e->size;
    while (t->bytes > t->max_bytes && t->count > 1)
        drop_first(t);
}

void tail_move(struct tail *to, struct tail *from)
{
    for (size_t i = 0; i < from->count; i++)
        tail_push(to, *slot(from, from->first_seq + i));
    from->count = 0;
    from->bytes = 0;
    tail_release(from);
}

const struct tail_entry *tail_get(const struct tail *t, uint64_t seq)
{
    bool has = t->count > 0 && seq >= t->first_seq && seq - t->first_seq < t->count;

    return has ? *slot(t, seq) : NULL;
}

/* ---- batches ---- */

void batch_init(struct batch *b, const struct batch_limits *limits)
{
    *b = (struct batch){.limits = *limits};
    buf_init(&b->plain, WIRE_BODY_MAX);
}

void batch_release(struct batch *b)
{
    buf_release(&b->plain);
}

static bool is_full(const struct batch *b, size_t more)
{
    bool enough = b->count >= b->limits.max_entries || b->plain.len + more > b->limits.max_bytes;
    bool too_much = b->count >= WIRE_BATCH_MAX || b->plain.len + more > WIRE_BODY_MAX;

    return too_much || (enough && b->whole_count > 0);
}

bool batch_add(struct batch *b, const struct tail_entry *e)
{
    bool own = id_eq(&e->replica, &b->limits.reader) && e->n > b->limits.echo_above &&
               !e->recovered;

    if (e->seq > b->limits.upto_seq ||
        is_full(b, body_room(e->verdict.len, e->bytes.len, e->side.len)))
        return false;
    body_put_entry(&b->plain, e->received_at, e->verdict, own ? e->n : 0, e->bytes, e->side);
    b->has_echo = b->has_echo || own;
    b->count++;
    if (!e->more) {
        b->whole_len = b->plain.len;
        b->whole_count = b->count;
    }
    return true;
}

int batch_finish(struct batch *b, struct body_codec *codec, struct buf *out, uint32_t *ret_size)
{
    int ret;

    if (b->plain.ret != 0)
        return b->plain.ret;
    if (b->whole_count == 0)
        return E_CORRUPT;
    b->count = b->whole_count;
    ret = body_compress(codec, (struct slice){b->plain.p, b->whole_len}, out);
    if (ret == 0)
        *ret_size = (uint32_t)b->whole_len;
    return ret;
}
