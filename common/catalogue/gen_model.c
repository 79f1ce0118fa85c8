#include "common/catalogue/gen.h"

#include <stdlib.h>
#include <string.h>

const char *const kind_columns[] = {
    "tag", "name", "label", "owner", "sync", "stream", "serial_prefix", "priority", "states",
    "writers", "published_from", "business_date", "historic_states", "clause", NULL};
const char *const enum_columns[] = {
    "enum", "enum_label", "pos", "code", "label", "side", "offered", NULL};
const char *const field_columns[] = {
    "kind", "tag", "field", "label", "type", "required", "owner", "vanish", "min", "max",
    "choices", "unique", "flags", "required_when", "preset", "source", "aliases", "clause", "help",
    NULL};
const char *const since_columns[] = {"kind", "field", "code", "version", "note", NULL};
const char *const transition_columns[] = {
    "kind", "from", "to", "action", "roles", "required", "guards", "seals", "clause", "note", NULL};

struct g_codes *codes;
unsigned n_codes;
struct g_kind *kinds;
unsigned n_kinds;
struct g_transition *transitions;
unsigned n_transitions;
struct g_since *sinces;
unsigned n_sinces;

const char *const side_names[] = {"county", "city", "both", NULL};
const char *const sync_names[] = {"up", "down", "both", "none", NULL};
const char *const required_names[] = {"N", "Y", "auto", NULL};
const char *const vanish_names[] = {"", "pii", "site", "text", NULL};
const char *const unique_names[] = {"", "all", "site", NULL};
const char *const stream_names[] = {
    "site", "shared", "city", "shared|site", "site|city", "target", "none", NULL};
const char *const type_names[] = {
    "text", "longtext", "int", "decimal", "money", "bool", "date", "time", "datetime", "year",
    "phone", "url", "enum", "set", "ref", "refs", "list", "files", "rid", "secret", NULL};

unsigned word(const struct line *l, unsigned column, const char *const *words)
{
    for (unsigned i = 0; words[i] != NULL; i++) {
        if (strcmp(l->cell[column], words[i]) == 0) {
            return i;
        }
    }
    complain(l, "unknown word '%s'", l->cell[column]);
    return 0;
}

int64_t number(const struct line *l, const char *text, int64_t scale)
{
    const char *point = strchr(text, '.');
    char *end;
    int64_t v = strtoll(text, &end, 10) * scale;

    if (point != NULL && scale == 10 && end == point && point[1] >= '0' && point[1] <= '9' &&
        point[2] == '\0') {
        return v + (text[0] == '-' ? -(point[1] - '0') : point[1] - '0');
    }
    if (*text == '\0' || *end != '\0') {
        complain(l, "'%s' is not a number", text);
    }
    return v;
}

uint32_t tag_of(const struct line *l, const char *text, uint32_t above)
{
    int64_t v = number(l, text, 1);

    if (v <= above || v >= TAG_SITE) {
        complain(l, "tag %s is not above the one before it, or too high", text);
    }
    return (uint32_t)v;
}

int find_codes(const char *name)
{
    for (unsigned i = 0; i < n_codes; i++) {
        if (strcmp(codes[i].name, name) == 0) {
            return (int)i;
        }
    }
    return -1;
}

int need_codes(const struct line *l, const char *name)
{
    int i = find_codes(name);

    if (i < 0) {
        complain(l, "no code table '%s'", name);
        return 0;
    }
    codes[i].used = true;
    return i;
}

int find_code(int table, const char *code)
{
    for (unsigned i = 0; table >= 0 && i < codes[table].n; i++) {
        if (strcmp(codes[table].codes[i]->cell[C_CODE], code) == 0) {
            return (int)i;
        }
    }
    return -1;
}

void need_code(const struct line *l, int table, const char *code)
{
    if (find_code(table, code) < 0) {
        complain(l, "no code '%s' in %s", code, table < 0 ? "(no table)" : codes[table].name);
    }
}

int find_kind(const char *name)
{
    for (unsigned i = 0; i < n_kinds; i++) {
        if (strcmp(kinds[i].name, name) == 0) {
            return (int)i;
        }
    }
    return -1;
}

int need_kind(const struct line *l, const char *name)
{
    int i = find_kind(name);

    if (i < 0) {
        complain(l, "no kind '%s'", name);
        return 0;
    }
    return i;
}

struct g_field *find_field(const struct g_kind *k, const char *name)
{
    for (unsigned i = 0; i < k->n_own + N_HEADER; i++) {
        if (k->fields[i].name != NULL && strcmp(k->fields[i].name, name) == 0) {
            return &k->fields[i];
        }
    }
    return NULL;
}

struct g_field *need_field(const struct line *l, const struct g_kind *k, const char *name)
{
    struct g_field *f = find_field(k, name);

    if (f == NULL) {
        complain(l, "%s has no field '%s'", k->name, name);
        return &k->fields[0];
    }
    return f;
}
