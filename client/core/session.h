/* One connection of a replica to the city, as the county sees it, without I/O: events in, an update
 * out.
 *
 *                connected          Welcome            chain ok
 *   CONNECTING ------------> HELLO ---------> CHECKING ---------> CATCHING_UP <---> UP_TO_DATE
 *       |                      |                 |                     |                |
 *       |                      v  Bye, fork, silence, disorder, no progress, end        |
 *       |                   CLOSING <------------+---------------------+----------------+
 *       | closed               | closed
 *       +------------------> OFFLINE
 *
 * CHECKING: Welcome named the chain of the replica's own changes at accepted_n. Until the store has
 * found the same there, nothing the city says is taken in and nothing is pushed: the answers could be
 * those of a twin.
 *
 * A certificate that has expired leads from HELLO to RENEW_ONLY: a new one is asked for, and the session
 * ends. Where the own changes are not those that the city has of this replica (a copied disk, an old backup)
 * HELLO or CHECKING leads to NEW_IDENTITY: the place where they part is found, an identity for what was
 * made here behind it asked for, and the session ends. A replica that was retired hands in what waits, receives nothing, and ends with ZT-REVOKED.
 *
 * A city that was restored and has less than this computer leads from HELLO to REFILLING (refill.c): what it
 * asks for is handed back, then the session ends and the next one begins afresh.
 *
 * Two flows:
 *  - down: Entries and Refused are taken in in the order of arrival. At most applying_max batches of
 *    Entries are handed out and not answered, so that the next can be made ready while the store takes
 *    one in; a refusal is handed out alone. What waits is kept packed, at most queue_max and one frame;
 *    then reading pauses.
 *  - up: while fewer than the window of pushed changes are unanswered, the next acts are loaded and
 *    pushed. A change is answered by its echo or its refusal; the store counts (struct client_ledger).
 *
 * Completions must come in the order in which the store did the work: a RefusedAck has to leave before
 * changes that were made after the refusal was stored. */
#ifndef ZTC_CLIENT_SESSION_H
#define ZTC_CLIENT_SESSION_H

#include "client/core/blob.h"
#include "common/base/id.h"
#include "common/ledger/head.h"
#include "common/wire/body.h"
#include "common/wire/frame.h"

#define CLIENT_STREAMS 2u

/* X(constant, name for status and traces) */
#define CLIENT_STATES(X)                                                                           \
    X(CONNECTING, "connecting")                                                                    \
    X(HELLO, "hello")                                                                              \
    X(CHECKING, "checking")                                                                        \
    X(RENEW_ONLY, "renew-only")                                                                    \
    X(NEW_IDENTITY, "new-identity")                                                                \
    X(REFILLING, "refilling") /* the city was restored: it is handed back what it lacks */           \
    X(CATCHING_UP, "catching-up")                                                                  \
    X(UP_TO_DATE, "up-to-date") /* everything sent, answered and taken in */                       \
    X(CLOSING, "closing")                                                                          \
    X(OFFLINE, "offline")

enum client_state {
#define X(name, text) CLIENT_##name,
    CLIENT_STATES(X)
#undef X
};

const char *client_state_name(enum client_state state);

struct client_session;

/* Settings; outlive the session. Durations in milliseconds. */
struct client_options {
    uint32_t connect_within;
    uint32_t hello_within; /* Welcome, and the check of the own chain */
    uint32_t stall_within; /* something is due and nothing moved */
    uint32_t drain_within;
    uint32_t applying_max; /* batches of Entries handed out and not answered */
    size_t queue_max;    /* bytes that came and wait for the store */
    size_t unsent_max;   /* bytes of output after which nothing is loaded */
    uint32_t load_bytes; /* a push: at most, expanded, unless one act is larger */
    uint64_t snapshot_above; /* an empty stream of more entries at the city begins with a snapshot */
    void (*trace)(void *ctx, const struct client_session *s, enum client_state from); /* or NULL */
    void *trace_ctx;
};

