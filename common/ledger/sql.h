/* SQLite, as little of it as store modules need: prepare, bind, step, errors translated once.
 * Included by store modules only. */
#ifndef ZTC_LEDGER_SQL_H
#define ZTC_LEDGER_SQL_H

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/id.h"

#include <sqlite3.h>

/* The E_* of a SQLite result, with the sentence "WHAT: …" in ERR. */
int sql_error(sqlite3 *db, int rc, const char *what, struct err *err);

/* Run statements without results. */
int sql_exec(sqlite3 *db, const char *text, struct err *err);

/* A persistent statement. */
int sql_prepare(sqlite3 *db, const char *text, sqlite3_stmt **ret, struct err *err);

/* 1: a row; 0: done, and reset; negative: E_*, and reset. */
int sql_step(sqlite3_stmt *st, struct err *err);

/* Step a statement that gives no rows. */
int sql_run(sqlite3_stmt *st, struct err *err);

/* Reset and forget the bindings. */
void sql_done(sqlite3_stmt *st);

/* Statements whose text is made as it is needed, kept for who asks for the same text again: the latest first. */
#define SQL_KEPT 24u

struct sql_cache {
    sqlite3_stmt *kept[SQL_KEPT];
    unsigned n;
};

/* A statement of TEXT. It is the caller's, and no one else gets it, until sql_cache_give. */
int sql_cache_take(struct sql_cache *c, sqlite3 *db, const char *text, sqlite3_stmt **ret, struct err *err);

/* Reset, its bindings forgotten. NULL is allowed. */
void sql_cache_give(struct sql_cache *c, sqlite3_stmt *st);

/* Before its database is closed. */
void sql_cache_release(struct sql_cache *c);

void sql_bind_int(sqlite3_stmt *st, int i, int64_t v);
void sql_bind_text(sqlite3_stmt *st, int i, struct slice s); /* borrowed until sql_done */
void sql_bind_blob(sqlite3_stmt *st, int i, struct slice s); /* borrowed; NULL pointer gives NULL */
void sql_bind_id(sqlite3_stmt *st, int i, const struct id *id);

/* Borrowed until the next step. */
struct slice sql_blob(sqlite3_stmt *st, int i);
struct slice sql_text(sqlite3_stmt *st, int i);
struct id sql_id(sqlite3_stmt *st, int i); /* zero unless 16 bytes */

/* A copy in A; p is NULL when memory is out. */
struct slice sql_blob_dup(sqlite3_stmt *st, int i, struct arena *a);

#endif
