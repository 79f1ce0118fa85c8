/* The city's store: identity, order, merging, refusals, groups that fail, upkeep. Two computers of one
 * county and one of another bring acts as the daemon would. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/crypto/hash.h"
#include "server/core/prepare.h"
#include "server/store/city.h"
#include "server/store/city_recover.h"
#include "tests/lib/toy.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define GY      431021u
#define ZX      431081u
#define NOW     1772690400000ull /* 2026-03-05 14:00 in Chenzhou */
#define ACT_MAX 1000u

/* ---- fixture ---- */

struct computer {
    struct id id, clerk;
    uint32_t site, k;
    uint64_t n; /* changes made */
};

struct fixture {
    char dir[64], path[96];
    struct random_seeded seed;
    struct arena a;
    struct err err;
    struct city *city;
    msec_t now;
    struct computer gy1, gy2, zx;
    struct id member, studio;
    uint8_t last_id;
};

static bool sign_fails;

static int sign(void *ctx, struct slice message, struct buf *out)
{
    return sign_fails ? E_INTERNAL : toy_signer().sign(ctx, message, out);
}

static struct city_options options(struct fixture *f)
{
    return (struct city_options){.hasher = hasher_of(HASH_SM3),
                                 .random = random_seeded_init(&f->seed, 1),
                                 .signer = {.sign = sign},
                                 .now = NOW};
}

#define MUST(f, call)                                                                              \
    do {                                                                                           \
        int must_ret = (call);                                                                     \
        if (must_ret != 0)                                                                         \
            fail_msg("%s:%d: %s %s", __func__, __LINE__, err_code(must_ret), (f)->err.text);       \
    } while (0)

static void begin(struct fixture *f)
{
    f->now += 1000;
    MUST(f, city_begin(f->city, f->now, &f->err));
}

static void commit(struct fixture *f)
{
    MUST(f, city_commit(f->city, &f->err));
}

static void reopen(struct fixture *f)
{
    struct city_options o = options(f);

    city_close(f->city);
    MUST(f, city_open(f->path, &o, &f->city, &f->err));
}

static int issue(void *ctx, uint32_t site, char ret_serial[48], uint8_t ret_fingerprint[HASH_SIZE])
{
    if (ctx != NULL)
        return E_AUTH;
    (void)snprintf(ret_serial, 48, "%u", site);
    memset(ret_fingerprint, 7, HASH_SIZE);
    return 0;
}

/* A token for SITE, named by one byte. */
static const uint8_t *token(struct fixture *f, uint32_t site, uint8_t name)
{
    uint8_t *secret = arena_zalloc(&f->a, HASH_SIZE);

    memset(secret, name, HASH_SIZE);
    MUST(f, city_token_add(f->city, site, secret, f->now + 5000, &f->err));
    return secret;
}

static int enrol(struct fixture *f, const uint8_t *secret, struct computer *ret)
{
    *ret = (struct computer){.id = {{1, ++f->last_id, [8] = f->last_id}}};
    return city_enrol(f->city, secret, &ret->id, issue, NULL, &ret->site, &ret->k, &ret->clerk,
                      &f->err);
}

/* ---- changes ---- */

static struct value set_of(const char *codes)
{
    return (struct value){.type = V_SET, .s = slice_str(codes)};
}

/* The field NAME of C set to V, in the form a county brings it. */
static struct field_change *put(struct fixture *f, struct change *c, const char *name,
                                struct value v)
{
    const struct field *field = kind_field_named(catalogue_kind(c->kind), name);
    struct field_change *fields;
    size_t i = c->n_fields++;

    assert_non_null(field);
    fields = arena_zalloc(&f->a, c->n_fields * sizeof *fields);
    if (i > 0)
        memcpy(fields, c->fields, i * sizeof *fields);
    for (; i > 0 && fields[i - 1].tag > field->tag; i--)
        fields[i] = fields[i - 1];
    fields[i] = (struct field_change){.tag = field->tag, .form = FORM_SET, .v = v};
    if (field->vanish != VANISH_NO && !id_is_zero(&c->actor)) {
        fields[i].form = FORM_HASHED;
        memset(fields[i].salt, 9, SALT_SIZE);
        change_commit_value(hasher_of(HASH_SM3), fields[i].salt, &v, fields[i].hash);
    }
    c->fields = fields;
    return &fields[i];
}

static struct change blank(const struct computer *k, const char *kind, enum change_op op,
                           const struct id *record)
{
    return (struct change){.replica = k->id,
                           .stream = k->site,
                           .act_len = 1,
                           .made_at = NOW,
                           .actor = k->clerk,
                           .seen = UINT64_MAX >> 1,
                           .catalogue = CATALOGUE_VERSION,
                           .kind = catalogue_kind_named(kind)->tag,
                           .record = *record,
                           .op = op};
}

static struct id new_id(struct fixture *f)
{
    return (struct id){{2, ++f->last_id, [15] = f->last_id}};
}

static struct change opinion(struct fixture *f, const struct computer *k, struct id *ret_id)
{
    const struct id id = new_id(f);
    struct change c = blank(k, "opinion", OP_CREATE, &id);

    c.to = slice_str("collected");
    (void)put(f, &c, "site", value_str(k->site == GY ? "431021" : "431081"));
    (void)put(f, &c, "studio_id", value_id(&f->studio));
    (void)put(f, &c, "received_at", value_str("2026-01-05T09:30:00+08:00"));
    (void)put(f, &c, "channel", value_str("visit"));
    (void)put(f, &c, "receiver", value_id(&f->member));
    (void)put(f, &c, "anonymous", value_int(1));
    (void)put(f, &c, "title", value_str("路灯不亮"));
    (void)put(f, &c, "content", value_str("村口的路灯坏了很久，晚上看不清路"));
    (void)put(f, &c, "category", value_str("social"));
    *ret_id = id;
    return c;
}

static struct change edit(struct fixture *f, const struct computer *k, const struct id *id,
                          const char *field, struct value v, uint64_t seen)
{
    struct change c = blank(k, "opinion", OP_SET, id);

    c.seen = seen;
    (void)put(f, &c, field, v);
    return c;
}

static struct change voiding(struct fixture *f, const struct computer *k, const struct id *id,
                             uint64_t seen)
{
    struct change c = blank(k, "opinion", OP_VOID, id);

    c.seen = seen;
    (void)put(f, &c, "voided", value_int(1));
    (void)put(f, &c, "void_reason", value_str("重复登记"));
    return c;
}

static struct slice packed(struct fixture *f, void (*encode)(struct buf *, const struct change *),
                           const struct change *c)
{
    struct slice s;
    struct buf b;

    buf_init(&b, 1u << 20);
    encode(&b, c);
    assert_int_equal(b.ret, 0);
    s = (struct slice){arena_dup(&f->a, b.p, b.len), b.len};
    buf_release(&b);
    return s;
}

/* The COUNT changes as the computer's next act, within a group. Counts them when they were answered. */
static int bring(struct fixture *f, struct computer *k, const struct change *changes, size_t count,
                 bool *ret_refused)
{
    struct change *c = arena_alloc(&f->a, count * sizeof *c);
    struct slice *bytes = arena_alloc(&f->a, count * sizeof *bytes);
    struct slice *sides = arena_alloc(&f->a, count * sizeof *sides);
    uint8_t(*hashes)[HASH_SIZE] = arena_alloc(&f->a, count * HASH_SIZE);
    struct act act = {.changes = c,
                      .n = count,
                      .bytes = bytes,
                      .sides = sides,
                      .hashes = (const uint8_t(*)[HASH_SIZE])hashes,
                      .actor = {.account = changes->actor, .site = k->site, .side = SIDE_COUNTY}};
    int ret;

    for (size_t i = 0; i < count; i++) {
        c[i] = changes[i];
        c[i].n = k->n + 1 + i;
        c[i].act_pos = (uint32_t)i;
        c[i].act_len = (uint32_t)count;
        bytes[i] = packed(f, change_encode, &c[i]);
        sides[i] = packed(f, change_encode_side, &c[i]);
        MUST(f, change_decode(&f->a, bytes[i], sides[i], &c[i]));
        change_hash(city_hasher(f->city), bytes[i], hashes[i]);
    }
    ret = city_push_act(f->city, &k->id, &act, ret_refused, &f->err);
    if (ret == 0)
        k->n += count;
    return ret;
}

struct last_refusal {
    struct fixture *f;
    uint64_t first_n, last_n, at_n;
    char code[32];
    bool quarantined;
    unsigned n;
};

static int see_refusal(void *ctx, const struct refusal *r)
{
    struct last_refusal *l = ctx;

    l->first_n = r->first_n;
    l->last_n = r->last_n;
    l->at_n = r->at_n;
    l->quarantined = r->quarantined;
    (void)snprintf(l->code, sizeof l->code, "%.*s", (int)r->code.len, (const char *)r->code.p);
    l->n++;
    return 0;
}

/* To a computer that says it has its answers up to ACKED_N. */
static struct last_refusal refusals_above(struct fixture *f, const struct computer *k,
                                          uint64_t acked_n)
{
    struct last_refusal l = {.f = f};

    MUST(f, city_refusals(f->city, &k->id, acked_n, see_refusal, &l, &f->err));
    return l;
}

static struct last_refusal refusals(struct fixture *f, const struct computer *k)
{
    return refusals_above(f, k, UINT64_MAX);
}

/* One act in a group of its own: 0 or the code of its refusal. */
static int push_act(struct fixture *f, struct computer *k, const struct change *changes, size_t n)
{
    bool refused = false;

    begin(f);
    MUST(f, bring(f, k, changes, n, &refused));
    commit(f);
    return refused ? err_from_code(refusals(f, k).code) : 0;
}

/* C as change N and act of its own, behind CHAIN. BYTES and SIDE are the act's. */
static struct act prepared(struct fixture *f, struct change *c, uint64_t n, const uint8_t chain[HASH_SIZE],
                           struct slice *bytes, struct slice *side)
{
    struct act act = {.changes = c, .n = 1, .bytes = bytes, .sides = side};
    uint8_t at[HASH_SIZE];

    c->n = n;
    *bytes = packed(f, change_encode, c);
    *side = packed(f, change_encode_side, c);
    MUST(f, change_decode(&f->a, *bytes, *side, c));
    memcpy(at, chain, HASH_SIZE);
    MUST(f, act_prepare(&f->a, city_hasher(f->city), at, &act));
    return act;
}

/* C as change N of computer K, behind CHAIN: whether it is known. */
static int known(struct fixture *f, const struct computer *k, struct change c, uint64_t n, const uint8_t chain[HASH_SIZE])
{
    struct slice bytes, side;
    struct act act = prepared(f, &c, n, chain, &bytes, &side);

    return city_push_known(f->city, &k->id, &act, &f->err);
}

static int push(struct fixture *f, struct computer *k, struct change c)
{
    return push_act(f, k, &c, 1);
}

static int by_city(struct fixture *f, const struct actor *who, struct change *c)
{
    struct act act = {.changes = c, .n = 1, .actor = *who};

    c->seen = c->seen != 0 ? c->seen : UINT64_MAX >> 1;
    return city_act(f->city, &act, &f->err);
}

static const struct actor by_system = {.is_system = true, .side = SIDE_CITY, .site = SITE_CITY};

static struct change studio(struct fixture *f)
{
    struct change c = {.op = OP_CREATE,
                       .kind = catalogue_kind_named("studio")->tag,
                       .stream = GY,
                       .to = slice_str("operating")};

    (void)put(f, &c, "name", value_str("惠民委员工作室"));
    (void)put(f, &c, "level", value_str("county"));
    return c;
}

/* ---- questions ---- */

static struct row *get(struct fixture *f, const char *kind, const struct id *id)
{
    struct row *row;

    MUST(f, store_row_get(city_store(f->city), &f->a, catalogue_kind_named(kind), id, &row, &f->err));
    assert_non_null(row);
    return row;
}

static uint64_t seq_of(struct fixture *f, uint32_t stream)
{
    struct stream_head h;

    MUST(f, store_stream_get(city_store(f->city), stream, &h, &f->err));
    return h.seq;
}

static size_t conflicts(struct fixture *f, const struct id *record, struct row ***ret)
{
    const struct kind *kind = catalogue_kind_named("conflict");
    struct value v = value_id(record);
    size_t n;

    MUST(f, store_row_find(city_store(f->city), &f->a, kind, kind_field_named(kind, "target_id")->tag,
                           &v, ret, &n, &f->err));
    return n;
}

static void assert_field(struct fixture *f, const struct id *id, const char *field, const char *text)
{
    struct slice s = row_text(get(f, "opinion", id), field);

    if (!slice_eq(s, slice_str(text)))
        fail_msg("%s is '%.*s', not '%s'", field, (int)s.len, (const char *)s.p, text);
}

static void digest(struct fixture *f, uint8_t ret[HASH_SIZE])
{
    MUST(f, store_projection_digest(city_store(f->city), city_hasher(f->city), ret, &f->err));
}

/* A rebuild sums up what every edit so far had moved. */
static void assert_sums(struct fixture *f, const uint8_t before[ROOT_SIZE])
{
    uint8_t root[ROOT_SIZE];

    MUST(f, store_digest_root(city_store(f->city), GY, root, &f->err));
    assert_memory_equal(root, before, ROOT_SIZE);
    MUST(f, city_verify(f->city, &f->err));
}

/* The log is whole and the tables follow from it. */
static void assert_whole(struct fixture *f)
{
    uint8_t before[HASH_SIZE], after[HASH_SIZE];
    uint8_t sums_before[ROOT_SIZE];

    MUST(f, city_verify(f->city, &f->err));
    digest(f, before);
    MUST(f, store_digest_root(city_store(f->city), GY, sums_before, &f->err));
    MUST(f, city_rebuild(f->city, &f->err));
    digest(f, after);
    assert_memory_equal(before, after, HASH_SIZE);
    assert_sums(f, sums_before);
}

/* ---- set-up ---- */

