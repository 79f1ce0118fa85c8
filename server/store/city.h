/* The city's ledger: merges acts into streams, answers each change once, keeps replicas and tokens.
 *
 * One thread writes: work arrives in groups, between city_begin and city_commit; what one commit made
 * durable is answered after it, never before. Readers open the file by themselves (store.h). */
#ifndef ZTC_SERVER_CITY_H
#define ZTC_SERVER_CITY_H

#include "common/ledger/head.h"
#include "common/ledger/statement.h"
#include "common/ledger/store.h"
#include "server/core/judge.h"

struct city;

struct city_options {
    const struct hasher *hasher; /* of the ledger; NULL: as the file says */
    struct random random;
    struct signer signer;        /* the log key */
    struct verifier verifier;    /* of the same key; nothing: no head that is shown is believed */
    const struct vault *vault;
    const char *vfs;             /* for simulations; NULL */
    msec_t now;                  /* at opening */
    const char *marker;          /* file that names the act being merged (marker.h); NULL: none */
    const char *heads;           /* file of the streams' heads (heads.h); NULL: none */
    void (*on_act)(void *ctx, const struct act *act); /* before each pushed act is judged: faults of tests */
    void *on_act_ctx;
};

/* Make a new store at PATH: ledger id, incarnation, the streams shared, city and 431000 … of the 12
 * sites, and the seeds of domain.md §5.1 by `system`. E_EXISTS. */
int city_create(const char *path, const struct city_options *o, const char *term_name,
                struct err *err);
int city_open(const char *path, const struct city_options *o, struct city **ret, struct err *err);
void city_close(struct city *c);

struct store *city_store(struct city *c);
const struct hasher *city_hasher(const struct city *c);
struct id city_ledger(const struct city *c);
struct id city_incarnation(const struct city *c);

/* The present signed head of a stream: bytes and signature, borrowed until the next commit. E_NOTFOUND. */
int city_head(struct city *c, uint32_t stream, struct slice *ret_head, struct slice *ret_signature,
              uint64_t *ret_seq);

/* ---- groups ---- */

int city_begin(struct city *c, msec_t now, struct err *err);

/* Durable after 0; heads signed. On failure everything of the group is as if it never was. */
int city_commit(struct city *c, struct err *err);
void city_rollback(struct city *c);

/* APPENDED hears of each entry as it is written, borrowed for the call. What it heard in a group that does
 * not commit never was. */
void city_listen(struct city *c, void (*appended)(void *ctx, const struct entry *e), void *ctx);

/* Streams advanced by the last commit. */
const uint32_t *city_advanced(const struct city *c, size_t *ret_n);

/* ---- replicas ---- */

enum replica_state { REPLICA_ACTIVE, REPLICA_RETIRED, REPLICA_LOST };

struct replica_row {
    uint32_t no; /* the city's small number for it */
    struct id id;
    uint32_t site;
    uint32_t k; /* the site's k-th */
    enum replica_state state;
    char serial[48];                /* of its certificate */
    uint8_t fingerprint[HASH_SIZE]; /* of its certificate */
    uint64_t accepted_n;            /* answered so far */
    uint8_t own_chain[HASH_SIZE];   /* at accepted_n */
    msec_t enrolled_at, seen_at;
    int64_t skew_ms;   /* its clock minus the city's, at the last Hello */
    struct statement said; /* the last, at seen_at; zeros before the first */
    char software[65];
    uint32_t predecessor; /* no of the replica it was made out of; 0: none */
    struct id predecessor_id; /* zeros: none */
    uint64_t base;        /* up to here its changes are the predecessor's */
};

int city_replica_get(struct city *c, const struct id *id, struct replica_row *ret,
                     struct err *err); /* E_NOTFOUND */
int city_replica_each(struct city *c, int (*cb)(void *ctx, const struct replica_row *r), void *ctx,
                      struct err *err);
/* Of the replica and of every one that was made out of it. */
int city_replica_set_state(struct city *c, const struct id *id, enum replica_state state,
                           struct err *err);
