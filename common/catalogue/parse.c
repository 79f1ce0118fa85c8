/* What people type or paste, made into values: one function a form, one table a type. */
#include <stdlib.h>
#include <string.h>

#include "common/base/text.h"
#include "common/catalogue/check.h"

#define SERIAL_MIN 10000  /* 1927: shorter numbers are years or typing errors */
#define SERIAL_MAX 401768 /* 2999-12-31 */

static int refuse(struct err *err, const struct field *f, const char *what)
{
    return err_set(err, E_INVALID, "“%s”%s", f->label, what);
}

/* ---- text ---- */

/* CR LF and CR become LF; trimmed. In A; p NULL on lack of memory. */
static struct slice clean(struct arena *a, struct slice s)
{
    uint8_t *p = arena_alloc(a, s.len + 1);
    size_t n = 0;

    if (p == NULL) {
        return (struct slice){NULL, 0};
    }
    for (size_t i = 0; i < s.len; i++) {
        if (s.p[i] != '\r') {
            p[n++] = s.p[i];
        } else if (i + 1 == s.len || s.p[i + 1] != '\n') {
            p[n++] = '\n';
        }
    }
    return text_trim((struct slice){p, n});
}

static bool same(struct slice s, const char *word)
{
    size_t n = strlen(word);

    return s.len == n && strncasecmp((const char *)s.p, word, n) == 0;
}

static struct value text_value(struct arena *a, const char *text)
{
    return value_str(arena_strndup(a, text, strlen(text)));
}

/* ---- numbers ---- */

/* Digits with at most DECIMALS places after the point (or only zeros beyond them), scaled. */
static bool parse_scaled(struct slice s, unsigned decimals, int64_t *ret)
{
    bool negative = s.len > 0 && s.p[0] == '-';
    size_t i = negative;
    int64_t v = 0;
    unsigned places = 0, digits = 0;
    bool point = false;

    for (; i < s.len; i++) {
        uint8_t c = s.p[i];
        if (c == '.' && !point && digits > 0) {
            point = true;
        } else if (c >= '0' && c <= '9' && (!point || places < decimals)) {
            if (v > INT64_MAX / 100) {
                return false;
            }
            v = v * 10 + (c - '0');
            places += point;
            digits++;
        } else if (c != '0' || !point) {
            return false;
        }
    }
    for (; places < decimals; places++) {
        if (v > INT64_MAX / 100) {
            return false;
        }
        v *= 10;
    }
    *ret = negative ? -v : v;
    return digits > 0 && s.p[s.len - 1] != '.';
}

static int parse_number(const struct field *f, struct slice s, struct value *ret, struct err *err)
{
    unsigned decimals = f->type == FT_DECIMAL ? 1 : f->type == FT_MONEY ? 2 : 0;
    int64_t v;

    if (!parse_scaled(s, decimals, &v)) {
        return refuse(err, f, decimals == 0   ? "应为整数"
                              : decimals == 1 ? "应为数字，最多一位小数"
                                              : "应为金额（元），最多两位小数");
    }
    *ret = value_int(v);
    return 0;
}

static int parse_bool(const struct field *f, struct slice s, struct value *ret, struct err *err)
{
    if (same(s, "是") || same(s, "1") || same(s, "true")) {
        *ret = value_int(1);
    } else if (same(s, "否") || same(s, "0") || same(s, "false")) {
        *ret = value_int(0);
    } else {
        return refuse(err, f, "应填“是”或“否”");
    }
    return 0;
}

static int parse_year(const struct field *f, struct slice s, struct value *ret, struct err *err)
{
    static const char year[] = "年";
    size_t n = sizeof year - 1;

    if (s.len > n && memcmp(s.p + s.len - n, year, n) == 0) {
        s.len -= n;
    }
    return parse_number(f, s, ret, err);
}

/* ---- dates and times ---- */

struct when {
    struct cal_date date;
    int hour, minute, second;
};

/* Up to MAX digits at *AT; their number. */
static unsigned digits(struct slice s, size_t *at, unsigned max, int *ret)
{
    unsigned n = 0;

    *ret = 0;
    while (n < max && *at < s.len && s.p[*at] >= '0' && s.p[*at] <= '9') {
        *ret = *ret * 10 + (s.p[(*at)++] - '0');
        n++;
    }
    return n;
}

static bool skip(struct slice s, size_t *at, const char *word)
{
    size_t n = strlen(word);

    if (s.len - *at < n || memcmp(s.p + *at, word, n) != 0) {
        return false;
    }
    *at += n;
    return true;
}

