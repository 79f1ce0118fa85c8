/* Acts into entries: a replica's act is answered by its entries or by a refusal, in the order of n and
 * once; a city user's act is written or refused on the spot. */
#include "server/store/city_blob.h"
#include "server/store/city_internal.h"

#include <string.h>


/* ---- writing what was judged ---- */

static int append(struct city *c, struct judged *e, struct err *err)
{
    struct city_stream *s = city_stream(c, e->c.stream);
    struct entry entry = {.stream = e->c.stream,
                          .seq = e->seq,
                          .received_at = c->now,
                          .bytes = e->bytes,
                          .side = e->side};
    struct buf verdict;
    int ret;

    if (s == NULL || e->seq != s->now.seq + 1)
        return err_set(err, E_INTERNAL, "数据流 %u 的序号不连续", e->c.stream);
    buf_init(&verdict, ACT_MAX_BYTES);
    verdict_encode(&verdict, &e->v);
    entry.verdict = buf_slice(&verdict);
    chain_next(c->hasher, s->now.hash, e->seq, c->now, entry.verdict, e->hash, entry.hash);
    ret = verdict.ret != 0 ? err_set(err, verdict.ret, NULL)
                           : store_entry_append(c->store, &entry, &e->c, err);
    if (ret == 0 && c->appended != NULL)
        c->appended(c->appended_ctx, &entry);
    buf_release(&verdict);
    if (ret != 0)
        return ret;
    s->now.seq = e->seq;
    s->now.incarnation = c->incarnation;
    memcpy(s->now.hash, entry.hash, HASH_SIZE);
    s->advanced = true;
    return 0;
}

static int put_row(struct city *c, const struct row *before, const struct row *row, struct err *err)
{
    int ret = before != NULL ? store_row_leaves(c->store, before, err) : 0;

    if (ret == 0)
        ret = store_row_comes(c->store, row, err);
    return ret == 0 ? store_row_put(c->store, row, err) : ret;
}

int city_write(struct city *c, const struct judgement *judged, struct err *err)
{
    int ret = c->recovering != 0 ? err_set(err, E_RECOVERING, "市级数据正在恢复，暂不能办理") : 0;

    for (size_t i = 0; ret == 0 && i < judged->n_entries; i++)
        ret = append(c, &judged->entries[i], err);
    for (size_t i = 0; ret == 0 && i < judged->n_rows; i++) {
        ret = put_row(c, judged->before[i], judged->rows[i], err);
        if (strcmp(judged->rows[i]->kind->name, "user_account") == 0)
            c->n_actors = 0;
        else if (strcmp(judged->rows[i]->kind->name, "setting") == 0)
            c->settings_read = false;
    }
    return ret != 0 ? ret : city_counters_put(c, err);
}

/* Judge ACT by what the store holds. One that meets the bound of an act's memory is refused: it would
 * meet it again at every try, and nobody else's would be written. */
static int judge(struct city *c, const struct judge_facts *facts, const struct act *act,
                 struct judgement *ret, struct err *err)
{
    int status = judge_act(&c->arena, facts, act, ret);

    if (c->asked != 0)
        status = c->asked;
    if (status == E_NOMEM && c->arena.full) {
        *ret = (struct judgement){.at = 0};
        ret->ret = err_set(&ret->err, E_TOOBIG, "一次操作牵动的内容太多，请分几次办理");
        return 0;
    }
    if (status == E_INTERNAL && c->asked == 0) { /* a rule's own fault, not the store's */
        *ret = (struct judgement){.at = 0};
        ret->ret =
            err_set(&ret->err, E_INTERNAL, "市级的办理规则出错，这项更改没有办成，请告知市级");
        return 0;
    }
    return status == 0 ? 0 : err_set(err, status, NULL);
}

int city_act(struct city *c, const struct act *act, struct err *err)
{
    struct judge_facts facts;
    struct judgement judged;
    int ret;

    if (c->recovering != 0)
        return err_set(err, E_RECOVERING, "市级数据正在恢复，暂不能办理；ztcd recover 显示进展");
    ret = city_replica_keep(c, err);
    if (ret != 0)
        return ret;
    ret = city_blob_guard(c, act, err);
    if (ret != 0)
        return ret;
    arena_clear(&c->arena);
    c->replica.no = 0;
    facts = city_facts(c);
    ret = judge(c, &facts, act, &judged, err);
    if (ret != 0)
        return ret;
    if (judged.ret != 0)
        return err_set(err, judged.ret, "%s", judged.err.text);
    return city_write(c, &judged, err);
}

/* ---- pushes ---- */

/* The replica's own chain over change AT of ACT: made beforehand if it was rightly guessed. */
static void advance_own_chain(struct city *c, const struct act *act, size_t at)
{
    if (act->chains != NULL && memcmp(act->chains[at], c->replica.own_chain, HASH_SIZE) == 0)
        memcpy(c->replica.own_chain, act->chains[at + 1], HASH_SIZE);
    else
        own_chain_next(c->hasher, c->replica.own_chain, act->hashes[at]);
}

