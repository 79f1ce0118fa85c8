/* common/base/conf: a table of settings and its file. */
#include "common/base/conf.h"
#include "common/base/mem.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static const struct conf_item items[] = {
    {"net", "listen", CONF_TEXT, "127.0.0.1:0", 0, 3000, "监听地址"},
    {"net", "window", CONF_INT, "64", 1, 1000, "窗口"},
    {"city", "name", CONF_TEXT, "", 0, 3000, "名称"},
    {"city", "offset", CONF_INT, "-5", -10, 10, "偏移"},
};

#define N_ITEMS (sizeof items / sizeof *items)

struct fixture {
    char dir[64];
    char path[128];
    struct conf conf;
    struct err err;
};

static int setup(void **state)
{
    static struct fixture f;

    f = (struct fixture){.dir = "/tmp/test_conf.XXXXXX"};
    if (mkdtemp(f.dir) == NULL)
        return -1;
    (void)snprintf(f.path, sizeof f.path, "%s/a.ini", f.dir);
    *state = &f;
    return conf_init(&f.conf, items, N_ITEMS);
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    conf_release(&f->conf);
    (void)unlink(f->path);
    return rmdir(f->dir); /* nothing else may lie there */
}

static void write_file(struct fixture *f, const char *text, size_t len)
{
    FILE *file = fopen(f->path, "w");

    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

static int load(struct fixture *f, const char *text)
{
    write_file(f, text, strlen(text));
    f->err = (struct err){0};
    return conf_load(&f->conf, f->path, &f->err);
}

/* Before anything is read the presets hold. */
static void test_conf__presets(void **state)
{
    struct fixture *f = *state;

    assert_string_equal(conf_text(&f->conf, "net", "listen"), "127.0.0.1:0");
    assert_int_equal(conf_int(&f->conf, "net", "window"), 64);
    assert_int_equal(conf_int(&f->conf, "city", "offset"), -5);
}

/* Blanks, remarks, both line ends, a byte order mark, a last line without an end. */
static void test_conf__load(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(load(f,
                          "\ufeff; 说明\r\n\n  # x = y\n[ net ]\r\n  window=7\n"
                          "listen = a = b ; c\n[city]\nname = 郴州"),
                     0);
    assert_int_equal(conf_int(&f->conf, "net", "window"), 7);
    assert_string_equal(conf_text(&f->conf, "net", "listen"), "a = b ; c");
    assert_string_equal(conf_text(&f->conf, "city", "name"), "郴州");
    assert_int_equal(conf_int(&f->conf, "city", "offset"), -5);
}

/* A long remark is a remark, a long value a value; a line without end is refused. */
static void test_conf__long_lines(void **state)
{
    struct fixture *f = *state;
    char text[6000];

    (void)snprintf(text, sizeof text, "; %01500d\n[city]\nname = %01500d\n", 0, 1);
    assert_int_equal(load(f, text), 0);
    assert_int_equal(strlen(conf_text(&f->conf, "city", "name")), 1500);
    (void)snprintf(text, sizeof text, "[city]\nname = %05000d\n", 1);
    assert_int_equal(load(f, text), E_INVALID);
    assert_non_null(strstr(f->err.text, "第 2 行"));
}

/* What is wrong is refused with the number of the first wrong line. */
static void test_conf__bad_lines(void **state)
{
    static const char *const bad[] = {
        "; 1\n[net]\nwindow\n[net]\n",        /* no value at all */
        "[net]\n\nwindow = 0\nwindow = 5\n",  /* below the bound, good again later */
        "[net]\n\nwindow = 1001\nbad line\n", /* above it, another mistake later */
        "[net]\n\nwindow = sieben\n",         /* no number */
        "[net]\n\nwindow = \n",               /* nothing */
        "[net]\nwindow = 1\ndoor = 1\n",      /* unknown name */
        "[net]\n[gate]\nwindow = 1\n",        /* unknown section */
        "\n\nwindow = 1\n",                   /* before any section */
        "\n\n[city\n",                        /* a bracket is missing */
        "[city]\n\nname = \xff\n",            /* not UTF-8 */
        "[city]\n\nname = a\001b\n",          /* control character */
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(load(f, bad[i]), E_INVALID);
        assert_int_equal(f->err.ret, E_INVALID);
        assert_non_null(strstr(f->err.text, "第 3 行"));
    }
    write_file(f, "[city]\n\nname = a\0b\n", 19);
    assert_int_equal(conf_load(&f->conf, f->path, &f->err), E_INVALID);
    assert_non_null(strstr(f->err.text, "第 3 行"));
}

static unsigned told_line;
static char told_name[32];

static void tell_unknown(const char *path, unsigned line, const char *section, const char *name)
{
    (void)path;
    told_line = line;
    (void)snprintf(told_name, sizeof told_name, "%s.%s", section, name);
}

/* A name that nobody knows can be told and passed over; a known one keeps its bounds. */
static void test_conf__unknown_told(void **state)
{
    struct fixture *f = *state;

    f->conf.on_unknown = tell_unknown;
    assert_int_equal(load(f, "[net]\ndoor = \001\nwindow = 7\n"), 0);
    assert_int_equal(told_line, 2);
    assert_string_equal(told_name, "net.door");
    assert_int_equal(conf_int(&f->conf, "net", "window"), 7);
    assert_int_equal(load(f, "[net]\nwindow = 0\n"), E_INVALID);
}

/* No file is told from a file that cannot be read. */
static void test_conf__no_file(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(conf_load(&f->conf, f->path, &f->err), E_NOTFOUND);
    assert_int_equal(conf_load(&f->conf, f->dir, &f->err), E_IO);
}

/* Setting by hand obeys the same bounds, and a refusal changes nothing. */
static void test_conf__set(void **state)
{
    struct fixture *f = *state;
    char longer[3002];

    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    assert_int_equal(conf_set(&f->conf, "net", "window", "1000", &f->err), 0);
    assert_int_equal(conf_set(&f->conf, "net", "window", "1001", &f->err), E_INVALID);
    assert_int_equal(conf_set(&f->conf, "net", "window", "1 ", &f->err), E_INVALID);
    assert_int_equal(conf_int(&f->conf, "net", "window"), 1000);
    assert_int_equal(conf_set(&f->conf, "net", "door", "1", &f->err), E_NOTFOUND);
    assert_int_equal(conf_set(&f->conf, "city", "name", longer, &f->err), E_INVALID);
    assert_int_equal(conf_set(&f->conf, "city", "name", "a\nb", &f->err), E_INVALID);
    assert_int_equal(conf_set(&f->conf, "city", "name", " a", &f->err), E_INVALID);
    assert_int_equal(conf_set(&f->conf, "city", "name", "a　", NULL), E_INVALID);
    assert_string_equal(conf_text(&f->conf, "city", "name"), "");
}

/* What is saved is read back the same, and only its owner may read it. */
static void test_conf__round_trip(void **state)
{
    static const char *const values[] = {"",    "a ; b # c",    "[x]", "= y =",
                                         "; z", "郴州“直通车”", "a:b"};
    struct fixture *f = *state;
    struct conf back;
    struct stat st;

    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        assert_int_equal(conf_set(&f->conf, "city", "name", values[i], NULL), 0);
        assert_int_equal(conf_save(&f->conf, f->path, &f->err), 0);
        assert_int_equal(stat(f->path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
        assert_int_equal(conf_init(&back, items, N_ITEMS), 0);
        assert_int_equal(conf_load(&back, f->path, &f->err), 0);
        for (size_t k = 0; k < N_ITEMS; k++)
            assert_string_equal(back.values[k], f->conf.values[k]);
        conf_release(&back);
    }
}

/* A save that cannot be done says so, and leaves the file that was there. */
static void test_conf__save_fails(void **state)
{
    struct fixture *f = *state;
    char path[PATH_MAX + 100];

    (void)snprintf(path, sizeof path, "%s/none/a.ini", f->dir);
    assert_int_equal(conf_save(&f->conf, path, &f->err), E_IO);
    memset(path, 'x', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    assert_int_equal(conf_save(&f->conf, path, &f->err), E_INVALID);
    assert_int_equal(conf_save(&f->conf, f->dir, &f->err), E_IO); /* a folder is in the way */
    (void)snprintf(path, sizeof path, "%s.tmp", f->dir);
    assert_int_equal(access(path, F_OK), -1);
}

/* Whichever allocation of init fails, nothing is leaked and nothing half made is left. */
static void test_conf__init_without_memory(void **state)
{
    struct conf c;
    unsigned at = 1;

    (void)state;
    for (;; at++) {
        int ret;

        mem_fault_set(at);
        ret = conf_init(&c, items, N_ITEMS);
        if (mem_fault_hits() == 0) {
            assert_int_equal(ret, 0);
            break;
        }
        assert_int_equal(ret, E_NOMEM);
        assert_null(c.values);
        conf_release(&c);
    }
    mem_fault_set(0);
    conf_release(&c);
    assert_int_equal(at, N_ITEMS + 2);
}

/* A set without memory keeps the old value. */
static void test_conf__set_without_memory(void **state)
{
    struct fixture *f = *state;

    mem_fault_set(1);
    assert_int_equal(conf_set(&f->conf, "city", "name", "x", &f->err), E_NOMEM);
    mem_fault_set(0);
    assert_string_equal(conf_text(&f->conf, "city", "name"), "");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_conf__presets),
        TEST(test_conf__load),
        TEST(test_conf__long_lines),
        TEST(test_conf__bad_lines),
        TEST(test_conf__unknown_told),
        TEST(test_conf__no_file),
        TEST(test_conf__set),
        TEST(test_conf__round_trip),
        TEST(test_conf__save_fails),
        TEST(test_conf__init_without_memory),
        TEST(test_conf__set_without_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
