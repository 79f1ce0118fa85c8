/* A model check of the transition table: submission and case move together, and none gets stuck.
 *
 * The state of the model is (submission's state, case's kind, case's state). Its moves are those of
 * the table, with the guards that tie the two records together written out below; the moves of
 * people and of rules alike. From every state that can be reached, the submission must be able to
 * come to `closed` or `withdrawn`. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "common/catalogue/catalogue.h"
#include "common/catalogue/mirror.h"

#define N_MAX 2048

enum case_of { NO_CASE, PROPOSAL, INFO };

static const char *const case_kinds[] = {"", "proposal_case", "info_case"};

struct node {
    const char *submission, *state;
    enum case_of of;
    unsigned from[64], n_from; /* who leads here: for walking back */
    bool lives;                /* can end */
};

static struct node nodes[N_MAX];
static unsigned n_nodes;

static bool is(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

static void reach(unsigned from, const char *submission, enum case_of of, const char *state)
{
    unsigned i = 0;

    while (i < n_nodes && !(is(nodes[i].submission, submission) && nodes[i].of == of &&
                            is(nodes[i].state, state))) {
        i++;
    }
    if (i == n_nodes) {
        assert_true(n_nodes < N_MAX);
        nodes[n_nodes++] = (struct node){.submission = submission, .of = of, .state = state};
    }
    for (unsigned j = 0; j < nodes[i].n_from; j++) {
        if (nodes[i].from[j] == from) {
            return;
        }
    }
    assert_true(nodes[i].n_from < 64);
    nodes[i].from[nodes[i].n_from++] = from;
}

/* The submission's transition from A to B that the actor `system` may make. */
static const struct transition *by_rule(const char *a, const char *b)
{
    const struct kind *k = catalogue_kind_named("submission");

    for (unsigned i = 0; i < k->n_transitions; i++) {
        const struct transition *t = &k->transitions[i];
        if (t->from != NULL && t->by_system && is(t->from, a) && is(t->to, b)) {
            return t;
        }
    }
    return NULL;
}

static bool guarded(const struct transition *t, const char *guard)
{
    for (unsigned i = 0; t->guards[i] != NULL; i++) {
        if (is(t->guards[i], guard)) {
            return true;
        }
    }
    return false;
}

/* Guards of the case that look at its submission. */
static bool allowed(const struct node *n, const struct transition *t)
{
    if (guarded(t, "attached_in_process") && !is(n->submission, "in_process")) {
        return false;
    }
    return !(guarded(t, "not_sent_back") && is(n->submission, "returned"));
}

/* The case moves to T; its submission follows in the same act. */
static void follow(unsigned at, const struct transition *t)
{
    const struct node n = nodes[at];
    const char *asked = mirror_state(case_kinds[n.of], slice_str(t->to));
    bool ended = is(n.submission, "closed");
    bool waits = n.of == INFO && is(n.submission, "returned") && is(t->to, "screening");
    bool answered_merged = is(n.submission, "answered") && is(n.state, "merged");

    assert_non_null(asked);
    if (is(t->to, "converted")) {
        assert_non_null(by_rule(n.submission, "routed_office"));
        reach(at, "routed_office", INFO, "registered");
        return;
    }
    if (ended || waits || answered_merged || is(asked, n.submission)) {
        reach(at, n.submission, n.of, t->to);
        return;
    }
    if (is(t->to, "archived") && is(n.state, "merged")) {
        return; /* main_done: its submission has been answered by then */
    }
    if (by_rule(n.submission, asked) == NULL) {
        fail_msg("%s %s -> %s asks its submission %s -> %s, which the table lacks",
                 case_kinds[n.of], t->from, t->to, n.submission, asked);
    }
    reach(at, asked, n.of, t->to);
}

static void case_moves(unsigned at)
{
    const struct node n = nodes[at];

    if (n.of == NO_CASE) {
        return;
    }
    const struct kind *k = catalogue_kind_named(case_kinds[n.of]);
    for (unsigned i = 0; i < k->n_transitions; i++) {
        const struct transition *t = &k->transitions[i];
        if (t->from != NULL && is(t->from, n.state) && allowed(&n, t)) {
            follow(at, t);
        }
    }
}

/* A merged case's submission is answered with its main, and handled again with it. */
static void main_moves(unsigned at)
{
    const struct node n = nodes[at];

    if (n.of == NO_CASE || !is(n.state, "merged")) {
        return;
    }
    if (is(n.submission, "in_process")) {
        assert_non_null(by_rule("in_process", "answered"));
        reach(at, "answered", n.of, n.state);
    } else if (is(n.submission, "answered")) {
        assert_non_null(by_rule("answered", "in_process"));
        reach(at, "in_process", n.of, n.state);
    }
}

/* What people do to the submission itself, and what becomes of its case. */
static void person_moves(unsigned at)
{
    const struct node n = nodes[at];
    const struct kind *k = catalogue_kind_named("submission");
    bool has_case = n.of != NO_CASE;
    bool early = n.of == INFO && (is(n.state, "registered") || is(n.state, "screening"));

    for (unsigned i = 0; i < k->n_transitions; i++) {
        const struct transition *t = &k->transitions[i];
        if (t->from == NULL || !is(t->from, n.submission) || t->roles == 0 ||
            (guarded(t, "no_case") && has_case)) {
            continue;
        }
        if (guarded(t, "route_proposal")) {
            reach(at, t->to, PROPOSAL, "registered");
        } else if (guarded(t, "route_office")) {
            reach(at, t->to, INFO, "registered");
        } else if (guarded(t, "proposal_waits")) {
            if (n.of == PROPOSAL && is(n.state, "supplement")) {
                reach(at, t->to, n.of, "reviewing");
            }
        } else if (guarded(t, "info_waits")) {
            if (early) {
                reach(at, t->to, n.of, n.state);
            }
        } else if (guarded(t, "mirrors_case") || guarded(t, "proposer_consented")) {
            if (early && is(t->to, "returned")) {
                reach(at, t->to, n.of, n.state);
            }
        } else if (is(t->to, "withdrawn") && has_case) {
            reach(at, t->to, n.of, "withdrawn");
        } else {
            reach(at, t->to, n.of, n.state);
        }
    }
}

static void explore(void)
{
    n_nodes = 0;
    reach(0, "draft", NO_CASE, "");
    for (unsigned i = 0; i < n_nodes; i++) {
        person_moves(i);
        main_moves(i);
        case_moves(i);
    }
}

/* Every combination that can arise has a way out, and all states of the three kinds arise. */
static void test_model__nothing_gets_stuck(void **state)
{
    bool more = true;

    (void)state;
    explore();
    for (unsigned i = 0; i < n_nodes; i++) {
        nodes[i].lives = is(nodes[i].submission, "closed") || is(nodes[i].submission, "withdrawn");
    }
    while (more) {
        more = false;
        for (unsigned i = 0; i < n_nodes; i++) {
            for (unsigned j = 0; nodes[i].lives && j < nodes[i].n_from; j++) {
                struct node *before = &nodes[nodes[i].from[j]];
                more = more || !before->lives;
                before->lives = true;
            }
        }
    }
    for (unsigned i = 0; i < n_nodes; i++) {
        if (!nodes[i].lives) {
            fail_msg("stuck: submission %s, %s %s", nodes[i].submission, case_kinds[nodes[i].of],
                     nodes[i].state);
        }
    }
}

static bool arises(const char *kind, const char *code)
{
    for (unsigned i = 0; i < n_nodes; i++) {
        if (is(kind, "submission") ? is(nodes[i].submission, code)
                                   : is(case_kinds[nodes[i].of], kind) && is(nodes[i].state, code)) {
            return true;
        }
    }
    return false;
}

static void test_model__all_states_arise(void **state)
{
    static const char *const kinds[] = {"submission", "proposal_case", "info_case"};

    (void)state;
    explore();
    for (size_t i = 0; i < 3; i++) {
        const struct code_table *t = catalogue_kind_named(kinds[i])->states;
        for (unsigned j = 0; j < t->n_codes; j++) {
            bool replaced = is(kinds[i], "proposal_case") && is(t->codes[j].code, "converted");
            if (!replaced && !arises(kinds[i], t->codes[j].code)) {
                fail_msg("%s %s never arises", kinds[i], t->codes[j].code);
            }
        }
    }
}

/* The same for every other kind, without its neighbours: each state can be reached from creation. */
static void test_model__every_state_is_reachable(void **state)
{
    (void)state;
    for (unsigned i = 0; i < catalogue_n_kinds; i++) {
        const struct kind *k = catalogue_kinds[i];
        bool seen[64] = {false};
        for (unsigned pass = 0; k->states != NULL && pass < k->states->n_codes; pass++) {
            for (unsigned j = 0; j < k->n_transitions; j++) {
                const struct transition *t = &k->transitions[j];
                const struct code *to = code_find(k->states, slice_str(t->to), false);
                const struct code *from =
                    t->from == NULL ? NULL : code_find(k->states, slice_str(t->from), false);
                if (from == NULL || seen[from - k->states->codes]) {
                    seen[to - k->states->codes] = true;
                }
            }
        }
        for (unsigned j = 0; k->states != NULL && j < k->states->n_codes; j++) {
            if (!seen[j]) {
                fail_msg("%s.%s", k->name, k->states->codes[j].code);
            }
        }
    }
}

/* What the regulation's table lacked: ways back to the same case, out of it, and apart again. */
static void test_model__completed_transitions(void **state)
{
    static const char *const needed[][2] = {
        {"routed_proposal", "returned"},   {"routed_office", "returned"},
        {"returned", "routed_proposal"},   {"returned", "routed_office"},
        {"routed_proposal", "withdrawn"},  {"routed_office", "withdrawn"},
        {"in_process", "withdrawn"},       {"in_process", "routed_proposal"}};

    (void)state;
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        assert_non_null(by_rule(needed[i][0], needed[i][1]));
    }
    const struct kind *application = catalogue_kind_named("application");
    assert_non_null(kind_field_named(application, "public_phone"));
    assert_non_null(kind_field_named(application, "manager_body"));
    assert_non_null(kind_field_named(application, "open_hours"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_model__nothing_gets_stuck),
        cmocka_unit_test(test_model__all_states_arise),
        cmocka_unit_test(test_model__every_state_is_reachable),
        cmocka_unit_test(test_model__completed_transitions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
