/* Guards of proposal_case, info_case and handling_task. Each judges what the records of the `city`
 * stream say at this moment. */
#include <string.h>

#include "common/catalogue/guard_tools.h"

/* ---- tasks of a case ---- */

struct tasks {
    struct row **rows;
    size_t n;
};

/* The tasks of a case in ROUND (0: the latest), without the reassigned ones. */
static int find_tasks(const struct guard_case *g, const struct id *case_id, int64_t round,
                      struct tasks *ret)
{
    struct value id = value_id(case_id);

    int r = guard_find(g, "handling_task", "case_id", &id, &ret->rows, &ret->n);
    if (r != 0) {
        return r;
    }
    for (size_t i = 0; i < ret->n && round <= 0; i++) {
        int64_t of = row_int(ret->rows[i], "round");
        round = -of < round ? -of : round;
    }
    round = round < 0 ? -round : round;
    size_t kept = 0;
    for (size_t i = 0; i < ret->n; i++) {
        if (row_int(ret->rows[i], "round") == round && !row_in_state(ret->rows[i], "reassigned")) {
            ret->rows[kept++] = ret->rows[i];
        }
    }
    ret->n = kept;
    return 0;
}

static size_t count_role(const struct tasks *t, const char *role)
{
    size_t n = 0;

    for (size_t i = 0; i < t->n; i++) {
        n += guard_says(t->rows[i], "unit_role", role);
    }
    return n;
}

static struct row *task_of_role(const struct tasks *t, const char *role)
{
    for (size_t i = 0; i < t->n; i++) {
        if (guard_says(t->rows[i], "unit_role", role)) {
            return t->rows[i];
        }
    }
    return NULL;
}

/* §5.6.5: {1 single}, {1 lead, ≥1 co} or {≥2 separate}, as the case's 办理方式 says. */
static int check_unit_roles(const struct guard_case *g, const struct tasks *t, struct err *err)
{
    size_t single = count_role(t, "single"), lead = count_role(t, "lead"),
           co = count_role(t, "co"), separate = count_role(t, "separate");

    if (guard_says(g->row, "handle_kind", "single")) {
        return single == 1 && t->n == 1 ? 0 : guard_fail(err, "单办须有且只有一个独办单位");
    }
    if (guard_says(g->row, "handle_kind", "joint")) {
        return lead == 1 && co >= 1 && t->n == lead + co
                   ? 0
                   : guard_fail(err, "主办会办须有一个主办单位和至少一个会办单位");
    }
    return separate >= 2 && t->n == separate ? 0 : guard_fail(err, "分办须有至少两个分办单位");
}

static int64_t round_of(const struct row *row)
{
    int64_t round = row_int(row, "round");

    return round < 1 ? 1 : round;
}

int guard_assigned_roles(const struct guard_case *g, struct err *err)
{
    struct tasks t;

    int ret = find_tasks(g, &g->row->id, round_of(g->row), &t);
    return ret != 0 ? ret : check_unit_roles(g, &t, err);
}

/* §5.6.6: the case is due when its answering units are. */
int guard_assigned_due(const struct guard_case *g, struct err *err)
{
    struct tasks t;

    int ret = find_tasks(g, &g->row->id, round_of(g->row), &t);
    if (ret != 0) {
        return ret;
    }
    for (size_t i = 0; i < t.n; i++) {
        bool leads = guard_says(t.rows[i], "unit_role", "lead") ||
                     guard_says(t.rows[i], "unit_role", "single");
        if (leads && !value_eq(row_named(t.rows[i], "due_on"), row_named(g->row, "due_on"))) {
            return guard_fail(err, "案卷的办理期限与主办（独办）单位的期限不一致");
        }
    }
    return 0;
}

int guard_first_task_signed(const struct guard_case *g, struct err *err)
{
    struct tasks t;

    int ret = find_tasks(g, &g->row->id, 0, &t);
    for (size_t i = 0; ret == 0 && i < t.n; i++) {
        if (!row_in_state(t.rows[i], "assigned") && !row_in_state(t.rows[i], "decline_requested")) {
            return 0;
        }
    }
    return ret != 0 ? ret : guard_fail(err, "还没有承办单位签收");
}

