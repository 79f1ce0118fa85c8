/* common/catalogue/catalogue, row, lookup, workday, settings: finding things. */
#include "shelf.h"

#include "common/base/err.h"
#include "common/catalogue/guards.h"
#include "common/catalogue/settings.h"
#include "common/catalogue/workday.h"

/* Every kind is found by tag, name and label, and every field of it likewise. */
static void test_catalogue__finds_everything(void **state)
{
    (void)state;
    for (unsigned i = 0; i < catalogue_n_kinds; i++) {
        const struct kind *k = catalogue_kinds[i];
        assert_ptr_equal(catalogue_kind(k->tag), k);
        assert_ptr_equal(catalogue_kind_named(k->name), k);
        assert_ptr_equal(catalogue_kind_named(k->label), k);
        assert_int_equal(k->n_fields, k->n_own + 7);
        for (unsigned j = 0; j < k->n_fields; j++) {
            assert_ptr_equal(kind_field(k, k->fields[j].tag), &k->fields[j]);
            assert_ptr_equal(kind_field_named(k, k->fields[j].name), &k->fields[j]);
            assert_int_equal(kind_field_index(k, &k->fields[j]), j);
            assert_non_null(kind_field_named(k, k->fields[j].label));
        }
    }
}

static void test_catalogue__knows_no_others(void **state)
{
    const struct kind *opinion = catalogue_kind_named("opinion");

    (void)state;
    assert_null(catalogue_kind(0));
    assert_null(catalogue_kind(catalogue_kinds[catalogue_n_kinds - 1]->tag + 1));
    assert_null(catalogue_kind(UINT32_MAX));
    assert_null(catalogue_kind_named("opinions"));
    assert_null(kind_field(opinion, 0));
    assert_null(kind_field(opinion, 29)); /* the source's `state` has a header tag */
    assert_null(kind_field(opinion, 1000));
    assert_null(kind_field(opinion, TAG_HISTORIC_FILE + 1));
    assert_null(kind_field(opinion, UINT32_MAX));
    assert_null(code_table_named("no_such"));
    assert_int_equal(role_bit(slice_str("nobody")), 0);
}

static void test_catalogue__codes(void **state)
{
    const struct code_table *t = code_table_named("urgency");

    (void)state;
    assert_string_equal(code_find(t, slice_str("急件"), true)->code, "urgent");
    assert_null(code_find(t, slice_str("急件"), false));
    assert_string_equal(code_find(t, slice_str("critical"), false)->label, "特急");
    struct value roles = {.type = V_SET, .s = slice_str("county_clerk,liaison")};
    assert_int_equal(roles_of(&roles),
                     role_bit(slice_str("county_clerk")) | role_bit(slice_str("liaison")));
}

/* Aliases of the serial number, views and local values are in no change. */
static void test_catalogue__not_stored(void **state)
{
    static const char *const unstored[][2] = {
        {"opinion", "opinion_no"}, {"application", "app_no"}, {"submission", "sub_no"},
        {"studio", "studio_no"}, {"info_case", "info_no"}, {"submission", "cosigners"},
        {"user_account", "pwd_hash"}, {"user_account", "locked_until"}};

    (void)state;
    for (size_t i = 0; i < sizeof unstored / sizeof *unstored; i++) {
        const struct kind *k = catalogue_kind_named(unstored[i][0]);
        assert_false(kind_field_named(k, unstored[i][1])->stored);
    }
    const struct kind *card = catalogue_kind_named("studio_card");
    assert_true(kind_field_named(card, "studio_no")->stored);
}

/* The speed of opinions is measured: one index beside the serial number. */
static void test_catalogue__opinion_has_one_index(void **state)
{
    const struct kind *k = catalogue_kind_named("opinion");

    (void)state;
    for (unsigned i = 0; i < k->n_own; i++) {
        assert_int_equal(k->fields[i].indexed, strcmp(k->fields[i].name, "submission_id") == 0);
    }
}

/* ---- rows ---- */

