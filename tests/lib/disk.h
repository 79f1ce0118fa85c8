/* The disk of a simulated computer, under real SQLite: files in memory that know what was synced.
 *
 *   process   --xWrite-->   what the system holds   --xSync-->   what the disk holds
 *   a kill leaves both; a power cut leaves the right side and, by chance, some, none or torn pieces of
 *   what was written since.
 *
 * Pieces are of SECTOR bytes and are kept or lost one by one, in no order; a byte that was not written
 * is never changed. A file whose creation was not synced may vanish, one whose deletion was not may
 * return. A power cut or kill ends every connection: its handles fail from then on and are to be closed.
 *
 * The name of a database is "<name of the disk>/<file>", of the VFS DISK_VFS. One thread. */
#ifndef ZTC_TESTS_DISK_H
#define ZTC_TESTS_DISK_H

#include "common/base/id.h"

#define DISK_VFS    "disk"
#define DISK_SECTOR 512u

struct disk;

/* Register the VFS, as the default one: SQLite's own chance then begins at the same point in every
 * run, see disk_begin_run. Before any other use of SQLite, which from here on counts on one thread.
 * 0 or non-zero. */
int disk_vfs_register(void);

/* SQLite draws the same random numbers after each call. */
void disk_begin_run(void);

/* NULL: out of memory. NAME is without a slash and not in use. */
struct disk *disk_new(const char *name);
void disk_free(struct disk *d); /* NULL does nothing; its databases are closed */

/* Take the files of FROM as they are (a backup, a clone, a template), all of them synced, in place of
 * the disk's own. No database of D is open. 0 or E_NOMEM. */
int disk_copy(struct disk *d, const struct disk *from);

/* ---- crashes ---- */

/* What a power cut did to writes that were not synced. */
struct disk_losses {
    unsigned unsynced; /* writes, truncations, creations and deletions not synced */
    unsigned dropped, torn; /* of them */
};

/* The processes end; what they wrote stays. */
void disk_kill(struct disk *d);

/* The power fails. */
struct disk_losses disk_cut_power(struct disk *d, const struct random *random);

/* ---- faults ---- */

enum disk_op {
    DISK_READ = 1,
    DISK_WRITE = 2,
    DISK_SYNC = 4,
    DISK_TRUNCATE = 8,
};

struct disk_fault {
    unsigned ops;       /* enum disk_op, of which the fault may strike; 0: none */
    unsigned countdown; /* strikes the n-th of them: 1 is the next */
    bool full;          /* of writes that make a file longer: no space left; else an I/O error */
    bool lasting;       /* every further one too, until it is taken away */
    bool power;         /* it is the power that goes: the processes end, disk_cut_power is due */
};

/* Replaces the one before; NULL: all works again. */
void disk_fault_set(struct disk *d, const struct disk_fault *f);
unsigned disk_fault_hits(const struct disk *d); /* since it was set */

bool disk_fault_full(const struct disk *d);

/* A fault took the power, and disk_cut_power was not called yet. */
bool disk_is_down(const struct disk *d);

/* ---- looking ---- */

uint64_t disk_bytes(const struct disk *d);  /* of all files */
uint64_t disk_syncs(const struct disk *d);  /* since it was made */

#endif
