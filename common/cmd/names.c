/* Finding records by name, with a small cache.
 *
 * - an exact name (the fields of name_fields, in order), if one unvoided record alone has it;
 * - else what the store resolves: serial number, id, beginning of an id.
 * Names come first because a site's code also reads as the beginning of an id. */
#include "common/cmd/names.h"

#include "common/base/text.h"
#include "common/catalogue/check.h"

#include <string.h>

#define CACHE_MAX      (16u << 20)
#define ROWS_MAX       (64u << 20)
#define NAME_MAX_BYTES 512u

/* What people call a record; the first that a kind has is the one that is shown. */
static const char *const name_fields[] = {"login", "name", "short_name", "code", "title", NULL};

struct named_slot {
    const struct kind *kind;
    struct id id;
    struct slice text;
};

void names_init(struct names *n, struct store *store)
{
    memset(n, 0, sizeof *n);
    n->store = store;
    arena_init(&n->arena, CACHE_MAX);
    arena_init(&n->rows, ROWS_MAX);
}

void names_release(struct names *n)
{
    arena_release(&n->arena);
    arena_release(&n->rows);
}

void names_clear(struct names *n)
{
    memset(n->by_text, 0, sizeof n->by_text);
    memset(n->by_id, 0, sizeof n->by_id);
    arena_clear(&n->arena);
}

static unsigned slot_of(const struct kind *kind, const uint8_t *p, size_t len)
{
    uint32_t h = 2166136261u ^ kind->tag;

    for (size_t i = 0; i < len; i++)
        h = (h ^ p[i]) * 16777619u;
    return h % NAMES_SLOTS;
}

/* Where memory ends, everything is forgotten: the cache only saves time. */
static void remember(struct names *n, struct named_slot **slot, const struct kind *kind,
                     const struct id *id, struct slice text)
{
    struct named_slot *s = arena_alloc(&n->arena, sizeof *s);
    uint8_t *copy = s != NULL ? arena_dup(&n->arena, text.p, text.len) : NULL;

    if (copy == NULL) {
        names_clear(n);
        return;
    }
    *s = (struct named_slot){.kind = kind, .id = *id, .text = {copy, text.len}};
    *slot = s;
}

/* ---- by name ---- */

/* Records of KIND whose name field has TEXT: how many (2 stands for more), and the first. */
static int count_named(struct names *n, const struct kind *kind, const char *field,
                       struct slice text, size_t *count, struct id *id, struct err *err)
{
    const struct field *f = kind_field_named(kind, field);
    struct value v = value_text(text);
    struct row **rows;
    size_t found;
    int ret;

    if (f == NULL || strcmp(f->name, field) != 0 || !f->stored || f->type != FT_TEXT ||
        f->vanish != VANISH_NO)
        return 0;
    arena_clear(&n->rows);
    ret = store_row_find(n->store, &n->rows, kind, f->tag, &v, &rows, &found, err);
    if (ret == 0 && found > 0) {
        *id = rows[0]->id;
        *count = found;
    }
    return ret;
}

static int search(struct names *n, const struct kind *kind, struct slice text, struct id *ret_id,
                  struct err *err)
{
    struct row *row;
    int ret;

    for (size_t i = 0; name_fields[i] != NULL; i++) {
        size_t count = 0;

        ret = count_named(n, kind, name_fields[i], text, &count, ret_id, err);
        if (ret != 0 || count == 1)
            return ret;
        if (count > 1)
            return err_set(err, E_INVALID, "“%.*s”不止一个（%s），请写编号", (int)text.len,
                           (const char *)text.p, kind->label);
    }
    arena_clear(&n->rows);
    ret = store_resolve(n->store, &n->rows, kind, text, &row, err);
    if (ret == E_NOTFOUND && catalogue_card(kind) != NULL &&
        search(n, catalogue_card(kind), text, ret_id, NULL) == 0)
        return 0; /* one of the city's own, known here by its card */
    if (ret == E_NOTFOUND || (ret == E_INVALID && text.len > ID_TEXT_SIZE))
        return err_set(err, E_INVALID, "没有“%.*s”（%s）", (int)text.len, (const char *)text.p,
                       kind->label);
    if (ret == 0)
        *ret_id = row->id;
    return ret;
}

int names_find(struct names *n, const struct kind *kind, struct slice text, struct id *ret_id,
               struct err *err)
{
    struct named_slot **slot = &n->by_text[slot_of(kind, text.p, text.len)];
    int ret;

