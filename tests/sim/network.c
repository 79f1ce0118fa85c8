/* Connections: both session machines on two pipes with delays, and the drivers that do what they ask. */
#include "tests/sim/world_internal.h"

#include "client/store/exchange.h"
#include "client/store/repair.h"
#include "common/base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EVENT_ARENA (24u << 20)
#define REST_MAX    (64u << 20)

static struct sim_replica *replica_of(struct link *l)
{
    return &l->w->replicas[l->replica];
}

static void client_event(struct link *l, struct client_event *ev);

/* ---- pipes ---- */

static void deliver(struct world *w, void *subject);
static void deliver_back(struct world *w, void *subject);

/* When what is sent now arrives: behind what went before, and not before a partition ends. */
static msec_t due(struct link *l, int dir, enum chunk_fault fault)
{
    struct world *w = l->w;
    msec_t at = w->now + 1 + world_roll(w, 40);

    if (fault == CHUNK_DELAYED) {
        w->counts[SIM_DELAYED]++;
        at += 2000 + world_roll(w, 60000);
    }
    if (at < replica_of(l)->blocked_until[dir])
        at = replica_of(l)->blocked_until[dir];
    if (l->due[dir] < at)
        l->due[dir] = at;
    return l->due[dir];
}

static struct chunk *new_chunk(const struct buf *out, enum chunk_fault fault)
{
    struct chunk *c = mem_alloc(sizeof *c + out->len);

    if (c == NULL)
        abort();
    c->next = NULL;
    c->fault = fault;
    c->len = out->len;
    memcpy(c->data, out->p, out->len);
    return c;
}

static void send_bytes(struct link *l, int dir, struct buf *out)
{
    enum chunk_fault fault = l->fault[dir];
    struct chunk *c;

    if (out->len == 0)
        return;
    world_trace(l->w, out->p, out->len);
    l->fault[dir] = CHUNK_WHOLE;
    if (fault == CHUNK_LOST) {
        world_say(l->w, "a chunk %s replica %u is lost", dir == TO_CITY ? "of" : "for", l->replica);
        l->w->counts[SIM_LOST]++;
        l->hole[dir] = true;
    } else {
        c = new_chunk(out, fault);
        *l->pipe_end[dir] = c;
        l->pipe_end[dir] = &c->next;
        world_at(l->w, due(l, dir, fault) - l->w->now, dir == TO_CITY ? deliver : deliver_back, l);
    }
    buf_clear(out);
}

static void drop_pipe(struct link *l, int dir)
{
    while (l->pipe[dir] != NULL) {
        struct chunk *next = l->pipe[dir]->next;

        mem_free(l->pipe[dir]);
        l->pipe[dir] = next;
    }
    l->pipe_end[dir] = &l->pipe[dir];
}

static struct chunk *take_chunk(struct link *l, int dir)
{
    struct chunk *c = l->pipe[dir];

    if (c == NULL)
        return NULL;
    l->pipe[dir] = c->next;
    if (c->next == NULL)
        l->pipe_end[dir] = &l->pipe[dir];
    return c;
}

/* ---- the city's end ---- */

static void server_timer(struct world *w, void *subject)
{
    struct link *l = subject;
    struct server_event ev = {.kind = SERVER_TIMER};

    (void)w;
    if (l->server_open)
        network_server_event(l, &ev);
}

static void server_hang_up(struct world *w, void *subject);
static void client_hang_up(struct world *w, void *subject);

static void server_follow(struct link *l)
{
    struct server_update *up = &l->sup;
    struct world *w = l->w;

    if (up->ask != NULL)
        writer_ask(l, up->ask);
    if (up->submit_count > 0)
        writer_submit(l, up->submit, up->submit_count);
    if (up->refused_ack != NULL)
        writer_ack(l, up->refused_ack);
    if (up->said != NULL)
        writer_said(l, up->said);
    if (up->read_refusals_from != 0)
        writer_refusals(l, up->read_refusals_from);
    if (up->read.wanted)
        writer_read(l, up);
    late_read(l, up);
    refill_follow(l, up);
    if (up->identity != NULL)
        successor_asked(l, up->identity);
    if (up->tell != NULL)
        writer_tell(l, up->tell);
    if (up->repaired != NULL)
        writer_note(l, up->repaired);
    blobs_server(l, up);
    if (up->deadline != 0)
        world_at(w, up->deadline > w->now ? up->deadline - w->now : 0, server_timer, l);
    if (up->close != SERVER_KEEP && l->server_open)
        world_at(w, up->close == SERVER_CLOSE_NOW ? 0 : 200, server_hang_up, l);
}

