/* A computer that begins with a snapshot: slices that cross with entries, history, and going back before that is
 * whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "client/store/exchange.h"
#include "common/crypto/hash.h"
#include "common/ledger/row_code.h"
#include "server/store/city_recover.h"
#include "server/store/snapshot.h"
#include "tests/lib/stores.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#define OPINIONS     3u
#define HISTORY_MAX  256u
#define SLICE_BYTES  (64u << 10)
#define TITLE        "路灯不亮" /* of an opinion as it is written */

/* ---- fixture: B's disk is new, A has written some opinions ---- */

static int setup(void **state)
{
    struct stores *s = test_calloc(1, sizeof *s);

    stores_begin(s);
    for (size_t i = 0; i < OPINIONS; i++)
        MUST(s, stores_write_opinion(s, AT_A, &s->opinion[i], &s->err));
    stores_sync(s, AT_A);
    stores_replace(s, AT_B);
    stores_fetch(s, AT_B, STREAM_SHARED);
    MUST(s, stores_apply(s, AT_B, STREAM_SHARED, &s->err));
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

/* B's site stream at the city's head, with nothing below. */
static uint64_t begin(struct stores *s)
{
    struct slice head, signature;
    uint64_t seq, at;

    MUST(s, city_head(s->city, STORES_SITE, &head, &signature, &seq));
    MUST(s, replica_snapshot_begin(s->at[AT_B], STORES_SITE, head, signature, &at, &s->err));
    assert_int_equal(at, seq);
    return at;
}

struct kept_slice {
    Ztc__Slice m;
    struct slice_read read;
    struct buf body;
};

/* The records as they stand now, as the only slice or (MORE) as one that others follow. */
static void read_slice(struct stores *s, bool more, struct kept_slice *ret)
{
    struct body_codec codec;

    *ret = (struct kept_slice){.m = ZTC__SLICE__INIT,
                               .read = {.stream = STORES_SITE, .max_bytes = SLICE_BYTES}};
    buf_init(&ret->body, 1u << 20);
    body_codec_init(&codec);
    MUST(s, snapshot_read(city_store(s->city), &ret->read, &codec, &ret->body, &s->err));
    body_codec_release(&codec);
    assert_false(ret->read.has_next);
    ret->m.stream = STORES_SITE;
    ret->m.seq = ret->read.seq;
    ret->m.count = ret->read.count;
    ret->m.size = ret->read.size;
    ret->m.body = wire_data(buf_slice(&ret->body));
    ret->m.has_next = more;
    ret->m.next = wire_data((struct slice){ret->read.next, WIRE_PLACE_SIZE});
}

static int take_slice(struct stores *s, const struct kept_slice *k)
{
    struct client_update up = {.store_slice = &k->m};
    struct client_event ev = {.ret = 0};
    struct body_codec codec;
    struct arena a;

    arena_init(&a, 16u << 20);
    body_codec_init(&codec);
    exchange_slice(s->at[AT_B], &up, &codec, &a, &ev, &s->err);
    body_codec_release(&codec);
    arena_release(&a);
    return ev.ret;
}

/* All records, and the entries that came meanwhile. */
static void load(struct stores *s)
{
    struct kept_slice k;

    read_slice(s, false, &k);
    MUST(s, take_slice(s, &k));
    buf_release(&k.body);
    stores_fetch(s, AT_B, STORES_SITE);
    MUST(s, stores_apply(s, AT_B, STORES_SITE, &s->err));
}

static void retitle(struct stores *s, const char *title)
{
    MUST(s, stores_write(s, AT_A, "opinion", OP_SET, &s->opinion[0], "", PAIRS("title", title), &s->err));
    stores_sync(s, AT_A);
}

static void expect_title(struct stores *s, enum stores_disk at, const char *title)
{
    struct row *row;

    MUST(s, store_row_get(replica_store(s->at[at]), &s->arena, catalogue_kind_named("opinion"),
                          &s->opinion[0], &row, &s->err));
    assert_non_null(row);
    assert_true(slice_eq(row_text(row, "title"), slice_str(title)));
}

static uint64_t cursor(struct stores *s, enum stores_disk at)
{
    struct stream_head h;

    MUST(s, store_stream_get(replica_store(s->at[at]), STORES_SITE, &h, &s->err));
    return h.seq;
}

static uint64_t history_of(struct stores *s)
{
    struct replica_snapshot snapshot;

    MUST(s, replica_snapshot(s->at[AT_B], STORES_SITE, &snapshot, &s->err));
    return snapshot.history_seq;
}

static bool is_whole(struct stores *s)
{
    struct replica_snapshot snapshot;

    return replica_snapshot(s->at[AT_B], STORES_SITE, &snapshot, &s->err) == E_NOTFOUND;
}

static void expect_as_at_a(struct stores *s)
{
    uint8_t a[HASH_SIZE], b[HASH_SIZE];

    MUST(s, store_projection_digest(replica_store(s->at[AT_A]), hasher_of(HASH_SM3), a, &s->err));
    MUST(s, store_projection_digest(replica_store(s->at[AT_B]), hasher_of(HASH_SM3), b, &s->err));
    assert_memory_equal(a, b, HASH_SIZE);
    MUST(s, replica_verify(s->at[AT_B], &s->err));
}

/* ---- what the city reads ---- */

/* One open conflict between the entry that made the first opinion and itself. */
static int conflict(struct stores *s, struct err *err)
{
    struct id id = {{0}};

    return stores_act(s, "conflict", OP_CREATE, &id, "open", STORES_SITE,
                      PAIRS("target_kind", "opinion", "target_id", stores_id(s, &s->opinion[0]), "field",
                            "title", "stands_seq", "4", "later_seq", "4"),
                      err);
}

static void harm_city(struct stores *s, const char *text)
{
    sqlite3 *db = store_db(city_store(s->city));

    assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
    assert_true(sqlite3_changes(db) > 0);
}

struct counted {
    size_t slices, rows, entries, most; /* entries of one slice */
};

/* All slices of the stream, as they are sent. */
static struct counted count_slices(struct stores *s)
{
    struct slice_read read = {.stream = STORES_SITE, .max_bytes = 512u << 10};
    struct counted n = {.slices = 0};
    struct body_codec codec;
    struct buf out;

    buf_init(&out, 2u << 20);
    body_codec_init(&codec);
    do {
        Ztc__Slice m = ZTC__SLICE__INIT;
        Ztc__SliceBody *body;

        buf_clear(&out);
        MUST(s, snapshot_read(city_store(s->city), &read, &codec, &out, &s->err));
        assert_true(read.size <= WIRE_BODY_MAX);
        m.count = read.count;
        m.size = read.size;
        m.body = wire_data(buf_slice(&out));
        assert_int_equal(body_open_slice(&codec, &m, &s->arena, &body), 0);
        assert_int_equal(body->n_rows, read.count);
        n.slices++;
        n.rows += body->n_rows;
        n.entries += body->n_entries;
        n.most = body->n_entries > n.most ? body->n_entries : n.most;
        read.has_after = read.has_next;
        memcpy(read.after, read.next, sizeof read.after);
    } while (read.has_next);
    body_codec_release(&codec);
    buf_release(&out);
    return n;
}

/* A place that names no kind of this version is a protocol's mistake, and nothing is sent. */
static void test_snapshot__place_of_no_kind(void **state)
{
    struct stores *s = *state;
    struct slice_read read = {.stream = STORES_SITE, .max_bytes = SLICE_BYTES, .has_after = true,
                              .after = {0xff, 0xff, 0xff, 0xff}};
    struct body_codec codec;
    struct buf out;

    buf_init(&out, 1u << 20);
    body_codec_init(&codec);
    assert_int_equal(snapshot_read(city_store(s->city), &read, &codec, &out, &s->err), E_PROTOCOL);
    assert_int_equal(out.len, 0);
    body_codec_release(&codec);
    buf_release(&out);
}

/* The entries of a conflict come with it while it is open, and as far as they are there. */
static void test_snapshot__entries_of_conflicts(void **state)
{
    struct stores *s = *state;
    struct counted before = count_slices(s), n;

    assert_int_equal(before.entries, 0);
    for (size_t i = 0; i < 4; i++)
        MUST(s, stores_group(s, conflict, &s->err));
    harm_city(s, "UPDATE conflict SET winner = 'stands' WHERE rid = (SELECT min(rid) FROM conflict)");
    harm_city(s, "UPDATE conflict SET voided = 1 WHERE rid = (SELECT max(rid) FROM conflict)");
    n = count_slices(s);
    assert_int_equal(n.rows, before.rows + 4);
    assert_int_equal(n.entries, 4);
    harm_city(s, "UPDATE conflict SET later_seq = 1000");
    n = count_slices(s);
    assert_int_equal(n.rows, before.rows + 4);
    assert_int_equal(n.entries, 2);
}

/* Many conflicts make many slices, none with more entries than it has room for, and no row is left out. */
static void test_snapshot__many_conflicts(void **state)
{
    struct stores *s = *state;
    struct counted before = count_slices(s), n;

    assert_int_equal(before.slices, 1);
    for (size_t i = 0; i < 70; i++)
        MUST(s, stores_group(s, conflict, &s->err));
    n = count_slices(s);
    assert_int_equal(n.rows, before.rows + 70);
    assert_int_equal(n.entries, 2 * 70);
    assert_int_equal(n.most, 64);
    assert_int_equal(n.slices, 3);
}

/* Entries that make the body too big are left out: they come with history. */
static void test_snapshot__large_entries_of_conflicts(void **state)
{
    struct stores *s = *state;
    struct counted before = count_slices(s), n;
    char *text = arena_alloc(&s->arena, 60001), change[160];

    for (size_t i = 0; i < 60000; i += 3)
        memcpy(text + i, "路", 3);
    text[60000] = '\0';
    MUST(s, stores_write(s, AT_A, "opinion", OP_SET, &s->opinion[0], "", PAIRS("content", text), &s->err));
    stores_sync(s, AT_A);
    for (size_t i = 0; i < 20; i++)
        MUST(s, stores_group(s, conflict, &s->err));
    (void)snprintf(change, sizeof change, "UPDATE conflict SET stands_seq = %u, later_seq = %u", 4 + OPINIONS,
                   4 + OPINIONS);
    harm_city(s, change);
    n = count_slices(s);
    assert_int_equal(n.rows, before.rows + 20);
    assert_in_range(n.entries, 10, 2 * 20 - 1);
}

/* ---- slices and entries ---- */

/* Slices may come in any order of their seqs: a line is cut, and a slice read before is taken once more. */
static void test_snapshot__youngest_row_stays(void **state)
{
    struct stores *s = *state;
    struct kept_slice older, younger;

    begin(s);
    read_slice(s, true, &older);
    retitle(s, "后来的题目");
    read_slice(s, true, &younger);
    MUST(s, take_slice(s, &older));
    expect_title(s, AT_B, TITLE);
    MUST(s, take_slice(s, &younger));
    expect_title(s, AT_B, "后来的题目");
    MUST(s, take_slice(s, &older));
    expect_title(s, AT_B, "后来的题目");
    stores_fetch(s, AT_B, STORES_SITE);
    assert_int_equal(stores_apply(s, AT_B, STORES_SITE, &s->err), E_PROTOCOL); /* slices are missing */
    buf_release(&older.body);
    buf_release(&younger.body);
    load(s);
    expect_as_at_a(s);
}

/* Entries that a row of a slice holds already are logged and not applied. */
static void test_snapshot__row_is_ahead_of_its_entries(void **state)
{
    struct stores *s = *state;
    struct kept_slice k;
    size_t n;

    begin(s);
    retitle(s, "第一次改");
    retitle(s, "第二次改");
    read_slice(s, false, &k);
    MUST(s, take_slice(s, &k));
    buf_release(&k.body);
    expect_title(s, AT_B, "第二次改");
    stores_fetch(s, AT_B, STORES_SITE);
    n = s->n_entries;
    assert_int_equal(n, 2);
    s->n_entries = 1;
    MUST(s, stores_apply(s, AT_B, STORES_SITE, &s->err));
    expect_title(s, AT_B, "第二次改");
    stores_fetch(s, AT_B, STORES_SITE);
    MUST(s, stores_apply(s, AT_B, STORES_SITE, &s->err));
    expect_title(s, AT_B, "第二次改");
    expect_as_at_a(s);
}

/* Under a head further above, one entry after the cursor's next one. */
static void test_snapshot__entries_left_out(void **state)
{
    struct stores *s = *state;
    uint64_t at;

    begin(s);
    load(s);
    at = cursor(s, AT_B);
    retitle(s, "第一次改");
    retitle(s, "第二次改");
    retitle(s, "第三次改");
    stores_fetch(s, AT_B, STORES_SITE);
    s->entries++;
    s->first_seq++;
    s->n_entries = 1;
    assert_int_equal(stores_apply(s, AT_B, STORES_SITE, &s->err), E_PROTOCOL);
    assert_int_equal(cursor(s, AT_B), at);
    stores_fetch(s, AT_B, STORES_SITE);
    MUST(s, stores_apply(s, AT_B, STORES_SITE, &s->err));
    expect_as_at_a(s);
}

/* ---- history ---- */

struct history {
    struct stores *s;
    struct arrived entries[HISTORY_MAX];
    size_t n;
    uint64_t upto;
};

static struct slice copy(struct stores *s, struct slice in)
{
    return (struct slice){arena_dup(&s->arena, in.p, in.len), in.len};
}

static int collect(void *ctx, const struct entry *e)
{
    struct history *h = ctx;

    if (e->seq > h->upto)
        return 1;
    assert_true(h->n < HISTORY_MAX);
    h->entries[h->n++] = (struct arrived){.received_at = e->received_at,
                                          .verdict = copy(h->s, e->verdict),
                                          .bytes = copy(h->s, e->bytes),
                                          .side = copy(h->s, e->side)};
    return 0;
}

static struct history *history(struct stores *s, uint64_t upto)
{
    struct history *h = arena_zalloc(&s->arena, sizeof *h);

    h->s = s;
    h->upto = upto;
    assert_true(store_entry_each(city_store(s->city), STORES_SITE, 1, collect, h, &s->err) >= 0);
    assert_int_equal(h->n, upto);
    return h;
}

/* Its chain must lead to the signed head; what does not is dropped whole, and asked for again. */
static void test_snapshot__history_is_proved(void **state)
{
    struct stores *s = *state;
    uint64_t base = begin(s);
    struct history *h = history(s, base);
    struct replica *r = s->at[AT_B];

    load(s);
    h->entries[1].received_at++;
    MUST(s, replica_history(r, STORES_SITE, 1, h->entries, 2, &s->err));
    assert_int_equal(history_of(s), 2);
    assert_int_equal(replica_history(r, STORES_SITE, 3, h->entries + 2, h->n - 2, &s->err), E_CORRUPT);
    assert_int_equal(history_of(s), 0);
    h->entries[1].received_at--;
    assert_int_equal(replica_history(r, STORES_SITE, 2, h->entries + 1, 1, &s->err), E_PROTOCOL);
    MUST(s, replica_history(r, STORES_SITE, 1, h->entries, h->n, &s->err));
    assert_true(is_whole(s));
    MUST(s, replica_rebuild(r, &s->err));
    expect_as_at_a(s);
}

/* An entry that came back as an echo is no history, nor is one behind the head. */
static void test_snapshot__false_history(void **state)
{
    struct stores *s = *state;
    uint64_t base = begin(s);
    struct history *h = history(s, base);
    struct replica *r = s->at[AT_B];

    load(s);
    h->entries[0].echo_n = 1;
    assert_int_equal(replica_history(r, STORES_SITE, 1, h->entries, h->n, &s->err), E_CORRUPT);
    h->entries[0].echo_n = 0;
    assert_int_equal(replica_history(r, STORES_SITE, 1, h->entries, h->n + 1, &s->err), E_PROTOCOL);
    assert_int_equal(history_of(s), 0);
    MUST(s, replica_history(r, STORES_SITE, 1, h->entries, h->n, &s->err));
    expect_as_at_a(s);
}

/* ---- what is no slice ---- */

static int take_rows(struct stores *s, uint64_t seq, const struct slice *rows, size_t n)
{
    struct replica_slice slice = {.stream = STORES_SITE, .seq = seq, .rows = rows, .n_rows = n};

    return replica_snapshot_slice(s->at[AT_B], &slice, &s->err);
}

/* A's opinion as a row of STREAM as of SEQ. */
static struct slice row_of(struct stores *s, uint32_t stream, uint64_t seq)
{
    struct slice ret;
    struct row *row;
    struct buf b;

    MUST(s, store_row_get(replica_store(s->at[AT_A]), &s->arena, catalogue_kind_named("opinion"),
                          &s->opinion[0], &row, &s->err));
    row->stream = stream;
    row->seq = seq;
    buf_init(&b, 1u << 16);
    row_encode(&b, row);
    ret = copy(s, buf_slice(&b));
    buf_release(&b);
    return ret;
}

/* Only into an empty stream, only until the last slice is here, and no older than the head. */
static void test_snapshot__out_of_turn(void **state)
{
    struct stores *s = *state;
    struct slice head, signature;
    uint64_t base, seq;

    MUST(s, city_head(s->city, STREAM_SHARED, &head, &signature, &seq));
    assert_int_equal(replica_snapshot_begin(s->at[AT_B], STREAM_SHARED, head, signature, &seq, &s->err),
                     E_STATE);
    assert_int_equal(take_rows(s, 1, NULL, 0), E_NOTFOUND);
    base = begin(s);
    assert_int_equal(take_rows(s, base - 1, NULL, 0), E_PROTOCOL);
    load(s);
    assert_int_equal(take_rows(s, base, NULL, 0), E_STATE);
}

/* A row that is none, of another stream, or younger than its slice: nothing of the slice is taken. */
static void test_snapshot__false_rows(void **state)
{
    struct stores *s = *state;
    uint64_t base = begin(s);
    const struct slice rows[] = {slice_str("no row"), row_of(s, STREAM_SHARED, 1),
                                 row_of(s, STORES_SITE, base + 1), row_of(s, STORES_SITE, 0)};

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_not_equal(take_rows(s, base, &rows[i], 1), 0);
    load(s);
    expect_title(s, AT_B, TITLE);
}

static void harm(struct stores *s, const char *text)
{
    sqlite3 *db = store_db(replica_store(s->at[AT_B]));

    assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
    assert_true(sqlite3_changes(db) > 0);
}

/* Where the download stood is damaged: it is not gone on with. */
static void test_snapshot__damaged_progress(void **state)
{
    static const char *const harms[] = {
        "UPDATE snapshot SET place = x'00'",
        "UPDATE snapshot SET history_hash = x'00'",
        "UPDATE snapshot SET base_hash = x'00'",
    };
    struct stores *s = *state;
    struct replica_snapshot snapshot;
    uint64_t base = begin(s);

    for (size_t i = 0; i < sizeof harms / sizeof *harms; i++) {
        harm(s, harms[i]);
        assert_int_equal(replica_snapshot(s->at[AT_B], STORES_SITE, &snapshot, &s->err), E_CORRUPT);
        assert_int_equal(take_rows(s, base, NULL, 0), E_CORRUPT);
    }
}

/* ---- what waits for history ---- */

/* A receipt of an entry whose history is missing, and of one that no head covers yet. */
static void test_snapshot__receipt_waits(void **state)
{
    struct stores *s = *state;
    uint64_t base = begin(s);
    struct history *h = history(s, base);
    struct buf out;

    load(s);
    buf_init(&out, 1u << 20);
    assert_int_equal(replica_receipt(s->at[AT_B], STORES_SITE, base, &out, &s->err), E_WAITING);
    MUST(s, replica_history(s->at[AT_B], STORES_SITE, 1, h->entries, h->n, &s->err));
    retitle(s, "后来的题目");
    stores_fetch(s, AT_B, STORES_SITE);
    MUST(s, stores_apply(s, AT_B, STORES_SITE, &s->err));
    MUST(s, replica_receipt(s->at[AT_B], STORES_SITE, 1, &out, &s->err));
    MUST(s, replica_receipt(s->at[AT_B], STORES_SITE, base, &out, &s->err));
    assert_int_equal(replica_receipt(s->at[AT_B], STORES_SITE, base + 2, &out, &s->err), E_WAITING);
    buf_release(&out);
}

static int see_conflict(void *ctx, const struct conflict_row *row)
{
    *(bool *)ctx = row->waits;
    if (!row->waits)
        assert_true(slice_eq(row->stands.s, slice_str(TITLE)));
    return 1;
}

/* A conflict between entries of the missing history waits for it; where history is whole, an entry that is not
 * there is damage. */
static void test_snapshot__conflict_waits(void **state)
{
    struct stores *s = *state;
    struct history *h;
    uint64_t base;
    bool waits = false;

    base = begin(s);
    h = history(s, base);
    load(s);
    MUST(s, stores_group(s, conflict, &s->err));
    stores_fetch(s, AT_B, STORES_SITE);
    MUST(s, stores_apply(s, AT_B, STORES_SITE, &s->err));
    assert_int_equal(replica_conflicts(s->at[AT_B], see_conflict, &waits, &s->err), 1);
    assert_true(waits);
    harm(s, "UPDATE conflict SET stands_seq = 1000");
    assert_int_equal(replica_conflicts(s->at[AT_B], see_conflict, &waits, &s->err), E_CORRUPT);
    harm(s, "UPDATE conflict SET stands_seq = 4");
    MUST(s, replica_history(s->at[AT_B], STORES_SITE, 1, h->entries, h->n, &s->err));
    assert_int_equal(replica_conflicts(s->at[AT_B], see_conflict, &waits, &s->err), 1);
    assert_false(waits);
    harm(s, "UPDATE conflict SET stands_seq = 1000");
    assert_int_equal(replica_conflicts(s->at[AT_B], see_conflict, &waits, &s->err), E_CORRUPT);
}

/* ---- a city that was restored ---- */

static int restart(struct stores *s, struct err *err)
{
    return city_restart(s->city, "磁盘损坏", err);
}

static void live_anew(struct stores *s)
{
    struct slice head, signature;
    uint64_t seq;

    MUST(s, stores_group(s, restart, &s->err));
    MUST(s, city_head(s->city, STREAM_CITY, &head, &signature, &seq));
    MUST(s, replica_witness(s->at[AT_B], head, signature, &s->err));
}

static void expect_pending(struct stores *s, uint64_t want)
{
    struct replica_facts facts;

    MUST(s, replica_facts(s->at[AT_B], &facts, &s->err));
    assert_int_equal(facts.pending, want);
}

/* The tables cannot be told from a log that has a hole: the stream is begun again, and what was made here is
 * pending until the city's entries answer it. */
static void test_snapshot__goes_back_before_history(void **state)
{
    struct stores *s = *state;
    struct replica_place place = {STORES_SITE, 2};
    uint64_t base = begin(s);
    struct id own;

    load(s);
    MUST(s, stores_write_opinion(s, AT_B, &own, &s->err));
    stores_sync(s, AT_B);
    stores_sync(s, AT_A);
    expect_pending(s, 0);
    assert_int_equal(replica_go_back(s->at[AT_B], &place, 1, &s->err), E_FORK);
    assert_int_equal(history_of(s), 0);
    assert_int_equal(cursor(s, AT_B), base + 1);

    live_anew(s);
    MUST(s, replica_go_back(s->at[AT_B], &place, 1, &s->err));
    assert_true(is_whole(s));
    assert_int_equal(cursor(s, AT_B), 0);
    expect_pending(s, 1);
    MUST(s, replica_verify(s->at[AT_B], &s->err));
    stores_sync(s, AT_B);
    expect_pending(s, 0);
    expect_as_at_a(s);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_snapshot__##name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(place_of_no_kind),   TEST(entries_of_conflicts), TEST(many_conflicts), TEST(large_entries_of_conflicts),
        TEST(youngest_row_stays), TEST(row_is_ahead_of_its_entries), TEST(entries_left_out),
        TEST(history_is_proved),  TEST(false_history),         TEST(out_of_turn),
        TEST(false_rows),         TEST(damaged_progress),      TEST(receipt_waits),
        TEST(conflict_waits),     TEST(goes_back_before_history),
    };

    return disk_vfs_register() != 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
