#include "client/store/repair.h"

#include "client/store/replica_internal.h"
#include "common/ledger/apply.h"
#include "common/ledger/ranges.h"

#include <string.h>

/* ---- what is known of each stream ---- */

int replica_differs(struct replica *r, uint32_t stream, msec_t *ret_since, struct err *err)
{
    sqlite3_stmt *st = r->st[RS_DIFFERS_GET];
    int status;

    sql_bind_int(st, 1, stream);
    status = sql_step(st, err);
    if (status == 1 && ret_since != NULL)
        *ret_since = (msec_t)sqlite3_column_int64(st, 0);
    sql_done(st);
    return status;
}

int replica_differing(struct replica *r, uint32_t *ret_stream, struct err *err)
{
    sqlite3_stmt *st = r->st[RS_DIFFERS_FIRST];
    int status = sql_step(st, err);

    *ret_stream = status == 1 ? (uint32_t)sqlite3_column_int64(st, 0) : 0;
    sql_done(st);
    return status < 0 ? status : 0;
}

static int set_differs(struct replica *r, uint32_t stream, uint64_t seq, bool differs,
                       struct err *err)
{
    int known = replica_differs(r, stream, NULL, err);
    sqlite3_stmt *st = r->st[differs ? RS_DIFFERS_PUT : RS_DIFFERS_DEL];

    if (known < 0 || (known == 1) == differs)
        return known < 0 ? known : 0;
    sql_bind_int(st, 1, stream);
    if (differs)
        sql_bind_int(st, 2, (int64_t)seq);
    return sql_run(st, err);
}

/* An entry of a kind that this catalogue does not know leaves no row: roots cannot agree. */
static const char *unknown_meta(uint32_t stream, char text[32])
{
    (void)sqlite3_snprintf(32, text, "unknown.%u", stream);
    return text;
}

int repair_met_unknown(struct replica *r, uint32_t stream, struct err *err)
{
    char name[32];

    return store_meta_put_int(r->store, unknown_meta(stream, name), CATALOGUE_VERSION, err);
}

int repair_compare_root(struct replica *r, const struct head *h, struct err *err)
{
    uint8_t root[ROOT_SIZE];
    char name[32];
    bool loading;
    int64_t unknown;
    int ret = replica_loading(r, h->stream, &loading, err);

    if (ret != 0 || loading || !h->has_root)
        return ret;
    ret = store_meta_number(r->store, unknown_meta(h->stream, name), 0, &unknown, err);
    if (ret != 0 || unknown == CATALOGUE_VERSION)
        return ret;
    ret = store_digest_root(r->store, h->stream, root, err);
    if (ret != 0)
        return ret;
    return set_differs(r, h->stream, h->seq, memcmp(root, h->root, ROOT_SIZE) != 0, err);
}

static int compare_shown(struct replica *r, const struct head *h, struct err *err)
{
    struct stream_head at;
    int ret = store_stream_get(r->store, h->stream, &at, err);

    if (ret != 0 || at.seq != h->seq)
        return ret;
    if (memcmp(at.hash, h->hash, HASH_SIZE) != 0)
        return err_set(err, E_CORRUPT, "数据流 %u 到第 %llu 条的校验值与市级签名不符", h->stream,
                       (unsigned long long)h->seq);
    return repair_compare_root(r, h, err);
}

int replica_compare(struct replica *r, struct slice bytes, struct slice signature, struct err *err)
{
    struct head h;
    int ret = replica_begin(r, err);

    if (ret != 0)
        return ret;
    if (head_decode(bytes, &h) != 0)
        ret = err_set(err, E_PROTOCOL, NULL);
    if (ret == 0)
        ret = replica_check_head(r, h.stream, bytes, signature, &h, err);
    if (ret == 0)
        ret = compare_shown(r, &h, err);
    if (ret == 0)
        return replica_commit(r, err);
    replica_rollback(r);
    return ret;
}

static int newest_kept(struct replica *r, uint32_t stream, struct head *ret, struct err *err)
{
    sqlite3_stmt *st = r->st[RS_HEAD_NEWEST];
    int status;

    sql_bind_int(st, 1, stream);
    status = sql_step(st, err);
    if (status == 1 && head_decode(sql_blob(st, 1), ret) != 0)
        status = err_set(err, E_CORRUPT, "保存的数据头已损坏");
    sql_done(st);
    return status;
}

int replica_compare_kept(struct replica *r, uint32_t stream, struct err *err)
{
    struct head h;
    int ret = replica_begin(r, err);

    if (ret != 0)
        return ret;
    ret = newest_kept(r, stream, &h, err);
    if (ret == 1)
        ret = compare_shown(r, &h, err);
    if (ret == 0)
        return replica_commit(r, err);
    replica_rollback(r);
    return ret;
}

