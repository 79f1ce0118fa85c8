/* What a replica does not take from a city, and what it makes of a file that was damaged behind its back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "client/store/repair.h"
#include "common/crypto/hash.h"
#include "server/store/city_recover.h"
#include "tests/lib/stores.h"
#include "tests/lib/toy.h"

#include <sqlite3.h>
#include <string.h>

/* ---- fixture: A has written an opinion, and B edits it ---- */

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

static int retitle(struct stores *s, enum stores_disk at, const char *title)
{
    return stores_write(s, at, "opinion", OP_SET, &s->opinion[0], "", PAIRS("title", title), &s->err);
}

/* B's edit reaches the city, and lies ready for A. */
static void edit_at_b(struct stores *s, const char *title)
{
    MUST(s, retitle(s, AT_B, title));
    stores_sync(s, AT_B);
    stores_fetch(s, AT_A, STORES_SITE);
}

static int apply(struct stores *s)
{
    s->err = (struct err){.ret = 0};
    return stores_apply(s, AT_A, STORES_SITE, &s->err);
}

static void harm(struct stores *s, const char *text)
{
    sqlite3 *db = store_db(replica_store(s->at[AT_A]));

    assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
    assert_true(sqlite3_changes(db) > 0);
}

static uint64_t cursor(struct stores *s, enum stores_disk at)
{
    struct stream_head h;

    MUST(s, store_stream_get(replica_store(s->at[at]), STORES_SITE, &h, &s->err));
    return h.seq;
}

static void expect_title(struct stores *s, const char *title)
{
    struct row *row;

    MUST(s, store_row_get(replica_store(s->at[AT_A]), &s->arena, catalogue_kind_named("opinion"),
                          &s->opinion[0], &row, &s->err));
    assert_true(slice_eq(row_text(row, "title"), slice_str(title)));
}

static struct slice keep(struct stores *s, struct buf *b)
{
    struct slice ret = {arena_dup(&s->arena, b->p, b->len), b->len};

    assert_non_null(ret.p);
    buf_release(b);
    return ret;
}

/* As the city would sign it. */
static void sign_head(struct stores *s, const struct head *h)
{
    struct signer signer = toy_signer();
    struct buf bytes, message, signature;

    buf_init(&bytes, 4096);
    buf_init(&message, 4096);
    buf_init(&signature, 4096);
    head_encode(&bytes, h);
    head_to_sign(&message, h);
    assert_int_equal(signer.sign(signer.ctx, buf_slice(&message), &signature), 0);
    s->head = keep(s, &bytes);
    s->signature = keep(s, &signature);
    buf_release(&message);
}

static struct head head_of(struct stores *s, struct slice bytes)
{
    struct head h;

    assert_int_equal(head_decode(bytes, &h), 0);
    (void)s;
    return h;
}

/* ---- batches ---- */

/* A head that is none, of another ledger, or below the batch that it closes. */
static void test_receive__false_head(void **state)
{
    struct stores *s = *state;
    uint64_t at = cursor(s, AT_A);
    struct slice head, signature;
    struct head h;

    edit_at_b(s, "乙的题目");
    head = s->head;
    signature = s->signature;
    h = head_of(s, head);
    s->head = slice_str("no head");
    assert_int_equal(apply(s), E_PROTOCOL);
    h.ledger.b[0] ^= 1;
    sign_head(s, &h);
    assert_int_equal(apply(s), E_AUTH);
    h.ledger.b[0] ^= 1;
    h.seq--;
    sign_head(s, &h);
    assert_int_equal(apply(s), E_PROTOCOL);
    assert_int_equal(cursor(s, AT_A), at);
    s->head = head;
    s->signature = signature;
    MUST(s, apply(s));
    expect_title(s, "乙的题目");
}

/* Bytes that are no change, and a change of another stream. */
static void test_receive__false_entry(void **state)
{
    struct stores *s = *state;
    struct arrived true_one;
    struct change c;
    struct buf b;

    edit_at_b(s, "乙的题目");
    true_one = s->entries[0];
    s->entries[0].bytes = slice_str("no change");
    assert_int_equal(apply(s), E_CORRUPT);
    assert_int_equal(change_decode(&s->arena, true_one.bytes, true_one.side, &c), 0);
    c.stream = STREAM_SHARED;
    buf_init(&b, 1u << 16);
    change_encode(&b, &c);
    s->entries[0].bytes = keep(s, &b);
    assert_int_equal(apply(s), E_CORRUPT);
    s->entries[0] = true_one;
    MUST(s, apply(s));
}

