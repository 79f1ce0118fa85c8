/* One change: may its actor make it, is it valid, how does it merge; then its entry, the conflicts it
 * leaves, and what the rules make of it. */
#include "common/base/err.h"
#include "common/ledger/apply.h"
#include "server/core/judge_internal.h"
#include "server/core/rules.h"

#include <string.h>

/* Records of one act, its effects included: far above any rule, below any accident. */
#define ENTRIES_MAX 4000u

struct task {
    struct judge *j;
    struct change *c;
    const struct kind *kind;
    const struct actor *actor;
    bool values_good;   /* checked before the act came here */
    struct row *row;    /* in place */
    struct row *before; /* a copy; NULL at a creation */
    struct merge_result merged;
};

static struct check check_of(struct judge *j)
{
    return (struct check){
        .lookup = &j->lookup, .settings = j->facts->settings, .today = j->facts->today};
}

static int refused(struct judge *j, int ret, const struct err *err)
{
    if (err_is_fault(ret))
        return ret; /* the store could not answer: that is no verdict */
    return judge_refuse(j, ret, "%s", err->text[0] != '\0' ? err->text : err_text(ret));
}

int judge_next_seq(struct judge *j, uint32_t stream, uint64_t *ret_seq)
{
    for (unsigned i = 0; i < j->n_streams; i++) {
        if (j->streams[i].stream == stream) {
            *ret_seq = ++j->streams[i].seq;
            return 0;
        }
    }
    if (j->n_streams == STREAMS_MAX)
        return E_INTERNAL;
    j->streams[j->n_streams].stream = stream;
    *ret_seq = j->streams[j->n_streams].seq = j->facts->stream_seq(j->facts->ctx, stream) + 1;
    j->n_streams++;
    return 0;
}

/* ---- entries ---- */

static struct judged *add_entry(struct judge *j)
{
    struct judgement *out = j->out;

    if (out->n_entries == j->cap_entries) {
        size_t cap = j->cap_entries * 2 + 4;
        struct judged *more = arena_alloc(j->a, cap * sizeof *more);

        if (more == NULL)
            return NULL;
        if (out->n_entries > 0)
            memcpy(more, out->entries, out->n_entries * sizeof *more);
        out->entries = more;
        j->cap_entries = cap;
    }
    memset(&out->entries[out->n_entries], 0, sizeof *out->entries);
    return &out->entries[out->n_entries++];
}

/* A value that can vanish stands as a salted hash, also when the city writes it. */
static void salt_fields(struct task *t)
{
    for (size_t i = 0; i < t->c->n_fields; i++) {
        struct field_change *fc = &t->c->fields[i];
        const struct field *f = kind_field(t->kind, fc->tag);

        if (f == NULL || f->vanish == VANISH_NO || fc->form != FORM_SET)
            continue;
        fc->form = FORM_HASHED;
        random_fill(t->j->facts->random, fc->salt, SALT_SIZE);
        change_commit_value(t->j->facts->hasher, fc->salt, &fc->v, fc->hash);
    }
}

static int encode_here(struct task *t, struct judged *e)
{
    struct buf b;
    int ret;

    buf_init(&b, ACT_MAX_BYTES);
    salt_fields(t);
    change_encode(&b, t->c);
    e->bytes = (struct slice){arena_dup(t->j->a, b.p, b.len), b.len};
    ret = b.ret;
    buf_clear(&b);
    change_encode_side(&b, t->c);
    e->side = (struct slice){arena_dup(t->j->a, b.p, b.len), b.len};
    ret = ret != 0 ? ret : b.ret;
    buf_release(&b);
    if (ret == 0 && (e->bytes.p == NULL || e->side.p == NULL))
        ret = E_NOMEM;
    if (ret == 0)
        change_hash(t->j->facts->hasher, e->bytes, e->hash);
    return ret;
}

