/* A copy that follows a store by its log. */
#include "common/base/id.h"
#include "common/base/mem.h"
#include "common/ledger/ship.h"
#include "common/ledger/sql.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

/* ---- fixture ---- */

struct following {
    char dir[64];
    char from[96], to[96];
    sqlite3 *db; /* of the followed store */
    struct store_ship *ship;
    struct random_seeded seeded;
    struct random random;
    struct err err;
};

static const char *in(const struct following *f, const char *name)
{
    static char paths[4][128];
    static unsigned next;
    char *path = paths[next++ % 4];

    (void)snprintf(path, sizeof paths[0], "%s/%s", f->dir, name);
    return path;
}

static void sql(sqlite3 *db, const char *text)
{
    struct err err = {.ret = 0};

    if (sql_exec(db, text, &err) != 0)
        fail_msg("%s: %s", text, err.text);
}

static void open_store_of(struct following *f)
{
    assert_int_equal(sqlite3_open(f->from, &f->db), SQLITE_OK);
    sql(f->db, "PRAGMA page_size = 1024; PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0;"
               "PRAGMA cache_size = 10; CREATE TABLE IF NOT EXISTS t (a INTEGER PRIMARY KEY, b BLOB)");
}

static int set_up(void **state)
{
    static struct following f;

    memset(&f, 0, sizeof f);
    (void)snprintf(f.dir, sizeof f.dir, "/tmp/test_ship.XXXXXX");
    if (mkdtemp(f.dir) == NULL)
        return -1;
    (void)snprintf(f.from, sizeof f.from, "%s/from", f.dir);
    (void)snprintf(f.to, sizeof f.to, "%s/to", f.dir);
    f.random = random_seeded_init(&f.seeded, 1);
    open_store_of(&f);
    assert_int_equal(store_ship_new(f.from, f.to, NULL, NULL, &f.ship, &f.err), 0);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct following *f = *state;
    char command[96];

    store_ship_free(f->ship);
    (void)sqlite3_close(f->db);
    (void)snprintf(command, sizeof command, "rm -rf %s", f->dir);
    return system(command) == 0 ? 0 : -1;
}

/* ---- helpers ---- */

static bool step(struct following *f)
{
    bool moved;

    if (store_ship_step(f->ship, &moved, &f->err) != 0)
        fail_msg("a step failed: %s", f->err.text);
    return moved;
}

static void copy_file(const char *from, const char *to)
{
    char block[4096];
    FILE *a = fopen(from, "rb"), *b;
    size_t n;

    (void)unlink(to);
    if (a == NULL)
        return;
    b = fopen(to, "wb");
    assert_non_null(b);
    while ((n = fread(block, 1, sizeof block, a)) > 0)
        assert_int_equal(fwrite(block, 1, n, b), n);
    assert_int_equal(fclose(a), 0);
    assert_int_equal(fclose(b), 0);
}

/* Everything that DB says, in one number; and its pages are whole. */
static int64_t said(sqlite3 *db)
{
    sqlite3_stmt *st;
    int64_t sum = 0;

    assert_int_equal(sql_prepare(db, "PRAGMA integrity_check", &st, NULL), 0);
    assert_int_equal(sql_step(st, NULL), 1);
    assert_string_equal((const char *)sqlite3_column_text(st, 0), "ok");
    (void)sqlite3_finalize(st);
    assert_int_equal(sql_prepare(db, "SELECT a, b FROM t ORDER BY a", &st, NULL), 0);
    while (sql_step(st, NULL) == 1) {
        struct slice b = sql_blob(st, 1);

        sum = (int64_t)((uint64_t)sum * 31 + (uint64_t)sqlite3_column_int64(st, 0));
        for (size_t i = 0; i < b.len; i++)
            sum = (int64_t)((uint64_t)sum * 31 + b.p[i]);
    }
    (void)sqlite3_finalize(st);
    return sum;
}

/* What somebody would find who came back from the copy now. */
static int64_t said_by_copy(struct following *f)
{
    sqlite3 *db;
    int64_t ret;

    copy_file(f->to, in(f, "found"));
    copy_file(in(f, "to-wal"), in(f, "found-wal"));
    assert_int_equal(sqlite3_open(in(f, "found"), &db), SQLITE_OK);
    ret = said(db);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    return ret;
}

