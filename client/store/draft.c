/* One draft of an act: judged by the city's own rules, completed, put into the tables.
 *
 * The row is judged with the values as they were typed. What can vanish is salted and hashed after that,
 * and what only the site may read is sealed; so the tables show of it what every replica has. */
#include "client/store/draft.h"
#include "common/ledger/apply.h"

#include <assert.h>
#include <string.h>

/* Fields that completion may add beside one a field: presets, site, serial, computed ones. */
#define EXTRA_FIELDS 4u

/* Above what a change and each of its fields take beside the values: ids, hash, salt, seal, lengths. */
#define FIXED_BYTES 512u
#define FIELD_BYTES 128u

/* ---- fields ---- */

static bool is_many(const struct field *f)
{
    return f->type == FT_SET || f->type == FT_REFS || f->type == FT_FILES;
}

/* The value the record will have, into AFTER. A set that is edited becomes what is added and removed. */
static int plain_value(struct work *k, struct field_change *f, const struct field *field)
{
    const struct value *old = row_get(k->row, f->tag);
    struct value now = f->v;
    int ret = 0;

    if (f->form == FORM_DELTA) {
        ret = value_set_apply(k->w->a, old, &f->v, &f->del, &now);
    } else if (k->c->op != OP_CREATE && is_many(field) && old->type != V_ERASED) {
        f->form = FORM_DELTA;
        ret = value_set_diff(k->w->a, old, &now, &f->v, &f->del);
    }
    row_put(&k->after, f->tag, now);
    return ret;
}

/* The draft's fields that change something, with room for those that completion adds. */
static int copy_fields(struct work *k, struct err *err)
{
    size_t most = k->kind->n_fields + EXTRA_FIELDS;
    struct draft *d = k->d;
    struct change *c = k->c;

    assert(most <= CHANGE_MAX_FIELDS);
    c->fields = arena_alloc(k->w->a, most * sizeof *c->fields); /* each of the kind's but once */
    if (c->fields == NULL)
        return err_set(err, E_NOMEM, NULL);
    for (size_t i = 0; i < d->n_fields; i++) {
        const struct field *field = kind_field(k->kind, d->fields[i].tag);
        struct field_change *f = &c->fields[c->n_fields];
        int ret;

        if (field == NULL || (i > 0 && d->fields[i - 1].tag >= d->fields[i].tag))
            return err_set(err, E_INTERNAL, "字段标号 %u 不对", d->fields[i].tag);
        *f = d->fields[i];
        ret = plain_value(k, f, field);
        if (ret != 0)
            return err_set(err, ret, "“%s”的内容不对", field->label);
        if (value_eq(row_get(k->row, f->tag), row_get(&k->after, f->tag)))
            continue; /* says what stands already */
        c->n_fields++;
    }
    return 0;
}

/* ---- checks ---- */

/* An import refers to the same few records again and again: those found lately are known. */
static int check_exists(struct work *k, const struct field *f, const struct id *id, struct err *err)
{
    struct replica *r = k->w->r;
    struct known *known = &r->known[(id->b[ID_SIZE - 1] ^ f->target->tag) % KNOWN_MAX];
    struct row *row;
    int ret;

    if (known->kind == f->target && id_eq(&known->id, id))
        return 0;
    ret = store_row_get(r->store, k->w->a, f->target, id, &row, err);
    if (ret == 0 && row == NULL && catalogue_card(f->target) != NULL)
        ret = store_row_get(r->store, k->w->a, catalogue_card(f->target), id, &row, err);
    if (ret != 0)
        return ret;
    if (row == NULL)
        return err_set(err, E_PARENT, "“%s”所指的%s不存在", f->label, f->target->label);
    /* One of this act may be rolled back without the transaction. */
    if (k->w->n == 0)
        *known = (struct known){.kind = f->target, .id = *id};
    return 0;
}

static int check_reference(struct work *k, const struct field *f, const struct value *v,
                           struct err *err)
{
    size_t n = f->target != NULL && (v->type == V_ID || v->type == V_IDS) ? v->s.len / ID_SIZE : 0;
    int ret = 0;

    for (size_t i = 0; ret == 0 && i < n; i++) {
        struct id id;

        memcpy(id.b, v->s.p + i * ID_SIZE, ID_SIZE);
        ret = check_exists(k, f, &id, err);
    }
    return ret;
}

static int check_field(struct work *k, const struct field_change *fc, struct err *err)
{
    const struct field *f = kind_field(k->kind, fc->tag);
    const struct value *now = row_get(&k->after, fc->tag);
    int ret;

    if (!f->stored || fc->tag == TAG_STATE || fc->tag == TAG_SITE || fc->tag == TAG_SERIAL ||
        ((fc->tag == TAG_HISTORIC || fc->tag == TAG_HISTORIC_FILE) && k->c->op != OP_CREATE))
        return err_set(err, E_INVALID, "“%s”不能直接填写", f->label);
    ret = k->c->op != OP_CREATE ? check_immutable(k->row, f, now, err) : 0;
    if (ret == 0)
        ret = check_owner(k->c->op == OP_CREATE ? &k->after : k->row, f, SIDE_COUNTY, err);
    if (ret == 0)
        ret = check_value(f, now, err);
    if (ret == 0 && f->vanish == VANISH_SITE && !value_is_null(now) &&
        k->w->r->keys.site_seal == NULL)
        ret = err_set(err, E_DENIED, "“%s”只能在存有本单位密钥的电脑上填写", f->label);
    return ret == 0 ? check_reference(k, f, now, err) : ret;
}

