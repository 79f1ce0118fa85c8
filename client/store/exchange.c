#include "client/store/exchange.h"

#include "client/store/blobs.h"
#include "client/store/identity.h"
#include "client/store/repair.h"
#include "client/store/replica_internal.h"

#include <string.h>

static int add_loading(struct replica *r, struct client_cursor *c, struct err *err)
{
    struct replica_snapshot s;
    int ret = replica_snapshot(r, c->stream, &s, err);

    if (ret == E_NOTFOUND) {
        c->loading = c->seq == 0 ? CLIENT_UNDECIDED : CLIENT_WHOLE;
        return 0;
    }
    if (ret != 0)
        return ret;
    c->loading = s.loaded ? CLIENT_WHOLE : CLIENT_SLICES;
    c->has_place = s.has_place;
    memcpy(c->place, s.place, sizeof c->place);
    c->history = s.history_seq;
    c->base = s.base_seq;
    return 0;
}

static int add_cursor(void *ctx, const struct stream_head *h)
{
    struct client_facts *f = ctx;
    struct client_cursor *c;

    if (f->n_cursors == CLIENT_STREAMS)
        return E_CORRUPT;
    c = &f->cursors[f->n_cursors++];
    c->stream = h->stream;
    c->seq = h->seq;
    memcpy(c->hash, h->hash, HASH_SIZE);
    if (h->seq != 0) /* nothing was reached under no head */
        c->incarnation = h->incarnation;
    return 0;
}

static struct client_ledger ledger_of(const struct statement *s)
{
    return (struct client_ledger){.own_n = s->own_n,
                                  .acked_n = s->acked_n,
                                  .waiting = s->waiting,
                                  .refused = s->refused,
                                  .blobs = s->attachments};
}

int exchange_ledger(struct replica *r, struct client_ledger *ret, struct err *err)
{
    struct statement s;
    struct blob_counts blobs = {.waiting = 0};
    int status = replica_says(r, &s, err);

    if (status == 0 && s.attachments > 0)
        status = replica_blob_counts(r, &blobs, err);
    if (status != 0)
        return status;
    *ret = ledger_of(&s);
    ret->uploads = blobs.waiting;
    return 0;
}

static int copy_out(struct buf *b, uint8_t *to, size_t *ret_len)
{
    if (b->ret == 0 && b->len > 0)
        memcpy(to, b->p, b->len);
    *ret_len = b->len;
    return b->ret;
}

/* What a city that was restored needs to see. */
static int add_head(struct replica *r, uint32_t stream, struct client_shown *ret, struct err *err)
{
    struct buf head, signature;
    int status;

    buf_init(&head, WIRE_SIGNED_MAX);
    buf_init(&signature, WIRE_SIGNED_MAX);
    status = replica_shown_head(r, stream, &head, &signature, err);
    if (status == 0)
        status = copy_out(&head, ret->head, &ret->head_len);
    if (status == 0)
        status = copy_out(&signature, ret->signature, &ret->signature_len);
    buf_release(&head);
    buf_release(&signature);
    return status == E_NOTFOUND ? 0 : status;
}

int exchange_facts(struct replica *r, const char *software, struct client_facts *ret,
                   struct err *err)
{
    struct statement s;
    struct replica_facts f;
    int status = replica_facts(r, &f, err);

    if (status != 0)
        return status;
    s = replica_statement(&f);
    memset(ret, 0, sizeof *ret);
    ret->replica = f.id;
    ret->catalogue = CATALOGUE_VERSION;
    ret->software = software;
    ret->ledger = ledger_of(&s);
    ret->ledger.uploads = f.blobs.waiting;
    memcpy(ret->own_chain, f.own_chain, HASH_SIZE);
    memcpy(ret->acked_chain, f.acked_chain, HASH_SIZE);
    status = store_stream_each(replica_store(r), add_cursor, ret, err);
    for (size_t i = 0; status == 0 && i < ret->n_cursors; i++)
        status = add_loading(r, &ret->cursors[i], err);
    for (size_t i = 0; status == 0 && i < ret->n_cursors; i++)
        status = add_head(r, ret->cursors[i].stream, &ret->heads[i], err);
    return status == 0 ? add_head(r, STREAM_CITY, &ret->witness, err) : status;
}

/* ---- comparing tables ---- */

