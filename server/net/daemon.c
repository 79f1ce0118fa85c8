/* The daemon's life.
 *
 *   STARTING ─► SERVING ─► DRAINING ─► PORTS ─► STORE ─► loop empty
 *
 * A signal or `stop` begins draining: no more accepting, every session is told to end and has
 * DRAIN_MS; then the ports close, which waits for the last job of theirs; then the writer and the
 * reader; then the loop runs empty, which uv_loop_close proves. */
#include "server/net/daemon_internal.h"

#include "common/base/log.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define DRAIN_MS     5000
#define DRAIN_LOOK   20
#define STREAMS_MAX  32

msec_t daemon_clock(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_REALTIME, &t); /* cannot fail for this clock */
    return (msec_t)t.tv_sec * 1000 + (msec_t)t.tv_nsec / 1000000;
}

void daemon_address(char *text, size_t size, const char *host, uint16_t port)
{
    (void)snprintf(text, size, strchr(host, ':') != NULL ? "[%s]:%u" : "%s:%u", host, port);
}

/* ---- shutdown ---- */

static void on_reader_closed(void *ctx)
{
    struct daemon *d = ctx;

    d->reader = NULL;
    if (d->drain.data != NULL)
        uv_close((uv_handle_t *)&d->drain, NULL);
    uv_close((uv_handle_t *)&d->sigterm, NULL);
    uv_close((uv_handle_t *)&d->sigint, NULL);
}

static void on_writer_closed(void *ctx)
{
    struct daemon *d = ctx;

    d->writer = NULL;
    if (d->reader != NULL)
        reader_close(d->reader, on_reader_closed, d);
    else
        on_reader_closed(d);
}

static void on_part_closed(void *ctx)
{
    struct daemon *d = ctx;

    if (--d->open > 0)
        return;
    d->sync = NULL;
    d->enrol = NULL;
    d->control = NULL;
    if (d->writer != NULL)
        writer_close(d->writer, on_writer_closed, d);
    else
        on_writer_closed(d);
}

/* Ports and control socket; the guard keeps the count above zero until all were asked. */
static void close_parts(struct daemon *d)
{
    d->open = 1;
    if (d->control != NULL) {
        d->open++;
        control_close(d->control, on_part_closed, d);
    }
    if (d->enrol != NULL) {
        d->open++;
        enrol_port_close(d->enrol, on_part_closed, d);
    }
    if (d->sync != NULL) {
        d->open++;
        sync_port_close(d->sync, on_part_closed, d);
    }
    on_part_closed(d);
}

static void on_drain(uv_timer_t *timer)
{
    struct daemon *d = timer->data;
    struct sync_port_counts counts;

    sync_port_counts(d->sync, &counts);
    if (counts.sessions > 0 && uv_now(&d->loop) < d->drain_until)
        return;
    (void)uv_timer_stop(timer);
    close_parts(d);
}

void daemon_stop(struct daemon *d)
{
    if (d->stopping)
        return;
    d->stopping = true;
    log_info("daemon: stopping -> draining sessions");
    sync_port_drain(d->sync);
    (void)uv_timer_init(&d->loop, &d->drain); /* neither can fail */
    d->drain.data = d;
    d->drain_until = uv_now(&d->loop) + DRAIN_MS;
    (void)uv_timer_start(&d->drain, on_drain, 0, DRAIN_LOOK);
}

static void on_signal(uv_signal_t *handle, int number)
{
    (void)number;
    daemon_stop(handle->data);
}

/* ---- start-up ---- */

static void on_advanced(void *ctx, const struct writer_head *heads, size_t n)
{
    struct daemon *d = ctx;

    if (d->sync != NULL)
        feed_advanced(sync_port_feed(d->sync), heads, n);
}

static void on_settled(void *ctx)
{
    struct daemon *d = ctx;

    if (d->sync != NULL)
        feed_tell(sync_port_feed(d->sync));
}

struct collecting {
    struct daemon *d;
    struct writer_head heads[STREAMS_MAX];
    size_t n;
};

