/* The daemon's writer and reader under load: several producers on the loop keep the writer's thread
 * busy, and everything it announces is read back in libuv's pool meanwhile. Made for the thread
 * sanitizer; without it, a test of order and completeness. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/mem.h"
#include "common/crypto/hash.h"
#include "server/net/uv_checkpoint.h"
#include "server/net/uv_reader.h"
#include "server/net/uv_writer.h"
#include "tests/lib/toy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PRODUCERS   6
#define ROUNDS      20
#define START       20   /* pages of the log: time for a checkpoint */
#define COMMITS     1000
#define NOW         1772690400000ull /* 2026-03-05 14:00 in Chenzhou */
#define DEADLINE_MS 60000            /* of the whole; reaching it is a failure */

/* ---- fixture ---- */

struct world;

struct producer {
    struct write_job job;
    struct world *w;
    unsigned no, round;
    bool look; /* the job in hand only reads */
};

struct world {
    char dir[64], path[96];
    uv_loop_t loop;
    uv_timer_t deadline;
    struct random_seeded seed;
    struct city *city;
    struct writer *writer;
    struct reader *reader;
    struct producer producers[PRODUCERS];
    unsigned busy; /* producers that have not finished */
    unsigned acts, looks, canceled;
    uint64_t announced, read_upto; /* of the stream `shared` */
    bool reading, closing;
    struct read_job read;
    unsigned n_settled;
};

static msec_t clock_now(void)
{
    return NOW;
}

static void on_late(uv_timer_t *timer)
{
    (void)timer;
    fail_msg("the world stands still");
}

static struct city *reopen(struct world *w)
{
    struct city_options o = {.hasher = hasher_of(HASH_SM3), .signer = toy_signer(), .now = NOW};
    struct city *city;
    struct err err = {0};

    o.random = random_seeded_init(&w->seed, 6);
    if (city_open(w->path, &o, &city, &err) != 0)
        fail_msg("%s", err.text);
    return city;
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    struct city_options o = {.hasher = hasher_of(HASH_SM3), .signer = toy_signer(), .now = NOW};
    struct err err = {0};

