/* The write-ahead log as a file: what is a header and a frame, and what is not. */
#include "common/base/err.h"
#include "common/ledger/wal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define PAGE   512u
#define FRAME  (WAL_FRAME_BYTES + PAGE)
#define FRAMES 3u

/* ---- fixture: a log of three frames, the second ends a transaction ---- */

struct log {
    uint8_t bytes[WAL_HEADER_BYTES + FRAMES * FRAME];
    uint8_t frame[WAL_FRAME_BYTES + WAL_PAGE_MAX];
    FILE *file;
    bool big;
    uint32_t sum[2];
};

static void put32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (24 - 8 * i));
}

static uint32_t number(const struct log *l, const uint8_t *p)
{
    uint32_t v = 0;

    for (int i = 0; i < 4; i++)
        v |= (uint32_t)p[i] << (l->big ? 24 - 8 * i : 8 * i);
    return v;
}

static void sum_up(struct log *l, const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i += 8) {
        l->sum[0] += number(l, p + i) + l->sum[1];
        l->sum[1] += number(l, p + i + 4) + l->sum[0];
    }
}

static void put_sums(struct log *l, uint8_t *p)
{
    put32(p, l->sum[0]);
    put32(p + 4, l->sum[1]);
}

static void make_header(struct log *l, uint32_t page, uint32_t began)
{
    uint8_t *h = l->bytes;

    put32(h, 0x377f0682u | l->big);
    put32(h + 4, 3007000);
    put32(h + 8, page);
    put32(h + 12, began);
    put32(h + 16, 77);
    put32(h + 20, 0xabcdef01);
    l->sum[0] = l->sum[1] = 0;
    sum_up(l, h, 24);
    put_sums(l, h + 24);
}

static void make_frame(struct log *l, unsigned i, uint32_t page, uint32_t pages)
{
    uint8_t *f = l->bytes + WAL_HEADER_BYTES + i * FRAME;

    put32(f, page);
    put32(f + 4, pages);
    memcpy(f + 8, l->bytes + 16, 8);
    memset(f + WAL_FRAME_BYTES, (int)(i + 1), PAGE);
    sum_up(l, f, 8);
    sum_up(l, f + WAL_FRAME_BYTES, PAGE);
    put_sums(l, f + 16);
}

static void make(struct log *l)
{
    make_header(l, PAGE, 0);
    make_frame(l, 0, 1, 0);
    make_frame(l, 1, 2, 2);
    make_frame(l, 2, 1, 0);
}

static int set_up(void **state)
{
    static struct log l;

    memset(&l, 0, sizeof l);
    l.file = tmpfile();
    make(&l);
    *state = &l;
    return l.file == NULL ? -1 : 0;
}

static int tear_down(void **state)
{
    struct log *l = *state;

    return fclose(l->file) == 0 ? 0 : -1;
}

/* ---- helpers ---- */

/* The first LEN bytes as a file. */
static int file_of(struct log *l, size_t len)
{
    int fd = fileno(l->file);

    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(pwrite(fd, l->bytes, len, 0), (ssize_t)len);
    return fd;
}

static unsigned frames(struct log *l, int fd, const struct wal *w, unsigned *ret_commits)
{
    struct wal_place p = wal_start(w);
    bool commit;
    unsigned n = 0;

    *ret_commits = 0;
    while (wal_next(w, fd, &p, l->frame, &commit) == 1) {
        assert_int_equal(l->frame[WAL_FRAME_BYTES], n + 1);
        assert_int_equal(wal_stands(w, fd, &p), 1);
        *ret_commits += commit;
        n++;
    }
    return n;
}

/* ---- tests ---- */

/* In either order of bytes every frame is read, and who ends a transaction says so. */
static void test_wal__frames(void **state)
{
    struct log *l = *state;

    for (int big = 0; big < 2; big++) {
        struct wal w;
        unsigned commits;
        int fd;

        l->big = big != 0;
        make(l);
        fd = file_of(l, sizeof l->bytes);
        assert_int_equal(wal_read(fd, &w), 1);
        assert_true(w.page_bytes == PAGE && w.salt == 77 && w.first && w.big == l->big);
        assert_int_equal(frames(l, fd, &w, &commits), FRAMES);
        assert_int_equal(commits, 1);
        make_header(l, PAGE, 4);
        fd = file_of(l, WAL_HEADER_BYTES);
        assert_int_equal(wal_read(fd, &w), 1);
        assert_false(w.first);
    }
}

