#include "common/ledger/digest_list.h"

#include "common/base/err.h"

#include <string.h>

static void put_sum(struct buf *out, const struct digest_sum *s)
{
    buf_varint(out, s->count);
    digest_put(out, s->sum);
}

void digest_list_kind(struct buf *out, const struct digest_kind *k)
{
    buf_be32(out, k->kind);
    put_sum(out, &k->of);
}

void digest_list_part(struct buf *out, const struct digest_part *p)
{
    buf_put(out, p->upto.b, ID_SIZE);
    put_sum(out, &p->of);
}

void digest_list_row(struct buf *out, const struct digest_of_row *r)
{
    buf_put(out, r->id.b, ID_SIZE);
    digest_put(out, r->digest);
}

/* ---- reading ---- */

static struct digest_sum take_sum(struct rd *r)
{
    uint64_t count = rd_varint(r);

    return (struct digest_sum){count, digest_take(r)};
}

int digest_list_kinds(struct arena *a, struct slice bytes, struct digest_kind **ret, size_t *ret_n)
{
    struct digest_kind *list = arena_alloc(a, DIGEST_KINDS_MAX * sizeof *list);
    struct rd r = rd_of(bytes);
    size_t n = 0;

    if (list == NULL)
        return E_NOMEM;
    while (rd_left(&r) > 0 && !r.bad && n < DIGEST_KINDS_MAX) {
        list[n].kind = rd_be32(&r);
        list[n].of = take_sum(&r);
        r.bad |= n > 0 && list[n].kind <= list[n - 1].kind;
        n++;
    }
    *ret = list;
    *ret_n = n;
    return rd_done(&r) ? 0 : E_MALFORMED;
}

int digest_list_parts(struct arena *a, struct slice bytes, struct digest_part **ret, size_t *ret_n)
{
    struct digest_part *list = arena_alloc(a, DIGEST_PARTS_MAX * sizeof *list);
    struct rd r = rd_of(bytes);
    size_t n = 0;

    if (list == NULL)
        return E_NOMEM;
    while (rd_left(&r) > 0 && !r.bad && n < DIGEST_PARTS_MAX) {
        list[n].upto = id_take(&r);
        list[n].of = take_sum(&r);
        r.bad |= n > 0 && id_cmp(&list[n].upto, &list[n - 1].upto) <= 0;
        n++;
    }
    *ret = list;
    *ret_n = n;
    return rd_done(&r) ? 0 : E_MALFORMED;
}

int digest_list_rows(struct arena *a, struct slice bytes, struct digest_of_row **ret,
                     size_t *ret_n)
{
    struct digest_of_row *list = arena_alloc(a, DIGEST_ROWS_MAX * sizeof *list);
    struct rd r = rd_of(bytes);
    size_t n = 0;

    if (list == NULL)
        return E_NOMEM;
    while (rd_left(&r) > 0 && !r.bad && n < DIGEST_ROWS_MAX) {
        list[n].id = id_take(&r);
        list[n].digest = digest_take(&r);
        r.bad |= n > 0 && id_cmp(&list[n].id, &list[n - 1].id) <= 0;
        n++;
    }
    *ret = list;
    *ret_n = n;
    return rd_done(&r) ? 0 : E_MALFORMED;
}
