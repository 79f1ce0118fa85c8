/* The stage of the table tests: stores made by city_create and replica_create, the story laid into their
 * projections, every attempt rolled back. */
#include "tests/table/stage.h"

#include "common/base/err.h"
#include "common/crypto/hash.h"
#include "tests/lib/toy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define ENTRIES_MAX 512
#define TEXT_MAX    64

/* ---- the story ---- */

/* What the filling by type leaves untrue or empty. */
static const char story[] =
    "site.code=431999 site.serial_letter=QQ site.level=county "
    "term.start_on=2026-01-01 term.end_on=2031-01-01 term.site_code=@site "
    "org_unit.is_undertaker=1 org_unit.active=1 org_unit.is_counterpart=0 org_unit.parent_unit= "
    "org_unit'.is_undertaker=1 org_unit'.active=1 org_unit'.is_counterpart=0 "
    "org_unit'.parent_unit= "
    "member.level=county member.status=active member'.level=county member'.status=active "
    "member''.level=county member''.status=active "
    "member_card.level=city member_card.status=active "
    "studio.level=county "
    "signature.target_kind=submission signature.target_id=@submission "
    "signature.member_id=@member_card "
    "signature'.target_kind=application signature'.target_id=@application "
    "application.applicant_type=individual application.category=individual "
    "duty_shift.swap_from=@duty_shift' duty_shift.backup_member= duty_shift.end_time=11:00 "
    "duty_log.end_time=11:00 activity.end_at=2026-03-05T11:00 "
    "submission.form=proposal submission.proposer_type=individual "
    "submission.lead_member=@member_card submission.case_kind=proposal_case "
    "submission.case_id=@case_card submission.duplicate_of= submission.paused_on= "
    "submission.state=routed_proposal "
    "submission'.form=public_opinion submission'.lead_member=@member_card "
    "submission'.case_kind=info_case submission'.case_id=@case_card' submission'.duplicate_of= "
    "submission'.paused_on= submission'.state=routed_office "
    "proposal_case.submission_id=@submission proposal_case.session_kind=ordinary "
    "proposal_case.main_case= proposal_case.converted_to= proposal_case.due_on=2026-06-05 "
    "proposal_case.state=reviewing "
    "proposal_case'.submission_id= proposal_case'.main_case= proposal_case'.converted_to= "
    "proposal_case'.session_kind=ordinary proposal_case'.due_on=2026-06-05 "
    "proposal_case'.state=filed "
    "info_case.submission_id=@submission' info_case.form=public_opinion info_case.merged_into= "
    "info_case.converted_from= info_case.editor=李编 info_case.approver=王审 "
    "info_case.state=screening "
    "info_case'.submission_id= info_case'.form=public_opinion info_case'.merged_into= "
    "info_case'.converted_from= info_case'.editor=李编 info_case'.approver=王审 "
    "info_case'.state=screening "
    "case_card.submission_id=@submission case_card.case_kind=proposal_case "
    "case_card.case_state=reviewing "
    "case_card'.submission_id=@submission' case_card'.case_kind=info_case "
    "case_card'.case_state=screening "
    "handling_task.case_kind=proposal_case handling_task.case_id=@proposal_case "
    "handling_task.unit_role=single handling_task.due_on=2026-06-05 "
    "handling_task.ext_to=2026-07-05 handling_task.decline_due=2026-03-15 "
    "handling_task.decline_result= handling_task.paused_on= handling_task.state=assigned "
    "reply.review_result=通过 reply.result_class=A answer.result_class=A "
    "feedback.result=satisfied feedback.attitude=satisfied "
    "supervision.case_kind=proposal_case supervision.case_id=@proposal_case "
    "adoption.case_kind=proposal_case adoption.case_id=@proposal_case "
    "attachment.target_kind=opinion attachment.target_id=@opinion attachment.mime=image/png "
    "expense.handler=李经 expense.approver=王审 "
    "user_account.role=finance user_account.login=story "
    "setting.name=warn_days setting.for_site= setting.value=10 historic_file.target_kind=opinion";

