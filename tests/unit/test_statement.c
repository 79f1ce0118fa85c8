/* When everything has arrived, and why not yet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/ledger/statement.h"

static const struct {
    struct statement s;
    const char *why; /* NULL: everything has arrived */
} cases[] = {
    {{0}, NULL},
    {{.own_n = 9, .acked_n = 9}, NULL},
    {{.own_n = 9, .acked_n = 7}, "还有 2 项更改没有上传"},
    {{.own_n = 9, .acked_n = 9, .waiting = 3}, "还有 3 项更改没有上传"},
    {{.own_n = 9, .acked_n = 7, .waiting = 1}, "还有 2 项更改没有上传"},
    {{.own_n = 9, .acked_n = 9, .refused = 4}, "有 4 项更改未被接受"},
    {{.own_n = 9, .acked_n = 9, .attachments = 1}, "还有 1 个附件没有上传完"},
    {{.own_n = 9, .acked_n = 8, .waiting = 1, .refused = 2, .attachments = 3},
     "还有 1 项更改没有上传，有 2 项更改未被接受，还有 3 个附件没有上传完"},
    {{.own_n = 9, .acked_n = 9, .refused = 2, .attachments = 3},
     "有 2 项更改未被接受，还有 3 个附件没有上传完"},
};

/* Complete is what needs no words, and nothing else. */
static void test_statement__complete_or_why(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf out;

        buf_init(&out, 1024);
        statement_why(&cases[i].s, &out);
        assert_string_equal(buf_cstr(&out), cases[i].why == NULL ? "" : cases[i].why);
        assert_int_equal(statement_complete(&cases[i].s), cases[i].why == NULL);
        buf_release(&out);
    }
}

/* It goes on behind what stands there, without a comma of its own. */
static void test_statement__goes_on(void **state)
{
    struct buf out;

    (void)state;
    buf_init(&out, 1024);
    buf_str(&out, "桂阳县：");
    statement_why(&cases[5].s, &out);
    assert_string_equal(buf_cstr(&out), "桂阳县：有 4 项更改未被接受");
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_statement__complete_or_why),
        cmocka_unit_test(test_statement__goes_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
