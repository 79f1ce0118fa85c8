/* A city put back from a copy: what it takes back, what it does not, and where others stand to it. */
#include "server/store/city_recover.h"

#include "common/crypto/hash.h"
#include "common/ledger/store.h"
#include "tests/lib/toy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define SITE 431021u
#define NOW  1770000000000u
#define MAX  16

struct fixture {
    char dir[64], live[96], copy[96];
    struct city *city, *back; /* as it went on; as it was restored */
    struct id replica;
    struct arena a;
    struct refilled entries[MAX];
    uint64_t from, n;
    struct slice head, signature;
    struct err err;
};

static struct city_options options(void)
{
    return (struct city_options){.hasher = hasher_of(HASH_SM3),
                                 .random = random_system(),
                                 .signer = toy_signer(),
                                 .verifier = toy_verifier(),
                                 .now = NOW};
}

static int issue(void *ctx, uint32_t site, char serial[48], uint8_t fingerprint[HASH_SIZE])
{
    (void)ctx;
    (void)site;
    strcpy(serial, "01");
    memset(fingerprint, 7, HASH_SIZE);
    return 0;
}

static int make_account(struct city *c, const char *login, struct err *err)
{
    const struct kind *kind = catalogue_kind_named("user_account");
    struct field_change fields[] = {
        {.tag = kind_field_named(kind, "login")->tag, .form = FORM_SET, .v = value_str(login)},
        {.tag = kind_field_named(kind, "name")->tag, .form = FORM_SET, .v = value_str("某人")},
        {.tag = kind_field_named(kind, "role")->tag,
         .form = FORM_SET,
         .v = {.type = V_SET, .s = slice_str("county_clerk")}},
        {.tag = kind_field_named(kind, "active")->tag, .form = FORM_SET, .v = value_int(1)},
    };
    struct change change = {.op = OP_CREATE,
                            .kind = kind->tag,
                            .stream = SITE,
                            .seen = UINT64_MAX >> 1,
                            .fields = fields,
                            .n_fields = sizeof fields / sizeof *fields};
    struct act act = {.changes = &change,
                      .n = 1,
                      .actor = {.is_system = true, .side = SIDE_CITY, .site = SITE_CITY}};
    int ret = city_begin(c, NOW, err);

    if (ret == 0)
        ret = city_act(c, &act, err);
    if (ret == 0)
        return city_commit(c, err);
    city_rollback(c);
    return ret;
}

static int keep(void *ctx, const struct entry *e)
{
    struct fixture *f = ctx;

    assert_true(f->n < MAX);
    f->entries[f->n++] = (struct refilled){
        .received_at = e->received_at,
        .verdict = {arena_dup(&f->a, e->verdict.p, e->verdict.len), e->verdict.len},
        .bytes = {arena_dup(&f->a, e->bytes.p, e->bytes.len), e->bytes.len},
        .side = {arena_dup(&f->a, e->side.p, e->side.len), e->side.len}};
    return 0;
}

static void enrol(struct fixture *f)
{
    uint8_t secret[HASH_SIZE] = {1};
    uint32_t site, k;
    struct id clerk;

    f->replica = (struct id){{9}};
    assert_int_equal(city_begin(f->city, NOW, &f->err), 0);
    assert_int_equal(city_token_add(f->city, SITE, secret, NOW + 1000, &f->err), 0);
    assert_int_equal(city_enrol(f->city, secret, &f->replica, issue, NULL, &site, &k, &clerk, &f->err), 0);
    assert_int_equal(city_commit(f->city, &f->err), 0);
}

static uint64_t seq_of(struct city *c)
{
    struct slice head, signature;
    uint64_t seq;

    assert_int_equal(city_head(c, SITE, &head, &signature, &seq), 0);
    return seq;
}

/* A replica and a copy; then two accounts more, whose entries the copy lacks. The copy lives anew. */
static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct city_options o = options();
    uint64_t seq;

    strcpy(f->dir, "/tmp/test_recover_XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    (void)snprintf(f->live, sizeof f->live, "%s/live", f->dir);
    (void)snprintf(f->copy, sizeof f->copy, "%s/copy", f->dir);
    arena_init(&f->a, 1u << 20);
    assert_int_equal(city_create(f->live, &o, "第五届", &f->err), 0);
    assert_int_equal(city_open(f->live, &o, &f->city, &f->err), 0);
    enrol(f);
    assert_int_equal(store_copy(f->live, f->copy, &f->err), 0);
    f->from = seq_of(f->city) + 1;
    assert_int_equal(make_account(f->city, "one", &f->err), 0);
    assert_int_equal(make_account(f->city, "two", &f->err), 0);
    assert_int_equal(store_entry_each(city_store(f->city), SITE, f->from, keep, f, &f->err), 0);
    assert_int_equal(city_head(f->city, SITE, &f->head, &f->signature, &seq), 0);
    assert_int_equal(city_open(f->copy, &o, &f->back, &f->err), 0);
    assert_int_equal(city_begin(f->back, NOW, &f->err), 0);
    assert_int_equal(city_restart(f->back, "试", &f->err), 0);
    assert_int_equal(city_commit(f->back, &f->err), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    static const char *const ends[] = {"live", "live-wal", "live-shm", "copy", "copy-wal", "copy-shm"};
    struct fixture *f = *state;
    char path[128];

    city_close(f->city);
    city_close(f->back);
    arena_release(&f->a);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", f->dir, ends[i]);
        (void)unlink(path);
    }
    (void)rmdir(f->dir);
    free(f);
    return 0;
}

