/* What the regulation makes of a change: a table of rules, each with its clause. */
#ifndef ZTC_SERVER_RULES_H
#define ZTC_SERVER_RULES_H

#include "server/core/judge.h"

/* Called after every change that applied, the rules' own included. BEFORE is a copy of the record before
 * it (NULL: creation), AFTER the record as it stands. 0, or the refusal of the whole act. Historic
 * records fire no rule. */
int rules_after(struct judge *j, const struct change *c, const struct row *before,
                struct row *after);

#endif
