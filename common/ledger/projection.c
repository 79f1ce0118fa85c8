/* The tables of current state: one typed table a kind, generated from the catalogue, and rows in and
 * out of them.
 *
 * Numbers are INTEGER, text, codes and sets TEXT, ids BLOB. A value that can vanish may stand as a BLOB
 * instead: a type byte (V_SEALED, V_ERASED, or 0x80 for pii under the side's own key), then bytes. */
#include "common/base/mem.h"
#include "common/ledger/apply.h"
#include "common/ledger/store_internal.h"

#include <string.h>

#define SQL_MAX (256u * 1024u)

static const char *const header_columns[] = {
    "rid BLOB PRIMARY KEY",
    "stream INTEGER NOT NULL",
    "created_seq INTEGER NOT NULL",
    "seq INTEGER NOT NULL",
    "created_at INTEGER NOT NULL",
    "created_by BLOB NOT NULL",
    "updated_at INTEGER NOT NULL",
    "updated_by BLOB NOT NULL",
    "unknown BLOB",
    "seqs BLOB",
    "pending INTEGER NOT NULL",
};

static const char *const header_names[] = {"rid",        "stream",     "created_seq", "seq",
                                           "created_at", "created_by", "updated_at",  "updated_by",
                                           "unknown",    "seqs",       "pending"};

bool projection_has_column(const struct field *f)
{
    return f->stored;
}

static bool is_number(const struct field *f)
{
    switch (f->type) {
    case FT_INT:
    case FT_DECIMAL:
    case FT_MONEY:
    case FT_BOOL:
    case FT_YEAR:
        return true;
    default:
        return false;
    }
}

static bool is_id(const struct field *f)
{
    return f->type == FT_REF || f->type == FT_RID || f->type == FT_REFS || f->type == FT_FILES;
}

static const char *column_type(const struct field *f)
{
    return is_number(f) ? "INTEGER" : is_id(f) ? "BLOB" : "TEXT";
}

/* ---- schema ---- */

static void create_table(struct buf *out, const struct kind *kind)
{
    buf_printf(out, "CREATE TABLE IF NOT EXISTS \"%s\" (", kind->name);
    for (unsigned i = 0; i < COL_FIRST_FIELD; i++)
        buf_printf(out, "%s%s", i == 0 ? "" : ", ", header_columns[i]);
    for (unsigned i = 0; i < kind->n_fields; i++) {
        const struct field *f = &kind->fields[i];

        if (projection_has_column(f))
            buf_printf(out, ", \"%s\" %s", f->name, column_type(f));
    }
    buf_str(out, ");\n");
}

static void create_indexes(struct buf *out, const struct kind *kind)
{
    for (unsigned i = 0; i < kind->n_fields; i++) {
        const struct field *f = &kind->fields[i];

        if (projection_has_column(f) && f->indexed)
            buf_printf(out,
                       "CREATE INDEX IF NOT EXISTS \"%s_%s\" ON \"%s\" (\"%s\")"
                       " WHERE \"%s\" IS NOT NULL;\n",
                       kind->name, f->name, kind->name, f->name, f->name);
    }
}

static void quote(struct buf *out, char mark, const char *text)
{
    buf_u8(out, (uint8_t)mark);
    for (; *text != '\0'; text++) {
        if (*text == mark)
            buf_u8(out, (uint8_t)mark);
        buf_u8(out, (uint8_t)*text);
    }
    buf_u8(out, (uint8_t)mark);
}