static int put_processed(struct city *c, const struct act *act, size_t at, uint64_t seq,
                         struct err *err)
{
    sqlite3_stmt *st = c->st[CS_PROCESSED_PUT];

    advance_own_chain(c, act, at);
    sql_bind_int(st, 1, POS(c->replica.no, act->changes[at].n));
    sql_bind_int(st, 2, (int64_t)seq);
    sql_bind_blob(st, 3, (struct slice){c->replica.own_chain, HASH_SIZE});
    return sql_run(st, err);
}

static void answered(struct city *c, const struct act *act)
{
    c->replica.accepted_n = act->changes[act->n - 1].n;
    c->replica_ahead = true;
}

int city_replica_keep(struct city *c, struct err *err)
{
    sqlite3_stmt *st = c->st[CS_REPLICA_ANSWERED];

    if (!c->replica_ahead)
        return 0;
    c->replica_ahead = false;
    sql_bind_int(st, 1, c->replica.no);
    sql_bind_int(st, 2, (int64_t)c->replica.accepted_n);
    sql_bind_blob(st, 3, (struct slice){c->replica.own_chain, HASH_SIZE});
    return sql_run(st, err);
}

/* Effects are skipped: they bear another replica. */
uint64_t city_seq_of(const struct city *c, const struct judgement *judged, const struct change *change)
{
    for (size_t i = 0; i < judged->n_entries; i++) {
        if (judged->entries[i].c.n == change->n &&
            id_eq(&judged->entries[i].c.replica, &c->replica.id))
            return judged->entries[i].seq;
    }
    return 0;
}

static int put_refused_record(struct city *c, const struct change *change, uint64_t first_n,
                              struct err *err)
{
    sqlite3_stmt *st = c->st[CS_REFUSED_PUT];

    sql_bind_int(st, 1, c->replica.no);
    sql_bind_id(st, 2, &change->record);
    sql_bind_int(st, 3, (int64_t)first_n);
    sql_bind_int(st, 4, change->op == OP_CREATE);
    return sql_run(st, err);
}

static int put_refusal(struct city *c, const struct act *act, const struct judgement *judged,
                       struct err *err)
{
    sqlite3_stmt *st = c->st[CS_REFUSAL_PUT];
    uint64_t first_n = act->changes[0].n;
    struct buf bytes;
    int ret;

    buf_init(&bytes, REFUSAL_MAX);
    for (size_t i = 0; i < act->n; i++) {
        buf_bytes(&bytes, act->bytes[i]);
        buf_bytes(&bytes, act->sides[i]);
    }
    sql_bind_int(st, 1, POS(c->replica.no, first_n));
    sql_bind_int(st, 2, (int64_t)act->changes[act->n - 1].n);
    sql_bind_int(st, 3, (int64_t)act->changes[judged->at < act->n ? judged->at : 0].n);
    sql_bind_text(st, 4, slice_str(err_code(judged->ret)));
    sql_bind_text(st, 5, slice_str(judged->err.text));
    sql_bind_int(st, 6, judged->ret == E_QUARANTINE);
    sql_bind_blob(st, 7, buf_slice(&bytes));
    ret = bytes.ret != 0 ? err_set(err, bytes.ret, NULL) : sql_run(st, err);
    sql_done(st);
    buf_release(&bytes);
    for (size_t i = 0; ret == 0 && i < act->n; i++)
        ret = put_refused_record(c, &act->changes[i], first_n, err);
    c->replica_refuses = true;
    return ret;
}

/* How a record falls with what was refused before. */
struct fall {
    bool falls;
    bool created; /* so does what refers to it */
    bool kept;    /* every one of those refusals still waits for a decision */
};

static struct fall fallen(struct city *c, const struct id *record, uint64_t n)
{
    sqlite3_stmt *st = c->st[CS_REFUSED_FIND];
    struct fall f = {.falls = false};
    int status;

    sql_bind_int(st, 1, c->replica.no);
    sql_bind_id(st, 2, record);
    sql_bind_int(st, 3, (int64_t)n);
    status = sql_step(st, NULL);
    if (status == 1 && sqlite3_column_type(st, 0) != SQLITE_NULL)
        f = (struct fall){true, sqlite3_column_int(st, 0) != 0, sqlite3_column_int(st, 1) != 0};
    city_failed(c, status);
    sql_done(st);
    return f;
}

/* The change refers to a record whose creation was refused. */
static struct fall refers_to_fallen(struct city *c, const struct change *change)
{
    struct fall kept = {.falls = false};

