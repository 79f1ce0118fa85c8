/* One draft of an act: judged by the city's own rules, completed, put into the tables.
 *
 * The row is judged with the values as they were typed. What can vanish is salted and hashed after that,
 * and what only the site may read is sealed; so the tables show of it what every replica has. */
#include "client/store/replica_internal.h"

#include "common/base/text.h"
#include "common/ledger/apply.h"

#include <stdio.h>
#include <string.h>

/* Fields that completion may add: presets, site, serial, computed ones. */
#define EXTRA_FIELDS 4u

/* Above what a change and each of its fields take beside the values: ids, hash, salt, seal, lengths. */
#define FIXED_BYTES 512u
#define FIELD_BYTES 128u

struct work {
    struct writing *w;
    struct draft *d;
    const struct kind *kind;
    struct change *c;       /* being made; fields with plain values until they are salted */
    struct row *row;        /* as it stands; a fresh one at a creation */
    struct row after;       /* with the plain values of the change */
    struct change *pending; /* what lies over the record, oldest first */
    size_t n_pending;
};

/* ---- fields ---- */

static struct field_change *field_at(const struct change *c, uint32_t tag)
{
    return change_field(c, tag);
}

/* Room is there: see copy_fields. */
static void add_field(struct work *k, uint32_t tag, struct value v)
{
    struct change *c = k->c;
    size_t i = c->n_fields++;

    for (; i > 0 && c->fields[i - 1].tag > tag; i--)
        c->fields[i] = c->fields[i - 1];
    c->fields[i] = (struct field_change){.tag = tag, .form = FORM_SET, .v = v};
    row_put(&k->after, tag, v);
}

/* A computed value: replaces what is there, and is no change when it stands already. */
static void put_field(struct work *k, uint32_t tag, struct value v)
{
    struct field_change *f = field_at(k->c, tag);

    if (f != NULL) {
        f->v = v;
        row_put(&k->after, tag, v);
    } else if (!value_eq(row_get(&k->after, tag), &v)) {
        add_field(k, tag, v);
    }
}

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
    struct draft *d = k->d;
    struct change *c = k->c;

    if (d->n_fields + k->kind->n_fields + EXTRA_FIELDS > 4 * CHANGE_MAX_FIELDS)
        return err_set(err, E_TOOBIG, "一条%s的内容太多", k->kind->label);
    c->fields =
        arena_alloc(k->w->a, (d->n_fields + k->kind->n_fields + EXTRA_FIELDS) * sizeof *c->fields);
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
        (fc->tag == TAG_HISTORIC && k->c->op != OP_CREATE))
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
    if (size > ACT_MAX_BYTES || k->c->n_fields > CHANGE_MAX_FIELDS)
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

/* ---- completion ---- */

static int add_presets(struct work *k, struct err *err)
{
    for (unsigned i = 0; i < k->kind->n_own; i++) {
        const struct field *f = &k->kind->fields[i];
        struct value v;
        int ret;

        if (f->preset == NULL || !f->stored || f->owner == SIDE_CITY ||
            field_at(k->c, f->tag) != NULL)
            continue;
        ret = check_parse(k->w->a, f, slice_str(f->preset), &v, err);
        if (ret != 0)
            return ret;
        add_field(k, f->tag, v);
    }
    return 0;
}

static size_t length_of(const struct row *row, const char *name)
{
    struct slice s = row_text(row, name);

    return s.len > 0 ? text_length(s) : 0;
}

static bool touches(const struct work *k, const char *name)
{
    return field_at(k->c, kind_field_named(k->kind, name)->tag) != NULL;
}

/* Fields that are computed from others of the record, where one of those is written. */
static void compute(struct work *k)
{
    const struct row *row = &k->after;

    if (strcmp(k->kind->name, "submission") == 0 &&
        (touches(k, "situation") || touches(k, "analysis") || touches(k, "suggestion"))) {
        int64_t n = (int64_t)(length_of(row, "situation") + length_of(row, "analysis") +
                              length_of(row, "suggestion"));

        put_field(k, kind_field_named(k->kind, "word_count")->tag, value_int(n));
    } else if (strcmp(k->kind->name, "member") == 0 && touches(k, "party")) {
        bool party = slice_eq(row_text(row, "party"), slice_str("cpc"));

        put_field(k, kind_field_named(k->kind, "is_party_member_lead")->tag, value_int(party));
    }
}

/* The moment of handing in is part of the handing in. */
static int stamp_submitted(struct work *k, const char *to, struct err *err)
{
    const struct field *f = kind_field_named(k->kind, "submit_at");
    char text[CAL_DATETIME_SIZE];
    const char *copy;

    if (f == NULL || f->owner != SIDE_COUNTY || strcmp(to, "submitted") != 0)
        return 0;
    cal_format_datetime(k->w->now, text);
    copy = arena_strndup(k->w->a, text, strlen(text));
    if (copy == NULL)
        return err_set(err, E_NOMEM, NULL);
    put_field(k, f->tag, value_str(copy));
    return 0;
}

