/* Command lines: words, options and pairs out of argv; help out of the tables; failures as one line. */
#include "common/cmd/args.h"

#include "common/base/json.h"
#include "common/base/text.h"
#include "common/cmd/width.h"

#include <errno.h>
#include <string.h>

#define VALUE_MAX  (1u << 20) /* of field=@FILE: well above any field's bound */
#define HELP_COL   28u
#define ARENA_MAX  (64u << 20)
#define OUTPUT_MAX (1u << 16)
#define NAMES_MAX  (1u << 12) /* of the commands of a group */
#define DETAIL_MAX (8u << 20)

struct option_row {
    const char *name, *value, *help;
};

static const struct option_row options[OPT_COUNT] = {
#define X(symbol, name, value, help) [OPT_##symbol] = {name, value, help},
    OPTION_MAP(X)
#undef X
};

/* ---- parsing ---- */

/* The option whose name is the first LEN bytes of TEXT; OPT_COUNT when there is none. */
static unsigned option_named(const char *text, size_t len)
{
    unsigned o = 0;

    while (o < OPT_COUNT &&
           (strlen(options[o].name) != len || memcmp(options[o].name, text, len) != 0))
        o++;
    return o;
}

/* argv[*at] is an option; its value may be the next argument. */
static int take_option(struct args *a, int argc, char *const *argv, int *at, struct err *err)
{
    const char *text = argv[*at];
    const char *equals = strchr(text, '=');
    size_t len = equals != NULL ? (size_t)(equals - text) : strlen(text);
    unsigned o = option_named(text, len);
    struct given *g = &a->given[a->n_given];

    if (o == OPT_COUNT)
        return err_set(err, E_USAGE, "没有选项“%.*s”，用法见 %s --help", (int)len, text,
                       a->program->name);
    *g = (struct given){.option = (enum option)o, .value = equals != NULL ? equals + 1 : NULL};
    if (options[o].value == NULL && equals != NULL)
        return err_set(err, E_USAGE, "选项 %s 不带值", options[o].name);
    if (options[o].value != NULL && equals == NULL) {
        if (*at + 1 >= argc)
            return err_set(err, E_USAGE, "选项 %s 后面要写%s", options[o].name, options[o].value);
        g->value = argv[++*at];
    }
    a->n_given++;
    return 0;
}

static int take_all(struct args *a, int argc, char *const *argv, struct err *err)
{
    bool only_words = false;

    for (int i = 0; i < argc; i++) {
        if (!text_valid(slice_str(argv[i])))
            return err_set(err, E_USAGE, "第 %d 个参数不是 UTF-8 文字", i + 1);
        if (!only_words && strcmp(argv[i], "--") == 0) {
            only_words = true;
        } else if (!only_words && argv[i][0] == '-' && argv[i][1] != '\0') {
            int ret = take_option(a, argc, argv, &i, err);

            if (ret != 0)
                return ret;
        } else {
            a->words[a->n_words++] = argv[i];
        }
    }
    return 0;
}

/* How many of the words are C's name: 0, 1 or 2. */
static unsigned names_command(const struct command *c, const char *const *words, unsigned n)
{
    const char *blank = strchr(c->name, ' ');
    size_t len = blank != NULL ? (size_t)(blank - c->name) : strlen(c->name);

    if (n == 0 || strlen(words[0]) != len || memcmp(words[0], c->name, len) != 0)
        return 0;
    if (blank == NULL)
        return 1;
    return n > 1 && strcmp(words[1], blank + 1) == 0 ? 2 : 0;
}

/* The second word of C's name when WORD is its first, else NULL. */
static const char *in_group(const struct command *c, const char *word)
{
    size_t len = strlen(word);

    return strncmp(c->name, word, len) == 0 && c->name[len] == ' ' ? c->name + len + 1 : NULL;
}

