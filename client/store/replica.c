/* Opening a replica, its transactions and what it knows of itself. */
#include "client/store/blobs.h"
#include "client/store/replica_internal.h"

#include "common/base/mem.h"

#include <string.h>

extern const char embed_0001_replica[], embed_0002_blob[], embed_0003_snapshot[],
    embed_0004_repair[], embed_0005_identity[], embed_0006_refused_before[];

static const struct store_step steps[] = {
    {"0001_replica", embed_0001_replica},
    {"0002_blob", embed_0002_blob},
    {"0003_snapshot", embed_0003_snapshot},
    {"0004_repair", embed_0004_repair},
    {"0005_identity", embed_0005_identity},
    {"0006_refused_before", embed_0006_refused_before},
    {NULL, NULL},
};

_Static_assert(STREAM_CITY == 2, "a query below names it");

static const char *const statements[RS_COUNT] = {
    [RS_OWN_GET] = "SELECT hash, ledger, replica, clerk, site, k, n, chain, base FROM own",
    [RS_OWN_PUT] = "UPDATE own SET n = ?1, chain = ?2",
    [RS_FORMER] = "SELECT 1 FROM predecessor WHERE replica = ?1 AND until_n >= ?2",
    [RS_FORMER_FIRST] = "SELECT replica FROM predecessor ORDER BY step LIMIT 1",
    [RS_PENDING_PUT] =
        "INSERT INTO pending (n, first_n, act_len, act_bytes, record, kind, bytes,"
        " side, hash, before) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    [RS_PENDING_GET] = "SELECT n, first_n, bytes, side, hash FROM pending WHERE n = ?1",
    [RS_PENDING_DEL] = "DELETE FROM pending WHERE n = ?1",
    [RS_PENDING_OF] = "SELECT n, bytes, side FROM pending WHERE record = ?1 ORDER BY n",
    [RS_PENDING_HAS] = "SELECT 1 FROM pending WHERE record = ?1 LIMIT 1",
    [RS_PENDING_FROM] =
        "SELECT n, first_n, act_len, act_bytes, bytes, side FROM pending"
        " WHERE n >= ?1 UNION ALL" /* refused before, by a city that was restored and forgot it */
        " SELECT c.n, r.first_n, r.last_n - r.first_n + 1, (SELECT sum(length(a.bytes)"
        " + coalesce(length(a.side), 0)) FROM refused_change a WHERE a.n BETWEEN r.first_n AND"
        " r.last_n), c.bytes, c.side FROM refused_change c JOIN refused r ON r.first_n ="
        " (SELECT max(first_n) FROM refused WHERE first_n <= c.n) WHERE c.n >= ?1 ORDER BY 1",
    [RS_PENDING_FIRST] = "SELECT n, before FROM pending ORDER BY n LIMIT 1",
    [RS_PENDING_COUNT] = "SELECT count(*) FROM pending",
    [RS_BASE_GET] = "SELECT row FROM base_row WHERE record = ?1",
    [RS_BASE_PUT] =
        "INSERT INTO base_row (record, kind, row) VALUES (?1, ?2, ?3)"
        " ON CONFLICT (record) DO UPDATE SET row = excluded.row",
    [RS_BASE_DEL] = "DELETE FROM base_row WHERE record = ?1",
    [RS_REFUSED_GET] = "SELECT last_n, until_n FROM refused WHERE first_n = ?1",
    [RS_REFUSED_PUT] =
        "INSERT INTO refused (first_n, last_n, at_n, code, text, until_n, at)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    [RS_REFUSED_AGAIN] = "UPDATE refused SET code = ?2, text = ?3 WHERE first_n = ?1",
    [RS_REFUSED_DEL] =
        "DELETE FROM refused WHERE first_n = (SELECT max(first_n) FROM refused"
        " WHERE first_n <= ?1) AND last_n >= ?1 AND NOT EXISTS (SELECT 1 FROM"
        " refused_change c WHERE c.n BETWEEN refused.first_n AND refused.last_n)",
    [RS_REFUSED_COUNT] = "SELECT count(*) FROM refused WHERE done_at = 0",
    [RS_CONFLICT_COUNT] = "SELECT count(*) FROM conflict WHERE state = 'open'",
    [RS_REFUSED_CHANGE_PUT] =
        "INSERT INTO refused_change (n, bytes, side, hash, before)"
        " SELECT n, bytes, side, hash, before FROM pending"
        " WHERE n BETWEEN ?1 AND ?2",
    [RS_REFUSED_CHANGE_GET] = "SELECT n, n, bytes, side, hash FROM refused_change WHERE n = ?1",
    [RS_REFUSED_CHANGE_DEL] = "DELETE FROM refused_change WHERE n = ?1",
    [RS_HEAD_PUT] =
        "INSERT INTO head (stream, seq, compared, bytes, signature)"
        " VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (stream, seq) DO UPDATE SET"
        " compared = excluded.compared, bytes = excluded.bytes,"
        " signature = excluded.signature",
    [RS_HEAD_AT] = "SELECT bytes FROM head WHERE stream = ?1 AND seq = ?2",
    [RS_HEAD_DUE] =
        "SELECT seq, bytes, signature FROM head"
        " WHERE stream = ?1 AND compared = 0 AND seq <= ?2 ORDER BY seq LIMIT 1",
    [RS_HEAD_NEWEST] =
        "SELECT seq, bytes, signature FROM head"
        " WHERE stream = ?1 AND compared = 1 ORDER BY seq DESC LIMIT 1",
    [RS_HEAD_PROOF] =
        "SELECT seq, bytes, signature FROM head"
        " WHERE stream = ?1 AND compared = 1 AND seq >= ?2 ORDER BY seq LIMIT 1",
    /* The newest stays, and before it one of every 4,096 places: a receipt needs no more links than that. */
    [RS_HEAD_DROP] =
        "DELETE FROM head WHERE stream = ?1 AND seq <> ?2 AND CASE compared WHEN 0 THEN seq < ?2"
        " ELSE stream = 2 OR seq > ?2 OR seq >> 12 = ?2 >> 12 END",
    [RS_HEAD_DEL] = "DELETE FROM head WHERE stream = ?1 AND seq = ?2",
    [RS_HEAD_CUT] = "DELETE FROM head WHERE stream = ?1 AND seq > ?2",
    [RS_SNAPSHOT_GET] =
        "SELECT base_seq, base_hash, last_seq, place, loaded, history_seq, history_hash"
        " FROM snapshot WHERE stream = ?1",
    [RS_SNAPSHOT_PUT] =
        "INSERT OR REPLACE INTO snapshot (stream, base_seq, base_hash, last_seq, place, loaded,"
        " history_seq, history_hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    [RS_SNAPSHOT_DEL] = "DELETE FROM snapshot WHERE stream = ?1",
    [RS_LOG_CUT] = "DELETE FROM log WHERE pos BETWEEN ?1 AND ?2",
    [RS_DIFFERS_GET] = "SELECT since FROM differs WHERE stream = ?1",
    [RS_DIFFERS_FIRST] = "SELECT stream FROM differs ORDER BY stream LIMIT 1",
    [RS_DIFFERS_PUT] =
        "INSERT INTO differs (stream, seq, since)"
        " VALUES (?1, ?2, 1000 * CAST(strftime('%s', 'now') AS INTEGER))",
    [RS_DIFFERS_DEL] = "DELETE FROM differs WHERE stream = ?1",
    [RS_REPAIR_PUT] =
        "INSERT INTO repair (at, stream, kind, record, seq, how, told)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0)",
    [RS_REPAIR_NOTED] = "SELECT 1 FROM repair WHERE record = ?1 AND how = ?2 LIMIT 1",
    [RS_REPAIR_UNTOLD] =
        "SELECT no, at, stream, kind, record, seq, how, told FROM repair"
        " WHERE told = 0 ORDER BY no",
    [RS_REPAIR_TOLD] = "UPDATE repair SET told = 1 WHERE no = ?1",
    [RS_REPAIR_EACH] =
        "SELECT no, at, stream, kind, record, seq, how, told FROM repair ORDER BY no DESC",
    [RS_SERIAL_GET] = "SELECT last FROM serial WHERE prefix = ?1 AND year = ?2",
    [RS_BLOB_NEXT] =
        "SELECT b.attachment, b.way, b.hash, b.size, b.state, b.code FROM blob b"
        " JOIN attachment a ON a.rid = b.attachment"
        " WHERE b.way = ?1 AND b.state <> 1 AND b.state = 0 AND a.created_seq > 0 AND a.voided IS NOT 1"
        " ORDER BY b.attachment LIMIT 1",
    [RS_BLOB_COUNT] =
        "SELECT coalesce(sum(b.state = 0), 0), coalesce(sum(b.state = 2), 0),"
        " coalesce(sum(b.state = 3), 0) FROM blob b JOIN attachment a ON a.rid = b.attachment"
        " WHERE b.way = 1 AND b.state <> 1 AND a.voided IS NOT 1",
    [RS_SERIAL_PUT] =
        "INSERT INTO serial (prefix, year, last) VALUES (?1, ?2, ?3)"
        " ON CONFLICT (prefix, year) DO UPDATE SET last = excluded.last",
};

