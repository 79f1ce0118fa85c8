/* What city users and operators write: each one act (an import: one act a row), all or nothing. */
#include "server/admin/admin.h"

#include "common/base/log.h"
#include "common/cmd/import.h"
#include "common/cmd/settings.h"
#include "common/cmd/width.h"
#include "common/crypto/hash.h"
#include "common/wire/token.h"
#include "server/net/uv_enrol_port.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define TTL_PRESET  (24u * 3600u * 1000u)
#define TTL_MAX     (31u * 24u * 3600u * 1000ull)
#define LINE_BYTES  (1u << 16)
#define LOGINS_MAX  32
#define ROW_MEMORY  (64u << 20)

/* ---- who acts ---- */

struct logins {
    struct slice at[LOGINS_MAX];
    size_t n;
    struct arena *arena;
};

static int add_login(void *ctx, struct row *row)
{
    struct logins *l = ctx;
    struct slice login = row_text(row, "login");

    if (row->stream != STREAM_CITY || row_int(row, "active") != 1 || l->n == LOGINS_MAX)
        return 0;
    login.p = arena_dup(l->arena, login.p, login.len);
    if (login.p == NULL)
        return E_NOMEM;
    l->at[l->n++] = login;
    return 0;
}

static int several(struct deed *d, const struct logins *l)
{
    struct buf text;
    int ret;

    buf_init(&text, LINE_BYTES);
    for (size_t i = 0; i < l->n; i++) {
        buf_str(&text, i > 0 ? "、" : "");
        buf_put(&text, l->at[i].p, l->at[i].len);
    }
    ret = err_set(d->err, E_USAGE, "请用 --as 写明以哪个账户办理：%s", buf_cstr(&text));
    buf_release(&text);
    return ret;
}

/* The account that --as names, or the only one. */
int deed_actor(struct deed *d, struct actor *ret)
{
    const char *as = args_text(d->args, OPT_AS);
    struct logins l = {.arena = d->args->arena};
    const char *login;
    int status;

    if (as != NULL)
        return city_actor(d->city, as, ret, d->err);
    status = store_row_each(city_store(d->city), catalogue_kind_named("user_account"), add_login,
                            &l, d->err);
    if (status != 0)
        return status;
    if (l.n == 0)
        return err_set(d->err, E_USAGE, "市级还没有账户，请先用 ztcd user add 登记");
    if (l.n > 1)
        return several(d, &l);
    login = arena_strndup(l.arena, l.at[0].p, l.at[0].len);
    return login == NULL ? E_NOMEM : city_actor(d->city, login, ret, d->err);
}

/* ---- one act ---- */

static int write_act(struct deed *d, struct change *c, const struct actor *actor)
{
    struct act act = {.changes = c, .n = 1, .actor = *actor};

    c->seen = UINT64_MAX >> 1; /* a command looks at the present */
    return city_act(d->city, &act, d->err);
}

/* The record's id and serial number; its id alone with --quiet; the whole of it with --json. */
static int tell(struct deed *d, const struct change *c)
{
    struct row *row = NULL;
    char id[ID_TEXT_SIZE];
    struct slice serial;
    int ret;

    id_format(&c->record, id);
    if (args_has(d->args, OPT_QUIET)) {
        (void)fprintf(d->args->out, "%s\n", id);
        return 0;
    }
    names_clear(&d->names);
    ret = store_row_get(d->view.store, d->args->arena, catalogue_kind(c->kind), &c->record, &row,
                        d->err);
    if (ret != 0 || row == NULL)
        return ret;
    if (d->args->json)
        return show_record(&d->view, row, d->err);
    serial = row_get(row, TAG_SERIAL)->s;
    (void)fprintf(d->args->out, "%s%s%.*s\n", id, serial.len > 0 ? " " : "", (int)serial.len,
                  serial.len > 0 ? (const char *)serial.p : "");
    return 0;
}

static int take_pairs(struct deed *d, struct change *c, const struct row *before,
                      const struct pair *pairs, size_t n)
{
    struct edit e = {.n = 0};
    int ret = edit_pairs(&e, &d->names, d->args->arena, catalogue_kind(c->kind), before, pairs, n,
                         d->err);

    c->fields = e.fields;
    c->n_fields = e.n;
    return ret;
}

static int take_words(struct deed *d, struct change *c, const struct row *before, unsigned from)
{
    struct pair *pairs;
    size_t n;
    int ret = args_word_pairs(d->args, from, &pairs, &n, d->err);

    return ret != 0 ? ret : take_pairs(d, c, before, pairs, n);
}

