/* A city put back from a copy: what it takes back, what it does not, and where others stand to it. */
#include "server/store/city_recover.h"

#include "common/crypto/hash.h"
#include "common/ledger/change.h"
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
#include <sqlite3.h>

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

/* ---- heads and entries that do not fit ---- */

/* H as the city signs it, in F's memory. */
static void sign(struct fixture *f, const struct head *h, struct slice *ret_head, struct slice *ret_signature)
{
    struct signer signer = toy_signer();
    struct buf bytes, message, signature;

    buf_init(&bytes, 4096);
    buf_init(&message, 4096);
    buf_init(&signature, 4096);
    head_encode(&bytes, h);
    head_to_sign(&message, h);
    assert_int_equal(signer.sign(signer.ctx, buf_slice(&message), &signature), 0);
    *ret_head = (struct slice){arena_dup(&f->a, bytes.p, bytes.len), bytes.len};
    *ret_signature = (struct slice){arena_dup(&f->a, signature.p, signature.len), signature.len};
    buf_release(&bytes);
    buf_release(&message);
    buf_release(&signature);
}

static struct head head_of(struct fixture *f)
{
    struct head h;

    assert_int_equal(head_decode(f->head, &h), 0);
    return h;
}

/* N entries from INDEX on kept aside as of SEQ of STREAM; taken from FROM up to HEAD: the word. */
static int refill(struct fixture *f, size_t index, size_t n, uint32_t stream, uint64_t seq, uint64_t from,
                  const struct head *h)
{
    struct slice head, signature;
    uint64_t taken = 1;
    int word = 0;

    sign(f, h, &head, &signature);
    assert_int_equal(city_begin(f->back, NOW, &f->err), 0);
    assert_int_equal(city_refill_put(f->back, &f->replica, stream, seq, f->entries + index, n, &f->err), 0);
    assert_int_equal(city_refill_take(f->back, &f->replica, stream, from, head, signature, &taken, &word, &f->err), 0);
    assert_int_equal(city_commit(f->back, &f->err), 0);
    assert_true(word == 0 || taken == 0);
    return word;
}

static uint64_t refused(struct fixture *f)
{
    struct city_recovery r;

    assert_int_equal(city_recovery(f->back, &r, &f->err), 0);
    return r.refused;
}

/* A head of another stream or ledger, or none at all, well signed as it may be, proves nothing of this one. */
static void test_recover__heads_of_something_else(void **state)
{
    struct fixture *f = *state;
    uint64_t before = seq_of(f->back), n;
    struct head h = head_of(f);

    h.stream = 431081;
    assert_int_equal(refill(f, 0, f->n, SITE, f->from, f->from, &h), E_AUTH);
    h = head_of(f);
    h.ledger.b[0] ^= 1;
    assert_int_equal(refill(f, 0, f->n, SITE, f->from, f->from, &h), E_AUTH);
    assert_int_equal(hand_back(f, slice_str("no head"), f->signature, &n), E_AUTH);
    assert_int_equal(refused(f), 3);
    assert_int_equal(seq_of(f->back), before);
    h = head_of(f);
    assert_int_equal(refill(f, 0, f->n, SITE, f->from, f->from, &h), 0);
    assert_int_equal(seq_of(f->back), seq_of(f->city));
}

/* One missing before, between or behind, one of another stream, or a beginning that is not here: nothing of it. */
static void test_recover__entries_with_a_gap(void **state)
{
    struct fixture *f = *state;
    uint64_t before = seq_of(f->back);
    struct head h = head_of(f), other = h;

    assert_int_equal(refill(f, 1, f->n - 1, SITE, f->from + 1, f->from, &h), E_CORRUPT);
    assert_int_equal(refill(f, 0, f->n - 1, SITE, f->from, f->from, &h), E_AUTH);
    assert_int_equal(refill(f, 1, f->n - 1, SITE, f->from + 1, f->from + 1, &h), E_NOTFOUND);
    other.stream = 431081;
    other.seq = f->n;
    assert_int_equal(refill(f, 0, f->n, 431081, 1, 1, &other), E_CORRUPT);
    assert_int_equal(refused(f), 4);
    assert_int_equal(seq_of(f->back), before);
    assert_int_equal(refill(f, 0, f->n, SITE, f->from, f->from, &h), 0);
    assert_int_equal(city_verify(f->back, &f->err), 0);
}

