#include "server/net/uv_checkpoint.h"

#include "common/base/mem.h"

#include <uv.h>

#define START_PAGES 16384u /* 128 MiB: rare, so that a page written often is copied once */
#define BOUND       3u     /* times that: the writer waits */
#define PASSES      2

enum state { IDLE, WANTED, COPYING, COPIED };

struct checkpointer {
    struct store *store;          /* the writer's */
    struct store_checkpoint *own; /* a connection of the thread's own */
    unsigned start, next;         /* pages: the usual time, and the next */
    uv_thread_t thread;
    uv_mutex_t mutex; /* guards what follows */
    uv_cond_t changed;
    enum state state;
    bool closing;
};

static void copy(struct checkpointer *k)
{
    /* One that fails (disk full) is tried again when the log has grown. */
    for (int i = 0; i < PASSES; i++) {
        if (store_checkpoint_run(k->own) != 0)
            break;
    }
}

static void thread_main(void *arg)
{
    struct checkpointer *k = arg;

    uv_mutex_lock(&k->mutex);
    while (!k->closing) {
        if (k->state != WANTED) {
            uv_cond_wait(&k->changed, &k->mutex);
            continue;
        }
        k->state = COPYING;
        uv_mutex_unlock(&k->mutex);
        copy(k);
        uv_mutex_lock(&k->mutex);
        k->state = COPIED;
        uv_cond_signal(&k->changed);
    }
    uv_mutex_unlock(&k->mutex);
}

/* Where the log stands at its bound, COPYING is waited for. */
static enum state look(struct checkpointer *k, unsigned pages)
{
    enum state state;

    uv_mutex_lock(&k->mutex);
    if (k->state == IDLE && pages >= k->next) {
        k->state = WANTED;
        uv_cond_signal(&k->changed);
    }
    while (pages >= BOUND * k->start && (k->state == WANTED || k->state == COPYING))
        uv_cond_wait(&k->changed, &k->mutex);
    state = k->state;
    if (state == COPIED)
        k->state = IDLE;
    uv_mutex_unlock(&k->mutex);
    return state;
}

void checkpointer_committed(struct checkpointer *k)
{
    unsigned pages = store_log_pages(k->store);

    if (pages < k->start)
        k->next = k->start;
    if (look(k, pages) != COPIED)
        return;
    (void)store_checkpoint_rest(k->store); /* as a copy that failed */
    k->next = pages + k->start / 4; /* when the log does not begin anew: a reader holds it */
}

int checkpointer_new(struct store *s, unsigned start, struct checkpointer **ret, struct err *err)
{
    struct checkpointer *k = mem_calloc(1, sizeof *k);
    int status;

    *ret = NULL;
    if (k == NULL)
        return err_set(err, E_NOMEM, NULL);
    k->store = s;
    k->start = k->next = start == 0 ? START_PAGES : start;
    status = store_checkpoint_open(s, &k->own, err);
    if (status != 0) {
        mem_free(k);
        return status;
    }
    if (uv_mutex_init(&k->mutex) != 0 || uv_cond_init(&k->changed) != 0 ||
        uv_thread_create(&k->thread, thread_main, k) != 0) {
        store_checkpoint_close(k->own);
        mem_free(k);
        return err_set(err, E_NOMEM, "不能建立存盘线程");
    }
    *ret = k;
    return 0;
}

void checkpointer_free(struct checkpointer *k)
{
    if (k == NULL)
        return;
    uv_mutex_lock(&k->mutex);
    k->closing = true;
    uv_cond_signal(&k->changed);
    uv_mutex_unlock(&k->mutex);
    (void)uv_thread_join(&k->thread); /* what it copies is copied to the end */
    store_checkpoint_close(k->own);
    uv_cond_destroy(&k->changed);
    uv_mutex_destroy(&k->mutex);
    mem_free(k);
}
