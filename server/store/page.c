#include "server/store/page.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int map(int fd, size_t size, void **ret)
{
    if (posix_fallocate(fd, 0, (off_t)size) != 0) /* not in a hole: writing there must not fail */
        return E_FULL;
    *ret = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return *ret == MAP_FAILED ? E_IO : 0;
}

int page_open(const char *path, const char magic[PAGE_MAGIC_SIZE], size_t size, void **ret, struct err *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int status = fd < 0 ? E_IO : map(fd, size, ret);

    if (fd >= 0)
        (void)close(fd); /* the mapping stays */
    if (status != 0)
        return err_set(err, status, "不能使用 %s：%s", path, err_text(status));
    if (memcmp(*ret, magic, PAGE_MAGIC_SIZE) != 0) {
        memset(*ret, 0, size);
        memcpy(*ret, magic, PAGE_MAGIC_SIZE);
    }
    return 0;
}

void page_close(void *page, size_t size)
{
    (void)munmap(page, size); /* fails for a wrong address only */
}
