/* Reading the rows of an .xlsx: sheetData is streamed, each row goes out when it closes.
 *
 * Rows and cells say where they stand (r="C7"); what is left out follows its neighbour. Rows must
 * rise. A failure names the sheet and the row last begun. */
#include "common/sheet/book.h"

#include "common/sheet/celltext.h"

#include "common/base/mem.h"
#include "common/base/text.h"

#include <string.h>

#define XLSX_COLUMNS 16384

enum cell_type {
    TYPE_NUMBER,
    TYPE_SHARED,
    TYPE_INLINE,
    TYPE_FORMULA,
    TYPE_LOGICAL,
    TYPE_ERROR,
    TYPE_DATE
};

struct sheet {
    struct book *book;
    struct rows *rows;
    bool in_data;
    bool in_row;
    bool in_cell;
    bool in_inline;    /* inside <is> */
    bool in_text;      /* inside the <v> or <t> that counts */
    unsigned phonetic; /* depth of rPh */
    unsigned column;   /* of the open cell */
    unsigned next;     /* the column of a cell that does not say */
    enum cell_type type;
    uint64_t style;
};

static uint64_t decimal(const char *s)
{
    uint64_t v = 0;

    if (*s == '\0')
        return UINT64_MAX;
    for (; *s != '\0'; s++) {
        if (*s < '0' || *s > '9' || v > UINT32_MAX)
            return UINT64_MAX;
        v = v * 10 + (uint64_t)(*s - '0');
    }
    return v;
}

static int begin_row(struct sheet *s, const char **attrs)
{
    const char *r = xml_attr(attrs, "r");
    uint64_t number = r == NULL ? (uint64_t)s->rows->number + 1 : decimal(r);

    if (s->in_row || number <= s->rows->number || number > UINT32_MAX)
        return rows_blame(s->rows, E_MALFORMED, "行的次序不正确");
    s->in_row = true;
    s->next = 0;
    return rows_begin(s->rows, (uint32_t)number);
}

/* The column of "C7"; UINT32_MAX when the letters are none. */
static unsigned column_of(const char *r)
{
    unsigned column = 0;

    while (*r >= 'A' && *r <= 'Z' && column <= XLSX_COLUMNS)
        column = column * 26 + (unsigned)(*r++ - 'A') + 1;
    return column == 0 || column > XLSX_COLUMNS ? UINT32_MAX : column - 1;
}

static int type_of(const char *t, enum cell_type *ret_type)
{
    static const struct {
        const char *name;
        enum cell_type type;
    } types[] = {{"s", TYPE_SHARED},    {"n", TYPE_NUMBER},  {"inlineStr", TYPE_INLINE},
                 {"str", TYPE_FORMULA}, {"b", TYPE_LOGICAL}, {"e", TYPE_ERROR},
                 {"d", TYPE_DATE}};

    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (strcmp(t, types[i].name) == 0) {
            *ret_type = types[i].type;
            return 0;
        }
    }
    return E_MALFORMED;
}

static int begin_cell(struct sheet *s, const char **attrs)
{
    if (s->in_cell)
        return rows_blame(s->rows, E_MALFORMED, "单元格互相嵌套");
    s->in_cell = true;
    s->column = s->next;
    s->type = TYPE_NUMBER;
    s->style = 0;
    for (; attrs[0] != NULL; attrs += 2) {
        if (attrs[0][0] == '\0' || attrs[0][1] != '\0')
            continue;
        if (attrs[0][0] == 'r')
            s->column = column_of(attrs[1]);
        else if (attrs[0][0] == 's')
            s->style = decimal(attrs[1]);
        else if (attrs[0][0] == 't' && type_of(attrs[1], &s->type) != 0)
            return rows_blame(s->rows, E_MALFORMED, "单元格类型不正确");
    }
    if (s->column >= XLSX_COLUMNS)
        return rows_blame(s->rows, E_MALFORMED, "单元格位置不正确");
    s->next = s->column + 1;
    rows_cell_begin(s->rows);
    return 0;
}

static int on_start(void *ctx, const char *name, const char **attrs)
{
    struct sheet *s = ctx;

    if (!s->in_data) {
        s->in_data = strcmp(name, "sheetData") == 0;
        return 0;
    }
    if (strcmp(name, "row") == 0)
        return begin_row(s, attrs);
    if (!s->in_row)
        return 0;
    if (strcmp(name, "c") == 0)
        return begin_cell(s, attrs);
    if (!s->in_cell)
        return 0;
    if (strcmp(name, "v") == 0)
        s->in_text = s->type != TYPE_INLINE;
    else if (strcmp(name, "t") == 0)
        s->in_text = s->type == TYPE_INLINE && s->in_inline && s->phonetic == 0;
    else if (strcmp(name, "is") == 0)
        s->in_inline = true;
    else if (strcmp(name, "rPh") == 0)
        s->phonetic++;
    return 0;
}

