/* What the files of the simulated world share. */
#ifndef ZTC_SIM_WORLD_INTERNAL_H
#define ZTC_SIM_WORLD_INTERNAL_H

#include "client/store/blobs.h"
#include "server/net/tail.h"
#include "server/store/city_recover.h"
#include "tests/lib/disk.h"
#include "tests/sim/world.h"

#define CITY_ACCOUNT_LOGIN "city"

struct world;
struct link;

/* ---- events in time ---- */

struct event {
    msec_t at;
    uint64_t no; /* breaks ties: the order of making */
    void (*fire)(struct world *w, void *subject);
    void *subject;
};

/* ---- the network ---- */

enum { TO_CITY, TO_COUNTY };

/* What befalls the next chunk of a direction. */
enum chunk_fault { CHUNK_WHOLE, CHUNK_LOST, CHUNK_DELAYED, CHUNK_TWICE, CHUNK_CORRUPTED };

struct chunk {
    struct chunk *next;
    enum chunk_fault fault;
    size_t len;
    uint8_t data[];
};

/* One connection; kept until the world ends. */
struct link {
    struct world *w;
    struct link *next;
    unsigned replica;
    bool client_open, server_open;
    bool silent[2]; /* nothing comes through any more, and nobody is told */
    bool hole[2];   /* a chunk is missing: the next one does not fit */
    bool garbage;   /* reached a frame reader */
    enum chunk_fault fault[2];
    struct client_session cs;
    struct client_update cup;
    struct frame_reader client_in;
    struct server_session ss;
    struct server_update sup;
    struct frame_reader server_in;
    struct chunk *pipe[2], **pipe_end[2]; /* by direction */
    msec_t due[2];                        /* no chunk overtakes another */
    struct buf rest[2];                   /* came while reading was paused */
    struct body_codec codec;
    struct buf packed;
    uint8_t own_chain[HASH_SIZE]; /* of the replica, behind what was submitted */
    bool resumes, sliced; /* a snapshot was under way when it began; a slice came */
    struct client_shown shown[SERVER_STREAMS]; /* heads of its Hello, as the city keeps them */
    bool forged;                               /* it handed back what never was */
    bool not_taken;                            /* what it handed back was refused: a person looks at it */
};

/* ---- the city's writer ---- */

enum job_kind { JOB_FACTS, JOB_PUSH, JOB_ACK, JOB_CITY_ACT, JOB_REFUSALS, JOB_NOTE,
                JOB_SAID, JOB_BLOB, JOB_AGREED, JOB_SUCCEED, JOB_HEARD, JOB_FREEZE, JOB_REFILL, JOB_CLOSE };

struct job {
    struct job *next;
    enum job_kind kind;
    struct link *link; /* NULL: JOB_CITY_ACT */
    struct arena arena;
    /* JOB_FACTS: what Hello said */
    uint64_t own_n, acked_n;
    uint8_t acked_chain[HASH_SIZE];
    struct city_cursor cursors[SERVER_STREAMS + 1]; /* the last: its witness of `city` */
    uint64_t adopt_n; /* JOB_HEARD, too: what it knows answered and the city does not; 0: nothing */
    uint64_t shown[SERVER_STREAMS + 1]; /* likewise: seqs of its heads */
    /* JOB_REFILL */
    struct refilled *entries;
    uint32_t stream;
    uint64_t first_seq, from_seq, taken;
    bool last;
    int word; /* why nothing was taken */
    /* JOB_PUSH */
    struct slice *bytes, *sides;
    size_t n;
    uint8_t own_chain[HASH_SIZE]; /* before them */
    bool chained;                 /* that is known */
    uint64_t answered_n;
    /* JOB_ACK, JOB_REFUSALS */
    uint64_t first_n, until_n;
    struct city_repair repair; /* JOB_NOTE */
    struct statement said;     /* JOB_SAID */
    /* JOB_AGREED, JOB_SUCCEED: N points, and how many of them agree */
    struct own_point *points;
    size_t agreed;
    struct id successor;
    uint32_t k;
    /* JOB_BLOB */
    struct server_blob_want blob;
    struct server_blob_answer told;
    bool held; /* all of it is there and verified */
    struct server_facts facts;
    struct server_signed heads[3];
    struct server_refusal *refusals;
    size_t n_refusals, cap_refusals;
    int ret;
};

