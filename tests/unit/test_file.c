/* common/base/file: small files, whole. */
#include "common/base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

struct fixture {
    char dir[64], path[128];
    struct buf read;
    struct err err;
};

static int setup(void **state)
{
    static struct fixture f;

    f = (struct fixture){.dir = "/tmp/test_file.XXXXXX"};
    buf_init(&f.read, 10000);
    *state = &f;
    if (mkdtemp(f.dir) == NULL)
        return -1;
    (void)snprintf(f.path, sizeof f.path, "%s/a", f.dir);
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    buf_release(&f->read);
    (void)unlink(f->path);
    return rmdir(f->dir); /* nothing else may lie there */
}

/* Longer than one piece of reading, and as long as the buffer allows. */
static void test_file__round_trip(void **state)
{
    struct fixture *f = *state;
    static uint8_t bytes[10000];
    struct slice s = {bytes, sizeof bytes};

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 7);
    assert_int_equal(file_write_new(f->path, s, &f->err), 0);
    assert_int_equal(file_read(f->path, &f->read, &f->err), 0);
    assert_true(slice_eq(buf_slice(&f->read), s));
}

static void test_file__an_existing_file_is_left_alone(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(file_write_new(f->path, slice_str("old"), &f->err), 0);
    assert_int_equal(file_write_new(f->path, slice_str("new"), &f->err), E_EXISTS);
    assert_non_null(strstr(f->err.text, f->path));
    assert_int_equal(file_read(f->path, &f->read, &f->err), 0);
    assert_string_equal(buf_cstr(&f->read), "old");
}

static void test_file__missing(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(file_read(f->path, &f->read, &f->err), E_NOTFOUND);
    assert_non_null(strstr(f->err.text, f->path));
    f->err.text[0] = '\0';
    assert_int_equal(file_write_new("/nowhere/at/all", slice_str("x"), &f->err), E_NOTFOUND);
    assert_non_null(strstr(f->err.text, "/nowhere/at/all"));
}

static void test_file__longer_than_allowed(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(file_write_new(f->path, slice_str("four"), &f->err), 0);
    f->read.max = 3;
    assert_int_equal(file_read(f->path, &f->read, &f->err), E_TOOBIG);
    assert_non_null(strstr(f->err.text, f->path));
}

static void test_file__a_folder_cannot_be_read(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(file_read(f->dir, &f->read, &f->err), E_IO);
    assert_int_equal(f->read.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_file__round_trip, setup, teardown),
        cmocka_unit_test_setup_teardown(test_file__an_existing_file_is_left_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_file__missing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_file__longer_than_allowed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_file__a_folder_cannot_be_read, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
