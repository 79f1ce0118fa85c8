/* How the city stands: its store, its streams, and every computer that keeps in step with it.
 *
 * The rows are read on the writer's thread and printed on the loop, where the sessions are. */
#include "server/net/daemon_internal.h"
#include "server/store/city_bundle.h"

#include "common/base/hex.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "server/store/city_blob.h"
#include "server/store/city_recover.h"

#include <stdio.h>

#define STATUS_MAX (32u << 20)
#define DAY_MS     (24u * 3600 * 1000)
#define NAME_SIZE  64
#define AUTHORITY_DAYS 365 /* before the end of a CA: from then on people are told */

struct office {
    uint32_t code;
    char name[NAME_SIZE];
    msec_t unsynced; /* a statement older than this counts no more */
};

struct computer {
    struct replica_row row;
    int64_t cert_days; /* left of its certificate */
    msec_t bundle_taken, bundle_given; /* 0: never */
    uint64_t repairs, ours; /* rows that it found to differ; of these, ours were wrong */
    msec_t repaired_at;     /* when the last was noted; 0: none */
};

struct status_job {
    struct write_job job;
    struct daemon *daemon;
    struct control_call *call;
    bool json;
    struct buf replicas; /* struct computer, by site and k */
    struct buf offices;  /* struct office */
    struct buf streams;  /* an array, as JSON */
    struct city_blob_counts blobs;
    uint64_t kept_aside; /* acts */
    struct city_recovery recovery;
    msec_t backup_at; /* when a copy was last known equal to the store; 0: never */
};

/* ---- on the writer's thread ---- */

struct reading {
    struct city *city;
    struct status_job *into;
    msec_t now;
};

/* One that was enrolled by an older version has no record of its certificate before it renews it. */
static int64_t days_left(const struct reading *reading, const struct replica_row *r)
{
    struct city_cert cert = {.not_after = r->enrolled_at + CERT_DAYS * CERT_DAY_MS};

    (void)city_cert_get(reading->city, r, &cert, NULL); /* unread, it is shown as it was enrolled */
    return cert_days_left(cert.not_after, reading->now);
}

static int read_bundle(const struct reading *reading, const struct replica_row *r,
                       struct computer *c)
{
    struct city_bundle b = {.at = 0};
    int ret = city_bundle_get(reading->city, r, NULL, &b, NULL);

    c->bundle_taken = b.at;
    c->bundle_given = b.given_at;
    return ret == E_NOTFOUND ? 0 : ret;
}

static int take_replica(void *ctx, const struct replica_row *r)
{
    struct reading *reading = ctx;
    struct computer c = {.row = *r, .cert_days = days_left(reading, r)};
    struct buf *rows = &reading->into->replicas;
    int ret = city_repairs(city_store(reading->city), &r->id, &c.repairs, &c.ours, &c.repaired_at,
                           NULL);

    if (ret == 0)
        ret = read_bundle(reading, r, &c);
    buf_put(rows, &c, sizeof c);
    return ret != 0 ? ret : rows->ret;
}

static int take_office(void *ctx, struct row *row)
{
    struct reading *reading = ctx;
    struct buf *rows = &reading->into->offices;
    struct slice code = row_text(row, "code"), name = row_text(row, "name");
    struct office o = {.code = 0};
    int64_t number;

    if (text_int(code, &number) != 0 || number < 0 || number > UINT32_MAX)
        return 0; /* no replica can be of it */
    o.code = (uint32_t)number;
    o.unsynced = (msec_t)city_setting(reading->city, "unsynced_days", o.code) * DAY_MS;
    (void)snprintf(o.name, sizeof o.name, "%.*s", (int)name.len, (const char *)name.p);
    buf_put(rows, &o, sizeof o);
    return rows->ret;
}

static int put_stream(void *ctx, const struct stream_head *h)
{
    struct json *j = ctx;
    char hash[2 * HASH_SIZE + 1], name[16];

    hex_encode(h->hash, HASH_SIZE, hash);
    (void)snprintf(name, sizeof name, "%u", h->stream);
    json_object(j);
    json_kv_str(j, "name",
                h->stream == STREAM_SHARED ? "shared" : h->stream == STREAM_CITY ? "city" : name);
    json_kv_uint(j, "stream", h->stream);
    json_kv_uint(j, "seq", h->seq);
    json_kv_str(j, "hash", hash);
    json_object_end(j);
    return 0;
}

