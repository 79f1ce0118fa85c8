/* A county's computer that lies: what it may not say is refused at the city, and nothing is written.
 *
 * Every forgery starts from a change that the city takes as it is, and falsifies one thing in it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/err.h"
#include "tests/table/stage.h"

struct forging {
    struct stage s;
    const struct kind *kind;
    struct change c;
};

/* ---- honest changes ---- */

static int role_index(const char *role)
{
    for (unsigned i = 0; i < catalogue_roles->n_codes; i++) {
        if (strcmp(catalogue_roles->codes[i].code, role) == 0)
            return (int)i;
    }
    fail_msg("no role %s", role);
    return 0;
}

static void begin(struct forging *f, const char *kind, enum change_op op)
{
    stage_reset(&f->s);
    f->kind = catalogue_kind_named(kind);
    (void)stage_row(&f->s, f->kind);
    f->c = (struct change){.replica = f->s.replica,
                           .n = 1,
                           .stream = STAGE_SITE,
                           .act_len = 1,
                           .made_at = STAGE_NOW,
                           .actor = f->s.accounts[role_index("county_clerk")],
                           .seen = SEEN_ALL,
                           .catalogue = CATALOGUE_VERSION,
                           .kind = f->kind->tag,
                           .record = stage_id(f->kind, 0),
                           .op = op};
}

static struct field_change *add(struct forging *f, uint32_t tag, struct value v)
{
    struct field_change *fields = arena_zalloc(&f->s.work, (f->c.n_fields + 1) * sizeof *fields);
    size_t at = f->c.n_fields++;

    for (size_t i = 0; i + 1 < f->c.n_fields; i++)
        fields[i] = f->c.fields[i];
    for (; at > 0 && fields[at - 1].tag > tag; at--)
        fields[at] = fields[at - 1];
    fields[at] = (struct field_change){.tag = tag, .form = FORM_SET, .v = v};
    f->c.fields = fields;
    return &fields[at];
}

static struct field_change *field(struct forging *f, const char *name)
{
    struct field_change *fc = change_field(&f->c, kind_field_named(f->kind, name)->tag);

    assert_non_null(fc);
    return fc;
}

/* A new opinion, complete, everything in the form it must have. */
static void new_opinion(struct forging *f)
{
    begin(f, "opinion", OP_CREATE);
    f->c.to = slice_str("collected");
    f->c.fields = stage_fields(&f->s, AT_PUSH, f->kind, &f->c.n_fields);
    for (size_t i = 0; i < f->c.n_fields; i++)
        stage_salt(&f->s, f->kind, &f->c.fields[i]);
    (void)add(f, TAG_SITE, value_str("431021"));
}

/* An edit of the opinion there is. */
static void edit(struct forging *f, const char *kind, const char *name, const char *text)
{
    struct err err = {.ret = 0};
    struct value v;

    begin(f, kind, OP_SET);
    const struct field *at = kind_field_named(f->kind, name);
    assert_non_null(at);
    if (check_parse(&f->s.work, at, slice_str(text), &v, &err) != 0)
        fail_msg("%s: %s", name, err.text);
    stage_salt(&f->s, f->kind, add(f, at->tag, v));
}

static void edit_keywords(struct forging *f)
{
    edit(f, "opinion", "keywords", "道路");
}

static void verify_opinion(struct forging *f)
{
    begin(f, "opinion", OP_TRANSITION);
    f->c.from = slice_str("collected");
    f->c.to = slice_str("verifying");
}

static void void_opinion(struct forging *f)
{
    begin(f, "opinion", OP_VOID);
    (void)add(f, TAG_VOIDED, value_int(1));
    (void)add(f, TAG_VOID_REASON, value_str("重复登记"));
}

/* ---- who and where ---- */

static void unknown_actor(struct forging *f)
{
    f->c.actor.b[3] ^= 1;
}

static void actor_is_system(struct forging *f)
{
    f->c.actor = (struct id){.b = {0}};
}

static struct row *other_account(struct forging *f)
{
    const struct kind *kind = catalogue_kind_named("user_account");

