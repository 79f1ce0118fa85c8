/* OpenSSL's memory: it comes from mem.h, and whether it ran out on this thread is known.
 *
 * OpenSSL says of most failures only that there was one, and its queue of errors does not always hold the
 * reason. A signature that could not be checked, a value that could not be opened must not be taken for a
 * forged or a damaged one because memory was short for a moment. */
#ifndef ZTC_CRYPTO_MEMORY_H
#define ZTC_CRYPTO_MEMORY_H

#include <stdbool.h>

/* Before anything else of OpenSSL, once in a process. False: it has allocated already, and all stays as it was. */
bool crypto_memory_init(void);

/* How many allocations were refused on this thread: more than before, and a failure between is none of the
 * subject's. */
unsigned crypto_memory_refused(void);

/* The same for one call after the other: from here on ... */
void crypto_memory_watch(void);

/* ... was one refused? */
bool crypto_memory_short(void);

#endif