/* Two lives that are over may have gone different ways: what contradicts the entries that are back already is
 * refused like a forgery, and told the city's people. */
static void test_recover__another_life_was_faster(void **state)
{
    struct fixture *f = *state;
    const struct hasher *hasher = city_hasher(f->city);
    struct refilled *last = &f->entries[f->n - 1];
    uint8_t bytes_hash[HASH_SIZE], before[HASH_SIZE], after[HASH_SIZE];
    struct head h = head_of(f);
    struct entry e;
    uint64_t n;

    assert_int_equal(hand_back(f, f->head, f->signature, &n), 0);
    assert_int_equal(store_projection_digest(city_store(f->back), hasher, before, &f->err), 0);
    assert_int_equal(store_entry_get(city_store(f->city), SITE, h.seq - 1, &f->a, &e, &f->err), 0);
    last->received_at++;
    change_hash(hasher, last->bytes, bytes_hash);
    chain_next(hasher, e.hash, h.seq, last->received_at, last->verdict, bytes_hash, h.hash);
    assert_int_equal(refill(f, 0, f->n, SITE, f->from, f->from, &h), E_CORRUPT);
    assert_int_equal(refused(f), 1);
    assert_int_equal(store_projection_digest(city_store(f->back), hasher, after, &f->err), 0);
    assert_memory_equal(before, after, HASH_SIZE);
    assert_int_equal(city_verify(f->back, &f->err), 0);
}

/* ---- cursors ---- */

/* Below the end of a life that is over the hash tells. Where it differs nothing certain is shared, and who stands
 * there goes back to the beginning, once the recovery is closed. */
static void test_recover__below_the_end(void **state)
{
    struct fixture *f = *state;
    struct city_cursor at = {.stream = SITE, .seq = f->from - 1, .incarnation = city_incarnation(f->city)};
    struct city_stand stand;
    struct entry e;

    assert_int_equal(store_entry_get(city_store(f->city), SITE, at.seq, &f->a, &e, &f->err), 0);
    memcpy(at.hash, e.hash, HASH_SIZE);
    for (int closed = 0; closed < 2; closed++) {
        assert_int_equal(city_stand(f->back, &at, &stand, &f->err), 0);
        assert_int_equal(stand.place, PLACE_SAME);
        assert_false(stand.back);
        at.hash[0] ^= 1;
        assert_int_equal(city_stand(f->back, &at, &stand, &f->err), 0);
        assert_int_equal(stand.place, PLACE_OTHER_LIFE);
        assert_int_equal(stand.back, closed);
        assert_int_equal(stand.back_to, 0);
        at.hash[0] ^= 1;
        if (!closed)
            close_recovery(f);
    }
    at.stream = 999999;
    assert_int_equal(city_stand(f->back, &at, &stand, &f->err), E_DENIED);
}

