/* What the files of the store share. */
#ifndef ZTC_LEDGER_STORE_INTERNAL_H
#define ZTC_LEDGER_STORE_INTERNAL_H

#include "common/ledger/digest.h"
#include "common/ledger/sql.h"
#include "common/ledger/store.h"

#define POS(stream, seq) ((int64_t)(((uint64_t)(stream) << 40) | (seq)))
#define POS_SEQ(pos)     ((uint64_t)(pos) & ((1ull << 40) - 1))

/* Sealed pii begins with this byte where a value type would stand. */
#define AT_REST_SEALED 0x80u

#define AUTOCHECKPOINT 16384 /* pages: checkpoints are rare and not felt */

/* The statements, prepared at open: one row each in store.c. */
enum store_stmt {
    ST_META_GET, ST_META_PUT, ST_STREAM_GET, ST_STREAM_PUT, ST_STREAM_EACH, ST_LOG_PUT, ST_LOG_GET,
    ST_DIGEST_EACH, ST_DIGEST_PUT, ST_BEGIN, ST_COMMIT, ST_ROLLBACK, ST_DATA_VERSION, ST_SAVE, ST_SAVE_RELEASE, ST_SAVE_ROLLBACK,
    ST_COUNT,
};

/* Generated statements of one kind, prepared when first used. */
struct kind_sql {
    sqlite3_stmt *get, *put, *add, *del, *any;
    sqlite3_stmt **find; /* by field index */
};

/* The sum of a kind's rows in a stream, as the transaction has moved it. */
struct moving_sum {
    struct digest_sum now;
    bool dirty;
};

struct stream_sums {
    uint32_t stream;
    struct moving_sum *kinds; /* by place in catalogue_kinds */
};

struct sums {
    struct stream_sums *streams;
    unsigned n;
    bool loaded;     /* once read, and not rolled back since */
    bool dirty;      /* the open transaction has moved them */
    int64_t version; /* store_others when read */
    struct buf scratch; /* a row's bytes */
};

struct store {
    sqlite3 *db;
    bool readonly;
    bool track_seqs;
    bool begun, commits; /* a transaction of store_begin's; its commit is under way */
    bool relaxed, relax_next; /* the connection does not sync; the next transaction need not */
    unsigned log_pages; /* of the write-ahead log; kept when checkpoints are another's */
    const struct vault *vault;
    sqlite3_stmt *st[ST_COUNT];
    struct kind_sql *kinds; /* by place in catalogue_kinds */
    struct sql_cache queries;
    struct buf scratch; /* sealing and encoding of one value */
    struct sums sums;
};

/* ---- sums.c ---- */

void sums_init(struct sums *x);
void sums_release(struct sums *x);
int sums_keep(struct store *s, struct err *err); /* into the table, before a commit or savepoint */
void sums_forget(struct store *s);               /* what was moved since was rolled back */

/* Columns that every table begins with, in this order; fields follow. */
enum { COL_RID, COL_STREAM, COL_CREATED_SEQ, COL_SEQ, COL_CREATED_AT, COL_CREATED_BY, COL_UPDATED_AT,
       COL_UPDATED_BY, COL_UNKNOWN, COL_SEQS, COL_PENDING, COL_FIRST_FIELD };

/* Field F has a column of its own. */
bool projection_has_column(const struct field *f);

/* Create or extend the projection's tables, indexes and views for this catalogue. */
int projection_migrate(struct store *s, struct err *err);

/* "col1","col2",… of KIND in row order. */
void projection_columns(struct buf *out, const struct kind *kind);

/* The row under the statement's cursor, in A. With E_CORRUPT *ret has what could be read. */
int projection_read(struct store *s, sqlite3_stmt *st, struct arena *a, const struct kind *kind,
                    struct row **ret, struct err *err);

/* Bind value V of field F; what it needs lies in A until the statement is done. */
int projection_bind(struct store *s, sqlite3_stmt *st, int i, struct arena *a,
                    const struct id *record, const struct field *f, const struct value *v,
                    struct err *err);

struct kind_sql *projection_kind(struct store *s, const struct kind *kind);
void projection_release(struct store *s);

/* The entry under a log statement's cursor (pos, received_at, verdict, hash, bytes, side); borrowed
 * until the next step, an opened sidecar until the scratch is used again. */
int log_read(struct store *s, sqlite3_stmt *st, struct buf *side, struct entry *ret,
             struct err *err);

#endif
