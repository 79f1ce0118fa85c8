/* One replica's connection as the city sees it, without I/O: events in, an update out.
 *
 *           open                 Hello               facts: SAME
 *   WAITING ----> GREETING ----------> ADMITTING ----------------> SERVING
 *      |              |                    |  facts: FORKED, AHEAD    |
 *      |              | late, foreign      v                          | Bye, hole, silence, shutdown …
 *      |              +-----------------> CLOSING <-------------------+
 *      | closed                             | closed
 *      +--------------------------------> CLOSED
 *
 * A certificate that has expired or was replaced leads from ADMITTING to RENEW_ONLY instead: there Renew
 * is taken and nothing else. A replica whose own changes are not those that the city has of it is FORKED:
 * it may ask for a new identity and nothing else. A replica that was retired is SERVED one way: what it hands in goes to the
 * quarantine, and no entry goes down.
 *
 * A county that has more than a city that was restored leads from ADMITTING to REFILLING (refill.c): it hands
 * entries back, then leaves and comes again.
 *
 * In SERVING two flows run side by side and neither waits for the other:
 *  - up:   Push -> checked, decoded -> submit -> merged -> (entries, Refused)
 *  - down: heads advance -> read request -> batch ready -> Entries, `shared` always before the site
 *
 * Bounds: at most push_window + WIRE_BATCH_MAX changes unanswered, unmerged_max bytes of them before
 * reading pauses, unsent_max bytes of output before reads pause. Every wait has a deadline. */
#ifndef ZTC_SERVER_SESSION_H
#define ZTC_SERVER_SESSION_H

#include "common/base/id.h"
#include "common/ledger/change.h"
#include "common/wire/body.h"
#include "common/wire/frame.h"
#include "server/core/blob.h"

#define SERVER_STREAMS 2u /* `shared`, then the site's own */

/* X(constant, name for traces) */
#define SERVER_STATES(X)                                                                           \
    X(WAITING, "waiting")     /* for the handshake */                                              \
    X(GREETING, "greeting")   /* for Hello */                                                      \
    X(ADMITTING, "admitting") /* for what the store knows of the replica */                        \
    X(RENEW_ONLY, "renew-only")                                                                    \
    X(FORKED, "forked")                                                                            \
    X(REFILLING, "refilling") /* the city was restored, the county hands back what it has */           \
    X(SERVING, "serving")                                                                          \
    X(CLOSING, "closing") /* Bye is in the output */                                               \
    X(CLOSED, "closed")

enum server_state {
#define X(name, text) SERVER_##name,
    SERVER_STATES(X)
#undef X
};

const char *server_state_name(enum server_state state);

struct server_session;

/* Settings of all sessions; outlive them. Durations in milliseconds. */
struct server_options {
    uint32_t push_window;  /* changes; 0: the city takes none now */
    size_t unmerged_max;   /* bytes of submitted changes after which reading pauses */
    size_t unsent_max;     /* bytes of output after which no batch is read */
    uint32_t read_entries; /* a batch: at most … */
    uint32_t read_bytes;   /* … expanded, unless one act is larger */
    uint32_t hello_within;
    uint32_t store_within; /* facts, merge, read */
    uint32_t drain_within; /* output without the peer taking any */
    uint32_t ping_every, dead_after;
    uint32_t retry_after; /* told when the city cannot now */
    void (*trace)(void *ctx, const struct server_session *s, enum server_state from); /* or NULL */
    void *trace_ctx;
};

extern const struct server_options server_options_preset;

enum server_due {
    SERVER_DUE_PEER,
    SERVER_DUE_FACTS,
    SERVER_DUE_MERGE,
    SERVER_DUE_READ,
    SERVER_DUE_REFUSALS,
    SERVER_DUE_SLICE,
    SERVER_DUE_REFILL, /* REFILLING: the peer, or the store */
    SERVER_DUE_HISTORY,
    SERVER_DUE_RENEW, /* RENEW_ONLY, FORKED: what the peer came to ask for, then its end */
    SERVER_DUE_ISSUE, /* a certificate, or word on where the chains part */
    SERVER_DUE_DRAIN,
    SERVER_DUE_BLOB,
    SERVER_DUE_TELL,
    SERVER_DUES
};

