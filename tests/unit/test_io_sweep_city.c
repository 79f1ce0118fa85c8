/* The city's store where the disk, a statement or memory fails: each of its main operations, at every place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/crypto/hash.h"
#include "common/ledger/sql.h"
#include "common/wire/body.h"
#include "server/store/city_blob.h"
#include "server/store/city_bundle.h"
#include "server/store/city_recover.h"
#include "server/store/snapshot.h"
#include "server/store/tell.h"
#include "tests/lib/stores.h"
#include "tests/lib/toy.h"
#include "tests/lib/trip.h"

#include <stdio.h>
#include <string.h>

static const uint8_t file_hash[HASH_SIZE] = {0xab, 0xcd};
#define FILE_SIZE 1234u

/* ---- life ---- */

static int open_again(struct stores *s, struct err *err)
{
    struct city_options o = stores_city_options(s);

    city_close(s->city);
    s->city = NULL;
    return city_open("city/city.db", &o, &s->city, err);
}

/* As a file of before the rows were summed. */
static void forget_sums(struct stores *s)
{
    MUST(s, store_begin(city_store(s->city), &s->err));
    MUST(s, sql_exec(store_db(city_store(s->city)), "DELETE FROM meta WHERE name = 'digest'", &s->err));
    MUST(s, store_digest_clear(city_store(s->city), &s->err));
    MUST(s, store_commit(city_store(s->city), &s->err));
}

/* As a file whose tables another version made. */
static void forget_tables(struct stores *s)
{
    MUST(s, store_meta_put_int(city_store(s->city), STORE_STALE, 1, &s->err));
}

static int create(struct stores *s, struct err *err)
{
    struct city_options o = stores_city_options(s);

    return city_create(stores_new_path(s), &o, "第六届", err);
}

static int verify(struct stores *s, struct err *err)
{
    return city_verify(s->city, err);
}

static int rebuild(struct stores *s, struct err *err)
{
    return city_rebuild(s->city, err);
}

/* ---- replicas ---- */

static int issue(void *ctx, uint32_t site, char ret_serial[48], uint8_t ret_fingerprint[HASH_SIZE])
{
    (void)ctx;
    (void)snprintf(ret_serial, 48, "%u", site);
    memset(ret_fingerprint, 9, HASH_SIZE);
    return 0;
}

static const struct id third = {{0x42, 3}}, heir = {{0x42, 4}};

static int enrol(struct stores *s, struct err *err)
{
    uint8_t secret[HASH_SIZE] = {9};
    uint32_t site, k;
    struct id clerk;
    int ret = city_token_add(s->city, 431081, secret, s->now + 1000, err);

    return ret == 0 ? city_enrol(s->city, secret, &third, issue, NULL, &site, &k, &clerk, err) : ret;
}

static int enrol_group(struct stores *s, struct err *err)
{
    return stores_group(s, enrol, err);
}

static struct city_cert cert_named(uint8_t name)
{
    struct city_cert c = {.not_after = STORES_NOW + name, .key = {1}};

    (void)snprintf(c.serial, sizeof c.serial, "%02x", name);
    memset(c.fingerprint, name, HASH_SIZE);
    return c;
}

static int certify(struct stores *s, struct err *err)
{
    struct city_cert first = cert_named(9), second = cert_named(10), is;
    struct replica_row row;
    bool replaced;
    int ret = city_cert_enrolled(s->city, &third, &first, err);

    if (ret == 0)
        ret = city_cert_issued(s->city, &third, &second, err);
    if (ret == 0)
        ret = city_cert_used(s->city, &third, second.fingerprint, err);
    if (ret == 0)
        ret = city_replica_get(s->city, &third, &row, err);
    if (ret == 0)
        ret = city_cert_check(s->city, &row, first.fingerprint, first.key, &replaced, err);
    return ret == 0 ? city_cert_get(s->city, &row, &is, err) : ret;
}

static int certify_group(struct stores *s, struct err *err)
{
    return stores_group(s, certify, err);
}

static int each_replica(void *ctx, const struct replica_row *r)
{
    (void)ctx;
    (void)r;
    return 0;
}

static int hear(struct stores *s, struct err *err)
{
    struct statement said = {.own_n = 7, .waiting = 1};
    uint64_t open;
    int ret = city_replica_heard(s->city, &third, s->now, -5, &said, slice_str("ztc/1"), err);

    if (ret == 0)
        ret = city_replica_each(s->city, each_replica, NULL, err);
    return ret == 0 ? city_tokens_open(s->city, s->now, &open, err) : ret;
}

