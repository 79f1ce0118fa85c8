/* Group commit on a thread of its own.
 *
 * One round of the thread:
 * - take what is queued: reading jobs run at once, the rest joins the group up to its bounds;
 * - begin, run every job, commit; hand the advanced heads, then the jobs, to the loop.
 *
 * When it goes wrong:
 * - a job fails and wrote nothing: it is answered with the group;
 * - a job fails and wrote: the group is rolled back and run again without it;
 * - the store fails: the group waits and is run again; jobs that cannot wait leave it.
 *
 * Locks: `mutex` guards what both threads touch (queue, outbox, status) and is never held while the
 * store is. */
#include "server/net/uv_writer.h"

#include "common/base/log.h"
#include "common/base/mem.h"
#include "server/net/uv_checkpoint.h"
#include "server/store/city_recover.h"

#define GROUP_MAX_CHANGES 8192
#define GROUP_MAX_BYTES   (8u << 20)
#define QUEUE_MAX_BYTES   (64u << 20)
#define RETRY_FIRST_MS    100
#define RETRY_MAX_MS      3000
#define HEADS_MAX         32   /* streams a city has, and some */
#define SIGNED_MAX        4096

struct job_list {
    struct write_job *first, **last;
};

/* A head on its way to the loop. */
struct advance {
    uint32_t stream;
    uint64_t seq;
    struct buf head, signature;
    struct tail entries;
};

struct writer {
    uv_loop_t *loop;
    struct city *city;
    msec_t (*clock)(void);
    void (*advanced)(void *ctx, const struct writer_head *heads, size_t n);
    void (*settled)(void *ctx);
    void *ctx;
    uv_thread_t thread;
    uv_async_t async;

    uv_mutex_t mutex;
    uv_cond_t cond;
    struct job_list queue;  /* in */
    struct job_list outbox; /* answered */
    struct advance heads[HEADS_MAX]; /* by stream, the newest only */
    size_t n_heads;
    bool closing;
    struct writer_status status;

    /* The thread's own. */
    struct checkpointer *checkpointer;
    struct job_list group;
    size_t group_changes, group_bytes;
    struct tail fresh[HEADS_MAX]; /* entries of the group, by stream */
    size_t n_fresh;
    unsigned retry_ms;  /* 0 while the store takes what it is given */
    uint64_t retry_at;  /* uv_hrtime() of the next try */

    void (*close_cb)(void *ctx);
    void *close_ctx;
};

static void list_init(struct job_list *l)
{
    l->first = NULL;
    l->last = &l->first;
}

static void list_push(struct job_list *l, struct write_job *job)
{
    job->next = NULL;
    *l->last = job;
    l->last = &job->next;
}

static struct write_job *list_pop(struct job_list *l)
{
    struct write_job *job = l->first;

    if (job == NULL)
        return NULL;
    l->first = job->next;
    if (l->first == NULL)
        l->last = &l->first;
    return job;
}

static void list_append(struct job_list *to, struct job_list *from)
{
    if (from->first == NULL)
        return;
    *to->last = from->first;
    to->last = from->last;
    list_init(from);
}

/* The store's own failures: nobody's job is at fault, and they pass. */
static bool is_store_failure(int ret)
{
    return ret == E_FULL || ret == E_IO || ret == E_READONLY || ret == E_NOMEM || ret == E_BUSY;
}

/* ---- handing back ---- */

static void post(struct writer *w, struct job_list *done)
{
    uv_mutex_lock(&w->mutex);
    for (struct write_job *job = done->first; job != NULL; job = job->next) {
        w->status.queued_jobs--;
        w->status.queued_bytes -= job->bytes;
    }
    list_append(&w->outbox, done);
    uv_mutex_unlock(&w->mutex);
    (void)uv_async_send(&w->async); /* fails for a closed handle only, and it closes after us */
}

static void post_one(struct writer *w, struct write_job *job, int ret)
{
    struct job_list one;

    job->ret = ret;
    list_init(&one);
    list_push(&one, job);
    post(w, &one);
}

static struct advance *advance_of(struct writer *w, uint32_t stream)
{
    for (size_t i = 0; i < w->n_heads; i++) {
        if (w->heads[i].stream == stream)
            return &w->heads[i];
    }
    if (w->n_heads == HEADS_MAX)
        return NULL;
    w->heads[w->n_heads].stream = stream;
    tail_init(&w->heads[w->n_heads].entries, stream, TAIL_MAX_BYTES);
    return &w->heads[w->n_heads++];
}

static struct tail *fresh_of(struct writer *w, uint32_t stream)
{
    for (size_t i = 0; i < w->n_fresh; i++) {
        if (w->fresh[i].stream == stream)
            return &w->fresh[i];
    }
    if (w->n_fresh == HEADS_MAX)
        return NULL;
    tail_init(&w->fresh[w->n_fresh], stream, TAIL_MAX_BYTES);
    return &w->fresh[w->n_fresh++];
}

