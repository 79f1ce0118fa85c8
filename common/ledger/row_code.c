/* Two ascending lists become one when a row is written, and are told apart when it is read. */
#include "common/ledger/row_code.h"

#include "common/base/err.h"

#include <string.h>

/* ---- writing ---- */

/* The next item of a row's pack of unknown fields that is not null. */
struct unknown {
    struct rd r;
    bool at_end;
    uint64_t tag;
    struct slice value;
};

static void unknown_next(struct unknown *u)
{
    for (;;) {
        const uint8_t *from;
        struct value v;

        u->at_end = rd_left(&u->r) == 0 || u->r.bad;
        if (u->at_end)
            return;
        u->tag = rd_varint(&u->r);
        from = u->r.p;
        v = value_decode(&u->r);
        if (!u->r.bad && !value_is_null(&v)) {
            u->value = (struct slice){from, (size_t)(u->r.p - from)};
            return;
        }
    }
}

static size_t put_unknown(struct buf *out, struct unknown *u)
{
    buf_varint(out, u->tag);
    buf_put(out, u->value.p, u->value.len);
    unknown_next(u);
    return 1;
}

/* Returns how many. A field that came while it was unknown may stand in both lists once the catalogue
 * has it: its column is the younger. */
static size_t put_values(struct buf *out, const struct row *row)
{
    struct unknown u = {.r = rd_of(row->unknown)};
    size_t n = 0;

    unknown_next(&u);
    for (unsigned i = 0; i < row->kind->n_fields; i++) {
        const struct field *f = &row->kind->fields[i];

        if (!f->stored || value_is_null(&row->values[i]))
            continue;
        while (!u.at_end && u.tag < f->tag)
            n += put_unknown(out, &u);
        if (!u.at_end && u.tag == f->tag)
            unknown_next(&u);
        buf_varint(out, f->tag);
        value_encode(out, &row->values[i]);
        n++;
    }
    while (!u.at_end)
        n += put_unknown(out, &u);
    if (u.r.bad && out->ret == 0)
        out->ret = E_CORRUPT;
    return n;
}

/* The bytes from FROM on move up to make room for their count. */
static void insert_count(struct buf *out, size_t from, size_t count)
{
    size_t before = out->len;
    uint8_t bytes[10];
    size_t len;

    buf_varint(out, count);
    if (out->ret != 0)
        return;
    len = out->len - before;
    memcpy(bytes, out->p + before, len);
    memmove(out->p + from + len, out->p + from, before - from);
    memcpy(out->p + from, bytes, len);
}

void row_encode(struct buf *out, const struct row *row)
{
    size_t from;

    buf_u8(out, ROW_FORMAT);
    buf_varint(out, row->kind->tag);
    buf_put(out, row->id.b, ID_SIZE);
    buf_varint(out, row->stream);
    buf_varint(out, row->created_seq);
    buf_varint(out, row->seq);
    buf_varint(out, row->created_at);
    buf_put(out, row->created_by.b, ID_SIZE);
    buf_varint(out, row->updated_at);
    buf_put(out, row->updated_by.b, ID_SIZE);
    from = out->len;
    insert_count(out, from, put_values(out, row));
}

/* ---- reading ---- */

static uint32_t take_u32(struct rd *r)
{
    uint64_t v = rd_varint(r);

    r->bad |= v > UINT32_MAX;
    return (uint32_t)v;
}

/* As in the log's keys. */
static uint64_t take_seq(struct rd *r)
{
    uint64_t v = rd_varint(r);

    r->bad |= v >= 1ull << 40;
    return v;
}

static void take_stamp(struct rd *r, struct row *row)
{
    row->exists = true;
    row->stream = take_u32(r);
    row->created_seq = take_seq(r);
    row->seq = take_seq(r);
    row->created_at = rd_varint(r);
    row->created_by = id_take(r);
    row->updated_at = rd_varint(r);
    row->updated_by = id_take(r);
}

/* The values in place, what the catalogue does not know appended to UNKNOWN as it stands. */
static void take_values(struct rd *r, struct row *row, struct buf *unknown)
{
    uint64_t count = rd_varint(r);
    uint64_t last = 0;

    r->bad |= count > ROW_FIELDS_MAX;
    for (uint64_t i = 0; i < count && !r->bad; i++) {
        const uint8_t *from = r->p;
        uint32_t tag = take_u32(r);
        struct value v = value_decode(r);
        const struct field *f = kind_field(row->kind, tag);

        r->bad |= (i > 0 && tag <= last) || value_is_null(&v);
        last = tag;
        if (r->bad)
            return;
        if (f != NULL && f->stored)
            row_put(row, tag, v);
        else
            buf_put(unknown, from, (size_t)(r->p - from));
    }
}

static int keep_unknown(struct arena *a, const struct buf *unknown, struct row *row)
{
    if (unknown->ret != 0)
        return E_NOMEM;
    if (unknown->len == 0)
        return 0;
    row->unknown = (struct slice){arena_dup(a, unknown->p, unknown->len), unknown->len};
    return row->unknown.p != NULL ? 0 : E_NOMEM;
}

static int take_row(struct arena *a, struct rd *r, const struct kind *kind, struct row **ret)
{
    struct id id = id_take(r);
    struct row *row = row_new(a, kind, &id);
    struct buf unknown;
    int status;

    if (row == NULL)
        return E_NOMEM;
    buf_init(&unknown, rd_left(r));
    take_stamp(r, row);
    take_values(r, row, &unknown);
    status = rd_done(r) ? keep_unknown(a, &unknown, row) : E_MALFORMED;
    buf_release(&unknown);
    if (status == 0)
        *ret = row;
    return status;
}

int row_decode(struct arena *a, struct slice bytes, struct row **ret_row)
{
    struct rd r = rd_of(bytes);
    uint8_t format = rd_u8(&r);
    uint32_t tag = take_u32(&r);
    const struct kind *kind = catalogue_kind(tag);

    if (r.bad || format != ROW_FORMAT)
        return E_MALFORMED;
    if (kind == NULL || kind->stream == STREAM_RULE_NONE)
        return E_VERSION;
    return take_row(a, &r, kind, ret_row);
}
