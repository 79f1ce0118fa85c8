/* What counties report of rows that differed from ours. */
#include "server/store/city_internal.h"

#define KEPT 1000u /* of each replica */

static int put(struct city *c, uint32_t no, msec_t now, const struct city_repair *r,
               struct err *err)
{
    static const char query[] =
        "INSERT OR IGNORE INTO repair (replica, no, at, noted, stream, kind, record, seq, how)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    sqlite3_stmt *st;
    int ret = sql_prepare(c->db, query, &st, err);

    if (ret != 0)
        return ret;
    sql_bind_int(st, 1, no);
    sql_bind_int(st, 2, (int64_t)r->no);
    sql_bind_int(st, 3, (int64_t)r->at);
    sql_bind_int(st, 4, (int64_t)now);
    sql_bind_int(st, 5, r->stream);
    sql_bind_int(st, 6, r->kind);
    sql_bind_id(st, 7, &r->record);
    sql_bind_int(st, 8, (int64_t)r->seq);
    sql_bind_int(st, 9, r->how);
    ret = sql_run(st, err);
    (void)sqlite3_finalize(st); /* repeats the result of the step */
    return ret;
}

static int drop_old(struct city *c, uint32_t no, uint64_t newest, struct err *err)
{
    sqlite3_stmt *st;
    int ret = sql_prepare(c->db, "DELETE FROM repair WHERE replica = ?1 AND no <= ?2", &st, err);

    if (ret != 0)
        return ret;
    sql_bind_int(st, 1, no);
    sql_bind_int(st, 2, (int64_t)(newest - KEPT));
    ret = sql_run(st, err);
    (void)sqlite3_finalize(st); /* as above */
    return ret;
}

int city_repair_note(struct city *c, const struct id *replica, msec_t now,
                     const struct city_repair *r, struct err *err)
{
    struct replica_row row;
    int ret = city_replica_get(c, replica, &row, err);

    if (ret == 0)
        ret = put(c, row.no, now, r, err);
    return ret == 0 && r->no > KEPT ? drop_old(c, row.no, r->no, err) : ret;
}

int city_repairs(struct store *s, const struct id *replica, uint64_t *ret_n, uint64_t *ret_ours,
                 msec_t *ret_last, struct err *err)
{
    static const char query[] =
        "SELECT count(*), coalesce(sum(how = 4), 0), coalesce(max(noted), 0) FROM repair"
        " WHERE replica = (SELECT no FROM replica WHERE id = ?1)";
    sqlite3_stmt *st;
    int ret = sql_prepare(store_db(s), query, &st, err);

    if (ret != 0)
        return ret;
    sql_bind_id(st, 1, replica);
    ret = sql_step(st, err);
    if (ret == 1) {
        *ret_n = (uint64_t)sqlite3_column_int64(st, 0);
        *ret_ours = (uint64_t)sqlite3_column_int64(st, 1);
        *ret_last = (msec_t)sqlite3_column_int64(st, 2);
    }
    (void)sqlite3_finalize(st); /* as above */
    return ret < 0 ? ret : 0;
}
