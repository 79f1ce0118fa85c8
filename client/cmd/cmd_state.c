/* status, verify, rebuild: how the replica stands.
 *
 * The agent writes what it is doing into `meta` of replica.db (agent.h); whether it still lives is told by
 * agent.lock alone, for an agent that was killed cannot take its words back. */
#include "client/cmd/bundle.h"
#include "client/cmd/commands.h"
#include "client/net/agent.h"
#include "client/store/identity.h"
#include "client/store/repair.h"

#include "common/base/hex.h"
#include "common/cmd/settings.h"

#include <inttypes.h>
#include <string.h>

#define OUT_MAX     (1u << 20)
#define STREAMS_MAX 8u
#define REPAIRS_SHOWN 5u
#define STATE_SIZE  64

struct status {
    struct replica_facts facts;
    char state[STATE_SIZE];
    struct slice cause, why, heads; /* of the agent; empty: none */
    int64_t since, moved, next;     /* ms; 0: unknown, none */
    int64_t bundle_made, bundle_taken; /* likewise */
    int64_t cert_days;         /* until the certificate ends, by the latest city time known; -1: unreadable */
    int64_t bytes;             /* of attachments, moved in the present session */
    bool was_another;          /* it changed its identity */
    struct identity_former former;
    struct stream_head streams[STREAMS_MAX];
    struct replica_snapshot snapshots[STREAMS_MAX]; /* stream 0: its log is whole */
    bool loading[STREAMS_MAX];
    msec_t differs[STREAMS_MAX]; /* since when its tables are not what the city signed; 0: they are */
    size_t n_streams;
    struct client_repair repairs[REPAIRS_SHOWN]; /* the newest */
    uint64_t n_repairs;
};

static int take_stream(void *ctx, const struct stream_head *h)
{
    struct status *s = ctx;

    if (s->n_streams < STREAMS_MAX)
        s->streams[s->n_streams++] = *h;
    return 0;
}

/* A value of the agent's, empty when it never ran. */
static int agent_text(struct work *w, const char *name, struct slice *ret)
{
    int status = store_meta_get(w->view.store, name, w->args->arena, ret, w->err);

    if (status == E_NOTFOUND)
        *ret = (struct slice){NULL, 0};
    return status == E_NOTFOUND ? 0 : status;
}

static int read_agent(struct work *w, struct status *s)
{
    struct slice state;
    int ret = agent_text(w, AGENT_META_STATE, &state);

    if (ret == 0)
        ret = agent_text(w, AGENT_META_CAUSE, &s->cause);
    if (ret == 0)
        ret = agent_text(w, AGENT_META_WHY, &s->why);
    if (ret == 0)
        ret = agent_text(w, AGENT_META_HEADS, &s->heads);
    if (ret != 0)
        return ret;
    s->since = store_meta_int(w->view.store, AGENT_META_SINCE, 0);
    s->bytes = store_meta_int(w->view.store, AGENT_META_BYTES, 0);
    s->moved = store_meta_int(w->view.store, AGENT_META_MOVED, 0);
    s->bundle_made = store_meta_int(w->view.store, BUNDLE_META_MADE, 0);
    s->bundle_taken = store_meta_int(w->view.store, BUNDLE_META_TAKEN, 0);
    if (home_agent_runs(w->home.dir) && state.len > 0) {
        (void)snprintf(s->state, sizeof s->state, "%.*s", (int)state.len, (const char *)state.p);
        s->next = store_meta_int(w->view.store, AGENT_META_NEXT, 0);
    } else {
        (void)snprintf(s->state, sizeof s->state, "stopped");
        if (!slice_eq(state, slice_str(s->state)))
            s->since = 0; /* it was killed: nobody knows when */
    }
    return 0;
}

