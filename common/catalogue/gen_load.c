#include "common/base/arena.h"
#include "common/base/text.h"
#include "common/catalogue/gen.h"

#include <stdlib.h>
#include <string.h>

static struct arena arena = {.max = (size_t)256 << 20};
unsigned errors;

void complain(const struct line *l, const char *fmt, ...)
{
    va_list args;

    fprintf(stderr, "%s:%u: ", l->file, l->no);
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
    errors++;
}

void die(const char *what, const char *subject)
{
    fprintf(stderr, "%s: %s\n", subject, what);
    exit(1);
}

void *alloc(size_t size)
{
    void *p = arena_zalloc(&arena, size);

    if (p == NULL) {
        die("out of memory", "catalogue_gen");
    }
    return p;
}

static char *read_file(const char *path)
{
    FILE *f = fopen(path, "rb");

    if (f == NULL || fseek(f, 0, SEEK_END) != 0) {
        die("cannot read", path);
    }
    long size = ftell(f);
    rewind(f);
    char *text = alloc((size_t)size + 1);
    if (fread(text, 1, (size_t)size, f) != (size_t)size) {
        die("cannot read", path);
    }
    (void)fclose(f); /* was open for reading only */
    return text;
}

/* Cut TEXT at SEP into at most MAX pieces; the number of them. */
static unsigned cut(char *text, char sep, char **pieces, unsigned max)
{
    unsigned n = 0;

    while (n < max) {
        pieces[n++] = text;
        char *end = strchr(text, sep);
        if (end == NULL) {
            break;
        }
        *end = '\0';
        text = end + 1;
    }
    return n;
}

static void check_header(const char *file, char *text, const char *const *columns)
{
    char *cells[MAX_COLUMNS];
    unsigned n = cut(text, '\t', cells, MAX_COLUMNS);

    for (unsigned i = 0; i < n || columns[i] != NULL; i++) {
        if (i >= n || columns[i] == NULL || strcmp(cells[i], columns[i]) != 0) {
            die("unexpected columns", file);
        }
    }
}

struct table load(const char *folder, const char *file, const char *const *columns)
{
    char path[4096];
    struct table t = {.file = file};

    snprintf(path, sizeof path, "%s/%s", folder, file);
    char *text = read_file(path);
    if (!text_valid(slice_str(text))) {
        die("not UTF-8", file);
    }
    unsigned n = 1;
    for (const char *p = text; *p != '\0'; p++) {
        n += *p == '\n';
    }
    t.lines = alloc(n * sizeof *t.lines);
    char *rest = text;
    for (unsigned no = 1; rest != NULL && *rest != '\0'; no++) {
        char *now = rest;
        rest = strchr(now, '\n');
        if (rest != NULL) {
            *rest++ = '\0';
        }
        if (no == 1) {
            check_header(file, now, columns);
            continue;
        }
        struct line *l = &t.lines[t.n++];
        l->file = file;
        l->no = no;
        for (unsigned i = 0; i < MAX_COLUMNS; i++) {
            l->cell[i] = alloc(1);
        }
        (void)cut(now, '\t', l->cell, MAX_COLUMNS); /* short lines end in empty cells */
    }
    return t;
}

unsigned pieces_of(const char *cell, char sep, char **pieces)
{
    if (*cell == '\0') {
        return 0;
    }
    char *copy = arena_strndup(&arena, cell, strlen(cell));
    if (copy == NULL) {
        die("out of memory", "catalogue_gen");
    }
    return cut(copy, sep, pieces, MAX_LIST);
}
