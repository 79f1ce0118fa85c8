/* The people of the world: how it begins, what clerks do at the counties and officers at the city. */
#include "tests/sim/world_internal.h"

#include "common/base/mem.h"
#include "common/crypto/hash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIELDS_MAX 16u
#define ACT_ARENA  (8u << 20)

/* ---- making drafts ---- */

struct form {
    struct arena *a;
    const struct kind *kind;
    struct field_change fields[FIELDS_MAX];
    size_t n;
};

static void fill(struct form *f, const char *name, struct value v)
{
    const struct field *field = kind_field_named(f->kind, name);
    size_t k = f->n++;

    if (field == NULL || f->n > FIELDS_MAX) {
        (void)fprintf(stderr, "the world knows no %s.%s\n", f->kind->name, name);
        abort();
    }
    for (; k > 0 && f->fields[k - 1].tag > field->tag; k--)
        f->fields[k] = f->fields[k - 1];
    f->fields[k] = (struct field_change){.tag = field->tag, .form = FORM_SET, .v = v};
}

static struct value text(struct form *f, const char *fmt, unsigned long long number)
{
    char line[256];

    (void)snprintf(line, sizeof line, "%s%llu", fmt, number);
    return value_str(arena_strndup(f->a, line, strlen(line)));
}

static unsigned place_of(uint32_t site)
{
    return site == sim_sites[0] ? 0 : 1;
}

uint64_t people_fingerprint(const struct value *v)
{
    uint8_t hash[HASH_SIZE];
    uint64_t f = 0;
    struct slice whole;
    struct buf b;

    buf_init(&b, 1u << 20);
    value_encode(&b, v);
    whole = buf_slice(&b);
    hasher_of(HASH_SHA256)->digest(&whole, 1, hash);
    for (int i = 0; i < 8; i++)
        f = f << 8 | hash[i];
    buf_release(&b);
    return f;
}

/* ---- the beginning ---- */

static struct actor system_actor(void)
{
    return (struct actor){.is_system = true, .side = SIDE_CITY, .site = SITE_CITY};
}

static bool create_at_city(struct world *w, struct form *f, uint32_t stream, const char *state,
                           struct id *ret_id)
{
    struct change c = {.op = OP_CREATE,
                       .kind = f->kind->tag,
                       .stream = stream,
                       .seen = UINT64_MAX >> 1,
                       .to = state == NULL ? (struct slice){NULL, 0} : slice_str(state),
                       .fields = f->fields,
                       .n_fields = f->n};
    struct act act = {.changes = &c, .n = 1, .actor = system_actor()};
    struct err err = {.ret = 0};

    if (city_act(w->city, &act, &err) != 0) {
        world_fail(w, "the world cannot begin: %s %s", f->kind->name, err.text);
        return false;
    }
    if (ret_id != NULL)
        *ret_id = c.record;
    return true;
}

static bool settle_site(struct world *w, struct arena *a, uint32_t site)
{
    struct form member = {.a = a, .kind = catalogue_kind_named("member")};
    struct form studio = {.a = a, .kind = catalogue_kind_named("studio")};
    struct form account = {.a = a, .kind = catalogue_kind_named("user_account")};

    fill(&member, "name", value_str("何委员"));
    fill(&member, "level", (struct value){.type = V_SET, .s = slice_str("city,county")});
    fill(&member, "unit_title", value_str("县医院医师"));
    fill(&member, "status", value_str("active"));
    fill(&studio, "name", value_str("惠民委员工作室"));
    fill(&studio, "level", value_str("county"));
    fill(&account, "login", value_str("second"));
    fill(&account, "name", value_str("李干事"));
    fill(&account, "role",
         (struct value){.type = V_SET, .s = slice_str("county_clerk,county_lead,studio_user")});
    fill(&account, "active", value_int(1));
    return create_at_city(w, &account, site, NULL, &w->second[place_of(site)]) &&
           create_at_city(w, &member, site, NULL, &w->member[place_of(site)]) &&
           create_at_city(w, &studio, site, "operating", &w->studio[place_of(site)]);
}

