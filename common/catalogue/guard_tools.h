/* Small words that guards are written in. */
#ifndef ZTC_CATALOGUE_GUARD_TOOLS_H
#define ZTC_CATALOGUE_GUARD_TOOLS_H

#include "common/catalogue/guards.h"

/* E_GUARD with a sentence. */
#define guard_fail(err, ...) err_set((err), E_GUARD, __VA_ARGS__)

bool guard_filled(const struct row *row, const char *name);

/* Field NAME holds this text. */
bool guard_says(const struct row *row, const char *name, const char *text);

/* TEXT is one of WORDS, which are joined by '|'. */
bool guard_among(struct slice text, const char *words);

/* A date or datetime field as a day; false when it is empty. */
bool guard_day(const struct row *row, const char *name, day_t *ret_day);

/* A setting for the site of the row. */
int64_t guard_setting(const struct guard_case *g, const char *name);

/* lookup_find into the guard's arena. */
int guard_find(const struct guard_case *g, const char *kind, const char *field,
               const struct value *v, struct row ***ret_rows, size_t *ret_n);

/* The proposers of a submission are members in office and, for a proposal, of the city's committee. */
int guard_check_proposers(const struct guard_case *g, const struct row *submission,
                          struct err *err);

#endif
