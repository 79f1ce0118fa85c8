#include "common/sheet/rows.h"

#include <stdarg.h>
#include <stdio.h>

void sheet_rows_init(struct rows *r, const struct sheet_limits *limits, sheet_row_cb cb, void *ctx,
               struct err *err)
{
    *r = (struct rows){.limits = limits, .cb = cb, .ctx = ctx, .err = err};
    /* A cell that comes twice in a row leaves its first text behind, hence one more. */
    buf_init(&r->text, limits->cell_bytes * (limits->columns + 1));
}

void sheet_rows_release(struct rows *r)
{
    buf_release(&r->text);
}

int rows_blame(struct rows *r, int ret, const char *fmt, ...)
{
    char text[ERR_TEXT_MAX / 2];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (r->sheet == NULL)
        return err_set(r->err, ret, "第 %u 行：%s", r->number == 0 ? 1 : (unsigned)r->number, text);
    if (r->number == 0)
        return err_set(r->err, ret, "工作表“%s”：%s", r->sheet, text);
    return err_set(r->err, ret, "工作表“%s”第 %u 行：%s", r->sheet, (unsigned)r->number, text);
}

int rows_begin(struct rows *r, uint32_t number)
{
    r->number = number;
    r->n_cells = 0;
    buf_clear(&r->text);
    if (number > r->limits->rows)
        return rows_blame(r, E_TOOBIG, "行数超过上限 %u", (unsigned)r->limits->rows);
    return 0;
}

void rows_cell_begin(struct rows *r)
{
    r->cell_start = r->text.len;
}

int rows_cell_put(struct rows *r, const void *p, size_t len)
{
    if (len > r->limits->cell_bytes || r->text.len - r->cell_start > r->limits->cell_bytes - len)
        return rows_blame(r, E_TOOBIG, "单元格内容超过上限 %zu 字节", r->limits->cell_bytes);
    buf_put(&r->text, p, len);
    if (r->text.ret != 0)
        return rows_blame(r, r->text.ret, "%s", err_text(r->text.ret));
    return 0;
}

struct slice rows_cell_text(const struct rows *r)
{
    static const uint8_t nothing;

    if (r->text.len == r->cell_start)
        return (struct slice){&nothing, 0};
    return (struct slice){r->text.p + r->cell_start, r->text.len - r->cell_start};
}

/* The span of COLUMN, with the columns skipped before it made empty; NULL beyond the limit, which
 * has then been blamed. */
static struct row_span *span_of(struct rows *r, unsigned column)
{
    if (column >= r->limits->columns || column >= SHEET_COLUMNS_MAX) {
        (void)rows_blame(r, E_TOOBIG, "列数超过上限 %u", r->limits->columns);
        return NULL;
    }
    while (r->n_cells <= column)
        r->spans[r->n_cells++] = (struct row_span){0};
    return &r->spans[column];
}

int rows_cell_end(struct rows *r, unsigned column)
{
    size_t len = r->text.len - r->cell_start;
    struct row_span *span;

    if (len == 0)
        return 0;
    span = span_of(r, column);
    if (span == NULL)
        return E_TOOBIG;
    *span = (struct row_span){NULL, r->cell_start, len};
    return 0;
}

int rows_cell_borrow(struct rows *r, unsigned column, struct slice text)
{
    struct row_span *span;

    if (text.len == 0)
        return 0;
    span = span_of(r, column);
    if (span == NULL)
        return E_TOOBIG;
    *span = (struct row_span){text.p, 0, text.len};
    return 0;
}

int rows_end(struct rows *r)
{
    static const uint8_t nothing;
    struct sheet_row row = {.number = r->number, .n_cells = r->n_cells, .cells = r->cells};
    int ret;

    if (r->n_cells == 0)
        return 0;
    for (unsigned i = 0; i < r->n_cells; i++) {
        const struct row_span *s = &r->spans[i];
        const uint8_t *p = &nothing;

        if (s->len > 0)
            p = s->elsewhere != NULL ? s->elsewhere : r->text.p + s->offset;
        r->cells[i] = (struct slice){p, s->len};
    }
    ret = r->cb(r->ctx, &row, r->err);
    r->from_cb = ret != 0;
    return ret;
}
