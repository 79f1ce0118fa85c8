/* The one way to allocate, so that tests can make it fail. */
#ifndef ZTC_BASE_MEM_H
#define ZTC_BASE_MEM_H

#include <stddef.h>

/* All return NULL when memory is out; a size of 0 gives a pointer that can be freed. */
void *mem_alloc(size_t size);
void *mem_calloc(size_t n, size_t size);
void *mem_realloc(void *p, size_t size);
char *mem_strdup(const char *s);
void *mem_dup(const void *p, size_t size);
void mem_free(void *p);

/* Overwrite SIZE bytes in a way the compiler keeps: for keys and passwords. */
void mem_wipe(void *p, size_t size);

/* Fail the COUNTDOWN-th allocation from now (1 = the next), once; 0 switches off.
 * Returns through mem_fault_hits() how many were failed since. For tests, one thread. */
void mem_fault_set(unsigned countdown);
unsigned mem_fault_hits(void);

#endif
