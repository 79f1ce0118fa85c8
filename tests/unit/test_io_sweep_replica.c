/* A replica where the disk, a statement or memory fails: each of its main operations, at every place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "client/store/blobs.h"
#include "client/store/exchange.h"
#include "client/store/identity.h"
#include "client/store/repair.h"
#include "common/crypto/hash.h"
#include "server/store/city_recover.h"
#include "server/store/snapshot.h"
#include "server/store/tell.h"
#include "tests/lib/stores.h"
#include "tests/lib/toy.h"
#include "tests/lib/trip.h"

#include <sqlite3.h>
#include <string.h>

/* ---- life ---- */

static int open_again(struct stores *s, struct err *err)
{
    struct replica_keys keys = stores_keys(s, AT_A);

    replica_close(s->at[AT_A]);
    s->at[AT_A] = NULL;
    return replica_open("a/replica.db", &keys, &s->at[AT_A], err);
}

/* The program before knew less: the tables are told from the log again. */
static void upgrade(struct stores *s)
{
    static const char query[] = "UPDATE meta SET value = 1 WHERE name = 'catalogue'";

    assert_int_equal(sqlite3_exec(store_db(replica_store(s->at[AT_A])), query, NULL, NULL, NULL), SQLITE_OK);
}

static int create(struct stores *s, struct err *err)
{
    struct replica_keys keys = stores_keys(s, AT_A);
    struct replica_facts f = {.id = {{9}}, .ledger = city_ledger(s->city), .site = STORES_SITE, .k = 9};

    return replica_create(stores_new_path(s), &keys, &f, err);
}

static int verify(struct stores *s, struct err *err)
{
    return replica_verify(s->at[AT_A], err);
}

static int rebuild(struct stores *s, struct err *err)
{
    return replica_rebuild(s->at[AT_A], err);
}

static int tell_facts(struct stores *s, struct err *err)
{
    struct client_facts *facts;
    struct actor actor;
    int64_t value;
    int ret;

    trip_pause();
    facts = arena_zalloc(&s->arena, sizeof *facts);
    trip_resume();
    ret = exchange_facts(s->at[AT_A], "ztc/1", facts, err);
    if (ret == 0)
        ret = exchange_ledger(s->at[AT_A], &facts->ledger, err);
    if (ret == 0)
        ret = replica_actor(s->at[AT_A], "clerk", &actor, err);
    return ret == 0 ? replica_setting(s->at[AT_A], "attachment_bytes", &value, err) : ret;
}

/* ---- writing ---- */

static int write_opinion(struct stores *s, struct err *err)
{
    return stores_write_opinion(s, AT_A, &s->opinion[0], err);
}

static int edit(struct stores *s, struct err *err)
{
    return stores_write(s, AT_A, "opinion", OP_SET, &s->opinion[0], "",
                        PAIRS("title", "改过的题目", "person_name", "王大妈"), err);
}

static int move(struct stores *s, struct err *err)
{
    return stores_write(s, AT_A, "opinion", OP_TRANSITION, &s->opinion[0], "verifying", NULL, err);
}

static int attach(struct stores *s, struct err *err)
{
    const char *target;

    trip_pause();
    target = stores_id(s, &s->opinion[0]);
    trip_resume();
    s->attachment = (struct id){{0}};
    return stores_write(s, AT_A, "attachment", OP_CREATE, &s->attachment, "",
                        PAIRS("target_kind", "opinion", "target_id", target, "file_name", "照片.jpg",
                              "mime", "image/jpeg", "size", "1234", "hash",
                              "abcd000000000000000000000000000000000000000000000000000000000000"),
                        err);
}

static int void_other(struct stores *s, struct err *err)
{
    return stores_write(s, AT_A, "opinion", OP_VOID, &s->opinion[1], "", PAIRS("void_reason", "重复"), err);
}

static void write_other(struct stores *s)
{
    MUST(s, stores_write_opinion(s, AT_A, &s->opinion[1], &s->err));
}

/* Two acts, the second of two changes, in one transaction. */
static int import(struct stores *s, struct err *err)
{
    struct replica *r = s->at[AT_A];
    int ret = replica_write_begin(r, err), ended;

    if (ret != 0)
        return ret;
    ret = stores_write_opinion(s, AT_A, &s->opinion[2], err);
    if (ret == 0)
        ret = stores_write_opinion(s, AT_A, &s->opinion[3], err);
    ended = replica_write_end(r, ret == 0, err);
    return ret != 0 ? ret : ended;
}

