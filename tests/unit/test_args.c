/* Command lines: what is understood, and with which words the rest is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/cmd/args.h"
#include "common/cmd/width.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int nothing(const struct args *a, struct err *err)
{
    (void)a;
    (void)err;
    return 0;
}

static const struct command commands[] = {
    {"ls", "台账", "列出", OPT_BIT(WHERE) | OPT_BIT(LIMIT), 1, 1, nothing},
    {"user add", "登录名 字段=值…", "增加账户", OPT_BIT(AS) | OPT_BIT(QUIET), 1, 10, nothing},
    {"user list", "", "列出账户", 0, 0, 0, nothing},
    {NULL, NULL, NULL, 0, 0, 0, NULL},
};

static const struct program program = {"test", "试验", NULL, commands};

struct fixture {
    struct arena arena;
    struct args a;
    struct err err;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    arena_init(&f->arena, 8u << 20);
    f->a = (struct args){.program = &program, .out = stdout, .arena = &f->arena};
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    arena_release(&f->arena);
    free(f);
    return 0;
}

#define PARSE(f, ...)                                                                              \
    parse(f, (char *const[]){__VA_ARGS__}, sizeof((char *const[]){__VA_ARGS__}) / sizeof(char *))

static int parse(struct fixture *f, char *const *argv, size_t n)
{
    f->err = (struct err){.ret = 0};
    return args_parse(&f->a, &program, (int)n, argv, &f->err);
}

static char *word(const char *text)
{
    return (char *)(uintptr_t)text;
}

#define W(text) word(text)

/* Options may stand anywhere, with their value behind them or after '='. */
static void test_args__options_and_words(void **state)
{
    struct fixture *f = *state;
    uint64_t limit = 0;

    assert_int_equal(PARSE(f, W("--limit=5"), W("ls"), W("--where"), W("a=b"), W("opinion")), 0);
    assert_string_equal(f->a.command->name, "ls");
    assert_int_equal(f->a.n_words, 1);
    assert_string_equal(f->a.words[0], "opinion");
    assert_string_equal(args_text(&f->a, OPT_WHERE), "a=b");
    assert_int_equal(args_number(&f->a, OPT_LIMIT, 1, 10, &limit, &f->err), 0);
    assert_int_equal(limit, 5);
    assert_false(f->a.json);
}

/* A command of two words is found by both. */
static void test_args__two_words(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(PARSE(f, W("user"), W("add"), W("wang"), W("role=county_clerk")), 0);
    assert_string_equal(f->a.command->name, "user add");
    assert_int_equal(f->a.n_words, 2);
    assert_int_equal(PARSE(f, W("user"), W("list")), 0);
    assert_int_equal(PARSE(f, W("user"), W("drop")), E_USAGE);
    assert_non_null(strstr(f->err.text, "add、list"));
    assert_int_equal(PARSE(f, W("user")), E_USAGE);
    assert_non_null(strstr(f->err.text, "add、list"));
    assert_int_equal(PARSE(f, W("use"), W("add")), E_USAGE);
    assert_null(strstr(f->err.text, "list"));
}

/* Misuse is said in one sentence that names what was wrong. */
static void test_args__misuse(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(PARSE(f, W("ls"), W("opinion"), W("--nothing")), E_USAGE);
    assert_non_null(strstr(f->err.text, "--nothing"));
    assert_int_equal(PARSE(f, W("ls"), W("opinion"), W("--as"), W("x")), E_USAGE);
    assert_non_null(strstr(f->err.text, "--as"));
    assert_int_equal(PARSE(f, W("ls"), W("opinion"), W("--limit")), E_USAGE);
    assert_int_equal(PARSE(f, W("ls"), W("opinion"), W("--json=1")), E_USAGE);
    assert_int_equal(PARSE(f, W("ls")), E_USAGE);
    assert_int_equal(PARSE(f, W("ls"), W("a"), W("b")), E_USAGE);
    assert_int_equal(PARSE(f, W("nothing")), E_USAGE);
    assert_int_equal(PARSE(f, W("ls"), W("\xff")), E_USAGE);
    assert_int_equal(parse(f, NULL, 0), E_USAGE);
}

/* --json counts even where the rest cannot be understood; not after "--". */
static void test_args__json_survives_misuse(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(PARSE(f, W("--nothing"), W("--json")), E_USAGE);
    assert_true(f->a.json);
    assert_int_equal(PARSE(f, W("ls"), W("--"), W("--json")), 0);
    assert_false(f->a.json);
    assert_string_equal(f->a.words[0], "--json");
}

/* Help and version need nothing else. */
static void test_args__help(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(PARSE(f, W("--help")), 0);
    assert_null(f->a.command);
    assert_int_equal(PARSE(f, W("ls"), W("--help")), 0);
    assert_string_equal(f->a.command->name, "ls");
    assert_int_equal(PARSE(f, W("user"), W("--help")), 0);
    assert_null(f->a.command);
    assert_string_equal(f->a.group, "user");
    assert_int_equal(PARSE(f, W("user"), W("list"), W("--help")), 0);
    assert_string_equal(f->a.command->name, "user list");
    assert_null(f->a.group);
    assert_int_equal(PARSE(f, W("user"), W("drop"), W("--help")), E_USAGE);
    assert_int_equal(PARSE(f, W("nothing"), W("--help")), E_USAGE);
    assert_int_equal(PARSE(f, W("--version")), 0);
    assert_true(args_has(&f->a, OPT_VERSION));
}