/* Kinds of which the story has more than one record from the start. */
static const struct {
    const char *kind;
    unsigned n;
} several[] = {{"org_unit", 2},      {"member", 3},    {"submission", 2}, {"signature", 2},
               {"proposal_case", 2}, {"info_case", 2}, {"case_card", 2},  {"duty_shift", 2}};

unsigned stage_place_of(const struct kind *kind)
{
    unsigned i = 0;

    while (catalogue_kinds[i] != kind)
        i++;
    return i;
}

struct id stage_id(const struct kind *kind, unsigned nth)
{
    struct id id = {.b = {1, 2, 3, 4, 5, 6, 0x70, 0, 0x80}};

    id.b[14] = (uint8_t)nth;
    id.b[15] = (uint8_t)kind->tag;
    return id;
}

static struct value id_value(struct arena *a, const struct kind *kind, unsigned nth,
                             enum value_type type)
{
    struct id id = stage_id(kind, nth);
    uint8_t *b = arena_dup(a, id.b, ID_SIZE);

    assert_non_null(b);
    return (struct value){.type = type, .s = {b, ID_SIZE}};
}

/* As many as the field must have. */
static struct value ids_of(struct stage *s, const struct field *f)
{
    unsigned n = f->min > 1 ? (unsigned)f->min : 1;
    uint8_t *b = arena_alloc(&s->base, (size_t)n * ID_SIZE);

    assert_true(b != NULL && n <= STAGE_COPIES);
    for (unsigned i = 0; i < n; i++)
        memcpy(b + i * ID_SIZE, stage_id(f->target, i).b, ID_SIZE);
    return (struct value){.type = V_IDS, .s = {b, (size_t)n * ID_SIZE}};
}

static struct value text_of(struct stage *s, const struct field *f, unsigned nth)
{
    int64_t n = f->min > 2 ? f->min : f->max == 1 ? 1 : 2;
    char text[3 * TEXT_MAX + 1] = "";

    if (f->choices != NULL)
        return value_str(f->choices[0]);
    for (int64_t i = 0; i < n && i < TEXT_MAX; i++)
        strcat(text, nth == 0 ? "甲" : nth == 1 ? "乙" : "丙");
    return value_str(arena_strndup(&s->base, text, strlen(text)));
}

static const char *first_code(const struct field *f)
{
    for (unsigned i = 0; i < f->codes->n_codes; i++) {
        if (f->codes->codes[i].offered)
            return f->codes->codes[i].code;
    }
    return f->codes->codes[0].code;
}

/* A value that fits the field by itself. */
static struct value fill(struct stage *s, const struct field *f, unsigned nth)
{
    switch (f->type) {
    case FT_INT:
    case FT_DECIMAL:
    case FT_MONEY:
        return value_int(f->min > 1 ? f->min : 1);
    case FT_BOOL:
        return value_int(1);
    case FT_YEAR:
        return value_int(2026);
    case FT_DATE:
        return value_str("2026-03-05");
    case FT_TIME:
        return value_str("09:00");
    case FT_DATETIME:
        return value_str("2026-03-05T09:00:00+08:00");
    case FT_PHONE:
        return value_str("13800001234");
    case FT_URL:
        return value_str("https://example.cn/");
    case FT_ENUM:
        return value_str(first_code(f));
    case FT_SET:
        return (struct value){.type = V_SET, .s = slice_str(first_code(f))};
    case FT_REF:
        return id_value(&s->base, f->target, 0, V_ID);
    case FT_RID:
        return id_value(&s->base, catalogue_kind_named("studio"), 0, V_ID);
    case FT_REFS:
        return ids_of(s, f);
    case FT_TEXT:
    case FT_LONGTEXT:
        return text_of(s, f, nth);
    default:
        return value_null();
    }
}

static uint32_t stream_of(const struct kind *kind)
{
    return kind->stream == STREAM_RULE_SHARED ? STREAM_SHARED
           : kind->stream == STREAM_RULE_CITY ? STREAM_CITY
                                              : STAGE_SITE;
}

static struct row *make_row(struct stage *s, const struct kind *kind, unsigned nth)
{
    struct id id = stage_id(kind, nth);
    struct row *row = row_new(&s->base, kind, &id);

