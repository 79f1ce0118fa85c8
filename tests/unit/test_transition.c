/* common/catalogue/transition, guards: who may do what, when, and why not.
 *
 * First the table as a whole (every transition × every role × what it requires), then the guards of
 * the submission's chain on records that tell a story. */
#include "shelf.h"

#include "common/base/err.h"
#include "common/catalogue/guards.h"
#include "common/catalogue/settings.h"

/* ---- helpers ---- */

static bool guards_are(const struct transition *t, bool later)
{
    for (unsigned i = 0; t->guards[i] != NULL; i++) {
        if ((guard_named(t->guards[i])->judge == NULL) == later) {
            return true;
        }
    }
    return false;
}

/* Requires child rows, which the shelf of these tests lacks. */
static bool wants_children(const struct transition *t)
{
    for (unsigned f = 0; t->required[f] != NULL; f++) {
        if (t->required[f]->type == FT_LIST) {
            return true;
        }
    }
    return false;
}

/* The outcome of making ROW move to TO, with the sentence on failure. */
static int pick(struct shelf *s, const struct row *row, const char *to, const struct actor *actor,
                struct err *err)
{
    const struct transition *t = NULL;

    *err = (struct err){0};
    int ret = transition_pick(&s->check, row, slice_str(to), actor, &t, err);
    assert_int_equal(ret == 0, t != NULL);
    assert_true(ret == 0 || err->text[0] != '\0');
    return ret;
}

static void assert_move(struct shelf *s, const struct row *row, const char *to, const char *role,
                        int expected, const char *words)
{
    struct err err;
    bool county = strncmp(role, "county", 6) == 0 || strcmp(role, "studio_user") == 0;
    struct actor actor = strcmp(role, "system") == 0
                             ? shelf_system()
                             : shelf_actor(role, county ? SIDE_COUNTY : SIDE_CITY);
    int ret = pick(s, row, to, &actor, &err);

    if (ret != expected || (words != NULL && strstr(err.text, words) == NULL)) {
        fail_msg("%s %.*s -> %s: %d '%s' instead of %d '%s'", row->kind->name,
                 (int)row_state(row).len, (const char *)row_state(row).p, to, ret, err.text,
                 expected, words == NULL ? "" : words);
    }
}

/* ---- the table ---- */

/* Each transition: the right role passes to the guards, every other is refused; so is the right
 * role at the wrong side; without a required field it is refused by that field's name. */
static void test_transition__every_role_and_field(void **state)
{
    (void)state;
    for (unsigned i = 0; i < catalogue_n_kinds; i++) {
        const struct kind *k = catalogue_kinds[i];
        for (unsigned j = 0; j < k->n_transitions; j++) {
            const struct transition *t = &k->transitions[j];
            struct shelf s;
            struct err err = {0};
            shelf_init(&s);
            struct row *row = shelf_put(&s, k->name, "state", t->from == NULL ? "" : t->from, NULL);
            shelf_fill(&s, row);
            for (unsigned r = 0; r < catalogue_roles->n_codes; r++) {
                enum side side = catalogue_roles->codes[r].side;
                struct actor actor = {.roles = 1u << r, .side = side == SIDE_BOTH ? k->owner : side};
                int ret = transition_check(&s.check, t, row, &actor, &err);
                assert_int_equal(ret == E_ROLE, (t->roles & 1u << r) == 0);
                if (ret != E_ROLE && side != SIDE_BOTH) {
                    actor.side = side == SIDE_CITY ? SIDE_COUNTY : SIDE_CITY;
                    assert_int_equal(transition_check(&s.check, t, row, &actor, &err), E_ROLE);
                }
            }
            struct actor system = shelf_system();
            assert_int_equal(transition_check(&s.check, t, row, &system, &err) == E_ROLE,
                             !t->by_system);
            struct actor all = {.roles = t->roles, .is_system = t->roles == 0, .side = SIDE_BOTH};
            for (unsigned f = 0; !wants_children(t) && t->required[f] != NULL; f++) {
                const struct field *need = t->required[f];
                row_put(row, need->tag, value_null());
                assert_int_equal(transition_check(&s.check, t, row, &all, &err), E_INVALID);
                assert_non_null(strstr(err.text, need->label));
                row_put(row, need->tag, shelf_any(&s, need));
            }
            shelf_release(&s);
        }
    }
}

/* Where the table has no row, the state is refused and named. */
static void test_transition__no_other_states(void **state)
{
    struct actor all = {.roles = UINT32_MAX, .side = SIDE_BOTH};

    (void)state;
    for (unsigned i = 0; i < catalogue_n_kinds; i++) {
        const struct kind *k = catalogue_kinds[i];
        for (unsigned a = 0; k->states != NULL && a < k->states->n_codes; a++) {
            for (unsigned b = 0; b < k->states->n_codes; b++) {
                const char *from = k->states->codes[a].code, *to = k->states->codes[b].code;
                if (transition_find(k, from, slice_str(to)) != NULL) {
                    continue;
                }
                struct shelf s;
                struct err err;
                shelf_init(&s);
                struct row *row = shelf_put(&s, k->name, "state", from, NULL);
                assert_int_equal(pick(&s, row, to, &all, &err), E_STATE);
                assert_non_null(strstr(err.text, k->states->codes[a].label));
                shelf_release(&s);
            }
        }
    }
}

