/* Frames and bodies: golden bytes, fragments, and what a hostile peer may send. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/base/err.h"
#include "common/base/hex.h"
#include "common/base/id.h"
#include "common/base/mem.h"
#include "common/wire/body.h"
#include "common/wire/frame.h"

#include <string.h>

/* ---- helpers ---- */

static uint8_t ones[WIRE_HASH_SIZE];

struct fixture {
    struct frame_reader reader;
    struct arena arena;
    struct buf out;
    struct body_codec codec;
};

static int setup(void **state)
{
    struct fixture *f = mem_calloc(1, sizeof *f);

    memset(ones, 0x11, sizeof ones);
    frame_reader_init(&f->reader, FRAME_MAX);
    arena_init(&f->arena, 64u << 20);
    buf_init(&f->out, 8u << 20);
    body_codec_init(&f->codec);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    frame_reader_release(&f->reader);
    arena_release(&f->arena);
    buf_release(&f->out);
    body_codec_release(&f->codec);
    mem_free(f);
    return 0;
}

static ProtobufCBinaryData data_of(const char *text)
{
    return wire_data(slice_str(text));
}

static ProtobufCBinaryData bytes_of(size_t len)
{
    return wire_data((struct slice){ones, len});
}

static void put_ping(struct buf *out, uint64_t clock)
{
    Ztc__Ping m = ZTC__PING__INIT;

    m.answer = 1;
    m.clock = clock;
    frame_put_ping(out, &m);
}

static Ztc__Hello hello(void)
{
    Ztc__Hello m = ZTC__HELLO__INIT;

    m.protocol_min = m.protocol_max = 1;
    m.software = data_of("ztc/0.1.0");
    m.catalogue = 1;
    m.replica = bytes_of(WIRE_ID_SIZE);
    m.own_chain = bytes_of(WIRE_HASH_SIZE);
    return m;
}

/* Put M, read it back; 0 or the reader's error. */
static int round_trip(struct fixture *f, Ztc__Frame **ret_frame)
{
    size_t used;
    int ret = frame_feed(&f->reader, buf_slice(&f->out), &f->arena, &used, ret_frame);

    if (ret == 0)
        assert_int_equal(used, f->out.len);
    return ret;
}

static int hello_check(struct fixture *f, const Ztc__Hello *m)
{
    Ztc__Frame *frame;

    buf_clear(&f->out);
    frame_put_hello(&f->out, m);
    frame_reader_release(&f->reader);
    frame_reader_init(&f->reader, FRAME_MAX);
    return round_trip(f, &frame);
}

static int unpack_hex(struct fixture *f, const char *hex)
{
    uint8_t bytes[256];
    Ztc__Frame *frame;

    assert_int_equal(hex_decode(hex, strlen(hex), bytes), 0);
    return frame_unpack(&f->arena, (struct slice){bytes, strlen(hex) / 2}, &frame);
}

/* ---- frames ---- */

/* The bytes of a Ping and of a Bye are fixed for ever. */
static void test_frame__golden(void **state)
{
    struct fixture *f = *state;
    Ztc__Bye bye = ZTC__BYE__INIT;
    char hex[128];

    put_ping(&f->out, 300);
    hex_encode(f->out.p, f->out.len, hex);
    assert_string_equal(hex, "000000073a05080110ac02");

    buf_clear(&f->out);
    bye.code = data_of("ZT-FORK");
    bye.has_retry_after = 1;
    bye.retry_after = 1000;
    frame_put_bye(&f->out, &bye);
    hex_encode(f->out.p, f->out.len, hex);
    assert_string_equal(hex, "0000000e420c0a075a542d464f524b18e807");
}

/* Frames cut at every byte arrive the same as whole ones, and nothing is held between them. */
static void test_frame__fragments(void **state)
{
    struct fixture *f = *state;

    put_ping(&f->out, 1);
    put_ping(&f->out, 2);
    for (size_t cut = 0; cut <= f->out.len; cut++) {
        struct slice parts[2] = {{f->out.p, cut}, {f->out.p + cut, f->out.len - cut}};
        uint64_t seen = 0;

        for (size_t i = 0; i < 2; i++) {
            while (parts[i].len > 0) {
                Ztc__Frame *frame;
                size_t used;

                assert_int_equal(frame_feed(&f->reader, parts[i], &f->arena, &used, &frame), 0);
                parts[i].p += used;
                parts[i].len -= used;
                if (frame != NULL)
                    assert_int_equal(frame->ping->clock, ++seen);
            }
        }
        assert_int_equal(seen, 2);
        assert_null(f->reader.in.p);
    }
}

