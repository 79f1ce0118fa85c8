/* The agent and the single synchronisation: who connects when, and what is said of it.
 *
 *   WAITING ──timer──► link open ──► … ──► link ended ──► WAITING (back-off, jittered)
 *
 *  - One process of a directory talks to the city: agent.lock. `sync` beside a running agent asks it for
 *    a fresh session by a number in the replica's file, and reads the outcome there.
 *  - Changes made by other processes are noticed by a watch on the file and, should that fail, by a
 *    look every second.
 *  - What the agent is doing stands in the replica's file; it is written at most every half second, and
 *    not synced: after a power cut it is written anew. */
#include "client/net/agent.h"

#include "client/cmd/home.h"
#include "client/net/certificate.h"
#include "client/net/uv_link.h"
#include "client/store/repair.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/crypto/hash.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LOOK_MS        1000   /* without a watch */
#define TELL_MS        500    /* between two writings of the state */
#define TELL_MOVED_MS  5000   /* between two that only say that it goes on */
#define TELL_AGAIN_MS  5000   /* after one that failed: each may have waited long for the file */
#define LEFT_MAX       8u
#define COUNT_MS       86400000 /* between two countings of the rows */
#define HOPELESS_MS    300000 /* a person has to act: look again now and then */
#define ADDRESS_SIZE   272
#define HEADS_MAX      8
#define TEXT_ARENA     65536
#define WHY_MAX        1024
#define CODE_SIZE      64

struct agent {
    struct home *home;
    uv_loop_t loop;
    struct net *net;
    struct certificate certificate;
    struct tls_config *tls;
    struct link *link; /* NULL: none open */
    uv_timer_t connect, look, tell, count;
    uv_fs_event_t watch;
    uv_signal_t sigterm, sigint;
    bool once;    /* sync: one session */
    bool stopping;
    bool told_due;
    bool again;   /* a fresh session is wanted at once, and not yet begun */
    unsigned left; /* once: sessions that ended in order before all was done */
    unsigned attempt, address;
    uint64_t seed;
    msec_t city_time, city_time_at; /* the latest known, and when by the loop's clock */
    int64_t others;                 /* store_others() at the last look */
    int64_t ask, answered;          /* of a command: last seen, last settled */
    msec_t within;                  /* once: without progress */
    uint64_t blob_bytes;            /* of attachments, last told */
    enum client_state state;        /* last told */
    const char *state_name;
    struct err cause;               /* of the last end */
    int reason;                     /* client_session_reason() of the open session, last seen */
    msec_t since, next_at;          /* wall clock; next_at 0: no attempt is due */
    msec_t moved_at, moved_told;    /* wall clock: last progress, and as it was last written */
    struct head heads[HEADS_MAX];
    size_t n_heads;
    bool complete;                  /* once: done */
};

static msec_t wall_clock(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_REALTIME, &t); /* cannot fail for this clock */
    return (msec_t)t.tv_sec * 1000 + (msec_t)t.tv_nsec / 1000000;
}

static struct store *store_of(const struct agent *g)
{
    return replica_store(g->home->replica);
}

static msec_t city_now(const struct agent *g)
{
    return g->city_time == 0 ? wall_clock() : g->city_time + (uv_now(&g->loop) - g->city_time_at);
}

/* ---- what is told ---- */

static void put_text(const struct agent *g, const char *name, const char *text)
{
    if (store_meta_put(store_of(g), name, slice_str(text), NULL) != 0)
        log_warning("agent: state not written -> status is behind name=%s", name);
}

/* The city's heads as far as known: Welcome's, or later ones that arrived. */
static void put_heads(const struct agent *g)
{
    const struct client_session *s = g->link == NULL ? NULL : link_session(g->link);
    struct buf b;

    if (s == NULL || s->n_streams == 0)
        return;
    buf_init(&b, 256);
    for (size_t i = 0; i < s->n_streams; i++) {
        buf_be32(&b, s->streams[i].stream);
        buf_be64(&b, s->streams[i].head);
    }
    if (b.ret == 0)
        (void)store_meta_put(store_of(g), AGENT_META_HEADS, buf_slice(&b), NULL); /* as put_text */
    buf_release(&b);
}