    assert_non_null(row);
    row->stream = stream_of(kind);
    row->created_seq = row->seq = 1;
    row->exists = true;
    for (unsigned i = 0; i < kind->n_own; i++) {
        if (kind->fields[i].stored)
            row->values[i] = fill(s, &kind->fields[i], nth);
    }
    row_put(row, TAG_SITE, value_str(row->stream == STAGE_SITE ? "431021" : "431000"));
    row_put(row, TAG_VOIDED, value_int(0));
    row_put(row, TAG_HISTORIC, value_int(0));
    if (kind->serial_prefix != NULL) {
        const char *no = arena_printf(&s->base, "GY-%s-2026-900%u", kind->serial_prefix, nth);

        assert_non_null(no);
        row_put(row, TAG_SERIAL, value_str(no));
    }
    if (kind->states != NULL)
        row_put(row, TAG_STATE, value_str(kind->states->codes[0].code));
    return row;
}

/* ---- telling ---- */

/* The record of the present test, copied from the story at its first change. */
static struct row *told(struct stage *s, const struct kind *kind, unsigned nth)
{
    struct row **at = &s->told[stage_place_of(kind)][nth];
    struct row *from = s->rows[stage_place_of(kind)][nth];

    if (*at == NULL)
        *at = row_dup(&s->work, from != NULL ? from : make_row(s, kind, nth));
    assert_non_null(*at);
    return *at;
}

static const struct kind *kind_in(const char *text, size_t len, unsigned *ret_nth)
{
    char name[TEXT_MAX];

    *ret_nth = 0;
    for (; len > 0 && text[len - 1] == '\''; len--)
        (*ret_nth)++;
    assert_true(*ret_nth < STAGE_COPIES);
    snprintf(name, sizeof name, "%.*s", (int)len, text);
    const struct kind *kind = catalogue_kind_named(name);
    if (kind == NULL)
        fail_msg("the story has no kind %s", name);
    return kind;
}

static struct value parse(struct stage *s, const struct field *f, const char *text, size_t len)
{
    struct value v = value_null();
    struct err err = {.ret = 0};
    unsigned nth;

    if (len == 0)
        return v;
    if (text[0] == '@') {
        const struct kind *kind = kind_in(text + 1, len - 1, &nth);

        return id_value(&s->work, kind, nth, f->type == FT_REFS ? V_IDS : V_ID);
    }
    text = arena_strndup(&s->work, text, len);
    if (f->tag == TAG_STATE || f->tag == TAG_SERIAL)
        return value_str(text);
    if (check_parse(&s->work, f, slice_str(text), &v, &err) != 0)
        fail_msg("%s.%s: %s", f->name, text, err.text);
    return v;
}

static void tell_one(struct stage *s, const char *word, size_t len)
{
    const char *dot = memchr(word, '.', len), *eq = memchr(word, '=', len);
    char name[TEXT_MAX];
    unsigned nth;

    if (dot == NULL || eq == NULL)
        fail_msg("not a word of the story: %.*s", (int)len, word);
    const struct kind *kind = kind_in(word, (size_t)(dot - word), &nth);
    snprintf(name, sizeof name, "%.*s", (int)(eq - dot - 1), dot + 1);
    const struct field *f = kind_field_named(kind, name);
    if (f == NULL)
        fail_msg("the story has no field %s.%s", kind->name, name);
    row_put(told(s, kind, nth), f->tag, parse(s, f, eq + 1, (size_t)(word + len - eq - 1)));
}

void stage_tell(struct stage *s, const char *line)
{
    while (*line != '\0') {
        size_t len = strcspn(line, " ");

        if (len > 0)
            tell_one(s, line, len);
        line += len + (line[len] == ' ');
    }
}

void stage_reset(struct stage *s)
{
    memset(s->told, 0, sizeof s->told);
    arena_clear(&s->work);
}

struct row *stage_row(struct stage *s, const struct kind *kind)
{
    return told(s, kind, 0);
}

/* ---- both stores ---- */

static void put(struct store *store, const struct row *row)
{
    struct err err = {.ret = 0};

    if (store_row_put(store, row, &err) != 0)
        fail_msg("%s: %s", row->kind->name, err.text);
}

