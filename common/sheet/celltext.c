#include "common/sheet/celltext.h"

#include "common/base/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DAY_SECONDS 86400
#define SERIAL_1970 25569 /* serial of 1970-01-01 counted from 1900, valid from 1900-03-01 on */
#define SHIFT_1904  1462

static bool digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

/* Lay out "d.ddd" significant digits (without the point) and a decimal exponent as plain text. */
static size_t lay_out(const char *digits, int n, int exponent, char text[CELL_NUMBER_SIZE])
{
    if (exponent < -6 || exponent > 20) {
        if (n == 1)
            return (size_t)snprintf(text, CELL_NUMBER_SIZE, "%ce%d", digits[0], exponent);
        return (size_t)snprintf(text, CELL_NUMBER_SIZE, "%c.%.*se%d", digits[0], n - 1, digits + 1,
                                exponent);
    }
    if (exponent < 0)
        return (size_t)snprintf(text, CELL_NUMBER_SIZE, "0.%.*s%.*s", -exponent - 1, "000000", n,
                                digits);
    if (exponent >= n - 1)
        return (size_t)snprintf(text, CELL_NUMBER_SIZE, "%.*s%.*s", n, digits, exponent - n + 1,
                                "00000000000000000000");
    return (size_t)snprintf(text, CELL_NUMBER_SIZE, "%.*s.%.*s", exponent + 1, digits,
                            n - exponent - 1, digits + exponent + 1);
}

size_t cell_number_text(double v, char text[CELL_NUMBER_SIZE])
{
    char e[CELL_NUMBER_SIZE];
    char digits[18];
    char *mark;
    int n;
    size_t sign = v < 0;

    if (v == 0)
        return (size_t)snprintf(text, CELL_NUMBER_SIZE, "0");
    for (int precision = 15; precision <= 17; precision++) {
        (void)snprintf(e, sizeof e, "%.*e", precision - 1, fabs(v));
        if (strtod(e, NULL) == fabs(v))
            break;
    }
    mark = strchr(e, 'e');
    digits[0] = e[0];
    n = (int)(mark - e) - 1;
    memcpy(digits + 1, e + 2, (size_t)n - 1);
    while (n > 1 && digits[n - 1] == '0')
        n--;
    if (sign)
        text[0] = '-';
    return sign + lay_out(digits, n, (int)strtol(mark + 1, NULL, 10), text + sign);
}

bool cell_parse_number(struct slice raw, double *ret_v)
{
    char text[64];
    char *end;
    double v;

    if (raw.len == 0 || raw.len >= sizeof text)
        return false;
    for (size_t i = 0; i < raw.len; i++) {
        if (!digit(raw.p[i]) && strchr("+-.eE", raw.p[i]) == NULL)
            return false;
    }
    memcpy(text, raw.p, raw.len);
    text[raw.len] = '\0';
    v = strtod(text, &end);
    if (end != text + raw.len || !isfinite(v))
        return false;
    *ret_v = v;
    return true;
}

bool cell_number_is_short(struct slice raw)
{
    size_t i = raw.len > 0 && raw.p[0] == '-';
    size_t start = i;
    size_t significant = 0;
    size_t whole;

    while (i < raw.len && digit(raw.p[i]))
        significant += significant > 0 || raw.p[i] != '0', i++;
    whole = i - start;
    if (whole == 0 || (whole > 1 && raw.p[start] == '0'))
        return false;
    if (i < raw.len && raw.p[i] == '.') {
        if (!digit(raw.p[raw.len - 1]) || raw.p[raw.len - 1] == '0')
            return false;
        for (i++; i < raw.len && digit(raw.p[i]); i++)
            significant += significant > 0 || raw.p[i] != '0';
        /* Tiny numbers are written with an exponent. */
        if (whole == 1 && raw.p[start] == '0' && raw.len - start > 8)
            return false;
    }
    return i == raw.len && significant <= 15 && (significant > 0 || start == 0);
}

static void put_time(int second, char *text, size_t size)
{
    (void)snprintf(text, size, "%02u:%02u:%02u", (unsigned)second / 3600 % 24,
                   (unsigned)second / 60 % 60, (unsigned)second % 60);
}

bool cell_serial_text(double serial, bool since_1904, char text[CELL_DATE_SIZE])
{
    double whole = floor(serial);
    int second = (int)floor((serial - whole) * DAY_SECONDS + 0.5);
    day_t day;

    if (second == DAY_SECONDS) {
        second = 0;
        whole += 1;
    }
    if (!(whole >= 0 && whole < 1e7))
        return false;
    if (whole == 0 && !since_1904) {
        put_time(second, text, CELL_DATE_SIZE);
        return true;
    }
    /* Serial 60 is the 29th of February 1900, which never was; the days before it are off by one. */
    if (whole == 60 && !since_1904)
        return false;
    day = (day_t)whole - SERIAL_1970;
    if (since_1904)
        day += SHIFT_1904;
    else if (whole < 60)
        day++;
    if (!cal_valid(cal_date(day)))
        return false;
    cal_format_date(day, text);
    if (second != 0) {
        text[10] = ' ';
        put_time(second, text + 11, CELL_DATE_SIZE - 11);
    }
    return true;
}

bool cell_serial_of(day_t day, unsigned second, double *ret_serial)
{
    if (day < 61 - SERIAL_1970 || !cal_valid(cal_date(day)))
        return false;
    *ret_serial = (double)(day + SERIAL_1970) + (double)second / DAY_SECONDS;
    return true;
}

