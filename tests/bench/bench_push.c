/* bench_push DIR HOST:PORT ROWS REPLICAS: the common workload from that many replicas at once, through
 * real connections; the time from the first push to the last echo under a verified head. The frames are
 * packed before the clock starts: in truth that is the work of other machines. */
#include "common/base/mem.h"
#include "tests/bench/gauge.h"
#include "tests/bench/light.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEED         1
#define BATCH        500u
#define REPLICAS_MAX 8u
#define PACKED_MAX   (256u << 20)

struct pusher {
    struct light light;
    struct buf plain, side, bytes; /* while packing */
    uint32_t in_plain;
    struct buf packed; /* all frames, one after another */
    size_t *ends;      /* of each frame in it */
    uint32_t *counts;
    size_t n_frames, next;
    uint64_t sent_n;
};

struct bench {
    struct light_net net;
    struct pusher pushers[REPLICAS_MAX];
    unsigned n;
    uint64_t rows, echoed;
    struct gauge gauge;
    uint64_t in_before, out_before;
};

/* ---- packing ---- */

static void close_frame(struct bench *b, struct pusher *p)
{
    if (p->in_plain == 0)
        return;
    light_frame(&b->net, p->light.author->n - p->in_plain + 1, p->in_plain, buf_slice(&p->plain),
                &p->packed);
    p->ends[p->n_frames] = p->packed.len;
    p->counts[p->n_frames++] = p->in_plain;
    p->in_plain = 0;
    buf_clear(&p->plain);
}

static void pack(struct bench *b, const struct opinion *o)
{
    struct pusher *p = &b->pushers[o->site];

    buf_clear(&p->bytes);
    buf_clear(&p->side);
    author_create(p->light.author, o, &p->bytes, &p->side);
    body_put_change(&p->plain, buf_slice(&p->bytes), buf_slice(&p->side));
    if (++p->in_plain == BATCH)
        close_frame(b, p);
}

static void pack_all(struct bench *b)
{
    struct workload w;
    struct opinion o;

    workload_init(&w, SEED, b->n);
    for (unsigned i = 0; i < b->n; i++) {
        struct pusher *p = &b->pushers[i];

        p->light.author = &b->net.crew->members[i].author;
        p->ends = mem_calloc(b->rows / BATCH + 2, sizeof *p->ends);
        p->counts = mem_calloc(b->rows / BATCH + 2, sizeof *p->counts);
        buf_init(&p->plain, 2u * WIRE_BODY_MAX);
        buf_init(&p->bytes, ACT_MAX_BYTES);
        buf_init(&p->side, ACT_MAX_BYTES);
        buf_init(&p->packed, PACKED_MAX);
        if (p->ends == NULL || p->counts == NULL)
            light_fail("out of memory");
    }
    for (uint64_t i = 0; i < b->rows; i++) {
        workload_next(&w, &o);
        pack(b, &o);
    }
    for (unsigned i = 0; i < b->n; i++)
        close_frame(b, &b->pushers[i]);
}

/* ---- pushing ---- */

static void push_more(struct pusher *p)
{
    while (p->next < p->n_frames && !stream_is_full(p->light.stream) &&
           p->sent_n + p->counts[p->next] - p->light.acked_n <= p->light.window) {
        size_t from = p->next == 0 ? 0 : p->ends[p->next - 1];

        light_send(&p->light, (struct slice){p->packed.p + from, p->ends[p->next] - from});
        p->sent_n += p->counts[p->next++];
    }
}

static void on_echo(struct light_net *n)
{
    struct bench *b = n->ctx;
    uint64_t echoed = 0;

    for (unsigned i = 0; i < b->n; i++) {
        push_more(&b->pushers[i]);
        echoed += b->pushers[i].light.acked_n;
    }
    b->echoed = echoed;
    if (echoed < b->rows)
        return;
    gauge_stop(&b->gauge);
    for (unsigned i = 0; i < b->n; i++)
        light_close(&b->pushers[i].light);
}

/* All are connected: the clock starts when each has also caught up with what is there. */
static void begin(uv_timer_t *timer)
{
    struct bench *b = timer->data;

    uv_close((uv_handle_t *)timer, NULL);
    b->in_before = b->net.bytes_in;
    b->out_before = b->net.bytes_out;
    gauge_go(&b->gauge);
    for (unsigned i = 0; i < b->n; i++)
        push_more(&b->pushers[i]);
}

static void on_served(struct light_net *n)
{
    static uv_timer_t settle;
    struct bench *b = n->ctx;

    if (n->served < b->n)
        return;
    (void)uv_timer_init(n->loop, &settle); /* neither can fail */
    settle.data = b;
    (void)uv_timer_start(&settle, begin, 500, 0);
}

static void release(struct bench *b)
{
    for (unsigned i = 0; i < b->n; i++) {
        struct pusher *p = &b->pushers[i];

        buf_release(&p->plain);
        buf_release(&p->bytes);
        buf_release(&p->side);
        buf_release(&p->packed);
        mem_free(p->ends);
        mem_free(p->counts);
    }
    light_net_release(&b->net);
}

int main(int argc, char **argv)
{
    static struct bench b;
    struct crew crew;
    uv_loop_t loop;
    char host[64];
    uint16_t port;

    b.rows = argc == 5 ? strtoull(argv[3], NULL, 10) : 0;
    b.n = argc == 5 ? (unsigned)strtoul(argv[4], NULL, 10) : 0;
    if (b.rows == 0 || b.n == 0 || b.n > REPLICAS_MAX) {
        (void)fprintf(stderr, "usage: bench_push DIR HOST:PORT ROWS REPLICAS\n");
        return 2;
    }
    light_address(argv[2], host, &port);
    crew_load(&crew, argv[1]);
    (void)uv_loop_init(&loop); /* fails only without memory, and then everything does */
    light_net_init(&b.net, &loop, &crew, host, port);
    b.net.ctx = &b;
    b.net.on_served = on_served;
    pack_all(&b);
    for (unsigned i = 0; i < b.n; i++) {
        light_open(&b.pushers[i].light, &b.net, i);
    }
    b.net.on_echo = on_echo;
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    (void)printf("{\"rows\": %llu, \"wall\": %.6f, \"cpu\": %.6f, \"bytes\": %llu}\n",
                 (unsigned long long)b.rows, b.gauge.wall, b.gauge.cpu,
                 (unsigned long long)(b.net.bytes_in + b.net.bytes_out - b.in_before -
                                      b.out_before));
    release(&b);
    crew_release(&crew);
    return uv_loop_close(&loop) == 0 ? 0 : 1;
}
