/* A connection's attachments: what the store must say is a job of the writer, what touches files runs in
 * the pool; the loop only passes the results on.
 *
 *   OFFER   writer: may it come? ──► pool: how much is here ──(all of it)──► pool: verify ──► writer: held
 *   WRITE   pool: append; behind the last, verify ──► writer: held
 *   FIND    writer        READ   pool        LOST   writer ──► pool: forget the part
 *
 * Two connections never work on one part at a time: an older one of the same replica may still have a job
 * under way. The later one is told ZT-BUSY, and comes back a little later. */
#include "server/net/sync_internal.h"

#include "common/blob/files.h"
#include "server/store/city_blob.h"

#include <string.h>

struct blob_job {
    struct write_job job;
    uv_work_t work;
    struct conn *conn;
    struct server_blob_want want;
    struct blob_part part;
    const char *root;
    struct server_blob_answer answer;
    bool whole; /* verified in the pool: to be noted */
    bool taken; /* another connection has this part under way */
    bool lost;  /* the part named by the answer's hash is to go */
    struct err err;
    struct buf bytes; /* to write, or read */
};

/* ---- the end ---- */

static void tell(struct conn *c, const struct server_blob_answer *answer)
{
    struct server_event ev = conn_event(c, SERVER_BLOB);

    ev.blob = *answer;
    c->held++;
    conn_step(c, &ev);
    c->held--;
}

static bool is_trouble(int ret)
{
    return ret == E_IO || ret == E_FULL || ret == E_READONLY || ret == E_CORRUPT || ret == E_NOMEM;
}

static void finish(struct blob_job *j, int ret)
{
    struct conn *c = j->conn;

    j->answer.ret = ret == E_NOTFOUND ? E_BLOB_LOST : ret;
    j->answer.bytes = buf_slice(&j->bytes);
    if (is_trouble(ret))
        log_warning("session %llu: attachment not served code=%s cause=%s",
                    (unsigned long long)c->no, err_code(ret), j->err.text);
    c->blobs[j->answer.lane] = NULL;
    tell(c, &j->answer);
    buf_release(&j->bytes);
    mem_free(j);
    conn_job_done(c);
}

/* ---- the writer's part ---- */

static int run_store(struct write_job *job, struct city *city, struct err *err)
{
    struct blob_job *j = (struct blob_job *)job;
    uint32_t site = j->part.owner;

    if (j->whole) {
        job->wrote = true;
        return city_blob_held(city, site, j->part.hash, j->want.size, err);
    }
    if (j->want.ask == SERVER_BLOB_FIND)
        return city_blob_find(city, site, &j->want.attachment, j->answer.hash, &j->answer.size,
                              err);
    job->wrote = true;
    if (j->want.ask == SERVER_BLOB_LOST)
        return city_blob_lost(city, site, &j->want.attachment, &j->lost, j->answer.hash, err);
    return city_blob_offer(city, site, &j->want.attachment, j->want.hash, j->want.size,
                           &j->answer.verified, err);
}

static void submit_pool(struct blob_job *j);
static bool is_taken(const struct conn *c, const struct blob_job *j);

static void store_done(struct write_job *job)
{
    struct blob_job *j = (struct blob_job *)job;

    j->err = job->err;
    if (j->lost)
        memcpy(j->part.hash, j->answer.hash, HASH_SIZE);
    if (job->ret == 0 && j->lost && !is_taken(j->conn, j))
        submit_pool(j);
    else if (job->ret == 0 && j->want.ask == SERVER_BLOB_OFFER && !j->answer.verified)
        submit_pool(j);
    else
        finish(j, job->ret);
}

static void submit_store(struct blob_job *j)
{
    j->job = (struct write_job){.run = run_store,
                                .done = store_done,
                                .reads = !j->whole && j->want.ask == SERVER_BLOB_FIND,
                                .impatient = true};
    writer_submit(j->conn->port->writer, &j->job);
}

/* ---- the pool's part ---- */