struct server_stream {
    uint32_t stream;
    uint64_t sent; /* last seq given to the peer */
    uint64_t head; /* last committed seq known */
    bool loading;  /* its snapshot has not ended and was not declined: no entries */
    bool back;     /* REFILLING: it must go back to back_to */
    union {
        struct { /* SERVING */
            uint64_t welcomed; /* the head that Welcome showed */
            uint64_t stop_at;  /* a batch ends here: an answer about tables is of this seq */
        };
        struct { /* REFILLING: entries to be handed back, none when from > upto */
            uint64_t first_asked, ask_from, ask_upto, back_to;
        };
    };
};

struct server_session {
    const struct server_options *options;
    enum server_state state;
    int cause; /* why it closes: E_*, 0 for an orderly end */
    int hold;  /* why it takes no changes now: E_*, 0 while it does */
    msec_t since;       /* when this state was entered; 0: WAITING */
    msec_t progress_at; /* when something last moved, either way */
    struct id replica;
    uint32_t site;

    /* private */
    uint32_t protocol;       /* agreed on */
    uint64_t own_n, acked_n; /* from Hello */
    bool has_acked;
    uint8_t own_chain[HASH_SIZE], acked_chain[HASH_SIZE];
    struct server_stream streams[SERVER_STREAMS];
    uint64_t expect_n;       /* next change to be submitted */
    uint64_t answered_n;     /* the last the writer answered */
    size_t unmerged;         /* bytes and sidecars submitted and not answered */
    size_t unsent;           /* bytes of output the peer's socket has not taken */
    uint64_t refusals_from;  /* further stored refusals to read and send; 0: none */
    unsigned renewals;       /* asked for in this session */
    unsigned identity_asks;  /* likewise */
    bool refilled;           /* something was handed back */
    bool gone_back;          /* it was told to go back */
    bool hands_in;           /* retired: it receives nothing */
    bool decided;            /* while refusals are being read: read them once more */
    struct server_lane lanes[SERVER_LANES];
    uint32_t told_stream, told_kind; /* of the question about tables under way; stream 0: none */
    bool told_rows;                  /* it was for rows */
    msec_t due[SERVER_DUES]; /* deadlines; 0: not waiting for this */
};

/* ---- events ---- */

/* A refusal as the store has it; slices live during the step. */
struct server_refusal {
    uint64_t first_n, last_n, at_n;
    struct slice code, text;
    bool quarantined;
};

struct server_head {
    uint32_t stream;
    uint64_t seq;
};

/* The answer to tell, all of one moment. Slices live during the step. */
struct server_told {
    int ret;
    uint64_t seq; /* of the stream */
    Ztc__DigestTell__Form form;
    struct slice list;
    const struct slice *rows; /* when ids were asked for: of the first `covered` of them */
    size_t n_rows;
    uint32_t covered;
};

struct server_signed {
    struct slice head, signature;
};

/* What the replica may do. */
enum server_standing { SERVER_FULL, SERVER_MAY_RENEW, SERVER_MAY_HAND_IN };

/* What the store knows, all of one moment. */
struct server_facts {
    enum server_standing standing;
    uint8_t authorities[HASH_SIZE]; /* digest of the CAs to be trusted now */
    bool has_authorities;
    struct id incarnation;
    uint32_t catalogue;
    uint64_t accepted_n;
    uint8_t accepted_chain[HASH_SIZE];        /* of the replica's changes at accepted_n */
    uint8_t acked_chain[HASH_SIZE];           /* at the Hello's acked_n, when <= accepted_n */
    struct server_head heads[SERVER_STREAMS]; /* of `shared` and the site's stream */
    bool restored; /* the city was: what the county has above it is no fork */
    struct {
        uint64_t from_seq, upto_seq; /* it can prove them; none when from > upto */
        bool back;
        uint64_t back_to;
    } refill[SERVER_STREAMS];
    bool cursor_ok[SERVER_STREAMS]; /* the log has the cursor's hash there (or seq is 0) */
    const struct server_signed *signed_heads; /* for Welcome, `city` among them */
    size_t n_signed_heads;                    /* at most WIRE_HEADS_MAX */
    const struct server_refusal *refusals;    /* the first ones not acknowledged, by n */
    size_t n_refusals;
    bool more_refusals;
};

