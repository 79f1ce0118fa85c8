/* The sums of the rows' digests, by stream and kind: in memory while a transaction moves them, in the table
 * `digest` once it commits.
 *
 *   row leaves, changes in memory, comes back ──> sum in memory, dirty ──> one UPSERT a sum at commit
 *
 * What is in memory stays good across transactions until somebody else commits to the file or one of ours
 * is rolled back; then it is read again. A row of a kind that has no table is never seen here. */
#include "common/base/mem.h"
#include "common/crypto/hash.h"
#include "common/ledger/ranges.h"
#include "common/ledger/store_internal.h"

#include <string.h>

#define SUMS_ROW_MAX (4u * ACT_MAX_BYTES)

static unsigned place_of(const struct kind *kind)
{
    unsigned i = 0;

    while (i < catalogue_n_kinds && catalogue_kinds[i] != kind)
        i++;
    return i;
}

void sums_init(struct sums *x)
{
    buf_init(&x->scratch, SUMS_ROW_MAX);
}

void sums_release(struct sums *x)
{
    for (unsigned i = 0; i < x->n; i++)
        mem_free(x->streams[i].kinds);
    mem_free(x->streams);
    buf_release(&x->scratch);
}

/* The sums of a stream, empty ones when it has none yet; NULL when memory is out. */
static struct stream_sums *of_stream(struct sums *x, uint32_t stream)
{
    struct stream_sums *more;

    for (unsigned i = 0; i < x->n; i++) {
        if (x->streams[i].stream == stream)
            return &x->streams[i];
    }
    more = mem_realloc(x->streams, (x->n + 1) * sizeof *more);
    if (more == NULL)
        return NULL;
    x->streams = more;
    more = &x->streams[x->n];
    more->stream = stream;
    more->kinds = mem_calloc(catalogue_n_kinds, sizeof *more->kinds);
    if (more->kinds == NULL)
        return NULL;
    x->n++;
    return more;
}

/* ---- the table ---- */

static void forget(struct sums *x)
{
    for (unsigned i = 0; i < x->n; i++)
        memset(x->streams[i].kinds, 0, catalogue_n_kinds * sizeof *x->streams[i].kinds);
    x->dirty = false;
}

static int read_sum(struct sums *x, sqlite3_stmt *st, struct err *err)
{
    const struct kind *kind = catalogue_kind((uint32_t)sqlite3_column_int64(st, 1));
    struct rd r = rd_of(sql_blob(st, 3));
    struct stream_sums *s;
    struct moving_sum *m;

    if (kind == NULL)
        return 0; /* of a newer program: it counts again when it is back */
    s = of_stream(x, (uint32_t)sqlite3_column_int64(st, 0));
    if (s == NULL)
        return err_set(err, E_NOMEM, NULL);
    m = &s->kinds[place_of(kind)];
    m->now.count = (uint64_t)sqlite3_column_int64(st, 2);
    m->now.sum = digest_take(&r);
    return rd_done(&r) ? 0 : err_set(err, E_CORRUPT, "台账摘要已损坏");
}

static int read_all(struct store *s, struct err *err)
{
    sqlite3_stmt *st = s->st[ST_DIGEST_EACH];
    int ret;

    forget(&s->sums);
    while ((ret = sql_step(st, err)) == 1) {
        ret = read_sum(&s->sums, st, err);
        if (ret != 0)
            break;
    }
    sql_done(st);
    return ret;
}

/* In memory is what the file has, and what this transaction has moved. */
static int refresh(struct store *s, struct err *err)
{
    struct sums *x = &s->sums;
    int64_t version;
    int ret;

    if (x->dirty)
        return 0;
    version = store_others(s);
    if (x->loaded && version == x->version && version != 0)
        return 0;
    x->loaded = false;
    ret = read_all(s, err);
    x->loaded = ret == 0;
    x->version = version;
    return ret;
}

static int write_sum(struct store *s, uint32_t stream, uint32_t kind, struct moving_sum *m,
                     struct err *err)
{
    sqlite3_stmt *st = s->st[ST_DIGEST_PUT];

    buf_clear(&s->sums.scratch);
    digest_put(&s->sums.scratch, m->now.sum);
    if (s->sums.scratch.ret != 0)
        return err_set(err, s->sums.scratch.ret, NULL);
    sql_bind_int(st, 1, stream);
    sql_bind_int(st, 2, kind);
    sql_bind_int(st, 3, (int64_t)m->now.count);
    sql_bind_blob(st, 4, buf_slice(&s->sums.scratch));
    m->dirty = false;
    return sql_run(st, err);
}

