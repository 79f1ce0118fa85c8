/* Values: canonical bytes, equality, and the algebra of sets.
 *
 * Sets of codes and sets of ids are both sorted sequences of byte strings; they differ only in how
 * one element follows another. `struct elems` walks either, so union and difference exist once. */
#include "common/catalogue/value.h"

#include <string.h>

#include "common/base/err.h"
#include "common/base/text.h"

struct value value_null(void)
{
    return (struct value){.type = V_NULL};
}

struct value value_int(int64_t i)
{
    return (struct value){.type = V_INT, .i = i};
}

struct value value_text(struct slice s)
{
    return (struct value){.type = V_TEXT, .s = s};
}

struct value value_str(const char *s)
{
    return s == NULL ? value_null() : value_text(slice_str(s));
}

struct value value_id(const struct id *id)
{
    return (struct value){.type = V_ID, .s = {id->b, ID_SIZE}};
}

bool value_is_null(const struct value *v)
{
    return v->type == V_NULL;
}

bool value_eq(const struct value *a, const struct value *b)
{
    if (a->type != b->type || a->type == V_SEALED) {
        return false;
    }
    if (a->type == V_NULL || a->type == V_ERASED) {
        return true;
    }
    return a->type == V_INT ? a->i == b->i : slice_eq(a->s, b->s);
}

/* ---- encoding ---- */

void value_encode(struct buf *out, const struct value *v)
{
    buf_u8(out, (uint8_t)v->type);
    if (v->type == V_NULL || v->type == V_ERASED) {
        return;
    }
    if (v->type == V_INT) {
        buf_zigzag(out, v->i);
    } else {
        buf_bytes(out, v->s);
    }
}

/* ---- elements ---- */

struct elems {
    struct slice rest;
    enum value_type type; /* V_SET or V_IDS */
};

static struct elems elems_of(const struct value *v, enum value_type type)
{
    struct elems e = {.rest = {NULL, 0}, .type = type};

    if (v != NULL && v->type == type) {
        e.rest = v->s;
    }
    return e;
}

/* False at the end. An empty code is an element too: the decoder refuses it. */
static bool elems_next(struct elems *e, struct slice *ret)
{
    if (e->rest.len == 0) {
        return false;
    }
    if (e->type == V_IDS) {
        size_t n = e->rest.len < ID_SIZE ? e->rest.len : ID_SIZE;
        *ret = (struct slice){e->rest.p, n};
        e->rest = (struct slice){e->rest.p + n, e->rest.len - n};
        return true;
    }
    const uint8_t *comma = memchr(e->rest.p, ',', e->rest.len);
    size_t n = comma == NULL ? e->rest.len : (size_t)(comma - e->rest.p);
    size_t step = comma == NULL ? n : n + 1;
    *ret = (struct slice){e->rest.p, n};
    e->rest = (struct slice){e->rest.p + step, e->rest.len - step};
    return true;
}

static bool elems_has(const struct value *v, enum value_type type, struct slice what)
{
    struct elems e = elems_of(v, type);
    struct slice one;

    while (elems_next(&e, &one)) {
        if (slice_eq(one, what)) {
            return true;
        }
    }
    return false;
}

/* Sorted, unique, no empty element, no dangling comma, whole ids. */
static bool elems_canonical(struct slice s, enum value_type type)
{
    struct value v = {.type = type, .s = s};
    struct elems e = elems_of(&v, type);
    struct slice one, last = {NULL, 0};
    bool first = true;

    if (s.len == 0) {
        return false;
    }
    if (type == V_IDS ? s.len % ID_SIZE != 0 : s.p[s.len - 1] == ',') {
        return false;
    }
    while (elems_next(&e, &one)) {
        if (one.len == 0 || (!first && slice_cmp(last, one) >= 0)) {
            return false;
        }
        last = one;
        first = false;
    }
    return true;
}

struct value value_decode(struct rd *r)
{
    struct value v = {.type = V_NULL};
    uint8_t type = rd_u8(r);

    if (type > V_ERASED) {
        r->bad = true;
    }
    if (r->bad || type == V_NULL) {
        return v;
    }
    v.type = (enum value_type)type;
    if (v.type == V_INT) {
        v.i = rd_zigzag(r);
    } else if (v.type != V_ERASED) {
        v.s = rd_bytes(r, rd_left(r));
        if ((v.type == V_TEXT && !text_valid(v.s)) ||
            (v.type == V_SET && !(text_valid(v.s) && elems_canonical(v.s, V_SET))) ||
            (v.type == V_IDS && !elems_canonical(v.s, V_IDS)) ||
            (v.type == V_ID && v.s.len != ID_SIZE)) {
            r->bad = true;
        }
    }
    return r->bad ? value_null() : v;
}

