/* Causes before effects, where entries arrive: what an entry stands on is there when it is, an answer never before
 * what it answers, and no act is there in part. */
#include "tests/sim/world_internal.h"

#include <string.h>

#define ARENA_MAX (4u << 20)

struct arrival {
    struct world *w;
    const struct sim_replica *r;
    struct arena a;
    uint64_t upto, shared; /* the cursor of `shared` */
    uint32_t left;         /* changes that the act still lacks */
    bool more;             /* the rules have more to say of it */
};

static const struct row *row_of(struct arrival *x, const struct kind *kind, const struct id *id)
{
    struct row *row = NULL;

    return kind != NULL && store_row_get(replica_store(x->r->r), &x->a, kind, id, &row, NULL) == 0 ? row : NULL;
}

/* The record, or the card that stands for another site's. */
static void check_named(struct arrival *x, const struct entry *e, const struct field *f, const struct id *id)
{
    const struct row *row = row_of(x, f->target, id);

    if (row == NULL)
        row = row_of(x, catalogue_card(f->target), id);
    if (row == NULL || row->created_seq == 0)
        world_fail(x->w, "replica %u has %u/%llu, and not the %s it names", x->r->no, e->stream,
                   (unsigned long long)e->seq, f->target->name);
    else if (row->stream == e->stream && row->created_seq > e->seq)
        world_fail(x->w, "%u/%llu names a %s of %llu", e->stream, (unsigned long long)e->seq, f->target->name,
                   (unsigned long long)row->created_seq);
    x->w->counts[SIM_NAMED]++;
}

static void check_field(struct arrival *x, const struct entry *e, const struct kind *kind,
                        const struct field_change *fc)
{
    const struct field *f = kind_field(kind, fc->tag);
    struct id id;

    if (f == NULL || f->target == NULL || fc->form != FORM_SET || (fc->v.type != V_ID && fc->v.type != V_IDS))
        return;
    for (size_t i = 0; i < fc->v.s.len / ID_SIZE; i++) {
        memcpy(id.b, fc->v.s.p + i * ID_SIZE, ID_SIZE);
        check_named(x, e, f, &id);
    }
}

static int meet(void *ctx, const struct entry *e)
{
    static const struct id system;
    struct arrival *x = ctx;
    struct verdict v;
    struct change c;

    if (e->seq > x->upto)
        return 1;
    arena_clear(&x->a);
    if (change_decode(&x->a, e->bytes, e->side, &c) != 0 || verdict_decode(&x->a, e->verdict, &v) != 0)
        return E_CORRUPT;
    if (v.shared_seq > x->shared)
        world_fail(x->w, "replica %u has %u/%llu, and `shared` up to %llu of %llu", x->r->no, e->stream,
                   (unsigned long long)e->seq, (unsigned long long)x->shared, (unsigned long long)v.shared_seq);
    if (!id_eq(&c.actor, &system))
        x->left = c.act_len - c.act_pos - 1;
    x->more = (v.flags & VERDICT_MORE) != 0;
    for (size_t i = 0; i < c.n_fields && catalogue_kind(c.kind) != NULL; i++) {
        if (!verdict_withholds(&v, c.fields[i].tag))
            check_field(x, e, catalogue_kind(c.kind), &c.fields[i]);
    }
    return 0;
}

void causality_arrived(struct world *w, const struct sim_replica *r, uint32_t stream, uint64_t first, uint64_t last)
{
    struct arrival x = {.w = w, .r = r, .upto = last};
    struct stream_head shared;
    int ret = store_stream_get(replica_store(r->r), STREAM_SHARED, &shared, NULL);

    arena_init(&x.a, ARENA_MAX);
    x.shared = shared.seq;
    if (ret == 0)
        ret = store_entry_each(replica_store(r->r), stream, first, meet, &x, NULL);
    if (ret >= 0 && (x.more || x.left > 0))
        world_fail(w, "replica %u has an act of %u in part up to %llu", r->no, stream, (unsigned long long)last);
    if (ret < 0 && !computers_excuse(r->disk, ret))
        world_fail(w, "what arrived cannot be read: %s", err_code(ret));
    arena_release(&x.a);
}
