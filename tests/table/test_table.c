/* The transition table, walked: at the city and at the county, every (kind, state, action, role) that the
 * catalogue allows succeeds, every other is refused and leaves the record as it was.
 *
 * An allowed transition is tried on a story in which its guards hold (table `conditions`); each of its
 * guards is then made false and each required field emptied, and it must be refused. Where a guard
 * belongs to a later issue the refusal is ZT-GUARD-LATER; those guards are listed at the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/err.h"
#include "common/catalogue/guards.h"
#include "tests/table/stage.h"

#define WAITING_MAX 64
#define FAULTS_MAX  400

/* ---- when guards hold ---- */

static const struct condition {
    const char *guard;
    const char *holds;
    const char *fails; /* NULL: nothing a record says can make it false */
} conditions[] = {
    {"submission_complete", "", "submission.lead_member=@member member.status=resigned"},
    {"second_person", "", NULL},
    {"review_off", "setting.name=county_review setting.value=0", "setting.value=1"},
    {"not_received", "submission.received_at=", "submission.received_at=2026-03-05T09:00"},
    {"no_case", "submission.case_id= submission.case_kind= proposal_case.submission_id=",
     "submission.case_id=@case_card"},
    {"duplicate_known", "submission.duplicate_of=GY-ZS-2026-9001",
     "submission.duplicate_of=GY-ZS-2026-7777"},
    {"route_proposal", "submission.form=proposal submission.route_target=proposal_committee",
     "submission.route_target=office"},
    {"route_office", "submission.form=public_opinion submission.route_target=office",
     "submission.route_target=proposal_committee"},
    {"mirrors_case", "", "case_card.case_state=甲"},
    {"proposer_consented", "proposal_case.proposer_consent=1", "proposal_case.proposer_consent=0"},
    {"proposal_waits", "case_card.case_state=supplement proposal_case.state=supplement",
     "case_card.case_state=reviewing"},
    {"info_waits",
     "submission.form=public_opinion submission.case_kind=info_case case_card.case_kind=info_case "
     "case_card.case_state=screening info_case.submission_id=@submission",
     "case_card.case_state=adopted"},
    {"tracking_acknowledged", "", "tracking.ack_at="},
    {"proposers_eligible", "", "submission.lead_member=@member"},
    {"merge_main", "proposal_case.main_case=@proposal_case'", "proposal_case'.state=replied"},
    {"not_a_main", "", "proposal_case'.main_case=@proposal_case proposal_case'.state=merged"},
    {"attached_in_process", "submission.state=in_process submission'.state=in_process",
     "submission.state=answered submission'.state=answered"},
    {"consent_given", "proposal_case.proposer_consent=1", "proposal_case.proposer_consent=0"},
    {"assigned_roles", "proposal_case.handle_kind=single", "proposal_case.handle_kind=joint"},
    {"assigned_due", "", "proposal_case.due_on=2026-05-05"},
    {"first_task_signed", "handling_task.state=signed", "handling_task.state=assigned"},
    {"all_tasks_replied", "handling_task.state=replied", "handling_task.state=handling"},
    {"dissatisfied_once", "feedback.result=dissatisfied", "feedback.result=satisfied"},
    {"next_round", "proposal_case.round=2 handling_task.round=2 proposal_case.handle_kind=single",
     "proposal_case.round=1"},
    {"tracking_due", "proposal_case.is_key=1", "proposal_case.is_key=0"},
    {"feedback_settled", "", "feedback.case_id=@case_card'"},
    {"main_done", "proposal_case.main_case=@proposal_case' proposal_case'.state=closed",
     "proposal_case'.state=filed"},
    {"not_proposal", "", "info_case.form=proposal"},
    {"not_sent_back", "", "submission'.state=returned"},
    {"merge_info", "info_case.merged_into=@info_case'", "info_case'.state=merged"},
    {"no_merged_info", "", "info_case'.merged_into=@info_case info_case'.state=merged"},
    {"info_main_done", "info_case.merged_into=@info_case' info_case'.state=closed",
     "info_case'.state=screening"},
    {"not_micro", "", "info_case.form=micro_suggestion"},
    {"is_micro", "info_case.form=micro_suggestion", "info_case.form=public_opinion"},
    {"approver_not_editor", "", "info_case.approver=李编"},
    {"instruction_exists",
     "adoption.case_kind=info_case adoption.case_id=@info_case adoption.kind=instruction",
     "adoption.kind=policy"},
    {"case_open", "proposal_case.state=filed", "proposal_case.state=closed"},
    {"unit_active", "", "org_unit.active=0"},
    {"unit_once", "",
     "handling_task'.case_id=@proposal_case handling_task'.unit_id=@org_unit "
     "handling_task'.round=1 handling_task'.state=assigned"},
    {"task_due", "", "handling_task.due_on=2026-03-01"},
    {"before_decline_due", "", "handling_task.decline_due=2026-03-01"},
    {"decline_agreed", "handling_task.decline_result=同意改派",
     "handling_task.decline_result=不同意"},
    {"decline_refused", "handling_task.decline_result=不同意",
     "handling_task.decline_result=同意改派"},
    {"extension_bound", "", "handling_task.ext_to=2026-12-05"},
    {"role_co", "handling_task.unit_role=co", "handling_task.unit_role=single"},
    {"role_answers", "", "handling_task.unit_role=co"},
    {"co_opinions_in", "",
     "handling_task.unit_role=lead handling_task'.case_id=@proposal_case "
     "handling_task'.unit_role=co handling_task'.round=1 handling_task'.due_on=2026-06-01 "
     "handling_task'.state=handling"},
    {"reply_exists", "reply.review_result=", "reply.review_result=驳回"},
    {"reply_refused", "reply.review_result=驳回", "reply.review_result=通过"},
    {"reply_passed", "reply.review_result=通过", "reply.review_result=驳回"},
    {"is_reasonable", "opinion.reasonable=1", "opinion.reasonable=0"},
    {"is_anonymous", "opinion.anonymous=1", "opinion.anonymous=0"},
    {"told_citizen", "", "opinion.feedback_on="},
    {"refusal_explained", "", "opinion.not_accept_reason="},
};

