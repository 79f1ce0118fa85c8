/* What a county asks about its tables, answered from one moment of the store. */
#ifndef ZTC_SERVER_TELL_H
#define ZTC_SERVER_TELL_H

#include "common/ledger/store.h"
#include "server/core/session.h"

/* The frame DigestAsk in memory of its own; kind 0: all kinds. */
struct tell_ask {
    uint32_t stream, kind;
    bool has_after, has_upto;
    struct id after, upto;
    struct id ids[WIRE_REPAIR_MAX];
    size_t n_ids;
};
struct tell_ask tell_ask_of(const Ztc__DigestAsk *m);

/* In a transaction of its own, which ends with the answer. RET and what it points to lie in A; ret->ret is
 * the result. S may be read-only. */
void tell_answer(struct store *s, const struct tell_ask *ask, struct arena *a,
                 struct server_told *ret, struct err *err);

#endif
