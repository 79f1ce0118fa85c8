/* Merging one change onto the record it meets at the city. */
#include "common/ledger/merge.h"

#include <string.h>

uint64_t merge_field_seq(const struct row *row, uint32_t tag)
{
    struct rd r = rd_of(row->seqs);

    while (rd_left(&r) > 0 && !r.bad) {
        uint64_t at = rd_varint(&r);
        uint64_t seq = rd_varint(&r);

        if (at == tag && !r.bad)
            return seq;
    }
    return row->created_seq;
}

/* Whether the author had the standing value before his eyes. Without a pending value of his own he saw
 * the stream up to his cursor. With one, that lay over the stream, wherever the cursor stood: he saw what
 * stands only if the entry that N became holds the field's last word, that is, it was not withheld and
 * nothing changed the field after it. */
static bool saw_standing(const struct merge_history *history, uint64_t last, uint64_t seen,
                         const struct field_change *f)
{
    bool withheld = false;
    uint64_t seq;

    if (f->saw_n == 0)
        return last <= seen;
    seq = history->entry_of(history->ctx, f->saw_n, f->tag, &withheld);
    return seq != 0 && !withheld && last <= seq;
}

static bool conflicts(const struct row *row, const struct change *c,
                      const struct field_change *f, const struct merge_history *history)
{
    uint64_t last = merge_field_seq(row, f->tag);

    if (f->form == FORM_DELTA || value_eq(row_get(row, f->tag), &f->v))
        return false;
    return !saw_standing(history, last, c->seen, f);
}

static int withhold_all(struct arena *a, const struct row *row, const struct change *c,
                        struct merge_result *ret)
{
    ret->withheld = arena_alloc(a, c->n_fields * sizeof *ret->withheld);
    ret->conflicts = arena_zalloc(a, sizeof *ret->conflicts);
    if (ret->withheld == NULL || ret->conflicts == NULL)
        return E_NOMEM;
    for (size_t i = 0; i < c->n_fields; i++)
        ret->withheld[ret->n_withheld++] = c->fields[i].tag;
    ret->conflicts[ret->n_conflicts++] = (struct merge_conflict){
        .base_seq = c->seen, .stands_seq = merge_field_seq(row, TAG_VOIDED)};
    return 0;
}

int merge_change(struct arena *a, const struct row *row, const struct change *c,
                 const struct merge_history *history, struct merge_result *ret, struct err *err)
{
    *ret = (struct merge_result){.n_withheld = 0};
    if (c->op == OP_SET && row_voided(row))
        return withhold_all(a, row, c, ret) == 0 ? 0 : err_set(err, E_NOMEM, NULL);
    ret->withheld = arena_alloc(a, c->n_fields * sizeof *ret->withheld);
    ret->conflicts = arena_alloc(a, c->n_fields * sizeof *ret->conflicts);
    if (ret->withheld == NULL || ret->conflicts == NULL)
        return err_set(err, E_NOMEM, NULL);

    for (size_t i = 0; i < c->n_fields; i++) {
        const struct field_change *f = &c->fields[i];

        if (!conflicts(row, c, f, history))
            continue;
        ret->withheld[ret->n_withheld++] = f->tag;
        ret->conflicts[ret->n_conflicts++] =
            (struct merge_conflict){.tag = f->tag,
                                    .base_seq = c->seen,
                                    .stands_seq = merge_field_seq(row, f->tag)};
    }
    if (ret->n_conflicts > 0 && c->op != OP_SET)
        return err_set(err, E_CONFLICT, NULL);
    return 0;
}

bool merge_unseen(const struct row *row, enum side side, uint64_t seen, const struct id *replica,
                  bool (*is_author)(void *ctx, uint64_t seq, const struct id *replica), void *ctx)
{
    for (unsigned i = 0; i < row->kind->n_own; i++) {
        const struct field *f = &row->kind->fields[i];
        uint64_t last = merge_field_seq(row, f->tag);

        if (f->owner == side && last > seen && !is_author(ctx, last, replica))
            return true;
    }
    return false;
}
