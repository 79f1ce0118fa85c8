/* Disks forget. A row of a replica's tables changes without anybody having changed it; nothing else does. */
#include "tests/sim/world_internal.h"

#include "client/store/repair.h"

#include <sqlite3.h>
#include <stdio.h>

/* In a column that no person sees or sets: what people saw stays what they are judged by. */
static int spoil(struct world *w, sqlite3 *db)
{
    static const char *const tables[] = {"opinion", "studio", "user_account", "site", "submission"};
    const char *table = tables[world_roll(w, 5)];
    char text[256];

    (void)snprintf(text, sizeof text,
                   "UPDATE \"%s\" SET updated_at = updated_at + 1 WHERE rid ="
                   " (SELECT rid FROM \"%s\" ORDER BY rid LIMIT 1 OFFSET %u)",
                   table, table, (unsigned)world_roll(w, 4));
    return sqlite3_exec(db, text, NULL, NULL, NULL) == SQLITE_OK ? sqlite3_changes(db) : -1;
}

/* It notices when its agent begins again. */
static void damage(struct world *w, struct sim_replica *r)
{
    struct err err = {.ret = 0};
    bool differs;
    int ret;

    if (r->r == NULL || spoil(w, store_db(replica_store(r->r))) <= 0)
        return;
    w->counts[SIM_DAMAGED]++;
    world_say(w, "a row of replica %u is damaged", r->no);
    ret = replica_recount(r->r, true, &differs, &err);
    if (ret != 0 && !computers_excuse(r->disk, ret))
        world_fail(w, "the rows of a replica cannot be counted: %s", err.text);
    if (r->link != NULL)
        network_cut(w, r->link, true);
}

static const struct fault list[] = {{2, damage}};

const struct faults fault_damages = {list, sizeof list / sizeof *list};
