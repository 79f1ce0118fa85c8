/* The parts of catalogue_gen, which makes catalogue_data.c from the tables of this folder.
 *
 *   gen_load.c          the cells of a table
 *   gen_model.c         names found, words understood
 *   gen_resolve.c       codes, kinds, fields: names become places
 *   gen_check.c         what each of them must agree with
 *   gen_transitions.c   the steps, their roles and guards; that every state is reached
 *   gen_emit.c          the tables in C
 *
 * Everything lives until the program ends. A name that is not there is complained of, and something takes its
 * place, so that one run shows all that is wrong. */
#ifndef ZTC_CATALOGUE_GEN_H
#define ZTC_CATALOGUE_GEN_H

#include "common/catalogue/catalogue.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#define MAX_COLUMNS 20
#define MAX_LIST    32
#define N_HEADER    7

/* ---- cells ---- */

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

extern unsigned errors; /* complaints so far */

void complain(const struct line *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void die(const char *what, const char *subject) __attribute__((noreturn));
void *alloc(size_t size); /* zeros */
struct table load(const char *folder, const char *file, const char *const *columns);

/* Pieces of a cell at SEP; none for an empty cell. The cell itself stays whole. */
unsigned pieces_of(const char *cell, char sep, char **pieces);

enum { K_TAG, K_NAME, K_LABEL, K_OWNER, K_SYNC, K_STREAM, K_SERIAL, K_PRIORITY, K_STATES,
       K_WRITERS, K_PUBLISHED, K_DATE, K_HISTORIC, K_CLAUSE };
enum { C_TABLE, C_TABLE_LABEL, C_POS, C_CODE, C_LABEL, C_SIDE, C_OFFERED };
enum { F_KIND, F_TAG, F_NAME, F_LABEL, F_TYPE, F_REQUIRED, F_OWNER, F_VANISH, F_MIN, F_MAX,
       F_CHOICES, F_UNIQUE, F_FLAGS, F_WHEN, F_PRESET, F_SOURCE, F_ALIASES, F_CLAUSE, F_HELP };
enum { S_KIND, S_FIELD, S_CODE, S_VERSION, S_NOTE };
enum { T_KIND, T_FROM, T_TO, T_ACTION, T_ROLES, T_REQUIRED, T_GUARDS, T_SEALS, T_CLAUSE, T_NOTE };

extern const char *const kind_columns[], *const enum_columns[], *const field_columns[], *const since_columns[],
    *const transition_columns[];

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

struct g_since {
    uint32_t kind, field; /* tags; kind 0: the header that every kind has; field 0: the kind itself */
    const char *code;
    int64_t version;
};
extern struct g_codes *codes;
extern unsigned n_codes;
extern struct g_kind *kinds;
extern unsigned n_kinds;
extern struct g_transition *transitions;
extern unsigned n_transitions;
extern struct g_since *sinces;
extern unsigned n_sinces;

extern const char *const side_names[], *const sync_names[], *const required_names[], *const vanish_names[],
    *const unique_names[], *const stream_names[], *const type_names[];

/* The place of a cell's word in WORDS; 0 with a complaint when it is none of them. */
unsigned word(const struct line *l, unsigned column, const char *const *words);
int64_t number(const struct line *l, const char *text, int64_t scale);
uint32_t tag_of(const struct line *l, const char *text, uint32_t above);

int find_codes(const char *name); /* -1: none; here and below */
int need_codes(const struct line *l, const char *name);
int find_code(int table, const char *code);
void need_code(const struct line *l, int table, const char *code);
int find_kind(const char *name);
int need_kind(const struct line *l, const char *name);
struct g_field *find_field(const struct g_kind *k, const char *name); /* NULL: none */
struct g_field *need_field(const struct line *l, const struct g_kind *k, const char *name);

/* ---- steps, in their order ---- */

void resolve_codes(const struct table *t);
void resolve_kinds(const struct table *t);
void resolve_fields(const struct table *t);
void check_fields(void);
void resolve_writers(void);
void resolve_transitions(const struct table *t);
void resolve_sinces(const struct table *t);
void check_reachable(void);
int emit(const char *path);

#endif
