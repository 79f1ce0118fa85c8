/* Copies of a city: the store as of one moment, its keys and settings, and a word on when it was made.
 *
 *   DIR/city.db, ztcd.ini, *.key, *.pem   what `ztcd restore DIR` needs
 *   DIR/city.db-wal                       of a copy that follows: the log since city.db (common/ledger/ship.h)
 *   DIR/blobs/                            attachments' bytes, each copied once
 *   DIR/heads                             where the streams stood, perhaps further than the copy
 *   DIR/lock                              held while the copy is written
 *   $ZTCD_DIR/backup                      of the city: when it was last known equal to a copy, and where */
#ifndef ZTC_SERVER_BACKUP_H
#define ZTC_SERVER_BACKUP_H

#include "server/admin/home.h"

/* Into DIR, which is made; the copy before it stays until the new one is whole. Files of a CA that the home has
 * dropped go from DIR too. */
int backup_make(struct home *h, const char *dir, struct err *err);

/* Put FROM (a directory that backup_make filled, or a store file alone) into the home, which has no city. The
 * store begins a new life and recovers. Settings and keys that the home has stay; E_EXISTS when they are of
 * another city. */
int backup_restore(struct home *h, const char *from, msec_t now, struct err *err);

/* When the store was last known equal to a copy; 0: never. */
msec_t backup_at(const char *path);

#endif