/* A change under this computer's id and number that it never made: its file was copied, and both went on. */
static void test_receive__own_number_with_other_words(void **state)
{
    struct stores *s = *state;
    struct change c;
    struct buf b;

    MUST(s, retitle(s, AT_A, "甲的题目"));
    stores_load(s, AT_A);
    MUST(s, stores_push(s, AT_A, &s->err));
    stores_fetch(s, AT_A, STORES_SITE);
    assert_int_equal(s->n_pushed, 1);
    assert_int_equal(change_decode(&s->arena, s->pushed[0].bytes, s->pushed[0].side, &c), 0);
    c.made_at++;
    buf_init(&b, 1u << 16);
    change_encode(&b, &c);
    s->entries[0].echo_n = 0;
    s->entries[0].bytes = keep(s, &b);
    s->entries[0].side = s->pushed[0].side;
    assert_int_equal(apply(s), E_FORK);
    expect_title(s, "甲的题目");
}

/* What the helper's arena had no room for is read while it is applied. */
static void test_receive__read_late(void **state)
{
    struct stores *s = *state;
    struct arena a;

    edit_at_b(s, "乙的题目");
    arena_init(&a, 16);
    arrived_read(hasher_of(HASH_SM3), &a, s->entries, s->n_entries);
    arena_release(&a);
    assert_null(s->entries[0].parts);
    MUST(s, apply(s));
    expect_title(s, "乙的题目");
}

/* ---- a damaged file ---- */

/* A row whose base cannot be read does not stop the stream: the log has the entry, and the row is mended later. */
static void test_receive__damaged_base(void **state)
{
    struct stores *s = *state;
    uint64_t at;

    MUST(s, retitle(s, AT_A, "甲的题目"));
    harm(s, "UPDATE base_row SET row = x'01'");
    edit_at_b(s, "乙的题目");
    at = cursor(s, AT_A);
    MUST(s, apply(s));
    assert_int_equal(cursor(s, AT_A), at + 1);
    assert_int_equal(replica_verify(s->at[AT_A], &s->err), E_DIGEST);
    MUST(s, replica_rebuild(s->at[AT_A], NULL));
    expect_title(s, "甲的题目");
    MUST(s, replica_verify(s->at[AT_A], &s->err));
}

/* A base of another record, and one that was sealed for another vault. */
static void test_receive__foreign_base(void **state)
{
    struct stores *s = *state;
    struct id other;

    MUST(s, stores_write_opinion(s, AT_A, &other, &s->err));
    stores_sync(s, AT_A);
    MUST(s, stores_write(s, AT_A, "opinion", OP_SET, &other, "", PAIRS("title", "别的"), &s->err));
    MUST(s, retitle(s, AT_A, "甲的题目"));
    harm(s, "UPDATE base_row SET row = (SELECT row FROM base_row ORDER BY record LIMIT 1)");
    edit_at_b(s, "乙的题目");
    (void)apply(s);
    assert_int_equal(replica_verify(s->at[AT_A], &s->err), E_DIGEST);
    MUST(s, replica_rebuild(s->at[AT_A], &s->err));
    MUST(s, replica_verify(s->at[AT_A], &s->err));
}

/* An own change whose hash is cut short is not handed to anything; nor is one that was sealed for another. */
static void test_receive__damaged_own_change(void **state)
{
    struct stores *s = *state;

    MUST(s, retitle(s, AT_A, "甲的题目"));
    stores_load(s, AT_A);
    MUST(s, stores_push(s, AT_A, &s->err));
    stores_fetch(s, AT_A, STORES_SITE);
    harm(s, "UPDATE pending SET hash = x'00'");
    assert_int_equal(apply(s), E_CORRUPT);
    harm(s, "UPDATE pending SET side = x'8000'");
    assert_int_equal(replica_verify(s->at[AT_A], &s->err), E_CORRUPT);
}

/* A head that waits for its seq was damaged: what comes under it is not taken. */
static void test_receive__damaged_due_head(void **state)
{
    struct stores *s = *state;
    struct arrived *all;

    MUST(s, retitle(s, AT_B, "第一次"));
    MUST(s, retitle(s, AT_B, "第二次"));
    edit_at_b(s, "第三次");
    all = s->entries;
    assert_int_equal(s->n_entries, 3);
    s->n_entries = 1;
    MUST(s, apply(s));
    harm(s, "UPDATE head SET bytes = x'00' WHERE compared = 0");
    s->entries = all + 1;
    s->n_entries = 2;
    s->first_seq++;
    assert_int_equal(apply(s), E_CORRUPT);
    assert_int_equal(replica_compare_kept(s->at[AT_A], STORES_SITE, &s->err), 0);
    harm(s, "UPDATE head SET bytes = x'00' WHERE compared = 1");
    assert_int_equal(replica_compare_kept(s->at[AT_A], STORES_SITE, &s->err), E_CORRUPT);
}

static int witness(struct stores *s)
{
    uint64_t seq;

    MUST(s, city_head(s->city, STREAM_CITY, &s->head, &s->signature, &seq));
    return replica_witness(s->at[AT_A], s->head, s->signature, &s->err);
}

