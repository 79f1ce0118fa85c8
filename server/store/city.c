/* The city's store: opening, groups and signed heads. */
#include "server/store/city.h"

#include "common/base/mem.h"
#include "common/crypto/hash.h"
#include "server/store/city_internal.h"

#include <string.h>

extern const char embed_0101_city[];
extern const char embed_0102_certificate[];
extern const char embed_0103_statement[];
extern const char embed_0104_quarantine[];
extern const char embed_0105_blob[], embed_0106_repair[], embed_0107_successor[], embed_0108_recover[],
    embed_0109_bundle[], embed_0110_bundle_blobs[], embed_0111_went_back[];

#define ACT_ARENA_MAX (64u << 20)
#define HEAD_MAX      256u

/* The place ?1 of a replica, and the same place of all that were made out of it since: a refusal that was kept aside
 * then stands there as a copy, marked 2, and what becomes of the one becomes of the others. */
#define WITH_COPIES                                                                                \
    "WITH RECURSIVE line (no) AS (SELECT ?1 >> 40 UNION SELECT r.no FROM replica r JOIN line l"    \
    " ON r.predecessor = l.no WHERE r.predecessor <> 0 AND r.base >= (?1 & 1099511627775)),"       \
    " copy (pos) AS (SELECT (no << 40) + (?1 & 1099511627775) FROM line) "
#define IS_COPY "pos IN (SELECT pos FROM copy) AND (pos = ?1 OR quarantined = 2)"

