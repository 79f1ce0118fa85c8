/* Reading: the head, the proof over the whole file, then chunk by chunk the frames. */
#include "common/bundle/bundle.h"

#include "common/base/mem.h"
#include "common/crypto/agree.h"
#include "common/crypto/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FRAME_ARENA (32u * FRAME_MAX)

struct bundle_reader {
    int fd;
    uint64_t size;      /* without the signature */
    uint64_t chunks_at; /* where they begin */
    struct buf head_bytes;
    struct bundle_head head; /* points into it */
    uint8_t head_hash[HASH_SIZE];
    struct cert *sender;
    struct seal_key key;
    bool proven;
};

/* Frames of the chunks so far. */
struct frames {
    struct frame_reader reader;
    struct arena arena;
    int (*cb)(void *ctx, Ztc__Frame *f, struct arena *a, struct err *err);
    void *ctx;
};

static int no_bundle(struct err *err)
{
    return err_set(err, E_MALFORMED, "这个文件不是摆渡包，或已损坏");
}

static int changed(struct err *err)
{
    return err_set(err, E_CORRUPT, "摆渡包已损坏或被改动，未读取任何内容，请重新导出");
}

static int read_at(const struct bundle_reader *b, uint64_t at, uint8_t *to, size_t len,
                   struct err *err)
{
    while (len > 0) {
        ssize_t n = pread(b->fd, to, len, (off_t)at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_set(err, E_IO, "读不了摆渡包：%s", strerror(errno));
        if (n == 0)
            return no_bundle(err);
        to += n;
        at += (uint64_t)n;
        len -= (size_t)n;
    }
    return 0;
}

/* ---- the head ---- */

static int open_file(struct bundle_reader *b, const char *path, struct err *err)
{
    struct stat st;

    b->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (b->fd < 0)
        return err_set(err, errno == ENOENT ? E_NOTFOUND : E_IO, "打不开 %s：%s", path,
                       strerror(errno));
    if (fstat(b->fd, &st) != 0 || !S_ISREG(st.st_mode))
        return no_bundle(err);
    if (st.st_size > BUNDLE_FILE_MAX)
        return err_set(err, E_TOOBIG, "摆渡包太大");
    if (st.st_size < (off_t)(BUNDLE_PREFIX + BUNDLE_SIGNATURE_SIZE))
        return no_bundle(err);
    b->size = (uint64_t)st.st_size - BUNDLE_SIGNATURE_SIZE;
    return 0;
}

static int read_head(struct bundle_reader *b, struct err *err)
{
    uint8_t prefix[BUNDLE_PREFIX], *place;
    struct slice all;
    size_t size;
    int ret = read_at(b, 0, prefix, sizeof prefix, err);

    if (ret != 0)
        return ret;
    if (bundle_head_size((struct slice){prefix, sizeof prefix}, &size) != 0)
        return no_bundle(err);
    buf_put(&b->head_bytes, prefix, sizeof prefix);
    place = buf_grow(&b->head_bytes, size);
    if (place == NULL)
        return err_set(err, b->head_bytes.ret, NULL);
    ret = read_at(b, BUNDLE_PREFIX, place, size, err);
    if (ret != 0)
        return ret;
    if (bundle_head_decode((struct slice){place, size}, &b->head) != 0)
        return no_bundle(err);
    b->chunks_at = BUNDLE_PREFIX + size;
    all = buf_slice(&b->head_bytes);
    hasher_of(HASH_SHA256)->digest(&all, 1, b->head_hash);
    return cert_from_der(b->head.certificate, &b->sender, err);
}

int bundle_open(const char *path, struct bundle_reader **ret, struct err *err)
{
    struct bundle_reader *b = mem_calloc(1, sizeof *b);
    int status;

    if (b == NULL)
        return err_set(err, E_NOMEM, NULL);
    buf_init(&b->head_bytes, BUNDLE_PREFIX + BUNDLE_HEAD_MAX);
    status = open_file(b, path, err);
    if (status == 0)
        status = read_head(b, err);
    if (status == 0)
        *ret = b;
    else
        bundle_close(b);
    return status;
}

void bundle_close(struct bundle_reader *b)
{
    if (b == NULL)
        return;
    if (b->fd >= 0)
        (void)close(b->fd); /* only read */
    cert_free(b->sender);
    mem_wipe(&b->key, sizeof b->key);
    buf_release(&b->head_bytes);
    mem_free(b);
}

const struct bundle_head *bundle_head(const struct bundle_reader *b)
{
    return &b->head;
}

const struct cert *bundle_sender(const struct bundle_reader *b)
{
    return b->sender;
}

/* ---- the proof ---- */

static int hash_file(const struct bundle_reader *b, uint8_t ret[HASH_SIZE], struct err *err)
{
    struct hash_stream *h = hash_stream_new(HASH_SHA256);
    uint8_t *block = mem_alloc(BUNDLE_PLAIN_MAX);
    int status = h == NULL || block == NULL ? err_set(err, E_NOMEM, NULL) : 0;

    for (uint64_t at = 0; status == 0 && at < b->size;) {
        size_t len = b->size - at < BUNDLE_PLAIN_MAX ? (size_t)(b->size - at) : BUNDLE_PLAIN_MAX;

        status = read_at(b, at, block, len, err);
        if (status == 0)
            hash_stream_put(h, (struct slice){block, len});
        at += len;
    }
    if (h != NULL)
        hash_stream_end(h, ret);
    mem_free(block);
    return status;
}

static int check_signature(const struct bundle_reader *b, struct err *err)
{
    static const uint8_t zeros[BUNDLE_SIGNATURE_MAX];
    uint8_t end[BUNDLE_SIGNATURE_SIZE], message[BUNDLE_MAGIC_SIZE + HASH_SIZE];
    struct pubkey *key = NULL;
    struct verifier v;
    struct buf der;
    int ret = read_at(b, b->size, end, sizeof end, err);

    if (ret == 0)
        ret = hash_file(b, message + BUNDLE_MAGIC_SIZE, err);
    if (ret != 0)
        return ret;
    if (end[0] > BUNDLE_SIGNATURE_MAX ||
        memcmp(end + 1 + end[0], zeros, BUNDLE_SIGNATURE_MAX - end[0]) != 0)
        return changed(err);
    memcpy(message, BUNDLE_MAGIC, BUNDLE_MAGIC_SIZE);
    buf_init(&der, BUNDLE_KEY_SIZE);
    ret = cert_public(b->sender, &der);
    if (ret == 0)
        ret = pubkey_load(buf_slice(&der), &key, NULL);
    if (ret == 0) {
        v = pubkey_verifier(key);
        ret = v.verify(v.ctx, (struct slice){message, sizeof message},
                       (struct slice){end + 1, end[0]});
    }
    pubkey_free(key);
    buf_release(&der);
    return ret == E_AUTH ? changed(err) : ret == 0 ? 0 : err_set(err, ret, NULL);
}

int bundle_prove(struct bundle_reader *b, const struct key *own, struct err *err)
{
    uint8_t print[HASH_SIZE];
    int ret = key_print(own, print, err);

    if (ret == 0 && memcmp(print, b->head.receiver, sizeof print) != 0)
        ret = err_set(err, E_DENIED, "这份摆渡包不是给本机的");
    if (ret == 0)
        ret = check_signature(b, err);
    if (ret == 0)
        ret = key_agree(own, b->head.ephemeral, (struct slice){b->head_hash, HASH_SIZE},
                        BUNDLE_MAGIC, &b->key, err);
    b->proven = ret == 0;
    return ret;
}

/* ---- frames ---- */

static int feed(struct frames *f, struct slice data, struct err *err)
{
    int ret = 0;

    while (ret == 0 && data.len > 0) {
        Ztc__Frame *frame;
        size_t used;

        ret = frame_feed(&f->reader, data, &f->arena, &used, &frame);
        if (ret != 0)
            return err_set(err, ret, NULL);
        data.p += used;
        data.len -= used;
        if (frame != NULL) {
            ret = f->cb(f->ctx, frame, &f->arena, err);
            arena_clear(&f->arena);
        }
    }
    return ret;
}

/* The chunk at *AT, opened onto PLAIN. */
static int read_chunk(const struct bundle_reader *b, uint64_t *at, uint32_t number,
                      struct buf *sealed, struct buf *plain, bool *ret_last, struct err *err)
{
    uint8_t prefix[4], *place;
    size_t size;
    int ret = b->size - *at < sizeof prefix ? changed(err)
                                            : read_at(b, *at, prefix, sizeof prefix, err);

