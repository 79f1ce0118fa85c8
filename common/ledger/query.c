/* Reading many rows: lists, names, history, the digest, and the rules' lookup. */
#include "common/base/text.h"
#include "common/ledger/row_code.h"
#include "common/ledger/store_internal.h"

#include <stdio.h>
#include <string.h>

#define SQL_MAX      (256u * 1024u)
#define ROW_MAX      (8u * ACT_MAX_BYTES)
#define PREFIX_MIN   6u
#define SERIAL_MAX   64u
#define RESOLVE_MAX  2 /* more than one is already too many */

/* Step through ST, one arena per row. */
static int each_row(struct store *s, sqlite3_stmt *st, const struct kind *kind,
                    int (*cb)(void *ctx, struct row *row), void *ctx, struct err *err)
{
    struct arena a;
    struct row *row;
    int ret;

    arena_init(&a, ROW_MAX);
    while ((ret = sql_step(st, err)) == 1) {
        arena_clear(&a);
        ret = projection_read(s, st, &a, kind, &row, err);
        if (ret == 0)
            ret = cb(ctx, row);
        if (ret != 0)
            break;
    }
    arena_release(&a);
    return ret;
}

/* The records of a list: ?1 its stream, ?2 on its filters. */
static void where_text(struct buf *sql, const struct kind *kind,
                       const struct store_filter *filters, size_t n_filters)
{
    buf_printf(sql, " FROM \"%s\" WHERE (?1 = 0 OR stream = ?1)", kind->name);
    for (size_t i = 0; i < n_filters; i++)
        buf_printf(sql, " AND \"%s\" IS ?%zu", kind_field(kind, filters[i].tag)->name, i + 2);
}

/* Prepare SQL and bind what where_text left open; values lie in A. */
static int where_bind(struct store *s, struct arena *a, struct buf *sql,
                      const struct kind *kind, const struct store_filter *filters,
                      size_t n_filters, uint32_t stream, sqlite3_stmt **ret, struct err *err)
{
    static const struct id nothing;
    int status = sql->ret != 0 ? err_set(err, sql->ret, NULL)
                               : sql_cache_take(&s->queries, s->db, buf_cstr(sql), ret, err);

    if (status == 0)
        sql_bind_int(*ret, 1, stream);
    for (size_t i = 0; status == 0 && i < n_filters; i++)
        status = projection_bind(s, *ret, (int)i + 2, a, &nothing,
                                 kind_field(kind, filters[i].tag), &filters[i].v, err);
    return status;
}

int store_row_list(struct store *s, const struct kind *kind, const struct store_filter *filters,
                   size_t n_filters, uint32_t stream, uint64_t limit,
                   int (*cb)(void *ctx, struct row *row), void *ctx, struct err *err)
{
    sqlite3_stmt *st = NULL;
    struct arena a;
    struct buf sql;
    int ret;

    arena_init(&a, ROW_MAX);
    buf_init(&sql, SQL_MAX);
    buf_str(&sql, "SELECT ");
    projection_columns(&sql, kind);
    where_text(&sql, kind, filters, n_filters);
    buf_printf(&sql, " ORDER BY rid LIMIT ?%zu", n_filters + 2);
    ret = where_bind(s, &a, &sql, kind, filters, n_filters, stream, &st, err);
    if (ret == 0) {
        sql_bind_int(st, (int)n_filters + 2,
                     limit == 0 || limit > INT64_MAX ? -1 : (int64_t)limit);
        ret = each_row(s, st, kind, cb, ctx, err);
    }
    sql_cache_give(&s->queries, st);
    buf_release(&sql);
    arena_release(&a);
    return ret;
}

int store_row_after(struct store *s, const struct kind *kind, uint32_t stream,
                    const struct id *after, int (*cb)(void *ctx, struct row *row), void *ctx,
                    struct err *err)
{
    sqlite3_stmt *st = NULL;
    struct buf sql;
    int ret;

    buf_init(&sql, SQL_MAX);
    buf_str(&sql, "SELECT ");
    projection_columns(&sql, kind);
    buf_printf(&sql, " FROM \"%s\" WHERE rid > ?1 AND stream = ?2 ORDER BY rid", kind->name);
    ret = sql.ret != 0 ? err_set(err, sql.ret, NULL)
                       : sql_cache_take(&s->queries, s->db, buf_cstr(&sql), &st, err);
    if (ret == 0) {
        sql_bind_id(st, 1, after);
        sql_bind_int(st, 2, stream);
        ret = each_row(s, st, kind, cb, ctx, err);
    }
    sql_cache_give(&s->queries, st);
    buf_release(&sql);
    return ret;
}

static int count_rows(struct store *s, const struct kind *kind, const struct store_filter *filters,
                      size_t n_filters, uint32_t stream, const char *also, uint64_t *ret,
                      struct err *err)
{
    sqlite3_stmt *st = NULL;
    struct arena a;
    struct buf sql;
    int status;

