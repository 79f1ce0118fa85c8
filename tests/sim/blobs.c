/* Attachments: people add files to records and fetch those of others; the session machines move the bytes,
 * and folders on this machine hold them, as in the daemon and the agent (uv_conn_blob.c, uv_link_blob.c).
 *
 *   attach   file taken in ─► act that names it ─► the record's entry ─► offer ─► chunks ─► verified
 *
 * Some files are lost before they were sent, some records name bytes that their computer never had; the
 * same bytes are attached twice, also by two sites. Of what was not synced a power cut leaves parts torn.
 * The folders bear no mark of the seed: the trace is that of the frames. */
#include "tests/sim/world_internal.h"

#include "client/store/blobs.h"
#include "client/store/exchange.h"
#include "common/base/mem.h"
#include "common/blob/files.h"
#include "common/cmd/attached.h"
#include "common/crypto/hash.h"
#include "server/store/city_blob.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SOME_WORLDS 2u  /* one in so many has attachments */
#define FILES_MAX   12u /* of a world */
#define FETCHES_MAX 24u
#define CONTENTS    6u
#define ROOT_MAX    128u
#define CITY_FOLDER REPLICAS_MAX
#define TEAR_MAX    4096u

static const uint64_t sizes[CONTENTS] = {40, 5000, BLOB_CHUNK, BLOB_CHUNK + 1, 2 * BLOB_CHUNK + 777,
                                         3 * BLOB_CHUNK - 5};

/* Made once, for all worlds. */
static struct {
    char root[ROOT_MAX]; /* empty: not made */
    uint8_t *bytes[CONTENTS];
    uint8_t hash[CONTENTS][HASH_SIZE];
} shelf;

struct file {
    struct id attachment;
    unsigned replica, content;
    uint32_t site;
    bool whole; /* its computer has the bytes */
};

struct fetch {
    unsigned replica, file;
};

struct blobs {
    char root[ROOT_MAX];
    struct file files[FILES_MAX];
    struct fetch fetches[FETCHES_MAX];
    unsigned n_files, n_fetches;
    bool had[SIM_SITES][CONTENTS]; /* a computer of the site, even when its act was not kept */
    unsigned nosy[REPLICAS_MAX]; /* 1 + the file of another site that it asks for; 0: none */
    struct file_task *tasks; /* at work on files */
};

/* ---- what there is to attach ---- */

static bool find_root(char root[ROOT_MAX])
{
    static const char *const places[] = {"/dev/shm", "/tmp"};

    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        (void)snprintf(root, ROOT_MAX, "%s/ztc-sim-XXXXXX", places[i]);
        if (mkdtemp(root) != NULL)
            return true;
    }
    return false;
}

/* Text, so that its type is one that is taken. */
static bool put_on_shelf(unsigned k)
{
    char path[2 * ROOT_MAX];
    struct slice whole;
    FILE *f;
    bool ok;

    shelf.bytes[k] = mem_alloc(sizes[k]);
    if (shelf.bytes[k] == NULL)
        return false;
    for (uint64_t i = 0; i < sizes[k]; i++)
        shelf.bytes[k][i] = i % 61 == 60 ? '\n' : (uint8_t)('a' + (i * (k + 3) + i / 257) % 26);
    whole = (struct slice){shelf.bytes[k], sizes[k]};
    hasher_of(HASH_SHA256)->digest(&whole, 1, shelf.hash[k]);
    (void)snprintf(path, sizeof path, "%s/%u.txt", shelf.root, k);
    f = fopen(path, "wb");
    if (f == NULL)
        return false;
    ok = fwrite(shelf.bytes[k], 1, sizes[k], f) == sizes[k];
    return fclose(f) == 0 && ok;
}

bool blobs_prepare(void)
{
    bool ok = find_root(shelf.root);

    for (unsigned k = 0; k < CONTENTS && ok; k++)
        ok = put_on_shelf(k);
    return ok;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

static void remove_folder(const char *root)
{
    (void)nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS); /* what is left is in nobody's way */
}

void blobs_unprepare(void)
{
    if (shelf.root[0] != '\0')
        remove_folder(shelf.root);
    for (unsigned k = 0; k < CONTENTS; k++)
        mem_free(shelf.bytes[k]);
}

