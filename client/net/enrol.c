/* Enrolment: a token becomes a replica.
 *
 *   keys and id made ─► TLS to the address in the token, the CA pinned by its fingerprint ─► Enrol
 *   ─► Enrolled: identity, key and log key checked ─► files written, the replica's own file last
 *
 * The token works once: when the answer is lost on the way, another token is needed; nothing here says
 * "enrolled" until replica.db stands under its name. */
#include "client/net/agent.h"
#include "client/net/certificate.h"

#include "client/cmd/home.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/crypto/hash.h"
#include "common/crypto/trust.h"
#include "common/net/uv_stream.h"
#include "common/wire/frame.h"
#include "common/wire/token.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WITHIN        15000 /* ms, for connecting and for the answer */
#define ARENA_BYTES   (1u << 20)
#define SOFTWARE      "ztc/" ZTC_VERSION
#define LOG_KEY_LABEL "ztc-log-key-1" /* common to both sides: docs/protocol.md */

struct enrolling {
    const char *dir;
    struct token token;
    struct id replica;
    struct key *key;
    struct buf csr;
    struct buf city; /* DER of the certificate it showed: bundles are sealed to its key */
    uv_loop_t loop;
    uv_timer_t timer;
    struct net *net;
    struct tls_config *tls;
    struct stream *stream;
    struct frame_reader frames;
    struct arena arena;
    const Ztc__Enrolled *answer; /* in the arena */
    bool asked;                  /* the token may have been used */
    struct err why;
};

/* ---- the exchange ---- */

static void send_enrol(struct enrolling *e)
{
    Ztc__Enrol m = ZTC__ENROL__INIT;
    struct buf out;

    m.secret = wire_data((struct slice){e->token.secret, sizeof e->token.secret});
    m.csr = wire_data(buf_slice(&e->csr));
    m.replica = wire_data((struct slice){e->replica.b, ID_SIZE});
    m.software = wire_data(slice_str(SOFTWARE));
    buf_init(&out, FRAME_MAX);
    frame_put_enrol(&out, &m);
    e->asked = true;
    (void)stream_write(e->stream, buf_slice(&out)); /* a failure closes the stream */
    if (out.p != NULL)
        mem_wipe(out.p, out.len);
    buf_release(&out);
}

static void on_open(void *ctx, const struct cert *peer)
{
    struct enrolling *e = ctx; /* the pinned CA vouches for the peer */

    buf_clear(&e->city);
    (void)cert_to_der(peer, &e->city); /* an error sticks in it */
    send_enrol(e);
}

static void take_bye(struct enrolling *e, const Ztc__Bye *m)
{
    char code[WIRE_CODE_MAX + 1] = "";

    memcpy(code, m->code.data, m->code.len < WIRE_CODE_MAX ? m->code.len : WIRE_CODE_MAX);
    (void)err_set(&e->why, err_from_code(code), NULL);
}

static void on_data(void *ctx, struct slice data)
{
    struct enrolling *e = ctx;
    Ztc__Frame *frame = NULL;
    size_t used;
    int ret;

    if (e->answer != NULL || e->why.ret != 0)
        return;
    ret = frame_feed(&e->frames, data, &e->arena, &used, &frame);
    if (ret == 0 && frame == NULL)
        return;
    if (ret != 0)
        (void)err_set(&e->why, ret, NULL);
    else if (frame->kind_case == ZTC__FRAME__KIND_ENROLLED)
        e->answer = frame->enrolled;
    else if (frame->kind_case == ZTC__FRAME__KIND_BYE)
        take_bye(e, frame->bye);
    else
        (void)err_set(&e->why, E_PROTOCOL, NULL);
    stream_close(e->stream);
}

static void on_close(void *ctx, const struct err *why)
{
    struct enrolling *e = ctx;

    e->stream = NULL;
    if (e->answer == NULL && e->why.ret == 0)
        e->why = why->ret != 0 ? *why : (struct err){.ret = E_CLOSED};
    uv_close((uv_handle_t *)&e->timer, NULL);
}

static void on_late(uv_timer_t *timer)
{
    struct enrolling *e = timer->data;

    if (e->stream != NULL)
        stream_abort(e->stream, E_TIMEOUT);
}

static const struct stream_events events = {
    .on_open = on_open, .on_data = on_data, .on_close = on_close};

