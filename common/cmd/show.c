/* Values, records and lists on their way out.
 *
 * A list for people is gathered first, because columns are as wide as their widest cell; its cells are cut
 * to CELL_WIDTH, so that it stays small. A list for programs is written row by row. */
#include "common/cmd/show.h"

#include "common/base/text.h"
#include "common/catalogue/check.h"
#include "common/cmd/attached.h"
#include "common/cmd/width.h"

#include <string.h>

#define VALUE_MAX   (4u << 20)
#define ROW_MAX     (32u << 20)
#define CELL_WIDTH  32u
#define CELL_MAX    512u
#define TABLE_MAX   (256u << 20)
#define COLUMNS_MAX 8u
#define LABEL_WIDTH 18u

/* Has 学联委 confirmed the file of a historic record? Rows of a list come file by file. */
struct confirming {
    struct id file;
    bool known, confirmed;
};

static int find_confirmed(const struct view *v, const struct row *row, struct confirming *c,
                          struct err *err)
{
    struct row *file = NULL;
    struct arena a;
    struct id id;
    int ret;

    if (!row_id(row, "historic_file", &id)) {
        *c = (struct confirming){.known = false};
        return 0;
    }
    if (c->known && id_eq(&c->file, &id))
        return 0;
    arena_init(&a, ROW_MAX);
    ret = store_row_get(v->store, &a, catalogue_kind_named("historic_file"), &id, &file, err);
    c->file = id;
    c->known = ret == 0;
    c->confirmed = file != NULL && row_in_state(file, "confirmed") && !row_voided(file);
    arena_release(&a);
    return ret;
}

/* 未确认, 已确认; NULL for a record that is not historic. */
static int confirmed_label(const struct view *v, const struct row *row, struct confirming *c,
                           const char **ret, struct err *err)
{
    int status = 0;

    *ret = NULL;
    if (!row_historic(row))
        return 0;
    status = find_confirmed(v, row, c, err);
    *ret = c->confirmed ? "已确认" : "未确认";
    return status;
}

static int flush(const struct view *v, struct buf *b, struct err *err)
{
    int ret = b->ret;

    if (ret != 0)
        return err_set(err, ret, NULL);
    if (fwrite(b->p, 1, b->len, v->out) != b->len)
        return err_set(err, E_IO, "输出写不出去");
    buf_clear(b);
    return 0;
}

/* ---- one value ---- */

static int put_names(const struct view *v, struct buf *out, const struct kind *kind,
                     struct slice ids, struct err *err)
{
    for (size_t i = 0; i + ID_SIZE <= ids.len; i += ID_SIZE) {
        struct id id;
        int ret;

        memcpy(id.b, ids.p + i, ID_SIZE);
        if (i > 0)
            buf_str(out, "、");
        ret = names_put_full(v->names, kind, &id, out, err);
        if (ret != 0)
            return ret;
    }
    return 0;
}

static const char *state_label(const struct kind *kind, struct slice code)
{
    const struct code *c = kind->states != NULL ? code_find(kind->states, code, false) : NULL;

    return c != NULL ? c->label : NULL;
}

static const struct kind *kind_of_text(struct slice name)
{
    char text[64];

    if (name.len == 0 || name.len >= sizeof text)
        return NULL;
    memcpy(text, name.p, name.len);
    text[name.len] = '\0';
    return catalogue_kind_named(text);
}

/* The state of a case, whose kind stands beside it; where the row is not at hand, of the first that
 * knows the code. */
static const char *case_state_label(const struct row *row, struct slice code)
{
    const struct kind *kind = row != NULL ? kind_of_text(row_text(row, "case_kind")) : NULL;
    const char *label;

    if (kind != NULL)
        return state_label(kind, code);
    label = state_label(catalogue_kind_named("proposal_case"), code);
    return label != NULL ? label : state_label(catalogue_kind_named("info_case"), code);
}

/* A text that holds the name of a kind or the code of a state, in words; NULL when it does not. */
static const char *code_label(const struct row *row, const struct field *f, struct slice text)
{
    static const char suffix[] = "_kind";
    size_t len = strlen(f->name);
    const struct kind *kind;

    if (f->tag == TAG_STATE)
        return row != NULL ? state_label(row->kind, text) : NULL;
    if (f->type != FT_TEXT)
        return NULL;
    if (strcmp(f->name, "case_state") == 0)
        return case_state_label(row, text);
    if (len < sizeof suffix || strcmp(f->name + len + 1 - sizeof suffix, suffix) != 0)
        return NULL;
    kind = kind_of_text(text);
    return kind != NULL ? kind->label : NULL;
}

