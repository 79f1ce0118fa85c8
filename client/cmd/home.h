/* The directory of a county computer's replica: its files, settings and keys.
 *
 *   replica.db   the replica            ztc.ini     settings
 *   key.pem      its private key        cert.pem    its certificate, ca.pem the city's CA
 *   city.pem     the certificate that the city showed last; bundles are sealed to it
 *   log_key.der  judges signed heads    vault.key   seals personal data at rest
 *   site.key     the site's own key, which the city does not have; on some computers only
 *   blobs/       the bytes of attachments
 *   agent.lock   held by whoever talks to the city */
#ifndef ZTC_CLIENT_HOME_H
#define ZTC_CLIENT_HOME_H

#include "client/store/replica.h"
#include "common/base/conf.h"
#include "common/crypto/cert.h"
#include "common/crypto/seal.h"

#define HOME_PATH_MAX 4096

extern const struct conf_item client_settings[];
extern const unsigned client_settings_n;

struct home {
    char dir[HOME_PATH_MAX];
    char blobs[HOME_PATH_MAX]; /* the folder of attachments' bytes; there after the first */
    struct conf conf;
    struct seal_key vault_key, site_key;
    bool has_site_key;
    struct vault vault;
    struct pubkey *log_key;
    struct replica_keys keys; /* refers to the above: a home must not move once it is open */
    struct replica *replica;
    int lock; /* of agent.lock, or -1 */
};

/* The directory that GIVEN (or NULL), ZTC_DIR or the user's home say. E_USAGE when none does, E_TOOBIG. */
int home_choose(const char *given, char ret[HOME_PATH_MAX], struct err *err);

/* DIR/NAME into RET. E_TOOBIG. */
int home_path(const char *dir, const char *name, char ret[HOME_PATH_MAX], struct err *err);

/* Make DIR with 0700 where it does not exist; E_DENIED when others may enter it. */
int home_make(const char *dir, struct err *err);

/* Settings, keys and the replica of DIR. E_NOTFOUND: this computer has not been enrolled. home_close is
 * safe after a failure too. */
int home_open(struct home *h, const char *dir, struct err *err);
void home_close(struct home *h);

/* Be the one who talks to the city. E_BUSY when another process is. Kept until home_close. */
int home_lock(struct home *h, struct err *err);

/* Another process holds the lock: an agent is running. */
bool home_agent_runs(const char *dir);

#endif
