/* bundle export: what a session would send to a county's computer, in a file. It reads only, beside a
 * running daemon; where the computer stands is what its last bundle said. */
#include "server/admin/admin.h"
#include "server/admin/bundle_session.h"
#include "server/admin/commands.h"
#include "server/admin/home_ca.h"

#include "common/base/json.h"
#include "common/base/mem.h"
#include "common/bundle/bundle.h"
#include "server/store/city_bundle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SITE_REPLICAS_MAX 64u
#define BYTES_MAX         (512u << 20) /* of frames; the next bundle goes on */
#define ARENA_MAX         (64u << 20)

struct giving {
    const struct args *args;
    struct home home;
    struct city *city;
    struct authorities *authorities;
    struct replica_row at[SITE_REPLICAS_MAX];
    size_t n;
    uint32_t site;
    /* the file in the making */
    struct bundle_writer *w;
    struct ferry ferry;
    const struct replica_row *r;
    uint64_t entries;
    struct home_path blobs_root;
    struct err *err;
};

/* ---- one file ---- */

static int put_frames(void *ctx, struct slice frames, struct err *err)
{
    struct giving *g = ctx;

    buf_put(bundle_frames(g->w), frames.p, frames.len);
    return bundle_put(g->w, err);
}

/* ---- attachments ---- */

/* Its chunks, as if the county had asked for one after another. */
static int put_blob(struct giving *g, Ztc__Frame *want, struct arena *a)
{
    Ztc__BlobWant *m = want->blob_want;
    uint64_t offset;
    int ret;

    do {
        ret = ferry_drained(&g->ferry, a, g->err);
        if (ret == 0)
            ret = ferry_frame(&g->ferry, want, a, g->err);
        if (ret != 0 || !ferry_goes_on(&g->ferry, &offset))
            return ret;
        m->offset = offset;
        arena_clear(a);
    } while (true);
}

/* What became of those that came, then those that were asked for. */
static int put_blobs(struct giving *g, struct slice frames)
{
    struct frame_reader r;
    struct arena a, step;
    int ret = 0;

    frame_reader_init(&r, FRAME_MAX);
    arena_init(&a, ARENA_MAX);
    arena_init(&step, ARENA_MAX);
    while (ret == 0 && frames.len > 0) {
        Ztc__Frame *f;
        size_t used;

        ret = frame_feed(&r, frames, &a, &used, &f);
        if (ret != 0 || f == NULL) {
            ret = err_set(g->err, E_CORRUPT, NULL);
        } else if (f->kind_case == ZTC__FRAME__KIND_BLOB_WANT) {
            ret = put_blob(g, f, &step);
        } else {
            ret = put_frames(g, (struct slice){frames.p, used}, g->err);
        }
        frames.p += used;
        frames.len -= used;
        arena_clear(&a);
    }
    arena_release(&step);
    arena_release(&a);
    frame_reader_release(&r);
    return ret;
}

/* ---- the session ---- */

/* What a session would answer to that Hello. A certificate that was issued goes along until it is shown. */
static int put_session(struct giving *g, Ztc__Hello *hello, const struct city_bundle *b,
                       const struct cert *shown, msec_t now)
{
    struct ferry_options o = {.city = g->city, .authorities = g->authorities, .now = now,
                              .out = put_frames, .ctx = g, .out_max = BYTES_MAX,
                              .blobs = home_file(&g->home, "blobs", &g->blobs_root)};
    Ztc__Frame frame = ZTC__FRAME__INIT;
    uint8_t print[HASH_SIZE];
    struct arena a;
    int ret;

    frame.kind_case = ZTC__FRAME__KIND_HELLO;
    frame.hello = hello;
    arena_init(&a, ARENA_MAX);
    ret = ferry_open(&g->ferry, &o, shown, g->err);
    if (ret == 0)
        ret = ferry_frame(&g->ferry, &frame, &a, g->err);
    if (ret == 0)
        ret = put_blobs(g, b->blobs);
    g->entries = g->ferry.entries;
    ferry_release(&g->ferry);
    arena_release(&a);
    cert_fingerprint(shown, print);
    if (ret == 0 && b->renewed.len > 0 && memcmp(print, b->renewed_print, HASH_SIZE) != 0)
        ret = put_frames(g, b->renewed, g->err);
    return ret;
}

static int write_file(struct giving *g, const struct city_bundle *b, Ztc__Hello *hello,
                      const char *path)
{
    msec_t now = daemon_clock();
    struct bundle_new n = {.way = BUNDLE_DOWN,
                           .ledger = city_ledger(g->city),
                           .replica = g->r->id,
                           .made_at = now,
                           .own = g->authorities->at[g->authorities->n - 1].server,
                           .own_key = g->home.server_key};
    struct cert *receiver = NULL;
    int ret = cert_from_der(b->certificate, &receiver, g->err);

    n.receiver = receiver;
    if (ret == 0)
        ret = bundle_create(path, &n, &g->w, g->err);
    if (ret == 0) {
        ret = put_session(g, hello, b, receiver, now);
        if (ret == 0)
            ret = bundle_finish(g->w, g->err);
        else
            bundle_abandon(g->w);
    }
    cert_free(receiver);
    return ret;
}