/* Cut off anywhere: no header, or the frames that are whole. */
static void test_wal__cut_off(void **state)
{
    struct log *l = *state;
    struct wal w;
    unsigned commits;

    for (size_t len = 0; len < sizeof l->bytes; len += 7) {
        int fd = file_of(l, len);
        int ret = wal_read(fd, &w);

        assert_int_equal(ret, len >= WAL_HEADER_BYTES);
        if (ret == 1)
            assert_int_equal(frames(l, fd, &w, &commits), (len - WAL_HEADER_BYTES) / FRAME);
    }
}

/* What is no header of a log that SQLite writes. */
static void test_wal__no_header(void **state)
{
    static const uint32_t pages[] = {0, 8, 256, 1000 + 4, WAL_PAGE_MAX * 2};
    struct log *l = *state;
    struct wal w;

    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++) {
        make_header(l, pages[i], 0);
        assert_int_equal(wal_read(file_of(l, sizeof l->bytes), &w), 0);
    }
    make_header(l, PAGE, 0);
    for (size_t i = 0; i < WAL_HEADER_BYTES; i++) {
        l->bytes[i] ^= 0x10;
        assert_int_equal(wal_read(file_of(l, sizeof l->bytes), &w), 0);
        l->bytes[i] ^= 0x10;
    }
    put32(l->bytes, 0x11111111); /* and sums that fit */
    l->sum[0] = l->sum[1] = 0;
    l->big = true;
    sum_up(l, l->bytes, 24);
    put_sums(l, l->bytes + 24);
    assert_int_equal(wal_read(file_of(l, sizeof l->bytes), &w), 0);
    assert_int_equal(wal_read(-1, &w), E_IO);
}

/* A changed bit, another log's salt, a page without a number: no frame, and none behind it. */
static void test_wal__no_frame(void **state)
{
    struct log *l = *state;
    struct wal w;
    unsigned commits;
    int fd;

    for (size_t i = 0; i < FRAME; i += 5) {
        uint8_t *at = l->bytes + WAL_HEADER_BYTES + FRAME + i;

        *at ^= 1;
        fd = file_of(l, sizeof l->bytes);
        assert_int_equal(wal_read(fd, &w), 1);
        assert_int_equal(frames(l, fd, &w, &commits), 1);
        *at ^= 1;
    }
    make_header(l, PAGE, 0);
    make_frame(l, 0, 0, 0);
    fd = file_of(l, sizeof l->bytes);
    assert_int_equal(frames(l, fd, &w, &commits), 0);
}

/* A place is known again by its frame; before the first there is nothing that could change. */
static void test_wal__stands(void **state)
{
    struct log *l = *state;
    struct wal w;
    struct wal_place start, p;
    bool commit;
    int fd = file_of(l, sizeof l->bytes);

    assert_int_equal(wal_read(fd, &w), 1);
    start = p = wal_start(&w);
    assert_int_equal(wal_next(&w, fd, &p, l->frame, &commit), 1);
    assert_int_equal(wal_stands(&w, fd, &start), 1);
    assert_int_equal(wal_stands(&w, -1, &start), 1);
    assert_int_equal(wal_stands(&w, -1, &p), E_IO);
    assert_int_equal(wal_next(&w, -1, &p, l->frame, &commit), E_IO);
    for (size_t i = 8; i < WAL_FRAME_BYTES; i++) {
        l->bytes[WAL_HEADER_BYTES + i] ^= 1;
        assert_int_equal(wal_stands(&w, file_of(l, sizeof l->bytes), &p), 0);
        l->bytes[WAL_HEADER_BYTES + i] ^= 1;
    }
    assert_int_equal(wal_stands(&w, file_of(l, WAL_HEADER_BYTES), &p), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_wal__##name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(frames), TEST(cut_off), TEST(no_header), TEST(no_frame), TEST(stands),
    };
#undef TEST

    return cmocka_run_group_tests(tests, NULL, NULL);
}
