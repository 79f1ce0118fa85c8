/* Replicas, their refusals, and the tokens that admit them. */
#include "server/store/city_internal.h"

#include <string.h>

static void copy_text(char *to, size_t size, struct slice s)
{
    size_t n = s.len < size - 1 ? s.len : size - 1;

    if (n > 0)
        memcpy(to, s.p, n);
    to[n] = '\0';
}

static void read_replica(sqlite3_stmt *st, struct replica_row *r)
{
    struct slice fingerprint = sql_blob(st, 6);
    struct slice chain = sql_blob(st, 8);

    memset(r, 0, sizeof *r);
    r->no = (uint32_t)sqlite3_column_int64(st, 0);
    r->id = sql_id(st, 1);
    r->site = (uint32_t)sqlite3_column_int64(st, 2);
    r->k = (uint32_t)sqlite3_column_int64(st, 3);
    r->state = (enum replica_state)sqlite3_column_int(st, 4);
    copy_text(r->serial, sizeof r->serial, sql_text(st, 5));
    if (fingerprint.len == HASH_SIZE)
        memcpy(r->fingerprint, fingerprint.p, HASH_SIZE);
    r->accepted_n = (uint64_t)sqlite3_column_int64(st, 7);
    if (chain.len == HASH_SIZE)
        memcpy(r->own_chain, chain.p, HASH_SIZE);
    r->enrolled_at = (msec_t)sqlite3_column_int64(st, 9);
    r->seen_at = (msec_t)sqlite3_column_int64(st, 10);
    r->skew_ms = sqlite3_column_int64(st, 11);
    r->said.own_n = (uint64_t)sqlite3_column_int64(st, 12);
    r->said.acked_n = (uint64_t)sqlite3_column_int64(st, 13);
    r->said.waiting = (uint64_t)sqlite3_column_int64(st, 14);
    r->said.refused = (uint64_t)sqlite3_column_int64(st, 15);
    r->said.attachments = (uint64_t)sqlite3_column_int64(st, 16);
    copy_text(r->software, sizeof r->software, sql_text(st, 17));
    r->predecessor = (uint32_t)sqlite3_column_int64(st, 18);
    r->base = (uint64_t)sqlite3_column_int64(st, 19);
    if (r->predecessor != 0)
        r->predecessor_id = sql_id(st, 20);
}

int city_replica_get(struct city *c, const struct id *id, struct replica_row *ret, struct err *err)
{
    sqlite3_stmt *st = c->st[CS_REPLICA_BY_ID];
    int status = city_replica_keep(c, err);

    if (status != 0)
        return status;
    sql_bind_id(st, 1, id);
    status = sql_step(st, err);
    if (status == 1) {
        read_replica(st, ret);
        status = 0;
    } else if (status == 0) {
        status = err_set(err, E_NOTFOUND, "没有登记过这台计算机");
    }
    sql_done(st);
    return status;
}

int city_replica_each(struct city *c, int (*cb)(void *ctx, const struct replica_row *r), void *ctx,
                      struct err *err)
{
    sqlite3_stmt *st = c->st[CS_REPLICA_EACH];
    struct replica_row r;
    int status = city_replica_keep(c, err);

    while (status == 0 && (status = sql_step(st, err)) == 1) {
        read_replica(st, &r);
        status = cb(ctx, &r);
        if (status != 0)
            break;
    }
    sql_done(st);
    return status;
}

/* Run an update that must meet one replica. */
static int update_one(struct city *c, sqlite3_stmt *st, struct err *err)
{
    int ret = city_replica_keep(c, err);

    if (ret == 0)
        ret = sql_run(st, err);
    sql_done(st);
    c->replica.no = 0;
    if (ret == 0 && sqlite3_changes(c->db) == 0)
        return err_set(err, E_NOTFOUND, "没有登记过这台计算机");
    return ret;
}

