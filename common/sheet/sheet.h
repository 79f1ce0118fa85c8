/* Tables in files: reads .xlsx and .csv row by row, writes both. Knows nothing of the catalogue.
 *
 * Reading. The format is told by the content, not by the name. Every cell arrives as UTF-8 text with
 * LF as the only line break:
 *   number      the shortest decimal text that gives the same number; integers without ".0"
 *   date        "YYYY-MM-DD", with a time of day "YYYY-MM-DD HH:MM:SS", a bare time "HH:MM:SS";
 *               an .xlsx cell is a date when its number format shows a year, month, day or hour
 *   logical     "TRUE" or "FALSE"; an error value as it is shown, "#N/A"
 *   .csv        UTF-8 with or without BOM, else GB18030; RFC 4180 quotes; CR, LF or CR LF
 *
 * Formula-safe .csv. Excel runs a .csv cell that begins with = + - @ TAB or CR as a formula. The
 * writer puts one apostrophe before a text that is such a character after any number of apostrophes
 * (counting LF too, because CR becomes LF), and the reader takes one apostrophe from exactly those
 * texts. What was exported is therefore imported unchanged.
 *
 * Writing. The same input gives the same bytes. The file is made beside its place under another
 * name, synced, and renamed: a failure leaves whatever stood there. */
#ifndef ZTC_SHEET_SHEET_H
#define ZTC_SHEET_SHEET_H

#include "common/base/buf.h"
#include "common/base/cal.h"
#include "common/base/err.h"

#define SHEET_COLUMNS_MAX 256
#define SHEET_STOP        1 /* a row callback returns it to end the reading without failure */

/* What a file may cost. Beyond any of them the reading fails with E_TOOBIG. */
struct sheet_limits {
    uint64_t file_bytes;    /* the file itself */
    uint64_t entry_bytes;   /* one part of an .xlsx, expanded: as declared and as counted */
    unsigned ratio;         /* expanded to packed size of a part, beyond the first 4 MiB */
    unsigned entries;       /* parts of an .xlsx */
    uint32_t rows;          /* highest row number */
    unsigned columns;       /* at most SHEET_COLUMNS_MAX */
    size_t cell_bytes;      /* text of one cell */
    uint64_t strings_bytes; /* shared strings of an .xlsx, with their index */
};

/* 256 MiB, 256 MiB, 250, 4,096, 1,048,576, 256, 128 KiB, 256 MiB. */
extern const struct sheet_limits sheet_limits_default;

/* One row with content. Everything is borrowed until the callback returns. */
struct sheet_row {
    uint32_t number;  /* from 1, as a spreadsheet program numbers it; gaps are empty rows */
    unsigned n_cells; /* up to the last cell that is not empty, at least 1 */
    const struct slice *cells; /* an empty cell is an empty slice */
};

/* 0 goes on, SHEET_STOP ends well, an E_* code (its sentence in ERR) ends the reading with it. */
typedef int (*sheet_row_cb)(void *ctx, const struct sheet_row *row, struct err *err);

/* Pass each row with content of the file's first visible sheet to CB, in order. NULL limits are the
 * default ones. E_NOTFOUND: no such file; E_MALFORMED: not a table, damaged or hostile; E_TOOBIG: a
 * limit; E_NOMEM, E_IO; or what CB returned. The sentence names sheet and row. Rows may have been
 * passed before a failure. */
int sheet_read(const char *path, const struct sheet_limits *limits, sheet_row_cb cb, void *ctx,
               struct err *err);

/* The same for a file in memory. */
int sheet_read_bytes(struct slice file, const struct sheet_limits *limits, sheet_row_cb cb,
                     void *ctx, struct err *err);

enum sheet_format { SHEET_XLSX, SHEET_CSV };

/* By the end of the name; SHEET_XLSX unless it is .csv. */
enum sheet_format sheet_format_of(const char *path);

enum sheet_cell_kind {
    SHEET_EMPTY,
    SHEET_TEXT,     /* text: valid UTF-8 without NUL; .xlsx takes 32,767 characters */
    SHEET_NUMBER,   /* number: finite */
    SHEET_DATE,     /* day */
    SHEET_DATETIME, /* at, shown in local time without milliseconds */
};

struct sheet_cell {
    enum sheet_cell_kind kind;
    struct slice text;
    double number;
    day_t day;
    msec_t at;
};

/* How a row looks in .xlsx; .csv has no looks. */
enum sheet_style { SHEET_BODY, SHEET_HEADER, SHEET_TOTAL, SHEET_NOTE };

struct sheet_column {
    double width; /* in characters, 0 for the program's default */
    bool hidden;
};

struct sheet_options {
    enum sheet_format format;
    const char *name;                   /* of the sheet's tab; NULL for Sheet1 */
    const struct sheet_column *columns; /* may be NULL */
    unsigned n_columns;                 /* also the width of the title */
};

struct sheet_writer;

/* Begin a file that will stand at PATH. OPTIONS are copied. E_FULL, E_IO, E_NOMEM. */
int sheet_writer_new(const char *path, const struct sheet_options *options, struct err *err,
                     struct sheet_writer **ret_writer);

/* A row that holds a title: large, centred over all columns. */
int sheet_writer_title(struct sheet_writer *w, const char *title, struct err *err);

/* The names of the columns: bold, staying in view, repeated on each printed page. */
int sheet_writer_header(struct sheet_writer *w, const char *const *names, unsigned n_names,
                        struct err *err);

/* The next row. E_INVALID: text that is not UTF-8, a number that is not finite; E_TOOBIG: text or
 * rows beyond the format; E_FULL, E_IO, E_NOMEM. After a failure the writer takes nothing more. */
int sheet_writer_row(struct sheet_writer *w, enum sheet_style style, const struct sheet_cell *cells,
                     unsigned n_cells, struct err *err);

/* Complete the file and put it in its place. Only free the writer afterwards. */
int sheet_writer_finish(struct sheet_writer *w, struct err *err);

/* Unfinished work leaves no file. NULL is fine. */
void sheet_writer_free(struct sheet_writer *w);

#endif