/* What a step needs beside its guards: above all the case that a submission mirrors. */
static const struct setting_of {
    const char *kind, *from, *to; /* NULL: any */
    const char *line;
} settings_of[] = {
    {"submission", "returned", "withdrawn", "case_card.case_state=withdrawn"},
    {"submission", "routed_proposal", "in_process", "case_card.case_state=filed"},
    {"submission", "routed_proposal", "answered", "case_card.case_state=not_filed"},
    {"submission", "routed_proposal", "returned", "case_card.case_state=supplement"},
    {"submission", "routed_proposal", "withdrawn", "case_card.case_state=withdrawn"},
    {"submission", "in_process", "answered", "case_card.case_state=replied"},
    {"submission", "in_process", "withdrawn", "case_card.case_state=withdrawn"},
    {"submission", "in_process", "routed_proposal", "case_card.case_state=reviewing"},
    {"submission", "answered", "in_process", "case_card.case_state=rehandling"},
    {"submission", "routed_office", NULL,
     "submission.form=public_opinion submission.case_kind=info_case case_card.case_kind=info_case "
     "info_case.submission_id=@submission"},
    {"submission", "routed_office", "in_process", "case_card.case_state=adopted"},
    {"submission", "routed_office", "answered", "case_card.case_state=not_adopted"},
    {"submission", "routed_office", "returned", "case_card.case_state=screening"},
    {"submission", "routed_office", "withdrawn", "case_card.case_state=withdrawn"},
    {"submission", "received", NULL, "submission.case_id= proposal_case.submission_id="},
    {"proposal_case", NULL, "registered", "proposal_case.submission_id="},
    {"proposal_case", "merged", NULL, "proposal_case.main_case=@proposal_case'"},
    {"info_case", NULL, NULL, "handling_task.case_kind=info_case handling_task.case_id=@info_case"},
    {"info_case", NULL, "registered", "info_case.submission_id="},
    {"info_case", "merged", NULL, "info_case.merged_into=@info_case'"},
};

