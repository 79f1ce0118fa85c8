/* Values and records against the catalogue.
 *
 * check_value looks at one value alone; check_row at what one record says across its fields, with a
 * small function for each kind that has such rules (the table at the end). Nothing here refuses what
 * two honest replicas can break together: that is check_shared. */
#include "common/catalogue/check.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/text.h"
#include "common/catalogue/rules.h"
#include "common/catalogue/settings.h"

#define SITES_MEMORY 4096u /* one pointer is found */

/* ---- one value ---- */

static int refuse(struct err *err, const struct field *f, const char *what)
{
    return err_set(err, E_INVALID, "“%s”%s", f->label, what);
}

static size_t digits_at(struct slice s, size_t at)
{
    size_t n = 0;

    while (at + n < s.len && s.p[at + n] >= '0' && s.p[at + n] <= '9') {
        n++;
    }
    return n;
}

static bool is_mobile(struct slice s)
{
    return s.len == 11 && digits_at(s, 0) == 11 && s.p[0] == '1' && s.p[1] >= '3';
}

/* 0\d{2,3}-?\d{7,8}(-\d{1,5})?: with the hyphen the area's length is known, without it both fit. */
static bool is_landline(struct slice s)
{
    size_t first = digits_at(s, 0), at = first, n;

    if (first < 3 || s.p[0] != '0') {
        return false;
    }
    if (first <= 4) {
        if (at == s.len || s.p[at] != '-') {
            return false;
        }
        n = digits_at(s, ++at);
        if (n != 7 && n != 8) {
            return false;
        }
        at += n;
    } else if (first < 10 || first > 12) {
        return false;
    }
    if (at == s.len) {
        return true;
    }
    n = s.p[at] == '-' ? digits_at(s, at + 1) : 0;
    return n >= 1 && n <= 5 && at + 1 + n == s.len;
}

static bool is_url(struct slice s)
{
    static const char *const schemes[] = {"http://", "https://"};

    for (size_t i = 0; i < 2; i++) {
        size_t n = strlen(schemes[i]);
        if (s.len > n && memcmp(s.p, schemes[i], n) == 0) {
            return memchr(s.p, ' ', s.len) == NULL;
        }
    }
    return false;
}

static bool is_time(struct slice s)
{
    return s.len == 5 && digits_at(s, 0) == 2 && s.p[2] == ':' && digits_at(s, 3) == 2 &&
           (s.p[0] - '0') * 10 + s.p[1] - '0' < 24 && s.p[3] < '6';
}

static int check_length(const struct field *f, struct slice s, struct err *err)
{
    int64_t n = (int64_t)text_length(text_trim(s));

    if (n < f->min) {
        return n == 0 ? refuse(err, f, "不能为空")
                      : err_set(err, E_INVALID, "“%s”至少 %" PRId64 " 个字", f->label, f->min);
    }
    if (n > f->max) {
        return err_set(err, E_INVALID, "“%s”最多 %" PRId64 " 个字", f->label, f->max);
    }
    return 0;
}

static int check_choice(const struct field *f, struct slice s, struct err *err)
{
    if (f->choices == NULL) {
        return 0;
    }
    for (size_t i = 0; f->choices[i] != NULL; i++) {
        if (slice_eq(s, slice_str(f->choices[i]))) {
            return 0;
        }
    }
    return err_set(err, E_INVALID, "“%s”没有“%.*s”这个选项", f->label, (int)s.len,
                   (const char *)s.p);
}

static int check_code(const struct field *f, struct slice code, struct err *err)
{
    if (f->codes != NULL && code_find(f->codes, code, false) != NULL) {
        return 0;
    }
    return err_set(err, E_INVALID, "“%s”没有代码“%.*s”", f->label, (int)code.len,
                   (const char *)code.p);
}

static int check_text(const struct field *f, struct slice s, struct err *err)
{
    day_t day;
    msec_t at;

    if (!text_valid(s)) {
        return refuse(err, f, "不是有效的文字编码");
    }
    switch (f->type) {
    case FT_TEXT: case FT_LONGTEXT: {
        int ret = check_length(f, s, err);
        return ret != 0 ? ret : check_choice(f, s, err);
    }
    case FT_PHONE:
        return is_mobile(s) || is_landline(s) ? 0 : refuse(err, f, "不是有效的电话号码");
    case FT_URL: {
        int ret = check_length(f, s, err);
        return ret != 0 ? ret : is_url(s) ? 0 : refuse(err, f, "不是有效的网址");
    }
    case FT_TIME: return is_time(s) ? 0 : refuse(err, f, "不是有效的时间");
    case FT_DATE: return cal_parse_date(s, &day) == 0 ? 0 : refuse(err, f, "不是有效的日期");
    case FT_DATETIME:
        return cal_parse_datetime(s, &at) == 0 ? 0 : refuse(err, f, "不是有效的日期时间");
    case FT_ENUM: return check_code(f, s, err);
    case FT_SECRET: return 0;
    default: return refuse(err, f, "的内容类型不对");
    }
}

