/* bench_store raw|merge DIR ROWS: the common workload into a new file of DIR, by raw SQLite or by the
 * city's merge without a network. Making the rows, decoding and hashing stand outside the time: the
 * daemon does that on other threads. */
#include "common/base/mem.h"
#include "common/crypto/hash.h"
#include "server/core/prepare.h"
#include "tests/bench/gauge.h"
#include "tests/bench/raw.h"
#include "tests/bench/settle.h"
#include "tests/lib/toy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEED  1
#define GROUP 1000u
#define NOW   1767225600000u

static struct opinion opinions[GROUP];

static uint64_t next_group(struct workload *w, uint64_t left)
{
    uint64_t n = left < GROUP ? left : GROUP;

    for (uint64_t i = 0; i < n; i++)
        workload_next(w, &opinions[i]);
    return n;
}

static void run_raw(const char *dir, uint64_t rows, struct gauge *g)
{
    struct random_seeded seeded;
    struct random random = random_seeded_init(&seeded, SEED);
    struct id studio = id_v7(NOW, &random), member = id_v7(NOW, &random);
    struct workload w;
    struct raw r;
    char path[4096];
    uint64_t n;

    (void)snprintf(path, sizeof path, "%s/raw.db", dir);
    raw_open(&r, path);
    workload_init(&w, SEED, BENCH_SITES);
    for (uint64_t left = rows; left > 0; left -= n) {
        n = next_group(&w, left);
        gauge_go(g);
        raw_begin(&r);
        for (uint64_t i = 0; i < n; i++)
            raw_put(&r, &opinions[i], &studio, &member);
        raw_commit(&r);
        gauge_stop(g);
    }
    raw_close(&r);
}

struct merge {
    struct city *city;
    struct settled_site sites[BENCH_SITES];
    struct author authors[BENCH_SITES];
    struct arena arena;
    struct buf bytes, side;
    struct change changes[GROUP];
    struct slice byte_slices[GROUP], sides[GROUP];
    struct act acts[GROUP];
    uint8_t chains[BENCH_SITES][HASH_SIZE]; /* of each author's own changes */
    struct err err;
};

static void settle(struct merge *m, const char *path, struct random *random)
{
    struct city_options o = {
        .hasher = hasher_of(HASH_SM3), .random = *random, .signer = toy_signer(), .now = NOW};

    settle_must(city_create(path, &o, "第五届", &m->err), &m->err, "create");
    settle_must(city_open(path, &o, &m->city, &m->err), &m->err, "open");
    settle_must(city_begin(m->city, NOW, &m->err), &m->err, "begin");
    settle_sites(m->city, m->sites);
    for (unsigned i = 0; i < BENCH_SITES; i++) {
        struct id replica = id_v7(NOW, random);
        uint8_t fingerprint[HASH_SIZE] = {(uint8_t)i};

        settle_replica(m->city, i, &replica, NOW, &m->sites[i], "1", fingerprint, &m->authors[i]);
        own_chain_start(o.hasher, &replica, m->chains[i]);
    }
    settle_must(city_commit(m->city, &m->err), &m->err, "commit");
}

/* As a push arrives: bytes, decoded, hashed. */
static void receive(struct merge *m, size_t i)
{
    struct author *a = &m->authors[opinions[i].site];
    struct act *act = &m->acts[i];

    buf_clear(&m->bytes);
    buf_clear(&m->side);
    author_create(a, &opinions[i], &m->bytes, &m->side);
    m->byte_slices[i] = (struct slice){arena_dup(&m->arena, m->bytes.p, m->bytes.len), m->bytes.len};
    m->sides[i] = (struct slice){arena_dup(&m->arena, m->side.p, m->side.len), m->side.len};
    settle_must(change_decode(&m->arena, m->byte_slices[i], m->sides[i], &m->changes[i]), &m->err,
                "decode");
    *act = (struct act){
        .changes = &m->changes[i], .n = 1, .bytes = &m->byte_slices[i], .sides = &m->sides[i]};
    settle_must(act_prepare(&m->arena, a->hasher, m->chains[opinions[i].site], act), &m->err,
                "prepare");
}

static void push(struct merge *m, size_t i)
{
    bool refused;

    settle_must(city_push_act(m->city, &m->changes[i].replica, &m->acts[i], &refused, &m->err), &m->err,
                "push");
    settle_must(refused ? E_INTERNAL : 0, &m->err, "refused");
}

static void run_merge(const char *dir, uint64_t rows, struct gauge *g)
{
    struct random_seeded seeded;
    struct random random = random_seeded_init(&seeded, SEED);
    struct merge *m = mem_calloc(1, sizeof *m);
    struct workload w;
    char path[4096];
    uint64_t n;

    if (m == NULL)
        exit(1);
    (void)snprintf(path, sizeof path, "%s/city.db", dir);
    arena_init(&m->arena, 256u << 20);
    buf_init(&m->bytes, ACT_MAX_BYTES);
    buf_init(&m->side, ACT_MAX_BYTES);
    settle(m, path, &random);
    workload_init(&w, SEED, BENCH_SITES);
    for (uint64_t left = rows; left > 0; left -= n) {
        n = next_group(&w, left);
        arena_clear(&m->arena);
        for (size_t i = 0; i < n; i++)
            receive(m, i);
        gauge_go(g);
        settle_must(city_begin(m->city, NOW, &m->err), &m->err, "begin");
        for (unsigned site = 0; site < BENCH_SITES; site++) { /* as pushes come: one replica's together */
            for (size_t i = 0; i < n; i++) {
                if (opinions[i].site == site)
                    push(m, i);
            }
        }
        settle_must(city_commit(m->city, &m->err), &m->err, "commit");
        gauge_stop(g);
    }
    city_close(m->city);
    buf_release(&m->bytes);
    buf_release(&m->side);
    arena_release(&m->arena);
    mem_free(m);
}

int main(int argc, char **argv)
{
    struct gauge g = {.wall = 0};
    uint64_t rows = argc == 4 ? strtoull(argv[3], NULL, 10) : 0;

    if (rows > 0 && strcmp(argv[1], "raw") == 0) {
        run_raw(argv[2], rows, &g);
    } else if (rows > 0 && strcmp(argv[1], "merge") == 0) {
        run_merge(argv[2], rows, &g);
    } else {
        (void)fprintf(stderr, "usage: bench_store raw|merge DIR ROWS\n");
        return 2;
    }
    gauge_print(&g, rows);
    return 0;
}