static int check_fields(struct work *k, struct err *err)
{
    int ret = 0;

    for (size_t i = 0; ret == 0 && i < k->c->n_fields; i++)
        ret = check_field(k, &k->c->fields[i], err);
    return ret;
}

/* Its bytes will fit into an act: said before anything is written. */
static int check_size(const struct work *k, struct err *err)
{
    size_t size = FIXED_BYTES;

    for (size_t i = 0; i < k->c->n_fields; i++)
        size += FIELD_BYTES + k->c->fields[i].v.s.len + k->c->fields[i].del.s.len;
    if (size > ACT_MAX_BYTES)
        return err_set(err, E_TOOBIG, "一条%s的内容超过 %u KiB", k->kind->label,
                       ACT_MAX_BYTES / 1024);
    return 0;
}

static int check_whole(struct work *k, struct err *err)
{
    uint32_t tag;
    int ret = check_size(k, err);

    if (ret == 0 && !row_historic(&k->after))
        ret = check_row(&k->w->check, &k->after, err);

    return ret == 0 ? check_shared(&k->w->check, &k->after, &tag, err) : ret;
}

/* ---- by operation ---- */

/* The state a record begins in: the one asked for, or the first that the table creates. */
static struct slice first_state(const struct work *k)
{
    if (k->d->to.len > 0)
        return k->d->to;
    for (unsigned i = 0; i < k->kind->n_transitions; i++) {
        if (k->kind->transitions[i].from == NULL)
            return slice_str(k->kind->transitions[i].to);
    }
    return (struct slice){NULL, 0};
}

static int add_site(struct work *k, struct err *err)
{
    const char *text = arena_printf(k->w->a, "%06u", k->w->r->own.site);

    if (text == NULL)
        return err_set(err, E_NOMEM, NULL);
    draft_add(k, TAG_SITE, value_str(text));
    return 0;
}

static int create(struct work *k, struct err *err)
{
    struct value state = value_null();
    int ret;

    if (k->kind->states != NULL) {
        k->c->to = first_state(k);
        state = value_text(k->c->to);
    }
    row_put(&k->after, TAG_STATE, state);
    ret = copy_fields(k, err);
    if (ret == 0)
        ret = check_fields(k, err);
    if (ret == 0)
        ret = draft_presets(k, err);
    if (ret != 0)
        return ret;
    draft_compute(k);
    ret = add_site(k, err);
    if (ret == 0)
        ret = creation_check(&k->w->check, &k->after, &k->w->actor, err);
    if (ret == 0)
        ret = check_whole(k, err);
    return ret == 0 ? draft_serial(k, err)
                    : ret; /* last, so that what is refused takes no number */
}

static int edit(struct work *k, struct err *err)
{
    int ret = check_writer(k->kind, &k->w->actor, err);

    if (ret == 0 && row_voided(k->row))
        ret = err_set(err, E_STATE, "这条%s已经作废，不能修改", k->kind->label);
    if (ret == 0)
        ret = copy_fields(k, err);
    if (ret == 0)
        ret = check_fields(k, err);
    if (ret != 0 || k->c->n_fields == 0)
        return ret;
    draft_compute(k);
    return check_whole(k, err);
}

/* NUL-terminated state of the row, for the transition table. */
static const char *state_text(struct work *k)
{
    struct slice s = row_state(k->row);

    return arena_strndup(k->w->a, s.p, s.len);
}

static int move(struct work *k, struct err *err)
{
    const struct transition *t;
    const char *from = state_text(k);
    int ret = from == NULL ? err_set(err, E_NOMEM, NULL) : 0;

    if (ret == 0 && row_voided(k->row))
        ret = err_set(err, E_STATE, "这条%s已经作废", k->kind->label);
    if (ret == 0)
        ret = copy_fields(k, err);
    if (ret == 0)
        ret = check_fields(k, err);
    if (ret != 0)
        return ret;
    draft_compute(k);
    t = transition_find(k->kind, from, k->d->to);
    ret = t != NULL ? draft_stamp(k, t->to, err) : 0;
    if (ret == 0)
        ret = transition_pick(&k->w->check, &k->after, k->d->to, &k->w->actor, &t, err);
    if (ret != 0)
        return ret;
    k->c->from = slice_str(from);
    k->c->to = slice_str(t->to);
    row_put(&k->after, TAG_STATE, value_text(k->c->to));
    return check_whole(k, err);
}