/* ---- folders ---- */

struct folder {
    char path[2 * ROOT_MAX];
};

static struct folder folder_of(const struct world *w, unsigned whose)
{
    struct folder f;

    (void)snprintf(f.path, sizeof f.path, "%s/%u", w->blobs->root, whose);
    return f;
}

void blobs_begin(struct world *w)
{
    if (world_roll(w, SOME_WORLDS) != 0)
        return;
    w->blobs = mem_calloc(1, sizeof *w->blobs);
    if (w->blobs == NULL)
        abort();
    (void)snprintf(w->blobs->root, sizeof w->blobs->root, "%.80s/%ld", shelf.root, (long)getpid());
    if (mkdir(w->blobs->root, 0700) != 0)
        world_fail(w, "no folder for attachments");
    for (unsigned i = 0; i <= CITY_FOLDER; i++) {
        struct folder f = folder_of(w, i);

        if (i < w->n_replicas || i == CITY_FOLDER)
            (void)blob_folder(f.path, NULL); /* what cannot be made shows when it is used */
    }
}

/* Parts are not synced before they are whole. */
static void tear(struct world *w, const struct folder *f, uint32_t owner, unsigned content)
{
    static const uint8_t zeros[TEAR_MAX];
    struct blob_part p = {.owner = owner};
    uint64_t size = 0, torn;

    memcpy(p.hash, shelf.hash[content], HASH_SIZE);
    if (blob_part_size(f->path, &p, &size, NULL) != 0 || size == 0)
        return;
    torn = size < TEAR_MAX ? size : TEAR_MAX;
    switch (world_roll(w, 3)) {
    case 0:
        (void)blob_part_drop(f->path, &p, NULL); /* it is there */
        break;
    case 1:
        (void)blob_part_write(f->path, &p, size - torn, (struct slice){zeros, torn}, NULL);
        break;
    default:
        break;
    }
}

void blobs_power_cut(struct world *w, const struct disk *d)
{
    unsigned whose = CITY_FOLDER;
    struct folder f;

    if (w->blobs == NULL)
        return;
    for (unsigned i = 0; i < w->n_replicas; i++)
        whose = w->replicas[i].disk == d ? i : whose;
    f = folder_of(w, whose);
    for (unsigned k = 0; k < CONTENTS; k++) {
        for (unsigned i = 0; i < SIM_SITES && whose == CITY_FOLDER; i++)
            tear(w, &f, sim_sites[i], k);
        if (whose != CITY_FOLDER)
            tear(w, &f, 0, k);
    }
}

/* ---- tasks on files: what the pool does ---- */

struct file_task {
    struct file_task *next;
    struct link *l;
    bool at_city;
    enum client_lane_name lane; /* up or down, at either end */
    struct client_blob_want county;
    struct server_blob_want city;
    struct client_event answer; /* of the county */
    struct buf bytes;
};

static struct file_task *new_task(struct link *l, struct slice bytes)
{
    struct file_task *t = mem_calloc(1, sizeof *t);

    if (t == NULL)
        abort();
    t->l = l;
    buf_init(&t->bytes, BLOB_CHUNK);
    buf_put(&t->bytes, bytes.p, bytes.len);
    t->next = l->w->blobs->tasks;
    l->w->blobs->tasks = t;
    return t;
}

static void end_task(struct world *w, struct file_task *t)
{
    struct file_task **at = &w->blobs->tasks;

    while (*at != t)
        at = &(*at)->next;
    *at = t->next;
    buf_release(&t->bytes);
    mem_free(t);
}

static struct blob_part part_of(uint32_t owner, const uint8_t hash[HASH_SIZE])
{
    struct blob_part p = {.owner = owner};

    memcpy(p.hash, hash, HASH_SIZE);
    return p;
}

/* ---- between two chunks ---- */

static void cut_now(struct world *w, void *subject)
{
    network_cut(w, subject, true);
}

static void crash_now(struct world *w, void *subject)
{
    computers_crash_replica(w, subject);
}

static void crash_city_now(struct world *w, void *subject)
{
    (void)subject;
    if (w->city != NULL)
        computers_crash_city(w);
}

