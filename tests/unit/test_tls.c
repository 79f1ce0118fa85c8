#include "common/base/mem.h"
#include "common/crypto/handles.h"
#include "common/net/tls.h"
#include "tests/lib/pki.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <cmocka.h>

/* One side of a connection in memory. */
struct end {
    struct tls *tls;
    struct buf got; /* plain text */
    struct err err; /* its first failure */
};

struct fixture {
    struct pki pki, other; /* another city's, with another ledger */
    struct tls_params server_params, client_params;
    msec_t server_now, client_now;
    struct end server, client;
    struct random_seeded seed;
    struct random random;
};

/* fixture */

static int setup(void **state)
{
    struct fixture *f = test_calloc(1, sizeof *f);

    pki_init(&f->pki, 1);
    pki_init(&f->other, 2);
    f->server_params = pki_server(&f->pki);
    f->client_params = pki_client(&f->pki);
    f->server_now = f->client_now = PKI_NOW;
    f->random = random_seeded_init(&f->seed, 20260101);
    buf_init(&f->server.got, 1u << 26);
    buf_init(&f->client.got, 1u << 26);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    tls_free(f->server.tls);
    tls_free(f->client.tls);
    buf_release(&f->server.got);
    buf_release(&f->client.got);
    pki_release(&f->pki);
    pki_release(&f->other);
    assert_int_equal(ERR_peek_error(), 0);
    test_free(f);
    return 0;
}

/* helpers */

static struct tls *filter(const struct tls_params *params, msec_t now)
{
    struct tls_config *config;
    struct tls *t;

    assert_int_equal(tls_config_new(params, &config, NULL), 0);
    assert_int_equal(tls_new(config, now, &t, NULL), 0);
    tls_config_unref(config); /* the filter holds its own */
    return t;
}

static void meet(struct fixture *f)
{
    f->server.tls = filter(&f->server_params, f->server_now);
    f->client.tls = filter(&f->client_params, f->client_now);
}

/* Do all that END can do with its present input. */
static void work(struct end *e)
{
    char plain[5000];
    size_t len = 1;

    if (e->err.ret != 0)
        return;
    if (!tls_is_open(e->tls))
        (void)tls_handshake(e->tls, &e->err);
    while (e->err.ret == 0 && tls_is_open(e->tls) && len > 0)
        if (tls_read(e->tls, plain, sizeof plain, &len, &e->err) == 0)
            buf_put(&e->got, plain, len);
}

/* Carry FROM's output to TO in random pieces; every piece's memory is overwritten after its use. */
static bool carry(struct fixture *f, struct end *from, struct end *to)
{
    struct buf out;
    size_t at = 0;

    if (tls_output_len(from->tls) == 0)
        return false;
    tls_take_output(from->tls, &out);
    while (at < out.len) {
        size_t n = 1 + (size_t)random_below(&f->random, out.len > 100000 ? 40000 : 900);
        uint8_t *piece;

        n = n < out.len - at ? n : out.len - at;
        piece = mem_dup(out.p + at, n);
        assert_int_equal(tls_feed(to->tls, (struct slice){piece, n}), 0);
        if (random_below(&f->random, 4) > 0)
            work(to);
        assert_int_equal(tls_park(to->tls), 0);
        memset(piece, 0xee, n);
        mem_free(piece);
        at += n;
    }
    work(to);
    buf_release(&out);
    return true;
}

/* Until nobody has anything left to say. */
static void talk(struct fixture *f)
{
    bool more = true;

    work(&f->client);
    while (more) {
        more = carry(f, &f->client, &f->server);
        more = carry(f, &f->server, &f->client) || more;
    }
}

static void end_network(struct end *e)
{
    tls_feed_eof(e->tls);
    work(e);
}

static void fill_pattern(struct buf *b, size_t len)
{
    for (size_t i = 0; i < len; i++)
        buf_u8(b, (uint8_t)(i * 7 + i / 251));
}

/* assertions */

static void expect_open(struct fixture *f)
{
    meet(f);
    talk(f);
    assert_int_equal(f->server.err.ret, 0);
    assert_int_equal(f->client.err.ret, 0);
    assert_true(tls_is_open(f->server.tls));
    assert_true(tls_is_open(f->client.tls));
}

static void expect_refused(struct fixture *f, int server, int client)
{
    meet(f);
    talk(f);
    if (f->server.err.ret != server || f->client.err.ret != client)
        print_message("server %s, client %s\n", f->server.err.text, f->client.err.text);
    assert_int_equal(f->server.err.ret, server);
    assert_int_equal(f->client.err.ret, client);
    assert_int_equal(f->server.got.len + f->client.got.len, 0);
}

