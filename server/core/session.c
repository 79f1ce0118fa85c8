/* The city's side of a session: states, deadlines, and what goes out.
 *
 *  - SERVER_OPEN names the peer by its certificate; its Hello must come within hello_within and name
 *    the same replica. The store is asked for the facts of that Hello.
 *  - Welcome says what the replica may do; a fork is told so, and may ask for a new identity where that
 *    mends it. Else the session ends with ZT-FORK.
 *  - Then entries flow as heads advance, and pushes are submitted as they come (session_recv.c).
 *
 * What goes wrong: every refusal of the peer is one Bye with a code, then closing; the city's own
 * trouble (disk full, a slow store) is a Bye with retry_after. A peer that does not take its output
 * meets unsent_max first (no more reads), then drain_within. */
#include "server/core/session_internal.h"

#include "common/base/err.h"

#include <assert.h>
#include <string.h>

const struct server_options server_options_preset = {
    .push_window = 8192,
    .unmerged_max = 4u << 20,
    .unsent_max = 512u << 10,
    .read_entries = 1024,
    .read_bytes = 256u << 10,
    .hello_within = 10000,
    .store_within = 60000,
    .drain_within = 30000,
    .ping_every = 15000,
    .dead_after = 45000,
    .retry_after = 10000,
};

#define BIT(state) (1u << SERVER_##state)

/* Allowed successors. */
static const unsigned successors[] = {
    [SERVER_WAITING] = BIT(GREETING) | BIT(CLOSING) | BIT(CLOSED),
    [SERVER_GREETING] = BIT(ADMITTING) | BIT(CLOSING) | BIT(CLOSED),
    [SERVER_ADMITTING] = BIT(RENEW_ONLY) | BIT(FORKED) | BIT(REFILLING) | BIT(SERVING) |
                         BIT(CLOSING) | BIT(CLOSED),
    [SERVER_RENEW_ONLY] = BIT(CLOSING) | BIT(CLOSED),
    [SERVER_FORKED] = BIT(CLOSING) | BIT(CLOSED),
    [SERVER_REFILLING] = BIT(CLOSING) | BIT(CLOSED),
    [SERVER_SERVING] = BIT(CLOSING) | BIT(CLOSED),
    [SERVER_CLOSING] = BIT(CLOSED),
    [SERVER_CLOSED] = 0,
};

const char *server_state_name(enum server_state state)
{
    static const char *const names[] = {
#define X(name, text) [SERVER_##name] = (text),
        SERVER_STATES(X)
#undef X
    };

    return names[state];
}

void server_session_check(const struct server_session *s)
{
    bool serving = s->state == SERVER_SERVING;

    assert(!serving || s->answered_n < s->expect_n);
    assert((s->due[SERVER_DUE_FACTS] != 0) == (s->state == SERVER_ADMITTING));
    assert(serving ||
           (s->due[SERVER_DUE_MERGE] | s->due[SERVER_DUE_READ] | s->due[SERVER_DUE_REFUSALS] |
            s->due[SERVER_DUE_SLICE] | s->due[SERVER_DUE_HISTORY]) == 0);
    assert(!serving || (s->due[SERVER_DUE_MERGE] != 0) ==
                           (s->answered_n + 1 < s->expect_n && s->hold == 0));
    assert((s->due[SERVER_DUE_REFILL] != 0) <= (s->state == SERVER_REFILLING));
    assert((s->due[SERVER_DUE_RENEW] != 0) <=
           (s->state == SERVER_RENEW_ONLY || s->state == SERVER_FORKED));
    assert(s->state != SERVER_CLOSING || s->due[SERVER_DUE_DRAIN] != 0);
    for (size_t i = 0; i < SERVER_STREAMS; i++)
        assert(!serving || s->streams[i].sent <= s->streams[i].head);
}

