#include "tests/bench/raw.h"

#include "common/catalogue/catalogue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Every column of the projection's table, in its order. */
static const char *const header[] = {"rid BLOB PRIMARY KEY", "stream INTEGER",   "created_seq INTEGER",
                                     "seq INTEGER",          "created_at INTEGER", "created_by BLOB",
                                     "updated_at INTEGER",   "updated_by BLOB",  "\"unknown\" BLOB",
                                     "seqs BLOB",            "pending INTEGER"};
#define HEADERS (sizeof header / sizeof *header)

static void must(int ret, const struct err *err)
{
    if (ret == 0)
        return;
    (void)fprintf(stderr, "raw: %s\n", err->text);
    exit(1);
}

static void columns(struct buf *ddl, struct buf *put)
{
    const struct kind *kind = catalogue_kind_named("opinion");

    for (size_t n = 0; n < HEADERS; n++) {
        buf_printf(ddl, "%s%s", n == 0 ? "" : ", ", header[n]);
        buf_printf(put, "%s?", n == 0 ? "" : ", ");
    }
    for (unsigned i = 0; i < kind->n_fields; i++) {
        if (!kind->fields[i].stored)
            continue;
        buf_printf(ddl, ", \"%s\"", kind->fields[i].name);
        buf_str(put, ", ?");
    }
}

enum { F_STUDIO, F_RECEIVED, F_CHANNEL, F_RECEIVER, F_ANONYMOUS, F_AREA, F_PERSONS, F_TITLE, F_CONTENT,
       F_CATEGORY, F_SITE, F_SERIAL, F_STATE, F_COUNT };

static const char *const names[F_COUNT] = {
    "studio_id", "received_at", "channel", "receiver", "anonymous", "person_area", "person_count",
    "title",     "content",     "category", "site",    "serial_no", "state"};

/* Where each field that is filled stands in the statement. */
static void find_columns(int ret[F_COUNT])
{
    const struct kind *kind = catalogue_kind_named("opinion");
    int column = HEADERS;

    for (unsigned i = 0; i < kind->n_fields; i++) {
        if (!kind->fields[i].stored)
            continue;
        column++;
        for (size_t k = 0; k < F_COUNT; k++) {
            if (strcmp(names[k], kind->fields[i].name) == 0)
                ret[k] = column;
        }
    }
}

void raw_open(struct raw *r, const char *path)
{
    struct err err = {.ret = 0};
    struct buf ddl, put;

    if (sqlite3_open(path, &r->db) != SQLITE_OK)
        exit(1);
    buf_init(&ddl, 1u << 16);
    buf_init(&put, 1u << 16);
    buf_str(&ddl, "PRAGMA page_size = 8192; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                  "PRAGMA wal_autocheckpoint = 16384; PRAGMA cache_size = -65536;"
                  "CREATE TABLE opinion (");
    buf_str(&put, "INSERT INTO opinion VALUES (");
    columns(&ddl, &put);
    buf_str(&ddl, "); CREATE INDEX opinion_seq ON opinion (site, seq);");
    buf_str(&put, ")");
    must(sql_exec(r->db, buf_cstr(&ddl), &err), &err);
    must(sql_prepare(r->db, buf_cstr(&put), &r->put, &err), &err);
    buf_release(&ddl);
    buf_release(&put);
    find_columns(r->at);
}

void raw_close(struct raw *r)
{
    (void)sqlite3_finalize(r->put);
    (void)sqlite3_close(r->db);
}

void raw_begin(struct raw *r)
{
    struct err err = {.ret = 0};

    must(sql_exec(r->db, "BEGIN IMMEDIATE", &err), &err);
}

void raw_commit(struct raw *r)
{
    struct err err = {.ret = 0};

    must(sql_exec(r->db, "COMMIT", &err), &err);
}

static void bind_fields(struct raw *r, const struct opinion *o, const char *site,
                        const struct id *studio, const struct id *member)
{
    sqlite3_stmt *st = r->put;
    const int *at = r->at;

    sql_bind_id(st, at[F_STUDIO], studio);
    sql_bind_text(st, at[F_RECEIVED], slice_str(o->received_at));
    sql_bind_text(st, at[F_CHANNEL], slice_str(o->channel));
    sql_bind_id(st, at[F_RECEIVER], member);
    sql_bind_int(st, at[F_ANONYMOUS], 1);
    sql_bind_text(st, at[F_AREA], slice_str(o->area));
    sql_bind_int(st, at[F_PERSONS], o->persons);
    sql_bind_text(st, at[F_TITLE], slice_str(o->title));
    sql_bind_text(st, at[F_CONTENT], slice_str(o->content));
    sql_bind_text(st, at[F_CATEGORY], slice_str(o->category));
    sql_bind_text(st, at[F_SITE], slice_str(site));
    sql_bind_text(st, at[F_SERIAL], slice_str(o->serial));
    sql_bind_text(st, at[F_STATE], slice_str("collected"));
}

void raw_put(struct raw *r, const struct opinion *o, const struct id *studio,
             const struct id *member)
{
    struct err err = {.ret = 0};
    char site[16];

    (void)snprintf(site, sizeof site, "%06u", bench_sites[o->site]);
    sql_bind_id(r->put, 1, &o->id);
    sql_bind_int(r->put, 2, bench_sites[o->site]);
    sql_bind_int(r->put, 3, (int64_t)o->no);
    sql_bind_int(r->put, 4, (int64_t)o->no);
    sql_bind_int(r->put, 5, 1767225600000);
    sql_bind_id(r->put, 6, member);
    sql_bind_int(r->put, 7, 1767225600000);
    sql_bind_id(r->put, 8, member);
    sql_bind_int(r->put, 11, 0);
    bind_fields(r, o, site, studio, member);
    must(sql_run(r->put, &err), &err);
}
