/* Which cell styles show their number as a date. A style names a number format; a format is either
 * built in or given by a code in the styles part. */
#include "common/sheet/book.h"

#include "common/sheet/celltext.h"

#include "common/base/text.h"

#include <string.h>

struct styles {
    struct book *book;
    bool in_formats;
    bool in_cells;
    /* Of the formats with a code, by number; a bit each. */
    uint8_t given[STYLES_MAX / 8];
    uint8_t date[STYLES_MAX / 8];
};

static void set_bit(uint8_t *bits, unsigned i, bool on)
{
    if (on)
        bits[i / 8] = (uint8_t)(bits[i / 8] | 1u << i % 8);
    else
        bits[i / 8] = (uint8_t)(bits[i / 8] & ~(1u << i % 8));
}

static bool get_bit(const uint8_t *bits, unsigned i)
{
    return (bits[i / 8] >> i % 8 & 1) != 0;
}

/* The number of a format; one that no program writes counts as General. */
static unsigned format_number(const char *text)
{
    int64_t v;

    if (text == NULL || text_int(slice_str(text), &v) != 0 || v < 0 || v >= STYLES_MAX)
        return 0;
    return (unsigned)v;
}

static void add_format(struct styles *s, const char **attrs)
{
    unsigned number = format_number(xml_attr(attrs, "numFmtId"));
    const char *code = xml_attr(attrs, "formatCode");

    if (code == NULL)
        return;
    set_bit(s->given, number, true);
    set_bit(s->date, number, cell_format_is_date(code));
}

static int add_style(struct styles *s, const char **attrs)
{
    unsigned number = format_number(xml_attr(attrs, "numFmtId"));
    bool date = get_bit(s->given, number) ? get_bit(s->date, number) : cell_builtin_is_date(number);

    if (s->book->n_styles == STYLES_MAX)
        return E_TOOBIG;
    set_bit(s->book->style_is_date, s->book->n_styles++, date);
    return 0;
}

static int on_start(void *ctx, const char *name, const char **attrs)
{
    struct styles *s = ctx;

    if (strcmp(name, "numFmts") == 0)
        s->in_formats = true;
    else if (strcmp(name, "cellXfs") == 0)
        s->in_cells = true;
    else if (s->in_formats && strcmp(name, "numFmt") == 0)
        add_format(s, attrs);
    else if (s->in_cells && strcmp(name, "xf") == 0)
        return add_style(s, attrs);
    return 0;
}

static int on_end(void *ctx, const char *name)
{
    struct styles *s = ctx;

    if (strcmp(name, "numFmts") == 0)
        s->in_formats = false;
    else if (strcmp(name, "cellXfs") == 0)
        s->in_cells = false;
    return 0;
}

int book_read_styles(struct book *b, struct err *err)
{
    static const struct xml_events events = {on_start, on_end, NULL};
    struct styles s = {.book = b};
    int ret;

    /* A workbook may do without, and some programs name a part that they do not write. */
    if (b->styles_part[0] == '\0' || !package_has(b->package, b->styles_part))
        return 0;
    ret = package_parse(b->package, b->styles_part, &events, &s, err);
    if (ret == E_TOOBIG && b->n_styles == STYLES_MAX)
        return err_set(err, ret, "单元格样式超过上限 %d 种", STYLES_MAX);
    return ret;
}

bool book_style_is_date(const struct book *b, uint64_t style)
{
    return style < b->n_styles && get_bit(b->style_is_date, (unsigned)style);
}
