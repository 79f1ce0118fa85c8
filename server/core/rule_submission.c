/* The two hops of 四(二): 学联委 signs for everything a county sends, then transfers proposals to 提案委
 * and the rest to the office. Every hop leaves its receipt. */
#include "common/base/text.h"
#include "server/core/rules_internal.h"

/* ---- arrival ---- */

/* SW-2026-0001, once for life (一件一号); a corrected submission comes under its old number. */
static int receipt_number(struct judge *j, const struct row *row, struct value *ret)
{
    int year = cal_date(judge_facts(j)->today).year;
    const char *series = judge_text(j, "SW-%04d", year);
    uint64_t number;
    int status;

    *ret = *row_named(row, "receipt_no");
    if (!value_is_null(ret))
        return 0;
    if (series == NULL)
        return E_NOMEM;
    status = judge_facts(j)->next_number(judge_facts(j)->ctx, series, &number);
    if (status == 0)
        *ret = value_str(judge_text(j, "%s-%04llu", series, (unsigned long long)number));
    return status;
}

static int64_t word_count(const struct row *row)
{
    return (int64_t)(text_length(row_text(row, "situation")) +
                     text_length(row_text(row, "analysis")) +
                     text_length(row_text(row, "suggestion")));
}

/* 上报时间 is the county's word when it gives one; else when the deed was made. */
static struct value submit_time(const struct deed *d)
{
    const struct field *f = kind_field_named(d->row->kind, "submit_at");
    char text[CAL_DATETIME_SIZE];

    if (change_field(d->change, f->tag) != NULL)
        return *row_named(d->row, "submit_at");
    cal_format_datetime(d->change->made_at, text);
    return value_str(judge_text(d->j, "%s", text));
}

int submission_arrived(const struct deed *d)
{
    static const struct step first = {.node = "收文",
                                      .by = BY_LIAISON,
                                      .clock = CLOCK_RECEIVE,
                                      .text = "“{title}”已送达市政协，收文号{receipt}。",
                                      .next = "学联委签收"};
    static const struct step again = {.node = "补正收文",
                                      .by = BY_LIAISON,
                                      .clock = CLOCK_RECEIVE,
                                      .text =
                                          "“{title}”的补正件已送达市政协，仍用收文号{receipt}。",
                                      .next = "学联委签收"};
    bool corrected = row_in_state(d->before, "returned");
    struct value receipt;
    int ret = receipt_number(d->j, d->row, &receipt);

    if (ret != 0)
        return ret;
    struct with with[] = {
        {"receipt_no", receipt},
        {"submit_at", submit_time(d)},
        {"word_count", value_int(word_count(d->row))},
        {.name = NULL},
    };

    ret = judge_set(d->j, d->row, with);
    return ret != 0 ? ret : publish_tracking(d->j, d->row, NULL, corrected ? &again : &first);
}

/* ---- 学联委 ---- */

int submission_received(const struct deed *d)
{
    static const struct step step = {.node = "签收",
                                     .by = BY_LIAISON,
                                     .clock = CLOCK_ROUTE,
                                     .text = "“{title}”已由市政协委员学习联络委签收。",
                                     .next = "按转送形式转送"};
    struct with with[] = {{"received_at", clock_now(d->j)}, {.name = NULL}};
    int ret = judge_set(d->j, d->row, with);

    return ret != 0 ? ret : publish_tracking(d->j, d->row, NULL, &step);
}

/* By 学联委 before routing, or by the office, whose case waits where it is. */
int submission_sent_back(const struct deed *d)
{
    bool waits = !value_is_null(row_named(d->row, "case_id"));
    struct slice reason = row_text(d->row, "return_reason");
    struct step step = {.node = "退回补正",
                        .by = waits ? BY_OFFICE : BY_LIAISON,
                        .text = "“{title}”已退回补正，请修改后重新上报。",
                        .next = "补正后重新上报"};
    int ret = 0;

    step.reason = judge_text(d->j, "%.*s", (int)reason.len, (const char *)reason.p);
    if (waits) {
        struct with with[] = {{"paused_on", clock_date(d->j, judge_facts(d->j)->today)},
                              {.name = NULL}};

        ret = judge_set(d->j, d->row, with);
    }
    return ret != 0 ? ret : publish_tracking(d->j, d->row, NULL, &step);
}

