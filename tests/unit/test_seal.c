#include "common/crypto/hash.h"
#include "common/crypto/seal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    char dir[32];
    char path[64];
    struct buf sealed, opened;
    struct random_seeded seed;
    struct random random;
    struct seal_key key;
    uint8_t nonce[SEAL_NONCE_SIZE];
};

static int setup(void **state)
{
    struct fixture *f = test_calloc(1, sizeof *f);

    strcpy(f->dir, "/tmp/ztc-seal-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof f->path, "%s/key", f->dir);
    buf_init(&f->sealed, 4096);
    buf_init(&f->opened, 4096);
    f->random = random_seeded_init(&f->seed, 7);
    random_fill(&f->random, f->key.b, sizeof f->key.b);
    seal_nonce(&f->key, slice_str("seed"), f->nonce);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    buf_release(&f->sealed);
    buf_release(&f->opened);
    unlink(f->path);
    assert_int_equal(rmdir(f->dir), 0); /* no temporary file is left */
    test_free(f);
    return 0;
}

static void seal_text(struct fixture *f, const char *aad, const char *text)
{
    buf_clear(&f->sealed);
    assert_int_equal(seal(&f->key, f->nonce, slice_str(aad), slice_str(text), &f->sealed), 0);
}

static int open_text(struct fixture *f, const char *aad)
{
    buf_clear(&f->opened);
    return seal_open(&f->key, slice_str(aad), buf_slice(&f->sealed), &f->opened);
}

static void write_file(const char *path, const char *text, mode_t mode)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    assert_int_equal(chmod(path, mode), 0);
}

/* What is sealed opens again, the empty text too, and has exactly the promised length. */
static void test_seal__round_trip(void **state)
{
    struct fixture *f = *state;

    seal_text(f, "replica 1 n 2", "身份证号");
    assert_int_equal(f->sealed.len, SEAL_NONCE_SIZE + strlen("身份证号") + SEAL_TAG_SIZE);
    assert_int_equal(open_text(f, "replica 1 n 2"), 0);
    assert_true(slice_eq(buf_slice(&f->opened), slice_str("身份证号")));
    seal_text(f, "", "");
    assert_int_equal(open_text(f, ""), 0);
    assert_int_equal(f->opened.len, 0);
}

/* NIST's AES-256-GCM test case 14: key, nonce and text all zero. */
static void test_seal__matches_the_standard(void **state)
{
    struct fixture *f = *state;
    const uint8_t zero[16] = {0};
    const uint8_t expected[32] = {0xce, 0xa7, 0x40, 0x3d, 0x4d, 0x60, 0x6b, 0x6e, 0x07, 0x4e, 0xc5,
                                  0xd3, 0xba, 0xf3, 0x9d, 0x18, 0xd0, 0xd1, 0xc8, 0xa7, 0x99, 0x99,
                                  0x6b, 0xf0, 0x26, 0x5b, 0x98, 0xb5, 0xd4, 0x8a, 0xb9, 0x19};

    memset(&f->key, 0, sizeof f->key);
    assert_int_equal(seal(&f->key, zero, (struct slice){0}, (struct slice){zero, 16}, &f->sealed),
                     0);
    assert_memory_equal(f->sealed.p + SEAL_NONCE_SIZE, expected, sizeof expected);
}

/* Every changed bit, another key, another AAD and every cut are noticed; nothing is appended. */
static void test_seal__changes_are_noticed(void **state)
{
    struct fixture *f = *state;

    seal_text(f, "aad", "text");
    for (size_t i = 0; i < 8 * f->sealed.len; i++) {
        f->sealed.p[i / 8] ^= (uint8_t)(1 << i % 8);
        assert_int_equal(open_text(f, "aad"), E_CORRUPT);
        assert_int_equal(f->opened.len, 0);
        f->sealed.p[i / 8] ^= (uint8_t)(1 << i % 8);
    }
    assert_int_equal(open_text(f, "aae"), E_CORRUPT);
    for (size_t len = 0; len < f->sealed.len; len++)
        assert_int_equal(seal_open(&f->key, slice_str("aad"), (struct slice){f->sealed.p, len},
                                   &f->opened),
                         E_CORRUPT);
    f->key.b[0] ^= 1;
    assert_int_equal(open_text(f, "aad"), E_CORRUPT);
}

/* A full buffer refuses, and keeps what was in it. */
static void test_seal__full_buffer(void **state)
{
    struct fixture *f = *state;
    struct buf small;

    buf_init(&small, 20);
    assert_int_equal(seal(&f->key, f->nonce, (struct slice){0}, slice_str("text"), &small),
                     E_TOOBIG);
    assert_int_equal(small.len, 0);
    buf_release(&small);
}

/* The nonce depends on seed and key, and on nothing else. */
static void test_seal__nonce_is_a_function_of_key_and_seed(void **state)
{
    struct fixture *f = *state;
    uint8_t again[SEAL_NONCE_SIZE], other[SEAL_NONCE_SIZE];

    seal_nonce(&f->key, slice_str("seed"), again);
    assert_memory_equal(again, f->nonce, SEAL_NONCE_SIZE);
    seal_nonce(&f->key, slice_str("seee"), other);
    assert_memory_not_equal(other, f->nonce, SEAL_NONCE_SIZE);
    f->key.b[31] ^= 1;
    seal_nonce(&f->key, slice_str("seed"), other);
    assert_memory_not_equal(other, f->nonce, SEAL_NONCE_SIZE);
}

/* A missing key is made once, private, and read back the same. */
static void test_seal__key_is_made_once(void **state)
{
    struct fixture *f = *state;
    struct seal_key first, second;
    struct stat st;

    assert_int_equal(seal_key_load(f->path, false, &f->random, &first, NULL), E_NOTFOUND);
    assert_int_equal(seal_key_load(f->path, true, &f->random, &first, NULL), 0);
    assert_int_equal(seal_key_load(f->path, true, &f->random, &second, NULL), 0);
    assert_memory_equal(&first, &second, sizeof first);
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

/* A key that others can read, or that is not a key, is refused with a sentence. */
static void test_seal__bad_key_files(void **state)
{
    struct fixture *f = *state;
    struct seal_key key;
    struct err err = {0};
    static const char good[] = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n";

    write_file(f->path, good, 0644);
    assert_int_equal(seal_key_load(f->path, true, &f->random, &key, &err), E_DENIED);
    assert_non_null(strstr(err.text, "0600"));
    write_file(f->path, good, 0600);
    assert_int_equal(seal_key_load(f->path, true, &f->random, &key, &err), 0);
    assert_int_equal(key.b[31], 0x1f);
    write_file(f->path, "0001\n", 0600);
    assert_int_equal(seal_key_load(f->path, true, &f->random, &key, &err), E_MALFORMED);
    write_file(f->path, "", 0600);
    assert_int_equal(seal_key_load(f->path, true, &f->random, &key, &err), E_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_seal__round_trip, setup, teardown),
        cmocka_unit_test_setup_teardown(test_seal__matches_the_standard, setup, teardown),
        cmocka_unit_test_setup_teardown(test_seal__changes_are_noticed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_seal__full_buffer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_seal__nonce_is_a_function_of_key_and_seed, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_seal__key_is_made_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_seal__bad_key_files, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
