/* The files of the city's CAs.
 *
 *   generation 1:  ca.pem    ca.key    server.pem         generation N:  ca-N.pem  ca-N.key  server-N.pem
 *
 * A generation begins to be when its ca.pem stands, which is written last and taken away first. So a
 * crash leaves what was, or what shall be. At most two stand at a time. */
#ifndef ZTC_SERVER_HOME_CA_H
#define ZTC_SERVER_HOME_CA_H

#include "server/admin/home.h"

/* The first CA, and the daemon's certificate under it. The server's key must be there. */
int home_ca_create(struct home *h, const struct id *ledger, msec_t now, struct err *err);

/* Read them anew; the caller's reference. */
int home_ca_load(const struct home *h, struct authorities **ret, struct err *err);

/* A new CA beside the present one, which becomes the old. E_EXISTS: there are two already. */
int home_ca_rotate(struct home *h, const struct id *ledger, msec_t now, struct err *err);

/* Take the old one away. E_NOTFOUND: there is none. */
int home_ca_drop_old(struct home *h, struct err *err);

/* NAME is that of a CA's file, of whatever generation: which of them there are says who is trusted. */
bool home_ca_is_file(const char *name);
bool home_ca_is_certificate(const char *name); /* with which a generation begins to be */

/* How far the CAs of a folder (the home, or a copy of it) have come: each rotation and each dropping makes it
 * more. 0: none. */
int home_ca_age(const char *dir, unsigned *ret, struct err *err);

#endif
