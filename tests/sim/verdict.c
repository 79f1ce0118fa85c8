/* What must hold when a world has healed. */
#include "tests/sim/world_internal.h"

#include "common/crypto/hash.h"

#include <stdlib.h>
#include <string.h>

#define ROW_MAX       (4u << 20)
#define ROWS_EVERY    8u
#define REBUILT_EVERY 4u

/* ---- one projection everywhere ---- */

struct shown {
    uint8_t state[HASH_SIZE];
    uint8_t root[ROOT_SIZE]; /* as the sums kept beside the rows say */
    struct buf b;
    uint64_t rows;
};

static int show_row(void *ctx, struct row *row)
{
    struct shown *d = ctx;
    struct slice parts[2];
    uint8_t next[HASH_SIZE];

    buf_clear(&d->b);
    buf_put(&d->b, row->id.b, ID_SIZE);
    buf_varint(&d->b, row->created_seq);
    buf_varint(&d->b, row->seq);
    buf_varint(&d->b, row->created_at);
    buf_varint(&d->b, row->updated_at);
    for (unsigned i = 0; i < row->kind->n_fields; i++)
        value_encode(&d->b, &row->values[i]);
    buf_bytes(&d->b, row->unknown);
    parts[0] = (struct slice){d->state, HASH_SIZE};
    parts[1] = buf_slice(&d->b);
    hasher_of(HASH_SHA256)->digest(parts, 2, next);
    memcpy(d->state, next, HASH_SIZE);
    d->rows++;
    return 0;
}

/* Rows of KIND can stand in STREAM, `shared` or a site's. */
static bool may_hold(uint32_t stream, const struct kind *kind)
{
    switch (kind->stream) {
    case STREAM_RULE_NONE:
    case STREAM_RULE_CITY:
        return false;
    case STREAM_RULE_SHARED:
        return stream == STREAM_SHARED;
    default:
        return stream != STREAM_SHARED || kind->stream == STREAM_RULE_SHARED_OR_SITE ||
               kind->stream == STREAM_RULE_TARGET;
    }
}

/* The sums that verify has counted again stand for the rows, but for some worlds, where these are read. */
static bool reads_rows(const struct world *w)
{
    return w->o->seed % ROWS_EVERY == 0;
}

static struct shown shown_by(struct world *w, struct store *s, uint32_t stream)
{
    struct shown d = {.rows = 0};
    struct err err = {.ret = 0};

    buf_init(&d.b, ROW_MAX);
    for (unsigned i = 0; reads_rows(w) && i < catalogue_n_kinds; i++) {
        if (!may_hold(stream, catalogue_kinds[i]))
            continue;
        if (store_row_list(s, catalogue_kinds[i], NULL, 0, stream, 0, show_row, &d, &err) != 0)
            world_fail(w, "a projection cannot be read: %s", err.text);
    }
    buf_release(&d.b);
    if (store_digest_root(s, stream, d.root, &err) != 0)
        world_fail(w, "the sums of a projection cannot be read: %s", err.text);
    return d;
}

/* What the city's tables say of each stream, read once. */
struct city_tables {
    struct shown shared, sites[SIM_SITES];
};

static void read_city(struct world *w, struct city_tables *t)
{
    t->shared = shown_by(w, city_store(w->city), STREAM_SHARED);
    for (unsigned i = 0; i < SIM_SITES; i++)
        t->sites[i] = shown_by(w, city_store(w->city), sim_sites[i]);
}

static const struct shown *of_stream(const struct city_tables *t, uint32_t stream)
{
    return stream == STREAM_SHARED ? &t->shared : &t->sites[stream == sim_sites[0] ? 0 : 1];
}

static void same_digest(struct world *w, const struct shown *there, const struct shown *here,
                        unsigned replica, uint32_t stream, const char *when)
{
    if (there->rows != here->rows || memcmp(there->state, here->state, HASH_SIZE) != 0)
        world_fail(w, "replica %u and the city differ in stream %u %s (%llu and %llu rows)",
                   replica, stream, when, (unsigned long long)here->rows,
                   (unsigned long long)there->rows);
    if (memcmp(there->root, here->root, ROOT_SIZE) != 0)
        world_fail(w, "replica %u and the city sum up stream %u differently %s", replica, stream, when);
}

