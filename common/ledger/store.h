/* The store of a ledger in SQLite: log, projection, stream heads, settings of the file.
 *
 * Both sides use it; the city adds replicas and refusals (server/store), the county its pending
 * changes (client/store), in the same file and the same transactions. Only store modules include
 * sqlite3.h. One thread writes; readers open the file again, read-only. */
#ifndef ZTC_LEDGER_STORE_H
#define ZTC_LEDGER_STORE_H

#include "common/base/err.h"
#include "common/catalogue/lookup.h"
#include "common/catalogue/row.h"
#include "common/ledger/digest.h"
#include "common/ledger/entry.h"

struct store;
struct sqlite3;

/* Encrypts `pii` values at rest under the side's own key file; given from outside (crypto/seal.h).
 * The nonce comes from NONCE_SEED, so that `rebuild` gives the identical file. */
struct vault {
    /* Append the sealed form of PLAIN to OUT. 0 or E_INTERNAL. */
    int (*seal)(void *ctx, struct slice plain, struct slice nonce_seed, struct buf *out);
    /* Append the opened form. 0 or E_CORRUPT. */
    int (*open)(void *ctx, struct slice sealed, struct buf *out);
    void *ctx;
};

/* A schema step, applied once, in one transaction. */
struct store_step {
    const char *name; /* permanent */
    const char *sql;
};

struct store_options {
    bool readonly;
    bool track_seqs;           /* the city: keep per-field seqs */
    bool create;               /* make the file when it does not exist */
    const char *vfs;           /* SQLite VFS name; NULL: the default */
    const struct store_step *steps; /* of the side, after the common ones; ends with a NULL name */
    const struct vault *vault; /* borrowed; NULL: pii rests in the clear (tests) */
};

/* Open PATH, apply what is missing of the schema, prepare every statement. On failure *RET is NULL.
 * E_NOTFOUND, E_IO, E_FULL, E_READONLY, E_CORRUPT, E_VERSION (a newer file). */
int store_open(const char *path, const struct store_options *o, struct store **ret,
               struct err *err);
void store_close(struct store *s);

struct sqlite3 *store_db(struct store *s);

/* The file FROM as it stands at one moment, others writing it or not, as the new file TO (0600). */
int store_copy(const char *from, const char *to, struct err *err);

/* E_BUSY, E_FULL, E_READONLY, E_IO from here on mean: nothing was written, roll back, go on. */
int store_begin(struct store *s, struct err *err); /* BEGIN IMMEDIATE; readers: a read snapshot */
int store_commit(struct store *s, struct err *err);
void store_rollback(struct store *s);

/* A number that changes whenever another connection has committed; its own commits do not count. Cheap.
 * 0 when it cannot be told. */
int64_t store_others(struct store *s);

/* The transaction of the next store_begin may be lost by a power cut, whole, and with it the later ones
 * that are relaxed too; a synced one takes those before it with it. For what can be had again. */
void store_relax_next(struct store *s);

/* Tell those who watch the files that there is something new to read, by the time of the main file, which
 * no commit writes: a watch on the -wal file wakes while a commit is being written, too early to read it. */
void store_touch(struct store *s);

/* A point inside the transaction to go back to (an act that is refused). */
int store_savepoint(struct store *s, struct err *err);
int store_savepoint_release(struct store *s, struct err *err);
int store_savepoint_rollback(struct store *s, struct err *err);

/* ---- checkpoints ---- */

/* A connection of another thread's, for the checkpoints of S, which makes none by itself until this is
 * closed. On failure *RET is NULL and S goes on as before. */
struct store_checkpoint;
int store_checkpoint_open(struct store *s, struct store_checkpoint **ret, struct err *err);
void store_checkpoint_close(struct store_checkpoint *k);

/* Copy into the file what the write-ahead log holds at the moment and no reader needs there; waits for
 * nobody. E_BUSY: another does so; E_FULL, E_IO … */
int store_checkpoint_run(struct store_checkpoint *k);

/* The same by S itself, outside a transaction: when nothing is left the log begins anew. */
int store_checkpoint_rest(struct store *s);