/* §3.7: the case is answered when every unit that answers the proposer is. */
int guard_all_tasks_replied(const struct guard_case *g, struct err *err)
{
    struct tasks t;
    size_t answering = 0;

    int ret = find_tasks(g, &g->row->id, 0, &t);
    if (ret != 0) {
        return ret;
    }
    for (size_t i = 0; i < t.n; i++) {
        if (guard_says(t.rows[i], "unit_role", "co")) {
            continue;
        }
        if (!row_in_state(t.rows[i], "replied") && !row_in_state(t.rows[i], "closed")) {
            return guard_fail(err, "还有承办单位的答复没有审查通过");
        }
        answering++;
    }
    return answering > 0 ? 0 : guard_fail(err, "还没有承办单位答复");
}

/* ---- merging ---- */

static int count_merged(const struct guard_case *g, const char *kind, const char *field,
                        size_t *ret_n)
{
    struct value self = value_id(&g->row->id);
    struct row **rows;
    size_t n;

    *ret_n = 0;
    int ret = guard_find(g, kind, field, &self, &rows, &n);
    for (size_t i = 0; ret == 0 && i < n; i++) {
        *ret_n += row_in_state(rows[i], "merged");
    }
    return ret;
}

/* §5.6.8. A main that has answered already could not answer the newcomer, so it takes none. */
int guard_merge_main(const struct guard_case *g, struct err *err)
{
    struct row *main_case;

    int ret = lookup_ref(g->check->lookup, g->row, "main_case", &main_case);
    if (ret != 0) {
        return ret;
    }
    if (main_case == NULL || row_voided(main_case)) {
        return guard_fail(err, "没有找到并案主案");
    }
    if (id_eq(&main_case->id, &g->row->id)) {
        return guard_fail(err, "不能并入自身");
    }
    if (row_in_state(main_case, "merged")) {
        return guard_fail(err, "主案自身已并案，不能再作主案");
    }
    return guard_among(row_state(main_case), "filed|assigned|handling|rehandling")
               ? 0
               : guard_fail(err, "主案须已立案且尚未答复");
}

int guard_not_a_main(const struct guard_case *g, struct err *err)
{
    size_t n;

    int ret = count_merged(g, "proposal_case", "main_case", &n);
    return ret != 0 ? ret : n > 0 ? guard_fail(err, "已有案卷并入本案，须先撤销并案") : 0;
}

int guard_attached_in_process(const struct guard_case *g, struct err *err)
{
    struct row *submission;

    int ret = lookup_ref(g->check->lookup, g->row, "submission_id", &submission);
    if (ret != 0 || submission == NULL) {
        return ret;
    }
    return row_in_state(submission, "in_process") ? 0 : guard_fail(err, "主案已经答复，不能撤销并案");
}

int guard_main_done(const struct guard_case *g, struct err *err)
{
    struct row *main_case;

    int ret = lookup_ref(g->check->lookup, g->row, "main_case", &main_case);
    if (ret != 0) {
        return ret;
    }
    return main_case != NULL && guard_among(row_state(main_case), "closed|archived")
               ? 0
               : guard_fail(err, "主案办结之后才能归档");
}

int guard_merge_info(const struct guard_case *g, struct err *err)
{
    struct row *into;
    size_t n = 0;

    int ret = lookup_ref(g->check->lookup, g->row, "merged_into", &into);
    if (ret == 0) {
        ret = count_merged(g, "info_case", "merged_into", &n);
    }
    if (ret != 0) {
        return ret;
    }
    if (into == NULL || row_voided(into) || id_eq(&into->id, &g->row->id)) {
        return guard_fail(err, "没有找到要并入的信息件");
    }
    if (n > 0 || guard_among(row_state(into), "merged|not_adopted|replied|closed|withdrawn")) {
        return guard_fail(err, "只能并入尚在办理、自身未合并的信息件");
    }
    return 0;
}

