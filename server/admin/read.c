/* Reading commands: on a read-only store of their own, whether the daemon runs or not. */
#include "server/admin/admin.h"
#include "server/admin/commands.h"

#include "common/blob/files.h"
#include "common/cmd/attached.h"
#include "common/cmd/settings.h"
#include "common/cmd/width.h"
#include "server/store/city_blob.h"

#include <stdlib.h>
#include <string.h>

#define LIMIT_MAX UINT64_C(100000000)

struct reading {
    const struct args *args;
    struct home home;
    struct store *store;
    struct names names;
    struct view view;
    struct err *err;
};

static int reading_open(struct reading *r, const struct args *a, struct err *err)
{
    int ret;

    memset(r, 0, sizeof *r);
    r->args = a;
    r->err = err;
    ret = home_init(&r->home, args_text(a, OPT_DIR), err);
    if (ret == 0)
        ret = home_load_reading(&r->home, err);
    if (ret == 0)
        ret = home_open_store(&r->home, &r->store, err);
    if (ret != 0)
        return ret;
    names_init(&r->names, r->store);
    r->view = (struct view){
        .store = r->store, .names = &r->names, .out = a->out, .json = a->json,
        .attached = home_attached, .attached_ctx = r->store};
    return 0;
}

static void reading_close(struct reading *r)
{
    if (r->view.store != NULL)
        names_release(&r->names);
    store_close(r->store);
    home_release(&r->home);
}

/* Everything in one moment, however long it takes to print. */
static int with_snapshot(struct reading *r, int (*show)(struct reading *r))
{
    int ret = store_begin(r->store, r->err);

    if (ret == 0)
        ret = show(r);
    store_rollback(r->store);
    return ret;
}

static int run(const struct args *a, int (*show)(struct reading *r), struct err *err)
{
    struct reading r;
    int ret = reading_open(&r, a, err);

    if (ret == 0)
        ret = with_snapshot(&r, show);
    reading_close(&r);
    return ret;
}

/* Of one stream, or (0) of all. */
static int list(struct reading *r, const struct kind *kind, uint32_t stream)
{
    const struct args *a = r->args;
    struct show_list which = {.stream = stream};
    struct store_filter *filters;
    struct pair *pairs;
    size_t n = 0;
    int ret = args_option_pairs(a, OPT_WHERE, &pairs, &n, r->err);

    if (ret == 0)
        ret = args_number(a, OPT_LIMIT, 1, LIMIT_MAX, &which.limit, r->err);
    if (ret == 0)
        ret = show_filters(&r->view, a->arena, kind, pairs, n, &filters, r->err);
    if (ret != 0)
        return ret;
    which.filters = filters;
    which.n_filters = n;
    return show_list(&r->view, kind, &which, r->err);
}

static int show_ls(struct reading *r)
{
    const struct kind *kind;
    int ret = kind_of_word(r->args->words[0], &kind, r->err);

    return ret != 0 ? ret : list(r, kind, 0);
}

int cmd_ls(const struct args *a, struct err *err)
{
    return run(a, show_ls, err);
}

static int show_users(struct reading *r)
{
    return list(r, catalogue_kind_named("user_account"), STREAM_CITY);
}

int cmd_user_list(const struct args *a, struct err *err)
{
    return run(a, show_users, err);
}

static int show_historic(struct reading *r)
{
    return list(r, catalogue_kind_named("historic_file"), 0);
}

int cmd_historic_list(const struct args *a, struct err *err)
{
    return run(a, show_historic, err);
}

/* The site that --site names; 0 without it. */
static int site_given(struct reading *r, uint32_t *ret)
{
    const char *text = args_text(r->args, OPT_SITE);
    const struct kind *sites = catalogue_kind_named("site");
    struct store_filter code = {.tag = kind_field_named(sites, "code")->tag};
    uint64_t n = 0;
    int status;

    *ret = 0;
    if (text == NULL)
        return 0;
    code.v = value_str(text);
    status = store_row_count(r->store, sites, &code, 1, 0, &n, r->err);
    if (status != 0)
        return status;
    if (n == 0)
        return err_set(r->err, E_USAGE, "没有代码为“%s”的县市区", text);
    *ret = (uint32_t)strtoul(text, NULL, 10);
    return 0;
}

static int show_setting_list(struct reading *r)
{
    uint32_t site;
    int ret = site_given(r, &site);

    return ret != 0 ? ret : show_settings(&r->view, site, r->err);
}

int cmd_setting_list(const struct args *a, struct err *err)
{
    return run(a, show_setting_list, err);
}

static int resolve(struct reading *r, struct row **ret)
{
    return store_resolve(r->store, r->args->arena, NULL, slice_str(r->args->words[0]), ret,
                         r->err);
}

static int show_one(struct reading *r)
{
    struct row *row;
    int ret = resolve(r, &row);

    return ret != 0 ? ret : show_record(&r->view, row, r->err);
}

int cmd_show(const struct args *a, struct err *err)
{
    return run(a, show_one, err);
}

static int show_history(struct reading *r)
{
    const char *word = args_text(r->args, OPT_STREAM);
    struct row *row;
    uint32_t stream;
    int ret;

    if (word == NULL) {
        ret = resolve(r, &row);
        return ret != 0 ? ret : show_log(&r->view, row, r->err);
    }
    ret = stream_of_word(word, &stream, r->err);
    return ret != 0 ? ret
                    : show_stream(&r->view, stream, args_has(r->args, OPT_RAW), r->err);
}