static int on_text(void *ctx, const char *p, size_t len)
{
    struct sheet *s = ctx;

    return s->in_text ? rows_cell_put(s->rows, p, len) : 0;
}

/* Put TEXT in the place of the open cell's raw text. */
static int replace(struct sheet *s, const char *text, size_t len)
{
    s->rows->text.len = s->rows->cell_start;
    return rows_cell_put(s->rows, text, len);
}

static int finish_shared(struct sheet *s)
{
    struct slice raw = rows_cell_text(s->rows);
    struct slice text;
    int64_t i;

    if (raw.len == 0)
        return 0;
    if (text_int(raw, &i) != 0 || i < 0 || !book_string(s->book, (uint64_t)i, &text))
        return rows_blame(s->rows, E_MALFORMED, "引用了不存在的共享字符串");
    s->rows->text.len = s->rows->cell_start;
    return rows_cell_borrow(s->rows, s->column, text);
}

/* What is no number stays as it is written. */
static int finish_number(struct sheet *s)
{
    struct slice raw = rows_cell_text(s->rows);
    bool date = book_style_is_date(s->book, s->style);
    char text[CELL_NUMBER_SIZE];
    double v;

    if (!date && cell_number_is_short(raw))
        return 0;
    if (!cell_parse_number(raw, &v))
        return 0;
    if (date && cell_serial_text(v, s->book->since_1904, text))
        return replace(s, text, strlen(text));
    return replace(s, text, cell_number_text(v, text));
}

static int finish_date(struct sheet *s)
{
    char text[CELL_DATE_SIZE];

    if (!cell_iso_text(rows_cell_text(s->rows), text))
        return 0;
    return replace(s, text, strlen(text));
}

static int finish_logical(struct sheet *s)
{
    struct slice raw = rows_cell_text(s->rows);
    bool on = raw.len == 1 && raw.p[0] == '1';

    return raw.len == 0 ? 0 : replace(s, on ? "TRUE" : "FALSE", on ? 4 : 5);
}

static void finish_text(struct sheet *s)
{
    struct buf *text = &s->rows->text;
    size_t start = s->rows->cell_start;

    if (text->len == start)
        return;
    text->len = start + cell_unescape(text->p + start, text->len - start);
    text->len = start + cell_newlines(text->p + start, text->len - start);
}

static int end_cell(struct sheet *s)
{
    int ret = 0;

    s->in_cell = s->in_inline = s->in_text = false;
    s->phonetic = 0;
    switch (s->type) {
    case TYPE_SHARED:
        return finish_shared(s);
    case TYPE_NUMBER:
        ret = finish_number(s);
        break;
    case TYPE_DATE:
        ret = finish_date(s);
        break;
    case TYPE_LOGICAL:
        ret = finish_logical(s);
        break;
    case TYPE_INLINE:
    case TYPE_FORMULA:
    case TYPE_ERROR:
        finish_text(s);
        break;
    }
    return ret != 0 ? ret : rows_cell_end(s->rows, s->column);
}

static int on_end(void *ctx, const char *name)
{
    struct sheet *s = ctx;

    if (!s->in_data)
        return 0;
    if (strcmp(name, "c") == 0)
        return s->in_cell ? end_cell(s) : 0;
    if (strcmp(name, "v") == 0 || strcmp(name, "t") == 0) {
        s->in_text = false;
    } else if (strcmp(name, "rPh") == 0) {
        s->phonetic -= s->phonetic > 0;
    } else if (strcmp(name, "is") == 0) {
        s->in_inline = false;
    } else if (strcmp(name, "row") == 0) {
        s->in_row = false;
        return rows_end(s->rows);
    } else if (strcmp(name, "sheetData") == 0) {
        s->in_data = false;
    }
    return 0;
}

/* Rows and cells have named sheet and row already; what the package found has not. */
static int read_sheet(struct book *b, struct rows *rows)
{
    static const struct xml_events events = {on_start, on_end, on_text};
    struct sheet s = {.book = b, .rows = rows};
    struct err inner = {0};
    int ret;

    rows->sheet = b->sheet_name;
    ret = package_parse_bulk(b->package, b->sheet_part, &events, &s, &inner);
    if (ret != 0 && inner.ret != 0)
        return rows_blame(rows, ret, "%s", inner.text);
    return ret;
}

int xlsx_read(struct input *in, struct rows *rows)
{
    struct book *b = mem_alloc(sizeof *b);
    struct package package = {0};
    int ret;

    if (b == NULL)
        return err_set(rows->err, E_NOMEM, NULL);
    ret = package_open(&package, in, rows->limits, rows->err);
    if (ret == 0) {
        ret = book_read(b, &package, rows->err);
        if (ret == 0)
            ret = read_sheet(b, rows);
        book_release(b);
    }
    package_close(&package);
    rows->sheet = NULL;
    mem_free(b);
    return ret;
}