/* Transitions without guards of this issue succeed once filled, or wait for a later issue. */
static void test_transition__allowed_succeed(void **state)
{
    (void)state;
    for (unsigned i = 0; i < catalogue_n_kinds; i++) {
        const struct kind *k = catalogue_kinds[i];
        for (unsigned j = 0; j < k->n_transitions; j++) {
            const struct transition *t = &k->transitions[j];
            struct actor all = {.roles = t->roles, .is_system = t->roles == 0, .side = SIDE_BOTH};
            struct shelf s;
            struct err err = {0};
            if (guards_are(t, false) || wants_children(t)) {
                continue;
            }
            shelf_init(&s);
            struct row *row = shelf_put(&s, k->name, "state", t->from == NULL ? "" : t->from, NULL);
            shelf_fill(&s, row);
            int expected = guards_are(t, true) ? E_GUARD_LATER : 0;
            if (transition_check(&s.check, t, row, &all, &err) != expected) {
                fail_msg("%s %s -> %s: %s", k->name, t->from, t->to, err.text);
            }
            shelf_release(&s);
        }
    }
}

/* What later issues bring. The list must be empty when "All of the regulation's rules" closes. */
static void test_transition__guards_of_later_issues(void **state)
{
    static const char *const kinds_now[] = {"submission", "proposal_case", "info_case",
                                            "handling_task", "opinion", "conflict"};
    unsigned later = 0;

    (void)state;
    for (unsigned i = 0; i < n_guards; i++) {
        assert_true(guards[i].clause[0] == 'R');
        if (guards[i].judge == NULL) {
            later++;
            print_message("later: %s (%s)\n", guards[i].name, guards[i].clause);
        }
    }
    assert_int_equal(later, 35);
    for (size_t i = 0; i < sizeof kinds_now / sizeof *kinds_now; i++) {
        const struct kind *k = catalogue_kind_named(kinds_now[i]);
        for (unsigned j = 0; j < k->n_transitions; j++) {
            assert_false(guards_are(&k->transitions[j], true));
        }
    }
}

static void test_transition__found_by_code_and_label(void **state)
{
    const struct kind *k = catalogue_kind_named("submission");

    (void)state;
    assert_string_equal(transition_find(k, NULL, slice_str("新建"))->to, "draft");
    assert_string_equal(transition_find(k, "submitted", slice_str("签收"))->to, "received");
    assert_string_equal(transition_find(k, "submitted", slice_str("received"))->action, "签收");
    assert_null(transition_find(k, "draft", slice_str("签收")));
}

/* ---- creation ---- */

static void test_creation__roles_and_fields(void **state)
{
    struct shelf s;
    struct err err = {0};
    struct actor clerk = shelf_actor("county_clerk", SIDE_COUNTY);
    struct actor auditor = shelf_actor("audit_admin", SIDE_COUNTY);

    (void)state;
    shelf_init(&s);
    struct row *o = shelf_put(&s, "opinion", "title", "路灯", NULL);
    assert_int_equal(creation_check(&s.check, o, &clerk, &err), E_STATE);
    shelf_set(&s, o, "state", "collected");
    assert_int_equal(creation_check(&s.check, o, &clerk, &err), E_INVALID);
    shelf_fill(&s, o);
    assert_int_equal(creation_check(&s.check, o, &clerk, &err), 0);
    assert_int_equal(creation_check(&s.check, o, &auditor, &err), E_ROLE);
    shelf_set(&s, o, "state", "closed");
    assert_int_equal(creation_check(&s.check, o, &clerk, &err), E_STATE);
    struct row *m = shelf_put(&s, "member", "name", "王小明", NULL);
    assert_int_equal(creation_check(&s.check, m, &clerk, &err), E_INVALID);
    shelf_fill(&s, m);
    assert_int_equal(creation_check(&s.check, m, &clerk, &err), 0);
    assert_int_equal(creation_check(&s.check, m, &auditor, &err), E_ROLE);
    shelf_release(&s);
}

static int64_t live_in_2026(void *ctx, const char *name, uint32_t site)
{
    (void)ctx;
    (void)site;
    return strcmp(name, "go_live") == 0 ? 20260101 : setting_info(name)->preset;
}

static struct row *historic_file(struct shelf *s, const char *kind)
{
    return shelf_put(s, "historic_file", "file_name", "旧账.xlsx", "target_kind", kind, "state",
                     "unconfirmed", NULL);
}

/* Every historic record is of a file that somebody can still confirm; no other record is of one. */
static void test_creation__historic_file(void **state)
{
    struct shelf s;
    struct err err = {0};
    struct actor lead = shelf_actor("county_lead", SIDE_COUNTY);

    (void)state;
    shelf_init(&s);
    struct row *file = historic_file(&s, "opinion");
    struct row *o = shelf_put(&s, "opinion", "historic", "1", "state", "collected", "received_at",
                              "2025-3-5", "anonymous", "1", NULL);
    shelf_fill(&s, o);
    shelf_set(&s, o, "submission_id", "");
    row_put(o, TAG_HISTORIC_FILE, value_null());
    assert_int_equal(creation_check(&s.check, o, &lead, &err), E_INVALID);
    shelf_refer(&s, o, "historic_file", file);
    assert_int_equal(creation_check(&s.check, o, &lead, &err), 0);
    shelf_set(&s, file, "state", "confirmed");
    assert_int_equal(creation_check(&s.check, o, &lead, &err), E_STATE);
    shelf_set(&s, file, "state", "unconfirmed");
    shelf_set(&s, file, "voided", "1");
    assert_int_equal(creation_check(&s.check, o, &lead, &err), E_STATE);
    shelf_refer(&s, o, "historic_file", historic_file(&s, "member"));
    assert_int_equal(creation_check(&s.check, o, &lead, &err), E_INVALID);
    shelf_refer(&s, o, "historic_file", historic_file(&s, "opinion"));
    shelf_set(&s, o, "historic", "0");
    assert_int_equal(creation_check(&s.check, o, &lead, &err), E_INVALID);
    shelf_release(&s);
}

