/* Comparing tables with the city: answers that are none, heads that say otherwise, and whose word a row has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "client/store/repair.h"
#include "common/ledger/digest_list.h"
#include "common/ledger/row_code.h"
#include "server/store/tell.h"
#include "tests/lib/stores.h"
#include "tests/lib/toy.h"

#include <sqlite3.h>
#include <string.h>

/* ---- fixture: an opinion is at the city and at both computers ---- */

static int setup(void **state)
{
    struct stores *s = test_calloc(1, sizeof *s);

    stores_begin(s);
    MUST(s, stores_write_opinion(s, AT_A, &s->opinion[0], &s->err));
    stores_sync(s, AT_A);
    stores_sync(s, AT_B);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    stores_end(*state);
    test_free(*state);
    return 0;
}

/* ---- words ---- */

static void harm(struct stores *s, struct store *where, const char *text)
{
    sqlite3_stmt *st;

    assert_int_equal(sqlite3_prepare_v2(store_db(where), text, -1, &st, NULL), SQLITE_OK);
    if (sqlite3_bind_parameter_count(st) > 0)
        assert_int_equal(sqlite3_bind_blob(st, 1, s->opinion[0].b, ID_SIZE, SQLITE_STATIC), SQLITE_OK);
    assert_int_equal(sqlite3_step(st), SQLITE_DONE);
    assert_int_equal(sqlite3_finalize(st), SQLITE_OK);
    assert_true(sqlite3_changes(store_db(where)) > 0);
}

struct asked {
    struct client_digest_ask ask;
    bool more;
};

static struct asked ask_of(const char *kind)
{
    struct asked x = {.ask = {.stream = STORES_SITE, .counted = true}};

    if (kind != NULL)
        x.ask.kind = catalogue_kind_named(kind)->tag;
    return x;
}

static int take_list(struct stores *s, struct asked *x, int form, struct slice list)
{
    Ztc__DigestTell m = ZTC__DIGEST_TELL__INIT;
    struct client_digest_ask ask = x->ask;

    m.seq = 1;
    m.form = (Ztc__DigestTell__Form)form;
    m.list = wire_data(list);
    return replica_digest_step(s->at[AT_B], &ask, &m, NULL, s->now, &x->ask, &x->more, &s->err);
}

static int take_rows(struct stores *s, struct asked *x, const struct slice *rows, size_t n, uint32_t covered)
{
    Ztc__RepairRows m = ZTC__REPAIR_ROWS__INIT;
    ProtobufCBinaryData list[4];
    struct client_digest_ask ask = x->ask;

    for (size_t i = 0; i < n; i++)
        list[i] = wire_data(rows[i]);
    m.seq = 1;
    m.rows = list;
    m.n_rows = n;
    m.covered = covered;
    return replica_digest_step(s->at[AT_B], &ask, NULL, &m, s->now, &x->ask, &x->more, &s->err);
}

/* One question to the city, and its answer. */
static void step(struct stores *s, struct asked *x)
{
    struct tell_ask ask = {.stream = x->ask.stream, .kind = x->ask.kind, .has_after = x->ask.has_after,
                           .has_upto = x->ask.has_upto, .after = x->ask.after, .upto = x->ask.upto,
                           .n_ids = x->ask.n_ids};
    struct server_told told;

    memcpy(ask.ids, x->ask.ids, sizeof ask.ids);
    tell_answer(city_store(s->city), &ask, &s->arena, &told, &s->err);
    assert_int_equal(told.ret, 0);
    if (x->ask.n_ids == 0)
        MUST(s, take_list(s, x, (int)told.form, told.list));
    else
        MUST(s, take_rows(s, x, told.rows, told.n_rows, told.covered));
}

static void repair(struct stores *s)
{
    struct asked x = {.ask = {.stream = STORES_SITE}, .more = true};

    for (unsigned i = 0; x.more; i++) {
        assert_true(i < 32);
        step(s, &x);
    }
}

static int note_how(void *ctx, const struct client_repair *r)
{
    *(uint32_t *)ctx = r->how;
    return 1; /* the newest is enough */
}

/* How the newest repair was done; 0: none was. */
static uint32_t newest_how(struct stores *s)
{
    uint32_t how = 0;
    int ret = replica_repairs(s->at[AT_B], note_how, &how, &s->err);

    assert_int_equal(ret, how != 0);
    return how;
}

