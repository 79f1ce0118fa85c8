/* What a new city begins with: sites, sectors, the city committee's own units and the term
 * (domain.md §5.1). All of it can be edited afterwards; no holidays are invented. */
#include "server/store/city_internal.h"

#include <stdio.h>
#include <string.h>

#define FIELDS_MAX 8u
#define CHINESE    3 /* bytes of one of its characters */

static const struct {
    const char *code, *name, *letters;
} sites[] = {
    {"431000", "政协郴州市委员会（市本级）", "CZ"},
    {"431002", "北湖区政协", "BH"},
    {"431003", "苏仙区政协", "SX"},
    {"431021", "桂阳县政协", "GY"},
    {"431022", "宜章县政协", "YZ"},
    {"431023", "永兴县政协", "YX"},
    {"431024", "嘉禾县政协", "JH"},
    {"431025", "临武县政协", "LW"},
    {"431026", "汝城县政协", "RC"},
    {"431027", "桂东县政协", "GD"},
    {"431028", "安仁县政协", "AR"},
    {"431081", "资兴市政协", "ZX"},
};

static const char *const sectors[] = {
    "中共",       "民革",
    "民盟",       "民建",
    "民进",       "农工党",
    "致公党",     "九三学社",
    "无党派人士", "共青团和青联",
    "工会",       "妇联",
    "工商联",     "科协",
    "侨联",       "文化艺术",
    "科学技术",   "社会科学",
    "经济",       "农业",
    "教育",       "体育",
    "新闻出版",   "医药卫生",
    "对外友好",   "社会福利和社会保障",
    "少数民族",   "宗教",
    "特邀",
};

static const struct {
    const char *name, *type;
} units[] = {
    {"办公室", "cppcc_office"},        {"研究室", "cppcc_office"},
    {"提案委", "cppcc_committee"},     {"经济科技委", "cppcc_committee"},
    {"农业农村委", "cppcc_committee"}, {"人口资源环境委", "cppcc_committee"},
    {"教科卫体委", "cppcc_committee"}, {"社会法制和民族宗教委", "cppcc_committee"},
    {"文化文史委", "cppcc_committee"}, {"委员学习联络委", "cppcc_committee"},
};

int city_make(struct city *c, const char *kind_name, uint32_t stream, const struct with *with,
              struct id *ret_id, struct err *err)
{
    const struct kind *kind = catalogue_kind_named(kind_name);
    struct field_change fields[FIELDS_MAX];
    struct change change = {.op = OP_CREATE,
                            .kind = kind->tag,
                            .stream = stream,
                            .seen = UINT64_MAX >> 1,
                            .fields = fields};
    struct act act = {.changes = &change,
                      .n = 1,
                      .actor = {.is_system = true, .side = SIDE_CITY, .site = SITE_CITY}};
    int ret;

    for (; with->name != NULL; with++) {
        const struct field *f = kind_field_named(kind, with->name);

        fields[change.n_fields++] =
            (struct field_change){.tag = f->tag, .form = FORM_SET, .v = with->v};
    }
    ret = city_act(c, &act, err);
    if (ret == 0 && ret_id != NULL)
        *ret_id = change.record;
    return ret;
}

static int seed_sites(struct city *c, struct id *ret_city, struct err *err)
{
    int ret = 0;

    for (size_t i = 0; ret == 0 && i < sizeof sites / sizeof *sites; i++) {
        struct with with[] = {{"code", value_str(sites[i].code)},
                              {"name", value_str(sites[i].name)},
                              {"level", value_str(i == 0 ? "city" : "county")},
                              {"serial_letter", value_str(sites[i].letters)},
                              {"quota_exempt", value_int(0)},
                              {NULL, value_null()}};

        ret = city_make(c, "site", STREAM_SHARED, with, i == 0 ? ret_city : NULL, err);
    }
    return ret;
}

static int seed_sectors(struct city *c, struct err *err)
{
    int ret = 0;

    for (size_t i = 0; ret == 0 && i < sizeof sectors / sizeof *sectors; i++) {
        char code[16];
        struct with with[] = {{"code", value_null()},
                              {"name", value_str(sectors[i])},
                              {"sort_no", value_int((int64_t)i + 1)},
                              {"active", value_int(1)},
                              {NULL, value_null()}};

        (void)snprintf(code, sizeof code, "%02u", (unsigned)i + 1);
        with[0].v = value_str(code);
        ret = city_make(c, "sector", STREAM_SHARED, with, NULL, err);
    }
    return ret;
}

static int seed_units(struct city *c, struct err *err)
{
    int ret = 0;

    for (size_t i = 0; ret == 0 && i < sizeof units / sizeof *units; i++) {
        struct with with[] = {{"name", value_str(units[i].name)},
                              {"unit_type", value_str(units[i].type)},
                              {"is_undertaker", value_int(0)},
                              {"is_counterpart", value_int(1)},
                              {"active", value_int(1)},
                              {NULL, value_null()}};

        ret = city_make(c, "org_unit", STREAM_SHARED, with, NULL, err);
    }
    return ret;
}

/* 一 → 1 … 九 → 9; 0: AT begins with none of them. */
static int digit_at(const char *at)
{
    static const char digits[] = "一二三四五六七八九";

    for (int i = 0; i < 9; i++) {
        if (strncmp(at, digits + i * CHINESE, CHINESE) == 0)
            return i + 1;
    }
    return 0;
}

/* 第五届 → 5, 第十二届 → 12; the ordinal leads the 提案号. 0 when it cannot be read. */
static int ordinal_of(const char *name)
{
    const char *at = strstr(name, "第");
    const char *end = at == NULL ? NULL : strstr(at, "届");
    int tens = 0;
    int value = 0;

    if (end == NULL)
        return 0;
    for (at += CHINESE; at < end; at += CHINESE) {
        int digit = digit_at(at);

        if (strncmp(at, "十", CHINESE) == 0) {
            tens = value == 0 ? 10 : value * 10;
            value = 0;
        } else if (digit != 0) {
            value = digit;
        } else {
            return 0;
        }
    }
    return tens + value;
}

static int seed_term(struct city *c, const char *name, const struct id *city_site, struct err *err)
{
    char full[128];
    int ordinal = ordinal_of(name);
    struct with with[] = {{"name", value_null()},
                          {"site_code", value_id(city_site)},
                          {"start_on", value_str("2017-01-01")},
                          {"ordinal", value_int(ordinal)},
                          {NULL, value_null()}};

    if (ordinal == 0)
        return err_set(err, E_INVALID, "届次应写作“第五届”这样的形式，不是“%s”", name);
    (void)snprintf(full, sizeof full, "政协郴州市%s委员会", name);
    with[0].v = value_str(full);
    return city_make(c, "term", STREAM_SHARED, with, NULL, err);
}

int city_seed(struct city *c, const char *term_name, struct err *err)
{
    struct id city_site;
    int ret = seed_sites(c, &city_site, err);

    if (ret == 0)
        ret = seed_sectors(c, err);
    if (ret == 0)
        ret = seed_units(c, err);
    return ret != 0 ? ret : seed_term(c, term_name, &city_site, err);
}
