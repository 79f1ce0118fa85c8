/* Everything a stranger can send: the first byte chooses how the rest is cut, then frames, checks and
 * bodies take it. */
#include "common/wire/body.h"
#include "common/wire/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void open_body(struct body_codec *codec, struct arena *a, const Ztc__Frame *f)
{
    Ztc__PushBody *push;
    Ztc__EntriesBody *entries;

    if (f->kind_case == ZTC__FRAME__KIND_PUSH)
        (void)body_open_push(codec, f->push, a, &push); /* any answer will do */
    if (f->kind_case == ZTC__FRAME__KIND_ENTRIES)
        (void)body_open_entries(codec, wire_slice(f->entries->body), f->entries->size,
                                f->entries->count, a, &entries);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t step = size == 0 || data[0] == 0 ? SIZE_MAX : data[0];
    struct slice left = {data + (size > 0), size - (size > 0)};
    struct frame_reader r;
    struct body_codec codec;
    struct arena a;
    int ret = 0;

    frame_reader_init(&r, FRAME_MAX);
    body_codec_init(&codec);
    arena_init(&a, 64u << 20);
    while (ret == 0 && left.len > 0) {
        struct slice part = {left.p, left.len < step ? left.len : step};
        Ztc__Frame *f;
        size_t used;

        ret = frame_feed(&r, part, &a, &used, &f);
        if (ret == 0 && f != NULL)
            open_body(&codec, &a, f);
        left.p += used;
        left.len -= used;
        arena_clear(&a);
    }
    arena_release(&a);
    body_codec_release(&codec);
    frame_reader_release(&r);
    return 0;
}
