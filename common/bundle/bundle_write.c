/* Writing: frames gather until they fill a chunk, which is sealed, hashed and written. */
#include "common/bundle/bundle.h"

#include "common/base/mem.h"
#include "common/crypto/agree.h"
#include "common/crypto/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PLAIN_MAX (2u * FRAME_MAX)
#define CHUNKS    (uint32_t)(BUNDLE_FILE_MAX / BUNDLE_CHUNK_MAX)

struct bundle_writer {
    char path[PATH_MAX], part[PATH_MAX];
    int fd;
    struct key *own_key; /* borrowed */
    struct seal_key key;
    uint8_t head[HASH_SIZE]; /* of the head's bytes: bound to every chunk */
    struct hash_stream *hash;
    struct buf plain, out;
    uint64_t bytes;
    uint32_t chunk;
};

static int failed(struct bundle_writer *w, struct err *err)
{
    return err_set(err, errno == ENOSPC || errno == EDQUOT ? E_FULL : E_IO, "写不了 %s：%s",
                   w->path, strerror(errno));
}

/* All of what `out` holds, which is then empty. */
static int write_out(struct bundle_writer *w, struct err *err)
{
    struct slice s = buf_slice(&w->out);

    if (w->out.ret != 0)
        return err_set(err, w->out.ret, NULL);
    hash_stream_put(w->hash, s);
    while (s.len > 0) {
        ssize_t n = write(w->fd, s.p, s.len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return failed(w, err);
        s.p += n;
        s.len -= (size_t)n;
    }
    buf_clear(&w->out);
    return 0;
}

static int put_chunk(struct bundle_writer *w, size_t len, bool last, struct err *err)
{
    uint8_t nonce[BUNDLE_NONCE_SIZE];
    int ret;

    if (w->chunk == CHUNKS)
        return err_set(err, E_TOOBIG, "摆渡包太大");
    bundle_nonce(w->chunk++, last, nonce);
    buf_be32(&w->out, (uint32_t)(len + BUNDLE_CHUNK_EXTRA));
    ret = seal(&w->key, nonce, (struct slice){w->head, sizeof w->head},
               (struct slice){w->plain.p, len}, &w->out);
    if (ret != 0)
        return err_set(err, ret, NULL);
    buf_consume(&w->plain, len);
    return write_out(w, err);
}

struct buf *bundle_frames(struct bundle_writer *w)
{
    return &w->plain;
}

int bundle_put(struct bundle_writer *w, struct err *err)
{
    size_t before = w->plain.len;
    int ret = w->plain.ret == 0 ? 0 : err_set(err, w->plain.ret, NULL);

    while (ret == 0 && w->plain.len > BUNDLE_PLAIN_MAX)
        ret = put_chunk(w, BUNDLE_PLAIN_MAX, false, err);
    w->bytes += before - w->plain.len;
    return ret;
}

uint64_t bundle_bytes(const struct bundle_writer *w)
{
    return w->bytes + w->plain.len;
}

/* ---- begin and end ---- */

static int put_head(struct bundle_writer *w, const struct bundle_new *n, struct err *err)
{
    struct bundle_head h = {.way = n->way, .ledger = n->ledger, .replica = n->replica,
                            .made_at = n->made_at};
    struct key *once = NULL;
    struct buf key, cert, peer;
    int ret = key_new(&once, err);

    buf_init(&key, BUNDLE_KEY_SIZE);
    buf_init(&cert, BUNDLE_HEAD_MAX);
    buf_init(&peer, BUNDLE_KEY_SIZE);
    if (ret == 0)
        ret = key_public(once, &key);
    if (ret == 0)
        ret = cert_to_der(n->own, &cert);
    if (ret == 0)
        ret = cert_public(n->receiver, &peer);
    if (ret == 0)
        ret = cert_key_print(n->receiver, h.receiver, err);
    if (ret == 0) {
        struct slice head;

        h.ephemeral = buf_slice(&key);
        h.certificate = buf_slice(&cert);
        bundle_head_put(&w->out, &h);
        head = buf_slice(&w->out);
        hasher_of(HASH_SHA256)->digest(&head, 1, w->head);
        ret = key_agree(once, buf_slice(&peer), (struct slice){w->head, sizeof w->head},
                        BUNDLE_MAGIC, &w->key, err);
    }
    key_free(once);
    buf_release(&key);
    buf_release(&cert);
    buf_release(&peer);
    return ret == 0 ? write_out(w, err) : err_set(err, ret, NULL);
}

static int open_part(struct bundle_writer *w, const char *path, struct err *err)
{
    int n = snprintf(w->part, sizeof w->part, "%s.part", path);

    if (n < 0 || (size_t)n >= sizeof w->part)
        return err_set(err, E_TOOBIG, "文件名太长");
    (void)snprintf(w->path, sizeof w->path, "%s", path);
    w->fd = open(w->part, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    return w->fd >= 0 ? 0 : failed(w, err);
}

int bundle_create(const char *path, const struct bundle_new *n, struct bundle_writer **ret,
                  struct err *err)
{
    struct bundle_writer *w = mem_calloc(1, sizeof *w);
    int status;

    if (w == NULL)
        return err_set(err, E_NOMEM, NULL);
    w->fd = -1;
    w->own_key = n->own_key;
    buf_init(&w->plain, PLAIN_MAX);
    buf_init(&w->out, BUNDLE_CHUNK_MAX + BUNDLE_HEAD_MAX);
    w->hash = hash_stream_new(HASH_SHA256);
    status = w->hash == NULL ? err_set(err, E_NOMEM, NULL) : open_part(w, path, err);
    if (status == 0)
        status = put_head(w, n, err);
    if (status == 0)
        *ret = w;
    else
        bundle_abandon(w);
    return status;
}

void bundle_abandon(struct bundle_writer *w)
{
    if (w == NULL)
        return;
    if (w->hash != NULL)
        hash_stream_end(w->hash, NULL);
    if (w->fd >= 0) {
        (void)close(w->fd); /* nobody wants the file */
        (void)unlink(w->part);
    }
    mem_wipe(&w->key, sizeof w->key);
    buf_release(&w->plain);
    buf_release(&w->out);
    mem_free(w);
}

static int put_signature(struct bundle_writer *w, struct err *err)
{
    struct signer s = key_signer(w->own_key);
    uint8_t hash[HASH_SIZE];
    struct buf message, signature;
    int ret;

    hash_stream_end(w->hash, hash);
    w->hash = hash_stream_new(HASH_SHA256); /* of the signature, which nobody asks for */
    buf_init(&message, 2 * HASH_SIZE);
    buf_init(&signature, BUNDLE_SIGNATURE_MAX);
    buf_put(&message, BUNDLE_MAGIC, BUNDLE_MAGIC_SIZE);
    buf_put(&message, hash, sizeof hash);
    ret = w->hash == NULL ? E_NOMEM : message.ret;
    if (ret == 0)
        ret = s.sign(s.ctx, buf_slice(&message), &signature);
    if (ret == 0) {
        buf_u8(&w->out, (uint8_t)signature.len);
        buf_put(&w->out, signature.p, signature.len);
        while (w->out.ret == 0 && w->out.len < BUNDLE_SIGNATURE_SIZE)
            buf_u8(&w->out, 0);
    }
    buf_release(&message);
    buf_release(&signature);
    return ret == 0 ? write_out(w, err) : err_set(err, ret, NULL);
}

int bundle_finish(struct bundle_writer *w, struct err *err)
{
    int ret = put_chunk(w, w->plain.len, true, err);

    if (ret == 0)
        ret = put_signature(w, err);
    if (ret == 0 && (fsync(w->fd) != 0 || rename(w->part, w->path) != 0))
        ret = failed(w, err);
    if (ret == 0 && close(w->fd) != 0)
        ret = failed(w, err);
    if (ret == 0)
        w->fd = -1;
    bundle_abandon(w);
    return ret;
}
