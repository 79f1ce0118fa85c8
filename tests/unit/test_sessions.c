/* Both session machines against each other, with a small store in memory on either side.
 *
 * A seed decides everything: how the byte streams are cut, in which order the stores answer, when
 * connections break, when the city forgets what it had not committed, when a disk is full. Whatever
 * happens, in the end every change is answered exactly once and every cursor stands at its head. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "client/core/session.h"
#include "common/base/err.h"
#include "common/base/mem.h"
#include "common/ledger/change.h"
#include "common/ledger/entry.h"
#include "common/ledger/head.h"
#include "server/core/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SITE        431021u
#define SEEDS       80
#define COUNTIES    2
#define MAX_CHANGES 160
#define MAX_ENTRIES 1024
#define MAX_JOBS    512
#define ARENA_MAX   (64u << 20)

/* ---- a hash that needs no library ---- */

static void fake_digest(const struct slice *parts, size_t n_parts, uint8_t ret_hash[HASH_SIZE])
{
    uint64_t h[4] = {1, 2, 3, 4};

    for (size_t i = 0; i < n_parts; i++) {
        for (size_t k = 0; k < parts[i].len; k++) {
            for (size_t j = 0; j < 4; j++)
                h[j] = (h[j] ^ parts[i].p[k]) * (0x100000001b3u + 2 * j);
        }
    }
    memcpy(ret_hash, h, HASH_SIZE);
}

static const struct hasher fake_hasher = {HASH_SM3, fake_digest};

/* ---- the world ---- */

struct change_row {
    struct slice bytes;
    uint32_t act_pos, act_len;
    uint8_t chain[HASH_SIZE]; /* of own changes, here */
};

struct entry_row {
    int county; /* -1: made at the city */
    uint64_t n;
    bool more; /* the act goes on */
    uint64_t shared_seq;
    struct slice bytes;
    uint8_t hash[HASH_SIZE];
};

struct stream_log {
    uint32_t stream;
    uint64_t seq;
    struct entry_row rows[MAX_ENTRIES + 1]; /* by seq; 0: the chain's start */
};

struct refusal_row {
    uint64_t first_n, last_n;
    bool acked;
};

struct job {
    enum {
        JOB_FACTS,
        JOB_MERGE,
        JOB_ACK,
        JOB_READ,
        JOB_REFUSALS, /* city */
        JOB_CHECK,
        JOB_LOAD,
        JOB_APPLY,
        JOB_REFUSED, /* county */
    } kind;
    unsigned life; /* of the connection it came from */
    struct arena arena;
    const Ztc__Hello *hello;
    const struct push_item *items;
    uint32_t count;
    uint64_t from, upto, echo_above;
    uint32_t stream;
    uint8_t chain[HASH_SIZE];
    const Ztc__Entries *frame;
};

struct jobs {
    struct job list[MAX_JOBS];
    size_t n;
};

struct county {
    int no;
    struct id id;
    struct random_seeded seed;
    /* its store */
    struct change_row changes[MAX_CHANGES + 1]; /* by n */
    uint64_t own_n;
    unsigned answers[MAX_CHANGES + 1];
    bool refused[MAX_CHANGES + 1];
    struct stream_log *logs[2];
    uint64_t cursors[2];
    /* the city's store of it */
    uint64_t accepted_n;
    struct refusal_row refusals[MAX_CHANGES];
    size_t n_refusals;
    /* connection */
    unsigned life;
    bool connected, live; /* CONNECTED was told; a session exists */
    struct client_session client;
    struct server_session server;
    struct client_update cup;
    struct server_update sup;
    struct buf up, down; /* bytes under way */
    struct frame_reader at_city, at_county;
    struct jobs county_jobs, city_jobs;
};

struct world {
    struct random_seeded state;
    struct random r;
    msec_t now;
    struct stream_log shared, site;
    struct county counties[COUNTIES];
    struct jobs writer;
    struct arena memory;
    struct body_codec codec;
    struct client_options client_options;
    struct server_options server_options;
    bool calm; /* no faults any more */
    unsigned cuts, refusals, forgotten, full, echoes, repeated;
};

static struct id incarnation = {{7}};
static struct id ledger_id = {{9}};

static uint64_t below(struct world *w, uint64_t bound)
{
    return random_below(&w->r, bound);
}

static bool rarely(struct world *w, uint64_t one_in)
{
    return !w->calm && below(w, one_in) == 0;
}

static void add_job(struct jobs *jobs, struct job j)
{
    assert_true(jobs->n < MAX_JOBS);
    jobs->list[jobs->n++] = j;
}