static void expect_differs(struct stores *s, bool want)
{
    assert_int_equal(replica_differs(s->at[AT_B], STORES_SITE, NULL, &s->err), want);
}

/* A stands in for a computer that nothing happened to. */
static struct slice row_at_a(struct stores *s, uint32_t stream)
{
    struct row *row;
    struct buf b;
    struct slice ret;

    MUST(s, store_row_get(replica_store(s->at[AT_A]), &s->arena, catalogue_kind_named("opinion"),
                          &s->opinion[0], &row, &s->err));
    row->stream = stream;
    buf_init(&b, 1u << 16);
    row_encode(&b, row);
    ret = (struct slice){arena_dup(&s->arena, b.p, b.len), b.len};
    buf_release(&b);
    return ret;
}

/* ---- answers ---- */

/* A list that is none, and one that answers another question, end the session and change nothing. */
static void test_repair__false_lists(void **state)
{
    struct stores *s = *state;
    struct asked kinds = ask_of(NULL), rows = ask_of("opinion");
    const int KINDS = ZTC__DIGEST_TELL__FORM__KINDS, RANGES = ZTC__DIGEST_TELL__FORM__RANGES,
              ROWS = ZTC__DIGEST_TELL__FORM__ROWS;
    struct digest_part all = {.upto = {{0xff}}};
    struct buf one;

    buf_init(&one, 4096);
    digest_list_part(&one, &all);
    assert_int_equal(take_list(s, &kinds, KINDS, slice_str("?")), E_PROTOCOL);
    assert_int_equal(take_list(s, &kinds, ROWS, slice_str("")), E_PROTOCOL);
    assert_int_equal(take_list(s, &rows, KINDS, slice_str("")), E_PROTOCOL);
    assert_int_equal(take_list(s, &rows, ROWS, slice_str("?")), E_PROTOCOL);
    assert_int_equal(take_list(s, &rows, RANGES, slice_str("?")), E_PROTOCOL);
    assert_int_equal(take_list(s, &rows, RANGES, buf_slice(&one)), E_PROTOCOL); /* no smaller than asked */
    assert_false(kinds.more || rows.more);
    expect_differs(s, false);
    buf_release(&one);
}

/* The sums of the parts are those of here: an entry has mended the row meanwhile, and the kinds are asked anew. */
static void test_repair__parts_agree(void **state)
{
    struct stores *s = *state;
    struct asked x = ask_of("duty_log"); /* there is none */
    struct digest_part parts[] = {{.upto = {{0x10}}}, {.upto = {{0xff}}}};
    struct buf list;

    buf_init(&list, 4096);
    digest_list_part(&list, &parts[0]);
    digest_list_part(&list, &parts[1]);
    MUST(s, take_list(s, &x, ZTC__DIGEST_TELL__FORM__RANGES, buf_slice(&list)));
    buf_release(&list);
    assert_true(x.more);
    assert_int_equal(x.ask.kind, 0);
}

/* On into the second part when the first agrees. */
static void test_repair__parts_differ(void **state)
{
    struct stores *s = *state;
    struct asked x = ask_of("duty_log");
    struct digest_part parts[] = {{.upto = {{0x10}}}, {.upto = {{0xff}}, .of = {.count = 1}}};
    struct buf list;

    buf_init(&list, 4096);
    digest_list_part(&list, &parts[0]);
    digest_list_part(&list, &parts[1]);
    MUST(s, take_list(s, &x, ZTC__DIGEST_TELL__FORM__RANGES, buf_slice(&list)));
    buf_release(&list);
    assert_true(x.more && x.ask.has_after && x.ask.has_upto);
    assert_true(id_eq(&x.ask.after, &parts[0].upto));
    assert_true(id_eq(&x.ask.upto, &parts[1].upto));
}

/* Rows that are none, of another kind or stream, or more than were asked for. */
static void test_repair__false_rows(void **state)
{
    struct stores *s = *state;
    struct slice none = slice_str("?"), foreign = row_at_a(s, STREAM_SHARED), right = row_at_a(s, STORES_SITE);
    struct asked x = ask_of("opinion"), other = ask_of("member");

    x.ask.n_ids = other.ask.n_ids = 1;
    x.ask.ids[0] = other.ask.ids[0] = s->opinion[0];
    assert_int_equal(take_rows(s, &x, &none, 1, 1), E_PROTOCOL);
    assert_int_equal(take_rows(s, &x, &foreign, 1, 1), E_PROTOCOL);
    assert_int_equal(take_rows(s, &other, &right, 1, 1), E_PROTOCOL);
    assert_int_equal(take_rows(s, &x, &right, 1, 2), E_PROTOCOL);
    MUST(s, take_rows(s, &x, &right, 1, 1)); /* as it is here: nothing to mend */
    assert_int_equal(newest_how(s), 0);
}

