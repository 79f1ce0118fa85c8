#include "tests/bench/settle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIELDS_MAX 8u

void settle_must(int ret, const struct err *err, const char *what)
{
    if (ret == 0)
        return;
    (void)fprintf(stderr, "%s: %s %s\n", what, err_code(ret), err->text);
    exit(1);
}

struct given {
    const char *name;
    struct value v;
};

static struct id create(struct city *c, const char *kind_name, uint32_t stream, const char *state,
                        const struct given *given, size_t n)
{
    const struct kind *kind = catalogue_kind_named(kind_name);
    struct field_change fields[FIELDS_MAX] = {{.tag = 0}};
    struct change change = {.op = OP_CREATE,
                            .kind = kind->tag,
                            .stream = stream,
                            .seen = UINT64_MAX >> 1,
                            .to = state == NULL ? (struct slice){NULL, 0} : slice_str(state),
                            .fields = fields,
                            .n_fields = n};
    struct act act = {.changes = &change,
                      .n = 1,
                      .actor = {.is_system = true, .side = SIDE_CITY, .site = SITE_CITY}};
    struct err err = {.ret = 0};

    for (size_t i = 0; i < n; i++) /* in the order of their tags */
        fields[i] = (struct field_change){.tag = kind_field_named(kind, given[i].name)->tag,
                                          .form = FORM_SET,
                                          .v = given[i].v};
    settle_must(city_act(c, &act, &err), &err, kind_name);
    return change.record;
}

void settle_sites(struct city *c, struct settled_site ret[BENCH_SITES])
{
    const struct given member[] = {{"name", value_str("何委员")},
                                   {"level", {.type = V_SET, .s = slice_str("county")}},
                                   {"unit_title", value_str("县医院医师")},
                                   {"status", value_str("active")}};
    const struct given studio[] = {{"name", value_str("惠民委员工作室")},
                                   {"level", value_str("county")}};

    for (unsigned i = 0; i < BENCH_SITES; i++) {
        ret[i].member = create(c, "member", bench_sites[i], NULL, member, 4);
        ret[i].studio = create(c, "studio", bench_sites[i], "operating", studio, 2);
    }
}

struct certificate {
    const char *serial;
    const uint8_t *fingerprint;
};

static int issue(void *ctx, uint32_t site, char ret_serial[48], uint8_t ret_fingerprint[HASH_SIZE])
{
    const struct certificate *c = ctx;

    (void)site;
    (void)snprintf(ret_serial, 48, "%s", c->serial);
    memcpy(ret_fingerprint, c->fingerprint, HASH_SIZE);
    return 0;
}

void settle_replica(struct city *c, unsigned at, const struct id *replica, msec_t now,
                    const struct settled_site *site, const char *serial,
                    const uint8_t fingerprint[HASH_SIZE], struct author *ret)
{
    struct certificate certificate = {serial, fingerprint};
    uint8_t secret[HASH_SIZE] = {0};
    struct err err = {.ret = 0};
    uint32_t k;

    memcpy(secret, replica->b, ID_SIZE); /* any that was not used before */
    *ret = (struct author){.replica = *replica,
                           .studio = site->studio,
                           .member = site->member,
                           .hasher = city_hasher(c)};
    ret->random = random_seeded_init(&ret->seeded, at + 1);
    settle_must(city_token_add(c, bench_sites[at], secret, now + 1000, &err), &err, "token");
    settle_must(city_enrol(c, secret, replica, issue, &certificate, &ret->site, &k, &ret->clerk,
                           &err),
                &err, "enrol");
}
