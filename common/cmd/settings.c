/* Settings listed, and read from a command line. */
#include "common/cmd/settings.h"

#include "common/base/text.h"
#include "common/cmd/width.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define OUT_MAX     (4u << 20)
#define DAY_MEMORY  4096u
#define NAME_WIDTH  24u
#define LABEL_WIDTH 34u
#define VALUE_WIDTH 20u

struct listing {
    const struct view *v;
    struct setting_table table;
    uint32_t site;
    struct buf b;
    struct json j;
};

static bool is_switch(const struct setting_info *info)
{
    return strcmp(info->unit, "是否") == 0;
}

static void put_value(struct buf *out, const struct setting_info *info, int64_t value)
{
    if (is_switch(info))
        buf_str(out, value != 0 ? "是" : "否");
    else if (setting_is_date(info) && value == 0)
        buf_str(out, "未定");
    else if (setting_is_date(info))
        buf_printf(out, "%04d-%02d-%02d", (int)(value / 10000), (int)(value / 100 % 100),
                   (int)(value % 100));
    else
        buf_printf(out, "%" PRId64 " %s", value, info->unit);
}

/* ---- list ---- */

static const char *from_code(const struct setting_row *row)
{
    return row == NULL ? "preset" : row->site == 0 ? "general" : "site";
}

static void put_from(struct buf *out, const struct setting_row *row)
{
    if (row != NULL && row->site != 0)
        buf_printf(out, "%06u", row->site);
    else
        buf_str(out, row == NULL ? "预设" : "全市");
}

static void add_json(struct listing *l, const struct setting_info *info,
                     const struct setting_row *row, int64_t value, struct slice text)
{
    char site[16], id[ID_TEXT_SIZE];
    struct json *j = &l->j;

    json_object(j);
    json_kv_str(j, "name", info->name);
    json_kv_str(j, "label", info->label);
    json_kv_int(j, "value", value);
    json_key(j, "text");
    json_text(j, text);
    json_kv_str(j, "unit", info->unit);
    json_kv_str(j, "from", from_code(row));
    if (row != NULL) {
        (void)snprintf(site, sizeof site, "%06u", row->site);
        id_format(&row->id, id);
    }
    json_kv_str(j, "site", row != NULL && row->site != 0 ? site : NULL);
    json_kv_str(j, "id", row != NULL ? id : NULL);
    json_kv_int(j, "preset", info->preset);
    json_kv_str(j, "clause", info->clause);
    json_object_end(j);
}

static void put_cell(struct buf *b, struct slice text, unsigned width)
{
    buf_put(b, text.p, text.len);
    text_pad(b, text_width(text), width);
}

static void add_line(struct listing *l, const struct setting_info *info,
                     const struct setting_row *row, struct slice text)
{
    put_cell(&l->b, slice_str(info->name), NAME_WIDTH);
    put_cell(&l->b, slice_str(info->label), LABEL_WIDTH);
    put_cell(&l->b, text, VALUE_WIDTH);
    put_from(&l->b, row);
    if (info->clause[0] != '\0')
        buf_printf(&l->b, "  %s", info->clause);
    buf_u8(&l->b, '\n');
}

/* ROW NULL: the preset is in force. */
static void add(struct listing *l, const struct setting_info *info, const struct setting_row *row)
{
    int64_t value = row != NULL ? row->value : info->preset;
    struct buf text;

    buf_init(&text, OUT_MAX);
    put_value(&text, info, value);
    if (l->v->json)
        add_json(l, info, row, value, buf_slice(&text));
    else
        add_line(l, info, row, buf_slice(&text));
    l->b.ret = l->b.ret != 0 ? l->b.ret : text.ret;
    buf_release(&text);
}

static void add_setting(struct listing *l, const struct setting_info *info)
{
    add(l, info, setting_table_find(&l->table, info->name, l->site));
    for (size_t i = 0; l->site == 0 && i < l->table.n; i++) {
        if (l->table.rows[i].info == info && l->table.rows[i].site != 0)
            add(l, info, &l->table.rows[i]);
    }
}

static int put_all(struct listing *l, struct err *err)
{
    if (l->v->json) {
        json_init(&l->j, &l->b);
        json_array(&l->j);
    }
    for (unsigned i = 0; i < settings_n; i++)
        add_setting(l, &settings_list[i]);
    if (l->v->json) {
        json_array_end(&l->j);
        buf_u8(&l->b, '\n');
    }
    if (l->b.ret != 0)
        return err_set(err, l->b.ret, NULL);
    return fwrite(l->b.p, 1, l->b.len, l->v->out) == l->b.len ? 0
                                                              : err_set(err, E_IO, "输出写不出去");
}

int show_settings(const struct view *v, uint32_t site, struct err *err)
{
    struct listing l = {.v = v, .site = site};
    int ret;

    buf_init(&l.b, OUT_MAX);
    ret = store_row_each(v->store, catalogue_kind_named("setting"), setting_table_take, &l.table,
                         err);
    if (ret == 0)
        ret = put_all(&l, err);
    buf_release(&l.b);
    setting_table_release(&l.table);
    return ret;
}

/* ---- a value that was typed ---- */

const struct setting_info *settings_named(const char *name)
{
    for (unsigned i = 0; i < settings_n; i++) {
        if (strcmp(settings_list[i].name, name) == 0 || strcmp(settings_list[i].label, name) == 0)
            return &settings_list[i];
    }
    return NULL;
}

static bool parse_switch(struct slice text, int64_t *ret)
{
    static const struct {
        const char *word;
        int64_t value;
    } words[] = {{"是", 1}, {"否", 0}, {"开", 1}, {"关", 0}};

    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (slice_eq(text, slice_str(words[i].word))) {
            *ret = words[i].value;
            return true;
        }
    }
    return false;
}

static bool parse_day(struct slice text, int64_t *ret)
{
    const struct field date = {.label = "", .type = FT_DATE, .stored = true};
    struct value v = value_null();
    struct arena a;
    day_t day = 0;
    bool known;

    arena_init(&a, DAY_MEMORY);
    known = check_parse(&a, &date, text, &v, NULL) == 0 && v.type == V_TEXT &&
            cal_parse_date(v.s, &day) == 0;
    arena_release(&a);
    if (known) {
        struct cal_date d = cal_date(day);

        *ret = (int64_t)d.year * 10000 + d.month * 100 + d.day;
    }
    return known;
}

static int refuse(const struct setting_info *info, struct err *err)
{
    if (is_switch(info))
        return err_set(err, E_INVALID, "“%s”应写是或否", info->label);
    if (setting_is_date(info))
        return err_set(err, E_INVALID, "“%s”应写年月日，如 20260101，0 表示未定", info->label);
    return err_set(err, E_INVALID, "“%s”应为 %" PRId64 " 到 %" PRId64 " 的整数（%s）", info->label,
                   info->min, info->max, info->unit);
}

int settings_parse(const struct setting_info *info, struct slice text, int64_t *ret,
                   struct err *err)
{
    bool known;

    text = text_trim(text);
    known = text_int(text, ret) == 0;
    if (!known && is_switch(info))
        known = parse_switch(text, ret);
    if (!known && setting_is_date(info))
        known = parse_day(text, ret);
    return known && setting_valid(info, *ret) ? 0 : refuse(info, err);
}