/* The witness that is kept was damaged: it cannot say that the new one is no older. */
static void test_receive__damaged_witness(void **state)
{
    struct stores *s = *state;

    MUST(s, witness(s));
    MUST(s, witness(s));
    harm(s, "UPDATE head SET bytes = x'00' WHERE stream = 2");
    assert_int_equal(witness(s), E_CORRUPT);
}

/* ---- refusals ---- */

static int refuse(struct stores *s, uint64_t first_n, uint64_t last_n, uint64_t at_n)
{
    uint64_t until;

    return replica_refused(s->at[AT_A], first_n, last_n, at_n, slice_str("ZT-ROLE"), slice_str("没有角色"),
                           s->now, &until, NULL);
}

/* Changes from nowhere, backwards, with a reason outside of them, more than an act has, or never made. */
static void test_receive__false_refusal(void **state)
{
    struct stores *s = *state;
    struct replica_facts f;

    MUST(s, retitle(s, AT_A, "甲的题目"));
    assert_int_equal(refuse(s, 0, 1, 1), E_PROTOCOL);
    assert_int_equal(refuse(s, 2, 1, 2), E_PROTOCOL);
    assert_int_equal(refuse(s, 2, 2, 1), E_PROTOCOL);
    assert_int_equal(refuse(s, 2, 2, 3), E_PROTOCOL);
    assert_int_equal(refuse(s, 2, 2 + ACT_MAX_CHANGES, 2), E_PROTOCOL);
    assert_int_equal(refuse(s, 2, 3, 2), E_PROTOCOL);
    MUST(s, replica_facts(s->at[AT_A], &f, &s->err));
    assert_int_equal(f.refused, 0);
    assert_int_equal(f.pending, 1);
    MUST(s, refuse(s, 2, 2, 2));
    expect_title(s, "路灯不亮");
}

/* ---- handing back, going back ---- */

struct counted {
    uint64_t first, n;
};

static int count_entry(void *ctx, const struct entry *e)
{
    struct counted *c = ctx;

    if (c->n++ == 0)
        c->first = e->seq;
    return 0;
}

static uint64_t hand_back(struct stores *s, uint64_t from, uint64_t upto, uint32_t max, size_t bytes)
{
    struct counted c = {.n = 0};

    MUST(s, replica_log(s->at[AT_A], STORES_SITE, from, upto, max, bytes, count_entry, &c, &s->err));
    assert_int_equal(c.first, from);
    return c.n;
}

/* As many as are asked for, no more than fit, and at least one. */
static void test_receive__hands_back_in_bounds(void **state)
{
    struct stores *s = *state;
    uint64_t all = cursor(s, AT_A);
    struct counted c = {.n = 0};

    assert_true(all >= 3);
    assert_int_equal(hand_back(s, 1, 100, 100, 1u << 20), all);
    assert_int_equal(hand_back(s, 1, 2, 100, 1u << 20), 2);
    assert_int_equal(hand_back(s, 2, 100, 1, 1u << 20), 1);
    assert_int_equal(hand_back(s, 1, 100, 100, 1), 1);
    assert_int_equal(replica_log(s->at[AT_A], STORES_SITE, all + 1, 100, 100, 1u << 20, count_entry, &c,
                                 &s->err),
                     E_NOTFOUND);
    assert_int_equal(replica_log(s->at[AT_A], STORES_SITE, 2, 1, 100, 1u << 20, count_entry, &c, &s->err),
                     E_NOTFOUND);
    assert_int_equal(c.n, 0);
}

static int restart(struct stores *s, struct err *err)
{
    return city_restart(s->city, "磁盘损坏", err);
}

/* Only to what a later life of the city has left behind: without its witness no log is cut, nor where the own
 * chain is not what the changes come to. */
static void test_receive__goes_back_for_a_reason(void **state)
{
    struct stores *s = *state;
    struct replica_place place = {STORES_SITE, 3};
    uint64_t at = cursor(s, AT_A);

    assert_int_equal(replica_go_back(s->at[AT_A], &place, 1, NULL), E_FORK);
    MUST(s, witness(s));
    assert_int_equal(replica_go_back(s->at[AT_A], &place, 1, &s->err), E_FORK);
    MUST(s, stores_group(s, restart, &s->err));
    MUST(s, witness(s));
    harm(s, "UPDATE own SET chain = zeroblob(32)");
    assert_int_equal(replica_go_back(s->at[AT_A], &place, 1, &s->err), E_CORRUPT);
    assert_int_equal(cursor(s, AT_A), at);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_receive__##name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(false_head),
        TEST(false_entry),
        TEST(own_number_with_other_words),
        TEST(read_late),
        TEST(damaged_base),
        TEST(foreign_base),
        TEST(damaged_own_change),
        TEST(damaged_due_head),
        TEST(damaged_witness),
        TEST(false_refusal),
        TEST(hands_back_in_bounds),
        TEST(goes_back_for_a_reason),
    };

    return disk_vfs_register() != 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