int show_user(const struct view *v, struct buf *out, const struct id *account, struct err *err)
{
    const struct kind *kind = catalogue_kind_named("user_account");
    struct row *row = NULL;
    struct arena a;
    int ret;

    if (id_is_zero(account)) {
        buf_str(out, "系统");
        return 0;
    }
    arena_init(&a, ROW_MAX);
    ret = store_row_get(v->store, &a, kind, account, &row, err);
    if (ret == 0 && row == NULL)
        buf_str(out, "市级用户"); /* the city's accounts never leave it */
    else if (ret == 0)
        ret = names_put(v->names, kind, account, out, err);
    arena_release(&a);
    return ret;
}

int show_text(const struct view *v, struct buf *out, const struct row *row, const struct field *f,
              const struct value *value, struct err *err)
{
    const struct kind *target = names_target(f, row);
    const char *label;

    if ((value->type == V_ID || value->type == V_IDS) && target != NULL)
        return put_names(v, out, target, value->s, err);
    label = value->type == V_TEXT ? code_label(row, f, value->s) : NULL;
    if (label != NULL) {
        buf_str(out, label);
        return 0;
    }
    if (f->masked && !value_is_null(value))
        (void)check_mask(out, f, value); /* errors stick in OUT */
    else
        (void)check_format(out, f, value);
    return 0;
}

static void json_masked(struct json *j, const struct field *f, const struct value *value)
{
    struct buf b;

    buf_init(&b, VALUE_MAX);
    (void)check_mask(&b, f, value);
    json_str(j, buf_cstr(&b));
    buf_release(&b);
}

static void json_id(struct json *j, const uint8_t *p)
{
    struct id id;
    char text[ID_TEXT_SIZE];

    memcpy(id.b, p, ID_SIZE);
    id_format(&id, text);
    json_str(j, text);
}

static void json_codes(struct json *j, struct slice codes)
{
    json_array(j);
    while (codes.len > 0) {
        const uint8_t *comma = memchr(codes.p, ',', codes.len);
        size_t n = comma != NULL ? (size_t)(comma - codes.p) : codes.len;

        json_text(j, (struct slice){codes.p, n});
        n += comma != NULL;
        codes = (struct slice){codes.p + n, codes.len - n};
    }
    json_array_end(j);
}

static void json_ids(struct json *j, struct slice ids)
{
    json_array(j);
    for (size_t i = 0; i + ID_SIZE <= ids.len; i += ID_SIZE)
        json_id(j, ids.p + i);
    json_array_end(j);
}

void show_json(struct json *j, const struct field *f, const struct value *value)
{
    if (f->masked && !value_is_null(value)) {
        json_masked(j, f, value);
        return;
    }
    switch (value->type) {
    case V_NULL:
        json_null(j);
        break;
    case V_INT:
        json_int(j, value->i);
        break;
    case V_TEXT:
        json_text(j, value->s);
        break;
    case V_SET:
        json_codes(j, value->s);
        break;
    case V_ID:
        json_id(j, value->s.p);
        break;
    case V_IDS:
        json_ids(j, value->s);
        break;
    case V_SEALED:
        json_str(j, "***");
        break;
    case V_ERASED:
        json_str(j, "已删除");
        break;
    }
}

/* ---- records for programs ---- */

static void json_header(struct json *j, const char *key, const struct row *row, uint32_t tag)
{
    const struct value *v = row_get(row, tag);

    json_key(j, key);
    if (v->type == V_TEXT)
        json_text(j, v->s);
    else
        json_null(j);
}

/* The members of the record's object. CONFIRMED: of a historic record; NULL for others. */
static void json_members(struct json *j, const struct row *row, const bool *confirmed)
{
    char id[ID_TEXT_SIZE];

    id_format(&row->id, id);
    json_kv_str(j, "id", id);
    json_kv_str(j, "kind", row->kind->name);
    json_header(j, "site", row, TAG_SITE);
    json_header(j, "serial", row, TAG_SERIAL);
    json_header(j, "state", row, TAG_STATE);
    json_kv_uint(j, "seq", row->seq);
    json_kv_bool(j, "pending", row->pending);
    json_kv_bool(j, "voided", row_voided(row));
    if (confirmed != NULL)
        json_kv_str(j, "historic", *confirmed ? "confirmed" : "unconfirmed");
    json_key(j, "fields");
    json_object(j);
    for (unsigned i = 0; i < row->kind->n_own; i++) {
        const struct field *f = &row->kind->fields[i];

        if (!f->stored || f->type == FT_SECRET)
            continue;
        json_key(j, f->name);
        show_json(j, f, &row->values[i]);
    }
    json_object_end(j);
}

