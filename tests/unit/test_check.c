/* common/catalogue: parsing, formatting, masks, values, records, shared rules, ownership. */
#include "shelf.h"

#include "common/base/err.h"

/* ---- helpers ---- */

static const struct field *field(const char *kind, const char *name)
{
    const struct field *f = kind_field_named(catalogue_kind_named(kind), name);

    assert_non_null(f);
    return f;
}

/* TEXT read into the field and written again reads EXPECTED; NULL: it is refused. */
static void assert_reads(const char *kind, const char *name, const char *text, const char *expected)
{
    struct arena a;
    struct buf b;
    struct value v;
    struct err err = {0};
    const struct field *f = field(kind, name);

    arena_init(&a, 1 << 20);
    buf_init(&b, 1 << 16);
    int ret = check_parse(&a, f, slice_str(text), &v, &err);
    if (expected == NULL) {
        if (ret != E_INVALID) {
            fail_msg("%s.%s accepts '%s'", kind, name, text);
        }
        assert_non_null(strstr(err.text, f->label));
    } else {
        if (ret != 0) {
            fail_msg("%s.%s refuses '%s': %s", kind, name, text, err.text);
        }
        assert_int_equal(check_format(&b, f, &v), 0);
        assert_string_equal(buf_cstr(&b), expected);
        /* What is shown can be read back. */
        struct value again;
        assert_int_equal(check_parse(&a, f, buf_slice(&b), &again, NULL), 0);
        assert_true(value_eq(&again, &v));
    }
    buf_release(&b);
    arena_release(&a);
}

static void assert_row(struct shelf *s, const struct row *row, int expected, const char *label)
{
    struct err err = {0};
    int ret = check_row(&s->check, row, &err);

    if (ret != expected || (label != NULL && strstr(err.text, label) == NULL)) {
        fail_msg("%s: %d '%s' instead of %d '%s'", row->kind->name, ret, err.text, expected,
                 label == NULL ? "" : label);
    }
}

/* ---- parsing ---- */

/* domain.md §4.1: all forms people and spreadsheets write a day in. */
static void test_parse__dates(void **state)
{
    static const char *const same[] = {
        "2026-3-5", "2026-03-05", "2026/3/5", "2026.3.5", "2026年3月5日", "20260305", "46086",
        "46086.5", "2026-3-5 9:30", "2026/3/5 09:30:15", "2026年3月5日 9:30", " 2026-3-5 \n",
        "2026-03-05T09:30:00+08:00", "　2026-3-5"};
    static const char *const bad[] = {
        "2026-2-29", "2026-13-1", "2026", "26-3-5", "2026-3", "明天", "2026-3/5", "2026-3-5x",
        "2026-3-5 25:00", "1", "9999999999", "2026-3-5 9", "2026年3月5"};

    (void)state;
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        assert_reads("opinion", "due_on", same[i], "2026-03-05");
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_reads("opinion", "due_on", bad[i], NULL);
    }
    assert_reads("opinion", "due_on", "", "");
}

static void test_parse__datetimes(void **state)
{
    (void)state;
    assert_reads("opinion", "received_at", "2026-3-5", "2026-03-05 00:00:00");
    assert_reads("opinion", "received_at", "2026/3/5 9:30", "2026-03-05 09:30:00");
    assert_reads("opinion", "received_at", "2026年3月5日 9:30:15", "2026-03-05 09:30:15");
    assert_reads("opinion", "received_at", "46086.396006944444", "2026-03-05 09:30:15");
    assert_reads("opinion", "received_at", "46086.999999999", "2026-03-06 00:00:00");
    assert_reads("opinion", "received_at", "2026-03-05T09:30:15+08:00", "2026-03-05 09:30:15");
    assert_reads("opinion", "received_at", "2026-03-05T09:30:15+09:00", NULL);
    assert_reads("duty_shift", "start_time", "9:30", "09:30");
    assert_reads("duty_shift", "start_time", "9：30", "09:30");
    assert_reads("duty_shift", "start_time", "24:00", NULL);
}