void server_session_move(struct server_session *s, enum server_state to)
{
    enum server_state from = s->state;

    assert((successors[from] & 1u << to) != 0);
    s->state = to;
    if (s->options->trace != NULL)
        s->options->trace(s->options->trace_ctx, s, from);
}

void server_update_init(struct server_update *up)
{
    *up = (struct server_update){.reading = true};
    /* One batch may be in the making when unsent_max is met. */
    buf_init(&up->out, 8u << 20);
}

void server_update_release(struct server_update *up)
{
    buf_release(&up->out);
}

static void clear_update(struct server_update *up)
{
    struct buf out = up->out;

    *up = (struct server_update){.out = out};
}

void server_session_init(struct server_session *s, const struct server_options *options)
{
    *s = (struct server_session){.options = options, .state = SERVER_WAITING, .expect_n = 1};
}

size_t server_session_frame_max(const struct server_session *s)
{
    bool trusted = s->state == SERVER_SERVING || s->state == SERVER_REFILLING;

    return trusted ? FRAME_MAX : FRAME_MAX_STRANGER;
}

struct server_stream *server_session_stream(struct server_session *s, uint32_t stream)
{
    for (size_t i = 0; i < SERVER_STREAMS; i++) {
        if (s->streams[i].stream == stream)
            return &s->streams[i];
    }
    return NULL;
}

/* ---- ending ---- */

static bool is_ours(int cause)
{
    return cause == E_NOMEM || cause == E_IO || cause == E_FULL || cause == E_BUSY ||
           cause == E_READONLY || cause == E_INTERNAL || cause == E_CORRUPT ||
           cause == E_CLOSED || cause == E_TWIN || cause == E_RECOVERING;
}

static void say_bye(struct server_session *s, const struct server_event *ev,
                    struct server_update *up, int cause, uint32_t retry_after)
{
    Ztc__Bye m = ZTC__BYE__INIT;

    m.code = wire_data(slice_str(err_code(cause)));
    m.has_text = true;
    m.text = wire_data(slice_str(err_text(cause)));
    m.has_retry_after = retry_after != 0;
    m.retry_after = retry_after;
    frame_put_bye(&up->out, &m);

    s->cause = cause;
    memset(s->due, 0, sizeof s->due);
    s->due[SERVER_DUE_DRAIN] = ev->now + s->options->drain_within;
    server_session_move(s, SERVER_CLOSING);
    up->close = SERVER_CLOSE_FLUSHED;
}

void server_session_bye(struct server_session *s, const struct server_event *ev,
                        struct server_update *up, int cause, uint32_t retry_after)
{
    say_bye(s, ev, up, cause, retry_after);
}

void server_session_fail(struct server_session *s, const struct server_event *ev,
                         struct server_update *up, int cause)
{
    say_bye(s, ev, up, cause, is_ours(cause) ? s->options->retry_after : 0);
}

/* ---- time ---- */

static void await(struct server_session *s, enum server_due what, msec_t now, uint32_t within)
{
    s->due[what] = now + within;
}

/* The store answers within its time while it takes what it is given. */
void server_session_await_merge(struct server_session *s, msec_t now)
{
    s->due[SERVER_DUE_MERGE] = 0;
    if (s->answered_n + 1 < s->expect_n && s->hold == 0)
        await(s, SERVER_DUE_MERGE, now, s->options->store_within);
}

/* Whether the peer may send. A pause is ours, so the peer's silence is no sign then. */
static bool may_read(const struct server_session *s)
{
    return s->state < SERVER_CLOSING && s->unmerged < s->options->unmerged_max &&
           s->unsent < 2 * s->options->unsent_max;
}

static void watch_peer(struct server_session *s, const struct server_event *ev, bool heard)
{
    if (s->state < SERVER_ADMITTING || s->state > SERVER_SERVING)
        return;
    if (!may_read(s))
        s->due[SERVER_DUE_PEER] = 0;
    else if (heard || s->due[SERVER_DUE_PEER] == 0)
        await(s, SERVER_DUE_PEER, ev->now, s->options->dead_after);
}