#define REPORTS_MAX 64u

/* What differs, and which repairs the city does not know of. */
static int put_compared(struct replica *r, struct arena *a, struct client_event *ret,
                        struct err *err)
{
    struct client_repair *repairs = arena_alloc(a, REPORTS_MAX * sizeof *repairs);

    if (repairs == NULL)
        return err_set(err, E_NOMEM, NULL);
    ret->compared.repairs = repairs;
    ret->ret = replica_repairs_untold(r, repairs, REPORTS_MAX, &ret->compared.n_repairs, err);
    if (ret->ret == 0)
        ret->ret = replica_differing(r, &ret->compared.differs, err);
    return ret->ret;
}

static const Ztc__SignedHead *shown_head(const Ztc__Welcome *m, uint32_t stream)
{
    struct head h;

    for (size_t i = 0; i < m->n_heads; i++) {
        if (head_decode(wire_slice(m->heads[i]->head), &h) == 0 && h.stream == stream)
            return m->heads[i];
    }
    return NULL;
}

/* What Welcome does not show is what Hello showed. */
static int compare_stream(struct replica *r, uint32_t stream, const Ztc__Welcome *m,
                          struct err *err)
{
    const Ztc__SignedHead *head = shown_head(m, stream);

    if (head == NULL)
        return replica_compare_kept(r, stream, err);
    return replica_compare(r, wire_slice(head->head), wire_slice(head->signature), err);
}

/* Our log is of a life of the city that is over. New work may have brought its stream to just where we stand:
 * the hashes differ then, and nothing is damaged. */
static bool is_of_other_life(const Ztc__Welcome *m)
{
    return m->identity == ZTC__WELCOME__IDENTITY__AHEAD && m->has_restored && m->restored;
}

#define META_CITY_CATALOGUE "city_catalogue"

uint32_t exchange_city_catalogue(struct replica *r)
{
    return (uint32_t)store_meta_int(replica_store(r), META_CITY_CATALOGUE, 1);
}

static int keep_catalogue(struct replica *r, uint32_t catalogue, struct err *err)
{
    return exchange_city_catalogue(r) == catalogue
               ? 0
               : store_meta_put_int(replica_store(r), META_CITY_CATALOGUE, catalogue, err);
}

int exchange_welcome(struct replica *r, const Ztc__Welcome *welcome, struct arena *a,
                     struct client_event *ret, struct err *err)
{
    const Ztc__SignedHead *witness = shown_head(welcome, STREAM_CITY);
    struct id life;
    int status;

    ret->kind = CLIENT_COMPARED;
    memcpy(life.b, welcome->incarnation.data, ID_SIZE);
    status = replica_blob_life(r, &life, err);
    if (status == 0)
        status = keep_catalogue(r, welcome->catalogue, err);
    if (status == 0 && witness != NULL)
        status = replica_witness(r, wire_slice(witness->head), wire_slice(witness->signature), err);
    if (status == 0 && !is_of_other_life(welcome))
        status = compare_stream(r, STREAM_SHARED, welcome, err);
    if (status == 0 && !is_of_other_life(welcome))
        status = compare_stream(r, r->own.site, welcome, err);
    return status == 0 ? put_compared(r, a, ret, err) : status;
}

void exchange_digest(struct replica *r, const struct client_update *up, msec_t now, struct arena *a,
                     struct client_event *ret, struct err *err)
{
    ret->kind = CLIENT_DIGESTED;
    ret->ret = replica_digest_step(r, up->digest.ask, up->digest.tell, up->digest.rows, now,
                                   &ret->compared.next, &ret->compared.more, err);
    if (ret->ret == 0)
        ret->ret = put_compared(r, a, ret, err);
}

void exchange_check(struct replica *r, const struct client_update *up, struct client_event *ret,
                    struct err *err)
{
    uint8_t chain[HASH_SIZE];

    ret->kind = CLIENT_CHECKED;
    ret->ret = identity_chain(r, up->check.n, chain, err);
    if (ret->ret == 0 && !slice_eq((struct slice){chain, HASH_SIZE}, up->check.chain))
        ret->ret = err_set(err, E_FORK, NULL);
}

