/* What the files of the rules share. */
#ifndef ZTC_SERVER_RULES_INTERNAL_H
#define ZTC_SERVER_RULES_INTERNAL_H

#include "common/base/err.h"
#include "server/core/judge.h"

/* A change that applied, as the rules see it. */
struct deed {
    struct judge *j;
    const struct change *change;
    const struct row *before; /* a copy; NULL at a creation */
    struct row *row;          /* as it stands */
};

struct rule {
    const char *kind;
    enum change_op op;
    const char *from, *to; /* transitions: states, NULL: any */
    int (*apply)(const struct deed *d);
    const char *clause;
};

#endif
