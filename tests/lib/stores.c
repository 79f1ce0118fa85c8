#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/lib/stores.h"

#include "common/crypto/hash.h"
#include "server/core/prepare.h"
#include "tests/lib/toy.h"
#include "tests/lib/trip.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ENTRIES_MAX 2048u
#define PUSHED_MAX  64u
#define SWEEP_MAX   200000u

static const char *const paths[STORES_DISKS] = {"city/city.db", "a/replica.db", "b/replica.db"};
static const char *const names[STORES_DISKS] = {"city", "a", "b"};
static const char *const kept_names[STORES_DISKS] = {"kept-city", "kept-a", "kept-b"};

void stores_fail(struct stores *s, const char *where, int line, int ret)
{
    fail_msg("%s:%d: %s %s", where, line, err_code(ret), s->err.text);
}

/* ---- keys ---- */

static int vault_seal(void *ctx, struct slice plain, struct slice seed, struct buf *out)
{
    uint8_t nonce[12] = {0};

    memcpy(nonce, seed.p, seed.len < sizeof nonce ? seed.len : sizeof nonce);
    return toy_seal(ctx, plain, nonce, out);
}

struct city_options stores_city_options(struct stores *s)
{
    return (struct city_options){.hasher = hasher_of(HASH_SM3),
                                 .random = random_seeded_init(&s->seeds[AT_CITY], 1),
                                 .signer = toy_signer(),
                                 .verifier = toy_verifier(),
                                 .vault = &s->vault,
                                 .vfs = DISK_VFS,
                                 .now = s->now};
}

struct replica_keys stores_keys(struct stores *s, enum stores_disk at)
{
    return (struct replica_keys){.hasher = hasher_of(HASH_SM3),
                                 .hasher_of = hasher_of,
                                 .log_key = toy_verifier(),
                                 .vault = &s->vault,
                                 .site_seal = toy_seal,
                                 .site_open = toy_open,
                                 .random = random_seeded_init(&s->seeds[at], 1u + at),
                                 .vfs = DISK_VFS};
}

const char *stores_new_path(struct stores *s)
{
    assert_int_equal(disk_copy(s->fresh, s->empty), 0);
    return "fresh/new.db";
}

void stores_reseed(struct stores *s, uint64_t seed)
{
    for (unsigned i = 0; i < STORES_DISKS; i++)
        (void)random_seeded_init(&s->seeds[i], seed * STORES_DISKS + i);
}

/* ---- opening ---- */

static void open_one(struct stores *s, enum stores_disk at)
{
    struct city_options o = stores_city_options(s);
    struct replica_keys keys = stores_keys(s, at);

    if (at == AT_CITY)
        MUST(s, city_open(paths[at], &o, &s->city, &s->err));
    else
        MUST(s, replica_open(paths[at], &keys, &s->at[at], &s->err));
}

static void close_one(struct stores *s, enum stores_disk at)
{
    replica_close(s->at[at]);
    s->at[at] = NULL;
    if (at == AT_CITY) {
        city_close(s->city);
        s->city = NULL;
    }
}

void stores_replace(struct stores *s, enum stores_disk at)
{
    struct replica_keys keys = stores_keys(s, at);
    struct replica_facts facts;

    MUST(s, replica_facts(s->at[at], &facts, &s->err));
    close_one(s, at);
    assert_int_equal(disk_copy(s->disks[at], s->empty), 0);
    MUST(s, replica_create(paths[at], &keys, &facts, &s->err));
    open_one(s, at);
}

static void keep(struct stores *s)
{
    for (unsigned i = 0; i < STORES_DISKS; i++)
        assert_int_equal(disk_copy(s->kept[i], s->disks[i]), 0);
}

/* ---- acts ---- */

const char *stores_id(struct stores *s, const struct id *id)
{
    char *text = arena_alloc(&s->arena, ID_TEXT_SIZE);

    id_format(id, text);
    return text;
}

