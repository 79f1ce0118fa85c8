/* The city's rules, driven by acts of people through the real judge on a store in a scratch file.
 *
 * Called with "faults" it tells the same stories, but lets every act first fail at each piece of memory and
 * at each statement: no act may be judged halfway, and the story goes on as if nothing had been. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/catalogue/mirror.h"
#include "common/crypto/hash.h"
#include "server/store/city.h"
#include "tests/lib/trip.h"

#define GY     431021u
#define ZX     431081u
#define START  1772690400000ull /* 2026-03-05 14:00 in Chenzhou, a Thursday */
#define DAY_MS 86400000ull

#define FAULTS_DENSE 200u /* so many places one after another */

/* ---- fixture ---- */

struct world {
    char dir[64], path[96];
    struct city *c;
    struct random_seeded seed;
    struct arena a;
    msec_t now;
    bool faults;    /* each act fails first, everywhere */
    struct err err; /* of the last refused act */
    struct actor gy, zx, own, liaison, committee, office, leader;
    struct id term, sector, gov[4];
    struct id studio_gy, studio_zx, card; /* the card of a city member, whom counties may name */
};

static int sign(void *ctx, struct slice message, struct buf *out)
{
    (void)ctx;
    buf_bytes(out, (struct slice){message.p, message.len < 32 ? message.len : 32});
    return 0;
}

static struct actor person(uint32_t site, enum side side, const char *roles)
{
    struct value v = {.type = V_SET, .s = slice_str(roles)};
    struct actor a = {.site = site, .side = side, .roles = roles_of(&v)};

    for (unsigned i = 0; i < ID_SIZE; i++)
        a.account.b[i] = (uint8_t)(site + i * 7 + (unsigned)strlen(roles));
    return a;
}

static struct slice id_text(struct world *w, const struct id *id)
{
    char *text = arena_alloc(&w->a, ID_TEXT_SIZE);

    id_format(id, text);
    return slice_str(text);
}

static const char *ref(struct world *w, const struct id *id)
{
    return (const char *)id_text(w, id).p;
}

/* ---- acts ---- */

static void put_fields(struct world *w, const struct actor *who, struct change *c, va_list ap)
{
    const struct kind *kind = catalogue_kind(c->kind);
    const char *name;

    c->fields = arena_zalloc(&w->a, 40 * sizeof *c->fields);
    while ((name = va_arg(ap, const char *)) != NULL) {
        const struct field *f = kind_field_named(kind, name);
        struct field_change *fc = &c->fields[c->n_fields++];
        struct err err;

        if (f == NULL)
            fail_msg("no field %s", name);
        *fc = (struct field_change){.tag = f->tag, .form = FORM_SET};
        if (check_parse(&w->a, f, slice_str(va_arg(ap, const char *)), &fc->v, &err) != 0)
            fail_msg("%s: %s", name, err.text);
        if (who->side == SIDE_COUNTY && f->vanish != VANISH_NO) {
            fc->form = FORM_HASHED;
            change_commit_value(city_hasher(w->c), fc->salt, &fc->v, fc->hash);
        }
    }
}

static int judge_and_undo(struct world *w, const struct actor *who, struct change c)
{
    struct act act = {.changes = &c, .n = 1, .actor = *who};
    int ret;

    w->err = (struct err){.ret = 0};
    trip_pause();
    assert_int_equal(city_begin(w->c, w->now, &w->err), 0);
    trip_resume();
    ret = city_act(w->c, &act, &w->err);
    city_rollback(w->c);
    return ret;
}

/* Each place where KIND can fail, the later ones not all. A fault is told as itself, or, where the act can
 * do without, changes nothing of the verdict. */
static void fail_everywhere(struct world *w, const struct actor *who, const struct change *c,
                            enum trip kind)
{
    const int told = kind == TRIP_MEMORY ? E_NOMEM : E_IO, verdict = judge_and_undo(w, who, *c);
    unsigned hits = 1;

    for (unsigned n = 1; hits > 0; n += 1 + n / FAULTS_DENSE) {
        int ret;

        trip_set(kind, n);
        ret = judge_and_undo(w, who, *c);
        hits = trip_hits();
        trip_set(kind, 0);
        if (ret != verdict && (hits == 0 || ret != told))
            fail_msg("fault %u of kind %u: %s instead of %s", n, kind, err_code(ret),
                     err_code(verdict));
        if (ret != 0 && (w->err.ret != ret || w->err.text[0] == '\0'))
            fail_msg("fault %u of kind %u: told without a sentence", n, kind);
    }
}

static int run(struct world *w, const struct actor *who, struct change *c)
{
    struct act act = {.changes = c, .n = 1, .actor = *who};
    int ret;

    c->seen = UINT64_MAX >> 1;
    w->now += 1000;
    if (w->faults) {
        fail_everywhere(w, who, c, TRIP_MEMORY);
        fail_everywhere(w, who, c, TRIP_SQL);
    }
    w->err = (struct err){.ret = 0};
    assert_int_equal(city_begin(w->c, w->now, &w->err), 0);
    ret = city_act(w->c, &act, &w->err);
    if (ret == 0)
        ret = city_commit(w->c, &w->err);
    else
        city_rollback(w->c);
    return ret;
}

static int try_add(struct world *w, const struct actor *who, const char *kind, const char *state,
                   struct id *ret_id, ...)
{
    struct change c = {.op = OP_CREATE, .kind = catalogue_kind_named(kind)->tag};
    va_list ap;
    int ret;

    if (state != NULL)
        c.to = slice_str(state);
    if (who->side == SIDE_COUNTY)
        c.stream = who->site;
    va_start(ap, ret_id);
    put_fields(w, who, &c, ap);
    va_end(ap);
    ret = run(w, who, &c);
    if (ret_id != NULL)
        *ret_id = c.record;
    return ret;
}

static struct row *get(struct world *w, const char *kind, const struct id *id)
{
    struct row *row;

    assert_int_equal(store_row_get(city_store(w->c), &w->a, catalogue_kind_named(kind), id, &row,
                                   NULL),
                     0);
    assert_non_null(row);
    return row;
}

static int try_do(struct world *w, const struct actor *who, const char *kind, const struct id *id,
                  const char *to, ...)
{
    struct change c = {.op = to == NULL ? OP_SET : OP_TRANSITION,
                       .kind = catalogue_kind_named(kind)->tag,
                       .record = *id};
    va_list ap;

    if (to != NULL) {
        c.from = row_state(get(w, kind, id));
        c.to = slice_str(to);
    }
    va_start(ap, to);
    put_fields(w, who, &c, ap);
    va_end(ap);
    return run(w, who, &c);
}

#define MUST(w, call)                                                                              \
    do {                                                                                           \
        int must_ret = (call);                                                                     \
        if (must_ret != 0)                                                                         \
            fail_msg("%s:%d: %d %s", __func__, __LINE__, must_ret, (w)->err.text);                 \
    } while (0)
#define ADD(w, who, kind, state, id, ...)                                                          \
    MUST(w, try_add(w, &(w)->who, kind, state, id, __VA_ARGS__, (char *)NULL))
#define DO(w, who, kind, id, ...) MUST(w, try_do(w, &(w)->who, kind, id, __VA_ARGS__, (char *)NULL))
#define REFUSED(w, who, kind, id, code, ...)                                                       \
    assert_int_equal(try_do(w, &(w)->who, kind, id, __VA_ARGS__, (char *)NULL), code)

/* ---- questions ---- */

static size_t find(struct world *w, const char *kind, const char *field, struct value v,
                   struct row ***ret)
{
    const struct kind *k = catalogue_kind_named(kind);
    size_t n;

    assert_int_equal(store_row_find(city_store(w->c), &w->a, k, kind_field_named(k, field)->tag, &v,
                                    ret, &n, NULL),
                     0);
    return n;
}

static size_t count(struct world *w, const char *kind, const char *field, const struct id *id)
{
    struct row **rows;

    return find(w, kind, field, value_id(id), &rows);
}

static void assert_state(struct world *w, const char *kind, const struct id *id, const char *state)
{
    struct slice s = row_state(get(w, kind, id));

    if (!slice_eq(s, slice_str(state)))
        fail_msg("%s is %.*s, not %s", kind, (int)s.len, (const char *)s.p, state);
}

static void assert_text(const struct row *row, const char *field, const char *text)
{
    struct slice s = row_text(row, field);

    if (!slice_eq(s, slice_str(text)))
        fail_msg("%s.%s is “%.*s”, not “%s”", row->kind->name, field, (int)s.len, (const char *)s.p,
                 text);
}

static size_t trackings(struct world *w, const struct id *submission)
{
    return count(w, "tracking", "submission_id", submission);
}

static struct row *last_tracking(struct world *w, const struct id *submission)
{
    struct row **rows, *last = NULL;
    size_t n = find(w, "tracking", "submission_id", value_id(submission), &rows);

    for (size_t i = 0; i < n; i++) {
        if (last == NULL || rows[i]->created_seq > last->created_seq)
            last = rows[i];
    }
    assert_non_null(last);
    return last;
}

/* The last step told, its row alone since BEFORE rows. */
static void assert_told(struct world *w, const struct id *submission, size_t *told,
                        const char *node)
{
    size_t n = trackings(w, submission);

    assert_text(last_tracking(w, submission), "node", node);
    if (n != *told + 1)
        fail_msg("%s: %zu tracking rows instead of 1", node, n - *told);
    *told = n;
}

