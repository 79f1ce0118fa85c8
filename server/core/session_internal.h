/* Between session.c (states, time, output) and session_recv.c (one function a frame kind). */
#ifndef ZTC_SERVER_SESSION_INTERNAL_H
#define ZTC_SERVER_SESSION_INTERNAL_H

#include "server/core/session.h"

void server_session_move(struct server_session *s, enum server_state to);

/* Say Bye with the code of CAUSE and begin to close. */
void server_session_fail(struct server_session *s, const struct server_event *ev,
                         struct server_update *up, int cause);

/* Wait for the writer, from NOW on, if there is anything to wait for. */
void server_session_await_merge(struct server_session *s, msec_t now);

/* The session's place of a stream; NULL when it is none of the replica's. */
struct server_stream *server_session_stream(struct server_session *s, uint32_t stream);

/* A frame of the peer, in GREETING or SERVING. */
void server_session_recv(struct server_session *s, const struct server_event *ev,
                         struct server_update *up);

/* ---- digest.c ---- */

int server_digest_recv_ask(struct server_session *s, const struct server_event *ev,
                           struct server_update *up);
int server_digest_recv_repaired(struct server_session *s, const struct server_event *ev,
                                struct server_update *up);

/* Something was asked and is not answered: no batch is read. */
bool server_digest_busy(const struct server_session *s);
void server_digest_told(struct server_session *s, const struct server_event *ev,
                        struct server_update *up);
void server_digest_noted(struct server_session *s, const struct server_event *ev,
                         struct server_update *up);

/* Where the next batch of entries ends at the latest. */
uint64_t server_digest_upto(const struct server_stream *t);

/* ---- renew.c ---- */

int server_session_recv_renew(struct server_session *s, const struct server_event *ev,
                              struct server_update *up);
void server_session_renewed(struct server_session *s, const struct server_event *ev,
                            struct server_update *up);
void server_session_offer(struct server_session *s, struct server_update *up);

/* The message's pointers lie in what the caller gives: WIRE_TRUSTED_MAX of each. */
void server_session_fill_renewed(const struct server_issued *issued, Ztc__Renewed *m,
                                 ProtobufCBinaryData *authorities,
                                 ProtobufCBinaryData *endorsements);

/* ---- identity.c ---- */

int server_session_recv_identity(struct server_session *s, const struct server_event *ev,
                                 struct server_update *up);
void server_session_identity(struct server_session *s, const struct server_event *ev,
                             struct server_update *up);

/* Say Bye and begin to close. */
void server_session_bye(struct server_session *s, const struct server_event *ev,
                        struct server_update *up, int cause, uint32_t retry_after);

/* ---- refill.c ---- */

void server_refill_start(struct server_session *s, const struct server_event *ev,
                         struct server_update *up);
int server_refill_recv(struct server_session *s, const struct server_event *ev,
                       struct server_update *up);
void server_refill_taken(struct server_session *s, const struct server_event *ev,
                         struct server_update *up);

/* ---- blob.c ---- */

int server_blob_recv_have(struct server_session *s, const struct server_event *ev,
                          struct server_update *up);
int server_blob_recv_chunk(struct server_session *s, const struct server_event *ev,
                           struct server_update *up);
int server_blob_recv_done(struct server_session *s, const struct server_event *ev,
                          struct server_update *up);
int server_blob_recv_want(struct server_session *s, const struct server_event *ev,
                          struct server_update *up);
void server_blob_answered(struct server_session *s, const struct server_event *ev,
                          struct server_update *up);

/* At the end of a step. QUIET: nothing else waits for the line. */
void server_blob_go_on(struct server_session *s, const struct server_event *ev,
                       struct server_update *up, bool quiet);

/* When the store or the disk must have answered; 0: nothing is asked of them. */
msec_t server_blob_due(const struct server_session *s);

/* ---- snapshot.c ---- */

int server_snapshot_recv_ask(struct server_session *s, const struct server_event *ev,
                             struct server_update *up);
int server_snapshot_recv_history_ask(struct server_session *s, const struct server_event *ev,
                                     struct server_update *up);
void server_snapshot_slice(struct server_session *s, const struct server_event *ev,
                           struct server_update *up);
void server_snapshot_history(struct server_session *s, const struct server_event *ev,
                             struct server_update *up);

#endif
