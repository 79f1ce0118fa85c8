/* Reading .csv in two passes: the first tells the encoding from the whole file, the second decodes
 * piece by piece and cuts records. Memory holds one piece and one record.
 *
 * Failures: a quote that never closes, text after a closing quote, NUL, bytes of neither encoding. */
#include "common/sheet/celltext.h"
#include "common/sheet/input.h"

#include "common/base/mem.h"
#include "common/base/text.h"

#include <errno.h>
#include <iconv.h>
#include <string.h>

#define CHUNK     (64 * 1024)
#define CARRY_MAX 4 /* an unfinished character is shorter */

enum place {
    FIELD_START,
    PLAIN,
    QUOTED,
    QUOTE_SEEN, /* in a quoted field, after a quote that closes it or begins a doubled one */
};

struct csv {
    struct rows *rows;
    enum place place;
    bool after_cr; /* an LF that comes next belongs to the line break */
    bool in_record;
    unsigned column;
    iconv_t iconv; /* (iconv_t)-1 for UTF-8 */
    uint8_t in[CARRY_MAX + CHUNK];
    uint8_t out[2 * (CARRY_MAX + CHUNK)]; /* two bytes of GB18030 become at most three */
};

static int begin_record(struct csv *c)
{
    c->in_record = true;
    c->column = 0;
    return rows_begin(c->rows, c->rows->number + 1);
}

static int end_field(struct csv *c)
{
    struct slice text = rows_cell_text(c->rows);

    if (text.len > 1 && text.p[0] == '\'' && cell_needs_guard(text))
        c->rows->cell_start++;
    c->place = FIELD_START;
    return rows_cell_end(c->rows, c->column++);
}

static int end_record(struct csv *c)
{
    int ret = end_field(c);

    c->in_record = false;
    return ret != 0 ? ret : rows_end(c->rows);
}

/* A byte that is not ordinary text where it stands. */
static int feed_special(struct csv *c, uint8_t b)
{
    if (b == '\0')
        return rows_blame(c->rows, E_MALFORMED, "含有空字符，不是文本文件");
    if (c->place == QUOTED) {
        if (b == '"') {
            c->place = QUOTE_SEEN;
            return 0;
        }
        c->after_cr = b == '\r';
        return rows_cell_put(c->rows, b == '\r' ? "\n" : (const char *)&b, 1);
    }
    switch (b) {
    case '"':
        if (c->place == FIELD_START) {
            c->place = QUOTED;
            return 0;
        }
        if (c->place == QUOTE_SEEN)
            c->place = QUOTED;
        return rows_cell_put(c->rows, "\"", 1);
    case ',':
        return end_field(c);
    default: /* CR or LF */
        c->after_cr = b == '\r';
        return end_record(c);
    }
}

static bool special(uint8_t b)
{
    return b == '"' || b == ',' || b == '\n' || b == '\r' || b == '\0';
}

static int feed(struct csv *c, const uint8_t *p, size_t len)
{
    const uint8_t *end = p + len;
    int ret = 0;

    while (p < end && ret == 0) {
        const uint8_t *run = p;

        if (c->after_cr && *p == '\n') {
            c->after_cr = false;
            p++;
            continue;
        }
        c->after_cr = false;
        if (!c->in_record) {
            ret = begin_record(c);
            if (ret != 0)
                return ret;
        }
        if (c->place == FIELD_START)
            rows_cell_begin(c->rows);
        if (special(*p)) {
            ret = feed_special(c, *p++);
            continue;
        }
        if (c->place == QUOTE_SEEN)
            return rows_blame(c->rows, E_MALFORMED, "第 %u 列的引号后面还有文字", c->column + 1);
        if (c->place == FIELD_START)
            c->place = PLAIN;
        while (p < end && !special(*p))
            p++;
        ret = rows_cell_put(c->rows, run, (size_t)(p - run));
    }
    return ret;
}

static int finish(struct csv *c)
{
    if (c->place == QUOTED)
        return rows_blame(c->rows, E_MALFORMED, "第 %u 列的引号没有结束", c->column + 1);
    if (!c->in_record)
        return 0;
    if (c->place == FIELD_START)
        rows_cell_begin(c->rows);
    return end_record(c);
}