int guard_no_merged_info(const struct guard_case *g, struct err *err)
{
    size_t n;

    int ret = count_merged(g, "info_case", "merged_into", &n);
    return ret != 0 ? ret : n > 0 ? guard_fail(err, "已有信息件并入本件，不能撤回") : 0;
}

int guard_info_main_done(const struct guard_case *g, struct err *err)
{
    struct row *into;

    int ret = lookup_ref(g->check->lookup, g->row, "merged_into", &into);
    if (ret != 0) {
        return ret;
    }
    return into != NULL && row_in_state(into, "closed")
               ? 0
               : guard_fail(err, "所并入的信息件办结之后才能归档");
}

/* ---- proposal_case ---- */

int guard_proposers_eligible(const struct guard_case *g, struct err *err)
{
    struct row *submission;

    int ret = lookup_ref(g->check->lookup, g->row, "submission_id", &submission);
    return ret != 0 || submission == NULL ? ret : guard_check_proposers(g, submission, err);
}

int guard_consent_given(const struct guard_case *g, struct err *err)
{
    return row_int(g->row, "proposer_consent") == 1
               ? 0
               : guard_fail(err, "须经提案者同意才能转为社情民意");
}

/* Called for the submission of the case and of every case merged into it. */
typedef int (*submission_cb)(const struct guard_case *g, const struct value *submission, void *ctx);

static int each_submission(const struct guard_case *g, submission_cb cb, void *ctx)
{
    struct value self = value_id(&g->row->id);
    struct row **merged;
    size_t n;
    int ret = 0;

    if (guard_filled(g->row, "submission_id")) {
        ret = cb(g, row_named(g->row, "submission_id"), ctx);
    }
    if (ret == 0) {
        ret = guard_find(g, "proposal_case", "main_case", &self, &merged, &n);
    }
    for (size_t i = 0; ret == 0 && i < n; i++) {
        if (row_in_state(merged[i], "merged") && guard_filled(merged[i], "submission_id")) {
            ret = cb(g, row_named(merged[i], "submission_id"), ctx);
        }
    }
    return ret;
}

/* The feedback on the case cards of one submission. */
static int find_feedback(const struct guard_case *g, const struct value *submission,
                         struct row ***ret_rows, size_t *ret_n)
{
    struct row **cards;
    size_t n;

    *ret_n = 0;
    int ret = guard_find(g, "case_card", "submission_id", submission, &cards, &n);
    if (ret == 0 && n > 0) {
        struct value card = value_id(&cards[0]->id);
        ret = guard_find(g, "feedback", "case_id", &card, ret_rows, ret_n);
    }
    return ret;
}

static int note_dissatisfied(const struct guard_case *g, const struct value *submission, void *ctx)
{
    bool *found = ctx;
    struct row **rows;
    size_t n;

    int ret = find_feedback(g, submission, &rows, &n);
    for (size_t i = 0; ret == 0 && i < n; i++) {
        *found = *found || guard_says(rows[i], "result", "dissatisfied");
    }
    return ret;
}

/* A second handling, but no third: then 协商 or 说明. The tasks tell how many rounds there were. */
int guard_dissatisfied_once(const struct guard_case *g, struct err *err)
{
    struct tasks t;
    bool found = false;

    int ret = find_tasks(g, &g->row->id, 0, &t);
    if (ret == 0) {
        ret = each_submission(g, note_dissatisfied, &found);
    }
    if (ret != 0) {
        return ret;
    }
    if (!found) {
        return guard_fail(err, "没有“不满意”的反馈意见");
    }
    return t.n > 0 && row_int(t.rows[0], "round") >= 2
               ? guard_fail(err, "二次办理只能一次，应协商或说明")
               : 0;
}

int guard_next_round(const struct guard_case *g, struct err *err)
{
    struct tasks t;

    if (round_of(g->row) < 2) {
        return guard_fail(err, "办理轮次不对");
    }
    int ret = find_tasks(g, &g->row->id, round_of(g->row), &t);
    return ret != 0 ? ret : check_unit_roles(g, &t, err);
}