/* Voiding and its undoing belong to the side that owns the kind. */
static int void_or_not(struct work *k, struct err *err)
{
    bool wants = k->c->op == OP_VOID;
    int ret = check_writer(k->kind, &k->w->actor, err);

    if (ret != 0)
        return ret;
    ret = check_voider(&k->w->lookup, k->row, &k->w->actor, err);
    if (ret != 0)
        return ret;
    if (row_voided(k->row) == wants)
        return err_set(err, E_STATE, wants ? "这条%s已经作废" : "这条%s没有作废", k->kind->label);
    for (size_t i = 0; i < k->d->n_fields; i++) {
        if (k->d->fields[i].tag != TAG_VOIDED && k->d->fields[i].tag != TAG_VOID_REASON)
            return err_set(err, E_INVALID, "作废时不能修改其他内容");
    }
    ret = copy_fields(k, err);
    if (ret != 0)
        return ret;
    draft_put(k, TAG_VOIDED, value_int(wants));
    if (wants && value_is_null(row_get(&k->after, TAG_VOID_REASON)))
        return err_set(err, E_INVALID, "请填写作废原因");
    /* A reason that stands from before still belongs to this voiding. */
    if (wants && change_field(k->c, TAG_VOID_REASON) == NULL)
        draft_add(k, TAG_VOID_REASON, *row_get(&k->after, TAG_VOID_REASON));
    return 0;
}

static int by_operation(struct work *k, struct err *err)
{
    switch (k->c->op) {
    case OP_CREATE:
        return create(k, err);
    case OP_SET:
        return edit(k, err);
    case OP_TRANSITION:
        return move(k, err);
    case OP_VOID:
    case OP_UNVOID:
        return void_or_not(k, err);
    default:
        return err_set(err, E_GUARD_LATER, NULL);
    }
}

/* ---- the record ---- */

/* The record as the tables show it, and what lies over it. */
static int load(struct work *k, struct err *err)
{
    struct replica *r = k->w->r;
    struct id *record = &k->d->record;
    bool creates = k->d->op == OP_CREATE;
    int ret;

    if (creates && id_is_zero(record)) {
        *record = id_v7(k->w->now, &r->keys.random);
        k->row = NULL;
    } else {
        ret = store_row_get(r->store, k->w->a, k->kind, record, &k->row, err);
        if (ret != 0)
            return ret;
    }
    if (creates && k->row != NULL)
        return err_set(err, E_EXISTS, "这条%s已经登记过", k->kind->label);
    if (!creates && k->row == NULL)
        return err_set(err, E_NOTFOUND, "没有这条%s", k->kind->label);
    if (!creates && k->row->stream != r->own.site)
        return err_set(err, E_OWNER, "这条%s不是本单位的", k->kind->label);
    if (creates)
        k->row = row_new(k->w->a, k->kind, record);
    if (k->row == NULL)
        return err_set(err, E_NOMEM, NULL);
    return k->row->pending ? overlay_changes(r, k->w->a, record, &k->pending, &k->n_pending, err)
                           : 0;
}

/* A row of its own over the same values: they are only ever replaced, never changed in place. */
static int copy_row(struct work *k, struct err *err)
{
    size_t size = k->kind->n_fields * sizeof *k->row->values;

    k->after = *k->row;
    k->after.values = arena_dup(k->w->a, k->row->values, size);
    k->after.stream = k->w->r->own.site;
    k->after.exists = k->d->op != OP_CREATE;
    return k->after.values != NULL ? 0 : err_set(err, E_NOMEM, NULL);
}

static void begin_change(struct work *k)
{
    struct writing *w = k->w;

    *k->c = (struct change){.replica = w->r->own.replica,
                            .n = w->r->own.n + w->n + 1,
                            .stream = w->r->own.site,
                            .made_at = w->now,
                            .actor = w->actor.account,
                            .seen = w->seen,
                            .catalogue = CATALOGUE_VERSION,
                            .kind = k->kind->tag,
                            .record = k->d->record,
                            .op = k->d->op};
}

static int put(struct work *k, struct err *err)
{
    struct replica *r = k->w->r;
    int ret = 0;

    if (k->c->op != OP_CREATE && !k->row->pending)
        ret = overlay_keep_base(r, k->row, err);
    if (ret == 0 && apply_pending(k->w->a, k->row, k->c) != 0)
        ret = err_set(err, E_NOMEM, NULL);
    if (ret == 0)
        ret = store_row_put(r->store, k->row, err);
    if (strcmp(k->kind->name, "user_account") == 0)
        r->has_actor = false;
    return ret;
}

int draft_judge(struct writing *w, struct draft *d, bool *ret_made, struct err *err)
{
    struct work k = {.w = w, .d = d, .kind = d->kind, .c = &w->changes[w->n]};
    int ret;

    *ret_made = false;
    if (d->kind->local)
        return err_set(err, E_DENIED, "%s不在本机登记", d->kind->label);
    ret = load(&k, err);
    if (ret == 0)
        ret = copy_row(&k, err);
    if (ret != 0)
        return ret;
    begin_change(&k);
    ret = by_operation(&k, err);
    if (ret != 0)
        return ret;
    if (k.c->op == OP_SET && k.c->n_fields == 0)
        return 0;
    draft_saw(&k);
    ret = draft_salt(&k, err);
    if (ret == 0)
        ret = put(&k, err);
    *ret_made = ret == 0;
    return ret;
}
