#include "common/base/text.h"

#include "common/base/err.h"

#include <string.h>

/* Length of the sequence at P, 0 when it is not valid. */
static size_t sequence(const uint8_t *p, size_t len, uint32_t *ret_c)
{
    static const uint32_t lowest[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n;
    uint32_t c = p[0];

    if (c < 0x80) {
        *ret_c = c;
        return 1;
    }
    n = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc2 ? 2 : 0;
    if (n == 0 || c > 0xf4 || len < n)
        return 0;
    c &= 0xffu >> (n + 1);
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (p[i] & 0x3f);
    }
    if (c < lowest[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return 0;
    *ret_c = c;
    return n;
}

/* Most of what is written here: a three-byte sequence that can be neither over-long nor a surrogate. */
static bool is_plain_three(const uint8_t *p, size_t len)
{
    return len >= 3 && p[0] > 0xe0 && p[0] < 0xf0 && p[0] != 0xed && (p[1] & 0xc0) == 0x80 &&
           (p[2] & 0xc0) == 0x80;
}

size_t text_valid_prefix(const uint8_t *p, size_t len)
{
    size_t at = 0;
    uint32_t c;

    while (at < len) {
        size_t n = p[at] < 0x80                       ? 1
                   : is_plain_three(p + at, len - at) ? 3
                                                      : sequence(p + at, len - at, &c);

        if (n == 0)
            break;
        at += n;
    }
    return at;
}

bool text_valid(struct slice s)
{
    if (s.len > 0 && memchr(s.p, 0, s.len) != NULL)
        return false;
    return text_valid_prefix(s.p, s.len) == s.len;
}

size_t text_length(struct slice s)
{
    size_t n = 0;

    for (size_t i = 0; i < s.len; i++)
        n += (s.p[i] & 0xc0) != 0x80;
    return n;
}

uint32_t text_next(struct slice s, size_t *at)
{
    uint32_t c = 0;
    size_t n;

    if (*at >= s.len)
        return 0;
    n = sequence(s.p + *at, s.len - *at, &c);
    *at += n == 0 ? 1 : n;
    return n == 0 ? 0xfffd : c;
}

void text_put(struct buf *b, uint32_t c)
{
    if (c < 0x80) {
        buf_u8(b, (uint8_t)c);
    } else if (c < 0x800) {
        buf_u8(b, (uint8_t)(0xc0 | c >> 6));
        buf_u8(b, (uint8_t)(0x80 | (c & 0x3f)));
    } else if (c < 0x10000) {
        buf_u8(b, (uint8_t)(0xe0 | c >> 12));
        buf_u8(b, (uint8_t)(0x80 | (c >> 6 & 0x3f)));
        buf_u8(b, (uint8_t)(0x80 | (c & 0x3f)));
    } else {
        buf_u8(b, (uint8_t)(0xf0 | c >> 18));
        buf_u8(b, (uint8_t)(0x80 | (c >> 12 & 0x3f)));
        buf_u8(b, (uint8_t)(0x80 | (c >> 6 & 0x3f)));
        buf_u8(b, (uint8_t)(0x80 | (c & 0x3f)));
    }
}

bool text_is_blank(uint32_t c)
{
    return (c >= 0x09 && c <= 0x0d) || c == 0x20 || c == 0x85 || c == 0xa0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200b) || c == 0x2028 || c == 0x2029 || c == 0x202f ||
           c == 0x205f || c == 0x3000 || c == 0xfeff;
}

struct slice text_trim(struct slice s)
{
    size_t at = 0;
    size_t from = 0;

    if (s.len == 0)
        return s; /* may have no address to add to */
    while (at < s.len && text_is_blank(text_next(s, &at)))
        from = at;
    s.p += from;
    s.len -= from;
    while (s.len > 0) {
        size_t last = s.len - 1;

        while (last > 0 && (s.p[last] & 0xc0) == 0x80)
            last--;
        at = last;
        if (!text_is_blank(text_next(s, &at)))
            break;
        s.len = last;
    }
    return s;
}

int text_int(struct slice s, int64_t *ret_value)
{
    bool minus = s.len > 0 && s.p[0] == '-';
    uint64_t limit = (uint64_t)INT64_MAX + minus;
    uint64_t v = 0;
    size_t at = minus ? 1 : 0;

    if (at == s.len)
        return E_MALFORMED;
    for (; at < s.len; at++) {
        unsigned digit = (unsigned)s.p[at] - '0';

        if (digit > 9 || v > (limit - digit) / 10)
            return E_MALFORMED;
        v = v * 10 + digit;
    }
    *ret_value = (int64_t)(minus ? 0 - v : v);
    return 0;
}