/* 学联委 confirms a file of which the last record has come, once; then its county changes nothing of it. */
static void test_historic_file__is_confirmed_once(void **state)
{
    struct shelf s;
    struct err err = {0};
    struct actor lead = shelf_actor("county_lead", SIDE_COUNTY);
    struct actor liaison = shelf_actor("liaison", SIDE_CITY);
    const struct transition *t;

    (void)state;
    shelf_init(&s);
    struct row *file = historic_file(&s, "opinion");
    struct slice to = slice_str("confirmed");
    const struct field *count = kind_field_named(file->kind, "row_count");
    assert_int_equal(transition_pick(&s.check, file, to, &liaison, &t, &err), E_INVALID);
    assert_int_equal(check_owner(file, count, SIDE_COUNTY, &err), 0);
    shelf_set(&s, file, "row_count", "2816");
    assert_int_equal(transition_pick(&s.check, file, to, &lead, &t, &err), E_ROLE);
    assert_int_equal(transition_pick(&s.check, file, to, &liaison, &t, &err), 0);
    shelf_set(&s, file, "state", "confirmed");
    assert_int_equal(transition_pick(&s.check, file, to, &liaison, &t, &err), E_STATE);
    assert_int_equal(check_owner(file, count, SIDE_COUNTY, &err), E_STATE);
    shelf_set(&s, file, "target_kind", "feedback");
    assert_int_equal(check_row(&s.check, file, &err), E_INVALID);
    shelf_release(&s);
}

/* History is entered by a lead, in a state that history has, dated before the system. */
static void test_creation__historic(void **state)
{
    struct shelf s;
    struct err err = {0};
    struct settings live = {live_in_2026, NULL};
    struct actor lead = shelf_actor("county_lead", SIDE_COUNTY);
    struct actor clerk = shelf_actor("county_clerk", SIDE_COUNTY);

    (void)state;
    shelf_init(&s);
    s.check.settings = &live;
    struct row *o = shelf_put(&s, "opinion", "historic", "1", "state", "closed", "received_at",
                              "2025-3-5", "anonymous", "0", NULL);
    shelf_fill(&s, o);
    shelf_refer(&s, o, "historic_file", historic_file(&s, "opinion"));
    assert_int_equal(creation_check(&s.check, o, &clerk, &err), E_ROLE);
    assert_int_equal(creation_check(&s.check, o, &lead, &err), 0);
    shelf_set(&s, o, "feedback_on", "");
    shelf_set(&s, o, "not_accept_reason", "");
    assert_int_equal(creation_check(&s.check, o, &lead, &err), E_INVALID);
    shelf_set(&s, o, "anonymous", "1");
    assert_int_equal(creation_check(&s.check, o, &lead, &err), 0);
    shelf_set(&s, o, "received_at", "2026-1-1");
    assert_int_equal(creation_check(&s.check, o, &lead, &err), E_INVALID);
    shelf_set(&s, o, "received_at", "2025-1-1");
    shelf_set(&s, o, "state", "verifying");
    assert_int_equal(creation_check(&s.check, o, &lead, &err), E_STATE);
    struct row *m = shelf_put(&s, "member", "historic", "1", NULL);
    shelf_fill(&s, m);
    shelf_set(&s, m, "level", "county");
    shelf_refer(&s, m, "historic_file", historic_file(&s, "member"));
    assert_int_equal(creation_check(&s.check, m, &lead, &err), 0);
    struct row *r = shelf_put(&s, "feedback", "historic", "1", NULL);
    assert_int_equal(creation_check(&s.check, r, &lead, &err), E_STATE);
    shelf_release(&s);
}

/* ---- a submission's story ---- */

struct story {
    struct shelf s;
    struct row *city_member, *county_member, *submission, *card, *pcase, *icase;
};

static struct row *member(struct shelf *s, const char *level)
{
    return shelf_put(s, "member", "name", "李小明", "level", level, "status", "active", NULL);
}

static void story_init(struct story *y, const char *form)
{
    struct shelf *s = &y->s;

    memset(y, 0, sizeof *y);
    shelf_init(s);
    y->city_member = member(s, "city,county");
    y->county_member = member(s, "county");
    y->submission = shelf_put(s, "submission", "state", "draft", "form", form, "title", "关于路灯",
                              "no_secret", "1", "proposer_type", "individual", NULL);
    shelf_refer(s, y->submission, "lead_member", y->city_member);
    shelf_fill(s, y->submission);
    static const char *const city_fills[] = {"received_at", "case_id", "case_kind", "case_state",
                                             "route_note", "duplicate_of", "route_target"};
    for (size_t i = 0; i < sizeof city_fills / sizeof *city_fills; i++) {
        shelf_set(s, y->submission, city_fills[i], "");
    }
}

/* Give it a case with its card, in these states. */
static void story_case(struct story *y, const char *kind, const char *case_state,
                       const char *submission_state)
{
    struct shelf *s = &y->s;
    struct row *c = shelf_put(s, kind, "state", case_state, NULL);

    if (strcmp(kind, "proposal_case") == 0) {
        y->pcase = c;
        shelf_set(s, c, "session_kind", "ordinary");
    } else {
        y->icase = c;
        shelf_set(s, c, "form", "public_opinion");
    }
    shelf_refer(s, c, "submission_id", y->submission);
    y->card = shelf_put(s, "case_card", "case_kind", kind, "case_state", case_state, NULL);
    shelf_refer(s, y->card, "submission_id", y->submission);
    shelf_refer(s, y->submission, "case_id", y->card);
    shelf_set(s, y->submission, "case_kind", kind);
    shelf_set(s, y->submission, "state", submission_state);
}