static void test_parse__numbers(void **state)
{
    (void)state;
    assert_reads("expense", "amount_fen", "12.30", "12.30");
    assert_reads("expense", "amount_fen", "12", "12.00");
    assert_reads("expense", "amount_fen", "12.3", "12.30");
    assert_reads("expense", "amount_fen", "0.01", "0.01");
    assert_reads("expense", "amount_fen", "12.345", NULL);
    assert_reads("expense", "amount_fen", "0", NULL);
    assert_reads("expense", "amount_fen", "-1", NULL);
    assert_reads("expense", "amount_fen", "99999999999999999999", NULL);
    assert_reads("duty_log", "hours", "2.5", "2.5");
    assert_reads("duty_log", "hours", "0.4", NULL);
    assert_reads("duty_log", "hours", "24", "24.0");
    assert_reads("duty_log", "hours", "24.1", NULL);
    assert_reads("duty_log", "hours", "2.55", NULL);
    assert_reads("opinion", "person_count", "3", "3");
    assert_reads("opinion", "person_count", "3.0", "3");
    assert_reads("opinion", "person_count", "0", NULL);
    assert_reads("opinion", "person_count", "三", NULL);
    assert_reads("budget", "year", "2026年", "2026");
    assert_reads("budget", "year", "1999", NULL);
    assert_reads("score_rule", "points", "-2.5", "-2.5");
}

static void test_parse__words(void **state)
{
    (void)state;
    assert_reads("opinion", "anonymous", "是", "是");
    assert_reads("opinion", "anonymous", "TRUE", "是");
    assert_reads("opinion", "anonymous", "0", "否");
    assert_reads("opinion", "anonymous", "也许", NULL);
    assert_reads("submission", "no_secret", "否", NULL);
    assert_reads("submission", "urgency", "急件", "急件");
    assert_reads("submission", "urgency", "urgent", "急件");
    assert_reads("submission", "urgency", "快", NULL);
    assert_reads("member", "level", "市级、县级", "市级、县级");
    assert_reads("member", "level", "county, city；city", "市级、县级");
    assert_reads("member", "level", "国家级", NULL);
    assert_reads("member", "gender", "男", "男");
    assert_reads("member", "gender", "雄", NULL);
    assert_reads("opinion", "studio_id", "01900000-0000-7000-8000-000000000001",
                 "01900000-0000-7000-8000-000000000001");
    assert_reads("opinion", "studio_id", "桂阳工作室", NULL);
    assert_reads("submission", "cosigners", "张三", NULL);
}

static void test_parse__text(void **state)
{
    (void)state;
    assert_reads("opinion", "content", "  路灯\r\n不亮\r了\xe3\x80\x80 ", "路灯\n不亮\n了");
    assert_reads("opinion", "content", "𬱟㛃两字", "𬱟㛃两字");
    assert_reads("opinion", "content", "一", NULL);
    assert_reads("opinion", "title",
                 "一二三四五六七八九十一二三四五六七八九十一二三四五六七八九十"
                 "一二三四五六七八九十一二三四五六七八九十一二三四五六七八九十一", NULL);
    assert_reads("opinion", "content", "\xff\xfe", NULL);
}

static void test_parse__phones(void **state)
{
    static const char *const good[] = {"13812345678", "19912345678", "0735-2221234", "07352221234",
                                       "010-12345678", "01012345678", "0735-2221234-123"};
    static const char *const bad[] = {"12812345678", "1381234567", "138123456789", "2221234",
                                      "735-2221234", "0735-222123", "0735-2221234-", "+8613812345678",
                                      "0735-2221234-123456", "138-1234-5678"};

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_reads("member", "phone", good[i], good[i]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_reads("member", "phone", bad[i], NULL);
    }
    assert_reads("publicity", "url", "https://www.czzx.gov.cn/a?b=1", "https://www.czzx.gov.cn/a?b=1");
    assert_reads("publicity", "url", "www.czzx.gov.cn", NULL);
}

/* Every field of every kind takes what the fixture calls valid, and its text reads back. */
static void test_parse__every_field(void **state)
{
    struct shelf s;
    struct buf b;

    (void)state;
    shelf_init(&s);
    buf_init(&b, 1 << 20);
    for (unsigned i = 0; i < catalogue_n_kinds; i++) {
        for (unsigned j = 0; j < catalogue_kinds[i]->n_own; j++) {
            const struct field *f = &catalogue_kinds[i]->fields[j];
            if (!f->stored || f->type == FT_SECRET) {
                continue;
            }
            struct value v = shelf_any(&s, f), again;
            struct err err = {0};
            if (check_value(f, &v, &err) != 0) {
                fail_msg("%s.%s: %s", catalogue_kinds[i]->name, f->name, err.text);
            }
            buf_clear(&b);
            assert_int_equal(check_format(&b, f, &v), 0);
            assert_int_equal(check_parse(&s.a, f, buf_slice(&b), &again, &err), 0);
            assert_true(value_eq(&v, &again));
            struct value wrong = v.type == V_INT ? value_str("x") : value_int(INT64_MAX);
            assert_int_equal(check_value(f, &wrong, &err), E_INVALID);
        }
    }
    buf_release(&b);
    shelf_release(&s);
}

