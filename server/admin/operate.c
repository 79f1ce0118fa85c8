/* Making a city, serving it, asking and stopping the daemon, proving the ledger. */
#include "server/admin/admin.h"
#include "server/admin/commands.h"
#include "server/admin/home_ca.h"

#include "common/blob/files.h"
#include "common/base/json.h"
#include "server/store/city_blob.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define STOP_WITHIN_MS  15000
#define START_WITHIN_MS 5000
#define LOCK_LOOK_MS    20
#define LINE_BYTES      4096
#define LIST_BYTES      (256u << 20)

static const char *setting_of(const struct home *h, const char *name)
{
    return conf_text(&h->conf, "ztcd", name);
}

static int print_init(const struct home *h, const struct args *a)
{
    struct buf b;
    struct json j;

    buf_init(&b, LINE_BYTES * 4);
    json_init(&j, &b);
    if (a->json) {
        json_object(&j);
        json_kv_str(&j, "dir", h->dir);
        json_kv_str(&j, "listen", setting_of(h, "listen"));
        json_kv_str(&j, "enrol_listen", setting_of(h, "enrol_listen"));
        json_object_end(&j);
        buf_u8(&b, '\n');
    } else {
        buf_printf(&b, "已建立市级数据：%s\n同步端口 listen=%s\n接入端口 enrol_listen=%s\n", h->dir,
                   setting_of(h, "listen"), setting_of(h, "enrol_listen"));
    }
    (void)fputs(buf_cstr(&b), a->out); /* checked at the end of main */
    buf_release(&b);
    return 0;
}

int cmd_init(const struct args *a, struct err *err)
{
    struct home_new n = {.listen = args_text(a, OPT_LISTEN),
                         .enrol_listen = args_text(a, OPT_ENROL_LISTEN),
                         .term = args_text(a, OPT_TERM),
                         .hash = args_text(a, OPT_HASH)};
    struct home h;
    int ret = home_init(&h, args_text(a, OPT_DIR), err);

    if (ret == 0)
        ret = home_create(&h, &n, daemon_clock(), err);
    if (ret == 0)
        ret = print_init(&h, a);
    home_release(&h);
    return ret;
}

/* ---- the lock ---- */

/* The lock once it is free, at most WITHIN_MS from now; HOPELESS (may be NULL) ends the wait. */
static int lock_within(const struct home *h, unsigned within_ms,
                       bool (*hopeless)(const struct home *h), int *ret_lock, struct err *err)
{
    struct timespec pause = {.tv_nsec = LOCK_LOOK_MS * 1000000L};
    int ret = home_lock(h, ret_lock, err);

    for (unsigned waited = 0; ret == E_BUSY && waited < within_ms; waited += LOCK_LOOK_MS) {
        if (hopeless != NULL && hopeless(h))
            break;
        (void)nanosleep(&pause, NULL); /* woken early, it looks early */
        ret = home_lock(h, ret_lock, err);
    }
    if (ret == 0)
        err->text[0] = '\0'; /* of the attempts */
    return ret;
}

/* A daemon answers: it will not let go of the directory. */
static bool is_served(const struct home *h)
{
    int fd;

    if (home_control(h, &fd, NULL) != 0)
        return false;
    (void)close(fd);
    return true;
}

/* ---- serving ---- */

static int read_authorities(void *ctx, struct authorities **ret, struct err *err)
{
    return home_ca_load(ctx, ret, err);
}

static int serve(struct home *h, struct city *city, struct err *err)
{
    char listen[HOST_MAX], enrol[HOST_MAX];
    struct home_path store, blobs, control, backup;
    struct daemon_options o = {.city = city,
                               .store_path = home_file(h, "city.db", &store),
                               .backup_path = home_file(h, "backup", &backup),
                               .blobs_path = home_file(h, "blobs", &blobs),
                               .vault = &h->vault,
                               .server_key = h->server_key,
                               .log_key = h->log_key,
                               .listen_host = listen,
                               .enrol_host = enrol,
                               .advertise = setting_of(h, "advertise"),
                               .control_path = home_file(h, "control.sock", &control),
                               .deed = deed_run,
                               .deed_is_alone = deed_is_alone,
                               .authorities = read_authorities,
                               .deed_ctx = h};
    int ret = home_split(setting_of(h, "listen"), listen, &o.listen_port, err);

    if (ret == 0)
        ret = home_split(setting_of(h, "enrol_listen"), enrol, &o.enrol_port, err);
    if (ret == 0)
        ret = blob_folder(o.blobs_path, err);
    return ret != 0 ? ret : daemon_run(&o, err);
}