/* Why nothing moves: in an open session its reason, else what ended the last one. */
static void say_cause(const struct agent *g, struct err *ret)
{
    *ret = g->cause;
    if (g->reason == E_VERSION)
        (void)err_set(ret, E_VERSION, "有更改要等市级升级后才能上传");
    else if (g->reason != 0)
        (void)err_set(ret, g->reason, "市级暂不接收上传：%s", err_text(g->reason));
    else if (ret->ret != 0 && ret->text[0] == '\0')
        (void)err_set(ret, ret->ret, NULL);
}

static void put_cause(const struct agent *g)
{
    struct err cause;

    say_cause(g, &cause);
    put_text(g, AGENT_META_CAUSE, cause.ret == 0 ? "" : err_code(cause.ret));
    put_text(g, AGENT_META_WHY, cause.ret == 0 ? "" : cause.text);
}

static void put_time(const struct agent *g, const char *name, msec_t at)
{
    (void)store_meta_put_int(store_of(g), name, (int64_t)at, NULL); /* as put_text */
}

static bool is_settled(const struct agent *g)
{
    return !g->again && (g->link == NULL || strcmp(g->state_name, client_state_name(
                                                                     CLIENT_UP_TO_DATE)) == 0);
}

/* What could not be written stays due: the state that lasts is the one that must be read. */
static void tell(struct agent *g)
{
    int ret;

    store_relax_next(store_of(g));
    ret = store_begin(store_of(g), NULL);
    if (ret != 0) {
        log_warning("agent: state not written -> again soon state=%s code=%s", g->state_name,
                    err_code(ret));
        return;
    }
    put_text(g, AGENT_META_STATE, g->state_name);
    put_cause(g);
    put_time(g, AGENT_META_SINCE, g->since);
    put_time(g, AGENT_META_MOVED, g->moved_at);
    put_time(g, AGENT_META_NEXT, g->next_at);
    put_heads(g);
    if (g->city_time != 0)
        (void)store_meta_put_int(store_of(g), AGENT_META_CITY_TIME, (int64_t)city_now(g), NULL);
    if (strcmp(g->state_name, client_state_name(CLIENT_UP_TO_DATE)) == 0)
        (void)store_meta_put_int(store_of(g), AGENT_META_SYNCED, (int64_t)wall_clock(), NULL);
    if (is_settled(g))
        (void)store_meta_put_int(store_of(g), AGENT_META_ANSWERED, g->ask, NULL);
    if (store_commit(store_of(g), NULL) != 0) {
        store_rollback(store_of(g));
        return;
    }
    g->told_due = false;
    g->moved_told = g->moved_at;
    if (is_settled(g))
        g->answered = g->ask;
}

static void on_tell(uv_timer_t *timer)
{
    struct agent *g = timer->data;

    if (!g->told_due)
        return;
    tell(g);
    uv_update_time(&g->loop); /* from now, not from before a long wait; neither can fail */
    (void)uv_timer_start(&g->tell, on_tell, g->told_due ? TELL_AGAIN_MS : TELL_MS, 0);
}

static void changed(struct agent *g, const char *state)
{
    bool same = g->state_name != NULL && strcmp(g->state_name, state) == 0;
    int reason = g->link == NULL ? 0 : client_session_reason(link_session(g->link));

    if (!same)
        g->since = wall_clock();
    same = same && reason == g->reason && g->moved_at < g->moved_told + TELL_MOVED_MS;
    g->state_name = state;
    g->reason = reason;
    if (g->once || (same && g->link != NULL))
        return;
    g->told_due = true;
    if (is_settled(g) && g->answered != g->ask)
        tell(g); /* somebody waits for it */
    if (g->told_due && !uv_is_active((uv_handle_t *)&g->tell))
        (void)uv_timer_start(&g->tell, on_tell, 0, 0); /* as above */
}

/* ---- the end of it ---- */

static void close_handle(uv_handle_t *handle)
{
    if (handle->data != NULL && !uv_is_closing(handle))
        uv_close(handle, NULL);
}

static void finish(struct agent *g)
{
    if (!g->once) {
        g->state_name = "stopped";
        g->since = wall_clock();
        g->next_at = 0;
        tell(g);
    } else if (g->city_time != 0) {
        (void)store_meta_put_int(store_of(g), AGENT_META_CITY_TIME, (int64_t)city_now(g), NULL);
    }
    close_handle((uv_handle_t *)&g->connect);
    close_handle((uv_handle_t *)&g->look);
    close_handle((uv_handle_t *)&g->tell);
    close_handle((uv_handle_t *)&g->count);
    close_handle((uv_handle_t *)&g->watch);
    close_handle((uv_handle_t *)&g->sigterm);
    close_handle((uv_handle_t *)&g->sigint);
}

