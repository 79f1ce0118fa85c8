/* A city put back from a copy: what lies in the home already stays, and what is served begins a new life. */
#include "common/base/file.h"
#include "common/ledger/store.h"
#include "server/admin/admin.h"
#include "server/admin/backup.h"
#include "server/admin/commands.h"
#include "server/admin/copying.h"
#include "server/admin/home_ca.h"
#include "server/store/city_recover.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- keys ---- */

/* What stands in the home stays; the CAs are those of the side that has come further with them. */
struct present {
    const struct home *home;
    bool cas;          /* the copy's */
    bool certificates; /* these now, and nothing else: whole before they count */
};

static bool is_wanted(void *ctx, const char *name)
{
    const struct present *here = ctx;
    struct home_path p;

    if (home_ca_is_certificate(name) != here->certificates)
        return false;
    return home_ca_is_file(name) ? here->cas : access(home_file(here->home, name, &p), F_OK) != 0;
}

static bool is_ca(void *ctx, const char *name)
{
    (void)ctx;
    return home_ca_is_file(name);
}

static bool note_key(void *ctx, const char *name)
{
    bool *keys = ctx;

    *keys = *keys || strcmp(strrchr(name, '.'), ".ini") != 0;
    return false;
}

/* Keys that are there are this city's, or nothing is touched: the log's key is for life. */
static int take_kept(struct home *h, const char *from, struct err *err)
{
    struct present here = {.home = h};
    unsigned own_age = 0, copied_age = 0;
    struct home_path own;
    struct path copied;
    bool keys = false;
    int ret = kept_each(h->dir, NULL, note_key, &keys, err);

    if (ret == 0 && keys &&
        !file_same(home_file(h, "log.key", &own), path_join(&copied, from, "log.key")))
        ret = err_set(err, E_EXISTS,
                      "%s 中的密钥不属于这份备份，没有改动；请先把其中的 .key、.pem 文件移走，或换一个目录",
                      h->dir);
    if (ret == 0)
        ret = home_ca_age(h->dir, &own_age, err);
    if (ret == 0)
        ret = home_ca_age(from, &copied_age, err);
    here.cas = copied_age > own_age;
    if (ret == 0 && here.cas)
        ret = kept_each(h->dir, NULL, is_ca, NULL, err);
    if (ret == 0)
        ret = kept_each(from, h->dir, is_wanted, &here, err);
    here.certificates = true;
    return ret == 0 ? kept_each(from, h->dir, is_wanted, &here, err) : ret;
}

/* ---- the store ---- */

static int new_life(struct home *h, const char *path, msec_t now, struct err *err)
{
    struct city *city = NULL;
    int ret = home_open_copy(h, path, now, &city, err);

    if (ret == 0)
        ret = city_begin(city, now, err);
    if (ret == 0) {
        ret = city_restart(city, "由备份恢复", err);
        ret = ret == 0 ? city_commit(city, err) : (city_rollback(city), ret);
    }
    city_close(city);
    return ret;
}

/* A copy that was made to follow has a log beside it. Both are taken as files: nothing can be written where they lie. */
static int copy_pair(const char *dir, const char *made, struct err *err)
{
    struct path from, to;
    int ret = file_copy(path_join(&from, dir, "city.db"), made, err);

    (void)snprintf(to.text, sizeof to.text, "%s-wal", made);
    if (ret == 0 && access(path_join(&from, dir, "city.db-wal"), F_OK) == 0)
        ret = file_copy(from.text, to.text, err);
    return ret;
}

/* Of an attempt that was interrupted. */
static void remove_made(const char *made)
{
    static const char *const endings[] = {"", "-wal", "-shm"};

    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        struct path p;

        (void)snprintf(p.text, sizeof p.text, "%s%s", made, endings[i]);
        (void)unlink(p.text);
    }
}

static int put_back(struct home *h, const char *from, bool is_dir, msec_t now, struct err *err)
{
    struct home_path made, at;
    int ret;

    remove_made(home_file(h, "city.db.new", &made));
    ret = is_dir ? copy_pair(from, made.text, err) : store_copy(from, made.text, err);
    if (ret == 0)
        ret = new_life(h, made.text, now, err);
    if (ret == 0 && rename(made.text, home_file(h, "city.db", &at)) != 0)
        ret = file_failed(err, "不能改名", made.text, errno);
    return ret;
}

/* ---- all of it ---- */

static int put_back_blobs(struct home *h, const char *from, struct err *err)
{
    struct home_path to;
    struct path blobs;

    return blobs_copy(path_join(&blobs, from, "blobs"), home_file(h, "blobs", &to), err);
}

/* Those of the home are the newer. */
static int put_back_heads(struct home *h, const char *from, struct err *err)
{
    struct home_path to;
    struct path heads;

    if (access(home_file(h, "heads", &to), F_OK) == 0 || access(path_join(&heads, from, "heads"), F_OK) != 0)
        return 0;
    return file_copy(heads.text, to.text, err);
}

/* The store comes last: with it the city is there. */
static int restore_dir(struct home *h, const char *from, msec_t now, struct err *err)
{
    int lock, ret = copy_lock(from, false, &lock, err);

    if (ret != 0)
        return ret;
    ret = take_kept(h, from, err);
    if (ret == 0)
        ret = put_back_blobs(h, from, err);
    if (ret == 0)
        ret = put_back_heads(h, from, err);
    if (ret == 0)
        ret = put_back(h, from, true, now, err);
    copy_unlock(lock);
    return ret;
}

int backup_restore(struct home *h, const char *from, msec_t now, struct err *err)
{
    struct stat s;
    int lock = -1;
    int ret = stat(from, &s) == 0 ? home_make_dir(h, err) : file_failed(err, "不能读取", from, errno);

    if (ret == 0)
        ret = home_lock(h, &lock, err);
    if (ret == 0)
        ret = home_is_free(h, err);
    if (ret == 0)
        ret = S_ISDIR(s.st_mode) ? restore_dir(h, from, now, err) : put_back(h, from, false, now, err);
    copy_unlock(lock);
    return ret;
}

int cmd_restore(const struct args *a, struct err *err)
{
    struct home h;
    int ret = home_init(&h, args_text(a, OPT_DIR), err);

    if (ret == 0)
        ret = backup_restore(&h, a->words[0], daemon_clock(), err);
    if (ret == 0)
        (void)fprintf(a->out, a->json ? "{\"ok\":true}\n"
                                      : "已恢复，等待各县市区计算机交回较新的内容。请启动市级服务，用 "
                                        "ztcd recover 查看进展，齐全后用 ztcd recover --close 结束\n");
    home_release(&h);
    return ret;
}
