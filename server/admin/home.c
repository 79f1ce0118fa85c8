/* The city's directory on disk. */
#include "server/admin/home.h"

#include "common/base/mem.h"
#include "common/cmd/args.h"
#include "common/crypto/cert.h"
#include "common/crypto/hash.h"
#include "common/crypto/vault.h"
#include "common/base/log.h"
#include "server/admin/home_ca.h"
#include "server/store/city_recover.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define TERM_PRESET "第五届"
#define HASH_PRESET "sm3"

static const struct conf_item items[] = {
    {HOME_SECTION, "listen", CONF_TEXT, "127.0.0.1:0", 0, HOST_MAX, "同步端口的地址"},
    {HOME_SECTION, "enrol_listen", CONF_TEXT, "127.0.0.1:0", 0, HOST_MAX, "接入端口的地址"},
    {HOME_SECTION, "advertise", CONF_TEXT, "", 0, HOST_MAX,
     "县市区访问市级服务用的主机名或地址；空：与上面两项相同"},
};

int home_init(struct home *h, const char *dir, struct err *err)
{
    const char *env = getenv("ZTCD_DIR");
    const char *user = getenv("HOME");
    int n;

    memset(h, 0, sizeof *h);
    if (dir == NULL)
        dir = env != NULL && env[0] != '\0' ? env : NULL;
    if (dir != NULL)
        n = snprintf(h->dir, sizeof h->dir, "%s", dir);
    else
        n = snprintf(h->dir, sizeof h->dir, "%s/.local/share/ztcd", user != NULL ? user : "");
    if (n <= 0 || (size_t)n >= sizeof h->dir)
        return err_set(err, E_INVALID, "目录名太长");
    return conf_init(&h->conf, items, sizeof items / sizeof *items);
}

void home_release(struct home *h)
{
    conf_release(&h->conf);
    authorities_unref(h->authorities);
    key_free(h->server_key);
    key_free(h->log_key);
    pubkey_free(h->log_public);
    mem_wipe(&h->vault_key, sizeof h->vault_key);
}

const char *home_file(const struct home *h, const char *name, struct home_path *p)
{
    (void)snprintf(p->text, sizeof p->text, "%s/%s", h->dir, name);
    return p->text;
}

bool home_exists(const struct home *h)
{
    struct home_path p;

    return access(home_file(h, "city.db", &p), F_OK) == 0;
}

int home_is_free(const struct home *h, struct err *err)
{
    struct home_path p;
    struct stat s;

    if (home_exists(h))
        return err_set(err, E_EXISTS, "%s 中已有市级数据，没有改动；请先把它移走", h->dir);
    if (stat(home_file(h, "city.db-wal", &p), &s) == 0 && s.st_size > 0)
        return err_set(err, E_EXISTS, "%s 是原来数据库的一部分，没有改动；请先把它和 city.db-shm 也移走",
                       p.text);
    return 0;
}

/* Where the daemon listens for commands; the system gives such a path little room. */
static int control_address(const struct home *h, struct sockaddr_un *ret, struct err *err)
{
    struct home_path p;
    size_t len = strlen(home_file(h, "control.sock", &p));

    if (len >= sizeof ret->sun_path)
        return err_set(err, E_INVALID, "目录名太长：%s（管理接口 %s 有 %zu 字节，至多 %zu）", h->dir,
                       p.text, len, sizeof ret->sun_path - 1);
    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(ret->sun_path, p.text, len);
    return 0;
}

/* ---- making it ---- */

/* mkdir -p; the last one is its owner's alone. */
int home_make_dir(const struct home *h, struct err *err)
{
    char path[HOME_PATH_MAX];

    memcpy(path, h->dir, sizeof path);
    for (char *p = path + 1; *p != '\0'; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        (void)mkdir(path, 0755); /* what is missing shows at the last one */
        *p = '/';
    }
    if (mkdir(path, 0700) == 0 || errno == EEXIST)
        return 0;
    return err_set(err, E_IO, "不能建立目录 %s：%s", path, strerror(errno));
}

