/* An office without a line, or with one now and then: what its computer and the city have to say to each other goes
 * in files that somebody carries. They come late, twice, in any order or not at all.
 *
 * The frames are the real ones; how a file is sealed and signed is tested by itself. */
#include "tests/sim/world_internal.h"

#include "client/bundle/bundle_session.h"
#include "client/store/repair.h"
#include "common/base/mem.h"
#include "server/admin/bundle_session.h"
#include "server/store/city_bundle.h"

#include <stdlib.h>
#include <string.h>

#define PARCEL_MAX  (64u << 20)
#define FRAME_ARENA (24u << 20)
#define TRY_AGAIN   3000u
#define NO_LIMIT    (UINT64_MAX >> 1)

/* Kept until the world ends: it may come again. */
struct parcel {
    struct parcel *next;
    struct sim_replica *r;
    struct id id; /* whose it is: R may have become another since */
    struct buf frames;
};

void bundles_begin(struct world *w)
{
    struct sim_replica *r = &w->replicas[world_roll(w, w->n_replicas)];

    if (world_roll(w, 4) != 0 || w->blobs != NULL || r->late)
        return;
    w->restore.barred = true;
    r->offline = r->by_bundle = true;
    r->heals_by_bundle = world_roll(w, 2) == 0;
    bundles_round(w, r);
}

void bundles_release(struct world *w)
{
    while (w->parcels != NULL) {
        struct parcel *p = w->parcels;

        w->parcels = p->next;
        buf_release(&p->frames);
        mem_free(p);
    }
}

/* ---- parcels ---- */

static struct parcel *new_parcel(struct world *w, struct sim_replica *r)
{
    struct parcel *p = mem_calloc(1, sizeof *p);

    if (p == NULL)
        abort();
    p->r = r;
    p->id = r->id;
    buf_init(&p->frames, PARCEL_MAX);
    p->next = w->parcels;
    w->parcels = p;
    return p;
}

static int put_frames(void *ctx, struct slice frames, struct err *err)
{
    struct parcel *p = ctx;

    buf_put(&p->frames, frames.p, frames.len);
    return p->frames.ret == 0 ? 0 : err_set(err, p->frames.ret, NULL);
}

typedef int frame_cb(void *ctx, Ztc__Frame *f, struct arena *a, struct err *err);

static int each_frame(const struct parcel *p, frame_cb *cb, void *ctx, struct err *err)
{
    struct slice left = buf_slice(&p->frames);
    struct frame_reader in;
    struct arena a;
    int ret = 0;

    frame_reader_init(&in, FRAME_MAX);
    arena_init(&a, FRAME_ARENA);
    while (ret == 0 && left.len > 0) {
        Ztc__Frame *f = NULL;
        size_t taken;

        ret = frame_feed(&in, left, &a, &taken, &f);
        if (ret != 0 || f == NULL)
            ret = err_set(err, E_CORRUPT, NULL);
        else
            ret = cb(ctx, f, &a, err);
        left.p += taken;
        left.len -= taken;
        arena_clear(&a);
    }
    arena_release(&a);
    frame_reader_release(&in);
    return ret;
}

static void carry(struct world *w, struct parcel *p, void (*takes)(struct world *w, void *parcel))
{
    msec_t days = w->healing ? 2000 : 120000;

    world_trace(w, p->frames.p, p->frames.len);
    if (!w->healing && world_roll(w, 6) == 0) {
        w->counts[SIM_BUNDLE_LOST]++;
        return;
    }
    world_at(w, 500 + world_roll(w, days), takes, p);
    if (world_roll(w, 6) == 0)
        world_at(w, 500 + world_roll(w, days), takes, p);
}

/* ---- the county hears ---- */

/* What two with one identity, or one on a backup, may be told. */
static bool is_found_out(const struct sim_replica *r, int ret)
{
    return ret == E_FORK && (r->restored || r->copied || r->set_up_again || r->base != 0);
}

static int hear_frame(void *ctx, Ztc__Frame *f, struct arena *a, struct err *err)
{
    return bundle_hear(ctx, f, a, err);
}

static int hear_through(struct world *w, const struct parcel *p, const struct client_facts *facts, bool applying,
                        struct err *err)
{
    struct sim_replica *r = p->r;
    struct bundle_hear h;
    int ret;

    bundle_hear_init(&h, r->r, facts, world_clock(w, r->skew), applying);
    ret = each_frame(p, hear_frame, &h, err);
    for (size_t i = 0; ret == 0 && applying && i < facts->n_cursors; i++) {
        const struct client_cursor *c = &facts->cursors[i];
        uint64_t now = h.seq[c->stream == STREAM_SHARED ? 0 : 1];

        if (now > c->seq)
            causality_arrived(w, r, c->stream, c->seq + 1, now);
    }
    if (ret == 0 && applying && h.entries + h.refusals == 0)
        w->counts[SIM_BUNDLE_STALE]++;
    bundle_hear_release(&h);
    return ret;
}

