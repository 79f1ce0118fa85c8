/* Values as people read them; the forms are those check_parse reads back. */
#include <inttypes.h>
#include <string.h>

#include "common/base/text.h"
#include "common/catalogue/check.h"

static void put_code(struct buf *out, const struct field *f, struct slice code)
{
    const struct code *c = f->codes == NULL ? NULL : code_find(f->codes, code, false);

    if (c != NULL) {
        buf_str(out, c->label);
    } else {
        buf_put(out, code.p, code.len);
    }
}

static void put_set(struct buf *out, const struct field *f, struct slice set)
{
    while (set.len > 0) {
        const uint8_t *comma = memchr(set.p, ',', set.len);
        size_t n = comma == NULL ? set.len : (size_t)(comma - set.p);
        put_code(out, f, (struct slice){set.p, n});
        if (comma == NULL) {
            return;
        }
        buf_str(out, "、");
        set = (struct slice){comma + 1, set.len - n - 1};
    }
}

static void put_ids(struct buf *out, struct slice ids)
{
    for (size_t i = 0; i + ID_SIZE <= ids.len; i += ID_SIZE) {
        struct id id;
        char text[ID_TEXT_SIZE];
        memcpy(id.b, ids.p + i, ID_SIZE);
        id_format(&id, text);
        if (i > 0) {
            buf_str(out, "、");
        }
        buf_str(out, text);
    }
}

static void put_int(struct buf *out, const struct field *f, int64_t i)
{
    const char *sign = i < 0 ? "-" : "";
    uint64_t u = i < 0 ? 0 - (uint64_t)i : (uint64_t)i;

    switch (f->type) {
    case FT_BOOL: buf_str(out, i != 0 ? "是" : "否"); return;
    case FT_DECIMAL: buf_printf(out, "%s%" PRIu64 ".%" PRIu64, sign, u / 10, u % 10); return;
    case FT_MONEY: buf_printf(out, "%s%" PRIu64 ".%02" PRIu64, sign, u / 100, u % 100); return;
    default: buf_printf(out, "%" PRId64, i); return;
    }
}

static void put_text(struct buf *out, const struct field *f, struct slice s)
{
    if (f->type == FT_ENUM) {
        put_code(out, f, s);
    } else if (f->type == FT_DATETIME && s.len == CAL_DATETIME_SIZE - 1) {
        buf_put(out, s.p, 10); /* 2026-03-05T09:30:00+08:00 reads 2026-03-05 09:30:00 */
        buf_u8(out, ' ');
        buf_put(out, s.p + 11, 8);
    } else {
        buf_put(out, s.p, s.len);
    }
}

int check_format(struct buf *out, const struct field *f, const struct value *v)
{
    if (f->type == FT_SECRET && v->type != V_NULL) {
        buf_str(out, "***");
        return out->ret;
    }
    switch (v->type) {
    case V_NULL: break;
    case V_INT: put_int(out, f, v->i); break;
    case V_TEXT: put_text(out, f, v->s); break;
    case V_SET: put_set(out, f, v->s); break;
    case V_ID: case V_IDS: put_ids(out, v->s); break;
    case V_SEALED: buf_str(out, "***"); break;
    case V_ERASED: buf_str(out, "已删除"); break;
    }
    return out->ret;
}

int check_mask(struct buf *out, const struct field *f, const struct value *v)
{
    if (v->type != V_TEXT) {
        return check_format(out, f, v);
    }
    size_t at = 0;
    if (f->type == FT_PHONE && v->s.len >= 10) {
        buf_put(out, v->s.p, 3);
        buf_str(out, "****");
        buf_put(out, v->s.p + v->s.len - 4, 4);
    } else if (f->type == FT_TEXT && text_next(v->s, &at) != 0) {
        buf_put(out, v->s.p, at);
        buf_str(out, "**");
    } else {
        buf_str(out, "***");
    }
    return out->ret;
}