static struct job take_job(struct jobs *jobs, size_t at)
{
    struct job j = jobs->list[at];

    memmove(&jobs->list[at], &jobs->list[at + 1], (--jobs->n - at) * sizeof j);
    return j;
}

static void drop_jobs(struct jobs *jobs)
{
    while (jobs->n > 0)
        arena_release(&jobs->list[--jobs->n].arena);
}

/* ---- stores ---- */

static void put_change(struct world *w, struct county *c, uint32_t pos, uint32_t len)
{
    uint64_t n = ++c->own_n;
    struct change_row *row = &c->changes[n];
    struct change change = {.replica = c->id,
                            .n = n,
                            .stream = SITE,
                            .act_pos = pos,
                            .act_len = len,
                            .made_at = w->now,
                            .kind = 1,
                            .op = OP_SET,
                            .catalogue = 1};
    uint8_t hash[HASH_SIZE];
    struct buf out;

    buf_init(&out, 4096);
    change_encode(&out, &change);
    row->bytes = (struct slice){arena_dup(&w->memory, out.p, out.len), out.len};
    row->act_pos = pos;
    row->act_len = len;
    memcpy(row->chain, c->changes[n - 1].chain, HASH_SIZE);
    change_hash(&fake_hasher, row->bytes, hash);
    own_chain_next(&fake_hasher, row->chain, hash);
    buf_release(&out);
}

static void verdict_bytes(uint64_t shared_seq, struct buf *out)
{
    buf_u8(out, 1);
    buf_be64(out, shared_seq);
}

static void append(struct world *w, struct stream_log *log, int county, uint64_t n,
                   struct slice bytes, bool more)
{
    struct entry_row *row = &log->rows[++log->seq];
    uint8_t hash[HASH_SIZE];
    struct buf verdict;

    assert_true(log->seq <= MAX_ENTRIES);
    *row = (struct entry_row){.county = county, .n = n, .more = more, .bytes = bytes};
    row->shared_seq = w->shared.seq;
    buf_init(&verdict, 64);
    verdict_bytes(row->shared_seq, &verdict);
    change_hash(&fake_hasher, bytes, hash);
    chain_next(&fake_hasher, log->rows[log->seq - 1].hash, log->seq, 1, buf_slice(&verdict), hash,
               row->hash);
    buf_release(&verdict);
}

static void put_head(const struct stream_log *log, struct buf *out)
{
    struct head h = {.ledger = ledger_id,
                     .incarnation = incarnation,
                     .stream = log->stream,
                     .seq = log->seq};

    memcpy(h.hash, log->rows[log->seq].hash, HASH_SIZE);
    head_encode(out, &h);
}

static struct client_ledger ledger_of(const struct county *c)
{
    struct client_ledger l = {.own_n = c->own_n};

    while (l.acked_n < c->own_n && c->answers[l.acked_n + 1] > 0)
        l.acked_n++;
    for (uint64_t n = 1; n <= c->own_n; n++)
        l.waiting += c->answers[n] == 0;
    return l;
}

/* ---- driving the machines ---- */

static void step_city(struct world *w, struct county *c, struct server_event *ev,
                      struct arena *arena)
{
    struct server_update *up = &c->sup;
    struct job j = {.life = c->life};

    ev->now = w->now;
    ev->clock = 1700000000000 + w->now;
    ev->arena = arena;
    ev->codec = &w->codec;
    server_session_step(&c->server, ev, up);
    assert_int_equal(up->out.ret, 0);
    if (c->live) {
        buf_put(&c->down, up->out.p, up->out.len);
        assert_int_equal(c->down.ret, 0);
    }
    buf_clear(&up->out);
    if (up->ask != NULL || up->submit != NULL || up->refused_ack != NULL) {
        j.arena = *arena; /* adopted with all that the update points to */
        arena_init(arena, ARENA_MAX);
    }
    if (up->ask != NULL) {
        j.kind = JOB_FACTS;
        j.hello = up->ask;
        add_job(&c->city_jobs, j);
    } else if (up->submit != NULL) {
        j.kind = JOB_MERGE;
        j.items = up->submit;
        j.count = up->submit_count;
        j.stream = (uint32_t)c->no;
        add_job(&w->writer, j);
    } else if (up->refused_ack != NULL) {
        j.kind = JOB_ACK;
        j.stream = (uint32_t)c->no;
        j.from = up->refused_ack->first_n;
        add_job(&w->writer, j);
    }
    if (up->read.wanted) {
        struct job read = {.kind = JOB_READ,
                           .life = c->life,
                           .stream = up->read.stream,
                           .from = up->read.from_seq,
                           .upto = up->read.upto_seq,
                           .echo_above = up->read.echo_above};

        arena_init(&read.arena, 1);
        add_job(&c->city_jobs, read);
    }
    if (up->read_refusals_from != 0) {
        struct job more = {.kind = JOB_REFUSALS, .life = c->life, .from = up->read_refusals_from};

        arena_init(&more.arena, 1);
        add_job(&c->city_jobs, more);
    }
}

