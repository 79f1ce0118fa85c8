/* The steps of a case, and the row of plain Chinese that each of them writes. */
#include "server/core/rules_internal.h"

#include <string.h>

/* The first row that fits. States a case passes through without a word have none. */
static const struct case_step {
    const char *kind, *from, *to;
    const char *node;
    enum clock clock;
    const char *text, *next;
} case_steps[] = {
    {"proposal_case", "merged", "reviewing", "撤销并案", CLOCK_REVIEW,
     "“{title}”已撤销并案，单独审查。", "审查是否立案"},
    {"proposal_case", "supplement", "reviewing", "补正续审", CLOCK_NONE,
     "“{title}”的补正件已收到，继续审查。", "审查是否立案"},
    {"proposal_case", NULL, "reviewing", "审查", CLOCK_REVIEW, "“{title}”已开始审查。",
     "审查是否立案"},
    {"proposal_case", NULL, "supplement", "退回补正", CLOCK_NONE,
     "“{title}”审查中需要补正，已退回原报送单位修改，审查时限暂停计算。", "补正后重新上报"},
    {"proposal_case", NULL, "filed", "立案", CLOCK_NONE, "“{title}”经审查予以立案，提案号{no}。",
     "交承办单位办理"},
    {"proposal_case", NULL, "merged", "并案", CLOCK_NONE,
     "“{title}”与内容相近的提案合并办理，主案提案号{main}，办理结果将一并答复。", "随主案办理"},
    {"proposal_case", NULL, "not_filed", "不立案", CLOCK_NONE, "“{title}”经审查不予立案。",
     "留作工作参考"},
    {"proposal_case", NULL, "assigned", "交办", CLOCK_CASE,
     "“{title}”已交{units}办理，办理期限{due}。", "承办单位签收并办理"},
    {"proposal_case", "rehandling", "handling", "重新交办", CLOCK_CASE,
     "“{title}”二次办理已重新交{units}，办理期限{due}。", "承办单位再次答复"},
    {"proposal_case", NULL, "handling", "签收", CLOCK_CASE,
     "“{title}”的承办单位{units}已签收，进入办理，办理期限{due}。", "承办单位答复"},
    {"proposal_case", NULL, "replied", "答复", CLOCK_NONE,
     "{units}对“{title}”的答复已审查通过，全文见答复件。", "征询提案者意见"},
    {"proposal_case", NULL, "feedback_wait", "征询意见", CLOCK_FEEDBACK,
     "现就“{title}”的办理情况征询提案者意见，请填报反馈意见。", "提案者反馈意见"},
    {"proposal_case", NULL, "rehandling", "二次办理", CLOCK_CASE,
     "提案者对“{title}”的办理结果不满意，已决定二次办理，办理期限{due}。", "重新交办"},
    {"proposal_case", "closed", "tracking", "重新跟踪", CLOCK_NONE, "“{title}”重新列入跟踪督办。",
     "跟踪落实"},
    {"proposal_case", NULL, "tracking", "跟踪督办", CLOCK_NONE,
     "“{title}”已列入跟踪督办，落实情况将继续反馈。", "跟踪落实"},
    {"proposal_case", "tracking", "closed", "兑现办结", CLOCK_NONE,
     "“{title}”承诺事项已落实或已作说明，予以办结。", "归档"},
    {"proposal_case", NULL, "closed", "办结", CLOCK_NONE, "“{title}”已办结。", "归档"},
    {"proposal_case", NULL, "archived", "归档", CLOCK_NONE, "“{title}”的案卷已归档。", NULL},
    {"proposal_case", NULL, "withdrawn", "撤案", CLOCK_NONE, "“{title}”已撤案，不再办理。", NULL},
    {"info_case", NULL, "screening", "初审", CLOCK_CASE, "“{title}”已进入初审。", "决定是否采用"},
    {"info_case", NULL, "not_adopted", "未采用", CLOCK_NONE, "“{title}”经初审未予采用，留存参考。",
     NULL},
    {"info_case", NULL, "merged", "合并综合", CLOCK_NONE,
     "“{title}”与内容相近的信息合并综合，并入{main}，后续进展一并反馈。", "随所并入的信息办理"},
    {"info_case", "edited", "adopted", "退编辑", CLOCK_NONE, "“{title}”的编辑稿退回修改。",
     "编辑成稿"},
    {"info_case", NULL, "adopted", "采用", CLOCK_NONE, "“{title}”已采用。", "编辑成稿"},
    {"info_case", NULL, "edited", "编辑", CLOCK_NONE, "“{title}”已编辑成稿。", "审核"},
    {"info_case", NULL, "approved", "审核", CLOCK_NONE, "“{title}”的稿件已审核。", "签发"},
    {"info_case", NULL, "signed", "签发", CLOCK_NONE, "“{title}”的稿件已签发。", "印发报送"},
    {"info_case", NULL, "issued", "印发", CLOCK_NONE, "“{title}”已印发报送。", "批示或转办"},
    {"info_case", NULL, "instructed", "批示", CLOCK_NONE, "“{title}”获得领导批示。", "按批示转办"},
    {"info_case", NULL, "transferred", "转办", CLOCK_CASE,
     "“{title}”已转有关单位办理，反馈期限{due}。", "承办单位签收并办理"},
    {"info_case", "replied", "handling", "重办", CLOCK_CASE,
     "“{title}”的回复不满意，已要求重新办理。", "承办单位再次回复"},
    {"info_case", NULL, "handling", "签收", CLOCK_CASE,
     "“{title}”的承办单位{units}已签收，进入办理，反馈期限{due}。", "承办单位回复"},
    {"info_case", NULL, "replied", "回复", CLOCK_NONE,
     "{units}对“{title}”的回复已审查通过，全文见答复件。", "办结"},
    {"info_case", "not_adopted", "closed", "归档", CLOCK_NONE, "“{title}”已归档。", NULL},
    {"info_case", "merged", "closed", "归档", CLOCK_NONE, "“{title}”已随主件归档。", NULL},
    {"info_case", NULL, "closed", "办结", CLOCK_NONE, "“{title}”已办结。", NULL},
    {"info_case", NULL, "withdrawn", "撤回", CLOCK_NONE, "“{title}”已撤回，不再办理。", NULL},
};

static const struct case_step *step_of(const struct row *before, const struct row *after)
{
    for (size_t i = 0; i < sizeof case_steps / sizeof *case_steps; i++) {
        const struct case_step *s = &case_steps[i];

        if (strcmp(s->kind, after->kind->name) == 0 && row_in_state(after, s->to) &&
            (s->from == NULL || row_in_state(before, s->from)))
            return s;
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
    const struct case_step *told = step_of(d->before, d->row);
    struct step step;
    int ret;

    if (told == NULL)
        return 0;
    step = (struct step){.node = told->node,
                         .by = case_organ(d->row),
                         .text = told->text,
                         .next = told->next,
                         .clock = told->clock,
                         .reason = reason_of(d->j, d->row)};
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