/* The state that records of KIND begin in; empty where they have none. */
static struct slice first_state(const struct kind *kind)
{
    for (unsigned i = 0; i < kind->n_transitions; i++) {
        if (kind->transitions[i].from == NULL)
            return slice_str(kind->transitions[i].to);
    }
    return (struct slice){NULL, 0};
}

int deed_add(struct deed *d)
{
    struct change c = {.op = OP_CREATE};
    const struct kind *kind;
    struct actor actor;
    int ret = kind_to_add("ztcd", d->args->words[0], &kind, d->err);

    if (ret == 0)
        ret = deed_actor(d, &actor);
    if (ret != 0)
        return ret;
    c.kind = kind->tag;
    c.to = first_state(kind);
    c.stream = kind->stream == STREAM_RULE_SITE_OR_CITY ? STREAM_CITY : 0;
    ret = take_words(d, &c, NULL, 1);
    if (ret == 0)
        ret = write_act(d, &c, &actor);
    return ret != 0 ? ret : tell(d, &c);
}

int deed_set(struct deed *d)
{
    struct change c = {.op = OP_SET};
    struct actor actor;
    struct row *row;
    int ret = deed_actor(d, &actor);

    if (ret == 0)
        ret = store_resolve(d->view.store, d->args->arena, NULL, slice_str(d->args->words[0]),
                            &row, d->err);
    if (ret != 0)
        return ret;
    c.kind = row->kind->tag;
    c.record = row->id;
    ret = take_words(d, &c, row, 1);
    if (ret == 0 && c.n_fields > 0) /* what a record holds already is no deed */
        ret = write_act(d, &c, &actor);
    return ret != 0 ? ret : tell(d, &c);
}

static bool is_word(const char *word, const char *code, const char *label)
{
    return strcmp(word, code) == 0 || strcmp(word, label) == 0;
}

/* TAG_VOIDED before the reason, if one was given: fields ascend by tag. */
static int put_voided(struct deed *d, struct change *c)
{
    struct field_change *fields = arena_alloc(d->args->arena, (c->n_fields + 1) * sizeof *fields);
    size_t n = 0;

    if (fields == NULL)
        return E_NOMEM;
    for (size_t i = 0; i < c->n_fields && c->fields[i].tag < TAG_VOIDED; i++)
        fields[n++] = c->fields[i];
    fields[n] = (struct field_change){
        .tag = TAG_VOIDED, .form = FORM_SET, .v = value_int(c->op == OP_VOID ? 1 : 0)};
    for (size_t i = n; i < c->n_fields; i++)
        fields[i + 1] = c->fields[i];
    c->fields = fields;
    c->n_fields++;
    return 0;
}

/* A state's code, or the action's label turned into it. */
static int take_action(struct deed *d, struct change *c, const struct row *row, const char *word)
{
    const struct transition *t;
    char *from;

    if (is_word(word, "void", "作废") || is_word(word, "unvoid", "恢复")) {
        c->op = is_word(word, "void", "作废") ? OP_VOID : OP_UNVOID;
        return put_voided(d, c);
    }
    c->op = OP_TRANSITION;
    c->from = row_state(row);
    c->to = slice_str(word);
    from = arena_strndup(d->args->arena, c->from.p, c->from.len);
    if (from == NULL)
        return E_NOMEM;
    t = transition_find(row->kind, from, c->to);
    if (t != NULL)
        c->to = slice_str(t->to);
    return 0;
}

int deed_do(struct deed *d)
{
    struct change c = {.op = OP_TRANSITION};
    struct actor actor;
    struct row *row;
    int ret = deed_actor(d, &actor);

    if (ret == 0)
        ret = store_resolve(d->view.store, d->args->arena, NULL, slice_str(d->args->words[1]),
                            &row, d->err);
    if (ret != 0)
        return ret;
    c.kind = row->kind->tag;
    c.record = row->id;
    ret = take_words(d, &c, row, 2);
    if (ret == 0)
        ret = take_action(d, &c, row, d->args->words[0]);
    if (ret == 0)
        ret = write_act(d, &c, &actor);
    return ret != 0 ? ret : tell(d, &c);
}

/* ---- accounts: by the directory's permissions ---- */