static bool skip_colon(struct slice s, size_t *at)
{
    return skip(s, at, ":") || skip(s, at, "：");
}

/* H:MM or H:MM:SS. */
static bool take_time(struct slice s, size_t *at, struct when *w)
{
    if (digits(s, at, 2, &w->hour) == 0 || !skip_colon(s, at) || digits(s, at, 2, &w->minute) != 2) {
        return false;
    }
    if (skip_colon(s, at) && digits(s, at, 2, &w->second) != 2) {
        return false;
    }
    return w->hour < 24 && w->minute < 60 && w->second < 60;
}

/* Year, month and day with one kind of mark between them, or eight digits. */
static bool take_date(struct slice s, size_t *at, struct cal_date *d)
{
    static const char *const marks[][3] = {
        {"-", "-", ""}, {"/", "/", ""}, {".", ".", ""}, {"年", "月", "日"}};

    if (digits(s, at, 4, &d->year) != 4) {
        return false;
    }
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        if (skip(s, at, marks[i][0])) {
            return digits(s, at, 2, &d->month) > 0 && skip(s, at, marks[i][1]) &&
                   digits(s, at, 2, &d->day) > 0 && skip(s, at, marks[i][2]);
        }
    }
    return digits(s, at, 2, &d->month) == 2 && digits(s, at, 2, &d->day) == 2;
}

static bool take_blank(struct slice s, size_t *at)
{
    bool any = skip(s, at, "T");

    while (*at < s.len) {
        size_t next = *at;
        if (!text_is_blank(text_next(s, &next))) {
            break;
        }
        *at = next;
        any = true;
    }
    return any;
}

/* Days since 1899-12-30 with a fraction of the day, as spreadsheets keep instants. */
static bool parse_serial(struct slice s, struct when *w)
{
    char text[32];
    char *end;

    if (s.len == 0 || s.len >= sizeof text || s.p[0] < '0' || s.p[0] > '9') {
        return false;
    }
    memcpy(text, s.p, s.len);
    text[s.len] = '\0';
    if (strspn(text, "0123456789.") < s.len) {
        return false;
    }
    long days = strtol(text, &end, 10);
    double fraction = *end == '.' ? strtod(end, NULL) : 0;
    if (days < SERIAL_MIN || days > SERIAL_MAX) {
        return false;
    }
    int seconds = (int)(fraction * 86400 + 0.5);
    day_t day = cal_day((struct cal_date){1899, 12, 30}) + (day_t)days + seconds / 86400;
    seconds %= 86400;
    *w = (struct when){cal_date(day), seconds / 3600, seconds / 60 % 60, seconds % 60};
    return true;
}

static bool parse_when(struct slice s, struct when *w)
{
    size_t at = 0;

    *w = (struct when){.hour = 0};
    if (!take_date(s, &at, &w->date)) {
        return parse_serial(s, w);
    }
    if (at < s.len && (!take_blank(s, &at) || !take_time(s, &at, w))) {
        return false;
    }
    (void)skip(s, &at, "+08:00"); /* the only zone there is */
    return at == s.len && cal_valid(w->date);
}

static int parse_date(struct arena *a, const struct field *f, struct slice s, struct value *ret,
                      struct err *err)
{
    struct when w;

    if (!parse_when(s, &w) || w.date.year < 1900 || w.date.year > 2999) {
        return refuse(err, f, "不是有效的日期，例如 2026-3-5");
    }
    const char *text =
        f->type == FT_DATE
            ? arena_printf(a, "%04d-%02d-%02d", w.date.year, w.date.month, w.date.day)
            : arena_printf(a, "%04d-%02d-%02dT%02d:%02d:%02d+08:00", w.date.year, w.date.month,
                           w.date.day, w.hour, w.minute, w.second);
    *ret = value_str(text);
    return text == NULL ? E_NOMEM : 0;
}

static int parse_time(struct arena *a, const struct field *f, struct slice s, struct value *ret,
                      struct err *err)
{
    struct when w = {.hour = 0};
    size_t at = 0;

    if (!take_time(s, &at, &w) || at != s.len) {
        return refuse(err, f, "不是有效的时间，例如 9:30");
    }
    const char *text = arena_printf(a, "%02d:%02d", w.hour, w.minute);
    *ret = value_str(text);
    return text == NULL ? E_NOMEM : 0;
}

/* ---- codes and ids ---- */

static int parse_enum(struct arena *a, const struct field *f, struct slice s, struct value *ret,
                      struct err *err)
{
    const struct code *c = f->codes == NULL ? NULL : code_find(f->codes, s, true);

