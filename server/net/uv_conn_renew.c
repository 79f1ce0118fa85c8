/* A connection's renewal: the certificate is issued on the writer's thread, under the CAs as they were
 * when it was asked for, and recorded in the same transaction. */
#include "server/net/sync_internal.h"

#include <string.h>

struct renew_job {
    struct write_job job;
    struct conn *conn;
    struct authorities *authorities; /* one reference */
    struct buf csr, der;
    struct id replica;
    uint32_t site;
    uint8_t key[HASH_SIZE]; /* of the certificate shown: a replica keeps its key */
    struct cert *cert; /* issued; owned */
};

static int run_renew(struct write_job *job, struct city *city, struct err *err)
{
    struct renew_job *j = (struct renew_job *)job;
    int ret;

    cert_free(j->cert); /* of a run that was rolled back */
    j->cert = NULL;
    ret = authorities_renew(j->authorities, city, buf_slice(&j->csr), j->site, &j->replica, j->key,
                            job->now, &j->cert, err);
    job->wrote = ret != 0;
    return ret;
}

static void tell_renewed(struct renew_job *j, int ret)
{
    struct server_event ev = conn_event(j->conn, SERVER_RENEWED);
    struct slice list[AUTHORITIES_LIST];

    authorities_answer(j->authorities, buf_slice(&j->der), list, &ev.renewed);
    ev.renewed.ret = ret;
    conn_step(j->conn, &ev);
}

static void renew_done(struct write_job *job)
{
    struct renew_job *j = (struct renew_job *)job;
    struct conn *c = j->conn;
    int ret = job->ret == 0 ? cert_to_der(j->cert, &j->der) : job->ret;

    log_info("session %llu: certificate asked for -> %s", (unsigned long long)c->no,
             ret == 0 ? "renewed" : err_code(ret));
    c->held++;
    tell_renewed(j, ret);
    c->held--;
    authorities_unref(j->authorities);
    cert_free(j->cert);
    buf_release(&j->csr);
    buf_release(&j->der);
    mem_free(j);
    conn_job_done(c);
}

int conn_renew(struct conn *c, const Ztc__Renew *m)
{
    struct renew_job *j = mem_calloc(1, sizeof *j);

    if (j == NULL)
        return E_NOMEM;
    j->job = (struct write_job){.run = run_renew, .done = renew_done, .impatient = true,
                                .changes = 1};
    j->conn = c;
    j->authorities = authorities_ref(c->port->authorities);
    j->replica = c->session.replica;
    j->site = c->session.site;
    memcpy(j->key, c->claim.key, HASH_SIZE);
    buf_init(&j->csr, WIRE_DER_MAX);
    buf_init(&j->der, WIRE_DER_MAX);
    buf_put(&j->csr, m->csr.data, m->csr.len);
    c->jobs++;
    writer_submit(c->port->writer, &j->job);
    return 0;
}
