/* Merging: the stream's order decides. Judges one change against the record as it stands at its
 * arrival and says which fields apply and which conflict. Pure; the city alone calls it. */
#ifndef ZTC_LEDGER_MERGE_H
#define ZTC_LEDGER_MERGE_H

#include "common/base/err.h"
#include "common/catalogue/row.h"
#include "common/ledger/entry.h"

/* One value that arrived unseen by its author and differs: the one in the stream stands. */
struct merge_conflict {
    uint32_t tag;        /* 0: the whole record (an edit that met a void) */
    uint64_t base_seq;   /* what both started from: the author's cursor */
    uint64_t stands_seq; /* entry whose value stands */
};

struct merge_result {
    uint32_t *withheld; /* tags, ascending, in the arena */
    size_t n_withheld;
    struct merge_conflict *conflicts;
    size_t n_conflicts;
};

/* Questions about the past that only the store can answer. */
struct merge_history {
    /* The seq of the entry that change N of the author's replica became; 0 when refused or unknown,
     * and whether field TAG was withheld there. */
    uint64_t (*entry_of)(void *ctx, uint64_t n, uint32_t tag, bool *ret_withheld);
    void *ctx;
};

/* The last entry of a field: from row->seqs, else row->created_seq. */
uint64_t merge_field_seq(const struct row *row, uint32_t tag);

/* Judge the fields of C (OP_SET, OP_TRANSITION, OP_VOID, OP_UNVOID) against ROW.
 *
 *  - a field that showed the stream's value applies when its last entry is not above c->seen; one that
 *    showed the author's own pending value (saw_n) applies when that change became, or equalled, what
 *    stands: the cursor alone says nothing then, for the pending value hid what the stream had;
 *  - an equal value changes nothing and conflicts with nothing;
 *  - FORM_DELTA merges by elements and never conflicts here;
 *  - everything of an OP_SET on a voided record is withheld, one record-level conflict;
 *  - an OP_TRANSITION, OP_VOID or OP_UNVOID with a conflict is refused whole: E_CONFLICT.
 *
 * 0, E_NOMEM or E_CONFLICT. */
int merge_change(struct arena *a, const struct row *row, const struct change *c,
                 const struct merge_history *history, struct merge_result *ret, struct err *err);

/* A seal (transition with `seals`, or a void) may not pass over what its author did not see: true
 * when a content field of ROW, one that SIDE owns, has an entry above SEEN that is not of REPLICA.
 * IS_AUTHOR tells whether REPLICA wrote an entry. */
bool merge_unseen(const struct row *row, enum side side, uint64_t seen, const struct id *replica,
                  bool (*is_author)(void *ctx, uint64_t seq, const struct id *replica), void *ctx);

#endif
