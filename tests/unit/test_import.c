/* Sheets into changes and back: headers, values, updates, and every way a row can be bad. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/cmd/export.h"
#include "common/cmd/import.h"

#include "ledger_fixture.h"

#include <stdio.h>

/* ---- helpers ---- */

struct taken {
    unsigned n_rows;
    struct {
        uint32_t number;
        bool update;
        size_t n_fields;
        char state[32];
        char text[512]; /* tag=value of each field */
    } rows[8];
    int fail; /* what the callback returns */
};

static void put_change(struct buf *b, const struct field_change *c)
{
    buf_printf(b, "%u=", c->tag);
    if (c->v.type == V_INT)
        buf_printf(b, "%lld", (long long)c->v.i);
    else if (c->v.type == V_ID)
        buf_printf(b, "#%u", c->v.s.p[15]);
    else
        buf_put(b, c->v.s.p, c->v.s.len);
    if (c->form == FORM_DELTA)
        buf_printf(b, "-%.*s", (int)c->del.s.len, c->del.s.len > 0 ? (const char *)c->del.s.p : "");
    buf_str(b, " ");
}

static int take(void *ctx, const struct import_row *row, struct err *err)
{
    struct taken *t = ctx;
    struct buf b;

    if (t->fail != 0)
        return err_set(err, t->fail, "规则不许");
    assert_true(t->n_rows < 8);
    buf_init(&b, 4096);
    for (size_t i = 0; i < row->n_fields; i++)
        put_change(&b, &row->fields[i]);
    t->rows[t->n_rows].number = row->number;
    t->rows[t->n_rows].update = row->before != NULL;
    t->rows[t->n_rows].n_fields = row->n_fields;
    snprintf(t->rows[t->n_rows].state, 32, "%.*s", (int)row->state.len, (const char *)row->state.p);
    snprintf(t->rows[t->n_rows].text, 512, "%s", buf_cstr(&b));
    t->n_rows++;
    buf_release(&b);
    return 0;
}

static const char *sheet(struct ledger_fixture *f, const char *csv)
{
    char *path = arena_printf(&f->arena, "%s/sheet.csv", f->dir);
    FILE *out = fopen(path, "wb");

    assert_non_null(out);
    fputs(csv, out);
    fclose(out);
    return path;
}

static int read_sheet(struct ledger_fixture *f, const struct import_options *o, struct taken *t,
                      struct import_report *r)
{
    f->err = (struct err){.ret = 0};
    import_report_init(r);
    return import_read(o, &f->names, take, t, r, &f->err);
}

static void assert_problem(const struct import_report *r, size_t i, uint32_t row,
                           const char *column, const char *reason)
{
    assert_true(i < r->n_kept);
    assert_int_equal(r->problems[i].row, row);
    assert_string_equal(r->problems[i].column, column);
    if (strstr(r->problems[i].reason, reason) == NULL)
        fail_msg("'%s' does not say '%s'", r->problems[i].reason, reason);
}

static uint32_t tag(const char *kind, const char *field)
{
    return kind_field_named(catalogue_kind_named(kind), field)->tag;
}

static void assert_field(const char *text, const char *kind, const char *field, const char *value)
{
    char want[128];

    snprintf(want, sizeof want, "%u=%s ", tag(kind, field), value);
    if (strstr(text, want) == NULL)
        fail_msg("no '%s' in '%s'", want, text);
}

/* ---- new records ---- */

/* The header may stand below a title; titles are labels, aliases or mapped; constants fill what lacks. */
static void test_import__new_records(void **state)
{
    struct ledger_fixture *f = *state;
    struct pair map[] = {{"何人", slice_str("person_name")}, {"序号", slice_str("")}};
    struct pair set[] = {{"studio_id", slice_str("鹿峰工作室")},
                         {"receiver", slice_str("李建国")},
                         {"channel", slice_str("来访")}};
    struct import_options o = {
        .kind = catalogue_kind_named("opinion"), .map = map, .n_map = 2, .set = set, .n_set = 2};
    struct taken t = {.n_rows = 0};
    struct import_report r;

    o.path = sheet(f,
                   "社情民意登记表\n\n序号,留言 主题*,留言详情,何人,登记时间,备注\n"
                   "1, 路灯坏了 ,\"晚上\r\n看不见\",张三,2026/3/5 9:30,x\n"
                   "合计,1\n");
    assert_int_equal(read_sheet(f, &o, &t, &r), 0);
    assert_int_equal(r.n_problems, 0);
    assert_int_equal(t.n_rows, 1);
    assert_int_equal(r.n_new, 1);
    assert_int_equal(t.rows[0].number, 4);
    assert_false(t.rows[0].update);
    assert_field(t.rows[0].text, "opinion", "title", "路灯坏了");
    assert_field(t.rows[0].text, "opinion", "content", "晚上\n看不见");
    assert_field(t.rows[0].text, "opinion", "person_name", "张三");
    assert_field(t.rows[0].text, "opinion", "received_at", "2026-03-05T09:30:00+08:00");
    assert_field(t.rows[0].text, "opinion", "studio_id", "#4");
    assert_field(t.rows[0].text, "opinion", "receiver", "#1");
    assert_string_equal(r.ignored, "备注");
    import_report_release(&r);
}

/* Every bad cell of every row is listed with its column and reason; good rows still arrive. */
static void test_import__lists_every_problem(void **state)
{
    struct ledger_fixture *f = *state;
    struct import_options o = {.kind = catalogue_kind_named("opinion")};
    struct taken t = {.n_rows = 0};
    struct import_report r;
    struct buf line;

    o.path = sheet(f,
                   "事由,收集时间,接待委员,反映人电话\n"
                   "甲,不是时间,没有此人,\n"
                   "乙,2026-3-5,王芳,138****5678\n"
                   "丙,2026-3-5,李建国,13812345678\n");
    assert_int_equal(read_sheet(f, &o, &t, &r), 0);
    assert_int_equal(r.n_problems, 4);
    assert_problem(&r, 0, 2, "收集时间", "日期");
    assert_problem(&r, 1, 2, "接待委员", "没有此人");
    assert_problem(&r, 2, 3, "接待委员", "不止一");
    assert_problem(&r, 3, 3, "反映人电话", "脱敏");
    assert_int_equal(t.n_rows, 1);
    assert_int_equal(t.rows[0].number, 4);
    buf_init(&line, 256);
    import_problem_put(&line, &r.problems[3]);
    assert_string_equal(buf_cstr(&line), "第3行 反映人电话 是脱敏后的内容，请填写原文");
    buf_release(&line);
    import_report_release(&r);
}

/* What a rule says of a row is the row's problem; a full disk is not. */
static void test_import__refusals_of_the_writer(void **state)
{
    struct ledger_fixture *f = *state;
    struct import_options o = {.kind = catalogue_kind_named("opinion")};
    struct taken t = {.fail = E_ROLE};
    struct import_report r;

    o.path = sheet(f, "事由\n甲\n乙\n");
    assert_int_equal(read_sheet(f, &o, &t, &r), 0);
    assert_int_equal(r.n_problems, 2);
    assert_problem(&r, 1, 3, "", "规则不许");
    import_report_release(&r);
    t.fail = E_FULL;
    assert_int_equal(read_sheet(f, &o, &t, &r), E_FULL);
    import_report_release(&r);
}

/* --map and --set must fit the sheet and the kind. */
static void test_import__misuse(void **state)
{
    struct ledger_fixture *f = *state;
    struct pair no_column[] = {{"没有的列", slice_str("title")}};
    struct pair no_field[] = {{"甲", slice_str("nothing")}};
    struct pair twice[] = {{"甲", slice_str("title")}, {"乙", slice_str("title")}};
    struct pair bad_set[] = {{"channel", slice_str("胡说")}};
    struct import_options o = {.kind = catalogue_kind_named("opinion"),
                               .map = no_column,
                               .n_map = 1};
    struct taken t = {.n_rows = 0};
    struct import_report r;

    o.path = sheet(f, "甲,乙,事由\n1,2,3\n");
    assert_int_equal(read_sheet(f, &o, &t, &r), E_USAGE);
    import_report_release(&r);
    o.map = no_field;
    assert_int_equal(read_sheet(f, &o, &t, &r), E_USAGE);
    import_report_release(&r);
    o.map = twice;
    o.n_map = 2;
    assert_int_equal(read_sheet(f, &o, &t, &r), E_USAGE);
    import_report_release(&r);
    o.n_map = 0;
    o.set = bad_set;
    o.n_set = 1;
    assert_int_equal(read_sheet(f, &o, &t, &r), E_USAGE);
    import_report_release(&r);
    o.n_set = 0;
    o.path = sheet(f, "a,b\n1,2\n");
    assert_int_equal(read_sheet(f, &o, &t, &r), E_INVALID);
    import_report_release(&r);
    assert_int_equal(t.n_rows, 0);
}

/* A state is taken from a column or a constant when records of old are entered, never otherwise. */
static void test_import__historic_state(void **state)
{
    struct ledger_fixture *f = *state;
    struct pair set[] = {{"state", slice_str("handled")}};
    struct import_options o = {.kind = catalogue_kind_named("opinion"),
                               .set = set,
                               .n_set = 1,
                               .historic = true};
    struct taken t = {.n_rows = 0};
    struct import_report r;

    o.path = sheet(f, "事由\n甲\n");
    assert_int_equal(read_sheet(f, &o, &t, &r), 0);
    assert_int_equal(t.n_rows, 1);
    assert_string_equal(t.rows[0].state, "handled");
    import_report_release(&r);
    o.historic = false;
    assert_int_equal(read_sheet(f, &o, &t, &r), 0);
    assert_int_equal(r.n_problems, 1);
    import_report_release(&r);
}