int deed_user_add(struct deed *d)
{
    const struct kind *kind = catalogue_kind_named("user_account");
    struct change c = {.op = OP_CREATE, .kind = kind->tag, .stream = STREAM_CITY};
    /* Nobody's account, yet judged like a person's deed: one login once, roles of this side. */
    struct actor keeper = {.roles = role_bit(slice_str("sec_admin")),
                           .side = SIDE_CITY,
                           .site = SITE_CITY};
    const char *name = args_text(d->args, OPT_NAME), *role = args_text(d->args, OPT_ROLE);
    struct pair *pairs, *all;
    bool named = name != NULL;
    size_t n;
    int ret = args_word_pairs(d->args, 1, &pairs, &n, d->err);

    if (ret != 0)
        return ret;
    all = arena_alloc(d->args->arena, (n + 3) * sizeof *all);
    if (all == NULL)
        return E_NOMEM;
    for (size_t i = 0; i < n; i++) {
        all[i] = pairs[i];
        named = named || is_word(pairs[i].name, "name", "姓名");
    }
    all[n++] = (struct pair){"login", slice_str(d->args->words[0])};
    if (name != NULL || !named)
        all[n++] = (struct pair){"name", slice_str(name != NULL ? name : d->args->words[0])};
    if (role != NULL)
        all[n++] = (struct pair){"role", slice_str(role)};
    ret = take_pairs(d, &c, NULL, all, n);
    if (ret == 0)
        ret = write_act(d, &c, &keeper);
    return ret != 0 ? ret : tell(d, &c);
}

/* ---- tokens ---- */

/* 24h, 7d, 90m; a number alone is hours. */
static int parse_ttl(const char *text, uint64_t *ret_ms, struct err *err)
{
    char *end;
    unsigned long long n = strtoull(text, &end, 10);
    uint64_t unit = *end == 'd' ? 24 * 3600000ull : *end == 'm' ? 60000ull
                  : *end == 's' ? 1000ull : 3600000ull;

    if (end == text || (*end != '\0' && (strchr("hdms", *end) == NULL || end[1] != '\0')) ||
        text[0] == '-' || n == 0 || n > TTL_MAX / unit)
        return err_set(err, E_USAGE, "--ttl 应写成 24h、7d 或 90m，最长 31 天");
    *ret_ms = n * unit;
    return 0;
}

static int check_site(struct deed *d, const char *text, uint32_t *ret_site)
{
    const struct kind *sites = catalogue_kind_named("site");
    struct value v = value_str(text);
    struct row **rows;
    size_t n;
    int ret = store_row_find(d->view.store, d->args->arena, sites,
                             kind_field_named(sites, "code")->tag, &v, &rows, &n, d->err);

    if (ret == 0 && n == 0)
        return err_set(d->err, E_USAGE, "没有代码为“%s”的县市区", text);
    if (ret == 0)
        *ret_site = (uint32_t)strtoul(text, NULL, 10);
    return ret;
}

static int fill_token(struct deed *d, struct token *t)
{
    struct random random = random_system();
    char host[HOST_MAX];
    uint16_t port;
    int ret = home_told(d->home, "listen", host, &port, d->err); /* told on enrolling */

    if (ret == 0)
        ret = home_told(d->home, "enrol_listen", host, &port, d->err);
    if (ret != 0)
        return ret;
    random_fill(&random, t->secret, sizeof t->secret);
    daemon_address(t->addresses[0], sizeof t->addresses[0], host, port);
    t->n_addresses = 1;
    cert_fingerprint(d->home->authorities->at[0].ca, t->ca_fingerprint);
    return 0;
}

int deed_enrol(struct deed *d)
{
    const char *site = args_text(d->args, OPT_SITE), *ttl = args_text(d->args, OPT_TTL);
    struct token t = {.expires_at = d->now};
    uint8_t hash[HASH_SIZE];
    uint64_t ms = TTL_PRESET;
    struct buf text;
    int ret;

    if (site == NULL)
        return err_set(d->err, E_USAGE, "请用 --site 写明县市区代码");
    ret = check_site(d, site, &t.site);
    if (ret == 0 && ttl != NULL)
        ret = parse_ttl(ttl, &ms, d->err);
    if (ret == 0)
        ret = fill_token(d, &t);
    if (ret != 0)
        return ret;
    t.expires_at += ms;
    enrol_secret_hash((struct slice){t.secret, sizeof t.secret}, hash);
    ret = city_token_add(d->city, t.site, hash, t.expires_at, d->err);
    if (ret != 0)
        return ret;
    buf_init(&text, TOKEN_TEXT_MAX);
    token_print(&text, &t);
    if (d->args->json)
        (void)fprintf(d->args->out, "{\"token\":\"%s\",\"expires_at\":%" PRIu64 "}\n",
                      buf_cstr(&text), t.expires_at);
    else
        (void)fprintf(d->args->out, "%s\n", buf_cstr(&text));
    ret = text.ret;
    buf_release(&text);
    return ret;
}