/* The line is cut, a computer goes down, or a disk does not keep what was written to it. */
static void interrupt(struct world *w, struct link *l, const struct folder *f,
                      const struct blob_part *p)
{
    static const uint8_t zeros[TEAR_MAX];

    if (w->healing)
        return;
    switch (world_roll(w, 16)) {
    case 0:
    case 1:
    case 2:
        world_at(w, 0, cut_now, l);
        break;
    case 3:
        world_at(w, 0, crash_now, &w->replicas[l->replica]);
        break;
    case 4:
        world_at(w, 0, crash_city_now, NULL);
        break;
    case 5:
    case 6:
        (void)blob_part_write(f->path, p, 0, (struct slice){zeros, TEAR_MAX}, NULL); /* it is there */
        break;
    default:
        break;
    }
}

/* ---- the county's end ---- */

static int look_up(const struct folder *f, const struct client_blob_answer *b)
{
    uint64_t size = 0;
    int ret = blob_size(f->path, b->hash, &size, NULL);

    return ret == E_NOTFOUND || (ret == 0 && size != b->size) ? E_BLOB_LOST : ret;
}

static int look_down(struct world *w, const struct folder *f, struct client_blob_answer *b)
{
    struct blob_part p = part_of(0, b->hash);
    uint64_t here = 0;
    int ret;

    if (blob_size(f->path, b->hash, &here, NULL) == 0 && here == b->size) {
        b->offset = here;
        return 0;
    }
    ret = blob_part_size(f->path, &p, &here, NULL);
    w->counts[SIM_FETCH_ON] += here > 0;
    if (ret == 0 && here >= b->size) {
        ret = blob_part_finish(f->path, &p, b->size, NULL);
        here = ret == 0 ? b->size : 0;
    }
    b->offset = here;
    return ret == E_CORRUPT ? 0 : ret;
}

static int write_down(struct world *w, const struct folder *f, const struct file_task *t)
{
    struct blob_part p = part_of(0, t->county.hash);
    int ret = blob_part_write(f->path, &p, t->county.offset, buf_slice(&t->bytes), NULL);

    if (ret == 0 && t->county.offset + t->bytes.len == t->county.size) {
        ret = blob_part_finish(f->path, &p, t->county.size, NULL);
        w->counts[SIM_FETCHED] += ret == 0;
    } else if (ret == 0) {
        interrupt(w, t->l, f, &p);
    }
    return ret;
}

static void county_task(struct world *w, void *subject)
{
    struct file_task *t = subject;
    struct folder f = folder_of(w, t->l->replica);
    struct client_blob_answer *b = &t->answer.blob;

    if (t->l->client_open) {
        if (b->ask == CLIENT_BLOB_READ)
            b->ret = blob_read(f.path, t->county.hash, t->county.offset, t->county.len, &t->bytes,
                               NULL);
        else if (b->ask == CLIENT_BLOB_WRITE)
            b->ret = write_down(w, &f, t);
        else
            b->ret = t->lane == CLIENT_LANE_UP ? look_up(&f, b) : look_down(w, &f, b);
        b->bytes = buf_slice(&t->bytes);
        network_client_event(t->l, &t->answer);
    }
    end_task(w, t);
}

/* A computer that names what it knows of, and has no record of. */
static bool pry(struct world *w, struct sim_replica *r, struct client_blob_answer *b)
{
    unsigned no = w->blobs == NULL ? 0 : w->blobs->nosy[r->no];
    const struct file *f = no == 0 ? NULL : &w->blobs->files[no - 1];

    if (f == NULL || b->found || b->ret != 0 || b->lane != CLIENT_LANE_DOWN)
        return false;
    w->blobs->nosy[r->no] = 0;
    b->found = true;
    b->attachment = f->attachment;
    b->size = sizes[f->content];
    memcpy(b->hash, shelf.hash[f->content], HASH_SIZE);
    return true;
}

bool blobs_client(struct link *l, enum client_lane_name lane, const struct client_blob_want *want,
                  struct client_event *ret, struct err *err)
{
    struct sim_replica *r = &l->w->replicas[l->replica];
    struct file_task *t;

