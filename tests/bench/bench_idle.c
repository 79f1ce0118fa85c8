/* bench_idle DIR HOST:PORT N PID: connect N replicas that then have nothing to do; the memory of the
 * daemon PID before, with the first thousand and with all; then one edit, which must still arrive. */
#include "common/base/mem.h"
#include "tests/bench/gauge.h"
#include "tests/bench/light.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define AT_ONCE  16u /* the daemon lets few strangers of one address shake hands at a time */
#define FIRST    1000u
#define SETTLE   2000 /* ms, for buffers to be given back */
#define EDIT_MAX 8192u

struct bench {
    struct light_net net;
    struct light *lights;
    size_t n, opened;
    long pid;
    uv_timer_t timer;
    long rss_before, rss_first, rss_all; /* KiB */
    double edited_at, arrived;
};

static long resident(long pid)
{
    char path[64], line[256];
    long kib = -1;
    FILE *f;

    (void)snprintf(path, sizeof path, "/proc/%ld/status", pid);
    f = fopen(path, "r");
    while (f != NULL && fgets(line, sizeof line, f) != NULL)
        (void)sscanf(line, "VmRSS: %ld", &kib);
    if (f != NULL)
        (void)fclose(f);
    if (kib < 0)
        light_fail("no process %ld", pid);
    return kib;
}

static void open_more(struct bench *b)
{
    size_t until = b->n > FIRST && b->rss_first == 0 ? FIRST : b->n;

    while (b->opened < until && b->opened - b->net.served < AT_ONCE) {
        light_open(&b->lights[b->opened], &b->net, b->opened);
        b->opened++;
    }
}

/* The first replica creates one record: the others of its site must see it. */
static void edit(struct bench *b)
{
    struct light *l = &b->lights[0];
    struct buf bytes, side, plain, frame;
    struct workload w;
    struct opinion o;

    buf_init(&bytes, EDIT_MAX);
    buf_init(&side, EDIT_MAX);
    buf_init(&plain, 2 * EDIT_MAX);
    buf_init(&frame, 2 * EDIT_MAX);
    workload_init(&w, 3, 1);
    workload_next(&w, &o);
    author_create(l->author, &o, &bytes, &side);
    body_put_change(&plain, buf_slice(&bytes), buf_slice(&side));
    light_frame(&b->net, 1, 1, buf_slice(&plain), &frame);
    b->edited_at = gauge_now();
    light_send(l, buf_slice(&frame));
    buf_release(&bytes);
    buf_release(&side);
    buf_release(&plain);
    buf_release(&frame);
}

static void on_settled(uv_timer_t *timer)
{
    struct bench *b = timer->data;

    if (b->rss_before == 0) {
        b->rss_before = resident(b->pid);
        open_more(b);
    } else if (b->net.served < b->n) {
        b->rss_first = resident(b->pid);
        open_more(b);
    } else {
        b->rss_all = resident(b->pid);
        if (b->rss_first == 0)
            b->rss_first = b->rss_all;
        edit(b);
    }
}

static void on_served(struct light_net *n)
{
    struct bench *b = n->ctx;

    if (n->served == b->n || (n->served == FIRST && b->rss_first == 0))
        (void)uv_timer_start(&b->timer, on_settled, SETTLE, 0); /* cannot fail with a callback */
    else
        open_more(b);
}

static void on_entry(struct light_net *n, uint32_t stream, uint64_t seq)
{
    struct bench *b = n->ctx;

    (void)seq;
    if (b->edited_at == 0 || b->arrived != 0 || stream != b->lights[0].author->site)
        return;
    b->arrived = gauge_now() - b->edited_at;
    uv_close((uv_handle_t *)&b->timer, NULL);
    for (size_t i = 0; i < b->n; i++)
        light_close(&b->lights[i]);
}

int main(int argc, char **argv)
{
    static struct bench b;
    struct crew crew;
    struct rlimit files;
    uv_loop_t loop;
    char host[64];
    uint16_t port;

    if (argc != 5) {
        (void)fprintf(stderr, "usage: bench_idle DIR HOST:PORT N PID\n");
        return 2;
    }
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files); /* what is missing shows when connecting */
    }
    light_address(argv[2], host, &port);
    crew_load(&crew, argv[1]);
    b.n = strtoull(argv[3], NULL, 10);
    b.pid = strtol(argv[4], NULL, 10);
    b.lights = mem_calloc(b.n, sizeof *b.lights);
    if (b.lights == NULL || b.n < 12 || b.n > crew.n)
        light_fail("not that many replicas");
    (void)uv_loop_init(&loop); /* fails only without memory, and then everything does */
    light_net_init(&b.net, &loop, &crew, host, port);
    b.net.ctx = &b;
    b.net.on_served = on_served;
    b.net.on_entry = on_entry;
    (void)uv_timer_init(&loop, &b.timer); /* neither can fail */
    b.timer.data = &b;
    (void)uv_timer_start(&b.timer, on_settled, 0, 0);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    (void)printf("{\"connected\": %zu, \"kib_first\": %.2f, \"kib_all\": %.2f, \"arrived_ms\": %.2f}\n",
                 b.n, (double)(b.rss_first - b.rss_before) / (double)(b.n < FIRST ? b.n : FIRST),
                 (double)(b.rss_all - b.rss_before) / (double)b.n, b.arrived * 1000);
    mem_free(b.lights);
    light_net_release(&b.net);
    crew_release(&crew);
    return uv_loop_close(&loop) == 0 ? 0 : 1;
}