extern const struct client_options client_options_preset;

/* What the store counts, all of one moment. */
struct client_ledger {
    uint64_t own_n;   /* the last change made here */
    uint64_t acked_n; /* every change up to here is answered */
    uint64_t waiting; /* changes not answered */
    uint64_t refused; /* refusals that nobody has seen to */
    uint64_t blobs;   /* attachments of ours of which the city has not every byte */
    uint64_t uploads; /* those of them that are still to be sent */
};

/* Where a stream stands that begins with a snapshot. */
enum client_loading {
    CLIENT_WHOLE,    /* entries come */
    CLIENT_UNDECIDED, /* nothing is here: a snapshot if the city has much, else entries */
    CLIENT_SLICES,   /* the cursor stands at a signed head, slices are to come */
};

/* What is asked of the city when tables differ: all kinds (kind 0), a range of a kind, or rows by id. */
struct client_digest_ask {
    uint32_t stream, kind;
    bool has_after, has_upto;
    struct id after, upto;
    struct id ids[WIRE_REPAIR_MAX];
    size_t n_ids;
    bool counted; /* the own rows were counted anew since it was noticed */
};

/* A row that differed, and what was done: as in the frame Repaired. */
struct client_repair {
    uint64_t no, seq;
    msec_t at;
    uint32_t stream, kind, how;
    struct id id;
    bool told; /* the city has noted it */
};

enum client_due {
    CLIENT_DUE_HELLO,
    CLIENT_DUE_PEER,
    CLIENT_DUE_PING,
    CLIENT_DUE_PROGRESS,
    CLIENT_DUE_BLOB,
    CLIENT_DUE_BLOB_RETRY,
    CLIENT_DUE_DRAIN,
    CLIENT_DUE_RENEW,   /* two thirds of the certificate's life are gone */
    CLIENT_DUE_RENEWED, /* the city's answer */
    CLIENT_DUES
};

struct client_stream {
    uint32_t stream;
    uint64_t applied; /* the cursor */
    uint64_t arrived; /* last seq that came, applied or queued */
    uint64_t head;    /* last seq the city is known to have */
    enum client_loading loading;
    bool has_place;
    uint8_t place[WIRE_PLACE_SIZE]; /* where the next slice begins */
    uint64_t history, base; /* older entries are here up to the one, and wanted up to the other */
    size_t head_len, signature_len; /* Welcome's, while undecided */
    uint8_t head_bytes[WIRE_SIGNED_MAX], signature[WIRE_SIGNED_MAX];
};

/* The own certificate's life, and the digest of the CAs that are trusted. until 0: not known. */
struct client_cert {
    msec_t from, until;
    uint8_t authorities[HASH_SIZE];
};

enum client_renewal {
    CLIENT_RENEW_IDLE,
    CLIENT_RENEW_WANTED,
    CLIENT_RENEW_ASKING,  /* the request is being made */
    CLIENT_RENEW_ASKED,   /* the city has it */
    CLIENT_RENEW_STORING,
};

/* Comparing tables with the city; see digest.c. */
struct client_digest {
    enum { DIGEST_IDLE, DIGEST_WANTED, DIGEST_ASKED, DIGEST_HELD, DIGEST_COMPARING } step;
    struct client_digest_ask ask;
    struct buf answer; /* the frame, packed, until the cursor stands at its seq */
    uint64_t at_seq;
    unsigned asks;     /* since something was last repaired */
    bool given_up;     /* not again in this session */
};

/* A search for the last n at which both chains are equal: it is LO at least and HI at most. */
struct client_fork {
    uint64_t lo, hi;
    uint64_t asked[WIRE_POINTS_MAX]; /* the city has these */
    size_t n_asked;
    enum { CLIENT_FORK_NONE, CLIENT_FORK_WANTED, CLIENT_FORK_ASKING, CLIENT_FORK_POINTS,
           CLIENT_FORK_REQUEST, CLIENT_FORK_STORING } phase;
};

