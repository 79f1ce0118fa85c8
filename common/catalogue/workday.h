/* Working days: Monday to Friday, corrected by the `holiday` rows (法定节假日 and 调休上班). */
#ifndef ZTC_CATALOGUE_WORKDAY_H
#define ZTC_CATALOGUE_WORKDAY_H

#include "common/catalogue/lookup.h"

/* A NULL lookup knows weekends only. All: 0, or what the lookup returned. */
int workday_is(const struct lookup *l, day_t day, bool *ret_is);

/* The N-th working day after DAY; DAY itself when N is 0. */
int workday_add(const struct lookup *l, day_t day, int n, day_t *ret_day);

/* Working days after FROM up to and with TO; negative when TO lies before FROM. */
int workday_between(const struct lookup *l, day_t from, day_t to, int *ret_n);

#endif
