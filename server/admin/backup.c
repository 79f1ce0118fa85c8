/* One look takes over what is new: key files, the store by its log (common/ledger/ship.h), attachments, where the
 * streams stand; and leaves a word on it. A copy made once is one look, one that follows a look a second.
 *
 * The store comes before the keys, so that a copy that is refused changes nothing, and before the attachments that its
 * records name. */
#include "server/admin/backup.h"

#include "common/base/file.h"
#include "common/crypto/secret_file.h"
#include "common/ledger/ship.h"
#include "common/ledger/store.h"
#include "server/admin/admin.h"
#include "server/admin/commands.h"
#include "server/admin/copying.h"
#include "server/admin/home_ca.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LOOK_MS     1000 /* between two looks at whether the store has changed */
#define WORD_MS     5000 /* between two words that it has not */
#define REST_TIMES  9    /* a look that took T is followed by a rest of so many T: a tenth of the machine at most */
#define STATE_MAX   8192
#define STREAMS_MAX 64 /* of a city: one a site, and two */

struct copier {
    struct home *h;
    const char *dir;
    struct store_ship *ship;
    bool behind;    /* attachments may have come that are not copied */
    bool said;      /* a word was left */
    msec_t said_at; /* by tick() */
};

/* ---- the store ---- */

/* Where the streams of a store stand. */
struct stand {
    uint32_t stream[STREAMS_MAX];
    uint64_t seq[STREAMS_MAX];
    size_t n;
};

static int note_stream(void *ctx, const struct stream_head *at)
{
    struct stand *s = ctx;

    if (s->n == STREAMS_MAX)
        return E_INTERNAL;
    s->stream[s->n] = at->stream;
    s->seq[s->n++] = at->seq;
    return 0;
}

static int read_stand(struct home *h, const char *path, struct stand *ret, struct err *err)
{
    struct store_options o = {.readonly = true, .vault = &h->vault};
    struct store *s = NULL;
    int status = store_open(path, &o, &s, err);

    *ret = (struct stand){.n = 0};
    if (status == 0)
        status = store_stream_each(s, note_stream, ret, err);
    store_close(s);
    return status;
}

static uint64_t seq_of(const struct stand *s, uint32_t stream)
{
    for (size_t i = 0; i < s->n; i++) {
        if (s->stream[i] == stream)
            return s->seq[i];
    }
    return 0;
}

/* What the copy of before has and the store has not is nowhere else, perhaps: a store that was put back, or
 * another city's. A copy that cannot be read is no reason to have none. */
static int check_not_older(void *ctx, struct err *err)
{
    const struct copier *k = ctx;
    struct home_path now;
    struct path before;
    struct stand was, is;
    int ret = read_stand(k->h, path_join(&before, k->dir, "city.db"), &was, NULL) != 0
                  ? 0
                  : read_stand(k->h, home_file(k->h, "city.db", &now), &is, err);

    for (size_t i = 0; ret == 0 && i < was.n; i++) {
        uint64_t seq = seq_of(&is, was.stream[i]);

        if (was.seq[i] > seq)
            ret = err_set(err, E_EXISTS,
                          "%s 中的备份比现在的数据新（数据流 %u 有 %" PRIu64 " 条，现在只有 %" PRIu64
                          " 条），没有覆盖；请备份到另一个目录",
                          k->dir, was.stream[i], was.seq[i], seq);
    }
    return ret;
}

/* ---- what lies beside it ---- */

static bool is_any(void *ctx, const char *name)
{
    (void)ctx;
    (void)name;
    return true;
}

/* A CA that DIR has still and the home has dropped. */
static bool is_dropped(void *ctx, const char *name)
{
    const struct home *h = ctx;
    struct home_path p;

    return home_ca_is_file(name) && access(home_file(h, name, &p), F_OK) != 0;
}

/* A CA that was dropped must not come back with the copy: it may be known to others, and no county trusts
 * it. */
static int copy_kept(struct home *h, const char *dir, struct err *err)
{
    int ret = kept_each(h->dir, dir, is_any, NULL, err);

    return ret == 0 ? kept_each(dir, NULL, is_dropped, h, err) : ret;
}

/* Where the streams stand now, which may be further than the copy of the store: that much is known to be missing
 * then, should the disk be gone. */
static int copy_heads(const struct home *h, const char *dir, struct err *err)
{
    struct home_path from;
    struct path to;

    (void)home_file(h, "heads", &from);
    if (access(from.text, F_OK) != 0 || file_same(from.text, path_join(&to, dir, "heads")))
        return 0; /* it never served, or nothing was added */
    return file_copy(from.text, to.text, err);
}

/* Onto itself the copy would take the place of the file that the daemon has open. */
static int check_elsewhere(const struct home *h, const char *dir, struct err *err)
{
    struct stat a, b;

    if (stat(h->dir, &a) != 0 || stat(dir, &b) != 0)
        return file_failed(err, "不能使用", dir, errno);
    if (a.st_dev == b.st_dev && a.st_ino == b.st_ino)
        return err_set(err, E_USAGE, "%s 就是市级数据的目录，请备份到别的目录", dir);
    return 0;
}