static int check_int(const struct field *f, int64_t i, struct err *err)
{
    struct buf low, high;

    switch (f->type) {
    case FT_INT: case FT_DECIMAL: case FT_MONEY: case FT_BOOL: case FT_YEAR: break;
    default: return refuse(err, f, "的内容类型不对");
    }
    if (i >= f->min && i <= f->max) {
        return 0;
    }
    if (f->type == FT_BOOL) {
        return refuse(err, f, f->min == 1 ? "必须为“是”" : "应填“是”或“否”");
    }
    buf_init(&low, 64);
    buf_init(&high, 64);
    struct value min = value_int(f->min), max = value_int(f->max);
    (void)check_format(&low, f, &min); /* a failure leaves the bound out of the sentence */
    (void)check_format(&high, f, &max);
    int ret = err_set(err, E_INVALID, "“%s”应在 %s 至 %s 之间", f->label, buf_cstr(&low),
                      buf_cstr(&high));
    buf_release(&low);
    buf_release(&high);
    return ret;
}

static int check_count(const struct field *f, int64_t n, struct err *err)
{
    if (n < f->min) {
        return err_set(err, E_INVALID, "“%s”至少 %" PRId64 " 项", f->label, f->min);
    }
    if (n > f->max) {
        return err_set(err, E_INVALID, "“%s”最多 %" PRId64 " 项", f->label, f->max);
    }
    return 0;
}

static int check_set(const struct field *f, struct slice set, struct err *err)
{
    int64_t n = 0;

    if (f->type != FT_SET) {
        return refuse(err, f, "的内容类型不对");
    }
    while (set.len > 0) {
        const uint8_t *comma = memchr(set.p, ',', set.len);
        size_t len = comma == NULL ? set.len : (size_t)(comma - set.p);
        int ret = check_code(f, (struct slice){set.p, len}, err);
        if (ret != 0) {
            return ret;
        }
        len += comma != NULL;
        set = (struct slice){set.p + len, set.len - len};
        n++;
    }
    return check_count(f, n, err);
}

int check_value(const struct field *f, const struct value *v, struct err *err)
{
    bool id = f->type == FT_REF || f->type == FT_RID;
    bool ids = f->type == FT_REFS || f->type == FT_FILES;

    switch (v->type) {
    case V_NULL: return 0;
    case V_ERASED: return f->vanish != VANISH_NO ? 0 : refuse(err, f, "不能删除内容");
    case V_SEALED: return f->vanish == VANISH_SITE ? 0 : refuse(err, f, "不能加封");
    case V_INT: return check_int(f, v->i, err);
    case V_TEXT: return check_text(f, v->s, err);
    case V_SET: return check_set(f, v->s, err);
    case V_ID: return id && v->s.len == ID_SIZE ? 0 : refuse(err, f, "的内容类型不对");
    case V_IDS:
        return ids ? check_count(f, (int64_t)(v->s.len / ID_SIZE), err)
                   : refuse(err, f, "的内容类型不对");
    }
    return refuse(err, f, "的内容类型不对");
}

/* ---- what must be filled ---- */

/* The text a condition compares with: codes, numbers, "" for nothing. */
static bool value_is_word(const struct value *v, struct slice word)
{
    char number[24];

    if (v->type == V_INT) {
        snprintf(number, sizeof number, "%" PRId64, v->i);
        return slice_eq(word, slice_str(number));
    }
    if (v->type == V_TEXT) {
        return slice_eq(word, v->s);
    }
    return v->type == V_SET ? value_set_has(v, word) : v->type == V_NULL && word.len == 0;
}

static const struct value *condition_field(const struct row *row, const char *name, size_t len)
{
    char copy[64];

    if (len == 5 && memcmp(name, "state", 5) == 0) { /* by far the most */
        return row_get(row, TAG_STATE);
    }
    assert(len < sizeof copy);
    memcpy(copy, name, len);
    copy[len] = '\0';
    return row_named(row, copy);
}