static int own_read(struct replica *r, struct own *ret, struct err *err)
{
    sqlite3_stmt *st = r->st[RS_OWN_GET];
    struct slice chain;
    int status = sql_step(st, err);

    if (status == 0)
        return err_set(err, E_NOTFOUND, "本机的数据库尚未建好，请先接入");
    if (status < 0)
        return status;
    ret->hash = (enum hash_alg)sqlite3_column_int(st, 0);
    ret->ledger = sql_id(st, 1);
    ret->replica = sql_id(st, 2);
    ret->clerk = sql_id(st, 3);
    ret->site = (uint32_t)sqlite3_column_int64(st, 4);
    ret->k = (uint32_t)sqlite3_column_int64(st, 5);
    ret->n = (uint64_t)sqlite3_column_int64(st, 6);
    ret->base = (uint64_t)sqlite3_column_int64(st, 8);
    chain = sql_blob(st, 7);
    status = chain.len == HASH_SIZE ? 0 : err_set(err, E_CORRUPT, "本机更改的校验值不完整");
    if (status == 0)
        memcpy(ret->chain, chain.p, HASH_SIZE);
    sql_done(st);
    return status;
}

bool own_is(struct replica *r, const struct id *replica, uint64_t n, int *ret_failed,
            struct err *err)
{
    sqlite3_stmt *st = r->st[RS_FORMER];
    int status;

