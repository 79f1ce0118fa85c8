/* A replica against a toy city: it numbers, chains and signs what it is given, and judges nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "client/store/repair.h"
#include "client/store/replica.h"
#include "common/base/mem.h"
#include "common/crypto/hash.h"
#include "common/crypto/seal.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SITE    431021u
#define NOW     1772668800000u /* 2026-03-05 */
#define LOG_MAX 512

/* ---- the toy city ---- */

struct toy_entry {
    struct id replica;
    uint64_t n;
    msec_t received_at;
    struct buf verdict, bytes, side;
    uint8_t hash[HASH_SIZE];
};

struct toy_stream {
    uint32_t no;
    uint64_t seq;
    uint8_t hash[HASH_SIZE];
    struct toy_entry log[LOG_MAX];
};

struct city {
    const struct hasher *h;
    struct id ledger, incarnation;
    struct toy_stream shared, site;
};

static void sign(struct slice message, uint8_t out[HASH_SIZE])
{
    struct slice parts[] = {slice_str("the city's key"), message};

    hasher_of(HASH_SHA256)->digest(parts, 2, out);
}

static int verify(void *ctx, struct slice message, struct slice signature)
{
    uint8_t want[HASH_SIZE];

    (void)ctx;
    sign(message, want);
    return signature.len == HASH_SIZE && memcmp(want, signature.p, HASH_SIZE) == 0 ? 0 : E_AUTH;
}

static void city_start(struct city *c, struct toy_stream *s, uint32_t no)
{
    s->no = no;
    chain_start(c->h, no, &c->ledger, s->hash);
}

static struct toy_entry *city_append(struct city *c, struct toy_stream *s, struct slice bytes,
                                     struct slice side, const struct verdict *v)
{
    struct toy_entry *e = &s->log[s->seq];
    uint8_t hash[HASH_SIZE];
    struct change change;
    struct arena a;

    arena_init(&a, 1u << 20);
    assert_int_equal(change_decode(&a, bytes, side, &change), 0);
    e->replica = change.replica;
    e->n = change.n;
    e->received_at = NOW + s->seq;
    arena_release(&a);
    buf_init(&e->verdict, 4096);
    buf_init(&e->bytes, 1u << 20);
    buf_init(&e->side, 1u << 20);
    verdict_encode(&e->verdict, v);
    buf_put(&e->bytes, bytes.p, bytes.len);
    buf_put(&e->side, side.p, side.len);
    change_hash(c->h, bytes, hash);
    chain_next(c->h, s->hash, ++s->seq, e->received_at, buf_slice(&e->verdict), hash, e->hash);
    memcpy(s->hash, e->hash, HASH_SIZE);
    return e;
}

static void city_release(struct city *c)
{
    struct toy_stream *all[] = {&c->shared, &c->site};

    for (int i = 0; i < 2; i++) {
        for (uint64_t k = 0; k < all[i]->seq; k++) {
            buf_release(&all[i]->log[k].verdict);
            buf_release(&all[i]->log[k].bytes);
            buf_release(&all[i]->log[k].side);
        }
    }
}

/* ---- fixture ---- */

struct peer {
    struct replica *r;
    struct replica_keys keys;
    struct replica_facts facts;
    struct random_seeded chance;
    char path[128];
};

struct fixture {
    char dir[64];
    struct city city;
    struct peer a, b;
    struct seal_key site_key;
    struct seal_key vault_key;
    struct vault vault;
    struct id clerk, member, studio;
    struct arena arena;
    struct err err;
    struct random_seeded chance;
};

static int site_seal(void *ctx, struct slice plain, const uint8_t nonce[12], struct buf *out)
{
    return seal(ctx, nonce, (struct slice){NULL, 0}, plain, out);
}

static int site_open(void *ctx, struct slice sealed, struct buf *out)
{
    return seal_open(ctx, (struct slice){NULL, 0}, sealed, out);
}

static int vault_seal(void *ctx, struct slice plain, struct slice seed, struct buf *out)
{
    uint8_t nonce[SEAL_NONCE_SIZE];

    seal_nonce(ctx, seed, nonce);
    return seal(ctx, nonce, (struct slice){NULL, 0}, plain, out);
}

static void make_peer(struct fixture *f, struct peer *p, const char *name, uint32_t k)
{
    p->keys.hasher = f->city.h;
    p->keys.hasher_of = hasher_of;
    p->keys.log_key.verify = verify;
    p->keys.vault = &f->vault;
    p->keys.random = random_seeded_init(&p->chance, 100 + k);
    if (k == 1) {
        p->keys.site_seal = site_seal;
        p->keys.site_open = site_open;
        p->keys.site_ctx = &f->site_key;
    }
    p->facts.id = id_v7(NOW, &p->keys.random);
    p->facts.ledger = f->city.ledger;
    p->facts.incarnation = f->city.incarnation;
    p->facts.clerk = f->clerk;
    p->facts.site = SITE;
    p->facts.k = k;
    snprintf(p->path, sizeof p->path, "%s/%s.db", f->dir, name);
    assert_int_equal(replica_create(p->path, &p->keys, &p->facts, &f->err), 0);
    p->keys.hasher = NULL;
    assert_int_equal(replica_open(p->path, &p->keys, &p->r, &f->err), 0);
}

struct toy_field {
    const char *name, *text;
};

static struct field_change *fields_of(struct fixture *f, const struct kind *kind,
                                      const struct toy_field *in, size_t *ret_n)
{
    struct field_change *out = arena_zalloc(&f->arena, 40 * sizeof *out);
    size_t n = 0;

    for (; in->name != NULL; in++) {
        const struct field *field = kind_field_named(kind, in->name);
        size_t i = n++;

        assert_non_null(field);
        for (; i > 0 && out[i - 1].tag > field->tag; i--)
            out[i] = out[i - 1];
        out[i] = (struct field_change){.tag = field->tag, .form = FORM_SET};
        if (in->text != NULL &&
            check_parse(&f->arena, field, slice_str(in->text), &out[i].v, &f->err) != 0)
            fail_msg("%s: %s", in->name, f->err.text);
    }
    *ret_n = n;
    return out;
}

static void city_says(struct fixture *f, struct toy_stream *s, const struct change *c)
{
    static const struct verdict plain;
    struct buf bytes, side;

    buf_init(&bytes, 1u << 20);
    buf_init(&side, 1u << 20);
    change_encode(&bytes, c);
    change_encode_side(&side, c);
    city_append(&f->city, s, buf_slice(&bytes), buf_slice(&side), &plain);
    buf_release(&bytes);
    buf_release(&side);
}

/* A record that the city makes; the first account is the clerk. */
static struct id city_creates(struct fixture *f, struct toy_stream *s, const char *kind,
                              const char *state, const struct toy_field *in)
{
    struct random chance = {.fill = NULL};
    struct change c = {.replica = f->city.incarnation,
                       .n = s->seq + 1,
                       .stream = s->no,
                       .act_len = 1,
                       .made_at = NOW,
                       .catalogue = 1,
                       .op = OP_CREATE};

    chance = random_seeded_init(&f->chance, 7 + f->city.shared.seq * 1000 + f->city.site.seq);
    c.kind = catalogue_kind_named(kind)->tag;
    c.record = strcmp(kind, "user_account") == 0 && s->seq == 0 ? f->clerk : id_v7(NOW, &chance);
    c.to = slice_str(state);
    c.fields = fields_of(f, catalogue_kind_named(kind), in, &c.n_fields);
    for (size_t i = 0; i < c.n_fields; i++) {
        struct field_change *fc = &c.fields[i];

        if (kind_field(catalogue_kind(c.kind), fc->tag)->vanish == VANISH_NO)
            continue;
        fc->form = FORM_HASHED;
        change_commit_value(f->city.h, fc->salt, &fc->v, fc->hash);
    }
    city_says(f, s, &c);
    return c.record;
}

