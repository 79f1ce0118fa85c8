/* Memory that is out, at every allocation of the main paths: values and records, changes, merging, the
 * store, frames, sheets. The stores of city and county have test_oom_stores.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/catalogue/check.h"
#include "common/cmd/import.h"
#include "common/crypto/hash.h"
#include "common/ledger/apply.h"
#include "common/ledger/head.h"
#include "common/ledger/merge.h"
#include "common/sheet/sheet.h"
#include "common/wire/body.h"
#include "common/wire/frame.h"
#include "common/wire/token.h"

#include "ledger_fixture.h"
#include "sweep.h"

/* Of a function that has no sentences of its own. */
static int told(int ret, struct err *err)
{
    return ret == 0 ? 0 : err_set(err, ret, NULL);
}

/* ---- values and records ---- */

static const char *const typed[][3] = {
    {"member", "name", "李建国"},
    {"member", "level", "市级、省级"},
    {"member", "phone", "13812345678"},
    {"member", "commit_hours", "40"},
    {"opinion", "received_at", "2026-03-05 09:30"},
    {"opinion", "channel", "visit"},
    {"opinion", "studio_id", "01920400-0000-7000-8000-000000000004"},
    {"application", "consulted_units",
     "01920400-0000-7000-8000-000000000004、01920400-0000-7000-8000-000000000003"},
};

static int parse_one(struct arena *a, struct row *row, const struct field *f, const char *text,
                     struct err *err)
{
    struct row *copy;
    struct buf shown;
    struct value v;
    int ret = check_parse(a, f, slice_str(text), &v, err);

    if (ret != 0)
        return ret;
    row_put(row, f->tag, v);
    copy = row_dup(a, row);
    if (copy == NULL)
        return told(E_NOMEM, err);
    assert_true(value_eq(row_get(copy, f->tag), &v));
    buf_init(&shown, 4096);
    ret = told(check_format(&shown, f, &v), err);
    buf_release(&shown);
    return ret;
}

static int parse_all(void *ctx, struct err *err)
{
    struct arena a;
    int ret = 0;

    (void)ctx;
    arena_init(&a, 8u << 20);
    for (size_t i = 0; ret == 0 && i < sizeof typed / sizeof *typed; i++) {
        const struct kind *kind = catalogue_kind_named(typed[i][0]);
        const struct field *f = kind_field_named(kind, typed[i][1]);
        struct row *row = row_new(&a, kind, NULL);

        assert_non_null(f);
        ret = row != NULL ? parse_one(&a, row, f, typed[i][2], err) : told(E_NOMEM, err);
    }
    arena_release(&a);
    return ret;
}

static void test_oom__values(void **state)
{
    (void)state;
    sweep(parse_all, NULL);
}

/* ---- changes, merging, applying ---- */

static uint64_t nothing_before(void *ctx, uint64_t n, uint32_t tag, bool *ret_withheld)
{
    (void)ctx;
    (void)n;
    (void)tag;
    *ret_withheld = false;
    return 0;
}

static void fill_change(struct change *c, struct field_change fields[4])
{
    static const struct id id = {{3}};

    *c = (struct change){.replica = id, .n = 1, .act_len = 1, .kind = 22, .record = id};
    c->op = OP_SET;
    c->fields = fields;
    c->n_fields = 4;
    memset(fields, 0, 4 * sizeof *fields);
    fields[0] = (struct field_change){.tag = 5, .form = FORM_SET, .v = value_str("visit")};
    fields[1] = (struct field_change){
        .tag = 12, .form = FORM_HASHED, .v = value_str("a long text that does not fit in the first "
                                                       "bytes a buffer takes")};
    fields[2] = (struct field_change){.tag = 700, .form = FORM_DELTA};
    fields[2].v = (struct value){.type = V_SET, .s = slice_str("a,b")};
    fields[3] = (struct field_change){.tag = 900, .form = FORM_SET, .v = value_int(7)};
    change_commit_value(hasher_of(HASH_SM3), fields[1].salt, &fields[1].v, fields[1].hash);
}

