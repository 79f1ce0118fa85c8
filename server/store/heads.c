#include "server/store/heads.h"

#include "common/base/mem.h"
#include "server/store/page.h"

#include <stdatomic.h>
#include <string.h>

#define MAGIC "ztchead1"

struct place {
    uint64_t seq;
    struct id incarnation;
    uint8_t hash[HASH_SIZE];
};

struct filed {
    _Atomic uint32_t stream;  /* 0: free */
    _Atomic uint32_t written; /* times; the last lies in at[written % 2] */
    struct place at[2];
};

struct filed_heads {
    char magic[PAGE_MAGIC_SIZE];
    struct filed streams[HEADS_STREAMS];
};

struct heads {
    struct filed_heads *page;
};

int heads_open(const char *path, struct heads **ret, struct err *err)
{
    struct heads *h = mem_calloc(1, sizeof *h);
    void *page = NULL;
    int status;

    *ret = NULL;
    if (h == NULL)
        return err_set(err, E_NOMEM, NULL);
    status = page_open(path, MAGIC, sizeof *h->page, &page, err);
    if (status != 0) {
        mem_free(h);
        return status;
    }
    h->page = page;
    *ret = h;
    return 0;
}

void heads_close(struct heads *h)
{
    if (h == NULL)
        return;
    page_close(h->page, sizeof *h->page);
    mem_free(h);
}

static struct filed *find(const struct heads *h, uint32_t stream)
{
    for (unsigned i = 0; i < HEADS_STREAMS; i++) {
        if (atomic_load(&h->page->streams[i].stream) == stream)
            return &h->page->streams[i];
    }
    return NULL;
}

void heads_put(struct heads *h, const struct stream_head *at)
{
    struct filed *f = h == NULL ? NULL : find(h, at->stream);
    uint32_t next;

    if (h != NULL && f == NULL)
        f = find(h, 0);
    if (f == NULL)
        return; /* more streams than a city has */
    next = atomic_load(&f->written) + 1;
    f->at[next % 2].seq = at->seq;
    f->at[next % 2].incarnation = at->incarnation;
    memcpy(f->at[next % 2].hash, at->hash, HASH_SIZE);
    atomic_store(&f->written, next);
    atomic_store(&f->stream, at->stream);
}

bool heads_get(const struct heads *h, uint32_t stream, struct stream_head *ret)
{
    const struct filed *f = h == NULL ? NULL : find(h, stream);
    const struct place *p;

    if (f == NULL)
        return false;
    p = &f->at[atomic_load(&f->written) % 2];
    *ret = (struct stream_head){.stream = stream, .seq = p->seq, .incarnation = p->incarnation};
    memcpy(ret->hash, p->hash, HASH_SIZE);
    return true;
}
