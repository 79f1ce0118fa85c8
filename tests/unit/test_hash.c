#include "common/base/hex.h"
#include "common/crypto/hash.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void expect_hash(const char *name, const char *text, const char *hex)
{
    struct slice part = slice_str(text);
    uint8_t hash[HASH_SIZE];
    char got[2 * HASH_SIZE + 1];

    hasher_named(name)->digest(&part, 1, hash);
    hex_encode(hash, sizeof hash, got);
    assert_string_equal(got, hex);
}

/* The vectors of GB/T 32905-2016, annex A. */
static void test_hash__sm3_matches_the_standard(void **state)
{
    char abcd[65] = "";

    (void)state;
    for (int i = 0; i < 16; i++)
        memcpy(abcd + 4 * i, "abcd", 4);
    expect_hash("sm3", "abc", "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0");
    expect_hash("sm3", abcd, "debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732");
}

/* The vectors of FIPS 180-4. */
static void test_hash__sha256_matches_the_standard(void **state)
{
    (void)state;
    expect_hash("sha256", "abc",
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    expect_hash("sha256", "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

/* Parts are hashed as if they were written in one piece; an empty part adds nothing. */
static void test_hash__parts_are_one_message(void **state)
{
    const struct slice whole = slice_str("zhitongche");
    const struct slice parts[] = {slice_str("zhi"), {NULL, 0}, slice_str("tong"), slice_str("che")};
    uint8_t a[HASH_SIZE], b[HASH_SIZE];

    (void)state;
    for (int alg = HASH_SM3; alg <= HASH_SHA256; alg++) {
        hasher_of(alg)->digest(&whole, 1, a);
        hasher_of(alg)->digest(parts, 4, b);
        assert_memory_equal(a, b, HASH_SIZE);
    }
}

/* Names and numbers lead to the same two functions; others to none. */
static void test_hash__lookup(void **state)
{
    (void)state;
    assert_ptr_equal(hasher_of(HASH_SM3), hasher_named("sm3"));
    assert_ptr_equal(hasher_of(HASH_SHA256), hasher_named("sha256"));
    assert_int_equal(hasher_named("sm3")->alg, HASH_SM3);
    assert_null(hasher_of((enum hash_alg)0));
    assert_null(hasher_of((enum hash_alg)3));
    assert_null(hasher_named("SM3"));
    assert_null(hasher_named("md5"));
}

static void *hash_many(void *arg)
{
    uint8_t *hash = arg;
    struct slice part = {hash, HASH_SIZE};

    for (int i = 0; i < 2000; i++)
        hasher_of(i % 2 == 0 ? HASH_SM3 : HASH_SHA256)->digest(&part, 1, hash);
    return NULL;
}

/* Threads do not disturb each other, and leave nothing behind when they end (leak checker). */
static void test_hash__threads_are_independent(void **state)
{
    uint8_t hashes[4][HASH_SIZE] = {{0}};
    pthread_t threads[4];

    (void)state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hash_many, hashes[i]), 0);
    (void)hash_many(hashes[3]);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_memory_equal(hashes[i], hashes[3], HASH_SIZE);
    }
}

/* Two draws differ, and every byte asked for is written. */
static void test_hash__random_system_fills(void **state)
{
    struct random r = random_system();
    uint8_t a[64] = {0}, b[64] = {0};

    (void)state;
    random_fill(&r, a, sizeof a);
    random_fill(&r, b, sizeof b);
    assert_memory_not_equal(a, b, 32);
    assert_memory_not_equal(a + 32, b + 32, 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hash__sm3_matches_the_standard),
        cmocka_unit_test(test_hash__sha256_matches_the_standard),
        cmocka_unit_test(test_hash__parts_are_one_message),
        cmocka_unit_test(test_hash__lookup),
        cmocka_unit_test(test_hash__threads_are_independent),
        cmocka_unit_test(test_hash__random_system_fills),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
