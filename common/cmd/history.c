/* History: entries of the log, decoded and shown. */
#include "common/base/hex.h"
#include "common/catalogue/check.h"
#include "common/cmd/show.h"
#include "common/cmd/width.h"

#include <string.h>

#define ENTRY_MAX  (4u << 20)
#define OUT_MAX    (32u << 20)
#define DECODE_MAX (8u << 20)
#define LINE_WIDTH 60u

struct history {
    const struct view *v;
    struct arena a; /* of one entry */
    struct buf b;
    struct json j;
    bool whole; /* a stream's, not one record's: entries name their record */
    bool raw;
    struct err *err;
};

/* ---- words ---- */

int stream_of_word(const char *word, uint32_t *ret, struct err *err)
{
    uint32_t code = 0;

    if (strcmp(word, "shared") == 0) {
        *ret = STREAM_SHARED;
        return 0;
    }
    if (strcmp(word, "city") == 0) {
        *ret = STREAM_CITY;
        return 0;
    }
    for (const char *p = word; *p >= '0' && *p <= '9' && code < 1000000; p++)
        code = code * 10 + (uint32_t)(*p - '0');
    if (strlen(word) != 6 || code < 100000 || strspn(word, "0123456789") != 6)
        return err_set(err, E_USAGE, "流的名称应为 shared、city 或六位县市区代码，不是“%s”", word);
    *ret = code;
    return 0;
}

const char *stream_word(uint32_t stream, char buf[12])
{
    if (stream == STREAM_SHARED)
        return "shared";
    if (stream == STREAM_CITY)
        return "city";
    (void)snprintf(buf, 12, "%u", stream);
    return buf;
}

static const char *op_word(enum change_op op)
{
    switch (op) {
    case OP_CREATE:
        return "新建";
    case OP_SET:
        return "修改";
    case OP_TRANSITION:
        return "办理";
    case OP_VOID:
        return "作废";
    case OP_UNVOID:
        return "恢复";
    case OP_ERASE:
        return "删除内容";
    }
    return "";
}

static bool code_is(struct slice s, const char *code)
{
    return code != NULL && slice_eq(s, slice_str(code));
}

/* A transition by its Chinese label; its target's code when the catalogue has none. */
static void put_action(struct buf *out, const struct kind *kind, const struct change *c)
{
    if (c->op != OP_TRANSITION || kind == NULL) {
        buf_str(out, op_word(c->op));
        return;
    }
    for (unsigned i = 0; i < kind->n_transitions; i++) {
        const struct transition *t = &kind->transitions[i];

        if (code_is(c->from, t->from) && code_is(c->to, t->to)) {
            buf_str(out, t->action);
            return;
        }
    }
    buf_put(out, c->to.p, c->to.len);
}

/* ---- for programs ---- */

static int put_user(const struct view *v, struct buf *out, const struct id *account,
                    struct err *err)
{
    if (id_is_zero(account)) {
        buf_str(out, "system");
        return 0;
    }
    return names_put(v->names, catalogue_kind_named("user_account"), account, out, err);
}

static void json_key_of(struct json *j, const struct kind *kind, uint32_t tag)
{
    const struct field *f = kind != NULL ? kind_field(kind, tag) : NULL;
    char name[24];

    (void)snprintf(name, sizeof name, "%u", tag);
    json_key(j, f != NULL ? f->name : name);
}

static void json_value_of(struct json *j, const struct kind *kind, uint32_t tag,
                          const struct value *value)
{
    static const struct field unknown = {.type = FT_TEXT};
    const struct field *f = kind != NULL ? kind_field(kind, tag) : NULL;

    show_json(j, f != NULL ? f : &unknown, value);
}

static void json_fields(struct json *j, const struct kind *kind, const struct change *c)
{
    json_object(j);
    for (size_t i = 0; i < c->n_fields; i++) {
        const struct field_change *f = &c->fields[i];

        json_key_of(j, kind, f->tag);
        if (f->form != FORM_DELTA) {
            json_value_of(j, kind, f->tag, &f->v);
            continue;
        }
        json_object(j);
        json_key(j, "added");
        json_value_of(j, kind, f->tag, &f->v);
        json_key(j, "removed");
        json_value_of(j, kind, f->tag, &f->del);
        json_object_end(j);
    }
    json_object_end(j);
}