static bool is_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static const struct condition *condition_of(const char *guard)
{
    for (size_t i = 0; i < sizeof conditions / sizeof *conditions; i++) {
        if (strcmp(conditions[i].guard, guard) == 0)
            return &conditions[i];
    }
    return NULL;
}

static bool is_later(const struct transition *t)
{
    for (unsigned i = 0; t->guards[i] != NULL; i++) {
        if (guard_named(t->guards[i])->judge == NULL)
            return true;
    }
    return false;
}

/* ---- the walk ---- */

struct walk {
    struct stage s;
    unsigned allowed, refused, later; /* combinations */
    unsigned guards, fields;          /* made false, emptied */
    unsigned faults;
    struct {
        const char *guard;
        unsigned transitions;
    } waiting[WAITING_MAX];
    unsigned n_waiting;
};

/* What is being tried, for the sentence of a fault. */
struct trial {
    const struct kind *kind;
    const char *from, *to; /* from NULL: creation */
    int role;
    enum place place;
    const char *what;
};

static const char *role_name(int role)
{
    return role == ROLE_SYSTEM ? "system" : catalogue_roles->codes[role].code;
}

static void fault(struct walk *w, const struct trial *t, int ret, const char *expected)
{
    static const char *const places[] = {"city", "push", "county"};

    if (w->faults++ > FAULTS_MAX)
        return;
    print_error("%s %s -> %s by %s at %s%s%s: %s %.*s, not %s\n", t->kind->name,
                t->from == NULL ? "-" : t->from, t->to == NULL ? "=" : t->to, role_name(t->role),
                places[t->place], t->what == NULL ? "" : ", ", t->what == NULL ? "" : t->what,
                ret == 0 ? "accepted" : err_code(ret), (int)w->s.sentence.len,
                (const char *)w->s.sentence.p, expected);
}

/* Same bytes: value_eq() holds no two sealed values equal. */
static bool same_value(const struct value *a, const struct value *b)
{
    return a->type == b->type && a->i == b->i && slice_eq(a->s, b->s);
}

static bool same_row(const struct row *a, const struct row *b)
{
    if (a == NULL || b == NULL)
        return a == b;
    for (unsigned i = 0; i < a->kind->n_fields; i++) {
        if (!same_value(&a->values[i], &b->values[i]))
            return false;
    }
    return a->stream == b->stream && a->created_seq == b->created_seq && a->seq == b->seq &&
           a->updated_at == b->updated_at && id_eq(&a->created_by, &b->created_by) &&
           id_eq(&a->updated_by, &b->updated_by) && slice_eq(a->unknown, b->unknown) &&
           slice_eq(a->seqs, b->seqs) && a->pending == b->pending;
}

/* ---- who may ---- */

static enum side side_of(enum place place)
{
    return place == AT_CITY ? SIDE_CITY : SIDE_COUNTY;
}

/* An account with this role acts at PLACE. */
static bool acts_at(int role, enum place place)
{
    if (role == ROLE_SYSTEM)
        return place == AT_CITY;
    enum side side = catalogue_roles->codes[role].side;
    return side == SIDE_BOTH || side == side_of(place);
}

/* Counties have records of KIND that they write. */
static bool at_counties(const struct kind *kind)
{
    return !kind->local && kind->stream != STREAM_RULE_SHARED && kind->stream != STREAM_RULE_CITY;
}

static bool may(const struct transition *t, int role)
{
    return role == ROLE_SYSTEM ? t->by_system : (t->roles & 1u << role) != 0;
}

static const struct transition *first_between(const struct kind *kind, const char *from,
                                              const char *to)
{
    for (unsigned i = 0; i < kind->n_transitions; i++) {
        if (is_text(kind->transitions[i].from, from) && strcmp(kind->transitions[i].to, to) == 0)
            return &kind->transitions[i];
    }
    return NULL;
}

