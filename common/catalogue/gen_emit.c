#include "common/catalogue/gen.h"

#include <stdlib.h>
#include <string.h>

static const char *const side_ids[] = {"SIDE_COUNTY", "SIDE_CITY", "SIDE_BOTH"};
static const char *const required_ids[] = {"REQUIRED_NO", "REQUIRED_YES", "REQUIRED_AUTO"};
static const char *const vanish_ids[] = {"VANISH_NO", "VANISH_PII", "VANISH_SITE", "VANISH_TEXT"};
static const char *const unique_ids[] = {"UNIQUE_NO", "UNIQUE_ALL", "UNIQUE_SITE"};
static const char *const stream_ids[] = {
    "STREAM_RULE_SITE", "STREAM_RULE_SHARED", "STREAM_RULE_CITY", "STREAM_RULE_SHARED_OR_SITE",
    "STREAM_RULE_SITE_OR_CITY", "STREAM_RULE_TARGET", "STREAM_RULE_NONE"};
static const char *const type_ids[] = {
    "FT_TEXT", "FT_LONGTEXT", "FT_INT", "FT_DECIMAL", "FT_MONEY", "FT_BOOL", "FT_DATE", "FT_TIME",
    "FT_DATETIME", "FT_YEAR", "FT_PHONE", "FT_URL", "FT_ENUM", "FT_SET", "FT_REF", "FT_REFS",
    "FT_LIST", "FT_FILES", "FT_RID", "FT_SECRET"};

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

int emit(const char *path)
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
