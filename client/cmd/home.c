/* Opening a replica's directory: what is missing or readable by others is said before anything is used. */
#include "client/cmd/home.h"

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/cmd/args.h"
#include "common/crypto/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOG_KEY_MAX 4096u

const struct conf_item client_settings[] = {
    {"city", "snapshot_above", CONF_INT, "5000", 0, 1000000000,
     "空的台账在市级多于这么多条时，先载入快照，再补历史"},
    {"city", "addresses", CONF_TEXT, "", 0, 1024, "市级同步服务的地址，host:port，几个以逗号分隔"},
};
const unsigned client_settings_n = sizeof client_settings / sizeof client_settings[0];

/* ---- paths ---- */

static int set_path(char ret[HOME_PATH_MAX], const char *a, const char *b, struct err *err)
{
    int n = snprintf(ret, HOME_PATH_MAX, "%s%s", a, b);

    return n >= 0 && n < HOME_PATH_MAX ? 0 : err_set(err, E_TOOBIG, "目录名太长");
}

int home_choose(const char *given, char ret[HOME_PATH_MAX], struct err *err)
{
    const char *env = getenv("ZTC_DIR");
    const char *user = getenv("HOME");

    if (given != NULL && given[0] != '\0')
        return set_path(ret, given, "", err);
    if (env != NULL && env[0] != '\0')
        return set_path(ret, env, "", err);
    if (user == NULL || user[0] == '\0')
        return err_set(err, E_USAGE, "不知道数据目录在哪里，请用 --dir 或环境变量 ZTC_DIR 指明");
    return set_path(ret, user, "/.local/share/ztc", err);
}

int home_path(const char *dir, const char *name, char ret[HOME_PATH_MAX], struct err *err)
{
    int n = snprintf(ret, HOME_PATH_MAX, "%s/%s", dir, name);

    return n >= 0 && n < HOME_PATH_MAX ? 0 : err_set(err, E_TOOBIG, "目录名太长");
}

/* Every folder on the way; those that exist are left as they are. */
static int make_parents(const char *dir, struct err *err)
{
    char path[HOME_PATH_MAX];
    int ret = set_path(path, dir, "", err);

    for (char *p = path + 1; ret == 0 && *p != '\0'; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        if (mkdir(path, 0700) != 0 && errno != EEXIST)
            ret = err_set(err, errno == ENOSPC ? E_FULL : E_IO, "建不了目录 %s：%s", path,
                          strerror(errno));
        *p = '/';
    }
    return ret;
}

int home_make(const char *dir, struct err *err)
{
    struct stat st;
    int ret = make_parents(dir, err);

    if (ret != 0)
        return ret;
    if (mkdir(dir, 0700) != 0 && errno != EEXIST)
        return err_set(err, errno == ENOSPC ? E_FULL : E_IO, "建不了目录 %s：%s", dir,
                       strerror(errno));
    if (stat(dir, &st) != 0 || !S_ISDIR(st.st_mode))
        return err_set(err, E_IO, "%s 不是目录", dir);
    if ((st.st_mode & 077) != 0 && chmod(dir, 0700) != 0)
        return err_set(err, E_DENIED, "目录 %s 他人可以进入", dir);
    return 0;
}

/* ---- keys ---- */

static int vault_seal(void *ctx, struct slice plain, struct slice nonce_seed, struct buf *out)
{
    const struct seal_key *key = ctx;
    uint8_t nonce[SEAL_NONCE_SIZE];

    seal_nonce(key, nonce_seed, nonce);
    return seal(key, nonce, (struct slice){NULL, 0}, plain, out);
}

static int vault_open(void *ctx, struct slice sealed, struct buf *out)
{
    return seal_open(ctx, (struct slice){NULL, 0}, sealed, out);
}

static int site_seal(void *ctx, struct slice plain, const uint8_t nonce[12], struct buf *out)
{
    return seal(ctx, nonce, (struct slice){NULL, 0}, plain, out);
}

static int load_seal_key(const char *dir, const char *name, struct seal_key *ret, struct err *err)
{
    char path[HOME_PATH_MAX];
    struct random random = random_system();
    int status = home_path(dir, name, path, err);

    return status != 0 ? status : seal_key_load(path, false, &random, ret, err);
}

