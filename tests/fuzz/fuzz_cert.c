/* What strangers hand to the CA and to the handshake: certificates, requests, public keys. The first
 * byte says which. */
#include "common/crypto/cert.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_cert(struct slice der)
{
    struct cert *c;
    struct id id;
    uint32_t site;
    char serial[48];

    if (cert_from_der(der, &c, NULL) != 0)
        return;
    (void)cert_replica(c, &site, &id, NULL); /* any answer will do */
    (void)cert_city(c, &id, NULL);
    (void)cert_not_after(c);
    cert_serial(c, serial);
    cert_free(c);
}

/* A request that is right gives a certificate that says what the CA said, nothing else. */
static void try_request(struct slice der)
{
    static const struct id replica = {{1, 2, 3}};
    static struct key *key;
    static struct cert *ca;
    struct cert *c;
    struct id id;
    uint32_t site;

    if (ca == NULL && (key_new(&key, NULL) != 0 || ca_new(1790000000000u, key, "ca", &ca, NULL)))
        abort();
    if (ca_issue_replica(ca, key, der, 431001, &replica, 1790000000000u, 90, &c, NULL) != 0)
        return;
    if (cert_replica(c, &site, &id, NULL) != 0 || site != 431001 || !id_eq(&id, &replica))
        abort();
    cert_free(c);
}

static void try_pubkey(struct slice der)
{
    struct pubkey *k;
    struct verifier v;

    if (pubkey_load(der, &k, NULL) != 0)
        return;
    v = pubkey_verifier(k);
    if (v.verify(v.ctx, der, der) == 0)
        abort();
    pubkey_free(k);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice der = {data + 1, size - 1};

    if (size == 0)
        return 0;
    switch (data[0] % 3) {
    case 0:
        try_cert(der);
        break;
    case 1:
        try_request(der);
        break;
    default:
        try_pubkey(der);
        break;
    }
    return 0;
}