static const char *const statements[CS_COUNT] = {
    [CS_REPLICA_BY_ID] = "SELECT no, id, site, k, state, serial, fingerprint, accepted_n, own_chain,"
                         " enrolled_at, seen_at, skew_ms, said_n, said_acked_n,"
                         " said_waiting, said_refused, said_attachments, software, predecessor, base,"
                         " (SELECT p.id FROM replica p WHERE p.no = replica.predecessor)"
                         " FROM replica WHERE id = ?1",
    [CS_REPLICA_EACH] = "SELECT no, id, site, k, state, serial, fingerprint, accepted_n, own_chain,"
                        " enrolled_at, seen_at, skew_ms, said_n, said_acked_n,"
                        " said_waiting, said_refused, said_attachments, software, predecessor, base,"
                         " (SELECT p.id FROM replica p WHERE p.no = replica.predecessor)"
                        " FROM replica ORDER BY site, k",
    [CS_REPLICA_ADD] = "INSERT INTO replica (id, site, k, state, serial, fingerprint, accepted_n,"
                       " own_chain, enrolled_at, seen_at, skew_ms, said_n, said_waiting, software)"
                       " VALUES (?1, ?2, ?3, 0, ?4, ?5, 0, ?6, ?7, 0, 0, 0, 0, '')",
    [CS_REPLICA_ANSWERED] = "UPDATE replica SET accepted_n = ?2, own_chain = ?3 WHERE no = ?1",
    /* What becomes of a replica becomes of all that were made out of it. */
    [CS_REPLICA_STATE] =
        "WITH RECURSIVE line (no) AS (SELECT no FROM replica WHERE id = ?1 UNION SELECT r.no"
        " FROM replica r JOIN line l ON r.predecessor = l.no WHERE r.predecessor <> 0)"
        " UPDATE replica SET state = CASE WHEN id = ?1 THEN ?2 ELSE max(state, ?2) END"
        " WHERE no IN line",
    [CS_REPLICA_RETIRE] = "UPDATE replica SET state = max(state, ?2) WHERE id = ?1",
    [CS_REPLICA_HEARD] = "UPDATE replica SET seen_at = ?2, skew_ms = ?3, said_n = ?4,"
                         " said_acked_n = ?5, said_waiting = ?6, said_refused = ?7,"
                         " said_attachments = ?8, software = ?9 WHERE id = ?1",
    [CS_REPLICA_COUNT] = "SELECT count(*) FROM replica WHERE site = ?1",
    [CS_PROCESSED_PUT] = "INSERT INTO processed (pos, seq, chain) VALUES (?1, ?2, ?3)",
    [CS_PROCESSED_GET] = "SELECT seq, chain FROM processed WHERE pos = ?1",
    [CS_REFUSAL_PUT] = "INSERT INTO refusal (pos, last_n, at_n, code, text, quarantined, bytes)"
                       " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    [CS_REFUSAL_EACH] = "SELECT pos, last_n, at_n, code, text, quarantined FROM refusal"
                        " WHERE pos BETWEEN ?1 AND ?2 AND (until_n IS NULL OR last_n > ?3"
                        " OR EXISTS (SELECT 1 FROM refusal_again a WHERE a.pos = refusal.pos)) ORDER BY pos",
    [CS_REFUSAL_ACK] = "UPDATE refusal SET until_n = ?2 WHERE pos = ?1 AND until_n IS NULL",
    [CS_REFUSED_PUT] = "INSERT OR IGNORE INTO refused_record (no, record, first_n, created)"
                       " VALUES (?1, ?2, ?3, ?4)",
    [CS_REFUSED_FIND] = "SELECT max(f.created), min(r.quarantined) FROM refused_record f JOIN refusal r"
                        " ON r.pos = (f.no << 40) + f.first_n"
                        " WHERE f.no = ?1 AND f.record = ?2 AND (r.until_n IS NULL OR r.until_n >= ?3)",
    [CS_REFUSED_ANY] = "SELECT EXISTS (SELECT 1 FROM refused_record WHERE no = ?1)",
    [CS_TOKEN_PUT] = "INSERT INTO token (secret_hash, site, expires_at) VALUES (?1, ?2, ?3)",
    [CS_TOKEN_GET] = "SELECT site, expires_at, used_at FROM token WHERE secret_hash = ?1",
    [CS_TOKEN_USE] = "UPDATE token SET used_at = ?2 WHERE secret_hash = ?1",
    [CS_COUNTER_GET] = "SELECT last FROM counter WHERE series = ?1",
    [CS_COUNTER_PUT] = "INSERT INTO counter (series, last) VALUES (?1, ?2)"
                       " ON CONFLICT (series) DO UPDATE SET last = excluded.last",
    [CS_TOKEN_COUNT] = "SELECT count(*) FROM token WHERE used_at IS NULL AND expires_at > ?1",
    [CS_KEPT_NEXT] = "SELECT pos, last_n, at_n, text, bytes FROM refusal"
                     " WHERE quarantined = 1 AND pos BETWEEN ?1 AND ?2 ORDER BY pos LIMIT 1",
    [CS_PROCESSED_RELEASE] = WITH_COPIES "UPDATE processed SET seq = ?2 WHERE pos IN (SELECT pos FROM copy)",
    [CS_REFUSAL_GONE] = WITH_COPIES "DELETE FROM refusal WHERE " IS_COPY,
    [CS_REFUSED_GONE] = WITH_COPIES
        "DELETE FROM refused_record WHERE (no << 40) + first_n IN (SELECT pos FROM copy)",
    [CS_REFUSAL_DROP] = WITH_COPIES "UPDATE refusal SET quarantined = 0, code = ?2, text = ?3 WHERE " IS_COPY,
    [CS_REFUSAL_AGAIN] = WITH_COPIES
        "INSERT OR IGNORE INTO refusal_again (pos) SELECT pos FROM refusal WHERE " IS_COPY,
    [CS_REFUSAL_TOLD] = "DELETE FROM refusal_again WHERE pos = ?1",
    [CS_SUCCESSOR_ADD] =
        "INSERT INTO replica (id, site, k, state, serial, fingerprint, accepted_n, own_chain,"
        " enrolled_at, seen_at, skew_ms, said_n, said_waiting, software, predecessor, base)"
        " VALUES (?1, ?2, ?3, 0, ?4, ?5, ?6, ?7, ?8, 0, 0, 0, 0, '', ?9, ?6)",
    [CS_SUCCESSOR_COUNT] =
        "SELECT count(*) FROM replica WHERE site = ?1 AND predecessor <> 0 AND state = 0",
    [CS_SUCCESSOR_PROCESSED] =
        "INSERT INTO processed (pos, seq, chain) SELECT pos + ((?2 - ?1) << 40), seq, chain"
        " FROM processed WHERE pos BETWEEN ?1 << 40 AND (?1 << 40) + ?3",
    [CS_SUCCESSOR_REFUSAL] =
        "INSERT INTO refusal (pos, last_n, at_n, code, text, quarantined, bytes)"
        " SELECT pos + ((?2 - ?1) << 40), last_n, at_n, code, text,"
        " CASE WHEN quarantined THEN 2 ELSE 0 END, x'' FROM refusal"
        " WHERE pos BETWEEN ?1 << 40 AND (?1 << 40) + ?3 AND last_n <= ?3"
        " AND (until_n IS NULL OR last_n > ?4 OR EXISTS"
        " (SELECT 1 FROM refusal_again a WHERE a.pos = refusal.pos))",
    [CS_SUCCESSOR_REFUSED] =
        "INSERT INTO refused_record (no, record, first_n, created) SELECT ?2, record, first_n, created"
        " FROM refused_record f WHERE no = ?1 AND first_n <= ?3 AND EXISTS"
        " (SELECT 1 FROM refusal r WHERE r.pos = (?2 << 40) + f.first_n)",
    [CS_REPLICA_FIRST] =
        "WITH RECURSIVE line (no, id, predecessor) AS (SELECT no, id, predecessor FROM replica"
        " WHERE no = ?1 UNION SELECT r.no, r.id, r.predecessor FROM replica r JOIN line l"
        " ON r.no = l.predecessor) SELECT id FROM line WHERE predecessor = 0",
    [CS_SUCCESSOR_EACH] =
        "WITH RECURSIVE line (no, id) AS (SELECT no, id FROM replica WHERE id = ?1 UNION SELECT r.no,"
        " r.id FROM replica r JOIN line l ON r.predecessor = l.no WHERE r.predecessor <> 0)"
        " SELECT id FROM line WHERE id <> ?1",
    [CS_WENT_BACK_PUT] = "INSERT OR REPLACE INTO went_back (no, stream, seq, n) VALUES (?1, ?2, ?3, ?4)",
    [CS_WENT_BACK_GET] = "SELECT min(seq) FROM went_back WHERE no = ?1 AND stream = ?2 AND n >= ?3",
    [CS_BUNDLE_GET] = "SELECT hello, certificate, at, renewed, renewed_until, renewed_print, given_at, blobs FROM bundle"
                      " WHERE no = ?1",
    [CS_BUNDLE_PUT] = "INSERT OR REPLACE INTO bundle (no, hello, certificate, at, renewed,"
                      " renewed_until, renewed_print, given_at, blobs)"
                      " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    [CS_CERT_GET] = "SELECT serial, fingerprint, key, authority, not_after FROM certificate"
                    " WHERE no = ?1 AND next = ?2",
    [CS_CERT_PUT] = "INSERT OR REPLACE INTO certificate (no, next, serial, fingerprint, key,"
                    " authority, not_after) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    [CS_CERT_DROP] = "DELETE FROM certificate WHERE no = ?1 AND next = 1",
    [CS_LIFE_PUT] = "INSERT INTO life (incarnation, ended_at, why) VALUES (?1, ?2, ?3)",
    [CS_LIFE_END] = "INSERT INTO life_end (incarnation, stream, seq)"
                    " SELECT incarnation, ?1, ?2 FROM life WHERE closed_at IS NULL",
    [CS_LIFE_CLOSE] = "UPDATE life SET closed_at = ?1, closed_by = ?2 WHERE closed_at IS NULL",
    /* One that this store never heard of (restored twice) ended no later than the last it knows. */
    [CS_LIFE_ENDED] = "SELECT coalesce((SELECT seq FROM life_end WHERE incarnation = ?1 AND"
                      " stream = ?2), (SELECT e.seq FROM life_end e JOIN life l ON"
                      " l.incarnation = e.incarnation WHERE e.stream = ?2"
                      " ORDER BY l.ended_at DESC LIMIT 1), 0)",
    [CS_LIFE_LAST] = "SELECT why FROM life ORDER BY ended_at DESC LIMIT 1",
    [CS_HEARD_PUT] = "INSERT INTO heard (no, at) VALUES (?1, ?2)"
                     " ON CONFLICT (no) DO UPDATE SET at = excluded.at",
    [CS_HEARD_GET] = "SELECT at FROM heard WHERE no = ?1",
    [CS_SHOWN_PUT] = "INSERT INTO shown (stream, seq, no, at) VALUES (?1, ?2, ?3, ?4)"
                     " ON CONFLICT (stream) DO UPDATE SET seq = excluded.seq, no = excluded.no,"
                     " at = excluded.at WHERE excluded.seq > seq",
    [CS_SHOWN_GET] = "SELECT seq FROM shown WHERE stream = ?1",
    [CS_PROCESSED_ADOPT] = "INSERT INTO processed (pos, seq, chain) VALUES (?1, 0, ?2)"
                           " ON CONFLICT (pos) DO UPDATE SET chain = excluded.chain",
    [CS_PROCESSED_FOUND] = "INSERT INTO processed (pos, seq, chain) VALUES (?1, ?2, ?3)"
                           " ON CONFLICT (pos) DO UPDATE SET seq = excluded.seq, chain ="
                           " CASE WHEN length(excluded.chain) > 0 THEN excluded.chain ELSE chain END",
    [CS_REFILL_PUT] = "INSERT OR REPLACE INTO refill (no, pos, received_at, verdict, bytes, side)"
                      " VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    [CS_REFILL_EACH] = "SELECT pos, received_at, verdict, bytes, side FROM refill"
                       " WHERE no = ?1 AND pos BETWEEN ?2 AND ?3 ORDER BY pos",
    [CS_REFILL_DROP] = "DELETE FROM refill WHERE no = ?1",
    [CS_COUNTER_RAISE] = "INSERT INTO counter (series, last) VALUES (?1, ?2) ON CONFLICT (series)"
                         " DO UPDATE SET last = excluded.last WHERE excluded.last > last",
    [CS_CERT_USED] = "UPDATE replica SET serial = ?2, fingerprint = ?3 WHERE no = ?1",
};

