/* What the ledger's store is asked, and what it says where a statement or memory fails: each question at
 * each place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/crypto/hash.h"
#include "common/ledger/digest_list.h"
#include "common/ledger/ranges.h"
#include "tests/lib/trip.h"

#include "ledger_fixture.h"

#include <sqlite3.h>
#include <stdio.h>

#define MANY 200u /* more rows than are told one by one, and than a range has parts */

/* ---- fixture: some more rows ---- */

static struct id nth(unsigned i)
{
    struct id id = fixture_id((uint8_t)i);

    id.b[3] = 9;
    return id;
}

static int set_up(void **state)
{
    struct ledger_fixture *f;

    if (fixture_set_up(state) != 0)
        return -1;
    f = *state;
    for (unsigned i = 0; i < MANY; i++) {
        struct row *row = fixture_row(f, "tracking", nth(i), NULL);

        fixture_put(row, "node", value_str("办理"));
        assert_int_equal(store_row_put(f->store, row, &f->err), 0);
    }
    return 0;
}

static const struct kind *kind_of(const char *name)
{
    return catalogue_kind_named(name);
}

/* ---- names of records ---- */

static int resolve(struct ledger_fixture *f, const char *kind, const char *name, struct row **ret)
{
    f->err = (struct err){.ret = 0};
    return store_resolve(f->store, &f->arena, kind == NULL ? NULL : kind_of(kind), slice_str(name),
                         ret, &f->err);
}

static void test_store_reads__names(void **state)
{
    static const struct {
        const char *kind, *name;
        int ret;
        const char *found; /* the kind's name */
    } cases[] = {
        {NULL, "GY-WY-2026-0001", 0, "member"},
        {"member", "GY-WY-2026-0001", 0, "member"},
        {"opinion", "GY-WY-2026-0001", E_NOTFOUND, NULL},
        {NULL, "GY-WY-2026-0009", E_NOTFOUND, NULL},
        {NULL, "GY-XX-2026-0001", E_NOTFOUND, NULL}, /* a prefix of no kind */
        {NULL, "GY", E_NOTFOUND, NULL},              /* neither of the two */
        {NULL, "GY-", E_NOTFOUND, NULL},
        {NULL, "01920100-0000-0000-0000-000000000001", 0, "member"},
        {NULL, "01920100", 0, "member"},
        {"studio", "01920400", 0, "studio"},
        {NULL, "01920", E_NOTFOUND, NULL},   /* too short for an id */
        {"tracking", "0192070", 0, "tracking"},
        {"member", "019200", E_NOTFOUND, NULL},
        {NULL, "0192zz", E_NOTFOUND, NULL},
        {NULL, "01920100-0000-0000-0000-0000000000011", E_NOTFOUND, NULL}, /* too long */
        {NULL, "", E_INVALID, NULL},
        {NULL, "\xff", E_INVALID, NULL},
        {NULL, "0123456789012345678901234567890123456789012345678901234567890123456789", E_INVALID,
         NULL},
    };
    struct ledger_fixture *f = *state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct row *row;
        int ret = resolve(f, cases[i].kind, cases[i].name, &row);

        if (ret != cases[i].ret)
            fail_msg("%s: %s", cases[i].name, err_code(ret));
        assert_true((row != NULL) == (ret == 0));
        assert_true(ret == 0 || f->err.text[0] != '\0');
        if (ret == 0)
            assert_string_equal(row->kind->name, cases[i].found);
    }
}

/* A name that two records have is not guessed. */
static void test_store_reads__name_of_two(void **state)
{
    struct ledger_fixture *f = *state;
    struct row *row = fixture_row(f, "member", fixture_id(77), "GY-WY-2026-0001");

    fixture_keep(f, row);
    assert_int_equal(resolve(f, NULL, "GY-WY-2026-0001", &row), E_INVALID);
    assert_null(row);
}

/* ---- ranges ---- */

static int note_id(void *ctx, struct row *row)
{
    struct id *last = ctx;

    *last = row->id;
    return 0;
}

static int no_base(void *ctx, struct arena *a, const struct row *shown, struct row **ret,
                   struct err *err)
{
    (void)a;
    (void)shown;
    (void)err;
    *ret = NULL;
    return *(int *)ctx;
}