static char *id_in_text(struct fixture *f, const struct id *id)
{
    char text[ID_TEXT_SIZE];

    id_format(id, text);
    return arena_strndup(&f->arena, text, strlen(text));
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct random chance = random_seeded_init(&f->chance, 1);

    arena_init(&f->arena, 64u << 20);
    strcpy(f->dir, "/tmp/test_replica.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    f->city.h = hasher_of(HASH_SM3);
    f->city.ledger = id_v7(NOW, &chance);
    f->city.incarnation = id_v7(NOW, &chance);
    f->clerk = id_v7(NOW, &chance);
    random_fill(&chance, f->site_key.b, SEAL_KEY_SIZE);
    random_fill(&chance, f->vault_key.b, SEAL_KEY_SIZE);
    f->vault = (struct vault){.seal = vault_seal, .open = site_open, .ctx = &f->vault_key};
    city_start(&f->city, &f->city.shared, STREAM_SHARED);
    city_start(&f->city, &f->city.site, SITE);
    make_peer(f, &f->a, "a", 1);
    make_peer(f, &f->b, "b", 2);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char command[128];

    replica_close(f->a.r);
    replica_close(f->b.r);
    city_release(&f->city);
    arena_release(&f->arena);
    snprintf(command, sizeof command, "rm -rf %s", f->dir);
    assert_int_equal(system(command), 0);
    free(f);
    return 0;
}

/* ---- helpers ---- */

/* Entries FROM … TO of a stream as an array; own ones as echoes. */
static void arrive(struct toy_stream *s, const struct id *reader, uint64_t from, uint64_t to,
                   struct arrived *out)
{
    for (uint64_t seq = from; seq <= to; seq++) {
        struct toy_entry *e = &s->log[seq - 1];
        bool own = id_eq(&e->replica, reader);

        *out++ = (struct arrived){.received_at = e->received_at,
                                  .verdict = buf_slice(&e->verdict),
                                  .bytes = own ? (struct slice){NULL, 0} : buf_slice(&e->bytes),
                                  .side = own ? (struct slice){NULL, 0} : buf_slice(&e->side),
                                  .echo_n = own ? e->n : 0};
    }
}

struct signed_head {
    struct buf head;
    uint8_t signature[HASH_SIZE];
};

static void head_at(struct city *c, struct toy_stream *s, uint64_t seq, struct signed_head *out)
{
    struct head h = {.ledger = c->ledger,
                     .incarnation = c->incarnation,
                     .stream = s->no,
                     .seq = seq};
    struct buf message;

    if (seq == 0)
        chain_start(c->h, s->no, &c->ledger, h.hash);
    else
        memcpy(h.hash, s->log[seq - 1].hash, HASH_SIZE);
    buf_init(&out->head, 4096);
    head_encode(&out->head, &h);
    buf_init(&message, 4096);
    head_to_sign(&message, &h);
    sign(buf_slice(&message), out->signature);
    buf_release(&message);
}

static uint64_t cursor(struct peer *p, uint32_t stream)
{
    struct stream_head h;

    assert_int_equal(store_stream_get(replica_store(p->r), stream, &h, NULL), 0);
    return h.seq;
}

/* Deliver up to seq TO under the head at HEAD_SEQ. */
static int deliver_to(struct fixture *f, struct peer *p, struct toy_stream *s, uint64_t to,
                      uint64_t head_seq)
{
    static struct arrived entries[LOG_MAX];
    uint64_t from = cursor(p, s->no) + 1;
    struct signed_head h;
    int ret;

    arrive(s, &p->facts.id, from, to, entries);
    head_at(&f->city, s, head_seq, &h);
    ret = replica_apply(p->r, s->no, from, entries, (size_t)(to + 1 - from), buf_slice(&h.head),
                        (struct slice){h.signature, HASH_SIZE}, &f->err);
    buf_release(&h.head);
    return ret;
}

static void deliver(struct fixture *f, struct peer *p)
{
    if (deliver_to(f, p, &f->city.shared, f->city.shared.seq, f->city.shared.seq) != 0 ||
        deliver_to(f, p, &f->city.site, f->city.site.seq, f->city.site.seq) != 0)
        fail_msg("%s", f->err.text);
}

/* What the city had to say to a replica's act: withheld tags, nothing else. */
struct push {
    struct fixture *f;
    const uint32_t *withheld;
    size_t n_withheld;
    unsigned taken;
};

static int take_push(void *ctx, uint64_t n, struct slice bytes, struct slice side)
{
    struct push *p = ctx;
    struct verdict v = {.withheld = (uint32_t *)p->withheld, .n_withheld = p->n_withheld};
    struct change c;
    struct arena a;

    arena_init(&a, 1u << 20);
    assert_int_equal(change_decode(&a, bytes, side, &c), 0);
    assert_int_equal(c.n, n);
    assert_int_equal(change_check_side(p->f->city.h, &c), 0);
    v.flags = c.act_pos + 1 < c.act_len ? VERDICT_MORE : 0;
    arena_release(&a);
    city_append(&p->f->city, &p->f->city.site, bytes, side, &v);
    p->taken++;
    return 0;
}

static unsigned push(struct fixture *f, struct peer *p, uint64_t from_n)
{
    struct push x = {.f = f};

    assert_int_equal(replica_pending(p->r, from_n, 1000, 1u << 20, take_push, &x, &f->err), 0);
    return x.taken;
}

static struct replica_facts facts(struct fixture *f, struct peer *p)
{
    struct replica_facts ret;

    assert_int_equal(replica_facts(p->r, &ret, &f->err), 0);
    return ret;
}

static void assert_same(struct fixture *f, struct peer *p, struct peer *q)
{
    uint8_t x[HASH_SIZE], y[HASH_SIZE];

    assert_int_equal(store_projection_digest(replica_store(p->r), f->city.h, x, &f->err), 0);
    assert_int_equal(store_projection_digest(replica_store(q->r), f->city.h, y, &f->err), 0);
    assert_memory_equal(x, y, HASH_SIZE);
}

static void assert_rebuilds(struct fixture *f, struct peer *p)
{
    uint8_t x[HASH_SIZE], y[HASH_SIZE];

    if (replica_verify(p->r, &f->err) != 0)
        fail_msg("%s", f->err.text);
    assert_int_equal(store_projection_digest(replica_store(p->r), f->city.h, x, &f->err), 0);
    if (replica_rebuild(p->r, &f->err) != 0)
        fail_msg("%s", f->err.text);
    assert_int_equal(store_projection_digest(replica_store(p->r), f->city.h, y, &f->err), 0);
    assert_memory_equal(x, y, HASH_SIZE);
}

/* One change as an act of its own. */
static int write_one(struct fixture *f, struct peer *p, const char *kind, enum change_op op,
                     struct id *record, const char *to, const struct toy_field *in,
                     struct slice *ret_serial)
{
    struct draft d = {.kind = catalogue_kind_named(kind),
                      .record = *record,
                      .op = op,
                      .to = slice_str(to)};
    int ret;

    f->err = (struct err){.ret = 0};
    d.fields = fields_of(f, d.kind, in, &d.n_fields);
    ret = replica_write(p->r, &f->arena, &f->clerk, &d, 1, UINT64_MAX, NOW, &f->err);
    *record = d.record;
    if (ret_serial != NULL)
        *ret_serial = d.serial;
    return ret;
}

#define WITH(...) ((const struct toy_field[]){__VA_ARGS__, {NULL, NULL}})

static struct id new_application(struct fixture *f, struct peer *p, const char *name)
{
    struct id id = {{0}};

    if (write_one(f, p, "application", OP_CREATE, &id, "",
                  WITH({"studio_name", name}, {"applicant_type", "collective"}), NULL) != 0)
        fail_msg("%s", f->err.text);
    return id;
}

static int set_application(struct fixture *f, struct peer *p, struct id id, const char *field,
                           const char *text)
{
    return write_one(f, p, "application", OP_SET, &id, "", WITH({field, text}), NULL);
}

static struct row *row_at(struct fixture *f, struct peer *p, const char *kind, const struct id *id)
{
    struct row *row;

    assert_int_equal(store_row_get(replica_store(p->r), &f->arena, catalogue_kind_named(kind), id,
                                   &row, &f->err),
                     0);
    return row;
}

static void assert_text(struct fixture *f, struct peer *p, const struct id *id, const char *field,
                        const char *text)
{
    struct row *row = row_at(f, p, "application", id);
    struct slice s;

    assert_non_null(row);
    s = row_text(row, field);
    assert_int_equal(s.len, strlen(text));
    assert_memory_equal(s.p, text, s.len);
}

/* The site's first account, as the city makes it at the first enrolment. */
static void enrol(struct fixture *f)
{
    (void)city_creates(f, &f->city.site, "user_account", "",
                       WITH({"login", "clerk"}, {"name", "经办人"},
                            {"role", "county_clerk,county_lead,studio_user"}, {"active", "是"}));
    deliver(f, &f->a);
    deliver(f, &f->b);
}

/* The city makes what an opinion refers to. */
static void seed(struct fixture *f)
{
    enrol(f);
    f->member =
        city_creates(f, &f->city.site, "member", "",
                     WITH({"site", "431021"}, {"name", "李四光"}, {"phone", "13812345678"},
                          {"level", "county"}, {"status", "active"}));
    f->studio = city_creates(f, &f->city.site, "studio", "operating",
                             WITH({"site", "431021"}, {"name", "惠民工作室"}));
    deliver(f, &f->a);
    deliver(f, &f->b);
}

static int new_opinion(struct fixture *f, struct peer *p, struct id *id, const char *person)
{
    return write_one(
        f, p, "opinion", OP_CREATE, id, "",
        WITH({"title", "路灯不亮"}, {"content", "村口的路灯坏了三个月"},
             {"channel", catalogue_kind_named("opinion")->fields[4].codes->codes[0].code},
             {"studio_id", id_in_text(f, &f->studio)}, {"receiver", id_in_text(f, &f->member)},
             {"received_at", "2026-03-05 09:00"}, {"person_name", person}, {"anonymous", "否"}),
        NULL);
}

/* ---- writing and its echo ---- */

/* What was written offline arrives at a second replica by the city, and both show the same. */
static void test_replica__echo_gives_what_others_get(void **state)
{
    struct fixture *f = *state;
    struct id opinion = {{0}}, application;
    struct replica_facts x;
    struct row *row;

    seed(f);
    if (new_opinion(f, &f->a, &opinion, "王五") != 0)
        fail_msg("%s", f->err.text);
    application = new_application(f, &f->a, "同心工作室");
    x = facts(f, &f->a);
    assert_int_equal(x.own_n, 2);
    assert_int_equal(x.acked_n, 0);
    assert_int_equal(x.pending, 2);
    row = row_at(f, &f->a, "opinion", &opinion);
    assert_true(row->pending);
    assert_int_equal(row->seq, 0);
    assert_rebuilds(f, &f->a);

    assert_int_equal(push(f, &f->a, 1), 2);
    deliver(f, &f->a);
    deliver(f, &f->b);
    assert_same(f, &f->a, &f->b);
    assert_false(row_at(f, &f->a, "opinion", &opinion)->pending);
    assert_text(f, &f->b, &application, "studio_name", "同心工作室");
    x = facts(f, &f->a);
    assert_int_equal(x.acked_n, 2);
    assert_int_equal(x.pending, 0);
    assert_memory_equal(x.own_chain, x.acked_chain, HASH_SIZE);
    assert_rebuilds(f, &f->a);
    assert_rebuilds(f, &f->b);
}

/* A site's own value is sealed in the tables; only who has the key opens it, or writes one. */
static void test_replica__site_values_are_sealed(void **state)
{
    struct fixture *f = *state;
    struct id opinion = {{0}}, other = {{0}};
    struct value v;
    struct row *row;

    seed(f);
    assert_int_equal(new_opinion(f, &f->a, &opinion, "王五"), 0);
    row = row_at(f, &f->a, "opinion", &opinion);
    assert_int_equal(row_named(row, "person_name")->type, V_SEALED);
    assert_int_equal(row_named(row, "content")->type, V_TEXT);
    assert_int_equal(replica_open_value(f->a.r, &f->arena, row_named(row, "person_name"), &v,
                                        &f->err),
                     0);
    assert_true(slice_eq(v.s, slice_str("王五")));
    assert_int_equal(replica_open_value(f->b.r, &f->arena, row_named(row, "person_name"), &v,
                                        &f->err),
                     E_DENIED);
    assert_int_equal(new_opinion(f, &f->b, &other, "王五"), E_DENIED);
    assert_int_equal(facts(f, &f->b).own_n, 0);
}

/* Personal data never stands in the clear in the file: not in the log, the tables, a pending change or
 * the row kept from under it. */
static void test_replica__pii_rests_sealed(void **state)
{
    struct fixture *f = *state;
    struct id id;
    char command[256];

    seed(f);
    id = new_application(f, &f->a, "甲");
    assert_int_equal(set_application(f, &f->a, id, "lead_phone", "13987654321"), 0);
    push(f, &f->a, 1);
    deliver(f, &f->a);
    deliver(f, &f->b);
    assert_int_equal(set_application(f, &f->a, id, "lead_phone", "13587654321"), 0);
    snprintf(command, sizeof command, "grep -aqE '13812345678|13[59]87654321' %s/*", f->dir);
    assert_int_not_equal(system(command), 0);
    assert_text(f, &f->a, &id, "lead_phone", "13587654321");
    assert_text(f, &f->b, &id, "lead_phone", "13987654321");
    assert_rebuilds(f, &f->a);
    assert_text(f, &f->a, &id, "lead_phone", "13587654321");
}

/* Letters of the site, the year, the replica's own counter and letter. */
static void test_replica__serials_are_its_own(void **state)
{
    struct fixture *f = *state;
    struct id one = {{0}}, two = {{0}}, three = {{0}};
    const struct toy_field *in = WITH({"studio_name", "甲"}, {"applicant_type", "collective"});
    struct slice serial;

    assert_int_equal(write_one(f, &f->a, "application", OP_CREATE, &one, "", in, &serial), 0);
    assert_true(slice_eq(serial, slice_str("GY-SQ-2026-0001")));
    assert_int_equal(write_one(f, &f->b, "application", OP_CREATE, &two, "", in, &serial), 0);
    assert_true(slice_eq(serial, slice_str("GY-SQ-2026-0001B")));
    city_creates(f, &f->city.shared, "site", "", WITH({"code", "431021"}, {"serial_letter", "QQ"}));
    deliver(f, &f->b);
    assert_int_equal(write_one(f, &f->b, "application", OP_CREATE, &three, "", in, &serial), 0);
    assert_true(slice_eq(serial, slice_str("QQ-SQ-2026-0002B")));
}

/* ---- judging ---- */

/* The county refuses by the city's rules, and writes nothing. */
static void test_replica__refuses_what_the_city_would(void **state)
{
    struct fixture *f = *state;
    struct id id = new_application(f, &f->a, "甲"), none = f->city.ledger, fresh = {{0}};
    struct draft d = {.kind = catalogue_kind_named("application"), .record = id, .op = OP_SET};

    assert_int_equal(set_application(f, &f->a, id, "meeting_opinion", "同意"), E_OWNER);
    assert_int_equal(set_application(f, &f->a, none, "studio_name", "乙"), E_NOTFOUND);
    assert_int_equal(write_one(f, &f->a, "application", OP_CREATE, &fresh, "",
                               WITH({"studio_name", "丙"}), NULL),
                     E_INVALID);
    assert_int_equal(write_one(f, &f->a, "application", OP_TRANSITION, &id, "approved",
                               WITH({"studio_name", "丙"}), NULL),
                     E_STATE);
    d.fields = fields_of(f, d.kind, WITH({"studio_name", "丁"}), &d.n_fields);
    assert_int_equal(replica_write(f->a.r, &f->arena, &none, &d, 1, UINT64_MAX, NOW, &f->err),
                     E_ROLE);
    assert_int_equal(facts(f, &f->a).own_n, 1);
    assert_text(f, &f->a, &id, "studio_name", "甲");
}

/* The county judges by the city's settings as soon as `shared` has brought them, and not before. */
static void test_replica__judges_by_the_citys_settings(void **state)
{
    struct fixture *f = *state;
    struct id id = {{0}};
    int ret;

    seed(f);
    ret = write_one(f, &f->a, "submission", OP_CREATE, &id, "",
                    WITH({"title", "路灯"}, {"form", "micro_suggestion"}, {"category", "economic"},
                         {"studio_id", id_in_text(f, &f->studio)}, {"situation", "路灯坏了"},
                         {"suggestion", "修好"}, {"lead_member", id_in_text(f, &f->member)},
                         {"urgency", "normal"}, {"no_secret", "是"}),
                    NULL);
    assert_int_equal(ret, 0);
    city_creates(f, &f->city.shared, "setting", "",
                 WITH({"name", "county_review"}, {"for_site", "431081"}, {"value", "0"}));
    deliver(f, &f->a);
    ret = write_one(f, &f->a, "submission", OP_TRANSITION, &id, "submitted",
                    WITH({"urgency", "urgent"}), NULL);
    assert_int_equal(ret, E_GUARD);
    city_creates(f, &f->city.shared, "setting", "",
                 WITH({"name", "county_review"}, {"for_site", "431021"}, {"value", "0"}));
    ret = write_one(f, &f->a, "submission", OP_TRANSITION, &id, "submitted",
                    WITH({"urgency", "urgent"}), NULL);
    assert_int_equal(ret, E_GUARD);
    deliver(f, &f->a);
    ret = write_one(f, &f->a, "submission", OP_TRANSITION, &id, "submitted",
                    WITH({"urgency", "urgent"}), NULL);
    if (ret != 0)
        fail_msg("%s", f->err.text);
    assert_true(row_in_state(row_at(f, &f->a, "submission", &id), "submitted"));
}

/* A change that says what stands already is none. */
static void test_replica__equal_values_are_no_change(void **state)
{
    struct fixture *f = *state;
    struct id id = new_application(f, &f->a, "甲");

    assert_int_equal(set_application(f, &f->a, id, "studio_name", "甲"), 0);
    assert_int_equal(facts(f, &f->a).own_n, 1);
}

/* A transition moves the state, pending and after its echo. */
static void test_replica__transition(void **state)
{
    struct fixture *f = *state;
    struct id id = new_application(f, &f->a, "甲");

    if (write_one(f, &f->a, "application", OP_TRANSITION, &id, "withdrawn", WITH({NULL, NULL}),
                  NULL) != 0)
        fail_msg("%s", f->err.text);
    assert_text(f, &f->a, &id, "state", "withdrawn");
    assert_int_equal(push(f, &f->a, 1), 2);
    deliver(f, &f->a);
    deliver(f, &f->b);
    assert_text(f, &f->b, &id, "state", "withdrawn");
    assert_same(f, &f->a, &f->b);
}

/* Voiding needs its reason; what is void is not edited. */
static void test_replica__void(void **state)
{
    struct fixture *f = *state;
    struct id id = new_application(f, &f->a, "甲");

    assert_int_equal(write_one(f, &f->a, "application", OP_VOID, &id, "", WITH({NULL, NULL}), NULL),
                     E_INVALID);
    assert_int_equal(write_one(f, &f->a, "application", OP_VOID, &id, "",
                               WITH({"void_reason", "重复登记"}), NULL),
                     0);
    assert_true(row_voided(row_at(f, &f->a, "application", &id)));
    assert_int_equal(set_application(f, &f->a, id, "studio_name", "乙"), E_STATE);
    assert_int_equal(write_one(f, &f->a, "application", OP_UNVOID, &id, "", WITH({NULL, NULL}),
                               NULL),
                     0);
    assert_int_equal(set_application(f, &f->a, id, "studio_name", "乙"), 0);
}

/* ---- what the author saw ---- */

struct seen {
    uint64_t n, saw_n, seen;
    enum field_form form;
    uint32_t tag;
};

static int look(void *ctx, uint64_t n, struct slice bytes, struct slice side)
{
    struct seen *s = ctx;
    struct field_change *fc;
    struct change c;
    struct arena a;

    arena_init(&a, 1u << 20);
    assert_int_equal(change_decode(&a, bytes, side, &c), 0);
    fc = change_field(&c, s->tag);
    if (fc != NULL) {
        s->n = n;
        s->saw_n = fc->saw_n;
        s->form = fc->form;
        s->seen = c.seen;
    }
    arena_release(&a);
    return 0;
}

static struct seen last_change_of(struct fixture *f, struct peer *p, const char *field)
{
    struct seen s = {.tag = kind_field_named(catalogue_kind_named("application"), field)->tag};

    assert_int_equal(replica_pending(p->r, 1, 1000, 1u << 20, look, &s, &f->err), 0);
    return s;
}

/* A field that shows an own pending value names the change it came by; a set names its elements. */
static void test_replica__says_what_it_saw(void **state)
{
    struct fixture *f = *state;
    struct id id;
    struct seen s;

    enrol(f);
    id = new_application(f, &f->a, "甲");
    assert_int_equal(set_application(f, &f->a, id, "address", "城关镇"), 0);
    s = last_change_of(f, &f->a, "address"); /* the creation left it empty */
    assert_int_equal(s.n, 2);
    assert_int_equal(s.saw_n, 1);
    assert_int_equal(set_application(f, &f->a, id, "studio_name", "乙"), 0);
    s = last_change_of(f, &f->a, "studio_name");
    assert_int_equal(s.saw_n, 1);
    assert_int_equal(set_application(f, &f->a, id, "studio_name", "丙"), 0);
    assert_int_equal(last_change_of(f, &f->a, "studio_name").saw_n, 3);
    push(f, &f->a, 1);
    deliver(f, &f->a);
    assert_int_equal(set_application(f, &f->a, id, "studio_name", "丁"), 0);
    s = last_change_of(f, &f->a, "studio_name");
    assert_int_equal(s.saw_n, 0);
    assert_int_equal(s.seen, 5);
}

/* ---- saying again ---- */

struct said {
    uint64_t next;
    size_t bytes;
};

static int count_said(void *ctx, uint64_t n, struct slice bytes, struct slice side)
{
    struct said *s = ctx;
    struct change c;
    struct arena a;

    arena_init(&a, 1u << 20);
    assert_int_equal(n, s->next++);
    assert_int_equal(change_decode(&a, bytes, side, &c), 0);
    assert_int_equal(c.n, n);
    s->bytes += bytes.len + side.len;
    arena_release(&a);
    return 0;
}

static uint64_t say(struct fixture *f, uint64_t from_n, uint32_t max_count, size_t max_bytes)
{
    struct said s = {.next = from_n};

    assert_int_equal(replica_unanswered(f->a.r, from_n, max_count, max_bytes, count_said, &s, &f->err),
                     0);
    return s.next;
}

/* A city that was restored counts behind a gap only what it is told again: of that the log has it. */
static void test_replica__says_logged_again(void **state)
{
    struct fixture *f = *state;
    struct id id;

    enrol(f);
    id = new_application(f, &f->a, "甲");
    assert_int_equal(set_application(f, &f->a, id, "studio_name", "乙"), 0);
    assert_int_equal(set_application(f, &f->a, id, "studio_name", "丙"), 0);
    assert_int_equal(say(f, 1, 10, 1u << 20), 4);
    assert_int_equal(say(f, 4, 10, 1u << 20), 4);
    push(f, &f->a, 1);
    deliver(f, &f->a);
    assert_int_equal(set_application(f, &f->a, id, "studio_name", "丁"), 0);
    assert_int_equal(say(f, 1, 10, 1u << 20), 4); /* of the log */
    assert_int_equal(say(f, 4, 10, 1u << 20), 5); /* of what is pending */
    assert_int_equal(say(f, 2, 1, 1u << 20), 3);
    assert_int_equal(say(f, 2, 10, 1), 3); /* one act at least */
    assert_int_equal(say(f, 5, 10, 1u << 20), 5);
}

/* ---- verdicts and rebase ---- */

/* A withheld field leaves what stands; the rest applies. */
static void test_replica__withheld_field(void **state)
{
    struct fixture *f = *state;
    struct id id;
    uint32_t tag = kind_field_named(catalogue_kind_named("application"), "studio_name")->tag;
    struct push x = {.f = f, .withheld = &tag, .n_withheld = 1};

    enrol(f);
    id = new_application(f, &f->a, "甲");
    push(f, &f->a, 1);
    deliver(f, &f->a);
    deliver(f, &f->b);
    assert_int_equal(set_application(f, &f->a, id, "studio_name", "乙"), 0);
    assert_text(f, &f->a, &id, "studio_name", "乙");
    assert_int_equal(replica_pending(f->a.r, 2, 10, 1u << 20, take_push, &x, &f->err), 0);
    deliver(f, &f->a);
    deliver(f, &f->b);
    assert_text(f, &f->a, &id, "studio_name", "甲");
    assert_same(f, &f->a, &f->b);
    assert_rebuilds(f, &f->a);
}

/* Another's entries go beneath what is pending, and show when that has gone. */
static void test_replica__rebase(void **state)
{
    struct fixture *f = *state;
    struct id id;
    uint32_t tag = kind_field_named(catalogue_kind_named("application"), "studio_name")->tag;
    struct push x = {.f = f, .withheld = &tag, .n_withheld = 1};

    enrol(f);
    id = new_application(f, &f->a, "甲");
    push(f, &f->a, 1);
    deliver(f, &f->a);
    deliver(f, &f->b);
    assert_int_equal(set_application(f, &f->a, id, "studio_name", "甲的"), 0);
    assert_int_equal(set_application(f, &f->a, id, "address", "城关镇"), 0);
    assert_int_equal(set_application(f, &f->b, id, "studio_name", "乙的"), 0);
    assert_int_equal(set_application(f, &f->b, id, "venue_desc", "三间房"), 0);
    assert_int_equal(push(f, &f->b, 1), 2);
    deliver(f, &f->a);
    assert_text(f, &f->a, &id, "studio_name", "甲的");
    assert_text(f, &f->a, &id, "venue_desc", "三间房");
    assert_rebuilds(f, &f->a);

    assert_int_equal(replica_pending(f->a.r, 2, 1, 1u << 20, take_push, &x, &f->err), 0);
    deliver(f, &f->a);
    assert_text(f, &f->a, &id, "studio_name", "乙的");
    assert_text(f, &f->a, &id, "address", "城关镇");
    assert_int_equal(facts(f, &f->a).acked_n, 2);
    assert_rebuilds(f, &f->a);
    push(f, &f->a, 3);
    deliver(f, &f->a);
    deliver(f, &f->b);
    assert_same(f, &f->a, &f->b);
    assert_int_equal(facts(f, &f->a).pending, 0);
}

/* An entry of an own change that comes with its bytes counts as its echo. */
static void test_replica__own_change_with_bytes(void **state)
{
    struct fixture *f = *state;
    struct arrived e;
    struct signed_head h;
    struct id id = new_application(f, &f->a, "甲");

    push(f, &f->a, 1);
    arrive(&f->city.site, &f->b.facts.id, 1, 1, &e); /* with bytes */
    head_at(&f->city, &f->city.site, 1, &h);
    assert_int_equal(replica_apply(f->a.r, SITE, 1, &e, 1, buf_slice(&h.head),
                                   (struct slice){h.signature, HASH_SIZE}, &f->err),
                     0);
    buf_release(&h.head);
    assert_int_equal(facts(f, &f->a).pending, 0);
    assert_false(row_at(f, &f->a, "application", &id)->pending);
}

/* ---- refusals ---- */

struct refusals {
    unsigned n;
    uint64_t at_n;
    size_t bytes;
    struct id by;
};

static int see_refused(void *ctx, const struct refused_row *row)
{
    struct refusals *x = ctx;

    x->n++;
    x->at_n = row->at_n;
    x->bytes += row->bytes.len;
    assert_true(slice_eq(row->code, slice_str("ZT-ROLE")));
    return 0;
}

static int see_first_code(void *ctx, const struct refused_row *row)
{
    if (row->first_n == 1)
        (void)snprintf(ctx, 32, "%.*s", (int)row->code.len, (const char *)row->code.p);
    return 0;
}

/* A refused creation leaves the tables; what depends on it waits for its own refusal; a refusal that is
 * repeated changes nothing and names the same last n. */
static void test_replica__refusal_family(void **state)
{
    struct fixture *f = *state;
    struct id id = new_application(f, &f->a, "甲"), stays;
    struct slice code = slice_str("ZT-ROLE"), text = slice_str("没有角色");
    struct refusals x = {.by = f->a.facts.clerk};
    char code_seen[32] = "";
    uint64_t until = 0, closed = 0;

    assert_int_equal(set_application(f, &f->a, id, "address", "城关镇"), 0);
    stays = new_application(f, &f->a, "乙");
    assert_int_equal(replica_refused(f->a.r, 1, 1, 1, code, text, NOW, &until, &f->err), 0);
    assert_int_equal(until, 3);
    assert_null(row_at(f, &f->a, "application", &id));
    assert_int_equal(facts(f, &f->a).pending, 2);
    assert_int_equal(facts(f, &f->a).acked_n, 1);
    assert_rebuilds(f, &f->a);
    assert_int_equal(set_application(f, &f->a, stays, "address", "城关镇"), 0);
    assert_int_equal(replica_refused(f->a.r, 1, 1, 1, code, text, NOW, &until, &f->err), 0);
    assert_int_equal(until, 3);

    assert_int_equal(replica_refused(f->a.r, 2, 2, 2, code, text, NOW, &until, &f->err), 0);
    assert_int_equal(until, 4);
    assert_int_equal(facts(f, &f->a).refused, 2);
    assert_int_equal(replica_refused_each(f->a.r, see_refused, &x, &f->err), 0);
    assert_int_equal(x.n, 2);
    assert_true(x.bytes > 0);
    assert_int_equal(replica_refused_close(f->a.r, 2, 9, &x.by, NOW, &closed, &f->err), 0);
    assert_int_equal(closed, 1);
    assert_int_equal(facts(f, &f->a).refused, 1);
    assert_int_equal(replica_refused_close(f->a.r, 2, 9, &x.by, NOW, &closed, &f->err), E_NOTFOUND);
    assert_int_equal(replica_refused(f->a.r, 2, 2, 2, code, text, NOW, &until, &f->err), 0);
    assert_int_equal(facts(f, &f->a).refused, 1); /* heard again, it stays closed */
    assert_int_equal(replica_refused(f->a.r, 1, 1, 1, slice_str("ZT-DENIED"), slice_str("未核准"), NOW,
                                     &until, &f->err),
                     0);
    assert_int_equal(until, 3); /* other words, and nothing else */
    assert_int_equal(replica_refused_each(f->a.r, see_first_code, code_seen, &f->err), 0);
    assert_string_equal(code_seen, "ZT-DENIED");
    assert_int_equal(replica_refused(f->a.r, 9, 9, 9, code, text, NOW, &until, &f->err),
                     E_PROTOCOL);
    assert_int_equal(push(f, &f->a, 3), 2); /* from behind what was answered */
    deliver(f, &f->a);
    deliver(f, &f->b);
    assert_same(f, &f->a, &f->b);
    assert_int_equal(facts(f, &f->a).acked_n, 4);
    assert_rebuilds(f, &f->a);
}

/* A refusal in the middle uncovers what lay beneath. */
static void test_replica__refused_edit_uncovers(void **state)
{
    struct fixture *f = *state;
    struct id id;
    uint64_t until;

    enrol(f);
    id = new_application(f, &f->a, "甲");
    push(f, &f->a, 1);
    deliver(f, &f->a);
    assert_int_equal(set_application(f, &f->a, id, "studio_name", "乙"), 0);
    assert_int_equal(set_application(f, &f->a, id, "address", "城关镇"), 0);
    assert_int_equal(replica_refused(f->a.r, 2, 2, 2, slice_str("ZT-ROLE"), slice_str("无"), NOW,
                                     &until, &f->err),
                     0);
    assert_text(f, &f->a, &id, "studio_name", "甲");
    assert_text(f, &f->a, &id, "address", "城关镇");
    assert_rebuilds(f, &f->a);
}

/* The city releases a quarantined change: its echo takes the bytes from the refusal. */
static void test_replica__released_refusal(void **state)
{
    struct fixture *f = *state;
    struct id id = new_application(f, &f->a, "甲");
    uint64_t until;

    push(f, &f->a, 1); /* lies in the city's log, but comes after the refusal */
    assert_int_equal(replica_refused(f->a.r, 1, 1, 1, slice_str("ZT-QUARANTINE"), slice_str("暂存"),
                                     NOW, &until, &f->err),
                     0);
    assert_null(row_at(f, &f->a, "application", &id));
    deliver(f, &f->a);
    assert_text(f, &f->a, &id, "studio_name", "甲");
    assert_int_equal(facts(f, &f->a).refused, 0);
    assert_rebuilds(f, &f->a);
}

/* ---- what must not be taken ---- */

/* A record that is made, but is there already: the stream goes on, and the rows are known not to be the log's. */
static void test_replica__made_twice(void **state)
{
    struct fixture *f = *state;
    struct id id;
    bool differs;

    seed(f);
    id = new_application(f, &f->a, "甲");
    push(f, &f->a, 1);
    assert_int_equal(store_row_add(replica_store(f->b.r), row_at(f, &f->a, "application", &id), NULL),
                     0);
    deliver(f, &f->b);
    assert_int_equal(replica_recount(f->b.r, false, &differs, &f->err), 0);
    assert_true(differs);
    assert_int_equal(replica_verify(f->b.r, NULL), E_DIGEST);
    assert_int_equal(replica_rebuild(f->b.r, &f->err), 0);
    assert_int_equal(replica_verify(f->b.r, &f->err), 0);
    assert_text(f, &f->b, &id, "studio_name", "甲");
}

/* Any byte that is not the city's: nothing of the batch is taken, and the true batch still is. */
static void test_replica__takes_nothing_false(void **state)
{
    struct fixture *f = *state;
    struct arrived e[3], bad[3];
    struct id id;
    struct signed_head h;
    struct slice signature;
    uint8_t spoiled[4096];

    seed(f);
    id = new_application(f, &f->a, "甲");
    push(f, &f->a, 1);
    arrive(&f->city.site, &f->b.facts.id, 4, 4, e);
    head_at(&f->city, &f->city.site, 4, &h);
    signature = (struct slice){h.signature, HASH_SIZE};

    memcpy(bad, e, sizeof bad);
    bad[0].received_at++;
    assert_int_equal(replica_apply(f->b.r, SITE, 4, bad, 1, buf_slice(&h.head), signature, &f->err),
                     E_CORRUPT);
    memcpy(bad, e, sizeof bad);
    memcpy(spoiled, e[0].bytes.p, e[0].bytes.len);
    spoiled[e[0].bytes.len - 1] ^= 1;
    bad[0].bytes.p = spoiled;
    assert_int_equal(replica_apply(f->b.r, SITE, 4, bad, 1, buf_slice(&h.head), signature, &f->err),
                     E_CORRUPT);
    h.signature[3] ^= 1;
    assert_int_equal(replica_apply(f->b.r, SITE, 4, e, 1, buf_slice(&h.head), signature, &f->err),
                     E_AUTH);
    h.signature[3] ^= 1;
    assert_int_equal(replica_apply(f->b.r, STREAM_SHARED, 1, e, 1, buf_slice(&h.head), signature,
                                   &f->err),
                     E_AUTH);
    assert_int_equal(replica_apply(f->b.r, SITE, 2, e, 1, buf_slice(&h.head), signature, &f->err),
                     E_PROTOCOL);
    assert_int_equal(replica_apply(f->b.r, 431081, 1, e, 1, buf_slice(&h.head), signature, &f->err),
                     E_PROTOCOL);
    memcpy(bad, e, sizeof bad);
    bad[0].bytes = bad[0].side = (struct slice){NULL, 0};
    bad[0].echo_n = 7;
    assert_int_equal(replica_apply(f->b.r, SITE, 4, bad, 1, buf_slice(&h.head), signature, &f->err),
                     E_PROTOCOL);
    assert_int_equal(cursor(&f->b, SITE), 3);
    assert_null(row_at(f, &f->b, "application", &id));
    assert_rebuilds(f, &f->b);
    assert_int_equal(replica_apply(f->b.r, SITE, 4, e, 1, buf_slice(&h.head), signature, &f->err),
                     0);
    buf_release(&h.head);
}

/* A sidecar that does not hash to what the bytes say is refused. */
static void test_replica__false_sidecar(void **state)
{
    struct fixture *f = *state;
    struct arrived e;
    struct signed_head h;
    uint8_t spoiled[4096];

    city_creates(f, &f->city.site, "member", "",
                 WITH({"name", "李四光"}, {"phone", "13812345678"}));
    arrive(&f->city.site, &f->b.facts.id, 1, 1, &e);
    head_at(&f->city, &f->city.site, 1, &h);
    memcpy(spoiled, e.side.p, e.side.len);
    spoiled[e.side.len - 1] ^= 1;
    e.side.p = spoiled;
    assert_int_equal(replica_apply(f->b.r, SITE, 1, &e, 1, buf_slice(&h.head),
                                   (struct slice){h.signature, HASH_SIZE}, &f->err),
                     E_CORRUPT);
    assert_int_equal(cursor(&f->b, SITE), 0);
    buf_release(&h.head);
}

/* The entries from SEQ on in another version, chained and signed like the first. */
static void retell(struct city *c, struct toy_stream *s, uint64_t seq)
{
    s->log[seq - 1].received_at++;
    for (; seq <= s->seq; seq++) {
        struct toy_entry *e = &s->log[seq - 1];
        uint8_t hash[HASH_SIZE];

        change_hash(c->h, buf_slice(&e->bytes), hash);
        chain_next(c->h, s->log[seq - 2].hash, seq, e->received_at, buf_slice(&e->verdict), hash,
                   e->hash);
    }
}

/* A head that is ahead is compared when its seq is reached: the log is not rewritten meanwhile. */
static void test_replica__head_ahead(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < 4; i++)
        (void)new_application(f, &f->a, "甲");
    push(f, &f->a, 1);
    assert_int_equal(deliver_to(f, &f->b, &f->city.site, 1, 3), 0);
    assert_int_equal(replica_verify(f->b.r, &f->err), 0);
    assert_int_equal(deliver_to(f, &f->b, &f->city.site, 2, 3), 0);
    assert_int_equal(deliver_to(f, &f->b, &f->city.site, 4, 4), 0);
    assert_int_equal(cursor(&f->b, SITE), 4);
    assert_rebuilds(f, &f->b);

    assert_int_equal(deliver_to(f, &f->a, &f->city.site, 1, 3), 0);
    retell(&f->city, &f->city.site, 3);
    assert_int_equal(deliver_to(f, &f->a, &f->city.site, 3, 3), E_CORRUPT);
    assert_int_equal(deliver_to(f, &f->a, &f->city.site, 4, 4), E_CORRUPT);
    assert_int_equal(cursor(&f->a, SITE), 1);
}