bool check_condition(const struct row *row, const char *condition)
{
    size_t len = strcspn(condition, "!=");
    bool negative = condition[len] == '!';
    const char *rest = condition + len + negative + 1;
    const struct value *v = condition_field(row, condition, len);

    for (;;) {
        size_t n = strcspn(rest, "|");
        if (value_is_word(v, (struct slice){(const uint8_t *)rest, n})) {
            return !negative;
        }
        if (rest[n] == '\0') {
            return negative;
        }
        rest += n + 1;
    }
}

bool rules_is_first_state(const struct kind *k, const char *state)
{
    for (unsigned i = 0; i < k->n_transitions; i++) {
        if (k->transitions[i].from == NULL && strcmp(k->transitions[i].to, state) == 0) {
            return true;
        }
    }
    return false;
}

static bool in_first_state(const struct row *row)
{
    for (unsigned i = 0; i < row->kind->n_transitions; i++) {
        const struct transition *t = &row->kind->transitions[i];
        if (t->from == NULL && row_in_state(row, t->to)) {
            return true;
        }
    }
    return row->kind->states != NULL && row_state(row).len == 0;
}

static bool is_abandoned(const struct row *row)
{
    return row_voided(row) || row_in_state(row, "withdrawn") || row_in_state(row, "cancelled");
}

static bool must_fill(const struct row *row, const struct field *f, bool asked)
{
    if (!f->stored || f->type == FT_SECRET) {
        return false;
    }
    if (f->required_when != NULL) {
        bool by_state = strncmp(f->required_when, "state", 5) == 0;
        if ((asked || by_state) && check_condition(row, f->required_when)) {
            return true;
        }
    }
    return asked && f->required == REQUIRED_YES;
}

const struct field *check_missing(const struct row *row, bool leaving)
{
    const struct kind *k = row->kind;
    bool asked = leaving || !in_first_state(row);

    if (is_abandoned(row)) {
        return row_voided(row) && value_is_null(row_get(row, TAG_VOID_REASON))
                   ? kind_field(k, TAG_VOID_REASON)
                   : NULL;
    }
    for (unsigned i = 0; i < k->n_own; i++) {
        if (value_is_null(&row->values[i]) && must_fill(row, &k->fields[i], asked)) {
            return &k->fields[i];
        }
    }
    return NULL;
}

/* ---- the rules of one kind ---- */

struct judged {
    const struct check *c;
    const struct row *row;
    struct err *err;
};

static int broken(const struct judged *j, const char *name, const char *what)
{
    return refuse(j->err, kind_field_named(j->row->kind, name), what);
}

/* Both filled and LATE before EARLY (bytes compare dates and times), or equal when STRICT. */
static bool misordered(const struct row *row, const char *early, const char *late, bool strict)
{
    const struct value *a = row_named(row, early), *b = row_named(row, late);

    if (a->type != V_TEXT || b->type != V_TEXT) {
        return false;
    }
    int order = slice_cmp(a->s, b->s);
    return strict ? order >= 0 : order > 0;
}

/* Pairs of fields whose dates must follow each other. */
static const struct order {
    const char *kind, *early, *late;
    bool strict;
    const char *what;
} orders[] = {
    {"term", "start_on", "end_on", true, "应晚于任期开始"},
    {"activity", "start_at", "end_at", true, "应晚于开始时间"},
    {"duty_shift", "start_time", "end_time", true, "应晚于开始时间"},
    {"duty_log", "start_time", "end_time", true, "应晚于开始时间"},
    {"training", "start_on", "end_on", false, "不应早于开始日期"},
    {"studio_member", "joined_on", "left_on", false, "不应早于入驻日期"},
    {"application", "liaison_date", "sg_date", false, "不应早于学联委意见日期"},
    {"application", "sg_date", "vc_date", false, "不应早于秘书长日期"},
    {"application", "vc_date", "meeting_date", false, "不应早于分管副主席日期"},
    {"plaque", "granted_on", "hung_on", false, "不应早于授牌日期"},
    {"proposal_case", "assigned_on", "due_on", true, "应晚于交办日期"},
    {"handling_task", "assigned_on", "due_on", true, "应晚于交办日期"},
    {"handling_task", "assigned_on", "signed_on", false, "不应早于交办日期"},
    {"policy_doc", "issued_on", "void_on", false, "不应早于制定日期"},
};

