/* What the files of the judge share. */
#ifndef ZTC_SERVER_JUDGE_INTERNAL_H
#define ZTC_SERVER_JUDGE_INTERNAL_H

#include "server/core/judge.h"

/* A record the act has looked at; dirty once a change applied. */
struct held {
    struct row *row;
    const struct row *before; /* as it was loaded, when dirty; NULL: the act created it */
    bool dirty;
    struct held *next; /* same bucket */
};

#define HELD_BUCKETS 64u
#define STREAMS_MAX  24u /* shared, city, 12 sites, and room */

struct judge {
    struct arena *a;
    const struct judge_facts *facts;
    const struct act *act;
    struct judgement *out;
    struct lookup lookup;     /* over `held` and facts->lookup */
    struct held *held[HELD_BUCKETS];
    size_t n_dirty;
    struct {
        uint32_t stream;
        uint64_t seq; /* planned so far */
    } streams[STREAMS_MAX];
    unsigned n_streams;
    size_t cap_entries;
};

/* ---- judge_rows.c ---- */

void rows_init(struct judge *j);

/* The record as it stands within the act, or NULL. */
int rows_get(struct judge *j, const struct kind *kind, const struct id *id, struct row **ret);

/* A record created by the act. */
int rows_add(struct judge *j, struct row *row);

/* ROW, held since it was loaded, is about to change; BEFORE is a copy of it in the act's arena. */
void rows_touch(struct judge *j, const struct row *row, const struct row *before);

/* Every touched record into the judgement. */
int rows_collect(struct judge *j);

/* ---- judge_change.c ---- */

/* Judge one change and append its entry; BYTES and SIDE are the author's, or NULL for a change made
 * here, which is completed and encoded. Then the rules. */
int judge_change(struct judge *j, struct change *c, const struct slice *bytes,
                 const struct slice *side, const uint8_t *hash, const struct actor *actor,
                 struct row **ret_row);

/* The next seq of a stream, planned. E_INTERNAL when the act touches too many. */
int judge_next_seq(struct judge *j, uint32_t stream, uint64_t *ret_seq);

/* Fill in stream, site, serial and presets of a creation made at the city. */
int judge_complete(struct judge *j, struct change *c, uint32_t site);

/* ---- judge_conflict.c ---- */

/* The conflicts of an entry become records by `system`, in the same stream. */
int judge_conflicts(struct judge *j, const struct row *row, uint64_t later_seq,
                    const struct merge_result *merged);

/* CHILD, which C created at SEQ, may have met the voiding of a parent that its author had not seen. */
int judge_orphan(struct judge *j, const struct row *child, const struct change *c, uint64_t seq);

/* A rule that honest replicas break together: one conflict for the record. */
int judge_clash(struct judge *j, const struct row *row, uint32_t tag, uint64_t seq);

/* The entry at SEQ of a record's STREAM is of the act's own author: of this act, or of its replica. City
 * users share a replica; none of them saw what another wrote. */
bool judge_is_own(const struct judge *j, uint32_t stream, uint64_t seq);

/* Nothing may pass under a seal that its author did not see: own fields, child rows, open
 * conflicts. 0 or E_CONFLICT. */
int judge_seal(struct judge *j, const struct row *row, const struct change *c);

#endif