/* The witness keeps the newest head of `city`, and notices two stories. */
static void test_replica__witness(void **state)
{
    struct fixture *f = *state;
    struct toy_stream *city = calloc(1, sizeof *city);
    struct signed_head h[3];

    city_start(&f->city, city, STREAM_CITY);
    for (int i = 0; i < 3; i++) {
        memset(city->log[i].hash, i + 1, HASH_SIZE);
        head_at(&f->city, city, (uint64_t)i + 1, &h[i]);
    }
    for (int i = 1; i >= 0; i--)
        assert_int_equal(replica_witness(f->a.r, buf_slice(&h[i].head),
                                         (struct slice){h[i].signature, HASH_SIZE}, &f->err),
                         0);
    buf_release(&h[1].head);
    memset(city->log[1].hash, 9, HASH_SIZE);
    head_at(&f->city, city, 2, &h[1]);
    assert_int_equal(replica_witness(f->a.r, buf_slice(&h[1].head),
                                     (struct slice){h[1].signature, HASH_SIZE}, &f->err),
                     E_CORRUPT);
    for (int i = 0; i < 3; i++)
        buf_release(&h[i].head);
    free(city);
}

/* ---- acts ---- */

static void many(struct fixture *f, struct draft *drafts, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        drafts[i] = (struct draft){.kind = catalogue_kind_named("application"), .op = OP_CREATE};
        drafts[i].fields = fields_of(f, drafts[i].kind,
                                     WITH({"studio_name", "甲"}, {"applicant_type", "collective"}),
                                     &drafts[i].n_fields);
    }
}

