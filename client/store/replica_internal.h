/* What the files of the replica share. */
#ifndef ZTC_CLIENT_REPLICA_INTERNAL_H
#define ZTC_CLIENT_REPLICA_INTERNAL_H

#include "client/store/replica.h"
#include "common/catalogue/settings.h"
#include "common/ledger/sql.h"

#define POS(stream, seq) ((int64_t)(((uint64_t)(stream) << 40) | (seq)))

/* Bound of what one act, entry or refusal may take of memory while it is worked on. */
#define WORK_MAX (64u * ACT_MAX_BYTES)

enum replica_stmt {
    RS_OWN_GET,
    RS_OWN_PUT,
    RS_FORMER,
    RS_FORMER_FIRST,
    RS_PENDING_PUT,
    RS_PENDING_GET,
    RS_PENDING_DEL,
    RS_PENDING_OF,
    RS_PENDING_HAS,
    RS_PENDING_FROM,
    RS_PENDING_FIRST,
    RS_PENDING_COUNT,
    RS_BASE_GET,
    RS_BASE_PUT,
    RS_BASE_DEL,
    RS_REFUSED_GET,
    RS_REFUSED_PUT,
    RS_REFUSED_DEL, RS_REFUSED_AGAIN,
    RS_REFUSED_COUNT,
    RS_CONFLICT_COUNT,
    RS_REFUSED_CHANGE_PUT,
    RS_REFUSED_CHANGE_GET,
    RS_REFUSED_CHANGE_DEL,
    RS_HEAD_PUT,
    RS_HEAD_AT,
    RS_HEAD_DUE,
    RS_HEAD_NEWEST,
    RS_HEAD_PROOF,
    RS_HEAD_DROP,
    RS_HEAD_DEL,
    RS_HEAD_CUT,
    RS_SNAPSHOT_GET,
    RS_SNAPSHOT_PUT,
    RS_SNAPSHOT_DEL,
    RS_LOG_CUT,
    RS_DIFFERS_GET,
    RS_DIFFERS_FIRST,
    RS_DIFFERS_PUT,
    RS_DIFFERS_DEL,
    RS_REPAIR_PUT,
    RS_REPAIR_NOTED,
    RS_REPAIR_UNTOLD,
    RS_REPAIR_TOLD,
    RS_REPAIR_EACH,
    RS_SERIAL_GET,
    RS_SERIAL_PUT,
    RS_BLOB_NEXT,
    RS_BLOB_COUNT,
    RS_COUNT,
};

/* Who the replica is, and how far its own changes go: read inside every transaction. */
struct own {
    enum hash_alg hash;
    struct id ledger, replica, clerk;
    uint32_t site, k;
    uint64_t n, base; /* up to base its changes are of earlier identities */
    uint8_t chain[HASH_SIZE];
};

/* A record that was found in this transaction. */
struct known {
    const struct kind *kind;
    struct id id;
};

#define KNOWN_MAX 32u

/* The counter of serial numbers that was used last in this transaction. */
struct serial {
    const struct kind *kind; /* NULL: none */
    int year;
    int64_t last;
};

struct replica {
    struct store *store;
    sqlite3 *db; /* the store's */
    struct replica_keys keys;
    struct vault vault; /* keys.vault is this, or NULL */
    const struct hasher *hasher;
    sqlite3_stmt *st[RS_COUNT];
    struct own own;
    bool own_moved;     /* own.n and own.chain wait for the commit */
    bool open;          /* between replica_write_begin and replica_write_end */
    bool failed;        /* the open transaction can only be rolled back */
    struct buf scratch; /* sealing */
    struct buf bytes;   /* of one change or row */
    /* Known since the transaction began; forgotten at its end. */
    struct actor actor;
    bool has_actor;
    struct setting_table setting_rows;
    struct settings settings; /* of setting_rows */
    bool has_settings;
    char letters[16];
    struct known known[KNOWN_MAX];
    struct serial serial;
};

/* A transaction with `own` read; commit writes it back when it moved. */
int replica_begin(struct replica *r, struct err *err);
int replica_commit(struct replica *r, struct err *err);
void replica_rollback(struct replica *r);

