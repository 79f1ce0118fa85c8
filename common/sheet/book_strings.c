/* Shared strings: one buffer of text and one index of ends. Runs of rich text are joined, the
 * phonetic ones (rPh) skipped. */
#include "common/sheet/book.h"

#include "common/sheet/celltext.h"

#include "common/base/mem.h"

#include <string.h>

struct strings {
    struct book *book;
    struct err *err;
    size_t start;      /* of the open string */
    unsigned phonetic; /* depth of rPh */
    bool in_string;
    bool in_text;
};

static int too_big(struct strings *s)
{
    return err_set(s->err, E_TOOBIG, "共享字符串超过上限 %llu 字节",
                   (unsigned long long)s->book->package->limits->strings_bytes);
}

static int on_start(void *ctx, const char *name, const char **attrs)
{
    struct strings *s = ctx;

    (void)attrs;
    if (strcmp(name, "si") == 0) {
        s->in_string = true;
        s->start = s->book->strings.len;
    } else if (strcmp(name, "rPh") == 0) {
        s->phonetic++;
    } else if (strcmp(name, "t") == 0) {
        s->in_text = s->in_string && s->phonetic == 0;
    }
    return 0;
}

static int on_text(void *ctx, const char *p, size_t len)
{
    struct strings *s = ctx;
    struct book *b = s->book;
    size_t max = b->package->limits->cell_bytes;

    if (!s->in_text)
        return 0;
    if (len > max || b->strings.len - s->start > max - len)
        return err_set(s->err, E_TOOBIG, "第 %zu 个共享字符串超过上限 %zu 字节", b->n_strings + 1,
                       max);
    buf_put(&b->strings, p, len);
    if (b->strings.ret == E_TOOBIG)
        return too_big(s);
    return b->strings.ret == 0 ? 0 : err_set(s->err, b->strings.ret, NULL);
}

static int make_room(struct strings *s)
{
    struct book *b = s->book;
    size_t cap = b->strings_cap == 0 ? 1024 : b->strings_cap * 2;
    uint32_t *ends;

    if (b->n_strings < b->strings_cap)
        return 0;
    ends = mem_realloc(b->string_ends, cap * sizeof *ends);
    if (ends == NULL)
        return err_set(s->err, E_NOMEM, NULL);
    b->string_ends = ends;
    b->strings_cap = cap;
    return 0;
}

static int add_string(struct strings *s)
{
    struct book *b = s->book;
    size_t len = b->strings.len - s->start;
    int ret;

    s->in_string = false;
    if (len > 0) {
        len = cell_unescape(b->strings.p + s->start, len);
        b->strings.len = s->start + cell_newlines(b->strings.p + s->start, len);
    }
    /* Empty strings cost nothing but their place in the index. */
    if (b->strings.len + (b->n_strings + 1) * sizeof *b->string_ends >
        b->package->limits->strings_bytes)
        return too_big(s);
    ret = make_room(s);
    if (ret == 0)
        b->string_ends[b->n_strings++] = (uint32_t)b->strings.len;
    return ret;
}

static int on_end(void *ctx, const char *name)
{
    struct strings *s = ctx;

    if (strcmp(name, "t") == 0)
        s->in_text = false;
    else if (strcmp(name, "rPh") == 0)
        s->phonetic -= s->phonetic > 0;
    else if (strcmp(name, "si") == 0 && s->in_string)
        return add_string(s);
    return 0;
}

int book_read_strings(struct book *b, struct err *err)
{
    static const struct xml_events events = {on_start, on_end, on_text};
    struct strings s = {.book = b, .err = err};

    if (b->strings_part[0] == '\0' || !package_has(b->package, b->strings_part))
        return 0;
    return package_parse_bulk(b->package, b->strings_part, &events, &s, err);
}

bool book_string(const struct book *b, uint64_t i, struct slice *ret_text)
{
    size_t start;

    if (i >= b->n_strings)
        return false;
    start = i == 0 ? 0 : b->string_ends[i - 1];
    /* When all of them are empty there is no buffer. */
    *ret_text = (struct slice){b->strings.p, b->string_ends[i] - start};
    if (start > 0)
        ret_text->p += start;
    return true;
}
