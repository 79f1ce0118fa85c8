/* Reading with jansson; a file of its own, because its names and those of common/base/json.h clash. */
#include "server/net/control_json.h"

#include "common/base/mem.h"

#include <jansson.h>
#include <string.h>

#define ARGV_MAX 4096

static int take_argv(json_t *request, struct control_request *ret)
{
    json_t *list = json_object_get(request, "argv");
    size_t n = json_array_size(list);

    if (n == 0 || n > ARGV_MAX)
        return E_MALFORMED;
    ret->argv = mem_calloc(n + 1, sizeof *ret->argv);
    if (ret->argv == NULL)
        return E_NOMEM;
    for (size_t i = 0; i < n; i++) {
        const char *word = json_string_value(json_array_get(list, i));

        ret->argv[i] = word == NULL ? NULL : mem_strdup(word);
        if (ret->argv[i] == NULL)
            return word == NULL ? E_MALFORMED : E_NOMEM;
    }
    ret->argc = (int)n;
    return 0;
}

void control_request_release(struct control_request *r)
{
    for (size_t i = 0; r->argv != NULL && r->argv[i] != NULL; i++)
        mem_free(r->argv[i]);
    mem_free(r->argv);
    r->argv = NULL;
}

static int take_request(json_t *request, struct control_request *ret)
{
    const char *cmd = json_string_value(json_object_get(request, "cmd"));

    ret->json = json_is_true(json_object_get(request, "json"));
    if (cmd == NULL)
        return E_MALFORMED;
    if (strcmp(cmd, "status") == 0) {
        ret->what = CONTROL_STATUS;
        return 0;
    }
    if (strcmp(cmd, "stop") == 0) {
        ret->what = CONTROL_STOP;
        return 0;
    }
    ret->what = CONTROL_DEED;
    return strcmp(cmd, "deed") == 0 ? take_argv(request, ret) : E_MALFORMED;
}

int control_request_parse(struct slice line, struct control_request *ret)
{
    json_t *request = json_loadb((const char *)line.p, line.len, JSON_REJECT_DUPLICATES, NULL);
    int status;

    *ret = (struct control_request){.argv = NULL};
    status = take_request(request, ret);
    json_decref(request);
    if (status != 0)
        control_request_release(ret);
    return status;
}

static void take_text(json_t *answer, const char *name, struct buf *out)
{
    json_t *text = json_object_get(answer, name);

    if (json_is_string(text))
        buf_put(out, json_string_value(text), json_string_length(text));
}

int control_answer_parse(struct slice line, struct buf *out, struct buf *detail, struct err *err)
{
    json_t *answer = json_loadb((const char *)line.p, line.len, JSON_REJECT_DUPLICATES, NULL);
    const char *code = json_string_value(json_object_get(answer, "code"));
    const char *message = json_string_value(json_object_get(answer, "message"));
    int ret = 0;

    if (answer == NULL)
        return err_set(err, E_CLOSED, "市级服务没有答复");
    take_text(answer, "stdout", out);
    take_text(answer, "detail", detail);
    if (code != NULL)
        ret = err_set(err, err_from_code(code), "%s", message == NULL ? "" : message);
    json_decref(answer);
    return ret;
}