static void settle(struct fixture *f)
{
    struct change member = {.op = OP_CREATE, .kind = catalogue_kind_named("member")->tag, .stream = GY};
    struct change home = studio(f);

    (void)put(f, &member, "name", value_str("何委员"));
    (void)put(f, &member, "level", set_of("city,county"));
    (void)put(f, &member, "unit_title", value_str("县医院医师"));
    (void)put(f, &member, "status", value_str("active"));
    begin(f);
    MUST(f, by_city(f, &by_system, &member));
    MUST(f, by_city(f, &by_system, &home));
    f->member = member.record;
    f->studio = home.record;
    MUST(f, enrol(f, token(f, GY, 1), &f->gy1));
    MUST(f, enrol(f, token(f, GY, 2), &f->gy2));
    MUST(f, enrol(f, token(f, ZX, 3), &f->zx));
    commit(f);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct city_options o;

    *state = f;
    sign_fails = false;
    arena_init(&f->a, 512u << 20);
    strcpy(f->dir, "/tmp/test_city_XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    (void)snprintf(f->path, sizeof f->path, "%s/city.db", f->dir);
    f->now = NOW;
    o = options(f);
    MUST(f, city_create(f->path, &o, "第五届", &f->err));
    MUST(f, city_open(f->path, &o, &f->city, &f->err));
    settle(f);
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char command[128];

    city_close(f->city);
    arena_release(&f->a);
    (void)snprintf(command, sizeof command, "rm -r %s", f->dir);
    assert_int_equal(system(command), 0);
    free(f);
    return 0;
}

/* ---- a new city ---- */

/* Twelve sites, a term, its own units; a second creation is refused and changes nothing. */
static void test_city__create(void **state)
{
    struct fixture *f = *state;
    struct city_options o = options(f);
    const struct kind *site = catalogue_kind_named("site");
    struct value v = value_str("431081");
    struct row **rows;
    size_t n;

    MUST(f, store_row_find(city_store(f->city), &f->a, site, kind_field_named(site, "code")->tag, &v,
                           &rows, &n, &f->err));
    assert_int_equal(n, 1);
    assert_true(slice_eq(row_text(rows[0], "serial_letter"), slice_str("ZX")));
    assert_int_equal(rows[0]->stream, STREAM_SHARED);
    assert_int_equal(city_create(f->path, &o, "第六届", &f->err), E_EXISTS);
    assert_whole(f);
}

static int make_city(struct fixture *f, const char *term)
{
    struct city_options o = options(f);
    char path[128];

    (void)snprintf(path, sizeof path, "%s/other.db", f->dir);
    return city_create(path, &o, term, &f->err);
}

static int see_term(void *ctx, struct row *row)
{
    *(int64_t *)ctx = row_int(row, "ordinal");
    return 0;
}

/* The ordinal of the term of the city that was made beside ours; the file goes. */
static int64_t ordinal_made(struct fixture *f)
{
    struct city_options o = options(f);
    int64_t ordinal = 0;
    struct city *made;
    char path[128];

    (void)snprintf(path, sizeof path, "%s/other.db", f->dir);
    MUST(f, city_open(path, &o, &made, &f->err));
    MUST(f, store_row_each(city_store(made), catalogue_kind_named("term"), see_term, &ordinal, &f->err));
    city_close(made);
    assert_int_equal(unlink(path), 0);
    return ordinal;
}

/* The term is written as people write it, and numbered by that; another word leaves a file that the right one
 * can still be put into. */
static void test_city__terms(void **state)
{
    static const struct {
        const char *name;
        int64_t ordinal;
    } terms[] = {{"第一届", 1}, {"第九届", 9}, {"第十届", 10}, {"第十二届", 12}, {"第二十届", 20}, {"第二十一届", 21}};
    static const char *const wrong[] = {"", "五届", "第届", "第五", "第5届", "第五次届"};
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(make_city(f, wrong[i]), E_INVALID);
        assert_non_null(strstr(f->err.text, "第五届"));
    }
    for (size_t i = 0; i < sizeof terms / sizeof *terms; i++) {
        MUST(f, make_city(f, terms[i].name));
        assert_int_equal(ordinal_made(f), terms[i].ordinal);
    }
}

/* What somebody, or the disk, did to the file beside us. */
static void harm(struct fixture *f, const char *text)
{
    sqlite3 *db = store_db(city_store(f->city));

    if (sqlite3_exec(db, text, NULL, NULL, NULL) != SQLITE_OK || sqlite3_changes(db) == 0)
        fail_msg("%s: %s", text, sqlite3_errmsg(db));
}

/* A file that does not say which ledger it is, or says it in a form of later, is not opened, and why is told. */
static void test_city__not_opened(void **state)
{
    static const struct {
        const char *harm, *mend;
        int ret;
    } cases[] = {
        {"UPDATE meta SET value = value || x'00' WHERE name = 'ledger'",
         "UPDATE meta SET value = substr(value, 1, 16) WHERE name = 'ledger'", E_CORRUPT},
        {"UPDATE meta SET name = 'incarnation?' WHERE name = 'incarnation'",
         "UPDATE meta SET name = 'incarnation' WHERE name = 'incarnation?'", E_NOTFOUND},
        {"UPDATE meta SET value = '99' WHERE name = 'hash'", NULL, E_VERSION},
    };
    struct fixture *f = *state;
    struct city_options o = options(f);
    struct city *other;

    o.hasher = NULL; /* as the file says */
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        MUST(f, city_open(f->path, &o, &other, &f->err));
        assert_ptr_equal(city_hasher(other), hasher_of(HASH_SM3));
        city_close(other);
        harm(f, cases[i].harm);
        f->err = (struct err){.ret = 0};
        assert_int_equal(city_open(f->path, &o, &other, &f->err), cases[i].ret);
        assert_null(other);
        assert_true(f->err.ret == cases[i].ret && f->err.text[0] != '\0');
        if (cases[i].mend != NULL)
            harm(f, cases[i].mend);
    }
}

/* More streams than a city has: nothing is cut off in silence. */
static void test_city__too_many_streams(void **state)
{
    struct fixture *f = *state;
    struct city_options o = options(f);
    struct city *other;

    harm(f, "INSERT INTO stream SELECT s.stream + 1000000 + t.stream, s.seq, s.hash, s.incarnation"
            " FROM stream s, (SELECT stream FROM stream LIMIT 1) t");
    f->err = (struct err){.ret = 0};
    assert_int_equal(city_open(f->path, &o, &other, &f->err), E_CORRUPT);
    assert_null(other);
    assert_true(f->err.ret == E_CORRUPT && f->err.text[0] != '\0');
}

/* ---- enrolment ---- */

static void test_city__enrol(void **state)
{
    struct fixture *f = *state;
    const struct kind *account = catalogue_kind_named("user_account");
    struct value v = value_str("clerk");
    struct computer third;
    const uint8_t *secret;
    struct row **rows;
    size_t n;

    assert_int_equal(f->gy1.k, 1);
    assert_int_equal(f->gy2.k, 2);
    assert_int_equal(f->zx.k, 1);
    assert_true(id_eq(&f->gy1.clerk, &f->gy2.clerk));
    assert_false(id_eq(&f->gy1.clerk, &f->zx.clerk));
    MUST(f, store_row_find(city_store(f->city), &f->a, account,
                           kind_field_named(account, "login")->tag, &v, &rows, &n, &f->err));
    assert_int_equal(n, 2);

    begin(f);
    secret = token(f, GY, 4);
    MUST(f, enrol(f, secret, &third));
    assert_int_equal(third.k, 3);
    assert_int_equal(enrol(f, secret, &third), E_TOKEN); /* in the same group */
    commit(f);
    begin(f);
    assert_int_equal(enrol(f, secret, &third), E_TOKEN);
    secret = token(f, GY, 5);
    commit(f);
    f->now += 5000;
    begin(f);
    assert_int_equal(enrol(f, secret, &third), E_TOKEN); /* late */
    assert_int_equal(city_token_add(f->city, 999999, secret, f->now, &f->err), E_NOTFOUND);
    commit(f);
}

/* The city makes a site's first account once; what the site made of it is the site's. */
static void test_city__clerk_once(void **state)
{
    struct fixture *f = *state;
    const struct kind *account = catalogue_kind_named("user_account");
    struct change c = blank(&f->gy1, "user_account", OP_VOID, &f->gy1.clerk);
    struct value v = value_str("clerk");
    struct computer third;
    struct row **rows;
    size_t n;

    (void)put(f, &c, "voided", value_int(1));
    (void)put(f, &c, "void_reason", value_str("改用实名账户"));
    assert_int_equal(push(f, &f->gy1, c), 0);
    begin(f);
    MUST(f, enrol(f, token(f, GY, 4), &third));
    commit(f);
    assert_true(id_eq(&third.clerk, &f->gy1.clerk));
    MUST(f, store_row_find(city_store(f->city), &f->a, account,
                           kind_field_named(account, "login")->tag, &v, &rows, &n, &f->err));
    assert_int_equal(n, 1); /* the other site's */
}

/* ---- order ---- */

static void test_city__order(void **state)
{
    struct fixture *f = *state;
    struct computer stranger = f->gy1;
    bool refused;
    struct id id;
    struct change c = opinion(f, &f->gy1, &id);

    assert_int_equal(push(f, &f->gy1, c), 0);
    begin(f);
    f->gy1.n = 0;
    assert_int_equal(bring(f, &f->gy1, &c, 1, &refused), E_PROTOCOL);
    f->gy1.n = 2;
    assert_int_equal(bring(f, &f->gy1, &c, 1, &refused), E_PROTOCOL);
    f->gy1.n = 1;
    stranger.id.b[0] ^= 1;
    c.replica = stranger.id;
    assert_int_equal(bring(f, &stranger, &c, 1, &refused), E_NOTFOUND);
    MUST(f, city_replica_set_state(f->city, &f->gy1.id, REPLICA_LOST, &f->err));
    c.replica = f->gy1.id;
    assert_int_equal(bring(f, &f->gy1, &c, 1, &refused), E_REVOKED);
    city_rollback(f->city);
    assert_whole(f);
}

/* ---- merging ---- */

/* Two hands on one field: one conflict, which a later value of the same hand updates. */
static void test_city__conflict_once(void **state)
{
    struct fixture *f = *state;
    struct row **rows;
    struct change c;
    uint64_t seen;
    struct id id;

    assert_int_equal(push(f, &f->gy1, opinion(f, &f->gy1, &id)), 0);
    seen = seq_of(f, GY);
    assert_int_equal(push(f, &f->gy1, edit(f, &f->gy1, &id, "keywords", value_str("甲"), seen)), 0);
    assert_int_equal(push(f, &f->gy2, edit(f, &f->gy2, &id, "keywords", value_str("乙"), seen)), 0);
    assert_field(f, &id, "keywords", "甲");
    assert_int_equal(conflicts(f, &id, &rows), 1);
    assert_int_equal(row_int(rows[0], "later_seq"), seen + 2);
    assert_int_equal(row_int(rows[0], "stands_seq"), seen + 1);
    c = edit(f, &f->gy2, &id, "keywords", value_str("丙"), seen);
    c.fields[0].saw_n = f->gy2.n;
    assert_int_equal(push(f, &f->gy2, c), 0);
    assert_field(f, &id, "keywords", "甲");
    assert_int_equal(conflicts(f, &id, &rows), 1);
    assert_int_equal(row_int(rows[0], "later_seq"), seen + 4);
    assert_whole(f);
}

/* After a restore: what an author saw of the life that is over is not what stands there now. His later work is
 * not touched by that. */
static void test_city__seen_in_another_life(void **state)
{
    struct fixture *f = *state;
    struct row **rows;
    uint64_t cut, before;
    struct id id;

    assert_int_equal(push(f, &f->gy1, opinion(f, &f->gy1, &id)), 0);
    cut = seq_of(f, GY);
    before = f->gy2.n + 1;
    begin(f);
    MUST(f, city_restart(f->city, "磁盘损坏", &f->err));
    MUST(f, city_recover_close(f->city, "wang", &f->err));
    MUST(f, city_went_back(f->city, &f->gy2.id, GY, cut, before, &f->err));
    commit(f);
    assert_int_equal(push(f, &f->gy1, edit(f, &f->gy1, &id, "keywords", value_str("甲"), cut)), 0);
    assert_int_equal(push(f, &f->gy2, edit(f, &f->gy2, &id, "keywords", value_str("乙"), cut + 9)), 0);
    assert_field(f, &id, "keywords", "甲");
    assert_int_equal(conflicts(f, &id, &rows), 1);
    assert_int_equal(push(f, &f->gy2, edit(f, &f->gy2, &id, "demand", value_str("修灯"), cut + 9)), 0);
    assert_int_equal(push(f, &f->gy1, edit(f, &f->gy1, &id, "demand", value_str("换灯"), seq_of(f, GY))), 0);
    assert_field(f, &id, "demand", "换灯");
    assert_int_equal(push(f, &f->gy2, edit(f, &f->gy2, &id, "demand", value_str("拆灯"), seq_of(f, GY))), 0);
    assert_field(f, &id, "demand", "拆灯");
}

/* What he saw below that place he saw, and no more. */
static void test_city__seen_in_both_lives(void **state)
{
    struct fixture *f = *state;
    struct row **rows;
    uint64_t seen;
    struct id id;

    assert_int_equal(push(f, &f->gy1, opinion(f, &f->gy1, &id)), 0);
    seen = seq_of(f, GY);
    assert_int_equal(push(f, &f->gy1, edit(f, &f->gy1, &id, "keywords", value_str("甲"), seen)), 0);
    begin(f);
    MUST(f, city_restart(f->city, "磁盘损坏", &f->err));
    MUST(f, city_recover_close(f->city, "wang", &f->err));
    MUST(f, city_went_back(f->city, &f->gy2.id, GY, seq_of(f, GY), f->gy2.n + 1, &f->err));
    commit(f);
    assert_int_equal(push(f, &f->gy2, edit(f, &f->gy2, &id, "keywords", value_str("乙"), seen)), 0);
    assert_field(f, &id, "keywords", "甲");
    assert_int_equal(conflicts(f, &id, &rows), 1);
    assert_whole(f);
}