/* Every preset is a value of its field. */
static void test_parse__presets(void **state)
{
    (void)state;
    for (unsigned i = 0; i < catalogue_n_kinds; i++) {
        for (unsigned j = 0; j < catalogue_kinds[i]->n_own; j++) {
            const struct field *f = &catalogue_kinds[i]->fields[j];
            struct arena a;
            struct value v;
            arena_init(&a, 4096);
            if (f->preset != NULL) {
                assert_int_equal(check_parse(&a, f, slice_str(f->preset), &v, NULL), 0);
            }
            arena_release(&a);
        }
    }
}

/* ---- masks and what vanished ---- */

static void assert_mask(const char *kind, const char *name, struct value v, const char *expected)
{
    struct buf b;

    buf_init(&b, 256);
    assert_int_equal(check_mask(&b, field(kind, name), &v), 0);
    assert_string_equal(buf_cstr(&b), expected);
    buf_release(&b);
}

static void test_mask__shows_little(void **state)
{
    struct value sealed = {.type = V_SEALED, .s = slice_str("xyz")};

    (void)state;
    assert_mask("member", "phone", value_str("13812345678"), "138****5678");
    assert_mask("opinion", "person_name", value_str("李小明"), "李**");
    assert_mask("opinion", "person_name", value_str("欧阳娜娜"), "欧**");
    assert_mask("opinion", "person_name", sealed, "***");
    assert_mask("opinion", "person_name", (struct value){.type = V_ERASED}, "已删除");
    assert_mask("opinion", "person_name", value_null(), "");
}

static void test_value__sealed_and_erased_where_allowed(void **state)
{
    struct value sealed = {.type = V_SEALED, .s = slice_str("xyz")}, erased = {.type = V_ERASED};

    (void)state;
    assert_int_equal(check_value(field("opinion", "person_name"), &sealed, NULL), 0);
    assert_int_equal(check_value(field("opinion", "content"), &sealed, NULL), E_INVALID);
    assert_int_equal(check_value(field("opinion", "content"), &erased, NULL), 0);
    assert_int_equal(check_value(field("opinion", "category"), &erased, NULL), E_INVALID);
}

/* ---- records ---- */

/* Nothing is asked of a draft; everything of what has left it. */
static void test_row__required_after_first_state(void **state)
{
    struct shelf s;

    (void)state;
    shelf_init(&s);
    struct row *sub = shelf_put(&s, "submission", "title", "关于路灯的建议", "state", "draft",
                                "form", "special_report", NULL);
    assert_row(&s, sub, 0, NULL);
    shelf_set(&s, sub, "state", "county_review");
    assert_row(&s, sub, E_INVALID, "工作室");
    shelf_fill(&s, sub);
    shelf_set(&s, sub, "form", "special_report");
    shelf_set(&s, sub, "analysis", "");
    assert_row(&s, sub, E_INVALID, "分析");
    shelf_set(&s, sub, "form", "micro_suggestion");
    assert_row(&s, sub, 0, NULL);
    shelf_set(&s, sub, "state", "withdrawn");
    shelf_set(&s, sub, "situation", "");
    assert_row(&s, sub, 0, NULL);
    shelf_release(&s);
}

static void test_row__conditions(void **state)
{
    struct shelf s;

    (void)state;
    shelf_init(&s);
    struct row *o = shelf_put(&s, "opinion", "state", "verifying", NULL);
    assert_true(check_condition(o, "anonymous!=1"));
    assert_false(check_condition(o, "anonymous=0|1"));
    assert_false(check_condition(o, "due_on!="));
    shelf_set(&s, o, "anonymous", "1");
    assert_false(check_condition(o, "anonymous!=1"));
    assert_true(check_condition(o, "anonymous=0|1"));
    assert_true(check_condition(o, "state=handled|verifying"));
    shelf_set(&s, o, "due_on", "2026-3-5");
    assert_true(check_condition(o, "due_on!="));
    shelf_release(&s);
}

