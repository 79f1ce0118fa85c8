/* Batches of entries on their way from the socket to the store: read (expanded, decoded, hashed) on the
 * loop's worker threads while the loop's own thread applies the one before.
 *
 *   intake_put ──> [reading] ──> [ready] ──> intake_first, exchange_take, intake_drop
 *
 * The order is that of intake_put. A small batch is read at once: a thread would cost it more time than
 * it saves. */
#ifndef ZTC_CLIENT_UV_INTAKE_H
#define ZTC_CLIENT_UV_INTAKE_H

#include "client/store/exchange.h"

#include <uv.h>

#define INTAKE_SLOTS 4u /* more than a session hands out */

struct intake;

struct intake_slot {
    uv_work_t work;
    struct intake *intake;
    struct exchange_batch batch;
    struct arena arena;
    struct body_codec codec;
    bool reading;
};

struct intake {
    uv_loop_t *loop;
    const struct hasher *hasher;
    void (*on_ready)(void *ctx); /* a batch was read by a thread */
    void *ctx;
    struct intake_slot slots[INTAKE_SLOTS];
    unsigned first, n; /* slots in use, in order */
    unsigned reading;  /* how many of them a thread has */
};

void intake_init(struct intake *in, uv_loop_t *loop, const struct hasher *hasher,
                 void (*on_ready)(void *ctx), void *ctx);

/* Not while a thread reads: intake_is_busy. */
void intake_release(struct intake *in);

/* Copies what it needs of M. Want of memory is the batch's result. */
void intake_put(struct intake *in, const Ztc__Entries *m);

/* The first batch, once it is read; NULL: none, or not yet. */
const struct exchange_batch *intake_first(struct intake *in);

/* Forget the first batch, which is ready. */
void intake_drop(struct intake *in);

bool intake_is_busy(const struct intake *in);

#endif