/* Nothing is appended while a person looks at what came back: what is pushed, and what is kept aside, waits. */
static void test_city__recovering(void **state)
{
    struct fixture *f = *state;
    struct change c;
    bool refused;
    uint64_t n;
    struct id id;

    begin(f);
    MUST(f, city_replica_set_state(f->city, &f->gy2.id, REPLICA_RETIRED, &f->err));
    commit(f);
    assert_int_equal(push(f, &f->gy2, opinion(f, &f->gy2, &id)), E_QUARANTINE);
    begin(f);
    MUST(f, city_restart(f->city, "磁盘损坏", &f->err));
    c = opinion(f, &f->gy1, &id);
    assert_int_equal(bring(f, &f->gy1, &c, 1, &refused), E_RECOVERING);
    assert_int_equal(city_quarantine_release(f->city, &f->gy2.id, 0, &n, &f->err), E_RECOVERING);
    city_rollback(f->city);
    assert_false(city_recovering(f->city)); /* the life before goes on */
    assert_int_equal(push(f, &f->gy1, c), 0);
    begin(f);
    MUST(f, city_quarantine_release(f->city, &f->gy2.id, 0, &n, &f->err));
    commit(f);
    assert_int_equal(n, 1);
    assert_whole(f);
}

/* An equal value changes nothing; another field merges without a word. */
static void test_city__equal_and_other(void **state)
{
    struct fixture *f = *state;
    struct row **rows;
    uint64_t seen;
    struct id id;

    assert_int_equal(push(f, &f->gy1, opinion(f, &f->gy1, &id)), 0);
    seen = seq_of(f, GY);
    assert_int_equal(push(f, &f->gy1, edit(f, &f->gy1, &id, "keywords", value_str("甲"), seen)), 0);
    assert_int_equal(push(f, &f->gy2, edit(f, &f->gy2, &id, "keywords", value_str("甲"), seen)), 0);
    assert_int_equal(push(f, &f->gy2, edit(f, &f->gy2, &id, "demand", value_str("修灯"), seen)), 0);
    assert_int_equal(conflicts(f, &id, &rows), 0);
    assert_int_equal(seq_of(f, GY), seen + 3);
    assert_field(f, &id, "demand", "修灯");
    assert_whole(f);
}

/* Elements of a set merge. */
static void test_city__delta(void **state)
{
    struct fixture *f = *state;
    struct id id = new_id(f);
    struct change c = blank(&f->gy1, "user_account", OP_CREATE, &id);
    const char *more[] = {"county_clerk", "county_lead"};
    struct computer *who[] = {&f->gy1, &f->gy2};
    struct row **rows;
    uint64_t seen;

    (void)put(f, &c, "site", value_str("431021"));
    (void)put(f, &c, "login", value_str("wang"));
    (void)put(f, &c, "name", value_str("小王"));
    (void)put(f, &c, "role", set_of("studio_user"));
    (void)put(f, &c, "active", value_int(1));
    assert_int_equal(push(f, &f->gy1, c), 0);
    seen = seq_of(f, GY);
    for (size_t i = 0; i < 2; i++) {
        struct field_change *fc;

        c = blank(who[i], "user_account", OP_SET, &id);
        c.seen = seen;
        fc = put(f, &c, "role", set_of(more[i]));
        fc->form = FORM_DELTA;
        fc->del = set_of("studio_user");
        assert_int_equal(push(f, who[i], c), 0);
    }
    assert_true(slice_eq(row_named(get(f, "user_account", &id), "role")->s,
                         slice_str("county_clerk,county_lead")));
    assert_int_equal(conflicts(f, &id, &rows), 0);
    assert_whole(f);
}

/* An edit that meets a void is withheld, whole, into one conflict of the record. */
static void test_city__void_and_edit(void **state)
{
    struct fixture *f = *state;
    struct row **rows;
    uint64_t seen;
    struct id id;

    assert_int_equal(push(f, &f->gy1, opinion(f, &f->gy1, &id)), 0);
    seen = seq_of(f, GY);
    assert_int_equal(push(f, &f->gy1, voiding(f, &f->gy1, &id, seen)), 0);
    assert_int_equal(push(f, &f->gy2, edit(f, &f->gy2, &id, "keywords", value_str("乙"), seen)), 0);
    assert_field(f, &id, "keywords", "");
    assert_int_equal(conflicts(f, &id, &rows), 1);
    assert_int_equal(row_text(rows[0], "field").len, 0);
    assert_int_equal(row_int(rows[0], "stands_seq"), seen + 1);
    assert_whole(f);
}

/* A voiding says that it is one and why, and nothing else. Each is tried on a record of its own: what follows a
 * refusal falls with it. */
static void test_city__void_that_is_none(void **state)
{
    struct fixture *f = *state;
    const struct {
        enum change_op op;
        struct value voided, reason;
        bool has_reason, more;
        int want;
    } cases[] = {
        {OP_VOID, value_int(1), value_null(), false, false, E_INVALID},
        {OP_VOID, value_int(1), value_null(), true, false, E_INVALID},
        {OP_VOID, value_int(1), value_str("错"), true, true, E_MALFORMED},
        {OP_VOID, value_int(0), value_str("错"), true, false, E_MALFORMED},
        {OP_VOID, value_null(), value_str("错"), true, false, E_MALFORMED},
        {OP_UNVOID, value_int(1), value_null(), false, false, E_MALFORMED},
        {OP_UNVOID, value_int(0), value_null(), false, false, E_STATE},
        {OP_VOID, value_int(1), value_str("错"), true, false, 0},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct change c;
        struct id id;

        assert_int_equal(push(f, &f->gy1, opinion(f, &f->gy1, &id)), 0);
        c = blank(&f->gy1, "opinion", cases[i].op, &id);
        c.seen = seq_of(f, GY);
        (void)put(f, &c, "voided", cases[i].voided);
        if (cases[i].has_reason)
            (void)put(f, &c, "void_reason", cases[i].reason);
        if (cases[i].more)
            (void)put(f, &c, "keywords", value_str("路灯"));
        assert_int_equal(push(f, &f->gy1, c), cases[i].want);
    }
    assert_whole(f);
}

/* A child row that meets a void its author had not seen stays, and is listed. */
static void test_city__void_and_child(void **state)
{
    struct fixture *f = *state;
    struct change parent = {.op = OP_CREATE,
                            .kind = catalogue_kind_named("submission")->tag,
                            .stream = GY,
                            .to = slice_str("draft")};
    struct row **rows;
    struct change c;
    uint64_t seen;
    struct id id = new_id(f);

    (void)put(f, &parent, "title", value_str("关于路灯的建议"));
    begin(f);
    MUST(f, by_city(f, &by_system, &parent));
    commit(f);
    seen = seq_of(f, GY);
    c = voiding(f, &f->gy1, &parent.record, seen);
    c.kind = parent.kind;
    assert_int_equal(push(f, &f->gy1, c), 0);
    c = blank(&f->gy2, "signature", OP_CREATE, &id);
    c.seen = seen;
    (void)put(f, &c, "site", value_str("431021"));
    (void)put(f, &c, "target_kind", value_str("submission"));
    (void)put(f, &c, "target_id", value_id(&parent.record));
    (void)put(f, &c, "member_id", value_id(&f->member));
    (void)put(f, &c, "signed_on", value_str("2026-01-05"));
    (void)put(f, &c, "method", value_str("手写扫描"));
    assert_int_equal(push(f, &f->gy2, c), 0);
    assert_int_equal(conflicts(f, &id, &rows), 1);
    assert_int_equal(row_int(rows[0], "stands_seq"), seen + 1);
    assert_int_equal(row_int(rows[0], "later_seq"), seen + 2);
    assert_whole(f);
}

/* What was voided is not moved on by one who did not know. */
static void test_city__void_and_move(void **state)
{
    struct fixture *f = *state;
    struct change c;
    uint64_t seen;
    struct id id;

    assert_int_equal(push(f, &f->gy1, opinion(f, &f->gy1, &id)), 0);
    seen = seq_of(f, GY);
    assert_int_equal(push(f, &f->gy1, voiding(f, &f->gy1, &id, seen)), 0);
    c = blank(&f->gy2, "opinion", OP_TRANSITION, &id);
    c.from = slice_str("collected");
    c.to = slice_str("verifying");
    c.seen = seen;
    assert_int_equal(push(f, &f->gy2, c), E_STATE);
    assert_true(row_in_state(get(f, "opinion", &id), "collected"));
    assert_whole(f);
}

/* A step is one from the state that its author saw, though the same step is open from where the record
 * stands now. */
static void test_city__somebody_was_faster(void **state)
{
    struct fixture *f = *state;
    struct change parent = {.op = OP_CREATE,
                            .kind = catalogue_kind_named("submission")->tag,
                            .stream = GY,
                            .to = slice_str("draft")};
    struct change c;
    struct id id;

    (void)put(f, &parent, "title", value_str("关于路灯的建议"));
    begin(f);
    MUST(f, by_city(f, &by_system, &parent));
    commit(f);
    assert_int_equal(push(f, &f->gy1, opinion(f, &f->gy1, &id)), 0);
    c = blank(&f->gy1, "opinion", OP_TRANSITION, &id);
    c.from = slice_str("collected");
    c.to = slice_str("verifying");
    assert_int_equal(push(f, &f->gy1, c), 0);
    c.from = slice_str("verifying");
    c.to = slice_str("local_handling");
    (void)put(f, &c, "handler_unit", value_str("住建局"));
    (void)put(f, &c, "due_on", value_str("2026-04-01"));
    assert_int_equal(push(f, &f->gy1, c), 0);

    c = blank(&f->gy2, "opinion", OP_TRANSITION, &id);
    c.from = slice_str("verifying");
    c.to = slice_str("forwarded");
    (void)put(f, &c, "submission_id", value_id(&parent.record));
    (void)put(f, &c, "reasonable", value_int(1));
    assert_int_equal(push(f, &f->gy2, c), E_STATE);
    assert_true(row_in_state(get(f, "opinion", &id), "local_handling"));
    assert_int_equal(push(f, &f->gy1, edit(f, &f->gy1, &id, "keywords", value_str("甲"),
                                           UINT64_MAX >> 1)), 0);
    c.replica = f->gy1.id;
    c.from = slice_str("local_handling");
    assert_int_equal(push(f, &f->gy1, c), 0);
    assert_whole(f);
}

/* A shift of the county's studio, planned. */
static struct id shift(struct fixture *f)
{
    struct change c = {.op = OP_CREATE,
                       .kind = catalogue_kind_named("duty_shift")->tag,
                       .stream = GY,
                       .to = slice_str("planned")};

    (void)put(f, &c, "studio_id", value_id(&f->studio));
    (void)put(f, &c, "duty_on", value_str("2026-03-09"));
    (void)put(f, &c, "start_time", value_str("09:00"));
    (void)put(f, &c, "end_time", value_str("11:00"));
    (void)put(f, &c, "member_ids", (struct value){.type = V_IDS, .s = {f->member.b, ID_SIZE}});
    (void)put(f, &c, "published", value_int(0));
    begin(f);
    MUST(f, by_city(f, &by_system, &c));
    commit(f);
    return c.record;
}

/* A step that seals stands only on what its author saw. */
static void test_city__sealing_step(void **state)
{
    struct fixture *f = *state;
    struct id id = shift(f);
    uint64_t seen = seq_of(f, GY);
    struct change c;

    c = blank(&f->gy2, "duty_shift", OP_SET, &id);
    (void)put(f, &c, "end_time", value_str("12:00"));
    assert_int_equal(push(f, &f->gy2, c), 0);

    c = blank(&f->gy1, "duty_shift", OP_TRANSITION, &id);
    c.from = slice_str("planned");
    c.to = slice_str("confirmed");
    c.seen = seen;
    assert_int_equal(push(f, &f->gy1, c), E_CONFLICT);
    assert_true(row_in_state(get(f, "duty_shift", &id), "planned"));
    begin(f);
    MUST(f, city_refused_ack(f->city, &f->gy1.id, f->gy1.n, f->gy1.n, &f->err));
    commit(f);
    c.seen = seen + 1;
    assert_int_equal(push(f, &f->gy1, c), 0);
    assert_true(row_in_state(get(f, "duty_shift", &id), "confirmed"));
    assert_whole(f);
}

/* Nobody seals what he did not see; his own later changes he saw. */
static void test_city__seal(void **state)
{
    struct fixture *f = *state;
    struct change both[2];
    uint64_t seen;
    struct id id;

    assert_int_equal(push(f, &f->gy1, opinion(f, &f->gy1, &id)), 0);
    seen = seq_of(f, GY);
    assert_int_equal(push(f, &f->gy2, edit(f, &f->gy2, &id, "keywords", value_str("乙"), seen)), 0);
    assert_int_equal(push(f, &f->gy1, voiding(f, &f->gy1, &id, seen)), E_CONFLICT);
    assert_false(row_voided(get(f, "opinion", &id)));

    assert_int_equal(push(f, &f->gy2, edit(f, &f->gy2, &id, "demand", value_str("修灯"), seen)), 0);
    assert_int_equal(push(f, &f->gy2, voiding(f, &f->gy2, &id, seen)), 0);
    assert_true(row_voided(get(f, "opinion", &id)));

    /* One act that edits and voids. */
    assert_int_equal(push(f, &f->gy2, opinion(f, &f->gy2, &id)), 0);
    seen = seq_of(f, GY);
    both[0] = edit(f, &f->gy2, &id, "keywords", value_str("丁"), seen);
    both[1] = voiding(f, &f->gy2, &id, seen);
    assert_int_equal(push_act(f, &f->gy2, both, 2), 0);
    assert_true(row_voided(get(f, "opinion", &id)));
    assert_whole(f);
}

/* The second change of an act to a field saw what the first put there. */
static void test_city__twice_in_one_act(void **state)
{
    struct fixture *f = *state;
    struct change both[2];
    struct row **rows;
    uint64_t seen;
    struct id id;

    assert_int_equal(push(f, &f->gy1, opinion(f, &f->gy1, &id)), 0);
    seen = seq_of(f, GY);
    both[0] = edit(f, &f->gy1, &id, "keywords", value_str("甲"), seen);
    both[1] = edit(f, &f->gy1, &id, "keywords", value_str("乙"), seen);
    both[1].fields[0].saw_n = f->gy1.n + 1;
    assert_int_equal(push_act(f, &f->gy1, both, 2), 0);
    assert_int_equal(conflicts(f, &id, &rows), 0);
    assert_field(f, &id, "keywords", "乙");
    assert_whole(f);
}