static void json_verdict(struct json *j, const struct kind *kind, const struct verdict *v)
{
    json_object(j);
    json_kv_uint(j, "shared_seq", v->shared_seq);
    json_key(j, "withheld");
    json_array(j);
    for (size_t i = 0; i < v->n_withheld; i++) {
        const struct field *f = kind != NULL ? kind_field(kind, v->withheld[i]) : NULL;

        if (f != NULL)
            json_str(j, f->name);
        else
            json_uint(j, v->withheld[i]);
    }
    json_array_end(j);
    json_key(j, "derived");
    json_object(j);
    for (size_t i = 0; i < v->n_derived; i++) {
        json_key_of(j, kind, v->derived[i].tag);
        json_value_of(j, kind, v->derived[i].tag, &v->derived[i].v);
    }
    json_object_end(j);
    json_kv_bool(j, "recovered", (v->flags & VERDICT_RECOVERED) != 0);
    json_object_end(j);
}

static void json_kv_id(struct json *j, const char *key, const struct id *id)
{
    char text[ID_TEXT_SIZE];

    id_format(id, text);
    json_kv_str(j, key, text);
}

/* VERDICT is NULL for a change that has no place yet; then only E's bytes are known. */
static int entry_json(struct history *h, const struct entry *e, const struct change *c,
                      const struct verdict *verdict)
{
    const struct kind *kind = catalogue_kind(c->kind);
    char at[CAL_DATETIME_SIZE], hash[2 * HASH_SIZE + 1];
    struct buf word;
    int ret;

    cal_format_datetime(verdict != NULL ? e->received_at : c->made_at, at);
    hex_encode(e->hash, HASH_SIZE, hash);
    buf_init(&word, ENTRY_MAX);
    buf_str(&h->b, h->j.first[h->j.depth] ? "\n" : "");
    json_object(&h->j);
    json_key(&h->j, "seq");
    if (verdict != NULL)
        json_uint(&h->j, e->seq);
    else
        json_null(&h->j);
    json_kv_str(&h->j, "at", at);
    json_kv_id(&h->j, "replica", &c->replica);
    json_kv_uint(&h->j, "n", c->n);
    ret = put_user(h->v, &word, &c->actor, h->err);
    json_kv_str(&h->j, "user", buf_cstr(&word));
    buf_clear(&word);
    put_action(&word, kind, c);
    json_kv_str(&h->j, "action", buf_cstr(&word));
    if (h->whole) {
        json_kv_str(&h->j, "kind", kind != NULL ? kind->name : NULL);
        json_kv_id(&h->j, "record", &c->record);
    }
    json_key(&h->j, "fields");
    json_fields(&h->j, kind, c);
    json_key(&h->j, "verdict");
    if (verdict != NULL)
        json_verdict(&h->j, kind, verdict);
    else
        json_null(&h->j);
    json_kv_str(&h->j, "hash", verdict != NULL ? hash : NULL);
    json_object_end(&h->j);
    buf_release(&word);
    return ret;
}

/* ---- for people ---- */

static int field_text(const struct view *v, struct buf *text, const struct field *field,
                      const struct field_change *f, struct err *err)
{
    int ret;

    if (f->form == FORM_DELTA && !value_is_null(&f->v))
        buf_str(text, "加 ");
    ret = show_text(v, text, NULL, field, &f->v, err);
    if (ret == 0 && f->form == FORM_DELTA && !value_is_null(&f->del)) {
        buf_str(text, " 去 ");
        ret = show_text(v, text, NULL, field, &f->del, err);
    }
    return ret;
}