struct field_change *stores_fields(struct stores *s, const char *kind, size_t *ret_n,
                                   const char *const *pairs)
{
    struct field_change *out = arena_zalloc(&s->arena, 40 * sizeof *out);
    size_t n = 0;

    for (; pairs != NULL && pairs[0] != NULL; pairs += 2) {
        const struct field *field = kind_field_named(catalogue_kind_named(kind), pairs[0]);
        size_t i = n++;

        if (field == NULL)
            fail_msg("%s has no field %s", kind, pairs[0]);
        for (; i > 0 && out[i - 1].tag > field->tag; i--)
            out[i] = out[i - 1];
        out[i] = (struct field_change){.tag = field->tag, .form = FORM_SET};
        MUST(s, check_parse(&s->arena, field, slice_str(pairs[1]), &out[i].v, &s->err));
    }
    *ret_n = n;
    return out;
}

int stores_write(struct stores *s, enum stores_disk at, const char *kind, enum change_op op,
                 struct id *record, const char *to, const char *const *pairs, struct err *err)
{
    struct draft d = {
        .kind = catalogue_kind_named(kind), .record = *record, .op = op, .to = slice_str(to)};
    struct arena a;
    int ret;

    trip_pause();
    d.fields = stores_fields(s, kind, &d.n_fields, pairs);
    trip_resume();
    arena_init(&a, 16u << 20);
    ret = replica_write(s->at[at], &a, &s->clerk, &d, 1, UINT64_MAX, s->now, err);
    arena_release(&a);
    if (ret == 0)
        *record = d.record;
    return ret;
}

int stores_write_opinion(struct stores *s, enum stores_disk at, struct id *ret, struct err *err)
{
    const char *const *pairs;

    trip_pause();
    pairs = arena_dup(&s->arena,
                      PAIRS("studio_id", stores_id(s, &s->studio), "receiver", stores_id(s, &s->member),
                            "received_at", "2026-01-05 09:30", "channel", "visit", "anonymous", "否",
                            "title", "路灯不亮", "content", "村口的路灯坏了很久", "category", "social",
                            "person_name", "李大爷", "person_phone", "13812345678"),
                      21 * sizeof *pairs);
    trip_resume();
    *ret = (struct id){{0}};
    return stores_write(s, at, "opinion", OP_CREATE, ret, "collected", pairs, err);
}

/* ---- up ---- */

static struct slice copy(struct stores *s, struct slice in)
{
    struct slice out = {arena_dup(&s->arena, in.p, in.len), in.len};

    assert_non_null(out.p);
    return out;
}

static int take_pushed(void *ctx, uint64_t n, struct slice bytes, struct slice side)
{
    struct stores *s = ctx;

    (void)n;
    assert_true(s->n_pushed < PUSHED_MAX);
    s->pushed[s->n_pushed++] = (struct pushed){copy(s, bytes), copy(s, side)};
    return 0;
}

void stores_load(struct stores *s, enum stores_disk at)
{
    struct replica_row row;

    s->pushed = arena_alloc(&s->arena, PUSHED_MAX * sizeof *s->pushed);
    s->n_pushed = 0;
    MUST(s, city_replica_get(s->city, &s->replica[at], &row, &s->err));
    MUST(s, replica_pending(s->at[at], row.accepted_n + 1, PUSHED_MAX, 1u << 20, take_pushed, s,
                            &s->err));
}

/* As the daemon prepares it for the writer; returns how many changes it has. */
static size_t prepare(struct stores *s, struct arena *a, size_t first, uint8_t chain[HASH_SIZE],
                      struct act *act, struct slice *bytes, struct slice *sides)
{
    size_t n = 1;

    trip_pause();
    act->changes = arena_alloc(a, PUSHED_MAX * sizeof *act->changes);
    for (size_t i = 0; i < n; i++) {
        const struct pushed *p = &s->pushed[first + i];

        bytes[i] = p->bytes;
        sides[i] = p->side;
        assert_int_equal(change_decode(a, p->bytes, p->side, &act->changes[i]), 0);
        n = act->changes[0].act_len;
    }
    act->n = n;
    act->bytes = bytes;
    act->sides = sides;
    assert_int_equal(act_prepare(a, hasher_of(HASH_SM3), chain, act), 0);
    trip_resume();
    return n;
}

static int push_acts(struct stores *s, enum stores_disk at, struct err *err)
{
    struct slice bytes[PUSHED_MAX], sides[PUSHED_MAX];
    struct replica_row row;
    struct arena a;
    bool refused;
    int ret = city_replica_get(s->city, &s->replica[at], &row, err);

    arena_init(&a, 16u << 20);
    for (size_t i = 0; ret == 0 && i < s->n_pushed;) {
        struct act act = {.n = 0};

        arena_clear(&a);
        i += prepare(s, &a, i, row.own_chain, &act, bytes, sides);
        ret = city_push_act(s->city, &s->replica[at], &act, &refused, err);
    }
    arena_release(&a);
    return ret;
}

