/* Attachments of a session at the county: one up and one down at a time, chunk by chunk.
 *
 *   up      IDLE ──look──► LOOKING ──found──► ASKED (BlobHave) ──BlobWant──► DUE ──line quiet──► WORKING
 *                             ▲                 ▲                                                  │ read
 *                             │                 └──────────────── BlobChunk ◄──────────────────────┘
 *                             └── SETTLING ◄── BlobDone
 *
 *   down    IDLE ──look──► LOOKING ──found──► ASKED (BlobWant) ──BlobChunk──► WORKING ──written──► ASKED …
 *                             └── SETTLING ◄── the last is verified, or BlobDone
 *
 * Who receives asks for each chunk, so one chunk at most is under way a direction, and what else a session
 * has to say overtakes after it. A chunk is read only when the line is quiet: nothing unsent, nothing to
 * push. OFF: not now (a disk is full, the city is busy); again after a while. */
#ifndef ZTC_CLIENT_BLOB_H
#define ZTC_CLIENT_BLOB_H

#include "common/base/buf.h"
#include "common/base/cal.h"
#include "common/base/id.h"
#include "common/ledger/hash.h"

enum client_lane_name { CLIENT_LANE_UP, CLIENT_LANE_DOWN, CLIENT_LANES };

/* X(constant) */
#define CLIENT_LANE_STATES(X) X(IDLE) X(LOOKING) X(ASKED) X(DUE) X(WORKING) X(SETTLING) X(OFF)

enum client_lane_state {
#define X(name) CLIENT_LANE_##name,
    CLIENT_LANE_STATES(X)
#undef X
};

struct client_lane {
    enum client_lane_state state;
    struct id attachment;
    uint8_t hash[HASH_SIZE];
    uint64_t size, offset; /* of the next chunk */
    uint64_t bytes;        /* moved in this session */
    msec_t since;          /* ASKED: when */
    msec_t until;          /* OFF: when it is tried again */
    unsigned tries;        /* OFF: how often without a chunk between */
    bool look;             /* there may be something to do */
    bool again;            /* this one failed its check once */
};

/* What the driver is asked, and what it answers: at most one a lane under way. */
enum client_blob_ask {
    CLIENT_BLOB_NOTHING,
    CLIENT_BLOB_NEXT,  /* which attachment; down: and how much of it is here, up: E_BLOB_LOST */
    CLIENT_BLOB_READ,  /* up: SIZE - OFFSET bytes, or a chunk of them */
    CLIENT_BLOB_WRITE, /* down: BYTES; behind the last, verify and keep it */
    CLIENT_BLOB_SETTLE /* note what became of it */
};

struct client_blob_want {
    enum client_blob_ask ask;
    struct id attachment;
    uint8_t hash[HASH_SIZE];
    uint64_t size, offset;
    uint32_t len;       /* READ */
    struct slice bytes; /* WRITE: lives during the step */
    int ret;            /* SETTLE: 0 done, else why not */
};

struct client_blob_answer {
    enum client_lane_name lane;
    enum client_blob_ask ask; /* what is answered */
    int ret;                  /* READ and WRITE: E_* of the files; NEXT and SETTLE: of the store */
    bool found;               /* NEXT */
    struct id attachment;     /* NEXT, and below */
    uint8_t hash[HASH_SIZE];
    uint64_t size, offset;
    struct slice bytes; /* READ */
};

/* Trouble that passes: nothing is wrong with the attachment, it is tried again later. */
bool client_blob_passes(int ret);

#endif