static void same_tables(struct world *w, const struct city_tables *city, struct sim_replica *r,
                        uint32_t stream, const char *when)
{
    struct shown here = shown_by(w, replica_store(r->r), stream);

    same_digest(w, of_stream(city, stream), &here, r->no, stream, when);
}

/* Rebuilt, the city says the same again. */
static void same_city(struct world *w, const struct city_tables *before)
{
    struct city_tables after;

    read_city(w, &after);
    for (unsigned i = 0; i < SIM_SITES; i++)
        same_digest(w, &before->sites[i], &after.sites[i], 0, sim_sites[i],
                    "after the city's rebuild");
    same_digest(w, &before->shared, &after.shared, 0, STREAM_SHARED, "after the city's rebuild");
}

static void same_head(struct world *w, struct sim_replica *r, uint32_t stream)
{
    struct stream_head there, here;

    if (store_stream_get(city_store(w->city), stream, &there, NULL) != 0 ||
        store_stream_get(replica_store(r->r), stream, &here, NULL) != 0 ||
        there.seq != here.seq || memcmp(there.hash, here.hash, HASH_SIZE) != 0)
        world_fail(w, "replica %u has another head of stream %u", r->no,
                   stream);
}

/* ---- nobody overwrote what he did not see; nothing typed is lost ---- */

#define FORMER_MAX   8u
#define STANDING_MAX 8192u
#define OWN_MAX      2048u /* changes of a replica */

struct standing {
    struct id record;
    uint32_t tag;
    uint64_t value, seq;
    uint64_t former[FORMER_MAX]; /* values that stood here before, the last ones */
    unsigned n_former;
};

enum { IN_LOG = 1, IN_REFUSALS = 2, IN_PENDING = 4 };

struct history {
    struct world *w;
    struct arena a;
    struct standing at[STANDING_MAX];
    unsigned n;
    uint8_t found[2 * REPLICAS_MAX][OWN_MAX]; /* of each change: where */
};

static struct standing *standing(struct history *h, const struct id *record, uint32_t tag)
{
    for (unsigned i = 0; i < h->n; i++) {
        if (h->at[i].tag == tag && id_eq(&h->at[i].record, record))
            return &h->at[i];
    }
    if (h->n == STANDING_MAX)
        return NULL;
    h->at[h->n] = (struct standing){.record = *record, .tag = tag};
    return &h->at[h->n++];
}

static const struct edit *edit_of(struct world *w, unsigned author, uint64_t n, uint32_t tag)
{
    for (unsigned i = 0; i < w->n_edits; i++) {
        const struct edit *e = &w->edits[i];

        if (e->replica + (e->former ? REPLICAS_MAX : 0) == author && e->n == n && e->tag == tag)
            return e;
    }
    return NULL;
}

static uint64_t own_n(const struct sim_replica *r)
{
    struct replica_facts f;

    return replica_facts(r->r, &f, NULL) == 0 ? f.own_n : 0;
}

/* Who made change N of the identity that R and another had: before the copy the first; then who kept it. */
static unsigned one_of_two(const struct world *w, const struct sim_replica *r, uint64_t n)
{
    const struct sim_replica *other = &w->replicas[r->twin];
    bool mine = id_eq(&r->id, &r->first_id), others = id_eq(&other->id, &r->first_id);

    if (n <= r->twin_n)
        return r->is_copy ? other->no : r->no;
    if (mine && others)
        return own_n(r) > own_n(other) ? r->no : other->no;
    return mine ? r->no : other->no;
}

/* The replica's number; REPLICAS_MAX more for what it made before it was set up again and became another; -1:
 * the city. */
static int author_of(struct world *w, const struct change *c)
{
    for (unsigned i = 0; i < w->n_replicas; i++) {
        const struct sim_replica *r = &w->replicas[i];

        if (r->copied && id_eq(&r->first_id, &c->replica))
            return (int)one_of_two(w, r, c->n);
        if (id_eq(&r->id, &c->replica))
            return (int)i;
        if (id_eq(&r->first_id, &c->replica))
            return (int)(c->n <= r->base ? i : i + REPLICAS_MAX);
    }
    return -1;
}

static bool stood(const struct standing *s, uint64_t value)
{
    for (unsigned i = 0; i < FORMER_MAX && i < s->n_former; i++) {
        if (s->former[i] == value)
            return true;
    }
    return false;
}