/* An act is handed out, taken and refused whole. */
static void test_replica__acts_stay_whole(void **state)
{
    struct fixture *f = *state;
    struct draft drafts[3];
    struct push x = {.f = f};
    uint64_t until;

    many(f, drafts, 3);
    assert_int_equal(replica_write(f->a.r, &f->arena, &f->clerk, drafts, 3, UINT64_MAX, NOW,
                                   &f->err),
                     0);
    (void)new_application(f, &f->a, "乙");
    assert_int_equal(replica_pending(f->a.r, 1, 1, 1, take_push, &x, &f->err), 0);
    assert_int_equal(x.taken, 3);
    assert_int_equal(push(f, &f->a, 2), 1); /* n 2 and 3 belong to an act that began before */
    assert_int_equal(deliver_to(f, &f->a, &f->city.site, 2, 2), E_PROTOCOL);
    assert_int_equal(cursor(&f->a, SITE), 0);
    assert_int_equal(deliver_to(f, &f->a, &f->city.site, 3, 4), 0);
    assert_int_equal(facts(f, &f->a).acked_n, 3);

    assert_int_equal(replica_write(f->b.r, &f->arena, &f->clerk, drafts, 1, UINT64_MAX, NOW,
                                   &f->err),
                     0);
    many(f, drafts, 3);
    assert_int_equal(replica_write(f->b.r, &f->arena, &f->clerk, drafts, 3, UINT64_MAX, NOW,
                                   &f->err),
                     0);
    assert_int_equal(replica_refused(f->b.r, 2, 4, 3, slice_str("ZT-ROLE"), slice_str("无"), NOW,
                                     &until, &f->err),
                     0);
    assert_null(row_at(f, &f->b, "application", &drafts[0].record));
    assert_null(row_at(f, &f->b, "application", &drafts[2].record));
    assert_int_equal(facts(f, &f->b).pending, 1);
}