struct client_session {
    const struct client_options *options;
    enum client_state state;
    int cause;            /* why it closes: E_*, 0 for an orderly end */
    bool told;            /* the cause is the city's word */
    int hold;             /* why the city takes no changes now: E_*, 0 while it does */
    uint32_t retry_after; /* milliseconds the city asked for; 0: none */
    msec_t since;         /* when this state was entered */
    msec_t progress_at;   /* when a cursor, a change's answer or the state last moved */
    struct client_ledger ledger;
    struct client_stream streams[CLIENT_STREAMS];
    struct client_cert cert;
    enum client_renewal renewal;
    bool renew_only, hand_in; /* what Welcome left us */

    /* private */
    msec_t city_time, city_time_at; /* the latest known, and when by the monotonic clock */
    size_t n_streams;
    uint8_t own_chain[HASH_SIZE], acked_chain[HASH_SIZE];
    uint64_t hello_own_n, hello_acked_n; /* where those chains stand */
    uint64_t pushed_n;                   /* the last change given to the city */
    uint64_t accepted_n;                 /* the last one that the city had when it said Welcome */
    uint64_t refused_n;                  /* the highest first_n of a refusal taken in */
    uint32_t push_window, ping_every, dead_after, city_catalogue;
    bool loading;     /* a load is asked for */
    bool held;        /* the store had nothing to push: not before the ledger moves */
    uint32_t applying; /* batches with the store */
    bool refilling;    /* what the city lacks is being loaded, or the log is being cut */
    bool refusing;     /* a refusal is with the store */
    bool alone;        /* the first in the queue is a refusal: nothing is handed out beside it */
    bool fetching;     /* a slice or history is asked for, or with the store */
    struct buf queue; /* frames that wait for it, packed with their lengths */
    size_t queue_at;  /* the first of them */
    size_t unsent;
    struct client_lane lanes[CLIENT_LANES];
    struct client_fork fork;
    msec_t heard_at, sent_at, pinged_at;
    msec_t due[CLIENT_DUES];
    struct client_digest digest;
};

/* ---- events ---- */

struct client_cursor {
    uint32_t stream;
    uint64_t seq;
    uint8_t hash[HASH_SIZE];
    struct id incarnation;
    enum client_loading loading;
    bool has_place;
    uint8_t place[WIRE_PLACE_SIZE];
    uint64_t history, base; /* as in client_stream; both 0: nothing older is wanted */
};

/* A head with the city's signature. */
struct client_shown {
    uint8_t head[WIRE_SIGNED_MAX], signature[WIRE_SIGNED_MAX];
    size_t head_len, signature_len; /* 0: none */
};

/* For Hello. */
struct client_facts {
    struct id replica;
    uint32_t catalogue;
    const char *software;
    struct client_ledger ledger;
    uint8_t own_chain[HASH_SIZE];   /* at own_n */
    uint8_t acked_chain[HASH_SIZE]; /* at acked_n */
    struct client_cursor cursors[CLIENT_STREAMS];
    size_t n_cursors;
    struct client_shown heads[CLIENT_STREAMS]; /* of the cursors' streams the newest that the log equals */
    struct client_shown witness; /* the newest head of `city` */
    struct client_cert cert;
    msec_t city_time; /* the latest known */
};

/* The chain of the own changes at n. */
struct client_point {
    uint64_t n;
    uint8_t chain[HASH_SIZE];
};

