#include "tests/bench/crew.h"

#include "common/crypto/hash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CREW_MAX (64u << 20)
#define DER_MAX  8192u

static void put_id(struct buf *out, const struct id *id)
{
    buf_put(out, id->b, ID_SIZE);
}

void crew_put_head(struct buf *out, const struct id *ledger, struct slice log_key, size_t n)
{
    put_id(out, ledger);
    buf_bytes(out, log_key);
    buf_varint(out, n);
}

void crew_put(struct buf *out, const struct author *a, struct slice cert)
{
    put_id(out, &a->replica);
    put_id(out, &a->clerk);
    put_id(out, &a->studio);
    put_id(out, &a->member);
    buf_be32(out, a->site);
    buf_bytes(out, cert);
}

static struct slice read_file(struct arena *a, const char *path)
{
    FILE *f = fopen(path, "rb");
    uint8_t *p = arena_alloc(a, CREW_MAX);
    size_t n = f != NULL && p != NULL ? fread(p, 1, CREW_MAX, f) : 0;

    if (f != NULL)
        (void)fclose(f);
    return (struct slice){p, n};
}

static void take_members(struct crew *c, struct rd *r)
{
    c->members = arena_zalloc(&c->arena, c->n * sizeof *c->members);
    for (size_t i = 0; c->members != NULL && i < c->n; i++) {
        struct author *a = &c->members[i].author;

        a->replica = id_take(r);
        a->clerk = id_take(r);
        a->studio = id_take(r);
        a->member = id_take(r);
        a->site = rd_be32(r);
        a->hasher = hasher_of(HASH_SM3);
        a->random = random_seeded_init(&a->seeded, i + 1);
        c->members[i].cert = rd_bytes(r, DER_MAX);
    }
}

void crew_load(struct crew *c, const char *dir)
{
    struct err err = {.ret = 0};
    char path[4096];
    struct rd r;

    memset(c, 0, sizeof *c);
    arena_init(&c->arena, 2 * CREW_MAX);
    (void)snprintf(path, sizeof path, "%s/crew", dir);
    r = rd_of(read_file(&c->arena, path));
    c->ledger = id_take(&r);
    c->log_key = rd_bytes(&r, DER_MAX);
    c->n = (size_t)rd_varint(&r);
    if (!r.bad && c->n <= rd_left(&r) / ID_SIZE)
        take_members(c, &r);
    (void)snprintf(path, sizeof path, "%s/crew.key", dir);
    if (rd_done(&r) && c->members != NULL && key_load(path, &c->key, &err) == 0) {
        (void)snprintf(path, sizeof path, "%s/ca.pem", dir);
        if (cert_load(path, &c->ca, &err) == 0)
            return;
    }
    (void)fprintf(stderr, "crew: cannot read %s %s\n", dir, err.text);
    exit(1);
}

void crew_release(struct crew *c)
{
    key_free(c->key);
    cert_free(c->ca);
    arena_release(&c->arena);
}