/* A certificate that was issued, and the CAs to be trusted. */
struct server_issued {
    int ret;
    struct slice certificate;
    const struct slice *authorities, *endorsements; /* DER, newest first; one less of them */
    size_t n_authorities;
};

enum server_event_kind {
    SERVER_OPEN,     /* the handshake is done */
    SERVER_FRAME,    /* a checked frame */
    SERVER_BROKEN,   /* the decoder refused the peer's bytes */
    SERVER_HEARD,    /* bytes came, no frame is whole yet */
    SERVER_FACTS,    /* answer to ask */
    SERVER_MERGED,   /* of what was submitted, everything up to answered_n is durable */
    SERVER_HEADS,    /* streams advanced: all of one commit in one event */
    SERVER_READ,     /* answer to read */
    SERVER_REFUSALS, /* answer to read_refusals_from */
    SERVER_SLICE,    /* answer to slice */
    SERVER_HISTORY,  /* answer to history */
    SERVER_RENEWED,  /* answer to renew */
    SERVER_IDENTITY, /* answer to identity */
    SERVER_HOLD,     /* the store refuses to be written, or takes again what it is given */
    SERVER_OFFER,    /* the city's CAs have changed: the replica should renew */
    SERVER_DECIDED,  /* stored refusals have changed: read and send them again */
    SERVER_TOLD,     /* answer to tell */
    SERVER_NOTED,    /* a repaired is durable */
    SERVER_REFILLED, /* answer to refill */
    SERVER_BLOB,     /* answer to blob */
    SERVER_DRAINED,  /* the socket took output */
    SERVER_TIMER,    /* the deadline has come (early or late does no harm) */
    SERVER_END,      /* shutdown, revocation, a newer session of the replica */
    SERVER_GONE,     /* the connection is closed */
};

struct server_event {
    enum server_event_kind kind;
    msec_t now;   /* monotonic; never 0 */
    msec_t clock; /* the city's time, since the Unix epoch */
    /* What the update points to lies here. The driver may keep the arena until the work is done. */
    struct arena *arena;
    struct body_codec *codec;
    union {
        struct {
            struct id replica;
            uint32_t site;
            int ret; /* 0, or E_REVOKED, E_EXPIRED …: the session ends at once */
        } open;
        const Ztc__Frame *frame;
        int broken;
        struct {
            int ret;
            const struct server_facts *facts;
        } facts;
        struct {
            int ret; /* not 0: nothing is known, the session ends */
            uint64_t answered_n;
            size_t bytes; /* and sidecars, of what is answered by this; 0: told when all is answered */
            const struct server_refusal *refusals;
            size_t n_refusals;
        } merged;
        struct {
            const struct server_head *heads;
            size_t n_heads;
        } heads;
        struct {
            int ret;
            uint32_t stream;
            uint64_t first_seq;
            uint32_t count;
            uint32_t size;     /* expanded */
            struct slice body; /* compressed */
            struct server_signed closing;
        } read;
        struct {
            int ret;
            const struct server_refusal *refusals;
            size_t n_refusals;
            bool more;
        } refusals;
        struct server_issued renewed;
        struct {
            bool agrees; /* at agreed_n, the last such of the points */
            uint64_t agreed_n;
            uint32_t k; /* 0: no identity was asked for */
            struct server_issued issued; /* its certificate; ret of all of this */
        } identity;
        struct {
            int ret; /* E_AUTH: not under a head of this city */
        } refilled;
        struct server_blob_answer blob;
        int hold;      /* SERVER_HOLD: why; 0: it takes again */
        struct {
            int ret;
            uint32_t stream;
            uint64_t seq; /* when it was read */
            uint32_t count, size;
            struct slice body, next; /* next empty: the last */
        } slice;
        struct {
            int ret;
            uint32_t stream;
            uint64_t first_seq;
            uint32_t count, size;
            struct slice body;
        } history;
        const struct server_told *told;
        const Ztc__Repaired *noted; /* as it came */
        size_t unsent; /* SERVER_DRAINED: bytes still to be taken */
        struct {
            int cause;
            uint32_t retry_after;
        } end;
    };
};

