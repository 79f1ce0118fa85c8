/* Between session.c (states, time, output) and session_recv.c (one function a frame kind). */
#ifndef ZTC_CLIENT_SESSION_INTERNAL_H
#define ZTC_CLIENT_SESSION_INTERNAL_H

#include "client/core/session.h"

void client_session_move(struct client_session *s, enum client_state to, msec_t now);

/* Begin to close without a word; what waits is dropped, the next session gets it again. */
void client_session_close(struct client_session *s, const struct client_event *ev,
                          struct client_update *up, int cause, enum client_close how);

/* Say Bye with the code of CAUSE and begin to close. */
void client_session_fail(struct client_session *s, const struct client_event *ev,
                         struct client_update *up, int cause);

/* A frame of the city, before CLOSING. */
void client_session_recv(struct client_session *s, const struct client_event *ev,
                         struct client_update *up);

/* Hand the first waiting frame to the store, when it is free. */
void client_session_take_in(struct client_session *s, const struct client_event *ev,
                            struct client_update *up);

/* Something moved. */
void client_session_progress(struct client_session *s, msec_t now);

/* ---- blob.c ---- */

int client_blob_recv_want(struct client_session *s, const struct client_event *ev);
int client_blob_recv_chunk(struct client_session *s, const struct client_event *ev,
                           struct client_update *up);
int client_blob_recv_done(struct client_session *s, const struct client_event *ev,
                          struct client_update *up);
void client_blob_answered(struct client_session *s, const struct client_event *ev,
                          struct client_update *up);

/* There may be something to do, or (on ending) nothing any more. */
void client_blob_look(struct client_session *s);
void client_blob_forget(struct client_session *s);

/* At the end of a step. QUIET: nothing else waits for the line. */
void client_blob_go_on(struct client_session *s, const struct client_event *ev,
                       struct client_update *up, bool quiet);

/* When a lane that is off tries again; 0: none is. */
msec_t client_blob_retry(const struct client_session *s);

/* When the city's silence about an attachment is too long; 0: it owes nothing. */
msec_t client_blob_due(const struct client_session *s);

struct client_stream *client_session_stream(struct client_session *s, uint32_t stream);

/* Say Bye in order and begin to close; CAUSE is for ourselves. */
void client_session_leave(struct client_session *s, const struct client_event *ev,
                          struct client_update *up, int cause);

/* ---- snapshot.c ---- */

void client_snapshot_head(struct client_stream *t, const Ztc__SignedHead *h);
void client_snapshot_want(struct client_session *s, struct client_update *up);
bool client_snapshot_due(const struct client_session *s); /* records are to come */
int client_snapshot_recv_slice(struct client_session *s, const Ztc__Slice *m,
                               struct client_update *up);
int client_snapshot_recv_history(struct client_session *s, const Ztc__History *m,
                                 struct client_update *up);
/* What the store answered; 0, or why the session must end. */
int client_snapshot_begun(struct client_session *s, const struct client_event *ev);
int client_snapshot_stored(struct client_session *s, const struct client_event *ev);
/* ---- digest.c ---- */

void client_digest_init(struct client_session *s);
void client_digest_end(struct client_session *s); /* the session ends */
bool client_digest_busy(const struct client_session *s);

/* The tables of STREAM (0: none) are not what the city signed. */
void client_digest_differs(struct client_session *s, uint32_t stream);

void client_digest_want(struct client_session *s, struct client_update *up);
void client_digest_take_in(struct client_session *s, const struct client_event *ev,
                           struct client_update *up);

/* F must not be handed to the store yet. */
bool client_digest_blocks(const struct client_session *s, const Ztc__Frame *f);

void client_digest_compared(struct client_session *s, const struct client_event *ev,
                            struct client_update *up);
void client_digest_answered(struct client_session *s, const struct client_event *ev,
                            struct client_update *up);
int client_digest_recv_tell(struct client_session *s, const struct client_event *ev);
int client_digest_recv_rows(struct client_session *s, const struct client_event *ev);
int client_digest_recv_repaired(struct client_session *s, const struct client_event *ev,
                                struct client_update *up);

/* ---- identity.c ---- */

/* The own changes are not those that the city has up to ACCEPTED_N. */
void client_identity_begin(struct client_session *s, const struct client_event *ev,
                           struct client_update *up, uint64_t accepted_n);
void client_identity_want(struct client_session *s, struct client_update *up);
void client_identity_points(struct client_session *s, const struct client_event *ev,
                            struct client_update *up);
int client_identity_recv(struct client_session *s, const struct client_event *ev,
                         struct client_update *up);
void client_identity_taken(struct client_session *s, const struct client_event *ev,
                           struct client_update *up);

/* What was to be taken in is dropped. */
void client_session_forget_work(struct client_session *s);

/* ---- refill.c ---- */

void client_refill_start(struct client_session *s, const struct client_event *ev,
                         struct client_update *up);
int client_refill_recv_ask(struct client_session *s, const struct client_event *ev,
                           struct client_update *up);
void client_refill_loaded(struct client_session *s, const struct client_event *ev,
                          struct client_update *up);
int client_refill_recv_back(struct client_session *s, const struct client_event *ev,
                            struct client_update *up);
void client_refill_gone_back(struct client_session *s, const struct client_event *ev,
                             struct client_update *up);

/* ---- renew.c ---- */

int client_renew_welcome(struct client_session *s, const Ztc__Welcome *m, msec_t now);
void client_renew_due(struct client_session *s);
void client_renew_want(struct client_session *s, struct client_update *up);
void client_renew_request(struct client_session *s, const struct client_event *ev,
                          struct client_update *up);
int client_renew_recv(struct client_session *s, const Ztc__Renewed *m, struct client_update *up);
void client_renew_stored(struct client_session *s, const struct client_event *ev,
                         struct client_update *up);

#endif
