/* Attachments between the two session machines, with files in memory on either side: cut at every frame
 * they go on without a byte twice; what a hostile peer says of them ends the session; text overtakes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "client/core/session.h"
#include "common/base/err.h"
#include "common/base/mem.h"
#include "common/wire/check.h"
#include "server/core/session.h"

#include <stdlib.h>
#include <string.h>

#define SITE  431021u
#define CHUNK WIRE_CHUNK_MAX
#define SIZE  (3u * CHUNK + 5u)
#define NEVER UINT64_MAX

/* ---- fixture ---- */

/* One attachment that goes up or comes down, and what either side keeps of it over a cut. */
struct world {
    struct client_session c;
    struct server_session s;
    struct client_update cup;
    struct server_update sup;
    struct client_options options;
    struct arena arena;
    struct body_codec codec;
    struct buf up, down;
    msec_t now;
    uint8_t *bytes; /* the file */
    uint8_t *got;   /* at the receiver */
    uint64_t here;  /* how much of it */
    uint64_t taken; /* bytes that the receiver was ever given */
    bool goes_up, settled, verified;
    int settled_as;
    int corrupt, busy; /* how often the city says so */
    bool held_back;    /* answers of the disks wait for the test */
    bool gone;         /* the county no longer has the file */
    int noted_lost;    /* how often the city noted it */
    uint64_t frames, cut_at;
};

static const struct id replica = {{1, 2, 3}}, file = {{7, 7}}, other = {{8}};
static uint8_t chain[HASH_SIZE] = {0xaa}, hash[HASH_SIZE] = {0x11};

static int setup(void **state)
{
    struct world *w = mem_calloc(1, sizeof *w);

    w->options = client_options_preset;
    w->now = 1000;
    w->cut_at = NEVER;
    arena_init(&w->arena, 64u << 20);
    body_codec_init(&w->codec);
    buf_init(&w->up, 8u << 20);
    buf_init(&w->down, 8u << 20);
    client_update_init(&w->cup);
    server_update_init(&w->sup);
    w->bytes = malloc(SIZE);
    w->got = calloc(1, SIZE);
    for (size_t i = 0; i < SIZE; i++)
        w->bytes[i] = (uint8_t)(i * 7 + i / 255);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    client_session_release(&w->c);
    client_update_release(&w->cup);
    server_update_release(&w->sup);
    buf_release(&w->up);
    buf_release(&w->down);
    body_codec_release(&w->codec);
    arena_release(&w->arena);
    free(w->bytes);
    free(w->got);
    mem_free(w);
    return 0;
}

/* ---- the machines and their disks ---- */

static void county(struct world *w, struct client_event ev);
static void city(struct world *w, struct server_event ev);

static struct client_ledger ledger_of(const struct world *w)
{
    uint64_t open = w->goes_up && !w->settled;

    return (struct client_ledger){.blobs = open, .uploads = open};
}

static void keep(struct world *w, uint64_t offset, struct slice bytes)
{
    assert_true(offset == w->here && offset + bytes.len <= SIZE);
    memcpy(w->got + offset, bytes.p, bytes.len);
    w->here += bytes.len;
    w->taken += bytes.len;
}

static void county_disk(struct world *w, enum client_lane_name lane, struct client_blob_want want)
{
    struct client_event ev = {.kind = CLIENT_BLOB, .blob = {.lane = lane, .ask = want.ask}};

    switch (want.ask) {
    case CLIENT_BLOB_NEXT:
        ev.blob.found = !w->settled && (lane == CLIENT_LANE_UP) == w->goes_up;
        ev.blob.attachment = file;
        memcpy(ev.blob.hash, hash, HASH_SIZE);
        ev.blob.size = SIZE;
        ev.blob.offset = w->goes_up ? 0 : w->here;
        ev.blob.ret = w->gone ? E_BLOB_LOST : 0;
        break;
    case CLIENT_BLOB_READ:
        ev.blob.bytes = (struct slice){w->bytes + want.offset, want.len};
        break;
    case CLIENT_BLOB_WRITE:
        keep(w, want.offset, want.bytes);
        break;
    default:
        w->settled = true;
        w->settled_as = want.ret;
        ev.ledger = ledger_of(w);
        break;
    }
    county(w, ev);
}

