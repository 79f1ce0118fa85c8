/* Settings files (.ini): a table of known settings, read and written whole.
 *
 * The table is the only place that names a setting: usage texts and manuals read it. */
#ifndef ZTC_BASE_CONF_H
#define ZTC_BASE_CONF_H

#include "common/base/err.h"

enum conf_type { CONF_TEXT, CONF_INT };

struct conf_item {
    const char *section;
    const char *name;
    enum conf_type type;
    const char *preset; /* default, as text */
    long long min, max; /* CONF_INT: bounds, inclusive; CONF_TEXT: max bytes in max */
    const char *help;   /* Chinese, one line */
};

/* One value an item, in the table's order; owned. */
struct conf {
    const struct conf_item *items;
    unsigned n_items;
    char **values;
    /* Told of a name that is not in the table, which conf_load then passes over: a file of a later
     * version, or a slip of the pen. NULL: it is E_INVALID. */
    void (*on_unknown)(const char *path, unsigned line, const char *section, const char *name);
};

/* Every value at its preset. 0 or E_NOMEM. */
int conf_init(struct conf *c, const struct conf_item *items, unsigned n_items);
void conf_release(struct conf *c);

/* Read PATH over the present values. A missing file is E_NOTFOUND; a value out of bounds, a bad line or
 * (unless it is only told) an unknown name is E_INVALID and names the line. */
int conf_load(struct conf *c, const char *path, struct err *err);

/* Write every value with its help to PATH, by a temporary file and rename, mode 0600. */
int conf_save(const struct conf *c, const char *path, struct err *err);

/* The value of a name in the table; an unknown name is a bug. */
const char *conf_text(const struct conf *c, const char *section, const char *name);
long long conf_int(const struct conf *c, const char *section, const char *name);

/* 0, E_NOTFOUND (unknown name) or E_INVALID (out of bounds; more than a line of text). */
int conf_set(struct conf *c, const char *section, const char *name, const char *value,
             struct err *err);

#endif
