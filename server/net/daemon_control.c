/* What the control socket is asked: writing commands, stop; status is daemon_status.c. */
#include "server/net/daemon_internal.h"

#include "common/base/json.h"
#include "common/base/mem.h"
#include "server/net/control_json.h"

#define DEED_OUT_MAX (32u << 20)
#define DETAIL_MAX   (8u << 20)
#define UNDO         1 /* not a failure, but nothing of it shall stay */

/* ---- answers ---- */

void daemon_answer(struct control_call *call, int ret, const struct err *err, struct buf *out,
                   struct buf *detail)
{
    struct buf line;
    struct json j;

    buf_init(&line, CONTROL_ANSWER_MAX);
    json_init(&j, &line);
    json_object(&j);
    json_kv_str(&j, "code", ret == 0 ? NULL : err_code(ret));
    json_kv_str(&j, "message",
                ret == 0 ? NULL : err->text[0] != '\0' ? err->text : err_text(ret));
    json_key(&j, "stdout");
    json_text(&j, out == NULL ? slice_str("") : buf_slice(out));
    json_key(&j, "detail");
    json_text(&j, detail == NULL ? slice_str("") : buf_slice(detail));
    json_object_end(&j);
    if (line.ret == 0) {
        control_answer(call, buf_slice(&line));
    } else {
        control_answer(call, slice_str("{\"code\":\"ZT-TOO-BIG\",\"message\":\"输出太长\","
                                       "\"stdout\":\"\",\"detail\":\"\"}"));
    }
    buf_release(&line);
}

void daemon_answer_error(struct control_call *call, int ret, const char *text)
{
    struct err err = {.ret = ret};

    (void)err_set(&err, ret, "%s", text);
    daemon_answer(call, ret, &err, NULL, NULL);
}

/* ---- deeds ---- */

struct deed_job {
    struct write_job job;
    struct daemon *daemon;
    struct control_call *call;
    struct control_request request; /* owned */
    struct buf out, detail;
    struct daemon_effects effects;
};

static int run_deed(struct write_job *job, struct city *city, struct err *err)
{
    struct deed_job *j = (struct deed_job *)job;
    const struct daemon_options *o = j->daemon->o;
    int ret;

    buf_clear(&j->out);
    buf_clear(&j->detail);
    j->effects = (struct daemon_effects){.cause = 0};
    job->wrote = true;
    ret = o->deed(o->deed_ctx, city, job->now, j->request.argc, j->request.argv, &j->out,
                  &j->detail, &j->effects, err);
    return ret == 0 && j->effects.undo ? UNDO : ret;
}

static void deed_free(struct deed_job *j)
{
    control_request_release(&j->request);
    buf_release(&j->out);
    buf_release(&j->detail);
    mem_free(j);
}

static void deed_done(struct write_job *job)
{
    struct deed_job *j = (struct deed_job *)job;

    if (job->ret == UNDO)
        job->ret = 0;
    for (unsigned i = 0; job->ret == 0 && i < j->effects.n_ended && j->daemon->sync != NULL; i++)
        sync_port_end(j->daemon->sync, &j->effects.ended[i], j->effects.cause);
    if (job->ret == 0 && !id_is_zero(&j->effects.decided) && j->daemon->sync != NULL)
        sync_port_decided(j->daemon->sync, &j->effects.decided);
    if (job->ret == 0 && j->effects.authorities && !j->daemon->stopping)
        job->ret = daemon_reload(j->daemon, &job->err);
    daemon_answer(j->call, job->ret, &job->err, &j->out, &j->detail);
    deed_free(j);
}

/* Takes REQUEST. */
static void start_deed(struct daemon *d, struct control_call *call, struct control_request *request)
{
    struct deed_job *j = mem_calloc(1, sizeof *j);

    if (j == NULL) {
        control_request_release(request);
        daemon_answer_error(call, E_NOMEM, "");
        return;
    }
    j->job = (struct write_job){
        .run = run_deed,
        .done = deed_done,
        .reads = d->o->deed_is_alone(request->argc, request->argv), /* outside a group */
        .impatient = true};
    j->daemon = d;
    j->call = call;
    j->request = *request;
    buf_init(&j->out, DEED_OUT_MAX);
    buf_init(&j->detail, DETAIL_MAX);
    writer_submit(d->writer, &j->job);
}

void daemon_control(void *ctx, struct control_call *call, struct slice line)
{
    struct daemon *d = ctx;
    struct control_request request;
    int ret = control_request_parse(line, &request);

    if (d->stopping)
        ret = ret == 0 ? (control_request_release(&request), E_CLOSED) : ret;
    if (ret != 0) {
        daemon_answer_error(call, ret, "");
        return;
    }
    switch (request.what) {
    case CONTROL_DEED:
        start_deed(d, call, &request);
        return;
    case CONTROL_STATUS:
        daemon_status(d, call, request.json);
        break;
    case CONTROL_STOP:
        daemon_answer(call, 0, NULL, NULL, NULL);
        daemon_stop(d);
        break;
    }
    control_request_release(&request);
}
