/* Every rule of common/wire/check.h by itself: the last value within it and the first one beyond. A
 * case starts from messages that are right and as full as they can be, and changes one thing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/base/err.h"
#include "common/wire/frame.h"
#include "common/wire/check.h"

#include <string.h>

#define N(list) (sizeof(list) / sizeof *(list))

/* ---- what is right ---- */

static uint8_t letters[WIRE_BODY_MAX + 1];
static uint8_t nothing[WIRE_ID_SIZE];

/* LEN bytes which are text, and no zeros. */
static ProtobufCBinaryData some(size_t len)
{
    return wire_data((struct slice){letters, len});
}

static ProtobufCBinaryData zeros(void)
{
    return wire_data((struct slice){nothing, sizeof nothing});
}

static ProtobufCBinaryData str(const char *s)
{
    return wire_data(slice_str(s));
}

#define MANY (WIRE_POINTS_MAX + 1)

/* Every message, and what they point to. */
static struct {
#define X(upper, member, type) type member;
    FRAME_KINDS(X)
#undef X
    Ztc__Cursor cursor[MANY], *cursors[MANY];
    Ztc__SignedHead head[MANY], *heads[MANY];
    Ztc__Statement said;
    Ztc__Place place[MANY], *places[MANY];
    Ztc__OwnPoint point[MANY], *points[MANY];
    Ztc__Renewed granted;
    ProtobufCBinaryData ders[MANY], words[MANY], addresses[MANY], rows[MANY];
    uint8_t ids[(WIRE_REPAIR_MAX + 1) * WIRE_ID_SIZE];
} m;

static void set_lists(void)
{
    for (unsigned i = 0; i < MANY; i++) {
        m.cursor[i] = (Ztc__Cursor)ZTC__CURSOR__INIT;
        m.cursor[i].stream = i + 1;
        m.cursor[i].seq = 1;
        m.cursor[i].hash = some(WIRE_HASH_SIZE);
        m.cursor[i].incarnation = some(WIRE_ID_SIZE);
        m.cursors[i] = &m.cursor[i];
        m.head[i] = (Ztc__SignedHead)ZTC__SIGNED_HEAD__INIT;
        m.head[i].head = m.head[i].signature = some(1);
        m.heads[i] = &m.head[i];
        m.place[i] = (Ztc__Place)ZTC__PLACE__INIT;
        m.place[i].stream = 1;
        m.places[i] = &m.place[i];
        m.point[i] = (Ztc__OwnPoint)ZTC__OWN_POINT__INIT;
        m.point[i].n = i;
        m.point[i].chain = some(WIRE_HASH_SIZE);
        m.points[i] = &m.point[i];
        m.ders[i] = m.words[i] = m.rows[i] = some(1);
        m.addresses[i] = str("city.example:7301");
    }
    for (unsigned i = 0; i <= WIRE_REPAIR_MAX; i++)
        m.ids[i * WIRE_ID_SIZE] = (uint8_t)i;
}

static void set_hello(void)
{
    m.hello.protocol_min = m.hello.protocol_max = 1;
    m.hello.software = str("ztc/1");
    m.hello.replica = some(WIRE_ID_SIZE);
    m.hello.n_cursors = 2;
    m.hello.cursors = m.cursors;
    m.hello.own_n = 5;
    m.hello.own_chain = some(WIRE_HASH_SIZE);
    m.hello.has_acked_n = m.hello.has_acked_chain = true;
    m.hello.acked_n = 4;
    m.hello.acked_chain = some(WIRE_HASH_SIZE);
    m.hello.waiting = 1;
    m.hello.city_head = &m.head[0];
    m.hello.n_heads = 1;
    m.hello.heads = &m.heads[1];
}

static void set_welcome(void)
{
    m.welcome.protocol = 1;
    m.welcome.incarnation = some(WIRE_ID_SIZE);
    m.welcome.accepted_chain = some(WIRE_HASH_SIZE);
    m.welcome.n_heads = 1;
    m.welcome.heads = m.heads;
    m.welcome.frame_max = FRAME_MAX_STRANGER;
    m.welcome.ping_every = 1;
    m.welcome.dead_after = 2;
    m.welcome.identity = ZTC__WELCOME__IDENTITY__SAME;
    m.welcome.has_hold = m.welcome.has_standing = m.welcome.has_authorities = true;
    m.welcome.hold = str("ZT-FULL");
    m.welcome.standing = ZTC__WELCOME__STANDING__FULL;
    m.welcome.authorities = some(WIRE_HASH_SIZE);
}

#define SET_BATCH(member, first)                                                                   \
    do {                                                                                           \
        m.member.first = m.member.count = m.member.size = 1;                                       \
        m.member.body = some(1);                                                                   \
    } while (0)

static void set_streams(void)
{
    SET_BATCH(push, first_n);
    SET_BATCH(entries, first_seq);
    SET_BATCH(history, first_seq);
    SET_BATCH(refill, first_seq);
    SET_BATCH(slice, seq);
    m.entries.stream = m.history.stream = m.refill.stream = m.slice.stream = 1;
    m.entries.head = &m.head[0];
    m.slice.has_next = true;
    m.slice.next = some(WIRE_PLACE_SIZE);
    m.snapshot_ask.stream = m.history_ask.stream = m.refill_ask.stream = 1;
    m.snapshot_ask.has_after = true;
    m.snapshot_ask.after = some(WIRE_PLACE_SIZE);
    m.history_ask.from_seq = m.history_ask.upto_seq = 1;
    m.refill_ask.from_seq = m.refill_ask.upto_seq = 1;
    m.go_back.n_places = 1;
    m.go_back.places = m.places;
}

static void set_words(void)
{
    m.refused.first_n = m.refused.at_n = m.refused.last_n = 1;
    m.refused.code = m.bye.code = m.blob_done.code = m.window.code = str("ZT-STATE");
    m.refused.text = m.bye.text = str("当前状态不允许此操作");
    m.bye.has_text = m.blob_done.has_code = m.window.has_code = true;
    m.refused_ack.first_n = m.refused_ack.until_n = 1;
    m.said.own_n = m.said.acked_n = m.said.waiting = 1;
    m.ping.said = &m.said;
    m.blob_have.attachment = m.blob_want.attachment = some(WIRE_ID_SIZE);
    m.blob_chunk.attachment = m.blob_done.attachment = some(WIRE_ID_SIZE);
    m.blob_have.hash = some(WIRE_HASH_SIZE);
    m.blob_have.size = 1;
    m.blob_chunk.bytes = some(1);
}

