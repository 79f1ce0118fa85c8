/* Acts that are kept aside: whose they are, released, or dropped for good.
 *
 * Released, an act is judged as it would be now, by the roles its author had, and appended as entries
 * with its own bytes; the change's row in `processed` names the entry from then on, and the refusal is
 * gone. Its replica takes the entry for its refused change (ledger.md, §12). */
#include "server/store/city_internal.h"

#include "common/ledger/apply.h"

#include <string.h>

#define ACCOUNT_MAX (8u << 20) /* the log of one account, and one account */

/* ---- which roles an account had ---- */

struct roles {
    struct arena a;
    struct row *row;
    uint64_t seen;
    uint32_t at_seen, since;
};

/* What a row holds lies in the entry's bytes, which go when this returns: they are copied. */
static int dup(struct arena *a, struct slice *s)
{
    if (s->len == 0)
        return 0;
    s->p = arena_dup(a, s->p, s->len);
    return s->p == NULL ? E_NOMEM : 0;
}

static int follow(void *ctx, const struct entry *entry)
{
    struct roles *r = ctx;
    struct entry e = *entry;
    struct verdict v;
    struct change c;
    uint32_t roles;
    int ret = dup(&r->a, &e.bytes) | dup(&r->a, &e.side) | dup(&r->a, &e.verdict);

    if (ret == 0)
        ret = city_damaged(change_decode(&r->a, e.bytes, e.side, &c));
    if (ret == 0)
        ret = city_damaged(verdict_decode(&r->a, e.verdict, &v));
    if (ret == 0)
        ret = apply_entry(&r->a, r->row, &c, &v, e.seq, false);
    if (ret != 0)
        return ret;
    roles = roles_of(row_named(r->row, "role"));
    if (e.seq <= r->seen)
        r->at_seen = roles;
    else
        r->since |= roles;
    return 0;
}

int city_roles_since(struct city *c, const struct id *account, uint32_t stream, uint64_t seen,
                     uint32_t *ret, struct err *err)
{
    struct roles r = {.seen = seen};
    int status;

    arena_init(&r.a, ACCOUNT_MAX);
    r.row = row_new(&r.a, catalogue_kind_named("user_account"), account);
    status = r.row == NULL ? E_NOMEM
                           : store_record_log(c->store, stream, account, follow, &r, err);
    *ret = r.at_seen | r.since;
    arena_release(&r.a);
    return status == 0 ? 0 : err_set(err, status, NULL);
}

/* ---- an act as it is kept ---- */

struct kept {
    int64_t pos;
    uint64_t last_n, at_n;
    struct slice text, bytes; /* in the arena */
};

/* How many changes it has; 0: the row says what cannot be. */
static size_t count_of(const struct kept *kept)
{
    uint64_t first_n = POS_LOW(kept->pos);

    if (kept->last_n < first_n || kept->last_n - first_n >= ACT_MAX_CHANGES)
        return 0;
    if (kept->at_n < first_n || kept->at_n > kept->last_n)
        return 0;
    return (size_t)(kept->last_n - first_n + 1);
}

/* The bytes of put_refusal(), decoded: those of KEPT must outlive the act. */
static int read_act(struct city *c, struct arena *a, const struct kept *kept, struct act *ret)
{
    size_t n = count_of(kept);
    struct change *changes = arena_zalloc(a, n * sizeof *changes);
    struct slice *own = arena_zalloc(a, n * sizeof *own), *sides = arena_zalloc(a, n * sizeof *sides);
    uint8_t(*hashes)[HASH_SIZE] = arena_alloc(a, n * HASH_SIZE);
    struct rd r = rd_of(kept->bytes);

    if (changes == NULL || own == NULL || sides == NULL || hashes == NULL)
        return E_NOMEM;
    for (size_t i = 0; i < n; i++) {
        int status;

        own[i] = rd_bytes(&r, ACT_MAX_BYTES);
        sides[i] = rd_bytes(&r, ACT_MAX_BYTES);
        if (r.bad)
            return E_CORRUPT;
        status = city_damaged(change_decode(a, own[i], sides[i], &changes[i]));
        if (status != 0)
            return status;
        change_hash(c->hasher, own[i], hashes[i]);
    }
    *ret = (struct act){.changes = changes,
                        .n = n,
                        .bytes = own,
                        .sides = sides,
                        .hashes = (const uint8_t(*)[HASH_SIZE])hashes};
    return n > 0 && rd_left(&r) == 0 ? 0 : E_CORRUPT;
}

/* The first one at FROM or behind, up to UPTO. 1, or 0 when there is none. */
static int next_kept(struct city *c, struct arena *a, int64_t from, int64_t upto, struct kept *ret,
                     struct err *err)
{
    sqlite3_stmt *st = c->st[CS_KEPT_NEXT];
    int status;

