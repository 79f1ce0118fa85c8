/* A receipt proves one entry under a signed head, and nothing that was changed afterwards. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/err.h"
#include "common/crypto/hash.h"
#include "common/ledger/receipt.h"
#include "tests/lib/toy.h"

#include <string.h>

#define ENTRIES 5u
#define STREAM  431021u

struct fixture {
    struct buf bytes[ENTRIES];
    struct entry log[ENTRIES]; /* [i] is seq i + 1 */
    struct head head;
    struct buf head_bytes, signature, out;
    struct verifier log_key;
};

/* ---- fixture ---- */

static void make_log(struct fixture *f)
{
    const struct hasher *h = hasher_of(HASH_SM3);
    uint8_t hash[HASH_SIZE], inner[HASH_SIZE];

    chain_start(h, STREAM, &f->head.ledger, hash);
    for (unsigned i = 0; i < ENTRIES; i++) {
        struct entry *e = &f->log[i];

        buf_init(&f->bytes[i], 64);
        buf_printf(&f->bytes[i], "author's bytes %u", i);
        e->stream = STREAM;
        e->seq = i + 1;
        e->received_at = 1000 + i;
        e->verdict = slice_str("verdict");
        e->bytes = buf_slice(&f->bytes[i]);
        change_hash(h, e->bytes, inner);
        chain_next(h, hash, e->seq, e->received_at, e->verdict, inner, hash);
        memcpy(e->hash, hash, HASH_SIZE);
    }
    f->head.seq = ENTRIES;
    memcpy(f->head.hash, hash, HASH_SIZE);
}

static int set_up(void **state)
{
    static struct fixture f;
    struct signer signer = toy_signer();
    struct buf message;

    memset(&f, 0, sizeof f);
    f.head.ledger.b[0] = 7;
    f.head.stream = STREAM;
    f.log_key = toy_verifier();
    make_log(&f);
    buf_init(&f.head_bytes, 256);
    buf_init(&f.signature, 256);
    buf_init(&f.out, 1u << 16);
    buf_init(&message, 512);
    head_encode(&f.head_bytes, &f.head);
    head_to_sign(&message, &f.head);
    assert_int_equal(signer.sign(signer.ctx, buf_slice(&message), &f.signature), 0);
    buf_release(&message);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    for (unsigned i = 0; i < ENTRIES; i++)
        buf_release(&f->bytes[i]);
    buf_release(&f->head_bytes);
    buf_release(&f->signature);
    buf_release(&f->out);
    return 0;
}

/* ---- helpers ---- */

static void make(struct fixture *f, unsigned seq)
{
    const struct hasher *h = hasher_of(HASH_SM3);
    uint8_t hash[HASH_SIZE];

    buf_clear(&f->out);
    chain_start(h, STREAM, &f->head.ledger, hash);
    if (seq > 1)
        memcpy(hash, f->log[seq - 2].hash, HASH_SIZE);
    receipt_begin(&f->out, HASH_SM3, buf_slice(&f->head_bytes), buf_slice(&f->signature), hash,
                  &f->log[seq - 1]);
    for (unsigned i = seq; i < ENTRIES; i++) {
        change_hash(h, f->log[i].bytes, hash);
        receipt_link(&f->out, f->log[i].received_at, f->log[i].verdict, hash);
    }
}

static int check(struct fixture *f, struct receipt *ret)
{
    return receipt_check(buf_slice(&f->out), hasher_of, &f->log_key, ret);
}

/* ---- tests ---- */

/* Every entry can be proved, the first and the head's own among them. */
static void test_receipt__proves_each_entry(void **state)
{
    struct fixture *f = *state;
    struct receipt x;

    for (unsigned seq = 1; seq <= ENTRIES; seq++) {
        make(f, seq);
        assert_int_equal(check(f, &x), 0);
        assert_int_equal(x.entry.seq, seq);
        assert_int_equal(x.entry.received_at, 999 + seq);
        assert_memory_equal(x.entry.hash, f->log[seq - 1].hash, HASH_SIZE);
        assert_true(slice_eq(x.entry.bytes, f->log[seq - 1].bytes));
        assert_int_equal(x.head.seq, ENTRIES);
    }
}

/* Whichever byte is changed, it is noticed. */
static void test_receipt__refuses_every_changed_byte(void **state)
{
    struct fixture *f = *state;
    struct receipt x;

    make(f, 2);
    for (size_t i = 0; i < f->out.len; i++) {
        f->out.p[i] ^= 1;
        assert_int_not_equal(check(f, &x), 0);
        f->out.p[i] ^= 1;
    }
    assert_int_equal(check(f, &x), 0);
}

/* However it is cut short or lengthened, it is malformed and nothing beyond it is read. */
static void test_receipt__refuses_other_lengths(void **state)
{
    struct fixture *f = *state;
    struct receipt x;
    size_t len;

    make(f, 2);
    for (len = f->out.len; f->out.len > 0;) {
        f->out.len--;
        assert_int_equal(check(f, &x), E_MALFORMED);
    }
    f->out.len = len;
    buf_u8(&f->out, 0);
    assert_int_equal(check(f, &x), E_MALFORMED);
}

/* Another city's signature proves nothing. */
static void test_receipt__refuses_another_key(void **state)
{
    struct fixture *f = *state;
    struct receipt x;

    f->signature.p[3] ^= 1;
    make(f, 2);
    assert_int_equal(check(f, &x), E_AUTH);
}

/* An entry of a rewritten log is not under the head that was signed. */
static void test_receipt__refuses_another_history(void **state)
{
    struct fixture *f = *state;
    struct receipt x;

    f->log[3].received_at++;
    make(f, 2);
    assert_int_equal(check(f, &x), E_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_receipt__proves_each_entry, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_receipt__refuses_every_changed_byte, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_receipt__refuses_other_lengths, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_receipt__refuses_another_key, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_receipt__refuses_another_history, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