/* A place whose entry is gone from the log is not judged by what is left. */
static void test_recover__place_without_an_entry(void **state)
{
    struct fixture *f = *state;
    struct city_cursor at = {.stream = SITE, .seq = f->from - 1, .incarnation = city_incarnation(f->city)};
    struct city_stand stand;

    assert_int_equal(sqlite3_exec(store_db(city_store(f->back)), "DELETE FROM log WHERE pos >> 40 = 431021",
                                  NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(city_stand(f->back, &at, &stand, &f->err), E_NOTFOUND);
    at.incarnation = city_incarnation(f->back);
    assert_int_equal(city_stand(f->back, &at, &stand, &f->err), E_NOTFOUND);
}

/* Without the city's key nobody's head is believed, its own neither. */
static void test_recover__no_key(void **state)
{
    struct fixture *f = *state;
    struct city_options o = options();
    struct city_cursor at = {.stream = SITE, .seq = seq_of(f->city), .incarnation = city_incarnation(f->city),
                             .head = f->head, .signature = f->signature};
    struct city_stand stand;
    struct city *blind;

    o.verifier = (struct verifier){.verify = NULL};
    assert_int_equal(city_open(f->copy, &o, &blind, &f->err), 0);
    assert_int_equal(city_stand(blind, &at, &stand, &f->err), 0);
    assert_int_equal(stand.shown, 0);
    assert_true(stand.ask_from > stand.ask_upto);
    city_close(blind);
}

/* ---- the file of heads ---- */

static int see_filed(void *ctx, const struct recover_stream *s)
{
    if (s->stream == SITE)
        *(struct recover_stream *)ctx = *s;
    return 0;
}

/* The file beside the store keeps what the life before had reached while that is looked at, and follows the store
 * again afterwards. A store that is older than it says is noticed. */
static void test_recover__heads_file(void **state)
{
    struct fixture *f = *state;
    struct city_options o = options();
    struct recover_stream at = {.seq = 0};
    uint64_t reached = seq_of(f->city), end;
    struct city *city;
    char old[128], heads[128];

    (void)snprintf(old, sizeof old, "%s/old", f->dir);
    (void)snprintf(heads, sizeof heads, "%s/heads", f->dir);
    assert_int_equal(store_copy(f->copy, old, &f->err), 0); /* it recovers */
    o.heads = heads;
    assert_int_equal(city_open(f->live, &o, &city, &f->err), 0);
    assert_false(city_is_behind(city, &f->err)); /* nothing is filed yet */
    assert_int_equal(make_account(city, "three", &f->err), 0);
    reached++;
    assert_false(city_is_behind(city, &f->err));
    city_close(city);

    assert_int_equal(city_open(old, &o, &city, &f->err), 0);
    end = seq_of(city);
    assert_false(city_is_behind(city, &f->err)); /* known, and being mended */
    assert_int_equal(city_begin(city, NOW, &f->err), 0);
    assert_int_equal(city_restart(city, "又试", &f->err), 0);
    assert_int_equal(city_commit(city, &f->err), 0);
    assert_int_equal(city_recover_streams(city, see_filed, &at, &f->err), 0);
    assert_true(at.seq == end && at.filed == reached);
    assert_int_equal(city_begin(city, NOW, &f->err), 0);
    assert_int_equal(city_recover_close(city, "wang", &f->err), 0);
    assert_int_equal(city_recover_close(city, "wang", &f->err), E_STATE);
    assert_int_equal(city_commit(city, &f->err), 0);
    assert_int_equal(city_recover_streams(city, see_filed, &at, &f->err), 0);
    assert_int_equal(at.filed, end);
    city_close(city);

    assert_int_equal(city_open(f->live, &o, &city, &f->err), 0);
    assert_int_equal(make_account(city, "four", &f->err), 0);
    city_close(city);
    assert_int_equal(city_open(old, &o, &city, &f->err), 0);
    assert_true(city_is_behind(city, &f->err));
    assert_int_equal(f->err.ret, E_RECOVERING);
    assert_non_null(strstr(f->err.text, "431021"));
    city_close(city);
    (void)unlink(old);
    (void)unlink(heads);
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
        cmocka_unit_test_setup_teardown(test_recover__heads_of_something_else, setup, teardown),
        cmocka_unit_test_setup_teardown(test_recover__entries_with_a_gap, setup, teardown),
        cmocka_unit_test_setup_teardown(test_recover__another_life_was_faster, setup, teardown),
        cmocka_unit_test_setup_teardown(test_recover__below_the_end, setup, teardown),
        cmocka_unit_test_setup_teardown(test_recover__place_without_an_entry, setup, teardown),
        cmocka_unit_test_setup_teardown(test_recover__no_key, setup, teardown),
        cmocka_unit_test_setup_teardown(test_recover__heads_file, setup, teardown),
        cmocka_unit_test_setup_teardown(test_recover__adopts_answers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_recover__adopts_no_endless_answers, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
