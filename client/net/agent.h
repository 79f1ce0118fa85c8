/* The county's side of the network: enrolment, the agent that keeps a replica in step with the city,
 * and one synchronisation on demand. Each runs a loop of its own until it is done. */
#ifndef ZTC_CLIENT_AGENT_H
#define ZTC_CLIENT_AGENT_H

#include "common/base/cal.h"
#include "common/base/err.h"
#include "common/base/id.h"

#include <stdint.h>

struct agent_enrolled {
    struct id replica, ledger, clerk; /* clerk: the record of the site's first account */
    uint32_t site, k;                 /* this is the site's k-th computer */
    uint64_t city_time;
};

/* Use a token: make keys, ask the city named in it, write every file of DIR (made if missing, 0700) and
 * an empty replica. E_EXISTS: DIR holds a replica already; E_TOKEN; E_UNREACHABLE; E_AUTH (not the city that made the token). */
int agent_enrol(const char *dir, const char *token, struct agent_enrolled *ret, struct err *err);

/* Keep DIR's replica in step until SIGTERM or SIGINT. E_BUSY: another agent does; E_NOTFOUND: not
 * enrolled. A reason that only a person can mend (E_REVOKED, E_FORK …) is logged and kept in the status;
 * the agent stays and tries again rarely. Live state is kept in the replica's file (agent_state …). */
int agent_run(const char *dir, struct err *err);

/* Until everything made here is answered and everything the city has is taken in: 已全部上传. While an
 * agent runs it does the work and this waits for it. WITHIN: milliseconds without any progress after
 * which it gives up. E_WAITING (something is refused or waits for a person), E_UNREACHABLE, E_TIMEOUT,
 * and the city's refusals (E_REVOKED, E_AUTH …). */
int agent_sync(const char *dir, msec_t within, struct err *err);

/* ---- live state, small named values of the replica's file ---- */

#define AGENT_META_STATE "agent_state" /* client_state_name(), "waiting" between attempts, "stopped" */
#define AGENT_META_CAUSE "agent_cause" /* ZT-… of the last end, or why an open session does not move */
#define AGENT_META_WHY   "agent_why"   /* the Chinese sentence to it; both empty: none */
#define AGENT_META_SINCE "agent_since" /* ms, wall clock: when the state was entered */
#define AGENT_META_MOVED "agent_moved" /* ms, wall clock: when a change, an answer or an entry last moved */
#define AGENT_META_NEXT  "agent_next"  /* ms, wall clock: the next attempt to connect; 0: none is due */
#define AGENT_META_HEADS "agent_heads" /* be32 stream ‖ be64 seq, repeated: of the last Welcome or later */
#define AGENT_META_CITY_TIME "agent_city_time" /* ms: the latest city time known; judges certificates */
#define AGENT_META_ASK "agent_ask"             /* a command wants a fresh session: any new number … */
#define AGENT_META_ANSWERED "agent_answered"   /* … which stands here when that session has settled */
#define AGENT_META_BYTES "agent_bytes" /* of attachments, moved in the present session */
#define AGENT_META_COUNTED "agent_counted" /* ms, wall clock: when its rows were last counted */
#define AGENT_META_SYNCED "agent_synced" /* ms, wall clock: when last up to date */

#endif
