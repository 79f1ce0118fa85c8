#include "common/ledger/entry.h"

#include "common/base/err.h"

#include <string.h>

void verdict_encode(struct buf *out, const struct verdict *v)
{
    buf_u8(out, VERDICT_FORMAT);
    buf_varint(out, v->flags);
    buf_varint(out, v->shared_seq);
    buf_varint(out, v->n_withheld);
    for (size_t i = 0; i < v->n_withheld; i++)
        buf_varint(out, v->withheld[i]);
    buf_varint(out, v->n_derived);
    for (size_t i = 0; i < v->n_derived; i++) {
        buf_varint(out, v->derived[i].tag);
        value_encode(out, &v->derived[i].v);
    }
}

/* A count of items of at least one byte each. */
static size_t rd_count(struct rd *r)
{
    uint64_t n = rd_varint(r);

    if (n > CHANGE_MAX_FIELDS || n > rd_left(r)) {
        r->bad = true;
        return 0;
    }
    return (size_t)n;
}

/* The next tag, which must be above *LAST. */
static uint32_t rd_tag(struct rd *r, uint32_t *last)
{
    uint64_t tag = rd_varint(r);

    if (tag <= *last || tag > UINT32_MAX)
        r->bad = true;
    *last = (uint32_t)tag;
    return (uint32_t)tag;
}

int verdict_decode(struct arena *a, struct slice bytes, struct verdict *ret)
{
    struct rd r = rd_of(bytes);
    struct verdict v = {.flags = 0};
    uint64_t flags;
    uint32_t last = 0;

    if (rd_u8(&r) != VERDICT_FORMAT)
        return E_MALFORMED;
    flags = rd_varint(&r);
    v.flags = (uint32_t)flags;
    v.shared_seq = rd_varint(&r);
    v.n_withheld = rd_count(&r);
    v.withheld = arena_alloc(a, v.n_withheld * sizeof *v.withheld);
    if (v.withheld == NULL)
        return E_NOMEM;
    for (size_t i = 0; i < v.n_withheld; i++)
        v.withheld[i] = rd_tag(&r, &last);

    last = 0;
    v.n_derived = rd_count(&r);
    v.derived = arena_alloc(a, v.n_derived * sizeof *v.derived);
    if (v.derived == NULL)
        return E_NOMEM;
    for (size_t i = 0; i < v.n_derived; i++) {
        v.derived[i].tag = rd_tag(&r, &last);
        v.derived[i].v = value_decode(&r);
    }
    if (!rd_done(&r) || flags > UINT32_MAX)
        return E_MALFORMED;
    *ret = v;
    return 0;
}

bool verdict_withholds(const struct verdict *v, uint32_t tag)
{
    for (size_t i = 0; i < v->n_withheld; i++) {
        if (v->withheld[i] == tag)
            return true;
    }
    return false;
}

void chain_start(const struct hasher *h, uint32_t stream, const struct id *ledger,
                 uint8_t ret_hash[HASH_SIZE])
{
    uint8_t head[5] = {(uint8_t)h->alg, (uint8_t)(stream >> 24), (uint8_t)(stream >> 16),
                       (uint8_t)(stream >> 8), (uint8_t)stream};
    struct slice parts[] = {slice_str("ztc-ledger-1"), {head, sizeof head}, {ledger->b, ID_SIZE}};

    h->digest(parts, 3, ret_hash);
}

static void put_be64(uint8_t *p, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        p[i] = (uint8_t)(v >> (56 - 8 * i));
}

void chain_next(const struct hasher *h, const uint8_t prev[HASH_SIZE], uint64_t seq,
                msec_t received_at, struct slice verdict, const uint8_t bytes_hash[HASH_SIZE],
                uint8_t ret_hash[HASH_SIZE])
{
    uint8_t numbers[16];
    uint8_t next[HASH_SIZE];
    struct slice parts[] = {
        {prev, HASH_SIZE}, {numbers, sizeof numbers}, verdict, {bytes_hash, HASH_SIZE}};

    put_be64(numbers, seq);
    put_be64(numbers + 8, received_at);
    h->digest(parts, 4, next);
    memcpy(ret_hash, next, HASH_SIZE);
}