static void city_event(struct world *w, struct county *c, struct server_event ev)
{
    struct arena arena;

    arena_init(&arena, ARENA_MAX);
    step_city(w, c, &ev, &arena);
    arena_release(&arena);
}

static bool is_push(const struct buf *out)
{
    return out->len > FRAME_PREFIX && out->p[FRAME_PREFIX] == (3 << 3 | 2);
}

static void step_county(struct world *w, struct county *c, struct client_event *ev,
                        struct arena *arena)
{
    struct client_update *up = &c->cup;
    struct job j = {.life = c->life};

    ev->now = w->now;
    ev->clock = 1600000000000 + w->now;
    ev->arena = arena;
    client_session_step(&c->client, ev, up);
    assert_int_equal(up->out.ret, 0);
    if (c->live) {
        buf_put(&c->up, up->out.p, up->out.len);
        if (is_push(&up->out) && rarely(w, 4)) { /* said twice */
            buf_put(&c->up, up->out.p, up->out.len);
            w->repeated++;
        }
        assert_int_equal(c->up.ret, 0);
    }
    buf_clear(&up->out);
    if (up->load.wanted) {
        struct job load = {.kind = JOB_LOAD,
                           .life = c->life,
                           .from = up->load.from_n,
                           .count = up->load.max_count};

        arena_init(&load.arena, 1);
        add_job(&c->county_jobs, load);
    }
    if (up->check.wanted) {
        struct job check = {.kind = JOB_CHECK, .life = c->life, .from = up->check.n};

        memcpy(check.chain, up->check.chain.p, HASH_SIZE);
        arena_init(&check.arena, 1);
        add_job(&c->county_jobs, check);
    }
    if (up->apply == NULL && up->store_refused == NULL)
        return;
    j.arena = *arena;
    arena_init(arena, ARENA_MAX);
    if (up->apply != NULL) {
        j.kind = JOB_APPLY;
        j.frame = up->apply;
    } else {
        j.kind = JOB_REFUSED;
        j.from = up->store_refused->first_n;
        j.upto = up->store_refused->last_n;
    }
    add_job(&c->county_jobs, j);
}

static void county_event(struct world *w, struct county *c, struct client_event ev)
{
    struct arena arena;

    arena_init(&arena, ARENA_MAX);
    step_county(w, c, &ev, &arena);
    arena_release(&arena);
}

static void hang_up(struct world *w, struct county *c)
{
    if (!c->live)
        return;
    c->live = c->connected = false;
    city_event(w, c, (struct server_event){.kind = SERVER_GONE});
    county_event(w, c, (struct client_event){.kind = CLIENT_GONE});
    assert_int_equal(c->server.state, SERVER_CLOSED);
    assert_int_equal(c->client.state, CLIENT_OFFLINE);
    client_session_release(&c->client);
    frame_reader_release(&c->at_city);
    frame_reader_release(&c->at_county);
    buf_clear(&c->up);
    buf_clear(&c->down);
    /* Reads die with the session; what the county's own store was given it still does. */
    drop_jobs(&c->city_jobs);
}

static void dial(struct world *w, struct county *c)
{
    c->live = true;
    c->life++;
    client_session_init(&c->client, &w->client_options, w->now);
    server_session_init(&c->server, &w->server_options);
    frame_reader_init(&c->at_city, FRAME_MAX_STRANGER);
    frame_reader_init(&c->at_county, FRAME_MAX);
}

static void connect_county(struct world *w, struct county *c)
{
    struct client_facts f = {.replica = c->id,
                             .catalogue = 1,
                             .software = "ztc/0.1.0",
                             .ledger = ledger_of(c),
                             .n_cursors = 2};
    struct server_event open = {.kind = SERVER_OPEN};

    memcpy(f.own_chain, c->changes[c->own_n].chain, HASH_SIZE);
    memcpy(f.acked_chain, c->changes[f.ledger.acked_n].chain, HASH_SIZE);
    for (size_t i = 0; i < 2; i++) {
        f.cursors[i].stream = c->logs[i]->stream;
        f.cursors[i].seq = c->cursors[i];
        memcpy(f.cursors[i].hash, c->logs[i]->rows[c->cursors[i]].hash, HASH_SIZE);
        if (c->cursors[i] > 0)
            f.cursors[i].incarnation = incarnation;
    }
    open.open.replica = c->id;
    open.open.site = SITE;
    c->connected = true;
    city_event(w, c, open);
    county_event(w, c, (struct client_event){.kind = CLIENT_CONNECTED, .facts = &f});
}

