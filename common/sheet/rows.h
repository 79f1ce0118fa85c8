/* The row that is being read: its cells, its limits, and whom it goes to. Inside sheet only. */
#ifndef ZTC_SHEET_ROWS_H
#define ZTC_SHEET_ROWS_H

#include "common/sheet/sheet.h"

/* Where a cell's text stands: in rows.text while it grows and so may move, or elsewhere for good. */
struct row_span {
    const uint8_t *elsewhere; /* NULL: at OFFSET of rows.text */
    size_t offset;
    size_t len;
};

struct rows {
    const struct sheet_limits *limits;
    sheet_row_cb cb;
    void *ctx;
    struct err *err;
    const char *sheet; /* name for messages, NULL in .csv */
    struct buf text;   /* texts of this row */
    size_t cell_start; /* where the open cell's text begins in TEXT */
    uint32_t number;   /* of this row, 0 before the first */
    unsigned n_cells;  /* spans in use */
    bool from_cb;      /* the failure is CB's own and has its own sentence */
    struct row_span spans[SHEET_COLUMNS_MAX];
    struct slice cells[SHEET_COLUMNS_MAX];
};

void sheet_rows_init(struct rows *r, const struct sheet_limits *limits, sheet_row_cb cb, void *ctx,
               struct err *err);
void sheet_rows_release(struct rows *r);

/* Forget the last row's cells and begin row NUMBER. E_TOOBIG beyond the limit. */
int rows_begin(struct rows *r, uint32_t number);

/* Begin a cell's text, add to it, drop it. */
void rows_cell_begin(struct rows *r);
int rows_cell_put(struct rows *r, const void *p, size_t len);
struct slice rows_cell_text(const struct rows *r);

/* Make the open text the cell of COLUMN (from 0). An empty one leaves the column as it is. */
int rows_cell_end(struct rows *r, unsigned column);

/* Make TEXT, which outlives the row, the cell of COLUMN. */
int rows_cell_borrow(struct rows *r, unsigned column, struct slice text);

/* Pass the row on when it has content. 0, SHEET_STOP or a failure. */
int rows_end(struct rows *r);

/* Record RET with a sentence that names sheet and row. */
int rows_blame(struct rows *r, int ret, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif
