/* What is shown of records: for programs and for people. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/cmd/show.h"

#include "ledger_fixture.h"

#include <stdio.h>

/* ---- helpers ---- */

static const struct show_list everything;

struct output {
    char *text;
    size_t len;
    struct view view;
};

static void begin(struct ledger_fixture *f, struct output *o, bool json)
{
    o->text = NULL;
    o->view = (struct view){.store = f->store,
                            .names = &f->names,
                            .out = open_memstream(&o->text, &o->len),
                            .json = json};
}

static void end(struct output *o)
{
    fclose(o->view.out);
}

static void assert_has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("no '%s' in:\n%s", part, text);
}

static struct row *row_of(struct ledger_fixture *f, const char *name)
{
    struct row *row;

    assert_int_equal(store_resolve(f->store, &f->arena, NULL, slice_str(name), &row, &f->err), 0);
    return row;
}

/* ---- lists ---- */

/* One array; numbers as numbers, sets and references as arrays and ids, masked values masked. */
static void test_show__list_for_programs(void **state)
{
    struct ledger_fixture *f = *state;
    struct output o;

    begin(f, &o, true);
    assert_int_equal(show_list(&o.view, catalogue_kind_named("member"), &everything, &f->err), 0);
    end(&o);
    assert_int_equal(o.text[0], '[');
    assert_has(o.text,
               "\"id\":\"01920100-0000-0000-0000-000000000001\",\"kind\":\"member\","
               "\"site\":\"431021\",\"serial\":\"GY-WY-2026-0001\",\"state\":null,\"seq\":1,"
               "\"pending\":false,\"voided\":false,\"fields\":{\"name\":\"李建国\"");
    assert_has(o.text, "\"level\":[\"city\",\"county\"]");
    assert_has(o.text, "\"commit_hours\":40");
    assert_has(o.text, "\"phone\":\"138****5678\"");
    free(o.text);

    begin(f, &o, true);
    assert_int_equal(show_list(&o.view, catalogue_kind_named("opinion"), &everything, &f->err), 0);
    end(&o);
    assert_has(o.text, "\"pending\":true");
    assert_has(o.text, "\"person_name\":\"***\"");
    assert_has(o.text, "\"content\":\"第一行\\n第二行\"");
    free(o.text);
}

/* An empty list is an empty array. */
static void test_show__empty_list(void **state)
{
    struct ledger_fixture *f = *state;
    struct output o;

    begin(f, &o, true);
    assert_int_equal(show_list(&o.view, catalogue_kind_named("activity"), &everything, &f->err), 0);
    end(&o);
    assert_string_equal(o.text, "[]\n");
    free(o.text);
}

/* Filters compare what people write: labels, names; masked fields cannot be asked for. */
static void test_show__filters(void **state)
{
    struct ledger_fixture *f = *state;
    const struct kind *kind = catalogue_kind_named("opinion");
    struct pair good[] = {{"studio_id", slice_str("鹿峰工作室")}, {"状态", slice_str("登记")}};
    struct pair none[] = {{"title", slice_str("别的")}};
    struct pair masked[] = {{"person_name", slice_str("李")}};
    struct pair unknown[] = {{"nothing", slice_str("x")}};
    struct show_list which = {.n_filters = 1};
    struct store_filter *filters;
    struct output o;

    begin(f, &o, true);
    assert_int_equal(show_filters(&o.view, &f->arena, kind, masked, 1, &filters, &f->err), E_USAGE);
    assert_int_equal(show_filters(&o.view, &f->arena, kind, unknown, 1, &filters, &f->err),
                     E_USAGE);
    good[1].value = slice_str(kind->states->codes[0].label);
    assert_int_equal(show_filters(&o.view, &f->arena, kind, good, 1, &filters, &f->err), 0);
    which.filters = filters;
    assert_int_equal(show_list(&o.view, kind, &which, &f->err), 0);
    assert_int_equal(show_filters(&o.view, &f->arena, kind, good, 2, &filters, &f->err), 0);
    assert_int_equal(show_filters(&o.view, &f->arena, kind, none, 1, &filters, &f->err), 0);
    which.filters = filters;
    end(&o);
    assert_has(o.text, "GY-MY-2026-0001");
    free(o.text);

    begin(f, &o, true);
    assert_int_equal(show_list(&o.view, kind, &which, &f->err), 0);
    end(&o);
    assert_string_equal(o.text, "[]\n");
    free(o.text);
}

/* The table's columns stand under each other, and pending records are marked. */
static void test_show__table(void **state)
{
    struct ledger_fixture *f = *state;
    struct output o;

    begin(f, &o, false);
    assert_int_equal(show_list(&o.view, catalogue_kind_named("opinion"), &everything, &f->err), 0);
    end(&o);
    assert_has(o.text, "编号               状态");
    assert_has(o.text, "GY-MY-2026-0001 *  ");
    assert_has(o.text, "共 1 条");
    free(o.text);
}

/* ---- one record ---- */

/* Labels, names of records, lines of text one under the other. */
static void test_show__record_for_people(void **state)
{
    struct ledger_fixture *f = *state;
    struct output o;

    begin(f, &o, false);
    assert_int_equal(show_record(&o.view, row_of(f, "GY-MY-2026-0001"), &f->err), 0);
    end(&o);
    assert_has(o.text, "有未上传的更改");
    assert_has(o.text, "鹿峰工作室 GY-GZ-2026-0001");
    assert_has(o.text, "2026-03-05 09:30:00");
    assert_has(o.text, "第一行\n");
    assert_has(o.text, "    第二行\n");
    assert_has(o.text, "***");
    free(o.text);
}

static int as_told(void *ctx, const struct row *attachment, enum attached_state *ret, int *ret_cause,
                   struct err *err)
{
    const int *cause = ctx;

    (void)attachment;
    (void)err;
    *ret = *cause == 0 ? ATTACHED_HERE : ATTACHED_REFUSED;
    *ret_cause = *cause;
    return 0;
}

static void assert_attached(struct ledger_fixture *f, int cause, bool json, const char *part)
{
    struct output o;

    begin(f, &o, json);
    o.view.attached = as_told;
    o.view.attached_ctx = &cause;
    assert_int_equal(show_record(&o.view, row_of(f, "GY-MY-2026-0001"), &f->err), 0);
    end(&o);
    assert_has(o.text, part);
    free(o.text);
}

/* A file's name is another computer's word: it does not command the terminal, nor turn the line around. One
 * that the city did not take says why. */
static void test_show__attachments(void **state)
{
    struct ledger_fixture *f = *state;
    struct row *row = fixture_row(f, "attachment", fixture_id(6), NULL);

    fixture_put(row, "target_kind", value_str("opinion"));
    fixture_put(row, "target_id", value_id(&f->opinion));
    fixture_put(row, "file_name", value_str("扫描\x1b[2J\xe2\x80\xaegpj.pdf"));
    fixture_put(row, "size", value_int(2048));
    fixture_keep(f, row);
    assert_attached(f, 0, false, "附件 1 个\n");
    assert_attached(f, 0, false, " 扫描 [2J gpj.pdf（2 KB，已在本机）\n");
    assert_attached(f, E_QUOTA, false, "附件 1 个，1 个待上传\n");
    assert_attached(f, E_QUOTA, false, "（2 KB，市级未接受：ZT-QUOTA 附件总量超过上限）\n");
    assert_attached(f, E_QUOTA, true, "\"state\":\"refused\",\"cause\":\"ZT-QUOTA\"");
}

/* ---- names ---- */

/* A record is found by name, serial number, id; not where two have the name. */
static void test_show__names(void **state)
{
    struct ledger_fixture *f = *state;
    const struct kind *member = catalogue_kind_named("member");
    struct id id;

    assert_int_equal(names_find(&f->names, member, slice_str("李建国"), &id, &f->err), 0);
    assert_true(id_eq(&id, &f->member));
    assert_int_equal(names_find(&f->names, member, slice_str("李建国"), &id, &f->err), 0);
    assert_int_equal(names_find(&f->names, member, slice_str("GY-WY-2026-0002"), &id, &f->err), 0);
    assert_true(id_eq(&id, &f->other));
    assert_int_equal(names_find(&f->names, member, slice_str("01920100"), &id, &f->err), 0);
    assert_true(id_eq(&id, &f->member));
    assert_int_equal(names_find(&f->names, member, slice_str("王芳"), &id, &f->err), E_INVALID);
    assert_non_null(strstr(f->err.text, "不止一"));
    assert_int_equal(names_find(&f->names, member, slice_str("没有"), &id, &f->err), E_INVALID);
}