    stage_tell(&f->s, "user_account.role=county_clerk user_account.active=1");
    f->c.actor = stage_id(kind, 0);
    return stage_row(&f->s, kind);
}

static void actor_of_another_site(struct forging *f)
{
    other_account(f)->stream = STAGE_OTHER;
}

static void actor_of_the_city(struct forging *f)
{
    stage_tell(&f->s, "user_account.role=liaison");
    other_account(f)->stream = STREAM_CITY;
}

static void inactive_actor(struct forging *f)
{
    row_put(other_account(f), kind_field_named(catalogue_kind_named("user_account"), "active")->tag,
            value_int(0));
}

static void voided_actor(struct forging *f)
{
    row_put(other_account(f), TAG_VOIDED, value_int(1));
}

static void role_never_held(struct forging *f)
{
    f->c.actor = f->s.accounts[role_index("finance")];
}

static void city_role_in_a_county(struct forging *f)
{
    f->c.actor = f->s.accounts[role_index("liaison")];
}

static void other_site_stream(struct forging *f)
{
    f->c.stream = STAGE_OTHER;
}

static void shared_stream(struct forging *f)
{
    f->c.stream = STREAM_SHARED;
}

static void city_stream(struct forging *f)
{
    f->c.stream = STREAM_CITY;
}

static void other_site_field(struct forging *f)
{
    change_field(&f->c, TAG_SITE)->v = value_str("431081");
}

static void no_site_field(struct forging *f)
{
    f->c.n_fields--; /* it has the last tag */
}

static void other_site_record(struct forging *f)
{
    stage_row(&f->s, f->kind)->stream = STAGE_OTHER;
}

static void refers_to_another_site(struct forging *f)
{
    stage_row(&f->s, catalogue_kind_named("studio"))->stream = STAGE_OTHER;
}

static void refers_to_nothing(struct forging *f)
{
    struct id id = stage_id(catalogue_kind_named("studio"), 2);

    field(f, "studio_id")->v.s.p = arena_dup(&f->s.work, id.b, ID_SIZE);
}

/* ---- numbering ---- */

static void foreign_replica(struct forging *f)
{
    f->c.replica.b[0] ^= 1;
}

static void replica_is_the_city(struct forging *f)
{
    f->c.replica = city_incarnation(f->s.city);
}

static void number_ahead(struct forging *f)
{
    f->c.n = 2;
}

static void number_of_nothing(struct forging *f)
{
    f->c.n = 0;
}

static void act_longer_than_sent(struct forging *f)
{
    f->c.act_len = 2;
}

static void act_of_none(struct forging *f)
{
    f->c.act_len = 0;
}

static void act_begins_late(struct forging *f)
{
    f->c.act_pos = 1;
    f->c.act_len = 2;
}

/* ---- forms of values ---- */

static void vanishing_value_open(struct forging *f)
{
    field(f, "title")->form = FORM_SET;
}

static void plain_value_hashed(struct forging *f)
{
    struct field_change *fc = field(f, "keywords");

    fc->form = FORM_HASHED;
    change_commit_value(city_hasher(f->s.city), fc->salt, &fc->v, fc->hash);
}

/* Sealed beside the bytes, as though it were the site's own. */
static void sealed_text(struct forging *f)
{
    field(f, "title")->v = (struct value){.type = V_SEALED, .s = slice_str("0123456789abcdef")};
}

static void sealed_in_the_open(struct forging *f)
{
    field(f, "keywords")->v = (struct value){.type = V_SEALED, .s = slice_str("0123456789abcdef")};
}

static void site_value_unsealed(struct forging *f)
{
    struct field_change *fc = field(f, "person_name");

    fc->v = value_str("刘某");
    change_commit_value(city_hasher(f->s.city), fc->salt, &fc->v, fc->hash);
}

static void value_withheld(struct forging *f)
{
    field(f, "title")->v = (struct value){.type = V_ERASED};
}

static void delta_of_a_text(struct forging *f)
{
    struct field_change *fc = field(f, "keywords");

    fc->form = FORM_DELTA;
    fc->del = value_str("旧");
}

