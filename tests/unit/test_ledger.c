/* The byte formats, frozen by golden vectors, and merging and applying on them. */
#include "common/base/err.h"
#include "common/base/hex.h"
#include "common/crypto/hash.h"
#include "common/ledger/apply.h"
#include "common/ledger/digest.h"
#include "common/ledger/head.h"
#include "common/ledger/merge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* Computed from the formats in docs/ledger.md by another program. */
#define GOLDEN_CHANGE \
    "011111111111111111111111111111111107ada71a000180c8e2e1c133222222" \
    "2222222222222222222222222205011633333333333333333333333333333333" \
    "0109636f6c6c6563746564040501000205766973697407010001050c03000c6b" \
    "ed809558a39bad080afdedcfbde8544881f669bf430e1d85b545e562d393e907" \
    "01000206343331303231"
#define GOLDEN_SIDE \
    "0c01444444444444444444444444444444440206e8b7afe781af"
#define GOLDEN_SM3_START \
    "7d16aa8490d02b5efbb0727b3c65bc2f2a83816bf5d5d32270b44c1e46100716"
#define GOLDEN_SM3_FIRST \
    "3adc2bfd7220766da55bcd7fd70e8175b0ab3475f25287303613831ff202c4f9"
#define GOLDEN_SHA_START \
    "d104754a981909f300998f0b4cea0873f397dc15f288a9ff078a9285511098ec"
#define GOLDEN_SHA_FIRST \
    "b3f682926266b7a9196c1fbc4908b260f161c50540ce8f8d382ac70d82e3a4ab"
#define GOLDEN_OWN \
    "e1d3ad3757f3a06824b5867e01f42463dca577bbc3bfdee801d3bcca9b36b418"

/* ---- fixture ---- */

struct fixture {
    struct arena a;
    struct buf out;
};

static int set_up(void **state)
{
    static struct fixture f;

    arena_init(&f.a, 1u << 20);
    buf_init(&f.out, 1u << 20);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    arena_release(&f->a);
    buf_release(&f->out);
    return 0;
}

/* ---- helpers ---- */

static struct id id_of(uint8_t byte)
{
    struct id id;

    memset(id.b, byte, ID_SIZE);
    return id;
}

static void assert_hex(struct slice s, const char *expected)
{
    char text[4096];

    assert_true(s.len * 2 < sizeof text);
    hex_encode(s.p, s.len, text);
    assert_string_equal(text, expected);
}

static uint32_t tag_of(const char *kind, const char *field)
{
    return kind_field_named(catalogue_kind_named(kind), field)->tag;
}

/* An opinion's creation with one open field, one number, one set and one salted text. */
static struct change sample(struct field_change fields[4])
{
    struct change c = {.replica = id_of(0x11),
                       .n = 7,
                       .stream = 431021,
                       .act_len = 1,
                       .made_at = 1770000000000,
                       .actor = id_of(0x22),
                       .seen = 5,
                       .catalogue = 1,
                       .kind = 22,
                       .record = id_of(0x33),
                       .op = OP_CREATE,
                       .to = slice_str("collected"),
                       .fields = fields,
                       .n_fields = 4};

    memset(fields, 0, 4 * sizeof *fields);
    fields[0] = (struct field_change){.tag = 5, .form = FORM_SET, .v = value_str("visit")};
    fields[1] = (struct field_change){.tag = 7, .form = FORM_SET, .v = value_int(-3)};
    fields[2] = (struct field_change){.tag = 12, .form = FORM_HASHED, .v = value_str("路灯")};
    memset(fields[2].salt, 0x44, SALT_SIZE);
    change_commit_value(hasher_of(HASH_SM3), fields[2].salt, &fields[2].v, fields[2].hash);
    fields[3] = (struct field_change){.tag = 1001, .form = FORM_SET, .v = value_str("431021")};
    return c;
}

/* ---- bytes ---- */

/* The author's bytes of a change are these, for ever. */
static void test_change__golden(void **state)
{
    struct fixture *f = *state;
    struct field_change fields[4];
    struct change c = sample(fields);

    change_encode(&f->out, &c);
    assert_hex(buf_slice(&f->out), GOLDEN_CHANGE);
    buf_clear(&f->out);
    change_encode_side(&f->out, &c);
    assert_hex(buf_slice(&f->out), GOLDEN_SIDE);
    buf_clear(&f->out);
}