/* A length over the cap is refused before its bytes come, and the reader stays closed. */
static void test_frame__oversize(void **state)
{
    struct fixture *f = *state;
    const uint8_t announced[] = {0, 0, 0x10, 1};
    Ztc__Frame *frame;
    size_t used;

    frame_reader_set_max(&f->reader, FRAME_MAX_STRANGER);
    assert_int_equal(frame_feed(&f->reader, (struct slice){announced, 2}, &f->arena, &used, &frame),
                     0);
    assert_int_equal(frame_feed(&f->reader, (struct slice){announced + 2, 2}, &f->arena, &used,
                                &frame),
                     E_TOOBIG);
    put_ping(&f->out, 1);
    assert_int_equal(round_trip(f, &frame), E_TOOBIG);
    frame_reader_release(&f->reader);
    frame_reader_init(&f->reader, FRAME_MAX_STRANGER);
    assert_int_equal(frame_feed(&f->reader, (struct slice){announced, 4}, &f->arena, &used, &frame),
                     E_TOOBIG);
}

/* A frame of the cap's very size passes; a byte more does not, though it lies there whole. */
static void test_frame__cap_is_exact(void **state)
{
    struct fixture *f = *state;
    Ztc__Frame *frame;
    size_t len;

    put_ping(&f->out, 300);
    len = f->out.len - FRAME_PREFIX;
    frame_reader_set_max(&f->reader, len);
    assert_int_equal(round_trip(f, &frame), 0);
    assert_int_equal(frame->ping->clock, 300);
    frame_reader_set_max(&f->reader, len - 1);
    assert_int_equal(round_trip(f, &frame), E_TOOBIG);
}

/* The cap rises once the peer is known. */
static void test_frame__cap_rises(void **state)
{
    struct fixture *f = *state;
    static uint8_t body[8000];
    Ztc__Push m = ZTC__PUSH__INIT;
    Ztc__Frame *frame;

    m.first_n = 1;
    m.count = 1;
    m.size = 9000;
    m.body = wire_data((struct slice){body, sizeof body});
    frame_put_push(&f->out, &m);
    frame_reader_set_max(&f->reader, FRAME_MAX_STRANGER);
    assert_int_equal(round_trip(f, &frame), E_TOOBIG);
    frame_reader_init(&f->reader, FRAME_MAX_STRANGER);
    frame_reader_set_max(&f->reader, FRAME_MAX);
    assert_int_equal(round_trip(f, &frame), 0);
    assert_int_equal(frame->push->body.len, sizeof body);
}

/* Nothing, two kinds, an unknown kind, bytes behind, a truncated field: malformed. */
static void test_frame__garbage(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(unpack_hex(f, ""), E_MALFORMED);
    assert_int_equal(unpack_hex(f, "3a05080110ac02"), 0);
    assert_int_equal(unpack_hex(f, "3a05080110ac023a05080110ac02"), E_MALFORMED);
    assert_int_equal(unpack_hex(f, "3a05080110ac0200"), E_MALFORMED);
    assert_int_equal(unpack_hex(f, "3a05080110ac"), E_MALFORMED);
    assert_int_equal(unpack_hex(f, "3a0410ac02"), E_MALFORMED);
    assert_int_equal(unpack_hex(f, "3a0310ac02"), E_MALFORMED); /* required field missing */
    assert_int_equal(unpack_hex(f, "7a05080110ac02"), E_MALFORMED);
    assert_int_equal(unpack_hex(f, "3a00"), E_MALFORMED);
    assert_int_equal(unpack_hex(f, "ffffffffffffffffff01"), E_MALFORMED);
}

/* A megabyte of empty sub-messages meets the arena's cap instead of the heap. */
static void test_frame__amplification(void **state)
{
    struct fixture *f = *state;
    size_t len = FRAME_MAX - 16;
    uint8_t *p = mem_alloc(len);
    struct slice all;
    Ztc__Frame *frame;
    struct buf frame_bytes;

    buf_init(&frame_bytes, FRAME_MAX);
    for (size_t i = 0; i + 2 <= len; i += 2) {
        p[i] = 0x32; /* Welcome.heads, empty */
        p[i + 1] = 0;
    }
    all = (struct slice){p, len & ~(size_t)1};
    buf_u8(&frame_bytes, 0x12);
    buf_bytes(&frame_bytes, all);
    assert_int_not_equal(frame_unpack(&f->arena, buf_slice(&frame_bytes), &frame), 0);
    assert_true(f->arena.used <= 16u * FRAME_MAX);
    buf_release(&frame_bytes);
    mem_free(p);
}