int sums_keep(struct store *s, struct err *err)
{
    struct sums *x = &s->sums;
    int ret = 0;

    for (unsigned i = 0; x->dirty && i < x->n; i++) {
        for (unsigned k = 0; ret == 0 && k < catalogue_n_kinds; k++) {
            struct moving_sum *m = &x->streams[i].kinds[k];

            if (m->dirty)
                ret = write_sum(s, x->streams[i].stream, catalogue_kinds[k]->tag, m, err);
        }
    }
    if (ret == 0)
        x->dirty = false;
    return ret;
}

void sums_forget(struct store *s)
{
    s->sums.loaded = false; /* also what was written already, before a commit that failed */
    s->sums.dirty = false;
}

/* ---- moving ---- */

int store_digest_move(struct store *s, uint32_t stream, const struct kind *kind,
                      const struct digest *leaves, const struct digest *comes, struct err *err)
{
    struct stream_sums *of;
    struct moving_sum *m;
    int ret = refresh(s, err);

    if (ret != 0)
        return ret;
    of = of_stream(&s->sums, stream);
    if (of == NULL)
        return err_set(err, E_NOMEM, NULL);
    m = &of->kinds[place_of(kind)];
    if (leaves != NULL)
        digest_subtract(&m->now, *leaves);
    if (comes != NULL)
        digest_add(&m->now, *comes);
    m->dirty = s->sums.dirty = true;
    return 0;
}

int store_digest_of(struct store *s, const struct row *row, struct digest *ret, struct err *err)
{
    int status = digest_row(hasher_of(HASH_SHA256), &s->sums.scratch, row, ret);

    return status == 0 ? 0 : err_set(err, status, NULL);
}

int store_row_leaves(struct store *s, const struct row *row, struct err *err)
{
    struct digest d;
    int ret = store_digest_of(s, row, &d, err);

    return ret == 0 ? store_digest_move(s, row->stream, row->kind, &d, NULL, err) : ret;
}

int store_row_comes(struct store *s, const struct row *row, struct err *err)
{
    struct digest d;
    int ret = store_digest_of(s, row, &d, err);

    return ret == 0 ? store_digest_move(s, row->stream, row->kind, NULL, &d, err) : ret;
}

int store_digest_clear(struct store *s, struct err *err)
{
    int ret = refresh(s, err);

    if (ret != 0)
        return ret;
    forget(&s->sums);
    s->sums.dirty = true; /* a rollback brings back what was */
    return sql_exec(s->db, "DELETE FROM digest", err);
}

/* ---- asking ---- */

int store_digest_kinds(struct store *s, uint32_t stream, struct digest_kind **ret, size_t *ret_n,
                       struct arena *a, struct err *err)
{
    struct digest_kind *kinds = arena_alloc(a, catalogue_n_kinds * sizeof *kinds);
    struct stream_sums *of;
    size_t n = 0;
    int status = kinds == NULL ? err_set(err, E_NOMEM, NULL) : refresh(s, err);

    if (status != 0)
        return status;
    of = of_stream(&s->sums, stream);
    if (of == NULL)
        return err_set(err, E_NOMEM, NULL);
    for (unsigned k = 0; k < catalogue_n_kinds; k++) {
        const struct digest_sum *sum = &of->kinds[k].now;

        if (sum->count != 0 || !digest_eq(sum->sum, (struct digest){0, 0}))
            kinds[n++] = (struct digest_kind){catalogue_kinds[k]->tag, *sum};
    }
    *ret = kinds;
    *ret_n = n;
    return 0;
}

int store_digest_root(struct store *s, uint32_t stream, uint8_t ret[ROOT_SIZE], struct err *err)
{
    struct digest_kind *kinds;
    struct arena a;
    size_t n;
    int status;

    arena_init(&a, 1u << 20);
    status = store_digest_kinds(s, stream, &kinds, &n, &a, err);
    if (status == 0) {
        status = digest_root(hasher_of(HASH_SHA256), kinds, n, ret);
        if (status != 0)
            (void)err_set(err, status, NULL);
    }
    arena_release(&a);
    return status;
}

/* ---- counting anew ---- */

struct recount {
    struct store *s;
    struct sums found;
    store_base_cb base;
    void *ctx;
    struct arena a; /* of one base row */
    struct err *err;
};