/* ---- people ---- */

struct sim_replica {
    unsigned no;
    struct disk *disk;
    struct replica *r; /* NULL: its computer is down */
    struct id id, clerk;
    struct id first_id; /* before it became another */
    uint64_t base;      /* changes up to here it made under that; 0: it is what it was */
    struct id owner; /* the account its people work under */
    uint32_t site;
    struct link *link; /* the newest */
    unsigned attempt;
    bool late;    /* it joins while others work: late.c */
    bool offline; /* left so by its office */
    bool by_bundle, heals_by_bundle; /* bundles.c: an office without a line; it stays so to the end */
    uint64_t durable_n; /* own_n after the last act it was told is kept */
    uint64_t cursor;    /* of the site's stream when it crashed */
    bool killed;        /* then: the power stayed */
    msec_t blocked_until[2]; /* by direction: a partition */
    int64_t skew;            /* of its clock */
    /* fault_copy.c */
    struct disk *backup, *newer; /* NULL: none */
    bool restored;               /* it runs on the backup, and nobody knows what of it yet */
    bool returns;                /* then: its owner finds the newer disk when it is found out */
    bool set_up_again;           /* it once did */
    uint64_t backup_n;           /* own changes on the backup */
    bool copied, is_copy;        /* fault_clone.c: one of two with one identity; the second of them */
    unsigned twin;               /* the other */
    uint64_t twin_n;             /* own changes of both */
    bool gone;                   /* declared lost or retired */
    bool over;                   /* and it knows: it does not come back */
    uint64_t newer_n;            /* durable_n of the newer disk */
    uint64_t saw[CLIENT_STREAMS]; /* how far its people could see, since it was switched on */
};

struct record {
    struct id id;
    const struct kind *kind;
    uint32_t site;
};

/* One field as its author saw and set it. */
struct edit {
    unsigned replica;
    uint64_t n;
    struct id record;
    uint32_t tag;
    uint64_t shown, set; /* fingerprints of values */
    bool former;         /* by one who was set up again since, from a backup that has it not */
};

#define SIM_SITES   2
#define STREAMS_MAX 16u
#define POOL_MAX    (SIM_SITES * REPLICAS_MAX) /* computers of the template */

extern const uint32_t sim_sites[SIM_SITES];

/* ---- a city put back from a backup: fault_restore.c ---- */

struct restore {
    struct disk *backup; /* NULL: none */
    bool barred; /* a computer ran on its own backup, or was shut out: then the city is left alone */
    bool due;            /* the store on the disk is the backup and has not begun its new life */
    bool silent;         /* nobody told it: a head it had signed must. Nobody works there till then, or
                          * one life would have two histories: what the heads file is against */
    bool worked;         /* acts were merged in the new life */
    int only;            /* then: the one computer that the city hears until it knows; -1: all */
    int forger;          /* hands back what never was, once; -1: none */
    msec_t patience;     /* of the operator, by the clock of the world */
    struct server_head lost[16]; /* where the streams stood that are lost */
    unsigned n_lost;
    struct server_head held[16]; /* and how far computers hold them under a signed head */
    unsigned n_held;
};

struct world {
    const struct world_options *o;
    struct random_seeded seeded;
    struct random random;
    msec_t now;
    int64_t skew; /* of the city's clock */
    uint64_t trace;
    struct event *heap;
    size_t n_heap, cap_heap;
    uint64_t next_no;
    uint64_t counts[SIM_EVENT_KINDS];
    char *why; /* first failure; empty: none */

    struct city *city; /* NULL: down */
    struct disk *city_disk;
    struct server_head told[STREAMS_MAX]; /* heads that left the city */
    unsigned n_told;
    struct job *jobs, **jobs_end;
    bool commit_due;
    int hold;          /* why the city's sessions take no changes; 0: they do */
    unsigned retry_ms; /* 0 while the city's store takes what it is given */
    bool crash_before, crash_after; /* at the next commit of a push */
    struct restore restore;