/* ---- settings ---- */

struct wanted {
    const char *name;
    struct value site;
    struct row *row; /* what is in force, in the arguments' arena; NULL: nothing */
    struct arena *arena;
};

static int match_setting(void *ctx, struct row *row)
{
    struct wanted *w = ctx;

    if (row_voided(row) || !slice_eq(row_text(row, "name"), slice_str(w->name)) ||
        !value_eq(row_named(row, "for_site"), &w->site))
        return 0;
    w->row = row_dup(w->arena, row);
    return w->row != NULL ? 0 : E_NOMEM;
}

static void put_field(struct change *c, const char *name, struct value v)
{
    c->fields[c->n_fields++] =
        (struct field_change){.tag = kind_field_named(catalogue_kind(c->kind), name)->tag,
                              .form = FORM_SET,
                              .v = v};
}

/* A change of the record in force, or a first record; the same value again is no deed. */
static int write_setting(struct deed *d, const struct wanted *w, int64_t value,
                         const struct actor *actor)
{
    const char *note = args_text(d->args, OPT_NOTE);
    struct field_change fields[4];
    struct change c = {.op = w->row != NULL ? OP_SET : OP_CREATE,
                       .kind = catalogue_kind_named("setting")->tag,
                       .fields = fields};
    bool same = w->row != NULL && row_int(w->row, "value") == value;
    int ret = 0;

    if (w->row != NULL) {
        c.record = w->row->id;
    } else {
        put_field(&c, "name", value_str(w->name));
        if (w->site.type != V_NULL)
            put_field(&c, "for_site", w->site);
    }
    if (!same)
        put_field(&c, "value", value_int(value));
    if (note != NULL)
        put_field(&c, "note", value_str(note));
    if (c.n_fields > 0)
        ret = write_act(d, &c, actor);
    return ret != 0 ? ret : tell(d, &c);
}

int deed_setting_set(struct deed *d)
{
    const char *site = args_text(d->args, OPT_SITE);
    struct wanted w = {.site = site != NULL ? value_str(site) : value_null(),
                       .arena = d->args->arena};
    const struct setting_info *info;
    struct actor actor;
    struct pair *pair;
    uint32_t code;
    int64_t value;
    size_t n;
    int ret = args_word_pairs(d->args, 0, &pair, &n, d->err);

    if (ret == 0 && site != NULL)
        ret = check_site(d, site, &code);
    if (ret == 0)
        ret = deed_actor(d, &actor);
    if (ret != 0)
        return ret;
    info = settings_named(pair->name);
    if (info == NULL)
        return err_set(d->err, E_USAGE, "没有设置项“%s”，请看 ztcd setting list", pair->name);
    w.name = info->name;
    ret = settings_parse(info, pair->value, &value, d->err);
    if (ret == 0)
        ret = store_row_each(d->view.store, catalogue_kind_named("setting"), match_setting, &w,
                             d->err);
    return ret != 0 ? ret : write_setting(d, &w, value, &actor);
}

/* ---- historic files ---- */

/* One entry, however many records the file has. */
static int confirm(struct deed *d, const struct row *file, const struct actor *actor)
{
    const char *text = args_text(d->args, OPT_NOTE);
    struct field_change fields[1];
    struct change c = {.op = OP_TRANSITION,
                       .kind = file->kind->tag,
                       .record = file->id,
                       .from = row_state(file),
                       .to = slice_str("confirmed"),
                       .fields = fields};
    int ret;

    if (row_in_state(file, "unconfirmed") && value_is_null(row_named(file, "row_count")))
        return err_set(d->err, E_STATE, "这个补录文件的记录还没有全部传到市级，请稍后再确认");
    if (text != NULL)
        put_field(&c, "confirm_note", value_str(text));
    ret = write_act(d, &c, actor);
    return ret != 0 ? ret : tell(d, &c);
}

int deed_historic_confirm(struct deed *d)
{
    struct actor actor;
    struct row *file;
    int ret = deed_actor(d, &actor);

    if (ret == 0)
        ret = store_resolve(d->view.store, d->args->arena, catalogue_kind_named("historic_file"),
                            slice_str(d->args->words[0]), &file, d->err);
    return ret != 0 ? ret : confirm(d, file, &actor);
}

