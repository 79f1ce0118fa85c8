/* What is kept aside: the list, and a person's decision. */
#include "server/admin/admin.h"
#include "server/admin/commands.h"

#include "common/base/json.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define OUT_MAX (64u << 20)

/* ---- the list ---- */

struct list {
    const struct args *args;
    struct names names;
    struct buf text;
    struct json json;
    struct err *err;
};

static int put_who(struct list *l, const struct id *account, struct buf *out)
{
    return names_put(&l->names, catalogue_kind_named("user_account"), account, out, l->err);
}

static void put_line(struct list *l, const struct quarantined *q, const char *who,
                     const struct kind *kind)
{
    char id[ID_TEXT_SIZE], when[CAL_MINUTE_SIZE];

    id_format(&q->replica->id, id);
    cal_format_minute(q->change->made_at, when);
    buf_printf(&l->text, "%s %u 第%u台 第 %" PRIu64, id, q->replica->site, q->replica->k, q->first_n);
    if (q->last_n > q->first_n)
        buf_printf(&l->text, "-%" PRIu64, q->last_n);
    buf_printf(&l->text, " 项 %s %s %s：%.*s\n", who, kind == NULL ? "?" : kind->label, when,
               (int)q->text.len, (const char *)q->text.p);
}

static void put_object(struct list *l, const struct quarantined *q, const char *who,
                       const struct kind *kind)
{
    char id[ID_TEXT_SIZE], record[ID_TEXT_SIZE];
    struct json *j = &l->json;

    id_format(&q->replica->id, id);
    id_format(&q->change->record, record);
    json_object(j);
    json_kv_str(j, "replica", id);
    json_kv_uint(j, "site", q->replica->site);
    json_kv_uint(j, "n", q->first_n);
    json_kv_uint(j, "last_n", q->last_n);
    json_kv_str(j, "who", who);
    json_kv_str(j, "kind", kind == NULL ? NULL : kind->name);
    json_kv_str(j, "record", record);
    json_kv_uint(j, "made_at", q->change->made_at);
    json_key(j, "why");
    json_text(j, q->text);
    json_object_end(j);
}

static int put(void *ctx, const struct quarantined *q)
{
    struct list *l = ctx;
    const struct kind *kind = catalogue_kind(q->change->kind);
    struct buf who;
    int ret;

    buf_init(&who, 4096);
    ret = put_who(l, &q->change->actor, &who);
    if (ret == 0 && l->args->json)
        put_object(l, q, buf_cstr(&who), kind);
    else if (ret == 0)
        put_line(l, q, buf_cstr(&who), kind);
    buf_release(&who);
    return ret != 0 ? ret : l->text.ret;
}

int list_quarantine(struct city *city, const struct args *a, struct err *err)
{
    struct list l = {.args = a, .err = err};
    int ret;

    names_init(&l.names, city_store(city));
    buf_init(&l.text, OUT_MAX);
    json_init(&l.json, &l.text);
    if (a->json)
        json_array(&l.json);
    ret = city_quarantine_each(city, put, &l, err);
    if (a->json) {
        json_array_end(&l.json);
        buf_u8(&l.text, '\n');
    }
    if (ret == 0)
        ret = l.text.ret;
    if (ret == 0)
        (void)fputs(buf_cstr(&l.text), a->out); /* checked at the end of main */
    buf_release(&l.text);
    names_release(&l.names);
    return ret;
}

/* ---- the decision ---- */

typedef int (*decision)(struct city *c, const struct id *replica, uint64_t n, uint64_t *ret_n,
                        struct err *err);

static int number_of(struct deed *d, const char *word, uint64_t *ret)
{
    char *end;
    unsigned long long n = strtoull(word, &end, 10);

    if (word[0] < '1' || word[0] > '9' || *end != '\0' || n > INT64_MAX >> 24)
        return err_set(d->err, E_USAGE, "“%s”不是项号", word);
    *ret = n;
    return 0;
}

/* All of the replica's, or the acts that begin with the numbers given. */
static int decide(struct deed *d, decision what, const char *word, const char *done)
{
    const struct args *a = d->args;
    uint64_t total = 0, n, number = 0;
    struct id replica;
    int ret = deed_find_replica(d, a->words[0], &replica);

    for (unsigned i = 1; ret == 0 && i < a->n_words; i++) {
        ret = number_of(d, a->words[i], &number);
        if (ret == 0)
            ret = what(d->city, &replica, number, &n, d->err);
        total += ret == 0 ? n : 0;
    }
    if (ret == 0 && a->n_words == 1)
        ret = what(d->city, &replica, 0, &total, d->err);
    if (ret != 0)
        return ret;
    d->effects->decided = replica;
    if (a->json)
        (void)fprintf(a->out, "{\"%s\":%" PRIu64 "}\n", word, total);
    else
        (void)fprintf(a->out, "%s %" PRIu64 " 次操作\n", done, total);
    return 0;
}

int deed_release(struct deed *d)
{
    return decide(d, city_quarantine_release, "released", "已核准");
}

int deed_drop(struct deed *d)
{
    return decide(d, city_quarantine_drop, "dropped", "已退回");
}
