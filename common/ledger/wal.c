#include "common/ledger/wal.h"

#include "common/base/err.h"

#include <string.h>
#include <unistd.h>

#define MAGIC         0x377f0682u /* the last bit: of big-endian numbers */
#define PAGE_MIN      512u
#define HEADER_SUMMED 24u
#define FRAME_SUMMED  8u

static uint32_t be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint32_t le32(const uint8_t *p)
{
    return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

/* LEN is a multiple of 8. */
static void add(uint32_t sum[2], bool big, const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i += 8) {
        sum[0] += (big ? be32(p + i) : le32(p + i)) + sum[1];
        sum[1] += (big ? be32(p + i + 4) : le32(p + i + 4)) + sum[0];
    }
}

/* 1: all of it; 0: the file is shorter; E_IO. */
static int read_at(int fd, void *to, size_t len, uint64_t at)
{
    for (size_t n = 0; n < len;) {
        ssize_t got = pread(fd, (uint8_t *)to + n, len - n, (off_t)(at + n));

        if (got <= 0)
            return got < 0 ? E_IO : 0;
        n += (size_t)got;
    }
    return 1;
}

int wal_read(int fd, struct wal *ret)
{
    struct wal w;
    uint32_t sum[2] = {0, 0};
    int status = read_at(fd, w.header, sizeof w.header, 0);

    if (status != 1)
        return status;
    w.big = (be32(w.header) & 1) != 0;
    w.page_bytes = be32(w.header + 8);
    w.first = be32(w.header + 12) == 0;
    w.salt = be32(w.header + 16);
    add(sum, w.big, w.header, HEADER_SUMMED);
    if ((be32(w.header) & ~1u) != MAGIC || sum[0] != be32(w.header + 24) || sum[1] != be32(w.header + 28) ||
        w.page_bytes < PAGE_MIN || w.page_bytes > WAL_PAGE_MAX || w.page_bytes % 8 != 0)
        return 0;
    *ret = w;
    return 1;
}

struct wal_place wal_start(const struct wal *w)
{
    return (struct wal_place){WAL_HEADER_BYTES, {be32(w->header + 24), be32(w->header + 28)}};
}

int wal_next(const struct wal *w, int fd, struct wal_place *p, uint8_t *frame, bool *ret_commit)
{
    uint32_t sum[2] = {p->sum[0], p->sum[1]};
    int status = read_at(fd, frame, WAL_FRAME_BYTES + w->page_bytes, p->at);

    if (status != 1)
        return status;
    add(sum, w->big, frame, FRAME_SUMMED);
    add(sum, w->big, frame + WAL_FRAME_BYTES, w->page_bytes);
    if (memcmp(frame + 8, w->header + 16, 8) != 0 || sum[0] != be32(frame + 16) || sum[1] != be32(frame + 20) ||
        be32(frame) == 0)
        return 0;
    *p = (struct wal_place){p->at + WAL_FRAME_BYTES + w->page_bytes, {sum[0], sum[1]}};
    *ret_commit = be32(frame + 4) != 0;
    return 1;
}

int wal_stands(const struct wal *w, int fd, const struct wal_place *p)
{
    uint8_t head[WAL_FRAME_BYTES];
    int status;

    if (p->at == WAL_HEADER_BYTES)
        return 1;
    status = read_at(fd, head, sizeof head, p->at - w->page_bytes - WAL_FRAME_BYTES);
    if (status != 1)
        return status;
    return memcmp(head + 8, w->header + 16, 8) == 0 && be32(head + 16) == p->sum[0] && be32(head + 20) == p->sum[1];
}