static int hear_group(struct stores *s, struct err *err)
{
    return stores_group(s, hear, err);
}

static int each_successor(void *ctx, const struct id *id)
{
    (void)ctx;
    (void)id;
    return 0;
}

static int succeed(struct stores *s, struct err *err)
{
    struct city_cert cert = cert_named(20);
    struct succession x = {.predecessor = s->replica[AT_A], .successor = heir, .agreed = {.n = 2},
                           .cert = &cert};
    size_t agreed;
    uint32_t k;
    int ret = city_replica_chain(s->city, &x.predecessor, x.agreed.n, x.agreed.chain, err);

    if (ret == 0)
        ret = city_agreed(s->city, &x.predecessor, &x.agreed, 1, &agreed, err);
    if (ret == 0)
        ret = city_succeed(s->city, &x, &k, err);
    if (ret == 0)
        ret = city_succeed(s->city, &x, &k, err); /* the answer was lost */
    if (ret == 0)
        ret = city_replica_chain(s->city, &heir, 0, x.agreed.chain, err);
    return ret == 0 ? city_successors_each(s->city, &x.predecessor, each_successor, NULL, err) : ret;
}

static int succeed_group(struct stores *s, struct err *err)
{
    return stores_group(s, succeed, err);
}

static int give_up(struct stores *s, struct err *err)
{
    return city_replica_set_state(s->city, &heir, REPLICA_LOST, err);
}

static int give_up_group(struct stores *s, struct err *err)
{
    return stores_group(s, give_up, err);
}

/* ---- acts that arrive ---- */

static void edit(struct stores *s, enum stores_disk at, unsigned i, const char *text)
{
    MUST(s, stores_write(s, at, "opinion", OP_SET, &s->opinion[i], "", PAIRS("title", text), &s->err));
}

static void move(struct stores *s, enum stores_disk at, unsigned i, const char *to)
{
    MUST(s, stores_write(s, at, "opinion", OP_TRANSITION, &s->opinion[i], to, NULL, &s->err));
}

static void load_opinions(struct stores *s)
{
    for (unsigned i = 0; i < 4; i++)
        MUST(s, stores_write_opinion(s, AT_A, &s->opinion[i], &s->err));
    MUST(s, stores_write(s, AT_A, "attachment", OP_CREATE, &s->attachment, "",
                         PAIRS("target_kind", "opinion", "target_id", stores_id(s, &s->opinion[0]),
                               "file_name", "照片.jpg", "mime", "image/jpeg", "size", "1234", "hash",
                               "abcd000000000000000000000000000000000000000000000000000000000000"),
                         &s->err));
    stores_load(s, AT_A);
}

static int push_a(struct stores *s, struct err *err)
{
    return stores_push(s, AT_A, err);
}

static int push_b(struct stores *s, struct err *err)
{
    return stores_push(s, AT_B, err);
}

/* B did not see what A wrote: a conflict, a step from a state that is over, a voided record. */
static void load_late(struct stores *s)
{
    stores_sync(s, AT_A);
    stores_sync(s, AT_B);
    edit(s, AT_A, 0, "甲的题目");
    move(s, AT_A, 1, "verifying");
    MUST(s, stores_write(s, AT_A, "opinion", OP_VOID, &s->opinion[2], "", PAIRS("void_reason", "重复"),
                         &s->err));
    stores_sync(s, AT_A);
    edit(s, AT_B, 0, "乙的题目");
    move(s, AT_B, 1, "verifying");
    edit(s, AT_B, 1, "随后改的");
    edit(s, AT_B, 2, "作废后改的");
    stores_load(s, AT_B);
}

static int role(struct stores *s, const char *roles, struct err *err)
{
    return stores_act(s, "user_account", OP_SET, &s->clerk, "", STORES_SITE, PAIRS("role", roles), err);
}

static int take_role(struct stores *s, struct err *err)
{
    return role(s, "studio_user", err);
}

static int give_role(struct stores *s, struct err *err)
{
    return role(s, "county_clerk,county_lead,studio_user", err);
}

