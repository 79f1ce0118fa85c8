/* Batches read by worker threads keep their order. */
#include "client/net/uv_intake.h"
#include "common/base/err.h"
#include "common/crypto/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define LARGE 200u /* entries of 1,000 bytes: for a thread */

struct fixture {
    uv_loop_t loop;
    struct intake in;
    unsigned ready;
    struct body_codec codec;
    struct buf plain, packed;
};

static void on_ready(void *ctx)
{
    struct fixture *f = ctx;

    f->ready++;
}

static int setup(void **state)
{
    static struct fixture f;

    f = (struct fixture){.ready = 0};
    assert_int_equal(uv_loop_init(&f.loop), 0);
    intake_init(&f.in, &f.loop, hasher_of(HASH_SM3), on_ready, &f);
    body_codec_init(&f.codec);
    buf_init(&f.plain, WIRE_BODY_MAX);
    buf_init(&f.packed, FRAME_MAX);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    intake_release(&f->in);
    body_codec_release(&f->codec);
    buf_release(&f->plain);
    buf_release(&f->packed);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    return 0;
}

/* N entries from FIRST; BODY: what is said instead of them. */
static void put(struct fixture *f, uint64_t first, uint32_t n, const char *body)
{
    static uint8_t bytes[1000];
    Ztc__Entries m = ZTC__ENTRIES__INIT;
    Ztc__SignedHead head = ZTC__SIGNED_HEAD__INIT;

    buf_clear(&f->plain);
    buf_clear(&f->packed);
    for (uint32_t i = 0; i < n; i++)
        body_put_entry(&f->plain, first + i, slice_str("v"), 0,
                       (struct slice){bytes, sizeof bytes}, slice_str(""));
    if (body == NULL)
        assert_int_equal(body_compress(&f->codec, buf_slice(&f->plain), &f->packed), 0);
    else
        buf_str(&f->packed, body);
    m.stream = 431021;
    m.first_seq = first;
    m.count = n;
    m.size = (uint32_t)f->plain.len;
    m.body = wire_data(buf_slice(&f->packed));
    m.head = &head;
    intake_put(&f->in, &m);
    memset(f->packed.p, 0xff, f->packed.len); /* it has copied what it needs */
}

static void expect(struct fixture *f, uint64_t first, uint32_t n, int ret)
{
    const struct exchange_batch *b = intake_first(&f->in);

    assert_non_null(b);
    assert_int_equal(b->first_seq, first);
    assert_int_equal(b->count, n);
    assert_int_equal(b->ret, ret);
    for (uint32_t i = 0; ret == 0 && i < n; i++) {
        assert_int_equal(b->entries[i].received_at, first + i);
        assert_non_null(b->entries[i].parts);
    }
    intake_drop(&f->in);
}

/* What is small and ready waits for the large ones before it; a bad body is its own batch's fault. */
static void test_uv_intake__order(void **state)
{
    struct fixture *f = *state;

    for (uint64_t round = 0; round < 20; round++) {
        f->ready = 0;
        put(f, 1, LARGE, NULL);
        put(f, 201, 1, NULL);
        put(f, 202, LARGE, "no zstd");
        assert_null(intake_first(&f->in));
        assert_true(intake_is_busy(&f->in));
        assert_int_equal(uv_run(&f->loop, UV_RUN_DEFAULT), 0);
        assert_int_equal(f->ready, 2);
        assert_false(intake_is_busy(&f->in));
        expect(f, 1, LARGE, 0);
        expect(f, 201, 1, 0);
        expect(f, 202, LARGE, E_MALFORMED);
        assert_null(intake_first(&f->in));
    }
}

/* Alone, a small batch is there at once. */
static void test_uv_intake__small(void **state)
{
    struct fixture *f = *state;

    put(f, 7, 2, NULL);
    assert_false(intake_is_busy(&f->in));
    expect(f, 7, 2, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_uv_intake__order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_uv_intake__small, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
