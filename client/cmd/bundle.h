/* What both halves of the command `bundle` need of this computer. */
#ifndef ZTC_CLIENT_BUNDLE_H
#define ZTC_CLIENT_BUNDLE_H

#include "client/bundle/bundle_session.h"
#include "client/cmd/commands.h"
#include "client/net/certificate.h"
#include "common/bundle/bundle.h"

#define BUNDLE_META_MADE  "bundle_made"  /* ms, wall clock: the last export … */
#define BUNDLE_META_TAKEN "bundle_taken" /* … and the last import */

struct office {
    struct arena *arena; /* the command's */
    struct work w;
    struct certificate certificate;
    struct client_facts facts;
    struct id ledger;
    struct err *err;
};

int office_open(struct office *o, const struct args *a, struct err *err);
void office_close(struct office *o);

#endif
