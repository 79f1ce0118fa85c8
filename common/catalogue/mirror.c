#include "common/catalogue/mirror.h"

#include <string.h>

static const struct {
    const char *kind, *state, *submission;
} mirrors[] = {
    {"proposal_case", "registered", "routed_proposal"},
    {"proposal_case", "reviewing", "routed_proposal"},
    {"proposal_case", "supplement", "returned"},
    {"proposal_case", "filed", "in_process"},
    {"proposal_case", "merged", "in_process"},
    {"proposal_case", "not_filed", "answered"},
    {"proposal_case", "converted", "routed_office"},
    {"proposal_case", "assigned", "in_process"},
    {"proposal_case", "handling", "in_process"},
    {"proposal_case", "replied", "answered"},
    {"proposal_case", "feedback_wait", "answered"},
    {"proposal_case", "rehandling", "in_process"},
    {"proposal_case", "tracking", "answered"},
    {"proposal_case", "closed", "answered"},
    {"proposal_case", "archived", "answered"},
    {"proposal_case", "withdrawn", "withdrawn"},
    {"info_case", "registered", "routed_office"},
    {"info_case", "screening", "routed_office"},
    {"info_case", "not_adopted", "answered"},
    {"info_case", "merged", "in_process"},
    {"info_case", "adopted", "in_process"},
    {"info_case", "edited", "in_process"},
    {"info_case", "approved", "in_process"},
    {"info_case", "signed", "in_process"},
    {"info_case", "issued", "in_process"},
    {"info_case", "instructed", "in_process"},
    {"info_case", "transferred", "in_process"},
    {"info_case", "handling", "in_process"},
    {"info_case", "replied", "answered"},
    {"info_case", "closed", "answered"},
    {"info_case", "withdrawn", "withdrawn"},
};

const char *mirror_state(const char *case_kind, struct slice case_state)
{
    for (size_t i = 0; i < sizeof mirrors / sizeof *mirrors; i++) {
        if (strcmp(mirrors[i].kind, case_kind) == 0 &&
            slice_eq(case_state, slice_str(mirrors[i].state))) {
            return mirrors[i].submission;
        }
    }
    return NULL;
}