/* Of a file that an enrolment writes and a renewal replaces. */
static int64_t days_left(struct work *w)
{
    int64_t city_time = store_meta_int(w->view.store, AGENT_META_CITY_TIME, 0);
    char path[HOME_PATH_MAX];
    struct cert *cert;
    int64_t days;

    if (home_path(w->home.dir, "cert.pem", path, NULL) != 0 || cert_load(path, &cert, NULL) != 0)
        return -1;
    days = cert_days_left(cert_not_after(cert), (msec_t)city_time);
    cert_free(cert);
    return days;
}

static int read_snapshots(struct work *w, struct status *s)
{
    int ret = 0;

    for (size_t i = 0; ret == 0 && i < s->n_streams; i++) {
        ret = replica_snapshot(w->home.replica, s->streams[i].stream, &s->snapshots[i], w->err);
        if (ret == 0)
            ret = replica_loading(w->home.replica, s->streams[i].stream, &s->loading[i], w->err);
        if (ret == E_NOTFOUND)
            ret = 0;
    }
    return ret;
}

static int read_former(struct work *w, struct status *s)
{
    int ret = identity_former(w->home.replica, &s->former, w->err);

    s->was_another = ret == 0;
    return ret == E_NOTFOUND ? 0 : ret;
}

static int take_repair(void *ctx, const struct client_repair *repair)
{
    struct status *s = ctx;

    if (s->n_repairs < REPAIRS_SHOWN)
        s->repairs[s->n_repairs] = *repair;
    s->n_repairs++;
    return 0;
}

static int read_repairs(struct work *w, struct status *s)
{
    int ret = replica_repairs(w->home.replica, take_repair, s, w->err);

    for (size_t i = 0; ret == 0 && i < s->n_streams; i++) {
        ret = replica_differs(w->home.replica, s->streams[i].stream, &s->differs[i], w->err);
        ret = ret > 0 ? 0 : ret;
    }
    return ret;
}

static int read_status(struct work *w, struct status *s)
{
    int ret;

    memset(s, 0, sizeof *s);
    ret = replica_facts(w->home.replica, &s->facts, w->err);
    if (ret == 0)
        ret = read_agent(w, s);
    s->cert_days = days_left(w);
    if (ret == 0)
        ret = read_former(w, s);
    if (ret == 0)
        ret = store_stream_each(w->view.store, take_stream, s, w->err);
    if (ret == 0)
        ret = read_snapshots(w, s);
    return ret == 0 ? read_repairs(w, s) : ret;
}

/* The city's head of a stream as the agent last heard it. Never below the cursor. */
static uint64_t head_of(const struct status *s, const struct stream_head *h)
{
    struct rd r = rd_of(s->heads);
    uint64_t head = h->seq;

    while (rd_left(&r) > 0 && !r.bad) {
        uint32_t stream = rd_be32(&r);
        uint64_t seq = rd_be64(&r);

        if (!r.bad && stream == h->stream && seq > head)
            head = seq;
    }
    return head;
}

static void json_time(struct json *j, const char *key, int64_t at)
{
    char text[CAL_DATETIME_SIZE];

    cal_format_datetime((msec_t)at, text);
    json_kv_str(j, key, at > 0 ? text : NULL);
}

static void json_streams(struct json *j, const struct status *s)
{
    json_key(j, "streams");
    json_array(j);
    for (size_t i = 0; i < s->n_streams; i++) {
        char word[12], hash[2 * HASH_SIZE + 1];

        hex_encode(s->streams[i].hash, HASH_SIZE, hash);
        json_object(j);
        json_kv_str(j, "name", stream_word(s->streams[i].stream, word));
        json_kv_uint(j, "cursor", s->streams[i].seq);
        json_kv_uint(j, "head", head_of(s, &s->streams[i]));
        json_kv_str(j, "hash", hash);
        json_kv_bool(j, "loading", s->loading[i]);
        json_time(j, "differs_since", (int64_t)s->differs[i]);
        if (s->snapshots[i].stream != 0) {
            json_kv_uint(j, "history", s->snapshots[i].history_seq);
            json_kv_uint(j, "history_wanted", s->snapshots[i].base_seq);
        }
        json_object_end(j);
    }
    json_array_end(j);
}