/* ---- serial numbers ---- */

struct letters {
    char *text;
    size_t size;
};

static int take_letters(void *ctx, struct row *row)
{
    struct letters *l = ctx;
    struct slice s = row_text(row, "serial_letter");

    if (s.len > 0 && s.len < l->size) {
        memcpy(l->text, s.p, s.len);
        l->text[s.len] = '\0';
    }
    return 0;
}

/* The letters of the site: its record's, or before that has come the seed's. */
static const char *seed_letters(uint32_t site)
{
    static const struct {
        uint32_t site;
        const char *letters;
    } seeds[] = {
        {431000, "CZ"}, {431002, "BH"}, {431003, "SX"}, {431021, "GY"},
        {431022, "YZ"}, {431023, "YX"}, {431024, "JH"}, {431025, "LW"},
        {431026, "RC"}, {431027, "GD"}, {431028, "AR"}, {431081, "ZX"},
    };

    for (size_t i = 0; i < sizeof seeds / sizeof *seeds; i++) {
        if (seeds[i].site == site)
            return seeds[i].letters;
    }
    return "CZ";
}

static int find_letters(struct work *k, struct err *err)
{
    const struct kind *sites = catalogue_kind_named("site");
    struct replica *r = k->w->r;
    struct letters l = {r->letters, sizeof r->letters};
    struct value code;
    char text[16];
    int ret;

    if (r->letters[0] != '\0')
        return 0;
    (void)snprintf(text, sizeof text, "%06u", r->own.site);
    code = value_str(text);
    ret = k->w->lookup.find(k->w->lookup.ctx, sites, kind_field_named(sites, "code")->tag, &code,
                            take_letters, &l);
    if (ret != 0)
        return err_set(err, ret, NULL);
    if (r->letters[0] == '\0')
        (void)snprintf(r->letters, sizeof r->letters, "%s", seed_letters(r->own.site));
    return 0;
}

/* Nothing for the first replica of a site, then B, C … Z, AA. */
static void suffix_of(uint32_t k, char text[8])
{
    char back[8];
    size_t n = 0;

    for (; k > 1 && n < sizeof back - 1; k = (k - 1) / 26)
        back[n++] = (char)('A' + (k - 1) % 26);
    for (size_t i = 0; i < n; i++)
        text[i] = back[n - 1 - i];
    text[n] = '\0';
}

static int serial_year(struct work *k)
{
    const struct field *f = k->kind->business_date;
    day_t day = k->w->check.today;
    struct slice s;

    if (f != NULL && row_historic(&k->after)) {
        s = row_get(&k->after, f->tag)->s;
        if (s.len >= 10)
            (void)cal_parse_date((struct slice){s.p, 10}, &day); /* today when it is none */
    }
    return cal_date(day).year;
}

/* From the counter in memory, which the commit writes back: an import allots thousands in a row. What
 * is rolled back without the transaction leaves a gap. */
static int next_number(struct replica *r, const struct kind *kind, int year, int64_t *ret,
                       struct err *err)
{
    struct serial *s = &r->serial;
    sqlite3_stmt *st = r->st[RS_SERIAL_GET];
    int status;

    if (s->kind != kind || s->year != year) {
        status = replica_serial_flush(r, err);
        if (status != 0)
            return status;
        sql_bind_text(st, 1, slice_str(kind->serial_prefix));
        sql_bind_int(st, 2, year);
        status = sql_step(st, err);
        *s = (struct serial){.kind = kind, .year = year};
        if (status == 1)
            s->last = sqlite3_column_int64(st, 0);
        sql_done(st);
        if (status < 0) {
            s->kind = NULL;
            return status;
        }
    }
    *ret = ++s->last;
    return 0;
}

static int add_serial(struct work *k, struct err *err)
{
    int year = serial_year(k);
    char suffix[8];
    const char *text;
    int64_t number = 0;
    int ret;

    if (k->kind->serial_prefix == NULL)
        return 0;
    ret = find_letters(k, err);
    if (ret == 0)
        ret = next_number(k->w->r, k->kind, year, &number, err);
    if (ret != 0)
        return ret;
    suffix_of(k->w->r->own.k, suffix);
    text = arena_printf(k->w->a, "%s-%s-%04d-%04lld%s", k->w->r->letters, k->kind->serial_prefix,
                        year, (long long)number, suffix);
    if (text == NULL)
        return err_set(err, E_NOMEM, NULL);
    k->d->serial = slice_str(text);
    add_field(k, TAG_SERIAL, value_text(k->d->serial));
    return 0;
}

