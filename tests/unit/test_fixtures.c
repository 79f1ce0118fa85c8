/* Bytes that earlier versions wrote: every one of them is read, and what is read is written the same again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/err.h"
#include "common/base/hex.h"
#include "common/base/mem.h"
#include "common/crypto/cert.h"
#include "common/crypto/hash.h"
#include "common/ledger/receipt.h"
#include "common/ledger/row_code.h"
#include "common/wire/body.h"
#include "common/wire/frame.h"
#include "common/wire/token.h"

#include <stdio.h>
#include <string.h>

#define LINE_BYTES  (1u << 20)
#define PARTS_MAX   3u
#define ARENA_BYTES (16u << 20)

/* ---- fixture ---- */

struct fixture {
    struct arena a;
    struct buf again; /* what was read, written anew */
    struct body_codec codec;
    char *line;
};

static int set_up(void **state)
{
    struct fixture *f = mem_calloc(1, sizeof *f);

    arena_init(&f->a, ARENA_BYTES);
    buf_init(&f->again, LINE_BYTES);
    body_codec_init(&f->codec);
    f->line = mem_alloc(LINE_BYTES);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    arena_release(&f->a);
    buf_release(&f->again);
    body_codec_release(&f->codec);
    mem_free(f->line);
    mem_free(f);
    return 0;
}

/* ---- helpers ---- */

/* One line: a name and up to PARTS_MAX pieces of bytes; those that are not there are empty. */
struct piece {
    const char *name;
    struct slice part[PARTS_MAX];
};

typedef void (*judge)(struct fixture *f, const struct piece *p);

static struct slice bytes_of(struct fixture *f, const char *hex)
{
    size_t len = strlen(hex) / 2;
    uint8_t *bytes = arena_alloc(&f->a, len + 1);

    assert_non_null(bytes);
    assert_int_equal(hex_decode(hex, 2 * len, bytes), 0);
    return (struct slice){bytes, len};
}

static void judge_line(struct fixture *f, judge each)
{
    struct piece p = {.name = strtok(f->line, " \n")};

    assert_non_null(p.name);
    for (unsigned i = 0; i < PARTS_MAX; i++) {
        const char *hex = strtok(NULL, " \n");

        p.part[i] = bytes_of(f, hex == NULL ? "" : hex);
    }
    buf_clear(&f->again);
    each(f, &p);
    arena_clear(&f->a);
}

/* EACH line of the file NAME of each version's folder; how many versions there are. */
static unsigned judge_versions(struct fixture *f, const char *name, judge each)
{
    for (unsigned version = 1;; version++) {
        char path[512];
        FILE *file;

        (void)snprintf(path, sizeof path, FIXTURES "/v%u/%s", version, name);
        file = fopen(path, "r");
        if (file == NULL)
            return version - 1;
        while (fgets(f->line, LINE_BYTES, file) != NULL)
            judge_line(f, each);
        assert_int_equal(fclose(file), 0);
    }
}

/* ---- assertions ---- */

static void assert_again(const struct fixture *f, struct slice kept)
{
    assert_int_equal(f->again.ret, 0);
    assert_int_equal(f->again.len, kept.len);
    if (kept.len > 0)
        assert_memory_equal(f->again.p, kept.p, kept.len);
}

/* Author's bytes and sidecar. */
static void assert_change(struct fixture *f, struct slice bytes, struct slice side)
{
    struct change c;

    assert_int_equal(change_decode(&f->a, bytes, side, &c), 0);
    assert_int_equal(change_check_side(hasher_of(HASH_SM3), &c), 0);
    buf_clear(&f->again);
    change_encode(&f->again, &c);
    assert_again(f, bytes);
    buf_clear(&f->again);
    change_encode_side(&f->again, &c);
    assert_again(f, side);
}

static void assert_verdict(struct fixture *f, struct slice bytes)
{
    struct verdict v;

    assert_int_equal(verdict_decode(&f->a, bytes, &v), 0);
    buf_clear(&f->again);
    verdict_encode(&f->again, &v);
    assert_again(f, bytes);
}

static void assert_row(struct fixture *f, struct slice bytes)
{
    struct row *row;

    assert_int_equal(row_decode(&f->a, bytes, &row), 0);
    buf_clear(&f->again);
    row_encode(&f->again, row);
    assert_again(f, bytes);
}

static struct pubkey *log_key_of(struct slice der)
{
    struct pubkey *key;

    assert_int_equal(pubkey_load(der, &key, NULL), 0);
    return key;
}

