/* Where two sides' rows differ: sums over ranges of ids, and the rows of the smallest.
 *
 * The city cuts a range of a kind's rows in a stream into parts of equal size and tells each part's sum; the
 * county adds up its own rows within the same bounds. A million rows are two cuts and one list away from the
 * row. */
#ifndef ZTC_LEDGER_RANGES_H
#define ZTC_LEDGER_RANGES_H

#include "common/ledger/digest_list.h"
#include "common/ledger/store.h"

/* A kind's rows in a stream (0: in any) with ids above `after`, up to and with `upto`. */
struct row_range {
    uint32_t stream;
    const struct kind *kind;
    struct id after, upto;
    bool has_after;
};

struct row_range row_range_all(uint32_t stream, const struct kind *kind);

/* The rows of a range by id; CB's row lives until CB returns. One that is damaged comes with its id and
 * `exists` unset. */
int store_range_each(struct store *s, const struct row_range *range,
                     int (*cb)(void *ctx, struct row *row), void *ctx, struct err *err);

/* The digest of such a row: of a damaged one a number that no other row has. */
int store_range_digest(struct store *s, const struct row *row, struct digest *ret, struct err *err);

/* Append to OUT the sums of the range's parts, or (*ret_rows) the digests of its rows when they are few.
 * For a store where nothing is pending. */
int store_range_tell(struct store *s, const struct row_range *range, struct buf *out,
                     bool *ret_rows, struct err *err);

/* The sums of the rows here between the bounds of PARTS, into RET. BASE as in store_digest_recount. */
int store_range_sums(struct store *s, const struct row_range *range,
                     const struct digest_part *parts, size_t n, store_base_cb base, void *ctx,
                     struct digest_sum *ret, struct err *err);

/* The ids of the range that differ from ROWS, ascending, at most DIGEST_ROWS_MAX. */
int store_range_differing(struct store *s, const struct row_range *range,
                          const struct digest_of_row *rows, size_t n, store_base_cb base,
                          void *ctx, struct id *ret_ids, size_t *ret_n, struct err *err);

#endif