static void case_state(struct story *y, struct row *c, const char *state)
{
    shelf_set(&y->s, c, "state", state);
    shelf_set(&y->s, y->card, "case_state", state);
}

/* domain.md §0.2: a county-level member cannot file a city proposal, alone or as cosigner. */
static void test_submission__eligibility(void **state)
{
    struct story y;

    (void)state;
    story_init(&y, "proposal");
    assert_move(&y.s, y.submission, "county_review", "county_clerk", 0, NULL);
    shelf_refer(&y.s, y.submission, "lead_member", y.county_member);
    assert_move(&y.s, y.submission, "county_review", "county_clerk", E_GUARD, "不是市政协委员");
    shelf_set(&y.s, y.submission, "form", "public_opinion");
    assert_move(&y.s, y.submission, "county_review", "county_clerk", 0, NULL);
    shelf_set(&y.s, y.submission, "form", "proposal");
    shelf_refer(&y.s, y.submission, "lead_member", y.city_member);
    shelf_set(&y.s, y.submission, "proposer_type", "joint");
    assert_move(&y.s, y.submission, "county_review", "county_clerk", E_GUARD, "联名");
    struct row *sign = shelf_put(&y.s, "signature", "target_kind", "submission", NULL);
    shelf_refer(&y.s, sign, "target_id", y.submission);
    shelf_refer(&y.s, sign, "member_id", y.county_member);
    assert_move(&y.s, y.submission, "county_review", "county_clerk", E_GUARD, "联名人不是市政协委员");
    struct row *card = shelf_put(&y.s, "member_card", "level", "city", "status", "active", NULL);
    shelf_refer(&y.s, sign, "member_id", card); /* a colleague known by the published card only */
    assert_move(&y.s, y.submission, "county_review", "county_clerk", 0, NULL);
    shelf_set(&y.s, card, "status", "resigned");
    assert_move(&y.s, y.submission, "county_review", "county_clerk", E_GUARD, "在任");
    shelf_release(&y.s);
}

static void test_submission__forms_need_their_fields(void **state)
{
    struct story y;

    (void)state;
    story_init(&y, "special_report");
    shelf_set(&y.s, y.submission, "analysis", "");
    assert_move(&y.s, y.submission, "county_review", "county_clerk", E_INVALID, "分析");
    shelf_set(&y.s, y.submission, "form", "micro_suggestion");
    assert_move(&y.s, y.submission, "county_review", "county_clerk", 0, NULL);
    shelf_set(&y.s, y.submission, "form", "proposal");
    shelf_set(&y.s, y.submission, "analysis", "分析");
    shelf_set(&y.s, y.submission, "allow_public", "");
    assert_move(&y.s, y.submission, "county_review", "county_clerk", E_INVALID, "可否公开");
    assert_move(&y.s, y.submission, "withdrawn", "county_clerk", 0, NULL);
    assert_move(&y.s, y.submission, "直接上报", "county_lead", E_INVALID, NULL);
    shelf_set(&y.s, y.submission, "allow_public", "1");
    assert_move(&y.s, y.submission, "直接上报", "county_lead", E_GUARD, "县级审核");
    shelf_release(&y.s);
}

static void test_submission__sign_withdraw_route(void **state)
{
    struct story y;

    (void)state;
    story_init(&y, "proposal");
    shelf_set(&y.s, y.submission, "state", "submitted");
    assert_move(&y.s, y.submission, "撤回", "county_lead", 0, NULL);
    shelf_set(&y.s, y.submission, "received_at", "2026-3-5");
    assert_move(&y.s, y.submission, "撤回", "county_lead", E_GUARD, "已签收不能撤回");
    assert_move(&y.s, y.submission, "签收", "county_lead", E_ROLE, "委员学习联络委");
    assert_move(&y.s, y.submission, "签收", "liaison", 0, NULL);
    shelf_set(&y.s, y.submission, "state", "received");
    assert_move(&y.s, y.submission, "routed_proposal", "liaison", E_INVALID, "转送去向");
    shelf_set(&y.s, y.submission, "route_target", "office");
    assert_move(&y.s, y.submission, "routed_proposal", "liaison", E_GUARD, "转送去向");
    assert_move(&y.s, y.submission, "routed_office", "liaison", E_GUARD, "转送说明");
    shelf_set(&y.s, y.submission, "route_target", "proposal_committee");
    assert_move(&y.s, y.submission, "routed_proposal", "liaison", 0, NULL);
    shelf_set(&y.s, y.submission, "form", "micro_suggestion");
    assert_move(&y.s, y.submission, "routed_proposal", "liaison", E_GUARD, "委员提案");
    shelf_set(&y.s, y.submission, "duplicate_of", "GY-ZS-2026-0001");
    assert_move(&y.s, y.submission, "duplicate", "liaison", E_GUARD, "重复于");
    shelf_put(&y.s, "submission", "serial_no", "GY-ZS-2026-0001", "state", "received", NULL);
    assert_move(&y.s, y.submission, "duplicate", "liaison", 0, NULL);
    shelf_release(&y.s);
}