static void json_said(struct json *j, const char *key, struct slice text)
{
    json_key(j, key);
    if (text.len > 0)
        json_text(j, text);
    else
        json_null(j);
}

static void json_former(struct json *j, const struct status *s)
{
    char id[ID_TEXT_SIZE];

    id_format(&s->former.replica, id);
    json_kv_str(j, "predecessor", s->was_another ? id : NULL);
    if (!s->was_another)
        return;
    json_time(j, "identity_changed_at", (int64_t)s->former.at);
    json_kv_uint(j, "remade", s->former.remade);
}

static const char *repair_words(uint32_t how)
{
    static const char *const words[] = {"", "已按市级改正", "已补上", "已去掉多余的一条",
                                        "本机无误，市级的与记录不符"};

    return how < sizeof words / sizeof *words ? words[how] : "";
}

static void json_repairs(struct json *j, const struct status *s)
{
    json_kv_uint(j, "repaired", s->n_repairs);
    json_key(j, "repairs");
    json_array(j);
    for (uint64_t i = 0; i < s->n_repairs && i < REPAIRS_SHOWN; i++) {
        const struct client_repair *r = &s->repairs[i];
        const struct kind *kind = catalogue_kind(r->kind);
        char id[ID_TEXT_SIZE], word[12];

        id_format(&r->id, id);
        json_object(j);
        json_time(j, "at", (int64_t)r->at);
        json_kv_str(j, "stream", stream_word(r->stream, word));
        json_kv_str(j, "kind", kind != NULL ? kind->name : NULL);
        json_kv_str(j, "id", id);
        json_kv_uint(j, "seq", r->seq);
        json_kv_uint(j, "how", r->how);
        json_kv_str(j, "text", repair_words(r->how));
        json_kv_bool(j, "told", r->told);
        json_object_end(j);
    }
    json_array_end(j);
}

static void put_repairs(struct buf *b, const struct status *s)
{
    for (size_t i = 0; i < s->n_streams; i++) {
        char since[CAL_MINUTE_SIZE], word[12];

        if (s->differs[i] == 0)
            continue;
        cal_format_minute(s->differs[i], since);
        buf_printf(b, "核对：流 %s 自 %s 起，%s %s\n", stream_word(s->streams[i].stream, word), since,
                   err_code(E_DIGEST), err_text(E_DIGEST));
    }
    for (uint64_t i = 0; i < s->n_repairs && i < REPAIRS_SHOWN; i++) {
        const struct client_repair *r = &s->repairs[i];
        const struct kind *kind = catalogue_kind(r->kind);
        char at[CAL_MINUTE_SIZE], id[ID_TEXT_SIZE];

        cal_format_minute(r->at, at);
        id_format(&r->id, id);
        buf_printf(b, "修复：%s %s %s，%s\n", at, kind != NULL ? kind->label : "记录", id,
                   repair_words(r->how));
    }
    if (s->n_repairs > REPAIRS_SHOWN)
        buf_printf(b, "修复：共 %" PRIu64 " 次\n", s->n_repairs);
}

