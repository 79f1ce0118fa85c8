/* SQLite's write-ahead log, read as a file by who follows it.
 *
 *   header (32 bytes) | frame | frame | ...
 *   frame: page number, pages of the database after a commit (else 0), two salts, two sums (24 bytes); a page
 *
 * All numbers are big-endian. The salts are the header's: when a log begins anew its salts change, and what lies
 * behind its new end is what is left of the log before. The sums of a frame go on from those of the frame before, so
 * that a frame is valid only behind its own predecessor (sqlite.org/fileformat2.html#walformat). */
#ifndef ZTC_LEDGER_WAL_H
#define ZTC_LEDGER_WAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WAL_HEADER_BYTES 32u
#define WAL_FRAME_BYTES  24u
#define WAL_PAGE_MAX     65536u

struct wal {
    uint8_t header[WAL_HEADER_BYTES];
    uint32_t page_bytes;
    uint32_t salt; /* the first: one more whenever the log begins anew */
    bool first;    /* the file had no log before */
    bool big;      /* the sums add big-endian numbers */
};

/* A place between two frames. */
struct wal_place {
    uint64_t at; /* in the file */
    uint32_t sum[2];
};

/* 1; 0: the file has no log, or not yet a whole header; E_IO. */
int wal_read(int fd, struct wal *ret);

/* Before the first frame. */
struct wal_place wal_start(const struct wal *w);

/* Read the frame at P into FRAME (its head and the page: WAL_FRAME_BYTES + page_bytes) and move P behind it. 1; 0:
 * there is no valid one yet; E_IO. RET_COMMIT: it ends a transaction. */
int wal_next(const struct wal *w, int fd, struct wal_place *p, uint8_t *frame, bool *ret_commit);

/* Whether the frame that ends at P is still what it was: 1, 0, or E_IO. */
int wal_stands(const struct wal *w, int fd, const struct wal_place *p);

#endif
