/* Writing an act: who writes, its drafts one after another, then bytes, chain and place.
 *
 * A single draft is judged before anything is written, so that an import needs no savepoint a row (they
 * copy every page they touch). Of several, later ones see the records of the earlier ones; a refusal
 * among them rolls back to where the act began. */
#include "client/store/replica_internal.h"

#include "common/base/mem.h"
#include "common/ledger/apply.h"

#include <string.h>

/* ---- who ---- */

static void actor_of(const struct replica *r, const struct row *row, struct actor *ret)
{
    *ret = (struct actor){.account = row->id,
                          .roles = roles_of(row_named(row, "role")),
                          .site = r->own.site,
                          .side = SIDE_COUNTY};
}

static bool is_active(const struct row *row)
{
    return row_int(row, "active") != 0 && !row_voided(row);
}

/* The site's first account until its stream has brought it: a new computer works at once. */
static bool is_first_clerk(const struct replica *r, const struct id *account)
{
    struct stream_head h;

    return !id_is_zero(account) && id_eq(account, &r->own.clerk) &&
           store_stream_get(r->store, r->own.site, &h, NULL) == 0 && h.seq == 0;
}

static void first_clerk(const struct replica *r, struct actor *ret)
{
    *ret = (struct actor){.account = r->own.clerk,
                          .roles = role_bit(slice_str("county_clerk")) |
                                   role_bit(slice_str("county_lead")) |
                                   role_bit(slice_str("studio_user")),
                          .site = r->own.site,
                          .side = SIDE_COUNTY};
}

static int find_actor(struct replica *r, struct arena *a, const struct id *account, struct err *err)
{
    struct row *row;
    int ret;

    if (r->has_actor && id_eq(&r->actor.account, account))
        return 0;
    ret = store_row_get(r->store, a, catalogue_kind_named("user_account"), account, &row, err);
    if (ret != 0)
        return ret;
    if (row == NULL && is_first_clerk(r, account)) {
        first_clerk(r, &r->actor);
    } else {
        if (row == NULL)
            return err_set(err, E_ROLE, "没有此账户");
        if (!is_active(row))
            return err_set(err, E_ROLE, "此账户已停用");
        actor_of(r, row, &r->actor);
    }
    r->has_actor = true;
    return 0;
}

struct accounts {
    struct arena *a;
    const char *login; /* NULL: any */
    struct row *found;
    unsigned n, inactive;
    struct buf names;
};

static int see_account(void *ctx, struct row *row)
{
    struct accounts *f = ctx;
    struct slice login = row_text(row, "login");

    if (f->login != NULL && !slice_eq(login, slice_str(f->login)))
        return 0;
    if (!is_active(row)) {
        f->inactive++;
        return 0;
    }
    if (f->n++ == 0) {
        f->found = row_dup(f->a, row);
        if (f->found == NULL)
            return E_NOMEM;
    }
    buf_printf(&f->names, "%s%.*s", f->names.len == 0 ? "" : "、", (int)login.len,
               (const char *)login.p);
    return 0;
}

static int choose_actor(struct replica *r, struct accounts *f, const char *login, struct actor *ret,
                        struct err *err)
{
    if (f->n > 1)
        return err_set(err, E_USAGE, "本单位有几个账户，请用 --as 指明：%s", buf_cstr(&f->names));
    if (f->n == 1) {
        actor_of(r, f->found, ret);
        return 0;
    }
    if (f->inactive > 0)
        return err_set(err, E_DENIED, "账户已停用");
    if (is_first_clerk(r, &r->own.clerk) && (login == NULL || strcmp(login, "clerk") == 0)) {
        first_clerk(r, ret);
        return 0;
    }
    return login != NULL ? err_set(err, E_NOTFOUND, "没有登录名为“%s”的账户", login)
                         : err_set(err, E_NOTFOUND, "本单位还没有账户，请先同步");
}

int replica_actor(struct replica *r, const char *login, struct actor *ret, struct err *err)
{
    struct arena a;
    struct accounts f = {.a = &a, .login = login};
    int status;

    arena_init(&a, WORK_MAX);
    buf_init(&f.names, ERR_TEXT_MAX);
    status = store_row_list(r->store, catalogue_kind_named("user_account"), NULL, 0, r->own.site, 0,
                            see_account, &f, err);
    if (status == 0)
        status = choose_actor(r, &f, login, ret, err);
    else if (status == E_NOMEM)
        (void)err_set(err, status, NULL);
    buf_release(&f.names);
    arena_release(&a);
    return status;
}

