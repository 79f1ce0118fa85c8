/* What a city that was put back takes from its counties again: acts that were released since, numbers that were
 * given out, and what is kept sealed meanwhile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/store/city_recover.h"
#include "tests/lib/stores.h"

#include <sqlite3.h>
#include <string.h>

#define ENTRIES_MAX 64u

/* ---- fixture: a copy of the city is kept; what comes later is handed back by A ---- */

struct fixture {
    struct stores s;
    struct disk *copy;
    struct refilled entries[ENTRIES_MAX];
    size_t n;
    uint64_t from;
    struct slice head, signature;
    struct id studio; /* made after the copy */
};

static int retire_b(struct stores *s, struct err *err)
{
    return city_replica_set_state(s->city, &s->replica[AT_B], REPLICA_RETIRED, err);
}

static void take_copy(struct fixture *f)
{
    struct stores *s = &f->s;
    struct slice head, signature;

    assert_int_equal(disk_copy(f->copy, s->disks[AT_CITY]), 0);
    MUST(s, city_head(s->city, STORES_SITE, &head, &signature, &f->from));
    f->from++;
}

/* Both know an opinion. */
static int setup_both(void **state)
{
    struct fixture *f = test_calloc(1, sizeof *f);
    struct stores *s = &f->s;

    stores_begin(s);
    f->copy = disk_new("copy");
    MUST(s, stores_write_opinion(s, AT_A, &s->opinion[0], &s->err));
    stores_sync(s, AT_A);
    stores_sync(s, AT_B);
    take_copy(f);
    *state = s;
    return 0;
}

/* And B is retired, and the city keeps another opinion of its, and a change of that, aside. */
static int setup(void **state)
{
    struct fixture *f;
    struct stores *s;

    (void)setup_both(state);
    f = *state;
    s = &f->s;
    MUST(s, stores_group(s, retire_b, &s->err));
    MUST(s, stores_write_opinion(s, AT_B, &s->opinion[1], &s->err));
    MUST(s, stores_write(s, AT_B, "opinion", OP_SET, &s->opinion[1], "", PAIRS("title", "改过"), &s->err));
    stores_load(s, AT_B);
    MUST(s, stores_push(s, AT_B, &s->err));
    take_copy(f);
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    stores_end(&f->s);
    disk_free(f->copy);
    test_free(f);
    return 0;
}

/* ---- words ---- */

static struct slice copy(struct fixture *f, struct slice in)
{
    return (struct slice){arena_dup(&f->s.arena, in.p, in.len), in.len};
}

static int keep(void *ctx, const struct entry *e)
{
    struct fixture *f = ctx;

    assert_true(f->n < ENTRIES_MAX);
    f->entries[f->n++] = (struct refilled){.received_at = e->received_at,
                                           .verdict = copy(f, e->verdict),
                                           .bytes = copy(f, e->bytes),
                                           .side = copy(f, e->side)};
    return 0;
}

static int restart(struct stores *s, struct err *err)
{
    return city_restart(s->city, "磁盘损坏", err);
}

static int close_recovery(struct stores *s, struct err *err)
{
    return city_recover_close(s->city, "wang", err);
}

/* The city's disk is lost, and its copy lives on. */
static void put_back(struct fixture *f)
{
    struct stores *s = &f->s;
    struct city_options o;
    uint64_t seq;

    MUST(s, store_entry_each(city_store(s->city), STORES_SITE, f->from, keep, f, &s->err));
    MUST(s, city_head(s->city, STORES_SITE, &f->head, &f->signature, &seq));
    f->head = copy(f, f->head);
    f->signature = copy(f, f->signature);
    city_close(s->city);
    s->city = NULL;
    assert_int_equal(disk_copy(s->disks[AT_CITY], f->copy), 0);
    o = stores_city_options(s);
    MUST(s, city_open("city/city.db", &o, &s->city, &s->err));
    MUST(s, stores_group(s, restart, &s->err));
}

/* A's word for all that is lost. */
static uint64_t refill(struct fixture *f)
{
    struct stores *s = &f->s;
    uint64_t taken = 0;
    int word = 0;

    MUST(s, city_begin(s->city, s->now, &s->err));
    MUST(s, city_refill_put(s->city, &s->replica[AT_A], STORES_SITE, f->from, f->entries, f->n, &s->err));
    MUST(s, city_refill_take(s->city, &s->replica[AT_A], STORES_SITE, f->from, f->head, f->signature, &taken, &word,
                             &s->err));
    MUST(s, city_commit(s->city, &s->err));
    assert_int_equal(word, 0);
    return taken;
}

