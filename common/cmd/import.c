/* From a sheet to changes.
 *
 *   pass 1  the first rows: which of them is the header, and what each column holds
 *   pass 2  every row below it: cells -> values -> the fields that differ -> the callback
 *
 * Every bad cell is noted and the reading goes on, so that one run lists all that must be corrected. */
#include "common/cmd/import.h"

#include "common/base/text.h"
#include "common/catalogue/check.h"
#include "common/cmd/export.h"
#include "common/cmd/width.h"
#include "common/sheet/sheet.h"

#include <string.h>

#define HEADER_ROWS 30u /* the header stands among the first rows with content */
#define ROW_MEMORY  (16u << 20)
#define REPORT_MAX  (4u << 20)
#define SETUP_MAX   (4u << 20)
#define TITLE_MAX   256u
#define MASK_MAX    (1u << 20)
#define TOTAL_CELLS 4u

enum column_kind { COLUMN_NONE, COLUMN_FIELD, COLUMN_ID };

struct column {
    enum column_kind kind;
    const struct field *field;
    const char *title;
};

/* A constant given with --set. */
struct constant {
    const struct field *field;
    struct value v;
    bool has_column;
};

struct importer {
    const struct import_options *o;
    struct names *names;
    struct import_report *report;
    int (*row_cb)(void *ctx, const struct import_row *row, struct err *err);
    void *ctx;

    struct arena setup; /* columns and constants */
    struct arena a;     /* one row */
    struct column columns[SHEET_COLUMNS_MAX];
    unsigned n_columns;
    uint32_t header_row; /* 0 while none was found */
    unsigned header_score, rows_seen;
    struct constant *constants;
    size_t n_constants;
    struct buf mask;

    uint32_t number; /* the row in hand */
    bool bad;        /* it has a problem */
};

/* ---- problems ---- */

void import_report_init(struct import_report *r)
{
    memset(r, 0, sizeof *r);
    arena_init(&r->arena, REPORT_MAX);
    r->ignored = "";
}

void import_report_release(struct import_report *r)
{
    arena_release(&r->arena);
}

void import_problem_put(struct buf *out, const struct import_problem *p)
{
    buf_printf(out, "第%u行 %s%s%s", p->row, p->column, p->column[0] != '\0' ? " " : "", p->reason);
}

void import_ignored_put(struct buf *out, const struct import_report *r)
{
    if (r->ignored[0] == '\0')
        return;
    buf_str(out, "未识别的列（没有取用）：");
    text_plain(out, slice_str(r->ignored), false);
    buf_str(out, "；用 --map 列名=字段 指明，或用 --map 列名= 表示不要\n");
}

/* Where memory for texts ends, problems are only counted. */
static void problem(struct importer *im, const char *column, const char *reason)
{
    struct import_report *r = im->report;
    const char *c, *text;

    im->bad = true;
    r->n_problems++;
    if (r->problems == NULL)
        r->problems = arena_alloc(&r->arena, IMPORT_PROBLEMS_KEPT * sizeof *r->problems);
    if (r->problems == NULL || r->n_kept == IMPORT_PROBLEMS_KEPT)
        return;
    c = arena_strndup(&r->arena, column, strlen(column));
    text = arena_strndup(&r->arena, reason, strlen(reason));
    if (c != NULL && text != NULL)
        r->problems[r->n_kept++] =
            (struct import_problem){.row = im->number, .column = c, .reason = text};
}

/* What a rule says of a row is the row's problem; what hinders the work is not. */
static bool is_rows_fault(int ret)
{
    switch (ret) {
    case E_INVALID:
    case E_STATE:
    case E_GUARD:
    case E_GUARD_LATER:
    case E_OWNER:
    case E_ROLE:
    case E_PARENT:
    case E_CONFLICT:
    case E_EXISTS:
    case E_NOTFOUND:
    case E_DENIED:
    case E_TOOBIG:
    case E_MALFORMED:
        return true;
    default:
        return false;
    }
}

/* ---- columns ---- */