static int collect_head(void *ctx, const struct stream_head *h)
{
    struct collecting *c = ctx;
    struct writer_head *to = &c->heads[c->n];

    if (c->n == STREAMS_MAX)
        return E_INTERNAL;
    to->stream = h->stream;
    if (city_head(c->d->o->city, h->stream, &to->head, &to->signature, &to->seq) == 0)
        c->n++;
    return 0;
}

static int start_feed(struct daemon *d, struct err *err)
{
    struct collecting c = {.d = d};
    int ret = store_stream_each(city_store(d->o->city), collect_head, &c, err);

    if (ret == 0)
        feed_start(sync_port_feed(d->sync), c.heads, c.n);
    return ret;
}

/* Counties may know the older CA only, those that enrol know the newest. */
static int make_tls(struct daemon *d, const struct authorities *a, struct tls_config **ret_sync,
                    struct tls_config **ret_enrol, struct err *err)
{
    struct tls_params p = {.role = TLS_SERVER,
                           .alpn = TLS_ALPN_SYNC,
                           .own = a->at[a->n - 1].server,
                           .key = d->o->server_key,
                           .ca = a->at[0].ca,
                           .old_ca = a->n > 1 ? a->at[1].ca : NULL,
                           .ask_client = true,
                           .allow_expired = true};
    int ret = tls_config_new(&p, ret_sync, err);

    p.alpn = TLS_ALPN_ENROL;
    p.own = a->at[0].server;
    p.old_ca = NULL;
    p.ask_client = false;
    p.allow_expired = false;
    p.send_ca = true;
    if (ret == 0)
        ret = tls_config_new(&p, ret_enrol, err);
    return ret;
}

static int load_authorities(struct daemon *d, struct authorities **ret_authorities,
                            struct tls_config **ret_sync, struct tls_config **ret_enrol,
                            struct err *err)
{
    struct id ledger = city_ledger(d->o->city);
    int ret = d->o->authorities(d->o->deed_ctx, ret_authorities, err);

    if (ret == 0)
        ret = authorities_sign(*ret_authorities, &ledger, buf_slice(&d->log_key), err);
    return ret == 0 ? make_tls(d, *ret_authorities, ret_sync, ret_enrol, err) : ret;
}

int daemon_reload(struct daemon *d, struct err *err)
{
    struct authorities *a = NULL;
    struct tls_config *sync = NULL, *enrol = NULL;
    int ret = load_authorities(d, &a, &sync, &enrol, err);

    if (ret == 0) {
        enrol_port_renew(d->enrol, a, enrol);
        sync_port_renew(d->sync, a, sync);
        log_info("daemon: certificate authorities read anew -> generation=%u of=%u",
                 a->at[0].generation, a->n);
    }
    authorities_unref(ret == 0 ? d->authorities : a);
    if (ret == 0)
        d->authorities = a;
    tls_config_unref(sync); /* the ports have theirs */
    tls_config_unref(enrol);
    return ret;
}

static int start_store(struct daemon *d, struct err *err)
{
    struct writer_options w = {.loop = &d->loop,
                               .city = d->o->city,
                               .clock = daemon_clock,
                               .advanced = on_advanced,
                               .settled = on_settled,
                               .ctx = d};
    struct reader_options r = {
        .loop = &d->loop, .path = d->o->store_path, .vault = d->o->vault};
    int ret = reader_new(&r, &d->reader, err);

    return ret != 0 ? ret : writer_new(&w, &d->writer, err);
}