/* What was known to differ are tables that are no more: without a head at the cursor nothing is known. */
static int compare_anew(struct replica *r, uint32_t stream, struct err *err)
{
    struct stream_head at;
    struct head h;
    int ret = set_differs(r, stream, 0, false, err);

    if (ret == 0)
        ret = newest_kept(r, stream, &h, err);
    if (ret != 1)
        return ret == E_CORRUPT ? 0 : ret; /* of a damaged head replica_verify tells */
    ret = store_stream_get(r->store, stream, &at, err);
    return ret == 0 && at.seq == h.seq ? repair_compare_root(r, &h, err) : ret;
}

int repair_compare_anew(struct replica *r, struct err *err)
{
    int ret = compare_anew(r, STREAM_SHARED, err);

    return ret == 0 ? compare_anew(r, r->own.site, err) : ret;
}

/* ---- the rows of the streams ---- */

static int base_of(void *ctx, struct arena *a, const struct row *shown, struct row **ret_base,
                   struct err *err)
{
    bool covered;
    int ret = overlay_base(ctx, a, shown->kind, &shown->id, ret_base, &covered, err);

    if (ret != E_CORRUPT)
        return ret;
    *ret_base = row_new(a, shown->kind, &shown->id);
    if (*ret_base == NULL)
        return err_set(err, E_NOMEM, NULL);
    (*ret_base)->stream = shown->stream;
    return 0;
}

/* Until a head says otherwise. */
static int mark_counted(struct replica *r, const struct digest_count *counts, size_t n,
                        struct err *err)
{
    int ret = 0;

    for (size_t i = 0; ret == 0 && i < n; i++) {
        struct stream_head h;

        if (digest_sum_eq(&counts[i].counted, &counts[i].kept))
            continue;
        ret = store_stream_get(r->store, counts[i].stream, &h, err);
        if (ret == E_NOTFOUND) /* rows of a stream that is not ours */
            ret = 0;
        else if (ret == 0)
            ret = set_differs(r, h.stream, h.seq, true, err);
    }
    return ret;
}

static int recount(struct replica *r, struct arena *a, bool mend, bool *ret_differs,
                   struct err *err)
{
    struct digest_count *counts;
    size_t n;
    int ret = store_digest_recount(r->store, base_of, r, a, &counts, &n, ret_differs, err);

    if (ret == 0 && mend && *ret_differs)
        ret = mark_counted(r, counts, n, err);
    return ret == 0 && mend && *ret_differs ? store_digest_mend(r->store, counts, n, err) : ret;
}

int replica_recount(struct replica *r, bool mend, bool *ret_differs, struct err *err)
{
    struct arena a;
    int ret = replica_begin(r, err);

    if (ret != 0)
        return ret;
    arena_init(&a, WORK_MAX);
    ret = recount(r, &a, mend, ret_differs, err);
    arena_release(&a);
    if (ret == 0 && mend)
        return replica_commit(r, err);
    replica_rollback(r);
    return ret;
}

int repair_verify(struct replica *r, struct err *err)
{
    uint32_t stream = 0;
    struct arena a;
    bool wrong;
    int ret;

    arena_init(&a, WORK_MAX);
    ret = recount(r, &a, true, &wrong, err);
    arena_release(&a);
    if (ret == 0)
        ret = replica_differing(r, &stream, err);
    if (ret == 0 && (wrong || stream != 0))
        ret = err_set(err, E_DIGEST, "台账的表与记录不符，联网后会自动核对修复；也可运行 ztc rebuild");
    return ret;
}

/* ---- one answer ---- */

struct step {
    struct replica *r;
    struct arena a;
    const struct client_digest_ask *ask;
    uint64_t seq;
    msec_t now;
    struct client_digest_ask next;
    bool more;
    struct err *err;
};

static void ask_kinds(struct step *s)
{
    s->next = (struct client_digest_ask){.stream = s->ask->stream, .counted = true};
    s->more = true;
}

static int malformed(struct step *s)
{
    return err_set(s->err, E_PROTOCOL, "市级的核对答复无法识别");
}

static const struct digest_kind *find_kind(const struct digest_kind *list, size_t n, uint32_t tag)
{
    for (size_t i = 0; i < n; i++) {
        if (list[i].kind == tag)
            return &list[i];
    }
    return NULL;
}

static bool kind_differs(const struct digest_kind *a, const struct digest_kind *b)
{
    if (a == NULL || b == NULL)
        return a != b;
    return !digest_sum_eq(&a->of, &b->of);
}

