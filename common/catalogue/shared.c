/* Rules that two honest replicas can break together: the merge accepts and opens a conflict.
 *
 * Most are of one form, "no second record with the same fields", and stand in a table. The first
 * field of a row of that table is indexed; the others are compared. */
#include <string.h>

#include "common/catalogue/check.h"

#define PAIR_MAX 3

static const struct twin {
    const char *kind;
    const char *fields[PAIR_MAX];
    const char *open; /* count only records where this field is null, or NULL */
    const char *what;
} twins[] = {
    {"studio_member", {"studio_id", "member_id"}, "left_on", "该委员已在此工作室"},
    {"signature", {"target_id", "member_id"}, NULL, "该委员已经署名"},
    {"application_member", {"application_id", "row_no"}, NULL, "序号重复"},
    {"handling_task", {"case_id", "unit_id", "round"}, NULL, "该单位在本轮已有承办件"},
    {"case_card", {"submission_id"}, NULL, "此件已有案卷卡"},
    {"circular_receipt", {"notice_id", "site"}, NULL, "本单位已签收此文件"},
    {"liaison_link", {"studio_id", "unit_id"}, NULL, "该单位已对口联系此工作室"},
    {"budget", {"studio_id", "year"}, NULL, "该工作室本年度已有预算"},
    {"member_score", {"source_id", "member_id", "rule_id"}, NULL, "该来源已经计分"},
    {"member_evaluation", {"member_id", "year"}, NULL, "该委员本年度已有评价"},
    {"studio_assessment", {"studio_id", "year"}, NULL, "该工作室本年度已有考核"},
    {"group_assessment", {"group_id", "year"}, NULL, "该小组本年度已有考核"},
    {"score_rule", {"code", "year"}, NULL, "本年度已有此规则代码"},
    {"setting", {"name", "for_site"}, NULL, "该单位已有此项设置"},
};

/* Looking for another record that is the same in what counts. */
struct seek {
    const struct row *row;
    const struct twin *twin; /* NULL: the value found by is enough */
    bool same_site;
    bool found;
};

static bool is_out(const struct row *row)
{
    return row_voided(row) || row_in_state(row, "reassigned") || row_in_state(row, "withdrawn");
}

static int seek_row(void *ctx, struct row *other)
{
    struct seek *s = ctx;

    if (id_eq(&other->id, &s->row->id) || is_out(other) ||
        (s->same_site && row_site(other) != row_site(s->row))) {
        return 0;
    }
    for (size_t i = 1; s->twin != NULL && i < PAIR_MAX && s->twin->fields[i] != NULL; i++) {
        if (!value_eq(row_named(other, s->twin->fields[i]),
                      row_named(s->row, s->twin->fields[i]))) {
            return 0;
        }
    }
    if (s->twin != NULL && s->twin->open != NULL &&
        !value_is_null(row_named(other, s->twin->open))) {
        return 0;
    }
    s->found = true;
    return 0;
}

static int seek(const struct check *c, struct seek *s, uint32_t tag)
{
    const struct value *v = row_get(s->row, tag);

    return value_is_null(v) ? 0
                            : c->lookup->find(c->lookup->ctx, s->row->kind, tag, v, seek_row, s);
}

static int check_unique(const struct check *c, const struct row *row, uint32_t *ret_tag,
                        struct err *err)
{
    for (unsigned i = 0; i < row->kind->n_own; i++) {
        const struct field *f = &row->kind->fields[i];
        if (f->unique == UNIQUE_NO || !f->indexed) {
            continue;
        }
        struct seek s = {.row = row, .same_site = f->unique == UNIQUE_SITE};
        int ret = seek(c, &s, f->tag);
        if (ret != 0) {
            return ret;
        }
        if (s.found) {
            *ret_tag = f->tag;
            return err_set(err, E_CONFLICT, "“%s”与另一条记录重复", f->label);
        }
    }
    return 0;
}

