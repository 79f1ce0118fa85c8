/* Cases: what hangs on them, and the row of plain Chinese that each of their steps writes. */
#include "server/core/rules_internal.h"

#include "common/base/text.h"

#include <stdio.h>
#include <string.h>

/* ---- words ---- */

bool row_says(const struct row *row, const char *name, const char *text)
{
    return slice_eq(row_text(row, name), slice_str(text));
}

bool row_state_in(const struct row *row, const char *states)
{
    struct slice state = row_state(row);

    for (const char *at = states; *at != '\0';) {
        size_t len = strcspn(at, "|");

        if (slice_eq(state, (struct slice){(const uint8_t *)at, len}))
            return true;
        at += len + (at[len] == '|');
    }
    return false;
}

struct value row_value(const struct row *row, const char *name)
{
    const struct field *f = kind_field_named(row->kind, name);

    return f == NULL ? value_null() : *row_get(row, f->tag);
}

bool case_is_proposal(const struct row *of)
{
    return strcmp(of->kind->name, "proposal_case") == 0;
}

const char *case_organ(const struct row *of)
{
    return case_is_proposal(of) ? BY_PROPOSAL : BY_OFFICE;
}

struct slice case_number(const struct row *of)
{
    return case_is_proposal(of) ? row_text(of, "case_no") : row_get(of, TAG_SERIAL)->s;
}

/* ---- finding ---- */

int find_one(struct judge *j, const char *kind, const char *field, const struct value *v,
             struct row **ret)
{
    struct row **rows;
    size_t n;
    int status = lookup_find(judge_lookup(j), judge_arena(j), kind, field, v, &rows, &n);

    *ret = NULL;
    if (status == 0 && n > 0)
        *ret = rows[0];
    return status;
}

int case_named(struct judge *j, const struct row *row, struct row **ret)
{
    struct id id;
    bool info = row_says(row, "case_kind", "info_case");

    *ret = NULL;
    if (!row_id(row, "case_id", &id))
        return 0;
    return lookup_get(judge_lookup(j), info ? "info_case" : "proposal_case", &id, ret);
}

int case_of_submission(struct judge *j, const struct row *submission, struct row **ret)
{
    struct value self = value_id(&submission->id);
    bool info = row_says(submission, "case_kind", "info_case");

    *ret = NULL;
    if (value_is_null(row_named(submission, "case_id")))
        return 0;
    return find_one(j, info ? "info_case" : "proposal_case", "submission_id", &self, ret);
}

/* States in which a case keeps to the one it was merged into. */
static const char *merged_states(const struct row *of)
{
    return case_is_proposal(of) ? "merged|archived" : "merged|closed";
}

static const char *main_field(const struct row *of)
{
    return case_is_proposal(of) ? "main_case" : "merged_into";
}

int case_main(struct judge *j, const struct row *of, struct row **ret)
{
    *ret = NULL;
    if (!row_state_in(of, merged_states(of)))
        return 0;
    return lookup_ref(judge_lookup(j), of, main_field(of), ret);
}

/* ---- submissions attached ---- */

struct gather {
    struct judge *j;
    struct attached *to;
    size_t n, cap;
};

static int add_attached(struct gather *g, struct row *submission, struct row *own)
{
    if (g->n == g->cap) {
        size_t cap = g->cap * 2 + 4;
        struct attached *more = arena_alloc(judge_arena(g->j), cap * sizeof *more);

        if (more == NULL)
            return E_NOMEM;
        if (g->n > 0)
            memcpy(more, g->to, g->n * sizeof *more);
        g->to = more;
        g->cap = cap;
    }
    g->to[g->n++] = (struct attached){.submission = submission, .own = own};
    return 0;
}

/* Duplicates name the surviving submission by its 转送编号. */
static int add_duplicates(struct gather *g, const struct row *submission, struct row *own)
{
    const struct value *serial = row_get(submission, TAG_SERIAL);
    struct row **rows;
    size_t n = 0;
    int ret = 0;

    if (!value_is_null(serial))
        ret = lookup_find(judge_lookup(g->j), judge_arena(g->j), "submission", "duplicate_of",
                          serial, &rows, &n);
    for (size_t i = 0; ret == 0 && i < n; i++) {
        if (row_state_in(rows[i], "duplicate|closed"))
            ret = add_attached(g, rows[i], own);
    }
    return ret;
}