static int write_entry(struct task *t, const struct slice *bytes, const struct slice *side,
                       const uint8_t *hash)
{
    struct judge *j = t->j;
    struct judged *e = add_entry(j);
    int ret;

    if (e == NULL)
        return E_NOMEM;
    if (j->out->n_entries > ENTRIES_MAX)
        return judge_refuse(j, E_TOOBIG, "一次操作牵动的记录太多");
    ret = judge_next_seq(j, t->c->stream, &e->seq);
    if (ret != 0)
        return ret;
    if (bytes != NULL) {
        e->bytes = *bytes;
        e->side = *side;
        memcpy(e->hash, hash, HASH_SIZE);
    } else {
        t->c->n = e->seq;
        ret = encode_here(t, e);
        if (ret == E_TOOBIG)
            return judge_refuse(j, E_TOOBIG, "一次操作的内容超过 512 KiB");
    }
    e->c = *t->c;
    e->v.withheld = t->merged.withheld;
    e->v.n_withheld = t->merged.n_withheld;
    return ret;
}

/* ---- checks ---- */

/* The record of another site that a card in `shared` stands for: whoever reads the card may name it. */
static bool has_card(struct judge *j, const struct kind *target, const struct id *id)
{
    const struct kind *card = catalogue_card(target);

    return card != NULL && j->facts->exists(j->facts->ctx, card, id, STREAM_SHARED);
}

/* Readers of STREAM hold the record: a reference never points where they cannot follow. */
static bool is_within(const struct row *row, uint32_t stream)
{
    return row != NULL &&
           (row->stream == stream || row->stream == STREAM_SHARED || stream == STREAM_CITY);
}

static int check_reference(struct task *t, const struct field *f, const struct value *v)
{
    struct judge *j = t->j;
    const struct kind *target = f->target;
    size_t n = v->type == V_ID || v->type == V_IDS ? v->s.len / ID_SIZE : 0;

    for (size_t i = 0; target != NULL && i < n; i++) {
        struct id id;
        struct row *row = NULL;
        int ret;

        memcpy(id.b, v->s.p + i * ID_SIZE, ID_SIZE);
        if (j->facts->exists(j->facts->ctx, target, &id, t->c->stream))
            continue;
        ret = rows_get(j, target, &id, &row);
        if (ret != 0)
            return ret;
        if (!is_within(row, t->c->stream) && !has_card(j, target, &id))
            return judge_refuse(j, E_PARENT, "“%s”所指的%s不存在", f->label, target->label);
    }
    return 0;
}

/* How a county may bring a value: what can vanish as a hash with its value beside it, the site's own
 * sealed, everything else open. */
static bool well_formed(const struct field *f, const struct field_change *fc)
{
    if ((f->vanish != VANISH_NO) != (fc->form == FORM_HASHED))
        return false;
    if (fc->v.type == V_ERASED)
        return false;
    if (f->vanish == VANISH_SITE) /* an emptied field has nothing to seal */
        return fc->v.type == V_SEALED || fc->v.type == V_NULL;
    return fc->v.type != V_SEALED;
}

/* Elements that join a set must each be good; what becomes of the whole is a matter of merging. */
static int check_delta(struct task *t, const struct field *f, const struct field_change *fc,
                       struct err *err)
{
    bool many = f->type == FT_SET || f->type == FT_REFS || f->type == FT_FILES;
    enum value_type type = f->type == FT_SET ? V_SET : V_IDS;
    struct field one = *f;

    if (!many || t->c->op == OP_CREATE || (fc->v.type != type && fc->v.type != V_NULL) ||
        (fc->del.type != type && fc->del.type != V_NULL))
        return err_set(err, E_MALFORMED, "“%s”的填写形式不对", f->label);
    one.min = 0;
    one.max = INT64_MAX;
    return check_value(&one, &fc->v, err);
}

static int check_field(struct task *t, const struct field_change *fc)
{
    const struct field *f = kind_field(t->kind, fc->tag);
    struct err err = {.ret = 0};
    int ret;

    if (f == NULL)
        return judge_refuse(t->j, E_VERSION, "台账“%s”没有标号为 %u 的字段", t->kind->label,
                            fc->tag);
    if (!f->stored || fc->tag == TAG_STATE || (fc->tag == TAG_SITE && t->c->op != OP_CREATE))
        return judge_refuse(t->j, E_INVALID, "“%s”不能直接填写", f->label);
    if (t->actor->side == SIDE_COUNTY && !well_formed(f, fc))
        return judge_refuse(t->j, E_MALFORMED, "“%s”的填写形式不对", f->label);
    if (f->immutable && t->c->op != OP_CREATE && !value_eq(row_get(t->row, f->tag), &fc->v) &&
        !(t->actor->is_system && f->required == REQUIRED_AUTO)) /* derived, by its rule */
        return judge_refuse(t->j, E_INVALID, "“%s”登记后不能更改", f->label);
    if (!t->actor->is_system && !row_historic(t->row)) {
        ret = check_owner(t->row, f, t->actor->side, &err);
        if (ret != 0)
            return refused(t->j, ret, &err);
    }
    if (!t->values_good) {
        ret = fc->form == FORM_DELTA ? check_delta(t, f, fc, &err) : check_value(f, &fc->v, &err);
        if (ret != 0)
            return refused(t->j, ret, &err);
    }
    return check_reference(t, f, &fc->v);
}

