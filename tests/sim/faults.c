/* When faults strike and which; what each kind does has a file of its own (fault_*.c). */
#include "tests/sim/world_internal.h"

static const struct faults *const kinds[] = {&fault_crashes, &fault_network, &fault_disks,
                                             &fault_clocks, &fault_copies, &fault_clones, &fault_damages,
                                             &fault_restores, &fault_revocations};

#define KINDS (sizeof kinds / sizeof *kinds)

static unsigned all_weights(void)
{
    unsigned sum = 0;

    for (size_t k = 0; k < KINDS; k++) {
        for (unsigned i = 0; i < kinds[k]->n; i++)
            sum += kinds[k]->list[i].weight;
    }
    return sum;
}

static void one_fault(struct world *w)
{
    struct sim_replica *r = &w->replicas[world_roll(w, w->n_replicas)];
    uint64_t roll = world_roll(w, all_weights());

    for (size_t k = 0; k < KINDS; k++) {
        for (unsigned i = 0; i < kinds[k]->n; i++) {
            const struct fault *f = &kinds[k]->list[i];

            if (roll < f->weight) {
                f->strike(w, r);
                return;
            }
            roll -= f->weight;
        }
    }
}

static void fault_due(struct world *w, void *subject)
{
    (void)subject;
    if (w->healing || w->faults_left == 0)
        return;
    w->faults_left--;
    one_fault(w);
    world_at(w, 200 + world_roll(w, 10000), fault_due, NULL);
}

void faults_begin(struct world *w)
{
    world_at(w, 500, fault_due, NULL);
    fault_revoke_begin(w);
    fault_skew_begin(w);
}

void faults_heal(struct world *w)
{
    w->crash_before = w->crash_after = false;
    fault_disks_heal(w);
    fault_network_heal(w);
    fault_restore_heal(w);
    fault_skew_heal(w);
}