static void test_row__settings(void **state)
{
    static const struct {
        const char *name, *site, *value, *label;
    } broken[] = {
        {"no_such_setting", "", "1", "设置项"},
        {"county_review", "", "2", "县级审核"},
        {"go_live", "", "20260231", "启用日期"},
        {"go_live", "439999", "20260201", "适用单位"},
    };
    struct shelf s;
    struct err err = {0};

    (void)state;
    shelf_init(&s);
    shelf_put(&s, "site", "code", "431021", NULL);
    struct row *good = shelf_put(&s, "setting", "name", "go_live", "for_site", "431021", "value",
                                 "20260201", NULL);
    assert_int_equal(check_row(&s.check, good, &err), 0);
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        struct row *row = shelf_put(&s, "setting", "name", broken[i].name, "for_site",
                                    broken[i].site, "value", broken[i].value, NULL);
        err = (struct err){0};
        assert_int_equal(check_row(&s.check, row, &err), E_INVALID);
        assert_non_null(strstr(err.text, broken[i].label));
    }
    shelf_release(&s);
}

/* One setting a site, and one in general. */
static void test_shared__one_setting_a_site(void **state)
{
    struct shelf s;
    struct err err = {0};
    uint32_t tag;

    (void)state;
    shelf_init(&s);
    shelf_put(&s, "setting", "name", "sign_days", "value", "5", NULL);
    struct row *own = shelf_put(&s, "setting", "name", "sign_days", "for_site", "431021", "value",
                                "7", NULL);
    assert_int_equal(check_shared(&s.check, own, &tag, &err), 0);
    struct row *again = shelf_put(&s, "setting", "name", "sign_days", "value", "6", NULL);
    assert_int_equal(check_shared(&s.check, again, &tag, &err), E_CONFLICT);
    shelf_set(&s, again, "for_site", "431021");
    assert_int_equal(check_shared(&s.check, again, &tag, &err), E_CONFLICT);
    shelf_set(&s, own, "voided", "1");
    assert_int_equal(check_shared(&s.check, again, &tag, &err), 0);
    shelf_release(&s);
}