static int hand_back(struct fixture *f, struct slice head, struct slice signature, uint64_t *ret_n)
{
    int word = 0;

    assert_int_equal(city_begin(f->back, NOW, &f->err), 0);
    assert_int_equal(city_refill_put(f->back, &f->replica, SITE, f->from, f->entries, f->n, &f->err), 0);
    assert_int_equal(city_refill_take(f->back, &f->replica, SITE, f->from, head, signature, ret_n,
                                      &word, &f->err), 0);
    assert_int_equal(city_commit(f->back, &f->err), 0);
    return word;
}

static void close_recovery(struct fixture *f)
{
    assert_int_equal(city_begin(f->back, NOW, &f->err), 0);
    assert_int_equal(city_recover_close(f->back, "wang", &f->err), 0);
    assert_int_equal(city_commit(f->back, &f->err), 0);
}

/* Entries under a signed head stand where they stood, and the tables say the same. Twice is once. */
static void test_recover__refill(void **state)
{
    struct fixture *f = *state;
    uint8_t a[HASH_SIZE], b[HASH_SIZE];
    uint64_t n;

    assert_int_equal(hand_back(f, f->head, f->signature, &n), 0);
    assert_int_equal(n, f->n);
    assert_int_equal(seq_of(f->back), seq_of(f->city));
    assert_int_equal(hand_back(f, f->head, f->signature, &n), 0);
    assert_int_equal(n, 0);
    assert_int_equal(store_projection_digest(city_store(f->city), hasher_of(HASH_SM3), a, &f->err), 0);
    assert_int_equal(store_projection_digest(city_store(f->back), hasher_of(HASH_SM3), b, &f->err), 0);
    assert_memory_equal(a, b, HASH_SIZE);
    assert_int_equal(city_verify(f->back, &f->err), 0);
}

/* An invented entry with a chain of its own: the city never signed where it leads. */
static void test_recover__forged(void **state)
{
    struct fixture *f = *state;
    uint8_t forged_head[256];
    struct slice head = {forged_head, f->head.len};
    struct city_recovery r;
    uint64_t n, seq = seq_of(f->back);

    memcpy(forged_head, f->head.p, f->head.len);
    forged_head[f->head.len - 20] ^= 1; /* within the hash */
    assert_int_equal(hand_back(f, head, f->signature, &n), E_AUTH);
    f->entries[f->n - 1].received_at++; /* decodes, and another chain */
    assert_int_equal(hand_back(f, f->head, f->signature, &n), E_AUTH);
    f->entries[f->n - 1].received_at--;
    f->entries[0].bytes.len--; /* does not decode */
    assert_true(hand_back(f, f->head, f->signature, &n) < 0);
    assert_int_equal(n, 0);
    assert_int_equal(seq_of(f->back), seq);
    assert_int_equal(city_recovery(f->back, &r, &f->err), 0);
    assert_int_equal(r.refused, 3);
    assert_true(r.refused_text[0] != '\0');
    assert_int_equal(city_verify(f->back, &f->err), 0);
}

/* No seq is assigned before the close; afterwards they go on. */
static void test_recover__frozen(void **state)
{
    struct fixture *f = *state;
    uint64_t seq = seq_of(f->back);

    assert_int_equal(make_account(f->back, "three", &f->err), E_RECOVERING);
    assert_int_equal(seq_of(f->back), seq);
    close_recovery(f);
    assert_int_equal(make_account(f->back, "three", &f->err), 0);
    assert_int_equal(seq_of(f->back), seq + 1);
}

/* A bare claim stops nobody; an older life hands back, and goes back once the recovery is closed. */
static void test_recover__where_others_stand(void **state)
{
    struct fixture *f = *state;
    struct city_cursor at = {.stream = SITE, .seq = seq_of(f->city), .head = f->head,
                             .signature = f->signature};
    struct city_stand stand;
    uint64_t end = seq_of(f->back);

    at.incarnation = city_incarnation(f->city);
    assert_int_equal(city_stand(f->back, &at, &stand, &f->err), 0);
    assert_int_equal(stand.place, PLACE_OTHER_LIFE);
    assert_false(stand.back);
    assert_int_equal(stand.ask_from, end + 1);
    assert_int_equal(stand.ask_upto, at.seq);
    at.log_from = end + 1;
    assert_int_equal(city_stand(f->back, &at, &stand, &f->err), 0);
    assert_int_equal(stand.ask_upto, at.seq);
    at.log_from = end + 2; /* its log has a hole */
    assert_int_equal(city_stand(f->back, &at, &stand, &f->err), 0);
    assert_true(stand.ask_from > stand.ask_upto);
    assert_int_equal(stand.shown, at.seq);
    at.log_from = 0;
    at.incarnation = city_incarnation(f->back);
    assert_int_equal(city_stand(f->back, &at, &stand, &f->err), 0);
    assert_int_equal(stand.place, PLACE_AHEAD);
    assert_int_equal(city_head(f->back, SITE, &at.head, &at.signature, &at.seq), 0);
    assert_int_equal(city_stand(f->back, &at, &stand, &f->err), 0);
    assert_int_equal(stand.shown, end); /* its own word, and no more than it has */
    at = (struct city_cursor){.stream = SITE, .seq = f->from + f->n - 1, .head = f->head,
                              .signature = f->signature};

    close_recovery(f);
    at.incarnation = city_incarnation(f->city);
    assert_int_equal(city_stand(f->back, &at, &stand, &f->err), 0);
    assert_int_equal(stand.place, PLACE_OTHER_LIFE); /* it brings late entries, and freezes nothing */
    assert_true(stand.back);
    assert_int_equal(stand.back_to, end);
}