/* A piece of what is under way arrives at one end, frame by frame. */
static void deliver(struct world *w, struct county *c, bool to_city)
{
    struct buf *pipe = to_city ? &c->up : &c->down;
    struct frame_reader *reader = to_city ? &c->at_city : &c->at_county;
    size_t most = pipe->len < 2000 ? pipe->len : 2000;
    size_t n = most == 0 ? 0 : 1 + below(w, most);
    struct slice left = {pipe->p, n};
    unsigned life = c->life;

    while (left.len > 0 && c->life == life && (to_city ? c->sup.reading : c->cup.reading)) {
        struct server_event sev = {.kind = SERVER_FRAME};
        struct client_event cev = {.kind = CLIENT_FRAME};
        Ztc__Frame *frame;
        struct arena arena;
        size_t used;

        arena_init(&arena, ARENA_MAX);
        if (to_city)
            frame_reader_set_max(reader, server_session_frame_max(&c->server));
        assert_int_equal(frame_feed(reader, left, &arena, &used, &frame), 0);
        left.p += used;
        left.len -= used;
        sev.frame = cev.frame = frame;
        if (frame != NULL && to_city)
            step_city(w, c, &sev, &arena);
        else if (frame != NULL)
            step_county(w, c, &cev, &arena);
        arena_release(&arena);
    }
    buf_consume(pipe, n - left.len);
    if (to_city)
        county_event(w, c, (struct client_event){.kind = CLIENT_DRAINED, .unsent = c->up.len});
    else
        city_event(w, c, (struct server_event){.kind = SERVER_DRAINED, .unsent = c->down.len});
}

/* ---- jobs of the city ---- */

static void do_facts(struct world *w, struct county *c, const struct job *j)
{
    struct server_facts f = {.incarnation = incarnation,
                             .catalogue = 1,
                             .accepted_n = c->accepted_n};
    struct server_signed heads[2];
    struct server_refusal refusals[4];
    struct buf bytes[2];
    struct server_event ev = {.kind = SERVER_FACTS};

    memcpy(f.accepted_chain, c->changes[c->accepted_n].chain, HASH_SIZE);
    memcpy(f.acked_chain, c->changes[j->hello->acked_n].chain, HASH_SIZE);
    for (size_t i = 0; i < 2; i++) {
        buf_init(&bytes[i], 256);
        put_head(c->logs[i], &bytes[i]);
        heads[i] = (struct server_signed){buf_slice(&bytes[i]), slice_str("signature")};
        f.heads[i] = (struct server_head){c->logs[i]->stream, c->logs[i]->seq};
        f.cursor_ok[i] = true;
    }
    for (size_t i = 0; i < c->n_refusals; i++) {
        const struct refusal_row *r = &c->refusals[i];

        if (r->acked)
            continue;
        if (f.n_refusals == 2) {
            f.more_refusals = true;
            break;
        }
        refusals[f.n_refusals++] =
            (struct server_refusal){r->first_n,          r->last_n,
                                    r->first_n,          slice_str("ZT-STATE"),
                                    slice_str("不允许"), false};
    }
    f.refusals = refusals;
    f.signed_heads = heads;
    f.n_signed_heads = 2;
    ev.facts.facts = &f;
    city_event(w, c, ev);
    buf_release(&bytes[0]);
    buf_release(&bytes[1]);
}

static void do_refusals(struct world *w, struct county *c, const struct job *j)
{
    struct server_refusal list[1];
    struct server_event ev = {.kind = SERVER_REFUSALS};

    for (size_t i = 0; i < c->n_refusals && !ev.refusals.more; i++) {
        const struct refusal_row *r = &c->refusals[i];

        if (r->acked || r->first_n < j->from)
            continue;
        ev.refusals.more = ev.refusals.n_refusals == 1;
        if (!ev.refusals.more)
            list[ev.refusals.n_refusals++] =
                (struct server_refusal){r->first_n,    r->last_n, r->last_n, slice_str("ZT-STATE"),
                                        slice_str(""), false};
    }
    ev.refusals.refusals = list;
    city_event(w, c, ev);
}

