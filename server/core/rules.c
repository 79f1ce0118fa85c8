/* The table of rules: what the city does by itself, and when.
 *
 * A row fires when a change of its kind applied: a creation, an edit, or a transition into TO. Effects
 * fire rules in their turn, so a row looks at the record as it stands. Rows run in the table's order. */
#include "server/core/rules.h"

#include "server/core/rules_internal.h"

#include <string.h>

static const struct rule rules[] = {
    {NULL, OP_SET, NULL, NULL, NULL, NULL},
};

static bool state_is(const char *wanted, struct slice state)
{
    return wanted == NULL || slice_eq(state, slice_str(wanted));
}

static bool fires(const struct rule *r, const struct change *c, const struct row *before,
                  const struct row *after)
{
    if (r->op != c->op || strcmp(r->kind, after->kind->name) != 0)
        return false;
    if (r->op != OP_TRANSITION)
        return true;
    return state_is(r->from, row_state(before)) && state_is(r->to, row_state(after));
}

int rules_after(struct judge *j, const struct change *c, const struct row *before,
                struct row *after)
{
    const struct deed deed = {.j = j, .change = c, .before = before, .row = after};
    int ret = 0;

    if (row_historic(after))
        return 0;
    for (const struct rule *r = rules; ret == 0 && r->kind != NULL; r++) {
        if (fires(r, c, before, after))
            ret = r->apply(&deed);
    }
    return ret;
}