static struct row *card_of(struct world *w, const struct id *submission)
{
    struct row **rows;

    assert_int_equal(find(w, "case_card", "submission_id", value_id(submission), &rows), 1);
    return rows[0];
}

/* The one live case of KIND of a submission. */
static struct id case_of(struct world *w, const char *kind, const struct id *submission)
{
    struct row **rows;

    assert_int_equal(find(w, kind, "submission_id", value_id(submission), &rows), 1);
    return rows[0]->id;
}

static const char *date(struct world *w, int days)
{
    char *text = arena_alloc(&w->a, CAL_DATE_SIZE);

    cal_format_date(cal_day_of(w->now) + days, text);
    return text;
}

static const char *months(struct world *w, int n)
{
    char *text = arena_alloc(&w->a, CAL_DATE_SIZE);

    cal_format_date(cal_add_months(cal_day_of(w->now), n), text);
    return text;
}

/* ---- a city with two counties ---- */

static void seed_members(struct world *w)
{
    struct id member;
    struct row **rows;

    ADD(w, own, "member", NULL, &member, "name", "何建国", "gender", "男", "party", "cpc", "level",
        "city", "sector_id", ref(w, &w->sector), "unit_title", "市农科所所长", "expertise", "农业",
        "phone", "13800001234", "term_id", ref(w, &w->term));
    assert_int_equal(find(w, "member_card", "name", value_str("何建国"), &rows), 1);
    w->card = rows[0]->id;
    assert_int_equal(row_int(get(w, "member", &member), "is_party_member_lead"), 1);
}