    *ret_failed = 0;
    if (id_eq(replica, &r->own.replica))
        return true;
    if (n > r->own.base)
        return false;
    sql_bind_id(st, 1, replica);
    sql_bind_int(st, 2, (int64_t)n);
    status = sql_step(st, err);
    sql_done(st);
    *ret_failed = status < 0 ? status : 0;
    return status == 1;
}

int own_first(struct replica *r, struct id *ret, struct err *err)
{
    sqlite3_stmt *st = r->st[RS_FORMER_FIRST];
    int status = sql_step(st, err);

    *ret = status == 1 ? sql_id(st, 0) : r->own.replica;
    sql_done(st);
    return status < 0 ? status : 0;
}

/* ---- transactions ---- */

static void forget(struct replica *r)
{
    r->own_moved = false;
    r->open = false;
    r->failed = false;
    r->has_actor = false;
    r->has_settings = false;
    r->letters[0] = '\0';
    memset(r->known, 0, sizeof r->known);
    r->serial.kind = NULL;
}

int replica_serial_flush(struct replica *r, struct err *err)
{
    sqlite3_stmt *st = r->st[RS_SERIAL_PUT];

    if (r->serial.kind == NULL)
        return 0;
    sql_bind_text(st, 1, slice_str(r->serial.kind->serial_prefix));
    sql_bind_int(st, 2, r->serial.year);
    sql_bind_int(st, 3, r->serial.last);
    return sql_run(st, err);
}

int replica_begin(struct replica *r, struct err *err)
{
    int ret = store_begin(r->store, err);

    if (ret != 0)
        return ret;
    ret = own_read(r, &r->own, err);
    if (ret != 0)
        replica_rollback(r);
    return ret;
}

int replica_commit(struct replica *r, struct err *err)
{
    sqlite3_stmt *st = r->st[RS_OWN_PUT];
    int ret = replica_serial_flush(r, err);

    if (ret == 0 && r->own_moved) {
        sql_bind_int(st, 1, (int64_t)r->own.n);
        sql_bind_blob(st, 2, (struct slice){r->own.chain, HASH_SIZE});
        ret = sql_run(st, err);
    }
    if (ret == 0)
        ret = store_commit(r->store, err);
    if (ret != 0)
        store_rollback(r->store);
    forget(r);
    return ret;
}

void replica_rollback(struct replica *r)
{
    store_rollback(r->store);
    forget(r);
}

/* ---- opening ---- */

static int open_store(const char *path, const struct replica_keys *keys, bool create,
                      struct replica **ret, struct err *err)
{
    struct store_options o = {.create = create, .vfs = keys->vfs, .steps = steps};
    struct replica *r = mem_calloc(1, sizeof *r);
    int status;