/* A title as it is compared: without blanks, line breaks, and the marks that templates add. */
static const char *clean_title(struct arena *a, struct slice cell)
{
    struct buf b;
    char *copy;
    size_t at = 0;
    uint32_t c;

    buf_init(&b, TITLE_MAX);
    while ((c = text_next(cell, &at)) != 0) {
        if (!text_is_blank(c) && c != '*')
            text_put(&b, c);
    }
    copy = arena_strndup(a, b.p, b.ret == 0 ? b.len : 0);
    buf_release(&b);
    return copy;
}

static bool title_is(struct arena *a, const char *title, const char *name)
{
    const char *clean = clean_title(a, slice_str(name));

    return clean != NULL && strcmp(clean, title) == 0;
}

static bool is_importable(const struct field *f)
{
    return f->stored && f->type != FT_SECRET && f->tag != TAG_SITE;
}

/* Titles that --map names: true when it does. The field may be none. */
static bool mapped(struct importer *im, const char *title, const struct field **ret)
{
    for (size_t i = 0; i < im->o->n_map; i++) {
        const struct pair *m = &im->o->map[i];
        char *name;

        if (!title_is(&im->setup, title, m->name))
            continue;
        name = arena_strndup(&im->setup, m->value.p, m->value.len);
        *ret = name != NULL && name[0] != '\0' ? kind_field_named(im->o->kind, name) : NULL;
        return true;
    }
    return false;
}

static const struct field *field_titled(struct importer *im, const char *title, bool aliases)
{
    const struct kind *kind = im->o->kind;

    for (unsigned i = 0; i < kind->n_fields; i++) {
        const struct field *f = &kind->fields[i];

        if (!is_importable(f))
            continue;
        if (!aliases && (title_is(&im->setup, title, f->label) || strcmp(title, f->name) == 0))
            return f;
        for (size_t k = 0; aliases && f->aliases != NULL && f->aliases[k] != NULL; k++) {
            if (title_is(&im->setup, title, f->aliases[k]))
                return f;
        }
    }
    return NULL;
}

static bool taken(const struct column *columns, unsigned n, const struct field *f)
{
    for (unsigned i = 0; i < n; i++) {
        if (columns[i].kind == COLUMN_FIELD && columns[i].field == f)
            return true;
    }
    return false;
}

/* What each column of a row would be, if it were the header. Exact titles come before aliases, so that
 * 电话 beside 反映人电话 stays free. Returns how many columns have a meaning. */
static unsigned read_titles(struct importer *im, const struct sheet_row *row,
                            struct column *columns)
{
    unsigned score = 0;

    for (int pass = 0; pass < 3; pass++) {
        for (unsigned i = 0; i < row->n_cells; i++) {
            struct column *c = &columns[i];
            const struct field *f = NULL;
            bool by_map;

            if (pass == 0)
                *c = (struct column){.title = clean_title(&im->setup, row->cells[i])};
            if (c->kind != COLUMN_NONE || c->title == NULL || c->title[0] == '\0')
                continue;
            by_map = mapped(im, c->title, &f);
            if (pass == 0 && !by_map && strcmp(c->title, SHEET_ID_TITLE) == 0)
                c->kind = COLUMN_ID;
            else if (by_map != (pass == 0))
                continue;
            else if (pass > 0)
                f = field_titled(im, c->title, pass == 2);
            if (f != NULL && !taken(columns, row->n_cells, f))
                *c = (struct column){.kind = COLUMN_FIELD, .field = f, .title = c->title};
            score += c->kind != COLUMN_NONE || by_map;
        }
    }
    return score;
}

static int find_header(void *ctx, const struct sheet_row *row, struct err *err)
{
    struct importer *im = ctx;
    struct column columns[SHEET_COLUMNS_MAX] = {{COLUMN_NONE, NULL, NULL}};
    unsigned score = read_titles(im, row, columns);

    (void)err;
    if (score > im->header_score) {
        memcpy(im->columns, columns, sizeof columns);
        im->n_columns = row->n_cells;
        im->header_row = row->number;
        im->header_score = score;
    }
    return ++im->rows_seen < HEADER_ROWS ? 0 : SHEET_STOP;
}

