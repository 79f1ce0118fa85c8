/* The own pending changes over the stream's rows.
 *
 *   stream ──> base row ──> pending n1 ──> pending n2 ──> what the tables show
 *
 * A record without pending changes is its own base. The first pending change of a record that exists
 * moves a copy into `base_row`; entries are applied to that copy and the pending changes laid over it
 * again (rebase); when none is left the base becomes the row. */
#include "client/store/replica_internal.h"

#include "common/ledger/apply.h"
#include "common/ledger/row_code.h"

#include <string.h>

#define REST_SEALED 0x80u

/* ---- at rest ---- */

int rest_seal(struct replica *r, struct slice plain, bool secret, struct slice seed,
              struct slice *ret, struct err *err)
{
    const struct vault *vault = r->keys.vault;

    *ret = plain.len == 0 ? (struct slice){NULL, 0} : plain;
    if (!secret || vault == NULL || plain.len == 0)
        return 0;
    buf_clear(&r->scratch);
    buf_u8(&r->scratch, REST_SEALED);
    if (vault->seal(vault->ctx, plain, seed, &r->scratch) != 0 || r->scratch.ret != 0)
        return err_set(err, r->scratch.ret == E_NOMEM ? E_NOMEM : E_INTERNAL, "个人信息加密失败");
    *ret = buf_slice(&r->scratch);
    return 0;
}

int rest_open(struct replica *r, struct arena *a, struct slice rest, struct slice *ret,
              struct err *err)
{
    const struct vault *vault = r->keys.vault;

    if (rest.len > 0 && rest.p[0] == REST_SEALED) {
        buf_clear(&r->scratch);
        if (vault == NULL ||
            vault->open(vault->ctx, (struct slice){rest.p + 1, rest.len - 1}, &r->scratch) != 0)
            return err_set(err, E_CORRUPT, "个人信息解密失败（密钥文件不符或数据损坏）");
        rest = buf_slice(&r->scratch);
    }
    *ret = (struct slice){arena_dup(a, rest.p, rest.len), rest.len};
    return ret->p != NULL ? 0 : err_set(err, E_NOMEM, NULL);
}

/* ---- own changes ---- */

static int read_own(struct replica *r, struct arena *a, sqlite3_stmt *st, struct own_change *ret,
                    struct err *err)
{
    struct slice hash = sql_blob(st, 4);

    ret->n = (uint64_t)sqlite3_column_int64(st, 0);
    ret->first_n = (uint64_t)sqlite3_column_int64(st, 1);
    if (hash.len != HASH_SIZE)
        return err_set(err, E_CORRUPT, "本机第 %llu 项更改的校验值不完整",
                       (unsigned long long)ret->n);
    memcpy(ret->hash, hash.p, HASH_SIZE);
    ret->bytes = sql_blob_dup(st, 2, a);
    if (ret->bytes.p == NULL)
        return err_set(err, E_NOMEM, NULL);
    return rest_open(r, a, sql_blob(st, 3), &ret->side, err);
}

int own_change_get(struct replica *r, struct arena *a, uint64_t n, struct own_change *ret,
                   struct err *err)
{
    static const enum replica_stmt where[] = {RS_PENDING_GET, RS_REFUSED_CHANGE_GET};

    for (int i = 0; i < 2; i++) {
        sqlite3_stmt *st = r->st[where[i]];
        int status;

        sql_bind_int(st, 1, (int64_t)n);
        status = sql_step(st, err);
        if (status == 1) {
            status = read_own(r, a, st, ret, err);
            sql_done(st);
            ret->refused = i == 1;
            return status;
        }
        if (status != 0)
            return status;
    }
    return E_NOTFOUND;
}

int own_change_read(struct arena *a, uint64_t n, struct slice bytes, struct slice side,
                    struct change *ret, struct err *err)
{
    int status = change_decode(a, bytes, side, ret);

    if (status == 0)
        return 0;
    if (status == E_NOMEM)
        return err_set(err, status, NULL);
    return err_set(err, E_CORRUPT, "本机第 %llu 项更改已损坏", (unsigned long long)n);
}

int overlay_changes(struct replica *r, struct arena *a, const struct id *record,
                    struct change **ret, size_t *ret_n, struct err *err)
{
    sqlite3_stmt *st = r->st[RS_PENDING_OF];
    struct change *changes = NULL;
    size_t n = 0, cap = 0;
    int status;

    sql_bind_id(st, 1, record);
    while ((status = sql_step(st, err)) == 1) {
        struct slice bytes = sql_blob_dup(st, 1, a);
        struct slice side;

        if (n == cap) {
            struct change *more = arena_alloc(a, (cap = cap * 2 + 2) * sizeof *more);

            if (more != NULL && n > 0)
                memcpy(more, changes, n * sizeof *more);
            changes = more;
        }
        status = changes == NULL || bytes.p == NULL ? err_set(err, E_NOMEM, NULL)
                                                    : rest_open(r, a, sql_blob(st, 2), &side, err);
        if (status == 0)
            status = own_change_read(a, (uint64_t)sqlite3_column_int64(st, 0), bytes, side,
                                     &changes[n], err);
        if (status != 0)
            break;
        n++;
    }
    sql_done(st);
    *ret = changes;
    *ret_n = n;
    return status;
}

