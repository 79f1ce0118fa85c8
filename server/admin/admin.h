/* The commands of ztcd.
 *
 * Reading commands open the ledger read-only by themselves. Writing ones ("deeds") are one function each,
 * run on the writer's thread while the daemon runs, in this process while it does not. */
#ifndef ZTC_SERVER_ADMIN_H
#define ZTC_SERVER_ADMIN_H

#include "common/cmd/args.h"
#include "common/cmd/edit.h"
#include "common/cmd/show.h"
#include "server/admin/home.h"
#include "server/net/daemon.h"

extern const struct program ztcd_program;

/* A writing command under way, inside a group. */
struct deed {
    const struct args *args;
    struct home *home;
    struct city *city;
    msec_t now;
    struct names names; /* of the store, within the group */
    struct view view;
    struct daemon_effects *effects;
    struct err *err;
};

/* What the daemon's writer calls; CTX is the home. */
int deed_run(void *ctx, struct city *city, msec_t now, int argc, char *const *argv, struct buf *out,
             struct buf *detail, struct daemon_effects *effects, struct err *err);

/* The command outside a group: it has transactions of its own. */
bool deed_is_alone(int argc, char *const *argv);

/* `run` of every writing command: hand it to the daemon, or do it here. */
int cmd_deed(const struct args *a, struct err *err);

/* Ask the daemon; what it printed goes to A's output. E_UNREACHABLE: none serves. */
int ask_deed(const struct home *h, const struct args *a, struct err *err);
int ask_simple(const struct home *h, const struct args *a, const char *cmd, struct err *err);

/* The replica whose id begins with WORD. E_NOTFOUND, E_INVALID. */
int deed_find_replica(struct deed *d, const char *word, struct id *ret);

/* The account that --as names, or the only one. */
int deed_actor(struct deed *d, struct actor *ret);

/* For view.attached; CTX is the store. */
int home_attached(void *ctx, const struct row *row, enum attached_state *ret, int *ret_cause,
                  struct err *err);

/* ---- the deeds ---- */

int deed_enrol(struct deed *d);
int deed_revoke(struct deed *d);
int deed_user_add(struct deed *d);
int deed_add(struct deed *d);
int deed_set(struct deed *d);
int deed_do(struct deed *d);
int deed_import(struct deed *d);
int deed_setting_set(struct deed *d);
int deed_attach(struct deed *d);
int deed_historic_confirm(struct deed *d);
int deed_recover(struct deed *d);
int deed_rebuild(struct deed *d);
int deed_release(struct deed *d);
int deed_drop(struct deed *d);
int deed_bundle_import(struct deed *d);
int deed_bundle_given(struct deed *d);
int deed_ca_rotate(struct deed *d);
int deed_ca_drop_old(struct deed *d);

#endif
