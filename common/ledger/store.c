/* Opening, transactions, named values, streams and the log. */
#include "common/ledger/store.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/ledger/store_internal.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

extern const char embed_0001_log[];
extern const char embed_0002_digest[];

#define STORE_FORMAT     1
#define PAGE_SIZE        8192
#define SCRATCH_MAX      (2u * ACT_MAX_BYTES)
#define BUSY_TIMEOUT_MS  10000

static pthread_once_t tuned = PTHREAD_ONCE_INIT;

static const char *const statements[ST_COUNT] = {
    [ST_META_GET] = "SELECT value FROM meta WHERE name = ?1",
    [ST_META_PUT] = "INSERT INTO meta (name, value) VALUES (?1, ?2)"
                    " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    [ST_STREAM_GET] = "SELECT stream, seq, hash, incarnation FROM stream WHERE stream = ?1",
    [ST_STREAM_PUT] = "INSERT INTO stream (stream, seq, hash, incarnation) VALUES (?1, ?2, ?3, ?4)"
                      " ON CONFLICT (stream) DO UPDATE SET seq = excluded.seq,"
                      " hash = excluded.hash, incarnation = excluded.incarnation",
    [ST_STREAM_EACH] = "SELECT stream, seq, hash, incarnation FROM stream ORDER BY stream",
    [ST_LOG_PUT] = "INSERT INTO log (pos, received_at, verdict, hash, bytes, side)"
                   " VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    [ST_LOG_GET] = "SELECT pos, received_at, verdict, hash, bytes, side FROM log WHERE pos = ?1",
    [ST_DIGEST_EACH] = "SELECT stream, kind, count, sum FROM digest",
    [ST_DIGEST_PUT] = "INSERT INTO digest (stream, kind, count, sum) VALUES (?1, ?2, ?3, ?4)"
                      " ON CONFLICT (stream, kind) DO UPDATE SET count = excluded.count,"
                      " sum = excluded.sum",
    [ST_BEGIN] = "BEGIN IMMEDIATE",
    [ST_COMMIT] = "COMMIT",
    [ST_ROLLBACK] = "ROLLBACK",
    [ST_DATA_VERSION] = "PRAGMA data_version",
    [ST_SAVE] = "SAVEPOINT act",
    [ST_SAVE_RELEASE] = "RELEASE act",
    [ST_SAVE_ROLLBACK] = "ROLLBACK TO act",
};

static const struct store_step common_steps[] = {
    {"0001_log", embed_0001_log},
    {"0002_digest", embed_0002_digest},
    {NULL, NULL},
};

/* NOTE notes a step, and changes nothing where it was taken before. */
static int run_step(sqlite3 *db, sqlite3_stmt *note, const struct store_step *step, struct err *err)
{
    int ret;

    sql_bind_text(note, 1, slice_str(step->name));
    ret = sql_run(note, err);
    if (ret != 0 || sqlite3_changes(db) == 0)
        return ret;
    return sql_exec(db, step->sql, err);
}

static int run_steps(sqlite3 *db, const struct store_step *steps, struct err *err)
{
    sqlite3_stmt *note;
    int ret = sql_prepare(db, "INSERT OR IGNORE INTO schema_step (name) VALUES (?1)", &note, err);

    for (; ret == 0 && steps != NULL && steps->name != NULL; steps++) {
        ret = run_step(db, note, steps, err);
        if (ret != 0)
            ret = err_wrap(err, ret, "数据库结构 %s", steps->name);
    }
    (void)sqlite3_finalize(note); /* repeats the result of the last step */
    return ret;
}

static int user_version(sqlite3 *db, struct err *err)
{
    sqlite3_stmt *st;
    int ret = sql_prepare(db, "PRAGMA user_version", &st, err);

    if (ret != 0)
        return ret;
    ret = sql_step(st, err);
    if (ret == 1)
        ret = sqlite3_column_int(st, 0);
    (void)sqlite3_finalize(st); /* repeats the result of the step */
    return ret;
}

/* SQLite ends a transaction by itself when its disk fails. What is written behind that, by who did not look at an
 * error, would be committed a statement at a time. */
