/* Makes catalogue_data.c from the .tsv files of this folder, and refuses a catalogue that
 * contradicts itself.
 *
 *   catalogue_gen FOLDER OUTPUT
 *
 * Every complaint names file and line; all are printed before the program fails, so that one run
 * shows everything. Three steps: load (cells), resolve and check (names become places), emit. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/text.h"
#include "common/catalogue/guards.h"

#define MAX_COLUMNS 20
#define MAX_LIST    32
#define N_HEADER    7
#define TEXT_MAX    20000
#define SET_MAX     1000

static struct arena arena;
static unsigned errors;

struct line {
    const char *file;
    unsigned no;
    char *cell[MAX_COLUMNS];
};

struct table {
    const char *file;
    struct line *lines;
    unsigned n;
};

static void complain(const struct line *l, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void complain(const struct line *l, const char *fmt, ...)
{
    va_list args;

    fprintf(stderr, "%s:%u: ", l->file, l->no);
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
    errors++;
}

static void die(const char *what, const char *subject)
{
    fprintf(stderr, "%s: %s\n", subject, what);
    exit(1);
}

static void *alloc(size_t size)
{
    void *p = arena_zalloc(&arena, size);

    if (p == NULL) {
        die("out of memory", "catalogue_gen");
    }
    return p;
}

/* ---- load ---- */

static char *read_file(const char *path)
{
    FILE *f = fopen(path, "rb");

    if (f == NULL || fseek(f, 0, SEEK_END) != 0) {
        die("cannot read", path);
    }
    long size = ftell(f);
    rewind(f);
    char *text = alloc((size_t)size + 1);
    if (fread(text, 1, (size_t)size, f) != (size_t)size) {
        die("cannot read", path);
    }
    (void)fclose(f); /* was open for reading only */
    return text;
}

/* Cut TEXT at SEP into at most MAX pieces; the number of them. */
static unsigned cut(char *text, char sep, char **pieces, unsigned max)
{
    unsigned n = 0;

    while (n < max) {
        pieces[n++] = text;
        char *end = strchr(text, sep);
        if (end == NULL) {
            break;
        }
        *end = '\0';
        text = end + 1;
    }
    return n;
}

static void check_header(const char *file, char *text, const char *const *columns)
{
    char *cells[MAX_COLUMNS];
    unsigned n = cut(text, '\t', cells, MAX_COLUMNS);

    for (unsigned i = 0; i < n || columns[i] != NULL; i++) {
        if (i >= n || columns[i] == NULL || strcmp(cells[i], columns[i]) != 0) {
            die("unexpected columns", file);
        }
    }
}

static struct table load(const char *folder, const char *file, const char *const *columns)
{
    char path[4096];
    struct table t = {.file = file};

    snprintf(path, sizeof path, "%s/%s", folder, file);
    char *text = read_file(path);
    if (!text_valid(slice_str(text))) {
        die("not UTF-8", file);
    }
    unsigned n = 1;
    for (const char *p = text; *p != '\0'; p++) {
        n += *p == '\n';
    }
    t.lines = alloc(n * sizeof *t.lines);
    char *rest = text;
    for (unsigned no = 1; rest != NULL && *rest != '\0'; no++) {
        char *now = rest;
        rest = strchr(now, '\n');
        if (rest != NULL) {
            *rest++ = '\0';
        }
        if (no == 1) {
            check_header(file, now, columns);
            continue;
        }
        struct line *l = &t.lines[t.n++];
        l->file = file;
        l->no = no;
        for (unsigned i = 0; i < MAX_COLUMNS; i++) {
            l->cell[i] = alloc(1);
        }
        (void)cut(now, '\t', l->cell, MAX_COLUMNS); /* short lines end in empty cells */
    }
    return t;
}

/* ---- model ---- */

struct g_codes {
    const struct line *at;
    const char *name, *label;
    const struct line **codes;
    unsigned n;
    bool used;
};

struct g_field {
    const struct line *at;
    uint32_t tag;
    const char *name, *label;
    enum field_type type;
    int codes, target; /* places, -1: none */
    enum side owner;
    int64_t min, max;
    bool immutable, masked, indexed, restricted, stored;
};

struct g_kind {
    const struct line *at;
    uint32_t tag;
    const char *name;
    enum side owner, direction;
    bool local;
    uint32_t writers;
    enum stream_rule stream;
    int states;
    struct g_field *fields; /* own, then the header */
    unsigned n_own;
    unsigned first_transition, n_transitions;
};

struct g_transition {
    const struct line *at;
    unsigned kind;
    uint32_t roles;
    bool by_system;
    unsigned required[MAX_LIST];
    unsigned n_required;
    char *guards[MAX_LIST];
    unsigned n_guards;
};

enum { K_TAG, K_NAME, K_LABEL, K_OWNER, K_SYNC, K_STREAM, K_SERIAL, K_PRIORITY, K_STATES,
       K_WRITERS, K_PUBLISHED, K_DATE, K_HISTORIC, K_CLAUSE };
enum { C_TABLE, C_TABLE_LABEL, C_POS, C_CODE, C_LABEL, C_SIDE, C_OFFERED };
enum { F_KIND, F_TAG, F_NAME, F_LABEL, F_TYPE, F_REQUIRED, F_OWNER, F_VANISH, F_MIN, F_MAX,
       F_CHOICES, F_UNIQUE, F_FLAGS, F_WHEN, F_PRESET, F_SOURCE, F_ALIASES, F_CLAUSE, F_HELP };