/* What other parts of the city make: a studio by an application, an account by enrolment. */
static struct id by_system(struct world *w, const char *kind, uint32_t site, const char *state,
                           const char *field, const char *text)
{
    const struct actor system = {.site = SITE_CITY, .side = SIDE_CITY, .is_system = true};
    const struct kind *k = catalogue_kind_named(kind);
    struct change c = {.op = OP_CREATE, .kind = k->tag, .stream = site};

    if (state != NULL)
        c.to = slice_str(state);
    c.fields = arena_zalloc(&w->a, sizeof *c.fields);
    c.fields[0] = (struct field_change){.tag = kind_field_named(k, field)->tag,
                                        .form = FORM_SET,
                                        .v = value_str(text)};
    c.n_fields = 1;
    MUST(w, run(w, &system, &c));
    return c.record;
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    static const char *const names[] = {"市交通运输局", "市住建局", "市财政局", "市农业农村局"};
    struct city_options o = {.hasher = hasher_of(HASH_SM3), .signer = {.sign = sign}, .now = START};
    const struct value city = value_str("431000"), sector = value_str("农业");
    struct row **rows;

    arena_init(&w->a, 256u << 20);
    (void)snprintf(w->dir, sizeof w->dir, "/tmp/test_rules.XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    (void)snprintf(w->path, sizeof w->path, "%s/city.db", w->dir);
    o.random = random_seeded_init(&w->seed, 7);
    w->now = START;
    MUST(w, city_create(w->path, &o, "第五届", &w->err));
    MUST(w, city_open(w->path, &o, &w->c, &w->err));
    w->gy = person(GY, SIDE_COUNTY, "county_clerk,county_lead,studio_user");
    w->zx = person(ZX, SIDE_COUNTY, "county_clerk,county_lead,studio_user");
    w->own = person(SITE_CITY, SIDE_COUNTY, "county_clerk,county_lead,studio_user");
    w->liaison = person(SITE_CITY, SIDE_CITY, "liaison");
    w->committee = person(SITE_CITY, SIDE_CITY, "proposal_committee");
    w->office = person(SITE_CITY, SIDE_CITY, "office");
    w->leader = person(SITE_CITY, SIDE_CITY, "leader_sg");
    assert_int_equal(find(w, "site", "code", city, &rows), 1);
    assert_int_equal(find(w, "term", "site_code", value_id(&rows[0]->id), &rows), 1);
    w->term = rows[0]->id;
    assert_int_equal(find(w, "sector", "name", sector, &rows), 1);
    w->sector = rows[0]->id;
    for (size_t i = 0; i < 4; i++)
        ADD(w, committee, "org_unit", NULL, &w->gov[i], "name", names[i], "unit_type", "gov",
            "is_undertaker", "1", "is_counterpart", "0");
    seed_members(w);
    w->studio_gy = by_system(w, "studio", GY, "approved", "name", "桂阳农业工作室");
    w->studio_zx = by_system(w, "studio", ZX, "approved", "name", "资兴生态工作室");
    w->gy.account = by_system(w, "user_account", GY, NULL, "login", "clerk");
    w->zx.account = by_system(w, "user_account", ZX, NULL, "login", "clerk");
    *state = w;
    return 0;
}

static int setup_faults(void **state)
{
    int ret = setup(state);

    ((struct world *)*state)->faults = ret == 0;
    return ret;
}

static int teardown(void **state)
{
    struct world *w = *state;
    static const char *const ends[] = {"", "-wal", "-shm"};

    MUST(w, city_verify(w->c, &w->err));
    city_close(w->c);
    for (size_t i = 0; i < 3; i++) {
        char path[128];

        (void)snprintf(path, sizeof path, "%s%s", w->path, ends[i]);
        (void)unlink(path);
    }
    (void)rmdir(w->dir);
    arena_release(&w->a);
    free(w);
    return 0;
}

/* ---- stretches of the way ---- */

static struct id draft(struct world *w, const struct actor *who, const struct id *studio,
                       const char *form, const char *title, const char *allow_public)
{
    bool proposal = strcmp(form, "proposal") == 0;
    struct id id;

    MUST(w, try_add(w, who, "submission", "draft", &id, "studio_id", ref(w, studio), "form", form,
                    "title", title, "category", "economic", "situation", "路面破损", "analysis",
                    "年久失修", "suggestion", "1. 尽快修复", "lead_member", ref(w, &w->card),
                    "no_secret", "1", "suggested_units", ref(w, &w->gov[3]),
                    "allow_public", allow_public, proposal ? "proposer_type" : NULL,
                    "individual", (char *)NULL));
    return id;
}

static void hand_in(struct world *w, const struct actor *who, const struct id *id)
{
    MUST(w, try_do(w, who, "submission", id, "county_review", (char *)NULL));
    MUST(w, try_do(w, who, "submission", id, "submitted", "county_reviewer", ref(w, &who->account),
                   (char *)NULL));
}

static struct id submit_by(struct world *w, const struct actor *who, const struct id *studio,
                           const char *form, const char *title)
{
    struct id id = draft(w, who, studio, form, title, "1");

    hand_in(w, who, &id);
    return id;
}

static struct id route(struct world *w, const struct id *submission)
{
    bool proposal =
        slice_eq(row_text(get(w, "submission", submission), "form"), slice_str("proposal"));

    DO(w, liaison, "submission", submission, "received", "received_by", "王芳");
    DO(w, liaison, "submission", submission, proposal ? "routed_proposal" : "routed_office",
       "route_target", proposal ? "proposal_committee" : "office");
    return case_of(w, proposal ? "proposal_case" : "info_case", submission);
}

static void file(struct world *w, const struct id *of)
{
    DO(w, committee, "proposal_case", of, "reviewing", "reviewer", "李明");
    DO(w, committee, "proposal_case", of, "filed", "review_opinion", "同意立案", "review_on",
       date(w, 0), "filed_on", date(w, 0));
}

static struct id task(struct world *w, const char *kind, const struct id *of, int unit,
                      const char *role, const char *round, const char *due)
{
    struct id id;

    MUST(w, try_add(w, kind[0] == 'i' ? &w->office : &w->committee, "handling_task", "assigned",
                    &id, "case_kind", kind, "case_id", ref(w, of), "unit_id", ref(w, &w->gov[unit]),
                    "unit_role", role, "round", round, "due_on", due, "assigned_on", date(w, 0),
                    (char *)NULL));
    return id;
}

static void assign(struct world *w, const struct id *of, const char *how, const char *due)
{
    DO(w, committee, "proposal_case", of, "assigned", "handle_kind", how, "assigned_on", date(w, 0),
       "due_on", due);
}

static void take_up(struct world *w, const struct id *id)
{
    DO(w, office, "handling_task", id, "signed", "signed_on", date(w, 0), "signed_by", "张三");
    DO(w, office, "handling_task", id, "handling", "contact_person", "张三");
}

static struct id draft_reply(struct world *w, const struct id *id, const char *class)
{
    struct id reply;

    MUST(w, try_add(w, &w->committee, "reply", NULL, &reply, "task_id", ref(w, id), "reply_on",
                    date(w, 0), "signer", "陈局长", "contact_mode", "phone", "result_class", class,
                    "body", "已列入今年养护计划。", "is_implemented", "0", "public_reply", "1",
                    "doc_no", "郴交函〔2026〕1号", strcmp(class, "B") == 0 ? "commit_due" : NULL,
                    date(w, 200), (char *)NULL));
    DO(w, committee, "handling_task", id, "reply_drafted", NULL);
    return reply;
}

static void answer(struct world *w, const struct id *id, const char *class)
{
    struct id reply = draft_reply(w, id, class);

    DO(w, committee, "reply", &reply, NULL, "review_result", "通过");
    DO(w, committee, "handling_task", id, "replied", NULL);
}

static void feed_back(struct world *w, const struct actor *who, const struct id *submission,
                      const char *result)
{
    struct row **answers;
    size_t n = find(w, "answer", "submission_id", value_id(submission), &answers);

    assert_true(n > 0);
    MUST(w, try_add(w, who, "feedback", NULL, NULL, "case_id", ref(w, &card_of(w, submission)->id),
                    "answer_id", ref(w, &answers[n - 1]->id), "member_id", ref(w, &w->card),
                    "contacted", "1", "attitude", "satisfied", "result", result, "reason", "说明",
                    "feedback_on", date(w, 0), (char *)NULL));
}

static void acknowledge(struct world *w, const struct actor *who, const struct id *submission)
{
    MUST(w, try_do(w, who, "tracking", &last_tracking(w, submission)->id, NULL, "ack_at",
                   "2026-03-06 09:00:00", (char *)NULL));
}

/* ---- tests: the four forms ---- */

/* A proposal goes the whole way; every step tells the county one thing, once. */
static void test_rules__proposal_goes_the_whole_way(void **state)
{
    struct world *w = *state;
    struct id s = submit_by(w, &w->gy, &w->studio_gy, "proposal", "关于修复县道的提案");
    struct row *row = get(w, "submission", &s), **rows;
    struct id of, t;
    size_t told = 0;

    assert_text(row, "receipt_no", "SW-2026-0001");
    assert_false(value_is_null(row_named(row, "submit_at")));
    assert_told(w, &s, &told, "收文");
    DO(w, liaison, "submission", &s, "received", "received_by", "王芳");
    assert_told(w, &s, &told, "签收");
    assert_text(last_tracking(w, &s), "next_due", "2026-03-12"); /* 5 working days */
    DO(w, liaison, "submission", &s, "routed_proposal", "route_target", "proposal_committee");
    assert_told(w, &s, &told, "转送");
    of = case_of(w, "proposal_case", &s);
    row = get(w, "submission", &s);
    assert_text(row, "case_kind", "proposal_case");
    assert_text(row, "case_state", "registered");
    assert_text(row, "due_on", "2026-03-26"); /* 15 working days */
    DO(w, committee, "proposal_case", &of, "reviewing", "reviewer", "李明");
    assert_told(w, &s, &told, "审查");
    DO(w, committee, "proposal_case", &of, "filed", "review_opinion", "同意", "review_on",
       date(w, 0), "filed_on", date(w, 0));
    assert_told(w, &s, &told, "立案");
    assert_state(w, "submission", &s, "in_process");
    assert_text(card_of(w, &s), "case_no", "5-1-0001");
    assert_int_equal(find(w, "proposal_card", "case_no", value_str("5-1-0001"), &rows), 1);
    t = task(w, "proposal_case", &of, 0, "single", "1", months(w, 3));
    assert_int_equal(trackings(w, &s), told);
    assert_text(get(w, "handling_task", &t), "sign_due", "2026-03-10");
    assert_text(get(w, "handling_task", &t), "decline_due", "2026-03-15");
    assign(w, &of, "single", months(w, 3));
    assert_told(w, &s, &told, "交办");
    assert_text(card_of(w, &s), "lead_unit", "市交通运输局");
    assert_text(get(w, "submission", &s), "due_on", "2026-06-05");
    DO(w, committee, "handling_task", &t, "signed", "signed_on", date(w, 0), "signed_by", "张三");
    assert_told(w, &s, &told, "签收");
    assert_state(w, "proposal_case", &of, "handling");
    DO(w, committee, "handling_task", &t, "handling", "contact_person", "张三");
    assert_told(w, &s, &told, "办理");
    answer(w, &t, "A");
    assert_int_equal(trackings(w, &s), told + 2); /* 答复送审, 答复 */
    told = trackings(w, &s);
    assert_state(w, "proposal_case", &of, "replied");
    assert_state(w, "submission", &s, "answered");
    assert_int_equal(find(w, "answer", "submission_id", value_id(&s), &rows), 1);
    assert_text(rows[0], "unit", "市交通运输局");
    assert_int_equal(rows[0]->stream, GY);
    DO(w, committee, "proposal_case", &of, "feedback_wait", NULL);
    assert_told(w, &s, &told, "征询意见");
    assert_text(last_tracking(w, &s), "next_due", "2026-03-20");
    REFUSED(w, committee, "proposal_case", &of, E_GUARD, "closed", NULL);
    feed_back(w, &w->gy, &s, "satisfied");
    assert_told(w, &s, &told, "反馈意见");
    DO(w, committee, "proposal_case", &of, "closed", NULL);
    assert_told(w, &s, &told, "办结");
    assert_state(w, "handling_task", &t, "closed");
    DO(w, committee, "proposal_case", &of, "archived", NULL);
    assert_told(w, &s, &told, "归档");
    REFUSED(w, liaison, "submission", &s, E_GUARD, "closed", NULL);
    acknowledge(w, &w->gy, &s);
    DO(w, liaison, "submission", &s, "closed", NULL);
    assert_told(w, &s, &told, "办结归档");
    MUST(w, city_rebuild(w->c, &w->err));
}

/* 社情民意 is edited, issued, instructed and handled; restricted words stay at the city. */
static void test_rules__public_opinion_is_issued_and_handled(void **state)
{
    struct world *w = *state;
    struct id s = submit_by(w, &w->gy, &w->studio_gy, "public_opinion", "群众反映农机补贴迟缓");
    struct id of = route(w, &s), t;
    struct row **rows;
    size_t told = trackings(w, &s);

    assert_text(get(w, "info_case", &of), "due_on", "2026-04-16"); /* 30 working days */
    DO(w, office, "info_case", &of, "screening", NULL);
    assert_told(w, &s, &told, "初审");
    assert_state(w, "submission", &s, "routed_office");
    DO(w, office, "info_case", &of, "adopted", "screen_opinion", "采用");
    assert_told(w, &s, &told, "采用");
    assert_state(w, "submission", &s, "in_process");
    DO(w, office, "info_case", &of, "edited", "final_text", "稿", "editor", "甲");
    DO(w, office, "info_case", &of, "approved", "approver", "乙");
    DO(w, leader, "info_case", &of, "signed", "signer", "丙");
    DO(w, office, "info_case", &of, "issued", "issue_no", "第1期", "issue_on", date(w, 0),
       "send_to", "市委办");
    told = trackings(w, &s);
    ADD(w, office, "adoption", NULL, NULL, "case_kind", "info_case", "case_id", ref(w, &of), "kind",
        "instruction", "level", "party_committee", "rank", "municipal", "leader", "某领导",
        "content", "请农业局阅办", "on_date", date(w, 0));
    assert_told(w, &s, &told, "批示");
    assert_text(last_tracking(w, &s), "content", "“群众反映农机补贴迟缓”获得市厅级领导批示。");
    DO(w, office, "info_case", &of, "instructed", NULL);
    DO(w, office, "info_case", &of, "transferred", NULL);
    told = trackings(w, &s);
    assert_int_equal(find(w, "handling_task", "case_id", value_id(&of), &rows), 1);
    t = rows[0]->id;
    take_up(w, &t);
    assert_state(w, "info_case", &of, "handling");
    answer(w, &t, "B");
    assert_state(w, "info_case", &of, "replied");
    assert_state(w, "submission", &s, "answered");
    assert_int_equal(count(w, "answer", "submission_id", &s), 1);
    told = trackings(w, &s);
    ADD(w, office, "supervision", NULL, NULL, "case_kind", "info_case", "case_id", ref(w, &of),
        "kind", "phone", "on_date", date(w, 0), "content", "催办");
    assert_told(w, &s, &told, "督办");
    DO(w, office, "info_case", &of, "closed", NULL);
    assert_told(w, &s, &told, "办结");
    assert_state(w, "submission", &s, "answered");
}

/* 微建议 skips editing: the unit its author suggested gets it at once, in 15 working days. */
static void test_rules__micro_suggestion_takes_the_short_way(void **state)
{
    struct world *w = *state;
    struct id s = submit_by(w, &w->zx, &w->studio_zx, "micro_suggestion", "增设路灯");
    struct id of = route(w, &s);
    struct row **rows;

    assert_text(get(w, "info_case", &of), "due_on", "2026-03-26");
    DO(w, office, "info_case", &of, "screening", NULL);
    DO(w, office, "info_case", &of, "transferred", NULL);
    assert_state(w, "submission", &s, "in_process");
    assert_int_equal(find(w, "handling_task", "case_id", value_id(&of), &rows), 1);
    assert_text(rows[0], "unit_role", "single");
    take_up(w, &rows[0]->id);
    answer(w, &rows[0]->id, "A");
    assert_state(w, "info_case", &of, "replied");
    assert_state(w, "submission", &s, "answered");
    assert_text(card_of(w, &s), "case_state", "replied");
}

/* A special report that is issued and closed without being handled still comes back as 已反馈. */
static void test_rules__special_report_is_closed_after_issue(void **state)
{
    struct world *w = *state;
    struct id s = submit_by(w, &w->gy, &w->studio_gy, "special_report", "乡村振兴专题报告");
    struct id of = route(w, &s);

    DO(w, office, "info_case", &of, "screening", NULL);
    DO(w, office, "info_case", &of, "adopted", "screen_opinion", "采用");
    DO(w, office, "info_case", &of, "edited", "final_text", "稿", "editor", "甲");
    DO(w, office, "info_case", &of, "approved", "approver", "乙");
    DO(w, leader, "info_case", &of, "signed", "signer", "丙");
    DO(w, office, "info_case", &of, "issued", "issue_no", "第2期", "issue_on", date(w, 0),
       "send_to", "市委办");
    DO(w, office, "info_case", &of, "closed", NULL);
    assert_state(w, "submission", &s, "answered");
    assert_text(get(w, "submission", &s), "case_state", "closed");
}

/* ---- tests: decisions ---- */

/* 不立案 gives the reason; 未采用 too. */
static void test_rules__refusals_tell_the_reason(void **state)
{
    struct world *w = *state;
    struct id p = submit_by(w, &w->gy, &w->studio_gy, "proposal", "提案甲");
    struct id o = submit_by(w, &w->gy, &w->studio_gy, "public_opinion", "信息乙");
    struct id pc = route(w, &p), oc = route(w, &o);

    DO(w, committee, "proposal_case", &pc, "reviewing", "reviewer", "李明");
    DO(w, committee, "proposal_case", &pc, "not_filed", "not_filed_reason", "vague",
       "not_filed_note", "请补充具体建议");
    assert_state(w, "submission", &p, "answered");
    assert_text(last_tracking(w, &p), "content",
                "“提案甲”经审查不予立案。说明：内容空泛没有具体建议。请补充具体建议");
    assert_text(card_of(w, &p), "not_filed_reason", "vague");
    DO(w, office, "info_case", &oc, "screening", NULL);
    DO(w, office, "info_case", &oc, "not_adopted", "not_adopt_reason", "已有同类信息");
    assert_state(w, "submission", &o, "answered");
    assert_text(last_tracking(w, &o), "node", "未采用");
}

/* 退回补正 from the case and back to the same case, the clock standing still in between. */
static void test_rules__correction_returns_to_the_same_case(void **state)
{
    struct world *w = *state;
    struct id p = submit_by(w, &w->gy, &w->studio_gy, "proposal", "提案甲");
    struct id o = submit_by(w, &w->gy, &w->studio_gy, "public_opinion", "信息乙");
    struct id pc = route(w, &p), oc = route(w, &o);
    size_t told = trackings(w, &p);
    struct row *row;

    DO(w, committee, "proposal_case", &pc, "reviewing", "reviewer", "李明");
    told = trackings(w, &p);
    DO(w, committee, "proposal_case", &pc, "supplement", "review_opinion", "请补充数据");
    assert_told(w, &p, &told, "退回补正");
    row = get(w, "submission", &p);
    assert_state(w, "submission", &p, "returned");
    assert_text(row, "return_reason", "请补充数据");
    assert_text(row, "paused_on", "2026-03-05");
    DO(w, office, "submission", &o, "returned", "return_reason", "请写清地点");
    assert_state(w, "info_case", &oc, "registered");
    w->now += 7 * DAY_MS;
    DO(w, gy, "submission", &p, NULL, "situation", "路面破损三公里");
    REFUSED(w, gy, "submission", &p, E_GUARD, "submitted", NULL);
    DO(w, gy, "submission", &p, "routed_proposal", NULL);
    assert_told(w, &p, &told, "补正续审");
    assert_state(w, "proposal_case", &pc, "reviewing");
    row = get(w, "submission", &p);
    assert_text(row, "receipt_no", "SW-2026-0001");
    assert_text(row, "due_on", "2026-04-02"); /* as many working days left as when it paused */
    assert_true(value_is_null(row_named(row, "paused_on")));
    DO(w, gy, "submission", &o, "routed_office", NULL);
    assert_text(last_tracking(w, &o), "node", "补正续办");
    assert_text(get(w, "info_case", &oc), "due_on", "2026-04-23");
    assert_int_equal(count(w, "info_case", "submission_id", &o), 1);
}

/* 学联委 returns before routing: then it comes anew, under its old number. */
static void test_rules__returned_before_routing(void **state)
{
    struct world *w = *state;
    struct id s = submit_by(w, &w->gy, &w->studio_gy, "proposal", "提案甲");
    struct id of;

    DO(w, liaison, "submission", &s, "received", "received_by", "王芳");
    DO(w, liaison, "submission", &s, "returned", "return_reason", "一事一案");
    DO(w, gy, "submission", &s, "submitted", NULL);
    assert_text(last_tracking(w, &s), "node", "补正收文");
    assert_text(get(w, "submission", &s), "receipt_no", "SW-2026-0001");
    of = route(w, &s);
    assert_state(w, "proposal_case", &of, "registered");
}

/* What the county gives up ends its case. */
static void test_rules__giving_up_withdraws_the_case(void **state)
{
    struct world *w = *state;
    struct id p = submit_by(w, &w->gy, &w->studio_gy, "proposal", "提案甲");
    struct id o = submit_by(w, &w->gy, &w->studio_gy, "public_opinion", "信息乙");
    struct id pc = route(w, &p), oc = route(w, &o);

    DO(w, committee, "proposal_case", &pc, "reviewing", "reviewer", "李明");
    DO(w, committee, "proposal_case", &pc, "supplement", "review_opinion", "请补充");
    DO(w, gy, "submission", &p, "withdrawn", NULL);
    assert_state(w, "proposal_case", &pc, "withdrawn");
    assert_text(get(w, "submission", &p), "case_state", "withdrawn");
    DO(w, office, "info_case", &oc, "screening", NULL);
    DO(w, office, "submission", &o, "returned", "return_reason", "请补充");
    DO(w, gy, "submission", &o, "withdrawn", NULL);
    assert_state(w, "info_case", &oc, "withdrawn");
}

/* Conversion needs consent, makes an info_case and leaves one card. */
static void test_rules__conversion_with_consent(void **state)
{
    struct world *w = *state;
    struct id s = submit_by(w, &w->gy, &w->studio_gy, "proposal", "提案甲");
    struct id of = route(w, &s), info;
    size_t told;

    DO(w, committee, "proposal_case", &of, "reviewing", "reviewer", "李明");
    told = trackings(w, &s);
    REFUSED(w, committee, "proposal_case", &of, E_GUARD, "converted", "proposer_consent", "0");
    DO(w, committee, "proposal_case", &of, "converted", "proposer_consent", "1");
    assert_told(w, &s, &told, "转社情民意");
    assert_state(w, "submission", &s, "routed_office");
    info = case_of(w, "info_case", &s);
    assert_text(card_of(w, &s), "case_kind", "info_case");
    assert_text(get(w, "submission", &s), "case_state", "registered");
    assert_text(get(w, "info_case", &info), "form", "public_opinion");
    DO(w, committee, "proposal_case", &of, "archived", NULL);
    assert_int_equal(trackings(w, &s), told);
    DO(w, office, "info_case", &info, "screening", NULL);
    assert_told(w, &s, &told, "初审");
}

/* Withdrawing a case takes its submission and its open tasks along, and its public card away. */
static void test_rules__withdrawal_closes_everything(void **state)
{
    struct world *w = *state;
    struct id s = submit_by(w, &w->gy, &w->studio_gy, "proposal", "提案甲");
    struct id of = route(w, &s), t;
    struct row **rows;

    file(w, &of);
    t = task(w, "proposal_case", &of, 0, "single", "1", months(w, 3));
    assign(w, &of, "single", months(w, 3));
    DO(w, committee, "proposal_case", &of, "withdrawn", "review_opinion", "提案者来函撤案");
    assert_state(w, "submission", &s, "withdrawn");
    assert_state(w, "handling_task", &t, "closed");
    assert_int_equal(find(w, "proposal_card", "case_no", value_str("5-1-0001"), &rows), 0);
}

/* A proposal whose author did not allow it is filed and handled like any, and gets no card that all
 * counties read. */
static void test_rules__not_public_without_leave(void **state)
{
    struct world *w = *state;
    struct id open = submit_by(w, &w->gy, &w->studio_gy, "proposal", "提案甲");
    struct id kept = draft(w, &w->gy, &w->studio_gy, "proposal", "提案乙", "0"), of;
    struct row **rows;

    hand_in(w, &w->gy, &kept);
    of = route(w, &kept);
    file(w, &of);
    assert_text(card_of(w, &kept), "case_no", "5-1-0001"); /* its own county's */
    assert_int_equal(find(w, "proposal_card", "case_no", value_str("5-1-0001"), &rows), 0);
    of = route(w, &open);
    file(w, &of);
    assert_int_equal(find(w, "proposal_card", "case_no", value_str("5-1-0002"), &rows), 1);
}

/* ---- tests: merging ---- */

/* Two counties' proposals are one case: both are answered, neither learns the other's people. */
static void test_rules__merged_across_counties(void **state)
{
    struct world *w = *state;
    struct id a = submit_by(w, &w->gy, &w->studio_gy, "proposal", "桂阳提案");
    struct id b = submit_by(w, &w->zx, &w->studio_zx, "proposal", "资兴提案");
    struct id ca = route(w, &a), cb = route(w, &b), t;
    struct row **rows, *card;
    size_t told;

    file(w, &ca);
    DO(w, committee, "proposal_case", &cb, "reviewing", "reviewer", "李明");
    told = trackings(w, &b);
    DO(w, committee, "proposal_case", &cb, "merged", "main_case", ref(w, &ca));
    assert_told(w, &b, &told, "并案");
    assert_state(w, "submission", &b, "in_process");
    assert_text(card_of(w, &b), "main_case_no", "5-1-0001");
    assert_text(card_of(w, &b), "case_state", "merged");
    REFUSED(w, committee, "proposal_case", &ca, E_GUARD, "withdrawn", "review_opinion", "撤");
    t = task(w, "proposal_case", &ca, 1, "single", "1", months(w, 3));
    assign(w, &ca, "single", months(w, 3));
    assert_told(w, &b, &told, "交办");
    take_up(w, &t);
    answer(w, &t, "B");
    card = card_of(w, &b);
    assert_text(card, "case_state", "replied");
    assert_text(card, "title", "资兴提案");
    assert_text(card, "lead_unit", "市住建局");
    assert_state(w, "submission", &a, "answered");
    assert_state(w, "submission", &b, "answered");
    assert_int_equal(count(w, "answer", "submission_id", &a), 1);
    assert_int_equal(find(w, "answer", "submission_id", value_id(&b), &rows), 1);
    assert_int_equal(rows[0]->stream, ZX);
    assert_text(last_tracking(w, &b), "content",
                "市住建局对“资兴提案”的答复已审查通过，全文见答复件。");
    REFUSED(w, committee, "proposal_case", &cb, E_GUARD, "reviewing", "review_opinion", "撤并");
    DO(w, committee, "proposal_case", &ca, "feedback_wait", NULL);
    feed_back(w, &w->gy, &a, "satisfied");
    REFUSED(w, committee, "proposal_case", &ca, E_GUARD, "closed", NULL);
    feed_back(w, &w->zx, &b, "basic");
    DO(w, committee, "proposal_case", &ca, "tracking", NULL);
    DO(w, committee, "proposal_case", &ca, "closed", NULL);
    DO(w, committee, "proposal_case", &cb, "archived", NULL);
    assert_text(card_of(w, &b), "case_state", "closed");
}

/* Un-merging puts the case back on its own feet; what the main does then is no longer told. */
static void test_rules__unmerged_case_stands_alone(void **state)
{
    struct world *w = *state;
    struct id a = submit_by(w, &w->gy, &w->studio_gy, "proposal", "桂阳提案");
    struct id b = submit_by(w, &w->zx, &w->studio_zx, "proposal", "资兴提案");
    struct id ca = route(w, &a), cb = route(w, &b);
    size_t told;

    file(w, &ca);
    file(w, &cb);
    DO(w, committee, "proposal_case", &cb, "merged", "main_case", ref(w, &ca));
    told = trackings(w, &b);
    DO(w, committee, "proposal_case", &cb, "reviewing", "review_opinion", "内容不同");
    assert_told(w, &b, &told, "撤销并案");
    assert_state(w, "submission", &b, "routed_proposal");
    assert_true(value_is_null(row_named(card_of(w, &b), "main_case_no")));
    (void)task(w, "proposal_case", &ca, 1, "single", "1", months(w, 3));
    assign(w, &ca, "single", months(w, 3));
    assert_int_equal(trackings(w, &b), told);
    DO(w, committee, "proposal_case", &cb, "filed", "review_on", date(w, 0), "filed_on",
       date(w, 0));
    assert_text(card_of(w, &b), "case_no", "5-1-0002"); /* its number of before */
}

/* A duplicate's submitter is linked to the surviving case and gets its answer. */
static void test_rules__duplicate_follows_the_surviving_case(void **state)
{
    struct world *w = *state;
    struct id a = submit_by(w, &w->gy, &w->studio_gy, "proposal", "桂阳提案");
    struct id b = submit_by(w, &w->zx, &w->studio_zx, "proposal", "资兴提案");
    struct slice no = row_get(get(w, "submission", &a), TAG_SERIAL)->s;
    struct id of, t;
    size_t told;

    DO(w, liaison, "submission", &b, "received", "received_by", "王芳");
    told = trackings(w, &b);
    DO(w, liaison, "submission", &b, "duplicate", "duplicate_of",
       arena_strndup(&w->a, no.p, no.len));
    assert_told(w, &b, &told, "判重");
    of = route(w, &a);
    assert_told(w, &b, &told, "转送");
    assert_text(get(w, "submission", &b), "case_state", "registered");
    file(w, &of);
    t = task(w, "proposal_case", &of, 1, "single", "1", months(w, 3));
    assign(w, &of, "single", months(w, 3));
    take_up(w, &t);
    answer(w, &t, "A");
    assert_int_equal(count(w, "answer", "submission_id", &b), 1);
    assert_state(w, "submission", &b, "duplicate");
    assert_int_equal(count(w, "proposal_case", "submission_id", &b), 0);
}

/* ---- tests: units ---- */

/* 主办 and 会办: the lead waits for the opinion; two answering units both must have answered. */
static void test_rules__joint_and_separate_handling(void **state)
{
    struct world *w = *state;
    struct id a = submit_by(w, &w->gy, &w->studio_gy, "proposal", "提案甲");
    struct id b = submit_by(w, &w->gy, &w->studio_gy, "proposal", "提案乙");
    struct id ca = route(w, &a), cb = route(w, &b), lead, co, one, two;

    file(w, &ca);
    file(w, &cb);
    lead = task(w, "proposal_case", &ca, 0, "lead", "1", months(w, 3));
    co = task(w, "proposal_case", &ca, 1, "co", "1", months(w, 1));
    assign(w, &ca, "joint", months(w, 3));
    assert_text(card_of(w, &a), "co_units", "市住建局");
    take_up(w, &lead);
    take_up(w, &co);
    DO(w, committee, "handling_task", &co, "co_opined", "co_opinion", "同意");
    answer(w, &lead, "A");
    assert_state(w, "proposal_case", &ca, "replied");
    one = task(w, "proposal_case", &cb, 0, "separate", "1", months(w, 3));
    two = task(w, "proposal_case", &cb, 1, "separate", "1", months(w, 3));
    assign(w, &cb, "separate", months(w, 3));
    take_up(w, &one);
    take_up(w, &two);
    answer(w, &one, "A");
    assert_state(w, "proposal_case", &cb, "handling");
    assert_int_equal(count(w, "answer", "submission_id", &b), 1);
    answer(w, &two, "C");
    assert_state(w, "proposal_case", &cb, "replied");
    assert_int_equal(count(w, "answer", "submission_id", &b), 2);
}

/* 退办 pauses the clock; refused, the days waited are given back; agreed, another unit starts anew. */
static void test_rules__decline_and_reassign(void **state)
{
    struct world *w = *state;
    struct id s = submit_by(w, &w->gy, &w->studio_gy, "proposal", "提案甲");
    struct id of = route(w, &s), t, again;
    size_t told;

    file(w, &of);
    t = task(w, "proposal_case", &of, 0, "single", "1", months(w, 3));
    assign(w, &of, "single", months(w, 3));
    DO(w, committee, "handling_task", &t, "signed", "signed_on", date(w, 0), "signed_by", "张三");
    told = trackings(w, &s);
    DO(w, committee, "handling_task", &t, "decline_requested", "decline_reason", "非本局职责");
    assert_told(w, &s, &told, "申请退办");
    w->now += 4 * DAY_MS;
    DO(w, committee, "handling_task", &t, "signed", "decline_result", "不同意");
    assert_told(w, &s, &told, "退办未准");
    assert_text(get(w, "proposal_case", &of), "due_on", "2026-06-09");
    assert_text(get(w, "submission", &s), "due_on", "2026-06-09");
    DO(w, committee, "handling_task", &t, "decline_requested", "decline_reason", "确非职责");
    DO(w, committee, "handling_task", &t, "reassigned", "decline_result", "同意改派");
    told = trackings(w, &s);
    again = task(w, "proposal_case", &of, 1, "single", "1", months(w, 3));
    assert_told(w, &s, &told, "交办");
    assert_text(card_of(w, &s), "lead_unit", "市住建局");
    assert_text(card_of(w, &s), "due_on", "2026-06-09");
    take_up(w, &again);
    answer(w, &again, "A");
    assert_state(w, "submission", &s, "answered");
}

/* A lawful extension moves every date there is; one not granted moves none. */
static void test_rules__extension(void **state)
{
    struct world *w = *state;
    struct id s = submit_by(w, &w->gy, &w->studio_gy, "proposal", "提案甲");
    struct id of = route(w, &s), t;

    file(w, &of);
    t = task(w, "proposal_case", &of, 0, "single", "1", "2026-06-05");
    assign(w, &of, "single", "2026-06-05");
    take_up(w, &t);
    REFUSED(w, committee, "handling_task", &t, E_GUARD, "extension_requested", "ext_reason", "资金",
            "ext_to", "2026-12-05");
    DO(w, committee, "handling_task", &t, "extension_requested", "ext_reason", "资金", "ext_to",
       "2026-07-05");
    DO(w, committee, "handling_task", &t, "handling", "due_on", "2026-06-05");
    assert_text(last_tracking(w, &s), "node", "延期未准");
    DO(w, committee, "handling_task", &t, "extension_requested", "ext_reason", "资金", "ext_to",
       "2026-08-05");
    DO(w, committee, "handling_task", &t, "handling", NULL);
    assert_text(last_tracking(w, &s), "node", "延期");
    assert_text(get(w, "handling_task", &t), "due_on", "2026-08-05");
    assert_text(get(w, "proposal_case", &of), "due_on", "2026-08-05");
    assert_text(card_of(w, &s), "due_on", "2026-08-05");
    assert_text(get(w, "submission", &s), "due_on", "2026-08-05");
}

/* A reply that fails its review is not shown; dissatisfied, the case goes round a second time, once. */
static void test_rules__second_round(void **state)
{
    struct world *w = *state;
    struct id s = submit_by(w, &w->gy, &w->studio_gy, "proposal", "提案甲");
    struct id of = route(w, &s), t, reply;

    file(w, &of);
    t = task(w, "proposal_case", &of, 0, "single", "1", months(w, 3));
    assign(w, &of, "single", months(w, 3));
    take_up(w, &t);
    reply = draft_reply(w, &t, "C");
    DO(w, committee, "reply", &reply, NULL, "review_result", "驳回", "reject_reason", "未逐条答复");
    DO(w, committee, "handling_task", &t, "reply_rejected", NULL);
    assert_int_equal(count(w, "answer", "submission_id", &s), 0);
    answer(w, &t, "C");
    DO(w, committee, "proposal_case", &of, "feedback_wait", NULL);
    feed_back(w, &w->gy, &s, "dissatisfied");
    DO(w, committee, "proposal_case", &of, "rehandling", NULL);
    assert_state(w, "submission", &s, "in_process");
    assert_state(w, "handling_task", &t, "closed");
    assert_int_equal(row_int(get(w, "proposal_case", &of), "round"), 2);
    t = task(w, "proposal_case", &of, 0, "single", "2", months(w, 3));
    DO(w, committee, "proposal_case", &of, "handling", NULL);
    assert_text(last_tracking(w, &s), "node", "重新交办");
    take_up(w, &t);
    answer(w, &t, "A");
    assert_state(w, "submission", &s, "answered");
    assert_int_equal(count(w, "answer", "submission_id", &s), 2);
    DO(w, committee, "proposal_case", &of, "feedback_wait", NULL);
    feed_back(w, &w->gy, &s, "dissatisfied");
    REFUSED(w, committee, "proposal_case", &of, E_GUARD, "rehandling", NULL);
}

/* ---- tests: the rest ---- */

/* A case of a submission comes by routing only; direct cases have none. */
static void test_rules__one_case_a_submission(void **state)
{
    struct world *w = *state;
    struct id s = submit_by(w, &w->gy, &w->studio_gy, "proposal", "提案甲");
    struct id direct;

    (void)route(w, &s);
    assert_int_equal(try_add(w, &w->committee, "proposal_case", "registered", NULL, "title", "再立",
                             "category", "economic", "session_kind", "ordinary", "term_id",
                             ref(w, &w->term), "submission_id", ref(w, &s), (char *)NULL),
                     E_GUARD);
    assert_int_equal(count(w, "proposal_case", "submission_id", &s), 1);
    ADD(w, committee, "proposal_case", "registered", &direct, "title", "党派提案", "category",
        "economic", "session_kind", "plenary", "session_no", "4", "term_id", ref(w, &w->term));
    file(w, &direct);
    assert_text(get(w, "proposal_case", &direct), "case_no", "5-4-0001");
}

/* Holidays and 调休 shift working days. */
static void test_rules__working_days_know_holidays(void **state)
{
    struct world *w = *state;
    struct id s;

    ADD(w, liaison, "holiday", NULL, NULL, "on_date", "2026-03-06", "is_workday", "0", "name",
        "假");
    ADD(w, liaison, "holiday", NULL, NULL, "on_date", "2026-03-07", "is_workday", "1", "name",
        "班");
    ADD(w, liaison, "holiday", NULL, NULL, "on_date", "2026-03-09", "is_workday", "0", "name",
        "假");
    s = submit_by(w, &w->gy, &w->studio_gy, "proposal", "提案甲");
    assert_text(last_tracking(w, &s), "next_due", "2026-03-11"); /* 7, 10, 11 */
}

/* A site's own setting, then the general one; what was judged before stays as it was. */
static void test_rules__settings_are_the_citys(void **state)
{
    struct world *w = *state;
    struct id general, s = submit_by(w, &w->gy, &w->studio_gy, "proposal", "提案甲"), mine, theirs;
    struct row *before = get(w, "submission", &s);

    for (int i = 0; i < 2; i++) {
        bool gy = i == 0;

        MUST(w, try_add(w, gy ? &w->gy : &w->zx, "submission", "draft", gy ? &mine : &theirs,
                        "studio_id", ref(w, gy ? &w->studio_gy : &w->studio_zx), "form",
                        "micro_suggestion", "title", "路灯", "category", "economic", "situation",
                        "路面破损", "suggestion", "1. 尽快修复", "lead_member", ref(w, &w->card),
                        "no_secret", "1", "suggested_units", ref(w, &w->gov[3]), (char *)NULL));
    }
    REFUSED(w, gy, "submission", &mine, E_GUARD, "submitted");
    ADD(w, liaison, "setting", NULL, NULL, "name", "county_review", "for_site", "431021", "value",
        "0");
    REFUSED(w, zx, "submission", &theirs, E_GUARD, "submitted");
    DO(w, gy, "submission", &mine, "submitted");
    ADD(w, liaison, "setting", NULL, &general, "name", "receive_days", "value", "10");
    DO(w, liaison, "setting", &general, NULL, "value", "1");
    assert_int_equal(try_add(w, &w->liaison, "setting", NULL, NULL, "name", "receive_days", "value",
                             "4", (char *)NULL),
                     E_EXISTS);
    assert_int_equal(try_add(w, &w->office, "setting", NULL, NULL, "name", "sign_days", "value",
                             "4", (char *)NULL),
                     E_ROLE);
    assert_text(last_tracking(w, &mine), "next_due", "2026-03-10");
    s = submit_by(w, &w->gy, &w->studio_gy, "proposal", "提案乙");
    assert_text(last_tracking(w, &s), "next_due", "2026-03-06");
    assert_true(before->seq > 0);
    MUST(w, city_rebuild(w->c, &w->err));
}

/* A card follows its member and goes when he is no longer one of the city's. */
static void test_rules__member_cards_follow_members(void **state)
{
    struct world *w = *state;
    struct id m;
    struct row **rows;

    ADD(w, own, "member", NULL, &m, "name", "周敏", "gender", "女", "party", "cdl", "level",
        "city,county", "sector_id", ref(w, &w->sector), "unit_title", "教师", "expertise", "教育",
        "phone", "13800005678", "term_id", ref(w, &w->term));
    assert_int_equal(find(w, "member_card", "name", value_str("周敏"), &rows), 1);
    assert_int_equal(rows[0]->stream, STREAM_SHARED);
    DO(w, own, "member", &m, NULL, "name", "周敏敏", "expertise", "职业教育");
    assert_int_equal(find(w, "member_card", "name", value_str("周敏"), &rows), 0);
    assert_int_equal(find(w, "member_card", "name", value_str("周敏敏"), &rows), 1);
    assert_text(rows[0], "expertise", "职业教育");
    DO(w, own, "member", &m, NULL, "level", "county");
    assert_int_equal(find(w, "member_card", "name", value_str("周敏敏"), &rows), 0);
}

static void change_by_system(struct world *w, const char *kind, const struct id *id,
                             enum change_op op, struct field_change *fields, size_t n)
{
    const struct actor system = {.site = SITE_CITY, .side = SIDE_CITY, .is_system = true};
    struct change c = {.op = op, .kind = catalogue_kind_named(kind)->tag, .record = *id};

    c.fields = fields;
    c.n_fields = n;
    MUST(w, run(w, &system, &c));
}

/* The city's own studios are shown to all counties while they run; the counties' are not. */
static void test_rules__studio_cards_follow_studios(void **state)
{
    struct world *w = *state;
    struct id own = by_system(w, "studio", SITE_CITY, "operating", "name", "市直工作室");
    struct field_change name = {.tag = kind_field_named(catalogue_kind_named("studio"), "name")->tag,
                                .form = FORM_SET, .v = value_str("市直第一工作室")};
    struct field_change gone[] = {
        {.tag = TAG_VOIDED, .form = FORM_SET, .v = value_int(1)},
        {.tag = TAG_VOID_REASON, .form = FORM_SET, .v = value_str("合并")},
    };
    struct row **rows;

    (void)by_system(w, "studio", GY, "operating", "name", "桂阳第二工作室");
    assert_int_equal(find(w, "studio_card", "name", value_str("桂阳第二工作室"), &rows), 0);
    assert_int_equal(find(w, "studio_card", "name", value_str("市直工作室"), &rows), 1);
    assert_int_equal(rows[0]->stream, STREAM_SHARED);
    change_by_system(w, "studio", &own, OP_SET, &name, 1);
    assert_int_equal(find(w, "studio_card", "name", value_str("市直工作室"), &rows), 0);
    assert_int_equal(find(w, "studio_card", "name", value_str("市直第一工作室"), &rows), 1);
    change_by_system(w, "studio", &own, OP_VOID, gone, 2);
    assert_int_equal(find(w, "studio_card", "name", value_str("市直第一工作室"), &rows), 0);
}

static void fields_of(struct world *w, const struct actor *who, struct change *c, ...)
{
    va_list ap;

    va_start(ap, c);
    put_fields(w, who, c, ap);
    va_end(ap);
}

/* A file lies in the stream of what it hangs on, as whoever attaches it says. */
static struct id attach(struct world *w, const char *kind, const struct id *to, const char *hash)
{
    struct change c = {.op = OP_CREATE, .kind = catalogue_kind_named("attachment")->tag};

    c.stream = get(w, kind, to)->stream;
    fields_of(w, &w->committee, &c, "target_kind", kind, "target_id", ref(w, to), "file_name",
              "复文.pdf", "mime", "application/pdf", "size", "9", "hash", hash, (char *)NULL);
    MUST(w, run(w, &w->committee, &c));
    return c.record;
}

/* The reply's files hang on the answer, too, in the county's own stream; a file that was voided does not. */
static void test_rules__answers_bring_their_files(void **state)
{
    struct world *w = *state;
    struct id s = submit_by(w, &w->gy, &w->studio_gy, "proposal", "提案甲"), of = route(w, &s);
    struct id t, reply, files[2];
    struct field_change gone[] = {
        {.tag = TAG_VOIDED, .form = FORM_SET, .v = value_int(1)},
        {.tag = TAG_VOID_REASON, .form = FORM_SET, .v = value_str("传错了")},
    };
    const char *both;
    struct row **rows;

    file(w, &of);
    t = task(w, "proposal_case", &of, 0, "single", "1", months(w, 3));
    assign(w, &of, "single", months(w, 3));
    DO(w, committee, "handling_task", &t, "signed", "signed_on", date(w, 0), "signed_by", "张三");
    DO(w, committee, "handling_task", &t, "handling", "contact_person", "张三");
    reply = draft_reply(w, &t, "A");
    files[0] = attach(w, "reply", &reply,
                      "aa00000000000000000000000000000000000000000000000000000000000000");
    files[1] = attach(w, "reply", &reply,
                      "bb00000000000000000000000000000000000000000000000000000000000000");
    both = arena_printf(&w->a, "%s,%s", ref(w, &files[0]), ref(w, &files[1]));
    DO(w, committee, "reply", &reply, NULL, "attachment", both);
    change_by_system(w, "attachment", &files[1], OP_VOID, gone, 2);
    DO(w, committee, "reply", &reply, NULL, "review_result", "通过");
    DO(w, committee, "handling_task", &t, "replied", NULL);
    assert_int_equal(find(w, "answer", "submission_id", value_id(&s), &rows), 1);
    assert_int_equal(find(w, "attachment", "target_id", value_id(&rows[0]->id), &rows), 1);
    assert_int_equal(rows[0]->stream, GY);
    assert_text(rows[0], "file_name", "复文.pdf");
    assert_text(rows[0], "hash", "aa00000000000000000000000000000000000000000000000000000000000000");
}

/* What came of a supervision is told once, when it comes. */
static void test_rules__supervision_has_a_result(void **state)
{
    struct world *w = *state;
    struct id s = submit_by(w, &w->gy, &w->studio_gy, "public_opinion", "信息乙"), of = route(w, &s), v;
    size_t told;

    DO(w, office, "info_case", &of, "screening", NULL);
    told = trackings(w, &s);
    ADD(w, office, "supervision", NULL, &v, "case_kind", "info_case", "case_id", ref(w, &of), "kind",
        "phone", "on_date", date(w, 0), "content", "催办", "due_on", date(w, 9));
    assert_told(w, &s, &told, "督办");
    assert_text(last_tracking(w, &s), "next_due", date(w, 9));
    DO(w, office, "supervision", &v, NULL, "requirement", "尽快");
    assert_int_equal(trackings(w, &s), told);
    DO(w, office, "supervision", &v, NULL, "result", "已整改");
    assert_told(w, &s, &told, "督办");
    assert_text(last_tracking(w, &s), "content", "“信息乙”的督办已有结果。");
    DO(w, office, "supervision", &v, NULL, "result", "已全部整改");
    assert_int_equal(trackings(w, &s), told);
}

static struct stream_head head_of(struct world *w, uint32_t stream)
{
    struct stream_head h;

    MUST(w, store_stream_get(city_store(w->c), stream, &h, &w->err));
    return h;
}

/* The seq of `shared` that a reader must have before the entry. */
static uint64_t shared_before(struct world *w, uint32_t stream, uint64_t seq)
{
    struct verdict v;
    struct entry e;

    MUST(w, store_entry_get(city_store(w->c), stream, seq, &w->a, &e, &w->err));
    MUST(w, verdict_decode(&w->a, e.verdict, &v));
    return v.shared_seq;
}

/* Who reads an entry has what the same act put into `shared`, and everything that was there before. */
static void test_rules__entries_wait_for_what_is_shared(void **state)
{
    struct world *w = *state;
    uint64_t shared = head_of(w, STREAM_SHARED).seq, own = head_of(w, SITE_CITY).seq, last;
    struct id m, s;

    ADD(w, own, "member", NULL, &m, "name", "周敏", "gender", "女", "party", "cdl", "level", "city",
        "sector_id", ref(w, &w->sector), "unit_title", "教师", "expertise", "教育", "phone",
        "13800005678", "term_id", ref(w, &w->term));
    last = head_of(w, STREAM_SHARED).seq;
    assert_true(last > shared); /* the card */
    assert_true(head_of(w, SITE_CITY).seq > own);
    for (uint64_t seq = own + 1; seq <= head_of(w, SITE_CITY).seq; seq++)
        assert_int_equal(shared_before(w, SITE_CITY, seq), last);
    s = draft(w, &w->gy, &w->studio_gy, "proposal", "提案甲", "1");
    assert_int_equal(head_of(w, STREAM_SHARED).seq, last); /* this act puts nothing there */
    assert_int_equal(shared_before(w, GY, get(w, "submission", &s)->seq), last);
}

/* ---- tests: random deeds ---- */

#define WALK_SUBMISSIONS 6
#define WALK_DEEDS       2000

struct walk {
    struct world *w;
    struct random_seeded state;
    struct random r;
    struct id submissions[WALK_SUBMISSIONS];
    size_t done, refused;
};

static struct row *random_row(struct walk *k, const char *kind)
{
    static const char *const parents[] = {"proposal_case", "info_case"};
    struct row **rows, **tasks;
    struct id s = k->submissions[random_below(&k->r, WALK_SUBMISSIONS)];
    const char *of = parents[random_below(&k->r, 2)];
    size_t n, m;

    if (strcmp(kind, "submission") == 0)
        return get(k->w, kind, &s);
    if (strcmp(kind, "handling_task") != 0)
        of = kind;
    n = find(k->w, of, "submission_id", value_id(&s), &rows);
    if (n == 0 || strcmp(kind, "handling_task") != 0)
        return n == 0 ? NULL : rows[random_below(&k->r, n)];
    m = find(k->w, kind, "case_id", value_id(&rows[0]->id), &tasks);
    return m == 0 ? NULL : tasks[random_below(&k->r, m)];
}

/* Something that the field may hold. */
static const char *random_text(struct walk *k, const struct field *f)
{
    struct row *row;

    if (f->choices != NULL)
        return f->choices[random_below(&k->r, 2)];
    if (strcmp(f->name, "duplicate_of") == 0) {
        struct slice no = row_get(random_row(k, "submission"), TAG_SERIAL)->s;

        return arena_strndup(&k->w->a, no.p, no.len);
    }
    switch (f->type) {
    case FT_ENUM:
        if (strcmp(f->name, "handle_kind") == 0)
            return "single";
        return f->codes->codes[random_below(&k->r, f->codes->n_codes)].code;
    case FT_DATE:
        return strcmp(f->name, "due_on") == 0   ? "2026-06-05"
               : strcmp(f->name, "ext_to") == 0 ? "2026-07-05"
                                                : date(k->w, 0);
    case FT_DATETIME:
        return "2026-03-05 10:00:00";
    case FT_BOOL:
    case FT_INT:
        return "1";
    case FT_REF:
        if (strcmp(f->target->name, "user_account") == 0)
            return ref(k->w, &k->w->gy.account);
        row = random_row(k, f->target->name);
        return ref(k->w, row == NULL ? &k->w->card : &row->id);
    default:
        return strcmp(f->name, "approver") == 0 ? "乙" : "甲";
    }
}

/* Anybody who can do everything, at the side the transition belongs to. */
static struct actor doer(struct walk *k, const struct transition *t, const struct row *row)
{
    bool county = (t->roles & k->w->gy.roles) != 0;
    struct actor who = county ? (row->stream == ZX ? k->w->zx : k->w->gy) : k->w->committee;

    if (!county)
        who.roles = ~k->w->gy.roles;
    return who;
}

/* One of the transitions that the state offers; seldom an early end. */
static const struct transition *random_transition(struct walk *k, const struct row *row)
{
    const struct transition *found = NULL;
    uint64_t seen = 0;

    for (unsigned i = 0; i < row->kind->n_transitions; i++) {
        const struct transition *t = &row->kind->transitions[i];
        bool ends = strcmp(t->to, "withdrawn") == 0 || strcmp(t->to, "duplicate") == 0 ||
                    strncmp(t->to, "not_", 4) == 0;

        if (t->from != NULL && t->roles != 0 && row_in_state(row, t->from) &&
            (!ends || random_below(&k->r, 60) == 0) && random_below(&k->r, ++seen) == 0)
            found = t;
    }
    return found;
}

static int random_move(struct walk *k, const struct row *row)
{
    const struct transition *t = random_transition(k, row);
    struct change c = {.op = OP_TRANSITION, .kind = row->kind->tag, .record = row->id};
    struct actor who;
    int ret;

    if (t == NULL)
        return 1;
    who = doer(k, t, row);
    c.from = slice_str(t->from);
    c.to = slice_str(t->to);
    c.fields = arena_zalloc(&k->w->a, 8 * sizeof *c.fields);
    for (size_t i = 0; t->required[i] != NULL; i++) {
        struct field_change *fc = &c.fields[c.n_fields++];

        *fc = (struct field_change){.tag = t->required[i]->tag, .form = FORM_SET};
        assert_int_equal(check_parse(&k->w->a, t->required[i],
                                     slice_str(random_text(k, t->required[i])), &fc->v, NULL),
                         0);
    }
    ret = run(k->w, &who, &c);
    return ret;
}

static int random_task(struct walk *k, const struct row *of)
{
    static const char *const roles[] = {"single", "lead", "co", "separate"};
    const char *role = roles[random_below(&k->r, 4) == 0 ? random_below(&k->r, 4) : 0];
    bool info = strcmp(of->kind->name, "info_case") == 0;

    return try_add(k->w, info ? &k->w->office : &k->w->committee, "handling_task", "assigned", NULL,
                   "case_kind", of->kind->name, "case_id", ref(k->w, &of->id), "unit_id",
                   ref(k->w, &k->w->gov[random_below(&k->r, 4)]), "unit_role", role, "round",
                   !info && row_int(of, "round") > 1 ? "2" : "1", "due_on",
                   strcmp(role, "co") == 0 ? "2026-04-05" : "2026-06-05", (char *)NULL);
}

static int random_reply(struct walk *k, const struct row *t)
{
    const char *result = random_below(&k->r, 3) == 0 ? "驳回" : "通过";

    return try_add(k->w, &k->w->committee, "reply", NULL, NULL, "task_id", ref(k->w, &t->id),
                   "reply_on", date(k->w, 0), "signer", "甲", "contact_mode", "phone",
                   "result_class", "A", "body", "答", "is_implemented", "1", "public_reply", "1",
                   "review_result", result, "reject_reason", "缺", (char *)NULL);
}

static int random_deed(struct walk *k)
{
    static const char *const kinds[] = {"submission", "proposal_case", "info_case", "handling_task",
                                        "handling_task"};
    size_t what = random_below(&k->r, 12);
    struct row *row = random_row(k, kinds[what % 5]);

    if (row == NULL)
        return 1;
    if (what == 10 || what == 11) {
        struct row *of = random_row(k, what == 10 ? "proposal_case" : "info_case");

        return of == NULL ? 1 : random_task(k, of);
    }
    if (what == 9 || (what % 5 == 3 && random_below(&k->r, 4) == 0))
        return random_reply(k, row);
    return random_move(k, row);
}

/* Live cases of a submission: a converted proposal has handed it on. */
static size_t live_cases(struct world *w, const struct id *submission)
{
    struct row **rows;
    size_t n = find(w, "proposal_case", "submission_id", value_id(submission), &rows), live = 0;

    for (size_t i = 0; i < n; i++)
        live += value_is_null(row_named(rows[i], "converted_to"));
    return live + count(w, "info_case", "submission_id", submission);
}

static void assert_mirrors(struct world *w, const struct id *id)
{
    struct row *s = get(w, "submission", id), *card;
    struct slice kind = row_text(s, "case_kind"), shown = row_text(s, "case_state");
    bool own = !row_in_state(s, "duplicate") && value_is_null(row_named(s, "duplicate_of"));
    const char *asked;

    if (value_is_null(row_named(s, "case_id"))) {
        assert_int_equal(live_cases(w, id), 0);
        return;
    }
    card = card_of(w, id);
    assert_int_equal(live_cases(w, id), own ? 1 : 0);
    assert_true(slice_eq(row_text(card, "case_state"), shown));
    assert_true(slice_eq(row_text(card, "case_kind"), kind));
    assert_true(value_eq(row_named(card, "case_no"), row_named(card, "case_no")));
    if (!own || row_in_state(s, "closed"))
        return;
    asked = mirror_state(arena_strndup(&w->a, kind.p, kind.len), shown);
    if (row_in_state(s, "returned") && slice_eq(kind, slice_str("info_case")))
        return;
    if (asked == NULL || !row_in_state(s, asked))
        fail_msg("case %.*s leaves its submission %.*s", (int)shown.len, (const char *)shown.p,
                 (int)row_state(s).len, (const char *)row_state(s).p);
}

static void walk_on(struct walk *k)
{
    size_t told[WALK_SUBMISSIONS];
    int ret;

    for (size_t i = 0; i < WALK_SUBMISSIONS; i++)
        told[i] = trackings(k->w, &k->submissions[i]);
    ret = random_deed(k);
    if (ret == 1)
        return;
    if (ret != 0) {
        k->refused++;
        if (ret != E_GUARD && ret != E_INVALID && ret != E_STATE && ret != E_PARENT &&
            ret != E_ROLE && ret != E_OWNER)
            fail_msg("%d %s", ret, k->w->err.text);
        return;
    }
    k->done++;
    for (size_t i = 0; i < WALK_SUBMISSIONS; i++) {
        assert_mirrors(k->w, &k->submissions[i]);
        assert_true(trackings(k->w, &k->submissions[i]) <= told[i] + 2);
    }
}

/* Whatever people do in whatever order, one case a routed submission, and everybody sees its state. */
static void test_rules__random_deeds_keep_mirrors(void **state)
{
    static const char *const forms[] = {"proposal",       "proposal",       "proposal",
                                        "public_opinion", "special_report", "micro_suggestion"};
    struct walk k = {.w = *state};

    k.r = random_seeded_init(&k.state, 20260305);
    for (size_t i = 0; i < WALK_SUBMISSIONS; i++)
        k.submissions[i] =
            submit_by(k.w, i % 2 == 0 ? &k.w->gy : &k.w->zx,
                      i % 2 == 0 ? &k.w->studio_gy : &k.w->studio_zx, forms[i], forms[i]);
    for (size_t i = 0; i < WALK_DEEDS; i++)
        walk_on(&k);
    print_message("%zu done, %zu refused\n", k.done, k.refused);
    assert_true(k.done > 100);
}

int main(int argc, char **argv)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_rules__##name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(proposal_goes_the_whole_way),
        TEST(public_opinion_is_issued_and_handled),
        TEST(micro_suggestion_takes_the_short_way),
        TEST(special_report_is_closed_after_issue),
        TEST(refusals_tell_the_reason),
        TEST(correction_returns_to_the_same_case),
        TEST(returned_before_routing),
        TEST(giving_up_withdraws_the_case),
        TEST(conversion_with_consent),
        TEST(withdrawal_closes_everything),
        TEST(not_public_without_leave),
        TEST(merged_across_counties),
        TEST(unmerged_case_stands_alone),
        TEST(duplicate_follows_the_surviving_case),
        TEST(joint_and_separate_handling),
        TEST(decline_and_reassign),
        TEST(extension),
        TEST(second_round),
        TEST(one_case_a_submission),
        TEST(working_days_know_holidays),
        TEST(settings_are_the_citys),
        TEST(member_cards_follow_members),
        TEST(studio_cards_follow_studios),
        TEST(answers_bring_their_files),
        TEST(supervision_has_a_result),
        TEST(entries_wait_for_what_is_shared),
        TEST(random_deeds_keep_mirrors),
    };