static int put_state(const struct home *h, const char *dir, msec_t at, struct err *err)
{
    struct home_path p;
    struct buf text;
    int ret;

    buf_init(&text, STATE_MAX);
    buf_printf(&text, "%" PRIu64 " %s\n", (uint64_t)at, dir);
    ret = text.ret != 0 ? err_set(err, text.ret, NULL)
                        : secret_file_write(home_file(h, "backup", &p), buf_slice(&text), 0600,
                                            SECRET_FILE_REPLACE, err);
    buf_release(&text);
    return ret;
}

/* ---- one look ---- */

static msec_t tick(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail for this clock */
    return (msec_t)t.tv_sec * 1000 + (msec_t)t.tv_nsec / 1000000;
}

static int take_over(struct copier *k, bool *ret_moved, struct err *err)
{
    struct home_path blobs;
    struct path to;
    int ret = store_ship_step(k->ship, ret_moved, err);

    if (ret == 0)
        ret = copy_kept(k->h, k->dir, err);
    k->behind = k->behind || *ret_moved;
    if (ret == 0 && k->behind) {
        ret = blobs_copy(home_file(k->h, "blobs", &blobs), path_join(&to, k->dir, "blobs"), err);
        k->behind = ret != 0;
    }
    return ret == 0 ? copy_heads(k->h, k->dir, err) : ret;
}

static int look(struct copier *k, struct err *err)
{
    msec_t at = daemon_clock(); /* what is committed from here on may be missing */
    bool moved = false;
    int lock, ret = copy_lock(k->dir, true, &lock, err);

    if (ret != 0)
        return ret;
    ret = take_over(k, &moved, err);
    copy_unlock(lock);
    if (ret != 0 || (k->said && !moved && tick() - k->said_at < WORD_MS))
        return ret;
    k->said = true;
    k->said_at = tick();
    return put_state(k->h, k->dir, at, err);
}

static int copier_init(struct copier *k, struct home *h, const char *dir, struct err *err)
{
    struct home_path from;
    struct path to;
    int ret = folder_make(dir, err);

    *k = (struct copier){.h = h, .dir = dir, .behind = true};
    if (ret == 0)
        ret = check_elsewhere(h, dir, err);
    return ret == 0 ? store_ship_new(home_file(h, "city.db", &from), path_join(&to, dir, "city.db"), check_not_older, k,
                                     &k->ship, err)
                    : ret;
}

int backup_make(struct home *h, const char *dir, struct err *err)
{
    struct copier k;
    int ret = copier_init(&k, h, dir, err);

    if (ret == 0)
        ret = look(&k, err);
    store_ship_free(k.ship);
    return ret;
}

msec_t backup_at(const char *path)
{
    struct buf text;
    msec_t at = 0;

    buf_init(&text, STATE_MAX);
    if (secret_file_read(path, false, &text, NULL) == 0)
        at = strtoull(buf_cstr(&text), NULL, 10);
    buf_release(&text);
    return at;
}

/* ---- the command ---- */

/* Absolute: whoever reads the word on it may stand elsewhere. */
static int full_path(const char *dir, char ret[HOME_PATH_MAX], struct err *err)
{
    char *full;
    int status = folder_make(dir, err);

    if (status != 0)
        return status;
    full = realpath(dir, NULL);
    if (full == NULL || strlen(full) >= HOME_PATH_MAX)
        status = file_failed(err, "不能使用", dir, errno);
    else
        memcpy(ret, full, strlen(full) + 1);
    free(full); /* of realpath */
    return status;
}

static void rest(msec_t ms)
{
    struct timespec t = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000L};

    (void)nanosleep(&t, NULL); /* woken early, it looks early */
}

static void tell_failure(const struct err *err)
{
    (void)fprintf(stderr, "备份没有做成（%s）：%s\n", err_code(err->ret), err->text);
}

/* Ends by a signal, at any point: the copy is whole. */
static int follow(struct home *h, const char *dir, struct err *err)
{
    struct copier k;
    int ret = copier_init(&k, h, dir, err);

    while (ret == 0) {
        msec_t began = tick(), pause;

        if (look(&k, err) != 0)
            tell_failure(err); /* the age in status says it too; it is tried again */
        pause = (tick() - began) * REST_TIMES;
        rest(pause > LOOK_MS ? pause : LOOK_MS);
    }
    return ret;
}

int cmd_backup(const struct args *a, struct err *err)
{
    char dir[HOME_PATH_MAX];
    struct home h;
    int ret = home_init(&h, args_text(a, OPT_DIR), err);

    if (ret == 0)
        ret = home_load_reading(&h, err);
    if (ret == 0)
        ret = full_path(a->words[0], dir, err);
    if (ret == 0)
        ret = args_has(a, OPT_FOLLOW) ? follow(&h, dir, err) : backup_make(&h, dir, err);
    if (ret == 0)
        (void)fprintf(a->out, a->json ? "{\"ok\":true}\n" : "已备份\n");
    home_release(&h);
    return ret;
}