    sql_bind_int(st, 1, from);
    sql_bind_int(st, 2, upto);
    status = sql_step(st, err);
    if (status == 1) {
        *ret = (struct kept){.pos = sqlite3_column_int64(st, 0),
                             .last_n = (uint64_t)sqlite3_column_int64(st, 1),
                             .at_n = (uint64_t)sqlite3_column_int64(st, 2),
                             .text = sql_blob_dup(st, 3, a),
                             .bytes = sql_blob_dup(st, 4, a)};
        if (ret->text.p == NULL || ret->bytes.p == NULL)
            status = err_set(err, E_NOMEM, NULL);
    }
    sql_done(st);
    return status;
}

/* ---- listing ---- */

struct listing {
    struct city *city;
    int (*cb)(void *ctx, const struct quarantined *q);
    void *ctx;
    struct err *err;
};

static int show(const struct listing *l, const struct replica_row *r, struct arena *a,
                const struct kept *kept)
{
    struct quarantined q = {.replica = r,
                            .first_n = POS_LOW(kept->pos),
                            .last_n = kept->last_n,
                            .at_n = kept->at_n,
                            .text = kept->text};
    struct act act;
    int ret = read_act(l->city, a, kept, &act);

    if (ret != 0)
        return err_set(l->err, ret, NULL);
    q.change = &act.changes[q.at_n - q.first_n];
    return l->cb(l->ctx, &q);
}

static int list_replica(void *ctx, const struct replica_row *r)
{
    const struct listing *l = ctx;
    const struct replica_row row = *r;
    int64_t at = POS(row.no, 0), end = POS(row.no + 1, 0) - 1;
    struct kept kept;
    struct arena a;
    int ret = 1;

    while (ret == 1) {
        arena_init(&a, REFUSAL_MAX * 8u);
        ret = next_kept(l->city, &a, at, end, &kept, l->err);
        if (ret == 1) {
            at = kept.pos + 1;
            ret = show(l, &row, &a, &kept);
            ret = ret == 0 ? 1 : ret;
        }
        arena_release(&a);
    }
    return ret;
}

int city_quarantine_each(struct city *c, int (*cb)(void *ctx, const struct quarantined *q),
                         void *ctx, struct err *err)
{
    struct listing l = {c, cb, ctx, err};

    return city_replica_each(c, list_replica, &l, err);
}

int city_quarantine_count(struct city *c, uint64_t *ret, struct err *err)
{
    static const char query[] = "SELECT count(*) FROM refusal WHERE quarantined = 1";
    sqlite3_stmt *st;
    int status = sql_prepare(c->db, query, &st, err);

    if (status != 0)
        return status;
    status = sql_step(st, err);
    if (status == 1)
        *ret = (uint64_t)sqlite3_column_int64(st, 0);
    (void)sqlite3_finalize(st); /* repeats the result of the step */
    return status < 0 ? status : 0;
}

/* ---- releasing ---- */

/* As whom the author did it: an account of the site, with every role it had then or later. */
static int find_author(struct city *c, struct act *act, struct err *err)
{
    const struct kind *kind = catalogue_kind_named("user_account");
    const struct id *account = &act->changes[0].actor;
    struct row *row = NULL;
    uint32_t roles = 0;
    int ret = id_is_zero(account) ? 0 : store_row_get(c->store, &c->arena, kind, account, &row, err);

    if (ret == 0 && (row == NULL || row->stream != c->replica.site))
        ret = err_set(err, E_ROLE, "提交更改的账户不存在");
    if (ret == 0)
        ret = city_roles_since(c, account, c->replica.site, act->changes[0].seen, &roles, err);
    act->actor = (struct actor){
        .account = *account, .roles = roles, .site = c->replica.site, .side = SIDE_COUNTY};
    return ret;
}

static int put_seq(struct city *c, uint64_t n, uint64_t seq, struct err *err)
{
    sqlite3_stmt *st = c->st[CS_PROCESSED_RELEASE];

    sql_bind_int(st, 1, POS(c->replica.no, n));
    sql_bind_int(st, 2, (int64_t)seq);
    return sql_run(st, err);
}

static int forget_refusal(struct city *c, int64_t pos, struct err *err)
{
    int ret;

    sql_bind_int(c->st[CS_REFUSAL_GONE], 1, pos);
    ret = sql_run(c->st[CS_REFUSAL_GONE], err);
    if (ret != 0)
        return ret;
    sql_bind_int(c->st[CS_REFUSED_GONE], 1, pos);
    return sql_run(c->st[CS_REFUSED_GONE], err);
}

static int write_judged(struct city *c, struct judgement *judged, struct err *err)
{
    for (size_t i = 0; i < judged->n_entries; i++) {
        if (id_eq(&judged->entries[i].c.replica, &c->replica.id))
            judged->entries[i].v.flags |= VERDICT_RECOVERED; /* it travels with its bytes, to its author too */
    }
    return city_write(c, judged, err);
}

