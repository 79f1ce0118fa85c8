/* What a command or a sheet's row sets, as the fields of a change. */
#ifndef ZTC_CMD_EDIT_H
#define ZTC_CMD_EDIT_H

#include "common/cmd/args.h"
#include "common/cmd/names.h"

struct edit {
    struct field_change *fields; /* ascending by tag; in the arena */
    size_t n, cap;
};

/* Set F to V over BEFORE (NULL: the record is new): nothing when it is equal, added and removed elements
 * for sets and lists of records. V is borrowed. E_NOMEM, E_USAGE when F was set before. */
int edit_put(struct edit *e, struct arena *a, const struct row *before, const struct field *f,
             struct value v, struct err *err);

/* The field that a person may fill, by name or label. E_USAGE when there is none or it is not for
 * filling (state, serial number, views …). */
int edit_field(const struct kind *kind, const char *name, const struct field **ret,
               struct err *err);

/* Every pair parsed and put. E_INVALID with a sentence for a value that is none. */
int edit_pairs(struct edit *e, struct names *names, struct arena *a, const struct kind *kind,
               const struct row *before, const struct pair *pairs, size_t n, struct err *err);

/* The kind of that name or label. E_USAGE, naming what there is. */
int kind_of_word(const char *word, const struct kind **ret, struct err *err);

/* The same, of which records are made from words or a sheet: not attachments, whose bytes nobody could ever
 * bring. PROGRAM is named to the user. */
int kind_to_add(const char *program, const char *word, const struct kind **ret, struct err *err);

#endif