static int rule_orders(const struct judged *j)
{
    for (size_t i = 0; i < sizeof orders / sizeof *orders; i++) {
        const struct order *o = &orders[i];
        if (strcmp(o->kind, j->row->kind->name) == 0 &&
            misordered(j->row, o->early, o->late, o->strict)) {
            return broken(j, o->late, o->what);
        }
    }
    return 0;
}

static int rule_site(const struct judged *j)
{
    struct slice code = row_text(j->row, "code"), letter = row_text(j->row, "serial_letter");

    if (code.len > 0 && (code.len != 6 || digits_at(code, 0) != 6)) {
        return broken(j, "code", "应为六位数字");
    }
    for (size_t i = 0; i < letter.len; i++) {
        if (letter.p[i] < 'A' || letter.p[i] > 'Z') {
            return broken(j, "serial_letter", "应为大写字母");
        }
    }
    return 0;
}

static int rule_org_unit(const struct judged *j)
{
    struct slice type = row_text(j->row, "unit_type");
    struct id parent;

    if (row_int(j->row, "is_counterpart") != 0 && !slice_eq(type, slice_str("cppcc_committee")) &&
        !slice_eq(type, slice_str("cppcc_office"))) {
        return broken(j, "is_counterpart", "只适用于专委会、办公室和研究室");
    }
    /* A ring of parents longer than any real ladder is a ring. */
    const struct row *row = j->row;
    for (int depth = 0; row_id(row, "parent_unit", &parent); depth++) {
        struct row *up = NULL;
        if (id_eq(&parent, &j->row->id) || depth > 16) {
            return broken(j, "parent_unit", "不能是本单位或其下级");
        }
        int ret = j->c->lookup == NULL ? 0 : lookup_ref(j->c->lookup, row, "parent_unit", &up);
        if (ret != 0) {
            return ret;
        }
        if (up == NULL) {
            break;
        }
        row = up;
    }
    return 0;
}

static int rule_member(const struct judged *j)
{
    const struct value *level = row_named(j->row, "level");

    if (row_site(j->row) != SITE_CITY &&
        (value_set_has(level, slice_str("city")) || value_set_has(level, slice_str("province")))) {
        return broken(j, "level", "中的市级、省级委员只能由市本级登记");
    }
    return 0;
}

static int rule_quota_plan(const struct judged *j)
{
    if (row_int(j->row, "max_count") < row_int(j->row, "min_count")) {
        return broken(j, "max_count", "不应小于下限");
    }
    return 0;
}

static int rule_application(const struct judged *j)
{
    const struct value *type = row_named(j->row, "applicant_type");
    const struct value *category = row_named(j->row, "category");

    if (type->type == V_TEXT && category->type == V_TEXT &&
        slice_eq(type->s, slice_str("individual")) !=
            slice_eq(category->s, slice_str("individual"))) {
        return broken(j, "category", "与申请主体不一致");
    }
    return 0;
}

static int rule_wall_check(const struct judged *j)
{
    bool whole = row_int(j->row, "contact_public") != 0 && row_int(j->row, "rules_public") != 0 &&
                 row_int(j->row, "sign_hung") != 0;

    if (row_text(j->row, "result").len > 0 && slice_eq(row_text(j->row, "result"), slice_str("pass")) &&
        !whole) {
        return broken(j, "result", "有缺项，不能为达标");
    }
    return 0;
}

static int rule_policy_doc(const struct judged *j)
{
    if (value_is_null(row_named(j->row, "body")) && value_is_null(row_named(j->row, "file"))) {
        return broken(j, "body", "与文件至少填一项");
    }
    return 0;
}

static int rule_duty_shift(const struct judged *j)
{
    struct id backup;

    if (row_id(j->row, "backup_member", &backup) &&
        value_ids_has(row_named(j->row, "member_ids"), &backup)) {
        return broken(j, "backup_member", "不能同时是值班委员");
    }
    return 0;
}