static void city_disk(struct world *w, enum server_lane_name lane, struct server_blob_want want)
{
    struct server_event ev = {.kind = SERVER_BLOB, .blob = {.lane = lane, .ask = want.ask}};

    switch (want.ask) {
    case SERVER_BLOB_OFFER:
        ev.blob.offset = w->here;
        ev.blob.verified = w->verified;
        ev.blob.ret = w->busy > 0 ? E_BUSY : 0;
        w->busy -= w->busy > 0;
        break;
    case SERVER_BLOB_WRITE:
        keep(w, want.offset, want.bytes);
        if (w->here == SIZE && w->corrupt > 0) {
            w->corrupt--;
            w->here = 0;
            ev.blob.ret = E_CORRUPT;
        }
        w->verified = w->here == SIZE;
        break;
    case SERVER_BLOB_FIND:
        memcpy(ev.blob.hash, hash, HASH_SIZE);
        ev.blob.size = SIZE;
        break;
    case SERVER_BLOB_LOST:
        w->noted_lost++;
        break;
    case SERVER_BLOB_READ:
        ev.blob.bytes = (struct slice){w->bytes + want.offset, want.len};
        break;
    default:
        break;
    }
    city(w, ev);
}

static void county(struct world *w, struct client_event ev)
{
    struct client_update up;

    ev.now = w->now;
    ev.clock = 1700000000000;
    ev.arena = &w->arena;
    client_session_step(&w->c, &ev, &w->cup);
    buf_put(&w->up, w->cup.out.p, w->cup.out.len);
    buf_clear(&w->cup.out);
    up = w->cup;
    for (size_t i = 0; i < CLIENT_LANES && !w->held_back; i++) {
        if (up.blob[i].ask != CLIENT_BLOB_NOTHING)
            county_disk(w, (enum client_lane_name)i, up.blob[i]);
    }
    if (w->c.unsent > 0 && !w->held_back)
        county(w, (struct client_event){.kind = CLIENT_DRAINED});
}

static void city(struct world *w, struct server_event ev)
{
    struct server_update up;

    ev.now = w->now;
    ev.clock = 1700000000000;
    ev.arena = &w->arena;
    ev.codec = &w->codec;
    server_session_step(&w->s, &ev, &w->sup);
    buf_put(&w->down, w->sup.out.p, w->sup.out.len);
    buf_clear(&w->sup.out);
    up = w->sup;
    for (size_t i = 0; i < SERVER_LANES && !w->held_back; i++) {
        if (up.blob[i].ask != SERVER_BLOB_NOTHING)
            city_disk(w, (enum server_lane_name)i, up.blob[i]);
    }
    if (w->s.unsent > 0 && !w->held_back)
        city(w, (struct server_event){.kind = SERVER_DRAINED});
}

/* ---- the line ---- */

static bool deliver(struct world *w, struct buf *line, bool to_city)
{
    struct buf one = *line;
    Ztc__Frame *f;
    size_t len;

    if (line->len == 0 || w->frames == w->cut_at)
        return false;
    w->frames++;
    len = FRAME_PREFIX + ((size_t)line->p[1] << 16 | (size_t)line->p[2] << 8 | line->p[3]);
    assert_true(one.len >= len);
    assert_int_equal(
        frame_unpack(&w->arena, (struct slice){line->p + FRAME_PREFIX, len - FRAME_PREFIX}, &f), 0);
    buf_consume(line, len);
    if (to_city)
        city(w, (struct server_event){.kind = SERVER_FRAME, .frame = f});
    else
        county(w, (struct client_event){.kind = CLIENT_FRAME, .frame = f});
    arena_clear(&w->arena);
    return true;
}

static void pump(struct world *w)
{
    while (deliver(w, &w->up, true) || deliver(w, &w->down, false))
        ;
}

static void tell_facts(struct world *w)
{
    static struct server_signed head;
    struct server_facts f = {.incarnation = {{9}}, .catalogue = 1, .n_signed_heads = 1};
    struct server_event ev = {.kind = SERVER_FACTS};

    head = (struct server_signed){slice_str("head"), slice_str("signature")};
    memcpy(f.accepted_chain, chain, HASH_SIZE);
    memcpy(f.acked_chain, chain, HASH_SIZE);
    f.heads[0] = (struct server_head){STREAM_SHARED, 0};
    f.heads[1] = (struct server_head){SITE, 0};
    f.cursor_ok[0] = f.cursor_ok[1] = true;
    f.signed_heads = &head;
    ev.facts.facts = &f;
    city(w, ev);
}

