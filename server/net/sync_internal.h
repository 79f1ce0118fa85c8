/* What the files of the synchronisation port share. */
#ifndef ZTC_SERVER_SYNC_INTERNAL_H
#define ZTC_SERVER_SYNC_INTERNAL_H

#include "common/base/log.h"
#include "common/base/mem.h"
#include "server/net/facts.h"
#include "server/net/uv_sync_port.h"

#define SWEEP_MS       100
#define FRAME_ARENA    (24u << 20) /* of one event: a frame unpacked, its changes decoded */

#define ENDINGS_MAX    4096       /* replicas whose last end is remembered */

struct conn;

struct ending {
    struct id replica;
    struct sync_ending end;
};

/* A head that a Hello showed, for what is handed back under it. */
struct shown_head {
    size_t head_len, signature_len;
    uint8_t head[WIRE_SIGNED_MAX], signature[WIRE_SIGNED_MAX];
};

struct sync_port {
    uv_loop_t *loop;
    struct net *net;
    struct writer *writer;
    struct reader *reader;
    struct feed *feed;
    const struct server_options *options;
    const struct hasher *hasher;
    msec_t (*clock)(void);
    const char *blobs; /* the folder of attachments' bytes */
    unsigned jobs; /* of no connection, under way */
    struct authorities *authorities;
    struct listener *listener;
    uv_timer_t sweep;  /* deadlines */
    uv_check_t drains; /* sockets that took output, after each round of the loop */
    unsigned handles;  /* of the two above and the listener, still open */
    struct body_codec codec;
    struct conn *conns; /* all of them */
    struct sync_port_counts counts;
    uint64_t next_no;
    bool draining;
    struct ending *endings; /* one a replica */
    size_t n_endings;
    int hold; /* why the store takes nothing; 0 while it does */
    void (*close_cb)(void *ctx);
    void *close_ctx;
};

/* One connection. Lives until its stream is gone and no work of it is under way. */
struct conn {
    struct sync_port *port;
    struct conn *next, **at;
    uint64_t no; /* for the log */
    struct stream *stream; /* NULL: closed */
    struct server_session session;
    struct server_update up;
    struct frame_reader frames;
    struct arena arena; /* of the event under way */
    struct buf rest;    /* input that came with what made us pause */
    bool paused;
    bool wants_read;    /* a batch, not yet begun */
    bool reading;       /* a batch is under way at the reader */
    bool undrained;     /* unsent output, watched by `drains` */
    bool served;        /* was SERVING */
    bool answered;      /* a push of its own since heads were last told */
    unsigned depth;     /* of steps within steps */
    unsigned held;      /* by callers that still need it */
    unsigned jobs;      /* under way anywhere */
    struct batch_limits limits; /* of the batch wanted */
    uint32_t read_stream;
    uint64_t read_from;
    struct read_job read;
    struct replica_claim claim;
    struct blob_job *blobs[SERVER_LANES]; /* under way; NULL: none */
    struct merge_job *merges, **merges_last; /* all of them, in order: hashed, then written */
    struct shown_head shown[SERVER_STREAMS];
    uint8_t own_chain[HASH_SIZE]; /* of the replica's changes, as far as its pushes are hashed */
};

/* ---- uv_conn.c ---- */

void conn_open(struct sync_port *p, struct stream *s, const struct cert *peer);

/* One event through the session, and what follows from it. */
void conn_step(struct conn *c, struct server_event *ev);

/* Read on if a pause is over. */
void conn_resume(struct conn *c);

void conn_timer(struct conn *c, msec_t now);
void conn_drained(struct conn *c);
void conn_hold(struct conn *c, int hold);
void conn_end(struct conn *c, int cause, uint32_t retry_after);

/* A job of it has ended; frees it when it was the last and the stream is gone. */
void conn_job_done(struct conn *c);

struct server_event conn_event(const struct conn *c, enum server_event_kind kind);

/* ---- uv_conn_jobs.c ---- */

int conn_ask(struct conn *c, const Ztc__Hello *hello);
int conn_submit(struct conn *c, const struct push_item *items, uint32_t count);
int conn_read_refusals(struct conn *c, uint64_t from_n);
int conn_refused_ack(struct conn *c, const Ztc__RefusedAck *m);
void conn_said(struct conn *c, const Ztc__Statement *said);

/* ---- uv_conn_blob.c ---- */

/* What a lane asks for; the answer is an event. E_NOMEM: there will be none. */
int conn_blob(struct conn *c, enum server_lane_name lane, const struct server_blob_want *want);

/* Work of it that is not committed yet shall not be. */
void conn_cancel(struct conn *c);

/* ---- uv_conn_snapshot.c ---- */

int conn_read_slice(struct conn *c, const struct server_update *up);
int conn_read_history(struct conn *c, const struct server_update *up);
/* ---- uv_conn_digest.c ---- */

int conn_tell(struct conn *c, const Ztc__DigestAsk *m);
int conn_note(struct conn *c, const Ztc__Repaired *m);

/* ---- uv_conn_refill.c ---- */

/* The store begins a new life, which recovers. */
void conn_freeze(struct sync_port *p);
int conn_refill(struct conn *c, const struct server_update *up);

/* ---- uv_conn_renew.c ---- */

int conn_renew(struct conn *c, const Ztc__Renew *m);

/* ---- uv_conn_identity.c ---- */

int conn_identity(struct conn *c, const Ztc__NewIdentity *m);

/* ---- uv_sync_port.c ---- */

/* The session of a replica, known by its certificate, has ended. */
void port_ended(struct sync_port *p, const struct id *replica, int cause);

void port_refused(struct sync_port *p, const char *who, int ret, const char *text);
void port_conn_gone(struct sync_port *p);
void port_released(struct sync_port *p); /* a job of its own has ended */

/* Other connections of the same replica end: the newest is the one that lives. */
void port_supersede(struct sync_port *p, const struct conn *newest);

msec_t port_monotonic(const struct sync_port *p);

#endif