int city_replica_set_state(struct city *c, const struct id *id, enum replica_state state,
                           struct err *err)
{
    sqlite3_stmt *st = c->st[CS_REPLICA_STATE];

    sql_bind_id(st, 1, id);
    sql_bind_int(st, 2, (int64_t)state);
    return update_one(c, st, err);
}

int city_replica_retire(struct city *c, const struct id *id, struct err *err)
{
    sqlite3_stmt *st = c->st[CS_REPLICA_RETIRE];

    sql_bind_id(st, 1, id);
    sql_bind_int(st, 2, REPLICA_RETIRED);
    return update_one(c, st, err);
}

int city_replica_heard(struct city *c, const struct id *id, msec_t at, int64_t skew_ms,
                       const struct statement *said, struct slice software, struct err *err)
{
    sqlite3_stmt *st = c->st[CS_REPLICA_HEARD];

    sql_bind_id(st, 1, id);
    sql_bind_int(st, 2, (int64_t)at);
    sql_bind_int(st, 3, skew_ms);
    sql_bind_int(st, 4, (int64_t)said->own_n);
    sql_bind_int(st, 5, (int64_t)said->acked_n);
    sql_bind_int(st, 6, (int64_t)said->waiting);
    sql_bind_int(st, 7, (int64_t)said->refused);
    sql_bind_int(st, 8, (int64_t)said->attachments);
    sql_bind_text(st, 9, software);
    return update_one(c, st, err);
}

/* A successor's own chain is its first predecessor's. */
static int chain_at_zero(struct city *c, const struct replica_row *r, uint8_t ret[HASH_SIZE],
                         struct err *err)
{
    sqlite3_stmt *st = c->st[CS_REPLICA_FIRST];
    int status;

    if (r->predecessor == 0) {
        own_chain_start(c->hasher, &r->id, ret);
        return 0;
    }
    sql_bind_int(st, 1, r->no);
    status = sql_step(st, err);
    if (status == 1) {
        struct id first = sql_id(st, 0);

        own_chain_start(c->hasher, &first, ret);
    }
    sql_done(st);
    return status < 0 ? status : status == 1 ? 0 : err_set(err, E_CORRUPT, NULL);
}

int city_replica_chain(struct city *c, const struct id *id, uint64_t n, uint8_t ret[HASH_SIZE],
                       struct err *err)
{
    sqlite3_stmt *st = c->st[CS_PROCESSED_GET];
    struct replica_row r;
    struct slice chain;
    int status = city_replica_get(c, id, &r, err);

    if (status != 0)
        return status;
    if (n == 0)
        return chain_at_zero(c, &r, ret, err);
    sql_bind_int(st, 1, POS(r.no, n));
    status = sql_step(st, err);
    chain = status == 1 ? sql_blob(st, 1) : (struct slice){NULL, 0};
    if (chain.len == HASH_SIZE)
        memcpy(ret, chain.p, HASH_SIZE);
    sql_done(st);
    if (status < 0)
        return status;
    return chain.len == HASH_SIZE ? 0 : err_set(err, E_NOTFOUND, NULL);
}

/* ---- refusals ---- */

int city_refusals(struct city *c, const struct id *replica, uint64_t acked_n,
                  int (*cb)(void *ctx, const struct refusal *r), void *ctx, struct err *err)
{
    sqlite3_stmt *st = c->st[CS_REFUSAL_EACH];
    struct replica_row row;
    struct refusal r;
    int status = city_replica_get(c, replica, &row, err);

    if (status != 0)
        return status;
    sql_bind_int(st, 1, POS(row.no, 0));
    sql_bind_int(st, 2, POS(row.no + 1, 0) - 1);
    sql_bind_int(st, 3, acked_n > INT64_MAX ? INT64_MAX : (int64_t)acked_n);
    while ((status = sql_step(st, err)) == 1) {
        r = (struct refusal){.first_n = POS_LOW(sqlite3_column_int64(st, 0)),
                             .last_n = (uint64_t)sqlite3_column_int64(st, 1),
                             .at_n = (uint64_t)sqlite3_column_int64(st, 2),
                             .code = sql_text(st, 3),
                             .text = sql_text(st, 4),
                             .quarantined = sqlite3_column_int(st, 5) != 0};
        status = cb(ctx, &r);
        if (status != 0)
            break;
    }
    sql_done(st);
    return status;
}