int home_split(const char *address, char ret_host[HOST_MAX], uint16_t *ret_port, struct err *err)
{
    const char *colon = strrchr(address, ':');
    size_t len = colon == NULL ? 0 : (size_t)(colon - address);
    char *end = NULL;
    unsigned long port = colon == NULL ? 0 : strtoul(colon + 1, &end, 10);

    if (len == 0 || len >= HOST_MAX || end == colon + 1 || *end != '\0' || port > 65535)
        return err_set(err, E_USAGE, "地址“%s”应写成 主机:端口", address);
    if (address[0] == '[' && address[len - 1] == ']') {
        address++;
        len -= 2;
    }
    memcpy(ret_host, address, len);
    ret_host[len] = '\0';
    *ret_port = (uint16_t)port;
    return 0;
}

bool home_every_interface(const char *host)
{
    return strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
}

int home_told(const struct home *h, const char *listen, char ret_host[HOST_MAX],
              uint16_t *ret_port, struct err *err)
{
    const char *advertise = conf_text(&h->conf, HOME_SECTION, "advertise");
    int ret = home_split(conf_text(&h->conf, HOME_SECTION, listen), ret_host, ret_port, err);

    if (ret == 0 && advertise[0] != '\0')
        (void)snprintf(ret_host, HOST_MAX, "%s", advertise);
    if (ret == 0 && home_every_interface(ret_host))
        ret = err_set(err, E_INVALID,
                      "%s 监听全部地址（%s）：请先在 ztcd.ini 的 advertise 写明县市区能访问的"
                      "主机名或地址，再重新启动",
                      listen, ret_host);
    return ret;
}

/* A port of the host that is free now; the socket stays open in *RET_FD so that the next is another. */
static int free_port(const char *host, uint16_t *ret_port, int *ret_fd)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return E_IO;
    if (inet_pton(AF_INET, host, &at.sin_addr) != 1 ||
        bind(fd, (struct sockaddr *)&at, len) != 0 ||
        getsockname(fd, (struct sockaddr *)&at, &len) != 0) {
        (void)close(fd);
        return E_IO;
    }
    *ret_port = ntohs(at.sin_port);
    *ret_fd = fd;
    return 0;
}

static int put_address(struct home *h, const char *name, const char *given, int *ret_fd,
                       struct err *err)
{
    char host[HOST_MAX], text[HOST_MAX + 16];
    uint16_t port;
    int ret = home_split(given != NULL ? given : "127.0.0.1:0", host, &port, err);

    *ret_fd = -1;
    if (ret == 0 && port == 0 && free_port(host, &port, ret_fd) != 0)
        ret = err_set(err, E_IO, "%s 上没有空闲端口", host);
    if (ret != 0)
        return ret;
    (void)snprintf(text, sizeof text, strchr(host, ':') != NULL ? "[%s]:%u" : "%s:%u", host, port);
    return conf_set(&h->conf, HOME_SECTION, name, text, err);
}

static int make_conf(struct home *h, const struct home_new *n, struct err *err)
{
    struct home_path p;
    int a = -1, b = -1;
    int ret = put_address(h, "listen", n->listen, &a, err);

    if (ret == 0)
        ret = put_address(h, "enrol_listen", n->enrol_listen, &b, err);
    if (a >= 0)
        (void)close(a);
    if (b >= 0)
        (void)close(b);
    return ret != 0 ? ret : conf_save(&h->conf, home_file(h, "ztcd.ini", &p), err);
}

static int make_key(struct home *h, const char *name, struct key **ret, struct err *err)
{
    struct home_path p;
    int status = key_new(ret, err);

    return status != 0 ? status : key_save(*ret, home_file(h, name, &p), err);
}

