#include "server/net/facts.h"

#include <string.h>

/* ---- refusals ---- */

static int add_refusal(void *ctx, const struct refusal *r)
{
    struct refusal_list *l = ctx;
    struct server_refusal *to;

    if (r->last_n < l->from_n)
        return 0;
    if (l->n == l->max) {
        l->more = true;
        return 1;
    }
    to = &l->at[l->n];
    to->first_n = r->first_n;
    to->last_n = r->last_n;
    to->at_n = r->at_n;
    to->quarantined = r->quarantined;
    to->code = (struct slice){arena_dup(l->arena, r->code.p, r->code.len), r->code.len};
    to->text = (struct slice){arena_dup(l->arena, r->text.p, r->text.len), r->text.len};
    if (to->code.p == NULL || to->text.p == NULL)
        return E_NOMEM;
    l->n++;
    return 0;
}

int facts_refusals(struct city *city, const struct id *replica, uint64_t acked_n, uint64_t from_n,
                   size_t max, struct arena *a, struct refusal_list *ret, struct err *err)
{
    int status;

    *ret = (struct refusal_list){.arena = a, .from_n = from_n, .max = max};
    ret->at = arena_alloc(a, max * sizeof *ret->at);
    if (ret->at == NULL)
        return E_NOMEM;
    status = city_refusals(city, replica, acked_n, add_refusal, ret, err);
    return status < 0 ? status : 0;
}

/* ---- the store's side ---- */

uint32_t facts_stream(const struct facts *f, size_t i)
{
    return i == 0 ? STREAM_SHARED : f->claim.site;
}

/* What the certificate and the operator's word leave it. */
static int check_identity(struct facts *f, struct city *city, const struct replica_row *r,
                          struct err *err)
{
    bool replaced;
    int ret;

    if (r->state == REPLICA_LOST)
        return err_set(err, E_REVOKED, NULL);
    if (r->site != f->claim.site)
        return err_set(err, E_AUTH, NULL);
    ret = city_cert_check(city, r, f->claim.fingerprint, f->claim.key, &replaced, err);
    if (ret != 0)
        return ret;
    if (r->state == REPLICA_ACTIVE)
        f->answer.standing = replaced || f->claim.expired ? SERVER_MAY_RENEW : SERVER_FULL;
    else if (!replaced && !f->claim.expired)
        f->answer.standing = SERVER_MAY_HAND_IN;
    else
        return err_set(err, E_REVOKED, NULL);
    return 0;
}

static int dup_slice(struct arena *a, struct slice *s)
{
    s->p = arena_dup(a, s->p, s->len);
    return s->p == NULL ? E_NOMEM : 0;
}

/* A head that Hello showed is not shown back: by that the replica knows that it is still the newest. */
static int read_heads(struct facts *f, struct city *city)
{
    for (size_t i = 0; i < SERVER_STREAMS + 1; i++) {
        uint32_t stream = i == SERVER_STREAMS ? STREAM_CITY : facts_stream(f, i);
        const struct slice *shown = i == SERVER_STREAMS ? &f->witness.head : &f->cursors[i].head;
        struct server_signed *h = &f->heads[f->answer.n_signed_heads];
        uint64_t seq;
        int ret = city_head(city, stream, &h->head, &h->signature, &seq);

        if (ret == 0)
            ret = dup_slice(f->arena, &h->head);
        if (ret == 0)
            ret = dup_slice(f->arena, &h->signature);
        if (ret != 0)
            return ret;
        if (i < SERVER_STREAMS)
            f->answer.heads[i] = (struct server_head){stream, seq};
        f->answer.n_signed_heads += !slice_eq(h->head, *shown);
    }
    f->answer.signed_heads = f->heads;
    return 0;
}

/* How the replica's cursors stand to this store. E_RECOVERING: one proves that the store is older than it
 * should be, which freezes it. */
static int check_cursors(struct facts *f, struct city *city, struct err *err)
{
    struct city_stand stand;
    int ret = 0;

    for (size_t i = 0; ret == 0 && i < SERVER_STREAMS; i++) {
        f->cursors[i].stream = facts_stream(f, i);
        ret = city_stand(city, &f->cursors[i], &stand, err);
        if (ret == 0 && stand.place == PLACE_FREEZES)
            return E_RECOVERING;
        f->answer.cursor_ok[i] = stand.place != PLACE_FORKED;
        f->answer.restored = f->answer.restored || stand.place == PLACE_OTHER_LIFE;
        f->answer.refill[i].from_seq = stand.ask_from;
        f->answer.refill[i].upto_seq = stand.ask_upto;
        f->answer.refill[i].back = stand.back;
        f->answer.refill[i].back_to = stand.back_to;
        f->shown[i] = stand.shown;
    }
    f->witness.stream = STREAM_CITY;
    if (ret == 0)
        ret = city_stand(city, &f->witness, &stand, err);
    f->shown[SERVER_STREAMS] = stand.shown;
    return ret == 0 && stand.place == PLACE_FREEZES ? E_RECOVERING : ret;
}

/* Chains of the replica's own changes; of a number that came back without one, its own word is all there is. */
static int check_own(struct facts *f, struct city *city, const struct replica_row *r,
                     struct err *err)
{
    bool news = f->acked_n > r->accepted_n && city_was_restored(city) && !f->answer.restored;
    int ret = 0;

