/* Rows of the store as rows of a sheet: numbers and dates as such, everything else as text. */
#include "common/cmd/export.h"

#include "common/base/text.h"
#include "common/catalogue/check.h"
#include "common/sheet/sheet.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define COLUMNS_MAX 256u
#define TEXT_MAX    (8u << 20) /* all texts of a row */

static const uint32_t header_tags[] = {TAG_SERIAL, TAG_STATE, TAG_VOIDED, TAG_VOID_REASON,
                                       TAG_HISTORIC};

struct exporter {
    struct sheet_writer *w;
    struct names *names;
    const struct field *columns[COLUMNS_MAX];
    unsigned n_columns;
    struct buf text;              /* of this row's cells */
    size_t from[COLUMNS_MAX + 1]; /* where each cell's text begins in it */
    struct sheet_cell cells[COLUMNS_MAX + 1];
    size_t n;
    struct err *err;
};

unsigned export_columns(const struct kind *kind, const struct field **ret, unsigned max)
{
    unsigned n = 0;

    for (unsigned i = 0; i < kind->n_own && n < max; i++) {
        const struct field *f = &kind->fields[i];

        if (f->stored && f->type != FT_SECRET)
            ret[n++] = f;
    }
    for (size_t i = 0; i < sizeof header_tags / sizeof header_tags[0] && n < max; i++) {
        const struct field *f = kind_field(kind, header_tags[i]);

        if ((f->tag == TAG_SERIAL && kind->serial_prefix == NULL) ||
            (f->tag == TAG_STATE && kind->states == NULL))
            continue;
        ret[n++] = f;
    }
    return n;
}

/* A site's own value is openable on some computers only, so that every one of them shows the same. */
int export_mask(struct buf *out, const struct field *f, const struct value *v)
{
    if (f->vanish == VANISH_SITE && v->type != V_ERASED)
        buf_str(out, "***");
    else
        (void)check_mask(out, f, v); /* errors stick in OUT */
    return out->ret;
}

/* ---- cells ---- */

static bool number_of(const struct field *f, const struct value *v, double *ret)
{
    if (v->type != V_INT)
        return false;
    switch (f->type) {
    case FT_INT:
    case FT_YEAR:
        *ret = (double)v->i;
        return v->i > -(INT64_C(1) << 53) && v->i < (INT64_C(1) << 53);
    case FT_DECIMAL:
        *ret = (double)v->i / 10;
        return true;
    case FT_MONEY:
        *ret = (double)v->i / 100;
        return true;
    default:
        return false;
    }
}

static bool date_of(const struct field *f, const struct value *v, struct sheet_cell *cell)
{
    if (v->type != V_TEXT)
        return false;
    if (f->type == FT_DATE && cal_parse_date(v->s, &cell->day) == 0) {
        cell->kind = SHEET_DATE;
        return true;
    }
    if (f->type == FT_DATETIME && cal_parse_datetime(v->s, &cell->at) == 0) {
        cell->kind = SHEET_DATETIME;
        return true;
    }
    return false;
}

static int put_refs(struct exporter *x, const struct kind *target, struct slice ids)
{
    for (size_t i = 0; i + ID_SIZE <= ids.len; i += ID_SIZE) {
        struct id id;
        int ret;

        memcpy(id.b, ids.p + i, ID_SIZE);
        if (i > 0)
            buf_str(&x->text, "、");
        ret = names_put(x->names, target, &id, &x->text, x->err);
        if (ret != 0)
            return ret;
    }
    return 0;
}

static int put_text(struct exporter *x, const struct row *row, const struct field *f,
                    const struct value *v)
{
    const struct code *state;

    /* A rid's kind may be another row's; its id is what an import reads back. */
    if ((v->type == V_ID || v->type == V_IDS) && f->type != FT_RID && f->type != FT_FILES)
        return put_refs(x, f->target, v->s);
    if (f->masked) {
        (void)export_mask(&x->text, f, v); /* errors stick in the buffer */
        return 0;
    }
    if (f->tag == TAG_STATE && v->type == V_TEXT) {
        state = code_find(row->kind->states, v->s, false);
        if (state != NULL) {
            buf_str(&x->text, state->label);
            return 0;
        }
    }
    (void)check_format(&x->text, f, v);
    return 0;
}

static int fill_cell(struct exporter *x, unsigned column, const struct row *row)
{
    const struct field *f = x->columns[column];
    const struct value *v = row_get(row, f->tag);
    struct sheet_cell *cell = &x->cells[column];

    *cell = (struct sheet_cell){.kind = SHEET_EMPTY};
    x->from[column] = x->text.len;
    if (value_is_null(v))
        return 0;
    if (!f->masked && number_of(f, v, &cell->number)) {
        cell->kind = SHEET_NUMBER;
        return 0;
    }
    if (!f->masked && date_of(f, v, cell))
        return 0;
    cell->kind = SHEET_TEXT;
    return put_text(x, row, f, v);
}