/* Both serve; nothing of attachments has travelled yet. */
static void dial(struct world *w)
{
    struct client_facts f = {.replica = replica, .catalogue = 1, .software = "ztc", .n_cursors = 2};
    struct server_event open = {.kind = SERVER_OPEN};
    uint64_t cut_at = w->cut_at;

    client_session_init(&w->c, &w->options, w->now);
    server_session_init(&w->s, &server_options_preset);
    buf_clear(&w->up);
    buf_clear(&w->down);
    w->cut_at = NEVER;
    open.open.replica = replica;
    open.open.site = SITE;
    city(w, open);
    memcpy(f.own_chain, chain, HASH_SIZE);
    memcpy(f.acked_chain, chain, HASH_SIZE);
    f.ledger = ledger_of(w);
    f.cursors[0] = (struct client_cursor){.stream = STREAM_SHARED};
    f.cursors[1] = (struct client_cursor){.stream = SITE};
    county(w, (struct client_event){.kind = CLIENT_CONNECTED, .facts = &f});
    assert_true(deliver(w, &w->up, true));
    tell_facts(w);
    assert_true(deliver(w, &w->down, false));
    assert_int_equal(w->s.state, SERVER_SERVING);
    w->frames = 0;
    w->cut_at = cut_at;
}

static void hang_up(struct world *w)
{
    city(w, (struct server_event){.kind = SERVER_GONE});
    county(w, (struct client_event){.kind = CLIENT_GONE});
    client_session_release(&w->c);
}

/* ---- tests: what arrives ---- */

static void check_arrived(struct world *w)
{
    assert_true(w->settled);
    assert_int_equal(w->settled_as, 0);
    assert_int_equal(w->here, SIZE);
    assert_memory_equal(w->got, w->bytes, SIZE);
}

static void with_cuts(struct world *w, bool goes_up)
{
    for (uint64_t cut = 0; cut < 14; cut++) {
        w->goes_up = goes_up;
        w->settled = w->verified = false;
        w->here = w->taken = 0;
        for (int lives = 0; lives < 20 && !w->settled; lives++) {
            w->cut_at = lives < 10 ? cut : NEVER;
            dial(w);
            pump(w);
            hang_up(w);
        }
        check_arrived(w);
        assert_int_equal(w->taken, SIZE); /* not a byte twice */
    }
}

/* Cut after every frame, again and again, an upload goes on where the city stands. */
static void test_session_blobs__up_with_cuts(void **state)
{
    with_cuts(*state, true);
}

/* And a download where the county stands. */
static void test_session_blobs__down_with_cuts(void **state)
{
    with_cuts(*state, false);
}

/* 已全部上传 is not said before the city has verified every byte. */
static void test_session_blobs__complete_after_the_last(void **state)
{
    struct world *w = *state;

    w->goes_up = true;
    dial(w);
    assert_false(client_session_complete(&w->c));
    pump(w);
    assert_true(client_session_complete(&w->c));
    assert_int_equal(w->c.state, CLIENT_UP_TO_DATE);
    assert_int_equal(w->c.lanes[CLIENT_LANE_UP].bytes, SIZE);
}

/* Bytes that failed their check at the city are sent again, once. */
static void test_session_blobs__sent_again_once(void **state)
{
    struct world *w = *state;

    w->goes_up = true;
    w->corrupt = 1;
    dial(w);
    pump(w);
    check_arrived(w);
    assert_int_equal(w->taken, 2 * SIZE);

    hang_up(w);
    w->settled = w->verified = false;
    w->here = 0;
    w->corrupt = 2;
    dial(w);
    pump(w);
    assert_int_equal(w->settled_as, E_CORRUPT);
    assert_int_equal(w->c.state, CLIENT_UP_TO_DATE);
}

/* A city that is busy is asked again, ever more rarely. */
static void test_session_blobs__busy_is_tried_again(void **state)
{
    struct world *w = *state;

    w->goes_up = true;
    w->busy = 2;
    dial(w);
    pump(w);
    assert_int_equal(w->c.lanes[CLIENT_LANE_UP].state, CLIENT_LANE_OFF);
    w->now += 2000;
    county(w, (struct client_event){.kind = CLIENT_TIMER});
    pump(w);
    assert_int_equal(w->busy, 0);
    w->now += 2000;
    county(w, (struct client_event){.kind = CLIENT_TIMER});
    pump(w);
    assert_false(w->settled);
    w->now += 2000;
    county(w, (struct client_event){.kind = CLIENT_TIMER});
    pump(w);
    check_arrived(w);
}