/* One address of the token. 0: there is an answer. */
static int ask(struct enrolling *e, const char *address)
{
    char host[WIRE_ADDRESS_MAX + 1];
    const char *colon = strrchr(address, ':');
    size_t len = (size_t)(colon - address); /* the token's addresses were checked */
    uint16_t port = (uint16_t)strtoul(colon + 1, NULL, 10);
    const char *from = address;
    int ret;

    if (address[0] == '[') {
        from++;
        len -= 2;
    }
    memcpy(host, from, len);
    host[len] = '\0';
    e->why = (struct err){.ret = 0};
    (void)uv_timer_init(&e->loop, &e->timer); /* neither can fail */
    e->timer.data = e;
    (void)uv_timer_start(&e->timer, on_late, 2 * WITHIN, 0);
    /* The token's end judges the city's certificate: this computer's clock may be wrong by years. */
    ret = stream_connect(e->net, e->tls, host, port, e->token.expires_at, WITHIN, &events, e,
                         &e->stream, &e->why);
    if (ret != 0)
        uv_close((uv_handle_t *)&e->timer, NULL);
    (void)uv_run(&e->loop, UV_RUN_DEFAULT); /* ends when the stream is closed */
    return e->answer != NULL ? 0 : e->why.ret;
}

static bool is_unreachable(int ret)
{
    return ret == E_UNREACHABLE || ret == E_TIMEOUT || ret == E_IO || ret == E_CLOSED;
}

static int ask_all(struct enrolling *e, struct err *err)
{
    struct tls_params p = {.role = TLS_CLIENT,
                           .alpn = TLS_ALPN_ENROL,
                           .ca_fingerprint = e->token.ca_fingerprint};
    int ret = net_new(&e->loop, &e->net);

    if (ret == 0)
        ret = tls_config_new(&p, &e->tls, err);
    if (ret != 0)
        return err_set(err, ret, NULL);
    ret = E_UNREACHABLE;
    for (unsigned i = 0; i < e->token.n_addresses && ret != 0 && !e->asked; i++)
        ret = ask(e, e->token.addresses[i]);
    if (ret == 0)
        return 0;
    if (is_unreachable(ret) && e->asked)
        return err_set(err, E_UNREACHABLE, "市级服务没有答复，接入码可能已经用掉，请向市级另要一个");
    if (is_unreachable(ret))
        return err_set(err, E_UNREACHABLE, "连接不上市级服务 %s", e->token.addresses[0]);
    return err_set(err, ret, "%s", e->why.text);
}

/* ---- the answer, judged ---- */

static int check_log_key(const struct enrolling *e, const struct cert *ca, struct err *err)
{
    const Ztc__Enrolled *m = e->answer;
    struct buf der, message;
    struct pubkey *key = NULL;
    int ret;

    buf_init(&der, WIRE_DER_MAX);
    buf_init(&message, WIRE_DER_MAX);
    buf_str(&message, LOG_KEY_LABEL);
    buf_put(&message, m->ledger.data, m->ledger.len);
    buf_put(&message, m->log_key.data, m->log_key.len);
    ret = message.ret != 0 ? message.ret : cert_public(ca, &der);
    if (ret == 0)
        ret = pubkey_load(buf_slice(&der), &key, err);
    if (ret == 0 && m->has_log_key_signature) {
        struct verifier v = pubkey_verifier(key);

        ret = v.verify(v.ctx, buf_slice(&message), wire_slice(m->log_key_signature));
    } else if (ret == 0) {
        ret = E_AUTH;
    }
    pubkey_free(key);
    buf_release(&der);
    buf_release(&message);
    return ret == 0 ? 0 : err_set(err, ret, "市级日志公钥的签名不对");
}

static int check_cert(const struct enrolling *e, const struct cert *cert, const struct cert *ca,
                      struct err *err)
{
    uint8_t fingerprint[HASH_SIZE];
    struct id replica;
    uint32_t site;
    struct buf ours, theirs;
    int ret = cert_replica(cert, &site, &replica, err);

    cert_fingerprint(ca, fingerprint);
    if (ret == 0 && (site != e->token.site || site != e->answer->site ||
                     !id_eq(&replica, &e->replica) ||
                     memcmp(fingerprint, e->token.ca_fingerprint, HASH_SIZE) != 0))
        ret = err_set(err, E_AUTH, "市级发来的证书不是给本机的");
    buf_init(&ours, WIRE_DER_MAX);
    buf_init(&theirs, WIRE_DER_MAX);
    if (ret == 0)
        ret = key_public(e->key, &ours);
    if (ret == 0)
        ret = cert_public(cert, &theirs);
    if (ret == 0 && !slice_eq(buf_slice(&ours), buf_slice(&theirs)))
        ret = err_set(err, E_AUTH, "市级发来的证书不是给本机的");
    buf_release(&ours);
    buf_release(&theirs);
    return ret;
}