/* ---- checks ---- */

/* Every bound of Hello. */
static void test_check__hello(void **state)
{
    struct fixture *f = *state;
    Ztc__Hello m = hello();
    Ztc__Cursor cursors[2] = {ZTC__CURSOR__INIT, ZTC__CURSOR__INIT};
    Ztc__Cursor *list[2] = {&cursors[0], &cursors[1]};

    assert_int_equal(hello_check(f, &m), 0);

    m.protocol_min = 2;
    assert_int_equal(hello_check(f, &m), E_MALFORMED);
    m = hello();
    m.replica = bytes_of(15);
    assert_int_equal(hello_check(f, &m), E_MALFORMED);
    m = hello();
    m.own_chain = bytes_of(31);
    assert_int_equal(hello_check(f, &m), E_MALFORMED);
    m = hello();
    m.software = data_of("\xff");
    assert_int_equal(hello_check(f, &m), E_MALFORMED);
    m = hello();
    m.software = wire_data((struct slice){(const uint8_t *)"a\0b", 3});
    assert_int_equal(hello_check(f, &m), E_MALFORMED);
    m = hello();
    m.waiting = 1;
    assert_int_equal(hello_check(f, &m), E_MALFORMED);
    m = hello();
    m.has_acked_n = 1;
    assert_int_equal(hello_check(f, &m), E_MALFORMED);

    for (size_t i = 0; i < 2; i++) {
        cursors[i].stream = 431021;
        cursors[i].seq = 1;
        cursors[i].hash = bytes_of(WIRE_HASH_SIZE);
        cursors[i].incarnation = bytes_of(WIRE_ID_SIZE);
    }
    m = hello();
    m.cursors = list;
    m.n_cursors = 2;
    assert_int_equal(hello_check(f, &m), E_MALFORMED); /* one stream twice */
    cursors[1].stream = 1;
    assert_int_equal(hello_check(f, &m), 0);
    cursors[1].hash = bytes_of(WIRE_HASH_SIZE - 1);
    assert_int_equal(hello_check(f, &m), E_MALFORMED);
    cursors[1].hash = bytes_of(WIRE_HASH_SIZE);
    cursors[1].seq = 0;
    assert_int_equal(hello_check(f, &m), E_MALFORMED); /* an incarnation at 0 */
}

/* Every bound of what is said of attachments. */
static void test_check__blobs(void **state)
{
    static uint8_t bytes[WIRE_CHUNK_MAX + 1];
    Ztc__BlobHave have = ZTC__BLOB_HAVE__INIT;
    Ztc__BlobWant want = ZTC__BLOB_WANT__INIT;
    Ztc__BlobChunk chunk = ZTC__BLOB_CHUNK__INIT;
    Ztc__BlobDone done = ZTC__BLOB_DONE__INIT;
    Ztc__Frame fh = ZTC__FRAME__INIT, fw = fh, fc = fh, fd = fh;

    (void)state;
    fh.kind_case = ZTC__FRAME__KIND_BLOB_HAVE;
    fh.blob_have = &have;
    fw.kind_case = ZTC__FRAME__KIND_BLOB_WANT;
    fw.blob_want = &want;
    fc.kind_case = ZTC__FRAME__KIND_BLOB_CHUNK;
    fc.blob_chunk = &chunk;
    fd.kind_case = ZTC__FRAME__KIND_BLOB_DONE;
    fd.blob_done = &done;
    have.attachment = want.attachment = chunk.attachment = done.attachment =
        bytes_of(WIRE_ID_SIZE);
    have.hash = bytes_of(WIRE_HASH_SIZE);
    have.size = WIRE_BLOB_MAX;
    want.offset = WIRE_BLOB_MAX - 1;
    chunk.bytes = wire_data((struct slice){bytes, WIRE_CHUNK_MAX});
    chunk.offset = WIRE_BLOB_MAX - WIRE_CHUNK_MAX;
    assert_int_equal(check_frame(&fh), 0);
    assert_int_equal(check_frame(&fw), 0);
    assert_int_equal(check_frame(&fc), 0);
    assert_int_equal(check_frame(&fd), 0);

    have.size = 0;
    assert_int_equal(check_frame(&fh), E_MALFORMED);
    have.size = WIRE_BLOB_MAX + 1ull;
    assert_int_equal(check_frame(&fh), E_MALFORMED);
    have.size = 1;
    have.hash = bytes_of(31);
    assert_int_equal(check_frame(&fh), E_MALFORMED);
    want.offset = WIRE_BLOB_MAX;
    assert_int_equal(check_frame(&fw), E_MALFORMED);
    want.offset = UINT64_MAX;
    assert_int_equal(check_frame(&fw), E_MALFORMED);
    chunk.offset++;
    assert_int_equal(check_frame(&fc), E_MALFORMED);
    chunk.offset = UINT64_MAX - 5;
    assert_int_equal(check_frame(&fc), E_MALFORMED);
    chunk.offset = 0;
    chunk.bytes.len = WIRE_CHUNK_MAX + 1;
    assert_int_equal(check_frame(&fc), E_MALFORMED);
    chunk.bytes.len = 0;
    assert_int_equal(check_frame(&fc), E_MALFORMED);
    done.has_code = true;
    done.code = data_of("lost");
    assert_int_equal(check_frame(&fd), E_MALFORMED);
    done.has_code = false;
    done.attachment = bytes_of(15);
    assert_int_equal(check_frame(&fd), E_MALFORMED);
}