static void view_column(struct buf *out, const struct kind *kind, const struct field *f)
{
    const struct code_table *codes = f->tag == TAG_STATE ? kind->states : f->codes;

    buf_str(out, ", ");
    if (codes != NULL && f->type != FT_SET) {
        buf_printf(out, "CASE \"%s\"", f->name);
        for (unsigned i = 0; i < codes->n_codes; i++) {
            buf_str(out, " WHEN ");
            quote(out, '\'', codes->codes[i].code);
            buf_str(out, " THEN ");
            quote(out, '\'', codes->codes[i].label);
        }
        buf_printf(out, " ELSE \"%s\" END", f->name);
    } else if (is_id(f)) {
        buf_printf(out, "lower(hex(\"%s\"))", f->name);
    } else {
        buf_printf(out, "\"%s\"", f->name);
    }
    buf_str(out, " AS ");
    quote(out, '"', f->label);
}

/* Codes as labels, under Chinese column titles, for any SQLite tool. */
static void create_view(struct buf *out, const struct kind *kind)
{
    buf_printf(out, "DROP VIEW IF EXISTS \"v_%s\"; CREATE VIEW \"v_%s\" AS SELECT lower(hex(rid)) AS rid",
               kind->name, kind->name);
    for (unsigned i = 0; i < kind->n_fields; i++) {
        if (projection_has_column(&kind->fields[i]))
            view_column(out, kind, &kind->fields[i]);
    }
    buf_printf(out, " FROM \"%s\";\n", kind->name);
}

/* A newer catalogue adds fields: columns are added, never removed. */
static int add_missing_columns(struct store *s, const struct kind *kind, struct err *err)
{
    static const char query[] = "SELECT 1 FROM pragma_table_info(?1) WHERE name = ?2";
    sqlite3_stmt *st;
    struct buf ddl;
    int ret = sql_prepare(s->db, query, &st, err);

    if (ret != 0)
        return ret;
    buf_init(&ddl, SQL_MAX);
    for (unsigned i = 0; ret >= 0 && i < kind->n_fields; i++) {
        const struct field *f = &kind->fields[i];

        if (!projection_has_column(f))
            continue;
        sql_bind_text(st, 1, slice_str(kind->name));
        sql_bind_text(st, 2, slice_str(f->name));
        ret = sql_step(st, err);
        sql_done(st);
        if (ret == 0)
            buf_printf(&ddl, "ALTER TABLE \"%s\" ADD COLUMN \"%s\" %s;", kind->name, f->name,
                       column_type(f));
    }
    (void)sqlite3_finalize(st); /* repeats the result of the step */
    ret = ret < 0 ? ret : ddl.ret;
    if (ret == 0 && ddl.len > 0)
        ret = sql_exec(s->db, buf_cstr(&ddl), err);
    buf_release(&ddl);
    return ret;
}

/* The catalogue the tables were made for, 0 for a new file. */
static int catalogue_stored(sqlite3 *db, struct err *err)
{
    sqlite3_stmt *st;
    int ret = sql_prepare(db, "SELECT value FROM meta WHERE name = 'catalogue'", &st, err);

    if (ret != 0)
        return ret;
    ret = sql_step(st, err);
    if (ret == 1)
        ret = sqlite3_column_int(st, 0);
    (void)sqlite3_finalize(st); /* repeats the result of the step */
    return ret;
}

int projection_migrate(struct store *s, struct err *err)
{
    struct buf ddl;
    int ret = catalogue_stored(s->db, err);
    bool was_other = ret > 0;

    if (ret < 0 || ret == CATALOGUE_VERSION)
        return ret < 0 ? ret : 0;
    ret = 0;
    buf_init(&ddl, SQL_MAX);
    for (unsigned i = 0; i < catalogue_n_kinds && ret == 0; i++) {
        const struct kind *kind = catalogue_kinds[i];

        if (kind->stream == STREAM_RULE_NONE)
            continue;
        buf_clear(&ddl);
        create_table(&ddl, kind);
        ret = ddl.ret != 0 ? ddl.ret : sql_exec(s->db, buf_cstr(&ddl), err);
        if (ret == 0)
            ret = add_missing_columns(s, kind, err);
        buf_clear(&ddl);
        create_indexes(&ddl, kind);
        create_view(&ddl, kind);
        if (ret == 0)
            ret = ddl.ret != 0 ? ddl.ret : sql_exec(s->db, buf_cstr(&ddl), err);
        if (ret != 0)
            ret = err_wrap(err, ret, "台账 %s 的表", kind->label);
    }
    buf_clear(&ddl);
    buf_printf(&ddl, "INSERT INTO meta (name, value) VALUES ('catalogue', %d)"
                     " ON CONFLICT (name) DO UPDATE SET value = excluded.value", CATALOGUE_VERSION);
    if (was_other) /* the log may hold kinds and fields that had no place until now */
        buf_str(&ddl, "; INSERT OR REPLACE INTO meta (name, value) VALUES ('" STORE_STALE "', 1)");
    if (ret == 0)
        ret = ddl.ret != 0 ? ddl.ret : sql_exec(s->db, buf_cstr(&ddl), err);
    buf_release(&ddl);
    return ret;
}

