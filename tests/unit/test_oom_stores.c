/* Memory that is out, ours or SQLite's, in the stores' work: a replica writes, the city merges, the
 * replica takes it in. Whatever fails, both stores stay whole and the work is done at the next try. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "client/store/replica.h"
#include "common/crypto/hash.h"
#include "server/store/city.h"
#include "tests/lib/toy.h"

#include "sweep.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SITE        431021u
#define NOW         1772690400000ull /* 2026-03-05 14:00 in Chenzhou */
#define ENTRIES_MAX 2048

/* ---- fixture ---- */

struct pushed {
    struct slice bytes, side;
};

struct fixture {
    char dir[64], city_path[96], replica_path[96];
    struct random_seeded seed;
    struct arena a;
    struct err err;
    struct city *city;
    struct replica *r;
    struct id replica, clerk, member, studio;
    struct arrived entries[ENTRIES_MAX];
    size_t n_entries;
    struct pushed pushed[8];
    size_t n_pushed;
};

static void must(struct fixture *f, int ret)
{
    if (ret != 0)
        fail_msg("%s %s", err_code(ret), f->err.text);
}

static struct city_options city_options(struct fixture *f)
{
    return (struct city_options){.hasher = hasher_of(HASH_SM3),
                                 .random = random_seeded_init(&f->seed, 1),
                                 .signer = toy_signer(),
                                 .now = NOW};
}

static struct replica_keys replica_keys(struct fixture *f)
{
    return (struct replica_keys){.hasher = hasher_of(HASH_SM3),
                                 .hasher_of = hasher_of,
                                 .log_key = toy_verifier(),
                                 .site_seal = toy_seal,
                                 .site_open = toy_open,
                                 .random = random_seeded_init(&f->seed, 2)};
}

static int issue(void *ctx, uint32_t site, char ret_serial[48], uint8_t ret_fingerprint[HASH_SIZE])
{
    (void)ctx;
    (void)snprintf(ret_serial, 48, "%u", site);
    memset(ret_fingerprint, 7, HASH_SIZE);
    return 0;
}

struct form {
    struct field_change fields[16];
    size_t n;
};

static void fill(struct form *f, const char *kind, const char *name, struct value v)
{
    uint32_t tag = kind_field_named(catalogue_kind_named(kind), name)->tag;
    size_t i = f->n++;

    for (; i > 0 && f->fields[i - 1].tag > tag; i--)
        f->fields[i] = f->fields[i - 1];
    f->fields[i] = (struct field_change){.tag = tag, .form = FORM_SET, .v = v};
}

static struct value set_of(const char *codes)
{
    return (struct value){.type = V_SET, .s = slice_str(codes)};
}

static int act_of_system(struct fixture *f, const char *kind, const char *state, struct form *form,
                         struct id *ret_id, struct err *err)
{
    struct change c = {.op = OP_CREATE,
                       .kind = catalogue_kind_named(kind)->tag,
                       .stream = SITE,
                       .seen = UINT64_MAX >> 1,
                       .to = slice_str(state),
                       .fields = form->fields,
                       .n_fields = form->n};
    struct act act = {.changes = &c, .n = 1};
    int ret;

    act.actor = (struct actor){.is_system = true, .side = SIDE_CITY, .site = SITE_CITY};
    ret = city_act(f->city, &act, err);
    if (ret == 0)
        *ret_id = c.record;
    return ret;
}

static int make_member(struct fixture *f, struct id *ret_id, struct err *err)
{
    struct form form = {.n = 0};

    fill(&form, "member", "name", value_str("何委员"));
    fill(&form, "member", "level", set_of("city,county"));
    fill(&form, "member", "unit_title", value_str("县医院医师"));
    fill(&form, "member", "status", value_str("active"));
    return act_of_system(f, "member", "", &form, ret_id, err);
}

