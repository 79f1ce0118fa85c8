/* A file is its present bytes and a log of the changes since its last sync, each with the bytes before
 * and after. A sync forgets the log; a power cut undoes it from its end and then does by chance what the
 * disk might have got to.
 *
 * Locks and shared memory are those of one process with several connections; they end with it. */
#include "tests/lib/disk.h"

#include "common/base/err.h"
#include "common/base/mem.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#define NAME_MAX_    256
#define REGIONS_MAX  64
#define SHM_LOCKS    SQLITE_SHM_NLOCK
#define GROW_FIRST   (1u << 20)

/* ---- bytes ---- */

struct bytes {
    uint8_t *p;
    size_t len, cap;
};

static bool bytes_grow(struct bytes *b, size_t len)
{
    size_t cap = b->cap;
    uint8_t *p;

    if (len <= cap)
        return true;
    while (cap < len)
        cap = cap == 0 ? GROW_FIRST : cap * 2;
    p = mem_realloc(b->p, cap);
    if (p == NULL)
        return false;
    b->p = p;
    b->cap = cap;
    return true;
}

/* Longer with zeros, or shorter. */
static bool bytes_resize(struct bytes *b, size_t len)
{
    if (!bytes_grow(b, len))
        return false;
    if (len > b->len)
        memset(b->p + b->len, 0, len - b->len);
    b->len = len;
    return true;
}

static bool bytes_append(struct bytes *b, const void *p, size_t len)
{
    if (!bytes_grow(b, b->len + len))
        return false;
    if (len > 0)
        memcpy(b->p + b->len, p, len);
    b->len += len;
    return true;
}

static void bytes_release(struct bytes *b)
{
    mem_free(b->p);
    *b = (struct bytes){NULL, 0, 0};
}

/* ---- files ---- */

/* One change since the last sync; in the log its bytes follow: before, then after. */
struct change {
    size_t offset;
    size_t before, after; /* how many bytes */
    size_t file_len;      /* of the file, before */
    bool truncates;       /* to OFFSET */
};

struct file {
    struct file *next;
    struct disk *disk; /* NULL: a temporary file */
    char name[NAME_MAX_];
    struct bytes live;
    struct bytes log;
    bool created; /* since the last sync */
    /* locks of the database file */
    unsigned shared;
    const void *reserved, *pending, *exclusive; /* by whom */
    /* shared memory beside it */
    unsigned shm_users;
    void *regions[REGIONS_MAX];
    unsigned shm_shared[SHM_LOCKS];
    bool shm_exclusive[SHM_LOCKS];
};

struct disk {
    struct disk *next;
    char name[64];
    struct file *files;
    struct file *deleted; /* and not synced: may return */
    unsigned life;        /* handles of earlier lives are dead */
    struct disk_fault fault;
    unsigned hits;
    bool down; /* by a fault */
    uint64_t syncs;
};

static struct disk *disks;

static void drop_shm(struct file *f)
{
    for (size_t i = 0; i < REGIONS_MAX; i++) {
        mem_free(f->regions[i]);
        f->regions[i] = NULL;
    }
    f->shm_users = 0;
    memset(f->shm_shared, 0, sizeof f->shm_shared);
    memset(f->shm_exclusive, 0, sizeof f->shm_exclusive);
}

static void free_file(struct file *f)
{
    drop_shm(f);
    bytes_release(&f->live);
    bytes_release(&f->log);
    mem_free(f);
}

static void free_files(struct file **list)
{
    while (*list != NULL) {
        struct file *f = *list;

        *list = f->next;
        free_file(f);
    }
}

static struct file *find(struct file *list, const char *name)
{
    while (list != NULL && strcmp(list->name, name) != 0)
        list = list->next;
    return list;
}

static struct file *unlink_file(struct file **list, struct file *f)
{
    while (*list != f)
        list = &(*list)->next;
    *list = f->next;
    f->next = NULL;
    return f;
}

static struct file *add_file(struct disk *d, const char *name)
{
    struct file *f = mem_calloc(1, sizeof *f);

    if (f == NULL)
        return NULL;
    (void)snprintf(f->name, sizeof f->name, "%s", name);
    f->disk = d;
    f->created = true;
    f->next = d->files;
    d->files = f;
    return f;
}

/* ---- changing a file ---- */