/* What was encoded decodes to the same, and encodes to the same bytes again. */
static void test_change__round_trip(void **state)
{
    struct fixture *f = *state;
    struct field_change fields[4];
    struct change c = sample(fields);
    struct change back;
    struct buf side, again;

    buf_init(&side, 4096);
    buf_init(&again, 4096);
    change_encode(&f->out, &c);
    change_encode_side(&side, &c);
    assert_int_equal(change_decode(&f->a, buf_slice(&f->out), buf_slice(&side), &back), 0);
    assert_int_equal(change_check_side(hasher_of(HASH_SM3), &back), 0);
    assert_true(value_eq(&back.fields[2].v, &fields[2].v));
    change_encode(&again, &back);
    assert_true(slice_eq(buf_slice(&again), buf_slice(&f->out)));
    buf_release(&side);
    buf_release(&again);
    buf_clear(&f->out);
}

/* Every cut is refused, and every single changed byte is refused or decodes to other bytes' meaning
 * that encodes to exactly those bytes: one change has one form. */
static void test_change__only_canonical(void **state)
{
    struct fixture *f = *state;
    struct field_change fields[4];
    struct change c = sample(fields);
    struct change back;
    struct buf again;

    change_encode(&f->out, &c);
    for (size_t len = 0; len < f->out.len; len++)
        assert_int_equal(
            change_decode(&f->a, (struct slice){f->out.p, len}, (struct slice){NULL, 0}, &back),
            E_MALFORMED);
    for (size_t i = 0; i < f->out.len * 8; i++) {
        arena_clear(&f->a);
        f->out.p[i / 8] ^= (uint8_t)(1u << i % 8);
        if (change_decode(&f->a, buf_slice(&f->out), (struct slice){NULL, 0}, &back) == 0) {
            buf_init(&again, 4096);
            change_encode(&again, &back);
            assert_true(slice_eq(buf_slice(&again), buf_slice(&f->out)));
            buf_release(&again);
        }
        f->out.p[i / 8] ^= (uint8_t)(1u << i % 8);
    }
    fields[1].tag = fields[0].tag;
    buf_clear(&f->out);
    change_encode(&f->out, &c);
    assert_int_equal(change_decode(&f->a, buf_slice(&f->out), (struct slice){NULL, 0}, &back),
                     E_MALFORMED);
    buf_clear(&f->out);
}

/* A state becomes a text of the record: what is not text is refused with the change. */
static void test_change__state_is_text(void **state)
{
    struct fixture *f = *state;
    static const char *const bad[] = {"\xff", "\xe8\xb7", "a\xc0\x80"};
    struct change c = {.n = 1, .act_len = 1, .kind = 22, .op = OP_TRANSITION};
    struct change back;

    for (size_t i = 0; i < 2 * sizeof bad / sizeof *bad; i++) {
        c.from = slice_str(i % 2 == 0 ? bad[i / 2] : "sorted");
        c.to = slice_str(i % 2 == 1 ? bad[i / 2] : "sorted");
        buf_clear(&f->out);
        change_encode(&f->out, &c);
        assert_int_equal(
            change_decode(&f->a, buf_slice(&f->out), (struct slice){NULL, 0}, &back), E_MALFORMED);
    }
    buf_clear(&f->out);
}

/* A value that is not what the author hashed is noticed. */
static void test_change__side_must_fit(void **state)
{
    struct fixture *f = *state;
    struct field_change fields[4];
    struct change c = sample(fields);
    struct change back;
    struct buf side;

    buf_init(&side, 4096);
    change_encode(&f->out, &c);
    fields[2].v = value_str("路灭");
    change_encode_side(&side, &c);
    assert_int_equal(change_decode(&f->a, buf_slice(&f->out), buf_slice(&side), &back), 0);
    assert_int_equal(change_check_side(hasher_of(HASH_SM3), &back), E_CORRUPT);
    assert_int_equal(change_decode(&f->a, buf_slice(&f->out), (struct slice){NULL, 0}, &back), 0);
    assert_int_equal(back.fields[2].v.type, V_ERASED);
    buf_release(&side);
    buf_clear(&f->out);
}

enum { SIDE_OPEN = 1, SIDE_SEALED = 2 }; /* docs/ledger.md */

