/* What the files of the city store share. */
#ifndef ZTC_SERVER_CITY_INTERNAL_H
#define ZTC_SERVER_CITY_INTERNAL_H

#include "common/catalogue/settings.h"
#include "common/ledger/sql.h"
#include "server/store/city.h"
#include "server/store/heads.h"
#include "server/store/marker.h"

#define POS(high, low)   ((int64_t)(((uint64_t)(high) << 40) | (low)))
#define POS_LOW(pos)     ((uint64_t)(pos) & ((1ull << 40) - 1))
#define CITY_STREAMS_MAX 24u
#define KNOWN_SLOTS      65536u /* power of two */
#define ACTORS_MAX       64u
#define COUNTERS_MAX     64u
#define SERIES_MAX       32u
#define REFUSAL_MAX      (2u * ACT_MAX_BYTES)

enum city_stmt {
    CS_REPLICA_BY_ID, CS_REPLICA_EACH, CS_REPLICA_ADD, CS_REPLICA_ANSWERED, CS_REPLICA_STATE,
    CS_REPLICA_RETIRE,
    CS_REPLICA_HEARD, CS_REPLICA_COUNT, CS_PROCESSED_PUT, CS_PROCESSED_GET, CS_REFUSAL_PUT,
    CS_REFUSAL_EACH, CS_REFUSAL_ACK, CS_REFUSED_PUT, CS_REFUSED_FIND, CS_REFUSED_ANY, CS_TOKEN_PUT, CS_TOKEN_GET,
    CS_TOKEN_USE, CS_COUNTER_GET, CS_COUNTER_PUT, CS_CERT_GET, CS_CERT_PUT, CS_CERT_DROP,
    CS_CERT_USED, CS_TOKEN_COUNT, CS_KEPT_NEXT, CS_PROCESSED_RELEASE, CS_REFUSAL_GONE, CS_REFUSED_GONE,
    CS_REFUSAL_DROP, CS_REFUSAL_AGAIN, CS_REFUSAL_TOLD,
    CS_SUCCESSOR_ADD, CS_SUCCESSOR_COUNT, CS_SUCCESSOR_PROCESSED, CS_REPLICA_FIRST, CS_SUCCESSOR_REFUSAL,
    CS_SUCCESSOR_REFUSED, CS_SUCCESSOR_EACH, CS_LIFE_PUT,
    CS_LIFE_END, CS_LIFE_CLOSE, CS_LIFE_ENDED, CS_LIFE_LAST, CS_HEARD_PUT, CS_HEARD_GET, CS_SHOWN_PUT,
    CS_SHOWN_GET, CS_PROCESSED_ADOPT, CS_PROCESSED_FOUND, CS_REFILL_PUT, CS_REFILL_EACH, CS_REFILL_DROP,
    CS_COUNTER_RAISE, CS_BUNDLE_GET, CS_BUNDLE_PUT, CS_WENT_BACK_PUT, CS_WENT_BACK_GET, CS_EXISTS_FIRST,
    CS_COUNT = CS_EXISTS_FIRST,
};

/* One stream as the group stands, and its signed head as committed. */
struct city_stream {
    struct stream_head now;
    struct stream_head committed; /* what a group that is rolled back returns to */
    bool advanced;     /* in this group */
    struct buf head;   /* committed: bytes */
    struct buf signature;
    struct buf next_head, next_signature; /* of the group that is being committed */
    uint64_t head_seq;
};

/* A record that readers of STREAM hold; kind 0: a free place. */
struct known {
    struct id id;
    uint32_t kind, stream;
};

struct counter {
    char series[SERIES_MAX];
    uint64_t last;
};

/* What a group that is rolled back returns to. */
struct city_life {
    struct id incarnation;
    msec_t recovering;
    bool restored;
};

struct city {
    struct store *store;
    sqlite3 *db;
    sqlite3_stmt *st[CS_COUNT];
    sqlite3_stmt **exists; /* by place in catalogue_kinds, prepared when first used */
    const struct hasher *hasher;
    struct random random;
    struct signer signer;
    struct verifier verifier; /* of the same key; nothing: no head is believed */
    const struct vault *vault;
    struct marker *marker; /* or NULL */
    struct heads *heads;   /* or NULL */
    void (*on_act)(void *ctx, const struct act *act); /* or NULL */
    void *on_act_ctx;
    struct settings settings; /* of setting_rows, which are read when first asked for in a group */
    struct id ledger, incarnation;
    msec_t recovering; /* since when; 0: not */
    bool restored;     /* it has had another life */
    struct city_life committed_life;
    struct city_stream streams[CITY_STREAMS_MAX];
    unsigned n_streams;
    uint32_t advanced[CITY_STREAMS_MAX];
    size_t n_advanced;
    msec_t now; /* of the group */
    void (*appended)(void *ctx, const struct entry *e); /* or NULL */
    void *appended_ctx;
    bool in_group;