/* ---- generated statements ---- */

void projection_columns(struct buf *out, const struct kind *kind)
{
    for (unsigned i = 0; i < COL_FIRST_FIELD; i++)
        buf_printf(out, "%s%s", i == 0 ? "" : ", ", header_names[i]);
    for (unsigned i = 0; i < kind->n_fields; i++) {
        if (projection_has_column(&kind->fields[i]))
            buf_printf(out, ", \"%s\"", kind->fields[i].name);
    }
}

static void add_text(struct buf *out, const struct kind *kind)
{
    unsigned n = COL_FIRST_FIELD;

    buf_printf(out, "INSERT INTO \"%s\" (", kind->name);
    projection_columns(out, kind);
    for (unsigned i = 0; i < kind->n_fields; i++)
        n += projection_has_column(&kind->fields[i]);
    buf_str(out, ") VALUES (");
    for (unsigned i = 1; i <= n; i++)
        buf_printf(out, "%s?%u", i == 1 ? "" : ", ", i);
    buf_u8(out, ')');
}

static void put_text(struct buf *out, const struct kind *kind)
{
    unsigned n = COL_FIRST_FIELD;

    add_text(out, kind);
    buf_str(out, " ON CONFLICT (rid) DO UPDATE SET ");
    for (unsigned i = 1; i < COL_FIRST_FIELD; i++)
        buf_printf(out, "%s%s = ?%u", i == 1 ? "" : ", ", header_names[i], i + 1);
    for (unsigned i = 0; i < kind->n_fields; i++) {
        if (projection_has_column(&kind->fields[i]))
            buf_printf(out, ", \"%s\" = ?%u", kind->fields[i].name, ++n);
    }
}

static void get_text(struct buf *out, const struct kind *kind)
{
    buf_str(out, "SELECT ");
    projection_columns(out, kind);
    buf_printf(out, " FROM \"%s\" WHERE rid = ?1", kind->name);
}

static void del_text(struct buf *out, const struct kind *kind)
{
    buf_printf(out, "DELETE FROM \"%s\" WHERE rid = ?1", kind->name);
}

static void any_text(struct buf *out, const struct kind *kind)
{
    buf_printf(out, "SELECT 1 FROM \"%s\" LIMIT 1", kind->name);
}

struct kind_sql *projection_kind(struct store *s, const struct kind *kind)
{
    for (unsigned i = 0; i < catalogue_n_kinds; i++) {
        if (catalogue_kinds[i] == kind)
            return &s->kinds[i];
    }
    return NULL;
}

static int prepare_kind(struct store *s, const struct kind *kind, sqlite3_stmt **st,
                        void (*text)(struct buf *, const struct kind *), struct err *err)
{
    struct buf sql;
    int ret;

    if (*st != NULL)
        return 0;
    buf_init(&sql, SQL_MAX);
    text(&sql, kind);
    ret = sql.ret != 0 ? err_set(err, sql.ret, NULL)
                       : sql_prepare(s->db, buf_cstr(&sql), st, err);
    buf_release(&sql);
    return ret;
}