/* ---- up ---- */

static int load(struct stores *s, struct err *err)
{
    struct client_update up = {.load = {.wanted = true, .from_n = 1, .max_count = 4, .max_bytes = 1u << 16}};
    struct client_event ev = {.ret = 0};
    struct body_codec codec;
    struct buf packed;

    up.load.catalogue = CATALOGUE_VERSION - 1; /* what it does not know is held back */
    body_codec_init(&codec);
    buf_init(&packed, 1u << 20);
    exchange_load(s->at[AT_A], &up, &codec, &packed, &ev, err);
    buf_release(&packed);
    body_codec_release(&codec);
    return ev.ret;
}

/* ---- down ---- */

/* Up with what A made, and beside it what B made meanwhile. */
static void push_both(struct stores *s)
{
    struct id id;

    stores_sync(s, AT_B);
    MUST(s, stores_write_opinion(s, AT_B, &id, &s->err));
    stores_load(s, AT_B);
    MUST(s, stores_push(s, AT_B, &s->err));
    stores_load(s, AT_A);
    MUST(s, stores_push(s, AT_A, &s->err));
    MUST(s, edit(s, &s->err)); /* pending over what comes */
    stores_fetch(s, AT_A, STORES_SITE);
}

static int apply_site(struct stores *s, struct err *err)
{
    return stores_apply(s, AT_A, STORES_SITE, err);
}

/* The site's own words in the clear. */
static int open_value(struct stores *s, struct err *err)
{
    struct value name;
    struct row *row;
    struct arena a;
    int ret;

    arena_init(&a, 1u << 20);
    ret = store_row_get(replica_store(s->at[AT_A]), &a, catalogue_kind_named("opinion"), &s->opinion[0], &row,
                        err);
    if (ret == 0)
        ret = replica_open_value(s->at[AT_A], &a, row_named(row, "person_name"), &name, err);
    if (ret == 0)
        assert_true(slice_eq(name.s, slice_str("王大妈")));
    arena_release(&a);
    return ret;
}

/* Both change the title of one opinion: what B's loses is kept as a conflict. */
static void conflict(struct stores *s)
{
    stores_sync(s, AT_A);
    stores_sync(s, AT_B);
    MUST(s, stores_write(s, AT_A, "opinion", OP_SET, &s->opinion[2], "", PAIRS("title", "甲"), &s->err));
    MUST(s, stores_write(s, AT_B, "opinion", OP_SET, &s->opinion[2], "", PAIRS("title", "乙"), &s->err));
    stores_sync(s, AT_B);
    stores_load(s, AT_A);
    MUST(s, stores_push(s, AT_A, &s->err));
    stores_fetch(s, AT_A, STORES_SITE);
}

static int each_conflict(void *ctx, const struct conflict_row *row)
{
    (void)ctx;
    (void)row;
    return 0;
}

static int show_conflicts(struct stores *s, struct err *err)
{
    return replica_conflicts(s->at[AT_A], each_conflict, NULL, err);
}

static int receipt(struct stores *s, struct err *err)
{
    struct buf out;
    int ret;

    buf_init(&out, 1u << 20);
    ret = replica_receipt(s->at[AT_A], STORES_SITE, 2, &out, err);
    buf_release(&out);
    return ret;
}

static void witness_ready(struct stores *s)
{
    uint64_t seq;

    MUST(s, city_head(s->city, STREAM_CITY, &s->head, &s->signature, &seq));
    s->head.p = arena_dup(&s->arena, s->head.p, s->head.len);
    s->signature.p = arena_dup(&s->arena, s->signature.p, s->signature.len);
}

static int witness(struct stores *s, struct err *err)
{
    return replica_witness(s->at[AT_A], s->head, s->signature, err);
}

static int welcome(struct stores *s, struct err *err)
{
    Ztc__Welcome m = ZTC__WELCOME__INIT;
    Ztc__SignedHead head = ZTC__SIGNED_HEAD__INIT, *heads[] = {&head};
    struct id life = city_incarnation(s->city);
    struct client_event ev = {.ret = 0};
    struct arena a;
    int ret;

    m.incarnation = wire_data((struct slice){life.b, ID_SIZE});
    head.head = wire_data(s->head);
    head.signature = wire_data(s->signature);
    m.heads = heads;
    m.n_heads = 1;
    arena_init(&a, 1u << 20);
    ret = exchange_welcome(s->at[AT_A], &m, &a, &ev, err);
    arena_release(&a);
    return ret;
}