    if (r == NULL)
        return err_set(err, E_NOMEM, NULL);
    r->keys = *keys;
    r->hasher = keys->hasher;
    buf_init(&r->scratch, WORK_MAX);
    buf_init(&r->bytes, WORK_MAX);
    if (keys->vault != NULL) {
        r->vault = *keys->vault;
        r->keys.vault = &r->vault;
    }
    o.vault = r->keys.vault;
    status = store_open(path, &o, &r->store, err);
    if (status == 0)
        r->db = store_db(r->store);
    for (unsigned i = 0; status == 0 && i < RS_COUNT; i++)
        status = sql_prepare(r->db, statements[i], &r->st[i], err);
    if (status != 0) {
        replica_close(r);
        return status;
    }
    *ret = r;
    return 0;
}

void replica_close(struct replica *r)
{
    if (r == NULL)
        return;
    if (r->store != NULL)
        store_rollback(r->store);
    for (unsigned i = 0; i < RS_COUNT; i++)
        (void)sqlite3_finalize(r->st[i]); /* repeats an old result */
    store_close(r->store);
    setting_table_release(&r->setting_rows);
    buf_release(&r->scratch);
    buf_release(&r->bytes);
    mem_free(r);
}

static int start_stream(struct replica *r, uint32_t stream, const struct replica_facts *f,
                        struct err *err)
{
    struct stream_head h = {.stream = stream, .incarnation = f->incarnation};

    chain_start(r->hasher, stream, &f->ledger, h.hash);
    return store_stream_put(r->store, &h, err);
}

static int own_make(struct replica *r, const struct replica_facts *f, struct err *err)
{
    static const char query[] =
        "INSERT OR IGNORE INTO own (one, hash, ledger, replica, clerk, site,"
        " k, n, chain) VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, 0, ?7)";
    uint8_t chain[HASH_SIZE];
    sqlite3_stmt *st;
    int ret = sql_prepare(r->db, query, &st, err);

    if (ret != 0)
        return ret;
    own_chain_start(r->hasher, &f->id, chain);
    sql_bind_int(st, 1, r->hasher->alg);
    sql_bind_id(st, 2, &f->ledger);
    sql_bind_id(st, 3, &f->id);
    sql_bind_id(st, 4, &f->clerk);
    sql_bind_int(st, 5, f->site);
    sql_bind_int(st, 6, f->k);
    sql_bind_blob(st, 7, (struct slice){chain, HASH_SIZE});
    ret = sql_run(st, err);
    (void)sqlite3_finalize(st); /* repeats the result of the step */
    if (ret == 0 && sqlite3_changes(r->db) == 0)
        ret = err_set(err, E_EXISTS, "本机已经接入");
    return ret;
}

int replica_create(const char *path, const struct replica_keys *keys, const struct replica_facts *f,
                   struct err *err)
{
    struct replica *r;
    int ret;

    if (keys->hasher == NULL)
        return err_set(err, E_INTERNAL, NULL);
    ret = open_store(path, keys, true, &r, err);
    if (ret != 0)
        return ret;
    ret = store_begin(r->store, err);
    if (ret == 0)
        ret = own_make(r, f, err);
    if (ret == 0)
        ret = start_stream(r, STREAM_SHARED, f, err);
    if (ret == 0)
        ret = start_stream(r, f->site, f, err);
    if (ret == 0)
        ret = store_commit(r->store, err);
    replica_close(r); /* rolls back what was not committed */
    return ret;
}

/* The hash function is the file's; the caller's must agree. */
static int choose_hasher(struct replica *r, struct err *err)
{
    if (r->hasher == NULL && r->keys.hasher_of != NULL)
        r->hasher = r->keys.hasher_of(r->own.hash);
    if (r->hasher == NULL || r->hasher->alg != r->own.hash)
        return err_set(err, E_VERSION, "本程序没有数据库所用的校验算法（%d）", (int)r->own.hash);
    return 0;
}

/* After an upgrade the log may hold what the former catalogue had no place for. While history is missing
 * that waits for it. */
static int build_anew(struct replica *r, struct err *err)
{
    int ret = replica_rebuild(r, err);

    if (ret == E_WAITING)
        return 0;
    return ret == 0 ? store_meta_put_int(r->store, STORE_STALE, 0, err) : ret;
}

int replica_open(const char *path, const struct replica_keys *keys, struct replica **ret,
                 struct err *err)
{
    struct replica *r;
    int64_t stale = 0;
    int status;