int guard_tracking_due(const struct guard_case *g, struct err *err)
{
    struct tasks t;

    if (row_int(g->row, "is_key") == 1) {
        return 0;
    }
    int ret = find_tasks(g, &g->row->id, 0, &t);
    for (size_t i = 0; ret == 0 && i < t.n; i++) {
        struct value id = value_id(&t.rows[i]->id);
        struct row **replies;
        size_t n;
        ret = guard_find(g, "reply", "task_id", &id, &replies, &n);
        for (size_t r = 0; ret == 0 && r < n; r++) {
            if (guard_says(replies[r], "result_class", "B")) {
                return 0;
            }
        }
    }
    return ret != 0 ? ret : guard_fail(err, "只有B类答复或重点提案列入跟踪督办");
}

/* A submission is settled when its proposer said something, or had the days to. */
static int note_unsettled(const struct guard_case *g, const struct value *submission, void *ctx)
{
    bool *unsettled = ctx;
    struct row **rows;
    size_t n;

    int ret = find_feedback(g, submission, &rows, &n);
    if (ret != 0 || n > 0) {
        return ret;
    }
    ret = guard_find(g, "answer", "submission_id", submission, &rows, &n);
    for (size_t i = 0; ret == 0 && i < n; i++) {
        day_t on;
        bool known = guard_day(rows[i], "reply_on", &on);
        if (rows[i]->created_at != 0) {
            on = cal_day_of(rows[i]->created_at);
            known = true;
        }
        if (known && g->check->today <= on + guard_setting(g, "feedback_days")) {
            *unsettled = true;
        }
    }
    return ret;
}

int guard_feedback_settled(const struct guard_case *g, struct err *err)
{
    bool unsettled = false;

    int ret = each_submission(g, note_unsettled, &unsettled);
    return ret != 0 ? ret : unsettled ? guard_fail(err, "提案者尚未反馈，征询意见期限未到") : 0;
}

/* ---- info_case ---- */

int guard_not_proposal(const struct guard_case *g, struct err *err)
{
    return guard_says(g->row, "form", "proposal") ? guard_fail(err, "信息件不能是委员提案") : 0;
}

/* While its submission is back at the county for 补正, an info_case is decided on no further. */
int guard_not_sent_back(const struct guard_case *g, struct err *err)
{
    struct row *submission;

    int ret = lookup_ref(g->check->lookup, g->row, "submission_id", &submission);
    if (ret != 0 || submission == NULL) {
        return ret;
    }
    return row_in_state(submission, "returned") ? guard_fail(err, "转送件正在退回补正") : 0;
}

int guard_not_micro(const struct guard_case *g, struct err *err)
{
    return guard_says(g->row, "form", "micro_suggestion") ? guard_fail(err, "微建议应直接转办") : 0;
}

int guard_is_micro(const struct guard_case *g, struct err *err)
{
    return guard_says(g->row, "form", "micro_suggestion") ? 0 : guard_fail(err, "只有微建议直接转办");
}

int guard_approver_not_editor(const struct guard_case *g, struct err *err)
{
    struct slice approver = row_text(g->row, "approver");

    return approver.len > 0 && slice_eq(approver, row_text(g->row, "editor"))
               ? guard_fail(err, "审核人不能是编辑本人")
               : 0;
}

int guard_instruction_exists(const struct guard_case *g, struct err *err)
{
    struct value self = value_id(&g->row->id);
    struct row **rows;
    size_t n;

    int ret = guard_find(g, "adoption", "case_id", &self, &rows, &n);
    for (size_t i = 0; ret == 0 && i < n; i++) {
        if (guard_says(rows[i], "kind", "instruction")) {
            return 0;
        }
    }
    return ret != 0 ? ret : guard_fail(err, "须先登记领导批示");
}

/* ---- handling_task ---- */

/* The case a task belongs to, of the kind it names; NULL when there is none. */
static int find_case(const struct guard_case *g, struct row **ret)
{
    struct id id;

    *ret = NULL;
    if (!row_id(g->row, "case_id", &id)) {
        return 0;
    }
    const char *kind = guard_says(g->row, "case_kind", "info_case") ? "info_case" : "proposal_case";
    return lookup_get(g->check->lookup, kind, &id, ret);
}

