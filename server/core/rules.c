/* The table of rules: what the city does by itself, and when.
 *
 * A row fires when a change of its kind applied: a creation, an edit, or a transition into TO. Effects
 * fire rules in their turn, so a row looks at the record as it stands. Rows run in the table's order. */
#include "server/core/rules.h"

#include "server/core/rules_internal.h"

#include <string.h>

static const struct rule rules[] = {
    /* 上报, 签收, 转送: the two hops. What a case does to its submission is the case's row below. */
    {"submission", OP_TRANSITION, NULL, "submitted", false, submission_arrived, "R-63"},
    {"submission", OP_TRANSITION, NULL, "received", false, submission_received, "R-64"},
    {"submission", OP_TRANSITION, NULL, "returned", false, submission_sent_back, "R-64"},
    {"submission", OP_TRANSITION, NULL, "duplicate", false, submission_duplicate, "R-64"},
    {"submission", OP_TRANSITION, "received", "routed_proposal", false, submission_routed, "R-65"},
    {"submission", OP_TRANSITION, "received", "routed_office", false, submission_routed, "R-66"},
    {"submission", OP_TRANSITION, "returned", "routed_proposal", false, submission_resubmitted,
     "R-65"},
    {"submission", OP_TRANSITION, "returned", "routed_office", false, submission_resubmitted,
     "R-66"},
    {"submission", OP_TRANSITION, "returned", "withdrawn", false, submission_abandoned, "R-64"},
    {"submission", OP_TRANSITION, NULL, "closed", false, submission_closed, "R-67"},

    /* Cases: first what the step does, then what is told of it. */
    {"proposal_case", OP_CREATE, NULL, NULL, false, case_by_hand, "R-65"},
    {"proposal_case", OP_TRANSITION, NULL, "filed", true, proposal_filed, "R-65"},
    {"proposal_case", OP_TRANSITION, "filed", "assigned", true, proposal_assigned, "R-67"},
    {"proposal_case", OP_TRANSITION, NULL, "merged", true, proposal_merged, "R-65"},
    {"proposal_case", OP_TRANSITION, "merged", "reviewing", true, proposal_unmerged, "R-65"},
    {"proposal_case", OP_TRANSITION, NULL, "converted", true, proposal_converted, "R-66"},
    {"proposal_case", OP_TRANSITION, NULL, "rehandling", true, proposal_second_round, "R-67"},
    {"proposal_case", OP_TRANSITION, NULL, "withdrawn", true, case_ended, "R-65"},
    {"proposal_case", OP_TRANSITION, NULL, "closed", true, case_ended, "R-65"},
    {"proposal_case", OP_TRANSITION, NULL, NULL, true, case_moved, "R-67"},
    {"proposal_case", OP_SET, NULL, NULL, false, case_edited, "R-67"},
    {"info_case", OP_CREATE, NULL, NULL, false, case_by_hand, "R-66"},
    {"info_case", OP_TRANSITION, NULL, "transferred", true, info_transferred, "R-66"},
    {"info_case", OP_TRANSITION, "replied", "handling", true, case_ended, "R-66"},
    {"info_case", OP_TRANSITION, NULL, "withdrawn", true, case_ended, "R-66"},
    {"info_case", OP_TRANSITION, NULL, "closed", true, case_ended, "R-66"},
    {"info_case", OP_TRANSITION, NULL, NULL, true, case_moved, "R-67"},
    {"info_case", OP_SET, NULL, NULL, false, case_edited, "R-67"},

    /* Units. */
    {"handling_task", OP_CREATE, NULL, NULL, true, task_created, "R-67"},
    {"handling_task", OP_SET, NULL, NULL, false, task_edited, "R-67"},
    {"handling_task", OP_VOID, NULL, NULL, false, task_edited, "R-67"},
    {"handling_task", OP_UNVOID, NULL, NULL, false, task_edited, "R-67"},
    {"handling_task", OP_TRANSITION, NULL, NULL, false, task_moved, "R-67"},
    {"reply", OP_CREATE, NULL, NULL, false, reply_added, "R-67"},

    /* Beside a case. */
    {"adoption", OP_CREATE, NULL, NULL, false, adoption_added, "R-67"},
    {"supervision", OP_CREATE, NULL, NULL, false, supervision_added, "R-67"},
    {"supervision", OP_SET, NULL, NULL, false, supervision_edited, "R-67"},
    {"feedback", OP_CREATE, NULL, NULL, false, feedback_added, "R-67"},

    /* What every county sees of the city's own. */
    {"member", OP_CREATE, NULL, NULL, false, member_changed, "R-13"},
    {"member", OP_SET, NULL, NULL, false, member_changed, "R-13"},
    {"member", OP_VOID, NULL, NULL, false, member_changed, "R-13"},
    {"member", OP_UNVOID, NULL, NULL, false, member_changed, "R-13"},
    {"studio", OP_CREATE, NULL, NULL, true, studio_changed, "R-13"},
    {"studio", OP_SET, NULL, NULL, true, studio_changed, "R-13"},
    {"studio", OP_TRANSITION, NULL, NULL, true, studio_changed, "R-13"},
    {"studio", OP_VOID, NULL, NULL, true, studio_changed, "R-13"},
    {"studio", OP_UNVOID, NULL, NULL, true, studio_changed, "R-13"},
};

static bool state_is(const char *wanted, struct slice state)
{
    return wanted == NULL || slice_eq(state, slice_str(wanted));
}

static bool fires(const struct rule *r, const struct change *c, const struct row *before,
                  const struct row *after)
{
    if (r->op != c->op || strcmp(r->kind, after->kind->name) != 0 ||
        (!r->effects && id_is_zero(&c->actor)))
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
    for (size_t i = 0; ret == 0 && i < sizeof rules / sizeof *rules; i++) {
        if (fires(&rules[i], c, before, after))
            ret = rules[i].apply(&deed);
    }
    return ret;
}