    *state = w;
    strcpy(w->dir, "/tmp/test_writer_XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    (void)snprintf(w->path, sizeof w->path, "%s/city.db", w->dir);
    o.random = random_seeded_init(&w->seed, 5);
    if (city_create(w->path, &o, "第五届", &err) != 0)
        fail_msg("%s", err.text);
    w->city = reopen(w);
    assert_int_equal(uv_loop_init(&w->loop), 0);
    assert_int_equal(uv_timer_init(&w->loop, &w->deadline), 0);
    assert_int_equal(uv_timer_start(&w->deadline, on_late, DEADLINE_MS, 0), 0);
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    char command[128];

    assert_int_equal(uv_loop_close(&w->loop), 0);
    city_close(w->city);
    (void)snprintf(command, sizeof command, "rm -r %s", w->dir);
    assert_int_equal(system(command), 0);
    free(w);
    return 0;
}

/* ---- what is read ---- */

static void read_on(struct world *w);
static void end_when_idle(struct world *w);

static void on_read(struct read_job *job)
{
    struct world *w = (struct world *)((char *)job - offsetof(struct world, read));

    assert_int_equal(job->ret, 0);
    assert_true(job->count > 0 && job->body.len > 0);
    w->read_upto += job->count;
    buf_release(&job->body);
    w->reading = false;
    read_on(w);
    end_when_idle(w);
}

static void read_on(struct world *w)
{
    if (!w->reading && w->read_upto < w->announced) {
        w->reading = true;
        w->read = (struct read_job){
            .stream = STREAM_SHARED, .from_seq = w->read_upto + 1, .done = on_read};
        w->read.limits = (struct batch_limits){
            .upto_seq = w->announced, .max_entries = 64, .max_bytes = 64u << 10};
        reader_submit(w->reader, &w->read);
    }
}

static void on_advanced(void *ctx, const struct writer_head *heads, size_t n)
{
    struct world *w = ctx;

    for (size_t i = 0; i < n; i++) {
        assert_true(heads[i].head.len > 0 && heads[i].signature.len > 0);
        if (heads[i].stream != STREAM_SHARED)
            continue;
        assert_true(heads[i].seq > w->announced);
        for (uint64_t seq = w->announced + 1; seq <= heads[i].seq; seq++)
            assert_non_null(tail_get(heads[i].entries, seq));
        w->announced = heads[i].seq;
    }
    if (!w->closing)
        read_on(w);
}

static void on_settled(void *ctx)
{
    struct world *w = ctx;

    w->n_settled++;
}

/* ---- what is written ---- */

/* On the writer's thread. */
static int make_sector(struct write_job *job, struct city *city, struct err *err)
{
    const struct producer *p = (const struct producer *)job;
    const struct kind *kind = catalogue_kind_named("sector");
    char name[64];
    struct field_change field = {.tag = kind_field_named(kind, "name")->tag, .form = FORM_SET};
    struct change c = {.op = OP_CREATE, .kind = kind->tag, .seen = UINT64_MAX >> 1};
    struct act act = {.changes = &c, .n = 1};

    (void)snprintf(name, sizeof name, "界别%u-%u", p->no, p->round);
    field.v = value_str(name);
    c.fields = &field;
    c.n_fields = 1;
    act.actor = (struct actor){.is_system = true, .side = SIDE_CITY, .site = SITE_CITY};
    job->wrote = true;
    return city_act(city, &act, err);
}

static int look_at_city(struct write_job *job, struct city *city, struct err *err)
{
    struct slice head, signature;
    uint64_t seq;

    (void)job;
    (void)err;
    return city_head(city, STREAM_SHARED, &head, &signature, &seq);
}

static void produce(struct producer *p);

static void on_written(struct write_job *job)
{
    struct producer *p = (struct producer *)job;
    struct world *w = p->w;
    struct writer_status status;

    if (job->ret == E_CLOSED)
        w->canceled++;
    else if (job->ret != 0)
        fail_msg("%s %s", err_code(job->ret), job->err.text);
    else if (p->look)
        w->looks++;
    else
        w->acts++;
    writer_status(w->writer, &status);
    assert_false(status.refused);
    produce(p);
}

/* Mostly acts, now and then a look, now and then a job that is canceled while it may be running. */
static void produce(struct producer *p)
{
    struct world *w = p->w;

    if (p->round == ROUNDS) {
        w->busy--;
        end_when_idle(w);
        return;
    }
    p->round++;
    p->look = p->round % 4 == 0;
    p->job = (struct write_job){
        .run = p->look ? look_at_city : make_sector, .done = on_written, .changes = 1, .bytes = 64};
    p->job.reads = p->look;
    assert_false(writer_full(w->writer));
    writer_submit(w->writer, &p->job);
    if (p->round % 7 == 0)
        writer_cancel(&p->job);
}

/* ---- the end ---- */

static void on_reader_closed(void *ctx)
{
    struct world *w = ctx;

    uv_close((uv_handle_t *)&w->deadline, NULL);
}

static void on_writer_closed(void *ctx)
{
    struct world *w = ctx;

    reader_close(w->reader, on_reader_closed, w);
}

static void end_when_idle(struct world *w)
{
    if (w->closing || w->busy > 0 || w->reading || w->read_upto < w->announced)
        return;
    w->closing = true;
    writer_close(w->writer, on_writer_closed, w);
}

/* Whatever the threads did at one time: each job is answered once, each entry announced and read. */
static void test_writer_threads__load(void **state)
{
    struct world *w = *state;
    struct writer_options wo = {.loop = &w->loop,
                                .city = w->city,
                                .clock = clock_now,
                                .advanced = on_advanced,
                                .settled = on_settled,
                                .ctx = w,
                                .checkpoint_pages = START};
    struct reader_options ro = {.loop = &w->loop, .path = w->path};
    struct stream_head head;
    struct err err = {0};

    assert_int_equal(store_stream_get(city_store(w->city), STREAM_SHARED, &head, &err), 0);
    w->announced = w->read_upto = head.seq;
    assert_int_equal(reader_new(&ro, &w->reader, &err), 0);
    assert_int_equal(writer_new(&wo, &w->writer, &err), 0);
    w->busy = PRODUCERS;
    for (unsigned i = 0; i < PRODUCERS; i++) {
        w->producers[i] = (struct producer){.w = w, .no = i};
        produce(&w->producers[i]);
    }
    assert_int_equal(uv_run(&w->loop, UV_RUN_DEFAULT), 0);

    assert_int_equal(w->acts + w->looks + w->canceled, PRODUCERS * ROUNDS);
    assert_true(w->acts > PRODUCERS && w->looks > 0 && w->n_settled > 0);
    assert_int_equal(store_stream_get(city_store(w->city), STREAM_SHARED, &head, &err), 0);
    assert_true(head.seq == w->read_upto && w->read_upto == w->announced);
    assert_int_equal(city_verify(w->city, &err), 0);
}

/* The log never grows far past its bound, whoever of the two threads is slower; what was committed is
 * there when the file is opened again. */
static void test_checkpointer__bound(void **state)
{
    struct world *w = *state;
    struct store *s = city_store(w->city);
    struct checkpointer *k;
    struct err err = {0};
    unsigned most = 0;

    assert_int_equal(uv_timer_stop(&w->deadline), 0);
    uv_close((uv_handle_t *)&w->deadline, NULL);
    assert_int_equal(uv_run(&w->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(checkpointer_new(s, START, &k, &err), 0);
    for (int i = 1; i <= COMMITS; i++) {
        assert_int_equal(store_begin(s, &err), 0);
        assert_int_equal(store_meta_put_int(s, "commits", i, &err), 0);
        assert_int_equal(store_commit(s, &err), 0);
        most = store_log_pages(s) > most ? store_log_pages(s) : most;
        checkpointer_committed(k);
    }
    checkpointer_free(k);
    assert_in_range(most, START, 3 * START + 8); /* a commit is fewer than 8 pages */

    city_close(w->city);
    w->city = reopen(w);
    assert_int_equal(store_meta_int(city_store(w->city), "commits", 0), COMMITS);
    assert_int_equal(city_verify(w->city, &err), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_writer_threads__load, setup, teardown),
        cmocka_unit_test_setup_teardown(test_checkpointer__bound, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
