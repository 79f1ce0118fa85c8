/* import and export: a ledger and a sheet. */
#include "client/cmd/commands.h"

#include "common/base/text.h"
#include "common/catalogue/check.h"
#include "common/cmd/export.h"
#include "common/cmd/import.h"
#include "common/cmd/width.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#define ACT_MEMORY  (64u << 20)
#define LINE_MAX    (1u << 16)
#define PROGRESS_BY 50u

struct importing {
    struct work *w;
    const struct import_options *o;
    struct actor actor;
    struct arena a; /* one act */
    msec_t now;
    uint64_t n, n_made;
    struct id file; /* the historic_file of the new records; zero: none yet */
    bool progress;
};

#define IDS_A_MS 4096u

/* Ids in the order of the sheet, so that lists and exports keep it: the bits of a UUIDv7 that are there
 * for a counter count the rows (RFC 9562 §6.2). */
static struct id next_id(struct importing *im)
{
    struct id id = id_v7(im->now + im->n_made / IDS_A_MS, &im->w->home.keys.random);
    unsigned at = (unsigned)(im->n_made++ % IDS_A_MS);

    id.b[6] = (uint8_t)(0x70 | at >> 8);
    id.b[7] = (uint8_t)at;
    return id;
}

/* ---- import: writing a row ---- */

/* What the file is called, without its folder. A name that is no good text is passed over. */
static struct value file_name(struct importing *im, const struct field *f)
{
    const char *slash = strrchr(im->o->path, '/');
    struct slice name = slice_str(slash != NULL ? slash + 1 : im->o->path);
    struct value v = value_null();
    struct err err = {.ret = 0};

    if (text_valid(name) && check_parse(&im->a, f, name, &v, &err) == 0 &&
        check_value(f, &v, &err) == 0 && v.type == V_TEXT)
        return v;
    return value_str("（文件名无法记录）");
}

/* The record of the file, before the first of its records: 学联委 confirms them all by this one. */
static int write_file(struct importing *im, struct err *err)
{
    const struct kind *kind = catalogue_kind_named("historic_file");
    const struct field *name = kind_field_named(kind, "file_name");
    struct field_change fields[] = {
        {.tag = name->tag, .form = FORM_SET, .v = file_name(im, name)},
        {.tag = kind_field_named(kind, "target_kind")->tag,
         .form = FORM_SET,
         .v = value_str(im->o->kind->name)},
    };
    struct draft d = {.kind = kind, .op = OP_CREATE, .fields = fields, .n_fields = 2};
    int ret = replica_write(im->w->home.replica, &im->a, &im->actor.account, &d, 1, UINT64_MAX,
                            im->now, err);

    if (ret == E_ROLE)
        return err_set(err, ret, "历史补录须由县级审核人办理");
    if (ret == 0)
        im->file = d.record;
    return ret;
}

/* How many there are, after the last: until this has come, the city cannot confirm. */
static int write_count(struct importing *im, uint64_t n, struct err *err)
{
    const struct kind *kind = catalogue_kind_named("historic_file");
    struct field_change count = {.tag = kind_field_named(kind, "row_count")->tag,
                                 .form = FORM_SET,
                                 .v = value_int((int64_t)n)};
    struct draft d = {
        .kind = kind, .record = im->file, .op = OP_SET, .fields = &count, .n_fields = 1};

    arena_clear(&im->a);
    return replica_write(im->w->home.replica, &im->a, &im->actor.account, &d, 1, UINT64_MAX,
                         im->now, err);
}

/* The row's fields, and that it is from before the system. */
static int draft_fields(struct importing *im, const struct import_row *row, struct draft *d,
                        struct err *err)
{
    size_t n = row->n_fields;

    d->fields = arena_alloc(&im->a, (n + 2) * sizeof *d->fields);
    if (d->fields == NULL)
        return err_set(err, E_NOMEM, NULL);
    if (n > 0)
        memcpy(d->fields, row->fields, n * sizeof *d->fields);
    if (im->o->historic && row->before == NULL) {
        d->fields[n++] =
            (struct field_change){.tag = TAG_HISTORIC, .form = FORM_SET, .v = value_int(1)};
        d->fields[n++] = (struct field_change){.tag = TAG_HISTORIC_FILE,
                                               .form = FORM_SET,
                                               .v = value_id(&im->file)};
    }
    d->n_fields = n;
    return 0;
}

static void show_progress(struct importing *im)
{
    if (im->progress && ++im->n % PROGRESS_BY == 0)
        (void)fprintf(stderr, "\r已处理 %" PRIu64 " 行", im->n);
}