int stores_push(struct stores *s, enum stores_disk at, struct err *err)
{
    int ret = city_begin(s->city, s->now, err);

    if (ret != 0)
        return ret;
    ret = push_acts(s, at, err);
    if (ret == 0)
        return city_commit(s->city, err);
    city_rollback(s->city);
    return ret;
}

/* ---- down ---- */

struct fetching {
    struct stores *s;
    const struct id *reader;
};

static int take_entry(void *ctx, const struct entry *e)
{
    struct fetching *f = ctx;
    struct stores *s = f->s;
    struct arrived *in = &s->entries[s->n_entries++];
    struct change c;

    assert_true(s->n_entries < ENTRIES_MAX);
    *in = (struct arrived){.received_at = e->received_at,
                           .verdict = copy(s, e->verdict),
                           .bytes = copy(s, e->bytes),
                           .side = copy(s, e->side)};
    assert_int_equal(change_decode(&s->arena, in->bytes, in->side, &c), 0);
    if (f->reader != NULL && id_eq(&c.replica, f->reader)) { /* as an echo */
        in->echo_n = c.n;
        in->bytes = in->side = (struct slice){NULL, 0};
    }
    return 0;
}

void stores_fetch(struct stores *s, enum stores_disk at, uint32_t stream)
{
    struct fetching f = {s, &s->replica[at]};
    struct stream_head h;
    uint64_t seq;

    s->entries = arena_alloc(&s->arena, ENTRIES_MAX * sizeof *s->entries);
    s->n_entries = 0;
    MUST(s, store_stream_get(replica_store(s->at[at]), stream, &h, &s->err));
    s->first_seq = h.seq + 1;
    MUST(s, store_entry_each(city_store(s->city), stream, s->first_seq, take_entry, &f, &s->err));
    MUST(s, city_head(s->city, stream, &s->head, &s->signature, &seq));
    s->head = copy(s, s->head);
    s->signature = copy(s, s->signature);
}

int stores_apply(struct stores *s, enum stores_disk at, uint32_t stream, struct err *err)
{
    return replica_apply(s->at[at], stream, s->first_seq, s->entries, s->n_entries, s->head,
                         s->signature, err);
}

struct answering {
    struct stores *s;
    enum stores_disk at;
};

static int take_refusal(void *ctx, const struct refusal *r)
{
    struct answering *a = ctx;
    uint64_t until;

    return replica_refused(a->s->at[a->at], r->first_n, r->last_n, r->at_n, r->code, r->text,
                           a->s->now, &until, &a->s->err);
}

void stores_sync(struct stores *s, enum stores_disk at)
{
    struct answering a = {s, at};
    const uint32_t streams[] = {STREAM_SHARED, STORES_SITE};

    stores_load(s, at);
    MUST(s, stores_push(s, at, &s->err));
    MUST(s, city_refusals(s->city, &s->replica[at], UINT64_MAX, take_refusal, &a, &s->err));
    for (size_t i = 0; i < 2; i++) {
        stores_fetch(s, at, streams[i]);
        MUST(s, stores_apply(s, at, streams[i], &s->err));
    }
}

/* ---- the city's own ---- */

int stores_group(struct stores *s, int (*work)(struct stores *s, struct err *err), struct err *err)
{
    int ret = city_begin(s->city, s->now, err);

    if (ret != 0)
        return ret;
    ret = work(s, err);
    if (ret == 0)
        return city_commit(s->city, err);
    city_rollback(s->city);
    return ret;
}

int stores_act(struct stores *s, const char *kind, enum change_op op, struct id *record,
               const char *state, uint32_t stream, const char *const *pairs, struct err *err)
{
    struct change c = {.op = op,
                       .kind = catalogue_kind_named(kind)->tag,
                       .record = *record,
                       .stream = stream,
                       .seen = UINT64_MAX >> 1,
                       .to = slice_str(state)};
    struct act act = {.changes = &c,
                      .n = 1,
                      .actor = {.is_system = true, .side = SIDE_CITY, .site = SITE_CITY}};
    int ret;

    trip_pause();
    c.fields = stores_fields(s, kind, &c.n_fields, pairs);
    trip_resume();
    ret = city_act(s->city, &act, err);
    if (ret == 0)
        *record = c.record;
    return ret;
}