/* Judged by the author's own clock, for the record may reach the city weeks later. */
static int rule_duty_log(const struct judged *j)
{
    day_t on, written = j->row->created_at != 0 ? cal_day_of(j->row->created_at) : j->c->today;

    if (cal_parse_date(row_text(j->row, "log_on"), &on) != 0 || row_historic(j->row)) {
        return 0;
    }
    if (on > written) {
        return broken(j, "log_on", "不能晚于今天");
    }
    int64_t bound = setting(j->c->settings, "backdate_days", row_site(j->row));
    if (written - on > bound && row_text(j->row, "backdate_reason").len == 0) {
        return broken(j, "backdate_reason", "必须填写：补录已超过规定天数");
    }
    return 0;
}

/* §5.6.9: closed means that the citizen was told, or is unknown, or was refused with a reason. */
static int rule_opinion(const struct judged *j)
{
    bool told = row_text(j->row, "feedback_on").len > 0 && row_text(j->row, "feedback_mode").len > 0;
    bool refused = row_text(j->row, "not_accept_reason").len > 0;

    if (!row_in_state(j->row, "closed") || told || refused || row_int(j->row, "anonymous") != 0) {
        return 0;
    }
    return broken(j, "feedback_on", "和反馈方式必须填写：反馈群众后才能办结");
}

static int rule_expense(const struct judged *j)
{
    struct slice approver = row_text(j->row, "approver");

    if (approver.len > 0 && slice_eq(approver, row_text(j->row, "handler"))) {
        return broken(j, "approver", "不能是经办人本人");
    }
    return 0;
}

static int rule_info_case(const struct judged *j)
{
    struct slice approver = row_text(j->row, "approver");

    if (approver.len > 0 && slice_eq(approver, row_text(j->row, "editor"))) {
        return broken(j, "approver", "不能是编辑本人");
    }
    if (slice_eq(row_text(j->row, "form"), slice_str("proposal"))) {
        return broken(j, "form", "不能是委员提案");
    }
    return 0;
}

static int rule_score_rule(const struct judged *j)
{
    if (row_named(j->row, "cap")->type == V_INT &&
        row_int(j->row, "cap") < row_int(j->row, "points")) {
        return broken(j, "cap", "不应小于分值");
    }
    return 0;
}

/* The last day a case or task may reach: its 交办 plus six months. */
static int rule_due_bound(const struct judged *j)
{
    static const char *const bounded[] = {"due_on", "ext_to"};
    day_t assigned, due;
    int months = (int)setting(j->c->settings, "extension_months", 0);

    if (cal_parse_date(row_text(j->row, "assigned_on"), &assigned) != 0) {
        return 0;
    }
    for (size_t i = 0; i < 2; i++) {
        const struct field *f = kind_field_named(j->row->kind, bounded[i]);
        if (f == NULL || cal_parse_date(row_text(j->row, bounded[i]), &due) != 0) {
            continue;
        }
        if (due > cal_add_months(assigned, months)) {
            return err_set(j->err, E_INVALID, "“%s”不能超过交办之日起 %d 个月", f->label, months);
        }
    }
    return 0;
}

static int rule_reply(const struct judged *j)
{
    struct row *task = NULL;

    int ret = j->c->lookup == NULL ? 0 : lookup_ref(j->c->lookup, j->row, "task_id", &task);
    if (ret != 0 || task == NULL) {
        return ret;
    }
    struct slice assigned = row_text(task, "assigned_on"), on = row_text(j->row, "reply_on");
    if (on.len > 0 && slice_cmp(on, assigned) < 0) {
        return broken(j, "reply_on", "不应早于交办日期");
    }
    return 0;
}

static int rule_feedback(const struct judged *j)
{
    static const struct slice no = {(const uint8_t *)"dissatisfied", 12};

    if ((slice_eq(row_text(j->row, "attitude"), no) || slice_eq(row_text(j->row, "result"), no)) &&
        row_text(j->row, "reason").len == 0) {
        return broken(j, "reason", "必须填写：不满意须说明理由");
    }
    return 0;
}

/* 三员 exclude one another and every other role; a county's account holds county roles only. */
static int rule_user_account(const struct judged *j)
{
    static const char *const apart[] = {"operator", "sec_admin", "audit_admin"};
    uint32_t roles = roles_of(row_named(j->row, "role"));

    for (size_t i = 0; i < 3; i++) {
        uint32_t bit = role_bit(slice_str(apart[i]));
        if ((roles & bit) != 0 && roles != bit) {
            return broken(j, "role", "中的系统、安全、审计管理员互斥，且不能兼任业务角色");
        }
    }
    enum side other = j->row->stream == STREAM_CITY ? SIDE_COUNTY : SIDE_CITY;
    for (unsigned i = 0; i < catalogue_roles->n_codes && j->row->stream != 0; i++) {
        if ((roles & 1u << i) != 0 && catalogue_roles->codes[i].side == other) {
            return broken(j, "role", other == SIDE_CITY ? "不能含市级角色" : "不能含县级角色");
        }
    }
    return 0;
}