/* ---- what the city is asked ---- */

static struct server_told ask_city(struct stores *s, const struct tell_ask *ask)
{
    struct server_told told;

    s->err = (struct err){.ret = 0};
    tell_answer(city_store(s->city), ask, &s->arena, &told, &s->err);
    assert_int_equal(told.ret, s->err.ret);
    return told;
}

/* A kind that this city does not know, and one that goes to nobody, were not told either. */
static void test_repair__kinds_not_told(void **state)
{
    struct stores *s = *state;
    struct tell_ask ask = {.stream = STORES_SITE, .kind = 9999};

    assert_int_equal(ask_city(s, &ask).ret, E_VERSION);
    for (unsigned i = 0; i < catalogue_n_kinds; i++) {
        ask.kind = catalogue_kinds[i]->tag;
        assert_int_equal(ask_city(s, &ask).ret, catalogue_kinds[i]->stream == STREAM_RULE_NONE ? E_VERSION : 0);
    }
    ask.stream = 999999;
    assert_int_equal(ask_city(s, &ask).ret, E_NOTFOUND);
}

/* A record of another stream is told like one that is not there. */
static void test_repair__row_of_another_stream(void **state)
{
    struct stores *s = *state;
    struct tell_ask ask = {.stream = STREAM_SHARED, .kind = catalogue_kind_named("opinion")->tag,
                           .ids = {s->opinion[0]}, .n_ids = 1};
    struct server_told told = ask_city(s, &ask);

    assert_int_equal(told.ret, 0);
    assert_int_equal(told.covered, 1);
    assert_int_equal(told.n_rows, 0);
    ask.stream = STORES_SITE;
    assert_int_equal(ask_city(s, &ask).n_rows, 1);
}

/* As many rows as an answer holds; who asked for more asks again from there. */
static void test_repair__rows_fill_an_answer(void **state)
{
    struct stores *s = *state;
    struct tell_ask ask = {.stream = STORES_SITE, .kind = catalogue_kind_named("opinion")->tag, .n_ids = 6};
    char *text = arena_alloc(&s->arena, 60001);
    struct server_told told;

    for (size_t i = 0; i < 60000; i += 3)
        memcpy(text + i, "路", 3);
    text[60000] = '\0';
    for (size_t i = 0; i < 6; i++) {
        MUST(s, stores_write_opinion(s, AT_A, &ask.ids[i], &s->err));
        MUST(s, stores_write(s, AT_A, "opinion", OP_SET, &ask.ids[i], "", PAIRS("content", text), &s->err));
    }
    stores_sync(s, AT_A);
    told = ask_city(s, &ask);
    assert_int_equal(told.ret, 0);
    assert_int_equal(told.covered, 4);
    assert_int_equal(told.n_rows, 4);
    ask.n_ids = 2;
    ask.ids[0] = ask.ids[4];
    ask.ids[1] = ask.ids[5];
    told = ask_city(s, &ask);
    assert_int_equal(told.covered, 2);
    assert_int_equal(told.n_rows, 2);
}

/* ---- heads ---- */

static int show_head(struct stores *s, struct head *h)
{
    struct signer signer = toy_signer();
    struct buf bytes, message, signature;
    int ret;

    buf_init(&bytes, 4096);
    buf_init(&message, 4096);
    buf_init(&signature, 4096);
    head_encode(&bytes, h);
    head_to_sign(&message, h);
    assert_int_equal(signer.sign(signer.ctx, buf_slice(&message), &signature), 0);
    ret = replica_compare(s->at[AT_B], buf_slice(&bytes), buf_slice(&signature), &s->err);
    buf_release(&bytes);
    buf_release(&message);
    buf_release(&signature);
    return ret;
}