/* The word that `ztcd backup` leaves: milliseconds first. */
static msec_t read_backup(const char *path)
{
    FILE *f = fopen(path, "re");
    unsigned long long at = 0;

    if (f == NULL)
        return 0;
    if (fscanf(f, "%llu", &at) != 1)
        at = 0;
    (void)fclose(f); /* it was only read */
    return at;
}

static int run_status(struct write_job *job, struct city *city, struct err *err)
{
    struct status_job *s = (struct status_job *)job;
    struct reading reading = {.city = city, .into = s, .now = daemon_clock()};
    struct json j;
    int ret = city_replica_each(city, take_replica, &reading, err);

    if (ret == 0)
        ret = store_row_each(city_store(city), catalogue_kind_named("site"), take_office, &reading,
                             err);
    json_init(&j, &s->streams);
    json_array(&j);
    if (ret == 0)
        ret = store_stream_each(city_store(city), put_stream, &j, err);
    json_array_end(&j);
    if (ret == 0)
        ret = city_blob_count(city_store(city), NULL, &s->blobs, err);
    if (ret == 0)
        ret = city_quarantine_count(city, &s->kept_aside, err);
    if (ret == 0)
        ret = city_recovery(city, &s->recovery, err);
    s->backup_at = read_backup(s->daemon->o->backup_path);
    return ret;
}

/* ---- on the loop: replicas and offices ---- */

static const struct computer *computers(const struct status_job *s, size_t *ret_n)
{
    *ret_n = s->replicas.len / sizeof(struct computer);
    return (const struct computer *)(const void *)s->replicas.p;
}

static const struct office *office_rows(const struct status_job *s, size_t *ret_n)
{
    *ret_n = s->offices.len / sizeof(struct office);
    return (const struct office *)(const void *)s->offices.p;
}

static msec_t age_of(const struct replica_row *r)
{
    msec_t now = daemon_clock();

    return now > r->seen_at ? now - r->seen_at : 0;
}

/* How long ago, for people. */
static void put_age(struct buf *out, const struct replica_row *r)
{
    unsigned long long minutes = age_of(r) / 60000;

    if (r->seen_at == 0)
        buf_printf(out, "从未报告");
    else if (minutes < 1)
        buf_printf(out, "刚刚报告");
    else if (minutes < 60)
        buf_printf(out, "%llu 分钟前报告", minutes);
    else if (minutes < 48 * 60)
        buf_printf(out, "%llu 小时前报告", minutes / 60);
    else
        buf_printf(out, "%llu 天前报告", minutes / (24 * 60));
}

/* Whether R may be counted on for 已全部上传 of its office; why not goes to WHY. */
static bool is_complete(const struct office *o, const struct replica_row *r, struct buf *why)
{
    bool fresh = r->seen_at != 0 && age_of(r) <= o->unsynced;

    if (fresh && statement_complete(&r->said))
        return true;
    if (why->len > 0)
        buf_printf(why, "；");
    buf_printf(why, "第%u台", r->k);
    if (fresh)
        statement_why(&r->said, why);
    else
        put_age(why, r);
    return false;
}

struct office_word {
    unsigned computers; /* in use */
    bool complete;      /* every one of them said so */
    struct buf why;     /* not, for people */
};

static void judge_office(const struct status_job *s, const struct office *o,
                         struct office_word *ret)
{
    size_t n;
    const struct computer *rows = computers(s, &n);

    *ret = (struct office_word){.complete = true};
    buf_init(&ret->why, STATUS_MAX);
    for (size_t i = 0; i < n; i++) {
        if (rows[i].row.site != o->code || rows[i].row.state != REPLICA_ACTIVE)
            continue;
        ret->computers++;
        if (!is_complete(o, &rows[i].row, &ret->why))
            ret->complete = false;
    }
}

static void json_offices(struct json *j, const struct status_job *s)
{
    size_t n;
    const struct office *rows = office_rows(s, &n);

    json_key(j, "sites");
    json_array(j);
    for (size_t i = 0; i < n; i++) {
        struct office_word word;
        char code[16];

        judge_office(s, &rows[i], &word);
        (void)snprintf(code, sizeof code, "%06u", rows[i].code);
        json_object(j);
        json_kv_str(j, "code", code);
        json_kv_str(j, "name", rows[i].name);
        json_kv_uint(j, "computers", word.computers);
        json_key(j, "complete");
        if (word.computers == 0)
            json_null(j);
        else
            json_bool(j, word.complete);
        json_kv_str(j, "why", word.complete ? NULL : buf_cstr(&word.why));
        json_object_end(j);
        buf_release(&word.why);
    }
    json_array_end(j);
}