/* The first kind of this catalogue whose sum is not the city's; NULL: none. */
static const struct kind *first_kind(const struct digest_kind *here, size_t n_here,
                                     const struct digest_kind *there, size_t n_there)
{
    for (unsigned i = 0; i < catalogue_n_kinds; i++) {
        uint32_t tag = catalogue_kinds[i]->tag;

        if (catalogue_kinds[i]->stream != STREAM_RULE_NONE &&
            kind_differs(find_kind(here, n_here, tag), find_kind(there, n_there, tag)))
            return catalogue_kinds[i];
    }
    return NULL;
}

static int take_kinds(struct step *s, struct slice list)
{
    struct digest_kind *there, *here;
    size_t n_there, n_here;
    const struct kind *kind;
    bool was_wrong;
    int ret = digest_list_kinds(&s->a, list, &there, &n_there);

    if (ret != 0)
        return ret == E_NOMEM ? err_set(s->err, ret, NULL) : malformed(s);
    if (!s->ask->counted) /* once: what is repaired then moves the sums */
        ret = recount(s->r, &s->a, true, &was_wrong, s->err);
    if (ret == 0)
        ret = store_digest_kinds(s->r->store, s->ask->stream, &here, &n_here, &s->a, s->err);
    if (ret != 0)
        return ret;
    kind = first_kind(here, n_here, there, n_there);
    if (kind == NULL)
        return set_differs(s->r, s->ask->stream, s->seq, false, s->err);
    s->next = (struct client_digest_ask){
        .stream = s->ask->stream, .kind = kind->tag, .counted = true};
    s->more = true;
    return set_differs(s->r, s->ask->stream, s->seq, true, s->err);
}

static struct row_range range_of(const struct client_digest_ask *ask)
{
    struct row_range range = row_range_all(ask->stream, catalogue_kind(ask->kind));

    range.has_after = ask->has_after;
    range.after = ask->after;
    if (ask->has_upto)
        range.upto = ask->upto;
    return range;
}

/* On into the first part that differs; none any more: begin again. */
static int take_parts(struct step *s, struct slice list)
{
    struct row_range range = range_of(s->ask);
    struct digest_part *parts;
    struct digest_sum *sums;
    size_t n, i = 0;
    int ret = digest_list_parts(&s->a, list, &parts, &n);

    if (ret == E_NOMEM)
        return err_set(s->err, ret, NULL);
    if (ret != 0 || n < 2)
        return malformed(s);
    sums = arena_alloc(&s->a, n * sizeof *sums);
    if (sums == NULL)
        return err_set(s->err, E_NOMEM, NULL);
    ret = store_range_sums(s->r->store, &range, parts, n, base_of, s->r, sums, s->err);
    while (ret == 0 && i < n && digest_sum_eq(&sums[i], &parts[i].of))
        i++;
    ask_kinds(s);
    if (ret != 0 || i == n)
        return ret;
    s->next = *s->ask;
    if (i > 0) {
        s->next.has_after = true;
        s->next.after = parts[i - 1].upto;
    }
    s->next.has_upto = true;
    s->next.upto = parts[i].upto;
    return 0;
}

static int take_rows(struct step *s, struct slice list)
{
    struct row_range range = range_of(s->ask);
    struct digest_of_row *rows;
    size_t n;
    int ret = digest_list_rows(&s->a, list, &rows, &n);

    if (ret != 0)
        return ret == E_NOMEM ? err_set(s->err, ret, NULL) : malformed(s);
    ask_kinds(s);
    s->next.kind = s->ask->kind;
    ret = store_range_differing(s->r->store, &range, rows, n, base_of, s->r, s->next.ids,
                                &s->next.n_ids, s->err);
    if (s->next.n_ids == 0)
        s->next.kind = 0;
    return ret;
}

/* ---- repairing ---- */

struct replaying {
    struct arena *a;
    const struct kind *kind;
    struct row *row;
    bool broken; /* the log does not begin with the record's creation, or is damaged */
};

static int replay(void *ctx, const struct entry *e)
{
    struct replaying *p = ctx;
    uint8_t *bytes = arena_dup(p->a, e->bytes.p, e->bytes.len);
    uint8_t *side = arena_dup(p->a, e->side.p, e->side.len);
    uint8_t *verdict = arena_dup(p->a, e->verdict.p, e->verdict.len);
    struct change c;
    struct verdict v;
    int ret;

    if (bytes == NULL || side == NULL || verdict == NULL)
        return E_NOMEM;
    ret = change_decode(p->a, (struct slice){bytes, e->bytes.len}, (struct slice){side, e->side.len}, &c);
    if (ret == 0)
        ret = verdict_decode(p->a, (struct slice){verdict, e->verdict.len}, &v);
    if (ret == E_NOMEM)
        return ret;
    p->broken = p->broken || ret != 0;
    if (p->broken || c.kind != p->kind->tag)
        return 0;
    if ((p->row == NULL) != (c.op == OP_CREATE)) {
        p->broken = true;
        return 0;
    }
    if (p->row == NULL)
        p->row = row_new(p->a, p->kind, &c.record);
    return p->row == NULL ? E_NOMEM : apply_entry(p->a, p->row, &c, &v, e->seq, false);
}