static int put_seqs(struct city *c, const struct act *act, const struct judgement *judged,
                    struct err *err)
{
    int ret = 0;

    for (size_t i = 0; ret == 0 && i < act->n; i++)
        ret = put_seq(c, act->changes[i].n, city_seq_of(c, judged, &act->changes[i]), err);
    return ret;
}

int city_write_late(struct city *c, struct act *act, struct judgement *judged, struct err *err)
{
    int ret;

    arena_clear(&c->arena);
    ret = find_author(c, act, err);
    if (ret == E_ROLE) { /* not the store's trouble */
        *judged = (struct judgement){.ret = 0};
        judged->ret = err_set(&judged->err, ret, "提交更改的账户不存在");
        return 0;
    }
    if (ret == 0)
        ret = city_judge_kept(c, act, judged, err);
    return ret == 0 && judged->ret == 0 ? write_judged(c, judged, err) : ret;
}

static int release(struct city *c, struct arena *a, const struct kept *kept, struct err *err)
{
    uint64_t first_n = POS_LOW(kept->pos);
    struct judgement judged;
    struct act act;
    int ret = read_act(c, a, kept, &act);

    if (ret != 0)
        return err_set(err, ret, NULL);
    ret = city_cap_seen(c, act.changes, act.n, err);
    if (ret == 0)
        ret = city_write_late(c, &act, &judged, err);
    if (ret == 0 && judged.ret != 0)
        ret = err_set(err, judged.ret, "%s", judged.err.text);
    if (ret != 0)
        return err_wrap(err, ret, "第 %llu 项更改不能核准", (unsigned long long)first_n);
    ret = put_seqs(c, &act, &judged, err);
    return ret == 0 ? forget_refusal(c, kept->pos, err) : ret;
}

/* ---- dropping ---- */

static int drop(struct city *c, struct arena *a, const struct kept *kept, struct err *err)
{
    sqlite3_stmt *st = c->st[CS_REFUSAL_DROP];
    struct buf text;
    int ret;

    (void)a;
    sql_bind_int(c->st[CS_REFUSAL_AGAIN], 1, kept->pos); /* while its copies are marked */
    ret = sql_run(c->st[CS_REFUSAL_AGAIN], err);
    if (ret != 0)
        return ret;
    buf_init(&text, 4096);
    buf_printf(&text, "市级没有核准：%.*s", (int)kept->text.len, (const char *)kept->text.p);
    sql_bind_int(st, 1, kept->pos);
    sql_bind_text(st, 2, slice_str(err_code(E_DENIED)));
    sql_bind_text(st, 3, buf_slice(&text));
    ret = text.ret != 0 ? err_set(err, text.ret, NULL) : sql_run(st, err);
    sql_done(st);
    buf_release(&text);
    return ret;
}

/* ---- both ---- */

typedef int (*decision)(struct city *c, struct arena *a, const struct kept *kept, struct err *err);

/* Those between FROM and UPTO, in the order of n. */
static int decide(struct city *c, int64_t from, int64_t upto, decision what, uint64_t *ret_n,
                  struct err *err)
{
    struct kept kept;
    struct arena a;
    int ret = 1;

    while (ret == 1) {
        arena_init(&a, REFUSAL_MAX * 8u);
        ret = next_kept(c, &a, from, upto, &kept, err);
        if (ret == 1) {
            from = kept.pos + 1;
            ret = what(c, &a, &kept, err);
            *ret_n += ret == 0;
            ret = ret == 0 ? 1 : ret;
        }
        arena_release(&a);
    }
    return ret;
}

static int decide_all(struct city *c, const struct id *replica, uint64_t n, decision what,
                      uint64_t *ret_n, struct err *err)
{
    uint32_t no;
    int ret = city_load_replica(c, replica, err);

    if (ret != 0)
        return ret;
    no = c->replica.no;
    *ret_n = 0;
    ret = n == 0 ? decide(c, POS(no, 0), POS(no + 1, 0) - 1, what, ret_n, err)
                 : decide(c, POS(no, n), POS(no, n), what, ret_n, err);
    if (ret == 0)
        ret = city_replica_keep(c, err);
    c->replica.no = 0; /* what it refuses has changed */
    if (ret == 0 && n != 0 && *ret_n == 0)
        ret = err_set(err, E_NOTFOUND, "没有从第 %llu 项更改开始的暂存", (unsigned long long)n);
    return ret;
}

int city_quarantine_release(struct city *c, const struct id *replica, uint64_t n, uint64_t *ret_n,
                            struct err *err)
{
    return decide_all(c, replica, n, release, ret_n, err);
}

int city_quarantine_drop(struct city *c, const struct id *replica, uint64_t n, uint64_t *ret_n,
                         struct err *err)
{
    return decide_all(c, replica, n, drop, ret_n, err);
}