enum client_event_kind {
    CLIENT_CONNECTED,      /* TLS is open */
    CLIENT_FRAME,          /* a checked frame */
    CLIENT_BROKEN,         /* the decoder refused the city's bytes */
    CLIENT_HEARD,          /* bytes came, no frame is whole yet */
    CLIENT_CHECKED,        /* answer to check */
    CLIENT_LOCAL,          /* changes were made here and are durable */
    CLIENT_LOADED,         /* answer to load */
    CLIENT_APPLIED,        /* answer to apply */
    CLIENT_REFUSED_STORED, /* answer to store_refused */
    CLIENT_BEGUN,          /* answer to begin */
    CLIENT_SLICE_STORED,   /* answer to store_slice */
    CLIENT_HISTORY_STORED, /* answer to store_history */
    CLIENT_COMPARED,       /* Welcome's heads were compared with the tables */
    CLIENT_DIGESTED,       /* answer to digest */
    CLIENT_REQUEST,        /* answer to make_request */
    CLIENT_RENEWED,        /* answer to store_renewed */
    CLIENT_FORK,           /* answer to fork */
    CLIENT_IDENTITY,       /* answer to take_identity */
    CLIENT_REFILL,         /* answer to refill */
    CLIENT_GONE_BACK,      /* answer to go_back */
    CLIENT_BLOB,           /* answer to blob */
    CLIENT_BLOB_LOOK,      /* an attachment may be asked for */
    CLIENT_DRAINED,        /* the socket took output */
    CLIENT_TIMER,          /* the deadline has come (early or late does no harm) */
    CLIENT_END,            /* leave in order */
    CLIENT_GONE,           /* the connection is closed, or never came about */
};

struct client_event {
    enum client_event_kind kind;
    msec_t now;   /* monotonic; never 0 */
    msec_t clock; /* wall clock, for Hello and Ping */
    /* What the update points to lies here. The driver may keep the arena until the work is done. */
    struct arena *arena;
    /* CHECKED (E_FORK: another chain), LOADED, APPLIED, REFUSED_STORED, REQUEST, RENEWED, FORK, IDENTITY,
     * BROKEN, GONE */
    int ret;
    struct client_ledger ledger; /* LOCAL, APPLIED, REFUSED_STORED, BLOB (settled) */
    uint64_t seq; /* BEGUN: the cursor now; HISTORY_STORED: the last older entry that is here */
    union {
        const struct client_facts *facts;
        const Ztc__Frame *frame;
        struct {
            uint64_t first_n;
            uint32_t count;    /* whole acts; 0: nothing may be pushed now */
            uint32_t size;     /* expanded */
            struct slice body; /* compressed PushBody */
        } loaded;
        struct {
            uint32_t stream;
            uint64_t first_seq;
            uint32_t count;
            uint32_t size;     /* expanded */
            struct slice body; /* compressed EntriesBody, with bytes */
        } refill;
        struct {
            uint32_t stream;
            uint64_t seq;     /* the cursor now */
            uint32_t differs; /* a stream whose tables are not what its head says; 0: none */
        } applied;
        struct { /* COMPARED, DIGESTED */
            uint32_t differs;
            const struct client_repair *repairs; /* that the city has not noted yet */
            size_t n_repairs;
            bool more; /* DIGESTED: ask next */
            struct client_digest_ask next;
        } compared;
        struct {
            uint64_t first_n;
            uint64_t until_n; /* the last change made before the refusal was stored */
        } refused;
        struct client_blob_answer blob;
        size_t unsent; /* DRAINED: bytes still to be taken */
        struct slice request;    /* REQUEST: PKCS#10 DER */
        struct client_cert cert; /* RENEWED */
        struct {
            const struct client_point *points; /* ascending; or one, lo, and a request */
            size_t n_points;
            struct slice request; /* PKCS#10 DER; empty: none */
            struct id replica;    /* of the request */
        } fork;
    };
};

/* ---- updates ---- */

enum client_close { CLIENT_KEEP, CLIENT_CLOSE_FLUSHED, CLIENT_CLOSE_NOW };

struct client_update {
    struct buf out; /* frames to send, appended; the driver empties it */
    bool reading;   /* feed further frames; false: stop reading the socket */

    /* The city is there: its time, its heads (`city` among them, a witness), its catalogue. */
    const Ztc__Welcome *welcome;

    /* Compare the chain of the replica's own changes at n. */
    struct {
        bool wanted;
        uint64_t n;
        struct slice chain;
    } check;