/* A field's form, and what it holds; the sample's field 12 alone has something beside the bytes. */
static void put_side(struct buf *out, uint32_t tag, uint8_t form, const struct value *v)
{
    const uint8_t salt[SALT_SIZE] = {7};

    buf_varint(out, tag);
    buf_u8(out, form);
    if (form == SIDE_OPEN)
        buf_put(out, salt, SALT_SIZE);
    if (form == SIDE_SEALED)
        buf_varint(out, 4);
    if (form == SIDE_SEALED)
        buf_put(out, "seal", 4);
    else
        value_encode(out, v);
}

/* Beside the bytes stands the value, or its seal, of hashed fields only, each once, in order, whole. */
static void test_change__side_canonical(void **state)
{
    static const struct {
        uint32_t tag, again; /* 0: not again */
        uint8_t form;
        enum value_type type;
        int ret;
    } cases[] = {
        {12, 0, SIDE_OPEN, V_TEXT, 0},          {12, 0, SIDE_SEALED, V_TEXT, 0},
        {12, 0, SIDE_OPEN, V_NULL, 0},          {12, 0, SIDE_OPEN, V_SEALED, E_MALFORMED},
        {12, 0, SIDE_OPEN, V_ERASED, E_MALFORMED}, {12, 0, 9, V_TEXT, E_MALFORMED},
        {5, 0, SIDE_OPEN, V_TEXT, E_MALFORMED}, {99, 0, SIDE_OPEN, V_TEXT, E_MALFORMED},
        {12, 12, SIDE_OPEN, V_TEXT, E_MALFORMED},
    };
    struct fixture *f = *state;
    struct field_change fields[4];
    struct change c = sample(fields), back;
    struct buf side;

    buf_init(&side, 4096);
    buf_clear(&f->out);
    change_encode(&f->out, &c);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct value v = {.type = cases[i].type, .s = slice_str("路灯")};

        buf_clear(&side);
        put_side(&side, cases[i].tag, cases[i].form, &v);
        if (cases[i].again != 0)
            put_side(&side, cases[i].again, cases[i].form, &v);
        if (change_decode(&f->a, buf_slice(&f->out), buf_slice(&side), &back) != cases[i].ret)
            fail_msg("case %zu", i);
        for (size_t len = 1; cases[i].ret == 0 && len < side.len; len++)
            assert_int_equal(change_decode(&f->a, buf_slice(&f->out), (struct slice){side.p, len}, &back),
                             E_MALFORMED);
    }
    buf_release(&side);
    buf_clear(&f->out);
}

/* Numbers of every length, nothing, and texts of every length commit to themselves alone. */
static void test_change__commits_to_the_value(void **state)
{
    const struct hasher *h = hasher_of(HASH_SM3);
    static const int64_t numbers[] = {0, -1, 1, 63, 64, -64, -65, INT64_MAX, INT64_MIN};
    static uint8_t text[300];
    const uint8_t salt[SALT_SIZE] = {7};
    uint8_t seen[16][HASH_SIZE];
    struct value v = value_null();
    size_t n = 0;

    (void)state;
    change_commit_value(h, salt, &v, seen[n++]);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        v = value_int(numbers[i]);
        change_commit_value(h, salt, &v, seen[n++]);
    }
    for (size_t len = 0; len <= sizeof text; len += sizeof text / 2) {
        v = (struct value){.type = V_TEXT, .s = {text, len}};
        change_commit_value(h, salt, &v, seen[n++]);
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < i; k++)
            assert_memory_not_equal(seen[i], seen[k], HASH_SIZE);
    }
}

/* A change needs the catalogue that knows its kind and its fields, no newer one. */
static void test_change__needs_a_catalogue(void **state)
{
    struct field_change file = {.tag = TAG_HISTORIC_FILE, .form = FORM_SET};
    struct change c = {.kind = 22, .op = OP_CREATE, .fields = &file};

    (void)state;
    assert_int_equal(change_needs(&c), 1);
    c.n_fields = 1;
    assert_int_equal(change_needs(&c), 3);
    c.n_fields = 0;
    for (unsigned i = 0; i < catalogue_n_since; i++) {
        c.kind = catalogue_since[i].kind;
        if (catalogue_since[i].field == 0)
            assert_int_equal(change_needs(&c), catalogue_since[i].version);
    }
}