/* Whether the own log makes of the record what HERE is. A log that is not here whole says nothing. */
static int log_says(struct step *s, const struct kind *kind, const struct id *id,
                    const struct digest *here, bool *ret, struct err *err)
{
    struct replaying p = {.a = &s->a, .kind = kind};
    struct replica_snapshot snapshot;
    struct digest d;
    int status = replica_snapshot(s->r, s->ask->stream, &snapshot, err);

    *ret = false;
    if (status != E_NOTFOUND)
        return status;
    status = store_record_log(s->r->store, s->ask->stream, id, replay, &p, err);
    if (status == E_CORRUPT)
        return 0;
    if (status == E_NOMEM)
        (void)err_set(err, status, NULL);
    if (status != 0 || p.broken)
        return status;
    if (p.row == NULL || here == NULL) {
        *ret = (p.row == NULL) == (here == NULL);
        return 0;
    }
    status = store_digest_of(s->r->store, p.row, &d, err);
    *ret = status == 0 && digest_eq(d, *here);
    return status;
}

static int note(struct step *s, const struct kind *kind, const struct id *id, enum repair_how how)
{
    sqlite3_stmt *st = s->r->st[RS_REPAIR_PUT];

    sql_bind_int(st, 1, (int64_t)s->now);
    sql_bind_int(st, 2, s->ask->stream);
    sql_bind_int(st, 3, kind->tag);
    sql_bind_id(st, 4, id);
    sql_bind_int(st, 5, (int64_t)s->seq);
    sql_bind_int(st, 6, how);
    return sql_run(st, s->err);
}

/* Whether it was noted already that the city's row is not what the log says. */
static int noted(struct step *s, const struct id *id)
{
    sqlite3_stmt *st = s->r->st[RS_REPAIR_NOTED];
    int status;

    sql_bind_id(st, 1, id);
    sql_bind_int(st, 2, REPAIR_CITY_DIFFERS);
    status = sql_step(st, s->err);
    sql_done(st);
    return status;
}

static int put_right(struct step *s, const struct kind *kind, const struct id *id, bool covered,
                     struct row *right)
{
    if (covered)
        return overlay_lay(s->r, &s->a, kind, id, right, s->err);
    return right != NULL ? store_row_put(s->r->store, right, s->err)
                         : store_row_delete(s->r->store, kind, id, s->err);
}

/* RIGHT is the city's row, NULL when it has none. */
static int repair_one(struct step *s, const struct kind *kind, const struct id *id,
                      struct row *right)
{
    struct digest here, there;
    struct row *base = NULL;
    bool covered = false, mine = false;
    int ret = overlay_base(s->r, &s->a, kind, id, &base, &covered, s->err);
    bool damaged = ret == E_CORRUPT;
    bool had = damaged || base != NULL;

    here = there = (struct digest){0, 0};
    if (ret != 0 && !damaged)
        return ret;
    ret = damaged || base == NULL ? 0 : store_digest_of(s->r->store, base, &here, s->err);
    if (ret == 0 && right != NULL)
        ret = store_digest_of(s->r->store, right, &there, s->err);
    if (ret != 0 || (had == (right != NULL) && !damaged && digest_eq(here, there)))
        return ret; /* an entry has mended it meanwhile */
    ret = damaged ? 0 : log_says(s, kind, id, had ? &here : NULL, &mine, s->err);
    if (ret != 0)
        return ret;
    if (!damaged && mine) {
        ret = noted(s, id);
        return ret == 0 ? note(s, kind, id, REPAIR_CITY_DIFFERS) : ret < 0 ? ret : 0;
    }
    ret = put_right(s, kind, id, covered, right);
    if (ret == 0 && had)
        ret = store_digest_move(s->r->store, base != NULL ? base->stream : s->ask->stream, kind,
                                &here, NULL, s->err);
    if (ret == 0 && right != NULL)
        ret = store_digest_move(s->r->store, s->ask->stream, kind, NULL, &there, s->err);
    if (ret != 0)
        return ret;
    s->more = true;
    return note(s, kind, id, !had ? REPAIR_ADDED : right == NULL ? REPAIR_REMOVED : REPAIR_REPLACED);
}