/* The row of the table that lets ROLE go from FROM to TO at PLACE; NULL: it is not allowed. */
static const struct transition *allowing(const struct trial *t)
{
    if (!acts_at(t->role, t->place) || (t->place != AT_CITY && !at_counties(t->kind)))
        return NULL;
    for (unsigned i = 0; i < t->kind->n_transitions; i++) {
        const struct transition *tr = &t->kind->transitions[i];

        if (is_text(tr->from, t->from) && strcmp(tr->to, t->to) == 0 && may(tr, t->role))
            return tr;
    }
    return NULL;
}

/* ---- telling the story of a step ---- */

static void tell_field(struct walk *w, const struct kind *kind, const char *field,
                       const char *value)
{
    char line[128];

    snprintf(line, sizeof line, "%s.%s=%s", kind->name, field, value);
    stage_tell(&w->s, line);
}

/* The record stands in FROM, and all that TR asks for holds. TR may be NULL. */
static void tell(struct walk *w, const struct kind *kind, const char *from, const char *to,
                 const struct transition *tr)
{
    stage_reset(&w->s);
    (void)stage_row(&w->s, kind);
    if (from != NULL)
        tell_field(w, kind, "state", from);
    for (size_t i = 0; tr != NULL && i < sizeof settings_of / sizeof *settings_of; i++) {
        const struct setting_of *of = &settings_of[i];

        if (strcmp(of->kind, kind->name) == 0 && (of->from == NULL || is_text(of->from, from)) &&
            (of->to == NULL || strcmp(of->to, to) == 0))
            stage_tell(&w->s, of->line);
    }
    for (unsigned i = 0; tr != NULL && tr->guards[i] != NULL; i++) {
        const struct condition *c = condition_of(tr->guards[i]);

        if (c != NULL)
            stage_tell(&w->s, c->holds);
    }
}

static struct attempt attempt_of(struct walk *w, const struct trial *t)
{
    struct attempt a = {.op = t->from == NULL ? OP_CREATE : OP_TRANSITION,
                        .kind = t->kind,
                        .to = t->to,
                        .role = t->role};

    if (t->from == NULL)
        a.fields = stage_fields(&w->s, t->place, t->kind, &a.n_fields);
    return a;
}

/* ---- one step ---- */

static int enter_and_try(struct walk *w, const struct trial *t, struct row **ret_before,
                         struct row **ret_after)
{
    struct attempt a = attempt_of(w, t);

    stage_enter(&w->s, t->place, t->from == NULL ? t->kind : NULL);
    *ret_before = stage_look(&w->s, t->place, t->kind);
    int ret = stage_try(&w->s, t->place, &a);
    *ret_after = stage_look(&w->s, t->place, t->kind);
    stage_leave(&w->s, t->place);
    return ret;
}

static void must_refuse(struct walk *w, const struct trial *t, int expected)
{
    struct row *before, *after;
    int ret = enter_and_try(w, t, &before, &after);

    if (ret != expected)
        fault(w, t, ret, err_code(expected));
    else if (!same_row(before, after))
        fault(w, t, ret, "leaving the record as it was");
}

/* What the story must say for a refusal by GUARD alone. */
static void fail_guards(struct walk *w, struct trial t, const struct transition *tr)
{
    for (unsigned i = 0; t.role != ROLE_SYSTEM && tr->guards[i] != NULL; i++) {
        const struct condition *c = condition_of(tr->guards[i]);

        if (c == NULL || c->fails == NULL)
            continue;
        tell(w, t.kind, t.from, t.to, tr);
        stage_tell(&w->s, c->fails);
        t.what = tr->guards[i];
        must_refuse(w, &t, E_GUARD);
        w->guards++;
    }
}