static int judge_and_apply(struct arena *a, const struct change *c, struct buf *verdict)
{
    const struct merge_history history = {nothing_before, NULL};
    struct row *row = row_new(a, catalogue_kind(c->kind), &c->record);
    struct verdict v = {.flags = 0}, back;
    struct merge_result m;
    int ret;

    if (row == NULL)
        return E_NOMEM;
    row->created_seq = 1;
    ret = merge_change(a, row, c, &history, &m, NULL);
    if (ret != 0)
        return ret;
    v.withheld = m.withheld;
    v.n_withheld = m.n_withheld;
    verdict_encode(verdict, &v);
    ret = verdict->ret != 0 ? verdict->ret : verdict_decode(a, buf_slice(verdict), &back);
    if (ret == 0)
        ret = apply_entry(a, row, c, &back, 9, true);
    if (ret == 0)
        ret = apply_pending(a, row, c);
    return ret;
}

static int change_round(void *ctx, struct err *err)
{
    struct field_change fields[4];
    struct change c, back;
    struct buf bytes, side, verdict;
    struct arena a;
    int ret;

    (void)ctx;
    fill_change(&c, fields);
    arena_init(&a, 1u << 20);
    buf_init(&bytes, 1u << 20);
    buf_init(&side, 1u << 20);
    buf_init(&verdict, 1u << 20);
    change_encode(&bytes, &c);
    change_encode_side(&side, &c);
    ret = bytes.ret != 0 ? bytes.ret : side.ret;
    if (ret == 0)
        ret = change_decode(&a, buf_slice(&bytes), buf_slice(&side), &back);
    if (ret == 0)
        ret = judge_and_apply(&a, &back, &verdict);
    buf_release(&verdict);
    buf_release(&side);
    buf_release(&bytes);
    arena_release(&a);
    return told(ret, err);
}

static void test_oom__changes(void **state)
{
    (void)state;
    sweep(change_round, NULL);
}

/* ---- the store ---- */

static int open_again(void *ctx, struct err *err)
{
    struct ledger_fixture *f = ctx;
    struct store_options o = {.create = false};
    struct store *s = NULL;
    char path[96];
    int ret;

    snprintf(path, sizeof path, "%s/db", f->dir);
    ret = store_open(path, &o, &s, err);
    assert_true((ret == 0) == (s != NULL));
    store_close(s);
    return ret;
}

static int create_another(void *ctx, struct err *err)
{
    struct ledger_fixture *f = ctx;
    struct store_options o = {.create = true};
    struct store *s = NULL;
    char path[96];
    int ret;

    snprintf(path, sizeof path, "%s/other", f->dir);
    ret = store_open(path, &o, &s, err);
    assert_true((ret == 0) == (s != NULL));
    store_close(s);
    (void)unlink(path); /* a failed attempt may have made none */
    return ret;
}

static void test_oom__store_open(void **state)
{
    sweep(open_again, *state);
    sweep(create_another, *state);
}

static int append(struct ledger_fixture *f, struct arena *a, struct err *err)
{
    static const uint8_t verdict[] = {VERDICT_FORMAT, 0, 0, 0, 0};
    struct field_change fields[4];
    struct stream_head head = {.stream = FIXTURE_SITE};
    struct change c;
    struct entry e = {.stream = FIXTURE_SITE, .seq = 1, .verdict = {verdict, sizeof verdict}}, back;
    struct buf bytes, side;
    int ret;

    fill_change(&c, fields);
    buf_init(&bytes, 4096);
    buf_init(&side, 4096);
    change_encode(&bytes, &c);
    change_encode_side(&side, &c);
    ret = told(bytes.ret != 0 ? bytes.ret : side.ret, err);
    e.bytes = buf_slice(&bytes);
    e.side = buf_slice(&side);
    if (ret == 0)
        ret = store_stream_put(f->store, &head, err);
    if (ret == 0)
        ret = store_entry_append(f->store, &e, &c, err);
    if (ret == 0)
        ret = store_entry_get(f->store, FIXTURE_SITE, 1, a, &back, err);
    if (ret == 0)
        assert_true(slice_eq(back.bytes, e.bytes) && slice_eq(back.side, e.side));
    buf_release(&bytes);
    buf_release(&side);
    return ret;
}

static int see_row(void *ctx, struct row *row)
{
    (void)ctx;
    assert_non_null(row->values);
    return 0;
}

