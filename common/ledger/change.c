/* Changes to bytes and back: change.h has the picture. Decoding accepts only what encoding makes, so
 * that one change has one form and one hash. */
#include "common/ledger/change.h"

#include "common/base/err.h"
#include "common/base/text.h"

#include <string.h>

#define STATE_MAX 64u /* bytes of a state code */

enum { SIDE_OPEN = 1, SIDE_SEALED = 2 };

static void encode_field(struct buf *out, const struct field_change *f)
{
    buf_varint(out, f->tag);
    buf_u8(out, (uint8_t)f->form);
    buf_varint(out, f->saw_n);
    switch (f->form) {
    case FORM_SET:
        value_encode(out, &f->v);
        break;
    case FORM_DELTA:
        value_encode(out, &f->v);
        value_encode(out, &f->del);
        break;
    case FORM_HASHED:
        buf_put(out, f->hash, HASH_SIZE);
        break;
    }
}

void change_encode(struct buf *out, const struct change *c)
{
    buf_u8(out, CHANGE_FORMAT);
    buf_put(out, c->replica.b, ID_SIZE);
    buf_varint(out, c->n);
    buf_varint(out, c->stream);
    buf_varint(out, c->act_pos);
    buf_varint(out, c->act_len);
    buf_varint(out, c->made_at);
    buf_put(out, c->actor.b, ID_SIZE);
    buf_varint(out, c->seen);
    buf_varint(out, c->catalogue);
    buf_varint(out, c->kind);
    buf_put(out, c->record.b, ID_SIZE);
    buf_u8(out, (uint8_t)c->op);
    if (c->op == OP_TRANSITION)
        buf_bytes(out, c->from);
    if (c->op == OP_TRANSITION || c->op == OP_CREATE)
        buf_bytes(out, c->to);
    buf_varint(out, c->n_fields);
    for (size_t i = 0; i < c->n_fields; i++)
        encode_field(out, &c->fields[i]);
}

void change_encode_side(struct buf *side, const struct change *c)
{
    for (size_t i = 0; i < c->n_fields; i++) {
        const struct field_change *f = &c->fields[i];

        if (f->form != FORM_HASHED || f->v.type == V_ERASED)
            continue;
        buf_varint(side, f->tag);
        if (f->v.type == V_SEALED) {
            buf_u8(side, SIDE_SEALED);
            buf_bytes(side, f->v.s);
        } else {
            buf_u8(side, SIDE_OPEN);
            buf_put(side, f->salt, SALT_SIZE);
            value_encode(side, &f->v);
        }
    }
}

static struct id rd_id(struct rd *r)
{
    struct slice s = rd_take(r, ID_SIZE);
    struct id id = {{0}};

    if (s.len == ID_SIZE)
        memcpy(id.b, s.p, ID_SIZE);
    return id;
}

static uint32_t rd_u32(struct rd *r)
{
    uint64_t v = rd_varint(r);

    if (v > UINT32_MAX)
        r->bad = true;
    return (uint32_t)v;
}

static void decode_field(struct rd *r, struct field_change *f)
{
    struct slice hash;
    uint8_t form;

    f->tag = rd_u32(r);
    form = rd_u8(r);
    f->saw_n = rd_varint(r);
    switch (form) {
    case FORM_SET:
        f->v = value_decode(r);
        break;
    case FORM_DELTA:
        f->v = value_decode(r);
        f->del = value_decode(r);
        break;
    case FORM_HASHED:
        hash = rd_take(r, HASH_SIZE);
        if (hash.len == HASH_SIZE)
            memcpy(f->hash, hash.p, HASH_SIZE);
        f->v.type = V_ERASED; /* until its sidecar is met */
        break;
    default:
        r->bad = true;
    }
    f->form = (enum field_form)form;
}

/* A state becomes a text value of the record, so it must be text. */
static struct slice rd_state(struct rd *r)
{
    struct slice s = rd_bytes(r, STATE_MAX);

    if (!text_valid(s))
        r->bad = true;
    return s;
}

static void decode_head(struct rd *r, struct change *c)
{
    uint8_t op;

    if (rd_u8(r) != CHANGE_FORMAT)
        r->bad = true;
    c->replica = rd_id(r);
    c->n = rd_varint(r);
    c->stream = rd_u32(r);
    c->act_pos = rd_u32(r);
    c->act_len = rd_u32(r);
    c->made_at = rd_varint(r);
    c->actor = rd_id(r);
    c->seen = rd_varint(r);
    c->catalogue = rd_u32(r);
    c->kind = rd_u32(r);
    c->record = rd_id(r);
    op = rd_u8(r);
    if (op < OP_CREATE || op > OP_ERASE)
        r->bad = true;
    c->op = (enum change_op)op;
    if (c->op == OP_TRANSITION)
        c->from = rd_state(r);
    if (c->op == OP_TRANSITION || c->op == OP_CREATE)
        c->to = rd_state(r);
    if (c->n == 0 || c->act_len == 0 || c->act_len > ACT_MAX_CHANGES || c->act_pos >= c->act_len)
        r->bad = true;
}

