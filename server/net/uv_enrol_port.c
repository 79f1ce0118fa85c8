/* Enrolment.
 *
 *  stream open ─► one Enrol frame ─► writer: use the token, issue the certificate ─► Enrolled, close
 *
 * Whatever is wrong is one Bye with a code, counted and logged; secrets never are. Strangers are kept
 * small: a frame of at most ENROL_FRAME_MAX bytes within ENROL_WITHIN, a bounded number at a time, and
 * an address that was refused often waits. */
#include "server/net/uv_enrol_port.h"

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/crypto/hash.h"

#include <string.h>

#define ENROL_FRAME_MAX  16384u
#define ENROL_ARENA      (512u << 10)
#define ENROL_WITHIN     10000 /* ms for the frame; the answer has as long again */
#define PEERS_MAX        64
#define SWEEP_MS         500
#define STRIKES_MAX      10 /* refusals of an address in STRIKES_WITHIN */
#define STRIKES_WITHIN   60000
#define STRIKERS         64

struct peer;

struct striker {
    char address[STREAM_ADDRESS_SIZE];
    unsigned n;
    uint64_t since;
};

struct enrol_port {
    struct enrol_port_options o;
    struct listener *listener;
    uv_timer_t sweep;
    bool sweep_open;
    struct peer *peers;
    unsigned n_peers;
    struct striker strikers[STRIKERS];
    struct enrol_counts counts;
    void (*close_cb)(void *ctx);
    void *close_ctx;
};

/* One connection, and the job it becomes. */
struct peer {
    struct write_job job;
    struct enrol_port *port;
    struct peer *next, **at;
    struct stream *stream; /* NULL: gone */
    struct frame_reader frames;
    struct arena arena;
    uint64_t since;
    bool asked;   /* the frame has come */
    bool working; /* with the writer */
    char address[STREAM_ADDRESS_SIZE];

    uint8_t secret_hash[HASH_SIZE];
    struct slice csr; /* in the arena */
    struct id replica;
    struct authorities *authorities; /* as they were when it asked; one reference */
    struct cert *cert; /* issued; owned */
    struct city_cert recorded;
    uint32_t site, k;
    struct id clerk;
};

void enrol_secret_hash(struct slice secret, uint8_t ret[HASH_SIZE])
{
    struct slice parts[] = {slice_str(ENROL_TOKEN_LABEL), secret};

    hasher_of(HASH_SHA256)->digest(parts, 2, ret);
}

/* ---- who was refused often ---- */

static struct striker *striker_of(struct enrol_port *p, const char *address, uint64_t now)
{
    struct striker *oldest = &p->strikers[0];

    for (size_t i = 0; i < STRIKERS; i++) {
        struct striker *s = &p->strikers[i];

        if (s->n > 0 && now - s->since > STRIKES_WITHIN)
            s->n = 0;
        if (strcmp(s->address, address) == 0)
            return s;
        if (s->since < oldest->since)
            oldest = s;
    }
    *oldest = (struct striker){.since = now};
    (void)snprintf(oldest->address, sizeof oldest->address, "%s", address);
    return oldest;
}

static bool is_throttled(struct enrol_port *p, const char *address)
{
    return striker_of(p, address, uv_now(p->o.loop))->n >= STRIKES_MAX;
}

static void count_refusal(struct enrol_port *p, const char *address, int ret)
{
    struct striker *s = striker_of(p, address, uv_now(p->o.loop));

    if (s->n++ == 0)
        s->since = uv_now(p->o.loop);
    if (-ret > 0 && -ret < REFUSED_CODES)
        p->counts.refused[-ret]++;
    (void)err_set(&p->counts.last, ret, NULL);
    log_warning("enrol port: refused peer=%s code=%s", address, err_code(ret));
}

/* ---- life ---- */

static void maybe_closed(struct enrol_port *p)
{
    void (*cb)(void *ctx) = p->close_cb;
    void *ctx = p->close_ctx;

    if (cb == NULL || p->listener != NULL || p->sweep_open || p->peers != NULL)
        return;
    authorities_unref(p->o.authorities);
    mem_free(p);
    cb(ctx);
}

static void maybe_free(struct peer *e)
{
    struct enrol_port *p = e->port;

    if (e->stream != NULL || e->working)
        return;
    *e->at = e->next;
    if (e->next != NULL)
        e->next->at = e->at;
    p->n_peers--;
    frame_reader_release(&e->frames);
    arena_release(&e->arena);
    cert_free(e->cert);
    authorities_unref(e->authorities);
    mem_free(e);
    maybe_closed(p);
}

/* ---- answers ---- */