/* A bad draft leaves nothing of its act, not even a serial number; too many are refused. */
static void test_replica__act_is_all_or_nothing(void **state)
{
    struct fixture *f = *state;
    struct draft *drafts = calloc(ACT_MAX_CHANGES + 1, sizeof *drafts);
    struct id id = {{0}};
    struct slice serial;

    many(f, drafts, 3);
    drafts[2].n_fields = 1;
    assert_int_equal(replica_write(f->a.r, &f->arena, &f->clerk, drafts, 3, UINT64_MAX, NOW,
                                   &f->err),
                     E_INVALID);
    assert_null(row_at(f, &f->a, "application", &drafts[0].record));
    assert_int_equal(facts(f, &f->a).own_n, 0);
    assert_int_equal(write_one(f, &f->a, "application", OP_CREATE, &id, "",
                               WITH({"studio_name", "甲"}, {"applicant_type", "collective"}),
                               &serial),
                     0);
    assert_true(slice_eq(serial, slice_str("GY-SQ-2026-0001")));
    assert_int_equal(replica_write(f->a.r, &f->arena, &f->clerk, drafts, ACT_MAX_CHANGES + 1,
                                   UINT64_MAX, NOW, &f->err),
                     E_TOOBIG);
    free(drafts);
}

/* A later draft of an act sees the earlier one's record, and says so. */
static void test_replica__drafts_see_each_other(void **state)
{
    struct fixture *f = *state;
    struct random chance = random_seeded_init(&f->chance, 5);
    struct id id = id_v7(NOW, &chance);
    struct draft d[2] = {{.kind = catalogue_kind_named("application"),
                          .record = id,
                          .op = OP_CREATE},
                         {.kind = catalogue_kind_named("application"), .record = id, .op = OP_SET}};

    d[0].fields =
        fields_of(f, d[0].kind, WITH({"studio_name", "甲"}, {"applicant_type", "collective"}),
                  &d[0].n_fields);
    d[1].fields = fields_of(f, d[1].kind, WITH({"studio_name", "乙"}), &d[1].n_fields);
    assert_int_equal(replica_write(f->a.r, &f->arena, &f->clerk, d, 2, UINT64_MAX, NOW, &f->err),
                     0);
    assert_int_equal(last_change_of(f, &f->a, "studio_name").saw_n, 1);
    assert_text(f, &f->a, &id, "studio_name", "乙");
    assert_rebuilds(f, &f->a);
}