static void assert_head(struct fixture *f, const struct piece *p)
{
    struct pubkey *key = log_key_of(p->part[2]);
    struct verifier verifier = pubkey_verifier(key);
    struct head head;

    assert_int_equal(head_decode(p->part[0], &head), 0);
    head_encode(&f->again, &head);
    assert_again(f, p->part[0]);
    buf_clear(&f->again);
    head_to_sign(&f->again, &head);
    assert_int_equal(verifier.verify(verifier.ctx, buf_slice(&f->again), p->part[1]), 0);
    pubkey_free(key);
}

static void assert_receipt(const struct piece *p)
{
    struct pubkey *key = log_key_of(p->part[1]);
    struct verifier verifier = pubkey_verifier(key);
    struct receipt receipt;

    assert_int_equal(receipt_check(p->part[0], hasher_of, &verifier, &receipt), 0);
    pubkey_free(key);
}

static void assert_token(struct fixture *f, const struct piece *p)
{
    struct token token;

    assert_int_equal(token_parse(p->part[0], &token), 0);
    token_print(&f->again, &token);
    assert_again(f, p->part[0]);
}

static void assert_format(struct fixture *f, const struct piece *p)
{
    if (strcmp(p->name, "change") == 0)
        assert_change(f, p->part[0], p->part[1]);
    else if (strcmp(p->name, "verdict") == 0)
        assert_verdict(f, p->part[0]);
    else if (strcmp(p->name, "row") == 0)
        assert_row(f, p->part[0]);
    else if (strcmp(p->name, "head") == 0)
        assert_head(f, p);
    else if (strcmp(p->name, "receipt") == 0)
        assert_receipt(p);
    else if (strcmp(p->name, "token") == 0)
        assert_token(f, p);
    else
        fail_msg("nothing here reads a %s", p->name);
}

static void assert_entries(struct fixture *f, ProtobufCBinaryData packed, uint32_t size,
                           uint32_t count)
{
    Ztc__EntriesBody *body;

    assert_int_equal(body_open_entries(&f->codec, wire_slice(packed), size, count, &f->a, &body), 0);
    for (size_t i = 0; i < body->n_entries; i++) {
        const Ztc__Entry *e = body->entries[i];

        assert_verdict(f, wire_slice(e->verdict));
        if (e->has_bytes)
            assert_change(f, wire_slice(e->bytes), wire_slice(e->side));
    }
}

static void assert_push(struct fixture *f, const Ztc__Push *m)
{
    Ztc__PushBody *body;

    assert_int_equal(body_open_push(&f->codec, m, &f->a, &body), 0);
    for (size_t i = 0; i < body->n_changes; i++)
        assert_change(f, wire_slice(body->changes[i]->bytes), wire_slice(body->changes[i]->side));
}

static void assert_slice(struct fixture *f, const Ztc__Slice *m)
{
    Ztc__SliceBody *body;

    assert_int_equal(body_open_slice(&f->codec, m, &f->a, &body), 0);
    for (size_t i = 0; i < body->n_rows; i++)
        assert_row(f, wire_slice(body->rows[i]));
}

/* What a frame carries in bytes of its own. */
static void assert_body(struct fixture *f, const Ztc__Frame *frame)
{
    switch ((int)frame->kind_case) {
    case ZTC__FRAME__KIND_PUSH:
        assert_push(f, frame->push);
        break;
    case ZTC__FRAME__KIND_ENTRIES:
        assert_entries(f, frame->entries->body, frame->entries->size, frame->entries->count);
        break;
    case ZTC__FRAME__KIND_REFILL:
        assert_entries(f, frame->refill->body, frame->refill->size, frame->refill->count);
        break;
    case ZTC__FRAME__KIND_HISTORY:
        assert_entries(f, frame->history->body, frame->history->size, frame->history->count);
        break;
    case ZTC__FRAME__KIND_SLICE:
        assert_slice(f, frame->slice);
        break;
    default:
        break;
    }
}

static void assert_frame(struct fixture *f, const struct piece *p)
{
    Ztc__Frame *frame;

    assert_int_equal(frame_unpack(&f->a, p->part[0], &frame), 0);
    assert_string_equal(frame_name(frame), p->name);
    frame_put(&f->again, frame);
    assert_int_equal(f->again.len, FRAME_PREFIX + p->part[0].len);
    assert_memory_equal(f->again.p + FRAME_PREFIX, p->part[0].p, p->part[0].len);
    assert_body(f, frame);
}

/* ---- tests ---- */

/* A frame of every kind that an earlier version sends is still taken, with what it carries. */
static void test_fixtures__frames(void **state)
{
    assert_true(judge_versions(*state, "frames.txt", assert_frame) >= 1);
}

/* Changes, verdicts, rows, signed heads, receipts and tokens likewise. */
static void test_fixtures__formats(void **state)
{
    assert_true(judge_versions(*state, "formats.txt", assert_format) >= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_fixtures__frames, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_fixtures__formats, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