/* Ranges and codes of the other kinds. */
static void test_check__ranges(void **state)
{
    struct fixture *f = *state;
    Ztc__Refused m = ZTC__REFUSED__INIT;
    Ztc__Frame *frame;

    m.first_n = 3;
    m.last_n = 5;
    m.at_n = 4;
    m.code = data_of("ZT-STATE");
    m.text = data_of("当前状态不允许此操作");
    frame_put_refused(&f->out, &m);
    assert_int_equal(round_trip(f, &frame), 0);
    assert_string_equal(frame_name(frame), "refused");

    m.at_n = 6;
    buf_clear(&f->out);
    frame_put_refused(&f->out, &m);
    assert_int_equal(round_trip(f, &frame), E_MALFORMED);

    assert_false(wire_code_valid(slice_str("ZT-")));
    assert_false(wire_code_valid(slice_str("ZT-a")));
    assert_false(wire_code_valid(slice_str("XX-A")));
    assert_true(wire_address_valid(slice_str("127.0.0.1:4310")));
    assert_true(wire_address_valid(slice_str("[::1]:1")));
    assert_false(wire_address_valid(slice_str("host:0")));
    assert_false(wire_address_valid(slice_str("host:65536")));
    assert_false(wire_address_valid(slice_str(":1")));
    assert_false(wire_address_valid(slice_str("host:")));
    assert_false(wire_address_valid(slice_str("ho st:1")));
}

/* ---- bodies ---- */

/* What is written by hand is what protobuf-c writes. */
static void test_body__same_as_protobuf(void **state)
{
    struct fixture *f = *state;
    struct buf plain;
    uint8_t packed[512];
    Ztc__Entry e = ZTC__ENTRY__INIT;
    Ztc__Entry echo = ZTC__ENTRY__INIT;
    Ztc__Entry *entries[2] = {&e, &echo};
    Ztc__EntriesBody body = ZTC__ENTRIES_BODY__INIT;
    Ztc__Change c = ZTC__CHANGE__INIT;
    Ztc__Change *changes[1] = {&c};
    Ztc__PushBody push = ZTC__PUSH_BODY__INIT;
    (void)f;

    e.received_at = 1234567;
    e.verdict = data_of("verdict");
    e.has_bytes = e.has_side = 1;
    e.bytes = data_of("bytes");
    e.side = data_of("side");
    echo.received_at = 9;
    echo.verdict = data_of("v");
    echo.has_echo_n = 1;
    echo.echo_n = 77777;
    body.entries = entries;
    body.n_entries = 2;
    buf_init(&plain, 4096);
    body_put_entry(&plain, 1234567, slice_str("verdict"), 0, slice_str("bytes"), slice_str("side"));
    assert_true(plain.len <= body_room(7, 5, 4));
    body_put_entry(&plain, 9, slice_str("v"), 77777, slice_str(""), slice_str(""));
    assert_int_equal(ztc__entries_body__pack(&body, packed), plain.len);
    assert_memory_equal(packed, plain.p, plain.len);

    c.bytes = data_of("change");
    push.changes = changes;
    push.n_changes = 1;
    buf_clear(&plain);
    body_put_change(&plain, slice_str("change"), slice_str(""));
    assert_int_equal(ztc__push_body__pack(&push, packed), plain.len);
    assert_memory_equal(packed, plain.p, plain.len);
    buf_release(&plain);
}

