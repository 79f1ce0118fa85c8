/* The small files beside the city's store: where each stream stands, and which act was being merged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/store/heads.h"
#include "server/store/marker.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

struct fixture {
    char dir[64], path[96];
    struct err err;
};

static int setup(void **state)
{
    struct fixture *f = test_calloc(1, sizeof *f);

    strcpy(f->dir, "/tmp/test_pages.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    (void)snprintf(f->path, sizeof f->path, "%s/page", f->dir);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    (void)unlink(f->path);
    (void)rmdir(f->dir);
    test_free(f);
    return 0;
}

static void write_file(struct fixture *f, off_t offset, const void *p, size_t len)
{
    int fd = open(f->path, O_WRONLY | O_CREAT, 0600);

    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, p, len, offset), len);
    assert_int_equal(close(fd), 0);
}

static struct heads *open_heads(struct fixture *f)
{
    struct heads *h;

    assert_int_equal(heads_open(f->path, &h, &f->err), 0);
    return h;
}

static struct stream_head head(uint32_t stream, uint64_t seq)
{
    struct stream_head h = {.stream = stream, .seq = seq, .incarnation = {{7}}};

    memset(h.hash, (int)seq, HASH_SIZE);
    return h;
}

static void put(struct heads *h, uint32_t stream, uint64_t seq)
{
    const struct stream_head at = head(stream, seq);

    heads_put(h, &at);
}

static void expect(const struct heads *h, uint32_t stream, uint64_t seq)
{
    struct stream_head want = head(stream, seq), is;

    assert_true(heads_get(h, stream, &is));
    assert_int_equal(is.seq, seq);
    assert_true(id_eq(&is.incarnation, &want.incarnation));
    assert_memory_equal(is.hash, want.hash, HASH_SIZE);
}

/* ---- heads ---- */

static void test_pages__heads_are_there_after_the_process(void **state)
{
    struct fixture *f = *state;
    struct heads *h = open_heads(f);
    struct stream_head none;
    struct stat st;

    assert_false(heads_get(h, 1, &none));
    for (uint64_t seq = 1; seq <= 5; seq++)
        put(h, 1, seq);
    put(h, 431021, 9);
    expect(h, 1, 5);
    heads_close(h);
    h = open_heads(f);
    expect(h, 1, 5);
    expect(h, 431021, 9);
    assert_false(heads_get(h, 431081, &none));
    heads_close(h);
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void test_pages__heads_of_too_many_streams(void **state)
{
    struct fixture *f = *state;
    struct heads *h = open_heads(f);
    struct stream_head none;

    for (uint32_t i = 1; i <= HEADS_STREAMS + 1; i++)
        put(h, i, i);
    for (uint32_t i = 1; i <= HEADS_STREAMS; i++)
        expect(h, i, i);
    assert_false(heads_get(h, HEADS_STREAMS + 1, &none));
    heads_close(h);
}

static void test_pages__no_heads(void **state)
{
    struct stream_head none;

    (void)state;
    put(NULL, 1, 1);
    assert_false(heads_get(NULL, 1, &none));
    heads_close(NULL);
}

/* ---- the marker ---- */

static const struct id replica = {{0x42}}, other = {{0x43}};

/* A life of the process; it ends while the act is being merged, or not. */
static void live(struct fixture *f, uint64_t n, bool dies)
{
    struct marker *m;

    assert_int_equal(marker_open(f->path, &m, &f->err), 0);
    marker_enter(m, &replica, n);
    if (!dies)
        marker_leave(m);
    marker_close(m);
}

static bool condemned(struct fixture *f, const struct id *of, uint64_t n)
{
    struct marker *m;
    bool yes;

    assert_int_equal(marker_open(f->path, &m, &f->err), 0);
    yes = marker_condemns(m, of, n);
    marker_close(m);
    return yes;
}

static void test_pages__an_act_of_two_deaths(void **state)
{
    struct fixture *f = *state;

    live(f, 7, true);
    assert_false(condemned(f, &replica, 7));
    live(f, 8, false);
    live(f, 7, true);
    assert_true(condemned(f, &replica, 7));
    assert_false(condemned(f, &replica, 8));
    assert_false(condemned(f, &other, 7));
}

/* The oldest is forgotten: room is bounded, and what kills will kill again. */
static void test_pages__more_suspects_than_fit(void **state)
{
    struct fixture *f = *state;

    for (uint64_t n = 1; n <= MARKER_SUSPECTS + 1; n++) {
        live(f, n, true);
        live(f, n, true);
    }
    assert_false(condemned(f, &replica, 1));
    for (uint64_t n = 2; n <= MARKER_SUSPECTS + 1; n++)
        assert_true(condemned(f, &replica, n));
}

static void test_pages__no_marker(void **state)
{
    (void)state;
    marker_enter(NULL, &replica, 1);
    marker_leave(NULL);
    assert_false(marker_condemns(NULL, &replica, 1));
    marker_close(NULL);
}

/* ---- files that are none ---- */

static void test_pages__another_file_is_begun_anew(void **state)
{
    static const char text[] = "this is somebody's note, and no page of heads";
    struct fixture *f = *state;
    struct stream_head none;
    struct heads *h;

    write_file(f, 0, text, sizeof text);
    h = open_heads(f);
    for (uint32_t stream = 1; stream < 1000; stream++)
        assert_false(heads_get(h, stream, &none));
    put(h, 1, 3);
    heads_close(h);
    assert_false(condemned(f, &replica, 1)); /* a marker in its place begins anew, too */
    h = open_heads(f);
    assert_false(heads_get(h, 1, &none));
    heads_close(h);
}

static void test_pages__short_file(void **state)
{
    struct fixture *f = *state;
    struct heads *h = open_heads(f);

    put(h, 1, 3);
    heads_close(h);
    assert_int_equal(truncate(f->path, 8 + 4 + 4 + 2 * (8 + 16 + 32)), 0); /* its first stream */
    h = open_heads(f);
    expect(h, 1, 3);
    heads_close(h);
}

static void expect_refused(struct fixture *f, const char *path, int want)
{
    struct marker *m = NULL;
    struct heads *h = NULL;

    assert_int_equal(heads_open(path, &h, &f->err), want);
    assert_true(f->err.text[0] != '\0');
    assert_null(h);
    assert_int_equal(marker_open(path, &m, &f->err), want);
    assert_null(m);
}

static void test_pages__cannot_be_opened(void **state)
{
    struct fixture *f = *state;
    char path[128];

    (void)snprintf(path, sizeof path, "%s/none/page", f->dir);
    expect_refused(f, path, E_IO);
    expect_refused(f, f->dir, E_IO);
}

static void test_pages__no_room(void **state)
{
    struct fixture *f = *state;
    struct rlimit before, small = {.rlim_cur = 64};

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small.rlim_max = before.rlim_max;
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    expect_refused(f, f->path, E_FULL);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    heads_close(open_heads(f));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_pages__##name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(heads_are_there_after_the_process),
        TEST(heads_of_too_many_streams),
        TEST(no_heads),
        TEST(an_act_of_two_deaths),
        TEST(more_suspects_than_fit),
        TEST(no_marker),
        TEST(another_file_is_begun_anew),
        TEST(short_file),
        TEST(cannot_be_opened),
        TEST(no_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