void network_server_event(struct link *l, struct server_event *ev)
{
    struct arena own;
    struct arena *given = ev->arena;
    bool sent;

    arena_init(&own, EVENT_ARENA);
    ev->now = l->w->now;
    ev->clock = world_clock(l->w, l->w->skew);
    ev->arena = given != NULL ? given : &own;
    ev->codec = &l->codec;
    server_session_step(&l->ss, ev, &l->sup);
    server_session_check(&l->ss);
    frame_reader_set_max(&l->server_in, server_session_frame_max(&l->ss));
    sent = l->sup.out.len > 0;
    if (l->server_open)
        send_bytes(l, TO_COUNTY, &l->sup.out);
    else
        buf_clear(&l->sup.out);
    server_follow(l);
    arena_release(&own);
    if (sent && l->server_open) {
        struct server_event drained = {.kind = SERVER_DRAINED};

        network_server_event(l, &drained);
    }
}

static void server_bytes(struct link *l, struct slice data)
{
    while (l->server_open && data.len > 0) {
        struct server_event ev = {.kind = SERVER_FRAME};
        Ztc__Frame *frame;
        struct arena a;
        size_t taken;
        int ret;

        if (!l->sup.reading) {
            buf_put(&l->rest[TO_CITY], data.p, data.len);
            return;
        }
        arena_init(&a, EVENT_ARENA);
        ret = frame_feed(&l->server_in, data, &a, &taken, &frame);
        data.p += taken;
        data.len -= taken;
        ev.arena = &a;
        if (ret != 0) {
            ev.kind = SERVER_BROKEN;
            ev.broken = ret;
            if (!l->garbage)
                world_fail(l->w, "the city cannot read a frame of ours: %s", err_code(ret));
        } else if (frame != NULL) {
            ev.frame = frame;
        } else {
            ev.kind = SERVER_HEARD;
        }
        network_server_event(l, &ev);
        arena_release(&a);
        if (ret != 0)
            return;
    }
}

/* What waited while reading was paused goes on. */
static void server_rest(struct link *l)
{
    struct buf rest = l->rest[TO_CITY];

    if (rest.len == 0 || !l->sup.reading || !l->server_open)
        return;
    buf_init(&l->rest[TO_CITY], REST_MAX);
    server_bytes(l, buf_slice(&rest));
    buf_release(&rest);
}

/* ---- the county's end ---- */

static void client_timer(struct world *w, void *subject)
{
    struct link *l = subject;
    struct client_event ev = {.kind = CLIENT_TIMER};

    (void)w;
    if (l->client_open)
        client_event(l, &ev);
}

struct answers {
    struct client_event ev[11 + CLIENT_LANES];
    struct client_point points[WIRE_POINTS_MAX]; /* of the one that asks for an identity */
    unsigned n;
};

static void client_apply(struct link *l, const Ztc__Entries *m, struct arena *a,
                         struct client_event *ret, struct err *err)
{
    struct replica *r = replica_of(l)->r;
    struct exchange_batch batch = exchange_batch_of(m);

    exchange_read(&batch, replica_hasher(r), &l->codec, a);
    exchange_take(r, &batch, ret, err);
    if (ret->ret == 0)
        causality_arrived(l->w, replica_of(l), batch.stream, batch.first_seq, ret->applied.seq);
}

static void load(struct link *l, struct replica *r, struct client_event *ret, struct err *err)
{
    exchange_load(r, &l->cup, &l->codec, &l->packed, ret, err);
    l->w->counts[SIM_HELD_BACK] += ret->ret == 0 && ret->loaded.count == 0;
}

static void welcome(struct link *l, struct replica *r, const Ztc__Welcome *m, struct arena *a,
                    struct answers *out)
{
    struct client_event *ev = &out->ev[out->n++];
    struct err err = {.ret = 0};
    int ret = exchange_welcome(r, m, a, ev, &err);

    replica_of(l)->attempt = 0;
    if (ret != 0)
        *ev = (struct client_event){.kind = CLIENT_BROKEN, .ret = ret};
}

/* Two have one identity, or one runs on a backup, and what the city says fits only the other. */
static bool is_double(const struct sim_replica *r, int ret)
{
    return (r->restored || r->copied) && (ret == E_FORK || ret == E_PROTOCOL || ret == E_CORRUPT);
}

