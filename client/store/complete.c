/* What a draft gets beside what was typed: presets, computed fields, the serial number, salts and seals,
 * and what its author saw. */
#include "client/store/draft.h"
#include "common/base/text.h"

#include <stdio.h>
#include <string.h>

/* Room is there: see copy_fields. */
void draft_add(struct work *k, uint32_t tag, struct value v)
{
    struct change *c = k->c;
    size_t i = c->n_fields++;

    for (; i > 0 && c->fields[i - 1].tag > tag; i--)
        c->fields[i] = c->fields[i - 1];
    c->fields[i] = (struct field_change){.tag = tag, .form = FORM_SET, .v = v};
    row_put(&k->after, tag, v);
}

/* A computed value: replaces what is there, and is no change when it stands already. */
void draft_put(struct work *k, uint32_t tag, struct value v)
{
    struct field_change *f = change_field(k->c, tag);

    if (f != NULL) {
        f->v = v;
        row_put(&k->after, tag, v);
    } else if (!value_eq(row_get(&k->after, tag), &v)) {
        draft_add(k, tag, v);
    }
}

/* ---- completion ---- */

int draft_presets(struct work *k, struct err *err)
{
    for (unsigned i = 0; i < k->kind->n_own; i++) {
        const struct field *f = &k->kind->fields[i];
        struct value v;
        int ret;

        if (f->preset == NULL || !f->stored || f->owner == SIDE_CITY ||
            change_field(k->c, f->tag) != NULL)
            continue;
        ret = check_parse(k->w->a, f, slice_str(f->preset), &v, err);
        if (ret != 0)
            return ret;
        draft_add(k, f->tag, v);
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
    return change_field(k->c, kind_field_named(k->kind, name)->tag) != NULL;
}

/* Fields that are computed from others of the record, where one of those is written. */
void draft_compute(struct work *k)
{
    const struct row *row = &k->after;

    if (strcmp(k->kind->name, "submission") == 0 &&
        (touches(k, "situation") || touches(k, "analysis") || touches(k, "suggestion"))) {
        int64_t n = (int64_t)(length_of(row, "situation") + length_of(row, "analysis") +
                              length_of(row, "suggestion"));

        draft_put(k, kind_field_named(k->kind, "word_count")->tag, value_int(n));
    } else if (strcmp(k->kind->name, "member") == 0 && touches(k, "party")) {
        bool party = slice_eq(row_text(row, "party"), slice_str("cpc"));

        draft_put(k, kind_field_named(k->kind, "is_party_member_lead")->tag, value_int(party));
    }
}

/* The moment of handing in is part of the handing in. */
int draft_stamp(struct work *k, const char *to, struct err *err)
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
    draft_put(k, f->tag, value_str(copy));
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
    char back[8]; /* seven letters count beyond any k */
    size_t n = 0;

    for (k = k > 1 ? k : 0; k > 0; k = (k - 1) / 26)
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

int draft_serial(struct work *k, struct err *err)
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
    draft_add(k, TAG_SERIAL, value_text(k->d->serial));
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
    if (plain->ret != 0)
        return err_set(err, plain->ret, NULL);
    if (r->keys.site_seal(r->keys.site_ctx, buf_slice(plain), nonce, sealed) != 0)
        return err_set(err, sealed->ret == E_NOMEM ? E_NOMEM : E_INTERNAL, "“%s”加密失败",
                       f->label);
    fc->v = (struct value){.type = V_SEALED,
                           .s = {arena_dup(k->w->a, sealed->p, sealed->len), sealed->len}};
    return fc->v.s.p != NULL ? 0 : err_set(err, E_NOMEM, NULL);
}

int draft_salt(struct work *k, struct err *err)
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

/* A creation sets every field of its record, to nothing where it names none. */
static bool sets(const struct change *c, uint32_t tag)
{
    return c->op == OP_CREATE || change_field(c, tag) != NULL;
}

/* The last own change that set TAG of the record: of this act, or pending. */
static uint64_t shown_by(const struct work *k, uint32_t tag)
{
    for (size_t i = k->w->n; i > 0; i--) {
        const struct change *c = &k->w->changes[i - 1];

        if (id_eq(&c->record, &k->c->record) && sets(c, tag))
            return c->n;
    }
    for (size_t i = k->n_pending; i > 0; i--) {
        if (sets(&k->pending[i - 1], tag))
            return k->pending[i - 1].n;
    }
    return 0;
}

void draft_saw(struct work *k)
{
    for (size_t i = 0; i < k->c->n_fields; i++) {
        if (k->c->fields[i].saw_n == 0)
            k->c->fields[i].saw_n = shown_by(k, k->c->fields[i].tag);
    }
}