/* 退回补正 and 补正重报: one act, and the case it has decides where it goes. */
static void test_submission__returns_to_the_same_case(void **state)
{
    struct story y;
    struct err err;
    const struct transition *t;
    struct actor lead = shelf_actor("county_lead", SIDE_COUNTY);

    (void)state;
    story_init(&y, "proposal");
    shelf_set(&y.s, y.submission, "state", "returned");
    assert_int_equal(transition_pick(&y.s.check, y.submission, slice_str("补正重报"), &lead, &t, &err), 0);
    assert_string_equal(t->to, "submitted");
    story_case(&y, "proposal_case", "supplement", "returned");
    assert_int_equal(transition_pick(&y.s.check, y.submission, slice_str("补正重报"), &lead, &t, &err), 0);
    assert_string_equal(t->to, "routed_proposal");
    assert_move(&y.s, y.submission, "submitted", "county_lead", E_GUARD, "已有案卷");
    case_state(&y, y.pcase, "withdrawn");
    assert_move(&y.s, y.submission, "routed_proposal", "county_lead", E_GUARD, "等待补正");
    assert_move(&y.s, y.submission, "routed_proposal", "system", 0, NULL);
    shelf_release(&y.s);
    story_init(&y, "public_opinion");
    story_case(&y, "info_case", "screening", "routed_office");
    assert_move(&y.s, y.submission, "returned", "office", 0, NULL);
    shelf_set(&y.s, y.submission, "state", "returned");
    assert_int_equal(transition_pick(&y.s.check, y.submission, slice_str("补正重报"), &lead, &t, &err), 0);
    assert_string_equal(t->to, "routed_office");
    assert_move(&y.s, y.icase, "adopted", "office", E_INVALID, NULL);
    shelf_fill(&y.s, y.icase);
    shelf_set(&y.s, y.icase, "form", "public_opinion");
    shelf_refer(&y.s, y.icase, "submission_id", y.submission);
    assert_move(&y.s, y.icase, "adopted", "office", E_GUARD, "退回补正");
    shelf_release(&y.s);
}

/* People only catch up with the case; rules move both. */
static void test_submission__mirrors_its_case(void **state)
{
    struct story y;

    (void)state;
    story_init(&y, "proposal");
    story_case(&y, "proposal_case", "reviewing", "routed_proposal");
    assert_move(&y.s, y.submission, "in_process", "proposal_committee", E_GUARD, "案卷");
    assert_move(&y.s, y.submission, "in_process", "system", 0, NULL);
    case_state(&y, y.pcase, "filed");
    assert_move(&y.s, y.submission, "in_process", "proposal_committee", 0, NULL);
    assert_move(&y.s, y.submission, "in_process", "office", E_ROLE, NULL);
    case_state(&y, y.pcase, "converted");
    shelf_set(&y.s, y.submission, "route_note", "转社情民意");
    assert_move(&y.s, y.submission, "routed_office", "proposal_committee", E_GUARD, "同意");
    shelf_set(&y.s, y.pcase, "proposer_consent", "1");
    assert_move(&y.s, y.submission, "routed_office", "proposal_committee", 0, NULL);
    shelf_release(&y.s);
}

static void test_submission__closes_after_tracking(void **state)
{
    struct story y;

    (void)state;
    story_init(&y, "proposal");
    story_case(&y, "proposal_case", "closed", "answered");
    struct row *t = shelf_put(&y.s, "tracking", "happened_at", "2026-3-1", NULL);
    shelf_refer(&y.s, t, "submission_id", y.submission);
    assert_move(&y.s, y.submission, "closed", "liaison", E_GUARD, "签收");
    shelf_set(&y.s, t, "ack_at", "2026-3-2");
    assert_move(&y.s, y.submission, "closed", "liaison", 0, NULL);
    shelf_set(&y.s, t, "ack_at", "");
    y.s.check.today += 26; /* thirty days after 1 March */
    assert_move(&y.s, y.submission, "closed", "liaison", 0, NULL);
    shelf_release(&y.s);
}

/* ---- the case ---- */

static struct row *task(struct story *y, const struct row *of, const char *role, const char *round,
                        const char *state)
{
    struct row *t = shelf_put(&y->s, "handling_task", "unit_role", role, "round", round, "state",
                              state, "case_kind", of->kind->name, "assigned_on", "2026-3-1", "due_on",
                              strcmp(role, "co") == 0 ? "2026-4-1" : "2026-6-1", NULL);
    struct row *unit = shelf_put(&y->s, "org_unit", "active", "1", "is_undertaker", "1", NULL);

    shelf_refer(&y->s, t, "case_id", of);
    shelf_refer(&y->s, t, "unit_id", unit);
    return t;
}

static void story_filed(struct story *y, const char *handle)
{
    story_init(y, "proposal");
    story_case(y, "proposal_case", "filed", "in_process");
    shelf_set(&y->s, y->pcase, "handle_kind", handle);
    shelf_set(&y->s, y->pcase, "assigned_on", "2026-3-1");
    shelf_set(&y->s, y->pcase, "due_on", "2026-6-1");
}

/* §5.6.5. */
static void test_case__unit_roles(void **state)
{
    struct story y;

    (void)state;
    story_filed(&y, "single");
    assert_move(&y.s, y.pcase, "assigned", "proposal_committee", E_GUARD, "独办");
    struct row *one = task(&y, y.pcase, "single", "1", "assigned");
    assert_move(&y.s, y.pcase, "assigned", "proposal_committee", 0, NULL);
    shelf_set(&y.s, one, "due_on", "2026-5-1");
    assert_move(&y.s, y.pcase, "assigned", "proposal_committee", E_GUARD, "不一致");
    shelf_set(&y.s, one, "state", "reassigned");
    assert_move(&y.s, y.pcase, "assigned", "proposal_committee", E_GUARD, "独办");
    shelf_set(&y.s, y.pcase, "handle_kind", "joint");
    task(&y, y.pcase, "lead", "1", "assigned");
    assert_move(&y.s, y.pcase, "assigned", "proposal_committee", E_GUARD, "会办");
    task(&y, y.pcase, "co", "1", "assigned");
    assert_move(&y.s, y.pcase, "assigned", "proposal_committee", 0, NULL);
    task(&y, y.pcase, "lead", "1", "assigned");
    assert_move(&y.s, y.pcase, "assigned", "proposal_committee", E_GUARD, "一个主办");
    shelf_release(&y.s);
    story_filed(&y, "separate");
    task(&y, y.pcase, "separate", "1", "assigned");
    assert_move(&y.s, y.pcase, "assigned", "proposal_committee", E_GUARD, "两个");
    task(&y, y.pcase, "separate", "1", "assigned");
    assert_move(&y.s, y.pcase, "assigned", "proposal_committee", 0, NULL);
    shelf_release(&y.s);
}