static int decode_side(struct slice side, struct change *c)
{
    struct rd r = rd_of(side);
    uint32_t last = 0;

    while (rd_left(&r) > 0 && !r.bad) {
        uint32_t tag = rd_u32(&r);
        uint8_t form = rd_u8(&r);
        struct field_change *f = change_field(c, tag);

        if (r.bad || tag <= last || f == NULL || f->form != FORM_HASHED)
            return E_MALFORMED;
        last = tag;
        if (form == SIDE_OPEN) {
            struct slice salt = rd_take(&r, SALT_SIZE);

            if (salt.len == SALT_SIZE)
                memcpy(f->salt, salt.p, SALT_SIZE);
            f->v = value_decode(&r);
            if (f->v.type == V_SEALED || f->v.type == V_ERASED)
                return E_MALFORMED;
        } else if (form == SIDE_SEALED) {
            f->v = (struct value){.type = V_SEALED, .s = rd_bytes(&r, ACT_MAX_BYTES)};
        } else {
            return E_MALFORMED;
        }
    }
    return r.bad ? E_MALFORMED : 0;
}

int change_decode(struct arena *a, struct slice bytes, struct slice side, struct change *ret)
{
    struct rd r = rd_of(bytes);
    struct change c = {.n_fields = 0};
    uint64_t n_fields;

    decode_head(&r, &c);
    n_fields = rd_varint(&r);
    if (r.bad || n_fields > CHANGE_MAX_FIELDS)
        return E_MALFORMED;
    c.fields = arena_zalloc(a, (size_t)n_fields * sizeof *c.fields);
    if (c.fields == NULL)
        return E_NOMEM;

    for (c.n_fields = 0; c.n_fields < n_fields; c.n_fields++) {
        decode_field(&r, &c.fields[c.n_fields]);
        if (r.bad || (c.n_fields > 0 && c.fields[c.n_fields - 1].tag >= c.fields[c.n_fields].tag))
            return E_MALFORMED;
    }
    if (!rd_done(&r) || decode_side(side, &c) != 0)
        return E_MALFORMED;
    *ret = c;
    return 0;
}

void change_commit_value(const struct hasher *h, const uint8_t salt[SALT_SIZE],
                         const struct value *v, uint8_t ret_hash[HASH_SIZE])
{
    uint8_t head[11]; /* type, then a varint of up to 10 bytes */
    struct slice parts[3] = {{salt, SALT_SIZE}, {head, 0}, {NULL, 0}};
    uint64_t number = v->type == V_INT ? ((uint64_t)v->i << 1) ^ (v->i < 0 ? UINT64_MAX : 0) : 0;

    head[parts[1].len++] = (uint8_t)v->type;
    if (v->type != V_INT) {
        parts[2] = v->s;
        number = v->s.len;
    }
    if (v->type != V_NULL) {
        while (number >= 0x80) {
            head[parts[1].len++] = (uint8_t)(number | 0x80);
            number >>= 7;
        }
        head[parts[1].len++] = (uint8_t)number;
    }
    h->digest(parts, v->type == V_NULL || v->type == V_INT ? 2 : 3, ret_hash);
}

int change_check_side(const struct hasher *h, const struct change *c)
{
    uint8_t hash[HASH_SIZE];

    for (size_t i = 0; i < c->n_fields; i++) {
        const struct field_change *f = &c->fields[i];

        if (f->form != FORM_HASHED || f->v.type == V_SEALED || f->v.type == V_ERASED)
            continue;
        change_commit_value(h, f->salt, &f->v, hash);
        if (memcmp(hash, f->hash, HASH_SIZE) != 0)
            return E_CORRUPT;
    }
    return 0;
}

/* Codes are text, alone or in a set. */
static bool sets_code(const struct value *v, const char *code)
{
    struct slice s = slice_str(code);

    return (v->type == V_TEXT && slice_eq(v->s, s)) || (v->type == V_SET && value_set_has(v, s));
}

static bool sets(const struct change *c, const struct since *s)
{
    struct field_change *f = change_field(c, s->field);

    if (s->field == TAG_STATE && s->code != NULL && slice_eq(c->to, slice_str(s->code)))
        return true;
    return f != NULL && (s->code == NULL || sets_code(&f->v, s->code));
}

uint32_t change_needs(const struct change *c)
{
    uint32_t version = 1;

    for (unsigned i = 0; i < catalogue_n_since; i++) {
        const struct since *s = &catalogue_since[i];

        if ((s->kind == 0 || s->kind == c->kind) && s->version > version &&
            (s->field == 0 || sets(c, s)))
            version = s->version;
    }
    return version;
}

bool change_side_whole(const struct change *c)
{
    for (size_t i = 0; i < c->n_fields; i++) {
        if (c->fields[i].form == FORM_HASHED && c->fields[i].v.type == V_ERASED)
            return false;
    }
    return true;
}

void change_hash(const struct hasher *h, struct slice bytes, uint8_t ret_hash[HASH_SIZE])
{
    h->digest(&bytes, 1, ret_hash);
}

void own_chain_start(const struct hasher *h, const struct id *replica,
                     uint8_t ret_chain[HASH_SIZE])
{
    struct slice parts[] = {slice_str("ztc-own-1"), {replica->b, ID_SIZE}};

    h->digest(parts, 2, ret_chain);
}

void own_chain_next(const struct hasher *h, uint8_t chain[HASH_SIZE],
                    const uint8_t bytes_hash[HASH_SIZE])
{
    struct slice parts[] = {{chain, HASH_SIZE}, {bytes_hash, HASH_SIZE}};
    uint8_t next[HASH_SIZE];

    h->digest(parts, 2, next);
    memcpy(chain, next, HASH_SIZE);
}

struct field_change *change_field(const struct change *c, uint32_t tag)
{
    size_t low = 0;
    size_t high = c->n_fields;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (c->fields[mid].tag == tag)
            return &c->fields[mid];
        if (c->fields[mid].tag < tag)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}