static bool settle_city(struct world *w, struct arena *a)
{
    struct form account = {.a = a, .kind = catalogue_kind_named("user_account")};

    fill(&account, "login", value_str(CITY_ACCOUNT_LOGIN));
    fill(&account, "name", value_str("市级经办"));
    fill(&account, "role",
         (struct value){.type = V_SET, .s = slice_str("liaison,office,proposal_committee")});
    fill(&account, "active", value_int(1));
    if (!create_at_city(w, &account, STREAM_CITY, NULL, NULL))
        return false;
    for (unsigned i = 0; i < SIM_SITES; i++) {
        if (!settle_site(w, a, sim_sites[i]))
            return false;
    }
    return true;
}

bool people_settle(struct world *w)
{
    struct arena a;
    bool ok;

    arena_init(&a, ACT_ARENA);
    ok = settle_city(w, &a);
    arena_release(&a);
    return ok;
}

void people_begin(struct world *w)
{
    for (unsigned i = 0; i < w->n_replicas; i++) {
        msec_t late = w->replicas[i].late ? 10000 + world_roll(w, 40000) : 0;

        world_at(w, late + world_roll(w, 2000), network_connect, &w->replicas[i]);
        world_at(w, late + 1000 + world_roll(w, 4000), people_act, &w->replicas[i]);
    }
}

/* ---- clerks ---- */

static void new_opinion(struct world *w, struct sim_replica *r, struct form *f, struct draft *d)
{
    unsigned p = place_of(r->site);

    f->kind = catalogue_kind_named("opinion");
    fill(f, "studio_id", value_id(&w->studio[p]));
    fill(f, "received_at", value_str("2026-01-05T09:30:00+08:00"));
    fill(f, "channel", value_str("visit"));
    fill(f, "receiver", value_id(&w->member[p]));
    fill(f, "anonymous", value_int(1));
    fill(f, "title", text(f, "路灯不亮", world_roll(w, 1000)));
    fill(f, "content", text(f, "村口的路灯坏了很久，晚上看不清路", world_roll(w, 1000)));
    fill(f, "category", value_str("social"));
    if (world_roll(w, 2) == 0)
        fill(f, "person_name", text(f, "李", world_roll(w, 100)));
    *d = (struct draft){.kind = f->kind, .op = OP_CREATE, .to = slice_str("collected")};
}

static void new_activity(struct world *w, struct sim_replica *r, struct form *f, struct draft *d)
{
    f->kind = catalogue_kind_named("activity");
    fill(f, "studio_id", value_id(&w->studio[place_of(r->site)]));
    fill(f, "title", text(f, "政策宣讲", world_roll(w, 100)));
    fill(f, "function", (struct value){.type = V_SET, .s = slice_str("study")});
    fill(f, "start_at", value_str("2026-01-08T15:00:00+08:00"));
    fill(f, "place", value_str("社区会议室"));
    *d = (struct draft){.kind = f->kind, .op = OP_CREATE, .to = slice_str("planned")};
}

static void new_submission(struct world *w, struct sim_replica *r, struct form *f, struct draft *d)
{
    f->kind = catalogue_kind_named("submission");
    fill(f, "studio_id", value_id(&w->studio[place_of(r->site)]));
    fill(f, "form", value_str("micro_suggestion"));
    fill(f, "title", text(f, "关于修路灯的建议", world_roll(w, 1000)));
    fill(f, "category", value_str("social"));
    fill(f, "situation", value_str("村口路灯损坏，夜间通行不便。"));
    fill(f, "suggestion", value_str("一、尽快修复；二、定期巡查。"));
    fill(f, "lead_member", value_id(&w->member[place_of(r->site)]));
    fill(f, "urgency", value_str("normal"));
    fill(f, "no_secret", value_int(1));
    *d = (struct draft){.kind = f->kind, .op = OP_CREATE, .to = slice_str("draft")};
}

