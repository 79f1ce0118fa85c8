/* The city's disk is lost and a backup of it put back: what was made since is gone there.
 *
 * Most times its people know, and the store begins a new life that recovers; else a computer that shows a
 * head which the store had signed tells it. An operator closes the recovery: patient, when everybody was
 * heard; or in haste, with something missing. Who comes later is a straggler of a life that is over. */
#include "tests/sim/world_internal.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#define LOOK_EVERY 2000u

/* ---- what is lost, and who has it ---- */

static struct server_head *place(struct server_head *list, unsigned *n, uint32_t stream)
{
    for (unsigned i = 0; i < *n; i++) {
        if (list[i].stream == stream)
            return &list[i];
    }
    list[*n] = (struct server_head){.stream = stream};
    return &list[(*n)++];
}

/* The seq of the newest head that R can show of STREAM; 0: none, or its disk fails. */
static uint64_t shows(struct sim_replica *r, uint32_t stream, struct head *ret)
{
    struct buf head, signature;
    bool ok;

    buf_init(&head, WIRE_SIGNED_MAX);
    buf_init(&signature, WIRE_SIGNED_MAX);
    ok = r->r != NULL && replica_shown_head(r->r, stream, &head, &signature, NULL) == 0 &&
         head_decode(buf_slice(&head), ret) == 0;
    buf_release(&head);
    buf_release(&signature);
    return ok ? ret->seq : 0;
}

static void note_held(struct world *w)
{
    struct restore *b = &w->restore;

    memcpy(b->lost, w->told, w->n_told * sizeof *b->lost);
    b->n_lost = w->n_told;
    for (unsigned i = 0; i < w->n_replicas; i++) {
        uint32_t streams[] = {STREAM_SHARED, w->replicas[i].site};

        for (size_t k = 0; k < 2; k++) {
            struct server_head *held = place(b->held, &b->n_held, streams[k]);
            struct head h;
            uint64_t seq = shows(&w->replicas[i], streams[k], &h);

            if (held->seq < seq)
                held->seq = seq;
        }
    }
}

/* One that can prove to the store on the disk that it is old; -1: nobody. */
static int witness(struct world *w)
{
    struct id now = city_incarnation(w->city);

    for (unsigned i = 0; i < w->n_replicas; i++) {
        struct sim_replica *r = &w->replicas[i];
        struct stream_head at;
        struct head h;

        if (r->r != NULL && !r->offline && shows(r, r->site, &h) != 0 && id_eq(&h.incarnation, &now) &&
            store_stream_get(city_store(w->city), r->site, &at, NULL) == 0 && h.seq > at.seq)
            return (int)i;
    }
    return -1;
}

/* ---- the operator ---- */

struct tally {
    struct world *w;
    unsigned unheard;
    uint64_t missing;
};

static int count_unheard(void *ctx, const struct replica_row *row, msec_t heard_at)
{
    struct tally *t = ctx;

    for (unsigned i = 0; i < t->w->n_replicas; i++) {
        if (id_eq(&t->w->replicas[i].id, &row->id))
            t->unheard += heard_at == 0;
    }
    return 0;
}

/* Of the streams that computers read. */
static int count_missing(void *ctx, const struct recover_stream *s)
{
    struct tally *t = ctx;
    struct restore *b = &t->w->restore;
    uint64_t most = s->shown;

    if (s->stream == STREAM_CITY)
        return 0;
    for (unsigned i = 0; i < b->n_lost; i++) {
        if (b->lost[i].stream == s->stream && b->lost[i].seq > most)
            most = b->lost[i].seq;
    }
    t->missing += most > s->seq ? most - s->seq : 0;
    return 0;
}

static struct tally take_stock(struct world *w)
{
    struct tally t = {.w = w};
    struct err err = {.ret = 0};
    int ret = city_recover_replicas(w->city, count_unheard, &t, &err);

    if (ret == 0)
        ret = city_recover_streams(w->city, count_missing, &t, &err);
    if (ret != 0 && !computers_excuse(w->city_disk, ret))
        world_fail(w, "the recovery cannot be shown: %s", err.text);
    t.unheard += ret != 0;
    return t;
}

/* Until a computer shows what it has, or its people notice. */
static void look_unknowing(struct world *w)
{
    struct restore *b = &w->restore;
    bool knows = city_recovering(w->city);

    if (!knows && w->now <= b->patience)
        return;
    w->counts[SIM_FROZEN] += knows;
    b->silent = false;
    b->only = -1;
    b->patience = w->now + 1000 + world_roll(w, 60000);
    if (knows)
        return;
    b->due = true;
    computers_crash_city(w);
}

static void look(struct world *w, void *subject)
{
    struct restore *b = &w->restore;
    struct tally t;

    (void)subject;
    if (w->city != NULL && !b->due && !b->silent && !city_recovering(w->city))
        return; /* it is closed */
    world_at(w, LOOK_EVERY, look, NULL);
    if (w->city == NULL || b->due)
        return;
    if (b->silent)
        look_unknowing(w);
    if (w->city == NULL || !city_recovering(w->city))
        return;
    t = take_stock(w);
    if ((t.unheard == 0 && t.missing == 0) || w->now > b->patience)
        (void)writer_job(w, JOB_CLOSE, NULL);
}