static void assert_equal_now(struct following *f)
{
    (void)step(f);
    assert_int_equal(said_by_copy(f), said(f->db));
}

static void write_rows(struct following *f, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        char text[128];

        (void)snprintf(text, sizeof text, "INSERT OR REPLACE INTO t VALUES (%u, randomblob(%u))",
                       (unsigned)random_below(&f->random, 400), 1 + (unsigned)random_below(&f->random, 900));
        sql(f->db, text);
    }
}

/* The log is taken into the store, and the next to write begins it anew. */
static void begin_anew(struct following *f)
{
    sql(f->db, "PRAGMA wal_checkpoint(PASSIVE)");
    write_rows(f, 1);
}

/* ---- tests ---- */

/* The first step copies, the next ones carry what was committed, and without news nothing. */
static void test_ship__carries_what_was_committed(void **state)
{
    struct following *f = *state;
    struct stat s;

    write_rows(f, 5);
    assert_true(step(f));
    assert_int_equal(said_by_copy(f), said(f->db));
    assert_false(step(f));
    write_rows(f, 3);
    assert_true(step(f));
    assert_int_equal(said_by_copy(f), said(f->db));
    assert_int_equal(store_ship_copies(f->ship), 1);
    assert_int_equal(stat(f->to, &s), 0);
    assert_int_equal(s.st_mode & 0777, 0600);
    assert_int_equal(stat(in(f, "to-wal"), &s), 0);
    assert_int_equal(s.st_mode & 0777, 0600);
}

/* Pages of a transaction that is under way or was taken back are in the log, but not in what the copy says. */
static void test_ship__nothing_before_its_commit(void **state)
{
    struct following *f = *state;
    int64_t before;

    assert_equal_now(f);
    before = said(f->db);
    sql(f->db, "BEGIN");
    write_rows(f, 200); /* more than the cache holds */
    (void)step(f);
    assert_int_equal(said_by_copy(f), before);
    sql(f->db, "ROLLBACK");
    assert_equal_now(f);
    write_rows(f, 2);
    assert_equal_now(f);
    sql(f->db, "BEGIN");
    write_rows(f, 200);
    (void)step(f);
    sql(f->db, "COMMIT");
    assert_equal_now(f);
    assert_int_equal(store_ship_copies(f->ship), 1);
}

/* A log that begins anew is followed, also when the end of the old one was not carried before. */
static void test_ship__follows_a_log_that_begins_anew(void **state)
{
    struct following *f = *state;

    assert_equal_now(f);
    write_rows(f, 20);
    assert_equal_now(f);
    for (int i = 0; i < 10; i++) {
        write_rows(f, 3); /* behind what was carried */
        begin_anew(f);
        assert_equal_now(f);
        write_rows(f, 20);
        assert_equal_now(f);
    }
    assert_int_equal(store_ship_copies(f->ship), 1);
}

/* Whoever missed a whole log, or finds the end of it written over or cut off, copies again. */
static void test_ship__copies_again_when_it_missed_something(void **state)
{
    struct following *f = *state;

    assert_equal_now(f);
    begin_anew(f);
    begin_anew(f);
    assert_equal_now(f);
    assert_int_equal(store_ship_copies(f->ship), 2);
    write_rows(f, 3);
    assert_equal_now(f);
    write_rows(f, 30);
    begin_anew(f);
    write_rows(f, 30);
    assert_equal_now(f);
    assert_int_equal(store_ship_copies(f->ship), 3);
    write_rows(f, 3);
    sql(f->db, "PRAGMA wal_checkpoint(TRUNCATE)");
    write_rows(f, 1);
    assert_equal_now(f);
    assert_int_equal(store_ship_copies(f->ship), 4);
}

/* A store without a log is copied once, and followed when it gets one. */
static void test_ship__follows_from_the_first_log(void **state)
{
    struct following *f = *state;

    write_rows(f, 5);
    assert_int_equal(sqlite3_close(f->db), SQLITE_OK); /* its log goes with it */
    assert_true(step(f));
    assert_false(step(f));
    open_store_of(f);
    assert_int_equal(said_by_copy(f), said(f->db));
    write_rows(f, 5);
    assert_equal_now(f);
    assert_int_equal(store_ship_copies(f->ship), 1);
}

