/* Disks forget. A row of a replica's tables changes without anybody having changed it; nothing else does. */
#include "tests/sim/world_internal.h"

#include "client/store/repair.h"

#include <sqlite3.h>
#include <stdio.h>

#define COUNT_AGAIN 1000u

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

/* Its agent begins again, and counts its rows when its disk lets it. */
static void count(struct world *w, void *subject)
{
    struct sim_replica *r = subject;
    struct err err = {.ret = 0};
    bool differs;
    int ret = r->r != NULL ? replica_recount(r->r, true, &differs, &err) : E_BUSY;

    if (ret == 0 && r->link != NULL)
        network_cut(w, r->link, true);
    if (ret == 0)
        return;
    if (r->r != NULL && !computers_excuse(r->disk, ret))
        world_fail(w, "the rows of a replica cannot be counted: %s", err.text);
    world_at(w, COUNT_AGAIN, count, r);
}

static void damage(struct world *w, struct sim_replica *r)
{
    if (r->r == NULL || w->newer_kinds || /* then roots are not compared */
        spoil(w, store_db(replica_store(r->r))) <= 0)
        return;
    w->counts[SIM_DAMAGED]++;
    world_say(w, "a row of replica %u is damaged", r->no);
    count(w, r);
}

static const struct fault list[] = {{2, damage}};

const struct faults fault_damages = {list, sizeof list / sizeof *list};