/* The whole kind, as the other side would tell it, into LIST. */
static bool told(struct ledger_fixture *f, const char *kind, struct buf *list)
{
    struct row_range range = row_range_all(FIXTURE_SITE, kind_of(kind));
    bool rows;

    buf_clear(list);
    assert_int_equal(store_range_tell(f->store, &range, list, &rows, &f->err), 0);
    return rows;
}

/* Many rows come as sums of parts: the same here, so nothing differs; a row less shows in one part. */
static void test_store_reads__sums_of_parts(void **state)
{
    struct ledger_fixture *f = *state;
    struct row_range range = row_range_all(FIXTURE_SITE, kind_of("tracking"));
    struct digest_sum sums[DIGEST_PARTS_MAX];
    struct digest_part *parts;
    size_t n, differing = 0;
    struct id gone = nth(100);
    struct buf list;

    buf_init(&list, 1u << 16);
    assert_false(told(f, "tracking", &list));
    assert_int_equal(digest_list_parts(&f->arena, buf_slice(&list), &parts, &n), 0);
    assert_int_equal(n, MANY / 2);
    assert_int_equal(store_row_delete(f->store, kind_of("tracking"), &gone, &f->err), 0);
    assert_int_equal(
        store_range_sums(f->store, &range, parts, n, NULL, NULL, sums, &f->err), 0);
    for (size_t i = 0; i < n; i++)
        differing += !digest_sum_eq(&sums[i], &parts[i].of);
    assert_int_equal(differing, 1);
    /* Rows above the last part belong to none. */
    assert_int_equal(store_range_sums(f->store, &range, parts, 1, NULL, NULL, sums, &f->err), 0);
    assert_true(digest_sum_eq(&sums[0], &parts[0].of));
    buf_release(&list);
}

/* Few rows are told one by one: one that only they have, one that only we have, one that is not the same. */
static void test_store_reads__rows_that_differ(void **state)
{
    struct ledger_fixture *f = *state;
    const struct kind *member = kind_of("member");
    struct row_range range = row_range_all(FIXTURE_SITE, member);
    struct id ids[DIGEST_ROWS_MAX], third = fixture_id(3), fourth = fixture_id(8);
    struct digest_of_row *rows;
    struct row *row;
    struct buf list;
    size_t n, n_ids;

    buf_init(&list, 1u << 16);
    assert_true(told(f, "member", &list));
    assert_int_equal(digest_list_rows(&f->arena, buf_slice(&list), &rows, &n), 0);
    assert_int_equal(n, 3);
    assert_int_equal(store_range_differing(f->store, &range, rows, n, NULL, NULL, ids, &n_ids,
                                           &f->err),
                     0);
    assert_int_equal(n_ids, 0);
    assert_int_equal(store_row_delete(f->store, member, &f->member, &f->err), 0);
    assert_int_equal(store_row_delete(f->store, member, &third, &f->err), 0);
    row = fixture_row(f, "member", f->other, "GY-WY-2026-0002");
    fixture_put(row, "name", value_str("王芳芳"));
    fixture_keep(f, row);
    fixture_keep(f, fixture_row(f, "member", fourth, NULL));
    assert_int_equal(store_range_differing(f->store, &range, rows, n, NULL, NULL, ids, &n_ids,
                                           &f->err),
                     0);
    assert_int_equal(n_ids, 4);
    assert_true(id_eq(&ids[0], &f->member) && id_eq(&ids[1], &f->other));
    assert_true(id_eq(&ids[2], &third) && id_eq(&ids[3], &fourth));
    buf_release(&list);
}

/* More than fit are told as many as fit. */
static void test_store_reads__more_differ_than_fit(void **state)
{
    struct ledger_fixture *f = *state;
    struct row_range range = row_range_all(FIXTURE_SITE, kind_of("tracking"));
    struct id ids[DIGEST_ROWS_MAX], first = nth(0);
    size_t n;

    assert_int_equal(
        store_range_differing(f->store, &range, NULL, 0, NULL, NULL, ids, &n, &f->err), 0);
    assert_int_equal(n, DIGEST_ROWS_MAX);
    assert_true(id_eq(&ids[0], &first));
}