static int count_row(void *ctx, struct row *row)
{
    struct recount *c = ctx;
    struct stream_sums *of;
    struct digest d;
    int ret = 0;

    arena_clear(&c->a);
    if (row->pending && c->base != NULL)
        ret = c->base(c->ctx, &c->a, row, &row, c->err);
    if (ret != 0 || row == NULL)
        return ret;
    ret = store_range_digest(c->s, row, &d, c->err);
    if (ret != 0)
        return ret;
    of = of_stream(&c->found, row->stream);
    if (of == NULL)
        return err_set(c->err, E_NOMEM, NULL);
    digest_add(&of->kinds[place_of(row->kind)].now, d);
    return 0;
}

static int count_all(struct recount *c)
{
    int ret = 0;

    for (unsigned i = 0; ret == 0 && i < catalogue_n_kinds; i++) {
        struct row_range all = row_range_all(0, catalogue_kinds[i]);
        bool any = false;

        if (catalogue_kinds[i]->stream != STREAM_RULE_NONE)
            ret = store_has_rows(c->s, catalogue_kinds[i], &any, c->err);
        if (ret == 0 && any)
            ret = store_range_each(c->s, &all, count_row, c, c->err);
    }
    return ret;
}

static int compare(struct sums *found, struct sums *kept, struct arena *a,
                   struct digest_count **ret, size_t *ret_n, bool *ret_differs)
{
    struct digest_count *list = arena_alloc(a, (kept->n * catalogue_n_kinds + 1) * sizeof *list);
    bool differs = false;
    size_t n = 0;

    if (list == NULL)
        return E_NOMEM;
    for (unsigned i = 0; i < kept->n; i++) {
        struct stream_sums *of = of_stream(found, kept->streams[i].stream);

        if (of == NULL)
            return E_NOMEM;
        for (unsigned k = 0; k < catalogue_n_kinds; k++) {
            list[n] = (struct digest_count){.stream = of->stream,
                                            .kind = catalogue_kinds[k]->tag,
                                            .counted = of->kinds[k].now,
                                            .kept = kept->streams[i].kinds[k].now};
            differs |= !digest_sum_eq(&list[n].counted, &list[n].kept);
            n += list[n].counted.count != 0 || list[n].kept.count != 0;
        }
    }
    *ret = list;
    *ret_n = n;
    *ret_differs = differs;
    return 0;
}

/* Streams that only one side has get empty sums on the other. */
static int same_streams(struct sums *a, struct sums *b)
{
    for (unsigned i = 0; i < a->n; i++) {
        if (of_stream(b, a->streams[i].stream) == NULL)
            return E_NOMEM;
    }
    return 0;
}

int store_digest_recount(struct store *s, store_base_cb base, void *ctx, struct arena *a,
                         struct digest_count **ret, size_t *ret_n, bool *ret_differs,
                         struct err *err)
{
    struct recount c = {.s = s, .base = base, .ctx = ctx, .err = err};
    int status = refresh(s, err);

    if (status != 0)
        return status;
    sums_init(&c.found);
    arena_init(&c.a, SUMS_ROW_MAX);
    status = count_all(&c);
    if (status == 0 && (same_streams(&c.found, &s->sums) != 0 ||
                        compare(&c.found, &s->sums, a, ret, ret_n, ret_differs) != 0))
        status = err_set(err, E_NOMEM, NULL);
    arena_release(&c.a);
    sums_release(&c.found);
    return status;
}

/* By the difference, so that what moved since the count stays moved. */
static void mend(struct digest_sum *now, const struct digest_count *c)
{
    now->count += c->counted.count - c->kept.count;
    now->sum = digest_minus(digest_plus(now->sum, c->counted.sum), c->kept.sum);
}

int store_digest_mend(struct store *s, const struct digest_count *counts, size_t n,
                      struct err *err)
{
    int ret = refresh(s, err);

    for (size_t i = 0; ret == 0 && i < n; i++) {
        const struct kind *kind = catalogue_kind(counts[i].kind);
        struct stream_sums *of = of_stream(&s->sums, counts[i].stream);

        if (kind == NULL || digest_sum_eq(&counts[i].counted, &counts[i].kept))
            continue;
        if (of == NULL)
            return err_set(err, E_NOMEM, NULL);
        mend(&of->kinds[place_of(kind)].now, &counts[i]);
        of->kinds[place_of(kind)].dirty = true;
        s->sums.dirty = true;
    }
    return ret;
}