static void stop(struct agent *g)
{
    g->stopping = true;
    if (g->link != NULL)
        link_end(g->link);
    else
        finish(g);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct agent *g = handle->data;

    (void)number;
    if (!g->stopping)
        stop(g);
}

/* ---- connecting ---- */

static void on_connect(uv_timer_t *timer);

static void connect_in(struct agent *g, uint64_t ms)
{
    (void)uv_timer_start(&g->connect, on_connect, ms, 0); /* cannot fail with a callback */
}

static void retry(struct agent *g, uint32_t retry_after)
{
    uint64_t wait = client_backoff_helps(g->cause.ret)
                        ? client_backoff(g->attempt, retry_after, g->seed)
                        : HOPELESS_MS;

    g->attempt++;
    g->address++;
    g->next_at = wall_clock() + wait;
    log_info("agent: not connected code=%s -> next try in %llu ms",
             g->cause.ret == 0 ? "-" : err_code(g->cause.ret), (unsigned long long)wait);
    changed(g, "waiting");
    connect_in(g, wait);
}

static void on_end(void *ctx, const struct err *cause, uint32_t retry_after, bool was_served)
{
    struct agent *g = ctx;

    g->link = NULL;
    if (cause->ret != 0 || !g->once) /* once: what it gave up for stays */
        g->cause = *cause;
    if (was_served)
        g->attempt = 0;
    if (cause->ret == 0 && g->cause.ret == 0 && g->once && !g->complete && g->left++ < LEFT_MAX)
        g->again = true; /* it went back to a restored city's history, say: the next session goes on there */
    if (g->stopping || (g->once && !g->again))
        finish(g);
    else if (g->again)
        connect_in(g, 0);
    else
        retry(g, retry_after);
}

static void on_welcome(void *ctx, const Ztc__Welcome *welcome)
{
    struct agent *g = ctx;

    g->cause = (struct err){.ret = 0};
    if (welcome->city_time > g->city_time) {
        g->city_time = welcome->city_time;
        g->city_time_at = uv_now(&g->loop);
    }
}

static int on_request(void *ctx, struct buf *out, struct err *err)
{
    struct agent *g = ctx;

    return certificate_request(&g->certificate, out, err);
}

static int make_tls(struct agent *g, struct err *err);

/* A line is the place where one learns whom a bundle is sealed to. */
static void on_city(void *ctx, const struct cert *city)
{
    const struct agent *g = ctx;

    if (certificate_keep_city(g->home->dir, city) != 0)
        log_warning("agent: the city's certificate not written -> no bundles yet");
}

/* What was taken is for the next connection; one that could do nothing but renew is followed at once. */
static int on_renewed(void *ctx, const Ztc__Renewed *m, struct client_cert *ret, struct err *err)
{
    struct agent *g = ctx;
    struct replica_facts facts;
    int status = replica_facts(g->home->replica, &facts, err);

    if (status == 0)
        status = certificate_take(&g->certificate, g->home->dir, &facts.ledger, m, err);
    if (status == 0)
        status = make_tls(g, err);
    if (status != 0) {
        log_warning("agent: certificate not renewed -> the former one stays code=%s",
                    err_code(status));
        return status;
    }
    log_info("agent: certificate renewed -> in use with the next connection");
    g->again = link_session(g->link)->renew_only;
    *ret = certificate_facts(&g->certificate);
    return 0;
}

static int on_make_identity(void *ctx, struct buf *out, struct id *ret, struct err *err)
{
    struct agent *g = ctx;

    return identity_request(g->home->dir, g->home->replica, wall_clock(), out, ret, err);
}

/* From the next connection on, which is made at once, this computer is another. */
static int on_take_identity(void *ctx, const Ztc__NewIdentityGranted *m, uint64_t agreed_n,
                            struct err *err)
{
    struct agent *g = ctx;
    uint64_t remade = 0;
    int ret = identity_take(&g->certificate, g->home->dir, g->home->replica, m, agreed_n,
                            wall_clock(), &remade, err);