/* A disk may fail, and one that is not alone be found out; nothing else may fail. */
static void judge_answers(struct link *l, const struct answers *a, const struct err *err)
{
    for (unsigned i = 0; i < a->n; i++) {
        if (a->ev[i].ret != 0 && !is_double(replica_of(l), a->ev[i].ret) &&
            !computers_excuse(replica_of(l)->disk, a->ev[i].ret))
            world_fail(l->w, "replica %u cannot do its part: %s %s", l->replica,
                       err_code(a->ev[i].ret), err->text);
    }
}

/* The work an update asks for, in the order of the store. */
static void client_work(struct link *l, struct arena *a, struct answers *out)
{
    struct client_update *up = &l->cup;
    struct replica *r = replica_of(l)->r;
    struct err err = {.ret = 0};

    out->n = 0;
    if (r == NULL)
        return;
    if (up->welcome != NULL)
        welcome(l, r, up->welcome, a, out);
    if (up->check.wanted)
        exchange_check(r, up, &out->ev[out->n++], &err);
    if (up->store_refused != NULL) {
        exchange_refused(r, up, world_clock(l->w, replica_of(l)->skew), &out->ev[out->n++], &err);
        l->w->counts[SIM_REFUSED]++;
        l->w->counts[SIM_KEPT_ASIDE] += up->store_refused->quarantined != 0;
        if (slice_eq(wire_slice(up->store_refused->code), slice_str(err_code(E_AFTER))) ||
            slice_eq(wire_slice(up->store_refused->code), slice_str(err_code(E_PARENT))))
            l->w->counts[SIM_AFTER]++;
        world_say(l->w, "replica %u: refused %llu-%llu %.*s", l->replica,
                  (unsigned long long)up->store_refused->first_n,
                  (unsigned long long)up->store_refused->last_n,
                  (int)up->store_refused->text.len, (const char *)up->store_refused->text.data);
    }
    if (up->apply != NULL)
        client_apply(l, up->apply, a, &out->ev[out->n++], &err);
    if (up->digest.ask != NULL)
        exchange_digest(r, up, world_clock(l->w, replica_of(l)->skew), a, &out->ev[out->n++], &err);
    if (up->repair_told != 0)
        (void)replica_repair_told(r, up->repair_told, NULL); /* else it is told again */
    if (up->begin.wanted || up->store_slice != NULL || up->store_history != NULL)
        late_take(l, a, &out->ev[out->n++], &err);
    if (up->load.wanted)
        load(l, r, &out->ev[out->n++], &err);
    for (size_t i = 0; i < CLIENT_LANES; i++) {
        if (up->blob[i].ask != CLIENT_BLOB_NOTHING)
            out->n += blobs_client(l, (enum client_lane_name)i, &up->blob[i], &out->ev[out->n], &err);
    }
    if (up->refill.wanted)
        refill_hand_back(l, &out->ev[out->n++], &err);
    if (up->fork.wanted)
        successor_ask(l, out->points, &out->ev[out->n++], &err);
    if (up->take_identity.granted != NULL)
        successor_take(l, &out->ev[out->n++], &err);
    if (up->go_back != NULL)
        refill_go_back(l, &out->ev[out->n++], &err);
    judge_answers(l, out, &err);
}

static void client_event(struct link *l, struct client_event *ev)
{
    struct world *w = l->w;
    struct arena own;
    struct answers answers = {.n = 0};
    bool sent;

    arena_init(&own, EVENT_ARENA);
    ev->now = w->now;
    ev->clock = world_clock(w, replica_of(l)->skew);
    if (ev->arena == NULL)
        ev->arena = &own;
    client_session_step(&l->cs, ev, &l->cup);
    client_session_check(&l->cs);
    if (l->cs.state == CLIENT_CATCHING_UP || l->cs.state == CLIENT_UP_TO_DATE)
        fault_copy_welcome(w, replica_of(l), l->cs.ledger.own_n);
    sent = l->cup.out.len > 0;
    if (l->client_open)
        send_bytes(l, TO_CITY, &l->cup.out);
    else
        buf_clear(&l->cup.out);
    if (l->client_open) {
        client_work(l, &own, &answers);
        if (l->cup.deadline != 0)
            world_at(w, l->cup.deadline > w->now ? l->cup.deadline - w->now : 0, client_timer, l);
        if (l->cup.close != CLIENT_KEEP)
            world_at(w, l->cup.close == CLIENT_CLOSE_NOW ? 0 : 200, client_hang_up, l);
    }
    for (unsigned i = 0; i < answers.n && l->client_open && w->why[0] == '\0'; i++)
        client_event(l, &answers.ev[i]);
    arena_release(&own);
    if (sent && l->client_open) {
        struct client_event drained = {.kind = CLIENT_DRAINED};

        client_event(l, &drained);
    }
}

