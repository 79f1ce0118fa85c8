/* conflicts, resolve, refused: what needs a person. */
#include "client/cmd/commands.h"

#include "common/base/text.h"
#include "common/catalogue/check.h"
#include "common/cmd/width.h"

#include <string.h>

#define OUT_MAX   (32u << 20)
#define TEXT_MAX  (1u << 20)
#define LINE_FITS 60u
#define TIME_SIZE 20

struct listing {
    struct work *w;
    struct buf b;
    struct json j;
    size_t n;
};

static void listing_init(struct listing *l, struct work *w)
{
    *l = (struct listing){.w = w};
    buf_init(&l->b, OUT_MAX);
    json_init(&l->j, &l->b);
    if (w->args->json)
        json_array(&l->j);
}

static int listing_end(struct listing *l, int ret, const char *none)
{
    if (ret == 0 && l->w->args->json)
        json_array_end(&l->j);
    if (ret == 0 && !l->w->args->json && l->n == 0)
        buf_str(&l->b, none);
    if (ret == 0 && l->b.ret != 0)
        ret = err_set(l->w->err, l->b.ret, NULL);
    if (ret == 0 && l->b.len > 0)
        (void)fprintf(l->w->args->out, "%s%s", buf_cstr(&l->b), l->w->args->json ? "\n" : "");
    buf_release(&l->b);
    return ret;
}

/* 2026-03-05 09:30:00 */
static void format_time(msec_t at, char text[TIME_SIZE])
{
    char full[CAL_DATETIME_SIZE];

    cal_format_datetime(at, full);
    memcpy(text, full, TIME_SIZE - 1);
    text[10] = ' ';
    text[TIME_SIZE - 1] = '\0';
}

static int put_account(struct work *w, struct buf *out, const struct id *account)
{
    if (id_is_zero(account)) {
        buf_str(out, "system");
        return 0;
    }
    return names_put(&w->names, catalogue_kind_named("user_account"), account, out, w->err);
}

/* ---- conflicts ---- */

static void json_kv_id(struct json *j, const char *key, const struct id *id)
{
    char text[ID_TEXT_SIZE];

    id_format(id, text);
    json_kv_str(j, key, text);
}

static int json_side(struct listing *l, const char *name, const struct field *f,
                     const struct value *v, const struct id *by, msec_t at)
{
    char time[CAL_DATETIME_SIZE];
    struct buf user;
    int ret;

    cal_format_datetime(at, time);
    buf_init(&user, TEXT_MAX);
    ret = put_account(l->w, &user, by);
    json_key(&l->j, name);
    json_object(&l->j);
    json_key(&l->j, "value");
    if (f != NULL)
        show_json(&l->j, f, v);
    else
        json_null(&l->j);
    json_kv_str(&l->j, "user", buf_cstr(&user));
    json_kv_str(&l->j, "at", time);
    json_object_end(&l->j);
    buf_release(&user);
    return ret;
}

static int conflict_json(struct listing *l, const struct conflict_row *c)
{
    int ret = 0;

    json_object(&l->j);
    json_kv_id(&l->j, "id", &c->conflict->id);
    json_kv_str(&l->j, "kind", c->target != NULL ? c->target->kind->name : NULL);
    if (c->target != NULL)
        json_kv_id(&l->j, "record", &c->target->id);
    else
        json_kv_str(&l->j, "record", NULL);
    json_kv_str(&l->j, "field", c->field != NULL ? c->field->name : NULL);
    json_kv_bool(&l->j, "loading", c->waits);
    if (!c->waits)
        ret = json_side(l, "stands", c->field, &c->stands, &c->stands_by, c->stands_at);
    if (!c->waits && ret == 0)
        ret = json_side(l, "later", c->field, &c->later, &c->later_by, c->later_at);
    json_object_end(&l->j);
    return ret;
}

static int side_line(struct listing *l, const char *label, const struct conflict_row *c,
                     const struct value *v, const struct id *by, msec_t at)
{
    char time[TIME_SIZE];
    struct buf text;
    int ret = 0;

    format_time(at, time);
    buf_init(&text, OUT_MAX);
    if (c->field != NULL)
        ret = show_text(&l->w->view, &text, c->target, c->field, v, l->w->err);
    buf_printf(&l->b, "  %s：", label);
    text_fit(&l->b, buf_slice(&text), LINE_FITS);
    buf_str(&l->b, "（");
    if (ret == 0)
        ret = show_user(&l->w->view, &l->b, by, l->w->err);
    buf_printf(&l->b, "，%s）\n", time);
    buf_release(&text);
    return ret;
}