/* A pending row counts as the stream has it: here not at all; who cannot say so fails the count. */
static void test_store_reads__pending_rows_have_a_base(void **state)
{
    struct ledger_fixture *f = *state;
    struct row_range range = row_range_all(FIXTURE_SITE, kind_of("opinion"));
    struct digest_part part = {.upto = range.upto};
    struct digest_sum sum;
    struct id ids[DIGEST_ROWS_MAX];
    int fails = 0;
    size_t n;

    assert_int_equal(
        store_range_sums(f->store, &range, &part, 1, no_base, &fails, &sum, &f->err), 0);
    assert_int_equal(sum.count, 0);
    assert_int_equal(
        store_range_differing(f->store, &range, NULL, 0, no_base, &fails, ids, &n, &f->err), 0);
    assert_int_equal(n, 0);
    fails = E_IO;
    assert_int_equal(
        store_range_sums(f->store, &range, &part, 1, no_base, &fails, &sum, &f->err), E_IO);
    assert_int_equal(
        store_range_differing(f->store, &range, NULL, 0, no_base, &fails, ids, &n, &f->err), E_IO);
}

/* ---- copies and checkpoints ---- */

static const char *path_of(struct ledger_fixture *f, const char *name)
{
    return arena_printf(&f->arena, "%s/%s", f->dir, name);
}

/* A copy is a store of the same records; one is never made over a file, nor of what is no database. */
static void test_store_reads__copy(void **state)
{
    struct ledger_fixture *f = *state;
    struct store_options o = {.readonly = true};
    struct store *copy;
    struct row *row;
    FILE *text;

    assert_int_equal(store_copy(path_of(f, "db"), path_of(f, "copy"), &f->err), 0);
    assert_int_equal(store_open(path_of(f, "copy"), &o, &copy, &f->err), 0);
    assert_int_equal(store_row_get(copy, &f->arena, kind_of("member"), &f->member, &row, NULL), 0);
    assert_non_null(row);
    store_close(copy);
    assert_int_equal(store_copy(path_of(f, "db"), path_of(f, "copy"), &f->err), E_IO);
    assert_int_equal(store_copy(path_of(f, "none"), path_of(f, "copy2"), &f->err), E_NOTFOUND);
    text = fopen(path_of(f, "text"), "w");
    assert_non_null(text);
    for (int i = 0; i < 200; i++)
        (void)fputs("no database at all\n", text);
    assert_int_equal(fclose(text), 0);
    assert_int_equal(store_copy(path_of(f, "text"), path_of(f, "copy3"), &f->err), E_CORRUPT);
}

/* Another connection brings the log's pages home; a transaction of the store's own keeps it from beginning
 * anew, which is no failure of what is written. */
static void test_store_reads__checkpoint(void **state)
{
    struct ledger_fixture *f = *state;
    struct store_checkpoint *k;

    assert_int_equal(store_checkpoint_open(f->store, &k, &f->err), 0);
    assert_int_equal(store_meta_put_int(f->store, "n", 1, &f->err), 0);
    assert_true(store_log_pages(f->store) > 0);
    assert_int_equal(store_checkpoint_run(k), 0);
    assert_int_equal(store_checkpoint_rest(f->store), 0);
    assert_int_equal(store_begin(f->store, &f->err), 0);
    assert_int_equal(store_meta_put_int(f->store, "n", 2, &f->err), 0);
    assert_int_equal(store_checkpoint_rest(f->store), E_BUSY);
    store_rollback(f->store);
    store_checkpoint_close(k);
}

/* ---- every place fails ---- */

static int ask_resolve(struct ledger_fixture *f, struct arena *a, struct err *err)
{
    struct row *row;
    int ret = store_resolve(f->store, a, NULL, slice_str("GY-WY-2026-0001"), &row, err);

    return ret == 0 ? store_resolve(f->store, a, kind_of("member"), slice_str("01920200"), &row, err)
                    : ret;
}

