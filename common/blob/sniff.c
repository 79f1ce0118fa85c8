#include "common/blob/sniff.h"

#include "common/base/text.h"
#include "common/blob/file_name.h"

#include <string.h>
#include <strings.h>

#define OLE_HEADER 512u

/* By extension where a container does not tell. The first of a type is the one it is given. */
static const struct {
    const char *mime;
    const char *extensions[3];
} types[] = {
    {"application/pdf", {".pdf"}},
    {"application/ofd", {".ofd"}},
    {"image/jpeg", {".jpg", ".jpeg"}},
    {"image/png", {".png"}},
    {"text/plain", {".txt", ".csv", ".md"}},
    {"application/vnd.openxmlformats-officedocument.wordprocessingml.document", {".docx"}},
    {"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", {".xlsx"}},
    {"application/msword", {".doc"}},
    {"application/vnd.ms-excel", {".xls"}},
    {"application/wps-office.wps", {".wps"}},
    {"application/wps-office.et", {".et"}},
};
enum { PDF, OFD, JPEG, PNG, TEXT, DOCX, XLSX, DOC, XLS, WPS, ET };

static bool begins(struct slice s, const char *magic, size_t len)
{
    return s.len >= len && memcmp(s.p, magic, len) == 0;
}

static bool contains(struct slice s, const char *word, size_t len)
{
    for (size_t i = 0; i + len <= s.len; i++) {
        if (s.p[i] == (uint8_t)word[0] && memcmp(s.p + i, word, len) == 0)
            return true;
    }
    return false;
}

static bool ends_in(const char *name, const char *extension)
{
    return strcasecmp(file_name_extension(name), extension) == 0;
}

/* ---- containers ---- */

/* A member of a zip stands by name in the directory at its end, and as a rule early in the file. */
static bool has_member(const struct sniff *s, const char *name)
{
    return contains(s->tail, name, strlen(name)) || contains(s->head, name, strlen(name));
}

static int zip_type(const struct sniff *s)
{
    if (has_member(s, "word/document.xml"))
        return DOCX;
    if (has_member(s, "xl/workbook.xml"))
        return XLSX;
    return has_member(s, "OFD.xml") ? OFD : -1;
}

/* Streams of an OLE file, named in UTF-16. */
static int ole_type(const struct sniff *s)
{
    static const char word[] = "W\0o\0r\0d\0D\0o\0c\0u\0m\0e\0n\0t";
    static const char book[] = "B\0o\0o\0k\0";
    static const char workbook[] = "W\0o\0r\0k\0b\0o\0o\0k";

    if (contains(s->directory, word, sizeof word - 1))
        return ends_in(s->name, ".wps") ? WPS : DOC;
    if (contains(s->directory, workbook, sizeof workbook - 1) ||
        contains(s->directory, book, sizeof book - 1))
        return ends_in(s->name, ".et") ? ET : XLS;
    return -1;
}

static uint32_t le(struct slice s, size_t at, size_t n)
{
    uint32_t v = 0;

    for (size_t i = n; i > 0; i--)
        v = v << 8 | s.p[at + i - 1];
    return v;
}

uint64_t sniff_directory(struct slice head)
{
    uint32_t shift;

    if (!begins(head, "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 8) || head.len < OLE_HEADER)
        return 0;
    shift = le(head, 0x1e, 2);
    if (shift != 9 && shift != 12)
        return 0;
    return ((uint64_t)le(head, 0x30, 4) + 1) << shift;
}

/* ---- text ---- */

static bool is_text_byte(uint8_t c)
{
    return c >= 0x20 || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

/* GB 18030: one, two or four bytes a character; the last may be cut. */
static bool is_gb18030(struct slice s)
{
    for (size_t i = 0; i < s.len;) {
        uint8_t a = s.p[i], b = i + 1 < s.len ? s.p[i + 1] : 0x40;

        if (a < 0x80) {
            i++;
        } else if (a == 0x80 || a == 0xff) {
            return false;
        } else if (b >= 0x40 && b != 0x7f && b != 0xff) {
            i += 2;
        } else if (b >= 0x30 && b <= 0x39) {
            if (i + 3 < s.len && (s.p[i + 2] < 0x81 || s.p[i + 3] < 0x30 || s.p[i + 3] > 0x39))
                return false;
            i += 4;
        } else {
            return false;
        }
    }
    return true;
}

static bool is_text(struct slice s)
{
    size_t cut = s.len >= SNIFF_BYTES ? 3 : 0; /* of the last character */

    for (size_t i = 0; i < s.len; i++) {
        if (!is_text_byte(s.p[i]) || s.p[i] == 0x7f)
            return false;
    }
    return text_valid_prefix(s.p, s.len) + cut >= s.len || is_gb18030(s);
}

static int find(const struct sniff *s)
{
    if (begins(s->head, "%PDF-", 5))
        return PDF;
    if (begins(s->head, "\xff\xd8\xff", 3))
        return JPEG;
    if (begins(s->head, "\x89PNG\r\n\x1a\n", 8))
        return PNG;
    if (begins(s->head, "PK\x03\x04", 4))
        return zip_type(s);
    if (begins(s->head, "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 8))
        return ole_type(s);
    return is_text(s->head) ? TEXT : -1;
}

const char *sniff_type(const struct sniff *s)
{
    int at = find(s);

    return at < 0 ? NULL : types[at].mime;
}

const char *sniff_extension(const char *mime)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (strcmp(types[i].mime, mime) == 0)
            return types[i].extensions[0];
    }
    return "";
}

bool sniff_fits(const char *mime, const char *name)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (strcmp(types[i].mime, mime) != 0)
            continue;
        for (size_t k = 0; k < 3 && types[i].extensions[k] != NULL; k++) {
            if (ends_in(name, types[i].extensions[k]))
                return true;
        }
    }
    return false;
}