static void county_takes(struct world *w, void *subject)
{
    struct parcel *p = subject;
    struct sim_replica *r = p->r;
    struct client_facts facts;
    struct err err = {.ret = 0};
    int ret;

    if (!id_eq(&p->id, &r->id))
        return; /* for who it was before */
    if (r->r == NULL || (r->link != NULL && r->link->client_open)) {
        world_at(w, TRY_AGAIN, county_takes, p);
        return;
    }
    ret = exchange_facts(r->r, "sim/1", &facts, &err);
    if (ret == 0)
        ret = hear_through(w, p, &facts, false, &err);
    if (ret == 0)
        ret = hear_through(w, p, &facts, true, &err);
    if (ret == 0)
        w->counts[SIM_BUNDLE_DOWN]++;
    else if (computers_excuse(r->disk, ret))
        world_at(w, TRY_AGAIN, county_takes, p);
    else if (ret != E_BUNDLE_GAP && !is_found_out(r, ret)) /* a gap: what it had taken in was lost since */
        world_fail(w, "replica %u cannot take a bundle: %s %s", r->no, err_code(ret), err.text);
}

/* ---- the city says ---- */

static int answer(struct world *w, struct parcel *p, struct err *err);

static void city_makes(struct world *w, void *subject)
{
    struct sim_replica *r = subject;
    struct err err = {.ret = 0};
    struct parcel *p;
    int ret;

    if (w->city == NULL) {
        world_at(w, TRY_AGAIN, city_makes, r);
        return;
    }
    p = new_parcel(w, r);
    ret = answer(w, p, &err); /* one that became another meanwhile is not known by any bundle */
    if (ret == 0)
        carry(w, p, county_takes);
    else if (ret != E_NOTFOUND && ret != E_REVOKED && !is_found_out(r, ret) && !computers_excuse(w->city_disk, ret))
        world_fail(w, "the city cannot make a bundle for replica %u: %s %s", r->no, err_code(ret), err.text);
}

/* The certificates of the world say nothing, and are all the same. */
static void begin_ferry(struct world *w, struct ferry *f, struct parcel *out, const struct replica_row *row)
{
    static const struct authorities none;
    struct ferry_options o = {.city = w->city, .authorities = &none, .now = world_clock(w, w->skew)};
    struct replica_claim claim = {.site = row->site};

    if (out != NULL) {
        o.out = put_frames;
        o.ctx = out;
        o.out_max = NO_LIMIT;
    }
    memcpy(claim.fingerprint, row->fingerprint, HASH_SIZE);
    ferry_begin(f, &o, &row->id, &claim);
}

static int answer(struct world *w, struct parcel *p, struct err *err)
{
    struct ferry *f = mem_calloc(1, sizeof *f);
    Ztc__Frame frame = ZTC__FRAME__INIT;
    struct city_bundle b;
    struct replica_row row;
    struct arena a;
    int ret;

    if (f == NULL)
        abort();
    arena_init(&a, FRAME_ARENA);
    ret = city_replica_get(w->city, &p->id, &row, err);
    if (ret == 0)
        ret = city_bundle_get(w->city, &row, &a, &b, err);
    if (ret == 0) {
        frame.kind_case = ZTC__FRAME__KIND_HELLO;
        frame.hello = ztc__hello__unpack(NULL, b.hello.len, b.hello.p);
        begin_ferry(w, f, p, &row);
        ret = ferry_frame(f, &frame, &a, err);
        ztc__hello__free_unpacked(frame.hello, NULL);
        ferry_release(f);
    }
    arena_release(&a);
    mem_free(f);
    return ret;
}

/* ---- the city hears ---- */

struct taking {
    struct ferry ferry;
    struct buf hello;
};

static int take_frame(void *ctx, Ztc__Frame *f, struct arena *a, struct err *err)
{
    struct taking *t = ctx;

    if (f->kind_case == ZTC__FRAME__KIND_HELLO)
        (void)ztc__hello__pack(f->hello, buf_grow(&t->hello, ztc__hello__get_packed_size(f->hello)));
    return ferry_frame(&t->ferry, f, a, err);
}

static int take(struct world *w, const struct parcel *p, struct taking *t, struct err *err)
{
    struct city_bundle b = {.certificate = slice_str("of the world"), .at = world_clock(w, w->skew)};
    struct replica_row row;
    int ret = city_replica_get(w->city, &p->id, &row, err);

    if (ret != 0)
        return ret;
    if (row.state == REPLICA_LOST)
        return E_REVOKED;
    begin_ferry(w, &t->ferry, NULL, &row);
    ret = each_frame(p, take_frame, t, err);
    b.hello = buf_slice(&t->hello);
    return ret == 0 ? city_bundle_put(w->city, &row, &b, err) : ret;
}

