/* What came back to a city that was restored, what is still missing, and the end of it. */
#include "server/store/city_recover.h"

#include "common/base/json.h"
#include "server/admin/admin.h"
#include "server/admin/commands.h"

#include <inttypes.h>
#include <stdio.h>

#define OUT_MAX (8u << 20)

struct list {
    bool json;
    struct buf text;
    struct json j;
    unsigned silent;  /* computers that were not heard */
    uint64_t missing; /* entries that were there and are not here */
};

static const char *stream_name(uint32_t stream, char text[16])
{
    (void)snprintf(text, 16, "%u", stream);
    return stream == STREAM_SHARED ? "shared" : stream == STREAM_CITY ? "city" : text;
}

static int put_replica(void *ctx, const struct replica_row *r, msec_t at)
{
    struct list *l = ctx;
    char id[ID_TEXT_SIZE], when[CAL_MINUTE_SIZE] = "尚未联系";

    id_format(&r->id, id);
    l->silent += at == 0;
    if (at != 0)
        cal_format_minute(at, when);
    if (!l->json) {
        buf_printf(&l->text, "  %u 第%u台 %s %s\n", r->site, r->k, id, when);
        return l->text.ret;
    }
    json_object(&l->j);
    json_kv_str(&l->j, "id", id);
    json_kv_uint(&l->j, "site", r->site);
    json_kv_uint(&l->j, "k", r->k);
    json_kv_uint(&l->j, "heard_at", at);
    json_object_end(&l->j);
    return l->text.ret;
}

static int put_stream(void *ctx, const struct recover_stream *s)
{
    struct list *l = ctx;
    uint64_t most = s->shown > s->filed ? s->shown : s->filed;
    uint64_t missing = most > s->seq ? most - s->seq : 0;
    char name[16];

    l->missing += missing;
    if (!l->json && missing > 0) {
        buf_printf(&l->text, "  %s 已有 %" PRIu64 " 条，曾有 %" PRIu64 " 条，缺第 %" PRIu64 "–%" PRIu64 " 条\n",
                   stream_name(s->stream, name), s->seq, most, s->seq + 1, most);
        return l->text.ret;
    }
    if (!l->json)
        return 0;
    json_object(&l->j);
    json_kv_str(&l->j, "name", stream_name(s->stream, name));
    json_kv_uint(&l->j, "seq", s->seq);
    json_kv_uint(&l->j, "shown", s->shown);
    json_kv_uint(&l->j, "filed", s->filed);
    json_kv_uint(&l->j, "missing", missing);
    json_object_end(&l->j);
    return l->text.ret;
}

static int put_lists(struct list *l, struct city *city, struct err *err)
{
    int ret;

    if (l->json) {
        json_key(&l->j, "replicas");
        json_array(&l->j);
    } else {
        buf_printf(&l->text, "各计算机恢复以来的联系：\n");
    }
    ret = city_recover_replicas(city, put_replica, l, err);
    if (l->json) {
        json_array_end(&l->j);
        json_key(&l->j, "streams");
        json_array(&l->j);
    } else {
        buf_printf(&l->text, "各数据流：\n");
    }
    if (ret == 0)
        ret = city_recover_streams(city, put_stream, l, err);
    if (l->json)
        json_array_end(&l->j);
    return ret;
}

static int put_json(struct list *l, struct city *city, const struct city_recovery *r,
                    struct err *err)
{
    char id[ID_TEXT_SIZE];
    int ret;

    id_format(&r->incarnation, id);
    json_object(&l->j);
    json_kv_bool(&l->j, "recovering", r->on);
    json_kv_str(&l->j, "incarnation", id);
    json_kv_uint(&l->j, "since", r->since);
    json_kv_str(&l->j, "why", r->why);
    json_kv_uint(&l->j, "taken", r->taken);
    json_kv_uint(&l->j, "late", r->late);
    json_kv_uint(&l->j, "refused", r->refused);
    json_kv_str(&l->j, "refused_why", r->refused > 0 ? r->refused_text : NULL);
    ret = put_lists(l, city, err);
    json_kv_uint(&l->j, "silent", l->silent);
    json_kv_uint(&l->j, "missing", l->missing);
    json_object_end(&l->j);
    buf_u8(&l->text, '\n');
    return ret;
}

static int put_text(struct list *l, struct city *city, const struct city_recovery *r,
                    struct err *err)
{
    char since[CAL_MINUTE_SIZE] = "";
    int ret = 0;

    if (r->on)
        cal_format_minute(r->since, since);
    if (r->on)
        buf_printf(&l->text, "正在恢复，自 %s：%s\n", since, r->why);
    else
        buf_printf(&l->text, "市级数据不在恢复之中\n");
    if (r->on)
        ret = put_lists(l, city, err);
    if (r->on && l->missing == 0)
        buf_printf(&l->text, "  没有缺号\n");
    buf_printf(&l->text, "交回采用 %" PRIu64 " 条，补录 %" PRIu64 " 次操作，校验不过没有采用 %" PRIu64 " 次\n",
               r->taken, r->late, r->refused);
    if (r->refused > 0)
        buf_printf(&l->text, "  最近一次：%s\n", r->refused_text);
    if (r->on)
        buf_printf(&l->text, "齐全后（或确认等不到了）用 ztcd recover --close --as 登录名 结束；"
                             "此后联系上的计算机，其内容作为补录并入\n");
    return ret;
}

int list_recovery(struct city *city, const struct args *a, struct err *err)
{
    struct list l = {.json = a->json};
    struct city_recovery r;
    int ret = city_recovery(city, &r, err);

    if (ret != 0)
        return ret;
    buf_init(&l.text, OUT_MAX);
    json_init(&l.j, &l.text);
    ret = a->json ? put_json(&l, city, &r, err) : put_text(&l, city, &r, err);
    if (ret == 0)
        ret = l.text.ret;
    if (ret == 0)
        (void)fputs(buf_cstr(&l.text), a->out); /* checked at the end of main */
    buf_release(&l.text);
    return ret;
}

static int count_account(void *ctx, struct row *row)
{
    *(unsigned *)ctx += row->stream == STREAM_CITY && row_int(row, "active") == 1;
    return 0;
}

/* Whose word it is. A store of before the first account has nobody who could say it, and takes no account
 * before it is said: whoever may enter the directory closes it then, without a name. */
static int who_closes(struct deed *d, const char **ret)
{
    struct actor actor;
    unsigned accounts = 0;
    int status = store_row_each(city_store(d->city), catalogue_kind_named("user_account"), count_account,
                                &accounts, d->err);

    *ret = "";
    if (status != 0 || accounts == 0)
        return status;
    if (args_text(d->args, OPT_AS) != NULL)
        *ret = args_text(d->args, OPT_AS);
    return deed_actor(d, &actor);
}

int deed_recover(struct deed *d)
{
    const char *login;
    int ret = who_closes(d, &login);

    if (ret == 0)
        ret = city_recover_close(d->city, login, d->err);
    if (ret == 0)
        (void)fprintf(d->args->out, d->args->json ? "{\"ok\":true}\n" : "恢复已结束，照常接收更改\n");
    return ret;
}
