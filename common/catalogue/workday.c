/* A day is asked for by its date text in `holiday`; what has no row follows the week. */
#include "common/catalogue/workday.h"

static int note_workday(void *ctx, struct row *row)
{
    *(int *)ctx = row_int(row, "is_workday") != 0;
    return 0;
}

int workday_is(const struct lookup *l, day_t day, bool *ret_is)
{
    int said = -1; /* no row */

    if (l != NULL) {
        char text[CAL_DATE_SIZE];
        cal_format_date(day, text);
        struct value date = value_str(text);
        const struct kind *holiday = catalogue_kind_named("holiday");
        int ret = l->find(l->ctx, holiday, kind_field_named(holiday, "on_date")->tag, &date,
                          note_workday, &said);
        if (ret != 0) {
            return ret;
        }
    }
    *ret_is = said < 0 ? cal_weekday(day) < 5 : said != 0;
    return 0;
}

int workday_add(const struct lookup *l, day_t day, int n, day_t *ret_day)
{
    while (n > 0) {
        bool is;
        int ret = workday_is(l, ++day, &is);
        if (ret != 0) {
            return ret;
        }
        n -= is;
    }
    *ret_day = day;
    return 0;
}

int workday_between(const struct lookup *l, day_t from, day_t to, int *ret_n)
{
    int sign = to < from ? -1 : 1;
    day_t first = sign > 0 ? from : to, last = sign > 0 ? to : from;
    int n = 0;

    while (first < last) {
        bool is;
        int ret = workday_is(l, ++first, &is);
        if (ret != 0) {
            return ret;
        }
        n += is;
    }
    *ret_n = sign * n;
    return 0;
}