static int give_one(struct giving *g, const struct replica_row *r, const char *path)
{
    struct city_bundle b;
    struct arena a;
    Ztc__Hello *hello;
    int ret;

    arena_init(&a, ARENA_MAX);
    g->r = r;
    g->entries = 0;
    ret = city_bundle_get(g->city, r, &a, &b, g->err);
    if (ret == 0) {
        hello = ztc__hello__unpack(NULL, b.hello.len, b.hello.p);
        ret = hello == NULL ? err_set(g->err, E_CORRUPT, NULL) : write_file(g, &b, hello, path);
        if (hello != NULL)
            ztc__hello__free_unpacked(hello, NULL);
    }
    arena_release(&a);
    return ret;
}

/* ---- the site ---- */

/* One that never sent a bundle is left out: its place is not known, nor the key to seal to. */
static int add_replica(void *ctx, const struct replica_row *r)
{
    struct giving *g = ctx;
    struct city_bundle b;
    int ret;

    if (r->site != g->site || r->state == REPLICA_LOST)
        return 0;
    ret = city_bundle_get(g->city, r, NULL, &b, g->err);
    if (ret != 0)
        return ret == E_NOTFOUND ? 0 : ret;
    if (g->n == SITE_REPLICAS_MAX)
        return err_set(g->err, E_TOOBIG, "%u 的计算机太多", g->site);
    g->at[g->n++] = *r;
    return 0;
}

static int tell(const struct giving *g, const char *path)
{
    struct buf line;
    struct json j;
    int ret;

    buf_init(&line, 8 * HOME_PATH_MAX);
    if (g->args->json) {
        json_init(&j, &line);
        json_object(&j);
        json_kv_uint(&j, "k", g->r->k);
        json_kv_str(&j, "file", path);
        json_kv_uint(&j, "entries", g->entries);
        json_object_end(&j);
        buf_u8(&line, '\n');
    } else {
        buf_printf(&line, "第%u台：%s，%llu 条记录\n", g->r->k, path,
                   (unsigned long long)g->entries);
    }
    ret = line.ret != 0 ? err_set(g->err, line.ret, NULL) : 0;
    if (ret == 0)
        (void)fwrite(line.p, 1, line.len, g->args->out); /* checked at the end of main */
    buf_release(&line);
    return ret;
}

/* Several computers, several files: FILE.k. */
static int path_of(const struct giving *g, size_t i, char path[HOME_PATH_MAX])
{
    const char *file = g->args->words[0];
    int len = g->n == 1 ? snprintf(path, HOME_PATH_MAX, "%s", file)
                        : snprintf(path, HOME_PATH_MAX, "%s.%u", file, g->at[i].k);

    return len < 0 || len >= HOME_PATH_MAX ? err_set(g->err, E_TOOBIG, "文件名太长") : 0;
}

static int give(struct giving *g)
{
    char path[HOME_PATH_MAX];
    int ret = city_replica_each(g->city, add_replica, g, g->err);

    if (ret == 0 && g->n == 0)
        ret = err_set(g->err, E_NOTFOUND,
                      "%u 还没有计算机交来过摆渡包，请先导入县里 ztc bundle export 的文件", g->site);
    for (size_t i = 0; ret == 0 && i < g->n; i++) {
        ret = path_of(g, i, path);
        if (ret == 0)
            ret = give_one(g, &g->at[i], path);
        if (ret == 0)
            ret = tell(g, path);
    }
    return ret;
}

static int site_of(const struct args *a, uint32_t *ret, struct err *err)
{
    uint64_t site = 0;
    int status = args_number(a, OPT_SITE, 100000, 999999, &site, err);

    if (status == 0 && site == 0)
        status = err_set(err, E_USAGE, "请用 --site 写明县市区代码");
    *ret = (uint32_t)site;
    return status;
}

/* By the daemon, or here: when it was made. */
int deed_bundle_given(struct deed *d)
{
    struct giving g = {.city = d->city, .err = d->err};
    int ret = site_of(d->args, &g.site, d->err);

    if (ret == 0)
        ret = city_replica_each(d->city, add_replica, &g, d->err);
    for (size_t i = 0; ret == 0 && i < g.n; i++) {
        struct city_bundle b;

        ret = city_bundle_get(d->city, &g.at[i], d->args->arena, &b, d->err);
        b.given_at = d->now;
        if (ret == 0)
            ret = city_bundle_put(d->city, &g.at[i], &b, d->err);
    }
    return ret;
}

int cmd_bundle_export(const struct args *a, struct err *err)
{
    struct giving *g = mem_calloc(1, sizeof *g);
    int ret;

    if (g == NULL)
        return err_set(err, E_NOMEM, NULL);
    g->args = a;
    g->err = err;
    ret = home_init(&g->home, args_text(a, OPT_DIR), err);
    if (ret == 0)
        ret = site_of(a, &g->site, err);
    if (ret == 0)
        ret = home_load(&g->home, err);
    if (ret == 0)
        ret = home_ca_load(&g->home, &g->authorities, err);
    if (ret == 0)
        ret = home_open_city(&g->home, daemon_clock(), &g->city, err);
    if (ret == 0)
        ret = give(g);
    city_close(g->city);
    if (g->authorities != NULL)
        authorities_unref(g->authorities);
    home_release(&g->home);
    mem_free(g);
    return ret == 0 ? cmd_deed(a, err) : ret;
}