/* A head that is none or not of this ledger is no head; one with another hash at this place is another story. */
static void test_repair__heads(void **state)
{
    struct stores *s = *state;
    struct head h;

    stores_fetch(s, AT_B, STORES_SITE);
    assert_int_equal(head_decode(s->head, &h), 0);
    MUST(s, show_head(s, &h));
    expect_differs(s, false);
    assert_int_equal(replica_compare(s->at[AT_B], slice_str("?"), s->signature, &s->err), E_PROTOCOL);
    assert_int_equal(replica_compare(s->at[AT_B], s->head, slice_str("?"), &s->err), E_AUTH);
    h.root[0] ^= 1;
    MUST(s, show_head(s, &h));
    expect_differs(s, true);
    h.hash[0] ^= 1;
    assert_int_equal(show_head(s, &h), E_CORRUPT);
    h.seq++;
    MUST(s, show_head(s, &h)); /* not reached yet */
}

/* ---- whose word ---- */

/* A row that was lost comes back, one that nobody made goes. */
static void test_repair__lost_and_found(void **state)
{
    struct stores *s = *state;

    harm(s, replica_store(s->at[AT_B]), "UPDATE opinion SET rid = x'000102030405060708090a0b0c0d0e0f' WHERE rid = ?1");
    repair(s);
    expect_differs(s, false);
    MUST(s, replica_verify(s->at[AT_B], &s->err));
}

/* What the own log proves stays, whatever the city's table says: it is noted once, for people. */
static void test_repair__the_citys_row_is_wrong(void **state)
{
    struct stores *s = *state;
    struct asked x = ask_of("opinion");
    struct client_repair list[4];
    size_t n;

    x.ask.n_ids = 1;
    x.ask.ids[0] = s->opinion[0];
    MUST(s, take_rows(s, &x, NULL, 0, 1)); /* it says that it has none */
    assert_int_equal(newest_how(s), REPAIR_CITY_DIFFERS);
    x = ask_of("opinion");
    x.ask.n_ids = 1;
    x.ask.ids[0] = s->opinion[0];
    MUST(s, take_rows(s, &x, NULL, 0, 1));
    MUST(s, replica_repairs_untold(s->at[AT_B], list, 4, &n, &s->err));
    assert_int_equal(n, 1);
    MUST(s, replica_verify(s->at[AT_B], &s->err));
}

/* The creation's entry at B was damaged, and the city says that it has no such row: B's goes. */
static void lose_to_the_city(struct stores *s, const char *text)
{
    struct asked x = ask_of("opinion");

    MUST(s, stores_write(s, AT_A, "opinion", OP_SET, &s->opinion[0], "", PAIRS("title", "改过"), &s->err));
    stores_sync(s, AT_A);
    stores_sync(s, AT_B);
    harm(s, replica_store(s->at[AT_B]), text);
    x.ask.n_ids = 1;
    x.ask.ids[0] = s->opinion[0];
    MUST(s, take_rows(s, &x, NULL, 0, 1));
    assert_int_equal(newest_how(s), REPAIR_REMOVED);
}

/* A log that cannot be read, or does not begin with the record's creation, speaks for no row. */
static void test_repair__log_without_bytes(void **state)
{
    lose_to_the_city(*state, "UPDATE log SET bytes = x'00' WHERE pos = (SELECT max(pos) - 1 FROM log)");
}

static void test_repair__log_without_verdict(void **state)
{
    lose_to_the_city(*state, "UPDATE log SET verdict = x'00' WHERE pos = (SELECT max(pos) - 1 FROM log)");
}

static void test_repair__log_without_side(void **state)
{
    lose_to_the_city(*state, "UPDATE log SET side = x'80' WHERE pos = (SELECT max(pos) - 1 FROM log)");
}

static void test_repair__log_without_beginning(void **state)
{
    lose_to_the_city(*state, "DELETE FROM log WHERE pos = (SELECT max(pos) - 1 FROM log)");
}

static void test_repair__log_of_another_change(void **state)
{
    lose_to_the_city(*state, "UPDATE log SET bytes = (SELECT bytes FROM log ORDER BY pos DESC LIMIT 1)"
                             " WHERE pos = (SELECT max(pos) - 1 FROM log)");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_repair__##name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(false_lists),
        TEST(parts_agree),
        TEST(parts_differ),
        TEST(false_rows),
        TEST(kinds_not_told),
        TEST(row_of_another_stream),
        TEST(rows_fill_an_answer),
        TEST(heads),
        TEST(lost_and_found),
        TEST(the_citys_row_is_wrong),
        TEST(log_without_bytes),
        TEST(log_without_verdict),
        TEST(log_without_side),
        TEST(log_without_beginning),
        TEST(log_of_another_change),
    };

    return disk_vfs_register() != 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
