/* The control socket on libuv: a call is a pipe, its input until the first newline, and its answer. */
#include "server/net/uv_control.h"

#include "common/base/mem.h"

#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define CALLS_MAX 64

struct control {
    uv_pipe_t listener;
    char *path;
    control_cb cb;
    void *ctx;
    unsigned calls;
    bool listening; /* the handle is open */
    void (*close_cb)(void *ctx);
    void *close_ctx;
};

struct control_call {
    struct control *control;
    uv_pipe_t pipe;
    uv_write_t write;
    struct buf in, out;
    bool asked;
    bool answered;
    bool closed; /* the pipe is, while the answer is still in the making */
    char chunk[4096];
};

static void maybe_closed(struct control *c)
{
    void (*cb)(void *ctx) = c->close_cb;
    void *ctx = c->close_ctx;

    if (cb == NULL || c->listening || c->calls > 0)
        return;
    mem_free(c->path);
    mem_free(c);
    cb(ctx);
}

static void maybe_free(struct control_call *call)
{
    struct control *c = call->control;

    if (!call->closed || (call->asked && !call->answered))
        return;
    buf_release(&call->in);
    buf_release(&call->out);
    mem_free(call);
    c->calls--;
    maybe_closed(c);
}

static void on_call_closed(uv_handle_t *handle)
{
    struct control_call *call = handle->data;

    call->closed = true;
    maybe_free(call);
}

static void close_call(struct control_call *call)
{
    if (!uv_is_closing((uv_handle_t *)&call->pipe))
        uv_close((uv_handle_t *)&call->pipe, on_call_closed);
}

static void on_written(uv_write_t *write, int status)
{
    (void)status; /* who asked is gone: nothing to do about it */
    close_call(write->data);
}

void control_answer(struct control_call *call, struct slice line)
{
    uv_buf_t b;

    call->answered = true;
    if (call->closed || uv_is_closing((uv_handle_t *)&call->pipe)) {
        maybe_free(call);
        return;
    }
    buf_put(&call->out, line.p, line.len);
    buf_u8(&call->out, '\n');
    b = uv_buf_init((char *)call->out.p, (unsigned)call->out.len);
    call->write.data = call;
    if (call->out.ret != 0 ||
        uv_write(&call->write, (uv_stream_t *)&call->pipe, &b, 1, on_written) != 0)
        close_call(call);
}

static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *buf)
{
    struct control_call *call = handle->data;

    (void)size;
    *buf = uv_buf_init(call->chunk, sizeof call->chunk);
}

static void take(struct control_call *call, size_t len)
{
    char *end = memchr(call->chunk, '\n', len);

    buf_put(&call->in, call->chunk, end == NULL ? len : (size_t)(end - call->chunk));
    if (call->in.ret != 0) {
        close_call(call);
        return;
    }
    if (end == NULL)
        return;
    call->asked = true;
    call->control->cb(call->control->ctx, call, buf_slice(&call->in));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct control_call *call = stream->data;

    (void)buf;
    if (n < 0)
        close_call(call);
    else if (n > 0 && !call->asked)
        take(call, (size_t)n);
}

static void on_connection(uv_stream_t *server, int status)
{
    struct control *c = server->data;
    struct control_call *call = status == 0 ? mem_calloc(1, sizeof *call) : NULL;

    if (call == NULL)
        return;
    call->control = c;
    c->calls++;
    buf_init(&call->in, CONTROL_REQUEST_MAX);
    buf_init(&call->out, CONTROL_ANSWER_MAX);
    (void)uv_pipe_init(server->loop, &call->pipe, 0); /* cannot fail */
    call->pipe.data = call;
    if (uv_accept(server, (uv_stream_t *)&call->pipe) != 0 || c->calls > CALLS_MAX ||
        uv_read_start((uv_stream_t *)&call->pipe, on_alloc, on_read) != 0)
        close_call(call);
}

static int listen_at(struct control *c, struct err *err)
{
    mode_t mask = umask(0077); /* the socket is its owner's from its first moment */
    int ret = uv_pipe_bind(&c->listener, c->path);

    (void)umask(mask);
    if (ret == 0)
        ret = uv_listen((uv_stream_t *)&c->listener, 16, on_connection);
    return ret == 0 ? 0 : err_set(err, E_IO, "不能建立管理接口 %s：%s", c->path, uv_strerror(ret));
}

static void on_listener_closed(uv_handle_t *handle)
{
    struct control *c = handle->data;

    c->listening = false;
    maybe_closed(c);
}

static void ignore(void *ctx)
{
    (void)ctx;
}

int control_open(uv_loop_t *loop, const char *path, control_cb cb, void *ctx,
                 struct control **ret, struct err *err)
{
    struct control *c = mem_calloc(1, sizeof *c);
    int status;

    if (c == NULL || (c->path = mem_strdup(path)) == NULL) {
        mem_free(c);
        return err_set(err, E_NOMEM, NULL);
    }
    c->cb = cb;
    c->ctx = ctx;
    (void)uv_pipe_init(loop, &c->listener, 0); /* cannot fail */
    c->listener.data = c;
    c->listening = true;
    (void)unlink(path); /* of a daemon that died: the lock says that it is ours now */
    status = strlen(path) < sizeof ((struct sockaddr_un *)NULL)->sun_path /* libuv would cut it */
                 ? listen_at(c, err)
                 : err_set(err, E_TOOBIG, "目录名太长，管理接口放不下：%s", path);
    if (status != 0) {
        control_close(c, ignore, NULL);
        return status;
    }
    *ret = c;
    return 0;
}

void control_close(struct control *c, void (*cb)(void *ctx), void *ctx)
{
    c->close_cb = cb;
    c->close_ctx = ctx;
    uv_close((uv_handle_t *)&c->listener, on_listener_closed); /* removes the socket file, too */
}
