/* Defaults of domain.md §2.5, §4.6, §5.5 and §1.8: "(default)" there marks our own choice. */
#include "common/catalogue/settings.h"

#include "common/base/mem.h"

#include <assert.h>
#include <string.h>

const struct setting_info settings_list[] = {
    {"receive_days", "学联委签收时限", 3, 0, 365, "工作日", "R-64"},
    {"route_days", "学联委转送时限", 5, 0, 365, "工作日", "R-65"},
    {"review_days", "提案审查时限", 15, 0, 365, "工作日", "R-65"},
    {"sign_days", "承办单位签收时限", 3, 0, 365, "工作日", "R-67"},
    {"decline_days", "申请退办时限", 10, 0, 365, "天", "R-67"},
    {"co_months", "会办意见时限", 1, 0, 12, "月", "R-67"},
    {"co_gap_days", "会办意见早于主办期限", 15, 0, 365, "天", "R-67"},
    {"handle_months", "办理期限", 3, 1, 12, "月", "R-67"},
    {"plenary_months", "大会提案办理期限", 3, 1, 12, "月", "R-67"},
    {"extension_months", "含延期的办理期限上限", 6, 1, 24, "月", "R-67"},
    {"session_no", "最近一次全会的次数", 1, 1, 99, "次", "R-65"},
    {"feedback_days", "征询意见时限", 15, 1, 365, "天", "R-67"},
    {"rehandle_months", "二次办理期限", 3, 1, 12, "月", "R-67"},
    {"micro_days", "微建议办理期限", 15, 1, 365, "工作日", "R-66"},
    {"info_days", "信息件办理期限", 30, 1, 365, "工作日", "R-66"},
    {"warn_days", "临期提醒提前", 10, 0, 365, "天", "R-67"},
    {"black_days", "严重逾期", 15, 0, 365, "天", "R-67"},
    {"opinion_days", "民意办理期限", 15, 1, 365, "工作日", "R-51"},
    {"opinion_feedback_days", "有结果后反馈群众时限", 10, 1, 365, "天", "R-51"},
    {"backdate_days", "履职日志补录须说明原因", 30, 0, 3650, "天", "R-22"},
    {"tracking_ack_days", "跟踪反馈视为已签收", 30, 1, 365, "天", "R-67"},
    {"silent_days", "案卷无进展提醒", 30, 1, 365, "天", "R-67"},
    {"quiet_days", "工作室无活动提醒", 30, 1, 365, "天", "R-02"},
    {"quiet_red_days", "工作室长期无活动", 60, 1, 730, "天", "R-02"},
    {"unsynced_days", "未同步提醒", 3, 1, 365, "天", "R-63"},
    {"unsynced_red_days", "长期未同步", 7, 1, 365, "天", "R-63"},
    {"unsynced_black_days", "严重未同步", 14, 1, 365, "天", "R-63"},
    {"urgent_hours", "急件送达时限", 24, 1, 720, "小时", "R-63"},
    {"critical_hours", "特急件送达时限", 4, 1, 720, "小时", "R-63"},
    {"shift_log_days", "值班后补日志时限", 3, 0, 365, "天", "R-50"},
    {"receipt_days", "文件签收时限", 3, 0, 365, "工作日", "R-00"},
    {"plaque_days", "牌匾收回时限", 30, 0, 365, "天", "R-42"},
    {"term_notice_days", "任期届满提醒", 90, 0, 730, "天", "R-41"},
    {"wall_months", "上墙检查有效期", 12, 1, 60, "月", "R-19"},
    {"county_review", "县级审核(一级审核)", 1, 0, 1, "是否", "R-63"},
    {"two_person", "审核人不得为拟稿人", 0, 0, 1, "是否", "R-63"},
    {"proposal_needs_city", "提案人须为市政协委员", 1, 0, 1, "是否", "R-65"},
    {"upload_person", "反映人信息上报市级", 0, 0, 1, "是否", "R-51"},
    {"go_live", "启用日期(年月日八位数字)", 0, 0, 29991231, "日期", "R-07"},
    {"attachment_bytes", "单个附件上限", 20971520, 1024, 734003200, "字节", ""}, /* so that a bundle holds it */
    {"site_attachment_bytes", "单位附件总量上限", 21474836480, 1048576, 1099511627776, "字节", ""},
    {"proposal_words", "提案字数提示", 2000, 1, 20000, "字", "R-52"},
    {"public_opinion_words", "社情民意信息字数提示", 1500, 1, 20000, "字", "R-52"},
    {"special_report_words", "专题报告字数提示", 8000, 1, 20000, "字", "R-52"},
    {"micro_suggestion_words", "微建议字数提示", 300, 1, 20000, "字", "R-52"},
    {"grade_excellent", "优秀等次下限", 85, 0, 100, "分", "R-04"},
    {"grade_good", "良好等次下限", 70, 0, 100, "分", "R-04"},
    {"grade_pass", "合格等次下限", 60, 0, 100, "分", "R-04"},
    {"retention_years", "反映人信息保留期", 3, 1, 100, "年", "R-51"},
    {"password_days", "口令有效期", 90, 1, 3650, "天", ""},
    {"password_fails", "口令错误锁定次数", 5, 1, 100, "次", ""},
    {"lock_minutes", "账户锁定时长", 30, 1, 1440, "分钟", ""},
    {"account_idle_days", "账户停用前未使用", 90, 1, 3650, "天", ""},
    {"skew_warn_ms", "时钟偏差提醒", 300000, 0, 86400000, "毫秒", ""},
};
const unsigned settings_n = sizeof settings_list / sizeof *settings_list;