bool cell_iso_text(struct slice raw, char text[CELL_DATE_SIZE])
{
    static const char pattern[] = "T00:00:00";
    day_t day;

    if (raw.len < 10 || cal_parse_date((struct slice){raw.p, 10}, &day) != 0)
        return false;
    memcpy(text, raw.p, 10);
    text[10] = '\0';
    if (raw.len == 10)
        return true;
    if (raw.len < 19)
        return false;
    for (size_t i = 0; i < 9; i++) {
        if (pattern[i] == '0' ? !digit(raw.p[10 + i]) : raw.p[10 + i] != pattern[i])
            return false;
    }
    if (memcmp(raw.p + 11, "00:00:00", 8) == 0)
        return true;
    text[10] = ' ';
    memcpy(text + 11, raw.p + 11, 8);
    text[19] = '\0';
    return true;
}

bool cell_builtin_is_date(unsigned id)
{
    return (id >= 14 && id <= 22) || (id >= 27 && id <= 36) || (id >= 45 && id <= 47) ||
           (id >= 50 && id <= 58);
}

bool cell_format_is_date(const char *code)
{
    for (const char *c = code; *c != '\0'; c++) {
        const char *end;

        switch (*c) {
        case '"':
        case '[':
            end = strchr(c + 1, *c == '"' ? '"' : ']');
            if (end == NULL)
                return false;
            c = end;
            break;
        case '\\':
        case '_':
        case '*':
            if (c[1] == '\0')
                return false;
            c++;
            break;
        case ';':
            /* The first section is the one for positive numbers. */
            return false;
        default:
            if (strchr("yYmMdDhH", *c) != NULL)
                return true;
        }
    }
    return false;
}

/* The unit that "_xHHHH" at P writes; -1 when it writes none. */
static int32_t escape_head(const uint8_t *p, size_t len)
{
    int32_t v = 0;

    if (len < 6 || p[0] != '_' || p[1] != 'x')
        return -1;
    for (size_t i = 2; i < 6; i++) {
        uint8_t c = p[i];
        int d = digit(c) ? c - '0' : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 87 : -1;

        if (d < 0)
            return -1;
        v = v << 4 | d;
    }
    return v;
}

/* The same for the whole "_xHHHH_". */
static int32_t escape_at(const uint8_t *p, size_t len)
{
    return len >= 7 && p[6] == '_' ? escape_head(p, len) : -1;
}

size_t cell_encode(uint32_t c, uint8_t out[4])
{
    if (c < 0x80) {
        out[0] = (uint8_t)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (uint8_t)(0xc0 | c >> 6);
        out[1] = (uint8_t)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (uint8_t)(0xe0 | c >> 12);
        out[1] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
        out[2] = (uint8_t)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (uint8_t)(0xf0 | c >> 18);
    out[1] = (uint8_t)(0x80 | (c >> 12 & 0x3f));
    out[2] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
    out[3] = (uint8_t)(0x80 | (c & 0x3f));
    return 4;
}

/* The character that one or two escapes at P write and how many bytes they take; 0 for none. */
static uint32_t escaped(const uint8_t *p, size_t len, size_t *ret_used)
{
    int32_t high = escape_at(p, len);
    int32_t low;

    *ret_used = 7;
    if (high <= 0 || (high >= 0xdc00 && high <= 0xdfff))
        return 0;
    if (high < 0xd800 || high > 0xdfff)
        return (uint32_t)high;
    low = escape_at(p + 7, len - 7);
    if (low < 0xdc00 || low > 0xdfff)
        return 0;
    *ret_used = 14;
    return 0x10000 + ((uint32_t)(high - 0xd800) << 10) + (uint32_t)(low - 0xdc00);
}

size_t cell_unescape(uint8_t *p, size_t len)
{
    size_t out = 0;

    if (len < 7 || memchr(p, '_', len) == NULL)
        return len;
    for (size_t i = 0; i < len;) {
        size_t used;
        uint32_t c = p[i] == '_' ? escaped(p + i, len - i, &used) : 0;

        if (c == 0) {
            p[out++] = p[i++];
        } else {
            out += cell_encode(c, p + out);
            i += used;
        }
    }
    return out;
}

size_t cell_newlines(uint8_t *p, size_t len)
{
    size_t out = 0;

    if (len == 0 || memchr(p, '\r', len) == NULL)
        return len;
    for (size_t i = 0; i < len; i++) {
        if (p[i] == '\r' && i + 1 < len && p[i + 1] == '\n')
            continue;
        p[out++] = p[i] == '\r' ? '\n' : p[i];
    }
    return out;
}

void cell_escape(struct buf *out, struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.p[i];
        bool last_of_bmp = c == 0xef && i + 2 < s.len && s.p[i + 1] == 0xbf && s.p[i + 2] >= 0xbe;

        if (c == '\r') {
            if (i + 1 == s.len || s.p[i + 1] != '\n')
                buf_u8(out, '\n');
        } else if (c < 0x20 && c != '\t' && c != '\n') {
            buf_printf(out, "_x%04X_", c);
        } else if (last_of_bmp) { /* U+FFFE and U+FFFF are no characters of XML */
            buf_printf(out, "_xFFF%c_", s.p[i + 2] == 0xbe ? 'E' : 'F');
            i += 2;
        } else {
            /* Its closing '_' may be the first of an escape made here. */
            if (escape_head(s.p + i, s.len - i) >= 0)
                buf_str(out, "_x005F");
            buf_u8(out, c);
        }
    }
}

bool cell_needs_guard(struct slice s)
{
    size_t i = 0;

    while (i < s.len && s.p[i] == '\'')
        i++;
    return i < s.len && s.p[i] != '\0' && strchr("=+-@\t\r\n", s.p[i]) != NULL;
}