static int use_rows(struct ledger_fixture *f, struct arena *a, struct err *err)
{
    const struct kind *kind = catalogue_kind_named("opinion");
    struct value studio = value_id(&f->studio);
    struct row *row, **rows;
    size_t n;
    int ret = store_row_get(f->store, a, kind, &f->opinion, &row, err);

    if (ret != 0)
        return ret;
    row_put(row, kind_field_named(kind, "title")->tag, value_str("改了"));
    ret = store_row_put(f->store, row, err);
    if (ret == 0)
        ret = store_row_find(f->store, a, kind, kind_field_named(kind, "studio_id")->tag, &studio,
                             &rows, &n, err);
    if (ret == 0)
        ret = store_resolve(f->store, a, NULL, slice_str("GY-MY-2026-0001"), &row, err);
    if (ret == 0)
        ret = store_row_each(f->store, catalogue_kind_named("member"), see_row, NULL, err);
    if (ret == 0)
        ret = store_row_list(f->store, kind, NULL, 0, FIXTURE_SITE, 0, see_row, NULL, err);
    if (ret == 0)
        ret = store_row_delete(f->store, kind, &f->opinion, err);
    return ret;
}

static int write_and_undo(void *ctx, struct err *err)
{
    struct ledger_fixture *f = ctx;
    struct slice meta;
    struct arena a;
    int ret = store_begin(f->store, err);

    if (ret != 0)
        return ret;
    arena_init(&a, 8u << 20);
    ret = append(f, &a, err);
    if (ret == 0)
        ret = use_rows(f, &a, err);
    if (ret == 0)
        ret = store_meta_put(f->store, "name", slice_str("value"), err);
    if (ret == 0)
        ret = store_meta_get(f->store, "name", &a, &meta, err);
    arena_release(&a);
    store_rollback(f->store);
    return ret;
}

/* Whatever failed inside a transaction, its end leaves what stood. */
static void test_oom__store(void **state)
{
    struct ledger_fixture *f = *state;
    uint8_t before[HASH_SIZE], after[HASH_SIZE];

    assert_int_equal(store_projection_digest(f->store, hasher_of(HASH_SM3), before, &f->err), 0);
    sweep(write_and_undo, f);
    assert_int_equal(store_projection_digest(f->store, hasher_of(HASH_SM3), after, &f->err), 0);
    assert_memory_equal(before, after, HASH_SIZE);
}

/* ---- frames ---- */

static int put_push(struct body_codec *codec, struct buf *out)
{
    Ztc__Push m = ZTC__PUSH__INIT;
    struct buf plain, packed;
    int ret;

    buf_init(&plain, WIRE_BODY_MAX);
    buf_init(&packed, FRAME_MAX);
    for (int i = 0; i < 40; i++)
        body_put_change(&plain, slice_str("the author's bytes, so to say"), slice_str("side"));
    ret = plain.ret != 0 ? plain.ret : body_compress(codec, buf_slice(&plain), &packed);
    m.first_n = 1;
    m.count = 40;
    m.size = (uint32_t)plain.len;
    m.body = wire_data(buf_slice(&packed));
    if (ret == 0)
        frame_put_push(out, &m);
    buf_release(&plain);
    buf_release(&packed);
    return ret != 0 ? ret : out->ret;
}

/* In pieces, so that the reader keeps a beginning. */
static int take_push(struct body_codec *codec, struct frame_reader *r, struct arena *a,
                     struct slice left)
{
    Ztc__Frame *f = NULL;
    Ztc__PushBody *body;
    int ret = 0;

    while (ret == 0 && left.len > 0) {
        size_t used;

        ret = frame_feed(r, (struct slice){left.p, left.len < 13 ? left.len : 13}, a, &used, &f);
        left.p += used;
        left.len -= used;
    }
    if (ret == 0)
        ret = body_open_push(codec, f->push, a, &body);
    if (ret == 0)
        assert_int_equal(body->n_changes, 40);
    return ret;
}

static int frame_round(void *ctx, struct err *err)
{
    struct body_codec codec;
    struct frame_reader r;
    struct arena a;
    struct buf out;
    int ret;

    (void)ctx;
    body_codec_init(&codec);
    frame_reader_init(&r, FRAME_MAX);
    arena_init(&a, 64u << 20);
    buf_init(&out, FRAME_MAX);
    ret = put_push(&codec, &out);
    if (ret == 0)
        ret = take_push(&codec, &r, &a, buf_slice(&out));
    buf_release(&out);
    arena_release(&a);
    frame_reader_release(&r);
    body_codec_release(&codec);
    return told(ret, err);
}

