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

struct client_stream *client_session_stream(struct client_session *s, uint32_t stream);

#endif
