/* What a DigestTell carries: three kinds of list, each ascending, in bytes.
 *
 *   KINDS   (be32 kind | varint count | be128 sum) …
 *   RANGES  (id upto | varint count | be128 sum) …   each part begins behind the one before it
 *   ROWS    (id | be128 digest) …
 *
 * The last part of a range asked for without an end goes up to id ff…ff. */
#ifndef ZTC_LEDGER_DIGEST_LIST_H
#define ZTC_LEDGER_DIGEST_LIST_H

#include "common/ledger/digest.h"

#define DIGEST_KINDS_MAX 256u
#define DIGEST_PARTS_MAX 128u /* of a range */
#define DIGEST_ROWS_MAX  64u  /* a range with no more is told row by row */

struct digest_part {
    struct id upto;
    struct digest_sum of;
};

struct digest_of_row {
    struct id id;
    struct digest digest;
};

void digest_list_kind(struct buf *out, const struct digest_kind *k);
void digest_list_part(struct buf *out, const struct digest_part *p);
void digest_list_row(struct buf *out, const struct digest_of_row *r);

/* Into A. 0, E_MALFORMED (also: too many, not ascending), E_NOMEM. */
int digest_list_kinds(struct arena *a, struct slice bytes, struct digest_kind **ret, size_t *ret_n);
int digest_list_parts(struct arena *a, struct slice bytes, struct digest_part **ret, size_t *ret_n);
int digest_list_rows(struct arena *a, struct slice bytes, struct digest_of_row **ret,
                     size_t *ret_n);

#endif