static void settle(struct fixture *f)
{
    struct replica_facts facts = {.id = f->replica};
    struct replica_keys keys = replica_keys(f);
    struct form studio = {.n = 0};
    uint8_t secret[HASH_SIZE] = {7};

    fill(&studio, "studio", "name", value_str("惠民委员工作室"));
    fill(&studio, "studio", "level", value_str("county"));
    must(f, city_begin(f->city, NOW, &f->err));
    must(f, make_member(f, &f->member, &f->err));
    must(f, act_of_system(f, "studio", "operating", &studio, &f->studio, &f->err));
    must(f, city_token_add(f->city, SITE, secret, NOW + 1000, &f->err));
    must(f, city_enrol(f->city, secret, &f->replica, issue, f, &facts.site, &facts.k, &facts.clerk,
                       &f->err));
    must(f, city_commit(f->city, &f->err));
    facts.ledger = city_ledger(f->city);
    facts.incarnation = city_incarnation(f->city);
    f->clerk = facts.clerk;
    must(f, replica_create(f->replica_path, &keys, &facts, &f->err));
    must(f, replica_open(f->replica_path, &keys, &f->r, &f->err));
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct city_options o;

    *state = f;
    arena_init(&f->a, 64u << 20);
    strcpy(f->dir, "/tmp/test_oom_XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    (void)snprintf(f->city_path, sizeof f->city_path, "%s/city.db", f->dir);
    (void)snprintf(f->replica_path, sizeof f->replica_path, "%s/replica.db", f->dir);
    o = city_options(f);
    f->replica = (struct id){{1, 2, 3}};
    must(f, city_create(f->city_path, &o, "第五届", &f->err));
    must(f, city_open(f->city_path, &o, &f->city, &f->err));
    settle(f);
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char command[128];

    replica_close(f->r);
    city_close(f->city);
    arena_release(&f->a);
    (void)snprintf(command, sizeof command, "rm -r %s", f->dir);
    assert_int_equal(system(command), 0);
    free(f);
    return 0;
}

/* ---- from the city to the replica ---- */

static struct slice keep(struct fixture *f, struct slice s)
{
    uint8_t *copy = arena_dup(&f->a, s.p, s.len);

    assert_non_null(copy);
    return (struct slice){copy, s.len};
}

static int collect(void *ctx, const struct entry *e)
{
    struct fixture *f = ctx;

    assert_true(f->n_entries < ENTRIES_MAX);
    f->entries[f->n_entries++] = (struct arrived){.received_at = e->received_at,
                                                  .verdict = keep(f, e->verdict),
                                                  .bytes = keep(f, e->bytes),
                                                  .side = keep(f, e->side)};
    return 0;
}

/* Own changes come as echoes. */
static void hide_own(struct fixture *f)
{
    for (size_t i = 0; i < f->n_entries; i++) {
        struct arrived *e = &f->entries[i];
        struct change c;

        assert_int_equal(change_decode(&f->a, e->bytes, e->side, &c), 0);
        if (!id_eq(&c.replica, &f->replica))
            continue;
        *e = (struct arrived){
            .received_at = e->received_at, .verdict = e->verdict, .echo_n = c.n};
    }
}

/* Entries that belong together, from the first. */
static size_t act_at(struct fixture *f, size_t first)
{
    for (size_t i = first; i < f->n_entries; i++) {
        struct rd r = rd_of(f->entries[i].verdict); /* by hand: decoding takes memory */

        (void)rd_u8(&r);
        if ((rd_varint(&r) & VERDICT_MORE) == 0)
            return i + 1 - first;
    }
    fail();
    return 0;
}

struct taking {
    struct fixture *f;
    uint32_t stream;
    uint64_t seq; /* taken in so far */
    size_t at;    /* the next of the fixture's entries */
    struct slice head, signature;
};

static int take_act(void *ctx, struct err *err)
{
    struct taking *t = ctx;
    struct stream_head h;
    int ret = store_stream_get(replica_store(t->f->r), t->stream, &h, err);

    if (ret != 0)
        return ret;
    /* A failure behind the commit is possible: as after any lost session, the cursor says where to go
     * on. */
    t->at += h.seq - t->seq;
    t->seq = h.seq;
    if (t->at == t->f->n_entries)
        return 0;
    return replica_apply(t->f->r, t->stream, t->seq + 1, &t->f->entries[t->at],
                         act_at(t->f, t->at), t->head, t->signature, err);
}

/* A failed act is tried again, until all of the stream is there. */
static void bring(struct fixture *f, uint32_t stream, bool failing)
{
    struct taking t = {.f = f, .stream = stream};
    struct stream_head h;
    uint64_t seq;

    must(f, store_stream_get(replica_store(f->r), stream, &h, &f->err));
    t.seq = h.seq;
    f->n_entries = 0;
    must(f, store_entry_each(city_store(f->city), stream, h.seq + 1, collect, f, &f->err));
    hide_own(f);
    must(f, city_head(f->city, stream, &t.head, &t.signature, &seq));
    t.head = keep(f, t.head);
    t.signature = keep(f, t.signature);
    if (failing)
        sweep_some(take_act, &t, 256);
    do
        must(f, take_act(&t, &f->err));
    while (t.at < f->n_entries);
    assert_int_equal(t.at, f->n_entries);
    must(f, store_stream_get(replica_store(f->r), stream, &h, &f->err));
    assert_int_equal(h.seq, seq);
}

/* ---- from the replica to the city ---- */

/* The replica has its own changes for ever: each try makes a new one. */
static int write_opinion(void *ctx, struct err *err)
{
    struct fixture *f = ctx;
    struct form form = {.n = 0};
    struct draft d = {.kind = catalogue_kind_named("opinion"), .op = OP_CREATE};
    struct arena a;
    int ret;

    fill(&form, "opinion", "studio_id", value_id(&f->studio));
    fill(&form, "opinion", "received_at", value_str("2026-01-05T09:30:00+08:00"));
    fill(&form, "opinion", "channel", value_str("visit"));
    fill(&form, "opinion", "receiver", value_id(&f->member));
    fill(&form, "opinion", "anonymous", value_int(1));
    fill(&form, "opinion", "title", value_str("路灯不亮"));
    fill(&form, "opinion", "content", value_str("村口的路灯坏了很久，晚上看不清路"));
    fill(&form, "opinion", "category", value_str("social"));
    fill(&form, "opinion", "person_name", value_str("李大爷"));
    d.to = slice_str("collected");
    d.fields = form.fields;
    d.n_fields = form.n;
    arena_init(&a, 8u << 20);
    ret = replica_write(f->r, &a, &f->clerk, &d, 1, UINT64_MAX, NOW, err);
    arena_release(&a);
    return ret;
}

static int hand_out(void *ctx, uint64_t n, struct slice bytes, struct slice side)
{
    struct fixture *f = ctx;

    (void)n;
    if (f->n_pushed < 8)
        f->pushed[f->n_pushed++] = (struct pushed){keep(f, bytes), keep(f, side)};
    return 0;
}

/* One change as the daemon prepares it for the writer. */
static int push_change(struct fixture *f, const struct pushed *p, struct err *err)
{
    uint8_t hash[1][HASH_SIZE];
    struct change c;
    struct act act = {.changes = &c, .n = 1, .bytes = &p->bytes, .sides = &p->side};
    bool refused = false;
    struct arena a;
    int ret;

    arena_init(&a, 1u << 20);
    ret = change_decode(&a, p->bytes, p->side, &c);
    if (ret != 0) {
        ret = err_set(err, ret, NULL);
    } else {
        change_hash(city_hasher(f->city), p->bytes, hash[0]);
        act.hashes = (const uint8_t(*)[HASH_SIZE])hash;
        ret = city_push_act(f->city, &f->replica, &act, &refused, err);
    }
    arena_release(&a);
    if (refused)
        fail_msg("a good change was refused");
    return ret;
}

static int push_and_undo(void *ctx, struct err *err)
{
    struct fixture *f = ctx;
    int ret = city_begin(f->city, NOW + 1, err);

    if (ret != 0)
        return ret;
    ret = push_change(f, &f->pushed[0], err);
    city_rollback(f->city);
    return ret;
}

static int act_and_undo(void *ctx, struct err *err)
{
    struct fixture *f = ctx;
    struct id id;
    int ret = city_begin(f->city, NOW + 2, err);

    if (ret != 0)
        return ret;
    ret = make_member(f, &id, err);
    city_rollback(f->city);
    return ret;
}

static int act_and_commit(void *ctx, struct err *err)
{
    struct fixture *f = ctx;
    struct id id;
    int ret = city_begin(f->city, NOW + 3, err);

    if (ret != 0)
        return ret;
    ret = make_member(f, &id, err);
    if (ret == 0)
        return city_commit(f->city, err);
    city_rollback(f->city);
    return ret;
}

/* ---- opening, walking ---- */

static int open_city(void *ctx, struct err *err)
{
    struct fixture *f = ctx;
    struct city_options o = city_options(f);
    struct city *c = NULL;
    int ret = city_open(f->city_path, &o, &c, err);

    assert_true((ret == 0) == (c != NULL));
    city_close(c);
    return ret;
}

static int open_replica(void *ctx, struct err *err)
{
    struct fixture *f = ctx;
    struct replica_keys keys = replica_keys(f);
    struct replica *r = NULL;
    int ret = replica_open(f->replica_path, &keys, &r, err);

    assert_true((ret == 0) == (r != NULL));
    replica_close(r);
    return ret;
}

static void assert_whole(struct fixture *f)
{
    must(f, city_verify(f->city, &f->err));
    must(f, replica_verify(f->r, &f->err));
}

/* ---- SQLite's memory is ours ---- */

/* The size stands before each piece. */
static void *give(size_t *p, int size)
{
    if (p == NULL)
        return NULL;
    *p = (size_t)size;
    return p + 2;
}

static void *sql_malloc(int size)
{
    return give(mem_alloc((size_t)size + 2 * sizeof(size_t)), size);
}

static void sql_free(void *p)
{
    if (p != NULL)
        mem_free((size_t *)p - 2);
}

static void *sql_realloc(void *p, int size)
{
    return give(mem_realloc((size_t *)p - 2, (size_t)size + 2 * sizeof(size_t)), size);
}

static int sql_size(void *p)
{
    return p == NULL ? 0 : (int)((size_t *)p)[-2];
}

static int sql_round_up(int size)
{
    return (size + 7) & ~7;
}

static int sql_start(void *ctx)
{
    (void)ctx;
    return SQLITE_OK;
}

static void sql_stop(void *ctx)
{
    (void)ctx;
}

/* ---- tests ---- */

static void test_oom__open(void **state)
{
    sweep_some(open_city, *state, 64);
    sweep_some(open_replica, *state, 64);
}

/* Entries arrive one act at a time, each tried until memory suffices. */
static void test_oom__apply(void **state)
{
    struct fixture *f = *state;

    bring(f, STREAM_SHARED, true);
    bring(f, SITE, true);
    assert_whole(f);
}

/* Work at the county goes up, is merged, and comes back as its echo. */
static void test_oom__round_trip(void **state)
{
    struct fixture *f = *state;
    struct replica_facts facts;

    bring(f, STREAM_SHARED, false);
    bring(f, SITE, false);
    sweep_some(write_opinion, f, 256);
    must(f, replica_facts(f->r, &facts, &f->err));
    assert_true(facts.own_n >= 1 && facts.pending == facts.own_n);
    must(f, replica_pending(f->r, 1, 8, 1u << 20, hand_out, f, &f->err));
    sweep_some(push_and_undo, f, 256);
    must(f, city_begin(f->city, NOW + 1, &f->err));
    for (size_t i = 0; i < f->n_pushed; i++)
        must(f, push_change(f, &f->pushed[i], &f->err));
    must(f, city_commit(f->city, &f->err));
    bring(f, STREAM_SHARED, false);
    bring(f, SITE, true);
    must(f, replica_facts(f->r, &facts, &f->err));
    assert_int_equal(facts.acked_n, f->n_pushed);
    assert_whole(f);
}

static void test_oom__city_acts(void **state)
{
    struct fixture *f = *state;

    sweep_some(act_and_undo, f, 256);
    sweep_some(act_and_commit, f, 256);
    must(f, city_verify(f->city, &f->err));
}

#define STORES(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORES(test_oom__open),
        STORES(test_oom__apply),
        STORES(test_oom__round_trip),
        STORES(test_oom__city_acts),
    };

    static sqlite3_mem_methods memory = {sql_malloc,   sql_free,  sql_realloc, sql_size,
                                         sql_round_up, sql_start, sql_stop,    NULL};

    if (sqlite3_config(SQLITE_CONFIG_MALLOC, &memory) != SQLITE_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