/* That a file is lost is said until the city has noted it. */
static void test_session_blobs__lost_is_noted(void **state)
{
    struct world *w = *state;

    w->goes_up = w->gone = true;
    dial(w);
    hang_up(w); /* the line is cut before it arrives */
    assert_false(w->settled);
    dial(w);
    assert_true(deliver(w, &w->up, true));
    assert_int_equal(w->noted_lost, 1);
    assert_false(w->settled);
    pump(w);
    assert_true(w->settled);
    assert_int_equal(w->settled_as, E_BLOB_LOST);
    assert_int_equal(w->c.state, CLIENT_UP_TO_DATE);
}

/* ---- tests: the lowest lane ---- */

/* At the county a chunk that is asked for waits until what was made has been pushed. */
static void test_session_blobs__pushes_go_first(void **state)
{
    struct world *w = *state;
    struct client_ledger made = {.own_n = 1, .waiting = 1, .blobs = 1, .uploads = 1};
    struct client_event loaded = {.kind = CLIENT_LOADED};

    w->goes_up = true;
    dial(w);
    assert_true(deliver(w, &w->up, true)); /* BlobHave */
    w->held_back = true;
    county(w, (struct client_event){.kind = CLIENT_LOCAL, .ledger = made});
    assert_true(w->cup.load.wanted);
    assert_true(deliver(w, &w->down, false)); /* BlobWant */
    assert_int_equal(w->c.lanes[CLIENT_LANE_UP].state, CLIENT_LANE_DUE);
    loaded.loaded.first_n = loaded.loaded.count = loaded.loaded.size = 1;
    loaded.loaded.body = slice_str("body");
    county(w, loaded);
    assert_int_equal(w->c.lanes[CLIENT_LANE_UP].state, CLIENT_LANE_DUE); /* the push is not out */
    county(w, (struct client_event){.kind = CLIENT_DRAINED});
    assert_int_equal(w->c.lanes[CLIENT_LANE_UP].state, CLIENT_LANE_WORKING);
    assert_int_equal(w->cup.blob[CLIENT_LANE_UP].len, CHUNK);
}

/* At the city a chunk waits until entries have been sent. */
static void test_session_blobs__entries_go_first(void **state)
{
    struct world *w = *state;
    struct server_head head = {SITE, 1};
    struct server_event ev = {.kind = SERVER_HEADS};

    dial(w);
    w->held_back = true;
    assert_true(deliver(w, &w->up, true)); /* BlobWant */
    assert_int_equal(w->sup.blob[SERVER_LANE_DOWN].ask, SERVER_BLOB_FIND);
    ev.heads.heads = &head;
    ev.heads.n_heads = 1;
    city(w, ev);
    assert_true(w->sup.read.wanted);
    ev = (struct server_event){.kind = SERVER_BLOB};
    ev.blob = (struct server_blob_answer){
        .lane = SERVER_LANE_DOWN, .ask = SERVER_BLOB_FIND, .size = SIZE};
    city(w, ev);
    assert_int_equal(w->s.lanes[SERVER_LANE_DOWN].state, SERVER_LANE_DUE);
    ev = (struct server_event){.kind = SERVER_READ};
    ev.read.stream = SITE;
    ev.read.first_seq = ev.read.count = ev.read.size = 1;
    ev.read.body = slice_str("body");
    ev.read.closing = (struct server_signed){slice_str("head"), slice_str("signature")};
    city(w, ev);
    assert_int_equal(w->s.lanes[SERVER_LANE_DOWN].state, SERVER_LANE_DUE); /* not taken yet */
    city(w, (struct server_event){.kind = SERVER_DRAINED});
    assert_int_equal(w->s.lanes[SERVER_LANE_DOWN].state, SERVER_LANE_WORKING);
}

/* ---- tests: time ---- */

/* A city that owes an answer about an attachment and says nothing else ends the session; its pings do not
 * help it, a chunk asked for does. */
