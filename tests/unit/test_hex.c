/* common/base/hex: bytes as text, one text for each. */
#include "common/base/err.h"
#include "common/base/hex.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

/* All bytes, there and back; capitals are read. */
static void test_hex__round_trip(void **state)
{
    uint8_t bytes[256], back[256];
    char text[513];

    (void)state;
    for (int i = 0; i < 256; i++)
        bytes[i] = (uint8_t)i;
    hex_encode(bytes, 256, text);
    assert_memory_equal(text, "000102", 6);
    assert_string_equal(text + 506, "fdfeff");
    assert_int_equal(hex_decode(text, 512, back), 0);
    assert_memory_equal(bytes, back, 256);
    assert_int_equal(hex_decode("aBCdEF", 6, back), 0);
    assert_memory_equal(back, "\xab\xcd\xef", 3);
    hex_encode(bytes, 0, text);
    assert_string_equal(text, "");
    assert_int_equal(hex_decode("", 0, back), 0);
}

/* Half bytes and other letters are refused; neighbours of the digits in ASCII above all. */
static void test_hex__refuses(void **state)
{
    static const char *const bad[] = {"0",  "000", "0g", "/0", ":0",
                                      "@0", "G0",  "`0", " 0", "\3770"};
    uint8_t out[4];

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(hex_decode(bad[i], strlen(bad[i]), out), E_MALFORMED);
}

static void expect_base64url(const char *bytes, const char *text)
{
    struct buf b;

    buf_init(&b, 100);
    base64url_encode(&b, slice_str(bytes));
    assert_string_equal(buf_cstr(&b), text);
    buf_clear(&b);
    assert_int_equal(base64url_decode(&b, slice_str(text)), 0);
    assert_true(slice_eq(buf_slice(&b), slice_str(bytes)));
    buf_release(&b);
}

/* The vectors of RFC 4648, without padding, and the two letters that differ from base64. */
static void test_hex__base64url_vectors(void **state)
{
    (void)state;
    expect_base64url("", "");
    expect_base64url("f", "Zg");
    expect_base64url("fo", "Zm8");
    expect_base64url("foo", "Zm9v");
    expect_base64url("foob", "Zm9vYg");
    expect_base64url("fooba", "Zm9vYmE");
    expect_base64url("foobar", "Zm9vYmFy");
    expect_base64url("\xfb\xff\xfe", "-__-");
}

/* One text for each: padding, blanks, the other alphabet, and tails with bits left over are refused. */
static void test_hex__base64url_refuses(void **state)
{
    static const char *const bad[] = {"Z",    "Zm9vY", "Zg==", "Zg=", "Zm9v\n", " Zm9v", "Zm 9v",
                                      "+__-", "-//-",  "Zh",   "Zv",  "Zm9",    "Zm-",   "长"};
    struct buf b;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        buf_init(&b, 100);
        assert_int_equal(base64url_decode(&b, slice_str(bad[i])), E_MALFORMED);
        buf_release(&b);
    }
    buf_init(&b, 100);
    assert_int_equal(base64url_decode(&b, (struct slice){(const uint8_t *)"Zm\0v", 4}),
                     E_MALFORMED);
    buf_release(&b);
}

/* What does not fit is an error of the target. */
static void test_hex__base64url_too_big(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 2);
    assert_int_equal(base64url_decode(&b, slice_str("Zm9v")), E_TOOBIG);
    buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hex__round_trip),
        cmocka_unit_test(test_hex__refuses),
        cmocka_unit_test(test_hex__base64url_vectors),
        cmocka_unit_test(test_hex__base64url_refuses),
        cmocka_unit_test(test_hex__base64url_too_big),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
