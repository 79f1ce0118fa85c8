/* Acts before they are judged: hashes, and values by themselves. */
#include "server/core/prepare.h"

#include "common/base/err.h"

#include <string.h>

/* False says nothing yet: the judge finds the value again and has the sentence for it. */
static bool values_good(const struct change *c)
{
    const struct kind *kind = catalogue_kind(c->kind);

    for (size_t i = 0; kind != NULL && i < c->n_fields; i++) {
        const struct field *f = kind_field(kind, c->fields[i].tag);

        if (f == NULL || c->fields[i].form == FORM_DELTA ||
            check_value(f, &c->fields[i].v, NULL) != 0)
            return false;
    }
    return kind != NULL;
}

int act_prepare(struct arena *a, const struct hasher *h, uint8_t chain[HASH_SIZE], struct act *act)
{
    uint8_t(*hashes)[HASH_SIZE] = arena_alloc(a, act->n * HASH_SIZE);
    uint8_t(*chains)[HASH_SIZE] = arena_alloc(a, (act->n + 1) * HASH_SIZE);

    if (hashes == NULL || chains == NULL)
        return E_NOMEM;
    act->values_good = true;
    memcpy(chains[0], chain, HASH_SIZE);
    for (size_t i = 0; i < act->n; i++) {
        if (change_check_side(h, &act->changes[i]) != 0)
            return E_MALFORMED;
        act->values_good = act->values_good && values_good(&act->changes[i]);
        change_hash(h, act->bytes[i], hashes[i]);
        own_chain_next(h, chain, hashes[i]);
        memcpy(chains[i + 1], chain, HASH_SIZE);
    }
    act->hashes = (const uint8_t(*)[HASH_SIZE])hashes;
    act->chains = (const uint8_t(*)[HASH_SIZE])chains;
    return 0;
}