static void test_verdict__golden(void **state)
{
    struct fixture *f = *state;
    uint32_t withheld[] = {5, 300};
    struct derived derived[] = {{1003, value_str("submitted")}};
    struct verdict v = {.flags = VERDICT_MORE,
                        .shared_seq = 54,
                        .withheld = withheld,
                        .n_withheld = 2,
                        .derived = derived,
                        .n_derived = 1};
    struct verdict back;

    verdict_encode(&f->out, &v);
    assert_hex(buf_slice(&f->out), "0101360205ac0201eb0702097375626d6974746564");
    assert_int_equal(verdict_decode(&f->a, buf_slice(&f->out), &back), 0);
    assert_true(verdict_withholds(&back, 300));
    assert_false(verdict_withholds(&back, 6));
    for (size_t len = 0; len < f->out.len; len++)
        assert_int_equal(verdict_decode(&f->a, (struct slice){f->out.p, len}, &back), E_MALFORMED);
    withheld[1] = 5; /* a tag twice would be a second form of the same */
    buf_clear(&f->out);
    verdict_encode(&f->out, &v);
    assert_int_equal(verdict_decode(&f->a, buf_slice(&f->out), &back), E_MALFORMED);
    buf_clear(&f->out);
}

/* The chain's start and first link, in both algorithms. */
static void test_chain__golden(void **state)
{
    static const struct {
        enum hash_alg alg;
        const char *start, *first;
    } cases[] = {{HASH_SM3, GOLDEN_SM3_START, GOLDEN_SM3_FIRST},
                 {HASH_SHA256, GOLDEN_SHA_START, GOLDEN_SHA_FIRST}};
    struct id ledger = id_of(0x55);
    uint8_t hash[HASH_SIZE], bytes_hash[HASH_SIZE];

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        const struct hasher *h = hasher_of(cases[i].alg);

        chain_start(h, 431021, &ledger, hash);
        assert_hex((struct slice){hash, HASH_SIZE}, cases[i].start);
        change_hash(h, slice_str("author"), bytes_hash);
        chain_next(h, hash, 1, 1770000000000, slice_str("verdict"), bytes_hash, hash);
        assert_hex((struct slice){hash, HASH_SIZE}, cases[i].first);
    }
}

static void test_own_chain__golden(void **state)
{
    const struct hasher *h = hasher_of(HASH_SM3);
    struct id replica = id_of(0x11);
    uint8_t chain[HASH_SIZE], bytes_hash[HASH_SIZE];

    (void)state;
    own_chain_start(h, &replica, chain);
    change_hash(h, slice_str("author"), bytes_hash);
    own_chain_next(h, chain, bytes_hash);
    assert_hex((struct slice){chain, HASH_SIZE}, GOLDEN_OWN);
}

static void test_head__golden(void **state)
{
    struct fixture *f = *state;
    struct head h = {.ledger = id_of(0x55), .incarnation = id_of(0x66), .stream = 431021, .seq = 258};
    struct head back;

    memset(h.hash, 0x77, HASH_SIZE);
    head_to_sign(&f->out, &h);
    assert_hex(buf_slice(&f->out),
               "7a74632d686561642d31"
               "01"
               "55555555555555555555555555555555"
               "66666666666666666666666666666666"
               "000693ad"
               "0000000000000102"
               "7777777777777777777777777777777777777777777777777777777777777777"
               "00");
    buf_consume(&f->out, strlen(HEAD_SIGN_PREFIX));
    assert_int_equal(head_decode(buf_slice(&f->out), &back), 0);
    assert_true(back.seq == 258 && back.stream == 431021 && !back.has_root);
    for (size_t len = 0; len < f->out.len; len++)
        assert_int_equal(head_decode((struct slice){f->out.p, len}, &back), E_MALFORMED);
    f->out.p[f->out.len - 1] = 1; /* a root of one byte */
    buf_u8(&f->out, 0);
    assert_int_equal(head_decode(buf_slice(&f->out), &back), E_MALFORMED);
    buf_clear(&f->out);
}

/* ---- merging ---- */

struct history {
    uint64_t n, seq;
    bool withheld;
};

static uint64_t entry_of(void *ctx, uint64_t n, uint32_t tag, bool *ret_withheld)
{
    struct history *h = ctx;

    (void)tag;
    *ret_withheld = h->withheld;
    return n == h->n ? h->seq : 0;
}

/* A record created by entry 10 whose `handler_unit` was last written by entry LAST. */
static struct row *row_at(struct arena *a, uint64_t last)
{
    static const struct verdict nothing;
    const struct kind *kind = catalogue_kind_named("opinion");
    struct id id = id_of(0x33);
    struct row *row = row_new(a, kind, &id);
    struct field_change first = {
        .tag = tag_of("opinion", "handler_unit"), .form = FORM_SET, .v = value_str("住建局")};
    struct field_change then = first;
    struct change c = {.op = OP_CREATE,
                       .kind = kind->tag,
                       .stream = 431021,
                       .record = id,
                       .fields = &first,
                       .n_fields = 1};