/* A converted proposal has handed its submission to the info_case. */
static int add_own(struct gather *g, struct row *own)
{
    struct value handed = row_value(own, "converted_to");
    struct row *submission;
    int ret;

    if (!value_is_null(&handed))
        return 0;
    ret = lookup_ref(judge_lookup(g->j), own, "submission_id", &submission);
    if (ret != 0 || submission == NULL)
        return ret;
    ret = add_attached(g, submission, own);
    return ret != 0 ? ret : add_duplicates(g, submission, own);
}

int case_attached(struct judge *j, struct row *of, struct attached **ret, size_t *ret_n)
{
    struct gather g = {.j = j};
    struct value self = value_id(&of->id);
    struct row **merged;
    size_t n = 0;
    int status = add_own(&g, of);

    if (status == 0)
        status = lookup_find(judge_lookup(j), judge_arena(j), of->kind->name, main_field(of),
                             &self, &merged, &n);
    for (size_t i = 0; status == 0 && i < n; i++) {
        if (row_state_in(merged[i], merged_states(of)))
            status = add_own(&g, merged[i]);
    }
    *ret = g.to;
    *ret_n = g.n;
    return status;
}

/* ---- tasks ---- */

int case_tasks(struct judge *j, const struct row *of, struct row ***ret, size_t *ret_n)
{
    struct value self = value_id(&of->id);
    struct row **rows;
    int64_t round = 0;
    size_t n, kept = 0;
    int status = lookup_find(judge_lookup(j), judge_arena(j), "handling_task", "case_id", &self,
                             &rows, &n);

    if (status != 0)
        return status;
    for (size_t i = 0; i < n; i++) {
        if (row_int(rows[i], "round") > round)
            round = row_int(rows[i], "round");
    }
    for (size_t i = 0; i < n; i++) {
        if (row_int(rows[i], "round") == round && !row_in_state(rows[i], "reassigned"))
            rows[kept++] = rows[i];
    }
    *ret = rows;
    *ret_n = kept;
    return 0;
}

static bool fits(const char *so_far, struct slice name, size_t max)
{
    return text_length(slice_str(so_far)) + 1 + text_length(name) <= max;
}

int case_units(struct judge *j, const struct row *of, bool answering, size_t max,
               struct value *ret)
{
    const char *names = "";
    struct row **tasks, *unit;
    size_t n;
    int status = case_tasks(j, of, &tasks, &n);

    *ret = value_null();
    for (size_t i = 0; status == 0 && i < n; i++) {
        struct slice name;

        if (row_says(tasks[i], "unit_role", "co") == answering)
            continue;
        status = lookup_ref(judge_lookup(j), tasks[i], "unit_id", &unit);
        if (status != 0 || unit == NULL)
            continue;
        name = row_text(unit, "name");
        if (!fits(names, name, max))
            break;
        names = judge_text(j, "%s%s%.*s", names, names[0] == '\0' ? "" : "、", (int)name.len,
                           (const char *)name.p);
        if (names == NULL)
            return E_NOMEM;
    }
    if (status == 0 && names[0] != '\0')
        *ret = value_str(names);
    return status;
}

int case_close_tasks(struct judge *j, const struct row *of)
{
    struct value self = value_id(&of->id);
    struct row **rows;
    size_t n = 0;
    int ret = lookup_find(judge_lookup(j), judge_arena(j), "handling_task", "case_id", &self,
                          &rows, &n);

    for (size_t i = 0; ret == 0 && i < n; i++) {
        if (!row_state_in(rows[i], "closed|reassigned"))
            ret = judge_move(j, rows[i], "closed", NULL);
    }
    return ret;
}

/* ---- steps ---- */

