/* The table of guards, and the guards of submissions and opinions. */
#include "common/catalogue/guards.h"

#include <stdio.h>
#include <string.h>

#include "common/catalogue/guard_tools.h"
#include "common/catalogue/mirror.h"

const struct guard guards[] = {
#define X(name, clause) {#name, clause, guard_##name},
    GUARD_MAP(X)
#undef X
#define X(name, clause) {#name, clause, NULL},
        GUARD_LATER_MAP(X)
#undef X
};
const unsigned n_guards = sizeof guards / sizeof *guards;

const struct guard *guard_named(const char *name)
{
    for (unsigned i = 0; i < n_guards; i++) {
        if (strcmp(guards[i].name, name) == 0) {
            return &guards[i];
        }
    }
    return NULL;
}

/* ---- who may propose ---- */

/* A member by id: the site's own record, or the card the city publishes of a member of its own. */
static int find_member(const struct guard_case *g, const struct id *id, struct row **ret)
{
    int r = lookup_get(g->check->lookup, "member", id, ret);

    if (r == 0 && *ret == NULL) {
        r = lookup_get(g->check->lookup, "member_card", id, ret);
    }
    return r;
}

static int check_member(const struct guard_case *g, const struct id *id, bool needs_city,
                        const char *what, struct err *err)
{
    struct row *member;

    int ret = find_member(g, id, &member);
    if (ret != 0) {
        return ret;
    }
    if (member == NULL) {
        return guard_fail(err, "找不到%s的委员信息", what);
    }
    if (!guard_says(member, "status", "active")) {
        return guard_fail(err, "%s不是在任委员", what);
    }
    if (needs_city && !value_set_has(row_named(member, "level"), slice_str("city"))) {
        return guard_fail(err, "%s不是市政协委员，不能提市政协提案，可改为社情民意信息或微建议", what);
    }
    return 0;
}

int guard_check_proposers(const struct guard_case *g, const struct row *submission,
                          struct err *err)
{
    bool needs_city = guard_says(submission, "form", "proposal") &&
                      guard_setting(g, "proposal_needs_city") != 0;
    struct row **signatures;
    struct value self = value_id(&submission->id);
    struct id id;
    size_t n;

    if (row_id(submission, "lead_member", &id)) {
        int ret = check_member(g, &id, needs_city, "第一提案人（反映人）", err);
        if (ret != 0) {
            return ret;
        }
    }
    int ret = guard_find(g, "signature", "target_id", &self, &signatures, &n);
    for (size_t i = 0; ret == 0 && i < n; i++) {
        if (row_id(signatures[i], "member_id", &id)) {
            ret = check_member(g, &id, needs_city, "联名人", err);
        }
    }
    if (ret == 0 && n == 0 && guard_says(submission, "proposer_type", "joint")) {
        return guard_fail(err, "委员联名须有至少一名联名人");
    }
    return ret;
}

/* ---- submission ---- */

int guard_submission_complete(const struct guard_case *g, struct err *err)
{
    const struct field *missing = check_missing(g->row, true);

    if (missing != NULL) {
        return guard_fail(err, "须填写“%s”", missing->label);
    }
    if (row_int(g->row, "no_secret") != 1) {
        return guard_fail(err, "须确认不涉密：本系统不得录入涉密信息");
    }
    return guard_check_proposers(g, g->row, err);
}

int guard_second_person(const struct guard_case *g, struct err *err)
{
    struct id reviewer;

    if (guard_setting(g, "two_person") == 0 || !row_id(g->row, "county_reviewer", &reviewer)) {
        return 0;
    }
    return id_eq(&reviewer, &g->row->created_by) ? guard_fail(err, "审核人不能是拟稿人本人") : 0;
}

int guard_review_off(const struct guard_case *g, struct err *err)
{
    return guard_setting(g, "county_review") != 0 ? guard_fail(err, "须先经县级审核") : 0;
}

int guard_not_received(const struct guard_case *g, struct err *err)
{
    return guard_filled(g->row, "received_at") ? guard_fail(err, "已签收不能撤回") : 0;
}

int guard_no_case(const struct guard_case *g, struct err *err)
{
    return guard_filled(g->row, "case_id")
               ? guard_fail(err, "此件已有案卷，应退回或报送到原案卷")
               : 0;
}

int guard_duplicate_known(const struct guard_case *g, struct err *err)
{
    struct row **rows;
    size_t n;

    int ret = guard_find(g, "submission", "serial_no", row_named(g->row, "duplicate_of"), &rows, &n);
    for (size_t i = 0; ret == 0 && i < n; i++) {
        if (!id_eq(&rows[i]->id, &g->row->id) && !row_in_state(rows[i], "duplicate")) {
            return 0;
        }
    }
    return ret != 0 ? ret : guard_fail(err, "没有找到“重复于”所填编号的转送件");
}

/* §5.6.4: the target follows from the form; sending a proposal to the office needs a note. */
static int check_route(const struct guard_case *g, const char *target, struct err *err)
{
    return guard_says(g->row, "route_target", target)
               ? 0
               : guard_fail(err, "“转送去向”与所办理的转送不一致");
}