/* Within the record's object. */
static int json_row(const struct view *v, struct json *j, const struct row *row,
                    struct confirming *c, struct err *err)
{
    int ret = row_historic(row) ? find_confirmed(v, row, c, err) : 0;

    if (ret == 0)
        json_members(j, row, row_historic(row) ? &c->confirmed : NULL);
    return ret;
}

/* ---- lists ---- */

int show_filters(const struct view *v, struct arena *a, const struct kind *kind,
                 const struct pair *pairs, size_t n, struct store_filter **ret, struct err *err)
{
    struct store_filter *filters = arena_alloc(a, (n + 1) * sizeof *filters);

    if (filters == NULL)
        return err_set(err, E_NOMEM, NULL);
    for (size_t i = 0; i < n; i++) {
        const struct field *f = kind_field_named(kind, pairs[i].name);
        int status;

        if (f == NULL)
            return err_set(err, E_USAGE, "%s没有字段“%s”", kind->label, pairs[i].name);
        if (!f->stored || f->vanish == VANISH_PII || f->vanish == VANISH_SITE)
            return err_set(err, E_USAGE, "不能按字段“%s”筛选", f->label);
        filters[i].tag = f->tag;
        status = names_parse(v->names, a, kind, f, pairs[i].value, &filters[i].v, err);
        if (status != 0)
            return status;
    }
    *ret = filters;
    return 0;
}

struct json_list {
    const struct view *v;
    struct confirming confirming;
    struct buf b;
    struct json j;
    struct err *err;
};

static int json_list_row(void *ctx, struct row *row)
{
    struct json_list *l = ctx;
    int ret;

    buf_str(&l->b, l->j.first[l->j.depth] ? "\n" : "");
    json_object(&l->j);
    ret = json_row(l->v, &l->j, row, &l->confirming, l->err);
    json_object_end(&l->j);
    return ret != 0 ? ret : flush(l->v, &l->b, l->err);
}

static int list_json(const struct view *v, const struct kind *kind, const struct show_list *which,
                     struct err *err)
{
    struct json_list l = {.v = v, .err = err};
    int ret;

    buf_init(&l.b, ROW_MAX);
    json_init(&l.j, &l.b);
    json_array(&l.j);
    ret = store_row_list(v->store, kind, which->filters, which->n_filters, which->stream,
                         which->limit, json_list_row, &l, err);
    if (ret == 0) {
        json_array_end(&l.j);
        buf_u8(&l.b, '\n');
        ret = flush(v, &l.b, err);
    }
    buf_release(&l.b);
    return ret;
}

/* A table being gathered: header and cells, row by row. */
struct table {
    const struct view *v;
    const struct field *columns[COLUMNS_MAX];
    unsigned n_columns;
    unsigned width[COLUMNS_MAX];
    struct confirming confirming;
    struct arena a;
    char ***rows;
    size_t n, cap;
    struct buf b;
    struct err *err;
};

/* Serial number and state, then what the kind asks for first; long texts do not fit a line. */
static void choose_columns(struct table *t, const struct kind *kind)
{
    t->columns[t->n_columns++] = kind_field(kind, TAG_SERIAL);
    if (kind->states != NULL)
        t->columns[t->n_columns++] = kind_field(kind, TAG_STATE);
    for (int pass = 0; pass < 2; pass++) {
        for (unsigned i = 0; i < kind->n_own && t->n_columns < COLUMNS_MAX; i++) {
            const struct field *f = &kind->fields[i];
            bool first = f->required == REQUIRED_YES;

            if (f->stored && f->type != FT_LONGTEXT && f->type != FT_SECRET && first == (pass == 0))
                t->columns[t->n_columns++] = f;
        }
    }
}

static char *cell_keep(struct table *t, unsigned column)
{
    unsigned width = text_width(buf_slice(&t->b));

    if (width > t->width[column])
        t->width[column] = width;
    return arena_strndup(&t->a, t->b.p, t->b.len);
}