static void json_said(struct json *j, const struct replica_row *r)
{
    json_key(j, "said");
    if (r->seen_at == 0) {
        json_null(j);
        return;
    }
    json_object(j);
    json_kv_uint(j, "n", r->said.own_n);
    json_kv_uint(j, "acked_n", r->said.acked_n);
    json_kv_uint(j, "waiting", r->said.waiting);
    json_kv_uint(j, "refused", r->said.refused);
    json_kv_uint(j, "attachments", r->said.attachments);
    json_kv_bool(j, "complete", statement_complete(&r->said));
    json_kv_uint(j, "age_s", age_of(r) / 1000);
    json_object_end(j);
}

static const char *const replica_states[] = {"active", "retired", "lost"};
static const char *const replica_labels[] = {"在用", "已停用", "已遗失"};

static void json_cause(struct json *j, int cause)
{
    json_kv_str(j, "cause", cause == 0 ? NULL : err_code(cause));
    json_kv_str(j, "why", cause == 0 ? NULL : err_text(cause));
}

static void json_session(struct json *j, const struct daemon *d, const struct id *replica)
{
    struct sync_session open;
    struct sync_ending end;

    json_key(j, "session");
    if (sync_port_session(d->sync, replica, &open)) {
        json_object(j);
        json_kv_str(j, "state", server_state_name(open.state));
        json_cause(j, open.hold);
        json_kv_uint(j, "since", open.since);
        json_kv_uint(j, "progress_at", open.progress_at);
        json_object_end(j);
    } else {
        json_null(j);
    }
    json_key(j, "last_end");
    if (sync_port_ending(d->sync, replica, &end)) {
        json_object(j);
        json_cause(j, end.cause);
        json_kv_uint(j, "at", end.at);
        json_object_end(j);
    } else {
        json_null(j);
    }
}

static const char *session_words(enum server_state state)
{
    switch (state) {
    case SERVER_WAITING:
    case SERVER_GREETING:
    case SERVER_ADMITTING:
        return "正在核对身份";
    case SERVER_RENEW_ONLY:
        return "正在换证书";
    case SERVER_FORKED:
        return "身份重复，正在换身份";
    case SERVER_REFILLING:
        return "正在交回市级缺少的内容";
    case SERVER_SERVING:
        return "在线";
    case SERVER_CLOSING:
    case SERVER_CLOSED:
        break;
    }
    return "正在断开";
}

static void text_session(struct buf *out, const struct daemon *d, const struct replica_row *r)
{
    const struct id *replica = &r->id;
    struct sync_session open;
    struct sync_ending end;
    char since[CAL_MINUTE_SIZE], moved[CAL_MINUTE_SIZE];

    if (sync_port_session(d->sync, replica, &open)) {
        cal_format_minute(open.since, since);
        cal_format_minute(open.progress_at, moved);
        buf_printf(out, "    %s，自 %s，最近进展 %s", session_words(open.state), since, moved);
        if (open.hold != 0)
            buf_printf(out, "，暂不接收上传：%s %s", err_code(open.hold), err_text(open.hold));
        buf_u8(out, '\n');
    } else if (sync_port_ending(d->sync, replica, &end)) {
        cal_format_minute(end.at, since);
        buf_printf(out, "    未连接，自 %s", since);
        if (end.cause != 0)
            buf_printf(out, "，%s %s", err_code(end.cause), err_text(end.cause));
        buf_u8(out, '\n');
    } else if (r->state == REPLICA_ACTIVE) {
        cal_format_minute(d->started, since);
        buf_printf(out, "    未连接，服务 %s 启动以来没有来过\n", since);
    }
}