/* ---- refusals ---- */

static void make_refused(struct stores *s)
{
    MUST(s, stores_write_opinion(s, AT_A, &s->opinion[4], &s->err));
    MUST(s, stores_write(s, AT_A, "opinion", OP_SET, &s->opinion[4], "", PAIRS("title", "改"), &s->err));
}

static int refused(struct stores *s, struct err *err)
{
    Ztc__Refused m = ZTC__REFUSED__INIT;
    struct client_update up = {.store_refused = &m};
    struct client_event ev = {.ret = 0};
    struct replica_facts f;
    int ret = replica_facts(s->at[AT_A], &f, err);

    m.first_n = m.last_n = m.at_n = f.own_n - 1; /* the creation; what follows waits for its own */
    m.code = wire_data(slice_str("ZT-ROLE"));
    m.text = wire_data(slice_str("没有角色"));
    if (ret != 0)
        return ret;
    exchange_refused(s->at[AT_A], &up, s->now, &ev, err);
    return ev.ret;
}

static int each_change(void *ctx, const struct change *c)
{
    (void)ctx;
    (void)c;
    return 0;
}

struct showing {
    struct stores *s;
    struct err *err;
};

static int each_refused(void *ctx, const struct refused_row *row)
{
    struct showing *x = ctx;

    return replica_refused_changes(x->s->at[AT_A], row, each_change, NULL, x->err);
}

static int show_refused(struct stores *s, struct err *err)
{
    struct showing x = {s, err};

    return replica_refused_each(s->at[AT_A], each_refused, &x, err);
}

static int close_refused(struct stores *s, struct err *err)
{
    uint64_t n;

    return replica_refused_close(s->at[AT_A], 1, 1000, &s->clerk, s->now, &n, err);
}

/* ---- attachments ---- */

static int blobs(struct stores *s, struct err *err)
{
    struct replica *r = s->at[AT_A];
    struct blob_row row = {.attachment = s->attachment, .way = BLOB_UP, .hash = {0xab, 0xcd}, .size = 1234};
    struct client_blob_want next = {.ask = CLIENT_BLOB_NEXT};
    struct client_event ev = {.ret = 0};
    struct blob_counts counts;
    uint64_t used;
    int ret = replica_write_begin(r, err), ended;

    if (ret != 0)
        return ret;
    ret = replica_blob_want(r, &row, s->now, err);
    if (ret == 0) {
        exchange_blob(r, CLIENT_LANE_UP, &next, s->now, &ev, err);
        ret = ev.blob.ret;
    }
    if (ret == 0)
        ret = replica_blob_counts(r, &counts, err);
    if (ret == 0)
        ret = replica_blob_used(r, &used, err);
    if (ret == 0)
        ret = replica_blob_get(r, &s->attachment, BLOB_UP, &row, err);
    ended = replica_write_end(r, ret == 0, err);
    return ret != 0 ? ret : ended;
}

static int each_blob(void *ctx, const struct blob_row *b)
{
    (void)ctx;
    return b->state == BLOB_WAITING ? 0 : E_INTERNAL;
}

/* What went up goes up once more. */
static int other_life(struct stores *s, struct err *err)
{
    int ret = replica_blob_life(s->at[AT_A], &(struct id){{0x55}}, err);

    return ret == 0 ? replica_blob_each(s->at[AT_A], BLOB_UP, true, each_blob, NULL, err) : ret;
}

/* It was too big. */
static int offer_again(struct stores *s, struct err *err)
{
    int ret = replica_blob_again(s->at[AT_A], err);

    return ret == 0 ? replica_blob_each(s->at[AT_A], BLOB_UP, true, each_blob, NULL, err) : ret;
}

static int settle_blob(struct stores *s, struct err *err)
{
    struct client_blob_want want = {.ask = CLIENT_BLOB_SETTLE, .attachment = s->attachment, .ret = E_TOOBIG};
    struct client_event ev = {.ret = 0};

    exchange_blob(s->at[AT_A], CLIENT_LANE_UP, &want, s->now, &ev, err);
    return ev.blob.ret;
}