static int conflict_lines(struct listing *l, const struct conflict_row *c)
{
    char id[ID_TEXT_SIZE];
    int ret = 0;

    id_format(&c->conflict->id, id);
    buf_printf(&l->b, "%s  ", id);
    if (c->target != NULL) {
        buf_printf(&l->b, "%s ", c->target->kind->label);
        ret = names_put(&l->w->names, c->target->kind, &c->target->id, &l->b, l->w->err);
    }
    buf_printf(&l->b, " %s\n", c->field != NULL ? c->field->label : "整条记录");
    if (ret == 0 && c->waits) {
        buf_str(&l->b, "  较早的历史还在下载，下载完才能显示和处理\n");
        return 0;
    }
    if (ret == 0)
        ret = side_line(l, "现值", c, &c->stands, &c->stands_by, c->stands_at);
    return ret != 0 ? ret : side_line(l, "后到值", c, &c->later, &c->later_by, c->later_at);
}

static int on_conflict(void *ctx, const struct conflict_row *c)
{
    struct listing *l = ctx;

    l->n++;
    return l->w->args->json ? conflict_json(l, c) : conflict_lines(l, c);
}

int cmd_conflicts(const struct args *a, struct err *err)
{
    struct listing l;
    struct work w;
    int ret = work_open(&w, a, err);

    if (ret == 0) {
        listing_init(&l, &w);
        ret = replica_conflicts(w.home.replica, on_conflict, &l, err);
        ret = listing_end(&l, ret, "没有未处理的冲突\n");
    }
    work_close(&w);
    return ret;
}

/* ---- resolve ---- */

/* The one conflict that is to be decided, copied out of the walk. */
struct decision {
    struct work *w;
    struct id id;
    struct row *target;
    const struct field *field;
    struct value later;
    bool found;
};

static int find_conflict(void *ctx, const struct conflict_row *c)
{
    struct decision *d = ctx;
    bool ok = true;

    if (!id_eq(&c->conflict->id, &d->id))
        return 0;
    if (c->waits)
        return err_set(d->w->err, E_WAITING, "较早的历史还在下载，下载完才能处理这个冲突");
    d->found = true;
    d->field = c->field;
    d->later = value_dup(d->w->args->arena, &c->later, &ok);
    if (c->target != NULL) {
        d->target = row_dup(d->w->args->arena, c->target);
        ok = ok && d->target != NULL;
    }
    return ok ? 0 : err_set(d->w->err, E_NOMEM, NULL);
}

static bool starts(const char *text, const char *word)
{
    return strncmp(text, word, strlen(word)) == 0;
}

/* What --take says, as the winner and the value that the field gets (when it is not the standing one). */
static int taken_value(struct decision *d, const char *take, const char **ret_winner,
                       struct value *ret, struct err *err)
{
    struct pair p;
    int status;

    if (strcmp(take, "stands") == 0) {
        *ret_winner = "stands";
        return 0;
    }
    if (strcmp(take, "later") != 0 && !starts(take, "value="))
        return err_set(err, E_USAGE, "--take 应为 stands、later 或 value=值");
    if (d->field == NULL || d->target == NULL)
        return err_set(err, E_USAGE, "这个冲突针对整条记录，改好记录后用 --take stands");
    if (starts(take, "value=")) {
        *ret_winner = "edited";
        status = args_pair(d->w->args, take, &p, err);
        return status != 0 ? status
                           : names_parse(&d->w->names, d->w->args->arena, d->target->kind, d->field,
                                         p.value, ret, err);
    }
    *ret_winner = "later";
    *ret = d->later;
    if (d->later.type == V_ERASED)
        return err_set(err, E_STATE, "后到值已删除，请另填 --take value=值");
    if (d->later.type != V_SEALED)
        return 0;
    return replica_open_value(d->w->home.replica, d->w->args->arena, &d->later, ret, err);
}

