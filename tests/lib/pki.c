#include "tests/lib/pki.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void must(int ret)
{
    if (ret == 0)
        return;
    (void)fprintf(stderr, "pki: %s\n", err_text(ret));
    abort();
}

void pki_init(struct pki *p, uint8_t ledger)
{
    static const char *const hosts[] = {"127.0.0.1", NULL};
    struct buf csr;

    memset(p, 0, sizeof *p);
    memset(p->ledger.b, ledger, ID_SIZE);
    memset(p->replica_id.b, 0xa0 + ledger % 16, ID_SIZE);
    must(key_new(&p->ca_key, NULL));
    must(key_new(&p->city_key, NULL));
    must(key_new(&p->replica_key, NULL));
    must(ca_new(PKI_NOW, p->ca_key, "test", &p->ca, NULL));
    must(ca_issue_city(p->ca, p->ca_key, p->city_key, &p->ledger, hosts, PKI_NOW, CERT_DAYS,
                       &p->city, NULL));
    buf_init(&csr, 4096);
    must(csr_new(p->replica_key, &csr, NULL));
    must(ca_issue_replica(p->ca, p->ca_key, buf_slice(&csr), PKI_SITE, &p->replica_id, PKI_NOW,
                          CERT_DAYS, &p->replica, NULL));
    buf_release(&csr);
    cert_fingerprint(p->ca, p->ca_print);
}

void pki_release(struct pki *p)
{
    cert_free(p->replica);
    cert_free(p->city);
    cert_free(p->ca);
    key_free(p->replica_key);
    key_free(p->city_key);
    key_free(p->ca_key);
}

struct tls_params pki_server(const struct pki *p)
{
    return (struct tls_params){
        .role = TLS_SERVER,
        .alpn = TLS_ALPN_SYNC,
        .own = p->city,
        .key = p->city_key,
        .ca = p->ca,
        .ask_client = true,
    };
}

struct tls_params pki_client(const struct pki *p)
{
    return (struct tls_params){
        .role = TLS_CLIENT,
        .alpn = TLS_ALPN_SYNC,
        .own = p->replica,
        .key = p->replica_key,
        .ca = p->ca,
        .ledger = &p->ledger,
    };
}

struct tls_params pki_enrol_server(const struct pki *p)
{
    return (struct tls_params){
        .role = TLS_SERVER,
        .alpn = TLS_ALPN_ENROL,
        .own = p->city,
        .key = p->city_key,
        .ca = p->ca,
        .send_ca = true,
    };
}

struct tls_params pki_enrol_client(const struct pki *p)
{
    return (struct tls_params){
        .role = TLS_CLIENT,
        .alpn = TLS_ALPN_ENROL,
        .ca_fingerprint = p->ca_print,
    };
}