/* ---- identity ---- */

/* 0: points lie above LO; 1: none does. */
static int fork_above(struct stores *s, uint64_t lo, uint64_t hi, struct err *err)
{
    struct client_point at[WIRE_POINTS_MAX];
    struct client_update up = {.fork = {.lo = lo, .hi = hi}};
    size_t n;

    return exchange_fork(s->at[AT_A], &up, at, &n, err);
}

static int points(struct stores *s, struct err *err)
{
    struct client_event ev = {.ret = 0};
    struct client_update up = {.check = {.n = 0}};
    uint8_t chain[HASH_SIZE];
    struct replica_facts f;
    struct id next;
    int ret = replica_facts(s->at[AT_A], &f, err);

    if (ret == 0)
        ret = fork_above(s, 0, f.own_n, err);
    if (ret == 0)
        ret = fork_above(s, f.own_n, f.own_n, err);
    if (ret != 1)
        return ret;
    ret = identity_chain(s->at[AT_A], f.own_n, chain, err);
    if (ret == 0) {
        up.check.n = f.own_n;
        up.check.chain = (struct slice){chain, HASH_SIZE};
        exchange_check(s->at[AT_A], &up, &ev, err);
        ret = ev.ret;
    }
    if (ret == 0)
        ret = identity_next_put(s->at[AT_A], &(struct id){{0x77}}, err);
    return ret == 0 ? identity_next_get(s->at[AT_A], &next, err) : ret;
}

static void write_pending(struct stores *s)
{
    stores_sync(s, AT_A);
    MUST(s, stores_write_opinion(s, AT_A, &s->opinion[5], &s->err));
    MUST(s, stores_write(s, AT_A, "opinion", OP_SET, &s->opinion[5], "", PAIRS("title", "改"), &s->err));
}

static int change_identity(struct stores *s, struct err *err)
{
    struct identity_former former;
    struct replica_facts f;
    uint64_t remade;
    int ret = replica_facts(s->at[AT_A], &f, err);

    if (ret == 0 && !id_eq(&f.id, &(struct id){{0x77}}))
        ret = identity_change(s->at[AT_A], &(struct id){{0x77}}, 7, f.own_n - 2, s->now, &remade, err);
    return ret == 0 ? identity_former(s->at[AT_A], &former, err) : ret;
}

/* ---- a city that was restored ---- */

static int restart(struct stores *s, struct err *err)
{
    return city_restart(s->city, "磁盘损坏", err);
}

/* An act of one, of three, and of one: the city has them, and lives anew, which its witness shows. */
static void live_anew(struct stores *s)
{
    const char *const titles[] = {"甲", "乙", "丙"};
    struct draft d[3];
    struct id id;

    MUST(s, stores_write_opinion(s, AT_A, &s->opinion[6], &s->err));
    for (size_t i = 0; i < 3; i++) {
        d[i] = (struct draft){
            .kind = catalogue_kind_named("opinion"), .record = s->opinion[6], .op = OP_SET, .to = slice_str("")};
        d[i].fields = stores_fields(s, "opinion", &d[i].n_fields, PAIRS("title", titles[i]));
    }
    MUST(s, replica_write(s->at[AT_A], &s->arena, &s->clerk, d, 3, UINT64_MAX, s->now, &s->err));
    MUST(s, stores_write_opinion(s, AT_A, &id, &s->err));
    stores_sync(s, AT_A);
    MUST(s, stores_group(s, restart, &s->err));
    witness_ready(s);
    MUST(s, witness(s, &s->err));
}

static int count_said(void *ctx, uint64_t n, struct slice bytes, struct slice side)
{
    (void)n;
    (void)bytes;
    (void)side;
    ++*(unsigned *)ctx;
    return 0;
}

static int say_again(struct stores *s, struct err *err)
{
    unsigned n = 0;
    int ret = replica_unanswered(s->at[AT_A], 2, 100, 1u << 16, count_said, &n, err);

    if (ret == 0)
        assert_int_equal(n, 4);
    return ret;
}

static int hand_back(struct stores *s, struct err *err)
{
    struct client_update up = {.refill = {true, STORES_SITE, 1, 1000, 1u << 16}};
    struct client_event ev = {.ret = 0};
    struct body_codec codec;
    struct buf packed;

    body_codec_init(&codec);
    buf_init(&packed, 1u << 20);
    exchange_refill(s->at[AT_A], &up, &codec, &packed, &ev, err);
    buf_release(&packed);
    body_codec_release(&codec);
    return ev.ret;
}

