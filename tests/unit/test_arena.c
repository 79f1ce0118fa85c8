/* common/base/arena: many small pieces that die together, under a cap. */
#include "common/base/arena.h"
#include "common/base/mem.h"

#include <setjmp.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

/* Pieces are aligned, do not overlap, and survive later blocks. */
static void test_arena__pieces_are_apart(void **state)
{
    struct arena a;
    uint8_t *piece[400];

    (void)state;
    arena_init(&a, 1u << 20);
    for (size_t i = 0; i < 400; i++) {
        piece[i] = arena_alloc(&a, i + 1);
        assert_non_null(piece[i]);
        assert_int_equal((uintptr_t)piece[i] % alignof(max_align_t), 0);
        memset(piece[i], (int)(i & 0xff), i + 1);
    }
    for (size_t i = 0; i < 400; i++) {
        for (size_t k = 0; k <= i; k++)
            assert_int_equal(piece[i][k], i & 0xff);
    }
    arena_release(&a);
}

/* The cap is reached exactly and never passed, alignment included. */
static void test_arena__cap(void **state)
{
    const size_t unit = alignof(max_align_t);
    struct arena a;

    (void)state;
    arena_init(&a, 10 * unit);
    for (int i = 0; i < 10; i++)
        assert_non_null(arena_alloc(&a, 1));
    assert_int_equal(a.used, a.max);
    assert_null(arena_alloc(&a, 1));
    assert_null(arena_zalloc(&a, 1));
    assert_null(arena_dup(&a, "x", 1));
    assert_null(arena_dup(&a, "", 0));
    assert_null(arena_strndup(&a, "", 0));
    assert_null(arena_printf(&a, "%d", 1));
    arena_clear(&a);
    assert_non_null(arena_alloc(&a, 10 * unit));
    assert_null(arena_alloc(&a, 1));
    arena_release(&a);
}

/* A size near the end of the numbers is refused, not wrapped around. */
static void test_arena__huge_sizes(void **state)
{
    struct arena a;

    (void)state;
    arena_init(&a, SIZE_MAX);
    assert_null(arena_alloc(&a, SIZE_MAX));
    assert_null(arena_alloc(&a, SIZE_MAX - 3));
    assert_null(arena_strndup(&a, "x", SIZE_MAX));
    assert_int_equal(a.used, 0);
    arena_release(&a);
}

/* Copies carry their NUL; a copy of nothing has an address. */
static void test_arena__copies(void **state)
{
    struct arena a;
    uint8_t *zero;

    (void)state;
    arena_init(&a, 1000);
    assert_string_equal(arena_strndup(&a, "桂阳县委", 9), "桂阳县");
    assert_string_equal(arena_strndup(&a, NULL, 0), "");
    assert_non_null(arena_dup(&a, NULL, 0));
    assert_string_equal(arena_printf(&a, "%s-%03d", "提案", 7), "提案-007");
    zero = arena_zalloc(&a, 16);
    for (int i = 0; i < 16; i++)
        assert_int_equal(zero[i], 0);
    arena_release(&a);
}

/* After clear the same memory serves again, without a new allocation, and zalloc clears it anew. */
static void test_arena__clear_reuses(void **state)
{
    struct arena a;
    uint8_t *p;

    (void)state;
    arena_init(&a, 1u << 22);
    arena_clear(&a); /* of nothing */
    for (int i = 0; i < 100; i++)
        assert_non_null(arena_alloc(&a, 5000));
    memset(arena_alloc(&a, 100), 0xff, 100);
    arena_clear(&a);
    assert_int_equal(a.used, 0);
    mem_fault_set(1);
    p = arena_zalloc(&a, 5000);
    assert_non_null(p);
    assert_int_equal(mem_fault_hits(), 0);
    mem_fault_set(0);
    for (int i = 0; i < 5000; i++)
        assert_int_equal(p[i], 0);
    arena_release(&a);
    arena_release(&a);
}

/* Memory that runs out is a NULL, and the arena stays as it was. */
static void test_arena__memory_out(void **state)
{
    struct arena a;
    char *kept;

    (void)state;
    arena_init(&a, 1u << 20);
    mem_fault_set(1);
    assert_null(arena_alloc(&a, 1));
    assert_int_equal(a.used, 0);
    kept = arena_strndup(&a, "kept", 4);
    mem_fault_set(1);
    assert_null(arena_alloc(&a, 1u << 16));
    mem_fault_set(0);
    assert_string_equal(kept, "kept");
    assert_non_null(arena_alloc(&a, 1u << 16));
    arena_release(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arena__pieces_are_apart), cmocka_unit_test(test_arena__cap),
        cmocka_unit_test(test_arena__huge_sizes),       cmocka_unit_test(test_arena__copies),
        cmocka_unit_test(test_arena__clear_reuses),     cmocka_unit_test(test_arena__memory_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