static void delta_of_unknown_code(struct forging *f)
{
    struct field_change *fc = field(f, "co_build");

    fc->form = FORM_DELTA;
    fc->v = (struct value){.type = V_SET, .s = slice_str("castle")};
}

/* ---- values ---- */

static void too_long(struct forging *f)
{
    field(f, "keywords")->v = value_str(
        "一二三四五六七八九十一二三四五六七八九十一二三四五六七八九十一二三四五六七八九十"
        "一二三四五六七八九十一二三四五六七八九十一");
}

static void wrong_type(struct forging *f)
{
    field(f, "keywords")->v = value_int(7);
}

static void unknown_code(struct forging *f)
{
    field(f, "channel")->v = value_str("telepathy");
}

static void impossible_date(struct forging *f)
{
    field(f, "received_at")->v = value_str("2026-02-30T09:00:00+08:00");
}

static void unknown_tag(struct forging *f)
{
    (void)add(f, 900, value_str("新"));
}

static void unknown_kind(struct forging *f)
{
    f->c.kind = 4000;
}

static void state_as_a_field(struct forging *f)
{
    (void)add(f, TAG_STATE, value_str("closed"));
}

static void site_moved(struct forging *f)
{
    (void)add(f, TAG_SITE, value_str("431081"));
}

static void serial_changed(struct forging *f)
{
    (void)add(f, TAG_SERIAL, value_str("GY-MY-2026-0001"));
}

static void historic_afterwards(struct forging *f)
{
    (void)add(f, TAG_HISTORIC, value_int(1));
}

static void filed_afterwards(struct forging *f)
{
    static const struct id file = {{5}};

    (void)add(f, TAG_HISTORIC_FILE, value_id(&file));
}

static void voided_in_passing(struct forging *f)
{
    (void)add(f, TAG_VOIDED, value_int(1));
}

static void void_with_more(struct forging *f)
{
    (void)add(f, kind_field_named(f->kind, "keywords")->tag, value_str("道路"));
}

static void void_that_is_none(struct forging *f)
{
    change_field(&f->c, TAG_VOIDED)->v = value_int(0);
}

static void void_without_reason(struct forging *f)
{
    f->c.n_fields--;
}

static void number_as_a_field(struct forging *f)
{
    (void)add(f, kind_field_named(f->kind, "opinion_no")->tag, value_str("GY-MY-2026-0001"));
}

static void erases(struct forging *f)
{
    f->c.op = OP_ERASE;
    field(f, "keywords")->v = (struct value){.type = V_ERASED};
}

static void from_another_state(struct forging *f)
{
    f->c.from = slice_str("handled");
    f->c.to = slice_str("closed");
}

static void to_no_state(struct forging *f)
{
    f->c.to = slice_str("heaven");
}

static void created_closed(struct forging *f)
{
    f->c.to = slice_str("closed");
}

static void created_twice(struct forging *f)
{
    f->c.record = stage_id(f->kind, 0);
}

static void not_there(struct forging *f)
{
    f->c.record = stage_id(f->kind, 2);
}

/* ---- what the city writes ---- */

static void city_field(struct forging *f)
{
    edit(f, "submission", "receipt_no", "SW-2026-0001");
}

static void city_mirror(struct forging *f)
{
    edit(f, "submission", "case_state", "closed");
}

static void locked_content(struct forging *f)
{
    edit(f, "submission", "title", "改过的案由");
}

static void city_step_text(struct forging *f)
{
    edit(f, "tracking", "next_step", "无");
}

static void published_record(struct forging *f)
{
    edit(f, "case_card", "lead_unit", "市交通运输局");
}

static void password_of_an_account(struct forging *f)
{
    edit(f, "user_account", "name", "张三");
    f->c.actor = f->s.accounts[role_index("county_lead")];
    (void)add(f, kind_field_named(f->kind, "pwd_hash")->tag, value_str("x"));
}

static void grants_himself_a_role(struct forging *f)
{
    edit(f, "user_account", "role", "county_lead");
}