enum { S_KIND, S_FIELD, S_CODE, S_VERSION, S_NOTE };
enum { T_KIND, T_FROM, T_TO, T_ACTION, T_ROLES, T_REQUIRED, T_GUARDS, T_SEALS, T_CLAUSE, T_NOTE };

static const char *const kind_columns[] = {
    "tag", "name", "label", "owner", "sync", "stream", "serial_prefix", "priority", "states",
    "writers", "published_from", "business_date", "historic_states", "clause", NULL};
static const char *const enum_columns[] = {
    "enum", "enum_label", "pos", "code", "label", "side", "offered", NULL};
static const char *const field_columns[] = {
    "kind", "tag", "field", "label", "type", "required", "owner", "vanish", "min", "max",
    "choices", "unique", "flags", "required_when", "preset", "source", "aliases", "clause", "help",
    NULL};
static const char *const since_columns[] = {"kind", "field", "code", "version", "note", NULL};
static const char *const transition_columns[] = {
    "kind", "from", "to", "action", "roles", "required", "guards", "seals", "clause", "note", NULL};

static struct g_codes *codes;
static unsigned n_codes;
static struct g_kind *kinds;
static unsigned n_kinds;
static struct g_transition *transitions;
static unsigned n_transitions;

static const char *const side_names[] = {"county", "city", "both", NULL};
static const char *const side_ids[] = {"SIDE_COUNTY", "SIDE_CITY", "SIDE_BOTH"};
static const char *const sync_names[] = {"up", "down", "both", "none", NULL};
static const char *const required_names[] = {"N", "Y", "auto", NULL};
static const char *const required_ids[] = {"REQUIRED_NO", "REQUIRED_YES", "REQUIRED_AUTO"};
static const char *const vanish_names[] = {"", "pii", "site", "text", NULL};
static const char *const vanish_ids[] = {"VANISH_NO", "VANISH_PII", "VANISH_SITE", "VANISH_TEXT"};
static const char *const unique_names[] = {"", "all", "site", NULL};
static const char *const unique_ids[] = {"UNIQUE_NO", "UNIQUE_ALL", "UNIQUE_SITE"};
static const char *const stream_names[] = {
    "site", "shared", "city", "shared|site", "site|city", "target", "none", NULL};
static const char *const stream_ids[] = {
    "STREAM_RULE_SITE", "STREAM_RULE_SHARED", "STREAM_RULE_CITY", "STREAM_RULE_SHARED_OR_SITE",
    "STREAM_RULE_SITE_OR_CITY", "STREAM_RULE_TARGET", "STREAM_RULE_NONE"};
static const char *const type_names[] = {
    "text", "longtext", "int", "decimal", "money", "bool", "date", "time", "datetime", "year",
    "phone", "url", "enum", "set", "ref", "refs", "list", "files", "rid", "secret", NULL};
static const char *const type_ids[] = {
    "FT_TEXT", "FT_LONGTEXT", "FT_INT", "FT_DECIMAL", "FT_MONEY", "FT_BOOL", "FT_DATE", "FT_TIME",
    "FT_DATETIME", "FT_YEAR", "FT_PHONE", "FT_URL", "FT_ENUM", "FT_SET", "FT_REF", "FT_REFS",
    "FT_LIST", "FT_FILES", "FT_RID", "FT_SECRET"};

/* The place of a cell's word in WORDS; 0 with a complaint when it is none of them. */
static unsigned word(const struct line *l, unsigned column, const char *const *words)
{
    for (unsigned i = 0; words[i] != NULL; i++) {
        if (strcmp(l->cell[column], words[i]) == 0) {
            return i;
        }
    }
    complain(l, "unknown word '%s'", l->cell[column]);
    return 0;
}

static int64_t number(const struct line *l, const char *text, int64_t scale)
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

static uint32_t tag_of(const struct line *l, const char *text, uint32_t above)
{
    int64_t v = number(l, text, 1);

    if (v <= above || v >= TAG_SITE) {
        complain(l, "tag %s is not above the one before it, or too high", text);
    }
    return (uint32_t)v;
}

static int find_codes(const char *name)
{
    for (unsigned i = 0; i < n_codes; i++) {
        if (strcmp(codes[i].name, name) == 0) {
            return (int)i;
        }
    }
    return -1;
}

static int need_codes(const struct line *l, const char *name)
{
    int i = find_codes(name);

    if (i < 0) {
        complain(l, "no code table '%s'", name);
        return 0;
    }
    codes[i].used = true;
    return i;
}

static int find_code(int table, const char *code)
{
    for (unsigned i = 0; table >= 0 && i < codes[table].n; i++) {
        if (strcmp(codes[table].codes[i]->cell[C_CODE], code) == 0) {
            return (int)i;
        }
    }
    return -1;
}

static void need_code(const struct line *l, int table, const char *code)
{
    if (find_code(table, code) < 0) {
        complain(l, "no code '%s' in %s", code, table < 0 ? "(no table)" : codes[table].name);
    }
}

static int find_kind(const char *name)
{
    for (unsigned i = 0; i < n_kinds; i++) {
        if (strcmp(kinds[i].name, name) == 0) {
            return (int)i;
        }
    }
    return -1;
}

