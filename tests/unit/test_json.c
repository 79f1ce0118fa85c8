/* common/base/json: text that every reader of JSON takes. */
#include "common/base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

struct fixture {
    struct buf out;
    struct json json;
};

static int setup(void **state)
{
    static struct fixture f;

    buf_init(&f.out, 4096);
    json_init(&f.json, &f.out);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    buf_release(&f->out);
    return 0;
}

/* Commas are placed between items and nowhere else, at every depth. */
static void test_json__commas(void **state)
{
    struct fixture *f = *state;
    struct json *j = &f->json;

    json_array(j);
    json_object(j);
    json_object_end(j);
    json_object(j);
    json_key(j, "a");
    json_array(j);
    json_array_end(j);
    json_kv_int(j, "b", -1);
    json_key(j, "c");
    json_object(j);
    json_kv_bool(j, "d", true);
    json_kv_str(j, "e", NULL);
    json_object_end(j);
    json_object_end(j);
    json_null(j);
    json_bool(j, false);
    json_array_end(j);
    assert_string_equal(buf_cstr(&f->out),
                        "[{},{\"a\":[],\"b\":-1,\"c\":{\"d\":true,\"e\":null}},null,false]");
}

/* Integers are written whole, to the last one. */
static void test_json__integers(void **state)
{
    struct fixture *f = *state;
    struct json *j = &f->json;

    json_array(j);
    json_int(j, INT64_MIN);
    json_int(j, INT64_MAX);
    json_uint(j, UINT64_MAX);
    json_array_end(j);
    assert_string_equal(buf_cstr(&f->out),
                        "[-9223372036854775808,9223372036854775807,18446744073709551615]");
}

/* Quotes, backslashes and control characters are escaped; Chinese and the slash stay. */
static void test_json__escapes(void **state)
{
    struct fixture *f = *state;

    json_str(&f->json, "\"\\/\n\r\t\x01\x1f\x7f郴州𠮷");
    assert_string_equal(buf_cstr(&f->out), "\"\\\"\\\\/\\n\\r\\t\\u0001\\u001f\\u007f郴州𠮷\"");
}

/* Keys are escaped like any text; a NUL inside a slice is written out. */
static void test_json__keys_and_nul(void **state)
{
    struct fixture *f = *state;

    json_object(&f->json);
    json_key(&f->json, "a\"b");
    json_text(&f->json, (struct slice){(const uint8_t *)"x\0y", 3});
    json_object_end(&f->json);
    assert_string_equal(buf_cstr(&f->out), "{\"a\\\"b\":\"x\\u0000y\"}");
}

/* Empty text, with an address or without, is an empty string. */
static void test_json__empty_text(void **state)
{
    struct fixture *f = *state;

    json_array(&f->json);
    json_str(&f->json, "");
    json_text(&f->json, (struct slice){NULL, 0});
    json_array_end(&f->json);
    assert_string_equal(buf_cstr(&f->out), "[\"\",\"\"]");
}

/* As deep as it goes, and back. */
static void test_json__depth(void **state)
{
    struct fixture *f = *state;

    for (int i = 1; i < JSON_DEPTH; i++)
        json_array(&f->json);
    json_int(&f->json, 1);
    json_int(&f->json, 2);
    for (int i = 1; i < JSON_DEPTH; i++)
        json_array_end(&f->json);
    assert_int_equal(f->out.len, 2 * (JSON_DEPTH - 1) + 3);
    assert_int_equal(f->json.depth, 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_json__commas),       TEST(test_json__integers),   TEST(test_json__escapes),
        TEST(test_json__keys_and_nul), TEST(test_json__empty_text), TEST(test_json__depth),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