    if (c == NULL) {
        return err_set(err, E_INVALID, "“%s”没有“%.*s”这个选项", f->label, (int)s.len,
                       (const char *)s.p);
    }
    *ret = text_value(a, c->code);
    return ret->type == V_NULL ? E_NOMEM : 0;
}

static int parse_id(struct arena *a, const struct field *f, struct slice s, struct id *ret,
                    struct err *err)
{
    (void)a;
    if (id_parse((const char *)s.p, s.len, ret) != 0) {
        return refuse(err, f, "不是有效的记录标识");
    }
    return 0;
}

static int parse_ref(struct arena *a, const struct field *f, struct slice s, struct value *ret,
                     struct err *err)
{
    struct id *id = arena_alloc(a, sizeof *id);

    if (id == NULL) {
        return E_NOMEM;
    }
    *ret = value_id(id);
    return parse_id(a, f, s, id, err);
}

/* The next piece between 、，, ； ; and line ends, trimmed; pieces may be empty. */
static bool next_piece(struct slice *rest, struct slice *ret)
{
    static const char *const marks[] = {"、", "，", "；", ",", ";", "\n"};

    if (rest->p == NULL) {
        return false;
    }
    for (size_t i = 0; i < rest->len; i++) {
        for (size_t m = 0; m < sizeof marks / sizeof *marks; m++) {
            size_t at = i;
            if (skip(*rest, &at, marks[m])) {
                *ret = text_trim((struct slice){rest->p, i});
                *rest = (struct slice){rest->p + at, rest->len - at};
                return true;
            }
        }
    }
    *ret = text_trim(*rest);
    *rest = (struct slice){NULL, 0};
    return true;
}

/* One element joined to *RET; elements may come in any order and twice. */
static int join(struct arena *a, struct value *ret, struct value one)
{
    struct value old = *ret;

    return value_set_apply(a, &old, &one, NULL, ret);
}

static int parse_set(struct arena *a, const struct field *f, struct slice s, struct value *ret,
                     struct err *err)
{
    struct slice piece;
    struct value one;

    *ret = value_null();
    while (next_piece(&s, &piece)) {
        if (piece.len == 0) {
            continue;
        }
        int r = parse_enum(a, f, piece, &one, err);
        if (r == 0) {
            one.type = V_SET;
            r = join(a, ret, one);
        }
        if (r != 0) {
            return r;
        }
    }
    return 0;
}

static int parse_ids(struct arena *a, const struct field *f, struct slice s, struct value *ret,
                     struct err *err)
{
    struct slice piece;
    struct id id;

    *ret = value_null();
    while (next_piece(&s, &piece)) {
        if (piece.len == 0) {
            continue;
        }
        int r = parse_id(a, f, piece, &id, err);
        if (r == 0) {
            r = join(a, ret, (struct value){.type = V_IDS, .s = {id.b, ID_SIZE}});
        }
        if (r != 0) {
            return r;
        }
    }
    return 0;
}

/* ---- the whole ---- */

static int parse_typed(struct arena *a, const struct field *f, struct slice s, struct value *ret,
                       struct err *err)
{
    switch (f->type) {
    case FT_INT: case FT_DECIMAL: case FT_MONEY: return parse_number(f, s, ret, err);
    case FT_BOOL: return parse_bool(f, s, ret, err);
    case FT_YEAR: return parse_year(f, s, ret, err);
    case FT_DATE: case FT_DATETIME: return parse_date(a, f, s, ret, err);
    case FT_TIME: return parse_time(a, f, s, ret, err);
    case FT_ENUM: return parse_enum(a, f, s, ret, err);
    case FT_SET: return parse_set(a, f, s, ret, err);
    case FT_REF: case FT_RID: return parse_ref(a, f, s, ret, err);
    case FT_REFS: case FT_FILES: return parse_ids(a, f, s, ret, err);
    case FT_LIST: case FT_SECRET: return refuse(err, f, "不能直接填写");
    default: *ret = value_text(s); return 0;
    }
}

int check_parse(struct arena *a, const struct field *f, struct slice text, struct value *ret,
                struct err *err)
{
    struct value v;

    if (!text_valid(text)) {
        return refuse(err, f, "不是有效的文字编码");
    }
    struct slice s = clean(a, text);
    if (s.p == NULL) {
        return err_set(err, E_NOMEM, NULL);
    }
    if (s.len == 0) {
        *ret = value_null();
        return 0;
    }
    int r = parse_typed(a, f, s, &v, err);
    if (r == E_NOMEM) {
        return err_set(err, r, NULL);
    }
    if (r == 0) {
        r = check_value(f, &v, err);
    }
    if (r == 0) {
        *ret = v;
    }
    return r;
}