    *ret = NULL;
    status = open_store(path, keys, false, &r, err);
    if (status != 0)
        return status;
    status = own_read(r, &r->own, err);
    if (status == 0)
        status = choose_hasher(r, err);
    if (status == 0)
        status = store_meta_number(r->store, STORE_STALE, 0, &stale, err);
    if (status == 0 && stale != 0)
        status = build_anew(r, err);
    if (status != 0) {
        replica_close(r);
        return status;
    }
    *ret = r;
    return 0;
}

struct store *replica_store(struct replica *r)
{
    return r->store;
}

const struct hasher *replica_hasher(const struct replica *r)
{
    return r->hasher;
}

/* ---- facts ---- */

static int count(struct replica *r, enum replica_stmt which, uint64_t *ret, struct err *err)
{
    sqlite3_stmt *st = r->st[which];
    int status = sql_step(st, err);

    if (status == 1)
        *ret = (uint64_t)sqlite3_column_int64(st, 0);
    sql_done(st);
    return status < 0 ? status : 0;
}

/* All own changes up to the one before the first pending one were answered. */
static int acked(struct replica *r, struct replica_facts *f, struct err *err)
{
    sqlite3_stmt *st = r->st[RS_PENDING_FIRST];
    int status = sql_step(st, err);

    f->acked_n = f->own_n;
    memcpy(f->acked_chain, f->own_chain, HASH_SIZE);
    if (status == 1 && sql_blob(st, 1).len == HASH_SIZE) {
        f->acked_n = (uint64_t)sqlite3_column_int64(st, 0) - 1;
        memcpy(f->acked_chain, sql_blob(st, 1).p, HASH_SIZE);
    }
    sql_done(st);
    return status < 0 ? status : 0;
}

/* What replica_statement needs, and the chains that go with it. */
static int read_said(struct replica *r, struct replica_facts *f, struct err *err)
{
    struct own own;
    int ret = own_read(r, &own, err);

    if (ret != 0)
        return ret;
    *f = (struct replica_facts){.id = own.replica,
                                .ledger = own.ledger,
                                .clerk = own.clerk,
                                .site = own.site,
                                .k = own.k,
                                .own_n = own.n};
    memcpy(f->own_chain, r->open ? r->own.chain : own.chain, HASH_SIZE);
    if (r->open)
        f->own_n = r->own.n;
    ret = acked(r, f, err);
    if (ret == 0)
        ret = count(r, RS_REFUSED_COUNT, &f->refused, err);
    if (ret == 0)
        ret = replica_blob_counts(r, &f->blobs, err);
    f->attachments = f->blobs.waiting + f->blobs.refused + f->blobs.lost;
    return ret;
}

static int read_facts(struct replica *r, struct replica_facts *f, struct err *err)
{
    struct stream_head h;
    int ret = read_said(r, f, err);

    if (ret == 0)
        ret = count(r, RS_PENDING_COUNT, &f->pending, err);
    if (ret == 0)
        ret = count(r, RS_CONFLICT_COUNT, &f->conflicts, err);
    if (ret == 0)
        ret = store_stream_get(r->store, f->site, &h, err);
    if (ret == 0)
        f->incarnation = h.incarnation;
    return ret;
}

/* One snapshot: another process may commit between two questions. */
static int read_at_once(struct replica *r,
                        int (*read)(struct replica *r, struct replica_facts *f, struct err *err),
                        struct replica_facts *f, struct err *err)
{
    int status = r->open ? 0 : sql_exec(r->db, "BEGIN", err);

    if (status != 0)
        return status;
    status = read(r, f, err);
    if (!r->open)
        (void)sql_exec(r->db, "ROLLBACK", NULL); /* it only read, and a commit may fail */
    return status;
}

struct statement replica_statement(const struct replica_facts *f)
{
    return (struct statement){.own_n = f->own_n,
                              .acked_n = f->acked_n,
                              .waiting = f->own_n - f->acked_n,
                              .refused = f->refused,
                              .attachments = f->attachments};
}

int replica_says(struct replica *r, struct statement *ret, struct err *err)
{
    struct replica_facts f;
    int status = read_at_once(r, read_said, &f, err);

    if (status == 0)
        *ret = replica_statement(&f);
    return status;
}

int replica_facts(struct replica *r, struct replica_facts *ret, struct err *err)
{
    struct replica_facts f;
    int status = read_at_once(r, read_facts, &f, err);

    if (status == 0)
        *ret = f;
    return status;
}
