/* Proposals: 提案号, 并案, conversion, the second round. Each runs before the step is told. */
#include "server/core/rules_internal.h"

/* 5-4-0123: ordinal of the term, number of the session, number within both; once for life. */
static int proposal_number(struct judge *j, const struct row *of, int64_t session,
                           struct value *ret)
{
    struct row *term;
    const char *series;
    uint64_t number;
    int status = lookup_ref(judge_lookup(j), of, "term_id", &term);

    *ret = *row_named(of, "case_no");
    if (status != 0 || !value_is_null(ret))
        return status;
    if (term == NULL)
        return judge_refuse(j, E_GUARD, "案卷没有届次，不能编提案号");
    series = judge_text(j, "%lld-%lld", (long long)row_int(term, "ordinal"), (long long)session);
    if (series == NULL)
        return E_NOMEM;
    status = judge_facts(j)->next_number(judge_facts(j)->ctx, series, &number);
    if (status == 0)
        *ret = value_str(judge_text(j, "%s-%04llu", series, (unsigned long long)number));
    return status;
}

/* In ordinary time the number of the latest plenary counts. */
static int64_t session_of(struct judge *j, const struct row *of)
{
    int64_t session = row_int(of, "session_no");

    return session > 0 ? session : clock_setting(j, "session_no");
}

int proposal_filed(const struct deed *d)
{
    int64_t session = session_of(d->j, d->row);
    struct value number;
    int ret = proposal_number(d->j, d->row, session, &number);

    if (ret != 0)
        return ret;
    struct with with[] = {{"case_no", number}, {"session_no", value_int(session)}, {.name = NULL}};

    return judge_set(d->j, d->row, with);
}

/* Tasks are made ready before; their clocks start now. */
int proposal_assigned(const struct deed *d)
{
    struct row **tasks;
    day_t on = judge_facts(d->j)->today;
    size_t n;
    int ret = case_tasks(d->j, d->row, &tasks, &n);

    (void)clock_day(d->row, "assigned_on", &on);
    for (size_t i = 0; ret == 0 && i < n; i++) {
        if (row_in_state(tasks[i], "assigned"))
            ret = task_dates(d->j, tasks[i], on);
    }
    return ret;
}

/* What its main is handled by is what counts now. */
int proposal_merged(const struct deed *d)
{
    return case_close_tasks(d->j, d->row);
}

int proposal_unmerged(const struct deed *d)
{
    struct with with[] = {{"main_case", value_null()}, {.name = NULL}};

    return judge_set(d->j, d->row, with);
}

/* The submission goes on as 社情民意 under a case of the office's. */
int proposal_converted(const struct deed *d)
{
    static const struct step step = {
        .node = "转社情民意",
        .by = BY_PROPOSAL,
        .clock = CLOCK_CASE,
        .text = "经提案者同意，“{title}”转为社情民意信息，由市政协办公室分类处理。",
        .next = "办公室初审"};
    struct row *submission, *info;
    int ret = lookup_ref(judge_lookup(d->j), d->row, "submission_id", &submission);

    if (ret != 0 || submission == NULL)
        return ret;
    ret = info_case_create(d->j, submission, d->row, &info);
    if (ret != 0)
        return ret;
    struct with with[] = {{"converted_to", value_id(&info->id)}, {.name = NULL}};

    ret = judge_set(d->j, d->row, with);
    return ret != 0 ? ret : publish_case(d->j, info, &step);
}

int proposal_second_round(const struct deed *d)
{
    int64_t round = row_int(d->row, "round");
    day_t due = cal_add_months(judge_facts(d->j)->today, clock_setting(d->j, "rehandle_months"));
    struct with with[] = {{"round", value_int(round < 1 ? 2 : round + 1)},
                          {"due_on", clock_date(d->j, due)},
                          {.name = NULL}};
    int ret = case_close_tasks(d->j, d->row);

    return ret != 0 ? ret : judge_set(d->j, d->row, with);
}
