/* attach, fetch: files with a record. */
#include "client/cmd/commands.h"
#include "client/net/agent.h"

#include "client/store/blobs.h"
#include "common/base/hex.h"
#include "common/base/log.h"
#include "common/blob/files.h"
#include "common/cmd/attached.h"
#include "common/crypto/hash.h"

#include <stdlib.h>
#include <string.h>

#define FILES_MAX      100u
#define FETCH_SECONDS  60u
#define SECONDS_MAX    86400u
#define LOOK_NS        20000000L

/* ---- how the bytes stand here ---- */

static int hash_of_row(const struct row *row, uint8_t ret[HASH_SIZE], struct err *err)
{
    struct slice hex = row_text(row, "hash");

    if (hex.len == 2 * HASH_SIZE && hex_decode((const char *)hex.p, hex.len, ret) == 0)
        return 0;
    return err_set(err, E_CORRUPT, "附件的摘要不对");
}

int work_attached(void *ctx, const struct row *row, enum attached_state *ret, int *ret_cause,
                  struct err *err)
{
    static const enum attached_state up[] = {ATTACHED_PENDING, ATTACHED_UPLOADED, ATTACHED_REFUSED,
                                             ATTACHED_LOST};
    struct work *w = ctx;
    uint8_t hash[HASH_SIZE];
    struct blob_row blob;
    uint64_t size;
    int status = replica_blob_get(w->home.replica, &row->id, BLOB_UP, &blob, err);

    if (status == 0) {
        *ret = up[blob.state];
        *ret_cause = blob.state == BLOB_REFUSED ? err_from_code(blob.code) : 0;
        return 0;
    }
    if (status != E_NOTFOUND)
        return status;
    *ret = hash_of_row(row, hash, NULL) == 0 && blob_size(w->home.blobs, hash, &size, NULL) == 0
               ? ATTACHED_HERE
               : ATTACHED_ELSEWHERE;
    *ret_cause = 0;
    return 0;
}

/* ---- attach ---- */

struct attaching {
    struct work *w;
    struct row *target;
    struct blob_info *infos;
    struct attached_file *files;
    struct draft *drafts;
    size_t n; /* of files; one more draft when the target lists its files */
};

/* With what is being attached. */
static int check_quota(struct attaching *t)
{
    struct work *w = t->w;
    uint64_t used = 0;
    int64_t most = 0;
    int ret = replica_setting(w->home.replica, "site_attachment_bytes", &most, w->err);

    if (ret == 0)
        ret = replica_blob_used(w->home.replica, &used, w->err);
    if (ret == 0 && used > (uint64_t)most)
        return err_set(w->err, E_QUOTA, NULL);
    return ret;
}

/* Copied in before anything is written: a file without a record is in nobody's way. */
static int take_files(struct attaching *t)
{
    struct work *w = t->w;
    struct random random = random_system();
    int64_t max = 0;
    int ret = replica_setting(w->home.replica, "attachment_bytes", &max, w->err);

    for (size_t i = 0; ret == 0 && i < t->n; i++) {
        struct blob_info *info = &t->infos[i];
        struct attached_file *f = &t->files[i];

        ret = blob_take(w->home.blobs, w->args->words[1 + i], (uint64_t)max, info, w->err);
        f->id = id_v7(work_now(), &random);
        memcpy(f->hash, info->hash, HASH_SIZE);
        f->size = info->size;
        f->mime = info->mime;
        f->name = info->name;
    }
    return ret;
}

