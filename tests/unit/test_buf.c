/* common/base/buf: bytes that grow, numbers in one form only, errors that stick. */
#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static struct rd rd_bytes_of(const char *bytes, size_t len)
{
    return rd_of((struct slice){(const uint8_t *)bytes, len});
}

#define RD(literal) rd_bytes_of(literal, sizeof literal - 1)

static void assert_bytes(const struct buf *b, const char *bytes, size_t len)
{
    assert_int_equal(b->ret, 0);
    assert_int_equal(b->len, len);
    assert_memory_equal(b->p, bytes, len);
}

/* Order is by bytes, unsigned, and a prefix comes first. */
static void test_buf__slices(void **state)
{
    const struct slice none = {NULL, 0};

    (void)state;
    assert_true(slice_eq(none, slice_str("")));
    assert_false(slice_eq(none, slice_str("a")));
    assert_true(slice_cmp(slice_str("ab"), slice_str("abc")) < 0);
    assert_true(slice_cmp(slice_str("b"), slice_str("abc")) > 0);
    assert_true(slice_cmp(slice_str("\xff"), slice_str("a")) > 0);
    assert_int_equal(slice_cmp(none, slice_str("")), 0);
}

/* Bytes that V takes, having come back the same. */
static size_t varint_round_trip(uint64_t v)
{
    struct buf b;
    struct rd r;
    size_t len;

    buf_init(&b, 10);
    buf_varint(&b, v);
    assert_int_equal(b.ret, 0);
    len = b.len;
    r = rd_of(buf_slice(&b));
    assert_true(rd_varint(&r) == v);
    assert_true(rd_done(&r));
    buf_release(&b);
    return len;
}

/* Varints at every bit's edge, there and back, seven bits a byte. */
static void test_buf__varint_round_trip(void **state)
{
    (void)state;
    assert_int_equal(varint_round_trip(0), 1);
    for (unsigned bit = 0; bit < 64; bit++) {
        assert_int_equal(varint_round_trip((uint64_t)1 << bit), bit / 7 + 1);
        (void)varint_round_trip(((uint64_t)1 << bit) - 1);
    }
    assert_int_equal(varint_round_trip(UINT64_MAX), 10);
}

/* Only the shortest form of a number is read, and nothing past 64 bits. */
static void test_buf__varint_canonical(void **state)
{
    struct rd refused[] = {
        RD("\x80\x00"),                                 /* 0 in two bytes */
        RD("\xff\x00"),                                 /* 127 in two */
        RD("\x81\x80\x00"),                             /* 1 in three */
        RD("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"), /* 65 bits */
        RD("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f"),
        RD("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x81\x00"),
        RD("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"),
        RD("\x80"), /* the end is missing */
        RD(""),
    };
    struct rd longest = RD("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01");

    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        assert_true(rd_varint(&refused[i]) == 0);
        assert_true(refused[i].bad);
        assert_false(rd_done(&refused[i]));
    }
    assert_true(rd_varint(&longest) == UINT64_MAX);
    assert_true(rd_done(&longest));
}

/* Small numbers of either sign are short; the extremes survive. */
static void test_buf__zigzag(void **state)
{
    static const int64_t values[] = {0, -1, 1, -2, INT64_MAX, INT64_MIN, INT64_MIN + 1};
    struct buf b;
    struct rd r;

    (void)state;
    buf_init(&b, 100);
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        buf_zigzag(&b, values[i]);
    assert_memory_equal(b.p, "\x00\x01\x02\x03", 4);
    r = rd_of(buf_slice(&b));
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        assert_true(rd_zigzag(&r) == values[i]);
    assert_true(rd_done(&r));
    buf_release(&b);
}

/* Fixed numbers are big-endian. */
static void test_buf__big_endian(void **state)
{
    struct buf b;
    struct rd r;

    (void)state;
    buf_init(&b, 100);
    buf_u8(&b, 0xfe);
    buf_be32(&b, 0x01020304);
    buf_be64(&b, 0xf1f2f3f4f5f6f7f8u);
    assert_bytes(&b, "\xfe\x01\x02\x03\x04\xf1\xf2\xf3\xf4\xf5\xf6\xf7\xf8", 13);
    r = rd_of(buf_slice(&b));
    assert_int_equal(rd_u8(&r), 0xfe);
    assert_int_equal(rd_be32(&r), 0x01020304);
    assert_true(rd_be64(&r) == 0xf1f2f3f4f5f6f7f8u);
    assert_true(rd_done(&r));
    buf_release(&b);
}

/* The maximum is a promise: what would pass it changes nothing, and the first error stays. */
static void test_buf__max_is_sticky(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 5);
    buf_str(&b, "abcd");
    buf_str(&b, "ef");
    assert_int_equal(b.ret, E_TOOBIG);
    assert_int_equal(b.len, 4);
    buf_str(&b, "e"); /* would fit */
    assert_int_equal(b.len, 4);
    assert_null(buf_grow(&b, 1));
    assert_string_equal(buf_cstr(&b), "");
    buf_clear(&b);
    buf_str(&b, "abcde");
    assert_bytes(&b, "abcde", 5);
    buf_release(&b);
}