static void put_told(struct stage *s, struct store *store)
{
    for (unsigned i = 0; i < catalogue_n_kinds; i++) {
        for (unsigned k = 0; k < STAGE_COPIES; k++) {
            if (s->told[i][k] != NULL)
                put(store, s->told[i][k]);
        }
    }
}

static struct store *store_at(struct stage *s, enum place place)
{
    return place == AT_COUNTY ? replica_store(s->county) : city_store(s->city);
}

void stage_enter(struct stage *s, enum place place, const struct kind *absent)
{
    struct err err = {.ret = 0};
    int ret = place == AT_COUNTY ? replica_write_begin(s->county, &err)
                                 : city_begin(s->city, STAGE_NOW, &err);

    if (ret != 0)
        fail_msg("no transaction: %s", err.text);
    put_told(s, store_at(s, place));
    if (absent != NULL) {
        struct id id = stage_id(absent, 0);

        assert_int_equal(store_row_delete(store_at(s, place), absent, &id, NULL), 0);
    }
}

void stage_leave(struct stage *s, enum place place)
{
    if (place == AT_COUNTY)
        assert_int_equal(replica_write_end(s->county, false, NULL), 0);
    else
        city_rollback(s->city);
}

struct row *stage_look(struct stage *s, enum place place, const struct kind *kind)
{
    struct id id = stage_id(kind, 0);
    struct row *row;

    assert_int_equal(store_row_get(store_at(s, place), &s->work, kind, &id, &row, NULL), 0);
    return row;
}

/* ---- trying ---- */

struct field_change *stage_fields(struct stage *s, enum place place, const struct kind *kind,
                                  size_t *ret_n)
{
    enum side side = place == AT_CITY ? SIDE_CITY : SIDE_COUNTY;
    struct row *row = stage_row(s, kind), *blank = row_dup(&s->work, row);
    struct field_change *fields = arena_zalloc(&s->work, (kind->n_own + 1) * sizeof *fields);
    size_t n = 0;

    assert_true(blank != NULL && fields != NULL);
    blank->exists = false;
    row_put(blank, TAG_STATE, value_null());
    if (place == AT_CITY && kind->stream == STREAM_RULE_SITE_OR_CITY)
        blank->stream = STREAM_CITY;
    for (unsigned i = 0; i < kind->n_own; i++) {
        const struct field *f = &kind->fields[i];

        if (f->stored && f->required != REQUIRED_AUTO && !value_is_null(&row->values[i]) &&
            check_owner(blank, f, side, NULL) == 0)
            fields[n++] =
                (struct field_change){.tag = f->tag, .form = FORM_SET, .v = row->values[i]};
    }
    *ret_n = n;
    return fields;
}

static int refused(struct stage *s, int ret, const char *text)
{
    s->sentence = slice_str(arena_strndup(&s->work, text, strlen(text)));
    return ret;
}

static struct slice state_now(struct stage *s, enum place place, const struct attempt *t)
{
    struct row *row = t->op == OP_TRANSITION ? stage_look(s, place, t->kind) : NULL;

    return row == NULL ? (struct slice){NULL, 0} : row_state(row);
}

static struct change change_of(struct stage *s, enum place place, const struct attempt *t)
{
    return (struct change){.kind = t->kind->tag,
                           .record = stage_id(t->kind, 0),
                           .op = t->op,
                           .seen = SEEN_ALL,
                           .from = state_now(s, place, t),
                           .to = t->to == NULL ? (struct slice){NULL, 0} : slice_str(t->to),
                           .fields = t->fields,
                           .n_fields = t->n_fields};
}

/* A copy that may be salted, with room for one field more. */
static struct field_change *copy_fields(struct stage *s, const struct attempt *t)
{
    struct field_change *f = arena_zalloc(&s->work, (t->n_fields + 1) * sizeof *f);

    assert_non_null(f);
    for (size_t i = 0; i < t->n_fields; i++)
        f[i] = t->fields[i];
    return f;
}

