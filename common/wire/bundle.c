/* The frame of a bundle: its head and the order of its chunks. */
#include "common/wire/bundle.h"

#include "common/base/err.h"
#include "common/wire/check.h"

#include <string.h>

#define HEAD_FIXED (1u + 2u * ID_SIZE + 8u + BUNDLE_PRINT_SIZE + BUNDLE_KEY_SIZE)

_Static_assert(HEAD_FIXED + WIRE_DER_MAX <= BUNDLE_HEAD_MAX, "a head must hold any certificate");

void bundle_head_put(struct buf *out, const struct bundle_head *h)
{
    buf_put(out, BUNDLE_MAGIC, BUNDLE_MAGIC_SIZE);
    buf_be32(out, (uint32_t)(HEAD_FIXED + h->certificate.len));
    buf_u8(out, (uint8_t)h->way);
    buf_put(out, h->ledger.b, ID_SIZE);
    buf_put(out, h->replica.b, ID_SIZE);
    buf_be64(out, h->made_at);
    buf_put(out, h->receiver, BUNDLE_PRINT_SIZE);
    buf_put(out, h->ephemeral.p, h->ephemeral.len);
    buf_put(out, h->certificate.p, h->certificate.len);
}

int bundle_head_size(struct slice prefix, size_t *ret)
{
    struct rd r = rd_of(prefix);
    struct slice magic = rd_take(&r, BUNDLE_MAGIC_SIZE);
    size_t size = rd_be32(&r);

    if (!rd_done(&r) || memcmp(magic.p, BUNDLE_MAGIC, BUNDLE_MAGIC_SIZE) != 0 ||
        size <= HEAD_FIXED || size > HEAD_FIXED + WIRE_DER_MAX)
        return E_MALFORMED;
    *ret = size;
    return 0;
}

int bundle_head_decode(struct slice bytes, struct bundle_head *ret)
{
    struct rd r = rd_of(bytes);
    struct bundle_head h;
    uint8_t way = rd_u8(&r);
    struct slice ledger = rd_take(&r, ID_SIZE);
    struct slice replica = rd_take(&r, ID_SIZE);
    struct slice print;

    h.made_at = rd_be64(&r);
    print = rd_take(&r, BUNDLE_PRINT_SIZE);
    h.ephemeral = rd_take(&r, BUNDLE_KEY_SIZE);
    h.certificate = rd_take(&r, rd_left(&r));
    if (!rd_done(&r) || (way != BUNDLE_UP && way != BUNDLE_DOWN) || h.made_at > INT64_MAX ||
        h.certificate.len == 0 || h.certificate.len > WIRE_DER_MAX)
        return E_MALFORMED;
    h.way = (enum bundle_way)way;
    memcpy(h.ledger.b, ledger.p, ID_SIZE);
    memcpy(h.replica.b, replica.p, ID_SIZE);
    memcpy(h.receiver, print.p, BUNDLE_PRINT_SIZE);
    *ret = h;
    return 0;
}

void bundle_nonce(uint32_t number, bool last, uint8_t ret[BUNDLE_NONCE_SIZE])
{
    memset(ret, 0, BUNDLE_NONCE_SIZE);
    for (unsigned i = 0; i < 4; i++)
        ret[7 + i] = (uint8_t)(number >> (24 - 8 * i));
    ret[11] = last;
}

int bundle_chunk_size(const uint8_t prefix[4], size_t *ret)
{
    struct rd r = rd_of((struct slice){prefix, 4});
    size_t size = rd_be32(&r);

    if (size < BUNDLE_CHUNK_EXTRA || size > BUNDLE_CHUNK_MAX)
        return E_MALFORMED;
    *ret = size;
    return 0;
}

int bundle_chunk_check(struct slice sealed, uint32_t number, bool *ret_last)
{
    uint8_t nonce[BUNDLE_NONCE_SIZE];
    bool last;

    if (sealed.len < BUNDLE_CHUNK_EXTRA)
        return E_MALFORMED;
    last = sealed.p[BUNDLE_NONCE_SIZE - 1] != 0;
    bundle_nonce(number, last, nonce);
    if (memcmp(nonce, sealed.p, sizeof nonce) != 0)
        return E_MALFORMED;
    *ret_last = last;
    return 0;
}