static void set_identities(void)
{
    m.enrol.secret = some(WIRE_SECRET_SIZE);
    m.enrol.csr = m.renew.csr = m.new_identity.csr = some(1);
    m.enrol.replica = m.new_identity.replica = some(WIRE_ID_SIZE);
    m.enrol.software = str("ztc/1");
    m.enrolled.certificate = m.enrolled.log_key = m.enrolled.log_key_signature = some(1);
    m.enrolled.has_log_key_signature = true;
    m.enrolled.n_chain = m.enrolled.n_addresses = m.enrolled.hash = m.enrolled.k = 1;
    m.enrolled.chain = m.ders;
    m.enrolled.addresses = m.addresses;
    m.enrolled.ledger = m.enrolled.account = some(WIRE_ID_SIZE);
    m.enrolled.site = 431021;
    m.granted = (Ztc__Renewed)ZTC__RENEWED__INIT;
    m.granted.has_certificate = true;
    m.granted.certificate = some(1);
    m.granted.n_authorities = 2;
    m.granted.authorities = m.ders;
    m.granted.n_endorsements = 1;
    m.granted.endorsements = m.words;
    m.renewed = m.granted;
    m.new_identity.n_points = 1;
    m.new_identity.points = m.points;
    m.new_identity.has_replica = m.new_identity.has_csr = true;
    m.new_identity_granted.has_k = true;
    m.new_identity_granted.k = 1;
    m.new_identity_granted.renewed = &m.granted;
}

static void set_digests(void)
{
    m.digest_ask.stream = m.digest_tell.stream = m.repair_rows.stream = m.repaired.stream = 1;
    m.digest_ask.has_kind = m.digest_ask.has_ids = true;
    m.digest_ask.ids = wire_data((struct slice){m.ids, 2 * WIRE_ID_SIZE});
    m.digest_tell.form = ZTC__DIGEST_TELL__FORM__RANGES;
    m.digest_tell.has_kind = true;
    m.repair_rows.covered = 2;
    m.repair_rows.n_rows = 2;
    m.repair_rows.rows = m.rows;
    m.repaired.no = 1;
    m.repaired.id = some(WIRE_ID_SIZE);
    m.repaired.how = ZTC__REPAIRED__HOW__REPLACED;
}

static void set_right(void)
{
    memset(&m, 0, sizeof m);
#define X(upper, member, type) m.member = (type)ZTC__##upper##__INIT;
    FRAME_KINDS(X)
#undef X
    m.said = (Ztc__Statement)ZTC__STATEMENT__INIT;
    memset(letters, 'a', sizeof letters);
    set_lists();
    set_hello();
    set_welcome();
    set_streams();
    set_words();
    set_identities();
    set_digests();
}

/* ---- helpers ---- */

static Ztc__Frame frame_of(Ztc__Frame__KindCase kind)
{
    Ztc__Frame f = ZTC__FRAME__INIT;

    f.kind_case = kind;
    switch ((int)kind) {
#define X(upper, member, type)                                                                     \
    case ZTC__FRAME__KIND_##upper:                                                                 \
        f.member = &m.member;                                                                      \
        break;
        FRAME_KINDS(X)
#undef X
    default:
        break;
    }
    return f;
}

static void assert_check(Ztc__Frame__KindCase kind, int expected, const char *what)
{
    Ztc__Frame f = frame_of(kind);
    int ret = check_frame(&f);

    if (ret != expected)
        fail_msg("%s: %s: %s", frame_name(&f), what, err_code(ret));
}

