/* A push becomes acts: what is found before the thread that writes sees it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/err.h"
#include "common/base/mem.h"
#include "common/crypto/hash.h"
#include "server/core/prepare.h"

#include <string.h>

#define SITE 431021u
#define N    4u

/* ---- fixture: acts of 1, 2 and 1 changes, each of one field ---- */

struct fixture {
    struct field_change fields[N];
    struct push_item items[N];
    struct buf bytes[N];
    uint8_t chain[HASH_SIZE], before[HASH_SIZE];
    struct arena a;
};

static void put_item(struct fixture *f, size_t i, uint32_t pos, uint32_t len)
{
    struct change *c = &f->items[i].change;

    f->fields[i] = (struct field_change){.tag = 5, .form = FORM_SET, .v = value_str("visit")};
    *c = (struct change){.n = i + 1, .stream = SITE, .act_pos = pos, .act_len = len,
                         .actor = {{7}}, .kind = catalogue_kind_named("opinion")->tag, .op = OP_SET,
                         .fields = &f->fields[i], .n_fields = 1};
    buf_init(&f->bytes[i], 4096);
    change_encode(&f->bytes[i], c);
    f->items[i].bytes = buf_slice(&f->bytes[i]);
}

static int setup(void **state)
{
    struct fixture *f = mem_calloc(1, sizeof *f);

    arena_init(&f->a, 1u << 20);
    put_item(f, 0, 0, 1);
    put_item(f, 1, 0, 2);
    put_item(f, 2, 1, 2);
    put_item(f, 3, 0, 1);
    memset(f->chain, 3, HASH_SIZE);
    memcpy(f->before, f->chain, HASH_SIZE);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < N; i++)
        buf_release(&f->bytes[i]);
    arena_release(&f->a);
    mem_free(f);
    return 0;
}

static int prepare(struct fixture *f, struct act **ret_acts, size_t *ret_n)
{
    return push_prepare(&f->a, hasher_of(HASH_SM3), f->chain, f->items, N, SITE, ret_acts, ret_n);
}

/* ---- tests ---- */

/* Acts in order, the chain running through all of them, each hash of its own bytes. */
static void test_prepare__acts_and_chain(void **state)
{
    static const size_t lens[] = {1, 2, 1};
    const struct hasher *h = hasher_of(HASH_SM3);
    struct fixture *f = *state;
    uint8_t hash[HASH_SIZE];
    struct act *acts;
    size_t n, at = 0;

    assert_int_equal(prepare(f, &acts, &n), 0);
    assert_int_equal(n, 3);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(acts[i].n, lens[i]);
        assert_true(acts[i].values_good);
        assert_int_equal(acts[i].actor.site, SITE);
        assert_int_equal(acts[i].actor.side, SIDE_COUNTY);
        assert_memory_equal(acts[i].chains[0], f->before, HASH_SIZE);
        for (size_t k = 0; k < lens[i]; k++, at++) {
            change_hash(h, f->items[at].bytes, hash);
            assert_memory_equal(acts[i].hashes[k], hash, HASH_SIZE);
            own_chain_next(h, f->before, hash);
            assert_memory_equal(acts[i].chains[k + 1], f->before, HASH_SIZE);
        }
    }
    assert_memory_equal(f->chain, f->before, HASH_SIZE);
}

/* A value that may not be good is left to the judge, who has the words for it. */
static void test_prepare__values_left_to_the_judge(void **state)
{
    static const struct {
        uint32_t kind, tag;
        enum field_form form;
        const char *text;
        bool good;
    } cases[] = {
        {0, 5, FORM_SET, "visit", true},  {0, 5, FORM_SET, "nonsense", false},
        {0, 99, FORM_SET, "visit", false}, {0, 5, FORM_DELTA, "visit", false},
        {9999, 5, FORM_SET, "visit", false},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct act *acts;
        size_t n;

        f->fields[2] = (struct field_change){
            .tag = cases[i].tag, .form = cases[i].form, .v = value_str(cases[i].text)};
        f->items[2].change.kind =
            cases[i].kind != 0 ? cases[i].kind : catalogue_kind_named("opinion")->tag;
        assert_int_equal(prepare(f, &acts, &n), 0);
        assert_true(acts[0].values_good && acts[2].values_good);
        assert_int_equal(acts[1].values_good, cases[i].good);
    }
}

/* `system` acts at the city only; a value beside the bytes is the one they commit to. */
static void test_prepare__refused_whole(void **state)
{
    struct fixture *f = *state;
    struct act *acts = NULL;
    size_t n = 77;

    f->fields[3] = (struct field_change){.tag = 12, .form = FORM_HASHED, .v = value_str("路灯")};
    assert_int_equal(prepare(f, &acts, &n), E_MALFORMED);
    f->fields[3].v = (struct value){.type = V_ERASED};
    assert_int_equal(prepare(f, &acts, &n), 0);
    acts = NULL;
    n = 77;
    memset(&f->items[2].change.actor, 0, ID_SIZE);
    assert_int_equal(prepare(f, &acts, &n), E_DENIED);
    assert_null(acts);
    assert_int_equal(n, 77);
}

/* Whatever piece of memory is missing, it is said to be memory. */
static void test_prepare__memory_out(void **state)
{
    struct fixture *f = *state;
    size_t needed, refused = 0;
    struct act *acts;
    size_t n;

    assert_int_equal(prepare(f, &acts, &n), 0);
    needed = f->a.used;
    for (size_t max = 0; max < needed; max += 16) {
        arena_release(&f->a);
        arena_init(&f->a, max);
        assert_int_equal(prepare(f, &acts, &n), E_NOMEM);
        refused++;
    }
    assert_true(refused > 5);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_prepare__##name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(acts_and_chain),
        TEST(values_left_to_the_judge),
        TEST(refused_whole),
        TEST(memory_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