static void status_json(struct buf *b, const struct status *s)
{
    char site[16], replica[ID_TEXT_SIZE];
    struct statement said = replica_statement(&s->facts);
    struct json j;

    (void)snprintf(site, sizeof site, "%06u", s->facts.site);
    id_format(&s->facts.id, replica);
    json_init(&j, b);
    json_object(&j);
    json_kv_str(&j, "site", site);
    json_kv_str(&j, "replica", replica);
    json_kv_str(&j, "state", s->state);
    json_said(&j, "cause", s->cause);
    json_said(&j, "why", s->why);
    json_time(&j, "since", s->since);
    json_time(&j, "progress_at", s->moved);
    json_time(&j, "next_try", s->next);
    json_time(&j, "bundle_made", s->bundle_made);
    json_time(&j, "bundle_taken", s->bundle_taken);
    json_kv_bool(&j, "complete", statement_complete(&said));
    json_kv_uint(&j, "local_n", said.own_n);
    json_kv_uint(&j, "acked_n", said.acked_n);
    json_kv_uint(&j, "waiting", said.waiting);
    json_kv_uint(&j, "pending", s->facts.pending);
    json_kv_uint(&j, "refused", said.refused);
    json_kv_uint(&j, "attachments", said.attachments);
    json_kv_uint(&j, "conflicts", s->facts.conflicts);
    if (s->cert_days >= 0)
        json_kv_uint(&j, "cert_days_left", (uint64_t)s->cert_days);
    json_kv_uint(&j, "blobs_pending", s->facts.blobs.waiting);
    json_kv_uint(&j, "blobs_refused", s->facts.blobs.refused);
    json_kv_uint(&j, "blobs_lost", s->facts.blobs.lost);
    json_kv_int(&j, "blob_bytes", s->bytes);
    json_former(&j, s);
    json_streams(&j, s);
    json_repairs(&j, s);
    json_object_end(&j);
    buf_u8(b, '\n');
}

static const char *state_words(const char *state)
{
    static const char *const words[][2] = {
        {"stopped", "同步程序未运行"},   {"connecting", "正在连接"},
        {"hello", "正在核对身份"},       {"checking", "正在核对记录"},
        {"catching-up", "正在同步"},     {"up-to-date", "已连接，已同步"},
        {"closing", "正在断开"},         {"waiting", "未连接，稍后重试"},
        {"offline", "未连接，稍后重试"}, {"renew-only", "正在换领证书"},
        {"new-identity", "身份重复，正在换用新身份"},
        {"refilling", "市级数据正在恢复，正在交回它缺少的内容"},
    };

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(words[i][0], state) == 0)
            return words[i][1];
    }
    return state;
}

/* The code that a script looks for, and what it means. */
static void put_cause(struct buf *b, const struct status *s)
{
    if (s->cause.len > 0)
        buf_printf(b, "，%.*s %.*s", (int)s->cause.len, (const char *)s->cause.p, (int)s->why.len,
                   (const char *)s->why.p);
}

static void put_time(struct buf *b, size_t from, const char *what, int64_t at)
{
    char text[CAL_MINUTE_SIZE];

    if (at <= 0)
        return;
    cal_format_minute((msec_t)at, text);
    buf_printf(b, "%s%s %s", b->len > from ? "，" : "时间：", what, text);
}

static void put_times(struct buf *b, const struct status *s)
{
    size_t from = b->len;

    put_time(b, from, "自", s->since);
    put_time(b, from, "最近进展", s->moved);
    put_time(b, from, "下次连接", s->next);
    put_time(b, from, "最近导出摆渡包", s->bundle_made);
    put_time(b, from, "最近导入摆渡包", s->bundle_taken);
    if (b->len > from)
        buf_u8(b, '\n');
}

/* What happened, what was done about it, and what is left for a person. */
static void put_former(struct buf *b, const struct status *s)
{
    char id[ID_TEXT_SIZE], text[CAL_MINUTE_SIZE];

    if (!s->was_another)
        return;
    id_format(&s->former.replica, id);
    cal_format_minute(s->former.at, text);
    buf_printf(b, "身份：本机与另一台电脑使用了同一身份（或由旧备份恢复），已换用新身份，%" PRIu64
                  " 项未上传的更改已重新登记（%s，原身份 %s）\n", s->former.remade, text, id);
}