static int go_back(struct stores *s, struct err *err)
{
    Ztc__GoBack m = ZTC__GO_BACK__INIT;
    Ztc__Place place = ZTC__PLACE__INIT, *places[] = {&place};
    struct client_update up = {.go_back = &m};
    struct client_event ev = {.ret = 0};

    place.stream = STORES_SITE;
    place.seq = 4; /* the last is an own change */
    m.places = places;
    m.n_places = 1;
    exchange_go_back(s->at[AT_A], &up, &ev, err);
    return ev.ret;
}

/* ---- a computer that begins with a snapshot ---- */

#define SLICE_BYTES (64u << 10)

static struct slice base_head, base_signature; /* in the story's arena */
static Ztc__Slice kept_slice;

static int retitle(struct stores *s, struct err *err)
{
    return stores_act(s, "opinion", OP_SET, &s->opinion[7], "", STORES_SITE, PAIRS("title", "乙"), err);
}

/* B is new, with what `shared` has. A conflict is open, which names two entries. */
static void begin_anew(struct stores *s)
{
    uint64_t seq;

    MUST(s, stores_write_opinion(s, AT_A, &s->opinion[7], &s->err));
    stores_sync(s, AT_A);
    MUST(s, stores_write(s, AT_A, "opinion", OP_SET, &s->opinion[7], "", PAIRS("title", "甲"), &s->err));
    MUST(s, stores_group(s, retitle, &s->err));
    stores_sync(s, AT_A);
    stores_replace(s, AT_B);
    stores_fetch(s, AT_B, STREAM_SHARED);
    MUST(s, stores_apply(s, AT_B, STREAM_SHARED, &s->err));
    MUST(s, city_head(s->city, STORES_SITE, &base_head, &base_signature, &seq));
    base_head.p = arena_dup(&s->arena, base_head.p, base_head.len);
    base_signature.p = arena_dup(&s->arena, base_signature.p, base_signature.len);
}

static int begin(struct stores *s, struct err *err)
{
    struct client_update up = {.begin = {true, STORES_SITE, base_head, base_signature}};
    struct client_event ev = {.ret = 0};

    exchange_begin(s->at[AT_B], &up, &ev, err);
    return ev.ret;
}

/* All records, one of which was changed since the beginning. */
static void read_slice(struct stores *s)
{
    struct slice_read read = {.stream = STORES_SITE, .max_bytes = SLICE_BYTES};
    struct body_codec codec;
    struct buf body;

    MUST(s, stores_write(s, AT_A, "opinion", OP_SET, &s->opinion[7], "", PAIRS("title", "改"), &s->err));
    stores_sync(s, AT_A);
    body_codec_init(&codec);
    buf_init(&body, 1u << 20);
    MUST(s, snapshot_read(city_store(s->city), &read, &codec, &body, &s->err));
    kept_slice = (Ztc__Slice)ZTC__SLICE__INIT;
    kept_slice.stream = STORES_SITE;
    kept_slice.seq = read.seq;
    kept_slice.count = read.count;
    kept_slice.size = read.size;
    kept_slice.body = wire_data((struct slice){arena_dup(&s->arena, body.p, body.len), body.len});
    buf_release(&body);
    body_codec_release(&codec);
}

static int take_slice(struct stores *s, struct err *err)
{
    struct client_update up = {.store_slice = &kept_slice};
    struct client_event ev = {.ret = 0};
    struct body_codec codec;
    struct arena a;

    arena_init(&a, 16u << 20);
    body_codec_init(&codec);
    exchange_slice(s->at[AT_B], &up, &codec, &a, &ev, err);
    body_codec_release(&codec);
    arena_release(&a);
    return ev.ret;
}

static void fetch_tail(struct stores *s)
{
    stores_fetch(s, AT_B, STORES_SITE);
}

static int apply_tail(struct stores *s, struct err *err)
{
    return stores_apply(s, AT_B, STORES_SITE, err);
}

