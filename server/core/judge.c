/* One act as a whole: its changes in order, then the verdicts' last words. */
#include "server/core/judge.h"

#include "common/base/err.h"
#include "common/wire/body.h"
#include "server/core/judge_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct actor system_actor = {.side = SIDE_CITY, .site = SITE_CITY, .is_system = true};

/* Returned through the judge once the act is refused; never leaves this folder's files. */
#define JUDGE_REFUSED (-1000)

/* A verdict takes at most: format, flags, seq and counts; each withheld tag. */
#define VERDICT_ROOM 32u
#define TAG_ROOM     5u

int judge_refuse(struct judge *j, int ret, const char *fmt, ...)
{
    char text[ERR_TEXT_MAX];
    va_list ap;

    if (fmt == NULL) {
        j->out->ret = err_set(&j->out->err, ret, NULL);
        return JUDGE_REFUSED;
    }
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    j->out->ret = err_set(&j->out->err, ret, "%s", text);
    return JUDGE_REFUSED;
}

const char *judge_text(struct judge *j, const char *fmt, ...)
{
    va_list ap;
    char *text;
    int len;

    va_start(ap, fmt);
    len = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    text = len < 0 ? NULL : arena_alloc(j->a, (size_t)len + 1);
    if (text == NULL)
        return NULL;
    va_start(ap, fmt);
    (void)vsnprintf(text, (size_t)len + 1, fmt, ap);
    va_end(ap);
    return text;
}

struct arena *judge_arena(struct judge *j)
{
    return j->a;
}

const struct judge_facts *judge_facts(struct judge *j)
{
    return j->facts;
}

const struct actor *judge_actor(struct judge *j)
{
    return &j->act->actor;
}

const struct lookup *judge_lookup(struct judge *j)
{
    return &j->lookup;
}

/* ---- changes made at the city ---- */

static int by_tag(const struct field_change *a, const struct field_change *b)
{
    return a->tag < b->tag ? -1 : a->tag > b->tag;
}

static void sort_fields(struct field_change *f, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        struct field_change x = f[i];
        size_t k = i;

        for (; k > 0 && by_tag(&f[k - 1], &x) > 0; k--)
            f[k] = f[k - 1];
        f[k] = x;
    }
}

static uint32_t stream_of(const struct kind *kind, uint32_t site)
{
    switch (kind->stream) {
    case STREAM_RULE_SHARED:
        return STREAM_SHARED;
    case STREAM_RULE_CITY:
        return STREAM_CITY;
    case STREAM_RULE_SHARED_OR_SITE:
        return site == 0 ? STREAM_SHARED : site;
    default:
        return site;
    }
}

static const struct field_change *field_of(const struct change *c, uint32_t tag)
{
    for (size_t i = 0; i < c->n_fields; i++) {
        if (c->fields[i].tag == tag)
            return &c->fields[i];
    }
    return NULL;
}

static int add_field(struct judge *j, struct change *c, uint32_t tag, struct value v)
{
    struct field_change *more = arena_alloc(j->a, (c->n_fields + 1) * sizeof *more);

    if (more == NULL)
        return E_NOMEM;
    if (c->n_fields > 0)
        memcpy(more, c->fields, c->n_fields * sizeof *more);
    more[c->n_fields] = (struct field_change){.tag = tag, .form = FORM_SET, .v = v};
    c->fields = more;
    c->n_fields++;
    return 0;
}

struct letters {
    struct slice text;
};

static int take_letters(void *ctx, struct row *row)
{
    ((struct letters *)ctx)->text = row_text(row, "serial_letter");
    return 0;
}

/* GY-ZS-2026-0001: letters of the record's site, the kind's prefix, the year, the city's counter. */
static int allot_serial(struct judge *j, struct change *c, const struct kind *kind, uint32_t site)
{
    const struct kind *sites = catalogue_kind_named("site");
    struct letters l = {.text = slice_str("CZ")};
    char code[16];
    struct value v;
    struct cal_date date = cal_date(j->facts->today);
    const char *series;
    uint64_t number;
    int ret;

    (void)snprintf(code, sizeof code, "%06u", site);
    v = value_str(code);
    ret = j->lookup.find(j->lookup.ctx, sites, kind_field_named(sites, "code")->tag, &v,
                         take_letters, &l);
    if (ret != 0)
        return ret;
    series = judge_text(j, "%.*s-%s-%04d", (int)l.text.len, (const char *)l.text.p,
                        kind->serial_prefix, date.year);
    if (series == NULL)
        return E_NOMEM;
    ret = j->facts->next_number(j->facts->ctx, series, &number);
    if (ret != 0)
        return ret;
    series = judge_text(j, "%s-%04llu", series, (unsigned long long)number);
    return series == NULL ? E_NOMEM : add_field(j, c, TAG_SERIAL, value_str(series));
}

