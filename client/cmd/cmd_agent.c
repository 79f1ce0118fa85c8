/* enrol, run, sync: talking to the city. */
#include "client/cmd/commands.h"
#include "client/net/agent.h"

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/wire/token.h"

#include <string.h>

#define SYNC_SECONDS     60u
#define SYNC_SECONDS_MAX 86400u
#define OUT_MAX          4096u

/* ---- enrol ---- */

/* The token as an argument, or the first line of standard input. It works once, and is not kept. */
static int read_token(const char *word, char token[TOKEN_TEXT_MAX + 2], struct err *err)
{
    size_t len = strlen(word);

    if (strcmp(word, "-") != 0) {
        if (len > TOKEN_TEXT_MAX)
            return err_set(err, E_TOKEN, NULL);
        memcpy(token, word, len + 1);
        return 0;
    }
    if (fgets(token, TOKEN_TEXT_MAX + 2, stdin) == NULL)
        return err_set(err, E_USAGE, "标准输入里没有接入码");
    token[strcspn(token, "\r\n")] = '\0';
    return 0;
}

static void enrolled_json(const struct args *a, const struct agent_enrolled *e)
{
    char replica[ID_TEXT_SIZE], ledger[ID_TEXT_SIZE], site[16];
    struct json j;
    struct buf b;

    id_format(&e->replica, replica);
    id_format(&e->ledger, ledger);
    (void)snprintf(site, sizeof site, "%06u", e->site);
    buf_init(&b, OUT_MAX);
    json_init(&j, &b);
    json_object(&j);
    json_kv_str(&j, "site", site);
    json_kv_str(&j, "replica", replica);
    json_kv_uint(&j, "k", e->k);
    json_kv_str(&j, "ledger", ledger);
    json_kv_str(&j, "account", "clerk");
    json_object_end(&j);
    (void)fprintf(a->out, "%s\n", buf_cstr(&b));
    buf_release(&b);
}

static void enrolled_lines(const struct args *a, const char *dir, const struct agent_enrolled *e)
{
    char replica[ID_TEXT_SIZE];

    id_format(&e->replica, replica);
    (void)fprintf(a->out, "已接入：%06u 第%u台，本机标识 %s\n", e->site, e->k, replica);
    (void)fprintf(a->out, "账户：clerk（县级经办员、县级审核人、工作室联络员）\n");
    (void)fprintf(a->out, "数据目录：%s\n", dir);
}

int cmd_enrol(const struct args *a, struct err *err)
{
    char dir[HOME_PATH_MAX], token[TOKEN_TEXT_MAX + 2];
    struct agent_enrolled e;
    int ret = home_choose(args_text(a, OPT_DIR), dir, err);

    if (ret == 0)
        ret = read_token(a->words[0], token, err);
    if (ret == 0)
        ret = agent_enrol(dir, token, &e, err);
    mem_wipe(token, sizeof token);
    if (ret != 0)
        return ret;
    if (a->json)
        enrolled_json(a, &e);
    else
        enrolled_lines(a, dir, &e);
    return 0;
}

/* ---- run, sync ---- */

int cmd_run(const struct args *a, struct err *err)
{
    char dir[HOME_PATH_MAX];
    int ret = home_choose(args_text(a, OPT_DIR), dir, err);

    return ret != 0 ? ret : agent_run(dir, err);
}

int cmd_sync(const struct args *a, struct err *err)
{
    uint64_t seconds = SYNC_SECONDS;
    char dir[HOME_PATH_MAX];
    int ret = args_number(a, OPT_TIMEOUT, 1, SYNC_SECONDS_MAX, &seconds, err);

    if (ret == 0)
        ret = home_choose(args_text(a, OPT_DIR), dir, err);
    if (ret == 0) {
        log_level_set(
            LOG_WARNING); /* one command, one answer: the agent's news are not asked for */
        ret = agent_sync(dir, seconds * 1000, err);
    }
    if (ret != 0)
        return ret;
    if (a->json)
        (void)fprintf(a->out, "{\"ok\":true,\"message\":\"已全部上传\"}\n");
    else
        (void)fprintf(a->out, "已全部上传\n");
    return 0;
}