static int write_row(void *ctx, const struct import_row *row, struct err *err)
{
    struct importing *im = ctx;
    struct draft d = {.kind = im->o->kind,
                      .record = next_id(im),
                      .op = OP_CREATE,
                      .to = row->state};
    int ret = 0;

    show_progress(im);
    arena_clear(&im->a);
    if (row->before != NULL) {
        d.op = OP_SET;
        d.record = row->before->id;
    } else if (im->o->historic && id_is_zero(&im->file)) {
        ret = write_file(im, err);
    }
    if (ret == 0)
        ret = draft_fields(im, row, &d, err);
    return ret != 0 ? ret
                    : replica_write(im->w->home.replica, &im->a, &im->actor.account, &d, 1,
                                    UINT64_MAX, im->now, err);
}

/* ---- import: what came of it ---- */

static void problems_json(struct json *j, const struct import_report *r)
{
    json_key(j, "problems");
    json_array(j);
    for (size_t i = 0; i < r->n_kept; i++) {
        json_object(j);
        json_kv_uint(j, "row", r->problems[i].row);
        json_kv_str(j, "column", r->problems[i].column);
        json_kv_str(j, "reason", r->problems[i].reason);
        json_object_end(j);
    }
    json_array_end(j);
}

static void print_problems(const struct args *a, const struct import_report *r)
{
    struct buf line, plain;

    buf_init(&line, LINE_MAX);
    buf_init(&plain, LINE_MAX);
    for (size_t i = 0; i < r->n_kept; i++) {
        buf_clear(&line);
        buf_clear(&plain);
        import_problem_put(&line, &r->problems[i]);
        text_plain(&plain, buf_slice(&line), false);
        (void)fprintf(a->out, "%s\n", buf_cstr(&plain));
    }
    if (r->n_problems > r->n_kept)
        (void)fprintf(a->out, "……还有 %zu 处\n", r->n_problems - r->n_kept);
    buf_release(&line);
    buf_release(&plain);
}

static void print_ignored(FILE *out, const struct import_report *r)
{
    struct buf line;

    buf_init(&line, LINE_MAX);
    import_ignored_put(&line, r);
    (void)fputs(buf_cstr(&line), out); /* checked at the end of main */
    buf_release(&line);
}

static int refuse_import(struct work *w, const struct import_report *r)
{
    if (w->args->json) {
        struct json j;

        json_init(&j, w->args->detail);
        problems_json(&j, r);
        json_kv_str(&j, "ignored", r->ignored);
    } else {
        print_ignored(stderr, r); /* often the very reason */
        print_problems(w->args, r);
    }
    return err_set(w->err, E_INVALID, "表中有 %zu 处问题，未写入任何内容", r->n_problems);
}

/* What 学联委 will be asked to confirm. */
static int print_file(struct importing *im)
{
    struct work *w = im->w;
    struct row *file = NULL;
    struct slice serial;
    int ret = store_row_get(w->view.store, w->args->arena, catalogue_kind_named("historic_file"),
                            &im->file, &file, w->err);

    if (ret != 0 || file == NULL)
        return ret;
    serial = row_get(file, TAG_SERIAL)->s;
    (void)fprintf(w->args->out, "补录文件 %.*s，待学联委确认\n", (int)serial.len,
                  (const char *)serial.p);
    return 0;
}

static int print_import(struct importing *im, const struct import_report *r)
{
    const struct args *a = im->w->args;
    bool dry = args_has(a, OPT_DRY_RUN), filed = !dry && !id_is_zero(&im->file);

    if (a->json) {
        char file[ID_TEXT_SIZE];
        struct json j;
        struct buf b;

        id_format(&im->file, file);
        buf_init(&b, LINE_MAX);
        json_init(&j, &b);
        json_object(&j);
        json_kv_uint(&j, "rows", r->n_rows);
        json_kv_uint(&j, "added", r->n_new);
        json_kv_uint(&j, "changed", r->n_changed);
        json_kv_uint(&j, "unchanged", r->n_same);
        json_kv_bool(&j, "dry_run", dry);
        if (im->o->historic)
            json_kv_str(&j, "historic_file", filed ? file : NULL);
        json_kv_str(&j, "ignored", r->ignored);
        json_object_end(&j);
        (void)fprintf(a->out, "%s\n", buf_cstr(&b));
        buf_release(&b);
        return 0;
    }
    (void)fprintf(a->out,
                  "%s%" PRIu64 " 行：新增 %" PRIu64 "，更新 %" PRIu64 "，未变 %" PRIu64 "\n",
                  dry ? "检查通过，未写入。" : "已导入 ", r->n_rows, r->n_new, r->n_changed,
                  r->n_same);
    print_ignored(a->out, r);
    return filed ? print_file(im) : 0;
}

/* ---- import ---- */

/* All or nothing: one transaction, kept only when no row was bad. */
static int import_all(struct importing *im, struct import_report *report)
{
    struct work *w = im->w;
    bool keep;
    int ret = replica_write_begin(w->home.replica, w->err);
    int end;

    if (ret != 0)
        return ret;
    ret = import_read(im->o, &w->names, write_row, im, report, w->err);
    if (im->progress && im->n >= PROGRESS_BY)
        (void)fprintf(stderr, "\r                    \r");
    keep = ret == 0 && report->n_problems == 0 && !args_has(w->args, OPT_DRY_RUN);
    if (keep && !id_is_zero(&im->file))
        ret = write_count(im, report->n_new, w->err);
    keep = keep && ret == 0;
    end = replica_write_end(w->home.replica, keep, ret == 0 ? w->err : NULL);
    return ret != 0 ? ret : end;
}

