#include "server/store/marker.h"

#include "common/base/mem.h"
#include "server/store/page.h"

#include <stdatomic.h>
#include <string.h>

#define MAGIC "ztcmark1"

struct suspect {
    struct id replica;
    uint64_t n;
    uint32_t deaths; /* 0: a free place */
};

struct marks {
    char magic[PAGE_MAGIC_SIZE];
    _Atomic uint32_t marked;
    uint32_t next; /* the place taken next when none is free */
    struct id replica;
    uint64_t n;
    struct suspect suspects[MARKER_SUSPECTS];
};

struct marker {
    struct marks *page;
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
    struct marks *p = m->page;
    struct suspect *s = find(m, &p->replica, p->n);

    if (s == NULL) {
        s = &p->suspects[p->next++ % MARKER_SUSPECTS];
        *s = (struct suspect){.replica = p->replica, .n = p->n};
    }
    s->deaths++;
    atomic_store(&p->marked, 0);
}

int marker_open(const char *path, struct marker **ret, struct err *err)
{
    struct marker *m = mem_calloc(1, sizeof *m);
    void *page = NULL;
    int status;

    *ret = NULL;
    if (m == NULL)
        return err_set(err, E_NOMEM, NULL);
    status = page_open(path, MAGIC, sizeof *m->page, &page, err);
    if (status != 0) {
        mem_free(m);
        return status;
    }
    m->page = page;
    if (atomic_load(&m->page->marked) != 0)
        count_death(m);
    *ret = m;
    return 0;
}

void marker_close(struct marker *m)
{
    if (m == NULL)
        return;
    page_close(m->page, sizeof *m->page);
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