static void send_and_close(struct peer *e, struct buf *out)
{
    if (e->stream != NULL && out->ret == 0)
        (void)stream_write(e->stream, buf_slice(out)); /* a failure closes the stream by itself */
    if (e->stream != NULL)
        stream_close(e->stream);
    buf_release(out);
}

static void refuse(struct peer *e, int ret)
{
    Ztc__Bye m = ZTC__BYE__INIT;
    struct buf out;

    count_refusal(e->port, e->address, ret);
    m.code = wire_data(slice_str(err_code(ret)));
    m.has_text = true;
    m.text = wire_data(slice_str(err_text(ret)));
    buf_init(&out, FRAME_MAX);
    frame_put_bye(&out, &m);
    send_and_close(e, &out);
}

static void put_enrolled(const struct peer *e, struct slice cert, struct buf *out)
{
    const struct enrol_port_options *o = &e->port->o;
    Ztc__Enrolled m = ZTC__ENROLLED__INIT;
    const struct authorities *a = e->authorities;
    ProtobufCBinaryData chain[TRUST_MAX];
    ProtobufCBinaryData address = wire_data(slice_str(o->sync_address));

    m.certificate = wire_data(cert);
    m.n_chain = a->n;
    m.chain = chain;
    for (unsigned i = 0; i < a->n; i++)
        chain[i] = wire_data(buf_slice(&a->der[i]));
    m.log_key = wire_data(o->log_key);
    m.ledger = wire_data((struct slice){o->ledger.b, ID_SIZE});
    m.hash = (uint32_t)o->hasher->alg;
    m.site = e->site;
    m.k = e->k;
    m.city_time = o->clock();
    m.n_addresses = 1;
    m.addresses = &address;
    m.account = wire_data((struct slice){e->clerk.b, ID_SIZE});
    m.has_log_key_signature = true;
    m.log_key_signature = wire_data(buf_slice(&a->log_key_signature));
    frame_put_enrolled(out, &m);
}

static void answer(struct peer *e)
{
    struct buf cert, out;
    int ret;

    buf_init(&cert, WIRE_DER_MAX);
    buf_init(&out, FRAME_MAX);
    ret = cert_to_der(e->cert, &cert);
    if (ret == 0) {
        char id[ID_TEXT_SIZE];

        put_enrolled(e, buf_slice(&cert), &out);
        id_format(&e->replica, id);
        e->port->counts.enrolled++;
        log_info("enrol port: enrolled replica=%s site=%u k=%u peer=%s", id, e->site, e->k,
                 e->address);
        send_and_close(e, &out);
    } else {
        refuse(e, ret);
        buf_release(&out);
    }
    buf_release(&cert);
}

/* ---- the writer's part ---- */

static int issue(void *ctx, uint32_t site, char ret_serial[48], uint8_t ret_fingerprint[HASH_SIZE])
{
    struct peer *e = ctx;
    int ret;

    cert_free(e->cert); /* of a run that was rolled back */
    e->cert = NULL;
    ret = authorities_issue(e->authorities, e->csr, site, &e->replica, e->job.now, &e->cert,
                            &e->recorded, &e->job.err);
    if (ret != 0)
        return ret;
    memcpy(ret_serial, e->recorded.serial, sizeof e->recorded.serial);
    memcpy(ret_fingerprint, e->recorded.fingerprint, HASH_SIZE);
    return 0;
}

static int run_enrol(struct write_job *job, struct city *city, struct err *err)
{
    struct peer *e = (struct peer *)job;
    int ret = city_enrol(city, e->secret_hash, &e->replica, issue, e, &e->site, &e->k, &e->clerk,
                         err);

    if (ret == 0)
        ret = city_cert_enrolled(city, &e->replica, &e->recorded, err);
    job->wrote = ret != 0 && ret != E_TOKEN;
    return ret;
}

static void enrol_done(struct write_job *job)
{
    struct peer *e = (struct peer *)job;

    e->working = false;
    if (job->ret == 0)
        answer(e);
    else
        refuse(e, job->ret);
    maybe_free(e);
}

/* ---- events ---- */

static void take(struct peer *e, const Ztc__Enrol *m)
{
    enrol_secret_hash(wire_slice(m->secret), e->secret_hash);
    mem_wipe(m->secret.data, m->secret.len);
    memcpy(e->replica.b, m->replica.data, ID_SIZE);
    e->csr = wire_slice(m->csr);
    e->job = (struct write_job){.run = run_enrol, .done = enrol_done, .impatient = true,
                                .changes = 1};
    e->authorities = authorities_ref(e->port->o.authorities);
    e->working = true;
    writer_submit(e->port->o.writer, &e->job);
}

