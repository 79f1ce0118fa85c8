#include "server/admin/bundle_blob.h"

#include "common/blob/files.h"
#include "server/store/city_blob.h"

#include <string.h>

static int write_chunk(const struct bundle_blobs *b, const struct server_blob_want *want,
                       struct err *err)
{
    struct blob_part part = {.owner = b->site};
    int ret;

    memcpy(part.hash, want->hash, HASH_SIZE);
    ret = blob_part_write(b->root, &part, want->offset, want->bytes, err);
    if (ret != 0 || want->offset + want->bytes.len < want->size)
        return ret;
    ret = blob_part_finish(b->root, &part, want->size, err);
    return ret == 0 ? city_blob_held(b->city, b->site, want->hash, want->size, err) : ret;
}

static int lose(const struct bundle_blobs *b, const struct server_blob_want *want, struct err *err)
{
    struct blob_part part = {.owner = b->site};
    bool its;
    int ret = city_blob_lost(b->city, b->site, &want->attachment, &its, part.hash, err);

    return ret == 0 && its ? blob_part_drop(b->root, &part, err) : ret;
}

static int done(const struct bundle_blobs *b, const struct server_blob_want *want,
                struct buf *bytes, struct server_blob_answer *ret, struct err *err)
{
    switch (want->ask) {
    case SERVER_BLOB_OFFER:
        return city_blob_offer(b->city, b->site, &want->attachment, want->hash, want->size,
                               &ret->verified, err);
    case SERVER_BLOB_WRITE:
        return write_chunk(b, want, err);
    case SERVER_BLOB_LOST:
        return lose(b, want, err);
    case SERVER_BLOB_FIND:
        return city_blob_find(b->city, b->site, &want->attachment, ret->hash, &ret->size, err);
    case SERVER_BLOB_READ:
        return blob_read(b->root, want->hash, want->offset, want->len, bytes, err);
    case SERVER_BLOB_NOTHING:
        break;
    }
    return 0;
}

void bundle_blob(const struct bundle_blobs *b, enum server_lane_name lane,
                 const struct server_blob_want *want, struct buf *bytes,
                 struct server_blob_answer *ret, struct err *err)
{
    int status;

    *ret = (struct server_blob_answer){.lane = lane, .ask = want->ask};
    status = done(b, want, bytes, ret, err);
    ret->ret = status == E_NOTFOUND ? E_BLOB_LOST : status;
    ret->bytes = buf_slice(bytes);
}