    *ret = (struct client_event){.kind = CLIENT_BLOB, .blob = {.lane = lane, .ask = want->ask}};
    if (want->ask == CLIENT_BLOB_NEXT || want->ask == CLIENT_BLOB_SETTLE)
        exchange_blob(r->r, lane, want, world_clock(l->w, r->skew), ret, err);
    if (want->ask == CLIENT_BLOB_NEXT && pry(l->w, r, &ret->blob))
        return true;
    if (want->ask == CLIENT_BLOB_SETTLE || (want->ask == CLIENT_BLOB_NEXT && !ret->blob.found))
        return true;
    t = new_task(l, want->bytes);
    t->lane = lane;
    t->county = *want;
    t->answer = *ret;
    world_at(l->w, world_roll(l->w, 20), county_task, t);
    return false;
}

/* ---- the city's end ---- */

static void tell_city(struct link *l, enum server_lane_name lane, const struct server_blob_answer *b)
{
    struct server_event ev = {.kind = SERVER_BLOB, .blob = *b};

    ev.blob.lane = lane;
    network_server_event(l, &ev);
}

/* Another connection has this part under way. */
static bool is_taken(const struct blobs *b, const struct file_task *t)
{
    for (const struct file_task *o = b->tasks; o != NULL; o = o->next) {
        if (o->at_city && o->l != t->l && o->lane == CLIENT_LANE_UP &&
            o->l->ss.site == t->l->ss.site && memcmp(o->city.hash, t->city.hash, HASH_SIZE) == 0)
            return true;
    }
    return false;
}

/* Everything was here when the city went down: it is judged now. Else it goes on behind what is here. */
static int resume(struct world *w, const struct folder *f, const struct file_task *t,
                  struct server_blob_answer *b)
{
    struct blob_part p = part_of(t->l->ss.site, t->city.hash);
    uint64_t here = 0;
    int ret = blob_part_size(f->path, &p, &here, NULL);

    w->counts[SIM_BLOB_ON] += here > 0 && here < t->city.size;
    if (ret == 0 && here >= t->city.size) {
        ret = blob_part_finish(f->path, &p, t->city.size, NULL);
        b->verified = ret == 0;
        here = 0;
    }
    b->offset = here;
    return ret == E_CORRUPT ? 0 : ret;
}

static int write_up(struct world *w, const struct folder *f, const struct file_task *t,
                    struct server_blob_answer *b)
{
    struct blob_part p = part_of(t->l->ss.site, t->city.hash);
    int ret = blob_part_write(f->path, &p, t->city.offset, buf_slice(&t->bytes), NULL);

    w->counts[SIM_BLOB_CHUNK] += ret == 0;
    if (ret == 0 && t->city.offset + t->bytes.len == t->city.size) {
        ret = blob_part_finish(f->path, &p, t->city.size, NULL);
        b->verified = ret == 0;
        w->counts[SIM_BLOB_CORRUPT] += ret == E_CORRUPT;
    } else if (ret == 0) {
        interrupt(w, t->l, f, &p);
    }
    return ret;
}

static void city_task(struct world *w, void *subject)
{
    struct file_task *t = subject;
    struct folder f = folder_of(w, CITY_FOLDER);
    struct server_blob_answer b = {.ask = t->city.ask};
    bool up = t->lane == CLIENT_LANE_UP;

    if (t->l->server_open && w->city != NULL) {
        if (up && is_taken(w->blobs, t))
            b.ret = E_BUSY;
        else if (b.ask == SERVER_BLOB_OFFER)
            b.ret = resume(w, &f, t, &b);
        else if (b.ask == SERVER_BLOB_WRITE)
            b.ret = write_up(w, &f, t, &b);
        else
            b.ret = blob_read(f.path, t->city.hash, t->city.offset, t->city.len, &t->bytes, NULL);
        b.bytes = up ? (struct slice){NULL, 0} : buf_slice(&t->bytes);
        if (b.verified)
            writer_blob(t->l, &t->city, true);
        else
            tell_city(t->l, up ? SERVER_LANE_UP : SERVER_LANE_DOWN, &b);
    }
    end_task(w, t);
}