/* Every --map names a column of the header and a field that a sheet may fill, once. */
static int check_map(struct importer *im, struct err *err)
{
    for (size_t i = 0; i < im->o->n_map; i++) {
        const struct pair *m = &im->o->map[i];
        const struct field *f = NULL;
        const char *title = clean_title(&im->setup, slice_str(m->name));
        unsigned at = 0;

        if (title == NULL)
            return err_set(err, E_NOMEM, NULL);
        while (at < im->n_columns &&
               (im->columns[at].title == NULL || strcmp(im->columns[at].title, title) != 0))
            at++;
        if (at == im->n_columns)
            return err_set(err, E_USAGE, "表中没有列“%s”", m->name);
        if (m->value.len == 0)
            continue;
        (void)mapped(im, title, &f);
        if (f == NULL || !is_importable(f))
            return err_set(err, E_USAGE, "%s没有可导入的字段“%.*s”", im->o->kind->label,
                           (int)m->value.len, (const char *)m->value.p);
        if (im->columns[at].field != f)
            return err_set(err, E_USAGE, "有两列都对应字段“%s”", f->label);
    }
    return 0;
}

static void list_ignored(struct importer *im)
{
    struct buf b;
    char *text;

    buf_init(&b, SHEET_COLUMNS_MAX * TITLE_MAX);
    for (unsigned i = 0; i < im->n_columns; i++) {
        const struct column *c = &im->columns[i];
        const struct field *f;

        if (c->kind == COLUMN_NONE && c->title != NULL && c->title[0] != '\0' &&
            !mapped(im, c->title, &f)) /* a column that was left out on purpose is no news */
            buf_printf(&b, "%s%s", b.len > 0 ? "、" : "", c->title);
    }
    text = arena_strndup(&im->report->arena, b.p, b.len);
    im->report->ignored = text != NULL ? text : "";
    buf_release(&b);
}

static int find_columns(struct importer *im, struct err *err)
{
    int ret = sheet_read(im->o->path, NULL, find_header, im, err);

    if (ret != 0)
        return ret;
    if (im->header_row == 0)
        return err_set(err, E_INVALID,
                       "表中没有找到表头：没有一列的名称是%s的字段，可用 --map 指明",
                       im->o->kind->label);
    ret = check_map(im, err);
    if (ret == 0)
        list_ignored(im);
    return ret;
}

static int parse_constants(struct importer *im, struct err *err)
{
    const struct import_options *o = im->o;

    im->constants = arena_zalloc(&im->setup, (o->n_set + 1) * sizeof *im->constants);
    if (im->constants == NULL)
        return err_set(err, E_NOMEM, NULL);
    for (size_t i = 0; i < o->n_set; i++) {
        struct constant *c = &im->constants[i];
        int ret;

        c->field = kind_field_named(o->kind, o->set[i].name);
        if (c->field == NULL || !is_importable(c->field))
            return err_set(err, E_USAGE, "%s没有可导入的字段“%s”", o->kind->label, o->set[i].name);
        for (size_t k = 0; k < i; k++) {
            if (im->constants[k].field == c->field)
                return err_set(err, E_USAGE, "--set 的字段“%s”写了不止一次", c->field->label);
        }
        ret = names_parse(im->names, &im->setup, o->kind, c->field, o->set[i].value, &c->v, err);
        if (ret != 0)
            return ret == E_INVALID ? err_wrap(err, E_USAGE, "--set %s", o->set[i].name) : ret;
        c->has_column = taken(im->columns, im->n_columns, c->field);
        im->n_constants++;
    }
    return 0;
}

/* ---- a row ---- */

static struct slice cell_of(const struct sheet_row *row, unsigned column)
{
    return column < row->n_cells ? text_trim(row->cells[column]) : (struct slice){NULL, 0};
}

static bool is_masked_text(const struct field *f, struct slice cell)
{
    return f->masked && cell.len > 0 && memchr(cell.p, '*', cell.len) != NULL;
}

/* The cell still shows the mask that was exported. */
static bool shows_mask(struct importer *im, const struct row *before, const struct field *f,
                       struct slice cell)
{
    const struct value *v = row_get(before, f->tag);