static int need_kind(const struct line *l, const char *name)
{
    int i = find_kind(name);

    if (i < 0) {
        complain(l, "no kind '%s'", name);
        return 0;
    }
    return i;
}

static struct g_field *find_field(const struct g_kind *k, const char *name)
{
    for (unsigned i = 0; i < k->n_own + N_HEADER; i++) {
        if (k->fields[i].name != NULL && strcmp(k->fields[i].name, name) == 0) {
            return &k->fields[i];
        }
    }
    return NULL;
}

static struct g_field *need_field(const struct line *l, const struct g_kind *k, const char *name)
{
    struct g_field *f = find_field(k, name);

    if (f == NULL) {
        complain(l, "%s has no field '%s'", k->name, name);
        return &k->fields[0];
    }
    return f;
}

/* Pieces of a cell at SEP; none for an empty cell. The cell itself stays whole. */
static unsigned pieces_of(const char *cell, char sep, char **pieces)
{
    if (*cell == '\0') {
        return 0;
    }
    char *copy = arena_strndup(&arena, cell, strlen(cell));
    if (copy == NULL) {
        die("out of memory", "catalogue_gen");
    }
    return cut(copy, sep, pieces, MAX_LIST);
}

/* ---- resolve: codes ---- */

static void resolve_codes(const struct table *t)
{
    codes = alloc(t->n * sizeof *codes);
    for (unsigned i = 0; i < t->n; i++) {
        const struct line *l = &t->lines[i];
        struct g_codes *c = n_codes > 0 ? &codes[n_codes - 1] : NULL;
        if (c == NULL || strcmp(c->name, l->cell[C_TABLE]) != 0) {
            if (find_codes(l->cell[C_TABLE]) >= 0) {
                complain(l, "table '%s' is split", l->cell[C_TABLE]);
            }
            c = &codes[n_codes++];
            *c = (struct g_codes){.at = l, .name = l->cell[C_TABLE], .label = l->cell[C_TABLE_LABEL]};
            c->codes = alloc(t->n * sizeof *c->codes);
        }
        if (number(l, l->cell[C_POS], 1) != c->n + 1) {
            complain(l, "position %s, expected %u", l->cell[C_POS], c->n + 1);
        }
        if (find_code((int)(n_codes - 1), l->cell[C_CODE]) >= 0) {
            complain(l, "code '%s' twice", l->cell[C_CODE]);
        }
        if (strcspn(l->cell[C_CODE], ",|/ ") != strlen(l->cell[C_CODE]) || *l->cell[C_CODE] == '\0') {
            complain(l, "code '%s' is not a word", l->cell[C_CODE]);
        }
        c->codes[c->n++] = l;
    }
}

/* ---- resolve: kinds ---- */

static void resolve_kind(struct g_kind *k, const struct line *l, uint32_t above)
{
    unsigned sync = word(l, K_SYNC, sync_names);

    k->at = l;
    k->name = l->cell[K_NAME];
    k->tag = tag_of(l, l->cell[K_TAG], above);
    k->owner = (enum side)word(l, K_OWNER, side_names);
    k->local = sync == 3;
    k->direction = k->local ? k->owner : (enum side)sync;
    k->stream = (enum stream_rule)word(l, K_STREAM, stream_names);
    k->states = *l->cell[K_STATES] == '\0' ? -1 : need_codes(l, l->cell[K_STATES]);
    if (k->local != (k->stream == STREAM_RULE_CITY || k->stream == STREAM_RULE_NONE)) {
        complain(l, "sync none means stream city or none, and the reverse");
    }
}

static void resolve_kinds(const struct table *t)
{
    kinds = alloc(t->n * sizeof *kinds);
    for (unsigned i = 0; i < t->n; i++) {
        const struct line *l = &t->lines[i];
        if (find_kind(l->cell[K_NAME]) >= 0) {
            complain(l, "kind '%s' twice", l->cell[K_NAME]);
        }
        for (unsigned j = 0; j < i; j++) {
            if (strcmp(t->lines[j].cell[K_LABEL], l->cell[K_LABEL]) == 0) {
                complain(l, "label '%s' twice", l->cell[K_LABEL]);
            }
        }
        resolve_kind(&kinds[n_kinds], l, n_kinds > 0 ? kinds[n_kinds - 1].tag : 0);
        n_kinds++;
    }
}

/* ---- resolve: fields ---- */

static const char *const header_names[N_HEADER] = {
    "site", "serial_no", "state", "voided", "void_reason", "historic", "historic_file"};

/* text(40), enum:party, ref:studio, decimal(5,1): the word, and what stands behind it. */
static void resolve_type(struct g_field *f, const struct line *l)
{
    char name[32];
    const char *type = l->cell[F_TYPE];
    size_t len = strcspn(type, "(:");

    f->codes = f->target = -1;
    snprintf(name, sizeof name, "%.*s", (int)len, type);
    for (unsigned i = 0; type_names[i] != NULL; i++) {
        if (strcmp(name, type_names[i]) == 0) {
            f->type = (enum field_type)i;
            break;
        }
        if (type_names[i + 1] == NULL) {
            complain(l, "unknown type '%s'", type);
        }
    }
    if (f->type == FT_ENUM || f->type == FT_SET) {
        f->codes = need_codes(l, type + len + (type[len] == ':'));
    }
    if (f->type == FT_REF || f->type == FT_REFS || f->type == FT_LIST) {
        f->target = need_kind(l, type + len + (type[len] == ':'));
    }
}

