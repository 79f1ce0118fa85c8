/* What a sheet of an .xlsx needs from the rest of its workbook: which part it is, the shared strings,
 * which cell styles are dates. Inside sheet only. */
#ifndef ZTC_SHEET_BOOK_H
#define ZTC_SHEET_BOOK_H

#include "common/sheet/package.h"

#include "common/base/arena.h"

#define PART_NAME_SIZE 512
#define STYLES_MAX     65536

struct book {
    struct package *package;
    struct arena arena; /* sheet names and relationship ids */
    char workbook_part[PART_NAME_SIZE];
    char sheet_part[PART_NAME_SIZE];
    const char *sheet_name;
    char strings_part[PART_NAME_SIZE]; /* "" when the book has none */
    char styles_part[PART_NAME_SIZE];
    bool since_1904;

    struct buf strings;    /* shared strings one behind the other */
    uint32_t *string_ends; /* where each ends in STRINGS */
    size_t n_strings;
    size_t strings_cap;

    uint8_t style_is_date[STYLES_MAX / 8];
    unsigned n_styles;
};

/* Read all of that. B is released in either case by book_release. */
int book_read(struct book *b, struct package *package, struct err *err);
void book_release(struct book *b);

/* Shared string I; false when there is none. Stands until book_release. */
bool book_string(const struct book *b, uint64_t i, struct slice *ret_text);

bool book_style_is_date(const struct book *b, uint64_t style);

/* The pieces, each in a file of its own. */
int book_find_sheet(struct book *b, struct err *err);
int book_read_styles(struct book *b, struct err *err);
int book_read_strings(struct book *b, struct err *err);

#endif