static void empty_fields(struct walk *w, struct trial t, const struct transition *tr)
{
    for (unsigned i = 0; tr->required[i] != NULL; i++) {
        const struct field *f = tr->required[i];

        if (f->type == FT_LIST || f->required == REQUIRED_AUTO || f->preset != NULL)
            continue;
        tell(w, t.kind, t.from, t.to, tr);
        tell_field(w, t.kind, f->name, "");
        t.what = f->name;
        must_refuse(w, &t, E_INVALID);
        w->fields++;
    }
}

static void step_allowed(struct walk *w, const struct trial *t, const struct transition *tr)
{
    struct row *before, *after;

    tell(w, t->kind, t->from, t->to, tr);
    if (is_later(tr)) {
        must_refuse(w, t, E_GUARD_LATER);
        w->later++;
    } else {
        int ret = enter_and_try(w, t, &before, &after);

        if (ret != 0)
            fault(w, t, ret, "accepted");
        else if (after == NULL || !row_in_state(after, t->to))
            fault(w, t, ret, "in its new state");
        w->allowed++;
        if (ret == 0)
            fail_guards(w, *t, tr);
    }
    empty_fields(w, *t, tr);
}

/* ---- every other combination ---- */

static bool refusal_fits(const struct trial *t, const struct transition *between, int ret)
{
    if (t->place != AT_CITY && !at_counties(t->kind))
        return ret == E_OWNER || ret == E_DENIED;
    if (t->from == NULL &&
        ret == E_OWNER) /* values of the other side, that a new record begins with */
        return t->kind->owner != side_of(t->place);
    return ret == (between == NULL ? E_STATE : E_ROLE);
}

static void refuse_one(struct walk *w, const struct trial *t, const struct transition *between)
{
    struct attempt a = attempt_of(w, t);
    struct row *before = stage_look(&w->s, t->place, t->kind);
    int ret = stage_try(&w->s, t->place, &a);

    w->refused++;
    if (!refusal_fits(t, between, ret))
        fault(w, t, ret, between == NULL ? err_code(E_STATE) : err_code(E_ROLE));
    else if (!same_row(before, stage_look(&w->s, t->place, t->kind)))
        fault(w, t, ret, "leaving the record as it was");
}

/* FROM to TO by every role at PLACE. What is refused leaves nothing, so that all refusals share one
 * transaction; but a refused push is remembered, and the next one would fall with it. */
static void walk_roles(struct walk *w, struct trial t)
{
    const struct transition *between = first_between(t.kind, t.from, t.to);
    const struct kind *absent = t.from == NULL ? t.kind : NULL;
    int first = t.place == AT_CITY && t.from != NULL ? ROLE_SYSTEM : 0;
    int n = (int)catalogue_roles->n_codes;

    tell(w, t.kind, t.from, t.to, between);
    stage_enter(&w->s, t.place, absent);
    for (t.role = first; t.role < n; t.role++) {
        if (allowing(&t) != NULL)
            continue;
        if (t.place == AT_PUSH) {
            stage_leave(&w->s, t.place);
            stage_enter(&w->s, t.place, absent);
        }
        refuse_one(w, &t, between);
    }
    stage_leave(&w->s, t.place);
    for (t.role = first; t.role < n; t.role++) {
        const struct transition *tr = allowing(&t);

        if (tr != NULL)
            step_allowed(w, &t, tr);
    }
}

static void walk_targets(struct walk *w, const struct kind *kind, const char *from)
{
    struct trial t = {.kind = kind, .from = from};

    for (unsigned i = 0; i < kind->states->n_codes; i++) {
        t.to = kind->states->codes[i].code;
        for (int place = 0; place < PLACES; place++) {
            t.place = (enum place)place;
            walk_roles(w, t);
        }
    }
}

static void walk_kind(struct walk *w, const struct kind *kind)
{
    walk_targets(w, kind, NULL);
    for (unsigned i = 0; i < kind->states->n_codes; i++)
        walk_targets(w, kind, kind->states->codes[i].code);
}

/* ---- kinds without transitions ---- */