static void resolve_bounds(struct g_field *f, const struct line *l)
{
    int64_t scale = f->type == FT_DECIMAL ? 10 : 1;

    f->min = 0;
    switch (f->type) {
    case FT_TEXT:
        f->min = 1;
        f->max = strchr(l->cell[F_TYPE], '(') == NULL ? 0 : atoll(strchr(l->cell[F_TYPE], '(') + 1);
        break;
    case FT_LONGTEXT: f->min = 1; f->max = TEXT_MAX; break;
    case FT_DECIMAL: f->max = 99999; break;
    case FT_MONEY: f->max = INT64_C(100000000000000); break;
    case FT_BOOL: f->max = 1; break;
    case FT_YEAR: f->min = 2000; f->max = 2099; break;
    case FT_URL: f->min = 1; f->max = 500; break;
    case FT_SET: case FT_REFS: case FT_FILES: f->max = SET_MAX; break;
    default: f->max = INT64_C(9007199254740991); break;
    }
    if (*l->cell[F_MIN] != '\0') {
        f->min = number(l, l->cell[F_MIN], scale);
    }
    if (*l->cell[F_MAX] != '\0') {
        f->max = number(l, l->cell[F_MAX], scale);
    }
    if (f->min > f->max) {
        complain(l, "minimum above maximum");
    }
}

static void resolve_flags(struct g_field *f, const struct line *l)
{
    char *flags[MAX_LIST];
    unsigned n = pieces_of(l->cell[F_FLAGS], ',', flags);

    f->stored = f->type != FT_LIST;
    for (unsigned i = 0; i < n; i++) {
        if (strcmp(flags[i], "immutable") == 0) {
            f->immutable = true;
        } else if (strcmp(flags[i], "masked") == 0) {
            f->masked = true;
        } else if (strcmp(flags[i], "indexed") == 0) {
            f->indexed = true;
        } else if (strcmp(flags[i], "restricted") == 0) {
            f->restricted = true;
        } else if (strcmp(flags[i], "serial") == 0 || strcmp(flags[i], "local") == 0) {
            f->stored = false;
        } else {
            complain(l, "unknown flag '%s'", flags[i]);
        }
    }
    if (f->indexed && !f->stored) {
        complain(l, "an index on a field that is not stored");
    }
}

static void resolve_header(struct g_kind *k)
{
    for (unsigned i = 0; i < N_HEADER; i++) {
        struct g_field *f = &k->fields[k->n_own + i];
        *f = (struct g_field){.at = k->at, .tag = TAG_SITE + i, .name = header_names[i],
                              .codes = -1, .target = -1, .owner = SIDE_BOTH, .stored = true};
    }
    k->fields[k->n_own + TAG_STATE - TAG_SITE].codes = k->states;
}

static void resolve_fields(const struct table *t)
{
    for (unsigned i = 0; i < n_kinds; i++) {
        kinds[i].fields = alloc((t->n + N_HEADER) * sizeof *kinds[i].fields);
    }
    for (unsigned i = 0; i < t->n; i++) {
        const struct line *l = &t->lines[i];
        struct g_kind *k = &kinds[need_kind(l, l->cell[F_KIND])];
        struct g_field *f = &k->fields[k->n_own];
        if (find_field(k, l->cell[F_NAME]) != NULL) {
            complain(l, "field '%s' twice", l->cell[F_NAME]);
        }
        for (unsigned j = 0; j < k->n_own; j++) {
            if (strcmp(k->fields[j].label, l->cell[F_LABEL]) == 0) {
                complain(l, "label '%s' twice", l->cell[F_LABEL]);
            }
        }
        for (unsigned j = 0; j < N_HEADER; j++) {
            if (strcmp(header_names[j], l->cell[F_NAME]) == 0) {
                complain(l, "'%s' is a header field", l->cell[F_NAME]);
            }
        }
        f->at = l;
        f->tag = tag_of(l, l->cell[F_TAG], k->n_own > 0 ? f[-1].tag : 0);
        f->name = l->cell[F_NAME];
        f->label = l->cell[F_LABEL];
        f->owner = (enum side)word(l, F_OWNER, side_names);
        resolve_type(f, l);
        resolve_bounds(f, l);
        resolve_flags(f, l);
        k->n_own++;
    }
    for (unsigned i = 0; i < n_kinds; i++) {
        if (kinds[i].n_own == 0) {
            complain(kinds[i].at, "kind without fields");
        }
        resolve_header(&kinds[i]);
    }
}

/* ---- check: fields ---- */

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

static void check_fields(void)
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

/* ---- resolve and check: transitions ---- */

static const char *const guard_names[] = {
#define X(name, clause) #name,
    GUARD_MAP(X) GUARD_LATER_MAP(X)
#undef X
        NULL};

static bool guard_used[sizeof guard_names / sizeof *guard_names];

static void need_guard(const struct line *l, const char *name)
{
    for (unsigned i = 0; guard_names[i] != NULL; i++) {
        if (strcmp(guard_names[i], name) == 0) {
            guard_used[i] = true;
            return;
        }
    }
    complain(l, "no guard '%s'", name);
}