/* ---- transactions ---- */

/* An import that was not ended leaves nothing: closing is a crash. */
static void test_replica__import_is_one_transaction(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(replica_write_begin(f->a.r, &f->err), 0);
    (void)new_application(f, &f->a, "甲");
    (void)new_application(f, &f->a, "乙");
    assert_int_equal(facts(f, &f->a).own_n, 2);
    replica_close(f->a.r);
    assert_int_equal(replica_open(f->a.path, &f->a.keys, &f->a.r, &f->err), 0);
    assert_int_equal(facts(f, &f->a).own_n, 0);

    assert_int_equal(replica_write_begin(f->a.r, &f->err), 0);
    (void)new_application(f, &f->a, "甲");
    assert_int_equal(replica_write_end(f->a.r, false, &f->err), 0);
    assert_int_equal(facts(f, &f->a).own_n, 0);

    assert_int_equal(replica_write_begin(f->a.r, &f->err), 0);
    (void)new_application(f, &f->a, "甲");
    (void)new_application(f, &f->a, "乙");
    assert_int_equal(replica_write_end(f->a.r, true, &f->err), 0);
    assert_int_equal(facts(f, &f->a).own_n, 2);
    assert_rebuilds(f, &f->a);
}

/* A refused act inside an import takes nothing of the others, nor their serial numbers. */
static void test_replica__import_survives_a_refusal(void **state)
{
    struct fixture *f = *state;
    const struct toy_field *in = WITH({"studio_name", "甲"}, {"applicant_type", "collective"});
    struct id id[3] = {{{0}}};
    struct draft drafts[3];
    struct slice serial;

    assert_int_equal(replica_write_begin(f->a.r, &f->err), 0);
    assert_int_equal(write_one(f, &f->a, "application", OP_CREATE, &id[0], "", in, NULL), 0);
    many(f, drafts, 3);
    drafts[2].n_fields = 1;
    assert_int_equal(replica_write(f->a.r, &f->arena, &f->clerk, drafts, 3, UINT64_MAX, NOW,
                                   &f->err),
                     E_INVALID);
    assert_int_equal(write_one(f, &f->a, "application", OP_CREATE, &id[1], "",
                               WITH({"studio_name", "乙"}), NULL),
                     E_INVALID);
    assert_int_equal(write_one(f, &f->a, "application", OP_CREATE, &id[2], "", in, &serial), 0);
    assert_true(slice_eq(serial, slice_str("GY-SQ-2026-0002")));
    assert_int_equal(replica_write_end(f->a.r, true, &f->err), 0);
    assert_int_equal(facts(f, &f->a).own_n, 2);
    assert_null(row_at(f, &f->a, "application", &drafts[0].record));
    assert_rebuilds(f, &f->a);
}