/* Kept as they are written, so that nobody reads them back. One that is missing is read from the store. */
static void on_appended(void *ctx, const struct entry *e)
{
    struct writer *w = ctx;
    struct tail *tail = e->stream == STREAM_CITY ? NULL : fresh_of(w, e->stream);
    struct tail_entry *kept;

    if (tail != NULL && tail_entry_new(e, &kept) == 0)
        tail_push(tail, kept);
}

static void drop_fresh(struct writer *w)
{
    for (size_t i = 0; i < w->n_fresh; i++)
        tail_release(&w->fresh[i]);
    w->n_fresh = 0;
}

static void note_advanced(struct writer *w)
{
    size_t n;
    const uint32_t *streams = city_advanced(w->city, &n);

    uv_mutex_lock(&w->mutex);
    for (size_t i = 0; i < n; i++) {
        struct slice head, signature;
        uint64_t seq;
        struct advance *a;

        if (city_head(w->city, streams[i], &head, &signature, &seq) != 0)
            continue;
        a = advance_of(w, streams[i]);
        if (a == NULL)
            continue; /* more streams than a city has */
        buf_clear(&a->head);
        buf_put(&a->head, head.p, head.len);
        buf_clear(&a->signature);
        buf_put(&a->signature, signature.p, signature.len);
        a->seq = seq;
        if (streams[i] != STREAM_CITY && fresh_of(w, streams[i]) != NULL)
            tail_move(&a->entries, fresh_of(w, streams[i]));
    }
    uv_mutex_unlock(&w->mutex);
    drop_fresh(w);
}

/* ---- one group ---- */

static void run_reads(struct writer *w, struct job_list *jobs)
{
    struct job_list done;
    struct write_job *job;

    if (jobs->first == NULL)
        return;
    list_init(&done);
    while ((job = list_pop(jobs)) != NULL) {
        job->now = w->clock();
        job->err = (struct err){0};
        job->ret = atomic_load(&job->canceled) ? E_CLOSED : job->run(job, w->city, &job->err);
        list_push(&done, job);
    }
    post(w, &done);
}

/* Run the group's jobs once. 0; the store's failure; or 1 when *RET_BAD must leave it first. */
static int run_group(struct writer *w, msec_t now, struct write_job **ret_bad, struct err *err)
{
    for (struct write_job *job = w->group.first; job != NULL; job = job->next) {
        job->err = (struct err){0};
        job->now = now;
        job->wrote = false;
        job->ret = atomic_load(&job->canceled) ? E_CLOSED : job->run(job, w->city, &job->err);
        if (is_store_failure(job->ret)) {
            *err = job->err;
            return err_wrap(err, job->ret, "写入");
        }
        if (job->ret != 0 && job->wrote) {
            *ret_bad = job;
            return 1;
        }
    }
    return 0;
}

static void leave_group(struct writer *w, struct write_job *bad)
{
    struct job_list kept;
    struct write_job *job;

    list_init(&kept);
    while ((job = list_pop(&w->group)) != NULL) {
        if (job != bad)
            list_push(&kept, job);
    }
    w->group = kept;
    if (w->group.first == NULL)
        w->group.last = &w->group.first;
}

static void count_group(struct writer *w)
{
    uv_mutex_lock(&w->mutex);
    w->status.groups++;
    w->status.changes += w->group_changes;
    if (w->status.refused)
        log_info("store: writes are taken again");
    w->status.refused = false;
    w->status.recovering = city_recovering(w->city);
    uv_mutex_unlock(&w->mutex);
}

static int try_group(struct writer *w, struct err *err)
{
    struct write_job *bad;
    int ret;

    do {
        msec_t now = w->clock();

        ret = city_begin(w->city, now, err);
        if (ret != 0)
            return ret;
        bad = NULL;
        ret = run_group(w, now, &bad, err);
        if (ret == 0)
            ret = city_commit(w->city, err);
        if (ret != 0) {
            city_rollback(w->city);
            drop_fresh(w);
        }
        if (bad != NULL) {
            leave_group(w, bad);
            post_one(w, bad, bad->ret);
        }
    } while (bad != NULL);
    return ret;
}

