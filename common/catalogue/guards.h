/* The named guards of transitions.tsv, each with its clause: §5.6 rules and R-nn of the domain.
 *
 * gen.c reads these lists to refuse a table that names an unknown guard. A guard of the second list
 * belongs to a later issue: its transition is refused with E_GUARD_LATER. */
#ifndef ZTC_CATALOGUE_GUARDS_H
#define ZTC_CATALOGUE_GUARDS_H

#include "common/catalogue/check.h"

/* X(name, clause) */
#define GUARD_MAP(X)                                                                               \
    X(submission_complete, "R-52")                                                                 \
    X(second_person, "R-63")                                                                       \
    X(review_off, "R-63")                                                                          \
    X(not_received, "R-64")                                                                        \
    X(no_case, "R-64")                                                                             \
    X(duplicate_known, "R-64")                                                                     \
    X(route_proposal, "R-65")                                                                      \
    X(route_office, "R-66")                                                                        \
    X(mirrors_case, "R-67")                                                                        \
    X(proposer_consented, "R-66")                                                                  \
    X(proposal_waits, "R-65")                                                                      \
    X(info_waits, "R-66")                                                                          \
    X(tracking_acknowledged, "R-67")                                                               \
    X(proposers_eligible, "R-65")                                                                  \
    X(merge_main, "R-65")                                                                          \
    X(not_a_main, "R-65")                                                                          \
    X(attached_in_process, "R-65")                                                                 \
    X(consent_given, "R-66")                                                                       \
    X(assigned_roles, "R-67")                                                                      \
    X(assigned_due, "R-67")                                                                        \
    X(first_task_signed, "R-67")                                                                   \
    X(all_tasks_replied, "R-67")                                                                   \
    X(dissatisfied_once, "R-67")                                                                   \
    X(next_round, "R-67")                                                                          \
    X(tracking_due, "R-67")                                                                        \
    X(feedback_settled, "R-67")                                                                    \
    X(main_done, "R-65")                                                                           \
    X(not_proposal, "R-66")                                                                        \
    X(not_sent_back, "R-66")                                                                       \
    X(merge_info, "R-66")                                                                          \
    X(no_merged_info, "R-66")                                                                      \
    X(info_main_done, "R-66")                                                                      \
    X(not_micro, "R-66")                                                                           \
    X(is_micro, "R-66")                                                                            \
    X(approver_not_editor, "R-66")                                                                 \
    X(instruction_exists, "R-67")                                                                  \
    X(case_open, "R-67")                                                                           \
    X(unit_active, "R-67")                                                                         \
    X(unit_once, "R-67")                                                                           \
    X(task_due, "R-67")                                                                            \
    X(before_decline_due, "R-67")                                                                  \
    X(decline_agreed, "R-67")                                                                      \
    X(decline_refused, "R-67")                                                                     \
    X(extension_bound, "R-67")                                                                     \
    X(role_co, "R-67")                                                                             \
    X(role_answers, "R-67")                                                                        \
    X(co_opinions_in, "R-67")                                                                      \
    X(reply_exists, "R-67")                                                                        \
    X(reply_refused, "R-67")                                                                       \
    X(reply_passed, "R-67")                                                                        \
    X(is_reasonable, "R-52")                                                                       \
    X(is_anonymous, "R-51")                                                                        \
    X(told_citizen, "R-51")                                                                        \
    X(refusal_explained, "R-51")

/* X(name, clause) */
#define GUARD_LATER_MAP(X)                                                                         \
    X(collective, "R-24")                                                                          \
    X(joint_signatures, "R-24")                                                                    \
    X(single_signature, "R-23")                                                                    \
    X(signatures_stand, "R-24")                                                                    \
    X(others_consulted, "R-27")                                                                    \
    X(inspected, "R-28")                                                                           \
    X(step_liaison, "R-29")                                                                        \
    X(dates_ordered, "R-30")                                                                       \
    X(meeting_decided, "R-31")                                                                     \
    X(plaque_granted, "R-37")                                                                      \
    X(plaque_hung, "R-37")                                                                         \
    X(public_contact, "R-17")                                                                      \
    X(wall_passed, "R-19")                                                                         \
    X(rectify_cause, "R-19")                                                                       \
    X(rectified, "R-19")                                                                           \
    X(revoke_cause, "R-40")                                                                        \
    X(revoke_decided, "R-40")                                                                      \
    X(term_over, "R-41")                                                                           \
    X(plaque_recovered, "R-42")                                                                    \
    X(studio_approved, "R-37")                                                                     \
    X(studio_ended, "R-42")                                                                        \
    X(loss_explained, "R-42")                                                                      \
    X(grade_consistent, "R-40")                                                                    \
    X(circular_exists, "R-69")                                                                     \
    X(snapshot_frozen, "R-69")                                                                     \
    X(shift_free, "R-50")                                                                          \
    X(swap_exists, "R-50")                                                                         \
    X(log_exists, "R-50")                                                                          \
    X(service_free, "R-09")                                                                        \
    X(amend_reason, "R-22")                                                                        \
    X(approver_not_handler, "R-72")                                                                \
    X(event_decided, "R-40")                                                                       \
    X(event_terminates, "R-41")                                                                    \
    X(decision_filed, "R-46")                                                                      \
    X(task_past_due, "R-60")

/* What a guard judges. */
struct guard_case {
    const struct check *check;
    const struct transition *transition;
    const struct row *row;
    const struct actor *actor;
    struct arena *arena; /* for what a guard gathers; dies after the judgement */
};

struct guard {
    const char *name;
    const char *clause;
    int (*judge)(const struct guard_case *g, struct err *err); /* NULL: a later issue's */
};

/* int guard_<name>(…): 0, E_GUARD with a sentence, or what the lookup returned. */
#define X(name, clause) int guard_##name(const struct guard_case *g, struct err *err);
GUARD_MAP(X)
#undef X

extern const struct guard guards[];
extern const unsigned n_guards;

/* NULL when there is none. */
const struct guard *guard_named(const char *name);

#endif
