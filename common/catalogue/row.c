/* A record in memory: one value for each field of its kind. */
#include "common/catalogue/row.h"

#include <assert.h>
#include <string.h>

static const struct value null_value = {.type = V_NULL};

struct row *row_new(struct arena *a, const struct kind *kind, const struct id *id)
{
    struct row *row = arena_zalloc(a, sizeof *row);

    if (row == NULL) {
        return NULL;
    }
    row->kind = kind;
    if (id != NULL) {
        row->id = *id;
    }
    /* V_NULL is 0, so that zeroed values are null. */
    row->values = arena_zalloc(a, kind->n_fields * sizeof *row->values);
    return row->values == NULL ? NULL : row;
}

static bool slice_copy(struct arena *a, struct slice *s)
{
    if (s->len == 0) {
        *s = (struct slice){NULL, 0};
        return true;
    }
    s->p = arena_dup(a, s->p, s->len);
    return s->p != NULL;
}

struct row *row_dup(struct arena *a, const struct row *row)
{
    struct row *copy = row_new(a, row->kind, &row->id);
    bool ok = true;

    if (copy == NULL) {
        return NULL;
    }
    struct value *values = copy->values;
    *copy = *row;
    copy->values = values;
    for (unsigned i = 0; i < row->kind->n_fields && ok; i++) {
        values[i] = value_dup(a, &row->values[i], &ok);
    }
    ok = ok && slice_copy(a, &copy->unknown) && slice_copy(a, &copy->seqs);
    return ok ? copy : NULL;
}

struct row *row_copy(struct arena *a, const struct row *row)
{
    struct row *copy = arena_dup(a, row, sizeof *row);

    if (copy == NULL) {
        return NULL;
    }
    copy->values = arena_dup(a, row->values, row->kind->n_fields * sizeof *row->values);
    return copy->values == NULL ? NULL : copy;
}

const struct value *row_get(const struct row *row, uint32_t tag)
{
    const struct field *f = kind_field(row->kind, tag);

    return f == NULL ? &null_value : &row->values[kind_field_index(row->kind, f)];
}

const struct value *row_named(const struct row *row, const char *name)
{
    const struct field *f = kind_field_named(row->kind, name);

    assert(f != NULL);
    return &row->values[kind_field_index(row->kind, f)];
}

void row_put(struct row *row, uint32_t tag, struct value v)
{
    const struct field *f = kind_field(row->kind, tag);

    assert(f != NULL);
    row->values[kind_field_index(row->kind, f)] = v;
}

static struct slice text_of(const struct value *v)
{
    if (v->type == V_TEXT || v->type == V_SET) {
        return v->s;
    }
    return slice_str("");
}

struct slice row_text(const struct row *row, const char *name)
{
    return text_of(row_named(row, name));
}

int64_t row_int(const struct row *row, const char *name)
{
    const struct value *v = row_named(row, name);

    return v->type == V_INT ? v->i : 0;
}

bool row_id(const struct row *row, const char *name, struct id *ret_id)
{
    return value_get_id(row_named(row, name), ret_id);
}

struct slice row_state(const struct row *row)
{
    return text_of(row_get(row, TAG_STATE));
}

bool row_in_state(const struct row *row, const char *state)
{
    return slice_eq(row_state(row), slice_str(state));
}

static bool flag(const struct row *row, uint32_t tag)
{
    const struct value *v = row_get(row, tag);

    return v->type == V_INT && v->i != 0;
}

bool row_voided(const struct row *row)
{
    return flag(row, TAG_VOIDED);
}

bool row_historic(const struct row *row)
{
    return flag(row, TAG_HISTORIC);
}

uint32_t row_site(const struct row *row)
{
    struct slice s = text_of(row_get(row, TAG_SITE));
    uint32_t code = 0;

    if (s.len != 6) {
        return 0;
    }
    for (size_t i = 0; i < 6; i++) {
        if (s.p[i] < '0' || s.p[i] > '9') {
            return 0;
        }
        code = code * 10 + (uint32_t)(s.p[i] - '0');
    }
    return code;
}