static void test_row__values_and_shorthands(void **state)
{
    struct shelf s;
    struct id id;

    (void)state;
    shelf_init(&s);
    struct row *studio = shelf_put(&s, "studio", "name", "桂阳工作室", NULL);
    struct row *o = shelf_put(&s, "opinion", "title", "路灯", "anonymous", "是", "state",
                              "collected", NULL);
    shelf_refer(&s, o, "studio_id", studio);
    assert_true(slice_eq(row_text(o, "title"), slice_str("路灯")));
    assert_int_equal(row_int(o, "anonymous"), 1);
    assert_int_equal(row_int(o, "person_count"), 0);
    assert_int_equal(row_text(o, "content").len, 0);
    assert_true(row_in_state(o, "collected"));
    assert_int_equal(row_site(o), 431021);
    assert_false(row_voided(o));
    assert_true(row_id(o, "studio_id", &id) && id_eq(&id, &studio->id));
    assert_true(value_is_null(row_get(o, 999)));
    struct row *copy = row_dup(&s.a, o);
    assert_true(value_eq(row_named(copy, "title"), row_named(o, "title")));
    assert_ptr_not_equal(copy->values, o->values);
    shelf_release(&s);
}

static void test_lookup__follows_references(void **state)
{
    struct shelf s;
    struct row *found, **rows;
    size_t n;

    (void)state;
    shelf_init(&s);
    struct row *sub = shelf_put(&s, "submission", "title", "关于路灯的建议", NULL);
    for (int i = 0; i < 20; i++) {
        shelf_refer(&s, shelf_put(&s, "opinion", "title", "路灯", NULL), "submission_id", sub);
    }
    assert_int_equal(lookup_ref(&s.lookup, s.rows[1], "submission_id", &found), 0);
    assert_ptr_equal(found, sub);
    assert_int_equal(lookup_ref(&s.lookup, s.rows[1], "studio_id", &found), 0);
    assert_null(found);
    struct value id = value_id(&sub->id);
    assert_int_equal(lookup_find(&s.lookup, &s.a, "opinion", "submission_id", &id, &rows, &n), 0);
    assert_int_equal(n, 20);
    shelf_release(&s);
}

/* ---- working days ---- */

static day_t day(int y, int m, int d)
{
    return cal_day((struct cal_date){y, m, d});
}

/* Weekends, a holiday on a Monday, and a Saturday made up for. */
static void test_workday__holidays_and_weekends(void **state)
{
    struct shelf s;
    day_t on;
    bool is;
    int n;

    (void)state;
    shelf_init(&s);
    assert_int_equal(workday_add(NULL, day(2026, 3, 6), 3, &on), 0); /* a Friday */
    assert_int_equal(on, day(2026, 3, 11));
    shelf_put(&s, "holiday", "on_date", "2026-03-09", "is_workday", "否", NULL);
    shelf_put(&s, "holiday", "on_date", "2026-03-07", "is_workday", "是", NULL);
    assert_int_equal(workday_add(&s.lookup, day(2026, 3, 6), 3, &on), 0);
    assert_int_equal(on, day(2026, 3, 11)); /* Sat 7, Tue 10, Wed 11 */
    assert_int_equal(workday_is(&s.lookup, day(2026, 3, 9), &is), 0);
    assert_false(is);
    assert_int_equal(workday_between(&s.lookup, day(2026, 3, 6), day(2026, 3, 11), &n), 0);
    assert_int_equal(n, 3);
    assert_int_equal(workday_between(&s.lookup, day(2026, 3, 11), day(2026, 3, 6), &n), 0);
    assert_int_equal(n, -3);
    assert_int_equal(workday_add(&s.lookup, day(2026, 3, 6), 0, &on), 0);
    assert_int_equal(on, day(2026, 3, 6));
    shelf_release(&s);
}

/* ---- settings ---- */

static int64_t fixed(void *ctx, const char *name, uint32_t site)
{
    (void)ctx;
    return strcmp(name, "sign_days") == 0 && site == 431021 ? 7 : setting(NULL, name, site);
}