int city_refused_ack(struct city *c, const struct id *replica, uint64_t first_n, uint64_t until_n,
                     struct err *err)
{
    sqlite3_stmt *st = c->st[CS_REFUSAL_ACK];
    struct replica_row row;
    int ret = city_replica_get(c, replica, &row, err);

    if (ret != 0)
        return ret;
    sql_bind_int(st, 1, POS(row.no, first_n));
    sql_bind_int(st, 2, (int64_t)until_n);
    ret = sql_run(st, err);
    if (ret != 0)
        return ret;
    sql_bind_int(c->st[CS_REFUSAL_TOLD], 1, POS(row.no, first_n));
    return sql_run(c->st[CS_REFUSAL_TOLD], err);
}

/* ---- enrolment ---- */

int city_token_add(struct city *c, uint32_t site, const uint8_t secret_hash[HASH_SIZE],
                   msec_t expires_at, struct err *err)
{
    sqlite3_stmt *st = c->st[CS_TOKEN_PUT];

    if (site <= STREAM_CITY || city_stream(c, site) == NULL)
        return err_set(err, E_NOTFOUND, "没有代码为 %u 的单位", site);
    sql_bind_blob(st, 1, (struct slice){secret_hash, HASH_SIZE});
    sql_bind_int(st, 2, site);
    sql_bind_int(st, 3, (int64_t)expires_at);
    return sql_run(st, err);
}

static int use_token(struct city *c, const uint8_t secret_hash[HASH_SIZE], uint32_t *ret_site,
                     struct err *err)
{
    sqlite3_stmt *st = c->st[CS_TOKEN_GET];
    bool good = false;
    int ret;

    sql_bind_blob(st, 1, (struct slice){secret_hash, HASH_SIZE});
    ret = sql_step(st, err);
    if (ret == 1) {
        *ret_site = (uint32_t)sqlite3_column_int64(st, 0);
        good = (msec_t)sqlite3_column_int64(st, 1) > c->now &&
               sqlite3_column_type(st, 2) == SQLITE_NULL;
    }
    sql_done(st);
    if (ret < 0)
        return ret;
    if (!good)
        return err_set(err, E_TOKEN, NULL);
    st = c->st[CS_TOKEN_USE];
    sql_bind_blob(st, 1, (struct slice){secret_hash, HASH_SIZE});
    sql_bind_int(st, 2, (int64_t)c->now);
    return sql_run(st, err);
}

int city_tokens_open(struct city *c, msec_t now, uint64_t *ret, struct err *err)
{
    sqlite3_stmt *st = c->st[CS_TOKEN_COUNT];
    int status;

    sql_bind_int(st, 1, (int64_t)now);
    status = sql_step(st, err);
    if (status == 1)
        *ret = (uint64_t)sqlite3_column_int64(st, 0);
    sql_done(st);
    return status < 0 ? status : 0;
}

static int count_replicas(struct city *c, uint32_t site, uint32_t *ret_n, struct err *err)
{
    sqlite3_stmt *st = c->st[CS_REPLICA_COUNT];
    int ret;

    sql_bind_int(st, 1, site);
    ret = sql_step(st, err);
    if (ret == 1)
        *ret_n = (uint32_t)sqlite3_column_int64(st, 0);
    sql_done(st);
    return ret < 0 ? ret : 0;
}

