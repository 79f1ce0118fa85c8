/* Writing .xlsx through libxlsxwriter in constant memory.
 *
 * The library ignores failures of its temporary files, which lie in the target's folder: on a full
 * disk it can finish without a word and leave out rows. So the finished file is read back, and every
 * row and cell counted, before it takes its place. */
#include "common/sheet/celltext.h"
#include "common/sheet/writer.h"

#include "common/base/mem.h"
#include "common/base/text.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <xlsxwriter.h>

#define CREATED      946684800 /* 2000-01-01: the time of writing would make each file differ */
#define TAB_NAME_MAX 31
#define TITLE_HEIGHT 30
#define PAPER_A4     9
#define ALMOST_FULL  (4 * 1024 * 1024)
#define N_STYLES     (SHEET_NOTE + 1)

enum look { LOOK_TEXT, LOOK_DATE, LOOK_DATETIME, N_LOOKS };

struct sheet_xlsx {
    lxw_workbook *book;
    lxw_worksheet *sheet;
    lxw_format *title;
    lxw_format *formats[N_STYLES][N_LOOKS];
};

/* What a failure of the library means, errno being that of the same call or 0. */
static int lxw_fail(struct sheet_writer *w, lxw_error error, struct err *err)
{
    bool full = errno == ENOSPC || errno == EDQUOT;
    struct statvfs disk;

    switch (error) {
    case LXW_ERROR_MEMORY_MALLOC_FAILED:
        return err_set(err, E_NOMEM, NULL);
    case LXW_ERROR_MAX_STRING_LENGTH_EXCEEDED:
        return err_set(err, E_TOOBIG, "第 %u 行有文字超过 32767 个字，.xlsx 放不下，请导出为 .csv",
                       (unsigned)w->n_rows + 1);
    default:
        /* Not every path of the library keeps errno; then the disk itself tells. */
        if (!full && statvfs(w->dir, &disk) == 0)
            full = disk.f_bavail * disk.f_frsize < ALMOST_FULL;
        return err_set(err, full ? E_FULL : E_IO, NULL);
    }
}

static void set_look(lxw_format *f, enum sheet_style style, enum look look)
{
    format_set_align(f, LXW_ALIGN_VERTICAL_TOP);
    format_set_text_wrap(f);
    if (style != SHEET_NOTE)
        format_set_border(f, LXW_BORDER_THIN);
    if (style == SHEET_HEADER || style == SHEET_TOTAL)
        format_set_bold(f);
    if (style == SHEET_HEADER) {
        format_set_align(f, LXW_ALIGN_CENTER);
        format_set_align(f, LXW_ALIGN_VERTICAL_CENTER);
    }
    if (look == LOOK_DATE)
        format_set_num_format(f, "yyyy/m/d");
    else if (look == LOOK_DATETIME)
        format_set_num_format(f, "yyyy/m/d h:mm:ss");
}

static int make_formats(struct sheet_xlsx *x)
{
    for (unsigned style = 0; style < N_STYLES; style++) {
        for (unsigned look = 0; look < N_LOOKS; look++) {
            lxw_format *f = workbook_add_format(x->book);

            if (f == NULL)
                return E_NOMEM;
            set_look(f, (enum sheet_style)style, (enum look)look);
            x->formats[style][look] = f;
        }
    }
    x->title = workbook_add_format(x->book);
    if (x->title == NULL)
        return E_NOMEM;
    format_set_bold(x->title);
    format_set_font_size(x->title, 16);
    format_set_align(x->title, LXW_ALIGN_CENTER);
    format_set_align(x->title, LXW_ALIGN_VERTICAL_CENTER);
    return 0;
}

/* A tab's name has at most 31 characters, none of them []:*?/\ and no apostrophe at its ends. */
static void put_tab_name(struct buf *out, const char *name)
{
    struct slice s = slice_str(name);
    size_t at = 0;

    for (unsigned n = 0; n < TAB_NAME_MAX && at < s.len; n++) {
        uint32_t c = text_next(s, &at);

        text_put(out, c < 0x20 || (c < 0x80 && strchr("[]:*?/\\'", (int)c) != NULL) ? '_' : c);
    }
    if (out->len == 0)
        buf_str(out, "Sheet1");
}