static void edit_opinion(struct world *w, const struct row *row, struct form *f, struct draft *d)
{
    static const char *const names[] = {"person_area", "keywords", "handler_unit", "demand",
                                        "disposition_note"};

    f->kind = row->kind;
    for (unsigned i = 0; i < 5; i++) {
        if (world_roll(w, 3) == 0)
            fill(f, names[i], text(f, "第", world_roll(w, 6)));
    }
    if (f->n == 0)
        fill(f, "person_count", value_int((int64_t)world_roll(w, 5) + 1));
    *d = (struct draft){.kind = row->kind, .record = row->id, .op = OP_SET};
}

/* Elements come and go; each clerk changes the set he sees. */
static void edit_activity(struct world *w, const struct row *row, struct form *f, struct draft *d)
{
    static const char *const sets[] = {"brand", "brand,study", "party_life,study",
                                       "brand,party_life", "study"};

    f->kind = row->kind;
    fill(f, "function",
         (struct value){.type = V_SET, .s = slice_str(sets[world_roll(w, 5)])});
    if (world_roll(w, 2) == 0)
        fill(f, "theme", text(f, "主题", world_roll(w, 5)));
    *d = (struct draft){.kind = row->kind, .record = row->id, .op = OP_SET};
}

static void void_it(struct world *w, const struct row *row, struct form *f, struct draft *d)
{
    w->counts[SIM_VOID]++;
    f->kind = row->kind;
    fill(f, "voided", value_int(1));
    fill(f, "void_reason", value_str("重复登记"));
    *d = (struct draft){.kind = row->kind, .record = row->id, .op = OP_VOID};
}


/* What the form asks for then. */
static void fill_required(struct sim_replica *r, const struct transition *t, const struct row *row,
                          struct form *f)
{
    for (unsigned i = 0; t->required != NULL && t->required[i] != NULL; i++) {
        const struct field *field = t->required[i];

        if (!value_is_null(row_get(row, field->tag)))
            continue;
        if (field->type == FT_TEXT || field->type == FT_LONGTEXT)
            fill(f, field->name, value_str("已按规定办理，情况属实"));
        else if (field->type == FT_DATE)
            fill(f, field->name, value_str("2026-01-20"));
        else if (field->type == FT_BOOL)
            fill(f, field->name, value_int(1));
        else if (field->type == FT_ENUM)
            fill(f, field->name, value_str(field->codes->codes[0].code));
        else if (strcmp(field->name, "county_reviewer") == 0)
            fill(f, field->name, value_id(&r->owner));
    }
}

static void move_on(struct world *w, struct sim_replica *r, const struct row *row, struct form *f, struct draft *d)
{
    const struct kind *kind = row->kind;
    const struct transition *choice = NULL;
    unsigned seen = 0;

    f->kind = kind;
    for (unsigned i = 0; i < kind->n_transitions; i++) {
        const struct transition *t = &kind->transitions[i];

        if (t->from != NULL && slice_eq(row_state(row), slice_str(t->from)) &&
            world_roll(w, ++seen) == 0)
            choice = t;
    }
    if (choice == NULL) {
        void_it(w, row, f, d);
        return;
    }
    fill_required(r, choice, row, f);
    if (strcmp(choice->to, "submitted") == 0)
        w->counts[SIM_FORWARDED]++;
    *d = (struct draft){
        .kind = kind, .record = row->id, .op = OP_TRANSITION, .to = slice_str(choice->to)};
}

static struct record *pick_record(struct world *w, uint32_t site)
{
    struct record *found = NULL;
    unsigned seen = 0;

    for (unsigned i = 0; i < w->n_records; i++) {
        if (w->records[i].site == site && world_roll(w, ++seen) == 0)
            found = &w->records[i];
    }
    return found;
}

/* Which a city of an older catalogue does not know. */
static void new_historic_file(struct form *f, struct draft *d)
{
    f->kind = catalogue_kind_named("historic_file");
    fill(f, "file_name", value_str("2025年民意台账.xlsx"));
    fill(f, "target_kind", value_str("opinion"));
    *d = (struct draft){.kind = f->kind, .op = OP_CREATE, .to = slice_str("unconfirmed")};
}