static bool log_change(struct file *f, const struct change *c, const void *after)
{
    size_t from = c->truncates ? c->offset : c->offset < f->live.len ? c->offset : f->live.len;
    size_t len = f->log.len;

    if (bytes_append(&f->log, c, sizeof *c) && bytes_append(&f->log, f->live.p + from, c->before) &&
        bytes_append(&f->log, after, c->after))
        return true;
    f->log.len = len;
    return false;
}

static bool write_file(struct file *f, size_t offset, const void *p, size_t len)
{
    size_t held = offset >= f->live.len ? 0 : f->live.len - offset;
    struct change c = {
        .offset = offset, .before = held < len ? held : len, .after = len, .file_len = f->live.len};

    if (f->live.len < offset + len && !bytes_grow(&f->live, offset + len))
        return false;
    if (f->disk != NULL && !log_change(f, &c, p))
        return false;
    if (f->live.len < offset + len)
        (void)bytes_resize(&f->live, offset + len); /* grown above */
    memcpy(f->live.p + offset, p, len);
    return true;
}

static bool truncate_file(struct file *f, size_t len)
{
    struct change c = {.offset = len, .file_len = f->live.len, .truncates = true};

    if (len >= f->live.len)
        return true;
    c.before = f->live.len - len;
    if (f->disk != NULL && !log_change(f, &c, NULL))
        return false;
    f->live.len = len;
    return true;
}

static void sync_file(struct file *f)
{
    f->log.len = 0;
    f->created = false;
    f->disk->syncs++;
    free_files(&f->disk->deleted); /* the directory goes to the disk with it */
}

/* ---- power cuts ---- */

enum luck { ALL_LOST, ALL_KEPT, PIECES };

/* The changes of the log in order; they lie unaligned. */
static size_t read_change(const struct bytes *log, size_t at, struct change *ret)
{
    memcpy(ret, log->p + at, sizeof *ret);
    return at + sizeof *ret + ret->before + ret->after;
}

static void undo(struct file *f, const struct change *c, const uint8_t *before)
{
    size_t at = c->offset < c->file_len ? c->offset : c->file_len;

    (void)bytes_resize(&f->live, c->file_len); /* was as long once: the room is there */
    if (c->before > 0)
        memcpy(f->live.p + at, before, c->before);
}

/* From the end to the beginning, by recursion over the log: it is short. */
static void undo_from(struct file *f, size_t at)
{
    struct change c;
    size_t next;

    if (at >= f->log.len)
        return;
    next = read_change(&f->log, at, &c);
    undo_from(f, next);
    undo(f, &c, f->log.p + at + sizeof c);
}

/* The sectors that got to the disk; true when all did. */
static bool redo_pieces(struct file *f, const struct change *c, const uint8_t *after,
                        const struct random *random, unsigned *kept)
{
    bool whole = true;

    for (size_t at = c->offset; at < c->offset + c->after;) {
        size_t end = (at / DISK_SECTOR + 1) * DISK_SECTOR;

        if (end > c->offset + c->after)
            end = c->offset + c->after;
        if (random_below(random, 2) == 0) {
            if (f->live.len < end)
                (void)bytes_resize(&f->live, end); /* was as long once */
            memcpy(f->live.p + at, after + (at - c->offset), end - at);
            ++*kept;
        } else {
            whole = false;
        }
        at = end;
    }
    return whole;
}

static void redo_whole(struct file *f, const struct change *c, const uint8_t *after)
{
    if (c->truncates) {
        if (c->offset < f->live.len)
            f->live.len = c->offset;
        return;
    }
    if (f->live.len < c->offset + c->after)
        (void)bytes_resize(&f->live, c->offset + c->after); /* was as long once */
    memcpy(f->live.p + c->offset, after, c->after);
}

static void redo_by_chance(struct file *f, const struct change *c, const uint8_t *after,
                           enum luck luck, const struct random *random, struct disk_losses *l)
{
    uint64_t roll = random_below(random, 3);
    unsigned kept = 0;

    l->unsynced++;
    if (luck == ALL_KEPT || (luck == PIECES && roll == 0)) {
        redo_whole(f, c, after);
    } else if (luck == ALL_LOST || roll == 1 || c->truncates) {
        l->dropped++;
    } else if (!redo_pieces(f, c, after, random, &kept)) {
        if (kept > 0)
            l->torn++;
        else
            l->dropped++;
    }
}

