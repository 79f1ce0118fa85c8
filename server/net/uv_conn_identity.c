/* A connection's new identity: where the chains part, and the replica that is made behind that place, on the
 * writer's thread; the certificate is issued in the same transaction. */
#include "server/net/sync_internal.h"

#include <string.h>

struct identity_job {
    struct write_job job;
    struct conn *conn;
    struct authorities *authorities; /* one reference */
    struct own_point points[WIRE_POINTS_MAX];
    size_t n_points;
    uint64_t acked_n;
    struct buf csr, der; /* csr empty: only the points are asked about */
    struct id replica, successor;
    uint32_t site, k;
    size_t agreed; /* so many of the points */
    struct cert *cert; /* issued; owned */
};

static int grant(struct identity_job *j, struct city *city, struct err *err)
{
    struct city_cert recorded;
    struct succession s = {.predecessor = j->replica,
                           .successor = j->successor,
                           .agreed = j->points[0],
                           .acked_n = j->acked_n,
                           .cert = &recorded};
    int ret;

    cert_free(j->cert); /* of a run that was rolled back */
    j->cert = NULL;
    ret = authorities_issue(j->authorities, buf_slice(&j->csr), j->site, &j->successor, j->job.now,
                            &j->cert, &recorded, err);
    return ret == 0 ? city_succeed(city, &s, &j->k, err) : ret;
}

static int run_identity(struct write_job *job, struct city *city, struct err *err)
{
    struct identity_job *j = (struct identity_job *)job;
    int ret;

    if (j->csr.len == 0)
        return city_agreed(city, &j->replica, j->points, j->n_points, &j->agreed, err);
    ret = grant(j, city, err);
    job->wrote = ret != 0;
    return ret;
}

static void tell_identity(struct identity_job *j, int ret)
{
    const struct authorities *a = j->authorities;
    struct server_event ev = conn_event(j->conn, SERVER_IDENTITY);
    struct slice der[TRUST_MAX], endorsement = buf_slice(&a->endorsement);

    for (unsigned i = 0; i < a->n; i++)
        der[i] = buf_slice(&a->der[i]);
    ev.identity.agrees = j->agreed > 0;
    ev.identity.agreed_n = j->agreed > 0 ? j->points[j->agreed - 1].n : 0;
    ev.identity.k = ret == 0 ? j->k : 0;
    ev.identity.issued = (struct server_issued){.ret = ret,
                                                .certificate = buf_slice(&j->der),
                                                .authorities = der,
                                                .endorsements = &endorsement,
                                                .n_authorities = a->n};
    conn_step(j->conn, &ev);
}

static void log_granted(const struct identity_job *j, int ret)
{
    char was[ID_TEXT_SIZE], is[ID_TEXT_SIZE];

    id_format(&j->replica, was);
    id_format(&j->successor, is);
    if (ret == 0)
        log_warning("session %llu: identity in use twice, or restored from a backup -> new one given"
                    " replica=%s successor=%s site=%u k=%u agreed_n=%llu",
                    (unsigned long long)j->conn->no, was, is, j->site, j->k,
                    (unsigned long long)j->points[0].n);
    else
        log_warning("session %llu: new identity not given code=%s replica=%s",
                    (unsigned long long)j->conn->no, err_code(ret), was);
}

static void identity_done(struct write_job *job)
{
    struct identity_job *j = (struct identity_job *)job;
    struct conn *c = j->conn;
    int ret = job->ret == 0 && j->cert != NULL ? cert_to_der(j->cert, &j->der) : job->ret;

    if (j->csr.len > 0)
        log_granted(j, ret);
    c->held++;
    tell_identity(j, ret);
    c->held--;
    authorities_unref(j->authorities);
    cert_free(j->cert);
    buf_release(&j->csr);
    buf_release(&j->der);
    mem_free(j);
    conn_job_done(c);
}

static void take_points(struct identity_job *j, const Ztc__NewIdentity *m)
{
    j->n_points = m->n_points;
    for (size_t i = 0; i < m->n_points; i++) {
        j->points[i].n = m->points[i]->n;
        memcpy(j->points[i].chain, m->points[i]->chain.data, HASH_SIZE);
    }
}

int conn_identity(struct conn *c, const Ztc__NewIdentity *m)
{
    struct identity_job *j = mem_calloc(1, sizeof *j);

    if (j == NULL)
        return E_NOMEM;
    j->job = (struct write_job){.run = run_identity, .done = identity_done, .impatient = true,
                                .changes = 1};
    j->conn = c;
    j->authorities = authorities_ref(c->port->authorities);
    j->replica = c->session.replica;
    j->site = c->session.site;
    j->acked_n = c->session.acked_n;
    take_points(j, m);
    buf_init(&j->csr, WIRE_DER_MAX);
    buf_init(&j->der, WIRE_DER_MAX);
    if (m->has_csr) {
        memcpy(j->successor.b, m->replica.data, ID_SIZE);
        buf_put(&j->csr, m->csr.data, m->csr.len);
    } else {
        j->job.reads = true;
    }
    c->jobs++;
    writer_submit(c->port->writer, &j->job);
    return 0;
}
