/* bench_edit A B SCRATCH N: N edits of one record at the replica of directory A, each until the replica of
 * B has taken it in; agents of both run. Beside it, in the same run, what must happen at least: one row
 * committed and synced by raw SQLite, and one round trip through TLS. */
#include "client/cmd/home.h"
#include "common/base/mem.h"
#include "tests/bench/gauge.h"
#include "tests/bench/raw.h"
#include "tests/bench/rtt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#define WITHIN     10.0   /* seconds for one edit to arrive */
#define PAUSE_NS   20000000 /* between edits */
#define GLANCE_NS  20000
#define ARENA_MAX  (1u << 20)
#define FIELDS_MAX 10u

struct bench {
    struct home a, b;
    struct actor clerk;
    struct id record, studio, member;
    struct arena arena;
    double *edits, *writes, *commits, *trips; /* seconds; writes: the part of an edit at A */
    unsigned n;
    struct err err;
};

static void must(struct bench *b, int ret, const char *what)
{
    if (ret == 0)
        return;
    (void)fprintf(stderr, "%s: %s %s\n", what, err_code(ret), b->err.text);
    exit(1);
}

static void nap(long ns)
{
    struct timespec t = {.tv_nsec = ns};

    (void)nanosleep(&t, NULL); /* shorter by a signal does no harm */
}

static msec_t wall_clock(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_REALTIME, &t); /* cannot fail for this clock */
    return (msec_t)t.tv_sec * 1000 + (msec_t)t.tv_nsec / 1000000;
}

/* ---- edits ---- */

static int take_id(void *ctx, struct row *row)
{
    *(struct id *)ctx = row->id;
    return 1;
}

static uint64_t cursor(struct bench *b)
{
    struct stream_head h;

    must(b, store_stream_get(replica_store(b->b.replica), b->clerk.site, &h, &b->err), "cursor");
    return h.seq;
}

static void await(struct bench *b, uint64_t above)
{
    double from = gauge_now();

    while (cursor(b) <= above) {
        if (gauge_now() - from > WITHIN)
            must(b, E_TIMEOUT, "the edit does not arrive");
        nap(GLANCE_NS);
    }
}

static void add(struct draft *d, const char *name, struct value v)
{
    d->fields[d->n_fields++] =
        (struct field_change){.tag = kind_field_named(d->kind, name)->tag, .form = FORM_SET, .v = v};
}

static void write_draft(struct bench *b, struct draft *d)
{
    arena_clear(&b->arena);
    must(b, replica_write(b->a.replica, &b->arena, &b->clerk.account, d, 1, UINT64_MAX,
                          wall_clock(), &b->err),
         "write");
}

static void create(struct bench *b)
{
    struct field_change fields[FIELDS_MAX];
    struct draft d = {.kind = catalogue_kind_named("opinion"),
                      .op = OP_CREATE,
                      .to = slice_str("collected"),
                      .fields = fields};
    uint64_t before = cursor(b);

    add(&d, "studio_id", value_id(&b->studio)); /* in the order of their tags */
    add(&d, "received_at", value_str("2026-01-05T09:30:00+08:00"));
    add(&d, "channel", value_str("visit"));
    add(&d, "receiver", value_id(&b->member));
    add(&d, "anonymous", value_int(1));
    add(&d, "title", value_str("路灯不亮"));
    add(&d, "content", value_str("村口的路灯坏了很久，晚上看不清路。"));
    add(&d, "category", value_str("social"));
    write_draft(b, &d);
    b->record = d.record;
    await(b, before);
}

static double edit(struct bench *b, unsigned i)
{
    struct field_change fields[1];
    struct draft d = {.kind = catalogue_kind_named("opinion"),
                      .record = b->record,
                      .op = OP_SET,
                      .fields = fields};
    uint64_t before = cursor(b);
    char text[32];
    double from;

    (void)snprintf(text, sizeof text, "第%u次", i + 1);
    add(&d, "keywords", value_str(text));
    from = gauge_now();
    write_draft(b, &d);
    b->writes[i] = gauge_now() - from;
    await(b, before);
    return gauge_now() - from;
}

/* ---- the least ---- */

static double commit(struct bench *b, struct raw *r, struct workload *w)
{
    struct opinion o;
    double from;

    workload_next(w, &o);
    from = gauge_now();
    raw_begin(r);
    raw_put(r, &o, &b->studio, &b->member);
    raw_commit(r);
    return gauge_now() - from;
}

/* In turn, each after the same pause: a disk that rests answers later than one that is busy. */
static void measure(struct bench *b, const char *scratch)
{
    struct workload w;
    struct raw r;
    char path[4096];

    (void)snprintf(path, sizeof path, "%s/commits.db", scratch);
    raw_open(&r, path);
    workload_init(&w, 1, 1);
    for (unsigned i = 0; i < b->n; i++) {
        nap(PAUSE_NS);
        b->commits[i] = commit(b, &r, &w);
        nap(PAUSE_NS);
        b->edits[i] = edit(b, i);
    }
    raw_close(&r);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static double quantile(double *v, unsigned n, unsigned percent)
{
    qsort(v, n, sizeof *v, by_size);
    return v[(n - 1) * percent / 100] * 1000;
}

int main(int argc, char **argv)
{
    static struct bench b;
    const char *scratch = argc == 5 ? argv[3] : "";

    b.n = argc == 5 ? (unsigned)strtoul(argv[4], NULL, 10) : 0;
    b.edits = mem_calloc(4 * (size_t)b.n, sizeof *b.edits);
    if (b.n == 0 || b.edits == NULL) {
        (void)fprintf(stderr, "usage: bench_edit A B SCRATCH N\n");
        return 2;
    }
    b.commits = b.edits + b.n;
    b.trips = b.commits + b.n;
    b.writes = b.trips + b.n;
    arena_init(&b.arena, ARENA_MAX);
    (void)prctl(PR_SET_TIMERSLACK, 1); /* else each glance comes 50 us late */
    rtt_measure(b.trips, b.n); /* forks: before anything is open */
    must(&b, home_open(&b.a, argv[1], &b.err), "A");
    must(&b, home_open(&b.b, argv[2], &b.err), "B");
    must(&b, replica_actor(b.a.replica, NULL, &b.clerk, &b.err), "account");
    (void)store_row_each(replica_store(b.a.replica), catalogue_kind_named("studio"), take_id,
                         &b.studio, &b.err);
    (void)store_row_each(replica_store(b.a.replica), catalogue_kind_named("member"), take_id,
                         &b.member, &b.err);
    create(&b);
    measure(&b, scratch);
    (void)printf("{\"p50_ms\": %.4f, \"p99_ms\": %.4f, \"write_ms\": %.4f, \"commit_ms\": %.4f,"
                 " \"trip_ms\": %.4f}\n",
                 quantile(b.edits, b.n, 50), quantile(b.edits, b.n, 99),
                 quantile(b.writes, b.n, 50), quantile(b.commits, b.n, 50),
                 quantile(b.trips, b.n, 50));
    home_close(&b.a);
    home_close(&b.b);
    arena_release(&b.arena);
    mem_free(b.edits);
    return 0;
}