/* The surviving submission by its 转送编号: another than ROW, itself no duplicate. */
static int find_surviving(struct judge *j, const struct row *row, struct row **ret)
{
    struct row **rows;
    size_t n = 0;
    int status = lookup_find(judge_lookup(j), judge_arena(j), "submission", "serial_no",
                             row_named(row, "duplicate_of"), &rows, &n);

    *ret = NULL;
    for (size_t i = 0; status == 0 && i < n && *ret == NULL; i++) {
        if (!id_eq(&rows[i]->id, &row->id) && !row_in_state(rows[i], "duplicate"))
            *ret = rows[i];
    }
    return status;
}

/* Its submitter follows the surviving case from here on, answers given so far included. */
int submission_duplicate(const struct deed *d)
{
    static const struct step step = {
        .node = "判重",
        .by = BY_LIAISON,
        .text = "“{title}”与已有转送件重复，并入该件一并办理，后续进展同样反馈。",
        .next = "随已有转送件办理"};
    struct row *surviving, *of = NULL;
    int ret = find_surviving(d->j, d->row, &surviving);

    if (ret == 0 && surviving != NULL)
        ret = case_of_submission(d->j, surviving, &of);
    if (ret != 0)
        return ret;
    if (of == NULL)
        return publish_tracking(d->j, d->row, NULL, &step);
    struct attached to = {.submission = d->row, .own = of};
    struct row *leader;

    ret = publish_to(d->j, &to, &step);
    if (ret == 0)
        ret = case_main(d->j, of, &leader);
    return ret != 0 ? ret : publish_answers(d->j, leader == NULL ? of : leader);
}

/* ---- 转送 ---- */

/* The city committee's term of today: the latest that has begun. */
static int current_term(struct judge *j, struct row **ret)
{
    const struct value code = value_str("431000");
    struct row *site, **terms;
    size_t n = 0;
    int status = find_one(j, "site", "code", &code, &site);
    char today[CAL_DATE_SIZE];

    *ret = NULL;
    cal_format_date(judge_facts(j)->today, today);
    if (status == 0 && site != NULL) {
        struct value id = value_id(&site->id);

        status = lookup_find(judge_lookup(j), judge_arena(j), "term", "site_code", &id, &terms, &n);
    }
    for (size_t i = 0; status == 0 && i < n; i++) {
        struct slice start = row_text(terms[i], "start_on");

        if (slice_cmp(start, slice_str(today)) <= 0 &&
            (*ret == NULL || slice_cmp(start, row_text(*ret, "start_on")) > 0))
            *ret = terms[i];
    }
    return status;
}

static int proposal_create(struct judge *j, const struct row *submission, struct row **ret)
{
    struct row *term;
    int status = current_term(j, &term);

    if (status != 0)
        return status;
    if (term == NULL)
        return judge_refuse(j, E_GUARD, "市政协还没有当前届次，请先登记届次");
    struct with with[] = {
        {"submission_id", value_id(&submission->id)},
        {"term_id", value_id(&term->id)},
        {"session_kind", value_str("ordinary")},
        {"title", *row_named(submission, "title")},
        {"category", *row_named(submission, "category")},
        {.name = NULL},
    };

    return judge_create(j, "proposal_case", SITE_CITY, "registered", with, ret);
}

/* A proposal that goes to the office is handled as 社情民意. */
static struct value info_form(const struct row *submission)
{
    return row_says(submission, "form", "proposal") ? value_str("public_opinion")
                                                    : *row_named(submission, "form");
}

