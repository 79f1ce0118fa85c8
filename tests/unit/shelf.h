/* A lookup over rows in memory, and words to put rows there: fixture of the catalogue's tests. */
#ifndef ZTC_TESTS_SHELF_H
#define ZTC_TESTS_SHELF_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "common/catalogue/check.h"

#define SHELF_MAX 128

struct shelf {
    struct arena a;
    struct row *rows[SHELF_MAX];
    size_t n;
    struct lookup lookup;
    struct check check;
    uint8_t next_id;
};

static inline int shelf_get(void *ctx, const struct kind *kind, const struct id *id, struct row **ret)
{
    struct shelf *s = ctx;

    *ret = NULL;
    for (size_t i = 0; i < s->n; i++) {
        if (s->rows[i]->kind == kind && id_eq(&s->rows[i]->id, id)) {
            *ret = s->rows[i];
        }
    }
    return 0;
}

static inline int shelf_find(void *ctx, const struct kind *kind, uint32_t tag, const struct value *v,
                      lookup_row_cb cb, void *cb_ctx)
{
    struct shelf *s = ctx;
    int ret = 0;

    assert_true(kind_field(kind, tag)->indexed);
    for (size_t i = 0; i < s->n && ret == 0; i++) {
        struct row *row = s->rows[i];
        if (row->kind == kind && !row_voided(row) && value_eq(row_get(row, tag), v)) {
            ret = cb(cb_ctx, row);
        }
    }
    return ret;
}

static inline void shelf_init(struct shelf *s)
{
    memset(s, 0, sizeof *s);
    arena_init(&s->a, (size_t)64 << 20);
    s->lookup = (struct lookup){shelf_get, shelf_find, s};
    s->check = (struct check){.lookup = &s->lookup, .today = cal_day((struct cal_date){2026, 3, 5})};
}

static inline void shelf_release(struct shelf *s)
{
    arena_release(&s->a);
}

/* Set a field from a person's text; "" empties it. A field called `state` is the header's. */
static inline void shelf_set(struct shelf *s, struct row *row, const char *name, const char *text)
{
    const struct field *f = kind_field_named(row->kind, name);
    struct err err = {0};
    struct value v;

    assert_non_null(f);
    int ret = check_parse(&s->a, f, slice_str(text), &v, &err);
    if (ret != 0) {
        fail_msg("%s.%s = '%s': %s", row->kind->name, name, text, err.text);
    }
    row_put(row, f->tag, v);
}

static inline void shelf_refer(struct shelf *s, struct row *row, const char *name, const struct row *to)
{
    struct id *id = arena_dup(&s->a, &to->id, sizeof to->id);

    row_put(row, kind_field_named(row->kind, name)->tag, value_id(id));
}

/* A new row on the shelf: pairs of field name and text, ended by NULL. */
static inline struct row *shelf_put(struct shelf *s, const char *kind, ...)
{
    struct id id = {{0}};
    va_list args;
    const char *name;

    id.b[15] = ++s->next_id;
    struct row *row = row_new(&s->a, catalogue_kind_named(kind), &id);
    assert_non_null(row);
    row->exists = true;
    row->stream = 431021;
    row_put(row, TAG_SITE, value_str("431021"));
    va_start(args, kind);
    while ((name = va_arg(args, const char *)) != NULL) {
        shelf_set(s, row, name, va_arg(args, const char *));
    }
    va_end(args);
    assert_true(s->n < SHELF_MAX);
    s->rows[s->n++] = row;
    return row;
}

/* Some valid value for a field. */
static inline struct value shelf_any(struct shelf *s, const struct field *f)
{
    struct value v;
    char text[512] = "";
    static const struct id some = {{9}};

    switch (f->type) {
    case FT_INT: case FT_DECIMAL: case FT_MONEY: case FT_BOOL: case FT_YEAR:
        return value_int(f->min > 1 ? f->min : f->max < 1 ? f->max : 1);
    case FT_DATE: return value_str("2026-03-01");
    case FT_DATETIME: return value_str("2026-03-01T09:00:00+08:00");
    case FT_TIME: return value_str("09:00");
    case FT_PHONE: return value_str("13812345678");
    case FT_URL: return value_str("https://example.com/");
    case FT_ENUM: return value_str(f->codes->codes[0].code);
    case FT_SET: v = value_str(f->codes->codes[0].code); v.type = V_SET; return v;
    case FT_REF: case FT_RID: return value_id(&some);
    case FT_REFS: case FT_FILES: break;
    default:
        if (f->choices != NULL) {
            return value_str(f->choices[0]);
        }
        for (int64_t i = 0; i < f->min || i < 2; i++) {
            strcat(text, "0");
        }
        return value_str(arena_strndup(&s->a, text, strlen(text)));
    }
    uint8_t *ids = arena_zalloc(&s->a, 3 * ID_SIZE); /* the most any field asks for */
    for (uint8_t i = 0; i < 3; i++) {
        ids[i * ID_SIZE] = i;
    }
    return (struct value){.type = V_IDS, .s = {ids, 3 * ID_SIZE}};
}

/* Fill every stored field of ROW that is empty. */
static inline void shelf_fill(struct shelf *s, struct row *row)
{
    for (unsigned i = 0; i < row->kind->n_own; i++) {
        const struct field *f = &row->kind->fields[i];
        if (f->stored && f->type != FT_SECRET && value_is_null(&row->values[i])) {
            row->values[i] = shelf_any(s, f);
        }
    }
}

static inline struct actor shelf_actor(const char *role, enum side side)
{
    return (struct actor){.roles = role_bit(slice_str(role)),
                          .site = side == SIDE_CITY ? SITE_CITY : 431021,
                          .side = side};
}

static inline struct actor shelf_system(void)
{
    return (struct actor){.is_system = true, .side = SIDE_CITY, .site = SITE_CITY};
}

#endif