#define FAULTS(name) cmocka_unit_test_setup_teardown(test_rules__##name, setup_faults, teardown)
    const struct CMUnitTest with_faults[] = {
        FAULTS(proposal_goes_the_whole_way),
        FAULTS(public_opinion_is_issued_and_handled),
        FAULTS(micro_suggestion_takes_the_short_way),
        FAULTS(special_report_is_closed_after_issue),
        FAULTS(refusals_tell_the_reason),
        FAULTS(correction_returns_to_the_same_case),
        FAULTS(returned_before_routing),
        FAULTS(giving_up_withdraws_the_case),
        FAULTS(conversion_with_consent),
        FAULTS(withdrawal_closes_everything),
        FAULTS(not_public_without_leave),
        FAULTS(merged_across_counties),
        FAULTS(unmerged_case_stands_alone),
        FAULTS(duplicate_follows_the_surviving_case),
        FAULTS(joint_and_separate_handling),
        FAULTS(decline_and_reassign),
        FAULTS(extension),
        FAULTS(second_round),
        FAULTS(one_case_a_submission),
        FAULTS(working_days_know_holidays),
        FAULTS(settings_are_the_citys),
        FAULTS(member_cards_follow_members),
        FAULTS(studio_cards_follow_studios),
        FAULTS(answers_bring_their_files),
        FAULTS(supervision_has_a_result),
        FAULTS(entries_wait_for_what_is_shared),
    };

    (void)argv;
    return argc > 1 ? cmocka_run_group_tests(with_faults, NULL, NULL)
                    : cmocka_run_group_tests(tests, NULL, NULL);
}