static void test_case__replied_with_every_answering_unit(void **state)
{
    struct story y;

    (void)state;
    story_filed(&y, "joint");
    struct row *lead = task(&y, y.pcase, "lead", "1", "assigned");
    struct row *co = task(&y, y.pcase, "co", "1", "assigned");
    shelf_set(&y.s, y.pcase, "state", "assigned");
    assert_move(&y.s, y.pcase, "handling", "system", E_GUARD, "签收");
    shelf_set(&y.s, lead, "state", "handling");
    assert_move(&y.s, y.pcase, "handling", "system", 0, NULL);
    shelf_set(&y.s, y.pcase, "state", "handling");
    assert_move(&y.s, y.pcase, "replied", "system", E_GUARD, "答复");
    shelf_set(&y.s, lead, "state", "reply_drafted");
    assert_move(&y.s, lead, "replied", "proposal_committee", E_GUARD, "审查通过");
    shelf_set(&y.s, lead, "state", "handling");
    assert_move(&y.s, lead, "reply_drafted", "proposal_committee", E_GUARD, "会办意见");
    shelf_set(&y.s, co, "state", "co_opined");
    assert_move(&y.s, lead, "reply_drafted", "proposal_committee", E_GUARD, "登记答复");
    struct row *reply = shelf_put(&y.s, "reply", "result_class", "B", NULL);
    shelf_refer(&y.s, reply, "task_id", lead);
    assert_move(&y.s, lead, "reply_drafted", "proposal_committee", 0, NULL);
    shelf_set(&y.s, lead, "state", "reply_drafted");
    assert_move(&y.s, lead, "reply_rejected", "proposal_committee", E_GUARD, "驳回");
    shelf_set(&y.s, reply, "review_result", "通过");
    assert_move(&y.s, lead, "replied", "proposal_committee", 0, NULL);
    shelf_set(&y.s, lead, "state", "replied");
    assert_move(&y.s, y.pcase, "replied", "system", 0, NULL);
    assert_move(&y.s, co, "reply_drafted", "undertaker", E_STATE, NULL);
    shelf_set(&y.s, y.pcase, "state", "feedback_wait");
    assert_move(&y.s, y.pcase, "tracking", "proposal_committee", 0, NULL);
    shelf_set(&y.s, reply, "result_class", "A");
    assert_move(&y.s, y.pcase, "tracking", "proposal_committee", E_GUARD, "B类");
    shelf_release(&y.s);
}

/* §5.6.8, and what withdrawing or un-merging would tear. */
static void test_case__merging(void **state)
{
    struct story y;

    (void)state;
    story_init(&y, "proposal");
    story_case(&y, "proposal_case", "reviewing", "routed_proposal");
    struct row *main_case = shelf_put(&y.s, "proposal_case", "state", "reviewing", NULL);
    shelf_refer(&y.s, y.pcase, "main_case", main_case);
    assert_move(&y.s, y.pcase, "merged", "proposal_committee", E_GUARD, "已立案");
    shelf_set(&y.s, main_case, "state", "merged");
    assert_move(&y.s, y.pcase, "merged", "proposal_committee", E_GUARD, "已并案");
    shelf_refer(&y.s, y.pcase, "main_case", y.pcase);
    assert_move(&y.s, y.pcase, "merged", "proposal_committee", E_GUARD, "自身");
    shelf_refer(&y.s, y.pcase, "main_case", main_case);
    shelf_set(&y.s, main_case, "state", "assigned");
    assert_move(&y.s, y.pcase, "merged", "proposal_committee", 0, NULL);
    shelf_set(&y.s, y.pcase, "state", "merged");
    shelf_set(&y.s, y.submission, "state", "in_process");
    shelf_set(&y.s, main_case, "review_opinion", "撤案");
    assert_move(&y.s, main_case, "withdrawn", "proposal_committee", E_GUARD, "撤销并案");
    shelf_set(&y.s, y.pcase, "review_opinion", "撤销");
    assert_move(&y.s, y.pcase, "reviewing", "proposal_committee", 0, NULL);
    assert_move(&y.s, y.pcase, "archived", "proposal_committee", E_GUARD, "主案");
    shelf_set(&y.s, y.submission, "state", "answered");
    assert_move(&y.s, y.pcase, "reviewing", "proposal_committee", E_GUARD, "已经答复");
    shelf_set(&y.s, main_case, "state", "closed");
    assert_move(&y.s, y.pcase, "archived", "proposal_committee", 0, NULL);
    shelf_release(&y.s);
}