    if (*slot != NULL && (*slot)->kind == kind && slice_eq((*slot)->text, text)) {
        *ret_id = (*slot)->id;
        return 0;
    }
    if (text.len > NAME_MAX_BYTES)
        return err_set(err, E_INVALID, "名称太长，没有这样的%s", kind->label);
    ret = search(n, kind, text, ret_id, err);
    if (ret == 0)
        remember(n, slot, kind, ret_id, text);
    return ret;
}

/* ---- by id ---- */

/* The kind's own name of ROW; empty without one. */
static struct slice name_of(const struct row *row)
{
    for (size_t i = 0; name_fields[i] != NULL; i++) {
        const struct field *f = kind_field_named(row->kind, name_fields[i]);
        const struct value *v;

        if (f == NULL || strcmp(f->name, name_fields[i]) != 0 || f->vanish != VANISH_NO)
            continue;
        v = row_get(row, f->tag);
        if (v->type == V_TEXT && v->s.len > 0)
            return v->s;
    }
    return (struct slice){NULL, 0};
}

static struct slice serial_of(const struct row *row)
{
    const struct value *v = row_get(row, TAG_SERIAL);

    return v->type == V_TEXT ? v->s : (struct slice){NULL, 0};
}

static void put_id(struct buf *out, const struct id *id)
{
    char text[ID_TEXT_SIZE];

    id_format(id, text);
    buf_str(out, text);
}

static int load(struct names *n, const struct kind *kind, const struct id *id, struct row **ret,
                struct err *err)
{
    int status;

    arena_clear(&n->rows);
    status = store_row_get(n->store, &n->rows, kind, id, ret, err);
    if (status == 0 && *ret == NULL && catalogue_card(kind) != NULL)
        status = store_row_get(n->store, &n->rows, catalogue_card(kind), id, ret, err);
    return status;
}

static int put_name(struct names *n, const struct kind *kind, const struct id *id, struct buf *out,
                    struct err *err)
{
    struct id other;
    struct slice name;
    struct row *row;
    char copy[NAME_MAX_BYTES];
    int ret = load(n, kind, id, &row, err);

    if (ret != 0)
        return ret;
    name = row != NULL ? serial_of(row) : (struct slice){NULL, 0};
    if (name.len > 0) {
        buf_put(out, name.p, name.len);
        return 0;
    }
    name = row != NULL ? name_of(row) : name;
    if (name.len == 0 || name.len > sizeof copy) {
        put_id(out, id);
        return 0;
    }
    memcpy(copy, name.p, name.len); /* the search reuses the row's memory */
    name.p = (const uint8_t *)copy;
    if (names_find(n, kind, name, &other, NULL) == 0 && id_eq(&other, id))
        buf_put(out, name.p, name.len);
    else
        put_id(out, id);
    return 0;
}

int names_put(struct names *n, const struct kind *kind, const struct id *id, struct buf *out,
              struct err *err)
{
    struct named_slot **slot = &n->by_id[slot_of(kind, id->b, ID_SIZE)];
    size_t from = out->len;
    int ret;

    if (*slot != NULL && (*slot)->kind == kind && id_eq(&(*slot)->id, id)) {
        buf_put(out, (*slot)->text.p, (*slot)->text.len);
        return 0;
    }
    ret = put_name(n, kind, id, out, err);
    if (ret == 0 && out->ret == 0)
        remember(n, slot, kind, id, (struct slice){out->p + from, out->len - from});
    return ret;
}

int names_put_full(struct names *n, const struct kind *kind, const struct id *id, struct buf *out,
                   struct err *err)
{
    struct slice name, serial;
    struct row *row;
    int ret = load(n, kind, id, &row, err);

    if (ret != 0)
        return ret;
    if (row == NULL) {
        put_id(out, id);
        return 0;
    }
    name = name_of(row);
    serial = serial_of(row);
    buf_put(out, name.p, name.len);
    if (name.len > 0 && serial.len > 0)
        buf_u8(out, ' ');
    buf_put(out, serial.p, serial.len);
    if (name.len == 0 && serial.len == 0)
        put_id(out, id);
    return 0;
}

