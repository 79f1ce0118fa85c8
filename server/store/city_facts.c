/* What the judge may ask about the past, answered from the store. */
#include "common/base/mem.h"
#include "server/store/city_internal.h"

#include <string.h>

#define ENTRY_MAX (4u * ACT_MAX_BYTES)

static struct known *known_slot(struct city *c, const struct known *record)
{
    uint64_t key = 0;

    for (int i = 8; i < ID_SIZE; i++) /* the random half of a UUIDv7 */
        key = key << 8 | record->id.b[i];
    key ^= ((uint64_t)record->stream << 32 | record->kind) * 0x9e3779b97f4a7c15u;
    return &c->known[key % KNOWN_SLOTS];
}

static int prepare_exists(struct city *c, unsigned at, struct err *err)
{
    char text[160];

    (void)sqlite3_snprintf(sizeof text, text,
                           "SELECT 1 FROM \"%w\" WHERE rid = ?1 AND (stream IN (?2, %u) OR ?2 = %u)",
                           catalogue_kinds[at]->name, STREAM_SHARED, STREAM_CITY);
    return sql_prepare(c->db, text, &c->exists[at], err);
}

void city_failed(struct city *c, int ret)
{
    if (ret < 0 && c->asked == 0)
        c->asked = ret;
}

static bool exists(void *ctx, const struct kind *kind, const struct id *id, uint32_t stream)
{
    struct city *c = ctx;
    struct known record = {.id = *id, .kind = kind->tag, .stream = stream};
    struct known *slot = known_slot(c, &record);
    unsigned at = 0;
    int ret = 0;

    if (slot->kind == record.kind && slot->stream == stream && id_eq(&slot->id, id))
        return true;
    while (catalogue_kinds[at] != kind)
        at++;
    if (c->exists[at] == NULL)
        ret = prepare_exists(c, at, NULL);
    if (ret == 0) {
        sql_bind_id(c->exists[at], 1, id);
        sql_bind_int(c->exists[at], 2, stream);
        ret = sql_step(c->exists[at], NULL);
        sql_done(c->exists[at]);
    }
    city_failed(c, ret);
    if (ret == 1)
        *slot = record;
    return ret == 1;
}

/* The entry at SEQ answers a change that the present replica has from its predecessor. */
static bool is_inherited(struct city *c, uint64_t seq, struct slice bytes)
{
    sqlite3_stmt *st = c->st[CS_PROCESSED_GET];
    struct rd r = rd_of((struct slice){bytes.p + 1 + ID_SIZE, bytes.len - 1 - ID_SIZE});
    uint64_t n = rd_varint(&r);
    int ret;

    if (r.bad || n > c->replica.base)
        return false;
    sql_bind_int(st, 1, POS(c->replica.no, n));
    ret = sql_step(st, NULL);
    city_failed(c, ret);
    ret = ret == 1 && (uint64_t)sqlite3_column_int64(st, 0) == seq;
    sql_done(st);
    return ret != 0;
}

/* Byte 1 to 16 of the author's bytes is the replica, its n follows: common/ledger/change.h. */
static bool is_author(void *ctx, uint64_t seq, const struct id *replica)
{
    struct city *c = ctx;
    struct arena a; /* many may be asked for in one act */
    struct entry e;
    bool is;
    int ret;

    arena_init(&a, ENTRY_MAX);
    ret = store_entry_get(c->store, c->act_stream, seq, &a, &e, NULL);
    city_failed(c, ret);
    is = ret == 0 && e.bytes.len > ID_SIZE && memcmp(e.bytes.p + 1, replica->b, ID_SIZE) == 0;
    if (ret == 0 && !is && e.bytes.len > 1 + ID_SIZE && c->replica.base > 0 &&
        id_eq(replica, &c->replica.id))
        is = is_inherited(c, seq, e.bytes);
    arena_release(&a);
    return is;
}

static int read_withheld(struct city *c, uint64_t seq, uint32_t tag, bool *ret)
{
    struct verdict v;
    struct arena a;
    struct entry e;
    int status;

    arena_init(&a, ENTRY_MAX);
    status = store_entry_get(c->store, c->act_stream, seq, &a, &e, NULL);
    if (status == 0)
        status = city_damaged(verdict_decode(&a, e.verdict, &v));
    if (status == 0)
        *ret = verdict_withholds(&v, tag);
    arena_release(&a);
    return status;
}

static uint64_t entry_of(void *ctx, uint64_t n, uint32_t tag, bool *ret_withheld)
{
    struct city *c = ctx;
    sqlite3_stmt *st = c->st[CS_PROCESSED_GET];
    uint64_t seq = 0;
    int ret;

    if (c->replica.no == 0 || n > c->replica.accepted_n)
        return 0;
    sql_bind_int(st, 1, POS(c->replica.no, n));
    ret = sql_step(st, NULL);
    if (ret == 1)
        seq = (uint64_t)sqlite3_column_int64(st, 0);
    sql_done(st);
    if (ret >= 0 && seq == 0)
        return 0;
    if (ret == 1)
        ret = read_withheld(c, seq, tag, ret_withheld);
    city_failed(c, ret);
    return ret == 0 ? seq : 0;
}

static uint64_t stream_seq(void *ctx, uint32_t stream)
{
    struct city_stream *s = city_stream(ctx, stream);

    return s == NULL ? 0 : s->now.seq;
}

