/* The `run` of every command that is no deed. */
#ifndef ZTC_SERVER_COMMANDS_H
#define ZTC_SERVER_COMMANDS_H

#include "common/cmd/args.h"

struct city;

int cmd_init(const struct args *a, struct err *err);
int cmd_run(const struct args *a, struct err *err);
int cmd_status(const struct args *a, struct err *err);
int cmd_stop(const struct args *a, struct err *err);
int cmd_replica_list(const struct args *a, struct err *err);
int cmd_backup(const struct args *a, struct err *err);
int cmd_restore(const struct args *a, struct err *err);
int cmd_recover(const struct args *a, struct err *err);
int list_recovery(struct city *city, const struct args *a, struct err *err);
int cmd_verify(const struct args *a, struct err *err);
int cmd_quarantine_list(const struct args *a, struct err *err);
int list_quarantine(struct city *city, const struct args *a, struct err *err);

int cmd_ls(const struct args *a, struct err *err);
int cmd_show(const struct args *a, struct err *err);
int cmd_log(const struct args *a, struct err *err);
int cmd_bundle_export(const struct args *a, struct err *err);
int cmd_attach(const struct args *a, struct err *err);
int cmd_fetch(const struct args *a, struct err *err);
int cmd_attachments(const struct args *a, struct err *err);
int cmd_user_list(const struct args *a, struct err *err);
int cmd_historic_list(const struct args *a, struct err *err);
int cmd_setting_list(const struct args *a, struct err *err);

#endif
