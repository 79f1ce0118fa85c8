/* The clocks of the regulation: by when the next step is due, in days, working days and months. */
#include "common/catalogue/workday.h"
#include "server/core/rules_internal.h"

struct value clock_now(struct judge *j)
{
    char text[CAL_DATETIME_SIZE];

    cal_format_datetime(judge_facts(j)->now, text);
    return value_str(judge_text(j, "%s", text));
}

struct value clock_date(struct judge *j, day_t day)
{
    char text[CAL_DATE_SIZE];

    cal_format_date(day, text);
    return value_str(judge_text(j, "%s", text));
}

bool clock_day(const struct row *row, const char *name, day_t *ret_day)
{
    struct slice text = row_text(row, name);

    if (text.len < CAL_DATE_SIZE - 1)
        return false;
    text.len = CAL_DATE_SIZE - 1;
    return cal_parse_date(text, ret_day) == 0;
}

int clock_setting(struct judge *j, const char *name)
{
    return (int)setting(judge_facts(j)->settings, name, SITE_CITY);
}

int clock_workdays(struct judge *j, day_t day, const char *setting_name, struct value *ret)
{
    day_t due;
    int status = workday_add(judge_lookup(j), day, clock_setting(j, setting_name), &due);

    if (status == 0)
        *ret = clock_date(j, due);
    return status;
}

int clock_due(struct judge *j, enum clock clock, const struct row *of, struct value *ret)
{
    day_t today = judge_facts(j)->today;

    *ret = value_null();
    switch (clock) {
    case CLOCK_RECEIVE:
        return clock_workdays(j, today, "receive_days", ret);
    case CLOCK_ROUTE:
        return clock_workdays(j, today, "route_days", ret);
    case CLOCK_REVIEW:
        return clock_workdays(j, today, "review_days", ret);
    case CLOCK_FEEDBACK:
        *ret = clock_date(j, today + clock_setting(j, "feedback_days"));
        return 0;
    case CLOCK_CASE:
        if (of != NULL)
            *ret = *row_named(of, "due_on");
        return 0;
    case CLOCK_GIVEN: /* by the step */
    case CLOCK_NONE:
        return 0;
    }
    return 0;
}

int clock_resume(struct judge *j, day_t due, day_t paused, bool workdays, struct value *ret)
{
    day_t today = judge_facts(j)->today;
    int left = due - paused;
    int status = 0;

    if (!workdays || left <= 0) {
        *ret = clock_date(j, today + left);
        return 0;
    }
    status = workday_between(judge_lookup(j), paused, due, &left);
    if (status == 0)
        status = workday_add(judge_lookup(j), today, left, &due);
    if (status == 0)
        *ret = clock_date(j, due);
    return status;
}