static const struct store_step city_steps[] = {
    {"0101_city", embed_0101_city},
    {"0102_certificate", embed_0102_certificate},
    {"0103_statement", embed_0103_statement},
    {"0104_quarantine", embed_0104_quarantine},
    {"0105_blob", embed_0105_blob},
    {"0106_repair", embed_0106_repair},
    {"0107_successor", embed_0107_successor},
    {"0108_recover", embed_0108_recover},
    {"0109_bundle", embed_0109_bundle},
    {"0110_bundle_blobs", embed_0110_bundle_blobs},
    {"0111_went_back", embed_0111_went_back},
    {NULL, NULL},
};

/* ---- opening ---- */

static int get_id(struct store *s, const char *name, struct id *ret, struct err *err)
{
    struct arena a;
    struct slice v;
    int status;

    arena_init(&a, 4096);
    status = store_meta_get(s, name, &a, &v, err);
    if (status == 0 && v.len == ID_SIZE)
        memcpy(ret->b, v.p, ID_SIZE);
    else if (status == 0)
        status = err_set(err, E_CORRUPT, NULL);
    arena_release(&a);
    return status;
}

static void add_stream(struct city *c, const struct stream_head *h)
{
    struct city_stream *s = &c->streams[c->n_streams++];

    *s = (struct city_stream){.now = *h, .committed = *h};
    buf_init(&s->head, HEAD_MAX);
    buf_init(&s->signature, HEAD_MAX);
    buf_init(&s->next_head, HEAD_MAX);
    buf_init(&s->next_signature, HEAD_MAX);
}

