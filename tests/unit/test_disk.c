/* The simulated disk under SQLite: what must survive does, what may be lost is lost whole, faults strike
 * where they were set. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "tests/lib/disk.h"

#include <sqlite3.h>

#define PATH "d/test.db"

struct fixture {
    struct disk *disk;
    struct random_seeded seeded;
    struct random random;
    sqlite3 *db;
};

static int run(struct fixture *f, const char *sql)
{
    return sqlite3_exec(f->db, sql, NULL, NULL, NULL);
}

static void open_db(struct fixture *f)
{
    assert_int_equal(sqlite3_open_v2(PATH, &f->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, DISK_VFS),
                     SQLITE_OK);
    assert_int_equal(run(f, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                            "PRAGMA wal_autocheckpoint = 8"),
                     SQLITE_OK);
}

static void close_db(struct fixture *f)
{
    (void)sqlite3_close(f->db); /* of a dead process it fails to tidy up */
    f->db = NULL;
}

static void begin(struct fixture *f, uint64_t seed)
{
    f->disk = disk_new("d");
    assert_non_null(f->disk);
    f->random = random_seeded_init(&f->seeded, seed);
    open_db(f);
    assert_int_equal(run(f, "CREATE TABLE t (n INTEGER PRIMARY KEY, filler BLOB)"), SQLITE_OK);
}

static void end(struct fixture *f)
{
    close_db(f);
    disk_free(f->disk);
}

static int write_row(struct fixture *f, int n)
{
    char sql[96];

    (void)snprintf(sql, sizeof sql, "INSERT INTO t VALUES (%d, zeroblob(%d))", n, 100 + n * 37 % 3000);
    return run(f, sql);
}