#define CHECK(kind, expected, ...)                                                                 \
    do {                                                                                           \
        set_right();                                                                               \
        __VA_ARGS__;                                                                               \
        assert_check(ZTC__FRAME__KIND_##kind, expected, #__VA_ARGS__);                             \
    } while (0)

#define TAKES(kind, ...)   CHECK(kind, 0, __VA_ARGS__)
#define REFUSES(kind, ...) CHECK(kind, E_MALFORMED, __VA_ARGS__)

/* A field of exactly SIZE bytes. */
#define SIZED(kind, field, size)                                                                   \
    do {                                                                                           \
        TAKES(kind, field = some(size));                                                           \
        REFUSES(kind, field = some((size) - 1));                                                   \
        REFUSES(kind, field = some((size) + 1));                                                   \
        REFUSES(kind, field = some(0));                                                            \
    } while (0)

#define IDENTITY(kind, field)                                                                      \
    do {                                                                                           \
        SIZED(kind, field, WIRE_ID_SIZE);                                                          \
        REFUSES(kind, field = zeros());                                                            \
    } while (0)

/* A field of LOW to HIGH bytes. */
#define WITHIN(kind, field, low, high)                                                             \
    do {                                                                                           \
        TAKES(kind, field = some(low));                                                            \
        TAKES(kind, field = some(high));                                                           \
        REFUSES(kind, field = some((high) + 1));                                                   \
        if ((low) > 0)                                                                             \
            REFUSES(kind, field = some((low) - 1));                                                \
    } while (0)

/* A ZT- code. */
#define CODE(kind, field)                                                                          \
    do {                                                                                           \
        TAKES(kind, field = str("ZT-A"));                                                          \
        REFUSES(kind, field = str("ZT-"));                                                         \
        REFUSES(kind, field = str("ZT-a"));                                                        \
    } while (0)

/* Text of LOW to HIGH bytes. */
#define TEXT(kind, field, low, high)                                                               \
    do {                                                                                           \
        WITHIN(kind, field, low, high);                                                            \
        REFUSES(kind, field = str("a\xff"));                                                       \
    } while (0)

/* The bytes in OUT are one frame of KIND. */
static void assert_comes_back(const struct buf *out, Ztc__Frame__KindCase kind)
{
    struct arena a;
    Ztc__Frame *back;

    arena_init(&a, 1u << 20);
    assert_int_equal(frame_unpack(&a, (struct slice){out->p + FRAME_PREFIX, out->len - FRAME_PREFIX},
                                  &back),
                     0);
    assert_int_equal(back->kind_case, kind);
    arena_release(&a);
}

/* ---- all kinds ---- */

/* What the cases below start from passes, each kind has its name, and no kind is no frame. */
static void test_kinds__right(void **state)
{
    Ztc__Frame none = ZTC__FRAME__INIT;

    (void)state;
    set_right();
#define X(upper, member, type)                                                                     \
    {                                                                                              \
        Ztc__Frame f = frame_of(ZTC__FRAME__KIND_##upper);                                         \
        assert_check(ZTC__FRAME__KIND_##upper, 0, "as it should be");                              \
        assert_string_equal(frame_name(&f), #member);                                              \
    }
    FRAME_KINDS(X)
#undef X
    assert_int_equal(check_frame(&none), E_MALFORMED);
    assert_string_equal(frame_name(&none), "none");
}

/* Every kind goes into bytes and comes back as itself. */
static void test_kinds__round_trip(void **state)
{
    (void)state;
    set_right();
#define X(upper, member, type)                                                                     \
    {                                                                                              \
        struct buf out;                                                                            \
        buf_init(&out, FRAME_MAX);                                                                 \
        frame_put_##member(&out, &m.member);                                                       \
        assert_comes_back(&out, ZTC__FRAME__KIND_##upper);                                         \
        buf_release(&out);                                                                         \
    }
    FRAME_KINDS(X)
#undef X
}

/* ---- meeting ---- */

static void test_hello__bounds(void **state)
{
    (void)state;
    REFUSES(HELLO, m.hello.protocol_min = 0);
    REFUSES(HELLO, m.hello.protocol_min = 2);
    TAKES(HELLO, m.hello.protocol_max = UINT32_MAX);
    TEXT(HELLO, m.hello.software, 1, WIRE_SOFTWARE_MAX);
    IDENTITY(HELLO, m.hello.replica);
    SIZED(HELLO, m.hello.own_chain, WIRE_HASH_SIZE);
    TAKES(HELLO, m.hello.own_n = UINT64_MAX - 1);
    REFUSES(HELLO, m.hello.own_n = UINT64_MAX);
    TAKES(HELLO, m.hello.waiting = m.hello.own_n);
    REFUSES(HELLO, m.hello.waiting = m.hello.own_n + 1);
    TAKES(HELLO, m.hello.acked_n = m.hello.own_n);
    REFUSES(HELLO, m.hello.acked_n = m.hello.own_n + 1);
    SIZED(HELLO, m.hello.acked_chain, WIRE_HASH_SIZE);
    REFUSES(HELLO, m.hello.has_acked_n = false);
    REFUSES(HELLO, m.hello.has_acked_chain = false);
    TAKES(HELLO, m.hello.has_acked_n = m.hello.has_acked_chain = false);
}

static void test_hello__cursors(void **state)
{
    (void)state;
    TAKES(HELLO, m.hello.n_cursors = 0);
    TAKES(HELLO, m.hello.n_cursors = WIRE_CURSORS_MAX);
    REFUSES(HELLO, m.hello.n_cursors = WIRE_CURSORS_MAX + 1);
    REFUSES(HELLO, m.cursor[1].stream = m.cursor[0].stream);
    REFUSES(HELLO, m.cursor[1].stream = 0);
    SIZED(HELLO, m.cursor[1].hash, WIRE_HASH_SIZE);
    SIZED(HELLO, m.cursor[1].incarnation, WIRE_ID_SIZE);
    TAKES(HELLO, m.cursor[1].incarnation = zeros());
    TAKES(HELLO, m.cursor[1].has_log_from = true, m.cursor[1].log_from = 2);
    REFUSES(HELLO, m.cursor[1].has_log_from = true, m.cursor[1].log_from = 3);
    REFUSES(HELLO, m.cursor[1].has_log_from = true);
    REFUSES(HELLO, m.cursor[1].seq = 0);
    TAKES(HELLO, m.cursor[1].seq = 0, m.cursor[1].incarnation = zeros());
}

static void test_hello__heads(void **state)
{
    (void)state;
    TAKES(HELLO, m.hello.city_head = NULL);
    WITHIN(HELLO, m.head[0].head, 1, WIRE_SIGNED_MAX);
    WITHIN(HELLO, m.head[0].signature, 1, WIRE_SIGNED_MAX);
    WITHIN(HELLO, m.head[1].head, 1, WIRE_SIGNED_MAX);
    WITHIN(HELLO, m.head[1].signature, 1, WIRE_SIGNED_MAX);
    TAKES(HELLO, m.hello.n_heads = WIRE_HEADS_MAX);
    REFUSES(HELLO, m.hello.n_heads = WIRE_HEADS_MAX + 1);
}

static void test_welcome__bounds(void **state)
{
    (void)state;
    REFUSES(WELCOME, m.welcome.protocol = 0);
    IDENTITY(WELCOME, m.welcome.incarnation);
    SIZED(WELCOME, m.welcome.accepted_chain, WIRE_HASH_SIZE);
    WITHIN(WELCOME, m.head[0].head, 1, WIRE_SIGNED_MAX);
    TAKES(WELCOME, m.welcome.n_heads = WIRE_HEADS_MAX);
    REFUSES(WELCOME, m.welcome.n_heads = WIRE_HEADS_MAX + 1);
    REFUSES(WELCOME, m.welcome.frame_max = FRAME_MAX_STRANGER - 1);
    REFUSES(WELCOME, m.welcome.ping_every = 0);
    REFUSES(WELCOME, m.welcome.dead_after = m.welcome.ping_every);
    TAKES(WELCOME, m.welcome.identity = ZTC__WELCOME__IDENTITY__AHEAD);
    REFUSES(WELCOME, m.welcome.identity = ZTC__WELCOME__IDENTITY__AHEAD + 1);
    REFUSES(WELCOME, m.welcome.identity = 0);
    CODE(WELCOME, m.welcome.hold);
    TAKES(WELCOME, m.welcome.hold = str("-"), m.welcome.has_hold = false);
    TAKES(WELCOME, m.welcome.standing = ZTC__WELCOME__STANDING__HAND_IN);
    REFUSES(WELCOME, m.welcome.standing = ZTC__WELCOME__STANDING__HAND_IN + 1);
    REFUSES(WELCOME, m.welcome.standing = 0);
    TAKES(WELCOME, m.welcome.standing = 0, m.welcome.has_standing = false);
    SIZED(WELCOME, m.welcome.authorities, WIRE_HASH_SIZE);
    TAKES(WELCOME, m.welcome.has_authorities = false, m.welcome.authorities = some(1));
}

static void test_bye__bounds(void **state)
{
    (void)state;
    CODE(BYE, m.bye.code);
    TEXT(BYE, m.bye.text, 0, WIRE_TEXT_MAX);
    TAKES(BYE, m.bye.has_text = false, m.bye.text = str("\xff"));
}

static void test_ping__bounds(void **state)
{
    (void)state;
    TAKES(PING, m.ping.said = NULL);
    TAKES(PING, m.said.own_n = UINT64_MAX - 1);
    REFUSES(PING, m.said.own_n = UINT64_MAX);
    REFUSES(PING, m.said.acked_n = m.said.own_n + 1);
    REFUSES(PING, m.said.waiting = m.said.own_n + 1);
    CODE(WINDOW, m.window.code);
    TAKES(WINDOW, m.window.has_code = false, m.window.code = str("-"));
}

/* ---- changes and entries ---- */

/* The rules of a batch whose first number is FIRST. */
#define BATCH(kind, member, first)                                                                 \
    do {                                                                                           \
        REFUSES(kind, m.member.first = 0);                                                         \
        TAKES(kind, m.member.first = UINT64_MAX - 1);                                              \
        REFUSES(kind, m.member.first = UINT64_MAX);                                                \
        BATCH_BODY(kind, member);                                                                  \
    } while (0)
#define BATCH_BODY(kind, member)                                                                   \
    do {                                                                                           \
        REFUSES(kind, m.member.count = 0);                                                         \
        TAKES(kind, m.member.count = WIRE_BATCH_MAX);                                              \
        REFUSES(kind, m.member.count = WIRE_BATCH_MAX + 1);                                        \
        REFUSES(kind, m.member.size = 0);                                                          \
        TAKES(kind, m.member.size = WIRE_BODY_MAX);                                                \
        REFUSES(kind, m.member.size = WIRE_BODY_MAX + 1);                                          \
        REFUSES(kind, m.member.body = some(0));                                                    \
    } while (0)

static void test_batches__bounds(void **state)
{
    (void)state;
    BATCH(PUSH, push, first_n);
    BATCH(ENTRIES, entries, first_seq);
    BATCH(HISTORY, history, first_seq);
    BATCH(REFILL, refill, first_seq);
    BATCH_BODY(SLICE, slice);
    REFUSES(ENTRIES, m.entries.stream = 0);
    REFUSES(HISTORY, m.history.stream = 0);
    REFUSES(REFILL, m.refill.stream = 0);
    REFUSES(SLICE, m.slice.stream = 0);
    WITHIN(ENTRIES, m.head[0].head, 1, WIRE_SIGNED_MAX);
    WITHIN(ENTRIES, m.head[0].signature, 1, WIRE_SIGNED_MAX);
}

/* The last slice may be empty, wholly. */
static void test_slice__ends(void **state)
{
    (void)state;
    SIZED(SLICE, m.slice.next, WIRE_PLACE_SIZE);
    TAKES(SLICE, m.slice.has_next = false, m.slice.next = some(1));
    TAKES(SLICE, m.slice = (Ztc__Slice)ZTC__SLICE__INIT, m.slice.stream = 1);
    REFUSES(SLICE, m.slice = (Ztc__Slice)ZTC__SLICE__INIT);
#define LAST m.slice = (Ztc__Slice)ZTC__SLICE__INIT, m.slice.stream = 1
    REFUSES(SLICE, LAST, m.slice.count = 1);
    REFUSES(SLICE, LAST, m.slice.size = 1);
    REFUSES(SLICE, LAST, m.slice.body = some(1));
    REFUSES(SLICE, LAST, m.slice.has_next = true, m.slice.next = some(WIRE_PLACE_SIZE));
#undef LAST
}

/* A range from..upto of a stream. */
#define RANGE(kind, member)                                                                        \
    do {                                                                                           \
        REFUSES(kind, m.member.stream = 0);                                                        \
        REFUSES(kind, m.member.from_seq = 0);                                                      \
        REFUSES(kind, m.member.from_seq = 2);                                                      \
        TAKES(kind, m.member.from_seq = m.member.upto_seq = UINT64_MAX);                           \
    } while (0)

static void test_asks__bounds(void **state)
{
    (void)state;
    RANGE(HISTORY_ASK, history_ask);
    RANGE(REFILL_ASK, refill_ask);
    REFUSES(SNAPSHOT_ASK, m.snapshot_ask.stream = 0);
    SIZED(SNAPSHOT_ASK, m.snapshot_ask.after, WIRE_PLACE_SIZE);
    TAKES(SNAPSHOT_ASK, m.snapshot_ask.has_after = false, m.snapshot_ask.after = some(1));
    REFUSES(SNAPSHOT_ASK, m.snapshot_ask.has_declined = m.snapshot_ask.declined = true);
    TAKES(SNAPSHOT_ASK, m.snapshot_ask.has_declined = true);
    TAKES(SNAPSHOT_ASK, m.snapshot_ask.has_declined = m.snapshot_ask.declined = true,
          m.snapshot_ask.has_after = false);
    TAKES(GO_BACK, m.go_back.n_places = WIRE_CURSORS_MAX);
    REFUSES(GO_BACK, m.go_back.n_places = WIRE_CURSORS_MAX + 1);
    TAKES(GO_BACK, m.go_back.n_places = 0);
    REFUSES(GO_BACK, m.place[0].stream = 0);
}

static void test_refused__bounds(void **state)
{
    (void)state;
    REFUSES(REFUSED, m.refused.first_n = 0);
    REFUSES(REFUSED, m.refused.first_n = 2);
    REFUSES(REFUSED, m.refused.at_n = 2);
    TAKES(REFUSED, m.refused.last_n = 2, m.refused.at_n = 2);
    CODE(REFUSED, m.refused.code);
    TEXT(REFUSED, m.refused.text, 0, WIRE_TEXT_MAX);
    REFUSES(REFUSED_ACK, m.refused_ack.first_n = 0);
    REFUSES(REFUSED_ACK, m.refused_ack.first_n = 2);
}

/* ---- attachments ---- */

static void test_blobs__bounds(void **state)
{
    (void)state;
    IDENTITY(BLOB_HAVE, m.blob_have.attachment);
    IDENTITY(BLOB_WANT, m.blob_want.attachment);
    IDENTITY(BLOB_CHUNK, m.blob_chunk.attachment);
    IDENTITY(BLOB_DONE, m.blob_done.attachment);
    SIZED(BLOB_HAVE, m.blob_have.hash, WIRE_HASH_SIZE);
    REFUSES(BLOB_HAVE, m.blob_have.size = 0);
    TAKES(BLOB_HAVE, m.blob_have.size = WIRE_BLOB_MAX);
    REFUSES(BLOB_HAVE, m.blob_have.size = WIRE_BLOB_MAX + 1ull);
    TAKES(BLOB_WANT, m.blob_want.offset = WIRE_BLOB_MAX - 1);
    REFUSES(BLOB_WANT, m.blob_want.offset = WIRE_BLOB_MAX);
    WITHIN(BLOB_CHUNK, m.blob_chunk.bytes, 1u, WIRE_CHUNK_MAX);
    TAKES(BLOB_CHUNK, m.blob_chunk.offset = WIRE_BLOB_MAX - 1);
    REFUSES(BLOB_CHUNK, m.blob_chunk.offset = WIRE_BLOB_MAX - 1, m.blob_chunk.bytes = some(2));
    REFUSES(BLOB_CHUNK, m.blob_chunk.offset = WIRE_BLOB_MAX);
    CODE(BLOB_DONE, m.blob_done.code);
    TAKES(BLOB_DONE, m.blob_done.has_code = false, m.blob_done.code = str("-"));
}

/* ---- enrolment, certificates, identities ---- */

static void test_enrol__bounds(void **state)
{
    (void)state;
    SIZED(ENROL, m.enrol.secret, WIRE_SECRET_SIZE);
    WITHIN(ENROL, m.enrol.csr, 1, WIRE_DER_MAX);
    IDENTITY(ENROL, m.enrol.replica);
    TEXT(ENROL, m.enrol.software, 1, WIRE_SOFTWARE_MAX);
}

static void test_enrolled__bounds(void **state)
{
    (void)state;
    REFUSES(ENROLLED, m.enrolled.n_chain = 0);
    TAKES(ENROLLED, m.enrolled.n_chain = WIRE_CHAIN_MAX);
    REFUSES(ENROLLED, m.enrolled.n_chain = WIRE_CHAIN_MAX + 1);
    WITHIN(ENROLLED, m.ders[0], 1, WIRE_DER_MAX);
    WITHIN(ENROLLED, m.enrolled.certificate, 1, WIRE_DER_MAX);
    WITHIN(ENROLLED, m.enrolled.log_key, 1, WIRE_DER_MAX);
    IDENTITY(ENROLLED, m.enrolled.ledger);
    IDENTITY(ENROLLED, m.enrolled.account);
    REFUSES(ENROLLED, m.enrolled.hash = 0);
    TAKES(ENROLLED, m.enrolled.hash = 2);
    REFUSES(ENROLLED, m.enrolled.hash = 3);
    TAKES(ENROLLED, m.enrolled.site = 100000);
    TAKES(ENROLLED, m.enrolled.site = 999999);
    REFUSES(ENROLLED, m.enrolled.site = 99999);
    REFUSES(ENROLLED, m.enrolled.site = 1000000);
    REFUSES(ENROLLED, m.enrolled.k = 0);
    REFUSES(ENROLLED, m.enrolled.n_addresses = 0);
    TAKES(ENROLLED, m.enrolled.n_addresses = WIRE_ADDRESSES_MAX);
    REFUSES(ENROLLED, m.enrolled.n_addresses = WIRE_ADDRESSES_MAX + 1);
    REFUSES(ENROLLED, m.addresses[0] = str("city.example"));
    WITHIN(ENROLLED, m.enrolled.log_key_signature, 1, WIRE_SIGNED_MAX);
    TAKES(ENROLLED, m.enrolled.has_log_key_signature = false, m.enrolled.log_key_signature = some(0));
}

static void test_renewed__bounds(void **state)
{
    (void)state;
    WITHIN(RENEW, m.renew.csr, 1, WIRE_DER_MAX);
    WITHIN(RENEWED, m.renewed.certificate, 1, WIRE_DER_MAX);
    WITHIN(RENEWED, m.ders[1], 1, WIRE_DER_MAX);
    WITHIN(RENEWED, m.words[0], 1, WIRE_SIGNED_MAX);
    TAKES(RENEWED, m.renewed.n_authorities = 1, m.renewed.n_endorsements = 0);
    REFUSES(RENEWED, m.renewed.n_authorities = 0);
    REFUSES(RENEWED, m.renewed.n_authorities = WIRE_TRUSTED_MAX + 1,
            m.renewed.n_endorsements = WIRE_TRUSTED_MAX);
    REFUSES(RENEWED, m.renewed.n_endorsements = 0);
    REFUSES(RENEWED, m.renewed.has_certificate = false);
    REFUSES(RENEWED, m.renewed.has_certificate = false, m.renewed.n_authorities = 0);
    TAKES(RENEWED, m.renewed.has_certificate = false, m.renewed.n_authorities = 0,
          m.renewed.n_endorsements = 0);
}

static void test_new_identity__bounds(void **state)
{
    (void)state;
#define ASKING m.new_identity.has_replica = m.new_identity.has_csr = false
    REFUSES(NEW_IDENTITY, ASKING, m.new_identity.n_points = 0);
    TAKES(NEW_IDENTITY, ASKING, m.new_identity.n_points = WIRE_POINTS_MAX);
    REFUSES(NEW_IDENTITY, ASKING, m.new_identity.n_points = WIRE_POINTS_MAX + 1);
    REFUSES(NEW_IDENTITY, ASKING, m.new_identity.n_points = 2, m.point[1].n = m.point[0].n);
#undef ASKING
    REFUSES(NEW_IDENTITY, m.new_identity.n_points = 2);
    REFUSES(NEW_IDENTITY, m.new_identity.has_replica = false);
    REFUSES(NEW_IDENTITY, m.new_identity.has_csr = false);
    SIZED(NEW_IDENTITY, m.point[0].chain, WIRE_HASH_SIZE);
    TAKES(NEW_IDENTITY, m.point[0].n = INT64_MAX >> 24);
    REFUSES(NEW_IDENTITY, m.point[0].n = (INT64_MAX >> 24) + 1);
    IDENTITY(NEW_IDENTITY, m.new_identity.replica);
    WITHIN(NEW_IDENTITY, m.new_identity.csr, 1, WIRE_DER_MAX);
}

static void test_new_identity__granted(void **state)
{
    (void)state;
#define AGREED m.new_identity_granted.renewed = NULL, m.new_identity_granted.has_k = false
    TAKES(NEW_IDENTITY_GRANTED, AGREED);
    TAKES(NEW_IDENTITY_GRANTED, AGREED, m.new_identity_granted.has_agreed_n = true);
    REFUSES(NEW_IDENTITY_GRANTED, AGREED, m.new_identity_granted.has_k = true);
#undef AGREED
    REFUSES(NEW_IDENTITY_GRANTED, m.new_identity_granted.has_k = false);
    REFUSES(NEW_IDENTITY_GRANTED, m.new_identity_granted.k = 0);
    REFUSES(NEW_IDENTITY_GRANTED, m.new_identity_granted.has_agreed_n = true);
    REFUSES(NEW_IDENTITY_GRANTED, m.granted.has_certificate = false, m.granted.n_authorities = 0,
            m.granted.n_endorsements = 0);
    REFUSES(NEW_IDENTITY_GRANTED, m.granted.n_endorsements = 0);
}

/* ---- digests and repair ---- */

static void test_digest_ask__bounds(void **state)
{
    (void)state;
    REFUSES(DIGEST_ASK, m.digest_ask.stream = 0);
    REFUSES(DIGEST_ASK, m.digest_ask.has_kind = false);
    TAKES(DIGEST_ASK, m.digest_ask.has_kind = m.digest_ask.has_ids = false);
    REFUSES(DIGEST_ASK, m.digest_ask.has_after = true, m.digest_ask.after = some(WIRE_ID_SIZE));
#define RANGED m.digest_ask.has_ids = false, m.digest_ask.has_after = m.digest_ask.has_upto = true,      \
    m.digest_ask.after = m.digest_ask.upto = some(WIRE_ID_SIZE)
    TAKES(DIGEST_ASK, RANGED);
    REFUSES(DIGEST_ASK, RANGED, m.digest_ask.has_kind = false);
    REFUSES(DIGEST_ASK, RANGED, m.digest_ask.after = some(WIRE_ID_SIZE - 1));
    REFUSES(DIGEST_ASK, RANGED, m.digest_ask.upto = some(WIRE_ID_SIZE + 1));
    TAKES(DIGEST_ASK, RANGED, m.digest_ask.has_after = false);
    TAKES(DIGEST_ASK, RANGED, m.digest_ask.has_upto = false);
    REFUSES(DIGEST_ASK, RANGED, m.digest_ask.has_after = m.digest_ask.has_kind = false);
#undef RANGED
}

static void test_digest_ask__ids(void **state)
{
    (void)state;
    REFUSES(DIGEST_ASK, m.digest_ask.ids.len = 0);
    REFUSES(DIGEST_ASK, m.digest_ask.ids.len = WIRE_ID_SIZE + 1);
    TAKES(DIGEST_ASK, m.digest_ask.ids.len = WIRE_REPAIR_MAX * WIRE_ID_SIZE);
    REFUSES(DIGEST_ASK, m.digest_ask.ids.len = (WIRE_REPAIR_MAX + 1) * WIRE_ID_SIZE);
    REFUSES(DIGEST_ASK, m.ids[WIRE_ID_SIZE] = m.ids[0]);
    REFUSES(DIGEST_ASK, m.ids[0] = 2);
}

static void test_digest_tell__bounds(void **state)
{
    (void)state;
    REFUSES(DIGEST_TELL, m.digest_tell.stream = 0);
    REFUSES(DIGEST_TELL, m.digest_tell.form = 0);
    TAKES(DIGEST_TELL, m.digest_tell.form = ZTC__DIGEST_TELL__FORM__ROWS);
    REFUSES(DIGEST_TELL, m.digest_tell.form = ZTC__DIGEST_TELL__FORM__ROWS + 1);
    REFUSES(DIGEST_TELL, m.digest_tell.form = ZTC__DIGEST_TELL__FORM__KINDS);
    TAKES(DIGEST_TELL, m.digest_tell.form = ZTC__DIGEST_TELL__FORM__KINDS,
          m.digest_tell.has_kind = false);
    REFUSES(DIGEST_TELL, m.digest_tell.has_kind = false);
    WITHIN(DIGEST_TELL, m.digest_tell.list, 0u, WIRE_DIGESTS_MAX);
}

static void test_repair__bounds(void **state)
{
    (void)state;
    REFUSES(REPAIR_ROWS, m.repair_rows.stream = 0);
    REFUSES(REPAIR_ROWS, m.repair_rows.covered = 0, m.repair_rows.n_rows = 0);
    TAKES(REPAIR_ROWS, m.repair_rows.covered = WIRE_REPAIR_MAX);
    REFUSES(REPAIR_ROWS, m.repair_rows.covered = WIRE_REPAIR_MAX + 1);
    REFUSES(REPAIR_ROWS, m.repair_rows.n_rows = 3);
    WITHIN(REPAIR_ROWS, m.rows[1], 1u, WIRE_BODY_MAX);
    REFUSES(REPAIRED, m.repaired.no = 0);
    TAKES(REPAIRED, m.repaired.no = m.repaired.at = m.repaired.seq = INT64_MAX);
    REFUSES(REPAIRED, m.repaired.no = INT64_MAX + 1ull);
    REFUSES(REPAIRED, m.repaired.at = INT64_MAX + 1ull);
    REFUSES(REPAIRED, m.repaired.seq = INT64_MAX + 1ull);
    REFUSES(REPAIRED, m.repaired.stream = 0);
    SIZED(REPAIRED, m.repaired.id, WIRE_ID_SIZE);
    REFUSES(REPAIRED, m.repaired.how = 0);
    TAKES(REPAIRED, m.repaired.how = ZTC__REPAIRED__HOW__CITY_DIFFERS);
    REFUSES(REPAIRED, m.repaired.how = ZTC__REPAIRED__HOW__CITY_DIFFERS + 1);
}

/* ---- bodies ---- */

static int push_body(uint32_t count, size_t bytes, bool has_side, size_t side)
{
    Ztc__Change c = ZTC__CHANGE__INIT, *changes[] = {&c};
    Ztc__PushBody b = ZTC__PUSH_BODY__INIT;

    c.bytes = some(bytes);
    c.has_side = has_side;
    c.side = some(side);
    b.n_changes = 1;
    b.changes = changes;
    return check_push_body(&b, count);
}

static void test_bodies__push(void **state)
{
    (void)state;
    set_right();
    assert_int_equal(push_body(1, WIRE_CHANGE_MAX, true, WIRE_CHANGE_MAX), 0);
    assert_int_equal(push_body(1, 1, false, WIRE_CHANGE_MAX + 1), 0);
    assert_int_equal(push_body(0, 1, false, 0), E_MALFORMED);
    assert_int_equal(push_body(2, 1, false, 0), E_MALFORMED);
    assert_int_equal(push_body(1, 0, false, 0), E_MALFORMED);
    assert_int_equal(push_body(1, WIRE_CHANGE_MAX + 1, false, 0), E_MALFORMED);
    assert_int_equal(push_body(1, 1, true, WIRE_CHANGE_MAX + 1), E_MALFORMED);
}

/* An entry with its bytes, and one with the reader's own number. */
static Ztc__Entry entry_of(bool echo)
{
    Ztc__Entry e = ZTC__ENTRY__INIT;

    e.verdict = some(1);
    e.has_echo_n = echo;
    e.echo_n = 1;
    e.has_bytes = e.has_side = !echo;
    e.bytes = e.side = some(1);
    return e;
}

static int entries_body(Ztc__Entry e, uint32_t count)
{
    Ztc__Entry *list[] = {&e};
    Ztc__EntriesBody b = ZTC__ENTRIES_BODY__INIT;

    b.n_entries = 1;
    b.entries = list;
    return check_entries_body(&b, count);
}

#define ENTRY(echo, expected, ...)                                                                 \
    do {                                                                                           \
        Ztc__Entry e = entry_of(echo);                                                             \
        __VA_ARGS__;                                                                               \
        if (entries_body(e, 1) != (expected))                                                      \
            fail_msg("entry: %s", #__VA_ARGS__);                                                   \
    } while (0)

static void test_bodies__entries(void **state)
{
    (void)state;
    set_right();
    assert_int_equal(entries_body(entry_of(false), 1), 0);
    assert_int_equal(entries_body(entry_of(true), 1), 0);
    assert_int_equal(entries_body(entry_of(true), 2), E_MALFORMED);
    ENTRY(false, 0, e.bytes = e.side = e.verdict = some(WIRE_CHANGE_MAX));
    ENTRY(false, 0, e.has_side = false, e.side = some(WIRE_CHANGE_MAX + 1));
    ENTRY(false, E_MALFORMED, e.verdict = some(0));
    ENTRY(false, E_MALFORMED, e.verdict = some(WIRE_CHANGE_MAX + 1));
    ENTRY(false, E_MALFORMED, e.has_bytes = false);
    ENTRY(false, E_MALFORMED, e.bytes = some(0));
    ENTRY(false, E_MALFORMED, e.bytes = some(WIRE_CHANGE_MAX + 1));
    ENTRY(false, E_MALFORMED, e.side = some(WIRE_CHANGE_MAX + 1));
    ENTRY(true, E_MALFORMED, e.echo_n = 0);
    ENTRY(true, E_MALFORMED, e.has_bytes = true);
    ENTRY(true, E_MALFORMED, e.has_side = true);
}

static int slice_body(Ztc__SliceEntry e, size_t n_entries, uint32_t count)
{
    static Ztc__SliceEntry *list[WIRE_BATCH_MAX + 1];
    Ztc__SliceBody b = ZTC__SLICE_BODY__INIT;

    for (size_t i = 0; i < N(list); i++)
        list[i] = &e;
    b.n_rows = 1;
    b.rows = m.rows;
    b.n_entries = n_entries;
    b.entries = list;
    return check_slice_body(&b, count);
}

static Ztc__SliceEntry slice_entry(void)
{
    Ztc__SliceEntry e = ZTC__SLICE_ENTRY__INIT;

    e.seq = 1;
    e.verdict = e.bytes = e.side = some(1);
    e.has_side = true;
    return e;
}

#define SLICE_ENTRY(expected, ...)                                                                 \
    do {                                                                                           \
        Ztc__SliceEntry e = slice_entry();                                                         \
        __VA_ARGS__;                                                                               \
        if (slice_body(e, 1, 1) != (expected))                                                     \
            fail_msg("entry of a slice: %s", #__VA_ARGS__);                                        \
    } while (0)

static void test_bodies__slice(void **state)
{
    (void)state;
    set_right();
    assert_int_equal(slice_body(slice_entry(), 0, 1), 0);
    assert_int_equal(slice_body(slice_entry(), 0, 2), E_MALFORMED);
    assert_int_equal(slice_body(slice_entry(), WIRE_BATCH_MAX, 1), 0);
    assert_int_equal(slice_body(slice_entry(), WIRE_BATCH_MAX + 1, 1), E_MALFORMED);
    SLICE_ENTRY(0, e.verdict = e.bytes = e.side = some(WIRE_CHANGE_MAX));
    SLICE_ENTRY(0, e.has_side = false, e.side = some(WIRE_CHANGE_MAX + 1));
    SLICE_ENTRY(E_MALFORMED, e.seq = 0);
    SLICE_ENTRY(E_MALFORMED, e.verdict = some(0));
    SLICE_ENTRY(E_MALFORMED, e.verdict = some(WIRE_CHANGE_MAX + 1));
    SLICE_ENTRY(E_MALFORMED, e.bytes = some(0));
    SLICE_ENTRY(E_MALFORMED, e.bytes = some(WIRE_CHANGE_MAX + 1));
    SLICE_ENTRY(E_MALFORMED, e.side = some(WIRE_CHANGE_MAX + 1));
    m.rows[0] = some(WIRE_BODY_MAX);
    assert_int_equal(slice_body(slice_entry(), 0, 1), 0);
    m.rows[0] = some(WIRE_BODY_MAX + 1);
    assert_int_equal(slice_body(slice_entry(), 0, 1), E_MALFORMED);
    m.rows[0] = some(0);
    assert_int_equal(slice_body(slice_entry(), 0, 1), E_MALFORMED);
}

/* ---- words ---- */

static void test_code__letters(void **state)
{
    static const char *const good[] = {"ZT-A", "ZT-Z", "ZT-0", "ZT-9", "ZT--",
                                       "ZT-BLOB-LOST", "ZT-AAAAAAAAAAAAAAAAAAAAAAAAAAAAA"};
    static const char *const bad[] = {"", "ZT-", "ZTA-", "XT-A", "ZT-a", "ZT-A[", "ZT-@", "ZT-/", "ZT-:",
                                      "ZT-A ", "ZT-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"};

    (void)state;
    assert_int_equal(strlen(good[N(good) - 1]), WIRE_CODE_MAX);
    for (size_t i = 0; i < N(good); i++) {
        if (!wire_code_valid(slice_str(good[i])))
            fail_msg("'%s' is refused", good[i]);
    }
    for (size_t i = 0; i < N(bad); i++) {
        if (wire_code_valid(slice_str(bad[i])))
            fail_msg("'%s' is taken", bad[i]);
    }
}

static void test_address__letters(void **state)
{
    static const char *const good[] = {"a:1",         "A-z_0.9:65535", "127.0.0.1:4310", "[::1]:1",
                                       "[fe80::A]:9", "[a]:80",        "z:10",           "Z:10"};
    static const char *const bad[] = {
        "",      "host",  "host:", ":1",   "host:0",  "host:01", "host:-1", "host:65536", "host:x",
        "ho st:1", "::1:1", "[]:1", "[:1", "]:1",   "[::1:1",  "[::1:2", "[a-b]:1", "[a_b]:1",  "a/b:1",
        "a@b:1", "a[b:1", "a`b:1", "a{b:1", "99999999999999999999:1x", "a:99999999999999999999"};
    char longest[WIRE_ADDRESS_MAX + 2];

    (void)state;
    for (size_t i = 0; i < N(good); i++) {
        if (!wire_address_valid(slice_str(good[i])))
            fail_msg("'%s' is refused", good[i]);
    }
    for (size_t i = 0; i < N(bad); i++) {
        if (wire_address_valid(slice_str(bad[i])))
            fail_msg("'%s' is taken", bad[i]);
    }
    memset(longest, 'a', sizeof longest);
    memcpy(longest + WIRE_ADDRESS_MAX - 2, ":1", 3);
    assert_true(wire_address_valid(slice_str(longest)));
    memcpy(longest + WIRE_ADDRESS_MAX - 2, "a:1", 4);
    assert_false(wire_address_valid(slice_str(longest)));
}

static void test_token__bounds(void **state)
{
    Ztc__Token t = ZTC__TOKEN__INIT, right;

    (void)state;
    set_right();
    t.site = 431021;
    t.secret = some(WIRE_SECRET_SIZE);
    t.expires_at = 1;
    t.n_addresses = 1;
    t.addresses = m.addresses;
    t.ca_fingerprint = some(WIRE_HASH_SIZE);
    right = t;
#define TOKEN(expected, ...)                                                                       \
    do {                                                                                           \
        t = right;                                                                                 \
        __VA_ARGS__;                                                                               \
        if (check_token(&t) != (expected))                                                         \
            fail_msg("token: %s", #__VA_ARGS__);                                                   \
    } while (0)
    TOKEN(0, t.site = 100000);
    TOKEN(E_MALFORMED, t.site = 99999);
    TOKEN(E_MALFORMED, t.site = 1000000);
    TOKEN(E_MALFORMED, t.secret = some(WIRE_SECRET_SIZE - 1));
    TOKEN(E_MALFORMED, t.expires_at = 0);
    TOKEN(0, t.n_addresses = WIRE_ADDRESSES_MAX);
    TOKEN(E_MALFORMED, t.n_addresses = WIRE_ADDRESSES_MAX + 1);
    TOKEN(E_MALFORMED, t.n_addresses = 0);
    TOKEN(E_MALFORMED, t.ca_fingerprint = some(WIRE_HASH_SIZE + 1));
#undef TOKEN
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds__right),
        cmocka_unit_test(test_kinds__round_trip),
        cmocka_unit_test(test_hello__bounds),
        cmocka_unit_test(test_hello__cursors),
        cmocka_unit_test(test_hello__heads),
        cmocka_unit_test(test_welcome__bounds),
        cmocka_unit_test(test_bye__bounds),
        cmocka_unit_test(test_ping__bounds),
        cmocka_unit_test(test_batches__bounds),
        cmocka_unit_test(test_slice__ends),
        cmocka_unit_test(test_asks__bounds),
        cmocka_unit_test(test_refused__bounds),
        cmocka_unit_test(test_blobs__bounds),
        cmocka_unit_test(test_enrol__bounds),
        cmocka_unit_test(test_enrolled__bounds),
        cmocka_unit_test(test_renewed__bounds),
        cmocka_unit_test(test_new_identity__bounds),
        cmocka_unit_test(test_new_identity__granted),
        cmocka_unit_test(test_digest_ask__bounds),
        cmocka_unit_test(test_digest_ask__ids),
        cmocka_unit_test(test_digest_tell__bounds),
        cmocka_unit_test(test_repair__bounds),
        cmocka_unit_test(test_bodies__push),
        cmocka_unit_test(test_bodies__entries),
        cmocka_unit_test(test_bodies__slice),
        cmocka_unit_test(test_code__letters),
        cmocka_unit_test(test_address__letters),
        cmocka_unit_test(test_token__bounds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
