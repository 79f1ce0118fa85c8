/* Handing out own changes that the city has no answer for.
 *
 * They are the pending ones; of a city that was restored also refused ones that it forgot, and those that came back
 * to it behind a gap: the log has them, and it counts them when they are said again. */
#include "client/store/replica_internal.h"

#include <string.h>

struct handing {
    uint64_t next;
    uint64_t left;
    size_t bytes_left;
    bool any;
    bool gaps;      /* numbers may be left out */
    struct arena a; /* of one change */
};

/* Does the act of LEN changes and BYTES still fit? */
static bool fits(struct handing *h, uint64_t len, size_t bytes)
{
    if (h->any && (len > h->left || bytes > h->bytes_left))
        return false;
    h->any = true;
    h->left = len > h->left ? 0 : h->left - len;
    h->bytes_left = bytes > h->bytes_left ? 0 : h->bytes_left - bytes;
    return true;
}

/* ---- from the log ---- */

struct logged {
    uint32_t act_pos, act_len; /* act_len 0: not found */
    struct slice bytes, side;
};

struct search {
    struct replica *r;
    struct arena kept, scratch;
    struct logged *at; /* of change from_n + i */
    uint64_t from_n;
    uint32_t n;
    size_t bytes_left; /* for what is not of the first act */
    struct err *err;
};

static int keep(struct search *s, const struct entry *e, const struct change *c)
{
    struct logged *l = &s->at[c->n - s->from_n];
    size_t size = e->bytes.len + e->side.len;

    if (c->n - c->act_pos != s->from_n) {
        if (size > s->bytes_left)
            return 0;
        s->bytes_left -= size;
    }
    l->bytes = (struct slice){arena_dup(&s->kept, e->bytes.p, e->bytes.len), e->bytes.len};
    l->side = (struct slice){arena_dup(&s->kept, e->side.p, e->side.len), e->side.len};
    if (l->bytes.p == NULL || (l->side.p == NULL && l->side.len > 0))
        return err_set(s->err, E_NOMEM, NULL);
    l->act_pos = c->act_pos;
    l->act_len = c->act_len;
    return 0;
}

static int meet(void *ctx, const struct entry *e)
{
    struct search *s = ctx;
    struct change c;
    int failed;
    int ret;

    arena_clear(&s->scratch);
    ret = own_change_read(&s->scratch, e->seq, e->bytes, e->side, &c, s->err);
    if (ret != 0 || c.n < s->from_n || c.n - s->from_n >= s->n)
        return ret;
    return own_is(s->r, &c.replica, c.n, &failed, s->err) ? keep(s, e, &c) : failed;
}

static size_t act_bytes(const struct logged *l)
{
    size_t sum = 0;

    for (uint32_t i = 0; i < l->act_len; i++)
        sum += l[i].bytes.len + l[i].side.len;
    return sum;
}

/* All changes of the act that begins at L were found. */
static bool is_whole(const struct logged *l, size_t n)
{
    if (n == 0 || l->act_len == 0 || l->act_pos != 0 || l->act_len > n)
        return false;
    for (uint32_t i = 1; i < l->act_len; i++) {
        if (l[i].act_len != l->act_len || l[i].act_pos != i)
            return false;
    }
    return true;
}

static int hand_found(struct search *s, struct handing *h, replica_change_cb *cb, void *ctx)
{
    uint32_t i = 0;
    int ret = 0;

    while (ret == 0 && is_whole(&s->at[i], s->n - i) &&
           fits(h, s->at[i].act_len, act_bytes(&s->at[i]))) {
        for (uint32_t end = i + s->at[i].act_len; ret == 0 && i < end; i++)
            ret = cb(ctx, s->from_n + i, s->at[i].bytes, s->at[i].side);
    }
    return ret;
}

/* Own changes from h->next on, below UPTO. It walks the logs: a city is seldom restored. */
static int hand_logged(struct replica *r, struct handing *h, uint64_t upto, replica_change_cb *cb,
                       void *ctx, struct err *err)
{
    struct search s = {.r = r, .from_n = h->next, .bytes_left = h->bytes_left, .err = err};
    uint64_t most = h->left > ACT_MAX_CHANGES ? h->left : ACT_MAX_CHANGES;
    int ret = 0;

    s.n = (uint32_t)(upto - h->next < most ? upto - h->next : most);
    arena_init(&s.kept, WORK_MAX);
    arena_init(&s.scratch, WORK_MAX);
    s.at = arena_zalloc(&s.kept, s.n * sizeof *s.at);
    if (s.at == NULL)
        ret = err_set(err, E_NOMEM, NULL);
    if (ret == 0)
        ret = store_entry_each(r->store, STREAM_SHARED, 1, meet, &s, err);
    if (ret == 0)
        ret = store_entry_each(r->store, r->own.site, 1, meet, &s, err);
    if (ret == 0)
        ret = hand_found(&s, h, cb, ctx);
    arena_release(&s.scratch);
    arena_release(&s.kept);
    return ret;
}

