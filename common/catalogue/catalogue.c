/* Finding kinds, fields and codes in the generated tables.
 *
 * Tags are small and dense with a few holes, and stand in order: the place of tag t is at most t - 1,
 * so that a search steps back over the holes only. */
#include "common/catalogue/catalogue.h"

#include <string.h>

const struct kind *catalogue_kind(uint32_t tag)
{
    unsigned i = tag < catalogue_n_kinds ? tag : catalogue_n_kinds;

    while (i > 0 && catalogue_kinds[i - 1]->tag > tag) {
        i--;
    }
    return i > 0 && catalogue_kinds[i - 1]->tag == tag ? catalogue_kinds[i - 1] : NULL;
}

const struct kind *catalogue_kind_named(const char *name)
{
    for (unsigned i = 0; i < catalogue_n_kinds; i++) {
        const struct kind *k = catalogue_kinds[i];
        if (strcmp(k->name, name) == 0 || strcmp(k->label, name) == 0) {
            return k;
        }
    }
    return NULL;
}

const struct kind *catalogue_card(const struct kind *kind)
{
    for (unsigned i = 0; i < catalogue_n_kinds; i++) {
        const struct kind *card = catalogue_kinds[i];
        if (card->stream == STREAM_RULE_SHARED && card->published_from != NULL &&
            strcmp(card->published_from, kind->name) == 0 &&
            kind->stream == STREAM_RULE_SITE) {
            return card;
        }
    }
    return NULL;
}

const struct field *kind_field(const struct kind *kind, uint32_t tag)
{
    if (tag >= TAG_SITE) {
        uint32_t at = kind->n_own + (tag - TAG_SITE);
        return at < kind->n_fields ? &kind->fields[at] : NULL;
    }
    unsigned i = tag < kind->n_own ? tag : kind->n_own;
    while (i > 0 && kind->fields[i - 1].tag > tag) {
        i--;
    }
    return i > 0 && kind->fields[i - 1].tag == tag ? &kind->fields[i - 1] : NULL;
}

/* Rules name fields in the midst of every merge: most names differ in their first letter. */
static bool same(const char *a, const char *b)
{
    return a[0] == b[0] && strcmp(a, b) == 0;
}

const struct field *kind_field_named(const struct kind *kind, const char *name)
{
    for (unsigned i = 0; i < kind->n_fields; i++) {
        if (same(kind->fields[i].name, name)) {
            return &kind->fields[i];
        }
    }
    for (unsigned i = 0; i < kind->n_fields; i++) {
        if (strcmp(kind->fields[i].label, name) == 0) {
            return &kind->fields[i];
        }
    }
    return NULL;
}

unsigned kind_field_index(const struct kind *kind, const struct field *f)
{
    return (unsigned)(f - kind->fields);
}

const struct code_table *code_table_named(const char *name)
{
    for (unsigned i = 0; i < catalogue_n_codes; i++) {
        if (strcmp(catalogue_codes[i]->name, name) == 0) {
            return catalogue_codes[i];
        }
    }
    return NULL;
}

static bool is_text(struct slice s, const char *text)
{
    size_t len = strlen(text);

    return s.len == len && (len == 0 || memcmp(s.p, text, len) == 0);
}

const struct code *code_find(const struct code_table *t, struct slice text, bool labels)
{
    for (unsigned i = 0; i < t->n_codes; i++) {
        if (is_text(text, t->codes[i].code) || (labels && is_text(text, t->codes[i].label))) {
            return &t->codes[i];
        }
    }
    return NULL;
}

uint32_t role_bit(struct slice role)
{
    const struct code_table *t = catalogue_roles;
    const struct code *c = code_find(t, role, false);

    return c == NULL ? 0 : 1u << (c - t->codes);
}

uint32_t roles_of(const struct value *set)
{
    const struct code_table *t = catalogue_roles;
    uint32_t bits = 0;

    for (unsigned i = 0; i < t->n_codes; i++) {
        if (value_set_has(set, slice_str(t->codes[i].code))) {
            bits |= 1u << i;
        }
    }
    return bits;
}