static int take_old(void *ctx, const struct entry *e)
{
    struct stores *s = ctx;

    s->entries[s->n_entries++] =
        (struct arrived){.received_at = e->received_at,
                         .verdict = {arena_dup(&s->arena, e->verdict.p, e->verdict.len), e->verdict.len},
                         .bytes = {arena_dup(&s->arena, e->bytes.p, e->bytes.len), e->bytes.len},
                         .side = {arena_dup(&s->arena, e->side.p, e->side.len), e->side.len}};
    return 0;
}

static void fetch_history(struct stores *s)
{
    struct replica_snapshot snapshot;

    MUST(s, replica_snapshot(s->at[AT_B], STORES_SITE, &snapshot, &s->err));
    s->n_entries = 0;
    MUST(s, store_entry_each(city_store(s->city), STORES_SITE, 1, take_old, s, &s->err));
    assert_true(s->n_entries >= snapshot.base_seq);
    s->n_entries = snapshot.base_seq;
}

/* The frame is packed as the city packs it. */
static struct slice pack_history(struct stores *s, struct body_codec *codec, uint32_t *ret_size)
{
    struct buf plain, packed;
    struct slice ret;

    buf_init(&plain, WIRE_BODY_MAX);
    buf_init(&packed, WIRE_BODY_MAX);
    for (size_t i = 0; i < s->n_entries; i++) {
        const struct arrived *e = &s->entries[i];

        body_put_entry(&plain, e->received_at, e->verdict, 0, e->bytes, e->side);
    }
    MUST(s, body_compress(codec, buf_slice(&plain), &packed));
    *ret_size = (uint32_t)plain.len;
    ret = (struct slice){arena_dup(&s->arena, packed.p, packed.len), packed.len};
    buf_release(&plain);
    buf_release(&packed);
    return ret;
}

static int history(struct stores *s, struct err *err)
{
    Ztc__History m = ZTC__HISTORY__INIT;
    struct client_update up = {.store_history = &m};
    struct client_event ev = {.ret = 0};
    struct body_codec codec;
    struct arena a;

    arena_init(&a, 16u << 20);
    trip_pause();
    body_codec_init(&codec);
    m.stream = STORES_SITE;
    m.first_seq = 1;
    m.count = (uint32_t)s->n_entries;
    m.body = wire_data(pack_history(s, &codec, &m.size));
    trip_resume();
    exchange_history(s->at[AT_B], &up, &codec, &a, &ev, err);
    body_codec_release(&codec);
    arena_release(&a);
    return ev.ret;
}

static int tell_progress(struct stores *s, struct err *err)
{
    struct client_facts *facts;

    trip_pause();
    facts = arena_zalloc(&s->arena, sizeof *facts);
    trip_resume();
    return exchange_facts(s->at[AT_B], "ztc/1", facts, err);
}

/* The city lives anew, and B has made something since it began. */
static void live_anew_at_b(struct stores *s)
{
    MUST(s, stores_write_opinion(s, AT_B, &s->opinion[6], &s->err));
    stores_sync(s, AT_B);
    MUST(s, stores_group(s, restart, &s->err));
    witness_ready(s);
    MUST(s, replica_witness(s->at[AT_B], s->head, s->signature, &s->err));
}

static int go_back_with_a_hole(struct stores *s, struct err *err)
{
    return replica_go_back(s->at[AT_B], &(struct replica_place){STORES_SITE, 2}, 1, err);
}

/* ---- digests, repair ---- */

/* Rows that are not what the log says, and sums that say so: of three opinions one was changed, one has got another
 * id, one cannot be read; of a fourth, over which something is pending, what lies beneath it cannot. */
static void damage(struct stores *s)
{
    static const char query[] = "UPDATE opinion SET title = '被改坏' WHERE rid = ?1;"
                                "UPDATE opinion SET rid = x'000102030405060708090a0b0c0d0e0f' WHERE rid = ?1;"
                                "UPDATE opinion SET receiver = x'00' WHERE rid = ?1;"
                                "UPDATE base_row SET row = x'01' WHERE record = ?1;";
    const char *next = query;

    for (size_t i = 1; i < 4; i++)
        MUST(s, stores_write_opinion(s, AT_A, &s->opinion[i], &s->err));
    stores_sync(s, AT_A);
    stores_sync(s, AT_B);
    MUST(s, stores_write(s, AT_B, "opinion", OP_SET, &s->opinion[3], "", PAIRS("title", "改"), &s->err));
    for (size_t i = 0; i < 4; i++) {
        sqlite3 *db = store_db(replica_store(s->at[AT_B]));
        sqlite3_stmt *st;

        assert_int_equal(sqlite3_prepare_v2(db, next, -1, &st, &next), SQLITE_OK);
        assert_int_equal(sqlite3_bind_blob(st, 1, s->opinion[i].b, ID_SIZE, SQLITE_STATIC), SQLITE_OK);
        assert_int_equal(sqlite3_step(st), SQLITE_DONE);
        assert_int_equal(sqlite3_changes(db), 1);
        assert_int_equal(sqlite3_finalize(st), SQLITE_OK);
    }
    stores_fetch(s, AT_B, STORES_SITE);
}