static void on_timer(struct server_session *s, const struct server_event *ev,
                     struct server_update *up)
{
    bool late[SERVER_DUES];

    for (size_t i = 0; i < SERVER_DUES; i++)
        late[i] = s->due[i] != 0 && s->due[i] <= ev->now;
    if (s->state == SERVER_CLOSING) {
        if (late[SERVER_DUE_DRAIN])
            up->close = SERVER_CLOSE_NOW;
    } else if (late[SERVER_DUE_PEER] || late[SERVER_DUE_DRAIN]) {
        server_session_fail(s, ev, up, E_TIMEOUT);
    } else if (late[SERVER_DUE_RENEW]) {
        server_session_fail(s, ev, up, s->state == SERVER_FORKED ? E_FORK : E_EXPIRED);
    } else if (late[SERVER_DUE_FACTS] || late[SERVER_DUE_MERGE] || late[SERVER_DUE_READ] ||
               late[SERVER_DUE_REFUSALS] || late[SERVER_DUE_SLICE] || late[SERVER_DUE_HISTORY] ||
               late[SERVER_DUE_TELL] || late[SERVER_DUE_REFILL] || late[SERVER_DUE_BLOB] ||
               late[SERVER_DUE_ISSUE]) {
        server_session_fail(s, ev, up, E_BUSY);
    }
}

static msec_t earliest(const struct server_session *s)
{
    msec_t first = 0;

    for (size_t i = 0; i < SERVER_DUES; i++) {
        if (s->due[i] != 0 && (first == 0 || s->due[i] < first))
            first = s->due[i];
    }
    return first;
}

/* ---- what goes out ---- */

static void put_refusals(struct server_update *up, const struct server_refusal *refusals, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct server_refusal *r = &refusals[i];
        Ztc__Refused m = ZTC__REFUSED__INIT;

        m.first_n = r->first_n;
        m.last_n = r->last_n;
        m.at_n = r->at_n;
        m.code = wire_data(r->code);
        m.text = wire_data(r->text);
        m.has_quarantined = m.quarantined = r->quarantined;
        frame_put_refused(&up->out, &m);
    }
}

/* `shared` first: an entry's verdict names the seq of it that must be applied before. Heads of one
 * commit come together, so nothing up to the site's known head needs more than the known `shared`. */
static void want_entries(struct server_session *s, const struct server_event *ev,
                         struct server_update *up)
{
    for (size_t i = 0; i < SERVER_STREAMS; i++) {
        const struct server_stream *t = &s->streams[i];

        if (t->loading)
            return; /* `shared` holds up the site's, too */
        if (t->sent == t->head)
            continue;
        up->read.wanted = true;
        up->read.stream = t->stream;
        up->read.from_seq = t->sent + 1;
        up->read.upto_seq = server_digest_upto(t);
        up->read.echo_above = s->acked_n;
        up->read.max_entries = s->options->read_entries;
        up->read.max_bytes = s->options->read_bytes;
        await(s, SERVER_DUE_READ, ev->now, s->options->store_within);
        return;
    }
}

static void want(struct server_session *s, const struct server_event *ev, struct server_update *up)
{
    if (s->state != SERVER_SERVING || s->unsent >= s->options->unsent_max)
        return;
    if (s->due[SERVER_DUE_READ] == 0 && !s->hands_in && !server_digest_busy(s))
        want_entries(s, ev, up);
    if (s->due[SERVER_DUE_REFUSALS] == 0 && s->refusals_from != 0) {
        up->read_refusals_from = s->refusals_from;
        await(s, SERVER_DUE_REFUSALS, ev->now, s->options->store_within);
    }
}

/* Nothing waits to go out, so that an attachment may have the line. */
static bool is_quiet(const struct server_session *s)
{
    for (size_t i = 0; i < SERVER_STREAMS; i++) {
        if (s->streams[i].sent != s->streams[i].head)
            return false;
    }
    return s->unsent == 0 && s->refusals_from == 0;
}

