/* Entries from a stranger, one after another onto one record: merged as the city would, applied with
 * the verdict that came, and the record then shown and judged. A county trusts the city's signature
 * but not its version, so any decodable entry must leave a well-formed record.
 *
 * The first byte chooses the kind where the first change names none. Each entry: a byte of flags, three times
 * two length bytes, then the author's bytes, the sidecar, the verdict. */
#include "common/catalogue/check.h"
#include "common/ledger/apply.h"
#include "common/ledger/merge.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FLAG_TRACK = 1, FLAG_PENDING = 2, FLAG_OWN_VERDICT = 4 };

struct incoming {
    uint8_t flags;
    struct change c;
    struct verdict v;
};

static struct slice part(struct rd *r, size_t len)
{
    return rd_take(r, len < rd_left(r) ? len : rd_left(r));
}

static size_t length(struct rd *r)
{
    size_t high = rd_u8(r);

    return high << 8 | rd_u8(r);
}

static bool next(struct rd *r, struct arena *a, struct incoming *ret)
{
    static const uint8_t nothing[] = {VERDICT_FORMAT, 0, 0, 0, 0};
    struct slice bytes, side, verdict;
    size_t n_bytes, n_side, n_verdict;

    ret->flags = rd_u8(r);
    n_bytes = length(r);
    n_side = length(r);
    n_verdict = length(r);
    if (r->bad)
        return false;
    bytes = part(r, n_bytes);
    side = part(r, n_side);
    verdict = part(r, n_verdict);
    if (verdict.len == 0)
        verdict = (struct slice){nothing, sizeof nothing};
    return change_decode(a, bytes, side, &ret->c) == 0 && verdict_decode(a, verdict, &ret->v) == 0;
}

/* ---- a record that stands alone ---- */

static int find_nothing(void *ctx, const struct kind *kind, uint32_t tag, const struct value *v,
                        lookup_row_cb cb, void *cb_ctx)
{
    (void)ctx;
    (void)kind;
    (void)tag;
    (void)v;
    (void)cb;
    (void)cb_ctx;
    return 0;
}

static int get_nothing(void *ctx, const struct kind *kind, const struct id *id,
                       struct row **ret_row)
{
    (void)ctx;
    (void)kind;
    (void)id;
    *ret_row = NULL;
    return 0;
}

static void show(const struct row *row)
{
    struct buf text;

    buf_init(&text, 4u << 20);
    for (unsigned i = 0; i < row->kind->n_fields; i++) {
        buf_clear(&text);
        (void)check_format(&text, &row->kind->fields[i], &row->values[i]);
        (void)check_mask(&text, &row->kind->fields[i], &row->values[i]);
    }
    buf_release(&text);
}

static void judge(const struct row *row)
{
    static const struct lookup lookup = {get_nothing, find_nothing, NULL};
    const struct check c = {.lookup = &lookup, .today = 20000};
    struct err err = {0};
    uint32_t tag;

    if (check_row(&c, row, &err) != 0)
        assert(err.text[0] != '\0');
    err = (struct err){0};
    if (check_shared(&c, row, &tag, &err) != 0)
        assert(err.text[0] != '\0');
    (void)check_missing(row, true); /* any field will do */
}

/* Every value, and the pack of unknown ones, in its one form. */
static void well_formed(struct arena *a, const struct row *row)
{
    struct rd r = rd_of(row->unknown);
    uint64_t last = 0;
    struct row *copy = row_dup(a, row);
    struct buf bytes;

    assert(copy != NULL);
    buf_init(&bytes, 4u << 20);
    for (unsigned i = 0; i < row->kind->n_fields; i++) {
        struct rd one;

        buf_clear(&bytes);
        value_encode(&bytes, &copy->values[i]);
        one = rd_of(buf_slice(&bytes));
        (void)value_decode(&one);
        assert(rd_done(&one));
    }
    buf_release(&bytes);
    for (bool first = true; rd_left(&r) > 0; first = false) {
        uint64_t tag = rd_varint(&r);

        (void)value_decode(&r);
        assert(!r.bad && (first || tag > last));
        last = tag;
    }
}

/* ---- merging ---- */

static uint64_t entry_of(void *ctx, uint64_t n, uint32_t tag, bool *ret_withheld)
{
    const uint64_t *seq = ctx;

    *ret_withheld = (n + tag) % 3 == 0;
    return n > *seq ? 0 : n;
}

static bool is_author(void *ctx, uint64_t seq, const struct id *replica)
{
    (void)ctx;
    return seq % 2 == replica->b[0] % 2;
}

/* The verdict that the city would give instead of the one that came. */
static bool merge(struct arena *a, const struct row *row, struct incoming *in, uint64_t seq)
{
    struct merge_history history = {entry_of, &seq};
    struct merge_result m;
    struct err err = {0};
    int ret;

    (void)merge_unseen(row, SIDE_COUNTY, in->c.seen, &in->c.replica, is_author, NULL);
    if (in->c.op == OP_CREATE || in->c.op == OP_ERASE)
        return true;
    ret = merge_change(a, row, &in->c, &history, &m, &err);
    assert(ret == 0 || (ret == E_CONFLICT && err.text[0] != '\0'));
    if (ret != 0)
        return false;
    for (size_t i = 0; i < m.n_withheld; i++)
        assert(change_field(&in->c, m.withheld[i]) != NULL);
    in->v.withheld = m.withheld;
    in->v.n_withheld = m.n_withheld;
    return true;
}

/* ---- one input ---- */

static void apply(struct arena *a, struct row *row, struct incoming *in, uint64_t seq)
{
    if ((in->flags & FLAG_OWN_VERDICT) == 0 && !merge(a, row, in, seq))
        return;
    if ((in->flags & FLAG_PENDING) != 0) {
        assert(apply_pending(a, row, &in->c) == 0);
        assert(row->pending);
    } else {
        assert(apply_entry(a, row, &in->c, &in->v, seq, (in->flags & FLAG_TRACK) != 0) == 0);
        assert(row->seq == seq);
    }
    well_formed(a, row);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rd r = rd_of((struct slice){data, size});
    uint8_t choice = rd_u8(&r);
    struct row *row = NULL;
    struct incoming in;
    struct arena a;

    arena_init(&a, 64u << 20);
    for (uint64_t seq = 1; seq < 16 && next(&r, &a, &in); seq++) {
        if (row == NULL) {
            const struct kind *kind = catalogue_kind(in.c.kind);

            if (kind == NULL)
                kind = catalogue_kinds[choice % catalogue_n_kinds];
            row = row_new(&a, kind, &in.c.record);
            assert(row != NULL);
        }
        apply(&a, row, &in, seq);
    }
    if (row != NULL) {
        show(row);
        judge(row);
    }
    arena_release(&a);
    return 0;
}
