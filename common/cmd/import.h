/* A sheet into records: every row becomes the fields of a new record, or the changed fields of the record
 * whose id stands in its last column. Nothing is written here; the caller writes, and takes all back
 * when a row was bad. */
#ifndef ZTC_CMD_IMPORT_H
#define ZTC_CMD_IMPORT_H

#include "common/cmd/edit.h"

#define IMPORT_PROBLEMS_KEPT 1000u

struct import_options {
    const char *path;
    const struct kind *kind;
    const struct pair *map; /* column title=field; an empty field leaves the column out */
    size_t n_map;
    const struct pair
        *set; /* field=value for columns the sheet lacks, and for empty cells of new rows */
    size_t n_set;
    bool historic;
    uint32_t site; /* 0: the records' site is the writer's affair */
};

/* One good row. Lives until the callback returns. */
struct import_row {
    uint32_t number;          /* in the sheet, from 1 */
    const struct row *before; /* NULL: a new record */
    struct field_change *fields;
    size_t n_fields;
    struct slice state; /* of a historic record; empty: as it is created */
};

struct import_problem {
    uint32_t row;
    const char *column; /* "" when the whole row is meant */
    const char *reason;
};

struct import_report {
    struct arena arena;              /* of the problems */
    struct import_problem *problems; /* the first IMPORT_PROBLEMS_KEPT */
    size_t n_kept, n_problems;
    uint64_t n_rows, n_new, n_changed, n_same;
    const char *ignored; /* titles of columns that were not taken, joined by 、; "" */
};

void import_report_init(struct import_report *r);
void import_report_release(struct import_report *r);

/* Read the whole sheet. ROW_CB is called for each good row that is new or changes something; a failure of
 * it that is the row's own fault (a rule, a role, a state) becomes a problem of that row, any other ends
 * the reading. 0 also when there were problems: look at the report. E_USAGE (--map or --set do not fit),
 * E_INVALID (no header row), or what sheet_read returns. */
int import_read(const struct import_options *o, struct names *names,
                int (*row_cb)(void *ctx, const struct import_row *row, struct err *err), void *ctx,
                struct import_report *report, struct err *err);

/* "第12行 联系方式 不是有效手机号", appended. */
void import_problem_put(struct buf *out, const struct import_problem *p);

/* A line that names the columns that were not known, and what to do about them; nothing without any. */
void import_ignored_put(struct buf *out, const struct import_report *r);

#endif
