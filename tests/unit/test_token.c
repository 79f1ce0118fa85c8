/* Enrolment tokens: a golden line, the way back, and every way to be wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/base/err.h"
#include "common/base/hex.h"
#include "common/wire/frame.h"
#include "common/wire/token.h"

#include <string.h>

/* ---- helpers ---- */

static struct token sample(void)
{
    struct token t = {.site = 431021, .expires_at = 1800000000000, .n_addresses = 1};

    memset(t.secret, 0xab, sizeof t.secret);
    memset(t.ca_fingerprint, 0xcd, sizeof t.ca_fingerprint);
    strcpy(t.addresses[0], "127.0.0.1:4310");
    return t;
}

static Ztc__Token message(void)
{
    static uint8_t bytes[WIRE_SECRET_SIZE];
    static ProtobufCBinaryData address;
    Ztc__Token m = ZTC__TOKEN__INIT;

    address = wire_data(slice_str("127.0.0.1:4310"));
    m.site = 431021;
    m.secret = m.ca_fingerprint = wire_data((struct slice){bytes, sizeof bytes});
    m.expires_at = 1;
    m.addresses = &address;
    m.n_addresses = 1;
    return m;
}

static int parse_message(const Ztc__Token *m)
{
    uint8_t packed[1024];
    struct token t;
    struct buf text;
    int ret;

    buf_init(&text, TOKEN_TEXT_MAX);
    buf_str(&text, TOKEN_PREFIX);
    base64url_encode(&text, (struct slice){packed, ztc__token__pack(m, packed)});
    ret = token_parse(buf_slice(&text), &t);
    buf_release(&text);
    return ret;
}

static const char golden[] =
    "ztc1.CK2nGhIgq6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6sYgKDxwrE0Ig4xMjcuMC4wLjE"
    "6NDMxMCogzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc0";

/* ---- tests ---- */

/* The line of the sample is fixed for ever, and reads back as the sample. */
static void test_token__golden(void **state)
{
    struct token t = sample();
    struct token back;
    struct buf text;

    (void)state;
    buf_init(&text, TOKEN_TEXT_MAX);
    token_print(&text, &t);
    assert_string_equal(buf_cstr(&text), golden);
    buf_str(&text, "\r\n");
    assert_int_equal(token_parse(buf_slice(&text), &back), 0);
    assert_memory_equal(&back, &t, sizeof t);
    assert_false(token_expired(&t, t.expires_at - 1));
    assert_true(token_expired(&t, t.expires_at));
    buf_release(&text);
}

/* No prefix of a token, and no token with one character changed to a foreign one, is a token. */
static void test_token__damaged(void **state)
{
    struct token t;
    char text[sizeof golden];

    (void)state;
    for (size_t len = 0; len < sizeof golden - 1; len++)
        assert_int_equal(token_parse((struct slice){(const uint8_t *)golden, len}, &t), E_TOKEN);
    for (size_t at = 0; at < sizeof golden - 1; at++) {
        memcpy(text, golden, sizeof golden);
        text[at] = '=';
        assert_int_equal(token_parse(slice_str(text), &t), E_TOKEN);
    }
    assert_int_equal(token_parse(slice_str("ztc2.CK2n"), &t), E_TOKEN);
    assert_int_equal(token_parse(slice_str("\xff\xfe"), &t), E_TOKEN);
}

/* Fields out of bounds. */
static void test_token__fields(void **state)
{
    Ztc__Token m = message();
    ProtobufCBinaryData bad = wire_data(slice_str("nowhere"));

    (void)state;
    assert_int_equal(parse_message(&m), 0);
    m.secret.len--;
    assert_int_equal(parse_message(&m), E_TOKEN);
    m = message();
    m.ca_fingerprint.len = 20;
    assert_int_equal(parse_message(&m), E_TOKEN);
    m = message();
    m.site = 1;
    assert_int_equal(parse_message(&m), E_TOKEN);
    m = message();
    m.n_addresses = 0;
    assert_int_equal(parse_message(&m), E_TOKEN);
    m = message();
    m.addresses = &bad;
    assert_int_equal(parse_message(&m), E_TOKEN);
    m = message();
    m.expires_at = 0;
    assert_int_equal(parse_message(&m), E_TOKEN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_token__golden),
        cmocka_unit_test(test_token__damaged),
        cmocka_unit_test(test_token__fields),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
