#include "common/catalogue/guard_tools.h"

#include <string.h>

bool guard_filled(const struct row *row, const char *name)
{
    return !value_is_null(row_named(row, name));
}

bool guard_says(const struct row *row, const char *name, const char *text)
{
    return slice_eq(row_text(row, name), slice_str(text));
}

bool guard_among(struct slice text, const char *words)
{
    for (;;) {
        size_t n = strcspn(words, "|");
        if (slice_eq(text, (struct slice){(const uint8_t *)words, n})) {
            return true;
        }
        if (words[n] == '\0') {
            return false;
        }
        words += n + 1;
    }
}

bool guard_day(const struct row *row, const char *name, day_t *ret_day)
{
    struct slice s = row_text(row, name);

    return s.len >= 10 && cal_parse_date((struct slice){s.p, 10}, ret_day) == 0;
}

int64_t guard_setting(const struct guard_case *g, const char *name)
{
    return setting(g->check->settings, name, row_site(g->row));
}

int guard_find(const struct guard_case *g, const char *kind, const char *field,
               const struct value *v, struct row ***ret_rows, size_t *ret_n)
{
    *ret_rows = NULL;
    *ret_n = 0;
    if (value_is_null(v)) {
        return 0;
    }
    return lookup_find(g->check->lookup, g->arena, kind, field, v, ret_rows, ret_n);
}