static int next_number(void *ctx, const char *series, uint64_t *ret_number)
{
    struct city *c = ctx;
    sqlite3_stmt *st = c->st[CS_COUNTER_GET];
    struct counter *n;
    int ret;

    for (unsigned i = 0; i < c->n_counters; i++) {
        if (strcmp(c->counters[i].series, series) == 0) {
            *ret_number = ++c->counters[i].last;
            return 0;
        }
    }
    if (c->n_counters == COUNTERS_MAX || strlen(series) >= SERIES_MAX)
        return E_INTERNAL;
    sql_bind_text(st, 1, slice_str(series));
    ret = sql_step(st, NULL);
    if (ret < 0)
        return ret;
    n = &c->counters[c->n_counters++];
    memcpy(n->series, series, strlen(series) + 1);
    n->last = (ret == 1 ? (uint64_t)sqlite3_column_int64(st, 0) : 0) + 1;
    sql_done(st);
    *ret_number = n->last;
    return 0;
}

int city_counters_put(struct city *c, struct err *err)
{
    sqlite3_stmt *st = c->st[CS_COUNTER_PUT];
    int ret = 0;

    for (unsigned i = 0; ret == 0 && i < c->n_counters; i++) {
        sql_bind_text(st, 1, slice_str(c->counters[i].series));
        sql_bind_int(st, 2, (int64_t)c->counters[i].last);
        ret = sql_run(st, err);
    }
    return ret;
}

static int64_t read_setting(void *ctx, const char *name, uint32_t site)
{
    struct city *c = ctx;
    struct settings rows = setting_table_settings(&c->setting_rows);

    if (!c->settings_read) {
        int ret;

        setting_table_clear(&c->setting_rows);
        ret = store_row_each(c->store, catalogue_kind_named("setting"), setting_table_take,
                             &c->setting_rows, NULL);
        city_failed(c, ret);
        c->settings_read = ret == 0;
    }
    return setting(&rows, name, site);
}

struct judge_facts city_facts(struct city *c)
{
    c->settings = (struct settings){.get = read_setting, .ctx = c};
    c->lookup_on = (struct store_lookup){.store = c->store, .arena = &c->arena};
    c->lookup = store_lookup(&c->lookup_on);
    c->n_counters = 0;
    c->asked = 0;
    return (struct judge_facts){.lookup = &c->lookup,
                                .settings = &c->settings,
                                .random = &c->random,
                                .hasher = c->hasher,
                                .history = {.entry_of = entry_of, .ctx = c},
                                .exists = exists,
                                .is_author = is_author,
                                .stream_seq = stream_seq,
                                .next_number = next_number,
                                .ctx = c,
                                .incarnation = c->incarnation,
                                .now = c->now,
                                .today = cal_day_of(c->now)};
}

/* ---- accounts ---- */

static struct actor actor_of(const struct row *row)
{
    bool city = row->stream == STREAM_CITY;

    return (struct actor){.account = row->id,
                          .roles = roles_of(row_named(row, "role")),
                          .site = city ? SITE_CITY : row->stream,
                          .side = city ? SIDE_CITY : SIDE_COUNTY};
}

int city_account(struct city *c, const struct id *account, uint32_t stream, struct actor *ret,
                 bool *ret_known, struct err *err)
{
    struct row *row;
    int status;

    *ret_known = false;
    for (unsigned i = 0; i < c->n_actors; i++) {
        if (id_eq(&c->actors[i].account, account) && c->actors[i].site == stream) {
            *ret = c->actors[i];
            *ret_known = true;
            return 0;
        }
    }
    status = store_row_get(c->store, &c->arena, catalogue_kind_named("user_account"), account, &row,
                           err);
    if (status != 0 || row == NULL || row->stream != stream)
        return status;
    if (row_voided(row) || row_int(row, "active") != 1)
        return E_QUARANTINE;
    *ret = actor_of(row);
    *ret_known = true;
    if (c->n_actors == ACTORS_MAX)
        c->n_actors = 0;
    c->actors[c->n_actors++] = *ret;
    return 0;
}

int city_actor(struct city *c, const char *login, struct actor *ret, struct err *err)
{
    const struct kind *kind = catalogue_kind_named("user_account");
    struct value v = value_str(login);
    struct row **rows;
    struct arena a;
    size_t n;
    int status;

    arena_init(&a, 1u << 20);
    status = store_row_find(c->store, &a, kind, kind_field_named(kind, "login")->tag, &v, &rows, &n,
                            err);
    if (status == 0) {
        status = E_NOTFOUND;
        for (size_t i = 0; i < n; i++) {
            if (rows[i]->stream != STREAM_CITY)
                continue;
            *ret = actor_of(rows[i]);
            status = row_int(rows[i], "active") == 1 ? 0 : E_DENIED;
        }
        if (status == E_NOTFOUND)
            (void)err_set(err, status, "市级没有登录名为“%s”的账户", login);
        else if (status == E_DENIED)
            (void)err_set(err, status, "账户“%s”已停用", login);
    }
    arena_release(&a);
    return status;
}

int64_t city_setting(struct city *c, const char *name, uint32_t site)
{
    struct judge_facts facts = city_facts(c);

    return setting(facts.settings, name, site);
}