/* The same life, further than the store: the store was put back behind its back. */
static void test_recover__proof_freezes(void **state)
{
    struct fixture *f = *state;
    struct city_cursor at = {.stream = SITE, .seq = f->from, .incarnation = city_incarnation(f->city),
                             .head = f->head, .signature = f->signature};
    struct city_options o = options();
    struct city_stand stand;
    struct city *old;
    char path[128];

    (void)snprintf(path, sizeof path, "%s/old", f->dir);
    assert_int_equal(store_copy(f->live, path, &f->err), 0);
    assert_int_equal(make_account(f->city, "more", &f->err), 0);
    assert_int_equal(city_head(f->city, SITE, &at.head, &at.signature, &at.seq), 0);
    assert_int_equal(city_open(path, &o, &old, &f->err), 0);
    assert_int_equal(city_stand(old, &at, &stand, &f->err), 0);
    assert_int_equal(stand.place, PLACE_FREEZES);
    at.signature.len--; /* nobody's word */
    assert_int_equal(city_stand(old, &at, &stand, &f->err), 0);
    assert_int_equal(stand.place, PLACE_AHEAD);
    city_close(old);
    (void)unlink(path);
}

/* ---- what a replica says of its answers ---- */

static int adopt(struct fixture *f, uint64_t acked_n, const uint8_t chain[HASH_SIZE])
{
    int ret;

    assert_int_equal(city_begin(f->back, NOW, &f->err), 0);
    ret = city_adopt(f->back, &f->replica, acked_n, chain, &f->err);
    if (ret == 0)
        assert_int_equal(city_commit(f->back, &f->err), 0);
    else
        city_rollback(f->back);
    return ret;
}

static struct replica_row replica_of(struct fixture *f)
{
    struct replica_row r;

    assert_int_equal(city_replica_get(f->back, &f->replica, &r, &f->err), 0);
    return r;
}

/* Its word for what it was answered is taken, with its chain at that place and none below; a smaller word later
 * takes nothing back. */
static void test_recover__adopts_answers(void **state)
{
    struct fixture *f = *state;
    uint8_t chain[HASH_SIZE], is[HASH_SIZE];

    memset(chain, 5, sizeof chain);
    assert_int_equal(adopt(f, 7, chain), 0);
    assert_int_equal(replica_of(f).accepted_n, 7);
    assert_int_equal(city_replica_chain(f->back, &f->replica, 7, is, &f->err), 0);
    assert_memory_equal(is, chain, HASH_SIZE);
    assert_int_equal(city_replica_chain(f->back, &f->replica, 6, is, &f->err), E_NOTFOUND);
    chain[0]++;
    assert_int_equal(adopt(f, 6, chain), 0);
    assert_int_equal(replica_of(f).accepted_n, 7);
    assert_int_not_equal(memcmp(replica_of(f).own_chain, chain, HASH_SIZE), 0);
}

/* A number that nobody can have been answered fills no store, and reaches no other replica's rows. */
static void test_recover__adopts_no_endless_answers(void **state)
{
    struct fixture *f = *state;
    uint8_t chain[HASH_SIZE] = {5};

    assert_int_equal(adopt(f, UINT64_MAX, chain), E_PROTOCOL);
    assert_int_equal(adopt(f, CITY_ADOPT_MAX + 1, chain), E_PROTOCOL);
    assert_true(f->err.text[0] != '\0');
    assert_int_equal(replica_of(f).accepted_n, 0);
    assert_int_equal(adopt(f, CITY_ADOPT_MAX, chain), 0);
    assert_int_equal(replica_of(f).accepted_n, CITY_ADOPT_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_recover__refill, setup, teardown),
        cmocka_unit_test_setup_teardown(test_recover__forged, setup, teardown),
        cmocka_unit_test_setup_teardown(test_recover__frozen, setup, teardown),
        cmocka_unit_test_setup_teardown(test_recover__where_others_stand, setup, teardown),
        cmocka_unit_test_setup_teardown(test_recover__proof_freezes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_recover__adopts_answers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_recover__adopts_no_endless_answers, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
