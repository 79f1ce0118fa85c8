/* Undertaking units: their clocks, 退办 and 改派, 延期, answers. The case follows its units. */
#include "server/core/rules_internal.h"

#include <string.h>

/* ---- clocks of a task ---- */

int task_dates(struct judge *j, struct row *task, day_t assigned_on)
{
    struct value sign;
    int ret = clock_workdays(j, assigned_on, "sign_days", &sign);

    if (ret != 0)
        return ret;
    struct with with[] = {
        {"assigned_on", clock_date(j, assigned_on)},
        {"sign_due", sign},
        {"decline_due", clock_date(j, assigned_on + clock_setting(j, "decline_days"))},
        {.name = NULL},
    };

    return judge_set(j, task, with);
}

static bool answers(const struct row *task)
{
    return !row_says(task, "unit_role", "co");
}

/* §5.6.6: a case is due when the last of its answering units is. */
static int case_due_follows(struct judge *j, struct row *of)
{
    struct value latest = value_null();
    struct row **tasks;
    size_t n;
    int ret = case_tasks(j, of, &tasks, &n);

    for (size_t i = 0; ret == 0 && i < n; i++) {
        struct value due = *row_named(tasks[i], "due_on");

        if (answers(tasks[i]) && !value_is_null(&due) &&
            (value_is_null(&latest) || slice_cmp(due.s, latest.s) > 0))
            latest = due;
    }
    if (ret != 0 || value_is_null(&latest))
        return ret;
    struct with with[] = {{"due_on", latest}, {.name = NULL}};

    return judge_set(j, of, with);
}

static bool under_way(const struct row *of)
{
    return row_state_in(of, "assigned|transferred|handling");
}

static int tell(const struct deed *d, struct row *of, const struct step *told)
{
    struct step step = *told;
    struct row *unit;
    int ret = lookup_ref(judge_lookup(d->j), d->row, "unit_id", &unit);

    if (ret != 0)
        return ret;
    if (unit != NULL) {
        struct slice name = row_text(unit, "name");

        step.unit = judge_text(d->j, "%.*s", (int)name.len, (const char *)name.p);
    }
    step.by = case_organ(of);
    step.due = *row_named(d->row, "due_on");
    return publish_case(d->j, of, &step);
}

/* A reply is of its task's round, whoever typed what. */
int reply_added(const struct deed *d)
{
    struct row *task;
    int ret = lookup_ref(judge_lookup(d->j), d->row, "task_id", &task);

    if (ret != 0 || task == NULL)
        return ret;
    struct with with[] = {{"round", *row_named(task, "round")}, {.name = NULL}};

    return judge_set(d->j, d->row, with);
}

/* Tasks are made before the case is assigned; later ones replace or join a unit. */
int task_created(const struct deed *d)
{
    static const struct step step = {.node = "交办",
                                     .clock = CLOCK_GIVEN,
                                     .text = "“{title}”已交{unit}办理，办理期限{due}。",
                                     .next = "承办单位签收并办理"};
    day_t on = judge_facts(d->j)->today;
    struct row *of;
    int ret;

    (void)clock_day(d->row, "assigned_on", &on);
    ret = task_dates(d->j, d->row, on);
    if (ret == 0)
        ret = case_named(d->j, d->row, &of);
    if (ret != 0 || of == NULL || !under_way(of) || id_is_zero(&d->change->actor))
        return ret;
    ret = case_due_follows(d->j, of);
    return ret != 0 ? ret : tell(d, of, &step);
}

int task_edited(const struct deed *d)
{
    struct row *of;
    int ret = case_named(d->j, d->row, &of);

    if (ret != 0 || of == NULL || !under_way(of))
        return ret;
    ret = case_due_follows(d->j, of);
    return ret != 0 ? ret : publish_case(d->j, of, NULL);
}

/* ---- steps ---- */

static const struct task_step {
    const char *from, *to;
    const char *node;
    enum clock clock;
    const char *text, *next;
} task_steps[] = {
    {"decline_requested", "signed", "退办未准", CLOCK_GIVEN,
     "{unit}对“{title}”的退办申请未获同意，继续办理，办理期限{due}。", "承办单位答复"},
    {NULL, "signed", "签收", CLOCK_GIVEN, "{unit}已签收“{title}”。", "承办单位答复"},
    {NULL, "decline_requested", "申请退办", CLOCK_NONE,
     "{unit}对“{title}”申请退办，正在研究，办理时限暂停计算。", "决定是否改派"},
    {NULL, "reassigned", "同意改派", CLOCK_NONE,
     "{unit}对“{title}”的退办申请已同意，将改派其他单位办理。", "改派承办单位"},
    {"signed", "handling", "办理", CLOCK_GIVEN, "{unit}已开始办理“{title}”。", "承办单位答复"},
    {NULL, "extension_requested", "申请延期", CLOCK_GIVEN, "{unit}对“{title}”申请延期办理。",
     "延期审批"},
    {NULL, "co_opined", "会办意见", CLOCK_GIVEN, "{unit}已就“{title}”提出会办意见。",
     "主办单位答复"},
    {"reply_rejected", "reply_drafted", "重报答复", CLOCK_NONE,
     "{unit}对“{title}”的答复已重新报送审查。", "答复审查"},
    {NULL, "reply_drafted", "答复送审", CLOCK_NONE, "{unit}对“{title}”的答复已报送审查。",
     "答复审查"},
    {NULL, "reply_rejected", "答复退回", CLOCK_GIVEN,
     "{unit}对“{title}”的答复未通过审查，已退回重办。", "承办单位重新答复"},
    {NULL, "replied", "答复", CLOCK_GIVEN, "{unit}对“{title}”的答复已审查通过，全文见答复件。",
     "其他承办单位答复"},
};

