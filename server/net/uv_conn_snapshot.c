/* Slices of a snapshot and older history, read in the pool for a connection that asked. */
#include "server/net/sync_internal.h"

#include <string.h>

struct fetch_job {
    struct read_job read;
    struct conn *conn;
    struct slice_read slice;
};

static struct fetch_job *fetch_new(struct conn *c, void (*done)(struct read_job *job))
{
    struct fetch_job *j = mem_calloc(1, sizeof *j);

    if (j == NULL)
        return NULL;
    j->conn = c;
    j->read.done = done;
    c->jobs++;
    return j;
}

static void fetch_end(struct fetch_job *j)
{
    struct conn *c = j->conn;

    buf_release(&j->read.body);
    mem_free(j);
    conn_job_done(c);
}

static void slice_done(struct read_job *job)
{
    struct fetch_job *j = (struct fetch_job *)job;
    struct conn *c = j->conn;
    struct server_event ev = conn_event(c, SERVER_SLICE);

    ev.slice.ret = job->ret;
    ev.slice.stream = j->slice.stream;
    ev.slice.seq = j->slice.seq;
    ev.slice.count = j->slice.count;
    ev.slice.size = j->slice.size;
    ev.slice.body = buf_slice(&job->body);
    ev.slice.next = (struct slice){j->slice.next, j->slice.has_next ? WIRE_PLACE_SIZE : 0};
    c->held++;
    if (c->stream != NULL)
        conn_step(c, &ev);
    c->held--;
    fetch_end(j);
}

int conn_read_slice(struct conn *c, const struct server_update *up)
{
    struct fetch_job *j = fetch_new(c, slice_done);

    if (j == NULL)
        return E_NOMEM;
    j->read.slice = &j->slice;
    j->slice.stream = up->slice.stream;
    j->slice.max_bytes = up->slice.max_bytes;
    j->slice.has_after = up->slice.after.len == WIRE_PLACE_SIZE;
    if (j->slice.has_after)
        memcpy(j->slice.after, up->slice.after.p, WIRE_PLACE_SIZE);
    reader_submit(c->port->reader, &j->read);
    return 0;
}

static void history_done(struct read_job *job)
{
    struct fetch_job *j = (struct fetch_job *)job;
    struct conn *c = j->conn;
    struct server_event ev = conn_event(c, SERVER_HISTORY);

    ev.history.ret = job->ret;
    ev.history.stream = job->stream;
    ev.history.first_seq = job->from_seq;
    ev.history.count = job->count;
    ev.history.size = job->size;
    ev.history.body = buf_slice(&job->body);
    c->held++;
    if (c->stream != NULL)
        conn_step(c, &ev);
    c->held--;
    fetch_end(j);
}

int conn_read_history(struct conn *c, const struct server_update *up)
{
    struct fetch_job *j = fetch_new(c, history_done);

    if (j == NULL)
        return E_NOMEM;
    j->read.stream = up->history.stream;
    j->read.from_seq = up->history.from_seq;
    j->read.limits = (struct batch_limits){.upto_seq = up->history.upto_seq,
                                           .reader = c->session.replica,
                                           .echo_above = UINT64_MAX,
                                           .max_entries = up->history.max_entries,
                                           .max_bytes = up->history.max_bytes};
    reader_submit(c->port->reader, &j->read);
    return 0;
}
