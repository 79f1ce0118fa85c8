/* Cases: the submissions they answer, the cases merged into them, the units that handle them. */
#include "server/core/rules_internal.h"

#include "common/base/text.h"

#include <stdio.h>
#include <string.h>

/* ---- words ---- */

bool row_says(const struct row *row, const char *name, const char *text)
{
    return slice_eq(row_text(row, name), slice_str(text));
}

bool row_state_in(const struct row *row, const char *states)
{
    struct slice state = row_state(row);

    for (const char *at = states; *at != '\0';) {
        size_t len = strcspn(at, "|");

        if (slice_eq(state, (struct slice){(const uint8_t *)at, len}))
            return true;
        at += len + (at[len] == '|');
    }
    return false;
}

struct value row_value(const struct row *row, const char *name)
{
    const struct field *f = kind_field_named(row->kind, name);

    return f == NULL ? value_null() : *row_get(row, f->tag);
}

bool case_is_proposal(const struct row *of)
{
    return strcmp(of->kind->name, "proposal_case") == 0;
}

const char *case_organ(const struct row *of)
{
    return case_is_proposal(of) ? BY_PROPOSAL : BY_OFFICE;
}

struct slice case_number(const struct row *of)
{
    return case_is_proposal(of) ? row_text(of, "case_no") : row_get(of, TAG_SERIAL)->s;
}

/* ---- finding ---- */

int find_one(struct judge *j, const char *kind, const char *field, const struct value *v,
             struct row **ret)
{
    struct row **rows;
    size_t n;
    int status = lookup_find(judge_lookup(j), judge_arena(j), kind, field, v, &rows, &n);

    *ret = NULL;
    if (status == 0 && n > 0)
        *ret = rows[0];
    return status;
}

int case_named(struct judge *j, const struct row *row, struct row **ret)
{
    struct id id;
    bool info = row_says(row, "case_kind", "info_case");

    *ret = NULL;
    if (!row_id(row, "case_id", &id))
        return 0;
    return lookup_get(judge_lookup(j), info ? "info_case" : "proposal_case", &id, ret);
}

int case_of_submission(struct judge *j, const struct row *submission, struct row **ret)
{
    struct value self = value_id(&submission->id);
    bool info = row_says(submission, "case_kind", "info_case");

    *ret = NULL;
    if (value_is_null(row_named(submission, "case_id")))
        return 0;
    return find_one(j, info ? "info_case" : "proposal_case", "submission_id", &self, ret);
}

/* States in which a case keeps to the one it was merged into. */
static const char *merged_states(const struct row *of)
{
    return case_is_proposal(of) ? "merged|archived" : "merged|closed";
}

static const char *main_field(const struct row *of)
{
    return case_is_proposal(of) ? "main_case" : "merged_into";
}

int case_main(struct judge *j, const struct row *of, struct row **ret)
{
    *ret = NULL;
    if (!row_state_in(of, merged_states(of)))
        return 0;
    return lookup_ref(judge_lookup(j), of, main_field(of), ret);
}

/* ---- submissions attached ---- */

struct gather {
    struct judge *j;
    struct attached *to;
    size_t n, cap;
};

static int add_attached(struct gather *g, struct row *submission, struct row *own)
{
    if (g->n == g->cap) {
        size_t cap = g->cap * 2 + 4;
        struct attached *more = arena_alloc(judge_arena(g->j), cap * sizeof *more);

        if (more == NULL)
            return E_NOMEM;
        if (g->n > 0)
            memcpy(more, g->to, g->n * sizeof *more);
        g->to = more;
        g->cap = cap;
    }
    g->to[g->n++] = (struct attached){.submission = submission, .own = own};
    return 0;
}

