/* common/base/log: one event, one line. */
#include "common/base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

/* What one call of log_line leaves on standard error. */
static void logged(enum log_level level, const char *text, char *ret_line, size_t size)
{
    FILE *file = tmpfile();
    int saved = dup(STDERR_FILENO);
    size_t len;

    assert_non_null(file);
    assert_int_equal(dup2(fileno(file), STDERR_FILENO), STDERR_FILENO);
    log_line(level, "%s", text);
    assert_int_equal(dup2(saved, STDERR_FILENO), STDERR_FILENO);
    assert_int_equal(close(saved), 0);
    rewind(file);
    len = fread(ret_line, 1, size - 1, file);
    ret_line[len] = '\0';
    assert_int_equal(fclose(file), 0);
}

/* Time in UTC, level, text, end of line. */
static void test_log__shape(void **state)
{
    char line[2000];

    (void)state;
    logged(LOG_WARNING, "session 7: slow", line, sizeof line);
    assert_int_equal(strlen(line), strlen("2024-01-01T00:00:00.000Z warning session 7: slow\n"));
    assert_int_equal(line[23], 'Z');
    assert_string_equal(line + 25, "warning session 7: slow\n");
}

/* Lines above the level are dropped. */
static void test_log__level(void **state)
{
    char line[2000];

    (void)state;
    logged(LOG_DEBUG, "x", line, sizeof line);
    assert_string_equal(line, "");
    log_level_set(LOG_DEBUG);
    logged(LOG_DEBUG, "x", line, sizeof line);
    assert_string_not_equal(line, "");
    log_level_set(LOG_INFO);
}

/* A peer's text cannot begin a line of its own, and a long one is cut. */
static void test_log__one_line(void **state)
{
    char line[2000];
    char text[1500];

    (void)state;
    logged(LOG_ERROR, "a\nb\r\x1b[31m郴", line, sizeof line);
    assert_string_equal(line + 25, "error a?b??[31m郴\n");
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    logged(LOG_ERROR, text, line, sizeof line);
    assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
    assert_in_range(strlen(line), 1000, 1100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_log__shape),
        cmocka_unit_test(test_log__level),
        cmocka_unit_test(test_log__one_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