/* An open session counts from what it knew. */
static void taken(struct world *w, struct sim_replica *r, const struct ferry *f)
{
    w->counts[SIM_BUNDLE_UP]++;
    w->counts[SIM_BUNDLE_CHANGE] += f->taken + f->refused;
    if (f->taken + f->refused > 0 && r->link != NULL)
        network_cut(w, r->link, true);
    writer_tell_heads(w);
    world_at(w, world_roll(w, w->healing ? 500 : 60000), city_makes, r);
}

static void city_takes(struct world *w, void *subject)
{
    struct parcel *p = subject;
    struct taking *t;
    struct err err = {.ret = 0};
    int ret;

    if (w->city == NULL || w->city_catalogue != CATALOGUE_VERSION) {
        world_at(w, TRY_AGAIN, city_takes, p);
        return;
    }
    t = mem_calloc(1, sizeof *t);
    if (t == NULL)
        abort();
    buf_init(&t->hello, FRAME_MAX_STRANGER);
    ret = city_begin(w->city, world_clock(w, w->skew), &err);
    if (ret == 0)
        ret = take(w, p, t, &err);
    if (ret == 0)
        ret = city_commit(w->city, &err);
    if (ret != 0)
        city_rollback(w->city);
    if (ret == 0 && !w->healing && world_roll(w, 12) == 0)
        computers_crash_city(w);
    else if (ret == 0)
        taken(w, p->r, &t->ferry);
    else if (computers_excuse(w->city_disk, ret))
        world_at(w, TRY_AGAIN, city_takes, p);
    else if (ret != E_REVOKED && !is_found_out(p->r, ret))
        world_fail(w, "the city cannot take a bundle of replica %u: %s %s", p->r->no, err_code(ret), err.text);
    ferry_release(&t->ferry);
    buf_release(&t->hello);
    mem_free(t);
}

/* ---- the county says ---- */

static void county_makes(struct world *w, struct sim_replica *r)
{
    struct parcel *p = new_parcel(w, r);
    struct bundle_say say = {.replica = r->r, .now = world_clock(w, r->skew), .bytes_max = NO_LIMIT, .out = put_frames,
                             .ctx = p};
    struct err err = {.ret = 0};
    struct arena a;
    int ret;

    arena_init(&a, FRAME_ARENA);
    ret = exchange_facts(r->r, "sim/1", &say.facts, &err);
    if (ret == 0)
        ret = bundle_say(&say, &a, &err);
    arena_release(&a);
    if (ret == 0)
        carry(w, p, city_takes);
    else if (!computers_excuse(r->disk, ret))
        world_fail(w, "replica %u cannot make a bundle: %s %s", r->no, err_code(ret), err.text);
}

/* ---- the office ---- */

/* Rows are compared, and a new identity is given, over a line alone; whoever was shut out hears it there. */
static bool wants_line(const struct sim_replica *r)
{
    msec_t since;

    return r->gone || r->restored || r->copied || r->base != 0 || r->set_up_again ||
           replica_differs(r->r, STREAM_SHARED, &since, NULL) != 0 || replica_differs(r->r, r->site, &since, NULL) != 0;
}

static void line_comes(struct world *w, struct sim_replica *r)
{
    r->offline = false;
    network_connect(w, r);
}

static void line_goes(struct world *w, struct sim_replica *r)
{
    r->offline = true;
    if (r->link != NULL)
        network_cut(w, r->link, true);
}

void bundles_round(struct world *w, void *subject)
{
    struct sim_replica *r = subject;

    if (w->healing && r->offline && r->r != NULL && (!r->heals_by_bundle || wants_line(r)))
        line_comes(w, r);
    if (w->healing && !r->offline)
        return;
    if (!w->healing && world_roll(w, 8) == 0)
        (r->offline ? line_comes : line_goes)(w, r);
    if (r->r != NULL)
        county_makes(w, r);
    world_at(w, w->healing ? 5000 : 2000 + world_roll(w, 40000), bundles_round, r);
}

bool bundles_quiet(const struct world *w, const struct sim_replica *r)
{
    uint32_t streams[CLIENT_STREAMS] = {STREAM_SHARED, r->site};
    struct replica_facts f;
    struct stream_head here;
    struct slice head, signature;
    uint64_t seq;

    if (!r->by_bundle || r->r == NULL || replica_facts(r->r, &f, NULL) != 0 || f.own_n != f.acked_n)
        return false;
    for (size_t i = 0; i < CLIENT_STREAMS; i++) {
        if (city_head(w->city, streams[i], &head, &signature, &seq) != 0 ||
            store_stream_get(replica_store(r->r), streams[i], &here, NULL) != 0 || here.seq != seq)
            return false;
    }
    return true;
}