    for (size_t i = 0; i < change->n_fields; i++) {
        const struct value *v = &change->fields[i].v;
        size_t n = v->type == V_ID || v->type == V_IDS ? v->s.len / ID_SIZE : 0;

        for (size_t k = 0; k < n; k++) {
            struct fall f;
            struct id id;

            memcpy(id.b, v->s.p + k * ID_SIZE, ID_SIZE);
            f = fallen(c, &id, change->n);
            if (f.created && !f.kept)
                return f;
            if (f.created)
                kept = f;
        }
    }
    return kept;
}

/* What follows a refused act is refused with it, and what follows one that is kept aside is kept: released
 * in their order they all stand. */
static bool falls(struct city *c, const struct act *act, struct judgement *judged)
{
    bool kept = false;

    for (size_t i = 0; c->replica_refuses && i < act->n; i++) {
        struct fall own = fallen(c, &act->changes[i].record, act->changes[i].n);
        struct fall other = refers_to_fallen(c, &act->changes[i]);

        if (!kept)
            judged->at = i;
        kept = kept || own.falls || other.falls;
        if ((!own.falls || own.kept) && (!other.falls || other.kept))
            continue;
        judged->at = i;
        judged->ret = err_set(&judged->err, own.falls && !own.kept ? E_AFTER : E_PARENT, NULL);
        return true;
    }
    if (kept)
        judged->ret = err_set(&judged->err, E_QUARANTINE,
                              "此前对该记录的更改还在暂存，这项随它一并暂存");
    return kept;
}

/* Who acts, as the site's stream knows him; the replica's word for who sat there. */
static int judge_actor_of(struct city *c, struct act *act, struct judgement *judged,
                          struct err *err)
{
    bool known;
    int ret;

    if (id_is_zero(&act->changes[0].actor)) {
        judged->ret = err_set(&judged->err, E_DENIED, "不能以系统名义提交更改");
        return 0;
    }
    ret = city_account(c, &act->changes[0].actor, c->replica.site, &act->actor, &known, err);
    if (ret == E_QUARANTINE)
        judged->ret = err_set(&judged->err, ret, "提交更改的账户已停用，更改暂存待市级核准");
    else if (ret == 0 && !known)
        judged->ret = err_set(&judged->err, E_ROLE, "提交更改的账户不存在");
    return ret == E_QUARANTINE ? 0 : ret;
}

/* A role that is missing now may have been there when the author looked, or later: where it would do, a person
 * decides. */
static int judge_lost_role(struct city *c, const struct judge_facts *facts, struct act *act,
                           struct judgement *judged, struct err *err)
{
    uint64_t seen = act->changes[judged->at].seen;
    struct judgement with_role;
    uint32_t roles;
    size_t at = judged->at;
    int ret = city_roles_since(c, &act->actor.account, c->replica.site, seen, &roles, err);

    if (ret != 0 || (roles & ~act->actor.roles) == 0)
        return ret;
    act->actor.roles |= roles;
    ret = judge(c, facts, act, &with_role, err);
    if (ret != 0 || with_role.ret == E_ROLE)
        return ret;
    *judged = (struct judgement){.at = at};
    judged->ret =
        err_set(&judged->err, E_QUARANTINE, "提交更改的账户已不再有所需角色，更改暂存待市级核准");
    return 0;
}

/* What is kept aside without looking into it. */
static bool is_kept(const struct city *c, bool condemned, struct judgement *judged)
{
    if (condemned)
        judged->ret =
            err_set(&judged->err, E_QUARANTINE, "市级程序两次在这项更改上中断，已暂存待市级查明");
    else if (c->replica.state == REPLICA_RETIRED)
        judged->ret = err_set(&judged->err, E_QUARANTINE, "本机已停用，更改暂存待市级核准");
    return judged->ret != 0;
}

int city_judge_kept(struct city *c, const struct act *act, struct judgement *ret, struct err *err)
{
    struct judge_facts facts = city_facts(c);

    *ret = (struct judgement){.ret = 0};
    c->act_stream = c->replica.site;
    return judge(c, &facts, act, ret, err);
}

static int judge_push(struct city *c, struct act *act, bool condemned, struct judgement *judged,
                      struct err *err)
{
    struct judge_facts facts = city_facts(c);
    int ret;

    *judged = (struct judgement){.ret = 0};
    if (is_kept(c, condemned, judged))
        return 0;
    if (c->on_act != NULL)
        c->on_act(c->on_act_ctx, act);
    if (falls(c, act, judged) || c->asked != 0)
        return c->asked == 0 ? 0 : err_set(err, c->asked, NULL);
    ret = judge_actor_of(c, act, judged, err);
    if (ret != 0 || judged->ret != 0)
        return ret;
    c->act_stream = c->replica.site;
    ret = judge(c, &facts, act, judged, err);
    return ret == 0 && judged->ret == E_ROLE ? judge_lost_role(c, &facts, act, judged, err) : ret;
}

