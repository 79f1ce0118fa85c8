/* How the city stands: its store, its streams, and every computer that keeps in step with it.
 *
 * The rows are read on the writer's thread and printed on the loop, where the sessions are. */
#include "server/net/daemon_internal.h"

#include "common/base/hex.h"
#include "common/base/json.h"
#include "common/base/mem.h"

#include <stdio.h>

#define STATUS_MAX (32u << 20)

struct status_job {
    struct write_job job;
    struct daemon *daemon;
    struct control_call *call;
    bool json;
    struct buf replicas, sites, streams; /* arrays, as JSON */
    struct buf text;                     /* the replicas, for people */
};

static const char *const replica_states[] = {"active", "retired", "lost"};
static const char *const replica_labels[] = {"在用", "已停用", "已遗失"};

struct replica_out {
    struct city *city;
    msec_t now;
    struct json json;
    struct buf *text;
};

/* One that was enrolled by an older version has no record of its certificate before it renews it. */
static int64_t days_left(const struct replica_out *out, const struct replica_row *r)
{
    struct city_cert cert = {.not_after = r->enrolled_at + CERT_DAYS * CERT_DAY_MS};

    (void)city_cert_get(out->city, r, &cert, NULL); /* what cannot be read is shown as it was enrolled */
    return cert_days_left(cert.not_after, out->now);
}

static int put_replica(void *ctx, const struct replica_row *r)
{
    struct replica_out *out = ctx;
    struct json *j = &out->json;
    char id[ID_TEXT_SIZE], seen[CAL_MINUTE_SIZE] = "从未连接";
    int64_t days = days_left(out, r);

    if (r->seen_at != 0)
        cal_format_minute(r->seen_at, seen);
    id_format(&r->id, id);
    buf_printf(out->text, "%u 第%u台 %s %s %s", r->site, r->k, id, replica_labels[r->state], seen);
    if (r->state == REPLICA_ACTIVE)
        buf_printf(out->text, " 证书还有 %lld 天", (long long)days);
    buf_u8(out->text, '\n');
    json_object(j);
    json_kv_str(j, "id", id);
    json_kv_uint(j, "site", r->site);
    json_kv_uint(j, "k", r->k);
    json_kv_str(j, "state", replica_states[r->state]);
    json_kv_uint(j, "accepted_n", r->accepted_n);
    json_kv_uint(j, "enrolled_at", r->enrolled_at);
    json_kv_uint(j, "seen_at", r->seen_at);
    json_kv_int(j, "skew_ms", r->skew_ms);
    json_kv_uint(j, "said_n", r->said_n);
    json_kv_uint(j, "said_waiting", r->said_waiting);
    json_kv_str(j, "software", r->software);
    json_kv_int(j, "cert_days_left", days);
    json_object_end(j);
    return 0;
}

static int put_site(void *ctx, struct row *row)
{
    struct json *j = ctx;

    json_object(j);
    json_key(j, "code");
    json_text(j, row_text(row, "code"));
    json_key(j, "name");
    json_text(j, row_text(row, "name"));
    json_object_end(j);
    return 0;
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

static int run_status(struct write_job *job, struct city *city, struct err *err)
{
    struct status_job *s = (struct status_job *)job;
    struct replica_out out = {.city = city, .now = daemon_clock(), .text = &s->text};
    struct json j;
    int ret;

    json_init(&out.json, &s->replicas);
    json_array(&out.json);
    ret = city_replica_each(city, put_replica, &out, err);
    json_array_end(&out.json);
    json_init(&j, &s->sites);
    json_array(&j);
    if (ret == 0)
        ret = store_row_each(city_store(city), catalogue_kind_named("site"), put_site, &j, err);
    json_array_end(&j);
    json_init(&j, &s->streams);
    json_array(&j);
    if (ret == 0)
        ret = store_stream_each(city_store(city), put_stream, &j, err);
    json_array_end(&j);
    return ret;
}

static void put_raw(struct json *j, const char *key, const struct buf *b)
{
    json_key(j, key);
    json_raw(j, buf_slice(b));
}

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

static void put_status(struct json *j, struct status_job *s)
{
    struct daemon *d = s->daemon;
    struct id incarnation = city_incarnation(d->o->city);
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
    put_raw(j, "sites", &s->sites);
    put_raw(j, "replicas", &s->replicas);
    put_raw(j, "streams", &s->streams);
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
    buf_put(out, s->text.p, s->text.len);
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
    buf_release(&s->sites);
    buf_release(&s->streams);
    buf_release(&s->text);
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
    buf_init(&s->sites, STATUS_MAX);
    buf_init(&s->streams, STATUS_MAX);
    buf_init(&s->text, STATUS_MAX);
    writer_submit(d->writer, &s->job);
}