static int export_row(void *ctx, struct row *row)
{
    struct exporter *x = ctx;
    unsigned last = x->n_columns;
    char id[ID_TEXT_SIZE];

    buf_clear(&x->text);
    for (unsigned c = 0; c < x->n_columns; c++) {
        int ret = fill_cell(x, c, row);

        if (ret != 0)
            return ret;
    }
    x->from[last] = x->text.len;
    if (x->text.ret != 0)
        return err_set(x->err, x->text.ret, NULL);
    /* The buffer no longer moves: texts may be pointed to. */
    for (unsigned c = 0; c < last; c++) {
        if (x->cells[c].kind == SHEET_TEXT)
            x->cells[c].text = (struct slice){x->text.p + x->from[c], x->from[c + 1] - x->from[c]};
    }
    id_format(&row->id, id);
    x->cells[last] = (struct sheet_cell){.kind = SHEET_TEXT, .text = slice_str(id)};
    x->n++;
    return sheet_writer_row(x->w, SHEET_BODY, x->cells, last + 1, x->err);
}

/* ---- around the rows ---- */

static int note(struct exporter *x, enum sheet_style style, const char *a, const char *b)
{
    struct sheet_cell cells[2] = {{.kind = SHEET_TEXT, .text = slice_str(a)},
                                  {.kind = SHEET_TEXT, .text = slice_str(b)}};

    return sheet_writer_row(x->w, style, cells, 2, x->err);
}

static int head(struct exporter *x, const struct export_options *o)
{
    const char *names[COLUMNS_MAX + 1];
    char at[CAL_DATETIME_SIZE];
    int ret = 0;

    if (o->report) {
        cal_format_datetime(o->now, at);
        at[10] = ' ';
        at[19] = '\0';
        ret = sheet_writer_title(x->w, o->kind->label, x->err);
        if (ret == 0)
            ret = note(x, SHEET_NOTE, "填报单位", o->office != NULL ? o->office : "");
        if (ret == 0)
            ret = note(x, SHEET_NOTE, "导出时间", at);
    }
    for (unsigned c = 0; c < x->n_columns; c++)
        names[c] = x->columns[c]->label;
    names[x->n_columns] = SHEET_ID_TITLE;
    return ret != 0 ? ret : sheet_writer_header(x->w, names, x->n_columns + 1, x->err);
}

/* What 学联委 has not confirmed does not count. */
static int put_total(struct exporter *x, struct store *store, const struct export_options *o)
{
    uint64_t unconfirmed = 0;
    char count[96];
    int ret = store_row_count_unconfirmed(store, o->kind, o->filters, o->n_filters, 0, &unconfirmed,
                                          x->err);

    if (ret != 0)
        return ret;
    if (unconfirmed > 0)
        (void)snprintf(count, sizeof count, "%zu 条，另有未确认的历史补录 %zu 条",
                       x->n - (size_t)unconfirmed, (size_t)unconfirmed);
    else
        (void)snprintf(count, sizeof count, "%zu 条", x->n);
    return note(x, SHEET_TOTAL, SHEET_TOTAL_TITLE, count);
}

static int tail(struct exporter *x, struct store *store, const struct export_options *o)
{
    int ret = o->report ? put_total(x, store, o) : 0;

    return ret != 0 ? ret : sheet_writer_finish(x->w, x->err);
}

static double width_of(const struct field *f)
{
    switch (f->type) {
    case FT_LONGTEXT:
        return 40;
    case FT_DATETIME:
        return 19;
    case FT_BOOL:
    case FT_INT:
    case FT_YEAR:
        return 10;
    default:
        return 16;
    }
}

/* A tab's name may not hold these, nor be long: what stands before a bracket is enough. */
static void tab_name(const char *label, char name[64])
{
    size_t n = strcspn(label, "([]:*?/\\");

    n = n < 60 ? n : 60;
    n = text_valid_prefix((const uint8_t *)label, n);
    memcpy(name, label, n);
    name[n] = '\0';
}

static bool ends_with(const char *path, const char *end)
{
    size_t len = strlen(path), n = strlen(end);

    return len > n && strcasecmp(path + len - n, end) == 0;
}

int export_write(const char *path, struct store *store, struct names *names,
                 const struct export_options *o, size_t *ret_n, struct err *err)
{
    struct exporter x = {.names = names, .err = err};
    struct sheet_column widths[COLUMNS_MAX + 1];
    struct sheet_options options = {.format = sheet_format_of(path)};
    char tab[64];
    int ret;

    if (!ends_with(path, ".xlsx") && !ends_with(path, ".csv"))
        return err_set(err, E_USAGE, "文件名应以 .xlsx 或 .csv 结尾：%s", path);
    tab_name(o->kind->label, tab);
    options.name = tab;

    x.n_columns = export_columns(o->kind, x.columns, COLUMNS_MAX - 1);
    for (unsigned c = 0; c < x.n_columns; c++)
        widths[c] = (struct sheet_column){.width = width_of(x.columns[c])};
    widths[x.n_columns] = (struct sheet_column){.width = 36};
    options.columns = widths;
    options.n_columns = x.n_columns + 1;
    ret = sheet_writer_new(path, &options, err, &x.w);
    if (ret != 0)
        return ret;
    buf_init(&x.text, TEXT_MAX);
    ret = head(&x, o);
    if (ret == 0)
        ret = store_row_list(store, o->kind, o->filters, o->n_filters, 0, 0, export_row, &x, err);
    if (ret == 0)
        ret = tail(&x, store, o);
    if (ret == 0)
        *ret_n = x.n;
    buf_release(&x.text);
    sheet_writer_free(x.w);
    return ret;
}
