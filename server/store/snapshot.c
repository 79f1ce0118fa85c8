#include "server/store/snapshot.h"

#include "common/ledger/row_code.h"
#include "common/ledger/sql.h"

#include <string.h>

#define ENTRIES_MAX 64u /* of open conflicts in one slice, two each: it ends before there are more */
#define ROW_MAX     (WIRE_BODY_MAX - 4096u)

struct reading {
    struct store *store;
    struct slice_read *r;
    struct buf plain, row;
    struct id last; /* of the rows read of the present kind */
    uint32_t kind;
    uint64_t entries[ENTRIES_MAX];
    unsigned n_entries;
    bool full;
    int failed; /* a row could not be added: E_* */
};

static void put_place(uint8_t place[WIRE_PLACE_SIZE], uint32_t kind, const struct id *id)
{
    for (int i = 0; i < 4; i++)
        place[i] = (uint8_t)(kind >> (24 - 8 * i));
    memcpy(place + 4, id->b, ID_SIZE);
}

static uint32_t place_kind(const uint8_t place[WIRE_PLACE_SIZE])
{
    return (uint32_t)place[0] << 24 | (uint32_t)place[1] << 16 | (uint32_t)place[2] << 8 | place[3];
}

/* The views of an open conflict fetch the values of the two entries that it names. */
static void note_conflict(struct reading *x, const struct row *row)
{
    if (strcmp(row->kind->name, "conflict") != 0 || row_text(row, "winner").len > 0 ||
        row_voided(row))
        return;
    x->entries[x->n_entries++] = (uint64_t)row_int(row, "later_seq");
    x->entries[x->n_entries++] = (uint64_t)row_int(row, "stands_seq");
}

static int add_row(void *ctx, struct row *row)
{
    struct reading *x = ctx;

    buf_clear(&x->row);
    row_encode(&x->row, row);
    if (x->row.ret != 0)
        return x->failed = x->row.ret;
    if (x->r->count > 0 && (x->plain.len + x->row.len > x->r->max_bytes ||
                            x->r->count == WIRE_BATCH_MAX || x->n_entries + 2 > ENTRIES_MAX)) {
        x->full = true;
        return 1;
    }
    body_put_row(&x->plain, buf_slice(&x->row));
    note_conflict(x, row);
    x->r->count++;
    x->last = row->id;
    return x->failed = x->plain.ret;
}

/* As far as there is room: a conflict whose entries do not fit shows their values once history is here. */
static int add_entries(struct reading *x, struct err *err)
{
    int ret = 0;

    for (unsigned i = 0; ret == 0 && i < x->n_entries; i++) {
        struct entry e;
        struct arena a;

        arena_init(&a, 4u * ACT_MAX_BYTES);
        ret = store_entry_get(x->store, x->r->stream, x->entries[i], &a, &e, err);
        if (ret == 0 &&
            x->plain.len + body_room(e.verdict.len, e.bytes.len, e.side.len) < WIRE_BODY_MAX)
            body_put_slice_entry(&x->plain, e.seq, e.received_at, e.verdict, e.bytes, e.side);
        arena_release(&a);
        if (ret == E_NOTFOUND)
            ret = 0;
    }
    return ret == 0 && x->plain.ret != 0 ? err_set(err, x->plain.ret, NULL) : ret;
}

/* The kinds from the place on, each by id, until the slice is full. */
static int read_kinds(struct reading *x, struct err *err)
{
    struct slice_read *r = x->r;
    struct id after = {{0}};
    unsigned at = 0;
    int ret = 0;

    if (r->has_after) {
        while (at < catalogue_n_kinds && catalogue_kinds[at]->tag != place_kind(r->after))
            at++;
        if (at == catalogue_n_kinds)
            return err_set(err, E_PROTOCOL, NULL);
        memcpy(after.b, r->after + 4, ID_SIZE);
    }
    for (; ret == 0 && !x->full && at < catalogue_n_kinds; at++) {
        const struct kind *kind = catalogue_kinds[at];

        if (kind->stream == STREAM_RULE_NONE)
            continue;
        x->kind = kind->tag;
        x->last = after;
        ret = store_row_after(x->store, kind, r->stream, &after, add_row, x, err);
        if (x->failed != 0)
            return err_set(err, x->failed, NULL);
        if (ret > 0)
            ret = 0;
        memset(&after, 0, sizeof after);
    }
    r->has_next = x->full;
    if (x->full)
        put_place(r->next, x->kind, &x->last);
    return ret;
}

static int read_whole(struct reading *x, struct err *err)
{
    struct stream_head h;
    int ret = store_stream_get(x->store, x->r->stream, &h, err);

    if (ret != 0)
        return ret;
    x->r->seq = h.seq;
    ret = read_kinds(x, err);
    return ret == 0 ? add_entries(x, err) : ret;
}

int snapshot_read(struct store *s, struct slice_read *r, struct body_codec *codec, struct buf *out,
                  struct err *err)
{
    struct reading x = {.store = s, .r = r};
    int ret = sql_exec(store_db(s), "BEGIN", err);

    if (ret != 0)
        return ret;
    r->count = r->size = 0;
    buf_init(&x.plain, WIRE_BODY_MAX);
    buf_init(&x.row, ROW_MAX);
    ret = read_whole(&x, err);
    store_rollback(s); /* it only read, and a commit may fail */
    r->size = (uint32_t)x.plain.len;
    if (ret == 0 && x.plain.len > 0 && (ret = body_compress(codec, buf_slice(&x.plain), out)) != 0)
        (void)err_set(err, ret, NULL);
    buf_release(&x.plain);
    buf_release(&x.row);
    return ret;
}