    arena_init(&a, ROW_MAX);
    buf_init(&sql, SQL_MAX);
    buf_str(&sql, "SELECT count(*)");
    where_text(&sql, kind, filters, n_filters);
    buf_str(&sql, also);
    status = where_bind(s, &a, &sql, kind, filters, n_filters, stream, &st, err);
    if (status == 0)
        status = sql_step(st, err);
    if (status == 1)
        *ret = (uint64_t)sqlite3_column_int64(st, 0);
    sql_cache_give(&s->queries, st);
    buf_release(&sql);
    arena_release(&a);
    return status < 0 ? status : 0;
}

int store_row_count(struct store *s, const struct kind *kind, const struct store_filter *filters,
                    size_t n_filters, uint32_t stream, uint64_t *ret, struct err *err)
{
    return count_rows(s, kind, filters, n_filters, stream, "", ret, err);
}

int store_row_count_unconfirmed(struct store *s, const struct kind *kind,
                                const struct store_filter *filters, size_t n_filters,
                                uint32_t stream, uint64_t *ret, struct err *err)
{
    static const char unconfirmed[] =
        " AND historic = 1 AND (historic_file IS NULL OR historic_file NOT IN"
        " (SELECT rid FROM historic_file WHERE state = 'confirmed' AND voided IS NOT 1))";

    *ret = 0;
    if (kind->historic_states == NULL)
        return 0;
    return count_rows(s, kind, filters, n_filters, stream, unconfirmed, ret, err);
}

int store_row_each(struct store *s, const struct kind *kind,
                   int (*cb)(void *ctx, struct row *row), void *ctx, struct err *err)
{
    bool any = false;
    int ret = store_has_rows(s, kind, &any, err);

    return ret != 0 || !any ? ret : store_row_list(s, kind, NULL, 0, 0, 0, cb, ctx, err);
}

/* ---- names ---- */

struct named {
    const struct kind *kind;
    struct id id[RESOLVE_MAX];
    int n;
};

/* Ids of KIND that SQL (two parameters) gives. */
static int collect(struct store *s, const struct kind *kind, const char *where, struct slice p1,
                   struct slice p2, bool blobs, struct named *found, struct err *err)
{
    char text[256];
    sqlite3_stmt *st;
    int ret;

    (void)sqlite3_snprintf(sizeof text, text, "SELECT rid FROM \"%w\" WHERE %s LIMIT 2", kind->name,
                           where);
    ret = sql_prepare(s->db, text, &st, err);
    if (ret != 0)
        return ret;
    if (blobs) {
        sql_bind_blob(st, 1, p1);
        sql_bind_blob(st, 2, p2);
    } else {
        sql_bind_text(st, 1, p1);
    }
    while ((ret = sql_step(st, err)) == 1) {
        if (found->n < RESOLVE_MAX)
            found->id[found->n] = sql_id(st, 0);
        if (found->n == 0)
            found->kind = kind;
        found->n++;
    }
    (void)sqlite3_finalize(st); /* repeats the result of the step */
    return ret;
}

/* The lowest and highest id that begin with the hex digits (hyphens skipped) of NAME; false when it
 * is not such a prefix. */
static bool id_range(struct slice name, struct id *low, struct id *high)
{
    char digits[2 * ID_SIZE + 1];
    char text[2 * ID_SIZE + 1];
    size_t n = 0;

    for (size_t i = 0; i < name.len; i++) {
        if (name.p[i] == '-')
            continue;
        if (n == 2 * ID_SIZE)
            return false;
        digits[n++] = (char)name.p[i];
    }
    if (n < PREFIX_MIN)
        return false;
    for (int end = 0; end < 2; end++) {
        memset(text, end == 0 ? '0' : 'f', 2 * ID_SIZE);
        memcpy(text, digits, n);
        if (id_parse(text, 2 * ID_SIZE, end == 0 ? low : high) != 0)
            return false;
    }
    return true;
}

/* GY-ZS-2026-0001: the prefix between the first two hyphens names the kind. */
static bool serial_of(struct slice name, const struct kind *kind)
{
    const uint8_t *first = name.len > 0 ? memchr(name.p, '-', name.len) : NULL;
    struct slice rest, prefix;
    const uint8_t *second;

    if (first == NULL || kind->serial_prefix == NULL)
        return false;
    rest = (struct slice){first + 1, (size_t)(name.p + name.len - first - 1)};
    second = rest.len > 0 ? memchr(rest.p, '-', rest.len) : NULL;
    if (second == NULL)
        return false;
    prefix = (struct slice){rest.p, (size_t)(second - rest.p)};
    return slice_eq(prefix, slice_str(kind->serial_prefix));
}

static int search(struct store *s, const struct kind *only, struct slice name,
                  struct named *found, struct err *err)
{
    struct id low, high;
    bool is_id = id_range(name, &low, &high);
    int ret = 0;

    for (unsigned i = 0; ret == 0 && i < catalogue_n_kinds; i++) {
        const struct kind *kind = catalogue_kinds[i];

        if (kind->stream == STREAM_RULE_NONE || (only != NULL && only != kind))
            continue;
        if (is_id)
            ret = collect(s, kind, "rid BETWEEN ?1 AND ?2", (struct slice){low.b, ID_SIZE},
                          (struct slice){high.b, ID_SIZE}, true, found, err);
        else if (serial_of(name, kind))
            ret = collect(s, kind, "serial_no = ?1", name, name, false, found, err);
    }
    return ret;
}

