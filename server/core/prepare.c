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

/* Bytes, sidecars and changes of one act lie side by side for the judge. */
static int gather(struct arena *a, const struct push_item *items, size_t n, uint32_t site,
                  struct act *act)
{
    struct change *changes = arena_alloc(a, n * sizeof *changes);
    struct slice *bytes = arena_alloc(a, n * sizeof *bytes);
    struct slice *sides = arena_alloc(a, n * sizeof *sides);

    if (changes == NULL || bytes == NULL || sides == NULL)
        return E_NOMEM;
    for (size_t i = 0; i < n; i++) {
        if (id_is_zero(&items[i].change.actor))
            return E_DENIED; /* `system` acts at the city only */
        changes[i] = items[i].change;
        bytes[i] = items[i].bytes;
        sides[i] = items[i].side;
    }
    *act = (struct act){.changes = changes,
                        .n = n,
                        .bytes = bytes,
                        .sides = sides,
                        .actor = {.account = changes[0].actor, .site = site, .side = SIDE_COUNTY}};
    return 0;
}

/* The session has seen to it that acts are whole. */
static size_t act_end(const struct push_item *items, size_t from, size_t count)
{
    size_t end = from + items[from].change.act_len;

    return end > count ? count : end;
}

int push_prepare(struct arena *a, const struct hasher *h, uint8_t chain[HASH_SIZE],
                 const struct push_item *items, uint32_t count, uint32_t site, struct act **ret_acts,
                 size_t *ret_n)
{
    struct act *acts = arena_alloc(a, count * sizeof *acts);
    size_t n = 0;

    if (acts == NULL)
        return E_NOMEM;
    for (size_t from = 0, to; from < count; from = to) {
        int ret;

        to = act_end(items, from, count);
        ret = gather(a, items + from, to - from, site, &acts[n]);
        if (ret == 0)
            ret = act_prepare(a, h, chain, &acts[n]);
        if (ret != 0)
            return ret;
        n++;
    }
    *ret_acts = acts;
    *ret_n = n;
    return 0;
}