    /* Load whole acts from from_n upwards, at least one. Changes that need a newer catalogue than the
     * city's are held back, and all behind them. */
    struct {
        bool wanted;
        uint64_t from_n;
        uint32_t max_count, max_bytes;
        uint32_t catalogue;
    } load;

    /* Open the body, verify (chain, signed head) and apply, in one transaction, after those that were
     * handed out before. */
    const Ztc__Entries *apply;

    const Ztc__Refused *store_refused;

    /* Read entries of the own log, at least one. */
    struct {
        bool wanted;
        uint32_t stream;
        uint64_t from_seq, upto_seq;
        uint32_t max_bytes;
    } refill;

    /* Take the entries above these places out of the log. */
    const Ztc__GoBack *go_back;

    /* Begin this empty stream with a snapshot at a signed head. */
    struct {
        bool wanted;
        uint32_t stream;
        struct slice head, signature;
    } begin;
    const Ztc__Slice *store_slice;     /* expand, and take in */
    const Ztc__History *store_history; /* expand, verify, log */
    /* Compare the tables with an answer of the city: one of the two, and what was asked. */
    struct {
        const Ztc__DigestTell *tell;
        const Ztc__RepairRows *rows;
        const struct client_digest_ask *ask;
    } digest;

    uint64_t repair_told; /* the city has noted this repair; 0: none */

    /* Make a certificate request; verify and keep the certificate that comes, and the CAs with it. */
    bool make_request;
    const Ztc__Renewed *store_renewed;

    /* The chain at points in (lo, hi], the last of them among them; where there are none, at lo, with a
     * request for a new identity. */
    struct {
        bool wanted;
        uint64_t lo, hi;
    } fork;
    /* Verify and keep it: from now on this is another replica, whose changes begin behind agreed_n. */
    struct {
        const Ztc__NewIdentityGranted *granted;
        uint64_t agreed_n;
    } take_identity;

    /* Of attachments, for each lane: off the loop where it touches files. */
    struct client_blob_want blob[CLIENT_LANES];

    enum client_close close;
    msec_t deadline; /* call with CLIENT_TIMER then; 0: never */
};

void client_update_init(struct client_update *up);
void client_update_release(struct client_update *up);

/* ---- the machine ---- */

/* NOW: monotonic; connecting begins. OPTIONS are borrowed. */
void client_session_init(struct client_session *s, const struct client_options *options,
                         msec_t now);
void client_session_release(struct client_session *s);

/* One event. UP is cleared first, except for out. After CLIENT_GONE the session is over. */
void client_session_step(struct client_session *s, const struct client_event *ev,
                         struct client_update *up);

/* When to call with CLIENT_TIMER; 0: never. */
msec_t client_session_deadline(const struct client_session *s);

/* 已全部上传, as far as a session can say: every change answered, every entry known of taken in, every
 * attachment made here verified at the city. */
bool client_session_complete(const struct client_session *s);

/* An attachment is being fetched, or may be about to. */
bool client_session_fetches(const struct client_session *s);

/* Why a connection that is open and has changes waiting does not move: E_*, said by the city (hold) or
 * E_VERSION, they need a newer city. 0: it moves, or there is nothing to do. */
int client_session_reason(const struct client_session *s);

/* Older entries are still to come, behind everything else. */
bool client_session_history(const struct client_session *s);

/* Stops the program when the state contradicts itself. */
void client_session_check(const struct client_session *s);

/* ---- reconnecting ---- */

/* Milliseconds to wait before connection attempt number ATTEMPT (0: the first after a loss): doubling
 * from 1 s to 5 min, between half and all of it by SEED, and not before RETRY_AFTER. */
uint32_t client_backoff(unsigned attempt, uint32_t retry_after, uint64_t seed);

/* Whether trying again can help: not when a person has to act (fork, revoked, version, identity). */
bool client_backoff_helps(int cause);

#endif