static int check_fields(struct task *t)
{
    int ret = 0;

    for (size_t i = 0; ret == 0 && i < t->c->n_fields; i++)
        ret = check_field(t, &t->c->fields[i]);
    return ret;
}

static int check_whole(struct task *t)
{
    struct check check = check_of(t->j);
    struct err err = {.ret = 0};
    int ret = row_historic(t->row) ? 0 : check_row(&check, t->row, &err);

    return ret == 0 ? 0 : refused(t->j, ret, &err);
}

/* The row takes the values at the seq its entry will get. */
static int apply(struct task *t)
{
    struct verdict v = {.withheld = t->merged.withheld, .n_withheld = t->merged.n_withheld};
    uint64_t seq = 0;

    for (unsigned i = 0; i < t->j->n_streams; i++) {
        if (t->j->streams[i].stream == t->c->stream)
            seq = t->j->streams[i].seq + 1;
    }
    if (seq == 0)
        seq = t->j->facts->stream_seq(t->j->facts->ctx, t->c->stream) + 1;
    return apply_entry(t->j->a, t->row, t->c, &v, seq, true);
}

/* What became of the author's change N: of this act, or as the store has it. */
static uint64_t entry_of(void *ctx, uint64_t n, uint32_t tag, bool *ret_withheld)
{
    struct task *t = ctx;
    const struct judgement *out = t->j->out;
    const struct merge_history *stored = &t->j->facts->history;

    for (size_t i = out->n_entries; i > 0; i--) {
        const struct judged *e = &out->entries[i - 1];

        if (e->c.n != n || !id_eq(&e->c.replica, &t->c->replica))
            continue;
        *ret_withheld = verdict_withholds(&e->v, tag);
        return e->seq;
    }
    return stored->entry_of(stored->ctx, n, tag, ret_withheld);
}

static int merge(struct task *t)
{
    struct judge *j = t->j;
    struct merge_history history = {.entry_of = entry_of, .ctx = t};
    struct err err = {.ret = 0};
    int ret = merge_change(j->a, t->row, t->c, &history, &t->merged, &err);

    if (ret == E_CONFLICT)
        return refused(j, ret, &err);
    if (ret == 0 && t->merged.n_conflicts > 0 && t->actor->side == SIDE_CITY)
        return judge_refuse(j, E_CONFLICT, "内容已被他人修改，请刷新后再改");
    return ret;
}

/* ---- by operation ---- */

static int create(struct task *t)
{
    struct judge *j = t->j;
    struct check check = check_of(j);
    struct err err = {.ret = 0};
    struct row *there = NULL;
    int ret = rows_get(j, t->kind, &t->c->record, &there);

    if (ret != 0)
        return ret;
    if (there != NULL)
        return judge_refuse(j, E_EXISTS, "这条%s已经登记过", t->kind->label);
    t->row = row_new(j->a, t->kind, &t->c->record);
    if (t->row == NULL)
        return E_NOMEM;
    ret = apply(t);
    if (ret == 0)
        ret = check_fields(t);
    if (ret != 0)
        return ret;
    ret = t->actor->is_system ? 0 : creation_check(&check, t->row, t->actor, &err);
    if (ret != 0)
        return refused(j, ret, &err);
    ret = t->actor->is_system ? 0 : check_whole(t);
    return ret != 0 ? ret : rows_add(j, t->row);
}

/* The merge never trusts a page to have hidden its form from who may not fill it. */
static int check_role(struct task *t)
{
    struct err err = {.ret = 0};
    int ret = check_writer(t->kind, t->actor, &err);

    return ret == 0 ? 0 : refused(t->j, ret, &err);
}