/* ---- beginning and end ---- */

static int issue(void *ctx, uint32_t site, char ret_serial[48], uint8_t ret_fingerprint[HASH_SIZE])
{
    (void)ctx;
    (void)snprintf(ret_serial, 48, "%u", site);
    memset(ret_fingerprint, 7, HASH_SIZE);
    return 0;
}

static void enrol(struct stores *s, enum stores_disk at)
{
    struct replica_facts facts = {.ledger = city_ledger(s->city),
                                  .incarnation = city_incarnation(s->city)};
    struct replica_keys keys = stores_keys(s, at);
    uint8_t secret[HASH_SIZE] = {(uint8_t)at};

    facts.id = s->replica[at] = (struct id){{0x42, (uint8_t)at}};
    MUST(s, city_begin(s->city, s->now, &s->err));
    MUST(s, city_token_add(s->city, STORES_SITE, secret, s->now + 1000, &s->err));
    MUST(s, city_enrol(s->city, secret, &facts.id, issue, s, &facts.site, &facts.k, &facts.clerk,
                       &s->err));
    MUST(s, city_commit(s->city, &s->err));
    s->clerk = facts.clerk;
    MUST(s, replica_create(paths[at], &keys, &facts, &s->err));
    MUST(s, replica_open(paths[at], &keys, &s->at[at], &s->err));
}

static int settle(struct stores *s, struct err *err)
{
    int ret = stores_act(s, "member", OP_CREATE, &s->member, "", STORES_SITE,
                         PAIRS("name", "何委员", "level", "市级,县级", "unit_title", "县医院医师",
                               "status", "在任"),
                         err);

    return ret != 0 ? ret
                    : stores_act(s, "studio", OP_CREATE, &s->studio, "operating", STORES_SITE,
                                 PAIRS("name", "惠民委员工作室", "level", "county"), err);
}

void stores_begin(struct stores *s)
{
    struct city_options o;

    memset(s, 0, sizeof *s);
    arena_init(&s->arena, 256u << 20);
    s->now = STORES_NOW;
    s->vault = (struct vault){.seal = vault_seal, .open = toy_open};
    disk_begin_run();
    for (unsigned i = 0; i < STORES_DISKS; i++) {
        s->disks[i] = disk_new(names[i]);
        s->kept[i] = disk_new(kept_names[i]);
        assert_true(s->disks[i] != NULL && s->kept[i] != NULL);
    }
    s->fresh = disk_new("fresh");
    s->empty = disk_new("empty");
    assert_true(s->fresh != NULL && s->empty != NULL);
    o = stores_city_options(s);
    MUST(s, city_create(paths[AT_CITY], &o, "第五届", &s->err));
    MUST(s, city_open(paths[AT_CITY], &o, &s->city, &s->err));
    MUST(s, stores_group(s, settle, &s->err));
    enrol(s, AT_A);
    enrol(s, AT_B);
    stores_sync(s, AT_A);
    stores_sync(s, AT_B);
}

void stores_end(struct stores *s)
{
    for (unsigned i = 0; i < STORES_DISKS; i++) {
        close_one(s, i);
        disk_free(s->disks[i]);
        disk_free(s->kept[i]);
    }
    disk_free(s->fresh);
    disk_free(s->empty);
    arena_release(&s->arena);
}

/* ---- looking ---- */

static sqlite3 *db_of(struct stores *s, unsigned at)
{
    if (at == AT_CITY)
        return s->city != NULL ? store_db(city_store(s->city)) : NULL;
    return s->at[at] != NULL ? store_db(replica_store(s->at[at])) : NULL;
}

static uint64_t mix(uint64_t sum, const void *p, size_t len)
{
    const uint8_t *b = p;

    for (size_t i = 0; i < len; i++)
        sum = (sum ^ b[i]) * 0x100000001b3u;
    return sum;
}

