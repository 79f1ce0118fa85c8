/* What a county takes as its new certificate, and what stands on its disk after each step. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "client/net/certificate.h"
#include "tests/lib/pki.h"
#include "sweep.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- fixture: a replica's directory under a CA; another CA, once a successor, once a stranger ---- */

struct fixture {
    struct pki pki, next;
    char dir[64], cert[96], cas[96];
    struct certificate c;
    struct buf der[3], endorsement;
    ProtobufCBinaryData authorities[2], endorsements[1];
    Ztc__Renewed m;
    struct err err;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    const struct cert *own, *ca;
    char path[96];

    pki_init(&f->pki, 1);
    pki_init(&f->next, 1);
    (void)snprintf(f->dir, sizeof f->dir, "/tmp/ztc-certificate-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    (void)snprintf(f->cert, sizeof f->cert, "%s/cert.pem", f->dir);
    (void)snprintf(f->cas, sizeof f->cas, "%s/ca.pem", f->dir);
    (void)snprintf(path, sizeof path, "%s/key.pem", f->dir);
    own = f->pki.replica;
    ca = f->pki.ca;
    assert_int_equal(cert_save_all(&own, 1, f->cert, &f->err), 0);
    assert_int_equal(cert_save_all(&ca, 1, f->cas, &f->err), 0);
    assert_int_equal(key_save(f->pki.replica_key, path, &f->err), 0);
    assert_int_equal(certificate_load(f->dir, &f->c, &f->err), 0);
    for (size_t i = 0; i < 3; i++)
        buf_init(&f->der[i], 8192);
    buf_init(&f->endorsement, 256);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char path[96];

    (void)snprintf(path, sizeof path, "%s/key.pem", f->dir);
    (void)unlink(path);
    (void)unlink(f->cert);
    (void)unlink(f->cas);
    assert_int_equal(rmdir(f->dir), 0);
    certificate_release(&f->c);
    for (size_t i = 0; i < 3; i++)
        buf_release(&f->der[i]);
    buf_release(&f->endorsement);
    pki_release(&f->pki);
    pki_release(&f->next);
    free(f);
    return 0;
}

/* ---- helpers ---- */

/* A certificate of CA for KEY and REPLICA, in der[0]. */
static void issue(struct fixture *f, const struct pki *ca, const struct key *key,
                  const struct id *replica)
{
    struct buf csr;
    struct cert *cert;

    buf_init(&csr, 4096);
    assert_int_equal(csr_new(key, &csr, NULL), 0);
    assert_int_equal(ca_issue_replica(ca->ca, ca->ca_key, buf_slice(&csr), PKI_SITE, replica,
                                      PKI_NOW + 61 * PKI_DAY, CERT_DAYS, &cert, NULL),
                     0);
    buf_release(&csr);
    buf_clear(&f->der[0]);
    assert_int_equal(cert_to_der(cert, &f->der[0]), 0);
    cert_free(cert);
    f->m = (Ztc__Renewed)ZTC__RENEWED__INIT;
    f->m.has_certificate = true;
    f->m.certificate = wire_data(buf_slice(&f->der[0]));
    f->m.authorities = f->authorities;
    f->m.endorsements = f->endorsements;
}

static void name_ca(struct fixture *f, const struct pki *ca)
{
    size_t i = f->m.n_authorities++;

    buf_clear(&f->der[1 + i]);
    assert_int_equal(cert_to_der(ca->ca, &f->der[1 + i]), 0);
    f->authorities[i] = wire_data(buf_slice(&f->der[1 + i]));
}

/* OLDER vouches for the first CA named. */
static void endorse(struct fixture *f, const struct pki *older)
{
    buf_clear(&f->endorsement);
    assert_int_equal(trust_endorse(older->ca_key, &f->pki.ledger, f->next.ca, &f->endorsement), 0);
    f->endorsements[0] = wire_data(buf_slice(&f->endorsement));
    f->m.n_endorsements = 1;
}

static int take(struct fixture *f)
{
    return certificate_take(&f->c, f->dir, &f->pki.ledger, &f->m, &f->err);
}

/* What the next start reads is the same as what is in use, whole. */
static void expect_usable(struct fixture *f)
{
    struct certificate again;
    struct stat st;

    assert_int_equal(certificate_load(f->dir, &again, &f->err), 0);
    assert_true(cert_not_after(again.own) == cert_not_after(f->c.own));
    assert_int_equal(again.n_cas, f->c.n_cas);
    assert_int_equal(stat(f->cert, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    certificate_release(&again);
}

static void expect_refused(struct fixture *f)
{
    assert_int_equal(take(f), E_AUTH);
    assert_true(cert_not_after(f->c.own) == cert_not_after(f->pki.replica));
    assert_int_equal(f->c.n_cas, 1);
    expect_usable(f);
}

/* ---- tests ---- */

static void test_certificate__renewed(void **state)
{
    struct fixture *f = *state;

    issue(f, &f->pki, f->pki.replica_key, &f->pki.replica_id);
    name_ca(f, &f->pki);
    assert_int_equal(take(f), 0);
    assert_true(certificate_facts(&f->c).until == PKI_NOW + (61 + CERT_DAYS) * PKI_DAY);
    expect_usable(f);
}

/* A new CA comes with the word of the old one; when the old is gone, the new is known. */
static void test_certificate__a_new_ca(void **state)
{
    struct fixture *f = *state;

    issue(f, &f->next, f->pki.replica_key, &f->pki.replica_id);
    name_ca(f, &f->next);
    name_ca(f, &f->pki);
    endorse(f, &f->pki);
    assert_int_equal(take(f), 0);
    assert_int_equal(f->c.n_cas, 2);
    expect_usable(f);
    issue(f, &f->next, f->pki.replica_key, &f->pki.replica_id);
    name_ca(f, &f->next);
    assert_int_equal(take(f), 0);
    assert_int_equal(f->c.n_cas, 1);
    expect_usable(f);
}

/* A CA that vouches for itself, or for which one vouches that is not trusted. */
static void test_certificate__a_strange_ca(void **state)
{
    struct fixture *f = *state;

    issue(f, &f->next, f->pki.replica_key, &f->pki.replica_id);
    name_ca(f, &f->next);
    expect_refused(f);
    name_ca(f, &f->pki);
    endorse(f, &f->next);
    expect_refused(f);
    f->m.n_authorities = 1;
    name_ca(f, &f->next);
    endorse(f, &f->next);
    expect_refused(f);
}

/* The word holds for one ledger. */
static void test_certificate__another_ledger(void **state)
{
    struct fixture *f = *state;
    struct id other = {{42}};

    issue(f, &f->next, f->pki.replica_key, &f->pki.replica_id);
    name_ca(f, &f->next);
    name_ca(f, &f->pki);
    endorse(f, &f->pki);
    assert_int_equal(certificate_take(&f->c, f->dir, &other, &f->m, &f->err), E_AUTH);
    expect_usable(f);
}

static void test_certificate__for_somebody_else(void **state)
{
    struct fixture *f = *state;
    struct id other = {{1, 2, 3}};

    issue(f, &f->pki, f->pki.replica_key, &other);
    name_ca(f, &f->pki);
    expect_refused(f);
    issue(f, &f->pki, f->next.replica_key, &f->pki.replica_id); /* another key */
    name_ca(f, &f->pki);
    expect_refused(f);
    issue(f, &f->next, f->pki.replica_key, &f->pki.replica_id); /* not by the CA that is named */
    name_ca(f, &f->pki);
    expect_refused(f);
}

/* A crash between the two files: the CAs are new, the certificate is the former one. */
static void test_certificate__a_crash_between_the_files(void **state)
{
    struct fixture *f = *state;
    const struct cert *former = f->pki.replica;

    issue(f, &f->next, f->pki.replica_key, &f->pki.replica_id);
    name_ca(f, &f->next);
    name_ca(f, &f->pki);
    endorse(f, &f->pki);
    assert_int_equal(take(f), 0);
    assert_int_equal(cert_save_all(&former, 1, f->cert, &f->err), 0);
    certificate_release(&f->c);
    assert_int_equal(certificate_load(f->dir, &f->c, &f->err), 0);
    assert_int_equal(f->c.n_cas, 2);
    assert_int_equal(take(f), 0);
    expect_usable(f);
}

/* It cannot be written: what was stays, in use and on disk. */
static void test_certificate__not_written(void **state)
{
    struct fixture *f = *state;

    issue(f, &f->pki, f->pki.replica_key, &f->pki.replica_id);
    name_ca(f, &f->pki);
    assert_int_equal(certificate_take(&f->c, "/proc/none", &f->pki.ledger, &f->m, &f->err),
                     E_NOTFOUND);
    assert_true(cert_not_after(f->c.own) == cert_not_after(f->pki.replica));
    expect_usable(f);
}

static int take_once(void *ctx, struct err *err)
{
    struct fixture *f = ctx;
    struct certificate c;
    int ret = certificate_load(f->dir, &c, err);

    if (ret != 0)
        return ret;
    ret = certificate_take(&c, f->dir, &f->pki.ledger, &f->m, err);
    assert_non_null(c.key);
    assert_non_null(c.own);
    certificate_release(&c);
    return ret;
}

/* Memory that is out at any allocation: what is in use is whole, and what stands on disk can be loaded. */
static void test_certificate__without_memory(void **state)
{
    struct fixture *f = *state;

    issue(f, &f->next, f->pki.replica_key, &f->pki.replica_id);
    name_ca(f, &f->next);
    name_ca(f, &f->pki);
    endorse(f, &f->pki);
    sweep(take_once, f);
    certificate_release(&f->c);
    assert_int_equal(certificate_load(f->dir, &f->c, &f->err), 0);
    expect_usable(f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_certificate__##name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(renewed),         TEST(a_new_ca),          TEST(a_strange_ca),
        TEST(another_ledger),  TEST(for_somebody_else), TEST(a_crash_between_the_files),
        TEST(not_written),     TEST(without_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