/* Pages of the write-ahead log after the last commit. */
unsigned store_log_pages(const struct store *s);

/* Small named values of the file. get: E_NOTFOUND when unset; the value lies in A. */
int store_meta_get(struct store *s, const char *name, struct arena *a, struct slice *ret,
                   struct err *err);
int store_meta_put(struct store *s, const char *name, struct slice value, struct err *err);
int store_meta_number(struct store *s, const char *name, int64_t preset, int64_t *ret,
                      struct err *err);
int64_t store_meta_int(struct store *s, const char *name, int64_t preset); /* the preset, too, when it cannot be read */
int store_meta_put_int(struct store *s, const char *name, int64_t value, struct err *err);

/* Not 0: the tables were made by another version of the catalogue and want to be built anew from the log;
 * whoever has done so puts 0. */
#define STORE_STALE "stale"

/* ---- streams ---- */

struct stream_head {
    uint32_t stream;
    uint64_t seq;
    uint8_t hash[HASH_SIZE];
    struct id incarnation;
};

/* seq 0 and the chain's start hash must have been put once by stream_put; E_NOTFOUND otherwise. */
int store_stream_get(struct store *s, uint32_t stream, struct stream_head *ret, struct err *err);
int store_stream_put(struct store *s, const struct stream_head *h, struct err *err);
int store_stream_each(struct store *s, int (*cb)(void *ctx, const struct stream_head *h),
                      void *ctx, struct err *err);

/* ---- log ---- */

/* Append; e->seq must be the stream's last + 1 (the caller knows). pii in the sidecar is sealed. */
int store_entry_append(struct store *s, const struct entry *e, const struct change *c,
                       struct err *err);

/* One entry into A; E_NOTFOUND. */
int store_entry_get(struct store *s, uint32_t stream, uint64_t seq, struct arena *a,
                    struct entry *ret, struct err *err);

/* Entries from FROM upwards in order, until CB returns non-zero (returned) or there are no more.
 * The entry's slices live until CB returns. */
int store_entry_each(struct store *s, uint32_t stream, uint64_t from,
                     int (*cb)(void *ctx, const struct entry *e), void *ctx, struct err *err);

/* ---- projection ---- */

/* The record, or *ret_row = NULL. Lies in A. */
int store_row_get(struct store *s, struct arena *a, const struct kind *kind, const struct id *id,
                  struct row **ret_row, struct err *err);

/* Insert or replace. */
int store_row_put(struct store *s, const struct row *row, struct err *err);

/* Insert a record that is believed new. E_EXISTS. */
int store_row_add(struct store *s, const struct row *row, struct err *err);
int store_row_delete(struct store *s, const struct kind *kind, const struct id *id,
                     struct err *err);

/* Unvoided rows of KIND whose field TAG equals V, by id. Collected in A. */
int store_row_find(struct store *s, struct arena *a, const struct kind *kind, uint32_t tag,
                   const struct value *v, struct row ***ret_rows, size_t *ret_n, struct err *err);

/* Cheaper than asking for them: most kinds have none, and a statement that names a kind's columns is long. */
int store_has_rows(struct store *s, const struct kind *kind, bool *ret, struct err *err);

/* All rows of KIND by id; CB's row lives until CB returns. */
int store_row_each(struct store *s, const struct kind *kind,
                   int (*cb)(void *ctx, struct row *row), void *ctx, struct err *err);

/* What a list shows: equal to each of the filters, of STREAM (0: any), ordered by id, at most LIMIT
 * (0: all). CB's row lives until CB returns. */
struct store_filter {
    uint32_t tag;
    struct value v;
};
int store_row_list(struct store *s, const struct kind *kind, const struct store_filter *filters,
                   size_t n_filters, uint32_t stream, uint64_t limit,
                   int (*cb)(void *ctx, struct row *row), void *ctx, struct err *err);

/* The records of STREAM with an id above AFTER, by id. CB's row lives until CB returns; a non-zero return
 * ends it and is returned. */
int store_row_after(struct store *s, const struct kind *kind, uint32_t stream,
                    const struct id *after, int (*cb)(void *ctx, struct row *row), void *ctx,
                    struct err *err);

