/* A county computer's replica: the streams as the city has them, its own changes that have no place yet,
 * and what the city refused.
 *
 * The tables show the overlay: the stream up to the cursor with the own pending changes laid over it.
 * A record that has pending changes keeps its row without them in `base_row`, so that an entry can be
 * applied beneath (rebase). A pending change leaves only by its echo or its refusal. Several processes
 * may open one replica: every write is one short transaction, `own_n` is read inside it. */
#ifndef ZTC_CLIENT_REPLICA_H
#define ZTC_CLIENT_REPLICA_H

#include "common/catalogue/check.h"
#include "common/ledger/head.h"
#include "common/ledger/statement.h"
#include "common/ledger/store.h"

struct replica;

struct replica_keys {
    const struct hasher *hasher; /* at creation; NULL at open: as the file says, from hasher_of */
    const struct hasher *(*hasher_of)(
        enum hash_alg alg);  /* crypto/hash.h; may be NULL with a hasher */
    struct verifier log_key; /* judges signed heads */
    const struct vault *vault;
    /* The site's own key, which the city does not have. NULL: this computer has not got it; then `site`
     * values cannot be written here and show as 仅首台电脑可见. */
    int (*site_seal)(void *ctx, struct slice plain, const uint8_t nonce[12], struct buf *out);
    int (*site_open)(void *ctx, struct slice sealed, struct buf *out);
    void *site_ctx;
    struct random random;
    const char *vfs;
};

/* Attachments made here, by what became of their bytes at the city. */
struct blob_counts {
    uint64_t waiting; /* not verified there yet */
    uint64_t refused; /* it does not take them */
    uint64_t lost;    /* they are no longer here either */
};

struct replica_facts {
    struct id id, ledger, clerk;
    uint32_t site, k;
    uint64_t own_n, acked_n; /* made, answered */
    uint8_t own_chain[HASH_SIZE], acked_chain[HASH_SIZE];
    uint64_t pending, refused, conflicts;
    uint64_t attachments; /* of its own, not wholly at the city */
    struct id incarnation;
    struct blob_counts blobs;
};

/* Make the replica's file after enrolment (streams `shared` and SITE at 0). E_EXISTS. */
int replica_create(const char *path, const struct replica_keys *keys, const struct replica_facts *f,
                   struct err *err);
int replica_open(const char *path, const struct replica_keys *keys, struct replica **ret,
                 struct err *err);
void replica_close(struct replica *r);
struct store *replica_store(struct replica *r);
const struct hasher *replica_hasher(const struct replica *r);
int replica_facts(struct replica *r, struct replica_facts *ret, struct err *err);

/* What the computer says of itself, here and to the city. */
struct statement replica_statement(const struct replica_facts *f);

/* The same without the other facts: cheap, however many changes are pending. */
int replica_says(struct replica *r, struct statement *ret, struct err *err);

/* ---- writing ---- */

/* One change of a draft act. Kind, record (zero: a new id is made and put here), op, state codes and
 * fields with plain values; a FORM_SET field that can vanish is hashed, salted and sealed on the way. */
struct draft {
    const struct kind *kind;
    struct id record;
    enum change_op op;
    struct slice to;             /* OP_TRANSITION: state code or the action's label */
    struct field_change *fields; /* ascending by tag; form, v (and del) set */
    size_t n_fields;
    struct slice serial; /* out: of a created record, in the arena */
};

/* Judge by the same rules as the city, number, encode and keep one act durably. SEEN is the cursor of the
 * site's stream that the author looked at (UINT64_MAX: the present one); saw_n of fields is filled in from
 * the pending changes shown. Nothing is written on failure: E_ROLE, E_INVALID, E_STATE, E_GUARD …, E_TOOBIG
 * (more than an act holds). A county's import is one transaction of several acts: begin with
 * replica_write_begin and end with replica_write_end (commit or not). */
int replica_write(struct replica *r, struct arena *a, const struct id *account,
                  struct draft *drafts, size_t n, uint64_t seen, msec_t now, struct err *err);
int replica_write_begin(struct replica *r, struct err *err);
int replica_write_end(struct replica *r, bool commit, struct err *err);

/* The account by login in the site's stream; NULL login: the only active one. E_NOTFOUND, E_DENIED;
 * with several and no login E_USAGE and the logins in the sentence. */