/* ---- pending ---- */

/* The next change that is pending or refused, handed out. 1: go on; 0: enough, or a number is left out where none
 * may be: h->next. */
static int hand_one(struct replica *r, struct handing *h, sqlite3_stmt *st, replica_change_cb *cb,
                    void *ctx, struct err *err)
{
    uint64_t n = (uint64_t)sqlite3_column_int64(st, 0);
    uint64_t first_n = (uint64_t)sqlite3_column_int64(st, 1);
    struct slice side;
    int ret;

    if (n != h->next && !h->gaps)
        return 0;
    if (n == first_n && !fits(h, (uint64_t)sqlite3_column_int64(st, 2),
                              (size_t)sqlite3_column_int64(st, 3)))
        return 0;
    arena_clear(&h->a);
    ret = rest_open(r, &h->a, sql_blob(st, 5), &side, err);
    if (ret == 0)
        ret = cb(ctx, n, sql_blob(st, 4), side);
    h->next = n + 1;
    return ret == 0 ? 1 : ret;
}

/* *ret_upto: the change that it stopped at; one beyond the last without one. */
static int hand_pending(struct replica *r, struct handing *h, replica_change_cb *cb, void *ctx,
                        uint64_t *ret_upto, struct err *err)
{
    sqlite3_stmt *st = r->st[RS_PENDING_FROM];
    uint64_t from_n = h->next;
    int ret;

    *ret_upto = UINT64_MAX;
    arena_init(&h->a, WORK_MAX);
    sql_bind_int(st, 1, (int64_t)from_n);
    while ((ret = sql_step(st, err)) == 1) {
        if ((uint64_t)sqlite3_column_int64(st, 1) < from_n)
            continue; /* the rest of an act that began before */
        *ret_upto = (uint64_t)sqlite3_column_int64(st, 0);
        ret = hand_one(r, h, st, cb, ctx, err);
        if (ret != 1)
            break;
    }
    sql_done(st);
    arena_release(&h->a);
    return ret;
}

int replica_pending(struct replica *r, uint64_t from_n, uint32_t max_count, size_t max_bytes,
                    replica_change_cb *cb, void *ctx, struct err *err)
{
    struct handing h = {.next = from_n, .left = max_count, .bytes_left = max_bytes, .gaps = true};
    uint64_t upto;

    return hand_pending(r, &h, cb, ctx, &upto, err);
}

int replica_unanswered(struct replica *r, uint64_t from_n, uint32_t max_count, size_t max_bytes,
                       replica_change_cb *cb, void *ctx, struct err *err)
{
    struct handing h = {.next = from_n, .left = max_count, .bytes_left = max_bytes};
    uint64_t upto;
    int ret = hand_pending(r, &h, cb, ctx, &upto, err);

    return ret != 0 || h.any ? ret : hand_logged(r, &h, upto, cb, ctx, err);
}

int replica_held(struct replica *r, uint64_t from_n, uint32_t max_count, uint32_t version,
                 uint64_t *ret_n, struct err *err)
{
    sqlite3_stmt *st = r->st[RS_PENDING_FROM];
    struct slice none = {NULL, 0};
    struct change c;
    struct arena a;
    int ret;

    *ret_n = 0;
    arena_init(&a, WORK_MAX);
    sql_bind_int(st, 1, (int64_t)from_n);
    while ((ret = sql_step(st, err)) == 1) {
        uint64_t n = (uint64_t)sqlite3_column_int64(st, 0);

        if (n - from_n >= max_count + ACT_MAX_CHANGES)
            break;
        arena_clear(&a);
        ret = own_change_read(&a, n, sql_blob(st, 4), none, &c, err);
        if (ret != 0)
            break;
        if (change_needs(&c) > version) {
            *ret_n = (uint64_t)sqlite3_column_int64(st, 1);
            break;
        }
    }
    sql_done(st);
    arena_release(&a);
    return ret < 0 ? ret : 0;
}