/* ---- files ---- */

static int save_log_key(const struct enrolling *e, struct err *err)
{
    char path[HOME_PATH_MAX];
    int ret = home_path(e->dir, "log_key.der", path, err);

    if (ret != 0)
        return ret;
    (void)unlink(path); /* of an enrolment that was interrupted */
    return file_write_new(path, wire_slice(e->answer->log_key), err);
}

static int save_secret(const struct enrolling *e, const char *name, struct err *err)
{
    struct random random = random_system();
    char path[HOME_PATH_MAX];
    struct seal_key key;
    int ret = home_path(e->dir, name, path, err);

    if (ret == 0)
        ret = seal_key_load(path, true, &random, &key, err);
    mem_wipe(&key, sizeof key);
    return ret;
}

static int save_settings(const struct enrolling *e, struct err *err)
{
    char path[HOME_PATH_MAX];
    struct buf list;
    struct conf conf;
    int ret = conf_init(&conf, client_settings, client_settings_n);

    if (ret != 0)
        return err_set(err, ret, NULL);
    buf_init(&list, 4096);
    for (size_t i = 0; i < e->answer->n_addresses; i++) {
        buf_str(&list, i > 0 ? "," : "");
        buf_put(&list, e->answer->addresses[i].data, e->answer->addresses[i].len);
    }
    ret = conf_set(&conf, "city", "addresses", buf_cstr(&list), err);
    if (ret == 0)
        ret = home_path(e->dir, "ztc.ini", path, err);
    if (ret == 0)
        ret = conf_save(&conf, path, err);
    buf_release(&list);
    conf_release(&conf);
    return ret;
}

static int save_certs(const struct enrolling *e, const char *name, const struct cert *const *list,
                      size_t n, struct err *err)
{
    char path[HOME_PATH_MAX];
    int ret = home_path(e->dir, name, path, err);

    return ret != 0 ? ret : cert_save_all(list, n, path, err);
}

static int save_city(const struct enrolling *e, struct err *err)
{
    struct cert *city = NULL;
    int ret = cert_from_der(buf_slice(&e->city), &city, err);

    if (ret == 0)
        ret = certificate_keep_city(e->dir, city);
    cert_free(city);
    return ret == 0 ? 0 : err_set(err, ret, NULL);
}

static int save_keys(const struct enrolling *e, struct err *err)
{
    char path[HOME_PATH_MAX];
    int ret = home_path(e->dir, "key.pem", path, err);

    if (ret == 0)
        ret = key_save(e->key, path, err);
    if (ret == 0)
        ret = save_log_key(e, err);
    if (ret == 0)
        ret = save_secret(e, "vault.key", err);
    /* The site's own key is made where the site begins; the city never has it. */
    if (ret == 0 && e->answer->k == 1)
        ret = save_secret(e, "site.key", err);
    return ret != 0 ? ret : save_settings(e, err);
}

static int record_time(const char *path, const struct replica_keys *keys, msec_t city_time,
                       struct err *err)
{
    struct replica *r;
    int ret = replica_open(path, keys, &r, err);

    if (ret != 0)
        return ret;
    ret = store_meta_put_int(replica_store(r), AGENT_META_CITY_TIME, (int64_t)city_time, err);
    replica_close(r);
    return ret;
}