static int make_keys(struct home *h, struct err *err)
{
    struct random random = random_system();
    struct home_path p;
    int ret = make_key(h, "server.key", &h->server_key, err);

    if (ret == 0)
        ret = make_key(h, "log.key", &h->log_key, err);
    if (ret == 0)
        ret = seal_key_load(home_file(h, "vault.key", &p), true, &random, &h->vault_key, err);
    if (ret == 0)
        h->vault = vault_of(&h->vault_key);
    return ret;
}

static struct city_options city_options(struct home *h, msec_t now)
{
    struct city_options o = {.random = random_system(),
                             .signer = key_signer(h->log_key),
                             .vault = &h->vault,
                             .now = now};

    if (h->log_public != NULL)
        o.verifier = pubkey_verifier(h->log_public);
    return o;
}

/* The database is made under another name and gets its own last: a city exists whole or not at all. */
static int make_city(struct home *h, const struct home_new *n, msec_t now, struct err *err)
{
    struct city_options o = city_options(h, now);
    struct home_path at, made;
    struct city *city;
    struct id ledger;
    int ret;

    (void)home_file(h, "city.db.new", &made);
    (void)unlink(made.text); /* of an attempt that was interrupted */
    o.hasher = hasher_named(n->hash != NULL ? n->hash : HASH_PRESET);
    if (o.hasher == NULL)
        return err_set(err, E_USAGE, "--hash 应为 sm3 或 sha256");
    ret = city_create(made.text, &o, n->term != NULL ? n->term : TERM_PRESET, err);
    if (ret == 0)
        ret = city_open(made.text, &o, &city, err);
    if (ret != 0)
        return ret;
    ledger = city_ledger(city);
    city_close(city);
    ret = home_ca_create(h, &ledger, now, err);
    if (ret == 0 && rename(made.text, home_file(h, "city.db", &at)) != 0)
        ret = err_set(err, E_IO, "不能改名 %s：%s", made.text, strerror(errno));
    return ret;
}

/* The keys of a city whose store is gone: without them no county comes in again, and nothing that the counties
 * have can be proved. A CA's certificate is the last to be made, so an init that was interrupted has none. */
static int check_no_keys(const struct home *h, struct err *err)
{
    struct home_path heads;
    unsigned age;
    int ret = home_ca_age(h->dir, &age, err);

    if (ret == 0 && (age > 0 || access(home_file(h, "heads", &heads), F_OK) == 0))
        ret = err_set(err, E_EXISTS,
                      "%s 中有原来一个市的密钥，没有改动；要恢复它请用 ztcd restore，要另建一个请先把目录中的文件都移走",
                      h->dir);
    return ret;
}

int home_create(struct home *h, const struct home_new *n, msec_t now, struct err *err)
{
    struct sockaddr_un control;
    int lock, ret = control_address(h, &control, err);

    if (ret == 0)
        ret = home_make_dir(h, err);
    if (ret == 0)
        ret = home_lock(h, &lock, err);
    if (ret != 0)
        return ret;
    if (home_exists(h))
        ret = err_set(err, E_EXISTS, "%s 中已有市级数据，没有改动", h->dir);
    if (ret == 0)
        ret = home_is_free(h, err);
    if (ret == 0)
        ret = check_no_keys(h, err);
    if (ret == 0)
        ret = make_conf(h, n, err);
    if (ret == 0)
        ret = make_keys(h, err);
    if (ret == 0)
        ret = make_city(h, n, now, err);
    (void)close(lock);
    return ret;
}

/* ---- using it ---- */

int home_load_reading(struct home *h, struct err *err)
{
    struct home_path p;
    int ret;

    if (!home_exists(h))
        return err_set(err, E_NOTFOUND, "%s 中没有市级数据，请先运行 ztcd init", h->dir);
    h->conf.on_unknown = warn_setting;
    ret = conf_load(&h->conf, home_file(h, "ztcd.ini", &p), err);
    if (ret == 0)
        ret = seal_key_load(home_file(h, "vault.key", &p), false, NULL, &h->vault_key, err);
    if (ret == 0)
        h->vault = vault_of(&h->vault_key);
    return ret;
}

