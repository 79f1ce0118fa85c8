/* A ledger with a few records, for tests of what is shown and read. */
#ifndef ZTC_TESTS_LEDGER_FIXTURE_H
#define ZTC_TESTS_LEDGER_FIXTURE_H

#include "common/cmd/names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIXTURE_SITE 431021u

struct ledger_fixture {
    char dir[64];
    struct store *store;
    struct names names;
    struct arena arena;
    struct err err;
    struct id member, other, studio, opinion;
};

static inline struct id fixture_id(uint8_t n)
{
    struct id id = {{0x01, 0x92, n}};

    id.b[15] = n;
    return id;
}

/* A row of KIND; fields follow by name, as catalogue values, and are put by the caller. */
static inline struct row *fixture_row(struct ledger_fixture *f, const char *kind, struct id id,
                                      const char *serial)
{
    struct row *row = row_new(&f->arena, catalogue_kind_named(kind), &id);

    row->stream = FIXTURE_SITE;
    row->created_seq = row->seq = id.b[15];
    row->exists = true;
    row_put(row, TAG_SITE, value_str("431021"));
    if (serial != NULL)
        row_put(row, TAG_SERIAL, value_str(serial));
    return row;
}

static inline void fixture_put(struct row *row, const char *field, struct value v)
{
    row_put(row, kind_field_named(row->kind, field)->tag, v);
}

static inline void fixture_keep(struct ledger_fixture *f, struct row *row)
{
    assert_int_equal(store_row_put(f->store, row, &f->err), 0);
}

static inline void fixture_records(struct ledger_fixture *f)
{
    struct row *row;

    f->member = fixture_id(1);
    row = fixture_row(f, "member", f->member, "GY-WY-2026-0001");
    fixture_put(row, "name", value_str("李建国"));
    fixture_put(row, "gender", value_str("男"));
    fixture_put(row, "level", (struct value){.type = V_SET, .s = slice_str("city,county")});
    fixture_put(row, "phone", value_str("13812345678"));
    fixture_put(row, "commit_hours", value_int(40));
    fixture_keep(f, row);

    f->other = fixture_id(2);
    row = fixture_row(f, "member", f->other, "GY-WY-2026-0002");
    fixture_put(row, "name", value_str("王芳"));
    fixture_keep(f, row);
    row = fixture_row(f, "member", fixture_id(3), "GY-WY-2026-0003");
    fixture_put(row, "name", value_str("王芳"));
    fixture_keep(f, row);

    f->studio = fixture_id(4);
    row = fixture_row(f, "studio", f->studio, "GY-GZ-2026-0001");
    fixture_put(row, "name", value_str("鹿峰工作室"));
    fixture_put(row, "lead_member", value_id(&f->member));
    row_put(row, TAG_STATE, value_str("operating"));
    fixture_keep(f, row);

    f->opinion = fixture_id(5);
    row = fixture_row(f, "opinion", f->opinion, "GY-MY-2026-0001");
    fixture_put(row, "studio_id", value_id(&f->studio));
    fixture_put(row, "receiver", value_id(&f->member));
    fixture_put(row, "title", value_str("路灯不亮"));
    fixture_put(row, "content", value_str("第一行\n第二行"));
    fixture_put(row, "received_at", value_str("2026-03-05T09:30:00+08:00"));
    fixture_put(row, "person_name",
                (struct value){.type = V_SEALED, .s = slice_str("nonce and more")});
    fixture_put(row, "anonymous", value_int(0));
    row_put(row, TAG_STATE, value_str("collected"));
    row->pending = true;
    fixture_keep(f, row);
}

static inline int fixture_set_up(void **state)
{
    struct ledger_fixture *f = calloc(1, sizeof *f);
    struct store_options o = {.create = true};
    char path[96];

    strcpy(f->dir, "/tmp/test_cmd_XXXXXX");
    if (mkdtemp(f->dir) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/db", f->dir);
    arena_init(&f->arena, 8u << 20);
    if (store_open(path, &o, &f->store, &f->err) != 0)
        return -1;
    names_init(&f->names, f->store);
    fixture_records(f);
    *state = f;
    return 0;
}

static inline int fixture_tear_down(void **state)
{
    struct ledger_fixture *f = *state;
    char command[128];

    names_release(&f->names);
    store_close(f->store);
    arena_release(&f->arena);
    snprintf(command, sizeof command, "rm -r %s", f->dir);
    if (system(command) != 0)
        return -1;
    free(f);
    return 0;
}

#endif