static bool draft_change(struct world *w, struct sim_replica *r, struct form *f, struct draft *d)
{
    struct record *record = world_roll(w, 6) == 0 ? NULL : pick_record(w, r->site);
    struct row *row = NULL;
    uint64_t roll = world_roll(w, 100);

    if (record != NULL &&
        store_row_get(replica_store(r->r), f->a, record->kind, &record->id, &row, NULL) != 0)
        return false;
    if (row == NULL) {
        if (roll < 5)
            new_historic_file(f, d);
        else if (roll < 60)
            new_opinion(w, r, f, d);
        else if (roll < 80)
            new_activity(w, r, f, d);
        else
            new_submission(w, r, f, d);
    } else if (roll < 2) {
        void_it(w, row, f, d);
    } else if (roll < 35) {
        move_on(w, r, row, f, d);
    } else if (strcmp(row->kind->name, "opinion") == 0) {
        edit_opinion(w, row, f, d);
    } else if (strcmp(row->kind->name, "activity") == 0) {
        edit_activity(w, row, f, d);
    } else {
        move_on(w, r, row, f, d);
    }
    d->fields = f->fields;
    d->n_fields = f->n;
    return true;
}

/* What the author has before his eyes, field by field. */
static void look(struct sim_replica *r, struct arena *a, const struct draft *d,
                 struct edit *edits, unsigned *n)
{
    struct row *row = NULL;

    if (d->op != OP_CREATE)
        (void)store_row_get(replica_store(r->r), a, d->kind, &d->record, &row, NULL);
    for (size_t i = 0; i < d->n_fields && *n < 64; i++) {
        struct value nothing = value_null();
        const struct value *shown = row == NULL ? &nothing : row_get(row, d->fields[i].tag);

        edits[(*n)++] = (struct edit){.replica = r->no,
                                      .record = d->record,
                                      .tag = d->fields[i].tag,
                                      .shown = people_fingerprint(shown),
                                      .set = people_fingerprint(&d->fields[i].v)};
    }
}

static void remember(struct world *w, struct sim_replica *r, const struct draft *d, uint64_t n,
                     struct edit *edits, unsigned n_edits)
{
    for (unsigned i = 0; i < n_edits && w->n_edits < EDITS_MAX; i++) {
        edits[i].n = n;
        edits[i].record = d->record;
        w->edits[w->n_edits++] = edits[i];
    }
    if (d->op == OP_CREATE && w->n_records < RECORDS_MAX &&
        d->kind != catalogue_kind_named("attachment"))
        w->records[w->n_records++] =
            (struct record){.id = d->record, .kind = d->kind, .site = r->site};
}

/* The drafts as one act; with the file that they name to be sent, when there is one. */
static int write_act(struct world *w, struct sim_replica *r, struct arena *a, struct draft *d,
                     unsigned n, const struct blob_row *file, struct err *err)
{
    msec_t now = world_clock(w, r->skew);
    int ret;

    if (file == NULL)
        return replica_write(r->r, a, &r->owner, d, n, UINT64_MAX, now, err);
    ret = replica_write_begin(r->r, err);
    if (ret != 0)
        return ret;
    ret = replica_write(r->r, a, &r->owner, d, n, UINT64_MAX, now, err);
    if (ret == 0)
        ret = replica_blob_want(r->r, file, now, err);
    if (ret == 0)
        return replica_write_end(r->r, true, err);
    (void)replica_write_end(r->r, false, NULL); /* the first failure is the one to tell */
    return ret;
}

