/* Reading other records by catalogue names. */
#include "common/catalogue/lookup.h"

#include <assert.h>
#include <string.h>

#include "common/base/err.h"

int lookup_get(const struct lookup *l, const char *kind, const struct id *id,
               struct row **ret_row)
{
    const struct kind *k = catalogue_kind_named(kind);

    assert(k != NULL);
    return l->get(l->ctx, k, id, ret_row);
}

int lookup_ref(const struct lookup *l, const struct row *row, const char *name,
               struct row **ret_row)
{
    const struct field *f = kind_field_named(row->kind, name);
    struct id id;

    assert(f != NULL && f->target != NULL);
    if (!row_id(row, name, &id)) {
        *ret_row = NULL;
        return 0;
    }
    return l->get(l->ctx, f->target, &id, ret_row);
}

/* Rows gathered into an array that doubles in the arena. */
struct gather {
    struct arena *a;
    struct row **rows;
    size_t n, cap;
};

static int gather_row(void *ctx, struct row *row)
{
    struct gather *g = ctx;

    if (g->n == g->cap) {
        size_t cap = g->cap == 0 ? 8 : g->cap * 2;
        struct row **rows = arena_alloc(g->a, cap * sizeof(struct row *));
        if (rows == NULL) {
            return E_NOMEM;
        }
        if (g->n > 0) {
            memcpy(rows, g->rows, g->n * sizeof(struct row *));
        }
        g->rows = rows;
        g->cap = cap;
    }
    g->rows[g->n++] = row;
    return 0;
}

int lookup_find(const struct lookup *l, struct arena *a, const char *kind, const char *field,
                const struct value *v, struct row ***ret_rows, size_t *ret_n)
{
    const struct kind *k = catalogue_kind_named(kind);
    struct gather g = {.a = a};

    assert(k != NULL);
    const struct field *f = kind_field_named(k, field);
    assert(f != NULL && f->indexed);
    int ret = l->find(l->ctx, k, f->tag, v, gather_row, &g);
    if (ret != 0) {
        return ret;
    }
    *ret_rows = g.rows;
    *ret_n = g.n;
    return 0;
}