static void grants_a_city_role(struct forging *f)
{
    edit(f, "user_account", "role", "liaison");
    f->c.actor = f->s.accounts[role_index("county_lead")];
}

static void city_kind(struct forging *f)
{
    edit(f, "proposal_case", "reviewer", "李明");
}

static void shared_kind(struct forging *f)
{
    edit(f, "org_unit", "short_name", "交通局");
}

static void shared_kind_as_its_own(struct forging *f)
{
    shared_kind(f);
    stage_row(&f->s, f->kind)->stream = STAGE_SITE;
}

static void city_kind_as_its_own(struct forging *f)
{
    city_kind(f);
    stage_row(&f->s, f->kind)->stream = STAGE_SITE;
}

/* ---- the list ---- */

static const struct forgery {
    const char *name;
    void (*honest)(struct forging *f); /* NULL: the forging makes the whole change */
    void (*forge)(struct forging *f);
    int expected;
} forgeries[] = {
    {"an actor nobody knows", edit_keywords, unknown_actor, E_ROLE},
    {"system", edit_keywords, actor_is_system, E_DENIED},
    {"an account of another site", edit_keywords, actor_of_another_site, E_ROLE},
    {"an account of the city", edit_keywords, actor_of_the_city, E_ROLE},
    {"an account that was switched off", edit_keywords, inactive_actor, E_QUARANTINE},
    {"an account that was voided", edit_keywords, voided_actor, E_QUARANTINE},
    {"a role never held, editing", edit_keywords, role_never_held, E_ROLE},
    {"a role never held, creating", new_opinion, role_never_held, E_ROLE},
    {"a role never held, moving", verify_opinion, role_never_held, E_ROLE},
    {"a role never held, voiding", void_opinion, role_never_held, E_ROLE},
    {"a city role in a county", edit_keywords, city_role_in_a_county, E_ROLE},
    {"another site's stream", edit_keywords, other_site_stream, E_DENIED},
    {"another site's stream, creating", new_opinion, other_site_stream, E_DENIED},
    {"the shared stream", edit_keywords, shared_stream, E_DENIED},
    {"the city's stream", edit_keywords, city_stream, E_DENIED},
    {"another site's record, new", new_opinion, other_site_field, E_DENIED},
    {"a record of no site", new_opinion, no_site_field, E_DENIED},
    {"another site's record", edit_keywords, other_site_record, E_DENIED},
    {"another site's record, moved", verify_opinion, other_site_record, E_DENIED},
    {"another site's record, voided", void_opinion, other_site_record, E_DENIED},
    {"a reference into another site", new_opinion, refers_to_another_site, E_PARENT},
    {"a reference to nothing", new_opinion, refers_to_nothing, E_PARENT},
    {"another replica's change", edit_keywords, foreign_replica, E_PROTOCOL},
    {"the city's own change", edit_keywords, replica_is_the_city, E_PROTOCOL},
    {"a number skipped", edit_keywords, number_ahead, E_PROTOCOL},
    {"a number of nothing", edit_keywords, number_of_nothing, E_MALFORMED},
    {"an act longer than sent", edit_keywords, act_longer_than_sent, E_PROTOCOL},
    {"an act of nothing", edit_keywords, act_of_none, E_MALFORMED},
    {"an act without its beginning", edit_keywords, act_begins_late, E_PROTOCOL},
    {"a vanishing value in the open", new_opinion, vanishing_value_open, E_MALFORMED},
    {"a plain value as a hash", edit_keywords, plain_value_hashed, E_MALFORMED},
    {"a text sealed from the city", new_opinion, sealed_text, E_MALFORMED},
    {"a sealed value in the open", edit_keywords, sealed_in_the_open, E_MALFORMED},
    {"the site's own value shown", new_opinion, site_value_unsealed, E_MALFORMED},
    {"a hash without its value", new_opinion, value_withheld, E_MALFORMED},
    {"a text in parts", edit_keywords, delta_of_a_text, E_MALFORMED},
    {"a value too long", edit_keywords, too_long, E_INVALID},
    {"a value of another type", edit_keywords, wrong_type, E_INVALID},
    {"a code there is not", new_opinion, unknown_code, E_INVALID},
    {"a day there is not", new_opinion, impossible_date, E_INVALID},
    {"a field there is not", edit_keywords, unknown_tag, E_VERSION},
    {"a kind there is not", edit_keywords, unknown_kind, E_VERSION},
    {"a state without a step", edit_keywords, state_as_a_field, E_INVALID},
    {"a record moved to a site", edit_keywords, site_moved, E_INVALID},
    {"a serial number changed", edit_keywords, serial_changed, E_MALFORMED},
    {"a serial number by its alias", edit_keywords, number_as_a_field, E_INVALID},
    {"a record made historic", edit_keywords, historic_afterwards, E_MALFORMED},
    {"a record put into a file", edit_keywords, filed_afterwards, E_MALFORMED},
    {"voided by an edit", edit_keywords, voided_in_passing, E_MALFORMED},
    {"an edit in a voiding", void_opinion, void_with_more, E_MALFORMED},
    {"a voiding that does not void", void_opinion, void_that_is_none, E_MALFORMED},
    {"a voiding without a reason", void_opinion, void_without_reason, E_INVALID},
    {"an erasure", edit_keywords, erases, E_GUARD_LATER},
    {"a step from another state", verify_opinion, from_another_state, E_STATE},
    {"a step to no state", verify_opinion, to_no_state, E_STATE},
    {"a record that begins at its end", new_opinion, created_closed, E_STATE},
    {"a record that is there", new_opinion, created_twice, E_EXISTS},
    {"a record that is not there", edit_keywords, not_there, E_PARENT},
    {"the city's field", NULL, city_field, E_OWNER},
    {"the city's mirror", NULL, city_mirror, E_OWNER},
    {"content after it was sent", NULL, locked_content, E_STATE},
    {"the city's tracking", NULL, city_step_text, E_OWNER},
    {"a published card", NULL, published_record, E_ROLE},
    {"a password hash", NULL, password_of_an_account, E_INVALID},
    {"a role for oneself", NULL, grants_himself_a_role, E_ROLE},
    {"a city role for a county", NULL, grants_a_city_role, E_INVALID},
    {"a kind of the city", NULL, city_kind, E_OWNER},
    {"a kind of the city, in its stream", NULL, city_kind_as_its_own, E_OWNER},
    {"a kind of everybody", NULL, shared_kind, E_OWNER},
    {"a kind of everybody, in its stream", NULL, shared_kind_as_its_own, E_OWNER},
};

