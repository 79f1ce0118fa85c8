/* common/base/mem: allocation that a test can make fail. */
#include "common/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

/* Nothing is an amount: a size of 0 gives memory that can be freed. */
static void test_mem__zero_sizes(void **state)
{
    void *p[] = {mem_alloc(0), mem_calloc(0, 8), mem_calloc(8, 0), mem_dup("", 0),
                 mem_realloc(NULL, 0)};

    (void)state;
    for (size_t i = 0; i < sizeof p / sizeof *p; i++) {
        assert_non_null(p[i]);
        mem_free(p[i]);
    }
    mem_free(NULL);
}

/* Copies are equal and their own. */
static void test_mem__copies(void **state)
{
    char from[] = "郴州";
    char *text = mem_strdup(from);
    uint8_t *bytes = mem_dup(from, sizeof from);

    (void)state;
    from[0] = 'x';
    assert_string_equal(text, "郴州");
    assert_memory_equal(bytes, text, sizeof from);
    mem_free(text);
    mem_free(bytes);
}

/* Zeroed memory is zero, and a product that overflows is refused. */
static void test_mem__calloc(void **state)
{
    uint8_t *p = mem_calloc(7, 9);

    (void)state;
    for (size_t i = 0; i < 63; i++)
        assert_int_equal(p[i], 0);
    mem_free(p);
    assert_null(mem_calloc(SIZE_MAX / 2, 4));
}

/* Wiped means zero. */
static void test_mem__wipe(void **state)
{
    char key[] = "secret";
    static const char zero[sizeof key];

    (void)state;
    mem_wipe(key, sizeof key);
    assert_memory_equal(key, zero, sizeof key);
    mem_wipe(key, 0);
}

/* The fault hits the named allocation, once, and says so; a failed realloc leaves the old memory. */
static void test_mem__fault_countdown(void **state)
{
    char *kept = mem_strdup("kept");
    void *p;

    (void)state;
    mem_fault_set(2);
    p = mem_alloc(1);
    assert_non_null(p);
    mem_free(p);
    assert_int_equal(mem_fault_hits(), 0);
    assert_null(mem_realloc(kept, 100));
    assert_int_equal(mem_fault_hits(), 1);
    assert_string_equal(kept, "kept");
    p = mem_calloc(1, 1);
    assert_non_null(p);
    mem_free(p);
    assert_int_equal(mem_fault_hits(), 1);
    mem_fault_set(0);
    assert_int_equal(mem_fault_hits(), 0);
    mem_free(kept);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mem__zero_sizes),      cmocka_unit_test(test_mem__copies),
        cmocka_unit_test(test_mem__calloc),          cmocka_unit_test(test_mem__wipe),
        cmocka_unit_test(test_mem__fault_countdown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
