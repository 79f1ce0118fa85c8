/* The record says whose bytes count: those of the site whose account made it in the site's own stream; of
 * what a rule or a city user made anywhere, the city's own. */
#include "server/store/city_blob.h"

#include "common/base/hex.h"
#include "common/blob/files.h"
#include "server/store/city_internal.h"

#include <string.h>

#define HEX_SIZE    (2 * HASH_SIZE + 1)
#define ENTRY_BYTES (4u * ACT_MAX_BYTES)
#define PART_MS     (BLOB_PART_DAYS * UINT64_C(86400000))

_Static_assert(STREAM_CITY == 2, "the queries below name it");

/* Of every attachment: whose bytes count, and how they stand. */
#define HOLDER "CASE WHEN u.stream = a.stream THEN a.stream ELSE 2 END"
#define SELECT_BLOB                                                                                \
    "SELECT a.rid, a.target_id, a.stream, " HOLDER ", a.hash, a.size, coalesce(b.state, 0),"       \
    " a.file_name, a.created_seq FROM attachment a"                                                \
    " LEFT JOIN user_account u ON u.rid = a.created_by"                                            \
    " LEFT JOIN blob b ON b.stream = " HOLDER " AND b.hash = lower(a.hash)"                        \
    " WHERE a.voided IS NOT 1"

/* ---- rows ---- */

static int read_blob(sqlite3_stmt *st, struct city_blob *ret, uint64_t *ret_created)
{
    struct slice hash = sql_text(st, 4);

    ret->attachment = sql_id(st, 0);
    ret->target = sql_id(st, 1);
    ret->stream = (uint32_t)sqlite3_column_int64(st, 2);
    ret->holder = (uint32_t)sqlite3_column_int64(st, 3);
    ret->size = (uint64_t)sqlite3_column_int64(st, 5);
    ret->state = (enum city_blob_state)sqlite3_column_int(st, 6);
    ret->file_name = sql_text(st, 7);
    *ret_created = (uint64_t)sqlite3_column_int64(st, 8);
    return hash.len == HEX_SIZE - 1 &&
                   hex_decode((const char *)hash.p, hash.len, ret->hash) == 0
               ? 0
               : E_INVALID;
}

/* The replica that made entry SEQ of STREAM is one that never comes back. */
static int is_gone(struct store *s, uint32_t stream, uint64_t seq, bool *ret, struct err *err)
{
    sqlite3_stmt *st = NULL;
    struct change c;
    struct entry e;
    struct arena a;
    int status;

    arena_init(&a, ENTRY_BYTES);
    status = store_entry_get(s, stream, seq, &a, &e, err);
    if (status == 0) {
        status = city_damaged(change_decode(&a, e.bytes, e.side, &c));
        if (status != 0)
            (void)err_set(err, status, NULL);
    }
    if (status == 0)
        status = sql_prepare(store_db(s), "SELECT state FROM replica WHERE id = ?1", &st, err);
    if (status == 0) {
        sql_bind_id(st, 1, &c.replica);
        status = sql_step(st, err);
        *ret = status == 1 && sqlite3_column_int(st, 0) != REPLICA_ACTIVE;
    }
    (void)sqlite3_finalize(st); /* repeats the result of the step */
    arena_release(&a);
    return status < 0 ? status : 0;
}

/* One that is still to come never will when its computer is gone. */
static int complete(struct store *s, struct city_blob *b, uint64_t created, struct err *err)
{
    bool gone = false;
    int ret = 0;

    if (b->state < CITY_BLOB_VERIFIED && b->holder != STREAM_CITY)
        ret = is_gone(s, b->stream, created, &gone, err);
    if (gone)
        b->state = CITY_BLOB_LOST;
    return ret;
}