/* What was shown in its place went with a life of the city that is over; he had seen what stands, too. */
static bool showed_lost(const struct world *w, const struct standing *s, const struct edit *e,
                        const struct change *c)
{
    return w->counts[SIM_GONE_BACK] > 0 && !stood(s, e->shown) && s->seq <= c->seen;
}

static void meet_field(struct history *h, const struct change *c, const struct field_change *f,
                       uint64_t seq, int author)
{
    struct standing *s = standing(h, &c->record, f->tag);
    uint64_t value = people_fingerprint(&f->v);
    const struct edit *e;

    if (s == NULL || f->form == FORM_DELTA || s->value == value)
        return;
    e = author < 0 ? NULL : edit_of(h->w, (unsigned)author, c->n, f->tag);
    if (e != NULL && c->op != OP_CREATE && s->value != 0 && e->shown != s->value &&
        !showed_lost(h->w, s, e, c))
        world_fail(h->w, "replica %d overwrote a value of field %u it had not seen (n %llu)",
                   author, f->tag, (unsigned long long)c->n);
    s->former[s->n_former++ % FORMER_MAX] = s->value;
    s->value = value;
    s->seq = seq;
}

/* Change N of a replica is there; twice in the log is once too often. */
static void find(struct history *h, unsigned replica, uint64_t n, uint8_t where)
{
    if (n >= OWN_MAX)
        abort();
    if (where == IN_LOG && (h->found[replica][n] & IN_LOG) != 0)
        world_fail(h->w, "change %llu of replica %u is twice in the log", (unsigned long long)n,
                   replica);
    h->found[replica][n] |= where;
}

static int meet(void *ctx, const struct entry *entry)
{
    struct history *h = ctx;
    struct verdict v;
    struct change c;
    int author;

    arena_clear(&h->a);
    if (change_decode(&h->a, entry->bytes, entry->side, &c) != 0 ||
        verdict_decode(&h->a, entry->verdict, &v) != 0)
        return E_CORRUPT;
    author = author_of(h->w, &c);
    if (author >= 0)
        find(h, (unsigned)author, c.n, IN_LOG);
    if (c.op == OP_CREATE && c.kind == catalogue_kind_named("conflict")->tag)
        h->w->counts[SIM_CONFLICT]++;
    for (size_t i = 0; i < c.n_fields; i++) {
        if (!verdict_withholds(&v, c.fields[i].tag))
            meet_field(h, &c, &c.fields[i], entry->seq, author);
    }
    return 0;
}

struct own_found {
    struct history *h;
    unsigned replica;
};

static int find_refused(void *ctx, const struct refused_row *row)
{
    struct own_found *o = ctx;

    for (uint64_t n = row->first_n; n <= row->last_n; n++)
        find(o->h, o->replica, n, IN_REFUSALS);
    return 0;
}

static int find_pending(void *ctx, uint64_t n, struct slice bytes, struct slice side)
{
    struct own_found *o = ctx;

    (void)bytes;
    (void)side;
    find(o->h, o->replica, n, IN_PENDING);
    return 0;
}

/* Nothing anybody typed is lost: what R made is in the log, or among its refusals (kept aside, released or
 * dropped it is there too), or still waits on a computer that nobody listens to any more. */
static void judge_own(struct history *h, const struct sim_replica *r)
{
    struct world *w = h->w;
    struct own_found o = {h, r->no};
    struct replica_facts f;
    struct err err = {.ret = 0};

    if (replica_refused_each(r->r, find_refused, &o, &err) != 0 ||
        replica_facts(r->r, &f, &err) != 0 ||
        replica_pending(r->r, f.acked_n + 1, UINT32_MAX, SIZE_MAX, find_pending, &o, &err) != 0)
        world_fail(w, "own changes cannot be read: %s", err.text);
    for (uint64_t n = 1; n <= f.own_n && w->why[0] == '\0'; n++) {
        uint8_t at = h->found[r->no][n] | (r->is_copy && n <= r->twin_n ? h->found[r->twin][n] : 0);

        if (at == 0 || (!r->gone && (at & IN_PENDING) != 0))
            world_fail(w, "change %llu of replica %u is %s", (unsigned long long)n, r->no,
                       at == 0 ? "nowhere" : "still pending");
    }
}

