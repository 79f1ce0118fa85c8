/* Allocation failure, swept: an operation runs with its first allocation failing, then its second,
 * until a run meets none. Each failure must be told as E_NOMEM with a sentence and leave everything
 * to be tried again; ASan sees what leaks. */
#ifndef ZTC_TESTS_SWEEP_H
#define ZTC_TESTS_SWEEP_H

#include "common/base/err.h"
#include "common/base/mem.h"

#define SWEEP_MAX 100000u

/* ONCE does the operation and takes it back, whether it succeeded or not. A failed allocation it can do
 * without is no failure. Beyond the first DENSE allocations some are skipped, more and more. */
static inline void sweep_some(int (*once)(void *ctx, struct err *err), void *ctx, unsigned dense)
{
    unsigned hits = 1;

    for (unsigned k = 1; hits > 0; k += 1 + k / dense) {
        struct err err = {.ret = 0};
        int ret;

        assert_true(k < SWEEP_MAX);
        mem_fault_set(k);
        ret = once(ctx, &err);
        hits = mem_fault_hits();
        mem_fault_set(0);
        if (ret != 0 && (ret != E_NOMEM || hits == 0))
            fail_msg("allocation %u: %s “%s”", k, err_code(ret), err.text);
        if (ret != 0 && (err.ret != ret || err.text[0] == '\0'))
            fail_msg("allocation %u: told without a sentence", k);
    }
}

static inline void sweep(int (*once)(void *ctx, struct err *err), void *ctx)
{
    sweep_some(once, ctx, SWEEP_MAX);
}

#endif
