/* The records an act has looked at, as they stand within it. */
#include "common/base/err.h"
#include "server/core/judge_internal.h"

#include <string.h>

static unsigned bucket(const struct id *id)
{
    /* The tail of a UUIDv7 is random. */
    return id->b[ID_SIZE - 1] % HELD_BUCKETS;
}

static struct held *find_held(struct judge *j, const struct id *id)
{
    for (struct held *h = j->held[bucket(id)]; h != NULL; h = h->next) {
        if (id_eq(&h->row->id, id))
            return h;
    }
    return NULL;
}

static struct held *hold(struct judge *j, struct row *row)
{
    struct held *h = arena_zalloc(j->a, sizeof *h);
    unsigned b = bucket(&row->id);

    if (h == NULL)
        return NULL;
    h->row = row;
    h->next = j->held[b];
    j->held[b] = h;
    return h;
}

int rows_get(struct judge *j, const struct kind *kind, const struct id *id, struct row **ret)
{
    struct held *h = find_held(j, id);
    int status;

    *ret = NULL;
    if (h != NULL) {
        if (h->row->kind == kind)
            *ret = h->row;
        return 0;
    }
    status = j->facts->lookup->get(j->facts->lookup->ctx, kind, id, ret);
    if (status != 0 || *ret == NULL)
        return status;
    return hold(j, *ret) != NULL ? 0 : E_NOMEM;
}

int rows_add(struct judge *j, struct row *row)
{
    struct held *h = hold(j, row);

    if (h == NULL)
        return E_NOMEM;
    h->dirty = true;
    j->n_dirty++;
    return 0;
}

void rows_touch(struct judge *j, const struct row *row, const struct row *before)
{
    struct held *h = find_held(j, &row->id);

    if (h != NULL && !h->dirty) {
        h->dirty = true;
        h->before = before;
        j->n_dirty++;
    }
}

int rows_collect(struct judge *j)
{
    j->out->rows = arena_alloc(j->a, (j->n_dirty + 1) * sizeof(struct row *));
    j->out->before = arena_alloc(j->a, (j->n_dirty + 1) * sizeof(const struct row *));
    if (j->out->rows == NULL || j->out->before == NULL)
        return E_NOMEM;
    for (unsigned b = 0; b < HELD_BUCKETS; b++) {
        for (struct held *h = j->held[b]; h != NULL; h = h->next) {
            if (!h->dirty)
                continue;
            j->out->before[j->out->n_rows] = h->before;
            j->out->rows[j->out->n_rows++] = h->row;
        }
    }
    return 0;
}

/* ---- lookup over what is held ---- */

static int overlay_get(void *ctx, const struct kind *kind, const struct id *id,
                       struct row **ret_row)
{
    return rows_get(ctx, kind, id, ret_row);
}

struct overlay_find {
    struct judge *j;
    uint32_t tag;
    const struct value *v;
    lookup_row_cb cb;
    void *ctx;
};

static bool fits(const struct overlay_find *f, const struct row *row)
{
    return !row_voided(row) && value_eq(row_get(row, f->tag), f->v);
}

static int overlay_stored(void *ctx, struct row *row)
{
    struct overlay_find *f = ctx;
    struct held *h = find_held(f->j, &row->id);

    if (h == NULL) {
        h = hold(f->j, row);
        if (h == NULL)
            return E_NOMEM;
    }
    if (h->dirty) /* comes with the others of the act, below */
        return 0;
    return f->cb(f->ctx, h->row);
}

static int overlay_find(void *ctx, const struct kind *kind, uint32_t tag, const struct value *v,
                        lookup_row_cb cb, void *cb_ctx)
{
    struct judge *j = ctx;
    struct overlay_find f = {.j = j, .tag = tag, .v = v, .cb = cb, .ctx = cb_ctx};
    int ret = j->facts->lookup->find(j->facts->lookup->ctx, kind, tag, v, overlay_stored, &f);

    for (unsigned b = 0; ret == 0 && j->n_dirty > 0 && b < HELD_BUCKETS; b++) {
        for (struct held *h = j->held[b]; ret == 0 && h != NULL; h = h->next) {
            if (h->dirty && h->row->kind == kind && fits(&f, h->row))
                ret = cb(cb_ctx, h->row);
        }
    }
    return ret;
}

void rows_init(struct judge *j)
{
    j->lookup = (struct lookup){.get = overlay_get, .find = overlay_find, .ctx = j};
}
