/* Information of the office, and what is recorded beside a case: adoption, supervision, feedback. */
#include "server/core/rules_internal.h"

/* ---- info_case ---- */

static int task_for(struct judge *j, const struct row *of, const struct value *unit,
                    const char *role)
{
    struct with with[] = {
        {"case_kind", value_str("info_case")},
        {"case_id", value_id(&of->id)},
        {"unit_id", *unit},
        {"unit_role", value_str(role)},
        {"assigned_on", clock_date(j, judge_facts(j)->today)},
        {"due_on", *row_named(of, "due_on")},
        {.name = NULL},
    };

    return judge_create(j, "handling_task", SITE_CITY, "assigned", with, NULL);
}

static bool may_undertake(const struct row *unit)
{
    return unit != NULL && !row_voided(unit) && row_int(unit, "active") == 1 &&
           row_int(unit, "is_undertaker") == 1;
}

/* The units its author suggested that can undertake, as ids in the arena. */
static int suggested_units(struct judge *j, const struct row *of, struct value *ret, size_t *ret_n)
{
    struct row *submission, *unit;
    const struct value *units;
    int status = lookup_ref(judge_lookup(j), of, "submission_id", &submission);

    *ret_n = 0;
    if (status != 0 || submission == NULL)
        return status;
    units = row_named(submission, "suggested_units");
    for (size_t i = 0; status == 0 && units->type == V_IDS && i < units->s.len / ID_SIZE; i++) {
        struct id id;

        for (unsigned k = 0; k < ID_SIZE; k++)
            id.b[k] = units->s.p[i * ID_SIZE + k];
        status = lookup_get(judge_lookup(j), "org_unit", &id, &unit);
        if (status == 0 && may_undertake(unit))
            ret[(*ret_n)++] = value_id(&unit->id);
    }
    return status;
}

#define SUGGESTED_MAX 64u

/* 微建议 takes the short way: unless the office named units already, those suggested get it. */
int info_transferred(const struct deed *d)
{
    struct value units[SUGGESTED_MAX];
    struct row **tasks, *submission;
    size_t n;
    int ret = case_tasks(d->j, d->row, &tasks, &n);

    if (ret != 0 || n > 0)
        return ret;
    ret = lookup_ref(judge_lookup(d->j), d->row, "submission_id", &submission);
    if (ret != 0 || submission == NULL ||
        row_named(submission, "suggested_units")->s.len > SUGGESTED_MAX * ID_SIZE)
        return ret;
    ret = suggested_units(d->j, d->row, units, &n);
    for (size_t i = 0; ret == 0 && i < n; i++)
        ret = task_for(d->j, d->row, &units[i], n == 1 ? "single" : "separate");
    return ret;
}

/* ---- beside a case ---- */

static const char *label(const struct row *row, const char *name)
{
    const struct code *code =
        code_find(kind_field_named(row->kind, name)->codes, row_text(row, name), false);

    return code == NULL ? "" : code->label;
}

/* Leader and words of a 批示 are restricted; that there is one is told. */
int adoption_added(const struct deed *d)
{
    bool instruction = row_says(d->row, "kind", "instruction");
    struct step step = {.node = instruction ? "批示" : "采用"};
    struct row *of;
    int ret = case_named(d->j, d->row, &of);

    if (ret != 0 || of == NULL)
        return ret;
    step.by = case_organ(of);
    step.text = instruction ? judge_text(d->j, "“{title}”获得%s领导批示。", label(d->row, "rank"))
                            : judge_text(d->j, "“{title}”的成果：%s%s。", label(d->row, "level"),
                                         label(d->row, "kind"));
    return step.text == NULL ? E_NOMEM : publish_case(d->j, of, &step);
}

static int tell_supervision(const struct deed *d, const char *text, struct value due)
{
    struct step step = {.node = "督办", .text = text, .clock = CLOCK_GIVEN, .due = due};
    struct row *of;
    int ret = case_named(d->j, d->row, &of);

    if (ret != 0 || of == NULL)
        return ret;
    if (text == NULL)
        return E_NOMEM;
    step.by = case_organ(of);
    step.next = value_is_null(&due) ? NULL : "承办单位反馈督办情况";
    return publish_case(d->j, of, &step);
}

int supervision_added(const struct deed *d)
{
    return tell_supervision(d,
                            judge_text(d->j, "已就“{title}”督办承办单位（%s）。",
                                       label(d->row, "kind")),
                            *row_named(d->row, "due_on"));
}

int supervision_edited(const struct deed *d)
{
    bool came = value_is_null(row_named(d->before, "result")) &&
                !value_is_null(row_named(d->row, "result"));

    return came ? tell_supervision(d, "“{title}”的督办已有结果。", value_null()) : 0;
}

/* The county's word arrives; what follows from it a person decides. */
int feedback_added(const struct deed *d)
{
    struct step step = {.node = "反馈意见", .next = "市政协研究反馈意见"};
    struct row *card, *submission;
    int ret = lookup_ref(judge_lookup(d->j), d->row, "case_id", &card);

    if (ret != 0 || card == NULL)
        return ret;
    ret = lookup_ref(judge_lookup(d->j), card, "submission_id", &submission);
    if (ret != 0 || submission == NULL)
        return ret;
    step.by = row_says(card, "case_kind", "info_case") ? BY_OFFICE : BY_PROPOSAL;
    step.text = judge_text(d->j, "已收到对“{title}”的反馈意见：办理态度%s，办理结果%s。",
                           label(d->row, "attitude"), label(d->row, "result"));
    return step.text == NULL ? E_NOMEM : publish_tracking(d->j, submission, NULL, &step);
}