static uint64_t sum_table(sqlite3 *db, const char *table, uint64_t sum)
{
    sqlite3_stmt *st;
    char query[256];

    (void)snprintf(query, sizeof query, "SELECT * FROM \"%s\"", table);
    if (sqlite3_prepare_v2(db, query, -1, &st, NULL) != SQLITE_OK)
        fail_msg("%s: %s", table, sqlite3_errmsg(db));
    while (sqlite3_step(st) == SQLITE_ROW) {
        for (int i = 0; i < sqlite3_column_count(st); i++) {
            int type = sqlite3_column_type(st, i);
            const void *p = sqlite3_column_blob(st, i); /* of a number: its text */

            sum = mix(sum, &type, sizeof type);
            sum = mix(sum, p, (size_t)sqlite3_column_bytes(st, i));
        }
    }
    assert_int_equal(sqlite3_finalize(st), SQLITE_OK);
    return mix(sum, table, strlen(table));
}

/* Of all that the tables hold. */
static uint64_t sum_of(struct stores *s, unsigned at)
{
    static const char tables[] = "SELECT name FROM sqlite_schema WHERE type = 'table'"
                                 " AND name NOT LIKE 'sqlite%' ORDER BY name";
    sqlite3 *db = db_of(s, at);
    uint64_t sum = 0xcbf29ce484222325u;
    sqlite3_stmt *st;

    if (db == NULL)
        return 0;
    assert_int_equal(sqlite3_prepare_v2(db, tables, -1, &st, NULL), SQLITE_OK);
    while (sqlite3_step(st) == SQLITE_ROW)
        sum = sum_table(db, (const char *)sqlite3_column_text(st, 0), sum);
    assert_int_equal(sqlite3_finalize(st), SQLITE_OK);
    return sum;
}

struct sums {
    uint64_t of[STORES_DISKS];
};

static struct sums sums_of(struct stores *s)
{
    struct sums sums;

    for (unsigned i = 0; i < STORES_DISKS; i++)
        sums.of[i] = sum_of(s, i);
    return sums;
}