/* Two processes on one file number one after the other. */
static void test_replica__two_handles(void **state)
{
    struct fixture *f = *state;
    struct peer other = f->a;

    assert_int_equal(replica_open(f->a.path, &f->a.keys, &other.r, &f->err), 0);
    (void)new_application(f, &f->a, "甲");
    (void)new_application(f, &other, "乙");
    (void)new_application(f, &f->a, "丙");
    assert_int_equal(facts(f, &other).own_n, 3);
    assert_int_equal(push(f, &other, 1), 3);
    deliver(f, &f->a);
    assert_int_equal(facts(f, &other).acked_n, 3);
    assert_rebuilds(f, &other);
    replica_close(other.r);
}

/* A file is made once; the ledger's hash function is the file's. */
static void test_replica__create_and_open(void **state)
{
    struct fixture *f = *state;
    struct replica_keys keys = f->a.keys;
    struct replica *r;

    keys.hasher = f->city.h;
    assert_int_equal(replica_create(f->a.path, &keys, &f->a.facts, &f->err), E_EXISTS);
    keys.hasher = hasher_of(HASH_SHA256);
    assert_int_equal(replica_open(f->a.path, &keys, &r, &f->err), E_VERSION);
    assert_int_equal(replica_open("/nonexistent/replica.db", &keys, &r, &f->err), E_NOTFOUND);
    assert_int_equal(replica_hasher(f->a.r)->alg, HASH_SM3);
}

/* ---- accounts and conflicts ---- */

/* The first clerk works before the stream has come; then accounts are what the stream says. */
static void test_replica__actors(void **state)
{
    struct fixture *f = *state;
    struct actor actor;

    assert_int_equal(replica_actor(f->a.r, NULL, &actor, &f->err), 0);
    assert_true(id_eq(&actor.account, &f->clerk));
    city_creates(f, &f->city.site, "user_account", "",
                 WITH({"login", "zhang"}, {"name", "张三"}, {"role", "county_lead"},
                      {"active", "是"}));
    deliver(f, &f->a);
    assert_int_equal(replica_actor(f->a.r, NULL, &actor, &f->err), 0);
    assert_int_equal(actor.roles, role_bit(slice_str("county_lead")));
    assert_int_equal(replica_actor(f->a.r, "clerk", &actor, &f->err), E_NOTFOUND);
    city_creates(f, &f->city.site, "user_account", "",
                 WITH({"login", "li"}, {"name", "李"}, {"role", "county_clerk"}, {"active", "是"}));
    city_creates(f, &f->city.site, "user_account", "",
                 WITH({"login", "old"}, {"name", "旧"}, {"role", "county_clerk"},
                      {"active", "否"}));
    deliver(f, &f->a);
    assert_int_equal(replica_actor(f->a.r, NULL, &actor, &f->err), E_USAGE);
    assert_non_null(strstr(f->err.text, "zhang"));
    assert_int_equal(replica_actor(f->a.r, "old", &actor, &f->err), E_DENIED);
    assert_int_equal(replica_actor(f->a.r, "li", &actor, &f->err), 0);
}

static int see_conflict(void *ctx, const struct conflict_row *row)
{
    ++*(unsigned *)ctx;
    assert_non_null(row->target);
    assert_string_equal(row->field->name, "studio_name");
    assert_true(slice_eq(row->stands.s, slice_str("甲")));
    assert_true(slice_eq(row->later.s, slice_str("乙")));
    return 0;
}

/* A conflict shows both values from the entries that brought them. */
static void test_replica__conflicts(void **state)
{
    struct fixture *f = *state;
    struct id id = new_application(f, &f->a, "甲");
    unsigned n = 0;

    assert_int_equal(set_application(f, &f->a, id, "studio_name", "乙"), 0);
    push(f, &f->a, 1);
    city_creates(f, &f->city.site, "conflict", "open",
                 WITH({"target_kind", "application"}, {"target_id", id_in_text(f, &id)},
                      {"field", "studio_name"}, {"stands_seq", "1"}, {"later_seq", "2"}));
    deliver(f, &f->a);
    assert_int_equal(facts(f, &f->a).conflicts, 1);
    assert_int_equal(replica_conflicts(f->a.r, see_conflict, &n, &f->err), 0);
    assert_int_equal(n, 1);
}

/* ---- upkeep ---- */

/* Each row of the file that was changed behind the replica's back is noticed. */
static void test_replica__verify_finds_what_was_changed(void **state)
{
    static const char *const harm[] = {
        "UPDATE log SET received_at = received_at + 1 WHERE pos % 7 = 2",
        "UPDATE log SET verdict = x'0100000001' WHERE rowid = (SELECT max(pos) FROM log)",
        "DELETE FROM log WHERE pos = (SELECT max(pos) FROM log)",
        "UPDATE stream SET hash = zeroblob(32) WHERE stream = 1",
        "UPDATE head SET signature = x'00' WHERE compared = 1",
        "UPDATE pending SET bytes = substr(bytes, 1, length(bytes) - 1) || x'58' WHERE n = 3",
        "DELETE FROM pending WHERE n = 3",
        "UPDATE own SET chain = zeroblob(32)",
    };
    struct fixture *f = *state;
    sqlite3 *db = store_db(replica_store(f->a.r));
    struct id id;

    enrol(f);
    id = new_application(f, &f->a, "甲");
    assert_int_equal(set_application(f, &f->a, id, "studio_name", "乙"), 0);
    push(f, &f->a, 1);
    deliver(f, &f->a);
    assert_int_equal(set_application(f, &f->a, id, "studio_name", "丙"), 0);
    for (size_t i = 0; i < sizeof harm / sizeof *harm; i++) {
        char path[160], command[512];
        struct replica *r;

        snprintf(path, sizeof path, "%s/copy.db", f->dir);
        (void)remove(path);
        snprintf(command, sizeof command, "VACUUM INTO '%s'", path);
        assert_int_equal(sqlite3_exec(db, command, NULL, NULL, NULL), SQLITE_OK);
        assert_int_equal(replica_open(path, &f->a.keys, &r, &f->err), 0);
        assert_int_equal(replica_verify(r, &f->err), 0);
        assert_int_equal(sqlite3_exec(store_db(replica_store(r)), harm[i], NULL, NULL, NULL),
                         SQLITE_OK);
        assert_true(sqlite3_changes(store_db(replica_store(r))) > 0);
        if (replica_verify(r, &f->err) != E_CORRUPT)
            fail_msg("not noticed: %s", harm[i]);
        replica_close(r);
    }
}