/* The roles a cell names, joined by '/'. The actor `system` is no role of an account. */
static uint32_t roles_of_cell(const struct line *l, unsigned column, bool *ret_system)
{
    int table = find_codes("account_role");
    char *names[MAX_LIST];
    unsigned n = pieces_of(l->cell[column], '/', names);
    uint32_t roles = 0;

    *ret_system = false;
    if (n == 0) {
        complain(l, "no role may do this");
    }
    for (unsigned i = 0; i < n; i++) {
        int role = find_code(table, names[i]);
        if (strcmp(names[i], "system") == 0) {
            *ret_system = true;
        } else if (role < 0) {
            complain(l, "no role '%s'", names[i]);
        } else {
            roles |= 1u << role;
        }
    }
    return roles;
}

/* No kind that only goes up is moved by the city, none that only comes down by a county, and nobody
 * must fill what the other side owns. A role of both sides may fill what the kind's owner owns. */
static void check_role(const struct g_transition *t, const struct line *role)
{
    const struct g_kind *k = &kinds[t->kind];
    enum side side = (enum side)word(role, C_SIDE, side_names);

    if (side == SIDE_CITY && !k->local && k->direction == SIDE_COUNTY) {
        complain(t->at, "city role '%s' in %s, which only goes up", role->cell[C_CODE], k->name);
    }
    if (side == SIDE_COUNTY && (k->local || k->direction == SIDE_CITY)) {
        complain(t->at, "county role '%s' in %s, which only comes down", role->cell[C_CODE], k->name);
    }
    for (unsigned i = 0; i < t->n_required; i++) {
        const struct g_field *f = &k->fields[t->required[i]];
        if (f->owner != SIDE_BOTH && f->owner != (side == SIDE_BOTH ? k->owner : side)) {
            complain(t->at, "role '%s' must fill %s, which the other side owns", role->cell[C_CODE],
                     f->name);
        }
    }
}

static void resolve_roles(struct g_transition *t)
{
    const struct g_codes *roles = &codes[find_codes("account_role")];

    t->roles = roles_of_cell(t->at, T_ROLES, &t->by_system);
    for (unsigned i = 0; i < roles->n; i++) {
        if ((t->roles & 1u << i) != 0) {
            check_role(t, roles->codes[i]);
        }
    }
}

static void resolve_transition(struct g_transition *t, const struct line *l)
{
    char *names[MAX_LIST];

    t->at = l;
    t->kind = (unsigned)need_kind(l, l->cell[T_KIND]);
    const struct g_kind *k = &kinds[t->kind];
    if (strcmp(l->cell[T_FROM], "-") != 0) {
        need_code(l, k->states, l->cell[T_FROM]);
    }
    need_code(l, k->states, l->cell[T_TO]);
    t->n_required = pieces_of(l->cell[T_REQUIRED], ',', names);
    for (unsigned i = 0; i < t->n_required; i++) {
        t->required[i] = (unsigned)(need_field(l, k, names[i]) - k->fields);
    }
    t->n_guards = pieces_of(l->cell[T_GUARDS], ',', t->guards);
    for (unsigned i = 0; i < t->n_guards; i++) {
        need_guard(l, t->guards[i]);
    }
    if (*l->cell[T_SEALS] != '\0' && strcmp(l->cell[T_SEALS], "Y") != 0) {
        complain(l, "seals is Y or empty");
    }
    resolve_roles(t);
}

static void resolve_writers(void)
{
    bool system;

    for (unsigned i = 0; i < n_kinds; i++) {
        kinds[i].writers = roles_of_cell(kinds[i].at, K_WRITERS, &system);
    }
}

static void resolve_transitions(const struct table *t)
{
    transitions = alloc(t->n * sizeof *transitions);
    for (unsigned i = 0; i < t->n; i++) {
        struct g_transition *now = &transitions[n_transitions];
        resolve_transition(now, &t->lines[i]);
        struct g_kind *k = &kinds[now->kind];
        if (k->n_transitions == 0) {
            k->first_transition = n_transitions;
        } else if (k->first_transition + k->n_transitions != n_transitions) {
            complain(now->at, "transitions of %s are split", k->name);
        }
        k->n_transitions++;
        n_transitions++;
    }
    for (unsigned i = 0; guard_names[i] != NULL; i++) {
        if (!guard_used[i]) {
            fprintf(stderr, "guards.h: guard '%s' guards nothing\n", guard_names[i]);
            errors++;
        }
    }
}

/* Every state can be reached from creation. */
static void check_reachable(const struct g_kind *k)
{
    bool seen[64] = {false};
    bool more = true;

    if (k->states < 0) {
        return;
    }
    while (more) {
        more = false;
        for (unsigned i = 0; i < k->n_transitions; i++) {
            const struct line *l = transitions[k->first_transition + i].at;
            int from = find_code(k->states, l->cell[T_FROM]);
            int to = find_code(k->states, l->cell[T_TO]);
            if (to >= 0 && !seen[to] && (from < 0 || seen[from])) {
                seen[to] = more = true;
            }
        }
    }
    for (unsigned i = 0; i < codes[k->states].n; i++) {
        if (!seen[i]) {
            complain(k->at, "state '%s' of %s cannot be reached",
                     codes[k->states].codes[i]->cell[C_CODE], k->name);
        }
    }
}

/* ---- emit ---- */