/* Accounts of the city's own live in its stream; what else is created there belongs to the county. */
static uint32_t creation_stream(const struct kind *kind)
{
    return kind->stream == STREAM_RULE_SITE_OR_CITY ? STREAM_CITY
           : stream_of(kind) == STAGE_SITE          ? STAGE_SITE
                                                    : 0;
}

static int try_city(struct stage *s, const struct attempt *t)
{
    struct change c = change_of(s, AT_CITY, t);
    struct act act = {.changes = &c, .n = 1, .actor = {.site = SITE_CITY, .side = SIDE_CITY}};
    struct err err = {.ret = 0};

    c.fields = copy_fields(s, t);
    act.actor.is_system = t->role == ROLE_SYSTEM;
    if (t->role != ROLE_SYSTEM) {
        act.actor.roles = 1u << t->role;
        act.actor.account.b[0] = 0xac;
    }
    if (t->op == OP_CREATE)
        c.stream = creation_stream(t->kind);
    int ret = city_act(s->city, &act, &err);
    return ret == 0 ? 0 : refused(s, ret, err.text);
}

void stage_salt(struct stage *s, const struct kind *kind, struct field_change *fc)
{
    const struct field *f = kind_field(kind, fc->tag);
    struct buf plain, sealed;

    if (f == NULL || f->vanish == VANISH_NO)
        return;
    fc->form = FORM_HASHED;
    change_commit_value(city_hasher(s->city), fc->salt, &fc->v, fc->hash);
    if (f->vanish != VANISH_SITE || value_is_null(&fc->v))
        return;
    buf_init(&plain, 4096);
    buf_init(&sealed, 4096);
    buf_put(&plain, fc->salt, SALT_SIZE);
    value_encode(&plain, &fc->v);
    assert_int_equal(toy_seal(NULL, buf_slice(&plain), fc->salt, &sealed), 0);
    fc->v = (struct value){.type = V_SEALED,
                           .s = {arena_dup(&s->work, sealed.p, sealed.len), sealed.len}};
    buf_release(&plain);
    buf_release(&sealed);
}

struct told_refusal {
    struct stage *s;
    int ret;
};

static int read_refusal(void *ctx, const struct refusal *r)
{
    struct told_refusal *t = ctx;

    t->ret = err_from_code(arena_strndup(&t->s->work, r->code.p, r->code.len));
    (void)refused(t->s, t->ret, arena_strndup(&t->s->work, r->text.p, r->text.len));
    return 0;
}

int stage_push(struct stage *s, struct change *c)
{
    struct buf bytes, side;
    struct slice b[1], d[1];
    uint8_t hash[1][HASH_SIZE];
    struct act act = {.n = 1, .bytes = b, .sides = d, .hashes = (const uint8_t(*)[HASH_SIZE])hash};
    struct change decoded;
    struct err err = {.ret = 0};
    struct told_refusal t = {.s = s};
    bool was_refused = false;

    buf_init(&bytes, ACT_MAX_BYTES);
    buf_init(&side, ACT_MAX_BYTES);
    change_encode(&bytes, c);
    change_encode_side(&side, c);
    b[0] = buf_slice(&bytes);
    d[0] = buf_slice(&side);
    act.changes = &decoded;
    change_hash(city_hasher(s->city), b[0], hash[0]);
    int ret = change_decode(&s->work, b[0], d[0], &decoded);
    if (ret == 0)
        ret = city_push_act(s->city, &s->replica, &act, &was_refused, &err);
    if (ret == 0 && was_refused) {
        assert_int_equal(city_refusals(s->city, &s->replica, UINT64_MAX, read_refusal, &t, &err), 0);
        ret = t.ret;
    }
    buf_release(&bytes);
    buf_release(&side);
    return ret;
}

static int try_push(struct stage *s, const struct attempt *t)
{
    struct change c = change_of(s, AT_PUSH, t);

    c.replica = s->replica;
    c.n = 1;
    c.stream = STAGE_SITE;
    c.act_len = 1;
    c.made_at = STAGE_NOW;
    c.actor = s->accounts[t->role];
    c.catalogue = CATALOGUE_VERSION;
    c.fields = copy_fields(s, t);
    for (size_t i = 0; i < c.n_fields; i++)
        stage_salt(s, t->kind, &c.fields[i]);
    if (t->op == OP_CREATE)
        c.fields[c.n_fields++] =
            (struct field_change){.tag = TAG_SITE, .form = FORM_SET, .v = value_str("431021")};
    return stage_push(s, &c);
}

