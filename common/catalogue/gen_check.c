#include "common/catalogue/gen.h"

#include <string.h>

/* May a record in a stream of rule FROM refer to one of rule TO? Readers of a stream must find what
 * it names there or in `shared`; the city reads everything. */
static bool ref_allowed(enum stream_rule from, enum stream_rule to)
{
    switch (from) {
    case STREAM_RULE_CITY:
    case STREAM_RULE_NONE:
        return true;
    case STREAM_RULE_SHARED:
    case STREAM_RULE_SHARED_OR_SITE:
        return to == STREAM_RULE_SHARED;
    default:
        return to != STREAM_RULE_CITY && to != STREAM_RULE_NONE;
    }
}

static bool is_shared(enum stream_rule r)
{
    return r == STREAM_RULE_SHARED || r == STREAM_RULE_SHARED_OR_SITE;
}

static void check_stream(const struct g_kind *k, const struct g_field *f)
{
    const struct line *l = f->at;

    if (f->target >= 0 && f->stored && !ref_allowed(k->stream, kinds[f->target].stream)) {
        complain(l, "%s.%s refers to %s, which its readers do not get", k->name, f->name,
                 kinds[f->target].name);
    }
    if (f->restricted && k->stream != STREAM_RULE_CITY) {
        complain(l, "restricted field %s.%s in a stream with other readers", k->name, f->name);
    }
    bool vanishes = *l->cell[F_VANISH] != '\0';
    bool office_phone = strcmp(l->cell[F_VANISH], "pii") == 0 && k->owner == SIDE_CITY;
    if (vanishes && is_shared(k->stream) && !office_phone) {
        complain(l, "personal field %s.%s in a shared stream", k->name, f->name);
    }
    if (vanishes && k->stream == STREAM_RULE_SHARED && f->owner != SIDE_CITY) {
        complain(l, "personal field %s.%s in a shared stream", k->name, f->name);
    }
}

/* "field=a|b", "field!=a", "field!=": the field exists, and so do the codes. */
static void check_when(const struct g_kind *k, const struct g_field *f)
{
    const struct line *l = f->at;
    char *parts[MAX_LIST], *values[MAX_LIST];

    if (*l->cell[F_WHEN] == '\0') {
        return;
    }
    if (pieces_of(l->cell[F_WHEN], '=', parts) != 2) {
        complain(l, "condition '%s' is not field=value", l->cell[F_WHEN]);
        return;
    }
    size_t len = strlen(parts[0]);
    if (len > 0 && parts[0][len - 1] == '!') {
        parts[0][len - 1] = '\0';
    }
    const struct g_field *of = need_field(l, k, parts[0]);
    unsigned n = pieces_of(parts[1], '|', values);
    for (unsigned i = 0; i < n; i++) {
        if (of->codes >= 0) {
            need_code(l, of->codes, values[i]);
        }
    }
}

static void check_preset(const struct g_field *f)
{
    const struct line *l = f->at;

    if (*l->cell[F_PRESET] == '\0') {
        return;
    }
    if (f->codes >= 0) {
        need_code(l, f->codes, l->cell[F_PRESET]);
    } else {
        int64_t v = number(l, l->cell[F_PRESET], 1);
        if (v < f->min || v > f->max) {
            complain(l, "preset out of bounds");
        }
    }
}

/* A published kind shows what its source has, or what the rule that publishes it makes. */
static void check_published(const struct g_kind *k, const struct g_field *f)
{
    char *sources[MAX_LIST];
    unsigned n = pieces_of(k->at->cell[K_PUBLISHED], '|', sources);
    bool by_rule = strcmp(f->at->cell[F_SOURCE], "rule") == 0;

    if (!by_rule && *f->at->cell[F_SOURCE] != '\0') {
        complain(f->at, "unknown source '%s'", f->at->cell[F_SOURCE]);
    }
    if (n == 0) {
        if (by_rule) {
            complain(f->at, "%s is not published from anything", k->name);
        }
        return;
    }
    for (unsigned i = 0; i < n && !by_rule; i++) {
        by_rule = find_field(&kinds[need_kind(k->at, sources[i])], f->name) != NULL;
    }
    if (!by_rule) {
        complain(f->at, "%s.%s is in none of the sources of %s", k->name, f->name, k->name);
    }
}

static void check_kind(const struct g_kind *k)
{
    const struct line *l = k->at;
    char *states[MAX_LIST];

    if (*l->cell[K_DATE] != '\0') {
        const struct g_field *f = need_field(l, k, l->cell[K_DATE]);
        if (f->type != FT_DATE && f->type != FT_DATETIME) {
            complain(l, "business date %s.%s is not a date", k->name, f->name);
        }
    }
    if (strcmp(l->cell[K_HISTORIC], "-") == 0) {
        if (k->states >= 0) {
            complain(l, "historic states of a kind with states cannot be '-'");
        }
        return;
    }
    unsigned n = pieces_of(l->cell[K_HISTORIC], '|', states);
    for (unsigned i = 0; i < n; i++) {
        need_code(l, k->states, states[i]);
    }
}

void check_fields(void)
{
    for (unsigned i = 0; i < n_kinds; i++) {
        const struct g_kind *k = &kinds[i];
        check_kind(k);
        for (unsigned j = 0; j < k->n_own; j++) {
            check_stream(k, &k->fields[j]);
            check_when(k, &k->fields[j]);
            check_preset(&k->fields[j]);
            check_published(k, &k->fields[j]);
            (void)word(k->fields[j].at, F_REQUIRED, required_names);
            (void)word(k->fields[j].at, F_VANISH, vanish_names);
            (void)word(k->fields[j].at, F_UNIQUE, unique_names);
        }
    }
    for (unsigned i = 0; i < n_codes; i++) {
        if (!codes[i].used) {
            complain(codes[i].at, "code table '%s' is used by no field", codes[i].name);
        }
    }
}
