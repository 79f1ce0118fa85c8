#include "server/store/marker.h"

#include "common/base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC "ztcmark1"

struct suspect {
    struct id replica;
    uint64_t n;
    uint32_t deaths; /* 0: a free place */
};

/* The file, in this machine's own order: it never leaves it. */
struct page {
    char magic[8];
    _Atomic uint32_t marked;
    uint32_t next; /* the place taken next when none is free */
    struct id replica;
    uint64_t n;
    struct suspect suspects[MARKER_SUSPECTS];
};

struct marker {
    struct page *page;
};

static struct suspect *find(const struct marker *m, const struct id *replica, uint64_t n)
{
    for (unsigned i = 0; i < MARKER_SUSPECTS; i++) {
        struct suspect *s = &m->page->suspects[i];

        if (s->deaths > 0 && s->n == n && id_eq(&s->replica, replica))
            return s;
    }
    return NULL;
}

/* An act that somebody died of. */
static void count_death(struct marker *m)
{
    struct page *p = m->page;
    struct suspect *s = find(m, &p->replica, p->n);

    if (s == NULL) {
        s = &p->suspects[p->next++ % MARKER_SUSPECTS];
        *s = (struct suspect){.replica = p->replica, .n = p->n};
    }
    s->deaths++;
    atomic_store(&p->marked, 0);
}

static int map(int fd, struct marker *m)
{
    void *at;

    if (posix_fallocate(fd, 0, sizeof *m->page) !=
        0) /* not in a hole: writing there must not fail */
        return E_FULL;
    at = mmap(NULL, sizeof *m->page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED)
        return E_IO;
    m->page = at;
    return 0;
}

static void start(struct marker *m)
{
    if (memcmp(m->page->magic, MAGIC, sizeof m->page->magic) != 0) {
        memset(m->page, 0, sizeof *m->page);
        memcpy(m->page->magic, MAGIC, sizeof m->page->magic);
    }
    if (atomic_load(&m->page->marked) != 0)
        count_death(m);
}

int marker_open(const char *path, struct marker **ret, struct err *err)
{
    struct marker *m = mem_calloc(1, sizeof *m);
    int fd = m == NULL ? -1 : open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int status;

    *ret = NULL;
    if (m == NULL)
        return err_set(err, E_NOMEM, NULL);
    status = fd < 0 ? E_IO : map(fd, m);
    if (fd >= 0)
        (void)close(fd); /* the mapping stays */
    if (status != 0) {
        mem_free(m);
        return err_set(err, status, "不能使用 %s：%s", path, err_text(status));
    }
    start(m);
    *ret = m;
    return 0;
}

void marker_close(struct marker *m)
{
    if (m == NULL)
        return;
    (void)munmap(m->page, sizeof *m->page); /* fails for a wrong address only */
    mem_free(m);
}

void marker_enter(struct marker *m, const struct id *replica, uint64_t n)
{
    if (m == NULL)
        return;
    m->page->replica = *replica;
    m->page->n = n;
    atomic_store(&m->page->marked, 1);
}

void marker_leave(struct marker *m)
{
    if (m != NULL)
        atomic_store(&m->page->marked, 0);
}

bool marker_condemns(const struct marker *m, const struct id *replica, uint64_t n)
{
    const struct suspect *s = m == NULL ? NULL : find(m, replica, n);

    return s != NULL && s->deaths >= MARKER_DEATHS;
}