void projection_release(struct store *s)
{
    for (unsigned i = 0; s->kinds != NULL && i < catalogue_n_kinds; i++) {
        struct kind_sql *k = &s->kinds[i];

        (void)sqlite3_finalize(k->get); /* repeats an old result, as below */
        (void)sqlite3_finalize(k->put);
        (void)sqlite3_finalize(k->add);
        (void)sqlite3_finalize(k->del);
        (void)sqlite3_finalize(k->any);
        for (unsigned f = 0; k->find != NULL && f < catalogue_kinds[i]->n_fields; f++)
            (void)sqlite3_finalize(k->find[f]);
        mem_free(k->find);
    }
}

/* ---- values ---- */

/* pii under the side's own key, the nonce from record, field and value. */
static int seal_at_rest(struct store *s, struct arena *a, const struct id *record,
                        const struct field *f, const struct value *v, struct slice *ret,
                        struct err *err)
{
    struct buf *b = &s->scratch;
    size_t seed_len;
    uint8_t *seed;
    int status;

    buf_clear(b);
    buf_put(b, record->b, ID_SIZE);
    buf_be32(b, f->tag);
    value_encode(b, v);
    seed_len = b->len;
    seed = b->ret == 0 ? arena_dup(a, b->p, b->len) : NULL;
    if (seed == NULL)
        return err_set(err, E_NOMEM, NULL);
    buf_clear(b);
    buf_u8(b, AT_REST_SEALED);
    status = s->vault->seal(s->vault->ctx,
                            (struct slice){seed + ID_SIZE + 4, seed_len - ID_SIZE - 4},
                            (struct slice){seed, seed_len}, b);
    if (status != 0 || b->ret != 0)
        return err_set(err, b->ret == E_NOMEM ? E_NOMEM : E_INTERNAL, "个人信息加密失败");
    *ret = (struct slice){arena_dup(a, b->p, b->len), b->len};
    return ret->p != NULL ? 0 : err_set(err, E_NOMEM, NULL);
}

static int bind_marked(sqlite3_stmt *st, int i, struct arena *a, const struct value *v,
                       struct err *err)
{
    uint8_t *copy = arena_alloc(a, v->s.len + 1);

    if (copy == NULL)
        return err_set(err, E_NOMEM, NULL);
    copy[0] = (uint8_t)v->type;
    if (v->s.len > 0)
        memcpy(copy + 1, v->s.p, v->s.len);
    sql_bind_blob(st, i, (struct slice){copy, v->s.len + 1});
    return 0;
}

int projection_bind(struct store *s, sqlite3_stmt *st, int i, struct arena *a,
                    const struct id *record, const struct field *f, const struct value *v,
                    struct err *err)
{
    struct slice sealed;
    int ret;

    if (f->vanish == VANISH_PII && s->vault != NULL && v->type == V_TEXT) {
        ret = seal_at_rest(s, a, record, f, v, &sealed, err);
        if (ret == 0)
            sql_bind_blob(st, i, sealed);
        return ret;
    }
    switch (v->type) {
    case V_NULL:
        break; /* unbound is NULL */
    case V_INT:
        sql_bind_int(st, i, v->i);
        break;
    case V_TEXT:
    case V_SET:
        sql_bind_text(st, i, v->s);
        break;
    case V_ID:
    case V_IDS:
        sql_bind_blob(st, i, v->s);
        break;
    case V_SEALED:
    case V_ERASED:
        return bind_marked(st, i, a, v, err);
    }
    return 0;
}

static int open_at_rest(struct store *s, struct arena *a, struct slice blob, struct value *ret,
                        struct err *err)
{
    uint8_t *copy;
    struct rd r;

