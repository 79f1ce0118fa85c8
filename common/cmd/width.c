/* East Asian width of what the ledgers hold: Unicode's wide and full-width blocks, and what has no
 * width. Characters of ambiguous width count as narrow, as terminals show them by default. */
#include "common/cmd/width.h"

#include "common/base/text.h"

struct range {
    uint32_t first, last;
};

static const struct range wide[] = {
    {0x1100, 0x115F}, {0x2E80, 0x303E},   {0x3041, 0x33FF},   {0x3400, 0x4DBF},   {0x4E00, 0x9FFF},
    {0xA000, 0xA4CF}, {0xAC00, 0xD7A3},   {0xF900, 0xFAFF},   {0xFE30, 0xFE6F},   {0xFF01, 0xFF60},
    {0xFFE0, 0xFFE6}, {0x1F300, 0x1F64F}, {0x1F900, 0x1F9FF}, {0x20000, 0x3FFFD},
};

static const struct range none[] = {
    {0x0300, 0x036F}, {0x200B, 0x200F}, {0x202A, 0x202E},
    {0x2060, 0x2064}, {0xFE00, 0xFE0F}, {0xFEFF, 0xFEFF},
};

static bool within(uint32_t c, const struct range *r, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (c >= r[i].first && c <= r[i].last)
            return true;
    }
    return false;
}

static unsigned width_of(uint32_t c)
{
    if (within(c, none, sizeof none / sizeof none[0]))
        return 0;
    return within(c, wide, sizeof wide / sizeof wide[0]) ? 2 : 1;
}

/* C0, DEL, C1 and what turns the direction of writing: a value must not move the cursor. */
static bool is_control(uint32_t c)
{
    return c < 0x20 || (c >= 0x7F && c < 0xA0) || (c >= 0x202A && c <= 0x202E) ||
           (c >= 0x2066 && c <= 0x2069);
}

unsigned text_width(struct slice s)
{
    unsigned width = 0;
    size_t at = 0;
    uint32_t c;

    while ((c = text_next(s, &at)) != 0)
        width += width_of(c);
    return width;
}

void text_plain(struct buf *out, struct slice s, bool lines)
{
    size_t at = 0;
    uint32_t c;

    while ((c = text_next(s, &at)) != 0)
        text_put(out, is_control(c) && !(lines && c == '\n') ? ' ' : c);
}

void text_fit(struct buf *out, struct slice s, unsigned width)
{
    bool whole = text_width(s) <= width;
    unsigned used = 0, room = whole || width == 0 ? width : width - 1;
    size_t at = 0;
    uint32_t c;

    while ((c = text_next(s, &at)) != 0 && used + width_of(c) <= room) {
        text_put(out, is_control(c) ? ' ' : c);
        used += width_of(c);
    }
    if (!whole && width > 0)
        buf_str(out, "…");
}

void text_pad(struct buf *out, unsigned at, unsigned to)
{
    for (; at < to; at++)
        buf_u8(out, ' ');
}
