/* 16-byte identifiers: UUIDv7 for records (time-ordered, made offline), random for the rest. */
#ifndef ZTC_BASE_ID_H
#define ZTC_BASE_ID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ID_SIZE      16
#define ID_TEXT_SIZE 37 /* 8-4-4-4-12 hex digits and the NUL */

struct id {
    uint8_t b[ID_SIZE];
};

/* A source of random bytes, given to everything that needs chance: OpenSSL's in the binaries, a
 * seeded generator in tests. */
struct random {
    void (*fill)(void *ctx, void *p, size_t len);
    void *ctx;
};

void random_fill(const struct random *r, void *p, size_t len);

/* xoshiro256** from a seed, for tests and simulations only. */
struct random_seeded {
    uint64_t s[4];
};
struct random random_seeded_init(struct random_seeded *state, uint64_t seed);

/* Uniform in [0, BOUND), BOUND > 0. */
uint64_t random_below(const struct random *r, uint64_t bound);

/* UUIDv7 of this millisecond (Unix epoch). Ids of one process made in one millisecond are ordered
 * by chance only. */
struct id id_v7(uint64_t unix_ms, const struct random *r);

bool id_eq(const struct id *a, const struct id *b);
bool id_is_zero(const struct id *a);
int id_cmp(const struct id *a, const struct id *b);

/* Lower-case 8-4-4-4-12 text, NUL-terminated. */
void id_format(const struct id *a, char text[ID_TEXT_SIZE]);

struct rd;

/* The next ID_SIZE bytes; zero when there are fewer, which R's own error tells. */
struct id id_take(struct rd *r);

/* From 32 hex digits with or without hyphens at their places. 0 or E_MALFORMED. */
int id_parse(const char *text, size_t len, struct id *ret_id);

#endif