static int load_log_key(struct home *h, struct err *err)
{
    char path[HOME_PATH_MAX];
    struct buf der;
    int ret = home_path(h->dir, "log_key.der", path, err);

    buf_init(&der, LOG_KEY_MAX);
    if (ret == 0)
        ret = file_read(path, &der, err);
    if (ret == 0)
        ret = pubkey_load(buf_slice(&der), &h->log_key, err);
    buf_release(&der);
    return ret;
}

static int load_keys(struct home *h, struct err *err)
{
    int ret = load_log_key(h, err);

    if (ret == 0)
        ret = load_seal_key(h->dir, "vault.key", &h->vault_key, err);
    if (ret != 0)
        return ret;
    ret = load_seal_key(h->dir, "site.key", &h->site_key, err);
    if (ret != 0 && ret != E_NOTFOUND)
        return ret;
    h->has_site_key = ret == 0;
    h->vault = (struct vault){.seal = vault_seal, .open = vault_open, .ctx = &h->vault_key};
    h->keys = (struct replica_keys){.hasher_of = hasher_of,
                                    .log_key = pubkey_verifier(h->log_key),
                                    .vault = &h->vault,
                                    .random = random_system()};
    if (h->has_site_key) {
        h->keys.site_seal = site_seal;
        h->keys.site_open = vault_open;
        h->keys.site_ctx = &h->site_key;
    }
    return 0;
}

/* ---- the whole ---- */

static int load_settings(struct home *h, struct err *err)
{
    char path[HOME_PATH_MAX];
    int ret = conf_init(&h->conf, client_settings, client_settings_n);

    if (ret != 0)
        return err_set(err, ret, NULL);
    h->conf.on_unknown = warn_setting;
    ret = home_path(h->dir, "ztc.ini", path, err);
    if (ret == 0)
        ret = conf_load(&h->conf, path, err);
    return ret == E_NOTFOUND ? 0 : ret; /* every setting has a preset */
}

static int open_replica(struct home *h, struct err *err)
{
    char path[HOME_PATH_MAX];
    int ret = home_path(h->dir, "replica.db", path, err);

    return ret != 0 ? ret : replica_open(path, &h->keys, &h->replica, err);
}

int home_open(struct home *h, const char *dir, struct err *err)
{
    char path[HOME_PATH_MAX];
    int ret;

    memset(h, 0, sizeof *h);
    h->lock = -1;
    ret = set_path(h->dir, dir, "", err);
    if (ret == 0)
        ret = home_path(dir, "blobs", h->blobs, err);
    if (ret == 0)
        ret = home_path(dir, "replica.db", path, err);
    if (ret == 0 && access(path, F_OK) != 0)
        ret = err_set(err, E_NOTFOUND, "%s 里没有台账，请先用 ztc enrol 接入", dir);
    if (ret == 0)
        ret = load_settings(h, err);
    if (ret == 0)
        ret = load_keys(h, err);
    if (ret == 0)
        ret = open_replica(h, err);
    return ret;
}

void home_close(struct home *h)
{
    if (h->replica != NULL)
        replica_close(h->replica);
    if (h->log_key != NULL)
        pubkey_free(h->log_key);
    if (h->conf.values != NULL)
        conf_release(&h->conf);
    if (h->lock >= 0)
        (void)close(h->lock); /* an unlock cannot fail in a way that matters */
    mem_wipe(&h->vault_key, sizeof h->vault_key);
    mem_wipe(&h->site_key, sizeof h->site_key);
    h->replica = NULL;
    h->log_key = NULL;
    h->lock = -1;
}

/* ---- who talks to the city ---- */

static int open_lock(const char *dir, int *ret, struct err *err)
{
    char path[HOME_PATH_MAX];
    int status = home_path(dir, "agent.lock", path, err);

    if (status != 0)
        return status;
    *ret = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    return *ret >= 0 ? 0 : err_set(err, E_IO, "打不开 %s：%s", path, strerror(errno));
}

int home_lock(struct home *h, struct err *err)
{
    int ret = open_lock(h->dir, &h->lock, err);

    if (ret != 0)
        return ret;
    if (flock(h->lock, LOCK_EX | LOCK_NB) == 0)
        return 0;
    (void)close(h->lock);
    h->lock = -1;
    return err_set(err, E_BUSY, "本机的同步程序正在运行");
}

bool home_agent_runs(const char *dir)
{
    int fd;
    bool runs;

    if (open_lock(dir, &fd, NULL) != 0)
        return false;
    runs = flock(fd, LOCK_EX | LOCK_NB) != 0;
    (void)close(fd);
    return runs;
}
