#include "common/ledger/digest.h"

#include "common/base/err.h"

#include <string.h>

#define ROOT_PREFIX "ztc-root-1"
#define ROOT_MAX    (64u * 1024u) /* bytes under a root: more kinds than any catalogue has */

static uint64_t be64_of(const uint8_t *p)
{
    uint64_t v = 0;

    for (int i = 0; i < 8; i++)
        v = v << 8 | p[i];
    return v;
}

struct digest digest_bytes(const struct hasher *h, struct slice bytes)
{
    uint8_t hash[HASH_SIZE];

    h->digest(&bytes, 1, hash);
    return (struct digest){be64_of(hash), be64_of(hash + 8)};
}

int digest_row(const struct hasher *h, struct buf *scratch, const struct row *row,
               struct digest *ret)
{
    buf_clear(scratch);
    row_encode(scratch, row);
    if (scratch->ret != 0)
        return scratch->ret;
    *ret = digest_bytes(h, buf_slice(scratch));
    return 0;
}

struct digest digest_plus(struct digest a, struct digest b)
{
    uint64_t low = a.low + b.low;

    return (struct digest){a.high + b.high + (low < a.low), low};
}

struct digest digest_minus(struct digest a, struct digest b)
{
    return (struct digest){a.high - b.high - (a.low < b.low), a.low - b.low};
}

void digest_add(struct digest_sum *s, struct digest d)
{
    s->count++;
    s->sum = digest_plus(s->sum, d);
}

void digest_subtract(struct digest_sum *s, struct digest d)
{
    s->count--;
    s->sum = digest_minus(s->sum, d);
}

bool digest_eq(struct digest a, struct digest b)
{
    return a.high == b.high && a.low == b.low;
}

bool digest_sum_eq(const struct digest_sum *a, const struct digest_sum *b)
{
    return a->count == b->count && digest_eq(a->sum, b->sum);
}

void digest_put(struct buf *out, struct digest d)
{
    buf_be64(out, d.high);
    buf_be64(out, d.low);
}

struct digest digest_take(struct rd *r)
{
    uint64_t high = rd_be64(r);

    return (struct digest){high, rd_be64(r)};
}

int digest_root(const struct hasher *h, const struct digest_kind *kinds, size_t n,
                uint8_t ret_root[ROOT_SIZE])
{
    struct digest root;
    struct buf b;
    int ret;

    buf_init(&b, ROOT_MAX);
    buf_str(&b, ROOT_PREFIX);
    for (size_t i = 0; i < n; i++) {
        if (kinds[i].of.count == 0 && digest_eq(kinds[i].of.sum, (struct digest){0, 0}))
            continue;
        buf_be32(&b, kinds[i].kind);
        buf_be64(&b, kinds[i].of.count);
        digest_put(&b, kinds[i].of.sum);
    }
    ret = b.ret;
    root = ret == 0 ? digest_bytes(h, buf_slice(&b)) : (struct digest){0, 0};
    buf_clear(&b);
    digest_put(&b, root);
    if (ret == 0)
        memcpy(ret_root, b.p, ROOT_SIZE);
    buf_release(&b);
    return ret;
}