/* The head that Welcome shows: nothing is known to differ while the sums say what they said. */
static int compare(struct stores *s, struct err *err)
{
    return replica_compare(s->at[AT_B], s->head, s->signature, err);
}

static int recount(struct stores *s, struct err *err)
{
    bool differs;

    return replica_recount(s->at[AT_B], true, &differs, err);
}

struct asked {
    struct client_digest_ask ask;
    bool more;
};

static int take_answer(struct stores *s, const struct server_told *told, struct asked *x,
                       struct err *err)
{
    Ztc__DigestTell tell = ZTC__DIGEST_TELL__INIT;
    Ztc__RepairRows rows = ZTC__REPAIR_ROWS__INIT;
    ProtobufCBinaryData list[WIRE_REPAIR_MAX];
    struct client_digest_ask ask = x->ask;
    struct client_update up = {.digest = {.ask = &ask}};
    struct client_event ev = {.ret = 0};
    struct arena a;

    tell.seq = rows.seq = told->seq;
    tell.form = told->form;
    tell.list = wire_data(told->list);
    for (size_t i = 0; i < told->n_rows; i++)
        list[i] = wire_data(told->rows[i]);
    rows.rows = list;
    rows.n_rows = told->n_rows;
    rows.covered = told->covered;
    up.digest.tell = ask.n_ids == 0 ? &tell : NULL;
    up.digest.rows = ask.n_ids == 0 ? NULL : &rows;
    arena_init(&a, 1u << 20);
    exchange_digest(s->at[AT_B], &up, s->now, &a, &ev, err);
    arena_release(&a);
    x->ask = ev.compared.next;
    x->more = ev.compared.more;
    return ev.ret;
}

/* Every question until nothing differs. */
static int repair(struct stores *s, struct err *err)
{
    struct asked x = {.ask = {.stream = STORES_SITE}, .more = true};
    struct arena a;
    int ret = 0;

    arena_init(&a, 8u << 20);
    while (ret == 0 && x.more) {
        struct tell_ask ask = {.stream = x.ask.stream, .kind = x.ask.kind, .has_after = x.ask.has_after,
                               .has_upto = x.ask.has_upto, .after = x.ask.after, .upto = x.ask.upto,
                               .n_ids = x.ask.n_ids};
        struct server_told told;

        memcpy(ask.ids, x.ask.ids, sizeof ask.ids);
        trip_pause();
        tell_answer(city_store(s->city), &ask, &a, &told, &s->err);
        assert_int_equal(told.ret, 0);
        trip_resume();
        ret = take_answer(s, &told, &x, err);
    }
    arena_release(&a);
    return ret;
}

static int each_repair(void *ctx, const struct client_repair *r)
{
    (void)ctx;
    (void)r;
    return 0;
}

static int report(struct stores *s, struct err *err)
{
    struct client_repair list[8];
    msec_t since;
    size_t n;
    int ret = replica_repairs_untold(s->at[AT_B], list, 8, &n, err);

    for (size_t i = 0; ret == 0 && i < n; i++)
        ret = replica_repair_told(s->at[AT_B], list[i].no, err);
    if (ret == 0)
        ret = replica_repairs(s->at[AT_B], each_repair, NULL, err);
    ret = ret == 0 ? replica_differs(s->at[AT_B], STORES_SITE, &since, err) : ret;
    return ret < 0 ? ret : replica_compare_kept(s->at[AT_B], STORES_SITE, err);
}

/* ---- the stories ---- */