/* Every change of an act is known by its own entry: who was shown the second saw the second's. */
static void test_city__each_change_has_its_entry(void **state)
{
    struct fixture *f = *state;
    struct change both[2], c;
    struct id one, other;
    struct row **rows;
    uint64_t seen;

    assert_int_equal(push(f, &f->gy1, opinion(f, &f->gy1, &one)), 0);
    assert_int_equal(push(f, &f->gy1, opinion(f, &f->gy1, &other)), 0);
    seen = seq_of(f, GY);
    both[0] = edit(f, &f->gy1, &one, "keywords", value_str("甲"), seen);
    both[1] = edit(f, &f->gy1, &other, "keywords", value_str("乙"), seen);
    assert_int_equal(push_act(f, &f->gy1, both, 2), 0);
    c = edit(f, &f->gy1, &other, "keywords", value_str("丙"), seen);
    c.fields[0].saw_n = f->gy1.n;
    assert_int_equal(push(f, &f->gy1, c), 0);
    assert_int_equal(conflicts(f, &other, &rows), 0);
    assert_field(f, &other, "keywords", "丙");
    assert_whole(f);
}

/* ---- refusals ---- */

/* A refused creation takes with it what was made before the county knew, and nothing after. */
static void test_city__refusal_family(void **state)
{
    struct fixture *f = *state;
    struct last_refusal l;
    struct id id, good;
    struct change c = opinion(f, &f->gy1, &id), bad = c;

    bad.to = slice_str("closed");
    assert_int_equal(push(f, &f->gy1, bad), E_STATE);
    assert_int_equal(push(f, &f->gy1, edit(f, &f->gy1, &id, "keywords", value_str("甲"), 9)), E_AFTER);
    assert_int_equal(push(f, &f->gy1, opinion(f, &f->gy1, &good)), 0);
    c = blank(&f->gy1, "submission", OP_CREATE, &good);
    c.record = new_id(f);
    (void)put(f, &c, "source_opinions", (struct value){.type = V_IDS, .s = {id.b, ID_SIZE}});
    assert_int_equal(push(f, &f->gy1, c), E_PARENT);
    l = refusals(f, &f->gy1);
    assert_int_equal(l.n, 3);
    assert_int_equal(l.first_n, 4);

    begin(f);
    MUST(f, city_refused_ack(f->city, &f->gy1.id, 1, f->gy1.n + 1, &f->err));
    MUST(f, city_refused_ack(f->city, &f->gy1.id, 2, f->gy1.n + 1, &f->err));
    MUST(f, city_refused_ack(f->city, &f->gy1.id, 4, f->gy1.n + 1, &f->err));
    commit(f);
    assert_int_equal(refusals(f, &f->gy1).n, 0);
    assert_int_equal(refusals_above(f, &f->gy1, 4).n, 0);
    assert_int_equal(refusals_above(f, &f->gy1, 3).first_n, 4); /* set up again from a backup */
    bad.to = slice_str("collected"); /* n 5 was made before the refusal was taken in */
    assert_int_equal(push(f, &f->gy1, bad), E_AFTER);
    assert_int_equal(push(f, &f->gy1, bad), E_AFTER); /* n 6: the family of n 5 */
    begin(f);
    MUST(f, city_refused_ack(f->city, &f->gy1.id, 5, 6, &f->err));
    MUST(f, city_refused_ack(f->city, &f->gy1.id, 6, 6, &f->err));
    commit(f);
    assert_int_equal(push(f, &f->gy1, bad), 0);
    assert_int_equal(push(f, &f->gy2, edit(f, &f->gy2, &id, "keywords", value_str("甲"),
                                           seq_of(f, GY))), 0);
    assert_whole(f);
}

/* All or nothing: the refusal of one change is the act's. */
static void test_city__act_is_whole(void **state)
{
    struct fixture *f = *state;
    uint64_t before = seq_of(f, GY);
    struct last_refusal l;
    struct change both[2];
    struct id id;

    both[0] = opinion(f, &f->gy1, &id);
    both[1] = edit(f, &f->gy1, &id, "state", value_str("closed"), 0);
    assert_int_equal(push_act(f, &f->gy1, both, 2), E_INVALID);
    l = refusals(f, &f->gy1);
    assert_int_equal(l.first_n, 1);
    assert_int_equal(l.last_n, 2);
    assert_int_equal(l.at_n, 2);
    assert_int_equal(seq_of(f, GY), before);
    assert_whole(f);
}

/* Roles are those of the account at the merge: never held, refused; lost unseen, kept for a decision. */
static void test_city__quarantine(void **state)
{
    struct fixture *f = *state;
    struct id wang = new_id(f), id, other;
    struct change c = blank(&f->gy1, "user_account", OP_CREATE, &wang);
    struct field_change *fc;
    uint64_t seen;

    (void)put(f, &c, "site", value_str("431021"));
    (void)put(f, &c, "login", value_str("wang"));
    (void)put(f, &c, "name", value_str("小王"));
    (void)put(f, &c, "role", set_of("county_clerk"));
    (void)put(f, &c, "active", value_int(1));
    assert_int_equal(push(f, &f->gy1, c), 0);
    seen = seq_of(f, GY);
    assert_int_equal(push(f, &f->gy1, opinion(f, &f->gy1, &other)), 0);

    c = blank(&f->gy1, "user_account", OP_SET, &wang);
    fc = put(f, &c, "role", set_of("studio_user"));
    fc->form = FORM_DELTA;
    fc->del = set_of("county_clerk");
    assert_int_equal(push(f, &f->gy1, c), 0);

    c = opinion(f, &f->gy2, &id);
    c.actor = wang;
    c.seen = seen;
    assert_int_equal(push(f, &f->gy2, c), 0); /* a studio_user may, too */
    c = blank(&f->gy2, "user_account", OP_SET, &wang);
    (void)put(f, &c, "name", value_str("老王"));
    c.actor = wang;
    assert_int_equal(push(f, &f->gy2, c), E_ROLE); /* he saw what he may */
    c = blank(&f->gy2, "opinion", OP_TRANSITION, &other);
    c.from = slice_str("collected");
    c.to = slice_str("verifying");
    c.actor = wang;
    c.seen = seen;
    assert_int_equal(push(f, &f->gy2, c), 0);
    c.from = slice_str("verifying");
    c.to = slice_str("local_handling");
    (void)put(f, &c, "handler_unit", value_str("住建局"));
    (void)put(f, &c, "due_on", value_str("2026-04-01"));
    assert_int_equal(push(f, &f->gy2, c), E_QUARANTINE);
    assert_true(refusals(f, &f->gy2).quarantined);
    assert_whole(f);
}

/* An account with ROLES and its stream's place when it was made. */
static struct id account(struct fixture *f, const char *login, const char *roles, uint64_t *ret_seen)
{
    struct id id = new_id(f);
    struct change c = blank(&f->gy1, "user_account", OP_CREATE, &id);

    (void)put(f, &c, "site", value_str("431021"));
    (void)put(f, &c, "login", value_str(login));
    (void)put(f, &c, "name", value_str(login));
    (void)put(f, &c, "role", set_of(roles));
    (void)put(f, &c, "active", value_int(1));
    assert_int_equal(push(f, &f->gy1, c), 0);
    *ret_seen = seq_of(f, GY);
    return id;
}

static void change_roles(struct fixture *f, const struct id *id, const char *add, const char *cut)
{
    struct change c = blank(&f->gy1, "user_account", OP_SET, id);
    struct field_change *fc = put(f, &c, "role", set_of(add));

    fc->form = FORM_DELTA;
    fc->del = set_of(cut);
    assert_int_equal(push(f, &f->gy1, c), 0);
}

static void switch_off(struct fixture *f, const struct id *id)
{
    struct change c = blank(&f->gy1, "user_account", OP_SET, id);

    (void)put(f, &c, "active", value_int(0));
    assert_int_equal(push(f, &f->gy1, c), 0);
}

/* A role that was never held is refused, whatever else became of the account's roles since. */
static void test_city__role_never_held(void **state)
{
    struct fixture *f = *state;
    struct change c;
    uint64_t seen;
    struct id wang = account(f, "wang", "studio_user", &seen);

    c = blank(&f->gy2, "user_account", OP_SET, &wang);
    (void)put(f, &c, "name", value_str("老王"));
    c.actor = wang;
    c.seen = seen;
    change_roles(f, &wang, "county_clerk", "studio_user");
    assert_int_equal(push(f, &f->gy2, c), E_ROLE);
    begin(f);
    MUST(f, city_refused_ack(f->city, &f->gy2.id, f->gy2.n, f->gy2.n, &f->err));
    commit(f);
    change_roles(f, &wang, "county_lead", "county_clerk");
    change_roles(f, &wang, "county_clerk", "county_lead");
    assert_int_equal(push(f, &f->gy2, c), E_QUARANTINE); /* held for a while since */
}

/* What he saw, the loss of a role included, he may not claim to have held. */
static void test_city__role_lost_in_sight(void **state)
{
    struct fixture *f = *state;
    struct change c;
    uint64_t seen;
    struct id wang = account(f, "wang", "county_lead", &seen);

    change_roles(f, &wang, "studio_user", "county_lead");
    c = blank(&f->gy2, "user_account", OP_SET, &wang);
    (void)put(f, &c, "name", value_str("老王"));
    c.actor = wang;
    c.seen = seq_of(f, GY);
    assert_true(c.seen == seen + 1);
    assert_int_equal(push(f, &f->gy2, c), E_ROLE);
    begin(f);
    MUST(f, city_refused_ack(f->city, &f->gy2.id, f->gy2.n, f->gy2.n, &f->err));
    commit(f);
    c.seen = seen;
    assert_int_equal(push(f, &f->gy2, c), E_QUARANTINE);
}

static unsigned kept_n;
static struct id kept_replica;
static uint64_t kept_first;

static int count_kept(void *ctx, const struct quarantined *q)
{
    (void)ctx;
    kept_n++;
    kept_replica = q->replica->id;
    kept_first = q->first_n;
    assert_true(q->change->n == q->at_n && q->text.len > 0);
    return 0;
}

static unsigned kept(struct fixture *f)
{
    kept_n = 0;
    MUST(f, city_quarantine_each(f->city, count_kept, NULL, &f->err));
    return kept_n;
}

static uint32_t flags_of(struct fixture *f, uint64_t seq, struct id *ret_replica)
{
    struct verdict v;
    struct change c;
    struct entry e;

    MUST(f, store_entry_get(city_store(f->city), GY, seq, &f->a, &e, &f->err));
    MUST(f, verdict_decode(&f->a, e.verdict, &v));
    MUST(f, change_decode(&f->a, e.bytes, e.side, &c));
    *ret_replica = c.replica;
    return v.flags;
}

/* The entries from SEQ on that K made say that they come late; what the city adds of its own does not. */
static void assert_late(struct fixture *f, const struct computer *k, uint64_t seq, size_t n)
{
    size_t own = 0;

    for (; seq <= seq_of(f, GY); seq++) {
        struct id by;
        bool late = (flags_of(f, seq, &by) & VERDICT_RECOVERED) != 0;

        assert_int_equal(late, id_eq(&by, &k->id));
        own += late;
    }
    assert_int_equal(own, n);
}

/* A county's account acts at its own county only, also when the city just had to do with it; kept aside, such an
 * act, or one in nobody's name, is not released either. */
static void test_city__account_of_another_county(void **state)
{
    struct fixture *f = *state;
    uint64_t n, first = f->zx.n + 1;
    struct change c;
    struct id id;

    assert_int_equal(push(f, &f->gy1, opinion(f, &f->gy1, &id)), 0); /* now its clerk is known */
    c = opinion(f, &f->zx, &id);
    c.actor = f->gy1.clerk;
    assert_int_equal(push(f, &f->zx, c), E_ROLE);
    begin(f);
    MUST(f, city_replica_set_state(f->city, &f->zx.id, REPLICA_RETIRED, &f->err));
    commit(f);
    assert_int_equal(push(f, &f->zx, c), E_QUARANTINE);
    c.actor = (struct id){{0}};
    c.fields = NULL;
    c.n_fields = 0;
    (void)put(f, &c, "title", value_str("无名"));
    assert_int_equal(push(f, &f->zx, c), E_QUARANTINE);
    for (uint64_t i = 1; i <= 2; i++) {
        begin(f);
        assert_int_equal(city_quarantine_release(f->city, &f->zx.id, first + i, &n, &f->err), E_ROLE);
        city_rollback(f->city);
    }
    assert_int_equal(kept(f), 2);
    assert_whole(f);
}

/* More authors than the city remembers at once: each is judged by his own roles. */
static void test_city__many_authors(void **state)
{
    struct fixture *f = *state;
    struct id authors[66], id;
    struct computer third;
    struct change c;
    char login[16];
    uint64_t seen;

    for (size_t i = 0; i < 66; i++) {
        (void)snprintf(login, sizeof login, "w%02zu", i);
        authors[i] = account(f, login, i % 2 == 0 ? "county_clerk" : "county_lead", &seen);
    }
    for (size_t i = 0; i < 66; i++) {
        c = opinion(f, &f->gy2, &id);
        c.actor = authors[i];
        assert_int_equal(push(f, &f->gy2, c), i % 2 == 0 ? 0 : E_ROLE);
    }
    switch_off(f, &authors[64]);
    c = opinion(f, &f->gy2, &id);
    c.actor = authors[64];
    assert_int_equal(push(f, &f->gy2, c), E_QUARANTINE);
    begin(f);
    MUST(f, enrol(f, token(f, GY, 4), &third)); /* among all of them there is one clerk */
    commit(f);
    assert_true(id_eq(&third.clerk, &f->gy1.clerk));
    assert_whole(f);
}