/* tests */

/* Both sides know each other's certificate after the handshake. */
static void test_tls__handshake_shows_the_peers(void **state)
{
    struct fixture *f = *state;
    struct cert *peer;
    struct id id;
    uint32_t site;

    expect_open(f);
    assert_int_equal(tls_peer(f->server.tls, &peer, NULL), 0);
    assert_int_equal(cert_replica(peer, &site, &id, NULL), 0);
    assert_int_equal(site, PKI_SITE);
    assert_true(id_eq(&id, &f->pki.replica_id));
    cert_free(peer);
    assert_int_equal(tls_peer(f->client.tls, &peer, NULL), 0);
    assert_int_equal(cert_city(peer, &id, NULL), 0);
    assert_true(id_eq(&id, &f->pki.ledger));
    cert_free(peer);
}

/* Bytes arrive whole and in order both ways, whatever the fragments. */
static void test_tls__data_both_ways(void **state)
{
    struct fixture *f = *state;
    struct buf sent;

    buf_init(&sent, 1u << 21);
    fill_pattern(&sent, 700001);
    expect_open(f);
    for (int round = 1; round <= 3; round++) {
        size_t len = round == 2 ? 1 : sent.len;

        buf_clear(&f->server.got);
        buf_clear(&f->client.got);
        assert_int_equal(tls_write(f->client.tls, (struct slice){sent.p, len}, NULL), 0);
        assert_int_equal(tls_write(f->server.tls, (struct slice){sent.p, len}, NULL), 0);
        talk(f);
        assert_int_equal(f->server.got.len, len);
        assert_int_equal(f->client.got.len, len);
        assert_memory_equal(f->server.got.p, sent.p, len);
        assert_memory_equal(f->client.got.p, sent.p, len);
    }
    buf_release(&sent);
}

/* After the traffic a filter keeps no buffers. */
static void test_tls__buffers_are_given_back(void **state)
{
    struct fixture *f = *state;
    static const char text[100000];

    expect_open(f);
    assert_int_equal(tls_write(f->client.tls, (struct slice){(const uint8_t *)text, sizeof text},
                               NULL),
                     0);
    assert_true(tls_output_len(f->client.tls) > sizeof text);
    talk(f);
    assert_int_equal(tls_output_len(f->client.tls), 0);
    assert_int_equal(f->server.got.len, sizeof text);
}

/* The close of one side is orderly for the other; nothing can be written behind one's own close. */
static void test_tls__orderly_close(void **state)
{
    struct fixture *f = *state;

    expect_open(f);
    assert_int_equal(tls_write(f->client.tls, slice_str("last words"), NULL), 0);
    tls_close(f->client.tls);
    tls_close(f->client.tls);
    assert_int_equal(tls_write(f->client.tls, slice_str("x"), NULL), E_CLOSED);
    talk(f);
    assert_true(slice_eq(buf_slice(&f->server.got), slice_str("last words")));
    assert_int_equal(f->server.err.ret, E_CLOSED);
    assert_int_equal(tls_write(f->server.tls, slice_str("x"), NULL), E_CLOSED);
    tls_close(f->server.tls);
    talk(f);
    assert_int_equal(f->client.err.ret, E_CLOSED);
}

/* An end of the network without close_notify is not an orderly close. */
static void test_tls__truncation_is_noticed(void **state)
{
    struct fixture *f = *state;

    expect_open(f);
    assert_int_equal(tls_write(f->client.tls, slice_str("half a"), NULL), 0);
    talk(f);
    end_network(&f->server);
    assert_int_equal(f->server.err.ret, E_IO);
}

/* The network ends in the middle of the handshake. */
static void test_tls__eof_in_handshake(void **state)
{
    struct fixture *f = *state;

    meet(f);
    work(&f->client);
    end_network(&f->client);
    assert_int_equal(f->client.err.ret, E_IO);
    end_network(&f->server);
    assert_int_equal(f->server.err.ret, E_IO);
}

/* A replica of another CA is refused by the server, and learns so at its first read. */
static void test_tls__wrong_client_ca(void **state)
{
    struct fixture *f = *state;

    f->client_params.own = f->other.replica;
    f->client_params.key = f->other.replica_key;
    expect_refused(f, E_AUTH, E_AUTH);
    assert_true(tls_is_open(f->client.tls));
    assert_false(tls_is_open(f->server.tls));
}

