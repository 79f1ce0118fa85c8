/* Where a writing command runs: in the daemon's writer, or here when no daemon runs. */
#include "server/admin/admin.h"

#include "common/base/json.h"
#include "common/base/mem.h"
#include "server/net/control_json.h"
#include "server/net/uv_control.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ARENA_MAX  (256u << 20)
#define OUT_MAX    (32u << 20)
#define DETAIL_MAX (1u << 20)
#define WAIT_MS    5000
#define LOOK_MS    20

static const struct {
    const char *name;
    int (*run)(struct deed *d);
    bool alone;
} deeds[] = {
    {"enrol", deed_enrol, false},       {"replica revoke", deed_revoke, false},
    {"user add", deed_user_add, false}, {"add", deed_add, false},
    {"set", deed_set, false},           {"do", deed_do, false},
    {"import", deed_import, false},     {"rebuild", deed_rebuild, true},
    {"replica release", deed_release, false}, {"replica drop", deed_drop, false},
    {"ca rotate", deed_ca_rotate, true}, {"ca drop-old", deed_ca_drop_old, true},
    {"recover", deed_recover, false},
    {"setting set", deed_setting_set, false}, {"historic confirm", deed_historic_confirm, false},
    {"attach", deed_attach, false},
    {"bundle import", deed_bundle_import, false}, {"bundle export", deed_bundle_given, false},
};

static const char *const option_names[OPT_COUNT] = {
#define X(symbol, name, value, help) [OPT_##symbol] = (name),
    OPTION_MAP(X)
#undef X
};

static int find_deed(const char *name)
{
    for (size_t i = 0; i < sizeof deeds / sizeof *deeds; i++) {
        if (strcmp(deeds[i].name, name) == 0)
            return (int)i;
    }
    return -1;
}

bool deed_is_alone(int argc, char *const *argv)
{
    return argc > 0 && (strcmp(argv[0], "rebuild") == 0 || strcmp(argv[0], "ca") == 0);
}

/* ---- the command itself ---- */

static int perform(struct home *h, struct city *city, msec_t now, const struct args *a,
                   struct daemon_effects *effects, struct err *err)
{
    int at = a->command == NULL ? -1 : find_deed(a->command->name);
    struct deed d = {.args = a,
                     .home = h,
                     .city = city,
                     .now = now,
                     .view = {.store = city_store(city),
                              .out = a->out,
                              .json = a->json,
                              .attached = home_attached,
                              .attached_ctx = city_store(city)},
                     .effects = effects,
                     .err = err};
    int ret;

    if (at < 0)
        return err_set(err, E_USAGE, "此命令不经市级服务办理");
    names_init(&d.names, d.view.store);
    d.view.names = &d.names;
    ret = deeds[at].run(&d);
    names_release(&d.names);
    return ret;
}

int deed_run(void *ctx, struct city *city, msec_t now, int argc, char *const *argv, struct buf *out,
             struct buf *detail, struct daemon_effects *effects, struct err *err)
{
    struct args a = {.program = &ztcd_program, .detail = detail};
    struct arena arena;
    char *text = NULL;
    size_t len = 0;
    int ret;

    a.out = open_memstream(&text, &len);
    if (a.out == NULL)
        return err_set(err, E_NOMEM, NULL);
    arena_init(&arena, ARENA_MAX);
    a.arena = &arena;
    ret = args_parse(&a, &ztcd_program, argc, argv, err);
    if (ret == 0)
        ret = perform(ctx, city, now, &a, effects, err);
    if (fclose(a.out) != 0 && ret == 0)
        ret = err_set(err, E_NOMEM, NULL);
    if (text != NULL)
        buf_put(out, text, len);
    free(text); /* of open_memstream, not of mem.h */
    arena_release(&arena);
    return ret != 0 ? ret : out->ret;
}

/* ---- asking the daemon ---- */

