/* Calendar arithmetic in Asia/Shanghai (+08:00, no daylight saving): days, months, texts. */
#ifndef ZTC_BASE_CAL_H
#define ZTC_BASE_CAL_H

#include "common/base/buf.h"

/* Milliseconds since the Unix epoch. */
typedef uint64_t msec_t;

/* Days since 1970-01-01. */
typedef int32_t day_t;

#define CAL_DATE_SIZE     11 /* YYYY-MM-DD and the NUL */
#define CAL_MINUTE_SIZE   17 /* YYYY-MM-DD HH:MM and the NUL: for people */
#define CAL_DATETIME_SIZE 26 /* YYYY-MM-DDTHH:MM:SS+08:00 and the NUL */

struct cal_date {
    int year, month, day;
};

day_t cal_day(struct cal_date d);
struct cal_date cal_date(day_t day);
bool cal_valid(struct cal_date d);

/* The local day and text of an instant; later than 2999 counts as the last moment of 2999. */
day_t cal_day_of(msec_t at);
void cal_format_date(day_t day, char text[CAL_DATE_SIZE]);
void cal_format_minute(msec_t at, char text[CAL_MINUTE_SIZE]);
void cal_format_datetime(msec_t at, char text[CAL_DATETIME_SIZE]);

/* Exactly YYYY-MM-DD, years 1900 to 2999. 0 or E_MALFORMED. */
int cal_parse_date(struct slice text, day_t *ret_day);

/* Exactly YYYY-MM-DDTHH:MM:SS+08:00. 0 or E_MALFORMED. */
int cal_parse_datetime(struct slice text, msec_t *ret_at);

/* The same day N months on, clamped to that month's end. */
day_t cal_add_months(day_t day, int n);

/* 0 = Monday … 6 = Sunday. */
int cal_weekday(day_t day);

#endif