/* Feedback of a merged proposer counts; a second handling comes once. */
static void test_case__feedback(void **state)
{
    struct story y;

    (void)state;
    story_filed(&y, "single");
    task(&y, y.pcase, "single", "1", "replied");
    shelf_set(&y.s, y.pcase, "state", "feedback_wait");
    assert_move(&y.s, y.pcase, "rehandling", "proposal_committee", E_GUARD, "不满意");
    struct row *answer = shelf_put(&y.s, "answer", "reply_on", "2026-3-1", NULL);
    shelf_refer(&y.s, answer, "submission_id", y.submission);
    assert_move(&y.s, y.pcase, "closed", "proposal_committee", E_GUARD, "期限未到");
    y.s.check.today += 12; /* the 17th: sixteen days on */
    assert_move(&y.s, y.pcase, "closed", "proposal_committee", 0, NULL);
    y.s.check.today -= 12;
    struct row *feedback = shelf_put(&y.s, "feedback", "result", "dissatisfied", NULL);
    shelf_refer(&y.s, feedback, "case_id", y.card);
    assert_move(&y.s, y.pcase, "closed", "proposal_committee", 0, NULL);
    assert_move(&y.s, y.pcase, "rehandling", "proposal_committee", 0, NULL);
    shelf_set(&y.s, y.pcase, "state", "rehandling");
    shelf_set(&y.s, y.pcase, "round", "2");
    assert_move(&y.s, y.pcase, "handling", "proposal_committee", E_GUARD, "独办");
    task(&y, y.pcase, "single", "2", "assigned");
    assert_move(&y.s, y.pcase, "handling", "proposal_committee", 0, NULL);
    shelf_set(&y.s, y.pcase, "state", "feedback_wait");
    assert_move(&y.s, y.pcase, "rehandling", "proposal_committee", E_GUARD, "只能一次");
    shelf_release(&y.s);
}

static void test_case__eligible_to_be_filed(void **state)
{
    struct story y;

    (void)state;
    story_init(&y, "proposal");
    story_case(&y, "proposal_case", "reviewing", "routed_proposal");
    shelf_set(&y.s, y.pcase, "review_opinion", "同意立案");
    shelf_set(&y.s, y.pcase, "review_on", "2026-3-5");
    shelf_set(&y.s, y.pcase, "filed_on", "2026-3-5");
    assert_move(&y.s, y.pcase, "filed", "proposal_committee", 0, NULL);
    shelf_refer(&y.s, y.submission, "lead_member", y.county_member);
    assert_move(&y.s, y.pcase, "filed", "proposal_committee", E_GUARD, "不是市政协委员");
    shelf_set(&y.s, y.pcase, "proposer_consent", "0");
    assert_move(&y.s, y.pcase, "converted", "proposal_committee", E_GUARD, "同意");
    shelf_set(&y.s, y.pcase, "proposer_consent", "1");
    assert_move(&y.s, y.pcase, "converted", "proposal_committee", 0, NULL);
    shelf_release(&y.s);
}

static void test_info__short_path_for_micro_suggestions(void **state)
{
    struct story y;

    (void)state;
    story_init(&y, "micro_suggestion");
    story_case(&y, "info_case", "screening", "routed_office");
    shelf_set(&y.s, y.icase, "due_on", "2026-4-1");
    shelf_set(&y.s, y.icase, "screen_opinion", "可办");
    assert_move(&y.s, y.icase, "transferred", "office", E_GUARD, "微建议");
    assert_move(&y.s, y.icase, "adopted", "office", 0, NULL);
    shelf_set(&y.s, y.icase, "form", "micro_suggestion");
    assert_move(&y.s, y.icase, "transferred", "office", 0, NULL);
    assert_move(&y.s, y.icase, "adopted", "office", E_GUARD, "直接转办");
    struct row *other = shelf_put(&y.s, "info_case", "state", "merged", NULL);
    shelf_refer(&y.s, other, "merged_into", y.icase);
    assert_move(&y.s, y.icase, "withdrawn", "office", E_GUARD, "并入");
    shelf_refer(&y.s, y.icase, "merged_into", other);
    assert_move(&y.s, y.icase, "merged", "office", E_GUARD, NULL);
    shelf_set(&y.s, y.icase, "state", "issued");
    assert_move(&y.s, y.icase, "instructed", "office", E_GUARD, "批示");
    struct row *adoption = shelf_put(&y.s, "adoption", "kind", "instruction", NULL);
    shelf_refer(&y.s, adoption, "case_id", y.icase);
    assert_move(&y.s, y.icase, "instructed", "office", 0, NULL);
    shelf_release(&y.s);
}

/* ---- the task ---- */

static int create(struct story *y, struct row *t, struct err *err)
{
    struct actor a = shelf_actor("proposal_committee", SIDE_CITY);

    *err = (struct err){0};
    shelf_set(&y->s, t, "state", "assigned");
    return creation_check(&y->s.check, t, &a, err);
}