/* One broken rule each, on a record that is otherwise whole. */
static void test_row__rules_of_kinds(void **state)
{
    static const struct {
        const char *kind, *state, *name, *text, *label;
    } broken[] = {
        {"term", "", "end_on", "2026-03-01", "任期届满"},
        {"activity", "planned", "end_at", "2026-03-01", "结束时间"},
        {"duty_shift", "planned", "end_time", "8:59", "结束"},
        {"studio_member", "", "left_on", "2026-02-28", "退出日期"},
        {"member", "", "level", "city", "委员层级"},
        {"org_unit", "", "unit_type", "gov", "可作对口委室"},
        {"application", "signing", "category", "sector", "工作室类别"},
        {"expense", "submitted", "approver", "00", "审批人"},
        {"duty_log", "signed", "log_on", "2026-03-06", "日期"},
        {"handling_task", "assigned", "due_on", "2026-09-02", "办理期限"},
        {"handling_task", "assigned", "ext_to", "2026-09-02", "延期至"},
        {"feedback", "", "attitude", "dissatisfied", "意见说明"},
        {"user_account", "", "role", "operator,county_clerk", "角色"},
        {"user_account", "", "role", "liaison", "角色"},
        {"attachment", "", "mime", "text/html", "类型"},
        {"info_case", "screening", "form", "proposal", "形式"},
        {"site", "", "code", "43102x", "行政区划代码"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        struct shelf s;
        shelf_init(&s);
        struct row *row = shelf_put(&s, broken[i].kind, "state", broken[i].state, NULL);
        shelf_set(&s, row, broken[i].name, broken[i].text);
        if (strcmp(broken[i].kind, "handling_task") == 0 && strcmp(broken[i].name, "due_on") != 0) {
            shelf_set(&s, row, "due_on", "2026-06-01");
        }
        if (strcmp(broken[i].kind, "info_case") == 0) {
            shelf_set(&s, row, "editor", "张三");
        }
        shelf_fill(&s, row);
        if (strcmp(broken[i].kind, "feedback") == 0) {
            shelf_set(&s, row, "reason", "");
        }
        if (strcmp(broken[i].kind, "duty_log") == 0) {
            shelf_set(&s, row, "end_time", "10:00");
        }
        assert_row(&s, row, E_INVALID, broken[i].label);
        shelf_release(&s);
    }
}

/* Month ends clamp: assigned on 31 August, six months end on 28 February. */
static void test_row__due_bound_clamps(void **state)
{
    struct shelf s;

    (void)state;
    shelf_init(&s);
    struct row *t = shelf_put(&s, "handling_task", "state", "handling", "assigned_on", "2026-08-31",
                              "due_on", "2027-02-28", "signed_on", "2026-09-01", "ext_to",
                              "2027-02-28", NULL);
    shelf_fill(&s, t);
    assert_row(&s, t, 0, NULL);
    shelf_set(&s, t, "due_on", "2027-03-01");
    assert_row(&s, t, E_INVALID, "办理期限");
    shelf_release(&s);
}

/* A log written late says why, judged by the author's clock and not by arrival. */
static void test_row__backdated_log(void **state)
{
    struct shelf s;

    (void)state;
    shelf_init(&s);
    struct row *log = shelf_put(&s, "duty_log", "state", "draft", "log_on", "2026-02-01", NULL);
    assert_row(&s, log, E_INVALID, "补录原因");
    log->created_at = 1770000000000u; /* 2026-02-02 */
    assert_row(&s, log, 0, NULL);
    shelf_release(&s);
}

/* §5.6.9. */
static void test_row__closed_opinion(void **state)
{
    struct shelf s;

    (void)state;
    shelf_init(&s);
    struct row *o = shelf_put(&s, "opinion", "state", "closed", "anonymous", "否", NULL);
    shelf_fill(&s, o);
    shelf_set(&s, o, "feedback_on", "");
    shelf_set(&s, o, "not_accept_reason", "");
    assert_row(&s, o, E_INVALID, "反馈群众日期");
    shelf_set(&s, o, "anonymous", "是");
    assert_row(&s, o, 0, NULL);
    shelf_set(&s, o, "anonymous", "否");
    shelf_set(&s, o, "not_accept_reason", "petition");
    assert_row(&s, o, 0, NULL);
    shelf_release(&s);
}

/* ---- shared rules ---- */

static void assert_shared(struct shelf *s, const struct row *row, int expected)
{
    struct err err = {0};
    uint32_t tag = 0;

    assert_int_equal(check_shared(&s->check, row, &tag, &err), expected);
    assert_int_equal(err.text[0] != '\0', expected != 0);
}

static void test_shared__unique_and_twins(void **state)
{
    struct shelf s;

    (void)state;
    shelf_init(&s);
    struct row *a = shelf_put(&s, "user_account", "login", "wang", NULL);
    assert_shared(&s, a, 0);
    struct row *b = shelf_put(&s, "user_account", "login", "wang", NULL);
    assert_shared(&s, b, E_CONFLICT);
    row_put(b, TAG_SITE, value_str("431081"));
    assert_shared(&s, b, 0);
    struct row *studio = shelf_put(&s, "studio", "name", "一", NULL);
    struct row *m1 = shelf_put(&s, "studio_member", "role", "负责人", NULL);
    struct row *m2 = shelf_put(&s, "studio_member", "role", "成员", NULL);
    shelf_refer(&s, m1, "studio_id", studio);
    shelf_refer(&s, m2, "studio_id", studio);
    shelf_refer(&s, m1, "member_id", a);
    shelf_refer(&s, m2, "member_id", a);
    assert_shared(&s, m2, E_CONFLICT);
    shelf_refer(&s, m2, "member_id", b);
    assert_shared(&s, m2, 0);
    shelf_set(&s, m2, "role", "负责人");
    assert_shared(&s, m2, E_CONFLICT);
    shelf_set(&s, m1, "left_on", "2026-3-1");
    assert_shared(&s, m2, 0);
    shelf_release(&s);
}

static void test_shared__overlapping_shifts(void **state)
{
    struct shelf s;

    (void)state;
    shelf_init(&s);
    struct row *a = shelf_put(&s, "duty_shift", "duty_on", "2026-3-5", "start_time", "9:00",
                              "end_time", "11:00", "member_ids",
                              "01900000-0000-7000-8000-000000000001", NULL);
    struct row *b = shelf_put(&s, "duty_shift", "duty_on", "2026-3-5", "start_time", "10:00",
                              "end_time", "12:00", "member_ids",
                              "01900000-0000-7000-8000-000000000001", NULL);
    assert_shared(&s, a, E_CONFLICT);
    shelf_set(&s, b, "start_time", "11:00");
    assert_shared(&s, a, 0);
    shelf_release(&s);
}

/* ---- ownership ---- */

static void assert_owner(const struct row *row, const char *name, enum side side, int expected)
{
    struct err err = {0};
    int ret = check_owner(row, field(row->kind->name, name), side, &err);

    if (ret != expected) {
        fail_msg("%s.%s: %d instead of %d", row->kind->name, name, ret, expected);
    }
}

static void test_owner__submission_locks(void **state)
{
    struct shelf s;

    (void)state;
    shelf_init(&s);
    struct row *sub = shelf_put(&s, "submission", "state", "draft", NULL);
    assert_owner(sub, "situation", SIDE_COUNTY, 0);
    assert_owner(sub, "situation", SIDE_CITY, E_OWNER);
    assert_owner(sub, "received_by", SIDE_COUNTY, E_OWNER);
    assert_owner(sub, "received_by", SIDE_CITY, E_STATE);
    shelf_set(&s, sub, "state", "county_review");
    assert_owner(sub, "situation", SIDE_COUNTY, E_STATE);
    assert_owner(sub, "county_reviewer", SIDE_COUNTY, 0);
    shelf_set(&s, sub, "state", "submitted");
    assert_owner(sub, "situation", SIDE_COUNTY, E_STATE);
    assert_owner(sub, "received_by", SIDE_CITY, 0);
    shelf_set(&s, sub, "state", "returned");
    assert_owner(sub, "situation", SIDE_COUNTY, 0);
    assert_owner(sub, "situation", SIDE_BOTH, 0);
    shelf_release(&s);
}

static void test_owner__by_stream_and_history(void **state)
{
    struct shelf s;
    struct value other = value_str("li");

    (void)state;
    shelf_init(&s);
    struct row *account = shelf_put(&s, "user_account", "login", "wang", NULL);
    assert_owner(account, "name", SIDE_COUNTY, 0);
    assert_owner(account, "name", SIDE_CITY, E_OWNER);
    account->stream = STREAM_CITY;
    assert_owner(account, "name", SIDE_CITY, 0);
    assert_owner(account, "name", SIDE_COUNTY, E_OWNER);
    assert_int_equal(check_immutable(account, field("user_account", "login"), &other, NULL), E_STATE);
    assert_int_equal(check_immutable(account, field("user_account", "name"), &other, NULL), 0);
    struct row *studio = shelf_put(&s, "studio", "historic", "1", NULL);
    assert_owner(studio, "approved_on", SIDE_COUNTY, E_OWNER);
    studio->exists = false;
    assert_owner(studio, "approved_on", SIDE_COUNTY, 0);
    shelf_release(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse__dates),
        cmocka_unit_test(test_parse__datetimes),
        cmocka_unit_test(test_parse__numbers),
        cmocka_unit_test(test_parse__words),
        cmocka_unit_test(test_parse__text),
        cmocka_unit_test(test_parse__phones),
        cmocka_unit_test(test_parse__every_field),
        cmocka_unit_test(test_parse__presets),
        cmocka_unit_test(test_mask__shows_little),
        cmocka_unit_test(test_value__sealed_and_erased_where_allowed),
        cmocka_unit_test(test_row__required_after_first_state),
        cmocka_unit_test(test_row__conditions),
        cmocka_unit_test(test_row__settings),
        cmocka_unit_test(test_shared__one_setting_a_site),
        cmocka_unit_test(test_row__rules_of_kinds),
        cmocka_unit_test(test_row__due_bound_clamps),
        cmocka_unit_test(test_row__backdated_log),
        cmocka_unit_test(test_row__closed_opinion),
        cmocka_unit_test(test_shared__unique_and_twins),
        cmocka_unit_test(test_shared__overlapping_shifts),
        cmocka_unit_test(test_owner__submission_locks),
        cmocka_unit_test(test_owner__by_stream_and_history),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
