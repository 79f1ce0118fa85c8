/* What a person types or pastes, for every field of the catalogue: two bytes choose the field, the
 * rest is the text. What is accepted is a value of the field, and what is shown of it is text that is
 * accepted again and gives the same. */
#include "common/base/text.h"
#include "common/catalogue/check.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct field *field_of(uint8_t kind, uint8_t field)
{
    const struct kind *k = catalogue_kinds[kind % catalogue_n_kinds];

    return &k->fields[field % k->n_fields];
}

/* Shown for people: names of records are the caller's business, so only what is not one comes back. */
static bool comes_back(const struct field *f)
{
    return f->type != FT_SECRET && f->type != FT_LIST;
}

static void show(struct arena *a, const struct field *f, const struct value *v)
{
    struct err err = {0};
    struct value again;
    struct buf text;

    buf_init(&text, 4u << 20);
    assert(check_mask(&text, f, v) == 0);
    assert(text_valid(buf_slice(&text)));
    buf_clear(&text);
    assert(check_format(&text, f, v) == 0);
    assert(text_valid(buf_slice(&text)));
    if (comes_back(f)) {
        assert(check_parse(a, f, buf_slice(&text), &again, &err) == 0);
        assert(value_eq(v, &again));
    }
    buf_release(&text);
}

static void well_formed(const struct value *v)
{
    struct buf bytes;
    struct value again;
    struct rd r;

    buf_init(&bytes, 4u << 20);
    value_encode(&bytes, v);
    r = rd_of(buf_slice(&bytes));
    again = value_decode(&r);
    assert(rd_done(&r) && value_eq(v, &again));
    buf_release(&bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct field *f;
    struct slice text;
    struct err err = {0};
    struct value v;
    struct arena a;

    if (size < 2)
        return 0;
    f = field_of(data[0], data[1]);
    text = (struct slice){data + 2, size - 2};
    arena_init(&a, 16u << 20);
    if (check_parse(&a, f, text, &v, &err) != 0) {
        assert(err.text[0] != '\0');
        assert(text_valid(slice_str(err.text)));
    } else {
        well_formed(&v);
        err = (struct err){0};
        if (check_value(f, &v, &err) != 0)
            assert(err.text[0] != '\0');
        else
            show(&a, f, &v);
    }
    arena_release(&a);
    return 0;
}