/* Duplicates name the surviving submission by its 转送编号. */
static int add_duplicates(struct gather *g, const struct row *submission, struct row *own)
{
    const struct value *serial = row_get(submission, TAG_SERIAL);
    struct row **rows;
    size_t n = 0;
    int ret = 0;

    if (!value_is_null(serial))
        ret = lookup_find(judge_lookup(g->j), judge_arena(g->j), "submission", "duplicate_of",
                          serial, &rows, &n);
    for (size_t i = 0; ret == 0 && i < n; i++) {
        if (row_state_in(rows[i], "duplicate|closed"))
            ret = add_attached(g, rows[i], own);
    }
    return ret;
}

/* A converted proposal has handed its submission to the info_case. */
static int add_own(struct gather *g, struct row *own)
{
    struct value handed = row_value(own, "converted_to");
    struct row *submission;
    int ret;

    if (!value_is_null(&handed))
        return 0;
    ret = lookup_ref(judge_lookup(g->j), own, "submission_id", &submission);
    if (ret != 0 || submission == NULL)
        return ret;
    ret = add_attached(g, submission, own);
    return ret != 0 ? ret : add_duplicates(g, submission, own);
}

int case_attached(struct judge *j, struct row *of, struct attached **ret, size_t *ret_n)
{
    struct gather g = {.j = j};
    struct value self = value_id(&of->id);
    struct row **merged;
    size_t n = 0;
    int status = add_own(&g, of);

    if (status == 0)
        status = lookup_find(judge_lookup(j), judge_arena(j), of->kind->name, main_field(of), &self,
                             &merged, &n);
    for (size_t i = 0; status == 0 && i < n; i++) {
        if (row_state_in(merged[i], merged_states(of)))
            status = add_own(&g, merged[i]);
    }
    *ret = g.to;
    *ret_n = g.n;
    return status;
}

/* ---- tasks ---- */

int case_tasks(struct judge *j, const struct row *of, struct row ***ret, size_t *ret_n)
{
    struct value self = value_id(&of->id);
    struct row **rows;
    int64_t round = 0;
    size_t n, kept = 0;
    int status =
        lookup_find(judge_lookup(j), judge_arena(j), "handling_task", "case_id", &self, &rows, &n);

    if (status != 0)
        return status;
    for (size_t i = 0; i < n; i++) {
        if (row_int(rows[i], "round") > round)
            round = row_int(rows[i], "round");
    }
    for (size_t i = 0; i < n; i++) {
        if (row_int(rows[i], "round") == round && !row_in_state(rows[i], "reassigned"))
            rows[kept++] = rows[i];
    }
    *ret = rows;
    *ret_n = kept;
    return 0;
}

static bool fits(const char *so_far, struct slice name, size_t max)
{
    return text_length(slice_str(so_far)) + 1 + text_length(name) <= max;
}

int case_units(struct judge *j, const struct row *of, bool answering, size_t max, struct value *ret)
{
    const char *names = "";
    struct row **tasks, *unit;
    size_t n;
    int status = case_tasks(j, of, &tasks, &n);

    *ret = value_null();
    for (size_t i = 0; status == 0 && i < n; i++) {
        struct slice name;

        if (row_says(tasks[i], "unit_role", "co") == answering)
            continue;
        status = lookup_ref(judge_lookup(j), tasks[i], "unit_id", &unit);
        if (status != 0 || unit == NULL)
            continue;
        name = row_text(unit, "name");
        if (!fits(names, name, max))
            break;
        names = judge_text(j, "%s%s%.*s", names, names[0] == '\0' ? "" : "、", (int)name.len,
                           (const char *)name.p);
        if (names == NULL)
            return E_NOMEM;
    }
    if (status == 0 && names[0] != '\0')
        *ret = value_str(names);
    return status;
}

int case_close_tasks(struct judge *j, const struct row *of)
{
    struct value self = value_id(&of->id);
    struct row **rows;
    size_t n = 0;
    int ret =
        lookup_find(judge_lookup(j), judge_arena(j), "handling_task", "case_id", &self, &rows, &n);

    for (size_t i = 0; ret == 0 && i < n; i++) {
        if (!row_state_in(rows[i], "closed|reassigned"))
            ret = judge_move(j, rows[i], "closed", NULL);
    }
    return ret;
}