/* The first word alone says little; tell which may follow it. */
static int not_found(const struct args *a, struct err *err)
{
    const struct program *p = a->program;
    struct buf names;
    int ret;

    if (a->n_words == 0)
        return err_set(err, E_USAGE, "没有写命令，用法见 %s --help", p->name);
    buf_init(&names, NAMES_MAX);
    for (const struct command *c = p->commands; c->name != NULL; c++) {
        const char *second = in_group(c, a->words[0]);

        if (second != NULL)
            buf_printf(&names, "%s%s", names.len > 0 ? "、" : "", second);
    }
    if (names.len == 0)
        ret = err_set(err, E_USAGE, "没有命令“%s”，用法见 %s --help", a->words[0], p->name);
    else
        ret = err_set(err, E_USAGE, "%s %s 后面要写 %s 之一，用法见 %s %s --help", p->name, a->words[0],
                      buf_cstr(&names), p->name, a->words[0]);
    buf_release(&names);
    return ret;
}

static int find_command(struct args *a, struct err *err)
{
    unsigned used = 0;

    for (const struct command *c = a->program->commands; c->name != NULL && used == 0; c++) {
        used = names_command(c, a->words, a->n_words);
        if (used > 0)
            a->command = c;
        else if (a->n_words == 1 && args_has(a, OPT_HELP) && in_group(c, a->words[0]) != NULL)
            a->group = a->words[0];
    }
    if (used == 0 && a->group == NULL)
        return not_found(a, err);
    a->words += used;
    a->n_words -= used;
    return 0;
}

/* Every option given belongs to the command, and the number of words fits. */
static int check_use(const struct args *a, struct err *err)
{
    const struct command *c = a->command;

    for (unsigned i = 0; i < a->n_given; i++) {
        enum option o = a->given[i].option;

        if (((c->options | OPT_COMMON) & (UINT64_C(1) << o)) == 0)
            return err_set(err, E_USAGE, "命令 %s 没有选项 %s", c->name, options[o].name);
    }
    if (a->n_words < c->min_words || a->n_words > c->max_words)
        return err_set(err, E_USAGE, "%s，用法：%s %s %s",
                       a->n_words < c->min_words ? "缺少参数" : "参数太多", a->program->name,
                       c->name, c->usage);
    return 0;
}

int args_parse(struct args *a, const struct program *p, int argc, char *const *argv,
               struct err *err)
{
    size_t n = (size_t)argc + 1;
    int ret;

    a->program = p;
    a->command = NULL;
    a->group = NULL;
    a->n_words = a->n_given = 0;
    a->json = false;
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
        a->json = a->json || strcmp(argv[i], "--json") == 0;
    a->words = arena_alloc(a->arena, n * sizeof *a->words);
    a->given = arena_alloc(a->arena, n * sizeof *a->given);
    if (a->words == NULL || a->given == NULL)
        return err_set(err, E_NOMEM, NULL);
    ret = take_all(a, argc, argv, err);
    if (ret != 0)
        return ret;
    if (args_has(a, OPT_VERSION))
        return 0;
    if (args_has(a, OPT_HELP) && a->n_words == 0)
        return 0;
    ret = find_command(a, err);
    if (ret != 0 || args_has(a, OPT_HELP))
        return ret;
    return check_use(a, err);
}

/* ---- what was given ---- */

bool args_has(const struct args *a, enum option o)
{
    for (unsigned i = 0; i < a->n_given; i++) {
        if (a->given[i].option == o)
            return true;
    }
    return false;
}

const char *args_text(const struct args *a, enum option o)
{
    const char *text = NULL;

    for (unsigned i = 0; i < a->n_given; i++) {
        if (a->given[i].option == o)
            text = a->given[i].value;
    }
    return text;
}

int args_number(const struct args *a, enum option o, uint64_t min, uint64_t max, uint64_t *ret,
                struct err *err)
{
    const char *text = args_text(a, o);
    int64_t v;

    if (text == NULL)
        return 0;
    if (text_int(slice_str(text), &v) != 0 || v < 0 || (uint64_t)v < min || (uint64_t)v > max)
        return err_set(err, E_USAGE, "选项 %s 的%s“%s”不是 %llu 到 %llu 的整数", options[o].name,
                       options[o].value, text, (unsigned long long)min, (unsigned long long)max);
    *ret = (uint64_t)v;
    return 0;
}