const struct kind *names_target(const struct field *f, const struct row *row)
{
    struct slice kind;
    char name[64];

    if (f->type == FT_FILES)
        return catalogue_kind_named("attachment");
    if (f->type != FT_RID)
        return f->target;
    kind = row != NULL && kind_field_named(row->kind, "target_kind") != NULL
               ? row_text(row, "target_kind")
               : (struct slice){NULL, 0};
    if (kind.len == 0 || kind.len >= sizeof name)
        return NULL;
    memcpy(name, kind.p, kind.len);
    name[kind.len] = '\0';
    return catalogue_kind_named(name);
}

/* ---- values ---- */

static bool is_separator(uint32_t c)
{
    return c == 0x3001 || c == ',' || c == 0xFF0C || c == ';' || c == 0xFF1B || c == '\n';
}

static int parse_ref(struct names *n, struct arena *a, const struct kind *target, struct slice text,
                     struct value *ret, struct err *err)
{
    struct id id;
    struct id *copy;
    int status = names_find(n, target, text, &id, err);

    if (status != 0)
        return status;
    copy = arena_dup(a, &id, sizeof id);
    if (copy == NULL)
        return err_set(err, E_NOMEM, NULL);
    *ret = value_id(copy);
    return 0;
}

/* A record of any kind: its name alone would not say which. */
static int parse_rid(struct names *n, struct arena *a, struct slice text, struct value *ret,
                     struct err *err)
{
    struct id *copy = arena_alloc(a, sizeof *copy);
    struct row *row;
    int status;

    if (copy == NULL)
        return err_set(err, E_NOMEM, NULL);
    if (id_parse((const char *)text.p, text.len, copy) != 0) {
        arena_clear(&n->rows);
        status = store_resolve(n->store, &n->rows, NULL, text, &row, err);
        if (status != 0)
            return status == E_NOTFOUND ? err_set(err, E_INVALID, "没有“%.*s”这条记录",
                                                  (int)text.len, (const char *)text.p)
                                        : status;
        *copy = row->id;
    }
    *ret = value_id(copy);
    return 0;
}

/* Add the record that one part of the text names. */
static int add_ref(struct names *n, struct arena *a, const struct kind *target, struct slice part,
                   struct value *all, struct err *err)
{
    struct value old = *all, one;
    int ret;

    part = text_trim(part);
    if (part.len == 0)
        return 0;
    ret = parse_ref(n, a, target, part, &one, err);
    if (ret != 0)
        return ret;
    one.type = V_IDS;
    ret = value_set_apply(a, &old, &one, NULL, all);
    return ret != 0 ? err_set(err, ret, NULL) : 0;
}

static int parse_refs(struct names *n, struct arena *a, const struct kind *target,
                      struct slice text, struct value *ret, struct err *err)
{
    struct value all = value_null();
    size_t from = 0, at = 0;
    int status = 0;

    while (status == 0 && at < text.len) {
        size_t end = at;

        if (!is_separator(text_next(text, &at)))
            continue;
        status = add_ref(n, a, target, (struct slice){text.p + from, end - from}, &all, err);
        from = at;
    }
    if (status == 0)
        status = add_ref(n, a, target, (struct slice){text.p + from, text.len - from}, &all, err);
    if (status == 0)
        *ret = all;
    return status;
}

static int parse_state(const struct kind *kind, struct slice text, struct value *ret,
                       struct err *err)
{
    const struct code *c = kind->states != NULL ? code_find(kind->states, text, true) : NULL;

    if (c == NULL)
        return err_set(err, E_INVALID, "%s没有状态“%.*s”", kind->label, (int)text.len,
                       (const char *)text.p);
    *ret = value_str(c->code);
    return 0;
}

int names_parse(struct names *n, struct arena *a, const struct kind *kind, const struct field *f,
                struct slice text, struct value *ret, struct err *err)
{
    struct slice trimmed = text_trim(text);
    int status;

    if (trimmed.len == 0) {
        *ret = value_null();
        return 0;
    }
    if (f->tag == TAG_STATE)
        return parse_state(kind, trimmed, ret, err);
    if (f->type == FT_REF)
        status = parse_ref(n, a, f->target, trimmed, ret, err);
    else if (f->type == FT_RID)
        status = parse_rid(n, a, trimmed, ret, err);
    else if (f->type == FT_REFS || f->type == FT_FILES)
        status = parse_refs(n, a, names_target(f, NULL), trimmed, ret, err);
    else
        return check_parse(a, f, text, ret, err);
    return status == E_INVALID ? err_wrap(err, status, "“%s”", f->label) : status;
}