static void status_lines(struct buf *b, const struct status *s)
{
    const struct replica_facts *f = &s->facts;
    char replica[ID_TEXT_SIZE], word[12];
    struct statement said = replica_statement(f);
    uint64_t blobs = f->blobs.refused + f->blobs.lost;

    id_format(&f->id, replica);
    buf_printf(b, "单位：%06u 第%u台\n本机：%s\n", f->site, f->k, replica);
    put_former(b, s);
    buf_printf(b, "同步：%s", state_words(s->state));
    put_cause(b, s);
    buf_u8(b, '\n');
    put_times(b, s);
    buf_printf(b, "上传：%s（本机 %" PRIu64 "，市级已答复 %" PRIu64 "）\n",
               statement_complete(&said) ? "已全部上传" : "尚未全部上传", said.own_n, said.acked_n);
    buf_printf(b, "待上传 %" PRIu64 "，未接受 %" PRIu64 "，附件 %" PRIu64 "，冲突 %" PRIu64 "\n",
               said.waiting, said.refused, said.attachments, f->conflicts);
    if (s->cert_days >= 0)
        buf_printf(b, "证书：还有 %" PRId64 " 天\n", s->cert_days);
    if (blobs > 0)
        buf_printf(b, "附件：市级未接受 %" PRIu64 "，已丢失 %" PRIu64 "，请重新添加，原附件作废\n",
                   f->blobs.refused, f->blobs.lost);
    for (size_t i = 0; i < s->n_streams; i++) {
        buf_printf(b, "流 %s：已取到 %" PRIu64 "，市级 %" PRIu64 "%s\n",
                   stream_word(s->streams[i].stream, word), s->streams[i].seq,
                   head_of(s, &s->streams[i]), s->loading[i] ? "，正在载入，还不完整" : "");
        if (s->snapshots[i].stream != 0)
            buf_printf(b, "    较早的经过：已取到 %" PRIu64 "，共 %" PRIu64 "\n",
                       s->snapshots[i].history_seq, s->snapshots[i].base_seq);
    }
    put_repairs(b, s);
}

static int print_status(struct work *w)
{
    struct status s;
    struct buf b;
    int ret = read_status(w, &s);

    if (ret != 0)
        return ret;
    buf_init(&b, OUT_MAX);
    if (w->args->json)
        status_json(&b, &s);
    else
        status_lines(&b, &s);
    if (b.ret != 0)
        ret = err_set(w->err, b.ret, NULL);
    else
        (void)fputs(buf_cstr(&b), w->args->out);
    buf_release(&b);
    return ret;
}

int cmd_status(const struct args *a, struct err *err)
{
    struct work w;
    int ret = work_open(&w, a, err);

    if (ret == 0)
        ret = print_status(&w);
    work_close(&w);
    return ret;
}

/* ---- settings ---- */

static int print_settings(struct work *w)
{
    struct replica_facts facts;
    int ret = replica_facts(w->home.replica, &facts, w->err);

    return ret != 0 ? ret : show_settings(&w->view, facts.site, w->err);
}

int cmd_settings(const struct args *a, struct err *err)
{
    struct work w;
    int ret = work_open(&w, a, err);

    if (ret == 0)
        ret = print_settings(&w);
    work_close(&w);
    return ret;
}

/* ---- upkeep ---- */

static int print_done(const struct args *a, const char *text)
{
    if (a->json)
        (void)fprintf(a->out, "{\"ok\":true}\n");
    else
        (void)fprintf(a->out, "%s\n", text);
    return 0;
}

int cmd_verify(const struct args *a, struct err *err)
{
    struct work w;
    int ret = work_open(&w, a, err);

    if (ret == 0)
        ret = replica_verify(w.home.replica, err);
    if (ret == 0)
        ret = print_done(a, "校验通过");
    work_close(&w);
    return ret;
}

int cmd_rebuild(const struct args *a, struct err *err)
{
    struct work w;
    int ret = work_open(&w, a, err);

    if (ret == 0)
        ret = replica_rebuild(w.home.replica, err);
    if (ret == 0)
        ret = print_done(a, "已由记录重建各表");
    work_close(&w);
    return ret;
}