/* The clerk at B does what he may no longer do, and has not seen that. */
static void load_demoted(struct stores *s)
{
    stores_sync(s, AT_B);
    MUST(s, stores_group(s, take_role, &s->err));
    move(s, AT_B, 3, "verifying");
    MUST(s, stores_write(s, AT_B, "opinion", OP_TRANSITION, &s->opinion[3], "local_handling",
                         PAIRS("handler_unit", "住建局", "due_on", "2026-04-01"), &s->err));
    stores_load(s, AT_B);
}

static int each_refusal(void *ctx, const struct refusal *r)
{
    uint64_t *n = ctx;

    *n = r->first_n;
    return 0;
}

static int acknowledge(struct stores *s, struct err *err)
{
    uint64_t n = 0;
    int ret = city_refusals(s->city, &s->replica[AT_B], 0, each_refusal, &n, err);

    return ret == 0 ? city_refused_ack(s->city, &s->replica[AT_B], n, n, err) : ret;
}

static int acknowledge_group(struct stores *s, struct err *err)
{
    return stores_group(s, acknowledge, err);
}

/* ---- quarantine ---- */

static int retire_b(struct stores *s, struct err *err)
{
    return city_replica_set_state(s->city, &s->replica[AT_B], REPLICA_RETIRED, err);
}

static void load_retired(struct stores *s)
{
    MUST(s, stores_group(s, give_role, &s->err));
    stores_sync(s, AT_B);
    MUST(s, stores_group(s, retire_b, &s->err));
    MUST(s, stores_write_opinion(s, AT_B, &s->opinion[5], &s->err));
    edit(s, AT_B, 5, "改过的题目");
    MUST(s, stores_write_opinion(s, AT_B, &s->opinion[6], &s->err));
    stores_load(s, AT_B);
}

static int each_kept(void *ctx, const struct quarantined *q)
{
    uint64_t *first = ctx;

    if (*first == 0)
        *first = q->first_n;
    return 0;
}

static int release(struct stores *s, struct err *err)
{
    uint64_t first = 0, n;
    uint64_t kept;
    int ret = city_quarantine_count(s->city, &kept, err);

    if (ret == 0)
        ret = city_quarantine_each(s->city, each_kept, &first, err);
    return ret == 0 ? city_quarantine_release(s->city, &s->replica[AT_B], first, &n, err) : ret;
}

static int release_group(struct stores *s, struct err *err)
{
    return stores_group(s, release, err);
}

static int drop(struct stores *s, struct err *err)
{
    uint64_t n;

    return city_quarantine_drop(s->city, &s->replica[AT_B], 0, &n, err);
}

static int drop_group(struct stores *s, struct err *err)
{
    return stores_group(s, drop, err);
}

/* ---- the city's own acts ---- */

static int city_acts(struct stores *s, struct err *err)
{
    struct id member = {{0}}, account = {{0}};
    struct actor actor;
    int ret = stores_act(s, "member", OP_CREATE, &member, "", STORES_SITE,
                         PAIRS("name", "李委员", "level", "市级", "unit_title", "教师", "status", "在任"),
                         err);

    if (ret == 0)
        ret = stores_act(s, "user_account", OP_CREATE, &account, "", STREAM_CITY,
                         PAIRS("login", "wang", "name", "王主任", "role", "office", "active", "是"),
                         err);
    return ret == 0 ? city_actor(s->city, "wang", &actor, err) : ret;
}

static int city_acts_group(struct stores *s, struct err *err)
{
    return stores_group(s, city_acts, err);
}

static int note_repair(struct stores *s, struct err *err)
{
    struct city_repair r = {.no = 1001, .seq = 5, .at = 7, .stream = STORES_SITE, .kind = 1, .how = 4,
                            .record = s->opinion[0]};
    uint64_t n, ours;
    msec_t last;
    int ret = city_repair_note(s->city, &s->replica[AT_A], s->now, &r, err);

    return ret == 0 ? city_repairs(city_store(s->city), &s->replica[AT_A], &n, &ours, &last, err) : ret;
}

static int note_repair_group(struct stores *s, struct err *err)
{
    return stores_group(s, note_repair, err);
}

/* ---- bundles ---- */