static int rule_attachment(const struct judged *j)
{
    static const char *const allowed[] = {
        "application/pdf", "application/ofd", "image/jpeg", "image/png", "text/plain",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "application/msword", "application/vnd.ms-excel", "application/vnd.ms-works",
        "application/wps-office.wps", "application/wps-office.et"};
    struct slice mime = row_text(j->row, "mime");

    if (row_int(j->row, "size") > setting(j->c->settings, "attachment_bytes", row_site(j->row))) {
        return broken(j, "size", "超过单个附件上限");
    }
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++) {
        if (mime.len == 0 || slice_eq(mime, slice_str(allowed[i]))) {
            return 0;
        }
    }
    return broken(j, "mime", "不在允许的文件类型之内");
}

static int refuse_setting(const struct judged *j, const struct setting_info *info)
{
    if (setting_is_date(info)) {
        return err_set(j->err, E_INVALID, "“%s”应为年月日八位数字，0 表示未定", info->label);
    }
    return err_set(j->err, E_INVALID, "“%s”应在 %lld 到 %lld 之间", info->label,
                   (long long)info->min, (long long)info->max);
}

static int setting_site_exists(const struct judged *j)
{
    const struct value *site = row_named(j->row, "for_site");
    struct row **rows;
    struct arena a;
    size_t n = 1;
    int ret = 0;

    if (j->c->lookup == NULL || value_is_null(site)) {
        return 0;
    }
    arena_init(&a, SITES_MEMORY);
    ret = lookup_find(j->c->lookup, &a, "site", "code", site, &rows, &n);
    arena_release(&a);
    return ret != 0 ? ret : n > 0 ? 0 : broken(j, "for_site", "不是已有的县市区代码");
}

static int rule_setting(const struct judged *j)
{
    struct slice name = row_text(j->row, "name");

    for (unsigned i = 0; i < settings_n; i++) {
        const struct setting_info *info = &settings_list[i];
        if (!slice_eq(name, slice_str(info->name))) {
            continue;
        }
        return setting_valid(info, row_int(j->row, "value")) ? setting_site_exists(j)
                                                             : refuse_setting(j, info);
    }
    return broken(j, "name", "不是已有的设置项");
}

static int rule_historic_file(const struct judged *j)
{
    struct slice name = row_text(j->row, "target_kind");

    for (unsigned i = 0; i < catalogue_n_kinds; i++) {
        if (slice_eq(name, slice_str(catalogue_kinds[i]->name)) &&
            catalogue_kinds[i]->historic_states != NULL) {
            return 0;
        }
    }
    return broken(j, "target_kind", "不是可以补录的台账");
}

static const struct kind_rule {
    const char *kind;
    int (*judge)(const struct judged *j);
} kind_rules[] = {
    {"site", rule_site},
    {"org_unit", rule_org_unit},
    {"member", rule_member},
    {"quota_plan", rule_quota_plan},
    {"application", rule_application},
    {"wall_check", rule_wall_check},
    {"policy_doc", rule_policy_doc},
    {"duty_shift", rule_duty_shift},
    {"duty_log", rule_duty_log},
    {"opinion", rule_opinion},
    {"expense", rule_expense},
    {"info_case", rule_info_case},
    {"score_rule", rule_score_rule},
    {"proposal_case", rule_due_bound},
    {"handling_task", rule_due_bound},
    {"reply", rule_reply},
    {"feedback", rule_feedback},
    {"user_account", rule_user_account},
    {"attachment", rule_attachment},
    {"setting", rule_setting},
    {"historic_file", rule_historic_file},
};

int check_row(const struct check *c, const struct row *row, struct err *err)
{
    struct judged j = {c, row, err};

    const struct field *missing = check_missing(row, false);
    if (missing != NULL) {
        return refuse(err, missing, "必须填写");
    }
    if (is_abandoned(row)) {
        return 0;
    }
    int ret = rule_orders(&j);
    for (size_t i = 0; ret == 0 && i < sizeof kind_rules / sizeof *kind_rules; i++) {
        if (strcmp(kind_rules[i].kind, row->kind->name) == 0) {
            ret = kind_rules[i].judge(&j);
        }
    }
    return ret;
}