int guard_case_open(const struct guard_case *g, struct err *err)
{
    struct row *of;

    int ret = find_case(g, &of);
    if (ret != 0) {
        return ret;
    }
    if (of == NULL || row_voided(of)) {
        return guard_fail(err, "没有找到案卷");
    }
    const char *open = guard_says(g->row, "case_kind", "info_case")
                           ? "screening|issued|instructed|transferred|handling"
                           : "filed|assigned|handling|rehandling";
    return guard_among(row_state(of), open) ? 0 : guard_fail(err, "案卷当前不能交办");
}

int guard_unit_active(const struct guard_case *g, struct err *err)
{
    struct row *unit;

    int ret = lookup_ref(g->check->lookup, g->row, "unit_id", &unit);
    if (ret != 0) {
        return ret;
    }
    if (unit == NULL || row_voided(unit) || row_int(unit, "active") != 1) {
        return guard_fail(err, "承办单位不存在或已停用");
    }
    return row_int(unit, "is_undertaker") == 1 ? 0 : guard_fail(err, "该单位不是承办单位");
}

int guard_unit_once(const struct guard_case *g, struct err *err)
{
    struct id id;
    struct tasks t;

    if (!row_id(g->row, "case_id", &id)) {
        return 0;
    }
    int ret = find_tasks(g, &id, round_of(g->row), &t);
    for (size_t i = 0; ret == 0 && i < t.n; i++) {
        if (!id_eq(&t.rows[i]->id, &g->row->id) &&
            value_eq(row_named(t.rows[i], "unit_id"), row_named(g->row, "unit_id"))) {
            return guard_fail(err, "该单位在本轮已有承办件");
        }
    }
    return ret;
}

/* §5.6.6: lead and single as the case; co at least 15 days before the lead. */
static int check_task_due(const struct guard_case *g, const struct row *of, struct err *err)
{
    bool co = guard_says(g->row, "unit_role", "co");
    bool leads = guard_says(g->row, "unit_role", "lead") || guard_says(g->row, "unit_role", "single");
    day_t due, lead_due;
    struct tasks t;

    int ret = find_tasks(g, &of->id, round_of(g->row), &t);
    if (ret != 0 || !guard_day(g->row, "due_on", &due)) {
        return ret;
    }
    struct row *lead = task_of_role(&t, "lead");
    bool known = guard_day(lead != NULL && co ? lead : of, "due_on", &lead_due);
    if (!known || (!co && !leads)) {
        return 0;
    }
    int64_t gap = co ? guard_setting(g, "co_gap_days") : 0;
    if (co && due > lead_due - gap) {
        return guard_fail(err, "会办期限须比主办期限早 %d 天以上", (int)gap);
    }
    /* Once assigned, a replacing unit has its own date and the case follows it. */
    if (leads && due != lead_due && !guard_among(row_state(of), "assigned|handling")) {
        return guard_fail(err, "承办期限与案卷的办理期限不一致");
    }
    return 0;
}

int guard_task_due(const struct guard_case *g, struct err *err)
{
    day_t assigned, due;
    struct row *of;
    int months = (int)guard_setting(g, "extension_months");

    int ret = find_case(g, &of);
    if (ret != 0) {
        return ret;
    }
    if (guard_day(g->row, "assigned_on", &assigned) && guard_day(g->row, "due_on", &due) &&
        (due <= assigned || due > cal_add_months(assigned, months))) {
        return guard_fail(err, "办理期限应在交办之后 %d 个月之内", months);
    }
    return of == NULL || guard_says(g->row, "case_kind", "info_case") ? 0 : check_task_due(g, of, err);
}

int guard_before_decline_due(const struct guard_case *g, struct err *err)
{
    day_t due;

    if (!guard_day(g->row, "decline_due", &due)) {
        if (!guard_day(g->row, "assigned_on", &due)) {
            return 0;
        }
        due += (day_t)guard_setting(g, "decline_days");
    }
    return g->check->today <= due ? 0 : guard_fail(err, "已过申请退办的期限");
}

