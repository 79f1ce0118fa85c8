#include "common/ledger/ranges.h"

#include "common/ledger/store_internal.h"

#include <string.h>

#define SQL_MAX  (256u * 1024u)
#define BASE_MAX (4u * ACT_MAX_BYTES)

struct row_range row_range_all(uint32_t stream, const struct kind *kind)
{
    struct row_range r = {.stream = stream, .kind = kind};

    memset(r.upto.b, 0xff, ID_SIZE);
    return r;
}

/* ---- walking ---- */

/* An empty blob sorts before every id. */
static void bind_range(sqlite3_stmt *st, const struct row_range *range)
{
    sql_bind_int(st, 1, range->stream);
    sql_bind_blob(st, 2, (struct slice){range->after.b, range->has_after ? ID_SIZE : 0});
    sql_bind_id(st, 3, &range->upto);
}

static int prepare(struct store *s, const struct row_range *range, const char *columns,
                   sqlite3_stmt **ret, struct err *err)
{
    struct buf sql;
    int status;

    buf_init(&sql, SQL_MAX);
    buf_str(&sql, "SELECT ");
    if (columns != NULL)
        buf_str(&sql, columns);
    else
        projection_columns(&sql, range->kind);
    buf_printf(&sql, " FROM \"%s\" WHERE (?1 = 0 OR stream = ?1) AND rid > ?2 AND rid <= ?3",
               range->kind->name);
    if (columns == NULL)
        buf_str(&sql, " ORDER BY rid");
    status = sql.ret != 0 ? err_set(err, sql.ret, NULL)
                          : sql_cache_take(&s->queries, s->db, buf_cstr(&sql), ret, err);
    buf_release(&sql);
    if (status == 0)
        bind_range(*ret, range);
    return status;
}

static int read_any(struct store *s, sqlite3_stmt *st, struct arena *a, const struct kind *kind,
                    struct row **ret, struct err *err)
{
    int status = projection_read(s, st, a, kind, ret, err);

    if (status != E_CORRUPT)
        return status;
    (*ret)->exists = false;
    return 0;
}

int store_range_each(struct store *s, const struct row_range *range,
                     int (*cb)(void *ctx, struct row *row), void *ctx, struct err *err)
{
    sqlite3_stmt *st;
    struct arena a;
    struct row *row;
    int ret = prepare(s, range, NULL, &st, err);

    if (ret != 0)
        return ret;
    arena_init(&a, BASE_MAX);
    while ((ret = sql_step(st, err)) == 1) {
        arena_clear(&a);
        ret = read_any(s, st, &a, range->kind, &row, err);
        if (ret == 0)
            ret = cb(ctx, row);
        if (ret != 0)
            break;
    }
    sql_cache_give(&s->queries, st);
    arena_release(&a);
    return ret;
}

static int count(struct store *s, const struct row_range *range, uint64_t *ret, struct err *err)
{
    sqlite3_stmt *st;
    int status = prepare(s, range, "count(*)", &st, err);

    if (status != 0)
        return status;
    status = sql_step(st, err);
    if (status == 1)
        *ret = (uint64_t)sqlite3_column_int64(st, 0);
    sql_cache_give(&s->queries, st);
    return status < 0 ? status : 0;
}

int store_range_digest(struct store *s, const struct row *row, struct digest *ret, struct err *err)
{
    if (row->exists)
        return store_digest_of(s, row, ret, err);
    *ret = (struct digest){0, 0};
    return 0;
}

/* ---- telling ---- */

struct telling {
    struct store *s;
    struct buf *out;
    uint64_t each; /* rows a part */
    struct digest_part part;
    struct err *err;
};

static int tell_row(void *ctx, struct row *row)
{
    struct telling *t = ctx;
    struct digest_of_row of = {.id = row->id};
    int ret = store_range_digest(t->s, row, &of.digest, t->err);

    if (ret == 0)
        digest_list_row(t->out, &of);
    return ret;
}

static int add_to_part(void *ctx, struct row *row)
{
    struct telling *t = ctx;
    struct digest d;
    int ret = store_range_digest(t->s, row, &d, t->err);

    if (ret != 0)
        return ret;
    if (t->part.of.count == t->each) {
        digest_list_part(t->out, &t->part);
        t->part.of = (struct digest_sum){.count = 0};
    }
    t->part.upto = row->id;
    digest_add(&t->part.of, d);
    return 0;
}