static int find_right(struct step *s, const Ztc__RepairRows *m, const struct kind *kind,
                      const struct id *id, struct row **ret)
{
    *ret = NULL;
    for (size_t i = 0; i < m->n_rows; i++) {
        struct row *row;
        int status = row_decode(&s->a, wire_slice(m->rows[i]), &row);

        if (status == E_NOMEM)
            return err_set(s->err, status, NULL);
        if (status != 0 || row->kind != kind || row->stream != s->ask->stream)
            return malformed(s);
        if (id_eq(&row->id, id))
            *ret = row;
    }
    return 0;
}

static int take_repair(struct step *s, const Ztc__RepairRows *m)
{
    const struct kind *kind = catalogue_kind(s->ask->kind);
    int ret = 0;

    if (m->covered > s->ask->n_ids)
        return malformed(s);
    ask_kinds(s);
    s->more = m->covered < s->ask->n_ids; /* the others in their turn */
    for (size_t i = 0; ret == 0 && i < m->covered; i++) {
        struct row *right;

        arena_clear(&s->a);
        ret = find_right(s, m, kind, &s->ask->ids[i], &right);
        if (ret == 0)
            ret = repair_one(s, kind, &s->ask->ids[i], right);
    }
    return ret;
}

static int take_tell(struct step *s, const Ztc__DigestTell *m)
{
    struct slice list = wire_slice(m->list);

    if ((m->form == ZTC__DIGEST_TELL__FORM__KINDS) != (s->ask->kind == 0))
        return malformed(s);
    if (m->form == ZTC__DIGEST_TELL__FORM__KINDS)
        return take_kinds(s, list);
    return m->form == ZTC__DIGEST_TELL__FORM__RANGES ? take_parts(s, list) : take_rows(s, list);
}

int replica_digest_step(struct replica *r, const struct client_digest_ask *ask,
                        const Ztc__DigestTell *tell, const Ztc__RepairRows *rows, msec_t now,
                        struct client_digest_ask *ret_next, bool *ret_more, struct err *err)
{
    struct step s = {.r = r, .ask = ask, .now = now, .err = err};
    int ret = replica_begin(r, err);

    if (ret != 0)
        return ret;
    arena_init(&s.a, WORK_MAX);
    s.seq = tell != NULL ? tell->seq : rows->seq;
    ret = tell != NULL ? take_tell(&s, tell) : take_repair(&s, rows);
    arena_release(&s.a);
    if (ret == 0) {
        ret = replica_commit(r, err);
        *ret_next = s.next;
        *ret_more = s.more;
        return ret;
    }
    replica_rollback(r);
    return ret;
}

/* ---- reports ---- */

static struct client_repair read_repair(sqlite3_stmt *st)
{
    return (struct client_repair){.no = (uint64_t)sqlite3_column_int64(st, 0),
                                  .at = (msec_t)sqlite3_column_int64(st, 1),
                                  .stream = (uint32_t)sqlite3_column_int64(st, 2),
                                  .kind = (uint32_t)sqlite3_column_int64(st, 3),
                                  .id = sql_id(st, 4),
                                  .seq = (uint64_t)sqlite3_column_int64(st, 5),
                                  .how = (uint32_t)sqlite3_column_int64(st, 6),
                                  .told = sqlite3_column_int(st, 7) != 0};
}

int replica_repairs_untold(struct replica *r, struct client_repair *ret, size_t max, size_t *ret_n,
                           struct err *err)
{
    sqlite3_stmt *st = r->st[RS_REPAIR_UNTOLD];
    size_t n = 0;
    int status = 0;

    while (n < max && (status = sql_step(st, err)) == 1)
        ret[n++] = read_repair(st);
    sql_done(st);
    *ret_n = n;
    return status < 0 ? status : 0;
}

int replica_repair_told(struct replica *r, uint64_t no, struct err *err)
{
    sqlite3_stmt *st = r->st[RS_REPAIR_TOLD];

    sql_bind_int(st, 1, (int64_t)no);
    return sql_run(st, err);
}

int replica_repairs(struct replica *r, int (*cb)(void *ctx, const struct client_repair *repair),
                    void *ctx, struct err *err)
{
    sqlite3_stmt *st = r->st[RS_REPAIR_EACH];
    int status;

    while ((status = sql_step(st, err)) == 1) {
        struct client_repair repair = read_repair(st);

        status = cb(ctx, &repair);
        if (status != 0)
            break;
    }
    sql_done(st);
    return status;
}