    then.v = value_str("城管局");
    assert_int_equal(apply_entry(a, row, &c, &nothing, 10, true), 0);
    if (last > 10) {
        c.op = OP_SET;
        c.fields = &then;
        assert_int_equal(apply_entry(a, row, &c, &nothing, last, true), 0);
    }
    assert_int_equal(merge_field_seq(row, first.tag), last);
    return row;
}

static struct merge_result merged(struct arena *a, const struct row *row, uint64_t seen,
                                  uint64_t saw_n, const char *text, struct history *history)
{
    struct field_change f = {.tag = tag_of("opinion", "handler_unit"),
                             .form = FORM_SET,
                             .saw_n = saw_n,
                             .v = value_str(text)};
    struct change c = {.op = OP_SET, .seen = seen, .fields = &f, .n_fields = 1};
    struct merge_history h = {.entry_of = entry_of, .ctx = history};
    struct merge_result ret;

    assert_int_equal(merge_change(a, row, &c, &h, &ret, NULL), 0);
    return ret;
}

/* Who saw the standing value may overwrite it. */
static void test_merge__seen_applies(void **state)
{
    struct fixture *f = *state;
    struct history none = {0, 0, false};

    assert_int_equal(merged(&f->a, row_at(&f->a, 20), 20, 0, "水利局", &none).n_conflicts, 0);
}

/* Who did not gets a conflict that names what stands. */
static void test_merge__unseen_conflicts(void **state)
{
    struct fixture *f = *state;
    struct history none = {0, 0, false};
    struct merge_result r = merged(&f->a, row_at(&f->a, 20), 19, 0, "水利局", &none);

    assert_int_equal(r.n_conflicts, 1);
    assert_int_equal(r.n_withheld, 1);
    assert_int_equal(r.conflicts[0].stands_seq, 20);
    assert_int_equal(r.conflicts[0].base_seq, 19);
}

/* An equal value conflicts with nothing. */
static void test_merge__equal_is_silent(void **state)
{
    struct fixture *f = *state;
    struct history none = {0, 0, false};

    assert_int_equal(merged(&f->a, row_at(&f->a, 20), 3, 0, "城管局", &none).n_conflicts, 0);
}

/* An author who was shown his own pending value saw it become entry 20; one whose value was withheld, or
 * overwritten since, did not see what stands. */
static void test_merge__own_pending_was_seen(void **state)
{
    struct fixture *f = *state;
    struct history became = {4, 20, false};
    struct history withheld = {4, 20, true};
    struct history older = {4, 15, false};

    assert_int_equal(merged(&f->a, row_at(&f->a, 20), 3, 4, "水利局", &became).n_conflicts, 0);
    assert_int_equal(merged(&f->a, row_at(&f->a, 20), 3, 4, "水利局", &withheld).n_conflicts, 1);
    assert_int_equal(merged(&f->a, row_at(&f->a, 20), 3, 4, "水利局", &older).n_conflicts, 1);
}

/* A pending value hides the stream's: that the cursor had passed the standing value does not mean that
 * its author saw it. */
static void test_merge__pending_hides_the_stream(void **state)
{
    struct fixture *f = *state;
    struct history withheld = {4, 25, true};
    struct history became = {4, 20, false};

    assert_int_equal(merged(&f->a, row_at(&f->a, 20), 22, 4, "水利局", &withheld).n_conflicts, 1);
    assert_int_equal(merged(&f->a, row_at(&f->a, 20), 22, 4, "水利局", &became).n_conflicts, 0);
}

/* An edit that meets a void is withheld whole. */
static void test_merge__void_beats_edit(void **state)
{
    struct fixture *f = *state;
    struct row *row = row_at(&f->a, 10);
    struct history none = {0, 0, false};
    struct merge_result r;

    row_put(row, TAG_VOIDED, value_int(1));
    r = merged(&f->a, row, 30, 0, "水利局", &none);
    assert_int_equal(r.n_withheld, 1);
    assert_int_equal(r.conflicts[0].tag, 0);
}

/* Elements added to a set merge, though their author did not see what stands; a whole set in their place
 * conflicts. */