    buf_clear(&s->scratch);
    if (s->vault == NULL || s->vault->open(s->vault->ctx, (struct slice){blob.p + 1, blob.len - 1},
                                           &s->scratch) != 0)
        return err_set(err, E_CORRUPT, "个人信息解密失败（密钥文件不符或数据损坏）");
    copy = arena_dup(a, s->scratch.p, s->scratch.len);
    if (copy == NULL)
        return err_set(err, E_NOMEM, NULL);
    r = rd_of((struct slice){copy, s->scratch.len});
    *ret = value_decode(&r);
    return rd_done(&r) ? 0 : err_set(err, E_CORRUPT, NULL);
}

static int read_blob(struct store *s, struct arena *a, const struct field *f, struct slice blob,
                     struct value *ret, struct err *err)
{
    if (f->vanish != VANISH_NO && blob.len > 0 && blob.p[0] == AT_REST_SEALED)
        return open_at_rest(s, a, blob, ret, err);
    if (f->vanish != VANISH_NO && blob.len > 0) {
        ret->type = blob.p[0] == V_SEALED ? V_SEALED : V_ERASED;
        blob = (struct slice){blob.p + 1, blob.len - 1};
    } else {
        ret->type = f->type == FT_REFS || f->type == FT_FILES ? V_IDS : V_ID;
    }
    ret->s = (struct slice){arena_dup(a, blob.p, blob.len), blob.len};
    return ret->s.p != NULL ? 0 : err_set(err, E_NOMEM, NULL);
}

static int read_value(struct store *s, sqlite3_stmt *st, int i, struct arena *a,
                      const struct field *f, struct value *ret, struct err *err)
{
    struct slice text;

    *ret = value_null();
    switch (sqlite3_column_type(st, i)) {
    case SQLITE_INTEGER:
        *ret = value_int(sqlite3_column_int64(st, i));
        return 0;
    case SQLITE_TEXT:
        text = sql_text(st, i);
        ret->type = f->type == FT_SET ? V_SET : V_TEXT;
        ret->s = (struct slice){arena_dup(a, text.p, text.len), text.len};
        return ret->s.p != NULL ? 0 : err_set(err, E_NOMEM, NULL);
    case SQLITE_BLOB:
        return read_blob(s, a, f, sql_blob(st, i), ret, err);
    default:
        return 0;
    }
}

int projection_read(struct store *s, sqlite3_stmt *st, struct arena *a, const struct kind *kind,
                    struct row **ret, struct err *err)
{
    struct id id = sql_id(st, COL_RID);
    struct row *row = row_new(a, kind, &id);
    int column = COL_FIRST_FIELD;

    if (row == NULL)
        return err_set(err, E_NOMEM, NULL);
    *ret = row;
    row->exists = true;
    row->stream = (uint32_t)sqlite3_column_int64(st, COL_STREAM);
    row->created_seq = (uint64_t)sqlite3_column_int64(st, COL_CREATED_SEQ);
    row->seq = (uint64_t)sqlite3_column_int64(st, COL_SEQ);
    row->created_at = (msec_t)sqlite3_column_int64(st, COL_CREATED_AT);
    row->created_by = sql_id(st, COL_CREATED_BY);
    row->updated_at = (msec_t)sqlite3_column_int64(st, COL_UPDATED_AT);
    row->updated_by = sql_id(st, COL_UPDATED_BY);
    row->unknown = sql_blob_dup(st, COL_UNKNOWN, a);
    row->seqs = sql_blob_dup(st, COL_SEQS, a);
    row->pending = sqlite3_column_int(st, COL_PENDING) != 0;
    if (row->unknown.p == NULL || row->seqs.p == NULL)
        return err_set(err, E_NOMEM, NULL);
    for (unsigned i = 0; i < kind->n_fields; i++) {
        int status;

        if (!projection_has_column(&kind->fields[i]))
            continue;
        status = read_value(s, st, column++, a, &kind->fields[i], &row->values[i], err);
        if (status != 0)
            return status;
    }
    return 0;
}

/* ---- rows ---- */