static int send_all(int fd, struct slice s)
{
    while (s.len > 0) {
        ssize_t n = send(fd, s.p, s.len, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return E_CLOSED;
        s.p += n;
        s.len -= (size_t)n;
    }
    return 0;
}

static int receive_line(int fd, struct buf *in)
{
    uint8_t chunk[65536];

    while (in->ret == 0) {
        ssize_t n = recv(fd, chunk, sizeof chunk, 0);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return E_CLOSED;
        buf_put(in, chunk, (size_t)n);
        if (chunk[n - 1] == '\n')
            return in->ret;
    }
    return in->ret;
}

static int exchange(const struct home *h, const struct args *a, struct slice request,
                    struct err *err)
{
    struct buf in, out;
    int fd, ret = home_control(h, &fd, err);

    if (ret != 0)
        return ret;
    buf_init(&in, CONTROL_ANSWER_MAX);
    buf_init(&out, OUT_MAX);
    ret = send_all(fd, request);
    if (ret == 0)
        ret = receive_line(fd, &in);
    if (ret != 0)
        (void)err_set(err, ret, "市级服务没有答复");
    else
        ret = control_answer_parse(buf_slice(&in), &out, a->detail, err);
    if (out.len > 0)
        (void)fwrite(out.p, 1, out.len, a->out); /* checked at the end of main */
    (void)close(fd);                             /* everything was read */
    buf_release(&in);
    buf_release(&out);
    return ret;
}

/* A file named on the command line is looked for from here, not from where the daemon stands. */
static void put_word(struct json *j, const char *word, bool is_path)
{
    const char *at = is_path ? word : strstr(word, "=@");
    const char *path = at == NULL ? NULL : is_path ? at : at + 2;
    char full[HOME_PATH_MAX];
    struct buf b;

    if (path == NULL || (!is_path && path[0] == '@') || realpath(path, full) == NULL) {
        json_str(j, word);
        return;
    }
    buf_init(&b, 2 * HOME_PATH_MAX);
    buf_put(&b, word, (size_t)(path - word));
    buf_str(&b, full);
    json_str(j, buf_cstr(&b));
    buf_release(&b);
}

static void put_argv(struct json *j, const struct args *a)
{
    bool import = strcmp(a->command->name, "import") == 0;
    bool bundle = strcmp(a->command->name, "bundle import") == 0;
    char name[64], *rest = name;

    (void)snprintf(name, sizeof name, "%s", a->command->name);
    json_array(j);
    for (char *word; (word = strsep(&rest, " ")) != NULL;)
        json_str(j, word);
    for (unsigned i = 0; i < a->n_given; i++) {
        if (a->given[i].option == OPT_DIR)
            continue;
        json_str(j, option_names[a->given[i].option]);
        if (a->given[i].value != NULL)
            put_word(j, a->given[i].value, false);
    }
    json_str(j, "--");
    for (unsigned i = 0; i < a->n_words; i++)
        put_word(j, a->words[i], (import && i == 1) || bundle);
    json_array_end(j);
}

int ask_deed(const struct home *h, const struct args *a, struct err *err)
{
    struct buf line;
    struct json j;
    int ret;

    buf_init(&line, CONTROL_REQUEST_MAX);
    json_init(&j, &line);
    json_object(&j);
    json_kv_str(&j, "cmd", "deed");
    json_key(&j, "argv");
    put_argv(&j, a);
    json_object_end(&j);
    buf_u8(&line, '\n');
    ret = line.ret != 0 ? err_set(err, line.ret, NULL) : exchange(h, a, buf_slice(&line), err);
    buf_release(&line);
    return ret;
}

int ask_simple(const struct home *h, const struct args *a, const char *cmd, struct err *err)
{
    char line[64];

    (void)snprintf(line, sizeof line, "{\"cmd\":\"%s\",\"json\":%s}\n", cmd,
                   a->json ? "true" : "false");
    return exchange(h, a, slice_str(line), err);
}

/* ---- here ---- */

static int in_group(struct home *h, struct city *city, const struct args *a, struct err *err)
{
    struct daemon_effects effects = {.cause = 0};
    msec_t now = daemon_clock();
    int ret = city_begin(city, now, err);

    if (ret != 0)
        return ret;
    ret = perform(h, city, now, a, &effects, err);
    if (ret == 0 && !effects.undo)
        return city_commit(city, err);
    city_rollback(city);
    return ret;
}

static int do_here(struct home *h, const struct args *a, struct err *err)
{
    struct daemon_effects effects = {.cause = 0};
    struct city *city = NULL;
    int ret = home_load(h, err);

    if (ret == 0)
        ret = home_open_own(h, daemon_clock(), &city, err);
    if (ret != 0)
        return ret;
    if (deeds[find_deed(a->command->name)].alone)
        ret = perform(h, city, daemon_clock(), a, &effects, err);
    else
        ret = in_group(h, city, a, err);
    city_close(city);
    return ret;
}

/* By the daemon, or here where none serves. 1: the directory is taken, yet nobody answers: a daemon that
 * starts or stops, or another command. */
static int try_deed(struct home *h, const struct args *a, struct err *err)
{
    int lock, ret = ask_deed(h, a, err);

    if (ret != E_UNREACHABLE)
        return ret;
    ret = home_lock(h, &lock, err);
    if (ret != 0)
        return ret == E_BUSY ? 1 : ret;
    err->text[0] = '\0';
    ret = do_here(h, a, err);
    (void)close(lock);
    return ret;
}

int cmd_deed(const struct args *a, struct err *err)
{
    struct timespec pause = {.tv_nsec = LOOK_MS * 1000000L};
    struct home h;
    int ret = home_init(&h, args_text(a, OPT_DIR), err);

    if (ret == 0 && !home_exists(&h))
        ret = err_set(err, E_NOTFOUND, "%s 中没有市级数据，请先运行 ztcd init", h.dir);
    if (ret == 0)
        ret = try_deed(&h, a, err);
    for (unsigned waited = 0; ret == 1 && waited < WAIT_MS; waited += LOOK_MS) {
        (void)nanosleep(&pause, NULL); /* woken early, it looks early */
        ret = try_deed(&h, a, err);
    }
    home_release(&h);
    return ret == 1 ? E_BUSY : ret; /* in the words of the last attempt */
}
