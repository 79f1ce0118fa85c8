#include "server/store/tell.h"

#include "common/ledger/ranges.h"

#include <string.h>

#define ROWS_BYTES (256u * 1024u) /* of an answer, unless one row is larger */

static struct id take_id(const uint8_t *p)
{
    struct id id;

    memcpy(id.b, p, ID_SIZE);
    return id;
}

struct tell_ask tell_ask_of(const Ztc__DigestAsk *m)
{
    struct tell_ask ask = {.stream = m->stream,
                           .kind = m->has_kind ? m->kind : 0,
                           .has_after = m->has_after,
                           .has_upto = m->has_upto};

    if (m->has_after)
        ask.after = take_id(m->after.data);
    if (m->has_upto)
        ask.upto = take_id(m->upto.data);
    for (size_t at = 0; m->has_ids && at < m->ids.len; at += ID_SIZE)
        ask.ids[ask.n_ids++] = take_id(m->ids.data + at);
    return ask;
}

static int tell_kinds(struct store *s, const struct tell_ask *ask, struct arena *a,
                      struct buf *list, struct err *err)
{
    struct digest_kind *kinds;
    size_t n;
    int ret = store_digest_kinds(s, ask->stream, &kinds, &n, a, err);

    for (size_t i = 0; ret == 0 && i < n; i++)
        digest_list_kind(list, &kinds[i]);
    return ret;
}

static int tell_range(struct store *s, const struct tell_ask *ask,
                      const struct kind *kind, struct server_told *t, struct buf *list,
                      struct err *err)
{
    struct row_range range = row_range_all(ask->stream, kind);
    bool rows = false;
    int ret;

    range.has_after = ask->has_after;
    range.after = ask->after;
    if (ask->has_upto)
        range.upto = ask->upto;
    ret = store_range_tell(s, &range, list, &rows, err);
    t->form = rows ? ZTC__DIGEST_TELL__FORM__ROWS : ZTC__DIGEST_TELL__FORM__RANGES;
    return ret;
}

/* One row into the list; false when it is full. */
static int tell_row(struct store *s, const struct tell_ask *ask, const struct kind *kind,
                    const struct id *id, struct arena *a, struct buf *bytes, struct err *err)
{
    struct row *row;
    int ret = store_row_get(s, a, kind, id, &row, err);

    buf_clear(bytes);
    if (ret == 0 && row != NULL && row->stream == ask->stream)
        row_encode(bytes, row);
    return ret == 0 && bytes->ret != 0 ? err_set(err, bytes->ret, NULL) : ret;
}

static int tell_rows(struct store *s, const struct tell_ask *ask, const struct kind *kind,
                     struct arena *a, struct server_told *t, struct buf *bytes, struct err *err)
{
    struct slice *rows = arena_alloc(a, ask->n_ids * sizeof *rows);
    size_t total = 0;

    if (rows == NULL)
        return err_set(err, E_NOMEM, NULL);
    t->rows = rows;
    for (; t->covered < ask->n_ids; t->covered++) {
        struct slice *row = &rows[t->n_rows];
        int ret = tell_row(s, ask, kind, &ask->ids[t->covered], a, bytes, err);

        if (ret != 0)
            return ret;
        if (bytes->len == 0)
            continue;
        if (t->n_rows > 0 && total + bytes->len > ROWS_BYTES)
            break;
        *row = (struct slice){arena_dup(a, bytes->p, bytes->len), bytes->len};
        if (row->p == NULL)
            return err_set(err, E_NOMEM, NULL);
        total += row->len;
        t->n_rows++;
    }
    return 0;
}

static int tell(struct store *s, const struct tell_ask *ask, struct arena *a,
                struct server_told *t, struct buf *b, struct err *err)
{
    const struct kind *kind = catalogue_kind(ask->kind);
    struct stream_head head;
    int ret = store_stream_get(s, ask->stream, &head, err);

    if (ret != 0)
        return ret;
    t->seq = head.seq;
    if (ask->kind != 0 && (kind == NULL || kind->stream == STREAM_RULE_NONE))
        return err_set(err, E_VERSION, NULL); /* a kind that we do not know was not told either */
    if (ask->n_ids > 0)
        return tell_rows(s, ask, kind, a, t, b, err);
    t->form = ZTC__DIGEST_TELL__FORM__KINDS;
    ret = kind == NULL ? tell_kinds(s, ask, a, b, err) : tell_range(s, ask, kind, t, b, err);
    if (ret == 0)
        t->list = (struct slice){arena_dup(a, b->p, b->len), b->len};
    return ret == 0 && t->list.p == NULL ? err_set(err, E_NOMEM, NULL) : ret;
}

void tell_answer(struct store *s, const struct tell_ask *ask, struct arena *a,
                 struct server_told *ret, struct err *err)
{
    struct buf b;

    *ret = (struct server_told){.ret = store_begin(s, err)};
    if (ret->ret != 0)
        return;
    buf_init(&b, WIRE_BODY_MAX);
    ret->ret = tell(s, ask, a, ret, &b, err);
    buf_release(&b);
    store_rollback(s); /* it only read */
}