static int edit(struct task *t)
{
    int ret = check_role(t);

    if (ret == 0)
        ret = check_fields(t);
    if (ret == 0)
        ret = merge(t);
    if (ret == 0)
        ret = apply(t);
    if (ret == 0 && t->merged.n_withheld == 0 && !t->actor->is_system)
        ret = check_whole(t);
    return ret;
}

/* The row as it would be, its state still `from`: what guards and required fields look at. */
static int with_values(struct task *t, struct row **ret)
{
    struct row *row = row_copy(t->j->a, t->row);

    if (row == NULL)
        return E_NOMEM;
    for (size_t i = 0; i < t->c->n_fields; i++) {
        const struct field_change *fc = &t->c->fields[i];
        struct value v = fc->v;

        if (fc->form == FORM_DELTA &&
            value_set_apply(t->j->a, row_get(row, fc->tag), &fc->v, &fc->del, &v) != 0)
            return E_NOMEM;
        row_put(row, fc->tag, v);
    }
    *ret = row;
    return 0;
}

static const char *label_of(const struct kind *kind, struct slice state)
{
    const struct code *code = code_find(kind->states, state, false);

    return code == NULL ? "" : code->label;
}

/* Somebody was faster. Where a guard of what was meant tells why that ends it, its sentence is the
 * better one. */
static int refuse_moved(struct task *t, const struct row *would)
{
    struct judge *j = t->j;
    struct check check = check_of(j);
    const struct kind *kind = t->kind;
    const struct code *from = code_find(kind->states, t->c->from, false);
    const struct transition *meant =
        from == NULL ? NULL : transition_find(kind, from->code, t->c->to);
    struct err err = {.ret = 0};
    int ret = meant == NULL ? 0 : transition_check(&check, meant, would, t->actor, &err);

    if (err_is_fault(ret))
        return refused(j, ret, &err);
    if (ret == E_GUARD && err.text[0] != '\0')
        return judge_refuse(j, E_STATE, "%s", err.text);
    return judge_refuse(j, E_STATE, "这条%s现在的状态是“%s”，不能再办理“%s”", kind->label,
                        label_of(kind, row_state(t->row)),
                        meant == NULL ? label_of(kind, t->c->to) : meant->action);
}

static int move(struct task *t)
{
    struct judge *j = t->j;
    struct check check = check_of(j);
    const struct transition *tr;
    struct err err = {.ret = 0};
    struct row *would;
    int ret = check_fields(t);

    if (ret == 0)
        ret = with_values(t, &would);
    if (ret != 0)
        return ret;
    if (row_voided(t->row) && !t->actor->is_system)
        return judge_refuse(j, E_STATE, "这条%s已经作废", t->kind->label);
    if (!slice_eq(row_state(t->row), t->c->from))
        return refuse_moved(t, would);
    ret = transition_pick(&check, would, t->c->to, t->actor, &tr, &err);
    if (ret != 0)
        return refused(j, ret, &err);
    if (tr->seals && !t->actor->is_system)
        ret = judge_seal(j, t->row, t->c);
    if (ret == 0)
        ret = merge(t);
    if (ret == 0)
        ret = apply(t);
    return ret == 0 && !t->actor->is_system ? check_whole(t) : ret;
}

/* Voiding and its undoing belong to the side that owns the kind. */
static int void_or_not(struct task *t)
{
    struct judge *j = t->j;
    const struct field_change *voided = change_field(t->c, TAG_VOIDED);
    bool wants = t->c->op == OP_VOID;
    struct err err = {.ret = 0};
    int ret = check_role(t);

    if (ret != 0)
        return ret;
    if (voided == NULL || voided->form != FORM_SET || voided->v.type != V_INT ||
        voided->v.i != (wants ? 1 : 0))
        return judge_refuse(j, E_MALFORMED, NULL);
    for (size_t i = 0; i < t->c->n_fields; i++) {
        if (t->c->fields[i].tag != TAG_VOIDED && t->c->fields[i].tag != TAG_VOID_REASON)
            return judge_refuse(j, E_MALFORMED, NULL);
    }
    ret = t->actor->is_system ? 0 : check_voider(&j->lookup, t->row, t->actor, &err);
    if (ret != 0)
        return ret == E_OWNER ? judge_refuse(j, ret, "%s", err.text) : ret;
    if (row_voided(t->row) == wants)
        return judge_refuse(j, E_STATE, wants ? "这条记录已经作废" : "这条记录没有作废");
    if (wants && value_is_null(&change_field(t->c, TAG_VOID_REASON)->v))
        return judge_refuse(j, E_INVALID, "请填写作废原因");
    if (wants && !t->actor->is_system)
        ret = judge_seal(j, t->row, t->c);
    if (ret == 0)
        ret = merge(t);
    return ret == 0 ? apply(t) : ret;
}