static int bundle(struct stores *s, struct err *err)
{
    const struct city_bundle b = {.hello = slice_str("hello"), .certificate = slice_str("certificate"),
                                  .at = s->now, .renewed = slice_str("renewed"), .renewed_until = s->now + 1,
                                  .renewed_print = {7}, .blobs = slice_str("blobs")};
    struct city_bundle is;
    struct replica_row r;
    struct arena a;
    int ret = city_replica_get(s->city, &s->replica[AT_A], &r, err);

    arena_init(&a, 4096);
    if (ret == 0)
        ret = city_bundle_put(s->city, &r, &b, err);
    if (ret == 0)
        ret = city_bundle_get(s->city, &r, &a, &is, err);
    if (ret == 0)
        assert_true(slice_eq(is.hello, b.hello) && slice_eq(is.certificate, b.certificate) &&
                    slice_eq(is.renewed, b.renewed) && slice_eq(is.blobs, b.blobs) &&
                    is.renewed_print[0] == 7);
    arena_release(&a);
    return ret;
}

static int bundle_group(struct stores *s, struct err *err)
{
    return stores_group(s, bundle, err);
}

/* ---- attachments ---- */

static int each_blob(void *ctx, const struct city_blob *b)
{
    (void)ctx;
    (void)b;
    return 0;
}

static int offer(struct stores *s, struct err *err)
{
    bool verified;

    return city_blob_offer(s->city, STORES_SITE, &s->attachment, file_hash, FILE_SIZE, &verified, err);
}

static int offer_group(struct stores *s, struct err *err)
{
    return stores_group(s, offer, err);
}

static int lose(struct stores *s, struct err *err)
{
    uint8_t hash[HASH_SIZE];
    bool its;

    return city_blob_lost(s->city, STORES_SITE, &s->attachment, &its, hash, err);
}

static int lose_group(struct stores *s, struct err *err)
{
    return stores_group(s, lose, err);
}

static int hold(struct stores *s, struct err *err)
{
    struct city_blob_counts counts;
    struct city_blob blob;
    uint8_t hash[HASH_SIZE];
    struct arena a;
    uint64_t size;
    int ret = city_blob_each(city_store(s->city), NULL, true, each_blob, NULL, err);

    arena_init(&a, 4096);
    if (ret == 0)
        ret = city_blob_get(city_store(s->city), &s->attachment, &a, &blob, err);
    if (ret == 0)
        ret = city_blob_count(city_store(s->city), &s->opinion[0], &counts, err);
    if (ret == 0)
        ret = city_blob_held(s->city, STORES_SITE, file_hash, FILE_SIZE, err);
    if (ret == 0)
        ret = city_blob_find(s->city, STORES_SITE, &s->attachment, hash, &size, err);
    arena_release(&a);
    return ret;
}

static int hold_group(struct stores *s, struct err *err)
{
    return stores_group(s, hold, err);
}

/* ---- what readers ask ---- */

static int read_slices(struct stores *s, struct err *err)
{
    struct slice_read r = {.stream = STORES_SITE, .max_bytes = 2000};
    struct body_codec codec;
    struct buf out;
    int ret;

    trip_pause();
    body_codec_init(&codec);
    buf_init(&out, 1u << 20);
    trip_resume();
    do {
        r.has_next = false;
        ret = snapshot_read(city_store(s->city), &r, &codec, &out, err);
        r.has_after = r.has_next;
        memcpy(r.after, r.next, sizeof r.after);
    } while (ret == 0 && r.has_next);
    buf_release(&out);
    body_codec_release(&codec);
    return ret;
}

static int ask(struct stores *s, const struct tell_ask *ask, struct err *err)
{
    struct server_told told;
    struct arena a;

    arena_init(&a, 1u << 20);
    tell_answer(city_store(s->city), ask, &a, &told, err);
    arena_release(&a);
    return told.ret;
}

static int tell(struct stores *s, struct err *err)
{
    uint32_t kind = catalogue_kind_named("opinion")->tag;
    struct tell_ask kinds = {.stream = STORES_SITE}, range = {.stream = STORES_SITE, .kind = kind};
    struct tell_ask rows = {.stream = STORES_SITE, .kind = kind, .n_ids = 2};
    int ret = ask(s, &kinds, err);

    rows.ids[0] = s->opinion[0];
    rows.ids[1] = (struct id){{1}}; /* there is none */
    if (ret == 0)
        ret = ask(s, &range, err);
    return ret == 0 ? ask(s, &rows, err) : ret;
}

/* ---- restored ---- */