static void put_text(FILE *out, const char *text)
{
    fputc('"', out);
    for (const char *p = text; *p != '\0'; p++) {
        if (*p == '"' || *p == '\\') {
            fputc('\\', out);
        }
        fputc(*p, out);
    }
    fputc('"', out);
}

static void put_text_or_null(FILE *out, const char *text)
{
    if (*text == '\0') {
        fputs("NULL", out);
    } else {
        put_text(out, text);
    }
}

/* `(const char *const[]){"a", "b", NULL}`, or NULL for an empty cell. */
static void put_list(FILE *out, const char *cell, char sep)
{
    char *pieces[MAX_LIST];
    unsigned n = pieces_of(cell, sep, pieces);

    if (n == 0) {
        fputs("NULL", out);
        return;
    }
    fputs("(const char *const[]){", out);
    for (unsigned i = 0; i < n; i++) {
        put_text(out, pieces[i]);
        fputs(", ", out);
    }
    fputs("NULL}", out);
}

static void emit_codes(FILE *out)
{
    for (unsigned i = 0; i < n_codes; i++) {
        bool roles = strcmp(codes[i].name, "account_role") == 0;
        fprintf(out, "static const struct code codes_%u[] = {\n", i);
        for (unsigned j = 0; j < codes[i].n; j++) {
            const struct line *l = codes[i].codes[j];
            fputs("    {", out);
            put_text(out, l->cell[C_CODE]);
            fputs(", ", out);
            put_text(out, l->cell[C_LABEL]);
            fprintf(out, ", %s, %s},\n", roles ? side_ids[word(l, C_SIDE, side_names)] : "SIDE_BOTH",
                    strcmp(l->cell[C_OFFERED], "Y") == 0 ? "true" : "false");
        }
        fputs("};\n", out);
    }
    fputs("\nstatic const struct code_table tables[] = {\n", out);
    for (unsigned i = 0; i < n_codes; i++) {
        fputs("    {", out);
        put_text(out, codes[i].name);
        fputs(", ", out);
        put_text(out, codes[i].label);
        fprintf(out, ", codes_%u, %u},\n", i, codes[i].n);
    }
    fputs("};\n\nconst struct code_table *const catalogue_codes[] = {\n", out);
    for (unsigned i = 0; i < n_codes; i++) {
        fprintf(out, "    &tables[%u],\n", i);
    }
    fprintf(out, "};\nconst unsigned catalogue_n_codes = %u;\n", n_codes);
    fprintf(out, "const struct code_table *const catalogue_roles = &tables[%d];\n\n",
            find_codes("account_role"));
}

static void emit_place(FILE *out, const char *name, const char *array, int place)
{
    if (place >= 0) {
        fprintf(out, " .%s = &%s[%d],", name, array, place);
    }
}

static void emit_field(FILE *out, const struct g_field *f)
{
    const struct line *l = f->at;

    fprintf(out, "    {.tag = %" PRIu32 ", .name = \"%s\", .label = ", f->tag, f->name);
    put_text(out, f->label);
    fprintf(out, ", .type = %s, .required = %s, .owner = %s, .vanish = %s,", type_ids[f->type],
            required_ids[word(l, F_REQUIRED, required_names)], side_ids[f->owner],
            vanish_ids[word(l, F_VANISH, vanish_names)]);
    emit_place(out, "codes", "tables", f->codes);
    emit_place(out, "target", "kinds", f->target);
    fprintf(out, "\n     .min = %" PRId64 ", .max = %" PRId64 ", .choices = ", f->min, f->max);
    put_list(out, l->cell[F_CHOICES], '|');
    fprintf(out, ", .unique = %s, .immutable = %d, .masked = %d, .restricted = %d, .indexed = %d,",
            unique_ids[word(l, F_UNIQUE, unique_names)], f->immutable, f->masked, f->restricted,
            f->indexed);
    fprintf(out, " .stored = %d, .required_when = ", f->stored);
    put_text_or_null(out, l->cell[F_WHEN]);
    fputs(", .preset = ", out);
    put_text_or_null(out, l->cell[F_PRESET]);
    fputs(", .clause = ", out);
    put_text(out, l->cell[F_CLAUSE]);
    fputs(", .help = ", out);
    put_text(out, l->cell[F_HELP]);
    fputs(", .aliases = ", out);
    put_list(out, l->cell[F_ALIASES], '|');
    fputs("},\n", out);
}