int guard_route_proposal(const struct guard_case *g, struct err *err)
{
    if (!guard_says(g->row, "form", "proposal")) {
        return guard_fail(err, "只有委员提案转提案委审查立案");
    }
    return check_route(g, "proposal_committee", err);
}

int guard_route_office(const struct guard_case *g, struct err *err)
{
    if (guard_says(g->row, "form", "proposal") && !guard_filled(g->row, "route_note")) {
        return guard_fail(err, "委员提案转办公室须填写“转送说明”");
    }
    return check_route(g, "office", err);
}

/* The state of the submission's case: the county knows the card only, and so do we. */
static int case_state(const struct guard_case *g, struct slice *ret)
{
    struct row *card;

    int r = lookup_ref(g->check->lookup, g->row, "case_id", &card);
    if (r == 0) {
        *ret = card == NULL ? slice_str("") : row_text(card, "case_state");
    }
    return r;
}

/* Rules move the submission in the act that moves its case; a person may only catch up with it. */
int guard_mirrors_case(const struct guard_case *g, struct err *err)
{
    char kind[32];
    struct slice name = row_text(g->row, "case_kind"), state;

    if (g->actor->is_system) {
        return 0;
    }
    int ret = case_state(g, &state);
    if (ret != 0) {
        return ret;
    }
    bool early = guard_among(state, "registered|screening");
    if (guard_says(g->row, "case_kind", "info_case") && early &&
        strcmp(g->transition->to, "returned") == 0) {
        return 0; /* an info_case waits where it is */
    }
    snprintf(kind, sizeof kind, "%.*s", (int)name.len, (const char *)name.p);
    const char *asked = mirror_state(kind, state);
    return asked != NULL && strcmp(asked, g->transition->to) == 0
               ? 0
               : guard_fail(err, "与案卷的状态不一致，应先办理案卷");
}

int guard_proposer_consented(const struct guard_case *g, struct err *err)
{
    struct value self = value_id(&g->row->id);
    struct row **cases;
    size_t n;

    int ret = guard_find(g, "proposal_case", "submission_id", &self, &cases, &n);
    for (size_t i = 0; ret == 0 && i < n; i++) {
        if (row_int(cases[i], "proposer_consent") == 1) {
            return 0;
        }
    }
    return ret != 0 ? ret : guard_fail(err, "须经提案者同意才能转为社情民意");
}

/* A returned submission goes back to the case it has, while that case waits for it. */
static int check_waiting(const struct guard_case *g, const char *kind, const char *states,
                         struct err *err)
{
    struct slice state;

    if (!guard_says(g->row, "case_kind", kind) || !guard_filled(g->row, "case_id")) {
        return guard_fail(err, "此件没有等待补正的案卷");
    }
    if (g->actor->is_system) {
        return 0;
    }
    int ret = case_state(g, &state);
    if (ret != 0) {
        return ret;
    }
    return state.len == 0 || guard_among(state, states) ? 0 : guard_fail(err, "案卷已不在等待补正");
}

int guard_proposal_waits(const struct guard_case *g, struct err *err)
{
    return check_waiting(g, "proposal_case", "supplement", err);
}

int guard_info_waits(const struct guard_case *g, struct err *err)
{
    return check_waiting(g, "info_case", "registered|screening", err);
}

int guard_tracking_acknowledged(const struct guard_case *g, struct err *err)
{
    struct value self = value_id(&g->row->id);
    struct row **rows, *last = NULL;
    size_t n;

    int ret = guard_find(g, "tracking", "submission_id", &self, &rows, &n);
    if (ret != 0) {
        return ret;
    }
    for (size_t i = 0; i < n; i++) {
        if (last == NULL ||
            slice_cmp(row_text(rows[i], "happened_at"), row_text(last, "happened_at")) >= 0) {
            last = rows[i];
        }
    }
    if (last == NULL || guard_filled(last, "ack_at")) {
        return 0;
    }
    day_t on;
    bool known = guard_day(last, "happened_at", &on);
    if (known && g->check->today - on >= guard_setting(g, "tracking_ack_days")) {
        return 0;
    }
    return guard_fail(err, "县级尚未签收最后一条跟踪反馈");
}

/* ---- opinion ---- */

int guard_is_reasonable(const struct guard_case *g, struct err *err)
{
    return row_int(g->row, "reasonable") == 1 ? 0 : guard_fail(err, "只有合理的意见建议才能转送");
}

int guard_is_anonymous(const struct guard_case *g, struct err *err)
{
    return row_int(g->row, "anonymous") == 1 ? 0 : guard_fail(err, "须先反馈群众，才能办结");
}

int guard_told_citizen(const struct guard_case *g, struct err *err)
{
    return guard_filled(g->row, "feedback_on") && guard_filled(g->row, "feedback_mode")
               ? 0
               : guard_fail(err, "须填写反馈群众的日期和方式");
}

int guard_refusal_explained(const struct guard_case *g, struct err *err)
{
    return guard_filled(g->row, "not_accept_reason") ? 0 : guard_fail(err, "须填写不予受理原因");
}
