/* Finding and judging transitions and creations. */
#include <stdio.h>
#include <string.h>

#include "common/catalogue/guards.h"
#include "common/catalogue/rules.h"

#define GUARD_MEMORY ((size_t)16 << 20)

uint32_t rules_roles_here(const struct actor *actor)
{
    enum side other = actor->side == SIDE_CITY ? SIDE_COUNTY : SIDE_CITY;
    uint32_t roles = 0;

    if (actor->side == SIDE_BOTH) {
        return actor->roles;
    }
    for (unsigned i = 0; i < catalogue_roles->n_codes; i++) {
        if ((actor->roles & 1u << i) != 0 && catalogue_roles->codes[i].side != other) {
            roles |= 1u << i;
        }
    }
    return roles;
}

static bool same_from(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool leads_to(const struct transition *t, struct slice to)
{
    return slice_eq(to, slice_str(t->to)) || slice_eq(to, slice_str(t->action));
}

const struct transition *transition_find(const struct kind *kind, const char *from,
                                         struct slice to)
{
    for (unsigned i = 0; i < kind->n_transitions; i++) {
        const struct transition *t = &kind->transitions[i];
        if (same_from(t->from, from) && leads_to(t, to)) {
            return t;
        }
    }
    return NULL;
}

/* ---- judging one ---- */

/* "经办人、审核人": who could. */
static int refuse_role(const struct transition *t, struct err *err)
{
    char names[ERR_TEXT_MAX] = "";
    size_t n = 0;

    for (unsigned i = 0; i < catalogue_roles->n_codes; i++) {
        if ((t->roles & 1u << i) != 0 && n < sizeof names) {
            int put = snprintf(names + n, sizeof names - n, "%s%s", n > 0 ? "、" : "",
                               catalogue_roles->codes[i].label);
            n += put > 0 ? (size_t)put : 0;
        }
    }
    return n > 0 ? err_set(err, E_ROLE, "“%s”需要角色：%s", t->action, names)
                 : err_set(err, E_ROLE, "“%s”由系统自动办理", t->action);
}

static bool may(const struct transition *t, const struct actor *actor)
{
    return actor->is_system ? t->by_system : (rules_roles_here(actor) & t->roles) != 0;
}

/* Child rows of a list field refer to ROW by `target_id` or by the parent's name. */
static int has_children(const struct guard_case *g, const struct field *f, bool *ret)
{
    char name[64];
    struct row **rows;
    size_t n = 0;

    snprintf(name, sizeof name, "%s_id", g->row->kind->name);
    const struct field *by = kind_field_named(f->target, name);
    if (by == NULL) {
        by = kind_field_named(f->target, "target_id");
    }
    if (by == NULL || !by->indexed || g->check->lookup == NULL) {
        *ret = true;
        return 0;
    }
    struct value id = value_id(&g->row->id);
    int r = lookup_find(g->check->lookup, g->arena, f->target->name, by->name, &id, &rows, &n);
    *ret = n > 0;
    return r;
}

static int check_required(const struct guard_case *g, struct err *err)
{
    const struct transition *t = g->transition;

    for (unsigned i = 0; t->required[i] != NULL; i++) {
        const struct field *f = t->required[i];
        bool filled = !value_is_null(row_get(g->row, f->tag));
        int ret = f->type == FT_LIST ? has_children(g, f, &filled) : 0;
        if (ret != 0) {
            return ret;
        }
        if (!filled) {
            return err_set(err, E_INVALID, "办理“%s”须填写“%s”", t->action, f->label);
        }
    }
    /* What must be filled at the latest when the record leaves the state it was created in. */
    bool leaves = t->from != NULL && rules_is_first_state(t->kind, t->from) &&
                  strcmp(t->to, "withdrawn") != 0 && strcmp(t->to, "cancelled") != 0;
    const struct field *missing = leaves ? check_missing(g->row, true) : NULL;
    return missing == NULL
               ? 0
               : err_set(err, E_INVALID, "办理“%s”须填写“%s”", t->action, missing->label);
}

static int check_guards(const struct guard_case *g, struct err *err)
{
    for (unsigned i = 0; g->transition->guards[i] != NULL; i++) {
        const struct guard *guard = guard_named(g->transition->guards[i]);
        int ret = guard->judge == NULL
                      ? err_set(err, E_GUARD_LATER, "“%s”的办理条件（%s）将在后续版本提供",
                                g->transition->action, guard->name)
                      : guard->judge(g, err);
        if (ret != 0) {
            return ret;
        }
    }
    return 0;
}

int transition_check(const struct check *c, const struct transition *t, const struct row *row,
                     const struct actor *actor, struct err *err)
{
    struct arena arena;
    struct guard_case g = {c, t, row, actor, &arena};

    if (!may(t, actor)) {
        return refuse_role(t, err);
    }
    arena_init(&arena, GUARD_MEMORY);
    int ret = check_required(&g, err);
    if (ret == 0) {
        ret = check_guards(&g, err);
    }
    arena_release(&arena);
    return ret;
}

/* ---- choosing among several ---- */

/* How near a refusal came to being allowed: the nearest one is told. */
static int nearness(int ret)
{
    return ret == E_ROLE ? 1 : ret == E_INVALID ? 2 : 3;
}

static int refuse_state(const struct row *row, struct slice to, struct err *err)
{
    const struct code *now =
        row->kind->states == NULL ? NULL : code_find(row->kind->states, row_state(row), false);
    const struct code *then =
        row->kind->states == NULL ? NULL : code_find(row->kind->states, to, false);

    if (then != NULL) {
        to = slice_str(then->label);
    }
    return err_set(err, E_STATE, "当前状态“%s”不能办理“%.*s”", now == NULL ? "（无）" : now->label,
                   (int)to.len, (const char *)to.p);
}

int transition_pick(const struct check *c, const struct row *row, struct slice to,
                    const struct actor *actor, const struct transition **ret, struct err *err)
{
    struct err one, best = {.ret = 0};

    for (unsigned i = 0; i < row->kind->n_transitions; i++) {
        const struct transition *t = &row->kind->transitions[i];
        if (t->from == NULL || !row_in_state(row, t->from) || !leads_to(t, to)) {
            continue;
        }
        one = (struct err){.ret = 0};
        int r = transition_check(c, t, row, actor, &one);
        if (r == 0) {
            *ret = t;
            return 0;
        }
        if (best.ret == 0 || nearness(r) > nearness(best.ret)) {
            best = one;
            best.ret = r;
        }
    }
    if (best.ret == 0) {
        return refuse_state(row, to, err);
    }
    if (best.text[0] == '\0') {
        return err_set(err, best.ret, NULL);
    }
    return err_set(err, best.ret, "%s", best.text);
}

/* ---- creation ---- */

static int check_historic_date(const struct check *c, const struct row *row, struct err *err)
{
    int64_t live = setting(c->settings, "go_live", row_site(row));
    const struct field *f = row->kind->business_date;

    if (live == 0 || f == NULL) {
        return 0;
    }
    struct slice date = row_text(row, f->name);
    day_t first = cal_day(
        (struct cal_date){(int)(live / 10000), (int)(live / 100 % 100), (int)(live % 100)});
    day_t on;
    if (date.len < 10 || cal_parse_date((struct slice){date.p, 10}, &on) != 0 || on < first) {
        return 0;
    }
    return err_set(err, E_INVALID, "“%s”不早于启用日期，不能作为历史补录", f->label);
}

/* One that is neither confirmed nor void, and meant for records of this kind. */
static int check_historic_file(const struct check *c, const struct row *row, struct err *err)
{
    struct row *file = NULL;
    int ret = c->lookup == NULL ? 0 : lookup_ref(c->lookup, row, "historic_file", &file);

    if (ret != 0) {
        return ret;
    }
    if (file == NULL) {
        return err_set(err, E_INVALID, "历史补录须写明所属的补录文件");
    }
    if (row_voided(file) || !row_in_state(file, "unconfirmed")) {
        return err_set(err, E_STATE, "补录文件已经确认或作废，不能再加记录");
    }
    if (!slice_eq(row_text(file, "target_kind"), slice_str(row->kind->name))) {
        return err_set(err, E_INVALID, "补录文件不是“%s”的", row->kind->label);
    }
    return 0;
}

static int check_historic(const struct check *c, const struct row *row, const struct actor *actor,
                          struct err *err)
{
    const char *const *states = row->kind->historic_states;
    bool known = row->kind->states == NULL;

    if (!actor->is_system && (rules_roles_here(actor) & role_bit(slice_str("county_lead"))) == 0) {
        return err_set(err, E_ROLE, "历史补录须由县级审核人办理");
    }
    if (states == NULL) {
        return err_set(err, E_STATE, "“%s”不能历史补录", row->kind->label);
    }
    for (unsigned i = 0; states[i] != NULL && !known; i++) {
        known = row_in_state(row, states[i]);
    }
    if (!known) {
        return err_set(err, E_STATE, "“%s”不能以此状态历史补录", row->kind->label);
    }
    const struct field *missing = check_missing(row, true);
    if (missing != NULL) {
        return err_set(err, E_INVALID, "“%s”必须填写", missing->label);
    }
    int ret = check_historic_file(c, row, err);
    if (ret == 0) {
        ret = check_historic_date(c, row, err);
    }
    return ret != 0 ? ret : check_row(c, row, err);
}

int creation_check(const struct check *c, const struct row *row, const struct actor *actor,
                   struct err *err)
{
    const struct kind *k = row->kind;
    int best = 0;

    if (row_historic(row)) {
        return check_historic(c, row, actor, err);
    }
    if (!value_is_null(row_get(row, TAG_HISTORIC_FILE))) {
        return err_set(err, E_INVALID, "只有历史补录的记录属于补录文件");
    }
    if (k->n_transitions == 0) {
        const struct field *missing = check_missing(row, true);
        int ret = check_writer(k, actor, err);
        return ret != 0          ? ret
               : missing != NULL ? err_set(err, E_INVALID, "“%s”必须填写", missing->label)
                                 : 0;
    }
    for (unsigned i = 0; i < k->n_transitions; i++) {
        const struct transition *t = &k->transitions[i];
        if (t->from != NULL || !row_in_state(row, t->to)) {
            continue;
        }
        best = transition_check(c, t, row, actor, err);
        if (best == 0) {
            return 0;
        }
    }
    return best != 0 ? best : err_set(err, E_STATE, "“%s”不能以此状态新建", k->label);
}