void network_client_event(struct link *l, struct client_event *ev)
{
    client_event(l, ev);
}

static void client_bytes(struct link *l, struct slice data)
{
    while (l->client_open && data.len > 0 && l->w->why[0] == '\0') {
        struct client_event ev = {.kind = CLIENT_FRAME};
        Ztc__Frame *frame;
        struct arena a;
        size_t taken;
        int ret;

        if (!l->cup.reading) {
            buf_put(&l->rest[TO_COUNTY], data.p, data.len);
            return;
        }
        arena_init(&a, EVENT_ARENA);
        ret = frame_feed(&l->client_in, data, &a, &taken, &frame);
        data.p += taken;
        data.len -= taken;
        ev.arena = &a;
        if (ret != 0) {
            ev.kind = CLIENT_BROKEN;
            ev.ret = ret;
            if (!l->garbage)
                world_fail(l->w, "the county cannot read a frame of the city: %s", err_code(ret));
        } else if (frame != NULL) {
            ev.frame = frame;
        } else {
            ev.kind = CLIENT_HEARD;
        }
        client_event(l, &ev);
        arena_release(&a);
        if (ret != 0)
            return;
    }
}

static void client_rest(struct link *l)
{
    struct buf rest = l->rest[TO_COUNTY];

    if (rest.len == 0 || !l->cup.reading || !l->client_open)
        return;
    buf_init(&l->rest[TO_COUNTY], REST_MAX);
    client_bytes(l, buf_slice(&rest));
    buf_release(&rest);
}

/* ---- arriving ---- */

static void receive(struct link *l, int dir, struct slice data)
{
    if (dir == TO_CITY) {
        server_rest(l);
        if (l->server_open)
            server_bytes(l, data);
        return;
    }
    client_rest(l);
    if (!l->client_open)
        return;
    if (l->cs.state == CLIENT_UP_TO_DATE)
        l->w->counts[SIM_LIVE]++;
    client_bytes(l, data);
}

/* What TLS does not take ends the connection, for both or, when the alert gets lost, for the receiver. A
 * frame reader must stand garbage by itself all the same. */
static void refuse(struct link *l, int dir)
{
    static const uint8_t garbage[16] = {0xff, 0xff, 0xff, 0xff, 0xff};
    const struct frame_reader *reader = dir == TO_CITY ? &l->server_in : &l->client_in;
    struct world *w = l->w;

    if (reader->in.len == 0 && l->rest[dir].len == 0 && world_roll(w, 3) == 0) {
        w->counts[SIM_GARBAGE]++;
        l->garbage = true;
        receive(l, dir, (struct slice){garbage, sizeof garbage});
    } else if (world_roll(w, 2) == 0) {
        network_cut(w, l, true);
    } else {
        network_half_open(w, l, dir);
    }
}

static void arrive(struct link *l, int dir)
{
    struct world *w = l->w;
    struct chunk *c;

    if (l->silent[dir])
        return;
    c = take_chunk(l, dir);
    if (c == NULL)
        return;
    w->counts[SIM_CORRUPTED] += c->fault == CHUNK_CORRUPTED;
    w->counts[SIM_TWICE] += c->fault == CHUNK_TWICE;
    if (l->hole[dir] || c->fault == CHUNK_CORRUPTED)
        refuse(l, dir);
    else
        receive(l, dir, (struct slice){c->data, c->len});
    if (c->fault == CHUNK_TWICE)
        refuse(l, dir);
    mem_free(c);
}

static void deliver(struct world *w, void *subject)
{
    (void)w;
    arrive(subject, TO_CITY);
}

static void deliver_back(struct world *w, void *subject)
{
    (void)w;
    arrive(subject, TO_COUNTY);
}

/* ---- opening and closing ---- */

static void server_gone(struct link *l)
{
    struct server_event ev = {.kind = SERVER_GONE};

    if (!l->server_open)
        return;
    l->server_open = false;
    network_server_event(l, &ev);
}