/* Room for one more row. */
static char **table_row(struct table *t)
{
    char **cells = arena_zalloc(&t->a, COLUMNS_MAX * sizeof *cells);

    if (cells == NULL)
        return NULL;
    if (t->n == t->cap) {
        size_t cap = t->cap * 2 + 64;
        char ***more = arena_alloc(&t->a, cap * sizeof *more);

        if (more == NULL)
            return NULL;
        if (t->n > 0)
            memcpy(more, t->rows, t->n * sizeof *more);
        t->rows = more;
        t->cap = cap;
    }
    t->rows[t->n++] = cells;
    return cells;
}

static int cell_text(struct table *t, const struct row *row, const struct field *f)
{
    struct buf whole;
    int ret = 0;

    buf_clear(&t->b);
    if (f->tag == TAG_SERIAL && value_is_null(row_get(row, f->tag))) {
        char id[ID_TEXT_SIZE];

        id_format(&row->id, id);
        buf_str(&t->b, id);
        return 0;
    }
    buf_init(&whole, VALUE_MAX);
    ret = show_text(t->v, &whole, row, f, row_get(row, f->tag), t->err);
    if (ret == 0)
        ret = whole.ret;
    if (ret == 0)
        text_fit(&t->b, buf_slice(&whole), CELL_WIDTH);
    buf_release(&whole);
    if (f->tag == TAG_STATE && row_voided(row))
        buf_str(&t->b, "（已作废）");
    if (f->tag == TAG_SERIAL && row->pending)
        buf_str(&t->b, " *");
    return ret;
}

/* Beside the state, or beside what names the record where it has none. */
static int cell_confirmed(struct table *t, const struct row *row, const struct field *f)
{
    const char *label;
    int ret;

    if (f->tag != (row->kind->states != NULL ? TAG_STATE : TAG_SERIAL))
        return 0;
    ret = confirmed_label(t->v, row, &t->confirming, &label, t->err);
    if (ret == 0 && label != NULL)
        buf_printf(&t->b, "（补录%s）", label);
    return ret;
}

static int table_add(void *ctx, struct row *row)
{
    struct table *t = ctx;
    char **cells = table_row(t);

    if (cells == NULL)
        return err_set(t->err, E_TOOBIG, "记录太多，请用 --limit 或 --where");
    for (unsigned c = 0; c < t->n_columns; c++) {
        int ret = cell_text(t, row, t->columns[c]);

        if (ret == 0)
            ret = cell_confirmed(t, row, t->columns[c]);
        if (ret == 0 && (cells[c] = cell_keep(t, c)) == NULL)
            ret = err_set(t->err, E_TOOBIG, "记录太多，请用 --limit 或 --where");
        if (ret != 0)
            return ret;
    }
    return 0;
}

static int table_line(struct table *t, char *const *cells, struct err *err)
{
    buf_clear(&t->b);
    for (unsigned c = 0; c < t->n_columns; c++) {
        struct slice text = slice_str(cells[c]);

        buf_put(&t->b, text.p, text.len);
        if (c + 1 < t->n_columns)
            text_pad(&t->b, text_width(text), t->width[c] + 2);
    }
    buf_u8(&t->b, '\n');
    return flush(t->v, &t->b, err);
}

/* How many there are, and how many of them are shown. */
static int table_total(struct table *t, const struct kind *kind, const struct show_list *which,
                       struct err *err)
{
    uint64_t all = t->n, unconfirmed = 0;
    int ret = store_row_count_unconfirmed(t->v->store, kind, which->filters, which->n_filters,
                                          which->stream, &unconfirmed, err);

    if (ret == 0 && which->limit != 0 && t->n == which->limit)
        ret = store_row_count(t->v->store, kind, which->filters, which->n_filters, which->stream,
                              &all, err);
    if (ret != 0)
        return ret;
    buf_clear(&t->b);
    if (all > t->n)
        buf_printf(&t->b, "显示前 %zu 条，", t->n);
    buf_printf(&t->b, "共 %llu 条%s", (unsigned long long)(all - unconfirmed), kind->label);
    if (unconfirmed > 0)
        buf_printf(&t->b, "，另有未确认的历史补录 %llu 条", (unsigned long long)unconfirmed);
    buf_u8(&t->b, '\n');
    return flush(t->v, &t->b, err);
}