/* The store took nothing: say so, and let those go that cannot wait. */
static void group_failed(struct writer *w, int ret, const struct err *err)
{
    struct job_list kept, gone;
    struct write_job *job;

    list_init(&kept);
    list_init(&gone);
    while ((job = list_pop(&w->group)) != NULL) {
        if (job->impatient || atomic_load(&job->canceled)) {
            job->ret = ret;
            job->err = *err;
            list_push(&gone, job);
        } else {
            list_push(&kept, job);
        }
    }
    list_append(&w->group, &kept);
    post(w, &gone);
    uv_mutex_lock(&w->mutex);
    if (!w->status.refused) {
        w->status.since = w->clock();
        log_error("store: write refused -> retrying code=%s cause=%s", err_code(ret), err->text);
    }
    w->status.refused = true;
    w->status.cause = *err;
    w->status.cause.ret = ret;
    w->status.failures++;
    uv_mutex_unlock(&w->mutex);
    w->retry_ms = w->retry_ms == 0 ? RETRY_FIRST_MS : w->retry_ms * 2;
    if (w->retry_ms > RETRY_MAX_MS)
        w->retry_ms = RETRY_MAX_MS;
    w->retry_at = uv_hrtime() + (uint64_t)w->retry_ms * 1000000u;
}

static void write_group(struct writer *w)
{
    struct err err = {0};
    int ret;

    if (w->retry_ms > 0 && uv_hrtime() < w->retry_at)
        return;
    ret = w->group.first == NULL ? 0 : try_group(w, &err);
    if (ret != 0) {
        group_failed(w, ret, &err);
        return;
    }
    if (w->group.first != NULL) {
        count_group(w);
        note_advanced(w);
        post(w, &w->group);
        checkpointer_committed(w->checkpointer);
    }
    w->group_changes = w->group_bytes = 0;
    w->retry_ms = 0;
}

/* ---- the thread ---- */

/* Move what is queued into READS and the group. With the mutex held. */
static void take(struct writer *w, struct job_list *reads)
{
    struct job_list left;
    struct write_job *job;

    list_init(&left);
    while ((job = list_pop(&w->queue)) != NULL) {
        bool fits = w->group_changes < GROUP_MAX_CHANGES && w->group_bytes < GROUP_MAX_BYTES;

        if (job->reads) {
            list_push(reads, job);
        } else if (left.first == NULL && (fits || (w->retry_ms > 0 && job->impatient))) {
            w->group_changes += job->changes;
            w->group_bytes += job->bytes;
            list_push(&w->group, job);
        } else {
            list_push(&left, job); /* order is kept: nothing overtakes what did not fit */
        }
    }
    list_append(&w->queue, &left);
}

static bool has_reads(const struct writer *w)
{
    for (const struct write_job *job = w->queue.first; job != NULL; job = job->next) {
        if (job->reads)
            return true;
    }
    return false;
}

/* Wait for work, or for the time of the next try. With the mutex held. */
static void wait_for_work(struct writer *w)
{
    if (w->retry_ms == 0) {
        while (w->queue.first == NULL && !w->closing)
            uv_cond_wait(&w->cond, &w->mutex);
        return;
    }
    while (!w->closing && !has_reads(w)) {
        uint64_t now = uv_hrtime();

        if (now >= w->retry_at)
            return;
        (void)uv_cond_timedwait(&w->cond, &w->mutex, w->retry_at - now);
    }
}

/* The end: what still waits, because the store refused it, is answered as not done. */
static void give_up(struct writer *w)
{
    struct job_list all;

    uv_mutex_lock(&w->mutex);
    list_append(&w->group, &w->queue);
    uv_mutex_unlock(&w->mutex);
    list_init(&all);
    list_append(&all, &w->group);
    for (struct write_job *job = all.first; job != NULL; job = job->next)
        job->ret = err_set(&job->err, E_CLOSED, NULL);
    post(w, &all);
}

static void thread_main(void *arg)
{
    struct writer *w = arg;
    bool end = false;

    while (!end) {
        struct job_list reads;

        list_init(&reads);
        uv_mutex_lock(&w->mutex);
        wait_for_work(w);
        take(w, &reads);
        end = w->closing && (w->queue.first == NULL || w->retry_ms > 0);
        uv_mutex_unlock(&w->mutex);
        run_reads(w, &reads);
        write_group(w);
    }
    give_up(w);
}

/* ---- the loop's side ---- */

/* Take the noted heads; the bytes move into AT. */
static size_t take_heads(struct writer *w, struct advance at[HEADS_MAX])
{
    size_t n;

    uv_mutex_lock(&w->mutex);
    n = w->n_heads;
    for (size_t i = 0; i < n; i++) {
        at[i] = w->heads[i];
        buf_init(&w->heads[i].head, SIGNED_MAX);
        buf_init(&w->heads[i].signature, SIGNED_MAX);
        w->heads[i].entries = (struct tail){.cap = 0};
    }
    w->n_heads = 0;
    uv_mutex_unlock(&w->mutex);
    return n;
}

static void advance_release(struct advance *a)
{
    buf_release(&a->head);
    buf_release(&a->signature);
    tail_release(&a->entries);
}

