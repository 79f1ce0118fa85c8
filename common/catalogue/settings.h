/* The settings that rules read, each with its default, unit and clause. */
#ifndef ZTC_CATALOGUE_SETTINGS_H
#define ZTC_CATALOGUE_SETTINGS_H

#include "common/catalogue/check.h"
#include "common/catalogue/row.h"

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

/* VALUE is within the bounds of INFO, and a day of the calendar (or 0) where it is a date. */
bool setting_valid(const struct setting_info *info, int64_t value);
bool setting_is_date(const struct setting_info *info);

/* The records of kind `setting` that are in force, as the rules look them up. All zeros is empty. */
struct setting_table {
    struct setting_row *rows;
    size_t n, cap;
};

enum setting_from { SETTING_PRESET, SETTING_GENERAL, SETTING_SITE };

struct setting_row {
    const struct setting_info *info;
    uint32_t site; /* 0: all */
    int64_t value;
    struct id id;
};

/* Take a record in; TABLE is a struct setting_table, so that it fits store_row_each. Voided ones, and those
 * this program does not know or allow, are passed over: a newer city may send them. */
int setting_table_take(void *table, struct row *row);
void setting_table_clear(struct setting_table *t);
void setting_table_release(struct setting_table *t);

/* The row in force for SITE (0: in general): its own, else the general one; NULL: the preset is. */
const struct setting_row *setting_table_find(const struct setting_table *t, const char *name,
                                             uint32_t site);

/* The same as rules see it. T must outlive what is returned. */
struct settings setting_table_settings(struct setting_table *t);

#endif
