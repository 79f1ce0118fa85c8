/* Of a city that was restored: what it hears, what it takes back, and the moment it learns of it. */
#include "server/net/sync_internal.h"
#include "server/store/city_recover.h"

#include <string.h>

#define JOB_ARENA (4u << 20)

/* ---- it is older than it should be ---- */

struct freeze_job {
    struct write_job job;
    struct sync_port *port;
};

static int run_freeze(struct write_job *job, struct city *city, struct err *err)
{
    job->wrote = true;
    if (city_recovering(city))
        return 0; /* another replica was quicker */
    return city_restart(city, "一台计算机出示了市级签名的数据头，比市级数据库新", err);
}

static void freeze_done(struct write_job *job)
{
    struct freeze_job *j = (struct freeze_job *)job;

    if (job->ret == 0)
        log_error("store: older than heads it signed -> frozen, see ztcd recover");
    port_released(j->port);
    mem_free(j);
}

void conn_freeze(struct sync_port *p)
{
    struct freeze_job *j = mem_calloc(1, sizeof *j);

    if (j == NULL)
        return; /* it is shown again with the next Hello */
    j->job = (struct write_job){.run = run_freeze, .done = freeze_done};
    j->port = p;
    p->jobs++;
    writer_submit(p->writer, &j->job);
}

/* ---- what is handed back ---- */

struct refill_job {
    struct write_job job;
    struct conn *conn;
    struct arena arena; /* the frame's: the entries lie in it */
    struct id replica;
    struct refilled *entries;
    size_t n;
    uint32_t stream;
    uint64_t first_seq, from_seq;
    bool last;
    struct buf head, signature;
    uint64_t taken;
    int word; /* why nothing was taken */
};

static int run_refill(struct write_job *job, struct city *city, struct err *err)
{
    struct refill_job *j = (struct refill_job *)job;
    int ret = 0;

    if (j->first_seq == j->from_seq)
        ret = city_refill_drop(city, &j->replica, err); /* of a session before */
    if (ret == 0)
        ret = city_refill_put(city, &j->replica, j->stream, j->first_seq, j->entries, j->n, err);
    if (ret == 0 && j->last)
        ret = city_refill_take(city, &j->replica, j->stream, j->from_seq, buf_slice(&j->head),
                               buf_slice(&j->signature), &j->taken, &j->word, err);
    job->wrote = ret != 0;
    return ret;
}

static void refill_done(struct write_job *job)
{
    struct refill_job *j = (struct refill_job *)job;
    struct conn *c = j->conn;
    struct server_event ev = conn_event(c, SERVER_REFILLED);

    ev.refilled.ret = job->ret != 0 ? job->ret : j->word;
    if (ev.refilled.ret != 0)
        log_warning("session %llu: refill of stream %u not taken code=%s cause=%s",
                    (unsigned long long)c->no, j->stream, err_code(ev.refilled.ret),
                    job->err.text);
    else if (j->last)
        log_info("session %llu: refill of stream %u taken n=%llu", (unsigned long long)c->no,
                 j->stream, (unsigned long long)j->taken);
    c->held++;
    conn_step(c, &ev);
    c->held--;
    arena_release(&j->arena);
    buf_release(&j->head);
    buf_release(&j->signature);
    mem_free(j);
    conn_job_done(c);
}

static int list_entries(struct refill_job *j, const Ztc__EntriesBody *body)
{
    j->n = body->n_entries;
    j->entries = arena_zalloc(&j->arena, j->n * sizeof *j->entries);
    if (j->entries == NULL)
        return E_NOMEM;
    for (size_t i = 0; i < j->n; i++) {
        const Ztc__Entry *e = body->entries[i];

        j->entries[i].received_at = e->received_at;
        j->entries[i].verdict = wire_slice(e->verdict);
        j->entries[i].bytes = wire_slice(e->bytes);
        if (e->has_side)
            j->entries[i].side = wire_slice(e->side);
    }
    return 0;
}

static int copy_head(struct refill_job *j, const struct conn *c)
{
    const struct shown_head *h = &c->shown[j->stream == STREAM_SHARED ? 0 : 1];

    buf_put(&j->head, h->head, h->head_len);
    buf_put(&j->signature, h->signature, h->signature_len);
    return j->head.ret | j->signature.ret;
}

int conn_refill(struct conn *c, const struct server_update *up)
{
    struct refill_job *j = mem_calloc(1, sizeof *j);

    if (j == NULL)
        return E_NOMEM;
    j->job = (struct write_job){.run = run_refill, .done = refill_done,
                                .changes = up->refill.body->n_entries};
    j->conn = c;
    j->replica = c->session.replica;
    j->stream = up->refill.stream;
    j->first_seq = up->refill.first_seq;
    j->from_seq = up->refill.from_seq;
    j->last = up->refill.last;
    buf_init(&j->head, WIRE_SIGNED_MAX);
    buf_init(&j->signature, WIRE_SIGNED_MAX);
    j->arena = c->arena; /* taken: the entries lie in it */
    arena_init(&c->arena, FRAME_ARENA);
    j->arena.max += JOB_ARENA;
    if (list_entries(j, up->refill.body) != 0 || copy_head(j, c) != 0) {
        arena_release(&j->arena);
        buf_release(&j->head);
        buf_release(&j->signature);
        mem_free(j);
        return E_NOMEM;
    }
    c->jobs++;
    writer_submit(c->port->writer, &j->job);
    return 0;
}