struct loading {
    struct city *city;
    struct err *err;
};

static int on_stream(void *ctx, const struct stream_head *h)
{
    const struct loading *l = ctx;

    if (l->city->n_streams == CITY_STREAMS_MAX)
        return err_set(l->err, E_CORRUPT, "数据库中的数据流多于 %u 个", CITY_STREAMS_MAX);
    add_stream(l->city, h);
    return 0;
}

/* Into next_head and next_signature: nobody sees them before show_head. */
static int sign_head(struct city *c, struct city_stream *s, struct err *err)
{
    struct head h = {.ledger = c->ledger,
                     .incarnation = c->incarnation,
                     .stream = s->now.stream,
                     .seq = s->now.seq};
    struct buf message;
    int ret = store_digest_root(c->store, h.stream, h.root, err);

    if (ret != 0)
        return ret;
    h.has_root = true;
    memcpy(h.hash, s->now.hash, HASH_SIZE);
    buf_init(&message, HEAD_MAX);
    head_to_sign(&message, &h);
    buf_clear(&s->next_head);
    buf_clear(&s->next_signature);
    head_encode(&s->next_head, &h);
    ret = message.ret != 0 ? message.ret : s->next_head.ret;
    if (ret == 0)
        ret = c->signer.sign(c->signer.ctx, buf_slice(&message), &s->next_signature);
    buf_release(&message);
    return ret == 0 ? 0 : err_set(err, ret, "签名失败：%s", err_text(ret));
}

