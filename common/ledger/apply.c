/* An entry onto a row: what is withheld stays out, what the city derived comes in, the rest is the
 * author's. */
#include "common/ledger/apply.h"

#include "common/base/err.h"

#include <string.h>

/* Bound of a row's unknown fields and of its packed seqs. */
#define PACKED_MAX (1u << 20)

static int keep(struct arena *a, struct buf *b, struct slice *ret)
{
    uint8_t *copy = b->ret == 0 ? arena_dup(a, b->p, b->len) : NULL;

    if (copy != NULL)
        *ret = (struct slice){copy, b->len};
    buf_release(b);
    return copy != NULL ? 0 : E_NOMEM;
}

/* Replace TAG's item in an ascending pack of (tag varint, rest), where SKIP reads the rest. */
static int pack_put(struct arena *a, struct slice *pack, uint32_t tag, struct slice item,
                    void (*skip)(struct rd *r))
{
    struct rd r = rd_of(*pack);
    struct buf b;
    bool done = false;

    buf_init(&b, PACKED_MAX);
    while (rd_left(&r) > 0 && !r.bad) {
        const uint8_t *from = r.p;
        uint64_t at = rd_varint(&r);

        skip(&r);
        if (at >= tag && !done) {
            buf_varint(&b, tag);
            buf_put(&b, item.p, item.len);
            done = true;
        }
        if (at != tag)
            buf_put(&b, from, (size_t)(r.p - from));
    }
    if (!done) {
        buf_varint(&b, tag);
        buf_put(&b, item.p, item.len);
    }
    return keep(a, &b, pack);
}

static void skip_varint(struct rd *r)
{
    (void)rd_varint(r);
}

static void skip_value(struct rd *r)
{
    (void)value_decode(r);
}

static int put_seq(struct arena *a, struct row *row, uint32_t tag, uint64_t seq)
{
    struct buf b;
    int ret;

    buf_init(&b, 16);
    buf_varint(&b, seq);
    ret = b.ret != 0 ? b.ret : pack_put(a, &row->seqs, tag, buf_slice(&b), skip_varint);
    buf_release(&b);
    return ret;
}

static int put_unknown(struct arena *a, struct row *row, uint32_t tag, const struct value *v)
{
    struct buf b;
    int ret;

    buf_init(&b, PACKED_MAX);
    value_encode(&b, v);
    ret = b.ret != 0 ? b.ret : pack_put(a, &row->unknown, tag, buf_slice(&b), skip_value);
    buf_release(&b);
    return ret;
}

/* Put one value; a value equal to what stands moves no seq. */
static int put_value(struct arena *a, struct row *row, uint32_t tag, const struct value *v,
                     uint64_t seq, bool track)
{
    if (kind_field(row->kind, tag) == NULL)
        return put_unknown(a, row, tag, v);
    if (track && row->created_seq != seq && !value_eq(row_get(row, tag), v)) {
        int ret = put_seq(a, row, tag, seq);

        if (ret != 0)
            return ret;
    }
    row_put(row, tag, *v);
    return 0;
}

/* What stands under a tag, whether this catalogue knows it or not. */
static struct value standing(const struct row *row, uint32_t tag)
{
    struct rd r = rd_of(row->unknown);

    if (kind_field(row->kind, tag) != NULL)
        return *row_get(row, tag);
    while (rd_left(&r) > 0 && !r.bad) {
        uint64_t at = rd_varint(&r);
        struct value v = value_decode(&r);

        if (at == tag && !r.bad)
            return v;
    }
    return value_null();
}

static int apply_field(struct arena *a, struct row *row, const struct field_change *f,
                       uint64_t seq, bool track)
{
    struct value v = f->v;
    struct value old;
    int ret;

    if (f->form == FORM_DELTA) {
        old = standing(row, f->tag);
        ret = value_set_apply(a, &old, &f->v, &f->del, &v);
        if (ret == E_INVALID) /* the standing value is of another type: the added elements stay */
            v = f->v;
        else if (ret != 0)
            return ret;
    }
    return put_value(a, row, f->tag, &v, seq, track);
}

static int apply_state(struct arena *a, struct row *row, const struct change *c, uint64_t seq,
                       bool track)
{
    struct value v = c->to.len > 0 ? value_text(c->to) : value_null();

    if (c->op != OP_CREATE && c->op != OP_TRANSITION)
        return 0;
    return put_value(a, row, TAG_STATE, &v, seq, track);
}

static void apply_stamp(struct row *row, const struct change *c, uint64_t seq)
{
    if (c->op == OP_CREATE) {
        row->stream = c->stream;
        row->created_seq = seq;
        row->created_at = c->made_at;
        row->created_by = c->actor;
        row->exists = true;
    }
    row->updated_at = c->made_at;
    row->updated_by = c->actor;
    if (seq != 0)
        row->seq = seq;
}

int apply_entry(struct arena *a, struct row *row, const struct change *c, const struct verdict *v,
                uint64_t seq, bool track)
{
    int ret;

    apply_stamp(row, c, seq);
    ret = apply_state(a, row, c, seq, track);
    for (size_t i = 0; ret == 0 && i < c->n_fields; i++) {
        if (!verdict_withholds(v, c->fields[i].tag))
            ret = apply_field(a, row, &c->fields[i], seq, track);
    }
    for (size_t i = 0; ret == 0 && i < v->n_derived; i++)
        ret = put_value(a, row, v->derived[i].tag, &v->derived[i].v, seq, track);
    return ret;
}

int apply_pending(struct arena *a, struct row *row, const struct change *c)
{
    static const struct verdict nothing;
    int ret;

    ret = apply_entry(a, row, c, &nothing, 0, false);
    row->pending = true;
    return ret;
}