static void test_merge__elements_never_conflict(void **state)
{
    struct fixture *f = *state;
    const struct kind *kind = catalogue_kind_named("member");
    struct field_change first = {.tag = tag_of("member", "level"), .form = FORM_SET};
    struct field_change more = first;
    struct id id = id_of(0x33);
    struct change c = {.op = OP_CREATE, .kind = kind->tag, .record = id, .fields = &first, .n_fields = 1};
    struct history none = {0, 0, false};
    struct merge_history h = {.entry_of = entry_of, .ctx = &none};
    struct row *row = row_new(&f->a, kind, &id);
    static const struct verdict nothing;
    struct merge_result r;

    first.v = (struct value){.type = V_SET, .s = slice_str("county")};
    assert_int_equal(apply_entry(&f->a, row, &c, &nothing, 20, true), 0);
    more.form = FORM_DELTA;
    more.v = (struct value){.type = V_SET, .s = slice_str("city")};
    c = (struct change){.op = OP_SET, .seen = 3, .fields = &more, .n_fields = 1};
    assert_int_equal(merge_change(&f->a, row, &c, &h, &r, NULL), 0);
    assert_int_equal(r.n_conflicts, 0);
    assert_int_equal(r.n_withheld, 0);
    more.form = FORM_SET;
    assert_int_equal(merge_change(&f->a, row, &c, &h, &r, NULL), 0);
    assert_int_equal(r.n_conflicts, 1);
}

static bool wrote(void *ctx, uint64_t seq, const struct id *replica)
{
    (void)replica;
    return seq == *(const uint64_t *)ctx;
}

/* A seal passes over what its author saw, up to the cursor itself, over his own, and over what the other
 * side writes. */
static void test_merge__unseen_by_a_seal(void **state)
{
    struct fixture *f = *state;
    const struct row *row = row_at(&f->a, 20);
    const struct id replica = id_of(0x11);
    uint64_t nobodys = 0, own = 20;

    assert_true(merge_unseen(row, SIDE_COUNTY, 19, &replica, wrote, &nobodys));
    assert_false(merge_unseen(row, SIDE_COUNTY, 20, &replica, wrote, &nobodys));
    assert_false(merge_unseen(row, SIDE_COUNTY, 19, &replica, wrote, &own));
    assert_false(merge_unseen(row, SIDE_CITY, 19, &replica, wrote, &nobodys));
}

/* ---- applying ---- */

/* Who writes what stands already is not the last who changed it: a field keeps its entry. */
static void test_apply__equal_keeps_its_entry(void **state)
{
    struct fixture *f = *state;
    struct field_change fields[] = {
        {.tag = tag_of("opinion", "keywords"), .form = FORM_SET, .v = value_str("甲")},
        {.tag = tag_of("opinion", "handler_unit"), .form = FORM_SET, .v = value_str("城管局")},
    };
    struct change c = {.op = OP_SET, .fields = fields, .n_fields = 2};
    static const struct verdict nothing;
    struct row *row = row_at(&f->a, 20);

    assert_int_equal(apply_entry(&f->a, row, &c, &nothing, 30, true), 0);
    assert_int_equal(merge_field_seq(row, fields[0].tag), 30);
    assert_int_equal(merge_field_seq(row, fields[1].tag), 20);
    assert_int_equal(row->seq, 30);
}

/* Every value that the city derived stands in the row, over the author's own for that field. */
static void test_apply__derived(void **state)
{
    struct fixture *f = *state;
    struct field_change own = {
        .tag = tag_of("opinion", "keywords"), .form = FORM_SET, .v = value_str("甲")};
    struct derived derived[] = {
        {.tag = own.tag, .v = value_str("乙")},
        {.tag = tag_of("opinion", "handler_unit"), .v = value_str("水利局")},
    };
    struct change c = {.op = OP_SET, .fields = &own, .n_fields = 1};
    struct verdict v = {.derived = derived, .n_derived = 2};
    struct row *row = row_at(&f->a, 10);

    assert_int_equal(apply_entry(&f->a, row, &c, &v, 30, true), 0);
    for (size_t i = 0; i < 2; i++) {
        assert_true(value_eq(row_get(row, derived[i].tag), &derived[i].v));
        assert_int_equal(merge_field_seq(row, derived[i].tag), 30);
    }
}