static int make_drafts(struct attaching *t, size_t *ret_n)
{
    struct arena *a = t->w->args->arena;
    const struct field *list = attached_list(t->target->kind);
    struct draft *d = t->drafts;
    int ret = 0;

    for (size_t i = 0; ret == 0 && i < t->n; i++, d++) {
        *d = (struct draft){.kind = catalogue_kind_named("attachment"),
                            .record = t->files[i].id,
                            .op = OP_CREATE};
        ret = attached_fields(a, t->target, &t->files[i], &d->fields, &d->n_fields, t->w->err);
    }
    if (ret == 0 && list != NULL && list->owner != SIDE_CITY) {
        struct field_change *change = arena_alloc(a, sizeof *change);

        if (change == NULL)
            return err_set(t->w->err, E_NOMEM, NULL);
        ret = attached_added(a, t->files, t->n, list, change, t->w->err);
        *d++ = (struct draft){.kind = t->target->kind,
                              .record = t->target->id,
                              .op = OP_SET,
                              .fields = change,
                              .n_fields = 1};
    }
    *ret_n = (size_t)(d - t->drafts);
    return ret;
}

/* Records and what waits for the city: one transaction. */
static int write_all(struct attaching *t, size_t n_drafts)
{
    struct replica *r = t->w->home.replica;
    struct err *err = t->w->err, ignored;
    struct actor actor;
    int ret = work_actor(t->w, &actor);

    if (ret == 0)
        ret = replica_write_begin(r, err);
    if (ret != 0)
        return ret;
    ret = replica_write(r, t->w->args->arena, &actor.account, t->drafts, n_drafts, UINT64_MAX,
                        work_now(), err);
    for (size_t i = 0; ret == 0 && i < t->n; i++) {
        struct blob_row row = {
            .attachment = t->files[i].id, .way = BLOB_UP, .size = t->files[i].size};

        memcpy(row.hash, t->files[i].hash, HASH_SIZE);
        ret = replica_blob_want(r, &row, work_now(), err);
    }
    if (ret == 0)
        ret = check_quota(t);
    if (ret == 0)
        return replica_write_end(r, true, err);
    (void)replica_write_end(r, false, &ignored); /* the first failure is the one to tell */
    return ret;
}

static void tell(const struct attaching *t)
{
    const struct args *a = t->w->args;
    struct json j;
    struct buf b;
    char id[ID_TEXT_SIZE];

    buf_init(&b, FILES_MAX * 512u);
    json_init(&j, &b);
    json_array(&j);
    for (size_t i = 0; i < t->n; i++) {
        id_format(&t->files[i].id, id);
        json_object(&j);
        json_kv_str(&j, "id", id);
        json_kv_str(&j, "file_name", t->files[i].name);
        json_kv_uint(&j, "size", t->files[i].size);
        json_object_end(&j);
        if (!a->json)
            (void)fprintf(a->out, args_has(a, OPT_QUIET) ? "%s\n" : "%s %s\n", id,
                          t->files[i].name);
    }
    json_array_end(&j);
    if (a->json)
        (void)fprintf(a->out, "%s\n", buf_cstr(&b));
    buf_release(&b);
}

static int attach(struct work *w)
{
    struct attaching t = {.w = w, .n = w->args->n_words - 1};
    struct replica_facts f;
    size_t n = 0;
    int ret = work_record(w, w->args->words[0], &t.target);

    if (ret == 0)
        ret = replica_facts(w->home.replica, &f, w->err);
    if (ret == 0 && t.target->stream != 0 && t.target->stream != f.site)
        ret = err_set(w->err, E_OWNER, "只能给本单位的记录加附件");
    if (ret != 0)
        return ret;
    t.infos = arena_zalloc(w->args->arena, t.n * sizeof *t.infos);
    t.files = arena_zalloc(w->args->arena, t.n * sizeof *t.files);
    t.drafts = arena_zalloc(w->args->arena, (t.n + 1) * sizeof *t.drafts);
    if (t.infos == NULL || t.files == NULL || t.drafts == NULL)
        return err_set(w->err, E_NOMEM, NULL);
    ret = take_files(&t);
    if (ret == 0)
        ret = make_drafts(&t, &n);
    if (ret == 0)
        ret = write_all(&t, n);
    if (ret == 0)
        tell(&t);
    return ret;
}

int cmd_attach(const struct args *a, struct err *err)
{
    struct work w;
    int ret = work_open(&w, a, err);

    if (ret == 0)
        ret = attach(&w);
    work_close(&w);
    return ret;
}