static int field_line(struct history *h, const struct kind *kind, const struct field_change *f,
                      bool withheld)
{
    const struct field *field = kind != NULL ? kind_field(kind, f->tag) : NULL;
    struct buf text;
    int ret = 0;

    if (field == NULL)
        return 0;
    buf_init(&text, ENTRY_MAX);
    ret = field_text(h->v, &text, field, f, h->err);
    buf_printf(&h->b, "      %s：", field->label);
    text_fit(&h->b, buf_slice(&text), LINE_WIDTH);
    buf_str(&h->b, withheld ? "（有冲突，未采用）\n" : "\n");
    buf_release(&text);
    return ret;
}

static int entry_lines(struct history *h, const struct entry *e, const struct change *c,
                       const struct verdict *verdict)
{
    const struct kind *kind = catalogue_kind(c->kind);
    char at[CAL_DATETIME_SIZE];
    int ret;

    cal_format_datetime(verdict != NULL ? e->received_at : c->made_at, at);
    if (verdict != NULL)
        buf_printf(&h->b, "%6llu", (unsigned long long)e->seq);
    else
        buf_str(&h->b, "待上传");
    buf_printf(&h->b, "  %.10s %.8s  ", at, at + 11);
    ret = show_user(h->v, &h->b, &c->actor, h->err);
    buf_str(&h->b, "  ");
    put_action(&h->b, kind, c);
    if (h->whole && kind != NULL) {
        buf_printf(&h->b, " %s ", kind->label);
        if (ret == 0)
            ret = names_put(h->v->names, kind, &c->record, &h->b, h->err);
    }
    buf_u8(&h->b, '\n');
    for (size_t i = 0; ret == 0 && i < c->n_fields; i++)
        ret = field_line(h, kind, &c->fields[i],
                         verdict != NULL && verdict_withholds(verdict, c->fields[i].tag));
    return ret;
}

/* ---- a change by itself ---- */

int show_change(const struct view *v, struct buf *out, const struct change *c, struct err *err)
{
    const struct kind *kind = catalogue_kind(c->kind);
    struct buf text;
    int ret = 0;

    buf_str(out, "  ");
    put_action(out, kind, c);
    if (kind != NULL) {
        buf_printf(out, " %s ", kind->label);
        ret = names_put(v->names, kind, &c->record, out, err);
    }
    buf_u8(out, '\n');
    buf_init(&text, ENTRY_MAX);
    for (size_t i = 0; ret == 0 && i < c->n_fields; i++) {
        const struct field *f = kind != NULL ? kind_field(kind, c->fields[i].tag) : NULL;

        if (f == NULL)
            continue;
        buf_clear(&text);
        ret = field_text(v, &text, f, &c->fields[i], err);
        buf_printf(out, "      %s：", f->label);
        text_plain(out, buf_slice(&text), true);
        buf_u8(out, '\n');
    }
    if (ret == 0)
        ret = text.ret;
    buf_release(&text);
    return ret;
}

void show_change_json(struct json *j, const struct change *c)
{
    const struct kind *kind = catalogue_kind(c->kind);
    struct buf word;

    buf_init(&word, ENTRY_MAX);
    put_action(&word, kind, c);
    json_kv_str(j, "action", buf_cstr(&word));
    json_kv_str(j, "kind", kind != NULL ? kind->name : NULL);
    json_kv_id(j, "record", &c->record);
    json_key(j, "fields");
    json_fields(j, kind, c);
    buf_release(&word);
}

/* ---- raw ---- */

static void put_hex(struct buf *out, struct slice s)
{
    char digits[3];

    for (size_t i = 0; i < s.len; i++) {
        hex_encode(s.p + i, 1, digits);
        buf_str(out, digits);
    }
}

static void json_kv_hex(struct json *j, const char *key, struct slice s)
{
    struct buf digits;

    buf_init(&digits, ENTRY_MAX);
    put_hex(&digits, s);
    json_kv_str(j, key, buf_cstr(&digits));
    buf_release(&digits);
}