static void next_refusals(struct server_session *s, const struct server_refusal *refusals, size_t n,
                          bool more)
{
    s->refusals_from = more && n > 0 ? refusals[n - 1].last_n + 1 : 0;
    if (s->decided && s->refusals_from == 0) {
        s->decided = false;
        s->refusals_from = 1;
    }
}

/* ---- one function an event ---- */

static void on_open(struct server_session *s, const struct server_event *ev,
                    struct server_update *up)
{
    s->replica = ev->open.replica;
    s->site = ev->open.site;
    s->streams[0].stream = STREAM_SHARED;
    s->streams[1].stream = s->site;
    if (ev->open.ret != 0) {
        server_session_fail(s, ev, up, ev->open.ret);
        return;
    }
    server_session_move(s, SERVER_GREETING);
    await(s, SERVER_DUE_PEER, ev->now, s->options->hello_within);
}

static bool same(const uint8_t a[HASH_SIZE], const uint8_t b[HASH_SIZE])
{
    return memcmp(a, b, HASH_SIZE) == 0;
}

/* What only the city can know lies behind; what only the replica can know lies ahead. */
static Ztc__Welcome__Identity judge(const struct server_session *s, const struct server_facts *f)
{
    bool forked = s->own_n < f->accepted_n ||
                  (s->own_n == f->accepted_n && !same(s->own_chain, f->accepted_chain)) ||
                  (s->has_acked && s->acked_n <= f->accepted_n &&
                   !same(s->acked_chain, f->acked_chain));

    if (f->restored)
        return forked ? ZTC__WELCOME__IDENTITY__FORKED : ZTC__WELCOME__IDENTITY__AHEAD;
    if (s->has_acked && s->acked_n > f->accepted_n)
        return ZTC__WELCOME__IDENTITY__AHEAD;
    for (size_t i = 0; i < SERVER_STREAMS; i++) {
        if (s->streams[i].sent > f->heads[i].seq)
            return ZTC__WELCOME__IDENTITY__AHEAD;
        forked = forked || !f->cursor_ok[i];
    }
    return forked ? ZTC__WELCOME__IDENTITY__FORKED : ZTC__WELCOME__IDENTITY__SAME;
}

/* Up to what is answered both sides say the same: only what it has made since is another's. */
static bool is_mendable(const struct server_session *s, const struct server_facts *f)
{
    return f->standing == SERVER_FULL && !f->restored && s->has_acked && same(s->acked_chain, f->acked_chain) &&
           f->cursor_ok[0] && f->cursor_ok[1];
}

static void put_welcome(const struct server_session *s, const struct server_event *ev,
                        struct server_update *up, Ztc__Welcome__Identity identity)
{
    const struct server_facts *f = ev->facts.facts;
    Ztc__Welcome m = ZTC__WELCOME__INIT;
    Ztc__SignedHead heads[WIRE_HEADS_MAX];
    Ztc__SignedHead *list[WIRE_HEADS_MAX];

    assert(f->n_signed_heads <= WIRE_HEADS_MAX);
    for (size_t i = 0; i < f->n_signed_heads; i++) {
        ztc__signed_head__init(&heads[i]);
        heads[i].head = wire_data(f->signed_heads[i].head);
        heads[i].signature = wire_data(f->signed_heads[i].signature);
        list[i] = &heads[i];
    }
    m.protocol = s->protocol;
    m.city_time = ev->clock;
    m.incarnation = wire_data((struct slice){f->incarnation.b, ID_SIZE});
    m.accepted_n = f->accepted_n;
    m.accepted_chain = wire_data((struct slice){f->accepted_chain, HASH_SIZE});
    m.catalogue = f->catalogue;
    m.heads = list;
    m.n_heads = f->standing == SERVER_FULL ? f->n_signed_heads : 0; /* others have nothing to expect */
    m.push_window = s->hold != 0 ? 0 : s->options->push_window;
    m.has_hold = s->hold != 0;
    m.hold = wire_data(slice_str(err_code(s->hold)));
    m.frame_max = FRAME_MAX;
    m.ping_every = s->options->ping_every;
    m.dead_after = s->options->dead_after;
    m.identity = identity;
    m.has_restored = m.restored = f->restored;
    m.has_standing = f->standing != SERVER_FULL;
    m.standing = f->standing == SERVER_MAY_RENEW ? ZTC__WELCOME__STANDING__RENEW_ONLY
                                                 : ZTC__WELCOME__STANDING__HAND_IN;
    m.has_authorities = f->has_authorities;
    m.authorities = wire_data((struct slice){f->authorities, HASH_SIZE});
    frame_put_welcome(&up->out, &m);
}

