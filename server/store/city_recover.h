/* A city that was restored: a new life of the store that assigns no seq until a person has seen what came
 * back and what is missing.
 *
 *   restart ─► recovering: heads are shown, entries are handed back under them ─► close ─► as before
 *
 * Afterwards what belongs to a life that is over brings late entries only, appended as recovered. */
#ifndef ZTC_SERVER_CITY_RECOVER_H
#define ZTC_SERVER_CITY_RECOVER_H

#include "common/ledger/head.h"
#include "server/store/city.h"

/* A new incarnation that recovers; open enrolment tokens end. Inside a group. */
int city_restart(struct city *c, const char *why, struct err *err);

/* No seq is assigned. */
bool city_recovering(const struct city *c);

/* It was restored once: what a replica says of itself may be news. */
bool city_was_restored(const struct city *c);

/* End the recovery: every life that is over ends where the streams stand now. Inside a group. E_STATE. */
int city_recover_close(struct city *c, const char *login, struct err *err);

/* ---- a replica's cursor ---- */

struct city_cursor {
    uint32_t stream;
    uint64_t seq;
    uint8_t hash[HASH_SIZE];
    struct id incarnation;
    uint64_t log_from;            /* older entries are not in its log; 0 or 1: all are */
    struct slice head, signature; /* its newest signed head of the stream; empty: none */
};

enum city_place {
    PLACE_SAME,
    PLACE_AHEAD,    /* above, without a reason this store knows of */
    PLACE_FORKED,
    PLACE_OTHER_LIFE, /* of a life that is over, and not what this store has */
    PLACE_FREEZES,  /* proof that this very life was further: the store is older than it should be */
};

struct city_stand {
    enum city_place place;
    uint64_t ask_from, ask_upto; /* entries it can prove and should hand back; from > upto: none */
    bool back;                   /* it must go back to BACK_TO */
    uint64_t back_to;
    uint64_t shown;              /* seq of its head, when that is the city's word; else 0 */
};

int city_stand(struct city *c, const struct city_cursor *at, struct city_stand *ret,
               struct err *err);

/* The replica was heard, and showed heads up to these seqs. Inside a group. */
int city_heard(struct city *c, const struct id *replica, const uint32_t *streams,
               const uint64_t *seqs, size_t n, struct err *err);

/* The replica is told to go back to SEQ of STREAM: its changes up to N were made above it by what is no longer
 * there. Inside a group. */
int city_went_back(struct city *c, const struct id *replica, uint32_t stream, uint64_t seq, uint64_t n,
                   struct err *err);

/* A replica knows answered more than this store: every n up to it counts as answered. Inside a group. E_PROTOCOL:
 * more than CITY_ADOPT_MAX at once, which no computer was answered since any copy was made. */
#define CITY_ADOPT_MAX (1u << 20)
int city_adopt(struct city *c, const struct id *replica, uint64_t acked_n,
               const uint8_t acked_chain[HASH_SIZE], struct err *err);

/* ---- refill ---- */

struct refilled {
    msec_t received_at;
    struct slice verdict, bytes, side;
};

/* Keep entries FIRST_SEQ … of STREAM aside. Inside a group. */
int city_refill_put(struct city *c, const struct id *replica, uint32_t stream, uint64_t first_seq,
                    const struct refilled *entries, size_t n, struct err *err);

/* All of them are here, from FROM_SEQ up to the signed head: verify the chain to it, then take them in
 * their places, or after the recovery as recovered. *RET_WORD is 0, or why nothing was taken (E_AUTH,
 * E_CORRUPT …), which is counted. Inside a group. */
int city_refill_take(struct city *c, const struct id *replica, uint32_t stream, uint64_t from_seq,
                     struct slice head, struct slice signature, uint64_t *ret_n, int *ret_word,
                     struct err *err);

/* Forget what REPLICA handed back and did not finish. Inside a group. */
int city_refill_drop(struct city *c, const struct id *replica, struct err *err);

/* ---- for people ---- */

struct city_recovery {
    bool on;
    msec_t since;
    struct id incarnation;
    char why[512];
    uint64_t taken, late, refused; /* entries taken back, acts appended as recovered; refills refused */
    char refused_text[512];        /* the last of those */
};
int city_recovery(struct city *c, struct city_recovery *ret, struct err *err);

/* Replicas in use, by site: when each was heard since, 0: not yet. */
int city_recover_replicas(struct city *c,
                          int (*cb)(void *ctx, const struct replica_row *r, msec_t heard_at),
                          void *ctx, struct err *err);

/* Every stream: where it stands, the highest head shown, what the heads file says. */
struct recover_stream {
    uint32_t stream;
    uint64_t seq, shown, filed;
};
int city_recover_streams(struct city *c, int (*cb)(void *ctx, const struct recover_stream *s),
                         void *ctx, struct err *err);

/* ---- the heads file ---- */

/* The file beside the store knows more of this store's own life than the store: 1 and a sentence. */
bool city_is_behind(struct city *c, struct err *ret_why);

#endif
