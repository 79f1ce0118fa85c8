/* Finds the parts of a workbook: package relationships -> workbook -> its relationships. Only the last
 * step of a relationship's type is compared, for the strict form of the format has other namespaces. */
#include "common/sheet/book.h"

#include "common/base/mem.h"

#include <stdio.h>
#include <string.h>

#define BOOK_SHEETS_MAX 256
#define NAME_MAX_BYTES  1024
#define ARENA_MAX       (BOOK_SHEETS_MAX * 3 * (NAME_MAX_BYTES + 64)) /* enough for every name */

struct book_sheet {
    const char *name;
    const char *relationship;
    bool hidden;
    const char *part; /* NULL while no relationship of a worksheet was met */
};

/* The search through workbook and relationships. */
struct finder {
    struct book *book;
    struct book_sheet sheets[BOOK_SHEETS_MAX]; /* more are not looked at */
    unsigned n_sheets;
};

static bool type_is(const char *type, const char *last)
{
    size_t n = strlen(last);
    size_t len = type == NULL ? 0 : strlen(type);

    return len > n && type[len - n - 1] == '/' && strcmp(type + len - n, last) == 0;
}

/* Cut the last segment of PATH with its slash. */
static size_t parent_of(const char *path, size_t len)
{
    while (len > 0 && path[len - 1] != '/')
        len--;
    return len > 0 ? len - 1 : 0;
}

/* The part that TARGET names as seen from part FROM, with "." and ".." resolved. */
static int resolve(const char *from, const char *target, char ret_part[PART_NAME_SIZE])
{
    char path[PART_NAME_SIZE];
    size_t len = target[0] == '/' ? 0 : parent_of(from, strlen(from));

    memcpy(path, from, len);
    while (*target != '\0') {
        size_t n = strcspn(target, "/");

        if (n == 2 && memcmp(target, "..", 2) == 0) {
            len = parent_of(path, len);
        } else if (n > 0 && !(n == 1 && target[0] == '.')) {
            if (len + n + 2 > sizeof path)
                return E_MALFORMED;
            if (len > 0)
                path[len++] = '/';
            memcpy(path + len, target, n);
            len += n;
        }
        target += n;
        target += *target == '/';
    }
    memcpy(ret_part, path, len);
    ret_part[len] = '\0';
    return 0;
}

/* "xl/workbook.xml" -> "xl/_rels/workbook.xml.rels" */
static int relationships_of(const char *part, char ret_part[PART_NAME_SIZE])
{
    size_t dir = parent_of(part, strlen(part));
    const char *name = part + (dir > 0 ? dir + 1 : 0);
    int n = snprintf(ret_part, PART_NAME_SIZE, "%.*s%s_rels/%s.rels", (int)dir, part,
                     dir > 0 ? "/" : "", name);

    return n < PART_NAME_SIZE ? 0 : E_MALFORMED;
}

static int ignore_end(void *ctx, const char *name)
{
    (void)ctx;
    (void)name;
    return 0;
}

/* A relationship inside the package: its type and target; false for any other element. */
static bool relationship(const char *name, const char **attrs, const char **ret_type,
                         const char **ret_target)
{
    const char *mode;

    if (strcmp(name, "Relationship") != 0)
        return false;
    mode = xml_attr(attrs, "TargetMode");
    *ret_type = xml_attr(attrs, "Type");
    *ret_target = xml_attr(attrs, "Target");
    return *ret_type != NULL && *ret_target != NULL &&
           (mode == NULL || strcmp(mode, "External") != 0);
}

static int on_root_relationship(void *ctx, const char *name, const char **attrs)
{
    struct book *b = ctx;
    const char *type;
    const char *target;

    if (!relationship(name, attrs, &type, &target) || !type_is(type, "officeDocument"))
        return 0;
    return resolve("", target, b->workbook_part);
}

static int copy_name(struct finder *f, const char *s, const char **ret_copy)
{
    if (strlen(s) > NAME_MAX_BYTES)
        return E_MALFORMED;
    *ret_copy = arena_strndup(&f->book->arena, s, strlen(s));
    return *ret_copy == NULL ? E_NOMEM : 0;
}

static int add_sheet(struct finder *f, const char **attrs)
{
    struct book_sheet *s = &f->sheets[f->n_sheets];
    const char *name = xml_attr(attrs, "name");
    const char *state = xml_attr(attrs, "state");
    const char *id = NULL;
    int ret;

    for (const char **a = attrs; a[0] != NULL; a += 2) {
        const char *colon = strchr(a[0], ':');

        if (colon != NULL && strcmp(colon, ":id") == 0)
            id = a[1];
    }
    if (id == NULL || f->n_sheets == BOOK_SHEETS_MAX)
        return 0;
    *s = (struct book_sheet){.hidden = state != NULL && strcmp(state, "visible") != 0};
    ret = copy_name(f, name == NULL ? "" : name, &s->name);
    if (ret == 0)
        ret = copy_name(f, id, &s->relationship);
    if (ret == 0)
        f->n_sheets++;
    return ret;
}