static void on_facts(struct server_session *s, const struct server_event *ev,
                     struct server_update *up)
{
    const struct server_facts *f = ev->facts.facts;
    Ztc__Welcome__Identity identity;

    if (s->state != SERVER_ADMITTING)
        return;
    s->due[SERVER_DUE_FACTS] = 0;
    if (ev->facts.ret != 0) {
        server_session_fail(s, ev, up, ev->facts.ret);
        return;
    }
    if (f->standing == SERVER_MAY_RENEW) {
        put_welcome(s, ev, up, ZTC__WELCOME__IDENTITY__SAME); /* nothing of it is looked at */
        server_session_move(s, SERVER_RENEW_ONLY);
        await(s, SERVER_DUE_RENEW, ev->now, s->options->hello_within);
        return;
    }
    s->hands_in = f->standing == SERVER_MAY_HAND_IN;
    identity = judge(s, f);
    put_welcome(s, ev, up, identity);
    if (identity == ZTC__WELCOME__IDENTITY__AHEAD && f->restored) {
        server_refill_start(s, ev, up);
        return;
    }
    if (identity == ZTC__WELCOME__IDENTITY__FORKED && is_mendable(s, f)) {
        server_session_move(s, SERVER_FORKED);
        await(s, SERVER_DUE_RENEW, ev->now, s->options->hello_within);
        return;
    }
    if (identity != ZTC__WELCOME__IDENTITY__SAME) {
        server_session_fail(s, ev, up, E_FORK);
        return;
    }
    for (size_t i = 0; i < SERVER_STREAMS; i++) {
        /* A commit may have been heard of since the facts were read. */
        if (s->streams[i].head < f->heads[i].seq)
            s->streams[i].head = f->heads[i].seq;
        s->streams[i].welcomed = f->heads[i].seq;
    }
    s->answered_n = f->accepted_n;
    s->expect_n = f->accepted_n + 1;
    server_session_move(s, SERVER_SERVING);
    put_refusals(up, f->refusals, f->n_refusals);
    next_refusals(s, f->refusals, f->n_refusals, f->more_refusals);
}

static void on_merged(struct server_session *s, const struct server_event *ev,
                      struct server_update *up)
{
    if (s->state != SERVER_SERVING)
        return;
    if (ev->merged.ret != 0) {
        server_session_fail(s, ev, up, ev->merged.ret);
        return;
    }
    s->unmerged -= ev->merged.bytes < s->unmerged ? ev->merged.bytes : s->unmerged;
    if (ev->merged.answered_n > s->answered_n)
        s->answered_n = ev->merged.answered_n;
    /* An earlier session of the replica may have left work with the writer: what it brought is only
     * repeated here, and skipped. */
    if (s->answered_n >= s->expect_n)
        s->expect_n = s->answered_n + 1;
    if (s->answered_n + 1 == s->expect_n)
        s->unmerged = 0; /* whatever was told of single pushes */
    server_session_await_merge(s, ev->now);
    put_refusals(up, ev->merged.refusals, ev->merged.n_refusals);
}