int store_row_get(struct store *s, struct arena *a, const struct kind *kind, const struct id *id,
                  struct row **ret_row, struct err *err)
{
    struct kind_sql *k = projection_kind(s, kind);
    int ret = prepare_kind(s, kind, &k->get, get_text, err);

    *ret_row = NULL;
    if (ret != 0)
        return ret;
    sql_bind_id(k->get, 1, id);
    ret = sql_step(k->get, err);
    if (ret == 1)
        ret = projection_read(s, k->get, a, kind, ret_row, err);
    sql_done(k->get);
    return ret;
}

int store_has_rows(struct store *s, const struct kind *kind, bool *ret, struct err *err)
{
    struct kind_sql *k = projection_kind(s, kind);
    int status = prepare_kind(s, kind, &k->any, any_text, err);

    if (status != 0)
        return status;
    status = sql_step(k->any, err);
    *ret = status == 1;
    sql_done(k->any);
    return status < 0 ? status : 0;
}

static int bind_row(struct store *s, sqlite3_stmt *st, struct arena *a, const struct row *row,
                    struct err *err)
{
    int column = COL_FIRST_FIELD;
    int ret = 0;

    sql_bind_id(st, COL_RID + 1, &row->id);
    sql_bind_int(st, COL_STREAM + 1, row->stream);
    sql_bind_int(st, COL_CREATED_SEQ + 1, (int64_t)row->created_seq);
    sql_bind_int(st, COL_SEQ + 1, (int64_t)row->seq);
    sql_bind_int(st, COL_CREATED_AT + 1, (int64_t)row->created_at);
    sql_bind_id(st, COL_CREATED_BY + 1, &row->created_by);
    sql_bind_int(st, COL_UPDATED_AT + 1, (int64_t)row->updated_at);
    sql_bind_id(st, COL_UPDATED_BY + 1, &row->updated_by);
    if (row->unknown.len > 0)
        sql_bind_blob(st, COL_UNKNOWN + 1, row->unknown);
    if (row->seqs.len > 0)
        sql_bind_blob(st, COL_SEQS + 1, row->seqs);
    sql_bind_int(st, COL_PENDING + 1, row->pending);
    for (unsigned i = 0; ret == 0 && i < row->kind->n_fields; i++) {
        const struct field *f = &row->kind->fields[i];

        if (projection_has_column(f))
            ret = projection_bind(s, st, ++column, a, &row->id, f, &row->values[i], err);
    }
    return ret;
}

static int write_row(struct store *s, sqlite3_stmt *st, const struct row *row, struct err *err)
{
    struct arena a;
    int ret;

    arena_init(&a, 4u * ACT_MAX_BYTES);
    ret = bind_row(s, st, &a, row, err);
    if (ret == 0)
        ret = sql_run(st, err);
    else
        sql_done(st);
    arena_release(&a);
    return ret;
}

int store_row_put(struct store *s, const struct row *row, struct err *err)
{
    struct kind_sql *k = projection_kind(s, row->kind);
    int ret = prepare_kind(s, row->kind, &k->put, put_text, err);

    return ret == 0 ? write_row(s, k->put, row, err) : ret;
}

int store_row_add(struct store *s, const struct row *row, struct err *err)
{
    struct kind_sql *k = projection_kind(s, row->kind);
    int ret = prepare_kind(s, row->kind, &k->add, add_text, err);

    return ret == 0 ? write_row(s, k->add, row, err) : ret;
}

int store_row_delete(struct store *s, const struct kind *kind, const struct id *id,
                     struct err *err)
{
    struct kind_sql *k = projection_kind(s, kind);
    int ret = prepare_kind(s, kind, &k->del, del_text, err);

    if (ret != 0)
        return ret;
    sql_bind_id(k->del, 1, id);
    return sql_run(k->del, err);
}

