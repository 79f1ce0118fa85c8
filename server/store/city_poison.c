/* The alert on an act that the process died of: a person at the city has to look. */
#include "server/store/city_internal.h"

#define POISON_RULE "poison"

static int find_site(struct city *c, uint32_t site, struct row **ret, struct err *err)
{
    const struct kind *kind = catalogue_kind_named("site");
    struct row **rows;
    char code[8];
    size_t n;
    struct value v;
    int status;

    (void)sqlite3_snprintf(sizeof code, code, "%06u", site);
    v = value_str(code);
    status = store_row_find(c->store, &c->arena, kind, kind_field_named(kind, "code")->tag, &v,
                            &rows, &n, err);
    *ret = status == 0 && n > 0 ? rows[0] : NULL;
    return status;
}

/* One open alert on a target is enough. */
static int alerted(struct city *c, const struct id *target, bool *ret, struct err *err)
{
    const struct kind *kind = catalogue_kind_named("alert");
    const struct value v = value_id(target);
    struct row **rows;
    size_t n;
    int status = store_row_find(c->store, &c->arena, kind, kind_field_named(kind, "target_id")->tag,
                                &v, &rows, &n, err);

    *ret = false;
    for (size_t i = 0; status == 0 && i < n; i++)
        *ret |= slice_eq(row_text(rows[i], "rule"), slice_str(POISON_RULE)) &&
                value_is_null(row_named(rows[i], "cleared_at"));
    return status;
}

int city_alert_poison(struct city *c, const struct id *author, struct err *err)
{
    const struct kind *kind = catalogue_kind_named("user_account");
    struct row *site, *account;
    bool has;
    int ret;

    arena_clear(&c->arena);
    ret = find_site(c, c->replica.site, &site, err);
    if (ret == 0)
        ret = store_row_get(c->store, &c->arena, kind, author, &account, err);
    if (ret == 0 && site == NULL)
        return err_set(err, E_CORRUPT, "没有代码为 %u 的单位", c->replica.site);
    if (ret == 0) {
        const struct row *target = account != NULL ? account : site;
        const struct id site_id = site->id, id = target->id; /* the rows go with the arena */
        const struct with with[] = {
            {"site_code", value_id(&site_id)},
            {"rule", value_str(POISON_RULE)},
            {"target_kind", value_str(target->kind->name)},
            {"target_id", value_id(&id)},
            {"level", value_str("black")},
            {"message",
             value_str("市级程序两次在其提交的更改上中断，更改已暂存，请查明后核准或退回")},
            {NULL, value_null()},
        };

        ret = alerted(c, &id, &has, err);
        if (ret == 0 && !has)
            ret = city_make(c, "alert", STREAM_CITY, with, NULL, err);
    }
    return ret;
}
