/* What every command on a replica does first, and last. */
#include "client/cmd/commands.h"

#include <string.h>

msec_t work_now(void)
{
    struct timespec t;

    if (clock_gettime(CLOCK_REALTIME, &t) != 0)
        return 0;
    return (msec_t)t.tv_sec * 1000 + (msec_t)t.tv_nsec / 1000000;
}

/* ---- own changes of one record ---- */

struct pending_walk {
    struct replica *r;
    const struct id *record;
    int (*each)(void *ctx, struct slice bytes, struct slice side);
    void *ctx;
    uint64_t last_n; /* of the batch */
};

static int on_pending(void *ctx, uint64_t n, struct slice bytes, struct slice side)
{
    struct pending_walk *p = ctx;
    struct change c;
    struct arena a;
    int ret;

    p->last_n = n;
    arena_init(&a, 4u * ACT_MAX_BYTES);
    ret = change_decode(&a, bytes, side, &c);
    if (ret == 0 && id_eq(&c.record, p->record))
        ret = p->each(p->ctx, bytes, side);
    arena_release(&a);
    return ret;
}

/* In batches, so that one never holds all of what waits. */
static int pending_of(void *ctx, const struct id *record,
                      int (*each)(void *each_ctx, struct slice bytes, struct slice side),
                      void *each_ctx, struct err *err)
{
    struct pending_walk p = {.r = ctx, .record = record, .each = each, .ctx = each_ctx};
    uint64_t from;
    int ret;

    do {
        from = p.last_n + 1;
        ret = replica_pending(p.r, from, ACT_MAX_CHANGES, ACT_MAX_BYTES, on_pending, &p, err);
    } while (ret == 0 && p.last_n >= from);
    return ret;
}

int work_open(struct work *w, const struct args *a, struct err *err)
{
    char dir[HOME_PATH_MAX];
    int ret;

    memset(w, 0, sizeof *w);
    w->args = a;
    w->err = err;
    w->home.lock = -1;
    ret = home_choose(args_text(a, OPT_DIR), dir, err);
    if (ret == 0)
        ret = home_open(&w->home, dir, err);
    if (ret != 0)
        return ret;
    names_init(&w->names, replica_store(w->home.replica));
    w->view = (struct view){.store = replica_store(w->home.replica),
                            .names = &w->names,
                            .out = a->out,
                            .json = a->json,
                            .pending = pending_of,
                            .pending_ctx = w->home.replica,
                            .attached = work_attached,
                            .attached_ctx = w};
    return 0;
}

void work_close(struct work *w)
{
    if (w->view.store != NULL)
        names_release(&w->names);
    home_close(&w->home);
}

int work_actor(struct work *w, struct actor *ret)
{
    return replica_actor(w->home.replica, args_text(w->args, OPT_AS), ret, w->err);
}

int work_record(struct work *w, const char *text, struct row **ret)
{
    return store_resolve(w->view.store, w->args->arena, NULL, slice_str(text), ret, w->err);
}

/* The record's id and serial number; its id alone with --quiet; the whole of it with --json. */
static int tell_record(struct work *w, const struct draft *d)
{
    struct row *row = NULL;
    char id[ID_TEXT_SIZE];
    struct slice serial;
    int ret;

    id_format(&d->record, id);
    if (args_has(w->args, OPT_QUIET)) {
        (void)fprintf(w->args->out, "%s\n", id);
        return 0;
    }
    names_clear(&w->names);
    ret = store_row_get(w->view.store, w->args->arena, d->kind, &d->record, &row, w->err);
    if (ret != 0 || row == NULL)
        return ret;
    if (w->args->json)
        return show_record(&w->view, row, w->err);
    serial = row_get(row, TAG_SERIAL)->s;
    (void)fprintf(w->args->out, "%s%s%.*s\n", id, serial.len > 0 ? " " : "", (int)serial.len,
                  serial.len > 0 ? (const char *)serial.p : "");
    return 0;
}

int work_write(struct work *w, struct draft *drafts, size_t n, bool tell)
{
    struct actor actor;
    int ret = work_actor(w, &actor);

    if (ret == 0)
        ret = replica_write(w->home.replica, w->args->arena, &actor.account, drafts, n, UINT64_MAX,
                            work_now(), w->err);
    return ret == 0 && tell ? tell_record(w, &drafts[0]) : ret;
}