/* A whole file into the arena. */
static int read_value(const struct args *a, const char *path, struct slice *ret, struct err *err)
{
    FILE *f = fopen(path, "rb");
    uint8_t *p;
    size_t len;
    int status = 0;

    if (f == NULL)
        return err_set(err, errno == ENOENT ? E_NOTFOUND : E_IO, "打不开文件 %s：%s", path,
                       strerror(errno));
    p = arena_alloc(a->arena, VALUE_MAX + 1);
    len = p != NULL ? fread(p, 1, VALUE_MAX + 1, f) : 0;
    if (p == NULL)
        status = err_set(err, E_NOMEM, NULL);
    else if (ferror(f))
        status = err_set(err, E_IO, "读不了文件 %s", path);
    else if (len > VALUE_MAX)
        status = err_set(err, E_TOOBIG, "文件 %s 太大，一个字段装不下", path);
    else if (!text_valid((struct slice){p, len}))
        status = err_set(err, E_INVALID, "文件 %s 不是 UTF-8 文字", path);
    else
        *ret = (struct slice){p, len};
    (void)fclose(f); /* only read */
    return status;
}

int args_pair(const struct args *a, const char *text, struct pair *ret, struct err *err)
{
    const char *equals = strchr(text, '=');
    const char *value;

    if (equals == NULL || equals == text)
        return err_set(err, E_USAGE, "“%s”应写成 字段=值", text);
    ret->name = arena_strndup(a->arena, text, (size_t)(equals - text));
    if (ret->name == NULL)
        return err_set(err, E_NOMEM, NULL);
    value = equals + 1;
    if (value[0] == '@' && value[1] != '@')
        return read_value(a, value + 1, &ret->value, err);
    ret->value = slice_str(value[0] == '@' ? value + 1 : value);
    return 0;
}

int args_option_pairs(const struct args *a, enum option o, struct pair **ret, size_t *ret_n,
                      struct err *err)
{
    struct pair *pairs = arena_alloc(a->arena, ((size_t)a->n_given + 1) * sizeof *pairs);
    size_t n = 0;

    if (pairs == NULL)
        return err_set(err, E_NOMEM, NULL);
    for (unsigned i = 0; i < a->n_given; i++) {
        int status;

        if (a->given[i].option != o)
            continue;
        status = args_pair(a, a->given[i].value, &pairs[n++], err);
        if (status != 0)
            return status;
    }
    *ret = pairs;
    *ret_n = n;
    return 0;
}

int args_word_pairs(const struct args *a, unsigned from, struct pair **ret, size_t *ret_n,
                    struct err *err)
{
    struct pair *pairs = arena_alloc(a->arena, ((size_t)a->n_words + 1) * sizeof *pairs);
    size_t n = 0;

    if (pairs == NULL)
        return err_set(err, E_NOMEM, NULL);
    for (unsigned i = from; i < a->n_words; i++) {
        int status = args_pair(a, a->words[i], &pairs[n++], err);

        if (status != 0)
            return status;
    }
    *ret = pairs;
    *ret_n = n;
    return 0;
}

/* ---- failure ---- */

int exit_status(int ret)
{
    switch (ret) {
    case 0:
        return 0;
    case E_USAGE:
        return 2;
    case E_UNREACHABLE:
    case E_TIMEOUT:
    case E_CLOSED:
    case E_TLS:
        return 3;
    default:
        return 1;
    }
}

int args_fail(const struct args *a, int ret, const struct err *err)
{
    const char *text = err->text[0] != '\0' ? err->text : err_text(ret);
    struct buf b;

    (void)fflush(a->out); /* what was printed comes before the failure */
    buf_init(&b, OUTPUT_MAX);
    text_plain(&b, slice_str(text), false);
    (void)fprintf(stderr, "%s %s\n", err_code(ret), buf_cstr(&b));
    buf_release(&b);
    if (a->json) {
        struct json j;

        buf_init(&b, OUTPUT_MAX + DETAIL_MAX);
        json_init(&j, &b);
        json_object(&j);
        json_kv_str(&j, "code", err_code(ret));
        json_kv_str(&j, "message", text);
        if (a->detail != NULL && a->detail->len > 0) {
            buf_u8(&b, ',');
            buf_put(&b, a->detail->p, a->detail->len);
        }
        json_object_end(&j);
        (void)fprintf(a->out, "%s\n", buf_cstr(&b));
        buf_release(&b);
    }
    return exit_status(ret);
}