/* What was pushed before the peer could know stays with the writer, who tries again until it is merged. */
static void on_hold(struct server_session *s, const struct server_event *ev,
                    struct server_update *up)
{
    Ztc__Window m = ZTC__WINDOW__INIT;
    bool changed = s->hold != ev->hold;

    s->hold = ev->hold;
    if (s->state != SERVER_SERVING || !changed)
        return;
    server_session_await_merge(s, ev->now);
    m.push_window = s->hold != 0 ? 0 : s->options->push_window;
    m.has_code = s->hold != 0;
    m.code = wire_data(slice_str(err_code(s->hold)));
    frame_put_window(&up->out, &m);
}

static void on_heads(struct server_session *s, const struct server_event *ev)
{
    for (size_t i = 0; i < ev->heads.n_heads; i++) {
        struct server_stream *t = server_session_stream(s, ev->heads.heads[i].stream);

        if (t != NULL && t->head < ev->heads.heads[i].seq)
            t->head = ev->heads.heads[i].seq;
    }
}

static void on_read(struct server_session *s, const struct server_event *ev,
                    struct server_update *up)
{
    struct server_stream *t = server_session_stream(s, ev->read.stream);
    Ztc__Entries m = ZTC__ENTRIES__INIT;
    Ztc__SignedHead head = ZTC__SIGNED_HEAD__INIT;

    if (s->state != SERVER_SERVING)
        return;
    s->due[SERVER_DUE_READ] = 0;
    if (ev->read.ret != 0) {
        server_session_fail(s, ev, up, ev->read.ret);
        return;
    }
    assert(t != NULL && ev->read.first_seq == t->sent + 1 && ev->read.count > 0);
    head.head = wire_data(ev->read.closing.head);
    head.signature = wire_data(ev->read.closing.signature);
    m.stream = t->stream;
    m.first_seq = ev->read.first_seq;
    m.count = ev->read.count;
    m.size = ev->read.size;
    m.body = wire_data(ev->read.body);
    m.head = &head;
    frame_put_entries(&up->out, &m);
    t->sent += ev->read.count;
    assert(t->sent <= t->head);
}

static void on_refusals(struct server_session *s, const struct server_event *ev,
                        struct server_update *up)
{
    if (s->state != SERVER_SERVING)
        return;
    s->due[SERVER_DUE_REFUSALS] = 0;
    if (ev->refusals.ret != 0) {
        server_session_fail(s, ev, up, ev->refusals.ret);
        return;
    }
    put_refusals(up, ev->refusals.refusals, ev->refusals.n_refusals);
    next_refusals(s, ev->refusals.refusals, ev->refusals.n_refusals, ev->refusals.more);
}

static void on_decided(struct server_session *s)
{
    if (s->due[SERVER_DUE_REFUSALS] != 0 || s->refusals_from != 0)
        s->decided = true;
    else
        s->refusals_from = 1;
}

static void on_drained(struct server_session *s, const struct server_event *ev)
{
    bool moved = ev->unsent < s->unsent;

    s->unsent = ev->unsent;
    if (s->unsent == 0 && s->state != SERVER_CLOSING)
        s->due[SERVER_DUE_DRAIN] = 0;
    else if (moved && s->state != SERVER_CLOSING)
        await(s, SERVER_DUE_DRAIN, ev->now, s->options->drain_within);
}

static void on_gone(struct server_session *s)
{
    memset(s->due, 0, sizeof s->due);
    if (s->state < SERVER_CLOSING)
        s->cause = E_CLOSED;
    server_session_move(s, SERVER_CLOSED);
}

static void dispatch(struct server_session *s, const struct server_event *ev,
                     struct server_update *up)
{
    bool open = s->state < SERVER_CLOSING;