static void json_replica(struct json *j, const struct daemon *d, const struct computer *c)
{
    const struct replica_row *r = &c->row;
    char id[ID_TEXT_SIZE], predecessor[ID_TEXT_SIZE];

    id_format(&r->id, id);
    id_format(&r->predecessor_id, predecessor);
    json_object(j);
    json_kv_str(j, "id", id);
    json_kv_uint(j, "site", r->site);
    json_kv_uint(j, "k", r->k);
    json_kv_str(j, "predecessor", r->predecessor != 0 ? predecessor : NULL);
    json_kv_str(j, "state", replica_states[r->state]);
    json_kv_uint(j, "accepted_n", r->accepted_n);
    json_kv_uint(j, "enrolled_at", r->enrolled_at);
    json_kv_uint(j, "seen_at", r->seen_at);
    json_kv_int(j, "skew_ms", r->skew_ms);
    json_said(j, r);
    json_kv_str(j, "software", r->software);
    json_kv_int(j, "cert_days_left", c->cert_days);
    json_kv_uint(j, "bundle_taken", c->bundle_taken);
    json_kv_uint(j, "bundle_given", c->bundle_given);
    json_kv_uint(j, "repairs", c->repairs);
    json_kv_uint(j, "repairs_against_us", c->ours);
    json_kv_uint(j, "repaired_at", c->repaired_at);
    json_session(j, d, &r->id);
    json_object_end(j);
}

static void json_replicas(struct json *j, const struct status_job *s)
{
    size_t n;
    const struct computer *rows = computers(s, &n);

    json_key(j, "replicas");
    json_array(j);
    for (size_t i = 0; i < n; i++)
        json_replica(j, s->daemon, &rows[i]);
    json_array_end(j);
}

static void text_repairs(struct buf *out, const struct computer *c)
{
    char at[CAL_MINUTE_SIZE];

    if (c->repairs == 0)
        return;
    cal_format_minute(c->repaired_at, at);
    buf_printf(out, "    核对修复 %llu 条，最近 %s", (unsigned long long)c->repairs, at);
    if (c->ours > 0)
        buf_printf(out, "；其中 %llu 条是市级的表与记录不符，请运行 ztcd verify",
                   (unsigned long long)c->ours);
    buf_u8(out, '\n');
}

static void put_bundle(struct buf *out, const char *what, msec_t at)
{
    char text[CAL_MINUTE_SIZE];

    if (at == 0)
        return;
    cal_format_minute(at, text);
    buf_printf(out, "，%s %s", what, text);
}

static void text_replica(struct buf *out, const struct daemon *d, const struct computer *c)
{
    const struct replica_row *r = &c->row;
    const struct statement *said = &r->said;
    char id[ID_TEXT_SIZE];

    id_format(&r->id, id);
    buf_printf(out, "  第%u台 %s %s，", r->k, id, replica_labels[r->state]);
    if (r->seen_at != 0)
        buf_printf(out, "本机 %llu，已答复 %llu，待上传 %llu，未接受 %llu，附件 %llu，",
                   (unsigned long long)said->own_n, (unsigned long long)said->acked_n,
                   (unsigned long long)said->waiting, (unsigned long long)said->refused,
                   (unsigned long long)said->attachments);
    put_age(out, r);
    if (r->state == REPLICA_ACTIVE)
        buf_printf(out, "，证书还有 %lld 天", (long long)c->cert_days);
    if (r->predecessor != 0) {
        id_format(&r->predecessor_id, id);
        buf_printf(out, "，由 %s 换身份而来", id);
    }
    put_bundle(out, "最近导入摆渡包", c->bundle_taken);
    put_bundle(out, "最近导出摆渡包", c->bundle_given);
    buf_u8(out, '\n');
    text_session(out, d, r);
    text_repairs(out, c);
}

static void text_office(struct buf *out, const struct status_job *s, const struct office *o)
{
    size_t n;
    const struct computer *rows = computers(s, &n);
    struct office_word word;

    judge_office(s, o, &word);
    if (word.computers == 0)
        buf_printf(out, "%s（%06u）：没有在用的计算机\n", o->name, o->code);
    else if (word.complete)
        buf_printf(out, "%s（%06u）：已全部上传\n", o->name, o->code);
    else
        buf_printf(out, "%s（%06u）：尚未全部上传（%s）\n", o->name, o->code, buf_cstr(&word.why));
    for (size_t i = 0; i < n; i++) {
        if (rows[i].row.site == o->code)
            text_replica(out, s->daemon, &rows[i]);
    }
    buf_release(&word.why);
}