static bool may_write(const struct trial *t)
{
    return acts_at(t->role, t->place) && (t->kind->writers & 1u << t->role) != 0 &&
           (t->place == AT_CITY || at_counties(t->kind));
}

static bool is_filled(const struct attempt *a, uint32_t tag)
{
    for (size_t i = 0; i < a->n_fields; i++) {
        if (a->fields[i].tag == tag)
            return true;
    }
    return false;
}

/* The acting side may fill everything a new record must have. */
static bool can_fill(const struct kind *kind, const struct attempt *a)
{
    for (unsigned i = 0; i < kind->n_own; i++) {
        const struct field *f = &kind->fields[i];

        if (f->stored && f->required == REQUIRED_YES && f->preset == NULL && !is_filled(a, f->tag))
            return false;
    }
    return true;
}

/* Exactly 0 for a writer who can fill the record; any refusal, and nothing written, for others. */
static void create_by(struct walk *w, const struct trial *t)
{
    struct attempt a = {.op = OP_CREATE, .kind = t->kind, .role = t->role};
    bool allowed;

    stage_reset(&w->s);
    (void)stage_row(&w->s, t->kind);
    a.fields = stage_fields(&w->s, t->place, t->kind, &a.n_fields);
    allowed = may_write(t) && can_fill(t->kind, &a);
    stage_enter(&w->s, t->place, t->kind);
    int ret = stage_try(&w->s, t->place, &a);
    bool there = stage_look(&w->s, t->place, t->kind) != NULL;
    stage_leave(&w->s, t->place);
    w->allowed += allowed;
    w->refused += !allowed;
    if ((ret == 0) != allowed || there != allowed)
        fault(w, t, ret, allowed ? "accepted" : "refused");
}

/* A field that whoever writes at PLACE may change in the record as it stands. */
static const struct field *editable(const struct row *row, enum place place)
{
    for (unsigned i = 0; i < row->kind->n_own; i++) {
        const struct field *f = &row->kind->fields[i];

        if ((f->type == FT_TEXT || f->type == FT_LONGTEXT) && f->stored && !f->immutable &&
            f->choices == NULL && f->unique == UNIQUE_NO && f->required != REQUIRED_AUTO &&
            f->vanish == VANISH_NO && f->min <= 2 && (f->max == 0 || f->max >= 3) &&
            check_owner(row, f, side_of(place), NULL) == 0)
            return f;
    }
    return NULL;
}

static void edit_by(struct walk *w, const struct trial *t)
{
    struct field_change fc = {.form = FORM_SET, .v = value_str("丙丙丙")};
    struct attempt a = {
        .op = OP_SET, .kind = t->kind, .role = t->role, .fields = &fc, .n_fields = 1};

    stage_reset(&w->s);
    const struct field *f = editable(stage_row(&w->s, t->kind), t->place);
    if (f == NULL)
        return;
    fc.tag = f->tag;
    stage_enter(&w->s, t->place, NULL);
    struct row *before = stage_look(&w->s, t->place, t->kind);
    int ret = stage_try(&w->s, t->place, &a);
    struct row *after = stage_look(&w->s, t->place, t->kind);
    stage_leave(&w->s, t->place);
    w->allowed += may_write(t);
    w->refused += !may_write(t);
    if (may_write(t) ? ret != 0 : ret == 0)
        fault(w, t, ret, may_write(t) ? "accepted" : "refused");
    else if (same_row(before, after) == may_write(t))
        fault(w, t, ret, "the record as expected");
}

static void walk_writers(struct walk *w, const struct kind *kind)
{
    struct trial t = {.kind = kind};

    for (int place = 0; place < PLACES; place++) {
        t.place = (enum place)place;
        for (t.role = 0; t.role < (int)catalogue_roles->n_codes; t.role++) {
            t.what = "created";
            if (kind->n_transitions == 0)
                create_by(w, &t);
            t.what = "edited";
            edit_by(w, &t);
        }
    }
}

/* ---- tests ---- */

