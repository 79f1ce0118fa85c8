/* Proving the store: the chain of every stream, and the projection anew from the log. */
#include "server/store/city_internal.h"

#include <string.h>

#define ENTRY_ARENA_MAX (8u << 20)
#define DIGEST_META     "digest" /* form of the rows that were last counted whole */

int city_damaged(int ret)
{
    return ret == E_MALFORMED ? E_CORRUPT : ret;
}

struct walk {
    struct city *c;
    struct arena a;
    struct stream_head at;
    uint64_t upto; /* what a daemon beside us writes meanwhile is not ours to judge */
    struct err *err;
};

static int check_entry(void *ctx, const struct entry *e)
{
    struct walk *w = ctx;
    uint8_t bytes_hash[HASH_SIZE], hash[HASH_SIZE];
    struct change change;
    struct verdict verdict;
    int ret;

    if (e->seq > w->upto)
        return 1;
    arena_clear(&w->a);
    change_hash(w->c->hasher, e->bytes, bytes_hash);
    chain_next(w->c->hasher, w->at.hash, e->seq, e->received_at, e->verdict, bytes_hash, hash);
    if (e->seq != w->at.seq + 1 || memcmp(hash, e->hash, HASH_SIZE) != 0)
        return err_set(w->err, E_CORRUPT, "数据流 %u 第 %llu 条与校验链不符", w->at.stream,
                       (unsigned long long)(w->at.seq + 1));
    ret = change_decode(&w->a, e->bytes, e->side, &change);
    if (ret == 0)
        ret = change_check_side(w->c->hasher, &change);
    if (ret == 0 && !change_side_whole(&change))
        ret = E_CORRUPT;
    if (ret == 0)
        ret = verdict_decode(&w->a, e->verdict, &verdict);
    if (ret != 0)
        return err_set(w->err, ret == E_NOMEM ? E_NOMEM : E_CORRUPT, "数据流 %u 第 %llu 条内容损坏", w->at.stream,
                       (unsigned long long)e->seq);
    w->at.seq = e->seq;
    memcpy(w->at.hash, hash, HASH_SIZE);
    return 0;
}

/* ---- the sums over the projection ---- */

static int name_first(const struct digest_count *counts, size_t n, struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        if (!digest_sum_eq(&counts[i].counted, &counts[i].kept))
            return err_set(err, E_CORRUPT, "数据流 %u 的%s与摘要不符（ZT-DIGEST），请运行 ztcd rebuild",
                           counts[i].stream, catalogue_kind(counts[i].kind)->label);
    }
    return 0;
}

static int check_digests(struct city *c, struct err *err)
{
    struct digest_count *counts;
    struct arena a;
    bool differs;
    size_t n;
    int ret;

    arena_init(&a, ENTRY_ARENA_MAX);
    ret = store_digest_recount(c->store, NULL, NULL, &a, &counts, &n, &differs, err);
    if (ret == 0)
        ret = name_first(counts, n, err);
    arena_release(&a);
    return ret;
}

/* In one transaction with the mark that it was done. */
static int count_first(struct city *c, struct arena *a, struct err *err)
{
    struct digest_count *counts;
    bool differs;
    size_t n;
    int ret = store_digest_recount(c->store, NULL, NULL, a, &counts, &n, &differs, err);

    if (ret == 0)
        ret = store_digest_mend(c->store, counts, n, err);
    return ret == 0 ? store_meta_put_int(c->store, DIGEST_META, ROW_FORMAT, err) : ret;
}

int city_digest_first(struct city *c, struct err *err)
{
    struct arena a;
    int64_t format;
    int ret = store_meta_number(c->store, DIGEST_META, 0, &format, err);

    if (ret != 0 || format == ROW_FORMAT)
        return ret;
    ret = store_begin(c->store, err);
    if (ret != 0)
        return ret;
    arena_init(&a, ENTRY_ARENA_MAX);
    ret = count_first(c, &a, err);
    arena_release(&a);
    if (ret == 0)
        ret = store_commit(c->store, err);
    if (ret != 0)
        store_rollback(c->store);
    return ret;
}

int city_verify(struct city *c, struct err *err)
{
    struct walk w = {.c = c, .err = err};
    int ret = 0;

    arena_init(&w.a, ENTRY_ARENA_MAX);
    for (unsigned i = 0; ret == 0 && i < c->n_streams; i++) {
        const struct stream_head *now = &c->streams[i].now;

        w.at = (struct stream_head){.stream = now->stream};
        w.upto = now->seq;
        chain_start(c->hasher, now->stream, &c->ledger, w.at.hash);
        ret = store_entry_each(c->store, now->stream, 1, check_entry, &w, err);
        ret = ret > 0 ? 0 : ret;
        if (ret == 0 && (w.at.seq != now->seq || memcmp(w.at.hash, now->hash, HASH_SIZE) != 0))
            ret = err_set(err, E_CORRUPT, "数据流 %u 止于第 %llu 条，应有 %llu 条", now->stream,
                          (unsigned long long)w.at.seq, (unsigned long long)now->seq);
    }
    arena_release(&w.a);
    return ret == 0 ? check_digests(c, err) : ret;
}

static int reapply(void *ctx, const struct entry *e)
{
    struct walk *w = ctx;
    struct change change;
    struct verdict verdict;
    struct row *row;
    int ret;

    arena_clear(&w->a);
    ret = change_decode(&w->a, e->bytes, e->side, &change);
    if (ret == 0)
        ret = verdict_decode(&w->a, e->verdict, &verdict);
    if (ret != 0)
        return err_set(w->err, city_damaged(ret), "数据流 %u 第 %llu 条内容损坏", e->stream, (unsigned long long)e->seq);
    return store_apply(w->c->store, &w->a, &change, &verdict, e->seq, &row, w->err);
}

int city_rebuild(struct city *c, struct err *err)
{
    struct walk w = {.c = c, .err = err};
    int ret = store_begin(c->store, err);

    if (ret != 0)
        return ret;
    arena_init(&w.a, ENTRY_ARENA_MAX);
    ret = store_projection_clear(c->store, err);
    for (unsigned i = 0; ret == 0 && i < c->n_streams; i++)
        ret = store_entry_each(c->store, c->streams[i].now.stream, 1, reapply, &w, err);
    if (ret == 0)
        ret = store_commit(c->store, err);
    if (ret != 0)
        store_rollback(c->store);
    arena_release(&w.a);
    city_forget(c);
    return ret;
}
