/* One record as it stands: its values, and what the ledger knows of them. */
#ifndef ZTC_CATALOGUE_ROW_H
#define ZTC_CATALOGUE_ROW_H

#include "common/base/cal.h"
#include "common/catalogue/catalogue.h"

struct row {
    const struct kind *kind;
    struct id id;
    uint32_t stream;      /* the stream it lives in, for life */
    uint64_t created_seq; /* entry that created it; 0 while only pending */
    uint64_t seq;         /* last entry that touched it; 0 while only pending */
    msec_t created_at, updated_at;       /* authors' clocks: evidence */
    struct id created_by, updated_by;    /* accounts; zero = system */
    struct value *values; /* kind->n_fields, in the catalogue's order; in the arena */
    struct slice unknown; /* fields this catalogue does not know: tag varint, value; by tag */
    struct slice seqs;    /* city only: (tag varint, last seq varint) by tag, of the fields whose
                             last entry is not created_seq */
    bool pending;         /* county only: own changes lie over it */
    bool exists;          /* false: a place for a record that was not found */
};

/* A row of KIND in A with every value null; NULL when memory is out. */
struct row *row_new(struct arena *a, const struct kind *kind, const struct id *id);

/* A deep copy in A. */
struct row *row_dup(struct arena *a, const struct row *row);

/* A row of its own over the same bytes, which are only ever replaced, never changed in place. */
struct row *row_copy(struct arena *a, const struct row *row);

/* The value of a tag; a null value for unknown tags. Never NULL. */
const struct value *row_get(const struct row *row, uint32_t tag);

/* By catalogue name; an unknown name is a bug. */
const struct value *row_named(const struct row *row, const char *name);

/* Put a value (borrowed: it must outlive the row). An unknown tag is a bug. */
void row_put(struct row *row, uint32_t tag, struct value v);

/* Shorthands for code that reads rules. Text "" for null. */
struct slice row_text(const struct row *row, const char *name);
int64_t row_int(const struct row *row, const char *name); /* 0 for null */
bool row_id(const struct row *row, const char *name, struct id *ret_id);
struct slice row_state(const struct row *row);
bool row_in_state(const struct row *row, const char *state);
bool row_voided(const struct row *row);
bool row_historic(const struct row *row);
uint32_t row_site(const struct row *row); /* six digits as a number, 0 when unset */

#endif