static int table_print(struct table *t, const struct kind *kind, struct err *err)
{
    char *labels[COLUMNS_MAX];
    int ret;

    for (unsigned c = 0; c < t->n_columns; c++) {
        buf_clear(&t->b);
        buf_str(&t->b, t->columns[c]->tag == TAG_SERIAL && kind->serial_prefix == NULL
                           ? "记录标识"
                           : t->columns[c]->label);
        labels[c] = cell_keep(t, c);
        if (labels[c] == NULL)
            return err_set(err, E_NOMEM, NULL);
    }
    ret = table_line(t, labels, err);
    for (size_t i = 0; ret == 0 && i < t->n; i++)
        ret = table_line(t, t->rows[i], err);
    return ret;
}

static int list_table(const struct view *v, const struct kind *kind, const struct show_list *which,
                      struct err *err)
{
    struct table t = {.v = v, .err = err};
    int ret;

    arena_init(&t.a, TABLE_MAX);
    buf_init(&t.b, COLUMNS_MAX * CELL_MAX);
    choose_columns(&t, kind);
    ret = store_row_list(v->store, kind, which->filters, which->n_filters, which->stream,
                         which->limit, table_add, &t, err);
    if (ret == 0)
        ret = table_print(&t, kind, err);
    if (ret == 0)
        ret = table_total(&t, kind, which, err);
    buf_release(&t.b);
    arena_release(&t.a);
    return ret;
}

int show_list(const struct view *v, const struct kind *kind, const struct show_list *which,
              struct err *err)
{
    return v->json ? list_json(v, kind, which, err) : list_table(v, kind, which, err);
}

/* ---- one record ---- */

/* "label: value"; further lines of the value stand under its first. */
static void put_line(struct buf *out, const char *label, struct slice text)
{
    struct slice l = slice_str(label);
    size_t at = 0;

    buf_put(out, l.p, l.len);
    buf_str(out, "：");
    text_pad(out, text_width(l), LABEL_WIDTH);
    for (size_t i = 0; i <= text.len; i++) {
        if (i < text.len && text.p[i] != '\n')
            continue;
        if (at > 0)
            text_pad(out, 0, LABEL_WIDTH + 2);
        text_plain(out, (struct slice){text.p + at, i - at}, false);
        buf_u8(out, '\n');
        at = i + 1;
    }
}

static int record_lines(const struct view *v, const struct row *row, struct buf *out,
                        struct err *err)
{
    struct confirming c = {.known = false};
    const char *confirmed;
    struct buf text;
    char id[ID_TEXT_SIZE];
    int ret;

    id_format(&row->id, id);
    buf_printf(out, "%s%s\n", row->kind->label, row->pending ? "（有未上传的更改）" : "");
    put_line(out, "记录标识", slice_str(id));
    ret = confirmed_label(v, row, &c, &confirmed, err);
    if (ret == 0 && confirmed != NULL)
        put_line(out, "补录确认", slice_str(confirmed));
    buf_init(&text, VALUE_MAX);
    for (unsigned i = 0; ret == 0 && i < row->kind->n_fields; i++) {
        /* The header's fields first: serial number and state are what people look for. */
        unsigned at = (i + row->kind->n_own) % row->kind->n_fields;
        const struct field *f = &row->kind->fields[at];

        if (!f->stored || f->type == FT_SECRET || value_is_null(&row->values[at]))
            continue;
        buf_clear(&text);
        ret = show_text(v, &text, row, f, &row->values[at], err);
        if (ret == 0)
            put_line(out, f->label, buf_slice(&text));
    }
    buf_release(&text);
    return ret;
}

int show_record(const struct view *v, const struct row *row, struct err *err)
{
    struct confirming c = {.known = false};
    struct buf out;
    int ret = 0;

    buf_init(&out, ROW_MAX);
    if (v->json) {
        struct json j;

        json_init(&j, &out);
        json_object(&j);
        ret = json_row(v, &j, row, &c, err);
        if (ret == 0 && v->attached != NULL)
            ret = attached_json(v, row, &j, err);
        json_object_end(&j);
        buf_u8(&out, '\n');
    } else {
        ret = record_lines(v, row, &out, err);
        if (ret == 0 && v->attached != NULL)
            ret = attached_lines(v, row, &out, err);
    }
    if (ret == 0)
        ret = flush(v, &out, err);
    buf_release(&out);
    return ret;
}