/* The NUL of a text does not count: exactly the maximum can be printed and read as text. */
static void test_buf__text_to_the_brim(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 5);
    assert_string_equal(buf_cstr(&b), "");
    buf_printf(&b, "%s", "");
    buf_printf(&b, "%d%s", 12, "abc");
    assert_string_equal(buf_cstr(&b), "12abc");
    assert_int_equal(b.ret, 0);
    buf_printf(&b, "x");
    assert_int_equal(b.ret, E_TOOBIG);
    buf_release(&b);
}

/* Sizes at the end of the numbers are refused before anything is added up. */
static void test_buf__huge_sizes(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, SIZE_MAX);
    buf_u8(&b, 1);
    assert_null(buf_grow(&b, SIZE_MAX));
    assert_int_equal(b.ret, E_TOOBIG);
    buf_clear(&b);
    assert_null(buf_grow(&b, SIZE_MAX - 1));
    assert_int_equal(b.ret, E_TOOBIG);
    buf_release(&b);
}

/* Memory that runs out is an error that sticks, and what was written stays. */
static void test_buf__memory_out(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 1000);
    buf_str(&b, "kept");
    mem_fault_set(1);
    assert_null(buf_grow(&b, 900));
    mem_fault_set(0);
    assert_int_equal(b.ret, E_NOMEM);
    assert_memory_equal(b.p, "kept", 4);
    buf_release(&b);
    assert_int_equal(b.len, 0);
}

/* Consuming moves the rest to the front; more than there is empties it. */
static void test_buf__consume(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 100);
    buf_consume(&b, 3);
    buf_str(&b, "abcdef");
    buf_consume(&b, 0);
    buf_consume(&b, 2);
    assert_bytes(&b, "cdef", 4);
    buf_consume(&b, 9);
    assert_int_equal(b.len, 0);
    buf_release(&b);
}

/* Empty pieces of no address are welcome everywhere. */
static void test_buf__nothing(void **state)
{
    const struct slice none = {NULL, 0};
    struct buf b;
    struct rd r;

    (void)state;
    buf_init(&b, 10);
    buf_put(&b, NULL, 0);
    buf_bytes(&b, none);
    assert_bytes(&b, "\x00", 1);
    buf_release(&b);
    assert_non_null(buf_grow(&b, 0));
    buf_release(&b);

    r = rd_of(none);
    assert_true(rd_done(&r));
    assert_int_equal(rd_take(&r, 0).len, 0);
    assert_true(rd_done(&r));
}

/* A reader that went wrong stays wrong and gives empty answers, whatever is asked next. */
static void test_buf__reader_is_sticky(void **state)
{
    struct rd r = RD("\x01\x02\x03");

    (void)state;
    assert_int_equal(rd_be32(&r), 0);
    assert_true(r.bad);
    assert_int_equal(rd_u8(&r), 0);
    assert_true(rd_be64(&r) == 0);
    assert_true(rd_varint(&r) == 0);
    assert_true(rd_zigzag(&r) == 0);
    assert_int_equal(rd_take(&r, 0).len, 0);
    assert_int_equal(rd_bytes(&r, 10).len, 0);
    assert_false(rd_done(&r));
}

/* A length may not name more than the limit, nor more than there is. */
static void test_buf__lengths(void **state)
{
    struct rd whole =
        RD("\x03"
           "abc");
    struct rd limited =
        RD("\x03"
           "abc");
    struct rd cut =
        RD("\x04"
           "abc");
    struct rd absurd =
        RD("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
           "abc");
    struct rd left_over =
        RD("\x02"
           "abc");

    (void)state;
    assert_true(slice_eq(rd_bytes(&whole, 3), slice_str("abc")));
    assert_true(rd_done(&whole));
    assert_int_equal(rd_bytes(&limited, 2).len, 0);
    assert_true(limited.bad);
    assert_int_equal(rd_bytes(&cut, 10).len, 0);
    assert_true(cut.bad);
    assert_int_equal(rd_bytes(&absurd, SIZE_MAX).len, 0);
    assert_true(absurd.bad);
    assert_int_equal(rd_bytes(&left_over, 10).len, 2);
    assert_false(left_over.bad);
    assert_false(rd_done(&left_over));
    assert_int_equal(rd_left(&left_over), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buf__slices),           cmocka_unit_test(test_buf__varint_round_trip),
        cmocka_unit_test(test_buf__varint_canonical), cmocka_unit_test(test_buf__zigzag),
        cmocka_unit_test(test_buf__big_endian),       cmocka_unit_test(test_buf__max_is_sticky),
        cmocka_unit_test(test_buf__text_to_the_brim), cmocka_unit_test(test_buf__huge_sizes),
        cmocka_unit_test(test_buf__memory_out),       cmocka_unit_test(test_buf__consume),
        cmocka_unit_test(test_buf__nothing),          cmocka_unit_test(test_buf__reader_is_sticky),
        cmocka_unit_test(test_buf__lengths),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
