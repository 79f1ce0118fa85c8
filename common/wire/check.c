#include "common/wire/check.h"

#include "common/base/err.h"
#include "common/base/text.h"
#include "common/wire/frame.h"

#include <string.h>

static bool sized(ProtobufCBinaryData d, size_t size)
{
    return d.len == size;
}

static bool within(ProtobufCBinaryData d, size_t min, size_t max)
{
    return d.len >= min && d.len <= max;
}

static bool text(ProtobufCBinaryData d, size_t min, size_t max)
{
    return within(d, min, max) && text_valid(wire_slice(d));
}

static bool zeros(ProtobufCBinaryData d)
{
    uint8_t any = 0;

    for (size_t i = 0; i < d.len; i++)
        any |= d.data[i];
    return any == 0;
}

static bool identity(ProtobufCBinaryData d)
{
    return sized(d, WIRE_ID_SIZE) && !zeros(d);
}

static bool signed_head(const Ztc__SignedHead *h)
{
    return within(h->head, 1, WIRE_SIGNED_MAX) && within(h->signature, 1, WIRE_SIGNED_MAX);
}

bool wire_code_valid(struct slice s)
{
    if (s.len < 4 || s.len > WIRE_CODE_MAX || !slice_eq((struct slice){s.p, 3}, slice_str("ZT-")))
        return false;
    for (size_t i = 3; i < s.len; i++) {
        uint8_t c = s.p[i];

        if (!(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') && c != '-')
            return false;
    }
    return true;
}

static bool host_char(uint8_t c, bool v6)
{
    bool alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');

    return alnum || c == '.' || (v6 ? c == ':' : c == '-' || c == '_');
}

static bool host_valid(struct slice s)
{
    bool v6 = s.len > 2 && s.p[0] == '[' && s.p[s.len - 1] == ']';
    size_t from = v6 ? 1 : 0;
    size_t to = v6 ? s.len - 1 : s.len;

    for (size_t i = from; i < to; i++) {
        if (!host_char(s.p[i], v6))
            return false;
    }
    return to > from;
}

bool wire_address_valid(struct slice s)
{
    int64_t port;
    size_t colon = s.len;

    if (s.len > WIRE_ADDRESS_MAX)
        return false;
    while (colon > 0 && s.p[colon - 1] != ':')
        colon--;
    if (colon == 0 || colon == s.len || s.p[colon] == '0' || s.p[colon] == '-')
        return false;
    if (text_int((struct slice){s.p + colon, s.len - colon}, &port) != 0 || port > 65535)
        return false;
    return host_valid((struct slice){s.p, colon - 1});
}

static bool addresses(size_t n, const ProtobufCBinaryData *list)
{
    if (n < 1 || n > WIRE_ADDRESSES_MAX)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (!wire_address_valid(wire_slice(list[i])))
            return false;
    }
    return true;
}

static bool site_code(uint32_t site)
{
    return site >= 100000 && site <= 999999;
}

/* seq 0 has been reached under no head. */
static bool cursor(const Ztc__Cursor *c)
{
    return c->stream != 0 && sized(c->hash, WIRE_HASH_SIZE) &&
           sized(c->incarnation, WIRE_ID_SIZE) && (c->seq != 0 || zeros(c->incarnation)) &&
           (!c->has_log_from || (c->log_from > 0 && c->log_from - 1 <= c->seq));
}

static bool cursors(const Ztc__Hello *m)
{
    if (m->n_cursors > WIRE_CURSORS_MAX)
        return false;
    for (size_t i = 0; i < m->n_cursors; i++) {
        if (!cursor(m->cursors[i]))
            return false;
        for (size_t k = 0; k < i; k++) {
            if (m->cursors[k]->stream == m->cursors[i]->stream)
                return false;
        }
    }
    return true;
}

static bool signed_heads(Ztc__SignedHead *const *heads, size_t n)
{
    if (n > WIRE_HEADS_MAX)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (!signed_head(heads[i]))
            return false;
    }
    return true;
}

static bool hello(const Ztc__Hello *m)
{
    bool acked =
        m->has_acked_n == m->has_acked_chain &&
        (!m->has_acked_n || (m->acked_n <= m->own_n && sized(m->acked_chain, WIRE_HASH_SIZE)));

    return acked && m->protocol_min >= 1 && m->protocol_min <= m->protocol_max &&
           text(m->software, 1, WIRE_SOFTWARE_MAX) && identity(m->replica) && cursors(m) &&
           sized(m->own_chain, WIRE_HASH_SIZE) && m->waiting <= m->own_n && m->own_n < UINT64_MAX &&
           (m->city_head == NULL || signed_head(m->city_head)) &&
           signed_heads(m->heads, m->n_heads);
}