static int check_twins(const struct check *c, const struct row *row, uint32_t *ret_tag,
                       struct err *err)
{
    for (size_t i = 0; i < sizeof twins / sizeof *twins; i++) {
        const struct twin *t = &twins[i];
        if (strcmp(t->kind, row->kind->name) != 0 ||
            (t->open != NULL && !value_is_null(row_named(row, t->open)))) {
            continue;
        }
        struct seek s = {.row = row, .twin = t};
        int ret = seek(c, &s, kind_field_named(row->kind, t->fields[0])->tag);
        if (ret != 0) {
            return ret;
        }
        if (s.found) {
            *ret_tag = 0;
            return err_set(err, E_CONFLICT, "%s", t->what);
        }
    }
    return 0;
}

/* ---- one 负责人 a studio ---- */

static int seek_lead(void *ctx, struct row *other)
{
    struct seek *s = ctx;

    s->found = s->found ||
               (!id_eq(&other->id, &s->row->id) && value_is_null(row_named(other, "left_on")) &&
                slice_eq(row_text(other, "role"), slice_str("负责人")));
    return 0;
}

static int check_one_lead(const struct check *c, const struct row *row, uint32_t *ret_tag,
                          struct err *err)
{
    struct seek s = {.row = row};
    const struct field *studio = kind_field_named(row->kind, "studio_id");

    if (!slice_eq(row_text(row, "role"), slice_str("负责人")) ||
        !value_is_null(row_named(row, "left_on"))) {
        return 0;
    }
    int ret = c->lookup->find(c->lookup->ctx, row->kind, studio->tag, row_named(row, "studio_id"),
                              seek_lead, &s);
    if (ret != 0 || !s.found) {
        return ret;
    }
    *ret_tag = kind_field_named(row->kind, "role")->tag;
    return err_set(err, E_CONFLICT, "该工作室已有负责人");
}

/* ---- shifts of one member ---- */

static bool share_member(const struct value *a, const struct value *b)
{
    for (size_t i = 0; a->type == V_IDS && i + ID_SIZE <= a->s.len; i += ID_SIZE) {
        struct id id;
        memcpy(id.b, a->s.p + i, ID_SIZE);
        if (value_ids_has(b, &id)) {
            return true;
        }
    }
    return false;
}

static int seek_shift(void *ctx, struct row *other)
{
    struct seek *s = ctx;

    if (id_eq(&other->id, &s->row->id) || row_in_state(other, "cancelled") ||
        row_in_state(other, "swapped")) {
        return 0;
    }
    bool apart =
        slice_cmp(row_text(other, "end_time"), row_text(s->row, "start_time")) <= 0 ||
        slice_cmp(row_text(s->row, "end_time"), row_text(other, "start_time")) <= 0;
    if (!apart && share_member(row_named(other, "member_ids"), row_named(s->row, "member_ids"))) {
        s->found = true;
    }
    return 0;
}

static int check_shift(const struct check *c, const struct row *row, uint32_t *ret_tag,
                       struct err *err)
{
    struct seek s = {.row = row};
    const struct field *on = kind_field_named(row->kind, "duty_on");

    if (row_in_state(row, "cancelled") || row_in_state(row, "swapped") ||
        value_is_null(row_named(row, "duty_on"))) {
        return 0;
    }
    int ret = c->lookup->find(c->lookup->ctx, row->kind, on->tag, row_named(row, "duty_on"),
                              seek_shift, &s);
    if (ret != 0 || !s.found) {
        return ret;
    }
    *ret_tag = kind_field_named(row->kind, "member_ids")->tag;
    return err_set(err, E_CONFLICT, "同一委员的值班时间重叠");
}

int check_shared(const struct check *c, const struct row *row, uint32_t *ret_tag, struct err *err)
{
    *ret_tag = 0;
    if (c->lookup == NULL || is_out(row)) {
        return 0;
    }
    int ret = check_unique(c, row, ret_tag, err);
    if (ret == 0) {
        ret = check_twins(c, row, ret_tag, err);
    }
    if (ret == 0 && strcmp(row->kind->name, "studio_member") == 0) {
        ret = check_one_lead(c, row, ret_tag, err);
    }
    if (ret == 0 && strcmp(row->kind->name, "duty_shift") == 0) {
        ret = check_shift(c, row, ret_tag, err);
    }
    return ret;
}