/* FILE: NULL when the act names none. */
static void keep_act(struct world *w, struct sim_replica *r, struct arena *a, struct draft *d,
                     unsigned n, const struct blob_row *file)
{
    struct edit edits[2][64];
    unsigned n_edits[2] = {0, 0};
    struct replica_facts f;
    struct statement before;
    struct err err = {.ret = 0};
    bool loading = false;
    int ret;

    if (replica_says(r->r, &before, NULL) != 0)
        return; /* a disk that fails: nothing can be done just now */
    if (r->late)
        (void)replica_loading(r->r, r->site, &loading, NULL); /* a disk that fails shows below */
    w->counts[SIM_EARLY_ACT] += loading;
    for (unsigned i = 0; i < n; i++)
        look(r, a, &d[i], edits[i], &n_edits[i]);
    ret = write_act(w, r, a, d, n, file, &err);
    if (ret != 0) {
        bool disk = computers_excuse(r->disk, ret);

        w->counts[disk ? SIM_NOT_KEPT : SIM_LOCAL_REFUSED]++;
        if (w->switched_off[place_of(r->site)] && !disk)
            r->owner = r->clerk; /* he may have learnt it just now */
        world_say(w, "replica %u: not taken: %s %s", r->no, err_code(ret), err.text);
        if (!disk && (ret == E_INTERNAL || ret == E_CORRUPT || ret == E_IO || ret == E_FULL))
            world_fail(w, "a replica cannot write: %s", err.text);
        return;
    }
    ret = replica_facts(r->r, &f, &err);
    if (ret != 0 && computers_excuse(r->disk, ret)) {
        r->durable_n++; /* at least the first of them */
        return;
    }
    if (ret != 0)
        world_fail(w, "no facts: %s", err.text);
    r->durable_n = f.own_n;
    if (f.own_n == before.own_n)
        return; /* it says what is there already */
    w->counts[SIM_ACT]++;
    if (file != NULL)
        blobs_attached(w);
    w->counts[SIM_MULTI] += n > 1;
    for (unsigned i = 0; i < n; i++)
        remember(w, r, &d[i], f.own_n - n + 1 + i, edits[i], n_edits[i]);
    world_say(w, "replica %u: act %llu (%s op %d)", r->no,
              (unsigned long long)f.own_n, d[0].kind->name, (int)d[0].op);
    network_local(w, r);
}

struct decide {
    struct arena *a;
    struct id conflict, target;
    const struct kind *kind;
    uint32_t tag;
    struct value v;
    bool found;
};

static int first_conflict(void *ctx, const struct conflict_row *c)
{
    struct decide *d = ctx;
    bool ok = true;

    if (c->target == NULL || c->waits || d->found)
        return 0;
    d->found = true;
    d->conflict = c->conflict->id;
    d->target = c->target->id;
    d->kind = c->target->kind;
    d->tag = c->field == NULL ? 0 : c->field->tag;
    d->v = value_dup(d->a, &c->later, &ok);
    return 0;
}

/* A person decides: the later value, or what stands. */
static bool resolve(struct world *w, struct sim_replica *r, struct arena *a)
{
    struct decide d = {.a = a};
    struct form f[2] = {{.a = a}, {.a = a}};
    struct draft drafts[2];
    struct err err = {.ret = 0};
    unsigned n = 0;
    int ret;

    ret = replica_conflicts(r->r, first_conflict, &d, &err);
    if (ret != 0 && !computers_excuse(r->disk, ret))
        world_fail(w, "conflicts cannot be shown: %s", err.text);
    if (ret != 0)
        return false;
    if (!d.found)
        return false;
    if (d.tag != 0 && world_roll(w, 2) == 0 && d.v.type != V_SEALED && d.v.type != V_ERASED) {
        f[0].kind = d.kind;
        fill(&f[0], kind_field(d.kind, d.tag)->name, d.v);
        drafts[n++] = (struct draft){.kind = d.kind, .record = d.target, .op = OP_SET,
                                     .fields = f[0].fields, .n_fields = f[0].n};
    }
    f[1].kind = catalogue_kind_named("conflict");
    fill(&f[1], "winner", value_str(n > 0 ? "later" : "stands"));
    drafts[n++] = (struct draft){.kind = f[1].kind, .record = d.conflict, .op = OP_TRANSITION,
                                 .to = slice_str("resolved"), .fields = f[1].fields,
                                 .n_fields = f[1].n};
    keep_act(w, r, a, drafts, n, NULL);
    w->counts[SIM_RESOLVED]++;
    return true;
}