static int try_county(struct stage *s, const struct attempt *t)
{
    struct draft d = {.kind = t->kind,
                      .record = stage_id(t->kind, 0),
                      .op = t->op,
                      .to = t->to == NULL ? (struct slice){NULL, 0} : slice_str(t->to),
                      .fields = t->fields,
                      .n_fields = t->n_fields};
    struct err err = {.ret = 0};
    int ret = replica_write(s->county, &s->work, &s->accounts[t->role], &d, 1, UINT64_MAX,
                            STAGE_NOW, &err);

    return ret == 0 ? 0 : refused(s, ret, err.text);
}

int stage_try(struct stage *s, enum place place, const struct attempt *t)
{
    s->sentence = slice_str("");
    return place == AT_CITY ? try_city(s, t) : place == AT_PUSH ? try_push(s, t) : try_county(s, t);
}

/* ---- opening ---- */

static int issue(void *ctx, uint32_t site, char ret_serial[48], uint8_t ret_fingerprint[HASH_SIZE])
{
    (void)ctx;
    snprintf(ret_serial, 48, "%u", site);
    memset(ret_fingerprint, 1, HASH_SIZE);
    return 0;
}

static void open_city(struct stage *s, const char *path, struct id *ret_clerk, uint32_t *ret_k)
{
    struct random chance = random_seeded_init(&s->seed[0], 11);
    struct city_options o = {.hasher = hasher_of(HASH_SM3),
                             .random = chance,
                             .signer = toy_signer(),
                             .now = STAGE_NOW};
    uint8_t secret[HASH_SIZE] = {7};
    struct err err = {.ret = 0};
    uint32_t site;

    s->replica = id_v7(STAGE_NOW, &chance);
    assert_int_equal(city_create(path, &o, "第五届", &err), 0);
    assert_int_equal(city_open(path, &o, &s->city, &err), 0);
    assert_int_equal(city_begin(s->city, STAGE_NOW, &err), 0);
    assert_int_equal(city_token_add(s->city, STAGE_SITE, secret, STAGE_NOW + 1000, &err), 0);
    assert_int_equal(city_enrol(s->city, secret, &s->replica, issue, NULL, &site, ret_k, ret_clerk,
                                &err),
                     0);
    assert_int_equal(city_commit(s->city, &err), 0);
}

struct entries {
    struct arrived list[ENTRIES_MAX];
    size_t n;
    struct arena *a;
};

static struct slice keep(struct arena *a, struct slice b)
{
    return (struct slice){arena_dup(a, b.p, b.len), b.len};
}

static int take(void *ctx, const struct entry *e)
{
    struct entries *t = ctx;

    assert_true(t->n < ENTRIES_MAX);
    t->list[t->n++] = (struct arrived){.received_at = e->received_at,
                                       .verdict = keep(t->a, e->verdict),
                                       .bytes = keep(t->a, e->bytes),
                                       .side = keep(t->a, e->side)};
    return 0;
}

static void bring(struct stage *s, uint32_t stream)
{
    struct entries *t = calloc(1, sizeof *t);
    struct slice head, signature;
    struct err err = {.ret = 0};
    uint64_t seq;

    t->a = &s->base;
    assert_int_equal(store_entry_each(city_store(s->city), stream, 1, take, t, &err), 0);
    assert_int_equal(city_head(s->city, stream, &head, &signature, &seq), 0);
    if (replica_apply(s->county, stream, 1, t->list, t->n, head, signature, &err) != 0)
        fail_msg("stream %u: %s", stream, err.text);
    free(t);
}

