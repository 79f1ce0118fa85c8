/* Checkpoints by another connection than the writer's (store.h). */
#include "common/base/mem.h"
#include "common/ledger/store_internal.h"

struct store_checkpoint {
    struct store *of;
    sqlite3 *db;
};

static int note_pages(void *ctx, sqlite3 *db, const char *name, int pages)
{
    struct store *s = ctx;

    (void)db;
    (void)name;
    s->log_pages = (unsigned)pages;
    return SQLITE_OK;
}

static int passive(sqlite3 *db)
{
    int rc = sqlite3_wal_checkpoint_v2(db, "main", SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);

    return rc == SQLITE_OK ? 0 : sql_error(db, rc, "存盘", NULL);
}

int store_checkpoint_open(struct store *s, struct store_checkpoint **ret, struct err *err)
{
    const char *path = sqlite3_db_filename(s->db, "main");
    struct store_checkpoint *k = mem_calloc(1, sizeof *k);
    sqlite3_vfs *vfs = NULL;
    int rc, status;

    *ret = NULL;
    if (k == NULL)
        return err_set(err, E_NOMEM, NULL);
    k->of = s;
    (void)sqlite3_file_control(s->db, "main", SQLITE_FCNTL_VFS_POINTER, &vfs); /* NULL: the default */
    rc = sqlite3_open_v2(path, &k->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX,
                         vfs == NULL ? NULL : vfs->zName);
    /* Synced, and no log of its own when it closes: the store is open longer. */
    status = rc == SQLITE_OK ? sql_exec(k->db, "PRAGMA synchronous = FULL", err)
                             : sql_error(k->db, rc, "打开数据库", err);
    if (status != 0) {
        store_checkpoint_close(k);
        return status;
    }
    (void)sqlite3_wal_hook(s->db, note_pages, s); /* instead of checkpoints by the writer */
    *ret = k;
    return 0;
}

void store_checkpoint_close(struct store_checkpoint *k)
{
    (void)sqlite3_wal_autocheckpoint(k->of->db, AUTOCHECKPOINT); /* fails for no database only */
    (void)sqlite3_close(k->db); /* nothing is left that could keep it busy */
    mem_free(k);
}

int store_checkpoint_run(struct store_checkpoint *k)
{
    return passive(k->db);
}

int store_checkpoint_rest(struct store *s)
{
    return passive(s->db);
}

unsigned store_log_pages(const struct store *s)
{
    return s->log_pages;
}