int cmd_run(const struct args *a, struct err *err)
{
    struct city *city = NULL;
    struct home h;
    int lock = -1, ret = home_init(&h, args_text(a, OPT_DIR), err);

    if (ret == 0 && !home_exists(&h))
        ret = err_set(err, E_NOTFOUND, "%s 中没有市级数据，请先运行 ztcd init", h.dir);
    if (ret == 0) /* a short command lets go of it in a moment */
        ret = lock_within(&h, START_WITHIN_MS, is_served, &lock, err);
    if (ret == 0)
        ret = home_load(&h, err);
    if (ret == 0)
        ret = home_open_own(&h, daemon_clock(), &city, err);
    if (ret == 0)
        ret = serve(&h, city, err);
    city_close(city);
    home_release(&h);
    if (lock >= 0)
        (void)close(lock); /* last: who waits for it finds everything closed */
    return ret;
}

/* ---- asking ---- */

int cmd_status(const struct args *a, struct err *err)
{
    struct home h;
    int ret = home_init(&h, args_text(a, OPT_DIR), err);

    if (ret == 0)
        ret = ask_simple(&h, a, "status", err);
    home_release(&h);
    return ret;
}

static int wait_for_lock(const struct home *h, struct err *err)
{
    int lock, ret = lock_within(h, STOP_WITHIN_MS, NULL, &lock, err);

    if (ret == 0)
        (void)close(lock);
    return ret == E_BUSY ? err_set(err, E_TIMEOUT, "市级服务没有按时停止") : ret;
}

int cmd_stop(const struct args *a, struct err *err)
{
    struct home h;
    int ret = home_init(&h, args_text(a, OPT_DIR), err);

    if (ret == 0)
        ret = ask_simple(&h, a, "stop", err);
    if (ret == 0)
        ret = wait_for_lock(&h, err);
    if (ret == 0 && !a->json)
        (void)fprintf(a->out, "市级服务已停止\n");
    home_release(&h);
    return ret;
}

/* ---- the store beside a running daemon: only read ---- */

static int with_city(const struct args *a, int (*use)(struct city *c, const struct args *a,
                                                      struct err *err),
                     struct err *err)
{
    struct city *city = NULL;
    struct home h;
    int ret = home_init(&h, args_text(a, OPT_DIR), err);

    if (ret == 0)
        ret = home_load(&h, err);
    if (ret == 0)
        ret = home_open_city(&h, daemon_clock(), &city, err);
    if (ret == 0)
        ret = use(city, a, err);
    city_close(city);
    home_release(&h);
    return ret;
}

struct replica_list {
    const struct args *args;
    struct buf text;
    struct json json;
};

static int put_replica(void *ctx, const struct replica_row *r)
{
    static const char *const codes[] = {"active", "retired", "lost"};
    static const char *const labels[] = {"在用", "已停用", "已遗失"};
    struct replica_list *l = ctx;
    char id[ID_TEXT_SIZE], predecessor[ID_TEXT_SIZE], seen[CAL_MINUTE_SIZE] = "从未连接";

    id_format(&r->id, id);
    id_format(&r->predecessor_id, predecessor);
    if (r->seen_at != 0)
        cal_format_minute(r->seen_at, seen);
    if (!l->args->json) {
        buf_printf(&l->text, "%s %u 第%u台 %s 已收到 %llu 项更改 %s%s%s%s\n", id, r->site, r->k,
                   labels[r->state], (unsigned long long)r->accepted_n, seen,
                   r->predecessor != 0 ? "，由 " : "", r->predecessor != 0 ? predecessor : "",
                   r->predecessor != 0 ? " 换身份而来" : "");
        return 0;
    }
    json_object(&l->json);
    json_kv_str(&l->json, "id", id);
    json_kv_uint(&l->json, "site", r->site);
    json_kv_uint(&l->json, "k", r->k);
    json_kv_str(&l->json, "predecessor", r->predecessor != 0 ? predecessor : NULL);
    json_kv_str(&l->json, "state", codes[r->state]);
    json_kv_uint(&l->json, "accepted_n", r->accepted_n);
    json_kv_uint(&l->json, "enrolled_at", r->enrolled_at);
    json_kv_uint(&l->json, "seen_at", r->seen_at);
    json_kv_str(&l->json, "serial", r->serial);
    json_object_end(&l->json);
    return 0;
}