    switch (ev->kind) {
    case SERVER_OPEN:
        on_open(s, ev, up);
        break;
    case SERVER_FRAME:
        if (open)
            server_session_recv(s, ev, up);
        break;
    case SERVER_BROKEN:
        if (open)
            server_session_fail(s, ev, up, ev->broken);
        break;
    case SERVER_HEARD:
        break; /* watch_peer */
    case SERVER_FACTS:
        on_facts(s, ev, up);
        break;
    case SERVER_MERGED:
        on_merged(s, ev, up);
        break;
    case SERVER_HEADS:
        on_heads(s, ev);
        break;
    case SERVER_READ:
        on_read(s, ev, up);
        break;
    case SERVER_REFUSALS:
        on_refusals(s, ev, up);
        break;
    case SERVER_SLICE:
        server_snapshot_slice(s, ev, up);
        break;
    case SERVER_HISTORY:
        server_snapshot_history(s, ev, up);
        break;
    case SERVER_RENEWED:
        server_session_renewed(s, ev, up);
        break;
    case SERVER_IDENTITY:
        server_session_identity(s, ev, up);
        break;
    case SERVER_HOLD:
        on_hold(s, ev, up);
        break;
    case SERVER_OFFER:
        server_session_offer(s, up);
        break;
    case SERVER_DECIDED:
        if (s->state == SERVER_SERVING)
            on_decided(s);
        break;
    case SERVER_REFILLED:
        server_refill_taken(s, ev, up);
        break;
    case SERVER_BLOB:
        server_blob_answered(s, ev, up);
        break;
    case SERVER_TOLD:
        server_digest_told(s, ev, up);
        break;
    case SERVER_NOTED:
        server_digest_noted(s, ev, up);
        break;
    case SERVER_DRAINED:
        on_drained(s, ev);
        break;
    case SERVER_TIMER:
        on_timer(s, ev, up);
        break;
    case SERVER_END:
        if (open)
            say_bye(s, ev, up, ev->end.cause, ev->end.retry_after);
        break;
    case SERVER_GONE:
        on_gone(s);
        break;
    }
}

/* Grows with everything that gets further. */
static uint64_t reached(const struct server_session *s)
{
    uint64_t sum = s->answered_n + s->expect_n;

    for (size_t i = 0; i < SERVER_STREAMS; i++)
        sum += s->state == SERVER_REFILLING ? s->streams[i].ask_from : s->streams[i].sent;
    return sum;
}

static void note_progress(struct server_session *s, enum server_state state, uint64_t before,
                          msec_t now)
{
    if (s->state != state)
        s->since = now;
    if (s->state != state || reached(s) != before)
        s->progress_at = now;
}

void server_session_step(struct server_session *s, const struct server_event *ev,
                         struct server_update *up)
{
    size_t before = up->out.len;
    enum server_state state = s->state;
    uint64_t had_reached = reached(s);

    clear_update(up);
    if (s->state == SERVER_CLOSED)
        return;
    dispatch(s, ev, up);
    if (s->hold != 0 && s->state == SERVER_SERVING && s->unmerged >= s->options->unmerged_max)
        /* Nothing is read until it is merged, and the peer would only meet silence. */
        server_session_fail(s, ev, up, s->hold);
    note_progress(s, state, had_reached, ev->now);
    if (up->out.ret != 0) { /* half a frame must never be sent: the connection just ends */
        s->cause = E_NOMEM;
        if (s->state != SERVER_CLOSED)
            up->close = SERVER_CLOSE_NOW;
        return;
    }
    if (up->out.len > before) {
        s->unsent += up->out.len - before;
        if (s->due[SERVER_DUE_DRAIN] == 0)
            await(s, SERVER_DUE_DRAIN, ev->now, s->options->drain_within);
    }
    want(s, ev, up);
    server_blob_go_on(s, ev, up, is_quiet(s));
    s->due[SERVER_DUE_BLOB] = s->state == SERVER_SERVING ? server_blob_due(s) : 0;
    watch_peer(s, ev, ev->kind == SERVER_FRAME || ev->kind == SERVER_HEARD);
    up->reading = may_read(s);
    up->deadline = earliest(s);
    server_session_check(s);
}
