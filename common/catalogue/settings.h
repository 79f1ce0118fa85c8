/* The settings that rules read, each with its default, unit and clause. */
#ifndef ZTC_CATALOGUE_SETTINGS_H
#define ZTC_CATALOGUE_SETTINGS_H

#include "common/catalogue/check.h"

struct setting_info {
    const char *name;
    const char *label;
    int64_t preset;
    int64_t min, max;
    const char *unit;
    const char *clause;
};

extern const struct setting_info settings_list[];
extern const unsigned settings_n;

/* NULL when there is none. */
const struct setting_info *setting_info(const char *name);

#endif