/* ---- updates ---- */

static void export_kind(struct ledger_fixture *f, const char *kind, const char *path, size_t n)
{
    struct export_options o = {.kind = catalogue_kind_named(kind)};
    size_t written = 0;

    assert_int_equal(export_write(path, f->store, &f->names, &o, &written, &f->err), 0);
    assert_int_equal(written, n);
}

/* What was exported changes nothing when it comes back, in either format, masks and names included. */
static void test_import__export_comes_back_unchanged(void **state)
{
    static const char *const names[] = {"back.csv", "back.xlsx"};
    static const char *const kinds[] = {"member", "studio", "opinion"};
    struct ledger_fixture *f = *state;
    struct taken t = {.n_rows = 0};
    struct import_report r;

    for (size_t i = 0; i < 6; i++) {
        struct import_options o = {.kind = catalogue_kind_named(kinds[i / 2])};

        o.path = arena_printf(&f->arena, "%s/%s", f->dir, names[i % 2]);
        export_kind(f, kinds[i / 2], o.path, i / 2 == 0 ? 3 : 1);
        assert_int_equal(read_sheet(f, &o, &t, &r), 0);
        if (r.n_problems > 0)
            fail_msg("%s: %s %s", kinds[i / 2], r.problems[0].column, r.problems[0].reason);
        assert_int_equal(t.n_rows, 0);
        assert_int_equal(r.n_same, i / 2 == 0 ? 3 : 1);
        assert_string_equal(r.ignored, "");
        import_report_release(&r);
    }
}

/* A report has title, office and totals around the same table, and comes back unchanged too. */
static void test_import__report_comes_back(void **state)
{
    struct ledger_fixture *f = *state;
    struct export_options o = {.kind = catalogue_kind_named("opinion"),
                               .report = true,
                               .office = "桂阳县政协",
                               .now = 1772668800000};
    struct import_options in = {.kind = o.kind};
    struct taken t = {.n_rows = 0};
    struct import_report r;
    size_t n;

    in.path = arena_printf(&f->arena, "%s/report.xlsx", f->dir);
    assert_int_equal(export_write(in.path, f->store, &f->names, &o, &n, &f->err), 0);
    assert_int_equal(read_sheet(f, &in, &t, &r), 0);
    assert_int_equal(r.n_problems, 0);
    assert_int_equal(r.n_same, 1);
    import_report_release(&r);
}

/* Only what differs becomes a change: sets as added and removed, an emptied cell as nothing. */
static void test_import__updates_only_what_differs(void **state)
{
    struct ledger_fixture *f = *state;
    struct import_options o = {.kind = catalogue_kind_named("member")};
    struct taken t = {.n_rows = 0};
    struct import_report r;

    o.path = sheet(f,
                   "姓名,委员层级,联系方式,承诺年投入时间(小时),记录标识\n"
                   "李建国,市级、省级,138****5678,,01920100-0000-0000-0000-000000000001\n"
                   "王芳,,,,01920200-0000-0000-0000-000000000002\n"
                   "王芳,,,,01990200-0000-0000-0000-000000000002\n");
    assert_int_equal(read_sheet(f, &o, &t, &r), 0);
    assert_int_equal(r.n_problems, 1);
    assert_problem(&r, 0, 4, "记录标识", "没有");
    assert_int_equal(r.n_same, 1);
    assert_int_equal(t.n_rows, 1);
    assert_true(t.rows[0].update);
    assert_int_equal(t.rows[0].n_fields, 2);
    assert_field(t.rows[0].text, "member", "level", "province-county");
    assert_field(t.rows[0].text, "member", "commit_hours", "");
    import_report_release(&r);
}

/* State and serial number do not change by a sheet. */
static void test_import__header_fields_stay(void **state)
{
    struct ledger_fixture *f = *state;
    struct import_options o = {.kind = catalogue_kind_named("opinion")};
    struct taken t = {.n_rows = 0};
    struct import_report r;

    o.path = sheet(f,
                   "事由,编号,状态,记录标识\n"
                   "路灯不亮,GY-MY-2026-0009,办结,01920500-0000-0000-0000-000000000005\n");
    assert_int_equal(read_sheet(f, &o, &t, &r), 0);
    assert_int_equal(r.n_problems, 2);
    assert_int_equal(t.n_rows, 0);
    import_report_release(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
        T(test_import__new_records),
        T(test_import__lists_every_problem),
        T(test_import__refusals_of_the_writer),
        T(test_import__misuse),
        T(test_import__historic_state),
        T(test_import__export_comes_back_unchanged),
        T(test_import__report_comes_back),
        T(test_import__updates_only_what_differs),
        T(test_import__header_fields_stay),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
