/* common/base/text: UTF-8 as the ledgers mean it. */
#include "common/base/err.h"
#include "common/base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static struct slice bytes(const char *p, size_t len)
{
    return (struct slice){(const uint8_t *)p, len};
}

#define S(literal) bytes(literal, sizeof literal - 1)

/* The first and last code point of every length, and both sides of the surrogates. */
static void test_text__valid(void **state)
{
    (void)state;
    assert_true(text_valid((struct slice){NULL, 0}));
    assert_true(text_valid(S("a\x7f")));
    assert_true(text_valid(S("\xc2\x80\xdf\xbf")));
    assert_true(text_valid(S("\xe0\xa0\x80\xef\xbf\xbf")));
    assert_true(text_valid(S("\xed\x9f\xbf\xee\x80\x80")));
    assert_true(text_valid(S("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf")));
}

/* Over-long forms, surrogates, past U+10FFFF, cut sequences, stray bytes, NUL. */
static void test_text__invalid(void **state)
{
    const struct slice bad[] = {
        S("\xc0\x80"),
        S("\xc0\xaf"),
        S("\xc1\xbf"),
        S("\xe0\x80\x80"),
        S("\xe0\x9f\xbf"),
        S("\xf0\x80\x80\x80"),
        S("\xf0\x8f\xbf\xbf"),
        S("\xed\xa0\x80"),
        S("\xed\xbf\xbf"),
        S("\xf4\x90\x80\x80"),
        S("\xf5\x80\x80\x80"),
        S("\xf8\x88\x80\x80\x80"),
        S("\xff"),
        S("\xfe"),
        S("\x80"),
        S("\xbf"),
        S("\xc2"),
        S("\xe4\xb8"),
        S("\xf0\x9f\x98"),
        S("\xe4\x41\x41"),
        S("\xe4\xb8\x41"),
        S("a\0b"),
        S("\0"),
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(text_valid(bad[i]));
}

/* The valid prefix ends before the first bad sequence, not inside it. */
static void test_text__valid_prefix(void **state)
{
    static const uint8_t text[] = "郴州\xe4\xb8";

    (void)state;
    assert_int_equal(text_valid_prefix(text, 8), 6);
    assert_int_equal(text_valid_prefix(text, 6), 6);
    assert_int_equal(text_valid_prefix(text, 5), 3);
    assert_int_equal(text_valid_prefix(text, 0), 0);
}

/* Code points are counted and read as they are put. */
static void test_text__next_and_put(void **state)
{
    static const uint32_t points[] = {0x41,   0x7f,   0x80,    0x7ff,   0x800,
                                      0x90f4, 0xffff, 0x10000, 0x10ffff};
    const size_t n = sizeof points / sizeof *points;
    size_t at = 0;
    struct buf b;

    (void)state;
    buf_init(&b, 100);
    for (size_t i = 0; i < n; i++)
        text_put(&b, points[i]);
    assert_true(text_valid(buf_slice(&b)));
    assert_int_equal(text_length(buf_slice(&b)), n);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(text_next(buf_slice(&b), &at), points[i]);
    assert_int_equal(text_next(buf_slice(&b), &at), 0);
    assert_int_equal(at, b.len);
    buf_release(&b);
}

static void expect_trim(struct slice from, const char *to)
{
    assert_true(slice_eq(text_trim(from), slice_str(to)));
}

/* Trimming takes every blank of Unicode at the ends, U+200B and U+FEFF with it, and nothing inside. */
static void test_text__trim(void **state)
{
    (void)state;
    expect_trim((struct slice){NULL, 0}, "");
    expect_trim(S(" \t\r\n\v\f"), "");
    expect_trim(S("　　建议　修路　"), "建议　修路");
    expect_trim(S("\u200b\ufeff a\u200bb \u3000\u200b"), "a\u200bb");
    expect_trim(S("\xc2\x85\u00a0\u1680\u2000x\u200a\u2028\u2029\u202f\u205f"), "x");
    expect_trim(S("x"), "x");
    expect_trim(S("𠮷 "), "𠮷");
}

/* Signs that print nothing but are no blank stay: joiners, marks, the Mongolian separator. */
static void test_text__trim_keeps(void **state)
{
    (void)state;
    expect_trim(S("\u200dx\u200c"), "\u200dx\u200c");
    expect_trim(S("\u180ex\u2060"), "\u180ex\u2060");
}

/* Integers to the last one that fits. */
static void test_text__int(void **state)
{
    int64_t v;

    (void)state;
    assert_int_equal(text_int(S("0"), &v), 0);
    assert_true(v == 0);
    assert_int_equal(text_int(S("-12"), &v), 0);
    assert_true(v == -12);
    assert_int_equal(text_int(S("9223372036854775807"), &v), 0);
    assert_true(v == INT64_MAX);
    assert_int_equal(text_int(S("-9223372036854775808"), &v), 0);
    assert_true(v == INT64_MIN);
}

/* Everything else is refused and leaves the target alone. */
static void test_text__int_refuses(void **state)
{
    static const char *const bad[] = {"",
                                      "-",
                                      "+1",
                                      " 1",
                                      "1 ",
                                      "1.0",
                                      "0x1",
                                      "一",
                                      "--1",
                                      "1-",
                                      "9223372036854775808",
                                      "-9223372036854775809",
                                      "99999999999999999999999"};
    int64_t v = 7;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(text_int(slice_str(bad[i]), &v), E_MALFORMED);
    assert_int_equal(text_int((struct slice){NULL, 0}, &v), E_MALFORMED);
    assert_true(v == 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text__valid),        cmocka_unit_test(test_text__invalid),
        cmocka_unit_test(test_text__valid_prefix), cmocka_unit_test(test_text__next_and_put),
        cmocka_unit_test(test_text__trim),         cmocka_unit_test(test_text__trim_keeps),
        cmocka_unit_test(test_text__int),          cmocka_unit_test(test_text__int_refuses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