static void on_data(void *ctx, struct slice data)
{
    struct peer *e = ctx;
    Ztc__Frame *frame = NULL;
    size_t used;
    int ret;

    if (e->asked)
        return; /* the one frame has come; what follows is not read */
    ret = frame_feed(&e->frames, data, &e->arena, &used, &frame);
    if (ret == 0 && frame == NULL)
        return;
    e->asked = true;
    if (ret == 0 && frame->kind_case != ZTC__FRAME__KIND_ENROL)
        ret = E_PROTOCOL;
    if (ret == 0)
        take(e, frame->enrol);
    else
        refuse(e, ret);
}

static void on_peer_close(void *ctx, const struct err *why)
{
    struct peer *e = ctx;

    e->stream = NULL;
    if (!e->asked)
        count_refusal(e->port, e->address, why->ret == 0 ? E_CLOSED : why->ret);
    maybe_free(e);
}

static const struct stream_events peer_events = {
    .on_data = on_data,
    .on_close = on_peer_close,
};

static void on_stream(void *ctx, struct stream *s, const struct cert *shown)
{
    struct enrol_port *p = ctx;
    struct peer *e = mem_calloc(1, sizeof *e);

    (void)shown; /* none is asked for */
    if (e == NULL) {
        stream_abort(s, E_NOMEM);
        return;
    }
    e->port = p;
    e->stream = s;
    e->since = uv_now(p->o.loop);
    frame_reader_init(&e->frames, ENROL_FRAME_MAX);
    arena_init(&e->arena, ENROL_ARENA);
    (void)snprintf(e->address, sizeof e->address, "%s", stream_address(s));
    e->next = p->peers;
    e->at = &p->peers;
    if (e->next != NULL)
        e->next->at = &e->next;
    p->peers = e;
    p->n_peers++;
    stream_adopt(s, &peer_events, e);
    if (p->n_peers > PEERS_MAX || is_throttled(p, e->address)) {
        e->asked = true;
        refuse(e, E_BUSY);
    }
}

static void on_sweep(uv_timer_t *timer)
{
    struct enrol_port *p = timer->data;
    uint64_t now = uv_now(p->o.loop);

    for (struct peer *e = p->peers; e != NULL; e = e->next) {
        if (e->stream != NULL && !e->asked && now - e->since > ENROL_WITHIN)
            stream_abort(e->stream, E_TIMEOUT);
    }
}

static msec_t on_now(void *ctx)
{
    struct enrol_port *p = ctx;

    return p->o.clock();
}

static void on_refused(void *ctx, const char *address, const struct err *why)
{
    count_refusal(ctx, address, why->ret);
}

static void on_listener_closed(void *ctx)
{
    struct enrol_port *p = ctx;

    p->listener = NULL;
    maybe_closed(p);
}

static const struct listener_events listener_events = {
    .now = on_now,
    .on_stream = on_stream,
    .on_refused = on_refused,
    .on_closed = on_listener_closed,
};

int enrol_port_new(const struct enrol_port_options *o, struct enrol_port **ret, struct err *err)
{
    struct enrol_port *p = mem_calloc(1, sizeof *p);
    int status;

    if (p == NULL)
        return err_set(err, E_NOMEM, NULL);
    p->o = *o;
    (void)authorities_ref(p->o.authorities);
    status = listener_open(o->net, o->host, o->port, o->tls, &listener_events, p, &p->listener,
                               err);
    if (status != 0) {
        authorities_unref(p->o.authorities);
        mem_free(p);
        return status;
    }
    (void)uv_timer_init(o->loop, &p->sweep); /* neither can fail */
    p->sweep.data = p;
    p->sweep_open = true;
    (void)uv_timer_start(&p->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
    *ret = p;
    return 0;
}

void enrol_port_renew(struct enrol_port *p, struct authorities *a, struct tls_config *tls)
{
    authorities_unref(p->o.authorities);
    p->o.authorities = authorities_ref(a);
    if (p->listener != NULL)
        listener_set_config(p->listener, tls);
}

uint16_t enrol_port_port(const struct enrol_port *p)
{
    return listener_port(p->listener);
}

void enrol_port_counts(const struct enrol_port *p, struct enrol_counts *ret)
{
    *ret = p->counts;
}

static void on_sweep_closed(uv_handle_t *handle)
{
    struct enrol_port *p = handle->data;

    p->sweep_open = false;
    maybe_closed(p);
}

void enrol_port_close(struct enrol_port *p, void (*cb)(void *ctx), void *ctx)
{
    p->close_cb = cb;
    p->close_ctx = ctx;
    if (p->listener != NULL)
        listener_close(p->listener);
    for (struct peer *e = p->peers; e != NULL; e = e->next) {
        if (e->stream != NULL)
            stream_abort(e->stream, 0);
    }
    uv_close((uv_handle_t *)&p->sweep, on_sweep_closed);
}