/* ---- whose field ---- */

/* Accounts, the audit trail and attachments belong to the side whose stream they live in. */
static bool owned_by_stream(const struct kind *k)
{
    return k->stream == STREAM_RULE_SITE_OR_CITY || k->stream == STREAM_RULE_TARGET;
}

static bool state_among(const struct row *row, const char *const *states)
{
    for (size_t i = 0; states[i] != NULL; i++) {
        if (row_in_state(row, states[i])) {
            return true;
        }
    }
    return false;
}

/* Content is the county's until it is forwarded, and again after 退回; the reviewer's own fields are
 * written while it is reviewed. The city's fields begin with the forwarding. */
static int submission_lock(const struct row *row, const struct field *f, struct err *err)
{
    static const char *const open[] = {"draft", "county_returned", "returned", "", NULL};
    static const char *const early[] = {"draft", "county_review", "county_returned", NULL};
    static const char *const reviewing[] = {"county_opinion", "county_reviewer", "submit_at", NULL};

    if (f->owner == SIDE_CITY) {
        return state_among(row, early) ? err_set(err, E_STATE, "“%s”在上报之后才能填写", f->label)
                                       : 0;
    }
    if (state_among(row, open)) {
        return 0;
    }
    for (size_t i = 0; reviewing[i] != NULL; i++) {
        if (row_in_state(row, "county_review") && strcmp(f->name, reviewing[i]) == 0) {
            return 0;
        }
    }
    return err_set(err, E_STATE, "“%s”已锁定：上报之后内容不能修改，退回补正时可改", f->label);
}

int check_owner(const struct row *row, const struct field *f, enum side side, struct err *err)
{
    enum side owner = f->owner;
    bool historic_creation = row_historic(row) && !row->exists;

    if (f->tag >= TAG_SITE || historic_creation) {
        return 0;
    }
    if (owned_by_stream(row->kind) && row->stream != 0) {
        bool at_city = row->stream == STREAM_CITY || row->stream == STREAM_SHARED;
        owner = at_city ? SIDE_CITY : f->owner;
    }
    if (owner != SIDE_BOTH && side != SIDE_BOTH && owner != side) {
        return err_set(err, E_OWNER, "“%s”由%s填写", f->label,
                       owner == SIDE_CITY ? "市级" : "县级");
    }
    if (strcmp(row->kind->name, "historic_file") == 0 && f->owner == SIDE_COUNTY &&
        row_in_state(row, "confirmed")) {
        return err_set(err, E_STATE, "“%s”已锁定：补录文件已经确认", f->label);
    }
    if (strcmp(row->kind->name, "submission") == 0 && side != SIDE_BOTH) {
        return submission_lock(row, f, err);
    }
    return 0;
}

/* The city's accounts live in `city`; a county sees none of them. */
static int maker_side(const struct lookup *l, const struct row *row, const struct actor *actor,
                      enum side *ret)
{
    struct row *account = NULL;
    int status = lookup_get(l, "user_account", &row->created_by, &account);

    *ret = account != NULL && account->stream != STREAM_CITY ? SIDE_COUNTY : SIDE_CITY;
    if (account == NULL && id_eq(&row->created_by, &actor->account)) {
        *ret = actor->side;
    }
    return status;
}

int check_voider(const struct lookup *l, const struct row *row, const struct actor *actor,
                 struct err *err)
{
    enum side owner = row->kind->owner;
    int ret = owner == SIDE_BOTH ? maker_side(l, row, actor, &owner) : 0;

    if (ret != 0) {
        return err_set(err, ret, NULL);
    }
    return owner == actor->side
               ? 0
               : err_set(err, E_OWNER, "这条%s不归本方作废", row->kind->label);
}

int check_immutable(const struct row *row, const struct field *f, const struct value *v,
                    struct err *err)
{
    const struct value *old = row_get(row, f->tag);

    if (!f->immutable || value_is_null(old) || value_eq(old, v)) {
        return 0;
    }
    return err_set(err, E_STATE, "“%s”填写之后不能修改", f->label);
}

int check_writer(const struct kind *kind, const struct actor *actor, struct err *err)
{
    if (actor->is_system || (rules_roles_here(actor) & kind->writers) != 0) {
        return 0;
    }
    return err_set(err, E_ROLE, "该账户不能填写“%s”", kind->label);
}
