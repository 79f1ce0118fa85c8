/* Statements kept for the next who asks. */
#include "common/ledger/sql.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

/* ---- fixture ---- */

struct kept_statements {
    sqlite3 *db;
    struct sql_cache cache;
};

static int set_up(void **state)
{
    static struct kept_statements k;

    memset(&k, 0, sizeof k);
    *state = &k;
    return sqlite3_open(":memory:", &k.db) == SQLITE_OK &&
                   sql_exec(k.db, "CREATE TABLE t (a)", NULL) == 0
               ? 0
               : -1;
}

/* A statement that was forgotten would keep the database busy. */
static int tear_down(void **state)
{
    struct kept_statements *k = *state;

    sql_cache_release(&k->cache);
    return sqlite3_close(k->db) == SQLITE_OK ? 0 : -1;
}

/* ---- helpers ---- */

static sqlite3_stmt *take(struct kept_statements *k, const char *text)
{
    sqlite3_stmt *st = NULL;
    struct err err = {.ret = 0};

    assert_int_equal(sql_cache_take(&k->cache, k->db, text, &st, &err), 0);
    return st;
}

static void give_one_of_many(struct kept_statements *k, unsigned i)
{
    char text[32];

    (void)snprintf(text, sizeof text, "SELECT %u", i);
    sql_cache_give(&k->cache, take(k, text));
}

/* ---- tests ---- */

/* Who asks for the same text gets the same statement, as if it were new. */
static void test_sql_cache__gives_a_statement_again(void **state)
{
    static const char query[] = "SELECT ?1 UNION ALL SELECT ?1";
    struct kept_statements *k = *state;
    sqlite3_stmt *st = take(k, query);

    sql_bind_int(st, 1, 7);
    assert_int_equal(sql_step(st, NULL), 1); /* and not to its end */
    sql_cache_give(&k->cache, st);
    assert_ptr_equal(take(k, query), st);
    assert_int_equal(sql_step(st, NULL), 1);
    assert_int_equal(sqlite3_column_type(st, 0), SQLITE_NULL);
    sql_cache_give(&k->cache, st);
}

/* A statement that somebody is using is nobody else's. */
static void test_sql_cache__a_statement_has_one_user(void **state)
{
    struct kept_statements *k = *state;
    sqlite3_stmt *outer = take(k, "SELECT 1"), *inner = take(k, "SELECT 1");

    assert_ptr_not_equal(outer, inner);
    sql_cache_give(&k->cache, inner);
    sql_cache_give(&k->cache, outer);
    assert_ptr_equal(take(k, "SELECT 1"), outer);
    assert_int_equal(k->cache.n, 1);
    sql_cache_give(&k->cache, outer);
}

/* There is an end to what is kept, and what was asked for last stays. */
static void test_sql_cache__forgets_what_was_not_used_for_longest(void **state)
{
    struct kept_statements *k = *state;
    sqlite3_stmt *st = take(k, "SELECT a FROM t");

    sql_cache_give(&k->cache, st);
    for (unsigned i = 1; i < SQL_KEPT; i++)
        give_one_of_many(k, i);
    assert_int_equal(k->cache.n, SQL_KEPT);
    sql_cache_give(&k->cache, take(k, "SELECT a FROM t"));
    give_one_of_many(k, SQL_KEPT);
    assert_int_equal(k->cache.n, SQL_KEPT);
    assert_ptr_equal(take(k, "SELECT a FROM t"), st);
    sql_cache_give(&k->cache, st);
    for (unsigned i = 0; i < k->cache.n; i++)
        assert_string_not_equal(sqlite3_sql(k->cache.kept[i]), "SELECT 1");
}

/* What SQLite does not take is an error of the asker and nothing to give back. */
static void test_sql_cache__no_statement_of_a_wrong_text(void **state)
{
    struct kept_statements *k = *state;
    struct err err = {.ret = 0};
    sqlite3_stmt *st;

    assert_int_equal(sql_cache_take(&k->cache, k->db, "SELECT b FROM t", &st, &err), E_INTERNAL);
    assert_non_null(strstr(err.text, "no such column"));
    sql_cache_give(&k->cache, st);
    assert_int_equal(k->cache.n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_sql_cache__gives_a_statement_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_sql_cache__a_statement_has_one_user, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_sql_cache__forgets_what_was_not_used_for_longest, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_sql_cache__no_statement_of_a_wrong_text, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
