/* A simulated world under one seed: a city, counties' replicas, a network and a clock, all real code but
 * the wires. One event at a time; the same seed gives the same run. */
#ifndef ZTC_SIM_WORLD_H
#define ZTC_SIM_WORLD_H

#include "client/core/session.h"
#include "client/store/replica.h"
#include "server/core/session.h"
#include "server/store/city.h"

#define REPLICAS_MAX 5u
#define RECORDS_MAX  20u
#define EDITS_MAX    8192u

/* What may happen, counted; a run over many seeds must meet each. X(constant, text) */
#define SIM_EVENTS(X)                                                                              \
    X(CONNECT, "connections")                                                                      \
    X(CUT, "connections cut")                                                                      \
    X(LATE_CLOSE, "old connection outlived by a new one")                                          \
    X(ACT, "acts made at counties")                                                                \
    X(CITY_ACT, "acts made at the city")                                                           \
    X(LOCAL_REFUSED, "acts refused where they were typed")                                         \
    X(MULTI, "acts of several changes")                                                            \
    X(PUSHED, "acts answered")                                                                     \
    X(REFUSED, "acts refused by the city")                                                         \
    X(AFTER, "acts that fell with a refusal")                                                      \
    X(CONFLICT, "conflicts opened")                                                                \
    X(RESOLVED, "conflicts resolved")                                                              \
    X(CRASH_CITY, "city crashed")                                                                  \
    X(CRASH_BEFORE_COMMIT, "city crashed before its commit")                                       \
    X(CRASH_AFTER_COMMIT, "city crashed between commit and echo")                                  \
    X(CRASH_REPLICA, "replica crashed")                                                            \
    X(POWER_CUT, "crashes with the power cut")                                                     \
    X(DROPPED, "power cuts that lost writes not synced")                                           \
    X(TORN, "power cuts that tore writes not synced")                                              \
    X(TAKEN_IN_LOST, "power cuts that took entries from a replica, had again")                                                            \
    X(STALL, "connection that delivers nothing more")                                              \
    X(OFFLINE, "replica left offline for long")                                                    \
    X(VOID, "records voided")                                                                      \
    X(FORWARDED, "submissions sent up")                                                            \
    X(LIVE, "entries pushed to a waiting replica")

enum sim_event {
#define X(name, text) SIM_##name,
    SIM_EVENTS(X)
#undef X
    SIM_EVENT_KINDS
};

extern const char *const sim_event_text[SIM_EVENT_KINDS];

struct world;

struct world_options {
    uint64_t seed;
    bool verbose; /* narrate on standard output */
    unsigned acts;
    unsigned faults;
};

/* Run one seed to its end and judge it. 0, or non-zero with the failure in WHY. */
int world_run(const struct world_options *o, uint64_t counts[SIM_EVENT_KINDS], char why[1024]);

/* Before the first world: the beginning that all of them share. */
int world_prepare(char why[1024]);
void world_release(void);

#endif
