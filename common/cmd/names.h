/* Records by the names people use: serial number, unique name, id or its beginning; and back. */
#ifndef ZTC_CMD_NAMES_H
#define ZTC_CMD_NAMES_H

#include "common/ledger/store.h"

#define NAMES_SLOTS 256u

struct named_slot; /* a name and an id that were found to belong together */

/* Remembers what it found for as long as nothing is written: an import asks the same few names
 * thousands of times. */
struct names {
    struct store *store;
    struct arena arena; /* of the slots */
    struct arena rows;  /* of what a search reads */
    struct named_slot *by_text[NAMES_SLOTS], *by_id[NAMES_SLOTS];
};

void names_init(struct names *n, struct store *store);
void names_release(struct names *n);

/* Forget: after writing. */
void names_clear(struct names *n);

/* The record of KIND that TEXT names. E_INVALID with a sentence when none or several fit. */
int names_find(struct names *n, const struct kind *kind, struct slice text, struct id *ret_id,
               struct err *err);

/* What names the record for people and is found again by names_find: its serial number, else its name
 * where no other has it, else its id. Also the id when the record is not here. */
int names_put(struct names *n, const struct kind *kind, const struct id *id, struct buf *out,
              struct err *err);

/* The same for reading only: the name and, if it has one, the serial number behind it. */
int names_put_full(struct names *n, const struct kind *kind, const struct id *id, struct buf *out,
                   struct err *err);

/* TEXT as the value of field F of KIND: as check_parse, with records by name and states by code or
 * label. The value lies in A. */
int names_parse(struct names *n, struct arena *a, const struct kind *kind, const struct field *f,
                struct slice text, struct value *ret, struct err *err);

/* The kind whose records F refers to; ROW gives it to a rid. NULL when there is none. */
const struct kind *names_target(const struct field *f, const struct row *row);

#endif
