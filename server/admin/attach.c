/* attach: the command copies the files in, where nobody waits for the disk; the deed writes the records.
 *
 * The deed's words: the record, then HASH:SIZE:TYPE:NAME a file. */
#include "server/admin/admin.h"
#include "server/admin/commands.h"

#include "common/base/hex.h"
#include "common/base/text.h"
#include "common/blob/file_name.h"
#include "common/blob/files.h"
#include "common/cmd/attached.h"
#include "common/crypto/hash.h"
#include "server/store/city_blob.h"

#include <string.h>

#define HEX_LEN (2 * HASH_SIZE)

/* ---- the command ---- */

/* How large a file of the record that is named may be. */
static int find_limit(const struct args *a, struct home *h, uint64_t *ret, struct err *err)
{
    struct city *city = NULL;
    struct row *row;
    int status = home_load(h, err);

    if (status == 0)
        status = home_open_city(h, daemon_clock(), &city, err);
    if (status == 0)
        status = store_resolve(city_store(city), a->arena, NULL, slice_str(a->words[0]), &row, err);
    if (status == 0)
        *ret = (uint64_t)city_setting(city, "attachment_bytes", row_site(row));
    city_close(city);
    return status;
}

static int take(const struct args *a, const struct home *h, const char *path, uint64_t max,
                const char **ret_word, struct err *err)
{
    struct home_path root;
    struct blob_info info = {.size = 0};
    char hex[HEX_LEN + 1];
    int ret = blob_take(home_file(h, "blobs", &root), path, max, &info, err);

    if (ret != 0)
        return ret;
    hex_encode(info.hash, HASH_SIZE, hex);
    *ret_word = arena_printf(a->arena, "%s:%llu:%s:%s", hex, (unsigned long long)info.size,
                             info.mime, info.name);
    return *ret_word == NULL ? err_set(err, E_NOMEM, NULL) : 0;
}

int cmd_attach(const struct args *a, struct err *err)
{
    struct args deed = *a;
    const char **words = arena_alloc(a->arena, a->n_words * sizeof *words);
    uint64_t max = 0;
    struct home h;
    int ret = home_init(&h, args_text(a, OPT_DIR), err);

    if (ret == 0 && !home_exists(&h))
        ret = err_set(err, E_NOTFOUND, "%s 中没有市级数据，请先运行 ztcd init", h.dir);
    if (ret == 0 && words == NULL)
        ret = err_set(err, E_NOMEM, NULL);
    if (ret == 0)
        ret = find_limit(a, &h, &max, err);
    if (ret == 0)
        words[0] = a->words[0];
    for (unsigned i = 1; ret == 0 && i < a->n_words; i++)
        ret = take(a, &h, a->words[i], max, &words[i], err);
    home_release(&h);
    if (ret != 0)
        return ret;
    deed.words = words;
    return cmd_deed(&deed, err);
}

/* ---- the deed ---- */

static struct slice field_of(struct slice *rest)
{
    const uint8_t *colon = memchr(rest->p, ':', rest->len);
    size_t len = colon == NULL ? rest->len : (size_t)(colon - rest->p);
    struct slice field = {rest->p, len};

    len += colon != NULL;
    *rest = (struct slice){rest->p + len, rest->len - len};
    return field;
}

static int parse(struct deed *d, const char *word, struct attached_file *ret)
{
    struct random random = random_system();
    struct slice rest = slice_str(word), hash = field_of(&rest), size = field_of(&rest);
    struct slice mime = field_of(&rest);
    char name[BLOB_NAME_MAX + 1];
    int64_t bytes = 0;

    if (hash.len != HEX_LEN || hex_decode((const char *)hash.p, hash.len, ret->hash) != 0 ||
        text_int(size, &bytes) != 0 || bytes < 1)
        return err_set(d->err, E_USAGE, "请用 ztcd attach 记录 文件…");
    file_name_clean(rest, BLOB_NAME_MAX, name);
    ret->id = id_v7(d->now, &random);
    ret->size = (uint64_t)bytes;
    ret->mime = arena_strndup(d->args->arena, mime.p, mime.len);
    ret->name = arena_strndup(d->args->arena, name, strlen(name));
    return ret->mime == NULL || ret->name == NULL ? E_NOMEM : 0;
}