static bool standing(const Ztc__Welcome *m)
{
    return (!m->has_standing || (m->standing >= ZTC__WELCOME__STANDING__FULL &&
                                 m->standing <= ZTC__WELCOME__STANDING__HAND_IN)) &&
           (!m->has_authorities || sized(m->authorities, WIRE_HASH_SIZE));
}

static bool welcome(const Ztc__Welcome *m)
{
    return signed_heads(m->heads, m->n_heads) && m->protocol >= 1 && identity(m->incarnation) &&
           sized(m->accepted_chain, WIRE_HASH_SIZE) && m->frame_max >= FRAME_MAX_STRANGER &&
           m->ping_every > 0 && m->dead_after > m->ping_every &&
           m->identity >= ZTC__WELCOME__IDENTITY__SAME &&
           (!m->has_hold || wire_code_valid(wire_slice(m->hold))) &&
           m->identity <= ZTC__WELCOME__IDENTITY__AHEAD && standing(m);
}

/* COUNT items from FIRST on, in a body of SIZE bytes. */
static bool batch(uint64_t first, uint32_t count, uint32_t size, ProtobufCBinaryData body)
{
    return first >= 1 && count >= 1 && count <= WIRE_BATCH_MAX && first <= UINT64_MAX - count &&
           size >= 1 && size <= WIRE_BODY_MAX && body.len >= 1;
}

static bool push(const Ztc__Push *m)
{
    return batch(m->first_n, m->count, m->size, m->body);
}

static bool entries(const Ztc__Entries *m)
{
    return m->stream != 0 && batch(m->first_seq, m->count, m->size, m->body) &&
           signed_head(m->head);
}

static bool refused(const Ztc__Refused *m)
{
    return m->first_n >= 1 && m->first_n <= m->at_n && m->at_n <= m->last_n &&
           wire_code_valid(wire_slice(m->code)) && text(m->text, 0, WIRE_TEXT_MAX);
}

static bool refused_ack(const Ztc__RefusedAck *m)
{
    return m->first_n >= 1 && m->first_n <= m->until_n;
}

static bool ping(const Ztc__Ping *m)
{
    const Ztc__Statement *s = m->said;

    return s == NULL || (s->own_n < UINT64_MAX && s->acked_n <= s->own_n && s->waiting <= s->own_n);
}

static bool window(const Ztc__Window *m)
{
    return !m->has_code || wire_code_valid(wire_slice(m->code));
}

static bool bye(const Ztc__Bye *m)
{
    return wire_code_valid(wire_slice(m->code)) &&
           (!m->has_text || text(m->text, 0, WIRE_TEXT_MAX));
}

static bool blob_have(const Ztc__BlobHave *m)
{
    return identity(m->attachment) && sized(m->hash, WIRE_HASH_SIZE) && m->size >= 1 &&
           m->size <= WIRE_BLOB_MAX;
}

static bool blob_want(const Ztc__BlobWant *m)
{
    return identity(m->attachment) && m->offset < WIRE_BLOB_MAX;
}

static bool blob_chunk(const Ztc__BlobChunk *m)
{
    return identity(m->attachment) && m->offset < WIRE_BLOB_MAX &&
           within(m->bytes, 1, WIRE_CHUNK_MAX) && m->bytes.len <= WIRE_BLOB_MAX - m->offset;
}

static bool blob_done(const Ztc__BlobDone *m)
{
    return identity(m->attachment) && (!m->has_code || wire_code_valid(wire_slice(m->code)));
}

static bool enrol(const Ztc__Enrol *m)
{
    return sized(m->secret, WIRE_SECRET_SIZE) && within(m->csr, 1, WIRE_DER_MAX) &&
           identity(m->replica) && text(m->software, 1, WIRE_SOFTWARE_MAX);
}

static bool enrolled(const Ztc__Enrolled *m)
{
    if (m->n_chain < 1 || m->n_chain > WIRE_CHAIN_MAX)
        return false;
    for (size_t i = 0; i < m->n_chain; i++) {
        if (!within(m->chain[i], 1, WIRE_DER_MAX))
            return false;
    }
    return within(m->certificate, 1, WIRE_DER_MAX) && within(m->log_key, 1, WIRE_DER_MAX) &&
           identity(m->ledger) && (m->hash == 1 || m->hash == 2) && site_code(m->site) &&
           m->k >= 1 && addresses(m->n_addresses, m->addresses) && identity(m->account) &&
           (!m->has_log_key_signature || within(m->log_key_signature, 1, WIRE_SIGNED_MAX));
}