/* A stream as it stands within the group, where the last piece of it may have come. */
static int check_held(void *ctx, const struct recover_stream *s)
{
    struct world *w = ctx;
    struct restore *b = &w->restore;

    for (unsigned i = 0; i < b->n_held; i++) {
        if (b->held[i].stream == s->stream && b->held[i].seq > s->seq)
            world_fail(w, "stream %u was held up to %llu and came back up to %llu", s->stream,
                       (unsigned long long)b->held[i].seq, (unsigned long long)s->seq);
    }
    return 0;
}

/* Where an operator saw nothing missing, what computers could prove stands where it stood. */
void fault_restore_closed(struct world *w)
{
    struct tally t = take_stock(w);

    world_say(w, "recovery closed: %u not heard, %llu missing", t.unheard,
              (unsigned long long)t.missing);
    w->counts[t.missing > 0 ? SIM_MISSING : SIM_WHOLE]++;
    if (t.unheard == 0 && t.missing == 0 && w->counts[SIM_TAKEN_IN_LOST] == 0)
        (void)city_recover_streams(w->city, check_held, w, NULL);
}

/* ---- putting back ---- */

static bool begin_life(struct world *w)
{
    struct err err = {.ret = 0};
    int ret = city_begin(w->city, world_clock(w, w->skew), &err);

    if (ret == 0)
        ret = city_restart(w->city, "put back", &err);
    if (ret == 0)
        ret = city_commit(w->city, &err);
    if (ret == 0)
        return true;
    if (!computers_excuse(w->city_disk, ret))
        world_fail(w, "the city begins no new life: %s", err.text);
    city_rollback(w->city);
    city_close(w->city);
    w->city = NULL;
    return false;
}

bool fault_restore_opened(struct world *w)
{
    struct restore *b = &w->restore;

    if (b->due && b->silent) {
        b->only = witness(w);
        b->silent = b->only >= 0;
        b->due = !b->silent;
    }
    if (b->due && !begin_life(w))
        return false;
    b->due = false;
    return true;
}

static void put_back(struct world *w, void *subject)
{
    struct restore *b = &w->restore;

    (void)subject;
    if (w->healing || b->barred)
        return;
    if (w->city == NULL) {
        world_at(w, 1000, put_back, NULL);
        return;
    }
    world_say(w, "the city is put back from a backup");
    w->counts[SIM_PUT_BACK]++;
    note_held(w);
    network_city_down(w, true);
    writer_drop_all(w);
    city_rollback(w->city);
    city_close(w->city);
    w->city = NULL;
    disk_fault_set(w->city_disk, NULL);
    disk_kill(w->city_disk);
    if (disk_copy(w->city_disk, b->backup) != 0)
        world_fail(w, "out of memory");
    w->hold = 0;
    w->retry_ms = 0;
    w->n_told = 0;
    b->due = true;
    b->silent = world_roll(w, 3) == 0;
    b->forger = world_roll(w, 3) == 0 ? (int)world_roll(w, w->n_replicas) : -1;
    b->patience = w->now + (world_roll(w, 2) == 0 ? 5000 + world_roll(w, 10000) : 90000);
    world_at(w, 500 + world_roll(w, 5000), computers_city_back, NULL);
    world_at(w, LOOK_EVERY, look, NULL);
}

/* By SQLite, as the product does: the files themselves may hold what was written and never committed. */
static bool copy_store(struct world *w)
{
    sqlite3 *to = NULL, *from = store_db(city_store(w->city));
    sqlite3_backup *copy = NULL;
    bool ok = sqlite3_get_autocommit(from) != 0 &&
              sqlite3_open_v2("city-backup/city.db", &to,
                              SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, DISK_VFS) == SQLITE_OK &&
              (copy = sqlite3_backup_init(to, "main", from, "main")) != NULL &&
              sqlite3_backup_step(copy, -1) == SQLITE_DONE;

    ok = sqlite3_backup_finish(copy) == SQLITE_OK && ok;
    (void)sqlite3_close(to); /* nothing is open on it */
    return ok;
}

static void back_up(struct world *w, struct sim_replica *r)
{
    struct restore *b = &w->restore;

    (void)r;
    if (w->city == NULL || b->backup != NULL || b->barred)
        return;
    b->backup = disk_new("city-backup");
    if (b->backup == NULL)
        world_fail(w, "out of memory");
    if (!copy_store(w)) {
        disk_free(b->backup);
        b->backup = NULL;
        return;
    }
    world_say(w, "the city is backed up");
    world_at(w, 500 + world_roll(w, 30000), put_back, NULL);
}

void fault_restore_heal(struct world *w)
{
    struct restore *b = &w->restore;

    if (b->patience < w->now + 60000)
        b->patience = w->now + 60000;
}

void fault_restore_release(struct world *w)
{
    disk_free(w->restore.backup);
}

static const struct fault list[] = {{2, back_up}};

const struct faults fault_restores = {list, sizeof list / sizeof *list};