    if (ret == 0)
        ret = make_tls(g, err);
    if (ret != 0) {
        log_error("agent: new identity not taken -> tried again code=%s", err_code(ret));
        return ret;
    }
    log_warning("agent: another computer has this identity, or a backup was restored -> new identity"
                " agreed_n=%llu remade=%llu",
                (unsigned long long)agreed_n, (unsigned long long)remade);
    g->again = true;
    return 0;
}

static void on_change(void *ctx)
{
    struct agent *g = ctx;
    const struct client_session *s = link_session(g->link);

    if (g->once && !g->complete && client_session_complete(s) && !client_session_history(s) &&
        !client_session_fetches(s) && s->renewal == CLIENT_RENEW_IDLE) {
        g->complete = true;
        link_end(g->link);
        return;
    }
    if (s->state == CLIENT_CATCHING_UP || s->state == CLIENT_UP_TO_DATE)
        g->moved_at = wall_clock() - (uv_now(&g->loop) + 1 - s->progress_at);
    if (s->state < CLIENT_CLOSING) /* what follows the end is told by on_end */
        changed(g, client_state_name(s->state));
}

/* The ATTEMPT-th of the comma-separated addresses. */
static bool pick_address(const struct agent *g, char address[ADDRESS_SIZE])
{
    const char *all = conf_text(&g->home->conf, "city", "addresses");
    unsigned n = 1, want;

    for (const char *p = all; *p != '\0'; p++)
        n += *p == ',';
    want = g->address % n;
    for (; want > 0; want--)
        all = strchr(all, ',') + 1;
    (void)snprintf(address, ADDRESS_SIZE, "%.*s", (int)strcspn(all, ","), all);
    return address[0] != '\0';
}

static void on_connect(uv_timer_t *timer)
{
    struct agent *g = timer->data;
    struct link_options o = {.net = g->net,
                             .replica = g->home->replica,
                             .tls = g->tls,
                             .blobs = g->home->blobs,
                             .city_now = city_now(g),
                             .loop = &g->loop,
                             .on_change = on_change,
                             .on_city = on_city,
                             .on_welcome = on_welcome,
                             .cert = certificate_facts(&g->certificate),
                             .snapshot_above = (uint64_t)conf_int(&g->home->conf, "city",
                                                                  "snapshot_above"),
                             .make_request = on_request,
                             .take_renewed = on_renewed,
                             .make_identity = on_make_identity,
                             .take_identity = on_take_identity,
                             .on_end = on_end,
                             .ctx = g};
    char address[ADDRESS_SIZE];
    int ret;

    if (g->link != NULL || g->stopping)
        return;
    g->again = false;
    g->next_at = 0;
    if (pick_address(g, address)) {
        ret = link_open(&o, address, &g->link, &g->cause);
    } else {
        ret = err_set(&g->cause, E_INVALID, "没有市级服务的地址，请检查 ztc.ini");
    }
    if (ret == 0)
        changed(g, client_state_name(CLIENT_CONNECTING));
    else if (g->once)
        finish(g);
    else
        retry(g, 0);
}

/* ---- what other processes do ---- */

static void look_for_ask(struct agent *g)
{
    int64_t ask = store_meta_int(store_of(g), AGENT_META_ASK, 0);

    if (ask == g->ask)
        return;
    g->ask = ask;
    g->again = true;
    if (g->link != NULL)
        link_end(g->link); /* on_end goes on */
    else
        connect_in(g, 0);
}

static void look(struct agent *g)
{
    int64_t others = store_others(store_of(g));

    if (g->stopping || (others != 0 && others == g->others))
        return;
    g->others = others;
    if (!g->once)
        look_for_ask(g);
    if (g->link != NULL)
        link_local(g->link);
}

static void note_counted(struct agent *g)
{
    if (store_begin(store_of(g), NULL) != 0)
        return; /* counted again sooner */
    (void)store_meta_put_int(store_of(g), AGENT_META_COUNTED, (int64_t)wall_clock(), NULL);
    if (store_commit(store_of(g), NULL) != 0)
        store_rollback(store_of(g));
}