/* ---- keeping ---- */

/* Where a change's bytes and sidecar lie in the act's buffer. */
struct span {
    size_t bytes, bytes_len, side_len;
};

bool change_holds_pii(const struct change *c)
{
    const struct kind *kind = catalogue_kind(c->kind);

    for (size_t i = 0; i < c->n_fields; i++) {
        const struct field *f = kind_field(kind, c->fields[i].tag);

        if (f != NULL && f->vanish == VANISH_PII && c->fields[i].form == FORM_HASHED)
            return true;
    }
    return false;
}

static int encode_act(struct writing *w, struct buf *out, struct span *spans, struct err *err)
{
    for (size_t i = 0; i < w->n; i++) {
        struct change *c = &w->changes[i];

        c->act_pos = (uint32_t)i;
        c->act_len = (uint32_t)w->n;
        spans[i].bytes = out->len;
        change_encode(out, c);
        spans[i].bytes_len = out->len - spans[i].bytes;
        change_encode_side(out, c);
        spans[i].side_len = out->len - spans[i].bytes - spans[i].bytes_len;
    }
    if (out->ret == E_TOOBIG)
        return err_set(err, E_TOOBIG, "一次操作的内容超过 %u KiB", ACT_MAX_BYTES / 1024);
    return out->ret == 0 ? 0 : err_set(err, out->ret, NULL);
}

static int keep_change(struct writing *w, const struct change *c, struct slice bytes,
                       struct slice side, size_t act_bytes, struct err *err)
{
    struct replica *r = w->r;
    sqlite3_stmt *st = r->st[RS_PENDING_PUT];
    uint8_t hash[HASH_SIZE];
    struct slice rest;
    int ret;

    change_hash(r->hasher, bytes, hash);
    /* The bytes hold the hashes of the salted values, so their hash is a seed that never repeats. */
    ret = rest_seal(r, side, change_holds_pii(c), (struct slice){hash, HASH_SIZE}, &rest, err);
    if (ret != 0)
        return ret;
    sql_bind_int(st, 1, (int64_t)c->n);
    sql_bind_int(st, 2, (int64_t)(c->n - c->act_pos));
    sql_bind_int(st, 3, c->act_len);
    sql_bind_int(st, 4, (int64_t)act_bytes);
    sql_bind_id(st, 5, &c->record);
    sql_bind_int(st, 6, c->kind);
    sql_bind_blob(st, 7, bytes);
    sql_bind_blob(st, 8, rest);
    sql_bind_blob(st, 9, (struct slice){hash, HASH_SIZE});
    sql_bind_blob(st, 10, (struct slice){r->own.chain, HASH_SIZE});
    ret = sql_run(st, err);
    if (ret != 0)
        return ret;
    r->own.n = c->n;
    own_chain_next(r->hasher, r->own.chain, hash);
    r->own_moved = true;
    return 0;
}

static int keep_act(struct writing *w, struct err *err)
{
    struct own before = w->r->own;
    struct span *spans = arena_alloc(w->a, w->n * sizeof *spans);
    struct buf act;
    int ret;

    if (spans == NULL)
        return err_set(err, E_NOMEM, NULL);
    buf_init(&act, ACT_MAX_BYTES);
    ret = encode_act(w, &act, spans, err);
    for (size_t i = 0; ret == 0 && i < w->n; i++) {
        struct slice bytes = {act.p + spans[i].bytes, spans[i].bytes_len};
        struct slice side = {bytes.p + bytes.len, spans[i].side_len};

        ret = keep_change(w, &w->changes[i], bytes, side, act.len, err);
    }
    buf_release(&act);
    if (ret != 0)
        w->r->own = before;
    return ret;
}

/* ---- an act ---- */

static int judge_all(struct writing *w, struct draft *drafts, size_t n, struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        bool made;
        int ret = draft_judge(w, &drafts[i], &made, err);

        if (ret != 0)
            return ret;
        w->n += made;
    }
    return w->n > 0 ? keep_act(w, err) : 0;
}

