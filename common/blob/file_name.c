#include "common/blob/file_name.h"

#include "common/base/text.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define NAMELESS      "附件"
#define EXTENSION_MAX 12u /* longer ones are part of the name */

static struct slice last_component(struct slice s)
{
    size_t from = s.len;

    while (from > 0 && s.p[from - 1] != '/' && s.p[from - 1] != '\\')
        from--;
    return (struct slice){s.p + from, s.len - from};
}

/* Characters that are not seen, or turn what follows around. */
static bool is_hidden(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0xad || c == 0x61c ||
           (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
           (c >= 0x2060 && c <= 0x206f) || c == 0xfeff || (c >= 0xfff0 && c <= 0xfffb) ||
           (c >= 0xe0000 && c <= 0xe007f);
}

static bool is_refused(uint32_t c)
{
    return c < 0x80 && strchr("<>:\"|?*", (int)c) != NULL;
}

static bool at_end(uint32_t c)
{
    return c == '.' || text_is_blank(c);
}

/* Without dots and blanks at the ends. */
static struct slice trim_ends(struct slice s)
{
    size_t from = s.len, to = 0;

    for (size_t at = 0; at < s.len;) {
        size_t before = at;
        uint32_t c = text_next(s, &at);

        if (at_end(c))
            continue;
        if (from == s.len)
            from = before;
        to = at;
    }
    return from < to ? (struct slice){s.p + from, to - from} : (struct slice){s.p, 0};
}

/* Names that some systems take for a device, whatever their extension. */
static bool is_device(const char *name)
{
    static const char *const devices[] = {"con", "prn", "aux", "nul", "com", "lpt"};
    size_t len = strcspn(name, ".");

    for (size_t i = 0; i < sizeof devices / sizeof *devices; i++) {
        bool numbered = i >= 4;

        if (len == (numbered ? 4u : 3u) && strncasecmp(name, devices[i], 3) == 0 &&
            (!numbered || (name[3] >= '0' && name[3] <= '9')))
            return true;
    }
    return false;
}

const char *file_name_extension(const char *name)
{
    const char *dot = strrchr(name, '.');

    return dot == NULL || dot == name || strlen(dot) > EXTENSION_MAX ? "" : dot;
}

/* MAX bytes at most, what is cut lies before the extension. */
static void fit(const char *name, size_t max, char *ret)
{
    const char *extension = file_name_extension(name);
    size_t len = strlen(name), tail = strlen(extension), keep = len - tail;

    if (len > max)
        keep = text_valid_prefix((const uint8_t *)name, max - tail);
    if (keep > len - tail)
        keep = len - tail;
    while (tail == 0 && keep > 0 && (name[keep - 1] == ' ' || name[keep - 1] == '.'))
        keep--; /* the cut laid it bare */
    memcpy(ret, name, keep);
    memcpy(ret + keep, extension, tail + 1);
}

static void clean(struct slice s, struct buf *out)
{
    for (size_t at = 0; at < s.len;) {
        uint32_t c = text_next(s, &at);

        if (!is_hidden(c))
            text_put(out, is_refused(c) ? '_' : text_is_blank(c) ? ' ' : c);
    }
}

void file_name_clean(struct slice raw, size_t max, char *ret)
{
    struct buf out, whole;
    struct slice s;

    buf_init(&out, raw.len + 1);
    buf_init(&whole, raw.len + 16);
    if (text_valid(raw))
        clean(last_component(raw), &out);
    s = trim_ends(buf_slice(&out));
    buf_put(&whole, s.p, s.len);
    if (is_device(buf_cstr(&whole))) {
        buf_clear(&whole);
        buf_u8(&whole, '_');
        buf_put(&whole, s.p, s.len);
    }
    if (whole.len == 0 || whole.ret != 0 || out.ret != 0)
        (void)snprintf(ret, max + 1, "%s", NAMELESS);
    else
        fit(buf_cstr(&whole), max, ret);
    buf_release(&out);
    buf_release(&whole);
}
