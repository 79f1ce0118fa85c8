/* The bytes of attachments as files beside a database, named by their SHA-256.
 *
 *   ROOT/ab/cdef…          whole and verified: written to another name, synced, renamed
 *   ROOT/part/OWNER-HASH   what has come of one so far; its length is where it goes on
 *
 * A part is synced when it is finished, not before: what a power cut leaves of it is read again whole
 * before it counts. What nobody has gone on with for BLOB_PART_DAYS goes when the next one begins: uploads given
 * up, copies that a crash interrupted. Every function may be called on any thread; none of them belongs on a loop's. */
#ifndef ZTC_BLOB_FILES_H
#define ZTC_BLOB_FILES_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/ledger/hash.h"

#define BLOB_CHUNK    (256u * 1024u) /* bytes that travel and are written at a time */
#define BLOB_NAME_MAX 120u           /* bytes of a file's name */
#define BLOB_PATH_MAX 4096u
#define BLOB_PART_DAYS 30u

struct blob_info {
    uint8_t hash[HASH_SIZE];
    uint64_t size;
    const char *mime;               /* static */
    char name[BLOB_NAME_MAX + 1];   /* sanitised, with an extension that fits the type */
};

/* Make the folders where they are missing. */
int blob_folder(const char *root, struct err *err);

/* Copy the file at PATH in: its hash, size, type and name. E_NOTFOUND, E_TOOBIG (above MAX bytes),
 * E_INVALID (empty, no plain file, a type that is not taken), E_FULL, E_IO. */
int blob_take(const char *root, const char *path, uint64_t max, struct blob_info *ret,
              struct err *err);

/* Bytes of a whole one. E_NOTFOUND. */
int blob_size(const char *root, const uint8_t hash[HASH_SIZE], uint64_t *ret, struct err *err);

/* LEN bytes from OFFSET appended to OUT. E_NOTFOUND; E_CORRUPT when it is shorter. */
int blob_read(const char *root, const uint8_t hash[HASH_SIZE], uint64_t offset, size_t len,
              struct buf *out, struct err *err);

/* The name under which a whole one is handed out. SAID is another computer's word: sanitised, and with an
 * extension that fits the bytes, ".bin" where they are of no type that is taken. E_NOTFOUND. */
int blob_name(const char *root, const uint8_t hash[HASH_SIZE], struct slice said,
              char ret[BLOB_NAME_MAX + 1], struct err *err);

/* Write a whole one to the file TO (replaced), verified on the way: E_CORRUPT, and nothing at TO. */
int blob_save(const char *root, const uint8_t hash[HASH_SIZE], const char *to, struct err *err);

/* All of it is there and what its name says: E_NOTFOUND, E_CORRUPT. */
int blob_check(const char *root, const uint8_t hash[HASH_SIZE], struct err *err);

/* A part, named by who brings it: nobody goes on with what another began. */
struct blob_part {
    uint32_t owner; /* the site; 0: this computer */
    uint8_t hash[HASH_SIZE];
};

/* How much of it is here; 0 when nothing is. */
int blob_part_size(const char *root, const struct blob_part *p, uint64_t *ret, struct err *err);

/* BYTES at OFFSET. E_BUSY when that is above its size: somebody else has finished or forgotten it meanwhile, ask
 * again how much is here. */
int blob_part_write(const char *root, const struct blob_part *p, uint64_t offset,
                    struct slice bytes, struct err *err);

/* All SIZE bytes are here: verify, sync, and make it whole. E_CORRUPT: they are not what the hash says,
 * and gone. */
int blob_part_finish(const char *root, const struct blob_part *p, uint64_t size, struct err *err);

/* Forget it. */
int blob_part_drop(const char *root, const struct blob_part *p, struct err *err);

#endif