    if (slice_eq(cell, slice_str("***")))
        return true;
    buf_clear(&im->mask);
    if (value_is_null(v) || export_mask(&im->mask, f, v) != 0)
        return false;
    return slice_eq(cell, buf_slice(&im->mask));
}

/* A field that only the system fills: it may stand in the sheet as it is, and not otherwise. */
static const char *header_refusal(const struct importer *im, const struct row *before,
                                  const struct field *f, const struct value *v)
{
    static const struct value no = {.type = V_INT, .i = 0};
    const struct value *old;

    if (f->tag < TAG_SITE)
        return NULL;
    if (before != NULL) {
        old = row_get(before, f->tag);
        if (value_eq(old, v) || (value_is_null(old) && value_eq(v, &no)) ||
            (value_is_null(v) && value_eq(old, &no)))
            return NULL;
        return f->tag == TAG_STATE ? "状态由办理动作改变，不能由导入修改"
                                   : "由系统填写，不能由导入修改";
    }
    if (value_is_null(v) || value_eq(v, &no) || (f->tag == TAG_STATE && im->o->historic) ||
        (f->tag == TAG_HISTORIC && im->o->historic))
        return NULL;
    if (f->tag == TAG_STATE)
        return "新记录的状态只在补录（--historic）时填写";
    if (f->tag == TAG_SERIAL)
        return "编号由系统编定，新记录请留空";
    return "新记录请留空";
}

/* One field of the row. NULL when it has nothing to say. */
static int take_value(struct importer *im, struct edit *e, struct import_row *out,
                      const struct field *f, struct value v, const char *title, struct err *err)
{
    const char *refusal = header_refusal(im, out->before, f, &v);

    if (refusal != NULL) {
        problem(im, title, refusal);
        return 0;
    }
    if (f->tag == TAG_STATE && out->before == NULL && v.type == V_TEXT)
        out->state = v.s;
    if (f->tag >= TAG_SITE)
        return 0;
    return edit_put(e, &im->a, out->before, f, v, err);
}

/* Sentences name their field; in a list of problems the column has said it already. */
static const char *without_label(const char *reason, const struct field *f)
{
    static const char open[] = "“", close[] = "”", colon[] = "：";
    size_t label = strlen(f->label);

    if (strncmp(reason, open, sizeof open - 1) != 0 ||
        strncmp(reason + sizeof open - 1, f->label, label) != 0 ||
        strncmp(reason + sizeof open - 1 + label, close, sizeof close - 1) != 0)
        return reason;
    reason += sizeof open - 1 + label + sizeof close - 1;
    return strncmp(reason, colon, sizeof colon - 1) == 0 ? reason + sizeof colon - 1 : reason;
}

static int take_cell(struct importer *im, struct edit *e, struct import_row *out,
                     const struct column *c, struct slice cell, struct err *err)
{
    struct err why = {.ret = 0};
    struct value v = value_null();
    int ret;

    if (is_masked_text(c->field, cell)) {
        if (out->before == NULL || !shows_mask(im, out->before, c->field, cell))
            problem(im, c->title, "是脱敏后的内容，请填写原文");
        return 0;
    }
    ret = names_parse(im->names, &im->a, im->o->kind, c->field, cell, &v, &why);
    if (ret == 0)
        ret = check_value(c->field, &v, &why);
    if (ret != 0 && is_rows_fault(ret)) {
        problem(im, c->title,
                why.text[0] != '\0' ? without_label(why.text, c->field) : err_text(ret));
        return 0;
    }
    if (ret != 0)
        return err_set(err, ret, "%s", why.text[0] != '\0' ? why.text : err_text(ret));
    return take_value(im, e, out, c->field, v, c->title, err);
}

static const struct constant *constant_of(const struct importer *im, const struct field *f)
{
    for (size_t i = 0; i < im->n_constants; i++) {
        if (im->constants[i].field == f)
            return &im->constants[i];
    }
    return NULL;
}

static int take_cells(struct importer *im, const struct sheet_row *row, struct edit *e,
                      struct import_row *out, struct err *err)
{
    int ret = 0;

