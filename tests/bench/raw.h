/* The baseline: the same rows into one typed table with the same columns, by SQLite and nothing else.
 * `id BLOB PRIMARY KEY`, an index on (site, seq), WAL, synchronous=FULL, one prepared statement; pages,
 * cache and checkpoints as in our own files. */
#ifndef ZTC_BENCH_RAW_H
#define ZTC_BENCH_RAW_H

#include "common/ledger/sql.h"
#include "tests/bench/workload.h"

struct raw {
    sqlite3 *db;
    sqlite3_stmt *put;
    int at[16]; /* private: places of the fields */
};

/* A new file at PATH. These end the program when something fails. */
void raw_open(struct raw *r, const char *path);
void raw_close(struct raw *r);

void raw_begin(struct raw *r);
void raw_put(struct raw *r, const struct opinion *o, const struct id *studio,
             const struct id *member);
void raw_commit(struct raw *r);

#endif
