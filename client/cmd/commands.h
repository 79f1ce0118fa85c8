/* The commands of ztc, and what they share. */
#ifndef ZTC_CLIENT_COMMANDS_H
#define ZTC_CLIENT_COMMANDS_H

#include "client/cmd/home.h"
#include "common/cmd/args.h"
#include "common/cmd/edit.h"
#include "common/cmd/show.h"

#include <time.h>

extern const struct program ztc_program;

/* A command at work on the replica. */
struct work {
    const struct args *args;
    struct home home;
    struct names names;
    struct view view;
    struct err *err;
};

/* Open the directory that the arguments name. work_close is safe after a failure too. */
int work_open(struct work *w, const struct args *a, struct err *err);
void work_close(struct work *w);

/* The account that --as names, or the only one. */
int work_actor(struct work *w, struct actor *ret);

/* The record named by TEXT, in the arguments' arena. */
int work_record(struct work *w, const char *text, struct row **ret);

/* Write one act of N drafts, and say what became of the record of the first. */
int work_write(struct work *w, struct draft *drafts, size_t n, bool tell);

/* The wall clock: evidence, never authority. */
msec_t work_now(void);

/* For view.attached; CTX is the work. */
int work_attached(void *ctx, const struct row *row, enum attached_state *ret, int *ret_cause,
                  struct err *err);

int cmd_ls(const struct args *a, struct err *err);
int cmd_show(const struct args *a, struct err *err);
int cmd_log(const struct args *a, struct err *err);
int cmd_add(const struct args *a, struct err *err);
int cmd_set(const struct args *a, struct err *err);
int cmd_do(const struct args *a, struct err *err);
int cmd_user_add(const struct args *a, struct err *err);
int cmd_user_list(const struct args *a, struct err *err);
int cmd_import(const struct args *a, struct err *err);
int cmd_export(const struct args *a, struct err *err);
int cmd_conflicts(const struct args *a, struct err *err);
int cmd_resolve(const struct args *a, struct err *err);
int cmd_refused(const struct args *a, struct err *err);
int cmd_bundle_export(const struct args *a, struct err *err);
int cmd_bundle_import(const struct args *a, struct err *err);
int cmd_attach(const struct args *a, struct err *err);
int cmd_fetch(const struct args *a, struct err *err);
int cmd_status(const struct args *a, struct err *err);
int cmd_receipt(const struct args *a, struct err *err);
int cmd_settings(const struct args *a, struct err *err);
int cmd_verify(const struct args *a, struct err *err);
int cmd_rebuild(const struct args *a, struct err *err);
int cmd_enrol(const struct args *a, struct err *err);
int cmd_run(const struct args *a, struct err *err);
int cmd_sync(const struct args *a, struct err *err);

#endif