static int refuse_commit(void *ctx)
{
    const struct store *s = ctx;

    return s->begun && !s->commits;
}

static int migrate(struct store *s, const struct store_options *o, struct err *err)
{
    char pragma[64];
    int ret = user_version(s->db, err);

    if (ret < 0)
        return ret;
    if (ret > STORE_FORMAT)
        return err_set(err, E_VERSION, "数据库由更新版本的程序写成，请先升级本程序");
    if (o->readonly)
        return ret == STORE_FORMAT ? 0 : err_set(err, E_VERSION, "数据库尚未建好");
    ret = sql_exec(s->db, "BEGIN IMMEDIATE;"
                          "CREATE TABLE IF NOT EXISTS schema_step (name TEXT PRIMARY KEY)"
                          " WITHOUT ROWID;", err);
    if (ret == 0)
        ret = run_steps(s->db, common_steps, err);
    if (ret == 0)
        ret = run_steps(s->db, o->steps, err);
    if (ret == 0)
        ret = projection_migrate(s, err);
    (void)snprintf(pragma, sizeof pragma, "PRAGMA user_version = %d; COMMIT", STORE_FORMAT);
    if (ret == 0)
        ret = sql_exec(s->db, pragma, err);
    if (ret != 0)
        (void)sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL); /* the first error stands */
    return ret;
}

static int prepare_all(struct store *s, struct err *err)
{
    for (unsigned i = 0; i < ST_COUNT; i++) {
        const char *text = i == ST_BEGIN && s->readonly ? "BEGIN" : statements[i];
        int ret = sql_prepare(s->db, text, &s->st[i], err);

        if (ret != 0)
            return ret;
    }
    return 0;
}

static int configure(struct store *s, const struct store_options *o, struct err *err)
{
    char text[256];

    (void)sqlite3_busy_timeout(s->db, BUSY_TIMEOUT_MS);
    (void)sqlite3_extended_result_codes(s->db, 1);
    if (o->readonly)
        return sql_exec(s->db, "PRAGMA query_only = 1; PRAGMA mmap_size = 0", err);
    (void)snprintf(text, sizeof text,
                   "PRAGMA page_size = %d; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                   "PRAGMA wal_autocheckpoint = %d; PRAGMA cache_size = -65536;"
                   "PRAGMA trusted_schema = 0",
                   PAGE_SIZE, AUTOCHECKPOINT);
    return sql_exec(s->db, text, err);
}

/* Nobody asks how much memory SQLite holds, and counting it takes a lock at every allocation. Refused
 * when the library is in use already: then it goes on counting. */