static int list_replicas(struct city *city, const struct args *a, struct err *err)
{
    struct replica_list l = {.args = a};
    int ret;

    buf_init(&l.text, 64u << 20);
    json_init(&l.json, &l.text);
    if (a->json)
        json_array(&l.json);
    ret = city_replica_each(city, put_replica, &l, err);
    if (a->json) {
        json_array_end(&l.json);
        buf_u8(&l.text, '\n');
    }
    if (ret == 0)
        ret = l.text.ret;
    if (ret == 0)
        (void)fputs(buf_cstr(&l.text), a->out); /* checked at the end of main */
    buf_release(&l.text);
    return ret;
}

int cmd_replica_list(const struct args *a, struct err *err)
{
    return with_city(a, list_replicas, err);
}

int cmd_quarantine_list(const struct args *a, struct err *err)
{
    return with_city(a, list_quarantine, err);
}

int cmd_recover(const struct args *a, struct err *err)
{
    return args_has(a, OPT_CLOSE) ? cmd_deed(a, err) : with_city(a, list_recovery, err);
}

/* ---- verify ---- */

struct kept_file {
    struct id attachment;
    uint8_t hash[HASH_SIZE];
};

static int add_kept(void *ctx, const struct city_blob *b)
{
    struct buf *list = ctx;
    struct kept_file file = {.attachment = b->attachment};

    if (b->state != CITY_BLOB_VERIFIED)
        return 0;
    memcpy(file.hash, b->hash, HASH_SIZE);
    buf_put(list, &file, sizeof file);
    return list->ret;
}

/* The files of attachments that are said to be here. Listed first: hashing them all takes long, and no read of
 * the store outlasts that. */
static int verify_files(struct city *city, const char *root, struct err *err)
{
    const struct kept_file *files;
    char id[ID_TEXT_SIZE] = "";
    struct buf list;
    size_t n, bad = 0;
    int ret;

    buf_init(&list, LIST_BYTES);
    ret = city_blob_each(city_store(city), NULL, true, add_kept, &list, err);
    files = (const struct kept_file *)(const void *)list.p;
    n = list.len / sizeof *files;
    for (size_t i = 0; ret == 0 && i < n; i++) {
        int found = blob_check(root, files[i].hash, err);

        if (found != 0 && found != E_NOTFOUND && found != E_CORRUPT)
            ret = found;
        if (found != 0 && bad++ == 0)
            id_format(&files[i].attachment, id);
    }
    buf_release(&list);
    if (ret != 0)
        return err->ret == ret ? ret : err_set(err, ret, NULL);
    return bad == 0 ? 0
                    : err_set(err, E_CORRUPT,
                              "%zu 个附件的文件不在或已损坏，第一个是 %s；请从备份的 blobs 目录补回，"
                              "或请县里重新添加", bad, id);
}

static int verify(struct city *city, const struct args *a, struct err *err)
{
    struct home_path blobs;
    struct home h;
    int ret = city_verify(city, err);

    if (ret == 0)
        ret = home_init(&h, args_text(a, OPT_DIR), err);
    if (ret == 0) {
        ret = verify_files(city, home_file(&h, "blobs", &blobs), err);
        home_release(&h);
    }
    if (ret == 0)
        (void)fprintf(a->out, a->json ? "{\"ok\":true}\n" : "全部数据流校验无误\n");
    return ret;
}

int cmd_verify(const struct args *a, struct err *err)
{
    return with_city(a, verify, err);
}
