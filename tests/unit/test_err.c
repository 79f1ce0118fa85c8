/* common/base/err: codes and the sentence that grows on the way up. */
#include "common/base/err.h"
#include "common/base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

/* Every code is negative, named ZT-…, told from the others, and found again by its name. */
static void test_err__codes_are_a_bijection(void **state)
{
    static const int all[] = {
#define X(name, number, code, text) name,
        ERR_MAP(X)
#undef X
    };
    const size_t n = sizeof all / sizeof *all;

    (void)state;
    for (size_t i = 0; i < n; i++) {
        assert_true(all[i] < 0);
        assert_memory_equal(err_code(all[i]), "ZT-", 3);
        assert_true(text_length(slice_str(err_text(all[i]))) > 1);
        assert_int_equal(err_from_code(err_code(all[i])), all[i]);
        for (size_t k = 0; k < i; k++)
            assert_int_not_equal(all[i], all[k]);
    }
}

/* A number and a name that nobody gave out have answers too. */
static void test_err__unknown_codes(void **state)
{
    (void)state;
    assert_string_equal(err_code(-9999), "ZT-UNKNOWN");
    assert_string_equal(err_code(0), "ZT-UNKNOWN");
    assert_string_equal(err_text(1), "未知错误");
    assert_int_equal(err_from_code("ZT-NOBODY"), E_INTERNAL);
}

/* Nobody has to listen. */
static void test_err__null_is_allowed(void **state)
{
    (void)state;
    assert_int_equal(err_set(NULL, E_IO, "x"), E_IO);
    assert_int_equal(err_wrap(NULL, E_FULL, "x"), E_FULL);
}

/* Without words of its own an error takes the general sentence. */
static void test_err__general_sentence(void **state)
{
    struct err err = {0};

    (void)state;
    assert_int_equal(err_set(&err, E_FULL, NULL), E_FULL);
    assert_string_equal(err.text, err_text(E_FULL));
    assert_int_equal(err.ret, E_FULL);
}

/* Wrapping puts the place before the cause; with no cause recorded, before the general sentence. */
static void test_err__wrap_prefixes(void **state)
{
    struct err err = {0};

    (void)state;
    assert_int_equal(err_wrap(&err, E_IO, "打不开 %s", "甲"), E_IO);
    assert_string_equal(err.text, "打不开 甲：读写失败");
    assert_int_equal(err_wrap(&err, E_INVALID, "第 %d 行", 3), E_INVALID);
    assert_string_equal(err.text, "第 3 行：打不开 甲：读写失败");
    assert_int_equal(err.ret, E_INVALID);
}

/* A sentence that is too long ends at a character, whatever its length modulo three is. */
static void test_err__cuts_at_a_character(void **state)
{
    char word[ERR_TEXT_MAX * 2];

    (void)state;
    for (size_t lead = 0; lead < 3; lead++) {
        struct err err = {0};
        size_t len = lead;

        memset(word, 'a', lead);
        for (; len + 4 < sizeof word; len += 3)
            memcpy(word + len, "长", 3);
        word[len] = '\0';

        assert_int_equal(err_set(&err, E_IO, "%s", word), E_IO);
        assert_true(text_valid(slice_str(err.text)));
        assert_true(strlen(err.text) >= ERR_TEXT_MAX - 3);

        assert_int_equal(err_wrap(&err, E_IO, "%s", "外"), E_IO);
        assert_true(text_valid(slice_str(err.text)));
        assert_true(strlen(err.text) >= ERR_TEXT_MAX - 3);

        assert_int_equal(err_wrap(&err, E_IO, "%s", word), E_IO);
        assert_true(text_valid(slice_str(err.text)));
    }
}

static void test_err__a_fault_is_the_machines(void **state)
{
    (void)state;
    assert_true(err_is_fault(E_FULL));
    assert_true(err_is_fault(E_CORRUPT));
    assert_false(err_is_fault(0));
    assert_false(err_is_fault(E_STATE));
    assert_false(err_is_fault(E_QUOTA));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_err__a_fault_is_the_machines),
        cmocka_unit_test(test_err__codes_are_a_bijection),
        cmocka_unit_test(test_err__unknown_codes),
        cmocka_unit_test(test_err__null_is_allowed),
        cmocka_unit_test(test_err__general_sentence),
        cmocka_unit_test(test_err__wrap_prefixes),
        cmocka_unit_test(test_err__cuts_at_a_character),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
