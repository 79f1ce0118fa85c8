#include "client/net/uv_intake.h"

#include <assert.h>

#define ARENA_BYTES (48u << 20) /* a batch, expanded and decoded */
#define SMALL_BYTES (32u << 10) /* expanded */

void intake_init(struct intake *in, uv_loop_t *loop, const struct hasher *hasher,
                 void (*on_ready)(void *ctx), void *ctx)
{
    *in = (struct intake){.loop = loop, .hasher = hasher, .on_ready = on_ready, .ctx = ctx};
    for (unsigned i = 0; i < INTAKE_SLOTS; i++) {
        struct intake_slot *slot = &in->slots[i];

        slot->intake = in;
        arena_init(&slot->arena, ARENA_BYTES);
        body_codec_init(&slot->codec);
    }
}

void intake_release(struct intake *in)
{
    assert(in->reading == 0);
    for (unsigned i = 0; i < INTAKE_SLOTS; i++) {
        arena_release(&in->slots[i].arena);
        body_codec_release(&in->slots[i].codec);
    }
}

/* On a worker thread: the slot is this thread's alone until read_done. */
static void read_work(uv_work_t *work)
{
    struct intake_slot *slot = (struct intake_slot *)work->data;

    exchange_read(&slot->batch, slot->intake->hasher, &slot->codec, &slot->arena);
}

static void read_done(uv_work_t *work, int status)
{
    struct intake_slot *slot = (struct intake_slot *)work->data;

    (void)status; /* nobody cancels it */
    slot->reading = false;
    slot->intake->reading--;
    slot->intake->on_ready(slot->intake->ctx);
}

void intake_put(struct intake *in, const Ztc__Entries *m)
{
    struct intake_slot *slot = &in->slots[(in->first + in->n) % INTAKE_SLOTS];

    assert(in->n < INTAKE_SLOTS);
    in->n++;
    slot->batch = exchange_batch_of(m);
    slot->batch.ret = exchange_batch_own(&slot->batch, &slot->arena);
    if (slot->batch.ret != 0)
        return;
    if (slot->batch.size <= SMALL_BYTES) {
        exchange_read(&slot->batch, in->hasher, &slot->codec, &slot->arena);
        return;
    }
    slot->reading = true;
    in->reading++;
    slot->work.data = slot;
    (void)uv_queue_work(in->loop, &slot->work, read_work, read_done); /* fails without work only */
}

const struct exchange_batch *intake_first(struct intake *in)
{
    struct intake_slot *slot = &in->slots[in->first];

    return in->n > 0 && !slot->reading ? &slot->batch : NULL;
}

void intake_drop(struct intake *in)
{
    struct intake_slot *slot = &in->slots[in->first];

    assert(in->n > 0 && !slot->reading);
    arena_release(&slot->arena);
    in->first = (in->first + 1) % INTAKE_SLOTS;
    in->n--;
}

bool intake_is_busy(const struct intake *in)
{
    return in->reading > 0;
}
