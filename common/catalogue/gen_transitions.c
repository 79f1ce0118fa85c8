#include "common/catalogue/gen.h"
#include "common/catalogue/guards.h"

#include <string.h>

static const char *const guard_names[] = {
#define X(name, clause) #name,
    GUARD_MAP(X) GUARD_LATER_MAP(X)
#undef X
        NULL};

static bool guard_used[sizeof guard_names / sizeof *guard_names];

static void need_guard(const struct line *l, const char *name)
{
    for (unsigned i = 0; guard_names[i] != NULL; i++) {
        if (strcmp(guard_names[i], name) == 0) {
            guard_used[i] = true;
            return;
        }
    }
    complain(l, "no guard '%s'", name);
}

/* The roles a cell names, joined by '/'. The actor `system` is no role of an account. */
static uint32_t roles_of_cell(const struct line *l, unsigned column, bool *ret_system)
{
    int table = find_codes("account_role");
    char *names[MAX_LIST];
    unsigned n = pieces_of(l->cell[column], '/', names);
    uint32_t roles = 0;

    *ret_system = false;
    if (n == 0) {
        complain(l, "no role may do this");
    }
    for (unsigned i = 0; i < n; i++) {
        int role = find_code(table, names[i]);
        if (strcmp(names[i], "system") == 0) {
            *ret_system = true;
        } else if (role < 0) {
            complain(l, "no role '%s'", names[i]);
        } else {
            roles |= 1u << role;
        }
    }
    return roles;
}

/* No kind that only goes up is moved by the city, none that only comes down by a county, and nobody
 * must fill what the other side owns. A role of both sides may fill what the kind's owner owns. */
static void check_role(const struct g_transition *t, const struct line *role)
{
    const struct g_kind *k = &kinds[t->kind];
    enum side side = (enum side)word(role, C_SIDE, side_names);

    if (side == SIDE_CITY && !k->local && k->direction == SIDE_COUNTY) {
        complain(t->at, "city role '%s' in %s, which only goes up", role->cell[C_CODE], k->name);
    }
    if (side == SIDE_COUNTY && (k->local || k->direction == SIDE_CITY)) {
        complain(t->at, "county role '%s' in %s, which only comes down", role->cell[C_CODE], k->name);
    }
    for (unsigned i = 0; i < t->n_required; i++) {
        const struct g_field *f = &k->fields[t->required[i]];
        if (f->owner != SIDE_BOTH && f->owner != (side == SIDE_BOTH ? k->owner : side)) {
            complain(t->at, "role '%s' must fill %s, which the other side owns", role->cell[C_CODE],
                     f->name);
        }
    }
}

static void resolve_roles(struct g_transition *t)
{
    const struct g_codes *roles = &codes[find_codes("account_role")];

    t->roles = roles_of_cell(t->at, T_ROLES, &t->by_system);
    for (unsigned i = 0; i < roles->n; i++) {
        if ((t->roles & 1u << i) != 0) {
            check_role(t, roles->codes[i]);
        }
    }
}

static void resolve_transition(struct g_transition *t, const struct line *l)
{
    char *names[MAX_LIST];

    t->at = l;
    t->kind = (unsigned)need_kind(l, l->cell[T_KIND]);
    const struct g_kind *k = &kinds[t->kind];
    if (strcmp(l->cell[T_FROM], "-") != 0) {
        need_code(l, k->states, l->cell[T_FROM]);
    }
    need_code(l, k->states, l->cell[T_TO]);
    t->n_required = pieces_of(l->cell[T_REQUIRED], ',', names);
    for (unsigned i = 0; i < t->n_required; i++) {
        t->required[i] = (unsigned)(need_field(l, k, names[i]) - k->fields);
    }
    t->n_guards = pieces_of(l->cell[T_GUARDS], ',', t->guards);
    for (unsigned i = 0; i < t->n_guards; i++) {
        need_guard(l, t->guards[i]);
    }
    if (*l->cell[T_SEALS] != '\0' && strcmp(l->cell[T_SEALS], "Y") != 0) {
        complain(l, "seals is Y or empty");
    }
    resolve_roles(t);
}

void resolve_writers(void)
{
    bool system;

    for (unsigned i = 0; i < n_kinds; i++) {
        kinds[i].writers = roles_of_cell(kinds[i].at, K_WRITERS, &system);
    }
}

void resolve_transitions(const struct table *t)
{
    transitions = alloc(t->n * sizeof *transitions);
    for (unsigned i = 0; i < t->n; i++) {
        struct g_transition *now = &transitions[n_transitions];
        resolve_transition(now, &t->lines[i]);
        struct g_kind *k = &kinds[now->kind];
        if (k->n_transitions == 0) {
            k->first_transition = n_transitions;
        } else if (k->first_transition + k->n_transitions != n_transitions) {
            complain(now->at, "transitions of %s are split", k->name);
        }
        k->n_transitions++;
        n_transitions++;
    }
    for (unsigned i = 0; guard_names[i] != NULL; i++) {
        if (!guard_used[i]) {
            fprintf(stderr, "guards.h: guard '%s' guards nothing\n", guard_names[i]);
            errors++;
        }
    }
}

/* Every state can be reached from creation. */
static void check_kind_reachable(const struct g_kind *k)
{
    bool seen[64] = {false};
    bool more = true;

    if (k->states < 0) {
        return;
    }
    while (more) {
        more = false;
        for (unsigned i = 0; i < k->n_transitions; i++) {
            const struct line *l = transitions[k->first_transition + i].at;
            int from = find_code(k->states, l->cell[T_FROM]);
            int to = find_code(k->states, l->cell[T_TO]);
            if (to >= 0 && !seen[to] && (from < 0 || seen[from])) {
                seen[to] = more = true;
            }
        }
    }
    for (unsigned i = 0; i < codes[k->states].n; i++) {
        if (!seen[i]) {
            complain(k->at, "state '%s' of %s cannot be reached",
                     codes[k->states].codes[i]->cell[C_CODE], k->name);
        }
    }
}

void check_reachable(void)
{
    for (unsigned i = 0; i < n_kinds; i++) {
        check_kind_reachable(&kinds[i]);
    }
}