/* Retired, of the replica alone: nobody has its identity any more, and who was made out of it goes on. */
int city_replica_retire(struct city *c, const struct id *id, struct err *err);
/* What a Hello or Ping said, at AT. */
int city_replica_heard(struct city *c, const struct id *id, msec_t at, int64_t skew_ms,
                       const struct statement *said, struct slice software, struct err *err);
/* Chain of its own changes at N (0 … accepted_n). E_NOTFOUND. */
int city_replica_chain(struct city *c, const struct id *id, uint64_t n, uint8_t ret[HASH_SIZE],
                       struct err *err);

/* ---- replicas made anew out of another (city_successor.c) ---- */

/* The chain of a replica's own changes at n, as it knows it. */
struct own_point {
    uint64_t n;
    uint8_t chain[HASH_SIZE];
};

/* How many of POINTS, ascending, have the chain that the city has there. */
int city_agreed(struct city *c, const struct id *replica, const struct own_point *points, size_t n,
                size_t *ret_agreed, struct err *err);

struct succession {
    struct id predecessor, successor;
    struct own_point agreed; /* the last at which both chains are equal */
    uint64_t acked_n;        /* the county has every answer up to here */
    const struct city_cert *cert;
};

/* Register the successor, once: the same request again has the same effect. E_REVOKED; E_FORK: the chains
 * do not agree there; E_DENIED: the id is another's, or the site has too many. */
int city_succeed(struct city *c, const struct succession *s, uint32_t *ret_k, struct err *err);

/* All that were made out of a replica, and out of those. */
int city_successors_each(struct city *c, const struct id *replica,
                         int (*cb)(void *ctx, const struct id *successor), void *ctx,
                         struct err *err);

/* ---- certificates of replicas (city_cert.c) ---- */

struct city_cert {
    char serial[48];
    uint8_t fingerprint[HASH_SIZE];
    uint8_t key[HASH_SIZE];       /* SHA-256 of its public key */
    uint8_t authority[HASH_SIZE]; /* fingerprint of the CA that issued it */
    msec_t not_after;
};

/* The certificate of a new replica, whose fingerprint city_enrol has. */
int city_cert_enrolled(struct city *c, const struct id *replica, const struct city_cert *cert,
                       struct err *err);

/* One that takes the place of the present one when it is first used. An earlier one not used is forgotten. */
int city_cert_issued(struct city *c, const struct id *replica, const struct city_cert *cert,
                     struct err *err);

/* May R show this certificate? 0 with *ret_replaced: a former one of the same key, good for a renewal
 * only. E_AUTH: it is none of the replica's. */
int city_cert_check(struct city *c, const struct replica_row *r, const uint8_t print[HASH_SIZE],
                    const uint8_t key[HASH_SIZE], bool *ret_replaced, struct err *err);

/* It was shown: when it was waiting for that, it is the one in use from now on. */
int city_cert_used(struct city *c, const struct id *replica, const uint8_t print[HASH_SIZE],
                   struct err *err);

/* The one in use. E_NOTFOUND: enrolled by an older version, and not renewed yet. */
int city_cert_get(struct city *c, const struct replica_row *r, struct city_cert *ret,
                  struct err *err);

/* A setting (settings.h) as it is for SITE. */
int64_t city_setting(struct city *c, const char *name, uint32_t site);

/* ---- pushes ---- */

/* Whether an act, prepared with its chains, was answered before, perhaps to a connection that is gone: 1; 0: it is
 * new, and follows what was accepted. E_CLOSED: its number is another's change, or follows another's. Somebody with
 * the same identity was faster since this session's Hello; the next Hello shows it. */
int city_push_known(struct city *c, const struct id *replica, const struct act *act, struct err *err);

/* One act of a replica: decoded, sides verified, hashed, before it comes here. n of its changes are
 * consecutive and the first is accepted_n + 1 (E_PROTOCOL otherwise). Either its entries or a refusal
 * row is written. The returned errors are the store's: roll the group back. */
int city_push_act(struct city *c, const struct id *replica, const struct act *act,
                  bool *ret_refused, struct err *err);