static int on_workbook_start(void *ctx, const char *name, const char **attrs)
{
    struct finder *f = ctx;

    if (strcmp(name, "workbookPr") == 0) {
        const char *flag = xml_attr(attrs, "date1904");

        f->book->since_1904 = flag != NULL && (strcmp(flag, "1") == 0 || strcmp(flag, "true") == 0);
    } else if (strcmp(name, "sheet") == 0) {
        return add_sheet(f, attrs);
    }
    return 0;
}

static int set_worksheet(struct finder *f, const char *id, const char *target)
{
    char part[PART_NAME_SIZE];
    int ret;

    for (unsigned i = 0; id != NULL && i < f->n_sheets; i++) {
        if (strcmp(f->sheets[i].relationship, id) != 0 || f->sheets[i].part != NULL)
            continue;
        ret = resolve(f->book->workbook_part, target, part);
        if (ret != 0)
            return ret;
        ret = copy_name(f, part, &f->sheets[i].part);
        if (ret != 0)
            return ret;
    }
    return 0;
}

static int on_relationship(void *ctx, const char *name, const char **attrs)
{
    struct finder *f = ctx;
    const char *type;
    const char *target;

    if (!relationship(name, attrs, &type, &target))
        return 0;
    if (type_is(type, "worksheet"))
        return set_worksheet(f, xml_attr(attrs, "Id"), target);
    if (type_is(type, "sharedStrings"))
        return resolve(f->book->workbook_part, target, f->book->strings_part);
    if (type_is(type, "styles"))
        return resolve(f->book->workbook_part, target, f->book->styles_part);
    return 0;
}

/* The first visible worksheet, or the first one when all are hidden. */
static int choose_sheet(struct finder *f, struct err *err)
{
    const struct book_sheet *chosen = NULL;

    for (unsigned i = 0; i < f->n_sheets; i++) {
        const struct book_sheet *s = &f->sheets[i];

        if (s->part != NULL && (chosen == NULL || (chosen->hidden && !s->hidden)))
            chosen = s;
    }
    if (chosen == NULL)
        return err_set(err, E_MALFORMED, "工作簿里没有工作表");
    (void)snprintf(f->book->sheet_part, PART_NAME_SIZE, "%s", chosen->part);
    f->book->sheet_name = chosen->name;
    return 0;
}

/* PART must be there; a failure inside it without words of its own gets some. */
static int parse_names(struct package *p, const char *part, const struct xml_events *events,
                       void *ctx, struct err *err)
{
    struct err inner = {0};
    int ret = package_parse(p, part, events, ctx, &inner);

    if (ret != 0 && inner.ret == 0)
        (void)err_set(&inner, ret, "%s 的内容不正确", part);
    if (ret != 0)
        (void)err_set(err, ret, "%s", inner.text);
    return ret;
}

static int find_sheet(struct finder *f, struct err *err)
{
    static const struct xml_events in_root = {on_root_relationship, ignore_end, NULL};
    static const struct xml_events in_workbook = {on_workbook_start, ignore_end, NULL};
    static const struct xml_events in_relationships = {on_relationship, ignore_end, NULL};
    struct book *b = f->book;
    char part[PART_NAME_SIZE];
    int ret;

    ret = parse_names(b->package, "_rels/.rels", &in_root, b, err);
    if (ret != 0)
        return ret;
    if (b->workbook_part[0] == '\0')
        return err_set(err, E_MALFORMED, "文件里没有工作簿，不是正确的 .xlsx 文件");
    ret = parse_names(b->package, b->workbook_part, &in_workbook, f, err);
    if (ret != 0)
        return ret;
    if (relationships_of(b->workbook_part, part) != 0)
        return err_set(err, E_MALFORMED, "工作簿的部件名过长");
    ret = parse_names(b->package, part, &in_relationships, f, err);
    if (ret != 0)
        return ret;
    return choose_sheet(f, err);
}

int book_find_sheet(struct book *b, struct err *err)
{
    struct finder *f = mem_calloc(1, sizeof *f);
    int ret;

    if (f == NULL)
        return err_set(err, E_NOMEM, NULL);
    f->book = b;
    ret = find_sheet(f, err);
    mem_free(f);
    return ret;
}

int book_read(struct book *b, struct package *package, struct err *err)
{
    int ret;

    memset(b, 0, sizeof *b);
    b->package = package;
    arena_init(&b->arena, ARENA_MAX);
    buf_init(&b->strings, (size_t)package->limits->strings_bytes);
    ret = book_find_sheet(b, err);
    if (ret == 0)
        ret = book_read_styles(b, err);
    if (ret == 0)
        ret = book_read_strings(b, err);
    return ret;
}

void book_release(struct book *b)
{
    arena_release(&b->arena);
    buf_release(&b->strings);
    mem_free(b->string_ends);
    b->string_ends = NULL;
}
