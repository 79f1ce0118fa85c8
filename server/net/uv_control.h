/* The control socket: one JSON line asks, one answers, the connection ends. For whoever may open it:
 * it lies in the daemon's directory, readable and writable by its owner only. */
#ifndef ZTC_SERVER_UV_CONTROL_H
#define ZTC_SERVER_UV_CONTROL_H

#include "common/base/buf.h"
#include "common/base/err.h"

#include <uv.h>

#define CONTROL_REQUEST_MAX (4u << 20)
#define CONTROL_ANSWER_MAX  (64u << 20)

struct control;
struct control_call; /* one request under way */

/* LINE is the request without its end; borrowed. Answer with control_answer, now or later, once. */
typedef void (*control_cb)(void *ctx, struct control_call *call, struct slice line);

/* Listen at PATH; a dead socket there is replaced. E_EXISTS, E_IO, E_TOOBIG (path). */
int control_open(uv_loop_t *loop, const char *path, control_cb cb, void *ctx,
                 struct control **ret, struct err *err);

/* LINE (without end) is copied. */
void control_answer(struct control_call *call, struct slice line);

/* No more requests; open calls may still be answered. CB when the last is gone. */
void control_close(struct control *c, void (*cb)(void *ctx), void *ctx);

#endif
