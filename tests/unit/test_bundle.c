/* Bundles as files: what was put in comes out for the one it is for, and for nobody else; a file that is not
 * as it was signed is not read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/bundle/bundle.h"
#include "tests/lib/pki.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- fixture ---- */

struct fixture {
    struct pki pki;
    char folder[64], path[96];
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    pki_init(&f->pki, 7);
    strcpy(f->folder, "/tmp/test_bundle.XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    (void)snprintf(f->path, sizeof f->path, "%s/b", f->folder);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    (void)unlink(f->path);
    assert_int_equal(rmdir(f->folder), 0); /* nothing half-made is left */
    pki_release(&f->pki);
    free(f);
    return 0;
}

/* ---- helpers ---- */

static struct bundle_new upwards(const struct fixture *f)
{
    return (struct bundle_new){.way = BUNDLE_UP, .ledger = f->pki.ledger,
                               .replica = f->pki.replica_id, .made_at = PKI_NOW,
                               .own = f->pki.replica, .own_key = f->pki.replica_key,
                               .receiver = f->pki.city};
}

static void put_ack(struct bundle_writer *w, uint64_t n)
{
    Ztc__RefusedAck m = ZTC__REFUSED_ACK__INIT;

    m.first_n = m.until_n = n;
    frame_put_refused_ack(bundle_frames(w), &m);
    assert_int_equal(bundle_put(w, NULL), 0);
}

/* Frames with the numbers 1 … COUNT. */
static void write_one(const struct fixture *f, uint64_t count)
{
    struct bundle_new n = upwards(f);
    struct bundle_writer *w;

    assert_int_equal(bundle_create(f->path, &n, &w, NULL), 0);
    for (uint64_t i = 1; i <= count; i++)
        put_ack(w, i);
    assert_int_equal(bundle_finish(w, NULL), 0);
}

static int count_frame(void *ctx, Ztc__Frame *f, struct arena *a, struct err *err)
{
    uint64_t *n = ctx;

    (void)a;
    (void)err;
    assert_int_equal(f->kind_case, ZTC__FRAME__KIND_REFUSED_ACK);
    assert_int_equal(f->refused_ack->first_n, *n + 1);
    ++*n;
    return 0;
}

/* All of it, as its receiver would. *RET_N frames were given. */
static int read_as(const struct fixture *f, const struct key *key, uint64_t *ret_n)
{
    struct bundle_reader *b;
    int ret = bundle_open(f->path, &b, NULL);

    *ret_n = 0;
    if (ret != 0)
        return ret;
    ret = bundle_prove(b, key, NULL);
    if (ret == 0)
        ret = bundle_each(b, count_frame, ret_n, NULL);
    bundle_close(b);
    return ret;
}

static size_t slurp(const struct fixture *f, uint8_t *to, size_t max)
{
    FILE *in = fopen(f->path, "rb");
    size_t n;

    assert_non_null(in);
    n = fread(to, 1, max, in);
    assert_int_equal(fclose(in), 0);
    return n;
}

static void spill(const struct fixture *f, const uint8_t *bytes, size_t n)
{
    FILE *out = fopen(f->path, "wb");

    assert_non_null(out);
    assert_int_equal(fwrite(bytes, 1, n, out), n);
    assert_int_equal(fclose(out), 0);
}

/* ---- tests ---- */

/* Nothing, one frame, and more than fits one chunk; the file is its owner's alone. */
static void test_bundle__comes_out_as_it_went_in(void **state)
{
    static const uint64_t counts[] = {0, 1, 40000};
    const struct fixture *f = *state;

    for (size_t i = 0; i < 3; i++) {
        struct stat st;
        uint64_t n;

        write_one(f, counts[i]);
        assert_int_equal(stat(f->path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
        assert_int_equal(read_as(f, f->pki.city_key, &n), 0);
        assert_int_equal(n, counts[i]);
    }
}

/* It says whose it is before anything of it is proven, and nothing is read without the proof. */
static void test_bundle__says_who_it_is_from(void **state)
{
    const struct fixture *f = *state;
    struct bundle_reader *b;
    uint64_t n = 0;
    uint32_t site;
    struct id id;

    write_one(f, 1);
    assert_int_equal(bundle_open(f->path, &b, NULL), 0);
    assert_int_equal(bundle_head(b)->way, BUNDLE_UP);
    assert_int_equal(bundle_head(b)->made_at, PKI_NOW);
    assert_true(id_eq(&bundle_head(b)->ledger, &f->pki.ledger));
    assert_int_equal(cert_replica(bundle_sender(b), &site, &id, NULL), 0);
    assert_true(id_eq(&id, &f->pki.replica_id));
    assert_int_equal(bundle_each(b, count_frame, &n, NULL), E_INTERNAL);
    bundle_close(b);
}

/* Another key does not open it, not even the sender's own. */
static void test_bundle__is_for_one_receiver(void **state)
{
    const struct fixture *f = *state;
    uint64_t n;

    write_one(f, 3);
    assert_int_equal(read_as(f, f->pki.replica_key, &n), E_DENIED);
    assert_int_equal(read_as(f, f->pki.ca_key, &n), E_DENIED);
}

/* Whatever bit is turned, not one frame is given. */
static void test_bundle__changed_bytes_are_not_read(void **state)
{
    static uint8_t whole[4096];
    const struct fixture *f = *state;
    size_t len;

    write_one(f, 3);
    len = slurp(f, whole, sizeof whole);
    for (size_t at = 0; at < len; at++) {
        uint64_t n;

        whole[at] ^= 4;
        spill(f, whole, len);
        assert_int_not_equal(read_as(f, f->pki.city_key, &n), 0);
        assert_int_equal(n, 0);
        whole[at] ^= 4;
    }
}

/* Cut anywhere, or with something behind it. */
static void test_bundle__another_length_is_not_read(void **state)
{
    static uint8_t whole[4096];
    const struct fixture *f = *state;
    uint64_t n;
    size_t len;

    write_one(f, 3);
    len = slurp(f, whole, sizeof whole - 1);
    for (size_t cut = 0; cut < len; cut++) {
        spill(f, whole, cut);
        assert_int_not_equal(read_as(f, f->pki.city_key, &n), 0);
        assert_int_equal(n, 0);
    }
    spill(f, whole, len + 1);
    assert_int_equal(read_as(f, f->pki.city_key, &n), E_CORRUPT);
}

/* One who has another's certificate, and not the key, signs in vain. */
static void test_bundle__a_foreign_signature(void **state)
{
    const struct fixture *f = *state;
    struct bundle_new n = upwards(f);
    struct bundle_writer *w;
    uint64_t frames;

    n.own_key = f->pki.ca_key;
    assert_int_equal(bundle_create(f->path, &n, &w, NULL), 0);
    put_ack(w, 1);
    assert_int_equal(bundle_finish(w, NULL), 0);
    assert_int_equal(read_as(f, f->pki.city_key, &frames), E_CORRUPT);
}

/* A bundle that is given up leaves no file, and a former one of that name as it was. */
static void test_bundle__an_abandoned_one_leaves_nothing(void **state)
{
    const struct fixture *f = *state;
    struct bundle_new n = upwards(f);
    struct bundle_writer *w;
    uint64_t frames;

    write_one(f, 2);
    assert_int_equal(bundle_create(f->path, &n, &w, NULL), 0);
    put_ack(w, 1);
    bundle_abandon(w);
    assert_int_equal(read_as(f, f->pki.city_key, &frames), 0);
    assert_int_equal(frames, 2);
}

/* A folder, a file that is not there, one that would be too long. */
static void test_bundle__what_is_no_file(void **state)
{
    const struct fixture *f = *state;
    struct bundle_reader *b;
    int fd;

    assert_int_equal(bundle_open(f->folder, &b, NULL), E_MALFORMED);
    assert_int_equal(bundle_open(f->path, &b, NULL), E_NOTFOUND);
    fd = open(f->path, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, BUNDLE_FILE_MAX + 1), 0);
    assert_int_equal(close(fd), 0);
    assert_int_equal(bundle_open(f->path, &b, NULL), E_TOOBIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_bundle__comes_out_as_it_went_in, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bundle__says_who_it_is_from, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bundle__is_for_one_receiver, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bundle__changed_bytes_are_not_read, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bundle__another_length_is_not_read, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bundle__a_foreign_signature, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bundle__an_abandoned_one_leaves_nothing, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_bundle__what_is_no_file, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
