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
    X(SNAPSHOT, "streams begun with a snapshot")                                                   \
    X(SLICE, "slices of snapshots taken in")                                                       \
    X(SLICE_ON, "snapshots gone on with in another session")                                       \
    X(HISTORY, "pieces of older history taken in")                                                 \
    X(EARLY_ACT, "acts tried while a snapshot was being loaded")                                   \
    X(TAKEN_IN_LOST, "power cuts that took entries from a replica, had again")                                                            \
    X(STALL, "connection that delivers nothing more")                                              \
    X(OFFLINE, "replica left offline for long")                                                    \
    X(VOID, "records voided")                                                                      \
    X(FORWARDED, "submissions sent up")                                                            \
    X(NAMED, "records that entries name, there before them")                                       \
    X(LIVE, "entries pushed to a waiting replica")                                                 \
    X(POWER_MIDWAY, "power cuts in the middle of a write")                                         \
    X(LOST, "chunks lost on the way")                                                              \
    X(DELAYED, "chunks delayed")                                                                   \
    X(TWICE, "chunks that came twice")                                                             \
    X(CORRUPTED, "chunks corrupted, refused by TLS")                                               \
    X(GARBAGE, "garbage that reached the frame reader")                                            \
    X(HALF_OPEN, "connections half open")                                                          \
    X(PARTITION, "partitions both ways")                                                           \
    X(ONE_WAY, "partitions one way")                                                               \
    X(UNREACHED, "connection attempts that reached nobody")                                        \
    X(FULL_CITY, "disk full at the city")                                                          \
    X(FULL_COUNTY, "disk full at a county")                                                        \
    X(IO_CITY, "I/O errors at the city")                                                           \
    X(IO_COUNTY, "I/O errors at a county")                                                         \
    X(RETRIED, "groups the city's store took at a later try")                                      \
    X(NOT_KEPT, "acts that a county's disk did not take")                                          \
    X(CLOCK_CITY, "the city's clock jumped")                                                       \
    X(CLOCK_COUNTY, "a county's clock jumped")                                                     \
    X(WATCHDOG, "sessions ended by a deadline")                                                    \
    X(RESTORED, "replicas set up again from a backup, taken for what they are")                    \
    X(FOUND_OUT, "replicas set up again from a backup and found out")                              \
    X(CLONED, "disks copied, both going on")                                                       \
    X(SUCCEEDED, "replicas that became another")                                                   \
    X(CARRIED, "changes carried over to who it became")                                            \
    X(GRANTED_AGAIN, "new identities asked for again, the answer lost")                            \
    X(DAMAGED, "rows of a replica damaged on its disk")                                            \
    X(COMPARED, "questions about tables answered")                                                 \
    X(REPAIRED, "repairs noted by the city")                                                       \
    X(ATTACHED, "files attached")                                                                  \
    X(TEXT_FIRST, "records at the city before their files")                                        \
    X(BLOB_CHUNK, "chunks of files taken in by the city")                                          \
    X(BLOB_ON, "uploads gone on with in the middle of a file")                                     \
    X(BLOB_CORRUPT, "files that failed their check at the city")                                   \
    X(BLOB_HELD, "files verified at the city")                                                     \
    X(BLOB_LOST, "files reported lost")                                                            \
    X(FETCHED, "files fetched")                                                                    \
    X(FETCH_ON, "fetches gone on with in the middle of a file")                                    \
    X(FETCH_DENIED, "files of other sites asked for, denied") \
    X(PUT_BACK, "city put back from a backup")                                                     \
    X(FROZEN, "city put back unknowingly, frozen by a head it had signed")                          \
    X(REFILLED, "refills taken by a recovering city")                                              \
    X(FORGED, "forged refills refused")                                                            \
    X(WHOLE, "recoveries closed with everything back")                                             \
    X(MISSING, "recoveries closed with something missing")                                         \
    X(NEW_WORK, "refills that found new work in their places")                              \
    X(STRAGGLER, "stragglers of a life that was over")                                             \
    X(LATE_ACT, "acts appended as recovered")                                                      \
    X(GONE_BACK, "replicas that went back to where a life ended")                                  \
    X(ADOPTED, "answers of a lost life taken on a replica's word") \
    X(DECLARED_LOST, "computers declared lost")                                                    \
    X(RETIRED, "computers retired")                                                                \
    X(TURNED_AWAY, "sessions of such computers that ended for good")                               \
    X(SWITCHED_OFF, "accounts switched off")                                                       \
    X(KEPT_ASIDE, "acts kept aside for a decision")                                                \
    X(RELEASED, "acts released")                                                                   \
    X(NOT_RELEASED, "acts that could not be released any more")                                    \
    X(DROPPED_ACT, "acts dropped")                                                                 \
    X(OLD_CITY, "cities that began with an older program")                                         \
    X(HELD_BACK, "changes that waited for the city's upgrade")                                     \
    X(UNKNOWN, "entries that counties of an older program do not know")                            \
    X(BUNDLE_UP, "bundles taken in by the city")                                                   \
    X(BUNDLE_DOWN, "bundles taken in at counties")                                                 \
    X(BUNDLE_LOST, "bundles lost")                                                                 \
    X(BUNDLE_STALE, "bundles that brought a county nothing new")                                   \
    X(BUNDLE_CHANGE, "changes that came to the city in bundles")                                   \
    X(BUNDLE_HEALED, "offices that came to the end by bundles alone")

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

struct world_result {
    uint64_t counts[SIM_EVENT_KINDS];
    uint64_t trace;  /* of everything that happened, in its order; of several worlds the sum */
    msec_t healing;  /* from the end of the faults until nothing was left to do; the longest */
    char why[1024];  /* the failure; empty: none */
};

/* Run one seed to its end, judge it and add to RET. Non-zero: it failed. */
int world_run(const struct world_options *o, struct world_result *ret);

/* Before the first world: the beginning that all of them share. */
int world_prepare(char why[1024]);
void world_release(void);

#endif