static int release(struct stores *s, struct err *err)
{
    uint64_t n;

    return city_quarantine_release(s->city, &s->replica[AT_B], 0, &n, err);
}

static int count_kept(void *ctx, const struct quarantined *q)
{
    (void)q;
    ++*(unsigned *)ctx;
    return 0;
}

static unsigned kept(struct stores *s)
{
    unsigned n = 0;

    MUST(s, city_quarantine_each(s->city, count_kept, &n, &s->err));
    return n;
}

static int count_refusal(void *ctx, const struct refusal *r)
{
    (void)r;
    ++*(unsigned *)ctx;
    return 0;
}

static unsigned refusals_of_b(struct stores *s)
{
    unsigned n = 0;

    MUST(s, city_refusals(s->city, &s->replica[AT_B], 0, count_refusal, &n, &s->err));
    return n;
}

static const char *title_of(struct stores *s, const struct id *id)
{
    struct row *row;
    struct slice text;

    MUST(s, store_row_get(city_store(s->city), &s->arena, catalogue_kind_named("opinion"), id, &row, &s->err));
    if (row == NULL)
        return "";
    text = row_text(row, "title");
    return arena_strndup(&s->arena, text.p, text.len);
}

static const char *make_studio(struct stores *s)
{
    struct id id = {{0}};
    struct row *row;
    struct slice serial;

    MUST(s, city_begin(s->city, s->now, &s->err));
    MUST(s, stores_act(s, "studio", OP_CREATE, &id, "operating", STORES_SITE,
                       PAIRS("name", "第2026-0099号委员工作室", "level", "county"), &s->err));
    MUST(s, city_commit(s->city, &s->err));
    MUST(s, store_row_get(city_store(s->city), &s->arena, catalogue_kind_named("studio"), &id, &row, &s->err));
    serial = row_get(row, TAG_SERIAL)->s;
    return arena_strndup(&s->arena, serial.p, serial.len);
}

/* ---- in their places ---- */

/* The copy still keeps aside what a person has released since: with its entries the refusals go, and it is not
 * released a second time. */
static void test_city_refill__released_since_the_copy(void **state)
{
    struct fixture *f = *state;
    struct stores *s = &f->s;
    struct replica_row before, after;

    MUST(s, city_replica_get(s->city, &s->replica[AT_B], &before, &s->err));
    MUST(s, stores_group(s, release, &s->err));
    put_back(f);
    assert_int_equal(kept(s), 2);
    assert_string_equal(title_of(s, &s->opinion[1]), "");
    assert_int_equal(refill(f), f->n);
    assert_int_equal(kept(s), 0);
    assert_int_equal(refusals_of_b(s), 0);
    assert_string_equal(title_of(s, &s->opinion[1]), "改过");
    MUST(s, city_replica_get(s->city, &s->replica[AT_B], &after, &s->err));
    assert_int_equal(after.accepted_n, before.accepted_n);
    assert_memory_equal(after.own_chain, before.own_chain, HASH_SIZE);
    MUST(s, city_verify(s->city, &s->err));
}

/* No number is given out twice: series go on above what comes back, and nobody's text makes one. */
static void test_city_refill__numbers_go_on(void **state)
{
    static const char *const names[] = {"甲-123", "-20260001", "20260001", "乙-1234567890123", "丙-丁0001",
                                        "很长很长很长很长很长很长的名字-0007", "", "-"};
    struct fixture *f = *state;
    struct stores *s = &f->s;
    struct id member;
    const char *first, *second;

    first = make_studio(s);
    MUST(s, city_begin(s->city, s->now, &s->err));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        member = (struct id){{0}};
        MUST(s, stores_act(s, "member", OP_CREATE, &member, "", STORES_SITE,
                           PAIRS("name", "何委员", "level", "县级", "unit_title", names[i][0] != '\0' ? names[i] : "医师",
                                 "status", "在任"),
                           &s->err));
    }
    MUST(s, city_commit(s->city, &s->err));
    put_back(f);
    assert_int_equal(refill(f), f->n);
    MUST(s, stores_group(s, close_recovery, &s->err));
    second = make_studio(s);
    assert_int_equal(strncmp(first, second, strlen(first) - 1), 0);
    assert_int_equal(second[strlen(second) - 1], first[strlen(first) - 1] + 1);
    MUST(s, city_verify(s->city, &s->err));
}