/* ---- fetch ---- */

static int save(struct work *w, const struct row *row, const uint8_t hash[HASH_SIZE])
{
    const char *out = args_text(w->args, OPT_OUT);
    char name[BLOB_NAME_MAX + 1];
    int ret;

    ret = blob_name(w->home.blobs, hash, row_text(row, "file_name"), name, w->err);
    if (ret == 0)
        ret = blob_save(w->home.blobs, hash, out != NULL ? out : name, w->err);
    if (ret != 0)
        return ret;
    if (w->args->json)
        (void)fprintf(w->args->out, "{\"ok\":true}\n");
    else
        (void)fprintf(w->args->out, "已保存 %s\n", out != NULL ? out : name);
    return 0;
}

static int why_not(const struct blob_row *b, struct err *err)
{
    int ret = err_from_code(b->code);

    if (ret == E_DENIED)
        return err_set(err, ret, "市级不提供此附件");
    return err_set(err, ret, "取不到附件：%s", err_text(ret));
}

/* Until it is here or cannot be had. A session of our own where no agent runs. */
static int wait_for(struct work *w, const struct row *row, uint64_t seconds)
{
    struct timespec pause = {.tv_nsec = LOOK_NS};
    struct blob_part part = {.owner = 0};
    uint64_t had = 0, has;
    msec_t until = work_now() + seconds * 1000;
    struct blob_row b;
    int ret;

    while ((ret = replica_blob_get(w->home.replica, &row->id, BLOB_DOWN, &b, w->err)) == 0) {
        if (b.state == BLOB_DONE)
            return 0;
        if (b.state != BLOB_WAITING)
            return why_not(&b, w->err);
        memcpy(part.hash, b.hash, HASH_SIZE);
        if (blob_part_size(w->home.blobs, &part, &has, NULL) == 0 && has > had)
            until = work_now() + seconds * 1000;
        had = has > had ? has : had;
        if (work_now() > until)
            return err_set(w->err, E_TIMEOUT, NULL);
        if (home_agent_runs(w->home.dir)) {
            (void)nanosleep(&pause, NULL); /* woken early, it looks early */
            continue;
        }
        ret = agent_sync(w->home.dir, seconds * 1000, w->err);
        if (ret == E_UNREACHABLE)
            return err_set(w->err, ret, "连不上市级：已记下，联网后取回，或随下一份摆渡包带回");
        if (ret != 0 && ret != E_WAITING)
            return ret;
    }
    return ret;
}

static int fetch(struct work *w)
{
    uint64_t seconds = FETCH_SECONDS, size;
    struct blob_row want = {.way = BLOB_DOWN};
    struct row *row;
    int ret = args_number(w->args, OPT_TIMEOUT, 1, SECONDS_MAX, &seconds, w->err);

    if (ret == 0)
        ret = work_record(w, w->args->words[0], &row);
    if (ret == 0 && strcmp(row->kind->name, "attachment") != 0)
        ret = err_set(w->err, E_USAGE, "%s不是附件", row->kind->label);
    if (ret == 0)
        ret = hash_of_row(row, want.hash, w->err);
    if (ret != 0)
        return ret;
    if (blob_size(w->home.blobs, want.hash, &size, NULL) == 0)
        return save(w, row, want.hash);
    want.attachment = row->id;
    want.size = (uint64_t)row_int(row, "size");
    ret = replica_blob_want(w->home.replica, &want, work_now(), w->err);
    if (ret == 0)
        ret = wait_for(w, row, seconds);
    return ret != 0 ? ret : save(w, row, want.hash);
}

int cmd_fetch(const struct args *a, struct err *err)
{
    struct work w;
    int ret;

    log_level_set(LOG_WARNING); /* one command, one answer */
    ret = work_open(&w, a, err);

    if (ret == 0)
        ret = fetch(&w);
    work_close(&w);
    return ret;
}
