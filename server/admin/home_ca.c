/* Making, reading, changing and dropping the city's CAs. */
#include "server/admin/home_ca.h"

#include "common/crypto/cert.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define GENERATION_MAX 999u

/* ---- names ---- */

static const char *file_of(const struct home *h, const char *stem, unsigned generation,
                           const char *suffix, struct home_path *p)
{
    char name[64];

    if (generation == 1)
        (void)snprintf(name, sizeof name, "%s.%s", stem, suffix);
    else
        (void)snprintf(name, sizeof name, "%s-%u.%s", stem, generation, suffix);
    return home_file(h, name, p);
}

/* 0: not the certificate of a CA. */
static unsigned generation_of(const char *name)
{
    unsigned generation = 0;
    char again[64];

    if (strcmp(name, "ca.pem") == 0)
        return 1;
    if (sscanf(name, "ca-%3u.pem", &generation) != 1 || generation > GENERATION_MAX)
        return 0;
    (void)snprintf(again, sizeof again, "ca-%u.pem", generation);
    return strcmp(again, name) == 0 ? generation : 0;
}

bool home_ca_is_certificate(const char *name)
{
    return generation_of(name) != 0;
}

bool home_ca_is_file(const char *name)
{
    static const char *const stems[][2] = {{"ca", "pem"}, {"ca", "key"}, {"server", "pem"}};
    unsigned generation = 0;
    char again[64];

    for (size_t i = 0; i < sizeof stems / sizeof *stems; i++) {
        size_t stem = strlen(stems[i][0]);

        (void)snprintf(again, sizeof again, "%s.%s", stems[i][0], stems[i][1]);
        if (strcmp(name, again) == 0)
            return true;
        if (strncmp(name, stems[i][0], stem) != 0 || sscanf(name + stem, "-%3u.", &generation) != 1)
            continue;
        (void)snprintf(again, sizeof again, "%s-%u.%s", stems[i][0], generation, stems[i][1]);
        if (strcmp(name, again) == 0)
            return true;
    }
    return false;
}

/* The newest two. */
static int list(const char *path, unsigned ret_generations[TRUST_MAX], unsigned *ret_n,
                struct err *err)
{
    DIR *dir = opendir(path);
    unsigned newest = 0, before = 0;

    if (dir == NULL)
        return err_set(err, E_IO, "读不了目录 %s：%s", path, strerror(errno));
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        unsigned generation = generation_of(e->d_name);

        if (generation > newest) {
            before = newest;
            newest = generation;
        } else if (generation > before && generation != newest) {
            before = generation;
        }
    }
    (void)closedir(dir); /* only read */
    ret_generations[0] = newest;
    ret_generations[1] = before;
    *ret_n = newest == 0 ? 0 : before == 0 ? 1 : 2;
    return 0;
}

int home_ca_age(const char *dir, unsigned *ret, struct err *err)
{
    unsigned generations[TRUST_MAX], n = 0;
    int status = list(dir, generations, &n, err);

    *ret = n == 0 ? 0 : 2 * generations[0] - (n > 1);
    return status;
}

/* ---- reading ---- */

static int load(const struct home *h, unsigned generation, struct authority *a, struct err *err)
{
    struct home_path p;
    int ret = cert_load(file_of(h, "ca", generation, "pem", &p), &a->ca, err);

    a->generation = generation;
    if (ret == 0)
        ret = key_load(file_of(h, "ca", generation, "key", &p), &a->key, err);
    if (ret == 0)
        ret = cert_load(file_of(h, "server", generation, "pem", &p), &a->server, err);
    return ret;
}

int home_ca_load(const struct home *h, struct authorities **ret, struct err *err)
{
    struct authority found[TRUST_MAX] = {{.generation = 0}};
    unsigned generations[TRUST_MAX], n = 0;
    int status = list(h->dir, generations, &n, err);

    if (status == 0 && n == 0)
        status = err_set(err, E_NOTFOUND, "%s 中没有根证书", h->dir);
    for (unsigned i = 0; status == 0 && i < n; i++)
        status = load(h, generations[i], &found[i], err);
    if (status == 0)
        return authorities_new(found, n, ret, err);
    for (unsigned i = 0; i < TRUST_MAX; i++) {
        cert_free(found[i].ca);
        key_free(found[i].key);
        cert_free(found[i].server);
    }
    return status;
}

/* ---- making ---- */

static int make_server(struct home *h, const struct authority *a, const struct id *ledger,
                       msec_t now, struct err *err)
{
    char host[HOST_MAX];
    uint16_t port;
    const char *hosts[] = {"localhost", "127.0.0.1", "::1", NULL, NULL};
    struct cert *server = NULL;
    struct home_path p;
    int ret = home_split(conf_text(&h->conf, HOME_SECTION, "listen"), host, &port, err);

    if (ret == 0 && strcmp(host, "127.0.0.1") != 0 && strcmp(host, "::1") != 0 &&
        !home_every_interface(host))
        hosts[3] = host;
    if (ret == 0)
        ret = ca_issue_city(a->ca, a->key, h->server_key, ledger, hosts, now, CERT_CA_DAYS, &server,
                            err);
    if (ret == 0)
        ret = cert_save(server, file_of(h, "server", a->generation, "pem", &p), err);
    cert_free(server);
    return ret;
}

static int make(struct home *h, unsigned generation, const struct id *ledger, msec_t now,
                struct err *err)
{
    struct authority a = {.generation = generation};
    struct home_path p;
    char name[32] = "Zhitongche";
    int ret = key_new(&a.key, err);

    if (generation > 1)
        (void)snprintf(name, sizeof name, "Zhitongche %u", generation);
    if (ret == 0)
        ret = key_save(a.key, file_of(h, "ca", generation, "key", &p), err);
    if (ret == 0)
        ret = ca_new(now, a.key, name, &a.ca, err);
    if (ret == 0)
        ret = make_server(h, &a, ledger, now, err);
    if (ret == 0)
        ret = cert_save(a.ca, file_of(h, "ca", generation, "pem", &p), err);
    cert_free(a.ca);
    key_free(a.key);
    return ret;
}

int home_ca_create(struct home *h, const struct id *ledger, msec_t now, struct err *err)
{
    return make(h, 1, ledger, now, err);
}

int home_ca_rotate(struct home *h, const struct id *ledger, msec_t now, struct err *err)
{
    unsigned generations[TRUST_MAX], n = 0;
    int ret = list(h->dir, generations, &n, err);

    if (ret != 0)
        return ret;
    if (n > 1)
        return err_set(err, E_EXISTS, "上一次更换根证书还没有结束，请先用 ztcd ca drop-old 停用旧的");
    if (n == 0 || generations[0] == GENERATION_MAX)
        return err_set(err, E_STATE, "不能更换根证书");
    return make(h, generations[0] + 1, ledger, now, err);
}

int home_ca_drop_old(struct home *h, struct err *err)
{
    unsigned generations[TRUST_MAX], n = 0;
    struct home_path p;
    int ret = list(h->dir, generations, &n, err);

    if (ret != 0)
        return ret;
    if (n < 2)
        return err_set(err, E_NOTFOUND, "没有在停用中的旧根证书");
    if (unlink(file_of(h, "ca", generations[1], "pem", &p)) != 0)
        return err_set(err, E_IO, "不能删除 %s：%s", p.text, strerror(errno));
    /* Also what a crash left here earlier; usually there is nothing of it. */
    for (unsigned generation = 1; generation <= generations[1]; generation++) {
        (void)unlink(file_of(h, "ca", generation, "key", &p));
        (void)unlink(file_of(h, "server", generation, "pem", &p));
    }
    return 0;
}
