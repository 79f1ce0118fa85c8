#include "tests/bench/author.h"

#include <stdio.h>
#include <stdlib.h>

#define FIELDS_MAX 16u

struct filling {
    struct author *author;
    const struct kind *kind;
    struct field_change fields[FIELDS_MAX];
    size_t n;
};

static void fill(struct filling *f, const struct field *field, struct value v)
{
    size_t k = f->n++;
    struct field_change made = {.tag = field->tag, .form = FORM_SET, .v = v};

    if (f->n > FIELDS_MAX)
        abort();
    if (field->vanish != VANISH_NO) {
        made.form = FORM_HASHED;
        random_fill(&f->author->random, made.salt, SALT_SIZE);
        change_commit_value(f->author->hasher, made.salt, &v, made.hash);
    }
    for (; k > 0 && f->fields[k - 1].tag > field->tag; k--)
        f->fields[k] = f->fields[k - 1];
    f->fields[k] = made;
}

static void named(struct filling *f, const char *name, struct value v)
{
    fill(f, kind_field_named(f->kind, name), v);
}

void author_create(struct author *a, const struct opinion *o, struct buf *bytes, struct buf *side)
{
    struct filling f = {.author = a, .kind = catalogue_kind_named("opinion")};
    struct change c = {.replica = a->replica,
                       .n = ++a->n,
                       .stream = a->site,
                       .act_len = 1,
                       .actor = a->clerk,
                       .catalogue = CATALOGUE_VERSION,
                       .kind = f.kind->tag,
                       .record = o->id,
                       .op = OP_CREATE,
                       .to = slice_str("collected")};
    char site[16];

    (void)cal_parse_datetime(slice_str(o->received_at), &c.made_at); /* we printed it */
    (void)snprintf(site, sizeof site, "%06u", a->site);
    named(&f, "studio_id", value_id(&a->studio));
    named(&f, "received_at", value_str(o->received_at));
    named(&f, "channel", value_str(o->channel));
    named(&f, "receiver", value_id(&a->member));
    named(&f, "anonymous", value_int(1));
    named(&f, "person_area", value_str(o->area));
    named(&f, "person_count", value_int(o->persons));
    named(&f, "title", value_str(o->title));
    named(&f, "content", value_str(o->content));
    named(&f, "category", value_str(o->category));
    fill(&f, kind_field(f.kind, TAG_SITE), value_str(site));
    fill(&f, kind_field(f.kind, TAG_SERIAL), value_str(o->serial));
    c.fields = f.fields;
    c.n_fields = f.n;
    change_encode(bytes, &c);
    change_encode_side(side, &c);
}