/* The server of another CA is refused by the client. */
static void test_tls__wrong_server_ca(void **state)
{
    struct fixture *f = *state;

    f->server_params.own = f->other.city;
    f->server_params.key = f->other.city_key;
    expect_refused(f, E_AUTH, E_AUTH);
    assert_false(tls_is_open(f->client.tls));
}

/* A client without a certificate is refused, and learns so at its first read. */
static void test_tls__missing_client_certificate(void **state)
{
    struct fixture *f = *state;

    f->client_params.own = NULL;
    f->client_params.key = NULL;
    expect_refused(f, E_AUTH, E_AUTH);
    assert_true(tls_is_open(f->client.tls));
}

/* The same CA's server of another ledger is refused. */
static void test_tls__other_ledgers_server(void **state)
{
    struct fixture *f = *state;

    f->client_params.ledger = &f->other.ledger;
    expect_refused(f, E_AUTH, E_AUTH);
    assert_false(tls_is_open(f->client.tls));
}

/* A replica's certificate does not serve, and a city's is no client. */
static void test_tls__roles_are_not_exchangeable(void **state)
{
    struct fixture *f = *state;

    f->server_params.own = f->pki.replica;
    f->server_params.key = f->pki.replica_key;
    expect_refused(f, E_AUTH, E_AUTH);
}

static void test_tls__city_is_no_client(void **state)
{
    struct fixture *f = *state;

    f->client_params.own = f->pki.city;
    f->client_params.key = f->pki.city_key;
    expect_refused(f, E_AUTH, E_AUTH);
}

/* Validity is judged at the time given, on both sides, whatever this machine's clock says. */
static void test_tls__expired_client(void **state)
{
    struct fixture *f = *state;

    f->server_now = PKI_NOW + 91 * PKI_DAY;
    expect_refused(f, E_EXPIRED, E_EXPIRED);
}

static void test_tls__expired_server(void **state)
{
    struct fixture *f = *state;

    f->client_now = PKI_NOW + 91 * PKI_DAY;
    expect_refused(f, E_EXPIRED, E_EXPIRED);
}

/* A side that is behind (its clock says 2009, or it was offline while the city renewed) goes on. */
static void test_tls__a_clock_that_is_behind_does_no_harm(void **state)
{
    struct fixture *f = *state;

    f->client_now = f->server_now = PKI_NOW - 17 * 365 * PKI_DAY;
    expect_open(f);
}

/* It excuses nothing else. */
static void test_tls__a_clock_that_is_behind_trusts_nobody_more(void **state)
{
    struct fixture *f = *state;

    f->client_now = f->server_now = PKI_NOW - PKI_DAY;
    f->client_params.own = f->other.replica;
    f->client_params.key = f->other.replica_key;
    expect_refused(f, E_AUTH, E_AUTH);
}

/* While the city changes its CA both sides take certificates of either. */
static void test_tls__two_roots_at_a_time(void **state)
{
    struct fixture *f = *state;

    f->server_params.old_ca = f->server_params.ca;
    f->server_params.ca = f->other.ca;
    f->client_params.old_ca = f->client_params.ca;
    f->client_params.ca = f->other.ca;
    expect_open(f);
}

/* The old one dropped, its certificates are worth nothing. */
static void test_tls__a_dropped_root_is_none(void **state)
{
    struct fixture *f = *state;

    f->server_params.ca = f->other.ca;
    expect_refused(f, E_AUTH, E_AUTH);
}

/* A server that lets expired replicas in for renewal still refuses those of another CA. */
static void test_tls__expired_client_may_renew(void **state)
{
    struct fixture *f = *state;
    struct cert *peer;

    f->server_params.allow_expired = true;
    f->server_now = PKI_NOW + 91 * PKI_DAY;
    expect_open(f);
    assert_int_equal(tls_peer(f->server.tls, &peer, NULL), 0);
    assert_true(cert_not_after(peer) < f->server_now);
    cert_free(peer);
}

static void test_tls__expired_stranger_may_not(void **state)
{
    struct fixture *f = *state;

    f->server_params.allow_expired = true;
    f->server_now = PKI_NOW + 91 * PKI_DAY;
    f->client_params.own = f->other.replica;
    f->client_params.key = f->other.replica_key;
    expect_refused(f, E_AUTH, E_AUTH);
}

/* Enrolment: the client knows a fingerprint only, and shows no certificate. */
static void test_tls__enrolment_pins_the_root(void **state)
{
    struct fixture *f = *state;
    struct cert *peer;

    f->server_params = pki_enrol_server(&f->pki);
    f->client_params = pki_enrol_client(&f->pki);
    expect_open(f);
    assert_int_equal(tls_peer(f->server.tls, &peer, NULL), 0);
    assert_null(peer);
}