static const struct case_step {
    const char *kind, *from, *to;
    struct step step;
} case_steps[] = {
    {"proposal_case", NULL, "reviewing", {.node = "审查", .clock = CLOCK_REVIEW,
     .text = "“{title}”已开始审查。", .next = "审查是否立案"}},
    {"proposal_case", NULL, "supplement", {.node = "退回补正",
     .text = "“{title}”审查中需要补正，已退回原报送单位修改，审查时限暂停计算。", .next = "补正后重新上报"}},
    {"proposal_case", NULL, "filed", {.node = "立案",
     .text = "“{title}”经审查予以立案，提案号{no}。", .next = "交承办单位办理"}},
    {"proposal_case", NULL, "merged", {.node = "并案", .clock = CLOCK_NONE,
     .text = "“{title}”与内容相近的提案合并办理，主案提案号{main}，办理结果将一并答复。",
     .next = "随主案办理"}},
    {"proposal_case", NULL, "not_filed", {.node = "不立案",
     .text = "“{title}”经审查不予立案。", .next = "留作工作参考"}},
    {"proposal_case", NULL, "assigned", {.node = "交办", .clock = CLOCK_CASE,
     .text = "“{title}”已交{units}办理，办理期限{due}。", .next = "承办单位签收并办理"}},
    {"proposal_case", "rehandling", "handling", {.node = "重新交办", .clock = CLOCK_CASE,
     .text = "“{title}”二次办理已重新交{units}，办理期限{due}。", .next = "承办单位再次答复"}},
    {"proposal_case", NULL, "handling", {.node = "签收", .clock = CLOCK_CASE,
     .text = "“{title}”的承办单位{units}已签收，进入办理，办理期限{due}。", .next = "承办单位答复"}},
    {"proposal_case", NULL, "replied", {.node = "答复",
     .text = "{units}对“{title}”的答复已审查通过，全文见答复件。", .next = "征询提案者意见"}},
    {"proposal_case", NULL, "feedback_wait", {.node = "征询意见", .clock = CLOCK_FEEDBACK,
     .text = "现就“{title}”的办理情况征询提案者意见，请填报反馈意见。", .next = "提案者反馈意见"}},
    {"proposal_case", NULL, "rehandling", {.node = "二次办理", .clock = CLOCK_CASE,
     .text = "提案者对“{title}”的办理结果不满意，已决定二次办理，办理期限{due}。",
     .next = "重新交办"}},
    {"proposal_case", "closed", "tracking", {.node = "重新跟踪",
     .text = "“{title}”重新列入跟踪督办。", .next = "跟踪落实"}},
    {"proposal_case", NULL, "tracking", {.node = "跟踪督办",
     .text = "“{title}”已列入跟踪督办，落实情况将继续反馈。", .next = "跟踪落实"}},
    {"proposal_case", "tracking", "closed", {.node = "兑现办结",
     .text = "“{title}”承诺事项已落实或已作说明，予以办结。", .next = "归档"}},
    {"proposal_case", NULL, "closed", {.node = "办结", .text = "“{title}”已办结。", .next = "归档"}},
    {"proposal_case", NULL, "archived", {.node = "归档", .text = "“{title}”的案卷已归档。"}},
    {"proposal_case", NULL, "withdrawn", {.node = "撤案", .text = "“{title}”已撤案，不再办理。"}},
    {"info_case", NULL, "screening", {.node = "初审", .clock = CLOCK_CASE,
     .text = "“{title}”已进入初审。", .next = "决定是否采用"}},
    {"info_case", NULL, "not_adopted", {.node = "未采用",
     .text = "“{title}”经初审未予采用，留存参考。"}},
    {"info_case", NULL, "merged", {.node = "合并综合",
     .text = "“{title}”与内容相近的信息合并综合，并入{main}，后续进展一并反馈。",
     .next = "随所并入的信息办理"}},
    {"info_case", "edited", "adopted", {.node = "退编辑",
     .text = "“{title}”的编辑稿退回修改。", .next = "编辑成稿"}},
    {"info_case", NULL, "adopted", {.node = "采用", .text = "“{title}”已采用。", .next = "编辑成稿"}},
    {"info_case", NULL, "edited", {.node = "编辑", .text = "“{title}”已编辑成稿。", .next = "审核"}},
    {"info_case", NULL, "approved", {.node = "审核", .text = "“{title}”的稿件已审核。", .next = "签发"}},
    {"info_case", NULL, "signed", {.node = "签发", .text = "“{title}”的稿件已签发。", .next = "印发报送"}},
    {"info_case", NULL, "issued", {.node = "印发",
     .text = "“{title}”已印发报送。", .next = "批示或转办"}},
    {"info_case", NULL, "instructed", {.node = "批示",
     .text = "“{title}”获得领导批示。", .next = "按批示转办"}},
    {"info_case", NULL, "transferred", {.node = "转办", .clock = CLOCK_CASE,
     .text = "“{title}”已转有关单位办理，反馈期限{due}。", .next = "承办单位签收并办理"}},
    {"info_case", "replied", "handling", {.node = "重办", .clock = CLOCK_CASE,
     .text = "“{title}”的回复不满意，已要求重新办理。", .next = "承办单位再次回复"}},
    {"info_case", NULL, "handling", {.node = "签收", .clock = CLOCK_CASE,
     .text = "“{title}”的承办单位{units}已签收，进入办理，反馈期限{due}。", .next = "承办单位回复"}},
    {"info_case", NULL, "replied", {.node = "回复",
     .text = "{units}对“{title}”的回复已审查通过，全文见答复件。", .next = "办结"}},
    {"info_case", "not_adopted", "closed", {.node = "归档", .text = "“{title}”已归档。"}},
    {"info_case", "merged", "closed", {.node = "归档", .text = "“{title}”已随主件归档。"}},
    {"info_case", NULL, "closed", {.node = "办结", .text = "“{title}”已办结。"}},
    {"info_case", NULL, "withdrawn", {.node = "撤回", .text = "“{title}”已撤回，不再办理。"}},
};