int exchange_fork(struct replica *r, const struct client_update *up, struct client_point *points,
                  size_t *ret_n, struct err *err)
{
    int ret = identity_points(r, up->fork.lo, up->fork.hi, points, WIRE_POINTS_MAX, ret_n, err);

    if (ret != 0 || *ret_n > 0)
        return ret;
    points[0].n = up->fork.lo;
    *ret_n = 1;
    ret = identity_chain(r, up->fork.lo, points[0].chain, err);
    return ret == 0 ? 1 : ret;
}

/* ---- up ---- */

struct load {
    struct buf plain;
    uint64_t first_n;
    uint32_t count;
};

static int pack(const struct buf *plain, struct body_codec *codec, struct buf *packed,
                struct err *err)
{
    int ret = plain->ret != 0 ? plain->ret : body_compress(codec, buf_slice(plain), packed);

    return ret != 0 ? err_set(err, ret, NULL) : 0;
}

static int add_change(void *ctx, uint64_t n, struct slice bytes, struct slice side)
{
    struct load *l = ctx;

    if (l->count == 0)
        l->first_n = n;
    l->count++;
    body_put_change(&l->plain, bytes, side);
    return 0; /* the buffer keeps its first failure */
}

/* How many changes may go to a city of this catalogue: none from the first act on that it does not know. */
static int count_known(struct replica *r, const struct client_update *up, uint32_t *ret_count,
                       struct err *err)
{
    uint64_t held = 0;
    int ret = up->load.catalogue >= CATALOGUE_VERSION
                  ? 0
                  : replica_held(r, up->load.from_n, up->load.max_count, up->load.catalogue, &held,
                                 err);

    *ret_count = up->load.max_count;
    if (held != 0 && held - up->load.from_n < *ret_count)
        *ret_count = held <= up->load.from_n ? 0 : (uint32_t)(held - up->load.from_n);
    return ret;
}

void exchange_load(struct replica *r, const struct client_update *up, struct body_codec *codec,
                   struct buf *packed, struct client_event *ret, struct err *err)
{
    struct load l = {.count = 0};
    uint32_t count;

    buf_init(&l.plain, WIRE_BODY_MAX);
    buf_clear(packed);
    ret->kind = CLIENT_LOADED;
    ret->ret = count_known(r, up, &count, err);
    if (ret->ret == 0 && count > 0)
        ret->ret = replica_unanswered(r, up->load.from_n, count, up->load.max_bytes, add_change,
                                      &l, err);
    if (ret->ret == 0 && l.count > 0)
        ret->ret = pack(&l.plain, codec, packed, err);
    ret->loaded.first_n = l.first_n;
    ret->loaded.count = l.count;
    ret->loaded.size = (uint32_t)l.plain.len;
    ret->loaded.body = buf_slice(packed);
    buf_release(&l.plain);
}

/* ---- down ---- */

struct exchange_batch exchange_batch_of(const Ztc__Entries *m)
{
    return (struct exchange_batch){.stream = m->stream,
                                   .count = m->count,
                                   .size = m->size,
                                   .first_seq = m->first_seq,
                                   .body = wire_slice(m->body),
                                   .head = wire_slice(m->head->head),
                                   .signature = wire_slice(m->head->signature)};
}

int exchange_batch_own(struct exchange_batch *b, struct arena *a)
{
    struct slice *const parts[] = {&b->body, &b->head, &b->signature};

    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        parts[i]->p = arena_dup(a, parts[i]->p, parts[i]->len);
        if (parts[i]->p == NULL)
            return E_NOMEM;
    }
    return 0;
}

static void list_entries(const Ztc__EntriesBody *body, struct arrived *entries)
{
    for (size_t i = 0; i < body->n_entries; i++) {
        const Ztc__Entry *e = body->entries[i];

        entries[i].received_at = e->received_at;
        entries[i].verdict = wire_slice(e->verdict);
        entries[i].echo_n = e->has_echo_n ? e->echo_n : 0;
        if (e->has_bytes)
            entries[i].bytes = wire_slice(e->bytes);
        if (e->has_side)
            entries[i].side = wire_slice(e->side);
    }
}

void exchange_read(struct exchange_batch *b, const struct hasher *h, struct body_codec *codec,
                   struct arena *a)
{
    Ztc__EntriesBody *body;

