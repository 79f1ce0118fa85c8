/* A page of a small file, shared with the kernel: writing it costs no call, and it survives the process. A power
 * cut may lose what was written last. In this machine's own order: it never leaves it. */
#ifndef ZTC_SERVER_PAGE_H
#define ZTC_SERVER_PAGE_H

#include "common/base/err.h"

#include <stddef.h>

#define PAGE_MAGIC_SIZE 8u

/* Open or make PATH, 0600, as SIZE bytes that begin with MAGIC; a file that begins otherwise is begun anew, all
 * zeros. E_IO, E_FULL. */
int page_open(const char *path, const char magic[PAGE_MAGIC_SIZE], size_t size, void **ret, struct err *err);
void page_close(void *page, size_t size);

#endif
