/* The enrolment listener: a computer with a token becomes a replica. TLS without client certificate;
 * one Enrol frame, one answer, the end. */
#ifndef ZTC_SERVER_UV_ENROL_PORT_H
#define ZTC_SERVER_UV_ENROL_PORT_H

#include "common/net/uv_listener.h"
#include "common/wire/frame.h"
#include "server/net/uv_sync_port.h"
#include "server/net/uv_writer.h"

#define ENROL_TOKEN_LABEL "ztc-token-1" /* what a secret's hash begins with */

struct enrol_port;

/* The rest is borrowed for the port's life. */
struct enrol_port_options {
    uv_loop_t *loop;
    struct net *net;
    struct writer *writer;
    struct tls_config *tls;
    msec_t (*clock)(void);
    const char *host;
    uint16_t port;
    struct authorities *authorities; /* a reference of its own is taken */
    struct slice log_key;      /* SubjectPublicKeyInfo DER */
    struct id ledger;
    const struct hasher *hasher;
    const char *sync_address;  /* host:port that replicas are told */
};

struct enrol_counts {
    uint64_t enrolled;
    uint64_t refused[REFUSED_CODES];
    struct err last;
};

int enrol_port_new(const struct enrol_port_options *o, struct enrol_port **ret, struct err *err);
/* Other CAs from now on. Takes references. */
void enrol_port_renew(struct enrol_port *p, struct authorities *a, struct tls_config *tls);

uint16_t enrol_port_port(const struct enrol_port *p);
void enrol_port_counts(const struct enrol_port *p, struct enrol_counts *ret);

/* How a token's secret is remembered. */
void enrol_secret_hash(struct slice secret, uint8_t ret[HASH_SIZE]);

/* Ends at once; CB when the last connection and job are gone. Before the writer closes. */
void enrol_port_close(struct enrol_port *p, void (*cb)(void *ctx), void *ctx);

#endif