static int ask(struct fixture *f, const char *sql)
{
    sqlite3_stmt *st;
    int n;

    assert_int_equal(sqlite3_prepare_v2(f->db, sql, -1, &st, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    n = sqlite3_column_int(st, 0);
    (void)sqlite3_finalize(st);
    return n;
}

static void assert_whole(struct fixture *f)
{
    sqlite3_stmt *st;

    assert_int_equal(sqlite3_prepare_v2(f->db, "PRAGMA integrity_check", -1, &st, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    assert_string_equal((const char *)sqlite3_column_text(st, 0), "ok");
    (void)sqlite3_finalize(st);
    assert_int_equal(ask(f, "SELECT count(*) FROM t"), ask(f, "SELECT coalesce(max(n), 0) FROM t"));
}

static struct disk_losses cut(struct fixture *f)
{
    struct disk_losses l = disk_cut_power(f->disk, &f->random);

    close_db(f);
    open_db(f);
    return l;
}

/* Rows committed with FULL are there after any power cut. */
static void test_disk__synced_commits_survive(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f, 1);
    for (int n = 1; n <= 300; n++) {
        assert_int_equal(write_row(&f, n), SQLITE_OK);
        if (n % 3 == 0) {
            (void)cut(&f);
            assert_int_equal(ask(&f, "SELECT max(n) FROM t"), n);
            assert_whole(&f);
        }
    }
    end(&f);
}

/* Relaxed ones may go, the last first, and some do; nothing is torn in two. */
static void test_disk__relaxed_commits_are_lost_from_the_end(void **state)
{
    struct fixture f;
    unsigned lost = 0, dropped = 0, torn = 0;

    (void)state;
    begin(&f, 2);
    for (int round = 0; round < 200; round++) {
        int from = ask(&f, "SELECT coalesce(max(n), 0) FROM t"), now;
        struct disk_losses l;

        assert_int_equal(run(&f, "PRAGMA synchronous = NORMAL"), SQLITE_OK);
        for (int k = 1; k <= 4; k++)
            assert_int_equal(write_row(&f, from + k), SQLITE_OK);
        l = cut(&f);
        now = ask(&f, "SELECT coalesce(max(n), 0) FROM t");
        assert_in_range(now, 0, from + 4);
        assert_whole(&f);
        lost += now < from + 4;
        dropped += l.dropped;
        torn += l.torn;
    }
    assert_true(lost > 0 && dropped > 0 && torn > 0);
    end(&f);
}

/* The power goes in the middle of a commit: it is there whole or not at all. */
static void test_disk__a_commit_is_cut_in_two_nowhere(void **state)
{
    struct fixture f;
    int last = 0;

    (void)state;
    begin(&f, 3);
    for (unsigned k = 1; k < 400; k++) {
        struct disk_fault fault = {
            .ops = DISK_WRITE | DISK_SYNC, .countdown = 1 + k % 23, .power = true};
        int now;

        disk_fault_set(f.disk, &fault);
        while (write_row(&f, last + 1) == SQLITE_OK)
            last++;
        assert_true(disk_is_down(f.disk));
        (void)cut(&f);
        now = ask(&f, "SELECT coalesce(max(n), 0) FROM t");
        assert_in_range(now, last, last + 1); /* an unknown outcome may have come about */
        last = now;
        assert_whole(&f);
    }
    end(&f);
}

/* A killed process loses nothing it had committed, synced or not. */
static void test_disk__a_kill_keeps_what_was_written(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f, 4);
    assert_int_equal(run(&f, "PRAGMA synchronous = OFF"), SQLITE_OK);
    for (int n = 1; n <= 20; n++)
        assert_int_equal(write_row(&f, n), SQLITE_OK);
    disk_kill(f.disk);
    assert_int_not_equal(write_row(&f, 21), SQLITE_OK);
    close_db(&f);
    open_db(&f);
    assert_int_equal(ask(&f, "SELECT max(n) FROM t"), 20);
    end(&f);
}

/* A fault strikes the operation it was set for; a lasting one until it is taken away. */
static void test_disk__faults_strike_and_pass(void **state)
{
    struct disk_fault once = {.ops = DISK_SYNC, .countdown = 1};
    struct disk_fault full = {.ops = DISK_WRITE, .countdown = 1, .full = true, .lasting = true};
    struct fixture f;

    (void)state;
    begin(&f, 5);
    disk_fault_set(f.disk, &once);
    assert_int_equal(write_row(&f, 1), SQLITE_IOERR);
    assert_int_equal(write_row(&f, 1), SQLITE_OK);
    assert_int_equal(disk_fault_hits(f.disk), 1);
    disk_fault_set(f.disk, &full);
    assert_int_equal(run(&f, "INSERT INTO t VALUES (2, zeroblob(100000))"), SQLITE_FULL);
    assert_int_equal(run(&f, "INSERT INTO t VALUES (2, zeroblob(100000))"), SQLITE_FULL);
    disk_fault_set(f.disk, NULL);
    assert_int_equal(run(&f, "INSERT INTO t VALUES (2, zeroblob(100000))"), SQLITE_OK);
    assert_whole(&f);
    end(&f);
}

/* Two connections see each other's commits and keep out of each other's way; a copy is a backup. */
static void test_disk__connections_and_copies(void **state)
{
    struct fixture f, other = {.disk = NULL};
    struct disk *backup;

    (void)state;
    begin(&f, 6);
    open_db(&other);
    assert_int_equal(write_row(&f, 1), SQLITE_OK);
    assert_int_equal(ask(&other, "SELECT count(*) FROM t"), 1);
    assert_int_equal(run(&f, "BEGIN IMMEDIATE"), SQLITE_OK);
    assert_int_equal(run(&other, "BEGIN IMMEDIATE"), SQLITE_BUSY);
    assert_int_equal(run(&f, "COMMIT"), SQLITE_OK);
    close_db(&other);

    backup = disk_new("backup");
    assert_int_equal(disk_copy(backup, f.disk), 0);
    assert_int_equal(write_row(&f, 2), SQLITE_OK);
    close_db(&f);
    assert_int_equal(disk_copy(f.disk, backup), 0);
    open_db(&f);
    assert_int_equal(ask(&f, "SELECT count(*) FROM t"), 1);
    disk_free(backup);
    end(&f);
}

static int set_up(void **state)
{
    (void)state;
    return disk_vfs_register();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_disk__synced_commits_survive),
        cmocka_unit_test(test_disk__relaxed_commits_are_lost_from_the_end),
        cmocka_unit_test(test_disk__a_commit_is_cut_in_two_nowhere),
        cmocka_unit_test(test_disk__a_kill_keeps_what_was_written),
        cmocka_unit_test(test_disk__faults_strike_and_pass),
        cmocka_unit_test(test_disk__connections_and_copies),
    };

    return cmocka_run_group_tests(tests, set_up, NULL);
}