static void do_read(struct world *w, struct county *c, const struct job *j)
{
    struct stream_log *log = j->stream == STREAM_SHARED ? &w->shared : &w->site;
    struct buf plain, packed, head, verdict;
    struct server_event ev = {.kind = SERVER_READ};
    uint32_t most = 1 + (uint32_t)below(w, 12);
    uint64_t seq = j->from;

    buf_init(&plain, WIRE_BODY_MAX);
    buf_init(&packed, FRAME_MAX);
    buf_init(&head, 256);
    buf_init(&verdict, 64);
    for (; seq <= j->upto; seq++) {
        const struct entry_row *row = &log->rows[seq];
        bool echo = row->county == c->no && row->n > j->echo_above;

        buf_clear(&verdict);
        verdict_bytes(row->shared_seq, &verdict);
        body_put_entry(&plain, 1, buf_slice(&verdict), echo ? row->n : 0, row->bytes,
                       slice_str(""));
        ev.read.count++;
        if (ev.read.count >= most && !row->more)
            break;
    }
    put_head(log, &head);
    assert_int_equal(body_compress(&w->codec, buf_slice(&plain), &packed), 0);
    ev.read.stream = j->stream;
    ev.read.first_seq = j->from;
    ev.read.size = (uint32_t)plain.len;
    ev.read.body = buf_slice(&packed);
    ev.read.closing = (struct server_signed){buf_slice(&head), slice_str("signature")};
    city_event(w, c, ev);
    buf_release(&plain);
    buf_release(&packed);
    buf_release(&head);
    buf_release(&verdict);
}

static void city_job(struct world *w, struct county *c)
{
    struct job j;

    if (c->city_jobs.n == 0)
        return;
    j = take_job(&c->city_jobs, below(w, c->city_jobs.n));
    if (j.kind == JOB_FACTS)
        do_facts(w, c, &j);
    else if (j.kind == JOB_READ)
        do_read(w, c, &j);
    else
        do_refusals(w, c, &j);
    arena_release(&j.arena);
}

static void tell_heads(struct world *w)
{
    struct server_head heads[2] = {{STREAM_SHARED, w->shared.seq}, {SITE, w->site.seq}};
    struct server_event ev = {.kind = SERVER_HEADS};

    ev.heads.heads = heads;
    ev.heads.n_heads = 2;
    for (size_t i = 0; i < COUNTIES; i++) {
        if (w->counties[i].live)
            city_event(w, &w->counties[i], ev);
    }
}

/* One act: accepted into the stream, or refused whole. Exactly once, whoever brings it. */
static int merge_act(struct world *w, struct county *c, const struct push_item *items, uint32_t len,
                     struct server_refusal *refusals, size_t *n_refusals)
{
    uint64_t first = items[0].change.n;

    if (first <= c->accepted_n)
        return 0;
    if (first != c->accepted_n + 1)
        return E_PROTOCOL;
    for (uint32_t i = 0; i < len; i++)
        assert_true(slice_eq(items[i].bytes, c->changes[first + i].bytes));
    c->accepted_n += len;
    if (first % 5 == 0) {
        c->refusals[c->n_refusals++] = (struct refusal_row){first, first + len - 1, false};
        refusals[(*n_refusals)++] = (struct server_refusal){
            first, first + len - 1, first, slice_str("ZT-STATE"), slice_str("不允许"), false};
        w->refusals++;
        return 0;
    }
    if (first % 7 == 0)
        append(w, &w->shared, -1, 0, slice_str("a rule's effect"), false);
    for (uint32_t i = 0; i < len; i++)
        append(w, &w->site, c->no, first + i, c->changes[first + i].bytes, i + 1 < len);
    return 0;
}

static void do_merge(struct world *w, struct county *c, const struct job *j)
{
    struct server_refusal refusals[MAX_CHANGES];
    struct server_event ev = {.kind = SERVER_MERGED};

    if (rarely(w, 40)) {
        ev.merged.ret = E_FULL;
        w->full++;
    }
    for (uint32_t i = 0; ev.merged.ret == 0 && i < j->count;) {
        uint32_t len = j->items[i].change.act_len;

        ev.merged.ret = merge_act(w, c, &j->items[i], len, refusals, &ev.merged.n_refusals);
        i += len;
    }
    ev.merged.answered_n = c->accepted_n;
    ev.merged.refusals = refusals;
    if (c->live && c->life == j->life)
        city_event(w, c, ev);
    tell_heads(w);
}