int store_range_tell(struct store *s, const struct row_range *range, struct buf *out,
                     bool *ret_rows, struct err *err)
{
    struct telling t = {.s = s, .out = out, .err = err};
    uint64_t n = 0; /* read where its function returns 0 only */
    int ret = count(s, range, &n, err);

    if (ret != 0)
        return ret;
    *ret_rows = n <= DIGEST_ROWS_MAX;
    t.each = (n + DIGEST_PARTS_MAX - 1) / DIGEST_PARTS_MAX;
    ret = store_range_each(s, range, *ret_rows ? tell_row : add_to_part, &t, err);
    if (ret == 0 && !*ret_rows) {
        t.part.upto = range->upto;
        digest_list_part(out, &t.part);
    }
    return ret == 0 && out->ret != 0 ? err_set(err, out->ret, NULL) : ret;
}

/* ---- comparing ---- */

struct comparing {
    struct store *s;
    store_base_cb base;
    void *ctx;
    struct arena a;
    struct err *err;
    const struct digest_part *parts; /* sums */
    struct digest_sum *sums;
    const struct digest_of_row *rows; /* differing */
    size_t n, at;
    struct id *ids;
    size_t n_ids;
};

/* The stream's row behind the one shown; *row NULL when there is none. */
static int digest_base(struct comparing *c, struct row **row, struct digest *ret)
{
    int status = 0;

    arena_clear(&c->a);
    if ((*row)->pending && c->base != NULL)
        status = c->base(c->ctx, &c->a, *row, row, c->err);
    if (status != 0 || *row == NULL)
        return status;
    return store_range_digest(c->s, *row, ret, c->err);
}

static int add_up(void *ctx, struct row *row)
{
    struct comparing *c = ctx;
    struct digest d;
    struct id id = row->id;
    int ret = digest_base(c, &row, &d);

    if (ret != 0 || row == NULL)
        return ret;
    while (c->at < c->n && id_cmp(&id, &c->parts[c->at].upto) > 0)
        c->at++;
    if (c->at < c->n)
        digest_add(&c->sums[c->at], d);
    return 0;
}

static void differs(struct comparing *c, const struct id *id)
{
    if (c->n_ids < DIGEST_ROWS_MAX)
        c->ids[c->n_ids++] = *id;
}

static int compare_row(void *ctx, struct row *row)
{
    struct comparing *c = ctx;
    struct digest d;
    struct id id = row->id;
    int ret = digest_base(c, &row, &d);

    if (ret != 0 || row == NULL)
        return ret;
    while (c->at < c->n && id_cmp(&c->rows[c->at].id, &id) < 0)
        differs(c, &c->rows[c->at++].id);
    if (c->at == c->n || !id_eq(&c->rows[c->at].id, &id))
        differs(c, &id);
    else if (!digest_eq(c->rows[c->at++].digest, d))
        differs(c, &id);
    return 0;
}

static int walk(struct comparing *c, const struct row_range *range,
                int (*cb)(void *ctx, struct row *row))
{
    int ret;

    arena_init(&c->a, BASE_MAX);
    ret = store_range_each(c->s, range, cb, c, c->err);
    arena_release(&c->a);
    return ret;
}

int store_range_sums(struct store *s, const struct row_range *range,
                     const struct digest_part *parts, size_t n, store_base_cb base, void *ctx,
                     struct digest_sum *ret, struct err *err)
{
    struct comparing c = {.s = s, .base = base, .ctx = ctx, .err = err, .parts = parts, .n = n,
                          .sums = ret};

    memset(ret, 0, n * sizeof *ret);
    return walk(&c, range, add_up);
}

int store_range_differing(struct store *s, const struct row_range *range,
                          const struct digest_of_row *rows, size_t n, store_base_cb base,
                          void *ctx, struct id *ret_ids, size_t *ret_n, struct err *err)
{
    struct comparing c = {.s = s, .base = base, .ctx = ctx, .err = err, .rows = rows, .n = n,
                          .ids = ret_ids};
    int ret = walk(&c, range, compare_row);

    while (ret == 0 && c.at < c.n)
        differs(&c, &rows[c.at++].id);
    *ret_n = c.n_ids;
    return ret;
}