/* Who acts at the city has an account there, and one that is in use. */
static void test_city__actor(void **state)
{
    struct fixture *f = *state;
    struct change c = {.op = OP_CREATE, .kind = catalogue_kind_named("user_account")->tag, .stream = STREAM_CITY};
    struct actor actor;

    (void)put(f, &c, "login", value_str("huang"));
    (void)put(f, &c, "name", value_str("老黄"));
    (void)put(f, &c, "role", set_of("office"));
    (void)put(f, &c, "active", value_int(1));
    begin(f);
    MUST(f, by_city(f, &by_system, &c));
    commit(f);
    MUST(f, city_actor(f->city, "huang", &actor, &f->err));
    assert_true(id_eq(&actor.account, &c.record) && actor.side == SIDE_CITY && actor.site == SITE_CITY);
    assert_int_equal(city_actor(f->city, "clerk", &actor, &f->err), E_NOTFOUND); /* two counties' */
    assert_non_null(strstr(f->err.text, "clerk"));
    assert_int_equal(city_actor(f->city, "nobody", &actor, &f->err), E_NOTFOUND);

    c.op = OP_SET;
    c.fields = NULL;
    c.n_fields = 0;
    (void)put(f, &c, "active", value_int(0));
    begin(f);
    MUST(f, by_city(f, &by_system, &c));
    commit(f);
    assert_int_equal(city_actor(f->city, "huang", &actor, &f->err), E_DENIED);
    assert_non_null(strstr(f->err.text, "huang"));
}

/* What follows a kept act is kept with it; released in order, they stand, with their own bytes, once. */
static void test_city__release(void **state)
{
    struct fixture *f = *state;
    uint64_t seen, seq, n = 0, first;
    struct id wang = account(f, "wang", "county_clerk,studio_user", &seen), id;
    struct change c = opinion(f, &f->gy2, &id);
    uint8_t chain[HASH_SIZE], later[HASH_SIZE];

    switch_off(f, &wang);
    c.actor = wang;
    assert_int_equal(push(f, &f->gy2, c), E_QUARANTINE);
    first = f->gy2.n;
    assert_int_equal(push(f, &f->gy2, edit(f, &f->gy2, &id, "title", value_str("新题目"), seen)),
                     E_QUARANTINE);
    assert_int_equal(kept(f), 2);
    assert_true(id_eq(&kept_replica, &f->gy2.id));
    MUST(f, city_replica_chain(f->city, &f->gy2.id, f->gy2.n, chain, &f->err));
    seq = seq_of(f, GY);

    begin(f);
    assert_int_equal(city_quarantine_release(f->city, &f->gy2.id, first + 1, &n, &f->err), E_PARENT);
    city_rollback(f->city);
    assert_int_equal(kept(f), 2);

    begin(f);
    MUST(f, city_quarantine_release(f->city, &f->gy2.id, 0, &n, &f->err));
    commit(f);
    assert_int_equal(n, 2);
    assert_int_equal(kept(f), 0);
    assert_int_equal(refusals(f, &f->gy2).n, 0);
    assert_late(f, &f->gy2, seq + 1, 2);
    MUST(f, city_replica_chain(f->city, &f->gy2.id, f->gy2.n, later, &f->err));
    assert_memory_equal(chain, later, HASH_SIZE); /* the own chain is as it was */
    begin(f);
    assert_int_equal(city_quarantine_release(f->city, &f->gy2.id, first, &n, &f->err), E_NOTFOUND);
    city_rollback(f->city);
    assert_int_equal(push(f, &f->gy2, edit(f, &f->gy2, &id, "title", value_str("再改"), UINT64_MAX >> 1)),
                     0);
    assert_whole(f);
}

/* What stands on a kept creation and on a refused one falls with the refused one: waiting for a decision
 * would not make it good. */
static void test_city__refused_beats_kept(void **state)
{
    struct fixture *f = *state;
    uint64_t seen;
    struct id wang = account(f, "wang", "county_clerk", &seen), ids[2], record = new_id(f), kept_one;
    struct change bad = opinion(f, &f->gy2, &ids[0]);
    struct change c = opinion(f, &f->gy2, &ids[1]);

    switch_off(f, &wang);
    bad.to = slice_str("closed");
    assert_int_equal(push(f, &f->gy2, bad), E_STATE);
    c.actor = wang;
    assert_int_equal(push(f, &f->gy2, c), E_QUARANTINE);
    c = blank(&f->gy2, "submission", OP_CREATE, &record);
    (void)put(f, &c, "source_opinions", (struct value){.type = V_IDS, .s = {ids[1].b, ID_SIZE}});
    assert_int_equal(push(f, &f->gy2, c), E_QUARANTINE);
    kept_one = record;
    record = new_id(f);
    c = blank(&f->gy2, "submission", OP_CREATE, &record);
    (void)put(f, &c, "source_opinions", (struct value){.type = V_IDS, .s = {ids[0].b, sizeof ids}});
    assert_int_equal(push(f, &f->gy2, c), E_PARENT);
    assert_false(refusals(f, &f->gy2).quarantined);
    c = blank(&f->gy2, "submission", OP_SET, &kept_one);
    (void)put(f, &c, "source_opinions", (struct value){.type = V_IDS, .s = {ids[0].b, ID_SIZE}});
    assert_int_equal(push(f, &f->gy2, c), E_PARENT);
    assert_false(refusals(f, &f->gy2).quarantined);
    assert_whole(f);
}

/* Dropped, it is refused for good, told again, and no longer to be released. */
static void test_city__drop(void **state)
{
    struct fixture *f = *state;
    uint64_t seen, n = 0, first;
    struct id wang = account(f, "wang", "county_clerk", &seen), id;
    struct change c = opinion(f, &f->gy2, &id);

    switch_off(f, &wang);
    c.actor = wang;
    assert_int_equal(push(f, &f->gy2, c), E_QUARANTINE);
    first = f->gy2.n;
    begin(f);
    MUST(f, city_refused_ack(f->city, &f->gy2.id, first, first, &f->err));
    commit(f);
    assert_int_equal(refusals(f, &f->gy2).n, 0);
    begin(f);
    MUST(f, city_quarantine_drop(f->city, &f->gy2.id, first, &n, &f->err));
    commit(f);
    assert_int_equal(n, 1);
    assert_int_equal(kept(f), 0);
    assert_string_equal(refusals(f, &f->gy2).code, "ZT-DENIED");
    assert_false(refusals(f, &f->gy2).quarantined);
    begin(f);
    MUST(f, city_refused_ack(f->city, &f->gy2.id, first, first + 40, &f->err));
    commit(f);
    assert_int_equal(refusals(f, &f->gy2).n, 0);
    begin(f);
    assert_int_equal(city_quarantine_release(f->city, &f->gy2.id, first, &n, &f->err), E_NOTFOUND);
    city_rollback(f->city);
    /* The first word on what falls with it stands. */
    assert_int_equal(push(f, &f->gy2, edit(f, &f->gy2, &id, "title", value_str("改"), seen)),
                     E_PARENT);
    assert_whole(f);
}

/* A retired computer's queue is kept whole, unjudged; what could not stand cannot be released. */
static void test_city__retired(void **state)
{
    struct fixture *f = *state;
    uint64_t n = 0, first = f->gy2.n + 1;
    struct id id, nobody = new_id(f);
    struct change c = opinion(f, &f->gy2, &id);
    bool refused;

    begin(f);
    MUST(f, city_replica_set_state(f->city, &f->gy2.id, REPLICA_RETIRED, &f->err));
    commit(f);
    assert_int_equal(push(f, &f->gy2, c), E_QUARANTINE);
    c = opinion(f, &f->gy2, &id);
    c.actor = nobody;
    assert_int_equal(push(f, &f->gy2, c), E_QUARANTINE);
    assert_int_equal(kept(f), 2);
    begin(f);
    assert_int_equal(city_quarantine_release(f->city, &f->gy2.id, 0, &n, &f->err), E_ROLE);
    city_rollback(f->city);
    begin(f);
    MUST(f, city_quarantine_release(f->city, &f->gy2.id, first, &n, &f->err));
    commit(f);
    assert_int_equal(kept(f), 1);
    assert_true(kept_first == first + 1);

    begin(f);
    MUST(f, city_replica_set_state(f->city, &f->gy2.id, REPLICA_LOST, &f->err));
    c = opinion(f, &f->gy2, &id);
    assert_int_equal(bring(f, &f->gy2, &c, 1, &refused), E_REVOKED);
    commit(f);
    assert_whole(f);
}

/* An act that cannot be read as it was kept is neither shown nor released. It can still be dropped. */
static void test_city__kept_act_is_damaged(void **state)
{
    static const char *const harms[] = {
        "UPDATE refusal SET bytes = x''",
        "UPDATE refusal SET bytes = x'01000100'", /* no change */
        "UPDATE refusal SET bytes = bytes || x'00'",
        "UPDATE refusal SET last_n = last_n + 1",
        "UPDATE refusal SET last_n = last_n - 1",
        "UPDATE refusal SET last_n = last_n + 2305843009213693951",
        "UPDATE refusal SET at_n = at_n + 1",
        "UPDATE refusal SET at_n = at_n - 1",
    };
    struct fixture *f = *state;
    uint64_t seq, n;
    struct id id;

    begin(f);
    MUST(f, city_replica_set_state(f->city, &f->gy2.id, REPLICA_RETIRED, &f->err));
    commit(f);
    assert_int_equal(push(f, &f->gy2, opinion(f, &f->gy2, &id)), E_QUARANTINE);
    seq = seq_of(f, GY);
    for (size_t i = 0; i < sizeof harms / sizeof *harms; i++) {
        begin(f);
        harm(f, harms[i]);
        assert_int_equal(city_quarantine_each(f->city, count_kept, NULL, &f->err), E_CORRUPT);
        assert_int_equal(city_quarantine_release(f->city, &f->gy2.id, 0, &n, &f->err), E_CORRUPT);
        assert_true(f->err.text[0] != '\0');
        assert_int_equal(seq_of(f, GY), seq);
        MUST(f, city_quarantine_drop(f->city, &f->gy2.id, 0, &n, &f->err));
        assert_int_equal(n, 1);
        city_rollback(f->city);
    }
    assert_int_equal(kept(f), 1);
    assert_whole(f);
}

static struct city_cert cert_named(uint8_t name, uint8_t key, uint8_t authority)
{
    struct city_cert c = {.not_after = NOW + name};

    (void)snprintf(c.serial, sizeof c.serial, "%02x", name);
    memset(c.fingerprint, name, HASH_SIZE);
    memset(c.key, key, HASH_SIZE);
    memset(c.authority, authority, HASH_SIZE);
    return c;
}

/* 0, 1 (good for a renewal only) or the error. */
static int shows(struct fixture *f, const struct city_cert *c)
{
    struct replica_row r;
    bool replaced = false;
    int ret;

    MUST(f, city_replica_get(f->city, &f->gy1.id, &r, &f->err));
    ret = city_cert_check(f->city, &r, c->fingerprint, c->key, &replaced, &f->err);
    return ret != 0 ? ret : replaced;
}

/* Two certificates are good until the newer was shown; the former one then serves a renewal only. */
static void test_city__certificates(void **state)
{
    struct fixture *f = *state;
    struct city_cert first = cert_named(7, 1, 1), second = cert_named(8, 1, 2);
    struct city_cert third = cert_named(9, 1, 2), stranger = cert_named(10, 2, 2), is;
    struct replica_row r;

    begin(f);
    MUST(f, city_cert_enrolled(f->city, &f->gy1.id, &first, &f->err));
    MUST(f, city_cert_issued(f->city, &f->gy1.id, &second, &f->err));
    commit(f);
    assert_int_equal(shows(f, &first), 0);
    assert_int_equal(shows(f, &second), 0);
    assert_int_equal(shows(f, &third), 1);
    assert_int_equal(shows(f, &stranger), E_AUTH);
    begin(f);
    MUST(f, city_cert_used(f->city, &f->gy1.id, first.fingerprint, &f->err));
    MUST(f, city_cert_issued(f->city, &f->gy1.id, &third, &f->err)); /* the answer was lost */
    commit(f);
    assert_int_equal(shows(f, &second), 1);
    begin(f);
    MUST(f, city_cert_used(f->city, &f->gy1.id, third.fingerprint, &f->err));
    commit(f);
    reopen(f);
    assert_int_equal(shows(f, &third), 0);
    assert_int_equal(shows(f, &first), 1);
    MUST(f, city_replica_get(f->city, &f->gy1.id, &r, &f->err));
    assert_string_equal(r.serial, "09");
    MUST(f, city_cert_get(f->city, &r, &is, &f->err));
    assert_true(is.not_after == third.not_after && is.authority[0] == 2);
}

/* ---- successors ---- */

static struct own_point own_at(struct fixture *f, const struct computer *k, uint64_t n)
{
    struct own_point p = {.n = n};

    MUST(f, city_replica_chain(f->city, &k->id, n, p.chain, &f->err));
    return p;
}

static int succeed(struct fixture *f, const struct computer *from, struct computer *to, uint64_t n,
                   uint64_t acked_n, uint8_t key)
{
    struct city_cert cert = cert_named(to->id.b[0], key, 1);
    struct succession s = {.predecessor = from->id,
                           .successor = to->id,
                           .agreed = own_at(f, from, n),
                           .acked_n = acked_n,
                           .cert = &cert};
    uint32_t k = 0;
    int ret;

    begin(f);
    ret = city_succeed(f->city, &s, &k, &f->err);
    if (ret == 0) {
        commit(f);
        to->site = from->site;
        to->clerk = from->clerk;
        to->n = n;
        assert_true(k > 1);
    } else {
        city_rollback(f->city);
    }
    return ret;
}

