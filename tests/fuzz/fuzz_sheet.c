/* Any file a person may import. The first byte chooses how the rest is taken: 'c' a .csv, 'x' an .xlsx
 * as it stands, 'p' the parts of an .xlsx, NUL between them, so that checksums do not keep the fuzzer
 * out. Whatever comes, rows are well formed and a failure has a sentence. */
#include "common/base/text.h"
#include "common/sheet/sheet.h"

#include <assert.h>
#include <string.h>
#include <zip.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define N_PARTS 4

static const struct sheet_limits limits = {
    .file_bytes = 1 << 20,
    .entry_bytes = 1 << 20,
    .ratio = 250,
    .entries = 64,
    .rows = 100000,
    .columns = 64,
    .cell_bytes = 4096,
    .strings_bytes = 1 << 16,
};

static int check_row(void *ctx, const struct sheet_row *row, struct err *err)
{
    uint32_t *last = ctx;

    (void)err;
    assert(row->number > *last && row->number <= limits.rows);
    assert(row->n_cells >= 1 && row->n_cells <= limits.columns);
    assert(row->cells[row->n_cells - 1].len > 0);
    for (unsigned i = 0; i < row->n_cells; i++) {
        assert(row->cells[i].len <= limits.cell_bytes);
        assert(text_valid(row->cells[i]));
        assert(memchr(row->cells[i].p, '\r', row->cells[i].len) == NULL);
    }
    *last = row->number;
    return 0;
}

static void read_bytes(struct slice file)
{
    struct err err = {0};
    uint32_t last = 0;

    if (sheet_read_bytes(file, &limits, check_row, &last, &err) != 0)
        assert(err.ret != 0 && err.text[0] != '\0');
}

static void add_part(zip_t *zip, const char *name, const void *p, size_t len)
{
    zip_source_t *source = zip_source_buffer(zip, p, len, 0);
    zip_int64_t at;

    assert(source != NULL);
    at = zip_file_add(zip, name, source, 0);
    assert(at >= 0);
    assert(zip_set_file_compression(zip, (zip_uint64_t)at, ZIP_CM_STORE, 0) == 0);
}

static void add_parts(zip_t *zip, struct slice rest)
{
    static const char *const names[N_PARTS] = {"xl/s.xml", "xl/sharedStrings.xml", "xl/styles.xml",
                                               "xl/workbook.xml"};
    static const char root[] =
        "<r><Relationship Type='/officeDocument' Target='xl/workbook.xml'/></r>";
    static const char rels[] =
        "<r><Relationship Id='a' Type='/worksheet' Target='s.xml'/>"
        "<Relationship Id='b' Type='/sharedStrings' "
        "Target='sharedStrings.xml'/>"
        "<Relationship Id='c' Type='/styles' Target='styles.xml'/></r>";
    static const char book[] = "<w><sheet name='s' x:id='a'/></w>";
    unsigned i = 0;

    add_part(zip, "_rels/.rels", root, sizeof root - 1);
    add_part(zip, "xl/_rels/workbook.xml.rels", rels, sizeof rels - 1);
    for (; i < N_PARTS && rest.len > 0; i++) {
        const uint8_t *end = memchr(rest.p, 0, rest.len);
        size_t len = end == NULL ? rest.len : (size_t)(end - rest.p);

        add_part(zip, names[i], rest.p, len);
        len += end != NULL;
        rest = (struct slice){rest.p + len, rest.len - len};
    }
    if (i < N_PARTS)
        add_part(zip, names[N_PARTS - 1], book, sizeof book - 1);
}

static void read_parts(struct slice rest)
{
    static uint8_t file[1 << 20];
    zip_source_t *source = zip_source_buffer_create(NULL, 0, 0, NULL);
    zip_t *zip = zip_open_from_source(source, ZIP_TRUNCATE, NULL);
    zip_int64_t len;

    assert(zip != NULL);
    zip_source_keep(source);
    add_parts(zip, rest);
    assert(zip_close(zip) == 0);
    assert(zip_source_open(source) == 0);
    len = zip_source_read(source, file, sizeof file);
    assert(len >= 0);
    (void)zip_source_close(source); /* only read */
    zip_source_free(source);
    read_bytes((struct slice){file, (size_t)len});
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest;

    if (size < 1 || size > 1 << 18)
        return 0;
    rest = (struct slice){data + 1, size - 1};
    if (data[0] == 'p')
        read_parts(rest);
    else if (data[0] == 'c' || data[0] == 'x')
        read_bytes(rest);
    return 0;
}