static void entry_raw(struct history *h, const struct entry *e)
{
    if (h->v->json) {
        buf_str(&h->b, h->j.first[h->j.depth] ? "\n" : "");
        json_object(&h->j);
        json_kv_uint(&h->j, "seq", e->seq);
        json_kv_uint(&h->j, "received_at", e->received_at);
        json_kv_hex(&h->j, "verdict", e->verdict);
        json_kv_hex(&h->j, "bytes", e->bytes);
        json_kv_hex(&h->j, "hash", (struct slice){e->hash, HASH_SIZE});
        json_object_end(&h->j);
        return;
    }
    buf_printf(&h->b, "%llu\t%llu\t", (unsigned long long)e->seq,
               (unsigned long long)e->received_at);
    put_hex(&h->b, e->verdict);
    buf_u8(&h->b, '\t');
    put_hex(&h->b, e->bytes);
    buf_u8(&h->b, '\t');
    put_hex(&h->b, (struct slice){e->hash, HASH_SIZE});
    buf_u8(&h->b, '\n');
}

/* ---- each entry ---- */

static int write_out(struct history *h)
{
    if (h->b.ret != 0)
        return err_set(h->err, h->b.ret, NULL);
    if (fwrite(h->b.p, 1, h->b.len, h->v->out) != h->b.len)
        return err_set(h->err, E_IO, "输出写不出去");
    buf_clear(&h->b);
    return 0;
}

static int on_entry(void *ctx, const struct entry *e)
{
    struct history *h = ctx;
    struct change c;
    struct verdict verdict;
    int ret;

    if (h->raw) {
        entry_raw(h, e);
        return write_out(h);
    }
    arena_clear(&h->a);
    ret = change_decode(&h->a, e->bytes, e->side, &c);
    if (ret == 0)
        ret = verdict_decode(&h->a, e->verdict, &verdict);
    if (ret != 0)
        return err_set(h->err, E_CORRUPT, "第 %llu 条记录读不懂", (unsigned long long)e->seq);
    ret = h->v->json ? entry_json(h, e, &c, &verdict) : entry_lines(h, e, &c, &verdict);
    return ret != 0 ? ret : write_out(h);
}

static int on_pending(void *ctx, struct slice bytes, struct slice side)
{
    struct history *h = ctx;
    struct entry e = {.bytes = bytes, .side = side};
    struct change c;
    int ret;

    arena_clear(&h->a);
    ret = change_decode(&h->a, bytes, side, &c);
    if (ret != 0)
        return err_set(h->err, E_CORRUPT, "一项待上传的更改读不懂");
    ret = h->v->json ? entry_json(h, &e, &c, NULL) : entry_lines(h, &e, &c, NULL);
    return ret != 0 ? ret : write_out(h);
}

static void history_init(struct history *h, const struct view *v, struct err *err)
{
    memset(h, 0, sizeof *h);
    h->v = v;
    h->err = err;
    arena_init(&h->a, DECODE_MAX);
    buf_init(&h->b, OUT_MAX);
    json_init(&h->j, &h->b);
    if (v->json)
        json_array(&h->j);
}

static int history_end(struct history *h, int ret)
{
    if (ret == 0 && h->v->json) {
        json_array_end(&h->j);
        buf_u8(&h->b, '\n');
        ret = write_out(h);
    }
    arena_release(&h->a);
    buf_release(&h->b);
    return ret;
}

int show_log(const struct view *v, const struct row *row, struct err *err)
{
    struct history h;
    int ret;

    history_init(&h, v, err);
    ret = store_record_log(v->store, row->stream, &row->id, on_entry, &h, err);
    if (ret == 0 && row->pending && v->pending != NULL)
        ret = v->pending(v->pending_ctx, &row->id, on_pending, &h, err);
    return history_end(&h, ret);
}

int show_stream(const struct view *v, uint32_t stream, bool raw, struct err *err)
{
    struct stream_head head;
    struct history h;
    char word[12];
    int ret = store_stream_get(v->store, stream, &head, err);

    if (ret == E_NOTFOUND)
        return err_set(err, ret, "这里没有流 %s", stream_word(stream, word));
    if (ret != 0)
        return ret;
    history_init(&h, v, err);
    h.whole = true;
    h.raw = raw;
    return history_end(&h, store_entry_each(v->store, stream, 1, on_entry, &h, err));
}