const struct setting_info *setting_info(const char *name)
{
    for (unsigned i = 0; i < settings_n; i++) {
        if (strcmp(settings_list[i].name, name) == 0) {
            return &settings_list[i];
        }
    }
    return NULL;
}

bool setting_is_date(const struct setting_info *info)
{
    return strcmp(info->unit, "日期") == 0;
}

static bool is_day(int64_t digits)
{
    struct cal_date d = {(int)(digits / 10000), (int)(digits / 100 % 100), (int)(digits % 100)};
    struct cal_date back = cal_date(cal_day(d));

    return d.year >= 1900 && d.month >= 1 && d.month <= 12 && back.year == d.year &&
           back.month == d.month && back.day == d.day;
}

bool setting_valid(const struct setting_info *info, int64_t value)
{
    if (value < info->min || value > info->max) {
        return false;
    }
    return !setting_is_date(info) || value == 0 || is_day(value);
}

/* ---- records in force ---- */

static const struct setting_info *info_of(struct slice name)
{
    for (unsigned i = 0; i < settings_n; i++) {
        if (slice_eq(name, slice_str(settings_list[i].name))) {
            return &settings_list[i];
        }
    }
    return NULL;
}

/* Six digits as a number; 0 when it is none. */
static uint32_t site_of(struct slice digits)
{
    uint32_t site = 0;

    for (size_t i = 0; i < digits.len; i++) {
        if (digits.p[i] < '0' || digits.p[i] > '9') {
            return 0;
        }
        site = site * 10 + (digits.p[i] - '0');
    }
    return site;
}

static bool room_for_one(struct setting_table *t)
{
    size_t cap = t->cap == 0 ? 16 : t->cap * 2;

    if (t->n < t->cap) {
        return true;
    }
    struct setting_row *more = mem_realloc(t->rows, cap * sizeof *more);
    if (more == NULL) {
        return false;
    }
    t->rows = more;
    t->cap = cap;
    return true;
}

int setting_table_take(void *table, struct row *row)
{
    struct setting_table *t = table;
    const struct setting_info *info = info_of(row_text(row, "name"));
    struct slice for_site = row_text(row, "for_site");
    uint32_t site = site_of(for_site);
    int64_t value = row_int(row, "value");

    if (row_voided(row) || info == NULL || !setting_valid(info, value) ||
        (site == 0) != (for_site.len == 0)) {
        return 0;
    }
    if (!room_for_one(t)) {
        return E_NOMEM;
    }
    t->rows[t->n++] = (struct setting_row){info, site, value, row->id};
    return 0;
}

void setting_table_clear(struct setting_table *t)
{
    t->n = 0;
}

void setting_table_release(struct setting_table *t)
{
    mem_free(t->rows);
    *t = (struct setting_table){.rows = NULL};
}

const struct setting_row *setting_table_find(const struct setting_table *t, const char *name,
                                             uint32_t site)
{
    const struct setting_row *general = NULL;

    for (size_t i = 0; i < t->n; i++) {
        const struct setting_row *row = &t->rows[i];
        if (strcmp(row->info->name, name) != 0) {
            continue;
        }
        if (site != 0 && row->site == site) {
            return row;
        }
        general = row->site == 0 ? row : general;
    }
    return general;
}

static int64_t table_get(void *ctx, const char *name, uint32_t site)
{
    const struct setting_row *row = setting_table_find(ctx, name, site);

    return row != NULL ? row->value : setting(NULL, name, site);
}

struct settings setting_table_settings(struct setting_table *t)
{
    return (struct settings){.get = table_get, .ctx = t};
}

int64_t setting(const struct settings *s, const char *name, uint32_t site)
{
    const struct setting_info *info = setting_info(name);

    assert(info != NULL);
    return s == NULL || s->get == NULL ? info->preset : s->get(s->ctx, name, site);
}