/* The header, written once: the state's table is the only thing that differs. */
static void emit_header_macro(FILE *out)
{
    fputs("#define HEADER(states) \\\n"
          "    {.tag = TAG_SITE, .name = \"site\", .label = \"所属单位\", .type = FT_TEXT, "
          ".required = REQUIRED_AUTO, .owner = SIDE_BOTH, .min = 6, .max = 6, .immutable = true, "
          ".stored = true, .clause = \"R-38\", .help = \"\"}, \\\n"
          "    {.tag = TAG_SERIAL, .name = \"serial_no\", .label = \"编号\", .type = FT_TEXT, "
          ".required = REQUIRED_AUTO, .owner = SIDE_BOTH, .min = 1, .max = 40, .immutable = true, "
          ".indexed = true, .stored = true, .clause = \"\", .help = \"\"}, \\\n"
          "    {.tag = TAG_STATE, .name = \"state\", .label = \"状态\", .type = FT_ENUM, "
          ".required = REQUIRED_AUTO, .owner = SIDE_BOTH, .codes = states, .stored = true, "
          ".clause = \"\", .help = \"\"}, \\\n"
          "    {.tag = TAG_VOIDED, .name = \"voided\", .label = \"已作废\", .type = FT_BOOL, "
          ".required = REQUIRED_NO, .owner = SIDE_BOTH, .max = 1, .stored = true, "
          ".clause = \"\", .help = \"\"}, \\\n"
          "    {.tag = TAG_VOID_REASON, .name = \"void_reason\", .label = \"作废原因\", "
          ".type = FT_TEXT, .required = REQUIRED_NO, .owner = SIDE_BOTH, .min = 1, .max = 200, "
          ".stored = true, .required_when = \"voided=1\", .clause = \"\", .help = \"\"}, \\\n"
          "    {.tag = TAG_HISTORIC, .name = \"historic\", .label = \"历史补录\", "
          ".type = FT_BOOL, .required = REQUIRED_NO, .owner = SIDE_BOTH, .max = 1, "
          ".immutable = true, .stored = true, .clause = \"R-07\", .help = \"\"}, \\\n"
          "    {.tag = TAG_HISTORIC_FILE, .name = \"historic_file\", .label = \"补录文件\", "
          ".type = FT_REF, .required = REQUIRED_NO, .owner = SIDE_BOTH, .target = HISTORIC_FILE, "
          ".immutable = true, .stored = true, .clause = \"R-07\", .help = \"\"}\n\n",
          out);
}

static void emit_fields(FILE *out)
{
    int file = find_kind("historic_file");

    if (file < 0) {
        fprintf(stderr, "kinds.tsv: no kind 'historic_file', to which every header refers\n");
        exit(1);
    }
    fprintf(out, "static const struct kind kinds[%u];\n\n", n_kinds);
    fprintf(out, "#define HISTORIC_FILE (&kinds[%d])\n", file);
    emit_header_macro(out);
    for (unsigned i = 0; i < n_kinds; i++) {
        const struct g_kind *k = &kinds[i];
        fprintf(out, "static const struct field fields_%u[] = {\n", i);
        for (unsigned j = 0; j < k->n_own; j++) {
            emit_field(out, &k->fields[j]);
        }
        if (k->states >= 0) {
            fprintf(out, "    HEADER(&tables[%d]),\n};\n", k->states);
        } else {
            fputs("    HEADER(NULL),\n};\n", out);
        }
    }
}

static void emit_transition(FILE *out, const struct g_transition *t)
{
    const struct line *l = t->at;

    fprintf(out, "    {.kind = &kinds[%u], .from = ", t->kind);
    put_text_or_null(out, strcmp(l->cell[T_FROM], "-") == 0 ? "" : l->cell[T_FROM]);
    fputs(", .to = ", out);
    put_text(out, l->cell[T_TO]);
    fputs(", .action = ", out);
    put_text(out, l->cell[T_ACTION]);
    fprintf(out, ", .roles = 0x%" PRIx32 ", .by_system = %d,\n     .required = "
                 "(const struct field *const[]){", t->roles, t->by_system);
    for (unsigned i = 0; i < t->n_required; i++) {
        fprintf(out, "&fields_%u[%u], ", t->kind, t->required[i]);
    }
    fputs("NULL}, .guards = (const char *const[]){", out);
    for (unsigned i = 0; i < t->n_guards; i++) {
        fprintf(out, "\"%s\", ", t->guards[i]);
    }
    fprintf(out, "NULL}, .seals = %d, .clause = ", *l->cell[T_SEALS] != '\0');
    put_text(out, l->cell[T_CLAUSE]);
    fputs("},\n", out);
}

static void emit_transitions(FILE *out)
{
    fputs("\nstatic const struct transition transitions[] = {\n", out);
    for (unsigned i = 0; i < n_transitions; i++) {
        emit_transition(out, &transitions[i]);
    }
    fputs("};\n\n", out);
}

static void emit_kind(FILE *out, unsigned i)
{
    const struct g_kind *k = &kinds[i];
    const struct line *l = k->at;

    fprintf(out, "    {.tag = %" PRIu32 ", .name = \"%s\", .label = ", k->tag, k->name);
    put_text(out, l->cell[K_LABEL]);
    fprintf(out, ", .owner = %s, .direction = %s, .local = %d, .stream = %s,\n",
            side_ids[k->owner], side_ids[k->direction], k->local, stream_ids[k->stream]);
    fprintf(out, "     .writers = 0x%" PRIx32 ", .serial_prefix = ", k->writers);
    put_text_or_null(out, l->cell[K_SERIAL]);
    fputs(", .priority = ", out);
    put_text(out, l->cell[K_PRIORITY]);
    fputs(", .published_from = ", out);
    put_text_or_null(out, l->cell[K_PUBLISHED]);
    fprintf(out, ", .fields = fields_%u, .n_fields = %u, .n_own = %u,", i, k->n_own + N_HEADER,
            k->n_own);
    emit_place(out, "states", "tables", k->states);
    fprintf(out, "\n     .transitions = %s + %u, .n_transitions = %u,", "transitions",
            k->first_transition, k->n_transitions);
    if (*l->cell[K_DATE] != '\0') {
        fprintf(out, " .business_date = &fields_%u[%d],", i,
                (int)(find_field(k, l->cell[K_DATE]) - k->fields));
    }
    fputs(" .historic_states = ", out);
    if (strcmp(l->cell[K_HISTORIC], "-") == 0) {
        fputs("(const char *const[]){NULL}", out);
    } else {
        put_list(out, l->cell[K_HISTORIC], '|');
    }
    fputs(", .clause = ", out);
    put_text(out, l->cell[K_CLAUSE]);
    fputs("},\n", out);
}