/* ---- base rows ---- */

static bool has_pii(const struct row *row)
{
    for (unsigned i = 0; i < row->kind->n_fields; i++) {
        if (row->kind->fields[i].vanish == VANISH_PII && row->values[i].type == V_TEXT)
            return true;
    }
    return false;
}

int overlay_keep_base(struct replica *r, const struct row *row, struct err *err)
{
    sqlite3_stmt *st = r->st[RS_BASE_PUT];
    struct slice rest;
    int ret;

    buf_clear(&r->bytes);
    buf_put(&r->bytes, row->id.b, ID_SIZE); /* the seed is id and row, the row follows the id */
    row_encode(&r->bytes, row);
    if (r->bytes.ret != 0)
        return err_set(err, r->bytes.ret, NULL);
    ret = rest_seal(r, (struct slice){r->bytes.p + ID_SIZE, r->bytes.len - ID_SIZE}, has_pii(row),
                    buf_slice(&r->bytes), &rest, err);
    if (ret != 0)
        return ret;
    sql_bind_id(st, 1, &row->id);
    sql_bind_int(st, 2, row->kind->tag);
    sql_bind_blob(st, 3, rest);
    return sql_run(st, err);
}

static int read_base(struct arena *a, struct slice bytes, const struct kind *kind,
                     const struct id *id, struct row **ret, struct err *err)
{
    int status = row_decode(a, bytes, ret);

    if (status == E_NOMEM)
        return err_set(err, status, NULL);
    if (status != 0 || (*ret)->kind != kind || !id_eq(&(*ret)->id, id))
        return err_set(err, E_CORRUPT, "%s的底稿已损坏", kind->label);
    return 0;
}

static int kept_base(struct replica *r, struct arena *a, const struct kind *kind,
                     const struct id *id, struct row **ret, struct err *err)
{
    sqlite3_stmt *st = r->st[RS_BASE_GET];
    struct slice bytes;
    int status;

    *ret = NULL;
    sql_bind_id(st, 1, id);
    status = sql_step(st, err);
    if (status == 1) {
        status = rest_open(r, a, sql_blob(st, 0), &bytes, err);
        if (status == 0)
            status = read_base(a, bytes, kind, id, ret, err);
    }
    sql_done(st);
    return status;
}

static int drop_base(struct replica *r, const struct id *id, struct err *err)
{
    sql_bind_id(r->st[RS_BASE_DEL], 1, id);
    return sql_run(r->st[RS_BASE_DEL], err);
}

int overlay_pending(struct replica *r, const struct id *id, struct err *err)
{
    sqlite3_stmt *st = r->st[RS_PENDING_HAS];
    int status;

    sql_bind_id(st, 1, id);
    status = sql_step(st, err);
    sql_done(st);
    return status;
}

int overlay_base(struct replica *r, struct arena *a, const struct kind *kind, const struct id *id,
                 struct row **ret, bool *ret_covered, struct err *err)
{
    int status = overlay_pending(r, id, err);

    *ret = NULL;
    if (status < 0)
        return status;
    *ret_covered = status == 1;
    return *ret_covered ? kept_base(r, a, kind, id, ret, err)
                        : store_row_get(r->store, a, kind, id, ret, err);
}

/* ---- laying ---- */

/* A change of a record that is not there (its creation was refused) shows nothing, and stays pending
 * until the city refuses it too. */
static int lay_one(struct arena *a, const struct kind *kind, const struct change *c,
                   struct row **row)
{
    if (*row == NULL && c->op == OP_CREATE) {
        *row = row_new(a, kind, &c->record);
        if (*row == NULL)
            return E_NOMEM;
    }
    return *row == NULL ? 0 : apply_pending(a, *row, c);
}

static int show(struct replica *r, const struct kind *kind, const struct id *id,
                const struct row *row, struct err *err)
{
    return row != NULL ? store_row_put(r->store, row, err)
                       : store_row_delete(r->store, kind, id, err);
}

int overlay_lay(struct replica *r, struct arena *a, const struct kind *kind, const struct id *id,
                struct row *base, struct err *err)
{
    struct change *changes;
    struct row *row = base;
    size_t n;
    int ret = overlay_changes(r, a, id, &changes, &n, err);

    if (ret != 0)
        return ret;
    ret = n > 0 && base != NULL ? overlay_keep_base(r, base, err) : drop_base(r, id, err);
    for (size_t i = 0; ret == 0 && i < n; i++) {
        ret = lay_one(a, kind, &changes[i], &row);
        if (ret != 0)
            return err_set(err, ret, NULL);
    }
    return ret == 0 ? show(r, kind, id, row, err) : ret;
}