static const struct step extended_step = {.node = "延期",
                                          .clock = CLOCK_GIVEN,
                                          .text =
                                              "{unit}对“{title}”的延期申请已批准，办理期限{due}。",
                                          .next = "承办单位答复"};
static const struct step not_extended_step = {
    .node = "延期未准",
    .clock = CLOCK_GIVEN,
    .text = "{unit}对“{title}”的延期申请未获批准，办理期限仍为{due}。",
    .next = "承办单位答复"};

static int tell_step(const struct deed *d, struct row *of)
{
    for (size_t i = 0; i < sizeof task_steps / sizeof *task_steps; i++) {
        const struct task_step *s = &task_steps[i];

        if (row_in_state(d->row, s->to) && (s->from == NULL || row_in_state(d->before, s->from))) {
            const struct step step = {.node = s->node,
                                      .text = s->text,
                                      .next = s->next,
                                      .clock = s->clock};

            return tell(d, of, &step);
        }
    }
    return 0;
}

/* The first unit to sign takes the case into 办理中; that step is the case's to tell. */
static int signed_by_unit(const struct deed *d, struct row *of)
{
    if (row_state_in(of, "assigned|transferred"))
        return judge_move(d->j, of, "handling", NULL);
    return tell_step(d, of);
}

static int pause(const struct deed *d, struct row *of)
{
    struct with with[] = {{"paused_on", clock_date(d->j, judge_facts(d->j)->today)},
                          {.name = NULL}};
    int ret = judge_set(d->j, d->row, with);

    return ret != 0 ? ret : tell_step(d, of);
}

/* 不同意退办: the days of waiting are not counted against the unit. */
static int resume(const struct deed *d, struct row *of)
{
    struct value until = *row_named(d->row, "due_on");
    day_t paused, due;
    int ret = 0;

    if (clock_day(d->row, "paused_on", &paused) && clock_day(d->row, "due_on", &due))
        ret = clock_resume(d->j, due, paused, false, &until);
    if (ret != 0)
        return ret;
    struct with with[] = {{"due_on", until}, {"paused_on", value_null()}, {.name = NULL}};

    ret = judge_set(d->j, d->row, with);
    if (ret == 0)
        ret = case_due_follows(d->j, of);
    if (ret == 0)
        ret = tell_step(d, of);
    if (ret == 0 && row_state_in(of, "assigned|transferred"))
        ret = judge_move(d->j, of, "handling", NULL);
    return ret;
}

/* 延期审批. Approved is what was asked for, or the date the approver gives; the date as it was, or 延期至
 * emptied, refuses. */
static int extension_decided(const struct deed *d, struct row *of)
{
    const struct field *due = kind_field_named(d->row->kind, "due_on");
    const struct value *to = row_named(d->row, "ext_to");
    bool given = change_field(d->change, due->tag) != NULL;
    struct with with[] = {{"due_on", *to}, {.name = NULL}};
    bool later;
    int ret = 0;

    if (!given && !value_is_null(to))
        ret = judge_set(d->j, d->row, with);
    if (ret != 0)
        return ret;
    later = slice_cmp(row_text(d->row, "due_on"), row_text(d->before, "due_on")) > 0;
    if (later)
        ret = case_due_follows(d->j, of);
    return ret != 0 ? ret : tell(d, of, later ? &extended_step : &not_extended_step);
}

static int all_answered(struct judge *j, const struct row *of, bool *ret)
{
    struct row **tasks;
    size_t n;
    int status = case_tasks(j, of, &tasks, &n);

    *ret = status == 0;
    for (size_t i = 0; status == 0 && i < n; i++) {
        if (answers(tasks[i]) && !row_state_in(tasks[i], "replied|closed"))
            *ret = false;
    }
    return status;
}

/* The answer reaches every proposer at once; the last one takes the case to 已答复. */
static int replied(const struct deed *d, struct row *of)
{
    bool all;
    int ret = publish_answers(d->j, of);

    if (ret == 0)
        ret = all_answered(d->j, of, &all);
    if (ret != 0)
        return ret;
    return all && row_in_state(of, "handling") ? judge_move(d->j, of, "replied", NULL)
                                               : tell_step(d, of);
}

int task_moved(const struct deed *d)
{
    bool was_declining = row_in_state(d->before, "decline_requested");
    struct row *of;
    int ret = case_named(d->j, d->row, &of);

    if (ret != 0 || of == NULL)
        return ret;
    if (row_in_state(d->row, "signed"))
        return was_declining ? resume(d, of) : signed_by_unit(d, of);
    if (row_in_state(d->row, "decline_requested"))
        return pause(d, of);
    if (row_in_state(d->row, "handling") && row_in_state(d->before, "extension_requested"))
        return extension_decided(d, of);
    if (row_in_state(d->row, "replied"))
        return replied(d, of);
    return tell_step(d, of);
}