static int make_change(struct deed *d, const struct row *target, const struct attached_file *f,
                       struct change *c)
{
    *c = (struct change){.op = OP_CREATE,
                         .kind = catalogue_kind_named("attachment")->tag,
                         .record = f->id,
                         .stream = target->stream,
                         .seen = UINT64_MAX >> 1}; /* a command looks at the present */
    return attached_fields(d->args->arena, target, f, &c->fields, &c->n_fields, d->err);
}

/* The files stand in the record's own list too, where it has one that is the city's. */
static int make_list(struct deed *d, const struct row *target, const struct attached_file *files,
                     size_t n, struct change *c, size_t *n_changes)
{
    const struct field *list = attached_list(target->kind);
    struct field_change *change = arena_alloc(d->args->arena, sizeof *change);

    if (list == NULL || list->owner == SIDE_COUNTY)
        return 0;
    if (change == NULL)
        return E_NOMEM;
    *c = (struct change){.op = OP_SET,
                         .kind = target->kind->tag,
                         .record = target->id,
                         .seen = UINT64_MAX >> 1,
                         .fields = change,
                         .n_fields = 1};
    ++*n_changes;
    return attached_added(d->args->arena, files, n, list, change, d->err);
}

static int write_files(struct deed *d, const struct row *target, struct attached_file *files,
                       size_t n)
{
    struct change *changes = arena_zalloc(d->args->arena, (n + 1) * sizeof *changes);
    struct act act = {.changes = changes, .n = n};
    int ret = changes == NULL ? E_NOMEM : deed_actor(d, &act.actor);

    for (size_t i = 0; ret == 0 && i < n; i++)
        ret = parse(d, d->args->words[1 + i], &files[i]);
    for (size_t i = 0; ret == 0 && i < n; i++)
        ret = make_change(d, target, &files[i], &changes[i]);
    if (ret == 0)
        ret = make_list(d, target, files, n, &changes[n], &act.n);
    if (ret == 0)
        ret = city_act(d->city, &act, d->err);
    for (size_t i = 0; ret == 0 && i < n; i++)
        ret = city_blob_held(d->city, STREAM_CITY, files[i].hash, files[i].size, d->err);
    return ret;
}

static void tell(const struct deed *d, const struct attached_file *files, size_t n)
{
    char id[ID_TEXT_SIZE];
    struct json j;
    struct buf b;

    buf_init(&b, n * 512u + 64u);
    json_init(&j, &b);
    json_array(&j);
    for (size_t i = 0; i < n; i++) {
        id_format(&files[i].id, id);
        json_object(&j);
        json_kv_str(&j, "id", id);
        json_kv_str(&j, "file_name", files[i].name);
        json_kv_uint(&j, "size", files[i].size);
        json_object_end(&j);
        if (!d->args->json)
            (void)fprintf(d->args->out, args_has(d->args, OPT_QUIET) ? "%s\n" : "%s %s\n", id,
                          files[i].name);
    }
    json_array_end(&j);
    if (d->args->json)
        (void)fprintf(d->args->out, "%s\n", buf_cstr(&b));
    buf_release(&b);
}

int deed_attach(struct deed *d)
{
    size_t n = d->args->n_words - 1;
    struct attached_file *files = arena_zalloc(d->args->arena, n * sizeof *files);
    struct row *target;
    int ret = files == NULL ? E_NOMEM : 0;

    if (ret == 0)
        ret = store_resolve(d->view.store, d->args->arena, NULL, slice_str(d->args->words[0]),
                            &target, d->err);
    if (ret == 0)
        ret = write_files(d, target, files, n);
    if (ret == 0)
        tell(d, files, n);
    return ret;
}
