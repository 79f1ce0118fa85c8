/* The city's settings as people read and write them. */
#ifndef ZTC_CMD_SETTINGS_H
#define ZTC_CMD_SETTINGS_H

#include "common/catalogue/settings.h"
#include "common/cmd/show.h"

/* The settings in force for SITE. 0: those in general, each followed by what single sites have instead. */
int show_settings(const struct view *v, uint32_t site, struct err *err);

/* A value as it is typed: a number, 是 or 否, a day in digits or as any date. E_INVALID with a sentence. */
int settings_parse(const struct setting_info *info, struct slice text, int64_t *ret,
                   struct err *err);

/* By code or by label; NULL when there is none. */
const struct setting_info *settings_named(const char *name);

#endif