/* A creation's site when its author named none: that of the first record it refers to. */
static int site_of_parents(struct judge *j, const struct kind *kind, const struct change *c,
                           uint32_t *ret_site)
{
    for (size_t i = 0; i < c->n_fields; i++) {
        const struct field *f = kind_field(kind, c->fields[i].tag);
        struct row *row = NULL;
        struct id id;
        int ret;

        if (f == NULL || f->target == NULL || !value_get_id(&c->fields[i].v, &id))
            continue;
        ret = rows_get(j, f->target, &id, &row);
        if (ret != 0)
            return ret;
        if (row != NULL && row->stream > STREAM_CITY) {
            *ret_site = row->stream;
            return 0;
        }
    }
    *ret_site = SITE_CITY;
    return 0;
}

static int add_presets(struct judge *j, struct change *c, const struct kind *kind)
{
    int ret = 0;

    for (unsigned i = 0; ret == 0 && i < kind->n_own; i++) {
        const struct field *f = &kind->fields[i];
        struct value v;

        if (f->preset == NULL || field_of(c, f->tag) != NULL)
            continue;
        ret = check_parse(j->a, f, slice_str(f->preset), &v, NULL);
        if (ret == 0)
            ret = add_field(j, c, f->tag, v);
    }
    return ret;
}

/* A creation whose author named no state begins in the kind's first. */
static void begin_state(const struct kind *kind, struct change *c)
{
    for (unsigned i = 0; c->to.len == 0 && i < kind->n_transitions; i++) {
        if (kind->transitions[i].from == NULL)
            c->to = slice_str(kind->transitions[i].to);
    }
}

int judge_complete(struct judge *j, struct change *c, uint32_t site)
{
    const struct kind *kind = catalogue_kind(c->kind);
    const char *code;
    uint32_t of;
    int ret = 0;

    if (kind == NULL)
        return judge_refuse(j, E_VERSION, NULL);
    if (site == 0 && kind->stream == STREAM_RULE_SITE)
        ret = site_of_parents(j, kind, c, &site);
    if (ret != 0)
        return ret;
    begin_state(kind, c);
    c->stream = stream_of(kind, site);
    of = c->stream <= STREAM_CITY ? SITE_CITY : c->stream;
    code = judge_text(j, "%06u", of);
    if (code == NULL)
        return E_NOMEM;
    if (field_of(c, TAG_SITE) == NULL)
        ret = add_field(j, c, TAG_SITE, value_str(code));
    if (ret == 0)
        ret = add_presets(j, c, kind);
    if (ret == 0 && kind->serial_prefix != NULL && field_of(c, TAG_SERIAL) == NULL)
        ret = allot_serial(j, c, kind, of);
    sort_fields(c->fields, c->n_fields);
    return ret;
}

static void stamp(struct judge *j, struct change *c)
{
    c->replica = j->facts->incarnation;
    c->made_at = j->facts->now;
    c->catalogue = CATALOGUE_VERSION;
    if (id_is_zero(&c->record))
        c->record = id_v7(j->facts->now, j->facts->random);
}

static int fields_of(struct judge *j, const struct kind *kind, const struct with *with,
                     struct change *c)
{
    for (; with != NULL && with->name != NULL; with++) {
        const struct field *f = kind_field_named(kind, with->name);
        int ret;

        if (f == NULL)
            return judge_refuse(j, E_INTERNAL, "规则写了不存在的字段 %s.%s", kind->name, with->name);
        ret = add_field(j, c, f->tag, with->v);
        if (ret != 0)
            return ret;
    }
    sort_fields(c->fields, c->n_fields);
    return 0;
}

