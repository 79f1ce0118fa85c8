/* A ledger as a sheet that people read and `import` reads back.
 *
 * One column for each field the ledger keeps, then 编号, 状态, 已作废, 作废原因, 历史补录 and, last, 记录标识.
 * The file depends on the records alone: equal replicas export equal bytes. */
#ifndef ZTC_CMD_EXPORT_H
#define ZTC_CMD_EXPORT_H

#include "common/cmd/names.h"

/* The last column's title: a row that has it filled updates that record. */
#define SHEET_ID_TITLE "记录标识"
/* What a total row begins with; an import passes over it. */
#define SHEET_TOTAL_TITLE "合计"

struct export_options {
    const struct kind *kind;
    const struct store_filter *filters;
    size_t n_filters;
    bool report;        /* title, 填报单位 and 导出时间 above, 合计 below */
    const char *office; /* 填报单位 */
    msec_t now;         /* 导出时间 */
};

/* Write PATH, .xlsx or .csv by its name. *RET_N is the number of records. E_USAGE (another name), E_IO,
 * E_FULL, E_TOOBIG. */
int export_write(const char *path, struct store *store, struct names *names,
                 const struct export_options *o, size_t *ret_n, struct err *err);

/* The columns in order, ending before 记录标识: into RET, at most MAX; their number. */
unsigned export_columns(const struct kind *kind, const struct field **ret, unsigned max);

/* What stands in the cell of a masked value. */
int export_mask(struct buf *out, const struct field *f, const struct value *v);

#endif