static void test_session_blobs__silence(void **state)
{
    struct world *w = *state;
    Ztc__Frame f = ZTC__FRAME__INIT;
    Ztc__Ping ping = ZTC__PING__INIT;

    w->goes_up = true;
    dial(w);
    assert_true(deliver(w, &w->up, true));
    w->now += w->options.stall_within - 1;
    assert_true(deliver(w, &w->down, false)); /* BlobWant: progress */
    f.kind_case = ZTC__FRAME__KIND_PING;
    f.ping = &ping;
    for (int i = 0; i < 12; i++) {
        w->now += 10000;
        county(w, (struct client_event){.kind = CLIENT_FRAME, .frame = &f});
        assert_true(w->c.state < CLIENT_CLOSING);
    }
    w->now += 10;
    county(w, (struct client_event){.kind = CLIENT_TIMER});
    assert_int_equal(w->c.cause, E_TIMEOUT);
}

/* A disk of the city's that does not answer is the city's trouble. */
static void test_session_blobs__slow_disk(void **state)
{
    struct world *w = *state;

    w->goes_up = true;
    dial(w);
    w->held_back = true;
    assert_true(deliver(w, &w->up, true));
    w->now += server_options_preset.store_within;
    w->s.due[SERVER_DUE_PEER] = 0; /* the county is heard all the while */
    city(w, (struct server_event){.kind = SERVER_TIMER});
    assert_int_equal(w->s.cause, E_BUSY);
}

/* ---- tests: hostile peers ---- */

static void have(struct world *w, struct id id)
{
    Ztc__Frame f = ZTC__FRAME__INIT;
    Ztc__BlobHave m = ZTC__BLOB_HAVE__INIT;

    m.attachment = wire_data((struct slice){id.b, ID_SIZE});
    m.hash = wire_data((struct slice){hash, HASH_SIZE});
    m.size = SIZE;
    f.kind_case = ZTC__FRAME__KIND_BLOB_HAVE;
    f.blob_have = &m;
    city(w, (struct server_event){.kind = SERVER_FRAME, .frame = &f});
}

static Ztc__Frame *want(struct id id, uint64_t offset)
{
    static Ztc__Frame f;
    static Ztc__BlobWant m;
    static struct id kept;

    kept = id;
    ztc__frame__init(&f);
    ztc__blob_want__init(&m);
    m.attachment = wire_data((struct slice){kept.b, ID_SIZE});
    m.offset = offset;
    f.kind_case = ZTC__FRAME__KIND_BLOB_WANT;
    f.blob_want = &m;
    return &f;
}

static Ztc__Frame *chunk(struct world *w, struct id id, uint64_t offset, size_t len)
{
    static Ztc__Frame f;
    static Ztc__BlobChunk m;
    static struct id kept;

    kept = id;
    ztc__frame__init(&f);
    ztc__blob_chunk__init(&m);
    m.attachment = wire_data((struct slice){kept.b, ID_SIZE});
    m.offset = offset;
    m.bytes = wire_data((struct slice){w->bytes, len});
    f.kind_case = ZTC__FRAME__KIND_BLOB_CHUNK;
    f.blob_chunk = &m;
    return &f;
}

static Ztc__Frame *done(struct id id, const char *code)
{
    static Ztc__Frame f;
    static Ztc__BlobDone m;
    static struct id kept;

    kept = id;
    ztc__frame__init(&f);
    ztc__blob_done__init(&m);
    m.attachment = wire_data((struct slice){kept.b, ID_SIZE});
    m.has_code = code != NULL;
    if (code != NULL)
        m.code = wire_data(slice_str(code));
    f.kind_case = ZTC__FRAME__KIND_BLOB_DONE;
    f.blob_done = &m;
    return &f;
}

/* A city that serves and has asked for the first chunk of FILE. */
static void ask_for_chunk(struct world *w)
{
    w->goes_up = true;
    dial(w);
    assert_true(deliver(w, &w->up, true));
    assert_int_equal(w->s.lanes[SERVER_LANE_UP].state, SERVER_LANE_ASKED);
}

static void city_ends(struct world *w, Ztc__Frame *f)
{
    city(w, (struct server_event){.kind = SERVER_FRAME, .frame = f});
    assert_int_equal(w->s.cause, E_PROTOCOL);
    assert_int_equal(w->taken, 0);
    hang_up(w);
}

