/* Conflicts and seals: what happens where two hands did not see each other. */
#include "common/base/err.h"
#include "server/core/judge_internal.h"

struct open_conflict {
    const char *field;
    struct row *found;
};

bool judge_is_own(const struct judge *j, uint32_t stream, uint64_t seq)
{
    const struct judge_facts *f = j->facts;

    if (seq > f->stream_seq(f->ctx, stream))
        return true;
    return j->act->bytes != NULL && f->is_author(f->ctx, seq, &j->act->changes[0].replica);
}

static int match_open(void *ctx, struct row *row)
{
    struct open_conflict *o = ctx;

    if (row_in_state(row, "open") &&
        (o->field == NULL || slice_eq(row_text(row, "field"), slice_str(o->field))))
        o->found = row;
    return 0;
}

/* The open conflict of a record's field ("": of the record; NULL: any). */
static int find_open(struct judge *j, const struct row *row, const char *field,
                     struct row **ret_conflict)
{
    const struct kind *kind = catalogue_kind_named("conflict");
    const struct field *target = kind_field_named(kind, "target_id");
    struct open_conflict o = {.field = field};
    struct value id = value_id(&row->id);
    int ret = j->lookup.find(j->lookup.ctx, kind, target->tag, &id, match_open, &o);

    *ret_conflict = o.found;
    return ret;
}

/* At most one open conflict a field: a later value of the same hand updates it, another hand's stays in
 * the log until the first is decided. */
static int open_conflict(struct judge *j, const struct row *row, const char *field,
                         const struct merge_conflict *m, uint64_t later_seq)
{
    struct row *open;
    int ret = find_open(j, row, field, &open);

    if (ret != 0)
        return ret;
    if (open != NULL) {
        struct with with[] = {{"later_seq", value_int((int64_t)later_seq)}, {NULL, value_null()}};
        uint64_t before = (uint64_t)row_int(open, "later_seq");

        if (!judge_is_own(j, row->stream, before))
            return 0;
        return judge_set(j, open, with);
    }
    {
        struct with with[] = {
            {"target_kind", value_str(row->kind->name)},
            {"target_id", value_id(&row->id)},
            {"field", field[0] != '\0' ? value_str(field) : value_null()},
            {"base_seq", value_int((int64_t)m->base_seq)},
            {"later_seq", value_int((int64_t)later_seq)},
            {"stands_seq", value_int((int64_t)m->stands_seq)},
            {NULL, value_null()},
        };

        return judge_create(j, "conflict", row->stream, "open", with, NULL);
    }
}

int judge_conflicts(struct judge *j, const struct row *row, uint64_t later_seq,
                    const struct merge_result *merged)
{
    int ret = 0;

    for (size_t i = 0; ret == 0 && i < merged->n_conflicts; i++) {
        const struct merge_conflict *m = &merged->conflicts[i];
        const struct field *f = m->tag == 0 ? NULL : kind_field(row->kind, m->tag);

        ret = open_conflict(j, row, f == NULL ? "" : f->name, m, later_seq);
    }
    return ret;
}

int judge_clash(struct judge *j, const struct row *row, uint32_t tag, uint64_t seq)
{
    const struct field *f = tag == 0 ? NULL : kind_field(row->kind, tag);
    struct merge_conflict m = {.tag = tag, .base_seq = 0, .stands_seq = seq};

    if (row->stream == STREAM_CITY || row->stream == STREAM_SHARED)
        return judge_refuse(j, E_EXISTS, "“%s”与另一条记录重复", f == NULL ? row->kind->label : f->label);
    return open_conflict(j, row, f == NULL ? "" : f->name, &m, seq);
}

struct unseen {
    struct judge *j;
    const struct change *c;
    bool found;
};

static bool is_author(void *ctx, uint64_t seq, const struct id *replica)
{
    struct unseen *u = ctx;

    (void)replica; /* the act's */
    return judge_is_own(u->j, u->c->stream, seq);
}