static void judge_history(struct world *w)
{
    static struct history h;
    struct err err = {.ret = 0};

    memset(&h, 0, sizeof h);
    h.w = w;
    arena_init(&h.a, ROW_MAX);
    for (unsigned i = 0; i < SIM_SITES; i++) {
        h.n = 0;
        if (store_entry_each(city_store(w->city), sim_sites[i], 1, meet, &h, &err) != 0)
            world_fail(w, "the city's log cannot be read: %s", err.text);
    }
    arena_release(&h.a);
    for (unsigned i = 0; i < w->n_replicas && w->why[0] == '\0'; i++)
        judge_own(&h, &w->replicas[i]);
}

/* ---- no silent stall ---- */

#define LATE 1000u

static void watch_client(struct world *w, const struct link *l)
{
    const struct client_session *cs = &l->cs;
    msec_t deadline = client_session_deadline(cs);

    if (deadline == 0 || deadline + LATE < w->now)
        world_fail(w, "replica %u is %s and waits without a deadline", l->replica,
                   client_state_name(cs->state));
    if (!client_session_complete(cs) && client_session_reason(cs) == 0 &&
        cs->progress_at + cs->options->stall_within + cs->options->hello_within < w->now)
        world_fail(w, "replica %u is %s, without progress for %llu s", l->replica,
                   client_state_name(cs->state),
                   (unsigned long long)((w->now - cs->progress_at) / 1000));
}

static void watch_server(struct world *w, const struct link *l)
{
    if (l->sup.deadline == 0 || l->sup.deadline + LATE < w->now)
        world_fail(w, "the city's session with replica %u is %s and waits without a deadline",
                   l->replica, server_state_name(l->ss.state));
}

/* Nobody is shown less than he was shown, but after a power cut and where a life of the city ended. */
static void watch_sight(struct world *w, struct sim_replica *r)
{
    uint32_t streams[CLIENT_STREAMS] = {STREAM_SHARED, r->site};
    struct stream_head h;

    for (size_t i = 0; r->r != NULL && i < CLIENT_STREAMS; i++) {
        if (store_stream_get(replica_store(r->r), streams[i], &h, NULL) != 0)
            continue; /* a disk that fails */
        if (h.seq < r->saw[i])
            world_fail(w, "replica %u showed stream %u up to %llu and now to %llu", r->no, streams[i],
                       (unsigned long long)r->saw[i], (unsigned long long)h.seq);
        r->saw[i] = h.seq;
    }
}

void verdict_watch(struct world *w)
{
    for (unsigned i = 0; i < w->n_replicas; i++)
        watch_sight(w, &w->replicas[i]);
    for (const struct link *l = w->links; l != NULL; l = l->next) {
        if (l->client_open)
            watch_client(w, l);
        if (l->server_open)
            watch_server(w, l);
    }
}

/* ---- after healing ---- */

/* The tables follow from the log alone, here and at the city; CITY: what it says now. */
static void judge_rebuilt(struct world *w, const struct city_tables *city)
{
    struct err err = {.ret = 0};

    for (unsigned i = 0; i < w->n_replicas && w->why[0] == '\0'; i++) {
        struct sim_replica *r = &w->replicas[i];

        if (r->gone || (i > 0 && !r->late))
            continue;
        if (replica_rebuild(r->r, &err) != 0)
            world_fail(w, "replica %u cannot be rebuilt: %s", i, err.text);
        same_tables(w, city, r, r->site, "after the replica's rebuild");
    }
    if (w->why[0] == '\0' && city_rebuild(w->city, &err) != 0)
        world_fail(w, "the city cannot be rebuilt: %s", err.text);
    if (w->why[0] == '\0')
        same_city(w, city);
}

void verdict_judge(struct world *w)
{
    struct city_tables city;
    struct err err = {.ret = 0};

    if (city_verify(w->city, &err) != 0)
        world_fail(w, "the city's log does not verify: %s", err.text);
    judge_history(w);
    read_city(w, &city);
    for (unsigned i = 0; i < w->n_replicas && w->why[0] == '\0'; i++) {
        struct sim_replica *r = &w->replicas[i];

        if (r->gone)
            continue;
        w->counts[SIM_BUNDLE_HEALED] += r->offline;
        same_head(w, r, STREAM_SHARED);
        same_head(w, r, r->site);
        same_tables(w, &city, r, STREAM_SHARED, "after healing");
        same_tables(w, &city, r, r->site, "after healing");
        if (replica_verify(r->r, &err) != 0)
            world_fail(w, "replica %u does not verify: %s", i, err.text);
    }
    if (w->o->seed % REBUILT_EVERY == 0)
        judge_rebuilt(w, &city);
}
