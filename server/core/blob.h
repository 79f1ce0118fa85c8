/* Attachments of a session at the city: one up and one down at a time, chunk by chunk.
 *
 *   up      IDLE ──BlobHave──► CHECKING ──(BlobWant)──► ASKED ──BlobChunk──► WORKING ──(BlobWant)──► ASKED …
 *                                 │                                             │ last: verified
 *                                 └──(BlobDone)──► IDLE ◄──────(BlobDone)───────┘
 *
 *   down    IDLE ──BlobWant──► CHECKING ──► DUE ──line quiet──► WORKING ──(BlobChunk)──► OPEN ──BlobWant──► DUE …
 *                                 └──(BlobDone)──► IDLE
 *
 * Everything is asked for by the id of a record; the store looks whether the replica may. A chunk is read
 * only when the line is quiet: nothing unsent, no entries and no refusals to send. */
#ifndef ZTC_SERVER_BLOB_H
#define ZTC_SERVER_BLOB_H

#include "common/base/buf.h"
#include "common/base/cal.h"
#include "common/base/id.h"
#include "common/ledger/hash.h"

enum server_lane_name { SERVER_LANE_UP, SERVER_LANE_DOWN, SERVER_LANES };

/* X(constant) */
#define SERVER_LANE_STATES(X) X(IDLE) X(CHECKING) X(ASKED) X(OPEN) X(DUE) X(WORKING)

enum server_lane_state {
#define X(name) SERVER_LANE_##name,
    SERVER_LANE_STATES(X)
#undef X
};

struct server_lane {
    enum server_lane_state state;
    struct id attachment;
    uint8_t hash[HASH_SIZE];
    uint64_t size, offset; /* of the next chunk */
    msec_t due;            /* CHECKING, WORKING: the store or the disk must have answered */
};

enum server_blob_ask {
    SERVER_BLOB_NOTHING,
    SERVER_BLOB_OFFER, /* up: may it come, and how much of it is here */
    SERVER_BLOB_WRITE, /* up: BYTES; behind the last, verify, keep, and note that it is held */
    SERVER_BLOB_LOST,  /* up: the replica no longer has the bytes; the answer is told */
    SERVER_BLOB_FIND,  /* down: may it be read; its hash and size */
    SERVER_BLOB_READ   /* down: LEN bytes from OFFSET */
};

struct server_blob_want {
    enum server_blob_ask ask;
    struct id attachment;
    uint8_t hash[HASH_SIZE];
    uint64_t size, offset;
    uint32_t len;       /* READ */
    struct slice bytes; /* WRITE: lives during the step */
};

struct server_blob_answer {
    enum server_lane_name lane;
    enum server_blob_ask ask; /* what is answered */
    int ret;                  /* E_*: why not; the session goes on */
    bool verified;            /* OFFER: it is here already */
    uint64_t offset;          /* OFFER: goes on here */
    uint8_t hash[HASH_SIZE];  /* FIND */
    uint64_t size;
    struct slice bytes; /* READ */
};

#endif
