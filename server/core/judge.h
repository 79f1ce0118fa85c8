/* Judging one act at the city: what of it applies, what conflicts, what it is refused for, and what
 * the rules make of it. Pure: rows, numbers, time and chance come in, entries and rows come out.
 *
 *   act ── each change: who may, is it valid, merge ──> entries with verdicts
 *    │                                  └─ conflicts ──> `conflict` records by system
 *    └── rules (rules.h) on every change ──> further changes by system, judged the same way
 *
 * All or nothing: a refusal anywhere leaves nothing. */
#ifndef ZTC_SERVER_JUDGE_H
#define ZTC_SERVER_JUDGE_H

#include "common/catalogue/check.h"
#include "common/ledger/merge.h"

/* What judging needs to know; lives as long as the judgement. */
struct judge_facts {
    const struct lookup *lookup; /* records before the act */
    const struct settings *settings;
    const struct random *random;
    const struct hasher *hasher;
    struct merge_history history; /* of the act's replica */
    /* The record exists where a record of STREAM may name it: in STREAM itself or in `shared`; those of
     * `city` name every record. Cheaply, for references. */
    bool (*exists)(void *ctx, const struct kind *kind, const struct id *id, uint32_t stream);
    bool (*is_author)(void *ctx, uint64_t seq, const struct id *replica); /* in the act's stream */
    uint64_t (*stream_seq)(void *ctx, uint32_t stream); /* the last committed or planned seq */
    /* The next number of a named series, from 1, without holes while acts succeed. */
    int (*next_number)(void *ctx, const char *series, uint64_t *ret_number);
    void *ctx; /* of the four above */
    struct id incarnation;
    msec_t now;  /* city clock */
    day_t today;
};

/* One act as it arrives. County acts bring bytes; city acts are drafts whose replica, n, stream
 * (0: by the kind's rule), catalogue and act numbering judge_act fills in. */
struct act {
    struct change *changes;
    size_t n;
    const struct slice *bytes, *sides;       /* per change; NULL: made at the city */
    const uint8_t (*hashes)[HASH_SIZE];      /* H(bytes), with bytes */
    const uint8_t (*chains)[HASH_SIZE]; /* the replica's own chain, if it was chains[0] before the act:
                                           chains[i + 1] after change i; NULL: not made yet */
    bool values_good;                   /* each passed check_value */
    struct actor actor;
};

struct judged {
    struct change c;
    struct verdict v;
    uint64_t seq;
    struct slice bytes, side;
    uint8_t hash[HASH_SIZE]; /* H(bytes) */
};

struct judgement {
    int ret;        /* 0, or the reason of refusal */
    struct err err;
    size_t at;      /* the change that was the reason */
    struct judged *entries; /* in order; per stream consecutive from its present seq + 1 */
    size_t n_entries;
    struct row **rows;      /* every record touched, as it stands afterwards */
    const struct row **before; /* and as it stood before the act; NULL: the act created it */
    size_t n_rows;
};

/* Judge ACT; everything lies in A. Returns 0 (look at ret->ret for the verdict) or E_NOMEM, E_IO … when
 * it could not be judged at all: then nothing is known and nothing may be answered. */
int judge_act(struct arena *a, const struct judge_facts *facts, const struct act *act,
              struct judgement *ret);

/* ---- for the rules ---- */

struct judge; /* the act under judgement */

/* A field by catalogue name and its value; a list of them ends with a NULL name. */
struct with {
    const char *name;
    struct value v;
};

struct arena *judge_arena(struct judge *j);
const struct judge_facts *judge_facts(struct judge *j);
const struct actor *judge_actor(struct judge *j); /* whose act it is */

/* Records as they stand within the act. Row pointers stay valid and are updated in place. */
const struct lookup *judge_lookup(struct judge *j);

/* Changes by `system`, appended after the change that caused them. The stream follows from the kind
 * and SITE (of the record). Serial numbers are allotted. WITH may be NULL. Each may refuse the act:
 * return what they return. */
int judge_create(struct judge *j, const char *kind, uint32_t site, const char *state,
                 const struct with *with, struct row **ret_row);
int judge_set(struct judge *j, struct row *row, const struct with *with);
int judge_move(struct judge *j, struct row *row, const char *to, const struct with *with);

int judge_void(struct judge *j, struct row *row, const char *reason);

/* Refuse the whole act with a sentence. */
int judge_refuse(struct judge *j, int ret, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Text in the act's arena. NULL when memory is out (then judging ends with E_NOMEM). */
const char *judge_text(struct judge *j, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#endif
