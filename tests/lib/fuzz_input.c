#include "tests/lib/fuzz_input.h"

#include "common/base/id.h"
#include "common/wire/check.h"

_Static_assert(FUZZ_BLOB_BYTES > WIRE_CHUNK_MAX, "an attachment takes two chunks");

struct slice fuzz_take_rest(struct rd *in)
{
    size_t len = (size_t)rd_u8(in) << 8;

    len |= rd_u8(in);
    return rd_take(in, len < rd_left(in) ? len : rd_left(in));
}

static void put_have(ProtobufCBinaryData attachment, struct buf *out)
{
    static const uint8_t hash[WIRE_HASH_SIZE] = {5};
    Ztc__BlobHave m = ZTC__BLOB_HAVE__INIT;

    m.attachment = attachment;
    m.hash = wire_data((struct slice){hash, sizeof hash});
    m.size = FUZZ_BLOB_BYTES;
    frame_put_blob_have(out, &m);
}

static void put_want(ProtobufCBinaryData attachment, uint64_t offset, struct buf *out)
{
    Ztc__BlobWant m = ZTC__BLOB_WANT__INIT;

    m.attachment = attachment;
    m.offset = offset;
    frame_put_blob_want(out, &m);
}

static void put_chunk(ProtobufCBinaryData attachment, uint64_t offset, size_t len, struct buf *out)
{
    static uint8_t bytes[WIRE_CHUNK_MAX];
    Ztc__BlobChunk m = ZTC__BLOB_CHUNK__INIT;

    m.attachment = attachment;
    m.offset = offset;
    m.bytes = wire_data((struct slice){bytes, len});
    frame_put_blob_chunk(out, &m);
}

static void put_done(ProtobufCBinaryData attachment, uint8_t bits, struct buf *out)
{
    Ztc__BlobDone m = ZTC__BLOB_DONE__INIT;

    m.attachment = attachment;
    m.has_code = bits >> 6 != 0;
    m.code = wire_data(slice_str(bits >> 7 ? "ZT-BLOB-LOST" : "ZT-BUSY"));
    frame_put_blob_done(out, &m);
}

void fuzz_put_blob(struct rd *in, const struct fuzz_lane lanes[2], struct buf *out)
{
    uint8_t bits = rd_u8(in);
    const struct fuzz_lane *l = &lanes[bits >> 2 & 1];
    struct id id = {{(uint8_t)(1 + (bits >> 3 & 1))}};
    ProtobufCBinaryData attachment = wire_data((struct slice){id.b, ID_SIZE});
    uint64_t offset = bits >> 4 & 1 ? rd_u8(in) : l->offset, left = l->size - l->offset;
    size_t len = left == 0 || left > WIRE_CHUNK_MAX ? WIRE_CHUNK_MAX : (size_t)left;

    if (bits >> 5 & 1)
        len = 1u + rd_u8(in);
    switch (bits & 3) {
    case 0:
        put_have(attachment, out);
        break;
    case 1:
        put_want(attachment, offset, out);
        break;
    case 2:
        put_chunk(attachment, offset, len, out);
        break;
    default:
        put_done(attachment, bits, out);
        break;
    }
}

void fuzz_put_ping(struct rd *in, struct buf *out)
{
    Ztc__Ping m = ZTC__PING__INIT;

    m.answer = rd_u8(in) & 1;
    m.clock = 5;
    frame_put_ping(out, &m);
}
