/* Attachments' bytes as the city's store knows them: who has shown that he has them, who may read them,
 * what is still to come and what is lost.
 *
 * Knowing a hash is worth nothing here. Bytes come and go by the id of an attachment's record, and count
 * for a stream once its site has sent every one of them. */
#ifndef ZTC_SERVER_CITY_BLOB_H
#define ZTC_SERVER_CITY_BLOB_H

#include "server/store/city.h"

/* A replica of SITE offers the bytes of ATTACHMENT. *RET_VERIFIED: they are here, shown by this site; else
 * they are expected from now on. E_DENIED (no unvoided record that this site made in its own stream, or
 * another hash or size), E_TOOBIG, E_QUOTA. Writes. */
int city_blob_offer(struct city *c, uint32_t site, const struct id *attachment,
                    const uint8_t hash[HASH_SIZE], uint64_t size, bool *ret_verified,
                    struct err *err);

/* HOLDER (a site, or STREAM_CITY) has brought all bytes, and they are verified. Writes. */
int city_blob_held(struct city *c, uint32_t holder, const uint8_t hash[HASH_SIZE], uint64_t size,
                   struct err *err);

/* SITE says that it no longer has the bytes of ATTACHMENT. Nothing happens when the city has them, or it is
 * not the site's. *RET_ITS: it is, and a part of RET_HASH is of no use any more. Writes. */
int city_blob_lost(struct city *c, uint32_t site, const struct id *attachment, bool *ret_its,
                   uint8_t ret_hash[HASH_SIZE], struct err *err);

/* A replica of SITE wants to read ATTACHMENT. E_DENIED (no unvoided record in a stream it reads),
 * E_BLOB_WAIT (the side that made it has not sent all), E_BLOB_LOST. */
int city_blob_find(struct city *c, uint32_t site, const struct id *attachment,
                   uint8_t ret_hash[HASH_SIZE], uint64_t *ret_size, struct err *err);

/* ---- what is to come ---- */

enum city_blob_state { CITY_BLOB_NONE, CITY_BLOB_COMING, CITY_BLOB_VERIFIED, CITY_BLOB_LOST };

struct city_blob {
    struct id attachment, target;
    uint32_t stream, holder; /* where the record lives; whose bytes count */
    uint8_t hash[HASH_SIZE];
    uint64_t size;
    enum city_blob_state state; /* LOST also when the computer that made it has been revoked */
    struct slice file_name;
};

/* Unvoided attachments in the order of their ids: of RECORD (NULL: of all), and with ALL not set only those
 * whose bytes are not here. On a reader's store too. */
int city_blob_each(struct store *s, const struct id *record, bool all,
                   int (*cb)(void *ctx, const struct city_blob *b), void *ctx, struct err *err);

/* One of them by its record's id. E_NOTFOUND. */
int city_blob_get(struct store *s, const struct id *attachment, struct arena *a,
                  struct city_blob *ret, struct err *err);

/* How many of RECORD (NULL: of all) are still to come, and how many are lost. */
struct city_blob_counts {
    uint64_t waiting, lost;
};
int city_blob_count(struct store *s, const struct id *record, struct city_blob_counts *ret,
                    struct err *err);

/* A person's step at the city on a record whose attachments are still to come waits: E_BLOB_WAIT. Giving
 * the record back does not. */
int city_blob_guard(struct city *c, const struct act *act, struct err *err);

#endif
