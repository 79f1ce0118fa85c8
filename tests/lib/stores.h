/* A city and two computers of one county on disks in memory, and what sweeps faults over them: each step of a
 * story runs with its first operation failing, then its second, until a run meets no fault.
 *
 * A failed step is told by a code and a sentence, leaves no transaction open and nothing changed. The step
 * that then succeeds leaves exactly what it leaves where nothing ever failed. One thread, one at a time. */
#ifndef ZTC_TESTS_STORES_H
#define ZTC_TESTS_STORES_H

#include "client/store/replica.h"
#include "server/core/judge.h"
#include "server/store/city.h"
#include "tests/lib/disk.h"

#define STORES_SITE 431021u
#define STORES_NOW  ((msec_t)1772690400000u) /* 2026-03-05 14:00 in Chenzhou */

enum stores_disk { AT_CITY, AT_A, AT_B, STORES_DISKS };

struct pushed {
    struct slice bytes, side;
};

struct stores {
    struct disk *disks[STORES_DISKS], *kept[STORES_DISKS];
    struct disk *fresh, *empty; /* "fresh", for new files: faults strike there, too */
    struct random_seeded seeds[STORES_DISKS];
    struct vault vault;
    struct arena arena; /* of the story */
    struct err err;
    msec_t now; /* a step's: the fixture moves it on between them */
    struct city *city;
    struct replica *at[STORES_DISKS]; /* AT_A, AT_B; a step may close one and open it again */
    struct id replica[STORES_DISKS], clerk, member, studio;

    /* What a story hands from step to step. */
    struct id opinion[8], attachment;
    struct pushed *pushed;
    size_t n_pushed;
    struct arrived *entries;
    uint64_t first_seq;
    size_t n_entries;
    struct slice head, signature;
};

/* ---- beginning and end ---- */

/* A city with a member and a studio, and both computers enrolled, with all that the city has. */
void stores_begin(struct stores *s);
void stores_end(struct stores *s);

struct city_options stores_city_options(struct stores *s);
struct replica_keys stores_keys(struct stores *s, enum stores_disk at);

/* A path on a disk with nothing on it. */
const char *stores_new_path(struct stores *s);

/* AT's file is lost: a new one of the same replica, which has made nothing. */
void stores_replace(struct stores *s, enum stores_disk at);

/* Every random number from here on is the same in each run. */
void stores_reseed(struct stores *s, uint64_t seed);

/* ---- words for stories; what is not a step must succeed ---- */

#define MUST(s, call)                                                                              \
    do {                                                                                           \
        int must_ret = (call);                                                                     \
        if (must_ret != 0)                                                                         \
            stores_fail(s, __func__, __LINE__, must_ret);                                          \
    } while (0)
void stores_fail(struct stores *s, const char *where, int line, int ret);

/* Pairs of field name and text, ended by NULL. */
struct field_change *stores_fields(struct stores *s, const char *kind, size_t *ret_n,
                                   const char *const *pairs);
#define PAIRS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* An id as text, in the story's arena. */
const char *stores_id(struct stores *s, const struct id *id);

/* One act of the clerk's at a county. */
int stores_write(struct stores *s, enum stores_disk at, const char *kind, enum change_op op,
                 struct id *record, const char *to, const char *const *pairs, struct err *err);
int stores_write_opinion(struct stores *s, enum stores_disk at, struct id *ret, struct err *err);

/* The clerk's changes that the city has not got, into s->pushed; and up with them, in a group. */
void stores_load(struct stores *s, enum stores_disk at);
int stores_push(struct stores *s, enum stores_disk at, struct err *err);

/* Entries that AT lacks of STREAM, into s->entries with the head; and down with them. */
void stores_fetch(struct stores *s, enum stores_disk at, uint32_t stream);
int stores_apply(struct stores *s, enum stores_disk at, uint32_t stream, struct err *err);

/* Up, the answers, and both streams down, at each of the two. */
void stores_sync(struct stores *s, enum stores_disk at);

/* A group at the city around WORK. */
int stores_group(struct stores *s, int (*work)(struct stores *s, struct err *err), struct err *err);

/* An act of the city's, by system. */
int stores_act(struct stores *s, const char *kind, enum change_op op, struct id *record,
               const char *state, uint32_t stream, const char *const *pairs, struct err *err);

/* ---- sweeping ---- */

struct step {
    const char *name;
    void (*before)(struct stores *s); /* or NULL */
    int (*run)(struct stores *s, struct err *err);
    unsigned is; /* a set of these */
};

enum {
    STEP_WHOLE = 0,
    STEP_DAMAGES = 1, /* it leaves rows that are not the log's: not to be verified */
    STEP_PARTS = 2,   /* it is several transactions: those before the fault stand */
    STEP_LONG = 4,    /* fewer places, unless all are asked for */
};

enum fault { FAULT_SQL, FAULT_MEMORY, FAULT_IO, FAULT_FULL };

/* All steps in their order, on stores of their own. With SWEEP_ALL in the environment no fault is left out. */
void stores_sweep(const struct step *steps, size_t n, enum fault fault);

#endif
