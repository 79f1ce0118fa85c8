/* Applying: an entry with its verdict onto a row. Never judges: replicas and `rebuild` come to what
 * the city came to, whatever their version, settings or calendar. */
#ifndef ZTC_LEDGER_APPLY_H
#define ZTC_LEDGER_APPLY_H

#include "common/catalogue/row.h"
#include "common/ledger/entry.h"

/* ROW after entry (C, V) at SEQ. For OP_CREATE, ROW is a fresh row_new() of C's kind. TRACK keeps
 * row->seqs (the city). Values and slices come to lie in A or in C's bytes, which must outlive ROW.
 * Fields this catalogue does not know go to row->unknown. 0 or E_NOMEM. */
int apply_entry(struct arena *a, struct row *row, const struct change *c, const struct verdict *v,
                uint64_t seq, bool track);

/* A pending change laid over ROW: as if nothing were withheld. Sets row->pending. */
int apply_pending(struct arena *a, struct row *row, const struct change *c);

#endif
