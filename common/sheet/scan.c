#include "common/sheet/scan.h"

#include "common/sheet/celltext.h"

#include "common/base/err.h"
#include "common/base/text.h"

#include <string.h>

#define ATTRS_MAX  32
#define ENTITY_MAX 12 /* the longest is "&#x10FFFF;" */
#define HOLD_BACK  32 /* text kept until more is known, so that no character or entity is cut */

void scan_init(struct scan *s, const struct xml_events *events, void *ctx)
{
    s->events = events;
    s->ctx = ctx;
    s->depth = 0;
    s->had_root = s->has_doctype = false;
}

static bool space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static const char *find(const char *p, const char *end, const char *what)
{
    return memmem(p, (size_t)(end - p), what, strlen(what));
}

bool scan_takes(const char *p, size_t len)
{
    const char *close;
    const char *encoding;

    if (len >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0)
        p += 3, len -= 3;
    if (len < 2 || p[0] != '<' || p[1] == '\0')
        return false;
    if (len < 5 || memcmp(p, "<?xml", 5) != 0)
        return true;
    close = find(p, p + len, "?>");
    if (close == NULL)
        return false;
    encoding = find(p, close, "encoding");
    return encoding == NULL || find(encoding, close, "UTF-8") != NULL ||
           find(encoding, close, "utf-8") != NULL;
}

/* Whether the bytes are characters that XML allows. */
static bool valid(const char *text, size_t len)
{
    const uint8_t *p = (const uint8_t *)text;
    size_t i = 0;

    while (i < len) {
        size_t n = 0;

        if (p[i] < 0x80) {
            if (p[i] < 0x20 && !space((char)p[i]))
                return false;
            i++;
            continue;
        }
        while (i + n < len && p[i + n] >= 0x80)
            n++;
        if (text_valid_prefix(p + i, n) != n)
            return false;
        for (size_t k = 0; k + 2 < n; k++) {
            if (p[i + k] == 0xef && p[i + k + 1] == 0xbf && p[i + k + 2] >= 0xbe)
                return false; /* U+FFFE, U+FFFF */
        }
        i += n;
    }
    return true;
}

static bool allowed(uint32_t c)
{
    return c == '\t' || c == '\n' || c == '\r' || (c >= 0x20 && c < 0xd800) ||
           (c >= 0xe000 && c < 0xfffe) || (c >= 0x10000 && c <= 0x10ffff);
}

/* The character of "&#…;", P behind the '#'; 0 for none. */
static uint32_t numeric(const char *p, const char *semicolon)
{
    unsigned base = 10;
    uint32_t c = 0;

    if (p < semicolon && *p == 'x') {
        base = 16;
        p++;
    }
    for (; p < semicolon; p++) {
        unsigned digit = *p >= '0' && *p <= '9'   ? (unsigned)(*p - '0')
                         : *p >= 'a' && *p <= 'f' ? (unsigned)(*p - 'a') + 10
                         : *p >= 'A' && *p <= 'F' ? (unsigned)(*p - 'A') + 10
                                                  : 16;

        if (digit >= base || c > 0x10ffff)
            return 0;
        c = c * base + digit;
    }
    return allowed(c) ? c : 0;
}

/* The character that the entity at P stands for, and the byte behind it; 0 for none. */
static uint32_t entity(const char *p, const char *end, const char **ret_next)
{
    static const struct {
        const char *text;
        char c;
    } named[] = {{"amp", '&'}, {"lt", '<'}, {"gt", '>'}, {"quot", '"'}, {"apos", '\''}};
    size_t len = (size_t)(end - p) < ENTITY_MAX ? (size_t)(end - p) : ENTITY_MAX;
    const char *semicolon = memchr(p, ';', len);

    if (semicolon == NULL)
        return 0;
    *ret_next = semicolon + 1;
    if (p[1] == '#')
        return numeric(p + 2, semicolon);
    for (size_t i = 0; i < sizeof named / sizeof named[0]; i++) {
        size_t n = strlen(named[i].text);

        if ((size_t)(semicolon - p) == n + 1 && memcmp(p + 1, named[i].text, n) == 0)
            return (uint32_t)named[i].c;
    }
    return 0;
}