/* Up to the base it is its predecessor: chain, answers, what its author saw, refusals not taken in. */
static void test_city__successor(void **state)
{
    struct fixture *f = *state;
    struct computer next = {.id = {{0x71}}};
    struct own_point points[3];
    struct replica_row r;
    struct last_refusal l;
    struct change c, bad;
    struct row **rows;
    uint64_t seen;
    struct id id, own, gone;
    size_t agreed;

    c = opinion(f, &f->gy1, &id);
    assert_int_equal(push(f, &f->gy1, c), 0);
    assert_int_equal(push(f, &f->gy1, opinion(f, &f->gy1, &own)), 0);
    seen = seq_of(f, GY);
    assert_int_equal(push(f, &f->gy1, edit(f, &f->gy1, &own, "keywords", value_str("零"), seen)), 0);
    bad = opinion(f, &f->gy1, &gone);
    bad.to = slice_str("closed"); /* no creation begins there */
    assert_int_equal(push(f, &f->gy1, edit(f, &f->gy1, &id, "handler_unit", value_str("供电所"), seen)), 0);
    assert_int_equal(push(f, &f->gy1, bad), E_STATE);
    assert_int_equal(push(f, &f->gy1, edit(f, &f->gy1, &id, "keywords", value_str("二"), seen)), 0);
    for (uint64_t i = 0; i < 3; i++)
        points[i] = own_at(f, &f->gy1, f->gy1.n - 2 + i);
    points[2].chain[0] ^= 1;
    MUST(f, city_agreed(f->city, &f->gy1.id, points, 3, &agreed, &f->err));
    assert_int_equal(agreed, 2);

    assert_int_equal(succeed(f, &f->gy1, &next, f->gy1.n - 1, 0, 4), 0);
    assert_int_equal(succeed(f, &f->gy1, &next, f->gy1.n - 1, 0, 4), 0); /* the answer was lost */
    assert_int_equal(succeed(f, &f->gy1, &next, f->gy1.n - 1, 0, 5), E_DENIED); /* another's key */
    MUST(f, city_replica_get(f->city, &next.id, &r, &f->err));
    assert_true(r.base == next.n && r.accepted_n == next.n && id_eq(&r.predecessor_id, &f->gy1.id));
    assert_memory_equal(own_at(f, &next, next.n).chain, own_at(f, &f->gy1, next.n).chain, HASH_SIZE);
    assert_memory_equal(own_at(f, &next, 0).chain, own_at(f, &f->gy1, 0).chain, HASH_SIZE);
    l = refusals(f, &next);
    assert_int_equal(l.n, 1);
    assert_true(l.first_n == next.n); /* the last before its base */
    /* It falls with what was inherited. */
    assert_int_equal(push(f, &next, edit(f, &next, &gone, "keywords", value_str("三"), seen)), E_AFTER);

    /* What it made under the former identity is no stranger's; what that one makes since is. */
    c = edit(f, &next, &id, "handler_unit", value_str("电力公司"), seen);
    c.fields[0].saw_n = 4;
    assert_int_equal(push(f, &next, c), 0);
    assert_int_equal(conflicts(f, &id, &rows), 0);
    assert_int_equal(push(f, &next, voiding(f, &next, &own, seen)), 0);
    assert_int_equal(push(f, &next, voiding(f, &next, &id, seen)), E_CONFLICT);
    assert_whole(f);
}

/* Of the predecessor and of whoever came after; of the predecessor alone where somebody says so. */
static void test_city__successor_revoked(void **state)
{
    struct fixture *f = *state;
    struct computer next = {.id = {{0x71}}}, third = {.id = {{0x72}}};
    struct replica_row r;
    struct id id;

    assert_int_equal(push(f, &f->gy1, opinion(f, &f->gy1, &id)), 0);
    assert_int_equal(succeed(f, &f->gy1, &next, 0, 0, 4), 0);
    assert_int_equal(succeed(f, &next, &third, 0, 0, 5), 0);
    assert_memory_equal(own_at(f, &third, 0).chain, own_at(f, &f->gy1, 0).chain, HASH_SIZE);
    begin(f);
    MUST(f, city_replica_retire(f->city, &f->gy1.id, &f->err));
    commit(f);
    MUST(f, city_replica_get(f->city, &f->gy1.id, &r, &f->err));
    assert_int_equal(r.state, REPLICA_RETIRED);
    MUST(f, city_replica_get(f->city, &next.id, &r, &f->err));
    assert_int_equal(r.state, REPLICA_ACTIVE);
    begin(f);
    MUST(f, city_replica_set_state(f->city, &third.id, REPLICA_LOST, &f->err));
    MUST(f, city_replica_set_state(f->city, &f->gy1.id, REPLICA_RETIRED, &f->err));
    commit(f);
    MUST(f, city_replica_get(f->city, &next.id, &r, &f->err));
    assert_int_equal(r.state, REPLICA_RETIRED);
    MUST(f, city_replica_get(f->city, &third.id, &r, &f->err));
    assert_int_equal(r.state, REPLICA_LOST);
    MUST(f, city_replica_get(f->city, &f->gy2.id, &r, &f->err));
    assert_int_equal(r.state, REPLICA_ACTIVE);
    third.id.b[0]++;
    assert_int_equal(succeed(f, &next, &third, 0, 0, 6), E_REVOKED);
}

/* Acts kept aside of one that another was made out of: what is decided of them holds for its copies, and for no change
 * of the other's own. */
static void test_city__successor_of_kept(void **state)
{
    struct fixture *f = *state;
    struct computer next = {.id = {{0x71}}};
    struct last_refusal l;
    uint64_t first, n;
    struct id id, other;

    begin(f);
    MUST(f, city_replica_set_state(f->city, &f->gy1.id, REPLICA_RETIRED, &f->err));
    commit(f);
    first = f->gy1.n + 1;
    assert_int_equal(push(f, &f->gy1, opinion(f, &f->gy1, &id)), E_QUARANTINE);
    assert_int_equal(push(f, &f->gy1, opinion(f, &f->gy1, &other)), E_QUARANTINE);
    begin(f);
    MUST(f, city_replica_set_state(f->city, &f->gy1.id, REPLICA_ACTIVE, &f->err));
    commit(f);
    assert_int_equal(succeed(f, &f->gy1, &next, first + 1, 0, 4), 0);
    assert_int_equal(refusals(f, &next).n, 2);
    begin(f);
    MUST(f, city_quarantine_release(f->city, &f->gy1.id, first, &n, &f->err));
    commit(f);
    l = refusals(f, &next);
    assert_int_equal(l.n, 1);
    assert_true(l.first_n == first + 1);
    assert_int_equal(push(f, &next, edit(f, &next, &id, "keywords", value_str("三"), seq_of(f, GY))), 0);
    begin(f);
    MUST(f, city_quarantine_drop(f->city, &f->gy1.id, first + 1, &n, &f->err));
    commit(f);
    l = refusals(f, &next);
    assert_int_equal(l.n, 1);
    assert_string_equal(l.code, err_code(E_DENIED));
    assert_whole(f);
}

/* Another's chain, another's id, another place, one that was revoked meanwhile: nothing is made. */
static void test_city__successor_refused(void **state)
{
    struct fixture *f = *state;
    struct computer next = {.id = {{0x71}}}, last = {.id = {{0x72}}};
    struct city_cert cert = cert_named(0x71, 4, 1);
    struct succession s = {.predecessor = f->gy1.id, .successor = next.id, .cert = &cert};
    struct own_point ahead = {.n = 9};
    struct id id;
    size_t agreed;
    uint32_t k;

    assert_int_equal(push(f, &f->gy1, opinion(f, &f->gy1, &id)), 0);
    begin(f);
    s.agreed = own_at(f, &f->gy1, 1);
    s.agreed.chain[0] ^= 1;
    assert_int_equal(city_succeed(f->city, &s, &k, &f->err), E_FORK);
    city_rollback(f->city);
    MUST(f, city_agreed(f->city, &f->gy1.id, &ahead, 1, &agreed, &f->err));
    assert_int_equal(agreed, 0); /* it was never answered */

    assert_int_equal(succeed(f, &f->gy1, &next, 1, 0, 4), 0);
    assert_int_equal(succeed(f, &f->gy1, &next, 0, 0, 4), E_DENIED);
    assert_int_equal(succeed(f, &f->gy2, &next, 0, 0, 4), E_DENIED);
    begin(f);
    MUST(f, city_replica_set_state(f->city, &next.id, REPLICA_LOST, &f->err));
    commit(f);
    assert_int_equal(succeed(f, &f->gy1, &next, 1, 0, 4), E_DENIED);
    assert_int_equal(succeed(f, &next, &last, 1, 0, 4), E_REVOKED);
    assert_int_equal(succeed(f, &f->gy1, &last, 1, 0, 4), 0);
}

/* Who has a certificate does not fill the store with identities; those that were revoked make room. */
static void test_city__successors_of_a_site(void **state)
{
    struct fixture *f = *state;
    struct computer next, first = {.id = {{0x71}}};

    for (uint8_t i = 0; i < 64; i++) {
        next.id = (struct id){{0x71, i}};
        assert_int_equal(succeed(f, &f->gy1, &next, 0, 0, 4), 0);
    }
    next.id = (struct id){{0x71, 64}};
    assert_int_equal(succeed(f, &f->gy1, &next, 0, 0, 4), E_DENIED);
    assert_true(strlen(f->err.text) > 0);
    begin(f);
    MUST(f, city_replica_set_state(f->city, &first.id, REPLICA_LOST, &f->err));
    commit(f);
    assert_int_equal(succeed(f, &f->gy1, &next, 0, 0, 4), 0);
}

/* ---- rows that were damaged ---- */

/* A computer whose row cannot be read is nobody's: it shows no certificate and continues no chain. */
static void test_city__damaged_replica(void **state)
{
    struct fixture *f = *state;
    struct city_cert first = cert_named(7, 1, 1), second = cert_named(8, 1, 1), is;
    uint8_t before[HASH_SIZE];
    struct replica_row r;
    struct id id;
    struct change c = opinion(f, &f->gy1, &id);

    begin(f);
    MUST(f, city_cert_enrolled(f->city, &f->gy1.id, &first, &f->err));
    commit(f);
    MUST(f, city_replica_chain(f->city, &f->gy1.id, 0, before, &f->err));
    harm(f, "UPDATE replica SET fingerprint = x'07', own_chain = x'00'");
    assert_int_equal(shows(f, &first), 0); /* the other row still has it */
    harm(f, "UPDATE certificate SET fingerprint = x'07', key = x'01', serial = hex(zeroblob(24))");
    assert_int_equal(shows(f, &first), E_AUTH);
    assert_int_equal(shows(f, &second), E_AUTH);
    MUST(f, city_replica_get(f->city, &f->gy1.id, &r, &f->err));
    MUST(f, city_cert_get(f->city, &r, &is, &f->err));
    assert_int_equal(is.serial[0], '\0'); /* rather than the beginning of one */
    assert_int_equal(known(f, &f->gy1, c, 1, before), E_CLOSED);
}

/* A line of successors without its first has no beginning. */
static void test_city__damaged_line(void **state)
{
    struct fixture *f = *state;
    struct computer next = {.id = {{0x71}}};
    uint8_t chain[HASH_SIZE];

    assert_int_equal(succeed(f, &f->gy1, &next, 0, 0, 4), 0);
    harm(f, "DELETE FROM replica WHERE no = 1");
    assert_int_equal(city_replica_chain(f->city, &next.id, 0, chain, &f->err), E_CORRUPT);
    assert_int_equal(city_replica_chain(f->city, &f->gy1.id, 0, chain, &f->err), E_NOTFOUND);
}

/* What is said of a computer that is not there changes nothing. */
static void test_city__no_such_replica(void **state)
{
    static const struct statement said = {.own_n = 1};
    struct fixture *f = *state;
    struct city_repair repair = {.no = 1};
    struct slice head, signature;
    const struct id id = {{0x99}};
    const uint8_t secret[HASH_SIZE] = {9};
    uint64_t seq;

    begin(f);
    assert_int_equal(city_replica_set_state(f->city, &id, REPLICA_LOST, &f->err), E_NOTFOUND);
    assert_int_equal(city_replica_heard(f->city, &id, NOW, 0, &said, slice_str("?"), &f->err), E_NOTFOUND);
    assert_int_equal(city_refused_ack(f->city, &id, 1, 1, &f->err), E_NOTFOUND);
    assert_int_equal(city_repair_note(f->city, &id, NOW, &repair, &f->err), E_NOTFOUND);
    assert_int_equal(city_went_back(f->city, &id, GY, 1, 1, &f->err), E_NOTFOUND);
    assert_int_equal(city_token_add(f->city, STREAM_CITY, secret, NOW, &f->err), E_NOTFOUND);
    commit(f);
    assert_int_equal(city_head(f->city, 999999, &head, &signature, &seq), E_NOTFOUND);
}

/* Of what a computer reports the newest thousand are kept. */
static void test_city__repairs(void **state)
{
    struct fixture *f = *state;
    const uint64_t numbers[] = {1, 2, 3, 1000, 1002};
    uint64_t n, ours;
    msec_t last;

    begin(f);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        struct city_repair r = {.no = numbers[i], .seq = 5, .at = 7, .stream = GY, .kind = 1,
                                .how = numbers[i] == 3 ? 4 : 1, .record = f->member};

        MUST(f, city_repair_note(f->city, &f->gy1.id, NOW + numbers[i], &r, &f->err));
    }
    commit(f);
    MUST(f, city_repairs(city_store(f->city), &f->gy1.id, &n, &ours, &last, &f->err));
    assert_int_equal(n, 3); /* 3, 1000 and 1002 */
    assert_int_equal(ours, 1);
    assert_true(last == NOW + 1002);
}

/* ---- bounds ---- */

/* No act is larger than one frame can bring on: its readers would wait for ever. */
static void test_city__act_too_big(void **state)
{
    struct fixture *f = *state;
    struct change acts[12];
    char *text = arena_alloc(&f->a, 60001);
    struct id id;

    for (size_t i = 0; i < 60000; i += 3)
        memcpy(text + i, "路", 3);
    text[60000] = '\0';
    for (size_t i = 0; i < 12; i++) {
        acts[i] = opinion(f, &f->gy1, &id);
        change_field(&acts[i], kind_field_named(catalogue_kind_named("opinion"), "content")->tag)->v =
            value_str(text);
        for (size_t k = 0; k < acts[i].n_fields; k++) {
            struct field_change *fc = &acts[i].fields[k];

            if (fc->form == FORM_HASHED)
                change_commit_value(city_hasher(f->city), fc->salt, &fc->v, fc->hash);
        }
    }
    assert_int_equal(push_act(f, &f->gy1, acts, 12), E_TOOBIG);
    assert_int_equal(push_act(f, &f->gy1, acts, 1), E_AFTER);
    assert_whole(f);
}