static const struct step unmerged_step = {
    .node = "撤销并案", .clock = CLOCK_REVIEW, .text = "“{title}”已撤销并案，单独审查。",
    .next = "审查是否立案"};
static const struct step resumed_step = {
    .node = "补正续审", .text = "“{title}”的补正件已收到，继续审查。", .next = "审查是否立案"};

static const struct step *step_of(const struct row *before, const struct row *after)
{
    if (case_is_proposal(after) && row_in_state(after, "reviewing") &&
        row_in_state(before, "merged"))
        return &unmerged_step;
    if (case_is_proposal(after) && row_in_state(after, "reviewing") &&
        row_in_state(before, "supplement"))
        return &resumed_step;
    for (size_t i = 0; i < sizeof case_steps / sizeof *case_steps; i++) {
        const struct case_step *s = &case_steps[i];

        if (strcmp(s->kind, after->kind->name) == 0 && row_in_state(after, s->to) &&
            (s->from == NULL || row_in_state(before, s->from)))
            return &s->step;
    }
    return NULL;
}

static const char *label_of(struct judge *j, const struct row *row, const char *name)
{
    const struct field *f = kind_field_named(row->kind, name);
    const struct code *code = code_find(f->codes, row_text(row, name), false);

    return code == NULL ? "" : judge_text(j, "%s", code->label);
}

/* Why, in the words of who decided; told to the case's own submission only. */
static const char *reason_of(struct judge *j, const struct row *of)
{
    const char *field = NULL;
    struct slice text;

    if (row_in_state(of, "not_filed")) {
        text = row_text(of, "not_filed_note");
        return judge_text(j, "%s。%.*s", label_of(j, of, "not_filed_reason"), (int)text.len,
                          (const char *)text.p);
    }
    if (row_state_in(of, "supplement") || (row_in_state(of, "withdrawn") && case_is_proposal(of)))
        field = "review_opinion";
    else if (row_in_state(of, "withdrawn"))
        field = "screen_opinion";
    else if (row_in_state(of, "not_adopted"))
        field = "not_adopt_reason";
    if (field == NULL || row_text(of, field).len == 0)
        return NULL;
    text = row_text(of, field);
    return judge_text(j, "%.*s", (int)text.len, (const char *)text.p);
}

/* ---- rules ---- */

/* Every step of a case is told to whom it answers, once. */
int case_moved(const struct deed *d)
{
    const struct step *told = step_of(d->before, d->row);
    struct step step;
    int ret;

    if (told == NULL || row_in_state(d->row, "converted"))
        return 0;
    step = *told;
    step.by = case_organ(d->row);
    step.reason = reason_of(d->j, d->row);
    ret = publish_case(d->j, d->row, &step);
    return ret != 0 || !case_is_proposal(d->row) ? ret : publish_proposal_card(d->j, d->row);
}

int case_edited(const struct deed *d)
{
    int ret = publish_case(d->j, d->row, NULL);

    return ret != 0 || !case_is_proposal(d->row) ? ret : publish_proposal_card(d->j, d->row);
}

/* One case a submission, and it comes by routing only (四(二)). */
int case_by_hand(const struct deed *d)
{
    if (value_is_null(row_named(d->row, "submission_id")))
        return 0;
    return judge_refuse(d->j, E_GUARD, "转送件的案卷在转送时自动登记，不能另行登记");
}

int case_ended(const struct deed *d)
{
    return case_close_tasks(d->j, d->row);
}