/* Offices that never had a computer are left out. */
static void text_offices(struct buf *out, const struct status_job *s)
{
    size_t n, n_replicas;
    const struct office *offices = office_rows(s, &n);
    const struct computer *replicas = computers(s, &n_replicas);

    for (size_t i = 0; i < n; i++) {
        bool any = false;

        for (size_t k = 0; k < n_replicas; k++)
            any = any || replicas[k].row.site == offices[i].code;
        if (any)
            text_office(out, s, &offices[i]);
    }
}

/* ---- on the loop: the daemon ---- */

static void put_refused(struct json *j, const char *key, const uint64_t refused[REFUSED_CODES])
{
    json_key(j, key);
    json_object(j);
    for (int i = 1; i < REFUSED_CODES; i++) {
        if (refused[i] > 0)
            json_kv_uint(j, err_code(-i), refused[i]);
    }
    json_object_end(j);
}

static void put_store(struct json *j, struct daemon *d)
{
    struct writer_status w;

    writer_status(d->writer, &w);
    json_key(j, "store");
    json_object(j);
    json_kv_str(j, "state", w.refused ? "refused" : "ok");
    json_kv_str(j, "code", w.refused ? err_code(w.cause.ret) : NULL);
    json_kv_str(j, "cause", w.refused ? w.cause.text : NULL);
    if (w.refused)
        json_kv_uint(j, "since", w.since);
    json_kv_uint(j, "groups", w.groups);
    json_kv_uint(j, "changes", w.changes);
    json_kv_uint(j, "failures", w.failures);
    json_kv_uint(j, "queued", w.queued_jobs);
    json_object_end(j);
}

static void put_counts(struct json *j, struct daemon *d)
{
    struct sync_port_counts s;
    struct enrol_counts e;

    sync_port_counts(d->sync, &s);
    enrol_port_counts(d->enrol, &e);
    json_kv_uint(j, "sessions", s.sessions);
    json_kv_uint(j, "serving", s.serving);
    json_kv_uint(j, "sessions_opened", s.opened);
    put_refused(j, "refused", s.refused);
    json_kv_uint(j, "enrolled", e.enrolled);
    put_refused(j, "enrolments_refused", e.refused);
    json_kv_str(j, "last_error", s.last.ret != 0 ? s.last.text : NULL);
}

static void put_authorities(struct json *j, const struct authorities *a)
{
    msec_t now = daemon_clock();

    json_key(j, "authorities");
    json_array(j);
    for (unsigned i = 0; i < a->n; i++) {
        uint8_t print[HASH_SIZE];
        char hex[2 * HASH_SIZE + 1];

        cert_fingerprint(a->at[i].ca, print);
        hex_encode(print, HASH_SIZE, hex);
        json_object(j);
        json_kv_uint(j, "generation", a->at[i].generation);
        json_kv_str(j, "fingerprint", hex);
        json_kv_int(j, "days_left", cert_days_left(cert_not_after(a->at[i].ca), now));
        json_kv_int(j, "server_days_left", cert_days_left(cert_not_after(a->at[i].server), now));
        json_object_end(j);
    }
    json_array_end(j);
}

/* What somebody has to do about them; nothing as a rule. */
static void text_authorities(struct buf *out, const struct authorities *a)
{
    long long days = cert_days_left(cert_not_after(a->at[0].ca), daemon_clock());

    if (a->n > 1)
        buf_printf(out, "新旧根证书并用：全部计算机换上新证书后，用 ztcd ca drop-old 停用旧的\n");
    if (days < AUTHORITY_DAYS)
        buf_printf(out, "根证书还有 %lld 天，请用 ztcd ca rotate 更换\n", days);
}

static msec_t backup_age(const struct status_job *s)
{
    msec_t now = daemon_clock();

    return now > s->backup_at ? now - s->backup_at : 0;
}

static void put_recovery(struct json *j, const struct status_job *s)
{
    const struct city_recovery *r = &s->recovery;

    json_kv_bool(j, "recovering", r->on);
    json_key(j, "refill");
    json_object(j);
    json_kv_uint(j, "taken", r->taken);
    json_kv_uint(j, "late", r->late);
    json_kv_uint(j, "refused", r->refused);
    json_kv_str(j, "refused_why", r->refused > 0 ? r->refused_text : NULL);
    json_object_end(j);
    json_key(j, "backup_age_s");
    if (s->backup_at == 0)
        json_null(j);
    else
        json_uint(j, backup_age(s) / 1000);
}

