/* A city and a county's replica with one coherent record of every kind in both, on which a single change
 * is tried and taken back.
 *
 * Two submissions tell the story: `submission` is a proposal with its proposal_case, task and reply;
 * `submission'`, the second of its kind, is a 社情民意 with its info_case. A test changes the story by a
 * line of text:
 *
 *     kind.field=value kind'.field=@kind kind.field=          (state is a field, empty is null)
 */
#ifndef ZTC_TESTS_TABLE_STAGE_H
#define ZTC_TESTS_TABLE_STAGE_H

#include "client/store/replica.h"
#include "server/store/city.h"

#define STAGE_SITE   431021u
#define STAGE_OTHER  431081u
#define STAGE_NOW    ((msec_t)1772690400000u) /* 2026-03-05 14:00 in Chenzhou */
#define STAGE_KINDS  80
#define STAGE_ROLES  16
#define STAGE_COPIES 3 /* kind, kind', kind'' */
#define SEEN_ALL     (UINT64_MAX >> 1)

/* Where a change is made, and by whom it is judged. */
enum place {
    AT_CITY,   /* by a city user, city_act */
    AT_PUSH,   /* by a county, city_push_act */
    AT_COUNTY, /* by a county, replica_write */
    PLACES,
};

struct stage {
    char dir[64];
    struct city *city;
    struct replica *county;
    struct id replica;
    struct random_seeded seed[3];
    struct id accounts[STAGE_ROLES];             /* of the county, one a role */
    struct arena base, work;                     /* the story; the present test's changes */
    struct row *rows[STAGE_KINDS][STAGE_COPIES]; /* as stored */
    struct row *told[STAGE_KINDS][STAGE_COPIES]; /* changed by the present test, else NULL */
    struct slice sentence;                       /* of the last refusal, in `work` */
};

/* One change to try. ROLE is an index of account_role's codes, or ROLE_SYSTEM (AT_CITY only). */
#define ROLE_SYSTEM (-1)
struct attempt {
    enum change_op op;
    const struct kind *kind;
    const char *to;
    int role;
    struct field_change *fields; /* plain values, ascending by tag */
    size_t n_fields;
};

void stage_open(struct stage *s);
void stage_close(struct stage *s);

unsigned stage_place_of(const struct kind *kind);
struct id stage_id(const struct kind *kind, unsigned nth);

/* Begin a test with the story as it was. */
void stage_reset(struct stage *s);

/* Change the story. */
void stage_tell(struct stage *s, const char *line);

/* The story's first record of KIND as the present test has it. */
struct row *stage_row(struct stage *s, const struct kind *kind);

/* Open PLACE and put the changed records there; without the first record of ABSENT (may be NULL). */
void stage_enter(struct stage *s, enum place place, const struct kind *absent);

/* What the side acting at PLACE writes of the told record when it creates it, with room for one more. */
struct field_change *stage_fields(struct stage *s, enum place place, const struct kind *kind,
                                  size_t *ret_n);

/* Try a change on the story's first record. 0, or the refusal's E_*. */
int stage_try(struct stage *s, enum place place, const struct attempt *t);

/* The first record of KIND as it stands at PLACE; NULL when it is absent. In `work`. */
struct row *stage_look(struct stage *s, enum place place, const struct kind *kind);

/* Close PLACE: everything is as it was before stage_enter. */
void stage_leave(struct stage *s, enum place place);

/* How county changes bring values: what can vanish salted and hashed, the site's own sealed. */
void stage_salt(struct stage *s, const struct kind *kind, struct field_change *fc);

/* Bring CHANGE to the city as the STAGE_SITE replica's next act, all else as CHANGE says. 0 or the
 * refusal's E_*. Within stage_enter(AT_PUSH). */
int stage_push(struct stage *s, struct change *c);

#endif