/* Enrolment with another root's fingerprint. */
static void test_tls__enrolment_wrong_root(void **state)
{
    struct fixture *f = *state;

    f->server_params = pki_enrol_server(&f->pki);
    f->client_params = pki_enrol_client(&f->other);
    expect_refused(f, E_AUTH, E_AUTH);
}

/* A server that sends the pinned root beside a certificate which that root has not signed. */
static void test_tls__enrolment_root_did_not_sign(void **state)
{
    struct fixture *f = *state;

    f->server_params = pki_enrol_server(&f->pki);
    f->server_params.own = f->other.city;
    f->server_params.key = f->other.city_key;
    f->client_params = pki_enrol_client(&f->pki);
    expect_refused(f, E_AUTH, E_AUTH);
}

/* A server that does not send its root cannot be pinned. */
static void test_tls__enrolment_root_not_sent(void **state)
{
    struct fixture *f = *state;

    f->server_params = pki_enrol_server(&f->pki);
    f->server_params.send_ca = false;
    f->client_params = pki_enrol_client(&f->pki);
    expect_refused(f, E_AUTH, E_AUTH);
}

/* The sync port and the enrolment port do not understand each other. */
static void test_tls__other_protocol(void **state)
{
    struct fixture *f = *state;

    f->client_params.alpn = TLS_ALPN_ENROL;
    expect_refused(f, E_PROTOCOL, E_PROTOCOL);
}

/* A key that does not belong to the certificate is found when the configuration is made. */
static void test_tls__config_checks_the_key(void **state)
{
    struct fixture *f = *state;
    struct tls_config *config;
    struct err err = {0};

    f->server_params.key = f->pki.replica_key;
    assert_int_equal(tls_config_new(&f->server_params, &config, &err), E_INVALID);
    assert_true(err.text[0] != '\0');
}

/* Bytes that are not TLS end the handshake with an error, not with a wait. */
static void test_tls__garbage(void **state)
{
    struct fixture *f = *state;

    meet(f);
    assert_int_equal(tls_feed(f->server.tls, slice_str("GET / HTTP/1.1\r\nHost: x\r\n\r\n")), 0);
    work(&f->server);
    assert_int_equal(f->server.err.ret, E_TLS);
    assert_int_equal(tls_handshake(f->server.tls, NULL), E_TLS); /* a failure is final */
}

/* One changed bit in a record ends the connection. */
static void test_tls__changed_record(void **state)
{
    struct fixture *f = *state;
    struct buf out;

    expect_open(f);
    assert_int_equal(tls_write(f->client.tls, slice_str("text"), NULL), 0);
    tls_take_output(f->client.tls, &out);
    out.p[out.len - 1] ^= 1;
    assert_int_equal(tls_feed(f->server.tls, buf_slice(&out)), 0);
    work(&f->server);
    assert_int_equal(f->server.err.ret, E_TLS);
    assert_int_equal(f->server.got.len, 0);
    buf_release(&out);
}

/* What is parked and what waits to be taken are bounded. */
static void test_tls__buffers_are_bounded(void **state)
{
    struct fixture *f = *state;
    static const uint8_t block[1u << 16];
    int ret = 0;

    expect_open(f);
    for (int i = 0; i < 300 && ret == 0; i++)
        ret = tls_write(f->client.tls, (struct slice){block, sizeof block}, NULL);
    assert_int_equal(ret, E_TOOBIG);
    assert_true(tls_output_len(f->client.tls) <= TLS_OUTPUT_MAX);
    for (ret = 0; ret == 0;) {
        ret = tls_feed(f->server.tls, (struct slice){block, sizeof block});
        if (ret == 0)
            ret = tls_park(f->server.tls);
    }
    assert_int_equal(ret, E_TOOBIG);
}

/* A client of plain OpenSSL that we can make misbehave. */
static SSL *hostile(struct fixture *f, SSL_CTX **ret_ctx)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL *ssl;

    SSL_CTX_use_certificate(ctx, f->pki.replica->x);
    SSL_CTX_use_PrivateKey(ctx, f->pki.replica_key->pkey);
    ssl = SSL_new(ctx);
    SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_connect_state(ssl);
    *ret_ctx = ctx;
    return ssl;
}