static void tune_library(void)
{
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

int store_open(const char *path, const struct store_options *o, struct store **ret,
               struct err *err)
{
    int flags = o->readonly ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
    struct store *s;
    int rc, status;

    *ret = NULL;
    (void)pthread_once(&tuned, tune_library); /* fails only for what is no once-variable */
    s = mem_calloc(1, sizeof *s);
    if (s == NULL)
        return err_set(err, E_NOMEM, NULL);
    buf_init(&s->scratch, SCRATCH_MAX);
    sums_init(&s->sums);
    s->readonly = o->readonly;
    s->track_seqs = o->track_seqs;
    s->vault = o->vault;
    s->kinds = mem_calloc(catalogue_n_kinds, sizeof *s->kinds);
    if (s->kinds == NULL) {
        status = err_set(err, E_NOMEM, NULL);
        goto out;
    }
    if (o->create && !o->readonly)
        flags |= SQLITE_OPEN_CREATE;
    rc = sqlite3_open_v2(path, &s->db, flags | SQLITE_OPEN_NOMUTEX, o->vfs);
    if (rc != SQLITE_OK) {
        status = sql_error(s->db, rc, "打开数据库", err);
        goto out;
    }
    status = configure(s, o, err);
    if (status == 0)
        status = migrate(s, o, err);
    if (status == 0)
        status = prepare_all(s, err);
    (void)sqlite3_commit_hook(s->db, refuse_commit, s); /* returns what was there before */

out:
    if (status != 0) {
        store_close(s);
        return err_wrap(err, status, "数据库 %s", path);
    }
    *ret = s;
    return 0;
}

void store_close(struct store *s)
{
    if (s == NULL)
        return;
    for (unsigned i = 0; i < ST_COUNT; i++)
        (void)sqlite3_finalize(s->st[i]); /* repeats an old result */
    projection_release(s);
    sql_cache_release(&s->queries);
    mem_free(s->kinds);
    buf_release(&s->scratch);
    sums_release(&s->sums);
    (void)sqlite3_close(s->db); /* nothing is left that could keep it busy */
    mem_free(s);
}

struct sqlite3 *store_db(struct store *s)
{
    return s->db;
}

/* Commit as the transaction about to begin wants it; what cannot be switched is not begun. */
static int switch_synced(struct store *s, struct err *err)
{
    bool relaxed = s->relax_next;
    int ret;

    s->relax_next = false;
    if (relaxed == s->relaxed)
        return 0;
    ret = sql_exec(s->db, relaxed ? "PRAGMA synchronous = NORMAL" : "PRAGMA synchronous = FULL", err);
    if (ret == 0)
        s->relaxed = relaxed;
    return ret;
}

void store_relax_next(struct store *s)
{
    s->relax_next = true;
}

int store_begin(struct store *s, struct err *err)
{
    int ret = switch_synced(s, err);

    if (ret == 0)
        ret = sql_run(s->st[ST_BEGIN], err);
    s->begun = ret == 0;
    return ret;
}

int store_commit(struct store *s, struct err *err)
{
    int ret = sums_keep(s, err);

    if (ret != 0)
        return ret;
    s->commits = true;
    ret = sql_run(s->st[ST_COMMIT], err);
    s->commits = false;
    s->begun = ret != 0;
    return ret;
}

void store_rollback(struct store *s)
{
    sums_forget(s);
    s->begun = false;
    if (sqlite3_get_autocommit(s->db) == 0)
        (void)sql_run(s->st[ST_ROLLBACK], NULL); /* SQLite rolls back by itself when it cannot */
}

int64_t store_others(struct store *s)
{
    sqlite3_stmt *st = s->st[ST_DATA_VERSION];
    int64_t version = sql_step(st, NULL) == 1 ? sqlite3_column_int64(st, 0) : 0;

    sql_done(st);
    return version;
}

void store_touch(struct store *s)
{
    const char *file = sqlite3_db_filename(s->db, "main");

    if (file != NULL && file[0] != '\0')
        (void)utimensat(AT_FDCWD, file, NULL, 0); /* they look by themselves too */
}

int store_savepoint(struct store *s, struct err *err)
{
    int ret = sums_keep(s, err);

    return ret != 0 ? ret : sql_run(s->st[ST_SAVE], err);
}

int store_savepoint_release(struct store *s, struct err *err)
{
    return sql_run(s->st[ST_SAVE_RELEASE], err);
}

int store_savepoint_rollback(struct store *s, struct err *err)
{
    int ret = sql_run(s->st[ST_SAVE_ROLLBACK], err);

    sums_forget(s);
    return ret != 0 ? ret : sql_run(s->st[ST_SAVE_RELEASE], err);
}

/* ---- named values ---- */

int store_meta_get(struct store *s, const char *name, struct arena *a, struct slice *ret,
                   struct err *err)
{
    sqlite3_stmt *st = s->st[ST_META_GET];
    int status;

    sql_bind_text(st, 1, slice_str(name));
    status = sql_step(st, err);
    if (status == 1) {
        *ret = sql_blob_dup(st, 0, a);
        status = ret->p == NULL ? err_set(err, E_NOMEM, NULL) : 0;
    } else if (status == 0) {
        status = err_set(err, E_NOTFOUND, "数据库里没有“%s”", name);
    }
    sql_done(st);
    return status;
}

int store_meta_put(struct store *s, const char *name, struct slice value, struct err *err)
{
    sqlite3_stmt *st = s->st[ST_META_PUT];

    sql_bind_text(st, 1, slice_str(name));
    sql_bind_blob(st, 2, value);
    return sql_run(st, err);
}

int store_meta_number(struct store *s, const char *name, int64_t preset, int64_t *ret,
                      struct err *err)
{
    sqlite3_stmt *st = s->st[ST_META_GET];
    int status;

    sql_bind_text(st, 1, slice_str(name));
    status = sql_step(st, err);
    if (status >= 0)
        *ret = status == 1 ? sqlite3_column_int64(st, 0) : preset;
    sql_done(st);
    return status < 0 ? status : 0;
}

int64_t store_meta_int(struct store *s, const char *name, int64_t preset)
{
    int64_t v = preset;

    (void)store_meta_number(s, name, preset, &v, NULL);
    return v;
}

int store_meta_put_int(struct store *s, const char *name, int64_t value, struct err *err)
{
    sqlite3_stmt *st = s->st[ST_META_PUT];

    sql_bind_text(st, 1, slice_str(name));
    sql_bind_int(st, 2, value);
    return sql_run(st, err);
}

/* ---- streams ---- */

static void read_head(sqlite3_stmt *st, struct stream_head *h)
{
    struct slice hash = sql_blob(st, 2);

    h->stream = (uint32_t)sqlite3_column_int64(st, 0);
    h->seq = (uint64_t)sqlite3_column_int64(st, 1);
    memset(h->hash, 0, HASH_SIZE);
    if (hash.len == HASH_SIZE)
        memcpy(h->hash, hash.p, HASH_SIZE);
    h->incarnation = sql_id(st, 3);
}

int store_stream_get(struct store *s, uint32_t stream, struct stream_head *ret, struct err *err)
{
    sqlite3_stmt *st = s->st[ST_STREAM_GET];
    int status;

    sql_bind_int(st, 1, stream);
    status = sql_step(st, err);
    if (status == 1) {
        read_head(st, ret);
        status = 0;
    } else if (status == 0) {
        status = err_set(err, E_NOTFOUND, "没有编号为 %u 的数据流", stream);
    }
    sql_done(st);
    return status;
}

int store_stream_put(struct store *s, const struct stream_head *h, struct err *err)
{
    sqlite3_stmt *st = s->st[ST_STREAM_PUT];

    sql_bind_int(st, 1, h->stream);
    sql_bind_int(st, 2, (int64_t)h->seq);
    sql_bind_blob(st, 3, (struct slice){h->hash, HASH_SIZE});
    sql_bind_id(st, 4, &h->incarnation);
    return sql_run(st, err);
}

int store_stream_each(struct store *s, int (*cb)(void *ctx, const struct stream_head *h),
                      void *ctx, struct err *err)
{
    sqlite3_stmt *st = s->st[ST_STREAM_EACH];
    struct stream_head h;
    int status;

    while ((status = sql_step(st, err)) == 1) {
        read_head(st, &h);
        status = cb(ctx, &h);
        if (status != 0)
            break;
    }
    sql_done(st);
    return status;
}

/* ---- log ---- */

/* The sidecar of a change that holds personal data rests sealed. */
static int seal_side(struct store *s, const struct entry *e, const struct change *c,
                     struct slice *ret, struct err *err)
{
    const struct kind *kind = catalogue_kind(c->kind);
    uint8_t seed[HASH_SIZE + 8];
    bool pii = false;

    *ret = e->side.len == 0 ? (struct slice){NULL, 0} : e->side;
    for (size_t i = 0; kind != NULL && i < c->n_fields; i++) {
        const struct field *f = kind_field(kind, c->fields[i].tag);

        pii |= f != NULL && f->vanish == VANISH_PII && c->fields[i].form == FORM_HASHED;
    }
    if (!pii || s->vault == NULL || ret->p == NULL)
        return 0;
    memcpy(seed, e->hash, HASH_SIZE);
    for (int i = 0; i < 8; i++)
        seed[HASH_SIZE + i] = (uint8_t)(e->seq >> (8 * i));
    buf_clear(&s->scratch);
    buf_u8(&s->scratch, AT_REST_SEALED);
    if (s->vault->seal(s->vault->ctx, e->side, (struct slice){seed, sizeof seed}, &s->scratch) !=
            0 ||
        s->scratch.ret != 0)
        return err_set(err, s->scratch.ret == E_NOMEM ? E_NOMEM : E_INTERNAL,
                       "个人信息加密失败");
    *ret = buf_slice(&s->scratch);
    return 0;
}

int store_entry_append(struct store *s, const struct entry *e, const struct change *c,
                       struct err *err)
{
    sqlite3_stmt *st = s->st[ST_LOG_PUT];
    struct slice side;
    int ret = seal_side(s, e, c, &side, err);

    if (ret != 0)
        return ret;
    sql_bind_int(st, 1, POS(e->stream, e->seq));
    sql_bind_int(st, 2, (int64_t)e->received_at);
    sql_bind_blob(st, 3, e->verdict);
    sql_bind_blob(st, 4, (struct slice){e->hash, HASH_SIZE});
    sql_bind_blob(st, 5, e->bytes);
    sql_bind_blob(st, 6, side);
    return sql_run(st, err);
}

int log_read(struct store *s, sqlite3_stmt *st, struct buf *side, struct entry *ret,
             struct err *err)
{
    int64_t pos = sqlite3_column_int64(st, 0);
    struct slice hash = sql_blob(st, 3);

    *ret = (struct entry){.stream = (uint32_t)(pos >> 40),
                          .seq = POS_SEQ(pos),
                          .received_at = (msec_t)sqlite3_column_int64(st, 1),
                          .verdict = sql_blob(st, 2),
                          .bytes = sql_blob(st, 4),
                          .side = sql_blob(st, 5)};
    if (hash.len != HASH_SIZE)
        return err_set(err, E_CORRUPT, "第 %llu 条记录的校验值不完整", (unsigned long long)ret->seq);
    memcpy(ret->hash, hash.p, HASH_SIZE);
    if (ret->side.len == 0 || ret->side.p[0] != AT_REST_SEALED)
        return 0;

    buf_clear(side);
    if (s->vault == NULL ||
        s->vault->open(s->vault->ctx, (struct slice){ret->side.p + 1, ret->side.len - 1}, side) != 0)
        return err_set(err, E_CORRUPT, "个人信息解密失败（密钥文件不符或数据损坏）");
    ret->side = buf_slice(side);
    return side->ret;
}

int store_entry_get(struct store *s, uint32_t stream, uint64_t seq, struct arena *a,
                    struct entry *ret, struct err *err)
{
    sqlite3_stmt *st = s->st[ST_LOG_GET];
    int status;

    sql_bind_int(st, 1, POS(stream, seq));
    status = sql_step(st, err);
    if (status == 0)
        status = err_set(err, E_NOTFOUND, "数据流 %u 没有第 %llu 条记录", stream,
                         (unsigned long long)seq);
    else if (status == 1)
        status = log_read(s, st, &s->scratch, ret, err);
    if (status == 0) {
        ret->verdict.p = arena_dup(a, ret->verdict.p, ret->verdict.len);
        ret->bytes.p = arena_dup(a, ret->bytes.p, ret->bytes.len);
        ret->side.p = arena_dup(a, ret->side.p, ret->side.len);
        if (ret->verdict.p == NULL || ret->bytes.p == NULL || ret->side.p == NULL)
            status = err_set(err, E_NOMEM, NULL);
    }
    sql_done(st);
    return status;
}

int store_entry_each(struct store *s, uint32_t stream, uint64_t from,
                     int (*cb)(void *ctx, const struct entry *e), void *ctx, struct err *err)
{
    static const char query[] = "SELECT pos, received_at, verdict, hash, bytes, side FROM log"
                                " WHERE pos BETWEEN ?1 AND ?2 ORDER BY pos";
    sqlite3_stmt *st;
    struct entry e;
    struct buf side;
    int status = sql_cache_take(&s->queries, s->db, query, &st, err);

    if (status != 0)
        return status;
    buf_init(&side, SCRATCH_MAX);
    sql_bind_int(st, 1, POS(stream, from));
    sql_bind_int(st, 2, POS(stream + 1, 0) - 1);
    while ((status = sql_step(st, err)) == 1) {
        status = log_read(s, st, &side, &e, err);
        if (status == 0)
            status = cb(ctx, &e);
        if (status != 0)
            break;
    }
    sql_cache_give(&s->queries, st);
    buf_release(&side);
    return status;
}
