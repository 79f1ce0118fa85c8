#include "server/store/heads.h"

#include "common/base/mem.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC "ztchead1"

/* In this machine's own order: it never leaves it. */
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

struct page {
    char magic[8];
    struct filed streams[HEADS_STREAMS];
};

struct heads {
    struct page *page;
};

static int map(int fd, struct heads *h)
{
    void *at;

    if (posix_fallocate(fd, 0, sizeof *h->page) != 0) /* not in a hole: writing there must not fail */
        return E_FULL;
    at = mmap(NULL, sizeof *h->page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED)
        return E_IO;
    h->page = at;
    return 0;
}

int heads_open(const char *path, struct heads **ret, struct err *err)
{
    struct heads *h = mem_calloc(1, sizeof *h);
    int fd = h == NULL ? -1 : open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int status;

    *ret = NULL;
    if (h == NULL)
        return err_set(err, E_NOMEM, NULL);
    status = fd < 0 ? E_IO : map(fd, h);
    if (fd >= 0)
        (void)close(fd); /* the mapping stays */
    if (status != 0) {
        mem_free(h);
        return err_set(err, status, "不能使用 %s：%s", path, err_text(status));
    }
    if (memcmp(h->page->magic, MAGIC, sizeof h->page->magic) != 0) {
        memset(h->page, 0, sizeof *h->page);
        memcpy(h->page->magic, MAGIC, sizeof h->page->magic);
    }
    *ret = h;
    return 0;
}

void heads_close(struct heads *h)
{
    if (h == NULL)
        return;
    (void)munmap(h->page, sizeof *h->page); /* fails for a wrong address only */
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