/* What the city has set, as far as `shared` has come. */
static int read_settings(struct replica *r, struct err *err)
{
    int ret;

    if (r->has_settings)
        return 0;
    setting_table_clear(&r->setting_rows);
    ret = store_row_each(r->store, catalogue_kind_named("setting"), setting_table_take,
                         &r->setting_rows, err);
    r->settings = setting_table_settings(&r->setting_rows);
    r->has_settings = ret == 0;
    return ret == E_NOMEM ? err_set(err, ret, NULL) : ret;
}

int replica_setting(struct replica *r, const char *name, int64_t *ret, struct err *err)
{
    struct replica_facts f;
    int status;

    r->has_settings = false;
    status = read_settings(r, err);
    if (status == 0)
        status = replica_facts(r, &f, err);
    if (status == 0)
        *ret = setting(&r->settings, name, f.site);
    return status;
}

static int prepare(struct writing *w, size_t n, const struct id *account, struct err *err)
{
    struct replica *r = w->r;
    struct stream_head h;
    int ret;

    if (n > ACT_MAX_CHANGES)
        return err_set(err, E_TOOBIG, "一次操作最多 %u 项更改", ACT_MAX_CHANGES);
    ret = find_actor(r, w->a, account, err);
    if (ret == 0)
        ret = read_settings(r, err);
    if (ret == 0 && w->seen == UINT64_MAX) {
        ret = store_stream_get(r->store, r->own.site, &h, err);
        w->seen = h.seq;
    }
    if (ret != 0)
        return ret;
    w->actor = r->actor;
    w->changes = arena_alloc(w->a, n * sizeof *w->changes);
    if (w->changes == NULL)
        return err_set(err, E_NOMEM, NULL);
    w->rows = (struct store_lookup){.store = r->store, .arena = w->a};
    w->lookup = store_lookup(&w->rows);
    w->check = (struct check){
        .lookup = &w->lookup, .settings = &r->settings, .today = cal_day_of(w->now)};
    return 0;
}

static int write_act(struct writing *w, const struct id *account, struct draft *drafts, size_t n,
                     struct err *err)
{
    struct replica *r = w->r;
    int ret = prepare(w, n, account, err);

    if (ret != 0)
        return ret;
    if (n == 1 || !r->open)
        return judge_all(w, drafts, n, err);
    ret = replica_serial_flush(r, err); /* or the rollback would forget numbers of earlier acts */
    if (ret == 0)
        ret = store_savepoint(r->store, err);
    if (ret != 0)
        return ret;
    ret = judge_all(w, drafts, n, err);
    if (ret == 0)
        return store_savepoint_release(r->store, err);
    r->serial.kind = NULL;
    if (store_savepoint_rollback(r->store, NULL) != 0)
        r->failed = true;
    return ret;
}

/* An agent that watches the files pushes at once. */
static int finish(struct replica *r, struct err *err)
{
    int ret = replica_commit(r, err);

    if (ret == 0)
        store_touch(r->store);
    return ret;
}

int replica_write(struct replica *r, struct arena *a, const struct id *account,
                  struct draft *drafts, size_t n, uint64_t seen, msec_t now, struct err *err)
{
    struct writing w = {.r = r, .a = a, .now = now, .seen = seen};
    bool alone = !r->open;
    int ret = 0;

    if (n == 0)
        return 0;
    if (r->failed)
        return err_set(err, E_STATE, "此前的写入已失败，请撤销后重试");
    if (alone)
        ret = replica_begin(r, err);
    if (ret != 0)
        return ret;
    ret = write_act(&w, account, drafts, n, err);
    if (!alone) {
        r->failed |= err_is_fault(ret); /* half an act, or no going on */
        return ret;
    }
    if (ret == 0)
        return finish(r, err);
    replica_rollback(r);
    return ret;
}

int replica_write_begin(struct replica *r, struct err *err)
{
    int ret = r->open ? err_set(err, E_STATE, "写入尚未结束") : replica_begin(r, err);

    r->open |= ret == 0;
    return ret;
}

int replica_write_end(struct replica *r, bool commit, struct err *err)
{
    if (!r->open)
        return err_set(err, E_STATE, "没有正在进行的写入");
    if (commit && !r->failed)
        return finish(r, err);
    commit = commit && r->failed;
    replica_rollback(r);
    return commit ? err_set(err, E_STATE, "此前的写入已失败，未写入任何内容") : 0;
}
