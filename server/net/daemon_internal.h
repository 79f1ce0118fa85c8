/* What the files of the daemon share. */
#ifndef ZTC_SERVER_DAEMON_INTERNAL_H
#define ZTC_SERVER_DAEMON_INTERNAL_H

#include "server/net/daemon.h"
#include "server/net/uv_control.h"
#include "server/net/uv_enrol_port.h"
#include "server/net/uv_sync_port.h"

#define LISTEN_SIZE 320

struct daemon {
    const struct daemon_options *o;
    uv_loop_t loop;
    struct net *net;
    struct authorities *authorities;
    struct tls_config *sync_tls, *enrol_tls;
    struct writer *writer;
    struct reader *reader;
    struct sync_port *sync;
    struct enrol_port *enrol;
    struct control *control;
    uv_signal_t sigterm, sigint;
    uv_timer_t drain; /* looks whether sessions are gone */
    uint64_t drain_until;
    bool stopping;
    unsigned open; /* parts still closing, of the present step */
    struct buf log_key;
    char listen[LISTEN_SIZE], enrol_listen[LISTEN_SIZE], told[LISTEN_SIZE];
    msec_t started;
};

/* Begin to end; later calls do nothing. */
void daemon_stop(struct daemon *d);

/* The CAs as they are on disk now, for connections and certificates from now on; open sessions go on. */
int daemon_reload(struct daemon *d, struct err *err);

/* A request at the control socket; CTX is the daemon. */
void daemon_control(void *ctx, struct control_call *call, struct slice line);

/* CALL's answer: OUT is what was printed, DETAIL further members of a failure's object; NULL: nothing. */
void daemon_answer(struct control_call *call, int ret, const struct err *err, struct buf *out,
                   struct buf *detail);
void daemon_answer_error(struct control_call *call, int ret, const char *text);

/* Answers by itself, later. */
void daemon_status(struct daemon *d, struct control_call *call, bool json);

#endif