static int give_text(struct scan *s, const char *p, size_t len)
{
    if (len == 0 || s->events->text == NULL)
        return 0;
    return s->events->text(s->ctx, p, len);
}

static int give_character(struct scan *s, uint32_t c)
{
    uint8_t bytes[4];

    return give_text(s, (const char *)bytes, cell_encode(c, bytes));
}

static int take_text(struct scan *s, char *text, char *end)
{
    const char *p = text;
    int ret = 0;

    if (s->depth == 0) {
        while (p < end && space(*p))
            p++;
        return p == end ? 0 : E_MALFORMED;
    }
    if (!valid(p, (size_t)(end - p)))
        return E_MALFORMED;
    /* Before escapes are undone: "_x000D_" and a CR LF as written are one line break, not two. */
    end = text + cell_newlines((uint8_t *)text, (size_t)(end - text));
    while (p < end && ret == 0) {
        const char *mark = memchr(p, '&', (size_t)(end - p));
        uint32_t c;

        ret = give_text(s, p, (size_t)((mark == NULL ? end : mark) - p));
        if (mark == NULL || ret != 0)
            break;
        c = entity(mark, end, &p);
        if (c == 0)
            return E_MALFORMED;
        ret = give_character(s, c);
    }
    return ret;
}

/* How much of a text whose end is not in sight can go out now. */
static const char *safe_end(const char *p, const char *end)
{
    const char *at = end - HOLD_BACK;
    const char *safe = at;

    if (end - p <= 2 * HOLD_BACK)
        return p;
    for (const char *c = at; c > at - ENTITY_MAX; c--) {
        if (*c == '&')
            safe = c;
    }
    while (safe > p && (((unsigned char)*safe & 0xc0) == 0x80 || safe[-1] == '\r'))
        safe--;
    return safe;
}

static int open_element(struct scan *s, const char *name, size_t len, const char **attrs)
{
    if (len == 0 || len >= SCAN_NAME_MAX || s->depth == SCAN_DEPTH_MAX ||
        (s->depth == 0 && s->had_root))
        return E_MALFORMED;
    memcpy(s->names[s->depth], name, len + 1);
    s->depth++;
    s->had_root = true;
    return s->events->start(s->ctx, name, attrs);
}

static int close_element(struct scan *s, const char *name, size_t len)
{
    const char *open;

    if (s->depth == 0)
        return E_MALFORMED;
    open = s->names[s->depth - 1];
    if (strncmp(open, name, len) != 0 || open[len] != '\0')
        return E_MALFORMED;
    s->depth--;
    return s->events->end(s->ctx, open);
}

/* One attribute at *AT, ended with NULs in place; *AT moves behind it. */
static int take_attr(char **at, char *end, const char *attr[2])
{
    char *p = *at;
    char *name_end;
    char *close;

    attr[0] = p;
    while (p < end && *p != '=' && !space(*p))
        p++;
    name_end = p;
    while (p < end && space(*p))
        p++;
    if (p == end || *p != '=' || name_end == attr[0])
        return E_MALFORMED;
    p++;
    while (p < end && space(*p))
        p++;
    if (p == end || (*p != '"' && *p != '\''))
        return E_MALFORMED;
    close = memchr(p + 1, *p, (size_t)(end - p - 1));
    if (close == NULL)
        return E_MALFORMED;
    attr[1] = p + 1;
    *name_end = *close = '\0';
    *at = close + 1;
    return 0;
}