/* What was damaged on the disk shows nowhere else: the sums know only what we write ourselves. */
static bool count_rows(struct agent *g)
{
    struct err err = {.ret = 0};
    bool differs = false;
    int ret = replica_recount(g->home->replica, true, &differs, &err);

    if (ret != 0)
        log_warning("agent: rows not counted -> again in a day code=%s cause=%s", err_code(ret),
                    err.text);
    else if (differs)
        log_warning("agent: rows are not what was written -> compared with the city code=%s",
                    err_code(E_DIGEST));
    if (ret == 0)
        note_counted(g);
    return differs;
}

/* An office that only ever syncs by command counts its rows too; a clock that went back counts early. */
static void count_when_due(struct agent *g)
{
    msec_t now = wall_clock(), at = (msec_t)store_meta_int(store_of(g), AGENT_META_COUNTED, 0);

    if (now < at || now - at >= COUNT_MS)
        (void)count_rows(g); /* the session compares */
}

/* A fresh session compares. */
static void on_count(uv_timer_t *timer)
{
    struct agent *g = timer->data;

    if (g->stopping || !count_rows(g))
        return;
    g->again = true;
    if (g->link != NULL)
        link_end(g->link); /* on_end goes on */
    else
        connect_in(g, 0);
}

/* A sync that makes no progress ends. */
static void watch_progress(struct agent *g)
{
    const struct client_session *s = g->link == NULL ? NULL : link_session(g->link);

    if (!g->once || s == NULL || g->complete || uv_now(&g->loop) < s->progress_at + g->within)
        return;
    (void)err_set(&g->cause, s->ledger.blobs > 0 ? E_WAITING : E_TIMEOUT, NULL);
    g->reason = client_session_reason(s);
    if (g->reason != 0)
        say_cause(g, &g->cause);
    g->within = UINT64_MAX / 2; /* once */
    link_end(g->link);
}

/* Bytes of attachments moved: a command that waits for them is not to lose patience. */
static void tell_bytes(struct agent *g)
{
    const struct client_session *s = g->link == NULL ? NULL : link_session(g->link);
    uint64_t bytes = 0;

    for (size_t i = 0; s != NULL && i < CLIENT_LANES; i++)
        bytes += s->lanes[i].bytes;
    if (g->once || s == NULL || bytes == g->blob_bytes)
        return;
    g->blob_bytes = bytes;
    store_relax_next(store_of(g));
    if (store_begin(store_of(g), NULL) != 0)
        return;
    (void)store_meta_put_int(store_of(g), AGENT_META_BYTES, (int64_t)bytes, NULL);
    if (store_commit(store_of(g), NULL) != 0)
        store_rollback(store_of(g));
}

static void on_look(uv_timer_t *timer)
{
    look(timer->data);
    watch_progress(timer->data);
    tell_bytes(timer->data);
}

/* Our own programs touch the file when what they committed can be read (store_touch). Its log is not
 * watched: most of what is written there is ours, and each page would be told. */
static void on_watch(uv_fs_event_t *watch, const char *name, int what, int status)
{
    struct agent *g = watch->data;

    (void)name;
    (void)what;
    if (status == 0 && !g->stopping)
        look(g);
}

/* ---- life ---- */

static void init_timer(struct agent *g, uv_timer_t *timer)
{
    (void)uv_timer_init(&g->loop, timer); /* cannot fail */
    timer->data = g;
}

static void start_handles(struct agent *g)
{
    char path[HOME_PATH_MAX];

    init_timer(g, &g->connect);
    init_timer(g, &g->look);
    init_timer(g, &g->tell);
    init_timer(g, &g->count);
    if (!g->once)
        (void)uv_timer_start(&g->count, on_count, COUNT_MS, COUNT_MS); /* cannot fail */
    (void)uv_timer_start(&g->look, on_look, LOOK_MS, LOOK_MS); /* as above */
    (void)uv_fs_event_init(&g->loop, &g->watch);               /* the same */
    g->watch.data = g;
    if (home_path(g->home->dir, "replica.db", path, NULL) != 0 ||
        uv_fs_event_start(&g->watch, on_watch, path, 0) != 0)
        log_warning("agent: file not watched -> looking every second");
    (void)uv_signal_init(&g->loop, &g->sigterm); /* none fails for these signals */
    (void)uv_signal_init(&g->loop, &g->sigint);
    g->sigterm.data = g;
    g->sigint.data = g;
    (void)uv_signal_start(&g->sigterm, on_signal, SIGTERM);
    (void)uv_signal_start(&g->sigint, on_signal, SIGINT);
}