/* An act over more than fits the memory of one is refused, and said; it must not stop the writer for ever. In pieces
 * it is taken. */
static void test_city__act_over_too_much(void **state)
{
    static const char *const long_ones[] = {"content", "demand", "verified_note", "disposition_note"};
    enum { RECORDS = 320 };
    struct fixture *f = *state;
    struct change *acts = arena_alloc(&f->a, RECORDS * sizeof *acts), c;
    struct id *ids = arena_alloc(&f->a, RECORDS * sizeof *ids);
    char *text = arena_alloc(&f->a, 60001);
    bool refused;

    for (size_t i = 0; i < 60000; i += 3)
        memcpy(text + i, "路", 3);
    text[60000] = '\0';
    begin(f);
    for (size_t i = 0; i < RECORDS; i++) {
        c = opinion(f, &f->gy1, &ids[i]);
        c.record = ids[i] = (struct id){{3, (uint8_t)(i >> 8), (uint8_t)i, [15] = (uint8_t)i}};
        MUST(f, bring(f, &f->gy1, &c, 1, &refused));
        for (size_t k = 0; k < 4; k++) {
            c = edit(f, &f->gy1, &ids[i], long_ones[k], value_str(text), UINT64_MAX >> 1);
            MUST(f, bring(f, &f->gy1, &c, 1, &refused));
            assert_false(refused);
        }
    }
    commit(f);
    for (size_t i = 0; i < RECORDS; i++)
        acts[i] = edit(f, &f->gy2, &ids[i], "keywords", value_str("甲"), UINT64_MAX >> 1);
    assert_int_equal(push_act(f, &f->gy2, acts, RECORDS), E_TOOBIG);
    assert_field(f, &ids[0], "keywords", "");
    begin(f);
    MUST(f, city_refused_ack(f->city, &f->gy2.id, 1, RECORDS, &f->err));
    commit(f);
    assert_int_equal(push_act(f, &f->gy2, acts, RECORDS / 2), 0);
    assert_field(f, &ids[0], "keywords", "甲");
}

/* A long act over one large record holds that record once. */
static void test_city__act_of_one_record(void **state)
{
    struct fixture *f = *state;
    const struct kind *kind = catalogue_kind_named("opinion");
    struct change *acts = arena_alloc(&f->a, ACT_MAX * sizeof *acts);
    char *text = arena_alloc(&f->a, 60001);
    static const char *const long_ones[] = {"content", "demand", "verified_note", "disposition_note"};
    uint64_t seen;
    struct id id;

    for (size_t i = 0; i < 60000; i += 3)
        memcpy(text + i, "路", 3);
    text[60000] = '\0';
    assert_int_equal(push(f, &f->gy1, opinion(f, &f->gy1, &id)), 0);
    for (size_t i = 0; i < 4; i++) {
        assert_non_null(kind_field_named(kind, long_ones[i]));
        seen = seq_of(f, GY);
        assert_int_equal(
            push(f, &f->gy1, edit(f, &f->gy1, &id, long_ones[i], value_str(text), seen)), 0);
    }
    seen = seq_of(f, GY);
    for (size_t i = 0; i < ACT_MAX; i++) {
        acts[i] = edit(f, &f->gy1, &id, "keywords", value_str(i % 2 == 0 ? "甲" : "乙"), seen);
        acts[i].fields[0].saw_n = i == 0 ? 0 : f->gy1.n + i;
    }
    assert_int_equal(push_act(f, &f->gy1, acts, ACT_MAX), 0);
    assert_field(f, &id, "keywords", "乙");
    assert_whole(f);
}

/* ---- groups ---- */

/* A group that is rolled back leaves nothing: heads, numbers, what is known of records and accounts. */
static void test_city__rollback(void **state)
{
    struct fixture *f = *state;
    struct change home = studio(f), again = home, c;
    struct slice head, signature;
    uint64_t before = seq_of(f, GY), seq;
    bool refused;
    struct id id, made;

    begin(f);
    MUST(f, by_city(f, &by_system, &home));
    made = home.record;
    c = opinion(f, &f->gy1, &id);
    change_field(&c, kind_field_named(catalogue_kind_named("opinion"), "studio_id")->tag)->v =
        value_id(&made);
    MUST(f, bring(f, &f->gy1, &c, 1, &refused));
    assert_false(refused);
    city_rollback(f->city);
    f->gy1.n = 0;
    MUST(f, city_head(f->city, GY, &head, &signature, &seq));
    assert_int_equal(seq, before);
    assert_int_equal(push(f, &f->gy1, c), E_PARENT);

    begin(f);
    MUST(f, by_city(f, &by_system, &again));
    commit(f);
    assert_int_equal(seq_of(f, GY), before + 1);
    assert_true(slice_eq(row_get(get(f, "studio", &again.record), TAG_SERIAL)->s,
                         slice_str("GY-GZ-2026-0002")));
    assert_whole(f);
}

static int refuse_reading(void *ctx)
{
    return sqlite3_get_autocommit(ctx);
}

/* The heads of before come back even when the file cannot be read just then. */
static void test_city__rollback_without_reading(void **state)
{
    struct fixture *f = *state;
    sqlite3 *db = store_db(city_store(f->city));
    uint64_t before = seq_of(f, GY);
    bool refused;
    struct id id;
    struct change c = opinion(f, &f->gy1, &id);

    begin(f);
    MUST(f, bring(f, &f->gy1, &c, 1, &refused));
    sqlite3_progress_handler(db, 1, refuse_reading, db);
    city_rollback(f->city);
    sqlite3_progress_handler(db, 0, NULL, NULL);
    f->gy1.n = 0;
    assert_int_equal(push(f, &f->gy1, c), 0);
    assert_int_equal(seq_of(f, GY), before + 1);
    assert_whole(f);
    reopen(f);
    assert_whole(f);
}

/* A head that cannot be signed takes the group with it. */
static void test_city__signature_fails(void **state)
{
    struct fixture *f = *state;
    uint64_t before = seq_of(f, GY), seq;
    struct slice head, signature;
    bool refused;
    struct id id;
    struct change c = opinion(f, &f->gy1, &id);

    begin(f);
    MUST(f, bring(f, &f->gy1, &c, 1, &refused));
    sign_fails = true;
    assert_int_equal(city_commit(f->city, &f->err), E_INTERNAL);
    sign_fails = false;
    assert_int_equal(seq_of(f, GY), before);
    MUST(f, city_head(f->city, GY, &head, &signature, &seq));
    assert_int_equal(seq, before);
    assert_int_not_equal(signature.len, 0);
    f->gy1.n = 0;
    assert_int_equal(push(f, &f->gy1, c), 0);
    assert_whole(f);
}