/* ---- what can vanish ---- */

static int seal_site_value(struct work *k, const struct field *f, struct field_change *fc,
                           struct err *err)
{
    struct replica *r = k->w->r;
    struct buf *plain = &r->bytes;
    struct buf *sealed = &r->scratch;
    uint8_t nonce[12];

    buf_clear(plain);
    buf_clear(sealed);
    buf_put(plain, fc->salt, SALT_SIZE);
    value_encode(plain, &fc->v);
    random_fill(&r->keys.random, nonce, sizeof nonce);
    if (plain->ret != 0 ||
        r->keys.site_seal(r->keys.site_ctx, buf_slice(plain), nonce, sealed) != 0)
        return err_set(err, E_INTERNAL, "“%s”加密失败", f->label);
    fc->v = (struct value){.type = V_SEALED,
                           .s = {arena_dup(k->w->a, sealed->p, sealed->len), sealed->len}};
    return fc->v.s.p != NULL ? 0 : err_set(err, E_NOMEM, NULL);
}

static int salt_fields(struct work *k, struct err *err)
{
    int ret = 0;

    for (size_t i = 0; ret == 0 && i < k->c->n_fields; i++) {
        struct field_change *fc = &k->c->fields[i];
        const struct field *f = kind_field(k->kind, fc->tag);

        if (f->vanish == VANISH_NO)
            continue;
        fc->form = FORM_HASHED;
        random_fill(&k->w->r->keys.random, fc->salt, SALT_SIZE);
        change_commit_value(k->w->r->hasher, fc->salt, &fc->v, fc->hash);
        if (f->vanish == VANISH_SITE && !value_is_null(&fc->v))
            ret = seal_site_value(k, f, fc, err);
    }
    return ret;
}

/* ---- what the author saw ---- */

/* The last own change that set TAG of the record: of this act, or pending. */
static uint64_t shown_by(const struct work *k, uint32_t tag)
{
    for (size_t i = k->w->n; i > 0; i--) {
        const struct change *c = &k->w->changes[i - 1];

        if (id_eq(&c->record, &k->c->record) && change_field(c, tag) != NULL)
            return c->n;
    }
    for (size_t i = k->n_pending; i > 0; i--) {
        if (change_field(&k->pending[i - 1], tag) != NULL)
            return k->pending[i - 1].n;
    }
    return 0;
}

static void fill_saw(struct work *k)
{
    for (size_t i = 0; i < k->c->n_fields; i++) {
        if (k->c->fields[i].saw_n == 0)
            k->c->fields[i].saw_n = shown_by(k, k->c->fields[i].tag);
    }
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
    add_field(k, TAG_SITE, value_str(text));
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
        ret = add_presets(k, err);
    if (ret != 0)
        return ret;
    compute(k);
    ret = add_site(k, err);
    if (ret == 0)
        ret = creation_check(&k->w->check, &k->after, &k->w->actor, err);
    if (ret == 0)
        ret = check_whole(k, err);
    return ret == 0 ? add_serial(k, err) : ret; /* last, so that what is refused takes no number */
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
    compute(k);
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
    compute(k);
    t = transition_find(k->kind, from, k->d->to);
    ret = t != NULL ? stamp_submitted(k, t->to, err) : 0;
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
    if (k->kind->owner != SIDE_COUNTY)
        return err_set(err, E_OWNER, "这条%s不归本方作废", k->kind->label);
    if (row_voided(k->row) == wants)
        return err_set(err, E_STATE, wants ? "这条%s已经作废" : "这条%s没有作废", k->kind->label);
    for (size_t i = 0; i < k->d->n_fields; i++) {
        if (k->d->fields[i].tag != TAG_VOIDED && k->d->fields[i].tag != TAG_VOID_REASON)
            return err_set(err, E_INVALID, "作废时不能修改其他内容");
    }
    ret = copy_fields(k, err);
    if (ret != 0)
        return ret;
    put_field(k, TAG_VOIDED, value_int(wants));
    if (wants && value_is_null(row_get(&k->after, TAG_VOID_REASON)))
        return err_set(err, E_INVALID, "请填写作废原因");
    /* A reason that stands from before still belongs to this voiding. */
    if (wants && field_at(k->c, TAG_VOID_REASON) == NULL)
        add_field(k, TAG_VOID_REASON, *row_get(&k->after, TAG_VOID_REASON));
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
    if (d->kind->stream == STREAM_RULE_NONE || d->kind->local)
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
    fill_saw(&k);
    ret = salt_fields(&k, err);
    if (ret == 0)
        ret = put(&k, err);
    *ret_made = ret == 0;
    return ret;
}
