/* common/base/cal: the calendar of Asia/Shanghai. */
#include "common/base/cal.h"
#include "common/base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static day_t day(const char *text)
{
    day_t d = 0;

    assert_int_equal(cal_parse_date(slice_str(text), &d), 0);
    return d;
}

static void expect_date(day_t d, const char *text)
{
    char got[CAL_DATE_SIZE];

    cal_format_date(d, got);
    assert_string_equal(got, text);
}

/* Every day from 1900 to 2999 follows the one before, as date, as text and in the week. */
static void test_cal__every_day(void **state)
{
    day_t first = day("1900-01-01");
    day_t last = day("2999-12-31");
    struct cal_date before = {1899, 12, 31};

    (void)state;
    assert_int_equal(first, -25567);
    assert_int_equal(last - first + 1, 401767);
    for (day_t d = first; d <= last; d++) {
        struct cal_date c = cal_date(d);
        bool next_day = c.day == before.day + 1 && c.month == before.month && c.year == before.year;
        bool next_month = c.day == 1 && c.month == before.month + 1 && c.year == before.year;
        bool next_year = c.day == 1 && c.month == 1 && c.year == before.year + 1;

        if (!cal_valid(c) || cal_day(c) != d || !(next_day || next_month || next_year) ||
            cal_weekday(d) != (d - first) % 7) /* 1900-01-01 was a Monday */
            fail_msg("day %d", (int)d);
        before = c;
    }
}

/* Leap days: every fourth year, not the hundredth, again the four hundredth. */
static void test_cal__leap_days(void **state)
{
    day_t d;

    (void)state;
    expect_date(day("2024-02-28") + 1, "2024-02-29");
    expect_date(day("2000-02-29") + 1, "2000-03-01");
    expect_date(day("2100-02-28") + 1, "2100-03-01");
    assert_int_equal(cal_parse_date(slice_str("2100-02-29"), &d), E_MALFORMED);
    assert_int_equal(cal_parse_date(slice_str("1900-02-29"), &d), E_MALFORMED);
    assert_int_equal(cal_parse_date(slice_str("2023-02-29"), &d), E_MALFORMED);
}

/* Known days of the week, before 1970 too. */
static void test_cal__weekday(void **state)
{
    (void)state;
    assert_int_equal(cal_weekday(day("1970-01-01")), 3);
    assert_int_equal(cal_weekday(day("1969-12-28")), 6);
    assert_int_equal(cal_weekday(day("2024-02-29")), 3);
    assert_int_equal(cal_weekday(day("2025-10-01")), 2);
}

/* Only YYYY-MM-DD of a day that exists, 1900 to 2999; the target stays as it was otherwise. */
static void test_cal__date_refuses(void **state)
{
    static const char *const bad[] = {"",           "2024-1-01",  "2024-01-1",   "2024/01/01",
                                      "20240101",   "2024-13-01", "2024-00-10",  "2024-01-00",
                                      "2024-01-32", "2024-04-31", "1899-12-31",  "3000-01-01",
                                      "-024-01-01", "2024-01-0x", "2024-01-01 ", "2024-+1-01",
                                      "0000-00-00"};
    day_t d = 7;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(cal_parse_date(slice_str(bad[i]), &d), E_MALFORMED);
    assert_int_equal(d, 7);
}

static void expect_datetime(msec_t at, const char *text)
{
    char got[CAL_DATETIME_SIZE];
    msec_t back;

    cal_format_datetime(at, got);
    assert_string_equal(got, text);
    assert_int_equal(cal_parse_datetime(slice_str(text), &back), 0);
    assert_true(back == at / 1000 * 1000);
}

