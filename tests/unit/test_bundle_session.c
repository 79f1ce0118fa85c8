/* Bundles of a computer that holds a valid certificate and lies: the city takes nothing in that a session would not,
 * and the honest bundle afterwards is taken whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "client/bundle/bundle_session.h"
#include "server/admin/bundle_session.h"
#include "tests/lib/stores.h"

#include <stdlib.h>
#include <string.h>

#define CHANGES   3u
#define FRAMES    16u
#define BYTES_MAX (8u << 20)

struct fixture {
    struct stores s;
    struct buf said; /* what a computer's bundle says */
    struct slice frames[FRAMES];
    size_t n;
    struct buf lie; /* a frame in the making */
    struct body_codec codec;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    stores_begin(&f->s);
    buf_init(&f->said, BYTES_MAX);
    buf_init(&f->lie, BYTES_MAX);
    body_codec_init(&f->codec);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    buf_release(&f->said);
    buf_release(&f->lie);
    body_codec_release(&f->codec);
    stores_end(&f->s);
    free(f);
    return 0;
}

/* ---- what the computer says ---- */

static int put_frames(void *ctx, struct slice frames, struct err *err)
{
    struct fixture *f = ctx;

    (void)err;
    buf_put(&f->said, frames.p, frames.len);
    return f->said.ret;
}

/* A frame's length lies before it; Hello is the first, a Push the last. */
static void say(struct fixture *f, enum stores_disk at)
{
    struct bundle_say say = {.replica = f->s.at[at], .now = f->s.now, .bytes_max = BYTES_MAX, .out = put_frames, .ctx = f};
    struct slice left;
    struct frame_reader in;

    buf_clear(&f->said);
    MUST(&f->s, exchange_facts(f->s.at[at], "test", &say.facts, &f->s.err));
    MUST(&f->s, bundle_say(&say, &f->s.arena, &f->s.err));
    frame_reader_init(&in, FRAME_MAX);
    left = buf_slice(&f->said);
    for (f->n = 0; left.len > 0; f->n++) {
        Ztc__Frame *m = NULL;
        size_t used;

        assert_true(f->n < FRAMES);
        assert_int_equal(frame_feed(&in, left, &f->s.arena, &used, &m), 0);
        assert_non_null(m);
        f->frames[f->n] = (struct slice){left.p, used};
        left.p += used;
        left.len -= used;
    }
    frame_reader_release(&in);
}

static void write_some(struct fixture *f, enum stores_disk at)
{
    for (size_t i = 0; i < CHANGES; i++) {
        struct id id;

        MUST(&f->s, stores_write_opinion(&f->s, at, &id, &f->s.err));
    }
}

/* ---- what the city does with it ---- */

static void begin(struct fixture *f, struct ferry *ferry, enum stores_disk at)
{
    static const struct authorities none;
    struct ferry_options o = {.city = f->s.city, .authorities = &none, .now = f->s.now};
    struct replica_claim claim = {.site = STORES_SITE};
    struct replica_row row;

    MUST(&f->s, city_replica_get(f->s.city, &f->s.replica[at], &row, &f->s.err));
    memcpy(claim.fingerprint, row.fingerprint, HASH_SIZE);
    ferry_begin(ferry, &o, &row.id, &claim);
}

static int feed(struct fixture *f, struct ferry *ferry, struct slice frame)
{
    struct frame_reader in;
    struct err err = {.ret = 0};
    Ztc__Frame *m = NULL;
    size_t used;
    int ret;

    frame_reader_init(&in, FRAME_MAX);
    ret = frame_feed(&in, frame, &f->s.arena, &used, &m);
    if (ret == 0) {
        assert_non_null(m);
        assert_int_equal(used, frame.len);
        ret = ferry_frame(ferry, m, &f->s.arena, &err);
        assert_true(ret == 0 || err.text[0] != '\0');
    }
    frame_reader_release(&in);
    return ret;
}

/* A bundle under AT's certificate, taken in as the daemon does: all of it, or nothing. */
static int take(struct fixture *f, enum stores_disk at, const struct slice *frames, size_t n)
{
    struct ferry *ferry = calloc(1, sizeof *ferry);
    int ret = 0;

    MUST(&f->s, city_begin(f->s.city, f->s.now, &f->s.err));
    begin(f, ferry, at);
    for (size_t i = 0; ret == 0 && i < n; i++)
        ret = feed(f, ferry, frames[i]);
    ferry_release(ferry);
    free(ferry);
    if (ret == 0)
        MUST(&f->s, city_commit(f->s.city, &f->s.err));
    else
        city_rollback(f->s.city);
    return ret;
}