static void text_recovery(struct buf *out, const struct status_job *s)
{
    const struct city_recovery *r = &s->recovery;

    if (r->on)
        buf_printf(out, "%s：%s，暂不接收更改，ztcd recover 显示进展\n", err_code(E_RECOVERING), r->why);
    if (r->refused > 0)
        buf_printf(out, "交回的内容有 %llu 次校验不过，没有采用：%s\n", (unsigned long long)r->refused,
                   r->refused_text);
    if (s->backup_at == 0)
        buf_printf(out, "从未备份\n");
    else
        buf_printf(out, "备份：%llu 分钟前\n", (unsigned long long)(backup_age(s) / 60000));
}

static void put_status(struct json *j, struct status_job *s)
{
    struct daemon *d = s->daemon;
    struct id incarnation = s->recovery.incarnation;
    struct id ledger = city_ledger(d->o->city);
    char id[ID_TEXT_SIZE];

    json_object(j);
    id_format(&incarnation, id);
    json_kv_str(j, "incarnation", id);
    id_format(&ledger, id);
    json_kv_str(j, "ledger", id);
    json_kv_str(j, "listen", d->listen);
    json_kv_str(j, "enrol_listen", d->enrol_listen);
    json_kv_str(j, "version", ZTC_VERSION);
    json_kv_uint(j, "started", d->started);
    put_authorities(j, d->authorities);
    json_offices(j, s);
    json_replicas(j, s);
    json_key(j, "streams");
    json_raw(j, buf_slice(&s->streams));
    json_kv_uint(j, "blobs_pending", s->blobs.waiting);
    json_kv_uint(j, "blobs_lost", s->blobs.lost);
    json_kv_uint(j, "kept_aside", s->kept_aside);
    put_recovery(j, s);
    put_counts(j, d);
    put_store(j, d);
    json_object_end(j);
    buf_u8(j->out, '\n');
}

/* For people: who is here and whether all is well. */
static void put_text(const struct status_job *s, struct buf *out)
{
    struct daemon *d = s->daemon;
    struct sync_port_counts sync;
    struct writer_status w;

    sync_port_counts(d->sync, &sync);
    writer_status(d->writer, &w);
    buf_printf(out, "市级服务正在运行\n同步端口：%s\n接入端口：%s\n", d->listen, d->enrol_listen);
    buf_printf(out, "在线计算机：%zu\n", sync.serving);
    if (w.refused)
        buf_printf(out, "数据库暂不可写：%s %s\n", err_code(w.cause.ret), w.cause.text);
    else
        buf_printf(out, "数据库正常，已合并 %llu 项更改\n", (unsigned long long)w.changes);
    if (s->blobs.waiting + s->blobs.lost > 0)
        buf_printf(out, "附件：待收到 %llu，已丢失 %llu\n", (unsigned long long)s->blobs.waiting,
                   (unsigned long long)s->blobs.lost);
    if (s->kept_aside > 0)
        buf_printf(out, "暂存待核准：%llu 次操作，请看 ztcd quarantine list\n",
                   (unsigned long long)s->kept_aside);
    text_recovery(out, s);
    text_authorities(out, d->authorities);
    text_offices(out, s);
}

static void status_done(struct write_job *job)
{
    struct status_job *s = (struct status_job *)job;
    struct buf out;
    struct json j;

    buf_init(&out, STATUS_MAX);
    json_init(&j, &out);
    if (job->ret == 0 && s->daemon->sync != NULL && s->json)
        put_status(&j, s);
    else if (job->ret == 0 && s->daemon->sync != NULL)
        put_text(s, &out);
    daemon_answer(s->call, job->ret, &job->err, &out, NULL);
    buf_release(&out);
    buf_release(&s->replicas);
    buf_release(&s->offices);
    buf_release(&s->streams);
    mem_free(s);
}

void daemon_status(struct daemon *d, struct control_call *call, bool json)
{
    struct status_job *s = mem_calloc(1, sizeof *s);

    if (s == NULL) {
        daemon_answer_error(call, E_NOMEM, "");
        return;
    }
    s->job = (struct write_job){.run = run_status, .done = status_done, .reads = true};
    s->daemon = d;
    s->call = call;
    s->json = json;
    buf_init(&s->replicas, STATUS_MAX);
    buf_init(&s->offices, STATUS_MAX);
    buf_init(&s->streams, STATUS_MAX);
    writer_submit(d->writer, &s->job);
}
