/* Tables: what is written reads back unchanged, what spreadsheet programs write is understood, and
 * hostile files are refused. */
#include "common/base/mem.h"
#include "common/sheet/celltext.h"
#include "common/sheet/sheet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <zip.h>

/* fixture: a folder of its own, and the rows of the last reading as text:
 * "[row]cell|cell\n" for each row. */

struct world {
    char dir[64];
    char path[128];
    struct buf rows;
    struct err err;
    unsigned stop_at; /* rows after which the callback stops, 0 for never */
    unsigned n_rows;
};

static int setup(void **state)
{
    struct world *w = mem_calloc(1, sizeof *w);

    strcpy(w->dir, "/tmp/ztc-sheet-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    buf_init(&w->rows, 64 * 1024 * 1024);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    (void)unlink(w->path);
    /* Fails when a temporary file was left behind. */
    assert_int_equal(rmdir(w->dir), 0);
    buf_release(&w->rows);
    mem_free(w);
    return 0;
}

/* helpers */

static void name_file(struct world *w, const char *name)
{
    snprintf(w->path, sizeof w->path, "%s/%s", w->dir, name);
}

static int note_row(void *ctx, const struct sheet_row *row, struct err *err)
{
    struct world *w = ctx;

    (void)err;
    buf_printf(&w->rows, "[%u]", (unsigned)row->number);
    for (unsigned i = 0; i < row->n_cells; i++) {
        if (i > 0)
            buf_u8(&w->rows, '|');
        buf_put(&w->rows, row->cells[i].p, row->cells[i].len);
    }
    buf_u8(&w->rows, '\n');
    w->n_rows++;
    return w->n_rows == w->stop_at ? SHEET_STOP : 0;
}

static int read_with(struct world *w, const struct sheet_limits *limits)
{
    w->err = (struct err){0};
    w->n_rows = 0;
    buf_clear(&w->rows);
    return sheet_read(w->path, limits, note_row, w, &w->err);
}

static void assert_reads(struct world *w, const char *rows)
{
    int ret = read_with(w, NULL);

    if (ret != 0)
        print_error("%s\n", w->err.text);
    assert_int_equal(ret, 0);
    assert_string_equal(buf_cstr(&w->rows), rows);
}

/* Refused with RET and a sentence that contains WORDS. */
static void assert_refused(struct world *w, const struct sheet_limits *limits, int ret,
                           const char *words)
{
    assert_int_equal(read_with(w, limits), ret);
    assert_int_equal(w->err.ret, ret);
    if (strstr(w->err.text, words) == NULL)
        fail_msg("'%s' lacks '%s'", w->err.text, words);
}

static void write_bytes(struct world *w, const char *name, const void *p, size_t len)
{
    FILE *file;

    name_file(w, name);
    file = fopen(w->path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(p, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

static void write_csv(struct world *w, const char *text)
{
    write_bytes(w, "t.csv", text, strlen(text));
}

struct part {
    const char *name;
    const char *text;
    size_t len; /* 0: a C string */
};

static void add_part(zip_t *zip, const char *name, const char *text, size_t len)
{
    zip_source_t *source = zip_source_buffer(zip, text, len == 0 ? strlen(text) : len, 0);

    assert_non_null(source);
    assert_true(zip_file_add(zip, name, source, ZIP_FL_OVERWRITE) >= 0);
}

#define ROOT_RELS                                                                                  \
    "<Relationships xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\">"       \
    "<Relationship Id=\"r1\" Type=\"http://schemas.openxmlformats.org/officeDocument/2006/"        \
    "relationships/officeDocument\" Target=\"xl/workbook.xml\"/></Relationships>"
#define BOOK(pr, sheets)                                                                           \
    "<workbook xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\" "               \
    "xmlns:r=\"x\">" pr "<sheets>" sheets "</sheets></workbook>"
#define ONE_SHEET "<sheet name=\"台账\" sheetId=\"1\" r:id=\"rId1\"/>"
#define REL(id, type, target)                                                                      \
    "<Relationship Id=\"" id "\" Type=\"http://x/relationships/" type "\" Target=\"" target "\"/>"
#define BOOK_RELS(rels) "<Relationships>" rels "</Relationships>"
#define USUAL_RELS                                                                                 \
    BOOK_RELS(REL("rId1", "worksheet", "worksheets/sheet1.xml")                                    \
                  REL("rId2", "sharedStrings", "sharedStrings.xml")                                \
                      REL("rId3", "styles", "styles.xml"))
#define SHEET(rows)                                                                                \
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?><worksheet><sheetData>" rows                        \
    "</sheetData></worksheet>"

/* An .xlsx of the usual parts, each of PARTS added or put in the place of the usual one; a part
 * without text is left out. */
static void write_xlsx(struct world *w, const struct part *parts)
{
    zip_t *zip;

    name_file(w, "t.xlsx");
    zip = zip_open(w->path, ZIP_CREATE | ZIP_TRUNCATE, NULL);
    assert_non_null(zip);
    add_part(zip, "_rels/.rels", ROOT_RELS, 0);
    add_part(zip, "xl/workbook.xml", BOOK("", ONE_SHEET), 0);
    add_part(zip, "xl/_rels/workbook.xml.rels", USUAL_RELS, 0);
    for (; parts->name != NULL; parts++) {
        if (parts->text != NULL)
            add_part(zip, parts->name, parts->text, parts->len);
        else
            assert_int_equal(zip_delete(zip, zip_name_locate(zip, parts->name, 0)), 0);
    }
    assert_int_equal(zip_close(zip), 0);
}

#define PARTS(...) ((struct part[]){__VA_ARGS__, {NULL, NULL, 0}})
#define PART_SHEET(rows)                                                                           \
    {                                                                                              \
        "xl/worksheets/sheet1.xml", SHEET(rows), 0                                                 \
    }

static struct sheet_cell text_cell(const char *s)
{
    return (struct sheet_cell){.kind = SHEET_TEXT, .text = slice_str(s)};
}

/* A table with every kind of cell and every nasty text. */
static int write_table(struct world *w, const char *name)
{
    static const char *const names[] = {"编号", "内容", "日期"};
    static const char *const texts[] = {"00731",
                                        "431021199001011234567890",
                                        "𠮷野家 😀",
                                        "_x000D_ 与 _x00",
                                        "第一行\n第二行",
                                        " 两头空格\t",
                                        "=1+1",
                                        "'=1+1",
                                        "''@x",
                                        "-5",
                                        "'",
                                        "'平常",
                                        "逗号,引号\"引号",
                                        "<b>&amp;</b>"};
    struct sheet_column columns[3] = {{.width = 12}, {.width = 40}, {.hidden = true}};
    struct sheet_options options = {.name = "台账[1]", .columns = columns, .n_columns = 3};
    struct sheet_writer *writer;
    int ret;

    name_file(w, name);
    options.format = sheet_format_of(w->path);
    ret = sheet_writer_new(w->path, &options, &w->err, &writer);
    if (ret != 0)
        return ret;
    if (ret == 0)
        ret = sheet_writer_title(writer, "桂阳县意见台账", &w->err);
    if (ret == 0)
        ret = sheet_writer_header(writer, names, 3, &w->err);
    for (size_t i = 0; ret == 0 && i < sizeof texts / sizeof texts[0]; i++) {
        struct sheet_cell cells[3] = {{.kind = SHEET_NUMBER, .number = (double)i + 0.1},
                                      text_cell(texts[i]),
                                      {.kind = SHEET_DATE, .day = 20517 + (day_t)i}};

        if (i == 1)
            cells[2] = (struct sheet_cell){.kind = SHEET_DATETIME, .at = 1772674205999};
        if (i == 2)
            cells[2] = (struct sheet_cell){0};
        if (i == 3)
            cells[0] = text_cell("");
        if (i == 4)
            cells[2] = (struct sheet_cell){.kind = SHEET_DATE, .day = -25567};
        ret = sheet_writer_row(writer, SHEET_BODY, cells, 3, &w->err);
    }
    if (ret == 0)
        ret = sheet_writer_row(writer, SHEET_TOTAL,
                               (struct sheet_cell[]){{.kind = SHEET_NUMBER, .number = -14}}, 1,
                               &w->err);
    if (ret == 0)
        ret = sheet_writer_finish(writer, &w->err);
    sheet_writer_free(writer);
    return ret;
}

static const char table[] =
    "[1]桂阳县意见台账\n"
    "[2]编号|内容|日期\n"
    "[3]0.1|00731|2026-03-05\n"
    "[4]1.1|431021199001011234567890|2026-03-05 09:30:05\n"
    "[5]2.1|𠮷野家 😀\n"
    "[6]|_x000D_ 与 _x00|2026-03-08\n"
    "[7]4.1|第一行\n第二行|1900-01-01\n"
    "[8]5.1| 两头空格\t|2026-03-10\n"
    "[9]6.1|=1+1|2026-03-11\n"
    "[10]7.1|'=1+1|2026-03-12\n"
    "[11]8.1|''@x|2026-03-13\n"
    "[12]9.1|-5|2026-03-14\n"
    "[13]10.1|'|2026-03-15\n"
    "[14]11.1|'平常|2026-03-16\n"
    "[15]12.1|逗号,引号\"引号|2026-03-17\n"
    "[16]13.1|<b>&amp;</b>|2026-03-18\n"
    "[17]-14\n";

static void read_file(struct world *w, struct buf *out)
{
    FILE *file = fopen(w->path, "rb");
    uint8_t chunk[4096];
    size_t n;

    assert_non_null(file);
    while ((n = fread(chunk, 1, sizeof chunk, file)) > 0)
        buf_put(out, chunk, n);
    fclose(file);
}

/* writing */

/* Every text, number and date comes back from .xlsx as it was given. */
static void test_sheet__xlsx_round_trip(void **state)
{
    assert_int_equal(write_table(*state, "t.xlsx"), 0);
    assert_reads(*state, table);
}

/* The same from .csv, formula-like texts included. */
static void test_sheet__csv_round_trip(void **state)
{
    assert_int_equal(write_table(*state, "t.csv"), 0);
    assert_reads(*state, table);
}

/* The .csv itself is what a spreadsheet program of the county wants. */
static void test_sheet__csv_bytes(void **state)
{
    struct world *w = *state;
    struct buf bytes;

    buf_init(&bytes, 65536);
    assert_int_equal(write_table(w, "t.csv"), 0);
    read_file(w, &bytes);
    assert_int_equal(strncmp(buf_cstr(&bytes),
                             "\xef\xbb\xbf桂阳县意见台账\r\n编号,内容,日期\r\n0.1,00731,", 55),
                     0);
    assert_non_null(strstr(buf_cstr(&bytes), "6.1,'=1+1,2026-03-11\r\n"));
    assert_non_null(strstr(buf_cstr(&bytes), "7.1,''=1+1,2026-03-12\r\n"));
    assert_non_null(strstr(buf_cstr(&bytes), "9.1,'-5,"));
    assert_non_null(strstr(buf_cstr(&bytes), "-14\r\n"));
    buf_release(&bytes);
}

/* Writing the same table twice gives the same bytes. */
static void test_sheet__deterministic(void **state)
{
    static const char *const names[] = {"t.csv", "t.xlsx"};
    struct world *w = *state;

    for (size_t i = 0; i < 2; i++) {
        struct buf first;
        struct buf second;

        buf_init(&first, 65536);
        buf_init(&second, 65536);
        assert_int_equal(write_table(w, names[i]), 0);
        read_file(w, &first);
        sleep(1);
        assert_int_equal(write_table(w, names[i]), 0);
        read_file(w, &second);
        assert_true(slice_eq(buf_slice(&first), buf_slice(&second)));
        assert_int_equal(unlink(w->path), 0);
        buf_release(&first);
        buf_release(&second);
    }
}

/* Control characters, lone or doubled escapes and U+FFFE survive; CR and CR LF become LF. */
static void test_sheet__odd_characters(void **state)
{
    static const char odd[] = "\x01_x0041\x02_x005F__x_\xef\xbf\xbe\r\nb\rc";
    static const char back[] = "[1]\x01_x0041\x02_x005F__x_\xef\xbf\xbe\nb\nc|'\n=\n";
    static const char *const names[] = {"t.csv", "t.xlsx"};
    struct world *w = *state;

    for (size_t i = 0; i < 2; i++) {
        struct sheet_cell cells[] = {text_cell(odd), text_cell("'\r=")};
        struct sheet_options options = {0};
        struct sheet_writer *writer;

        name_file(w, names[i]);
        options.format = sheet_format_of(w->path);
        assert_int_equal(sheet_writer_new(w->path, &options, &w->err, &writer), 0);
        assert_int_equal(sheet_writer_row(writer, SHEET_BODY, cells, 2, &w->err), 0);
        assert_int_equal(sheet_writer_finish(writer, &w->err), 0);
        sheet_writer_free(writer);
        assert_reads(w, back);
        assert_int_equal(unlink(w->path), 0);
    }
}

/* A writer that is given up, or refuses a cell, leaves the old file alone. */
static void test_sheet__failure_keeps_old_file(void **state)
{
    static const char *const names[] = {"t.csv", "t.xlsx"};
    struct world *w = *state;

    for (size_t i = 0; i < 2; i++) {
        struct sheet_cell bad = text_cell("\xff");
        struct sheet_cell good = text_cell("新");
        struct sheet_options options = {0};
        struct sheet_writer *writer;

        write_bytes(w, names[i], "旧\n", 4);
        options.format = sheet_format_of(w->path);
        assert_int_equal(sheet_writer_new(w->path, &options, &w->err, &writer), 0);
        assert_int_equal(sheet_writer_row(writer, SHEET_BODY, &good, 1, &w->err), 0);
        assert_int_equal(sheet_writer_row(writer, SHEET_BODY, &bad, 1, &w->err), E_INVALID);
        assert_non_null(strstr(w->err.text, "第 2 行第 1 列"));
        assert_int_equal(sheet_writer_finish(writer, &w->err), E_INVALID);
        sheet_writer_free(writer);
        assert_reads(w, "[1]旧\n");
        assert_int_equal(unlink(w->path), 0);
    }
}

/* A folder that is not there is said so. */
static void test_sheet__no_folder(void **state)
{
    struct world *w = *state;
    struct sheet_options options = {0};
    struct sheet_writer *writer;

    name_file(w, "没有/t.xlsx");
    assert_int_equal(sheet_writer_new(w->path, &options, &w->err, &writer), E_NOTFOUND);
}

/* A text beyond what a cell of .xlsx holds is refused. */
static void test_sheet__text_too_long_for_xlsx(void **state)
{
    struct world *w = *state;
    struct sheet_options options = {0};
    struct sheet_writer *writer;
    struct buf text;
    struct sheet_cell cell = {.kind = SHEET_TEXT};

    buf_init(&text, 65536);
    memset(buf_grow(&text, 32768), 'a', 32768);
    cell.text = buf_slice(&text);
    name_file(w, "t.xlsx");
    assert_int_equal(sheet_writer_new(w->path, &options, &w->err, &writer), 0);
    assert_int_equal(sheet_writer_row(writer, SHEET_BODY, &cell, 1, &w->err), E_TOOBIG);
    sheet_writer_free(writer);
    buf_release(&text);
}

/* reading .xlsx */

/* Shared strings: runs joined, phonetic runs skipped, escapes undone, white space kept. */
static void test_sheet__shared_strings(void **state)
{
    write_xlsx(*state,
               PARTS(PART_SHEET("<row r=\"2\"><c r=\"A2\" t=\"s\"><v>0</v></c><c r=\"C2\" "
                                "t=\"s\"><v>1</v></c><c t=\"s\"><v>2</v></c></row>"
                                "<row><c t=\"s\"><v>1</v></c></row>"),
                     {"xl/sharedStrings.xml",
                      "<sst><si><r><t>东江</t></r><r><rPr/><t>湖</t></r><rPh sb=\"0\" eb=\"1\">"
                      "<t>dongjiang</t></rPh></si><si><t xml:space=\"preserve\"> a_x000D_\nb "
                      "</t></si><si><t>_xD83D__xDE00__x0000_</t></si></sst>",
                      0}));
    assert_reads(*state, "[2]东江湖|| a\nb |😀_x0000_\n[3] a\nb \n");
}

/* Whatever XML allows in the bulky parts is understood: comments, CDATA, entities, either quote; a
 * part in another encoding too. */
static void test_sheet__xml_forms(void **state)
{
    static const char utf16[] =
        "\xff\xfe<\0w\0>\0<\0s\0h\0e\0e\0t\0D\0a\0t\0a\0>\0<\0r\0o\0w\0"
        ">\0<\0c\0>\0<\0v\0>\0"
        "7\0<\0/\0v\0>\0<\0/\0c\0>\0<\0/\0r\0o\0w\0"
        ">\0<\0/\0s\0h\0e\0e\0t\0D\0a\0t\0a\0>\0<\0/\0w\0>";

    write_xlsx(*state,
               PARTS(PART_SHEET(
                   "<!-- <c> --><?pi >?><row r='4' ><c\n t = 'str' r=\"B4\" ><v >"
                   "a&lt;&#x4e2D;&#65;&#x1F600;_x000D_\r\n&quot;<![CDATA[<b>&amp;\r]]>z</v ></c >"
                   "<c t=\"str\" x='>'><v/></c></row>")));
    assert_reads(*state, "[4]|a<中A😀\n\"<b>&amp;\nz\n");
    write_xlsx(*state, PARTS({"xl/worksheets/sheet1.xml", utf16, sizeof utf16}));
    assert_reads(*state, "[1]7\n");
}

/* What is not well-formed is refused, in the bulky parts as elsewhere. */
static void test_sheet__xml_malformed(void **state)
{
    static const char *const bad[] = {"<w><sheetData></w></sheetData>",
                                      "<w><sheetData>&nope;</sheetData></w>",
                                      "<w><sheetData>&#0;</sheetData></w>",
                                      "<w><sheetData>\xff</sheetData></w>",
                                      "<w><sheetData>\x01</sheetData></w>",
                                      "<w/><w/>",
                                      "<w/>x",
                                      "<w a=b/>",
                                      "<w a=\"1/>",
                                      "<w",
                                      "<w><sheetData>\xed\xa0\x80</sheetData></w>",
                                      "</w>",
                                      "<w>\xef\xbf\xbf</w>",
                                      "< w/>",
                                      ""};

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        write_xlsx(*state, PARTS({"xl/worksheets/sheet1.xml", bad[i], 0}));
        assert_refused(*state, NULL, E_MALFORMED, "XML");
    }
}

/* Texts are whole wherever the pieces of reading end. */
static void test_sheet__xml_pieces(void **state)
{
    struct world *w = *state;
    struct buf text;
    struct buf want;

    buf_init(&text, 8 * 1024 * 1024);
    buf_init(&want, 8 * 1024 * 1024);
    buf_str(&text, "<w><sheetData>");
    for (unsigned i = 1; i <= 50; i++) {
        buf_str(&text, "<row><c t=\"str\"><v>");
        buf_printf(&want, "[%u]", i);
        for (unsigned k = 0; k < 3000 + i; k++) {
            buf_str(&text, "东&lt;\r\n😀");
            buf_str(&want, "东<\n😀");
        }
        buf_str(&text, "</v></c></row>");
        buf_str(&want, "\n");
    }
    buf_str(&text, "</sheetData></w>");
    write_xlsx(w, PARTS({"xl/worksheets/sheet1.xml", (const char *)text.p, text.len}));
    assert_reads(w, buf_cstr(&want));
    buf_release(&text);
    buf_release(&want);
}

/* Every type of cell gives its text; cells may come in any order and without a place. */
static void test_sheet__cell_types(void **state)
{
    write_xlsx(*state,
               PARTS(PART_SHEET(
                   "<row r=\"7\"><c r=\"C7\"><v>1.50</v></c><c r=\"A7\" t=\"inlineStr\"><is><r>"
                   "<t>内</t></r><r><t>联</t></r></is></c><c r=\"B7\" t=\"b\"><v>1</v></c>"
                   "<c r=\"D7\" t=\"e\"><v>#N/A</v></c><c r=\"E7\" t=\"str\"><f>A1&amp;B1</f>"
                   "<v>a&#13;&#10;b</v></c><c r=\"F7\" t=\"d\"><v>2026-03-05T09:30:00</v></c>"
                   "<c t=\"n\"><v>0.10000000000000001</v></c><c><v>1E+2</v></c>"
                   "<c><v>4.3102119900101123E17</v></c><c r=\"J7\" s=\"9\"/></row>")));
    assert_reads(*state,
                 "[7]内联|TRUE|1.5|#N/A|a\nb|2026-03-05 09:30:00|0.1|100|431021199001011200\n");
}

#define STYLES                                                                                     \
    "<styleSheet><numFmts count=\"3\"><numFmt numFmtId=\"176\" formatCode=\"yyyy\\-m\\-d\"/>"      \
    "<numFmt numFmtId=\"177\" formatCode=\"&quot;day&quot;0.00[Red]\"/>"                           \
    "<numFmt numFmtId=\"178\" formatCode=\"[h]:mm\"/></numFmts><cellStyleXfs><xf "                 \
    "numFmtId=\"14\"/>"                                                                            \
    "</cellStyleXfs><cellXfs><xf numFmtId=\"0\"/><xf numFmtId=\"14\"/><xf numFmtId=\"176\"/>"      \
    "<xf numFmtId=\"177\"/><xf numFmtId=\"178\"/><xf numFmtId=\"31\"/></cellXfs></styleSheet>"
#define DATED                                                                                      \
    "<row r=\"1\"><c><v>46086</v></c><c s=\"1\"><v>46086</v></c><c s=\"2\"><v>46086.39589</v>"     \
    "</c><c s=\"3\"><v>46086</v></c><c s=\"4\"><v>0.5</v></c><c s=\"5\"><v>46086.999999</v></c>"   \
    "<c s=\"1\"><v>60</v></c><c s=\"1\"><v>59</v></c><c s=\"1\"><v>-1</v></c></row>"

/* A number is a date when its format says so, in either epoch. */
static void test_sheet__dates(void **state)
{
    write_xlsx(*state, PARTS(PART_SHEET(DATED), {"xl/styles.xml", STYLES, 0}));
    assert_reads(*state,
                 "[1]46086|2026-03-05|2026-03-05 09:30:05|46086|12:00:00|2026-03-06|60|"
                 "1900-02-28|-1\n");
    write_xlsx(*state,
               PARTS(PART_SHEET("<row><c s=\"1\"><v>44624</v></c></row>"),
                     {"xl/styles.xml", STYLES, 0},
                     {"xl/workbook.xml", BOOK("<workbookPr date1904=\"1\"/>", ONE_SHEET), 0}));
    assert_reads(*state, "[1]2026-03-05\n");
}

/* The first visible worksheet is read, wherever its part is, whatever the prefix. */
static void test_sheet__finds_the_sheet(void **state)
{
    write_xlsx(*state,
               PARTS({"xl/workbook.xml",
                      BOOK("",
                           "<sheet name=\"隐\" state=\"hidden\" r:id=\"a\"/><sheet name=\"图\" "
                           "r:id=\"b\"/><sheet name=\"表\" r:id=\"c\"/>"),
                      0},
                     {"xl/_rels/workbook.xml.rels",
                      BOOK_RELS(REL("a", "worksheet", "a.xml") REL("b", "chartsheet", "b.xml")
                                    REL("c", "worksheet", "/other/./x/../c.xml")),
                      0},
                     {"other/c.xml",
                      "<x:worksheet xmlns:x=\"http://purl.oclc.org/ooxml/spreadsheetml/main\" "
                      "xmlns:y=\"y\"><x:sheetData><x:row r=\"1\"><y:c><y:v>9</y:v></y:c>"
                      "<x:c><x:v>1</x:v></x:c></x:row></x:sheetData></x:worksheet>",
                      0}));
    assert_reads(*state, "[1]1\n");
}

/* The callback may end the reading without failure. */
static void test_sheet__callback_stops(void **state)
{
    struct world *w = *state;

    write_csv(w, "a\nb\nc\n");
    w->stop_at = 2;
    assert_reads(w, "[1]a\n[2]b\n");
}

/* hostile .xlsx */

/* Missing or misdirected parts are named. */
static void test_sheet__missing_parts(void **state)
{
    struct world *w = *state;

    write_xlsx(w, PARTS({"_rels/.rels", NULL, 0}));
    assert_refused(w, NULL, E_MALFORMED, "_rels/.rels");
    write_xlsx(w, PARTS({"xl/workbook.xml", NULL, 0}));
    assert_refused(w, NULL, E_MALFORMED, "xl/workbook.xml");
    write_xlsx(w, PARTS({"xl/other.xml", "<a/>", 0}));
    assert_refused(w, NULL, E_MALFORMED, "xl/worksheets/sheet1.xml");
    write_xlsx(w, PARTS({"xl/_rels/workbook.xml.rels",
                         BOOK_RELS(REL("rId9", "worksheet", "worksheets/sheet1.xml")), 0}));
    assert_refused(w, NULL, E_MALFORMED, "没有工作表");
    write_xlsx(w, PARTS({"xl/_rels/workbook.xml.rels",
                         BOOK_RELS(REL("rId1", "worksheet", "../../../etc/passwd")), 0}));
    assert_refused(w, NULL, E_MALFORMED, "缺少 etc/passwd");
}

/* A document type ends the reading before any entity could grow. */
static void test_sheet__doctype(void **state)
{
    write_xlsx(*state, PARTS({"xl/worksheets/sheet1.xml",
                              "<!DOCTYPE w [<!ENTITY a \"aaaa\">]><worksheet><sheetData><row><c>"
                              "<v>&a;</v></c></row></sheetData></worksheet>",
                              0}));
    assert_refused(*state, NULL, E_MALFORMED, "文档类型");
}

/* Broken XML and impossible rows and cells name sheet and row. */
static void test_sheet__broken_sheet(void **state)
{
    struct world *w = *state;

    write_xlsx(w, PARTS({"xl/worksheets/sheet1.xml", "<w><sheetData><row r=\"5\"><c></row>", 0}));
    assert_refused(w, NULL, E_MALFORMED, "工作表“台账”第 5 行");
    write_xlsx(w, PARTS(PART_SHEET("<row r=\"5\"/><row r=\"5\"/>")));
    assert_refused(w, NULL, E_MALFORMED, "第 5 行：行的次序");
    write_xlsx(w, PARTS(PART_SHEET("<row r=\"1048577\"/>")));
    assert_refused(w, NULL, E_TOOBIG, "行数超过上限");
    write_xlsx(w, PARTS(PART_SHEET("<row><c r=\"IW1\"><v>1</v></c></row>")));
    assert_refused(w, NULL, E_TOOBIG, "列数超过上限 256");
    write_xlsx(w, PARTS(PART_SHEET("<row><c r=\"XFE1\"/></row>")));
    assert_refused(w, NULL, E_MALFORMED, "单元格位置");
    write_xlsx(w, PARTS(PART_SHEET("<row><c t=\"s\"><v>0</v></c></row>")));
    assert_refused(w, NULL, E_MALFORMED, "共享字符串");
    write_xlsx(w, PARTS(PART_SHEET("<row><c t=\"zz\"><v>0</v></c></row>")));
    assert_refused(w, NULL, E_MALFORMED, "类型");
}

/* A part that expands out of all proportion is refused, and one that is simply too large. */
static void test_sheet__bomb(void **state)
{
    struct world *w = *state;
    struct sheet_limits limits = sheet_limits_default;
    struct buf text;

    buf_init(&text, 16 * 1024 * 1024);
    buf_str(&text, "<w><sheetData>");
    while (text.len < 8 * 1024 * 1024)
        buf_str(&text, "                                                                ");
    buf_str(&text, "</sheetData></w>");
    write_xlsx(w, PARTS({"xl/worksheets/sheet1.xml", (const char *)text.p, text.len}));
    assert_refused(w, NULL, E_TOOBIG, "压缩比");
    limits.entry_bytes = 1024 * 1024;
    assert_refused(w, &limits, E_TOOBIG, "展开后超过上限");
    limits = sheet_limits_default;
    limits.file_bytes = 100;
    assert_refused(w, &limits, E_TOOBIG, "文件超过上限");
    limits = sheet_limits_default;
    limits.entries = 2;
    assert_refused(w, &limits, E_TOOBIG, "部件超过上限");
    buf_release(&text);
}

/* A tag that goes on for megabytes would be read again with each chunk. */
static void test_sheet__endless_tag(void **state)
{
    struct world *w = *state;
    struct buf text;

    buf_init(&text, 16 * 1024 * 1024);
    buf_str(&text, "<w><sheetData><row r=\"");
    for (unsigned i = 0; text.len < 3 * 1024 * 1024; i++)
        buf_printf(&text, "%x", i * 2654435761u);
    buf_str(&text, "\"/></sheetData></w>");
    write_xlsx(w, PARTS({"xl/worksheets/sheet1.xml", (const char *)text.p, text.len}));
    assert_refused(w, NULL, E_MALFORMED, "标记");
    buf_release(&text);
}

/* Cells and shared strings have their own limits. */
static void test_sheet__long_texts(void **state)
{
    struct world *w = *state;
    struct sheet_limits limits = sheet_limits_default;
    struct part strings = {"xl/sharedStrings.xml", "<sst><si><t>123456789</t></si></sst>", 0};

    write_xlsx(w,
               PARTS(PART_SHEET("<row r=\"3\"><c t=\"str\"><v>123456789</v></c></row>"), strings));
    limits.cell_bytes = 8;
    assert_refused(w, &limits, E_TOOBIG, "共享字符串");
    limits.cell_bytes = 9;
    limits.strings_bytes = 12;
    assert_refused(w, &limits, E_TOOBIG, "共享字符串超过上限 12");
    limits.strings_bytes = 13;
    assert_int_equal(read_with(w, &limits), 0);
    write_xlsx(w, PARTS(PART_SHEET("<row r=\"3\"><c t=\"str\"><v>1234567890</v></c></row>")));
    assert_refused(w, &limits, E_TOOBIG, "第 3 行：单元格内容");
}

/* Wherever a file is cut, or a byte of it turned, reading ends: well or with a sentence. */
static void test_sheet__damaged(void **state)
{
    struct world *w = *state;
    struct buf bytes;

    buf_init(&bytes, 1024 * 1024);
    assert_int_equal(write_table(w, "t.xlsx"), 0);
    read_file(w, &bytes);
    for (size_t len = 0; len < bytes.len; len += 97) {
        struct slice cut = {bytes.p, len};

        buf_clear(&w->rows);
        w->err = (struct err){0};
        if (sheet_read_bytes(cut, NULL, note_row, w, &w->err) != 0)
            assert_int_not_equal(w->err.text[0], '\0');
        else
            assert_int_equal(len, 0);
    }
    for (size_t i = 0; i < bytes.len; i += 13) {
        bytes.p[i] ^= 0x55;
        buf_clear(&w->rows);
        w->err = (struct err){0};
        if (sheet_read_bytes(buf_slice(&bytes), NULL, note_row, w, &w->err) != 0)
            assert_int_not_equal(w->err.text[0], '\0');
        bytes.p[i] ^= 0x55;
    }
    buf_release(&bytes);
}

/* Other files say what they are. */
static void test_sheet__other_files(void **state)
{
    struct world *w = *state;

    write_bytes(w, "t.xlsx", "\xd0\xcf\x11\xe0\xa1\xb1", 6);
    assert_refused(w, NULL, E_MALFORMED, ".xls");
    write_bytes(w, "t.xlsx",
                "\xff\xfe"
                "a\0",
                4);
    assert_refused(w, NULL, E_MALFORMED, "UTF-16");
    assert_int_equal(unlink(w->path), 0);
    assert_refused(w, NULL, E_NOTFOUND, "没有这个文件");
    snprintf(w->path, sizeof w->path, "/dev/null");
    assert_refused(w, NULL, E_INVALID, "不是普通文件");
    name_file(w, "t.xlsx");
}

/* When memory runs out at any point the reading says so and leaks nothing. */
static void test_sheet__out_of_memory(void **state)
{
    struct world *w = *state;
    int ret = E_NOMEM;

    assert_int_equal(write_table(w, "t.xlsx"), 0);
    buf_grow(&w->rows, 65536); /* the test's own buffer is not the subject */
    for (unsigned i = 1; ret != 0; i++) {
        w->err = (struct err){0};
        buf_clear(&w->rows);
        mem_fault_set(i);
        ret = sheet_read(w->path, NULL, note_row, w, &w->err);
        mem_fault_set(0);
        assert_true(ret == 0 || ret == E_NOMEM);
        assert_true(i < 10000);
    }
    ret = E_NOMEM;
    for (unsigned i = 1; ret != 0; i++) {
        mem_fault_set(i);
        ret = write_table(w, "t.xlsx");
        mem_fault_set(0);
        assert_true(ret == 0 || ret == E_NOMEM);
        assert_true(i < 10000);
    }
}

/* reading .csv */

/* Quotes, all three line breaks, empty cells and lines, a last line without break. */
static void test_sheet__csv_forms(void **state)
{
    write_csv(*state, "a,b\r\n\"x,\"\"y\"\"\r\nz\",\rlast\n\n,,3\n,\n\"\"\nq\"q,end");
    assert_reads(*state, "[1]a|b\n[2]x,\"y\"\nz\n[3]last\n[5]||3\n[8]q\"q|end\n");
    write_csv(*state,
              "\xef\xbb\xbf"
              "姓名,'=x,''\t,'y\r\n");
    assert_reads(*state, "[1]姓名|=x|'\t|'y\n");
    write_csv(*state, "");
    assert_reads(*state, "");
}

/* What is not UTF-8 is read as GB18030, four-byte characters included. */
static void test_sheet__csv_gb18030(void **state)
{
    struct buf text;
    struct buf want;

    write_csv(*state, "\xb9\xf0\xd1\xf4\xcf\xd8,\x95\x32\x82\x36\n");
    assert_reads(*state, "[1]桂阳县|𠀀\n");
    /* Long enough that characters lie across the pieces of reading. */
    buf_init(&text, 1024 * 1024);
    buf_init(&want, 1024 * 1024);
    for (unsigned i = 1; i <= 20000; i++) {
        buf_str(&text, "\xb9\xf0\xd1\xf4,\x95\x32\x82\x36\n");
        buf_printf(&want, "[%u]桂阳|𠀀\n", i);
    }
    write_csv(*state, buf_cstr(&text));
    assert_reads(*state, buf_cstr(&want));
    buf_release(&text);
    buf_release(&want);
}

/* UTF-8 whose characters lie across the pieces of reading. */
static void test_sheet__csv_long(void **state)
{
    struct buf text;
    struct buf want;

    buf_init(&text, 1024 * 1024);
    buf_init(&want, 1024 * 1024);
    for (unsigned i = 1; i <= 20000; i++) {
        buf_str(&text, "资兴市,😀\r\n");
        buf_printf(&want, "[%u]资兴市|😀\n", i);
    }
    write_csv(*state, buf_cstr(&text));
    assert_reads(*state, buf_cstr(&want));
    buf_release(&text);
    buf_release(&want);
}

/* Broken .csv names the row. */
static void test_sheet__csv_broken(void **state)
{
    struct world *w = *state;

    write_csv(w, "a\nb,\"open\n\n");
    assert_refused(w, NULL, E_MALFORMED, "第 2 行：第 2 列的引号没有结束");
    write_csv(w, "a\n\"b\"c\n");
    assert_refused(w, NULL, E_MALFORMED, "第 2 行：第 1 列的引号后面");
    write_bytes(w, "t.csv", "a\0b", 3);
    assert_refused(w, NULL, E_MALFORMED, "空字符");
    write_csv(w, "a\n\xff\xff\n");
    assert_refused(w, NULL, E_MALFORMED, "GB18030");
    write_csv(w,
              "\xef\xbb\xbf"
              "a\xff\n");
    assert_refused(w, NULL, E_MALFORMED, "UTF-8");
}

/* texts of cells */

static void assert_number(double v, const char *want)
{
    char text[CELL_NUMBER_SIZE];
    size_t len = cell_number_text(v, text);

    assert_string_equal(text, want);
    assert_int_equal(len, strlen(want));
}

/* Numbers take their shortest text. */
static void test_sheet__number_text(void **state)
{
    (void)state;
    assert_number(0, "0");
    assert_number(-0.0, "0");
    assert_number(3, "3");
    assert_number(-1.5, "-1.5");
    assert_number(0.1 + 0.2, "0.30000000000000004");
    assert_number(1e20, "100000000000000000000");
    assert_number(1e21, "1e21");
    assert_number(1.25e-7, "1.25e-7");
    assert_number(0.000001, "0.000001");
    assert_number(-1.7976931348623157e308, "-1.7976931348623157e308");
    assert_number(123456.789, "123456.789");
    assert_true(cell_number_is_short(slice_str("-12.5")));
    assert_true(cell_number_is_short(slice_str("0")));
    assert_false(cell_number_is_short(slice_str("-0")));
    assert_false(cell_number_is_short(slice_str("1.50")));
    assert_false(cell_number_is_short(slice_str("007")));
    assert_false(cell_number_is_short(slice_str("1e5")));
    assert_false(cell_number_is_short(slice_str("1234567890123456")));
    assert_false(cell_number_is_short(slice_str("")));
    assert_false(cell_number_is_short(slice_str("-")));
    assert_false(cell_number_is_short(slice_str("1.")));
}

/* Number formats tell dates from numbers. */
static void test_sheet__formats(void **state)
{
    (void)state;
    assert_true(cell_format_is_date("yyyy/m/d;@"));
    assert_true(cell_format_is_date("[$-804]yyyy\"年\"m\"月\"d\"日\""));
    assert_true(cell_format_is_date("mm:ss.0"));
    assert_false(cell_format_is_date("General"));
    assert_false(cell_format_is_date("\"d\"0"));
    assert_false(cell_format_is_date("0\\d"));
    assert_false(cell_format_is_date("[Red]0.00;[Magenta]-0.00"));
    assert_false(cell_format_is_date("\"open"));
    assert_true(cell_builtin_is_date(14));
    assert_true(cell_builtin_is_date(58));
    assert_false(cell_builtin_is_date(49));
}

#define CASE(f) cmocka_unit_test_setup_teardown(test_sheet__##f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(xlsx_round_trip), CASE(csv_round_trip),
        CASE(csv_bytes),       CASE(deterministic),
        CASE(odd_characters),  CASE(failure_keeps_old_file),
        CASE(no_folder),       CASE(text_too_long_for_xlsx),
        CASE(shared_strings),  CASE(xml_forms),
        CASE(xml_malformed),   CASE(xml_pieces),
        CASE(cell_types),      CASE(dates),
        CASE(finds_the_sheet), CASE(callback_stops),
        CASE(missing_parts),   CASE(doctype),
        CASE(broken_sheet),    CASE(bomb),
        CASE(endless_tag),     CASE(long_texts),
        CASE(damaged),         CASE(other_files),
        CASE(out_of_memory),   CASE(csv_forms),
        CASE(csv_gb18030),     CASE(csv_long),
        CASE(csv_broken),      CASE(number_text),
        CASE(formats),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
