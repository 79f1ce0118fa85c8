#include "client/net/uv_link_blob.h"

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/blob/files.h"

#include <string.h>

struct link_blob {
    uv_work_t work;
    struct link_blob_start start;
    struct client_blob_want want;
    struct client_blob_answer answer;
    struct buf bytes; /* read, or to write */
    struct err err;
};

static struct blob_part part_of(const uint8_t hash[HASH_SIZE])
{
    struct blob_part p = {.owner = 0};

    memcpy(p.hash, hash, HASH_SIZE);
    return p;
}

/* ---- in the pool ---- */

/* What goes up must be here whole. */
static int look_up(struct link_blob *j)
{
    uint64_t size = 0;
    int ret = blob_size(j->start.root, j->answer.hash, &size, &j->err);

    return ret == E_NOTFOUND || (ret == 0 && size != j->answer.size) ? E_BLOB_LOST : ret;
}

/* What comes down may be here whole, or in part. */
static int look_down(struct link_blob *j)
{
    struct blob_part p = part_of(j->answer.hash);
    uint64_t here = 0;
    int ret = blob_folder(j->start.root, &j->err);

    if (ret == 0 && blob_size(j->start.root, j->answer.hash, &here, NULL) == 0 &&
        here == j->answer.size) {
        j->answer.offset = here;
        return 0;
    }
    if (ret == 0)
        ret = blob_part_size(j->start.root, &p, &here, &j->err);
    if (ret == 0 && here >= j->answer.size) {
        ret = blob_part_finish(j->start.root, &p, j->answer.size, &j->err);
        here = ret == 0 ? j->answer.size : 0;
    }
    j->answer.offset = here;
    return ret == E_CORRUPT ? 0 : ret;
}

static int write_chunk(struct link_blob *j)
{
    struct blob_part p = part_of(j->want.hash);
    int ret = blob_part_write(j->start.root, &p, j->want.offset, buf_slice(&j->bytes), &j->err);

    if (ret == 0 && j->want.offset + j->bytes.len == j->want.size)
        ret = blob_part_finish(j->start.root, &p, j->want.size, &j->err);
    return ret;
}

static void work(uv_work_t *w)
{
    struct link_blob *j = w->data;

    if (j->want.ask == CLIENT_BLOB_WRITE)
        j->answer.ret = write_chunk(j);
    else if (j->want.ask == CLIENT_BLOB_READ)
        j->answer.ret = blob_read(j->start.root, j->want.hash, j->want.offset, j->want.len,
                                  &j->bytes, &j->err);
    else
        j->answer.ret = j->answer.lane == CLIENT_LANE_UP ? look_up(j) : look_down(j);
}

/* ---- on the loop ---- */

static void done(uv_work_t *w, int status)
{
    struct link_blob *j = w->data;

    if (status != 0)
        j->answer.ret = E_CLOSED;
    if (j->answer.ret != 0)
        log_warning("attachment: not read or written code=%s cause=%s", err_code(j->answer.ret),
                    j->err.text);
    j->answer.bytes = buf_slice(&j->bytes);
    j->start.done(j->start.ctx, &j->answer);
    buf_release(&j->bytes);
    mem_free(j);
}

int link_blob_start(const struct link_blob_start *s, struct link_blob **ret)
{
    struct link_blob *j = mem_calloc(1, sizeof *j);

    if (j == NULL)
        return E_NOMEM;
    j->work.data = j;
    j->start = *s;
    j->want = *s->want;
    j->answer = *s->answer;
    buf_init(&j->bytes, BLOB_CHUNK);
    buf_put(&j->bytes, s->want->bytes.p, s->want->bytes.len);
    if (j->bytes.ret != 0) {
        buf_release(&j->bytes);
        mem_free(j);
        return E_NOMEM;
    }
    (void)uv_queue_work(s->loop, &j->work, work, done); /* fails without a callback only */
    *ret = j;
    return 0;
}