static int ask_lists(struct ledger_fixture *f, struct arena *a, struct err *err)
{
    const struct kind *member = kind_of("member");
    struct store_filter by = {kind_field_named(member, "name")->tag, value_str("王芳")};
    struct row **rows;
    struct id last;
    uint64_t n = 0;
    size_t found;
    int ret = store_row_list(f->store, member, &by, 1, FIXTURE_SITE, 1, note_id, &last, err);

    if (ret == 0)
        ret = store_row_each(f->store, member, note_id, &last, err);
    if (ret == 0)
        ret = store_row_after(f->store, member, FIXTURE_SITE, &f->member, note_id, &last, err);
    if (ret == 0)
        ret = store_row_count(f->store, member, &by, 1, 0, &n, err);
    assert_true(ret != 0 || n == 2);
    if (ret == 0)
        ret = store_row_count_unconfirmed(f->store, kind_of("opinion"), NULL, 0, 0, &n, err);
    return ret == 0 ? store_row_find(f->store, a, member, by.tag, &by.v, &rows, &found, err) : ret;
}

static int ask_ranges(struct ledger_fixture *f, struct arena *a, struct err *err)
{
    struct row_range many = row_range_all(FIXTURE_SITE, kind_of("tracking"));
    struct row_range few = row_range_all(FIXTURE_SITE, kind_of("member"));
    struct digest_part part = {.upto = many.upto};
    struct id ids[DIGEST_ROWS_MAX];
    struct digest_sum sum;
    struct buf list;
    bool rows;
    size_t n;
    int ret;

    (void)a;
    buf_init(&list, 1u << 16);
    ret = store_range_tell(f->store, &many, &list, &rows, err);
    if (ret == 0)
        ret = store_range_tell(f->store, &few, &list, &rows, err);
    if (ret == 0)
        ret = store_range_sums(f->store, &many, &part, 1, NULL, NULL, &sum, err);
    if (ret == 0)
        ret = store_range_differing(f->store, &few, NULL, 0, NULL, NULL, ids, &n, err);
    buf_release(&list);
    return ret;
}

static int ask_digests(struct ledger_fixture *f, struct arena *a, struct err *err)
{
    struct digest_count *counts;
    uint8_t hash[HASH_SIZE];
    bool differs = false;
    size_t n;
    int ret = store_projection_digest(f->store, hasher_of(HASH_SM3), hash, err);

    if (ret == 0)
        ret = store_digest_recount(f->store, NULL, NULL, a, &counts, &n, &differs, err);
    assert_true(ret != 0 || differs); /* the fixture's rows were never said to come */
    return ret;
}

static int mend(struct ledger_fixture *f, struct arena *a, struct err *err)
{
    struct digest_count *counts;
    struct digest_kind *kinds;
    uint8_t root[ROOT_SIZE];
    bool differs;
    size_t n;
    int ret = store_begin(f->store, err);

    if (ret != 0)
        return ret;
    ret = store_digest_recount(f->store, NULL, NULL, a, &counts, &n, &differs, err);
    if (ret == 0)
        ret = store_digest_mend(f->store, counts, n, err);
    if (ret == 0)
        ret = store_digest_root(f->store, FIXTURE_SITE, root, err);
    if (ret == 0)
        ret = store_digest_kinds(f->store, FIXTURE_SITE, &kinds, &n, a, err);
    assert_true(ret != 0 || n == 4); /* members, a studio, an opinion, the many */
    if (ret == 0)
        ret = store_digest_clear(f->store, err);
    store_rollback(f->store);
    return ret;
}

static int write_and_undo(struct ledger_fixture *f, struct arena *a, struct err *err)
{
    struct row *row;
    int ret = store_begin(f->store, err);

    if (ret != 0)
        return ret;
    ret = store_row_get(f->store, a, kind_of("opinion"), &f->opinion, &row, err);
    if (ret == 0)
        ret = store_savepoint(f->store, err);
    if (ret == 0)
        ret = store_row_comes(f->store, row, err);
    if (ret == 0)
        ret = store_row_put(f->store, row, err);
    if (ret == 0)
        ret = store_row_leaves(f->store, row, err);
    if (ret == 0)
        ret = store_savepoint_rollback(f->store, err);
    if (ret == 0)
        ret = store_projection_clear(f->store, err);
    store_rollback(f->store);
    return ret;
}

