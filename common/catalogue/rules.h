/* What the files of this folder share about rules; nobody outside needs it. */
#ifndef ZTC_CATALOGUE_RULES_H
#define ZTC_CATALOGUE_RULES_H

#include "common/catalogue/check.h"

/* The actor's roles that count where the act is made: city roles at the city, county roles at the
 * county, roles of both sides at either. */
uint32_t rules_roles_here(const struct actor *actor);

/* STATE is one that records of K are created in. */
bool rules_is_first_state(const struct kind *k, const char *state);

#endif