static int prepare_find(struct store *s, const struct kind *kind, unsigned field,
                        sqlite3_stmt **ret, struct err *err)
{
    struct kind_sql *k = projection_kind(s, kind);
    struct buf sql;
    int status;

    if (k->find == NULL)
        k->find = mem_calloc(kind->n_fields, sizeof *k->find);
    if (k->find == NULL)
        return err_set(err, E_NOMEM, NULL);
    *ret = k->find[field];
    if (*ret != NULL)
        return 0;
    buf_init(&sql, SQL_MAX);
    buf_str(&sql, "SELECT ");
    projection_columns(&sql, kind);
    buf_printf(&sql, " FROM \"%s\" WHERE \"%s\" = ?1 AND voided IS NOT 1 ORDER BY rid", kind->name,
               kind->fields[field].name);
    status = sql.ret != 0 ? err_set(err, sql.ret, NULL)
                          : sql_prepare(s->db, buf_cstr(&sql), &k->find[field], err);
    buf_release(&sql);
    *ret = k->find[field];
    return status;
}

int store_row_find(struct store *s, struct arena *a, const struct kind *kind, uint32_t tag,
                   const struct value *v, struct row ***ret_rows, size_t *ret_n, struct err *err)
{
    const struct field *f = kind_field(kind, tag);
    struct row **rows = NULL;
    size_t n = 0, cap = 0;
    sqlite3_stmt *st = NULL;
    int ret = prepare_find(s, kind, kind_field_index(kind, f), &st, err);

    if (ret == 0)
        ret = projection_bind(s, st, 1, a, &(struct id){{0}}, f, v, err);
    while (ret == 0 && (ret = sql_step(st, err)) == 1) {
        if (n == cap) {
            struct row **more = arena_alloc(a, (cap = cap * 2 + 8) * sizeof *more);

            if (more == NULL) {
                ret = err_set(err, E_NOMEM, NULL);
                break;
            }
            if (n > 0)
                memcpy(more, rows, n * sizeof *more);
            rows = more;
        }
        ret = projection_read(s, st, a, kind, &rows[n], err);
        n++;
    }
    if (st != NULL)
        sql_done(st);
    *ret_rows = rows;
    *ret_n = n;
    return ret;
}

int store_projection_clear(struct store *s, struct err *err)
{
    char text[128];
    int ret = store_digest_clear(s, err);

    for (unsigned i = 0; ret == 0 && i < catalogue_n_kinds; i++) {
        if (catalogue_kinds[i]->stream == STREAM_RULE_NONE)
            continue;
        (void)sqlite3_snprintf(sizeof text, text, "DELETE FROM \"%w\"", catalogue_kinds[i]->name);
        ret = sql_exec(s->db, text, err);
    }
    return ret;
}

int store_apply(struct store *s, struct arena *a, const struct change *c, const struct verdict *v,
                uint64_t seq, struct row **ret_row, struct err *err)
{
    const struct kind *kind = catalogue_kind(c->kind);
    int ret;

    *ret_row = NULL;
    if (kind == NULL || kind->stream == STREAM_RULE_NONE)
        return 0; /* of a newer catalogue: the log keeps it until the program is newer too */
    ret = store_row_get(s, a, kind, &c->record, ret_row, err);
    if (ret != 0)
        return ret;
    if ((*ret_row != NULL) == (c->op == OP_CREATE))
        return err_set(err, E_CORRUPT, "第 %llu 条记录与台账不符", (unsigned long long)seq);
    if (*ret_row == NULL)
        *ret_row = row_new(a, kind, &c->record);
    else
        ret = store_row_leaves(s, *ret_row, err);
    if (ret != 0)
        return ret;
    if (*ret_row == NULL || apply_entry(a, *ret_row, c, v, seq, s->track_seqs) != 0)
        return err_set(err, E_NOMEM, NULL);
    ret = store_row_comes(s, *ret_row, err);
    return ret == 0 ? store_row_put(s, *ret_row, err) : ret;
}