static int add_replica(struct city *c, const struct id *replica, uint32_t site, uint32_t k,
                       const char *serial, const uint8_t fingerprint[HASH_SIZE], struct err *err)
{
    sqlite3_stmt *st = c->st[CS_REPLICA_ADD];
    uint8_t chain[HASH_SIZE];

    own_chain_start(c->hasher, replica, chain);
    sql_bind_id(st, 1, replica);
    sql_bind_int(st, 2, site);
    sql_bind_int(st, 3, k);
    sql_bind_text(st, 4, slice_str(serial));
    sql_bind_blob(st, 5, (struct slice){fingerprint, HASH_SIZE});
    sql_bind_blob(st, 6, (struct slice){chain, HASH_SIZE});
    sql_bind_int(st, 7, (int64_t)c->now);
    return sql_run(st, err);
}

/* The account every site begins with; its lead grants the rest. */
static int add_clerk(struct city *c, uint32_t site, struct id *ret_clerk, struct err *err)
{
    const struct kind *kind = catalogue_kind_named("user_account");
    struct field_change fields[] = {
        {.tag = kind_field_named(kind, "login")->tag, .form = FORM_SET, .v = value_str("clerk")},
        {.tag = kind_field_named(kind, "name")->tag, .form = FORM_SET, .v = value_str("经办人")},
        {.tag = kind_field_named(kind, "role")->tag,
         .form = FORM_SET,
         .v = {.type = V_SET, .s = slice_str("county_clerk,county_lead,studio_user")}},
        {.tag = kind_field_named(kind, "active")->tag, .form = FORM_SET, .v = value_int(1)},
    };
    struct change change = {.op = OP_CREATE,
                            .kind = kind->tag,
                            .stream = site,
                            .seen = UINT64_MAX >> 1,
                            .fields = fields,
                            .n_fields = sizeof fields / sizeof *fields};
    struct act act = {.changes = &change,
                      .n = 1,
                      .actor = {.is_system = true, .side = SIDE_CITY, .site = SITE_CITY}};
    int ret = city_act(c, &act, err);

    if (ret == 0)
        *ret_clerk = change.record;
    return ret;
}

struct clerk {
    bool found;
    struct id id;
};

static int see_account(void *ctx, struct row *row)
{
    struct clerk *clerk = ctx;

    if (clerk->found || !slice_eq(row_text(row, "login"), slice_str("clerk")))
        return 0;
    clerk->found = true;
    clerk->id = row->id;
    return 0;
}

/* A login is for life: voided or switched off, the site's clerk is not made a second time. */
static int find_clerk(struct city *c, uint32_t site, struct id *ret_clerk, struct err *err)
{
    struct clerk clerk = {.found = false};
    int ret = store_row_list(c->store, catalogue_kind_named("user_account"), NULL, 0, site, 0,
                             see_account, &clerk, err);

    if (ret != 0)
        return ret;
    if (!clerk.found)
        return add_clerk(c, site, ret_clerk, err);
    *ret_clerk = clerk.id;
    return 0;
}

int city_enrol(struct city *c, const uint8_t secret_hash[HASH_SIZE], const struct id *replica,
               int (*issue)(void *ctx, uint32_t site, char ret_serial[48],
                            uint8_t ret_fingerprint[HASH_SIZE]),
               void *ctx, uint32_t *ret_site, uint32_t *ret_k, struct id *ret_clerk,
               struct err *err)
{
    uint8_t fingerprint[HASH_SIZE];
    char serial[48];
    uint32_t n = 0;
    int ret = use_token(c, secret_hash, ret_site, err);

    if (ret == 0)
        ret = count_replicas(c, *ret_site, &n, err);
    if (ret == 0)
        ret = issue(ctx, *ret_site, serial, fingerprint);
    if (ret == 0)
        ret = add_replica(c, replica, *ret_site, n + 1, serial, fingerprint, err);
    if (ret == 0)
        ret = find_clerk(c, *ret_site, ret_clerk, err);
    *ret_k = n + 1;
    return ret;
}
