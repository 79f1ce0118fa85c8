/* common/catalogue/value: canonical bytes and the algebra of sets. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "common/base/err.h"
#include "common/base/hex.h"
#include "common/catalogue/value.h"

/* ---- helpers ---- */

static struct value text(const char *s)
{
    return value_str(s);
}

static struct value set(const char *s)
{
    struct value v = value_str(s);

    if (*s == '\0') {
        return value_null();
    }
    v.type = V_SET;
    return v;
}

static void assert_bytes(const struct value *v, const char *hex)
{
    struct buf b;
    char now[256];

    buf_init(&b, 1024);
    value_encode(&b, v);
    assert_int_equal(b.ret, 0);
    hex_encode(b.p, b.len, now);
    assert_string_equal(now, hex);
    struct rd r = rd_of(buf_slice(&b));
    struct value back = value_decode(&r);
    assert_true(rd_done(&r));
    assert_int_equal(back.type, v->type);
    assert_true(v->type == V_SEALED || value_eq(&back, v));
    buf_release(&b);
}

static bool decodes(const char *hex)
{
    uint8_t bytes[256];

    assert_int_equal(hex_decode(hex, strlen(hex), bytes), 0);
    struct rd r = rd_of((struct slice){bytes, strlen(hex) / 2});
    (void)value_decode(&r);
    return rd_done(&r);
}

static void assert_value(const struct value *v, const char *expected)
{
    struct value e = set(expected);

    if (!value_eq(v, &e)) {
        fail_msg("'%.*s' instead of '%s'", (int)v->s.len, (const char *)v->s.p, expected);
    }
}

/* ---- encoding ---- */

/* The bytes that every ledger ever written rests on. */
static void test_value__golden(void **state)
{
    static const struct id id = {{0x01, 0x90, 0, 0, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, 1}};
    struct value v;

    (void)state;
    v = value_null();
    assert_bytes(&v, "00");
    v = value_int(0);
    assert_bytes(&v, "0100");
    v = value_int(1);
    assert_bytes(&v, "0102");
    v = value_int(-1);
    assert_bytes(&v, "0101");
    v = value_int(123456);
    assert_bytes(&v, "018089" "0f");
    v = text("路灯");
    assert_bytes(&v, "0206e8b7afe781af");
    v = text("");
    assert_bytes(&v, "0200");
    v = text("2026-03-05");
    assert_bytes(&v, "020a323032362d30332d3035");
    v = set("city,county");
    assert_bytes(&v, "030b636974792c636f756e7479");
    v = value_id(&id);
    assert_bytes(&v, "0410" "01900000000070008000000000000001");
    v = (struct value){.type = V_IDS, .s = {id.b, 16}};
    assert_bytes(&v, "0510" "01900000000070008000000000000001");
    v = (struct value){.type = V_SEALED, .s = {id.b, 3}};
    assert_bytes(&v, "0603019000");
    v = (struct value){.type = V_ERASED};
    assert_bytes(&v, "07");
}

/* Every form that is not the canonical one is refused. */
static void test_value__refuses_other_forms(void **state)
{
    (void)state;
    assert_true(decodes("0303612c62"));
    assert_false(decodes("0303622c61"));                           /* not sorted */
    assert_false(decodes("0303612c61"));                           /* twice */
    assert_false(decodes("0302612c"));                             /* dangling comma */
    assert_false(decodes("03022c61"));                             /* empty element */
    assert_false(decodes("0300"));                                 /* empty set is null */
    assert_false(decodes("0500"));                                 /* empty ids are null */
    assert_false(decodes("0202c328"));                             /* not UTF-8 */
    assert_false(decodes("050161"));                               /* not whole ids */
    assert_false(decodes("040161"));                               /* short id */
    assert_false(decodes("08"));                                   /* unknown type */
    assert_false(decodes("0205e8b7"));                             /* cut */
    assert_false(decodes("01"));                                   /* no number */
}

static void test_value__equality(void **state)
{
    struct value a = text("1"), b = value_int(1), c = text("1"), n = value_null();
    struct value sealed = {.type = V_SEALED, .s = a.s};

    (void)state;
    assert_true(value_eq(&a, &c));
    assert_false(value_eq(&a, &b));
    assert_false(value_eq(&a, &n));
    assert_true(value_eq(&n, &n));
    assert_false(value_eq(&sealed, &sealed));
}

/* ---- sets ---- */

static void assert_apply(const char *old, const char *add, const char *del, const char *expected)
{
    struct arena a;
    struct value o = set(old), p = set(add), m = set(del), now;

    arena_init(&a, 4096);
    assert_int_equal(value_set_apply(&a, &o, &p, &m, &now), 0);
    assert_value(&now, expected);
    arena_release(&a);
}

/* (old without del) with add: an element that is both added and removed stays. */
static void test_value__set_apply(void **state)
{
    (void)state;
    assert_apply("", "", "", "");
    assert_apply("", "a", "", "a");
    assert_apply("a,c", "b", "", "a,b,c");
    assert_apply("a,b,c", "", "b", "a,c");
    assert_apply("a,b", "", "a,b", "");
    assert_apply("a,b", "b", "b", "a,b");
    assert_apply("b", "a,c", "b,x", "a,c");
}

static void test_value__set_diff(void **state)
{
    struct arena a;
    struct value old = set("a,b,d"), now = set("b,c,d,e"), add, del, back;

    (void)state;
    arena_init(&a, 4096);
    assert_int_equal(value_set_diff(&a, &old, &now, &add, &del), 0);
    assert_value(&add, "c,e");
    assert_value(&del, "a");
    assert_int_equal(value_set_apply(&a, &old, &add, &del, &back), 0);
    assert_true(value_eq(&back, &now));
    arena_release(&a);
}

/* Ids may hold any byte, the comma too. */
static void test_value__ids(void **state)
{
    struct id x = {{','}}, y = {{'z'}};
    struct value one = {.type = V_IDS, .s = {x.b, 16}}, two = {.type = V_IDS, .s = {y.b, 16}};
    struct value both, code = set("a"), nothing;
    struct arena a;

    (void)state;
    arena_init(&a, 4096);
    assert_int_equal(value_set_apply(&a, &two, &one, NULL, &both), 0);
    assert_int_equal(both.s.len, 32);
    assert_int_equal(both.s.p[0], ',');
    assert_true(value_ids_has(&both, &x));
    assert_true(value_ids_has(&both, &y));
    assert_false(value_ids_has(&one, &y));
    assert_int_equal(value_set_apply(&a, &both, &code, NULL, &nothing), E_INVALID);
    arena_release(&a);
}

static void test_value__dup_and_full_arena(void **state)
{
    struct value v = text("abc"), copy;
    struct arena a;
    bool ok;

    (void)state;
    arena_init(&a, 4096);
    copy = value_dup(&a, &v, &ok);
    assert_true(ok && value_eq(&copy, &v) && copy.s.p != v.s.p);
    arena_release(&a);
    arena_init(&a, 0);
    (void)value_dup(&a, &v, &ok);
    assert_false(ok);
    arena_release(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_value__golden),
        cmocka_unit_test(test_value__refuses_other_forms),
        cmocka_unit_test(test_value__equality),
        cmocka_unit_test(test_value__set_apply),
        cmocka_unit_test(test_value__set_diff),
        cmocka_unit_test(test_value__ids),
        cmocka_unit_test(test_value__dup_and_full_arena),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
