/* The bytes of a file to read, on disk or in memory, and the readers of each format. */
#ifndef ZTC_SHEET_INPUT_H
#define ZTC_SHEET_INPUT_H

#include "common/sheet/rows.h"

#include <stdio.h>

struct input {
    const char *path;   /* NULL in memory */
    FILE *file;         /* NULL in memory */
    struct slice bytes; /* in memory */
    uint64_t size;
};

/* Up to LEN bytes from OFFSET; less only at the end. 0 or E_IO. */
int input_read(struct input *in, uint64_t offset, uint8_t *p, size_t len, size_t *ret_len);

/* 0, SHEET_STOP, or a failure with its sentence. */
int xlsx_read(struct input *in, struct rows *rows);
int csv_read(struct input *in, struct rows *rows);

#endif