static int token_round(void *ctx, struct err *err)
{
    struct token t = {.site = FIXTURE_SITE, .expires_at = 9, .n_addresses = 1}, back;
    struct buf text;
    int ret;

    (void)ctx;
    strcpy(t.addresses[0], "city.example:7301");
    buf_init(&text, TOKEN_TEXT_MAX);
    token_print(&text, &t);
    ret = text.ret != 0 ? text.ret : token_parse(buf_slice(&text), &back);
    buf_release(&text);
    return told(ret, err);
}

/* Memory that is out is ours to admit: the peer is not told that its frame was bad. */
static void test_oom__frames(void **state)
{
    (void)state;
    sweep(frame_round, NULL);
    sweep(token_round, NULL);
}

/* ---- sheets ---- */

struct sheet_case {
    struct ledger_fixture *f;
    enum sheet_format format;
};

static const char *const header[] = {"姓名", "性别", "联系方式"};

static int write_sheet(const struct sheet_case *c, const char *path, struct err *err)
{
    struct sheet_options o = {.format = c->format, .n_columns = 3};
    struct sheet_cell cells[3] = {{.kind = SHEET_TEXT, .text = slice_str("=李建国")},
                                  {.kind = SHEET_TEXT, .text = slice_str("男")},
                                  {.kind = SHEET_TEXT, .text = slice_str("13812345678")}};
    struct sheet_writer *w = NULL;
    int ret = sheet_writer_new(path, &o, err, &w);

    if (ret == 0)
        ret = sheet_writer_header(w, header, 3, err);
    if (ret == 0)
        ret = sheet_writer_row(w, SHEET_BODY, cells, 3, err);
    if (ret == 0)
        ret = sheet_writer_finish(w, err);
    sheet_writer_free(w);
    return ret;
}

static int see_cells(void *ctx, const struct sheet_row *row, struct err *err)
{
    (void)err;
    *(unsigned *)ctx += row->n_cells;
    return 0;
}

static int see_import(void *ctx, const struct import_row *row, struct err *err)
{
    (void)err;
    assert_true(row->n_fields > 0);
    ++*(unsigned *)ctx;
    return 0;
}

static int import(struct ledger_fixture *f, const char *path, struct err *err)
{
    struct import_options o = {.path = path, .kind = catalogue_kind_named("member")};
    struct import_report report;
    unsigned taken = 0;
    int ret;

    import_report_init(&report);
    names_clear(&f->names);
    ret = import_read(&o, &f->names, see_import, &taken, &report, err);
    if (ret == 0 && mem_fault_hits() == 0)
        assert_true(taken == 1 && report.n_problems == 0);
    import_report_release(&report);
    return ret;
}

static int sheet_round(void *ctx, struct err *err)
{
    const struct sheet_case *c = ctx;
    char path[96];
    unsigned cells = 0;
    int ret;

    snprintf(path, sizeof path, "%s/%s", c->f->dir,
             c->format == SHEET_CSV ? "sheet.csv" : "sheet.xlsx");
    ret = write_sheet(c, path, err);
    if (ret == 0)
        ret = sheet_read(path, NULL, see_cells, &cells, err);
    if (ret == 0)
        assert_int_equal(cells, 6);
    if (ret == 0)
        ret = import(c->f, path, err);
    return ret;
}

static void test_oom__csv(void **state)
{
    struct sheet_case c = {*state, SHEET_CSV};

    sweep(sheet_round, &c);
}

static void test_oom__xlsx(void **state)
{
    struct sheet_case c = {*state, SHEET_XLSX};

    sweep(sheet_round, &c);
}

#define WITH_LEDGER(test) cmocka_unit_test_setup_teardown(test, fixture_set_up, fixture_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_oom__values),
        cmocka_unit_test(test_oom__changes),
        WITH_LEDGER(test_oom__store_open),
        WITH_LEDGER(test_oom__store),
        cmocka_unit_test(test_oom__frames),
        WITH_LEDGER(test_oom__csv),
        WITH_LEDGER(test_oom__xlsx),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
