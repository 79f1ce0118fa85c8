/* The catalogue: what kinds of record exist, their fields, codes and transitions.
 *
 * Static tables, generated from the .tsv files of this folder by gen.c, which refuses a catalogue
 * that contradicts itself. Kinds and fields have permanent numeric tags; encodings use tags. */
#ifndef ZTC_CATALOGUE_CATALOGUE_H
#define ZTC_CATALOGUE_CATALOGUE_H

#include "common/catalogue/value.h"

/* Raised whenever a kind, field, code or transition is added. */
#define CATALOGUE_VERSION 3

#define SITE_CITY 431000u /* 市本级 */

/* Streams: `shared` and `city` have small numbers, a site's stream is its code (431002 … 431081). */
#define STREAM_SHARED 1u
#define STREAM_CITY   2u

enum field_type {
    FT_TEXT, FT_LONGTEXT, FT_INT, FT_DECIMAL, FT_MONEY, FT_BOOL, FT_DATE, FT_TIME, FT_DATETIME,
    FT_YEAR, FT_PHONE, FT_URL, FT_ENUM, FT_SET, FT_REF, FT_REFS, FT_LIST, FT_FILES, FT_RID,
    FT_SECRET,
};

enum side { SIDE_COUNTY, SIDE_CITY, SIDE_BOTH };

enum required { REQUIRED_NO, REQUIRED_YES, REQUIRED_AUTO };

/* What must be able to vanish: its value stands in the author's bytes as a salted hash. */
enum vanish { VANISH_NO, VANISH_PII, VANISH_SITE, VANISH_TEXT };

/* Which stream a kind's records live in. */
enum stream_rule {
    STREAM_RULE_SITE,           /* the site of the record */
    STREAM_RULE_SHARED,
    STREAM_RULE_CITY,
    STREAM_RULE_SHARED_OR_SITE, /* notice */
    STREAM_RULE_SITE_OR_CITY,   /* user_account, audit_log, alert */
    STREAM_RULE_TARGET,         /* attachment: as its target */
    STREAM_RULE_NONE,           /* sync_session: a local table of the city */
};

/* How a field's values may repeat. */
enum unique { UNIQUE_NO, UNIQUE_ALL, UNIQUE_SITE };

/* Header fields stand in every kind, under tags of their own. */
enum {
    TAG_SITE = 1001,    /* V_TEXT, six digits; set at creation, never changed */
    TAG_SERIAL = 1002,  /* V_TEXT; set at creation */
    TAG_STATE = 1003,   /* V_TEXT, a code of the kind's state enum; written by transitions only */
    TAG_VOIDED = 1004,  /* V_INT 0/1 */
    TAG_VOID_REASON = 1005,
    TAG_HISTORIC = 1006, /* V_INT 0/1; set at creation */
    TAG_HISTORIC_FILE = 1007, /* V_ID of a historic_file; set at creation of a historic record */
};

struct kind;

struct code {
    const char *code;
    const char *label;
    enum side side; /* of account_role only */
    bool offered;   /* false: no longer offered, still readable */
};

struct code_table {
    const char *name;
    const char *label;
    const struct code *codes;
    unsigned n_codes;
};

struct field {
    uint32_t tag;
    const char *name;
    const char *label;
    enum field_type type;
    enum required required;
    enum side owner;
    enum vanish vanish;
    const struct code_table *codes; /* FT_ENUM, FT_SET */
    const struct kind *target;      /* FT_REF, FT_REFS, FT_LIST */
    int64_t min, max;               /* numbers: bounds; text: code points; sets: elements. Inclusive */
    const char *const *choices;     /* text with a closed list (男|女), NULL-terminated; or NULL */
    enum unique unique;
    bool immutable;                 /* after creation */
    bool masked;                    /* views show the mask only */
    bool restricted;                /* shown to 学联委 and leaders only */
    bool indexed;                   /* the projection has an index on it */
    bool stored;                    /* false: a view (list:), or an alias of the serial number */
    const char *required_when;      /* "field=a|b", "field!=a" ("field!=": is filled), or NULL */
    const char *preset;             /* value given at creation when none is, as text; or NULL */
    const char *clause;             /* R-nn of the rule, or "" */
    const char *help;               /* the source's rule in words, for people */
    const char *const *aliases;     /* further column titles an import recognises; NULL-terminated or NULL */
};

struct transition {
    const struct kind *kind;
    const char *from;                /* state code; NULL = creation */
    const char *to;
    const char *action;              /* Chinese label */
    uint32_t roles;                  /* bit i: code i of account_role; */
    bool by_system;                  /* the actor `system` may make it */
    const struct field *const *required; /* fields that must be filled then; NULL-terminated */
    const char *const *guards;       /* names in guards.c; NULL-terminated */
    bool seals;                      /* signs, approves or locks */
    const char *clause;
};

struct kind {
    uint32_t tag;
    const char *name;
    const char *label;
    enum side owner;
    enum side direction;       /* COUNTY = up, CITY = down, BOTH; see `local` */
    bool local;                /* sync = none: stays where it is written */
    enum stream_rule stream;
    uint32_t writers;          /* roles whose accounts create and edit records; 0: `system` only */
    const char *serial_prefix; /* NULL: no serial numbers */
    const char *priority;
    const char *published_from; /* "a|b", or NULL */
    const struct field *fields; /* the kind's own in file order, then the header fields */
    unsigned n_fields;
    unsigned n_own;             /* fields before the header */
    const struct code_table *states; /* NULL: the kind has no state */
    const struct transition *transitions; /* in file order */
    unsigned n_transitions;
    const struct field *business_date; /* dates a historic record and its serial; NULL: creation */
    const char *const *historic_states; /* states --historic may set; NULL-terminated; NULL: never */
    const char *clause;
};

/* What came with a later version of the catalogue than the first: an older side does not know it. */
struct since {
    uint32_t kind;    /* tag; 0: every kind */
    uint32_t field;   /* tag; 0: the kind itself */
    const char *code; /* of the field's; NULL: the field itself */
    uint32_t version;
};
extern const struct since catalogue_since[];
extern const unsigned catalogue_n_since;

extern const struct kind *const catalogue_kinds[];
extern const unsigned catalogue_n_kinds;
extern const struct code_table *const catalogue_codes[];
extern const unsigned catalogue_n_codes;
extern const struct code_table *const catalogue_roles; /* account_role */

/* NULL when there is none. Kinds are found by tag, by name or by Chinese label. */
const struct kind *catalogue_kind(uint32_t tag);
const struct kind *catalogue_kind_named(const char *name);

/* The kind in `shared` whose records stand for those of KIND that belong to the city (member_card,
 * studio_card): where a county may name a record of KIND, it may name such a card. NULL: none. */
const struct kind *catalogue_card(const struct kind *kind);

/* A field of KIND by tag, by name or label; NULL when unknown. */
const struct field *kind_field(const struct kind *kind, uint32_t tag);
const struct field *kind_field_named(const struct kind *kind, const char *name);

/* Its place in kind->fields. */
unsigned kind_field_index(const struct kind *kind, const struct field *f);

const struct code_table *code_table_named(const char *name);

/* By code, or by label when LABELS; NULL when there is none. */
const struct code *code_find(const struct code_table *t, struct slice text, bool labels);

/* Bit of a role in transition.roles; 0 for an unknown role. */
uint32_t role_bit(struct slice role);

/* The roles of a V_SET of codes as bits. */
uint32_t roles_of(const struct value *set);

#endif