/* Looks of the page: landscape A4, one page wide, pages numbered. */
static void set_page(struct sheet_xlsx *x)
{
    worksheet_set_landscape(x->sheet);
    worksheet_set_paper(x->sheet, PAPER_A4);
    worksheet_fit_to_pages(x->sheet, 1, 0);
    (void)worksheet_set_footer(x->sheet, "&C第 &P 页，共 &N 页"); /* fails for long text only */
}

static int set_columns(struct sheet_writer *w, const struct sheet_options *options)
{
    for (unsigned i = 0; options->columns != NULL && i < options->n_columns; i++) {
        const struct sheet_column *c = &options->columns[i];
        lxw_row_col_options hidden = {.hidden = c->hidden};

        if (c->width <= 0 && !c->hidden)
            continue;
        if (worksheet_set_column_opt(w->xlsx->sheet, (lxw_col_t)i, (lxw_col_t)i,
                                     c->width <= 0 ? LXW_DEF_COL_WIDTH : c->width, NULL,
                                     &hidden) != LXW_NO_ERROR)
            return E_NOMEM;
    }
    return 0;
}

static int make_book(struct sheet_writer *w, const struct sheet_options *options)
{
    struct sheet_xlsx *x = w->xlsx;
    lxw_workbook_options how = {.constant_memory = LXW_TRUE, .tmpdir = w->dir};
    lxw_doc_properties properties = {.created = CREATED};

    x->book = workbook_new_opt(w->temp_path, &how);
    if (x->book == NULL)
        return E_NOMEM;
    put_tab_name(&w->scratch, options->name == NULL ? "" : options->name);
    x->sheet = workbook_add_worksheet(x->book, buf_cstr(&w->scratch));
    if (x->sheet == NULL || workbook_set_properties(x->book, &properties) != LXW_NO_ERROR ||
        make_formats(x) != 0 || set_columns(w, options) != 0)
        return E_NOMEM;
    set_page(x);
    return 0;
}

/* The text of a cell as the library takes it. */
static int put_string(struct sheet_writer *w, unsigned column, struct slice text,
                      lxw_format *format, struct err *err)
{
    struct sheet_xlsx *x = w->xlsx;
    const char *string;
    lxw_error error;

    buf_clear(&w->scratch);
    cell_escape(&w->scratch, text);
    string = buf_cstr(&w->scratch);
    if (w->scratch.ret != 0)
        return err_set(err, w->scratch.ret, "第 %u 行第 %u 列：%s", (unsigned)w->n_rows + 1,
                       column + 1, err_text(w->scratch.ret));
    error = worksheet_write_string(x->sheet, w->n_rows, (lxw_col_t)column, string, format);
    return error == LXW_NO_ERROR ? 0 : lxw_fail(w, error, err);
}

/* A day that spreadsheet programs cannot count is written as text. */
static int put_date(struct sheet_writer *w, unsigned column, const struct sheet_cell *cell,
                    lxw_format *const formats[N_LOOKS], struct err *err)
{
    bool timed = cell->kind == SHEET_DATETIME;
    msec_t local = timed ? cell->at + 8 * 3600 * (msec_t)1000 : 0;
    day_t day = timed ? cal_day_of(cell->at) : cell->day;
    char text[CAL_DATE_SIZE];
    double serial;
    lxw_error error;

    if (!cell_serial_of(day, (unsigned)(local / 1000 % 86400), &serial)) {
        cal_format_date(day, text);
        return put_string(w, column, slice_str(text), formats[LOOK_TEXT], err);
    }
    error = worksheet_write_number(w->xlsx->sheet, w->n_rows, (lxw_col_t)column, serial,
                                   formats[timed ? LOOK_DATETIME : LOOK_DATE]);
    return error == LXW_NO_ERROR ? 0 : lxw_fail(w, error, err);
}

