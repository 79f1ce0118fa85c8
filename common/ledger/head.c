#include "common/ledger/head.h"

#include "common/base/err.h"

#include <string.h>

#define HEAD_FORMAT 1u

void head_encode(struct buf *out, const struct head *h)
{
    buf_u8(out, HEAD_FORMAT);
    buf_put(out, h->ledger.b, ID_SIZE);
    buf_put(out, h->incarnation.b, ID_SIZE);
    buf_be32(out, h->stream);
    buf_be64(out, h->seq);
    buf_put(out, h->hash, HASH_SIZE);
    buf_bytes(out, (struct slice){h->root, h->has_root ? ROOT_SIZE : 0});
}

int head_decode(struct slice bytes, struct head *ret)
{
    struct rd r = rd_of(bytes);
    struct head h = {.seq = 0};
    struct slice ledger, incarnation, hash, root;

    if (rd_u8(&r) != HEAD_FORMAT)
        return E_MALFORMED;
    ledger = rd_take(&r, ID_SIZE);
    incarnation = rd_take(&r, ID_SIZE);
    h.stream = rd_be32(&r);
    h.seq = rd_be64(&r);
    hash = rd_take(&r, HASH_SIZE);
    root = rd_bytes(&r, ROOT_SIZE);
    if (!rd_done(&r) || (root.len != 0 && root.len != ROOT_SIZE))
        return E_MALFORMED;

    memcpy(h.ledger.b, ledger.p, ID_SIZE);
    memcpy(h.incarnation.b, incarnation.p, ID_SIZE);
    memcpy(h.hash, hash.p, HASH_SIZE);
    h.has_root = root.len != 0;
    if (h.has_root)
        memcpy(h.root, root.p, ROOT_SIZE);
    *ret = h;
    return 0;
}

void head_to_sign(struct buf *out, const struct head *h)
{
    buf_str(out, HEAD_SIGN_PREFIX);
    head_encode(out, h);
}
