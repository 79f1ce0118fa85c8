/* The two backs of struct sheet_writer. Inside sheet only. */
#ifndef ZTC_SHEET_WRITER_H
#define ZTC_SHEET_WRITER_H

#include "common/sheet/sheet.h"

#include <stdio.h>

/* What each format does. Texts have been checked. Each returns 0 or a failure with its sentence. */
struct sheet_back {
    int (*title)(struct sheet_writer *w, const char *title, struct err *err);
    int (*row)(struct sheet_writer *w, enum sheet_style style, const struct sheet_cell *cells,
               unsigned n_cells, struct err *err);
    int (*finish)(struct sheet_writer *w, struct err *err); /* the temporary file is complete */
    void (*release)(struct sheet_writer *w);                /* also after finish */
};

struct sheet_xlsx; /* libxlsxwriter's things */

struct sheet_writer {
    const struct sheet_back *back;
    char *path;
    char *temp_path; /* NULL once it was renamed */
    char *dir;       /* of both */
    unsigned n_columns;
    uint32_t n_rows; /* written */
    uint64_t n_full; /* cells with content, to compare when the file is read back */
    int ret;         /* the first failure */
    struct buf scratch;
    FILE *csv;
    struct sheet_xlsx *xlsx;
};

/* Open the temporary file as the format at FD (taken in either case) or at w->temp_path. */
int csv_writer_open(struct sheet_writer *w, int fd, struct err *err);
int xlsx_writer_open(struct sheet_writer *w, int fd, const struct sheet_options *options,
                     struct err *err);

/* E_FULL, E_NOMEM or E_IO for errno, with a sentence. */
int writer_fail(struct err *err, int error);

#endif