    if (ret != 0)
        return ret;
    *at += sizeof prefix;
    if (bundle_chunk_size(prefix, &size) != 0 || b->size - *at < size)
        return changed(err);
    buf_clear(sealed);
    buf_clear(plain);
    place = buf_grow(sealed, size);
    if (place == NULL)
        return err_set(err, sealed->ret, NULL);
    ret = read_at(b, *at, place, size, err);
    if (ret != 0)
        return ret;
    *at += size;
    if (bundle_chunk_check(buf_slice(sealed), number, ret_last) != 0)
        return changed(err);
    ret = seal_open(&b->key, (struct slice){b->head_hash, HASH_SIZE}, buf_slice(sealed), plain);
    return ret == E_CORRUPT ? changed(err) : ret == 0 ? 0 : err_set(err, ret, NULL);
}

int bundle_each(struct bundle_reader *b,
                int (*cb)(void *ctx, Ztc__Frame *f, struct arena *a, struct err *err),
                void *ctx, struct err *err)
{
    struct frames f = {.cb = cb, .ctx = ctx};
    struct buf sealed, plain;
    uint64_t at = b->chunks_at;
    bool last = false;
    int ret = b->proven ? 0 : err_set(err, E_INTERNAL, NULL);

    frame_reader_init(&f.reader, FRAME_MAX);
    arena_init(&f.arena, FRAME_ARENA);
    buf_init(&sealed, BUNDLE_CHUNK_MAX);
    buf_init(&plain, BUNDLE_PLAIN_MAX);
    for (uint32_t number = 0; ret == 0 && !last; number++) {
        ret = read_chunk(b, &at, number, &sealed, &plain, &last, err);
        if (ret == 0)
            ret = feed(&f, buf_slice(&plain), err);
    }
    if (ret == 0 && (at != b->size || f.reader.in.len > 0))
        ret = changed(err);
    if (plain.p != NULL)
        mem_wipe(plain.p, plain.cap);
    buf_release(&sealed);
    buf_release(&plain);
    arena_release(&f.arena);
    frame_reader_release(&f.reader);
    return ret;
}
