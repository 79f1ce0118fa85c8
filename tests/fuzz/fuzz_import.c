/* A sheet that a person imports: read as sheets are, its header mapped, its cells parsed for a kind.
 * The first byte chooses the kind, the second whether records are historic and whether columns are
 * mapped; the rest is the file, .csv or .xlsx by its content. */
#include "common/base/text.h"
#include "common/cmd/import.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct store *store;
static struct names names;

static void keep(const char *kind, uint8_t n, const char *name)
{
    struct id id = {{0x01, 0x92, n}};
    struct arena a;
    struct row *row;

    arena_init(&a, 1u << 20);
    row = row_new(&a, catalogue_kind_named(kind), &id);
    assert(row != NULL);
    row->stream = 431021;
    row->created_seq = row->seq = n;
    row_put(row, TAG_SITE, value_str("431021"));
    row_put(row, kind_field_named(row->kind, "name")->tag, value_str(name));
    assert(store_row_put(store, row, NULL) == 0);
    arena_release(&a);
}

/* A store with two names to refer to, without a file. */
static void set_up(void)
{
    static const struct store_options o = {.create = true};
    struct err err = {0};

    if (store != NULL)
        return;
    if (store_open(":memory:", &o, &store, &err) != 0) {
        fprintf(stderr, "%s\n", err.text);
        abort();
    }
    keep("member", 1, "李建国");
    keep("studio", 2, "鹿峰工作室");
    names_init(&names, store);
}

static int take(void *ctx, const struct import_row *row, struct err *err)
{
    uint32_t *last = ctx;

    assert(row->number > *last);
    *last = row->number;
    for (size_t i = 0; i < row->n_fields; i++) {
        assert(i == 0 || row->fields[i].tag > row->fields[i - 1].tag);
        assert(row->fields[i].v.type <= V_ERASED);
    }
    /* A rule refuses some rows: that is the row's problem. */
    return row->number % 5 == 0 ? err_set(err, E_GUARD, "规则不许") : 0;
}

static void check_report(const struct import_report *r)
{
    struct buf text;

    buf_init(&text, 4u << 20);
    assert(r->n_kept <= r->n_problems && r->n_kept <= IMPORT_PROBLEMS_KEPT);
    for (size_t i = 0; i < r->n_kept; i++) {
        assert(r->problems[i].reason[0] != '\0');
        buf_clear(&text);
        import_problem_put(&text, &r->problems[i]);
        assert(text_valid(buf_slice(&text)));
    }
    assert(text_valid(slice_str(r->ignored)));
    buf_release(&text);
}

static void read_file(const struct import_options *o)
{
    struct import_report report;
    struct err err = {0};
    uint32_t last = 0;

    import_report_init(&report);
    if (import_read(o, &names, take, &last, &report, &err) != 0) {
        assert(err.ret != 0 && err.text[0] != '\0');
        assert(text_valid(slice_str(err.text)));
    } else {
        check_report(&report);
    }
    import_report_release(&report);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct pair map[] = {{"甲", {(const uint8_t *)"site", 4}}, {"乙", {NULL, 0}}};
    struct import_options o = {.site = 431021};
    char path[64];
    int file;

    if (size < 2)
        return 0;
    set_up();
    file = memfd_create("sheet", 0);
    assert(file >= 0);
    assert(write(file, data + 2, size - 2) == (ssize_t)(size - 2));
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    o.path = path;
    o.kind = catalogue_kinds[data[0] % catalogue_n_kinds];
    o.historic = data[1] & 1;
    o.map = map;
    o.n_map = data[1] >> 1 & 1 ? 2 : 0;
    read_file(&o);
    (void)close(file); /* memory only */
    return 0;
}