struct refusal {
    uint64_t first_n, last_n, at_n;
    struct slice code, text;
    bool quarantined;
};
/* Refusals not acknowledged yet, by n; also acknowledged ones above ACKED_N, up to which the replica says it
 * has its answers: it was set up again from a backup that does not know them. UINT64_MAX: none of these. */
int city_refusals(struct city *c, const struct id *replica, uint64_t acked_n,
                  int (*cb)(void *ctx, const struct refusal *r), void *ctx, struct err *err);
int city_refused_ack(struct city *c, const struct id *replica, uint64_t first_n, uint64_t until_n,
                     struct err *err);

/* ---- what is kept aside until a person decides (city_quarantine.c) ---- */

struct quarantined {
    const struct replica_row *replica;
    uint64_t first_n, last_n, at_n;
    struct slice text;           /* why */
    const struct change *change; /* number at_n */
};
int city_quarantine_each(struct city *c, int (*cb)(void *ctx, const struct quarantined *q),
                         void *ctx, struct err *err);

/* How many acts. */
int city_quarantine_count(struct city *c, uint64_t *ret, struct err *err);

/* Append the acts that REPLICA handed in, or (N not 0) the one that begins with change N, as entries; or
 * refuse them for good. *ret_n counts acts. E_NOTFOUND: none begins there; what an act would be refused for
 * now: then roll back. */
int city_quarantine_release(struct city *c, const struct id *replica, uint64_t n, uint64_t *ret_n,
                            struct err *err);
int city_quarantine_drop(struct city *c, const struct id *replica, uint64_t n, uint64_t *ret_n,
                         struct err *err);

/* ---- acts of city users ---- */

/* Judge and write an act made at the city. E_* of the refusal, with its sentence; then nothing was
 * written. IDS of created records are in the changes. */
int city_act(struct city *c, const struct act *act, struct err *err);

/* The account by login in the `city` stream (or by id), as an actor. E_NOTFOUND, E_DENIED (inactive). */
int city_actor(struct city *c, const char *login, struct actor *ret, struct err *err);

/* ---- enrolment ---- */

/* Remember a token's secret by its hash; it works once, until EXPIRES_AT. */
int city_token_add(struct city *c, uint32_t site, const uint8_t secret_hash[HASH_SIZE],
                   msec_t expires_at, struct err *err);

/* Tokens that could still be used. */
int city_tokens_open(struct city *c, msec_t now, uint64_t *ret, struct err *err);

/* Use the token and register the replica: its k, and on the site's first enrolment the account `clerk`
 * (county_clerk, county_lead, studio_user) in its stream. ISSUE is called with the site once the token is
 * good; what it gives is recorded. E_TOKEN: unknown, used, expired or another site. */
int city_enrol(struct city *c, const uint8_t secret_hash[HASH_SIZE], const struct id *replica,
               int (*issue)(void *ctx, uint32_t site, char ret_serial[48],
                            uint8_t ret_fingerprint[HASH_SIZE]),
               void *ctx, uint32_t *ret_site, uint32_t *ret_k, struct id *ret_clerk,
               struct err *err);

/* ---- repairs ---- */

/* A row of a replica that differed from ours, as it reported; how: 4, ours is not what its log says. */
struct city_repair {
    uint64_t no, seq;
    msec_t at;
    uint32_t stream, kind, how;
    struct id record;
};
int city_repair_note(struct city *c, const struct id *replica, msec_t now,
                     const struct city_repair *r, struct err *err);

/* How many a replica reported, how many of them speak against our own row, and when the last was noted. */
int city_repairs(struct store *s, const struct id *replica, uint64_t *ret_n, uint64_t *ret_ours,
                 msec_t *ret_last, struct err *err);

/* ---- upkeep ---- */

/* Walk every stream: chain, heads, sides; then count the rows against their sums. 0, or E_CORRUPT naming
 * stream and seq of the first bad entry, or the kind. */
int city_verify(struct city *c, struct err *err);

/* Make the projection anew from the log alone. */
int city_rebuild(struct city *c, struct err *err);

#endif