/* Who decided, when, and for which value: fields of the conflict's own record. */
static int conclude(struct work *w, const char *winner, struct edit *e)
{
    const struct kind *kind = catalogue_kind_named("conflict");
    struct actor actor;
    struct row *account = NULL;
    char at[CAL_DATETIME_SIZE];
    struct pair pairs[3];
    int ret = work_actor(w, &actor);

    if (ret == 0)
        ret = store_row_get(w->view.store, w->args->arena, catalogue_kind_named("user_account"),
                            &actor.account, &account, w->err);
    if (ret != 0)
        return ret;
    cal_format_datetime(work_now(), at);
    pairs[0] = (struct pair){"winner", slice_str(winner)};
    pairs[1] = (struct pair){"resolved_by",
                             account != NULL ? row_text(account, "login") : slice_str("clerk")};
    pairs[2] = (struct pair){"resolved_at", slice_str(at)};
    return edit_pairs(e, &w->names, w->args->arena, kind, NULL, pairs, 3, w->err);
}

/* One act: the value, then the conflict's end. */
static int decide(struct work *w, struct decision *d, const char *winner, const struct value *v)
{
    struct draft drafts[2];
    struct edit value = {.n = 0}, end = {.n = 0};
    size_t n = 0;
    int ret = conclude(w, winner, &end);

    if (ret == 0 && strcmp(winner, "stands") != 0)
        ret = edit_put(&value, w->args->arena, d->target, d->field, *v, w->err);
    if (ret != 0)
        return ret;
    if (value.n > 0)
        drafts[n++] = (struct draft){.kind = d->target->kind,
                                     .record = d->target->id,
                                     .op = OP_SET,
                                     .fields = value.fields,
                                     .n_fields = value.n};
    drafts[n++] = (struct draft){.kind = catalogue_kind_named("conflict"),
                                 .record = d->id,
                                 .op = OP_TRANSITION,
                                 .to = slice_str("resolved"),
                                 .fields = end.fields,
                                 .n_fields = end.n};
    return work_write(w, drafts, n, true);
}

static int resolve(struct work *w)
{
    const struct args *a = w->args;
    const char *take = args_text(a, OPT_TAKE);
    struct decision d = {.w = w};
    struct value v = value_null();
    const char *winner = NULL;
    struct row *row;
    int ret = store_resolve(w->view.store, a->arena, catalogue_kind_named("conflict"),
                            slice_str(a->words[0]), &row, w->err);

    if (ret != 0)
        return ret;
    d.id = row->id;
    ret = replica_conflicts(w->home.replica, find_conflict, &d, w->err);
    if (ret == 0 && !d.found)
        ret = err_set(w->err, E_STATE, "这个冲突已经处理过");
    if (ret == 0)
        ret = taken_value(&d, take, &winner, &v, w->err);
    return ret != 0 ? ret : decide(w, &d, winner, &v);
}

int cmd_resolve(const struct args *a, struct err *err)
{
    struct work w;
    int ret;

    if (args_text(a, OPT_TAKE) == NULL)
        return err_set(err, E_USAGE, "请用 --take 说明采用哪个值：stands、later 或 value=值");
    ret = work_open(&w, a, err);
    if (ret == 0)
        ret = resolve(&w);
    work_close(&w);
    return ret;
}

/* ---- refused ---- */

/* The record that the refused change was about. */
static void refused_target(const struct refused_row *r, struct arena *a, struct change *ret)
{
    memset(ret, 0, sizeof *ret);
    (void)change_decode(a, r->bytes, (struct slice){NULL, 0}, ret); /* what is left stays empty */
}

static int change_json(void *ctx, const struct change *c)
{
    struct json *j = ctx;

    json_object(j);
    show_change_json(j, c);
    json_object_end(j);
    return 0;
}

static int done_json(struct listing *l, const struct refused_row *r)
{
    char at[CAL_DATETIME_SIZE];
    struct buf user;
    int ret = 0;

    buf_init(&user, TEXT_MAX);
    cal_format_datetime(r->done_at, at);
    if (r->done_at != 0)
        ret = put_account(l->w, &user, &r->done_by);
    json_kv_str(&l->j, "done_at", r->done_at != 0 ? at : NULL);
    json_kv_str(&l->j, "done_by", r->done_at != 0 ? buf_cstr(&user) : NULL);
    buf_release(&user);
    return ret;
}