    struct sim_replica replicas[REPLICAS_MAX];
    unsigned n_replicas;
    struct link *links;
    struct record records[RECORDS_MAX];
    unsigned n_records;
    struct edit *edits;
    unsigned n_edits;
    struct id studio[2], member[2]; /* by place of the site */
    struct client_options eager;   /* of a replica that joins late */
    struct server_options sparing; /* of the city towards it */
    struct id second[SIM_SITES];   /* accounts besides the clerk's */
    bool switched_off[SIM_SITES];  /* those */
    uint32_t city_catalogue;       /* of the program that it runs */
    bool newer, newer_kinds;       /* that knows more than its counties: fields; kinds, too */
    struct parcel *parcels;        /* on the way, or arrived */
    struct blobs *blobs;           /* NULL: nobody has files in this world */
    unsigned acts_left, faults_left;
    bool healing;
    msec_t healing_since;
};


/* world.c */
void world_fail(struct world *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void world_say(struct world *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void world_at(struct world *w, msec_t delay, void (*fire)(struct world *w, void *subject),
              void *subject);
uint64_t world_roll(struct world *w, uint64_t bound);
void world_trace(struct world *w, const void *p, size_t len); /* into the hash of what happened */
msec_t world_clock(const struct world *w, int64_t skew);      /* what a clock that is off shows */

/* computers.c */
int computers_template(struct world *w);
void computers_template_release(void);
bool computers_begin(struct world *w);
void computers_release(struct world *w);
bool computers_open_city(struct world *w);
bool computers_open_replica(struct world *w, struct sim_replica *r);
void computers_replica_back(struct world *w, void *replica); /* one that is off; tried until it opens */
void computers_crash_city(struct world *w);
void computers_city_back(struct world *w, void *subject);
void computers_crash_replica(struct world *w, struct sim_replica *r);
void computers_stop_replica(struct world *w, struct sim_replica *r, msec_t down_for); /* in order */
void computers_look(struct world *w); /* crash those whose power a fault took */

/* The store's failure RET is the fault of a disk that fails just now. */
bool computers_excuse(const struct disk *d, int ret);

/* faults.c, and one file for each kind of fault: what happens while people work. HEAL takes away what
 * lasts. R is a replica picked by chance. */
void faults_begin(struct world *w);
void faults_heal(struct world *w);

struct fault {
    unsigned weight;
    void (*strike)(struct world *w, struct sim_replica *r);
};
struct faults {
    const struct fault *list;
    unsigned n;
};
extern const struct faults fault_crashes, fault_network, fault_disks, fault_clocks, fault_damages,
    fault_copies, fault_clones, fault_restores, fault_revocations;

void fault_revoke_begin(struct world *w); /* the operator looks at what is kept aside */
void fault_revoke_opened(struct world *w); /* the city is back: what of the operator's deeds it knows */
void fault_skew_begin(struct world *w);
void fault_skew_heal(struct world *w);
int fault_skew_act(struct world *w, struct arena *a, struct err *err); /* of a city that is newer */
void fault_skew_pushed(struct world *w, const struct change *c); /* the city must know what it is sent */
void fault_disks_heal(struct world *w);
void fault_network_heal(struct world *w);

/* The city takes a replica for what it says it is, or not. */
void fault_copy_welcome(struct world *w, struct sim_replica *r, uint64_t own_n);
void fault_copy_forked(struct world *w, struct sim_replica *r);
void fault_copy_release(struct sim_replica *r);

/* The store that was just opened may be a backup: it begins its new life. False: its disk failed. */
bool fault_restore_opened(struct world *w);
void fault_restore_closed(struct world *w); /* the recovery, in a group that will be committed */
void fault_restore_heal(struct world *w);
void fault_restore_release(struct world *w);

/* refill.c: what a city asks and takes while it recovers. */
int refill_facts(struct world *w, struct job *job, const struct replica_row *row, struct err *err);
int refill_run(struct world *w, struct job *job, struct err *err);
void refill_answer(struct job *job);
void refill_hello(struct job *job, const Ztc__Hello *m);
void refill_follow(struct link *l, const struct server_update *up);
void refill_heard(const struct job *facts); /* after they were read, before they are told */
void refill_hand_back(struct link *l, struct client_event *ret, struct err *err);
void refill_go_back(struct link *l, struct client_event *ret, struct err *err);

/* network.c */
void network_connect(struct world *w, void *replica);
void network_cut(struct world *w, struct link *l, bool both);
void network_half_open(struct world *w, struct link *l, int dir); /* only the end that DIR leads to learns */
void network_local(struct world *w, struct sim_replica *r);
void network_city_down(struct world *w, bool told); /* TOLD: the counties hear of it */
void network_client_event(struct link *l, struct client_event *ev);
void network_server_event(struct link *l, struct server_event *ev);
void network_hold(struct world *w, int why);
void network_advanced(struct world *w, const struct server_head *heads, size_t n);
void network_release(struct world *w);

/* writer.c */
struct job *writer_job(struct world *w, enum job_kind kind, struct link *l);
struct slice writer_keep(struct job *job, struct slice s);
int writer_hold(const struct world *w); /* why a city that can write takes no changes; 0 */
void writer_ask(struct link *l, const Ztc__Hello *m);
void writer_submit(struct link *l, const struct push_item *items, uint32_t n);
void writer_ack(struct link *l, const Ztc__RefusedAck *m);
void writer_said(struct link *l, const Ztc__Statement *m);
void writer_refusals(struct link *l, uint64_t from_n);
void writer_tell(struct link *l, const Ztc__DigestAsk *m);
void writer_note(struct link *l, const Ztc__Repaired *m);
/* HELD: its file is whole and verified. */
void writer_blob(struct link *l, const struct server_blob_want *want, bool held);
void writer_city_act(struct world *w);
void writer_tell_heads(struct world *w); /* of what was committed just now */
void writer_drop_all(struct world *w);
void writer_read(struct link *l, const struct server_update *up);

/* 0, or the store's failure: entries of STREAM from FROM on, packed into BODY. */
int writer_batch(struct link *l, uint32_t stream, uint64_t from, const struct batch_limits *limits,
                 struct buf *body, uint32_t *ret_count, uint32_t *ret_size, struct err *err);

/* successor.c */
void successor_ask(struct link *l, struct client_point *points, struct client_event *ret, struct err *err);
void successor_take(struct link *l, struct client_event *ret, struct err *err);
void successor_look(struct world *w, struct sim_replica *r);
void successor_asked(struct link *l, const Ztc__NewIdentity *m);
int successor_run(struct world *w, struct job *job, struct err *err);
void successor_answer(struct job *job);

/* late.c */
void late_begin(struct world *w);
void late_take(struct link *l, struct arena *a, struct client_event *ret, struct err *err);
void late_read(struct link *l, const struct server_update *up);

/* bundles.c */
void bundles_begin(struct world *w);
void bundles_release(struct world *w);
void bundles_round(struct world *w, void *replica); /* what an office without a line does now and then */
bool bundles_quiet(const struct world *w, const struct sim_replica *r); /* one without a line has nothing left to do */

/* blobs.c */
bool blobs_prepare(void); /* once, for all worlds */
void blobs_unprepare(void);
void blobs_begin(struct world *w);
void blobs_release(struct world *w);
void blobs_power_cut(struct world *w, const struct disk *d);
void blobs_judge(struct world *w);

/* Work that a session asks for. True: *RET answers it; else the answer comes by itself. */
bool blobs_client(struct link *l, enum client_lane_name lane, const struct client_blob_want *want,
                  struct client_event *ret, struct err *err);
void blobs_server(struct link *l, const struct server_update *up);
int blobs_run(struct world *w, struct job *job, struct err *err);
void blobs_answer(struct job *job);

/* A file for the record TARGET, now and then; blobs_attached when its act is kept. */
bool blobs_attach(struct world *w, struct sim_replica *r, struct arena *a, const struct row *target,
                  struct draft *ret, struct blob_row *ret_row);
void blobs_attached(struct world *w);
void blobs_fetch(struct world *w, struct sim_replica *r); /* somebody's file, now and then */

/* people.c */
bool people_settle(struct world *w); /* once, in the template */
void people_begin(struct world *w);
void people_act(struct world *w, void *replica);
void people_act_once(struct world *w, void *replica); /* and not again by itself */
int people_city_act(struct world *w, struct arena *a); /* 0, a refusal, or the store's failure */
uint64_t people_fingerprint(const struct value *v);

/* verdict.c */
void verdict_watch(struct world *w); /* while it lives */
void verdict_judge(struct world *w); /* when it has healed */

/* causality.c */

/* Entries FIRST to LAST of STREAM are at R now. */
void causality_arrived(struct world *w, const struct sim_replica *r, uint32_t stream, uint64_t first, uint64_t last);

#endif