static void put_file(struct ledger_fixture *f, struct row *file, const char *state)
{
    row_put(file, TAG_STATE, value_str(state));
    assert_int_equal(store_row_put(f->store, file, &f->err), 0);
}

static void assert_listed(struct ledger_fixture *f, const char *part)
{
    struct output o;

    begin(f, &o, false);
    assert_int_equal(show_list(&o.view, catalogue_kind_named("opinion"), &everything, &f->err), 0);
    end(&o);
    assert_has(o.text, part);
    free(o.text);
}

static void assert_shown(struct ledger_fixture *f, bool json, const char *part)
{
    struct output o;

    begin(f, &o, json);
    assert_int_equal(show_record(&o.view, row_of(f, "GY-MY-2026-0001"), &f->err), 0);
    end(&o);
    assert_has(o.text, part);
    free(o.text);
}

/* A historic record says whether its file is confirmed, and counts only then. */
static void test_show__historic(void **state)
{
    struct ledger_fixture *f = *state;
    const struct kind *opinions = catalogue_kind_named("opinion");
    struct id id = {{7}};
    struct row *file = row_new(&f->arena, catalogue_kind_named("historic_file"), &id);
    struct row *o = row_of(f, "GY-MY-2026-0001");
    uint64_t n = 7;

    assert_int_equal(store_row_count_unconfirmed(f->store, opinions, NULL, 0, 0, &n, &f->err), 0);
    assert_int_equal(n, 0);
    file->stream = o->stream;
    row_put(o, TAG_HISTORIC, value_int(1));
    assert_int_equal(store_row_put(f->store, o, &f->err), 0); /* of no file at all */
    assert_listed(f, "（补录未确认）");
    row_put(o, TAG_HISTORIC_FILE, value_id(&id));
    assert_int_equal(store_row_put(f->store, o, &f->err), 0);
    put_file(f, file, "unconfirmed");
    assert_listed(f, "（补录未确认）");
    assert_listed(f, "，另有未确认的历史补录 1 条\n");
    assert_shown(f, false, "未确认\n");
    assert_shown(f, true, "\"historic\":\"unconfirmed\"");
    put_file(f, file, "confirmed");
    assert_listed(f, "（补录已确认）");
    assert_shown(f, false, "已确认\n");
    assert_shown(f, true, "\"historic\":\"confirmed\"");
    assert_int_equal(store_row_count_unconfirmed(f->store, opinions, NULL, 0, 0, &n, &f->err), 0);
    assert_int_equal(n, 0);
    row_put(file, TAG_VOIDED, value_int(1));
    put_file(f, file, "confirmed");
    assert_int_equal(store_row_count_unconfirmed(f->store, opinions, NULL, 0, 0, &n, &f->err), 0);
    assert_int_equal(n, 1);
}

/* shared, city and codes; nothing else. */
static void test_show__streams(void **state)
{
    struct ledger_fixture *f = *state;
    uint32_t stream;
    char buf[12];

    assert_int_equal(stream_of_word("shared", &stream, &f->err), 0);
    assert_int_equal(stream, STREAM_SHARED);
    assert_int_equal(stream_of_word("431021", &stream, &f->err), 0);
    assert_int_equal(stream, 431021);
    assert_string_equal(stream_word(stream, buf), "431021");
    assert_int_equal(stream_of_word("43102x", &stream, &f->err), E_USAGE);
    assert_int_equal(stream_of_word("4310211", &stream, &f->err), E_USAGE);
    assert_int_equal(stream_of_word("", &stream, &f->err), E_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
        T(test_show__list_for_programs), T(test_show__empty_list),
        T(test_show__filters),           T(test_show__table),
        T(test_show__record_for_people), T(test_show__names),
        T(test_show__historic),          T(test_show__streams),
        T(test_show__attachments),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