/* ---- late ---- */

/* After the close the city's own acts are not appended again, and a county's only once. */
static void test_city_refill__late_once(void **state)
{
    struct fixture *f = *state;
    struct stores *s = &f->s;

    MUST(s, stores_write(s, AT_A, "opinion", OP_SET, &s->opinion[0], "", PAIRS("title", "改过"), &s->err));
    stores_sync(s, AT_A);
    (void)make_studio(s);
    put_back(f);
    MUST(s, stores_group(s, close_recovery, &s->err));
    assert_int_equal(refill(f), 1);
    assert_string_equal(title_of(s, &s->opinion[0]), "改过");
    assert_int_equal(refill(f), 0);
    MUST(s, city_verify(s->city, &s->err));
}

static int count_row(void *ctx, struct row *row)
{
    (void)row;
    ++*(unsigned *)ctx;
    return 0;
}

static unsigned conflicts(struct stores *s)
{
    unsigned n = 0;

    MUST(s, store_row_each(city_store(s->city), catalogue_kind_named("conflict"), count_row, &n, &s->err));
    return n;
}

static void set_title(struct stores *s, int at, const char *title)
{
    MUST(s, stores_write(s, at, "opinion", OP_SET, &s->opinion[0], "", PAIRS("title", title), &s->err));
    stores_sync(s, AT_A);
    stores_sync(s, AT_B);
    stores_sync(s, AT_A);
}

/* Whoever overwrote saw what he overwrote, and that is so again when it all comes late: the last word stands. */
static void test_city_refill__late_in_turn(void **state)
{
    struct fixture *f = *state;
    struct stores *s = &f->s;

    set_title(s, AT_A, "一");
    set_title(s, AT_B, "二");
    set_title(s, AT_A, "三");
    assert_int_equal(conflicts(s), 0);
    put_back(f);
    MUST(s, stores_group(s, close_recovery, &s->err));
    assert_int_equal(refill(f), 3);
    assert_string_equal(title_of(s, &s->opinion[0]), "三");
    assert_int_equal(conflicts(s), 0);
    MUST(s, city_verify(s->city, &s->err));
}

/* Where somebody has worked since the close it is not known who saw what: what meets is a conflict. */
static void test_city_refill__late_among_new_work(void **state)
{
    struct fixture *f = *state;
    struct stores *s = &f->s;

    set_title(s, AT_A, "一");
    set_title(s, AT_B, "二");
    put_back(f);
    MUST(s, stores_group(s, close_recovery, &s->err));
    (void)make_studio(s);
    assert_int_equal(refill(f), 2);
    assert_string_equal(title_of(s, &s->opinion[0]), "一");
    assert_int_equal(conflicts(s), 1);
    MUST(s, city_verify(s->city, &s->err));
}

/* ---- kept aside ---- */

static int seal_fails(void *ctx, struct slice plain, struct slice seed, struct buf *out)
{
    (void)ctx;
    (void)plain;
    (void)seed;
    (void)out;
    return E_INTERNAL;
}

/* What cannot be sealed is not kept in the clear. */
static void test_city_refill__cannot_be_sealed(void **state)
{
    struct fixture *f = *state;
    struct stores *s = &f->s;
    sqlite3_stmt *st;

    MUST(s, stores_write_opinion(s, AT_A, &s->opinion[2], &s->err));
    stores_sync(s, AT_A);
    put_back(f);
    s->vault.seal = seal_fails;
    MUST(s, city_begin(s->city, s->now, &s->err));
    assert_int_equal(city_refill_put(s->city, &s->replica[AT_A], STORES_SITE, f->from, f->entries, f->n, &s->err),
                     E_INTERNAL);
    assert_int_equal(sqlite3_prepare_v2(store_db(city_store(s->city)), "SELECT 1 FROM refill", -1, &st, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(st), SQLITE_DONE);
    assert_int_equal(sqlite3_finalize(st), SQLITE_OK);
    city_rollback(s->city);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_city_refill__##name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(released_since_the_copy),
        TEST(numbers_go_on),
        TEST(late_once),
        cmocka_unit_test_setup_teardown(test_city_refill__late_in_turn, setup_both, teardown),
        cmocka_unit_test_setup_teardown(test_city_refill__late_among_new_work, setup_both, teardown),
        TEST(cannot_be_sealed),
    };

    return disk_vfs_register() != 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