/* Whichever allocation fails, an act is written or not, a batch taken or not; the next try succeeds. */
static void test_replica__out_of_memory(void **state)
{
    struct fixture *f = *state;
    struct id id;
    int ret = E_NOMEM;

    enrol(f);
    id = new_application(f, &f->a, "甲");
    push(f, &f->a, 1);
    deliver(f, &f->a);
    for (unsigned i = 1; ret != 0; i++) {
        struct draft d = {.kind = catalogue_kind_named("application"), .record = id, .op = OP_SET};

        d.fields = fields_of(f, d.kind, WITH({"studio_name", "乙"}, {"lead_phone", "13812345678"}),
                             &d.n_fields);
        mem_fault_set(i);
        ret = replica_write(f->a.r, &f->arena, &f->clerk, &d, 1, UINT64_MAX, NOW, &f->err);
        mem_fault_set(0);
        assert_int_equal(facts(f, &f->a).own_n, ret == 0 ? 2 : 1);
    }
    push(f, &f->a, 2);
    ret = E_NOMEM;
    for (unsigned i = 1; ret != 0; i++) {
        struct arrived e;
        struct signed_head h;

        arrive(&f->city.site, &f->a.facts.id, 3, 3, &e);
        head_at(&f->city, &f->city.site, 3, &h);
        mem_fault_set(i);
        ret = replica_apply(f->a.r, SITE, 3, &e, 1, buf_slice(&h.head),
                            (struct slice){h.signature, HASH_SIZE}, &f->err);
        mem_fault_set(0);
        buf_release(&h.head);
        assert_int_equal(cursor(&f->a, SITE), ret == 0 ? 3 : 2);
    }
    deliver(f, &f->b);
    assert_same(f, &f->a, &f->b);
    assert_rebuilds(f, &f->a);
}

/* ---- other versions of the catalogue ---- */

/* What an older city does not know stays here, and what was made before it goes. */
static void test_replica__waits_for_a_newer_city(void **state)
{
    struct fixture *f = *state;
    struct id id = {{0}};
    uint64_t n;

    enrol(f);
    (void)new_application(f, &f->a, "甲工作室");
    assert_int_equal(write_one(f, &f->a, "historic_file", OP_CREATE, &id, "",
                               WITH({"file_name", "旧台账.xlsx"}, {"target_kind", "opinion"}), NULL),
                     0);
    (void)new_application(f, &f->a, "乙工作室");
    assert_int_equal(replica_held(f->a.r, 1, 100, 3, &n, &f->err), 0);
    assert_int_equal(n, 0);
    assert_int_equal(replica_held(f->a.r, 1, 100, 2, &n, &f->err), 0);
    assert_int_equal(n, 2);
    assert_int_equal(replica_held(f->a.r, 3, 100, 1, &n, &f->err), 0);
    assert_int_equal(n, 0);
}

/* A kind that this catalogue does not have, from a city whose program is newer. */
static void city_creates_unknown(struct fixture *f, struct toy_stream *s)
{
    struct field_change field = {.tag = 70, .form = FORM_SET, .v = value_str("新")};
    struct change c = {.replica = f->city.incarnation,
                       .n = s->seq + 1,
                       .stream = s->no,
                       .act_len = 1,
                       .made_at = NOW,
                       .catalogue = CATALOGUE_VERSION + 1,
                       .op = OP_CREATE,
                       .kind = 9999,
                       .record = f->city.incarnation,
                       .fields = &field,
                       .n_fields = 1};

    city_says(f, s, &c);
}

/* The signed head of the site's stream with the root of one who knows all of its kinds. */
static int compare_with_root(struct fixture *f, struct peer *p, uint8_t byte)
{
    struct toy_stream *s = &f->city.site;
    struct head h = {.ledger = f->city.ledger, .incarnation = f->city.incarnation, .stream = s->no,
                     .seq = s->seq, .has_root = true};
    uint8_t signature[HASH_SIZE];
    struct buf bytes, message;
    int ret;

    memcpy(h.hash, s->hash, HASH_SIZE);
    memset(h.root, byte, ROOT_SIZE);
    buf_init(&bytes, 4096);
    buf_init(&message, 4096);
    head_encode(&bytes, &h);
    head_to_sign(&message, &h);
    sign(buf_slice(&message), signature);
    ret = replica_compare(p->r, buf_slice(&bytes), (struct slice){signature, HASH_SIZE}, &f->err);
    buf_release(&bytes);
    buf_release(&message);
    return ret;
}

static bool differs(struct fixture *f, struct peer *p)
{
    msec_t since;
    int ret = replica_differs(p->r, SITE, &since, &f->err);

    assert_true(ret == 0 || ret == 1);
    return ret == 1;
}

/* What an older county does not know stays in its log: the stream goes on, no other row is taken for damaged. */
static void test_replica__knows_less_than_the_city(void **state)
{
    struct fixture *f = *state;
    struct id id;

    seed(f);
    city_creates_unknown(f, &f->city.site);
    id = city_creates(f, &f->city.site, "studio", "operating",
                      WITH({"site", "431021"}, {"name", "乡村工作室"}));
    deliver(f, &f->a);
    assert_true(slice_eq(row_text(row_at(f, &f->a, "studio", &id), "name"), slice_str("乡村工作室")));
    assert_int_equal(cursor(&f->a, SITE), f->city.site.seq);
    assert_int_equal(replica_verify(f->a.r, &f->err), 0);
    assert_rebuilds(f, &f->a);
    assert_int_equal(compare_with_root(f, &f->a, 1), 0);
    assert_false(differs(f, &f->a));
}

/* The same head shows one who knows every kind that a row of his is wrong. */
static void test_replica__a_root_that_differs(void **state)
{
    struct fixture *f = *state;

    seed(f);
    assert_int_equal(compare_with_root(f, &f->a, 1), 0);
    assert_true(differs(f, &f->a));
}

static void run_sql(struct fixture *f, const char *text)
{
    assert_int_equal(sqlite3_exec(store_db(replica_store(f->a.r)), text, NULL, NULL, NULL),
                     SQLITE_OK);
}

/* A program that knows more finds in the log what the one before had no place for. */
static void test_replica__upgrade_builds_anew(void **state)
{
    struct fixture *f = *state;
    struct id id;

    enrol(f);
    id = new_application(f, &f->a, "甲工作室");
    (void)push(f, &f->a, 1);
    deliver(f, &f->a);
    run_sql(f, "DELETE FROM application; UPDATE meta SET value = 1 WHERE name = 'catalogue'");
    replica_close(f->a.r);
    assert_int_equal(replica_open(f->a.path, &f->a.keys, &f->a.r, &f->err), 0);
    assert_text(f, &f->a, &id, "studio_name", "甲工作室");
    assert_int_equal(store_meta_int(replica_store(f->a.r), STORE_STALE, 0), 0);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(test_replica__##name, setup, teardown)
    static const struct CMUnitTest tests[] = {
        CASE(waits_for_a_newer_city),
        CASE(knows_less_than_the_city),
        CASE(a_root_that_differs),
        CASE(upgrade_builds_anew),
        CASE(echo_gives_what_others_get),
        CASE(site_values_are_sealed),
        CASE(pii_rests_sealed),
        CASE(serials_are_its_own),
        CASE(refuses_what_the_city_would),
        CASE(judges_by_the_citys_settings),
        CASE(equal_values_are_no_change),
        CASE(transition),
        CASE(void),
        CASE(says_what_it_saw),
        CASE(says_logged_again),
        CASE(withheld_field),
        CASE(rebase),
        CASE(own_change_with_bytes),
        CASE(refusal_family),
        CASE(refused_edit_uncovers),
        CASE(released_refusal),
        CASE(made_twice),
        CASE(takes_nothing_false),
        CASE(false_sidecar),
        CASE(head_ahead),
        CASE(witness),
        CASE(acts_stay_whole),
        CASE(act_is_all_or_nothing),
        CASE(drafts_see_each_other),
        CASE(import_is_one_transaction),
        CASE(import_survives_a_refusal),
        CASE(two_handles),
        CASE(create_and_open),
        CASE(actors),
        CASE(conflicts),
        CASE(verify_finds_what_was_changed),
        CASE(out_of_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