static void show_head(struct city_stream *s)
{
    struct buf head = s->head;
    struct buf signature = s->signature;

    s->head = s->next_head;
    s->signature = s->next_signature;
    s->next_head = head;
    s->next_signature = signature;
    s->head_seq = s->now.seq;
}

static int load_streams(struct city *c, struct err *err)
{
    struct loading l = {c, err};
    int ret = store_stream_each(c->store, on_stream, &l, err);

    for (unsigned i = 0; ret == 0 && i < c->n_streams; i++) {
        ret = sign_head(c, &c->streams[i], err);
        if (ret == 0)
            show_head(&c->streams[i]);
    }
    return ret;
}

static int prepare(struct city *c, struct err *err)
{
    c->known = mem_calloc(KNOWN_SLOTS, sizeof *c->known);
    c->exists = mem_calloc(catalogue_n_kinds, sizeof(sqlite3_stmt *));
    if (c->known == NULL || c->exists == NULL)
        return err_set(err, E_NOMEM, NULL);
    c->db = store_db(c->store);
    for (unsigned i = 0; i < CS_COUNT; i++) {
        int ret = sql_prepare(c->db, statements[i], &c->st[i], err);

        if (ret != 0)
            return ret;
    }
    return 0;
}

static struct city *new_city(const struct city_options *o)
{
    struct city *c = mem_calloc(1, sizeof *c);

    if (c == NULL)
        return NULL;
    c->random = o->random;
    c->signer = o->signer;
    c->verifier = o->verifier;
    c->vault = o->vault;
    c->hasher = o->hasher;
    c->on_act = o->on_act;
    c->on_act_ctx = o->on_act_ctx;
    arena_init(&c->arena, ACT_ARENA_MAX);
    return c;
}

static int open_store(struct city *c, const char *path, const struct city_options *o, bool create,
                      struct err *err)
{
    struct store_options so = {.track_seqs = true,
                               .create = create,
                               .vfs = o->vfs,
                               .steps = city_steps,
                               .vault = o->vault};
    int ret = store_open(path, &so, &c->store, err);

    return ret != 0 ? ret : prepare(c, err);
}

