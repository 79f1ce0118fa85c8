#include "common/base/cal.h"

#include "common/base/err.h"

#include <stdio.h>
#include <string.h>

#define LOCAL_OFFSET_MS (8 * 3600 * 1000)
#define DAY_MS          (24 * 3600 * 1000)
#define LAST_MS         (376200LL * DAY_MS - LOCAL_OFFSET_MS - 1) /* the end of the year 2999 */

static bool leap(int y)
{
    return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
}

static int month_days(int y, int m)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

    return m == 2 && leap(y) ? 29 : days[m - 1];
}

bool cal_valid(struct cal_date d)
{
    return d.year >= 1900 && d.year <= 2999 && d.month >= 1 && d.month <= 12 && d.day >= 1 &&
           d.day <= month_days(d.year, d.month);
}

/* Days from civil, counting years from March so that a leap day comes last. */
day_t cal_day(struct cal_date d)
{
    int y = d.month <= 2 ? d.year - 1 : d.year;
    int era = (y >= 0 ? y : y - 399) / 400;
    int yoe = y - era * 400;
    int doy = (153 * (d.month + (d.month > 2 ? -3 : 9)) + 2) / 5 + d.day - 1;
    int doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;

    return era * 146097 + doe - 719468;
}

struct cal_date cal_date(day_t day)
{
    int64_t z = (int64_t)day + 719468;
    int era = (int)((z >= 0 ? z : z - 146096) / 146097);
    int doe = (int)(z - (int64_t)era * 146097);
    int yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int mp = (5 * doy + 2) / 153;
    int month = mp < 10 ? mp + 3 : mp - 9;

    return (struct cal_date){.year = yoe + era * 400 + (month <= 2),
                             .month = month,
                             .day = doy - (153 * mp + 2) / 5 + 1};
}

/* Milliseconds of local time. An instant may come from a peer: past the last day it counts as that. */
static msec_t local(msec_t at)
{
    return (at < LAST_MS ? at : LAST_MS) + LOCAL_OFFSET_MS;
}

day_t cal_day_of(msec_t at)
{
    return (day_t)(local(at) / DAY_MS);
}

void cal_format_date(day_t day, char text[CAL_DATE_SIZE])
{
    struct cal_date d = cal_date(day);

    (void)snprintf(text, CAL_DATE_SIZE, "%04u-%02u-%02u", (unsigned)d.year % 10000u,
                   (unsigned)d.month % 100u, (unsigned)d.day % 100u);
}

void cal_format_datetime(msec_t at, char text[CAL_DATETIME_SIZE])
{
    struct cal_date d = cal_date(cal_day_of(at));
    unsigned s = (unsigned)(local(at) % DAY_MS / 1000);

    (void)snprintf(text, CAL_DATETIME_SIZE, "%04u-%02u-%02uT%02u:%02u:%02u+08:00",
                   (unsigned)d.year % 10000u, (unsigned)d.month % 100u, (unsigned)d.day % 100u,
                   s / 3600u % 24u, s / 60u % 60u, s % 60u);
}

void cal_format_minute(msec_t at, char text[CAL_MINUTE_SIZE])
{
    char full[CAL_DATETIME_SIZE];

    cal_format_datetime(at, full);
    full[10] = ' ';
    full[CAL_MINUTE_SIZE - 1] = '\0';
    memcpy(text, full, CAL_MINUTE_SIZE);
}

/* N digits at P as a number, -1 when one is not a digit. */
static int digits(const uint8_t *p, int n)
{
    int v = 0;

    for (int i = 0; i < n; i++) {
        if (p[i] < '0' || p[i] > '9')
            return -1;
        v = v * 10 + (p[i] - '0');
    }
    return v;
}

int cal_parse_date(struct slice text, day_t *ret_day)
{
    struct cal_date d;

    if (text.len != CAL_DATE_SIZE - 1 || text.p[4] != '-' || text.p[7] != '-')
        return E_MALFORMED;
    d.year = digits(text.p, 4);
    d.month = digits(text.p + 5, 2);
    d.day = digits(text.p + 8, 2);
    if (!cal_valid(d))
        return E_MALFORMED;
    *ret_day = cal_day(d);
    return 0;
}

int cal_parse_datetime(struct slice text, msec_t *ret_at)
{
    day_t day;
    int h, m, s;
    int64_t at;

    if (text.len != CAL_DATETIME_SIZE - 1 || text.p[10] != 'T' || text.p[13] != ':' ||
        text.p[16] != ':' || !slice_eq((struct slice){text.p + 19, 6}, slice_str("+08:00")) ||
        cal_parse_date((struct slice){text.p, 10}, &day) != 0)
        return E_MALFORMED;
    h = digits(text.p + 11, 2);
    m = digits(text.p + 14, 2);
    s = digits(text.p + 17, 2);
    if (h < 0 || h > 23 || m < 0 || m > 59 || s < 0 || s > 59)
        return E_MALFORMED;
    at = (int64_t)day * DAY_MS + (h * 3600 + m * 60 + s) * 1000LL - LOCAL_OFFSET_MS;
    if (at < 0)
        return E_MALFORMED;
    *ret_at = (msec_t)at;
    return 0;
}

day_t cal_add_months(day_t day, int n)
{
    struct cal_date d = cal_date(day);
    int months = d.year * 12 + d.month - 1 + n;

    d.year = months / 12;
    d.month = months % 12 + 1;
    if (d.day > month_days(d.year, d.month))
        d.day = month_days(d.year, d.month);
    return cal_day(d);
}

int cal_weekday(day_t day)
{
    int w = (day + 3) % 7;

    return w < 0 ? w + 7 : w;
}
