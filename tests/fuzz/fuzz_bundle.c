/* A file from a stranger's stick, as far as it is read before anything of it is proven: the head, then the
 * lengths and numbers of its chunks. What is taken must be written again as the same bytes. */
#include "common/wire/bundle.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_head(struct slice whole, const struct bundle_head *h)
{
    struct buf again;

    buf_init(&again, BUNDLE_PREFIX + BUNDLE_HEAD_MAX);
    bundle_head_put(&again, h);
    assert(again.ret == 0 && again.len <= whole.len);
    assert(memcmp(again.p, whole.p, again.len) == 0);
    buf_release(&again);
}

static void walk(struct slice rest)
{
    bool last = false;

    for (uint32_t number = 0; !last && rest.len >= 4; number++) {
        size_t len;

        if (bundle_chunk_size(rest.p, &len) != 0 || rest.len - 4 < len)
            return;
        assert(len >= BUNDLE_CHUNK_EXTRA && len <= BUNDLE_CHUNK_MAX);
        if (bundle_chunk_check((struct slice){rest.p + 4, len}, number, &last) != 0)
            return;
        rest.p += 4 + len;
        rest.len -= 4 + len;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bundle_head h;
    size_t len;

    if (size < BUNDLE_PREFIX ||
        bundle_head_size((struct slice){data, BUNDLE_PREFIX}, &len) != 0)
        return 0;
    assert(len <= BUNDLE_HEAD_MAX);
    if (size - BUNDLE_PREFIX < len)
        return 0;
    if (bundle_head_decode((struct slice){data + BUNDLE_PREFIX, len}, &h) != 0)
        return 0;
    check_head((struct slice){data, size}, &h);
    walk((struct slice){data + BUNDLE_PREFIX + len, size - BUNDLE_PREFIX - len});
    return 0;
}