static int put_cell(struct sheet_writer *w, unsigned column, const struct sheet_cell *cell,
                    lxw_format *const formats[N_LOOKS], struct err *err)
{
    lxw_worksheet *sheet = w->xlsx->sheet;
    lxw_error error;

    if (cell->kind == SHEET_TEXT && cell->text.len > 0)
        return put_string(w, column, cell->text, formats[LOOK_TEXT], err);
    if (cell->kind == SHEET_DATE || cell->kind == SHEET_DATETIME)
        return put_date(w, column, cell, formats, err);
    if (cell->kind == SHEET_NUMBER)
        error = worksheet_write_number(sheet, w->n_rows, (lxw_col_t)column, cell->number,
                                       formats[LOOK_TEXT]);
    else /* a blank keeps its border */
        error = worksheet_write_blank(sheet, w->n_rows, (lxw_col_t)column, formats[LOOK_TEXT]);
    return error == LXW_NO_ERROR ? 0 : lxw_fail(w, error, err);
}

static int xlsx_row(struct sheet_writer *w, enum sheet_style style, const struct sheet_cell *cells,
                    unsigned n_cells, struct err *err)
{
    struct sheet_xlsx *x = w->xlsx;

    errno = 0;
    for (unsigned i = 0; i < n_cells; i++) {
        int ret = put_cell(w, i, &cells[i], x->formats[style], err);

        if (ret != 0)
            return ret;
    }
    if (style == SHEET_HEADER) {
        worksheet_freeze_panes(x->sheet, w->n_rows + 1, 0);
        if (worksheet_repeat_rows(x->sheet, w->n_rows, w->n_rows) != LXW_NO_ERROR)
            return err_set(err, E_NOMEM, NULL);
    }
    return 0;
}

static int xlsx_title(struct sheet_writer *w, const char *title, struct err *err)
{
    struct sheet_xlsx *x = w->xlsx;
    lxw_error error;

    if (w->n_columns < 2)
        return put_string(w, 0, slice_str(title), x->title, err);
    errno = 0;
    buf_clear(&w->scratch);
    cell_escape(&w->scratch, slice_str(title));
    (void)worksheet_set_row(x->sheet, w->n_rows, TITLE_HEIGHT, NULL); /* a look */
    error = worksheet_merge_range(x->sheet, w->n_rows, 0, w->n_rows, (lxw_col_t)(w->n_columns - 1),
                                  buf_cstr(&w->scratch), x->title);
    return error == LXW_NO_ERROR ? 0 : lxw_fail(w, error, err);
}

static int count_row(void *ctx, const struct sheet_row *row, struct err *err)
{
    uint64_t *n_full = ctx;

    (void)err;
    for (unsigned i = 0; i < row->n_cells; i++)
        *n_full += row->cells[i].len > 0;
    return 0;
}

/* The limits are for strangers' files; this one is ours. ERROR is errno of the writing. */
static int read_back(struct sheet_writer *w, int error, struct err *err)
{
    struct sheet_limits limits = sheet_limits_default;
    uint64_t n_full = 0;
    int ret;

    limits.file_bytes = limits.entry_bytes = UINT64_MAX;
    limits.ratio = UINT32_MAX;
    limits.cell_bytes = 2 * limits.cell_bytes;
    ret = sheet_read(w->temp_path, &limits, count_row, &n_full, err);
    if (ret == E_NOMEM)
        return ret;
    errno = error;
    if (ret != 0 || n_full != w->n_full)
        return lxw_fail(w, LXW_ERROR_ZIP_CLOSE, err);
    return 0;
}

static int xlsx_finish(struct sheet_writer *w, struct err *err)
{
    lxw_error error;

    errno = 0;
    error = workbook_close(w->xlsx->book);
    w->xlsx->book = NULL;
    if (error != LXW_NO_ERROR)
        return lxw_fail(w, error, err);
    return read_back(w, errno, err);
}

static void xlsx_release(struct sheet_writer *w)
{
    if (w->xlsx != NULL && w->xlsx->book != NULL)
        lxw_workbook_free(w->xlsx->book);
    mem_free(w->xlsx);
}

int xlsx_writer_open(struct sheet_writer *w, int fd, const struct sheet_options *options,
                     struct err *err)
{
    static const struct sheet_back back = {xlsx_title, xlsx_row, xlsx_finish, xlsx_release};

    (void)close(fd); /* empty; the library opens the path when it is done */
    w->back = &back;
    w->xlsx = mem_calloc(1, sizeof *w->xlsx);
    if (w->xlsx == NULL || make_book(w, options) != 0)
        return err_set(err, E_NOMEM, NULL);
    return 0;
}
