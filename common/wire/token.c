#include "common/wire/token.h"

#include "common/base/err.h"
#include "common/base/hex.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/wire/frame.h"

#include <assert.h>
#include <string.h>

#define ARENA_MAX (256u * 1024u)

void token_print(struct buf *out, const struct token *t)
{
    Ztc__Token m = ZTC__TOKEN__INIT;
    ProtobufCBinaryData addresses[WIRE_ADDRESSES_MAX];
    uint8_t packed[WIRE_ADDRESSES_MAX * (WIRE_ADDRESS_MAX + 4) + 128];

    m.site = t->site;
    m.secret = wire_data((struct slice){t->secret, sizeof t->secret});
    m.expires_at = t->expires_at;
    m.ca_fingerprint = wire_data((struct slice){t->ca_fingerprint, sizeof t->ca_fingerprint});
    m.n_addresses = t->n_addresses;
    m.addresses = addresses;
    assert(t->n_addresses <= WIRE_ADDRESSES_MAX);
    for (unsigned i = 0; i < t->n_addresses; i++)
        addresses[i] = wire_data(slice_str(t->addresses[i]));
    assert(check_token(&m) == 0 && ztc__token__get_packed_size(&m) <= sizeof packed);

    buf_str(out, TOKEN_PREFIX);
    base64url_encode(out, (struct slice){packed, ztc__token__pack(&m, packed)});
    mem_wipe(packed, sizeof packed);
}

static void copy_token(const Ztc__Token *m, struct token *ret)
{
    *ret = (struct token){.site = m->site, .expires_at = m->expires_at};
    memcpy(ret->secret, m->secret.data, sizeof ret->secret);
    memcpy(ret->ca_fingerprint, m->ca_fingerprint.data, sizeof ret->ca_fingerprint);
    ret->n_addresses = (unsigned)m->n_addresses;
    for (size_t i = 0; i < m->n_addresses; i++)
        memcpy(ret->addresses[i], m->addresses[i].data, m->addresses[i].len);
}

int token_parse(struct slice text, struct token *ret)
{
    struct slice prefix = slice_str(TOKEN_PREFIX);
    struct wire_arena w;
    struct arena a;
    struct buf packed;
    Ztc__Token *m;
    int result = E_TOKEN;

    if (text_valid_prefix(text.p, text.len) != text.len)
        return E_TOKEN;
    text = text_trim(text);
    if (text.len <= prefix.len || text.len > TOKEN_TEXT_MAX ||
        !slice_eq((struct slice){text.p, prefix.len}, prefix))
        return E_TOKEN;

    arena_init(&a, ARENA_MAX);
    buf_init(&packed, TOKEN_TEXT_MAX);
    text.p += prefix.len;
    text.len -= prefix.len;
    if (base64url_decode(&packed, text) != 0) {
        result = packed.ret == E_NOMEM ? E_NOMEM : E_TOKEN;
        goto out;
    }
    wire_arena_init(&w, &a, packed.len);
    m = ztc__token__unpack(&w.allocator, packed.len, packed.p);
    if (m == NULL && w.out)
        result = E_NOMEM;
    if (m == NULL || check_token(m) != 0)
        goto out;
    copy_token(m, ret);
    result = 0;
out:
    if (packed.len > 0)
        mem_wipe(packed.p, packed.len);
    buf_release(&packed);
    arena_release(&a);
    return result;
}

bool token_expired(const struct token *t, msec_t now)
{
    return now >= t->expires_at;
}