static int bad_encoding(struct csv *c)
{
    return rows_blame(c->rows, E_MALFORMED, "此行附近的文字既不是 UTF-8 也不是 GB18030 编码");
}

/* Feed the whole characters of the first LEN bytes of IN; RET_LEFT bytes remain at its front. */
static int decode_utf8(struct csv *c, size_t len, bool last, size_t *ret_left)
{
    size_t whole = text_valid_prefix(c->in, len);

    if (len - whole >= CARRY_MAX || (last && whole != len))
        return bad_encoding(c);
    *ret_left = len - whole;
    return feed(c, c->in, whole);
}

static int decode_gb18030(struct csv *c, size_t len, bool last, size_t *ret_left)
{
    char *in = (char *)c->in;
    char *out = (char *)c->out;
    size_t in_left = len;
    size_t out_left = sizeof c->out;

    if (iconv(c->iconv, &in, &in_left, &out, &out_left) == (size_t)-1 &&
        (errno != EINVAL || last || in_left >= CARRY_MAX))
        return bad_encoding(c);
    *ret_left = in_left;
    return feed(c, c->out, sizeof c->out - out_left);
}

/* Whether the file from OFFSET on is UTF-8 throughout. */
static int scan_utf8(struct csv *c, struct input *in, uint64_t offset, bool *ret_utf8)
{
    size_t left = 0;
    size_t got;

    do {
        size_t whole;
        int ret = input_read(in, offset, c->in + left, CHUNK, &got);

        if (ret != 0)
            return err_set(c->rows->err, ret, NULL);
        offset += got;
        whole = text_valid_prefix(c->in, left + got);
        left = left + got - whole;
        *ret_utf8 = left < CARRY_MAX && (got > 0 || left == 0);
        if (left > 0 && *ret_utf8)
            memmove(c->in, c->in + whole, left);
    } while (got > 0 && *ret_utf8);
    return 0;
}

static int decode_all(struct csv *c, struct input *in, uint64_t offset)
{
    size_t left = 0;
    size_t got;

    do {
        size_t len;
        int ret = input_read(in, offset, c->in + left, CHUNK, &got);

        if (ret != 0)
            return err_set(c->rows->err, ret, NULL);
        offset += got;
        len = left + got;
        if (c->iconv == (iconv_t)-1)
            ret = decode_utf8(c, len, got == 0, &left);
        else
            ret = decode_gb18030(c, len, got == 0, &left);
        if (ret != 0)
            return ret;
        memmove(c->in, c->in + len - left, left);
    } while (got > 0);
    return finish(c);
}

/* Choose the encoding; *RET_OFFSET is behind a byte order mark. */
static int choose_encoding(struct csv *c, struct input *in, uint64_t *ret_offset)
{
    uint8_t mark[3];
    size_t len;
    bool utf8;
    int ret = input_read(in, 0, mark, sizeof mark, &len);

    if (ret != 0)
        return err_set(c->rows->err, ret, NULL);
    *ret_offset = len == 3 && memcmp(mark, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    if (*ret_offset != 0)
        return 0;
    ret = scan_utf8(c, in, 0, &utf8);
    if (ret != 0 || utf8)
        return ret;
    c->iconv = iconv_open("UTF-8", "GB18030");
    if (c->iconv == (iconv_t)-1)
        return err_set(c->rows->err, errno == ENOMEM ? E_NOMEM : E_MALFORMED,
                       "文件不是 UTF-8 编码，本机又不能识别 GB18030");
    return 0;
}

int csv_read(struct input *in, struct rows *rows)
{
    struct csv *c = mem_alloc(sizeof *c);
    uint64_t offset;
    int ret;

    if (c == NULL)
        return err_set(rows->err, E_NOMEM, NULL);
    c->rows = rows;
    c->place = FIELD_START;
    c->after_cr = c->in_record = false;
    c->column = 0;
    c->iconv = (iconv_t)-1;
    ret = choose_encoding(c, in, &offset);
    if (ret == 0)
        ret = decode_all(c, in, offset);
    if (c->iconv != (iconv_t)-1)
        (void)iconv_close(c->iconv); /* cannot fail for an open descriptor */
    mem_free(c);
    return ret;
}
