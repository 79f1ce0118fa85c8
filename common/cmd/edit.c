/* Fields of a change, kept ascending by tag while they come in any order. */
#include "common/cmd/edit.h"

#include "common/catalogue/check.h"

#include <string.h>

static bool is_set(const struct field *f)
{
    return f->type == FT_SET || f->type == FT_REFS || f->type == FT_FILES;
}

/* A place for TAG in the ascending array. */
static int make_room(struct edit *e, struct arena *a, const struct field *f,
                     struct field_change **ret, struct err *err)
{
    size_t at = 0;

    while (at < e->n && e->fields[at].tag < f->tag)
        at++;
    if (at < e->n && e->fields[at].tag == f->tag)
        return err_set(err, E_USAGE, "字段“%s”写了不止一次", f->label);
    if (e->n == e->cap) {
        size_t cap = e->cap * 2 + 16;
        struct field_change *more = arena_alloc(a, cap * sizeof *more);

        if (more == NULL)
            return err_set(err, E_NOMEM, NULL);
        if (e->n > 0)
            memcpy(more, e->fields, e->n * sizeof *more);
        e->fields = more;
        e->cap = cap;
    }
    memmove(e->fields + at + 1, e->fields + at, (e->n - at) * sizeof *e->fields);
    e->n++;
    *ret = &e->fields[at];
    return 0;
}

int edit_put(struct edit *e, struct arena *a, const struct row *before, const struct field *f,
             struct value v, struct err *err)
{
    static const struct value nothing;
    const struct value *old = before != NULL ? row_get(before, f->tag) : &nothing;
    struct field_change *change = NULL;
    int ret;

    if (value_eq(old, &v))
        return 0;
    ret = make_room(e, a, f, &change, err);
    if (ret != 0)
        return ret;
    *change = (struct field_change){.tag = f->tag, .form = FORM_SET, .v = v};
    if (before == NULL || !is_set(f))
        return 0;
    change->form = FORM_DELTA;
    ret = value_set_diff(a, old, &v, &change->v, &change->del);
    return ret != 0 ? err_set(err, ret, NULL) : 0;
}

int edit_field(const struct kind *kind, const char *name, const struct field **ret, struct err *err)
{
    const struct field *f = kind_field_named(kind, name);

    if (f == NULL)
        return err_set(err, E_USAGE, "%s没有字段“%s”", kind->label, name);
    if (f->tag == TAG_STATE)
        return err_set(err, E_USAGE, "状态由办理动作改变，请用 do");
    if (!f->stored || f->type == FT_SECRET || (f->tag >= TAG_SITE && f->tag != TAG_VOID_REASON))
        return err_set(err, E_USAGE, "字段“%s”由系统填写", f->label);
    *ret = f;
    return 0;
}

int edit_pairs(struct edit *e, struct names *names, struct arena *a, const struct kind *kind,
               const struct row *before, const struct pair *pairs, size_t n, struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        const struct field *f = NULL;
        struct value v;
        int ret = edit_field(kind, pairs[i].name, &f, err);

        if (ret == 0)
            ret = names_parse(names, a, kind, f, pairs[i].value, &v, err);
        if (ret == 0)
            ret = edit_put(e, a, before, f, v, err);
        if (ret != 0)
            return ret;
    }
    return 0;
}

int kind_of_word(const char *word, const struct kind **ret, struct err *err)
{
    const struct kind *kind = catalogue_kind_named(word);

    if (kind == NULL || kind->stream == STREAM_RULE_NONE)
        return err_set(err, E_USAGE,
                       "没有名为“%s”的台账，例如 opinion（社情民意）、submission（转送件）", word);
    *ret = kind;
    return 0;
}

int kind_to_add(const char *program, const char *word, const struct kind **ret, struct err *err)
{
    int status = kind_of_word(word, ret, err);

    if (status == 0 && (*ret)->stream == STREAM_RULE_TARGET)
        return err_set(err, E_USAGE, "附件随文件登记，请用 %s attach 记录 文件…", program);
    return status;
}