static int open_again(struct ledger_fixture *f, struct arena *a, struct err *err)
{
    struct store_options o = {.readonly = true};
    char path[96];
    struct store *s;
    int ret;

    (void)a;
    (void)snprintf(path, sizeof path, "%s/db", f->dir);
    ret = store_open(path, &o, &s, err);
    assert_true((s != NULL) == (ret == 0));
    store_close(s);
    return ret;
}

static int checkpoint(struct ledger_fixture *f, struct arena *a, struct err *err)
{
    struct store_checkpoint *k;
    int ret = store_checkpoint_open(f->store, &k, err);

    (void)a;
    assert_true((k != NULL) == (ret == 0));
    if (ret == 0)
        store_checkpoint_close(k);
    return ret;
}

struct ask {
    const char *name;
    int (*ask)(struct ledger_fixture *f, struct arena *a, struct err *err);
};

static void sweep(struct ledger_fixture *f, enum trip kind, const struct ask *ask)
{
    unsigned hits = 1;

    for (unsigned n = 1; hits > 0; n += 1 + n / 64) {
        struct err err = {.ret = 0};
        struct arena a;
        int ret;

        arena_init(&a, 8u << 20);
        trip_set(kind, n);
        ret = ask->ask(f, &a, &err);
        hits = trip_hits();
        trip_set(kind, 0);
        arena_release(&a);
        if (ret != 0 && (hits == 0 || ret != (kind == TRIP_MEMORY ? E_NOMEM : E_IO)))
            fail_msg("%s, fault %u of kind %u: %s “%s”", ask->name, n, kind, err_code(ret), err.text);
        if (ret != 0 && (err.ret != ret || err.text[0] == '\0'))
            fail_msg("%s, fault %u of kind %u: told without a sentence", ask->name, n, kind);
    }
}

/* Each is told as it is, unless the question can be answered all the same; asked again it is answered. */
static void test_store_reads__every_place_fails(void **state)
{
    static const struct ask asks[] = {
        {"ask_resolve", ask_resolve},
        {"ask_lists", ask_lists},
        {"ask_ranges", ask_ranges},
        {"ask_digests", ask_digests},
        {"mend", mend},
        {"write_and_undo", write_and_undo},
        {"open_again", open_again},
        {"checkpoint", checkpoint},
    };

    for (size_t i = 0; i < sizeof asks / sizeof *asks; i++) {
        sweep(*state, TRIP_SQL, &asks[i]);
        sweep(*state, TRIP_MEMORY, &asks[i]);
    }
}

/* SQLite rolls back by itself where its disk fails: what is written behind that does not stay. */
static void test_store_reads__nothing_outlasts_its_transaction(void **state)
{
    struct ledger_fixture *f = *state;
    int64_t n;

    assert_int_equal(store_begin(f->store, &f->err), 0);
    assert_int_equal(store_meta_put_int(f->store, "before", 1, &f->err), 0);
    assert_int_equal(sqlite3_exec(store_db(f->store), "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(store_meta_put_int(f->store, "behind", 1, &f->err), E_IO);
    assert_true(store_commit(f->store, &f->err) < 0);
    store_rollback(f->store);
    assert_int_equal(store_meta_number(f->store, "before", 7, &n, &f->err), 0);
    assert_int_equal(n, 7);
    assert_int_equal(store_meta_number(f->store, "behind", 7, &n, &f->err), 0);
    assert_int_equal(n, 7);

    assert_int_equal(store_begin(f->store, &f->err), 0);
    assert_int_equal(store_meta_put_int(f->store, "before", 2, &f->err), 0);
    assert_int_equal(store_commit(f->store, &f->err), 0);
    assert_int_equal(store_meta_number(f->store, "before", 7, &n, &f->err), 0);
    assert_int_equal(n, 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_store_reads__##name, set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(names),
        TEST(name_of_two),
        TEST(sums_of_parts),
        TEST(rows_that_differ),
        TEST(more_differ_than_fit),
        TEST(pending_rows_have_a_base),
        TEST(copy),
        TEST(checkpoint),
        TEST(nothing_outlasts_its_transaction),
        TEST(every_place_fails),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