static void to_files(struct link *l, enum server_lane_name lane, const struct server_blob_want *want)
{
    struct file_task *t = new_task(l, want->bytes);

    t->at_city = true;
    t->lane = lane == SERVER_LANE_UP ? CLIENT_LANE_UP : CLIENT_LANE_DOWN;
    t->city = *want;
    t->city.bytes = (struct slice){NULL, 0};
    world_at(l->w, world_roll(l->w, 20), city_task, t);
}

void blobs_server(struct link *l, const struct server_update *up)
{
    for (size_t i = 0; i < SERVER_LANES; i++) {
        const struct server_blob_want *want = &up->blob[i];

        if (want->ask == SERVER_BLOB_WRITE || want->ask == SERVER_BLOB_READ)
            to_files(l, (enum server_lane_name)i, want);
        else if (want->ask != SERVER_BLOB_NOTHING)
            writer_blob(l, want, false);
    }
}

static int note_lost(struct world *w, uint32_t site, const struct id *attachment, struct err *err)
{
    struct folder f = folder_of(w, CITY_FOLDER);
    struct blob_part p = {.owner = site};
    bool its;
    int ret = city_blob_lost(w->city, site, attachment, &its, p.hash, err);

    return ret == 0 && its ? blob_part_drop(f.path, &p, err) : ret;
}

/* The writer's part: may it come, may it be read, it is held, it is lost. */
int blobs_run(struct world *w, struct job *job, struct err *err)
{
    const struct server_blob_want *want = &job->blob;
    uint32_t site = job->link->ss.site;

    job->told = (struct server_blob_answer){.ask = want->ask};
    if (job->held) {
        job->told.verified = want->ask == SERVER_BLOB_OFFER;
        return city_blob_held(w->city, site, want->hash, want->size, err);
    }
    if (want->ask == SERVER_BLOB_FIND)
        return city_blob_find(w->city, site, &want->attachment, job->told.hash, &job->told.size, err);
    if (want->ask == SERVER_BLOB_LOST)
        return note_lost(w, site, &want->attachment, err);
    return city_blob_offer(w->city, site, &want->attachment, want->hash, want->size,
                           &job->told.verified, err);
}

void blobs_answer(struct job *job)
{
    bool offer = job->blob.ask == SERVER_BLOB_OFFER && !job->held;
    struct world *w = job->link->w;

    job->told.ret = job->ret;
    if (offer && job->ret == 0 && !job->told.verified) {
        w->counts[SIM_TEXT_FIRST]++;
        to_files(job->link, SERVER_LANE_UP, &job->blob);
        return;
    }
    w->counts[SIM_BLOB_HELD] += job->held && job->ret == 0;
    w->counts[SIM_BLOB_LOST] += job->blob.ask == SERVER_BLOB_LOST;
    w->counts[SIM_FETCH_DENIED] += job->blob.ask == SERVER_BLOB_FIND && job->ret == E_DENIED;
    tell_city(job->link, job->blob.ask == SERVER_BLOB_FIND ? SERVER_LANE_DOWN : SERVER_LANE_UP,
              &job->told);
}

/* ---- people ---- */

/* The file is in its computer's folder; now and then it is there no more, or never was. */
static bool take_in(struct world *w, struct sim_replica *r, struct file *f, struct blob_info *info)
{
    struct folder own = folder_of(w, r->no);
    char path[4 * ROOT_MAX];
    struct err err = {.ret = 0};

    (void)snprintf(path, sizeof path, "%s/%u.txt", shelf.root, f->content);
    if (blob_take(own.path, path, 1u << 30, info, &err) != 0) {
        world_fail(w, "a file is not taken in: %s", err.text);
        return false;
    }
    f->whole = true;
    return true;
}

static void lose(struct world *w, struct sim_replica *r, struct file *f)
{
    struct folder own = folder_of(w, r->no);
    char hex[2 * HASH_SIZE + 1], path[4 * ROOT_MAX];

    for (unsigned i = 0; i < HASH_SIZE; i++)
        (void)snprintf(hex + 2 * i, 3, "%02x", shelf.hash[f->content][i]);
    (void)snprintf(path, sizeof path, "%s/%.2s/%s", own.path, hex, hex + 2);
    f->whole = unlink(path) != 0;
    world_say(w, "replica %u loses a file", r->no);
}

