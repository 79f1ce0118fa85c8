#include "common/base/conf.h"

#include "common/base/mem.h"
#include "common/base/text.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A file of settings is small and flat, and what is written must come back the same. The ini readers
 * at hand cut lines at 200 bytes without a word, end a value at " ;" and join indented lines. */
#define LINE_MAX_BYTES 4096

int conf_init(struct conf *c, const struct conf_item *items, unsigned n_items)
{
    *c = (struct conf){.items = items, .n_items = n_items};
    c->values = mem_calloc(n_items, sizeof *c->values);
    if (c->values == NULL)
        return E_NOMEM;
    for (unsigned i = 0; i < n_items; i++) {
        c->values[i] = mem_strdup(items[i].preset);
        if (c->values[i] == NULL) {
            conf_release(c);
            return E_NOMEM;
        }
    }
    return 0;
}

void conf_release(struct conf *c)
{
    for (unsigned i = 0; c->values != NULL && i < c->n_items; i++)
        mem_free(c->values[i]);
    mem_free(c->values);
    c->values = NULL;
}

static int find(const struct conf *c, const char *section, const char *name)
{
    for (unsigned i = 0; i < c->n_items; i++) {
        if (strcmp(c->items[i].section, section) == 0 && strcmp(c->items[i].name, name) == 0)
            return (int)i;
    }
    return -1;
}

/* One line of the file can carry it. */
static bool fits_a_line(const char *value)
{
    struct slice s = slice_str(value);

    for (size_t i = 0; i < s.len; i++) {
        if (s.p[i] < 0x20 || s.p[i] == 0x7f)
            return false;
    }
    return s.len < LINE_MAX_BYTES / 2 && text_valid(s) && text_trim(s).len == s.len;
}

int conf_set(struct conf *c, const char *section, const char *name, const char *value,
             struct err *err)
{
    int at = find(c, section, name);
    int64_t number;
    char *copy;

    if (at < 0)
        return err_set(err, E_NOTFOUND, "没有名为 %s.%s 的设置", section, name);
    if (c->items[at].type == CONF_INT && (text_int(slice_str(value), &number) != 0 ||
                                          number < c->items[at].min || number > c->items[at].max))
        return err_set(err, E_INVALID, "设置 %s.%s 应为 %lld 到 %lld 的整数", section, name,
                       c->items[at].min, c->items[at].max);
    if (c->items[at].type == CONF_TEXT && strlen(value) > (size_t)c->items[at].max)
        return err_set(err, E_INVALID, "设置 %s.%s 太长", section, name);
    if (!fits_a_line(value))
        return err_set(err, E_INVALID, "设置 %s.%s 应为一行文字，首尾没有空白", section, name);
    copy = mem_strdup(value);
    if (copy == NULL)
        return err_set(err, E_NOMEM, NULL);

    mem_free(c->values[at]);
    c->values[at] = copy;
    return 0;
}

struct load {
    struct conf *c;
    const char *path;
    unsigned line;
    struct err *err;
    char section[LINE_MAX_BYTES];
};

/* Cut at the blanks of both ends, in place. */
static char *trimmed(char *text)
{
    struct slice s = text_trim(slice_str(text));

    text += (const char *)s.p - text;
    text[s.len] = '\0';
    return text;
}

/* An empty line, a remark (; or #), [section] or name = value. A value runs to the end of its line. */
static int load_line(struct load *l, char *line)
{
    char *equals;
    size_t len;

    if (!text_valid(slice_str(line)))
        return err_set(l->err, E_INVALID, "不是 UTF-8 文字");
    line = trimmed(line);
    len = strlen(line);
    if (len == 0 || line[0] == ';' || line[0] == '#')
        return 0;
    if (line[0] == '[' && line[len - 1] == ']') {
        line[len - 1] = '\0';
        (void)snprintf(l->section, sizeof l->section, "%s", trimmed(line + 1));
        return 0;
    }
    equals = strchr(line, '=');
    if (equals == NULL)
        return err_set(l->err, E_INVALID, "不是“名称 = 值”");
    *equals = '\0';
    line = trimmed(line);
    if (l->c->on_unknown != NULL && find(l->c, l->section, line) < 0) {
        l->c->on_unknown(l->path, l->line, l->section, line);
        return 0;
    }
    return conf_set(l->c, l->section, line, trimmed(equals + 1), l->err);
}

static int load_lines(struct load *l, FILE *f)
{
    char line[LINE_MAX_BYTES];
    int ret;

    while (fgets(line, sizeof line, f) != NULL) {
        l->line++;
        if (strchr(line, '\n') == NULL && !feof(f))
            ret = err_set(l->err, E_INVALID, "太长，或含有零字节");
        else
            ret = load_line(l, line);
        if (ret != 0)
            return err_wrap(l->err, ret == E_NOMEM ? E_NOMEM : E_INVALID, "%s 第 %u 行", l->path,
                            l->line);
    }
    return ferror(f) ? err_set(l->err, E_IO, "读不了设置文件 %s", l->path) : 0;
}

int conf_load(struct conf *c, const char *path, struct err *err)
{
    struct load l = {.c = c, .path = path, .err = err};
    FILE *f = fopen(path, "re");
    int ret;

    if (f == NULL)
        return err_set(err, errno == ENOENT ? E_NOTFOUND : E_IO, "打不开设置文件 %s", path);

    ret = load_lines(&l, f);
    (void)fclose(f); /* only read */
    return ret;
}

static int write_all(const struct conf *c, FILE *f)
{
    const char *section = "";

    for (unsigned i = 0; i < c->n_items; i++) {
        if (strcmp(section, c->items[i].section) != 0) {
            section = c->items[i].section;
            if (fprintf(f, "%s[%s]\n", i == 0 ? "" : "\n", section) < 0)
                return E_IO;
        }
        if (fprintf(f, "; %s\n%s = %s\n", c->items[i].help, c->items[i].name, c->values[i]) < 0)
            return E_IO;
    }
    return fflush(f) == 0 && fsync(fileno(f)) == 0 ? 0 : E_IO;
}

int conf_save(const struct conf *c, const char *path, struct err *err)
{
    char tmp[4096];
    FILE *f;
    int fd, ret;

    if ((size_t)snprintf(tmp, sizeof tmp, "%s.tmp", path) >= sizeof tmp)
        return err_set(err, E_INVALID, "路径太长：%s", path);
    fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_set(err, errno == ENOSPC ? E_FULL : E_IO, "写不了设置文件 %s", tmp);
    f = fdopen(fd, "w");
    if (f == NULL) {
        (void)close(fd);
        return err_set(err, E_NOMEM, NULL);
    }
    ret = write_all(c, f);
    if (fclose(f) != 0 || ret != 0 || rename(tmp, path) != 0) {
        ret = errno == ENOSPC ? E_FULL : E_IO;
        (void)unlink(tmp);
        return err_set(err, ret, "写不了设置文件 %s", path);
    }
    return 0;
}

const char *conf_text(const struct conf *c, const char *section, const char *name)
{
    int at = find(c, section, name);

    assert(at >= 0);
    return c->values[at];
}

long long conf_int(const struct conf *c, const char *section, const char *name)
{
    int64_t v = 0;

    (void)text_int(slice_str(conf_text(c, section, name)), &v); /* checked when set */
    return v;
}