    /* Caches of the group and before; emptied when a group is rolled back. */
    struct known *known; /* by known_slot() */
    struct actor actors[ACTORS_MAX];
    unsigned n_actors;
    struct setting_table setting_rows;
    bool settings_read;
    struct counter counters[COUNTERS_MAX]; /* touched by the present act */
    unsigned n_counters;
    struct replica_row replica; /* the last one pushed for; no 0: none */
    bool replica_refuses;       /* it has refused records */
    bool replica_ahead;         /* of its row: city_replica_keep writes that once for many acts */

    /* The present act. */
    struct arena arena;
    struct store_lookup lookup_on;
    struct lookup lookup;
    uint32_t act_stream;
    int asked; /* the first failure of the store to answer the judge: its verdict is worth nothing */
};

struct city_stream *city_stream(struct city *c, uint32_t stream);
void city_forget(struct city *c);

/* The row of the replica last pushed for, as its acts left it. Before anybody reads it, and at commit. */
int city_replica_keep(struct city *c, struct err *err);

/* RET, when it is an error, of asking the store while an act is judged: what it could not answer must not become a
 * verdict. */
void city_failed(struct city *c, int ret);

/* Facts for judging an act of REPLICA (NULL: made at the city). */
struct judge_facts city_facts(struct city *c);

/* Write what a judgement accepted. */
int city_write(struct city *c, const struct judgement *judged, struct err *err);

/* Judge and write an act made here, by SYSTEM or a user. */
int city_counters_put(struct city *c, struct err *err);

/* The account as an actor, cached. *ret_known false: there is none such in STREAM. E_QUARANTINE: it was
 * switched off. */
int city_account(struct city *c, const struct id *account, uint32_t stream, struct actor *ret,
                 bool *ret_known, struct err *err);

/* Create one record in STREAM by system; WITH ends with a NULL name. */
int city_make(struct city *c, const char *kind_name, uint32_t stream, const struct with *with,
              struct id *ret_id, struct err *err);

/* An open alert on the account AUTHOR, or on the office of the present replica where there is no such. */
int city_alert_poison(struct city *c, const struct id *author, struct err *err);

/* RET of decoding what this store had written itself: what cannot be read there is damage, and nobody's mistake. */
int city_damaged(int ret);

/* Count the rows of a file that was made before they were summed. */
int city_digest_first(struct city *c, struct err *err);

/* The replica that pushes, or whose acts are decided, into c->replica. */
int city_load_replica(struct city *c, const struct id *replica, struct err *err);

/* Judge an act that was kept aside, by the actor it names. */
int city_judge_kept(struct city *c, const struct act *act, struct judgement *ret, struct err *err);

/* The entry of a change among those that its act made. */
uint64_t city_seq_of(const struct city *c, const struct judgement *judged, const struct change *change);

/* Roles that the account held when the stream stood at SEEN, or at any time since. */
int city_roles_since(struct city *c, const struct id *account, uint32_t stream, uint64_t seen,
                     uint32_t *ret, struct err *err);

/* ---- city_recover.c, city_refill.c ---- */

int city_read_life(struct city *c, struct err *err);
void city_file_heads(struct city *c);

/* The city's own word for STREAM: 0 or E_AUTH. */
int city_check_head(struct city *c, uint32_t stream, struct slice bytes, struct slice signature,
                    struct head *ret);
int city_hash_at(struct city *c, uint32_t stream, uint64_t seq, uint8_t ret[HASH_SIZE],
                 struct err *err);
/* Of changes by c->replica that were made before it went back: what their author saw is not above that place.
 * Their bytes stay as they are. */
int city_cap_seen(struct city *c, struct change *changes, size_t n, struct err *err);
int city_note_taken(struct city *c, uint64_t n, struct err *err);
int city_note_refused(struct city *c, const char *text, struct err *err);

/* Judge an act as of now by every role its author has had, and append it as recovered: late, or released from
 * the quarantine. *JUDGED says when it may not be. */
int city_write_late(struct city *c, struct act *act, struct judgement *judged, struct err *err);

int city_seed(struct city *c, const char *term_name, struct err *err);

#endif