    b->ret = body_open_entries(codec, b->body, b->size, b->count, a, &body);
    if (b->ret != 0)
        return;
    b->entries = arena_zalloc(a, b->count * sizeof *b->entries);
    if (b->entries == NULL) {
        b->ret = E_NOMEM;
        return;
    }
    list_entries(body, b->entries);
    arrived_read(h, a, b->entries, b->count);
}

void exchange_take(struct replica *r, const struct exchange_batch *b, struct client_event *ret,
                   struct err *err)
{
    ret->kind = CLIENT_APPLIED;
    ret->applied.stream = b->stream;
    ret->applied.seq = b->first_seq + b->count - 1;
    ret->ret = b->ret != 0 ? err_set(err, b->ret, NULL)
                           : replica_apply(r, b->stream, b->first_seq, b->entries, b->count,
                                           b->head, b->signature, err);
    if (ret->ret == 0)
        ret->ret = replica_differing(r, &ret->applied.differs, err);
    if (ret->ret == 0)
        ret->ret = exchange_ledger(r, &ret->ledger, err);
}

/* ---- snapshots ---- */

void exchange_begin(struct replica *r, const struct client_update *up, struct client_event *ret,
                    struct err *err)
{
    ret->kind = CLIENT_BEGUN;
    ret->ret = replica_snapshot_begin(r, up->begin.stream, up->begin.head, up->begin.signature,
                                      &ret->seq, err);
}

/* The parts of a slice as the replica takes them; all lie in A. */
static int unfold(const Ztc__Slice *m, const Ztc__SliceBody *body, struct arena *a,
                  struct replica_slice *ret)
{
    struct slice *rows = arena_zalloc(a, (body->n_rows + 1) * sizeof *rows);
    struct arrived *entries = arena_zalloc(a, (body->n_entries + 1) * sizeof *entries);
    uint64_t *seqs = arena_zalloc(a, (body->n_entries + 1) * sizeof *seqs);

    if (rows == NULL || entries == NULL || seqs == NULL)
        return E_NOMEM;
    for (size_t i = 0; i < body->n_rows; i++)
        rows[i] = wire_slice(body->rows[i]);
    for (size_t i = 0; i < body->n_entries; i++) {
        const Ztc__SliceEntry *e = body->entries[i];

        seqs[i] = e->seq;
        entries[i] = (struct arrived){.received_at = e->received_at,
                                      .verdict = wire_slice(e->verdict),
                                      .bytes = wire_slice(e->bytes)};
        if (e->has_side)
            entries[i].side = wire_slice(e->side);
    }
    *ret = (struct replica_slice){.stream = m->stream,
                                  .seq = m->seq,
                                  .rows = rows,
                                  .n_rows = body->n_rows,
                                  .entries = entries,
                                  .entry_seqs = seqs,
                                  .n_entries = body->n_entries};
    if (m->has_next)
        ret->next = wire_slice(m->next);
    return 0;
}

void exchange_slice(struct replica *r, const struct client_update *up, struct body_codec *codec,
                    struct arena *a, struct client_event *ret, struct err *err)
{
    struct replica_slice slice;
    Ztc__SliceBody *body;

    ret->kind = CLIENT_SLICE_STORED;
    ret->ret = body_open_slice(codec, up->store_slice, a, &body);
    if (ret->ret == 0)
        ret->ret = unfold(up->store_slice, body, a, &slice);
    ret->ret = ret->ret == 0 ? replica_snapshot_slice(r, &slice, err)
                             : err_set(err, ret->ret, NULL);
}

void exchange_history(struct replica *r, const struct client_update *up, struct body_codec *codec,
                      struct arena *a, struct client_event *ret, struct err *err)
{
    const Ztc__History *m = up->store_history;
    struct arrived *entries = NULL;
    Ztc__EntriesBody *body;

    ret->kind = CLIENT_HISTORY_STORED;
    ret->seq = m->first_seq + m->count - 1;
    ret->ret = body_open_entries(codec, wire_slice(m->body), m->size, m->count, a, &body);
    if (ret->ret == 0)
        entries = arena_zalloc(a, body->n_entries * sizeof *entries);
    if (ret->ret == 0 && entries == NULL)
        ret->ret = E_NOMEM;
    if (ret->ret == 0)
        list_entries(body, entries);
    ret->ret = ret->ret == 0 ? replica_history(r, m->stream, m->first_seq, entries, m->count, err)
                             : err_set(err, ret->ret, NULL);
}

