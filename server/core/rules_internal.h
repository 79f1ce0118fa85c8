/* What the files of the rules share. */
#ifndef ZTC_SERVER_RULES_INTERNAL_H
#define ZTC_SERVER_RULES_INTERNAL_H

#include "common/base/err.h"
#include "server/core/judge.h"

#define BY_LIAISON  "市政协委员学习联络委"
#define BY_PROPOSAL "市政协提案委"
#define BY_OFFICE   "市政协办公室"

/* A change that applied, as the rules see it. */
struct deed {
    struct judge *j;
    const struct change *change;
    const struct row *before; /* a copy; NULL at a creation */
    struct row *row;          /* as it stands */
};

struct rule {
    const char *kind;
    enum change_op op;
    const char *from, *to; /* transitions: states, NULL: any */
    bool effects;          /* also after what rules did, not only after what people did */
    int (*apply)(const struct deed *d);
    const char *clause;
};

/* ---- clocks.c: due dates and dates as values ---- */

/* What the next step has to keep. */
enum clock {
    CLOCK_NONE,
    CLOCK_RECEIVE,  /* 签收 by 学联委 */
    CLOCK_ROUTE,    /* 转送 */
    CLOCK_REVIEW,   /* 审查 */
    CLOCK_CASE,     /* the case's own due date */
    CLOCK_FEEDBACK, /* 征询意见 */
    CLOCK_GIVEN,    /* a date the step brings along */
};

/* Texts in the act's arena; V_NULL when memory is out is noticed where it is used. */
struct value clock_now(struct judge *j);
struct value clock_date(struct judge *j, day_t day);

/* A date or datetime field as a day; false when it is empty. */
bool clock_day(const struct row *row, const char *name, day_t *ret_day);

/* The city's setting. */
int clock_setting(struct judge *j, const char *name);

/* The working day that lies a setting's number of working days after DAY. */
int clock_workdays(struct judge *j, day_t day, const char *setting_name, struct value *ret);

/* When CLOCK, started today, runs out; OF is the case (may be NULL). V_NULL: never. */
int clock_due(struct judge *j, enum clock clock, const struct row *of, struct value *ret);

/* A due date after a pause from PAUSED until today: as much is left as was left then, in working days
 * or calendar days. */
int clock_resume(struct judge *j, day_t due, day_t paused, bool workdays, struct value *ret);

/* ---- rule_case.c: finding cases and what hangs on them ---- */

bool row_says(const struct row *row, const char *name, const char *text);

/* One of the states, joined by '|'. */
bool row_state_in(const struct row *row, const char *states);

/* The value of a field that not every kind has: null where there is none. */
struct value row_value(const struct row *row, const char *name);

/* The record found by one field's value: the first, or NULL. */
int find_one(struct judge *j, const char *kind, const char *field, const struct value *v,
             struct row **ret);

bool case_is_proposal(const struct row *of);
const char *case_organ(const struct row *of);
struct slice case_number(const struct row *of); /* 提案号 or 信息编号 */

/* The case a record names by case_kind and case_id; NULL when there is none. */
int case_named(struct judge *j, const struct row *row, struct row **ret);

/* The case of a submission's own; NULL when it has none. */
int case_of_submission(struct judge *j, const struct row *submission, struct row **ret);

/* The case it was merged into; NULL when it stands alone. */
int case_main(struct judge *j, const struct row *of, struct row **ret);

/* One submission that a case answers: its own, one of a case merged into it, or a duplicate. */
struct attached {
    struct row *submission;
    struct row *own; /* the case it came by */
};

int case_attached(struct judge *j, struct row *of, struct attached **ret, size_t *ret_n);

/* The tasks of a case's latest round, reassigned ones excluded. */
int case_tasks(struct judge *j, const struct row *of, struct row ***ret, size_t *ret_n);

/* Names of the units that answer (ANSWERING) or give 会办意见, joined; V_NULL when there is none.
 * At most MAX code points. */
int case_units(struct judge *j, const struct row *of, bool answering, size_t max,
               struct value *ret);

int case_close_tasks(struct judge *j, const struct row *of);

/* ---- rule_steps.c ---- */

int case_by_hand(const struct deed *d);
int case_moved(const struct deed *d);
int case_edited(const struct deed *d);
int case_ended(const struct deed *d);

/* ---- rule_publish.c: what counties see of it ---- */

/* One step in plain Chinese. TEXT may hold {title} {no} {main} {units} {unit} {due} {receipt}. */
struct step {
    const char *node;   /* at most 20 code points */
    const char *by;     /* who did it */
    const char *text;
    const char *next;   /* what comes then, or NULL */
    enum clock clock;   /* by when */
    struct value due;   /* of CLOCK_GIVEN; also {due}, which is the case's while this is V_NULL */
    const char *unit;   /* {unit} */
    const char *reason; /* told to the case's own submission only: it may name people */
};

/* One tracking row of a submission. OF, its case, may be NULL. */
int publish_tracking(struct judge *j, const struct row *submission, const struct row *of,
                     const struct step *step);

/* Card, mirrored state, dates and (with STEP) one tracking row, for every submission attached. */
int publish_case(struct judge *j, struct row *of, const struct step *step);

/* The same for one of them. */
int publish_to(struct judge *j, const struct attached *to, const struct step *step);

/* Every reply that passed, as an answer of every submission attached that lacks it. */
int publish_answers(struct judge *j, struct row *of);

/* ---- rule_cards.c: what every county sees ---- */

int publish_proposal_card(struct judge *j, struct row *of);
int member_changed(const struct deed *d);
int studio_changed(const struct deed *d);

/* ---- rule_submission.c ---- */

int submission_arrived(const struct deed *d);
int submission_received(const struct deed *d);
int submission_sent_back(const struct deed *d);
int submission_resubmitted(const struct deed *d);
int submission_abandoned(const struct deed *d);
int submission_duplicate(const struct deed *d);
int submission_routed(const struct deed *d);
int submission_closed(const struct deed *d);

/* An info_case for a submission, from a proposal when CONVERTED_FROM is not NULL. */
int info_case_create(struct judge *j, const struct row *submission,
                     const struct row *converted_from, struct row **ret);

/* ---- rule_proposal.c ---- */

int proposal_filed(const struct deed *d);
int proposal_assigned(const struct deed *d);
int proposal_merged(const struct deed *d);
int proposal_unmerged(const struct deed *d);
int proposal_converted(const struct deed *d);
int proposal_second_round(const struct deed *d);

/* ---- rule_info.c ---- */

int info_transferred(const struct deed *d);
int adoption_added(const struct deed *d);
int supervision_added(const struct deed *d);
int supervision_edited(const struct deed *d);
int feedback_added(const struct deed *d);

/* ---- rule_task.c ---- */

/* 签收 and 退办 run from the day of 交办. */
int task_dates(struct judge *j, struct row *task, day_t assigned_on);

int reply_added(const struct deed *d);
int task_created(const struct deed *d);
int task_edited(const struct deed *d);
int task_moved(const struct deed *d);

#endif