static int make_tls(struct agent *g, struct err *err)
{
    const struct certificate *c = &g->certificate;
    struct tls_params p = {.role = TLS_CLIENT,
                           .alpn = TLS_ALPN_SYNC,
                           .own = c->own,
                           .key = c->key,
                           .ca = c->cas[0],
                           .old_ca = c->n_cas > 1 ? c->cas[1] : NULL};
    struct tls_config *made;
    struct replica_facts facts;
    int ret = replica_facts(g->home->replica, &facts, err);

    p.ledger = &facts.ledger;
    if (ret == 0)
        ret = tls_config_new(&p, &made, err);
    if (ret != 0)
        return ret;
    tls_config_unref(g->tls);
    g->tls = made;
    return 0;
}

static int start(struct agent *g, struct err *err)
{
    struct random random = random_system();
    int ret = identity_settle(g->home->dir, g->home->replica, err);

    if (ret == 0)
        ret = certificate_load(g->home->dir, &g->certificate, err);

    if (ret == 0)
        ret = make_tls(g, err);
    if (ret == 0)
        ret = net_new(&g->loop, &g->net);
    if (ret != 0)
        return err_set(err, ret, "%s", err->ret == ret ? err->text : err_text(ret));
    random_fill(&random, &g->seed, sizeof g->seed);
    g->city_time = (msec_t)store_meta_int(store_of(g), AGENT_META_CITY_TIME, 0);
    g->city_time_at = uv_now(&g->loop);
    g->ask = store_meta_int(store_of(g), AGENT_META_ASK, 0);
    g->answered = store_meta_int(store_of(g), AGENT_META_ANSWERED, 0);
    g->moved_at = g->moved_told = (msec_t)store_meta_int(store_of(g), AGENT_META_MOVED, 0);
    g->state_name = "waiting";
    start_handles(g);
    connect_in(g, 0);
    return 0;
}

static int run_loop(struct agent *g, struct err *err)
{
    int ret;

    (void)signal(SIGPIPE, SIG_IGN);
    if (uv_loop_init(&g->loop) != 0)
        return err_set(err, E_NOMEM, NULL);
    ret = start(g, err);
    (void)uv_run(&g->loop, UV_RUN_DEFAULT); /* ends when the last handle is closed */
    net_free(g->net);
    tls_config_unref(g->tls);
    certificate_release(&g->certificate);
    if (uv_loop_close(&g->loop) != 0 && ret == 0)
        ret = err_set(err, E_INTERNAL, "事件循环没有清空");
    return ret;
}

int agent_run(const char *dir, struct err *err)
{
    struct home home;
    struct agent g = {.home = &home};
    int ret = home_open(&home, dir, err);

    if (ret == 0)
        ret = home_lock(&home, err);
    if (ret == 0) {
        log_info("agent: running dir=%s", dir);
        (void)count_rows(&g); /* the first session compares */
        ret = run_loop(&g, err);
        log_info("agent: stopped");
    }
    home_close(&home);
    return ret;
}

/* ---- sync ---- */

/* 已全部上传, or why not. */
static int judge(struct home *h, struct err *err)
{
    struct replica_facts f;
    struct statement s;
    struct buf why;
    int ret = replica_facts(h->replica, &f, err);

    if (ret != 0)
        return ret;
    s = replica_statement(&f);
    if (statement_complete(&s))
        return 0;
    buf_init(&why, WHY_MAX);
    statement_why(&s, &why);
    if (f.blobs.refused + f.blobs.lost > 0)
        buf_str(&why, "，其中有市级未接受或已丢失的，请重新添加，原附件作废");
    ret = err_set(err, E_WAITING, "%s%s", buf_cstr(&why),
                  s.refused > 0 ? "，请看 ztc refused" : "");
    buf_release(&why);
    return ret;
}

/* An interrupted connection is, to who asked, a city that cannot be reached. */
static int translate(const struct err *cause, struct err *err)
{
    switch (cause->ret) {
    case E_IO:
    case E_CLOSED:
    case E_BUSY:
    case E_TLS:
    case E_UNREACHABLE:
    case E_TIMEOUT:
        return err_set(err, E_UNREACHABLE, NULL);
    default:
        return err_set(err, cause->ret, "%s",
                       cause->text[0] != '\0' ? cause->text : err_text(cause->ret));
    }
}