/* What is withheld stays out; fields of a newer catalogue are kept byte for byte. */
static void test_apply__withheld_and_unknown(void **state)
{
    struct fixture *f = *state;
    uint32_t tag = tag_of("opinion", "handler_unit");
    struct field_change fields[] = {
        {.tag = tag, .form = FORM_SET, .v = value_str("水利局")},
        {.tag = 900, .form = FORM_SET, .v = value_str("新")},
    };
    struct change c = {.op = OP_SET, .fields = fields, .n_fields = 2};
    struct verdict v = {.withheld = &tag, .n_withheld = 1};
    struct row *row = row_at(&f->a, 10);

    assert_int_equal(apply_entry(&f->a, row, &c, &v, 30, true), 0);
    assert_true(slice_eq(row_get(row, tag)->s, slice_str("住建局")));
    assert_hex(row->unknown, "84070203e696b0");
    assert_int_equal(row->seq, 30);
}

/* ---- rows and digests ---- */

static struct slice slice_hex(struct arena *a, const char *text)
{
    uint8_t *p = arena_alloc(a, strlen(text) / 2);

    assert_int_equal(hex_decode(text, strlen(text), p), 0);
    return (struct slice){p, strlen(text) / 2};
}

/* An opinion with a field of a newer catalogue between its own, by tag. */
static struct row *row_golden(struct arena *a)
{
    struct id id = id_of(0x33);
    struct row *row = row_new(a, catalogue_kind_named("opinion"), &id);

    row->exists = true;
    row->stream = 431021;
    row->created_seq = 7;
    row->seq = 300;
    row->created_at = 1770000000000;
    row->updated_at = 1770000000001;
    row->created_by = id_of(0x22);
    row_put(row, 5, value_str("visit"));
    row_put(row, TAG_STATE, value_str("collected"));
    row_put(row, 12, (struct value){.type = V_ERASED});
    row->unknown = slice_hex(a, "84070203e696b0850700");
    return row;
}

#define GOLDEN_ROW \
    "011633333333333333333333333333333333ada71a07ac0280c8e2e1c1332222" \
    "222222222222222222222222222281c8e2e1c133000000000000000000000000" \
    "00000000040502057669736974" \
    "0c0784070203e696b0eb070209636f6c6c6563746564"
#define GOLDEN_ROW_DIGEST "fbbe2ef89a226af02eb63e9b52c340b8"
#define GOLDEN_ROOT       "9c4c1f2df26a5c91506288686a8fc841"

static void test_row__golden(void **state)
{
    struct fixture *f = *state;

    buf_clear(&f->out);
    row_encode(&f->out, row_golden(&f->a));
    assert_hex(buf_slice(&f->out), GOLDEN_ROW);
}

/* What was written reads back and writes the same; a null that was unknown leaves no trace. */
static void test_row__round_trip(void **state)
{
    struct fixture *f = *state;
    struct slice bytes = slice_hex(&f->a, GOLDEN_ROW);
    struct row *row;

    assert_int_equal(row_decode(&f->a, bytes, &row), 0);
    assert_int_equal(row->seq, 300);
    assert_int_equal(row_get(row, 12)->type, V_ERASED);
    assert_hex(row->unknown, "84070203e696b0");
    buf_clear(&f->out);
    row_encode(&f->out, row);
    assert_hex(buf_slice(&f->out), GOLDEN_ROW);
}

/* A side that knows the field writes the same bytes, whichever list holds it. */
static void test_row__catalogue_does_not_matter(void **state)
{
    struct fixture *f = *state;
    struct row *row = row_golden(&f->a);

    row_put(row, 5, value_null());
    row->unknown = slice_hex(&f->a, "050205766973697484070203e696b0");
    buf_clear(&f->out);
    row_encode(&f->out, row);
    assert_hex(buf_slice(&f->out), GOLDEN_ROW);
    row_put(row, 5, value_str("visit")); /* written again after an update: both have it */
    buf_clear(&f->out);
    row_encode(&f->out, row);
    assert_hex(buf_slice(&f->out), GOLDEN_ROW);
}

/* A row whose one value is null: it has nothing to say. */
static struct slice row_with_null(struct fixture *f)
{
    struct id id = id_of(0x33);
    struct row *row = row_new(&f->a, catalogue_kind(22), &id);

    buf_clear(&f->out);
    row_encode(&f->out, row);
    f->out.p[f->out.len - 1] = 1; /* one value, */
    buf_varint(&f->out, 5);       /* of the field 5, */
    buf_u8(&f->out, 0);           /* null */
    return buf_slice(&f->out);
}