/* Kinds whose rules are complete: the city's rules for submissions. */
static const char *const complete[] = {
    "submission", "proposal_case", "info_case", "handling_task", "reply",
    "case_card",  "proposal_card", "answer",    "feedback",      "tracking",
    "adoption",   "supervision",   "org_unit",  "member",        "member_card",
    "studio",     "studio_member", "signature", "site",          "sector",
    "term",       "holiday",       "opinion",   "user_account",
};

static bool is_complete(const struct kind *kind)
{
    for (size_t i = 0; i < sizeof complete / sizeof *complete; i++) {
        if (strcmp(complete[i], kind->name) == 0)
            return true;
    }
    return false;
}

static int setup(void **state)
{
    static struct walk w;

    memset(&w, 0, sizeof w);
    stage_open(&w.s);
    *state = &w;
    return 0;
}

static int teardown(void **state)
{
    stage_close(&((struct walk *)*state)->s);
    return 0;
}

static void assert_no_fault(const struct walk *w)
{
    print_message(
        "%u allowed, %u refused, %u wait for a later guard; %u guards made false, "
        "%u required fields emptied\n",
        w->allowed, w->refused, w->later, w->guards, w->fields);
    if (w->faults > 0)
        fail_msg("%u combinations went wrong", w->faults);
}

/* Walks the transitions of the complete kinds, or of all others. */
static void walk_transitions(struct walk *w, bool of_complete)
{
    for (unsigned i = 0; i < catalogue_n_kinds; i++) {
        const struct kind *kind = catalogue_kinds[i];

        if (kind->n_transitions > 0 && is_complete(kind) == of_complete)
            walk_kind(w, kind);
    }
    assert_no_fault(w);
}

/* Submissions, cases, tasks, opinions, studios: the whole table holds. */
static void test_table__complete_kinds(void **state)
{
    walk_transitions(*state, true);
}

/* Every other kind: role, side, state and required fields hold. */
static void test_table__other_kinds(void **state)
{
    walk_transitions(*state, false);
}

/* Who may create a record without a state, and edit any. */
static void test_table__writers(void **state)
{
    struct walk *w = *state;

    for (unsigned i = 0; i < catalogue_n_kinds; i++) {
        if (catalogue_kinds[i]->stream != STREAM_RULE_NONE)
            walk_writers(w, catalogue_kinds[i]);
    }
    assert_no_fault(w);
}

static void note_waiting(struct walk *w, const char *guard)
{
    for (unsigned i = 0; i < w->n_waiting; i++) {
        if (strcmp(w->waiting[i].guard, guard) == 0) {
            w->waiting[i].transitions++;
            return;
        }
    }
    assert_true(w->n_waiting < WAITING_MAX);
    w->waiting[w->n_waiting].guard = guard;
    w->waiting[w->n_waiting++].transitions = 1;
}

/* The guards that are still to come, and that no complete kind but the studio waits for one. */
static void test_table__later_guards(void **state)
{
    struct walk *w = *state;

    for (unsigned i = 0; i < catalogue_n_kinds; i++) {
        const struct kind *kind = catalogue_kinds[i];

        for (unsigned k = 0; k < kind->n_transitions; k++) {
            const struct transition *t = &kind->transitions[k];

            for (unsigned g = 0; t->guards[g] != NULL; g++) {
                if (guard_named(t->guards[g])->judge != NULL) {
                    if (condition_of(t->guards[g]) == NULL)
                        fail_msg("no story makes the guard %s hold", t->guards[g]);
                    continue;
                }
                note_waiting(w, t->guards[g]);
                if (is_complete(kind) && strcmp(kind->name, "studio") != 0)
                    fail_msg("%s waits for %s", kind->name, t->guards[g]);
            }
        }
    }
    for (unsigned i = 0; i < w->n_waiting; i++)
        print_message("later: %s (%u)\n", w->waiting[i].guard, w->waiting[i].transitions);
    print_message("%u guards are still to come\n", w->n_waiting);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_table__##name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(complete_kinds),
        TEST(other_kinds),
        TEST(writers),
        TEST(later_guards),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