static void emit_kinds(FILE *out)
{
    fprintf(out, "static const struct kind kinds[%u] = {\n", n_kinds);
    for (unsigned i = 0; i < n_kinds; i++) {
        emit_kind(out, i);
    }
    fputs("};\n\nconst struct kind *const catalogue_kinds[] = {\n", out);
    for (unsigned i = 0; i < n_kinds; i++) {
        fprintf(out, "    &kinds[%u],\n", i);
    }
    fprintf(out, "};\nconst unsigned catalogue_n_kinds = %u;\n", n_kinds);
}

/* ---- what came with a later version ---- */

struct g_since {
    uint32_t kind, field; /* tags; kind 0: the header that every kind has; field 0: the kind itself */
    const char *code;
    int64_t version;
};
static struct g_since *sinces;
static unsigned n_sinces;

static bool has_code(const struct g_field *f, const char *code)
{
    const struct g_codes *t = f->codes < 0 ? NULL : &codes[f->codes];

    for (unsigned i = 0; t != NULL && i < t->n; i++) {
        if (strcmp(t->codes[i]->cell[C_CODE], code) == 0) {
            return true;
        }
    }
    return false;
}

static void resolve_since(const struct line *l)
{
    bool any = strcmp(l->cell[S_KIND], "*") == 0;
    int kind = any ? 0 : find_kind(l->cell[S_KIND]);
    struct g_field *f = kind < 0 ? NULL : find_field(&kinds[kind], l->cell[S_FIELD]);
    struct g_since *to = &sinces[n_sinces++];

    if (kind < 0 || (f == NULL && (any || l->cell[S_FIELD][0] != '\0')) ||
        (l->cell[S_CODE][0] != '\0' && (f == NULL || !has_code(f, l->cell[S_CODE])))) {
        complain(l, "names nothing that is there");
        return;
    }
    *to = (struct g_since){.kind = any ? 0 : kinds[kind].tag,
                           .field = f == NULL ? 0 : f->tag,
                           .code = l->cell[S_CODE]};
    if (text_int(slice_str(l->cell[S_VERSION]), &to->version) != 0 || to->version < 2 ||
        to->version > CATALOGUE_VERSION) {
        complain(l, "version '%s' is not one after the first", l->cell[S_VERSION]);
    }
}

static void resolve_sinces(const struct table *t)
{
    sinces = alloc((t->n + 1) * sizeof *sinces);
    for (unsigned i = 0; i < t->n; i++) {
        resolve_since(&t->lines[i]);
    }
}

static void emit_since(FILE *out)
{
    fputs("\nconst struct since catalogue_since[] = {\n", out);
    for (unsigned i = 0; i < n_sinces; i++) {
        const struct g_since *x = &sinces[i];

        fprintf(out, "    {%" PRIu32 ", %" PRIu32 ", %s%s%s, %" PRId64 "},\n", x->kind, x->field,
                x->code[0] == '\0' ? "" : "\"", x->code[0] == '\0' ? "NULL" : x->code,
                x->code[0] == '\0' ? "" : "\"", x->version);
    }
    fprintf(out, "};\nconst unsigned catalogue_n_since = %u;\n", n_sinces);
}

static int emit(const char *path)
{
    FILE *out = fopen(path, "w");

    if (out == NULL) {
        die("cannot write", path);
    }
    fputs("/* Generated by catalogue_gen from the .tsv files. */\n"
          "#include \"common/catalogue/catalogue.h\"\n\n", out);
    emit_codes(out);
    emit_fields(out);
    emit_transitions(out);
    emit_kinds(out);
    emit_since(out);
    bool failed = ferror(out) != 0;
    if (fclose(out) != 0 || failed) {
        remove(path);
        die("cannot write", path);
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: catalogue_gen FOLDER OUTPUT\n");
        return 2;
    }
    arena_init(&arena, (size_t)256 << 20);
    struct table kind_lines = load(argv[1], "kinds.tsv", kind_columns);
    struct table code_lines = load(argv[1], "enums.tsv", enum_columns);
    struct table field_lines = load(argv[1], "fields.tsv", field_columns);
    struct table transition_lines = load(argv[1], "transitions.tsv", transition_columns);
    struct table since_lines = load(argv[1], "since.tsv", since_columns);
    resolve_codes(&code_lines);
    if (find_codes("account_role") < 0) {
        die("no code table account_role", "enums.tsv");
    }
    resolve_kinds(&kind_lines);
    resolve_fields(&field_lines);
    check_fields();
    resolve_writers();
    resolve_transitions(&transition_lines);
    resolve_sinces(&since_lines);
    for (unsigned i = 0; i < n_kinds; i++) {
        check_reachable(&kinds[i]);
    }
    int ret = errors > 0 ? 1 : emit(argv[2]);
    arena_release(&arena);
    return ret;
}
