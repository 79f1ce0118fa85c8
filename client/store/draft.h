/* A draft on its way into the tables: draft.c judges it, complete.c adds what was not typed. */
#ifndef ZTC_CLIENT_DRAFT_H
#define ZTC_CLIENT_DRAFT_H

#include "client/store/replica_internal.h"

struct work {
    struct writing *w;
    struct draft *d;
    const struct kind *kind;
    struct change *c;       /* being made; fields with plain values until they are salted */
    struct row *row;        /* as it stands; a fresh one at a creation */
    struct row after;       /* with the plain values of the change */
    struct change *pending; /* what lies over the record, oldest first */
    size_t n_pending;
};

/* Add a field that the change has not got, and put it into `after`. copy_fields left room. */
void draft_add(struct work *k, uint32_t tag, struct value v);

/* A computed value: replaces what is there, and is no change when it stands already. */
void draft_put(struct work *k, uint32_t tag, struct value v);

/* Values that the catalogue gives at creation when none were typed. */
int draft_presets(struct work *k, struct err *err);

/* Fields that are computed from others of the record, where one of those is written. */
void draft_compute(struct work *k);

/* The moment of handing in is part of the handing in: of a transition to state TO. */
int draft_stamp(struct work *k, const char *to, struct err *err);

/* Allot the serial number of a creation. */
int draft_serial(struct work *k, struct err *err);

/* Salt and hash what can vanish, seal what is the site's own. */
int draft_salt(struct work *k, struct err *err);

/* Name for each field the own change by which it shows a pending value. */
void draft_saw(struct work *k);

#endif