/* What stands in the copy's place is replaced: by somebody who opened it, lost it, or put another store there. */
static void test_ship__mends_a_copy_that_was_touched(void **state)
{
    struct following *f = *state;
    sqlite3 *other;

    write_rows(f, 5);
    assert_equal_now(f);
    assert_int_equal(sqlite3_open(f->to, &other), SQLITE_OK);
    sql(other, "DELETE FROM t");
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
    assert_equal_now(f);
    assert_int_equal(unlink(in(f, "to-wal")), 0);
    assert_equal_now(f);
    assert_int_equal(truncate(in(f, "to-wal"), 40), 0);
    assert_equal_now(f);
    copy_file(in(f, "to-wal"), f->to); /* no database */
    assert_int_equal(unlink(in(f, "to-wal")), 0);
    assert_equal_now(f);
    assert_int_equal(store_ship_copies(f->ship), 5);
}

/* Another store in the place of the followed one is another store, under the same name. */
static void test_ship__follows_the_name(void **state)
{
    struct following *f = *state;

    write_rows(f, 5);
    assert_equal_now(f);
    assert_int_equal(sqlite3_close(f->db), SQLITE_OK);
    assert_int_equal(rename(f->from, in(f, "aside")), 0);
    assert_int_equal(unlink(in(f, "from-wal")), 0);
    assert_int_equal(unlink(in(f, "from-shm")), 0);
    open_store_of(f);
    write_rows(f, 5);
    assert_equal_now(f);
}

/* Frames that were carried and then taken back, as of a commit whose sync failed: others stand there. */
static void test_ship__notices_what_was_taken_back(void **state)
{
    struct following *f = *state;
    uint8_t byte = 0;
    struct stat s;
    int fd;

    write_rows(f, 5);
    assert_equal_now(f);
    assert_int_equal(stat(in(f, "from-wal"), &s), 0);
    fd = open(in(f, "from-wal"), O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, &byte, 1, s.st_size - 1024 - 24 + 16), 1); /* a sum of the last frame */
    assert_int_equal(pwrite(fd, &byte, 1, s.st_size - 1024 - 24 + 17), 1);
    assert_int_equal(close(fd), 0);
    (void)step(f);
    assert_int_equal(store_ship_copies(f->ship), 2);
}

/* Any course of writing, taking back, big transactions, logs that begin anew, and steps missed. */
static void test_ship__any_course(void **state)
{
    struct following *f = *state;

    for (uint64_t seed = 1; seed <= 40; seed++) {
        f->random = random_seeded_init(&f->seeded, seed);
        for (int i = 0; i < 25; i++) {
            switch (random_below(&f->random, 6)) {
            case 0:
                begin_anew(f);
                break;
            case 1:
                sql(f->db, "BEGIN");
                write_rows(f, 60);
                (void)step(f);
                sql(f->db, random_below(&f->random, 2) == 0 ? "COMMIT" : "ROLLBACK");
                break;
            case 2:
                break; /* nothing happens */
            default:
                write_rows(f, (unsigned)random_below(&f->random, 8));
            }
            if (random_below(&f->random, 3) > 0)
                assert_equal_now(f);
        }
    }
    assert_true(store_ship_copies(f->ship) < 500); /* of a thousand */
}

/* What cannot be read, or written, is said, and nothing is lost by it. */
static void test_ship__says_what_failed(void **state)
{
    struct following *f = *state;
    struct store_ship *x;
    bool moved;

    assert_int_equal(store_ship_new(in(f, "none"), in(f, "copy"), NULL, NULL, &x, &f->err), 0);
    assert_int_equal(store_ship_step(x, &moved, &f->err), E_NOTFOUND);
    store_ship_free(x);
    assert_int_equal(store_ship_new(f->from, in(f, "no/folder"), NULL, NULL, &x, &f->err), 0);
    assert_int_equal(store_ship_step(x, &moved, &f->err), E_NOTFOUND);
    assert_non_null(strstr(f->err.text, "no/folder"));
    store_ship_free(x);
    copy_file("/proc/self/exe", in(f, "program"));
    assert_int_equal(store_ship_new(in(f, "program"), in(f, "copy"), NULL, NULL, &x, &f->err), 0);
    assert_int_equal(store_ship_step(x, &moved, &f->err), E_CORRUPT);
    store_ship_free(x);
    store_ship_free(NULL);
}

