/* How rules read other records: the store inside its transaction at the city, the replica at the
 * county, a map in tests. Rows belong to the lookup's arena and live as long as the act. */
#ifndef ZTC_CATALOGUE_LOOKUP_H
#define ZTC_CATALOGUE_LOOKUP_H

#include "common/catalogue/row.h"

typedef int (*lookup_row_cb)(void *ctx, struct row *row); /* non-zero stops, and is returned */

struct lookup {
    /* The record, or *ret_row = NULL when there is none. */
    int (*get)(void *ctx, const struct kind *kind, const struct id *id, struct row **ret_row);
    /* Every unvoided record of KIND whose field TAG equals V (an indexed field), by id. */
    int (*find)(void *ctx, const struct kind *kind, uint32_t tag, const struct value *v,
                lookup_row_cb cb, void *cb_ctx);
    void *ctx;
};

int lookup_get(const struct lookup *l, const char *kind, const struct id *id,
               struct row **ret_row);

/* The record that field NAME of ROW refers to; NULL when the field is null or dangling. */
int lookup_ref(const struct lookup *l, const struct row *row, const char *name,
               struct row **ret_row);

/* Collect what find gives: *ret_rows in A. */
int lookup_find(const struct lookup *l, struct arena *a, const char *kind, const char *field,
                const struct value *v, struct row ***ret_rows, size_t *ret_n);

#endif