/* ---- trying ---- */

/* Entries of the stream since the last commit. */
static uint64_t entries(struct forging *f, uint32_t stream)
{
    struct slice head, signature;
    struct entry e;
    uint64_t seq, n = 0;

    assert_int_equal(city_head(f->s.city, stream, &head, &signature, &seq), 0);
    while (store_entry_get(city_store(f->s.city), stream, seq + n + 1, &f->s.work, &e, NULL) == 0)
        n++;
    return n;
}

static bool grew_anywhere(struct forging *f)
{
    return entries(f, STREAM_SHARED) + entries(f, STREAM_CITY) + entries(f, STAGE_SITE) +
               entries(f, STAGE_OTHER) >
           0;
}

/* What is there is absent for a creation, unless the forgery names it. */
static const struct kind *absent(const struct forging *f, const struct forgery *g)
{
    return f->c.op == OP_CREATE && (g == NULL || g->expected != E_EXISTS) ? f->kind : NULL;
}

static bool same_values(const struct row *a, const struct row *b)
{
    for (unsigned i = 0; a != NULL && b != NULL && i < a->kind->n_fields; i++) {
        if (a->values[i].type != b->values[i].type || a->values[i].i != b->values[i].i ||
            !slice_eq(a->values[i].s, b->values[i].s))
            return false;
    }
    return (a == NULL) == (b == NULL);
}