int replica_actor(struct replica *r, const char *login, struct actor *ret, struct err *err);

/* A setting of the city for this site, as far as `shared` has come. */
int replica_setting(struct replica *r, const char *name, int64_t *ret, struct err *err);

/* ---- synchronising ---- */

/* Entries of the own log from FROM_SEQ to UPTO_SEQ, at most so many and so large but at least one. E_NOTFOUND:
 * the first is not here. */
int replica_log(struct replica *r, uint32_t stream, uint64_t from_seq, uint64_t upto_seq,
                uint32_t max_count, size_t max_bytes,
                int (*cb)(void *ctx, const struct entry *e), void *ctx, struct err *err);

/* The newest signed head of STREAM that the log equals. E_NOTFOUND. */
int replica_shown_head(struct replica *r, uint32_t stream, struct buf *ret_head,
                       struct buf *ret_signature, struct err *err);

/* Entries above these places belong to a life of the city that is over: they leave the log, own changes among
 * them are pending again; a stream whose older history is still to come is begun again. E_FORK: to the life that
 * the city lives now. */
struct replica_place {
    uint32_t stream;
    uint64_t seq;
};
int replica_go_back(struct replica *r, const struct replica_place *places, size_t n,
                    struct err *err);

/* Pending changes from FROM_N upwards, whole acts, at most MAX_COUNT and MAX_BYTES (but at least one
 * act): CB per change in order. Refused ones that nobody has seen to are among them. */
typedef int replica_change_cb(void *ctx, uint64_t n, struct slice bytes, struct slice side);
int replica_pending(struct replica *r, uint64_t from_n, uint32_t max_count, size_t max_bytes,
                    replica_change_cb *cb, void *ctx, struct err *err);

/* What the city has no answer for, FROM_N and those after it without a gap; otherwise as replica_pending. Refused
 * ones, and ones that the log has, are among them only where the city forgot that it answered: it was restored. A
 * call hands out of the log or of the others, not of both; CB is not called when FROM_N is not here yet. */
int replica_unanswered(struct replica *r, uint64_t from_n, uint32_t max_count, size_t max_bytes,
                       replica_change_cb *cb, void *ctx, struct err *err);

/* The first change of the first pending act, from FROM_N on and among the next MAX_COUNT changes, that sets
 * what a catalogue of VERSION does not know; 0: none. */
int replica_held(struct replica *r, uint64_t from_n, uint32_t max_count, uint32_t version,
                 uint64_t *ret_n, struct err *err);

/* What of an entry needs no store to be known. */
struct arrived_parts;

/* One entry as it came; an echo has own n and no bytes. */
struct arrived {
    msec_t received_at;
    struct slice verdict, bytes, side;
    uint64_t echo_n;                   /* 0: bytes are there */
    const struct arrived_parts *parts; /* NULL: not read yet, replica_apply does */
};

/* Decode and hash entries into A beforehand, on any thread: it is half of the work of applying them. As
 * many as find room; what is wrong with one is said by replica_apply in its turn. */
void arrived_read(const struct hasher *h, struct arena *a, struct arrived *entries, size_t n);

/* A batch of consecutive entries closed by a signed head at or above its last: verifies chain, sides and
 * head, then logs, applies, drops what is answered and rebases, in one transaction. The head may be above
 * the last entry (more follow): then the hash is checked when that seq is reached; it is kept as the
 * receipt only when it equals. E_CORRUPT, E_AUTH: nothing was taken. */
int replica_apply(struct replica *r, uint32_t stream, uint64_t first_seq,
                  const struct arrived *entries, size_t n, struct slice head,
                  struct slice signature, struct err *err);

/* ---- snapshots (snapshot.c) ---- */

#define SNAPSHOT_PLACE_SIZE 20

/* A stream that began with a snapshot, until its history is here whole. */
struct replica_snapshot {
    uint32_t stream;
    uint64_t base_seq; /* the log begins behind it */
    uint64_t last_seq; /* the records are whole once the cursor has reached it */
    bool loaded;       /* the last slice is here */
    bool has_place;
    uint8_t place[SNAPSHOT_PLACE_SIZE]; /* where the next slice begins */
    uint64_t history_seq;               /* older entries are here up to this one */
    uint8_t base_hash[HASH_SIZE], history_hash[HASH_SIZE];
};