static int by_system(struct judge *j, struct change *c, struct row **ret_row)
{
    struct change *kept = arena_dup(j->a, c, sizeof *c);

    if (kept == NULL)
        return E_NOMEM;
    kept->act_len = 1;
    kept->seen = UINT64_MAX >> 1; /* the rules look at the present */
    stamp(j, kept);
    return judge_change(j, kept, NULL, NULL, NULL, &system_actor, ret_row);
}

int judge_create(struct judge *j, const char *kind_name, uint32_t site, const char *state,
                 const struct with *with, struct row **ret_row)
{
    const struct kind *kind = catalogue_kind_named(kind_name);
    struct change c = {.op = OP_CREATE, .kind = kind->tag};
    int ret = fields_of(j, kind, with, &c);

    c.to = state == NULL ? (struct slice){NULL, 0} : slice_str(state);
    if (ret == 0)
        ret = judge_complete(j, &c, site);
    return ret != 0 ? ret : by_system(j, &c, ret_row);
}

/* Only what changes: an equal value would be an entry about nothing. */
static void drop_equal(struct change *c, const struct row *row)
{
    size_t n = 0;

    for (size_t i = 0; i < c->n_fields; i++) {
        if (!value_eq(row_get(row, c->fields[i].tag), &c->fields[i].v))
            c->fields[n++] = c->fields[i];
    }
    c->n_fields = n;
}

int judge_set(struct judge *j, struct row *row, const struct with *with)
{
    struct change c = {
        .op = OP_SET, .kind = row->kind->tag, .record = row->id, .stream = row->stream};
    int ret = fields_of(j, row->kind, with, &c);

    drop_equal(&c, row);
    if (ret != 0 || c.n_fields == 0)
        return ret;
    return by_system(j, &c, NULL);
}

int judge_move(struct judge *j, struct row *row, const char *to, const struct with *with)
{
    struct change c = {.op = OP_TRANSITION,
                       .kind = row->kind->tag,
                       .record = row->id,
                       .stream = row->stream,
                       .from = row_state(row),
                       .to = slice_str(to)};
    int ret = fields_of(j, row->kind, with, &c);

    drop_equal(&c, row);
    return ret != 0 ? ret : by_system(j, &c, NULL);
}

int judge_void(struct judge *j, struct row *row, const char *reason)
{
    const struct with with[] = {
        {"voided", value_int(1)}, {"void_reason", value_str(reason)}, {.name = NULL}};
    struct change c = {
        .op = OP_VOID, .kind = row->kind->tag, .record = row->id, .stream = row->stream};
    int ret = fields_of(j, row->kind, with, &c);

    return ret != 0 ? ret : by_system(j, &c, NULL);
}

/* ---- the act ---- */

/* A person's change at the city: complete, numbered, of this incarnation. */
static int draft(struct judge *j, struct change *c, size_t pos)
{
    struct row *row = NULL;
    int ret;

    stamp(j, c);
    c->actor = j->act->actor.account;
    c->act_pos = (uint32_t)pos;
    c->act_len = (uint32_t)j->act->n;
    if (c->op == OP_CREATE)
        return judge_complete(j, c, c->stream);
    if (catalogue_kind(c->kind) == NULL)
        return judge_refuse(j, E_VERSION, NULL);
    ret = rows_get(j, catalogue_kind(c->kind), &c->record, &row);
    if (ret == 0 && row != NULL) {
        c->stream = row->stream;
        sort_fields(c->fields, c->n_fields);
    }
    return ret;
}

/* V is the six digits of the site's code. */
static bool names_site(const struct value *v, uint32_t site)
{
    if (v->type != V_TEXT || v->s.len != 6)
        return false;
    for (size_t i = 6; i > 0; i--, site /= 10) {
        if (v->s.p[i - 1] != '0' + site % 10)
            return false;
    }
    return site == 0;
}