static int on_existing(struct task *t)
{
    struct judge *j = t->j;
    int ret = rows_get(j, t->kind, &t->c->record, &t->row);

    if (ret != 0)
        return ret;
    if (t->row == NULL)
        return judge_refuse(j, E_PARENT, "要更改的%s不存在", t->kind->label);
    if (t->row->stream != t->c->stream)
        return judge_refuse(j, E_DENIED, "这条%s不在本单位的数据里", t->kind->label);
    t->before = row_copy(j->a, t->row);
    if (t->before == NULL)
        return E_NOMEM;
    rows_touch(j, t->row, t->before);
    switch (t->c->op) {
    case OP_SET:
        return edit(t);
    case OP_TRANSITION:
        return move(t);
    case OP_VOID:
        if (change_field(t->c, TAG_VOID_REASON) == NULL)
            return judge_refuse(j, E_INVALID, "请填写作废原因");
        return void_or_not(t);
    case OP_UNVOID:
        return void_or_not(t);
    default:
        return judge_refuse(j, E_GUARD_LATER, NULL);
    }
}

/* A set into which two replicas together put too much, or from which they took too much. A city user has
 * the whole set before him and is told. */
static int check_sets(struct task *t, uint64_t seq)
{
    struct err err = {.ret = 0};
    int ret = 0;

    for (size_t i = 0; ret == 0 && i < t->c->n_fields; i++) {
        uint32_t tag = t->c->fields[i].tag;

        if (t->c->fields[i].form != FORM_DELTA ||
            check_value(kind_field(t->kind, tag), row_get(t->row, tag), &err) == 0)
            continue;
        ret = t->actor->side == SIDE_CITY ? refused(t->j, E_INVALID, &err)
                                          : judge_clash(t->j, t->row, tag, seq);
    }
    return ret;
}

static int check_clash(struct task *t, uint64_t seq)
{
    struct check check = check_of(t->j);
    struct err err = {.ret = 0};
    uint32_t tag = 0;
    int ret;

    if (t->actor->is_system || row_voided(t->row))
        return 0;
    ret = check_sets(t, seq);
    if (ret != 0)
        return ret;
    ret = check_shared(&check, t->row, &tag, &err);
    if (ret != E_CONFLICT)
        return ret;
    return judge_clash(t->j, t->row, tag, seq);
}

int judge_change(struct judge *j, struct change *c, const struct slice *bytes,
                 const struct slice *side, const uint8_t *hash, const struct actor *actor,
                 struct row **ret_row)
{
    struct task t = {.j = j,
                     .c = c,
                     .kind = catalogue_kind(c->kind),
                     .actor = actor,
                     .values_good = bytes != NULL && j->act->values_good};
    uint64_t seq;
    int ret;

    if (t.kind == NULL || t.kind->stream == STREAM_RULE_NONE)
        return judge_refuse(j, E_VERSION, "市级程序不认识标号为 %u 的台账", c->kind);
    ret = c->op == OP_CREATE ? create(&t) : on_existing(&t);
    if (ret == 0)
        ret = write_entry(&t, bytes, side, hash);
    if (ret != 0)
        return ret;
    seq = j->out->entries[j->out->n_entries - 1].seq;
    if (ret_row != NULL)
        *ret_row = t.row;
    ret = judge_conflicts(j, t.row, seq, &t.merged);
    if (ret == 0 && c->op == OP_CREATE && bytes != NULL)
        ret = judge_orphan(j, t.row, c, seq);
    if (ret == 0)
        ret = check_clash(&t, seq);
    if (ret != 0 || row_historic(t.row))
        return ret;
    return rules_after(j, c, t.before, t.row);
}
