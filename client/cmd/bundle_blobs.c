#include "client/cmd/bundle_blobs.h"

#include "client/store/blobs.h"
#include "common/blob/files.h"

#include <string.h>

#define BYTES_MAX (768ull << 20) /* of a bundle, from which on attachments wait for the next */

/* ---- export ---- */

struct putting {
    struct office *o;
    struct bundle_writer *out;
    struct blobs_said *said;
    struct buf bytes;
    Ztc__Frame frame;
};

static ProtobufCBinaryData id_data(const struct id *id)
{
    return wire_data((struct slice){id->b, ID_SIZE});
}

static int put_have(struct putting *p, const struct blob_row *b)
{
    Ztc__BlobHave m = ZTC__BLOB_HAVE__INIT;

    m.attachment = id_data(&b->attachment);
    m.hash = wire_data((struct slice){b->hash, HASH_SIZE});
    m.size = b->size;
    frame_put_blob_have(bundle_frames(p->out), &m);
    return bundle_put(p->out, p->o->err);
}

static int put_chunks(struct putting *p, const struct blob_row *b)
{
    Ztc__BlobChunk m = ZTC__BLOB_CHUNK__INIT;
    int ret = 0;

    m.attachment = id_data(&b->attachment);
    for (m.offset = 0; ret == 0 && m.offset < b->size; m.offset += p->bytes.len) {
        uint64_t left = b->size - m.offset;

        buf_clear(&p->bytes);
        ret = blob_read(p->o->w.home.blobs, b->hash, m.offset,
                        left < BLOB_CHUNK ? (size_t)left : BLOB_CHUNK, &p->bytes, p->o->err);
        if (ret != 0)
            return ret;
        m.bytes = wire_data(buf_slice(&p->bytes));
        frame_put_blob_chunk(bundle_frames(p->out), &m);
        ret = bundle_put(p->out, p->o->err);
    }
    return ret;
}

static int put_lost(struct putting *p, const struct blob_row *b)
{
    Ztc__BlobDone m = ZTC__BLOB_DONE__INIT;

    m.attachment = id_data(&b->attachment);
    m.has_code = true;
    m.code = wire_data(slice_str(err_code(E_BLOB_LOST)));
    frame_put_blob_done(bundle_frames(p->out), &m);
    return bundle_put(p->out, p->o->err);
}

static int put_up(void *ctx, const struct blob_row *b)
{
    struct putting *p = ctx;
    uint64_t size = 0;
    int ret = blob_size(p->o->w.home.blobs, b->hash, &size, p->o->err);

    if (ret == E_NOTFOUND || (ret == 0 && size != b->size))
        return put_lost(p, b);
    if (ret != 0)
        return ret;
    if (bundle_bytes(p->out) + size > BYTES_MAX) {
        p->said->left++;
        return 0;
    }
    p->said->sent++;
    ret = put_have(p, b);
    return ret == 0 ? put_chunks(p, b) : ret;
}

static int put_want(void *ctx, const struct blob_row *b)
{
    struct putting *p = ctx;
    struct blob_part part = {.owner = 0};
    Ztc__BlobWant m = ZTC__BLOB_WANT__INIT;
    int ret;

    memcpy(part.hash, b->hash, HASH_SIZE);
    ret = blob_part_size(p->o->w.home.blobs, &part, &m.offset, p->o->err);
    if (ret != 0)
        return ret;
    if (m.offset >= b->size)
        m.offset = 0; /* whole, and not judged yet: its end comes again */
    m.attachment = id_data(&b->attachment);
    frame_put_blob_want(bundle_frames(p->out), &m);
    p->said->asked++;
    return bundle_put(p->out, p->o->err);
}

int bundle_blobs_put(struct office *o, struct bundle_writer *out, bool all, struct blobs_said *ret)
{
    struct putting p = {.o = o, .out = out, .said = ret};
    struct replica *r = o->w.home.replica;
    int status;

    *ret = (struct blobs_said){.sent = 0};
    buf_init(&p.bytes, BLOB_CHUNK);
    status = replica_blob_each(r, BLOB_DOWN, true, put_want, &p, o->err);
    if (status == 0)
        status = replica_blob_each(r, BLOB_UP, all, put_up, &p, o->err);
    buf_release(&p.bytes);
    return status;
}

/* ---- import ---- */

static int settle(struct office *o, const struct id *attachment, enum client_lane_name lane, int word)
{
    struct client_blob_want want = {.ask = CLIENT_BLOB_SETTLE, .attachment = *attachment,
                                    .ret = word};
    struct client_event ev = {.ret = 0};

    exchange_blob(o->w.home.replica, lane, &want, work_now(), &ev, o->err);
    return ev.blob.ret;
}

/* 1: it waits. */
static int find(struct office *o, ProtobufCBinaryData attachment, enum blob_way way,
                struct blob_row *ret)
{
    struct id id;
    int status;

    memcpy(id.b, attachment.data, ID_SIZE);
    status = replica_blob_get(o->w.home.replica, &id, way, ret, o->err);
    if (status != 0)
        return status == E_NOTFOUND ? 0 : status;
    return ret->state == BLOB_WAITING;
}

static int code_of(const Ztc__BlobDone *m)
{
    char code[WIRE_CODE_MAX + 1] = "";

    if (!m->has_code)
        return 0;
    memcpy(code, m->code.data, m->code.len);
    return err_from_code(code);
}

int bundle_blobs_done(struct office *o, const Ztc__BlobDone *m, struct blobs_heard *ret)
{
    int word = code_of(m), waits;
    struct blob_row b;

    if (client_blob_passes(word))
        return 0; /* it goes again with the next bundle */
    waits = find(o, m->attachment, BLOB_UP, &b);
    if (waits < 0)
        return waits;
    if (waits == 1) {
        ret->verified += word == 0;
        ret->refused += word != 0;
        return settle(o, &b.attachment, CLIENT_LANE_UP, word);
    }
    waits = word == 0 ? 0 : find(o, m->attachment, BLOB_DOWN, &b);
    if (waits <= 0)
        return waits;
    ret->refused++;
    return settle(o, &b.attachment, CLIENT_LANE_DOWN, word);
}

static int finish(struct office *o, const struct blob_part *part, const struct blob_row *b,
                  struct blobs_heard *ret)
{
    int status = blob_part_finish(o->w.home.blobs, part, b->size, o->err);

    if (status == E_CORRUPT)
        return 0; /* it is gone, and asked for again from its first byte */
    if (status != 0)
        return status;
    ret->fetched++;
    return settle(o, &b->attachment, CLIENT_LANE_DOWN, 0);
}

int bundle_blobs_chunk(struct office *o, const Ztc__BlobChunk *m, struct blobs_heard *ret)
{
    struct blob_part part = {.owner = 0};
    struct blob_row b;
    uint64_t here;
    int status = find(o, m->attachment, BLOB_DOWN, &b);

    if (status <= 0)
        return status;
    memcpy(part.hash, b.hash, HASH_SIZE);
    status = blob_folder(o->w.home.blobs, o->err);
    if (status == 0)
        status = blob_part_size(o->w.home.blobs, &part, &here, o->err);
    if (status != 0)
        return status;
    if (m->offset > here || m->offset + m->bytes.len > b.size)
        return 0; /* a bundle before it is missing */
    status = blob_part_write(o->w.home.blobs, &part, m->offset, wire_slice(m->bytes), o->err);
    if (status == 0 && m->offset + m->bytes.len == b.size)
        status = finish(o, &part, &b, ret);
    return status;
}