static int child_unseen(void *ctx, struct row *child)
{
    struct unseen *u = ctx;

    if (child->stream != u->c->stream)
        return 0; /* the cursor says nothing of other streams */
    if (child->seq > u->c->seen && !judge_is_own(u->j, child->stream, child->seq))
        u->found = true;
    return 0;
}

/* The field of CHILD that points to its parent of KIND: a reference, or the id beside target_kind. */
static const struct field *parent_field(const struct kind *child, const struct kind *kind)
{
    for (unsigned i = 0; i < child->n_own; i++) {
        const struct field *f = &child->fields[i];

        if (f->indexed && ((f->type == FT_REF && f->target == kind) || f->type == FT_RID))
            return f;
    }
    return NULL;
}

static int children_unseen(struct judge *j, const struct row *row, struct unseen *u)
{
    struct value id = value_id(&row->id);
    int ret = 0;

    for (unsigned i = 0; ret == 0 && i < row->kind->n_own; i++) {
        const struct field *list = &row->kind->fields[i];
        const struct field *up;

        if (list->type != FT_LIST)
            continue;
        up = parent_field(list->target, row->kind);
        if (up != NULL)
            ret = j->lookup.find(j->lookup.ctx, list->target, up->tag, &id, child_unseen, u);
    }
    return ret;
}

int judge_seal(struct judge *j, const struct row *row, const struct change *c)
{
    struct unseen u = {.j = j, .c = c};
    struct row *open;
    int ret;

    if (merge_unseen(row, j->act->actor.side, c->seen, &c->replica, is_author, &u))
        return judge_refuse(j, E_CONFLICT, "内容已被他人修改，请复核");
    ret = children_unseen(j, row, &u);
    if (ret != 0)
        return ret;
    if (u.found)
        return judge_refuse(j, E_CONFLICT, "内容已被他人修改，请复核");
    ret = find_open(j, row, NULL, &open);
    if (ret != 0 || open == NULL)
        return ret;
    return judge_refuse(j, E_CONFLICT, "还有未处理的合并冲突，请先处理");
}

/* ---- child rows ---- */

static bool lists(const struct kind *parent, const struct kind *child)
{
    for (unsigned i = 0; parent != NULL && i < parent->n_own; i++) {
        if (parent->fields[i].type == FT_LIST && parent->fields[i].target == child)
            return true;
    }
    return false;
}

/* The kind that CHILD names beside a parent's id. */
static const struct kind *target_kind(const struct row *child)
{
    const struct field *named = kind_field_named(child->kind, "target_kind");

    for (unsigned i = 0; named != NULL && i < catalogue_n_kinds; i++) {
        if (slice_eq(row_get(child, named->tag)->s, slice_str(catalogue_kinds[i]->name)))
            return catalogue_kinds[i];
    }
    return NULL;
}

/* The kind that field F of CHILD names as its parent's; NULL when F points to no parent. */
static const struct kind *parent_kind(const struct row *child, const struct field *f)
{
    if (f->type == FT_RID)
        return target_kind(child);
    return f->type == FT_REF && lists(f->target, child->kind) ? f->target : NULL;
}

int judge_orphan(struct judge *j, const struct row *child, const struct change *c, uint64_t seq)
{
    for (unsigned i = 0; i < child->kind->n_own; i++) {
        const struct field *f = &child->kind->fields[i];
        const struct kind *kind = parent_kind(child, f);
        struct merge_conflict m = {.base_seq = c->seen};
        struct row *parent = NULL;
        struct id id;
        int ret;

        if (kind == NULL || !value_get_id(row_get(child, f->tag), &id))
            continue;
        ret = rows_get(j, kind, &id, &parent);
        if (ret != 0)
            return ret;
        if (parent == NULL || !row_voided(parent) || parent->stream != child->stream)
            continue;
        m.stands_seq = merge_field_seq(parent, TAG_VOIDED);
        if (m.stands_seq > c->seen && !judge_is_own(j, parent->stream, m.stands_seq))
            return open_conflict(j, child, "", &m, seq);
    }
    return 0;
}
