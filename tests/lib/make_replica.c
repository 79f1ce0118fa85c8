/* make_replica DIR SITE: a county's directory as enrolment leaves it, with what the city's stream holds
 * then, and without a network. For tests of the local commands only. */
#include "client/store/replica.h"
#include "common/crypto/cert.h"
#include "common/crypto/hash.h"
#include "common/crypto/seal.h"
#include "server/store/city.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PATH_SIZE   4200
#define ENTRIES_MAX 4096

struct maker {
    const char *dir;
    uint32_t site, k;
    struct id replica, clerk;
    struct key *log_key;
    struct pubkey *public_key;
    struct seal_key vault_key, site_key;
    struct vault vault;
    struct random random;
    struct city *city;
    struct replica *r;
    msec_t now;
    struct arena a;
    struct arrived entries[ENTRIES_MAX];
    size_t n;
    struct err err;
};

static void must(struct maker *m, int ret, const char *what)
{
    if (ret == 0)
        return;
    (void)fprintf(stderr, "make_replica: %s: %s %s\n", what, err_code(ret), m->err.text);
    exit(1);
}

static const char *path_of(struct maker *m, const char *name)
{
    char *path = arena_printf(&m->a, "%s/%s", m->dir, name);

    must(m, path != NULL ? 0 : E_NOMEM, "path");
    return path;
}

static int vault_seal(void *ctx, struct slice plain, struct slice seed, struct buf *out)
{
    uint8_t nonce[SEAL_NONCE_SIZE];

    seal_nonce(ctx, seed, nonce);
    return seal(ctx, nonce, (struct slice){NULL, 0}, plain, out);
}

static int vault_open(void *ctx, struct slice sealed, struct buf *out)
{
    return seal_open(ctx, (struct slice){NULL, 0}, sealed, out);
}

/* ---- the city ---- */

static int issue(void *ctx, uint32_t site, char ret_serial[48], uint8_t ret_fingerprint[HASH_SIZE])
{
    (void)ctx;
    (void)snprintf(ret_serial, 48, "%u", site);
    memset(ret_fingerprint, 1, HASH_SIZE);
    return 0;
}

static void make_city(struct maker *m)
{
    const char *path = path_of(m, "city.db");
    struct city_options o = {.hasher = hasher_of(HASH_SM3),
                             .random = m->random,
                             .signer = key_signer(m->log_key),
                             .vault = &m->vault,
                             .now = m->now};
    uint8_t secret[HASH_SIZE] = {7};
    uint32_t site;

    must(m, city_create(path, &o, "第五届", &m->err), "city");
    must(m, city_open(path, &o, &m->city, &m->err), "city");
    must(m, city_begin(m->city, m->now, &m->err), "begin");
    must(m, city_token_add(m->city, m->site, secret, m->now + 1000, &m->err), "token");
    must(m, city_enrol(m->city, secret, &m->replica, issue, m, &site, &m->k, &m->clerk, &m->err),
         "enrol");
    must(m, city_commit(m->city, &m->err), "commit");
}

/* ---- the replica ---- */

static void make_files(struct maker *m)
{
    FILE *f = fopen(path_of(m, "log_key.der"), "wb");
    struct buf der;

    buf_init(&der, 4096);
    must(m, key_public(m->log_key, &der), "log key");
    must(m, f != NULL && fwrite(der.p, 1, der.len, f) == der.len ? 0 : E_IO, "log key");
    must(m, fclose(f) == 0 ? 0 : E_IO, "log key");
    must(m, pubkey_load(buf_slice(&der), &m->public_key, &m->err), "log key");
    buf_release(&der);
    must(m, seal_key_load(path_of(m, "site.key"), true, &m->random, &m->site_key, &m->err), "site");
}

static void make_replica(struct maker *m)
{
    struct replica_keys keys = {.hasher = hasher_of(HASH_SM3),
                                .log_key = pubkey_verifier(m->public_key),
                                .vault = &m->vault,
                                .random = m->random};
    struct replica_facts facts = {.id = m->replica,
                                  .ledger = city_ledger(m->city),
                                  .clerk = m->clerk,
                                  .site = m->site,
                                  .k = m->k,
                                  .incarnation = city_incarnation(m->city)};

    must(m, replica_create(path_of(m, "replica.db"), &keys, &facts, &m->err), "replica");
    must(m, replica_open(path_of(m, "replica.db"), &keys, &m->r, &m->err), "replica");
}

static struct slice keep(struct maker *m, struct slice s)
{
    uint8_t *copy = arena_dup(&m->a, s.p, s.len);

    must(m, copy != NULL ? 0 : E_NOMEM, "entry");
    return (struct slice){copy, s.len};
}

static int take(void *ctx, const struct entry *e)
{
    struct maker *m = ctx;

    if (m->n == ENTRIES_MAX)
        return E_TOOBIG;
    m->entries[m->n++] = (struct arrived){.received_at = e->received_at,
                                          .verdict = keep(m, e->verdict),
                                          .bytes = keep(m, e->bytes),
                                          .side = keep(m, e->side)};
    return 0;
}

static void bring(struct maker *m, uint32_t stream)
{
    struct slice head, signature;
    uint64_t seq;

    m->n = 0;
    must(m, store_entry_each(city_store(m->city), stream, 1, take, m, &m->err), "read");
    must(m, city_head(m->city, stream, &head, &signature, &seq), "head");
    must(m, replica_apply(m->r, stream, 1, m->entries, m->n, head, signature, &m->err), "apply");
}

int main(int argc, char **argv)
{
    static struct maker m;

    if (argc != 3) {
        (void)fprintf(stderr, "usage: make_replica DIR SITE\n");
        return 2;
    }
    m.dir = argv[1];
    m.site = (uint32_t)strtoul(argv[2], NULL, 10);
    m.now = (msec_t)time(NULL) * 1000;
    m.random = random_system();
    m.replica = id_v7(m.now, &m.random);
    m.vault = (struct vault){.seal = vault_seal, .open = vault_open, .ctx = &m.vault_key};
    arena_init(&m.a, 64u << 20);
    must(&m, mkdir(m.dir, 0700) == 0 ? 0 : E_IO, "folder");
    must(&m, key_new(&m.log_key, &m.err), "key");
    must(&m, seal_key_load(path_of(&m, "vault.key"), true, &m.random, &m.vault_key, &m.err),
         "vault");
    make_city(&m);
    make_files(&m);
    make_replica(&m);
    bring(&m, STREAM_SHARED);
    bring(&m, m.site);
    replica_close(m.r);
    city_close(m.city);
    must(&m, unlink(path_of(&m, "city.db")) == 0 ? 0 : E_IO, "city.db");
    (void)unlink(path_of(&m, "city.db-wal")); /* closed: there is none */
    (void)unlink(path_of(&m, "city.db-shm"));
    pubkey_free(m.public_key);
    key_free(m.log_key);
    arena_release(&m.a);
    return 0;
}
