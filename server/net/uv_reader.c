/* The reading side of the daemon: short reads in libuv's thread pool.
 *
 * Locks: `mutex` guards the free store handles, which the pool's threads take and give back; the
 * queue and the counters belong to the loop. */
#include "server/net/uv_reader.h"

#define RUNNING_MAX 2 /* of the pool's four threads: the others hash */
#define HANDLES_MAX 4

struct slot {
    uv_work_t work;
    struct reader *reader;
    struct read_job *job;
};

struct handle {
    struct store *store;
    struct body_codec codec;
};

struct reader {
    uv_loop_t *loop;
    const char *path;
    const struct vault *vault;
    uv_mutex_t mutex;
    struct handle *idle[HANDLES_MAX];
    size_t n_idle;

    struct slot slots[RUNNING_MAX];
    struct read_job *queue, **queue_last;
    size_t running; /* reads and fills */
    bool closing;
    void (*close_cb)(void *ctx);
    void *close_ctx;
};

/* ---- handles, on the pool's threads ---- */

static void handle_free(struct handle *h)
{
    if (h == NULL)
        return;
    store_close(h->store);
    body_codec_release(&h->codec);
    mem_free(h);
}

static int handle_take(struct reader *r, struct handle **ret)
{
    struct store_options o = {.readonly = true, .vault = r->vault};
    struct handle *h = NULL;
    int status;

    uv_mutex_lock(&r->mutex);
    if (r->n_idle > 0)
        h = r->idle[--r->n_idle];
    uv_mutex_unlock(&r->mutex);
    if (h == NULL) {
        h = mem_calloc(1, sizeof *h);
        if (h == NULL)
            return E_NOMEM;
        body_codec_init(&h->codec);
        status = store_open(r->path, &o, &h->store, NULL);
        if (status != 0) {
            handle_free(h);
            return status;
        }
    }
    *ret = h;
    return 0;
}

/* One that failed is not used again: whatever was wrong with it ends with it. */
static void handle_give(struct reader *r, struct handle *h, int ret)
{
    uv_mutex_lock(&r->mutex);
    if (ret == 0 && r->n_idle < HANDLES_MAX) {
        r->idle[r->n_idle++] = h;
        h = NULL;
    }
    uv_mutex_unlock(&r->mutex);
    handle_free(h);
}

/* ---- a batch ---- */

static int add_to_batch(void *ctx, const struct entry *e)
{
    struct tail_entry *t;
    bool more;
    int ret = tail_entry_new(e, &t);

    if (ret != 0)
        return ret;
    more = batch_add(ctx, t);
    mem_free(t);
    return more ? 0 : 1;
}

static int read_batch(struct handle *h, struct read_job *job)
{
    struct batch b;
    int ret;

    batch_init(&b, &job->limits);
    ret = store_entry_each(h->store, job->stream, job->from_seq, add_to_batch, &b, NULL);
    if (ret >= 0)
        ret = batch_finish(&b, &h->codec, &job->body, &job->size);
    job->count = b.count;
    batch_release(&b);
    return ret;
}

static int read_any(struct handle *h, struct read_job *job)
{
    if (job->run != NULL)
        return job->run(job, h->store);
    return job->slice == NULL ? read_batch(h, job)
                              : snapshot_read(h->store, job->slice, &h->codec, &job->body, NULL);
}

static void read_work(uv_work_t *work)
{
    struct slot *slot = work->data;
    struct handle *h = NULL;

    slot->job->ret = handle_take(slot->reader, &h);
    if (slot->job->ret != 0)
        return;
    slot->job->ret = read_any(h, slot->job);
    handle_give(slot->reader, h, slot->job->ret);
}

static void start_next(struct reader *r);

static void maybe_closed(struct reader *r)
{
    void (*cb)(void *ctx) = r->close_cb;
    void *ctx = r->close_ctx;

    if (!r->closing || r->running > 0)
        return;
    for (size_t i = 0; i < r->n_idle; i++)
        handle_free(r->idle[i]);
    uv_mutex_destroy(&r->mutex);
    mem_free(r);
    cb(ctx);
}

static void read_done(uv_work_t *work, int status)
{
    struct slot *slot = work->data;
    struct reader *r = slot->reader;
    struct read_job *job = slot->job;

    if (status != 0)
        job->ret = E_CLOSED;
    slot->job = NULL;
    job->done(job);
    r->running--;
    start_next(r);
    maybe_closed(r);
}

static struct slot *free_slot(struct reader *r)
{
    for (size_t i = 0; i < RUNNING_MAX; i++) {
        if (r->slots[i].job == NULL)
            return &r->slots[i];
    }
    return NULL;
}

static void start_next(struct reader *r)
{
    struct slot *slot;

    while (r->queue != NULL && (slot = free_slot(r)) != NULL) {
        slot->job = r->queue;
        r->queue = r->queue->next;
        if (r->queue == NULL)
            r->queue_last = &r->queue;
        slot->reader = r;
        slot->work.data = slot;
        r->running++;
        (void)uv_queue_work(r->loop, &slot->work, read_work, read_done); /* fails without a callback
                                                                            only */
    }
}

void reader_submit(struct reader *r, struct read_job *job)
{
    job->next = NULL;
    job->ret = 0;
    buf_init(&job->body, 2u * WIRE_BODY_MAX);
    *r->queue_last = job;
    r->queue_last = &job->next;
    start_next(r);
}

/* ---- life ---- */

int reader_new(const struct reader_options *o, struct reader **ret, struct err *err)
{
    struct reader *r = mem_calloc(1, sizeof *r);

    if (r == NULL || uv_mutex_init(&r->mutex) != 0) {
        mem_free(r);
        return err_set(err, E_NOMEM, NULL);
    }
    r->loop = o->loop;
    r->path = o->path;
    r->vault = o->vault;
    r->queue_last = &r->queue;
    *ret = r;
    return 0;
}

void reader_close(struct reader *r, void (*cb)(void *ctx), void *ctx)
{
    r->closing = true;
    r->close_cb = cb;
    r->close_ctx = ctx;
    while (r->queue != NULL) {
        struct read_job *job = r->queue;

        r->queue = job->next;
        job->ret = E_CLOSED;
        job->done(job);
    }
    r->queue_last = &r->queue;
    maybe_closed(r);
}
