/* What a value, a record and a transition must satisfy: one code for both sides.
 *
 * Messages are Chinese sentences naming the field's label. */
#ifndef ZTC_CATALOGUE_CHECK_H
#define ZTC_CATALOGUE_CHECK_H

#include "common/base/err.h"
#include "common/catalogue/lookup.h"

/* Settings the rules read; integers by name with a default each (settings.c lists them with their
 * clause). A NULL table means all defaults. */
struct settings {
    int64_t (*get)(void *ctx, const char *name, uint32_t site);
    void *ctx;
};
int64_t setting(const struct settings *s, const char *name, uint32_t site);

/* Who acts, as the merge and the forms know it. */
struct actor {
    struct id account; /* zero: system */
    uint32_t roles;    /* bits of account_role */
    uint32_t site;     /* of the account; SITE_CITY acts at the city */
    enum side side;    /* where the act is made: the county's software or the city's */
    bool is_system;
};

struct check {
    const struct lookup *lookup;
    const struct settings *settings;
    day_t today; /* of the judging side */
};

/* Read a person's text (a command's argument, a sheet's cell) into the value of a field: trims,
 * accepts codes and Chinese labels of enums, several date forms (domain.md §4.1), 是/否, numbers;
 * sets and refs separated by 、，, or ;. Refs here are ids in text; names are the caller's business.
 * The value lies in A. 0, E_NOMEM or E_INVALID with a sentence. */
int check_parse(struct arena *a, const struct field *f, struct slice text, struct value *ret,
                struct err *err);

/* The value as people read it: labels of codes, dates 2026-03-05, amounts in yuan; not masked. */
int check_format(struct buf *out, const struct field *f, const struct value *v);

/* The mask of a masked value: 138****5678, 李** (the whole is *** when it is sealed). */
int check_mask(struct buf *out, const struct field *f, const struct value *v);

/* One value against its field: type, bounds, pattern, codes. V_SEALED and V_ERASED pass where the
 * field may hold them. 0 or E_INVALID. */
int check_value(const struct field *f, const struct value *v, struct err *err);

/* The record as a whole: cross-field rules that hold in every state (end after start, …) and
 * `required_when`. 0 or E_INVALID. */
int check_row(const struct check *c, const struct row *row, struct err *err);

/* Rules that two honest replicas can break together (unique, overlap, one 负责人, …): never a reason
 * to refuse at the merge. 0, or E_CONFLICT with the sentence; *ret_tag is the field, or 0. */
int check_shared(const struct check *c, const struct row *row, uint32_t *ret_tag, struct err *err);

/* SIDE may write field F of a record in this state (owner; submission's lock; city fields only from
 * submitted on). 0, E_OWNER or E_STATE. */
int check_owner(const struct row *row, const struct field *f, enum side side, struct err *err);

/* ACTOR's side may void ROW, and take that back: the side that owns the kind; of a kind that both own, the
 * side whose account made the record. 0, E_OWNER, or the lookup's failure. */
int check_voider(const struct lookup *l, const struct row *row, const struct actor *actor,
                 struct err *err);

/* F of ROW (as it stood) may become V: not where it is immutable and filled. 0 or E_STATE. */
int check_immutable(const struct row *row, const struct field *f, const struct value *v,
                    struct err *err);

/* Condition "field=a|b", "field!=a", "field!=" of a field's required_when, judged on ROW. */
bool check_condition(const struct row *row, const char *condition);

/* ROW lacks a field it must have by now: the first of them, or NULL. Nothing is asked of a record in
 * the state it was created in (LEAVING: it is about to leave it), nor of an abandoned one. */
const struct field *check_missing(const struct row *row, bool leaving);

/* An account with ACTOR's roles may create and edit records of KIND at its side. 0 or E_ROLE. */
int check_writer(const struct kind *kind, const struct actor *actor, struct err *err);

/* The first transition of KIND from state FROM (NULL: creation) to TO, where TO is a state code or
 * the action's Chinese label; others that share them lie further on in kind->transitions and differ
 * in roles and guards. NULL when there is none. */
const struct transition *transition_find(const struct kind *kind, const char *from,
                                         struct slice to);

/* May ACTOR take ROW (its values after the change, its state still `from`) over T? Role, required
 * fields, guards. 0, E_ROLE, E_INVALID (a required field), E_GUARD, E_GUARD_LATER. */
int transition_check(const struct check *c, const struct transition *t, const struct row *row,
                     const struct actor *actor, struct err *err);

/* The transition TO from the row's present state that ACTOR may make, judged as above; where
 * several share the target, the first that passes. On failure the most telling refusal:
 * E_STATE when the state offers no such transition. */
int transition_pick(const struct check *c, const struct row *row, struct slice to,
                    const struct actor *actor, const struct transition **ret, struct err *err);

/* Creation needs the roles, fields and guards of the kind's `-` row (or, for kinds without
 * transitions, its writers and every required field). A historic record needs a county_lead, one of
 * the kind's historic states, a date before the site's go-live, and what that state implies.
 * 0, E_ROLE, E_STATE, E_INVALID, E_GUARD, E_GUARD_LATER. */
int creation_check(const struct check *c, const struct row *row, const struct actor *actor,
                   struct err *err);

#endif
