#include "common/base/text.h"
#include "common/catalogue/gen.h"

#include <stdlib.h>
#include <string.h>

#define TEXT_MAX 20000
#define SET_MAX  1000

/* ---- codes ---- */

void resolve_codes(const struct table *t)
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

/* ---- kinds ---- */

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

void resolve_kinds(const struct table *t)
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

/* ---- fields ---- */

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

void resolve_fields(const struct table *t)
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

/* ---- what came with a later version ---- */

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

void resolve_sinces(const struct table *t)
{
    sinces = alloc((t->n + 1) * sizeof *sinces);
    for (unsigned i = 0; i < t->n; i++) {
        resolve_since(&t->lines[i]);
    }
}