static bool deliver_heads(struct writer *w)
{
    struct advance at[HEADS_MAX];
    struct writer_head heads[HEADS_MAX];
    size_t n = take_heads(w, at), whole = 0;

    for (size_t i = 0; i < n; i++) {
        if (at[i].head.ret == 0 && at[i].signature.ret == 0)
            heads[whole++] = (struct writer_head){at[i].stream, at[i].seq, buf_slice(&at[i].head),
                                                  buf_slice(&at[i].signature), &at[i].entries};
    }
    if (whole > 0)
        w->advanced(w->ctx, heads, whole);
    for (size_t i = 0; i < n; i++)
        advance_release(&at[i]);
    return whole > 0;
}

static void on_async(uv_async_t *async)
{
    struct writer *w = async->data;
    struct job_list done;
    struct write_job *job;
    bool advanced;

    list_init(&done);
    /* Jobs first: a head noted after this look belongs to jobs of the next one, so that heads are
     * never behind the jobs that are answered here. */
    uv_mutex_lock(&w->mutex);
    list_append(&done, &w->outbox);
    uv_mutex_unlock(&w->mutex);
    advanced = deliver_heads(w);
    while ((job = list_pop(&done)) != NULL)
        job->done(job);
    if (advanced && w->settled != NULL)
        w->settled(w->ctx);
}

static void release(struct writer *w)
{
    checkpointer_free(w->checkpointer);
    city_listen(w->city, NULL, NULL);
    drop_fresh(w);
    for (size_t i = 0; i < HEADS_MAX; i++)
        advance_release(&w->heads[i]);
    uv_cond_destroy(&w->cond);
    uv_mutex_destroy(&w->mutex);
    mem_free(w);
}

int writer_new(const struct writer_options *o, struct writer **ret, struct err *err)
{
    struct writer *w = mem_calloc(1, sizeof *w);
    int status;

    if (w == NULL)
        return err_set(err, E_NOMEM, NULL);
    w->loop = o->loop;
    w->city = o->city;
    w->clock = o->clock;
    w->advanced = o->advanced;
    w->settled = o->settled;
    w->ctx = o->ctx;
    w->status.recovering = city_recovering(o->city);
    list_init(&w->queue);
    list_init(&w->outbox);
    list_init(&w->group);
    for (size_t i = 0; i < HEADS_MAX; i++) {
        buf_init(&w->heads[i].head, SIGNED_MAX);
        buf_init(&w->heads[i].signature, SIGNED_MAX);
    }
    status = checkpointer_new(city_store(w->city), o->checkpoint_pages, &w->checkpointer, err);
    if (status != 0) {
        mem_free(w);
        return status;
    }
    if (uv_mutex_init(&w->mutex) != 0 || uv_cond_init(&w->cond) != 0 ||
        uv_async_init(w->loop, &w->async, on_async) != 0) {
        checkpointer_free(w->checkpointer);
        mem_free(w);
        return err_set(err, E_NOMEM, "不能建立写入线程");
    }
    w->async.data = w;
    city_listen(w->city, on_appended, w);
    if (uv_thread_create(&w->thread, thread_main, w) != 0) {
        /* The handle is in the loop already: there is no way back but to end the process. */
        return err_set(err, E_INTERNAL, "不能建立写入线程");
    }
    *ret = w;
    return 0;
}

void writer_submit(struct writer *w, struct write_job *job)
{
    atomic_store(&job->canceled, false);
    job->ret = 0;
    uv_mutex_lock(&w->mutex);
    list_push(&w->queue, job);
    w->status.queued_jobs++;
    w->status.queued_bytes += job->bytes;
    uv_cond_signal(&w->cond);
    uv_mutex_unlock(&w->mutex);
}

void writer_cancel(struct write_job *job)
{
    atomic_store(&job->canceled, true);
}

bool writer_full(struct writer *w)
{
    bool full;

    uv_mutex_lock(&w->mutex);
    full = w->status.queued_bytes > QUEUE_MAX_BYTES;
    uv_mutex_unlock(&w->mutex);
    return full;
}

void writer_status(struct writer *w, struct writer_status *ret)
{
    uv_mutex_lock(&w->mutex);
    *ret = w->status;
    uv_mutex_unlock(&w->mutex);
}

static void on_async_closed(uv_handle_t *handle)
{
    struct writer *w = handle->data;
    void (*cb)(void *ctx) = w->close_cb;
    void *ctx = w->close_ctx;

    release(w);
    cb(ctx);
}

void writer_close(struct writer *w, void (*cb)(void *ctx), void *ctx)
{
    w->close_cb = cb;
    w->close_ctx = ctx;
    uv_mutex_lock(&w->mutex);
    w->closing = true;
    uv_cond_signal(&w->cond);
    uv_mutex_unlock(&w->mutex);
    (void)uv_thread_join(&w->thread); /* a running group is short: its commit, nothing else */
    on_async(&w->async);
    uv_close((uv_handle_t *)&w->async, on_async_closed);
}