static int start_sync(struct daemon *d, struct err *err)
{
    struct sync_port_options p = {.loop = &d->loop,
                                  .net = d->net,
                                  .writer = d->writer,
                                  .reader = d->reader,
                                  .session = &server_options_preset,
                                  .tls = d->sync_tls,
                                  .authorities = d->authorities,
                                  .hasher = city_hasher(d->o->city),
                                  .clock = daemon_clock,
                                  .blobs = d->o->blobs_path,
                                  .host = d->o->listen_host,
                                  .port = d->o->listen_port};
    const char *told = d->o->advertise[0] != '\0' ? d->o->advertise : d->o->listen_host;
    int ret = sync_port_new(&p, &d->sync, err);

    if (ret != 0)
        return err_wrap(err, ret, "同步端口");
    daemon_address(d->listen, sizeof d->listen, d->o->listen_host, sync_port_port(d->sync));
    daemon_address(d->told, sizeof d->told, told, sync_port_port(d->sync));
    return 0;
}

static int start_enrol(struct daemon *d, struct err *err)
{
    struct enrol_port_options p = {.loop = &d->loop,
                                   .net = d->net,
                                   .writer = d->writer,
                                   .tls = d->enrol_tls,
                                   .clock = daemon_clock,
                                   .host = d->o->enrol_host,
                                   .port = d->o->enrol_port,
                                   .authorities = d->authorities,
                                   .ledger = city_ledger(d->o->city),
                                   .hasher = city_hasher(d->o->city),
                                   .sync_address = d->told};
    int ret;

    p.log_key = buf_slice(&d->log_key);
    ret = enrol_port_new(&p, &d->enrol, err);
    if (ret != 0)
        return err_wrap(err, ret, "接入端口");
    daemon_address(d->enrol_listen, sizeof d->enrol_listen, d->o->enrol_host,
                   enrol_port_port(d->enrol));
    return 0;
}

static int start(struct daemon *d, struct err *err)
{
    int ret = net_new(&d->loop, &d->net);

    if (ret == 0)
        ret = key_public(d->o->log_key, &d->log_key);
    if (ret == 0)
        ret = load_authorities(d, &d->authorities, &d->sync_tls, &d->enrol_tls, err);
    if (ret == 0)
        ret = start_store(d, err);
    if (ret == 0)
        ret = start_sync(d, err);
    if (ret == 0)
        ret = start_feed(d, err);
    if (ret == 0)
        ret = start_enrol(d, err);
    if (ret == 0)
        ret = control_open(&d->loop, d->o->control_path, daemon_control, d, &d->control, err);
    return ret;
}

static void start_signals(struct daemon *d)
{
    (void)uv_signal_init(&d->loop, &d->sigterm); /* none of these fails for these signals */
    (void)uv_signal_init(&d->loop, &d->sigint);
    d->sigterm.data = d;
    d->sigint.data = d;
    (void)uv_signal_start(&d->sigterm, on_signal, SIGTERM);
    (void)uv_signal_start(&d->sigint, on_signal, SIGINT);
}

/* A connection is a descriptor, and the usual soft limit is 1024. */
static void raise_descriptors(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max)
        return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        log_warning("daemon: descriptor limit not raised -> fewer sessions");
}

static void release(struct daemon *d)
{
    net_free(d->net);
    tls_config_unref(d->sync_tls);
    tls_config_unref(d->enrol_tls);
    authorities_unref(d->authorities);
    buf_release(&d->log_key);
}

int daemon_run(const struct daemon_options *o, struct err *err)
{
    struct daemon d = {.o = o, .started = daemon_clock()};
    int ret;

    buf_init(&d.log_key, WIRE_DER_MAX);
    raise_descriptors();
    (void)signal(SIGPIPE, SIG_IGN);
    if (uv_loop_init(&d.loop) != 0)
        return err_set(err, E_NOMEM, NULL);
    start_signals(&d);
    ret = start(&d, err);
    if (ret == 0) {
        log_info("daemon: serving listen=%s enrol=%s", d.listen, d.enrol_listen);
    } else {
        d.stopping = true; /* a signal has nothing to drain */
        close_parts(&d);
    }
    (void)uv_run(&d.loop, UV_RUN_DEFAULT); /* ends when the last handle is closed */
    release(&d);
    if (uv_loop_close(&d.loop) != 0)
        return err_set(err, E_INTERNAL, "事件循环没有清空");
    if (ret == 0)
        log_info("daemon: stopped");
    return ret;
}