static int keep_entry(void *ctx, const struct entry *e)
{
    struct stores *s = ctx;
    struct arrived *in = &s->entries[s->n_entries++];

    *in = (struct arrived){
        .received_at = e->received_at,
        .verdict = {arena_dup(&s->arena, e->verdict.p, e->verdict.len), e->verdict.len},
        .bytes = {arena_dup(&s->arena, e->bytes.p, e->bytes.len), e->bytes.len},
        .side = {arena_dup(&s->arena, e->side.p, e->side.len), e->side.len}};
    return 0;
}

static int restart(struct stores *s, struct err *err)
{
    return city_restart(s->city, "磁盘损坏", err);
}

static int restart_group(struct stores *s, struct err *err)
{
    return stores_group(s, restart, err);
}

/* The city goes on from a copy of itself, whose last entries are only A's. */
static void put_back(struct stores *s)
{
    struct disk *before = disk_new("before");
    uint64_t seq;

    stores_sync(s, AT_A);
    assert_int_equal(disk_copy(before, s->disks[AT_CITY]), 0);
    MUST(s, city_head(s->city, STORES_SITE, &s->head, &s->signature, &seq));
    MUST(s, stores_write_opinion(s, AT_A, &s->opinion[7], &s->err));
    edit(s, AT_A, 7, "丢失后找回的");
    stores_sync(s, AT_A);
    s->entries = arena_zalloc(&s->arena, 64 * sizeof *s->entries);
    s->n_entries = 0;
    s->first_seq = seq + 1;
    MUST(s, store_entry_each(city_store(s->city), STORES_SITE, s->first_seq, keep_entry, s, &s->err));
    MUST(s, city_head(s->city, STORES_SITE, &s->head, &s->signature, &seq));
    s->head.p = arena_dup(&s->arena, s->head.p, s->head.len);
    s->signature.p = arena_dup(&s->arena, s->signature.p, s->signature.len);
    city_close(s->city);
    s->city = NULL;
    assert_int_equal(disk_copy(s->disks[AT_CITY], before), 0);
    disk_free(before);
    MUST(s, open_again(s, &s->err));
    MUST(s, restart_group(s, &s->err));
}

static int each_heard(void *ctx, const struct replica_row *r, msec_t heard_at)
{
    (void)ctx;
    (void)r;
    (void)heard_at;
    return 0;
}

static int each_stream(void *ctx, const struct recover_stream *r)
{
    (void)ctx;
    (void)r;
    return 0;
}

static int stand(struct stores *s, struct err *err)
{
    struct city_cursor at = {.stream = STORES_SITE, .seq = s->first_seq + s->n_entries - 1,
                             .head = s->head, .signature = s->signature};
    const uint32_t streams[] = {STORES_SITE};
    struct city_recovery recovery;
    uint8_t chain[HASH_SIZE] = {1};
    struct city_stand ret_stand;
    uint64_t seq = at.seq;
    int ret = city_stand(s->city, &at, &ret_stand, err);

    if (ret == 0)
        ret = city_heard(s->city, &s->replica[AT_A], streams, &seq, 1, err);
    if (ret == 0)
        ret = city_adopt(s->city, &s->replica[AT_B], 5, chain, err);
    if (ret == 0)
        ret = city_recover_replicas(s->city, each_heard, NULL, err);
    if (ret == 0)
        ret = city_recover_streams(s->city, each_stream, NULL, err);
    return ret == 0 ? city_recovery(s->city, &recovery, err) : ret;
}

static int stand_group(struct stores *s, struct err *err)
{
    return stores_group(s, stand, err);
}

static int refill(struct stores *s, struct err *err)
{
    struct refilled entries[64];
    uint64_t n;
    int word = 0, ret;

    for (size_t i = 0; i < s->n_entries; i++)
        entries[i] = (struct refilled){s->entries[i].received_at, s->entries[i].verdict,
                                       s->entries[i].bytes, s->entries[i].side};
    ret = city_refill_drop(s->city, &s->replica[AT_A], err);
    if (ret == 0)
        ret = city_refill_put(s->city, &s->replica[AT_A], STORES_SITE, s->first_seq, entries,
                              s->n_entries, err);
    if (ret == 0)
        ret = city_refill_take(s->city, &s->replica[AT_A], STORES_SITE, s->first_seq, s->head,
                               s->signature, &n, &word, err);
    return ret == 0 && word != 0 ? err_set(err, word, "refused: %s", err->text) : ret;
}