    f->answer.accepted_n = r->accepted_n;
    memcpy(f->answer.accepted_chain, r->own_chain, HASH_SIZE);
    memcpy(f->answer.acked_chain, f->acked_chain, HASH_SIZE);
    if (news) {
        f->answer.accepted_n = f->adopt_n = f->acked_n;
        memcpy(f->answer.accepted_chain, f->acked_chain, HASH_SIZE);
    } else if (f->acked_n <= r->accepted_n) {
        ret = city_replica_chain(city, &f->replica, f->acked_n, f->answer.acked_chain, err);
    }
    return ret == E_NOTFOUND && city_was_restored(city) ? 0 : ret;
}

int facts_read(struct facts *f, struct city *city, struct err *err)
{
    struct replica_row r;
    struct refusal_list refusals;
    int ret = city_replica_get(city, &f->replica, &r, err);

    if (ret == E_NOTFOUND)
        return err_set(err, E_AUTH, NULL);
    if (ret == 0)
        ret = check_identity(f, city, &r, err);
    if (ret == 0)
        ret = read_heads(f, city);
    if (ret == 0)
        ret = check_cursors(f, city, err);
    if (ret == 0)
        ret = check_own(f, city, &r, err);
    if (ret == 0)
        ret = facts_refusals(city, &f->replica, f->unanswered_from, 0, REFUSALS_CHUNK, f->arena,
                             &refusals, err);
    if (ret != 0)
        return ret;
    f->answer.incarnation = city_incarnation(city);
    f->recovering = city_recovering(city);
    f->answer.refusals = refusals.at;
    f->answer.n_refusals = refusals.n;
    f->answer.more_refusals = refusals.more;
    return 0;
}

/* ---- what Hello says ---- */

static void take_cursors(struct facts *f, const Ztc__Hello *m)
{
    for (size_t i = 0; i < m->n_cursors; i++) {
        for (size_t k = 0; k < SERVER_STREAMS; k++) {
            if (m->cursors[i]->stream != facts_stream(f, k))
                continue;
            f->cursors[k].seq = m->cursors[i]->seq;
            f->cursors[k].log_from = m->cursors[i]->log_from;
            memcpy(f->cursors[k].hash, m->cursors[i]->hash.data, HASH_SIZE);
            memcpy(f->cursors[k].incarnation.b, m->cursors[i]->incarnation.data, ID_SIZE);
        }
    }
}

static int take_head(struct facts *f, struct city_cursor *to, const Ztc__SignedHead *from)
{
    to->head = wire_slice(from->head);
    to->signature = wire_slice(from->signature);
    return dup_slice(f->arena, &to->head) | dup_slice(f->arena, &to->signature);
}

/* The frame is gone when the job runs: what it shows is copied. */
static int take_heads(struct facts *f, const Ztc__Hello *m)
{
    int ret = m->city_head != NULL ? take_head(f, &f->witness, m->city_head) : 0;
    struct head h;

    for (size_t i = 0; ret == 0 && i < m->n_heads; i++) {
        if (head_decode(wire_slice(m->heads[i]->head), &h) != 0)
            continue; /* of a later form: no proof to us */
        for (size_t k = 0; ret == 0 && k < SERVER_STREAMS; k++) {
            if (h.stream != facts_stream(f, k))
                continue;
            ret = take_head(f, &f->cursors[k], m->heads[i]);
        }
    }
    return ret == 0 ? 0 : E_NOMEM;
}

int facts_init(struct facts *f, const struct id *replica, const struct replica_claim *claim,
               const uint8_t authorities[HASH_SIZE], const Ztc__Hello *m, struct arena *a)
{
    *f = (struct facts){.arena = a,
                        .replica = *replica,
                        .claim = *claim,
                        .own_n = m->own_n,
                        .acked_n = m->has_acked_n ? m->acked_n : 0,
                        .unanswered_from = m->has_acked_n ? m->acked_n : UINT64_MAX,
                        .answer = {.catalogue = CATALOGUE_VERSION, .has_authorities = true}};
    if (m->has_acked_n)
        memcpy(f->acked_chain, m->acked_chain.data, HASH_SIZE);
    memcpy(f->answer.authorities, authorities, HASH_SIZE);
    take_cursors(f, m);
    return take_heads(f, m);
}

bool facts_hearing(const struct facts *f, struct hearing *ret)
{
    bool back = false;

    *ret = (struct hearing){.replica = f->replica, .adopt_n = f->adopt_n, .own_n = f->own_n};
    for (size_t i = 0; i < SERVER_STREAMS + 1; i++) {
        ret->streams[i] = i == SERVER_STREAMS ? STREAM_CITY : facts_stream(f, i);
        ret->shown[i] = f->shown[i];
    }
    memcpy(ret->adopt_chain, f->acked_chain, HASH_SIZE);
    for (size_t i = 0; i < SERVER_STREAMS; i++) {
        ret->back[i] = f->answer.refill[i].back;
        ret->back_to[i] = f->answer.refill[i].back_to;
        back = back || ret->back[i];
    }
    return back || ret->adopt_n != 0 || f->recovering;
}

int hearing_keep(const struct hearing *h, struct city *city, struct err *err)
{
    int ret = city_heard(city, &h->replica, h->streams, h->shown, SERVER_STREAMS + 1, err);

    if (ret == 0 && h->adopt_n != 0)
        ret = city_adopt(city, &h->replica, h->adopt_n, h->adopt_chain, err);
    for (size_t i = 0; ret == 0 && i < SERVER_STREAMS; i++) {
        if (h->back[i])
            ret = city_went_back(city, &h->replica, h->streams[i], h->back_to[i], h->own_n, err);
    }
    return ret;
}
