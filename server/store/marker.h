/* The mark on the act that is being merged: a process that dies of an act leaves its name behind.
 *
 * It lies in a page (page.h): a power cut may lose it, which costs no more than another death. Acts that a process
 * died on are remembered with the number of deaths; there is room for MARKER_SUSPECTS. */
#ifndef ZTC_SERVER_MARKER_H
#define ZTC_SERVER_MARKER_H

#include "common/base/err.h"
#include "common/base/id.h"

#include <stdbool.h>

#define MARKER_SUSPECTS 16u
#define MARKER_DEATHS   2u /* after so many an act is not tried again */

struct marker;

/* Open or make the file of PATH, 0600; an act that is still marked counts one more death. A file that is
 * not a marker's is begun anew: it is a help, never a reason not to serve. E_IO, E_FULL, E_NOMEM. */
int marker_open(const char *path, struct marker **ret, struct err *err);

/* NULL will do, here and below: then nothing is marked. */
void marker_close(struct marker *m);

void marker_enter(struct marker *m, const struct id *replica, uint64_t n);
void marker_leave(struct marker *m);

/* The process died on this act MARKER_DEATHS times. */
bool marker_condemns(const struct marker *m, const struct id *replica, uint64_t n);

#endif