static int refused_json(struct listing *l, const struct refused_row *r, const struct change *c)
{
    const struct kind *kind = catalogue_kind(c->kind);
    char at[CAL_DATETIME_SIZE];
    int ret;

    cal_format_datetime(r->at, at);
    json_object(&l->j);
    json_kv_uint(&l->j, "first_n", r->first_n);
    json_kv_uint(&l->j, "last_n", r->last_n);
    json_kv_uint(&l->j, "at_n", r->at_n);
    json_key(&l->j, "code");
    json_text(&l->j, r->code);
    json_key(&l->j, "message");
    json_text(&l->j, r->text);
    json_kv_str(&l->j, "at", at);
    json_kv_str(&l->j, "kind", kind != NULL ? kind->name : NULL);
    json_kv_id(&l->j, "record", &c->record);
    ret = done_json(l, r);
    json_key(&l->j, "changes");
    json_array(&l->j);
    if (ret == 0)
        ret = replica_refused_changes(l->w->home.replica, r, change_json, &l->j, l->w->err);
    json_array_end(&l->j);
    json_object_end(&l->j);
    return ret;
}

static int change_lines(void *ctx, const struct change *c)
{
    struct listing *l = ctx;

    return show_change(&l->w->view, &l->b, c, l->w->err);
}

static int done_line(struct listing *l, const struct refused_row *r)
{
    char time[TIME_SIZE];
    int ret;

    if (r->done_at == 0)
        return 0;
    format_time(r->done_at, time);
    buf_str(&l->b, "  已了结（");
    ret = show_user(&l->w->view, &l->b, &r->done_by, l->w->err);
    buf_printf(&l->b, "，%s）\n", time);
    return ret;
}

/* When, why, and what was refused, so that it can be made anew. */
static int refused_lines(struct listing *l, const struct refused_row *r)
{
    char time[TIME_SIZE];
    int ret;

    format_time(r->at, time);
    buf_printf(&l->b, "第%llu", (unsigned long long)r->first_n);
    if (r->last_n != r->first_n)
        buf_printf(&l->b, "—%llu", (unsigned long long)r->last_n);
    buf_printf(&l->b, "项  %s\n  %.*s ", time, (int)r->code.len, (const char *)r->code.p);
    text_plain(&l->b, r->text, false);
    buf_u8(&l->b, '\n');
    ret = done_line(l, r);
    return ret != 0 ? ret
                    : replica_refused_changes(l->w->home.replica, r, change_lines, l, l->w->err);
}

static int on_refused(void *ctx, const struct refused_row *r)
{
    struct listing *l = ctx;
    struct change c;
    struct arena a;
    int ret;

    if (r->done_at != 0 && !args_has(l->w->args, OPT_ALL))
        return 0;
    arena_init(&a, OUT_MAX);
    refused_target(r, &a, &c);
    ret = l->w->args->json ? refused_json(l, r, &c) : refused_lines(l, r);
    l->n++;
    arena_release(&a);
    return ret;
}

static int list_refused(struct work *w)
{
    struct listing l;

    listing_init(&l, w);
    return listing_end(&l, replica_refused_each(w->home.replica, on_refused, &l, w->err),
                       "没有未接受的更改\n");
}

/* 12, or 12-15 as an act's changes are listed. */
static int parse_range(const char *text, uint64_t *ret_first, uint64_t *ret_last, struct err *err)
{
    size_t len = strcspn(text, "-");
    int64_t first, last;
    bool ok = text_int((struct slice){(const uint8_t *)text, len}, &first) == 0;

    last = first = ok ? first : 0;
    if (text[len] == '-')
        ok = ok && text_int(slice_str(text + len + 1), &last) == 0;
    if (!ok || first < 1 || last < first)
        return err_set(err, E_USAGE, "--done 应写成列出的项号，如 12 或 12-15");
    *ret_first = (uint64_t)first;
    *ret_last = (uint64_t)last;
    return 0;
}

static int close_refused(struct work *w)
{
    uint64_t first = 0, last = 0, n = 0;
    struct actor actor;
    int ret = parse_range(args_text(w->args, OPT_DONE), &first, &last, w->err);

    if (ret == 0)
        ret = work_actor(w, &actor);
    if (ret == 0)
        ret = replica_refused_close(w->home.replica, first, last, &actor.account, work_now(), &n,
                                    w->err);
    if (ret != 0)
        return ret;
    (void)fprintf(w->args->out,
                  w->args->json ? "{\"closed\":%llu}\n" : "已了结 %llu 次退回\n",
                  (unsigned long long)n);
    return 0;
}

int cmd_refused(const struct args *a, struct err *err)
{
    struct work w;
    int ret = work_open(&w, a, err);

    if (ret == 0)
        ret = args_has(a, OPT_DONE) ? close_refused(&w) : list_refused(&w);
    work_close(&w);
    return ret;
}
