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
                            .json = a->json};
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
