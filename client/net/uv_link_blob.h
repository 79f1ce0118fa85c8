/* What a link asks of attachments' files, done in the pool: one job a lane. */
#ifndef ZTC_CLIENT_UV_LINK_BLOB_H
#define ZTC_CLIENT_UV_LINK_BLOB_H

#include "client/core/blob.h"

#include <uv.h>

struct link_blob;

struct link_blob_start {
    uv_loop_t *loop;
    const char *root; /* borrowed until done */
    const struct client_blob_want *want;     /* copied, its bytes too */
    const struct client_blob_answer *answer; /* what is known of it already; copied */
    /* On the loop, once; the job's memory is gone after it. */
    void (*done)(void *ctx, const struct client_blob_answer *answer);
    void *ctx;
};

/* E_NOMEM: nothing was started. */
int link_blob_start(const struct link_blob_start *s, struct link_blob **ret);

#endif
