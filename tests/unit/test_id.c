/* common/base/id: identifiers made offline, and chance that can be repeated. */
#include "common/base/err.h"
#include "common/base/id.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define TEXT "018bcfe5-6800-7abc-8def-0123456789ab"

/* Version, variant and time are where RFC 9562 puts them; the rest is chance. */
static void test_id__v7_layout(void **state)
{
    struct random_seeded seeded;
    struct random r = random_seeded_init(&seeded, 1);
    struct id first = id_v7(0x0123456789ab, &r);

    (void)state;
    assert_memory_equal(first.b, "\x01\x23\x45\x67\x89\xab", 6);
    for (int i = 0; i < 1000; i++) {
        struct id id = id_v7(0x0123456789ab, &r);

        assert_int_equal(id.b[6] >> 4, 7);
        assert_int_equal(id.b[8] >> 6, 2);
        assert_false(id_eq(&id, &first));
    }
}

/* A later millisecond sorts later, as bytes and as text. */
static void test_id__order_is_time(void **state)
{
    static const uint64_t times[] = {0, 1, 255, 256, 0xffffffff, 0x100000000, 0xffffffffffff};
    struct random_seeded seeded;
    struct random r = random_seeded_init(&seeded, 2);
    struct id last = id_v7(times[0], &r);

    (void)state;
    for (size_t i = 1; i < sizeof times / sizeof *times; i++) {
        struct id id = id_v7(times[i], &r);
        char before[ID_TEXT_SIZE], after[ID_TEXT_SIZE];

        id_format(&last, before);
        id_format(&id, after);
        assert_true(id_cmp(&last, &id) < 0);
        assert_true(strcmp(before, after) < 0);
        last = id;
    }
}

/* Text and bytes go both ways; capitals and the form without hyphens are read too. */
static void test_id__text_round_trip(void **state)
{
    char text[ID_TEXT_SIZE];
    struct id a, b;

    (void)state;
    assert_int_equal(id_parse(TEXT, 36, &a), 0);
    id_format(&a, text);
    assert_string_equal(text, TEXT);
    assert_int_equal(id_parse("018BCFE568007ABC8DEF0123456789AB", 32, &b), 0);
    assert_true(id_eq(&a, &b));
    assert_int_equal(id_cmp(&a, &b), 0);
}

/* Anything else is refused and leaves the target alone. */
static void test_id__parse_refuses(void **state)
{
    static const char *const bad[] = {
        "",
        "018bcfe5-6800-7abc-8def-0123456789a",
        "018bcfe5-6800-7abc-8def-0123456789abc",
        "018bcfe56-800-7abc-8def-0123456789ab",
        "018bcfe5-6800-7abc-8def-0123456789ag",
        "018bcfe5-6800-7abc-8def0-123456789ab",
        "018bcfe5x6800x7abcx8defx0123456789ab",
        "018bcfe5-68007abc8def0123456789a",
        "{018bcfe5-6800-7abc-8def-0123456789}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct id id = {{0}};

        assert_int_equal(id_parse(bad[i], strlen(bad[i]), &id), E_MALFORMED);
        assert_true(id_is_zero(&id));
    }
}

/* Zero is the id of nobody. */
static void test_id__zero(void **state)
{
    struct id id = {{0}};

    (void)state;
    assert_true(id_is_zero(&id));
    id.b[15] = 1;
    assert_false(id_is_zero(&id));
}

/* One seed, one world: the same bytes again, other bytes for another seed, in any portions of 8. */
static void test_id__seeded_repeats(void **state)
{
    struct random_seeded s1, s2, s3;
    struct random a = random_seeded_init(&s1, 42);
    struct random b = random_seeded_init(&s2, 42);
    struct random c = random_seeded_init(&s3, 43);
    uint8_t x[64], y[64], z[64];

    (void)state;
    random_fill(&a, x, 64);
    random_fill(&b, y, 24);
    random_fill(&b, y + 24, 40);
    random_fill(&c, z, 64);
    assert_memory_equal(x, y, 64);
    assert_memory_not_equal(x, z, 64);
}

/* Every value below the bound comes, about equally often, and the bound never. */
static void test_id__below(void **state)
{
    struct random_seeded seeded;
    struct random r = random_seeded_init(&seeded, 3);
    unsigned seen[6] = {0};

    (void)state;
    for (int i = 0; i < 6000; i++) {
        uint64_t v = random_below(&r, 6);

        assert_true(v < 6);
        seen[v]++;
    }
    for (int i = 0; i < 6; i++)
        assert_in_range(seen[i], 800, 1200);
    assert_true(random_below(&r, 1) == 0);
    (void)random_below(&r, UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_id__v7_layout),
        cmocka_unit_test(test_id__order_is_time),
        cmocka_unit_test(test_id__text_round_trip),
        cmocka_unit_test(test_id__parse_refuses),
        cmocka_unit_test(test_id__zero),
        cmocka_unit_test(test_id__seeded_repeats),
        cmocka_unit_test(test_id__below),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