int info_case_create(struct judge *j, const struct row *submission,
                     const struct row *converted_from, struct row **ret)
{
    struct value form = info_form(submission), due;
    bool micro = slice_eq(form.s, slice_str("micro_suggestion"));
    int status = clock_workdays(j, judge_facts(j)->today, micro ? "micro_days" : "info_days", &due);

    if (status != 0)
        return status;
    struct with with[] = {
        {"submission_id", value_id(&submission->id)},
        {"form", form},
        {"title", *row_named(submission, "title")},
        {"category", *row_named(submission, "category")},
        {"due_on", due},
        {"converted_from", converted_from == NULL ? value_null() : value_id(&converted_from->id)},
        {.name = NULL},
    };

    return judge_create(j, "info_case", SITE_CITY, "registered", with, ret);
}

int submission_routed(const struct deed *d)
{
    static const struct step to_committee = {.node = "转送",
                                             .by = BY_LIAISON,
                                             .clock = CLOCK_REVIEW,
                                             .text = "“{title}”已转送市政协提案委审查立案。",
                                             .next = "提案委审查"};
    static const struct step to_office = {.node = "转送",
                                          .by = BY_LIAISON,
                                          .clock = CLOCK_CASE,
                                          .text = "“{title}”已转送市政协办公室分类处理。",
                                          .next = "办公室初审"};
    bool proposal = row_in_state(d->row, "routed_proposal");
    struct value review = value_null();
    struct row *of;
    int ret =
        proposal ? proposal_create(d->j, d->row, &of) : info_case_create(d->j, d->row, NULL, &of);

    if (ret == 0 && proposal)
        ret = clock_due(d->j, CLOCK_REVIEW, NULL, &review);
    if (ret != 0)
        return ret;
    struct with with[] = {{"route_at", clock_now(d->j)}, {"due_on", review}, {.name = NULL}};

    ret = judge_set(d->j, d->row, with);
    return ret != 0 ? ret : publish_case(d->j, of, proposal ? &to_committee : &to_office);
}

/* ---- back to the same case ---- */

/* The clock stood still while the county corrected. */
static int resume_clock(const struct deed *d, struct row *of)
{
    day_t paused, due;
    struct value on = *row_named(d->row, "due_on");
    int ret = 0;

    if (clock_day(d->row, "paused_on", &paused) && clock_day(d->row, "due_on", &due))
        ret = clock_resume(d->j, due, paused, true, &on);
    if (ret != 0)
        return ret;
    struct with with[] = {{"due_on", on},
                          {"paused_on", value_null()},
                          {"submit_at", submit_time(d)},
                          {"word_count", value_int(word_count(d->row))},
                          {.name = NULL}};

    ret = judge_set(d->j, d->row, with);
    if (ret != 0 || case_is_proposal(of))
        return ret;
    with[1].name = NULL;
    return judge_set(d->j, of, with);
}

int submission_resubmitted(const struct deed *d)
{
    static const struct step step = {.node = "补正续办",
                                     .by = BY_OFFICE,
                                     .clock = CLOCK_CASE,
                                     .text = "“{title}”的补正件已收到，继续处理。",
                                     .next = "办公室处理"};
    struct row *of;
    int ret = case_of_submission(d->j, d->row, &of);

    if (ret != 0 || of == NULL)
        return ret;
    ret = resume_clock(d, of);
    if (ret != 0)
        return ret;
    if (row_in_state(of, "supplement"))
        return judge_move(d->j, of, "reviewing", NULL);
    return case_is_proposal(of) ? publish_case(d->j, of, NULL) : publish_case(d->j, of, &step);
}

/* The county gave up what it was to correct; its case ends with it. */
int submission_abandoned(const struct deed *d)
{
    static const char why[] = "报送单位放弃补正";
    struct with proposal[] = {{"review_opinion", value_str(why)}, {.name = NULL}};
    struct with info[] = {{"screen_opinion", value_str(why)}, {.name = NULL}};
    struct row *of;
    int ret = case_of_submission(d->j, d->row, &of);

    if (ret != 0 || of == NULL || !row_state_in(of, "supplement|registered|screening"))
        return ret;
    return judge_move(d->j, of, "withdrawn", case_is_proposal(of) ? proposal : info);
}

int submission_closed(const struct deed *d)
{
    static const struct step step = {.node = "办结归档",
                                     .by = BY_LIAISON,
                                     .text = "“{title}”已办结归档。"};

    return publish_tracking(d->j, d->row, NULL, &step);
}