static int create_replica(const struct enrolling *e, struct agent_enrolled *ret, struct err *err)
{
    const Ztc__Enrolled *m = e->answer;
    struct replica_facts f = {.id = e->replica, .site = m->site, .k = m->k};
    struct replica_keys keys = {.hasher = hasher_of((enum hash_alg)m->hash),
                                .hasher_of = hasher_of,
                                .random = random_system()};
    char path[HOME_PATH_MAX], made[HOME_PATH_MAX];
    struct pubkey *log_key;
    int status;

    if (keys.hasher == NULL)
        return err_set(err, E_VERSION, "市级使用的校验算法本程序不认识，请升级");
    memcpy(f.ledger.b, m->ledger.data, ID_SIZE);
    memcpy(f.clerk.b, m->account.data, ID_SIZE);
    status = pubkey_load(wire_slice(m->log_key), &log_key, err);
    if (status != 0)
        return status;
    keys.log_key = pubkey_verifier(log_key);
    status = home_path(e->dir, "replica.db", path, err);
    if (status == 0)
        status = home_path(e->dir, "replica.db.new", made, err);
    if (status == 0) {
        (void)unlink(made); /* of an enrolment that was interrupted */
        status = replica_create(made, &keys, &f, err);
    }
    if (status == 0)
        status = record_time(made, &keys, m->city_time, err);
    if (status == 0 && rename(made, path) != 0)
        status = err_set(err, E_IO, "不能改名 %s：%s", made, strerror(errno));
    pubkey_free(log_key);
    *ret = (struct agent_enrolled){f.id, f.ledger, f.clerk, f.site, f.k, m->city_time};
    return status;
}

static int finish(struct enrolling *e, struct agent_enrolled *ret, struct err *err)
{
    const Ztc__Enrolled *m = e->answer;
    struct cert *cert = NULL, *cas[TRUST_MAX] = {NULL};
    size_t n = 0;
    int status = cert_from_der(wire_slice(m->certificate), &cert, err);

    /* The first issued ours, and is the token's; it vouches for an older one by this connection. */
    for (; status == 0 && n < m->n_chain && n < TRUST_MAX; n += status == 0)
        status = cert_from_der(wire_slice(m->chain[n]), &cas[n], err);
    if (status == 0)
        status = check_cert(e, cert, cas[0], err);
    if (status == 0)
        status = check_log_key(e, cas[0], err);
    if (status == 0)
        status = save_keys(e, err);
    if (status == 0)
        status = save_certs(e, "ca.pem", (const struct cert *const *)cas, n, err);
    if (status == 0)
        status = save_city(e, err);
    if (status == 0)
        status = save_certs(e, "cert.pem", (const struct cert *const *)&cert, 1, err);
    if (status == 0)
        status = create_replica(e, ret, err);
    cert_free(cert);
    for (size_t i = 0; i < TRUST_MAX; i++)
        cert_free(cas[i]);
    return status;
}

/* ---- the whole ---- */

static int check_dir(const char *dir, struct err *err)
{
    char path[HOME_PATH_MAX];
    int ret = home_make(dir, err);

    if (ret == 0)
        ret = home_path(dir, "replica.db", path, err);
    if (ret == 0 && access(path, F_OK) == 0)
        ret = err_set(err, E_EXISTS, "%s 里已有台账，没有改动", dir);
    return ret;
}

static msec_t wall_clock(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_REALTIME, &t); /* cannot fail for this clock */
    return (msec_t)t.tv_sec * 1000 + (msec_t)t.tv_nsec / 1000000;
}

static int prepare(struct enrolling *e, struct err *err)
{
    struct random random = random_system();
    int ret = key_new(&e->key, err);

    e->replica = id_v7(wall_clock(), &random);
    buf_init(&e->csr, WIRE_DER_MAX);
    buf_init(&e->city, WIRE_DER_MAX);
    frame_reader_init(&e->frames, FRAME_MAX);
    arena_init(&e->arena, ARENA_BYTES);
    return ret != 0 ? ret : csr_new(e->key, &e->csr, err);
}

static void release(struct enrolling *e)
{
    net_free(e->net);
    tls_config_unref(e->tls);
    key_free(e->key);
    buf_release(&e->csr);
    buf_release(&e->city);
    frame_reader_release(&e->frames);
    arena_release(&e->arena);
    mem_wipe(&e->token, sizeof e->token);
}

int agent_enrol(const char *dir, const char *token, struct agent_enrolled *ret, struct err *err)
{
    struct enrolling e = {.dir = dir};
    int status = token_parse(slice_str(token), &e.token);

    if (status != 0)
        return err_set(err, status, NULL);
    status = check_dir(dir, err);
    if (status != 0)
        return status;
    if (uv_loop_init(&e.loop) != 0)
        return err_set(err, E_NOMEM, NULL);
    status = prepare(&e, err);
    if (status == 0)
        status = ask_all(&e, err);
    if (status == 0)
        status = finish(&e, ret, err);
    release(&e);
    (void)uv_run(&e.loop, UV_RUN_DEFAULT); /* closing handles, if any are left */
    if (uv_loop_close(&e.loop) != 0 && status == 0)
        status = err_set(err, E_INTERNAL, NULL);
    return status;
}