/* How many records the same list without a limit has. */
int store_row_count(struct store *s, const struct kind *kind, const struct store_filter *filters,
                    size_t n_filters, uint32_t stream, uint64_t *ret, struct err *err);

/* How many of those are of a historic file that nobody has confirmed: they count nowhere. */
int store_row_count_unconfirmed(struct store *s, const struct kind *kind,
                                const struct store_filter *filters, size_t n_filters,
                                uint32_t stream, uint64_t *ret, struct err *err);

/* The record of any kind (or of KIND when not NULL) named by id, unique id prefix of at least 6 hex
 * digits, or serial number. E_NOTFOUND, or E_INVALID when several fit. */
int store_resolve(struct store *s, struct arena *a, const struct kind *kind, struct slice name,
                  struct row **ret_row, struct err *err);

/* The entries that touched a record, oldest first: CB as in store_entry_each. */
int store_record_log(struct store *s, uint32_t stream, const struct id *id,
                     int (*cb)(void *ctx, const struct entry *e), void *ctx, struct err *err);

/* Empty the projection and the sums over it (log and the rest stay). */
int store_projection_clear(struct store *s, struct err *err);

/* A digest of the whole projection, order included, for comparing two files: every kind, row, value. */
int store_projection_digest(struct store *s, const struct hasher *h, uint8_t ret[HASH_SIZE],
                            struct err *err);

/* Apply entry E (decoded C, V) of a stream to the projection: load, apply_entry, put. */
int store_apply(struct store *s, struct arena *a, const struct change *c, const struct verdict *v,
                uint64_t seq, struct row **ret_row, struct err *err);

/* ---- digests (digest.h) ----
 *
 * The sums of the rows as the streams have them. Who moves such a row says so, once as it was and once as
 * it is; store_row_put does not know which of its rows are a stream's and which only show pending changes. */

int store_row_leaves(struct store *s, const struct row *row, struct err *err);
int store_row_comes(struct store *s, const struct row *row, struct err *err);

/* The same by digests: of KIND in STREAM, NULL for none. */
int store_digest_move(struct store *s, uint32_t stream, const struct kind *kind,
                      const struct digest *leaves, const struct digest *comes, struct err *err);

int store_digest_of(struct store *s, const struct row *row, struct digest *ret, struct err *err);

/* The root of a stream, and the sums of its kinds that have rows, ascending, in A: as the open transaction
 * has moved them, else as committed. */
int store_digest_root(struct store *s, uint32_t stream, uint8_t ret[ROOT_SIZE], struct err *err);
int store_digest_kinds(struct store *s, uint32_t stream, struct digest_kind **ret, size_t *ret_n,
                       struct arena *a, struct err *err);

/* Forget every sum: rows come anew. Inside a transaction. */
int store_digest_clear(struct store *s, struct err *err);

/* What the rows come to, counted one by one, beside what was kept. */
struct digest_count {
    uint32_t stream, kind;
    struct digest_sum counted, kept;
};

/* The row of the stream behind SHOWN, which shows pending changes: in A, NULL when there is none, with
 * `exists` unset when it is damaged. */
typedef int (*store_base_cb)(void *ctx, struct arena *a, const struct row *shown,
                             struct row **ret_base, struct err *err);

/* Count all rows, in one moment when a transaction is open. BASE may be NULL when nothing is ever pending.
 * The list, in A, has what was counted or kept; *ret_differs: not all of it agrees. */
int store_digest_recount(struct store *s, store_base_cb base, void *ctx, struct arena *a,
                         struct digest_count **ret, size_t *ret_n, bool *ret_differs,
                         struct err *err);

/* Add to the sums what such a count found missing, however they have moved since. Inside a transaction. */
int store_digest_mend(struct store *s, const struct digest_count *counts, size_t n,
                      struct err *err);

/* A lookup on the store; rows lie in A. The struct must outlive the lookup. */
struct store_lookup {
    struct store *store;
    struct arena *arena;
};
struct lookup store_lookup(struct store_lookup *l);

#endif