static uint64_t accepted(struct fixture *f, enum stores_disk at)
{
    struct replica_row row;

    MUST(&f->s, city_replica_get(f->s.city, &f->s.replica[at], &row, &f->s.err));
    return row.accepted_n;
}

/* After a lie: nothing of it is there, the truth is taken, and no change is there twice. */
static void assert_unharmed(struct fixture *f, enum stores_disk at, uint64_t before)
{
    assert_int_equal(accepted(f, at), before);
    say(f, at);
    assert_int_equal(take(f, at, f->frames, f->n), 0);
    assert_int_equal(accepted(f, at), before + CHANGES);
    assert_int_equal(take(f, at, f->frames, f->n), 0);
    assert_int_equal(accepted(f, at), before + CHANGES);
    assert_int_equal(city_verify(f->s.city, &f->s.err), 0);
}

/* ---- lies ---- */

/* The frame that was put into `lie`. */
static struct slice made(struct fixture *f)
{
    struct slice frame = {arena_dup(&f->s.arena, f->lie.p, f->lie.len), f->lie.len};

    assert_int_equal(f->lie.ret, 0);
    buf_clear(&f->lie);
    return frame;
}

/* Changes of AT from its FIRST loaded on, said to begin with number N. */
static struct slice make_push(struct fixture *f, size_t first, size_t count, uint64_t n, uint32_t size_too)
{
    Ztc__Push m = ZTC__PUSH__INIT;
    struct buf plain, packed;

    buf_init(&plain, BYTES_MAX);
    buf_init(&packed, BYTES_MAX);
    for (size_t i = first; i < first + count; i++)
        body_put_change(&plain, f->s.pushed[i].bytes, f->s.pushed[i].side);
    assert_int_equal(body_compress(&f->codec, buf_slice(&plain), &packed), 0);
    m.first_n = n;
    m.count = (uint32_t)count;
    m.size = (uint32_t)plain.len + size_too;
    m.body = wire_data(buf_slice(&packed));
    frame_put_push(&f->lie, &m);
    buf_release(&plain);
    buf_release(&packed);
    return made(f);
}

static void test_bundle_session__pushes_out_of_order(void **state)
{
    struct fixture *f = *state;
    struct slice lie[3];
    uint64_t before = accepted(f, AT_A);

    write_some(f, AT_A);
    say(f, AT_A);
    stores_load(&f->s, AT_A);
    lie[0] = f->frames[0];
    lie[1] = make_push(f, 1, 1, before + 2, 0);
    assert_int_equal(take(f, AT_A, lie, 2), E_BUNDLE_GAP);
    lie[1] = lie[2] = make_push(f, 0, 1, before + 1, 0);
    assert_int_equal(take(f, AT_A, lie, 3), E_PROTOCOL);
    lie[2] = make_push(f, 2, 1, before + 3, 0);
    assert_int_equal(take(f, AT_A, lie, 3), E_BUNDLE_GAP);
    lie[1] = make_push(f, 1, 1, before + 1, 0); /* another number than it bears */
    assert_int_equal(take(f, AT_A, lie, 2), E_PROTOCOL);
    assert_unharmed(f, AT_A, before);
}

static void test_bundle_session__anothers_changes(void **state)
{
    struct fixture *f = *state;
    struct slice lie[2];
    uint64_t before = accepted(f, AT_A);

    write_some(f, AT_A);
    write_some(f, AT_B);
    say(f, AT_A);
    stores_load(&f->s, AT_B);
    lie[0] = f->frames[0];
    lie[1] = make_push(f, 0, CHANGES, before + 1, 0);
    assert_int_equal(take(f, AT_A, lie, 2), E_AUTH);
    assert_int_equal(take(f, AT_B, f->frames, f->n), E_AUTH); /* a Hello of A's under B's certificate */
    assert_unharmed(f, AT_A, before);
}