/* Local time is eight hours on: the day changes at 16:00 of UTC. */
static void test_cal__datetime_round_trip(void **state)
{
    (void)state;
    expect_datetime(0, "1970-01-01T08:00:00+08:00");
    expect_datetime(999, "1970-01-01T08:00:00+08:00");
    expect_datetime(1709222399000, "2024-02-29T23:59:59+08:00");
    expect_datetime(1709222400000, "2024-03-01T00:00:00+08:00");
    expect_datetime(32503651199000, "2999-12-31T23:59:59+08:00");
    assert_int_equal(cal_day_of(57599999), 0);
    assert_int_equal(cal_day_of(57600000), 1);
}

/* An instant of a peer may be any number: past 2999 it counts as the last moment there is. */
static void test_cal__instants_past_the_end(void **state)
{
    static const msec_t late[] = {32503651200000, (msec_t)INT32_MAX * 86400000,
                                  UINT64_MAX - 28800000, UINT64_MAX};
    char got[CAL_DATETIME_SIZE];

    (void)state;
    for (size_t i = 0; i < sizeof late / sizeof *late; i++) {
        assert_int_equal(cal_day_of(late[i]), day("2999-12-31"));
        cal_format_datetime(late[i], got);
        assert_string_equal(got, "2999-12-31T23:59:59+08:00");
    }
    (void)cal_date(INT32_MAX); /* no overflow on the way */
    (void)cal_date(INT32_MIN);
}

/* People read the minute. */
static void test_cal__minute(void **state)
{
    char got[CAL_MINUTE_SIZE];
    msec_t at;

    (void)state;
    assert_int_equal(cal_parse_datetime(slice_str("2026-11-24T03:20:59+08:00"), &at), 0);
    cal_format_minute(at, got);
    assert_string_equal(got, "2026-11-24 03:20");
}

/* Instants before 1970 have no number; other zones and forms are not ours. */
static void test_cal__datetime_refuses(void **state)
{
    static const char *const bad[] = {"1970-01-01T07:59:59+08:00", "1970-01-01T00:00:00+08:00",
                                      "1969-12-31T23:59:59+08:00", "2024-02-29T24:00:00+08:00",
                                      "2024-02-29T23:60:00+08:00", "2024-02-29T23:59:60+08:00",
                                      "2024-02-30T00:00:00+08:00", "2024-02-29 23:59:59+08:00",
                                      "2024-02-29T23:59:59+00:00", "2024-02-29T23:59:59Z",
                                      "2024-02-29T23:59:59",       "2024-02-29T23:59:59+08:0",
                                      "2024-02-29T2x:59:59+08:00", "2024-02-29T23:59:59+08:000"};
    msec_t at = 7;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(cal_parse_datetime(slice_str(bad[i]), &at), E_MALFORMED);
    assert_true(at == 7);
}

/* Months keep the day, or take the month's last one; they go back as well. */
static void test_cal__add_months(void **state)
{
    (void)state;
    expect_date(cal_add_months(day("2024-01-31"), 1), "2024-02-29");
    expect_date(cal_add_months(day("2023-01-31"), 1), "2023-02-28");
    expect_date(cal_add_months(day("2024-02-29"), 12), "2025-02-28");
    expect_date(cal_add_months(day("2024-11-30"), 3), "2025-02-28");
    expect_date(cal_add_months(day("2024-12-15"), 1), "2025-01-15");
    expect_date(cal_add_months(day("2024-03-31"), -1), "2024-02-29");
    expect_date(cal_add_months(day("2024-01-31"), -1), "2023-12-31");
    expect_date(cal_add_months(day("2024-01-15"), -13), "2022-12-15");
    expect_date(cal_add_months(day("2024-05-05"), 0), "2024-05-05");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cal__every_day),
        cmocka_unit_test(test_cal__leap_days),
        cmocka_unit_test(test_cal__minute),
        cmocka_unit_test(test_cal__weekday),
        cmocka_unit_test(test_cal__date_refuses),
        cmocka_unit_test(test_cal__datetime_round_trip),
        cmocka_unit_test(test_cal__instants_past_the_end),
        cmocka_unit_test(test_cal__datetime_refuses),
        cmocka_unit_test(test_cal__add_months),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