/* ---- updates ---- */

struct push_item {
    struct slice bytes, side;
    struct change change; /* decoded; its replica, n, stream and place in the act are checked */
};

enum server_close { SERVER_KEEP, SERVER_CLOSE_FLUSHED, SERVER_CLOSE_NOW };

struct server_update {
    struct buf out; /* frames to send, appended; the driver empties it */
    bool reading;   /* feed further frames; false: stop reading the socket */

    /* Look up the facts of this Hello. */
    const Ztc__Hello *ask;

    /* Merge whole acts in order: hash them, check their sides, then to the writer. */
    const struct push_item *submit;
    uint32_t submit_count;

    /* Read entries of one stream, whole acts, at least one; answer SERVER_READ. The replica's own
     * changes with n above echo_above travel as their echo, unless they were refused before. */
    struct {
        bool wanted;
        uint32_t stream;
        uint64_t from_seq, upto_seq;
        uint64_t echo_above;
        uint32_t max_entries, max_bytes;
    } read;

    /* Read a slice of a snapshot; answer SERVER_SLICE. AFTER is empty at the beginning. */
    struct {
        bool wanted;
        uint32_t stream;
        struct slice after;
        uint32_t max_bytes;
    } slice;

    /* Read older entries, whole acts, at least one, none as an echo; answer SERVER_HISTORY. */
    struct {
        bool wanted;
        uint32_t stream;
        uint64_t from_seq, upto_seq;
        uint32_t max_entries, max_bytes;
    } history;
    const Ztc__DigestAsk *tell;           /* answer SERVER_TOLD */
    const Ztc__Repaired *repaired;        /* store it; answer SERVER_NOTED, unless that fails */

    /* Keep these entries aside; with the last of a stream take them all, if they prove right. */
    struct {
        const Ztc__EntriesBody *body; /* NULL: none */
        uint32_t stream;
        uint64_t first_seq;
        uint64_t from_seq; /* the first of the stream that was asked for */
        bool last;
    } refill;

    uint64_t read_refusals_from; /* 0: none; answer SERVER_REFUSALS */

    /* Issue a certificate for its key. */
    const Ztc__Renew *renew;

    /* Compare the own chain at these points; with a request, make it another replica of its site. */
    const Ztc__NewIdentity *identity;

    /* Store the acknowledgement of a refusal. */
    const Ztc__RefusedAck *refused_ack;

    /* Of attachments, for each lane: off the loop where it touches files. */
    struct server_blob_want blob[SERVER_LANES];

    /* The replica said how it stands (what Hello said is in ask). */
    const Ztc__Statement *said;

    enum server_close close;
    msec_t deadline; /* call with SERVER_TIMER then; 0: never */
};

void server_update_init(struct server_update *up);
void server_update_release(struct server_update *up);

/* ---- the machine ---- */

/* OPTIONS are borrowed. Nothing is allocated; there is no release. */
void server_session_init(struct server_session *s, const struct server_options *options);

/* One event. UP is cleared first, except for out. After SERVER_GONE the session is over. */
void server_session_step(struct server_session *s, const struct server_event *ev,
                         struct server_update *up);

/* The bytes of a frame the peer may send now. */
size_t server_session_frame_max(const struct server_session *s);

/* Stops the program when the state contradicts itself. */
void server_session_check(const struct server_session *s);

#endif