static void cut_file(struct file *f, const struct random *random, struct disk_losses *l)
{
    enum luck luck = (enum luck)random_below(random, 3);
    struct change c;
    size_t at = 0;

    undo_from(f, 0);
    while (at < f->log.len) {
        size_t next = read_change(&f->log, at, &c);

        redo_by_chance(f, &c, f->log.p + at + sizeof c + c.before, luck, random, l);
        at = next;
    }
    f->log.len = 0;
}

/* Deletions and creations of which the disk knows nothing may not have happened. */
static void cut_directory(struct disk *d, const struct random *random, struct disk_losses *l)
{
    struct file *next;

    while (d->deleted != NULL) {
        struct file *f = unlink_file(&d->deleted, d->deleted);

        l->unsynced++;
        if (find(d->files, f->name) == NULL && random_below(random, 2) == 0) {
            f->next = d->files;
            d->files = f;
            l->dropped++;
        } else {
            free_file(f);
        }
    }
    for (struct file *f = d->files; f != NULL; f = next) {
        next = f->next;
        if (!f->created)
            continue;
        l->unsynced++;
        f->created = false;
        if (random_below(random, 2) == 0) {
            l->dropped++;
            free_file(unlink_file(&d->files, f));
        }
    }
}

static void end_processes(struct disk *d)
{
    d->life++;
    for (struct file *f = d->files; f != NULL; f = f->next) {
        drop_shm(f);
        f->shared = 0;
        f->reserved = f->pending = f->exclusive = NULL;
    }
}

void disk_kill(struct disk *d)
{
    end_processes(d);
}

struct disk_losses disk_cut_power(struct disk *d, const struct random *random)
{
    struct disk_losses l = {.unsynced = 0};

    end_processes(d);
    if (d->fault.power)
        disk_fault_set(d, NULL);
    d->down = false;
    cut_directory(d, random, &l);
    for (struct file *f = d->files; f != NULL; f = f->next)
        cut_file(f, random, &l);
    return l;
}

/* ---- faults ---- */

void disk_fault_set(struct disk *d, const struct disk_fault *f)
{
    static const struct disk_fault none;

    d->fault = f == NULL ? none : *f;
    d->hits = 0;
}

unsigned disk_fault_hits(const struct disk *d)
{
    return d->hits;
}

static bool strikes(struct disk *d, enum disk_op op, bool longer)
{
    struct disk_fault *f = &d->fault;

    if ((f->ops & op) == 0 || (f->full && op == DISK_WRITE && !longer))
        return false;
    if (f->countdown > 1) {
        f->countdown--;
        return false;
    }
    if (f->countdown == 0)
        return false;
    if (!f->lasting)
        f->countdown = 0;
    d->hits++;
    if (f->power) {
        end_processes(d);
        d->down = true;
    }
    return true;
}

bool disk_fault_full(const struct disk *d)
{
    return d->fault.full;
}

bool disk_is_down(const struct disk *d)
{
    return d->down;
}

/* ---- a handle ---- */

struct handle {
    sqlite3_file base;
    struct disk *disk; /* NULL: a temporary file, the handle's own */
    unsigned life;     /* of the disk, when it was opened */
    struct file *file;
    int lock;
    bool mapped;
    bool shm_shared[SHM_LOCKS], shm_exclusive[SHM_LOCKS];
};

/* Its process lives. */
static bool alive(const struct handle *h)
{
    return h->disk == NULL || h->life == h->disk->life;
}

static bool fails(struct handle *h, enum disk_op op, bool longer)
{
    return !alive(h) || (h->disk != NULL && strikes(h->disk, op, longer));
}

static int h_close(sqlite3_file *base)
{
    struct handle *h = (struct handle *)base;

    if (h->disk == NULL && h->file != NULL)
        free_file(h->file);
    h->file = NULL;
    return SQLITE_OK;
}

static int h_read(sqlite3_file *base, void *to, int len, sqlite3_int64 offset)
{
    struct handle *h = (struct handle *)base;
    size_t n = (size_t)len, at = (size_t)offset, held;

    if (fails(h, DISK_READ, false))
        return SQLITE_IOERR_READ;
    held = at >= h->file->live.len ? 0 : h->file->live.len - at;
    if (held > n)
        held = n;
    if (held > 0)
        memcpy(to, h->file->live.p + at, held);
    if (held == n)
        return SQLITE_OK;
    memset((uint8_t *)to + held, 0, n - held);
    return SQLITE_IOERR_SHORT_READ;
}

