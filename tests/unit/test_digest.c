/* What comparing costs: an idle reconnect, and one wrong row among many. DIGEST_ROWS: how many. */
#include "client/core/session.h"
#include "client/store/repair.h"
#include "common/base/mem.h"
#include "common/crypto/hash.h"
#include "common/ledger/ranges.h"
#include "server/core/session.h"
#include "server/store/tell.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define SITE        431021u
#define ROWS_PRESET 20000u

/* ---- an idle reconnect ---- */

static struct id id_of(uint8_t byte)
{
    struct id id;

    memset(id.b, byte, ID_SIZE);
    return id;
}

static struct slice full_head(struct buf *b, uint32_t stream)
{
    struct head h = {.ledger = id_of(1), .incarnation = id_of(2), .stream = stream,
                     .seq = 123456, .has_root = true};

    buf_init(b, WIRE_SIGNED_MAX);
    head_encode(b, &h);
    return buf_slice(b);
}

static struct client_facts hello_facts(struct buf heads[3])
{
    struct client_facts f = {.replica = id_of(3),
                             .catalogue = 1,
                             .software = "ztc/0.1.0",
                             .ledger = {.own_n = 54321, .acked_n = 54321},
                             .n_cursors = 2};
    const uint32_t streams[] = {STREAM_SHARED, SITE, STREAM_CITY};

    for (size_t i = 0; i < 3; i++) {
        struct client_shown *shown = i < 2 ? &f.heads[i] : &f.witness;
        struct slice head = full_head(&heads[i], streams[i]);

        memcpy(shown->head, head.p, head.len);
        shown->head_len = head.len;
        shown->signature_len = 72; /* the longest that DER makes of P-256 */
        if (i < 2)
            f.cursors[i] = (struct client_cursor){
                .stream = streams[i], .seq = 123456, .incarnation = id_of(2)};
    }
    return f;
}

static size_t hello_bytes(struct client_session *s, struct arena *a, struct buf heads[3])
{
    struct client_facts facts = hello_facts(heads);
    struct client_event ev = {.kind = CLIENT_CONNECTED, .now = 1, .clock = 1772690400000,
                              .arena = a, .facts = &facts};
    struct client_update up;
    size_t n;

    client_update_init(&up);
    client_session_step(s, &ev, &up);
    n = up.out.len;
    client_update_release(&up);
    return n;
}

static size_t welcome_bytes(void)
{
    Ztc__Welcome m = ZTC__WELCOME__INIT;
    uint8_t bytes[HASH_SIZE] = {1};
    struct buf out;
    size_t n;

    m.protocol = 1;
    m.city_time = 1772690400000;
    m.incarnation = wire_data((struct slice){bytes, ID_SIZE});
    m.accepted_n = 54321;
    m.accepted_chain = wire_data((struct slice){bytes, HASH_SIZE});
    m.catalogue = 1;
    m.push_window = 8192;
    m.frame_max = FRAME_MAX;
    m.ping_every = 15000;
    m.dead_after = 45000;
    m.identity = ZTC__WELCOME__IDENTITY__SAME;
    m.has_authorities = true;
    m.authorities = wire_data((struct slice){bytes, HASH_SIZE});
    buf_init(&out, FRAME_MAX);
    frame_put_welcome(&out, &m);
    n = out.len;
    buf_release(&out);
    return n;
}

/* Nothing to do: Hello shows the heads that the county holds, Welcome shows none that is another. */
static void test_digest__idle_reconnect(void **state)
{
    struct client_session s;
    struct buf heads[3];
    struct arena a;
    size_t up, down;

    (void)state;
    arena_init(&a, 1u << 20);
    client_session_init(&s, &client_options_preset, 1);
    up = hello_bytes(&s, &a, heads);
    down = welcome_bytes();
    print_message("idle reconnect: %zu bytes up, %zu down\n", up, down);
    assert_true(up + down <= 1024);
    for (size_t i = 0; i < 3; i++)
        buf_release(&heads[i]);
    client_session_release(&s);
    arena_release(&a);
}

/* ---- one wrong row ---- */

struct fixture {
    char dir[64];
    struct store *here, *there;
    struct arena a;
    struct err err;
    unsigned asks;
    size_t bytes; /* of frames, both ways */
};

static struct store *fill(struct fixture *f, const char *name, unsigned rows, unsigned wrong)
{
    struct store_options o = {.create = true};
    const struct kind *kind = catalogue_kind_named("opinion");
    struct stream_head h = {.stream = SITE, .seq = 7};
    struct store *s;
    char path[96];