struct value value_dup(struct arena *a, const struct value *v, bool *ret_ok)
{
    struct value copy = *v;

    *ret_ok = true;
    if (v->type == V_NULL || v->type == V_INT || v->type == V_ERASED) {
        copy.s = (struct slice){NULL, 0};
        return copy;
    }
    copy.s.p = arena_dup(a, v->s.p, v->s.len);
    if (copy.s.p == NULL) {
        *ret_ok = false;
        return value_null();
    }
    return copy;
}

/* ---- sets ---- */

/* An element list being written: at most MAX bytes at P. */
struct writer {
    uint8_t *p;
    size_t len;
    enum value_type type;
};

static void writer_put(struct writer *w, struct slice s)
{
    if (w->type == V_SET && w->len > 0) {
        w->p[w->len++] = ',';
    }
    memcpy(w->p + w->len, s.p, s.len);
    w->len += s.len;
}

static struct value writer_done(const struct writer *w)
{
    if (w->len == 0) {
        return value_null();
    }
    return (struct value){.type = w->type, .s = {w->p, w->len}};
}

/* The type the three share; V_NULL when all are null, V_ERASED when they do not fit. */
static enum value_type common_type(const struct value *v[], size_t n)
{
    enum value_type type = V_NULL;

    for (size_t i = 0; i < n; i++) {
        if (v[i] == NULL || v[i]->type == V_NULL) {
            continue;
        }
        if ((v[i]->type != V_SET && v[i]->type != V_IDS) || (type != V_NULL && type != v[i]->type)) {
            return V_ERASED;
        }
        type = v[i]->type;
    }
    return type;
}

int value_set_apply(struct arena *a, const struct value *old, const struct value *add,
                    const struct value *del, struct value *ret)
{
    const struct value *all[] = {old, add, del};
    enum value_type type = common_type(all, 3);

    if (type == V_ERASED) {
        return E_INVALID;
    }
    if (type == V_NULL) {
        *ret = value_null();
        return 0;
    }
    struct elems eo = elems_of(old, type), ea = elems_of(add, type);
    struct writer w = {.type = type, .p = arena_alloc(a, eo.rest.len + ea.rest.len + 2)};
    if (w.p == NULL) {
        return E_NOMEM;
    }
    struct slice o, n;
    bool has_o = elems_next(&eo, &o), has_n = elems_next(&ea, &n);
    while (has_o || has_n) {
        int order = !has_o ? 1 : !has_n ? -1 : slice_cmp(o, n);
        if (order < 0) {
            if (!elems_has(del, type, o)) {
                writer_put(&w, o);
            }
        } else {
            writer_put(&w, n);
        }
        if (order <= 0) {
            has_o = elems_next(&eo, &o);
        }
        if (order >= 0) {
            has_n = elems_next(&ea, &n);
        }
    }
    *ret = writer_done(&w);
    return 0;
}

/* The elements of A that B lacks. */
static int elems_minus(struct arena *arena, const struct value *a, const struct value *b,
                       enum value_type type, struct value *ret)
{
    struct elems e = elems_of(a, type);
    struct writer w = {.type = type, .p = arena_alloc(arena, e.rest.len + 1)};
    struct slice one;

    if (w.p == NULL) {
        return E_NOMEM;
    }
    while (elems_next(&e, &one)) {
        if (!elems_has(b, type, one)) {
            writer_put(&w, one);
        }
    }
    *ret = writer_done(&w);
    return 0;
}

int value_set_diff(struct arena *a, const struct value *old, const struct value *now,
                   struct value *ret_add, struct value *ret_del)
{
    enum value_type type = now->type == V_IDS || old->type == V_IDS ? V_IDS : V_SET;
    struct value add, del;

    int ret = elems_minus(a, now, old, type, &add);
    if (ret == 0) {
        ret = elems_minus(a, old, now, type, &del);
    }
    if (ret == 0) {
        *ret_add = add;
        *ret_del = del;
    }
    return ret;
}

bool value_set_has(const struct value *v, struct slice code)
{
    return elems_has(v, V_SET, code);
}

bool value_ids_has(const struct value *v, const struct id *id)
{
    return elems_has(v, V_IDS, (struct slice){id->b, ID_SIZE});
}

bool value_get_id(const struct value *v, struct id *ret_id)
{
    if (v->type != V_ID || v->s.len != ID_SIZE) {
        return false;
    }
    memcpy(ret_id->b, v->s.p, ID_SIZE);
    return true;
}