static int h_write(sqlite3_file *base, const void *from, int len, sqlite3_int64 offset)
{
    struct handle *h = (struct handle *)base;
    size_t n = (size_t)len, at = (size_t)offset;

    if (fails(h, DISK_WRITE, alive(h) && at + n > h->file->live.len)) {
        if (alive(h))
            (void)write_file(h->file, at, from, n / 2); /* the beginning of it got there */
        return alive(h) && h->disk->fault.full ? SQLITE_FULL : SQLITE_IOERR_WRITE;
    }
    return write_file(h->file, at, from, n) ? SQLITE_OK : SQLITE_IOERR_NOMEM;
}

static int h_truncate(sqlite3_file *base, sqlite3_int64 len)
{
    struct handle *h = (struct handle *)base;

    if (fails(h, DISK_TRUNCATE, false))
        return SQLITE_IOERR_TRUNCATE;
    return truncate_file(h->file, (size_t)len) ? SQLITE_OK : SQLITE_IOERR_NOMEM;
}

static int h_sync(sqlite3_file *base, int flags)
{
    struct handle *h = (struct handle *)base;

    (void)flags;
    if (fails(h, DISK_SYNC, false))
        return SQLITE_IOERR_FSYNC;
    if (h->disk != NULL)
        sync_file(h->file);
    return SQLITE_OK;
}

static int h_size(sqlite3_file *base, sqlite3_int64 *ret)
{
    struct handle *h = (struct handle *)base;

    if (!alive(h))
        return SQLITE_IOERR_FSTAT;
    *ret = (sqlite3_int64)h->file->live.len;
    return SQLITE_OK;
}

/* ---- locks of the database file ---- */

static bool others(const void *holder, const struct handle *h)
{
    return holder != NULL && holder != h;
}

static int h_lock(sqlite3_file *base, int level)
{
    struct handle *h = (struct handle *)base;
    struct file *f = h->file;

    if (!alive(h))
        return SQLITE_IOERR_LOCK;
    if (level <= h->lock)
        return SQLITE_OK;
    if (others(f->exclusive, h) || (level == SQLITE_LOCK_SHARED && others(f->pending, h)) ||
        (level > SQLITE_LOCK_SHARED && others(f->reserved, h)))
        return SQLITE_BUSY;
    if (h->lock == SQLITE_LOCK_NONE)
        f->shared++;
    h->lock = h->lock < SQLITE_LOCK_SHARED ? SQLITE_LOCK_SHARED : h->lock;
    if (level == SQLITE_LOCK_RESERVED)
        f->reserved = h;
    if (level == SQLITE_LOCK_EXCLUSIVE) {
        f->pending = h;
        if (f->shared > 1)
            return SQLITE_BUSY;
        f->exclusive = h;
    }
    h->lock = level;
    return SQLITE_OK;
}

static int h_unlock(sqlite3_file *base, int level)
{
    struct handle *h = (struct handle *)base;
    struct file *f = h->file;

    if (!alive(h) || level >= h->lock)
        return SQLITE_OK;
    if (f->reserved == h)
        f->reserved = NULL;
    if (f->pending == h)
        f->pending = NULL;
    if (f->exclusive == h)
        f->exclusive = NULL;
    if (level == SQLITE_LOCK_NONE)
        f->shared--;
    h->lock = level;
    return SQLITE_OK;
}

static int h_reserved(sqlite3_file *base, int *ret)
{
    struct handle *h = (struct handle *)base;

    if (!alive(h))
        return SQLITE_IOERR_CHECKRESERVEDLOCK;
    *ret = h->file->reserved != NULL;
    return SQLITE_OK;
}

static int h_control(sqlite3_file *base, int op, void *arg)
{
    (void)base;
    (void)op;
    (void)arg;
    return SQLITE_NOTFOUND;
}

/* As those of the usual file systems. */
static int h_sector(sqlite3_file *base)
{
    (void)base;
    return 4096;
}