/* ---- replicas ---- */

struct search {
    const char *prefix; /* hex digits without hyphens */
    struct id id;
    unsigned n;
};

static int match_replica(void *ctx, const struct replica_row *r)
{
    struct search *s = ctx;
    char text[ID_TEXT_SIZE], plain[2 * ID_SIZE + 1];
    size_t n = 0;

    id_format(&r->id, text);
    for (const char *p = text; *p != '\0'; p++) {
        if (*p != '-')
            plain[n++] = *p;
    }
    plain[n] = '\0';
    if (strncmp(plain, s->prefix, strlen(s->prefix)) == 0) {
        s->id = r->id;
        s->n++;
    }
    return 0;
}

int deed_find_replica(struct deed *d, const char *word, struct id *ret)
{
    char plain[2 * ID_SIZE + 1];
    struct search s = {.prefix = plain};
    size_t n = 0;
    int status;

    for (; *word != '\0' && n < sizeof plain - 1; word++) {
        if (*word != '-')
            plain[n++] = *word;
    }
    plain[n] = '\0';
    status = city_replica_each(d->city, match_replica, &s, d->err);
    if (status != 0)
        return status;
    if (s.n != 1 || n < 6)
        return err_set(d->err, s.n > 1 || n < 6 ? E_INVALID : E_NOTFOUND,
                       s.n > 1   ? "有几台计算机的标识以“%s”开头"
                       : n < 6   ? "标识“%s”太短，至少写 6 位"
                                 : "没有标识为“%s”的计算机",
                       plain);
    *ret = s.id;
    return 0;
}

static int end_session(void *ctx, const struct id *id)
{
    struct daemon_effects *effects = ctx;

    if (effects->n_ended < DAEMON_ENDED_MAX)
        effects->ended[effects->n_ended++] = *id;
    return 0;
}

static int set_state(struct deed *d, const struct id *id, bool retired, bool only)
{
    int ret = only ? city_replica_retire(d->city, id, d->err)
                   : city_replica_set_state(d->city, id, retired ? REPLICA_RETIRED : REPLICA_LOST, d->err);

    if (ret == 0 && !only)
        ret = city_successors_each(d->city, id, end_session, d->effects, d->err);
    if (ret == 0)
        ret = end_session(d->effects, id);
    d->effects->cause = retired ? E_CLOSED : E_REVOKED; /* a retired one comes back to hand in */
    return ret;
}

int deed_revoke(struct deed *d)
{
    bool retired = args_has(d->args, OPT_RETIRED), only = args_has(d->args, OPT_ONLY);
    char text[ID_TEXT_SIZE];
    struct id id;
    int ret;

    if (retired && args_has(d->args, OPT_LOST))
        return err_set(d->err, E_USAGE, "--retired 和 --lost 只能写一个");
    if (only && !retired)
        return err_set(d->err, E_USAGE,
                       "--only 与 --retired 并用；遗失的，由它换身份而来的一并撤销");
    ret = deed_find_replica(d, d->args->words[0], &id);
    if (ret == 0)
        ret = set_state(d, &id, retired, only);
    if (ret != 0)
        return ret;
    id_format(&id, text);
    if (d->args->json)
        (void)fprintf(d->args->out, "{\"id\":\"%s\",\"state\":\"%s\"}\n", text,
                      retired ? "retired" : "lost");
    else
        (void)fprintf(d->args->out, "已撤销 %s\n", text);
    return 0;
}

/* ---- import ---- */

struct importing {
    struct deed *d;
    const struct import_options *o;
    struct actor actor;
    struct arena a; /* one row */
};

static int write_row(void *ctx, const struct import_row *row, struct err *err)
{
    struct importing *im = ctx;
    const struct kind *kind = im->o->kind;
    struct change c = {.op = row->before != NULL ? OP_SET : OP_CREATE,
                       .kind = kind->tag,
                       .to = row->state,
                       .seen = UINT64_MAX >> 1};
    struct act act = {.changes = &c, .n = 1, .actor = im->actor};
    size_t n = row->n_fields;

    arena_clear(&im->a);
    c.fields = arena_alloc(&im->a, (n + 1) * sizeof *c.fields);
    if (c.fields == NULL)
        return E_NOMEM;
    if (n > 0)
        memcpy(c.fields, row->fields, n * sizeof *c.fields);
    if (im->o->historic && row->before == NULL)
        c.fields[n++] =
            (struct field_change){.tag = TAG_HISTORIC, .form = FORM_SET, .v = value_int(1)};
    c.n_fields = n;
    if (row->before == NULL && c.to.len == 0)
        c.to = first_state(kind);
    if (row->before != NULL)
        c.record = row->before->id;
    else if (kind->stream == STREAM_RULE_SITE_OR_CITY)
        c.stream = STREAM_CITY;
    return city_act(im->d->city, &act, err);
}