static int sync_here(struct home *home, msec_t within, struct err *err)
{
    struct agent g = {.home = home, .once = true, .within = within};
    int ret;

    count_when_due(&g);
    ret = run_loop(&g, err);
    if (ret != 0)
        return ret;
    if (g.cause.ret == E_WAITING && judge(home, err) != 0)
        return err->ret;
    if (!g.complete)
        return g.cause.ret != 0 ? translate(&g.cause, err) : err_set(err, E_UNREACHABLE, NULL);
    return judge(home, err);
}

/* Why the agent's last session ended, or does not move. */
static void read_cause(struct home *home, struct arena *a, struct err *ret)
{
    struct store *store = replica_store(home->replica);
    struct slice code = {NULL, 0}, why = {NULL, 0};
    char text[CODE_SIZE];

    if (store_meta_get(store, AGENT_META_CAUSE, a, &code, NULL) != 0 || code.len == 0 ||
        store_meta_get(store, AGENT_META_WHY, a, &why, NULL) != 0)
        return;
    (void)snprintf(text, sizeof text, "%.*s", (int)code.len, (const char *)code.p);
    (void)err_set(ret, err_from_code(text), "%.*s", (int)why.len, (const char *)why.p);
}

/* What the agent says of the session that was asked for. 1: nothing yet. */
static int read_outcome(struct home *home, int64_t ask, struct err *err)
{
    struct err cause = {.ret = 0};
    struct arena a;
    struct slice state = {NULL, 0};
    int ret = 1;

    if (store_meta_int(replica_store(home->replica), AGENT_META_ANSWERED, 0) != ask)
        return 1;
    arena_init(&a, TEXT_ARENA);
    if (store_meta_get(replica_store(home->replica), AGENT_META_STATE, &a, &state, NULL) == 0 &&
        slice_eq(state, slice_str(client_state_name(CLIENT_UP_TO_DATE)))) {
        ret = judge(home, err);
    } else {
        read_cause(home, &a, &cause);
        if (cause.ret != 0)
            ret = translate(&cause, err);
    }
    arena_release(&a);
    return ret;
}

/* The agent made no progress for too long. */
static int give_up(struct home *home, struct err *err)
{
    struct err cause = {.ret = E_TIMEOUT};
    struct arena a;

    arena_init(&a, TEXT_ARENA);
    read_cause(home, &a, &cause);
    arena_release(&a);
    return err_set(err, cause.ret, "%s",
                   cause.text[0] != '\0' ? cause.text : err_text(cause.ret));
}

static int wait_for_agent(struct home *home, msec_t within, struct err *err)
{
    struct timespec pause = {.tv_nsec = 20 * 1000000L};
    msec_t until = wall_clock() + within;
    uint64_t moved = 0, now_at;
    struct statement said;
    int64_t ask = (int64_t)wall_clock();
    int ret = store_meta_put_int(replica_store(home->replica), AGENT_META_ASK, ask, err);

    if (ret != 0)
        return ret;
    store_touch(replica_store(home->replica));
    while ((ret = read_outcome(home, ask, err)) == 1) {
        (void)nanosleep(&pause, NULL); /* woken early, it looks early */
        if (!home_agent_runs(home->dir))
            return E_BUSY; /* it ended: the caller does it */
        ret = replica_says(home->replica, &said, err);
        if (ret != 0)
            return ret;
        now_at = said.acked_n +
                 (uint64_t)store_meta_int(replica_store(home->replica), AGENT_META_BYTES, 0);
        if (now_at != moved)
            until = wall_clock() + within;
        moved = now_at;
        if (wall_clock() > until)
            return give_up(home, err);
    }
    return ret;
}

int agent_sync(const char *dir, msec_t within, struct err *err)
{
    struct home home;
    int ret = home_open(&home, dir, err);

    while (ret == 0) {
        ret = home_lock(&home, err);
        if (ret == 0) {
            ret = sync_here(&home, within, err);
            break;
        }
        if (ret == E_BUSY)
            ret = wait_for_agent(&home, within, err);
        if (ret != E_BUSY)
            break;
        ret = 0;
    }
    home_close(&home);
    return ret;
}