/* Compressed, expanded, unpacked and counted. */
static void test_body__round_trip(void **state)
{
    struct fixture *f = *state;
    struct buf plain;
    Ztc__Push m = ZTC__PUSH__INIT;
    Ztc__PushBody *body;

    buf_init(&plain, WIRE_BODY_MAX);
    for (int i = 0; i < 100; i++)
        body_put_change(&plain, slice_str("the author's bytes"), slice_str("salt"));
    assert_int_equal(body_compress(&f->codec, buf_slice(&plain), &f->out), 0);
    assert_true(f->out.len < plain.len / 4);
    m.first_n = 1;
    m.count = 100;
    m.size = (uint32_t)plain.len;
    m.body = wire_data(buf_slice(&f->out));
    assert_int_equal(body_open_push(&f->codec, &m, &f->arena, &body), 0);
    assert_int_equal(body->n_changes, 100);

    m.count = 99;
    assert_int_equal(body_open_push(&f->codec, &m, &f->arena, &body), E_MALFORMED);
    m.count = 100;
    m.size--;
    assert_int_equal(body_open_push(&f->codec, &m, &f->arena, &body), E_MALFORMED);
    m.size += 2;
    assert_int_equal(body_open_push(&f->codec, &m, &f->arena, &body), E_MALFORMED);
    buf_release(&plain);
}

/* A bomb expands to its declared size and not a byte further; a declared size over the bound is
 * refused before anything is expanded. */
static void test_body__bomb(void **state)
{
    struct fixture *f = *state;
    uint8_t *zeros = mem_calloc(1, WIRE_BODY_MAX);
    struct slice plain;

    assert_int_equal(body_compress(&f->codec, (struct slice){zeros, WIRE_BODY_MAX}, &f->out), 0);
    assert_true(f->out.len < 4096);
    assert_int_equal(body_expand(&f->codec, buf_slice(&f->out), 1000, &f->arena, &plain),
                     E_MALFORMED);
    assert_true(f->arena.used < 4096);
    assert_int_equal(body_expand(&f->codec, buf_slice(&f->out), WIRE_BODY_MAX + 1, &f->arena,
                                 &plain),
                     E_TOOBIG);
    assert_int_equal(body_expand(&f->codec, buf_slice(&f->out), WIRE_BODY_MAX, &f->arena, &plain),
                     0);
    buf_clear(&f->out);
    assert_int_equal(body_compress(&f->codec, slice_str("short"), &f->out), 0);
    assert_int_equal(body_expand(&f->codec, buf_slice(&f->out), 6, &f->arena, &plain), E_MALFORMED);
    assert_int_equal(body_expand(&f->codec, slice_str("not zstd"), 8, &f->arena, &plain),
                     E_MALFORMED);
    mem_free(zeros);
}

/* The largest body, though it cannot be compressed, fits a frame. */
static void test_body__largest_fits_a_frame(void **state)
{
    struct fixture *f = *state;
    uint8_t *noise = mem_alloc(WIRE_BODY_MAX);
    struct random_seeded seed;
    struct random r = random_seeded_init(&seed, 7);
    Ztc__Push m = ZTC__PUSH__INIT;
    struct buf packed;

    random_fill(&r, noise, WIRE_BODY_MAX);
    buf_init(&packed, FRAME_MAX);
    assert_int_equal(body_compress(&f->codec, (struct slice){noise, WIRE_BODY_MAX}, &packed), 0);
    m.first_n = UINT32_MAX;
    m.count = WIRE_BATCH_MAX;
    m.size = WIRE_BODY_MAX;
    m.body = wire_data(buf_slice(&packed));
    frame_put_push(&f->out, &m);
    assert_int_equal(f->out.ret, 0);
    assert_true(f->out.len <= FRAME_PREFIX + FRAME_MAX);
    buf_release(&packed);
    mem_free(noise);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_frame__golden),    T(test_frame__fragments), T(test_frame__oversize),
        T(test_frame__cap_rises), T(test_frame__garbage),   T(test_frame__amplification),
        T(test_frame__cap_is_exact), T(test_check__blobs),
        T(test_check__hello),     T(test_check__ranges),    T(test_body__same_as_protobuf),
        T(test_body__round_trip), T(test_body__bomb),       T(test_body__largest_fits_a_frame),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