static int h_traits(sqlite3_file *base)
{
    (void)base;
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

/* ---- shared memory ---- */

static int h_shm_map(sqlite3_file *base, int region, int size, int extend, void volatile **ret)
{
    struct handle *h = (struct handle *)base;

    *ret = NULL;
    if (!alive(h) || region >= REGIONS_MAX)
        return SQLITE_IOERR_SHMMAP;
    if (!h->mapped) {
        h->mapped = true;
        h->file->shm_users++;
    }
    if (h->file->regions[region] == NULL && extend) {
        h->file->regions[region] = mem_calloc(1, (size_t)size);
        if (h->file->regions[region] == NULL)
            return SQLITE_IOERR_NOMEM;
    }
    *ret = h->file->regions[region];
    return SQLITE_OK;
}

static bool shm_free_for(const struct handle *h, int i, bool exclusively)
{
    unsigned own = h->shm_shared[i] ? 1 : 0;

    if (h->file->shm_exclusive[i] && !h->shm_exclusive[i])
        return false;
    return !exclusively || h->file->shm_shared[i] == own;
}

static void shm_release(struct handle *h, int i)
{
    if (h->shm_shared[i])
        h->file->shm_shared[i]--;
    if (h->shm_exclusive[i])
        h->file->shm_exclusive[i] = false;
    h->shm_shared[i] = h->shm_exclusive[i] = false;
}

static void shm_take(struct handle *h, int i, bool exclusively)
{
    if (exclusively)
        h->file->shm_exclusive[i] = h->shm_exclusive[i] = true;
    else if (!h->shm_shared[i]) {
        h->shm_shared[i] = true;
        h->file->shm_shared[i]++;
    }
}

static int h_shm_lock(sqlite3_file *base, int from, int n, int flags)
{
    struct handle *h = (struct handle *)base;
    bool exclusively = (flags & SQLITE_SHM_EXCLUSIVE) != 0;

    if (!alive(h))
        return SQLITE_IOERR_SHMLOCK;
    for (int i = from; (flags & SQLITE_SHM_LOCK) != 0 && i < from + n; i++) {
        if (!shm_free_for(h, i, exclusively))
            return SQLITE_BUSY;
    }
    for (int i = from; i < from + n; i++) {
        if ((flags & SQLITE_SHM_UNLOCK) != 0)
            shm_release(h, i);
        else
            shm_take(h, i, exclusively);
    }
    return SQLITE_OK;
}

static void h_shm_barrier(sqlite3_file *base)
{
    (void)base; /* one thread */
}

static int h_shm_unmap(sqlite3_file *base, int delete)
{
    struct handle *h = (struct handle *)base;

    (void)delete;
    if (!alive(h) || !h->mapped)
        return SQLITE_OK;
    for (int i = 0; i < SHM_LOCKS; i++)
        shm_release(h, i);
    h->mapped = false;
    if (--h->file->shm_users == 0)
        drop_shm(h->file);
    return SQLITE_OK;
}

static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = h_close,
    .xRead = h_read,
    .xWrite = h_write,
    .xTruncate = h_truncate,
    .xSync = h_sync,
    .xFileSize = h_size,
    .xLock = h_lock,
    .xUnlock = h_unlock,
    .xCheckReservedLock = h_reserved,
    .xFileControl = h_control,
    .xSectorSize = h_sector,
    .xDeviceCharacteristics = h_traits,
    .xShmMap = h_shm_map,
    .xShmLock = h_shm_lock,
    .xShmBarrier = h_shm_barrier,
    .xShmUnmap = h_shm_unmap,
};

/* ---- the file system ---- */

static struct disk *disk_of(const char *path, const char **ret_file)
{
    const char *slash = strchr(path, '/');
    size_t len = slash == NULL ? 0 : (size_t)(slash - path);

    for (struct disk *d = disks; d != NULL && slash != NULL; d = d->next) {
        if (strlen(d->name) == len && memcmp(d->name, path, len) == 0) {
            *ret_file = slash + 1;
            return d;
        }
    }
    return NULL;
}

static int v_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *base, int flags, int *ret_flags)
{
    struct handle *h = (struct handle *)base;
    const char *name = NULL;
    struct disk *d = path == NULL ? NULL : disk_of(path, &name);

    (void)vfs;
    memset(h, 0, sizeof *h);
    if (path != NULL && (d == NULL || d->down || strlen(name) >= NAME_MAX_))
        return SQLITE_CANTOPEN;
    if (path == NULL) {
        h->file = mem_calloc(1, sizeof *h->file);
    } else {
        h->file = find(d->files, name);
        if (h->file == NULL && (flags & SQLITE_OPEN_CREATE) == 0)
            return SQLITE_CANTOPEN;
        if (h->file == NULL)
            h->file = add_file(d, name);
        h->disk = d;
        h->life = d->life;
    }
    if (h->file == NULL)
        return SQLITE_NOMEM;
    h->base.pMethods = &methods;
    if (ret_flags != NULL)
        *ret_flags = flags;
    return SQLITE_OK;
}