static bool snapshot_ask(const Ztc__SnapshotAsk *m)
{
    return m->stream != 0 && (!m->has_after || sized(m->after, WIRE_PLACE_SIZE)) &&
           !(m->has_after && m->has_declined && m->declined);
}

/* The last slice of a stream may have nothing left to bring. */
static bool slice(const Ztc__Slice *m)
{
    bool empty = m->count == 0 && m->size == 0 && m->body.len == 0 && !m->has_next;

    return m->stream != 0 && (empty || batch(1, m->count, m->size, m->body)) &&
           (!m->has_next || sized(m->next, WIRE_PLACE_SIZE));
}

static bool history_ask(const Ztc__HistoryAsk *m)
{
    return m->stream != 0 && m->from_seq >= 1 && m->from_seq <= m->upto_seq;
}

static bool history(const Ztc__History *m)
{
    return m->stream != 0 && batch(m->first_seq, m->count, m->size, m->body);
}

static bool refill_ask(const Ztc__RefillAsk *m)
{
    return m->stream != 0 && m->from_seq >= 1 && m->from_seq <= m->upto_seq;
}

static bool refill(const Ztc__Refill *m)
{
    return m->stream != 0 && batch(m->first_seq, m->count, m->size, m->body);
}

static bool go_back(const Ztc__GoBack *m)
{
    if (m->n_places > WIRE_CURSORS_MAX)
        return false;
    for (size_t i = 0; i < m->n_places; i++) {
        if (m->places[i]->stream == 0)
            return false;
    }
    return true;
}

static bool renew(const Ztc__Renew *m)
{
    return within(m->csr, 1, WIRE_DER_MAX);
}

/* A certificate with the CAs behind it and the word of each older one for the newer; or nothing. */
static bool renewed(const Ztc__Renewed *m)
{
    if (!m->has_certificate)
        return m->n_authorities == 0 && m->n_endorsements == 0;
    if (m->n_authorities < 1 || m->n_authorities > WIRE_TRUSTED_MAX ||
        m->n_endorsements != m->n_authorities - 1)
        return false;
    for (size_t i = 0; i < m->n_authorities; i++) {
        if (!within(m->authorities[i], 1, WIRE_DER_MAX))
            return false;
    }
    for (size_t i = 0; i < m->n_endorsements; i++) {
        if (!within(m->endorsements[i], 1, WIRE_SIGNED_MAX))
            return false;
    }
    return within(m->certificate, 1, WIRE_DER_MAX);
}

static bool new_identity(const Ztc__NewIdentity *m)
{
    if (m->n_points < 1 || m->n_points > WIRE_POINTS_MAX || m->has_replica != m->has_csr)
        return false;
    for (size_t i = 0; i < m->n_points; i++) {
        if (!sized(m->points[i]->chain, WIRE_HASH_SIZE) || m->points[i]->n > INT64_MAX >> 24 ||
            (i > 0 && m->points[i]->n <= m->points[i - 1]->n))
            return false;
    }
    return !m->has_csr || (m->n_points == 1 && identity(m->replica) &&
                           within(m->csr, 1, WIRE_DER_MAX));
}

static bool new_identity_granted(const Ztc__NewIdentityGranted *m)
{
    if (m->has_k != (m->renewed != NULL))
        return false;
    return m->renewed == NULL || (!m->has_agreed_n && m->k >= 1 && m->renewed->has_certificate &&
                                  renewed(m->renewed));
}

static bool optional_id(bool has, ProtobufCBinaryData d)
{
    return !has || sized(d, WIRE_ID_SIZE);
}

static bool ids(ProtobufCBinaryData d)
{
    if (d.len == 0 || d.len % WIRE_ID_SIZE != 0 || d.len > WIRE_REPAIR_MAX * WIRE_ID_SIZE)
        return false;
    for (size_t at = WIRE_ID_SIZE; at < d.len; at += WIRE_ID_SIZE) {
        if (memcmp(d.data + at - WIRE_ID_SIZE, d.data + at, WIRE_ID_SIZE) >= 0)
            return false;
    }
    return true;
}

