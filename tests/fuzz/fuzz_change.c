/* What travels inside frames and files: author's bytes with their sidecar, verdicts, signed heads,
 * receipts, rows. The first byte says which. There is one form of everything: what decodes encodes to the
 * same bytes again. */
#include "common/crypto/hash.h"
#include "common/ledger/digest_list.h"
#include "common/ledger/receipt.h"
#include "common/ledger/row_code.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void same(struct buf *again, struct slice bytes)
{
    assert(again->ret == 0);
    assert(slice_eq(buf_slice(again), bytes));
    buf_clear(again);
}

/* Two length bytes, the author's bytes, the sidecar. */
static void try_change(struct arena *a, struct buf *again, struct slice in)
{
    struct rd r = rd_of(in);
    size_t len = (size_t)rd_u8(&r) << 8;
    struct slice bytes, side;
    struct change c;

    len |= rd_u8(&r);
    bytes = rd_take(&r, len < rd_left(&r) ? len : rd_left(&r));
    side = rd_take(&r, rd_left(&r));
    if (change_decode(a, bytes, side, &c) != 0)
        return;
    change_encode(again, &c);
    same(again, bytes);
    change_encode_side(again, &c);
    same(again, side);
    for (size_t i = 0; i < c.n_fields; i++)
        assert(change_field(&c, c.fields[i].tag) == &c.fields[i]);
    (void)change_check_side(hasher_of(HASH_SHA256), &c); /* either answer will do */
}

static void try_verdict(struct arena *a, struct buf *again, struct slice in)
{
    struct verdict v;

    if (verdict_decode(a, in, &v) != 0)
        return;
    verdict_encode(again, &v);
    same(again, in);
    for (size_t i = 0; i < v.n_withheld; i++)
        assert(verdict_withholds(&v, v.withheld[i]));
}

static void try_head(struct buf *again, struct slice in)
{
    struct head h;

    if (head_decode(in, &h) != 0)
        return;
    head_encode(again, &h);
    same(again, in);
}

static int any_signature(void *ctx, struct slice message, struct slice signature)
{
    (void)ctx;
    (void)message;
    (void)signature;
    return 0;
}

/* A hash that is met by chance, so that the walk is reached. */
static void short_digest(const struct slice *parts, size_t n_parts, uint8_t ret[HASH_SIZE])
{
    uint8_t sum = 0;

    for (size_t i = 0; i < n_parts; i++) {
        for (size_t k = 0; k < parts[i].len; k++)
            sum = (uint8_t)(sum + parts[i].p[k]);
    }
    memset(ret, sum, HASH_SIZE);
}

static const struct hasher *short_hasher(enum hash_alg alg)
{
    static const struct hasher h = {HASH_SM3, short_digest};

    return alg == HASH_SM3 ? &h : NULL;
}

static void try_receipt(struct slice in)
{
    struct verifier any = {.verify = any_signature};
    struct receipt x;

    if (receipt_check(in, short_hasher, &any, &x) != 0)
        return;
    assert(x.entry.seq >= 1 && x.entry.seq <= x.head.seq);
}

static void try_row(struct arena *a, struct buf *again, struct slice in)
{
    struct row *row;

    if (row_decode(a, in, &row) != 0)
        return;
    assert(row->exists);
    row_encode(again, row);
    same(again, in);
}

/* All three lists: what is one may be another too. */
static void try_digests(struct arena *a, struct buf *again, struct slice in)
{
    struct digest_kind *kinds;
    struct digest_part *parts;
    struct digest_of_row *rows;
    size_t n;

    if (digest_list_kinds(a, in, &kinds, &n) == 0) {
        for (size_t i = 0; i < n; i++)
            digest_list_kind(again, &kinds[i]);
        same(again, in);
    }
    if (digest_list_parts(a, in, &parts, &n) == 0) {
        for (size_t i = 0; i < n; i++)
            digest_list_part(again, &parts[i]);
        same(again, in);
    }
    if (digest_list_rows(a, in, &rows, &n) == 0) {
        for (size_t i = 0; i < n; i++)
            digest_list_row(again, &rows[i]);
        same(again, in);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = {data + 1, size - 1};
    struct arena a;
    struct buf again;

    if (size == 0)
        return 0;
    arena_init(&a, 1u << 20);
    buf_init(&again, 1u << 20);
    switch (data[0] % 6) {
    case 0:
        try_change(&a, &again, in);
        break;
    case 1:
        try_verdict(&a, &again, in);
        break;
    case 2:
        try_head(&again, in);
        break;
    case 3:
        try_receipt(in);
        break;
    case 4:
        try_row(&a, &again, in);
        break;
    default:
        try_digests(&a, &again, in);
        break;
    }
    buf_release(&again);
    arena_release(&a);
    return 0;
}
