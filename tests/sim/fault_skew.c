/* The city runs another program than its counties.
 *
 *  - An older one, for a while: what that does not know waits with them, and all that was made behind it.
 *  - A newer one, for good: its log bears fields and kinds that they do not know. What a newer judge would have
 *    written is written here as it is. */
#include "tests/sim/world_internal.h"

#include "common/ledger/apply.h"
#include "server/store/city_internal.h"

#define LATEST       60000u /* until it is upgraded */
#define UNKNOWN_TAG  900u   /* of a field of any kind */
#define UNKNOWN_KIND 9000u

/* ---- older ---- */

static void upgrade(struct world *w, void *subject)
{
    (void)subject;
    if (w->city_catalogue == CATALOGUE_VERSION)
        return;
    world_say(w, "the city is upgraded from catalogue %u", w->city_catalogue);
    w->city_catalogue = CATALOGUE_VERSION;
    if (w->city != NULL)
        computers_crash_city(w);
}

void fault_skew_begin(struct world *w)
{
    if (world_roll(w, 4) == 0) {
        w->newer = true;
        w->newer_kinds = world_roll(w, 2) == 0;
        w->restore.barred = true; /* it would know its own kinds when they are handed back; this one does not */
        return;
    }
    if (world_roll(w, 4) != 0)
        return;
    w->city_catalogue = 1 + (uint32_t)world_roll(w, CATALOGUE_VERSION - 1);
    w->counts[SIM_OLD_CITY]++;
    world_at(w, 1000 + world_roll(w, LATEST), upgrade, NULL);
}

void fault_skew_heal(struct world *w)
{
    upgrade(w, NULL);
}

void fault_skew_pushed(struct world *w, const struct change *c)
{
    if (change_needs(c) > w->city_catalogue)
        world_fail(w, "a city of catalogue %u was sent what needs %u", w->city_catalogue, change_needs(c));
}

/* ---- newer ---- */

static int write_one(struct world *w, struct arena *a, struct change *c, struct row *row, const struct row *before,
                     struct err *err)
{
    const struct city_stream *s = city_stream(w->city, c->stream);
    struct judged entry = {.seq = s->now.seq + 1};
    struct judgement all = {.entries = &entry, .n_entries = 1, .rows = &row, .before = &before, .n_rows = row != NULL};
    struct buf bytes, side;
    int ret;

    c->replica = city_incarnation(w->city);
    c->n = entry.seq;
    c->act_len = 1;
    c->made_at = world_clock(w, w->skew);
    c->catalogue = CATALOGUE_VERSION + 1;
    entry.c = *c;
    buf_init(&bytes, ACT_MAX_BYTES);
    buf_init(&side, ACT_MAX_BYTES);
    change_encode(&bytes, c);
    change_encode_side(&side, c);
    entry.bytes = buf_slice(&bytes);
    entry.side = buf_slice(&side);
    change_hash(city_hasher(w->city), entry.bytes, entry.hash);
    ret = row != NULL ? apply_entry(a, row, c, &entry.v, entry.seq, true) : 0;
    if (ret == 0)
        ret = city_write(w->city, &all, err);
    buf_release(&bytes);
    buf_release(&side);
    w->counts[SIM_UNKNOWN]++;
    return ret;
}

static int new_field(struct world *w, struct arena *a, struct field_change *field, struct err *err)
{
    const struct record *r = &w->records[world_roll(w, w->n_records)];
    struct change c = {.op = OP_SET, .kind = r->kind->tag, .record = r->id, .fields = field, .n_fields = 1};
    struct row *row = NULL, *before = NULL;
    int ret = store_row_get(city_store(w->city), a, r->kind, &r->id, &before, err);

    if (ret == 0)
        ret = store_row_get(city_store(w->city), a, r->kind, &r->id, &row, err);
    if (ret != 0 || row == NULL)
        return ret == E_NOTFOUND ? 0 : ret; /* not sent yet */
    c.stream = row->stream;
    return write_one(w, a, &c, row, before, err);
}

int fault_skew_act(struct world *w, struct arena *a, struct err *err)
{
    struct field_change field = {.tag = UNKNOWN_TAG + (uint32_t)world_roll(w, 3), .form = FORM_SET};
    struct change c = {.op = OP_CREATE, .kind = UNKNOWN_KIND, .fields = &field, .n_fields = 1};

    field.v = value_int((int64_t)world_roll(w, 1000));
    if (w->n_records > 0 && (!w->newer_kinds || world_roll(w, 2) == 0))
        return new_field(w, a, &field, err);
    if (!w->newer_kinds)
        return 0;
    c.stream = sim_sites[world_roll(w, SIM_SITES)];
    random_fill(&w->random, c.record.b, ID_SIZE);
    return write_one(w, a, &c, NULL, NULL, err);
}