static bool digest_ask(const Ztc__DigestAsk *m)
{
    bool range = m->has_after || m->has_upto;

    if (m->stream == 0 || (!m->has_kind && (range || m->has_ids)) || (m->has_ids && range))
        return false;
    return optional_id(m->has_after, m->after) && optional_id(m->has_upto, m->upto) &&
           (!m->has_ids || ids(m->ids));
}

static bool digest_tell(const Ztc__DigestTell *m)
{
    return m->stream != 0 && m->form >= ZTC__DIGEST_TELL__FORM__KINDS &&
           m->form <= ZTC__DIGEST_TELL__FORM__ROWS &&
           m->has_kind == (m->form != ZTC__DIGEST_TELL__FORM__KINDS) &&
           m->list.len <= WIRE_DIGESTS_MAX;
}

static bool repair_rows(const Ztc__RepairRows *m)
{
    if (m->stream == 0 || m->covered < 1 || m->covered > WIRE_REPAIR_MAX ||
        m->n_rows > m->covered)
        return false;
    for (size_t i = 0; i < m->n_rows; i++) {
        if (!within(m->rows[i], 1, WIRE_BODY_MAX))
            return false;
    }
    return true;
}

static bool repaired(const Ztc__Repaired *m)
{
    return m->no >= 1 && m->no <= INT64_MAX && m->at <= INT64_MAX && m->seq <= INT64_MAX &&
           m->stream != 0 && sized(m->id, WIRE_ID_SIZE) &&
           m->how >= ZTC__REPAIRED__HOW__REPLACED && m->how <= ZTC__REPAIRED__HOW__CITY_DIFFERS;
}

int check_frame(const Ztc__Frame *f)
{
    bool ok = false;

    switch ((int)f->kind_case) {
#define X(upper, member, type)                                                                     \
    case ZTC__FRAME__KIND_##upper:                                                                 \
        ok = member(f->member);                                                                    \
        break;
        FRAME_KINDS(X)
#undef X
    default:
        break;
    }
    return ok ? 0 : E_MALFORMED;
}

int check_push_body(const Ztc__PushBody *b, uint32_t count)
{
    if (b->n_changes != count)
        return E_MALFORMED;
    for (size_t i = 0; i < b->n_changes; i++) {
        const Ztc__Change *c = b->changes[i];

        if (!within(c->bytes, 1, WIRE_CHANGE_MAX) || (c->has_side && c->side.len > WIRE_CHANGE_MAX))
            return E_MALFORMED;
    }
    return 0;
}

/* Either the author's bytes, or the number under which the reader has them. */
static bool entry(const Ztc__Entry *e)
{
    if (!within(e->verdict, 1, WIRE_CHANGE_MAX))
        return false;
    if (e->has_echo_n)
        return e->echo_n >= 1 && !e->has_bytes && !e->has_side;
    return e->has_bytes && within(e->bytes, 1, WIRE_CHANGE_MAX) &&
           (!e->has_side || e->side.len <= WIRE_CHANGE_MAX);
}

int check_entries_body(const Ztc__EntriesBody *b, uint32_t count)
{
    if (b->n_entries != count)
        return E_MALFORMED;
    for (size_t i = 0; i < b->n_entries; i++) {
        if (!entry(b->entries[i]))
            return E_MALFORMED;
    }
    return 0;
}

int check_slice_body(const Ztc__SliceBody *b, uint32_t count)
{
    if (b->n_rows != count || b->n_entries > WIRE_BATCH_MAX)
        return E_MALFORMED;
    for (size_t i = 0; i < b->n_rows; i++) {
        if (!within(b->rows[i], 1, WIRE_BODY_MAX))
            return E_MALFORMED;
    }
    for (size_t i = 0; i < b->n_entries; i++) {
        const Ztc__SliceEntry *e = b->entries[i];

        if (e->seq == 0 || !within(e->verdict, 1, WIRE_CHANGE_MAX) ||
            !within(e->bytes, 1, WIRE_CHANGE_MAX) || (e->has_side && e->side.len > WIRE_CHANGE_MAX))
            return E_MALFORMED;
    }
    return 0;
}

int check_token(const Ztc__Token *t)
{
    bool ok = site_code(t->site) && sized(t->secret, WIRE_SECRET_SIZE) && t->expires_at > 0 &&
              addresses(t->n_addresses, t->addresses) && sized(t->ca_fingerprint, WIRE_HASH_SIZE);

    return ok ? 0 : E_MALFORMED;
}