/* To know our own signature again. */
static int load_public(struct home *h, struct err *err)
{
    struct buf der;
    int ret;

    buf_init(&der, 1024);
    ret = key_public(h->log_key, &der);
    if (ret == 0)
        ret = pubkey_load(buf_slice(&der), &h->log_public, err);
    buf_release(&der);
    return ret;
}

int home_load(struct home *h, struct err *err)
{
    struct home_path p;
    int ret = home_load_reading(h, err);

    if (ret == 0)
        ret = home_ca_load(h, &h->authorities, err);
    if (ret == 0)
        ret = key_load(home_file(h, "server.key", &p), &h->server_key, err);
    if (ret == 0)
        ret = key_load(home_file(h, "log.key", &p), &h->log_key, err);
    return ret == 0 ? load_public(h, err) : ret;
}

int home_lock(const struct home *h, int *ret_fd, struct err *err)
{
    struct home_path p;
    int fd = open(home_file(h, "ztcd.lock", &p), O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0)
        return err_set(err, errno == ENOENT ? E_NOTFOUND : E_IO, "不能打开 %s：%s", p.text,
                       strerror(errno));
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        (void)close(fd);
        return err_set(err, E_BUSY, "目录 %s 正由另一个 ztcd 使用", h->dir);
    }
    *ret_fd = fd;
    return 0;
}

int home_open_city(struct home *h, msec_t now, struct city **ret, struct err *err)
{
    struct city_options o = city_options(h, now);
    struct home_path p, marker, heads;

    o.marker = home_file(h, "merging", &marker);
    o.heads = home_file(h, "heads", &heads);
    return city_open(home_file(h, "city.db", &p), &o, ret, err);
}

/* The heads file knows what the store should have: it was put back behind our back. */
static int freeze(struct city *city, msec_t now, struct err *err)
{
    struct err why = {.ret = 0};
    int ret;

    if (!city_is_behind(city, &why))
        return 0;
    log_error("store: older than it was -> frozen until ztcd recover --close cause=%s", why.text);
    ret = city_begin(city, now, err);
    if (ret == 0)
        ret = city_restart(city, why.text, err);
    if (ret == 0)
        return city_commit(city, err);
    city_rollback(city);
    return ret;
}

int home_open_own(struct home *h, msec_t now, struct city **ret, struct err *err)
{
    int status = home_open_city(h, now, ret, err);

    if (status == 0)
        status = freeze(*ret, now, err);
    if (status != 0) {
        city_close(*ret);
        *ret = NULL;
    }
    return status;
}

int home_open_copy(struct home *h, const char *path, msec_t now, struct city **ret,
                   struct err *err)
{
    struct city_options o;
    struct home_path p;
    int status = seal_key_load(home_file(h, "vault.key", &p), false, NULL, &h->vault_key, err);

    if (status == 0)
        status = key_load(home_file(h, "log.key", &p), &h->log_key, err);
    if (status != 0)
        return status;
    h->vault = vault_of(&h->vault_key);
    o = city_options(h, now);
    return city_open(path, &o, ret, err);
}

int home_open_store(struct home *h, struct store **ret, struct err *err)
{
    struct store_options o = {.readonly = true, .vault = &h->vault};
    struct home_path p;

    return store_open(home_file(h, "city.db", &p), &o, ret, err);
}

int home_control(const struct home *h, int *ret_fd, struct err *err)
{
    struct sockaddr_un at;
    int fd, ret = control_address(h, &at, err);

    if (ret != 0)
        return ret;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&at, sizeof at) != 0) {
        if (fd >= 0)
            (void)close(fd);
        return err_set(err, E_UNREACHABLE, "市级服务没有运行");
    }
    *ret_fd = fd;
    return 0;
}