/* Chunks nobody asked for, of another file, place or length; offers on top of one another. */
static void test_session_blobs__hostile_county(void **state)
{
    struct world *w = *state;

    w->settled = true;
    dial(w);
    city_ends(w, chunk(w, file, 0, CHUNK));
    dial(w);
    city_ends(w, done(file, NULL));
    dial(w);
    city_ends(w, done(file, "ZT-IO"));
    w->settled = false;
    ask_for_chunk(w);
    city_ends(w, chunk(w, other, 0, CHUNK));
    ask_for_chunk(w);
    city_ends(w, chunk(w, file, CHUNK, CHUNK));
    ask_for_chunk(w);
    city_ends(w, chunk(w, file, 0, CHUNK - 1));
    ask_for_chunk(w);
    have(w, other);
    assert_int_equal(w->s.cause, E_PROTOCOL);
    hang_up(w);
    w->settled = true;
    dial(w);
    w->held_back = true;
    city(w, (struct server_event){.kind = SERVER_FRAME, .frame = want(file, 0)});
    assert_int_equal(w->s.lanes[SERVER_LANE_DOWN].state, SERVER_LANE_CHECKING);
    city_ends(w, want(file, 0));
}

/* Reading from behind the end is answered, not served. */
static void test_session_blobs__behind_the_end(void **state)
{
    struct world *w = *state;

    w->settled = true;
    dial(w);
    city(w, (struct server_event){.kind = SERVER_FRAME, .frame = want(file, SIZE)});
    assert_int_equal(w->s.state, SERVER_SERVING);
    assert_int_equal(w->s.lanes[SERVER_LANE_DOWN].state, SERVER_LANE_IDLE);
    assert_true(w->down.len > 0 && w->down.len < 100);
}

/* A retired computer hands in and receives nothing. */
static void test_session_blobs__retired_reads_nothing(void **state)
{
    struct world *w = *state;

    w->settled = true;
    dial(w);
    w->s.hands_in = true;
    city(w, (struct server_event){.kind = SERVER_FRAME, .frame = want(file, 0)});
    assert_int_equal(w->s.lanes[SERVER_LANE_DOWN].state, SERVER_LANE_IDLE);
    assert_int_equal(w->sup.blob[SERVER_LANE_DOWN].ask, SERVER_BLOB_NOTHING);
}

static void county_ends(struct world *w, Ztc__Frame *f)
{
    county(w, (struct client_event){.kind = CLIENT_FRAME, .frame = f});
    assert_int_equal(w->c.cause, E_PROTOCOL);
    assert_int_equal(w->taken, 0);
    hang_up(w);
}

/* What a city may not say: of files that were not offered, from behind their end, and chunks that do not
 * fit. */
static void test_session_blobs__hostile_city(void **state)
{
    struct world *w = *state;

    w->settled = true;
    dial(w);
    county_ends(w, want(file, 0));
    dial(w);
    county_ends(w, chunk(w, file, 0, CHUNK));
    dial(w);
    county_ends(w, done(file, NULL));
    w->settled = false;
    w->goes_up = true;
    dial(w);
    county_ends(w, want(other, 0));
    dial(w);
    county_ends(w, want(file, SIZE));
    dial(w);
    county_ends(w, done(other, NULL));
    w->goes_up = false;
    dial(w);
    county_ends(w, chunk(w, other, 0, CHUNK));
    dial(w);
    county_ends(w, chunk(w, file, 1, CHUNK));
    dial(w);
    county_ends(w, chunk(w, file, 0, 5));
    dial(w);
    county_ends(w, done(file, NULL));
}

/* What cannot be had is settled with its reason, and the session goes on. */
static void test_session_blobs__refused_by_the_city(void **state)
{
    struct world *w = *state;

    dial(w);
    county(w, (struct client_event){.kind = CLIENT_FRAME, .frame = done(file, "ZT-BLOB-WAIT")});
    assert_int_equal(w->settled_as, E_BLOB_WAIT);
    assert_int_equal(w->c.state, CLIENT_UP_TO_DATE);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(test_session_blobs__##name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(up_with_cuts),       T(down_with_cuts),   T(complete_after_the_last),
        T(sent_again_once),    T(busy_is_tried_again), T(pushes_go_first),
        T(lost_is_noted),
        T(entries_go_first),   T(silence),          T(slow_disk),
        T(hostile_county),     T(behind_the_end),   T(retired_reads_nothing),
        T(hostile_city),       T(refused_by_the_city),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
