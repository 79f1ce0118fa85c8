#include "common/base/hex.h"

#include "common/base/err.h"

#include <string.h>

void hex_encode(const uint8_t *p, size_t len, char *text)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < len; i++) {
        *text++ = digits[p[i] >> 4];
        *text++ = digits[p[i] & 15];
    }
    *text = '\0';
}

static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

int hex_decode(const char *text, size_t len, uint8_t *ret_bytes)
{
    if (len % 2 != 0)
        return E_MALFORMED;
    for (size_t i = 0; i < len; i += 2) {
        int high = digit_value(text[i]);
        int low = digit_value(text[i + 1]);

        if (high < 0 || low < 0)
            return E_MALFORMED;
        ret_bytes[i / 2] = (uint8_t)(high << 4 | low);
    }
    return 0;
}

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void base64url_encode(struct buf *out, struct slice s)
{
    for (size_t i = 0; i < s.len; i += 3) {
        size_t n = s.len - i < 3 ? s.len - i : 3;
        uint32_t v = (uint32_t)s.p[i] << 16;

        if (n > 1)
            v |= (uint32_t)s.p[i + 1] << 8;
        if (n > 2)
            v |= s.p[i + 2];
        for (size_t k = 0; k <= n; k++)
            buf_u8(out, (uint8_t)alphabet[(v >> (18 - 6 * k)) & 63]);
    }
}

int base64url_decode(struct buf *out, struct slice text)
{
    uint32_t v = 0;
    unsigned bits = 0;

    if (text.len % 4 == 1)
        return E_MALFORMED;
    for (size_t i = 0; i < text.len; i++) {
        const char *at = text.p[i] == 0 ? NULL : strchr(alphabet, text.p[i]);

        if (at == NULL)
            return E_MALFORMED;
        v = v << 6 | (uint32_t)(at - alphabet);
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            buf_u8(out, (uint8_t)(v >> bits));
            v &= (1u << bits) - 1;
        }
    }
    return v != 0 ? E_MALFORMED : out->ret;
}