static void writer_job(struct world *w)
{
    struct job j;
    struct county *c;

    if (w->writer.n == 0)
        return;
    j = take_job(&w->writer, 0);
    c = &w->counties[j.stream];
    if (j.kind == JOB_MERGE)
        do_merge(w, c, &j);
    for (size_t i = 0; j.kind == JOB_ACK && i < c->n_refusals; i++) {
        if (c->refusals[i].first_n == j.from)
            c->refusals[i].acked = true;
    }
    arena_release(&j.arena);
}

/* ---- jobs of a county ---- */

static void do_load(struct world *w, struct county *c, const struct job *j)
{
    struct buf plain, packed;
    struct client_event ev = {.kind = CLIENT_LOADED};
    uint64_t n = j->from;

    buf_init(&plain, WIRE_BODY_MAX);
    buf_init(&packed, FRAME_MAX);
    while (n <= c->own_n) {
        uint32_t len = c->changes[n].act_len;

        if (ev.loaded.count > 0 && ev.loaded.count + len > j->count)
            break;
        for (uint32_t i = 0; i < len; i++)
            body_put_change(&plain, c->changes[n + i].bytes, slice_str(""));
        n += len;
        ev.loaded.count += len;
    }
    if (plain.len > 0)
        assert_int_equal(body_compress(&w->codec, buf_slice(&plain), &packed), 0);
    ev.loaded.first_n = j->from;
    ev.loaded.size = (uint32_t)plain.len;
    ev.loaded.body = buf_slice(&packed);
    county_event(w, c, ev);
    buf_release(&plain);
    buf_release(&packed);
}

static void answer(struct county *c, uint64_t n, bool refused)
{
    assert_true(n >= 1 && n <= c->own_n);
    c->answers[n]++;
    assert_int_equal(c->answers[n], 1);
    c->refused[n] = refused;
}

static void apply_entry(struct world *w, struct county *c, size_t which, const Ztc__Entry *e)
{
    uint64_t seq = ++c->cursors[which];
    const struct entry_row *row = &c->logs[which]->rows[seq];
    struct rd r = rd_of(wire_slice(e->verdict));

    (void)rd_u8(&r);
    if (which == 1) /* `shared` came first */
        assert_true(rd_be64(&r) <= c->cursors[0]);
    if (e->has_echo_n) {
        assert_int_equal(row->county, c->no);
        assert_int_equal(row->n, e->echo_n);
        answer(c, e->echo_n, false);
        w->echoes++;
    } else {
        assert_int_not_equal(row->county, c->no);
        assert_true(slice_eq(wire_slice(e->bytes), row->bytes));
    }
}

static int apply(struct world *w, struct county *c, struct job *j)
{
    size_t which = j->frame->stream == STREAM_SHARED ? 0 : 1;
    Ztc__EntriesBody *body;

    if (rarely(w, 60)) {
        w->full++;
        return E_FULL;
    }
    assert_int_equal(j->frame->first_seq, c->cursors[which] + 1);
    assert_int_equal(body_open_entries(&w->codec, wire_slice(j->frame->body), j->frame->size,
                                       j->frame->count, &j->arena, &body),
                     0);
    for (size_t i = 0; i < body->n_entries; i++)
        apply_entry(w, c, which, body->entries[i]);
    assert_false(c->logs[which]->rows[c->cursors[which]].more);
    return 0;
}

static void do_apply(struct world *w, struct county *c, struct job *j)
{
    struct client_event ev = {.kind = CLIENT_APPLIED, .ret = apply(w, c, j)};

    ev.ledger = ledger_of(c);
    ev.applied.stream = j->frame->stream;
    ev.applied.seq = j->frame->first_seq + j->frame->count - 1;
    if (c->live && c->life == j->life)
        county_event(w, c, ev);
}

static void do_refused(struct world *w, struct county *c, const struct job *j)
{
    struct client_event ev = {.kind = CLIENT_REFUSED_STORED};

    /* A refusal is repeated until it is acknowledged; it is stored once. */
    for (uint64_t n = j->from; n <= j->upto; n++) {
        if (c->answers[n] == 0)
            answer(c, n, true);
        else
            assert_true(c->refused[n]);
    }
    ev.ledger = ledger_of(c);
    ev.refused.first_n = j->from;
    ev.refused.until_n = c->own_n;
    if (c->live && c->life == j->life)
        county_event(w, c, ev);
}

/* A batch behind one that was not taken in finds no place any more. */
static bool may_apply(struct world *w, const struct county *c, const struct job *j)
{
    size_t which = j->frame->stream == STREAM_SHARED ? 0 : 1;

    if (c->life == j->life)
        return c->client.state < CLIENT_CLOSING;
    return below(w, 2) == 0 && j->frame->first_seq == c->cursors[which] + 1;
}