int cmd_log(const struct args *a, struct err *err)
{
    bool stream = args_text(a, OPT_STREAM) != NULL;

    if (stream == (a->n_words == 1))
        return err_set(err, E_USAGE, "请写一条记录的编号，或者用 --stream 指明一个流");
    if (!stream && args_has(a, OPT_RAW))
        return err_set(err, E_USAGE, "--raw 要和 --stream 一起用");
    return run(a, show_history, err);
}

/* ---- attachments ---- */

int home_attached(void *ctx, const struct row *row, enum attached_state *ret, int *ret_cause,
                  struct err *err)
{
    struct city_blob b = {.state = CITY_BLOB_NONE};
    struct arena a;
    int status;

    arena_init(&a, 4096);
    status = city_blob_get(ctx, &row->id, &a, &b, err);
    arena_release(&a);
    if (status != 0 && status != E_NOTFOUND)
        return status;
    *ret = b.state == CITY_BLOB_VERIFIED ? ATTACHED_UPLOADED
           : b.state == CITY_BLOB_LOST   ? ATTACHED_LOST
                                         : ATTACHED_PENDING;
    *ret_cause = 0;
    return 0;
}

static int save(struct reading *r, const struct city_blob *b)
{
    const char *out = args_text(r->args, OPT_OUT);
    char name[BLOB_NAME_MAX + 1];
    struct home_path root;
    int ret;

    if (b->state != CITY_BLOB_VERIFIED)
        return err_set(r->err, b->state == CITY_BLOB_LOST ? E_BLOB_LOST : E_BLOB_WAIT, NULL);
    ret = blob_name(home_file(&r->home, "blobs", &root), b->hash, b->file_name, name, r->err);
    out = out != NULL ? out : name;
    if (ret == E_NOTFOUND)
        return err_set(r->err, E_BLOB_LOST, "附件的文件已不在市级的磁盘上，请运行 ztcd verify");
    if (ret == 0)
        ret = blob_save(root.text, b->hash, out, r->err);
    if (ret != 0)
        return ret;
    if (r->args->json)
        (void)fprintf(r->args->out, "{\"ok\":true}\n");
    else
        (void)fprintf(r->args->out, "已保存 %s\n", out);
    return 0;
}

static int fetch(struct reading *r)
{
    struct city_blob b;
    struct row *row;
    int ret = resolve(r, &row);

    if (ret == 0 && strcmp(row->kind->name, "attachment") != 0)
        ret = err_set(r->err, E_USAGE, "%s不是附件", row->kind->label);
    if (ret == 0)
        ret = city_blob_get(r->store, &row->id, r->args->arena, &b, r->err);
    return ret != 0 ? ret : save(r, &b);
}

int cmd_fetch(const struct args *a, struct err *err)
{
    return run(a, fetch, err);
}

struct missing {
    struct reading *r;
    struct json j;
    struct buf b;
    uint32_t site; /* 0: any */
    bool lost;     /* only those */
    uint64_t n;
};

static int put_missing(void *ctx, const struct city_blob *b)
{
    static const char *const codes[] = {"pending", "coming", "verified", "lost"};
    static const char *const words[] = {"未开始", "上传中", "已上传", "已丢失"};
    struct missing *m = ctx;
    char id[ID_TEXT_SIZE], target[ID_TEXT_SIZE], stream[12];

    if ((m->site != 0 && b->stream != m->site) || (m->lost && b->state != CITY_BLOB_LOST))
        return 0;
    m->n++;
    id_format(&b->attachment, id);
    id_format(&b->target, target);
    if (!m->r->args->json) {
        buf_printf(&m->b, "%s %s %s ", stream_word(b->stream, stream), id, words[b->state]);
        text_plain(&m->b, b->file_name, false); /* it came from another computer */
        buf_printf(&m->b, "（属 %s）\n", target);
        return m->b.ret;
    }
    json_object(&m->j);
    json_kv_str(&m->j, "id", id);
    json_kv_str(&m->j, "target", target);
    json_kv_str(&m->j, "stream", stream_word(b->stream, stream));
    json_key(&m->j, "file_name");
    json_text(&m->j, b->file_name);
    json_kv_uint(&m->j, "size", b->size);
    json_kv_str(&m->j, "state", codes[b->state]);
    json_object_end(&m->j);
    return m->b.ret;
}

static int list_missing(struct reading *r)
{
    struct missing m = {.r = r, .lost = args_has(r->args, OPT_LOST)};
    const char *site = args_text(r->args, OPT_SITE);
    int ret;

    if (site != NULL && stream_of_word(site, &m.site, r->err) != 0)
        return E_USAGE;
    buf_init(&m.b, 64u << 20);
    json_init(&m.j, &m.b);
    if (r->args->json)
        json_array(&m.j);
    ret = city_blob_each(r->store, NULL, false, put_missing, &m, r->err);
    if (ret == 0 && r->args->json)
        json_array_end(&m.j);
    else if (ret == 0)
        buf_printf(&m.b, "共 %llu 个附件%s", (unsigned long long)m.n,
                   m.lost ? "已丢失" : "尚未收到");
    if (ret == 0)
        (void)fprintf(r->args->out, "%s\n", buf_cstr(&m.b));
    buf_release(&m.b);
    return ret;
}

int cmd_attachments(const struct args *a, struct err *err)
{
    return run(a, list_missing, err);
}