/* Numbers out of bounds or with anything behind them are refused. */
static void test_args__numbers(void **state)
{
    struct fixture *f = *state;
    uint64_t v = 7;

    assert_int_equal(PARSE(f, W("ls"), W("x"), W("--limit"), W("11")), 0);
    assert_int_equal(args_number(&f->a, OPT_LIMIT, 1, 10, &v, &f->err), E_USAGE);
    assert_int_equal(PARSE(f, W("ls"), W("x"), W("--limit"), W("5x")), 0);
    assert_int_equal(args_number(&f->a, OPT_LIMIT, 1, 10, &v, &f->err), E_USAGE);
    assert_int_equal(PARSE(f, W("ls"), W("x")), 0);
    assert_int_equal(args_number(&f->a, OPT_LIMIT, 1, 10, &v, &f->err), 0);
    assert_int_equal(v, 7);
}

static void assert_value(const struct pair *p, const char *value)
{
    assert_int_equal(p->value.len, strlen(value));
    assert_memory_equal(p->value.p, value, p->value.len);
}

/* field=value keeps what stands behind the first '='; @FILE reads it, @@ is an at sign. */
static void test_args__pairs(void **state)
{
    struct fixture *f = *state;
    char path[] = "/tmp/test_args_XXXXXX", text[64];
    int fd = mkstemp(path);
    struct pair p;

    assert_int_equal(args_pair(&f->a, "a=b=c", &p, &f->err), 0);
    assert_string_equal(p.name, "a");
    assert_value(&p, "b=c");
    assert_int_equal(args_pair(&f->a, "a=", &p, &f->err), 0);
    assert_value(&p, "");
    assert_int_equal(args_pair(&f->a, "a=@@b", &p, &f->err), 0);
    assert_value(&p, "@b");
    assert_int_equal(args_pair(&f->a, "ab", &p, &f->err), E_USAGE);
    assert_int_equal(args_pair(&f->a, "=b", &p, &f->err), E_USAGE);
    assert_int_equal(args_pair(&f->a, "a=@/nothing/there", &p, &f->err), E_NOTFOUND);
    assert_int_equal(write(fd, "两行\n文字", 13), 13);
    snprintf(text, sizeof text, "a=@%s", path);
    assert_int_equal(args_pair(&f->a, text, &p, &f->err), 0);
    assert_value(&p, "两行\n文字");
    assert_int_equal(write(fd, "\xff", 1), 1);
    assert_int_equal(args_pair(&f->a, text, &p, &f->err), E_INVALID);
    close(fd);
    unlink(path);
}

/* The four exit statuses. */
static void test_args__exit_status(void **state)
{
    (void)state;
    assert_int_equal(exit_status(0), 0);
    assert_int_equal(exit_status(E_STATE), 1);
    assert_int_equal(exit_status(E_WAITING), 1);
    assert_int_equal(exit_status(E_USAGE), 2);
    assert_int_equal(exit_status(E_UNREACHABLE), 3);
}

/* With --json a failure is also an object on the output. */
static void test_args__failure_as_json(void **state)
{
    struct fixture *f = *state;
    char *text = NULL;
    size_t len = 0;

    f->a.out = open_memstream(&text, &len);
    f->a.json = true;
    err_set(&f->err, E_STATE, "不行");
    assert_int_equal(args_fail(&f->a, E_STATE, &f->err), 1);
    fclose(f->a.out);
    assert_string_equal(text, "{\"code\":\"ZT-STATE\",\"message\":\"不行\"}\n");
    free(text);
}

static void assert_fit(const char *text, unsigned width, const char *want)
{
    struct buf b;

    buf_init(&b, 1024);
    text_fit(&b, slice_str(text), width);
    assert_string_equal(buf_cstr(&b), want);
    buf_release(&b);
}

/* Wide characters take two columns; what is cut is marked; nothing commands the terminal. */
static void test_args__width(void **state)
{
    (void)state;
    assert_int_equal(text_width(slice_str("a中文，")), 7);
    assert_int_equal(text_width(slice_str("e\xcc\x81")), 1);
    assert_fit("工作室台账", 10, "工作室台账");
    assert_fit("工作室台账", 9, "工作室台…");
    assert_fit("a\x1b[2Jb\nc", 20, "a [2Jb c");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        T(test_args__options_and_words),
        T(test_args__two_words),
        T(test_args__misuse),
        T(test_args__json_survives_misuse),
        T(test_args__help),
        T(test_args__numbers),
        T(test_args__pairs),
        T(test_args__exit_status),
        T(test_args__failure_as_json),
        T(test_args__width),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
