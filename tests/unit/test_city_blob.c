/* Attachments at the city's store: whose bytes count, what of them is taken, and who may read them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/store/city_blob.h"
#include "tests/lib/stores.h"

#include <sqlite3.h>
#include <string.h>

#define OTHER_SITE 431081u
#define SIZE       1234u

static const uint8_t bytes[HASH_SIZE] = {0xab, 0xcd}, more_bytes[HASH_SIZE] = {0xab, 0xce};

/* ---- fixture: an opinion of the county's with an attachment ---- */

static void attach(struct stores *s, const char *hash, struct id *ret)
{
    *ret = (struct id){{0}};
    MUST(s, stores_write(s, AT_A, "attachment", OP_CREATE, ret, "",
                         PAIRS("target_kind", "opinion", "target_id", stores_id(s, &s->opinion[0]), "file_name",
                               "照片.jpg", "mime", "image/jpeg", "size", "1234", "hash", hash),
                         &s->err));
}

static int setup(void **state)
{
    struct stores *s = test_calloc(1, sizeof *s);

    stores_begin(s);
    MUST(s, stores_write_opinion(s, AT_A, &s->opinion[0], &s->err));
    attach(s, "abcd000000000000000000000000000000000000000000000000000000000000", &s->attachment);
    stores_sync(s, AT_A);
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

struct offered {
    uint32_t site;
    struct id attachment;
    uint8_t hash[HASH_SIZE];
    uint64_t size;
    bool verified;
};

static struct offered offer_of(struct stores *s)
{
    struct offered o = {.site = STORES_SITE, .attachment = s->attachment, .size = SIZE};

    memcpy(o.hash, bytes, HASH_SIZE);
    return o;
}

static int offer(struct stores *s, struct offered *o)
{
    int ret;

    MUST(s, city_begin(s->city, s->now, &s->err));
    ret = city_blob_offer(s->city, o->site, &o->attachment, o->hash, o->size, &o->verified, &s->err);
    if (ret == 0)
        MUST(s, city_commit(s->city, &s->err));
    else
        city_rollback(s->city);
    return ret;
}

static int find(struct stores *s, uint32_t site)
{
    uint8_t hash[HASH_SIZE];
    uint64_t size;
    int ret = city_blob_find(s->city, site, &s->attachment, hash, &size, &s->err);

    if (ret == 0) {
        assert_memory_equal(hash, bytes, HASH_SIZE);
        assert_int_equal(size, SIZE);
    }
    return ret;
}

static void hold(struct stores *s, uint32_t holder)
{
    MUST(s, city_begin(s->city, s->now, &s->err));
    MUST(s, city_blob_held(s->city, holder, bytes, SIZE, &s->err));
    MUST(s, city_commit(s->city, &s->err));
}

/* Whether it was SITE's to lose. */
static bool lose(struct stores *s, uint32_t site, const struct id *attachment)
{
    uint8_t hash[HASH_SIZE];
    bool its;

    MUST(s, city_begin(s->city, s->now, &s->err));
    MUST(s, city_blob_lost(s->city, site, attachment, &its, hash, &s->err));
    MUST(s, city_commit(s->city, &s->err));
    assert_true(!its || memcmp(hash, bytes, HASH_SIZE) == 0);
    return its;
}

static enum city_blob_state state_of(struct stores *s)
{
    struct city_blob b;

    MUST(s, city_blob_get(city_store(s->city), &s->attachment, &s->arena, &b, &s->err));
    return b.state;
}

static void harm(struct stores *s, const char *text)
{
    sqlite3 *db = store_db(city_store(s->city));

    assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
    assert_true(sqlite3_changes(db) > 0);
}

/* A setting of the site's, as the city makes it. */
static void limit(struct stores *s, const char *name, const char *value)
{
    struct id id = {{0}};

    MUST(s, city_begin(s->city, s->now, &s->err));
    MUST(s, stores_act(s, "setting", OP_CREATE, &id, "", STREAM_SHARED,
                       PAIRS("name", name, "value", value), &s->err));
    MUST(s, city_commit(s->city, &s->err));
}

/* ---- offers ---- */

/* Nobody but the site that made the record, and only what the record says: else nothing is expected. */
static void test_city_blob__offers_refused(void **state)
{
    struct stores *s = *state;
    struct offered cases[4];

    for (size_t i = 0; i < 4; i++)
        cases[i] = offer_of(s);
    cases[0].site = OTHER_SITE;
    cases[1].size++;
    cases[2].hash[31] ^= 1;
    cases[3].attachment.b[0] ^= 1;
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(offer(s, &cases[i]), E_DENIED);
    assert_int_equal(state_of(s), CITY_BLOB_NONE);
    cases[0] = offer_of(s);
    assert_int_equal(offer(s, &cases[0]), 0);
    assert_false(cases[0].verified);
    assert_int_equal(state_of(s), CITY_BLOB_COMING);
}

/* What is here already is not sent again, whatever the limits are by now. */
static void test_city_blob__offered_again(void **state)
{
    struct stores *s = *state;
    struct offered o = offer_of(s);

    hold(s, STORES_SITE);
    limit(s, "attachment_bytes", "1024");
    assert_int_equal(offer(s, &o), 0);
    assert_true(o.verified);
    assert_int_equal(find(s, STORES_SITE), 0);
}

/* The limits of the moment: of one attachment, and of all that the site has here or on its way. */
static void test_city_blob__limits(void **state)
{
    struct stores *s = *state;
    struct offered o = offer_of(s), other = o;

    limit(s, "attachment_bytes", "1024");
    assert_int_equal(offer(s, &o), E_TOOBIG);
    assert_int_equal(state_of(s), CITY_BLOB_NONE);
    limit(s, "attachment_bytes", "4096");
    assert_int_equal(offer(s, &o), 0);

    attach(s, "abce000000000000000000000000000000000000000000000000000000000000", &other.attachment);
    stores_sync(s, AT_A);
    memcpy(other.hash, more_bytes, HASH_SIZE);
    harm(s, "UPDATE blob SET size = 21474836480 - 1233");
    assert_int_equal(offer(s, &other), E_QUOTA);
    harm(s, "UPDATE blob SET size = 21474836480 - 1234");
    assert_int_equal(offer(s, &other), 0);
}

/* ---- what the city attached, and what nobody can bring ---- */

/* On a record of the county's that the city's own rule or user made, the county's bytes count for nothing. */
static void test_city_blob__the_citys_own(void **state)
{
    struct stores *s = *state;
    struct offered o = offer_of(s);
    struct city_blob b;

    s->attachment = (struct id){{0}};
    MUST(s, city_begin(s->city, s->now, &s->err));
    MUST(s, stores_act(s, "attachment", OP_CREATE, &s->attachment, "", STORES_SITE,
                       PAIRS("target_kind", "opinion", "target_id", stores_id(s, &s->opinion[0]), "file_name",
                             "批复.pdf", "mime", "application/pdf", "size", "1234", "hash",
                             "abcd000000000000000000000000000000000000000000000000000000000000"),
                       &s->err));
    MUST(s, city_commit(s->city, &s->err));
    o.attachment = s->attachment;
    assert_int_equal(offer(s, &o), E_DENIED);
    assert_false(lose(s, STORES_SITE, &s->attachment));
    assert_int_equal(state_of(s), CITY_BLOB_NONE); /* it is not the county's to lose */
    assert_int_equal(find(s, STORES_SITE), E_BLOB_WAIT);
    hold(s, STORES_SITE); /* the same bytes, from there */
    assert_int_equal(find(s, STORES_SITE), E_BLOB_WAIT);
    hold(s, STREAM_CITY);
    assert_int_equal(find(s, STORES_SITE), 0);
    MUST(s, city_blob_get(city_store(s->city), &s->attachment, &s->arena, &b, &s->err));
    assert_int_equal(b.holder, STREAM_CITY);
    assert_int_equal(b.stream, STORES_SITE);
}

/* A loss that is not the site's to tell, or of no attachment, or of what is here, changes nothing. */
static void test_city_blob__losses(void **state)
{
    struct stores *s = *state;
    const struct id none = {{1}};

    assert_false(lose(s, OTHER_SITE, &s->attachment));
    assert_false(lose(s, STORES_SITE, &none));
    assert_int_equal(state_of(s), CITY_BLOB_NONE);
    assert_true(lose(s, STORES_SITE, &s->attachment));
    assert_int_equal(state_of(s), CITY_BLOB_LOST);
    assert_int_equal(find(s, STORES_SITE), E_BLOB_LOST);
    hold(s, STORES_SITE); /* another computer of the site had them */
    assert_true(lose(s, STORES_SITE, &s->attachment));
    assert_int_equal(state_of(s), CITY_BLOB_VERIFIED);
}

/* Another county's attachment is no more there than one that nobody made. */
static void test_city_blob__read_by_whom(void **state)
{
    struct stores *s = *state;

    hold(s, STORES_SITE);
    assert_int_equal(find(s, STORES_SITE), 0);
    assert_int_equal(find(s, OTHER_SITE), E_DENIED);
    s->attachment.b[0] ^= 1;
    assert_int_equal(find(s, STORES_SITE), E_DENIED);
}

static int count(void *ctx, const struct city_blob *b)
{
    (void)b;
    ++*(unsigned *)ctx;
    return 0;
}

/* A hash that is none: nobody is made to wait for bytes that nobody can bring. */
static void test_city_blob__hash_that_is_none(void **state)
{
    static const char *const harms[] = {
        "UPDATE attachment SET hash = 'abcd'",
        "UPDATE attachment SET hash = replace(hex(zeroblob(32)), '00', 'xy')",
    };
    struct stores *s = *state;
    struct city_blob_counts counts;
    struct city_blob b;
    unsigned n = 0;

    MUST(s, city_blob_count(city_store(s->city), NULL, &counts, &s->err));
    assert_int_equal(counts.waiting, 1);
    for (size_t i = 0; i < sizeof harms / sizeof *harms; i++) {
        harm(s, harms[i]);
        MUST(s, city_blob_count(city_store(s->city), NULL, &counts, &s->err));
        assert_int_equal(counts.waiting, 0);
        MUST(s, city_blob_each(city_store(s->city), NULL, true, count, &n, &s->err));
        assert_int_equal(n, 0);
        assert_int_equal(city_blob_get(city_store(s->city), &s->attachment, &s->arena, &b, &s->err), E_NOTFOUND);
    }
}

/* Whose entry cannot be read any more is not known to be gone: that is damage, and said. */
static void test_city_blob__damaged_entry(void **state)
{
    struct stores *s = *state;
    struct city_blob_counts counts;

    harm(s, "UPDATE log SET bytes = x'00' WHERE pos = (431021 << 40) + (SELECT created_seq FROM attachment)");
    s->err = (struct err){.ret = 0};
    assert_int_equal(city_blob_count(city_store(s->city), NULL, &counts, &s->err), E_CORRUPT);
    assert_true(s->err.text[0] != '\0');
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_city_blob__##name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(offers_refused), TEST(offered_again),     TEST(limits),        TEST(the_citys_own), TEST(losses),
        TEST(read_by_whom),   TEST(hash_that_is_none), TEST(damaged_entry),
    };

    return disk_vfs_register() != 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