int city_blob_each(struct store *s, const struct id *record, bool all,
                   int (*cb)(void *ctx, const struct city_blob *b), void *ctx, struct err *err)
{
    static const char of_record[] = SELECT_BLOB " AND a.target_id = ?1 AND"
                                                " (?2 OR coalesce(b.state, 0) <> 2) ORDER BY a.rid";
    static const char of_all[] =
        SELECT_BLOB " AND (?2 OR coalesce(b.state, 0) <> 2) ORDER BY a.rid";
    sqlite3_stmt *st;
    struct city_blob b;
    uint64_t created;
    int ret = sql_prepare(store_db(s), record == NULL ? of_all : of_record, &st, err);

    if (ret != 0)
        return ret;
    if (record != NULL)
        sql_bind_id(st, 1, record);
    sql_bind_int(st, 2, all);
    while ((ret = sql_step(st, err)) == 1) {
        if (read_blob(st, &b, &created) != 0)
            continue; /* a hash that is none: nobody can bring it */
        ret = complete(s, &b, created, err);
        if (ret == 0)
            ret = cb(ctx, &b);
        if (ret != 0)
            break;
    }
    (void)sqlite3_finalize(st); /* repeats the result of the step */
    return ret;
}

int city_blob_get(struct store *s, const struct id *attachment, struct arena *a,
                  struct city_blob *ret, struct err *err)
{
    static const char query[] = SELECT_BLOB " AND a.rid = ?1";
    sqlite3_stmt *st;
    uint64_t created = 0;
    int status = sql_prepare(store_db(s), query, &st, err);

    if (status != 0)
        return status;
    sql_bind_id(st, 1, attachment);
    status = sql_step(st, err);
    if (status == 0 || (status == 1 && read_blob(st, ret, &created) != 0))
        status = err_set(err, E_NOTFOUND, "没有这个附件");
    if (status == 1) {
        ret->file_name.p = arena_dup(a, ret->file_name.p, ret->file_name.len);
        status = ret->file_name.p == NULL ? err_set(err, E_NOMEM, NULL) : 0;
    }
    (void)sqlite3_finalize(st); /* repeats the result of the step */
    return status != 0 ? status : complete(s, ret, created, err);
}

static int count_one(void *ctx, const struct city_blob *b)
{
    struct city_blob_counts *n = ctx;

    n->waiting += b->state < CITY_BLOB_VERIFIED;
    n->lost += b->state == CITY_BLOB_LOST;
    return 0;
}

int city_blob_count(struct store *s, const struct id *record, struct city_blob_counts *ret,
                    struct err *err)
{
    *ret = (struct city_blob_counts){.waiting = 0};
    return city_blob_each(s, record, false, count_one, ret, err);
}

/* ---- what a replica may ---- */

static int get(struct city *c, const struct id *attachment, struct city_blob *ret, struct err *err)
{
    struct arena a;
    int status;

    arena_init(&a, 4096);
    status = city_blob_get(c->store, attachment, &a, ret, err);
    arena_release(&a);
    return status == E_NOTFOUND ? err_set(err, E_DENIED, NULL) : status;
}

static int put_state(struct city *c, uint32_t holder, const uint8_t hash[HASH_SIZE], uint64_t size,
                     enum city_blob_state state, struct err *err)
{
    static const char query[] =
        "INSERT INTO blob (stream, hash, size, state, at) VALUES (?1, ?2, ?3, ?4, ?5)"
        " ON CONFLICT (stream, hash) DO UPDATE SET state = excluded.state, at = excluded.at"
        " WHERE blob.state <> 2";
    char hex[HEX_SIZE];
    sqlite3_stmt *st;
    int ret = sql_prepare(c->db, query, &st, err);

    if (ret != 0)
        return ret;
    hex_encode(hash, HASH_SIZE, hex);
    sql_bind_int(st, 1, holder);
    sql_bind_text(st, 2, slice_str(hex));
    sql_bind_int(st, 3, (int64_t)size);
    sql_bind_int(st, 4, state);
    sql_bind_int(st, 5, (int64_t)c->now);
    ret = sql_run(st, err);
    (void)sqlite3_finalize(st); /* repeats the result of the step */
    return ret;
}

/* What of the site lies on the disk besides this one, or may: parts that nobody goes on with are forgotten. */
static int others(struct city *c, uint32_t site, const uint8_t hash[HASH_SIZE], uint64_t *ret,
                  struct err *err)
{
    static const char query[] = "SELECT coalesce(sum(size), 0) FROM blob WHERE stream = ?1"
                                " AND hash <> ?2 AND (state = 2 OR (state = 1 AND at > ?3))";
    char hex[HEX_SIZE];
    sqlite3_stmt *st;
    int status = sql_prepare(c->db, query, &st, err);

