/* The lines of the control socket, read: a request and an answer, a JSON object each.
 *
 *   {"cmd":"deed","argv":["add",…]}   {"cmd":"status","json":true}   {"cmd":"stop"}
 *   {"code":null|"ZT-…","message":null|"…","stdout":"…","detail":"…"} */
#ifndef ZTC_SERVER_CONTROL_JSON_H
#define ZTC_SERVER_CONTROL_JSON_H

#include "common/base/buf.h"
#include "common/base/err.h"

#include <stdbool.h>

enum control_what { CONTROL_DEED, CONTROL_STATUS, CONTROL_STOP };

struct control_request {
    enum control_what what;
    bool json;
    int argc;
    char **argv; /* NULL-terminated; owned, as is what it points to */
};

/* E_MALFORMED, E_NOMEM. On 0 it is to be released. */
int control_request_parse(struct slice line, struct control_request *ret);
void control_request_release(struct control_request *r);

/* The failure told in the answer goes to ERR and is returned; what was printed is appended. */
int control_answer_parse(struct slice line, struct buf *out, struct buf *detail, struct err *err);

#endif
