#include "common/base/id.h"

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/hex.h"

#include <string.h>

void random_fill(const struct random *r, void *p, size_t len)
{
    r->fill(r->ctx, p, len);
}

static uint64_t rotl(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

static uint64_t seeded_next(struct random_seeded *g)
{
    uint64_t result = rotl(g->s[1] * 5, 7) * 9;
    uint64_t t = g->s[1] << 17;

    g->s[2] ^= g->s[0];
    g->s[3] ^= g->s[1];
    g->s[1] ^= g->s[2];
    g->s[0] ^= g->s[3];
    g->s[2] ^= t;
    g->s[3] = rotl(g->s[3], 45);
    return result;
}

static void seeded_fill(void *ctx, void *p, size_t len)
{
    uint8_t *out = p;

    while (len > 0) {
        uint64_t v = seeded_next(ctx);

        for (int i = 0; i < 8 && len > 0; i++, len--)
            *out++ = (uint8_t)(v >> (8 * i));
    }
}

struct random random_seeded_init(struct random_seeded *state, uint64_t seed)
{
    for (int i = 0; i < 4; i++) { /* splitmix64 */
        uint64_t z = (seed += 0x9e3779b97f4a7c15u);

        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        state->s[i] = z ^ (z >> 31);
    }
    return (struct random){.fill = seeded_fill, .ctx = state};
}

uint64_t random_below(const struct random *r, uint64_t bound)
{
    uint64_t limit = UINT64_MAX - UINT64_MAX % bound;

    for (;;) {
        uint8_t b[8];
        uint64_t v = 0;

        random_fill(r, b, sizeof b);
        for (int i = 0; i < 8; i++)
            v |= (uint64_t)b[i] << (8 * i);
        if (v < limit)
            return v % bound;
    }
}

struct id id_v7(uint64_t unix_ms, const struct random *r)
{
    struct id id;

    random_fill(r, id.b, sizeof id.b);
    for (int i = 0; i < 6; i++)
        id.b[i] = (uint8_t)(unix_ms >> (8 * (5 - i)));
    id.b[6] = (uint8_t)((id.b[6] & 0x0f) | 0x70);
    id.b[8] = (uint8_t)((id.b[8] & 0x3f) | 0x80);
    return id;
}

bool id_eq(const struct id *a, const struct id *b)
{
    return memcmp(a->b, b->b, ID_SIZE) == 0;
}

bool id_is_zero(const struct id *a)
{
    static const struct id zero;

    return id_eq(a, &zero);
}

int id_cmp(const struct id *a, const struct id *b)
{
    return memcmp(a->b, b->b, ID_SIZE);
}

void id_format(const struct id *a, char text[ID_TEXT_SIZE])
{
    char hex[2 * ID_SIZE + 1];
    size_t from = 0;
    static const size_t groups[] = {8, 4, 4, 4, 12};

    hex_encode(a->b, ID_SIZE, hex);
    for (size_t g = 0; g < sizeof groups / sizeof *groups; g++) {
        memcpy(text, hex + from, groups[g]);
        text += groups[g];
        from += groups[g];
        *text++ = '-';
    }
    text[-1] = '\0';
}

struct id id_take(struct rd *r)
{
    struct slice s = rd_take(r, ID_SIZE);
    struct id id = {{0}};

    if (s.len == ID_SIZE)
        memcpy(id.b, s.p, ID_SIZE);
    return id;
}

int id_parse(const char *text, size_t len, struct id *ret_id)
{
    char hex[2 * ID_SIZE];
    struct id id;
    size_t n = 0;

    if (len != 32 && len != 36)
        return E_MALFORMED;
    for (size_t i = 0; i < len; i++) {
        bool hyphen = len == 36 && (i == 8 || i == 13 || i == 18 || i == 23);

        if (hyphen != (text[i] == '-'))
            return E_MALFORMED;
        if (!hyphen)
            hex[n++] = text[i];
    }
    if (n != sizeof hex || hex_decode(hex, n, id.b) != 0)
        return E_MALFORMED;
    *ret_id = id;
    return 0;
}
