/* A command line: a program's commands and options are tables, what was given is a struct args.
 *
 * Everything a person reads about a command (usage, help, manual) comes from its row. */
#ifndef ZTC_CMD_ARGS_H
#define ZTC_CMD_ARGS_H

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/err.h"

#include <stdint.h>
#include <stdio.h>

/* X(symbol, name, what its value is or NULL, help) */
#define OPTION_MAP(X)                                                                              \
    X(HELP, "--help", NULL, "显示用法")                                                            \
    X(VERSION, "--version", NULL, "显示版本")                                                      \
    X(JSON, "--json", NULL, "以 JSON 输出，供程序读取")                                            \
    X(DIR, "--dir", "目录", "数据目录")                                                            \
    X(AS, "--as", "登录名", "以哪个账户办理；只有一个账户时可以不写")                              \
    X(QUIET, "--quiet", NULL, "只输出记录标识")                                                    \
    X(LIMIT, "--limit", "条数", "最多显示多少条")                                                  \
    X(WHERE, "--where", "字段=值", "只要字段等于此值的记录；可重复")                               \
    X(MAP, "--map", "列名=字段", "表中的列对应哪个字段，“列名=”不要此列；可重复")                  \
    X(SET, "--set", "字段=值", "给表中没有的列填同一个值；可重复")                                 \
    X(HISTORIC, "--historic", NULL, "补录系统启用以前的记录，须审核人办理")                        \
    X(DRY_RUN, "--dry-run", NULL, "只检查，不写入")                                                \
    X(TAKE, "--take", "stands|later|value=值", "冲突采用现值、后到值或另填的值")                   \
    X(DONE, "--done", "项号[-项号]", "已重新办理或放弃，不再列出")                                 \
    X(ALL, "--all", NULL, "连同已了结的")                                                          \
    X(REPORT, "--report", NULL, "加标题行、填报单位、导出时间和合计")                              \
    X(STREAM, "--stream", "流", "shared、city 或县市区代码")                                       \
    X(RAW, "--raw", NULL, "原始字节，十六进制")                                                    \
    X(TIMEOUT, "--timeout", "秒", "最多等多久")                                                    \
    X(SITE, "--site", "代码", "县市区代码")                                                        \
    X(TTL, "--ttl", "时长", "接入码有效多久，如 24h")                                              \
    X(LISTEN, "--listen", "地址:端口", "同步端口的地址")                                           \
    X(ENROL_LISTEN, "--enrol-listen", "地址:端口", "接入端口的地址")                               \
    X(TERM, "--term", "届次", "届次名称，如 第五届")                                               \
    X(HASH, "--hash", "算法", "链的摘要算法：sm3 或 sha256")                                       \
    X(NOTE, "--note", "说明", "为什么这样定")                                                      \
    X(NAME, "--name", "姓名", "账户的姓名")                                                        \
    X(ROLE, "--role", "角色[,角色]", "账户的角色，代码或名称")                                     \
    X(OUT, "--out", "文件", "写到哪个文件")                                                        \
    X(CHECK, "--check", "文件", "核对一个收据文件")                                                \
    X(RETIRED, "--retired", NULL, "停用：已写下的内容仍可交来待核准")                              \
    X(LOST, "--lost", NULL, "遗失：不再接受任何连接；附件：只列已丢失的")                          \
    X(ONLY, "--only", NULL, "与 --retired 并用：只停用这一台，由它换身份而来的照常使用")             \
    X(FORCE, "--force", NULL, "明知后果仍要办")                                                    \
    X(FOLLOW, "--follow", NULL, "一直运行，有变化就再备份")                                        \
    X(CLOSE, "--close", NULL, "结束恢复，照常接收更改")

enum option {
#define X(symbol, name, value, help) OPT_##symbol,
    OPTION_MAP(X)
#undef X
        OPT_COUNT
};

#define OPT_BIT(symbol) (UINT64_C(1) << OPT_##symbol)

/* Every command takes these. */
#define OPT_COMMON (OPT_BIT(HELP) | OPT_BIT(JSON) | OPT_BIT(DIR))

struct args;

struct command {
    const char *name;              /* one word, or two: "user add" */
    const char *usage;             /* what follows the name: "KIND [--where 字段=值]…" */
    const char *help;              /* Chinese, one line */
    uint64_t options;              /* beyond the common ones */
    unsigned min_words, max_words; /* words after the name */
    /* 0 or an E_* code with its sentence. What it prints goes to args->out. */
    int (*run)(const struct args *a, struct err *err);
};

struct program {
    const char *name;               /* ztc */
    const char *title;              /* Chinese, one line */
    const char *notes;              /* Chinese, printed below the commands; or NULL */
    const struct command *commands; /* ends with a NULL name */
};

struct given {
    enum option option;
    const char *value; /* NULL without one */
};

struct args {
    const struct program *program;
    const struct command *command; /* NULL: only help or version was asked for */
    const char *group;             /* help was asked for on the commands that begin with this word */
    const char **words;            /* after the command's name */
    unsigned n_words;
    struct given *given; /* in order */
    unsigned n_given;
    bool json;
    FILE *out; /* standard output, or a test's */
    struct arena *arena;
    struct buf
        *detail; /* members of the failure's object, as JSON text: `"problems":[…]`; may be NULL */
};

/* field=value as it was written; the value is read from a file when it begins with '@'. */
struct pair {
    const char *name;
    struct slice value;
};

/* Read ARGV (after the program's name) into A, whose arena is set by the caller. Words and values are
 * borrowed from ARGV. E_USAGE with one sentence, E_NOMEM. args->json is set whenever --json stands
 * anywhere, so that a failure can be told in the form that was asked for. */
int args_parse(struct args *a, const struct program *p, int argc, char *const *argv,
               struct err *err);

bool args_has(const struct args *a, enum option o);

/* The last value given, or NULL. */
const char *args_text(const struct args *a, enum option o);

/* A value that is a number in [MIN, MAX]; *RET is left alone when it was not given. E_USAGE. */
int args_number(const struct args *a, enum option o, uint64_t min, uint64_t max, uint64_t *ret,
                struct err *err);

/* Split TEXT at its first '='. E_USAGE (no '=', no name), E_NOTFOUND, E_TOOBIG, E_IO (the file).
 * "field=@@x" means the value "@x". */
int args_pair(const struct args *a, const char *text, struct pair *ret, struct err *err);

/* Every value of a repeated option, or every word from FROM on, as pairs in the arena. */
int args_option_pairs(const struct args *a, enum option o, struct pair **ret, size_t *ret_n,
                      struct err *err);
int args_word_pairs(const struct args *a, unsigned from, struct pair **ret, size_t *ret_n,
                    struct err *err);

/* 0 done, 1 refused by rule or state, 2 misuse, 3 cannot reach. */
int exit_status(int ret);

/* The failure as one line on standard error, and with --json as an object on A's output. Returns the
 * exit status. */
int args_fail(const struct args *a, int ret, const struct err *err);

/* For conf.on_unknown: one line on standard error. */
void warn_setting(const char *path, unsigned line, const char *section, const char *name);

void help_program(FILE *out, const struct program *p);
void help_group(FILE *out, const struct program *p, const char *group);
void help_command(FILE *out, const struct program *p, const struct command *c);

/* A whole program: parse, run, report. Returns the exit status of main. */
int program_main(const struct program *p, int argc, char *const *argv);

#endif