static void open_county(struct stage *s, const char *path, const struct id *clerk, uint32_t k)
{
    struct replica_keys keys = {.hasher = hasher_of(HASH_SM3),
                                .log_key = toy_verifier(),
                                .site_seal = toy_seal,
                                .site_open = toy_open,
                                .random = random_seeded_init(&s->seed[1], 12)};
    struct replica_facts facts = {.id = s->replica,
                                  .ledger = city_ledger(s->city),
                                  .clerk = *clerk,
                                  .site = STAGE_SITE,
                                  .k = k,
                                  .incarnation = city_incarnation(s->city)};
    struct err err = {.ret = 0};

    assert_int_equal(replica_create(path, &keys, &facts, &err), 0);
    assert_int_equal(replica_open(path, &keys, &s->county, &err), 0);
    bring(s, STREAM_SHARED);
    bring(s, STAGE_SITE);
}

/* An account of the county for every role, also for those no county may have. */
static void make_accounts(struct stage *s, struct store *store)
{
    const struct kind *kind = catalogue_kind_named("user_account");

    for (unsigned i = 0; i < catalogue_roles->n_codes; i++) {
        const char *role = catalogue_roles->codes[i].code;

        s->accounts[i] = stage_id(kind, 0);
        s->accounts[i].b[13] = (uint8_t)(i + 1);
        struct row *row = make_row(s, kind, 0);
        row->id = s->accounts[i];
        row_put(row, kind_field_named(kind, "login")->tag, value_str(role));
        row_put(row, kind_field_named(kind, "role")->tag,
                (struct value){.type = V_SET, .s = slice_str(role)});
        row_put(row, kind_field_named(kind, "active")->tag, value_int(1));
        put(store, row);
    }
}

static void put_story(struct stage *s, struct store *store)
{
    assert_int_equal(store_begin(store, NULL), 0);
    for (unsigned i = 0; i < catalogue_n_kinds; i++) {
        for (unsigned k = 0; k < STAGE_COPIES; k++) {
            if (s->rows[i][k] != NULL && catalogue_kinds[i]->stream != STREAM_RULE_NONE)
                put(store, s->rows[i][k]);
        }
    }
    make_accounts(s, store);
    assert_int_equal(store_commit(store, NULL), 0);
}

static void make_story(struct stage *s)
{
    for (unsigned i = 0; i < catalogue_n_kinds; i++)
        s->rows[i][0] = make_row(s, catalogue_kinds[i], 0);
    for (size_t i = 0; i < sizeof several / sizeof *several; i++) {
        const struct kind *kind = catalogue_kind_named(several[i].kind);

        for (unsigned k = 1; k < several[i].n; k++)
            s->rows[stage_place_of(kind)][k] = make_row(s, kind, k);
    }
    stage_tell(s, story);
    for (unsigned i = 0; i < catalogue_n_kinds; i++) {
        for (unsigned k = 0; k < STAGE_COPIES; k++) {
            if (s->told[i][k] != NULL)
                s->rows[i][k] = row_dup(&s->base, s->told[i][k]);
        }
    }
    stage_reset(s);
}

void stage_open(struct stage *s)
{
    char path[96];
    struct id clerk;
    uint32_t k;

    memset(s, 0, sizeof *s);
    arena_init(&s->base, 64u << 20);
    arena_init(&s->work, 64u << 20);
    assert_true(catalogue_n_kinds <= STAGE_KINDS && catalogue_roles->n_codes <= STAGE_ROLES);
    strcpy(s->dir, "/tmp/test_table.XXXXXX");
    assert_non_null(mkdtemp(s->dir));
    snprintf(path, sizeof path, "%s/city.db", s->dir);
    open_city(s, path, &clerk, &k);
    snprintf(path, sizeof path, "%s/county.db", s->dir);
    open_county(s, path, &clerk, k);
    make_story(s);
    put_story(s, city_store(s->city));
    put_story(s, replica_store(s->county));
}

void stage_close(struct stage *s)
{
    static const char *const files[] = {"city.db",   "city.db-wal",   "city.db-shm",
                                        "county.db", "county.db-wal", "county.db-shm"};

    replica_close(s->county);
    city_close(s->city);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[96];

        snprintf(path, sizeof path, "%s/%s", s->dir, files[i]);
        (void)unlink(path); /* those of the journal are gone by now */
    }
    (void)rmdir(s->dir);
    arena_release(&s->base);
    arena_release(&s->work);
}