static unsigned refuse(struct forging *f, const struct forgery *g)
{
    if (g->honest != NULL)
        g->honest(f);
    g->forge(f);
    stage_enter(&f->s, AT_PUSH, absent(f, g));
    struct row *before = stage_look(&f->s, AT_PUSH, f->kind);
    int ret = stage_push(&f->s, &f->c);
    bool same = same_values(before, stage_look(&f->s, AT_PUSH, f->kind)) && !grew_anywhere(f);
    stage_leave(&f->s, AT_PUSH);
    if (ret == g->expected && same)
        return 0;
    print_error("%s: %s%s, not %s\n", g->name, ret == 0 ? "accepted" : err_code(ret),
                same ? "" : " and written", err_code(g->expected));
    return 1;
}

/* The answer, and how many entries came of it in the site's stream. */
static int push(struct forging *f, uint64_t *ret_entries)
{
    stage_enter(&f->s, AT_PUSH, absent(f, NULL));
    int ret = stage_push(&f->s, &f->c);
    *ret_entries = entries(f, STAGE_SITE);
    stage_leave(&f->s, AT_PUSH);
    return ret;
}

/* ---- tests ---- */

static int setup(void **state)
{
    static struct forging f;

    memset(&f, 0, sizeof f);
    stage_open(&f.s);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    stage_close(&((struct forging *)*state)->s);
    return 0;
}

/* What the forgeries start from is taken. */
static void test_forgery__honest_changes_are_taken(void **state)
{
    static void (*const honest[])(struct forging *) = {new_opinion, edit_keywords, verify_opinion,
                                                       void_opinion};

    uint64_t n;

    for (size_t i = 0; i < sizeof honest / sizeof *honest; i++) {
        honest[i](*state);
        assert_int_equal(push(*state, &n), 0);
        assert_int_equal(n, 1);
    }
}

/* What was answered is not taken a second time. */
static void test_forgery__a_number_is_taken_once(void **state)
{
    struct forging *f = *state;

    edit_keywords(f);
    stage_enter(&f->s, AT_PUSH, NULL);
    assert_int_equal(stage_push(&f->s, &f->c), 0);
    assert_int_equal(stage_push(&f->s, &f->c), E_PROTOCOL);
    assert_int_equal(entries(f, STAGE_SITE), 1);
    stage_leave(&f->s, AT_PUSH);
}

/* One lie each: refused for what it is, and nothing is written anywhere. */
static void test_forgery__lies_are_refused(void **state)
{
    unsigned wrong = 0;

    for (size_t i = 0; i < sizeof forgeries / sizeof *forgeries; i++)
        wrong += refuse(*state, &forgeries[i]);
    print_message("%zu forgeries\n", sizeof forgeries / sizeof *forgeries);
    assert_int_equal(wrong, 0);
}

/* Added elements must be good; a set that has too few left is taken with a conflict. */
static void test_forgery__sets_in_parts(void **state)
{
    struct forging *f = *state;
    const struct kind *studio = catalogue_kind_named("studio");
    uint64_t n;

    edit(f, "studio", "co_build", kind_field_named(studio, "co_build")->codes->codes[1].code);
    field(f, "co_build")->form = FORM_DELTA;
    assert_int_equal(push(f, &n), 0);
    assert_int_equal(n, 1);
    delta_of_unknown_code(f);
    assert_int_equal(push(f, &n), E_INVALID);

    begin(f, "activity_group", OP_SET);
    const struct field *members = kind_field_named(f->kind, "member_ids");
    struct value all = *row_named(stage_row(&f->s, f->kind), "member_ids");
    assert_int_equal(all.s.len, members->min * ID_SIZE);
    struct field_change *fc = add(f, members->tag, value_null());
    fc->form = FORM_DELTA;
    fc->del = (struct value){.type = V_IDS, .s = {all.s.p, ID_SIZE}};
    assert_int_equal(push(f, &n), 0);
    assert_int_equal(n, 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_forgery__##name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(honest_changes_are_taken),
        TEST(a_number_is_taken_once),
        TEST(lies_are_refused),
        TEST(sets_in_parts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