static int check_historic(const struct import_options *o, struct err *err)
{
    if (!o->historic || o->kind->historic_states != NULL)
        return 0;
    return err_set(err, E_USAGE, "%s不能补录", o->kind->label);
}

static int import_with(struct work *w, const struct import_options *o)
{
    struct importing im = {.w = w,
                           .o = o,
                           .now = work_now(),
                           .progress = isatty(STDERR_FILENO) != 0};
    struct import_report report;
    int ret = work_actor(w, &im.actor);

    if (ret != 0)
        return ret;
    arena_init(&im.a, ACT_MEMORY);
    import_report_init(&report);
    ret = import_all(&im, &report);
    if (ret == 0)
        ret = report.n_problems > 0 ? refuse_import(w, &report) : print_import(&im, &report);
    import_report_release(&report);
    arena_release(&im.a);
    return ret;
}

int cmd_import(const struct args *a, struct err *err)
{
    struct import_options o = {.path = a->words[1], .historic = args_has(a, OPT_HISTORIC)};
    struct pair *map, *set;
    struct work w;
    int ret = kind_to_add("ztc", a->words[0], &o.kind, err);

    if (ret == 0)
        ret = check_historic(&o, err);
    if (ret == 0)
        ret = args_option_pairs(a, OPT_MAP, &map, &o.n_map, err);
    if (ret == 0)
        ret = args_option_pairs(a, OPT_SET, &set, &o.n_set, err);
    if (ret != 0)
        return ret;
    o.map = map;
    o.set = set;
    ret = work_open(&w, a, err);
    if (ret == 0)
        ret = import_with(&w, &o);
    work_close(&w);
    return ret;
}

/* ---- export ---- */

struct office {
    struct buf name;
};

static int take_name(void *ctx, struct row *row)
{
    struct office *o = ctx;
    struct slice name = row_text(row, "name");

    buf_clear(&o->name);
    buf_put(&o->name, name.p, name.len);
    return 0;
}

/* The site's name as the city has it, or its code. */
static int office_name(struct work *w, struct office *o)
{
    const struct kind *sites = catalogue_kind_named("site");
    struct replica_facts facts;
    struct store_filter f = {.tag = kind_field_named(sites, "code")->tag};
    char code[16];
    int ret = replica_facts(w->home.replica, &facts, w->err);

    if (ret != 0)
        return ret;
    (void)snprintf(code, sizeof code, "%06u", facts.site);
    f.v = value_str(code);
    buf_str(&o->name, code);
    return store_row_list(w->view.store, sites, &f, 1, 0, 1, take_name, o, w->err);
}

static int print_export(const struct args *a, const char *path, size_t n)
{
    if (a->json) {
        struct json j;
        struct buf b;

        buf_init(&b, LINE_MAX);
        json_init(&j, &b);
        json_object(&j);
        json_kv_str(&j, "file", path);
        json_kv_uint(&j, "rows", n);
        json_object_end(&j);
        (void)fprintf(a->out, "%s\n", buf_cstr(&b));
        buf_release(&b);
    } else {
        (void)fprintf(a->out, "已导出 %zu 条到 %s\n", n, path);
    }
    return 0;
}

static int export_to(struct work *w, const struct kind *kind, const char *path)
{
    const struct args *a = w->args;
    struct export_options o = {.kind = kind, .report = args_has(a, OPT_REPORT), .now = work_now()};
    struct store_filter *filters;
    struct office office;
    struct pair *pairs;
    size_t n = 0;
    int ret = args_option_pairs(a, OPT_WHERE, &pairs, &o.n_filters, w->err);

    if (ret == 0)
        ret = show_filters(&w->view, a->arena, kind, pairs, o.n_filters, &filters, w->err);
    if (ret != 0)
        return ret;
    buf_init(&office.name, LINE_MAX);
    o.filters = filters;
    ret = o.report ? office_name(w, &office) : 0;
    o.office = buf_cstr(&office.name);
    if (ret == 0)
        ret = export_write(path, w->view.store, &w->names, &o, &n, w->err);
    buf_release(&office.name);
    return ret != 0 ? ret : print_export(a, path, n);
}

int cmd_export(const struct args *a, struct err *err)
{
    const struct kind *kind;
    struct work w;
    int ret = kind_of_word(a->words[0], &kind, err);

    if (ret != 0)
        return ret;
    ret = work_open(&w, a, err);
    if (ret == 0)
        ret = export_to(&w, kind, a->words[1]);
    work_close(&w);
    return ret;
}