int city_open(const char *path, const struct city_options *o, struct city **ret, struct err *err)
{
    struct city *c = new_city(o);
    int64_t alg = 0, stale = 0;
    int status;

    *ret = NULL;
    if (c == NULL)
        return err_set(err, E_NOMEM, NULL);
    status = open_store(c, path, o, false, err);
    if (status == 0)
        status = get_id(c->store, "ledger", &c->ledger, err);
    if (status == 0)
        status = get_id(c->store, "incarnation", &c->incarnation, err);
    if (status == 0)
        status = store_meta_number(c->store, "hash", 0, &alg, err);
    if (status == 0 && c->hasher == NULL)
        c->hasher = hasher_of((enum hash_alg)alg);
    if (status == 0 && c->hasher == NULL)
        status = err_set(err, E_VERSION, "不认识数据库所用的校验算法");
    if (status == 0)
        status = city_digest_first(c, err);
    if (status == 0)
        status = load_streams(c, err);
    if (status == 0)
        status = store_meta_number(c->store, STORE_STALE, 0, &stale, err);
    if (status == 0 && stale != 0) {
        status = city_rebuild(c, err);
        if (status == 0)
            status = store_meta_put_int(c->store, STORE_STALE, 0, err);
    }
    if (status == 0)
        status = city_read_life(c, err);
    if (status == 0 && o->heads != NULL)
        status = heads_open(o->heads, &c->heads, err);
    if (status == 0 && o->marker != NULL)
        status = marker_open(o->marker, &c->marker, err);
    if (status != 0) {
        city_close(c);
        return status;
    }
    *ret = c;
    return 0;
}

static const uint32_t first_streams[] = {STREAM_SHARED, STREAM_CITY, 431000, 431002, 431003,
                                         431021,        431022,      431023, 431024, 431025,
                                         431026,        431027,      431028, 431081};

_Static_assert(sizeof first_streams / sizeof *first_streams <= CITY_STREAMS_MAX, "a city has room for them");

static int start_streams(struct city *c, struct err *err)
{
    int ret = 0;

    for (size_t i = 0; ret == 0 && i < sizeof first_streams / sizeof *first_streams; i++) {
        struct stream_head h = {.stream = first_streams[i], .incarnation = c->incarnation};

        chain_start(c->hasher, h.stream, &c->ledger, h.hash);
        ret = store_stream_put(c->store, &h, err);
        add_stream(c, &h);
    }
    return ret;
}

static int put_identity(struct city *c, struct err *err)
{
    int ret;

    random_fill(&c->random, c->ledger.b, ID_SIZE);
    random_fill(&c->random, c->incarnation.b, ID_SIZE);
    ret = store_meta_put(c->store, "ledger", (struct slice){c->ledger.b, ID_SIZE}, err);
    if (ret == 0)
        ret = store_meta_put(c->store, "incarnation", (struct slice){c->incarnation.b, ID_SIZE}, err);
    return ret != 0 ? ret : store_meta_put_int(c->store, "hash", (int64_t)c->hasher->alg, err);
}

int city_create(const char *path, const struct city_options *o, const char *term_name,
                struct err *err)
{
    struct city *c = new_city(o);
    int64_t alg = 0;
    int ret;

    if (c == NULL)
        return err_set(err, E_NOMEM, NULL);
    ret = open_store(c, path, o, true, err);
    if (ret == 0)
        ret = store_meta_number(c->store, "hash", 0, &alg, err);
    if (ret == 0 && alg != 0)
        ret = err_set(err, E_EXISTS, "%s 已经建好，没有改动", path);
    if (ret == 0)
        ret = city_begin(c, o->now, err);
    if (ret == 0)
        ret = put_identity(c, err);
    if (ret == 0)
        ret = start_streams(c, err);
    if (ret == 0)
        ret = city_seed(c, term_name, err);
    if (ret == 0)
        ret = city_commit(c, err);
    city_rollback(c);
    city_close(c);
    return ret;
}

void city_close(struct city *c)
{
    if (c == NULL)
        return;
    for (unsigned i = 0; i < CS_COUNT; i++)
        (void)sqlite3_finalize(c->st[i]); /* repeats an old result, as below */
    for (unsigned i = 0; c->exists != NULL && i < catalogue_n_kinds; i++)
        (void)sqlite3_finalize(c->exists[i]);
    for (unsigned i = 0; i < c->n_streams; i++) {
        buf_release(&c->streams[i].head);
        buf_release(&c->streams[i].signature);
        buf_release(&c->streams[i].next_head);
        buf_release(&c->streams[i].next_signature);
    }
    arena_release(&c->arena);
    marker_close(c->marker);
    heads_close(c->heads);
    setting_table_release(&c->setting_rows);
    mem_free(c->exists);
    mem_free(c->known);
    store_close(c->store);
    mem_free(c);
}

