/* The city's directory: where every file of it lies, its settings and its keys.
 *
 *   city.db     the ledger                       server.pem .key  the daemon's certificate
 *   ztcd.ini    settings                         log.key          signs heads
 *   ca.pem .key the city's CAs (home_ca.h)       vault.key        encrypts personal data at rest
 *   merging     names the act being merged       blobs/           the bytes of attachments
 *   heads       where each stream stands         backup           when the last backup was current
 *   ztcd.lock   held by whoever writes           control.sock     for the commands, while it runs */
#ifndef ZTC_SERVER_HOME_H
#define ZTC_SERVER_HOME_H

#include "common/base/conf.h"
#include "common/crypto/seal.h"
#include "server/net/authorities.h"
#include "server/store/city.h"

#define HOME_PATH_MAX 4096
#define HOST_MAX      256
#define HOME_SECTION  "ztcd" /* of ztcd.ini */

struct home {
    char dir[HOME_PATH_MAX];
    struct conf conf;
    struct authorities *authorities;
    struct key *server_key, *log_key;
    struct pubkey *log_public;
    struct seal_key vault_key;
    struct vault vault;
};

/* DIR: --dir, or NULL: ZTCD_DIR, else ~/.local/share/ztcd. Nothing is read yet. E_INVALID. */
int home_init(struct home *h, const char *dir, struct err *err);
void home_release(struct home *h);

/* The path of a file of it, in a buffer of the caller. */
struct home_path {
    char text[HOME_PATH_MAX + 64];
};
const char *home_file(const struct home *h, const char *name, struct home_path *p);

/* Make the directory itself. */
int home_make_dir(const struct home *h, struct err *err);

/* There is a city in it. */
bool home_exists(const struct home *h);

/* E_EXISTS: there is a city, or the log of one whose city.db is gone, which SQLite would lay over a new one. */
int home_is_free(const struct home *h, struct err *err);

/* Make everything. LISTEN, ENROL_LISTEN (host:port; NULL: a free port of 127.0.0.1), TERM and HASH (NULL:
 * presets). E_EXISTS. */
struct home_new {
    const char *listen, *enrol_listen, *term, *hash;
};
int home_create(struct home *h, const struct home_new *n, msec_t now, struct err *err);

/* Settings and keys. E_NOTFOUND when there is no city. */
int home_load(struct home *h, struct err *err);

/* Settings and the vault's key: for reading commands. */
int home_load_reading(struct home *h, struct err *err);

/* The lock of those who write; *RET_FD holds it until closed. E_BUSY when another process has it. */
int home_lock(const struct home *h, int *ret_fd, struct err *err);

/* open_own: by the one who holds the lock. A store that is older than the heads file says begins a new life,
 * which recovers. open_copy: the store file at PATH. */
int home_open_city(struct home *h, msec_t now, struct city **ret, struct err *err);
int home_open_own(struct home *h, msec_t now, struct city **ret, struct err *err);
int home_open_copy(struct home *h, const char *path, msec_t now, struct city **ret,
                   struct err *err);
int home_open_store(struct home *h, struct store **ret, struct err *err); /* read-only */

/* "host:port" or "[v6]:port" in two. E_INVALID. */
int home_split(const char *address, char ret_host[HOST_MAX], uint16_t *ret_port, struct err *err);

/* 0.0.0.0 or ::, which is no address for anybody else. */
bool home_every_interface(const char *host);

/* The host and port that counties are told for LISTEN (the name of a setting): `advertise`, or its own.
 * E_INVALID when that is every interface, which is no address for anybody else. */
int home_told(const struct home *h, const char *listen, char ret_host[HOST_MAX],
              uint16_t *ret_port, struct err *err);

/* Connect to the daemon's control socket. E_UNREACHABLE when no daemon serves. */
int home_control(const struct home *h, int *ret_fd, struct err *err);

#endif