    if (status != 0)
        return status;
    hex_encode(hash, HASH_SIZE, hex);
    sql_bind_int(st, 1, site);
    sql_bind_text(st, 2, slice_str(hex));
    sql_bind_int(st, 3, (int64_t)c->now - (int64_t)PART_MS);
    status = sql_step(st, err);
    if (status == 1)
        *ret = (uint64_t)sqlite3_column_int64(st, 0);
    (void)sqlite3_finalize(st); /* repeats the result of the step */
    return status < 0 ? status : 0;
}

int city_blob_offer(struct city *c, uint32_t site, const struct id *attachment,
                    const uint8_t hash[HASH_SIZE], uint64_t size, bool *ret_verified,
                    struct err *err)
{
    struct city_blob b;
    uint64_t used = 0, each, all;
    int ret = get(c, attachment, &b, err);

    if (ret != 0)
        return ret;
    if (b.stream != site || b.holder != site || b.size != size ||
        memcmp(b.hash, hash, HASH_SIZE) != 0)
        return err_set(err, E_DENIED, NULL);
    *ret_verified = b.state == CITY_BLOB_VERIFIED;
    if (*ret_verified)
        return 0;
    c->asked = 0;
    each = (uint64_t)setting(&c->settings, "attachment_bytes", site);
    all = (uint64_t)setting(&c->settings, "site_attachment_bytes", site);
    if (c->asked != 0)
        return err_set(err, c->asked, NULL); /* the limits could not be read */
    if (size > each)
        return err_set(err, E_TOOBIG, "超过单个附件上限");
    ret = others(c, site, hash, &used, err);
    if (ret != 0)
        return ret;
    if (used + size > all)
        return err_set(err, E_QUOTA, NULL);
    return put_state(c, site, hash, size, CITY_BLOB_COMING, err);
}

int city_blob_held(struct city *c, uint32_t holder, const uint8_t hash[HASH_SIZE], uint64_t size,
                   struct err *err)
{
    return put_state(c, holder, hash, size, CITY_BLOB_VERIFIED, err);
}

int city_blob_lost(struct city *c, uint32_t site, const struct id *attachment, bool *ret_its,
                   uint8_t ret_hash[HASH_SIZE], struct err *err)
{
    struct city_blob b;
    int ret = get(c, attachment, &b, err);

    *ret_its = false;
    if (ret == E_DENIED)
        return 0;
    if (ret != 0 || b.stream != site || b.holder != site)
        return ret;
    *ret_its = true;
    memcpy(ret_hash, b.hash, HASH_SIZE);
    return put_state(c, site, b.hash, b.size, CITY_BLOB_LOST, err);
}

int city_blob_find(struct city *c, uint32_t site, const struct id *attachment,
                   uint8_t ret_hash[HASH_SIZE], uint64_t *ret_size, struct err *err)
{
    struct city_blob b;
    int ret = get(c, attachment, &b, err);

    if (ret != 0)
        return ret;
    if (b.stream != site && b.stream != STREAM_SHARED)
        return err_set(err, E_DENIED, NULL);
    if (b.state != CITY_BLOB_VERIFIED)
        return err_set(err, b.state == CITY_BLOB_LOST ? E_BLOB_LOST : E_BLOB_WAIT, NULL);
    memcpy(ret_hash, b.hash, HASH_SIZE);
    *ret_size = b.size;
    return 0;
}

/* ---- people's steps ---- */

/* States by which a record goes back to who has its papers. */
static bool gives_back(const struct change *c)
{
    static const char *const states[] = {"returned", "supplement", "withdrawn", "rejected"};

    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        if (slice_eq(c->to, slice_str(states[i])))
            return true;
    }
    return false;
}

int city_blob_guard(struct city *c, const struct act *act, struct err *err)
{
    for (size_t i = 0; i < act->n; i++) {
        const struct change *change = &act->changes[i];
        struct city_blob_counts n;
        int ret;

        if (act->actor.is_system || change->op != OP_TRANSITION || gives_back(change))
            continue;
        ret = city_blob_count(c->store, &change->record, &n, err);
        if (ret == 0 && n.waiting > 0)
            ret = err_set(err, E_BLOB_WAIT, "还有 %llu 个附件未上传完",
                          (unsigned long long)n.waiting);
        if (ret != 0)
            return ret;
    }
    return 0;
}
