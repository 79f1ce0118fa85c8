/* ls, show, log: reading records. add, set, do, user: writing them. */
#include "client/cmd/commands.h"

#include <string.h>

#define LIMIT_MAX UINT64_C(100000000)

/* ---- reading ---- */

static int list(struct work *w, const struct kind *kind)
{
    const struct args *a = w->args;
    struct show_list which = {.limit = 0};
    struct store_filter *filters;
    struct pair *pairs;
    size_t n = 0;
    int ret = args_option_pairs(a, OPT_WHERE, &pairs, &n, w->err);

    if (ret == 0)
        ret = args_number(a, OPT_LIMIT, 1, LIMIT_MAX, &which.limit, w->err);
    if (ret == 0)
        ret = show_filters(&w->view, a->arena, kind, pairs, n, &filters, w->err);
    if (ret != 0)
        return ret;
    which.filters = filters;
    which.n_filters = n;
    return show_list(&w->view, kind, &which, w->err);
}

int cmd_ls(const struct args *a, struct err *err)
{
    const struct kind *kind;
    struct work w;
    int ret = kind_of_word(a->words[0], &kind, err);

    if (ret != 0)
        return ret;
    ret = work_open(&w, a, err);
    if (ret == 0)
        ret = list(&w, kind);
    work_close(&w);
    return ret;
}

int cmd_show(const struct args *a, struct err *err)
{
    struct row *row;
    struct work w;
    int ret = work_open(&w, a, err);

    if (ret == 0)
        ret = work_record(&w, a->words[0], &row);
    if (ret == 0)
        ret = show_record(&w.view, row, err);
    work_close(&w);
    return ret;
}

static int log_stream(struct work *w, const char *word)
{
    uint32_t stream;
    int ret = stream_of_word(word, &stream, w->err);

    return ret != 0 ? ret : show_stream(&w->view, stream, args_has(w->args, OPT_RAW), w->err);
}

static int log_record(struct work *w)
{
    struct row *row;
    int ret = work_record(w, w->args->words[0], &row);

    return ret != 0 ? ret : show_log(&w->view, row, w->err);
}

int cmd_log(const struct args *a, struct err *err)
{
    const char *stream = args_text(a, OPT_STREAM);
    struct work w;
    int ret;

    if ((stream != NULL) == (a->n_words == 1))
        return err_set(err, E_USAGE, "请写一条记录的编号，或者用 --stream 指明一个流");
    if (stream == NULL && args_has(a, OPT_RAW))
        return err_set(err, E_USAGE, "--raw 要和 --stream 一起用");
    ret = work_open(&w, a, err);
    if (ret == 0)
        ret = stream != NULL ? log_stream(&w, stream) : log_record(&w);
    work_close(&w);
    return ret;
}

/* ---- writing ---- */

/* One draft with the pairs that stand from word FROM on. */
static int write_one(struct work *w, struct draft *d, const struct row *before, unsigned from)
{
    struct edit e = {.n = 0};
    struct pair *pairs;
    size_t n;
    int ret = args_word_pairs(w->args, from, &pairs, &n, w->err);

    if (ret == 0)
        ret = edit_pairs(&e, &w->names, w->args->arena, d->kind, before, pairs, n, w->err);
    d->fields = e.fields;
    d->n_fields = e.n;
    return ret != 0 ? ret : work_write(w, d, 1, true);
}

int cmd_add(const struct args *a, struct err *err)
{
    struct draft d = {.op = OP_CREATE};
    struct work w;
    int ret = kind_to_add("ztc", a->words[0], &d.kind, err);

    if (ret != 0)
        return ret;
    ret = work_open(&w, a, err);
    if (ret == 0)
        ret = write_one(&w, &d, NULL, 1);
    work_close(&w);
    return ret;
}

int cmd_set(const struct args *a, struct err *err)
{
    struct draft d = {.op = OP_SET};
    struct row *row;
    struct work w;
    int ret = work_open(&w, a, err);

    if (ret == 0)
        ret = work_record(&w, a->words[0], &row);
    if (ret == 0) {
        d.kind = row->kind;
        d.record = row->id;
        ret = write_one(&w, &d, row, 1);
    }
    work_close(&w);
    return ret;
}

static bool is_word(const char *word, const char *code, const char *label)
{
    return strcmp(word, code) == 0 || strcmp(word, label) == 0;
}

int cmd_do(const struct args *a, struct err *err)
{
    struct draft d = {.op = OP_TRANSITION, .to = slice_str(a->words[0])};
    struct row *row;
    struct work w;
    int ret = work_open(&w, a, err);

    if (is_word(a->words[0], "void", "作废"))
        d.op = OP_VOID;
    else if (is_word(a->words[0], "unvoid", "恢复"))
        d.op = OP_UNVOID;
    if (ret == 0)
        ret = work_record(&w, a->words[1], &row);
    if (ret == 0) {
        d.kind = row->kind;
        d.record = row->id;
        ret = write_one(&w, &d, row, 2);
    }
    work_close(&w);
    return ret;
}

/* ---- accounts ---- */

static const struct kind *accounts(void)
{
    return catalogue_kind_named("user_account");
}

static bool has_pair(const struct pair *pairs, size_t n, const char *code, const char *label)
{
    for (size_t i = 0; i < n; i++) {
        if (is_word(pairs[i].name, code, label))
            return true;
    }
    return false;
}

/* The login, what is written as pairs or as --name and --role, and the login as a name without one. */
static int account_fields(struct work *w, struct edit *e)
{
    const struct args *a = w->args;
    const char *name = args_text(a, OPT_NAME), *role = args_text(a, OPT_ROLE);
    struct pair *pairs, *all;
    size_t n;
    int ret = args_word_pairs(a, 1, &pairs, &n, w->err);

    if (ret != 0)
        return ret;
    all = arena_alloc(a->arena, (n + 3) * sizeof *all);
    if (all == NULL)
        return err_set(w->err, E_NOMEM, NULL);
    memcpy(all, pairs, n * sizeof *all);
    if (role != NULL)
        all[n++] = (struct pair){"role", slice_str(role)};
    if (name != NULL || !has_pair(all, n, "name", "姓名"))
        all[n++] = (struct pair){"name", slice_str(name != NULL ? name : a->words[0])};
    all[n++] = (struct pair){"login", slice_str(a->words[0])};
    return edit_pairs(e, &w->names, a->arena, accounts(), NULL, all, n, w->err);
}

int cmd_user_add(const struct args *a, struct err *err)
{
    struct draft d = {.kind = accounts(), .op = OP_CREATE};
    struct edit e = {.n = 0};
    struct work w;
    int ret = work_open(&w, a, err);

    if (ret == 0)
        ret = account_fields(&w, &e);
    d.fields = e.fields;
    d.n_fields = e.n;
    if (ret == 0)
        ret = work_write(&w, &d, 1, true);
    work_close(&w);
    return ret;
}

int cmd_user_list(const struct args *a, struct err *err)
{
    struct work w;
    int ret = work_open(&w, a, err);

    if (ret == 0)
        ret = list(&w, accounts());
    work_close(&w);
    return ret;
}