static void test_settings__defaults(void **state)
{
    const struct field *value = kind_field_named(catalogue_kind_named("setting"), "value");
    struct settings own = {fixed, NULL};

    (void)state;
    assert_int_equal(setting(NULL, "sign_days", 431021), 3);
    assert_int_equal(setting(&own, "sign_days", 431021), 7);
    assert_int_equal(setting(&own, "sign_days", 431081), 3);
    for (unsigned i = 0; i < settings_n; i++) {
        const struct setting_info *info = &settings_list[i];
        assert_ptr_equal(setting_info(info->name), info);
        assert_true(info->preset >= info->min && info->preset <= info->max);
        assert_true(strcmp(info->name, "attachment_bytes") != 0 || info->max < 768 << 20); /* a bundle's bytes */
        assert_true(value->min <= info->min && info->max <= value->max); /* its record can hold it */
    }
}

static struct row *put_setting(struct shelf *s, const char *name, const char *site,
                               const char *value)
{
    return shelf_put(s, "setting", "name", name, "for_site", site, "value", value, NULL);
}

/* The site's own row, else the general one, else the preset. */
static void test_settings__own_then_general_then_preset(void **state)
{
    struct setting_table t = {.n = 0};
    struct settings rows = setting_table_settings(&t);
    struct shelf s;

    (void)state;
    shelf_init(&s);
    put_setting(&s, "sign_days", "431021", "7");
    put_setting(&s, "sign_days", "", "5");
    put_setting(&s, "route_days", "431021", "9");
    shelf_set(&s, put_setting(&s, "review_days", "", "9"), "voided", "1");
    for (size_t i = 0; i < s.n; i++) {
        assert_int_equal(setting_table_take(&t, s.rows[i]), 0);
    }
    assert_int_equal(setting(&rows, "sign_days", 431021), 7);
    assert_int_equal(setting(&rows, "sign_days", 431081), 5);
    assert_int_equal(setting(&rows, "sign_days", 0), 5);
    assert_int_equal(setting(&rows, "route_days", 431081), 5); /* preset */
    assert_int_equal(setting(&rows, "route_days", 0), 5);
    assert_int_equal(setting(&rows, "review_days", 431021), 15);
    assert_null(setting_table_find(&t, "review_days", 431021));
    setting_table_clear(&t);
    assert_int_equal(setting(&rows, "sign_days", 431021), 3);
    setting_table_release(&t);
    shelf_release(&s);
}

/* What a newer city may send does no harm. */
static void test_settings__unknown_rows_are_passed_over(void **state)
{
    static const char *const odd[][3] = {{"no_such_setting", "", "1"},
                                         {"county_review", "", "2"},
                                         {"go_live", "", "20260231"},
                                         {"sign_days", "43102x", "9"}};
    struct setting_table t = {.n = 0};
    struct shelf s;

    (void)state;
    shelf_init(&s);
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        assert_int_equal(setting_table_take(&t, put_setting(&s, odd[i][0], odd[i][1], odd[i][2])),
                         0);
    }
    assert_int_equal(t.n, 0);
    setting_table_release(&t);
    shelf_release(&s);
}

static void test_settings__valid(void **state)
{
    const struct setting_info *day = setting_info("go_live"), *review = setting_info("county_review");

    (void)state;
    assert_true(setting_valid(day, 0) && setting_valid(day, 20260101) && setting_valid(day, 20240229));
    assert_false(setting_valid(day, 20260229) || setting_valid(day, 20261301) ||
                 setting_valid(day, 20260100) || setting_valid(day, 1) || setting_valid(day, -1));
    assert_true(setting_valid(review, 0) && setting_valid(review, 1));
    assert_false(setting_valid(review, 2) || setting_valid(review, -1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_catalogue__finds_everything),
        cmocka_unit_test(test_catalogue__knows_no_others),
        cmocka_unit_test(test_catalogue__codes),
        cmocka_unit_test(test_catalogue__not_stored),
        cmocka_unit_test(test_catalogue__opinion_has_one_index),
        cmocka_unit_test(test_row__values_and_shorthands),
        cmocka_unit_test(test_lookup__follows_references),
        cmocka_unit_test(test_workday__holidays_and_weekends),
        cmocka_unit_test(test_settings__defaults),
        cmocka_unit_test(test_settings__own_then_general_then_preset),
        cmocka_unit_test(test_settings__unknown_rows_are_passed_over),
        cmocka_unit_test(test_settings__valid),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