static void county_job(struct world *w, struct county *c)
{
    struct client_event ev = {.kind = CLIENT_CHECKED};
    struct job j;

    if (c->county_jobs.n == 0)
        return;
    j = take_job(&c->county_jobs, 0);
    if (j.kind == JOB_APPLY && may_apply(w, c, &j))
        do_apply(w, c, &j);
    else if (j.kind == JOB_REFUSED)
        do_refused(w, c, &j);
    else if (j.kind == JOB_LOAD && c->live && c->life == j.life)
        do_load(w, c, &j);
    else if (j.kind == JOB_CHECK && c->live && c->life == j.life) {
        ev.ret = memcmp(c->changes[j.from].chain, j.chain, HASH_SIZE) == 0 ? 0 : E_FORK;
        county_event(w, c, ev);
    }
    arena_release(&j.arena);
}

/* ---- what can happen ---- */

/* Sessions end because the line broke or a disk was full; never because one machine found fault with
 * the other, and never by silence. */
static void trace_county(void *ctx, const struct client_session *s, enum client_state from)
{
    (void)ctx;
    (void)from;
    if (s->state == CLIENT_CLOSING && s->cause != E_FULL && s->cause != E_CLOSED)
        fail_msg("county closes: %s", err_code(s->cause));
}

static void trace_city(void *ctx, const struct server_session *s, enum server_state from)
{
    (void)ctx;
    (void)from;
    if (s->state == SERVER_CLOSING && s->cause != E_FULL && s->cause != 0)
        fail_msg("city closes: %s", err_code(s->cause));
}

static void make_act(struct world *w, struct county *c)
{
    uint32_t len = 1 + (uint32_t)below(w, 4);

    if (w->calm || c->own_n + len > MAX_CHANGES)
        return;
    for (uint32_t i = 0; i < len; i++)
        put_change(w, c, i, len);
    if (c->live && below(w, 3) != 0) /* the word of it may come late, or never */
        county_event(w, c, (struct client_event){.kind = CLIENT_LOCAL, .ledger = ledger_of(c)});
}

static void cut(struct world *w, struct county *c)
{
    w->cuts++;
    hang_up(w, c);
    if (!rarely(w, 3))
        return;
    /* The city dies with it: what was not merged is forgotten. */
    w->forgotten++;
    for (size_t i = 0; i < COUNTIES; i++)
        hang_up(w, &w->counties[i]);
    drop_jobs(&w->writer);
}

static void pass_time(struct world *w)
{
    w->now += below(w, 40);
    for (size_t i = 0; i < COUNTIES; i++) {
        struct county *c = &w->counties[i];

        if (c->live && c->sup.deadline != 0 && c->sup.deadline <= w->now)
            city_event(w, c, (struct server_event){.kind = SERVER_TIMER});
        if (c->live && client_session_deadline(&c->client) != 0 &&
            client_session_deadline(&c->client) <= w->now)
            county_event(w, c, (struct client_event){.kind = CLIENT_TIMER});
    }
}

/* A side that wants to close does so once its output is gone. */
static void close_asked(struct world *w, struct county *c)
{
    if (!c->live)
        return;
    if (c->client.state == CLIENT_CLOSING && c->up.len == 0)
        hang_up(w, c);
    else if (c->server.state == SERVER_CLOSING && c->down.len == 0)
        hang_up(w, c);
}

static void happen(struct world *w)
{
    struct county *c = &w->counties[below(w, COUNTIES)];

    switch (below(w, 9)) {
    case 0:
        make_act(w, c);
        break;
    case 1:
    case 2:
        county_job(w, c);
        break;
    case 3:
        city_job(w, c);
        break;
    case 4:
        writer_job(w);
        break;
    case 5:
        if (c->connected)
            deliver(w, c, true);
        break;
    case 6:
        if (c->connected)
            deliver(w, c, false);
        break;
    case 7:
        pass_time(w);
        if (!c->live && c->county_jobs.n == 0)
            dial(w, c);
        else if (c->live && !c->connected)
            connect_county(w, c);
        break;
    default:
        if (rarely(w, 25))
            cut(w, c);
        else if (rarely(w, 10)) {
            append(w, &w->shared, -1, 0, slice_str("a notice"), false);
            tell_heads(w);
        }
        break;
    }
    close_asked(w, c);
}

/* ---- running a seed ---- */

static struct world *world_new(uint64_t seed)
{
    struct world *w = mem_calloc(1, sizeof *w);

