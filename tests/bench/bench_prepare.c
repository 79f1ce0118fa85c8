/* bench_prepare DIR N SITES: give the city of DIR (made by `ztcd init`, not running) a member and a studio
 * a site, and N enrolled replicas, in turn of the first SITES sites. Their identities go to DIR/crew. */
#include "common/base/mem.h"
#include "server/admin/home.h"
#include "tests/bench/crew.h"
#include "tests/bench/settle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CREW_MAX (64u << 20)

struct preparing {
    struct home home;
    struct city *city;
    struct key *key;
    struct settled_site sites[BENCH_SITES];
    struct random random;
    struct buf csr, crew, der;
    msec_t now;
    struct err err;
};

static void enrol(struct preparing *p, unsigned at)
{
    struct id replica = id_v7(p->now, &p->random);
    uint8_t fingerprint[HASH_SIZE];
    struct cert *cert;
    struct author author;
    char serial[48];

    settle_must(ca_issue_replica(p->home.authorities->at[0].ca, p->home.authorities->at[0].key,
                                 buf_slice(&p->csr), bench_sites[at], &replica, p->now, CERT_DAYS, &cert, &p->err),
                &p->err, "certificate");
    cert_serial(cert, serial);
    cert_fingerprint(cert, fingerprint);
    settle_replica(p->city, at, &replica, p->now, &p->sites[at], serial, fingerprint, &author);
    buf_clear(&p->der);
    settle_must(cert_to_der(cert, &p->der), &p->err, "certificate");
    crew_put(&p->crew, &author, buf_slice(&p->der));
    cert_free(cert);
}

static void keep(struct preparing *p)
{
    struct home_path path;
    FILE *f = fopen(home_file(&p->home, "crew", &path), "wb");

    if (f == NULL || fwrite(p->crew.p, 1, p->crew.len, f) != p->crew.len || fclose(f) != 0)
        exit(1);
    settle_must(key_save(p->key, home_file(&p->home, "crew.key", &path), &p->err), &p->err, "key");
}

static void open_all(struct preparing *p, const char *dir)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_REALTIME, &t); /* cannot fail for this clock */
    p->now = (msec_t)t.tv_sec * 1000;
    p->random = (struct random){0};
    buf_init(&p->csr, 8192);
    buf_init(&p->der, 8192);
    buf_init(&p->crew, CREW_MAX);
    settle_must(home_init(&p->home, dir, &p->err), &p->err, "home");
    settle_must(home_load(&p->home, &p->err), &p->err, "home");
    settle_must(home_open_city(&p->home, p->now, &p->city, &p->err), &p->err, "city");
    settle_must(key_new(&p->key, &p->err), &p->err, "key");
    settle_must(csr_new(p->key, &p->csr, &p->err), &p->err, "request");
}

int main(int argc, char **argv)
{
    static struct preparing p;
    struct random_seeded seeded;
    struct id ledger;
    size_t n = argc == 4 ? strtoull(argv[2], NULL, 10) : 0;
    unsigned sites = argc == 4 ? (unsigned)strtoul(argv[3], NULL, 10) : 0;

    if (n == 0 || sites == 0 || sites > BENCH_SITES) {
        (void)fprintf(stderr, "usage: bench_prepare DIR N SITES\n");
        return 2;
    }
    open_all(&p, argv[1]);
    p.random = random_seeded_init(&seeded, 7);
    ledger = city_ledger(p.city);
    settle_must(key_public(p.home.log_key, &p.der), &p.err, "log key");
    crew_put_head(&p.crew, &ledger, buf_slice(&p.der), n);
    settle_must(city_begin(p.city, p.now, &p.err), &p.err, "begin");
    settle_sites(p.city, p.sites);
    for (size_t i = 0; i < n; i++)
        enrol(&p, (unsigned)(i % sites));
    settle_must(city_commit(p.city, &p.err), &p.err, "commit");
    city_close(p.city);
    keep(&p);
    buf_release(&p.csr);
    buf_release(&p.der);
    buf_release(&p.crew);
    key_free(p.key);
    home_release(&p.home);
    return 0;
}