    for (unsigned i = 0; ret == 0 && i < im->n_columns; i++) {
        const struct column *c = &im->columns[i];
        struct slice cell = cell_of(row, i);
        const struct constant *k;

        if (c->kind != COLUMN_FIELD)
            continue;
        k = cell.len == 0 && out->before == NULL ? constant_of(im, c->field) : NULL;
        ret = k != NULL ? take_value(im, e, out, c->field, k->v, c->title, err)
                        : take_cell(im, e, out, c, cell, err);
    }
    for (size_t i = 0; ret == 0 && i < im->n_constants; i++) {
        const struct constant *k = &im->constants[i];

        if (!k->has_column)
            ret = take_value(im, e, out, k->field, k->v, k->field->label, err);
    }
    return ret;
}

/* The record that the row updates: *ret stays NULL for a new one. */
static int find_before(struct importer *im, const struct sheet_row *row, struct row **ret,
                       struct err *err)
{
    for (unsigned i = 0; i < im->n_columns; i++) {
        struct slice cell = cell_of(row, i);
        struct id id;
        int status;

        if (im->columns[i].kind != COLUMN_ID || cell.len == 0)
            continue;
        if (id_parse((const char *)cell.p, cell.len, &id) != 0) {
            problem(im, im->columns[i].title, "不是有效的记录标识");
            return 0;
        }
        status = store_row_get(im->names->store, &im->a, im->o->kind, &id, ret, err);
        if (status == 0 && *ret == NULL)
            problem(im, im->columns[i].title, "这里没有这条记录");
        return status;
    }
    return 0;
}

/* Below the records a report has its totals. */
static bool is_total(const struct sheet_row *row)
{
    struct slice total = slice_str(SHEET_TOTAL_TITLE);

    for (unsigned i = 0; i < row->n_cells; i++) {
        struct slice cell = text_trim(row->cells[i]);

        if (cell.len > 0)
            return row->n_cells <= TOTAL_CELLS && cell.len >= total.len &&
                   memcmp(cell.p, total.p, total.len) == 0;
    }
    return true;
}

static int deliver(struct importer *im, struct import_row *out, struct err *err)
{
    struct import_report *r = im->report;
    struct err why = {.ret = 0};
    int ret;

    if (out->before != NULL && out->n_fields == 0) {
        r->n_same++;
        return 0;
    }
    ret = im->row_cb(im->ctx, out, &why);
    if (ret != 0 && is_rows_fault(ret)) {
        problem(im, "", why.text[0] != '\0' ? why.text : err_text(ret));
        return 0;
    }
    if (ret != 0)
        return err_set(err, ret, "%s", why.text[0] != '\0' ? why.text : err_text(ret));
    if (out->before != NULL)
        r->n_changed++;
    else
        r->n_new++;
    return 0;
}

static int import_row(void *ctx, const struct sheet_row *row, struct err *err)
{
    struct importer *im = ctx;
    struct import_row out = {.number = row->number};
    struct row *before = NULL;
    struct edit e = {.n = 0};
    int ret;

    if (row->number <= im->header_row || is_total(row))
        return 0;
    arena_clear(&im->a);
    im->number = row->number;
    im->bad = false;
    im->report->n_rows++;
    ret = find_before(im, row, &before, err);
    if (ret != 0 || im->bad)
        return ret;
    out.before = before;
    ret = take_cells(im, row, &e, &out, err);
    out.fields = e.fields;
    out.n_fields = e.n;
    return ret != 0 || im->bad ? ret : deliver(im, &out, err);
}

int import_read(const struct import_options *o, struct names *names,
                int (*row_cb)(void *ctx, const struct import_row *row, struct err *err), void *ctx,
                struct import_report *report, struct err *err)
{
    struct importer im = {.o = o, .names = names, .report = report, .row_cb = row_cb, .ctx = ctx};
    int ret;

    arena_init(&im.setup, SETUP_MAX);
    arena_init(&im.a, ROW_MEMORY);
    buf_init(&im.mask, MASK_MAX);
    ret = find_columns(&im, err);
    if (ret == 0)
        ret = parse_constants(&im, err);
    if (ret == 0)
        ret = sheet_read(o->path, NULL, import_row, &im, err);
    buf_release(&im.mask);
    arena_release(&im.setup);
    arena_release(&im.a);
    return ret;
}
