#include "common/cmd/attached.h"

#include "common/base/hex.h"
#include "common/base/text.h"
#include "common/cmd/width.h"

#include <stdlib.h>
#include <string.h>

#define ROWS_MAX (16u << 20)

static const struct {
    const char *code, *words;
    bool counts;
} states[] = {
#define X(symbol, code, words, counts) {code, words, counts},
    ATTACHED_STATES(X)
#undef X
};

/* ---- showing ---- */

struct standing {
    enum attached_state state;
    int cause;
};

struct list {
    struct arena a;
    struct row **rows;
    struct standing *at; /* of each row */
    size_t n, pending, lost;
};

static int find(const struct view *v, const struct row *row, struct list *l, struct err *err)
{
    const struct kind *kind = catalogue_kind_named("attachment");
    struct value target = value_id(&row->id);
    int ret = store_row_find(v->store, &l->a, kind, kind_field_named(kind, "target_id")->tag,
                             &target, &l->rows, &l->n, err);

    if (ret != 0 || l->n == 0)
        return ret;
    l->at = arena_alloc(&l->a, l->n * sizeof *l->at);
    if (l->at == NULL)
        return err_set(err, E_NOMEM, NULL);
    for (size_t i = 0; ret == 0 && i < l->n; i++) {
        struct standing *at = &l->at[i];

        ret = v->attached(v->attached_ctx, l->rows[i], &at->state, &at->cause, err);
        l->lost += ret == 0 && at->state == ATTACHED_LOST;
        l->pending += ret == 0 && states[at->state].counts && at->state != ATTACHED_LOST;
    }
    return ret;
}

static void put_size(struct buf *out, int64_t bytes)
{
    if (bytes < 1024)
        buf_printf(out, "%lld 字节", (long long)bytes);
    else if (bytes < 1024 * 1024)
        buf_printf(out, "%lld KB", (long long)(bytes / 1024));
    else
        buf_printf(out, "%.1f MB", (double)bytes / (1024.0 * 1024.0));
}

static void put_one(struct buf *out, const struct row *row, const struct standing *at)
{
    char id[ID_TEXT_SIZE];
    struct slice name = row_text(row, "file_name");

    id_format(&row->id, id);
    buf_printf(out, "  %s ", id);
    text_plain(out, name, false); /* it came from another computer */
    buf_str(out, "（");
    put_size(out, row_int(row, "size"));
    buf_printf(out, "，%s", states[at->state].words);
    if (at->cause != 0)
        buf_printf(out, "：%s %s", err_code(at->cause), err_text(at->cause));
    buf_str(out, "）\n");
}

int attached_lines(const struct view *v, const struct row *row, struct buf *out, struct err *err)
{
    struct list l = {.n = 0};
    int ret;

    arena_init(&l.a, ROWS_MAX);
    ret = find(v, row, &l, err);
    if (ret == 0 && l.n > 0) {
        buf_printf(out, "附件 %zu 个", l.n);
        if (l.pending > 0)
            buf_printf(out, "，%zu 个待上传", l.pending);
        if (l.lost > 0)
            buf_printf(out, "，%zu 个已丢失", l.lost);
        buf_u8(out, '\n');
        for (size_t i = 0; i < l.n; i++)
            put_one(out, l.rows[i], &l.at[i]);
    }
    arena_release(&l.a);
    return ret;
}

static void json_one(struct json *j, const struct row *row, const struct standing *at)
{
    char id[ID_TEXT_SIZE];

    id_format(&row->id, id);
    json_object(j);
    json_kv_str(j, "id", id);
    json_key(j, "file_name");
    json_text(j, row_text(row, "file_name"));
    json_kv_int(j, "size", row_int(row, "size"));
    json_kv_str(j, "state", states[at->state].code);
    json_kv_str(j, "cause", at->cause == 0 ? NULL : err_code(at->cause));
    json_object_end(j);
}

int attached_json(const struct view *v, const struct row *row, struct json *j, struct err *err)
{
    struct list l = {.n = 0};
    int ret;

    arena_init(&l.a, ROWS_MAX);
    ret = find(v, row, &l, err);
    if (ret == 0 && l.n > 0) {
        json_key(j, "attachments");
        json_array(j);
        for (size_t i = 0; i < l.n; i++)
            json_one(j, l.rows[i], &l.at[i]);
        json_array_end(j);
    }
    arena_release(&l.a);
    return ret;
}

/* ---- writing ---- */

static struct field_change set(const struct kind *kind, const char *name, struct value v)
{
    return (struct field_change){
        .tag = kind_field_named(kind, name)->tag, .form = FORM_SET, .v = v};
}

int attached_fields(struct arena *a, const struct row *target, const struct attached_file *f,
                    struct field_change **ret, size_t *ret_n, struct err *err)
{
    const struct kind *kind = catalogue_kind_named("attachment");
    struct field_change *fields = arena_alloc(a, 6 * sizeof *fields);
    char *hex = arena_alloc(a, 2 * sizeof f->hash + 1);

    if (fields == NULL || hex == NULL)
        return err_set(err, E_NOMEM, NULL);
    hex_encode(f->hash, sizeof f->hash, hex);
    fields[0] = set(kind, "target_kind", value_str(target->kind->name));
    fields[1] = set(kind, "target_id", value_id(&target->id));
    fields[2] = set(kind, "file_name", value_str(f->name));
    fields[3] = set(kind, "mime", value_str(f->mime));
    fields[4] = set(kind, "size", value_int((int64_t)f->size));
    fields[5] = set(kind, "hash", value_str(hex));
    *ret = fields;
    *ret_n = 6;
    return 0;
}

const struct field *attached_list(const struct kind *kind)
{
    for (unsigned i = 0; i < kind->n_own; i++) {
        if (kind->fields[i].type == FT_FILES)
            return &kind->fields[i];
    }
    return NULL;
}

static int by_id(const void *a, const void *b)
{
    return memcmp(a, b, ID_SIZE);
}

int attached_added(struct arena *a, const struct attached_file *files, size_t n,
                   const struct field *list, struct field_change *ret, struct err *err)
{
    uint8_t *ids = arena_alloc(a, n * ID_SIZE);

    if (ids == NULL)
        return err_set(err, E_NOMEM, NULL);
    for (size_t i = 0; i < n; i++)
        memcpy(ids + i * ID_SIZE, files[i].id.b, ID_SIZE);
    qsort(ids, n, ID_SIZE, by_id);
    *ret = (struct field_change){.tag = list->tag,
                                 .form = FORM_DELTA,
                                 .v = {.type = V_IDS, .s = {ids, n * ID_SIZE}}};
    return 0;
}
