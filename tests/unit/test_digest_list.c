/* Lists of digests from the other side: what was written is read, whole, ascending, and no more of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/err.h"
#include "common/ledger/digest_list.h"

#define LIST_MAX (1u << 16)

enum list { KINDS, PARTS, ROWS, LISTS };

static const size_t most[LISTS] = {DIGEST_KINDS_MAX, DIGEST_PARTS_MAX, DIGEST_ROWS_MAX};

/* The item that is number AT. */
static void put(enum list list, struct buf *out, unsigned at)
{
    const struct id id = {{0, 0, (uint8_t)(at >> 8), (uint8_t)at}};
    const struct digest d = {at, 7};

    if (list == KINDS)
        digest_list_kind(out, &(struct digest_kind){.kind = at, .of = {at + 1, d}});
    else if (list == PARTS)
        digest_list_part(out, &(struct digest_part){.upto = id, .of = {at + 1, d}});
    else
        digest_list_row(out, &(struct digest_of_row){.id = id, .digest = d});
}

/* How it is read, its length, and that the last item is number LAST. */
static int take(enum list list, struct slice bytes, size_t *ret_n, unsigned last)
{
    struct digest_kind *kinds = NULL;
    struct digest_part *parts = NULL;
    struct digest_of_row *rows = NULL;
    struct arena a;
    int ret;

    arena_init(&a, 1u << 20);
    ret = list == KINDS   ? digest_list_kinds(&a, bytes, &kinds, ret_n)
          : list == PARTS ? digest_list_parts(&a, bytes, &parts, ret_n)
                          : digest_list_rows(&a, bytes, &rows, ret_n);
    if (ret == 0 && *ret_n > 0) {
        const struct digest d = list == KINDS   ? kinds[*ret_n - 1].of.sum
                                : list == PARTS ? parts[*ret_n - 1].of.sum
                                                : rows[*ret_n - 1].digest;

        assert_true(digest_eq(d, (struct digest){last, 7}));
    }
    arena_release(&a);
    return ret;
}

/* Any number up to the most; one more is too many. */
static void test_digest_list__bounds(void **state)
{
    (void)state;
    for (enum list list = KINDS; list < LISTS; list++) {
        struct buf out;
        size_t n;

        buf_init(&out, LIST_MAX);
        assert_int_equal(take(list, buf_slice(&out), &n, 0), 0);
        assert_int_equal(n, 0);
        for (unsigned i = 1; i <= most[list]; i++)
            put(list, &out, i);
        assert_int_equal(take(list, buf_slice(&out), &n, (unsigned)most[list]), 0);
        assert_int_equal(n, most[list]);
        put(list, &out, (unsigned)most[list] + 1);
        assert_int_equal(take(list, buf_slice(&out), &n, 0), E_MALFORMED);
        buf_release(&out);
    }
}

/* Each cut is refused. */
static void test_digest_list__cut(void **state)
{
    (void)state;
    for (enum list list = KINDS; list < LISTS; list++) {
        struct buf out;
        size_t n, item;

        buf_init(&out, LIST_MAX);
        put(list, &out, 1);
        item = out.len;
        put(list, &out, 2);
        for (size_t len = 1; len < out.len; len++)
            assert_int_equal(take(list, (struct slice){out.p, len}, &n, 1),
                             len == item ? 0 : E_MALFORMED);
        buf_release(&out);
    }
}

/* The same twice, or the lower behind the higher. */
static void test_digest_list__not_ascending(void **state)
{
    (void)state;
    for (enum list list = KINDS; list < LISTS; list++) {
        for (unsigned second = 1; second <= 3; second++) {
            struct buf out;
            size_t n;

            buf_init(&out, LIST_MAX);
            put(list, &out, 2);
            put(list, &out, second);
            assert_int_equal(take(list, buf_slice(&out), &n, second), second == 3 ? 0 : E_MALFORMED);
            buf_release(&out);
        }
    }
}

/* No room for a list is a lack of memory, not a bad list. */
static void test_digest_list__memory_out(void **state)
{
    const struct slice none = {NULL, 0};
    struct digest_kind *kinds;
    struct digest_part *parts;
    struct digest_of_row *rows;
    struct arena a;
    size_t n;

    (void)state;
    arena_init(&a, 16);
    assert_int_equal(digest_list_kinds(&a, none, &kinds, &n), E_NOMEM);
    assert_int_equal(digest_list_parts(&a, none, &parts, &n), E_NOMEM);
    assert_int_equal(digest_list_rows(&a, none, &rows, &n), E_NOMEM);
    arena_release(&a);
}

/* Equal is equal in every part. */
static void test_digest_list__sums_differ(void **state)
{
    const struct digest_sum a = {2, {3, 4}};

    (void)state;
    assert_true(digest_sum_eq(&a, &a));
    assert_false(digest_sum_eq(&a, &(struct digest_sum){1, {3, 4}}));
    assert_false(digest_sum_eq(&a, &(struct digest_sum){2, {0, 4}}));
    assert_false(digest_sum_eq(&a, &(struct digest_sum){2, {3, 0}}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_digest_list__bounds),
        cmocka_unit_test(test_digest_list__cut),
        cmocka_unit_test(test_digest_list__not_ascending),
        cmocka_unit_test(test_digest_list__memory_out),
        cmocka_unit_test(test_digest_list__sums_differ),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