/* What was accepted, told otherwise: the number of a change that is there, and another change for it. */
static void test_bundle_session__another_past(void **state)
{
    struct fixture *f = *state;
    Ztc__Hello hello = ZTC__HELLO__INIT;
    struct slice lie[2];
    struct frame_reader in;
    Ztc__Frame *m;
    size_t used;

    write_some(f, AT_A);
    say(f, AT_A);
    assert_int_equal(take(f, AT_A, f->frames, f->n), 0);
    write_some(f, AT_A);
    frame_reader_init(&in, FRAME_MAX);
    assert_int_equal(frame_feed(&in, f->frames[0], &f->s.arena, &used, &m), 0);
    frame_reader_release(&in);
    hello = *m->hello;
    hello.own_n += CHANGES; /* all its own, the chain somebody's */
    frame_put_hello(&f->lie, &hello);
    lie[0] = made(f);
    stores_load(&f->s, AT_A);
    lie[1] = make_push(f, 0, CHANGES, accepted(f, AT_A) - CHANGES + 1, 0);
    assert_int_equal(take(f, AT_A, lie, 2), E_FORK);
    assert_unharmed(f, AT_A, accepted(f, AT_A));
}

static void test_bundle_session__bodies(void **state)
{
    struct fixture *f = *state;
    struct slice lie[2];
    uint64_t before = accepted(f, AT_A);

    write_some(f, AT_A);
    say(f, AT_A);
    stores_load(&f->s, AT_A);
    lie[0] = f->frames[0];
    lie[1] = make_push(f, 0, CHANGES, before + 1, 1);
    assert_int_equal(take(f, AT_A, lie, 2), E_MALFORMED);
    lie[1] = make_push(f, 0, CHANGES, before + 1, WIRE_BODY_MAX); /* a bomb */
    assert_int_equal(take(f, AT_A, lie, 2), E_MALFORMED);
    lie[1] = make_push(f, 0, 0, before + 1, 0);
    assert_int_not_equal(take(f, AT_A, lie, 2), 0);
    assert_unharmed(f, AT_A, before);
}

/* What has no place in a bundle is refused, what nobody asked for passed over. */
static void test_bundle_session__unasked(void **state)
{
    static const uint8_t zeros[HASH_SIZE];
    struct fixture *f = *state;
    Ztc__Bye bye = ZTC__BYE__INIT;
    Ztc__Refill refill = ZTC__REFILL__INIT;
    Ztc__BlobChunk chunk = ZTC__BLOB_CHUNK__INIT;
    Ztc__RefusedAck ack = ZTC__REFUSED_ACK__INIT;
    struct slice lie[4];
    uint64_t before = accepted(f, AT_A);

    write_some(f, AT_A);
    say(f, AT_A);
    lie[0] = f->frames[0];
    lie[1] = f->frames[0];
    assert_int_equal(take(f, AT_A, lie, 2), E_PROTOCOL);
    bye.code = wire_data(slice_str("ZT-CLOSED"));
    frame_put_bye(&f->lie, &bye);
    lie[1] = made(f);
    assert_int_equal(take(f, AT_A, lie, 2), E_PROTOCOL);

    refill.stream = STORES_SITE;
    refill.first_seq = 1;
    refill.count = refill.size = 1;
    refill.body = wire_data(slice_str("x"));
    frame_put_refill(&f->lie, &refill);
    lie[1] = made(f);
    chunk.attachment = wire_data((struct slice){f->s.clerk.b, ID_SIZE});
    chunk.bytes = wire_data((struct slice){zeros, sizeof zeros});
    frame_put_blob_chunk(&f->lie, &chunk);
    lie[2] = made(f);
    ack.first_n = before + 1000;
    ack.until_n = before + 1000;
    frame_put_refused_ack(&f->lie, &ack);
    lie[3] = made(f);
    assert_int_equal(take(f, AT_A, lie, 4), 0);
    assert_unharmed(f, AT_A, before);
}

/* Without a Hello nobody is being served. */
static void test_bundle_session__no_hello(void **state)
{
    struct fixture *f = *state;
    uint64_t before = accepted(f, AT_A);

    write_some(f, AT_A);
    say(f, AT_A);
    assert_int_equal(take(f, AT_A, f->frames + 1, f->n - 1), 0);
    assert_unharmed(f, AT_A, before);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(test_bundle_session__##name, setup, teardown)
    static const struct CMUnitTest tests[] = {
        CASE(pushes_out_of_order), CASE(anothers_changes), CASE(another_past),
        CASE(bodies),              CASE(unasked),          CASE(no_hello),
    };

    if (disk_vfs_register() != 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