bool blobs_attach(struct world *w, struct sim_replica *r, struct arena *a, const struct row *target,
                  struct draft *ret, struct blob_row *ret_row)
{
    struct blobs *b = w->blobs;
    struct attached_file file;
    struct blob_info info;
    struct folder own;
    struct file *f;
    uint64_t size;
    bool had;

    if (b == NULL || b->n_files == FILES_MAX || world_roll(w, 8) != 0)
        return false;
    f = &b->files[b->n_files];
    *f = (struct file){.replica = r->no, .site = r->site,
                       .content = (unsigned)world_roll(w, CONTENTS)};
    own = folder_of(w, r->no);
    had = blob_size(own.path, shelf.hash[f->content], &size, NULL) == 0;
    if (!take_in(w, r, f, &info))
        return false;
    if (!had && world_roll(w, 6) == 0) /* what another record needs stays */
        lose(w, r, f);
    if (f->whole)
        b->had[r->site == sim_sites[0] ? 0 : 1][f->content] = true;
    file = (struct attached_file){.size = info.size, .mime = info.mime, .name = info.name};
    file.id = f->attachment = id_v7(world_clock(w, r->skew), &w->random);
    memcpy(file.hash, info.hash, HASH_SIZE);
    *ret = (struct draft){.kind = catalogue_kind_named("attachment"), .op = OP_CREATE,
                          .record = file.id};
    if (attached_fields(a, target, &file, &ret->fields, &ret->n_fields, NULL) != 0)
        abort();
    *ret_row = (struct blob_row){.attachment = file.id, .way = BLOB_UP, .size = info.size};
    memcpy(ret_row->hash, info.hash, HASH_SIZE);
    return true;
}

void blobs_attached(struct world *w)
{
    w->blobs->n_files++;
    w->counts[SIM_ATTACHED]++;
}

/* A person asks for what he sees. */
static bool sees(struct sim_replica *r, const struct file *f)
{
    struct row *row = NULL;
    struct arena a;
    bool sees;

    arena_init(&a, 1u << 20);
    sees = store_row_get(replica_store(r->r), &a, catalogue_kind_named("attachment"),
                         &f->attachment, &row, NULL) == 0 && row != NULL;
    arena_release(&a);
    return sees;
}

static bool ask_for(struct world *w, struct sim_replica *r, const struct file *f)
{
    struct blob_row row = {.way = BLOB_DOWN};
    struct err err = {.ret = 0};
    int ret;

    row.attachment = f->attachment;
    row.size = sizes[f->content];
    memcpy(row.hash, shelf.hash[f->content], HASH_SIZE);
    ret = replica_blob_want(r->r, &row, world_clock(w, r->skew), &err);
    if (ret != 0 && !computers_excuse(r->disk, ret))
        world_fail(w, "a file cannot be asked for: %s", err.text);
    return ret == 0;
}

/* Whose ever it is: what is not ours to read must be denied. */
void blobs_fetch(struct world *w, struct sim_replica *r)
{
    struct blobs *b = w->blobs;
    struct client_event look = {.kind = CLIENT_BLOB_LOOK};
    const struct file *f;
    unsigned no;

    if (b == NULL || b->n_files == 0 || b->n_fetches == FETCHES_MAX || world_roll(w, 10) != 0)
        return;
    no = (unsigned)world_roll(w, b->n_files);
    f = &b->files[no];
    if (f->site != r->site)
        b->nosy[r->no] = no + 1;
    else if (f->replica != r->no && sees(r, f) && ask_for(w, r, f))
        b->fetches[b->n_fetches++] = (struct fetch){r->no, no};
    if (r->link != NULL && r->link->client_open)
        network_client_event(r->link, &look);
}

/* ---- in the end ---- */

static void same_bytes(struct world *w, unsigned whose, unsigned content)
{
    struct folder f = folder_of(w, whose);
    struct buf b;

    buf_init(&b, sizes[CONTENTS - 1]);
    if (blob_read(f.path, shelf.hash[content], 0, sizes[content], &b, NULL) != 0 ||
        memcmp(b.p, shelf.bytes[content], sizes[content]) != 0)
        world_fail(w, "a file of %llu bytes at folder %u is not what was attached",
                   (unsigned long long)sizes[content], whose);
    buf_release(&b);
}