void warn_setting(const char *path, unsigned line, const char *section, const char *name)
{
    (void)fprintf(stderr, "注意：%s 第 %u 行：没有名为 %s.%s 的设置，不予理会\n", path, line, section,
                  name);
}

/* ---- help ---- */

static void help_line(FILE *out, const char *left, const char *right)
{
    unsigned width = text_width(slice_str(left));

    (void)fprintf(out, "  %s%*s%s\n", left, (int)(width < HELP_COL ? HELP_COL - width : 1), "",
                  right);
}

static void help_option(FILE *out, unsigned o)
{
    char left[128];

    (void)snprintf(left, sizeof left, "%s%s%s", options[o].name, options[o].value ? " " : "",
                   options[o].value ? options[o].value : "");
    help_line(out, left, options[o].help);
}

void help_program(FILE *out, const struct program *p)
{
    (void)fprintf(out, "%s\n\n用法：%s 命令 [参数…] [选项…]\n\n命令：\n", p->title, p->name);
    for (const struct command *c = p->commands; c->name != NULL; c++)
        help_line(out, c->name, c->help);
    (void)fprintf(out, "\n每个命令都有的选项：\n");
    for (unsigned o = 0; o < OPT_COUNT; o++) {
        if ((OPT_COMMON & (UINT64_C(1) << o)) != 0)
            help_option(out, o);
    }
    (void)fprintf(out, "\n某个命令的用法：%s 命令 --help\n", p->name);
    if (p->notes != NULL)
        (void)fprintf(out, "%s\n", p->notes);
    (void)fprintf(out, "结束状态：0 完成，1 被规则或状态拒绝，2 用法不对，3 连接不上。\n");
}

void help_command(FILE *out, const struct program *p, const struct command *c)
{
    (void)fprintf(out, "%s\n\n用法：%s %s%s%s\n", c->help, p->name, c->name,
                  c->usage[0] != '\0' ? " " : "", c->usage);
    (void)fprintf(out, "\n选项：\n");
    for (unsigned o = 0; o < OPT_COUNT; o++) {
        if (((c->options | OPT_COMMON) & (UINT64_C(1) << o)) != 0)
            help_option(out, o);
    }
}

void help_group(FILE *out, const struct program *p, const char *group)
{
    (void)fprintf(out, "用法：%s %s 命令 [参数…] [选项…]\n\n命令：\n", p->name, group);
    for (const struct command *c = p->commands; c->name != NULL; c++) {
        if (in_group(c, group) != NULL)
            help_line(out, c->name, c->help);
    }
    (void)fprintf(out, "\n某个命令的用法：%s %s 命令 --help\n", p->name, group);
}

/* ---- the whole ---- */

static int run(struct args *a, int argc, char *const *argv, struct err *err)
{
    int ret = args_parse(a, a->program, argc, argv, err);

    if (ret != 0)
        return ret;
    if (args_has(a, OPT_VERSION))
        (void)fprintf(a->out, "%s %s\n", a->program->name, ZTC_VERSION);
    else if (a->group != NULL)
        help_group(a->out, a->program, a->group);
    else if (args_has(a, OPT_HELP) && a->command == NULL)
        help_program(a->out, a->program);
    else if (args_has(a, OPT_HELP))
        help_command(a->out, a->program, a->command);
    else
        ret = a->command->run(a, err);
    return ret;
}

int program_main(const struct program *p, int argc, char *const *argv)
{
    struct arena arena;
    struct buf detail;
    struct err err = {.ret = 0};
    struct args a = {.program = p, .out = stdout, .arena = &arena, .detail = &detail};
    int ret, status;

    arena_init(&arena, ARENA_MAX);
    buf_init(&detail, DETAIL_MAX);
    ret = run(&a, argc - 1, argv + 1, &err);
    status = ret == 0 ? 0 : args_fail(&a, ret, &err);
    /* A full disk or a closed pipe behind standard output is a failure of the command. */
    if (fflush(stdout) != 0 && status == 0) {
        (void)err_set(&err, E_IO, "输出写不出去：%s", strerror(errno));
        (void)fprintf(stderr, "%s %s\n", err_code(E_IO), err.text);
        status = 1;
    }
    buf_release(&detail);
    arena_release(&arena);
    return status;
}