/* ---- what fails half way ---- */

static void limit(int resource, rlim_t to)
{
    struct rlimit r;

    assert_int_equal(getrlimit(resource, &r), 0);
    r.rlim_cur = to;
    assert_int_equal(setrlimit(resource, &r), 0);
}

static rlim_t limit_of(int resource)
{
    struct rlimit r;

    assert_int_equal(getrlimit(resource, &r), 0);
    return r.rlim_cur;
}

#define COMMITS 4

/* One step under a limit: it is taken, or what the copy says was true after one of the commits SINCE the last step. */
static bool step_limited(struct following *f, int resource, rlim_t to, const int64_t since[COMMITS])
{
    rlim_t usual = limit_of(resource);
    int64_t found;
    bool moved;
    int ret;

    limit(resource, to);
    ret = store_ship_step(f->ship, &moved, &f->err);
    limit(resource, usual);
    found = said_by_copy(f);
    if (ret == 0) {
        assert_int_equal(found, since[COMMITS - 1]);
        return true;
    }
    assert_true(f->err.text[0] != '\0');
    for (int i = 0; i < COMMITS; i++) {
        if (found == since[i])
            return false;
    }
    fail_msg("after a step that failed (%s) the copy says what never was", f->err.text);
    return false;
}

/* Under ever higher limits, from where every step fails until none does: news, a log that began anew, a whole copy. */
static void sweep(struct following *f, int resource, rlim_t first, rlim_t by)
{
    for (int way = 0; way < 3; way++) {
        int64_t since[COMMITS];
        rlim_t to = first;

        do {
            begin_anew(f); /* or the log grows faster than the limit */
            assert_equal_now(f);
            since[0] = said(f->db);
            for (int i = 1; i < COMMITS; i++) {
                if (i <= way)
                    begin_anew(f);
                else
                    write_rows(f, 1);
                since[i] = said(f->db);
            }
            to += by;
        } while (!step_limited(f, resource, to, since));
    }
}

/* A disk that takes no more at any point of a step. */
static void test_ship__a_disk_that_is_full(void **state)
{
    struct following *f = *state;

    (void)signal(SIGXFSZ, SIG_IGN);
    write_rows(f, 20);
    sweep(f, RLIMIT_FSIZE, 0, 2000);
    (void)signal(SIGXFSZ, SIG_DFL);
}

/* No file can be opened any more, at any point of a step. */
static void test_ship__no_more_files(void **state)
{
    struct following *f = *state;

    write_rows(f, 20);
    sweep(f, RLIMIT_NOFILE, 2, 1);
}

/* Memory may be short. */
static void test_ship__no_memory(void **state)
{
    struct following *f = *state;
    struct store_ship *x;
    char path[5000];

    mem_fault_set(1);
    assert_int_equal(store_ship_new(f->from, f->to, NULL, NULL, &x, &f->err), E_NOMEM);
    mem_fault_set(0);
    assert_null(x);
    memset(path, 'x', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    assert_int_equal(store_ship_new(f->from, path, NULL, NULL, &x, &f->err), E_TOOBIG);
    assert_null(x);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_ship__carries_what_was_committed),
        TEST(test_ship__nothing_before_its_commit),
        TEST(test_ship__follows_a_log_that_begins_anew),
        TEST(test_ship__copies_again_when_it_missed_something),
        TEST(test_ship__follows_from_the_first_log),
        TEST(test_ship__mends_a_copy_that_was_touched),
        TEST(test_ship__follows_the_name),
        TEST(test_ship__notices_what_was_taken_back),
        TEST(test_ship__any_course),
        TEST(test_ship__says_what_failed),
        TEST(test_ship__a_disk_that_is_full),
        TEST(test_ship__no_more_files),
        TEST(test_ship__no_memory),
    };
#undef TEST

    return cmocka_run_group_tests(tests, NULL, NULL);
}