static void print_problems(const struct args *a, const struct import_report *r)
{
    struct buf line, plain;
    struct json j;

    buf_init(&line, LINE_BYTES);
    buf_init(&plain, LINE_BYTES);
    json_init(&j, a->detail);
    if (a->json) {
        json_key(&j, "problems");
        json_array(&j);
    }
    for (size_t i = 0; i < r->n_kept; i++) {
        const struct import_problem *p = &r->problems[i];

        if (a->json) {
            json_object(&j);
            json_kv_uint(&j, "row", p->row);
            json_kv_str(&j, "column", p->column);
            json_kv_str(&j, "reason", p->reason);
            json_object_end(&j);
            continue;
        }
        buf_clear(&line);
        buf_clear(&plain);
        import_problem_put(&line, p);
        text_plain(&plain, buf_slice(&line), false);
        (void)fprintf(a->out, "%s\n", buf_cstr(&plain));
    }
    if (a->json) {
        json_array_end(&j);
        json_kv_str(&j, "ignored", r->ignored);
    }
    buf_release(&line);
    buf_release(&plain);
}

static void print_ignored(const struct args *a, const struct import_report *r)
{
    struct buf line;

    buf_init(&line, LINE_BYTES);
    import_ignored_put(&line, r);
    (void)fputs(buf_cstr(&line), a->out);
    buf_release(&line);
}

static int finish_import(struct deed *d, const struct import_report *r)
{
    const struct args *a = d->args;
    bool dry = args_has(a, OPT_DRY_RUN);

    if (!a->json)
        print_ignored(a, r);

    if (r->n_problems > 0) {
        print_problems(a, r);
        return err_set(d->err, E_INVALID, "表中有 %zu 处问题，未写入任何内容", r->n_problems);
    }
    d->effects->undo = dry;
    if (a->json)
        (void)fprintf(a->out,
                      "{\"rows\":%" PRIu64 ",\"added\":%" PRIu64 ",\"changed\":%" PRIu64
                      ",\"unchanged\":%" PRIu64 ",\"dry_run\":%s}\n",
                      r->n_rows, r->n_new, r->n_changed, r->n_same, dry ? "true" : "false");
    else
        (void)fprintf(a->out,
                      "%s%" PRIu64 " 行：新增 %" PRIu64 "，更新 %" PRIu64 "，未变 %" PRIu64 "\n",
                      dry ? "检查通过，未写入。" : "已导入 ", r->n_rows, r->n_new, r->n_changed,
                      r->n_same);
    return 0;
}

int deed_import(struct deed *d)
{
    struct import_options o = {.path = d->args->words[1],
                               .historic = args_has(d->args, OPT_HISTORIC)};
    struct importing im = {.d = d, .o = &o};
    struct import_report report;
    struct pair *map, *set;
    int ret = kind_to_add("ztcd", d->args->words[0], &o.kind, d->err);

    if (ret == 0)
        ret = deed_actor(d, &im.actor);
    if (ret == 0)
        ret = args_option_pairs(d->args, OPT_MAP, &map, &o.n_map, d->err);
    if (ret == 0)
        ret = args_option_pairs(d->args, OPT_SET, &set, &o.n_set, d->err);
    if (ret != 0)
        return ret;
    o.map = map;
    o.set = set;
    arena_init(&im.a, ROW_MEMORY);
    import_report_init(&report);
    ret = import_read(&o, &d->names, write_row, &im, &report, d->err);
    if (ret == 0)
        ret = finish_import(d, &report);
    import_report_release(&report);
    arena_release(&im.a);
    return ret;
}

/* ---- upkeep ---- */

int deed_rebuild(struct deed *d)
{
    int ret = city_rebuild(d->city, d->err);

    if (ret == 0)
        (void)fprintf(d->args->out, d->args->json ? "{\"rebuilt\":true}\n" : "已由日志重建全部表\n");
    return ret;
}
