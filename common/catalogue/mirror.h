/* How a submission's state follows its case's. */
#ifndef ZTC_CATALOGUE_MIRROR_H
#define ZTC_CATALOGUE_MIRROR_H

#include "common/catalogue/catalogue.h"

/* The submission state that a case of CASE_KIND ("proposal_case", "info_case") in CASE_STATE asks
 * for; NULL for an unknown state. Exceptions, which the caller knows:
 *  - a merged case's submission is in_process until its main case is answered, then as its main's;
 *  - an info_case in registered or screening whose submission was sent back stands at `returned`;
 *  - a closed submission stays closed, whatever its case does. */
const char *mirror_state(const char *case_kind, struct slice case_state);

#endif
