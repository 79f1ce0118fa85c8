/* Writing .csv: UTF-8 with byte order mark, CR LF between records, LF inside cells, formula-safe. */
#include "common/sheet/celltext.h"
#include "common/sheet/writer.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

static void put_date(struct buf *out, day_t day)
{
    char text[CAL_DATE_SIZE];

    cal_format_date(day, text);
    buf_str(out, text);
}

static void put_datetime(struct buf *out, msec_t at)
{
    char text[CAL_DATETIME_SIZE];

    cal_format_datetime(at, text);
    text[10] = ' ';
    /* Midnight reads back as a date, as it does from .xlsx. */
    buf_put(out, text, memcmp(text + 11, "00:00:00", 8) == 0 ? 10 : 19);
}

/* TEXT with LF only, guarded, and quoted where a reader would cut or trim it. */
static void put_text(struct buf *out, struct slice text)
{
    bool quote = false;

    for (size_t i = 0; i < text.len && !quote; i++)
        quote = strchr("\",\r\n\t ", text.p[i]) != NULL;
    if (quote)
        buf_u8(out, '"');
    if (cell_needs_guard(text))
        buf_u8(out, '\'');
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.p[i];

        if (c == '\r' && i + 1 < text.len && text.p[i + 1] == '\n')
            continue;
        if (c == '"')
            buf_u8(out, '"');
        buf_u8(out, c == '\r' ? '\n' : c);
    }
    if (quote)
        buf_u8(out, '"');
}

static void put_cell(struct buf *out, const struct sheet_cell *cell)
{
    char number[CELL_NUMBER_SIZE];

    switch (cell->kind) {
    case SHEET_EMPTY:
        break;
    case SHEET_TEXT:
        put_text(out, cell->text);
        break;
    case SHEET_NUMBER:
        buf_put(out, number, cell_number_text(cell->number, number));
        break;
    case SHEET_DATE:
        put_date(out, cell->day);
        break;
    case SHEET_DATETIME:
        put_datetime(out, cell->at);
        break;
    }
}

/* Put the scratch buffer out as one record. */
static int put_record(struct sheet_writer *w, struct err *err)
{
    struct slice record;

    buf_str(&w->scratch, "\r\n");
    if (w->scratch.ret != 0)
        return err_set(err, w->scratch.ret, "第 %u 行：%s", (unsigned)w->n_rows + 1,
                       err_text(w->scratch.ret));
    record = buf_slice(&w->scratch);
    if (fwrite(record.p, 1, record.len, w->csv) != record.len)
        return writer_fail(err, errno);
    return 0;
}

static int csv_row(struct sheet_writer *w, enum sheet_style style, const struct sheet_cell *cells,
                   unsigned n_cells, struct err *err)
{
    (void)style;
    buf_clear(&w->scratch);
    for (unsigned i = 0; i < n_cells; i++) {
        if (i > 0)
            buf_u8(&w->scratch, ',');
        put_cell(&w->scratch, &cells[i]);
    }
    return put_record(w, err);
}

static int csv_title(struct sheet_writer *w, const char *title, struct err *err)
{
    struct sheet_cell cell = {.kind = SHEET_TEXT, .text = slice_str(title)};

    return csv_row(w, SHEET_BODY, &cell, 1, err);
}

static int csv_finish(struct sheet_writer *w, struct err *err)
{
    FILE *file = w->csv;

    w->csv = NULL;
    return fclose(file) == 0 ? 0 : writer_fail(err, errno);
}

static void csv_release(struct sheet_writer *w)
{
    if (w->csv != NULL)
        (void)fclose(w->csv); /* the file is thrown away */
}

int csv_writer_open(struct sheet_writer *w, int fd, struct err *err)
{
    static const struct sheet_back back = {csv_title, csv_row, csv_finish, csv_release};

    w->csv = fdopen(fd, "wb");
    if (w->csv == NULL) {
        int error = errno;

        (void)close(fd); /* still empty */
        return writer_fail(err, error);
    }
    w->back = &back;
    if (fputs("\xef\xbb\xbf", w->csv) == EOF)
        return writer_fail(err, errno);
    return 0;
}
