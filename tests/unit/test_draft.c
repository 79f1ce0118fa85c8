/* What a county's person typed, on its way into an act: what may not be typed, what is completed, and how much. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/lib/stores.h"
#include "tests/lib/trip.h"

#include <string.h>

/* ---- fixture: A has written an opinion, which the city has ---- */

static int setup(void **state)
{
    struct stores *s = test_calloc(1, sizeof *s);

    stores_begin(s);
    MUST(s, stores_write_opinion(s, AT_A, &s->opinion[0], &s->err));
    stores_sync(s, AT_A);
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

static int write_drafts(struct stores *s, struct draft *drafts, size_t n)
{
    s->err = (struct err){.ret = 0};
    return replica_write(s->at[AT_A], &s->arena, &s->clerk, drafts, n, UINT64_MAX, s->now, &s->err);
}

static struct draft draft_of(const char *kind, enum change_op op, const struct id *record,
                             struct field_change *fields, size_t n)
{
    return (struct draft){.kind = catalogue_kind_named(kind),
                          .record = *record,
                          .op = op,
                          .to = slice_str(""),
                          .fields = fields,
                          .n_fields = n};
}

static int set_tag(struct stores *s, const struct id *opinion, uint32_t tag, struct value v)
{
    struct field_change field = {.tag = tag, .form = FORM_SET, .v = v};
    struct draft d = draft_of("opinion", OP_SET, opinion, &field, 1);

    return write_drafts(s, &d, 1);
}

/* By pairs of field name and text. */
static int act(struct stores *s, const char *kind, enum change_op op, struct id *record, const char *to,
               const char *const *pairs)
{
    s->err = (struct err){.ret = 0};
    return stores_write(s, AT_A, kind, op, record, to, pairs, &s->err);
}

static uint64_t made(struct stores *s)
{
    struct replica_facts f;

    MUST(s, replica_facts(s->at[AT_A], &f, &s->err));
    return f.own_n;
}

static struct row *shown(struct stores *s, const char *kind, const struct id *id)
{
    struct row *row;

    MUST(s, store_row_get(replica_store(s->at[AT_A]), &s->arena, catalogue_kind_named(kind), id, &row,
                          &s->err));
    return row;
}

static uint32_t tag_of(const char *kind, const char *field)
{
    return kind_field_named(catalogue_kind_named(kind), field)->tag;
}

struct finding {
    struct arena *a;
    uint32_t tag;
    struct field_change found; /* of the last change that has it */
    unsigned n;
};

static int find_field(void *ctx, uint64_t n, struct slice bytes, struct slice side)
{
    struct finding *f = ctx;
    struct field_change *fc;
    struct change c;

    (void)n;
    assert_int_equal(change_decode(f->a, bytes, side, &c), 0);
    fc = change_field(&c, f->tag);
    if (fc != NULL) {
        f->n++;
        f->found = *fc;
        f->found.v = value_dup(f->a, &fc->v, &(bool){true});
        f->found.del = value_dup(f->a, &fc->del, &(bool){true});
    }
    return 0;
}

/* How the last of A's pending changes that has the field says it. */
static struct field_change said(struct stores *s, uint32_t tag)
{
    struct finding f = {.a = &s->arena, .tag = tag};

    MUST(s, replica_pending(s->at[AT_A], 1, 1000, 1u << 20, find_field, &f, &s->err));
    assert_true(f.n > 0);
    return f.found;
}

static struct value set_of(const char *codes)
{
    return (struct value){.type = V_SET, .s = slice_str(codes)};
}

static struct id new_application(struct stores *s, const char *co_build)
{
    struct id id = {{0}};

    MUST(s, act(s, "application", OP_CREATE, &id, "",
                PAIRS("studio_name", "同心工作室", "applicant_type", "collective", "co_build", co_build)));
    return id;
}

/* ---- what may not be typed ---- */

/* The header of a record is the program's: it says so, and makes no change. */
static void test_draft__header_is_not_typed(void **state)
{
    struct stores *s = *state;
    const struct id *o = &s->opinion[0];
    uint64_t before = made(s);

    assert_int_equal(set_tag(s, o, TAG_STATE, value_str("verifying")), E_INVALID);
    assert_int_equal(set_tag(s, o, TAG_SITE, value_str("431022")), E_INVALID);
    assert_int_equal(set_tag(s, o, TAG_SERIAL, value_str("GY-MY-2026-0099")), E_INVALID);
    assert_int_equal(set_tag(s, o, TAG_HISTORIC, value_int(1)), E_INVALID);
    assert_int_equal(set_tag(s, o, TAG_HISTORIC_FILE, value_id(o)), E_INVALID);
    assert_int_equal(made(s), before);
}

/* A field that the kind has not got, or that stands out of its order, is a fault of the program. */
static void test_draft__fields_ascend(void **state)
{
    struct stores *s = *state;
    uint32_t title = tag_of("opinion", "title"), content = tag_of("opinion", "content");
    struct field_change twice[] = {{.tag = title, .form = FORM_SET, .v = value_str("甲乙")},
                                   {.tag = title, .form = FORM_SET, .v = value_str("丙丁")}},
                        back[] = {{.tag = content, .form = FORM_SET, .v = value_str("甲乙")},
                                  {.tag = title, .form = FORM_SET, .v = value_str("丙丁")}};
    struct draft d = draft_of("opinion", OP_SET, &s->opinion[0], twice, 2);

    assert_true(title < content);
    assert_int_equal(write_drafts(s, &d, 1), E_INTERNAL);
    d = draft_of("opinion", OP_SET, &s->opinion[0], back, 2);
    assert_int_equal(write_drafts(s, &d, 1), E_INTERNAL);
    assert_int_equal(set_tag(s, &s->opinion[0], 4000, value_str("甲")), E_INTERNAL);
}

/* Only the city registers its cases; only it erases. */
static void test_draft__of_the_city_alone(void **state)
{
    struct stores *s = *state;
    struct id none = {{0}};

    assert_int_equal(act(s, "proposal_case", OP_CREATE, &none, "", NULL), E_DENIED);
    assert_int_equal(act(s, "sync_session", OP_CREATE, &none, "", NULL), E_DENIED);
    assert_int_equal(act(s, "opinion", OP_ERASE, &s->opinion[0], "", NULL), E_GUARD_LATER);
}

static int first_id(void *ctx, struct row *row)
{
    *(struct id *)ctx = row->id;
    return 1;
}

/* A record is made once, and one of another stream is not edited. */
static void test_draft__wrong_record(void **state)
{
    struct stores *s = *state;
    uint64_t before = made(s);
    struct id site, again = s->opinion[0];
    int ret;

    ret = store_row_list(replica_store(s->at[AT_A]), catalogue_kind_named("site"), NULL, 0, 0, 0,
                         first_id, &site, &s->err);
    assert_int_equal(ret, 1);
    assert_int_equal(act(s, "site", OP_SET, &site, "", PAIRS("name", "别的县")), E_OWNER);
    assert_int_equal(act(s, "opinion", OP_CREATE, &again, "", PAIRS("title", "路灯")), E_EXISTS);
    assert_int_equal(made(s), before);
}

/* What a field refers to must be there, also in an act whose other records are new. */
static void test_draft__reference_to_nothing(void **state)
{
    struct stores *s = *state;
    const char *nobody = stores_id(s, &(struct id){{0x99}});
    struct id id = {{0}};
    struct draft d[2];
    uint64_t before = made(s);

    assert_int_equal(act(s, "opinion", OP_SET, &s->opinion[0], "", PAIRS("receiver", nobody)), E_PARENT);
    d[0] = draft_of("application", OP_CREATE, &id, NULL, 0);
    d[0].fields = stores_fields(s, "application", &d[0].n_fields,
                                PAIRS("studio_name", "甲", "applicant_type", "collective", "lead_member",
                                      stores_id(s, &s->member)));
    d[1] = d[0];
    d[1].fields = stores_fields(s, "application", &d[1].n_fields,
                                PAIRS("studio_name", "乙", "applicant_type", "collective", "lead_member",
                                      nobody));
    assert_int_equal(write_drafts(s, d, 2), E_PARENT);
    assert_null(shown(s, "application", &d[0].record));
    d[0].record = d[1].record = id;
    d[1].fields = d[0].fields;
    assert_int_equal(write_drafts(s, d, 2), 0);
    assert_int_equal(made(s), before + 2);
}

/* ---- sets ---- */

/* A creation names all elements, an edit those that came and went: of two who edit one set each keeps his. */
static void test_draft__set_is_told_by_its_difference(void **state)
{
    struct stores *s = *state;
    uint32_t tag = tag_of("application", "co_build");
    struct id id = new_application(s, "party_building,distance_edu");
    struct field_change fc;

    assert_int_equal(said(s, tag).form, FORM_SET);
    MUST(s, act(s, "application", OP_SET, &id, "", PAIRS("co_build", "distance_edu,social_service")));
    fc = said(s, tag);
    assert_int_equal(fc.form, FORM_DELTA);
    assert_true(value_eq(&fc.v, &(struct value){.type = V_SET, .s = slice_str("social_service")}));
    assert_true(value_eq(&fc.del, &(struct value){.type = V_SET, .s = slice_str("party_building")}));
    assert_true(slice_eq(row_text(shown(s, "application", &id), "co_build"),
                         slice_str("distance_edu,social_service")));
}

/* The same of lists of records and of files. */
static void test_draft__lists_are_sets(void **state)
{
    struct stores *s = *state;
    struct id id = new_application(s, "none"), submission = {{0}};
    const char *one = stores_id(s, &s->opinion[0]), *photo = stores_id(s, &(struct id){{0x31}});

    MUST(s, act(s, "application", OP_SET, &id, "", PAIRS("scan", photo)));
    assert_int_equal(said(s, tag_of("application", "scan")).form, FORM_DELTA);
    MUST(s, act(s, "submission", OP_CREATE, &submission, "",
                PAIRS("title", "路灯", "form", "micro_suggestion", "studio_id", stores_id(s, &s->studio))));
    MUST(s, act(s, "submission", OP_SET, &submission, "", PAIRS("source_opinions", one)));
    assert_int_equal(said(s, tag_of("submission", "source_opinions")).form, FORM_DELTA);
}

static int edit_set(struct stores *s, const struct id *id, struct value add, struct value del)
{
    struct field_change field = {
        .tag = tag_of("application", "co_build"), .form = FORM_DELTA, .v = add, .del = del};
    struct draft d = draft_of("application", OP_SET, id, &field, 1);

    return write_drafts(s, &d, 1);
}

/* Whoever names only what came and went: it goes over what stands, and must be a set. */
static void test_draft__difference_that_is_given(void **state)
{
    struct stores *s = *state;
    struct id id = new_application(s, "party_building,distance_edu");

    MUST(s, edit_set(s, &id, set_of("other"), set_of("party_building")));
    assert_true(slice_eq(row_text(shown(s, "application", &id), "co_build"), slice_str("distance_edu,other")));
    assert_int_equal(edit_set(s, &id, value_int(3), value_null()), E_INVALID);
    assert_int_equal(edit_set(s, &id, set_of("no_such_code"), value_null()), E_INVALID);
}

/* What an act has no room for is refused before anything of it is written. */
static void test_draft__too_large(void **state)
{
    struct stores *s = *state;
    struct id id = new_application(s, "party_building");
    size_t len = ACT_MAX_BYTES + 1;
    char *codes = arena_alloc(&s->arena, len + 1);
    uint64_t before = made(s);

    memset(codes, 'x', len);
    codes[len] = '\0';
    assert_int_equal(edit_set(s, &id, set_of("other"), set_of(codes)), E_TOOBIG);
    assert_int_equal(made(s), before);
    assert_true(slice_eq(row_text(shown(s, "application", &id), "co_build"), slice_str("party_building")));
}

/* ---- voiding ---- */

/* Each once; nothing else is changed by it, and what is void does not move. */
static void test_draft__void_and_back(void **state)
{
    struct stores *s = *state;
    struct id *o = &s->opinion[0];

    assert_int_equal(act(s, "opinion", OP_UNVOID, o, "", NULL), E_STATE);
    assert_int_equal(act(s, "opinion", OP_VOID, o, "", PAIRS("void_reason", "重复", "title", "改过")),
                     E_INVALID);
    MUST(s, act(s, "opinion", OP_VOID, o, "", PAIRS("void_reason", "重复")));
    assert_int_equal(act(s, "opinion", OP_VOID, o, "", PAIRS("void_reason", "又一次")), E_STATE);
    assert_int_equal(act(s, "opinion", OP_TRANSITION, o, "verifying", NULL), E_STATE);
    MUST(s, act(s, "opinion", OP_UNVOID, o, "", NULL));
    MUST(s, act(s, "opinion", OP_TRANSITION, o, "verifying", NULL));
}

/* The reason of the time before is said again, for the city asks for one with each voiding. */
static void test_draft__void_for_the_same_reason(void **state)
{
    struct stores *s = *state;
    struct id *o = &s->opinion[0];
    struct field_change fc;

    MUST(s, act(s, "opinion", OP_VOID, o, "", PAIRS("void_reason", "重复")));
    MUST(s, act(s, "opinion", OP_UNVOID, o, "", NULL));
    MUST(s, act(s, "opinion", OP_VOID, o, "", PAIRS("void_reason", "重复")));
    fc = said(s, TAG_VOID_REASON);
    assert_true(slice_eq(fc.v.s, slice_str("重复")));
    assert_int_equal(fc.saw_n, 2);
    stores_sync(s, AT_A);
    assert_true(row_voided(shown(s, "opinion", o)));
}

/* ---- what is completed ---- */

/* The number of characters follows whichever of the three texts is written, also against what was typed. */
static void test_draft__counts_characters(void **state)
{
    struct stores *s = *state;
    struct id id = {{0}};
    uint64_t before;

    MUST(s, act(s, "submission", OP_CREATE, &id, "",
                PAIRS("title", "路灯", "form", "micro_suggestion", "studio_id", stores_id(s, &s->studio))));
    assert_true(value_is_null(row_named(shown(s, "submission", &id), "word_count")));
    MUST(s, act(s, "submission", OP_SET, &id, "", PAIRS("suggestion", "修好它")));
    assert_int_equal(row_int(shown(s, "submission", &id), "word_count"), 3);
    MUST(s, act(s, "submission", OP_SET, &id, "", PAIRS("analysis", "线路老化", "word_count", "99")));
    assert_int_equal(row_int(shown(s, "submission", &id), "word_count"), 7);
    before = made(s);
    MUST(s, act(s, "submission", OP_SET, &id, "", PAIRS("analysis", "线路坏了")));
    assert_int_equal(row_int(shown(s, "submission", &id), "word_count"), 7);
    assert_int_equal(made(s), before + 1);
    MUST(s, act(s, "submission", OP_SET, &id, "", PAIRS("title", "路灯不亮")));
    assert_int_equal(row_int(shown(s, "submission", &id), "word_count"), 7);
}

static const char *serial_of(struct stores *s, uint32_t site, uint32_t k)
{
    struct replica_facts facts = {
        .id = {{0x51}}, .ledger = city_ledger(s->city), .clerk = s->clerk, .site = site, .k = k};
    struct replica_keys keys = stores_keys(s, AT_A);
    const char *path = stores_new_path(s);
    struct draft d = draft_of("application", OP_CREATE, &(struct id){{0}}, NULL, 0);
    struct replica *r;

    d.fields = stores_fields(s, "application", &d.n_fields,
                             PAIRS("studio_name", "甲", "applicant_type", "collective"));
    MUST(s, replica_create(path, &keys, &facts, &s->err));
    MUST(s, replica_open(path, &keys, &r, &s->err));
    MUST(s, replica_write(r, &s->arena, &s->clerk, &d, 1, UINT64_MAX, s->now, &s->err));
    replica_close(r);
    return arena_strndup(&s->arena, d.serial.p, d.serial.len);
}

/* Each computer of a site has letters of its own, however many there are; a site nobody knows has the city's. */
static void test_draft__serials_of_many_computers(void **state)
{
    struct stores *s = *state;

    assert_string_equal(serial_of(s, STORES_SITE, 1), "GY-SQ-2026-0001");
    assert_string_equal(serial_of(s, STORES_SITE, 26), "GY-SQ-2026-0001Z");
    assert_string_equal(serial_of(s, STORES_SITE, 27), "GY-SQ-2026-0001AA");
    assert_string_equal(serial_of(s, STORES_SITE, 28), "GY-SQ-2026-0001AB");
    assert_string_equal(serial_of(s, STORES_SITE, 703), "GY-SQ-2026-0001AAA");
    assert_string_equal(serial_of(s, STORES_SITE, UINT32_MAX), "GY-SQ-2026-0001MWLQKWU");
    assert_string_equal(serial_of(s, 431099, 1), "CZ-SQ-2026-0001");
}

/* ---- several acts in one transaction ---- */

/* It is begun once and ended once; an empty act is none. */
static void test_draft__transaction_is_one(void **state)
{
    struct stores *s = *state;
    struct replica *r = s->at[AT_A];
    uint64_t before = made(s);

    assert_int_equal(replica_write_end(r, true, &s->err), E_STATE);
    MUST(s, replica_write_begin(r, &s->err));
    assert_int_equal(replica_write_begin(r, &s->err), E_STATE);
    MUST(s, write_drafts(s, NULL, 0));
    MUST(s, act(s, "opinion", OP_SET, &s->opinion[0], "", PAIRS("title", "改过")));
    MUST(s, replica_write_end(r, true, &s->err));
    assert_int_equal(made(s), before + 1);
}

/* After a fault nothing more goes into it, and it cannot be committed: half an act may lie in it. */
static void test_draft__transaction_that_failed(void **state)
{
    struct stores *s = *state;
    struct replica *r = s->at[AT_A];
    uint64_t before = made(s);
    int ret;

    MUST(s, replica_write_begin(r, &s->err));
    MUST(s, act(s, "opinion", OP_SET, &s->opinion[0], "", PAIRS("title", "先改")));
    trip_set(TRIP_SQL, 3);
    ret = act(s, "opinion", OP_SET, &s->opinion[0], "", PAIRS("title", "再改"));
    trip_set(0, 0);
    assert_int_equal(ret, E_IO);
    assert_int_equal(act(s, "opinion", OP_SET, &s->opinion[0], "", PAIRS("title", "又改")), E_STATE);
    assert_int_equal(replica_write_end(r, true, &s->err), E_STATE);
    assert_int_equal(made(s), before);
    assert_true(slice_eq(row_text(shown(s, "opinion", &s->opinion[0]), "title"), slice_str("路灯不亮")));
    MUST(s, act(s, "opinion", OP_SET, &s->opinion[0], "", PAIRS("title", "改过")));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_draft__##name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(header_is_not_typed),
        TEST(fields_ascend),
        TEST(of_the_city_alone),
        TEST(wrong_record),
        TEST(reference_to_nothing),
        TEST(set_is_told_by_its_difference),
        TEST(lists_are_sets),
        TEST(difference_that_is_given),
        TEST(too_large),
        TEST(void_and_back),
        TEST(void_for_the_same_reason),
        TEST(counts_characters),
        TEST(serials_of_many_computers),
        TEST(transaction_is_one),
        TEST(transaction_that_failed),
    };

    return disk_vfs_register() != 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