static void try_again(struct world *w, struct sim_replica *r, uint32_t retry_after)
{
    world_at(w, client_backoff(r->attempt++, retry_after, world_roll(w, UINT64_MAX)),
             network_connect, r);
}

static void forked(struct world *w, void *subject)
{
    fault_copy_forked(w, subject);
}

static void client_gone(struct link *l)
{
    struct sim_replica *r = replica_of(l);
    struct client_event ev = {.kind = CLIENT_GONE, .ret = E_CLOSED};

    if (!l->client_open)
        return;
    l->client_open = false;
    client_event(l, &ev);
    if (l->cs.cause == E_FORK && r->restored && r->link == l) {
        world_at(l->w, 0, forked, r);
        return;
    }
    if (r->gone && r->link == l && l->cs.cause == E_REVOKED) {
        l->w->counts[SIM_TURNED_AWAY]++;
        r->over = true;
        return;
    }
    if (!client_backoff_helps(l->cs.cause) && !l->not_taken)
        world_fail(l->w, "replica %u waits for a person: %s", r->no, err_code(l->cs.cause));
    if (r->r != NULL && !r->offline && r->link == l)
        try_again(l->w, r, l->cs.retry_after);
}

static void late_server_gone(struct world *w, void *subject)
{
    (void)w;
    server_gone(subject);
}

static void late_client_gone(struct world *w, void *subject)
{
    (void)w;
    client_gone(subject);
}

/* BOTH ends learn at once, or the county now and the city later. */
void network_cut(struct world *w, struct link *l, bool both)
{
    if (!l->client_open && !l->server_open)
        return;
    w->counts[SIM_CUT]++;
    drop_pipe(l, TO_CITY);
    drop_pipe(l, TO_COUNTY);
    if (both) {
        server_gone(l);
    } else {
        l->silent[TO_CITY] = l->silent[TO_COUNTY] = true;
        world_at(w, 1000 + world_roll(w, 60000), late_server_gone, l);
    }
    client_gone(l);
}

void network_half_open(struct world *w, struct link *l, int dir)
{
    (void)w;
    l->silent[TO_CITY] = l->silent[TO_COUNTY] = true;
    if (dir == TO_CITY)
        server_gone(l);
    else
        client_gone(l);
}

/* One end closes; the other hears of it when the line lets it, or never. */
static void close_end(struct link *l, int end, void (*later)(struct world *w, void *subject))
{
    struct world *w = l->w;
    int dir = end == TO_CITY ? TO_COUNTY : TO_CITY; /* the way the news takes */
    msec_t blocked = replica_of(l)->blocked_until[dir];

    if (!l->silent[dir] && blocked <= w->now) {
        network_cut(w, l, true);
        return;
    }
    if (!l->silent[dir])
        world_at(w, blocked - w->now, later, l);
    network_half_open(w, l, end);
}

static void server_hang_up(struct world *w, void *subject)
{
    struct link *l = subject;

    if (!l->server_open)
        return;
    w->counts[SIM_WATCHDOG] += l->ss.cause == E_TIMEOUT;
    close_end(l, TO_CITY, late_client_gone);
}

static void client_hang_up(struct world *w, void *subject)
{
    struct link *l = subject;

    if (!l->client_open)
        return;
    w->counts[SIM_WATCHDOG] += l->cs.cause == E_TIMEOUT;
    close_end(l, TO_COUNTY, late_server_gone);
}

void network_city_down(struct world *w, bool told)
{
    for (struct link *l = w->links; l != NULL; l = l->next) {
        if (l->server_open && (told || world_roll(w, 2) == 0))
            network_cut(w, l, true);
        else if (l->server_open)
            network_half_open(w, l, TO_CITY);
    }
}

static struct link *new_link(struct world *w, struct sim_replica *r)
{
    struct link *l = mem_calloc(1, sizeof *l);

    if (l == NULL)
        abort();
    l->w = w;
    l->replica = r->no;
    l->client_open = l->server_open = true;
    for (int dir = 0; dir < 2; dir++) {
        l->pipe_end[dir] = &l->pipe[dir];
        buf_init(&l->rest[dir], REST_MAX);
    }
    buf_init(&l->packed, WIRE_BODY_MAX * 2);
    body_codec_init(&l->codec);
    client_session_init(&l->cs, r->late ? &w->eager : &client_options_preset, w->now);
    client_update_init(&l->cup);
    frame_reader_init(&l->client_in, FRAME_MAX);
    server_session_init(&l->ss, r->late ? &w->sparing : &server_options_preset);
    server_update_init(&l->sup);
    frame_reader_init(&l->server_in, FRAME_MAX_STRANGER);
    l->cup.reading = l->sup.reading = true;
    l->next = w->links;
    w->links = l;
    return l;
}

