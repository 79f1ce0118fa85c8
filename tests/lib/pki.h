/* A ready-made CA with a city and a replica, for tests that speak TLS. */
#ifndef ZTC_TESTS_PKI_H
#define ZTC_TESTS_PKI_H

#include "common/crypto/cert.h"
#include "common/net/tls.h"

#define PKI_NOW  ((msec_t)1790000000000u)
#define PKI_DAY  ((msec_t)86400000)
#define PKI_SITE 431001u

struct pki {
    struct key *ca_key, *city_key, *replica_key;
    struct cert *ca, *city, *replica;
    struct id ledger, replica_id;
    uint8_t ca_print[HASH_SIZE];
};

/* Everything issued at PKI_NOW for CERT_DAYS; ids of LEDGER's byte. Ends the process on failure. */
void pki_init(struct pki *p, uint8_t ledger);
void pki_release(struct pki *p);

/* The parameters both sides use when all is well. */
struct tls_params pki_server(const struct pki *p);
struct tls_params pki_client(const struct pki *p);

/* The same for enrolment: no client certificate, the root pinned. */
struct tls_params pki_enrol_server(const struct pki *p);
struct tls_params pki_enrol_client(const struct pki *p);

#endif