/* A county's change stays in its own stream and bears its own site. */
static int claim(struct judge *j, const struct change *c)
{
    const struct actor *actor = &j->act->actor;
    const struct kind *kind = catalogue_kind(c->kind);
    const struct field_change *site = change_field(c, TAG_SITE);

    if (c->stream != actor->site || !id_eq(&c->actor, &actor->account) || actor->is_system)
        return judge_refuse(j, E_DENIED, "更改写明的单位或账户不是本机的");
    if (kind != NULL && (kind->stream == STREAM_RULE_SHARED || kind->stream == STREAM_RULE_CITY))
        return judge_refuse(j, E_OWNER, "“%s”由市级填写", kind->label);
    if (c->op == OP_CREATE && (site == NULL || !names_site(&site->v, actor->site)))
        return judge_refuse(j, E_DENIED, "新记录写明的单位不是本单位");
    if (change_field(c, TAG_VOIDED) != NULL && c->op != OP_VOID && c->op != OP_UNVOID)
        return judge_refuse(j, E_MALFORMED, NULL);
    if (c->op != OP_CREATE && (change_field(c, TAG_SERIAL) != NULL ||
                               change_field(c, TAG_HISTORIC) != NULL ||
                               change_field(c, TAG_HISTORIC_FILE) != NULL))
        return judge_refuse(j, E_MALFORMED, "编号和历史补录标志登记后不能更改");
    return 0;
}

/* Everything of one act in one stream belongs together: no reader stops in between. */
static void chain_acts(struct judge *j)
{
    struct judgement *out = j->out;

    for (unsigned s = 0; s < j->n_streams; s++) {
        bool last = true;

        for (size_t i = out->n_entries; i > 0; i--) {
            struct judged *e = &out->entries[i - 1];

            if (e->c.stream != j->streams[s].stream)
                continue;
            if (!last)
                e->v.flags |= VERDICT_MORE;
            last = false;
        }
    }
}

/* The seq of `shared` that a reader must have before the act: what the act itself put there included. */
static void name_shared(struct judge *j)
{
    uint64_t seq = j->facts->stream_seq(j->facts->ctx, STREAM_SHARED);

    for (unsigned s = 0; s < j->n_streams; s++) {
        if (j->streams[s].stream == STREAM_SHARED)
            seq = j->streams[s].seq;
    }
    for (size_t i = 0; i < j->out->n_entries; i++) {
        if (j->out->entries[i].c.stream != STREAM_SHARED)
            j->out->entries[i].v.shared_seq = seq;
    }
}

/* The act is no larger than a frame may bring, and its entries no larger than a frame can pass on: a reader
 * of the stream would wait for ever. */
static int check_arrived(struct judge *j)
{
    size_t size = 0;

    for (size_t i = 0; j->act->bytes != NULL && i < j->act->n; i++)
        size += j->act->bytes[i].len + j->act->sides[i].len;
    return size <= ACT_MAX_BYTES ? 0 : judge_refuse(j, E_TOOBIG, "一次操作的内容超过 512 KiB");
}

static int check_passable(struct judge *j)
{
    for (unsigned s = 0; s < j->n_streams; s++) {
        size_t size = 0;

        for (size_t i = 0; i < j->out->n_entries; i++) {
            const struct judged *e = &j->out->entries[i];

            if (e->c.stream == j->streams[s].stream)
                size += body_room(VERDICT_ROOM + TAG_ROOM * e->v.n_withheld, e->bytes.len, e->side.len);
        }
        if (size > WIRE_BODY_MAX)
            return judge_refuse(j, E_TOOBIG, "一次操作牵动的内容太多，请分几次办理");
    }
    return 0;
}

int judge_act(struct arena *a, const struct judge_facts *facts, const struct act *act,
              struct judgement *ret)
{
    struct judge *j = arena_zalloc(a, sizeof *j);
    int status = 0;

    *ret = (struct judgement){.ret = 0};
    if (j == NULL)
        return E_NOMEM;
    j->a = a;
    j->facts = facts;
    j->act = act;
    j->out = ret;
    rows_init(j);
    status = check_arrived(j);
    for (ret->at = 0; status == 0 && ret->at < act->n; ret->at++) {
        struct change *c = &act->changes[ret->at];
        const struct slice *bytes = act->bytes == NULL ? NULL : &act->bytes[ret->at];

        status = bytes == NULL ? draft(j, c, ret->at) : claim(j, c);
        if (status == 0)
            status = judge_change(j, c, bytes, bytes == NULL ? NULL : &act->sides[ret->at],
                                  bytes == NULL ? NULL : act->hashes[ret->at], &act->actor, NULL);
        if (status != 0)
            break;
    }
    if (status == 0)
        status = check_passable(j);
    if (status == JUDGE_REFUSED) {
        ret->n_entries = ret->n_rows = 0;
        return 0;
    }
    if (status != 0)
        return status;
    chain_acts(j);
    name_shared(j);
    return rows_collect(j);
}