void exchange_refused(struct replica *r, const struct client_update *up, msec_t now,
                      struct client_event *ret, struct err *err)
{
    const Ztc__Refused *m = up->store_refused;

    ret->kind = CLIENT_REFUSED_STORED;
    ret->refused.first_n = m->first_n;
    ret->ret = replica_refused(r, m->first_n, m->last_n, m->at_n, wire_slice(m->code),
                               wire_slice(m->text), now, &ret->refused.until_n, err);
    if (ret->ret == 0)
        ret->ret = exchange_ledger(r, &ret->ledger, err);
}

/* ---- a city that was restored ---- */

struct refill {
    struct buf plain;
    uint32_t count;
};

static int add_entry(void *ctx, const struct entry *e)
{
    struct refill *f = ctx;

    if (f->count > 0 &&
        f->plain.len + body_room(e->verdict.len, e->bytes.len, e->side.len) > WIRE_BODY_MAX)
        return 1;
    body_put_entry(&f->plain, e->received_at, e->verdict, 0, e->bytes, e->side);
    f->count++;
    return 0; /* the buffer keeps its first failure */
}

void exchange_refill(struct replica *r, const struct client_update *up, struct body_codec *codec,
                     struct buf *packed, struct client_event *ret, struct err *err)
{
    struct refill f = {.count = 0};

    buf_init(&f.plain, WIRE_BODY_MAX);
    buf_clear(packed);
    ret->kind = CLIENT_REFILL;
    ret->ret = replica_log(r, up->refill.stream, up->refill.from_seq, up->refill.upto_seq,
                           WIRE_BATCH_MAX, up->refill.max_bytes, add_entry, &f, err);
    if (ret->ret == 0)
        ret->ret = pack(&f.plain, codec, packed, err);
    ret->refill.stream = up->refill.stream;
    ret->refill.first_seq = up->refill.from_seq;
    ret->refill.count = f.count;
    ret->refill.size = (uint32_t)f.plain.len;
    ret->refill.body = buf_slice(packed);
    buf_release(&f.plain);
}

void exchange_go_back(struct replica *r, const struct client_update *up, struct client_event *ret,
                      struct err *err)
{
    struct replica_place places[WIRE_CURSORS_MAX];
    const Ztc__GoBack *m = up->go_back;

    for (size_t i = 0; i < m->n_places; i++)
        places[i] = (struct replica_place){m->places[i]->stream, m->places[i]->seq};
    ret->kind = CLIENT_GONE_BACK;
    ret->ret = replica_go_back(r, places, m->n_places, err);
    if (ret->ret == 0)
        ret->ret = exchange_ledger(r, &ret->ledger, err);
}

/* ---- attachments ---- */

static void blob_next(struct replica *r, enum blob_way way, struct client_blob_answer *ret,
                      struct err *err)
{
    struct blob_row row;
    int found = replica_blob_next(r, way, &row, err);

    ret->ret = found < 0 ? found : 0;
    ret->found = found == 1;
    if (!ret->found)
        return;
    ret->attachment = row.attachment;
    memcpy(ret->hash, row.hash, HASH_SIZE);
    ret->size = row.size;
}

static enum blob_state state_of(int ret)
{
    return ret == 0 ? BLOB_DONE : ret == E_BLOB_LOST ? BLOB_LOST : BLOB_REFUSED;
}

void exchange_blob(struct replica *r, enum client_lane_name lane,
                   const struct client_blob_want *want, msec_t now, struct client_event *ret,
                   struct err *err)
{
    enum blob_way way = lane == CLIENT_LANE_UP ? BLOB_UP : BLOB_DOWN;

    ret->kind = CLIENT_BLOB;
    ret->blob = (struct client_blob_answer){.lane = lane, .ask = want->ask};
    if (want->ask == CLIENT_BLOB_NEXT) {
        blob_next(r, way, &ret->blob, err);
        return;
    }
    ret->blob.ret = replica_blob_settle(r, &want->attachment, way, state_of(want->ret),
                                        want->ret == 0 ? NULL : err_code(want->ret), now, err);
    if (ret->blob.ret == 0)
        ret->blob.ret = exchange_ledger(r, &ret->ledger, err);
}