/* §5.6.6, and that the unit may take it. */
static void test_task__creation(void **state)
{
    struct story y;
    struct err err;
    struct row *unit;

    (void)state;
    story_filed(&y, "joint");
    struct row *lead = task(&y, y.pcase, "lead", "1", "assigned");
    assert_int_equal(create(&y, lead, &err), 0);
    struct row *co = task(&y, y.pcase, "co", "1", "assigned");
    assert_int_equal(create(&y, co, &err), 0);
    shelf_set(&y.s, co, "due_on", "2026-5-17"); /* 15 days before 1 June */
    assert_int_equal(create(&y, co, &err), 0);
    shelf_set(&y.s, co, "due_on", "2026-5-18");
    assert_int_equal(create(&y, co, &err), E_GUARD);
    shelf_set(&y.s, co, "due_on", "2026-4-1");
    shelf_set(&y.s, lead, "due_on", "2026-5-31");
    assert_int_equal(create(&y, lead, &err), E_GUARD);
    shelf_set(&y.s, lead, "due_on", "2026-6-1");
    shelf_set(&y.s, y.pcase, "due_on", "");
    shelf_set(&y.s, lead, "due_on", "2026-9-2");
    assert_int_equal(create(&y, lead, &err), E_GUARD);
    assert_int_equal(lookup_ref(&y.s.lookup, co, "unit_id", &unit), 0);
    shelf_refer(&y.s, lead, "unit_id", unit);
    shelf_set(&y.s, lead, "due_on", "2026-6-1");
    assert_int_equal(create(&y, lead, &err), E_GUARD); /* the same unit twice in one round */
    shelf_set(&y.s, unit, "active", "0");
    assert_int_equal(create(&y, co, &err), E_GUARD);
    shelf_set(&y.s, unit, "active", "1");
    shelf_set(&y.s, y.pcase, "state", "closed");
    assert_int_equal(create(&y, co, &err), E_GUARD);
    shelf_release(&y.s);
}

static void test_task__declining(void **state)
{
    struct story y;

    (void)state;
    story_filed(&y, "single");
    struct row *t = task(&y, y.pcase, "single", "1", "assigned");
    shelf_set(&y.s, t, "decline_reason", "不属职责范围");
    assert_move(&y.s, t, "decline_requested", "undertaker", 0, NULL);
    shelf_set(&y.s, t, "decline_due", "2026-3-4");
    assert_move(&y.s, t, "decline_requested", "undertaker", E_GUARD, "期限");
    shelf_set(&y.s, t, "decline_due", "");
    y.s.check.today += 7; /* 12 March: eleven days after 交办 */
    assert_move(&y.s, t, "decline_requested", "undertaker", E_GUARD, "期限");
    shelf_set(&y.s, t, "state", "decline_requested");
    shelf_set(&y.s, t, "decline_result", "不同意");
    assert_move(&y.s, t, "reassigned", "proposal_committee", E_GUARD, "同意改派");
    assert_move(&y.s, t, "signed", "proposal_committee", 0, NULL);
    shelf_release(&y.s);
}

static void test_task__extension(void **state)
{
    struct story y;

    (void)state;
    story_filed(&y, "single");
    struct row *t = task(&y, y.pcase, "single", "1", "handling");
    shelf_set(&y.s, t, "ext_reason", "情况复杂");
    shelf_set(&y.s, t, "ext_to", "2026-9-1");
    assert_move(&y.s, t, "extension_requested", "undertaker", 0, NULL);
    shelf_set(&y.s, t, "ext_to", "2026-9-2");
    assert_move(&y.s, t, "extension_requested", "undertaker", E_GUARD, "6 个月");
    shelf_set(&y.s, t, "ext_to", "2026-6-1");
    assert_move(&y.s, t, "extension_requested", "undertaker", E_GUARD, "晚于");
    assert_move(&y.s, t, "送会办意见", "undertaker", E_INVALID, "会办意见");
    shelf_set(&y.s, t, "co_opinion", "同意");
    assert_move(&y.s, t, "送会办意见", "undertaker", E_GUARD, "会办单位");
    shelf_release(&y.s);
}

/* ---- opinions ---- */

static void test_opinion__forward_and_close(void **state)
{
    struct story y;

    (void)state;
    story_init(&y, "proposal");
    struct row *o = shelf_put(&y.s, "opinion", "state", "verifying", "reasonable", "0", NULL);
    shelf_fill(&y.s, o);
    assert_move(&y.s, o, "forwarded", "county_clerk", E_GUARD, "合理");
    shelf_set(&y.s, o, "reasonable", "1");
    assert_move(&y.s, o, "forwarded", "county_clerk", 0, NULL);
    shelf_set(&y.s, o, "state", "handled");
    shelf_set(&y.s, o, "anonymous", "0");
    assert_move(&y.s, o, "closed", "county_clerk", E_GUARD, "反馈群众");
    shelf_set(&y.s, o, "anonymous", "1");
    assert_move(&y.s, o, "closed", "county_clerk", 0, NULL);
    shelf_release(&y.s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_transition__every_role_and_field),
        cmocka_unit_test(test_transition__no_other_states),
        cmocka_unit_test(test_transition__allowed_succeed),
        cmocka_unit_test(test_transition__guards_of_later_issues),
        cmocka_unit_test(test_transition__found_by_code_and_label),
        cmocka_unit_test(test_creation__roles_and_fields),
        cmocka_unit_test(test_creation__historic),
        cmocka_unit_test(test_creation__historic_file),
        cmocka_unit_test(test_historic_file__is_confirmed_once),
        cmocka_unit_test(test_submission__eligibility),
        cmocka_unit_test(test_submission__forms_need_their_fields),
        cmocka_unit_test(test_submission__sign_withdraw_route),
        cmocka_unit_test(test_submission__returns_to_the_same_case),
        cmocka_unit_test(test_submission__mirrors_its_case),
        cmocka_unit_test(test_submission__closes_after_tracking),
        cmocka_unit_test(test_case__unit_roles),
        cmocka_unit_test(test_case__replied_with_every_answering_unit),
        cmocka_unit_test(test_case__merging),
        cmocka_unit_test(test_case__feedback),
        cmocka_unit_test(test_case__eligible_to_be_filed),
        cmocka_unit_test(test_info__short_path_for_micro_suggestions),
        cmocka_unit_test(test_task__creation),
        cmocka_unit_test(test_task__declining),
        cmocka_unit_test(test_task__extension),
        cmocka_unit_test(test_opinion__forward_and_close),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