int store_resolve(struct store *s, struct arena *a, const struct kind *kind, struct slice name,
                  struct row **ret_row, struct err *err)
{
    struct named found = {.n = 0};
    int ret;

    *ret_row = NULL;
    if (name.len == 0 || name.len > SERIAL_MAX || !text_valid(name))
        return err_set(err, E_INVALID, "记录名应为编号、标识或标识的前 %u 位以上", PREFIX_MIN);
    ret = search(s, kind, name, &found, err);
    if (ret != 0)
        return ret;
    if (found.n == 0)
        return err_set(err, E_NOTFOUND, "没有编号或标识为“%.*s”的%s", (int)name.len,
                       (const char *)name.p, kind != NULL ? kind->label : "记录");
    if (found.n > 1)
        return err_set(err, E_INVALID, "“%.*s”对应不止一条记录，请写长一些", (int)name.len,
                       (const char *)name.p);
    return store_row_get(s, a, found.kind, &found.id[0], ret_row, err);
}

/* ---- history ---- */

int store_record_log(struct store *s, uint32_t stream, const struct id *id,
                     int (*cb)(void *ctx, const struct entry *e), void *ctx, struct err *err)
{
    static const char query[] = "SELECT pos, received_at, verdict, hash, bytes, side FROM log"
                                " WHERE pos BETWEEN ?1 AND ?2 AND instr(bytes, ?3) > 0"
                                " ORDER BY pos";
    sqlite3_stmt *st;
    struct arena a;
    struct buf side;
    int ret = sql_cache_take(&s->queries, s->db, query, &st, err);

    if (ret != 0)
        return ret;
    arena_init(&a, ROW_MAX);
    buf_init(&side, 2u * ACT_MAX_BYTES);
    sql_bind_int(st, 1, POS(stream, 1));
    sql_bind_int(st, 2, POS(stream + 1, 0) - 1);
    sql_bind_id(st, 3, id);
    while ((ret = sql_step(st, err)) == 1) {
        struct entry e;
        struct change c;

        arena_clear(&a);
        ret = log_read(s, st, &side, &e, err);
        if (ret == 0 && (ret = change_decode(&a, e.bytes, e.side, &c)) != 0)
            ret = err_set(err, ret == E_NOMEM ? E_NOMEM : E_CORRUPT, "数据流 %u 第 %llu 条记录无法识别", stream,
                          (unsigned long long)e.seq);
        if (ret == 0 && id_eq(&c.record, id)) /* its bytes may also only refer to it */
            ret = cb(ctx, &e);
        if (ret != 0)
            break;
    }
    sql_cache_give(&s->queries, st);
    buf_release(&side);
    arena_release(&a);
    return ret;
}

/* ---- comparing two files ---- */

struct chained {
    const struct hasher *h;
    struct buf b;
    uint8_t state[HASH_SIZE];
    struct err *err;
};

static int chain_row(void *ctx, struct row *row)
{
    struct chained *d = ctx;
    uint8_t next[HASH_SIZE];

    buf_clear(&d->b);
    buf_put(&d->b, d->state, HASH_SIZE);
    row_encode(&d->b, row);
    buf_u8(&d->b, row->pending);
    if (d->b.ret != 0)
        return err_set(d->err, d->b.ret, NULL);
    d->h->digest(&(struct slice){d->b.p, d->b.len}, 1, next);
    memcpy(d->state, next, HASH_SIZE);
    return 0;
}

int store_projection_digest(struct store *s, const struct hasher *h, uint8_t ret[HASH_SIZE],
                            struct err *err)
{
    struct chained d = {.h = h, .err = err};
    int status = 0;

    buf_init(&d.b, ROW_MAX);
    for (unsigned i = 0; status == 0 && i < catalogue_n_kinds; i++) {
        if (catalogue_kinds[i]->stream != STREAM_RULE_NONE)
            status = store_row_each(s, catalogue_kinds[i], chain_row, &d, err);
    }
    buf_release(&d.b);
    if (status == 0)
        memcpy(ret, d.state, HASH_SIZE);
    return status;
}

/* ---- the rules' lookup ---- */

static int lookup_get_cb(void *ctx, const struct kind *kind, const struct id *id,
                         struct row **ret_row)
{
    struct store_lookup *l = ctx;

    return store_row_get(l->store, l->arena, kind, id, ret_row, NULL);
}

static int lookup_find_cb(void *ctx, const struct kind *kind, uint32_t tag, const struct value *v,
                          lookup_row_cb cb, void *cb_ctx)
{
    struct store_lookup *l = ctx;
    struct row **rows;
    size_t n;
    int ret = store_row_find(l->store, l->arena, kind, tag, v, &rows, &n, NULL);

    for (size_t i = 0; ret == 0 && i < n; i++)
        ret = cb(cb_ctx, rows[i]);
    return ret;
}

struct lookup store_lookup(struct store_lookup *l)
{
    return (struct lookup){.get = lookup_get_cb, .find = lookup_find_cb, .ctx = l};
}
