#include "common/ledger/receipt.h"

#include "common/base/err.h"

#include <string.h>

#define MAGIC       "ztc-receipt-1"
#define SIGNED_MAX  512u
#define VERDICT_MAX (1u << 20)

void receipt_begin(struct buf *out, enum hash_alg alg, struct slice head, struct slice signature,
                   const uint8_t prev[HASH_SIZE], const struct entry *e)
{
    buf_str(out, MAGIC);
    buf_u8(out, (uint8_t)alg);
    buf_bytes(out, head);
    buf_bytes(out, signature);
    buf_be64(out, e->seq);
    buf_put(out, prev, HASH_SIZE);
    buf_be64(out, e->received_at);
    buf_bytes(out, e->verdict);
    buf_bytes(out, e->bytes);
}

void receipt_link(struct buf *out, msec_t received_at, struct slice verdict,
                  const uint8_t bytes_hash[HASH_SIZE])
{
    buf_be64(out, received_at);
    buf_bytes(out, verdict);
    buf_put(out, bytes_hash, HASH_SIZE);
}

static int check_signature(struct slice head, struct slice signature,
                           const struct verifier *log_key)
{
    struct buf message;
    int ret;

    buf_init(&message, SIGNED_MAX + sizeof HEAD_SIGN_PREFIX);
    buf_str(&message, HEAD_SIGN_PREFIX);
    buf_put(&message, head.p, head.len);
    ret = message.ret != 0 ? message.ret
                           : log_key->verify(log_key->ctx, buf_slice(&message), signature);
    buf_release(&message);
    return ret;
}

/* The chain from the entry to the head's seq, by the links that are left in R. */
static int walk(struct rd *r, const struct hasher *h, const struct receipt *x)
{
    uint8_t hash[HASH_SIZE];

    memcpy(hash, x->entry.hash, HASH_SIZE);
    for (uint64_t seq = x->entry.seq + 1; seq <= x->head.seq && !r->bad; seq++) {
        msec_t received_at = rd_be64(r);
        struct slice verdict = rd_bytes(r, VERDICT_MAX);
        struct slice bytes_hash = rd_take(r, HASH_SIZE);

        if (!r->bad)
            chain_next(h, hash, seq, received_at, verdict, bytes_hash.p, hash);
    }
    if (!rd_done(r))
        return E_MALFORMED;
    return memcmp(hash, x->head.hash, HASH_SIZE) == 0 ? 0 : E_CORRUPT;
}

int receipt_check(struct slice bytes, const struct hasher *(*hasher_of)(enum hash_alg alg),
                  const struct verifier *log_key, struct receipt *ret)
{
    struct rd r = rd_of(bytes);
    struct receipt x = {.entry = {.seq = 0}};
    struct slice magic = rd_take(&r, strlen(MAGIC)), head, signature, prev;
    const struct hasher *h = hasher_of((enum hash_alg)rd_u8(&r));
    uint8_t inner[HASH_SIZE];
    int status;

    head = rd_bytes(&r, SIGNED_MAX);
    signature = rd_bytes(&r, SIGNED_MAX);
    x.entry.seq = rd_be64(&r);
    prev = rd_take(&r, HASH_SIZE);
    x.entry.received_at = rd_be64(&r);
    x.entry.verdict = rd_bytes(&r, VERDICT_MAX);
    x.entry.bytes = rd_bytes(&r, ACT_MAX_BYTES);
    if (r.bad || h == NULL || !slice_eq(magic, slice_str(MAGIC)) ||
        head_decode(head, &x.head) != 0 || x.entry.seq == 0 || x.entry.seq > x.head.seq)
        return E_MALFORMED;

    status = check_signature(head, signature, log_key);
    if (status != 0)
        return status;
    x.entry.stream = x.head.stream;
    change_hash(h, x.entry.bytes, inner);
    chain_next(h, prev.p, x.entry.seq, x.entry.received_at, x.entry.verdict, inner, x.entry.hash);
    status = walk(&r, h, &x);
    if (status == 0)
        *ret = x;
    return status;
}