/* The site can have shown these bytes: one of its computers has them. */
static bool is_shown(const struct blobs *b, uint32_t site, unsigned content)
{
    return b->had[site == sim_sites[0] ? 0 : 1][content];
}

/* It is not at the city: only for a reason that is listed. */
static void judge_missing(struct world *w, const struct file *f, const struct city_blob *at)
{
    struct sim_replica *r = &w->replicas[f->replica];
    struct blob_row row;
    struct err err = {.ret = 0};
    int ret;

    if (r->gone) {
        if (at->state != CITY_BLOB_LOST)
            world_fail(w, "a file of a computer that is gone is not listed as lost");
        w->counts[SIM_BLOB_LOST]++;
        return;
    }
    if (r->set_up_again)
        return; /* its disk is gone, and nobody has said so */
    ret = replica_blob_get(r->r, &f->attachment, BLOB_UP, &row, &err);
    if (ret != 0) {
        world_fail(w, "replica %u knows no file of a record it made: %s", f->replica, err.text);
        return;
    }
    /* Where another computer of the site has the bytes they may be on their way: that one's file says. */
    if (row.state == BLOB_LOST && !f->whole &&
        (at->state == CITY_BLOB_LOST || is_shown(w->blobs, f->site, f->content)))
        return;
    if (row.state == BLOB_REFUSED && row.code[0] != '\0')
        return;
    world_fail(w, "a file of replica %u is nowhere: %d there, %d here %s", f->replica,
               (int)at->state, (int)row.state, row.code);
}

static void judge_file(struct world *w, const struct file *f)
{
    struct city_blob at = {.state = CITY_BLOB_NONE};
    struct arena a;
    struct err err = {.ret = 0};
    int ret;

    arena_init(&a, 4096);
    ret = city_blob_get(city_store(w->city), &f->attachment, &a, &at, &err);
    if (ret == 0 && at.state == CITY_BLOB_VERIFIED) {
        same_bytes(w, CITY_FOLDER, f->content);
        if (!is_shown(w->blobs, f->site, f->content))
            world_fail(w, "a file counts as brought by a site that never had it");
    } else if (ret == 0) {
        judge_missing(w, f, &at);
    } else if (ret != E_NOTFOUND) { /* its record was refused */
        world_fail(w, "an attachment cannot be read: %s", err.text);
    }
    arena_release(&a);
}

static void judge_fetch(struct world *w, const struct fetch *fetch)
{
    struct sim_replica *r = &w->replicas[fetch->replica];
    const struct file *f = &w->blobs->files[fetch->file];
    struct city_blob at = {.state = CITY_BLOB_NONE};
    struct blob_row row;
    struct arena a;

    if (replica_blob_get(r->r, &f->attachment, BLOB_DOWN, &row, NULL) != 0)
        return; /* asked for before it was set up again */
    arena_init(&a, 4096);
    if (row.state == BLOB_DONE)
        same_bytes(w, r->no, f->content);
    else if (!r->gone &&
             ((row.state != BLOB_WAITING && row.code[0] == '\0') ||
              (row.state == BLOB_WAITING &&
               city_blob_get(city_store(w->city), &f->attachment, &a, &at, NULL) == 0)))
        world_fail(w, "replica %u waits for a file of replica %u without a reason: %d %s, %d there", r->no, f->replica, (int)row.state, row.code, (int)at.state);
    arena_release(&a);
    if (row.state == BLOB_DONE && !is_shown(w->blobs, r->site, f->content))
        world_fail(w, "replica %u got a file that its site has no record of", r->no);
}

void blobs_judge(struct world *w)
{
    struct blobs *b = w->blobs;

    for (unsigned i = 0; b != NULL && i < b->n_files && w->why[0] == '\0'; i++)
        judge_file(w, &b->files[i]);
    for (unsigned i = 0; b != NULL && i < b->n_fetches && w->why[0] == '\0'; i++)
        judge_fetch(w, &b->fetches[i]);
}

void blobs_release(struct world *w)
{
    if (w->blobs == NULL)
        return;
    while (w->blobs->tasks != NULL)
        end_task(w, w->blobs->tasks);
    remove_folder(w->blobs->root);
    mem_free(w->blobs);
}