/* Everything SSL wrote goes to the server, everything the server wrote goes back. */
static void exchange(struct fixture *f, SSL *ssl)
{
    char *p;
    long n = BIO_get_mem_data(SSL_get_wbio(ssl), &p);
    struct buf out;

    assert_int_equal(tls_feed(f->server.tls, (struct slice){(uint8_t *)p, (size_t)n}), 0);
    work(&f->server);
    assert_int_equal(tls_park(f->server.tls), 0);
    (void)BIO_reset(SSL_get_wbio(ssl));
    tls_take_output(f->server.tls, &out);
    if (out.len > 0)
        BIO_write(SSL_get_rbio(ssl), out.p, (int)out.len);
    buf_release(&out);
}

/* A peer that changes keys all the time is cut off; a few changes do no harm. */
static void test_tls__key_updates_are_counted(void **state)
{
    static const uint8_t alpn[] = "\x05ztc/1";
    struct fixture *f = *state;
    SSL_CTX *ctx;
    SSL *ssl = hostile(f, &ctx);
    int changes = 0;

    meet(f);
    SSL_set_alpn_protos(ssl, alpn, sizeof alpn - 1);
    for (int i = 0; i < 4; i++) {
        (void)SSL_do_handshake(ssl);
        exchange(f, ssl);
    }
    assert_true(tls_is_open(f->server.tls));
    for (; changes < 200 && f->server.err.ret == 0; changes++) {
        assert_int_equal(SSL_key_update(ssl, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
        assert_int_equal(SSL_write(ssl, "x", 1), 1);
        exchange(f, ssl);
    }
    assert_int_equal(f->server.err.ret, E_PROTOCOL);
    assert_int_equal(changes, TLS_KEY_UPDATES_MAX + 1);
    assert_int_equal(f->server.got.len, TLS_KEY_UPDATES_MAX);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
}

/* A client that names no protocol at all, and one that speaks TLS 1.2. */
static void test_tls__stranger_without_alpn(void **state)
{
    struct fixture *f = *state;
    SSL_CTX *ctx;
    SSL *ssl = hostile(f, &ctx);

    meet(f);
    for (int i = 0; i < 4; i++) {
        (void)SSL_do_handshake(ssl);
        exchange(f, ssl);
    }
    assert_int_equal(f->server.err.ret, E_PROTOCOL);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
}

static void test_tls__only_tls13(void **state)
{
    struct fixture *f = *state;
    SSL_CTX *ctx;
    SSL *ssl = hostile(f, &ctx);

    meet(f);
    SSL_set_max_proto_version(ssl, TLS1_2_VERSION);
    (void)SSL_do_handshake(ssl);
    exchange(f, ssl);
    assert_int_equal(f->server.err.ret, E_TLS);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    ERR_clear_error();
}

/* No session is offered for resumption. */
static void test_tls__no_tickets(void **state)
{
    static const uint8_t alpn[] = "\x05ztc/1";
    struct fixture *f = *state;
    SSL_CTX *ctx;
    SSL *ssl = hostile(f, &ctx);
    char c;

    meet(f);
    SSL_set_alpn_protos(ssl, alpn, sizeof alpn - 1);
    for (int i = 0; i < 4; i++) {
        (void)SSL_do_handshake(ssl);
        exchange(f, ssl);
    }
    assert_int_equal(tls_write(f->server.tls, slice_str("x"), NULL), 0);
    exchange(f, ssl);
    assert_int_equal(SSL_read(ssl, &c, 1), 1);
    assert_int_equal(SSL_SESSION_is_resumable(SSL_get0_session(ssl)), 0);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    ERR_clear_error();
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(test_tls__##name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(handshake_shows_the_peers),
        T(data_both_ways),
        T(buffers_are_given_back),
        T(orderly_close),
        T(truncation_is_noticed),
        T(eof_in_handshake),
        T(wrong_client_ca),
        T(wrong_server_ca),
        T(missing_client_certificate),
        T(other_ledgers_server),
        T(roles_are_not_exchangeable),
        T(city_is_no_client),
        T(expired_client),
        T(expired_server),
        T(a_clock_that_is_behind_does_no_harm),
        T(a_clock_that_is_behind_trusts_nobody_more),
        T(two_roots_at_a_time),
        T(a_dropped_root_is_none),
        T(expired_client_may_renew),
        T(expired_stranger_may_not),
        T(enrolment_pins_the_root),
        T(enrolment_wrong_root),
        T(enrolment_root_did_not_sign),
        T(enrolment_root_not_sent),
        T(other_protocol),
        T(config_checks_the_key),
        T(garbage),
        T(changed_record),
        T(buffers_are_bounded),
        T(key_updates_are_counted),
        T(stranger_without_alpn),
        T(only_tls13),
        T(no_tickets),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