int city_load_replica(struct city *c, const struct id *replica, struct err *err)
{
    sqlite3_stmt *st = c->st[CS_REFUSED_ANY];
    int ret;

    if (c->replica.no != 0 && id_eq(&c->replica.id, replica))
        return 0;
    ret = city_replica_get(c, replica, &c->replica, err);
    if (ret == 0) {
        sql_bind_int(st, 1, c->replica.no);
        ret = sql_step(st, err);
        c->replica_refuses = ret == 1 && sqlite3_column_int(st, 0) != 0;
        sql_done(st);
    }
    if (ret < 0)
        c->replica.no = 0;
    return ret < 0 ? ret : 0;
}

static bool in_order(const struct city *c, const struct act *act)
{
    for (size_t i = 0; i < act->n; i++) {
        const struct change *change = &act->changes[i];

        if (change->n != c->replica.accepted_n + 1 + i || change->act_pos != i ||
            change->act_len != act->n || !id_eq(&change->replica, &c->replica.id))
            return false;
    }
    return act->n > 0;
}

int city_push_known(struct city *c, const struct id *replica, const struct act *act, struct err *err)
{
    uint64_t last = act->changes[act->n - 1].n;
    uint8_t chain[HASH_SIZE];
    int ret = city_load_replica(c, replica, err);

    if (ret != 0)
        return ret;
    if (c->replica.state == REPLICA_LOST)
        return err_set(err, E_REVOKED, NULL);
    if (last > c->replica.accepted_n)
        return memcmp(act->chains[0], c->replica.own_chain, HASH_SIZE) == 0 ? 0 : err_set(err, E_CLOSED, NULL);
    ret = city_replica_chain(c, replica, last, chain, err);
    if (ret == E_NOTFOUND || (ret == 0 && memcmp(act->chains[act->n], chain, HASH_SIZE) != 0))
        return err_set(err, E_CLOSED, NULL);
    return ret == 0 ? 1 : ret;
}

/* The act came back with its stream before its author said it again: it has its entries. 1: so it is. */
static int answer_found(struct city *c, const struct act *act, struct err *err)
{
    sqlite3_stmt *st = c->st[CS_PROCESSED_GET];
    int ret;

    sql_bind_int(st, 1, POS(c->replica.no, act->changes[0].n));
    ret = sql_step(st, err);
    sql_done(st);
    if (ret != 1)
        return ret;
    st = c->st[CS_PROCESSED_ADOPT];
    for (size_t i = 0; i < act->n; i++) {
        advance_own_chain(c, act, i);
        sql_bind_int(st, 1, POS(c->replica.no, act->changes[i].n));
        sql_bind_blob(st, 2, (struct slice){c->replica.own_chain, HASH_SIZE});
        ret = sql_run(st, err);
        if (ret != 0)
            return ret;
    }
    answered(c, act);
    return 1;
}

static int answer_act(struct city *c, const struct act *act, bool condemned, bool *ret_refused,
                      struct err *err)
{
    struct act judged_act = *act;
    struct judgement judged;
    int ret;

    arena_clear(&c->arena);
    *ret_refused = false;
    ret = c->restored ? answer_found(c, act, err) : 0;
    if (ret != 0)
        return ret < 0 ? ret : 0;
    ret = judge_push(c, &judged_act, condemned, &judged, err);
    if (ret == 0)
        ret = judged.ret == 0 ? city_write(c, &judged, err) : put_refusal(c, act, &judged, err);
    for (size_t i = 0; ret == 0 && i < act->n; i++)
        ret = put_processed(c, act, i,
                            judged.ret == 0 ? city_seq_of(c, &judged, &act->changes[i]) : 0, err);
    if (ret == 0)
        answered(c, act);
    *ret_refused = judged.ret != 0;
    return ret;
}

int city_push_act(struct city *c, const struct id *replica, const struct act *act,
                  bool *ret_refused, struct err *err)
{
    bool condemned;
    int ret = city_load_replica(c, replica, err);

    if (ret != 0)
        return ret;
    if (c->replica.state == REPLICA_LOST)
        return err_set(err, E_REVOKED, NULL);
    if (c->recovering != 0)
        return err_set(err, E_RECOVERING, NULL);
    if (!in_order(c, act))
        return err_set(err, E_PROTOCOL, "更改的编号不连续");
    ret = city_cap_seen(c, act->changes, act->n, err);
    if (ret != 0)
        return ret;
    condemned = marker_condemns(c->marker, replica, act->changes[0].n);
    marker_enter(c->marker, replica, act->changes[0].n);
    ret = answer_act(c, act, condemned, ret_refused, err);
    marker_leave(c->marker);
    return ret == 0 && condemned ? city_alert_poison(c, &act->changes[0].actor, err) : ret;
}