static void test_row__only_canonical(void **state)
{
    struct fixture *f = *state;
    struct slice good = slice_hex(&f->a, GOLDEN_ROW);
    struct row *row;

    for (size_t len = 0; len < good.len; len++)
        assert_int_not_equal(row_decode(&f->a, (struct slice){good.p, len}, &row), 0);
    assert_int_equal(row_decode(&f->a, slice_hex(&f->a, GOLDEN_ROW "00"), &row), E_MALFORMED);
    assert_int_equal(row_decode(&f->a, row_with_null(f), &row), E_MALFORMED);
    ((uint8_t *)good.p)[1] = 0x7f; /* no such kind */
    assert_int_equal(row_decode(&f->a, good, &row), E_VERSION);
}

/* An unknown field that is damaged is not passed on. */
static void test_row__unknown_damaged(void **state)
{
    struct fixture *f = *state;
    struct id id = id_of(0x33);
    struct row *row = row_new(&f->a, catalogue_kind(22), &id);

    row->unknown = slice_hex(&f->a, "84070203e696"); /* a text of three bytes, cut */
    buf_clear(&f->out);
    row_encode(&f->out, row);
    assert_int_equal(f->out.ret, E_CORRUPT);
    f->out.ret = 0;
    buf_clear(&f->out);
}

static void test_digest__golden(void **state)
{
    const struct hasher *h = hasher_of(HASH_SHA256);
    struct fixture *f = *state;
    struct digest_kind kinds[2] = {{.kind = 22}, {.kind = 23}};
    uint8_t root[ROOT_SIZE];
    struct digest d;

    assert_int_equal(digest_row(h, &f->out, row_golden(&f->a), &d), 0);
    buf_clear(&f->out);
    digest_put(&f->out, d);
    assert_hex(buf_slice(&f->out), GOLDEN_ROW_DIGEST);
    digest_add(&kinds[0].of, d);
    assert_int_equal(digest_root(h, kinds, 2, root), 0);
    assert_hex((struct slice){root, ROOT_SIZE}, GOLDEN_ROOT);
}

/* Sums carry, and forget an order. */
static void test_digest__additive(void **state)
{
    struct digest_sum a = {.count = 0}, b = {.count = 0};
    struct digest x = {1, UINT64_MAX}, y = {UINT64_MAX, 3};

    (void)state;
    digest_add(&a, x);
    digest_add(&a, y);
    digest_add(&b, y);
    digest_add(&b, x);
    assert_true(digest_sum_eq(&a, &b));
    assert_true(digest_eq(a.sum, (struct digest){1, 2}));
    digest_subtract(&a, x);
    assert_true(digest_eq(a.sum, y));
    assert_int_equal(a.count, 1);
    digest_subtract(&a, y);
    assert_true(digest_eq(a.sum, (struct digest){0, 0}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_change__golden),
        cmocka_unit_test(test_change__round_trip),
        cmocka_unit_test(test_change__only_canonical),
        cmocka_unit_test(test_change__state_is_text),
        cmocka_unit_test(test_change__side_must_fit),
        cmocka_unit_test(test_change__side_canonical),
        cmocka_unit_test(test_change__commits_to_the_value),
        cmocka_unit_test(test_change__needs_a_catalogue),
        cmocka_unit_test(test_row__unknown_damaged),
        cmocka_unit_test(test_verdict__golden),
        cmocka_unit_test(test_chain__golden),
        cmocka_unit_test(test_own_chain__golden),
        cmocka_unit_test(test_head__golden),
        cmocka_unit_test(test_merge__seen_applies),
        cmocka_unit_test(test_merge__unseen_conflicts),
        cmocka_unit_test(test_merge__equal_is_silent),
        cmocka_unit_test(test_merge__own_pending_was_seen),
        cmocka_unit_test(test_merge__pending_hides_the_stream),
        cmocka_unit_test(test_merge__void_beats_edit),
        cmocka_unit_test(test_merge__elements_never_conflict),
        cmocka_unit_test(test_merge__unseen_by_a_seal),
        cmocka_unit_test(test_apply__equal_keeps_its_entry),
        cmocka_unit_test(test_apply__derived),
        cmocka_unit_test(test_apply__withheld_and_unknown),
        cmocka_unit_test(test_row__golden),
        cmocka_unit_test(test_row__round_trip),
        cmocka_unit_test(test_row__catalogue_does_not_matter),
        cmocka_unit_test(test_row__only_canonical),
        cmocka_unit_test(test_digest__golden),
        cmocka_unit_test(test_digest__additive),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
