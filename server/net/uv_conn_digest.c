/* A connection's questions about tables, answered by the reader, and its reports of repairs, noted by the
 * writer. */
#include "server/net/sync_internal.h"
#include "server/store/tell.h"

#include <string.h>

#define TELL_ARENA (8u << 20)

/* ---- questions ---- */

struct tell_job {
    struct read_job read;
    struct conn *conn;
    struct tell_ask ask;
    struct arena arena;
    struct server_told told;
    struct err err;
};

static int run_tell(struct read_job *read, struct store *s)
{
    struct tell_job *j = (struct tell_job *)read;

    tell_answer(s, &j->ask, &j->arena, &j->told, &j->err);
    return j->told.ret;
}

static void on_told(struct read_job *read)
{
    struct tell_job *j = (struct tell_job *)read;
    struct conn *c = j->conn;
    struct server_event ev = conn_event(c, SERVER_TOLD);

    j->told.ret = read->ret;
    if (read->ret != 0 && read->ret != E_CLOSED)
        log_warning("session %llu: question about tables not answered -> ends code=%s cause=%s",
                    (unsigned long long)c->no, err_code(read->ret), j->err.text);
    ev.told = &j->told;
    c->held++;
    conn_step(c, &ev);
    c->held--;
    buf_release(&j->read.body);
    arena_release(&j->arena);
    mem_free(j);
    conn_job_done(c);
}

int conn_tell(struct conn *c, const Ztc__DigestAsk *m)
{
    struct tell_job *j = mem_calloc(1, sizeof *j);

    if (j == NULL)
        return E_NOMEM;
    j->read.run = run_tell;
    j->read.done = on_told;
    j->conn = c;
    j->ask = tell_ask_of(m);
    arena_init(&j->arena, TELL_ARENA);
    c->jobs++;
    reader_submit(c->port->reader, &j->read);
    return 0;
}

/* ---- reports ---- */

struct note_job {
    struct write_job job;
    struct conn *conn;
    struct id replica;
    struct city_repair repair;
};

static int run_note(struct write_job *job, struct city *city, struct err *err)
{
    struct note_job *j = (struct note_job *)job;

    return city_repair_note(city, &j->replica, job->now, &j->repair, err);
}

static void tell_noted(struct conn *c, const struct city_repair *r)
{
    struct server_event ev = conn_event(c, SERVER_NOTED);
    Ztc__Repaired m = ZTC__REPAIRED__INIT;

    m.no = r->no;
    m.at = r->at;
    m.stream = r->stream;
    m.kind = r->kind;
    m.id = wire_data((struct slice){r->record.b, ID_SIZE});
    m.seq = r->seq;
    m.how = (Ztc__Repaired__How)r->how;
    ev.noted = &m;
    conn_step(c, &ev);
}

static void on_noted(struct write_job *job)
{
    struct note_job *j = (struct note_job *)job;
    struct conn *c = j->conn;

    c->held++;
    if (job->ret == 0)
        tell_noted(c, &j->repair); /* else the county says it again in its next session */
    c->held--;
    mem_free(j);
    conn_job_done(c);
}

int conn_note(struct conn *c, const Ztc__Repaired *m)
{
    struct note_job *j = mem_calloc(1, sizeof *j);

    if (j == NULL)
        return E_NOMEM;
    log_warning("session %llu: a row of the county differed -> %s stream=%u kind=%u seq=%llu",
                (unsigned long long)c->no,
                m->how == ZTC__REPAIRED__HOW__CITY_DIFFERS ? "ours is not what its log says"
                                                           : "repaired",
                m->stream, m->kind, (unsigned long long)m->seq);
    j->job = (struct write_job){.run = run_note, .done = on_noted};
    j->conn = c;
    j->replica = c->session.replica;
    j->repair = (struct city_repair){.no = m->no,
                                     .seq = m->seq,
                                     .at = m->at,
                                     .stream = m->stream,
                                     .kind = m->kind,
                                     .how = m->how};
    memcpy(j->repair.record.b, m->id.data, ID_SIZE);
    c->jobs++;
    writer_submit(c->port->writer, &j->job);
    return 0;
}