/* E_NOTFOUND: the stream's log is whole. */
int replica_snapshot(struct replica *r, uint32_t stream, struct replica_snapshot *ret,
                     struct err *err);

/* The records of the stream are not whole yet. */
int replica_loading(struct replica *r, uint32_t stream, bool *ret, struct err *err);

/* Begin STREAM, which must be empty, at a signed head. *ret_seq is its cursor now. */
int replica_snapshot_begin(struct replica *r, uint32_t stream, struct slice head,
                           struct slice signature, uint64_t *ret_seq, struct err *err);

struct replica_slice {
    uint32_t stream;
    uint64_t seq; /* at which it was read */
    const struct slice *rows;
    size_t n_rows;
    const struct arrived *entries; /* that rows name */
    const uint64_t *entry_seqs;
    size_t n_entries;
    struct slice next; /* empty: the last one */
};
int replica_snapshot_slice(struct replica *r, const struct replica_slice *in, struct err *err);

/* Older entries, from history_seq + 1 on. E_CORRUPT: they do not lead to the signed head; all of it was
 * dropped and will be asked for again. */
int replica_history(struct replica *r, uint32_t stream, uint64_t first_seq,
                    const struct arrived *entries, size_t n, struct err *err);

/* ---- refusals ---- */

/* Keep a refusal (once) and take its changes out of the overlay. *ret_until_n is the last n made before
 * now, for RefusedAck. */
int replica_refused(struct replica *r, uint64_t first_n, uint64_t last_n, uint64_t at_n,
                    struct slice code, struct slice text, msec_t now, uint64_t *ret_until_n,
                    struct err *err);

/* The newest signed head of `city` (hash only): a witness against a rewritten log. */
int replica_witness(struct replica *r, struct slice head, struct slice signature, struct err *err);

/* ---- showing ---- */

struct refused_row {
    uint64_t first_n, last_n, at_n;
    uint64_t until_n; /* the last change made before it was taken in */
    struct slice code, text, bytes; /* of the change at_n */
    msec_t at;
    msec_t done_at;    /* 0: open */
    struct id done_by; /* account */
};
int replica_refused_each(struct replica *r, int (*cb)(void *ctx, const struct refused_row *row),
                         void *ctx, struct err *err);

/* The changes of a refused act, with what was typed. One that was released since is left out. */
int replica_refused_changes(struct replica *r, const struct refused_row *row,
                            int (*cb)(void *ctx, const struct change *c), void *ctx,
                            struct err *err);

/* A person is through with the open refusals of the changes FIRST to LAST: they are kept, and no longer
 * counted. *ret_n is their number; E_NOTFOUND when there is none. */
int replica_refused_close(struct replica *r, uint64_t first, uint64_t last,
                          const struct id *account, msec_t now, uint64_t *ret_n,
                          struct err *err);

/* Open conflicts with both values. Slices live until CB returns. While older history is still to come, an entry
 * of a conflict may not be here: then it waits, and a value of it is not known. */
struct conflict_row {
    struct row *conflict;      /* the record of kind conflict */
    struct row *target;        /* NULL when it is gone */
    const struct field *field; /* NULL: the whole record */
    struct value stands, later;
    bool waits;
    struct id stands_by, later_by; /* accounts */
    msec_t stands_at, later_at;
};
int replica_conflicts(struct replica *r, int (*cb)(void *ctx, const struct conflict_row *row),
                      void *ctx, struct err *err);

/* The plain text value of a V_SEALED `site` value, in A. E_DENIED without the site's key. */
int replica_open_value(struct replica *r, struct arena *a, const struct value *sealed,
                       struct value *ret, struct err *err);

/* Append the receipt of an entry (common/ledger/receipt.h). E_WAITING: no signed head covers it yet;
 * E_TOOBIG: it does not fit OUT. */
int replica_receipt(struct replica *r, uint32_t stream, uint64_t seq, struct buf *out,
                    struct err *err);

/* ---- upkeep ---- */

/* Chains, sides and kept heads of both streams, the own chain, and the rows against their sums. E_CORRUPT names
 * the first bad entry; E_DIGEST: the log is good, the tables are not what it says. */
int replica_verify(struct replica *r, struct err *err);
/* Tables anew from log and pending changes. */
int replica_rebuild(struct replica *r, struct err *err);

#endif