/* The start tag from P, at its '<', to END, at its '>'. */
static int take_start(struct scan *s, char *p, char *end)
{
    const char *attrs[2 * ATTRS_MAX + 1];
    unsigned n = 0;
    char *name = p + 1;
    char *name_end = name;
    bool empty = end[-1] == '/' && end - 1 > name;
    int ret;

    end -= empty;
    while (name_end < end && !space(*name_end))
        name_end++;
    for (p = name_end;;) {
        while (p < end && space(*p))
            p++;
        if (p == end)
            break;
        if (n == ATTRS_MAX || take_attr(&p, end, attrs + (size_t)2 * n) != 0)
            return E_MALFORMED;
        n++;
    }
    attrs[2 * n] = NULL;
    *name_end = '\0';
    ret = open_element(s, name, (size_t)(name_end - name), attrs);
    if (ret == 0 && empty)
        ret = close_element(s, name, (size_t)(name_end - name));
    return ret;
}

static int take_end(struct scan *s, char *p, char *end)
{
    char *name = p + 2;

    while (end > name && space(end[-1]))
        end--;
    return close_element(s, name, (size_t)(end - name));
}

/* The '>' that closes the tag at P, those in quotes passed over; NULL when it is not in sight. */
static char *tag_end(char *p, const char *end)
{
    char quote = '\0';

    for (; p < end; p++) {
        if (quote != '\0')
            quote = *p == quote ? '\0' : quote;
        else if (*p == '"' || *p == '\'')
            quote = *p;
        else if (*p == '>')
            return p;
    }
    return NULL;
}

/* "<!…": a comment, CDATA, or what is refused. */
static int take_declaration(struct scan *s, char *p, char *end, char **ret_next)
{
    static const char cdata[] = "<![CDATA[";
    bool comment = end - p >= 4 && memcmp(p, "<!--", 4) == 0;
    bool text = end - p >= 9 && memcmp(p, cdata, 9) == 0;
    char *body = p + (comment ? 4 : 9);
    char *close;

    if (!comment && !text) {
        if (end - p < 9)
            return 0;
        s->has_doctype = true;
        return E_MALFORMED;
    }
    close = memmem(body, (size_t)(end - body), comment ? "-->" : "]]>", 3);
    if (close == NULL)
        return 0;
    *ret_next = close + 3;
    if (comment)
        return 0;
    if (s->depth == 0 || !valid(body, (size_t)(close - body)))
        return E_MALFORMED;
    return give_text(s, body, cell_newlines((uint8_t *)body, (size_t)(close - body)));
}

/* What begins with the '<' at P. *RET_NEXT is left alone when its end is not in sight. */
static int take_markup(struct scan *s, char *p, char *end, char **ret_next)
{
    char *close;

    if (end - p < 2)
        return 0;
    if (p[1] == '!')
        return take_declaration(s, p, end, ret_next);
    if (p[1] == '?') {
        close = memmem(p, (size_t)(end - p), "?>", 2);
        if (close != NULL)
            *ret_next = close + 2;
        return 0;
    }
    close = tag_end(p, end);
    if (close == NULL)
        return 0;
    *ret_next = close + 1;
    return p[1] == '/' ? take_end(s, p, close) : take_start(s, p, close);
}

int scan_feed(struct scan *s, char *p, size_t len, bool last, size_t *ret_used)
{
    char *start = p;
    char *end = p + len;
    int ret = 0;

    if (!s->had_root && len >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0)
        p += 3;
    while (p < end && ret == 0) {
        char *next = p;

        if (*p == '<') {
            ret = take_markup(s, p, end, &next);
        } else {
            next = memchr(p, '<', (size_t)(end - p));
            if (next == NULL)
                next = last ? end : p + (safe_end(p, end) - p);
            ret = take_text(s, p, next);
        }
        if (next == p)
            break;
        p = next;
    }
    if (ret == 0 && last && (p != end || s->depth != 0 || !s->had_root))
        return E_MALFORMED;
    *ret_used = (size_t)(p - start);
    return ret;
}