    snprintf(path, sizeof path, "%s/%s", f->dir, name);
    assert_int_equal(store_open(path, &o, &s, &f->err), 0);
    assert_int_equal(store_begin(s, &f->err), 0);
    assert_int_equal(store_stream_put(s, &h, &f->err), 0);
    for (unsigned i = 0; i < rows; i++) {
        struct id id = {{(uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i}};
        struct row *row;

        arena_clear(&f->a);
        row = row_new(&f->a, kind, &id);
        row->stream = SITE;
        row->seq = row->created_seq = 1 + i % 7;
        row_put(row, TAG_SITE, value_str(i == wrong ? "431022" : "431021"));
        assert_int_equal(store_row_comes(s, row, &f->err), 0);
        assert_int_equal(store_row_put(s, row, &f->err), 0);
    }
    assert_int_equal(store_commit(s, &f->err), 0);
    return s;
}

static int set_up(void **state)
{
    static struct fixture f;

    f = (struct fixture){.asks = 0};
    strcpy(f.dir, "/tmp/test_digest_XXXXXX");
    if (mkdtemp(f.dir) == NULL)
        return -1;
    arena_init(&f.a, 8u << 20);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    char command[128];

    store_close(f->here);
    store_close(f->there);
    arena_release(&f->a);
    snprintf(command, sizeof command, "rm -r %s", f->dir);
    return system(command);
}

/* The answer, and what question and answer take on the wire. */
static struct server_told ask(struct fixture *f, const struct tell_ask *q)
{
    Ztc__DigestAsk m = ZTC__DIGEST_ASK__INIT;
    Ztc__DigestTell n = ZTC__DIGEST_TELL__INIT;
    struct server_told told;
    struct buf out;

    arena_clear(&f->a);
    tell_answer(f->there, q, &f->a, &told, &f->err);
    assert_int_equal(told.ret, 0);
    assert_int_equal(told.seq, 7);
    buf_init(&out, FRAME_MAX);
    m.stream = q->stream;
    m.has_kind = q->kind != 0;
    m.kind = q->kind;
    m.has_after = q->has_after;
    m.after = wire_data((struct slice){q->after.b, ID_SIZE});
    m.has_upto = q->has_upto;
    m.upto = wire_data((struct slice){q->upto.b, ID_SIZE});
    frame_put_digest_ask(&out, &m);
    n.stream = q->stream;
    n.seq = told.seq;
    n.has_kind = q->kind != 0;
    n.kind = q->kind;
    n.form = told.form;
    n.list = wire_data(told.list);
    assert_true(told.list.len <= WIRE_DIGESTS_MAX);
    frame_put_digest_tell(&out, &n);
    f->asks++;
    f->bytes += out.len;
    buf_release(&out);
    return told;
}

static struct row_range range_of(const struct tell_ask *q)
{
    struct row_range r = row_range_all(q->stream, catalogue_kind(q->kind));

    r.has_after = q->has_after;
    r.after = q->after;
    if (q->has_upto)
        r.upto = q->upto;
    return r;
}

/* Into the first part that differs; false: rows were told. */
static bool narrow(struct fixture *f, struct tell_ask *q, struct id *ret)
{
    struct row_range range = range_of(q);
    struct server_told told = ask(f, q);
    struct digest_sum sums[DIGEST_PARTS_MAX];
    struct digest_of_row *rows;
    struct digest_part *parts;
    struct id ids[DIGEST_ROWS_MAX];
    size_t n, n_ids, i = 0;

    if (told.form == ZTC__DIGEST_TELL__FORM__ROWS) {
        assert_int_equal(digest_list_rows(&f->a, told.list, &rows, &n), 0);
        assert_int_equal(store_range_differing(f->here, &range, rows, n, NULL, NULL, ids, &n_ids,
                                               &f->err), 0);
        assert_int_equal(n_ids, 1);
        *ret = ids[0];
        return false;
    }
    assert_int_equal(digest_list_parts(&f->a, told.list, &parts, &n), 0);
    assert_int_equal(store_range_sums(f->here, &range, parts, n, NULL, NULL, sums, &f->err), 0);
    while (digest_sum_eq(&sums[i], &parts[i].of))
        assert_true(++i < n);
    q->has_after = i > 0;
    if (i > 0)
        q->after = parts[i - 1].upto;
    q->has_upto = true;
    q->upto = parts[i].upto;
    return true;
}

/* Kinds, two cuts, one list of rows: the same for twenty thousand and for a million. */
static void test_digest__one_among_many(void **state)
{
    struct fixture *f = *state;
    const char *set = getenv("DIGEST_ROWS");
    unsigned rows = set != NULL ? (unsigned)strtoul(set, NULL, 10) : ROWS_PRESET;
    unsigned wrong = rows / 3;
    struct tell_ask q = {.stream = SITE};
    struct id found;

    f->there = fill(f, "there", rows, rows);
    f->here = fill(f, "here", rows, wrong);
    (void)ask(f, &q); /* the kinds */
    q.kind = catalogue_kind_named("opinion")->tag;
    while (narrow(f, &q, &found))
        ;
    print_message("one of %u rows: %u round trips, %zu bytes\n", rows, f->asks, f->bytes);
    assert_int_equal(found.b[0] << 16 | found.b[1] << 8 | found.b[2], wrong);
    assert_true(f->asks <= 4);
    assert_true(f->bytes <= 20480);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_digest__idle_reconnect),
        cmocka_unit_test_setup_teardown(test_digest__one_among_many, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