/* The handshake goes both ways. */
static bool reaches(const struct world *w, const struct sim_replica *r)
{
    return w->city != NULL && !w->restore.due &&
           (w->restore.only < 0 || (unsigned)w->restore.only == r->no) && r->blocked_until[TO_CITY] <= w->now &&
           r->blocked_until[TO_COUNTY] <= w->now;
}

static void open_link(struct world *w, struct sim_replica *r)
{
    struct server_event open = {.kind = SERVER_OPEN};
    struct server_event hold = {.kind = SERVER_HOLD, .hold = w->hold};

    w->counts[SIM_CONNECT]++;
    if (r->link != NULL && r->link->server_open)
        w->counts[SIM_LATE_CLOSE]++;
    r->link = new_link(w, r);
    open.open.replica = r->id;
    open.open.site = r->site;
    network_server_event(r->link, &hold);
    network_server_event(r->link, &open);
}

void network_connect(struct world *w, void *subject)
{
    struct sim_replica *r = subject;
    struct client_facts facts;
    struct client_event up = {.kind = CLIENT_CONNECTED, .facts = &facts};
    struct err err = {.ret = 0};
    int ret;

    if (r->r == NULL || r->offline || r->over || (r->link != NULL && r->link->client_open))
        return;
    if (!reaches(w, r)) {
        w->counts[SIM_UNREACHED]++;
        try_again(w, r, w->city == NULL ? 0 : client_options_preset.connect_within);
        return;
    }
    open_link(w, r);
    ret = exchange_facts(r->r, "sim/1", &facts, &err);
    for (size_t i = 0; ret == 0 && i < facts.n_cursors; i++)
        r->link->resumes = r->link->resumes || facts.cursors[i].has_place;
    if (ret == 0) {
        client_event(r->link, &up);
        return;
    }
    if (!computers_excuse(r->disk, ret))
        world_fail(w, "no facts for Hello: %s", err.text);
    network_cut(w, r->link, true);
}

static void local_again(struct world *w, void *subject)
{
    network_local(w, subject);
}

void network_local(struct world *w, struct sim_replica *r)
{
    struct client_event ev = {.kind = CLIENT_LOCAL};
    struct err err = {.ret = 0};
    int ret;

    if (r->r == NULL || r->link == NULL || !r->link->client_open)
        return;
    ret = exchange_ledger(r->r, &ev.ledger, &err);
    if (ret == 0)
        client_event(r->link, &ev);
    else if (computers_excuse(r->disk, ret))
        world_at(w, 1000, local_again, r);
    else
        world_fail(w, "the replica does not count: %s", err.text);
}

/* The store refuses to be written, or (0) takes again what it is given: sessions are told, new ones too. */
void network_hold(struct world *w, int why)
{
    if (w->hold == why)
        return;
    w->hold = why;
    for (struct link *l = w->links; l != NULL; l = l->next) {
        struct server_event ev = {.kind = SERVER_HOLD, .hold = why};

        if (l->server_open)
            network_server_event(l, &ev);
    }
}

void network_advanced(struct world *w, const struct server_head *heads, size_t n)
{
    for (struct link *l = w->links; l != NULL; l = l->next) {
        struct server_event ev = {.kind = SERVER_HEADS, .heads = {heads, n}};

        if (l->server_open)
            network_server_event(l, &ev);
        server_rest(l);
    }
}

void network_release(struct world *w)
{
    while (w->links != NULL) {
        struct link *l = w->links;

        w->links = l->next;
        drop_pipe(l, TO_CITY);
        drop_pipe(l, TO_COUNTY);
        buf_release(&l->rest[0]);
        buf_release(&l->rest[1]);
        buf_release(&l->packed);
        client_session_release(&l->cs);
        client_update_release(&l->cup);
        server_update_release(&l->sup);
        frame_reader_release(&l->client_in);
        frame_reader_release(&l->server_in);
        body_codec_release(&l->codec);
        mem_free(l);
    }
}
