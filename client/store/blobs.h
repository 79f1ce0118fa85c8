/* Which attachments' bytes go up and which come down. */
#ifndef ZTC_CLIENT_BLOBS_H
#define ZTC_CLIENT_BLOBS_H

#include "client/store/replica.h"

/* Numbers stand in the file. */
enum blob_way { BLOB_UP = 1, BLOB_DOWN = 2 };
enum blob_state { BLOB_WAITING = 0, BLOB_DONE = 1, BLOB_REFUSED = 2, BLOB_LOST = 3 };

#define BLOB_CODE_SIZE 33

struct blob_row {
    struct id attachment;
    enum blob_way way;
    uint8_t hash[HASH_SIZE];
    uint64_t size;
    enum blob_state state;
    char code[BLOB_CODE_SIZE];
};

/* Note that it shall travel (anew, where it was noted before). Between replica_write_begin and _end it is
 * part of that transaction. */
int replica_blob_want(struct replica *r, const struct blob_row *row, msec_t now, struct err *err);

/* The first one that can travel now: 1, or 0. One that goes up waits until the city has its record. */
int replica_blob_next(struct replica *r, enum blob_way way, struct blob_row *ret, struct err *err);

/* All that wait, in the order of their ids; going up only those whose records the city has, unless ALL. */
int replica_blob_each(struct replica *r, enum blob_way way, bool all,
                      int (*cb)(void *ctx, const struct blob_row *b), void *ctx, struct err *err);

/* What became of it. CODE: NULL for none. */
int replica_blob_settle(struct replica *r, const struct id *attachment, enum blob_way way,
                        enum blob_state state, const char *code, msec_t now, struct err *err);

/* The city says which life it is in. In a new one it may have forgotten what came after its backup: everything
 * that went up, or was told to be lost, is offered again. */
int replica_blob_life(struct replica *r, const struct id *incarnation, struct err *err);

/* A session begins: what the city did not take for its size is offered again, for limits are settings. */
int replica_blob_again(struct replica *r, struct err *err);

/* E_NOTFOUND when it was never noted. */
int replica_blob_get(struct replica *r, const struct id *attachment, enum blob_way way,
                     struct blob_row *ret, struct err *err);

/* Bytes that the site has at the city or announces, each file once: also of voided ones, whose files stay there,
 * but for those that never went up from here. */
int replica_blob_used(struct replica *r, uint64_t *ret, struct err *err);

/* Not voided, and their records not refused. */
int replica_blob_counts(struct replica *r, struct blob_counts *ret, struct err *err);

#endif
