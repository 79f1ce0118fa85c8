/* Computers that join late: a world is going on, and they begin with snapshots of it.
 *
 * The last replica of some worlds is switched on in the middle of a run. Its sessions want a snapshot of
 * nearly anything, and the city gives its pieces so small that there are many for a fault to fall between. */
#include "tests/sim/world_internal.h"

#include "client/store/exchange.h"
#include "common/base/mem.h"
#include "server/net/tail.h"
#include "server/store/snapshot.h"

#include <stdlib.h>
#include <string.h>

#define SNAPSHOT_ABOVE 5u
#define PIECE_BYTES    1024u
#define PIECE_ENTRIES  32u

void late_begin(struct world *w)
{
    w->eager = client_options_preset;
    w->eager.snapshot_above = SNAPSHOT_ABOVE;
    w->sparing = server_options_preset;
    w->sparing.read_bytes = PIECE_BYTES;
    w->sparing.read_entries = PIECE_ENTRIES;
    if (w->n_replicas > 2 && world_roll(w, 3) == 0)
        w->replicas[w->n_replicas - 1].late = true;
}

/* ---- the county's end ---- */

static void cut_now(struct world *w, void *subject)
{
    network_cut(w, subject, true);
}

static void crash_now(struct world *w, void *subject)
{
    computers_crash_replica(w, subject);
}

/* Between two slices: the line is cut, the computer goes down, or its people do not wait. */
static void interrupt(struct world *w, struct link *l)
{
    struct sim_replica *r = &w->replicas[l->replica];
    uint64_t roll = world_roll(w, 24);

    if (roll == 0 && !w->healing)
        world_at(w, 0, cut_now, l);
    else if (roll == 1 && !w->healing)
        world_at(w, 0, crash_now, r);
    else if (roll < 8)
        world_at(w, world_roll(w, 40), people_act_once, r);
}

void late_take(struct link *l, struct arena *a, struct client_event *ret, struct err *err)
{
    struct client_update *up = &l->cup;
    struct world *w = l->w;
    struct replica *r = w->replicas[l->replica].r;

    if (up->begin.wanted) {
        exchange_begin(r, up, ret, err);
        w->counts[SIM_SNAPSHOT] += ret->ret == 0;
    } else if (up->store_slice != NULL) {
        exchange_slice(r, up, &l->codec, a, ret, err);
        w->counts[SIM_SLICE] += ret->ret == 0;
        w->counts[SIM_SLICE_ON] += ret->ret == 0 && !l->sliced && l->resumes;
        l->sliced = true;
        interrupt(w, l);
    } else {
        exchange_history(r, up, &l->codec, a, ret, err);
        w->counts[SIM_HISTORY] += ret->ret == 0;
    }
}

/* ---- the city's end ---- */

struct piece {
    struct link *l;
    struct slice_read slice;
    struct batch_limits limits; /* of history */
    uint32_t stream;
    uint64_t from;
};

static struct piece *new_piece(struct link *l)
{
    struct piece *p = mem_calloc(1, sizeof *p);

    if (p == NULL)
        abort();
    p->l = l;
    return p;
}

static void give(struct link *l, struct server_event *ev, int ret, const struct err *err)
{
    if (ret != 0 && !computers_excuse(l->w->city_disk, ret))
        world_fail(l->w, "the city cannot read for a replica that begins: %s", err->text);
    network_server_event(l, ev);
}

static void slice_now(struct world *w, void *subject)
{
    struct piece *p = subject;
    struct slice_read *s = &p->slice;
    struct server_event ev = {.kind = SERVER_SLICE};
    struct err err = {.ret = 0};
    struct buf body;

    buf_init(&body, 2u * WIRE_BODY_MAX);
    if (p->l->server_open && w->city != NULL) {
        ev.slice.ret = snapshot_read(city_store(w->city), s, &p->l->codec, &body, &err);
        ev.slice.stream = s->stream;
        ev.slice.seq = s->seq;
        ev.slice.count = s->count;
        ev.slice.size = s->size;
        ev.slice.body = buf_slice(&body);
        ev.slice.next = (struct slice){s->next, s->has_next ? WIRE_PLACE_SIZE : 0};
        give(p->l, &ev, ev.slice.ret, &err);
    }
    buf_release(&body);
    mem_free(p);
}

static void history_now(struct world *w, void *subject)
{
    struct piece *p = subject;
    struct server_event ev = {.kind = SERVER_HISTORY};
    struct err err = {.ret = 0};
    struct buf body;

    buf_init(&body, 2u * WIRE_BODY_MAX);
    if (p->l->server_open && w->city != NULL) {
        ev.history.ret = writer_batch(p->l, p->stream, p->from, &p->limits, &body,
                                      &ev.history.count, &ev.history.size, &err);
        ev.history.stream = p->stream;
        ev.history.first_seq = p->from;
        ev.history.body = buf_slice(&body);
        give(p->l, &ev, ev.history.ret, &err);
    }
    buf_release(&body);
    mem_free(p);
}

void late_read(struct link *l, const struct server_update *up)
{
    struct piece *p;

    if (up->slice.wanted) {
        p = new_piece(l);
        p->slice.stream = up->slice.stream;
        p->slice.max_bytes = up->slice.max_bytes;
        p->slice.has_after = up->slice.after.len == WIRE_PLACE_SIZE;
        if (p->slice.has_after)
            memcpy(p->slice.after, up->slice.after.p, WIRE_PLACE_SIZE);
        world_at(l->w, world_roll(l->w, 10), slice_now, p);
    }
    if (up->history.wanted) {
        p = new_piece(l);
        p->stream = up->history.stream;
        p->from = up->history.from_seq;
        p->limits = (struct batch_limits){.upto_seq = up->history.upto_seq,
                                          .reader = l->ss.replica,
                                          .echo_above = UINT64_MAX,
                                          .max_entries = up->history.max_entries,
                                          .max_bytes = up->history.max_bytes};
        world_at(l->w, world_roll(l->w, 10), history_now, p);
    }
}