    w->r = random_seeded_init(&w->state, seed);
    w->now = 1;
    arena_init(&w->memory, ARENA_MAX);
    body_codec_init(&w->codec);
    w->client_options = client_options_preset;
    w->client_options.queue_max = 600;
    w->client_options.unsent_max = 800;
    w->server_options = server_options_preset;
    w->server_options.push_window = 1 + (uint32_t)below(w, 12);
    w->server_options.unmerged_max = 300;
    w->server_options.unsent_max = 500;
    w->server_options.ping_every = 400;
    w->server_options.dead_after = 4000;
    w->client_options.trace = trace_county;
    w->server_options.trace = trace_city;
    w->shared.stream = STREAM_SHARED;
    w->site.stream = SITE;
    chain_start(&fake_hasher, STREAM_SHARED, &ledger_id, w->shared.rows[0].hash);
    chain_start(&fake_hasher, SITE, &ledger_id, w->site.rows[0].hash);
    for (int i = 0; i < COUNTIES; i++) {
        struct county *c = &w->counties[i];

        c->no = i;
        c->id.b[0] = (uint8_t)(i + 1);
        c->logs[0] = &w->shared;
        c->logs[1] = &w->site;
        own_chain_start(&fake_hasher, &c->id, c->changes[0].chain);
        client_update_init(&c->cup);
        server_update_init(&c->sup);
        buf_init(&c->up, 8u << 20);
        buf_init(&c->down, 8u << 20);
    }
    return w;
}

static void world_free(struct world *w)
{
    for (int i = 0; i < COUNTIES; i++) {
        struct county *c = &w->counties[i];

        hang_up(w, c);
        drop_jobs(&c->county_jobs);
        drop_jobs(&c->city_jobs);
        client_update_release(&c->cup);
        server_update_release(&c->sup);
        buf_release(&c->up);
        buf_release(&c->down);
    }
    drop_jobs(&w->writer);
    body_codec_release(&w->codec);
    arena_release(&w->memory);
    mem_free(w);
}

static bool all_settled(const struct world *w)
{
    for (int i = 0; i < COUNTIES; i++) {
        const struct county *c = &w->counties[i];

        if (!c->live || c->client.state != CLIENT_UP_TO_DATE || c->cursors[0] != w->shared.seq ||
            c->cursors[1] != w->site.seq || c->server.unsent != 0)
            return false;
    }
    return true;
}

static void check_settled(const struct world *w)
{
    for (int i = 0; i < COUNTIES; i++) {
        const struct county *c = &w->counties[i];

        assert_true(client_session_complete(&c->client));
        assert_int_equal(c->accepted_n, c->own_n);
        for (uint64_t n = 1; n <= c->own_n; n++)
            assert_int_equal(c->answers[n], 1);
        for (size_t k = 0; k < c->n_refusals; k++)
            assert_true(c->refused[c->refusals[k].first_n]);
    }
}

static void run_seed(uint64_t seed, struct world *sum)
{
    struct world *w = world_new(seed);
    unsigned steps = 0;

    for (; steps < 6000; steps++)
        happen(w);
    w->calm = true;
    for (size_t i = 0; i < COUNTIES; i++) {
        struct county *c = &w->counties[i];

        if (c->live)
            county_event(w, c, (struct client_event){.kind = CLIENT_LOCAL, .ledger = ledger_of(c)});
    }
    while (!all_settled(w) && steps++ < 200000)
        happen(w);
    if (steps >= 200000)
        fail_msg("seed %llu: does not settle", (unsigned long long)seed);
    check_settled(w);
    sum->cuts += w->cuts;
    sum->refusals += w->refusals;
    sum->forgotten += w->forgotten;
    sum->full += w->full;
    sum->echoes += w->echoes;
    sum->repeated += w->repeated;
    world_free(w);
}

/* Every change is answered exactly once, whatever the seed does to the connections. */
static void test_sessions__answered_exactly_once(void **state)
{
    static struct world sum;
    const char *only = getenv("SEED");
    uint64_t from = only != NULL ? strtoull(only, NULL, 10) : 1;
    uint64_t to = only != NULL ? from : SEEDS;

    (void)state;
    for (uint64_t seed = from; seed <= to; seed++) {
        run_seed(seed, &sum);
    }
    printf("cuts %u, city deaths %u, full disks %u, refusals %u, echoes %u, repeated pushes %u\n",
           sum.cuts, sum.forgotten, sum.full, sum.refusals, sum.echoes, sum.repeated);
    assert_true(only != NULL ||
                (sum.cuts && sum.forgotten && sum.full && sum.refusals && sum.repeated));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sessions__answered_exactly_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