static void assert_integrity(struct stores *s, unsigned at)
{
    sqlite3_stmt *st;

    assert_int_equal(sqlite3_prepare_v2(db_of(s, at), "PRAGMA integrity_check", -1, &st, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    assert_string_equal((const char *)sqlite3_column_text(st, 0), "ok");
    (void)sqlite3_finalize(st); /* it was read */
}

static void assert_whole(struct stores *s, unsigned at, bool damaged)
{
    assert_integrity(s, at);
    if (!damaged)
        MUST(s, at == AT_CITY ? city_verify(s->city, &s->err) : replica_verify(s->at[at], &s->err));
}

/* ---- sweeping ---- */

struct sweep {
    struct stores *s;
    const struct step *step;
    enum fault fault;
    uint64_t seed;
    struct sums before, after; /* of the step where nothing fails */
    unsigned wrong;            /* found so far: the sweep goes on, to tell all */
};

static const char *const fault_names[] = {"statement", "allocation", "I/O error", "full disk"};

static void set_fault(struct sweep *x, unsigned n)
{
    const unsigned io = DISK_READ | DISK_WRITE | DISK_SYNC | DISK_TRUNCATE;
    const struct disk_fault f = {.ops = x->fault == FAULT_FULL ? (unsigned)DISK_WRITE : io,
                                 .countdown = n,
                                 .full = x->fault == FAULT_FULL};

    if (x->fault == FAULT_SQL || x->fault == FAULT_MEMORY) {
        trip_set(x->fault == FAULT_SQL ? TRIP_SQL : TRIP_MEMORY, n);
        return;
    }
    for (unsigned i = 0; i < STORES_DISKS; i++)
        disk_fault_set(x->s->disks[i], n == 0 ? NULL : &f);
    disk_fault_set(x->s->fresh, n == 0 ? NULL : &f);
}

static unsigned hits(const struct sweep *x)
{
    unsigned n = trip_hits() + disk_fault_hits(x->s->fresh);

    for (unsigned i = 0; i < STORES_DISKS; i++)
        n += disk_fault_hits(x->s->disks[i]);
    return n;
}

static bool may_say(enum fault fault, int ret)
{
    switch (fault) {
    case FAULT_SQL:
        return ret == E_IO;
    case FAULT_MEMORY:
        return ret == E_NOMEM;
    default:
        return ret == E_IO || ret == E_FULL || ret == E_NOTFOUND; /* the last: a file not opened */
    }
}

static void complain(struct sweep *x, unsigned n, const char *what, const char *more)
{
    print_error("%s, %s %u: %s%s\n", x->step->name, fault_names[x->fault], n, what, more);
    x->wrong++;
}

static void judge(struct sweep *x, unsigned n, int ret, const struct err *err)
{
    if (!may_say(x->fault, ret)) {
        complain(x, n, "said as ", err_code(ret));
        print_error("    %s\n", err->text);
    }
    if (err->ret != ret || err->text[0] == '\0')
        complain(x, n, "told without a sentence", "");
    for (unsigned i = 0; i < STORES_DISKS; i++) {
        if (db_of(x->s, i) != NULL && !sqlite3_get_autocommit(db_of(x->s, i)))
            complain(x, n, "a transaction stays open at ", names[i]);
    }
}

static void compare(struct sweep *x, unsigned n, const struct sums *want)
{
    struct sums is = sums_of(x->s);

    for (unsigned i = 0; i < STORES_DISKS; i++) {
        if (db_of(x->s, i) != NULL && is.of[i] != want->of[i])
            complain(x, n, "not as it should be at ", names[i]);
    }
}

/* As kept: what a step has not changed is so. */
static void restore(struct sweep *x)
{
    struct sums is = sums_of(x->s);

    for (unsigned i = 0; i < STORES_DISKS; i++) {
        if (is.of[i] == x->before.of[i])
            continue;
        close_one(x->s, i);
        assert_int_equal(disk_copy(x->s->disks[i], x->s->kept[i]), 0);
        open_one(x->s, i);
    }
}

/* One run with the N-th operation failing: false when there are not so many. */
static bool once(struct sweep *x, unsigned n)
{
    struct err err = {.ret = 0};
    unsigned met;
    int ret;

    stores_reseed(x->s, x->seed);
    set_fault(x, n);
    ret = x->step->run(x->s, &err);
    met = hits(x);
    set_fault(x, 0);
    trip_set(0, 0);
    if (met == 0 && ret != 0)
        fail_msg("%s fails without a fault: %s “%s”", x->step->name, err_code(ret), err.text);
    if (ret != 0)
        judge(x, n, ret, &err);
    if (ret == 0 && met > 0) { /* it can do without */
        compare(x, n, &x->after);
        restore(x);
    } else if (ret != 0 && n % 8 == 1 && (x->step->is & STEP_PARTS) == 0) {
        compare(x, n, &x->before);
    }
    return met > 0;
}

static void begin_step(struct sweep *x)
{
    struct err err = {.ret = 0};
    int ret;

    if (x->step->before != NULL)
        x->step->before(x->s);
    x->before = sums_of(x->s);
    keep(x->s);
    stores_reseed(x->s, x->seed);
    ret = x->step->run(x->s, &err);
    if (ret != 0)
        fail_msg("%s: %s “%s”", x->step->name, err_code(ret), err.text);
    x->after = sums_of(x->s);
    restore(x);
}

/* Beyond the first so many some are left out, more and more. */
static unsigned dense(const struct sweep *x)
{
    if (getenv("SWEEP_ALL") != NULL)
        return SWEEP_MAX;
    return (x->step->is & STEP_LONG) != 0 ? 4 : 24;
}

static void sweep_step(struct sweep *x)
{
    unsigned n = 1, runs = 0;

    begin_step(x);
    while (once(x, n)) {
        n += 1 + n / dense(x);
        runs++;
        assert_true(n < SWEEP_MAX);
    }
    compare(x, n, &x->after);
    for (unsigned i = 0; i < STORES_DISKS; i++) {
        if (x->before.of[i] != x->after.of[i])
            assert_whole(x->s, i, (x->step->is & STEP_DAMAGES) != 0);
    }
    if (getenv("SWEEP_TELL") != NULL)
        print_message("%s: %u of %u times %s\n", x->step->name, runs, n - 1, fault_names[x->fault]);
    x->s->now += 1000;
}

void stores_sweep(const struct step *steps, size_t n, enum fault fault)
{
    struct sweep x = {.fault = fault};
    struct stores s;

    stores_begin(&s);
    x.s = &s;
    for (size_t i = 0; i < n; i++) {
        x.step = &steps[i];
        x.seed = 100 + i;
        sweep_step(&x);
    }
    stores_end(&s);
    assert_int_equal(x.wrong, 0);
}