static int refill_group(struct stores *s, struct err *err)
{
    return stores_group(s, refill, err);
}

static int close_recovery(struct stores *s, struct err *err)
{
    return city_recover_close(s->city, "wang", err);
}

static int close_recovery_group(struct stores *s, struct err *err)
{
    return stores_group(s, close_recovery, err);
}

/* Again put back; closed before A comes: what it brings is late. */
static void put_back_and_close(struct stores *s)
{
    MUST(s, stores_group(s, close_recovery, &s->err));
    put_back(s);
    MUST(s, stores_group(s, close_recovery, &s->err));
}

/* A goes on, at a city that has had another life. */
static void load_more(struct stores *s)
{
    MUST(s, stores_write_opinion(s, AT_A, &s->opinion[3], &s->err));
    edit(s, AT_A, 3, "恢复后的题目");
    stores_load(s, AT_A);
}

/* ---- the stories ---- */

static const struct step daily[] = {
    {"open", NULL, open_again, STEP_WHOLE},
    {"open without sums", forget_sums, open_again, STEP_PARTS},
    {"open with old tables", forget_tables, open_again, STEP_PARTS | STEP_LONG},
    {"create", NULL, create, STEP_LONG},
    {"enrol", NULL, enrol_group, STEP_WHOLE},
    {"certificates", NULL, certify_group, STEP_WHOLE},
    {"heard", NULL, hear_group, STEP_WHOLE},
    {"push", load_opinions, push_a, STEP_WHOLE},
    {"attachment offered", NULL, offer_group, STEP_WHOLE},
    {"attachment lost", NULL, lose_group, STEP_WHOLE},
    {"attachment held", NULL, hold_group, STEP_WHOLE},
    {"push conflicts", load_late, push_b, STEP_WHOLE},
    {"refusals", NULL, acknowledge_group, STEP_WHOLE},
    {"push of lost roles", load_demoted, push_b, STEP_WHOLE},
    {"successor", NULL, succeed_group, STEP_WHOLE},
    {"successor lost", NULL, give_up_group, STEP_WHOLE},
    {"push of a retired one", load_retired, push_b, STEP_WHOLE},
    {"release", NULL, release_group, STEP_WHOLE},
    {"drop", NULL, drop_group, STEP_WHOLE},
    {"acts of the city", NULL, city_acts_group, STEP_WHOLE},
    {"repair noted", NULL, note_repair_group, STEP_WHOLE},
    {"bundle", NULL, bundle_group, STEP_WHOLE},
    {"slices", NULL, read_slices, STEP_WHOLE},
    {"tell", NULL, tell, STEP_WHOLE},
    {"verify", NULL, verify, STEP_LONG},
    {"rebuild", NULL, rebuild, STEP_LONG},
};

static const struct step restored[] = {
    {"restart", NULL, restart_group, STEP_WHOLE},
    {"close", NULL, close_recovery_group, STEP_WHOLE},
    {"stand", put_back, stand_group, STEP_DAMAGES},
    {"refill", NULL, refill_group, STEP_DAMAGES},
};

static const struct step late[] = {
    {"restart", NULL, restart_group, STEP_WHOLE},
    {"late refill", put_back_and_close, refill_group, STEP_DAMAGES},
    {"push afterwards", load_more, push_a, STEP_DAMAGES},
};

#define STORY(story) story, sizeof story / sizeof *story

static void sweep_all(enum fault fault)
{
    stores_sweep(STORY(daily), fault);
    stores_sweep(STORY(restored), fault);
    stores_sweep(STORY(late), fault);
}

static void test_io_sweep_city__statements(void **state)
{
    (void)state;
    sweep_all(FAULT_SQL);
}

static void test_io_sweep_city__io_errors(void **state)
{
    (void)state;
    sweep_all(FAULT_IO);
}

static void test_io_sweep_city__full_disk(void **state)
{
    (void)state;
    sweep_all(FAULT_FULL);
}

static void test_io_sweep_city__memory(void **state)
{
    (void)state;
    sweep_all(FAULT_MEMORY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_io_sweep_city__statements),
        cmocka_unit_test(test_io_sweep_city__io_errors),
        cmocka_unit_test(test_io_sweep_city__full_disk),
        cmocka_unit_test(test_io_sweep_city__memory),
    };

    return disk_vfs_register() != 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
