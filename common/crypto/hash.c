/* SM3, SHA-256 and the system's randomness.
 *
 * The ledger hashes every entry, on two threads: looking an algorithm up by name and making a
 * context for each digest would cost more than the digest of a short entry. So each thread keeps
 * one context an algorithm, made at its first digest and freed when the thread ends.
 *
 * A digest cannot report failure, and there is no honest way to go on without one: when OpenSSL
 * cannot give a context (out of memory, an installation without SM3) the process ends. */
#include "common/crypto/hash.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SLOT_SM3, SLOT_SHA256, N_SLOTS };

static const char *const md_names[N_SLOTS] = {"SM3", "SHA2-256"};

static _Thread_local EVP_MD_CTX *contexts[N_SLOTS];

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t at_thread_end;

static void die(const char *what)
{
    (void)fprintf(stderr, "zhitongche: %s is not available\n", what);
    abort();
}

/* Runs on the ending thread, whose thread-local array is still there. */
static void free_contexts(void *of_thread)
{
    EVP_MD_CTX **slots = of_thread;

    for (int i = 0; i < N_SLOTS; i++) {
        EVP_MD_CTX_free(slots[i]);
        slots[i] = NULL;
    }
}

static void make_key(void)
{
    if (pthread_key_create(&at_thread_end, free_contexts) != 0)
        die("thread storage");
}

static EVP_MD_CTX *first_context(int slot)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_MD *md = EVP_MD_fetch(NULL, md_names[slot], NULL);

    if (ctx == NULL || md == NULL || EVP_DigestInit_ex2(ctx, md, NULL) != 1)
        die(md_names[slot]);
    EVP_MD_free(md); /* the context keeps its own reference */
    if (pthread_once(&once, make_key) != 0 || pthread_setspecific(at_thread_end, contexts) != 0)
        die("thread storage");
    contexts[slot] = ctx;
    return ctx;
}

/* A context of this thread, ready for input. */
static EVP_MD_CTX *context(int slot)
{
    EVP_MD_CTX *ctx = contexts[slot];

    if (ctx == NULL)
        return first_context(slot);
    if (EVP_DigestInit_ex2(ctx, NULL, NULL) != 1)
        die(md_names[slot]);
    return ctx;
}

static void digest(int slot, const struct slice *parts, size_t n_parts, uint8_t *ret_hash)
{
    EVP_MD_CTX *ctx = context(slot);

    for (size_t i = 0; i < n_parts; i++)
        if (EVP_DigestUpdate(ctx, parts[i].p, parts[i].len) != 1)
            die(md_names[slot]);
    if (EVP_DigestFinal_ex(ctx, ret_hash, NULL) != 1)
        die(md_names[slot]);
}

static void digest_sm3(const struct slice *parts, size_t n_parts, uint8_t ret_hash[HASH_SIZE])
{
    digest(SLOT_SM3, parts, n_parts, ret_hash);
}

static void digest_sha256(const struct slice *parts, size_t n_parts, uint8_t ret_hash[HASH_SIZE])
{
    digest(SLOT_SHA256, parts, n_parts, ret_hash);
}

static const struct hasher sm3 = {HASH_SM3, digest_sm3};
static const struct hasher sha256 = {HASH_SHA256, digest_sha256};

const struct hasher *hasher_of(enum hash_alg alg)
{
    switch (alg) {
    case HASH_SM3:
        return &sm3;
    case HASH_SHA256:
        return &sha256;
    }
    return NULL;
}

const struct hasher *hasher_named(const char *name)
{
    if (strcmp(name, "sm3") == 0)
        return &sm3;
    if (strcmp(name, "sha256") == 0)
        return &sha256;
    return NULL;
}

/* ---- in pieces ---- */

/* No struct of our own: what the caller holds is OpenSSL's context under another name. */
struct hash_stream *hash_stream_new(enum hash_alg alg)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    const EVP_MD *md = alg == HASH_SM3 ? EVP_sm3() : EVP_sha256();

    if (ctx != NULL && EVP_DigestInit_ex2(ctx, md, NULL) != 1) {
        EVP_MD_CTX_free(ctx);
        ctx = NULL;
    }
    ERR_clear_error();
    return (struct hash_stream *)ctx;
}

void hash_stream_put(struct hash_stream *h, struct slice s)
{
    if (EVP_DigestUpdate((EVP_MD_CTX *)h, s.p, s.len) != 1)
        die("a digest");
}

void hash_stream_end(struct hash_stream *h, uint8_t *ret_hash)
{
    if (h != NULL && ret_hash != NULL && EVP_DigestFinal_ex((EVP_MD_CTX *)h, ret_hash, NULL) != 1)
        die("a digest");
    EVP_MD_CTX_free((EVP_MD_CTX *)h);
}

static void fill(void *ctx, void *p, size_t len)
{
    uint8_t *out = p;

    (void)ctx;
    while (len > 0) {
        int piece = len > 1 << 20 ? 1 << 20 : (int)len; /* RAND_bytes counts in int */

        if (RAND_bytes(out, piece) != 1)
            die("randomness");
        out += piece;
        len -= (size_t)piece;
    }
}

struct random random_system(void)
{
    return (struct random){.fill = fill};
}