/* Somebody adds a file to a record. */
static bool attach(struct world *w, struct sim_replica *r, struct arena *a)
{
    struct record *record = w->blobs == NULL ? NULL : pick_record(w, r->site);
    struct row *row = NULL;
    struct blob_row file;
    struct draft d;

    if (record == NULL ||
        store_row_get(replica_store(r->r), a, record->kind, &record->id, &row, NULL) != 0 ||
        row == NULL || !blobs_attach(w, r, a, row, &d, &file))
        return false;
    keep_act(w, r, a, &d, 1, &file);
    return true;
}

/* One deed of a clerk. */
static void do_something(struct world *w, struct sim_replica *r, struct arena *a)
{
    struct form f[2];
    struct draft d[2];
    unsigned n = 1;

    if ((world_roll(w, 12) == 0 && resolve(w, r, a)) || attach(w, r, a))
        return;
    memset(f, 0, sizeof f);
    f[0].a = f[1].a = a;
    if (!draft_change(w, r, &f[0], &d[0]))
        return;
    if (world_roll(w, 5) == 0) {
        new_opinion(w, r, &f[1], &d[1]);
        d[1].fields = f[1].fields;
        d[1].n_fields = f[1].n;
        n = 2;
    }
    keep_act(w, r, a, d, n, NULL);
}

void people_act_once(struct world *w, void *subject)
{
    struct sim_replica *r = subject;
    struct arena a;

    if (w->acts_left == 0 || r->r == NULL || (r->restored && r->returns))
        return;
    w->acts_left--;
    arena_init(&a, ACT_ARENA);
    do_something(w, r, &a);
    arena_release(&a);
    if (r->r != NULL)
        blobs_fetch(w, r);
    if (world_roll(w, 6) == 0)
        writer_city_act(w);
}

void people_act(struct world *w, void *subject)
{
    if (w->acts_left == 0)
        return;
    world_at(w, 20 + world_roll(w, 3000), people_act, subject);
    people_act_once(w, subject);
}

/* ---- officers ---- */

static int nth_submission(void *ctx, struct row *row)
{
    struct decide *d = ctx;

    if (!row_in_state(row, "submitted") && !row_in_state(row, "received"))
        return 0;
    d->found = true;
    d->target = row->id;
    d->tag = row_in_state(row, "received");
    return 1;
}

int people_city_act(struct world *w, struct arena *a)
{
    const struct kind *kind = catalogue_kind_named("submission");
    struct decide d = {.a = a};
    struct form f = {.a = a, .kind = kind};
    struct change c = {.op = OP_TRANSITION, .kind = kind->tag, .seen = UINT64_MAX >> 1};
    struct act act = {.changes = &c, .n = 1};
    struct err err = {.ret = 0};
    int ret;

    ret = store_row_each(city_store(w->city), kind, nth_submission, &d, &err);
    if (ret >= 0 && d.found)
        ret = city_actor(w->city, CITY_ACCOUNT_LOGIN, &act.actor, &err);
    if (ret < 0 || !d.found)
        return ret < 0 ? ret : 0;
    if (d.tag == 0) {
        fill(&f, "received_by", value_str("王干事"));
        c.from = slice_str("submitted");
        c.to = slice_str("received");
    } else if (world_roll(w, 3) == 0) {
        fill(&f, "return_reason", value_str("请补充地点"));
        c.from = slice_str("received");
        c.to = slice_str("returned");
    } else {
        fill(&f, "route_target", value_str("office"));
        c.from = slice_str("received");
        c.to = slice_str("routed_office");
    }
    c.record = d.target;
    c.fields = f.fields;
    c.n_fields = f.n;
    ret = city_act(w->city, &act, &err);
    world_say(w, "city: %.*s: %s", (int)c.to.len, (const char *)c.to.p, ret == 0 ? "ok" : err.text);
    if (ret == 0)
        w->counts[SIM_CITY_ACT]++;
    return ret;
}
