/* What both halves of the command `bundle` need of this computer. */
#ifndef ZTC_CLIENT_BUNDLE_H
#define ZTC_CLIENT_BUNDLE_H

#include "client/cmd/commands.h"
#include "client/net/certificate.h"
#include "client/store/exchange.h"
#include "common/bundle/bundle.h"

/* What a bundle taken in left for the next one; all of it may be lost. */
#define BUNDLE_META_CATALOGUE   "bundle_catalogue"   /* the city's version */
#define BUNDLE_META_AUTHORITIES "bundle_authorities" /* digest of the CAs to be trusted, 32 bytes */
#define BUNDLE_META_ASKED       "bundle_asked" /* be32 stream ‖ be64 from ‖ be64 upto: to be handed back */
#define BUNDLE_META_MADE        "bundle_made"  /* ms, wall clock: the last export … */
#define BUNDLE_META_TAKEN       "bundle_taken" /* … and the last import */

struct office {
    struct arena *arena; /* the command's */
    struct work w;
    struct certificate certificate;
    struct client_facts facts;
    struct id ledger;
    struct body_codec codec;
    struct err *err;
};

int office_open(struct office *o, const struct args *a, struct err *err);
void office_close(struct office *o);

#endif