int guard_decline_agreed(const struct guard_case *g, struct err *err)
{
    return guard_says(g->row, "decline_result", "同意改派")
               ? 0
               : guard_fail(err, "“申退结果”应为“同意改派”");
}

int guard_decline_refused(const struct guard_case *g, struct err *err)
{
    return guard_says(g->row, "decline_result", "不同意")
               ? 0
               : guard_fail(err, "“申退结果”应为“不同意”");
}

int guard_extension_bound(const struct guard_case *g, struct err *err)
{
    day_t assigned, due, to;
    int months = (int)guard_setting(g, "extension_months");

    if (!guard_day(g->row, "assigned_on", &assigned)) {
        return 0;
    }
    day_t bound = cal_add_months(assigned, months);
    bool has_due = guard_day(g->row, "due_on", &due), has_to = guard_day(g->row, "ext_to", &to);
    if ((has_due && due > bound) || (has_to && to > bound)) {
        return guard_fail(err, "延期不能超过交办之日起 %d 个月", months);
    }
    bool asks = strcmp(g->transition->to, "extension_requested") == 0;
    return asks && has_due && has_to && to <= due ? guard_fail(err, "“延期至”应晚于办理期限") : 0;
}

int guard_role_co(const struct guard_case *g, struct err *err)
{
    return guard_says(g->row, "unit_role", "co") ? 0 : guard_fail(err, "只有会办单位送会办意见");
}

int guard_role_answers(const struct guard_case *g, struct err *err)
{
    return guard_says(g->row, "unit_role", "co")
               ? guard_fail(err, "会办单位不直接答复提案者，应送会办意见")
               : 0;
}

/* The lead waits for every 会办意见; one that is past its date waives it. */
int guard_co_opinions_in(const struct guard_case *g, struct err *err)
{
    struct id id;
    struct tasks t;
    day_t due;

    if (!guard_says(g->row, "unit_role", "lead") || !row_id(g->row, "case_id", &id)) {
        return 0;
    }
    int ret = find_tasks(g, &id, round_of(g->row), &t);
    for (size_t i = 0; ret == 0 && i < t.n; i++) {
        if (!guard_says(t.rows[i], "unit_role", "co") ||
            guard_among(row_state(t.rows[i]), "co_opined|closed") ||
            (guard_day(t.rows[i], "due_on", &due) && g->check->today > due)) {
            continue;
        }
        return guard_fail(err, "会办意见尚未送齐");
    }
    return ret;
}

/* ---- replies of a task ---- */

/* The newest reply of the task: ids are ordered by time. */
static int last_reply(const struct guard_case *g, struct row **ret)
{
    struct value self = value_id(&g->row->id);
    struct row **rows;
    size_t n;

    *ret = NULL;
    int r = guard_find(g, "reply", "task_id", &self, &rows, &n);
    for (size_t i = 0; r == 0 && i < n; i++) {
        if (*ret == NULL || id_cmp(&rows[i]->id, &(*ret)->id) > 0) {
            *ret = rows[i];
        }
    }
    return r;
}

int guard_reply_exists(const struct guard_case *g, struct err *err)
{
    struct row *reply;

    int ret = last_reply(g, &reply);
    if (ret != 0) {
        return ret;
    }
    if (reply == NULL) {
        return guard_fail(err, "须先登记答复");
    }
    return guard_says(reply, "review_result", "驳回")
               ? guard_fail(err, "上一份答复已被驳回，须登记新的答复")
               : 0;
}

int guard_reply_refused(const struct guard_case *g, struct err *err)
{
    struct row *reply;

    int ret = last_reply(g, &reply);
    if (ret != 0) {
        return ret;
    }
    return reply != NULL && guard_says(reply, "review_result", "驳回") &&
                   guard_filled(reply, "reject_reason")
               ? 0
               : guard_fail(err, "须在答复上记明驳回和理由");
}

int guard_reply_passed(const struct guard_case *g, struct err *err)
{
    struct row *reply;

    int ret = last_reply(g, &reply);
    if (ret != 0) {
        return ret;
    }
    return reply != NULL && guard_says(reply, "review_result", "通过")
               ? 0
               : guard_fail(err, "答复尚未审查通过");
}