struct store *city_store(struct city *c)
{
    return c->store;
}

const struct hasher *city_hasher(const struct city *c)
{
    return c->hasher;
}

struct id city_ledger(const struct city *c)
{
    return c->ledger;
}

struct id city_incarnation(const struct city *c)
{
    return c->incarnation;
}

struct city_stream *city_stream(struct city *c, uint32_t stream)
{
    for (unsigned i = 0; i < c->n_streams; i++) {
        if (c->streams[i].now.stream == stream)
            return &c->streams[i];
    }
    return NULL;
}

int city_head(struct city *c, uint32_t stream, struct slice *ret_head, struct slice *ret_signature,
              uint64_t *ret_seq)
{
    struct city_stream *s = city_stream(c, stream);

    if (s == NULL)
        return E_NOTFOUND;
    *ret_head = buf_slice(&s->head);
    *ret_signature = buf_slice(&s->signature);
    *ret_seq = s->head_seq;
    return 0;
}

/* ---- groups ---- */

int city_begin(struct city *c, msec_t now, struct err *err)
{
    int ret = store_begin(c->store, err);

    if (ret != 0)
        return ret;
    c->now = now;
    c->in_group = true;
    c->n_advanced = 0;
    c->settings_read = false;
    return 0;
}

void city_forget(struct city *c)
{
    memset(c->known, 0, KNOWN_SLOTS * sizeof *c->known);
    c->n_actors = 0;
    c->n_counters = 0;
    c->settings_read = false;
    c->replica.no = 0;
    c->replica_ahead = false;
}

/* Signed before the commit, which must be the last thing that can fail: what is durable is answered. */
static int put_heads(struct city *c, struct err *err)
{
    int ret = 0;

    for (unsigned i = 0; ret == 0 && i < c->n_streams; i++) {
        if (!c->streams[i].advanced)
            continue;
        ret = sign_head(c, &c->streams[i], err);
        if (ret == 0)
            ret = store_stream_put(c->store, &c->streams[i].now, err);
    }
    return ret;
}

int city_commit(struct city *c, struct err *err)
{
    int ret = city_replica_keep(c, err);

    if (ret == 0)
        ret = put_heads(c, err);
    if (ret == 0)
        ret = store_commit(c->store, err);
    if (ret != 0) {
        city_rollback(c);
        return ret;
    }
    c->in_group = false;
    for (unsigned i = 0; i < c->n_streams; i++) {
        struct city_stream *s = &c->streams[i];

        if (!s->advanced)
            continue;
        s->advanced = false;
        s->committed = s->now;
        c->advanced[c->n_advanced++] = s->now.stream;
        show_head(s);
    }
    c->committed_life = (struct city_life){c->incarnation, c->recovering, c->restored};
    if (c->n_advanced > 0)
        city_file_heads(c);
    return 0;
}

void city_rollback(struct city *c)
{
    if (!c->in_group)
        return;
    c->in_group = false;
    store_rollback(c->store);
    city_forget(c);
    c->incarnation = c->committed_life.incarnation;
    c->recovering = c->committed_life.recovering;
    c->restored = c->committed_life.restored;
    for (unsigned i = 0; i < c->n_streams; i++) {
        struct city_stream *s = &c->streams[i];

        s->now = s->committed; /* not read from the file: that could fail just now */
        s->advanced = false;
    }
}

void city_listen(struct city *c, void (*appended)(void *ctx, const struct entry *e), void *ctx)
{
    c->appended = appended;
    c->appended_ctx = ctx;
}

const uint32_t *city_advanced(const struct city *c, size_t *ret_n)
{
    *ret_n = c->n_advanced;
    return c->advanced;
}