static int v_delete(sqlite3_vfs *vfs, const char *path, int sync)
{
    const char *name;
    struct disk *d = disk_of(path, &name);
    struct file *f = d == NULL ? NULL : find(d->files, name);

    (void)vfs;
    if (f == NULL)
        return SQLITE_IOERR_DELETE_NOENT;
    if (d->down || strikes(d, DISK_TRUNCATE, false))
        return SQLITE_IOERR_DELETE;
    (void)unlink_file(&d->files, f);
    if (sync || f->created) {
        free_file(f);
        return SQLITE_OK;
    }
    drop_shm(f);
    f->next = d->deleted;
    d->deleted = f;
    return SQLITE_OK;
}

static int v_access(sqlite3_vfs *vfs, const char *path, int flags, int *ret)
{
    const char *name;
    struct disk *d = disk_of(path, &name);
    const struct file *f = d == NULL ? NULL : find(d->files, name);

    (void)vfs;
    /* An empty file is none to SQLite, as in its own unix VFS. */
    *ret = f != NULL && (flags != SQLITE_ACCESS_EXISTS || f->live.len > 0);
    return SQLITE_OK;
}

static int v_full_path(sqlite3_vfs *vfs, const char *path, int len, char *ret)
{
    (void)vfs;
    (void)sqlite3_snprintf(len, ret, "%s", path);
    return SQLITE_OK;
}

static uint8_t next_random;

static int v_randomness(sqlite3_vfs *vfs, int len, char *ret)
{
    (void)vfs;
    for (int i = 0; i < len; i++)
        ret[i] = (char)next_random++;
    return len;
}

static int v_sleep(sqlite3_vfs *vfs, int microseconds)
{
    (void)vfs;
    return microseconds; /* nobody else runs meanwhile */
}

static int v_time(sqlite3_vfs *vfs, double *ret)
{
    (void)vfs;
    *ret = 2461041.5; /* 2026-01-01; no store asks SQLite for the time */
    return SQLITE_OK;
}

static int v_last_error(sqlite3_vfs *vfs, int len, char *ret)
{
    (void)vfs;
    (void)len;
    (void)ret;
    return 0;
}

int disk_vfs_register(void)
{
    static sqlite3_vfs vfs = {
        .iVersion = 1,
        .szOsFile = sizeof(struct handle),
        .mxPathname = NAME_MAX_ + 64,
        .zName = DISK_VFS,
        .xOpen = v_open,
        .xDelete = v_delete,
        .xAccess = v_access,
        .xFullPathname = v_full_path,
        .xRandomness = v_randomness,
        .xSleep = v_sleep,
        .xCurrentTime = v_time,
        .xGetLastError = v_last_error,
    };

    if (sqlite3_config(SQLITE_CONFIG_SINGLETHREAD) != SQLITE_OK ||
        sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0) != SQLITE_OK)
        return -1;
    return sqlite3_vfs_register(&vfs, 1);
}

void disk_begin_run(void)
{
    next_random = 0;
    sqlite3_randomness(0, NULL); /* seeds itself again when next asked */
}

/* ---- disks ---- */

struct disk *disk_new(const char *name)
{
    struct disk *d = mem_calloc(1, sizeof *d);

    if (d == NULL)
        return NULL;
    (void)snprintf(d->name, sizeof d->name, "%s", name);
    d->next = disks;
    disks = d;
    return d;
}

void disk_free(struct disk *d)
{
    struct disk **at = &disks;

    if (d == NULL)
        return;
    while (*at != d)
        at = &(*at)->next;
    *at = d->next;
    free_files(&d->files);
    free_files(&d->deleted);
    mem_free(d);
}

int disk_copy(struct disk *d, const struct disk *from)
{
    free_files(&d->files);
    free_files(&d->deleted);
    for (const struct file *f = from->files; f != NULL; f = f->next) {
        struct file *to = add_file(d, f->name);

        if (to == NULL || !bytes_append(&to->live, f->live.p, f->live.len))
            return E_NOMEM;
        to->created = false;
    }
    return 0;
}

uint64_t disk_bytes(const struct disk *d)
{
    uint64_t n = 0;

    for (const struct file *f = d->files; f != NULL; f = f->next)
        n += f->live.len;
    return n;
}

uint64_t disk_syncs(const struct disk *d)
{
    return d->syncs;
}