/* Change N of REPLICA is an own one: of the present identity, or of an earlier one up to where that went. */
bool own_is(struct replica *r, const struct id *replica, uint64_t n, int *ret_failed,
            struct err *err);

/* The identity that the own chain began with, and that all later ones went on from. */
int own_first(struct replica *r, struct id *ret, struct err *err);

/* Write the counter back before another takes its place. */
int replica_serial_flush(struct replica *r, struct err *err);

/* ---- overlay.c ---- */

/* An own change that has no place yet, or was refused. */
struct own_change {
    uint64_t n, first_n;
    struct slice bytes, side; /* opened */
    uint8_t hash[HASH_SIZE];
    bool refused;
};

/* PLAIN as it rests: sealed after 0x80 when SECRET and there is a vault. Borrowed until the next use of
 * the scratch. The seed makes the nonce; it must differ with PLAIN. */
int rest_seal(struct replica *r, struct slice plain, bool secret, struct slice seed,
              struct slice *ret, struct err *err);

/* The opened form, in A. */
int rest_open(struct replica *r, struct arena *a, struct slice rest, struct slice *ret,
              struct err *err);

/* The own change N, pending or refused, in A; E_NOTFOUND. */
int own_change_get(struct replica *r, struct arena *a, uint64_t n, struct own_change *ret,
                   struct err *err);

/* Own change N decoded into A: E_CORRUPT when it cannot be. */
int own_change_read(struct arena *a, uint64_t n, struct slice bytes, struct slice side,
                    struct change *ret, struct err *err);

/* The pending changes of a record, oldest first, decoded into A. */
int overlay_changes(struct replica *r, struct arena *a, const struct id *record,
                    struct change **ret, size_t *ret_n, struct err *err);

/* The record as the stream has it, or *ret = NULL. *ret_covered: pending changes lie over it. */
int overlay_base(struct replica *r, struct arena *a, const struct kind *kind, const struct id *id,
                 struct row **ret, bool *ret_covered, struct err *err);

/* Changes of the record are pending: 1, 0, E_*. */
int overlay_pending(struct replica *r, const struct id *id, struct err *err);

/* Keep ROW, which has no pending change yet, from under the first one. */
int overlay_keep_base(struct replica *r, const struct row *row, struct err *err);

/* Show BASE (NULL: the stream has no such record) with the pending changes of the record over it. */
int overlay_lay(struct replica *r, struct arena *a, const struct kind *kind, const struct id *id,
                struct row *base, struct err *err);

/* ---- write.c, review.c ---- */

/* Its sidecar is sealed at rest. */
bool change_holds_pii(const struct change *c);

/* The tables anew from log and pending changes, inside a transaction. */
int replica_retell(struct replica *r, struct err *err);

/* ---- receive.c ---- */

/* A head of STREAM that the city signed: 0 or E_PROTOCOL, E_AUTH. */
int replica_check_head(struct replica *r, uint32_t stream, struct slice bytes,
                       struct slice signature, struct head *ret, struct err *err);

/* ---- repair.c ---- */

/* The cursor has reached H: note whether the stream's rows come to its root. */
int repair_compare_root(struct replica *r, const struct head *h, struct err *err);

/* The tables were told anew: note whether they come to the roots of the newest heads that are kept. */
int repair_compare_anew(struct replica *r, struct err *err);

/* The rows come to their sums, and the streams' to what the city signed; E_DIGEST. Inside a transaction. */
int repair_verify(struct replica *r, struct err *err);

/* An entry of STREAM is of a kind that this catalogue does not know. */
int repair_met_unknown(struct replica *r, uint32_t stream, struct err *err);

/* ---- draft.c ---- */

/* An act while it is made. */
struct writing {
    struct replica *r;
    struct arena *a;
    struct actor actor;
    msec_t now;
    uint64_t seen;          /* UINT64_MAX: the present cursor */
    struct change *changes; /* so far; n is known, place in the act and bytes follow */
    size_t n;
    struct store_lookup rows;
    struct lookup lookup;
    struct check check;
};

/* Judge D and put its record as it stands afterwards into the tables. *RET_MADE is false when D changes
 * nothing; else its change is w->changes[w->n], which the caller counts. */
int draft_judge(struct writing *w, struct draft *d, bool *ret_made, struct err *err);

#endif