/* A full disk inside an act: nothing of the group stays, and the act is taken later. */
static void test_city__disk_full(void **state)
{
    struct fixture *f = *state;
    sqlite3 *db = store_db(city_store(f->city));
    uint64_t before = seq_of(f, GY);
    char *text = arena_alloc(&f->a, 60001);
    bool refused;
    struct id id;
    struct change c = opinion(f, &f->gy1, &id);
    int ret = 0;

    for (size_t i = 0; i < 60000; i += 3)
        memcpy(text + i, "路", 3);
    text[60000] = '\0';
    assert_int_equal(sqlite3_exec(db, "PRAGMA max_page_count = 1", NULL, NULL, NULL), SQLITE_OK);
    begin(f);
    for (size_t i = 0; ret == 0 && i < 100; i++) {
        ret = bring(f, &f->gy1, &c, 1, &refused);
        if (ret == 0)
            c = edit(f, &f->gy1, &id, i % 2 == 0 ? "demand" : "verified_note", value_str(text),
                     UINT64_MAX >> 1);
    }
    assert_int_equal(ret, E_FULL);
    city_rollback(f->city);
    f->gy1.n = 0;
    assert_int_equal(sqlite3_exec(db, "PRAGMA max_page_count = 1000000", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(seq_of(f, GY), before);
    assert_whole(f);
    assert_int_equal(push(f, &f->gy1, opinion(f, &f->gy1, &id)), 0);
    assert_int_equal(seq_of(f, GY), before + 1);
    reopen(f);
    assert_whole(f);
}

/* ---- the city's own acts ---- */

/* In a stream that is none, and behind a change that only a computer can have made: nothing is written. */
static void test_city__acts_of_the_city(void **state)
{
    struct fixture *f = *state;
    struct change c = studio(f);
    uint64_t before = seq_of(f, GY);

    c.stream = 999999;
    begin(f);
    assert_int_equal(by_city(f, &by_system, &c), E_INTERNAL);
    assert_non_null(strstr(f->err.text, "999999"));
    city_rollback(f->city);
    c = (struct change){.op = OP_SET, .kind = catalogue_kind_named("studio")->tag, .record = f->studio};
    (void)put(f, &c, "name", value_str("新名"));
    c.fields[0].saw_n = 1;
    c.seen = before;
    begin(f);
    assert_int_equal(by_city(f, &by_system, &c), E_CONFLICT);
    commit(f);
    assert_int_equal(seq_of(f, GY), before);
    assert_true(slice_eq(row_text(get(f, "studio", &f->studio), "name"), slice_str("惠民委员工作室")));
    assert_whole(f);
}

/* ---- references ---- */

/* An id made to look like a known record's is not taken for it. */
static void test_city__reference_forged(void **state)
{
    struct fixture *f = *state;
    struct id id, forged = f->member;
    struct change c;

    assert_int_equal(push(f, &f->gy1, opinion(f, &f->gy1, &id)), 0); /* now the member is known */
    forged.b[15] ^= 0x40; /* the halves make the same sum */
    forged.b[0] ^= 0x40;
    c = opinion(f, &f->gy1, &id);
    change_field(&c, kind_field_named(catalogue_kind_named("opinion"), "receiver")->tag)->v =
        value_id(&forged);
    assert_int_equal(push(f, &f->gy1, c), E_PARENT);
}

/* ---- verify ---- */

/* One bit of COLUMN of the entry at SEQ turned. */
static void flip(struct fixture *f, const char *column, uint64_t seq)
{
    sqlite3 *db = store_db(city_store(f->city));
    sqlite3_blob *blob;
    uint8_t byte;
    int at;

    assert_int_equal(sqlite3_blob_open(db, "main", "log", column,
                                       (sqlite3_int64)((uint64_t)GY << 40 | seq), 1, &blob),
                     SQLITE_OK);
    at = sqlite3_blob_bytes(blob) - 1;
    assert_true(at >= 0);
    assert_int_equal(sqlite3_blob_read(blob, &byte, 1, at), SQLITE_OK);
    byte ^= 1;
    assert_int_equal(sqlite3_blob_write(blob, &byte, 1, at), SQLITE_OK);
    assert_int_equal(sqlite3_blob_close(blob), SQLITE_OK);
}

/* One bit anywhere in an entry, or an entry gone, is found and named. */
static void test_city__verify(void **state)
{
    static const char *const columns[] = {"bytes", "verdict", "side", "hash"};
    struct fixture *f = *state;
    char name[32], text[128];
    uint64_t seq;
    struct id id;

    assert_int_equal(push(f, &f->gy1, opinion(f, &f->gy1, &id)), 0);
    seq = seq_of(f, GY);
    assert_int_equal(push(f, &f->gy1, edit(f, &f->gy1, &id, "keywords", value_str("甲"), seq)), 0);
    (void)snprintf(name, sizeof name, "第 %llu 条", (unsigned long long)seq);
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) {
        flip(f, columns[i], seq);
        if (city_verify(f->city, &f->err) != E_CORRUPT || strstr(f->err.text, name) == NULL)
            fail_msg("%s: %s", columns[i], f->err.text);
        flip(f, columns[i], seq);
        MUST(f, city_verify(f->city, &f->err));
    }
    (void)snprintf(text, sizeof text, "UPDATE log SET side = NULL WHERE pos = %llu",
                   (unsigned long long)((uint64_t)GY << 40 | seq));
    assert_int_equal(sqlite3_exec(store_db(city_store(f->city)), text, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(city_verify(f->city, &f->err), E_CORRUPT);
    (void)snprintf(text, sizeof text, "DELETE FROM log WHERE pos = %llu",
                   (unsigned long long)((uint64_t)GY << 40 | (seq + 1)));
    assert_int_equal(sqlite3_exec(store_db(city_store(f->city)), text, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(city_verify(f->city, &f->err), E_CORRUPT);
}

/* An entry gone from the middle, and a stream that says it stands where its log does not. */
static void test_city__verify_finds_what_is_missing(void **state)
{
    struct fixture *f = *state;
    char text[160], name[32];
    uint64_t seq;
    struct id id;

    assert_int_equal(push(f, &f->gy1, opinion(f, &f->gy1, &id)), 0);
    seq = seq_of(f, GY);
    assert_int_equal(push(f, &f->gy1, edit(f, &f->gy1, &id, "keywords", value_str("甲"), seq)), 0);
    harm(f, "UPDATE stream SET hash = zeroblob(32) WHERE stream = 431081");
    reopen(f);
    assert_int_equal(city_verify(f->city, &f->err), E_CORRUPT);
    assert_non_null(strstr(f->err.text, "431081"));
    (void)snprintf(text, sizeof text, "DELETE FROM log WHERE pos = %llu", (unsigned long long)((uint64_t)GY << 40 | seq));
    harm(f, text);
    assert_int_equal(city_verify(f->city, &f->err), E_CORRUPT);
    (void)snprintf(name, sizeof name, "第 %llu 条", (unsigned long long)seq);
    assert_non_null(strstr(f->err.text, name));
}

/* A daemon goes on writing beside who verifies: what it appends meanwhile is not taken for damage. */
static void test_city__verify_beside_a_daemon(void **state)
{
    struct fixture *f = *state;
    struct city_options o = options(f);
    struct city *beside;
    struct id id;

    MUST(f, city_open(f->path, &o, &beside, &f->err));
    assert_int_equal(push(f, &f->gy1, opinion(f, &f->gy1, &id)), 0);
    MUST(f, city_verify(beside, &f->err));
    city_close(beside);
    assert_whole(f);
}

/* A log that cannot be read is damage, whoever comes upon it: no county's mistake, and no way to make the tables
 * anew, which stay as they are. */
static void test_city__damaged_log(void **state)
{
    struct fixture *f = *state;
    uint8_t before[HASH_SIZE], after[HASH_SIZE];
    char text[160];
    bool refused;
    uint64_t seen, saw;
    struct id wang = account(f, "wang", "county_lead", &seen), id;
    struct change c = blank(&f->gy2, "user_account", OP_SET, &wang), next;

    change_roles(f, &wang, "studio_user", "county_lead");
    (void)put(f, &c, "name", value_str("老王"));
    c.actor = wang;
    c.seen = seen;
    assert_int_equal(push(f, &f->gy1, opinion(f, &f->gy1, &id)), 0);
    saw = f->gy1.n;
    digest(f, before);
    (void)snprintf(text, sizeof text, "UPDATE log SET verdict = x'00' WHERE pos IN (%llu, %llu)",
                   (unsigned long long)((uint64_t)GY << 40 | seen),
                   (unsigned long long)((uint64_t)GY << 40 | seq_of(f, GY)));
    harm(f, text);
    begin(f);
    assert_int_equal(bring(f, &f->gy2, &c, 1, &refused), E_CORRUPT); /* which roles he had */
    city_rollback(f->city);
    next = edit(f, &f->gy1, &id, "keywords", value_str("甲"), seen);
    next.fields[0].saw_n = saw;
    begin(f);
    assert_int_equal(bring(f, &f->gy1, &next, 1, &refused), E_CORRUPT); /* what its author saw */
    city_rollback(f->city);
    assert_int_equal(city_rebuild(f->city, &f->err), E_CORRUPT);
    assert_non_null(strstr(f->err.text, "431021"));
    digest(f, after);
    assert_memory_equal(before, after, HASH_SIZE);
}

/* A row that somebody altered beside the log is found, by its kind. */
static void test_city__verify_finds_an_altered_row(void **state)
{
    static const char alter[] = "UPDATE opinion SET keywords = '别的'";
    struct fixture *f = *state;
    struct id id;

    assert_int_equal(push(f, &f->gy1, opinion(f, &f->gy1, &id)), 0);
    MUST(f, city_verify(f->city, &f->err));
    assert_int_equal(sqlite3_exec(store_db(city_store(f->city)), alter, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(city_verify(f->city, &f->err), E_CORRUPT);
    assert_non_null(strstr(f->err.text, catalogue_kind_named("opinion")->label));
    MUST(f, city_rebuild(f->city, &f->err));
    MUST(f, city_verify(f->city, &f->err));
    assert_field(f, &id, "keywords", "");
}

/* ---- two with one identity ---- */

/* Both said Hello before either pushed: who comes second with a number is not told that its change is there. */
static void test_city__who_was_faster(void **state)
{
    struct fixture *f = *state;
    struct change mine, theirs;
    uint8_t before[HASH_SIZE], after[HASH_SIZE];
    struct id a, b;
    uint64_t n;

    assert_int_equal(push(f, &f->gy1, opinion(f, &f->gy1, &a)), 0);
    n = f->gy1.n + 1;
    MUST(f, city_replica_chain(f->city, &f->gy1.id, n - 1, before, &f->err));
    mine = opinion(f, &f->gy1, &a);
    theirs = opinion(f, &f->gy1, &b);
    assert_int_equal(known(f, &f->gy1, theirs, n, before), 0);
    assert_int_equal(push(f, &f->gy1, mine), 0);
    assert_int_equal(known(f, &f->gy1, mine, n, before), 1);
    assert_int_equal(known(f, &f->gy1, theirs, n, before), E_CLOSED);
    MUST(f, city_replica_chain(f->city, &f->gy1.id, n, after, &f->err));
    assert_int_equal(known(f, &f->gy1, theirs, n + 1, after), 0);
    assert_int_equal(known(f, &f->gy1, theirs, n + 1, before), E_CLOSED); /* behind a change of its own */
}

/* A stranger, one that was revoked, and a number whose chain nobody brought back: none is told that it is there. */
static void test_city__known_to_whom(void **state)
{
    struct fixture *f = *state;
    struct computer stranger = f->gy1;
    uint8_t before[HASH_SIZE], chain[HASH_SIZE] = {5};
    struct id id;
    struct change c = opinion(f, &f->gy1, &id);

    MUST(f, city_replica_chain(f->city, &f->gy1.id, 0, before, &f->err));
    stranger.id.b[0] ^= 1;
    assert_int_equal(known(f, &stranger, c, 1, before), E_NOTFOUND);
    begin(f);
    MUST(f, city_restart(f->city, "磁盘损坏", &f->err));
    MUST(f, city_adopt(f->city, &f->gy1.id, 3, chain, &f->err));
    commit(f);
    assert_int_equal(known(f, &f->gy1, c, 2, before), E_CLOSED);
    assert_int_equal(known(f, &f->gy1, c, 4, chain), 0);
    begin(f);
    MUST(f, city_replica_set_state(f->city, &f->gy1.id, REPLICA_LOST, &f->err));
    commit(f);
    assert_int_equal(known(f, &f->gy1, c, 4, chain), E_REVOKED);
}

/* The chain that was made beforehand counts where it begins with the replica's, and nowhere else. */
static void test_city__chain_guessed_wrongly(void **state)
{
    struct fixture *f = *state;
    const struct hasher *h = city_hasher(f->city);
    uint8_t wrong[HASH_SIZE] = {6}, want[HASH_SIZE], is[HASH_SIZE];
    struct slice bytes, side;
    struct act act;
    bool refused;
    struct id id;
    struct change c = opinion(f, &f->gy1, &id);

    act = prepared(f, &c, 1, wrong, &bytes, &side);
    begin(f);
    MUST(f, city_push_act(f->city, &f->gy1.id, &act, &refused, &f->err));
    commit(f);
    assert_false(refused);
    MUST(f, city_replica_chain(f->city, &f->gy1.id, 0, want, &f->err));
    own_chain_next(h, want, act.hashes[0]);
    MUST(f, city_replica_chain(f->city, &f->gy1.id, 1, is, &f->err));
    assert_memory_equal(is, want, HASH_SIZE);
}

/* ---- poison ---- */

static struct id poison;

/* The fault that a test plants: the process dies of any act on one record. */
static void die_of_poison(void *ctx, const struct act *act)
{
    (void)ctx;
    if (id_eq(&act->changes[0].record, &poison))
        _exit(66);
}

static void reopen_marked(struct fixture *f)
{
    struct city_options o = options(f);
    char marker[128];

    (void)snprintf(marker, sizeof marker, "%s/merging", f->dir);
    o.marker = marker;
    o.on_act = die_of_poison;
    city_close(f->city);
    f->city = NULL;
    MUST(f, city_open(f->path, &o, &f->city, &f->err));
}

/* A life of the daemon that ends in the middle of merging the act. */
static void die_merging(struct fixture *f, struct computer *k, struct change c)
{
    int status;
    pid_t pid;

    city_close(f->city);
    f->city = NULL;
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        bool refused;

        reopen_marked(f);
        begin(f);
        (void)bring(f, k, &c, 1, &refused);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 66);
}

static int count_alert(void *ctx, struct row *row)
{
    unsigned *n = ctx;

    assert_true(slice_eq(row_text(row, "rule"), slice_str("poison")));
    (*n)++;
    return 0;
}

static unsigned alerts(struct fixture *f)
{
    unsigned n = 0;

    MUST(f, store_row_each(city_store(f->city), catalogue_kind_named("alert"), count_alert, &n,
                           &f->err));
    return n;
}

/* After two deaths on one act it is kept aside, with an alert, and everybody else is served. */
static void test_city__poison(void **state)
{
    struct fixture *f = *state;
    struct change c = opinion(f, &f->gy1, &poison);
    struct id other, second;

    die_merging(f, &f->gy1, c);
    reopen_marked(f);
    assert_int_equal(push(f, &f->gy2, opinion(f, &f->gy2, &other)), 0);
    assert_int_equal(alerts(f), 0);

    die_merging(f, &f->gy1, c);
    reopen_marked(f);
    assert_int_equal(push(f, &f->gy1, c), E_QUARANTINE);
    assert_true(refusals(f, &f->gy1).quarantined);
    assert_int_equal(alerts(f), 1);
    assert_int_equal(push(f, &f->gy1, opinion(f, &f->gy1, &second)), 0);
    assert_int_equal(push(f, &f->gy2, opinion(f, &f->gy2, &other)), 0);
    MUST(f, city_verify(f->city, &f->err));

    c = opinion(f, &f->gy1, &poison); /* another of the same author: his alert is still open */
    die_merging(f, &f->gy1, c);
    die_merging(f, &f->gy1, c);
    reopen_marked(f);
    assert_int_equal(push(f, &f->gy1, c), E_QUARANTINE);
    assert_int_equal(alerts(f), 1);

    c = opinion(f, &f->gy2, &poison); /* one whom nobody knows: the alert names his office */
    c.actor = new_id(f);
    die_merging(f, &f->gy2, c);
    die_merging(f, &f->gy2, c);
    reopen_marked(f);
    assert_int_equal(push(f, &f->gy2, c), E_QUARANTINE);
    assert_int_equal(alerts(f), 2);
}

/* Another rule's alert on the same account, and one that somebody has cleared, is not this one. */
static void test_city__poison_is_told_again(void **state)
{
    struct fixture *f = *state;
    struct change c = opinion(f, &f->gy1, &poison);

    die_merging(f, &f->gy1, c);
    die_merging(f, &f->gy1, c);
    reopen_marked(f);
    assert_int_equal(push(f, &f->gy1, c), E_QUARANTINE);
    assert_int_equal(alerts(f), 1);
    harm(f, "UPDATE alert SET cleared_at = '2026-03-05T15:00:00+08:00'");
    c = opinion(f, &f->gy1, &poison);
    die_merging(f, &f->gy1, c);
    die_merging(f, &f->gy1, c);
    reopen_marked(f);
    assert_int_equal(push(f, &f->gy1, c), E_QUARANTINE);
    assert_int_equal(alerts(f), 2);
}

/* Without the office's own record nobody could be told: the act is not answered, and is told again. */
static void test_city__poison_without_an_office(void **state)
{
    struct fixture *f = *state;
    struct change c = opinion(f, &f->gy1, &poison);
    bool refused;

    die_merging(f, &f->gy1, c);
    die_merging(f, &f->gy1, c);
    reopen_marked(f);
    harm(f, "UPDATE site SET code = '431999' WHERE code = '431021'");
    begin(f);
    assert_int_equal(bring(f, &f->gy1, &c, 1, &refused), E_CORRUPT);
    assert_non_null(strstr(f->err.text, "431021"));
    city_rollback(f->city);
    harm(f, "UPDATE site SET code = '431021' WHERE code = '431999'");
    f->gy1.n = 0;
    assert_int_equal(push(f, &f->gy1, c), E_QUARANTINE);
    assert_int_equal(alerts(f), 1);
    assert_whole(f);
}

/* A life that ended for another reason condemns nothing. */
static void test_city__marker_is_cleared(void **state)
{
    struct fixture *f = *state;
    struct id id;

    memset(&poison, 0, sizeof poison);
    for (int i = 0; i < 4; i++) {
        reopen_marked(f);
        assert_int_equal(push(f, &f->gy1, opinion(f, &f->gy1, &id)), 0);
    }
    assert_int_equal(alerts(f), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_city__create),
        TEST(test_city__terms),
        TEST(test_city__not_opened),
        TEST(test_city__too_many_streams),
        TEST(test_city__enrol),
        TEST(test_city__clerk_once),
        TEST(test_city__order),
        TEST(test_city__conflict_once),
        TEST(test_city__seen_in_another_life),
        TEST(test_city__seen_in_both_lives),
        TEST(test_city__recovering),
        TEST(test_city__equal_and_other),
        TEST(test_city__delta),
        TEST(test_city__void_and_edit),
        TEST(test_city__void_that_is_none),
        TEST(test_city__void_and_child),
        TEST(test_city__void_and_move),
        TEST(test_city__somebody_was_faster),
        TEST(test_city__sealing_step),
        TEST(test_city__seal),
        TEST(test_city__twice_in_one_act),
        TEST(test_city__each_change_has_its_entry),
        TEST(test_city__refusal_family),
        TEST(test_city__act_is_whole),
        TEST(test_city__quarantine),
        TEST(test_city__role_never_held),
        TEST(test_city__role_lost_in_sight),
        TEST(test_city__account_of_another_county),
        TEST(test_city__many_authors),
        TEST(test_city__actor),
        TEST(test_city__release),
        TEST(test_city__refused_beats_kept),
        TEST(test_city__drop),
        TEST(test_city__retired),
        TEST(test_city__kept_act_is_damaged),
        TEST(test_city__certificates),
        TEST(test_city__successor),
        TEST(test_city__successor_revoked),
        TEST(test_city__successor_of_kept),
        TEST(test_city__successor_refused),
        TEST(test_city__successors_of_a_site),
        TEST(test_city__damaged_replica),
        TEST(test_city__damaged_line),
        TEST(test_city__no_such_replica),
        TEST(test_city__repairs),
        TEST(test_city__act_too_big),
        TEST(test_city__act_over_too_much),
        TEST(test_city__act_of_one_record),
        TEST(test_city__rollback),
        TEST(test_city__rollback_without_reading),
        TEST(test_city__signature_fails),
        TEST(test_city__disk_full),
        TEST(test_city__acts_of_the_city),
        TEST(test_city__reference_forged),
        TEST(test_city__verify),
        TEST(test_city__verify_finds_an_altered_row),
        TEST(test_city__verify_finds_what_is_missing),
        TEST(test_city__verify_beside_a_daemon),
        TEST(test_city__damaged_log),
        TEST(test_city__who_was_faster),
        TEST(test_city__known_to_whom),
        TEST(test_city__chain_guessed_wrongly),
        TEST(test_city__poison),
        TEST(test_city__poison_is_told_again),
        TEST(test_city__poison_without_an_office),
        TEST(test_city__marker_is_cleared),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