static const struct step daily[] = {
    {"open", NULL, open_again, STEP_WHOLE},
    {"open after an upgrade", upgrade, open_again, STEP_WHOLE},
    {"create", NULL, create, STEP_LONG},
    {"write", NULL, write_opinion, STEP_WHOLE},
    {"edit", NULL, edit, STEP_WHOLE},
    {"open a value", NULL, open_value, STEP_WHOLE},
    {"move", NULL, move, STEP_WHOLE},
    {"attach", NULL, attach, STEP_WHOLE},
    {"void", write_other, void_other, STEP_WHOLE},
    {"import", NULL, import, STEP_WHOLE},
    {"load", NULL, load, STEP_WHOLE},
    {"facts", NULL, tell_facts, STEP_WHOLE},
    {"apply", push_both, apply_site, STEP_WHOLE},
    {"apply a conflict", conflict, apply_site, STEP_WHOLE},
    {"conflicts", NULL, show_conflicts, STEP_WHOLE},
    {"receipt", NULL, receipt, STEP_WHOLE},
    {"witness", witness_ready, witness, STEP_WHOLE},
    {"welcome", NULL, welcome, STEP_PARTS},
    {"attachments", NULL, blobs, STEP_WHOLE},
    {"attachments in another life", NULL, other_life, STEP_PARTS},
    {"attachment settled", NULL, settle_blob, STEP_PARTS},
    {"attachments offered again", NULL, offer_again, STEP_PARTS},
    {"refused", make_refused, refused, STEP_WHOLE},
    {"refused shown", NULL, show_refused, STEP_WHOLE},
    {"refused closed", NULL, close_refused, STEP_WHOLE},
    {"points", NULL, points, STEP_PARTS},
    {"verify", NULL, verify, STEP_LONG},
    {"rebuild", NULL, rebuild, STEP_LONG},
};

static const struct step other_lives[] = {
    {"identity", write_pending, change_identity, STEP_WHOLE},
};

static const struct step restored[] = {
    {"say again", live_anew, say_again, STEP_WHOLE},
    {"hand back", NULL, hand_back, STEP_WHOLE},
    {"go back", NULL, go_back, STEP_LONG},
};

static const struct step late[] = {
    {"begin with a snapshot", begin_anew, begin, STEP_WHOLE},
    {"facts before slices", NULL, tell_progress, STEP_WHOLE},
    {"slice", read_slice, take_slice, STEP_DAMAGES}, /* not whole before the entries behind it */
    {"entries behind a snapshot", fetch_tail, apply_tail, STEP_WHOLE},
    {"history", fetch_history, history, STEP_WHOLE},
};

static const struct step late_and_restored[] = {
    {"begin with a snapshot", begin_anew, begin, STEP_LONG},
    {"slice", read_slice, take_slice, STEP_DAMAGES | STEP_LONG},
    {"entries behind a snapshot", fetch_tail, apply_tail, STEP_LONG},
    {"go back before history", live_anew_at_b, go_back_with_a_hole, STEP_LONG},
};

static const struct step damaged[] = {
    {"write", NULL, write_opinion, STEP_WHOLE},
    {"compare", damage, compare, STEP_DAMAGES},
    {"recount", NULL, recount, STEP_DAMAGES},
    {"repair", NULL, repair, STEP_PARTS},
    {"report", NULL, report, STEP_PARTS},
};

#define STORY(story) story, sizeof story / sizeof *story

static void sweep_all(enum fault fault)
{
    stores_sweep(STORY(daily), fault);
    stores_sweep(STORY(other_lives), fault);
    stores_sweep(STORY(restored), fault);
    stores_sweep(STORY(late), fault);
    stores_sweep(STORY(late_and_restored), fault);
    stores_sweep(STORY(damaged), fault);
}

static void test_io_sweep_replica__statements(void **state)
{
    (void)state;
    sweep_all(FAULT_SQL);
}

static void test_io_sweep_replica__io_errors(void **state)
{
    (void)state;
    sweep_all(FAULT_IO);
}

static void test_io_sweep_replica__full_disk(void **state)
{
    (void)state;
    sweep_all(FAULT_FULL);
}

static void test_io_sweep_replica__memory(void **state)
{
    (void)state;
    sweep_all(FAULT_MEMORY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_io_sweep_replica__statements),
        cmocka_unit_test(test_io_sweep_replica__io_errors),
        cmocka_unit_test(test_io_sweep_replica__full_disk),
        cmocka_unit_test(test_io_sweep_replica__memory),
    };

    return disk_vfs_register() != 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