/* Everything was here when the daemon ended: it is judged now. Else it goes on behind what is here. */
static int resume(struct blob_job *j)
{
    uint64_t here = 0;
    int ret = blob_part_size(j->root, &j->part, &here, &j->err);

    if (ret == 0 && here >= j->want.size) {
        ret = blob_part_finish(j->root, &j->part, j->want.size, &j->err);
        j->whole = j->answer.verified = ret == 0;
        here = 0;
    }
    j->answer.offset = here;
    return ret == E_CORRUPT ? 0 : ret;
}

static int write_chunk(struct blob_job *j)
{
    uint64_t end = j->want.offset + j->bytes.len;
    int ret = blob_part_write(j->root, &j->part, j->want.offset, buf_slice(&j->bytes), &j->err);

    if (ret == 0 && end == j->want.size) {
        ret = blob_part_finish(j->root, &j->part, j->want.size, &j->err);
        j->whole = ret == 0;
    }
    return ret;
}

static void pool_work(uv_work_t *work)
{
    struct blob_job *j = work->data;

    if (j->taken)
        j->answer.ret = E_BUSY;
    else if (j->want.ask == SERVER_BLOB_OFFER)
        j->answer.ret = resume(j);
    else if (j->want.ask == SERVER_BLOB_WRITE)
        j->answer.ret = write_chunk(j);
    else if (j->lost)
        j->answer.ret = blob_part_drop(j->root, &j->part, &j->err);
    else
        j->answer.ret = blob_read(j->root, j->want.hash, j->want.offset, j->want.len, &j->bytes,
                                  &j->err);
}

static void pool_done(uv_work_t *work, int status)
{
    struct blob_job *j = work->data;

    if (status != 0)
        finish(j, E_CLOSED);
    else if (j->whole)
        submit_store(j);
    else
        finish(j, j->answer.ret);
}

static void submit_pool(struct blob_job *j)
{
    j->work.data = j;
    (void)uv_queue_work(j->conn->port->loop, &j->work, pool_work, pool_done); /* fails without a
                                                                                 callback only */
}

/* ---- the beginning ---- */

/* Another connection has this part under way. */
static bool is_taken(const struct conn *c, const struct blob_job *j)
{
    for (const struct conn *o = c->port->conns; o != NULL; o = o->next) {
        const struct blob_job *other = o->blobs[SERVER_LANE_UP];

        if (o != c && other != NULL && other->part.owner == j->part.owner &&
            memcmp(other->part.hash, j->part.hash, HASH_SIZE) == 0)
            return true;
    }
    return false;
}

static void start(struct blob_job *j)
{
    struct conn *c = j->conn;
    bool writes = j->want.ask == SERVER_BLOB_OFFER || j->want.ask == SERVER_BLOB_WRITE;

    c->jobs++;
    j->taken = writes && is_taken(c, j);
    c->blobs[j->answer.lane] = j;
    if (j->taken || j->want.ask == SERVER_BLOB_WRITE || j->want.ask == SERVER_BLOB_READ)
        submit_pool(j); /* even a refusal comes later, never inside the step that asked */
    else
        submit_store(j);
}

int conn_blob(struct conn *c, enum server_lane_name lane, const struct server_blob_want *want)
{
    struct blob_job *j = mem_calloc(1, sizeof *j);

    if (j == NULL)
        return E_NOMEM;
    j->conn = c;
    j->want = *want;
    j->root = c->port->blobs;
    j->part.owner = c->session.site;
    memcpy(j->part.hash, want->hash, HASH_SIZE);
    j->answer = (struct server_blob_answer){.lane = lane, .ask = want->ask};
    buf_init(&j->bytes, BLOB_CHUNK);
    buf_put(&j->bytes, want->bytes.p, want->bytes.len);
    if (j->bytes.ret != 0) {
        buf_release(&j->bytes);
        mem_free(j);
        return E_NOMEM;
    }
    start(j);
    return 0;
}
